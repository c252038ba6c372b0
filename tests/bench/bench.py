#!/usr/bin/env python3
"""`make bench`: the limits that Chronik keeps, and its speed beside Apache Kafka and a bare floor. See README.md."""
import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from limits import Limits
from replicated import Replicated
from report import machine_line, write_json
from speed import Speed
from starts import Starts
from workloads import PARTS

ALL = ("limits", "starts", *PARTS, "clients", "replicated")
HERE = Path(__file__).resolve().parent


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(ALL)} (all)")
    p.add_argument("--build", type=Path, default=Path("build"), help="build folder (build); data goes to its bench/")
    p.add_argument("--json", type=Path, help="write every figure to this file as well")
    p.add_argument("--steady-seconds", type=int, default=60, help="length of the memory growth run (60)")
    p.add_argument("--rounds", type=int, default=3, help="rounds of the speed comparison (3)")
    p.add_argument("--without-kafka", action="store_true", help="compare with the floor only")
    p.add_argument("--pictures", type=Path, help="write SVG pictures and the tables to this folder")
    args = p.parse_args()
    for part in args.parts:
        if part not in ALL:
            p.error(f"{part} is no part; choose from {', '.join(ALL)}")
    args.parts = args.parts or list(ALL)
    return args


def kafka_jars(build):
    """Folder with Kafka's jars, of the version that tests/client pins; fetched with Maven when they are not there."""
    for folder in (build / "clients/kafka-tools/lib", build / "bench-jars"):
        if list(folder.glob("kafka_2.13-*.jar")):
            return folder
    say("speed: fetching Apache Kafka with Maven")
    subprocess.run(["mvn", "--quiet", "--batch-mode", "--file", str(HERE.parent / "client/java/kafka-tools/pom.xml"),
                    "dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"],
                   check=True, timeout=600)
    return folder


def write_pictures(folder, machine, tables, pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pictures.items():
        (folder / name).write_text(text)
    for part, lines in tables.items():
        (folder / f"{part}.txt").write_text("\n".join([machine, "", *lines]).rstrip("\n") + "\n")


class Run:
    """One call of the command: what was measured, and where it goes."""

    def __init__(self, args):
        self.args, self.build = args, args.build.resolve()
        self.work = self.build / "bench"
        self.chronikd = self.build / "chronikd"
        self.load, self.floor, self.rdkafka = (self.build / "tests/bench" / p
                                               for p in ("bench-load", "bench-floor", "bench-rdkafka"))
        self.machine = machine_line()
        self.data, self.missed = {}, []

    def show(self, tables, pictures=None, more=()):
        """@tables: {part: lines}"""
        print("\n" + "\n".join([*sum(tables.values(), []), *more]), flush=True)
        if self.args.pictures:
            write_pictures(self.args.pictures, self.machine, tables, pictures or {})

    def limits(self):
        limits = Limits(self.chronikd, self.load, self.work / "limits", self.args.steady_seconds)
        limits.work.mkdir()
        self.show({"limits": limits.run(say)})
        self.data["limits"], self.missed = limits.data, limits.missed
        say("limits: removing their data")
        shutil.rmtree(limits.work)

    def starts(self, jars):
        starts = Starts(self.chronikd, self.load, jars, self.work / "starts", say)
        starts.run()
        self.show({"starts": starts.table()})
        self.data["starts"] = [[*key, *seconds] for key, seconds in starts.rows.items()]

    def speed(self, jars):
        speed = Speed((self.chronikd, self.load, self.floor), self.rdkafka, jars, self.work / "speed", self.args.rounds, say)
        speed.work.mkdir()
        speed.run(self.args.parts)
        self.show(speed.tables(), speed.pictures(), speed.idle_table())
        self.data["speed"] = speed.data()

    def replicated(self, jars):
        replicated = Replicated(self.build, jars, self.work / "replicated", self.args.rounds, say)
        replicated.run()
        self.show({"replicated": replicated.table()})
        self.data["replicated"] = replicated.data()

    def run(self):
        parts = set(self.args.parts)
        jars = None if self.args.without_kafka or parts == {"limits"} else kafka_jars(self.build)
        if "limits" in parts:
            self.limits()
        if "starts" in parts:
            self.starts(jars)
        if parts - {"limits", "starts", "replicated"}:
            self.speed(jars)
        if "replicated" in parts:
            self.replicated(jars)


def main():
    run = Run(arguments())
    shutil.rmtree(run.work, ignore_errors=True)
    run.work.mkdir(parents=True)
    print(run.machine)
    try:
        run.run()
    finally:
        shutil.rmtree(run.work, ignore_errors=True)
    if run.args.json:
        write_json(run.args.json, run.data)
    if run.missed:
        print(f"\n{len(run.missed)} limits missed: {', '.join(m.strip() for m in run.missed)}")
    return 1 if run.missed else 0


if __name__ == "__main__":
    sys.exit(main())
