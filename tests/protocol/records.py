"""Record batches (format v2): built from records with any header field made wrong on purpose, and read back.

Independent of the C code: zlib's gzip, and a CRC-32C of its own. zstd is written as a frame that holds its bytes as
they are; snappy and lz4 can be marked in a batch with a body given as bytes. None of the three is decompressed here.
"""

import gzip
import struct
import time
from dataclasses import dataclass, field

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_FIELDS = ("base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta",
                 "base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence", "count")
CRC_FROM = 21                           # attributes; what lies before is the broker's to write
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def now_ms():
    return int(time.time() * 1000)


def varint(value):
    """Zigzag, as all numbers within a record are."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


@dataclass
class Record:
    value: bytes = b""
    key: bytes = None
    headers: list = field(default_factory=list)     # (name, value) pairs of bytes
    timestamp: int = None                           # ms; None: the batch's base timestamp
    offset: int = None                              # set when read
    offset_delta: int = None                        # when built: None is the place in the batch
    attributes: int = 0

    def encode(self, index, base_timestamp):
        def part(data):
            return varint(-1) if data is None else varint(len(data)) + data
        delta = index if self.offset_delta is None else self.offset_delta
        stamp = 0 if self.timestamp is None else self.timestamp - base_timestamp
        body = struct.pack(">b", self.attributes) + varint(stamp) + varint(delta) + part(self.key) + part(self.value)
        body += varint(len(self.headers)) + b"".join(part(k) + part(v) for k, v in self.headers)
        return varint(len(body)) + body


def zstd_stored(data):
    """A right zstd frame without compression (RFC 8878): one raw block for each 128 KiB."""
    blocks = [data[i:i + (1 << 17)] for i in range(0, len(data), 1 << 17)] or [b""]
    out = bytes.fromhex("28b52ffd") + b"\xa0" + struct.pack("<I", len(data))     # single segment, size in four bytes
    for i, block in enumerate(blocks):
        last = 1 if i == len(blocks) - 1 else 0
        out += struct.pack("<I", last | len(block) << 3)[:3] + block
    return out


def batch(records, codec="none", body=None, base_timestamp=None, **header):
    """The bytes of one batch. @records: Record objects, or bytes for the value alone. @body replaces the encoded
    (and compressed) records. Every field of HEADER_FIELDS can be overridden; a given crc is kept as it is, an
    overridden length too."""
    unknown = set(header) - set(HEADER_FIELDS)
    if unknown:
        raise TypeError(f"a batch header has no field {', '.join(sorted(unknown))}")
    records = [r if isinstance(r, Record) else Record(r) for r in records]
    stamps = [r.timestamp for r in records if r.timestamp is not None]
    if base_timestamp is None:
        base_timestamp = stamps[0] if stamps else now_ms()
    if body is None:
        body = b"".join(r.encode(i, base_timestamp) for i, r in enumerate(records))
        if codec == "gzip":
            body = gzip.compress(body)
        elif codec == "zstd":
            body = zstd_stored(body)
        elif codec != "none":
            raise ValueError(f"{codec} needs a body that is compressed already")
    values = dict(base_offset=0, length=HEADER.size - 12 + len(body), leader_epoch=-1, magic=2, crc=0,
                  attributes=CODECS[codec], last_offset_delta=len(records) - 1, base_timestamp=base_timestamp,
                  max_timestamp=max(stamps, default=base_timestamp), producer_id=-1, producer_epoch=-1,
                  base_sequence=-1, count=len(records))
    values.update(header)
    data = HEADER.pack(*(values[name] for name in HEADER_FIELDS)) + body
    if "crc" not in header:
        data = data[:17] + struct.pack(">I", crc32c(data[CRC_FROM:])) + data[CRC_FROM:]
    return data


@dataclass
class Batch:
    """A batch that was read: header fields by name, and its records."""
    header: dict
    records: list
    size: int

    def __getattr__(self, name):
        if name == "header" or name not in self.header:
            raise AttributeError(name)
        return self.header[name]

    @property
    def codec(self):
        return {number: name for name, number in CODECS.items()}[self.attributes & 7]

    @property
    def log_append_time(self):
        return bool(self.attributes & LOG_APPEND_TIME)


class BadBatch(Exception):
    """What the node sent is no right batch."""


class _Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise BadBatch(f"{count} bytes wanted, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value >> 1 ^ -(value & 1)

    def part(self):
        count = self.varint()
        return None if count == -1 else self.take(count)


def _record(inside, header):
    body = _Bytes(inside.take(inside.varint()))
    attributes = body.take(1)[0]
    stamp, delta = body.varint(), body.varint()
    key, value = body.part(), body.part()
    headers = [(body.part(), body.part()) for _ in range(body.varint())]
    if body.at != len(body.data):
        raise BadBatch("bytes after the end of a record")
    stamp = header["max_timestamp"] if header["attributes"] & LOG_APPEND_TIME else header["base_timestamp"] + stamp
    return Record(value, key, headers, stamp, header["base_offset"] + delta, delta, attributes)


def parse(data):
    """The batches of a record set, each with a right CRC. A last batch that is cut off is left out (Fetch may cut)."""
    batches, at = [], 0
    while len(data) - at >= HEADER.size:
        header = dict(zip(HEADER_FIELDS, HEADER.unpack_from(data, at)))
        size = 12 + header["length"]
        if at + size > len(data):
            break
        whole = data[at:at + size]
        if header["magic"] != 2 or header["crc"] != crc32c(whole[CRC_FROM:]):
            raise BadBatch(f"magic {header['magic']}, CRC {header['crc']:08x} for {crc32c(whole[CRC_FROM:]):08x}")
        codec, body, records = header["attributes"] & 7, whole[HEADER.size:], None
        if codec == CODECS["gzip"]:
            body = gzip.decompress(body)
        if codec in (CODECS["none"], CODECS["gzip"]):
            inside = _Bytes(body)
            records = [_record(inside, header) for _ in range(header["count"])]
            if inside.at != len(body):
                raise BadBatch("bytes after the last record of a batch")
        batches.append(Batch(header, records, size))
        at += size
    return batches


def values(data):
    """The values of all records of a record set, in order."""
    return [r.value for b in parse(data or b"") for r in b.records]
