#!/usr/bin/env python3
"""Record batches that nobody should store.

Goal: what is wrong with a batch is answered with Kafka's error for that partition alone, in every codec; nothing of it is
stored, the other partitions of the request and other clients go on, and no batch makes the node take memory or time out
of proportion. Method: beside.py's healthy client, records.py's headers, packed.py's bodies.
Sources: kafka-semantics items 7, 13, 16, 17; KIP-98, KIP-110.
"""

import struct
import time
import unittest

import records
from beside import BesideCase
from kafka import ERR
from packed import CODECS, bomb, stored
from records import Record

ALL_CODECS = ("none", *CODECS)
MESSAGE_MAX = 1 << 20


def body_of(values):
    return b"".join(Record(v).encode(i, 0) for i, v in enumerate(values))


def packed(codec, body):
    return body if codec == "none" else stored(codec, body)


def batch(codec, values=(b"a", b"b", b"c"), body=None, **header):
    body = packed(codec, body_of(values)) if body is None else body
    return records.batch([b""] * len(values), codec=codec, body=body, base_timestamp=records.now_ms(), **header)


def head_of(zeros):
    """A record whose value is @zeros bytes of zero: its bytes up to the value. One zero more ends it (no headers)."""
    inside = b"\0" + records.varint(0) + records.varint(0) + records.varint(-1) + records.varint(zeros)
    return records.varint(len(inside) + zeros + 1) + inside


class BatchCase(BesideCase):
    SETTINGS = ["performance.buffer_memory=8MiB", f"storage.max_message_bytes={MESSAGE_MAX}"]

    def setUp(self):
        super().setUp()
        self.name = self.topic(partitions=2)
        self.stored_count = 0

    def refused(self, data, expected, what):
        """@data gets @expected; a good batch for the other partition of the same request is stored."""
        client = self.client()
        answer = client.call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[{"name": self.name, "partition_data": [
            {"index": 0, "records": data}, {"index": 1, "records": records.batch([what.encode()])}]}])
        bad, good = answer["responses"][0]["partition_responses"]
        self.assertError(bad["error_code"], expected, f"{what}: {bad['error_message']}")
        self.assertTrue(bad["error_message"], f"{what}: an error without a message")
        self.assertEqual(bad["base_offset"], -1)
        self.assertError(good["error_code"], ERR.NONE)
        self.assertEqual(good["base_offset"], self.stored_count)
        self.stored_count += 1
        client.close()

    def tearDown(self):
        self.assertEqual(self.stored(self.name, 0), [], "something of the refused batches was stored")
        self.assertEqual(len(self.stored(self.name, 1)), self.stored_count)
        super().tearDown()


class Wrong(BatchCase):
    def test_right_ones(self):
        """The bodies of packed.py are right: all codecs are accepted, and read back as they were."""
        for codec in ALL_CODECS:
            topic, data = self.topic(), batch(codec)
            self.assertError(self.produce(self.client(), topic, data)["error_code"], ERR.NONE, codec)
            fetched = self.fetch(self.client(), topic)["records"]
            self.assertEqual(fetched[records.CRC_FROM:], data[records.CRC_FROM:])

    def test_wrong_crc(self):
        """A CRC that does not fit is CORRUPT_MESSAGE, in every codec and wherever the wrong bit is."""
        for codec in ALL_CODECS:
            good = batch(codec)
            self.refused(good[:17] + b"\0\0\0\0" + good[21:], ERR.CORRUPT_MESSAGE, f"{codec}, CRC 0")
            for at in range(records.CRC_FROM, len(good)):
                bad = bytearray(good)
                bad[at] ^= 0x10
                self.refused(bytes(bad), ERR.CORRUPT_MESSAGE, f"{codec}, byte {at}")

    def test_wrong_counts(self):
        """Item 17: a count that is not the number of records is INVALID_RECORD."""
        for codec in ALL_CODECS:
            for count in (1, 2, 4, 1000, 0x7FFFFFFF):
                self.refused(batch(codec, count=count, last_offset_delta=count - 1), ERR.INVALID_RECORD,
                             f"{codec}, count {count} for 3")
            for count in (0, -1, -0x80000000):
                self.refused(batch(codec, count=count), ERR.INVALID_RECORD, f"{codec}, count {count}")
            for delta in (1, 3, -1, 0x7FFFFFFF):
                self.refused(batch(codec, last_offset_delta=delta), ERR.INVALID_RECORD, f"{codec}, delta {delta}")

    def test_unknown_codec(self):
        """Codecs 5 to 7 do not exist: UNSUPPORTED_COMPRESSION_TYPE."""
        for number in (5, 6, 7):
            self.refused(batch("none", attributes=number), ERR.UNSUPPORTED_COMPRESSION_TYPE, f"codec {number}")

    def test_wrong_codec(self):
        """A body that is not what the attributes say is INVALID_RECORD."""
        for said in ALL_CODECS:
            for codec in ALL_CODECS:
                if said != codec:
                    data = batch(codec, attributes=records.CODECS[said])
                    self.refused(data, ERR.INVALID_RECORD, f"{codec} called {said}")

    def test_cut_bodies(self):
        """A body that ends early, with a right CRC of what is left, is INVALID_RECORD at every byte; so is a frame of
        a codec without its own end."""
        for codec in ALL_CODECS:
            whole = packed(codec, body_of((b"a", b"b", b"c")))
            for cut in range(len(whole)):
                self.refused(batch(codec, body=whole[:cut]), ERR.INVALID_RECORD, f"{codec} cut to {cut}")

    def test_more_behind(self):
        """Bytes behind the last record are INVALID_RECORD."""
        for codec in ALL_CODECS:
            for more in (b"\0", b"\0" * 100, body_of((b"d",))):
                data = batch(codec, body=packed(codec, body_of((b"a", b"b", b"c")) + more))
                self.refused(data, ERR.INVALID_RECORD, f"{codec} and {len(more)} bytes")

    def test_wrong_lengths(self):
        """The batch's own length field: 2 GB, negative, one off."""
        size = len(batch("none")) - 12
        for length in (0x7FFFFFFF, -1, -0x80000000, 0, 48, size - 1, size + 1):
            data = batch("none", length=length)
            client = self.client()
            answer = self.produce(client, self.name, data)
            self.assertIn(ERR(answer["error_code"]), (ERR.INVALID_RECORD, ERR.CORRUPT_MESSAGE), f"length {length}")

    def test_wrong_records(self):
        """Lengths within a record that lie: huge, negative, beyond the record."""
        for codec in ALL_CODECS:
            for what, body in self.wrong_records():
                self.refused(batch(codec, values=(b"",), body=packed(codec, body)), ERR.INVALID_RECORD, f"{codec}: {what}")

    def wrong_records(self):
        zero, varint = b"\0", records.varint
        yield "no bytes", b""
        yield "length 2 GB", varint(0x7FFFFFFF) + bytes(10)
        yield "length -1", varint(-1) + bytes(10)
        yield "length without an end", b"\xff" * 12
        for what, inside in (
                ("key of 2 GB", zero * 3 + varint(0x7FFFFFFF) + bytes(5)), ("key of -2", zero * 3 + varint(-2) + bytes(5)),
                ("value of 2 GB", zero * 3 + varint(-1) + varint(0x7FFFFFFF) + bytes(5)),
                ("2^31 headers", zero * 3 + varint(-1) + varint(-1) + varint(0x7FFFFFFF)),
                ("-1 headers", zero * 3 + varint(-1) + varint(-1) + varint(-1)),
                ("a header without a key", zero * 3 + varint(-1) * 2 + varint(1) + varint(-1) * 2),
                ("offset delta 1", zero * 2 + varint(1) + varint(-1) * 2 + zero),
                ("a byte too many", zero * 3 + varint(-1) * 2 + zero + zero)):
            yield what, varint(len(inside)) + inside

    def test_several_and_none(self):
        """Items 7 and 17: no batch, an empty one and two for one partition are errors of that partition."""
        self.refused(None, ERR.INVALID_RECORD, "null")
        self.refused(b"", ERR.INVALID_RECORD, "nothing")
        self.refused(batch("none") * 2, ERR.INVALID_RECORD, "two batches")
        self.refused(batch("none") + b"\0", ERR.INVALID_RECORD, "a batch and a byte")

    def test_noise(self):
        """Bytes in place of a batch: an error of that partition."""
        for size in (1, 12, 16, 17, 60, 61, 62, 1000):
            answer = self.produce(self.client(), self.name, b"\xa5" * size)
            self.assertIn(ERR(answer["error_code"]), (ERR.INVALID_RECORD, ERR.CORRUPT_MESSAGE), f"{size} bytes")

    def test_old_formats(self):
        """Message formats 0 and 1 went away with Kafka 4: INVALID_RECORD; unknown ones are corrupt."""
        for magic, expected in ((0, ERR.INVALID_RECORD), (1, ERR.INVALID_RECORD), (3, ERR.CORRUPT_MESSAGE),
                                (-1, ERR.CORRUPT_MESSAGE)):
            self.refused(batch("none", magic=magic), expected, f"magic {magic}")

    def test_too_large(self):
        """Item 16: a batch above max.message.bytes is MESSAGE_TOO_LARGE, whatever its codec."""
        for codec in ALL_CODECS:
            data = batch(codec, values=(bytes(MESSAGE_MAX),))
            self.refused(data, ERR.MESSAGE_TOO_LARGE, codec)


class Bombs(BatchCase):
    """Small batches that become very large ones."""

    def exploded(self, codec, zeros, **header):
        body = bomb(codec, head_of(zeros), zeros + 1)
        return records.batch([b""], codec=codec, body=body, **header)

    def test_one_large_record(self):
        """A record some hundred times as large as its batch, as only bombs are, is refused in bounded time and memory."""
        for codec, zeros in (("gzip", 256 << 20), ("lz4", 200 << 20), ("zstd", 2000 << 20)):
            with self.subTest(codec):
                self.timed(self.exploded(codec, zeros), codec)

    def test_well_compressed(self):
        """Twenty times is no bomb: such a record is accepted, without the memory that it would take unpacked."""
        answer = self.produce(self.client(), self.topic(), self.exploded("snappy", 16 << 20))
        self.assertError(answer["error_code"], ERR.NONE)

    def test_more_than_it_says(self):
        """A batch that says one record and holds zeros without end is INVALID_RECORD, or too large."""
        record = Record(b"value").encode(0, 0)
        for codec, zeros in (("gzip", 300 << 20), ("snappy", 20 << 20), ("lz4", 200 << 20), ("zstd", 30 << 30)):
            with self.subTest(codec):
                data = records.batch([b"value"], codec=codec, body=bomb(codec, record, zeros))
                self.timed(data, codec)

    def test_records_without_end(self):
        """Millions of empty records in a few bytes, and a count that says so."""
        for codec, zeros in (("gzip", 300 << 20), ("lz4", 200 << 20), ("zstd", 30 << 30)):
            with self.subTest(codec):
                data = records.batch([b""], codec=codec, body=bomb(codec, b"", zeros), count=0x7FFFFFFF,
                                     last_offset_delta=0x7FFFFFFE)
                self.timed(data, codec)

    def timed(self, data, codec):
        self.assertLess(len(data), MESSAGE_MAX)
        client, began = self.client(), time.monotonic()
        answer = self.produce(client, self.name, data, partition=0)
        self.assertLess(time.monotonic() - began, 5, codec)
        self.assertIn(ERR(answer["error_code"]), (ERR.INVALID_RECORD, ERR.MESSAGE_TOO_LARGE), codec)


if __name__ == "__main__":
    unittest.main()
