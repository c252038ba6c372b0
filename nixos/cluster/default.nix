# mkCluster: one attribute set for a whole cluster, from which every machine's configuration follows.
#
#     chronik.lib.mkCluster { controllers = 3; ingestNodes = 10; ... }
#
# Of what comes out `nixosConfigurations` is for a flake, `nodes.NAME.module` for whoever builds systems in another way, and
# `inventory` for whoever rolls them out.
{
  lib,
  # The modules of nixos/modules.
  module,
  # Of nixpkgs; without it there are no nixosConfigurations.
  nixosSystem ? null,
}:
spec:
let
  cluster =
    (lib.evalModules {
      modules = [
        ./options.nix
        ./assertions.nix
        spec
      ];
    }).config;
  failed = map (a: "- ${a.message}") (lib.filter (a: !a.assertion) cluster.assertions);
  checked =
    value:
    if failed == [ ] then
      value
    else
      throw "mkCluster, ${cluster.name}:\n${lib.concatStringsSep "\n" failed}";

  nodes = import ./nodes.nix { inherit lib; } cluster;
  withModule =
    node:
    node
    // {
      module = {
        imports = [
          module
          (import ./node.nix {
            inherit
              lib
              cluster
              nodes
              node
              ;
          })
        ];
      };
    };

  monitor = cluster.monitoring.host;
  monitorMachine = {
    name = "monitor";
    # Behind all nodes.
    id = 100;
    hostName = "monitor.${cluster.name}.${cluster.domain}";
    inherit (monitor) address address6 modules;
    mac = null;
  };
  others = lib.optionalAttrs (monitor != null) {
    monitor = monitorMachine // {
      module = {
        imports = [
          module
          (import ./monitor.nix {
            inherit lib cluster nodes;
            machine = monitorMachine;
          })
        ];
      };
    };
  };

  machines = lib.listToAttrs (map (n: lib.nameValuePair n.name (withModule n)) nodes) // others;
in
checked {
  inherit (cluster) name warnings;
  nodes = machines;
  # What can be printed of each node: id, roles, addresses, rack, serial number.
  inventory = lib.listToAttrs (map (n: lib.nameValuePair n.name (removeAttrs n [ "modules" ])) nodes);
  nixosConfigurations =
    if nixosSystem == null then
      throw "mkCluster was not given nixosSystem of nixpkgs"
    else
      lib.mapAttrs (_: m: nixosSystem { modules = [ m.module ]; }) machines;
}
