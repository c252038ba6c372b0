#!/usr/bin/env python3
"""make bench-txn: what transactions cost a producer: Kafka's own perf tool, idempotent, and with a transaction every 100 ms, in turns.

Once with what is acknowledged on stable storage, once in the page cache.
"""
import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench import kafka_jars
from report import machine_line, median, table
from servers import Chronikd, Load, LoadError

PARTITIONS, RECORDS, RECORD = 6, 500_000, 1000
COMMIT_MS = 100
LIMIT_S = 180
LEAST = 0.8     # of the idempotent producer's


class Bench:
    def __init__(self, build, work, durable):
        self.jars = kafka_jars(build)
        self.node = Chronikd(build / "chronikd", work / ("durable" if durable else "cached"),
                             f"storage.flush_before_ack={'true' if durable else 'false'}")
        self.number = 0

    def produce(self, *args):
        """Records in a second."""
        got = subprocess.run(["java", "-Xmx512M", "-cp", f"{self.jars}/*", "org.apache.kafka.tools.ProducerPerformance", "--topic", "t",
                              "--num-records", str(RECORDS), "--record-size", str(RECORD), "--throughput", "-1", *args,
                              "--producer-props", f"bootstrap.servers=127.0.0.1:{self.node.port}", "acks=all", "linger.ms=5",
                              "batch.size=65536"], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        rates = re.findall(r"(\d+) records sent, ([\d.]+) records/sec", got.stdout)
        if got.returncode or not rates or int(rates[-1][0]) != RECORDS:
            raise LoadError(f"ProducerPerformance: {(got.stdout + got.stderr)[-500:]}")
        return float(rates[-1][1])

    def transactional(self):
        self.number += 1
        return self.produce("--transactional-id", f"bench-{self.number}", "--transaction-duration-ms", str(COMMIT_MS))

    def run(self, program, rounds):
        plain, txn = [], []
        with self.node:
            Load(program, self.node.port)("create", topic="t", partitions=PARTITIONS)
            self.produce()      # the first one finds nothing compiled
            for _ in range(rounds):
                plain.append(self.produce())
                txn.append(self.transactional())
        return median(plain), median(txn)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", type=Path, default=Path("build"))
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    build = args.build.resolve()
    work = build / "bench-txn"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    rows = []
    try:
        for name, durable in (("stable storage", True), ("page cache", False)):
            plain, txn = Bench(build, work, durable).run(build / "tests" / "bench" / "bench-load", args.rounds)
            rows.append([name, f"{plain:,.0f}", f"{txn:,.0f}", f"{txn / plain:.2f}", "yes" if txn / plain >= LEAST else "no"])
    except LoadError as e:
        print(e, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(machine_line())
    print(f"{RECORDS:,} records of {RECORD} B to {PARTITIONS} partitions, acks=all, median of {args.rounds}")
    print("\n".join(table(["acknowledged from", "idempotent, records/s", f"a transaction each {COMMIT_MS} ms", "ratio", f"at least {LEAST}"], rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
