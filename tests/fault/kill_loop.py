#!/usr/bin/env python3
"""chronikd under SIGKILL, over and over: see README.md beside this file."""

import argparse
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

import records  # noqa: E402
from book import Book, Broken  # noqa: E402
from clients import Committer, Producer, Tail, Where  # noqa: E402
from kafka import ERR, Client  # noqa: E402
from node import Node  # noqa: E402

SETTINGS = ["storage.retention_check_interval_ms=150ms", "storage.compaction_interval_ms=150ms",
            "storage.file_delete_delay_ms=100ms", "storage.recovery_bytes_max=1MiB"]
# What an operator would be told if something that was durable were gone.
ALARMS = ("are missing from", "is damaged", "is not served", "does not follow", "Assertion", "begins before offset",
          "read-only")


class Topic:
    def __init__(self, name, partitions, deletes=False, compacted=False, **configs):
        self.name, self.partitions, self.deletes, self.compacted = name, partitions, deletes, compacted
        self.configs = configs


TOPICS = [Topic("plain", 3),
          Topic("rolls", 2, deletes=True, segment_bytes=20000, retention_bytes=400000),
          Topic("compacted", 1, compacted=True, cleanup_policy="compact", segment_bytes=20000,
                min_cleanable_dirty_ratio=0.01)]


class Loop:
    """The node, its clients, and the hand that kills it."""

    def __init__(self, args):
        self.args, self.random = args, random.Random(args.seed)
        self.node = Node([*SETTINGS, *args.set], program=args.chronikd)
        self.book, self.where, self.finish = Book(), Where(), threading.Event()
        self.kills = {"serving": 0, "starting": 0}
        self.starts_s = []
        rest = (self.book, self.where, self.finish, args.seed)
        self.workers = [Producer("all", "plain", 3, *rest, large=True), Producer("one", "plain", 3, *rest, idempotent=False, acks=1),
                        Producer("rolling", "rolls", 2, *rest), Producer("keyed", "compacted", 1, *rest, keys=40),
                        Tail("tail", TOPICS, *rest), Committer("group", "plain", *rest)]

    # -- the node --

    def start(self):
        began = time.monotonic()
        self.node.start()
        self.starts_s.append(time.monotonic() - began)
        self.where.set((self.node.host, self.node.port))

    def kill(self, when):
        self.where.set(None)
        self.node.kill()                    # a node that has ended by itself is an error here
        self.kills[when] += 1

    def killed_while_it_starts(self):
        """SIGKILL somewhere between exec and READY, or a little later, before anybody has been served."""
        self.node.begin()
        time.sleep(self.random.uniform(0, 1.3 * max(self.starts_s[-5:])))
        self.kill("starting")

    def create(self):
        with Client(self.node.host, self.node.port) as client:
            for t in TOPICS:
                configs = [{"name": k.replace("_", "."), "value": str(v)} for k, v in t.configs.items()]
                answer = client.call("CreateTopics", 7, topics=[
                    {"name": t.name, "num_partitions": t.partitions, "replication_factor": 1, "configs": configs}])
                if answer["topics"][0]["error_code"]:
                    raise Broken(f"CreateTopics: {answer['topics'][0]['error_message']}")

    # -- the rounds --

    def round(self):
        time.sleep(self.random.uniform(0.02, self.args.serve_s))
        self.kill("serving")
        while self.random.random() < 0.4:
            self.killed_while_it_starts()
        self.start()

    def run(self):
        self.start()
        self.create()
        for worker in self.workers:
            worker.start()
        last = time.monotonic()
        for number in range(self.args.rounds):
            self.round()
            if self.book.broken:
                return
            if time.monotonic() - last > 10:
                last = time.monotonic()
                print(f"round {number + 1} of {self.args.rounds}: {self.figures()}", flush=True)
        self.quiesce()
        self.look("after the last kill")
        self.where.set(None)
        self.node.restart()
        self.where.set((self.node.host, self.node.port))
        self.look("after a clean stop")
        self.node.stop()

    def quiesce(self):
        """Everything in flight is acknowledged, and nothing more is sent."""
        self.finish.set()
        for worker in self.workers:
            worker.join(60)
            if worker.is_alive():
                self.book.fail(f"{worker.name} did not come to an end within a minute")

    # -- the proof --

    def read_all(self, client, topic, p):
        """(start, end, [(offset, key, value)]) of a partition."""
        rows, start, offset = [], None, 0
        while True:
            answer = client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 24, topics=[
                {"topic": topic.name, "partitions": [{"partition": p, "fetch_offset": offset,
                                                      "partition_max_bytes": 1 << 20}]}])["responses"][0]["partitions"][0]
            if answer["error_code"] == ERR.OFFSET_OUT_OF_RANGE and start is None:
                answer = client.call("ListOffsets", 7, replica_id=-1, topics=[{"name": topic.name, "partitions": [
                    {"partition_index": p, "timestamp": -2}]}])["topics"][0]["partitions"][0]
                start = offset = answer["offset"]
                continue
            if answer["error_code"]:
                if topic.deletes and answer["error_code"] == ERR.OFFSET_OUT_OF_RANGE:
                    rows, start, offset = [], None, 0           # retention passed us: once more
                    continue
                raise Broken(f"{topic.name}-{p} from {offset}: {ERR(answer['error_code']).name}")
            start = offset if start is None else start
            batches = records.parse(answer["records"] or b"")
            for batch in batches:
                rows += [(r.offset, r.key, r.value) for r in batch.records if r.offset >= offset]
                offset = batch.base_offset + batch.last_offset_delta + 1
            if not batches:
                if offset < answer["high_watermark"]:
                    raise Broken(f"{topic.name}-{p}: nothing can be read from {offset} to {answer['high_watermark']}")
                return start, offset, rows

    def check(self, client, topic, p):
        start, end, rows = self.read_all(client, topic, p)
        partition = (topic.name, p)
        for offset, _key, value in rows:
            self.book.saw(partition, offset, value)
        if topic.compacted:
            self.book.newest_there(partition, rows)
            return
        self.book.all_there(partition, {o for o, _, _ in rows}, start, end)
        if [o for o, _, _ in rows] != list(range(start, end)):
            raise Broken(f"{partition}: there are gaps between {start} and {end}")
        for producer in self.workers:
            if isinstance(producer, Producer) and producer.idempotent and producer.topic == topic.name:
                self.book.in_order(partition, [v for _, _, v in rows], producer.name.encode(), start == 0)

    def look(self, when):
        with Client(self.node.host, self.node.port) as client:
            for topic in TOPICS:
                for p in range(topic.partitions):
                    try:
                        self.check(client, topic, p)
                    except Broken as why:
                        raise Broken(f"{when}: {why}") from why
        alarms = [line for line in self.node.text().splitlines() if any(a in line for a in ALARMS)]
        if alarms:
            raise Broken(f"{when}, the node had said: {alarms[0]}")

    def figures(self):
        counts = ", ".join(f"{number:,} {what}" for what, number in self.book.counts.items())
        return (f"{self.kills['serving']} kills while serving, {self.kills['starting']} while starting; {counts}; "
                f"ready after {max(self.starts_s):.2f} s at most")


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="times that the node is killed while it serves (5)")
    p.add_argument("--serve-s", type=float, default=0.8, help="longest time that it serves between two kills (0.8)")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="for all that is random")
    p.add_argument("--chronikd", help="the program (build/chronikd, or CHRONIKD)")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a parameter of the node")
    p.add_argument("--keep", action="store_true", help="leave the data directory and the node's output")
    return p.parse_args()


def main():
    args = arguments()
    print(f"seed {args.seed}", flush=True)
    loop = Loop(args)
    try:
        loop.book.guard(loop.run)
    finally:
        loop.where.set(None)
        if args.keep or loop.book.broken:
            print(f"data and output: {loop.node.folder}")
            if loop.node.process and loop.node.died() is None:
                loop.node.kill()
        else:
            loop.node.close()
    print(loop.figures())
    if loop.book.broken:
        print(f"BROKEN (--seed {args.seed} --rounds {args.rounds}): {loop.book.broken}")
        return 1
    print("kept: no acknowledged record lost, changed, doubled or out of order; no committed offset went back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
