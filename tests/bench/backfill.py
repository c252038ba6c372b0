#!/usr/bin/env python3
"""`make bench-backfill`: what a large backfill from the disk costs those who read near the tail.

chronikd runs in a memory control group that is much smaller than the old topic. A producer appends to another topic at a
fixed rate, and a reader follows it some seconds behind, at the same rate: what it reads is in the page cache as long as
nobody drives it out. Measured without and with two consumers that read the old topic again and again, as fast as they can.
Needs root (control groups). usage: backfill.py [--build BUILD]
"""
import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from report import machine_line, median, table
from servers import Chronikd, Load

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))
from kafka import Client  # noqa: E402

MEMORY_MB, OLD_MB, RATE_MB = 512, 3072, 20
LAG_S, MEASURE_S = 6, 12
PARTITIONS = 4
CACHESTAT = 451  # the system call's number, the same everywhere


class MemoryGroup:
    """A control group, version 1 or 2, that bounds a process together with its page cache."""

    def __init__(self, limit):
        for root, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
            self.folder = Path(root) / f"chronik-bench-{os.getpid()}"
            try:
                self.folder.mkdir()
                (self.folder / name).write_text(str(limit))
                return
            except OSError as e:
                error = e
        sys.exit(f"a memory control group cannot be made ({error}): run as root, with the memory controller enabled")

    def add(self, pid):
        (self.folder / "cgroup.procs").write_text(str(pid))

    def remove(self):
        self.folder.rmdir()


class Follower:
    """Reads every partition of the topic at the rate at which it is written."""

    def __init__(self, port, topic):
        self.client = Client("127.0.0.1", port)
        self.topic, self.offsets = topic, [0] * PARTITIONS

    def fetch(self, partition):
        """One megabyte, and how long it took in ms."""
        began = time.monotonic()
        answer = self.client.call("Fetch", 12, max_wait_ms=500, min_bytes=1, max_bytes=1 << 20, session_epoch=-1, topics=[{
            "topic": self.topic, "partitions": [{"partition": partition, "fetch_offset": self.offsets[partition],
                                                 "partition_max_bytes": 1 << 20}]}])
        took = (time.monotonic() - began) * 1000
        records = answer["responses"][0]["partitions"][0]["records"]
        at = 0
        while records and at + 61 <= len(records):
            size = 12 + int.from_bytes(records[at + 8:at + 12], "big")
            if at + size > len(records):
                break
            self.offsets[partition] = (int.from_bytes(records[at:at + 8], "big") +
                                       int.from_bytes(records[at + 23:at + 27], "big") + 1)
            at += size
        return took

    def run(self, seconds):
        took, began = [], time.monotonic()
        for i in range(int(seconds * RATE_MB)):
            time.sleep(max(0, began + i / RATE_MB - time.monotonic()))
            took.append(self.fetch(i % PARTITIONS))
        return took


def resident_share(folder):
    """Share of the bytes that the follower has not read yet, of one partition, that are in the page cache (cachestat,
    Linux 6.5)."""
    path, = folder.glob("*.log")
    end = path.stat().st_size
    length = min(end, int(LAG_S * RATE_MB * 1e6 / PARTITIONS))
    span, found = (ctypes.c_uint64 * 2)(end - length, length), (ctypes.c_uint64 * 5)()
    fd = os.open(path, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).syscall(CACHESTAT, fd, span, found, 0):
        raise OSError(ctypes.get_errno(), "cachestat")
    os.close(fd)
    return min(1, found[0] * 4096 / length)


def quantile(values, q):
    return sorted(values)[int((len(values) - 1) * q)]


def phase(node, load, program, number, backfill):
    topic = f"tail-{number}"
    load("create", topic=topic, partitions=PARTITIONS)
    produce = Load(program, node.port).command("produce", topic=topic, partitions=PARTITIONS, rate=RATE_MB * 1e6,
                                               seconds=LAG_S + MEASURE_S + 1, connections=1, in_flight=8)
    others = [subprocess.Popen(produce, stdout=subprocess.PIPE, text=True)]
    try:
        time.sleep(LAG_S)
        if backfill:
            consume = Load(program, node.port).command("consume", topic="old", partitions=PARTITIONS, connections=2,
                                                       seconds=MEASURE_S)
            others.append(subprocess.Popen(consume, stdout=subprocess.PIPE, text=True))
            time.sleep(1)
        follower = Follower(node.port, topic)
        took = follower.run(MEASURE_S - 3)
        share = min(resident_share(folder) for folder in (node.data / "log").glob(f"{topic}-*"))
        outputs = [json.loads(p.communicate(timeout=120)[0]) for p in others]
    finally:
        for p in others:
            p.kill()
            p.wait()
    load("delete", topic=topic)
    return {"follower p50, ms": quantile(took, 0.5), "follower p99, ms": quantile(took, 0.99),
            "producer acknowledged p99, ms": outputs[0]["p99_ms"], "what it will read is in the page cache, %": share * 100,
            "backfill, MB/s": outputs[1]["mb_s"] if backfill else None}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", type=Path, default=Path("build"))
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    build = args.build.resolve()
    work, program = build / "bench-backfill", build / "tests/bench/bench-load"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    group = MemoryGroup(MEMORY_MB << 20)
    node = Chronikd(build / "chronikd", work / "data", "storage.file_delete_delay_ms=0").start()
    rows = {False: [], True: []}
    try:
        group.add(node.pid)
        load = Load(program, node.port)
        load("create", topic="old", partitions=PARTITIONS)
        load("produce", topic="old", partitions=PARTITIONS, connections=2, in_flight=5, bytes_max=OLD_MB << 20)
        for number in range(args.rounds):
            for backfill in (False, True):
                rows[backfill].append(phase(node, load, program, f"{number}-{int(backfill)}", backfill))
                print(rows[backfill][-1], file=sys.stderr, flush=True)
    finally:
        node.kill()
        group.remove()
        shutil.rmtree(work, ignore_errors=True)
    print(machine_line())
    names = list(rows[False][0])
    print("\n".join(table([f"median of {args.rounds}; {MEMORY_MB} MB of memory, {OLD_MB} MB of old records", "alone",
                           "with a backfill"],
                          [[n, *[median([r[n] for r in rows[b] if r[n] is not None]) for b in (False, True)]]
                           for n in names])))


if __name__ == "__main__":
    main()
