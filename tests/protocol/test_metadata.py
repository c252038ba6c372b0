#!/usr/bin/env python3
"""What clients are told of the cluster: Metadata, DescribeCluster, DescribeTopicPartitions, DescribeLogDirs, AlterReplicaLogDirs.

Goal: kafka-semantics items 63 and 64, and KIP-966's paging (each test names its item). Method: every version is
asked of topics that are there, that are not, and of all; the same facts must be told by each API.
"""

import time
import unittest

from case import NodeCase
from cluster import free_ports
from kafka import ERR, ClientError
from reference import BROKER, ReferenceCase

UNTOLD = -(1 << 31)             # authorized operations that were not asked for
# Bits of AclOperation: what Kafka tells where nobody is kept from anything.
OF_TOPICS = sum(1 << bit for bit in (3, 4, 5, 6, 7, 8, 10, 11))
OF_CLUSTER = sum(1 << bit for bit in (5, 7, 8, 9, 10, 11, 12))
NOBODY = b"\x07" * 16


class MetadataCase(ReferenceCase):
    def ask(self, version, topics=None, **fields):
        if version >= 4:
            fields.setdefault("allow_auto_topic_creation", False)
        return self.client().call("Metadata", version, topics=topics, **fields)

    def names(self, answer):
        return {t["name"] for t in answer["topics"]}


class Told(MetadataCase):
    def test_all_and_none(self):
        """Item 63: null asks for all topics and an empty list for none; in version 0 an empty list asks for all."""
        topics = {self.topic(), self.topic(partitions=3)}
        for version in range(14):
            with self.subTest(version=version):
                if version == 0:
                    self.assertLessEqual(topics, self.names(self.ask(0, [])))
                    continue
                self.assertLessEqual(topics, self.names(self.ask(version, None)))
                answer = self.ask(version, [])
                self.assertEqual(answer["topics"], [])
                self.assertEqual(len(answer["brokers"]), 1)

    def test_cluster(self):
        """Items 63, 64: brokers at the address that was connected to, a controller that is one of them, and a
        cluster id (version 2 on), the same in each version and in DescribeCluster."""
        ids = set()
        for version in range(14):
            with self.subTest(version=version):
                answer = self.ask(version, [])
                broker, = answer["brokers"]
                self.assertEqual((broker["host"], broker["port"]), (self.node.host, self.node.port))
                self.assertEqual(broker.get("rack"), None)
                if version >= 1:
                    self.assertEqual(answer["controller_id"], broker["node_id"])
                if version >= 2:
                    self.assertTrue(answer["cluster_id"])
                    ids.add(answer["cluster_id"])
                self.assertEqual(answer.get("error_code", 0), 0)
                self.assertEqual(answer.get("throttle_time_ms", 0), 0)
        ids.add(self.client().call("DescribeCluster", 0)["cluster_id"])
        self.assertEqual(len(ids), 1)

    def test_partitions(self):
        """Item 63: every partition once, in order, with a leader that is a known broker, among its replicas and in its
        ISR, and none offline."""
        topic = self.topic(partitions=3)
        for version in range(14):
            with self.subTest(version=version):
                answer = self.ask(version, [{"name": topic}])
                node = answer["brokers"][0]["node_id"]
                told, = answer["topics"]
                self.assertEqual((told["error_code"], told["name"], told.get("is_internal", False)), (0, topic, False))
                self.assertEqual(sorted(p["partition_index"] for p in told["partitions"]), [0, 1, 2])
                for part in told["partitions"]:
                    self.assertEqual((part["error_code"], part["leader_id"]), (0, node))
                    self.assertEqual((part["replica_nodes"], part["isr_nodes"]), ([node], [node]))
                    self.assertEqual(part.get("offline_replicas", []), [])
                    self.assertGreaterEqual(part.get("leader_epoch", 0), 0)
                if version >= 10:
                    self.assertEqual((len(told["topic_id"]), told["topic_id"] == bytes(16)), (16, False))

    def test_unknown(self):
        """Items 25, 63: a name that nobody has is error 3, a wrong one 17; without partitions, and not made."""
        for version in range(4, 14):
            with self.subTest(version=version):
                nobody, topic = self.fresh("nobody"), self.topic()
                answer = self.ask(version, [{"name": n} for n in (nobody, topic, "a b", "x" * 250)])
                told = {t["name"]: (t["error_code"], len(t["partitions"])) for t in answer["topics"]}
                self.assertEqual(told, {nobody: (3, 0), topic: (0, 1), "a b": (17, 0), "x" * 250: (17, 0)})
                self.assertNotIn(nobody, self.names(self.ask(version, None)))

    def test_named_twice(self):
        """Item 63: a topic that is named more than once is answered once, known or not."""
        topic = self.topic()
        for version in (1, 8, 12):
            answer = self.ask(version, [{"name": n} for n in (topic, "nobody", topic, "nobody", topic)])
            self.assertEqual([t["name"] for t in answer["topics"]].count(topic), 1)
            self.assertEqual(len(answer["topics"]), 2)

    def test_by_id(self):
        """Item 63: from version 12 on by id with a null name; an unknown id is 100 with a null name."""
        topic = self.topic(partitions=2)
        topic_id = self.topic_id(topic)
        for version in (12, 13):
            answer = self.ask(version, [{"topic_id": i, "name": None} for i in (topic_id, NOBODY)])
            told = {t["topic_id"]: (t["error_code"], t["name"], len(t["partitions"])) for t in answer["topics"]}
            self.assertEqual(told, {topic_id: (0, topic, 2), NOBODY: (ERR.UNKNOWN_TOPIC_ID, None, 0)})

    def test_by_id_too_early(self):
        """Item 63: versions 10 and 11 have the id but not the right to ask by it; they are answered all the same,
        with an empty name where there is none. (Kafka: INVALID_REQUEST.)"""
        topic = self.topic()
        self.chronikd_only("Kafka refuses")
        for version in (10, 11):
            answer = self.ask(version, [{"topic_id": i, "name": None} for i in (self.topic_id(topic), NOBODY)])
            self.assertEqual([(t["error_code"], t["name"]) for t in answer["topics"]],
                             [(0, topic), (ERR.UNKNOWN_TOPIC_ID, "")])

    def test_authorized_operations(self):
        """Item 63: operations are told where they are asked for, and else the value for untold."""
        topic = self.topic()
        for version in range(8, 14):
            for asked in (False, True):
                with self.subTest(version=version, asked=asked):
                    fields = {"include_cluster_authorized_operations": asked} if version <= 10 else {}
                    answer = self.ask(version, [{"name": topic}], include_topic_authorized_operations=asked, **fields)
                    self.assertEqual(answer["topics"][0]["topic_authorized_operations"], OF_TOPICS if asked else UNTOLD)
                    if version <= 10:
                        self.assertEqual(answer["cluster_authorized_operations"], OF_CLUSTER if asked else UNTOLD)

    def test_internal(self):
        """Item 63: internal topics are marked."""
        self.client().call("FindCoordinator", 2, key="g", key_type=0)
        self.wait_for_topic("__consumer_offsets", 50)
        for version in range(1, 14):
            told, = self.ask(version, [{"name": "__consumer_offsets"}])["topics"]
            self.assertEqual((told["error_code"], told["is_internal"], len(told["partitions"])), (0, True, 50))


class Lasting(MetadataCase):
    OWN = True

    def test_over_restarts(self):
        """Item 63: cluster id, topic ids and partitions are the same after a stop and after a SIGKILL, and there is
        always a leader when the node says that it is ready."""
        topic = self.topic(partitions=4)
        before = self.ask(12, [{"name": topic}])
        for kill in (False, True):
            self.node.restart(kill=kill)
            after = self.ask(12, [{"name": topic}])
            self.assertEqual(after["cluster_id"], before["cluster_id"])
            self.assertEqual(after["topics"][0]["topic_id"], before["topics"][0]["topic_id"])
            self.assertEqual([p["leader_id"] for p in after["topics"][0]["partitions"]], [before["controller_id"]] * 4)
            self.assertEqual(after["brokers"][0]["port"], self.node.port)


class Starting(NodeCase):
    """A node that starts again on the port that its clients know."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node.stop()
        cls.node.settings.append(f"server.kafka=127.0.0.1:{free_ports(1)[0]}")
        cls.node.start()

    def first_answer(self):
        """What the first client is told that is let in."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.client().call("Metadata", 12, topics=None)
            except (OSError, ClientError):
                self.assertLess(time.monotonic(), deadline, "an answer of the node that starts")
                time.sleep(0.002)

    def test_first_answer(self):
        """Clients are let in when the node is a broker again and leads its partitions. librdkafka forgets every broker that an
        answer does not name, and may then wait for ever."""
        topic = self.topic(partitions=50)
        for kill in (True, False, True):
            with self.subTest(kill=kill):
                self.node.kill() if kill else self.node.stop()
                before = self.node.begin()
                answer = self.first_answer()
                self.node.wait_ready(before)
                self.assertEqual([b["node_id"] for b in answer["brokers"]], [1])
                self.assertEqual(answer["controller_id"], 1)
                leaders = [p["leader_id"] for t in answer["topics"] if t["name"] == topic for p in t["partitions"]]
                self.assertEqual(leaders, [1] * 50)


class Cluster(MetadataCase):
    def test_versions(self):
        """DescribeCluster in every version: the broker, a controller, operations when asked."""
        for version in range(3):
            for asked in (False, True):
                fields = {"include_fenced_brokers": True} if version >= 2 else {}
                answer = self.client().call("DescribeCluster", version,
                                            include_cluster_authorized_operations=asked, **fields)
                self.assertEqual((answer["error_code"], answer["error_message"]), (0, None))
                self.assertEqual(answer.get("endpoint_type", 1), 1)
                self.assertEqual(answer["cluster_authorized_operations"], OF_CLUSTER if asked else UNTOLD)
                broker, = answer["brokers"]
                self.assertEqual((broker["host"], broker["port"]), (self.node.host, self.node.port))
                self.assertEqual(broker["rack"], None)
                self.assertEqual(broker.get("is_fenced", False), False)
                self.assertEqual(answer["controller_id"], broker["broker_id"])

    def test_endpoint_types(self):
        """DescribeCluster, KIP-919: this listener has no controllers (114), and other types are unknown (115)."""
        for version in (1, 2):
            for endpoint_type, error in ((2, ERR.MISMATCHED_ENDPOINT_TYPE), (9, ERR.UNSUPPORTED_ENDPOINT_TYPE)):
                answer = self.client().call("DescribeCluster", version, endpoint_type=endpoint_type)
                self.assertEqual((answer["error_code"], answer["brokers"]), (error, []))
                self.assertEqual((answer["endpoint_type"], answer["cluster_id"], answer["controller_id"]), (1, "", -1))
                self.assertTrue(answer["error_message"])


class Pages(MetadataCase):
    def page(self, names, limit=2000, cursor=None):
        """([(name, [partitions])], cursor)."""
        answer = self.client().call("DescribeTopicPartitions", 0, topics=[{"name": n} for n in names],
                                    response_partition_limit=limit, cursor=cursor and {
                                        "topic_name": cursor[0], "partition_index": cursor[1]})
        for topic in answer["topics"]:
            self.assertError(topic["error_code"], ERR.NONE)
        cursor = answer["next_cursor"]
        return ([(t["name"], [p["partition_index"] for p in t["partitions"]]) for t in answer["topics"]],
                cursor and (cursor["topic_name"], cursor["partition_index"]))

    def three(self):
        prefix = self.fresh("page")
        return [self.topic(n, name=f"{prefix}-{c}") for c, n in zip("abc", (3, 2, 1))]

    def test_whole(self):
        """DescribeTopicPartitions: topics in order of name, each once; replicas, ISR, empty ELR; the same facts as
        Metadata's."""
        a, b, c = self.three()
        self.assertEqual(self.page([c, a, b, a]), ([(a, [0, 1, 2]), (b, [0, 1]), (c, [0])], None))
        answer = self.client().call("DescribeTopicPartitions", 0, topics=[{"name": a}])
        told, = answer["topics"]
        self.assertEqual((told["topic_id"], told["is_internal"]), (self.topic_id(a), False))
        self.assertEqual(told["topic_authorized_operations"], OF_TOPICS)
        known = self.ask(12, [{"name": a}])["topics"][0]["partitions"]
        for part in told["partitions"]:
            self.assertEqual((part.pop("eligible_leader_replicas"), part.pop("last_known_elr")), ([], []))
        self.assertEqual(told["partitions"], sorted(known, key=lambda p: p["partition_index"]))

    def test_paging(self):
        """DescribeTopicPartitions: a limit of partitions, a cursor where the next page begins, and no cursor at the
        end; every limit gives all partitions once."""
        a, b, c = self.three()
        everything = [(a, 0), (a, 1), (a, 2), (b, 0), (b, 1), (c, 0)]
        for limit in range(1, 8):
            with self.subTest(limit=limit):
                seen, cursor = [], None
                for _ in range(10):
                    page, cursor = self.page([a, b, c], limit, cursor)
                    got = [(name, p) for name, parts in page for p in parts]
                    self.assertLessEqual(len(got), limit)
                    seen += got
                    if not cursor:
                        break
                    self.assertEqual(cursor, everything[len(seen)])
                self.assertEqual(seen, everything)

    def test_small_limits(self):
        """DescribeTopicPartitions: a limit below 1 is 1."""
        a, _, _ = self.three()
        for limit in (0, -5):
            self.assertEqual(self.page([a], limit), ([(a, [0])], (a, 1)))

    def test_all_topics(self):
        """DescribeTopicPartitions: no names means all topics, page by page, in order of name."""
        mine = self.three()
        seen, cursor = [], None
        for _ in range(1000):
            page, cursor = self.page([], 2, cursor)
            seen += [name for name, _ in page if name not in seen[-1:]]
            if not cursor:
                break
        self.assertEqual(seen, sorted(seen))
        self.assertEqual([n for n in seen if n in mine], mine)

    def test_cursor_behind_the_end(self):
        """DescribeTopicPartitions: a cursor behind the last partition gives the topic without partitions."""
        a, b, _ = self.three()
        self.assertEqual(self.page([a, b], 9, (a, 3)), ([(a, []), (b, [0, 1])], None))

    def test_wrong_cursors(self):
        """DescribeTopicPartitions: a negative partition, and a topic that was not asked for, are INVALID_REQUEST
        for each topic."""
        a, b, _ = self.three()
        for cursor in ((a, -1), (a + "5", 0)):
            answer = self.client().call("DescribeTopicPartitions", 0, topics=[{"name": a}, {"name": b}], cursor={
                "topic_name": cursor[0], "partition_index": cursor[1]})
            self.assertEqual([(t["name"], t["error_code"]) for t in answer["topics"]], [(a, 42), (b, 42)])
            self.assertEqual(answer["next_cursor"], None)

    def test_unknown(self):
        """DescribeTopicPartitions: unknown topics are 3, wrong names 17; they take nothing of the limit."""
        a, _, _ = self.three()
        answer = self.client().call("DescribeTopicPartitions", 0, response_partition_limit=3, topics=[
            {"name": n} for n in ("a b", a, "nobody")])
        self.assertEqual([(t["name"], t["error_code"], len(t["partitions"])) for t in answer["topics"]],
                         [("a b", 17, 0), ("nobody", 3, 0), (a, 0, 3)])
        self.assertEqual({t["topic_authorized_operations"] for t in answer["topics"]}, {OF_TOPICS})


class LogDirs(MetadataCase):
    def ask_dirs(self, version, topics):
        answer = self.client().call("DescribeLogDirs", version, topics=topics)
        self.assertEqual(answer.get("error_code", 0), 0)
        folder, = answer["results"]
        self.assertEqual((folder["error_code"], bool(folder["log_dir"])), (0, True))
        return folder

    def test_sizes(self):
        """DescribeLogDirs in every version: the folder, its space (version 4 on), and the bytes of each partition asked
        for; what is not there is left out."""
        topic = self.topic(partitions=2)
        self.assertError(self.produce(self.client(), topic, [b"x" * 1000])["error_code"], ERR.NONE)
        size = self.stored(topic)[0].size
        for version in range(1, 6):
            with self.subTest(version=version):
                folder = self.ask_dirs(version, [{"topic": topic, "partitions": [0, 1, 7]},
                                                 {"topic": self.fresh("nobody"), "partitions": [0]}])
                told, = folder["topics"]
                parts = {p["partition_index"]: (p["partition_size"], p["offset_lag"], p["is_future_key"])
                         for p in told["partitions"]}
                self.assertEqual((told["name"], parts), (topic, {0: (size, 0, False), 1: (0, 0, False)}))
                if version >= 4:
                    self.assertGreater(folder["total_bytes"], 0)
                    self.assertLessEqual(folder["usable_bytes"], folder["total_bytes"])
                if version >= 5:
                    self.assertFalse(folder["is_cordoned"])

    def test_all_and_none(self):
        """DescribeLogDirs: null asks for all, an empty list for none, a topic without partitions for none of it."""
        topic = self.topic(partitions=2)
        for version in range(1, 6):
            told = {t["name"]: len(t["partitions"]) for t in self.ask_dirs(version, None)["topics"]}
            self.assertEqual(told.get(topic), 2)
            self.assertEqual(self.ask_dirs(version, [])["topics"], [])
            self.assertEqual(self.ask_dirs(version, [{"topic": topic, "partitions": []}])["topics"], [])


class MoveReplicas(MetadataCase):
    def move(self, *dirs, version=2):
        """Each of @dirs is (path, {topic: partitions}). {(topic, partition): error}."""
        answer = self.client().call("AlterReplicaLogDirs", version, dirs=[
            {"path": path, "topics": [{"name": n, "partitions": p} for n, p in topics.items()]} for path, topics in dirs])
        told = [((t["topic_name"], p["partition_index"]), p["error_code"]) for t in answer["results"] for p in t["partitions"]]
        self.assertEqual(len(told), len(dict(told)), "a partition is told twice")
        self.assertEqual(len(answer["results"]), len({t["topic_name"] for t in answer["results"]}), "a topic is told twice")
        return dict(told)

    def test_moved(self):
        """KIP-113: the directory that DescribeLogDirs tells is fine for what is here, any other is not there, for whatever
        partition; of several wishes for one partition the last counts."""
        here = self.client().call("DescribeLogDirs", 1, topics=[])["results"][0]["log_dir"]
        topic, nobody = self.topic(partitions=2), self.fresh("nobody")
        fine, missing, unknown = ERR.NONE, ERR.LOG_DIR_NOT_FOUND, ERR.UNKNOWN_TOPIC_OR_PARTITION
        for version in (1, 2):
            for dirs, expected in (
                    ([(here, {topic: [1, 0]})], {(topic, 0): fine, (topic, 1): fine}),
                    ([(here, {topic: [0, 2, -1], nobody: [0], "a b": [0]})],
                     {(topic, 0): fine, (topic, 2): unknown, (topic, -1): unknown, (nobody, 0): unknown, ("a b", 0): unknown}),
                    ([("/no/such", {topic: [0, 7], nobody: [0]})],
                     {(topic, 0): missing, (topic, 7): missing, (nobody, 0): missing}),
                    ([("relative", {topic: [0]})], {(topic, 0): missing}), ([("", {topic: [0]})], {(topic, 0): missing}),
                    ([(here, {topic: [0]}), ("/no/such", {topic: [1]})], {(topic, 0): fine, (topic, 1): missing}),
                    ([(here, {topic: [0]}), ("/no/such", {topic: [0]})], {(topic, 0): missing}),
                    ([("/no/such", {topic: [0]}), (here, {topic: [0, 0]})], {(topic, 0): fine}),
                    ([], {}), ([(here, {})], {}), ([(here, {topic: []})], {})):
                with self.subTest(version=version, dirs=dirs):
                    self.assertEqual(self.move(*dirs, version=version), expected)
        self.assertError(self.produce(self.client(), topic, [b"x"])["error_code"], ERR.NONE)


class Deleted(MetadataCase):
    def test_gone_everywhere(self):
        """Item 48: a deleted topic is told by nobody."""
        topic = self.topic()
        topic_id = self.topic_id(topic)
        self.delete_topic(topic)
        if BROKER:
            time.sleep(2)
        self.assertNotIn(topic, self.names(self.ask(12, None)))
        self.assertEqual(self.ask(12, [{"name": topic}])["topics"][0]["error_code"], 3)
        self.assertEqual(self.ask(12, [{"topic_id": topic_id, "name": None}])["topics"][0]["error_code"], 100)
        answer = self.client().call("DescribeTopicPartitions", 0, topics=[{"name": topic}])
        self.assertEqual(answer["topics"][0]["error_code"], 3)
        answer = self.client().call("DescribeLogDirs", 4, topics=[{"topic": topic, "partitions": [0]}])
        self.assertEqual([t["name"] for t in answer["results"][0]["topics"] if t["name"] == topic], [])


if __name__ == "__main__":
    unittest.main()
