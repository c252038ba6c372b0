#!/usr/bin/python3
"""The main job on real input: see README.md beside this file."""

import argparse
import hashlib
import logging
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

# librdkafka reports each lost connection; here they are lost on purpose.
QUIET = logging.getLogger("librdkafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

TOPIC, PARTITIONS, GROUP = "packages", 8, "readers"


def say(text):
    print(f"[{time.monotonic() - START:7.2f} s] {text}", flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node:
    """One chronikd that can be killed and started again on the same data."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.address = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.process = None
        self.kills = 0

    def start(self):
        began = time.monotonic()
        self.process = subprocess.Popen(
            [self.program, "--data-dir", self.folder, "--kafka", self.address, "--admin", self.admin,
             "--set", "groups.initial_rebalance_delay_ms=500ms", "--set", "diag.level=warning"],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("READY"):
            sys.exit(f"the node did not start: {line.strip() or 'it ended'}")
        return time.monotonic() - began

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        say(f"killed the node (SIGKILL), ready again after {self.start() * 1000:.0f} ms")

    def stop(self):
        self.process.terminate()
        status = self.process.wait(timeout=60)
        if status != 0:
            sys.exit(f"the node ended with status {status} after SIGTERM")


def index_files():
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages"],
                         capture_output=True, text=True).stdout
    return sorted(f for f in out.split("\n") if f)


def read_index(lines_max):
    """(key, line) of the package index: the key is the package that the line belongs to."""
    records = []
    for name in index_files():
        text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", name], capture_output=True).stdout
        key = b""
        for line in text.split(b"\n"):
            if line.startswith(b"Package: "):
                key = line[9:]
            if line:
                records.append((key, line))
                if len(records) == lines_max:
                    return records
    return records


def fingerprints(records):
    """One running hash for each key: order and content of its lines."""
    hashes = {}
    for key, value in records:
        hashes.setdefault(key, hashlib.blake2b(digest_size=16)).update(len(value).to_bytes(4, "big") + value)
    return {k: h.digest() for k, h in hashes.items()}


def produce(node, records, kills):
    failed, done = [], [0]

    def delivered(error, _message):
        if error:
            failed.append(str(error))
        else:
            done[0] += 1

    producer = Producer({"bootstrap.servers": node.address, "enable.idempotence": True, "acks": "all",
                         "compression.type": "lz4", "linger.ms": 5, "message.timeout.ms": 300000,
                         "queue.buffering.max.messages": 200000}, logger=QUIET)
    kill_at = [len(records) * (i + 1) // (kills + 1) for i in range(kills)]
    began = last = time.monotonic()
    for i, (key, value) in enumerate(records):
        if kill_at and i == kill_at[0]:
            kill_at.pop(0)
            node.kill()
        while True:
            try:
                producer.produce(TOPIC, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        if i % 1000 == 0:
            producer.poll(0)
            if time.monotonic() - last > 2:
                last = time.monotonic()
                say(f"produced {i:,} of {len(records):,}, acknowledged {done[0]:,}")
    if producer.flush(300) or failed:
        sys.exit(f"FAILED: not acknowledged: {failed[:3] or 'time-out'}")
    took = time.monotonic() - began
    size = sum(len(k) + len(v) for k, v in records)
    say(f"all {done[0]:,} records ({size / 1e6:.1f} MB) acknowledged in {took:.1f} s: "
        f"{len(records) / took:,.0f} records/s, {size / took / 1e6:.1f} MB/s, the kills included")


class Reader(threading.Thread):
    """A member of the group: reads, remembers which offsets it saw, commits by hand."""

    def __init__(self, node, seen, lock, enough):
        super().__init__(daemon=True)
        self.seen, self.lock, self.enough = seen, lock, enough
        self.consumer = Consumer({"bootstrap.servers": node.address, "group.id": GROUP,
                                  "enable.auto.commit": False, "auto.offset.reset": "earliest",
                                  "session.timeout.ms": 6000}, logger=QUIET)
        self.consumer.subscribe([TOPIC])
        self.count = 0

    def run(self):
        while not self.enough.is_set():
            messages = [m for m in self.consumer.consume(5000, 0.5) if not m.error()]
            if not messages:
                continue
            with self.lock:
                for m in messages:
                    self.seen[m.partition()].append(m.offset())
            self.count += len(messages)
            try:
                self.consumer.commit(asynchronous=False)
            except Exception:  # the node is being killed, or the group rebalances: it is read again
                pass
        self.consumer.close()


def read_by_group(node, total, kills):
    seen, lock, enough = [[] for _ in range(PARTITIONS)], threading.Lock(), threading.Event()
    readers = [Reader(node, seen, lock, enough) for _ in range(2)]
    began = last = time.monotonic()
    kill_at = [total * (i + 1) // (kills + 1) for i in range(kills)]
    for r in readers:
        r.start()
    while True:
        time.sleep(0.2)
        count = sum(r.count for r in readers)
        if kill_at and count >= kill_at[0]:
            kill_at.pop(0)
            node.kill()
        with lock:
            distinct = sum(len(set(s)) for s in seen) if count >= total else 0
        if distinct >= total:
            break
        if time.monotonic() - last > 2:
            last = time.monotonic()
            say(f"the group has read {count:,} of {total:,}")
        if time.monotonic() - began > 300:
            sys.exit(f"FAILED: the group read only {distinct or count:,} of {total:,} records in 300 s")
    took = time.monotonic() - began
    enough.set()
    for r in readers:
        r.join(30)
    count = sum(r.count for r in readers)
    say(f"the group (two members: {readers[0].count:,} and {readers[1].count:,}) read every record in {took:.1f} s: "
        f"{count / took:,.0f} records/s; {count - distinct:,} were delivered again after a kill or rebalance")


def read_all(node):
    """Every partition from start to end, by assignment: what the log really holds."""
    consumer = Consumer({"bootstrap.servers": node.address, "group.id": "proof", "enable.auto.commit": False},
                        logger=QUIET)
    ends = [consumer.get_watermark_offsets(TopicPartition(TOPIC, p), 10) for p in range(PARTITIONS)]
    consumer.assign([TopicPartition(TOPIC, p, ends[p][0]) for p in range(PARTITIONS)])
    left = sum(high - low for low, high in ends)
    next_offset = [low for low, _ in ends]
    records, began = [], time.monotonic()
    while left > 0:
        for m in consumer.consume(10000, 1):
            if m.error():
                sys.exit(f"FAILED: {m.error()}")
            if m.offset() != next_offset[m.partition()]:
                sys.exit(f"FAILED: partition {m.partition()} jumps from {next_offset[m.partition()]} to {m.offset()}")
            next_offset[m.partition()] += 1
            records.append((m.key(), m.value()))
            left -= 1
        if time.monotonic() - began > 300:
            sys.exit(f"FAILED: {left:,} records of the log did not come in 300 s")
    consumer.close()
    say(f"read {len(records):,} records of {PARTITIONS} partitions in {time.monotonic() - began:.1f} s")
    return records


def prove(expected, records):
    got = fingerprints(records)
    if len(got) != len(expected) or sum(1 for k in expected if got.get(k) != expected[k]):
        wrong = [k.decode() for k in expected if got.get(k) != expected[k]]
        sys.exit(f"FAILED: {len(wrong)} of {len(expected)} keys differ in content or order, such as {wrong[:3]}")
    whole = hashlib.blake2b(b"".join(k + got[k] for k in sorted(got)), digest_size=16).hexdigest()
    say(f"proved: {len(records):,} records under {len(got):,} keys, none lost, duplicated or reordered (checksum {whole})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chronikd", default="build/chronikd")
    parser.add_argument("--lines", type=int, default=0, help="use only so many lines of the index")
    parser.add_argument("--kills", type=int, default=3, help="SIGKILLs while producing; half as many while reading")
    parser.add_argument("--keep", action="store_true", help="leave the data directory")
    args = parser.parse_args()

    records = read_index(args.lines)
    if len(records) < (args.lines or 1000000):
        sys.exit(f"this machine's package index has only {len(records):,} lines; run 'apt-get update' and try again")
    expected = fingerprints(records)
    say(f"input: {len(records):,} lines of Debian's package index under {len(expected):,} keys")
    folder = tempfile.mkdtemp(prefix="chronik-demo-")
    node = Node(args.chronikd, folder)
    try:
        say(f"the node is ready after {node.start() * 1000:.0f} ms on {node.address}")
        admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(10)
        produce(node, records, args.kills)
        read_by_group(node, len(records), (args.kills + 1) // 2)
        node.kill()
        got = read_all(node)
        if len(got) != len(records):
            sys.exit(f"FAILED: {len(records):,} records were acknowledged and the log holds {len(got):,}")
        prove(expected, got)
        node.stop()
    finally:
        if node.process and node.process.poll() is None:
            node.process.kill()
        if args.keep:
            say(f"data directory: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"done; the node was killed {node.kills} times")


START = time.monotonic()
if __name__ == "__main__":
    main()
