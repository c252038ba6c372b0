#!/usr/bin/env python3
"""Which right each API needs, in every version of each.

Goal: every API is refused to who lacks one of the rights that Kafka asks for, with Kafka's error, and served to who has just those
(KIP-11, KIP-290, KIP-679). Method: the arguments of test_sweep, sent by a guest who is given one right after the other. The tests pass
against Apache Kafka as well (apache.py).
"""

import re
import unittest
import uuid

import apache
import records
import test_sweep
from acls import (ALTER, ALTER_CONFIGS, CLUSTER, CLUSTER_ACTION, CLUSTER_NAME, CREATE, DELETE, DESCRIBE, DESCRIBE_CONFIGS, GROUP,
                  IDEMPOTENT_WRITE, LITERAL, PREFIXED, READ, TOPIC, TRANSACTIONAL_ID, WRITE, AclCase, bits)
from kafka import ERR
from txn import TRANSACTIONAL, Producer

DENIED = {ERR.TOPIC_AUTHORIZATION_FAILED, ERR.GROUP_AUTHORIZATION_FAILED, ERR.CLUSTER_AUTHORIZATION_FAILED,
          ERR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED}
ERROR = {TOPIC: ERR.TOPIC_AUTHORIZATION_FAILED, GROUP: ERR.GROUP_AUTHORIZATION_FAILED, CLUSTER: ERR.CLUSTER_AUTHORIZATION_FAILED,
         TRANSACTIONAL_ID: ERR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED}


def errors(answer):
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name in ("error_code", "partition_error_code"):
                yield value
            else:
                yield from errors(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from errors(value)


def first(args, *names):
    """The first value of one of these names, however deep."""
    if isinstance(args, dict):
        for name, value in args.items():
            if name in names and isinstance(value, (str, list)) and value:
                return value if isinstance(value, str) else first(value[0], *names) if isinstance(value[0], dict) else value[0]
        args = list(args.values())
    if isinstance(args, list):
        for value in args:
            found = first(value, *names)
            if found:
                return found
    return None


TOPIC_NAME = "the topic"
GROUP_NAMES = ("group_id", "groups_names", "group_ids")
TXN_NAMES = ("transactional_id", "v3_and_below_transactional_id", "transactional_ids")

# What must be allowed, in the order in which it is asked for; of APIs that may not be served here, too.
NEEDS = {
    "Produce": [(TOPIC, WRITE)], "Fetch": [(TOPIC, READ)], "ListOffsets": [(TOPIC, DESCRIBE)], "Metadata": [(TOPIC, DESCRIBE)],
    "OffsetCommit": [(GROUP, READ), (TOPIC, READ)], "OffsetFetch": [(GROUP, DESCRIBE), (TOPIC, DESCRIBE)],
    "FindCoordinator": [("g", DESCRIBE)], "JoinGroup": [(GROUP, READ)], "Heartbeat": [(GROUP, READ)], "LeaveGroup": [(GROUP, READ)],
    "SyncGroup": [(GROUP, READ)], "DescribeGroups": [(GROUP, DESCRIBE)], "ListGroups": [], "ApiVersions": [],
    "CreateTopics": [("new", CREATE)], "DeleteTopics": [(TOPIC, DELETE)], "DeleteRecords": [(TOPIC, DELETE)],
    "InitProducerId": [(CLUSTER, IDEMPOTENT_WRITE)], "OffsetForLeaderEpoch": [(TOPIC, DESCRIBE)],
    "AddPartitionsToTxn": [(TRANSACTIONAL_ID, WRITE), (TOPIC, WRITE)], "AddOffsetsToTxn": [(TRANSACTIONAL_ID, WRITE), (GROUP, READ)],
    "EndTxn": [(TRANSACTIONAL_ID, WRITE)], "WriteTxnMarkers": [(CLUSTER, CLUSTER_ACTION)],
    "TxnOffsetCommit": [(TRANSACTIONAL_ID, WRITE), (GROUP, READ), (TOPIC, READ)], "DescribeAcls": [(CLUSTER, DESCRIBE)],
    "CreateAcls": [(CLUSTER, ALTER)], "DeleteAcls": [(CLUSTER, ALTER)], "DescribeConfigs": [(TOPIC, DESCRIBE_CONFIGS)],
    "AlterConfigs": [(TOPIC, ALTER_CONFIGS)], "IncrementalAlterConfigs": [(TOPIC, ALTER_CONFIGS)],
    "AlterReplicaLogDirs": [(CLUSTER, ALTER)], "DescribeLogDirs": [(CLUSTER, DESCRIBE)], "CreatePartitions": [(TOPIC, ALTER)],
    "DeleteGroups": [(GROUP, DELETE)], "ElectLeaders": [(CLUSTER, ALTER)], "AlterPartitionReassignments": [(CLUSTER, ALTER)],
    "ListPartitionReassignments": [(CLUSTER, DESCRIBE)], "OffsetDelete": [(GROUP, DELETE), (TOPIC, READ)],
    "DescribeClientQuotas": [(CLUSTER, DESCRIBE_CONFIGS)], "AlterClientQuotas": [(CLUSTER, ALTER_CONFIGS)],
    "DescribeQuorum": [(CLUSTER, DESCRIBE)], "UpdateFeatures": [(CLUSTER, ALTER)], "DescribeCluster": [],
    "DescribeProducers": [(TOPIC, READ)], "UnregisterBroker": [(CLUSTER, ALTER)], "DescribeTransactions": [(TRANSACTIONAL_ID, DESCRIBE)],
    "ListTransactions": [], "ConsumerGroupHeartbeat": [(GROUP, READ), (TOPIC, DESCRIBE)],
    "ConsumerGroupDescribe": [(GROUP, DESCRIBE), (TOPIC, DESCRIBE)], "GetTelemetrySubscriptions": [], "PushTelemetry": [],
    "ListConfigResources": [(CLUSTER, DESCRIBE_CONFIGS)], "DescribeTopicPartitions": [(TOPIC, DESCRIBE)],
    "AddRaftVoter": [(CLUSTER, ALTER)], "RemoveRaftVoter": [(CLUSTER, ALTER)], "SaslHandshake": [], "SaslAuthenticate": [],
    "CreateDelegationToken": [], "RenewDelegationToken": [], "ExpireDelegationToken": [], "DescribeDelegationToken": [],
    "DescribeUserScramCredentials": [(CLUSTER, DESCRIBE)], "AlterUserScramCredentials": [(CLUSTER, ALTER)],
    "ShareGroupHeartbeat": [(GROUP, READ), (TOPIC, DESCRIBE)], "ShareGroupDescribe": [(GROUP, DESCRIBE), (TOPIC, DESCRIBE)],
    "ShareFetch": [(GROUP, READ), (TOPIC, READ)], "ShareAcknowledge": [(GROUP, READ), (TOPIC, READ)],
    "DescribeShareGroupOffsets": [(GROUP, DESCRIBE), (TOPIC, DESCRIBE)], "AlterShareGroupOffsets": [(GROUP, READ), (TOPIC, READ)],
    "DeleteShareGroupOffsets": [(GROUP, DELETE), (TOPIC, READ)],
}


class Rights(AclCase, test_sweep.Sweep):
    """Its tests are those of Sweep, of which each calls sweep() with the name of an API."""

    SETTINGS = [s for s in AclCase.SETTINGS if "offsets_partitions" not in s]       # as many as Sweep waits for

    def needs(self, api, version, args):
        """[((kind, name, operation), error)]"""
        if api == "AddPartitionsToTxn" and version >= 4:
            return [((CLUSTER, CLUSTER_NAME, CLUSTER_ACTION), ERR.CLUSTER_AUTHORIZATION_FAILED)]
        out = []
        for kind, operation in NEEDS[api]:
            if kind == "g":         # FindCoordinator, which asks for several
                out.append(((GROUP, "*", operation), ERROR[GROUP]))
                continue
            if kind == "new":
                kind, name = TOPIC, args["topics"][0]["name"]
            else:
                name = {TOPIC: lambda: self.name, CLUSTER: lambda: CLUSTER_NAME, TRANSACTIONAL_ID: lambda: first(args, *TXN_NAMES),
                        GROUP: lambda: first(args, *GROUP_NAMES, "groups")}[kind]()
            out.append(((kind, name, operation), ERROR[kind]))
        return out

    def sweep(self, api):
        low, high = test_sweep.served()[api]
        arguments = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", api).lower() + "_args")
        for version in range(low, high + 1):
            with self.subTest(api=api, version=version):
                self.setUp()
                args = arguments(version)
                guest = self.guest()
                for right, error in self.needs(api, version, args):
                    answer = guest.call(api, version, **args)
                    if api == "DescribeLogDirs" and version < 3:    # has no place for an error
                        self.assertEqual(answer["results"], [])
                    else:
                        self.assertEqual(set(errors(answer)) & DENIED, {error}, answer)
                    self.allow(guest, right)
                answer = guest.call(api, version, **args)
                self.assertEqual(set(errors(answer)) & DENIED, set(), answer)
                self.revoke(guest)


class Told(AclCase):
    """What is left out, and what else is told to whom."""

    def metadata(self, client, topics, version=12, **fields):
        answer = client.call("Metadata", version, topics=topics, **{**dict(allow_auto_topic_creation=False), **fields})
        return {t["name"]: t["error_code"] for t in answer["topics"]}

    def test_topics_that_are_left_out(self):
        """Metadata and DescribeTopicPartitions of all topics tell only of those that may be described."""
        mine, other = self.topic(), self.topic()
        guest = self.guest((TOPIC, mine, READ))
        self.assertEqual(self.metadata(guest, None), {mine: 0})
        self.assertIn(other, self.metadata(self.client(), None))
        answer = guest.call("DescribeTopicPartitions", 0, topics=[])
        self.assertEqual([t["name"] for t in answer["topics"]], [mine])
        self.assertEqual(answer["topics"][0]["topic_authorized_operations"], bits(READ, DESCRIBE))

    def test_topics_that_are_not_there(self):
        """Who may not describe a name is not told whether it is one; an id that is not known is no secret."""
        guest, name = self.guest(), self.topic()
        self.assertEqual(self.metadata(guest, [{"name": name}, {"name": "no-such"}]),
                         {name: ERR.TOPIC_AUTHORIZATION_FAILED, "no-such": ERR.TOPIC_AUTHORIZATION_FAILED})
        answer = guest.call("Metadata", 12, topics=[{"name": name}])["topics"][0]
        self.assertEqual(bytes(answer["topic_id"]), bytes(16))
        answer = guest.call("Metadata", 12, topics=[{"topic_id": self.topic_id(name), "name": None}, {"topic_id": b"\x07" * 16, "name": None}])
        self.assertEqual(sorted((t["error_code"], t["name"]) for t in answer["topics"]),
                         [(ERR.TOPIC_AUTHORIZATION_FAILED, None), (ERR.UNKNOWN_TOPIC_ID, None)])
        for topic in (name, "no-such"):
            self.assertError(self.produce(guest, topic, [b"x"])["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
            self.assertError(self.fetch(guest, topic)["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        for topic_id, error in ((self.topic_id(name), ERR.TOPIC_AUTHORIZATION_FAILED), (b"\x07" * 16, ERR.UNKNOWN_TOPIC_ID)):
            answer = guest.call("Produce", 13, acks=-1, timeout_ms=1000, topic_data=[
                {"topic_id": topic_id, "partition_data": [{"index": 0, "records": records.batch([b"x"])}]}])
            self.assertError(answer["responses"][0]["partition_responses"][0]["error_code"], error)
            answer = guest.call("Fetch", 17, max_wait_ms=0, min_bytes=1, topics=[
                {"topic_id": topic_id, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}]}])
            self.assertError(answer["responses"][0]["partitions"][0]["error_code"], error)

    def test_one_of_two(self):
        """What is refused of one topic is not refused of another, in Produce, Fetch and a fetch session."""
        mine, other = self.topic(), self.topic()
        guest = self.guest((TOPIC, mine, WRITE), (TOPIC, mine, READ))
        answer = guest.call("Produce", 11, acks=-1, timeout_ms=5000, topic_data=[
            {"name": t, "partition_data": [{"index": 0, "records": records.batch([b"x"])}]} for t in (other, mine)])
        self.assertEqual({r["name"]: r["partition_responses"][0]["error_code"] for r in answer["responses"]},
                         {other: ERR.TOPIC_AUTHORIZATION_FAILED, mine: 0})
        self.assertEqual(self.stored(other), [])
        topics = [{"topic": t, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}]} for t in (other, mine)]
        answer = guest.call("Fetch", 12, max_wait_ms=0, min_bytes=1, session_epoch=0, topics=topics)
        got = {r["topic"]: (r["partitions"][0]["error_code"], bool(r["partitions"][0]["records"])) for r in answer["responses"]}
        self.assertEqual(got, {other: (ERR.TOPIC_AUTHORIZATION_FAILED, False), mine: (0, True)})
        # Rights that are taken away are taken from sessions that were begun with them.
        self.revoke(guest)
        answer = guest.call("Fetch", 12, max_wait_ms=0, min_bytes=1, session_id=answer["session_id"], session_epoch=1, topics=[])
        got = {r["topic"]: r["partitions"][0]["error_code"] for r in answer["responses"]}
        self.assertEqual(got, {other: ERR.TOPIC_AUTHORIZATION_FAILED, mine: ERR.TOPIC_AUTHORIZATION_FAILED})

    def test_rights_come_and_go(self):
        """A rule counts, and counts no more, as soon as that is answered."""
        topic, guest = self.topic(), self.guest()
        for _ in range(5):
            self.assertError(self.produce(guest, topic, [b"x"])["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
            self.allow(guest, (TOPIC, topic, WRITE))
            self.assertError(self.produce(guest, topic, [b"x"])["error_code"], ERR.NONE)
            self.deny(guest, (TOPIC, topic, WRITE))
            self.assertError(self.produce(guest, topic, [b"x"])["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
            self.revoke(guest)

    def test_prefixes_and_wildcards(self):
        """Rules with a prefix, and for every name; one that denies wins."""
        a, b = self.topic(name=self.fresh("team-a")), self.topic(name=self.fresh("team-b"))
        guest = self.guest()
        self.allow(guest, (TOPIC, "team-a", READ), pattern=PREFIXED)
        self.assertError(self.fetch(guest, a)["error_code"], ERR.NONE)
        self.assertError(self.fetch(guest, b)["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        self.allow(guest, (TOPIC, "*", READ), pattern=LITERAL)
        self.assertError(self.fetch(guest, b)["error_code"], ERR.NONE)
        self.deny(guest, (TOPIC, b, READ))
        self.assertError(self.fetch(guest, b)["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        self.assertError(self.fetch(guest, a)["error_code"], ERR.NONE)

    def test_groups_that_are_left_out(self):
        """ListGroups tells of groups that may be described, or of all to who may describe the cluster."""
        mine, other, topic = self.fresh("group"), self.fresh("group"), self.topic()
        admin = self.client()
        self.wait_until(lambda: admin.call("FindCoordinator", 2, key="g", key_type=0)["error_code"] == 0, "no coordinator")
        for group in (mine, other):
            self.wait_until(lambda: admin.call("OffsetCommit", 7, group_id=group, topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 1}]}])
                ["topics"][0]["partitions"][0]["error_code"] == 0, "not committed")
        guest = self.guest((GROUP, mine, DESCRIBE))
        self.assertEqual([g["group_id"] for g in guest.call("ListGroups", 4)["groups"]], [mine])
        answer = guest.call("DescribeGroups", 5, groups=[mine, other], include_authorized_operations=True)
        told = {g["group_id"]: g for g in answer["groups"]}
        self.assertEqual((told[mine]["error_code"], told[other]["error_code"]), (0, ERR.GROUP_AUTHORIZATION_FAILED))
        self.assertEqual(told[mine]["authorized_operations"], bits(DESCRIBE))
        # All that is committed, but only of topics that the guest may know of.
        answer = guest.call("OffsetFetch", 8, groups=[{"group_id": mine, "topics": None}])
        self.assertEqual(answer["groups"][0]["topics"], [])
        self.allow(guest, (TOPIC, topic, DESCRIBE), (CLUSTER, CLUSTER_NAME, DESCRIBE))
        answer = guest.call("OffsetFetch", 8, groups=[{"group_id": mine, "topics": None}])
        self.assertEqual([t["name"] for t in answer["groups"][0]["topics"]], [topic])
        self.assertLessEqual({mine, other}, {g["group_id"] for g in guest.call("ListGroups", 4)["groups"]})

    def test_expressions(self):
        """KIP-848: an expression means only topics that may be described, and a group's topics are told to who may know them all."""
        mine, other = self.topic(name=self.fresh("re-mine")), self.topic(name=self.fresh("re-other"))
        group = self.fresh("group")
        guest = self.guest((GROUP, group, READ), (GROUP, "g", DESCRIBE), (TOPIC, mine, READ))
        self.wait_until(lambda: guest.call("FindCoordinator", 2, key="g", key_type=0)["error_code"] == 0, "no coordinator")
        args = dict(group_id=group, member_id=str(uuid.uuid4()), member_epoch=0, rebalance_timeout_ms=10000, subscribed_topic_names=None,
                    topic_partitions=[], subscribed_topic_regex="re-.*")

        def beat():     # Kafka's coordinator comes, and looks for the topics, a little later
            answer = guest.call("ConsumerGroupHeartbeat", 1, **args)
            self.assertNotIn(answer["error_code"], DENIED)
            return [bytes(t["topic_id"]) for t in (answer["assignment"] or {"topic_partitions": []})["topic_partitions"]]
        self.wait_until(lambda: beat() == [bytes(self.topic_id(mine))], "not assigned")
        answer = guest.call("ConsumerGroupDescribe", 0, group_ids=[group])["groups"][0]
        self.assertEqual((answer["error_code"], len(answer["members"])), (0, 1))
        stranger = self.guest((GROUP, group, DESCRIBE), (TOPIC, other, READ))
        answer = stranger.call("ConsumerGroupDescribe", 0, group_ids=[group], include_authorized_operations=True)["groups"][0]
        self.assertEqual((answer["error_code"], answer["members"]), (ERR.TOPIC_AUTHORIZATION_FAILED, []))
        answer = stranger.call("ConsumerGroupHeartbeat", 1, **args)
        self.assertError(answer["error_code"], ERR.GROUP_AUTHORIZATION_FAILED)

    def test_transactions(self):
        """Records of a transaction need the right to its id; ListTransactions tells of those that may be described."""
        topic, other = self.topic(), self.topic()
        p = Producer(self, self.fresh("txn"))
        self.assertError(p.init(), ERR.NONE)
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        guest = self.guest((TOPIC, topic, WRITE), (TOPIC, other, WRITE))
        data = records.batch([b"y"], attributes=TRANSACTIONAL, producer_id=p.id, producer_epoch=p.epoch, base_sequence=1)
        answer = self.produce(guest, topic, data, version=12, transactional_id=p.name)
        self.assertError(answer["error_code"], ERR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        self.assertEqual(guest.call("ListTransactions", 1)["transaction_states"], [])
        self.allow(guest, (TRANSACTIONAL_ID, p.name, WRITE))
        self.assertError(self.produce(guest, topic, data, version=12, transactional_id=p.name)["error_code"], ERR.NONE)
        self.assertEqual([t["transactional_id"] for t in guest.call("ListTransactions", 1)["transaction_states"]], [p.name])
        # A partition of a topic that may not be written does not become part of it.
        self.revoke(guest)
        self.allow(guest, (TRANSACTIONAL_ID, p.name, WRITE), (TOPIC, topic, DESCRIBE))
        data = records.batch([b"z"], attributes=TRANSACTIONAL, producer_id=p.id, producer_epoch=p.epoch, base_sequence=0)
        answer = self.produce(guest, other, data, version=12, transactional_id=p.name)
        self.assertError(answer["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        answer = self.client().call("DescribeTransactions", 0, transactional_ids=[p.name])["transaction_states"][0]
        self.assertEqual([t["topic"] for t in answer["topics"]], [topic])
        self.revoke(guest)
        self.allow(guest, (TRANSACTIONAL_ID, p.name, DESCRIBE))
        answer = guest.call("DescribeTransactions", 0, transactional_ids=[p.name])["transaction_states"][0]
        self.assertEqual((answer["error_code"], answer["topics"]), (0, []))
        self.assertError(p.end(True), ERR.NONE)

    def test_idempotent_producers(self):
        """KIP-679: who may write to any topic may be an idempotent producer."""
        guest = self.guest()
        args = dict(transactional_id=None, transaction_timeout_ms=1000)
        self.assertError(guest.call("InitProducerId", 4, **args)["error_code"], ERR.CLUSTER_AUTHORIZATION_FAILED)
        self.allow(guest, (TOPIC, "one-topic", WRITE))
        self.wait_until(lambda: guest.call("InitProducerId", 4, **args)["error_code"] == ERR.NONE, "no id")
        self.deny(guest, (TOPIC, "one-topic", WRITE))
        self.assertError(guest.call("InitProducerId", 4, **args)["error_code"], ERR.CLUSTER_AUTHORIZATION_FAILED)

    def test_operations(self):
        """KIP-430: what may be done is told of the cluster to who may describe it."""
        topic = self.topic()
        guest = self.guest((TOPIC, topic, WRITE))
        answer = guest.call("Metadata", 9, topics=[{"name": topic}], include_cluster_authorized_operations=True,
                            include_topic_authorized_operations=True)
        self.assertEqual(answer["cluster_authorized_operations"], 0)
        self.assertEqual(answer["topics"][0]["topic_authorized_operations"], bits(WRITE, DESCRIBE))
        self.allow(guest, (CLUSTER, CLUSTER_NAME, ALTER))
        answer = guest.call("DescribeCluster", 0, include_cluster_authorized_operations=True)
        self.assertEqual(answer["cluster_authorized_operations"], bits(ALTER, DESCRIBE))

    def test_created_topics(self):
        """CreateTopics needs CREATE of the topic or of the cluster, and tells how it was made to who may describe configurations."""
        name, other = self.fresh("mine"), self.fresh("other")
        guest = self.guest((TOPIC, name, CREATE))
        topics = [{"name": n, "num_partitions": 2, "replication_factor": 1} for n in (name, other)]
        told = guest.call("CreateTopics", 7, topics=topics)["topics"]
        self.assertEqual([t["error_code"] for t in told], [0, ERR.TOPIC_AUTHORIZATION_FAILED])
        self.assertEqual((told[0]["num_partitions"], told[0]["configs"], told[0]["topic_config_error_code"]),
                         (-1, [], ERR.TOPIC_AUTHORIZATION_FAILED))
        self.allow(guest, (CLUSTER, CLUSTER_NAME, CREATE), (TOPIC, other, DESCRIBE_CONFIGS))
        told = guest.call("CreateTopics", 7, topics=topics[1:])["topics"][0]
        self.assertEqual((told["error_code"], told["num_partitions"]), (0, 2))
        self.assertTrue(told["configs"])

    def test_deleted_topics(self):
        """DeleteTopics: the name beside an id only to who may know it."""
        name = self.topic()
        topic_id = self.topic_id(name)
        guest = self.guest()
        delete = dict(timeout_ms=5000, topics=[{"name": None, "topic_id": topic_id}])
        told = guest.call("DeleteTopics", 6, **delete)["responses"][0]
        self.assertEqual((told["name"], told["error_code"]), (None, ERR.TOPIC_AUTHORIZATION_FAILED))
        self.allow(guest, (TOPIC, name, DESCRIBE))
        told = guest.call("DeleteTopics", 6, **delete)["responses"][0]
        self.assertEqual((told["name"], told["error_code"]), (name, ERR.TOPIC_AUTHORIZATION_FAILED))
        told = guest.call("DeleteTopics", 6, timeout_ms=5000, topics=[{"name": "no-such"}])["responses"][0]
        self.assertError(told["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        self.allow(guest, (TOPIC, name, DELETE), (TOPIC, "no-such", DESCRIBE))
        told = guest.call("DeleteTopics", 6, timeout_ms=5000, topics=[{"name": "no-such"}])["responses"][0]
        self.assertError(told["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertError(guest.call("DeleteTopics", 6, **delete)["responses"][0]["error_code"], ERR.NONE)

    @unittest.skipIf(apache.jars(), "of chronikd")
    def test_denials_are_counted(self):
        """An operator sees what is refused, at /metrics and in the messages."""
        topic, guest = self.topic(), self.guest()
        name = 'chronik_authorization_denied_total{resource="TOPIC",operation="WRITE"}'
        before = self.node.metric(name)
        for _ in range(3):
            self.produce(guest, topic, [b"x"])
        self.assertEqual(self.node.metric(name), before + 3)
        self.assertRegex(self.node.text(), "User:ANONYMOUS at .* may not WRITE TOPIC")


class AutoCreation(AclCase):
    SETTINGS = [s for s in AclCase.SETTINGS if "auto_create" not in s] + ["topics.auto_create=true"]

    def test_created_by_naming(self):
        """Metadata makes a topic for who may describe and create it; others are told that they may not."""
        name, guest = self.fresh("auto"), self.guest()

        def ask():
            answer = guest.call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=True)
            return answer["topics"][0]["error_code"]
        self.assertError(ask(), ERR.TOPIC_AUTHORIZATION_FAILED)
        self.allow(guest, (TOPIC, name, DESCRIBE))
        self.assertError(ask(), ERR.TOPIC_AUTHORIZATION_FAILED)
        self.allow(guest, (TOPIC, name, CREATE))
        self.assertNotIn(ask(), DENIED)
        self.wait_until(lambda: ask() == ERR.NONE, "not made")


class SuperUsers(AclCase):
    SETTINGS = ["security.authorizer=standard", "security.super_users=User:admin;User:ANONYMOUS"]

    def test_super_users(self):
        """A super user may do everything, whatever is denied."""
        topic, guest = self.topic(), self.guest()
        self.deny(guest, (TOPIC, topic, WRITE))
        self.assertError(self.produce(guest, topic, [b"x"])["error_code"], ERR.NONE)


@unittest.skipIf(apache.jars(), "a broker of Kafka needs rights itself")
class Nobody(AclCase):
    SETTINGS = ["security.authorizer=standard"]

    @classmethod
    def setUpClass(cls):
        cls.start()

    def test_nobody(self):
        """Without rules and super users nobody may do anything."""
        client = self.client()
        answer = client.call("CreateTopics", 7, topics=[{"name": "t", "num_partitions": 1, "replication_factor": 1}])
        self.assertError(answer["topics"][0]["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        self.assertEqual(client.call("Metadata", 12, topics=None)["topics"], [])
        self.assertIn("no client may do anything", self.node.text())


if __name__ == "__main__":
    unittest.main()
