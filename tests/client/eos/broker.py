"""The broker of a run that kills things: a chronikd of its own, which is killed too, or one that is there and is left alone."""
import os
import random
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(1, str(ROOT / "tests/protocol"))

import records  # noqa: E402
from kafka import ERR, Client  # noqa: E402
from node import Node  # noqa: E402

# Below the ports that the kernel gives to outgoing connections: while the node is down, nobody gets its port by chance.
PORTS = range(21000, 29000)
SHORT_SESSION_MS = 1500
# Internal topics and changelogs are compacted while the run lasts, and read again after each kill.
SETTINGS = ["groups.initial_rebalance_delay_ms=300ms", f"groups.min_session_timeout_ms={SHORT_SESSION_MS}",
            "groups.offsets_segment_bytes=64KiB", "transactions.state_segment_bytes=64KiB", "storage.compaction_interval_ms=300ms"]
ABORT_KEY = b"\0\0\0\0"


def free_port():
    while True:
        port = random.choice(PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


class Broker:
    """Use with 'with'. @address stays the same over restarts. It starts a node when CHECKS_CHRONIKD names the program."""

    def __init__(self, address):
        self.node, self.address, self.kills = None, address, 0
        if program := os.environ.get("CHECKS_CHRONIKD"):
            self.address = f"127.0.0.1:{free_port()}"
            self.node = Node([f"server.kafka={self.address}", *SETTINGS], program)
        # A member that was killed holds up its group for so long; Kafka's own least is 6 s.
        self.session_ms = SHORT_SESSION_MS if program else 6000

    def __enter__(self):
        if self.node:
            self.node.__enter__()
        return self

    def __exit__(self, kind, *_exc):
        if not self.node:
            return
        try:
            if kind is None:
                self.node.stop()
        finally:
            if kind and os.environ.get("CHECKS_TRACE") == "1":
                print(self.node.tail(), file=sys.stderr)
            self.node.close()

    def kill(self, down_s=0.0):
        """SIGKILL, and the start after a while on the same data and port."""
        self.node.kill()
        self.kills += 1
        time.sleep(down_s)
        self.node.start()

    def client(self):
        host, port = self.address.rsplit(":", 1)
        return Client(host, int(port))

    def create(self, topic, partitions, **configs):
        with self.client() as client:
            answer = client.call("CreateTopics", 7, timeout_ms=20000, topics=[{
                "name": topic, "num_partitions": partitions, "replication_factor": 1,
                "configs": [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]}])
        if answer["topics"][0]["error_code"]:
            raise AssertionError(f"{topic} is not created: {ERR(answer['topics'][0]['error_code']).name}")

    def ends(self, topic, partitions):
        """(end of the log, first offset that readers of committed records do not see) of each partition."""
        with self.client() as client:
            both = []
            for level in (0, 1):
                answer = client.call("ListOffsets", 7, replica_id=-1, isolation_level=level, topics=[{
                    "name": topic, "partitions": [{"partition_index": p, "timestamp": -1} for p in range(partitions)]}])
                parts = sorted(answer["topics"][0]["partitions"], key=lambda p: p["partition_index"])
                both.append([p["offset"] if p["error_code"] == ERR.NONE else None for p in parts])
        return list(zip(*both))

    def committed(self, group, topic, partitions):
        """The offsets that the group has committed; None where that is not settled or not known."""
        with self.client() as client:
            client.call("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
            answer = client.call("OffsetFetch", 7, group_id=group, require_stable=True, topics=[
                {"name": topic, "partition_indexes": list(range(partitions))}])
        if answer["error_code"] or not answer["topics"]:
            return [None] * partitions
        parts = sorted(answer["topics"][0]["partitions"], key=lambda p: p["partition_index"])
        return [p["committed_offset"] if p["error_code"] == ERR.NONE else None for p in parts]

    def torn(self, topic, partitions):
        """True when a transaction with records in the topic was aborted."""
        with self.client() as client:
            return any(part["aborted_transactions"] for p, (_, stable) in enumerate(self.ends(topic, partitions))
                       for part, _ in _answers(client, topic, p, stable or 0))

    def read_committed(self, topic, partitions):
        """What readers of committed records must see, by the protocol tests' own codec: (partition, text) rows."""
        out = []
        for p, (end, stable) in enumerate(self.ends(topic, partitions)):
            if end != stable:
                raise AssertionError(f"{topic}-{p}: a transaction is open at {stable}, the end is {end}")
            with self.client() as client:
                out += [(p, text) for text in _committed(client, topic, p, end)]
        return out


def _answers(client, topic, partition, end):
    """What fetches of committed records answer for the partition up to @end: (the partition's answer, its batches)."""
    offset = 0
    while offset < end:
        answer = client.call("Fetch", 12, max_wait_ms=100, min_bytes=1, max_bytes=1 << 24, isolation_level=1, topics=[{
            "topic": topic, "partitions": [{"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 22}]}])
        part = answer["responses"][0]["partitions"][0]
        if part["error_code"]:
            raise AssertionError(f"fetch of {topic}-{partition} at {offset}: {ERR(part['error_code']).name}")
        batches = records.parse(part["records"] or b"")
        yield part, batches
        for batch in batches:
            offset = batch.base_offset + batch.last_offset_delta + 1


def _committed(client, topic, partition, end):
    offset, aborted, open_aborted = 0, {}, set()
    for part, batches in _answers(client, topic, partition, end):
        for t in part["aborted_transactions"] or []:
            aborted[t["producer_id"], t["first_offset"]] = True
        for batch in batches:
            # The list names where an aborted transaction begins; it may begin before this answer.
            begun = {key for key in aborted if key[1] <= batch.base_offset}
            open_aborted |= {producer for producer, _ in begun}
            for key in begun:
                del aborted[key]
            if batch.attributes & 0x20:
                if batch.records[0].key == ABORT_KEY:
                    open_aborted.discard(batch.producer_id)
            elif not (batch.attributes & 0x10 and batch.producer_id in open_aborted):
                yield from (r.value.decode() for i, r in enumerate(batch.records) if batch.base_offset + i >= offset)
            offset = batch.base_offset + batch.last_offset_delta + 1
