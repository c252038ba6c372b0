#!/usr/bin/env python3
"""Topics and partitions made and deleted.

Goal: kafka-semantics items 60 and 68, and what tools expect of DeleteTopics, InitProducerId and FindCoordinator.
Method: right and wrong requests in every version, with codes and counts as Kafka 4.3 gives them; what was made is
used at once.
"""

import unittest
from collections import Counter

from kafka import ERR
from reference import BROKER, ReferenceCase

NOBODY = b"\x07" * 16


def java_hash(text):
    """String.hashCode() of Java, for ASCII."""
    value = 0
    for c in text.encode():
        value = (31 * value + c) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def wanted(name, partitions=1, replicas=1, assignments=(), configs=()):
    return {"name": name, "num_partitions": partitions, "replication_factor": replicas,
            "assignments": [{"partition_index": i, "broker_ids": ids} for i, ids in assignments],
            "configs": [{"name": n, "value": v} for n, v in configs]}


class AdminCase(ReferenceCase):
    def create(self, *topics, version=7, **fields):
        """{name: answer}; a name that is answered twice fails."""
        answer = self.client().call("CreateTopics", version, topics=list(topics), **fields)["topics"]
        self.assertEqual(max(Counter(t["name"] for t in answer).values(), default=1), 1)
        return {t["name"]: t for t in answer}

    def refused(self, answer, error):
        self.assertError(answer["error_code"], error)
        if "error_message" in answer:
            self.assertTrue(answer["error_message"])

    def partitions(self, name):
        """How many partitions a topic has; 0: it is not there."""
        answer = self.client().call("Metadata", 9, topics=[{"name": name}], allow_auto_topic_creation=False)
        return len(answer["topics"][0]["partitions"])


class Create(AdminCase):
    def test_defaults(self):
        """Item 60: -1 partitions and copies are the defaults, told from version 5 on with the configurations, from 7 on
        with the id; without an error there is no message."""
        for version in range(2, 8):
            with self.subTest(version=version):
                name = self.fresh()
                answer = self.create(wanted(name, -1, -1, configs=[("retention.ms", "12345")]), version=version)[name]
                self.assertEqual((answer["error_code"], answer["error_message"]), (0, None))
                self.wait_for_topic(name)
                self.assertEqual(self.partitions(name), 1)
                if version >= 5:
                    self.assertEqual((answer["num_partitions"], answer["replication_factor"]), (1, 1))
                    configs = {c["name"]: c for c in answer["configs"]}
                    self.assertEqual((configs["retention.ms"]["value"], configs["retention.ms"]["config_source"]),
                                     ("12345", 1))
                    self.assertEqual((configs["cleanup.policy"]["value"], configs["cleanup.policy"]["config_source"]),
                                     ("delete", 5))
                    self.assertEqual(answer["topic_config_error_code"], 0)
                if version >= 7:
                    self.assertEqual(answer["topic_id"], self.topic_id(name))

    def test_ready_when_answered(self):
        """Item 60: a topic can be written and read when its creation is answered, all its partitions."""
        self.chronikd_only("Kafka answers before its brokers know the topic")
        for number in range(20):
            name, client = self.fresh(), self.client()
            answer = client.call("CreateTopics", 5, topics=[wanted(name, 5)])
            self.assertError(answer["topics"][0]["error_code"], ERR.NONE)
            for partition in range(5):
                self.assertError(self.produce(client, name, [b"x"], partition=partition)["error_code"], ERR.NONE)
                self.assertEqual(self.fetch(client, name, partition=partition)["high_watermark"], 1)

    def test_validate_only(self):
        """Item 60: with validate_only the answer is the same, and nothing is made."""
        for version in range(2, 8):
            with self.subTest(version=version):
                name = self.fresh()
                answer = self.create(wanted(name, 3), wanted(name + "-bad", 0), version=version, validate_only=True)
                self.assertError(answer[name]["error_code"], ERR.NONE)
                if version >= 5:
                    self.assertEqual((answer[name]["num_partitions"], answer[name]["replication_factor"]), (3, 1))
                self.refused(answer[name + "-bad"], ERR.INVALID_PARTITIONS)
                self.assertEqual(self.partitions(name), 0)

    def test_refusals(self):
        """Item 60: each fault has its code and a text that says what is wrong, in every version."""
        taken = self.topic(name=self.fresh("a.b"))
        cases = [
            (wanted(taken), ERR.TOPIC_ALREADY_EXISTS),
            (wanted(taken.replace(".", "_")), ERR.INVALID_TOPIC_EXCEPTION),
            (wanted("new", 0), ERR.INVALID_PARTITIONS),
            (wanted("new", -2), ERR.INVALID_PARTITIONS),
            (wanted("new", 1, 0), ERR.INVALID_REPLICATION_FACTOR),
            (wanted("new", 1, 2), ERR.INVALID_REPLICATION_FACTOR),
            (wanted("new", 1, -2), ERR.INVALID_REPLICATION_FACTOR),
            (wanted("new", -1, -1, [(0, [77])]), ERR.INVALID_REPLICA_ASSIGNMENT),
            (wanted("new", -1, -1, [(0, [])]), ERR.INVALID_REPLICA_ASSIGNMENT),
            (wanted("new", -1, -1, [(0, [1, 1])]), ERR.INVALID_REPLICA_ASSIGNMENT),
            (wanted("new", -1, -1, [(0, [1]), (2, [1])]), ERR.INVALID_REPLICA_ASSIGNMENT),
            (wanted("new", -1, -1, [(0, [1]), (0, [1])]), ERR.INVALID_REPLICA_ASSIGNMENT),
            (wanted("new", 1, 1, [(0, [1])]), ERR.INVALID_REQUEST),
            (wanted("new", configs=[("retention.ms", "soon")]), ERR.INVALID_CONFIG),
            (wanted("new", configs=[("min.insync.replicas", "0")]), ERR.INVALID_CONFIG),
            (wanted("new", configs=[("compression.type", "rar")]), ERR.INVALID_CONFIG),
            (wanted("new", configs=[("no.such.name", "1")]), ERR.INVALID_CONFIG),
            (wanted("new", configs=[("retention.ms", None)]), ERR.INVALID_CONFIG),
        ] + [(wanted(name), ERR.INVALID_TOPIC_EXCEPTION) for name in ("", ".", "..", "a b", "a/b", "\u00e4", "x" * 250)]
        for version in range(2, 8):
            for topic, error in cases:
                with self.subTest(version=version, topic=topic):
                    name = self.fresh("new") if topic["name"] == "new" else topic["name"]
                    answer = self.create({**topic, "name": name}, version=version)[name]
                    self.refused(answer, error)
                    if version >= 5:
                        self.assertEqual((answer["num_partitions"], answer["replication_factor"]), (-1, -1))
                    if version >= 7:
                        self.assertEqual(answer["topic_id"], bytes(16))

    def test_longest_name(self):
        """Item 25: 249 characters are a name."""
        name = (self.fresh("long-") + "x" * 249)[:249]
        self.assertError(self.create(wanted(name))[name]["error_code"], ERR.NONE)

    def test_named_twice(self):
        """Item 60: a topic named twice is INVALID_REQUEST, told once, and not made; the others are."""
        for version in range(2, 8):
            with self.subTest(version=version):
                twice, other = self.fresh("twice"), self.fresh("other")
                answer = self.create(wanted(twice), wanted(other), wanted(twice, 3), version=version)
                self.assertEqual(len(answer), 2)
                self.refused(answer[twice], ERR.INVALID_REQUEST)
                self.assertError(answer[other]["error_code"], ERR.NONE)
                self.assertEqual(self.partitions(twice), 0)

    def test_too_many(self):
        """One request creates at most 10,000 partitions; one that asks for more is refused whole, with what to do."""
        many, one = self.fresh(), self.fresh()
        answers = self.create(wanted(many, partitions=10_000), wanted(one))
        for answer in answers.values():
            self.refused(answer, ERR.POLICY_VIOLATION)
        self.assertIn("10000", answers[one]["error_message"])
        self.assertEqual((self.partitions(many), self.partitions(one)), (0, 0))

    def test_assigned(self):
        """Item 60: replicas given by the client, in any order of partitions."""
        node = self.client().call("DescribeCluster", 0)["brokers"][0]["broker_id"]
        name = self.fresh()
        answer = self.create(wanted(name, -1, -1, [(1, [node]), (0, [node])]))[name]
        self.assertEqual((answer["error_code"], answer["num_partitions"], answer["replication_factor"]), (0, 2, 1))

    def test_nothing(self):
        """Item 60: no topics asked, none answered."""
        for version in range(2, 8):
            self.assertEqual(self.create(version=version), {})


class Delete(AdminCase):
    def delete(self, version, names=(), ids=(), both=()):
        topics = [{"name": n} for n in names] + [{"topic_id": i} for i in ids] + [
            {"name": n, "topic_id": i} for n, i in both]
        fields = {"topics": topics} if version >= 6 else {"topic_names": list(names)}
        return self.client().call("DeleteTopics", version, timeout_ms=10000, **fields)["responses"]

    def test_by_name(self):
        """DeleteTopics in every version: topics go, and are unknown to Metadata, Fetch and Produce at once."""
        for version in range(1, 7):
            with self.subTest(version=version):
                one, two = self.topic(), self.topic(partitions=3)
                answers = {a["name"]: a for a in self.delete(version, [one, two, self.fresh("nobody")])}
                self.assertEqual(sorted(a["error_code"] for a in answers.values()), [0, 0, 3])
                self.assertEqual(answers[one].get("error_message"), None)
                if BROKER:
                    continue
                self.assertEqual(self.partitions(one), 0)
                self.assertError(self.produce(self.client(), one, [b"x"])["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
                self.assertError(self.fetch(self.client(), two)["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)

    def test_by_id(self):
        """DeleteTopics 6: by id; the answer has name and id. An id that nobody has is UNKNOWN_TOPIC_ID with no name."""
        topic = self.topic()
        topic_id = self.topic_id(topic)
        answers = {a["topic_id"]: a for a in self.delete(6, ids=[topic_id, NOBODY])}
        self.assertEqual((answers[topic_id]["error_code"], answers[topic_id]["name"]), (0, topic))
        self.assertEqual((answers[NOBODY]["error_code"], answers[NOBODY]["name"]), (ERR.UNKNOWN_TOPIC_ID, None))

    def test_unclear(self):
        """DeleteTopics: a name together with an id, neither, and a topic named twice are INVALID_REQUEST, each told
        once; nothing is deleted."""
        topic = self.topic(partitions=2)
        topic_id = self.topic_id(topic)
        unclear = [dict(both=[(topic, NOBODY)]), dict(both=[(topic, topic_id)]), dict(both=[(None, bytes(16))]),
                   dict(names=[topic, topic]), dict(ids=[topic_id, topic_id]), dict(ids=[NOBODY, NOBODY]),
                   dict(names=[topic], ids=[topic_id])]
        for version, asked in [(6, u) for u in unclear] + [(v, dict(names=[topic] * 3)) for v in range(1, 6)]:
            with self.subTest(version=version, asked=asked):
                answer, = self.delete(version, **asked)
                self.assertError(answer["error_code"], ERR.INVALID_REQUEST)
                self.assertEqual(self.partitions(topic), 2)


class Partitions(AdminCase):
    def grow(self, *topics, version=3, validate_only=False):
        """Topics are (name, count, list of replica lists or None). {name: answer}."""
        answer = self.client().call("CreatePartitions", version, timeout_ms=10000, validate_only=validate_only, topics=[
            {"name": n, "count": c, "assignments": a and [{"broker_ids": ids} for ids in a]}
            for n, c, a in topics])["results"]
        self.assertEqual(max(Counter(r["name"] for r in answer).values()), 1)
        return {r["name"]: r for r in answer}

    def test_up(self):
        """Item 68: partitions are added, with one result for each topic, and can be used; the old ones keep their
        records."""
        node = self.client().call("DescribeCluster", 0)["brokers"][0]["broker_id"]
        for version in range(4):
            with self.subTest(version=version):
                one, two = self.topic(), self.topic(partitions=2)
                self.assertError(self.produce(self.client(), one, [b"old"])["error_code"], ERR.NONE)
                answer = self.grow((one, 3, None), (two, 4, [[node], [node]]), version=version)
                self.assertEqual({n: (a["error_code"], a["error_message"]) for n, a in answer.items()},
                                 {one: (0, None), two: (0, None)})
                self.wait_for_topic(one, 3)
                self.wait_for_topic(two, 4)
                self.assertError(self.produce(self.client(), one, [b"new"], partition=2)["error_code"], ERR.NONE)
                self.assertEqual([len(self.stored(one, p)) for p in range(3)], [1, 0, 1])

    def test_validate_only(self):
        """Item 68: validate_only judges and changes nothing."""
        topic = self.topic()
        for version in range(4):
            self.assertError(self.grow((topic, 3, None), version=version, validate_only=True)[topic]["error_code"], 0)
            answer = self.grow((topic, 1, None), version=version, validate_only=True)
            self.refused(answer[topic], ERR.INVALID_PARTITIONS)
        self.assertEqual(self.partitions(topic), 1)

    def test_refusals(self):
        """Item 68: not up, unknown topics, and wrong assignments have their codes; so has a topic named twice, once."""
        topic = self.topic(partitions=2)
        cases = [((topic, 2, None), ERR.INVALID_PARTITIONS), ((topic, 1, None), ERR.INVALID_PARTITIONS),
                 ((topic, 0, None), ERR.INVALID_PARTITIONS), ((topic, -1, None), ERR.INVALID_PARTITIONS)]
        cases += [((topic, count, assignments), ERR.INVALID_REPLICA_ASSIGNMENT)
                  for count, assignments in ((4, [[1]]), (3, [[77]]), (3, [[]]), (3, [[1, 1]]))]
        for version in range(4):
            for case, error in cases:
                with self.subTest(version=version, case=case):
                    self.refused(self.grow(case, version=version)[topic], error)
            nobody, other = self.fresh("nobody"), self.topic()
            answer = self.grow((topic, 3, None), (nobody, 3, None), (topic, 4, None), (other, 2, None), version=version)
            self.assertEqual({n: a["error_code"] for n, a in answer.items()},
                             {topic: ERR.INVALID_REQUEST, nobody: ERR.UNKNOWN_TOPIC_OR_PARTITION, other: 0})
        self.assertEqual(self.partitions(topic), 2)


class Coordinators(AdminCase):
    def test_shape(self):
        """Item 58: one key until version 3, a list from 4 on; any key has a coordinator, and the answer keeps order and
        doubles. An unknown key type is INVALID_REQUEST with node -1."""
        client = self.client()
        here = (0, self.node.host, self.node.port)
        client.call("FindCoordinator", 3, key="first", key_type=0)
        self.wait_for_topic("__consumer_offsets", 50)
        for version in range(7):
            with self.subTest(version=version):
                if version < 4:
                    fields = {"key_type": 0} if version else {}
                    answer = client.call("FindCoordinator", version, key="group", **fields)
                    self.assertEqual((answer["error_code"], answer["host"], answer["port"]), here)
                    if version:
                        answer = client.call("FindCoordinator", version, key="group", key_type=9)
                        self.assertEqual((answer["error_code"], answer["node_id"], answer["host"], answer["port"]),
                                         (ERR.INVALID_REQUEST, -1, "", -1))
                    continue
                answer = client.call("FindCoordinator", version, key_type=0, coordinator_keys=["b", "a", "b", ""])
                self.assertEqual([c["key"] for c in answer["coordinators"]], ["b", "a", "b", ""])
                for c in answer["coordinators"]:
                    self.assertEqual((c["error_code"], c["host"], c["port"]), here)
                answer = client.call("FindCoordinator", version, key_type=9, coordinator_keys=["b"])
                self.assertEqual((answer["coordinators"][0]["error_code"], answer["coordinators"][0]["node_id"]),
                                 (ERR.INVALID_REQUEST, -1))

    def test_offsets_topic(self):
        """Item 58: the first question makes __consumer_offsets: 50 partitions, compacted, internal. A commit lies in
        partition abs(Java hash) % 50."""
        client = self.client()
        client.call("FindCoordinator", 2, key="g", key_type=0)
        self.wait_for_topic("__consumer_offsets", 50)
        answer = client.call("Metadata", 9, topics=[{"name": "__consumer_offsets"}])["topics"][0]
        self.assertEqual((len(answer["partitions"]), answer["is_internal"]), (50, True))
        answer = client.call("DescribeConfigs", 1, resources=[
            {"resource_type": 2, "resource_name": "__consumer_offsets", "configuration_keys": ["cleanup.policy"]}])
        self.assertEqual(answer["results"][0]["configs"][0]["value"], "compact")
        self.chronikd_only("other groups write there as well")
        topic = self.topic()
        for group in ("a", "group-with-a-name", "polygenelubricants"):      # the last one's hash is -2^31
            value = java_hash(group)
            place = (0 if value == -1 << 31 else abs(value)) % 50
            before = len(self.stored("__consumer_offsets", place))
            answer = client.call("OffsetCommit", 7, group_id=group, topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 1}]}])
            self.assertError(answer["topics"][0]["partitions"][0]["error_code"], ERR.NONE)
            self.assertGreater(len(self.stored("__consumer_offsets", place)), before, f"{group} is not in {place}")


class ProducerIds(AdminCase):
    def ask(self, version, **fields):
        answer = self.client().call("InitProducerId", version,
                                    **{"transactional_id": None, "transaction_timeout_ms": 60000, **fields})
        return answer["error_code"], answer["producer_id"], answer["producer_epoch"]

    def test_versions(self):
        """Item 42: every version gives an id that nobody had, with epoch 0; what a producer had before is only
        looked at with a transactional id."""
        seen = set()
        for version in range(6):
            for fields in ({}, {"producer_id": 5, "producer_epoch": 3} if version >= 3 else {}):
                error, producer_id, epoch = self.ask(version, **fields)
                self.assertEqual((error, epoch), (0, 0))
                self.assertNotIn(producer_id, seen)
                seen.add(producer_id)

    def test_refusals(self):
        """Item 42: an id without an epoch, an epoch without an id, and an empty transactional id: INVALID_REQUEST."""
        for version in range(6):
            wrong = [{"transactional_id": ""}]
            wrong += [{"producer_id": 5}, {"producer_epoch": 5}] if version >= 3 else []
            for fields in wrong:
                with self.subTest(version=version, fields=fields):
                    self.assertEqual(self.ask(version, **fields), (ERR.INVALID_REQUEST, -1, -1))


class ProducerIdsLast(AdminCase):
    OWN = True

    def test_unique_over_restarts(self):
        """Item 42: ids are never given again, over a stop and a SIGKILL, and beyond one block of them."""
        seen = []
        for kill in (False, True, True):
            client = self.client()
            for _ in range(1200):
                client.send("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=1000)
            answers = [client.receive() for _ in range(1200)]
            self.assertEqual({a["error_code"] for a in answers}, {0})
            seen += [a["producer_id"] for a in answers]
            self.node.restart(kill=kill)
        self.assertEqual(len(set(seen)), len(seen))


if __name__ == "__main__":
    unittest.main()
