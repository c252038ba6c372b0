"""Record batches for Produce: right ones, and those with one thing wrong or odd."""

import records
from records import Record, batch

T0 = 1_600_000_000_000
GOOD = batch([b"a", Record(b"b", key=b"k", headers=[(b"h", b"v"), (b"n", None)])], base_timestamp=T0)
MARKER = Record(b"\0\0\0\0\0\0", key=b"\0\0\0\0")


def one(**header):
    return batch([b"x"], **{**dict(base_timestamp=T0), **header})


def two(**header):
    return batch([b"x", b"y"], **{**dict(base_timestamp=T0), **header})


def odd_batches():
    """By what is odd; times of now are those of the call."""
    return {
        "base offset 5": one(base_offset=5), "magic 0": one(magic=0), "magic 1": one(magic=1), "magic 3": one(magic=3),
        "wrong CRC": GOOD[:-1] + b"?", "two batches": GOOD + GOOD, "cut": GOOD[:-1], "a byte more": GOOD + b"x",
        "half a header": GOOD[:30], "16 bytes": GOOD[:16], "count 0": one(count=0), "count 2 of 1": one(count=2),
        "count 1 of 2": two(count=1), "last delta": two(last_offset_delta=5),
        "deltas": batch([Record(b"x"), Record(b"y", offset_delta=0)], base_timestamp=T0),
        "deltas in gzip": batch([Record(b"x"), Record(b"y", offset_delta=0)], base_timestamp=T0, codec="gzip"),
        "negative count": one(count=-1), "negative last delta": one(last_offset_delta=-1),
        "control": batch([MARKER], attributes=0x20, base_timestamp=T0), "log append time": one(attributes=8),
        "codec 5": one(attributes=5), "codec 7": one(attributes=7), "gzip that is none": one(attributes=1),
        "zstd that is none": one(attributes=4), "lz4 that is none": one(attributes=3), "snappy that is none": one(attributes=2),
        "gzip": two(codec="gzip"), "zstd": one(codec="zstd"), "no records": batch([], base_timestamp=T0),
        "from the future": one(base_timestamp=records.now_ms() + 7200_000), "without a time": one(base_timestamp=-1),
        "length too small": one(length=10), "length negative": one(length=-1), "length too large": one(length=10000),
        "delete horizon": one(attributes=0x40), "unknown attribute": one(attributes=0x80),
        "record attributes": batch([Record(b"x", attributes=1)], base_timestamp=T0),
        "max timestamp": one(max_timestamp=T0 + 77), "leader epoch 9": one(leader_epoch=9),
        "body cut": one(body=b"\x10\0\0"), "body of noise": one(body=b"\xff" * 20),
        "sequence without an id": one(base_sequence=3), "id without an epoch": one(producer_id=5),
        "id without a sequence": one(producer_id=5, producer_epoch=0),
    }
