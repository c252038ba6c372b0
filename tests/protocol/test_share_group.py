#!/usr/bin/env python3
"""Share groups as members and operators see them: ShareGroupHeartbeat, ShareGroupDescribe, and their offsets (KIP-932, KIP-1226).

Goal: epochs, errors and which answers carry an assignment are Kafka's; every partition has a member and every member a partition; where a
group begins is what an operator said, also after a restart. Method: members step by step; SIGKILL. The tests pass against Apache Kafka as
well (apache.py).
"""

import time
import unittest

import apache
from cluster import ClusterCase
from consumer_groups import FIRST, ConsumerMember
from groups import LIMIT_S, NOT_YET, Member
from kafka import ERR
from share_groups import NOTHING, ShareGroupCase, ShareSession

SESSION_S = 1.5


class Members(ShareGroupCase):
    def test_first(self):
        """The first member gets its epoch and all partitions, and from then on answers without an assignment while nothing changes."""
        topic = self.topic(partitions=3)
        m = self.member(self.fresh("group"), topic)
        answer = m.join()
        self.assertEqual((answer["member_id"], answer["member_epoch"], answer["heartbeat_interval_ms"],
                          answer["error_message"]), (m.id, FIRST, 5000, None))
        self.settle(m)
        self.assertEqual(m.told, {topic: {0, 1, 2}})
        self.assertEqual(m.beat()["assignment"], None)
        m.told = None
        m.beat(**m.whole())                                 # who says everything is told everything
        self.assertEqual(m.told, {topic: {0, 1, 2}})

    def test_share(self):
        """Members share: all partitions have a member, and with more members than partitions all have one all the same."""
        topic, group = self.topic(partitions=3), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        self.assertCovered([a, b], {topic: 3})
        others = self.joined(group, topic, count=5)
        self.settle(a, b, *others)
        self.assertCovered([a, b, *others], {topic: 3})
        for m in (a, b, *others):
            self.assertGreater(len(m.told[topic]), 0)
        for m in (b, *others):
            m.leave()
        self.settle(a)
        self.assertEqual(a.told, {topic: {0, 1, 2}})

    def test_subscription(self):
        """A member that wants other topics is told of them with the same answer, or soon."""
        one, other, group = self.topic(), self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, one)
        epoch = m.epoch
        m.topics = [other]
        m.beat(**m.whole())
        self.settle(m)
        self.assertEqual(m.told, {other: {0, 1}})
        self.assertGreater(m.epoch, epoch)

    def test_refused(self):
        topic, group = self.topic(), self.fresh("group")
        self.member(group, topic, member_id="").join(ERR.INVALID_REQUEST)
        self.member("", topic).join(ERR.INVALID_REQUEST)
        self.member(group, topic, rack="").join(ERR.INVALID_REQUEST)
        self.member(group).join(ERR.INVALID_REQUEST)
        m = self.member(group, topic)
        m.join(ERR.INVALID_REQUEST, subscribed_topic_names=None)
        m.join(ERR.INVALID_REQUEST, member_epoch=-2)
        m.beat(ERR.GROUP_ID_NOT_FOUND, member_epoch=1)
        m.leave(ERR.GROUP_ID_NOT_FOUND)
        m.join()
        other = self.member(group, topic)
        other.beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=FIRST)
        other.leave(ERR.UNKNOWN_MEMBER_ID)

    def test_epochs(self):
        """The epoch before counts, of a member that was not answered; any other one is fenced, and 0 joins again."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        self.joined(group, topic)
        before = m.epoch
        m.beat()
        self.assertGreater(m.epoch, before)
        now = m.epoch
        m.beat(member_epoch=before)
        self.assertEqual(m.epoch, now)
        for wrong in (now + 1, 1 if before > 1 else now + 2):
            m.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=wrong)
        m.join()
        self.assertEqual(m.epoch, now)

    def test_restart(self):
        """A crash changes nothing for members."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        self.node.restart(kill=True)
        self.until(lambda client: client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"][0]["error_code"]
                   not in NOT_YET, "the group is loaded")
        for m in (a, b):
            m.client = self.client()
            epoch = m.epoch
            self.assertEqual(m.beat()["assignment"], None)
            self.assertEqual(m.epoch, epoch)


class Bounds(ShareGroupCase):
    SETTINGS = [*ShareGroupCase.SETTINGS, "groups.share_max_size=2", "groups.share_min_session_timeout_ms=1000",
                f"groups.share_session_timeout_ms={int(SESSION_S * 1000)}", "groups.share_min_heartbeat_interval_ms=100",
                "groups.share_heartbeat_interval_ms=300"]

    def test_full(self):
        """A group that has all the members that it may have takes no more; those that it has go on."""
        topic, group = self.topic(), self.fresh("group")
        a = self.member(group, topic)
        self.assertEqual(a.join()["heartbeat_interval_ms"], 300)
        self.member(group, topic).join()
        late = self.member(group, topic)
        late.join(ERR.GROUP_MAX_SIZE_REACHED)
        a.beat()
        a.leave()
        late.join()

    def test_silent(self):
        """A member that sends nothing is removed after its session, not before."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        b.beat()
        heard = time.monotonic()

        def alone():
            a.beat()
            return len(self.described(group)["members"]) == 1
        self.wait_until(alone, "it is not removed")
        self.assertGreater(time.monotonic() - heard, SESSION_S - 0.1)
        self.settle(a)
        self.assertEqual(a.told, {topic: {0, 1}})
        b.beat(ERR.UNKNOWN_MEMBER_ID)


class Operators(ShareGroupCase):
    def test_describe(self):
        topic, group = self.topic(partitions=2), self.fresh("group")
        m = self.member(group, topic, rack="r")
        m.join()
        self.settle(m)
        answer = self.described(group, include_authorized_operations=True)
        self.assertEqual((answer["group_state"], answer["assignor_name"]), ("Stable", "simple"))
        self.assertEqual((answer["group_epoch"], answer["assignment_epoch"]), (m.epoch, m.epoch))
        self.assertGreater(answer["authorized_operations"], 0)
        shown, = answer["members"]
        self.assertEqual((shown["member_id"], shown["rack_id"], shown["member_epoch"], shown["subscribed_topic_names"]),
                         (m.id, "r", m.epoch, [topic]))
        self.assertEqual([(t["topic_id"], t["topic_name"], sorted(t["partitions"]))
                          for t in shown["assignment"]["topic_partitions"]], [(self.ids[topic], topic, [0, 1])])
        m.leave()
        answer = self.described(group)
        self.assertEqual((answer["group_state"], answer["members"]), ("Empty", []))
        self.described(self.fresh("group"), ERR.GROUP_ID_NOT_FOUND)

    def test_listed(self):
        topic, client = self.topic(), self.client()
        m, = self.joined(self.fresh("group"), topic)
        row = self.listed(client, types_filter=["share"])[m.group]
        self.assertEqual((row["protocol_type"], row["group_state"], row["group_type"]), ("share", "Stable", "share"))
        self.assertNotIn(m.group, self.listed(client, types_filter=["consumer"]))
        self.assertNotIn(m.group, self.listed(client, states_filter=["Empty"]))

    def test_deleted(self):
        """DeleteGroups: while it is empty; with it goes where it stood."""
        topic, client = self.topic(), self.client()
        m, = self.joined(self.fresh("group"), topic)

        def delete():
            result, = client.call("DeleteGroups", 2, groups_names=[m.group])["results"]
            return result["error_code"]
        self.assertError(delete(), ERR.NON_EMPTY_GROUP)
        m.leave()
        self.assertEqual(self.alter(m.group, {topic: {0: 3}}), {topic: {0: 0}})
        self.assertError(delete(), ERR.NONE)
        self.described(m.group, ERR.GROUP_ID_NOT_FOUND)
        self.assertEqual(self.stands(m.group), {})
        self.assertError(delete(), ERR.GROUP_ID_NOT_FOUND)
        m.join()
        self.settle(m)
        self.assertEqual(self.stands(m.group, {topic: [0]})[topic][0][0], NOTHING)

    def test_other_requests(self):
        """What is asked of groups of another type is refused."""
        topic, client = self.topic(), self.client()
        m, = self.joined(self.fresh("group"), topic)
        Member(self, m.group, [topic]).join(ERR.INCONSISTENT_GROUP_PROTOCOL)
        ConsumerMember(self, m.group, [topic]).join(ERR.GROUP_ID_NOT_FOUND)
        for version in (5, 9):
            error = self.commit(client, m.group, {topic: {0: 1}}, version=version)[topic][0]
            self.assertError(error, ERR.GROUP_ID_NOT_FOUND)
        self.assertEqual(self.committed(client, m.group, {topic: [0]})[topic][0].offset, -1)
        self.assertError(self.describe(client, m.group, version=6)["error_code"], ERR.GROUP_ID_NOT_FOUND)
        self.assertEqual(self.describe(client, m.group, version=5)["group_state"], "Dead")
        answer = client.call("OffsetDelete", 0, group_id=m.group, topics=[
            {"name": topic, "partitions": [{"partition_index": 0}]}])
        self.assertError(answer["error_code"], ERR.GROUP_ID_NOT_FOUND)
        beat = client.call("Heartbeat", 4, group_id=m.group, generation_id=m.epoch, member_id=m.id)
        self.assertError(beat["error_code"], ERR.UNKNOWN_MEMBER_ID)
        left = client.call("LeaveGroup", 5, group_id=m.group, members=[{"member_id": m.id}])
        self.assertEqual((left["error_code"], left["members"][0]["error_code"]), (0, ERR.UNKNOWN_MEMBER_ID))
        m.beat()

    def test_other_groups(self):
        """A group of another type is no share group, empty or not."""
        topic, client, group = self.topic(), self.client(), self.fresh("group")
        self.commit(client, group, {topic: {0: 1}})
        self.member(group, topic).join(ERR.GROUP_ID_NOT_FOUND)
        self.described(group, ERR.GROUP_ID_NOT_FOUND)
        consumer = ConsumerMember(self, self.fresh("group"), [topic])
        consumer.join()
        for _ in range(2):
            self.member(consumer.group, topic).join(ERR.GROUP_ID_NOT_FOUND)
            self.alter(consumer.group, {topic: {0: 1}}, ERR.GROUP_ID_NOT_FOUND)
            if consumer.epoch > 0:
                consumer.leave()


class Offsets(ShareGroupCase):
    def test_nothing_known(self):
        """Of a group, a topic or a partition that is not there nothing is known, which is no error."""
        topic = self.topic()
        self.assertEqual(self.stands(self.fresh("group")), {})
        self.assertEqual(self.stands(self.fresh("group"), {topic: [0]}), {topic: {0: (NOTHING, 0, -1)}})
        group = self.empty(topic)
        self.assertEqual(self.stands(group, {topic: [0], "no-such-topic": [1]}),
                         {topic: {0: (NOTHING, 0, -1)}, "no-such-topic": {1: (NOTHING, 0, -1)}})

    def test_alter(self):
        """An operator says where an empty group begins; lag is from there to the end."""
        topic = self.topic(partitions=2)
        group = self.empty(topic)
        self.produce(self.client(), topic, [b"%d" % i for i in range(10)], partition=1)
        self.assertEqual(self.alter(group, {topic: {0: 0, 1: 4, 2: 1}, "no-such-topic": {0: 1}}),
                         {topic: {0: 0, 1: 0, 2: ERR.UNKNOWN_TOPIC_OR_PARTITION},
                          "no-such-topic": {0: ERR.UNKNOWN_TOPIC_OR_PARTITION}})
        self.assertEqual(self.stands(group), {topic: {0: (0, 0, 0), 1: (4, 0, 6)}})
        self.assertEqual(self.stands(group, {topic: [1]}, version=0), {topic: {1: (4, 0, None)}})
        self.assertEqual(self.alter(group, {topic: {1: 7}}), {topic: {1: 0}})
        self.node.restart(kill=True)
        self.until(lambda client: client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"][0]["error_code"]
                   not in NOT_YET, "the group is loaded")
        self.assertEqual(self.stands(group), {topic: {0: (0, 0, 0), 1: (7, 0, 3)}})

    def test_alter_makes(self):
        """Who is told where it begins need not be there yet."""
        topic, group = self.topic(), self.fresh("group")
        self.assertEqual(self.alter(group, {topic: {1: 3}}), {topic: {1: ERR.UNKNOWN_TOPIC_OR_PARTITION}})
        if not apache.jars():           # Kafka makes it for nothing, too
            self.described(group, ERR.GROUP_ID_NOT_FOUND)
        self.assertEqual(self.alter(group, {topic: {0: 3}}), {topic: {0: 0}})
        self.assertEqual(self.described(group)["group_state"], "Empty")
        self.assertEqual(self.stands(group)[topic][0][0], 3)
        m, = self.joined(group, topic)
        self.assertEqual(self.stands(group)[topic][0][0], 3)

    def test_alter_refused(self):
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        self.alter(m.group, {topic: {0: 1}}, ERR.NON_EMPTY_GROUP)
        self.forget(m.group, topic, expected=ERR.NON_EMPTY_GROUP)
        self.assertEqual(self.alter(self.fresh("group"), {}), {})
        self.forget(self.fresh("group"), topic, expected=ERR.GROUP_ID_NOT_FOUND)

    def test_forget(self):
        """DeleteShareGroupOffsets: whole topics; of what nothing is known: UNKNOWN_TOPIC_OR_PARTITION."""
        topic, other = self.topic(partitions=2), self.topic()
        group = self.empty(topic)
        self.alter(group, {topic: {0: 1, 1: 2}})
        self.assertEqual(self.forget(group, topic, other, "no-such-topic"), {
            topic: 0, other: ERR.UNKNOWN_TOPIC_OR_PARTITION, "no-such-topic": ERR.UNKNOWN_TOPIC_OR_PARTITION})
        self.assertEqual(self.stands(group), {})
        self.assertEqual(self.stands(group, {topic: [0]})[topic][0][0], NOTHING)

    def test_topic_deleted(self):
        """With a topic goes where groups stood in it: another one of the name begins anew."""
        topic = self.topic()
        group = self.empty(topic)
        self.alter(group, {topic: {0: 5}})
        with self.client() as client:
            client.call("DeleteTopics", 6, topics=[{"name": topic}], timeout_ms=10000)
            self.wait_until(lambda: client.call("Metadata", 12, topics=[{"name": topic}], allow_auto_topic_creation=False)
                            ["topics"][0]["error_code"], "the topic is gone")
        self.topic(name=topic)
        self.assertEqual(self.stands(group, {topic: [0]})[topic][0][0], NOTHING)


class Elsewhere(ClusterCase):
    """Three nodes: the coordinator of a group leads no more than its share of what the group reads."""

    def coordinator(self, group):
        """The node that keeps @group, once that has read its log."""
        found = []

        def ready():
            with self.client() as client:
                row, = client.call("FindCoordinator", 6, coordinator_keys=[group])["coordinators"]
            if row["error_code"]:
                return False
            found[:] = [row["node_id"]]
            with self.client(row["node_id"]) as client:
                answer, = client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"]
            return answer["error_code"] not in NOT_YET
        self.wait_until(ready, f"{group} has no coordinator", LIMIT_S)
        return found[0]

    def stands(self, client, group):
        answer, = client.call("DescribeShareGroupOffsets", 1, groups=[{"group_id": group, "topics": None}])["groups"]
        self.assertError(answer["error_code"], ERR.NONE)
        return {t["topic_name"]: [(p["start_offset"], p["lag"]) for p in t["partitions"]] for t in answer["topics"]}

    def test_lag(self):
        """The ends of partitions are told by their leaders; lag of one that has none is not known."""
        group, topics = self.fresh("group"), {node: self.replicated((node,)) for node in (1, 2, 3)}
        for node, topic in topics.items():
            self.wait_until(lambda node=node, topic=topic: self.produce(self.client(node), topic, [b"v"] * node)
                            ["error_code"] == 0, "nothing can be produced")
        here = self.coordinator(group)
        client = self.client(here)

        def altered():
            answer = client.call("AlterShareGroupOffsets", 0, group_id=group, topics=[
                {"topic_name": t, "partitions": [{"partition_index": 0, "start_offset": 1}]} for t in topics.values()])
            return not answer["error_code"] and not any(t["partitions"][0]["error_code"] for t in answer["responses"])
        self.wait_until(altered, "the coordinator does not learn of the topics")
        self.wait_until(lambda: self.stands(client, group) == {t: [(1, node - 1)] for node, t in topics.items()},
                        "lag is not told")
        away = next(n for n in (3, 2) if n != here)
        self.nodes[away - 1].kill()
        self.wait_until(lambda: self.stands(client, group)[topics[away]] == [(1, -1)], "lag of nobody", LIMIT_S)


class Feature(ShareGroupCase):
    """A node of its own: the level is the cluster's."""

    def set_level(self, level):
        answer = self.client().call("UpdateFeatures", 1, timeout_ms=10000, feature_updates=[
            {"feature": "share.version", "max_version_level": level, "upgrade_type": 1 if level else 2}])
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])

    def test_share_version(self):
        """share.version is finalised at 1 from the start. At 0 nothing of share groups is served: UNSUPPORTED_VERSION; at 1 again members
        go on."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        self.set_level(0)
        self.until(lambda client: client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"][0]["error_code"],
                   "share.version is 0")
        m.beat(ERR.UNSUPPORTED_VERSION)
        self.described(group, ERR.UNSUPPORTED_VERSION)
        self.alter(group, {topic: {0: 1}}, ERR.UNSUPPORTED_VERSION)
        self.forget(group, topic, expected=ERR.UNSUPPORTED_VERSION)
        s = ShareSession(self, group, m.id)
        s.fetch((self.ids[topic], 0), expected=ERR.UNSUPPORTED_VERSION)
        s.acknowledge({}, expected=ERR.UNSUPPORTED_VERSION)
        self.set_level(1)
        self.until(lambda client: not client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"][0]["error_code"],
                   "share.version is 1")
        self.assertEqual(m.beat()["assignment"], None)


if __name__ == "__main__":
    unittest.main()
