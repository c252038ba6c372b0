#!/usr/bin/env python3
"""What operators do wrong to a cluster: the node that is wrong is told why, and the others go on.

Method: three nodes with both roles on ports of the loopback. Each test does one thing wrong, waits for the words that must be said
about it, in the output of one of the nodes that are named, and sees that the rest takes records and keeps all that it had.
"""

import os
import re
import shutil
import subprocess
import time
import unittest

from cluster import Cluster, ClusterError, Node
from hosts import ADMIN, PEER, ROOT
from route import Again, judge

import records
from kafka import ERR, Client
from scram import upsertion

TOPIC = "records"
WORDS_LIMIT_S = 30
CLOCK_AHEAD_S = 600


class Refusals(unittest.TestCase):
    LAYERS = ()
    SETTINGS = ()
    PROGRAM = None

    def setUp(self):
        self.cluster = self.one("ours")
        self.cluster.start()
        self.cluster.create(TOPIC, 1)
        self.cluster.wait_healthy()
        self.taken = []
        self.take(b"before")

    def one(self, name):
        cluster = Cluster("3", layers=self.LAYERS, settings=self.SETTINGS, program=self.PROGRAM)
        self.addCleanup(cluster.close)
        return cluster

    # -- what the cluster does --

    def take(self, value, limit_s=30):
        """The cluster takes a record."""
        route = self.cluster.route()

        def ask():
            answer = route.ask_leader(TOPIC, 0, "Produce", 9, lambda _epoch: dict(acks=-1, timeout_ms=2000, topic_data=[
                {"name": TOPIC, "partition_data": [{"index": 0, "records": records.batch([value])}]}]))
            route.judge_leader(TOPIC, 0, answer["responses"][0]["partition_responses"][0]["error_code"], "Produce")
        try:
            route.until(f"{value} is taken", limit_s, ask)
        finally:
            route.close()
        self.taken.append(value)

    def not_taken(self, for_s=4):
        """There is no majority: nothing is taken."""
        with self.assertRaises(TimeoutError):
            self.take(b"nobody may take this", for_s)

    def kept(self):
        """All that was taken is there, in order. What came twice was sent twice."""
        route = self.cluster.route()
        try:
            found, end = [], route.until("the end", 30, route.list_offset, TOPIC, 0, -1)
            while len(found) < end:
                row = route.until("records", 30, route.fetch, TOPIC, 0, len(found), 200)
                judge(row["error_code"], "Fetch")
                found += records.values(row["records"])
        finally:
            route.close()
        rest = iter(found)
        self.assertTrue(all(value in rest for value in self.taken), f"{self.taken} of {found}")

    def said(self, words, *nodes, marks=None, limit_s=WORDS_LIMIT_S):
        """One of @nodes writes a line that fits @words, after its mark."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for node in nodes:
                for line in node.text()[(marks or {}).get(node, 0):].splitlines():
                    if re.search(words, line):
                        return line
            time.sleep(0.1)
        texts = "\n".join(f"{n}: {n.text()[-1500:]}" for n in nodes)
        self.fail(f"nobody said {words!r} in {limit_s} s:\n{texts}")

    def marks(self):
        return {n: len(n.text()) for n in self.cluster.nodes.values()}

    def stranger(self, number, folder=None, **settings):
        """One more process that wants to be node @number, on ports of its own. Not started; ended with the test."""
        extra = Cluster("3", layers=self.LAYERS, settings=self.SETTINGS, program=self.PROGRAM)
        self.addCleanup(extra.close)
        place = extra.nodes[3]
        command = self.cluster.command(number, "controller,ingest", server_kafka=extra.hosts.address(3, 9092),
                                       server_admin=extra.hosts.address(3, 9644), cluster_listen=extra.hosts.address(3, 9093),
                                       **settings)
        command[command.index("--data-dir") + 1] = str(folder or extra.folder / "stranger")
        node = Node(number, "controller,ingest", command, extra.folder / "stranger", place.env)
        self.addCleanup(node.end)
        return node

    def begin(self, node):
        node.begin()
        return node

    def not_served(self, node):
        """It does not become part of the cluster: it has ended with 1, or is not ready."""
        time.sleep(1)
        try:
            self.assertFalse(node.ready(), "it is ready")
        except ClusterError:
            self.assertEqual(node.process.returncode, 1, node.tail())
            node.expected_dead = True


class Folders(Refusals):
    def test_another_cluster(self):
        """The data of a node of another cluster."""
        other = self.one("other")
        other.start()
        other.create(TOPIC, 1)
        other.wait_healthy()
        other.stop()
        node = self.cluster.nodes[3]
        node.stop()
        shutil.rmtree(node.folder / "data")
        shutil.copytree(other.nodes[3].folder / "data", node.folder / "data")
        marks = self.marks()
        self.begin(node)
        self.said(r"cluster \S+ and .*cluster \S+", node, marks=marks)
        self.take(b"after")
        self.not_served(node)
        self.kept()

    def test_copied_folder(self):
        """The folder of node 2, copied, is started as node 3 and as node 2 beside it."""
        two, three = self.cluster.nodes[2], self.cluster.nodes[3]
        two.stop()
        three.stop()
        shutil.copytree(two.folder / "data", self.cluster.folder / "copy")
        two.start()
        as_three = self.begin(self.stranger(3, self.cluster.folder / "copy"))
        self.said(r"belongs to node 2, this is node 3", as_three)
        self.not_served(as_three)
        marks, as_two = self.marks(), self.begin(self.stranger(2, self.cluster.folder / "copy"))
        self.said(r"two nodes have the id 2", self.cluster.nodes[1], marks=marks)
        self.said(r"two nodes have the id 2", as_two)
        self.take(b"after")
        as_two.end()
        three.start()
        self.cluster.wait_healthy()
        self.take(b"and again")
        self.kept()

    def test_node_id_twice(self):
        """An empty folder under the number of a node that is there."""
        marks, node = self.marks(), self.begin(self.stranger(2))
        self.said(r"two nodes have the id 2", node, marks=marks)
        self.take(b"after")
        self.cluster.wait_healthy()
        self.not_served(node)
        self.kept()

    def test_wiped(self):
        """A controller whose disk is empty does not vote, and is told what to do."""
        node = self.cluster.nodes[3]
        node.stop()
        shutil.rmtree(node.folder / "data")
        marks = self.marks()
        self.begin(node)
        line = self.said(r"wiped or replaced|metadata folder is empty", node, marks=marks)
        self.assertRegex(line, r"[Rr]emove voter 3")
        self.take(b"after")
        self.kept()

    def test_two_wiped(self):
        """Two of three disks are empty: they do not elect each other behind the back of the third, whose records stay."""
        for node in self.cluster.nodes.values():
            node.stop()
        for number in (1, 2):
            shutil.rmtree(self.cluster.nodes[number].folder / "data")
        marks = self.marks()
        for node in self.cluster.nodes.values():
            node.begin()
        self.said(r"wiped or replaced|metadata folder is empty", self.cluster.nodes[1], self.cluster.nodes[2], marks=marks)
        self.not_taken()
        for node in self.cluster.nodes.values():
            node.end()


class Removal(Refusals):
    def ctl(self, *args):
        subprocess.run([self.cluster.ctl, "--server", self.cluster.hosts.address(1, ADMIN), *args],
                       check=True, stdout=subprocess.DEVNULL)

    def test_removed_controller(self):
        """A node that is removed as a controller, and goes on with that role, is told; added again, it is as before."""
        node, marks = self.cluster.nodes[3], self.marks()
        self.ctl("controller", "remove", "3")
        self.said(r"none of the controllers any more: start it without the role controller", node, marks=marks)
        self.take(b"without it")
        self.ctl("controller", "add", f"3@{self.cluster.hosts.address(3, PEER)}")
        self.said(r"one of the controllers again", node, marks=marks)
        self.cluster.wait_healthy()
        self.take(b"with it")
        self.kept()


class Upgrade(Refusals):
    """Another program, node by node, and then its level (KIP-584)."""

    NEXT = os.environ.get("CHRONIKD_NEXT", str(ROOT / "build/tests/fault/chronikd-next"))

    def change(self, node, program):
        """The node goes on with another program."""
        node.stop()
        node.command[0] = program
        node.start()
        self.cluster.wait_healthy()

    def raise_level(self, level, kind=1, validate_only=False):
        """Return: the answer's error and text."""
        with Client(*self.cluster.kafka(1)) as client:
            answer = client.call("UpdateFeatures", 1, timeout_ms=5000, validate_only=validate_only, feature_updates=[
                {"feature": "chronik.version", "max_version_level": level, "upgrade_type": kind}])
        row = answer["results"][0] if answer["results"] else answer
        return ERR(row["error_code"]), row["error_message"]

    def levels(self):
        """What each node says is finalised."""
        found = []
        for number in self.cluster.nodes:
            with Client(*self.cluster.kafka(number)) as client:
                answer = client.call("ApiVersions", 3, client_software_name="test", client_software_version="1")
            found += [f["max_version_level"] for f in answer["finalized_features"] if f["name"] == "chronik.version"]
        return found

    def test_rolling_upgrade(self):
        old = self.cluster.nodes[1].command[0]
        self.assertEqual(self.levels(), [2, 2, 2])
        for number, node in self.cluster.nodes.items():
            error, text = self.raise_level(3)
            self.assertEqual(error, ERR.INVALID_UPDATE_VERSION)
            self.assertRegex(text, r"can have level 1 to 2, not 3|\d cannot do chronik.version at level 3")
            self.change(node, self.NEXT)
            self.take(b"with %d" % number)
        self.assertEqual(self.raise_level(3), (ERR.NONE, None))
        self.take(b"at the new level")
        self.assertEqual(self.levels(), [3, 3, 3])

        node = self.cluster.nodes[3]                            # an older program comes back
        node.stop()
        deadline = time.monotonic() + WORDS_LIMIT_S
        while (answer := self.raise_level(2, kind=2, validate_only=True))[0] == ERR.NONE:    # its connections' end is noticed soon
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(answer[0], ERR.INVALID_UPDATE_VERSION)
        self.assertIn("Controller 3 is not there", answer[1])
        node.command[0] = old
        marks = self.marks()
        self.begin(node)
        self.said(r"works with chronik.version at level 3, and this program can do 1 to 2", node, marks=marks)
        self.assertEqual(node.process.wait(10), 1)
        self.take(b"without it")
        node.command[0] = self.NEXT
        node.start()
        self.cluster.wait_healthy()
        self.assertEqual(self.raise_level(2, kind=2), (ERR.NONE, None))
        self.assertEqual(self.levels(), [2, 2, 2])
        self.kept()


class Level(Upgrade):
    """Records that an older program cannot read wait for the level with which they came."""

    SETTINGS = ("security.authorizer=standard", "security.super_users=User:ANONYMOUS")
    PROGRAM = os.environ.get("CHRONIKD_BEFORE", str(ROOT / "build/tests/fault/chronikd-before"))
    test_rolling_upgrade = None

    def secure(self):
        """A rule and a user are asked for: their errors and texts."""
        with Client(*self.cluster.kafka(1)) as client:
            rows = client.call("CreateAcls", 3, creations=[{
                "resource_type": 2, "resource_name": "t", "resource_pattern_type": 3, "principal": "User:a", "host": "*", "operation": 3,
                "permission_type": 3}])["results"]
            rows += client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("a", "secret", "SCRAM-SHA-256")])["results"]
        return [(ERR(row["error_code"]), row["error_message"]) for row in rows]

    def test_security_waits_for_its_level(self):
        """Refused with the feature that is to be raised, also by the new program, until it is; till then the older one can come back."""
        now = os.environ.get("CHRONIKD", str(ROOT / "build/chronikd"))

        def refused():
            for error, text in self.secure():
                self.assertEqual(error, ERR.UNSUPPORTED_VERSION)
                self.assertIn("need the feature chronik.version at level 2, and it is at 1", text)
        refused()
        for node in self.cluster.nodes.values():
            self.change(node, now)
            refused()
        self.change(self.cluster.nodes[2], self.PROGRAM)
        self.assertEqual(self.raise_level(2)[0], ERR.INVALID_UPDATE_VERSION)
        self.change(self.cluster.nodes[2], now)
        self.assertEqual(self.raise_level(2), (ERR.NONE, None))
        self.assertEqual([error for error, _ in self.secure()], [ERR.NONE, ERR.NONE])
        error, text = self.raise_level(1, kind=2)
        self.assertEqual(error, ERR.INVALID_UPDATE_VERSION)
        self.assertIn("only an unsafe downgrade", text)
        self.kept()


class Clocks(Refusals):
    LAYERS = ("clock",)

    def test_minutes_apart(self):
        """A node whose clock is minutes ahead is not spoken with; set right, it is there again."""
        node = self.cluster.nodes[3]
        node.stop()
        self.cluster.clock(node, CLOCK_AHEAD_S)
        marks = self.marks()
        self.begin(node)
        self.said(r"the clock of node \d is \d+ s (ahead of|behind) that of node \d", *self.cluster.nodes.values(), marks=marks)
        self.take(b"after")
        self.cluster.clock(node, 0)
        self.cluster.wait_healthy()
        self.kept()


class Lists(unittest.TestCase):
    def test_lists_that_differ(self):
        """Three blank nodes, one with another list: no cluster is formed, and each side's list is named. With the same list it
        is."""
        cluster = Cluster("3")
        self.addCleanup(cluster.close)
        wrong = cluster.controllers().replace("3@127.0.0.1", "3@localhost")
        node = cluster.nodes[3]
        right = node.command
        node.command = cluster.command(3, node.roles, cluster_controllers=wrong)
        for n in cluster.nodes.values():
            n.begin()
        deadline = time.monotonic() + WORDS_LIMIT_S
        while "another list of controllers" not in "".join(n.text() for n in cluster.nodes.values()):
            self.assertLess(time.monotonic(), deadline, "".join(n.text() for n in cluster.nodes.values()))
            time.sleep(0.1)
        route = cluster.route()
        self.addCleanup(route.close)
        with self.assertRaises(Again):
            judge(route.ask_any("CreateTopics", 7, timeout_ms=1000, topics=[
                {"name": TOPIC, "num_partitions": 1, "replication_factor": 1}])["topics"][0]["error_code"], "CreateTopics")
        node.end()
        node.command = right
        node.start()
        cluster.create(TOPIC, 1)
        cluster.wait_healthy()
        cluster.stop()


if __name__ == "__main__":
    unittest.main()
