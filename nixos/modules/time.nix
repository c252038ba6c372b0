# Clocks: synchronised before the node starts. Nodes refuse each other when theirs are two minutes apart, and records are dated.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.chronik;
  time = cfg.time;
  address = import ../lib/address.nix { inherit lib; };
in
{
  options.services.chronik.time = {
    enable = lib.mkEnableOption "synchronising the clock with chrony, before the node starts";
    servers = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "10.0.0.1" ];
      description = "Time servers, addresses or names. Two or more, and all nodes the same.";
    };
    waitSeconds = lib.mkOption {
      type = lib.types.ints.between 1 600;
      default = 60;
      description = "How long a start waits for the clock. A rack that comes up without its time server still comes up.";
    };
  };

  config = lib.mkIf time.enable {
    services.chrony = {
      enable = true;
      servers = time.servers;
      # A clock that is far off is set at once while the machine starts, and only then. (Of the hardware's clock NixOS takes care.)
      extraConfig = "makestep 0.1 3";
    };
    systemd.services.chronik-time = {
      description = "Clock that is synchronised, or has had its time to be";
      after = [ "chronyd.service" ];
      wants = [ "chronyd.service" ];
      before = lib.optional cfg.enable "chronikd.service";
      requiredBy = lib.optional cfg.enable "chronikd.service";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # The minus: afterwards the node starts all the same, and says so when its clock and the others' are apart.
        ExecStart = "-${lib.getExe' pkgs.chrony "chronyc"} waitsync ${toString time.waitSeconds} 0.5 0 1";
        TimeoutStartSec = time.waitSeconds + 30;
      };
    };
    services.chronik.firewall.egress.ntp = {
      addresses = lib.filter address.isAddress time.servers;
      names = lib.filter (a: !(address.isAddress a)) time.servers;
      udp = [ 123 ];
    };
    assertions = [
      {
        assertion = time.servers != [ ];
        message = "services.chronik.time.servers is empty; name the time servers that all nodes of the cluster use.";
      }
    ];
  };
}
