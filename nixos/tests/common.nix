# What all machines of the tests have: the modules, two empty disks, a client.
{ config, pkgs, ... }:
{
  imports = [ ../modules ];

  virtualisation.emptyDiskImages = [
    2048
    4096
  ];
  virtualisation.fileSystems = config.services.chronik.volumes.fileSystems;
  virtualisation.memorySize = 1024;
  environment.systemPackages = [ pkgs.kcat ];

  services.chronik = {
    enable = true;
    volumes = {
      enable = true;
      metadata.device = "/dev/vdb";
      data.device = "/dev/vdc";
    };
  };
}
