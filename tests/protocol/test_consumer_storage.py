#!/usr/bin/env python3
"""Consumer groups of the new protocol over time: sessions, rebalance time-outs, restarts, and topics that come and go (KIP-848).

Goal: who is silent is removed and who is slow, nothing else is; a restart in the midst of anything changes nothing. Method: short sessions;
SIGKILL between heartbeats, ConsumerGroupDescribe before and after. The tests pass against Apache Kafka as well (apache.py).
"""

import time
import unittest

import apache
from consumer_groups import FIRST, LEAVE_STATIC, ConsumerGroupCase, count
from groups import Committed
from kafka import ERR

SESSION_S = 1.5


class SessionCase(ConsumerGroupCase):
    def keep(self, members, seconds, until=None):
        """Heartbeats of @members for so long, or until @until() is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and until()):
            for m in members:
                m.settle()
            time.sleep(0.05)


class Sessions(SessionCase):
    SETTINGS = [*ConsumerGroupCase.SETTINGS, f"groups.consumer_session_timeout_ms={int(SESSION_S * 1000)}",
                "groups.consumer_heartbeat_interval_ms=300"]

    def test_interval(self):
        """The interval is told with every answer."""
        m = self.member(self.fresh("group"), self.topic())
        self.assertEqual(m.join()["heartbeat_interval_ms"], 300)
        self.assertEqual(m.beat()["heartbeat_interval_ms"], 300)

    def test_configured(self):
        """What is set on a group counts for the members that it has, and only for them."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        other, = self.joined(self.fresh("group"), topic)
        self.configure(group, consumer_heartbeat_interval_ms="400", consumer_session_timeout_ms="600")
        self.until(lambda _: a.beat()["heartbeat_interval_ms"] == 400, "its own interval")
        self.assertEqual(other.beat()["heartbeat_interval_ms"], 300)
        b.settle()
        heard = time.monotonic()
        self.keep([a], 10, lambda: count(a.owned) == 4)
        self.assertEqual(a.owned, {topic: {0, 1, 2, 3}})
        self.assertTrue(0.5 < time.monotonic() - heard < SESSION_S, "a session of 600 ms")
        self.configure(group, consumer_heartbeat_interval_ms=None, consumer_session_timeout_ms=None)
        self.until(lambda _: a.beat()["heartbeat_interval_ms"] == 300, "the broker's interval")
        time.sleep(1)
        self.assertEqual(a.beat()["heartbeat_interval_ms"], 300)

    def test_silent(self):
        """A member that sends nothing is removed after its session, not before; who goes on gets its partitions."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        b.settle()
        heard = time.monotonic()
        self.keep([a], 10, lambda: count(a.owned) == 4)
        self.assertEqual(a.owned, {topic: {0, 1, 2, 3}})
        self.assertGreater(time.monotonic() - heard, SESSION_S - 0.1)
        b.beat(ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(set(self.shown(group)[3]), {a.id})

    def test_heartbeats_keep(self):
        """Heartbeats, whatever they say, keep a member for longer than a session; commits and errors do not."""
        topic, group = self.topic(), self.fresh("group")
        m, = self.joined(group, topic)
        for _ in range(6):
            time.sleep(SESSION_S / 3)
            m.beat()
        self.assertEqual(set(self.shown(group)[3]), {m.id})
        for _ in range(20):
            time.sleep(SESSION_S / 10)
            answer = self.commit(m.client, group, {topic: {0: 1}}, **m.committing())
            m.send(member_epoch=m.epoch + 5)
            if (answer[topic][0], m.client.receive()["error_code"]) == (ERR.UNKNOWN_MEMBER_ID,) * 2:
                break
        self.assertEqual(self.shown(group)[::3], ("Empty", {}))

    def test_away(self):
        """A static member that is away is kept for a session, with its partitions; then it is gone."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        b, = self.joined(group, topic, instance="i-b")
        self.heartbeats(a, b)
        a.leave(epoch=LEAVE_STATIC)
        had = dict(b.owned)
        self.keep([b], SESSION_S / 2)
        self.assertEqual(b.owned, had)
        self.keep([b], 10, lambda: count(b.owned) == 4)
        self.assertEqual(b.owned, {topic: {0, 1, 2, 3}})
        again = self.member(group, topic, instance="i-a")
        again.join()
        self.assertEqual(again.told, {})

    def test_slow(self):
        """A member that does not give up what it has to in its rebalance time-out is removed, though its heartbeats come; who waited gets
        what it had."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        slow, = self.joined(group, topic, rebalance_ms=1000)
        fast = self.member(group, topic)
        fast.join()
        fast.take()
        slow.beat(topic_partitions=slow.rows())
        begin = time.monotonic()
        while count(fast.owned) < 4 and time.monotonic() < begin + 10:
            fast.settle()
            slow.send(topic_partitions=slow.rows())
            slow.client.receive()
            time.sleep(0.05)
        self.assertEqual(fast.owned, {topic: {0, 1, 2, 3}})
        self.assertGreater(time.monotonic() - begin, 0.9)
        slow.beat(ERR.UNKNOWN_MEMBER_ID)

    def test_quick_enough(self):
        """One that gives up within it stays, and its next rebalance has all of its time again."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic, rebalance_ms=1000)
        b = self.member(group, topic, rebalance_ms=1000)
        b.join()
        b.take()
        a.beat(topic_partitions=a.rows())
        time.sleep(0.5)
        self.heartbeats(a, b)
        self.keep([a, b], 1.5)
        self.assertShared([a, b], {topic: 4})
        self.assertEqual(set(self.shown(group)[3]), {a.id, b.id})


class SessionsAfterRestart(SessionCase):
    LIMIT_S = 25 if apache.jars() else 4        # Kafka reads the groups long before it lets anybody in
    SETTINGS = [*ConsumerGroupCase.SETTINGS, f"groups.consumer_session_timeout_ms={LIMIT_S}000",
                "groups.consumer_heartbeat_interval_ms=300"]

    def test_all_are_heard(self):
        """After a restart every member has a whole session to be heard in; who is not goes then."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        self.node.restart(kill=True)
        self.wait_described(group)
        a.client = self.client()
        self.assertEqual(set(self.shown(group)[3]), {a.id, b.id})
        self.keep([a], self.LIMIT_S + 10, lambda: count(a.owned) == 4)
        self.assertEqual(a.owned, {topic: {0, 1, 2, 3}})


class Limits(ConsumerGroupCase):
    SETTINGS = [*ConsumerGroupCase.SETTINGS, "groups.consumer_max_size=2"]

    def test_full(self):
        """GROUP_MAX_SIZE_REACHED for one too many; who is in may join again, and one who leaves makes room."""
        topic, group = self.topic(), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        c = self.member(group, topic)
        answer = c.join(ERR.GROUP_MAX_SIZE_REACHED)
        self.assertTrue(answer["error_message"])
        a.join()
        b.leave()
        c.join()
        self.assertEqual(set(self.shown(group)[3]), {a.id, c.id})

    def test_classic_is_apart(self):
        """The bound of classic groups is another parameter."""
        topic = self.topic()
        self.assertEqual(len(self.stable(self.fresh("group"), topic, count=3)), 3)


class Restart(ConsumerGroupCase):
    def restarted(self, *members):
        """Kill the node and start it again; the groups are shown as they were."""
        groups = sorted({m.group for m in members})
        before = [(g, self.shown(g), self.rows(g)) for g in groups]
        self.node.restart(kill=True)
        for g in groups:
            self.wait_described(g)
        self.assertEqual([(g, self.shown(g), self.rows(g)) for g in groups], before)
        for m in members:
            m.client = self.client()

    def test_configured(self):
        """What is set on a group is so afterwards."""
        m, = self.joined(self.fresh("group"), self.topic())
        self.configure(m.group, consumer_heartbeat_interval_ms="9000")
        self.until(lambda _: m.beat()["heartbeat_interval_ms"] == 9000, "its own interval")
        self.restarted(m)
        self.assertEqual(m.beat()["heartbeat_interval_ms"], 9000)

    def rows(self, group):
        """What the members have said of themselves."""
        return sorted((m["member_id"], m["instance_id"], m["rack_id"], m["client_id"], m["client_host"],
                       sorted(m["subscribed_topic_names"]), m["subscribed_topic_regex"], m["member_type"])
                      for m in self.described(group)["members"])

    def test_stable(self):
        """Stable: nobody notices but by a lost connection."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic, instance="i-1", rack="r", assignor="range")
        b, = self.joined(group, topic)
        self.heartbeats(a, b)
        self.assertEqual(self.commit(a.client, group, {topic: {0: 5}}, **a.committing()), {topic: {0: 0}})
        self.restarted(a, b)
        for m in (a, b):
            answer = m.beat(topic_partitions=m.rows())
            self.assertEqual((answer["member_epoch"], answer["assignment"]), (FIRST + 1, None))
        self.assertEqual(self.described(group)["assignor_name"], "range")
        self.assertEqual(self.commit(a.client, group, {topic: {1: 6}}, **a.committing()), {topic: {1: 0}})
        self.assertEqual(self.committed(a.client, group, {topic: [0, 1]}),
                         {topic: {0: Committed(5), 1: Committed(6)}})

    def test_each_step(self):
        """After each step by which two members come to share four partitions; nobody ever has one that another has."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        b.take()
        self.restarted(a, b)                                # b waits, a does not know
        a.beat(topic_partitions=a.rows())
        self.assertEqual(count(a.told), 2)
        self.restarted(a, b)                                # a has to give up
        self.assertEqual(b.beat(topic_partitions=[])["assignment"], None)
        self.assertEqual(a.beat(topic_partitions=a.rows())["member_epoch"], FIRST)
        a.give_up()
        a.beat(topic_partitions=a.rows())
        self.assertEqual(a.epoch, FIRST + 1)
        self.restarted(a, b)                                # a has done so, b does not know
        b.beat(topic_partitions=[])
        b.take()
        self.assertShared([a, b], {topic: 4})
        self.restarted(a, b)
        self.heartbeats(a, b)
        self.assertEqual(self.shown(group)[0], "Stable")

    def test_lost_answer(self):
        """The node dies before the answer to a heartbeat has come: the epoch before still counts."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        a.beat(topic_partitions=a.rows())
        a.give_up()
        a.beat(topic_partitions=a.rows())
        self.restarted(a, b)
        self.assertEqual(a.beat(member_epoch=FIRST, topic_partitions=a.rows())["member_epoch"], FIRST + 1)

    def test_away(self):
        """A static member that is away, and comes back to another process."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        a, = self.joined(group, topic, instance="i-a")
        a.leave(epoch=LEAVE_STATIC)
        self.restarted(a)
        again = self.member(group, topic, instance="i-a")
        again.join()
        self.assertEqual((again.told, again.epoch), ({topic: {0, 1}}, FIRST))
        self.restarted(again)

    def test_expression(self):
        """Topics that an expression has found."""
        mark = self.fresh("re")
        topic, group = self.topic(partitions=2, name=f"{mark}-x"), self.fresh("group")
        m = self.member(group, regex=f"{mark}.*")
        m.join()
        m.take()
        self.until(lambda _: m.settle() or m.owned == {topic: {0, 1}}, "the topic is found")
        self.restarted(m)
        self.assertEqual(m.beat(topic_partitions=m.rows())["assignment"], None)

    def test_empty_and_deleted(self):
        """An Empty group stays at its epoch, a deleted one stays away, and one that became classic is classic."""
        topic = self.topic(partitions=2)
        empty, gone, classic = (self.joined(self.fresh("group"), topic)[0] for _ in range(3))
        for m in (empty, gone, classic):
            m.leave()
        row, = self.client().call("DeleteGroups", 2, groups_names=[gone.group])["results"]
        self.assertError(row["error_code"], ERR.NONE)
        self.stable(classic.group, topic)
        self.restarted(empty)
        self.wait_described(gone.group)
        self.assertError(self.described(gone.group)["error_code"], ERR.GROUP_ID_NOT_FOUND)
        self.wait_described(classic.group)
        self.assertEqual(self.listed(self.client())[classic.group]["group_type"], "classic")
        empty.join()
        self.assertEqual((empty.epoch, empty.told), (FIRST + 2, {topic: {0, 1}}))


class Topics(ConsumerGroupCase):
    def delete_topic(self, name):
        answer = self.client().call("DeleteTopics", 5, topic_names=[name], timeout_ms=10000)
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE)

    def becomes(self, wanted, *members, limit_s=20):
        """Heartbeats until together they have what is @wanted, {topic: count}."""
        def had():
            return sorted((t, p) for m in members for t, ps in m.owned.items() for p in ps)
        self.until(lambda _: sum([m.settle() for m in members]) < 0 or had() == sorted(
            (t, p) for t, n in wanted.items() for p in range(n)), f"the members have {wanted}", limit_s)

    def test_created(self):
        """A topic that is subscribed to by name and comes later is assigned with the next heartbeats."""
        topic, later, group = self.topic(partitions=2), self.fresh("later"), self.fresh("group")
        a, b = self.joined(group, topic, later, count=2)
        self.topic(partitions=4, name=later)
        self.becomes({topic: 2, later: 4}, a, b)
        self.assertEqual((count(a.owned), count(b.owned)), (3, 3))

    def test_deleted(self):
        """A topic that is deleted is given up, and its committed offsets go; one of its name is another."""
        topic, other, group = self.topic(partitions=2), self.topic(partitions=2), self.fresh("group")
        a, b = self.joined(group, topic, other, count=2)
        self.assertEqual(self.commit(a.client, group, {topic: {0: 5}, other: {0: 6}}, **a.committing()),
                         {topic: {0: 0}, other: {0: 0}})
        self.delete_topic(topic)
        self.becomes({other: 2}, a, b)
        self.until(lambda client: self.committed(client, group) == {other: {0: Committed(6)}}, "its offsets are gone")
        old = self.ids[topic]
        self.topic(partitions=3, name=topic)
        self.assertNotEqual(self.ids[topic], old)
        self.becomes({other: 2, topic: 3}, a, b)

    def test_more_partitions(self):
        """Partitions that a topic gets are assigned."""
        topic, group = self.topic(partitions=1), self.fresh("group")
        a, b = self.joined(group, topic, count=2)
        answer = self.client().call("CreatePartitions", 3, topics=[{"name": topic, "count": 4, "assignments": None}],
                                    timeout_ms=10000)
        self.assertError(answer["results"][0]["error_code"], ERR.NONE)
        self.becomes({topic: 4}, a, b)
        self.assertEqual((count(a.owned), count(b.owned)), (2, 2))

    def test_unrelated(self):
        """Topics that nobody of the group is subscribed to change nothing."""
        topic, group = self.topic(partitions=2), self.fresh("group")
        m, = self.joined(group, topic)
        other = self.topic()
        m.beat()
        self.delete_topic(other)
        m.beat()
        time.sleep(0.2)
        m.beat()
        self.assertEqual(self.shown(group)[:3], ("Stable", FIRST, FIRST))

    def test_expression(self):
        """Topics that match an expression, created and deleted: looked for again within 10 s, as Kafka does at the soonest."""
        mark = self.fresh("re")
        topic, group = self.topic(partitions=2, name=f"{mark}-1"), self.fresh("group")
        a = self.member(group, regex=f"{mark}-.*")
        a.join()
        a.take()
        self.becomes({topic: 2}, a)
        later = self.topic(partitions=2, name=f"{mark}-2")
        self.topic(partitions=2, name=f"x-{mark}-3")
        self.becomes({topic: 2, later: 2}, a, limit_s=30)
        self.delete_topic(topic)
        self.becomes({later: 2}, a, limit_s=30)


if __name__ == "__main__":
    unittest.main()
