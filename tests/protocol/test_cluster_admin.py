#!/usr/bin/env python3
"""What an operator asks of a cluster: elections, reassignments, throttles, features, unregistering.

Goal: kafka-semantics items 66 and 67, KIP-455, KIP-460, KIP-584, KIP-860, as far as one node can show them.
Method: right and wrong requests in every version; what is refused changes nothing.
"""

import unittest

from kafka import ERR
from reference import ReferenceCase

PREFERRED, UNCLEAN = 0, 1


class Elections(ReferenceCase):
    def elect(self, partitions, version=2, kind=PREFERRED):
        fields = {"election_type": kind} if version >= 1 else {}
        return self.client().call("ElectLeaders", version, timeout_ms=5000, topic_partitions=partitions, **fields)

    def test_not_needed(self):
        """Item 67: the only replica leads already, whichever election is asked for."""
        name = self.topic(partitions=2)
        for version in range(3):
            for kind in (PREFERRED, UNCLEAN) if version else (PREFERRED,):
                with self.subTest(version=version, kind=kind):
                    answer = self.elect([{"topic": name, "partitions": [0, 1]}], version, kind)
                    self.assertError(answer.get("error_code", 0), ERR.NONE)
                    results = answer["replica_election_results"]
                    self.assertEqual([r["topic"] for r in results], [name])
                    self.assertEqual([p["partition_id"] for p in results[0]["partition_result"]], [0, 1])
                    for p in results[0]["partition_result"]:
                        self.assertError(p["error_code"], ERR.ELECTION_NOT_NEEDED)
                        self.assertTrue(p["error_message"])

    def test_all(self):
        """Item 67: without a list all partitions are meant, and those that need nothing are not told."""
        self.topic(partitions=3)
        for kind in (PREFERRED, UNCLEAN):
            answer = self.elect(None, kind=kind)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual(answer["replica_election_results"], [])

    def test_unknown(self):
        """What is not there is said for each partition, and the others are answered too."""
        name, nobody = self.topic(), self.fresh()
        results = self.elect([{"topic": nobody, "partitions": [0]}, {"topic": name, "partitions": [0, 7, -1]}])
        told = {(t["topic"], p["partition_id"]): p["error_code"]
                for t in results["replica_election_results"] for p in t["partition_result"]}
        self.assertEqual(told, {(nobody, 0): ERR.UNKNOWN_TOPIC_OR_PARTITION, (name, 0): ERR.ELECTION_NOT_NEEDED,
                                (name, 7): ERR.UNKNOWN_TOPIC_OR_PARTITION, (name, -1): ERR.UNKNOWN_TOPIC_OR_PARTITION})

    def test_kind(self):
        """An election of a kind that does not exist is refused as a whole."""
        self.chronikd_only("Kafka's answer to a wrong number is an unknown server error")
        self.assertError(self.elect(None, kind=7)["error_code"], ERR.INVALID_REQUEST)


class Reassignments(ReferenceCase):
    def alter(self, name, replicas, partition=0, version=1, **fields):
        answer = self.client().call("AlterPartitionReassignments", version, timeout_ms=5000, topics=[
            {"name": name, "partitions": [{"partition_index": partition, "replicas": replicas}]}], **fields)
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual(answer["responses"][0]["name"], name)
        told = answer["responses"][0]["partitions"][0]
        self.assertEqual(told["partition_index"], partition)
        self.assertEqual(told["error_message"] is None, told["error_code"] == 0)
        return told["error_code"]

    def replicas(self, name):
        answer = self.client().call("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
        return [p["replica_nodes"] for p in answer["topics"][0]["partitions"]]

    def test_refused(self):
        """KIP-455: what cannot be a set of replicas, with the codes of Kafka; nothing changes."""
        name = self.topic(partitions=1)
        own = self.replicas(name)[0]
        for version in (0, 1):
            with self.subTest(version=version):
                self.assertError(self.alter(self.fresh(), own, version=version), ERR.UNKNOWN_TOPIC_OR_PARTITION)
                self.assertError(self.alter(name, own, 5, version=version), ERR.UNKNOWN_TOPIC_OR_PARTITION)
                self.assertError(self.alter(name, [], version=version), ERR.INVALID_REPLICA_ASSIGNMENT)
                self.assertError(self.alter(name, own + own, version=version), ERR.INVALID_REPLICA_ASSIGNMENT)
                self.assertError(self.alter(name, [4711], version=version), ERR.INVALID_REPLICA_ASSIGNMENT)
                self.assertError(self.alter(name, None, version=version), ERR.NO_REASSIGNMENT_IN_PROGRESS)
        self.assertEqual(self.replicas(name), [own])

    def test_where_it_is(self):
        """A reassignment to where everything is already is complete at once, and leaves the partition as it was."""
        name = self.topic(partitions=2)
        own = self.replicas(name)
        self.assertError(self.alter(name, own[1], 1), ERR.NONE)
        self.assertError(self.alter(name, own[1], 1, allow_replication_factor_change=False), ERR.NONE)
        self.assertEqual(self.replicas(name), own)
        self.assertError(self.produce(self.client(), name, [b"x"], partition=1)["error_code"], ERR.NONE)

    def test_list(self):
        """KIP-455: only what moves is listed; here nothing does."""
        name = self.topic(partitions=2)
        for topics in (None, [], [{"name": name, "partition_indexes": [0, 1, 9]}],
                       [{"name": self.fresh(), "partition_indexes": [0]}]):
            answer = self.client().call("ListPartitionReassignments", 0, timeout_ms=5000, topics=topics)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual(answer["topics"], [])

    def test_throttles(self):
        """Item 66: what tools set before they move replicas is taken, told, and taken away again."""
        name, node = self.topic(), str(self.replicas(self.topic())[0][0])
        changes = ((2, name, {"leader.replication.throttled.replicas": "0:1", "follower.replication.throttled.replicas": "*"}),
                   (4, node, {"leader.replication.throttled.rate": "1000000",
                              "follower.replication.throttled.rate": "2000000"}))
        for kind, resource, configs in changes:
            self.set_configs(kind, resource, [(n, 0, v) for n, v in configs.items()])
            answer = self.client().call("DescribeConfigs", 4, resources=[
                {"resource_type": kind, "resource_name": resource, "configuration_keys": list(configs)}])
            self.assertEqual({c["name"]: c["value"] for c in answer["results"][0]["configs"]}, configs)
            self.set_configs(kind, resource, [(n, 1, None) for n in configs])

    def set_configs(self, kind, resource, changes):
        answer = self.client().call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": kind, "resource_name": resource, "configs": [
                {"name": n, "config_operation": op, "value": v} for n, op, v in changes]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])


class Features(ReferenceCase):
    def update(self, version, *updates, **fields):
        if version >= 1:
            fields.setdefault("validate_only", False)
        return self.client().call("UpdateFeatures", version, timeout_ms=5000, feature_updates=list(updates), **fields)

    def test_unknown(self):
        """KIP-584: a feature that nobody knows; versions 0 and 1 tell it for the feature, all of them as a whole."""
        self.chronikd_only("Kafka answers with codes that differ from release to release")
        for version in range(3):
            with self.subTest(version=version):
                answer = self.update(version, {"feature": "no.such.feature", "max_version_level": 1})
                self.assertError(answer["error_code"], ERR.INVALID_UPDATE_VERSION)
                self.assertTrue(answer["error_message"])
                if version < 2:
                    self.assertEqual([(r["feature"], r["error_code"]) for r in answer["results"]],
                                     [("no.such.feature", ERR.INVALID_UPDATE_VERSION)])

    def test_kind(self):
        """KIP-778: a kind of change that does not exist."""
        self.chronikd_only("Kafka answers with codes that differ from release to release")
        for kind in (0, 4, -1):
            answer = self.update(1, {"feature": "no.such.feature", "max_version_level": 1, "upgrade_type": kind})
            self.assertError(answer["error_code"], ERR.INVALID_UPDATE_VERSION)

    def test_nothing(self):
        """No update is no error."""
        for version in range(3):
            self.assertError(self.update(version)["error_code"], ERR.NONE)


class Unregister(ReferenceCase):
    def test_unknown(self):
        """Only who is registered can be forgotten."""
        answer = self.client().call("UnregisterBroker", 0, broker_id=4711)
        self.assertError(answer["error_code"], ERR.BROKER_ID_NOT_REGISTERED)
        self.assertTrue(answer["error_message"])

    def test_alive(self):
        """A broker that is alive is not forgotten: what it serves goes on."""
        self.chronikd_only("Kafka forgets it")
        own = self.client().call("DescribeCluster", 0)["brokers"][0]["broker_id"]
        self.assertError(self.client().call("UnregisterBroker", 0, broker_id=own)["error_code"], ERR.INVALID_REQUEST)
        self.assertEqual([b["broker_id"] for b in self.client().call("DescribeCluster", 0)["brokers"]], [own])
        self.assertError(self.produce(self.client(), self.topic(), [b"x"])["error_code"], ERR.NONE)


if __name__ == "__main__":
    unittest.main()
