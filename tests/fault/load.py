#!/usr/bin/env python3
"""Clients of a cluster under faults, in a process of their own: they go on whatever happens and write down what they are told.

    load.py --history FILE --bootstrap HOST:PORT,... --topic NAME --partitions N KIND NAME

Kinds: produce (idempotent, acks=all, some batches in flight for each partition), read (all partitions at their ends, now and
then again from further back; asks for the end too), commit (a group that commits rising offsets), control (changes of metadata).
SIGTERM ends it in good order: what is in flight is sent until it is acknowledged. Status 1 and words on standard error when that
took too long or a client failed.
"""

import argparse
import random
import signal
import sys
import threading
import time
import traceback
from collections import deque

import history
from route import ERR, PAUSE_S, Again, ClientError, Refused, Route, judge, name_of

import records

WINDOW = 4                              # batches in flight; a broker knows the last five of a producer
FINISH_S = 45                           # for what is in flight when the end has come
GAPS_MAX = 200                          # refusals in a row for want of the batch before, each after a new look for the leader
RECORDS_MAX = 6                         # in a batch
END_EVERY_S = 0.25


class Worker(threading.Thread):
    """Works until @finish is set and finished() says so; what it raises ends the process with 1."""

    failed = None                       # of the first that failed, its words

    def __init__(self, args, partition, log, finish):
        super().__init__(daemon=True)
        self.args, self.topic, self.p, self.log, self.finish = args, args.topic, partition, log, finish
        self.random = random.Random(f"{args.seed} {args.name} {partition}")
        self.route = Route(args.bootstrap, f"{args.seed} {args.name} {partition}", timeout_s=args.answer_s)
        self.of = [args.topic, partition]

    def run(self):
        try:
            deadline = None
            while not (self.finish.is_set() and self.finished()):
                if self.finish.is_set():
                    deadline = deadline or time.monotonic() + FINISH_S
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{self.args.name} {self.of}: not done {FINISH_S} s after the end: {self.why}")
                self.turn()
        except Exception:               # whatever it is: it must not go unseen
            Worker.failed = Worker.failed or traceback.format_exc()

    def turn(self):
        try:
            self.work()
        except Again as why:
            self.why = str(why)
            time.sleep(PAUSE_S)
        except Refused as why:
            self.log.write("refused", what=why.what, error=why.error)
            time.sleep(1)

    why = "nothing was answered"

    def finished(self):
        return True


class Producer(Worker):
    """One partition's batches in order, several in flight; all that is not acknowledged is sent again, in order."""

    def __init__(self, *args):
        super().__init__(*args)
        self.name = f"{self.args.name}-{self.p}"
        self.id, self.next, self.gaps, self.stuck_since = None, 0, 0, None
        self.unacknowledged = deque()   # (number, values)

    def finished(self):
        return not self.unacknowledged

    def begin(self):
        answer = self.route.ask_any("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60000)
        judge(answer["error_code"], "InitProducerId")
        self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]

    def make(self):
        count = self.random.randint(1, RECORDS_MAX)
        values = [history.value_of(self.name, self.p, self.next + i, self.random.randbytes(self.random.randint(0, 200)))
                  for i in range(count)]
        batch = (self.next, values)
        self.unacknowledged.append(batch)
        self.log.write("send", by=self.name, of=self.of, n=self.next, count=count)
        self.next += count
        return batch

    def send(self, client, batch):
        data = records.batch(batch[1], producer_id=self.id, producer_epoch=self.epoch, base_sequence=batch[0])
        try:
            client.send("Produce", 9, acks=-1, timeout_ms=int(self.args.answer_s * 1000), topic_data=[
                {"name": self.topic, "partition_data": [{"index": self.p, "records": data}]}])
        except ClientError as why:
            raise Again(f"Produce: {why}") from why
        return batch, time.monotonic()

    def work(self):
        """From a look for the leader to the first thing that goes wrong there."""
        if self.id is None:
            self.begin()
        address, _ = self.route.leader(self.topic, self.p)
        try:
            self.stream(self.route.client_at(address))
        except (Again, ClientError, OSError) as why:
            self.route.drop_at(address)     # answers may still be under way on it
            self.route.lost(self.topic, self.p)
            raise Again(str(why)) from why

    def stream(self, client):
        flight, again = deque(), deque(self.unacknowledged)
        while flight or again or not self.finish.is_set():
            width = self.random.randint(1, WINDOW)
            while len(flight) < width and (again or not self.finish.is_set()):
                flight.append(self.send(client, again.popleft() if again else self.make()))
            if flight:
                self.take(client, *flight.popleft())
            if not again:
                self.finish.wait(self.args.pause_s)

    def take(self, client, batch, since):
        row = client.receive()["responses"][0]["partition_responses"][0]
        code, at = row["error_code"], row["base_offset"]
        if code == ERR.OUT_OF_ORDER_SEQUENCE_NUMBER:
            # The one before it was refused for a while, so this one does not follow: both come again. Not for ever.
            self.gaps += 1
            if self.gaps > GAPS_MAX:
                self.gaps = 0
                raise Refused(f"Produce of {self.name}, number {batch[0]} first, {GAPS_MAX} times in a row", code)
            raise Again("Produce: the batch before is missing")
        if code == ERR.DUPLICATE_SEQUENCE_NUMBER:
            at = -1
        else:
            judge(code, f"Produce of {self.name}, number {batch[0]}")
        self.gaps = 0
        assert self.unacknowledged.popleft() is batch
        self.log.write("ack", by=self.name, of=self.of, since=since, at=at, n=batch[0],
                       sums=[history.row_of(v)[2] for v in batch[1]])


class Reader(Worker):
    """A consumer at the end of one partition."""

    def __init__(self, *args):
        super().__init__(*args)
        self.position, self.next_end = 0, 0.0

    def work(self):
        if time.monotonic() >= self.next_end:
            since = time.monotonic()
            self.log.write("end", of=self.of, since=since, via="list", end=self.route.list_offset(self.topic, self.p, -1))
            self.next_end = time.monotonic() + END_EVERY_S
        if self.random.random() < 0.01:
            self.position = self.random.randint(max(0, self.position - 3000), self.position)
        since = time.monotonic()
        row = self.route.fetch(self.topic, self.p, self.position, 100)
        if row["error_code"]:           # out of range: nothing was deleted, so the log is shorter than what was shown
            end = self.route.list_offset(self.topic, self.p, -1)
            raise Refused(f"Fetch of {self.of} from {self.position}, which was shown; the end is {end}", row["error_code"])
        self.position = read_rows(self.log, self.of, self.position, row)
        self.log.write("end", of=self.of, since=since, via="fetch", end=row["high_watermark"])


def read_rows(log, of, position, row, by=None):
    """Write down the records of an answer to Fetch; returns the next position."""
    for batch in records.parse(row["records"] or b""):
        rows = [history.row_of(r.value) for r in batch.records if r.offset >= position]
        if rows:
            log.write("read", by=by, of=of, at=max(position, batch.base_offset), rows=rows)
        position = max(position, batch.base_offset + batch.last_offset_delta + 1)
    return position


class Committer(Worker):
    """A group without members that commits rising offsets, and looks what is committed."""

    def __init__(self, *args):
        super().__init__(*args)
        self.group, self.offset, self.at = f"{self.args.name}-{self.p}", 0, None

    def ask(self, api, version, **fields):
        """To the coordinator, found again after anything that goes wrong."""
        if not self.at:
            self.at = self.route.coordinator(self.group)
        try:
            return self.route.ask(self.at, api, version, group_id=self.group, **fields)
        except Again:
            self.at = None
            raise

    def judge(self, code, what):
        try:
            judge(code, what)
        except Again:
            self.at = None
            raise

    def look(self):
        since = time.monotonic()
        answer = self.ask("OffsetFetch", 7, topics=[{"name": self.topic, "partition_indexes": [self.p]}], require_stable=False)
        self.judge(answer["error_code"], "OffsetFetch")
        row = answer["topics"][0]["partitions"][0]
        self.judge(row["error_code"], "OffsetFetch")
        self.log.write("committed", of=self.of, group=self.group, offset=row["committed_offset"], since=since)

    def work(self):
        self.look()
        while not self.finish.is_set():
            self.offset += 1
            since = time.monotonic()
            self.log.write("commit?", of=self.of, group=self.group, offset=self.offset)
            answer = self.ask("OffsetCommit", 7, generation_id_or_member_epoch=-1, member_id="", group_instance_id=None, topics=[
                {"name": self.topic, "partitions": [{"partition_index": self.p, "committed_offset": self.offset,
                                                     "committed_leader_epoch": -1, "committed_metadata": ""}]}])
            self.judge(answer["topics"][0]["partitions"][0]["error_code"], "OffsetCommit")
            self.log.write("commit", of=self.of, group=self.group, offset=self.offset, since=since)
            self.finish.wait(0.02)
            if self.random.random() < 0.2:
                self.look()
        self.look()


class Control(Worker):
    """Changes a configuration of a topic again and again: how long metadata cannot be changed."""

    number = 0

    def work(self):
        while not self.finish.is_set():
            self.number += 1
            since = time.monotonic()
            answer = self.route.ask_any("IncrementalAlterConfigs", 1, resources=[
                {"resource_type": 2, "resource_name": self.topic, "configs": [
                    {"name": "retention.ms", "config_operation": 0, "value": str(10**9 + self.number)}]}], validate_only=False)
            judge(answer["responses"][0]["error_code"], "IncrementalAlterConfigs")
            self.log.write("changed", since=since)
            self.finish.wait(0.05)


KINDS = {"produce": Producer, "read": Reader, "commit": Committer, "control": Control}


def bootstrap_of(text):
    return [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in text.split(","))]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=KINDS)
    p.add_argument("name")
    p.add_argument("--history", required=True)
    p.add_argument("--bootstrap", type=bootstrap_of, required=True)
    p.add_argument("--topic", required=True)
    p.add_argument("--partitions", type=int, required=True)
    p.add_argument("--seed", default="0")
    p.add_argument("--pause-s", type=float, default=0.02, help="between two batches of a partition")
    p.add_argument("--answer-s", type=float, default=1.0, help="longest wait for an answer before another leader is looked for")
    return p.parse_args()


def main():
    args, finish = arguments(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: finish.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)            # the harness decides
    log = history.Writer(args.history, args.name)
    partitions = [0] if args.kind == "control" else range(args.partitions)
    workers = [KINDS[args.kind](args, p, log, finish) for p in partitions]
    for worker in workers:
        worker.start()
    while any(w.is_alive() for w in workers) and not Worker.failed:
        time.sleep(0.05)
    log.close()
    if Worker.failed:
        print(Worker.failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
