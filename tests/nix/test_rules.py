#!/usr/bin/env python3
"""Goal: a node is reached by whom its roles are for and reaches what it needs, by IPv4 and IPv6, and nothing else.
Method: nft reads the generated rules; packets through them between network namespaces, compared with a table that is written
here by hand and not made from the rules."""

import re
import unittest

import nix
from network import Network

WHO = {
    "client": ("10.30.1.1", "fd00:30::1"),
    "peer": ("10.20.1.2", "fd00:20::102"),
    "controller": ("10.20.0.12", "fd00:20::2"),
    "admin": ("10.40.0.9", "fd00:40::9"),
    "monitor": ("10.20.0.5", "fd00:20::5"),
    "vpn": ("10.99.255.1", None),
    "resolver": ("10.20.0.2", "fd00:20::53"),
    "clock": ("10.20.0.3", None),
    "bucket": ("198.51.100.7", "2001:db8:7::7"),
    "stranger": ("203.0.113.1", "2001:db8:ffff::1"),
}
TCP_IN = (22, 9092, 9093, 9100, 9644, 5555)
NODES = {"peer", "controller"}
IN = {
    "ingest-1": {
        ("tcp", 22): {"admin", "vpn"},
        ("tcp", 9092): {"client"},
        ("tcp", 9093): NODES,
        ("tcp", 9100): {"monitor"},
        ("tcp", 9644): {"admin", "vpn", "monitor"} | NODES,
        ("tcp", 5555): set(),
        ("udp", 51820): {"admin", "vpn"},
        ("udp", 5555): set(),
    },
}
# A controller serves no clients; else it is the same.
IN["controller-1"] = {**IN["ingest-1"], ("tcp", 9092): set()}
OUT = {
    "ingest-1": {
        ("tcp", 22): set(),
        ("tcp", 53): {"resolver"},
        ("udp", 53): {"resolver"},
        ("udp", 123): {"clock"},
        ("tcp", 443): {"bucket"},
        ("tcp", 4317): set(),
        ("tcp", 9092): set(),
        ("tcp", 9093): NODES,
        ("tcp", 9644): NODES,
        ("tcp", 19532): {"monitor"},
        ("tcp", 5555): set(),
        ("udp", 5555): set(),
    },
}
# Only those who keep records go to the object store.
OUT["controller-1"] = {**OUT["ingest-1"], ("tcp", 443): set()}
NODE = {"ingest-1": ("10.20.1.1", "fd00:20::101"), "controller-1": ("10.20.0.11", "fd00:20::1")}

# As pkgs.writeShellApplication has it.
SCRIPT = ("bash", "-euo", "pipefail", str(nix.ROOT / "nixos" / "scripts" / "refresh-egress.sh"))


def rules(name):
    return nix.table(nix.cluster("production")["machines"][name]["rules"])


@unittest.skipUnless(nix.can_make_namespaces(), "network namespaces take root, iproute2 and nftables")
class Rules(unittest.TestCase):
    def network(self, name):
        net = Network(*NODE[name], [a for both in WHO.values() for a in both if a])
        self.addCleanup(net.close)
        net.load(rules(name))
        return net

    def test_nft_accepts_each(self):
        """All example machines; and a mistake is found."""
        net = Network("10.0.0.1", "fd00::1", [])
        self.addCleanup(net.close)
        for cluster, machine, seen in nix.machines():
            with self.subTest(cluster=cluster, machine=machine):
                net.run("node", "nft", "-c", "-f", "-", input=nix.table(seen["rules"]))
        with self.assertRaises(AssertionError):
            net.run("node", "nft", "-c", "-f", "-", input=rules("ingest-1").replace("@peers4", "@peers5"))

    def compare(self, net, source, table, rows_of):
        rows, wanted, words = [], [], []
        for (protocol, port), allowed in table.items():
            for who, addresses in WHO.items():
                for kind, address in enumerate(addresses):
                    if address:
                        rows.append(rows_of(kind, address, protocol, port))
                        wanted.append(who in allowed)
                        words.append("%s %s %s %d" % (who, address, protocol, port))
        got = net.reached(source, rows)
        wrong = ["%s: %s" % (w, "reached" if g else "dropped") for w, g, x in zip(words, got, wanted) if g != x]
        self.assertEqual(wrong, [])
        return len(rows)

    def test_who_reaches_a_node(self):
        for name, table in IN.items():
            with self.subTest(name):
                net = self.network(name)
                net.serve("node", TCP_IN, (51820, 5555))
                count = self.compare(net, "world", table, lambda kind, a, proto, port: (a, NODE[name][kind], proto, port))
                self.assertGreater(count, 100)

    def test_what_a_node_reaches(self):
        """The object store by where its name leads, as the timer has it."""
        for name, table in OUT.items():
            with self.subTest(name):
                net = self.network(name)
                net.serve("world", sorted({p for proto, p in table if proto == "tcp"}), (53, 123, 5555))
                if name == "ingest-1":
                    for _ in range(2):
                        net.run("node", *SCRIPT, *("object-store=" + a for a in WHO["bucket"]))
                count = self.compare(net, "node", table, lambda kind, a, proto, port: (NODE[name][kind], a, proto, port))
                self.assertGreater(count, 150)

    def test_names_that_do_not_resolve_change_nothing(self):
        net = self.network("ingest-1")
        net.run("node", *SCRIPT, "object-store=" + WHO["bucket"][0])
        with self.assertRaises(AssertionError) as caught:
            net.run("node", *SCRIPT, "object-store=no-such-host.invalid", "object-store=" + WHO["bucket"][1])
        self.assertIn("no-such-host.invalid does not resolve", str(caught.exception))
        for kind, address in zip("46", WHO["bucket"]):
            self.assertIn(address, net.run("node", "nft", "list", "set", "inet", "chronik", "to_object_store_dns" + kind))

    def test_forwards_nothing(self):
        """A node is no router, even where its kernel would forward."""
        self.assertRegex(rules("ingest-1"), r"hook forward priority filter; policy drop;\n}")

    def test_large_packets(self):
        """A megabyte to a client behind a link of 1300 bytes; without the messages of path MTU it does not come."""
        net = self.network("ingest-1")
        net.serve("node", (9092,), ())
        for kind, client in enumerate(WHO["client"]):
            self.assertEqual(net.fetched("world", client, NODE["ingest-1"][kind], 9092), 1 << 20)
        deaf = re.sub(r"(?m)^ *icmp(v6)? type \{ destination-unreachable.*\n", "", rules("ingest-1")).replace("related : accept", "related : drop")
        net = self.network("ingest-1")
        net.load(deaf)
        net.serve("node", (9092,), ())
        for kind, client in enumerate(WHO["client"]):
            self.assertLess(net.fetched("world", client, NODE["ingest-1"][kind], 9092), 1 << 20)

    def test_neighbours(self):
        """Without neighbour discovery IPv6 reaches nobody: the rules let it through, and this test would see it."""
        net = self.network("ingest-1")
        net.load(re.sub(r"(?m)^ *icmpv6 type \{ nd-.*\n", "", rules("ingest-1")))
        net.serve("node", (9092,), ())
        rows = [(WHO["client"][kind], NODE["ingest-1"][kind], "tcp", 9092) for kind in (0, 1)]
        self.assertEqual(net.reached("world", rows), [True, False])
        net.load(rules("ingest-1"))
        self.assertEqual(net.reached("world", rows), [True, True])


if __name__ == "__main__":
    nix.main()
