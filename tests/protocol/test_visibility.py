#!/usr/bin/env python3
"""What was answered is there for everybody.

Goal: as soon as a change is answered, every connection sees it, whichever network thread serves it: the topic with its
leader, its configuration, its deletion. Method: more connections than threads; the change on one, at once the question
on all others, many times over.
"""

import unittest

from case import NodeCase
from kafka import ERR

THREADS = 4
ROUNDS = 40


class Visibility(NodeCase):
    SETTINGS = [f"server.num_network_threads={THREADS}"]

    def setUp(self):
        # Connections are handed to the threads in turn, so that these are on all of them.
        self.clients = [self.client() for _ in range(2 * THREADS)]

    def asker(self, n):
        """The connection of round @n that asks for the change, and all others."""
        return self.clients[n % len(self.clients)], [c for c in self.clients if c is not self.clients[n % len(self.clients)]]

    def seen_topic(self, client, name):
        answer = client.call("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
        return answer["topics"][0]

    def test_topics(self):
        for n in range(ROUNDS):
            asker, others = self.asker(n)
            name = self.fresh()
            answer = asker.call("CreateTopics", 7, topics=[{"name": name, "num_partitions": 2, "replication_factor": 1}])
            self.assertError(answer["topics"][0]["error_code"], ERR.NONE)
            for client in others:
                topic = self.seen_topic(client, name)
                self.assertError(topic["error_code"], ERR.NONE)
                self.assertEqual([p["leader_id"] for p in topic["partitions"]], [1, 1])
            self.assertError(self.produce(others[0], name, [b"at once"])["error_code"], ERR.NONE)
            answer = asker.call("DeleteTopics", 5, topic_names=[name])
            self.assertError(answer["responses"][0]["error_code"], ERR.NONE)
            for client in others:
                self.assertError(self.seen_topic(client, name)["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)

    def test_partitions_and_configurations(self):
        name = self.topic()
        for n in range(ROUNDS):
            asker, others = self.asker(n)
            answer = asker.call("CreatePartitions", 3, topics=[{"name": name, "count": n + 2, "assignments": None}], timeout_ms=10000)
            self.assertError(answer["results"][0]["error_code"], ERR.NONE)
            for client in others:
                self.assertEqual(len(self.seen_topic(client, name)["partitions"]), n + 2)
            answer = asker.call("IncrementalAlterConfigs", 1, resources=[{"resource_type": 2, "resource_name": name, "configs": [
                {"name": "retention.ms", "config_operation": 0, "value": str(1000 + n)}]}])
            self.assertError(answer["responses"][0]["error_code"], ERR.NONE)
            for client in others:
                answer = client.call("DescribeConfigs", 4, resources=[
                    {"resource_type": 2, "resource_name": name, "configuration_keys": ["retention.ms"]}])
                self.assertEqual([c["value"] for c in answer["results"][0]["configs"]], [str(1000 + n)])


if __name__ == "__main__":
    unittest.main()
