#!/usr/bin/env python3
"""Reading committed records.

Goal: Fetch and ListOffsets tell readers of committed records what is stable and what was aborted. Method: a stopped node is
given a log that Kafka wrote (tests/data/batches/java-txn.bin: 24 committed records, a
marker, an aborted record, a marker) and, behind it, batches of our own.
"""

import time
import unittest

import records
from fetching import FetchCase, values
from kafka import ERR
from node import ROOT

GOLDEN = ROOT / "tests/data/batches/java-txn.bin"
TRANSACTIONAL, CONTROL = 0x10, 0x20
ABORT = records.Record(b"\0\0\0\0\0\0", key=b"\0\0\0\0")
PRODUCER = 4242
LATEST = -1


class Transactions(FetchCase):
    SETTINGS = ["topics.auto_create=false"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.golden = GOLDEN.read_bytes()
        cls.batches = records.parse(cls.golden)
        cls.end = cls.batches[-1].base_offset + 1
        cls.aborted_at = cls.batches[2].base_offset
        cls.kafka_producer = cls.batches[2].producer_id

    def filled(self, *more):
        """A topic that holds Kafka's log and @more batches, each a record and the fields of its header."""
        topic = self.topic(segment_bytes=1 << 20)
        data, offset = self.golden, self.end
        for record, header in more:
            data += records.batch([record], base_offset=offset, leader_epoch=0, **header)
            offset += 1
        self.node.stop()
        folder = self.node.data / "log" / f"{topic}-0"
        self.assertTrue(folder.is_dir())
        (folder / f"{0:020}.log").write_bytes(data)
        self.node.start()
        return topic, offset

    def offset(self, client, topic, isolation):
        answer = client.call("ListOffsets", 7, replica_id=-1, isolation_level=isolation, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "timestamp": LATEST, "current_leader_epoch": -1}]}])
        part = answer["topics"][0]["partitions"][0]
        self.assertError(part["error_code"], ERR.NONE)
        return part["offset"]

    def test_kafkas_log(self):
        """Items 34, 35: the aborted transaction is told to readers of committed records alone; all bytes are there for both."""
        topic, end = self.filled()
        client = self.client()
        for version in (4, 11, 12, 13):
            for isolation in (0, 1):
                with self.subTest(version=version, isolation=isolation):
                    answer = self.one(client, version, topic, isolation_level=isolation)
                    self.assertEqual((answer["high_watermark"], answer["last_stable_offset"]), (end, end))
                    self.assertEqual(answer["records"], self.golden)
                    told = [{"producer_id": self.kafka_producer, "first_offset": self.aborted_at}]
                    self.assertEqual(answer["aborted_transactions"], told if isolation else None)
        # Of what lies beside it nothing is told.
        answer = self.one(client, 12, topic, isolation_level=1, max_bytes=1)
        self.assertEqual(len(records.parse(answer["records"])), 1)
        self.assertEqual(answer["aborted_transactions"], [])

    def test_open_transaction(self):
        """Items 28, 34: what is open is not there for readers of committed records, who wait for it as for anything new."""
        open_txn = dict(attributes=TRANSACTIONAL, producer_id=PRODUCER, producer_epoch=0, base_sequence=0)
        topic, end = self.filled((records.Record(b"open"), open_txn), (records.Record(b"behind"), {}))
        client = self.client()
        self.assertEqual((self.offset(client, topic, 0), self.offset(client, topic, 1)), (end, self.end))
        answer = self.one(client, 12, topic, offset=self.end, isolation_level=0)
        self.assertEqual(values(answer), [b"open", b"behind"])
        for offset in (self.end, self.end + 1, end):
            started = time.monotonic()
            answer = self.one(client, 12, topic, offset=offset, isolation_level=1, max_wait_ms=300)
            self.assertGreaterEqual(time.monotonic() - started, 0.25)
            self.assertEqual((answer["high_watermark"], answer["last_stable_offset"]), (end, self.end))
            self.assertEqual((answer["records"], answer["aborted_transactions"]), (b"", []))

    def test_order(self):
        """Item 35: aborted transactions are sorted by their first offset, not by their ends."""
        more = [(records.Record(b"x"), dict(attributes=TRANSACTIONAL, producer_id=p, producer_epoch=0, base_sequence=0))
                for p in (7, 8, 9)]
        more += [(ABORT, dict(attributes=TRANSACTIONAL | CONTROL, producer_id=p, producer_epoch=0)) for p in (9, 7, 8)]
        topic, end = self.filled(*more)
        answer = self.one(self.client(), 12, topic, offset=self.end, isolation_level=1)
        self.assertEqual(answer["last_stable_offset"], end)
        self.assertEqual([(t["producer_id"], t["first_offset"] - self.end) for t in answer["aborted_transactions"]],
                         [(7, 0), (8, 1), (9, 2)])

    def test_clients_may_not(self):
        """Items 17, 42: without a transactional id nobody can hold back the last stable offset, nor write markers."""
        topic, client = self.topic(), self.client()
        for attributes, error in ((TRANSACTIONAL, ERR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), (CONTROL, ERR.INVALID_RECORD),
                                  (TRANSACTIONAL | CONTROL, ERR.INVALID_RECORD)):
            data = records.batch([b"x"], attributes=attributes, producer_id=PRODUCER, producer_epoch=0, base_sequence=0)
            self.assertError(self.produce(client, topic, data)["error_code"], error)
        self.assertEqual(self.offset(client, topic, 1), 0)


if __name__ == "__main__":
    unittest.main()
