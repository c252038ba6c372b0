#!/usr/bin/env python3
"""How members come into a classic group: JoinGroup of every version.

Goal: kafka-semantics items 50 and 51 (each test names its item). Method: members on connections of their own, and the
same requests as a Kafka client sends them; the tests pass against Apache Kafka as well (apache.py).
"""

import time
import unittest

import apache
from groups import GroupCase, partition_of, subscription
from kafka import CLIENT_ID, ERR

VERSIONS = range(10)


class Join(GroupCase):
    def test_member_id_is_required_from_version_4(self):
        """Item 50, KIP-394: a dynamic member without an id gets one with MEMBER_ID_REQUIRED from version 4 on, and
        joins with it; before it joins at once."""
        for version in VERSIONS:
            with self.subTest(version=version):
                m = self.member(self.fresh("group"), version=version)
                answer = m.join(ERR.MEMBER_ID_REQUIRED if version >= 4 else ERR.NONE)
                self.assertRegex(answer["member_id"],
                                 f"^{CLIENT_ID}-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$")
                if version >= 4:
                    self.assertEqual((answer["generation_id"], answer["leader"], answer["members"]), (-1, "", []))
                    self.assertEqual(answer["protocol_name"], None if version >= 7 else "")
                    first = m.id = answer["member_id"]
                    answer = m.join()
                    self.assertEqual(answer["member_id"], first)
                self.assertEqual((answer["generation_id"], answer["protocol_name"]), (1, "range"))
                self.assertEqual(answer["leader"], answer["member_id"])
                self.assertEqual(answer.get("protocol_type"), "consumer" if version >= 7 else None)
                self.assertEqual(answer.get("skip_assignment", False), False)
                row, = answer["members"]
                self.assertEqual((row["member_id"], row["metadata"]), (m.id, subscription()))
                self.assertEqual(row.get("group_instance_id"), None)

    def test_pending_member_is_not_joined(self):
        """Item 50: an id alone is no membership: no heartbeat, commit or sync, and no row in a description. Leaving
        with it is possible, and the id is void afterwards."""
        client, topic = self.client(), self.topic()
        m = self.member(self.fresh("group")).introduce()
        m.joined["protocol_name"] = "range"
        self.assertError(m.heartbeat(generation_id=0), ERR.UNKNOWN_MEMBER_ID)
        m.sync(expected=ERR.UNKNOWN_MEMBER_ID, generation_id=0)
        self.assertError(m.commit(topic, 1, generation_id_or_member_epoch=0), ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.describe(client, m.group)["members"], [])
        self.assertError(m.leave(), ERR.NONE)
        m.join(ERR.UNKNOWN_MEMBER_ID)

    def test_unknown_member(self):
        """Item 50: an id that the group does not know is UNKNOWN_MEMBER_ID, and is handed back; so is one of a group
        that does not exist, which it does not create."""
        m = self.stable(self.fresh("group"))[0]
        stranger = self.member(m.group)
        for group in (m.group, self.fresh("group")):
            answer = stranger.join(ERR.UNKNOWN_MEMBER_ID, group_id=group, member_id="stranger-1")
            self.assertEqual((answer["member_id"], answer["generation_id"]), ("stranger-1", -1))
        self.assertNotIn(group, self.listed(self.client()))
        self.assertError(m.heartbeat(), ERR.NONE)

    def test_empty_group_id(self):
        """Items 50 and 51: a group without a name has no members."""
        for version in VERSIONS:
            m = self.member("", version=version)
            self.assertEqual(m.join(ERR.INVALID_GROUP_ID)["generation_id"], -1)
        m.joined["protocol_name"] = "range"
        m.sync(expected=ERR.INVALID_GROUP_ID)
        self.assertError(m.heartbeat(), ERR.INVALID_GROUP_ID)
        self.assertError(m.leave(), ERR.INVALID_GROUP_ID)

    def test_leader_sees_all(self):
        """Items 50 and 51: the leader alone gets the members, with their metadata of the chosen protocol and their
        instance ids; each version in its form."""
        for version in VERSIONS:
            with self.subTest(version=version):
                group = self.fresh("group")
                members = [self.member(group, version=version, protocols=[
                    ("other", b""), ("range", subscription(f"topic-{i}"))]) for i in range(3)]
                members[2].protocols = members[2].protocols[1:]
                if version >= 5:
                    members[1].instance = "static-1"
                members = self.settle(members)
                rows = {r["member_id"]: r for r in members[0].joined["members"]}
                self.assertEqual({k: r["metadata"] for k, r in rows.items()},
                                 {m.id: m.protocols[-1][1] for m in members})
                self.assertEqual({k: r.get("group_instance_id") for k, r in rows.items()},
                                 {m.id: m.instance for m in members})
                for m in members[1:]:
                    self.assertEqual(m.joined["members"], [])
                    self.assertEqual(m.joined["leader"], members[0].id)

    def test_protocol_is_voted(self):
        """Item 51: of the protocols that all members have, the one that most of them name first."""
        group = self.fresh("group")
        names = (["a", "b", "c"], ["d", "b", "a"], ["b", "a"])
        members = [self.member(group, protocols=[(n, n.encode()) for n in wish]) for wish in names]
        members = self.settle(members)
        self.assertEqual({m.joined["protocol_name"] for m in members}, {"b"})
        self.assertEqual({r["metadata"] for r in members[0].joined["members"]}, {b"b"})

    def test_inconsistent_protocol(self):
        """Item 51: another protocol type, no protocol in common, and none at all are INCONSISTENT_GROUP_PROTOCOL; the
        members of the group do not notice."""
        m, = self.stable(self.fresh("group"))
        for version in VERSIONS:
            for wrong in ({"protocol_type": "connect"}, {"protocols": [("roundrobin", b"")]}):
                with self.subTest(version=version, wrong=wrong):
                    answer = self.member(m.group, version=version, **wrong).join(ERR.INCONSISTENT_GROUP_PROTOCOL)
                    self.assertEqual(answer["generation_id"], -1)
        empty = self.member(self.fresh("group"))
        empty.join(ERR.INCONSISTENT_GROUP_PROTOCOL, protocols=[])
        empty.join(ERR.INCONSISTENT_GROUP_PROTOCOL, protocol_type="")
        if not apache.jars():               # Kafka remembers the group, until it looks for expired ones
            self.assertNotIn(empty.group, self.listed(self.client()))
        self.assertError(m.heartbeat(), ERR.NONE)

    def test_protocol_type_of_an_emptied_group(self):
        """Item 51: who comes first into an emptied group decides its protocol type anew."""
        m, = self.stable(self.fresh("group"))
        self.assertError(m.leave(), ERR.NONE)
        self.wait_state(m.group, "Empty")
        other, = self.stable(m.group, protocol_type="connect", protocols=[("default", b"")])
        self.assertEqual(other.joined["generation_id"], m.generation + 2)
        self.assertEqual(self.describe(self.client(), m.group)["protocol_type"], "connect")

    def test_join_again_when_stable(self):
        """Item 50: a follower that joins again as it is gets its generation back; a leader, or a member with other
        metadata, makes the group rebalance."""
        leader, follower = self.stable(self.fresh("group"), count=2)
        answer = follower.join()
        self.assertEqual((answer["generation_id"], answer["leader"], answer["members"]), (1, leader.id, []))
        self.assertError(leader.heartbeat(), ERR.NONE)
        for changed in (follower, leader):
            with self.subTest(leads=changed.leads):
                if changed is follower:
                    changed.protocols = [("range", subscription("more"))]
                changed.send_join()
                self.wait_state(leader.group, "PreparingRebalance")
                other = leader if changed is follower else follower
                self.assertError(other.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
                other.join()
                changed.receive_join()
                self.settle_sync([leader, follower])
        self.assertEqual(leader.generation, 3)

    def test_join_again_before_the_sync(self):
        """Item 50: who joins again in CompletingRebalance as it is did not get the answer and gets it again, the
        leader with all members; who has changed starts another round."""
        leader, follower = members = [self.member(self.fresh("group"), version=v) for v in (3, 3)]
        follower.group = leader.group
        for m in members:
            m.send_join()
        for m in members:
            m.receive_join()
        leader, follower = sorted(members, key=lambda m: not m.leads)
        again = leader.join()
        self.assertEqual((again["generation_id"], len(again["members"])), (1, 2))
        again = follower.join()
        self.assertEqual((again["generation_id"], again["members"], again["leader"]), (1, [], leader.id))
        follower.protocols = [("range", subscription("more"))]
        follower.send_join()
        self.wait_state(leader.group, "PreparingRebalance")
        leader.join()
        follower.receive_join()
        self.assertEqual((leader.generation, follower.generation), (2, 2))
        self.settle_sync(members)

    def test_generation_counts_up(self):
        """Item 50: each round has the next generation, an emptied group too."""
        m, = self.stable(self.fresh("group"))
        for generation in (2, 3):
            self.settle([m])
            self.assertEqual(m.generation, generation)
        self.assertError(m.leave(), ERR.NONE)
        m.id = ""
        self.settle([m])
        self.assertEqual(m.generation, 5)


class SessionBounds(GroupCase):
    SETTINGS = [*GroupCase.SETTINGS, "groups.max_session_timeout_ms=1000"]

    def test_session_timeout_bounds(self):
        """Item 51: INVALID_SESSION_TIMEOUT below and above the node's bounds, which themselves are allowed; a group
        is not created."""
        for version in VERSIONS:
            for session_ms in (-1, 0, 499, 1001, 0x7FFFFFFF):
                with self.subTest(version=version, session_ms=session_ms):
                    m = self.member(self.fresh("group"), version=version, session_ms=session_ms)
                    answer = m.join(ERR.INVALID_SESSION_TIMEOUT)
                    self.assertEqual((answer["member_id"], answer["generation_id"]), ("", -1))
        for session_ms in (500, 1000):
            self.stable(self.fresh("group"), session_ms=session_ms)
        self.assertNotIn(m.group, self.listed(self.client()))


class Defaults(GroupCase):
    SETTINGS = []

    def test_defaults(self):
        """Item 51: unless it is told otherwise a node allows sessions of six seconds to thirty minutes, and an empty
        group waits three seconds."""
        m = self.member(self.fresh("group")).introduce()
        for session_ms in (5999, 30 * 60000 + 1):
            m.join(ERR.INVALID_SESSION_TIMEOUT, session_timeout_ms=session_ms)
        started = time.monotonic()
        m.join(session_timeout_ms=6000)
        self.assertGreaterEqual(time.monotonic() - started, 2.9)


class MaxSize(GroupCase):
    SETTINGS = [*GroupCase.SETTINGS, "groups.max_size=2"]

    def test_group_is_full(self):
        """Item 51: GROUP_MAX_SIZE_REACHED for one too many, in every version, static too; members that are in keep
        their places and may join again; a place that is left is free."""
        members = self.stable(self.fresh("group"), count=2)
        for version in VERSIONS:
            for instance in (None, "static") if version >= 5 else (None,):
                with self.subTest(version=version, instance=instance):
                    m = self.member(members[0].group, version=version, instance=instance)
                    answer = m.join(ERR.GROUP_MAX_SIZE_REACHED)
                    self.assertEqual((answer["member_id"], answer["generation_id"]), ("", -1))
        leader, follower = self.settle(members)
        self.assertError(follower.leave(), ERR.NONE)
        newcomer = self.member(leader.group).introduce()
        newcomer.send_join()
        leader.join()
        newcomer.receive_join()
        self.settle_sync([leader, newcomer])

    def test_places_while_joining(self):
        """Item 51: while members join, places are for those who have joined: one who comes too late, with an id or
        not, is refused."""
        group = self.fresh("group")
        late = self.member(group).introduce()
        members = [self.member(group).introduce() for _ in range(2)]
        for m in members:
            m.send_join()
        self.until(lambda client: len(self.describe(client, group)["members"]) == 2, "two members have joined")
        late.join(ERR.GROUP_MAX_SIZE_REACHED)
        self.member(group).join(ERR.GROUP_MAX_SIZE_REACHED)
        for m in members:
            m.receive_join()
        self.settle_sync(members)


class InitialDelay(GroupCase):
    SETTINGS = ["groups.initial_rebalance_delay_ms=700", "groups.min_session_timeout_ms=500"]

    def timed(self, m):
        """Join, and how many seconds it took."""
        started = time.monotonic()
        m.join()
        return time.monotonic() - started

    def test_delay_only_when_empty(self):
        """Item 51: the first member of an empty group waits; a rebalance of a group that has members does not; the
        group emptied, it waits again."""
        m = self.member(self.fresh("group")).introduce()
        self.assertGreaterEqual(self.timed(m), 0.69)
        m.sync({})
        self.assertLess(self.timed(m), 0.5)
        self.assertError(m.leave(), ERR.NONE)
        m.id = ""
        m.introduce()
        self.assertGreaterEqual(self.timed(m), 0.69)

    def test_delay_grows_with_new_members(self):
        """Item 51: a member that comes while the first waits makes it wait one delay more, and both are in the first
        generation."""
        group, started = self.fresh("group"), time.monotonic()
        first, second = [self.member(group).introduce() for _ in range(2)]
        first.send_join()
        time.sleep(0.35)
        second.send_join()
        first.receive_join()
        took = time.monotonic() - started
        second.receive_join()
        self.assertGreaterEqual(took, 1.39)
        self.assertEqual((first.generation, second.generation), (1, 1))
        self.settle_sync([first, second])

    def test_delay_ends_with_the_rebalance_timeout(self):
        """Item 51: however many come, nobody waits longer than the rebalance time-out."""
        group, started = self.fresh("group"), time.monotonic()
        members = [self.member(group, rebalance_ms=1000).introduce() for _ in range(2)]
        members[0].send_join()
        time.sleep(0.2)
        members[1].send_join()
        for m in members:
            m.receive_join()
        took = time.monotonic() - started
        self.assertGreaterEqual(took, 0.99)
        self.assertLess(took, 1.35)

    def test_version_0_waits_for_its_session_timeout(self):
        """Items 1 and 51: version 0 has no rebalance time-out and uses the session's."""
        m = self.member(self.fresh("group"), version=0, session_ms=2000)
        m.join()
        m.sync({}, version=0)
        self.assertEqual(self.state(self.client(), m.group), "Stable")
        newcomer = self.member(m.group, version=0, session_ms=2000)
        started = time.monotonic()
        newcomer.send_join()
        self.wait_state(m.group, "PreparingRebalance")
        while time.monotonic() < started + 1.7:                 # it lives, and does not come back
            self.assertError(m.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
            time.sleep(0.2)
        newcomer.receive_join()
        self.assertGreaterEqual(time.monotonic() - started, 1.9)
        self.assertEqual(len(newcomer.joined["members"]), 1)


class Placement(GroupCase):
    def test_any_name(self):
        """Item 58: names of groups are texts of any kind; each lives in the partition of Java's hash of its
        UTF-16."""
        for group in ("ünïcödé", "groß", "\U0001f600", "a b\tc", "x" * 249, "polygenelubricants"):
            with self.subTest(group=group, partition=partition_of(group)):
                m, = self.stable(group)
                self.assertEqual(self.state(self.client(), group), "Stable")


if __name__ == "__main__":
    unittest.main()
