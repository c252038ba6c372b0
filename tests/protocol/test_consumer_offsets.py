#!/usr/bin/env python3
"""Committed offsets of consumer groups of the new protocol: who may commit, read and delete them (KIP-848).

Goal: member ids and epochs in OffsetCommit, OffsetFetch and TxnOffsetCommit, and OffsetDelete, of every version. Method: requests of members,
of former members and of nobody; the tests pass against Apache Kafka as well (apache.py).
"""

import unittest

from consumer_groups import FIRST, LEAVE_STATIC, NO_ID, ConsumerGroupCase
from groups import NOTHING, Committed
from kafka import ERR
from txn import Producer


class OffsetsCase(ConsumerGroupCase):
    def commits(self, m, topic, offset=5, version=9, client=None, **fields):
        """One offset of partition 0, as @m; the partition's error code."""
        ids = {topic: self.ids[topic]} if version >= 10 else None
        return self.commit(client or m.client, m.group, {topic: {0: offset}}, version=version, topic_ids=ids,
                           **{**m.committing(), **fields})[topic][0]

    def offset(self, group, topic):
        return self.committed(self.client(), group, {topic: [0]})[topic][0].offset

    def fetches(self, m, topic, version=9, **fields):
        """(error code, offset of partition 0) as @m."""
        named = {"topic_id": self.ids[topic]} if version >= 10 else {"name": topic}
        group, = m.client.call("OffsetFetch", version, groups=[{
            "group_id": m.group, "topics": [{**named, "partition_indexes": [0]}],
            **({"member_id": m.id, "member_epoch": m.epoch} if version >= 9 else {}), **fields}])["groups"]
        if group["error_code"]:
            self.assertEqual(group["topics"], [])
            return group["error_code"], None
        row = group["topics"][0]["partitions"][0]
        return row["error_code"], row["committed_offset"]


class Commit(OffsetsCase):
    def test_member(self):
        """A member with its epoch, from version 9 on; before, a member of this protocol cannot commit: UNSUPPORTED_VERSION."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        for version in range(2, 9):
            with self.subTest(version=version):
                self.assertError(self.commits(m, topic, version, version=version), ERR.UNSUPPORTED_VERSION)
        self.assertEqual(self.offset(m.group, topic), -1)
        for version in (9, 10):
            with self.subTest(version=version):
                self.assertError(self.commits(m, topic, version, version=version), ERR.NONE)
                self.assertEqual(self.offset(m.group, topic), version)

    def test_wrong(self):
        """A newer epoch is STALE_MEMBER_EPOCH, a member that there is not UNKNOWN_MEMBER_ID, also with the right epoch, and a commit of nobody
        in a group that has members; nothing is committed."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        for version in (9, 10):
            for fields, expected in (({"generation_id_or_member_epoch": m.epoch + 1}, ERR.STALE_MEMBER_EPOCH),
                                     ({"generation_id_or_member_epoch": 0}, ERR.STALE_MEMBER_EPOCH),
                                     ({"generation_id_or_member_epoch": -1}, ERR.STALE_MEMBER_EPOCH),
                                     ({"member_id": "nobody"}, ERR.UNKNOWN_MEMBER_ID),
                                     ({"member_id": ""}, ERR.UNKNOWN_MEMBER_ID),
                                     ({"member_id": "", "generation_id_or_member_epoch": -1}, ERR.UNKNOWN_MEMBER_ID)):
                with self.subTest(version=version, fields=fields):
                    self.assertError(self.commits(m, topic, version=version, **fields), expected)
        self.assertEqual(self.offset(m.group, topic), -1)

    def test_former_epoch(self):
        """KIP-1251: the epoch before counts for partitions that the member has had since then; one that it has not makes all
        STALE_MEMBER_EPOCH. So it is after a restart, and for the one that got what another gave up."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        b = self.member(group, topic)
        b.join()
        a.beat(topic_partitions=a.rows())
        a.give_up()
        a.beat(topic_partitions=a.rows())
        self.assertEqual(a.epoch, FIRST + 1)
        kept, lost = min(a.owned[topic]), min({0, 1, 2, 3} - a.owned[topic])
        for partitions, epoch, expected in (({kept: 5}, FIRST, 0), ({kept: 6}, FIRST - 1, ERR.STALE_MEMBER_EPOCH),
                                            ({kept: 7, lost: 7}, FIRST, ERR.STALE_MEMBER_EPOCH),
                                            ({kept: 8, lost: 8}, FIRST + 1, 0)):
            with self.subTest(partitions=partitions, epoch=epoch):
                self.assertEqual(self.commit(a.client, group, {topic: partitions}, member_id=a.id,
                                             generation_id_or_member_epoch=epoch)[topic], {p: expected for p in partitions})
        b.beat(topic_partitions=[])
        b.take()
        self.node.restart(kill=True)
        self.wait_described(group)
        for m, p, expected in ((a, kept, 0), (a, lost, ERR.STALE_MEMBER_EPOCH), (b, lost, ERR.STALE_MEMBER_EPOCH)):
            answer = self.commit(self.client(), group, {topic: {p: 9}}, member_id=m.id, generation_id_or_member_epoch=FIRST)
            self.assertEqual(answer, {topic: {p: expected}})

    def test_giving_up(self):
        """A member that gives partitions up commits them with the epoch that it has until it has done so."""
        topic, group = self.topic(partitions=4), self.fresh("group")
        a, = self.joined(group, topic)
        self.member(group, topic).join()
        a.beat(topic_partitions=a.rows())
        lost = min(a.owned[topic] - a.told[topic])
        self.assertEqual(self.commit(a.client, group, {topic: {lost: 7}}, **a.committing()), {topic: {lost: 0}})

    def test_left(self):
        """Who has left, and whose group is Empty: nobody commits as a member, anybody without saying one."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        epoch = m.epoch
        m.leave()
        self.assertError(self.commits(m, topic, generation_id_or_member_epoch=epoch), ERR.UNKNOWN_MEMBER_ID)
        for version in range(2, 11):
            self.assertError(self.commits(m, topic, version, version=version, member_id="",
                                          generation_id_or_member_epoch=-1), ERR.NONE)
            self.assertEqual(self.offset(m.group, topic), version)

    def test_away(self):
        """A static member that is away commits no more."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic, instance="i")
        epoch = m.epoch
        m.leave(epoch=LEAVE_STATIC)
        self.assertError(self.commits(m, topic, generation_id_or_member_epoch=epoch), ERR.STALE_MEMBER_EPOCH)

    def test_no_group(self):
        """A group that there is not: with an epoch GROUP_ID_NOT_FOUND from version 9 on, ILLEGAL_GENERATION before; without, it is made."""
        topic = self.topic()
        m = self.member(self.fresh("group"), topic)
        for version in range(2, 11):
            with self.subTest(version=version):
                expected = ERR.GROUP_ID_NOT_FOUND if version >= 9 else ERR.ILLEGAL_GENERATION
                self.assertError(self.commits(m, topic, version=version, generation_id_or_member_epoch=1), expected)

    def test_topic_ids(self):
        """Version 10 names topics by id; one that there is not is UNKNOWN_TOPIC_ID, the others are committed."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        self.ids["none"] = bytes(range(16))
        answer = self.commit(m.client, m.group, {topic: {0: 3}, "none": {0: 4}}, version=10, topic_ids=self.ids,
                             **m.committing())
        self.assertEqual(answer, {topic: {0: 0}, "none": {0: ERR.UNKNOWN_TOPIC_ID}})
        self.assertEqual(self.offset(m.group, topic), 3)

    def test_instance(self):
        """A static member commits with its instance id; nobody looks at which one, as the member id says who it is."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic, instance="i")
        self.assertError(self.commits(m, topic, group_instance_id="i"), ERR.NONE)
        self.assertError(self.commits(m, topic, group_instance_id="another"), ERR.NONE)


class Fetch(OffsetsCase):
    def test_versions(self):
        """A member says its id and epoch from version 9 on; nobody need be one to read."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        self.assertError(self.commits(m, topic, 6), ERR.NONE)
        for version in (9, 10):
            self.assertEqual(self.fetches(m, topic, version), (0, 6))
            self.assertEqual(self.fetches(m, topic, version, member_id=None, member_epoch=-1), (0, 6))
        for version in range(1, 9):
            self.assertEqual(self.committed(m.client, m.group, {topic: [0]}, version=version),
                             {topic: {0: Committed(6)}})

    def test_wrong(self):
        """STALE_MEMBER_EPOCH with another epoch, UNKNOWN_MEMBER_ID with another id: the whole group's error, without topics."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        for version in (9, 10):
            for fields, expected in (({"member_epoch": m.epoch + 1}, ERR.STALE_MEMBER_EPOCH),
                                     ({"member_epoch": 0}, ERR.STALE_MEMBER_EPOCH),
                                     ({"member_epoch": -1}, ERR.STALE_MEMBER_EPOCH),
                                     ({"member_id": "nobody"}, ERR.UNKNOWN_MEMBER_ID),
                                     ({"member_id": ""}, ERR.UNKNOWN_MEMBER_ID)):
                with self.subTest(version=version, fields=fields):
                    self.assertEqual(self.fetches(m, topic, version, **fields), (expected, None))

    def test_all_topics(self):
        """All that is committed, with the member's epoch checked, too."""
        topic, other = self.topic(), self.topic()
        m, = self.joined(self.fresh("group"), topic)
        self.assertError(self.commits(m, topic, 6), ERR.NONE)
        self.assertError(self.commits(m, other, 7), ERR.NONE)
        for epoch, expected in ((m.epoch, ERR.NONE), (m.epoch + 1, ERR.STALE_MEMBER_EPOCH)):
            group, = m.client.call("OffsetFetch", 9, groups=[{
                "group_id": m.group, "topics": None, "member_id": m.id, "member_epoch": epoch}])["groups"]
            self.assertError(group["error_code"], expected)
            self.assertEqual({t["name"]: t["partitions"][0]["committed_offset"] for t in group["topics"]},
                             {} if expected else {topic: 6, other: 7})

    def test_no_group(self):
        """A group that there is not has nothing committed, whoever asks."""
        topic = self.topic()
        m = self.member(self.fresh("group"), topic)
        for version in (9, 10):
            self.assertEqual(self.fetches(m, topic, version, member_id=None, member_epoch=-1), (0, -1))
            self.assertEqual(self.fetches(m, topic, version, member_epoch=1), (0, -1))


class Transactions(OffsetsCase):
    def commits_txn(self, p, m, topic, offset, **fields):
        answer = p.client.call("TxnOffsetCommit", 5, transactional_id=p.name, group_id=m.group, producer_id=p.id,
                               producer_epoch=p.epoch, **{
                                   "member_id": m.id, "generation_id": m.epoch, "topics": [{"name": topic, "partitions": [
                                       {"partition_index": 0, "committed_offset": offset, "committed_metadata": ""}]}],
                                   **fields})
        return answer["topics"][0]["partitions"][0]["error_code"]

    def test_epochs(self):
        """KIP-447: with a member id and an epoch, these are checked; without, nobody need be a member."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        p = Producer(self, self.fresh("txn"))
        self.assertError(p.init(), ERR.NONE)
        for fields, expected in (({"generation_id": m.epoch + 1}, ERR.ILLEGAL_GENERATION),
                                 ({"generation_id": -1}, ERR.ILLEGAL_GENERATION),
                                 ({"member_id": "nobody"}, ERR.UNKNOWN_MEMBER_ID)):
            with self.subTest(fields=fields):
                self.assertError(self.commits_txn(p, m, topic, 3, **fields), expected)
        self.assertError(p.retried(lambda: (self.commits_txn(p, m, topic, 5), None))[0], ERR.NONE)
        self.assertEqual(self.offset(m.group, topic), -1)
        self.assertError(p.end(True), ERR.NONE)
        self.until(lambda _: self.offset(m.group, topic) == 5, "the transaction is committed")
        self.assertError(p.retried(lambda: (self.commits_txn(p, m, topic, 6, member_id="", generation_id=-1), None))[0],
                         ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.until(lambda _: self.offset(m.group, topic) == 6, "the transaction is committed")


class Delete(OffsetsCase):
    def deletes(self, group, *topics):
        answer = self.client().call("OffsetDelete", 0, group_id=group, topics=[
            {"name": t, "partitions": [{"partition_index": 0}]} for t in topics])
        if answer["error_code"]:
            return answer["error_code"]
        return {t["name"]: t["partitions"][0]["error_code"] for t in answer["topics"]}

    def test_subscribed(self):
        """Offsets of topics that any member is subscribed to, by name or by expression, stay: GROUP_SUBSCRIBED_TO_TOPIC; others go."""
        topic, other = self.topic(), self.topic()
        m, = self.joined(self.fresh("group"), topic)
        for t in (topic, other):
            self.assertError(self.commits(m, t), ERR.NONE)
        self.assertEqual(self.deletes(m.group, topic, other), {topic: ERR.GROUP_SUBSCRIBED_TO_TOPIC, other: 0})
        self.assertEqual(self.committed(self.client(), m.group), {topic: {0: Committed(5)}})

    def test_subscribed_by_expression(self):
        mark = self.fresh("re")
        topic = self.topic(name=f"{mark}-x")
        m = self.member(self.fresh("group"), regex=f"{mark}.*")
        m.join()
        m.take()
        self.until(lambda _: m.settle() or m.owned == {topic: {0}}, "it is found")
        self.assertError(self.commits(m, topic), ERR.NONE)
        self.assertEqual(self.deletes(m.group, topic), {topic: ERR.GROUP_SUBSCRIBED_TO_TOPIC})

    def test_empty(self):
        """Of an Empty group all go."""
        topic = self.topic()
        m, = self.joined(self.fresh("group"), topic)
        self.assertError(self.commits(m, topic), ERR.NONE)
        m.leave()
        self.assertEqual(self.deletes(m.group, topic), {topic: 0})
        self.assertEqual(self.committed(self.client(), m.group, {topic: [0]}), {topic: {0: NOTHING}})


if __name__ == "__main__":
    unittest.main()
