#!/usr/bin/env python3
"""Several nodes on this machine, as `make cluster` starts them, and what an operator does with them.

Goal: a cluster comes up with one command and TLS between its nodes, keeps acknowledged records when a node is killed, says at
each step how it is, and every command that needs more than one node does what it says. Method: tools/cluster on free ports, the
real programs, chronik-ctl; clients by tests/protocol.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import CHRONIK_CTL, CHRONIKD, ROOT

import records
from kafka import ERR, Client

LIMIT_S = 40                    # for what takes a second or two alone


def free_shift():
    """A number that can be added to every port of tools/cluster."""
    for _ in range(200):
        shift = random.randrange(1000, 22000)       # below the ports that the kernel gives to clients
        ports = [base + 100 * i + shift for base in (9092, 9093, 9644) for i in range(6)]
        try:
            for port in ports:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return shift
    raise AssertionError("no free ports")


class ClusterCase(unittest.TestCase):
    """One cluster for all tests of a class."""

    SPLIT = False
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="chronik-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.dir = cls.folder / "c"
        cls.shift = free_shift()
        cls.admins = {i: f"127.0.0.1:{9644 + 100 * (i - 1) + cls.shift}" for i in range(1, 7 if cls.SPLIT else 4)}
        cls.addClassCleanup(cls.cluster, "stop")
        done = cls.cluster("start", "--shift", cls.shift, *(["--split"] if cls.SPLIT else []))
        assert done.returncode == 0, done.stderr
        cls.said = done.stdout

    @classmethod
    def cluster(cls, *args, timeout=120):
        return subprocess.run([ROOT / "tools/cluster", *map(str, args), "--dir", cls.dir], cwd=cls.folder, timeout=timeout,
                              env={**os.environ, "CHRONIKD": str(CHRONIKD), "CHRONIK_CTL": str(CHRONIK_CTL)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def ctl(self, *args, node=1):
        return subprocess.run([CHRONIK_CTL, "--server", self.admins[node], *map(str, args)], capture_output=True, text=True,
                              timeout=LIMIT_S + 20)

    def good(self, *args, node=1):
        done = self.ctl(*args, node=node)
        self.assertEqual((done.returncode, done.stderr), (0, ""), args)
        return done.stdout

    def bad(self, status, *args, says=(), node=1):
        done = self.ctl(*args, node=node)
        self.assertEqual(done.returncode, status, f"{args}: {done.stdout}{done.stderr}")
        for words in says:
            self.assertIn(words, done.stderr)

    def json(self, *args, node=1):
        return json.loads(self.good(*args, "--json", node=node))

    def eventually(self, what, *args):
        """what() without an assertion or a time-out of a connection, soon."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                return what(*args)
            except (AssertionError, OSError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def healthy(self, node=1):
        info = self.json("cluster", "info", node=node)
        self.assertEqual((info["health"], info["reasons"]), ("ok", []))
        return info

    def kill(self, node):
        os.kill(int((self.dir / f"node{node}.pid").read_text()), 9)

    # ---- clients ----

    def leader(self, topic, partition):
        partition = self.json("topic", "get", topic, node=self.asked)["partition_list"][partition]
        self.assertGreaterEqual(partition["leader"], 0)
        return partition["leader"]

    asked = 1                   # the node whose chronik-ctl is asked

    def client(self, node):
        client = Client("127.0.0.1", 9092 + 100 * (node - (4 if self.SPLIT else 1)) + self.shift)
        self.addCleanup(client.close)
        return client

    def produce(self, topic, partition, value):
        """acks=all to the leader."""
        answer = self.client(self.leader(topic, partition)).call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
            {"name": topic, "partition_data": [{"index": partition, "records": records.batch([value])}]}])
        code = answer["responses"][0]["partition_responses"][0]["error_code"]
        self.assertEqual(ERR(code).name if code else "NONE", "NONE")

    def values(self, topic, partition):
        answer = self.client(self.leader(topic, partition)).call("Fetch", 12, max_wait_ms=500, min_bytes=1, topics=[
            {"topic": topic, "partitions": [{"partition": partition, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])
        partition = answer["responses"][0]["partitions"][0]
        self.assertEqual(partition["error_code"], 0)
        return records.values(partition["records"])


class Combined(ClusterCase):
    def setUp(self):
        self.eventually(self.healthy)

    def test_start(self):
        """It says where it is and what to try; starting again leaves it alone; status shows it."""
        servers = ",".join(f"127.0.0.1:{9092 + 100 * i + self.shift}" for i in range(3))
        self.assertIn(f"3 nodes run (3 started)\nbootstrap servers   {servers}\n", self.said)
        again = self.cluster("start")
        self.assertEqual((again.returncode, again.stderr), (0, ""))
        self.assertTrue(again.stdout.startswith("the cluster runs already\nbootstrap servers   " + servers), again.stdout)
        status = self.cluster("status")
        self.assertEqual(status.returncode, 0)
        self.assertEqual(status.stdout.count(" runs, process "), 3)
        self.assertIn("health       ok\n", status.stdout)
        refused = self.cluster("start", "--shift", self.shift + 1)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"shifted by {self.shift}", refused.stderr)
        self.assertEqual(self.cluster("wipe").returncode, 1)

    def test_port_taken(self):
        """Another cluster on the same ports is told which port, and nothing of it is begun."""
        other = self.folder / "other"
        done = subprocess.run([ROOT / "tools/cluster", "start", "--dir", other, "--shift", str(self.shift)], timeout=60,
                              env={**os.environ, "CHRONIKD": str(CHRONIKD), "CHRONIK_CTL": str(CHRONIK_CTL)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"port {9092 + self.shift} (kafka of node 1) is taken", done.stderr)
        self.assertFalse(other.exists())

    def test_every_node_tells_the_same(self):
        infos = [self.json("cluster", "info", node=node) for node in (1, 2, 3)]
        self.assertEqual(len({i["cluster_id"] for i in infos}), 1)
        self.assertEqual(len({i["controller"] for i in infos}), 1)
        for info in infos:
            self.assertEqual([(n["id"], n["roles"], n["state"]) for n in info["nodes"]],
                             [(i, ["controller", "ingest"], "active") for i in (1, 2, 3)])
            self.assertEqual((info["quorum"]["voters"], info["quorum"]["voters_heard"]), (3, 3))
            for node in info["nodes"]:          # each says it of itself
                self.assertGreater(node["disk_size_bytes"], 0)
                self.assertEqual((node["partitions_read_only"], node["damaged_ranges"]), (0, 0))
        self.assertEqual([c["kind"] for c in self.json("controller", "list")["controllers"]], ["voter"] * 3)

    def test_a_node_is_killed(self):
        """Acknowledged records stay and writing goes on without one node; the guard keeps the second; the node comes back."""
        self.good("topic", "create", "kept", "--partitions", 3)
        for partition in range(3):
            self.produce("kept", partition, b"before")
        self.assertIn("node 2 may stop", self.eventually(self.good, "node", "may-stop", 2))
        self.kill(3)
        self.bad_soon()
        for partition in range(3):
            self.eventually(self.produce, "kept", partition, b"after")
        info = self.json("cluster", "info")
        self.assertEqual((info["health"], info["partitions_under_replicated"]), ("degraded", 3))
        self.assertTrue([r for r in info["reasons"] if "node 3 is fenced" in r], info["reasons"])
        self.assertTrue([r for r in info["reasons"] if "no controller more may fail" in r], info["reasons"])
        self.assertEqual([n["state"] for n in info["nodes"]], ["active", "active", "fenced"])
        status, metrics = self.http("/metrics")
        self.assertIn("chronik_cluster_partitions_under_replicated 3\n", metrics)
        self.assertIn('chronik_cluster_brokers{state="fenced"} 1\n', metrics)
        for name in ("fetched_bytes_total", "fetches_total"):
            self.assertRegex(metrics, rf"(?m)^chronik_replication_{name} [1-9]")
        self.assertRegex(metrics, r'(?m)^chronik_peer_up\{node="2",lane="data"\} 1$')
        self.assertRegex(metrics, r"(?m)^chronik_isr_shrinks_total [1-9]")
        self.bad(5, "node", "may-stop", 2, says=("majority", "acks=all", "kept-"))
        self.bad(1, "cluster", "disruption", "acquire", "--node", 2, "--reason", "x", says=("must not stop now",))
        self.good("node", "may-stop", 3)
        self.assertRegex(self.good("node", "get", 3), r"(?m)^link         from node 1: down\n +last error, .+ ago: .+$")
        self.assertIn("link         from node 1: up\n", self.good("node", "get", 2))
        self.assertEqual(self.cluster("start").stdout.splitlines()[0], "3 nodes run (1 started)")
        self.eventually(self.healthy)
        for partition in range(3):
            self.assertEqual([v for v in self.values("kept", partition) if v == b"before"], [b"before"])
            self.assertIn(b"after", self.values("kept", partition))

    def bad_soon(self):
        """The two that are left have noticed: nobody leads from the dead node any more."""
        def noticed():
            self.assertEqual({p["leader"] for p in self.json("topic", "get", "kept")["partition_list"]} & {3, -1}, set())
            self.assertEqual(self.json("node", "get", 3)["state"], "fenced")
            self.assertEqual(self.json("controller", "list")["voters_heard"], 2)
        self.eventually(noticed)

    def http(self, path, node=1):
        import urllib.request
        with urllib.request.urlopen(f"http://{self.admins[node]}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    def test_a_stop_says_what_is_missing(self):
        """A node that is stopped hands over, and names the partitions that have too few replicas without it."""
        self.eventually(self.healthy)
        self.good("topic", "create", "left", "--partitions", 3, "--replication-factor", 3)
        self.eventually(self.healthy)
        pid = int((self.dir / "node2.pid").read_text())
        before = (self.dir / "node2.log").read_text()
        os.kill(pid, 15)
        self.eventually(lambda: self.assertFalse(Path(f"/proc/{pid}").exists()))
        said = (self.dir / "node2.log").read_text()[len(before):]
        self.assertRegex(said, r"partitions without this node: \d+ with fewer replicas in sync than there should be \(.*left-")
        self.assertNotIn("without a leader", said)
        self.assertEqual(self.cluster("start").returncode, 0)
        self.eventually(self.healthy)
        self.good("topic", "delete", "left")

    def test_drain(self):
        """Drained, it leads nothing; undrained, it takes its part again when asked to."""
        self.good("topic", "create", "drained", "--partitions", 6)
        self.addCleanup(self.ctl, "node", "undrain", 2)
        self.assertEqual(self.good("node", "drain", 2, "--wait"), "node 2 is drained\n")
        self.assertEqual(self.json("node", "get", 2)["leaders"], 0)
        self.assertEqual(self.json("node", "get", 2, node=2)["state"], "drained")
        self.healthy()
        self.good("topic", "create", "elsewhere", "--partitions", 1, "--replication-factor", 2)
        self.assertEqual(set(self.json("topic", "get", "elsewhere")["partition_list"][0]["replicas"]), {1, 3})
        self.good("node", "undrain", 2)
        self.good("topic", "elect", "drained")
        self.assertGreaterEqual(self.json("node", "get", 2)["leaders"], 1)

    def test_reassign(self):
        """Replicas go where they are told, with the records; the list shows what is on its way, then nothing."""
        self.good("topic", "create", "moved", "--partitions", 1, "--replication-factor", 2)
        self.produce("moved", 0, b"here")
        before = self.json("topic", "get", "moved")["partition_list"][0]["replicas"]
        third = ({1, 2, 3} - set(before)).pop()
        text = self.good("topic", "reassign", "set", "moved", 0, "--replicas", f"{third},{before[1]}")
        self.assertEqual(text.splitlines()[1].split(), ["moved", "0", f"{before[0]},{before[1]}", f"{third},{before[1]}", "ok"])

        def there():
            partition = self.json("topic", "get", "moved")["partition_list"][0]
            self.assertEqual((partition["replicas"], sorted(partition["isr"]), partition["adding"], partition["removing"]),
                             ([third, before[1]], sorted([third, before[1]]), [], []))
        self.eventually(there)
        self.assertEqual(self.good("topic", "reassign", "list"), "nothing moves\n")
        self.good("topic", "elect", "moved")
        self.assertEqual(self.leader("moved", 0), third)
        self.assertEqual(self.values("moved", 0), [b"here"])

    def test_transfer(self):
        """Another one becomes the active controller, and everybody knows."""
        was = self.json("controller", "list")["leader"]
        to = was % 3 + 1
        self.assertEqual(self.good("controller", "transfer", to), f"node {to} is the active controller\n")
        for node in (1, 2, 3):
            self.eventually(lambda node=node: self.assertEqual(self.json("cluster", "info", node=node)["controller"], to))
        self.good("topic", "create", "after-transfer")

    def test_remove_and_add(self):
        """A controller is removed and added again; so few are degraded, one more is refused with the reason."""
        active = self.json("controller", "list")["leader"]
        other = active % 3 + 1
        self.assertIn("no controller any more", self.good("controller", "remove", other, node=active))
        listed = self.json("controller", "list", node=active)
        self.assertNotIn(other, [c["id"] for c in listed["controllers"]])
        self.assertEqual(listed["voters"], 2)
        self.bad(1, "controller", "remove", other, says=("no such member",), node=active)
        address = f"127.0.0.1:{9093 + 100 * (other - 1) + self.shift}"
        self.assertIn("is a controller", self.good("controller", "add", f"{other}@{address}", node=active))
        self.bad(1, "controller", "add", f"{other}@{address}", says=("is there",), node=active)
        self.bad(1, "controller", "add", f"9@127.0.0.1:{9093 + 500 + self.shift}", says=("does not answer",), node=active)
        self.assertEqual(self.json("controller", "list", node=active)["voters"], 3)

    def test_disruption(self):
        """One at a time: the second is told who has it. Any node shows it."""
        self.assertIn("node 3 may be taken down", self.good("cluster", "disruption", "acquire", "--node", 3, "--reason", "disk",
                                                            "--as", "alice"))
        self.eventually(lambda: self.assertIn("node 3 by alice: disk", self.good("cluster", "disruption", "show", node=2)))
        self.bad(1, "cluster", "disruption", "acquire", "--node", 2, "--reason", "x", "--as", "bob", says=("alice",), node=2)
        self.good("cluster", "disruption", "release", "--as", "alice", node=3)


class Majority(ClusterCase):
    def test_without_majority(self):
        """One of three alone says that it cannot change anything, and why; it still shows what it knows."""
        self.eventually(self.healthy)
        self.good("topic", "create", "known")
        self.kill(2)
        self.kill(3)

        def critical():
            info = self.json("cluster", "info")
            self.assertEqual(info["health"], "critical")
            self.assertIn("no active controller answers", info["reasons"][0])
            self.assertEqual(info["topics"], 1)
        self.eventually(critical)
        done = self.ctl("node", "list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no active controller answers", done.stderr)
        self.bad(1, "controller", "list", says=("No active controller",))
        self.bad(5, "node", "may-stop", 1, says=("No active controller",))
        self.bad(1, "node", "drain", 1)
        self.assertEqual(self.cluster("start").stdout.splitlines()[0], "3 nodes run (2 started)")
        self.eventually(self.healthy)


class Gate(ClusterCase):
    def test_gate(self):
        """`node health --wait`: passes where nothing is wrong; waits for others as long as it takes, and says so; gives up what does
        not answer."""
        self.eventually(self.healthy)
        self.assertIn("node 1 is ok", self.eventually(self.good, "node", "health"))
        self.good("topic", "create", "gate", "--partitions", 3, "--replication-factor", 3)
        for node in (2, 3):
            self.kill(node)
        self.eventually(self.bad, 1, "node", "health", ("node 1 is waiting: no active controller answers",))
        gate = subprocess.Popen([CHRONIK_CTL, "--server", self.admins[1], "node", "health", "--wait", "--timeout", "2s"],
                                stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(gate.kill)
        with self.assertRaises(subprocess.TimeoutExpired):
            gate.wait(6)
        self.bad(3, "node", "health", "--wait", "--timeout", "1s", node=2)
        self.assertEqual(self.cluster("start").returncode, 0)
        said, complained = gate.communicate(timeout=30)
        self.assertEqual((gate.returncode, said), (0, "node 1 is ok: in sync, and up with the controllers\n"), complained)
        self.assertLess(complained.count("node 1 is waiting"), 5, complained)

    def bad(self, status, *args, **more):
        if isinstance(args[-1], tuple):
            more["says"], args = args[-1], args[:-1]
        super().bad(status, *args, **more)


class Split(ClusterCase):
    SPLIT = True
    asked = 4

    def test_life(self):
        """Controllers and ingest nodes apart: roles, records, a stop of all, and a start with everything there."""
        self.assertIn("6 nodes run (6 started)", self.said)
        info = self.eventually(self.healthy)
        self.assertEqual([(n["id"], n["roles"]) for n in info["nodes"]],
                         [(i, ["controller"] if i < 4 else ["ingest"]) for i in range(1, 7)])
        self.good("topic", "create", "split", "--partitions", 2)        # asked of a controller
        self.eventually(self.produce, "split", 0, b"v")
        self.bad(1, "log", "verify", says=("controller only",))
        status, metrics = self.http("/metrics")
        self.assertIn("chronik_cluster_partitions 2\n", metrics)
        self.assertNotIn("chronik_leaders", metrics)
        self.assertIn('chronik_peer_up{node="2",lane="control"} 1', metrics)
        self.eventually(lambda: self.assertEqual({n.get("metadata", {}).get("lag") for n in self.json("node", "list")["nodes"]}, {0}))
        for node in (1, 4):
            self.assertIn(f"node {node} is ok", self.eventually(lambda node=node: self.good("node", "health", node=node)))
        self.groups()
        self.transactions()
        stopped = self.cluster("stop")
        self.assertEqual((stopped.returncode, stopped.stderr), (0, ""))
        self.assertEqual(self.cluster("status").returncode, 1)
        self.assertEqual(self.cluster("start").stdout.splitlines()[0], "6 nodes run (6 started)")
        self.eventually(self.healthy)
        self.assertEqual(self.eventually(self.values, "split", 0), [b"v"])
        self.decommission()

    http = Combined.http

    def decommission(self):
        """Refused while replicas have nowhere to go; then they go, with the records, and the node is known no more."""
        self.bad(1, "node", "decommission", 6, says=("left to hold them",))
        for topic in ("split", "__consumer_offsets", "__transaction_state"):
            self.good("topic", "reassign", "set", topic, "--replicas", "4,6")
        self.eventually(lambda: self.assertEqual(self.good("topic", "reassign", "list"), "nothing moves\n"))
        self.assertEqual(self.good("node", "decommission", 6, "--wait", "--timeout", "60s"),
                         "node 6 is decommissioned: nothing is left on it, and it may be switched off\n")
        partitions = self.json("topic", "get", "split", node=4)["partition_list"]
        self.assertEqual([sorted(p["replicas"]) for p in partitions], [[4, 5], [4, 5]])
        self.assertEqual(self.eventually(self.values, "split", 0), [b"v"])

    def groups(self):
        """Any node tells of all groups and of all topics' sizes, whoever coordinates and leads; a controller too."""
        for group in ("g1", "g2", "g3", "g4"):
            self.eventually(self.commit, group)
        for node in self.admins:
            def told(node=node):
                self.assertEqual(sorted(g["name"] for g in self.json("group", "list", node=node)["groups"]),
                                 ["g1", "g2", "g3", "g4"])
                for group in ("g1", "g2", "g3", "g4"):
                    offsets = self.json("group", "get", group, node=node)["offsets"]
                    self.assertEqual([(o["topic"], o["partition"], o["committed_offset"], o["end_offset"], o["lag"])
                                      for o in offsets], [("split", 0, 0, 1, 1), ("split", 1, 0, 0, 0)])
                topic = next(t for t in self.json("topic", "list", node=node)["topics"] if t["name"] == "split")
                self.assertEqual((topic["offsets"], topic["partitions_heard"]), (1, 2))
                self.assertGreater(topic["size_bytes"], 0)
                whole = self.json("topic", "get", "split", node=node)
                self.assertEqual([p["high_watermark"] for p in whole["partition_list"]], [1, 0])
                self.assertEqual(whole["offsets"], 1)
            self.eventually(told)
        self.bad(1, "group", "get", "nope", says=("no group 'nope'",), node=5)

    def transactions(self):
        """Any node, a controller too, tells of all transactions and has one aborted, whoever coordinates it."""
        ids = [f"t{i}" for i in range(6)]
        for name in ids:
            self.eventually(self.begin, name)
        for node, name in zip(self.admins, ids):
            self.assertEqual({t["id"]: t["state"] for t in self.json("txn", "list", node=node)["transactions"]}.get(name), "Ongoing")
            self.assertEqual(self.json("txn", "describe", name, node=node)["partitions"], [{"topic": "split", "partition": 1}])
            self.good("txn", "abort", name, node=node)
            self.eventually(lambda: self.assertEqual(self.json("txn", "describe", name)["state"], "CompleteAbort"))
            self.bad(1, "txn", "abort", name, says=("no transaction open",), node=node)
        self.bad(1, "txn", "abort", "nope", says=("no transactional id 'nope'",), node=1)

    def begin(self, name):
        """A transaction of this id that partition 1 takes part in."""
        found = self.client(4).call("FindCoordinator", 4, key_type=1, coordinator_keys=[name])["coordinators"][0]
        self.assertEqual(found["error_code"], 0)
        client = self.client(found["node_id"])
        got = client.call("InitProducerId", 5, transactional_id=name, transaction_timeout_ms=600000)
        self.assertEqual(got["error_code"], 0)
        answer = client.call("AddPartitionsToTxn", 3, v3_and_below_transactional_id=name, v3_and_below_producer_id=got["producer_id"],
                             v3_and_below_producer_epoch=got["producer_epoch"],
                             v3_and_below_topics=[{"name": "split", "partitions": [1]}])
        self.assertEqual(answer["results_by_topic_v3_and_below"][0]["results_by_partition"][0]["partition_error_code"], 0)

    def commit(self, group):
        """Offset 0 of both partitions, at the group's coordinator."""
        found = self.client(4).call("FindCoordinator", 2, key=group, key_type=0)
        self.assertEqual(found["error_code"], 0)
        answer = self.client(found["node_id"]).call("OffsetCommit", 7, group_id=group, generation_id_or_member_epoch=-1,
                                                    member_id="", topics=[{"name": "split", "partitions": [
                                                        {"partition_index": i, "committed_offset": 0} for i in (0, 1)]}])
        self.assertEqual([p["error_code"] for p in answer["topics"][0]["partitions"]], [0, 0])


if __name__ == "__main__":
    unittest.main()
