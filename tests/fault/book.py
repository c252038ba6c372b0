"""What clients have been promised and shown, and whether it is kept. Threads write into it; the first broken promise ends
the run."""

import threading
import traceback
import zlib


def mark(value):
    """What is kept of a value: its beginning, which names it, and a checksum of all."""
    return value[:32], zlib.crc32(value), len(value)


class Broken(Exception):
    """A promise was not kept."""


class Book:
    """Of each partition, a (topic, index): the content of its offsets, and which of them were acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.content, self.acknowledged, self.starts = {}, {}, {}
        self.newest_of_key = {}             # partition -> {key: (offset, value) of its newest acknowledged record}
        self.broken = None
        self.counts = dict.fromkeys(("records produced", "records acknowledged", "records read", "requests sent again",
                                     "offsets committed"), 0)

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fail(self, why):
        with self.lock:
            self.broken = self.broken or why

    def guard(self, function, *args):
        """Run it; whatever it raises is a broken promise."""
        try:
            return function(*args)
        except Broken as why:
            self.fail(str(why))
        except Exception:                   # a fault of the checker counts as well: it must not go unseen
            self.fail(traceback.format_exc())

    def saw(self, partition, offset, value):
        """A consumer was given this record."""
        with self.lock:
            known = self.content.setdefault(partition, {}).setdefault(offset, mark(value))
            self.counts["records read"] += 1
        if known != mark(value):
            raise Broken(f"{partition}: offset {offset} was {known} and is {mark(value)} now")

    def acknowledge(self, partition, base_offset, values, keys=None):
        """A producer was told that these records are kept from @base_offset on."""
        with self.lock:
            content = self.content.setdefault(partition, {})
            kept = self.acknowledged.setdefault(partition, set())
            for number, value in enumerate(values):
                offset = base_offset + number
                known = content.setdefault(offset, mark(value))
                if known != mark(value):
                    raise Broken(f"{partition}: offset {offset} was acknowledged for {mark(value)} and is {known}")
                kept.add(offset)
                if keys:
                    newest = self.newest_of_key.setdefault(partition, {})
                    newest[keys[number]] = max(newest.get(keys[number], (-1, None)), (offset, value))
            self.counts["records acknowledged"] += len(values)

    def starts_at(self, partition, start, life):
        """The start of a log never goes back while the node lives. A kill may take back what retention was about to remove:
        then old records are there once more, unchanged."""
        with self.lock:
            known_life, known = self.starts.get(partition, (life, 0))
            if life >= known_life:
                self.starts[partition] = (life, start)
        if life == known_life and start < known:
            raise Broken(f"{partition}: the log's start went back from {known} to {start}")

    def start_of(self, partition):
        with self.lock:
            return self.starts.get(partition, (0, 0))[1]

    def all_there(self, partition, found, start, end):
        """@found: {offset: value} of everything from @start to @end. Whatever was acknowledged must be in it, unless its topic
        is compacted."""
        with self.lock:
            kept = {o for o in self.acknowledged.get(partition, ()) if o >= start}
        lost = sorted(kept - set(found))
        if lost:
            raise Broken(f"{partition}: {len(lost)} acknowledged offsets are missing, such as {lost[:5]} "
                         f"of {start} to {end}")

    def newest_there(self, partition, found):
        """Of a compacted partition: @found is [(offset, key, value)]. The newest acknowledged record of each key is there, or
        a newer one is."""
        newest = {key: (offset, value) for offset, key, value in sorted(found)}
        with self.lock:
            wanted = dict(self.newest_of_key.get(partition, {}))
        for key, (offset, value) in wanted.items():
            got = newest.get(key, (-1, None))
            if got[0] < offset or (got[0] == offset and got[1] != value):
                raise Broken(f"{partition}: key {key} was acknowledged at offset {offset}, and its newest is {got[0]}")

    def in_order(self, partition, values, producer, whole):
        """Records of an idempotent producer come once each and in order. @whole: from its first one on."""
        numbers = [int(v.split(b":")[2]) for v in values if v.startswith(producer + b":")]
        if not numbers:
            return
        first = 0 if whole else numbers[0]
        if numbers != list(range(first, first + len(numbers))):
            at = next(i for i, n in enumerate(numbers) if n != first + i)
            raise Broken(f"{partition}: records of {producer.decode()} are not {first}, {first + 1}, ...: at place {at} "
                         f"there is {numbers[max(at - 2, 0):at + 3]}")
