# services.chronik: the node itself. The unit is systemd/chronikd.service, as on any other distribution; what follows from options
# is laid over it as a drop-in.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.chronik;
  parameters = import ../lib/parameters.nix { inherit lib; };
  files = import ../lib/files.nix { inherit lib; };

  plain = pkgs.writeText "chronik.yaml" cfg.configText;
  checked =
    pkgs.runCommand "chronik-checked.yaml"
      {
        nativeBuildInputs = [ cfg.package ];
      }
      ''
        # Credentials are of the machine; that they will be there has to do.
        export CREDENTIALS_DIRECTORY=$PWD/credentials
        mkdir credentials
        ${lib.concatMapStrings (name: "touch credentials/${lib.escapeShellArg name}\n") (
          lib.attrNames cfg.credentials
        )}
        chronikd --check --config ${plain}
        cp ${plain} $out
      '';

  credential = lib.types.submodule {
    options = {
      source = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "/etc/credstore.encrypted/chronik.admin_tokens";
        description = ''
          File on the machine, which has to be there. Null: a file of this name in /etc/credstore.encrypted, or where else systemd looks;
          it may be missing. It is no path of the store: that is readable for everybody.
        '';
      };
      encrypted = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether systemd-creds has encrypted it, for the TPM or the key of this machine.";
      };
    };
  };
  credentials =
    encrypted:
    lib.mapAttrsToList (name: c: if c.source == null then name else "${name}:${c.source}") (
      lib.filterAttrs (_: c: c.encrypted == encrypted) cfg.credentials
    );

  # What is laid over systemd/chronikd.service.
  chronikd = {
    wantedBy = [ "multi-user.target" ];
    # Whoever changes the system decides when a node goes down (docs/NIXOS.md); a switch must not.
    restartIfChanged = false;
    stopIfChanged = false;
    # Found out at the start, and not by a service that has lost its disk.
    unitConfig.RequiresMountsFor = [ "/var/lib/chronik" ];
    serviceConfig = lib.mkMerge [
      {
        # Files that outlive the service belong to it, also on another machine that a disk was put into.
        DynamicUser = false;
        User = "chronik";
        Group = "chronik";
        Slice = "chronik.slice";
        LoadCredential = credentials false;
        LoadCredentialEncrypted = credentials true;
      }
      (lib.mkIf cfg.drainGuard.enable {
        # The empty one, so that it is asked once also where the unit asks by itself. The minus: a guard that fails or is not
        # answered does not keep the node from stopping.
        ExecStop = [
          ""
          "-${
            lib.concatStringsSep " " (
              [
                (lib.getExe' cfg.package "chronik-ctl")
                "node may-stop ${toString cfg.settings.server.node_id}"
                "--wait --timeout ${toString cfg.drainGuard.timeout}m"
              ]
              ++ lib.optional (cfg.ctl.caFile != null) "--ca ${cfg.ctl.caFile}"
            )
          }"
        ];
        # For the guard, then for handing over, finishing and flushing.
        TimeoutStopSec = "${toString (cfg.drainGuard.timeout + 2)}min";
      })
    ];
    environment = lib.mkIf cfg.drainGuard.enable { CHRONIK_SERVER = cfg.ctl.server; };
  };

  # Whether shutdown and reboot are refused meanwhile, too, where the unit for it is there.
  guards = cfg.drainGuard.enable && files.hasUnit "chronik-guard.service";

  # Units that ask the node, and have to say who they are.
  asking = lib.optionals (cfg.ctl.tokenSource != null) (
    lib.optional cfg.drainGuard.enable "chronikd"
    ++ lib.optional guards "chronik-guard"
    ++ lib.filter (unit: files.hasUnit "${unit}.service") [
      "chronik-backup"
      "chronik-health"
      "chronik-scrub"
    ]
  );
in
{
  options.services.chronik = {
    enable = lib.mkEnableOption "a node of Chronik, a streaming log for Kafka clients";
    package = lib.mkPackageOption pkgs "chronik" { };

    settings = lib.mkOption {
      type = parameters.settingsType;
      default = { };
      example = lib.literalExpression ''
        {
          server.node_id = 1;
          server.roles = [ "controller" "ingest" ];
          replication.factor = 3;
        }
      '';
      description = ''
        What chronikd is told, section by section (docs/PARAMETERS.md). Null is the program's own default; names that this version
        does not know are passed on, and `chronikd --check` judges the file when the system is built.
      '';
    };
    checkConfig = lib.mkOption {
      type = lib.types.bool;
      default = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
      defaultText = lib.literalExpression "whether this machine can run the node's programs";
      description = "Whether `chronikd --check` judges the configuration file when the system is built.";
    };
    configText = lib.mkOption {
      type = lib.types.lines;
      internal = true;
      readOnly = true;
      description = "The configuration file as text.";
    };

    credentials = lib.mkOption {
      type = lib.types.attrsOf credential;
      default = { };
      description = ''
        Secrets that systemd gives to the node alone, such as chronik.first_user, chronik.admin_tokens and
        chronik.delegation_token_secret, which it finds by their names. Others are at /run/credentials/chronikd.service/NAME.
        Certificates that are to be renewed without a restart belong to services.chronik.tls.
      '';
    };

    drainGuard = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = cfg.settings.cluster.listen != null;
        defaultText = lib.literalExpression "whether the node has others beside it";
        description = ''
          Whether stopping the node, and so a reboot, waits until no partition loses its last replicas in sync by it
          (systemd/drain-guard.conf).
        '';
      };
      timeout = lib.mkOption {
        type = lib.types.ints.between 1 1440;
        default = 10;
        description = "Minutes after which it is stopped all the same.";
      };
    };

    ctl = {
      server = lib.mkOption {
        type = lib.types.str;
        default = if cfg.settings.server.admin != null then cfg.settings.server.admin else "127.0.0.1:9644";
        defaultText = lib.literalExpression "the node's own admin listener";
        description = "Admin address that units of this machine ask: drain guard, gate, scrub. With TLS its certificate has to name it.";
      };
      tokenSource = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        description = "Encrypted credential chronik.token, by which they say who they are where the admin listener has roles: an operator.";
      };
      caFile = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        description = "Authorities of the admin listener's certificate, where it has TLS.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    services.chronik.configText = parameters.toYaml cfg.settings;
    # The volumes are mounted there (volumes.nix).
    services.chronik.settings.server.data_dir = "/var/lib/chronik";

    environment.etc."chronik/chronik.yaml".source = if cfg.checkConfig then checked else plain;
    environment.systemPackages = [ cfg.package ];

    users.users.chronik = {
      isSystemUser = true;
      group = "chronik";
      home = "/var/lib/chronik";
      description = "Chronik";
    };
    users.groups.chronik = { };

    systemd.packages = [ cfg.package ];
    systemd.tmpfiles.packages = lib.optional (files.hasUnit "chronik-tmpfiles.conf") cfg.package;
    environment.etc."systemd/catalog/chronik.catalog" = lib.mkIf (files.hasUnit "chronik.catalog") {
      source = ../../systemd + "/chronik.catalog";
    };
    # What else asks the node reads this file, and so can an operator.
    environment.etc."chronik/ctl.env".text = ''
      CHRONIK_SERVER=${cfg.ctl.server}
      ${lib.optionalString (cfg.ctl.caFile != null) "CHRONIK_CTL_OPTIONS=--ca ${cfg.ctl.caFile}"}
    '';

    # The gate of a trial boot, where its unit is there.
    systemd.services = lib.mkMerge [
      { inherit chronikd; }
      (lib.mkIf (files.hasUnit "chronik-health.service") {
        # boot-complete.target is only waited for when the boot is counted, which is a trial.
        chronik-health.requiredBy = [ "boot-complete.target" ];
      })
      (lib.mkIf guards { chronik-guard.wantedBy = [ "multi-user.target" ]; })
      (lib.genAttrs asking (_: {
        environment.CHRONIK_TOKEN_FILE = "%d/chronik.token";
        serviceConfig.LoadCredentialEncrypted = [ "chronik.token:${cfg.ctl.tokenSource}" ];
      }))
    ];
  };
}
