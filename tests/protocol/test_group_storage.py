#!/usr/bin/env python3
"""Where groups are kept: __consumer_offsets as a topic that anybody can read, and what a restart brings back.

Goal: kafka-semantics items 31 and 58, and 50 to 56 across restarts (each test names its item). Method: the topic's
records are fetched and decoded with the schemas; nodes are stopped and killed between requests. The tests pass against
Apache Kafka as well (apache.py), but for the version of an offset's value, of which Kafka 4.3 writes a later one.
"""

import os
import struct
import time
import unittest

import apache
import codec
import records
from groups import NOT_YET, NOTHING, PARTITIONS, Committed, GroupCase, partition_of, subscription
from kafka import CLIENT_ID, ERR

TOPIC = "__consumer_offsets"
OFFSET_VALUE = 4 if apache.jars() else 3


def decode(record):
    """(version of the key, key, version of the value, value); None twice for a tombstone."""
    version, = struct.unpack_from(">h", record.key)
    key = codec.decode("OffsetCommitKey" if version < 2 else "GroupMetadataKey", version, record.key[2:])
    if record.value is None:
        return version, key, None, None
    value_version, = struct.unpack_from(">h", record.value)
    name = "OffsetCommitValue" if version < 2 else "GroupMetadataValue"
    return version, key, value_version, codec.decode(name, value_version, record.value[2:])


class StorageCase(GroupCase):
    def log(self, group):
        """What the topic says about a group, in order: decoded records of the one partition it belongs to."""
        found = []
        for batch in self.stored(TOPIC, partition_of(group)):
            for record in batch.records or []:
                row = decode(record)
                if row[1]["group"] == group:
                    found.append(row)
        return found

    def delete_group(self, group):
        row, = self.client().call("DeleteGroups", 2, groups_names=[group])["results"]
        self.assertError(row["error_code"], ERR.NONE)


class Topic(StorageCase):
    def test_topic(self):
        """Item 58: 50 partitions, internal, compacted, in segments that load fast."""
        client = self.client()
        topic, = client.call("Metadata", 12, topics=[{"name": TOPIC}])["topics"]
        self.assertError(topic["error_code"], ERR.NONE)
        self.assertEqual((len(topic["partitions"]), topic["is_internal"]), (PARTITIONS, True))
        answer, = client.call("DescribeConfigs", 4, resources=[
            {"resource_type": 2, "resource_name": TOPIC, "configuration_keys": None}])["results"]
        configs = {c["name"]: c["value"] for c in answer["configs"]}
        self.assertEqual((configs["cleanup.policy"], configs["compression.type"], configs["segment.bytes"]),
                         ("compact", "producer", "104857600"))

    def test_offset(self):
        """Item 58, and 31: a committed offset as Kafka writes it, in the partition of the group's hash, with its
        leader epoch."""
        client, topic = self.client(), self.topic()
        names = ["polygenelubricants", "ünïcödé", "\U0001f600", *(self.fresh("group") for _ in range(20))]
        for group in names:
            before = records.now_ms()
            self.commit(client, group, {topic: {0: (77, 3, "métadata")}})
            (key_version, key, version, value), = [r for r in self.log(group) if r[0] < 2]
            self.assertEqual((key_version, key), (1, {"group": group, "topic": topic, "partition": 0}))
            self.assertEqual(version, OFFSET_VALUE)
            self.assertEqual((value["offset"], value["leader_epoch"], value["metadata"]), (77, 3, "métadata"))
            self.assertLessEqual(before, value["commit_timestamp"])
            self.assertLessEqual(value["commit_timestamp"], records.now_ms())

    def test_offset_with_a_retention(self):
        """Items 56 and 58: an offset whose client said how long it is to be kept is of version 1, which holds
        that."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        self.commit(client, group, {topic: {0: (5, -1, "m")}}, version=2, retention_time_ms=60000)
        (_, _, version, value), = [r for r in self.log(group) if r[0] < 2]
        self.assertEqual((version, value["offset"], value["metadata"]), (1, 5, "m"))
        self.assertEqual(value["expire_timestamp"], value["commit_timestamp"] + 60000)

    def test_group(self):
        """Item 58: a group in Stable and when it is empty, as Kafka writes it."""
        group, topic, before = self.fresh("group"), self.topic(), records.now_ms()
        leader, static = self.settle([self.member(group, topic, session_ms=11000, rebalance_ms=12000, instance=i)
                                      for i in (None, "static-1")])
        key_version, key, version, value = self.log(group)[-1]
        self.assertEqual((key_version, key, version), (2, {"group": group}, 3))
        since = value.pop("current_state_timestamp")
        self.assertTrue(before <= since <= records.now_ms(), since)
        members = {m["member_id"]: m for m in value.pop("members")}
        self.assertEqual(value, {"protocol_type": "consumer", "generation": 1, "protocol": "range",
                                 "leader": leader.id})
        self.assertEqual(members, {m.id: {
            "member_id": m.id, "group_instance_id": m.instance, "client_id": CLIENT_ID, "client_host": "/127.0.0.1",
            "rebalance_timeout": 12000, "session_timeout": 11000, "subscription": subscription(topic),
            "assignment": b"for " + m.id.encode()} for m in (leader, static)})
        for m in (leader, static):
            self.assertError(m.leave(), ERR.NONE)
        _, _, _, value = self.log(group)[-1]
        self.assertGreaterEqual(value.pop("current_state_timestamp"), since)
        self.assertEqual(value, {"protocol_type": "consumer", "generation": 2, "protocol": None, "leader": None,
                                 "members": []})

    def test_tombstones(self):
        """Items 48 and 58: what is removed gets a tombstone: an offset by OffsetDelete, all offsets and the group by
        DeleteGroups, offsets of a deleted topic."""
        client, topic, other = self.client(), self.topic(2), self.topic()
        m, = self.stable(self.fresh("group"), topic)
        for t, p in ((topic, 0), (topic, 1), (other, 0)):
            self.assertError(m.commit(t, 9, partition=p), ERR.NONE)
        self.assertError(m.leave(), ERR.NONE)

        def last():
            """The last word about each key."""
            return {tuple(key.values())[1:]: value for _, key, _, value in self.log(m.group)}

        self.assertNotIn(None, last().values())
        client.call("OffsetDelete", 0, group_id=m.group, topics=[
            {"name": topic, "partitions": [{"partition_index": 0}]}])
        self.assertEqual({k for k, v in last().items() if v is None}, {(topic, 0)})
        client.call("DeleteTopics", 6, topics=[{"name": other}], timeout_ms=10000)
        self.until(lambda c: last()[(other, 0)] is None, "the deleted topic's offset has a tombstone")
        self.assertIsNotNone(last()[()])
        self.delete_group(m.group)
        self.assertEqual(last(), {(topic, 0): None, (topic, 1): None, (other, 0): None, (): None})

    def test_reads_like_any_topic(self):
        """Item 58: every partition can be listed and fetched from its beginning to its end, by id too."""
        client, topic = self.client(), self.topic()
        for i in range(30):
            self.commit(client, self.fresh("group"), {topic: {0: i}})
        answer = client.call("ListOffsets", 7, replica_id=-1, topics=[{"name": TOPIC, "partitions": [
            {"partition_index": p, "timestamp": -1} for p in range(PARTITIONS)]}])
        ends = {p["partition_index"]: p["offset"] for p in answer["topics"][0]["partitions"]}
        self.assertEqual(set(ends), set(range(PARTITIONS)))
        topic_id, seen = self.topic_id(TOPIC), 0
        for p, end in ends.items():
            batches = self.stored(TOPIC, p)
            self.assertEqual(batches[-1].base_offset + batches[-1].last_offset_delta + 1 if batches else 0, end)
            for batch in batches:
                self.assertEqual(batch.producer_id, -1)
                for record in batch.records:
                    self.assertEqual(partition_of(decode(record)[1]["group"]), p)
                    seen += 1
            part = client.call("Fetch", 13, max_wait_ms=0, min_bytes=0, topics=[{"topic_id": topic_id, "partitions": [
                {"partition": p, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])["responses"][0]["partitions"][0]
            self.assertError(part["error_code"], ERR.NONE)
            self.assertEqual(len(records.parse(part["records"] or b"")), len(batches))
        self.assertGreaterEqual(seen, 30)


@unittest.skipIf(apache.jars(), "sizes in the node's own spelling")
class Settings(StorageCase):
    SETTINGS = [*GroupCase.SETTINGS, "groups.offsets_segment_bytes=8MiB", "groups.offset_metadata_max_bytes=10"]

    def test_parameters(self):
        """Items 54 and 58: segment size and longest metadata are what the node was told."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        answer, = client.call("DescribeConfigs", 4, resources=[
            {"resource_type": 2, "resource_name": TOPIC, "configuration_keys": ["segment.bytes"]}])["results"]
        self.assertEqual(answer["configs"][0]["value"], str(8 << 20))
        for text, error in (("x" * 10, 0), ("x" * 11, ERR.OFFSET_METADATA_TOO_LARGE)):
            self.assertEqual(self.commit(client, group, {topic: {0: (1, -1, text)}}), {topic: {0: error}})


class Restart(StorageCase):
    """What is there after the node was stopped, and after it was killed."""

    def restart(self, kill):
        self.node.restart(kill=kill)
        self.wait_loaded()

    def again(self, m):
        """The same member on a new connection."""
        m.client = self.client()
        return m

    def test_offsets(self):
        """Items 31 and 54: committed offsets, leader epochs and metadata are there again; what was deleted is not."""
        for kill in (False, True):
            with self.subTest(kill=kill):
                client, topic = self.client(), self.topic(3)
                groups = [self.fresh("group") for _ in range(60)]
                for i, group in enumerate(groups):
                    self.commit(client, group, {topic: {0: (i, i % 5, f"m{i}"), 1: 5}})
                    self.commit(client, group, {topic: {2: i + 1}}, version=2, retention_time_ms=10 ** 9)
                self.delete_group(groups[0])
                client.call("OffsetDelete", 0, group_id=groups[1], topics=[
                    {"name": topic, "partitions": [{"partition_index": 0}]}])
                self.restart(kill)
                client = self.client()
                self.assertEqual(self.committed(client, groups[0], {topic: [0, 2]}), {topic: {0: NOTHING, 2: NOTHING}})
                self.assertNotIn(groups[0], self.listed(client))
                self.assertEqual(self.committed(client, groups[1]), {topic: {1: Committed(5), 2: Committed(2)}})
                for i, group in list(enumerate(groups))[2:]:
                    self.assertEqual(self.committed(client, group), {topic: {
                        0: Committed(i, i % 5, f"m{i}"), 1: Committed(5), 2: Committed(i + 1)}})
                    self.assertEqual(self.describe(client, group)["group_state"], "Empty")

    def test_members(self):
        """Items 50 and 52: a Stable group goes on in its generation: members, assignments, commits; also when it was
        reading an older one in between."""
        for kill in (False, True):
            with self.subTest(kill=kill):
                group, topic = self.fresh("group"), self.topic()
                members = self.settle([self.member(group, topic, instance=i) for i in (None, "static-1")])
                before = self.describe(self.client(), group)
                self.restart(kill)
                leader, follower = [self.again(m) for m in members]
                after = self.describe(self.client(), group)
                for answer in (before, after):
                    answer["members"].sort(key=lambda m: m["member_id"])
                self.assertEqual(after, before)
                for m in (leader, follower):
                    self.assertError(m.heartbeat(), ERR.NONE)
                    self.assertError(m.commit(topic, 5), ERR.NONE)
                    m.sync()
                    self.assertEqual(m.assignment, b"for " + m.id.encode())
                    self.assertError(m.heartbeat(generation_id=2), ERR.ILLEGAL_GENERATION)
                static = self.member(group, topic, instance="static-1")
                static.join()
                self.assertEqual(static.generation, 1)
                dynamic = leader if leader.instance is None else follower
                dynamic.protocols = [("range", subscription(topic, "more"))]
                dynamic.send_join()
                self.wait_state(group, "PreparingRebalance")
                static.join()
                dynamic.receive_join()
                self.assertEqual((dynamic.generation, static.generation), (2, 2))
                self.settle_sync([dynamic, static])

    def test_members_that_are_gone(self):
        """Item 53: members of before that are not heard of are removed after their session, and the group is
        Empty."""
        for kill in (False, True):
            with self.subTest(kill=kill):
                m, = self.stable(self.fresh("group"), session_ms=4000)
                started = time.monotonic()
                self.restart(kill)
                if time.monotonic() < started + 3:
                    self.assertEqual(self.state(self.client(), m.group), "Stable")
                self.wait_state(m.group, "Empty")

    def test_rebalance_is_cut_off(self):
        """Items 52 and 53: a group that was in a rebalance is Stable in the generation before; members that joined
        the one that was cut off see it and join again."""
        for kill in (False, True):
            with self.subTest(kill=kill):
                leader, follower = self.stable(self.fresh("group"), count=2)
                leader.send_join()
                self.wait_state(leader.group, "PreparingRebalance")
                follower.join()
                leader.receive_join()
                self.assertEqual(leader.generation, 2)
                self.assertEqual(self.state(self.client(), leader.group), "CompletingRebalance")
                self.restart(kill)
                for m in (leader, follower):
                    self.again(m)
                    self.assertError(m.heartbeat(), ERR.ILLEGAL_GENERATION)
                    m.sync(expected=ERR.ILLEGAL_GENERATION)
                    self.assertError(m.heartbeat(generation_id=1), ERR.NONE)
                leader.send_join()
                self.wait_state(leader.group, "PreparingRebalance")
                follower.join()
                leader.receive_join()
                self.settle_sync([leader, follower])

    def test_emptied_and_deleted_groups(self):
        """Items 56 and 57: an Empty group is Empty with its protocol type and goes on with the next generation; a
        deleted one is gone."""
        for kill in (False, True):
            with self.subTest(kill=kill):
                topic = self.topic()
                empty, deleted = [self.stable(self.fresh("group"), topic)[0] for _ in range(2)]
                for m in (empty, deleted):
                    self.assertError(m.commit(topic, 5), ERR.NONE)
                    self.assertError(m.leave(), ERR.NONE)
                self.delete_group(deleted.group)
                self.restart(kill)
                rows = self.listed(self.client())
                self.assertEqual((rows[empty.group]["group_state"], rows[empty.group]["protocol_type"]),
                                 ("Empty", "consumer"))
                self.assertNotIn(deleted.group, rows)
                self.assertEqual(self.settle([self.member(empty.group, topic)])[0].generation, 3)
                self.assertEqual(self.settle([self.member(deleted.group, topic)])[0].generation, 1)

    def test_topic_deleted_before_the_end(self):
        """Item 48: offsets of a deleted topic do not come back, not even when the node is killed right after the
        deletion."""
        for kill in (False,) if apache.jars() else (False, True):      # Kafka forgets to, once killed
            with self.subTest(kill=kill):
                client, topic = self.client(), self.topic()
                groups = [self.fresh("group") for _ in range(20)]
                for g in groups:
                    self.commit(client, g, {topic: {0: 9}})
                client.call("DeleteTopics", 6, topics=[{"name": topic}], timeout_ms=10000)
                self.restart(kill)
                self.topic(name=topic)
                for g in groups:
                    self.until(lambda c: self.committed(c, g, {topic: [0]}) == {topic: {0: NOTHING}},
                               "the old topic's offset is gone", 5)


class Loading(StorageCase):
    COMMITS = int(os.environ.get("GROUP_COMMITS", 100))     # of a thousand partitions each

    def test_never_a_wrong_answer(self):
        """Item 58: from the first moment after a kill the coordinator says that it is loading, or what is right: no
        unknown member, no offset -1, no older offset, no short list."""
        topic, client = self.topic(1000), self.client()
        m, = self.stable(self.fresh("group"), topic, session_ms=600000)
        simple = self.fresh("group")
        while partition_of(simple) != partition_of(m.group):
            simple = self.fresh("group")
        for i in range(self.COMMITS):
            client.send("OffsetCommit", 9, group_id=simple, generation_id_or_member_epoch=-1, member_id="", topics=[
                {"name": topic, "partitions": [{"partition_index": p, "committed_offset": i} for p in range(1000)]}])
            if i % 20 == 19 or i == self.COMMITS - 1:
                while client.pending:
                    answer = client.receive()
                    self.assertEqual({p["error_code"] for p in answer["topics"][0]["partitions"]}, {0})
        self.assertError(m.commit(topic, 5), ERR.NONE)
        self.node.restart(kill=True)
        m.client, seen, right = self.client(), set(), set()
        deadline = time.monotonic() + 60
        checks = {
            "heartbeat": lambda: (m.heartbeat(), True),
            "fetch": lambda: self.fetched(m.client, m.group, topic, [0], 5),
            "fetch of much": lambda: self.fetched(m.client, simple, topic, [0, 500, 999], self.COMMITS - 1),
            "describe": lambda: self.described(m.client, m.group),
            "list": lambda: self.all_listed(m.client, {m.group, simple}),
            "commit": lambda: (m.commit(topic, 5), True),
            "sync": lambda: self.synced(m),
        }
        if apache.jars():                    # which lists what it has loaded and does not say that it is not all
            del checks["list"]
        while right != set(checks):         # each at least once, in whatever state the node is
            self.assertLess(time.monotonic(), deadline, f"never loaded; {right} were right, errors were {seen}")
            for name, check in checks.items():
                error, is_right = check()
                if error:
                    self.assertIn(error, NOT_YET, f"{name} was answered with {ERR(error).name}")
                    seen.add(ERR(error).name)
                else:
                    self.assertTrue(is_right, f"{name} was wrong")
                    right.add(name)

    def fetched(self, client, group, topic, partitions, expected):
        answer, = client.call("OffsetFetch", 8, groups=[{"group_id": group, "topics": [
            {"name": topic, "partition_indexes": partitions}]}])["groups"]
        if answer["error_code"]:
            return answer["error_code"], False
        return 0, [p["committed_offset"] for p in answer["topics"][0]["partitions"]] == [expected] * len(partitions)

    def described(self, client, group):
        answer = self.describe(client, group)
        return answer["error_code"], answer["group_state"] == "Stable"

    def all_listed(self, client, groups):
        answer = client.call("ListGroups", 5)
        return answer["error_code"], groups <= {g["group_id"] for g in answer["groups"]}

    def synced(self, m):
        m.send_sync()
        answer = m.client.receive()
        return answer["error_code"], answer["assignment"] == b"for " + m.id.encode()


if __name__ == "__main__":
    unittest.main()
