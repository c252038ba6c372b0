#!/usr/bin/env python3
"""Fetch without sessions: what is returned, how much, and when.

Goal: kafka-semantics items 19 and 26 to 33 (each test names its item). Method: batches of known bounds are
produced, and fetched by every version of the API; waits are measured on a second connection that brings the news.
"""

import time
import unittest

import records
from fetching import ANY_BYTES, VERSIONS, FetchCase, flat, of, values
from kafka import ERR, ClientError
from records import Record

LONG_MS = 8000          # a wait that must end early
PATIENCE_S = 6          # and must have ended by then


class Content(FetchCase):
    def test_inside_a_batch(self):
        """Item 26: an offset within a batch brings the whole batch and what follows, in every version."""
        topic = self.topic()
        self.fill(topic, [b"a", b"b", b"c"], [b"d", b"e"])
        client = self.client()
        for version in VERSIONS:
            for offset, expected in enumerate((b"abcde", b"abcde", b"abcde", b"de", b"de")):
                with self.subTest(version=version, offset=offset):
                    answer = self.one(client, version, topic, offset=offset)
                    self.assertError(answer["error_code"], ERR.NONE)
                    self.assertEqual(b"".join(values(answer)), expected)
                    self.assertEqual(answer["high_watermark"], 5)

    def test_fields_of_an_answer(self):
        """Items 29, 33, 35: watermarks, and what is absent on a single node without transactions; the list of aborted
        transactions is null for read_uncommitted and empty for read_committed."""
        topic = self.topic()
        self.fill(topic, [b"a", b"b"])
        client = self.client()
        for version in VERSIONS:
            for isolation in (0, 1):
                with self.subTest(version=version, isolation=isolation):
                    answer = self.one(client, version, topic, isolation_level=isolation)
                    self.assertEqual(answer["high_watermark"], 2)
                    self.assertEqual(answer["last_stable_offset"], 2)
                    self.assertEqual(answer.get("log_start_offset", 0), 0)
                    self.assertEqual(answer["aborted_transactions"], [] if isolation else None)
                    self.assertEqual(answer.get("preferred_read_replica", -1), -1)
                    if version >= 12:
                        self.assertEqual(answer["diverging_epoch"], {"epoch": -1, "end_offset": -1})
                        self.assertEqual(answer["current_leader"], {"leader_id": -1, "leader_epoch": -1})
                        self.assertEqual(answer["snapshot_id"], {"epoch": -1, "end_offset": -1})
                    self.assertEqual(values(answer), [b"a", b"b"])

    def test_at_the_end(self):
        """Item 29: the end of the log is a valid offset with no records, not a null."""
        topic = self.topic()
        client = self.client()
        for end, version in [(0, v) for v in VERSIONS] + [(2, v) for v in VERSIONS]:
            if end and version == VERSIONS[0]:
                self.fill(topic, [b"a", b"b"])
            with self.subTest(version=version, end=end):
                answer = self.one(client, version, topic, offset=end)
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual((answer["high_watermark"], answer["records"]), (end, b""))

    def test_out_of_range(self):
        """Item 29: below the start and above the end is OFFSET_OUT_OF_RANGE with every watermark -1."""
        topic = self.topic()
        self.fill(topic, [b"a", b"b"], [b"c"])
        client = self.client()
        answer = client.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}])
        self.assertEqual(answer["topics"][0]["partitions"][0]["low_watermark"], 2)
        for version in VERSIONS:
            for offset in (1, 4, -1, 1 << 60):
                with self.subTest(version=version, offset=offset):
                    answer = self.one(client, version, topic, offset=offset)
                    self.assertError(answer["error_code"], ERR.OFFSET_OUT_OF_RANGE)
                    self.assertEqual((answer["high_watermark"], answer["last_stable_offset"]), (-1, -1))
                    self.assertEqual(answer.get("log_start_offset", -1), -1)
                    self.assertEqual(answer["records"], b"")
            answer = self.one(client, version, topic, offset=2)
            self.assertEqual(values(answer), [b"c"])
            self.assertEqual(answer.get("log_start_offset", 2), 2)

    def test_unknown_topics(self):
        """Item 30: a name nobody has and a partition that is not there are error 3; an id nobody has is 100; the other
        partitions of the request are served."""
        topic = self.topic()
        self.fill(topic, [b"a"])
        client = self.client()
        for version in VERSIONS:
            with self.subTest(version=version):
                nobody = b"\x01" * 16 if version >= 13 else self.fresh("nobody")
                answer = self.ask(client, version, [of(topic), of(topic, 1), of(nobody, 0), of(topic, -1)])
                by_error = sorted((p["error_code"], index) for index, p in flat(answer))
                unknown = ERR.UNKNOWN_TOPIC_ID if version >= 13 else ERR.UNKNOWN_TOPIC_OR_PARTITION
                self.assertEqual(by_error, sorted([(0, 0), (3, 1), (3, -1), (int(unknown), 0)]))
                good, = [p for _, p in flat(answer) if p["error_code"] == 0]
                self.assertEqual(values(good), [b"a"])
                for _, p in flat(answer):
                    if p["error_code"]:
                        self.assertEqual((p["high_watermark"], p["records"]), (-1, b""))

    def test_zero_id(self):
        """Item 30: the id of all zeroes belongs to no topic."""
        answer = self.one(self.client(), 13, bytes(16))
        self.assertError(answer["error_code"], ERR.UNKNOWN_TOPIC_ID)

    def test_zstd_for_old_clients(self):
        """Item 19: a topic whose configuration says zstd is UNSUPPORTED_COMPRESSION_TYPE before version 10; where the
        producer chose zstd its consumers are taken to know it. (Kafka until 3.9; 4.0 does not look any more.)"""
        self.chronikd_only("Kafka 4 does not look at the version")
        client = self.client()
        made_here = self.topic(compression_type="zstd")
        self.fill(made_here, [b"z" * 100])
        for version in VERSIONS:
            with self.subTest(version=version):
                answer = self.one(client, version, made_here)
                if version < 10:
                    self.assertError(answer["error_code"], ERR.UNSUPPORTED_COMPRESSION_TYPE)
                    self.assertEqual((answer["records"], answer["high_watermark"]), (b"", -1))
                else:
                    self.assertEqual(records.parse(answer["records"])[0].codec, "zstd")


class Sizes(FetchCase):
    def test_at_least_one_batch(self):
        """Item 27: the first batch is returned whole even when it is larger than max_bytes and partition_max_bytes,
        zero and negative ones too."""
        topic = self.topic()
        self.fill(topic, [b"x" * 5000], [b"y" * 5000])
        client = self.client()
        for version in VERSIONS:
            for limits in ((100, ANY_BYTES), (ANY_BYTES, 100), (0, 0), (1, 1)):
                with self.subTest(version=version, limits=limits):
                    answer = self.ask(client, version, [of(topic, max_bytes=limits[1])], max_bytes=limits[0])
                    (_, part), = flat(answer)
                    batches = records.parse(part["records"])
                    self.assertEqual([b.base_offset for b in batches], [0])
                    self.assertGreaterEqual(len(part["records"]), batches[0].size)

    def test_only_first_partition_exceeds(self):
        """Item 27: only the first partition with records may exceed the limits; later ones that do not fit are empty,
        without an error. An empty partition before it does not count."""
        topic = self.topic(partitions=3)
        self.fill(topic, [b"x" * 5000], partition=1)
        self.fill(topic, [b"y" * 5000], partition=2)
        client = self.client()
        for version in VERSIONS:
            with self.subTest(version=version):
                wanted = [of(topic, p, max_bytes=100) for p in range(3)]
                answer = self.ask(client, version, wanted, max_bytes=100)
                sizes = {index: len(records.parse(p["records"])) for index, p in flat(answer)}
                self.assertEqual(sizes, {0: 0, 1: 1, 2: 0})
                self.assertEqual([p["error_code"] for _, p in flat(answer)], [0, 0, 0])

    def test_limit_across_partitions(self):
        """Item 27: after the first batch the limit of the response holds: whole batches only, in the order asked."""
        topic = self.topic(partitions=3)
        for partition in range(3):
            self.fill(topic, [b"v" * 1000], [b"v" * 1000], partition=partition)
        client = self.client()
        for version in VERSIONS:
            for order in ((0, 1, 2), (2, 0, 1)):
                with self.subTest(version=version, order=order):
                    answer = self.ask(client, version, [of(topic, p) for p in order], max_bytes=3500)
                    counts = [len(records.parse(p["records"])) for _, p in flat(answer)]
                    self.assertEqual([index for index, _ in flat(answer)], list(order))
                    self.assertEqual(counts, [2, 1, 0])

    def test_partition_limit(self):
        """Item 27: partition_max_bytes holds for each partition alone."""
        topic = self.topic(partitions=2)
        for partition in range(2):
            self.fill(topic, [b"v" * 1000], [b"v" * 1000], [b"v" * 1000], partition=partition)
        answer = self.ask(self.client(), 12, [of(topic, 0, max_bytes=2300), of(topic, 1, max_bytes=1200)])
        self.assertEqual([len(records.parse(p["records"])) for _, p in flat(answer)], [2, 1])

    def test_large_batch_among_small(self):
        """Item 27: a consumer that asks for little gets past a large batch in the middle."""
        topic = self.topic()
        self.fill(topic, [b"small"], [b"L" * 300000], [b"small"])
        client, offset, seen = self.client(), 0, []
        while offset < 3:
            batches = records.parse(self.one(client, 11, topic, offset=offset, max_bytes=1000)["records"])
            self.assertTrue(batches, f"nothing at offset {offset}")
            seen += [r.value for b in batches for r in b.records]
            offset = batches[-1].base_offset + 1
        self.assertEqual([len(v) for v in seen], [5, 300000, 5])


class Waiting(FetchCase):
    def wait(self, version, wanted, act, **fields):
        """Start a long fetch, act() a little later, and return the answer with the seconds that it took."""
        client = self.client()
        began = time.monotonic()
        client.send("Fetch", version, **self.request(version, wanted, max_wait_ms=LONG_MS, **fields))
        self.assertTrue(client.silent(0.3), "the fetch did not wait")
        act()
        answer = client.receive(LONG_MS / 1000 + 10)
        return answer, time.monotonic() - began

    def test_min_bytes(self):
        """Item 28: an answer comes when min_bytes are there, and not before."""
        topic = self.topic()
        for version in (4, 11, 12, 13, 18):
            with self.subTest(version=version):
                first = records.batch([b"1" * 100])
                offset = self.produce(self.client(), topic, first)["base_offset"]

                def act(offset=offset):
                    self.fill(topic, [b"2" * 100])
                    time.sleep(0.2)
                    self.fill(topic, [b"3" * 1000])
                answer, took = self.wait(version, [of(topic, offset=offset)], act, min_bytes=1000)
                self.assertLess(took, PATIENCE_S)
                self.assertEqual([v[:1] for v in values(flat(answer)[0][1])], [b"1", b"2", b"3"])

    def test_max_wait(self):
        """Item 28: when the time is over what is there is sent, even nothing; without min_bytes nobody waits."""
        topic = self.topic()
        self.fill(topic, [b"a"])
        client = self.client()
        for min_bytes, offset, expected in ((1000000, 0, [b"a"]), (1, 1, [])):
            began = time.monotonic()
            answer = self.ask(client, 12, [of(topic, offset=offset)], max_wait_ms=500, min_bytes=min_bytes)
            self.assertGreaterEqual(time.monotonic() - began, 0.45)
            self.assertEqual(values(flat(answer)[0][1]), expected)
        for fields in (dict(min_bytes=0, max_wait_ms=LONG_MS), dict(max_wait_ms=0, min_bytes=1000)):
            began = time.monotonic()
            self.ask(client, 12, [of(topic, offset=1)], **fields)
            self.assertLess(time.monotonic() - began, PATIENCE_S)

    def test_min_bytes_above_max_bytes(self):
        """Item 28: more than max_bytes will never be there, so nobody waits for it."""
        topic = self.topic()
        self.fill(topic, [b"a" * 2000])
        began = time.monotonic()
        answer = self.ask(self.client(), 12, [of(topic)], max_wait_ms=LONG_MS, min_bytes=100000, max_bytes=1000)
        self.assertLess(time.monotonic() - began, PATIENCE_S)
        self.assertEqual(len(values(flat(answer)[0][1])), 1)

    def test_any_partition_wakes(self):
        """Item 28: news of any partition, of any topic, ends the wait."""
        for number in range(3):
            one, two = self.topic(partitions=2), self.topic()
            places = ((one, 0), (one, 1), (two, 0))
            topic, partition = places[number]
            answer, took = self.wait(13, [of(*place) for place in places],
                                     lambda t=topic, p=partition: self.fill(t, [b"news"], partition=p))
            self.assertLess(took, PATIENCE_S)
            self.assertEqual([v for _, p in flat(answer) for v in values(p)], [b"news"])

    def test_error_does_not_wait(self):
        """Item 28: an error on any partition is told at once."""
        topic = self.topic(partitions=2)
        client = self.client()
        for version in VERSIONS:
            with self.subTest(version=version):
                began = time.monotonic()
                answer = self.ask(client, version, [of(topic, 0), of(topic, 1, 99)], max_wait_ms=LONG_MS)
                self.assertLess(time.monotonic() - began, PATIENCE_S)
                self.assertEqual(sorted(p["error_code"] for _, p in flat(answer)), [0, ERR.OFFSET_OUT_OF_RANGE])

    def test_unknown_partition_does_not_wait(self):
        """Item 28: a topic or partition that is not there is told at once, too. (Kafka waits for the others first.)"""
        topic = self.topic()
        self.chronikd_only("Kafka waits here")
        client = self.client()
        for version in VERSIONS:
            nobody = b"\x02" * 16 if version >= 13 else self.fresh("nobody")
            for wrong, error in (((topic, 7), 3), ((nobody, 0), 100 if version >= 13 else 3)):
                with self.subTest(version=version, wrong=wrong):
                    began = time.monotonic()
                    answer = self.ask(client, version, [of(topic, 0), of(*wrong)], max_wait_ms=LONG_MS)
                    self.assertLess(time.monotonic() - began, PATIENCE_S)
                    self.assertEqual(sorted(p["error_code"] for _, p in flat(answer)), [0, error])

    def test_deleted_topic_wakes(self):
        """Item 28: deletion of a topic ends the wait, with an error for its partition."""
        for version in (11, 12, 13, 18):
            with self.subTest(version=version):
                topic = self.topic()
                answer, took = self.wait(version, [of(topic)], lambda t=topic: self.delete_topic(t))
                self.assertLess(took, PATIENCE_S)
                self.assertIn(flat(answer)[0][1]["error_code"], (
                    ERR.UNKNOWN_TOPIC_OR_PARTITION, ERR.NOT_LEADER_OR_FOLLOWER, ERR.UNKNOWN_TOPIC_ID))

    def test_client_that_leaves(self):
        """Item 28: a connection that closes while its fetch waits takes nothing with it."""
        topic = self.topic()
        for _ in range(20):
            client = self.client()
            client.send("Fetch", 12, **self.request(12, [of(topic)], max_wait_ms=LONG_MS))
            client.close()
        self.fill(topic, [b"after"])
        self.assertEqual(values(self.one(self.client(), 12, topic)), [b"after"])

    def test_order_behind_a_wait(self):
        """Item 5: what was sent behind a waiting fetch is answered after it."""
        topic = self.topic()
        client = self.client()
        client.send("Fetch", 12, **self.request(12, [of(topic)], max_wait_ms=500))
        client.send("ApiVersions", 0)
        began = time.monotonic()
        self.assertEqual(flat(client.receive())[0][0], 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.4)
        self.assertError(client.receive()["error_code"], ERR.NONE)

    def test_no_partitions(self):
        """Item 28: a fetch of nothing is answered; there is nothing that it could wait for."""
        for version in VERSIONS:
            began = time.monotonic()
            answer = self.ask(self.client(), version, [], max_wait_ms=LONG_MS)
            self.assertEqual(answer["responses"], [])
            self.assertLess(time.monotonic() - began, PATIENCE_S)


class Epochs(FetchCase):
    def current(self, topic):
        with self.client() as client:
            answer = client.call("Metadata", 12, topics=[{"name": topic}])
        part = answer["topics"][0]["partitions"][0]
        return part["leader_id"], part["leader_epoch"]

    def test_leader_epoch(self):
        """Item 31: an older leader epoch than ours is FENCED (74), a newer one UNKNOWN (75), -1 is not checked; the
        fenced client is told the current leader (v12+)."""
        topic = self.topic()
        self.fill(topic, [b"a"])
        client = self.client()
        leader, epoch = self.current(topic)
        for version in range(9, 19):
            with self.subTest(version=version):
                for good in (-1, epoch):
                    answer = self.one(client, version, topic, current_leader_epoch=good)
                    self.assertEqual(values(answer), [b"a"])
                answer = self.one(client, version, topic, current_leader_epoch=epoch + 1)
                self.assertError(answer["error_code"], ERR.UNKNOWN_LEADER_EPOCH)
                self.assertEqual((answer["high_watermark"], answer["records"]), (-1, b""))
                if epoch > 0:
                    answer = self.one(client, version, topic, current_leader_epoch=epoch - 1)
                    self.assertError(answer["error_code"], ERR.FENCED_LEADER_EPOCH)
                    if version >= 12:
                        self.assertEqual(answer["current_leader"], {"leader_id": leader, "leader_epoch": epoch})

    def test_epoch_goes_before_range(self):
        """Item 31: a wrong epoch is told even when the offset is out of range."""
        topic = self.topic()
        _, epoch = self.current(topic)
        answer = self.one(self.client(), 12, topic, offset=99, current_leader_epoch=epoch + 1)
        self.assertError(answer["error_code"], ERR.UNKNOWN_LEADER_EPOCH)

    def test_diverging_epoch(self):
        """Item 31, KIP-595: whoever read past the end of an epoch is told where that ended, with the watermarks and
        without records; an offset beyond our end with a known epoch is such a one, not out of range."""
        topic = self.topic()
        self.fill(topic, [b"a", b"b"])
        client = self.client()
        _, epoch = self.current(topic)
        for version in range(12, 19):
            with self.subTest(version=version):
                answer = self.one(client, version, topic, offset=1, last_fetched_epoch=epoch)
                self.assertEqual(len(values(answer)), 2)
                answer = self.one(client, version, topic, offset=7, last_fetched_epoch=epoch)
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual(answer["diverging_epoch"], {"epoch": epoch, "end_offset": 2})
                self.assertEqual((answer["high_watermark"], answer["last_stable_offset"]), (2, 2))
                self.assertEqual((answer["log_start_offset"], answer["records"]), (0, b""))
                answer = self.one(client, version, topic, offset=7)
                self.assertError(answer["error_code"], ERR.OFFSET_OUT_OF_RANGE)

    def test_unknown_last_epoch(self):
        """Item 31: a last epoch that we never saw is OFFSET_OUT_OF_RANGE."""
        topic = self.topic()
        self.fill(topic, [b"a", b"b"])
        _, epoch = self.current(topic)
        answer = self.one(self.client(), 12, topic, offset=1, last_fetched_epoch=epoch + 5)
        self.assertError(answer["error_code"], ERR.OFFSET_OUT_OF_RANGE)

    def test_divergence_does_not_wait(self):
        """Item 28, 31: a diverging epoch is told at once."""
        topic = self.topic(partitions=2)
        _, epoch = self.current(topic)
        began = time.monotonic()
        self.ask(self.client(), 12, [of(topic, 0), of(topic, 1, 9, last_fetched_epoch=epoch)], max_wait_ms=LONG_MS)
        self.assertLess(time.monotonic() - began, PATIENCE_S)


class Replicas(FetchCase):
    def test_replica_ids(self):
        """Item 33 and the design: a replica's id in a client's request gives it nothing beyond the high watermark."""
        topic = self.topic()
        self.chronikd_only("Kafka without authorization takes anybody for a replica")
        self.fill(topic, [b"a"])
        client = self.client()
        for version in VERSIONS:
            with self.subTest(version=version):
                state = {"replica_id": 1, "replica_epoch": 1}
                fields = {"replica_state": state} if version >= 15 else {"replica_id": 1}
                try:
                    answer = self.ask(client, version, [of(topic)], **fields)
                except ClientError:
                    client = self.client()
                    continue
                for _, part in flat(answer):
                    self.assertLessEqual(len(values(part)), 1)


class Compressed(FetchCase):
    def test_as_produced(self):
        """Item 26: a compressed batch comes back as it was sent, whatever offset in it was asked."""
        topic = self.topic()
        sent = records.batch([Record(b"v%d" % i, key=b"k") for i in range(5)], codec="gzip")
        self.assertError(self.produce(self.client(), topic, sent)["error_code"], ERR.NONE)
        for offset in range(5):
            answer = self.one(self.client(), 12, topic, offset=offset)
            self.assertEqual(answer["records"][17:], sent[17:])


if __name__ == "__main__":
    unittest.main()
