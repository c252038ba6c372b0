#!/usr/bin/env python3
"""Configurations told and changed: DescribeConfigs, IncrementalAlterConfigs, AlterConfigs.

Goal: kafka-semantics items 61 and 62 (each test names its item). Method: what is changed by one API is read with
the other, with its source and synonyms; every wrong change must leave all as it was.
"""

import unittest

from kafka import ERR
from reference import ReferenceCase

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
SOURCE_TOPIC, SOURCE_BROKER, SOURCE_ALL_BROKERS, SOURCE_STATIC, SOURCE_DEFAULT = 1, 2, 3, 4, 5
SOURCE_CLIENT_METRICS, SOURCE_GROUP = 7, 8
TYPE_BOOLEAN, TYPE_STRING, TYPE_INT, TYPE_LONG, TYPE_DOUBLE, TYPE_LIST = 1, 2, 3, 5, 6, 7

# What a topic of Kafka 4.3 has, but for the two of its remote storage that switch it off.
TOPIC_NAMES = {
    "cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level",
    "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes", "leader.replication.throttled.replicas", "local.retention.bytes", "local.retention.ms",
    "max.compaction.lag.ms", "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
    "message.timestamp.type", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas",
    "preallocate",
    "remote.storage.enable", "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes",
    "segment.jitter.ms", "segment.ms", "unclean.leader.election.enable",
}
# Names that tools ask brokers for.
BROKER_NAMES = {
    "advertised.listeners", "auto.create.topics.enable", "broker.id", "compression.type", "default.replication.factor",
    "delete.topic.enable", "listeners", "log.cleanup.policy", "log.dir", "log.dirs", "log.retention.bytes",
    "log.retention.hours", "log.retention.ms", "log.roll.ms", "log.segment.bytes", "message.max.bytes",
    "min.insync.replicas", "node.id", "num.network.threads", "num.partitions", "offsets.retention.minutes",
    "offsets.topic.num.partitions", "offsets.topic.replication.factor", "process.roles",
    "unclean.leader.election.enable",
}


class ConfigCase(ReferenceCase):
    def describe(self, resource_type, name, keys=None, version=4, **fields):
        """The whole answer for one resource."""
        answer = self.client().call("DescribeConfigs", version, **fields, resources=[
            {"resource_type": resource_type, "resource_name": name, "configuration_keys": keys}])
        result, = answer["results"]
        self.assertEqual((result["resource_type"], result["resource_name"]), (resource_type, name))
        return result

    def configs(self, *args, **fields):
        result = self.describe(*args, **fields)
        self.assertError(result["error_code"], ERR.NONE, result["error_message"])
        return {c["name"]: c for c in result["configs"]}

    def value(self, resource_type, name, key):
        """(value, source) of one configuration."""
        config = self.configs(resource_type, name, [key])[key]
        return config["value"], config["config_source"]

    def alter(self, resource_type, name, *changes, version=1, **fields):
        """Changes are (name, operation, value). The answer for the resource."""
        answer = self.client().call("IncrementalAlterConfigs", version, **fields, resources=[
            {"resource_type": resource_type, "resource_name": name, "configs": [
                {"name": n, "config_operation": o, "value": v} for n, o, v in changes]}])
        result, = answer["responses"]
        self.assertEqual((result["resource_type"], result["resource_name"]), (resource_type, name))
        return result

    def altered(self, *args, **fields):
        result = self.alter(*args, **fields)
        self.assertEqual((result["error_code"], result["error_message"]), (0, None))

    def refused(self, result, error):
        self.assertError(result["error_code"], error, result["error_message"])
        self.assertTrue(result["error_message"])

    def broker(self):
        return str(self.client().call("DescribeCluster", 0)["brokers"][0]["broker_id"])


class Described(ConfigCase):
    def test_topic_has_all(self):
        """Item 61: every configuration of a topic is told, under Kafka's names, each with value, source and flags, in
        every version."""
        topic = self.topic(retention_ms=1234)
        for version in range(1, 5):
            for keys in (None, []):
                with self.subTest(version=version, keys=keys):
                    configs = self.configs(TOPIC, topic, keys, version=version)
                    self.assertEqual(TOPIC_NAMES - set(configs), set())
                    for name, config in configs.items():
                        self.assertEqual((config["read_only"], config["is_sensitive"]), (False, False), name)
                        self.assertIsNotNone(config["value"], name)
                        self.assertEqual(config["synonyms"], [])
                        self.assertEqual(config.get("documentation"), None)
                    self.assertEqual((configs["retention.ms"]["value"], configs["retention.ms"]["config_source"]),
                                     ("1234", SOURCE_TOPIC))
                    self.assertEqual(configs["cleanup.policy"]["config_source"], SOURCE_DEFAULT)

    def test_types(self):
        """Item 61: from version 3 on each configuration has its type."""
        topic = self.topic()
        expected = {"retention.ms": TYPE_LONG, "segment.bytes": TYPE_INT, "cleanup.policy": TYPE_LIST,
                    "compression.type": TYPE_STRING, "preallocate": TYPE_BOOLEAN,
                    "min.cleanable.dirty.ratio": TYPE_DOUBLE, "max.message.bytes": TYPE_INT,
                    "leader.replication.throttled.replicas": TYPE_LIST}
        for version in (3, 4):
            configs = self.configs(TOPIC, topic, list(expected), version=version)
            self.assertEqual({n: c["config_type"] for n, c in configs.items()}, expected)

    def test_key_filter(self):
        """Item 61: named keys alone are told; a name that is none is left out."""
        topic = self.topic()
        for version in range(1, 5):
            configs = self.configs(TOPIC, topic, ["retention.ms", "no.such", "segment.bytes"], version=version)
            self.assertEqual(sorted(configs), ["retention.ms", "segment.bytes"])
            self.assertEqual(self.configs(TOPIC, topic, ["no.such"], version=version), {})

    def test_documentation(self):
        """Item 61: each configuration of topics and brokers has a text when it is asked for."""
        topic, broker = self.topic(), self.broker()
        for version in (3, 4):
            for resource in ((TOPIC, topic), (BROKER, broker)):
                for name, config in self.configs(*resource, version=version, include_documentation=True).items():
                    self.assertTrue(config["documentation"] or config["is_sensitive"], name)

    def test_synonyms(self):
        """Items 61, 62: synonyms are told when asked for, from the nearest to the default: the topic's, this broker's,
        all brokers', the default; what is deleted falls back to the next."""
        topic, broker = self.topic(), self.broker()

        def seen():
            config = self.configs(TOPIC, topic, ["max.message.bytes"], include_synonyms=True)["max.message.bytes"]
            return config["value"], config["config_source"], [(s["name"], s["value"], s["source"])
                                                              for s in config["synonyms"]]
        default = ("message.max.bytes", "1048588", SOURCE_DEFAULT)
        everywhere = ("message.max.bytes", "1048590", SOURCE_ALL_BROKERS)
        here = ("message.max.bytes", "1048591", SOURCE_BROKER)
        own = ("max.message.bytes", "1048592", SOURCE_TOPIC)
        self.assertEqual(seen(), ("1048588", SOURCE_DEFAULT, [default]))
        self.addCleanup(self.alter, BROKER, "", ("message.max.bytes", DELETE, None))
        self.addCleanup(self.alter, BROKER, broker, ("message.max.bytes", DELETE, None))
        self.altered(BROKER, "", ("message.max.bytes", SET, "1048590"))
        self.until(lambda: seen() == ("1048590", SOURCE_ALL_BROKERS, [everywhere, default]))
        self.altered(BROKER, broker, ("message.max.bytes", SET, "1048591"))
        self.until(lambda: seen() == ("1048591", SOURCE_BROKER, [here, everywhere, default]))
        self.altered(TOPIC, topic, ("max.message.bytes", SET, "1048592"))
        self.until(lambda: seen() == ("1048592", SOURCE_TOPIC, [own, here, everywhere, default]))
        self.altered(BROKER, broker, ("message.max.bytes", DELETE, None))
        self.until(lambda: seen() == ("1048592", SOURCE_TOPIC, [own, everywhere, default]))
        self.altered(TOPIC, topic, ("max.message.bytes", DELETE, None))
        self.until(lambda: seen() == ("1048590", SOURCE_ALL_BROKERS, [everywhere, default]))

    def test_broker(self):
        """Item 61: a broker tells all under Kafka's names; what cannot be changed is read-only; its synonyms end with
        the default."""
        configs = self.configs(BROKER, self.broker(), include_synonyms=True)
        self.assertEqual(BROKER_NAMES - set(configs), set())
        for name in ("num.partitions", "auto.create.topics.enable", "log.dirs", "process.roles"):
            self.assertTrue(configs[name]["read_only"], name)
        for name in ("message.max.bytes", "log.retention.ms", "log.cleanup.policy"):
            self.assertFalse(configs[name]["read_only"], name)
        self.assertEqual(configs["num.partitions"]["value"], "1")
        self.assertEqual(configs["auto.create.topics.enable"]["value"], "true")
        self.assertEqual([(s["value"], s["source"]) for s in configs["num.partitions"]["synonyms"]],
                         [("1", SOURCE_DEFAULT)])

    def test_all_brokers(self):
        """Items 61, 62: the resource "" tells what is set for all brokers, and no more."""
        before = set(self.configs(BROKER, ""))
        self.assertLessEqual(before, {"min.insync.replicas"})       # which Kafka sets by itself
        self.addCleanup(self.alter, BROKER, "", ("log.retention.ms", DELETE, None))
        self.altered(BROKER, "", ("log.retention.ms", SET, "777000"))
        self.until(lambda: set(self.configs(BROKER, "")) == before | {"log.retention.ms"})
        self.assertEqual(self.value(BROKER, "", "log.retention.ms"), ("777000", SOURCE_ALL_BROKERS))
        self.assertEqual(self.value(BROKER, self.broker(), "log.retention.ms"), ("777000", SOURCE_ALL_BROKERS))

    def test_refusals(self):
        """Item 61: unknown topics 3, wrong names 17, other brokers and unknown kinds 42; nothing is told then."""
        for version in range(1, 5):
            for resource, error in (((TOPIC, self.fresh("nobody")), ERR.UNKNOWN_TOPIC_OR_PARTITION),
                                    ((TOPIC, "a b"), ERR.INVALID_TOPIC_EXCEPTION),
                                    ((BROKER, "77"), ERR.INVALID_REQUEST), ((BROKER, "x"), ERR.INVALID_REQUEST),
                                    ((0, "1"), ERR.INVALID_REQUEST), ((99, "1"), ERR.INVALID_REQUEST)):
                with self.subTest(version=version, resource=resource):
                    result = self.describe(*resource, version=version)
                    self.assertError(result["error_code"], error)
                    self.assertEqual(result["configs"], [])
                    self.assertEqual(bool(result["error_message"]), error != ERR.UNKNOWN_TOPIC_OR_PARTITION)

    def test_several(self):
        """Item 61: each resource has its answer, in the order asked."""
        topic, nobody, broker = self.topic(), self.fresh("nobody"), self.broker()
        asked = [(BROKER, broker), (TOPIC, nobody), (TOPIC, topic)]
        answer = self.client().call("DescribeConfigs", 4, resources=[
            {"resource_type": t, "resource_name": n, "configuration_keys": ["compression.type"]} for t, n in asked])
        told = {(r["resource_type"], r["resource_name"]): r["error_code"] for r in answer["results"]}
        self.assertEqual(told, {asked[0]: 0, asked[1]: 3, asked[2]: 0})


class Incremental(ConfigCase):
    def test_set_and_delete(self):
        """Item 62: SET changes one configuration and leaves the others, DELETE goes back to what is below."""
        for version in (0, 1):
            topic = self.topic(segment_ms=100000)
            self.altered(TOPIC, topic, ("retention.ms", SET, "5000"), ("flush.ms", SET, "70"), version=version)
            self.until(lambda: self.value(TOPIC, topic, "retention.ms") == ("5000", SOURCE_TOPIC))
            self.assertEqual(self.value(TOPIC, topic, "segment.ms"), ("100000", SOURCE_TOPIC))
            self.altered(TOPIC, topic, ("retention.ms", DELETE, None), ("flush.ms", DELETE, "ignored"), version=version)
            self.until(lambda: self.value(TOPIC, topic, "retention.ms") == ("604800000", SOURCE_DEFAULT))
            self.altered(TOPIC, topic, ("retention.ms", DELETE, None), version=version)
            self.assertEqual(self.value(TOPIC, topic, "segment.ms"), ("100000", SOURCE_TOPIC))

    def test_lists(self):
        """Item 62: APPEND starts from the value that holds, and adds what is missing; SUBTRACT takes away what is
        there."""
        topic, key = self.topic(), "leader.replication.throttled.replicas"
        steps = [("cleanup.policy", APPEND, "compact", "delete,compact"),
                 ("cleanup.policy", APPEND, "compact", "delete,compact"),
                 ("cleanup.policy", SUBTRACT, "delete", "compact"), ("cleanup.policy", SUBTRACT, "delete", "compact"),
                 (key, APPEND, "0:1,1:1", "0:1,1:1"), (key, APPEND, "2:1,0:1", "0:1,1:1,2:1"),
                 (key, SUBTRACT, "0:1,1:1", "2:1")]
        for name, operation, operand, expected in steps:
            with self.subTest(name=name, operation=operation, operand=operand):
                self.altered(TOPIC, topic, (name, operation, operand))
                self.until(lambda: self.value(TOPIC, topic, name) == (expected, SOURCE_TOPIC))

    def test_refusals_change_nothing(self):
        """Item 62: a wrong change is refused with its code, and the right ones beside it are not done."""
        topic = self.topic()
        cases = [([("retention.ms", SET, "soon")], ERR.INVALID_CONFIG), ([("no.such", SET, "1")], ERR.INVALID_CONFIG),
                 ([("min.insync.replicas", SET, "0")], ERR.INVALID_CONFIG),
                 ([("retention.ms", APPEND, "1")], ERR.INVALID_CONFIG),
                 ([("cleanup.policy", APPEND, "burn")], ERR.INVALID_CONFIG),
                 ([("retention.ms", SET, None)], ERR.INVALID_REQUEST),
                 ([("cleanup.policy", APPEND, None)], ERR.INVALID_REQUEST),
                 ([("retention.ms", SET, "1000"), ("retention.ms", DELETE, None)], ERR.INVALID_REQUEST)]
        for version in (0, 1):
            for changes, error in cases:
                with self.subTest(version=version, changes=changes):
                    result = self.alter(TOPIC, topic, ("segment.ms", SET, "123456"), *changes, version=version)
                    self.refused(result, error)
            for resource, error in (((TOPIC, self.fresh("nobody")), ERR.UNKNOWN_TOPIC_OR_PARTITION),
                                    ((TOPIC, "a b"), ERR.INVALID_TOPIC_EXCEPTION), ((TOPIC, ""), ERR.INVALID_REQUEST),
                                    ((BROKER, "77"), ERR.INVALID_REQUEST), ((BROKER, "x"), ERR.INVALID_REQUEST),
                                    ((0, "1"), ERR.INVALID_REQUEST), ((99, "1"), ERR.INVALID_REQUEST)):
                with self.subTest(version=version, resource=resource):
                    self.assertError(self.alter(*resource, ("retention.ms", SET, "1"), version=version)["error_code"],
                                     error)
        self.assertEqual([c for c in self.configs(TOPIC, topic).values() if c["config_source"] == SOURCE_TOPIC], [])

    def test_unknown_operation(self):
        """Item 62: an operation that is none is INVALID_REQUEST. (Kafka: UNKNOWN_SERVER_ERROR.)"""
        topic = self.topic()
        self.chronikd_only("Kafka fails")
        for operation in (4, 127, -1):
            self.refused(self.alter(TOPIC, topic, ("retention.ms", operation, "1")), ERR.INVALID_REQUEST)

    def test_validate_only(self):
        """Item 62: validate_only judges and changes nothing."""
        topic = self.topic()
        for version in (0, 1):
            self.altered(TOPIC, topic, ("retention.ms", SET, "5000"), version=version, validate_only=True)
            self.refused(self.alter(TOPIC, topic, ("retention.ms", SET, "x"), version=version, validate_only=True),
                         ERR.INVALID_CONFIG)
            self.assertEqual(self.value(TOPIC, topic, "retention.ms"), ("604800000", SOURCE_DEFAULT))

    def test_resource_twice(self):
        """Item 62: a resource named twice is INVALID_REQUEST."""
        topic = self.topic()
        resource = {"resource_type": TOPIC, "resource_name": topic, "configs": [
            {"name": "retention.ms", "config_operation": SET, "value": "5000"}]}
        for version in (0, 1):
            answer = self.client().call("IncrementalAlterConfigs", version, resources=[resource, resource])
            self.assertEqual({r["error_code"] for r in answer["responses"]}, {int(ERR.INVALID_REQUEST)})
        self.assertEqual(self.value(TOPIC, topic, "retention.ms"), ("604800000", SOURCE_DEFAULT))

    def test_each_resource_alone(self):
        """Item 62: a fault of one resource does not keep the others."""
        good, bad = self.topic(), self.topic()
        answer = self.client().call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": TOPIC, "resource_name": name, "configs": [
                {"name": "retention.ms", "config_operation": SET, "value": value}]}
            for name, value in ((bad, "x"), (good, "5000"))])
        self.assertEqual({r["resource_name"]: r["error_code"] for r in answer["responses"]},
                         {bad: ERR.INVALID_CONFIG, good: 0})
        self.until(lambda: self.value(TOPIC, good, "retention.ms") == ("5000", SOURCE_TOPIC))

    def test_read_only_broker(self):
        """Item 62: what a broker cannot change while it runs is refused. (Kafka has INVALID_REQUEST for it.)"""
        result = self.alter(BROKER, self.broker(), ("log.dirs", SET, "/elsewhere"))
        self.assertIn(result["error_code"], (ERR.INVALID_CONFIG, ERR.INVALID_REQUEST))

    def test_in_effect(self):
        """Items 16, 62: a change holds for the next request: max.message.bytes."""
        topic, client = self.topic(), self.client()
        self.altered(TOPIC, topic, ("max.message.bytes", SET, "2000"))
        self.until(lambda: self.produce(client, topic, [b"x" * 3000])["error_code"] == ERR.MESSAGE_TOO_LARGE)
        self.altered(TOPIC, topic, ("max.message.bytes", DELETE, None))
        self.until(lambda: self.produce(client, topic, [b"x" * 3000])["error_code"] == 0)


class Replacing(ConfigCase):
    def replace(self, name, *pairs, version=2, resource_type=TOPIC, **fields):
        answer = self.client().call("AlterConfigs", version, **fields, resources=[
            {"resource_type": resource_type, "resource_name": name, "configs": [
                {"name": n, "value": v} for n, v in pairs]}])
        result, = answer["responses"]
        return result

    def own(self, topic):
        return {n: c["value"] for n, c in self.configs(TOPIC, topic).items() if c["config_source"] == SOURCE_TOPIC}

    def test_replaces_the_set(self):
        """Item 62: AlterConfigs replaces all that is set; what is not named goes back to its default."""
        for version in range(3):
            topic = self.topic(retention_ms=1000, segment_ms=2000)
            result = self.replace(topic, ("retention.ms", "5000"), ("flush.ms", "60"), version=version)
            self.assertEqual((result["error_code"], result["error_message"]), (0, None))
            self.until(lambda: self.own(topic) == {"retention.ms": "5000", "flush.ms": "60"})
            self.assertError(self.replace(topic, version=version)["error_code"], ERR.NONE)
            self.until(lambda: self.own(topic) == {})

    def test_refusals_change_nothing(self):
        """Item 62: a wrong value or name is 40, a null or a name given twice 42, an unknown topic 3; all stays."""
        topic = self.topic(retention_ms=1000)
        for version in range(3):
            for pairs, error in (([("segment.ms", "x")], ERR.INVALID_CONFIG), ([("no.such", "1")], ERR.INVALID_CONFIG),
                                 ([("segment.ms", None)], ERR.INVALID_REQUEST),
                                 ([("segment.ms", "1000"), ("segment.ms", "2000")], ERR.INVALID_REQUEST)):
                with self.subTest(version=version, pairs=pairs):
                    self.refused(self.replace(topic, ("flush.ms", "60"), *pairs, version=version), error)
            self.assertError(self.replace(self.fresh("nobody"), version=version)["error_code"],
                             ERR.UNKNOWN_TOPIC_OR_PARTITION)
            self.assertError(self.replace("a b", version=version)["error_code"], ERR.INVALID_TOPIC_EXCEPTION)
            result = self.replace(topic, ("flush.ms", "60"), version=version, validate_only=True)
            self.assertError(result["error_code"], ERR.NONE)
        self.assertEqual(self.own(topic), {"retention.ms": "1000"})


class ClientMetrics(ConfigCase):
    """Subscriptions to client metrics as resources with configurations (KIP-714)."""

    def subscription(self, **configs):
        name = self.fresh("subscription")
        self.altered(CLIENT_METRICS, name, *((k.replace("_", "."), SET, v) for k, v in configs.items()))
        self.addCleanup(self.alter, CLIENT_METRICS, name, *((k, DELETE, None) for k in ("interval.ms", "match", "metrics")))
        return name

    def seen(self, name):
        return {n: (c["value"], c["config_source"]) for n, c in self.configs(CLIENT_METRICS, name).items()}

    def test_told(self):
        """KIP-714: what is set is told with its source, the rest, and a subscription that is not there, with the defaults."""
        default = {"interval.ms": ("300000", SOURCE_DEFAULT), "match": ("", SOURCE_DEFAULT), "metrics": ("", SOURCE_DEFAULT)}
        self.assertEqual(self.seen(self.fresh("nobody")), default)
        name = self.subscription(interval_ms="100", match="client_id=a.*,client_source_port=[0-9]+")
        self.until(lambda: self.seen(name) == {
            **default, "interval.ms": ("100", SOURCE_CLIENT_METRICS),
            "match": ("client_id=a.*,client_source_port=[0-9]+", SOURCE_CLIENT_METRICS)})
        for version in (3, 4):
            configs = self.configs(CLIENT_METRICS, name, version=version, include_synonyms=True, include_documentation=True)
            self.assertEqual({n: c["config_type"] for n, c in configs.items()},
                             {"interval.ms": TYPE_INT, "match": TYPE_LIST, "metrics": TYPE_LIST})
            self.assertEqual([[(s["name"], s["value"], s["source"]) for s in c["synonyms"]] for c in configs.values()],
                             [[(n, c["value"], c["config_source"])] if c["config_source"] != SOURCE_DEFAULT else []
                              for n, c in configs.items()])
            self.assertTrue(all(c["documentation"] for c in configs.values()))
        self.assertEqual(list(self.configs(CLIENT_METRICS, name, ["metrics", "no.such"])), ["metrics"])
        self.altered(CLIENT_METRICS, name, ("interval.ms", DELETE, None), ("match", DELETE, None))
        self.until(lambda: self.seen(name) == default)
        self.refused(self.describe(CLIENT_METRICS, ""), ERR.INVALID_REQUEST)

    def test_refusals_change_nothing(self):
        """KIP-714: a wrong value has Kafka's error, and none of the changes that came with it is made."""
        name = self.subscription(interval_ms="1000")
        self.until(lambda: self.seen(name)["interval.ms"][0] == "1000")
        for change, error in (
                (("interval.ms", SET, "99"), ERR.INVALID_REQUEST), (("interval.ms", SET, "3600001"), ERR.INVALID_REQUEST),
                (("interval.ms", SET, "-1"), ERR.INVALID_REQUEST), (("interval.ms", SET, "soon"), ERR.INVALID_CONFIG),
                (("interval.ms", SET, ""), ERR.INVALID_CONFIG), (("interval.ms", SET, None), ERR.INVALID_REQUEST),
                (("interval.ms", APPEND, "1"), ERR.INVALID_CONFIG), (("match", SET, "client_id=["), ERR.INVALID_CONFIG),
                (("match", SET, "host=a"), ERR.INVALID_CONFIG), (("match", SET, "client_id"), ERR.INVALID_CONFIG),
                (("match", SET, "client_id="), ERR.INVALID_CONFIG), (("match", APPEND, "client_id=a"), ERR.INVALID_CONFIG),
                (("no.such", SET, "1"), ERR.INVALID_REQUEST)):
            with self.subTest(change=change):
                self.refused(self.alter(CLIENT_METRICS, name, ("metrics", SET, "x"), change), error)
                self.assertEqual(self.seen(name)["metrics"][0], "")
                self.assertEqual(self.seen(name)["interval.ms"][0], "1000")
        self.refused(self.alter(CLIENT_METRICS, "", ("interval.ms", SET, "1000")), ERR.INVALID_REQUEST)

    def test_limits(self):
        """The shortest and the longest interval, every attribute, and every metric are fine; a name too long for the store is not."""
        name = self.subscription(interval_ms="3600000", metrics="*", match=",".join(f"client_{a}=.*" for a in (
            "instance_id", "id", "software_name", "software_version", "source_address", "source_port")))
        self.altered(CLIENT_METRICS, name, ("interval.ms", SET, "100"))
        self.chronikd_only("Kafka has no such limit")
        self.refused(self.alter(CLIENT_METRICS, "x" * 241, ("interval.ms", SET, "1000")), ERR.INVALID_REQUEST)

    def test_replaced(self):
        """AlterConfigs: what is not named goes back to its default."""
        name = self.subscription(interval_ms="1000")
        answer = self.client().call("AlterConfigs", 2, resources=[
            {"resource_type": CLIENT_METRICS, "resource_name": name, "configs": [{"name": "metrics", "value": "a."}]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])
        self.until(lambda: self.seen(name)["metrics"] == ("a.", SOURCE_CLIENT_METRICS))
        self.assertEqual(self.seen(name)["interval.ms"], ("300000", SOURCE_DEFAULT))


class Groups(ConfigCase):
    """Groups as resources with configurations (KIP-848, KIP-932); a group need not be there."""
    SESSION, HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    DEFAULTS = {
        SESSION: "45000", HEARTBEAT: "5000", "share.session.timeout.ms": "45000", "share.heartbeat.interval.ms": "5000",
        "share.record.lock.duration.ms": "30000", "share.delivery.count.limit": "5", "share.partition.max.record.locks": "2000",
        "share.auto.offset.reset": "latest", "share.isolation.level": "read_uncommitted", "share.renew.acknowledge.enable": "true",
    }

    def group(self, **configs):
        name = self.fresh("group")
        self.altered(GROUP, name, *((k.replace("_", "."), SET, v) for k, v in configs.items()))
        self.addCleanup(self.alter, GROUP, name, *((k, DELETE, None) for k in self.DEFAULTS))
        return name

    def seen(self, name, **fields):
        configs = self.configs(GROUP, name, list(self.DEFAULTS), **fields)
        return {n: (c["value"], c["config_source"]) for n, c in configs.items()}

    def test_told(self):
        """What is set is told with its source, the rest with what the broker has; deleted, it is the default again."""
        default = {n: (v, SOURCE_DEFAULT) for n, v in self.DEFAULTS.items()}
        self.assertEqual(self.seen(self.fresh("group")), default)
        name = self.group(consumer_session_timeout_ms="50000", share_auto_offset_reset="by_duration:PT36H")
        self.until(lambda: self.seen(name) == {**default, self.SESSION: ("50000", SOURCE_GROUP),
                                               "share.auto.offset.reset": ("by_duration:PT36H", SOURCE_GROUP)})
        for version in range(1, 5):
            self.assertEqual(self.seen(name, version=version)[self.SESSION], ("50000", SOURCE_GROUP))
        configs = self.configs(GROUP, name, include_synonyms=True, include_documentation=True)
        self.assertEqual({n: c["config_type"] for n, c in configs.items() if n in self.DEFAULTS}, {
            **dict.fromkeys(self.DEFAULTS, TYPE_INT), "share.auto.offset.reset": TYPE_STRING,
            "share.isolation.level": TYPE_STRING, "share.renew.acknowledge.enable": TYPE_BOOLEAN})
        self.assertEqual([(s["name"], s["value"], s["source"]) for s in configs[self.SESSION]["synonyms"]],
                         [(self.SESSION, "50000", SOURCE_GROUP), ("group." + self.SESSION, "45000", SOURCE_DEFAULT)])
        self.assertTrue(all(configs[n]["documentation"] for n in self.DEFAULTS))
        self.altered(GROUP, name, (self.SESSION, DELETE, None), ("share.auto.offset.reset", DELETE, None))
        self.until(lambda: self.seen(name) == default)
        self.refused(self.describe(GROUP, ""), ERR.INVALID_REQUEST)

    def test_refusals_change_nothing(self):
        """A wrong value, or one out of the broker's bounds, has Kafka's error, and none of the changes beside it is made."""
        name = self.group(consumer_session_timeout_ms="50000")
        self.until(lambda: self.seen(name)[self.SESSION][0] == "50000")
        for key, value, error in (
                (self.SESSION, "44999", ERR.INVALID_CONFIG), (self.SESSION, "60001", ERR.INVALID_CONFIG),
                (self.SESSION, "soon", ERR.INVALID_CONFIG), (self.SESSION, None, ERR.INVALID_REQUEST),
                (self.HEARTBEAT, "4999", ERR.INVALID_CONFIG), (self.HEARTBEAT, "15001", ERR.INVALID_CONFIG),
                ("share.record.lock.duration.ms", "1000", ERR.INVALID_CONFIG),
                ("share.delivery.count.limit", "11", ERR.INVALID_CONFIG),
                ("share.partition.max.record.locks", "99", ERR.INVALID_CONFIG),
                ("share.auto.offset.reset", "none", ERR.INVALID_CONFIG), ("share.isolation.level", "any", ERR.INVALID_CONFIG),
                ("share.renew.acknowledge.enable", "no", ERR.INVALID_CONFIG), ("retention.ms", "1", ERR.INVALID_CONFIG)):
            with self.subTest(key=key, value=value):
                self.refused(self.alter(GROUP, name, ("share.session.timeout.ms", SET, "46000"), (key, SET, value)), error)
        self.refused(self.alter(GROUP, name, (self.SESSION, APPEND, "46000")), ERR.INVALID_CONFIG)
        self.refused(self.alter(GROUP, "", (self.SESSION, SET, "46000")), ERR.INVALID_REQUEST)
        self.altered(GROUP, name, (self.SESSION, SET, "46000"), validate_only=True)
        self.assertEqual({n: v for n, v in self.seen(name).items() if v[1] == SOURCE_GROUP},
                         {self.SESSION: ("50000", SOURCE_GROUP)})

    def test_replaced(self):
        """AlterConfigs: what is not named goes back to its default."""
        name = self.group(consumer_session_timeout_ms="50000")
        answer = self.client().call("AlterConfigs", 2, resources=[
            {"resource_type": GROUP, "resource_name": name, "configs": [{"name": "share.isolation.level", "value": "read_committed"}]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])
        self.until(lambda: self.seen(name)["share.isolation.level"] == ("read_committed", SOURCE_GROUP))
        self.assertEqual(self.seen(name)[self.SESSION], ("45000", SOURCE_DEFAULT))

    def test_listed(self):
        """KIP-1142: a group is listed while anything is set for it."""
        def listed():
            answer = self.client().call("ListConfigResources", 1, resource_types=[GROUP])
            return [r["resource_name"] for r in answer["config_resources"] if r["resource_type"] == GROUP]
        name = self.group(consumer_session_timeout_ms="50000")
        self.until(lambda: name in listed())
        self.altered(GROUP, name, (self.SESSION, DELETE, None))
        self.until(lambda: name not in listed())


class Listed(ConfigCase):
    def listed(self, version, types=None):
        answer = self.client().call("ListConfigResources", version, **({} if types is None else {"resource_types": types}))
        self.assertError(answer["error_code"], ERR.NONE)
        return [(r.get("resource_type", CLIENT_METRICS), r["resource_name"]) for r in answer["config_resources"]]

    def test_listed(self):
        """KIP-1142: each type by itself, several (named twice counts once), and all when none is named; version 0 knows
        client metrics only."""
        topic, broker, name = self.topic(), self.broker(), self.fresh("subscription")
        self.altered(CLIENT_METRICS, name, ("interval.ms", SET, "1000"))
        self.until(lambda: (CLIENT_METRICS, name) in self.listed(0))
        self.assertEqual({t for t, _ in self.listed(0)}, {CLIENT_METRICS})
        self.assertIn((TOPIC, topic), self.listed(1, [TOPIC]))
        self.assertEqual(self.listed(1, [BROKER]), [(BROKER, broker)])
        self.assertEqual(self.listed(1, [CLIENT_METRICS]), self.listed(0))
        self.assertEqual({t for t, _ in self.listed(1, [GROUP])} - {GROUP}, set())
        self.assertEqual(sorted(self.listed(1, [BROKER, TOPIC, BROKER])), sorted(self.listed(1, [BROKER]) + self.listed(1, [TOPIC])))
        self.assertEqual(sorted(self.listed(1, [])), sorted(
            r for t in (TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP) for r in self.listed(1, [t])))
        self.altered(CLIENT_METRICS, name, ("interval.ms", DELETE, None))
        self.until(lambda: (CLIENT_METRICS, name) not in self.listed(0))

    def test_unknown_type(self):
        """KIP-1142: a type that nobody has a list of is UNSUPPORTED_VERSION, whatever else is asked for."""
        for types in ([0], [1], [3], [64], [127], [-1], [-128], [TOPIC, 99]):
            with self.subTest(types=types):
                answer = self.client().call("ListConfigResources", 1, resource_types=types)
                self.assertError(answer["error_code"], ERR.UNSUPPORTED_VERSION)
                self.assertEqual(answer["config_resources"], [])


class Lasting(ConfigCase):
    OWN = True

    def test_over_a_kill(self):
        """Items 61, 62: what was set for topics and brokers is there after a SIGKILL, with its sources."""
        topic, broker = self.topic(), self.broker()
        self.altered(TOPIC, topic, ("retention.ms", SET, "5000"))
        self.altered(BROKER, "", ("log.retention.ms", SET, "777000"))
        self.altered(BROKER, broker, ("message.max.bytes", SET, "2000000"))
        self.node.restart(kill=True)
        self.assertEqual(self.value(TOPIC, topic, "retention.ms"), ("5000", SOURCE_TOPIC))
        self.assertEqual(self.value(TOPIC, topic, "max.message.bytes"), ("2000000", SOURCE_BROKER))
        self.assertEqual(self.value(BROKER, broker, "log.retention.ms"), ("777000", SOURCE_ALL_BROKERS))


class Started(ConfigCase):
    SETTINGS = ["topics.num_partitions=3", "topics.auto_create=false"]

    def test_static(self):
        """Item 61: what the node was started with has the source STATIC_BROKER_CONFIG, above the default."""
        configs = self.configs(BROKER, self.broker(), ["num.partitions", "auto.create.topics.enable"],
                               include_synonyms=True)
        seen = {n: (c["value"], c["config_source"], [(s["value"], s["source"]) for s in c["synonyms"]])
                for n, c in configs.items()}
        self.assertEqual(seen, {
            "num.partitions": ("3", SOURCE_STATIC, [("3", SOURCE_STATIC), ("1", SOURCE_DEFAULT)]),
            "auto.create.topics.enable": ("false", SOURCE_STATIC,
                                          [("false", SOURCE_STATIC), ("true", SOURCE_DEFAULT)])})


if __name__ == "__main__":
    unittest.main()
