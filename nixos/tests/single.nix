# Goal: a bare machine becomes a node: volumes are made once, settings are in force, records outlive a reboot and a power cut, a disk
# with anything on it is not touched, and the firewall does not cut the node off from itself.
{
  name = "chronik-single";

  nodes.machine = {
    imports = [ ./common.nix ];
    services.chronik = {
      settings.server.kafka = "0.0.0.0:9092";
      firewall = {
        enable = true;
        # The test driver's own network stays as it is.
        networks.clients = [ "192.168.1.0/24" ];
      };
      watchdog.enable = true;
    };
    virtualisation.emptyDiskImages = [ 512 ];
  };

  testScript = ''
    def produce(text):
        machine.succeed(f"echo {text} | kcat -b 127.0.0.1:9092 -P -t orders -X acks=all")

    def consumed():
        return machine.succeed("kcat -b 127.0.0.1:9092 -C -t orders -e -q").split()

    machine.wait_for_unit("chronikd.service")
    machine.wait_until_succeeds("curl -sf http://127.0.0.1:9644/readyz")

    with subtest("volumes are where they belong"):
        for path, label in (("/var/lib/chronik", "chronik-meta"), ("/data", "chronik-data")):
            machine.succeed(f"mountpoint {path}")
            machine.succeed(f"test $(findmnt -no LABEL {path}) = {label}")
        machine.succeed("test $(stat -c %U /var/lib/chronik /data/log | sort -u) = chronik")

    with subtest("settings of the kernel are in force"):
        machine.succeed("test $(cat /sys/kernel/mm/transparent_hugepage/enabled | grep -o '\\[.*\\]') = '[madvise]'")
        for line in machine.succeed("cat /etc/sysctl.d/60-nixos.conf").splitlines():
            name, value = line.split("=", 1)
            if name.startswith(("net.core", "net.ipv4", "vm.", "fs.")):
                machine.succeed(f"test \"$(sysctl -n {name} | tr '\\t' ' ')\" = '{value}'")

    with subtest("records outlive a reboot and a power cut"):
        produce("one")
        machine.shutdown()
        machine.start()
        machine.wait_until_succeeds("curl -sf http://127.0.0.1:9644/readyz")
        produce("two")
        machine.crash()
        machine.start()
        machine.wait_until_succeeds("curl -sf http://127.0.0.1:9644/readyz")
        assert consumed() == ["one", "two"], consumed()

    with subtest("systemctl does what one expects"):
        machine.succeed("systemctl reload-or-restart chronikd", "systemctl stop chronikd")
        machine.succeed("! systemctl is-active chronikd")
        machine.succeed("systemctl start chronikd")
        machine.wait_until_succeeds("curl -sf http://127.0.0.1:9644/readyz")

    with subtest("a disk with something on it is refused, and unchanged"):
        machine.succeed("mkfs.ext4 -q -L photos /dev/vdd")
        before = machine.succeed("sha256sum /dev/vdd")
        machine.succeed("systemctl stop chronikd")
        program = machine.succeed("systemctl show -P ExecStart chronik-volume-data | grep -o '/nix/store/[^ ;]*' | head -1").strip()
        machine.fail(f"{program} /dev/vdd xfs chronik-data")
        assert machine.succeed("sha256sum /dev/vdd") == before
  '';
}
