# The monitoring host of a cluster as a module of NixOS.
{
  lib,
  cluster,
  nodes,
  machine,
}:
{
  imports = [
    (import ./machine.nix {
      inherit
        lib
        cluster
        nodes
        machine
        ;
    })
  ]
  ++ cluster.modules
  ++ machine.modules;

  services.chronik = {
    monitoring = {
      enable = true;
      nodes = map (n: n.hostName) nodes;
      tls = cluster.security.tls.enabled;
    };
    journal.receive.enable = true;
  };
}
