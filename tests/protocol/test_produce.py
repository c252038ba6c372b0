#!/usr/bin/env python3
"""What a broker does with a produced batch: checks it, dates it, stores it, answers for it.

Goal: kafka-semantics items 13 to 19, 24 and 25 (each test names its item). Method: right batches and batches with one
thing wrong against a real node, and a look at what a consumer then gets.
"""

import os
import struct
import time
import unittest

import records
from case import NodeCase
from kafka import ERR, ClientError
from records import Record, batch

HOUR_MS = 3600 * 1000


def noise(size):
    """Bytes that do not compress."""
    return os.urandom(size)


class Batches(NodeCase):
    def refused(self, topic, data, error, version=9, **fields):
        """Produce, expect the error and that nothing was stored; returns the partition's answer."""
        answer = self.produce(self.client(), topic, data, version, **fields)
        self.assertError(answer["error_code"], error, answer.get("error_message"))
        self.assertEqual((answer["base_offset"], answer["log_append_time_ms"]), (-1, -1))
        self.assertEqual(self.stored(topic), [])
        return answer

    def test_offsets_are_the_brokers(self):
        """Item 13: the broker writes base offset and leader epoch into the batch, outside of what the CRC covers; all
        else stays as it was sent, to the byte."""
        topic, client = self.topic(), self.client()
        for i, codec in enumerate(("none", "gzip", "zstd")):
            sent = batch([Record(b"a", b"k", [(b"h", b"v"), (b"n", None)], 1000 + HOUR_MS), Record(None, b"")],
                         codec=codec, leader_epoch=4242)
            answer = self.produce(client, topic, sent)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual(answer["base_offset"], 2 * i)
            raw = self.fetch(client, topic, 2 * i)["records"]
            self.assertEqual(struct.unpack(">qii", raw[:16]), (2 * i, len(sent) - 12, 0))
            self.assertEqual(raw[16:], sent[16:])

    def test_base_offset_must_be_0(self):
        """Item 13, as Kafka 4.3.1 does it: a produced batch with another base offset than 0 is INVALID_RECORD."""
        topic = self.topic()
        for offset in (1, -1, 1 << 40):
            self.refused(topic, batch([b"x"], base_offset=offset), ERR.INVALID_RECORD)

    def test_crc(self):
        """Item 13: CRC-32C, big-endian, from the attributes to the end; one bit anywhere there is noticed."""
        topic, good = self.topic(), batch([Record(b"value", b"key")])
        wrong = {"0": 0, "inverted": ~struct.unpack(">I", good[17:21])[0] & 0xFFFFFFFF,
                 "little-endian": struct.unpack("<I", good[17:21])[0], "from byte 12": records.crc32c(good[12:])}
        for what, crc in wrong.items():
            with self.subTest(what):
                self.refused(topic, good[:17] + struct.pack(">I", crc) + good[21:], ERR.CORRUPT_MESSAGE)
        for at in (21, 22, 26, 27, 35, 43, 60, 61, len(good) - 1):
            with self.subTest(flipped=at):
                self.refused(topic, good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], ERR.CORRUPT_MESSAGE)
        self.assertError(self.produce(self.client(), topic, good)["error_code"], ERR.NONE)

    def test_frame_of_a_batch(self):
        """Item 17: exactly one whole batch of magic 2 for each partition."""
        topic, good = self.topic(), batch([b"x", b"y"])
        for what, data, error in (
                ("two batches", good + good, ERR.INVALID_RECORD),
                ("a batch and a piece", good + good[:30], ERR.INVALID_RECORD),
                ("a piece", good[:-1], ERR.INVALID_RECORD),
                ("16 bytes", good[:16], ERR.INVALID_RECORD),
                ("magic 0", batch([b"x"], magic=0), ERR.INVALID_RECORD),
                ("magic 1", batch([b"x"], magic=1), ERR.INVALID_RECORD),
                ("magic 3", batch([b"x"], magic=3), ERR.CORRUPT_MESSAGE),
                ("magic 255", batch([b"x"], magic=-1), ERR.CORRUPT_MESSAGE),
                ("length 0", batch([b"x"], length=0), ERR.CORRUPT_MESSAGE),
                ("length 48", batch([b"x"], length=48), ERR.CORRUPT_MESSAGE),
                ("length -1", batch([b"x"], length=-1), ERR.CORRUPT_MESSAGE)):
            with self.subTest(what):
                self.refused(topic, data, error)

    def test_counts(self):
        """Item 17: count, last offset delta and offset deltas say 0, 1, 2...; also inside a compressed batch."""
        topic = self.topic()
        two = [Record(b"x"), Record(b"y")]
        for codec in ("none", "gzip", "zstd"):
            for what, data in (
                    ("count 1 of 2", batch(two, codec, count=1, last_offset_delta=0)),
                    ("count 3 of 2", batch(two, codec, count=3, last_offset_delta=2)),
                    ("count 0", batch([], codec)),
                    ("count 0 with records", batch(two, codec, count=0)),
                    ("count -1", batch(two, codec, count=-1, last_offset_delta=-2)),
                    ("count 2^31-1", batch(two, codec, count=2**31 - 1, last_offset_delta=2**31 - 2)),
                    ("last delta 0 of 1", batch(two, codec, last_offset_delta=0)),
                    ("last delta 5 of 1", batch(two, codec, last_offset_delta=5)),
                    ("deltas 0, 2", batch([Record(b"x"), Record(b"y", offset_delta=2)], codec)),
                    ("deltas 0, 0", batch([Record(b"x"), Record(b"y", offset_delta=0)], codec)),
                    ("deltas 1, 0", batch([Record(b"x", offset_delta=1), Record(b"y", offset_delta=0)], codec))):
                with self.subTest(what, codec=codec):
                    self.refused(topic, data, ERR.INVALID_RECORD)

    def test_bodies(self):
        """Item 17: records that do not fit what they say of themselves are refused, not stored."""
        topic, right = self.topic(), Record(b"x").encode(0, 0)
        for what, body in (
                ("bytes behind the last record", right + b"\0"),
                ("a record cut short", right[:-1]),
                ("a record of negative length", records.varint(-5) + right[1:]),
                ("a record longer than its batch", records.varint(1000) + right[1:]),
                ("a value longer than its record", right[:5] + records.varint(40) + right[6:]),
                ("headers that are not there", right[:-1] + records.varint(3)),
                ("a varint without end", b"\xff" * 11)):
            with self.subTest(what):
                self.refused(topic, batch([b"x"], body=body), ERR.INVALID_RECORD)

    def test_broken_compression(self):
        """Item 17: a body that its codec cannot read is refused."""
        topic = self.topic()
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            for what, body in (("nonsense", b"nonsense" * 9), ("nothing", b"")):
                with self.subTest(what, codec=codec):
                    answer = self.produce(self.client(), topic, batch([b"x"], codec, body=body))
                    self.assertIn(answer["error_code"], (ERR.INVALID_RECORD, ERR.CORRUPT_MESSAGE), codec)
        self.assertEqual(self.stored(topic), [])
        whole = batch([noise(500)], codec="gzip")
        self.refused(topic, batch([b"x"], "gzip", body=whole[61:-20]), ERR.INVALID_RECORD)

    def test_unknown_codec(self):
        """Item 17: codec numbers 5 to 7 do not exist."""
        topic = self.topic()
        for number in (5, 6, 7):
            self.refused(topic, batch([b"x"], attributes=number), ERR.UNSUPPORTED_COMPRESSION_TYPE)

    def test_control_batch(self):
        """Item 17: clients cannot write control batches, transactional or not."""
        topic = self.topic()
        for attributes in (records.CONTROL, records.CONTROL | records.TRANSACTIONAL):
            self.refused(topic, batch([Record(b"\0\0\0\0\0\0", b"\0\0\0\1")], attributes=attributes, producer_id=5,
                                      producer_epoch=0, base_sequence=0), ERR.INVALID_RECORD)

    def test_sequence_without_sense(self):
        """Item 17: a producer id with a negative sequence is INVALID_RECORD."""
        self.refused(self.topic(), batch([b"x"], producer_id=5, producer_epoch=0, base_sequence=-1),
                     ERR.INVALID_RECORD)

    def test_max_timestamp_is_put_right(self):
        """Item 17: the header's largest timestamp is what the records say, whatever the producer wrote; the CRC is
        made anew."""
        topic, client, now = self.topic(), self.client(), records.now_ms()
        for codec in ("none", "gzip"):
            sent = batch([Record(b"x", timestamp=now - 5), Record(b"y", timestamp=now - 2)], codec, max_timestamp=now + 9)
            self.assertError(self.produce(client, topic, sent)["error_code"], ERR.NONE)
            self.assertEqual(self.stored(topic)[-1].max_timestamp, now - 2)     # and parse() has checked the CRC

    def test_zstd_in_old_versions(self):
        """Item 19: zstd needs Produce 7; a topic that stores zstd needs Fetch 10. Older versions get
        UNSUPPORTED_COMPRESSION_TYPE. Where producers choose the codec, Kafka lets any consumer read, and so do we."""
        topic, stores_zstd, client = self.topic(), self.topic(compression_type="zstd"), self.client()
        for version in range(3, 7):
            answer = self.produce(client, topic, batch([b"x"], "zstd"), version)
            self.assertError(answer["error_code"], ERR.UNSUPPORTED_COMPRESSION_TYPE)
        self.assertEqual(self.stored(topic), [])
        for version in range(7, 13):
            answer = self.produce(client, topic, batch([b"x"], "zstd"), version)
            self.assertError(answer["error_code"], ERR.NONE)
        self.assertError(self.produce(client, stores_zstd, batch([b"x"], "none"), 3)["error_code"], ERR.NONE)
        self.assertEqual(self.stored(stores_zstd)[0].codec, "zstd")
        for version in range(4, 13):
            self.assertError(self.fetch(client, topic, version=version)["error_code"], ERR.NONE)
            answer = self.fetch(client, stores_zstd, version=version)
            self.assertError(answer["error_code"], ERR.NONE if version >= 10 else ERR.UNSUPPORTED_COMPRESSION_TYPE)
            self.assertEqual(bool(answer["records"]), version >= 10)

    def test_partitions_have_their_own_answers(self):
        """Item 17: in one request each partition is judged by itself; unknown ones get their own error."""
        topic, other = self.topic(partitions=3), self.topic()
        answer = self.client().call("Produce", 9, acks=-1, timeout_ms=5000, topic_data=[
            {"name": topic, "partition_data": [{"index": 2, "records": batch([b"x"])},
                                               {"index": 0, "records": batch([b"x"], crc=1)},
                                               {"index": 7, "records": batch([b"x"])},
                                               {"index": -1, "records": batch([b"x"])}]},
            {"name": "no-such-topic", "partition_data": [{"index": 0, "records": batch([b"x"])}]},
            {"name": other, "partition_data": [{"index": 0, "records": batch([b"x", b"y"])}]}])
        got = [(t["name"], p["index"], p["error_code"], p["base_offset"])
               for t in answer["responses"] for p in t["partition_responses"]]
        unknown = ERR.UNKNOWN_TOPIC_OR_PARTITION
        self.assertEqual(got, [(topic, 2, 0, 0), (topic, 0, ERR.CORRUPT_MESSAGE, -1), (topic, 7, unknown, -1),
                               (topic, -1, unknown, -1), ("no-such-topic", 0, unknown, -1), (other, 0, 0, 0)])

    def test_by_topic_id(self):
        """Item 17: Produce 13 names topics by id; an id that nothing has is UNKNOWN_TOPIC_ID."""
        topic, client = self.topic(), self.client()
        for topic_id, error in ((self.topic_id(topic), ERR.NONE), (bytes(15) + b"\7", ERR.UNKNOWN_TOPIC_ID),
                                (bytes(16), ERR.UNKNOWN_TOPIC_ID)):
            answer = client.call("Produce", 13, acks=-1, timeout_ms=5000, topic_data=[
                {"topic_id": topic_id, "partition_data": [{"index": 0, "records": batch([b"x"])}]}])
            self.assertEqual(answer["responses"][0]["topic_id"], topic_id)
            self.assertError(answer["responses"][0]["partition_responses"][0]["error_code"], error)

    def test_internal_topics(self):
        """Item 17: clients may read but not write __consumer_offsets."""
        client = self.client()
        def coordinator():
            answer = client.call("FindCoordinator", 4, key_type=0, coordinator_keys=["group"])
            return answer["coordinators"][0]["error_code"] == ERR.NONE
        self.wait_until(coordinator, "no coordinator")
        answer = self.produce(client, "__consumer_offsets", [Record(b"v", b"k")])
        self.assertError(answer["error_code"], ERR.INVALID_TOPIC_EXCEPTION)
        self.assertEqual(self.stored("__consumer_offsets"), [])

    def test_log_start_in_the_answer(self):
        """Item 17: log_start_offset (v5) is where the log begins, also after DeleteRecords."""
        topic, client = self.topic(), self.client()
        self.assertEqual(self.produce(client, topic, [b"a", b"b", b"c"])["log_start_offset"], 0)
        client.call("DeleteRecords", 2, timeout_ms=5000,
                    topics=[{"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}])
        self.assertEqual(self.produce(client, topic, [b"d"])["log_start_offset"], 2)


class Timestamps(NodeCase):
    def test_log_append_time(self):
        """Item 14: with LogAppendTime the stored batch has the type bit and the time of arrival, the CRC is right
        again, the records' deltas are as sent; the answer tells the time."""
        topic, client = self.topic(message_timestamp_type="LogAppendTime"), self.client()
        for codec in ("none", "gzip"):
            sent = batch([Record(b"x", timestamp=1000), Record(b"y", timestamp=1007)], codec)
            before = records.now_ms()
            answer = self.produce(client, topic, sent)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertTrue(before <= answer["log_append_time_ms"] <= records.now_ms())
            stored = self.stored(topic)[-1]                                     # parse() has checked the CRC
            self.assertTrue(stored.log_append_time)
            self.assertEqual(stored.max_timestamp, answer["log_append_time_ms"])
            self.assertEqual(stored.base_timestamp, 1000)
            self.assertEqual([r.timestamp for r in stored.records], [answer["log_append_time_ms"]] * 2)
            raw = self.fetch(client, topic, stored.base_offset)["records"]
            self.assertEqual(raw[61:], sent[61:])

    def test_create_time_in_the_answer(self):
        """Item 14: with CreateTime the answer's log_append_time_ms is -1 and the type bit is not set."""
        topic = self.topic()
        self.assertEqual(self.produce(self.client(), topic, [b"x"])["log_append_time_ms"], -1)
        self.assertFalse(self.stored(topic)[0].log_append_time)

    def test_producers_do_not_set_the_type(self):
        """Item 14: the type bit in a produced batch is INVALID_TIMESTAMP, whatever the topic's type."""
        for kind in ("CreateTime", "LogAppendTime"):
            topic = self.topic(message_timestamp_type=kind)
            answer = self.produce(self.client(), topic, batch([b"x"], attributes=records.LOG_APPEND_TIME))
            self.assertError(answer["error_code"], ERR.INVALID_TIMESTAMP)
            self.assertEqual(self.stored(topic), [])

    def try_times(self, topic, times, error, version=9, codec="none"):
        answer = self.produce(self.client(), topic, batch([Record(b"x", timestamp=t) for t in times], codec), version)
        self.assertError(answer["error_code"], error, answer.get("error_message"))
        return answer

    def test_limits(self):
        """Item 15: a record dated too far before or after the broker's clock is INVALID_TIMESTAMP; the whole batch is
        refused and the record is named (KIP-467)."""
        topic = self.topic(message_timestamp_before_max_ms=60000, message_timestamp_after_max_ms=120000)
        now = records.now_ms()
        for times in ([now], [now - 50000], [now + 110000], [now + 110000, now - 50000]):
            self.try_times(topic, times, ERR.NONE)
        count = len(self.stored(topic))
        for times, wrong in (([now - 70000], [0]), ([now + 130000], [0]), ([now, now - 70000, now, now + 130000], [1, 3]),
                             ([0], [0]), ([1 << 62], [0])):
            for version in range(3, 13):
                for codec in ("none", "gzip"):
                    with self.subTest(times=times, version=version, codec=codec):
                        answer = self.try_times(topic, times, ERR.INVALID_TIMESTAMP, version, codec)
                        if version >= 8:
                            self.assertEqual([e["batch_index"] for e in answer["record_errors"]], wrong)
                            self.assertTrue(answer["error_message"])
        self.assertEqual(len(self.stored(topic)), count)

    def test_default_limits(self):
        """Item 15: unless set, an hour after the clock is the limit, and there is none before it. No timestamp (-1) is
        always fine."""
        topic, now = self.topic(), records.now_ms()
        self.try_times(topic, [now + HOUR_MS - 60000], ERR.NONE)
        self.try_times(topic, [0], ERR.NONE)
        self.try_times(topic, [now + HOUR_MS + 60000], ERR.INVALID_TIMESTAMP)
        strict = self.topic(message_timestamp_before_max_ms=1000)
        self.assertError(self.produce(self.client(), strict, batch([b"x"], base_timestamp=-1))["error_code"], ERR.NONE)

    def test_no_limits_with_log_append_time(self):
        """Item 15: the limits judge the producer's clock, so LogAppendTime knows none."""
        topic = self.topic(message_timestamp_type="LogAppendTime", message_timestamp_before_max_ms=1000,
                           message_timestamp_after_max_ms=1000)
        self.try_times(topic, [0, 1 << 50], ERR.NONE)


class Sizes(NodeCase):
    SETTINGS = ["storage.max_message_bytes=5000"]

    def produce_of(self, topic, size, codec="none", data=noise):
        """A batch of exactly @size bytes when the codec is none."""
        room = size - len(batch([b""]))
        while len(batch([data(room)])) > size:                  # length prefixes grow
            room -= 1
        sent = batch([data(room)], codec)
        if codec == "none":
            self.assertEqual(len(sent), size)
        return self.produce(self.client(), topic, sent)

    def test_topic_before_broker(self):
        """Item 16: a batch larger than max.message.bytes is MESSAGE_TOO_LARGE; the topic's value counts more than the
        broker's, larger and smaller. The limit itself is allowed."""
        for limit, configs in ((5000, {}), (1000, {"max_message_bytes": 1000}), (9000, {"max_message_bytes": 9000})):
            with self.subTest(limit=limit):
                topic = self.topic(**configs)
                self.assertError(self.produce_of(topic, limit)["error_code"], ERR.NONE)
                self.assertError(self.produce_of(topic, limit + 1)["error_code"], ERR.MESSAGE_TOO_LARGE)
                self.assertEqual(len(self.stored(topic)), 1)

    def test_limit_can_change(self):
        """Item 16: a limit that is altered holds for the next batch."""
        topic, client = self.topic(max_message_bytes=1000), self.client()
        self.assertError(self.produce_of(topic, 2000)["error_code"], ERR.MESSAGE_TOO_LARGE)
        answer = client.call("IncrementalAlterConfigs", 1, resources=[{
            "resource_type": 2, "resource_name": topic,
            "configs": [{"name": "max.message.bytes", "config_operation": 0, "value": "2000"}]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE)
        self.wait_until(lambda: self.produce_of(topic, 2000)["error_code"] == ERR.NONE, "the old limit holds on")
        self.assertError(self.produce_of(topic, 2001)["error_code"], ERR.MESSAGE_TOO_LARGE)

    def test_compressed_size_counts(self):
        """Item 16: what counts is the size as stored: compressed, not what is in it."""
        topic = self.topic()
        self.assertError(self.produce_of(topic, 100000, "gzip", data=bytes)["error_code"], ERR.NONE)
        self.assertError(self.produce_of(topic, 20000, "gzip")["error_code"], ERR.MESSAGE_TOO_LARGE)

    def test_recompressed_size_counts(self):
        """Item 16: a topic with its own codec stores in it, and the limit is asked again after that."""
        topic = self.topic(compression_type="uncompressed")
        self.assertError(self.produce_of(topic, 4000, "gzip", data=bytes)["error_code"], ERR.NONE)
        stored = self.stored(topic)[0]
        self.assertEqual((stored.codec, stored.size), ("none", 4000))
        self.assertError(self.produce_of(topic, 6000, "gzip", data=bytes)["error_code"], ERR.MESSAGE_TOO_LARGE)
        self.assertEqual(len(self.stored(topic)), 1)

    def test_recompression(self):
        """Item 16: a topic's codec is used for what comes in another one, and the records stay what they were."""
        topic, now = self.topic(compression_type="gzip"), records.now_ms()
        sent = [Record(b"x" * 1000, b"k", [(b"h", b"v")], now), Record(None, None, [], now - 7)]
        for codec in ("none", "zstd", "gzip"):
            self.assertError(self.produce(self.client(), topic, batch(sent, codec))["error_code"], ERR.NONE)
        for i, stored in enumerate(self.stored(topic)):
            self.assertEqual((stored.codec, stored.base_offset, stored.count), ("gzip", 2 * i, 2))
            self.assertEqual([(r.key, r.value, r.headers, r.timestamp) for r in stored.records],
                             [(r.key, r.value, r.headers, r.timestamp) for r in sent])

    def test_larger_than_a_segment(self):
        """Item 16: a batch that no segment can hold is RECORD_LIST_TOO_LARGE."""
        topic = self.topic(segment_bytes=4096, max_message_bytes=100000)
        self.assertError(self.produce_of(topic, 4096)["error_code"], ERR.NONE)
        self.assertError(self.produce_of(topic, 4097)["error_code"], ERR.RECORD_LIST_TOO_LARGE)
        self.assertError(self.produce_of(topic, 4000)["error_code"], ERR.NONE)
        self.assertEqual([b.base_offset for b in self.stored(topic)], [0, 1])


class Compacted(NodeCase):
    def test_null_key(self):
        """Item 18: a record without key in a compacted topic is INVALID_RECORD; the records are named from v8 on, and
        one of them refuses the whole batch."""
        client = self.client()
        for policy in ("compact", "compact,delete"):
            topic = self.topic(cleanup_policy=policy)
            mixed = [Record(b"a", b"k"), Record(b"b"), Record(b"c", b""), Record(b"d")]
            for codec in ("none", "gzip"):
                for version in range(3, 13):
                    with self.subTest(policy=policy, codec=codec, version=version):
                        answer = self.produce(client, topic, batch(mixed, codec), version)
                        self.assertError(answer["error_code"], ERR.INVALID_RECORD)
                        self.assertEqual(answer["base_offset"], -1)
                        self.assertEqual("record_errors" in answer, version >= 8)
                        for error in answer.get("record_errors", []):
                            self.assertTrue(error["batch_index_error_message"])
                        if version >= 8:
                            self.assertEqual([e["batch_index"] for e in answer["record_errors"]], [1, 3])
                            self.assertTrue(answer["error_message"])
            self.assertEqual(self.stored(topic), [])
            self.assertError(self.produce(client, topic, [Record(b"a", b"k"), Record(None, b"")])["error_code"], ERR.NONE)

    def test_null_key_elsewhere(self):
        """Item 18: a topic that is not compacted takes records without key; no error means no record errors."""
        answer = self.produce(self.client(), self.topic(), [Record(b"a")])
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual((answer["record_errors"], answer["error_message"]), ([], None))


class Durability(NodeCase):
    DISK = True

    def send(self, client, topic, acks, value, timeout_ms=20000):
        fields = {"acks": acks, "timeout_ms": timeout_ms, "topic_data": [
            {"name": topic, "partition_data": [{"index": 0, "records": batch([value])}]}]}
        if acks == 0:
            client.send_unanswered("Produce", 9, **fields)
        else:
            client.send("Produce", 9, **fields)

    def latest(self, topic):
        answer = self.client().call("ListOffsets", 7, replica_id=-1, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "timestamp": -1}]}])
        return answer["topics"][0]["partitions"][0]["offset"]

    def appended(self, topic, size):
        """Wait until a log holds so many bytes, durable or not."""
        def holds():
            answer = self.client().call("DescribeLogDirs", 4, topics=[{"topic": topic, "partitions": [0]}])
            return sum(p["partition_size"] for r in answer["results"] for t in r["topics"]
                       for p in t["partitions"]) >= size
        self.wait_until(holds, f"the log of {topic} does not reach {size} bytes")

    def test_nothing_is_seen_before_it_is_durable(self):
        """Item 24: what waits for the disk is invisible to consumers, acks=0 and 1 included; acks=1 and -1 are not
        answered before. When the disk has it, both come."""
        for acks in (0, 1, -1):
            with self.subTest(acks=acks):
                topic, producer, consumer = self.topic(), self.client(), self.client()
                self.assertError(self.produce(self.client(), topic, [b"first"])["error_code"], ERR.NONE)
                self.hold(topic)
                self.send(producer, topic, acks, b"second")
                self.appended(topic, 2 * 61)
                answer = self.fetch(consumer, topic, max_wait_ms=200, min_bytes=1000)
                self.assertEqual(records.values(answer["records"]), [b"first"])
                self.assertEqual((answer["high_watermark"], answer["last_stable_offset"]), (1, 1))
                self.assertEqual(self.latest(topic), 1)
                self.assertEqual(self.fetch(consumer, topic, 1)["records"] or b"", b"")
                if acks:
                    self.assertTrue(producer.silent(0.1))
                self.disk.release()
                answer = self.fetch(consumer, topic, 1, max_wait_ms=5000)
                self.assertEqual(records.values(answer["records"]), [b"second"])
                self.assertEqual(self.latest(topic), 2)
                if acks:
                    answer = producer.receive()["responses"][0]["partition_responses"][0]
                    self.assertEqual((answer["error_code"], answer["base_offset"]), (ERR.NONE, 1))

    def test_kafkas_own_promise(self):
        """Item 24: with chronik.flush.before.ack=false memory is enough: answered and visible while the disk waits."""
        topic, client = self.topic(chronik_flush_before_ack="false", flush_messages=1), self.client()
        self.hold(topic)
        for i, acks in enumerate((1, -1)):
            self.assertEqual(self.produce(client, topic, [b"x"], acks=acks)["base_offset"], i)
        self.assertEqual(len(self.stored(topic)), 2)
        self.assertEqual(self.latest(topic), 2)

    def test_time_out(self):
        """Item 24: when the disk takes longer than the request's time-out, REQUEST_TIMED_OUT; the batch is appended
        all the same and appears later."""
        for acks in (1, -1):
            topic, client = self.topic(), self.client()
            self.hold(topic)
            began = time.monotonic()
            self.send(client, topic, acks, b"late", timeout_ms=300)
            answer = client.receive()["responses"][0]["partition_responses"][0]
            self.assertError(answer["error_code"], ERR.REQUEST_TIMED_OUT)
            self.assertTrue(0.25 < time.monotonic() - began < 5)
            self.disk.release()
            self.assertEqual(records.values(self.fetch(client, topic, max_wait_ms=5000)["records"]), [b"late"])

    def test_topic_deleted_meanwhile(self):
        """Item 24: requests that wait for a topic's disk when the topic is deleted get an error, not silence; the
        connection goes on."""
        topic, waiting = self.topic(), [self.client() for _ in range(2)]
        self.hold(topic)
        for client, acks in zip(waiting, (-1, 1)):
            self.send(client, topic, acks, b"x")
        self.appended(topic, 2 * 61)
        other = self.client()
        other.send("DeleteTopics", 5, topic_names=[topic], timeout_ms=10000)
        for client in waiting:
            answer = client.receive()["responses"][0]["partition_responses"][0]
            self.assertIn(answer["error_code"], (ERR.NOT_LEADER_OR_FOLLOWER, ERR.UNKNOWN_TOPIC_OR_PARTITION))
            client.call("ApiVersions", 0)
        self.disk.release()
        self.assertError(other.receive()["responses"][0]["error_code"], ERR.NONE)

    def test_min_insync_replicas_of_one_replica(self):
        """Item 24, KIP-966: a topic with one replica cannot need two, so acks=all is not refused."""
        topic = self.topic(min_insync_replicas=2)
        self.assertError(self.produce(self.client(), topic, [b"x"])["error_code"], ERR.NONE)


class StopWhileWaiting(NodeCase):
    DISK = True

    def test_stop(self):
        """Item 24: a node that is stopped while a producer waits for the disk ends well once the disk is there; what it
        had confirmed is there afterwards."""
        topic, client = self.topic(), self.client()
        self.hold(topic)
        client.send("Produce", 9, acks=-1, timeout_ms=20000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": batch([b"x"])}]}])
        self.assertTrue(client.silent())
        self.node.process.terminate()
        self.assertFalse(client.closed(0.3) and self.node.process.poll() == 0, "it did not wait for the disk")
        self.disk.release()
        confirmed = False
        try:
            answer = client.receive()["responses"][0]["partition_responses"][0]
            confirmed = answer["error_code"] == ERR.NONE
        except ClientError:
            pass                                                # closing without an answer is honest as well
        self.assertEqual(self.node.process.wait(20), 0)
        self.node.start()
        self.assertEqual([r.value for b in self.stored(topic) for r in b.records], [b"x"])
        self.assertTrue(confirmed, "a request in work is answered before the connection is closed")


class FailedDisk(NodeCase):
    DISK = True

    def test_failed_sync(self):
        """Item 24: a sync that fails is an error for acks=1 and -1 and closes acks=0's next request; nothing of it is
        ever shown; other topics go on. After a restart with a right disk the partition does too."""
        broken, fine = self.topic(), self.topic()
        client = self.client()
        self.assertError(self.produce(client, broken, [b"before"])["error_code"], ERR.NONE)
        self.addCleanup(self.disk.release)
        self.disk.fail(broken)
        for acks in (-1, 1):
            answer = self.produce(client, broken, [b"lost"], acks=acks)
            self.assertError(answer["error_code"], ERR.KAFKA_STORAGE_ERROR)
            self.assertEqual(answer["base_offset"], -1)
        self.assertError(self.produce(client, fine, [b"x"])["error_code"], ERR.NONE)
        answer = self.fetch(client, broken, max_wait_ms=100)
        self.assertEqual((records.values(answer["records"]), answer["high_watermark"]), ([b"before"], 1))
        self.disk.release()
        self.assertError(self.produce(client, broken, [b"still"])["error_code"], ERR.KAFKA_STORAGE_ERROR)
        self.node.restart(kill=True)
        answer = self.produce(self.client(), broken, [b"after"])
        self.assertError(answer["error_code"], ERR.NONE)
        values = [r.value for b in self.stored(broken) for r in b.records]
        self.assertEqual(values, [b"before", b"after"], "what the disk may not hold was read back from the page cache")


class AutoCreation(NodeCase):
    SETTINGS = ["topics.num_partitions=3"]

    def metadata(self, topics, version=12, **fields):
        if topics is not None:
            topics = [{"name": t} for t in topics]
        return self.client().call("Metadata", version, topics=topics, **fields)["topics"]

    def names(self):
        return {t["name"] for t in self.metadata(None)}

    def test_metadata_creates(self):
        """Item 25: Metadata for an unknown name creates the topic with the default number of partitions, in all
        versions, and it can be used soon: within a second, through answers LEADER_NOT_AVAILABLE or UNKNOWN_TOPIC."""
        for version in range(14):
            with self.subTest(version=version):
                name, deadline = self.fresh(), time.monotonic() + 1
                while True:
                    topic, = self.metadata([name], version)
                    if topic["error_code"] == ERR.NONE:
                        break
                    self.assertIn(topic["error_code"], (ERR.LEADER_NOT_AVAILABLE, ERR.UNKNOWN_TOPIC_OR_PARTITION))
                    self.assertLess(time.monotonic(), deadline)
                self.assertEqual([p["leader_id"] for p in topic["partitions"]], [1, 1, 1])
                for partition in range(3):
                    answer = self.produce(self.client(), name, [b"x"], partition=partition)
                    self.assertError(answer["error_code"], ERR.NONE)

    def test_client_may_say_no(self):
        """Item 25: allow_auto_topic_creation=false (v4+) creates nothing."""
        for version in range(4, 14):
            name = self.fresh()
            topic, = self.metadata([name], version, allow_auto_topic_creation=False)
            self.assertError(topic["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
            self.assertEqual(topic["name"], name)
            self.assertNotIn(name, self.names())

    def test_asking_for_all_creates_nothing(self):
        """Item 25: null (all) and an empty list create nothing; empty means all in version 0 and none later."""
        self.topic()
        before = self.names()
        for version in range(1, 14):
            self.assertEqual({t["name"] for t in self.metadata(None, version)}, before)
            self.assertEqual(self.metadata([], version), [])
        self.assertEqual({t["name"] for t in self.metadata([], 0)}, before)
        self.assertEqual(self.names(), before)

    def test_produce_and_fetch_create_nothing(self):
        """Item 25: Produce, Fetch, ListOffsets and CreatePartitions of an unknown topic are errors and create nothing."""
        name, client = self.fresh(), self.client()
        self.assertError(self.produce(client, name, [b"x"])["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertError(self.fetch(client, name)["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        answer = client.call("ListOffsets", 7, topics=[{"name": name, "partitions": [{"timestamp": -1}]}])
        self.assertError(answer["topics"][0]["partitions"][0]["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertNotIn(name, self.names())

    def test_bad_names(self):
        """Item 25: names that no topic can have are INVALID_TOPIC_EXCEPTION and create nothing, one beside right ones."""
        good = self.fresh()
        bad = ["", ".", "..", "a b", "a/b", "ä", "a\n", "x" * 250]
        answers = {t["name"]: t["error_code"] for t in self.metadata([*bad, good])}
        for name in bad:
            with self.subTest(name=name):
                self.assertError(answers[name], ERR.INVALID_TOPIC_EXCEPTION)
        self.assertIn(answers[good], (ERR.NONE, ERR.LEADER_NOT_AVAILABLE))
        self.assertTrue(self.names().isdisjoint(bad))
        longest = "y" * 249
        self.assertIn(self.metadata([longest])[0]["error_code"], (ERR.NONE, ERR.LEADER_NOT_AVAILABLE))

    def test_colliding_names(self):
        """Item 25: names that differ only in '.' and '_' cannot both be, since metrics would mix them; also when one
        request asks for both."""
        base = self.fresh("col")
        self.assertIn(self.metadata([base + ".a_b"])[0]["error_code"], (ERR.NONE, ERR.LEADER_NOT_AVAILABLE))
        for other in (base + "_a_b", base + ".a.b", base + "_a.b"):
            self.assertError(self.metadata([other])[0]["error_code"], ERR.INVALID_TOPIC_EXCEPTION)
        both = self.metadata([base + ".both", base + "_both"])
        self.assertEqual(sorted(t["error_code"] == ERR.INVALID_TOPIC_EXCEPTION for t in both), [False, True])

    def test_twice_in_one_request(self):
        """Item 25: a name that is asked for twice is created once."""
        name = self.fresh()
        for topic in self.metadata([name, name]):
            self.assertIn(topic["error_code"], (ERR.NONE, ERR.LEADER_NOT_AVAILABLE))
        self.assertEqual(self.metadata([name])[0]["error_code"], ERR.NONE)

    def test_many_clients_at_once(self):
        """Item 25: clients that ask for the same new topic at the same time all get it, and it is one topic."""
        name = self.fresh()
        clients = [self.client() for _ in range(20)]
        for client in clients:
            client.send("Metadata", 12, topics=[{"name": name}])
        ids = set()
        for client in clients:
            topic, = client.receive()["topics"]
            self.assertIn(topic["error_code"], (ERR.NONE, ERR.LEADER_NOT_AVAILABLE))
            ids.add(topic["topic_id"])
        self.assertEqual(len(ids - {bytes(16)}), 1)

    def test_ids_create_nothing(self):
        """Item 25: an unknown topic id is UNKNOWN_TOPIC_ID and creates nothing."""
        before = self.names()
        answer = self.client().call("Metadata", 12, topics=[{"topic_id": b"\1" * 16, "name": None}])
        self.assertError(answer["topics"][0]["error_code"], ERR.UNKNOWN_TOPIC_ID)
        self.assertEqual(self.names(), before)


class NoAutoCreation(NodeCase):
    SETTINGS = ["topics.auto_create=false"]

    def test_switched_off(self):
        """Item 25: with auto.create.topics.enable=false nothing is created, whatever the client allows."""
        for version in range(14):
            answer = self.client().call("Metadata", version, topics=[{"name": "wanted"}])
            self.assertError(answer["topics"][0]["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.client().call("Metadata", 12, topics=None)["topics"], [])


if __name__ == "__main__":
    unittest.main()
