#!/usr/bin/env python3
"""Life in a classic group: SyncGroup, Heartbeat, LeaveGroup, static members, sessions that end.

Goal: kafka-semantics items 50, 52, 53 and 59 (each test names its item). Method: members on connections of their own;
the tests pass against Apache Kafka as well (apache.py).
"""

import time
import unittest

import apache
from groups import GroupCase, subscription
from kafka import ERR


class Sync(GroupCase):
    def joined(self, count=2, **options):
        """Members of a group in CompletingRebalance, the leader first."""
        group = self.fresh("group")
        members = [self.member(group, **options) for _ in range(count)]
        for m in members:
            if m.version >= 4:
                m.introduce()
        for m in members:
            m.send_join()
        for m in members:
            m.receive_join()
        return sorted(members, key=lambda m: not m.leads)

    def test_sync_before_the_leader(self):
        """Item 52: a sync before the leader's is parked, and answered with its own part when the leader's comes; each
        version in its form."""
        for version in range(6):
            with self.subTest(version=version):
                leader, follower = self.joined()
                follower.send_sync(version=version)
                self.assertTrue(follower.client.silent())
                leader.sync({leader.id: b"one", follower.id: b"two"}, version=version)
                answer = follower.receive_sync()
                self.assertEqual((leader.assignment, follower.assignment), (b"one", b"two"))
                self.assertEqual((answer.get("protocol_type"), answer.get("protocol_name")),
                                 ("consumer", "range") if version >= 5 else (None, None))
                self.assertEqual(follower.sync(version=version)["assignment"], b"two")      # and again

    def test_member_without_assignment(self):
        """Item 52: a member that the leader leaves out gets an empty byte array."""
        for version in range(6):
            with self.subTest(version=version):
                leader, follower = self.joined()
                leader.sync({leader.id: b"all", "nobody": b"x"}, version=version)
                follower.sync(version=version)
                self.assertEqual(follower.assignment, b"")

    def test_only_the_leaders_assignment_counts(self):
        """Item 52: assignments that a follower sends are not looked at."""
        leader, follower = self.joined()
        follower.send_sync({leader.id: b"wrong", follower.id: b"wrong"})
        leader.sync({follower.id: b"right"})
        self.assertEqual((leader.assignment, follower.receive_sync()["assignment"]), (b"", b"right"))

    def test_wrong_words(self):
        """Items 52 and 53: unknown group and member, another generation, and from version 5 another protocol."""
        leader, follower = self.joined()
        for version in range(6):
            with self.subTest(version=version):
                follower.sync(expected=ERR.UNKNOWN_MEMBER_ID, version=version, group_id=self.fresh("group"))
                follower.sync(expected=ERR.UNKNOWN_MEMBER_ID, version=version, member_id="stranger")
                for generation in (0, 2, -1):
                    answer = follower.sync(expected=ERR.ILLEGAL_GENERATION, version=version, generation_id=generation)
                    self.assertEqual(answer["assignment"], b"")
                    self.assertEqual(answer.get("protocol_name"), None)
        follower.sync(expected=ERR.INCONSISTENT_GROUP_PROTOCOL, protocol_type="connect")
        follower.sync(expected=ERR.INCONSISTENT_GROUP_PROTOCOL, protocol_name="roundrobin")
        for missing in ("protocol_type", "protocol_name"):
            follower.sync(expected=ERR.INCONSISTENT_GROUP_PROTOCOL, **{missing: None})
        self.settle_sync([leader, follower])

    def test_leader_goes_while_others_wait(self):
        """Item 52: members that wait for the assignment get REBALANCE_IN_PROGRESS when the leader leaves, and one of
        them leads the next generation."""
        leader, *followers = self.joined(3)
        for m in followers:
            m.send_sync()
        self.assertError(leader.leave(), ERR.NONE)
        for m in followers:
            self.assertEqual(m.receive_sync(ERR.REBALANCE_IN_PROGRESS)["assignment"], b"")
        self.assertEqual({m.generation for m in self.settle(followers)}, {2})

    def test_leader_dies_while_others_wait(self):
        """Item 52: the same when the leader is not heard of within its session, its connection closed or not."""
        for close in (True, False):
            with self.subTest(close=close):
                leader, follower = self.joined(session_ms=1500)
                follower.send_sync()
                started = time.monotonic()
                if close:
                    leader.client.close()
                follower.receive_sync(ERR.REBALANCE_IN_PROGRESS)
                self.assertGreaterEqual(time.monotonic() - started, 1.4)
                self.settle([follower])
                self.assertEqual(follower.generation, 2)

    def test_sync_while_preparing(self):
        """Item 52: REBALANCE_IN_PROGRESS for a sync of the generation that is being given up."""
        leader, follower = self.joined()
        newcomer = self.member(leader.group).introduce()
        newcomer.send_join()
        self.wait_state(leader.group, "PreparingRebalance")
        for version in range(6):
            follower.sync(expected=ERR.REBALANCE_IN_PROGRESS, version=version)
        leader.sync({}, expected=ERR.REBALANCE_IN_PROGRESS)
        for m in (leader, follower):
            m.send_join()
        for m in (leader, follower, newcomer):
            m.receive_join()
        self.settle_sync([leader, follower, newcomer])


class Heartbeat(GroupCase):
    def test_in_every_state(self):
        """Item 53: 0 when Stable and in CompletingRebalance; REBALANCE_IN_PROGRESS, as a known member, in
        PreparingRebalance."""
        leader, follower = self.stable(self.fresh("group"), count=2)
        follower.protocols = [("range", subscription("more"))]
        follower.send_join()
        self.wait_state(leader.group, "PreparingRebalance")
        for version in range(5):
            self.assertError(leader.heartbeat(version=version), ERR.REBALANCE_IN_PROGRESS)
            self.assertError(leader.heartbeat(version=version, generation_id=0), ERR.ILLEGAL_GENERATION)
        leader.join()
        follower.receive_join()
        for version in range(5):
            self.assertError(leader.heartbeat(version=version), ERR.NONE)
            self.assertError(follower.heartbeat(version=version), ERR.NONE)
        self.settle_sync([leader, follower])
        self.assertError(follower.heartbeat(), ERR.NONE)

    def test_wrong_words(self):
        """Item 53: unknown members 25, other generations 22, in every version; instance ids from version 3."""
        m, = self.stable(self.fresh("group"))
        for version in range(5):
            self.assertError(m.heartbeat(version=version, group_id=self.fresh("group")), ERR.UNKNOWN_MEMBER_ID)
            self.assertError(m.heartbeat(version=version, member_id="stranger"), ERR.UNKNOWN_MEMBER_ID)
            self.assertError(m.heartbeat(version=version, member_id=""), ERR.UNKNOWN_MEMBER_ID)
            for generation in (0, 2, -1):
                self.assertError(m.heartbeat(version=version, generation_id=generation), ERR.ILLEGAL_GENERATION)
        for version in (3, 4):
            self.assertError(m.heartbeat(version=version, group_instance_id="nobody"), ERR.UNKNOWN_MEMBER_ID)


class Leave(GroupCase):
    def test_leave_in_every_version(self):
        """Item 59: who leaves is unknown from then on, the others rebalance; the last one leaves an Empty group."""
        for version in range(6):
            with self.subTest(version=version):
                leader, follower = self.stable(self.fresh("group"), count=2)
                self.assertError(leader.leave(version), ERR.NONE)
                self.assertError(leader.heartbeat(), ERR.UNKNOWN_MEMBER_ID)
                self.assertError(leader.leave(version), ERR.UNKNOWN_MEMBER_ID)
                self.assertError(follower.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
                self.settle([follower])
                self.assertEqual(follower.generation, 2)
                self.assertError(follower.leave(version), ERR.NONE)
                self.assertEqual(self.state(self.client(), leader.group), "Empty")

    def test_leave_in_a_batch(self):
        """Item 59: from version 3 several members, each with its own answer in the order they were named."""
        for version in (3, 4, 5):
            with self.subTest(version=version):
                members = self.stable(self.fresh("group"), count=3)
                who = [(members[1].id, None), ("stranger", None), ("", "nobody"), (members[0].id, "nobody"),
                       (members[2].id, None), (members[2].id, None)]
                answer = members[0].client.call("LeaveGroup", version, group_id=members[0].group, members=[
                    {"member_id": m, "group_instance_id": i} for m, i in who])
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual([(m["member_id"], m["group_instance_id"]) for m in answer["members"]], who)
                self.assertEqual([ERR(m["error_code"]).name for m in answer["members"]], [
                    "NONE", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "NONE",
                    "UNKNOWN_MEMBER_ID"])
                self.settle(members[:1])

    def test_leave_of_an_unknown_group(self):
        """Item 59: of a group that does not exist every member is unknown, and that stands where it always does."""
        client = self.client()
        for version in range(6):
            with self.subTest(version=version):
                who = {"member_id": "m", "group_instance_id": "i"}
                fields = {"members": [who]} if version >= 3 else {"member_id": "m"}
                answer = client.call("LeaveGroup", version, group_id=self.fresh("group"), **fields)
                if version < 3:
                    self.assertError(answer["error_code"], ERR.UNKNOWN_MEMBER_ID)
                else:
                    self.assertError(answer["error_code"], ERR.NONE)
                    self.assertEqual(answer["members"], [{**who, "error_code": ERR.UNKNOWN_MEMBER_ID}])

    def test_leave_while_joining(self):
        """Items 52 and 59: one that leaves while it waits in a join is let go, and the rest no longer waits for
        it."""
        leader, follower = self.stable(self.fresh("group"), count=2)
        leader.send_join()
        self.wait_state(leader.group, "PreparingRebalance")
        answer = self.client().call("LeaveGroup", 5, group_id=leader.group, members=[
            {"member_id": leader.id, "group_instance_id": None}, {"member_id": follower.id, "group_instance_id": None}])
        self.assertEqual([m["error_code"] for m in answer["members"]], [0, 0])
        leader.receive_join(ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.state(self.client(), leader.group), "Empty")

    def test_absent_pending_member_is_waited_for(self):
        """Items 50 and 59: a round waits for a member that was given its id until it joins, leaves or its session
        ends."""
        m, = self.stable(self.fresh("group"))
        pending = self.member(m.group).introduce()
        m.send_join()
        self.assertTrue(m.client.silent())
        self.assertError(pending.leave(), ERR.NONE)
        m.receive_join()
        self.assertEqual(m.generation, 2)
        self.settle_sync([m])
        pending = self.member(m.group, session_ms=1500).introduce()
        started = time.monotonic()
        m.join()
        self.assertGreaterEqual(time.monotonic() - started, 1.4)
        pending.join(ERR.UNKNOWN_MEMBER_ID)


class Static(GroupCase):
    def test_joins_directly(self):
        """Item 50, KIP-345: a static member needs no second join, and is named after its instance id."""
        for version in range(5, 10):
            with self.subTest(version=version):
                m = self.member(self.fresh("group"), instance="instance-1", version=version)
                answer = m.join()
                self.assertRegex(answer["member_id"], "^instance-1-[0-9a-f-]{36}$")
                self.assertEqual(answer["members"][0]["group_instance_id"], "instance-1")

    def statics(self, version, **options):
        """The leader and the follower of a Stable group, both static."""
        group = self.fresh("group")
        return self.settle([self.member(group, instance=f"i{k}", version=version, **options) for k in range(2)])

    def test_follower_comes_back(self):
        """Item 50: a static follower that starts again gets a new id and its old assignment without a rebalance; the
        old id is fenced everywhere."""
        for version in range(5, 10):
            with self.subTest(version=version):
                leader, follower = self.statics(version)
                topic = self.topic()
                again = self.member(leader.group, instance=follower.instance, version=version)
                answer = again.join()
                self.assertNotEqual(again.id, follower.id)
                self.assertEqual((answer["generation_id"], answer["leader"], answer["members"]), (1, leader.id, []))
                self.assertEqual(answer["protocol_name"], "range")
                again.sync()
                self.assertEqual(again.assignment, follower.assignment)
                self.assertError(leader.heartbeat(), ERR.NONE)
                follower.join(ERR.FENCED_INSTANCE_ID)
                follower.sync(expected=ERR.FENCED_INSTANCE_ID, protocol_name="range")
                self.assertError(follower.heartbeat(), ERR.FENCED_INSTANCE_ID)
                self.assertError(follower.commit(topic, 1), ERR.FENCED_INSTANCE_ID)
                self.assertError(follower.leave(), ERR.FENCED_INSTANCE_ID)
                self.assertError(again.commit(topic, 1), ERR.NONE)
                rows = self.describe(self.client(), leader.group)["members"]
                self.assertEqual({r["group_instance_id"]: r["member_id"] for r in rows},
                                 {leader.instance: leader.id, again.instance: again.id})

    def test_leader_comes_back(self):
        """Item 50, KIP-814: the leader that starts again: from version 9 it leads, sees the members and is told to
        skip the assignment; before, it is told that its former self leads."""
        for version in range(5, 10):
            with self.subTest(version=version):
                leader, follower = self.statics(version)
                again = self.member(leader.group, instance=leader.instance, version=version)
                answer = again.join()
                self.assertEqual(answer["generation_id"], 1)
                if version >= 9:
                    self.assertEqual((answer["leader"], answer["skip_assignment"]), (again.id, True))
                    self.assertEqual({r["member_id"] for r in answer["members"]}, {again.id, follower.id})
                else:
                    self.assertEqual((answer["leader"], answer["members"]), (leader.id, []))
                again.sync()
                self.assertEqual(again.assignment, leader.assignment)
                self.assertError(follower.heartbeat(), ERR.NONE)

    def test_comes_back_changed(self):
        """Item 50: back with other topics but the same choice of protocol: still no rebalance; with a protocol that
        changes the choice: a rebalance."""
        leader, follower = self.statics(9)
        again = self.member(leader.group, "more", instance=follower.instance)
        self.assertEqual(again.join()["generation_id"], 1)
        self.assertError(leader.heartbeat(), ERR.NONE)
        group = self.fresh("group")
        both = [("a", b""), ("b", b"")]
        leader, follower = self.settle([self.member(group, instance=f"i{k}", protocols=both) for k in range(2)])
        self.assertEqual(leader.joined["protocol_name"], "a")
        again = self.member(group, instance=follower.instance, protocols=[("b", b"")])
        again.send_join()
        self.wait_state(group, "PreparingRebalance")
        self.assertError(leader.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
        leader.join()
        self.assertEqual((again.receive_join()["generation_id"], again.joined["protocol_name"]), (2, "b"))

    def test_comes_back_while_it_joins(self):
        """Item 50: a join that waits is fenced when its instance joins as somebody new."""
        leader, follower = self.statics(9)
        leader.send_join()                  # a leader's join makes the group rebalance
        self.wait_state(leader.group, "PreparingRebalance")
        again = self.member(leader.group, instance=leader.instance)
        again.send_join()
        leader.receive_join(ERR.FENCED_INSTANCE_ID)
        follower.join()
        again.receive_join()
        self.assertEqual({again.generation, follower.generation}, {2})
        self.settle_sync([again, follower])

    def test_comes_back_while_it_syncs(self):
        """Items 50 and 52: a sync that waits is fenced when its instance joins as somebody new, and the group starts
        another round."""
        group = self.fresh("group")
        members = [self.member(group, instance=f"i{k}") for k in range(2)]
        for m in members:
            m.send_join()
        for m in members:
            m.receive_join()
        leader, follower = sorted(members, key=lambda m: not m.leads)
        follower.send_sync()
        self.assertTrue(follower.client.silent(0.1))
        again = self.member(group, instance=follower.instance)
        again.send_join()
        follower.receive_sync(ERR.FENCED_INSTANCE_ID)
        leader.sync({}, expected=ERR.REBALANCE_IN_PROGRESS)
        leader.join()
        again.receive_join()
        self.assertEqual({again.generation, leader.generation}, {2})

    def test_wrong_instance(self):
        """Item 50: an instance id that the group does not have is an unknown member, with whatever member id; one
        that somebody else has fences."""
        leader, follower = self.statics(9)
        for m, instance, expected in ((leader, "nobody", ERR.UNKNOWN_MEMBER_ID),
                                      (leader, follower.instance, ERR.FENCED_INSTANCE_ID)):
            self.assertError(m.heartbeat(group_instance_id=instance), expected)
            m.sync(expected=expected, group_instance_id=instance, protocol_name="range")
            m.join(expected, group_instance_id=instance)
        self.assertError(leader.heartbeat(group_instance_id=None), ERR.NONE)
        if not apache.jars():               # where Kafka says UNKNOWN_SERVER_ERROR
            dynamic = self.member(leader.group).introduce()
            dynamic.join(ERR.UNKNOWN_MEMBER_ID, group_instance_id="somebody")

    def test_closing_does_not_rebalance(self):
        """Item 59: a static member that closes its connection stays in the group until its session ends, and then the
        group rebalances."""
        leader, follower = self.statics(9, session_ms=3000)
        follower.client.close()
        started = time.monotonic()
        while time.monotonic() < started + 2:
            self.assertError(leader.heartbeat(), ERR.NONE)
            time.sleep(0.3)
        self.assertEqual(len(self.describe(self.client(), leader.group)["members"]), 2)
        self.until(lambda client: leader.heartbeat() == ERR.REBALANCE_IN_PROGRESS, "the session ends", 5)
        self.settle([leader])
        self.assertEqual(len(leader.joined["members"]), 1)

    def test_removal_by_the_administrator(self):
        """Item 59, KIP-345: a static member is removed by its instance id alone, also by member id; then the group
        rebalances."""
        for by_id in (False, True):
            with self.subTest(by_id=by_id):
                leader, follower = self.statics(9)
                answer = self.client().call("LeaveGroup", 5, group_id=leader.group, members=[
                    {"member_id": follower.id if by_id else "", "group_instance_id": follower.instance,
                     "reason": "test"}])
                self.assertEqual([(m["group_instance_id"], m["error_code"]) for m in answer["members"]],
                                 [(follower.instance, 0)])
                self.assertError(leader.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
                self.assertError(follower.heartbeat(), ERR.UNKNOWN_MEMBER_ID)
                self.settle([leader])

    def test_absent_static_member_keeps_its_place(self):
        """Item 59: a round that a static member misses ends at the rebalance time-out without throwing it out."""
        leader, follower = self.statics(9, rebalance_ms=1500)
        started = time.monotonic()
        leader.join()
        self.assertGreaterEqual(time.monotonic() - started, 1.4)
        self.assertEqual({r["group_instance_id"] for r in leader.joined["members"]}, {"i0", "i1"})
        leader.sync({follower.id: b"kept"})
        follower.generation = leader.generation
        follower.joined["protocol_name"] = "range"
        follower.sync()
        self.assertEqual(follower.assignment, b"kept")


class Sessions(GroupCase):
    def test_session_ends(self):
        """Item 53: a member that is not heard of within its session is removed, the others rebalance; the last one
        leaves an Empty group."""
        group = self.fresh("group")
        quiet, alive = self.member(group, session_ms=1000), self.member(group, session_ms=6000)
        self.settle([quiet, alive])
        started = time.monotonic()
        self.until(lambda client: alive.heartbeat() == ERR.REBALANCE_IN_PROGRESS, "the session ends", 5)
        self.assertGreaterEqual(time.monotonic() - started, 0.9)
        self.assertError(quiet.heartbeat(), ERR.UNKNOWN_MEMBER_ID)
        alive.session_ms = 500
        self.settle([alive])
        self.wait_state(group, "Empty")
        self.assertEqual(self.describe(self.client(), group)["members"], [])

    def test_signs_of_life(self):
        """Item 53: heartbeats and commits each keep a session going."""
        topic = self.topic()
        m, = self.stable(self.fresh("group"), topic, session_ms=800)
        for sign in (m.heartbeat, lambda: m.commit(topic, 1)):
            started = time.monotonic()
            while time.monotonic() < started + 2:
                self.assertError(sign(), ERR.NONE)
                time.sleep(0.2)

    def test_waiting_members_live(self):
        """Items 52 and 53: a member whose join or sync waits is not removed for want of heartbeats."""
        group = self.fresh("group")
        first, second = [self.member(group, session_ms=800, rebalance_ms=20000) for _ in range(2)]
        leader, follower = self.settle([first, second])
        follower.protocols = [("range", subscription("more"))]
        follower.send_join()
        self.wait_state(group, "PreparingRebalance")
        started = time.monotonic()
        while time.monotonic() < started + 2:
            self.assertError(leader.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
            time.sleep(0.2)
        leader.join()
        follower.receive_join()
        self.assertEqual(len(leader.joined["members"]), 2)
        follower.send_sync()
        started = time.monotonic()
        while time.monotonic() < started + 2:
            self.assertError(leader.heartbeat(), ERR.NONE)
            time.sleep(0.2)
        leader.sync({follower.id: b"late"})
        self.assertEqual(follower.receive_sync()["assignment"], b"late")

    def test_rebalance_timeout(self):
        """Item 51: a dynamic member that does not come back within the rebalance time-out is removed, although it
        sends heartbeats."""
        leader, follower = self.stable(self.fresh("group"), count=2, rebalance_ms=1000)
        started = time.monotonic()
        leader.send_join()
        while time.monotonic() < started + 0.7:
            self.assertError(follower.heartbeat(), ERR.REBALANCE_IN_PROGRESS)
            time.sleep(0.1)
        leader.receive_join()
        self.assertGreaterEqual(time.monotonic() - started, 0.95)
        self.assertEqual(len(leader.joined["members"]), 1)
        self.assertError(follower.heartbeat(), ERR.UNKNOWN_MEMBER_ID)

    def test_longest_rebalance_timeout_counts(self):
        """Item 51: the group waits as long as the member with the longest rebalance time-out allows."""
        group = self.fresh("group")
        short, long = self.member(group, rebalance_ms=300), self.member(group, rebalance_ms=2000)
        leader, follower = self.settle([short, long])
        started = time.monotonic()
        leader.join()
        self.assertGreaterEqual(time.monotonic() - started, 1.9)

    def test_member_that_never_syncs(self):
        """Item 52, KAFKA-13419: who does not ask for its assignment within the rebalance time-out is removed,
        although it sends heartbeats, and the others rebalance."""
        group = self.fresh("group")
        members = [self.member(group, rebalance_ms=1500).introduce() for _ in range(2)]
        for m in members:
            m.send_join()
        for m in members:
            m.receive_join()
        leader, follower = sorted(members, key=lambda m: not m.leads)
        leader.sync({})
        self.until(lambda client: (follower.heartbeat(), leader.heartbeat())[1] == ERR.REBALANCE_IN_PROGRESS,
                   "the group rebalances", 5)
        self.assertError(follower.heartbeat(), ERR.UNKNOWN_MEMBER_ID)
        self.settle([leader])
        self.assertEqual(len(leader.joined["members"]), 1)


if __name__ == "__main__":
    unittest.main()
