# The monitoring host: Prometheus, Alertmanager and Grafana, for the nodes that it is told of. It is no node itself.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.chronik;
  mon = cfg.monitoring;
  address = import ../lib/address.nix { inherit lib; };
  target = port: node: "${address.bracketed node}:${toString port}";
in
{
  options.services.chronik.monitoring = {
    enable = lib.mkEnableOption "Prometheus, Alertmanager and Grafana for a cluster";
    nodes = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "Addresses or names of the nodes. With TLS at their admin listeners: names that the certificates have.";
    };
    adminPort = lib.mkOption {
      type = lib.types.port;
      default = 9644;
      description = "Their admin port.";
    };
    tls = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether their admin listeners speak TLS.";
    };
    caFile = lib.mkOption {
      type = lib.types.str;
      default = "/etc/chronik/admin-ca.pem";
      description = "Authorities of their certificates.";
    };
    tokenSource = lib.mkOption {
      type = lib.types.str;
      default = "/etc/credstore.encrypted/chronik.token";
      description = "Encrypted credential chronik.token: a viewer's (`chronik-ctl admin-token new prometheus viewer`).";
    };
    ruleFiles = lib.mkOption {
      type = lib.types.listOf lib.types.path;
      default = [ ];
      description = "Rules of alerts.";
    };
    dashboards = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "Folder with dashboards of Grafana.";
    };
    retention = lib.mkOption {
      type = lib.types.str;
      default = "30d";
      description = "How long figures are kept.";
    };
    alertmanager = lib.mkOption {
      type = lib.types.attrsOf lib.types.anything;
      default = {
        route.receiver = "nobody";
        receivers = [ { name = "nobody"; } ];
      };
      description = "Alertmanager's configuration: who is told of what (its receiver `pagerduty_configs`, for example).";
    };
    grafanaSecretKeySource = lib.mkOption {
      type = lib.types.str;
      default = "/etc/credstore.encrypted/grafana.secret-key";
      description = "Encrypted credential with which Grafana keeps secrets in its database.";
    };
  };

  config = lib.mkIf mon.enable {
    services.prometheus = {
      enable = true;
      # Files with tokens are on the machine and not in the sandbox of a build.
      checkConfig = "syntax-only";
      retentionTime = mon.retention;
      listenAddress = "127.0.0.1";
      ruleFiles = mon.ruleFiles;
      globalConfig = {
        scrape_interval = "15s";
        evaluation_interval = "15s";
      };
      scrapeConfigs = [
        (
          {
            job_name = "chronik";
            metrics_path = "/metrics";
            scheme = if mon.tls then "https" else "http";
            static_configs = [ { targets = map (target mon.adminPort) mon.nodes; } ];
          }
          // lib.optionalAttrs mon.tls {
            tls_config.ca_file = mon.caFile;
            authorization.credentials_file = "/run/credentials/prometheus.service/chronik.token";
          }
        )
        {
          job_name = "node";
          static_configs = [
            {
              # It watches itself, too.
              targets = map (target 9100) mon.nodes ++ lib.optional cfg.nodeExporter.enable "127.0.0.1:9100";
            }
          ];
        }
      ];
      alertmanagers = [ { static_configs = [ { targets = [ "127.0.0.1:9095" ]; } ]; } ];
      alertmanager = {
        enable = true;
        # 9093, its own, is the nodes' port among each other.
        port = 9095;
        listenAddress = "127.0.0.1";
        configuration = mon.alertmanager;
      };
    };

    services.grafana = {
      enable = true;
      settings = {
        server = {
          http_addr = "0.0.0.0";
          http_port = 3000;
        };
        "auth.anonymous".enabled = false;
        security.secret_key = "$__file{/run/credentials/grafana.service/secret-key}";
        analytics.reporting_enabled = false;
      };
      provision = {
        enable = true;
        datasources.settings.datasources = [
          {
            name = "Prometheus";
            type = "prometheus";
            url = "http://127.0.0.1:9090";
            isDefault = true;
          }
        ];
        dashboards.settings.providers = lib.mkIf (mon.dashboards != null) [
          {
            name = "Chronik";
            options.path = mon.dashboards;
          }
        ];
      };
    };
    systemd.services.prometheus.serviceConfig.LoadCredentialEncrypted = lib.mkIf mon.tls [
      "chronik.token:${mon.tokenSource}"
    ];
    systemd.services.grafana.serviceConfig.LoadCredentialEncrypted = [
      "secret-key:${mon.grafanaSecretKeySource}"
    ];

    services.chronik.firewall = {
      allow.grafana = {
        from = [ "admin" ];
        tcp = [ 3000 ];
      };
      egress.scrapes = {
        networks = [ "peers" ];
        tcp = [
          mon.adminPort
          9100
        ];
      };
    };

    assertions = [
      {
        assertion = mon.nodes != [ ];
        message = "services.chronik.monitoring.nodes is empty; name the nodes that are to be watched.";
      }
    ];
  };
}
