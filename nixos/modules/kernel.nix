# Settings of the kernel: those of sysctl/ as they are, and the modules that they need.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  files = import ../lib/files.nix { inherit lib; };
  isIngest = cfg.settings.server.roles == null || lib.elem "ingest" cfg.settings.server.roles;
in
{
  options.services.chronik.sysctl.enable = lib.mkOption {
    type = lib.types.bool;
    default = true;
    description = "Whether the kernel gets the values of sysctl/. They outweigh NixOS's own defaults; a value of yours outweighs them.";
  };

  config = lib.mkIf (cfg.enable && cfg.sysctl.enable) {
    boot.kernel.sysctl = lib.mapAttrs (_: lib.mkOverride 900) (files.sysctlFor isIngest);
    # Asked for by name in sysctl/, and not loaded by it.
    boot.kernelModules = [
      "tcp_bbr"
      "sch_fq"
    ];
  };
}
