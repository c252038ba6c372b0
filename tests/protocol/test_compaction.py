#!/usr/bin/env python3
"""Compaction as clients see it.

Goal: of each key the newest record stays, at its offset, in a topic and in __consumer_offsets, over a SIGKILL too.
Method: small segments and a compactor that looks often; what is read afterwards is compared with what was written.
"""

import unittest

from case import NodeCase
from kafka import ERR
from records import CONTROL, Record, parse
from txn import Producer

LIMIT_S = 20


class Compaction(NodeCase):
    SETTINGS = ["storage.compaction_interval_ms=50", "groups.offsets_segment_bytes=16384", "groups.offsets_partitions=1",
                "topics.auto_create=false"]

    def records(self, topic):
        """{offset: (key, value)} of all that is there."""
        return {r.offset: (r.key, r.value) for batch in self.stored(topic) for r in batch.records}

    def test_topic(self):
        """Item 49: offsets stay as they are, gaps are served, tombstones stay for delete.retention.ms, and what is
        superseded goes."""
        topic = self.topic(cleanup_policy="compact", segment_bytes=16384, min_cleanable_dirty_ratio="0.1")
        client, written, offset = self.client(), {}, 0
        for number in range(400):
            key = b"key-%d" % (number % 20)
            value = None if number % 20 == 7 and number >= 380 else b"%d-" % number + bytes(400)
            self.produce(client, topic, [Record(value, key=key)])
            written[offset] = (key, value)
            offset += 1
        self.wait_until(lambda: len(self.records(topic)) < 100, "nothing was compacted", LIMIT_S)
        for _ in range(2):
            found = self.records(topic)
            for at, record in found.items():
                self.assertEqual(record, written[at], f"offset {at}")
            newest = {key: at for at, (key, _) in sorted(written.items())}
            self.assertLessEqual(set(newest.values()), set(found))
            self.node.restart(kill=True)

    def read_committed(self, topic):
        """The values of committed records; each transaction has one record."""
        out, offset, client = [], 0, self.client()
        while True:
            answer = self.fetch(client, topic, offset, isolation_level=1)
            self.assertError(answer["error_code"], ERR.NONE)
            aborted = {t["first_offset"] for t in answer["aborted_transactions"]}
            for b in parse(answer["records"]):
                offset = b.base_offset + b.last_offset_delta + 1
                if not b.attributes & CONTROL and b.base_offset not in aborted:
                    out += [r.value for r in b.records]
            if not answer["records"] or offset >= answer["last_stable_offset"]:
                return out

    def test_transactions(self):
        """Items 36, 49: what was aborted goes, what was committed stays, and readers of committed records see neither more nor
        less afterwards; a marker that is the last of its producer keeps its offset."""
        topic = self.topic(cleanup_policy="compact", segment_bytes=16384, min_cleanable_dirty_ratio="0.1")
        p, newest = Producer(self, "compacted"), {}
        self.assertError(p.init(), ERR.NONE)
        for number in range(120):
            commit, key = number % 3 != 2, b"key-%d" % (number % 10)
            record = Record(b"%d-" % number + bytes(400), key=key)
            self.assertError(p.send(topic, record), ERR.NONE)
            self.assertError(p.end(commit), ERR.NONE)
            if commit:
                newest[key] = record.value
        self.wait_until(lambda: self.fetch(self.client(), topic, isolation_level=1)["last_stable_offset"] == 240, "no last marker")
        self.wait_until(lambda: len(self.records(topic)) < 180, "nothing was compacted", LIMIT_S)
        for _ in range(2):
            found = self.read_committed(topic)
            self.assertEqual({v for v in found if v in newest.values()}, set(newest.values()))
            self.assertEqual({v for v in found if int(v.split(b"-")[0]) % 3 == 2}, set())
            last = self.stored(topic)[-1]
            self.assertEqual((last.base_offset, last.attributes & CONTROL), (239, CONTROL))
            self.node.restart(kill=True)
        p.again()
        self.assertError(p.send(topic, Record(b"on", key=b"on")), ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.wait_until(lambda: b"on" in self.read_committed(topic), "the next one is not committed", LIMIT_S)

    def test_committed_offsets(self):
        """Items 49, 58: __consumer_offsets is compacted, and a coordinator that reads what is left knows the same."""
        topic = self.topic()
        client = self.client()
        self.wait_until(lambda: not client.call("FindCoordinator", 3, key="g", key_type=0)["error_code"], "no coordinator", LIMIT_S)

        def commit(offset):
            answer = client.call("OffsetCommit", 5, group_id="g", generation_id_or_member_epoch=-1, member_id="",
                                 topics=[{"name": topic, "partitions": [
                                     {"partition_index": 0, "committed_offset": offset, "committed_metadata": ""}]}])
            return answer["topics"][0]["partitions"][0]["error_code"]

        self.wait_until(lambda: not commit(0), "the coordinator does not load", LIMIT_S)
        for offset in range(600):
            self.assertError(commit(offset % 9), ERR.NONE)
        self.assertError(commit(5), ERR.NONE)
        self.wait_until(lambda: len(self.records("__consumer_offsets")) < 400, "nothing was compacted", LIMIT_S)
        self.node.restart(kill=True)
        client = self.client()
        found = []

        def fetched():
            answer = client.call("OffsetFetch", 7, group_id="g", topics=[{"name": topic, "partition_indexes": [0]}],
                                 require_stable=False)
            found[:] = [answer]
            return not answer["error_code"]

        self.wait_until(fetched, "the coordinator does not load", LIMIT_S)
        self.assertEqual(found[0]["topics"][0]["partitions"][0]["committed_offset"], 5)


if __name__ == "__main__":
    unittest.main()
