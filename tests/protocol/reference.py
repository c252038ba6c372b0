"""Tests of what Kafka does can be run against Kafka, to find the wrong ones.

With CHRONIK_TEST_BROKER=HOST:PORT a ReferenceCase takes the broker that runs there instead of a chronikd of its
own. Tests that must stop it, or set its parameters, are skipped then and say so. What passes here and fails there
is a wrong test, or a difference that its docstring explains.
"""

import os
import time

from case import NodeCase
from kafka import ERR, Client

BROKER = os.environ.get("CHRONIK_TEST_BROKER")
READY_LIMIT_S = 20


class Given:
    """A broker that somebody else runs."""

    def __init__(self, address):
        self.address = address
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)

    def stop(self):
        pass


class ReferenceCase(NodeCase):
    OWN = False             # True: the class needs a node of its own
    GIVEN_TOO = False       # True: SETTINGS only make the test quicker

    @classmethod
    def setUpClass(cls):
        if not BROKER:
            super().setUpClass()
            return
        if cls.OWN or (cls.SETTINGS and not cls.GIVEN_TOO):
            cls.skipTest(cls, f"needs a node of its own, not {BROKER}")
        cls.node = Given(BROKER)

    def fresh(self, prefix="topic"):
        name = super().fresh(prefix)
        return f"{name}-{os.getpid()}-{time.monotonic_ns() % 1000000}" if BROKER else name

    def topic(self, partitions=1, name=None, **configs):
        name = super().topic(partitions, name, **configs)
        if BROKER:
            self.wait_for_topic(name, partitions)
        return name

    def wait_for_topic(self, name, partitions=1):
        """Kafka answers before its brokers know a topic; chronikd when it can be used."""
        deadline = time.monotonic() + READY_LIMIT_S
        with Client(self.node.host, self.node.port) as client:
            while time.monotonic() < deadline:
                answer = client.call("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
                told = answer["topics"][0]["partitions"]
                if len(told) == partitions and all(p["leader_id"] >= 0 for p in told):
                    ends = client.call("ListOffsets", 7, replica_id=-1, topics=[{"name": name, "partitions": [
                        {"partition_index": i, "timestamp": -1} for i in range(partitions)]}])
                    if all(p["error_code"] == 0 for p in ends["topics"][0]["partitions"]):
                        return
                time.sleep(0.05)
        self.fail(f"{name} was not ready in {READY_LIMIT_S} s")

    def until(self, is_so, limit_s=10):
        """What chronikd does at once, Kafka may do a little later."""
        deadline = time.monotonic() + (limit_s if BROKER else 0)
        while not is_so():
            if time.monotonic() >= deadline:
                self.assertTrue(is_so(), "it did not become so")
                return
            time.sleep(0.05)

    def delete_topic(self, name):
        with Client(self.node.host, self.node.port) as client:
            answer = client.call("DeleteTopics", 5, topic_names=[name], timeout_ms=10000)
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])

    def chronikd_only(self, why):
        """The rest of a test is not for a broker that was given."""
        if BROKER:
            self.skipTest(why)
