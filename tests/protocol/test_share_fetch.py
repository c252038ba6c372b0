#!/usr/bin/env python3
"""Records of share groups: ShareFetch and ShareAcknowledge (KIP-932, KIP-1206, KIP-1222).

Goal: a record is with one member at a time, comes again until it was acknowledged or given up, and never after that, whatever ends
meanwhile; sessions and errors are Kafka's. Method: members step by step, in both versions; SIGKILL; three nodes. The tests of one node
pass against Apache Kafka as well (apache.py), but for those that say why not.
"""

import time
import unittest
import uuid

import apache
from groups import LIMIT_S, NOT_YET
from kafka import ERR
from share_groups import ACCEPT, BATCHES, CLOSE, GAP, OPEN, RECORDS, REJECT, RELEASE, RENEW, ShareFetchCase, ShareSession, deliveries
from txn import Producer

SECOND_MS = 1000            # the shortest time for which a record can be lent


class Sessions(ShareFetchCase):
    def test_epochs(self):
        """Each request has the epoch after the last one's: 123 for another, 122 where there is no session. -1 ends it, 0 begins anew."""
        topic, place = self.filled()
        for version in (1, 2):
            with self.subTest(version=version):
                s, = self.sessions(topic, version=version)
                s.fetch(place, epoch=3, expected=ERR.SHARE_SESSION_NOT_FOUND)
                s.fetch(place, epoch=CLOSE, expected=ERR.SHARE_SESSION_NOT_FOUND)
                s.acknowledge({}, epoch=3, expected=ERR.SHARE_SESSION_NOT_FOUND)
                s.acknowledge({}, epoch=OPEN, expected=ERR.INVALID_SHARE_SESSION_EPOCH)
                self.assertEqual(s.fetch(place), {})                # without news, without partitions
                self.assertEqual(s.epoch, 1)
                for wrong in (2, 7):
                    s.fetch(epoch=wrong, expected=ERR.INVALID_SHARE_SESSION_EPOCH)
                    s.acknowledge({}, epoch=wrong, expected=ERR.INVALID_SHARE_SESSION_EPOCH)
                self.assertEqual(s.fetch(), {})
                self.assertEqual(s.acknowledge({}), {})
                s.fetch(epoch=2, expected=ERR.INVALID_SHARE_SESSION_EPOCH)
                s.fetch(place, epoch=OPEN)
                s.epoch = 1
                s.fetch()
                s.acknowledge({}, epoch=CLOSE)
                s.fetch(epoch=2, expected=ERR.SHARE_SESSION_NOT_FOUND)

    def test_places(self):
        """What is named is fetched from then on, until it is forgotten."""
        topic = self.topic(partitions=3)
        a, b, c = [(self.ids[topic], p) for p in range(3)]
        s, = self.sessions(topic)
        s.fetch(a, b)
        for p in range(3):
            self.produce(self.client(), topic, [b"v"], partition=p)
        had = set()
        self.wait_until(lambda: had.update(s.fetch()) or had == {a, b}, f"not both, but {had}", LIMIT_S)
        for p in range(3):
            self.produce(self.client(), topic, [b"w"], partition=p)
        part = s.fetch(c, forget=[a, b], wait_ms=1000)
        while not part:
            part = s.fetch(wait_ms=1000)
        self.assertEqual(list(part), [c])
        self.assertEqual(s.fetch(wait_ms=100), {})

    def test_ends(self):
        """What is lent is there for others as soon as the session ends, also by a fetch, which gives nothing."""
        topic, place = self.filled([b"a", b"b"])
        for how in ("acknowledge", "fetch"):
            with self.subTest(how=how):
                a, b = self.sessions(topic, count=2)
                self.got(a, place, 2)
                self.nothing(b, place)
                if how == "fetch":
                    self.assertFalse(any(p.acquired for p in a.fetch(epoch=CLOSE).values()))
                else:
                    a.acknowledge({place: [(0, 0, ACCEPT)]}, epoch=CLOSE)
                self.assertEqual(deliveries(self.got(b, place)), {0: 2, 1: 2} if how == "fetch" else {1: 2})

    def test_connection(self):
        """So it is with the connection."""
        topic, place = self.filled([b"a", b"b"])
        a, b = self.sessions(topic, count=2)
        self.got(a, place, 2)
        self.nothing(b, place)
        a.client.close()
        self.assertEqual(deliveries(self.got(b, place, limit_s=5)), {0: 2, 1: 2})

    def test_refused(self):
        """No group, no member, a topic that nobody knows, what a new session cannot acknowledge, renewals that want records."""
        topic, place = self.filled([b"a"])
        s, = self.sessions(topic)
        for call in () if apache.jars() else (lambda **f: s.fetch(place, **f), lambda **f: s.acknowledge({}, **f)):     # Kafka's have no name
            call(group_id="", expected=ERR.INVALID_REQUEST)
            call(member_id="", expected=ERR.INVALID_REQUEST)
        s.fetch(place, acks={place: [(0, 0, ACCEPT)]}, expected=ERR.INVALID_REQUEST)
        s.fetch(place)
        s.fetch(is_renew_ack=True, wait_ms=1, expected=ERR.INVALID_REQUEST)
        s.acknowledge({}, epoch=CLOSE)
        s.epoch = OPEN
        if apache.jars():                   # it fails with an unknown server error
            return
        nobody = (uuid.uuid4().bytes, 0)
        parts = s.fetch(place, nobody, (place[0], 9))
        self.assertError(parts[nobody].error, ERR.UNKNOWN_TOPIC_ID)
        self.assertError(parts[place[0], 9].error, ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertFalse(place in parts and parts[place].error)


class Records(ShareFetchCase):
    SOON_S = 20 if apache.jars() else 5     # Kafka sometimes waits for the whole time

    def test_acquired(self):
        """What one member has nobody else gets: others get what is left. Values are those that were produced."""
        topic, place = self.filled([b"a", b"b", b"c"], [b"d", b"e"])
        a, b = self.sessions(topic, count=2)
        part = self.got(a, place, 3, max_records=3)
        self.assertEqual((part.values, part.acquired), ({0: b"a", 1: b"b", 2: b"c"}, [(0, 2, 1)]))
        self.assertEqual(a.lock_ms, 30000)
        part = self.got(b, place, 2)
        self.assertEqual((part.values, part.acquired), ({3: b"d", 4: b"e"}, [(3, 4, 1)]))
        self.nothing(a, place)
        self.nothing(b, place)

    def test_modes(self):
        """Mode 0 gives whole batches, mode 1 no more records than were asked for."""
        topic, place = self.filled([b"a", b"b", b"c"], [b"d"])
        for mode, expected in ((BATCHES, {0, 1, 2}), (RECORDS, {0, 1})):
            with self.subTest(mode=mode):
                s, = self.sessions(topic)
                self.assertEqual(set(self.got(s, place, max_records=2, mode=mode).values), expected)
                self.assertEqual(set(self.got(s, place, max_records=2, mode=mode).values),
                                 {3} if mode == BATCHES else {2, 3})

    def test_types(self):
        """Accepted, rejected and gaps are done; released comes again, counted."""
        topic, place = self.filled([b"%d" % i for i in range(8)])
        for version, how in ((1, "acknowledge"), (2, "acknowledge"), (1, "fetch"), (2, "fetch")):
            with self.subTest(version=version, how=how):
                s, = self.sessions(topic, version=version)
                self.assertEqual(deliveries(self.got(s, place, 8)), {i: 1 for i in range(8)})

                def tell(*ranges):
                    if how == "acknowledge":
                        return s.acknowledge({place: ranges})[place]
                    return s.fetch(acks={place: ranges})[place].ack_error
                self.assertError(tell((0, 1, ACCEPT), (2, 3, RELEASE)), ERR.NONE)
                self.assertError(tell((4, 7, [REJECT, GAP, RELEASE, ACCEPT])), ERR.NONE)
                had = {}
                while set(had) != {2, 3, 6}:                        # a fetch may have given some with the acknowledgement
                    if how == "fetch" and not had:
                        s.fetch(epoch=CLOSE)
                        s.epoch = OPEN
                    had.update(deliveries(self.got(s, place)))
                self.assertTrue(all(2 <= n <= 3 for n in had.values()), had)
                self.assertError(tell((2, 3, [ACCEPT, ACCEPT]), (6, 6, ACCEPT)), ERR.NONE)
                s.acknowledge({}, epoch=CLOSE)
                s.epoch = OPEN
                self.nothing(s, place)
                self.wait_until(lambda: self.stands(s.group)[topic][0][2] == 0, "there is a lag")

    def test_wrong(self):
        """What makes no sense is INVALID_REQUEST for its partition, what is not the member's INVALID_RECORD_STATE; nothing is done."""
        topic, place = self.filled([b"%d" % i for i in range(6)])
        a, b = self.sessions(topic, count=2)
        self.got(a, place, 6)
        for ranges in ([(2, 1, ACCEPT)], [(0, 1, [])], [(0, 2, [ACCEPT, ACCEPT])], [(0, 0, 9)], [(0, 0, -1)], [(0, 0, RENEW)],
                       [(2, 3, ACCEPT), (0, 1, ACCEPT)], [(0, 3, ACCEPT), (2, 4, ACCEPT)]):
            with self.subTest(ranges=ranges):
                self.assertError(a.acknowledge({place: ranges})[place], ERR.INVALID_REQUEST)
                self.assertError(a.fetch(acks={place: ranges})[place].ack_error, ERR.INVALID_REQUEST)
        self.assertError(a.acknowledge({place: [(5, 6, ACCEPT)]})[place], ERR.INVALID_REQUEST)
        self.assertError(a.acknowledge({place: [(9, 9, ACCEPT)]})[place], ERR.INVALID_REQUEST)
        self.nothing(b, place)
        self.assertError(b.acknowledge({place: [(0, 0, ACCEPT)]})[place], ERR.INVALID_RECORD_STATE)
        self.assertError(a.acknowledge({place: [(1, 1, ACCEPT)]})[place], ERR.NONE)
        self.assertError(a.acknowledge({place: [(1, 1, ACCEPT)]})[place], ERR.INVALID_RECORD_STATE)
        self.assertError(a.acknowledge({place: [(0, 1, ACCEPT)]})[place], ERR.INVALID_RECORD_STATE)
        a.acknowledge({}, epoch=CLOSE)
        self.assertEqual(set(self.got(b, place, 5).values), {0, 2, 3, 4, 5})

    def test_time_out(self):
        """Of whom nothing is heard for too long loses them: to whoever waits, and what it says then is INVALID_RECORD_STATE."""
        topic, place = self.filled([b"a"])
        a, b = self.sessions(topic, count=2, share_record_lock_duration_ms=SECOND_MS)
        began = time.monotonic()
        self.got(a, place)
        self.assertEqual(a.lock_ms, SECOND_MS)
        self.assertEqual(deliveries(self.got(b, place, wait_ms=5000, limit_s=8)), {0: 2})
        self.assertGreaterEqual(time.monotonic() - began, SECOND_MS / 1000)
        self.assertError(a.acknowledge({place: [(0, 0, ACCEPT)]})[place], ERR.INVALID_RECORD_STATE)
        self.assertError(b.acknowledge({place: [(0, 0, ACCEPT)]})[place], ERR.NONE)

    def test_limit(self):
        """A record that came so often is given up."""
        topic, place = self.filled([b"a"], [b"b"])
        s, = self.sessions(topic, share_delivery_count_limit=2)
        self.assertEqual(deliveries(self.got(s, place, max_records=1)), {0: 1})
        s.acknowledge({place: [(0, 0, RELEASE)]})
        self.assertEqual(deliveries(self.got(s, place, max_records=1))[0], 2)
        s.acknowledge({place: [(0, 0, RELEASE)]})
        had = deliveries(self.got(s, place, max_records=1))
        self.assertEqual(list(had), [1])
        self.nothing(s, place)

    def test_renewed(self):
        """KIP-1222: version 2 asks for more time, if the group may."""
        topic, place = self.filled([b"a"])
        a, b = self.sessions(topic, count=2, share_record_lock_duration_ms=SECOND_MS)
        self.got(a, place)
        self.nothing(b, place)
        for how in ("acknowledge", "fetch") * 2:
            time.sleep(0.6)
            if how == "acknowledge":
                error = a.acknowledge({place: [(0, 0, RENEW)]}, is_renew_ack=True)[place]
            else:
                error = a.fetch(acks={place: [(0, 0, RENEW)]}, is_renew_ack=True, min_bytes=0, max_bytes=0, max_records=0)[place].ack_error
            self.assertError(error, ERR.NONE)
            self.nothing(b, place, wait_ms=0)
        self.assertError(a.acknowledge({place: [(0, 0, ACCEPT)]})[place], ERR.NONE)
        c, = self.sessions(topic, share_renew_acknowledge_enable="false")
        self.got(c, place)
        self.assertError(c.acknowledge({place: [(0, 0, RENEW)]}, is_renew_ack=True)[place], ERR.INVALID_RECORD_STATE)

    def test_woken(self):
        """Who waits for records gets them as they come: produced, or released by another."""
        topic, place = self.filled()
        a, b = self.sessions(topic, count=2)
        self.nothing(a, place)
        a.send_fetch(wait_ms=10000)
        time.sleep(0.2)
        began = time.monotonic()
        self.produce(self.client(), topic, [b"v"])
        self.assertEqual(a.received()[place].values, {0: b"v"})
        self.assertLess(time.monotonic() - began, self.SOON_S)
        self.nothing(b, place)
        b.send_fetch(wait_ms=10000)
        time.sleep(0.2)
        began = time.monotonic()
        a.acknowledge({place: [(0, 0, RELEASE)]})
        self.assertEqual(deliveries(b.received()[place]), {0: 2})
        self.assertLess(time.monotonic() - began, self.SOON_S)

    def test_committed(self):
        """share.isolation.level=read_committed: nothing of what is open or aborted; control records never come."""
        topic, place = self.filled()
        commits, aborts = Producer(self, self.fresh("txn")), Producer(self, self.fresh("txn"))
        for p in (commits, aborts):
            self.assertError(p.init(), ERR.NONE)
        self.assertError(aborts.send(topic, b"no"), ERR.NONE)                       # 0, its marker 1
        self.assertError(aborts.end(False), ERR.NONE)
        self.wait_until(lambda: self.fetch(self.client(), topic)["high_watermark"] == 2, "no marker")
        self.assertError(commits.send(topic, b"yes"), ERR.NONE)                     # 2
        committed, = self.sessions(topic, share_isolation_level="read_committed")
        every, = self.sessions(topic)
        self.assertEqual(self.got(every, place, 2).values, {0: b"no", 2: b"yes"})
        self.nothing(committed, place)
        self.assertError(commits.end(True), ERR.NONE)                               # its marker 3
        self.wait_until(lambda: self.fetch(self.client(), topic)["high_watermark"] == 4, "no marker")
        self.produce(self.client(), topic, [b"later"])                              # 4
        self.assertEqual(self.got(committed, place, 2).values, {2: b"yes", 4: b"later"})
        self.assertEqual(self.got(every, place).values, {4: b"later"})
        for s in (committed, every):
            acks = [(2, 2, ACCEPT), (4, 4, ACCEPT)]
            self.assertError(s.acknowledge({place: acks if s is committed else [(0, 0, ACCEPT), *acks]})[place], ERR.NONE)
            if not apache.jars():                                                   # whose markers are lent, too
                self.wait_until(lambda s=s: self.stands(s.group)[topic][0][2] == 0, "there is a lag")

    def test_start(self):
        """Records that were deleted do not come; what is lent of them can be acknowledged, which means nothing."""
        topic, place = self.filled([b"a"], [b"b"], [b"c"])
        s, = self.sessions(topic)
        self.got(s, place, max_records=1)
        self.client().call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}])
        self.assertEqual(self.got(s, place).values, {2: b"c"})
        self.assertError(s.acknowledge({place: [(2, 2, ACCEPT)]})[place], ERR.NONE)

    def test_altered(self):
        """Where an operator has said that a group begins it begins, although leaders know something else; Kafka's, too late."""
        if apache.jars():
            self.skipTest("Kafka's leaders keep what they know")
        topic, place = self.filled([b"a"], [b"b"], [b"c"])
        m, = self.joined(self.group(), topic)
        s = ShareSession(self, m.group, m.id)
        self.got(s, place, 3)
        s.acknowledge({place: [(0, 2, ACCEPT)]}, epoch=CLOSE)
        m.leave()
        self.assertEqual(self.alter(m.group, {topic: {0: 1}}), {topic: {0: 0}})
        m, = self.joined(m.group, topic)
        s = ShareSession(self, m.group, m.id)
        self.assertEqual(self.got(s, place, 2).values, {1: b"b", 2: b"c"})
        self.assertError(s.acknowledge({place: [(1, 2, ACCEPT)]})[place], ERR.NONE)
        self.assertEqual(self.stands(m.group)[topic][0][0], 3)


@unittest.skipIf(apache.jars(), "Kafka takes no such small number")
class Full(ShareFetchCase):
    SETTINGS = [*ShareFetchCase.SETTINGS, "groups.share_max_share_sessions=1"]

    def test_sessions(self):
        """group.share.max.share.sessions: one more is refused, until one ends."""
        topic, place = self.filled([b"a"])
        a, b = self.sessions(topic, count=2)
        self.got(a, place)
        b.fetch(place, expected=ERR.SHARE_SESSION_LIMIT_REACHED)
        a.acknowledge({}, epoch=CLOSE)
        self.assertEqual(deliveries(self.got(b, place)), {0: 2})


class Ends(ShareFetchCase):
    """The node ends without warning."""

    def test_restart(self):
        """What was acknowledged does not come again, what was under way does."""
        topic, place = self.filled([b"%d" % i for i in range(6)])
        m, = self.joined(self.group(), topic)
        s = ShareSession(self, m.group, m.id)
        self.got(s, place, 6)
        self.assertError(s.acknowledge({place: [(1, 2, ACCEPT), (4, 4, REJECT), (5, 5, RELEASE)]})[place], ERR.NONE)
        self.node.restart(kill=True)
        self.until(lambda client: client.call("ShareGroupDescribe", 1, group_ids=[m.group])["groups"][0]["error_code"]
                   not in NOT_YET, "the group is loaded")
        s = ShareSession(self, m.group, m.id)
        had = deliveries(self.got(s, place, 3))
        self.assertEqual(set(had), {0, 3, 5})
        self.assertEqual(had[5], 2)                 # it was told that this one came once
        self.assertError(s.acknowledge({place: [(0, 0, ACCEPT), (3, 3, ACCEPT), (5, 5, ACCEPT)]})[place], ERR.NONE)
        self.node.restart(kill=True)
        self.until(lambda client: client.call("ShareGroupDescribe", 1, group_ids=[m.group])["groups"][0]["error_code"]
                   not in NOT_YET, "the group is loaded")
        self.produce(self.client(), topic, [b"new"])
        self.assertEqual(self.got(ShareSession(self, m.group, m.id), place).values, {6: b"new"})


if __name__ == "__main__":
    unittest.main()
