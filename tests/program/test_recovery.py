#!/usr/bin/env python3
"""What is told while logs recover after a crash.

Goal: systemd, /readyz and the operator see how far a long recovery is, systemd waits while there is progress, READY=1 comes
last, and one line sums up. Method: SIGKILL with data in many partitions, then a start on a disk where one partition's syncs
wait until they are let go; a datagram socket in place of systemd.
"""

import re
import signal
import socket
import subprocess
import time
import unittest

from program import CHRONIKD, Node, ProgramCase

import records
from case import Disk
from kafka import ERR, Client

PARTITIONS = 12
STATE = re.compile(r"recovering: (\d+) of (\d+) partitions, ([\d.]+) of at least ([\d.]+) MB read")
SUMMARY = re.compile(r"recovered (\d+) partitions in ([\d.]+) s: (\d+) bytes read, (\d+) cut off")
LARGE = 300 << 10


class Recovery(ProgramCase):
    def setUp(self):
        super().setUp()
        self.disk = Disk()
        self.addCleanup(self.disk.folder.cleanup)
        self.node = Node(env=self.disk.env())
        self.addCleanup(self.node.close)
        self.node.start()
        self.fill()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(str(self.folder / "notify"))
        self.manager.settimeout(20)

    def fill(self):
        with Client(self.node.host, self.node.port) as client:
            answer = client.call("CreateTopics", 7, topics=[
                {"name": "t", "num_partitions": PARTITIONS, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], ERR.NONE)
            for _ in range(2):                  # what the first leaves a checkpoint for, the second adds to
                for p in range(PARTITIONS):
                    answer = client.call("Produce", 11, acks=-1, timeout_ms=5000, topic_data=[
                        {"name": "t", "partition_data": [{"index": p, "records": records.batch([bytes(LARGE)])}]}])
                    self.assertEqual(answer["responses"][0]["partition_responses"][0]["error_code"], ERR.NONE)

    def begin(self):
        """Start it again without waiting until it is ready; the admin listener has a port that is known."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.node.admin = "127.0.0.1:%d" % s.getsockname()[1]
        with open(self.folder / "said", "ab") as said:
            self.node.process = subprocess.Popen(
                [CHRONIKD, "--data-dir", self.node.data, "--kafka", "127.0.0.1:0", "--admin", self.node.admin],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
                env={**self.disk.env(), "NOTIFY_SOCKET": str(self.folder / "notify")})

    def said(self):
        return (self.folder / "said").read_text()

    def told(self):
        return self.manager.recv(4096).decode().splitlines()

    def test_told(self):
        """A recovery that takes seconds: the state at most once in a second, the same from /readyz, a line for the
        operator; systemd is asked for more time whenever something has moved, and not otherwise; then READY=1 and the sum."""
        self.node.kill()
        self.disk.hold("t", 7)
        self.begin()
        states, extended = [], 0
        began = time.monotonic()
        while len(states) < 4:
            for line in self.told():
                self.assertNotEqual(line, "READY=1")
                extended += line.startswith("EXTEND_TIMEOUT_USEC=")
                if line.startswith("STATUS="):
                    states.append((time.monotonic() - began, line))
        self.assertGreater(states[3][0] - states[0][0], 2.5, "told more than once a second")
        done, wanted, read, least = STATE.search(states[3][1]).groups()
        self.assertLess(int(done), PARTITIONS)
        self.assertEqual(int(wanted), PARTITIONS)
        self.assertTrue(0 < float(read) <= float(least), states[3])
        moved = len({text for _, text in states})       # once, unless this machine is slow
        self.assertLess(moved, 4)
        self.assertIn(extended, (moved - 1, moved))     # that of the last state may be on its way
        self.assertGreaterEqual(extended, 1)
        status, text = self.node.get("/readyz")
        self.assertEqual(status, 503)
        self.assertTrue(STATE.fullmatch(text.rstrip("\n")), text)
        self.assertEqual(len(STATE.findall(self.said())), 1, self.said())

        self.disk.release()
        last = self.told()
        while "READY=1" not in last:
            last = self.told()
        self.assertIn("STATUS=serving", last)
        self.assertEqual(self.node.get("/readyz"), (200, "ready\n"))
        count, seconds, read, cut = SUMMARY.search(self.said()).groups()
        self.assertEqual((int(count), int(cut)), (PARTITIONS, 0))
        self.assertGreater(float(seconds), 2.5)
        self.assertGreaterEqual(int(read), PARTITIONS * LARGE)
        self.assertTrue(self.told()[0].startswith("STATUS=serving: leads 12 of 12 partitions"))
        self.manager.settimeout(3)
        with self.assertRaises(TimeoutError):
            self.fail(self.told())              # a node that serves has no more to tell
        self.node.stop()

    def test_short(self):
        """A recovery that takes no time: the sum alone."""
        self.node.kill()
        self.begin()
        while "READY=1" not in self.told():
            pass
        self.assertNotIn("recovering", self.said())
        self.assertEqual(len(SUMMARY.findall(self.said())), 1, self.said())
        self.node.stop()

    def test_clean(self):
        """Nothing is to be recovered after a clean stop, and nothing is said."""
        self.node.stop()
        self.begin()
        while "READY=1" not in self.told():
            pass
        self.node.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.node.process.wait(10), 0)
        self.assertEqual(self.said(), "")


if __name__ == "__main__":
    unittest.main()
