#!/usr/bin/env python3
"""Where a log begins and ends, and what lies when: ListOffsets, OffsetForLeaderEpoch, DeleteRecords, topics made
anew.

Goal: kafka-semantics items 43 to 48 (each test names its item). Method: batches with chosen timestamps, stored as
sent and compressed anew by the node in each codec; starts moved, then the node stopped or killed.
"""

import time
import unittest

import records
from fetching import FetchCase
from kafka import ERR
from records import Record

VERSIONS = range(1, 12)
LATEST, EARLIEST, MAX_TIME, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING = -1, -2, -3, -4, -5, -6
SINCE = {LATEST: 1, EARLIEST: 1, MAX_TIME: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING: 11}
CODECS = ("uncompressed", "gzip", "snappy", "lz4", "zstd")
NOTHING = (0, -1, -1)


class OffsetsCase(FetchCase):
    def list(self, client, version, topic, timestamp, partition=0, isolation=0, epoch=-1):
        """ListOffsets of one partition; returns its answer."""
        answer = client.call("ListOffsets", version, replica_id=-1, isolation_level=isolation, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [
                {"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": epoch}]}])
        self.assertEqual([t["name"] for t in answer["topics"]], [topic])
        part, = answer["topics"][0]["partitions"]
        self.assertEqual(part["partition_index"], partition)
        return part

    def at(self, *args, **fields):
        """(error, offset, timestamp) of list()."""
        part = self.list(*args, **fields)
        return part["error_code"], part["offset"], part["timestamp"]

    def stamp(self, topic, *stamps, codec="none", partition=0):
        """Produce one batch of records with these timestamps."""
        data = records.batch([Record(b"v" * 20, timestamp=t) for t in stamps], codec=codec)
        answer = self.produce(self.client(), topic, data, partition=partition)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])

    def delete_records(self, client, topic, offset, partition=0, version=2):
        """(error, low watermark)."""
        answer = client.call("DeleteRecords", version, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "offset": offset}]}])
        part, = answer["topics"][0]["partitions"]
        return part["error_code"], part["low_watermark"]

    def ask_end(self, client, version, topic, epoch, partition=0, current=-1):
        """(error, epoch, end offset)."""
        answer = client.call("OffsetForLeaderEpoch", version, replica_id=-1, topics=[{"topic": topic, "partitions": [
            {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}]}])
        part, = answer["topics"][0]["partitions"]
        self.assertEqual(part["partition"], partition)
        return part["error_code"], part["leader_epoch"], part["end_offset"]

    def epoch(self, topic):
        answer = self.client().call("Metadata", 12, topics=[{"name": topic}])
        return answer["topics"][0]["partitions"][0]["leader_epoch"]


class Named(OffsetsCase):
    def test_ends(self):
        """Item 43: -1 is the end and -2 the start, in every version and for both isolation levels; DeleteRecords moves
        the start. Their timestamp is -1."""
        topic, client = self.topic(), self.client()
        for version in VERSIONS:
            self.assertEqual(self.at(client, version, topic, LATEST), (0, 0, -1))
            self.assertEqual(self.at(client, version, topic, EARLIEST), (0, 0, -1))
        self.fill(topic, [b"a", b"b", b"c"])
        self.assertEqual(self.delete_records(client, topic, 2), (0, 2))
        for version in VERSIONS:
            for isolation in (0, 1):
                with self.subTest(version=version, isolation=isolation):
                    self.assertEqual(self.at(client, version, topic, LATEST, isolation=isolation), (0, 3, -1))
                    self.assertEqual(self.at(client, version, topic, EARLIEST, isolation=isolation), (0, 2, -1))

    def test_epochs_of_answers(self):
        """Items 31, 43: from version 4 on an answer has the leader epoch of what it names."""
        topic, client = self.topic(), self.client()
        self.stamp(topic, *[records.now_ms()] * 2)
        epoch = self.epoch(topic)
        for version in range(4, 12):
            for timestamp in (LATEST, EARLIEST, 0) + ((MAX_TIME, EARLIEST_LOCAL) if version >= 8 else ()):
                with self.subTest(version=version, timestamp=timestamp):
                    self.assertEqual(self.list(client, version, topic, timestamp)["leader_epoch"], epoch)

    def test_specials_by_version(self):
        """Item 43: -3 since version 7, -4 since 8, -5 since 9, -6 since 11; before, and for names that nobody knows,
        UNSUPPORTED_VERSION. Without an object tier -4 is the start, -5 and -6 are nothing."""
        topic, client = self.topic(), self.client()
        self.stamp(topic, 1000)
        self.stamp(topic, 3000, 2000)
        self.assertEqual(self.delete_records(client, topic, 1), (0, 1))
        right = {MAX_TIME: (0, 1, 3000), EARLIEST_LOCAL: (0, 1, -1), LATEST_TIERED: NOTHING, EARLIEST_PENDING: NOTHING}
        for version in VERSIONS:
            for timestamp, expected in right.items():
                with self.subTest(version=version, timestamp=timestamp):
                    unsupported = (ERR.UNSUPPORTED_VERSION, -1, -1)
                    self.assertEqual(self.at(client, version, topic, timestamp),
                                     expected if version >= SINCE[timestamp] else unsupported)
            for timestamp in (-7, -100, -1 << 63):
                with self.subTest(version=version, timestamp=timestamp):
                    self.assertEqual(self.at(client, version, topic, timestamp)[0], ERR.UNSUPPORTED_VERSION)

    def test_max_timestamp(self):
        """Item 43, KIP-734: -3 is the first record that has the largest timestamp; an empty log has none."""
        topic, client = self.topic(), self.client()
        for version in range(7, 12):
            self.assertEqual(self.at(client, version, topic, MAX_TIME), NOTHING)
        self.stamp(topic, 100, 900, 300)
        self.stamp(topic, 900, 800)
        self.stamp(topic, 500)
        for version in range(7, 12):
            self.assertEqual(self.at(client, version, topic, MAX_TIME), (0, 1, 900))

    def test_max_timestamp_behind_the_start(self):
        """Items 43, 47: records that DeleteRecords took do not count for -3, though they share a batch with others."""
        topic, client = self.topic(), self.client()
        self.stamp(topic, 100, 900, 300, 200)
        self.stamp(topic, 250)
        self.assertEqual(self.delete_records(client, topic, 2), (0, 2))
        self.assertEqual(self.at(client, 11, topic, MAX_TIME), (0, 2, 300))
        self.assertEqual(self.delete_records(client, topic, 3), (0, 3))
        self.assertEqual(self.at(client, 11, topic, MAX_TIME), (0, 4, 250))
        self.assertEqual(self.delete_records(client, topic, 5), (0, 5))
        self.assertEqual(self.at(client, 11, topic, MAX_TIME), NOTHING)

    def test_named_twice(self):
        """Item 43: a partition that is named twice is INVALID_REQUEST each time, wherever in the request; others are told."""
        topic, client = self.topic(partitions=2), self.client()
        for version in VERSIONS:
            answer = client.call("ListOffsets", version, replica_id=-1, topics=[
                {"name": topic, "partitions": [{"partition_index": i, "timestamp": LATEST}]} for i in (0, 1, 0)])
            self.assertEqual([p["error_code"] for t in answer["topics"] for p in t["partitions"]],
                             [ERR.INVALID_REQUEST, ERR.NONE, ERR.INVALID_REQUEST])

    def test_errors(self):
        """Item 43: unknown topic or partition 3, wrong leader epochs 74 and 75, a partition named twice 42; no
        offset."""
        topic, client = self.topic(), self.client()
        epoch = self.epoch(topic)
        for version in VERSIONS:
            with self.subTest(version=version):
                for unknown in ((self.fresh("nobody"), 0), (topic, 1), (topic, -1)):
                    answer = self.at(client, version, unknown[0], LATEST, partition=unknown[1])
                    self.assertEqual(answer, (ERR.UNKNOWN_TOPIC_OR_PARTITION, -1, -1))
                if version >= 4:
                    self.assertEqual(self.at(client, version, topic, LATEST, epoch=epoch)[0], 0)
                    self.assertEqual(self.at(client, version, topic, LATEST, epoch=epoch + 1),
                                     (ERR.UNKNOWN_LEADER_EPOCH, -1, -1))
                    if epoch > 0:
                        self.assertEqual(self.at(client, version, topic, LATEST, epoch=epoch - 1),
                                         (ERR.FENCED_LEADER_EPOCH, -1, -1))
                twice = client.call("ListOffsets", version, replica_id=-1, topics=[{"name": topic, "partitions": [
                    {"partition_index": 0, "timestamp": LATEST}, {"partition_index": 0, "timestamp": EARLIEST}]}])
                errors = {p["error_code"] for t in twice["topics"] for p in t["partitions"]}
                self.assertEqual(errors, {int(ERR.INVALID_REQUEST)})


class ByTime(OffsetsCase):
    def test_exact_inside_batches(self):
        """Item 43: by time the first record with that timestamp or a later one is found, inside batches of every codec,
        in every version."""
        for codec in CODECS:
            topic, client = self.topic(compression_type=codec), self.client()
            self.stamp(topic, 1000, 1010, 1020, 1030)
            self.stamp(topic, 2000, 2010, 2010, 2030)
            expected = {0: (0, 1000), 1000: (0, 1000), 1001: (1, 1010), 1020: (2, 1020), 1029: (3, 1030),
                        1031: (4, 2000), 2000: (4, 2000), 2005: (5, 2010), 2010: (5, 2010),
                        2011: (7, 2030), 2030: (7, 2030)}
            for version in VERSIONS:
                for timestamp, (offset, stamp) in expected.items():
                    with self.subTest(codec=codec, version=version, timestamp=timestamp):
                        self.assertEqual(self.at(client, version, topic, timestamp), (0, offset, stamp))
            kinds = {b.codec for b in self.stored(topic)}
            self.assertEqual(kinds, {"none" if codec == "uncompressed" else codec})

    def test_gzip_of_the_producer(self):
        """Item 43: the same in a batch that the producer compressed."""
        topic, client = self.topic(), self.client()
        self.stamp(topic, 1000, 1010, 1020, codec="gzip")
        for timestamp, found in ((999, (0, 0, 1000)), (1001, (0, 1, 1010)), (1015, (0, 2, 1020)), (1021, NOTHING)):
            self.assertEqual(self.at(client, 7, topic, timestamp), found)

    def test_after_the_last(self):
        """Item 43: after the last record there is none: offset -1, timestamp -1, no error; in an empty log too."""
        topic, empty, client = self.topic(), self.topic(), self.client()
        self.stamp(topic, 1000, 2000)
        for version in VERSIONS:
            for isolation in (0, 1):
                with self.subTest(version=version, isolation=isolation):
                    for timestamp in (2001, 1 << 62):
                        self.assertEqual(self.at(client, version, topic, timestamp, isolation=isolation), NOTHING)
                    self.assertEqual(self.at(client, version, empty, 0, isolation=isolation), NOTHING)

    def test_out_of_order(self):
        """Item 43: where timestamps go up and down, the first record in the log's order that is not earlier is
        found."""
        for codec in CODECS:
            topic, client = self.topic(compression_type=codec), self.client()
            self.stamp(topic, 5000, 1000, 3000)
            self.stamp(topic, 2000, 9000, 4000)
            self.stamp(topic, 6000)
            for timestamp, offset, stamp in ((0, 0, 5000), (2000, 0, 5000), (5000, 0, 5000), (5001, 4, 9000),
                                             (6000, 4, 9000), (9000, 4, 9000)):
                with self.subTest(codec=codec, timestamp=timestamp):
                    self.assertEqual(self.at(client, 8, topic, timestamp), (0, offset, stamp))
            self.assertEqual(self.at(client, 8, topic, 9001), NOTHING)
            self.assertEqual(self.at(client, 8, topic, MAX_TIME), (0, 4, 9000))

    def test_many_segments(self):
        """Item 43: the same over many segments, with the time index between."""
        topic, client = self.topic(segment_bytes=1 << 20, index_interval_bytes=4096), self.client()
        for i in range(60):
            stamps = [100000 + i * 100 + k for k in range(10)]
            data = records.batch([Record(b"v" * 8000, timestamp=t) for t in stamps])
            self.assertError(self.produce(client, topic, data)["error_code"], ERR.NONE)
        for i in range(60):
            self.assertEqual(self.at(client, 7, topic, 100000 + i * 100 + 5), (0, i * 10 + 5, 100000 + i * 100 + 5))
            self.assertEqual(self.at(client, 7, topic, 100000 + i * 100 - 40), (0, i * 10, 100000 + i * 100))

    def test_log_append_time(self):
        """Items 14, 43: with LogAppendTime a batch has one time, the node's; the first record of the batch is found."""
        topic, client = self.topic(message_timestamp_type="LogAppendTime"), self.client()
        before = records.now_ms()
        self.stamp(topic, 1000, 2000)
        self.stamp(topic, 3000, 4000)
        error, offset, stamp = self.at(client, 7, topic, before)
        self.assertEqual((error, offset), (0, 0))
        self.assertGreaterEqual(stamp, before)
        self.assertEqual(self.at(client, 7, topic, records.now_ms() + 60000), NOTHING)

    def test_behind_the_start(self):
        """Items 43, 47: what DeleteRecords took is not found any more."""
        topic, client = self.topic(), self.client()
        self.stamp(topic, 9000, 1000, 2000)
        self.assertEqual(self.delete_records(client, topic, 1), (0, 1))
        self.assertEqual(self.at(client, 7, topic, 0), (0, 1, 1000))
        self.assertEqual(self.at(client, 7, topic, 1500), (0, 2, 2000))
        self.assertEqual(self.at(client, 7, topic, 2001), NOTHING)


class LeaderEpochs(OffsetsCase):
    def test_ends_of_epochs(self):
        """Item 46: the present epoch ends at the log's end; an epoch that never was, above or below, is (-1, -1)."""
        topic, client = self.topic(), self.client()
        epoch = self.epoch(topic)
        for version in (2, 3, 4):
            with self.subTest(version=version, empty=True):
                self.assertEqual(self.ask_end(client, version, topic, epoch), (0, epoch, 0))
        self.fill(topic, [b"a", b"b"])
        for version in (2, 3, 4):
            with self.subTest(version=version):
                self.assertEqual(self.ask_end(client, version, topic, epoch), (0, epoch, 2))
                self.assertEqual(self.ask_end(client, version, topic, epoch + 1), (0, -1, -1))
                self.assertEqual(self.ask_end(client, version, topic, -1), (0, -1, -1))

    def test_errors(self):
        """Items 31, 46: 3 for what is not there, 74 and 75 for wrong epochs; epoch and offset are -1."""
        topic, client = self.topic(), self.client()
        epoch = self.epoch(topic)
        for version in (2, 3, 4):
            self.assertEqual(self.ask_end(client, version, self.fresh("nobody"), 0),
                             (ERR.UNKNOWN_TOPIC_OR_PARTITION, -1, -1))
            self.assertEqual(self.ask_end(client, version, topic, 0, 5), (ERR.UNKNOWN_TOPIC_OR_PARTITION, -1, -1))
            self.assertEqual(self.ask_end(client, version, topic, epoch, current=epoch + 1),
                             (ERR.UNKNOWN_LEADER_EPOCH, -1, -1))
            self.assertEqual(self.ask_end(client, version, topic, epoch, current=epoch), (0, epoch, 0))


class EpochsOverCrashes(OffsetsCase):
    OWN = True

    def test_older_epochs(self):
        """Items 31, 45, 46: after each crash a new epoch begins where the log ended; older epochs keep their ends,
        and a client that is behind is fenced. Offsets never go back."""
        topic = self.topic()
        ends = {}
        for count in (1, 2, 3):
            client = self.client()
            self.fill(topic, *[[b"x"]] * count)
            epoch = self.epoch(topic)
            ends[epoch] = self.list(client, 4, topic, LATEST)["offset"]
            self.node.restart(kill=True)
            self.assertEqual(self.list(self.client(), 4, topic, LATEST)["offset"], ends[epoch])
        client = self.client()
        now = self.epoch(topic)
        self.assertEqual(list(ends.values()), [1, 3, 6])
        last = -1
        for epoch, end in ends.items():
            self.assertEqual(self.ask_end(client, 4, topic, epoch), (0, epoch, end))
            self.assertEqual(self.list(client, 4, topic, EARLIEST)["leader_epoch"], min(ends))
            self.assertGreater(epoch, last)
            last = epoch
            if epoch < now:
                self.assertError(self.ask_end(client, 4, topic, epoch, current=epoch)[0], ERR.FENCED_LEADER_EPOCH)
                answer = self.one(client, 12, topic, offset=end + 1, last_fetched_epoch=epoch)
                self.assertEqual(answer["diverging_epoch"], {"epoch": epoch, "end_offset": end})
                answer = self.one(client, 12, topic, offset=0, current_leader_epoch=epoch)
                self.assertError(answer["error_code"], ERR.FENCED_LEADER_EPOCH)
                self.assertEqual(answer["current_leader"]["leader_epoch"], now)
        self.assertEqual([b.leader_epoch for b in self.stored(topic)],
                         [e for e, n in zip(ends, (1, 2, 3)) for _ in range(n)])


class Deletion(OffsetsCase):
    def test_rules(self):
        """Item 47: -1 is the high watermark; the start never goes back; above the high watermark and below -1 is
        OFFSET_OUT_OF_RANGE; in every version."""
        client = self.client()
        for version in (0, 1, 2):
            topic = self.topic()
            self.fill(topic, [b"a", b"b", b"c"], [b"d"])
            with self.subTest(version=version):
                def delete(offset, topic=topic, version=version):
                    return self.delete_records(client, topic, offset, version=version)
                self.assertEqual(delete(0), (0, 0))
                self.assertEqual(delete(2), (0, 2))
                self.assertEqual(delete(1), (0, 2))
                self.assertEqual(delete(5), (ERR.OFFSET_OUT_OF_RANGE, -1))
                self.assertEqual(delete(-2), (ERR.OFFSET_OUT_OF_RANGE, -1))
                self.assertEqual(self.at(client, 7, topic, EARLIEST), (0, 2, -1))
                self.assertEqual(delete(-1), (0, 4))
                self.assertEqual(delete(4), (0, 4))
                self.assertEqual(self.at(client, 7, topic, EARLIEST), (0, 4, -1))
                self.fill(topic, [b"e"])
                self.assertEqual(self.at(client, 7, topic, LATEST), (0, 5, -1))
                self.assertEqual([b.base_offset for b in self.stored(topic, offset=4)], [4])

    def test_refusals(self):
        """Item 47: unknown topics and partitions are 3; a topic that is only compacted is POLICY_VIOLATION, an internal
        one INVALID_TOPIC_EXCEPTION."""
        client = self.client()
        topic = self.topic()
        compacted, both = self.topic(cleanup_policy="compact"), self.topic(cleanup_policy="compact,delete")
        client.call("FindCoordinator", 3, key="g", key_type=0)
        self.wait_for_topic("__consumer_offsets", 50)
        for version in (0, 1, 2):
            self.assertEqual(self.delete_records(client, self.fresh("nobody"), 0, version=version),
                             (ERR.UNKNOWN_TOPIC_OR_PARTITION, -1))
            self.assertEqual(self.delete_records(client, topic, 0, partition=3, version=version),
                             (ERR.UNKNOWN_TOPIC_OR_PARTITION, -1))
            self.assertEqual(self.delete_records(client, compacted, 0, version=version), (ERR.POLICY_VIOLATION, -1))
            self.assertEqual(self.delete_records(client, both, 0, version=version), (0, 0))
            self.assertEqual(self.delete_records(client, "__consumer_offsets", 0, version=version),
                             (ERR.INVALID_TOPIC_EXCEPTION, -1))

    def test_several_at_once(self):
        """Item 47: each partition of a request has an answer of its own."""
        topic, client = self.topic(partitions=3), self.client()
        for partition in range(3):
            self.fill(topic, [b"a", b"b"], partition=partition)
        answer = client.call("DeleteRecords", 2, timeout_ms=5000, topics=[{"name": topic, "partitions": [
            {"partition_index": 0, "offset": 1}, {"partition_index": 1, "offset": 9},
            {"partition_index": 2, "offset": -1}]}])
        self.assertEqual(sorted((p["partition_index"], p["error_code"], p["low_watermark"])
                                for p in answer["topics"][0]["partitions"]), [(0, 0, 1), (1, 1, -1), (2, 0, 2)])


class DeletionLasts(OffsetsCase):
    OWN = True

    def test_over_stop_and_kill(self):
        """Item 47: a start that was moved stays there over a stop, a SIGKILL, and later writes."""
        topic = self.topic(partitions=2)
        self.fill(topic, [b"a", b"b", b"c"])
        self.fill(topic, [b"a", b"b"], partition=1)
        for kill, offset in ((False, 1), (True, 2), (True, 3)):
            self.assertEqual(self.delete_records(self.client(), topic, offset), (0, offset))
            self.node.restart(kill=kill)
            client = self.client()
            self.assertEqual(self.at(client, 7, topic, EARLIEST), (0, offset, -1))
            self.assertEqual(self.at(client, 7, topic, EARLIEST, partition=1), (0, 0, -1))
            self.assertError(self.one(client, 12, topic, offset=offset - 1)["error_code"], ERR.OFFSET_OUT_OF_RANGE)
            self.assertEqual(self.delete_records(client, topic, 0), (0, offset))
        self.fill(topic, [b"d"])
        self.node.restart(kill=True)
        self.assertEqual(self.at(self.client(), 7, topic, EARLIEST), (0, 3, -1))
        self.assertEqual(self.at(self.client(), 7, topic, LATEST), (0, 4, -1))


class MadeAnew(OffsetsCase):
    def delete_and_make(self, topic):
        self.delete_topic(topic)
        deadline = time.monotonic() + 20
        while True:         # Kafka knows it for a little longer
            answer = self.client().call("Metadata", 12, topics=[{"name": topic}], allow_auto_topic_creation=False)
            if answer["topics"][0]["error_code"] or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.topic(name=topic)

    def test_nothing_of_old(self):
        """Item 48: a topic made anew has another id, leader epoch 0, and no record, start or end of the old one."""
        topic = self.topic()
        self.fill(topic, [b"old"] * 5)
        client = self.client()
        self.assertEqual(self.delete_records(client, topic, 3), (0, 3))
        old = self.topic_id(topic)
        self.delete_and_make(topic)
        self.assertNotEqual(self.topic_id(topic), old)
        self.assertEqual(self.epoch(topic), 0)
        self.assertEqual(self.at(client, 7, topic, EARLIEST), (0, 0, -1))
        self.assertEqual(self.at(client, 7, topic, LATEST), (0, 0, -1))
        self.assertEqual(self.at(client, 7, topic, 0), NOTHING)
        for version in (4, 12):
            self.assertError(self.one(client, version, topic, offset=4)["error_code"], ERR.OFFSET_OUT_OF_RANGE)
        self.assertError(self.one(client, 13, old)["error_code"], ERR.UNKNOWN_TOPIC_ID)
        self.fill(topic, [b"new"])
        self.assertEqual([r.value for b in self.stored(topic) for r in b.records], [b"new"])

    def test_configs_of_old_are_gone(self):
        """Item 48: what was configured for the deleted topic is not inherited."""
        topic = self.topic(retention_ms=123456)
        self.delete_and_make(topic)
        answer = self.client().call("DescribeConfigs", 4, resources=[
            {"resource_type": 2, "resource_name": topic, "configuration_keys": ["retention.ms"]}])
        self.assertNotEqual(answer["results"][0]["configs"][0]["value"], "123456")

    def test_commits_are_removed(self):
        """Item 48: what groups committed for a deleted topic is gone, also for a topic made anew with that name."""
        topic, group, client = self.topic(), self.fresh("group"), self.client()
        deadline = time.monotonic() + 30
        while True:
            client.call("FindCoordinator", 3, key=group, key_type=0)
            commit = client.call("OffsetCommit", 7, group_id=group, generation_id_or_member_epoch=-1, topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 7}]}])
            error = commit["topics"][0]["partitions"][0]["error_code"]
            if error == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.assertError(error, ERR.NONE)

        def committed():
            answer = client.call("OffsetFetch", 7, group_id=group, topics=[{"name": topic, "partition_indexes": [0]}])
            return answer["topics"][0]["partitions"][0]["committed_offset"]
        self.assertEqual(committed(), 7)
        self.delete_topic(topic)
        deadline = time.monotonic() + 10
        while committed() != -1 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(committed(), -1)
        self.topic(name=topic)
        self.assertEqual(committed(), -1)


class MadeAnewLasts(OffsetsCase):
    OWN = True

    def test_over_a_kill(self):
        """Item 48: after a deletion and a SIGKILL the old records do not come back; the folder of the old topic is
        marked to be removed."""
        topic = self.topic()
        self.fill(topic, [b"old"] * 3)
        old = self.topic_id(topic)
        self.delete_topic(topic)
        self.topic(name=topic)
        self.fill(topic, [b"new"])
        self.node.restart(kill=True)
        self.assertNotEqual(self.topic_id(topic), old)
        self.assertEqual([r.value for b in self.stored(topic) for r in b.records], [b"new"])
        folders = [p.name for p in self.node.data.rglob(f"{topic}-0*") if p.is_dir() and not p.name.endswith("-delete")]
        self.assertEqual(folders, [f"{topic}-0"])


if __name__ == "__main__":
    unittest.main()
