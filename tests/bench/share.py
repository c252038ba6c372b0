#!/usr/bin/env python3
"""make bench-share: how fast a share group reads (KIP-932), with one member and with several, beside a plain consumer.

All read the same records from the page cache, with Kafka's own perf tools; the time of joining is not in the figures of the plain
consumer, and in those of share groups, whose tool does not tell it apart.
"""
import argparse
import shutil
import subprocess
from pathlib import Path

from bench import kafka_jars
from report import machine_line, median, table
from servers import Chronikd, Load, LoadError, proc_cpu_s

PARTITIONS, RECORDS, RECORD = 8, 400_000, 1000
MEMBERS = (1, 4)
LIMIT_S = 180


class Bench:
    def __init__(self, build, work):
        self.jars = kafka_jars(build)
        self.node = Chronikd(build / "chronikd", work / "data", "groups.initial_rebalance_delay_ms=0")

    def java(self, main, *args):
        got = subprocess.run(["java", "-Xmx512M", "-cp", f"{self.jars}/*", main, "--bootstrap-server", f"127.0.0.1:{self.node.port}",
                              *map(str, args)], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if got.returncode:
            raise LoadError(f"{main}: {(got.stdout + got.stderr)[-500:]}")
        return got.stdout

    def plain(self, _group):
        out = self.java("org.apache.kafka.tools.ConsumerPerformance", "--topic", "t", "--num-records", RECORDS, "--timeout", 60000,
                        "--hide-header")
        fields = out.strip().splitlines()[-1].split(", ")
        if int(fields[4]) < RECORDS:
            raise LoadError(f"kafka-consumer-perf-test read {fields[4]} of {RECORDS} records")
        return float(fields[-1])

    def shared(self, group, members):
        self.java("kafka.admin.ConfigCommand", "--alter", "--entity-type", "groups", "--entity-name", group, "--add-config",
                  "share.auto.offset.reset=earliest")
        out = self.java("org.apache.kafka.tools.ShareConsumerPerformance", "--topic", "t", "--group", group, "--num-records", RECORDS,
                        "--threads", members, "--timeout", 60000, "--hide-header")
        fields = out.strip().splitlines()[-1].split(", ")
        if int(fields[5]) < RECORDS:
            raise LoadError(f"kafka-share-consumer-perf-test read {fields[5]} of {RECORDS} records")
        return float(fields[4])

    def measure(self, fn, *args):
        before = proc_cpu_s(self.node.pid)
        return {"records_s": fn(*args), "cpu_s": proc_cpu_s(self.node.pid) - before}

    def run(self, program, rounds):
        cases = {"a plain consumer": lambda n: self.measure(self.plain, n)}
        for count in MEMBERS:
            cases[f"a share group of {count}"] = lambda n, count=count: self.measure(self.shared, f"g-{count}-{n}", count)
        figures = {name: [] for name in cases}
        with self.node:
            load = Load(program, self.node.port)
            load("create", topic="t", partitions=PARTITIONS)
            self.java("org.apache.kafka.tools.ProducerPerformance", "--topic", "t", "--num-records", RECORDS, "--record-size", RECORD,
                      "--throughput", -1)
            for number in range(rounds):
                for name, case in cases.items():
                    figures[name].append(case(number))
        return figures


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", type=Path, default=Path("build"))
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    build = args.build.resolve()
    work = build / "bench-share"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        figures = Bench(build, work).run(build / "tests/bench/bench-load", args.rounds)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(machine_line())
    print("\n".join(table([f"median of {args.rounds}; {RECORDS:,} records of {RECORD:,} B, {PARTITIONS} partitions", "records/s", "CPU s"],
                          [[name, median([r["records_s"] for r in rows]), median([r["cpu_s"] for r in rows])]
                           for name, rows in figures.items()])))


if __name__ == "__main__":
    main()
