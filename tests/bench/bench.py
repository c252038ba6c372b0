#!/usr/bin/env python3
"""`make bench`: the limits that Chronik keeps, and its speed beside Apache Kafka and a bare floor. See README.md."""
import argparse
import shutil
import sys
import time
from pathlib import Path

from limits import Limits
from report import machine_line, write_json


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("parts", nargs="*", choices=[[], "limits", "speed"], help="what to measure (all)")
    p.add_argument("--build", type=Path, default=Path("build"), help="build folder (build); data goes to its bench/")
    p.add_argument("--json", type=Path, help="write every figure to this file as well")
    p.add_argument("--steady-seconds", type=int, default=60, help="length of the memory growth run (60)")
    return p.parse_args()


def main():
    args = arguments()
    work = (args.build / "bench").resolve()
    programs = (args.build / "chronikd").resolve(), (args.build / "tests/bench/bench-load").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    data, missed = {}, []
    print(machine_line())
    try:
        if not args.parts or "limits" in args.parts:
            limits = Limits(*programs, work / "limits", args.steady_seconds)
            limits.work.mkdir()
            print("\n" + "\n".join(limits.run(say)), flush=True)
            data["limits"], missed = limits.data, limits.missed
            say("limits: removing their data")
            shutil.rmtree(limits.work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        write_json(args.json, data)
    if missed:
        print(f"\n{len(missed)} limits missed: {', '.join(m.strip() for m in missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
