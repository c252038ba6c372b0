# Timers: a copy of the metadata every day, and the reading of every record against its checksum. Units and what they do are in
# systemd/; here is when.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  files = import ../lib/files.nix { inherit lib; };
  job = name: when: {
    enable = lib.mkEnableOption "the timer chronik-${name}";
    when = lib.mkOption {
      type = lib.types.str;
      default = when;
      description = "A time of systemd.time(7).";
    };
  };
  jobs = lib.filterAttrs (_: j: j.enable) { inherit (cfg) backup scrub; };
in
{
  options.services.chronik = {
    backup = job "backup" "daily";
    scrub = job "scrub" "weekly";
  };

  config = lib.mkIf (cfg.enable && jobs != { }) {
    systemd.timers = lib.mapAttrs' (
      name: j:
      lib.nameValuePair "chronik-${name}" {
        wantedBy = [ "timers.target" ];
        timerConfig = {
          # The empty one takes away what systemd/chronik-NAME.timer says.
          OnCalendar = [
            ""
            j.when
          ];
          Persistent = true;
          # All nodes at once would be felt.
          RandomizedDelaySec = "1h";
        };
      }
    ) jobs;
    assertions = lib.mapAttrsToList (name: _: {
      assertion = files.hasUnit "chronik-${name}.service";
      message = "services.chronik.${name}.enable: this version has no systemd/chronik-${name}.service; leave it off.";
    }) jobs;
  };
}
