"""Classic consumer groups, member by member: what the test_group_* files stand on."""

import struct
import time
from collections import namedtuple

import apache
from case import NodeCase
from kafka import ERR, Client

PARTITIONS = 50
# Answers of a coordinator that is not there yet.
NOT_YET = (ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.COORDINATOR_NOT_AVAILABLE, ERR.NOT_COORDINATOR)
LIMIT_S = 20

Committed = namedtuple("Committed", "offset leader_epoch metadata error", defaults=(-1, "", 0))
NOTHING = Committed(-1)


def java_hash(text):
    """String.hashCode() of Java."""
    value = 0
    data = text.encode("utf-16-be")
    for i in range(0, len(data), 2):
        value = (31 * value + (data[i] << 8 | data[i + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def partition_of(group, partitions=PARTITIONS):
    """Where a group lives: Kafka's abs(hash) % n, in which abs(-2^31) is 0."""
    value = java_hash(group)
    return (0 if value == -1 << 31 else abs(value)) % partitions


def _text(text):
    return struct.pack(">h", len(text.encode())) + text.encode()


def subscription(*topics, version=0):
    """The metadata of a member with protocol type consumer, as Kafka's clients write it."""
    return struct.pack(">hi", version, len(topics)) + b"".join(map(_text, topics)) + struct.pack(">i", -1)


def assignment(topics):
    """The assignment of a consumer: {topic: [partition]}."""
    out = struct.pack(">hi", 0, len(topics))
    for topic, partitions in topics.items():
        out += _text(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
    return out + struct.pack(">i", -1)


class Member:
    """One member on a connection of its own. After a join and a sync @id, @generation, @leader and @assignment are
    what the coordinator said; @joined is the whole answer."""

    def __init__(self, case, group, topics=(), instance=None, protocols=None, protocol_type="consumer", version=9,
                 session_ms=10000, rebalance_ms=10000):
        self.case, self.group, self.instance, self.version = case, group, instance, version
        self.protocols = protocols or [("range", subscription(*topics))]
        self.protocol_type, self.session_ms, self.rebalance_ms = protocol_type, session_ms, rebalance_ms
        self.id, self.generation, self.leader, self.assignment, self.joined = "", -1, None, None, None
        self.client = case.client()

    @property
    def leads(self):
        return self.leader == self.id

    def fields(self, lowest):
        """What names this member in a request; @lowest is the first version with instance ids."""
        return {"group_id": self.group, "member_id": self.id, **(
            {"group_instance_id": self.instance} if self.instance and lowest else {})}

    def send_join(self, **fields):
        request = dict(self.fields(self.version >= 5), session_timeout_ms=self.session_ms,
                       rebalance_timeout_ms=self.rebalance_ms, protocol_type=self.protocol_type,
                       protocols=[{"name": n, "metadata": m} for n, m in self.protocols])
        self.client.send("JoinGroup", self.version, **{**request, **fields})

    def receive_join(self, expected=ERR.NONE):
        self.joined = answer = self.client.receive()
        self.case.assertError(answer["error_code"], expected)
        if not answer["error_code"]:
            self.id, self.generation, self.leader = answer["member_id"], answer["generation_id"], answer["leader"]
        return answer

    def join(self, expected=ERR.NONE, **fields):
        self.send_join(**fields)
        return self.receive_join(expected)

    def introduce(self):
        """Get a member id, without joining (versions from 4, dynamic members)."""
        self.id = self.join(ERR.MEMBER_ID_REQUIRED)["member_id"]
        return self

    def send_sync(self, assignments=None, version=5, **fields):
        """@assignments: {member id: bytes}, of the leader."""
        request = dict(self.fields(version >= 3), generation_id=self.generation, assignments=[
            {"member_id": k, "assignment": v} for k, v in (assignments or {}).items()])
        if version >= 5:
            request.update(protocol_type=self.protocol_type, protocol_name=self.joined["protocol_name"])
        self.client.send("SyncGroup", version, **{**request, **fields})

    def receive_sync(self, expected=ERR.NONE):
        answer = self.client.receive()
        self.case.assertError(answer["error_code"], expected)
        self.assignment = answer["assignment"]
        return answer

    def sync(self, assignments=None, expected=ERR.NONE, version=5, **fields):
        self.send_sync(assignments, version, **fields)
        return self.receive_sync(expected)

    def heartbeat(self, client=None, version=4, **fields):
        """The error code. Beside a join or sync that waits it needs another @client."""
        request = dict(self.fields(version >= 3), generation_id=self.generation)
        return (client or self.client).call("Heartbeat", version, **{**request, **fields})["error_code"]

    def leave(self, version=5):
        """The error code."""
        if version < 3:
            return self.client.call("LeaveGroup", version, group_id=self.group, member_id=self.id)["error_code"]
        answer = self.client.call("LeaveGroup", version, group_id=self.group, members=[
            {"member_id": self.id, "group_instance_id": self.instance}])
        return answer["error_code"] or answer["members"][0]["error_code"]

    def commit(self, topic, offset, partition=0, client=None, version=9, **fields):
        """Commit one offset as this member; the partition's error code."""
        request = dict(self.fields(version >= 7), generation_id_or_member_epoch=self.generation)
        return self.case.commit(client or self.client, self.group, {topic: {partition: offset}}, version=version,
                                **{**request, **fields})[topic][partition]


class GroupCase(NodeCase):
    """One node, its groups are loaded; their initial delay and their sessions are as short as a test wants them."""

    SETTINGS = ["groups.initial_rebalance_delay_ms=150", "groups.min_session_timeout_ms=500"]
    ENV = {}
    KAFKA = {}              # properties of Kafka, when it is in the node's place

    @classmethod
    def setUpClass(cls):
        cls.node = apache.node(cls.SETTINGS, cls.ENV, cls.KAFKA)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()
        cls.wait_loaded()

    @classmethod
    def wait_loaded(cls):
        """Until every partition of __consumer_offsets has a coordinator that answers."""
        names = {}
        for i in range(2000):
            names.setdefault(partition_of(f"probe-{i}"), f"probe-{i}")
        cls.until(lambda client: not client.call("FindCoordinator", 6, coordinator_keys=["probe"])
                  ["coordinators"][0]["error_code"], "the coordinator is found")
        cls.until(lambda client: not any(
            g["error_code"] for g in client.call("DescribeGroups", 5, groups=list(names.values()))["groups"]),
            "all coordinators are loaded")

    @classmethod
    def until(cls, check, what, limit_s=LIMIT_S):
        """Ask again and again until check(client) is true; its last result."""
        deadline = time.monotonic() + limit_s
        with Client(cls.node.host, cls.node.port) as client:
            while True:
                result = check(client)
                if result:
                    return result
                if time.monotonic() > deadline:
                    raise AssertionError(f"not in {limit_s} s: {what}")
                time.sleep(0.02)

    def topic(self, *args, **options):
        """As NodeCase's; Kafka answers before its broker knows the topic."""
        name = super().topic(*args, **options)
        self.until(lambda client: not client.call("Metadata", 12, topics=[{"name": name}],
                                                  allow_auto_topic_creation=False)["topics"][0]["error_code"],
                   "the topic is known")
        return name

    def member(self, group, *topics, **options):
        return Member(self, group, topics, **options)

    def stable(self, group, *topics, count=1, **options):
        """A Stable group of @count members in one generation, the leader first. Assignments are b'for ' + member
        id."""
        return self.settle([Member(self, group, topics, **options) for _ in range(count)])

    def settle(self, members):
        """Let @members join (again), all in one generation, and take their assignments; the leader first."""
        for m in members:
            if not m.id and m.version >= 4 and not m.instance:
                m.introduce()
        for m in members:
            m.send_join()
            if m is members[0] and m.leads and len(members) > 1:        # a follower that came first would be answered
                self.wait_state(m.group, "PreparingRebalance")          # with the generation that there is
        for m in members:
            m.receive_join()
        self.assertEqual(len({m.generation for m in members}), 1, "not all came into one generation")
        return self.settle_sync(members)

    def settle_sync(self, members):
        members = sorted(members, key=lambda m: not m.leads)
        self.assertEqual([m.leads for m in members], [True] + [False] * (len(members) - 1))
        members[0].sync({m.id: b"for " + m.id.encode() for m in members})
        for m in members[1:]:
            m.sync()
            self.assertEqual(m.assignment, b"for " + m.id.encode())
        return members

    def commit(self, client, group, offsets, version=9, topic_ids=None, **fields):
        """Commit {topic: {partition: offset, or a tuple (offset, leader epoch, metadata)}}; the error codes in the
        same form. Versions from 10 name topics by @topic_ids."""
        topics = []
        for topic, partitions in offsets.items():
            rows = []
            for p, value in partitions.items():
                offset, epoch, metadata = value if isinstance(value, tuple) else (value, -1, "")
                rows.append({"partition_index": p, "committed_offset": offset, "committed_metadata": metadata,
                             **({"committed_leader_epoch": epoch} if version >= 6 else {})})
            name = {"topic_id": topic_ids[topic]} if version >= 10 else {"name": topic}
            topics.append({**name, "partitions": rows})
        answer = client.call("OffsetCommit", version, **{
            "group_id": group, "generation_id_or_member_epoch": -1, "member_id": "", "topics": topics, **fields})
        names = {v: k for k, v in (topic_ids or {}).items()}
        return {names[t["topic_id"]] if version >= 10 else t["name"]:
                {p["partition_index"]: p["error_code"] for p in t["partitions"]} for t in answer["topics"]}

    def committed(self, client, group, topics=None, version=8, **fields):
        """Committed offsets of {topic: [partition]}, or all of them: {topic: {partition: Committed}}."""
        def rows(items, key):
            return None if items is None else [{key: t, "partition_indexes": p} for t, p in items.items()]

        if version < 8:
            answer = client.call("OffsetFetch", version, group_id=group, topics=rows(topics, "name"), **fields)
        else:
            key = "topic_id" if version >= 10 else "name"
            answer, = client.call("OffsetFetch", version, groups=[
                {"group_id": group, "topics": rows(topics, key)}], **fields)["groups"]
            self.assertEqual(answer["group_id"], group)
        self.assertError(answer.get("error_code", 0), ERR.NONE)
        key = "topic_id" if version >= 10 else "name"
        return {t[key]: {p["partition_index"]: Committed(
            p["committed_offset"], p.get("committed_leader_epoch", -1), p["metadata"], p["error_code"])
            for p in t["partitions"]} for t in answer["topics"]}

    def describe(self, client, group, version=5, **fields):
        answer, = client.call("DescribeGroups", version, groups=[group], **fields)["groups"]
        return answer

    def state(self, client, group):
        answer = self.describe(client, group)
        self.assertError(answer["error_code"], ERR.NONE)
        return answer["group_state"]

    def listed(self, client, version=5, **fields):
        """All groups: {group id: row}."""
        answer = client.call("ListGroups", version, **fields)
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual(len({g["group_id"] for g in answer["groups"]}), len(answer["groups"]), "listed twice")
        return {g["group_id"]: g for g in answer["groups"]}

    def wait_state(self, group, state):
        self.until(lambda client: self.state(client, group) == state, f"{group} is {state}")

    def sleep_until(self, started, seconds):
        """Until @seconds after time.monotonic() was @started."""
        time.sleep(max(0, started + seconds - time.monotonic()))
