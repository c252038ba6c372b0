#!/usr/bin/env python3
"""Committed offsets: OffsetCommit, OffsetFetch and OffsetDelete of every version, in every state of a group.

Goal: kafka-semantics items 53 (commits), 54, 55, and what 31 and 48 say about committed offsets (each test names its
item). Method: commits of members and of consumers without membership, read back in all versions; the tests pass against
Apache Kafka as well (apache.py).
"""

import unittest

from groups import NOTHING, Committed, GroupCase, subscription
from kafka import ERR

COMMITS = range(2, 11)
FETCHES = range(1, 11)
NO_ID = bytes(range(16))            # of no topic


class Simple(GroupCase):
    def ids(self, *topics):
        return {t: self.topic_id(t) for t in topics}

    def test_commit_and_fetch_in_every_version(self):
        """Items 31, 54 and 55: a consumer without membership commits in each version and gets offset, metadata and,
        from version 6 on, leader epoch back in each version; the group exists from then on."""
        client, topic = self.client(), self.topic(3)
        ids = self.ids(topic)
        for version in COMMITS:
            group = self.fresh("group")
            offsets = {0: (100 + version, 7, "métadata"), 2: (1 << 40, 8, "")}
            answer = self.commit(client, group, {topic: offsets}, version=version, topic_ids=ids)
            self.assertEqual(answer, {topic: {0: 0, 2: 0}})
            self.assertEqual(self.listed(client)[group]["group_state"], "Empty")
            for fetch in FETCHES:
                with self.subTest(commit=version, fetch=fetch):
                    name = ids[topic] if fetch >= 10 else topic
                    got = self.committed(client, group, {name: [0, 1, 2]}, version=fetch)
                    knows = version >= 6 and fetch >= 5
                    self.assertEqual(got, {name: {
                        0: Committed(100 + version, 7 if knows else -1, "métadata"), 1: NOTHING,
                        2: Committed(1 << 40, 8 if knows else -1)}})

    def test_nothing_committed(self):
        """Item 55: an unknown group, topic or partition has offset -1, epoch -1 and error 0; asking creates no
        group."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        for version in range(1, 10):
            with self.subTest(version=version):
                got = self.committed(client, group, {topic: [0, 99], "no-such-topic": [0]}, version=version)
                self.assertEqual(got, {topic: {0: NOTHING, 99: NOTHING}, "no-such-topic": {0: NOTHING}})
                if version >= 2:
                    self.assertEqual(self.committed(client, group, None, version=version), {})
                self.assertEqual(self.committed(client, group, {}, version=version), {})
        self.assertNotIn(group, self.listed(client))

    def test_fetch_all(self):
        """Item 55: topics = null, from version 2 on, is all that the group has committed."""
        client, group = self.client(), self.fresh("group")
        topics = [self.topic(2) for _ in range(3)]
        ids = self.ids(*topics)
        self.commit(client, group, {t: {1: (i, 3, "m"), 0: i} for i, t in enumerate(topics)})
        for version in range(2, 11):
            with self.subTest(version=version):
                key = ids.get if version >= 10 else str
                epoch = 3 if version >= 5 else -1
                self.assertEqual(self.committed(client, group, None, version=version), {
                    key(t): {0: Committed(i), 1: Committed(i, epoch, "m")} for i, t in enumerate(topics)})

    def test_several_groups(self):
        """Item 55, KIP-709: from version 8 several groups in one request, each with its own topics, in their
        order."""
        client, topics = self.client(), [self.topic(), self.topic()]
        groups = [self.fresh("group") for _ in range(8)]
        ids = self.ids(*topics)
        for i, g in enumerate(groups[:-1]):
            self.commit(client, g, {topics[i % 2]: {0: i}})
        for version in (8, 9, 10):
            name = (lambda t: {"topic_id": ids[t]}) if version >= 10 else (lambda t: {"name": t})
            with self.subTest(version=version):
                answer = client.call("OffsetFetch", version, groups=[
                    {"group_id": g, "topics": None if i % 3 == 0 else [{**name(topics[0]), "partition_indexes": [0]}]}
                    for i, g in enumerate(groups)])
                self.assertEqual([g["group_id"] for g in answer["groups"]], groups)
                for i, g in enumerate(answer["groups"]):
                    self.assertError(g["error_code"], ERR.NONE)
                    rows = [(t["topic_id"] if version >= 10 else t["name"],
                             [p["committed_offset"] for p in t["partitions"]]) for t in g["topics"]]
                    wanted, offset = (topics[i % 2], i) if i % 3 == 0 else (topics[0], i if i % 2 == 0 else -1)
                    self.assertEqual(rows, [(ids[wanted] if version >= 10 else wanted, [offset])]
                                     if i < len(groups) - 1 or i % 3 else [])
            self.assertEqual(client.call("OffsetFetch", version, groups=[])["groups"], [])

    def test_topic_ids(self):
        """Items 54 and 55: version 10 names topics by id; one that is not known is UNKNOWN_TOPIC_ID beside those that
        are."""
        client, topic, group = self.client(), self.topic(2), self.fresh("group")
        ids = {topic: self.topic_id(topic), "unknown": NO_ID}
        answer = self.commit(client, group, {topic: {0: 5, 9: 1}, "unknown": {0: 1, 1: 1}}, version=10, topic_ids=ids)
        self.assertEqual(answer, {topic: {0: 0, 9: ERR.UNKNOWN_TOPIC_OR_PARTITION},
                                  "unknown": {0: ERR.UNKNOWN_TOPIC_ID, 1: ERR.UNKNOWN_TOPIC_ID}})
        got = self.committed(client, group, {ids[topic]: [0, 1], NO_ID: [0, 1]}, version=10)
        self.assertEqual(got[ids[topic]], {0: Committed(5), 1: NOTHING})
        self.assertEqual(got[NO_ID], {p: Committed(-1, error=ERR.UNKNOWN_TOPIC_ID) for p in (0, 1)})

    def test_unknown_partitions(self):
        """Item 54: a topic or partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION for itself alone."""
        client, topic = self.client(), self.topic(2)
        for version in range(2, 10):
            with self.subTest(version=version):
                group = self.fresh("group")
                answer = self.commit(client, group, {"no-such-topic": {0: 1}, topic: {0: 1, 2: 1, -1: 1}},
                                     version=version)
                self.assertEqual(answer, {"no-such-topic": {0: ERR.UNKNOWN_TOPIC_OR_PARTITION}, topic: {
                    0: 0, 2: ERR.UNKNOWN_TOPIC_OR_PARTITION, -1: ERR.UNKNOWN_TOPIC_OR_PARTITION}})
                self.assertEqual(self.committed(client, group), {topic: {0: Committed(1)}})

    def test_metadata_limit(self):
        """Item 54: 4096 units of metadata are kept as they are; one more is OFFSET_METADATA_TOO_LARGE for that
        partition. null is kept as empty."""
        client, topic = self.client(), self.topic(6)
        for version in range(2, 10):
            with self.subTest(version=version):
                group = self.fresh("group")
                texts = {0: "x" * 4096, 1: "y" * 4097, 2: "é" * 4096, 3: "é" * 4097, 4: None, 5: "\U0001f600" * 2048}
                answer = self.commit(client, group, {topic: {p: (p, -1, t) for p, t in texts.items()}}, version=version)
                self.assertEqual(answer[topic], {0: 0, 1: ERR.OFFSET_METADATA_TOO_LARGE, 2: 0,
                                                 3: ERR.OFFSET_METADATA_TOO_LARGE, 4: 0, 5: 0})
                self.assertEqual(self.committed(client, group)[topic], {
                    p: Committed(p, -1, t or "") for p, t in texts.items() if p not in (1, 3)})

    def test_only_into_an_empty_group(self):
        """Item 54: without membership a commit is for Empty groups only; into a live one it is UNKNOWN_MEMBER_ID."""
        client, topic = self.client(), self.topic()
        m, = self.stable(self.fresh("group"), topic)
        for version in range(2, 10):
            with self.subTest(version=version):
                self.assertEqual(self.commit(client, m.group, {topic: {0: 1}}, version=version),
                                 {topic: {0: ERR.UNKNOWN_MEMBER_ID}})
        self.assertEqual(self.committed(client, m.group), {})
        self.assertError(m.commit(topic, 5), ERR.NONE)
        self.assertError(m.leave(), ERR.NONE)
        self.assertEqual(self.commit(client, m.group, {topic: {0: 3}}), {topic: {0: 0}})
        self.assertEqual(self.committed(client, m.group), {topic: {0: Committed(3)}})

    def test_unknown_group(self):
        """Items 53 and 54: a commit of a generation of a group that does not exist is ILLEGAL_GENERATION, from
        version 9 on GROUP_ID_NOT_FOUND, and does not create it."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        ids = {topic: self.topic_id(topic)}
        for version in COMMITS:
            with self.subTest(version=version):
                answer = self.commit(client, group, {topic: {0: 1}}, version=version, topic_ids=ids, member_id="m",
                                     generation_id_or_member_epoch=1)
                self.assertEqual(answer, {topic: {
                    0: ERR.GROUP_ID_NOT_FOUND if version >= 9 else ERR.ILLEGAL_GENERATION}})
        self.assertNotIn(group, self.listed(client))

    def test_group_without_a_name(self):
        """Item 54: consumers may keep offsets under the empty group id, as old clients do."""
        client, topic = self.client(), self.topic()
        self.assertEqual(self.commit(client, "", {topic: {0: 12}}), {topic: {0: 0}})
        self.assertEqual(self.committed(client, "", {topic: [0]}), {topic: {0: Committed(12)}})

    def test_commits_overwrite(self):
        """Item 54: the last commit counts, also one that goes back; a request that names a partition twice keeps its
        last word."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        for offset in (5, 9, 2, 0):
            self.assertEqual(self.commit(client, group, {topic: {0: offset}}), {topic: {0: 0}})
            self.assertEqual(self.committed(client, group), {topic: {0: Committed(offset)}})
        rows = [{"partition_index": 0, "committed_offset": o} for o in (20, 30)]
        client.call("OffsetCommit", 9, group_id=group, generation_id_or_member_epoch=-1, member_id="",
                    topics=[{"name": topic, "partitions": rows}])
        self.assertEqual(self.committed(client, group), {topic: {0: Committed(30)}})

    def test_nothing_to_commit(self):
        """Item 54: a commit of no partition is answered with none."""
        client = self.client()
        for version in COMMITS:
            self.assertEqual(self.commit(client, self.fresh("group"), {}, version=version, topic_ids={}), {})

    def test_require_stable(self):
        """Item 55, KIP-447: without transactions every offset is stable; the flag changes nothing."""
        client, topic, group = self.client(), self.topic(), self.fresh("group")
        self.commit(client, group, {topic: {0: 4}})
        for version in (7, 8, 9):
            got = self.committed(client, group, {topic: [0, 1]}, version=version, require_stable=True)
            self.assertEqual(got, {topic: {0: Committed(4), 1: NOTHING}})


class Members(GroupCase):
    def test_commit_in_every_state(self):
        """Item 53: with its generation a member commits when Stable and in PreparingRebalance; in CompletingRebalance
        it gets REBALANCE_IN_PROGRESS with the new generation and ILLEGAL_GENERATION with the old one."""
        topic = self.topic()
        for version in range(2, 10):
            with self.subTest(version=version):
                group, beside = self.fresh("group"), self.client()
                leader, follower = self.stable(group, topic, count=2)
                self.assertError(follower.commit(topic, 10, version=version), ERR.NONE)
                follower.protocols = [("range", subscription(topic, "more"))]
                follower.send_join()
                self.wait_state(group, "PreparingRebalance")
                self.assertError(leader.commit(topic, 11, version=version), ERR.NONE)
                self.assertError(follower.commit(topic, 12, version=version, client=beside), ERR.NONE)
                leader.join()
                follower.receive_join()
                self.assertEqual(self.state(beside, group), "CompletingRebalance")
                self.assertError(leader.commit(topic, 13, version=version), ERR.REBALANCE_IN_PROGRESS)
                self.assertError(leader.commit(topic, 13, version=version, generation_id_or_member_epoch=1),
                                 ERR.ILLEGAL_GENERATION)
                self.assertEqual(self.committed(beside, group), {topic: {0: Committed(12)}})
                self.settle_sync([leader, follower])
                self.assertError(leader.commit(topic, 14, version=version), ERR.NONE)
                self.assertEqual(self.committed(beside, group), {topic: {0: Committed(14)}})

    def test_wrong_member(self):
        """Item 53: unknown members 25, other generations 22, instance ids from version 7; nothing is committed."""
        topic = self.topic()
        m, = self.stable(self.fresh("group"), topic)
        for version in range(2, 10):
            with self.subTest(version=version):
                self.assertError(m.commit(topic, 1, version=version, member_id="stranger"), ERR.UNKNOWN_MEMBER_ID)
                for generation in (0, 2, -1):
                    self.assertError(m.commit(topic, 1, version=version, generation_id_or_member_epoch=generation),
                                     ERR.ILLEGAL_GENERATION)
                if version >= 7:
                    self.assertError(m.commit(topic, 1, version=version, group_instance_id="nobody"),
                                     ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.committed(self.client(), m.group), {})

    def test_member_of_an_emptied_group(self):
        """Item 53: who has left commits no more, with its old generation or the next one."""
        topic = self.topic()
        m, = self.stable(self.fresh("group"), topic)
        self.assertError(m.leave(), ERR.NONE)
        for generation in (1, 2):
            self.assertError(m.commit(topic, 1, generation_id_or_member_epoch=generation), ERR.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.committed(self.client(), m.group), {})

    def test_error_stands_with_every_partition(self):
        """Item 53: a commit that is refused says so for each partition that was named."""
        topic, other = self.topic(2), self.topic()
        m, = self.stable(self.fresh("group"), topic)
        answer = self.commit(m.client, m.group, {topic: {0: 1, 1: 1}, other: {0: 1}}, member_id=m.id,
                             generation_id_or_member_epoch=9)
        self.assertEqual(answer, {topic: dict.fromkeys((0, 1), ERR.ILLEGAL_GENERATION),
                                  other: {0: ERR.ILLEGAL_GENERATION}})


class Delete(GroupCase):
    def delete(self, client, group, topics):
        answer = client.call("OffsetDelete", 0, group_id=group, topics=[
            {"name": t, "partitions": [{"partition_index": p} for p in parts]} for t, parts in topics.items()])
        return answer["error_code"], {t["name"]: {p["partition_index"]: p["error_code"] for p in t["partitions"]}
                                      for t in answer["topics"]}

    def test_offsets_are_deleted(self):
        """Item 54, KIP-496: named offsets of an Empty group go, others stay; one that was never committed is no
        error, a partition that does not exist is."""
        client, topic, group = self.client(), self.topic(3), self.fresh("group")
        self.commit(client, group, {topic: {0: 1, 1: 2}})
        self.assertEqual(self.delete(client, group, {topic: [0, 2, 9], "no-such-topic": [0]}), (0, {
            topic: {0: 0, 2: 0, 9: ERR.UNKNOWN_TOPIC_OR_PARTITION},
            "no-such-topic": {0: ERR.UNKNOWN_TOPIC_OR_PARTITION}}))
        self.assertEqual(self.committed(client, group), {topic: {1: Committed(2)}})

    def test_group_that_is_not_there(self):
        """Item 54: GROUP_ID_NOT_FOUND, on top."""
        self.assertEqual(self.delete(self.client(), self.fresh("group"), {self.topic(): [0]}),
                         (ERR.GROUP_ID_NOT_FOUND, {}))

    def test_live_groups(self):
        """Item 54: a live group of consumers keeps the offsets of what it is subscribed to and loses others; of
        another protocol type it is NON_EMPTY_GROUP."""
        client, topic, other = self.client(), self.topic(), self.topic()
        m, = self.stable(self.fresh("group"), topic)
        for t in (topic, other):
            self.assertError(m.commit(t, 5), ERR.NONE)
        self.assertEqual(self.delete(client, m.group, {topic: [0], other: [0]}),
                         (0, {topic: {0: ERR.GROUP_SUBSCRIBED_TO_TOPIC}, other: {0: 0}}))
        self.assertEqual(self.committed(client, m.group), {topic: {0: Committed(5)}})
        m, = self.stable(self.fresh("group"), protocol_type="connect", protocols=[("default", b"")])
        self.assertError(m.commit(topic, 5), ERR.NONE)
        self.assertEqual(self.delete(client, m.group, {topic: [0]}), (ERR.NON_EMPTY_GROUP, {}))

    def test_deleted_topic(self):
        """Item 48: with a topic go the offsets that were committed for it; a topic of the same name begins
        without."""
        client, topic, kept = self.client(), self.topic(), self.topic()
        groups = [self.fresh("group") for _ in range(6)]
        for g in groups:
            self.commit(client, g, {topic: {0: 7}, kept: {0: 8}})
        m, = self.stable(self.fresh("group"), topic)
        self.assertError(m.commit(topic, 9), ERR.NONE)
        old_id = self.topic_id(topic)
        answer = client.call("DeleteTopics", 6, topics=[{"name": topic}], timeout_ms=10000)
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE)
        self.until(lambda c: self.commit(c, self.fresh("group"), {topic: {0: 1}})
                   == {topic: {0: ERR.UNKNOWN_TOPIC_OR_PARTITION}}, "the topic is gone")
        for g in groups:
            self.until(lambda c: self.committed(c, g) == {kept: {0: Committed(8)}}, "the offsets are gone")
        self.until(lambda c: self.committed(c, m.group) == {}, "the member's offset is gone")
        self.topic(name=topic)
        self.assertEqual(self.committed(client, groups[0], {topic: [0]}), {topic: {0: NOTHING}})
        self.assertNotEqual(self.topic_id(topic), old_id)
        self.assertEqual(self.commit(client, groups[0], {topic: {0: 1}}, version=10, topic_ids={topic: old_id}),
                         {topic: {0: ERR.UNKNOWN_TOPIC_ID}})
        self.assertError(m.commit(topic, 0), ERR.NONE)


if __name__ == "__main__":
    unittest.main()
