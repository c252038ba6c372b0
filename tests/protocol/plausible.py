"""Requests that look right in every field, for any API and version, and the same with one length spoilt.

What it is: values for codec.py from the schema alone. What it is not: requests that do something; names are of things
that do not exist, and partition counts are impossible, so that a damaged one that is understood changes nothing.
"""

import codec
import kafka
import records

HUGE, NEGATIVE = 0x7FFFFFFF, -2
OVERLONG = "overlong"                   # a variable-length number that does not end


def versions_served(client):
    """(API name, version) for everything that ApiVersions advertises."""
    names = {m.key: m.name for m in codec.MESSAGES.values() if m.kind == "request"}
    answer = client.call("ApiVersions", 0)
    return [(names[a["api_key"]], version) for a in answer["api_keys"]
            for version in range(a["min_version"], a["max_version"] + 1) if _has(names[a["api_key"]], version)]


def _has(api, version):
    """False for Produce 0 to 2, which are advertised (librdkafka looks for them) and not served."""
    low, high = codec.message(api + "Request").versions
    return low <= version <= high


def fields_of(owner, version):
    """A dict for every field that @version has."""
    return {f.name: _field(f, version) for f in owner.fields if f.in_version(version)}


def _field(f, version):
    one = fields_of(f.struct, version) if f.struct else _value(f)
    return [one] if f.array else one


def _value(f):
    if f.type == "records":
        return records.batch([b"value"])
    if f.name in ("num_partitions", "count", "acks"):
        return -7                       # no single wrong bit makes it a right one
    fixed = {"string": f"no-{f.name[:12]}", "bytes": b"bytes", "uuid": bytes(range(16)), "bool": False, "float64": 0.0}
    return fixed.get(f.type, 1)


def body(api, version):
    return codec.encode(api + "Request", version, fields_of(codec.message(api + "Request"), version))


def frame_body(api, version, inside, correlation_id=1):
    """Header and @inside, without the length in front."""
    key = codec.message(api + "Request").key
    return kafka.header(key, version, correlation_id,
                        header_version=codec.request_header_version(api, version)) + inside


def long_bodies(api, version, text, small):
    """Bodies with every string as long as it may be, and with each of them in turn. @small() gives values for numbers, so that
    texts meet other kinds of things and operations."""
    message = codec.message(api + "Request")

    def filled(value, wanted, path=()):
        if isinstance(value, dict):
            return {k: filled(v, wanted, path + (k,)) for k, v in value.items()}
        if isinstance(value, list):
            return [filled(v, wanted, path) for v in value]
        if isinstance(value, str):
            paths.append(path)
            return text if wanted in (None, path) else value
        return small() if value == 1 and not isinstance(value, bool) else value

    paths = []
    yield codec.encode(api + "Request", version, filled(fields_of(message, version), None))
    for path in sorted(set(paths)):
        yield codec.encode(api + "Request", version, filled(fields_of(message, version), path))


class _Spoiler(codec._Writer):
    """Writes another value in place of the @at'th length of an array, string or bytes."""

    def __init__(self, version, flexible, at=None, value=None):
        super().__init__(version, flexible)
        self.at, self.spoilt, self.count = at, value, 0

    def length(self, count, old):
        self.count += 1
        if self.count - 1 != self.at:
            return super().length(count, old)
        if not self.flexible:
            value = {HUGE: 0x7FFF if old == ">h" else HUGE, NEGATIVE: -2, OVERLONG: -32768}[self.spoilt]
            return codec.struct.pack(old, value)
        return {HUGE: b"\xff\xff\xff\xff\x07", NEGATIVE: b"\xff\xff\xff\xff\x0f", OVERLONG: b"\xff" * 10}[self.spoilt]


def spoilt_bodies(api, version):
    """(what, body) with each length of the request in turn made huge, negative and overlong."""
    message = codec.message(api + "Request")
    fields = fields_of(message, version)
    counter = _Spoiler(version, message.is_flexible(version))
    counter.struct(message, fields, api)
    for at in range(counter.count):
        for value in (HUGE, NEGATIVE, OVERLONG):
            writer = _Spoiler(version, message.is_flexible(version), at, value)
            yield f"length {at} = {value}", writer.struct(message, fields, api)
