# The journal in a place where a broken machine cannot take it along: nodes upload, the monitoring host receives.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  address = import ../lib/address.nix { inherit lib; };
  up = cfg.journal.upload;
  certificates = name: {
    certificate = lib.mkOption {
      type = lib.types.str;
      default = "/etc/ssl/journal/${name}.pem";
      description = "Its certificate.";
    };
    key = lib.mkOption {
      type = lib.types.str;
      default = "/etc/ssl/journal/${name}.key";
      description = "The private key, readable for the group systemd-journal.";
    };
    ca = lib.mkOption {
      type = lib.types.str;
      default = "/etc/ssl/journal/ca.pem";
      description = "Authorities of the other side.";
    };
  };
in
{
  options.services.chronik.journal = {
    maxUse = lib.mkOption {
      type = lib.types.str;
      default = "2G";
      description = "What the journal may take of the machine's own disk.";
    };
    upload = {
      enable = lib.mkEnableOption "sending the journal to the monitoring host";
      host = lib.mkOption {
        type = lib.types.str;
        default = "";
        description = "The monitoring host, a name that its certificate has.";
      };
      port = lib.mkOption {
        type = lib.types.port;
        default = 19532;
        description = "Its port.";
      };
    }
    // certificates "upload";
    receive = {
      enable = lib.mkEnableOption "receiving the nodes' journals";
      port = lib.mkOption {
        type = lib.types.port;
        default = 19532;
        description = "The port.";
      };
    }
    // certificates "receive";
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      # A file, because NixOS's option for it has other names in other releases.
      environment.etc."systemd/journald.conf.d/50-chronik.conf".text = ''
        [Journal]
        SystemMaxUse=${cfg.journal.maxUse}
      '';
    })
    (lib.mkIf up.enable {
      services.journald.upload = {
        enable = true;
        settings.Upload = {
          URL = "https://${address.bracketed up.host}:${toString up.port}";
          ServerKeyFile = up.key;
          ServerCertificateFile = up.certificate;
          TrustedCertificateFile = up.ca;
          # Rather wait for the host than end: what was not sent is still in the journal.
          NetworkTimeoutSec = "1h";
        };
      };
      services.chronik.firewall.egress.journal = {
        addresses = lib.optional (address.isAddress up.host) up.host;
        names = lib.optional (!(address.isAddress up.host)) up.host;
        tcp = [ up.port ];
      };
      assertions = [
        {
          assertion = up.host != "";
          message = "services.chronik.journal.upload.host is empty; name the monitoring host.";
        }
      ];
    })
    (lib.mkIf cfg.journal.receive.enable {
      services.journald.remote = {
        enable = true;
        listen = "https";
        inherit (cfg.journal.receive) port;
        settings.Remote = {
          ServerKeyFile = cfg.journal.receive.key;
          ServerCertificateFile = cfg.journal.receive.certificate;
          TrustedCertificateFile = cfg.journal.receive.ca;
          SplitMode = "host";
        };
      };
      services.chronik.firewall.allow.journal = {
        from = [ "peers" ];
        tcp = [ cfg.journal.receive.port ];
      };
    })
  ];
}
