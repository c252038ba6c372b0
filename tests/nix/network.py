"""Three network namespaces in a row: a node, a router, and the world with everybody else's addresses.

    node --- router --- world

The link from the router to the world takes smaller packets than the one to the node, so that large ones need path MTU discovery.
"""

import json
import subprocess
import sys
from pathlib import Path

PROBE = Path(__file__).resolve().parent / "probe.py"
WORLD_MTU = 1300


class Network:
    def __init__(self, node4, node6, world):
        """@world: addresses of both kinds that everybody else has."""
        self.processes, self.holders = [], {}
        for name in ("node", "router", "world"):
            holder = subprocess.Popen(["unshare", "--net", "--", "sh", "-c", "echo here; exec sleep 600"], stdout=subprocess.PIPE, text=True)
            holder.stdout.readline()
            self.holders[name] = holder
        self.link("node", "router", 1500)
        self.link("world", "router", WORLD_MTU)
        self.run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for peer in ("node", "world"):
            self.run("router", "ip", "addr", "add", "169.254.0.1/32", "dev", "to-" + peer)
            self.run("router", "ip", "addr", "add", "fe80::1/64", "dev", "to-" + peer, "nodad")
        for address in (node4, node6):
            self.address("node", address)
        for address in world:
            self.address("world", address)

    def link(self, name, router, mtu):
        # The other end does not know of the smaller packets: what it tells when a connection begins is no help.
        self.run(router, "ip", "link", "add", "to-" + name, "mtu", str(mtu), "type", "veth", "peer", "name", "eth0", "mtu", "1500",
                 "netns", str(self.holders[name].pid))
        self.run(router, "ip", "link", "set", "to-" + name, "up")
        for interface in ("lo", "eth0"):
            self.run(name, "ip", "link", "set", interface, "up")
        self.run(name, "ip", "-4", "route", "add", "default", "via", "169.254.0.1", "dev", "eth0", "onlink")
        self.run(name, "ip", "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0")

    def address(self, name, address):
        length = "/128" if ":" in address else "/32"
        # Of IPv6 without looking whether somebody else has it, which takes a second.
        extra = ["nodad"] if ":" in address else []
        self.run(name, "ip", "addr", "add", address + length, "dev", "eth0", *extra)
        self.run("router", "ip", "route", "add", address + length, "dev", "to-" + name)

    def command(self, name, *command):
        return ["nsenter", "--target", str(self.holders[name].pid), "--net", "--", *command]

    def run(self, name, *command, **options):
        done = subprocess.run(self.command(name, *command), capture_output=True, text=True, timeout=120, **options)
        if done.returncode:
            raise AssertionError("%s: %s: %s" % (name, " ".join(command), done.stderr))
        return done.stdout

    def load(self, text):
        """The node's rules, in place of those it had."""
        self.run("node", "nft", "flush", "ruleset")
        self.run("node", "nft", "-f", "-", input=text)

    def serve(self, name, tcp, udp):
        command = self.command(name, sys.executable, str(PROBE), "serve", ",".join(map(str, tcp)), ",".join(map(str, udp)))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        if process.stdout.readline() != "ready\n":
            raise AssertionError("no server in " + name)

    def reached(self, name, rows):
        """Of rows (source, address, protocol, port), which get an answer."""
        return json.loads(self.run(name, sys.executable, str(PROBE), "try", input=json.dumps(rows)))

    def fetched(self, name, source, address, port):
        return int(self.run(name, sys.executable, str(PROBE), "fetch", source, address, str(port)))

    def close(self):
        for process in [*self.processes, *self.holders.values()]:
            process.kill()
            process.wait()
            process.stdout.close()
