#!/usr/bin/env python3
"""Consumer groups of the new protocol: ConsumerGroupHeartbeat of both versions (KIP-848, KIP-1082).

Goal: epochs, errors and which answers carry an assignment are Kafka's; no partition ever has two members. Method: members that say what they
have, step by step; the tests pass against Apache Kafka as well (apache.py).
"""

import unittest

import apache
from consumer_groups import FIRST, LEAVE, LEAVE_STATIC, NO_ID, ConsumerGroupCase, count
from groups import PARTITIONS
from kafka import ERR


class Join(ConsumerGroupCase):
    def test_first(self):
        """The first member gets its epoch and all partitions with the answer to its first heartbeat, and from then on answers without an
        assignment while nothing changes."""
        for version in (0, 1):
            with self.subTest(version=version):
                topic = self.topic(partitions=3)
                m = self.member(self.fresh("group"), topic, version=version)
                answer = m.join()
                self.assertEqual((answer["member_id"], answer["member_epoch"], answer["heartbeat_interval_ms"],
                                  answer["error_message"]), (m.id, FIRST, 5000, None))
                self.assertEqual(m.told, {topic: {0, 1, 2}})
                m.take()
                for _ in range(2):
                    answer = m.beat(topic_partitions=m.rows())
                    self.assertEqual((answer["member_epoch"], answer["assignment"]), (FIRST, None))
                self.assertEqual(m.beat()["assignment"], None)

    def test_member_id(self):
        """KIP-1082: version 0 is given a member id, and may bring its own; version 1 must bring it."""
        topic = self.topic()
        m = self.member(self.fresh("group"), topic, version=0, member_id="")
        m.join()
        self.assertGreater(len(m.id), 0)
        self.assertEqual(m.beat()["member_epoch"], FIRST)
        own = self.member(self.fresh("group"), topic, version=0, member_id="mine")
        self.assertEqual(own.join()["member_id"], "mine")
        self.member(self.fresh("group"), topic, member_id="").join(ERR.INVALID_REQUEST)

    def test_said_whole(self):
        """An answer to a heartbeat that says everything carries the assignment, changed or not: so a client that lost an answer gets it."""
        topic = self.topic(partitions=2)
        m, = self.joined(self.fresh("group"), topic)
        self.assertEqual(m.beat()["assignment"], None)
        m.told = None
        m.beat_whole()
        self.assertEqual(m.told, {topic: {0, 1}})

    def test_patience(self):
        """Heartbeats that say nothing, of many members and between other requests of their connections: each is answered, with its own
        answer. The node says how many it answered where they came in."""
        topic, group, rounds = self.topic(partitions=4), self.fresh("group"), 30
        members = [self.joined(self.fresh("group"), topic)[0] for _ in range(8)]
        before = None if apache.jars() else self.node.metric("chronik_patient_requests_total")
        for i in range(rounds):
            for m in members:
                m.send()
            for m in members:
                answer = m.receive()
                self.assertEqual((answer["member_id"], answer["member_epoch"], answer["assignment"]), (m.id, FIRST, None))
            if i % 10 == 9:
                for m in members:
                    self.assertEqual(m.client.call("Heartbeat", 4, group_id=group, generation_id=1, member_id="m",
                                                   group_instance_id=None)["error_code"], ERR.UNKNOWN_MEMBER_ID)
        if before is not None:
            answered = self.node.metric("chronik_patient_requests_total") - before
            self.assertLessEqual(answered, rounds * len(members))
            self.assertGreater(answered, rounds * len(members) / 2)     # one may meet an event of its coordinator

    def test_nothing_to_have(self):
        """A topic that does not exist, or no topic at all: an empty assignment, which is not none."""
        for topics in (["no-such-topic"], []):
            with self.subTest(topics=topics):
                m = self.member(self.fresh("group"), *topics)
                m.join()
                self.assertEqual(m.told, {})
                self.assertGreater(m.epoch, 0)              # of who wants nothing Kafka says 1
                self.assertEqual(m.beat(topic_partitions=[])["assignment"], None)

    def test_two_members(self):
        """The second member waits for what the first gives up; the first keeps the rest, is told so once, and what it gave up goes over
        when it has said so."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        self.assertEqual((b.epoch, b.told), (FIRST + 1, {}))
        b.take()
        self.assertEqual(b.beat(topic_partitions=[])["assignment"], None)

        a.beat(topic_partitions=a.rows())                   # told to give up: its epoch stays
        self.assertEqual((a.epoch, count(a.told)), (FIRST, 2))
        answer = a.beat(topic_partitions=a.rows())          # has not yet
        self.assertEqual((answer["member_epoch"], answer["assignment"]), (FIRST, None))
        b.beat(topic_partitions=[])
        self.assertEqual((b.epoch, count(b.told)), (FIRST + 1, 0))

        self.assertTrue(a.give_up())
        answer = a.beat(topic_partitions=a.rows())
        self.assertEqual((a.epoch, count(a.told)), (FIRST + 1, 2))
        b.beat(topic_partitions=[])
        self.assertEqual((b.epoch, count(b.told)), (FIRST + 1, 2))
        b.take()
        self.assertShared([a, b], {topic: 4})
        for m in (a, b):
            self.assertEqual(m.beat(topic_partitions=m.rows())["assignment"], None)

    def test_three_members(self):
        """Two members of three partitions each, and a third: each gives up one, and keeps two throughout."""
        topic, group = self.topic(partitions=6), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        self.assertEqual((count(a.owned), count(b.owned)), (3, 3))
        before = [set(m.owned[topic]) for m in (a, b)]
        c = self.member(group, topic)
        c.join()
        c.take()
        for m, had in zip((a, b), before):
            m.beat(topic_partitions=m.rows())
            self.assertEqual(count(m.told), 2)
            self.assertLess(m.told[topic], had)
            c.beat(topic_partitions=c.rows())
            c.take()
            m.give_up()
            m.beat(topic_partitions=m.rows())
        self.heartbeats(a, b, c)
        self.assertShared([a, b, c], {topic: 6})
        self.assertEqual([count(m.owned) for m in (a, b, c)], [2, 2, 2])
        self.assertEqual(self.shown_state(group), "Stable")

    def test_members_without_partitions(self):
        """More members than partitions: the others have none, at the same epoch."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        members = self.joined(group, topic, count=4)
        self.assertEqual(sorted(count(m.owned) for m in members), [0, 0, 1, 1])
        self.assertShared(members, {topic: 2})

    def test_different_topics(self):
        """Members of one group may be subscribed to different topics; nobody gets one that it did not ask for."""
        one, two, group = self.topic(partitions=2), self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, one)
        b = self.member(group, two)
        b.join()
        self.assertEqual(b.told, {two: {0, 1}})
        b.take()
        self.heartbeats(a, b)
        self.assertEqual((a.owned, b.owned), ({one: {0, 1}}, {two: {0, 1}}))

    def test_new_subscription(self):
        """A member that asks for other topics gets them when it has given the old ones up."""
        one, two, group = self.topic(partitions=2), self.topic(partitions=3), self.fresh("group")
        m, = self.joined(group, one)
        m.topics = [two]
        m.beat(subscribed_topic_names=[two])
        self.assertEqual((m.epoch, m.told), (FIRST, {}))
        m.give_up()
        m.beat(topic_partitions=[])
        self.assertEqual((m.epoch, m.told), (FIRST + 1, {two: {0, 1, 2}}))
        m.beat(subscribed_topic_names=[two])                # nothing new
        self.assertEqual(m.epoch, FIRST + 1)
        m.take()
        m.beat(subscribed_topic_names=[])
        self.assertEqual((m.epoch, m.told), (FIRST + 1, {}))

    def test_twice_named(self):
        """A topic that is named twice counts once."""
        topic = self.topic(partitions=2)
        m = self.member(self.fresh("group"), topic, topic)
        m.join()
        self.assertEqual(m.told, {topic: {0, 1}})
        self.assertEqual(self.described(m.group)["members"][0]["subscribed_topic_names"], [topic])

    def test_join_again(self):
        """A member that is in the group and says epoch 0 again, having lost the answer: the same epoch, its assignment again."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        self.assertEqual(m.join()["member_epoch"], FIRST)
        self.assertEqual(m.told, {topic: {0, 1}})
        self.assertEqual(self.shown(group)[:3], ("Stable", FIRST, FIRST))

    def test_classic_group_of_nobody(self):
        """A classic group that has become empty becomes a consumer group with its offsets when a member of the new kind joins."""
        topic = self.topic(partitions=2)
        classic, = self.stable(self.fresh("group"), topic)
        self.assertError(classic.commit(topic, 7), ERR.NONE)
        self.assertError(classic.leave(), ERR.NONE)
        m = self.member(classic.group, topic)
        m.join()
        self.assertEqual(m.told, {topic: {0, 1}})
        self.assertEqual(self.committed(m.client, m.group, {topic: [0]})[topic][0].offset, 7)
        self.assertEqual(self.listed(m.client)[m.group]["group_type"], "consumer")


class Epochs(ConsumerGroupCase):
    def test_wrong_epochs(self):
        """An epoch that is not the member's is FENCED_MEMBER_EPOCH, newer or older; nothing changes by it."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        before = self.shown(group)
        self.assertEqual(a.epoch, FIRST + 1)
        for epoch in (a.epoch + 1, a.epoch + 1000, 2**31 - 1):
            with self.subTest(epoch=epoch):
                answer = a.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=epoch, topic_partitions=a.rows())
                self.assertEqual((answer["member_epoch"], answer["heartbeat_interval_ms"]), (0, 0))
        self.assertEqual(self.shown(group), before)

    def test_lost_answer(self):
        """The epoch before is taken of one that did not get our answer: it has nothing that is not its own; else it is fenced."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        a.beat(topic_partitions=a.rows())
        had = dict(a.owned)
        a.give_up()
        a.beat(topic_partitions=a.rows())                   # this answer is lost
        self.assertEqual(a.epoch, FIRST + 1)
        kept, a.owned = a.owned, had
        a.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=FIRST, topic_partitions=a.rows())
        a.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=FIRST)     # and of what it does not say nothing is known
        a.owned = kept
        answer = a.beat(member_epoch=FIRST, topic_partitions=a.rows())
        self.assertEqual(answer["member_epoch"], FIRST + 1)
        a.owned = {}
        self.assertEqual(a.beat(member_epoch=FIRST, topic_partitions=[])["member_epoch"], FIRST + 1)
        a.owned = kept
        b.beat(topic_partitions=[])
        b.take()
        self.assertShared([a, b], {topic: 4})

    def test_unknown(self):
        """A member that the group does not have is UNKNOWN_MEMBER_ID, a group that does not exist GROUP_ID_NOT_FOUND, for all but joining."""
        topic, group = self.topic(), self.fresh("group")
        self.joined(group, topic)
        for epoch in (1, 5, LEAVE):
            with self.subTest(epoch=epoch):
                self.member(group, topic).beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=epoch)
                self.member(self.fresh("group"), topic).beat(ERR.GROUP_ID_NOT_FOUND, member_epoch=epoch)

    def test_rejoin_after_fencing(self):
        """A fenced member gives all up and joins with its old id: it is taken in."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic)
        a.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=9)
        a.join()
        a.take()
        self.heartbeats(a)
        self.assertShared([a], {topic: 2})

    def test_not_ours(self):
        """What a member says to have beyond its assignment does not become its own."""
        topic, other, group = self.topic(partitions=2), self.topic(partitions=1), self.fresh("group")
        a, = self.joined(group, topic)
        a.beat(topic_partitions=[{"topic_id": self.ids[other], "partitions": [0]},
                                 {"topic_id": self.ids[topic], "partitions": [0, 1]}])
        self.assertEqual(self.shown(group)[3][a.id][1], {topic: {0, 1}})


class Leave(ConsumerGroupCase):
    def test_leave(self):
        """Who leaves is gone with its answer: epoch -1, no assignment; the rest gets its partitions with its next heartbeat."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        epoch = b.epoch
        answer = a.leave()
        self.assertEqual((answer["member_id"], answer["heartbeat_interval_ms"], answer["assignment"]), (a.id, 0, None))
        b.beat(topic_partitions=b.rows())
        self.assertEqual((b.epoch, b.told), (epoch + 1, {topic: {0, 1, 2, 3}}))
        a.beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=epoch)
        a.beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=LEAVE)

    def test_last(self):
        """The last one leaves: Empty, at a new epoch, and the group stays; who comes then begins from there."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic)
        a.leave()
        self.assertEqual(self.shown(group)[::3], ("Empty", {}))
        epoch = self.shown(group)[1]
        self.assertEqual(epoch, FIRST + 1)
        b = self.member(group, topic)
        b.join()
        self.assertEqual((b.epoch, b.told), (FIRST + 2, {topic: {0, 1}}))

    def test_leave_while_giving_up(self):
        """A member that leaves instead of giving up: what others waited for is free."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        b.take()
        a.beat(topic_partitions=a.rows())
        a.leave()
        self.heartbeats(b)
        self.assertShared([b], {topic: 4})

    def test_leave_with_instance(self):
        """A static member may leave for good with -1; who says another's instance id is FENCED_INSTANCE_ID."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-1")
        other = self.member(group, topic, instance="i-1")
        other.beat(ERR.FENCED_INSTANCE_ID, member_epoch=LEAVE)
        other.beat(ERR.FENCED_INSTANCE_ID, member_epoch=LEAVE_STATIC)
        other.instance = "i-2"
        other.beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=LEAVE)
        a.leave()
        self.assertEqual(self.shown(group)[3], {})


class Static(ConsumerGroupCase):
    def test_come_back(self):
        """A static member that leaves for a while and is back under another id has what it had, in the same epoch of the group; others
        are not touched."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        b, = self.joined(group, topic, instance="i-b")
        self.heartbeats(a, b)
        state = self.shown(group)
        had = dict(a.owned)
        a.leave(epoch=LEAVE_STATIC)
        self.assertEqual(self.shown(group)[3][a.id], (LEAVE_STATIC, had, had))
        self.assertEqual(b.beat(topic_partitions=b.rows())["assignment"], None)
        again = self.member(group, topic, instance="i-a")
        again.join()
        self.assertEqual((again.told, again.epoch), (had, state[1]))
        after = self.shown(group)
        self.assertEqual(after[:3], state[:3])
        self.assertEqual(set(after[3]), {again.id, b.id})
        a.beat(ERR.FENCED_INSTANCE_ID, member_epoch=1)

    def test_same_id(self):
        """Back under the same member id."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        a.leave(epoch=LEAVE_STATIC)
        a.join()
        self.assertEqual(a.told, {topic: {0, 1}})

    def test_away(self):
        """Of one that is away for a while no heartbeat is taken but joining."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        a.leave(epoch=LEAVE_STATIC)
        a.beat(ERR.FENCED_MEMBER_EPOCH, member_epoch=1)

    def test_unreleased(self):
        """A second member with an instance id whose owner has not left is UNRELEASED_INSTANCE_ID when it joins, FENCED_INSTANCE_ID when it
        says that it is in; an instance id that nobody has is UNKNOWN_MEMBER_ID."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        before = self.shown(group)
        other = self.member(group, topic, instance="i-a")
        other.join(ERR.UNRELEASED_INSTANCE_ID)
        other.beat(ERR.FENCED_INSTANCE_ID, member_epoch=1)
        other.instance = "i-b"
        other.beat(ERR.UNKNOWN_MEMBER_ID, member_epoch=1)
        self.assertEqual(self.shown(group), before)
        a.leave()
        other.instance = "i-a"
        other.join()
        self.assertEqual(other.told, {topic: {0, 1}})

    def test_away_without_instance(self):
        """-2 is for static members only."""
        topic, group = self.topic(), self.fresh("group")
        a, = self.joined(group, topic)
        a.beat(ERR.INVALID_REQUEST, member_epoch=LEAVE_STATIC)

    def test_other_subscription(self):
        """One that is back with another subscription: a new epoch, the new topics."""
        one, two, group = self.topic(partitions=2), self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, one, instance="i-a")
        a.leave(epoch=LEAVE_STATIC)
        again = self.member(group, two, instance="i-a")
        again.join()
        self.assertEqual((again.epoch, again.told), (FIRST + 1, {two: {0, 1}}))


class Expressions(ConsumerGroupCase):
    def told(self, m, wanted):
        """Kafka looks for the topics in the background: a few heartbeats later at the latest."""
        def check(_client):
            m.settle()
            return m.owned == wanted
        self.until(check, f"{m.regex} finds {wanted}")

    def test_matching(self):
        """Topics whose whole name matches, also together with names; none matches: nothing."""
        mark = self.fresh("re")
        one, two, other = (self.topic(partitions=1, name=f"{mark}-{n}") for n in ("one", "two", "one-more"))
        named = self.topic(partitions=1)
        for regex, found in ((f"{mark}-(one|two)", [one, two]), (f"{mark}-one", [one]), (f"{mark}-.*", [one, two, other]),
                             (f"{mark}", []), (f"^{mark}-o..$", [one]), (f"{mark}-[[:alpha:]]+", [one, two])):
            with self.subTest(regex=regex):
                m = self.member(self.fresh("group"), regex=regex)
                m.join()
                m.take()
                self.told(m, {t: {0} for t in found})
        m = self.member(self.fresh("group"), named, regex=f"{mark}-one")
        m.join()
        m.take()
        self.told(m, {t: {0} for t in (named, one)})

    def test_two_members(self):
        """Members with one expression share what it finds; a name beside it counts for whom said it."""
        mark = self.fresh("re")
        topic, group = self.topic(partitions=4, name=f"{mark}-x"), self.fresh("group")
        a = self.member(group, regex=f"{mark}.*")
        a.join()
        a.take()
        self.told(a, {topic: {0, 1, 2, 3}})
        b = self.member(group, regex=f"{mark}.*")
        b.join()
        b.take()
        self.until(lambda _: not sum([m.settle() for m in (a, b)]) and count(b.owned) == 2, "both have two")
        self.assertShared([a, b], {topic: 4})

    def test_dropped(self):
        """An empty expression takes it back."""
        mark = self.fresh("re")
        topic, named = self.topic(name=f"{mark}-x"), self.topic()
        m = self.member(self.fresh("group"), named, regex=f"{mark}.*")
        m.join()
        m.take()
        self.told(m, {topic: {0}, named: {0}})
        m.beat(subscribed_topic_regex="")
        m.give_up()
        m.regex = ""
        self.told(m, {named: {0}})

    def test_invalid(self):
        """What RE2 cannot read is INVALID_REGULAR_EXPRESSION, with a joining member and with one that is in, and changes nothing."""
        topic, group = self.topic(), self.fresh("group")
        m, = self.joined(group, topic)
        before = self.shown(group)
        for regex in ("(", "[a", "*", "a{2,1}", "(?=a)b", r"(a)\1", "a**", "(?<!x)y", "\\"):
            with self.subTest(regex=regex):
                answer = self.member(self.fresh("group"), regex=regex).join(ERR.INVALID_REGULAR_EXPRESSION)
                self.assertTrue(answer["error_message"])
                m.beat(ERR.INVALID_REGULAR_EXPRESSION, subscribed_topic_regex=regex)
        self.assertEqual(self.shown(group), before)

    def test_internal_topics(self):
        """Internal topics are topics as all others."""
        self.ids["__consumer_offsets"] = self.topic_id("__consumer_offsets")
        m = self.member(self.fresh("group"), regex="__consumer_off.*")
        m.join()
        m.take()
        self.told(m, {"__consumer_offsets": set(range(PARTITIONS))})


class Assignors(ConsumerGroupCase):
    def test_unsupported(self):
        """An assignor that there is not is UNSUPPORTED_ASSIGNOR; the answer names those that there are."""
        topic = self.topic()
        for name in ("nonsense", "", "Uniform", "roundrobin"):
            with self.subTest(name=name):
                answer = self.member(self.fresh("group"), topic, assignor=name).join(ERR.UNSUPPORTED_ASSIGNOR)
                for known in ("uniform", "range"):
                    self.assertIn(known, answer["error_message"])

    def test_range(self):
        """range: neighbouring partitions, the same ones of topics with equally many."""
        topics, group = [self.topic(partitions=4), self.topic(partitions=4)], self.fresh("group")
        members = self.joined(group, *topics, count=2, assignor="range")
        self.assertEqual(self.described(group)["assignor_name"], "range")
        for m in members:
            self.assertIn(m.owned[topics[0]], ({0, 1}, {2, 3}))
            self.assertEqual(m.owned[topics[0]], m.owned[topics[1]])
        self.assertShared(members, {t: 4 for t in topics})

    def test_default_and_majority(self):
        """uniform where nobody wants any; else the one that most want."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        self.assertEqual(self.described(group)["assignor_name"], "uniform")
        a.beat(server_assignor="range")
        self.assertEqual(self.described(group)["assignor_name"], "range")
        self.joined(group, topic, count=2, assignor="uniform")
        self.assertEqual(self.described(group)["assignor_name"], "uniform")

    def test_change(self):
        """That a member wants another assignor is no reason for a rebalance; the next one uses it."""
        topics, group = [self.topic(partitions=3), self.topic(partitions=3)], self.fresh("group")
        a, b = self.joined(group, *topics, count=2)
        epoch = a.epoch
        for m in (a, b):
            m.beat(server_assignor="range")
            self.assertEqual(m.epoch, epoch)
        self.assertEqual(self.shown(group)[:3], ("Stable", epoch, epoch))
        c, = self.joined(group, *topics)
        self.heartbeats(a, b, c)
        self.assertShared([a, b, c], {t: 3 for t in topics})
        for m in (a, b, c):
            self.assertEqual(m.owned[topics[0]], m.owned[topics[1]])

    def test_rack(self):
        """A rack is kept and shown; another one is no reason for new assignments."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic, rack="r1")
        self.assertEqual(self.described(group)["members"][0]["rack_id"], "r1")
        m.beat(rack_id="r2")
        self.assertEqual(self.described(group)["members"][0]["rack_id"], "r2")


class Invalid(ConsumerGroupCase):
    def refused(self, group, expected=ERR.INVALID_REQUEST, version=1, **fields):
        m = self.member(group, self.topic_name, version=version)
        answer = m.join(expected, **fields)
        self.assertTrue(answer["error_message"])
        self.assertEqual((answer["member_id"], answer["member_epoch"], answer["heartbeat_interval_ms"]), (None, 0, 0))

    def test_joining(self):
        """Each thing that a joining member must say, or must not, is INVALID_REQUEST, with words, and makes no group."""
        self.topic_name = self.topic()
        for version in (0, 1):
            for fields in ({"instance_id": ""}, {"rack_id": ""}, {"rebalance_timeout_ms": -1},
                           {"topic_partitions": None}, {"subscribed_topic_names": None},
                           {"topic_partitions": [{"topic_id": self.ids[self.topic_name], "partitions": [0]}]},
                           {"member_epoch": -3}, {"member_epoch": -2**31}):
                with self.subTest(version=version, fields=fields):
                    group = self.fresh("group")
                    self.refused(group, version=version, **fields)
                    self.assertError(self.described(group)["error_code"], ERR.GROUP_ID_NOT_FOUND)

    def test_group_id(self):
        """An empty group id."""
        self.topic_name = self.topic()
        self.refused("")

    def test_member_id(self):
        """Only a first heartbeat of version 0 may leave the member id out."""
        self.topic_name = self.topic()
        self.refused(self.fresh("group"), member_id="")
        for version in (0, 1):
            for epoch in (1, LEAVE) + (LEAVE_STATIC,) * version:    # Kafka forgets to look at it with -2 of version 0
                with self.subTest(version=version, epoch=epoch):
                    self.refused(self.fresh("group"), version=version, member_id="", member_epoch=epoch, instance_id="i")

    def test_order_of_checks(self):
        """What is said is looked at before who says it."""
        self.topic_name = self.topic()
        group = self.fresh("group")
        self.refused(group, ERR.UNSUPPORTED_ASSIGNOR, server_assignor="nonsense", member_epoch=5)
        self.refused(group, ERR.UNSUPPORTED_ASSIGNOR, server_assignor="nonsense", member_epoch=LEAVE)
        self.refused(group, ERR.INVALID_REQUEST, server_assignor="nonsense", rack_id="")

    def test_nothing_changes(self):
        """Of a member that is in, too."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        before = self.shown(group)
        for fields in ({"rack_id": ""}, {"instance_id": ""}, {"member_id": ""}, {"member_epoch": -5}):
            with self.subTest(fields=fields):
                m.beat(ERR.INVALID_REQUEST, subscribed_topic_names=["other"], **fields)
        m.beat(ERR.UNSUPPORTED_ASSIGNOR, subscribed_topic_names=["other"], server_assignor="nonsense")
        self.assertEqual(self.shown(group), before)

    def test_unknown_topic_id(self):
        """Partitions of a topic that there is not, or that are not there: the member does not have them, and that is all."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        for rows in ([{"topic_id": NO_ID, "partitions": [0]}],
                     [{"topic_id": self.ids[topic], "partitions": [0, 1, 7]}], []):
            with self.subTest(rows=rows):
                self.assertEqual(m.beat(topic_partitions=rows)["member_epoch"], FIRST)
        self.assertEqual(self.shown(group)[3][m.id][1], {topic: {0, 1}})

    def test_classic_group(self):
        """A group with classic members that are no consumers is not for these: GROUP_ID_NOT_FOUND."""
        topic = self.topic()
        other, = self.stable(self.fresh("group"), protocol_type="connect", protocols=[("default", b"")])
        self.member(other.group, topic).join(ERR.GROUP_ID_NOT_FOUND)
        self.assertError(other.heartbeat(), ERR.NONE)


if __name__ == "__main__":
    unittest.main()
