#!/usr/bin/env python3
"""`make bench`: the limits that Chronik keeps, and its speed beside Apache Kafka and a bare floor. See README.md."""
import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from limits import Limits
from report import machine_line, write_json
from speed import Speed
from workloads import PARTS

ALL = ("limits", *PARTS, "clients")
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
        (folder / f"{part}.txt").write_text("\n".join([machine, "", *lines]) + "\n")


def main():
    args = arguments()
    build = args.build.resolve()
    work = build / "bench"
    chronikd = build / "chronikd"
    load, floor, rdkafka = (build / "tests/bench" / p for p in ("bench-load", "bench-floor", "bench-rdkafka"))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    data, missed = {}, []
    machine = machine_line()
    print(machine)
    try:
        if "limits" in args.parts:
            limits = Limits(chronikd, load, work / "limits", args.steady_seconds)
            limits.work.mkdir()
            print("\n" + "\n".join(limits.run(say)), flush=True)
            data["limits"], missed = limits.data, limits.missed
            say("limits: removing their data")
            shutil.rmtree(limits.work)
        if set(args.parts) - {"limits"}:
            jars = None if args.without_kafka else kafka_jars(build)
            speed = Speed((chronikd, load, floor), rdkafka, jars, work / "speed", args.rounds, say)
            speed.work.mkdir()
            speed.run(args.parts)
            tables = speed.tables()
            print("\n" + "\n".join(sum(tables.values(), []) + speed.idle_table()), flush=True)
            data["speed"] = speed.data()
            if args.pictures:
                write_pictures(args.pictures, machine, tables, speed.pictures())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        write_json(args.json, data)
    if missed:
        print(f"\n{len(missed)} limits missed: {', '.join(m.strip() for m in missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
