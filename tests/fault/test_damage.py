#!/usr/bin/env python3
"""Rot on the disk of one node of three: it is found, fetched from another node and written again, and nobody misses a record.

Method: real nodes on the loopback; bytes in the middle of a sealed segment are changed while its node is stopped; a check of the log
(chronik-ctl log verify) finds them.
"""

import json
import os
import subprocess
import time
import unittest

from cluster import Cluster
from hosts import ADMIN
from route import judge

import records

TOPIC, BATCHES, VALUE_BYTES, LIMIT_S = "records", 60, 60000, 40


class Damage(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("3")
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.cluster.create(TOPIC, 1, segment_bytes=1 << 20)
        self.cluster.wait_healthy()
        self.values = [b"%d:" % i + os.urandom(VALUE_BYTES) for i in range(BATCHES)]
        for value in self.values:
            self.take(value)

    def take(self, value):
        route = self.cluster.route(timeout_s=5)

        def ask():
            answer = route.ask_leader(TOPIC, 0, "Produce", 9, lambda _epoch: dict(acks=-1, timeout_ms=2000, topic_data=[
                {"name": TOPIC, "partition_data": [{"index": 0, "records": records.batch([value])}]}]))
            route.judge_leader(TOPIC, 0, answer["responses"][0]["partition_responses"][0]["error_code"], "Produce")
        try:
            route.until("a record is taken", LIMIT_S, ask)
        finally:
            route.close()

    def ctl(self, node, *args):
        command = [self.cluster.ctl, "--server", self.cluster.hosts.address(node.number, ADMIN), "--json"]
        done = subprocess.run([*command, *args], capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    def leader(self):
        deadline = time.monotonic() + LIMIT_S
        while not (node := self.cluster.leader(TOPIC, 0)):
            self.assertLess(time.monotonic(), deadline, "nobody leads")
        return node

    def segment(self, node, subscript=0):
        return sorted((node.folder / "data/log" / f"{TOPIC}-0").glob("*.log"))[subscript]

    def rot(self, node, at=300000, length=100000):
        """Bytes of several batches change while the node is away."""
        node.stop()
        with open(self.segment(node), "r+b") as file:
            file.seek(at)
            file.write(bytes(length))
        node.start()

    def until(self, what, condition):
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    def read_all(self):
        """All values, as clients read them; every error but those that pass fails."""
        route, found = self.cluster.route(timeout_s=5), []
        try:
            end = route.until("the end", LIMIT_S, route.list_offset, TOPIC, 0, -1)
            while len(found) < end:
                row = route.until(f"records from {len(found)}", LIMIT_S, route.fetch, TOPIC, 0, len(found), 200, 1 << 20)
                judge(row["error_code"], "Fetch")
                found += records.values(row["records"])
        finally:
            route.close()
        return found

    def whole(self, node):
        status, _ = self.ctl(node, "log", "verify")
        return status == 0

    def test_follower(self):
        leader = self.leader()
        node = next(n for n in self.cluster.nodes.values() if n is not leader)
        good = self.segment(node).read_bytes()
        self.rot(node)
        self.assertNotEqual(self.segment(node).read_bytes(), good)
        self.assertFalse(self.whole(node), "the check finds nothing")
        self.until(f"{node} has its records again", lambda: "as leader" in node.text())
        self.assertTrue(self.whole(node))
        self.assertEqual(self.segment(node).read_bytes(), good)
        self.cluster.wait_healthy()
        self.assertEqual(self.read_all(), self.values)

    def test_leader(self):
        """The node that leads: another one leads then, and the records can be read."""
        node = self.leader()
        good = self.segment(node).read_bytes()
        self.rot(node)
        self.cluster.wait_healthy()
        if self.leader() is not node:
            subprocess.run([self.cluster.ctl, "--server",
                            self.cluster.hosts.address(node.number, ADMIN), "topic", "elect", TOPIC, "0"], check=True,
                           stdout=subprocess.DEVNULL)
        self.until(f"{node} leads", lambda: self.leader() is node)
        self.assertFalse(self.whole(node), "the check finds nothing")
        self.until(f"another than {node} leads", lambda: self.leader() is not node)
        self.assertEqual(self.read_all(), self.values)
        self.until(f"{node} has its records again", lambda: "as leader" in node.text())
        self.assertEqual(self.segment(node).read_bytes(), good)
        self.take(b"one more")
        self.cluster.wait_healthy()
        self.assertEqual(self.read_all(), [*self.values, b"one more"])


if __name__ == "__main__":
    unittest.main()
