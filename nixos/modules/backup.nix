# Timers: a copy of the metadata every day, and the reading of every record against its checksum. Units and what they do are in
# systemd/; here is when.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  files = import ../lib/files.nix { inherit lib; };
  job = name: {
    enable = lib.mkEnableOption "the timer chronik-${name}";
    when = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "Sun 03:00";
      description = "A time of systemd.time(7); null is what systemd/chronik-${name}.timer says.";
    };
  };
  jobs = lib.filterAttrs (_: j: j.enable) { inherit (cfg) backup scrub; };
in
{
  options.services.chronik = {
    backup = job "backup";
    scrub = job "scrub";
  };

  config = lib.mkIf (cfg.enable && jobs != { }) {
    systemd.timers = lib.mapAttrs' (
      name: j:
      lib.nameValuePair "chronik-${name}" {
        wantedBy = [ "timers.target" ];
        # The empty one takes away what the file says.
        timerConfig = lib.mkIf (j.when != null) {
          OnCalendar = [
            ""
            j.when
          ];
        };
      }
    ) jobs;
    assertions = lib.mapAttrsToList (name: _: {
      assertion = files.hasUnit "chronik-${name}.service" && files.hasUnit "chronik-${name}.timer";
      message = "services.chronik.${name}.enable: this version has no systemd/chronik-${name}.timer; leave it off.";
    }) jobs;
  };
}
