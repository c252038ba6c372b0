"""Clients that go on whatever becomes of the node: they find it again, send again what was not answered, and write down in
the book what they were told."""

import random
import sys
import threading
import time
from collections import deque
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

import records  # noqa: E402
from book import Broken  # noqa: E402
from kafka import ERR, Client, ClientError  # noqa: E402

# A node that starts may say these; the client tries again.
TRANSIENT = {ERR.UNKNOWN_TOPIC_OR_PARTITION, ERR.LEADER_NOT_AVAILABLE, ERR.NOT_LEADER_OR_FOLLOWER, ERR.REQUEST_TIMED_OUT,
             ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.COORDINATOR_NOT_AVAILABLE, ERR.NOT_COORDINATOR}
WINDOW = 4                              # batches in flight; a broker knows the last five of a producer
PAUSE_S = 0.02
LATEST, EARLIEST = -1, -2               # ListOffsets' timestamps


class Where:
    """The address of the node while it serves, and the number of its life."""

    def __init__(self):
        self.changed, self.address, self.life = threading.Condition(), None, 0

    def set(self, address):
        with self.changed:
            self.address = address
            self.life += bool(address)
            self.changed.notify_all()

    def get(self, timeout_s):
        with self.changed:
            self.changed.wait_for(lambda: self.address, timeout_s)
            return self.address, self.life


class Again(Exception):
    """The node said something that passes."""


class Worker(threading.Thread):
    """Connects, works until the connection ends, and connects again, until @finish is set and finished() says so."""

    def __init__(self, name, book, where, finish, seed):
        super().__init__(name=name, daemon=True)
        self.book, self.where, self.finish = book, where, finish
        self.random, self.life = random.Random(f"{seed} {name}"), 0

    def run(self):
        self.book.guard(self._run)

    def _run(self):
        while not self.book.broken and not (self.finish.is_set() and self.finished()):
            address, self.life = self.where.get(0.1)
            if not address:
                continue
            try:
                with Client(*address, timeout_s=20) as client:
                    self.work(client)
            except (Again, ClientError, OSError):
                time.sleep(PAUSE_S)

    def finished(self):
        return True

    def judge(self, code, what):
        """Nothing, Again or Broken for an error code."""
        if code in TRANSIENT:
            raise Again(code)
        if code:
            raise Broken(f"{self.name}: {what} was answered with {ERR(code).name}")


class Batch:
    def __init__(self, sequence, values, keys):
        self.sequence, self.values, self.keys = sequence, values, keys


class Producer(Worker):
    """Idempotent with acks=all: batches of every partition in order, several in flight, sent again until they are
    acknowledged. Records are NAME:PARTITION:NUMBER: and filling; @keys: that many, else none."""

    def __init__(self, name, topic, partitions, *args, keys=0, idempotent=True, acks=-1, large=False):
        super().__init__(name, *args)
        self.topic, self.partitions, self.keys, self.idempotent, self.acks = topic, partitions, keys, idempotent, acks
        self.large = large                                  # now and then a batch of hundreds of KB
        self.id = None
        self.next = [0] * partitions                        # number, and sequence, of the next record
        self.unacknowledged = [deque() for _ in range(partitions)]
        self.gaps = 0

    def finished(self):
        return not any(self.unacknowledged)

    def make(self, p):
        count = self.random.randint(1, 12)
        large = self.large and self.random.random() < 0.01
        values = [b"%s:%d:%d:" % (self.name.encode(), p, self.next[p] + i)
                  + bytes(self.random.randint(0, 60000 if large else 300)) for i in range(count)]
        keys = [b"key-%d" % self.random.randrange(self.keys) for _ in range(count)] if self.keys else None
        batch = Batch(self.next[p], values, keys)
        self.next[p] += count
        self.unacknowledged[p].append(batch)
        self.book.count("records produced", count)
        return batch

    def send(self, client, p, batch):
        rows = [records.Record(v, batch.keys[i] if batch.keys else None) for i, v in enumerate(batch.values)]
        fields = dict(producer_id=self.id, producer_epoch=0, base_sequence=batch.sequence) if self.idempotent else {}
        client.send("Produce", 9, acks=self.acks, timeout_ms=10000, topic_data=[
            {"name": self.topic, "partition_data": [{"index": p, "records": records.batch(rows, **fields)}]}])

    def work(self, client):
        if self.idempotent and self.id is None:
            answer = client.call("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60000)
            self.judge(answer["error_code"], "InitProducerId")
            self.id = answer["producer_id"]
        flight, again = deque(), [(p, b) for p in range(self.partitions) for b in self.unacknowledged[p]]
        self.book.count("requests sent again", len(again))
        while not self.book.broken:
            while len(flight) < WINDOW and (again or not self.finish.is_set()):
                p, batch = again.pop(0) if again else (self.random.randrange(self.partitions), None)
                batch = batch or self.make(p)
                flight.append((p, batch))
                self.send(client, p, batch)
            if not flight:
                return
            self.take(client, *flight.popleft())

    def take(self, client, p, batch):
        answer = client.receive()["responses"][0]["partition_responses"][0]
        # The one before it was refused for a while, so this one does not follow: both come again.
        if answer["error_code"] == ERR.OUT_OF_ORDER_SEQUENCE_NUMBER and self.idempotent and self.gaps < 20:
            self.gaps += 1
            raise Again(answer["error_code"])
        self.judge(answer["error_code"], f"Produce to {self.topic}-{p}, number {batch.sequence}")
        self.gaps = 0
        if self.unacknowledged[p].popleft() is not batch:
            raise Broken(f"{self.name}: {self.topic}-{p} acknowledged number {batch.sequence} before those in front of it")
        self.book.acknowledge((self.topic, p), answer["base_offset"], batch.values, batch.keys)


class Tail(Worker):
    """A consumer of all partitions at their ends; now and then it goes back and reads again what it has seen."""

    def __init__(self, name, topics, *args):
        super().__init__(name, *args)
        self.positions = {(t.name, p): 0 for t in topics for p in range(t.partitions)}
        self.deletes = {t.name for t in topics if t.deletes}

    def work(self, client):
        self.check_ends(client)
        while not self.book.broken and not self.finish.is_set():
            if self.random.random() < 0.02:
                partition = self.random.choice(list(self.positions))
                low = self.book.start_of(partition)
                self.positions[partition] = self.random.randint(low, max(low, self.positions[partition]))
            self.read(client)

    def offset_of(self, client, partition, timestamp):
        topic, p = partition
        answer = client.call("ListOffsets", 7, replica_id=-1, topics=[{"name": topic, "partitions": [
            {"partition_index": p, "timestamp": timestamp}]}])["topics"][0]["partitions"][0]
        self.judge(answer["error_code"], f"ListOffsets of {topic}-{p}")
        return answer["offset"]

    def check_ends(self, client):
        """What was shown once stays below the high watermark."""
        for partition, position in self.positions.items():
            end = self.offset_of(client, partition, LATEST)
            if end < position:
                raise Broken(f"{partition}: records up to {position} were shown, and now it ends at {end}")

    def go_to_start(self, client, partition):
        """Retention has passed the position; nothing else may put it out of range."""
        start = self.offset_of(client, partition, EARLIEST)
        if partition[0] not in self.deletes or start <= self.positions[partition]:
            raise Broken(f"{partition}: {self.positions[partition]} is out of range, and the log starts at {start}")
        self.positions[partition] = start

    def read(self, client):
        topics = {}
        for (topic, p), position in self.positions.items():
            topics.setdefault(topic, []).append(
                {"partition": p, "fetch_offset": position, "partition_max_bytes": 65536})
        answer = client.call("Fetch", 12, max_wait_ms=50, min_bytes=1, max_bytes=1 << 19, topics=[
            {"topic": t, "partitions": p} for t, p in topics.items()])
        self.judge(answer["error_code"], "Fetch")
        for topic in answer["responses"]:
            for row in topic["partitions"]:
                partition = topic["topic"], row["partition_index"]
                if row["error_code"] == ERR.OFFSET_OUT_OF_RANGE:
                    self.go_to_start(client, partition)
                else:
                    self.take(partition, row)

    def take(self, partition, row):
        position = self.positions[partition]
        self.judge(row["error_code"], f"Fetch of {partition} from {position}")
        self.book.starts_at(partition, row["log_start_offset"], self.life)
        for batch in records.parse(row["records"] or b""):
            for record in batch.records:
                if record.offset >= position:
                    self.book.saw(partition, record.offset, record.value)
            self.positions[partition] = max(self.positions[partition], batch.base_offset + batch.last_offset_delta + 1)


class Committer(Worker):
    """A group that commits rising offsets; what was acknowledged is never less later on."""

    def __init__(self, name, topic, *args):
        super().__init__(name, *args)
        self.topic, self.sent, self.acknowledged = topic, 0, 0

    def fetch(self, client):
        answer = client.call("OffsetFetch", 7, group_id=self.name, topics=[
            {"name": self.topic, "partition_indexes": [0]}], require_stable=False)
        self.judge(answer["error_code"], "OffsetFetch")
        row = answer["topics"][0]["partitions"][0]
        self.judge(row["error_code"], "OffsetFetch")
        if not self.acknowledged <= max(row["committed_offset"], 0) <= self.sent:
            raise Broken(f"{self.name}: offset {self.acknowledged} was committed, up to {self.sent} was sent, and "
                         f"{row['committed_offset']} is found")

    def work(self, client):
        answer = client.call("FindCoordinator", 3, key=self.name, key_type=0)       # makes the topic of offsets at first
        self.judge(answer["error_code"], "FindCoordinator")
        self.fetch(client)
        while not self.book.broken and not self.finish.is_set():
            self.sent += 1
            answer = client.call("OffsetCommit", 7, group_id=self.name, generation_id_or_member_epoch=-1, member_id="",
                                 group_instance_id=None, topics=[{"name": self.topic, "partitions": [
                                     {"partition_index": 0, "committed_offset": self.sent,
                                      "committed_leader_epoch": -1, "committed_metadata": ""}]}])
            self.judge(answer["topics"][0]["partitions"][0]["error_code"], "OffsetCommit")
            self.acknowledged = self.sent
            self.book.count("offsets committed")
            if self.sent % 50 == 0:
                self.fetch(client)
            time.sleep(0.002)
        self.fetch(client)
