"""Starts after a stop and after SIGKILL, with few and many partitions: until all their records have been read."""
import os
import shutil
import time
from pathlib import Path

from report import table
from servers import Chronikd, Kafka, Load, LoadError

COUNTS = {"chronikd": (1, 1000, 10000), "kafka": (1, 1000)}  # Kafka needs minutes to make 10,000
BATCH = {"batch_bytes": 1000, "record_bytes": 1000}
TRY_AGAIN_S, LIMIT_S = 0.02, 120


class Starts:
    """rows[(count, contender)] = (seconds after a stop, seconds after SIGKILL)"""

    def __init__(self, chronikd, load, jars, work, say):
        self.chronikd, self.load, self.jars, self.work, self.say = chronikd, load, jars, Path(work), say
        self.rows = {}

    def server(self, name):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        if name == "kafka":
            return Kafka(self.jars, self.load, self.work / "kafka")
        return Chronikd(self.chronikd, self.work / "chronikd")

    def read_all(self, server, count):
        """Try until every record has been read; the seconds since the server was started."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                Load(self.load, server.port)("consume", topic="t", partitions=count, expect_records=count)
                return time.monotonic() - server.began
            except LoadError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(TRY_AGAIN_S)

    def measure(self, name, count):
        server = self.server(name).start()
        try:
            load = Load(self.load, server.port)
            load("create", topic="t", partitions=count)
            load("produce", topic="t", partitions=count, batches_max=count, in_flight=16, **BATCH)
            self.read_all(server, count)
            seconds = []
            for end in (server.stop, server.kill):
                end()
                os.sync()
                server.start()
                seconds.append(self.read_all(server, count))
            return tuple(seconds)
        finally:
            server.kill()

    def run(self):
        for name, counts in COUNTS.items():
            for count in counts if name == "chronikd" or self.jars else ():
                self.rows[count, name] = self.measure(name, count)
                self.say(f"starts: {name}, {count:,} partitions: {self.rows[count, name]}")
        shutil.rmtree(self.work)

    def table(self):
        out = []
        for count in COUNTS["chronikd"]:
            ours, theirs = self.rows[count, "chronikd"], self.rows.get((count, "kafka"), (None, None))
            out += [[f"{count:,} partitions, after {how}", a, b] for how, a, b in zip(("a stop", "SIGKILL"), ours, theirs)]
        return ["starts: seconds until all records of all partitions have been read",
                *table(["", "chronikd", "kafka"], out), ""]
