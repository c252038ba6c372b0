# The machine's watchdog: a kernel or a systemd that hangs is ended by the hardware. chronikd itself is watched by its unit.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  dog = cfg.watchdog;
in
{
  options.services.chronik.watchdog = {
    enable = lib.mkEnableOption "the hardware's watchdog";
    runtime = lib.mkOption {
      type = lib.types.str;
      default = "20s";
      description = "The machine is reset when systemd has not been heard for this long.";
    };
    reboot = lib.mkOption {
      type = lib.types.str;
      default = "5min";
      description = "Likewise while it shuts down.";
    };
  };

  config = lib.mkIf dog.enable {
    # A file, because the options of NixOS for it have other names in other releases.
    environment.etc."systemd/system.conf.d/50-chronik-watchdog.conf".text = ''
      [Manager]
      RuntimeWatchdogSec=${dog.runtime}
      RebootWatchdogSec=${dog.reboot}
    '';
    # A kernel that gives up comes back by itself.
    boot.kernelParams = [ "panic=10" ];
    boot.kernel.sysctl = {
      "kernel.panic_on_oops" = lib.mkOverride 890 1;
    };
  };
}
