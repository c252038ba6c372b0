"""Kafka messages as dicts, read and written at run time from src/wire/schema.

What it is: a second encoder and decoder, of the tests' own, that follows the same schema files as the generated C and
shares nothing else with it. What it is not: forgiving. A key that the schema does not know, a response with bytes left
over, an unknown tagged field, a null that the version does not allow: each is a CodecError.

Missing fields have the schema's defaults. A field that the version lacks is not written and is absent in what is read.
uuids, bytes and records are Python bytes.
"""

import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(1, str(ROOT / "src/wire/gen"))

import schema  # noqa: E402

FIXED = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}
UUID_ZERO = bytes(16)
API_VERSIONS = 18


class CodecError(Exception):
    """A test gave something that the schema does not have, or the node sent something that the schema forbids."""


MESSAGES = {m.full_name: m for m in schema.load(sorted(str(p) for p in (ROOT / "src/wire/schema").glob("*.wire")))}


def message(name):
    """The schema of a request, response, header or stored record by its whole name: 'FetchRequest'."""
    if name not in MESSAGES:
        raise CodecError(f"there is no schema of {name}")
    return MESSAGES[name]


def request_header_version(api, version):
    return 2 if message(api + "Request").is_flexible(version) else 1


def response_header_version(api, version):
    """ApiVersions is answered with header 0 in every version (KIP-511)."""
    response = message(api + "Response")
    return 1 if response.key != API_VERSIONS and response.is_flexible(version) else 0


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(name, version, fields):
    """The bytes of message @name from a dict."""
    m = message(name)
    if not m.versions[0] <= version <= m.versions[1]:
        raise CodecError(f"there is no version {version} of {name} (versions {m.versions[0]} to {m.versions[1]})")
    return _Writer(version, m.is_flexible(version)).struct(m, fields, name)


def decode(name, version, data, whole=True):
    """The dict of message @name. With @whole=False a pair: the dict, and the bytes behind the message."""
    m = message(name)
    reader = _Reader(data, version, m.is_flexible(version))
    fields = reader.struct(m, name)
    rest = reader.data[reader.at:]
    if whole and rest:
        raise CodecError(f"{name} version {version}: {len(rest)} bytes after its end: {rest[:32].hex()}")
    return fields if whole else (fields, rest)


def default(field, version):
    """The value of a field that is not given."""
    if field.default_is_null:
        return None
    if field.default is not None:
        return field.default
    if field.array:
        return []
    if field.struct:
        return {f.name: default(f, version) for f in field.struct.fields if f.in_version(version)}
    return {"string": "", "bytes": b"", "records": b"", "uuid": UUID_ZERO, "bool": False}.get(field.type, 0)


class _Writer:
    def __init__(self, version, flexible):
        self.version, self.flexible = version, flexible

    def struct(self, owner, values, where):
        unknown = set(values) - {f.name for f in owner.fields}
        if unknown:
            raise CodecError(f"{where} has no field {', '.join(sorted(unknown))}")
        out, tags = bytearray(), {}
        for f in owner.fields:
            if not f.in_version(self.version):
                continue
            value = values.get(f.name, default(f, self.version))
            if f.tag is None:
                out += self.field(f, value, f"{where}.{f.name}")
            elif f.name in values and value != default(f, self.version):
                tags[f.tag] = self.field(f, value, f"{where}.{f.name}")
        if self.flexible:
            out += uvarint(len(tags))
            for tag, body in sorted(tags.items()):
                out += uvarint(tag) + uvarint(len(body)) + body
        return bytes(out)

    def field(self, f, value, where):
        if value is None and not f.null_in(self.version):
            raise CodecError(f"{where} cannot be null in version {self.version}")
        if not f.array:
            return self.value(f, value, where)
        out = self.length(-1 if value is None else len(value), ">i")
        return out + b"".join(self.value(f, v, f"{where}[{i}]") for i, v in enumerate(value or []))

    def length(self, count, old):
        return uvarint(count + 1) if self.flexible else struct.pack(old, count)

    def value(self, f, value, where):
        if f.struct:
            if f.nullable and not f.array:
                return b"\xff" if value is None else b"\x01" + self.struct(f.struct, value, where)
            return self.struct(f.struct, value, where)
        if f.type in FIXED:
            return struct.pack(FIXED[f.type], value)
        if f.type == "bool":
            return b"\x01" if value else b"\x00"
        if f.type == "uuid":
            if len(value) != 16:
                raise CodecError(f"{where}: a uuid is 16 bytes")
            return bytes(value)
        if f.type == "string":
            data = None if value is None else value.encode()
            count = -1 if data is None else len(data)
            return (struct.pack(">h", count) if f.plain else self.length(count, ">h")) + (data or b"")
        return self.length(-1 if value is None else len(value), ">i") + (value or b"")


class _Reader:
    def __init__(self, data, version, flexible):
        self.data, self.at, self.version, self.flexible = bytes(data), 0, version, flexible

    def take(self, count, where):
        if count < 0 or self.at + count > len(self.data):
            raise CodecError(f"{where}: {count} bytes wanted, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count:self.at]

    def fixed(self, form, where):
        return struct.unpack(form, self.take(struct.calcsize(form), where))[0]

    def uvarint(self, where):
        value = shift = 0
        while True:
            byte = self.take(1, where)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 28:
                raise CodecError(f"{where}: a variable-length number of more than five bytes")

    def struct(self, owner, where):
        values = {}
        for f in owner.fields:
            if f.in_version(self.version):
                values[f.name] = default(f, self.version) if f.tag is not None else self.field(f, f"{where}.{f.name}")
        if self.flexible:
            self.tags(owner, values, where)
        return values

    def tags(self, owner, values, where):
        known = {f.tag: f for f in owner.fields if f.tag is not None and f.in_version(self.version)}
        last = -1
        for _ in range(self.uvarint(where)):
            tag, size = self.uvarint(where), self.uvarint(where)
            if tag not in known or tag <= last:
                raise CodecError(f"{where}: tagged field {tag} is unknown, or not in order")
            end, last = self.at + size, tag
            values[known[tag].name] = self.field(known[tag], f"{where}.{known[tag].name}")
            if self.at != end:
                raise CodecError(f"{where}: tagged field {tag} is not as long as it says")

    def length(self, old, where):
        return self.uvarint(where) - 1 if self.flexible else self.fixed(old, where)

    def null_or(self, f, count, where):
        """True for a null that the version allows."""
        if count < -1 or (count == -1 and not f.null_in(self.version)):
            raise CodecError(f"{where}: length {count} in version {self.version}")
        return count == -1

    def field(self, f, where):
        if not f.array:
            return self.value(f, where)
        count = self.length(">i", where)
        if self.null_or(f, count, where):
            return None
        if count > len(self.data):
            raise CodecError(f"{where}: {count} elements announced in {len(self.data)} bytes")
        return [self.value(f, f"{where}[{i}]") for i in range(count)]

    def value(self, f, where):
        if f.struct:
            if f.nullable and not f.array and self.fixed(">b", where) < 0:
                return None
            return self.struct(f.struct, where)
        if f.type in FIXED:
            return self.fixed(FIXED[f.type], where)
        if f.type == "bool":
            byte = self.take(1, where)[0]
            if byte > 1:
                raise CodecError(f"{where}: {byte} is no bool")
            return byte == 1
        if f.type == "uuid":
            return self.take(16, where)
        if f.type == "string":
            count = self.fixed(">h", where) if f.plain else self.length(">h", where)
            return None if self.element_null(f, count, where) else self.take(count, where).decode()
        count = self.length(">i", where)
        return None if self.element_null(f, count, where) else self.take(count, where)

    def element_null(self, f, count, where):
        if f.array:                             # null is allowed for the array, never for what is in it
            if count < 0:
                raise CodecError(f"{where}: length {count} in an array")
            return False
        return self.null_or(f, count, where)
