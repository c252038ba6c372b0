#!/usr/bin/env python3
"""A disk that is full.

Goal: who cannot be stored is told so, the operator reads why and what helps, nothing acknowledged is lost, others go on as
long as there is room for them, and when there is room again so does everybody, without a restart.
Method: a tmpfs of 2 MiB in a private mount namespace (mounts.py); a skip says why when that cannot be had.
"""

import json
import time
import unittest
from pathlib import Path

from mounts import Mount
from program import Node, ProgramCase

import records
from node import NodeError
from kafka import ERR, Client

LARGE = 80 << 10


class DiskFull(ProgramCase):
    def setUp(self):
        super().setUp()
        self.node = Node(["storage.preallocate_step_bytes=64KiB", "storage.file_delete_delay_ms=100"])
        self.addCleanup(self.node.close)
        self.mount = Mount(self.node.data, "size=2m")
        self.addCleanup(self.mount.close)
        self.node.program = self.mount.program(self.node.program)
        self.node.start()
        self.client = None
        self.connect()
        self.addCleanup(lambda: self.client.close())
        self.acknowledged = {}
        for name in ("large", "small"):
            self.assertEqual(self.create(name), ERR.NONE)

    def connect(self):
        if self.client:
            self.client.close()
        self.client = Client(self.node.host, self.node.port)

    def create(self, name, partitions=1):
        answer = self.client.call("CreateTopics", 7, topics=[
            {"name": name, "num_partitions": partitions, "replication_factor": 1}])
        return ERR(answer["topics"][0]["error_code"])

    def produce(self, topic, value):
        answer = self.client.call("Produce", 11, acks=-1, timeout_ms=5000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": records.batch([value])}]}])
        answer = answer["responses"][0]["partition_responses"][0]
        if not answer["error_code"]:
            self.acknowledged[topic, answer["base_offset"]] = value
        else:
            self.assertEqual(answer["base_offset"], -1)
        return ERR(answer["error_code"])

    def fill(self):
        """Produce until it is refused; returns the error."""
        for number in range(100):
            error = self.produce("large", b"%d" % number + bytes(LARGE))
            if error:
                return error
        return self.fail("100 records of 80 KiB fit into 2 MiB")

    def everything_is_there(self):
        found = {}
        for topic in ("large", "small"):
            offset = 0
            while True:
                answer = self.client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, topics=[
                    {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": offset,
                                                     "partition_max_bytes": 1 << 26}]}])
                answer = answer["responses"][0]["partitions"][0]
                self.assertEqual(answer["error_code"], 0)
                for batch in records.parse(answer["records"] or b""):
                    for record in batch.records:
                        found[topic, record.offset] = record.value
                        offset = record.offset + 1
                if offset >= answer["high_watermark"]:
                    break
        self.assertEqual(found, self.acknowledged)

    def again(self, topic, value):
        """Produce until it is accepted."""
        deadline = time.monotonic() + 10
        while (error := self.produce(topic, value)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(error, ERR.NONE)

    def test_no_room_for_one(self):
        """The large topic is refused with KAFKA_STORAGE_ERROR; small records, metadata and groups go on; with room it
        goes on by itself; a restart finds everything."""
        self.assertEqual(self.produce("small", b"before"), ERR.NONE)
        self.assertEqual(self.fill(), ERR.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.produce("large", bytes(LARGE)), ERR.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.produce("small", b"beside"), ERR.NONE)
        self.assertEqual(self.create("another"), ERR.NONE)
        self.everything_is_there()
        self.assertEqual(self.node.get("/readyz")[0], 200)

        self.mount.remount("size=8m")
        self.again("large", b"with room" + bytes(LARGE))
        self.assertEqual(self.produce("small", b"after"), ERR.NONE)
        self.everything_is_there()
        self.node.restart()
        self.connect()
        self.everything_is_there()

    def test_what_the_operator_reads(self):
        """A line names the partition and the file system, and what helps; at most one in a second, whatever is tried."""
        began = time.monotonic()
        self.fill()
        for _ in range(20):
            self.produce("large", bytes(LARGE))
        lines = [line for line in self.node.text().splitlines() if "no room" in line]
        self.assertGreater(len(lines), 0)
        self.assertLess(len(lines), 2 + (time.monotonic() - began), lines)
        for words in ("large-0", str(self.node.data), "lower retention, delete topics or enlarge the volume"):
            self.assertIn(words, lines[0])

    def test_deleting_makes_room(self):
        """What the line advises helps: another topic is deleted, and the large one goes on."""
        self.assertEqual(self.create("old"), ERR.NONE)
        for _ in range(5):
            self.assertEqual(self.produce("old", bytes(LARGE)), ERR.NONE)
        self.fill()
        answer = self.client.call("DeleteTopics", 5, topic_names=["old"])
        self.assertEqual(answer["responses"][0]["error_code"], 0)
        deadline = time.monotonic() + 10
        while self.mount.free() < 2 * LARGE and time.monotonic() < deadline:
            time.sleep(0.05)
        self.again("large", bytes(LARGE))

    def test_kill_while_full(self):
        """SIGKILL on a full disk, room, start: what was acknowledged is there."""
        self.produce("small", b"before")
        self.fill()
        self.node.kill()
        self.mount.remount("size=8m")
        self.node.start()
        self.connect()
        self.everything_is_there()
        self.assertEqual(self.produce("large", bytes(LARGE)), ERR.NONE)

    def ballast(self):
        """Take all that is left, to the last block."""
        with open(self.mount.path("ballast"), "wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def test_no_room_at_all(self):
        """Not a block left: producers are told, readers are served, and with room everything goes on."""
        self.assertEqual(self.produce("small", b"before"), ERR.NONE)
        self.ballast()
        self.fill()
        self.everything_is_there()
        # What must be kept can still be; what would grow is refused, with a reason. Nothing ends.
        for number in range(40):
            error = self.create(f"no-room-{number}", 100)
            if error:
                break
        self.assertEqual(error, ERR.KAFKA_STORAGE_ERROR)
        self.client.call("FindCoordinator", 3, key="group", key_type=0)
        self.assertIn("the disk of", self.node.text())
        for number in range(40):
            self.client.call("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60000)
        self.assertIsNone(self.node.died())
        Path(self.mount.path("ballast")).unlink()
        self.again("large", bytes(LARGE))
        self.again("small", b"after")
        self.everything_is_there()
        # The topics that were still made have hundreds of partitions, whose logs take what room there is when their turn comes.
        self.mount.remount("size=32m")
        deadline = time.monotonic() + 10
        while (error := self.create("room")) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(error, ERR.NONE)
        self.node.restart()
        self.connect()
        self.everything_is_there()

    def commit(self, offset):
        answer = self.client.call("OffsetCommit", 7, group_id="group", generation_id_or_member_epoch=-1, member_id="",
                                  group_instance_id=None, topics=[{"name": "small", "partitions": [
                                      {"partition_index": 0, "committed_offset": offset, "committed_leader_epoch": -1,
                                       "committed_metadata": "x" * 4000}]}])
        return ERR(answer["topics"][0]["partitions"][0]["error_code"])

    def test_commits(self):
        """Groups are told in a way that lets their clients try again, and do so with success when there is room."""
        self.client.call("FindCoordinator", 3, key="group", key_type=0)
        deadline = time.monotonic() + 10
        while (error := self.commit(0)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(error, ERR.NONE)
        self.ballast()
        errors = {self.commit(number) for number in range(1, 200)} - {ERR.NONE}
        self.assertTrue(errors, "200 commits found room where there was none")
        self.assertLessEqual(errors, {ERR.COORDINATOR_NOT_AVAILABLE, ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.NOT_COORDINATOR})
        Path(self.mount.path("ballast")).unlink()
        deadline = time.monotonic() + 10
        while (error := self.commit(1000)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(error, ERR.NONE)

    def test_start_without_room(self):
        """A start on a disk without a block to write ends at once, with a line that says what helps; with room it starts."""
        self.assertEqual(self.produce("small", b"before"), ERR.NONE)
        self.node.kill()
        self.ballast()
        with self.assertRaises(NodeError) as failed:
            self.node.start()
        self.assertIn("Free space there and start again", str(failed.exception))
        Path(self.mount.path("ballast")).unlink()
        self.node.start()
        self.connect()
        self.everything_is_there()


class TwoDisks(ProgramCase):
    def test_room_is_that_for_records(self):
        """With records on a disk of their own it is that one's room which is told, everywhere."""
        node = Node()
        self.addCleanup(node.close)
        mount = Mount(node.data / "log", "size=7m")
        self.addCleanup(mount.close)
        # Beside the data folder, which has to hold nothing else.
        node.program = mount.program(node.program).rename(node.folder / "program")
        node.start()
        lines = node.get("/metrics")[1].split("\n")
        told = {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x.startswith("chronik_disk_"))}
        self.assertEqual(told["chronik_disk_size_bytes"], 7 << 20)
        self.assertLessEqual(told["chronik_disk_free_bytes"], 7 << 20)
        one = json.loads(node.get("/v1/nodes/1")[1])
        self.assertEqual(one["disk_size_bytes"], 7 << 20)


if __name__ == "__main__":
    unittest.main()
