"""Compressed record bodies for every codec, made by hand: stored rather than compressed, or far too well compressed.

What it is: the smallest legal frames of gzip, xerial snappy, LZ4 and zstd. What it is not: a compressor; stored() keeps
the bytes as they are, and bomb() can only make zeros.
"""

import struct
import zlib

CODECS = ("gzip", "snappy", "lz4", "zstd")
SNAPPY_BLOCK, LZ4_BLOCK, ZSTD_BLOCK = 32 << 10, 64 << 10, 128 << 10


def stored(codec, data):
    """@data in a frame of @codec."""
    return {"gzip": _gzip, "snappy": _snappy, "lz4": _lz4, "zstd": _zstd}[codec](data, 0)


def bomb(codec, data, zeros):
    """A frame that becomes @data and then @zeros bytes of zero, as small as the codec allows."""
    return {"gzip": _gzip, "snappy": _snappy, "lz4": _lz4, "zstd": _zstd}[codec](data, zeros)


def _pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def _gzip(data, zeros):
    packer = zlib.compressobj(9 if zeros else 0, zlib.DEFLATED, 31)
    out = packer.compress(data)
    chunk = bytes(1 << 20)
    for left in range(zeros, 0, -len(chunk)):
        out += packer.compress(chunk[:left])
    return out + packer.flush()


def _snappy_length(count):
    out = bytearray()
    while count > 0x7F:
        out.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes(out) + bytes([count])


def _snappy_block(data):
    return _snappy_length(len(data)) + b"\xf4" + struct.pack("<H", len(data) - 1) + data  # one literal


def _snappy_zeros(count):
    """A literal of one zero, then copies of up to 64 bytes from one byte back."""
    copies = b"".join(bytes([(min(64, left) - 1) << 2 | 2]) + b"\x01\x00" for left in range(count - 1, 0, -64))
    return _snappy_length(count) + b"\x00\x00" + copies


def _snappy(data, zeros):
    blocks = [_snappy_block(p) for p in _pieces(data, SNAPPY_BLOCK)]
    if zeros:
        blocks += [_snappy_zeros(SNAPPY_BLOCK)] * (zeros // SNAPPY_BLOCK)
        blocks += [_snappy_zeros(zeros % SNAPPY_BLOCK)] if zeros % SNAPPY_BLOCK else []
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(b)) + b for b in blocks)


def _lz4_zeros(count):
    """A literal zero, one match of one byte back, and the five last literals that a block must have."""
    more = count - 6 - 4 - 15
    return b"\x1f\x00\x01\x00" + b"\xff" * (more // 255) + bytes([more % 255]) + b"\x50" + bytes(5)


def _lz4(data, zeros):
    out = b"\x04\x22\x4d\x18\x60\x40\x82"       # independent blocks of 64 KiB, no content checksum; header checksum
    for piece in _pieces(data, LZ4_BLOCK):
        out += struct.pack("<I", len(piece) | 1 << 31) + piece
    if zeros:
        block = _lz4_zeros(LZ4_BLOCK)
        out += (struct.pack("<I", len(block)) + block) * (zeros // LZ4_BLOCK)
        rest = bytes(zeros % LZ4_BLOCK)
        out += struct.pack("<I", len(rest) | 1 << 31) + rest if rest else b""
    return out + struct.pack("<I", 0)


def _zstd_block(kind, size, data, last):
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + data


def _zstd(data, zeros):
    raw, repeat = 0, 1
    out = b"\x28\xb5\x2f\xfd\x00\x38"           # no content size, a window of 128 KiB
    out += b"".join(_zstd_block(raw, len(p), p, 0) for p in _pieces(data, ZSTD_BLOCK))
    out += _zstd_block(repeat, ZSTD_BLOCK, b"\0", 0) * (zeros // ZSTD_BLOCK)
    return out + _zstd_block(repeat, zeros % ZSTD_BLOCK, b"\0", 1)
