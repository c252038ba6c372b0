"""What clients did and were told, written down while it happens: one JSON object a line, one file for each process.

Every event has `t`, when it was over (CLOCK_MONOTONIC, one clock for all processes of a machine), `by`, who says so, and `do`:

| do | of a | other fields |
|---|---|---|
| send | producer | of, n: its first number, count. Written before the bytes leave |
| ack | producer | of, since: when it was sent, at: the first offset (-1: kept, offset not told), n, sums: a checksum for each record |
| read | reader | of, at: the first offset, rows: [producer, number, checksum] for each offset from there on |
| end | reader | of, since, end: the high watermark that it was told, via: list or fetch |
| final | last reader | of, start, end, round: all below end was read (as `read` events by the same name) before this one |
| commit? | committer | of, group, offset: about to be sent |
| commit | committer | of, group, offset, since: acknowledged |
| committed | committer | of, group, offset, since: found, -1 for none |
| lent | share | of, group, offsets, since: when they were asked for, at the earliest |
| accept? | share | of, group, offsets: about to be acknowledged |
| accept | share | of, group, offsets, since: that was answered without an error |
| unlent | share | of, group, offsets, since: they were no more its own |
| changed | control | since: a change of metadata was acknowledged |
| flood | flood | delivered, failed, read: records under full load; seconds |
| refused | anybody | what, error: an answer that no fault excuses |
| fault | nemesis | what; node and of where they have a meaning |
| healed | nemesis | what |
| calm | nemesis | no fault from here on, and all replicas are in sync |
| stop | nemesis | clients are told to end |

`of` is [topic, partition]. Checksums are zlib.crc32 of a record's value, which begins with PRODUCER:PARTITION:NUMBER: .
"""

import json
import threading
import time
import zlib


def value_of(producer, partition, number, filling):
    return b"%s:%d:%d:" % (producer.encode(), partition, number) + filling


def row_of(value):
    """[producer, number, checksum] of a record's value; a value that no producer here made has number -1."""
    parts = bytes(value or b"").split(b":", 3)
    try:
        return [parts[0].decode(), int(parts[2]), zlib.crc32(value)]
    except (IndexError, ValueError, UnicodeDecodeError):
        return ["?", -1, zlib.crc32(value or b"")]


class Writer:
    """Events of one process. Thread: any."""

    def __init__(self, path, by):
        self.file, self.by, self.lock = open(path, "w", 1, encoding="utf-8"), by, threading.Lock()

    def write(self, do, t=None, by=None, **fields):
        line = json.dumps({"t": round(time.monotonic() if t is None else t, 6), "by": by or self.by, "do": do, **fields},
                          separators=(",", ":"))
        with self.lock:
            if not self.file.closed:
                self.file.write(line + "\n")

    def close(self):
        with self.lock:
            self.file.close()


def read(paths):
    """All events of these files in the order of their times. A last line that is cut off is left out."""
    events = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    events.append(json.loads(line))
    events.sort(key=lambda e: e["t"])
    return events
