"""What every test file stands on: a node for each TestCase class, connections that are closed, topics of fresh names."""

import itertools
import os
import tempfile
import time
import unittest
from pathlib import Path

import records
from kafka import ERR, Client
from node import ROOT, Node

_numbers = itertools.count(1)


class Disk:
    """The node's disk when hold-sync.c stands before it: syncs of chosen files wait, or fail."""

    def __init__(self):
        self.preload = Path(os.environ.get("HOLD_SYNC_LIB", ROOT / "build/tests/protocol/libhold-sync.so"))
        self.folder = tempfile.TemporaryDirectory(prefix="chronik-disk-")
        self.file = Path(self.folder.name) / "order"

    def env(self):
        if not self.preload.exists():
            raise FileNotFoundError(f"{self.preload} is not there; build it with 'make'")
        return {"LD_PRELOAD": str(self.preload), "HOLD_SYNC": str(self.file),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def _order(self, text):
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)

    def hold(self, topic, partition=""):
        """Syncs of this topic's (or partition's) files wait until release()."""
        self._order(f"hold /{topic}-{partition}")

    def fail(self, topic):
        """Syncs of this topic's files fail."""
        self._order(f"fail /{topic}-")

    def fail_writes(self, topic, hold=False):
        """Writes to this topic's files fail half way; @hold: and syncs wait."""
        self._order(f"fail-write /{topic}-" + (f"\nhold /{topic}-" if hold else ""))

    def release(self):
        self._order("")


class NodeCase(unittest.TestCase):
    """One node for all tests of a class, with the class's SETTINGS. At the end it must still live and stop cleanly."""

    SETTINGS = []
    DISK = False            # True: self.disk can hold and fail syncs
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.disk = Disk() if cls.DISK else None
        cls.node = Node(cls.SETTINGS, env=cls.disk.env() if cls.disk else None)
        if cls.disk:
            cls.addClassCleanup(cls.disk.folder.cleanup)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def hold(self, topic):
        """Let this topic's syncs wait until self.disk.release(), or the end of the test."""
        self.addCleanup(self.disk.release)
        self.disk.hold(topic)

    def client(self, **options):
        """A new connection, closed when the test ends."""
        client = Client(self.node.host, self.node.port, **options)
        self.addCleanup(client.close)
        return client

    def fresh(self, prefix="topic"):
        """A name that nothing has yet."""
        return f"{prefix}-{next(_numbers)}"

    def topic(self, partitions=1, name=None, **configs):
        """Create a topic; returns its name. Configurations with _ for . and -: topic(cleanup_policy="compact")."""
        name = name or self.fresh()
        configs = [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]
        with Client(self.node.host, self.node.port) as client:
            answer = client.call("CreateTopics", 7, topics=[
                {"name": name, "num_partitions": partitions, "replication_factor": 1, "configs": configs}])
        self.assertError(answer["topics"][0]["error_code"], ERR.NONE, answer["topics"][0]["error_message"])
        return name

    def topic_id(self, name):
        with Client(self.node.host, self.node.port) as client:
            answer = client.call("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
        self.assertError(answer["topics"][0]["error_code"], ERR.NONE)
        return answer["topics"][0]["topic_id"]

    def produce(self, client, topic, data, version=11, acks=-1, partition=0, **fields):
        """Produce @data (a batch's bytes, or values for one) to one partition; returns that partition's answer."""
        if data is not None and not isinstance(data, bytes):
            data = records.batch(data)
        answer = client.call("Produce", version, acks=acks, timeout_ms=10000, topic_data=[
            {"name": topic, "partition_data": [{"index": partition, "records": data}]}], **fields)
        return answer["responses"][0]["partition_responses"][0]

    def fetch(self, client, topic, offset=0, version=12, partition=0, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26,
              **fields):
        """Fetch from one partition without a session; returns that partition's answer."""
        answer = client.call("Fetch", version, max_wait_ms=max_wait_ms, min_bytes=min_bytes, max_bytes=max_bytes,
                             topics=[{"topic": topic, "partitions": [
                                 {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 26}]}],
                             **fields)
        return answer["responses"][0]["partitions"][0]

    def stored(self, topic, partition=0, offset=0):
        """The batches of a partition as a consumer sees them, by fetches until the high watermark."""
        batches = []
        with Client(self.node.host, self.node.port) as client:
            while True:
                answer = self.fetch(client, topic, offset, partition=partition)
                self.assertError(answer["error_code"], ERR.NONE)
                new = records.parse(answer["records"] or b"")
                batches += new
                if new:
                    offset = new[-1].base_offset + new[-1].last_offset_delta + 1
                if not new or offset >= answer["high_watermark"]:
                    return batches

    def wait_until(self, condition, what, limit_s=10):
        """Until @condition() is true; fails with @what after @limit_s."""
        deadline = time.monotonic() + limit_s
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def assertError(self, code, expected, message=None):
        """Compare error codes and show their names."""
        known = {e.value: e.name for e in ERR}
        if code != expected:
            self.fail(f"error {code} ({known.get(code, 'unknown')}) instead of {ERR(expected).name}"
                      + (f": {message}" if message else ""))
