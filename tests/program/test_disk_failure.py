#!/usr/bin/env python3
"""A disk that fails.

Goal: a write or flush that fails is believed. Its partition is read-only up to the last good flush, producers are told, all
that was acknowledged is served, others are not disturbed, and the operator sees it wherever he looks. After a restart
everything acknowledged is there, nothing else, and no offset that was seen has other content.
Method: a library before the disk (tests/protocol/hold-sync.c) fails syncs, or writes half way, of one topic's files.
"""

import re
import time
import unittest

from program import CHRONIK_CTL, Node, ProgramCase

import records
from case import Disk
from kafka import ERR, Client

WINDOW = 5


class DiskFailure(ProgramCase):
    def setUp(self):
        super().setUp()
        self.disk = Disk()
        self.addCleanup(self.disk.folder.cleanup)
        self.node = Node(env=self.disk.env())
        self.addCleanup(self.node.close)
        self.node.start()
        self.connect()
        for topic in ("bad", "good"):
            answer = self.client.call("CreateTopics", 7, topics=[
                {"name": topic, "num_partitions": 1, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], ERR.NONE)
        self.seen = {"bad": {}, "good": {}}      # offset -> value that a consumer or an acknowledgement has shown

    def connect(self):
        self.client = Client(self.node.host, self.node.port)
        self.addCleanup(self.client.close)

    def send(self, topic, value, acks=-1):
        self.client.send("Produce", 11, acks=acks, timeout_ms=5000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": records.batch([value])}]}])

    def answer(self, topic, value):
        answer = self.client.receive()["responses"][0]["partition_responses"][0]
        if not answer["error_code"]:
            self.see(topic, answer["base_offset"], value)
        return ERR(answer["error_code"])

    def produce(self, topic, value, acks=-1):
        self.send(topic, value, acks)
        return self.answer(topic, value)

    def see(self, topic, offset, value):
        self.assertEqual(self.seen[topic].setdefault(offset, value), value, f"offset {offset} has changed")

    def read(self, topic):
        """All records that a consumer gets, and the high watermark."""
        offset, found = 0, {}
        while True:
            answer = self.client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, topics=[
                {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": offset,
                                                 "partition_max_bytes": 1 << 20}]}])["responses"][0]["partitions"][0]
            self.assertEqual(answer["error_code"], ERR.NONE)
            got = [r for b in records.parse(answer["records"] or b"") for r in b.records]
            for r in got:
                self.see(topic, r.offset, r.value)
                found[r.offset] = r.value
                offset = r.offset + 1
            if not got or offset >= answer["high_watermark"]:
                return found, answer["high_watermark"]

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.node.get("/metrics")[1], re.MULTILINE)[1])

    def ctl(self, *words):
        done = self.run_program(CHRONIK_CTL, "--server", self.node.admin, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def fail_and_see(self, fail):
        for number in range(20):
            self.assertEqual(self.produce("bad", b"bad-%d" % number), ERR.NONE)
            self.assertEqual(self.produce("good", b"good-%d" % number), ERR.NONE)
        fail("bad")
        for number in range(WINDOW):            # in flight at once: each is told
            self.send("bad", b"lost-%d" % number, acks=-1 if number % 2 else 1)
        for number in range(WINDOW):
            self.assertEqual(self.answer("bad", b"lost-%d" % number), ERR.KAFKA_STORAGE_ERROR)
        self.disk.release()                     # the disk is right again, but what it lost stays lost
        self.assertEqual(self.produce("bad", b"late"), ERR.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.produce("good", b"beside"), ERR.NONE)
        self.assertEqual(self.read("bad"), ({n: b"bad-%d" % n for n in range(20)}, 20))
        self.assertEqual(len(self.read("good")[0]), 21)

    def operator_sees(self, what):
        line, = [text for text in self.node.text().splitlines() if "read-only" in text]
        for words in ("bad-0", what, "failed: Input/output error", "up to offset 20", "check the disk", "restart"):
            self.assertIn(words, line)
        self.assertEqual(self.metric("chronik_partitions_read_only"), 1)
        self.assertEqual(self.node.get("/readyz"), (200, "ready\n"), "others are served")
        self.assertRegex(self.ctl("topic", "get", "bad", "--detailed"), r"read-only")
        self.assertNotRegex(self.ctl("topic", "get", "good", "--detailed"), r"read-only")
        self.assertRegex(self.ctl("cluster", "info"), r"health +degraded\n +1 partition of node 1 read-only since a write failed")
        gate = self.run_program(CHRONIK_CTL, "--server", self.node.admin, "node", "health", "--wait")
        self.assertEqual(gate.returncode, 1, "no waiting mends it")
        self.assertIn("node 1 is broken: 1 partition is read-only since a write failed", gate.stderr)

    def whole_again(self):
        self.connect()
        found, end = self.read("bad")
        self.assertEqual((found, end), ({n: b"bad-%d" % n for n in range(20)}, 20))
        self.assertEqual(len(self.read("good")[0]), 21)
        self.assertEqual(self.metric("chronik_partitions_read_only"), 0)
        self.assertEqual(self.produce("bad", b"after"), ERR.NONE)
        self.assertEqual(self.read("bad")[0][20], b"after")
        self.assertRegex(self.ctl("cluster", "info"), r"health +ok")

    def test_sync(self):
        """fdatasync() fails; SIGKILL and start."""
        self.fail_and_see(self.disk.fail)
        self.operator_sees("sync")
        self.assertGreaterEqual(self.metric("chronik_flush_errors_total"), 1)
        self.node.restart(kill=True)
        self.whole_again()
        self.node.stop()

    def test_sync_stop(self):
        """fdatasync() fails; SIGTERM and start: the stop is in good order, and the start looks at the log all the same."""
        self.fail_and_see(self.disk.fail)
        self.node.restart()
        self.whole_again()
        self.node.stop()

    def test_write(self):
        """pwritev() fails half way; the half is never shown."""
        self.fail_and_see(self.disk.fail_writes)
        self.operator_sees("write")
        self.node.restart(kill=True)
        self.whole_again()
        self.node.stop()

    def test_write_before_flush(self):
        """pwritev() fails while earlier records wait for their flush. All are told at once; the flush that was under way
        succeeds, and its record stays; the next one is not begun any more, and its record goes."""
        self.assertEqual(self.produce("bad", b"first"), ERR.NONE)
        self.disk.hold("bad")
        self.addCleanup(self.disk.release)
        self.send("bad", b"in the flush that waits")
        self.assertTrue(self.client.silent())
        self.send("bad", b"behind it")
        self.assertTrue(self.client.silent())
        self.disk.fail_writes("bad", hold=True)
        self.send("bad", b"not written")
        errors = [self.answer("bad", value) for value in (b"in the flush that waits", b"behind it", b"not written")]
        self.assertEqual(errors, [ERR.KAFKA_STORAGE_ERROR] * 3)
        self.disk.fail_writes("bad")
        deadline = time.monotonic() + 10
        while self.read("bad")[1] < 2:
            self.assertLess(time.monotonic(), deadline, "the flush that was under way does not count")
        before, _ = self.read("bad")
        self.assertEqual(list(before.values()), [b"first", b"in the flush that waits"])
        self.disk.release()
        self.node.restart(kill=True)
        self.connect()
        self.assertEqual(self.read("bad")[0], before)
        self.node.stop()


if __name__ == "__main__":
    unittest.main()
