#!/usr/bin/env python3
"""The same requests to Apache Kafka and to chronikd, and their answers compared field by field.

    tests/conformance/conformance.py --jars FOLDER              all cases
    tests/conformance/conformance.py --jars FOLDER Fetch ...    the cases of these APIs, --version N for one version

A difference that differences.py does not justify is a failure; so is a justified one that is no more, an API or a version
that both advertise and no case calls, and a broker that ends.
"""

import argparse
import os
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / "tests/protocol")]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("api", nargs="*", help="only the cases of these APIs")
    p.add_argument("--jars", metavar="FOLDER", required=True, help="Kafka's jars, from tests/client/run --prepare kafka-tools")
    p.add_argument("--chronikd", metavar="PATH", default=ROOT / "build/chronikd", help="the program")
    p.add_argument("--version", metavar="N", type=int, help="only this version")
    p.add_argument("--all", action="store_true", help="print justified differences too")
    return p.parse_args()


ARGS = arguments() if __name__ == "__main__" else None
if ARGS:
    os.environ["CHRONIK_TEST_KAFKA"] = str(Path(ARGS.jars).absolute())
    os.environ["CHRONIKD"] = str(Path(ARGS.chronikd).absolute())

import cases  # noqa: E402
import codec  # noqa: E402
from apache import KafkaNode  # noqa: E402
from compare import Tidy, compare_case  # noqa: E402
from differences import Justified  # noqa: E402
from node import Node  # noqa: E402
from side import Side, errors  # noqa: E402

# Groups do not wait, and nothing goes by age.
# Its groups assign at once, as ours do.
KAFKA = {"group.coordinator.rebalance.protocols": "classic,consumer,share", "group.consumer.assignment.interval.ms": 0,
         "group.consumer.assignor.offload.enable": "false", "group.share.assignment.interval.ms": 0,
         "group.share.assignor.offload.enable": "false", "share.coordinator.state.topic.num.partitions": 1}
# Rules of access are kept, and hold the client back from nothing.
SETTINGS = ["groups.initial_rebalance_delay_ms=0", "storage.retention_ms=-1", "server.node_id=1", "security.authorizer=standard",
            "security.super_users=User:ANONYMOUS"]


def advertised(side):
    """{API: (first, last)} of what a broker says that it serves and the schemas know."""
    names = {m.key: m.name for m in codec.MESSAGES.values() if m.kind == "request"}
    side.begin("hello")
    answer = side.quiet("ApiVersions", 0)
    return {names[a["api_key"]]: (a["min_version"], a["max_version"]) for a in answer["api_keys"] if a["api_key"] in names}


def common(kafka, chronik):
    """{API: versions} of what both advertise; Produce 0 to 2 are advertised by both, and served by none."""
    both = {}
    for api in sorted(set(kafka) & set(chronik)):
        low, high = codec.message(api + "Request").versions
        both[api] = range(max(kafka[api][0], chronik[api][0], low), min(kafka[api][1], chronik[api][1], high) + 1)
    return both


class Run:
    def __init__(self, kafka, chronik):
        self.kafka, self.chronik = kafka, chronik
        self.told = advertised(kafka), advertised(chronik)
        self.both = common(*self.told)
        for side in (kafka, chronik):
            side.served = {codec.message(api + "Request").key for api in self.both}
        self.justified, self.found, self.failures = Justified(), [], []
        self.shown = {}
        self.steps = self.cases = 0
        self.called, self.refused = set(), set()        # (API, version) with an answer without an error, and with one

    def case(self, name, function, version):
        for side in (self.kafka, self.chronik):
            side.begin(f"{function.__name__.replace('_', '-')}-{version}")
            try:
                function(side, version or self.both) if function in cases.WHOLE else function(side, version)
            except Exception:
                self.failures.append(f"{name} {version} went wrong at {side.title} after {len(side.steps)} steps:\n"
                                     + traceback.format_exc())
        self.cases += 1
        self.count(self.kafka.steps)
        tidies = [Tidy(s.node.host, s.node.port, s.prefix, s.ids) for s in (self.kafka, self.chronik)]
        for found in compare_case(function.__name__, version, self.kafka.steps, self.chronik.steps, *tidies):
            why = self.justified.why(found)
            self.found.append((found, why))
            if not why or ARGS.all:
                self.show(found, why)
        for side in (self.kafka, self.chronik):
            side.end()
            if side.node.process.poll() is not None:
                raise SystemExit(f"{side.title} ended in {name} {version}: {side.node.tail()}")

    def count(self, steps):
        self.steps += len(steps)
        for step in steps:
            if isinstance(step.answer, dict):
                (self.refused if any(errors(step.answer)) else self.called).add((step.api, step.version))

    def all(self):
        for name, functions in cases.CASES.items():
            if name not in self.both or (ARGS.api and name not in ARGS.api):
                continue
            for version in self.both[name]:
                if ARGS.version is None or ARGS.version == version:
                    for function in functions:
                        self.case(name, function, version)
        for function in [] if ARGS.api else cases.WHOLE:
            self.case(function.__name__, function, 0)

    def show(self, found, why):
        """Keep a difference for report(), once for all versions that have it."""
        key = (found.case, found.label, found.path, str(found.kafka), str(found.chronik), why)
        self.shown.setdefault(key, []).append(found.version)

    def report(self):
        last = None
        for (case, label, path, kafka, chronik, why), versions in self.shown.items():
            if (case, label) != last:
                print(f"{case}: {label}")
            last = case, label
            print(f"    {min(versions)}-{max(versions)} {path[:120]}: Kafka {kafka[:200]} | Chronik {chronik[:200]}"
                  + (f"\n        {why}" if why else ""))

    def judge(self):
        """Lines about what is wrong; none if all is well."""
        lines = list(self.failures)
        lines += [f"{n} differences are not justified" for n in [sum(not why for _, why in self.found)] if n]
        if not ARGS.api and ARGS.version is None:
            lines += [f"nothing needs this any more: {row}" for row in self.justified.unused()]
            everything = {(api, v) for api, versions in self.both.items() for v in versions}
            lines += [f"{api} {v} was never answered" for api, v in sorted(everything - self.called - self.refused)]
            lines += [f"{api} {v} was never answered without an error" for api, v in sorted(everything - self.called)
                      if api not in cases.NEVER_WELL]
            lines += [f"{api} {v} was never answered with an error" for api, v in sorted(everything - self.refused)
                      if api not in cases.NEVER_ILL]
        return lines


def main():
    began = time.monotonic()
    with Node(SETTINGS) as ours, KafkaNode(SETTINGS, kafka=KAFKA) as theirs:
        run = Run(Side("Kafka", theirs), Side("Chronik", ours))
        run.all()
        ours.stop()
    run.report()
    wrong = run.judge()
    print("\n".join(wrong))
    print(f"{run.cases} cases, {len(run.both)} APIs, {sum(map(len, run.both.values()))} versions, {run.steps} answers compared, "
          f"{len(run.found)} differences, {sum(not why for _, why in run.found)} of them not justified, "
          f"{time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
