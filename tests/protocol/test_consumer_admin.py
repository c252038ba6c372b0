#!/usr/bin/env python3
"""Consumer groups of the new protocol as operators see them, and what the requests of the other kinds of groups say to them (KIP-848).

Goal: ConsumerGroupDescribe, ListGroups, DescribeGroups, DeleteGroups, LeaveGroup and the classic members' requests of every version.
Method: groups in every state; the tests pass against Apache Kafka as well (apache.py).
"""

import unittest

from consumer_groups import FIRST, LEAVE_STATIC, ConsumerGroupCase, count
from groups import Member
from kafka import CLIENT_ID, ERR

# What may be done to a group, as bits: read, delete, describe, describe and alter its configurations.
OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11
NOT_ASKED = -1 << 31


class AdminCase(ConsumerGroupCase):
    def empty(self, *topics):
        m, = self.joined(self.fresh("group"), *topics)
        m.leave()
        return m.group

    def reconciling(self, topic):
        """A group of two, one of which has to give partitions up."""
        a, = self.joined(self.fresh("group"), topic)
        b = self.member(a.group, topic)
        b.join()
        a.beat(topic_partitions=a.rows())
        return a, b


class Describe(AdminCase):
    def test_stable(self):
        """All of a group, in both versions: the kind of member from version 1 on."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic, instance="i-1", rack="r-1")
        has = {"topic_partitions": [{"topic_id": self.ids[topic], "topic_name": topic, "partitions": [0, 1]}]}
        for version in (0, 1):
            with self.subTest(version=version):
                self.assertEqual(self.described(group, version), {
                    "error_code": 0, "error_message": None, "group_id": group, "group_state": "Stable",
                    "group_epoch": FIRST, "assignment_epoch": FIRST, "assignor_name": "uniform",
                    "authorized_operations": NOT_ASKED, "members": [{
                        "member_id": m.id, "instance_id": "i-1", "rack_id": "r-1", "member_epoch": FIRST,
                        "client_id": CLIENT_ID, "client_host": "/127.0.0.1", "subscribed_topic_names": [topic],
                        "subscribed_topic_regex": "", "assignment": has, "target_assignment": has,
                        **({"member_type": 1} if version else {})}]})
                asked = self.described(group, version, include_authorized_operations=True)
                self.assertEqual(asked["authorized_operations"], OPERATIONS)

    def test_nothing_said(self):
        """What a member has not said is null, or empty."""
        topic, group = self.topic(), self.fresh("group")
        self.joined(group, topic)
        row, = self.described(group)["members"]
        self.assertEqual((row["instance_id"], row["rack_id"], row["subscribed_topic_regex"]), (None, None, ""))

    def test_expression(self):
        """An expression is shown as it was said, beside names in order."""
        one, two, group = self.topic(), self.topic(), self.fresh("group")
        m = self.member(group, two, one, regex="none.*")
        m.join()
        row, = self.described(group)["members"]
        self.assertEqual((sorted(row["subscribed_topic_names"]), row["subscribed_topic_regex"]),
                         (sorted([one, two]), "none.*"))

    def test_reconciling(self):
        """While members are on their way: what each has, and what it shall have."""
        topic = self.topic(partitions=4)
        a, b = self.reconciling(topic)
        state, epoch, target, members = self.shown(a.group)
        self.assertEqual((state, epoch, target), ("Reconciling", FIRST + 1, FIRST + 1))
        self.assertEqual((members[a.id][0], members[b.id][0]), (FIRST, FIRST + 1))
        self.assertEqual(members[a.id][1], a.owned)         # with what it gives up
        self.assertEqual((count(members[a.id][2]), count(members[b.id][1]), count(members[b.id][2])), (2, 0, 2))
        self.heartbeats(a, b)
        self.assertEqual(self.shown_state(a.group), "Stable")

    def test_left(self):
        """An Empty group keeps its epoch; a static member that is away is shown with epoch -2."""
        topic = self.topic(partitions=2)
        group = self.empty(topic)
        answer = self.described(group)
        self.assertEqual((answer["group_state"], answer["group_epoch"], answer["members"]), ("Empty", FIRST + 1, []))
        m, = self.joined(self.fresh("group"), topic, instance="i-1")
        m.leave(epoch=LEAVE_STATIC)
        self.assertEqual(self.shown(m.group)[3], {m.id: (LEAVE_STATIC, {topic: {0, 1}}, {topic: {0, 1}})})

    def test_not_found(self):
        """A group that does not exist, and one of the other kind: GROUP_ID_NOT_FOUND, with words that tell which."""
        classic, = self.stable(self.fresh("group"), self.topic())
        for version in (0, 1):
            for group, words in ((self.fresh("group"), "not found"), (classic.group, "not a consumer group")):
                with self.subTest(version=version, words=words):
                    answer = self.described(group, version)
                    self.assertError(answer["error_code"], ERR.GROUP_ID_NOT_FOUND)
                    self.assertIn(group, answer["error_message"])
                    self.assertIn(words, answer["error_message"])
                    self.assertEqual((answer["group_state"], answer["group_epoch"], answer["assignor_name"],
                                      answer["members"], answer["authorized_operations"]), ("", 0, "", [], NOT_ASKED))

    def test_several(self):
        """Several groups, each with its own answer; the empty name is INVALID_GROUP_ID; none at all."""
        topic = self.topic()
        one, two, unknown = self.empty(topic), self.empty(topic), self.fresh("group")
        rows = self.client().call("ConsumerGroupDescribe", 1, group_ids=[one, unknown, two, ""])["groups"]
        self.assertEqual({r["group_id"]: r["error_code"] for r in rows},
                         {one: 0, unknown: ERR.GROUP_ID_NOT_FOUND, two: 0, "": ERR.INVALID_GROUP_ID})
        self.assertEqual(self.client().call("ConsumerGroupDescribe", 1, group_ids=[])["groups"], [])

    def test_as_classic(self):
        """DescribeGroups, the other kind's request, does not find it: Dead without an error before version 6."""
        m, = self.joined(self.fresh("group"), self.topic())
        for group in (m.group, self.empty(self.topic())):
            for version in range(7):
                with self.subTest(version=version):
                    answer = self.describe(self.client(), group, version)
                    self.assertError(answer["error_code"], ERR.GROUP_ID_NOT_FOUND if version >= 6 else ERR.NONE)
                    self.assertEqual((answer["group_state"], answer["protocol_type"], answer["members"]),
                                     ("Dead", "", []))
                    if version >= 6:
                        self.assertIn("not a classic group", answer["error_message"])


class List(AdminCase):
    def test_versions_and_filters(self):
        """KIP-518, KIP-848: its protocol type is consumer, from version 4 on with its state, from 5 with its type; filters take names in any
        case."""
        topic = self.topic(partitions=4)
        stable, = self.joined(self.fresh("group"), topic)
        a, _ = self.reconciling(topic)
        empty = self.empty(topic)
        classic, = self.stable(self.fresh("group"), topic)
        groups = {stable.group: "Stable", a.group: "Reconciling", empty: "Empty"}
        client = self.client()
        for version in range(6):
            with self.subTest(version=version):
                rows = self.listed(client, version)
                for group, state in groups.items():
                    self.assertEqual(rows[group]["protocol_type"], "consumer")
                    self.assertEqual(rows[group].get("group_state"), state if version >= 4 else None)
                    self.assertEqual(rows[group].get("group_type"), "consumer" if version >= 5 else None)
        ours = {*groups, classic.group}

        def found(version=5, **filters):
            return set(self.listed(client, version, **filters)) & ours
        for version in (4, 5):
            self.assertEqual(found(version, states_filter=["reconciling"]), {a.group})
            self.assertEqual(found(version, states_filter=["Empty", "RECONCILING"]), {a.group, empty})
            self.assertEqual(found(version, states_filter=["Assigning", "Dead"]), set())
        self.assertEqual(found(types_filter=["consumer"]), set(groups))
        self.assertEqual(found(types_filter=["CONSUMER", "classic"]), ours)
        self.assertEqual(found(types_filter=["Classic"]), {classic.group})
        self.assertEqual(found(types_filter=["consumer"], states_filter=["Stable"]), {stable.group})


class Delete(AdminCase):
    def delete(self, *groups, version=2):
        rows = self.client().call("DeleteGroups", version, groups_names=list(groups))["results"]
        return {r["group_id"]: r["error_code"] for r in rows}

    def test_deletion(self):
        """A group with members is NON_EMPTY_GROUP, an Empty one goes with its offsets, and then is not found."""
        for version in range(3):
            with self.subTest(version=version):
                topic = self.topic()
                live, = self.joined(self.fresh("group"), topic)
                empty, = self.joined(self.fresh("group"), topic)
                for m in (live, empty):
                    self.assertEqual(self.commit(m.client, m.group, {topic: {0: 5}}, **m.committing()), {topic: {0: 0}})
                empty.leave()
                self.assertEqual(self.delete(live.group, empty.group, version=version),
                                 {live.group: ERR.NON_EMPTY_GROUP, empty.group: 0})
                self.assertEqual(self.committed(self.client(), empty.group), {})
                self.assertError(self.described(empty.group)["error_code"], ERR.GROUP_ID_NOT_FOUND)
                self.assertNotIn(empty.group, self.listed(self.client()))
                self.assertEqual(self.delete(empty.group, version=version), {empty.group: ERR.GROUP_ID_NOT_FOUND})
                self.assertEqual(self.shown_state(live.group), "Stable")

    def test_away(self):
        """A static member that is away is a member."""
        m, = self.joined(self.fresh("group"), self.topic(), instance="i")
        m.leave(epoch=LEAVE_STATIC)
        self.assertEqual(self.delete(m.group), {m.group: ERR.NON_EMPTY_GROUP})

    def test_new_one(self):
        """Who joins after that begins anew."""
        group, topic = self.empty(self.topic()), self.topic()
        self.assertEqual(self.delete(group), {group: 0})
        m = self.member(group, topic)
        m.join()
        self.assertEqual(m.epoch, FIRST)


class Classic(AdminCase):
    """Requests of classic members that are none of the group's."""

    def member_of(self, m, **options):
        """A classic member that says it is @m."""
        classic = Member(self, m.group, m.topics, **options)
        classic.id, classic.generation = m.id, m.epoch
        classic.joined = {"protocol_name": "range"}
        return classic

    def test_not_theirs(self):
        """SyncGroup and Heartbeat of a member that speaks the new protocol: UNKNOWN_MEMBER_ID, and nothing changes."""
        topic, group = self.topic(), self.fresh("group")
        m, = self.joined(group, topic)
        before = self.shown(group)
        classic = self.member_of(m)
        classic.sync(expected=ERR.UNKNOWN_MEMBER_ID)
        for version in range(5):
            self.assertError(classic.heartbeat(version=version), ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.shown(group), before)

    def test_nobody(self):
        """Of a member that nobody is, in a group with members and in an Empty one."""
        topic = self.topic()
        live, = self.joined(self.fresh("group"), topic)
        for group in (live.group, self.empty(topic)):
            stranger = Member(self, group, [topic])
            stranger.id, stranger.generation, stranger.joined = "nobody", 1, {"protocol_name": "range"}
            stranger.sync(expected=ERR.UNKNOWN_MEMBER_ID)
            self.assertError(stranger.heartbeat(), ERR.UNKNOWN_MEMBER_ID)
            for version in range(6):
                self.assertError(stranger.leave(version), ERR.UNKNOWN_MEMBER_ID)

    def test_leave(self):
        """LeaveGroup, by which administrators remove members, takes them by member id in every version."""
        topic = self.topic()
        for version in range(6):
            with self.subTest(version=version):
                m, = self.joined(self.fresh("group"), topic)
                self.assertError(self.member_of(m).leave(version), ERR.NONE)
                self.assertEqual(self.shown(m.group)[::3], ("Empty", {}))
                m.beat(ERR.UNKNOWN_MEMBER_ID)

    def test_remove_by_instance(self):
        """An administrator removes a static member by its instance id (KIP-345), not under another's member id."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        b, = self.joined(group, topic, instance="i-b")
        self.heartbeats(a, b)

        def remove(**who):
            answer = self.client().call("LeaveGroup", 5, group_id=group, members=[who])
            self.assertError(answer["error_code"], ERR.NONE)
            row, = answer["members"]
            return row["error_code"]
        self.assertError(remove(member_id="", group_instance_id="i-none"), ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(set(self.shown(group)[3]), {a.id, b.id})
        self.assertError(remove(member_id="", group_instance_id="i-a"), ERR.NONE)
        self.assertEqual(set(self.shown(group)[3]), {b.id})
        b.beat(topic_partitions=b.rows())
        self.assertEqual(b.told, {topic: {0, 1}})
        a.beat(ERR.UNKNOWN_MEMBER_ID)

    def test_empty_becomes_classic(self):
        """An Empty consumer group becomes a classic one, with its offsets, when a classic member joins."""
        topic = self.topic(partitions=2)
        m, = self.joined(self.fresh("group"), topic)
        self.commit(m.client, m.group, {topic: {1: 9}}, **m.committing())
        m.leave()
        self.stable(m.group, topic)
        self.assertEqual(self.listed(self.client())[m.group]["group_type"], "classic")
        self.assertError(self.described(m.group)["error_code"], ERR.GROUP_ID_NOT_FOUND)
        self.assertEqual(self.state(self.client(), m.group), "Stable")
        self.assertEqual(self.committed(self.client(), m.group, {topic: [1]})[topic][1].offset, 9)
        m.beat(ERR.GROUP_ID_NOT_FOUND)

    def test_other_protocol_type(self):
        """Members that are no consumers are not let in: INCONSISTENT_GROUP_PROTOCOL."""
        topic, group = self.topic(), self.fresh("group")
        m, = self.joined(group, topic)
        other = Member(self, group, protocol_type="connect", protocols=[("default", b"")])
        other.join(ERR.INCONSISTENT_GROUP_PROTOCOL)
        self.assertEqual(set(self.shown(group)[3]), {m.id})


class Policy(AdminCase):
    SETTINGS = [*AdminCase.SETTINGS, "groups.consumer_migration_policy=disabled"]

    def test_disabled(self):
        """Groups that have members do not change: neither kind lets a member of the other in. Empty ones do."""
        topic = self.topic()
        classic, = self.stable(self.fresh("group"), topic)
        m = self.member(classic.group, topic)
        self.assertTrue(m.join(ERR.GROUP_ID_NOT_FOUND)["error_message"])
        self.assertEqual(self.state(self.client(), classic.group), "Stable")
        classic.leave()
        m.join()
        other = Member(self, m.group, [topic])
        other.join(ERR.INCONSISTENT_GROUP_PROTOCOL)
        self.assertEqual(set(self.shown(m.group)[3]), {m.id})
        m.leave()
        self.stable(m.group, topic)


class Feature(AdminCase):
    """A node of its own: the level is the cluster's."""

    def levels(self):
        """(lowest, highest, finalised) of group.version."""
        answer = self.client().call("ApiVersions", 4, client_software_name="protocol-test", client_software_version="1.0")
        rows = [f for key in ("supported_features", "finalized_features") for f in answer[key] if f["name"] == "group.version"]
        return rows[0]["min_version"], rows[0]["max_version"], rows[1]["max_version_level"] if rows[1:] else 0

    def set_level(self, level):
        answer = self.client().call("UpdateFeatures", 1, timeout_ms=10000, feature_updates=[
            {"feature": "group.version", "max_version_level": level, "upgrade_type": 1 if level else 2}])
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        self.until(lambda _: self.levels()[2] == level, f"group.version is {level}")

    def test_group_version(self):
        """group.version is finalised at 1 from the start. At 0 nobody heartbeats: UNSUPPORTED_VERSION; at 1 again the members go on."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        self.assertEqual(self.levels(), (0, 1, 1))
        m, = self.joined(group, topic)
        self.set_level(0)
        new = self.member(self.fresh("group"), topic)
        for who, fields in ((m, {}), (new, new.whole())):
            who.send(**fields)
            self.assertError(who.client.receive()["error_code"], ERR.UNSUPPORTED_VERSION)
        self.set_level(1)
        self.assertEqual(m.beat(topic_partitions=m.rows())["assignment"], None)


if __name__ == "__main__":
    unittest.main()
