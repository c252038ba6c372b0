#!/usr/bin/env python3
"""A cluster of real nodes under faults, with real clients, and a checker: see README.md beside this file."""

import argparse
import random
import sys
import time
import traceback

import hosts
from check_history import name_of
from cluster import ids_of
from run import Run
from scenarios import ALL


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("scenario", nargs="*", help="names from --list; default: all that this place can do")
    p.add_argument("--list", action="store_true", help="print the scenarios and end")
    p.add_argument("--seconds", type=float, help="length of each scenario's faults; default: its own")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="for all that is random")
    p.add_argument("--layout", help="1: a node alone; 3: three nodes; 3+2: three controllers and two ingest nodes")
    p.add_argument("--tls", action="store_true", help="nodes speak with each other over TLS")
    p.add_argument("--loopback", action="store_true", help="ports of the loopback instead of namespaces; no root, no cuts")
    p.add_argument("--clients", default="", help="foreign clients beside our own: confluent-debian, java, franz (all: these), confluent")
    p.add_argument("--chronikd", help="the program (build/chronikd, or CHRONIKD)")
    p.add_argument("--kafka", metavar="JARS", help="the folder of Apache Kafka's jars, to run that in place of chronikd")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a parameter of all nodes")
    p.add_argument("--keep", action="store_true", help="leave histories, data and output, also of what passed")
    p.add_argument("--verbose", action="store_true", help="say what is done, as it is done")
    args = p.parse_args()
    for name in args.scenario:
        if name not in ALL:
            p.error(f"no scenario is called {name}; --list prints their names")
    return args


def chosen(args):
    """Scenarios that were named, or those that fit."""
    if args.scenario:
        return [ALL[name] for name in args.scenario]
    rows = [s for s in ALL.values() if s.name != "quick" and not (args.loopback and (s.cuts or s.disk))]
    return [s for s in rows if s.alone] if args.layout == "1" else rows


def report(run):
    """One scenario in a few lines."""
    c = run.checker.figures.counts
    longest = max(run.checker.figures.windows.items(), key=lambda item: item[1][0], default=(("-", 0), (0.0, 0.0)))
    print(f"{run.scenario.name}: {'FAILED' if run.failed else 'ok'}; {c['faults']} faults, {c['records acknowledged']:,} records "
          f"acknowledged, {c['records read']:,} read, {c['offsets committed']:,} commits, {len(run.violations)} violations; "
          f"longest without an acknowledgement {longest[1][0]:.2f} s ({name_of(longest[0])}), without a change of metadata "
          f"{run.checker.figures.control_window[0]:.2f} s", flush=True)
    for name, rows in (("outage of partitions", run.outages), ("outage of metadata", run.control_outages)):
        if rows:
            times = sorted(seconds for _, seconds in rows)
            print(f"  {name} after a fault: median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s of {len(times)}")
    if c["records lent"]:
        print(f"  a share group was lent {c['records lent']:,} records and accepted {c['records accepted']:,}")
    if run.checker.figures.flood:
        f = run.checker.figures.flood
        print(f"  full load: {f['delivered']:,} records of 1,000 B in {f['seconds']} s, {f['failed']} deliveries failed, "
              f"{f['read']:,} read")
    for words, seconds in run.notes.items():
        print(f"  {words}: {seconds:.1f} s")
    if c["lower ends in fetches"]:
        print(f"  lower ends in fetches: {c['lower ends in fetches']}")
    for v in run.violations:
        print(f"  BROKEN {v.kind}: {v.text}")
    for text in run.trouble:
        print(f"  TROUBLE {text}")


def table(runs):
    head = ("scenario", "faults", "acknowledged", "read", "broken", "longest outage", "of metadata")
    rows = [head] + [(r.scenario.name, str(r.checker.figures.counts["faults"]),
                      f"{r.checker.figures.counts['records acknowledged']:,}", f"{r.checker.figures.counts['records read']:,}",
                      str(len(r.violations) + len(r.trouble)),
                      f"{max((w for w, _ in r.checker.figures.windows.values()), default=0):.2f} s",
                      f"{r.checker.figures.control_window[0]:.2f} s") for r in runs]
    wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, wide)))
                     for row in rows)


def run_all(args):
    import foreign
    foreigners = foreign.chosen(args.clients)
    runs, broken = [], 0
    for s in chosen(args):
        began = time.monotonic()
        run = Run(s, args, foreigners)
        try:
            run.go()
        except Exception:                   # of the harness itself
            traceback.print_exc()
            run.trouble.append("the harness failed")
            run.violations = getattr(run, "violations", [])
            run.outages = run.control_outages = []
        run.cluster.close(keep=args.keep or run.failed)
        report(run)
        if run.failed or args.keep:
            print(f"  history, data and output: {run.folder}; again with --seed {args.seed} {s.name}")
        print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
        broken += run.failed
        runs.append(run)
    print(f"\n{table(runs)}\n\n{len(runs)} scenarios, {broken} failed, seed {args.seed}")
    return 1 if broken else 0


def main():
    args = arguments()
    if args.list:
        for s in ALL.values():
            print(f"{s.name:<18} {s.layout:<4} {s.seconds:>3} s  {s.what}")
        return 0
    if args.layout:
        ids_of(args.layout)
    if not args.loopback:
        why = hosts.why_not() if not hosts.is_inside() else None
        if why:
            print(f"skipped: {why}")
            return hosts.SKIP
        hosts.inside()
    print(f"seed {args.seed}", flush=True)
    return run_all(args)


if __name__ == "__main__":
    sys.exit(main())
