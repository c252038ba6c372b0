#!/usr/bin/env python3
"""Which committed offsets go, and when (KIP-211).

Goal: kafka-semantics item 56. Method: a node whose clock the test moves forward by days while it looks for expired
offsets several times a second; the retention is the default of seven days. It passes against Apache Kafka as well
(apache.py).
"""

import time
import unittest

from clock import DAY_S, MINUTE_S, Clock
from groups import Committed, GroupCase
from kafka import ERR

CHECK_MS = 100


class Expiry(GroupCase):
    SETTINGS = [*GroupCase.SETTINGS, f"groups.offsets_retention_check_interval_ms={CHECK_MS}"]

    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        cls.ENV = cls.clock.env()
        cls.now_s = 0
        super().setUpClass()

    def at(self, seconds):
        """Move the clock to @seconds after the test's begin, and let the node look for expired offsets."""
        type(self).now_s = self.begin_s + seconds
        self.clock.set(self.now_s)
        time.sleep(CHECK_MS / 1000 * 6)

    def setUp(self):
        self.begin_s = self.now_s

    def emptied(self, *topics):
        """A group of consumers that has committed 5 for each topic and was left."""
        m, = self.stable(self.fresh("group"), *topics)
        for t in topics:
            self.assertError(m.commit(t, 5), ERR.NONE)
        self.assertError(m.leave(), ERR.NONE)
        return m.group

    def assertOffsets(self, group, offsets):
        self.assertEqual(self.committed(self.client(), group), {t: {0: Committed(o)} for t, o in offsets.items()})

    def assertGone(self, *groups):
        """Offsets and groups are removed, groups that were emptied too."""
        for group in groups:
            self.until(lambda client: self.committed(client, group) == {}, "the offsets have expired", 5)
            self.until(lambda client: group not in self.listed(client), "the group is removed", 5)

    def test_simple_consumer(self):
        """Item 56: what a consumer without membership committed goes seven days after that commit, each offset by
        itself."""
        client, topic, other = self.client(), self.topic(), self.topic()
        group = self.fresh("group")
        self.commit(client, group, {topic: {0: 1}, other: {0: 2}})
        self.at(5 * DAY_S)
        self.commit(client, group, {other: {0: 3}})
        self.at(7 * DAY_S - MINUTE_S)
        self.assertOffsets(group, {topic: 1, other: 3})
        self.at(7 * DAY_S + MINUTE_S)
        self.until(lambda client: len(self.committed(client, group)) == 1, "the older offset is gone", 5)
        self.assertOffsets(group, {other: 3})
        self.at(12 * DAY_S - MINUTE_S)
        self.assertOffsets(group, {other: 3})
        self.at(12 * DAY_S + MINUTE_S)
        self.assertGone(group)

    def test_emptied_group(self):
        """Item 56: offsets of a group that had members go seven days after it became empty, whenever they were
        committed; also when the node was killed in between. Once gone, the group is gone."""
        topic = self.topic()
        early, late = self.emptied(topic), self.stable(self.fresh("group"), topic, session_ms=600000)[0]
        self.assertError(late.commit(topic, 6), ERR.NONE)
        self.at(5 * DAY_S)
        self.assertError(late.leave(), ERR.NONE)
        self.node.restart(kill=True)
        self.wait_loaded()
        self.at(7 * DAY_S - MINUTE_S)
        self.assertOffsets(early, {topic: 5})
        self.at(7 * DAY_S + MINUTE_S)
        self.assertGone(early)
        self.assertOffsets(late.group, {topic: 6})
        self.at(12 * DAY_S - MINUTE_S)
        self.assertOffsets(late.group, {topic: 6})
        self.at(12 * DAY_S + MINUTE_S)
        self.assertGone(late.group)

    def test_live_groups(self):
        """Item 56: a live group of consumers keeps what it is subscribed to for ever, and loses what it no longer is;
        a live group of another kind keeps everything."""
        topic, other = self.topic(), self.topic()
        consumer, = self.stable(self.fresh("group"), topic, session_ms=600000)
        connect, = self.stable(self.fresh("group"), protocol_type="connect", protocols=[("default", b"")],
                               session_ms=600000)
        for m in (consumer, connect):
            for t in (topic, other):
                self.assertError(m.commit(t, 8), ERR.NONE)
        self.at(7 * DAY_S - MINUTE_S)
        self.assertOffsets(consumer.group, {topic: 8, other: 8})
        self.at(40 * DAY_S)
        self.until(lambda client: len(self.committed(client, consumer.group)) == 1, "the other topic's is gone", 5)
        self.assertOffsets(consumer.group, {topic: 8})
        self.assertOffsets(connect.group, {topic: 8, other: 8})
        for m in (consumer, connect):
            self.assertError(m.heartbeat(), ERR.NONE)
            self.assertError(m.leave(), ERR.NONE)
        self.at(47 * DAY_S - MINUTE_S)
        self.assertOffsets(consumer.group, {topic: 8})
        self.at(47 * DAY_S + MINUTE_S)
        self.assertGone(consumer.group, connect.group)

    def test_retention_of_the_client(self):
        """Item 56: versions 2 to 4 say themselves how long an offset is to be kept."""
        client, topic = self.client(), self.topic()
        short, long, default = [self.fresh("group") for _ in range(3)]
        for group, days in ((short, 1), (long, 10), (default, None)):
            for version in (2, 3, 4):
                retention = {} if days is None else {"retention_time_ms": days * DAY_S * 1000}
                self.assertEqual(self.commit(client, group, {topic: {0: days or 1}}, version=version, **retention),
                                 {topic: {0: 0}})
        self.at(DAY_S - MINUTE_S)
        self.assertOffsets(short, {topic: 1})
        self.at(DAY_S + MINUTE_S)
        self.assertGone(short)
        self.at(7 * DAY_S + MINUTE_S)
        self.assertGone(default)
        self.at(10 * DAY_S - MINUTE_S)
        self.assertOffsets(long, {topic: 10})
        self.at(10 * DAY_S + MINUTE_S)
        self.assertGone(long)

    def test_empty_group_without_offsets(self):
        """Item 56: an Empty group that holds no offsets goes with the next look."""
        m, = self.stable(self.fresh("group"))
        self.assertError(m.leave(), ERR.NONE)
        self.assertGone(m.group)


if __name__ == "__main__":
    unittest.main()
