#!/usr/bin/env python3
"""Compaction as clients see it.

Goal: of each key the newest record stays, at its offset, in a topic and in __consumer_offsets, over a SIGKILL too.
Method: small segments and a compactor that looks often; what is read afterwards is compared with what was written.
"""

import unittest

from case import NodeCase
from kafka import ERR
from records import Record

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
