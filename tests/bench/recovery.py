#!/usr/bin/env python3
"""`make bench-recovery`: how long a start takes after SIGTERM and after SIGKILL, and what is read for it.

Real data comes through the Kafka protocol; the kill comes while more is produced. Each case is started warm (the kernel
still has what was written) and, where this user may drop the page cache, cold (as after a reboot of the machine).
"""
import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from report import machine_line, table, write_json
from servers import Chronikd, Load, proc_status

LIMIT_S = 2
CASES = ["1:1GB", "100:10GB", "1000:1GB", "10000:1GB"]
MIDST_S = 3                             # of producing before the kill
UNITS = {"MB": 10**6, "GB": 10**9}
SUMMARY = re.compile(r"recovered (\d+) partitions in ([\d.]+) s: (\d+) bytes read, (\d+) cut off")


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cases", nargs="*", default=CASES, metavar="PARTITIONS:SIZE",
                   help=f"what to make, such as 100:10GB ({' '.join(CASES)})")
    p.add_argument("--build", type=Path, default=Path("build"), help="build folder (build); data goes to its bench/")
    p.add_argument("--json", type=Path, help="write every figure to this file as well")
    p.add_argument("--batch-bytes", type=int, default=65536, help="bytes of a produced batch, at most (65536)")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a parameter of the node")
    return p.parse_args()


def size_of(text):
    number, unit = re.fullmatch(r"(\d+)(MB|GB)", text).groups()
    return int(number) * UNITS[unit]


def proc_io(pid):
    """Bytes by name: rchar is what was read in all, read_bytes what came from the disk."""
    return {k: int(v) for k, v in (line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())}


def drop_page_cache():
    """As after a reboot. False where this user may not."""
    subprocess.run(["sync"], check=True)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


class Case:
    """One size of data: made once, then started after each kind of end."""

    def __init__(self, args, text):
        partitions, size = text.split(":")
        self.partitions, self.size, self.args = int(partitions), size_of(size), args
        self.data = args.build / "bench" / f"recovery-{self.partitions}"
        self.topic = {"topic": "recovery", "partitions": self.partitions}
        # A batch for every partition at least.
        self.batch = max(1000, min(args.batch_bytes, self.size // self.partitions))
        self.rows = []

    def node(self):
        return Chronikd(self.args.build / "chronikd", self.data, *self.args.set)

    def load(self, node):
        return Load(self.args.build / "tests/bench/bench-load", node.port)

    def make(self):
        node = self.node().start()
        load = self.load(node)
        load("create", **self.topic)
        sent = load("produce", **self.topic, connections=4, in_flight=8, batch_bytes=self.batch, bytes_max=self.size,
                    record_bytes=1000)
        say(f"{self.partitions} partitions: {self.size / 1e9:.1f} GB in {sent['seconds']:.1f} s")
        return node

    def end(self, node, kind):
        """End the node; a kill comes in the midst of more data, round all partitions."""
        if kind == "SIGTERM":
            return node.stop()
        command = self.load(node).command("produce", **self.topic, connections=4, in_flight=8, batch_bytes=self.batch,
                                          record_bytes=1000, seconds=60)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            time.sleep(MIDST_S)
            return node.kill()

    def start(self, kind, cache):
        node = self.node()
        before = node.log.stat().st_size if node.log.exists() else 0
        node.start()
        io, memory = proc_io(node.pid), proc_status(node.pid)["VmRSS"]
        found = SUMMARY.search(node.log.read_bytes()[before:].decode(errors="replace"))
        row = {"partitions": self.partitions, "bytes": self.size, "after": kind, "cache": cache, "ready_s": node.ready_s,
               "recovered": int(found[1]) if found else 0, "scanned_bytes": int(found[3]) if found else 0,
               "read_bytes": io["rchar"], "disk_bytes": io["read_bytes"], "rss_kb": memory}
        self.rows.append(row)
        say(f"{self.partitions} partitions after {kind}, {cache}: ready in {node.ready_s:.2f} s")
        return node

    def run(self, cold):
        node = self.make()
        for kind in ("SIGTERM", "SIGKILL"):
            for cache in ("warm", "cold") if cold else ("warm",):
                self.end(node, kind)
                if cache == "cold":
                    drop_page_cache()
                node = self.start(kind, cache)
        node.stop()
        return self.rows


def lines(rows):
    head = ["partitions, bytes, end, page cache", "ready s", "recovered", "scanned MB", "read MB", "from disk MB", "RSS MB"]
    cells = []
    for r in rows:
        late = " (over 2 s)" if r["ready_s"] > LIMIT_S else ""
        cells.append([f"{r['partitions']:,}, {r['bytes'] / 1e9:g} GB, {r['after']}, {r['cache']}{late}",
                      f"{r['ready_s']:.2f}", f"{r['recovered']:,}", f"{r['scanned_bytes'] / 1e6:.1f}",
                      f"{r['read_bytes'] / 1e6:.1f}", f"{r['disk_bytes'] / 1e6:.1f}", f"{r['rss_kb'] / 1024:.1f}"])
    return table(head, cells)


def main():
    args = arguments()
    args.build = args.build.resolve()
    work = args.build / "bench"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    cold = drop_page_cache()
    print(machine_line())
    print("the page cache can be dropped" if cold else "the page cache cannot be dropped by this user: warm starts only")
    rows = []
    try:
        for text in args.cases:
            case = Case(args, text)
            rows += case.run(cold)
            shutil.rmtree(case.data)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("\n" + "\n".join(lines(rows)))
    if args.json:
        write_json(args.json, {"recovery": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
