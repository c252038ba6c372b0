#!/usr/bin/env python3
"""DescribeQuorum, AddRaftVoter, RemoveRaftVoter: who keeps the metadata.

Goal: what Kafka's kafka-metadata-quorum asks is answered as a Kafka broker does, in every version; what cannot be is refused
with the code that its client understands. Method: a node alone, which is a quorum of one; several are in tests/program.
"""

import time
import unittest
import uuid

from case import NodeCase
from kafka import ERR

METADATA = [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
LISTENERS = [{"name": "CONTROLLER", "host": "127.0.0.1", "port": 9}]


class Describe(NodeCase):
    def test_every_version(self):
        """One voter that leads, has everything, and was heard of just now; v1 has times, v2 the folder and the nodes."""
        client = self.client()
        for version in range(3):
            with self.subTest(version):
                answer = client.call("DescribeQuorum", version, topics=METADATA)
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual([t["topic_name"] for t in answer["topics"]], ["__cluster_metadata"])
                (partition,) = answer["topics"][0]["partitions"]
                self.assertError(partition["error_code"], ERR.NONE)
                self.assertEqual((partition["partition_index"], partition["leader_id"], partition["observers"]), (0, 1, []))
                self.assertGreaterEqual(partition["leader_epoch"], 1)
                (voter,) = partition["current_voters"]
                self.assertEqual((voter["replica_id"], voter["log_end_offset"]), (1, partition["high_watermark"]))
                if version >= 1:
                    for name in ("last_fetch_timestamp", "last_caught_up_timestamp"):
                        self.assertLess(abs(voter[name] - time.time() * 1000), 5000, name)
                if version >= 2:
                    self.assertNotEqual(uuid.UUID(bytes=bytes(voter["replica_directory_id"])), uuid.UUID(int=0))
                    # A node alone does not listen for others: it is told, but no address.
                    self.assertEqual([(n["node_id"], n["listeners"]) for n in answer["nodes"]], [(1, [])])

    def test_moves(self):
        """What is written to the metadata moves the high watermark."""
        client = self.client()
        before = client.call("DescribeQuorum", 2, topics=METADATA)["topics"][0]["partitions"][0]["high_watermark"]
        self.topic()
        after = client.call("DescribeQuorum", 2, topics=METADATA)["topics"][0]["partitions"][0]["high_watermark"]
        self.assertGreater(after, before)

    def test_other_topics(self):
        """Only the metadata log can be described: anything else is unknown, partition by partition."""
        client = self.client()
        name = self.topic()
        for topics in ([{"topic_name": name, "partitions": [{"partition_index": 0}]}],
                       [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 1}]}],
                       [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}, {"partition_index": 1}]}],
                       METADATA * 2):
            answer = client.call("DescribeQuorum", 2, topics=topics)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual([(t["topic_name"], [(p["partition_index"], p["error_code"]) for p in t["partitions"]])
                              for t in answer["topics"]],
                             [(t["topic_name"], [(p["partition_index"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
                                                 for p in t["partitions"]]) for t in topics])
        for topics in ([], [{"topic_name": "__cluster_metadata", "partitions": []}]):
            answer = client.call("DescribeQuorum", 2, topics=topics)
            self.assertEqual([t["partitions"] for t in answer["topics"]], [[]] * len(topics))

    def test_it_is_no_topic(self):
        """The name is told by DescribeQuorum alone."""
        answer = self.client().call("Metadata", 12, topics=None)
        self.assertNotIn("__cluster_metadata", [t["name"] for t in answer["topics"]])


class Change(NodeCase):
    def add(self, version=1, **fields):
        return self.client().call("AddRaftVoter", version, **{
            "cluster_id": None, "timeout_ms": 1000, "voter_id": 4, "voter_directory_id": uuid.UUID(int=4).bytes,
            "listeners": LISTENERS, **fields})

    def remove(self, **fields):
        return self.client().call("RemoveRaftVoter", 0, **{"cluster_id": None, "voter_id": 4,
                                                           "voter_directory_id": uuid.UUID(int=4).bytes, **fields})

    def refused(self, answer, code, words=""):
        self.assertError(answer["error_code"], code)
        self.assertIn(words, answer["error_message"])

    def test_cluster_id(self):
        """Another cluster's id is refused; its own, or none, is not what keeps it from being done."""
        own = self.client().call("DescribeCluster", 0)["cluster_id"]
        for ask in (self.add, self.remove):
            self.refused(ask(cluster_id="another"), ERR.INCONSISTENT_CLUSTER_ID, own)
            for cluster_id in (own, None):
                self.refused(ask(cluster_id=cluster_id), ERR.INVALID_REQUEST, "This node is alone")

    def test_add(self):
        for version in (0, 1):
            self.refused(self.add(version), ERR.INVALID_REQUEST, "This node is alone")
        for listeners in ([], [{"name": "CONTROLLER", "host": "", "port": 9}], [{"name": "CONTROLLER", "host": "h", "port": 0}]):
            self.refused(self.add(listeners=listeners), ERR.INVALID_REQUEST, "listener")


if __name__ == "__main__":
    unittest.main()
