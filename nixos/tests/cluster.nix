# Goal: what mkCluster makes of three machines is a cluster that serves while each of them is taken down, and whose drain guard keeps a
# second one from going.
{ lib, ... }:
let
  cluster =
    import ../cluster
      {
        inherit lib;
        module = ./common.nix;
      }
      {
        name = "trial";
        controllers = 3;
        ingestNodes = 0;
        security = {
          tls.enabled = false;
          authentication.enabled = false;
        };
        monitoring.prometheus = false;
        network = {
          firstController = "192.168.1.1";
          prefixLength = 24;
          clients = [ "192.168.1.0/24" ];
          admin = [ "192.168.1.0/24" ];
        };
        sshKeys = [
          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcF5xPuXHxwvkPjuP6kWU0zDhXJQDqgQrJr7L2hQ0Hk test"
        ];
      };
  machine =
    name: n:
    { lib, ... }:
    {
      imports = [ n.module ];
      # The test driver gives addresses in the order of names, the same ones.
      systemd.network.networks = lib.mkForce { };
      networking.useNetworkd = lib.mkForce false;
      systemd.network.enable = lib.mkForce false;
      services.chronik.volumes = {
        metadata.device = lib.mkForce "/dev/vdb";
        data.device = lib.mkForce "/dev/vdc";
        data.size.min = lib.mkForce "1G";
      };
      networking.hostName = lib.mkForce (lib.replaceStrings [ "-" ] [ "" ] name);
    };
in
{
  name = "chronik-cluster";
  nodes = lib.mapAttrs' (
    name: n: lib.nameValuePair (lib.replaceStrings [ "-" ] [ "" ] name) (machine name n)
  ) cluster.nodes;

  testScript = ''
    names = ["controller1", "controller2", "controller3"]
    nodes = {name: next(m for m in machines if m.name == name) for name in names}
    broker = ",".join(f"{m}-{n}.trial.internal:9092" for m, n in (("controller", 1), ("controller", 2), ("controller", 3)))

    def produce(machine, text):
        machine.succeed(f"echo {text} | kcat -b {broker} -P -t orders -X acks=all")

    def healthy(machine):
        machine.wait_until_succeeds("chronik-ctl cluster info | grep -qw ok")

    start_all()
    for machine in nodes.values():
        machine.wait_for_unit("chronikd.service")
    first = nodes["controller1"]
    healthy(first)
    first.succeed("chronik-ctl topic create orders --partitions 3 --replication-factor 3")

    with subtest("one after the other is taken down, and nothing is refused"):
        for name, machine in nodes.items():
            machine.succeed("systemctl stop chronikd")
            others = [m for m in nodes.values() if m is not machine]
            produce(others[0], name)
            other = 1 + names.index(next(n for n in names if nodes[n] is others[1]))
            others[1].fail(f"chronik-ctl node may-stop {other}")
            machine.succeed("systemctl start chronikd")
            healthy(machine)

    with subtest("all lose power, and come back by themselves"):
        for machine in nodes.values():
            machine.crash()
        start_all()
        for machine in nodes.values():
            machine.wait_for_unit("chronikd.service")
        healthy(first)
        assert sorted(first.succeed(f"kcat -b {broker} -C -t orders -e -q").split()) == names
  '';
}
