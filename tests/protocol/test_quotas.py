#!/usr/bin/env python3
"""Client quotas on one node.

Goal: a quota is set, told, removed and kept as Kafka's tools expect, the nearest one counts, and who has used too much is told for how
long to wait and is held up for that long, without an error (KIP-13, KIP-219, KIP-546, KIP-599); and connections of an address come at
its rate (KIP-612). Method: clients with names of their own on the wire; waits are compared with what was told, and only from below.
"""

import time
import unittest

import records
from case import NodeCase
from kafka import ERR

KB = 1024
DEFAULT = None


def entity(**parts):
    """entity(client_id="x", user=DEFAULT)"""
    return [{"entity_type": k.replace("_", "-"), "entity_name": v} for k, v in parts.items()]


class QuotaCase(NodeCase):
    SETTINGS = ["topics.auto_create=false"]

    def alter(self, entity_parts, version=1, validate_only=False, **quotas):
        """Set quotas, or remove them with None; returns the entry of the answer."""
        ops = [{"key": k, "value": v or 0.0, "remove": v is None} for k, v in quotas.items()]
        answer = self.client().call("AlterClientQuotas", version, validate_only=validate_only,
                                    entries=[{"entity": entity_parts, "ops": ops}])
        return answer["entries"][0]

    def set(self, entity_parts, **quotas):
        answer = self.alter(entity_parts, **quotas)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        self.addCleanup(self.alter, entity_parts, **dict.fromkeys(quotas))
        for value in [v for v in quotas.values() if v is not None]:
            self.wait_until(lambda: any(value in e.values() for e in self.described().values()), "the quota is not told")

    def described(self, components=(), strict=False, version=1):
        """Quotas by whom they are for."""
        answer = self.client().call("DescribeClientQuotas", version, strict=strict, components=[
            dict(zip(("entity_type", "match_type", "match"), c)) for c in components])
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        return {tuple(sorted((e["entity_type"], e["entity_name"] or "*") for e in row["entity"])):
                {v["key"]: v["value"] for v in row["values"]} for row in answer["entries"]}

    def throttle_of_produce(self, client, topic, size):
        answer = client.call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"x" * size])}]}])
        self.assertError(answer["responses"][0]["partition_responses"][0]["error_code"], ERR.NONE)
        return answer["throttle_time_ms"]


class Tables(QuotaCase):
    def test_set_tell_remove(self):
        """KIP-546: what is set is told, as it was set; the last one removed takes the entity away."""
        for version in (0, 1):
            name = self.fresh("app,100%")
            for who in (entity(client_id=name), entity(user=name), entity(user=name, client_id=DEFAULT)):
                with self.subTest(version=version, who=who):
                    key = tuple(sorted((p["entity_type"], p["entity_name"] or "*") for p in who))
                    self.assertError(self.alter(who, version, producer_byte_rate=1234.0, request_percentage=50.5)["error_code"],
                                     ERR.NONE)
                    self.wait_until(lambda: key in self.described(version=version), "never told")
                    self.assertEqual(self.described()[key], {"producer_byte_rate": 1234.0, "request_percentage": 50.5})
                    self.assertError(self.alter(who, version, producer_byte_rate=None)["error_code"], ERR.NONE)
                    self.wait_until(lambda: self.described()[key] == {"request_percentage": 50.5}, "never removed")
                    self.assertError(self.alter(who, version, request_percentage=None)["error_code"], ERR.NONE)
                    self.wait_until(lambda: key not in self.described(), "never gone")

    def test_filter(self):
        """KIP-546: this name, the default, any; strict leaves out those that are for more."""
        a, b = self.fresh("a"), self.fresh("b")
        self.set(entity(user=a), consumer_byte_rate=1.0)
        self.set(entity(user=a, client_id=b), consumer_byte_rate=2.0)
        self.set(entity(user=DEFAULT), consumer_byte_rate=3.0)
        for components, strict, expected in (
                ([("user", 0, a)], False, [1.0, 2.0]), ([("user", 0, a)], True, [1.0]), ([("user", 1, None)], False, [3.0]),
                ([("user", 2, None)], False, [1.0, 2.0, 3.0]), ([("client-id", 2, None)], False, [2.0]), ([], True, []),
                ([("client-id", 2, None)], True, []), ([("user", 0, a), ("client-id", 0, b)], True, [2.0])):
            with self.subTest(components=components, strict=strict):
                got = sorted(v["consumer_byte_rate"] for v in self.described(components, strict).values())
                self.assertEqual(got, expected)

    def test_misuse(self):
        """Each mistake gets INVALID_REQUEST and a text; nothing is changed by it, nor by validate_only."""
        name = self.fresh("c")
        before = self.described()
        for who, quotas in ((entity(host=name), {"producer_byte_rate": 1.0}), ([], {"producer_byte_rate": 1.0}),
                            (entity(client_id=""), {"producer_byte_rate": 1.0}),
                            (entity(client_id=name) * 2, {"producer_byte_rate": 1.0}),
                            (entity(client_id=name), {"no_such_rate": 1.0}),
                            (entity(client_id=name), {"producer_byte_rate": -1.0}),
                            (entity(client_id=name), {"producer_byte_rate": float("nan")}),
                            (entity(client_id=name), {"producer_byte_rate": 10.5}),
                            (entity(client_id=name), {"consumer_byte_rate": 0.5}),
                            (entity(client_id=name), {"producer_byte_rate": 1.0, "no_such_rate": 1.0}),
                            (entity(client_id="c" * 1000), {"producer_byte_rate": 1.0})):
            with self.subTest(who=str(who)[:60], quotas=quotas):
                answer = self.alter(who, **quotas)
                self.assertError(answer["error_code"], ERR.INVALID_REQUEST, answer["error_message"])
                self.assertTrue(answer["error_message"])
        self.assertError(self.alter(entity(client_id=name), validate_only=True, producer_byte_rate=1.0)["error_code"], ERR.NONE)
        for components in ([("host", 2, None)], [("user", 2, None)] * 2, [("user", 3, None)], [("user", 0, None)], [("user", 1, "x")]):
            with self.subTest(components=components):
                answer = self.client().call("DescribeClientQuotas", 1, strict=False, components=[
                    dict(zip(("entity_type", "match_type", "match"), c)) for c in components])
                self.assertError(answer["error_code"], ERR.UNSUPPORTED_VERSION if components[0][0] == "host" else ERR.INVALID_REQUEST)
                self.assertTrue(answer["error_message"])
        self.assertEqual(self.described(), before)

    def test_named_twice(self):
        """KIP-546: of an entity that is named twice nothing is done; others of the request are changed."""
        name, other = self.fresh("c"), self.fresh("c")
        answer = self.client().call("AlterClientQuotas", 1, validate_only=False, entries=[
            {"entity": entity(client_id=n), "ops": [{"key": "producer_byte_rate", "value": value, "remove": False}]}
            for n, value in ((name, 5.0), (other, 6.0), (name, 7.0))])
        self.assertEqual([e["error_code"] for e in answer["entries"]], [ERR.INVALID_REQUEST, ERR.NONE, ERR.INVALID_REQUEST])
        self.assertEqual(self.described([("client-id", 0, name)]), {})
        self.assertEqual(self.described([("client-id", 0, other)]), {(("client-id", other),): {"producer_byte_rate": 6.0}})
        self.alter(entity(client_id=other), producer_byte_rate=None)

    def test_restart(self):
        """Quotas are metadata: they are there after SIGKILL."""
        name = self.fresh("kept")
        self.set(entity(client_id=name), producer_byte_rate=77.0)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.described([("client-id", 0, name)]), {(("client-id", name),): {"producer_byte_rate": 77.0}})


class Addresses(QuotaCase):
    """Quotas of addresses (KIP-612)."""

    def alter_ip(self, ip, rate):
        return self.alter([{"entity_type": "ip", "entity_name": ip}], connection_creation_rate=rate)

    def test_set_tell_remove(self):
        """An address has a quota, and those without one of their own have another; addresses are told in their usual form."""
        self.set(entity(ip="127.0.0.9"), connection_creation_rate=5.0)
        self.set(entity(ip=DEFAULT), connection_creation_rate=1000.0)
        self.set(entity(ip="0:0:0:0:0:0:0:1"), connection_creation_rate=6.0)
        expected = {(("ip", "127.0.0.9"),): {"connection_creation_rate": 5.0},
                    (("ip", "*"),): {"connection_creation_rate": 1000.0}, (("ip", "::1"),): {"connection_creation_rate": 6.0}}
        self.assertEqual(self.described(), expected)
        self.assertEqual(self.described([("ip", 2, None)], strict=True), expected)
        for component, one in ((("ip", 0, "127.0.0.9"), "127.0.0.9"), (("ip", 1, None), "*"), (("ip", 0, "0::1"), "::1")):
            self.assertEqual(self.described([component]), {(("ip", one),): expected[(("ip", one),)]})
        self.assertEqual(self.described([("ip", 0, "no address")]), {})
        self.assertEqual(self.described([("user", 2, None)]), {})
        self.assertError(self.alter_ip("127.0.0.9", None)["error_code"], ERR.NONE)
        self.assertNotIn((("ip", "127.0.0.9"),), self.described())

    def test_misuse(self):
        """Whatever is wrong is INVALID_REQUEST with a text, and changes nothing: not in one entry, not in those that are fine."""
        before = self.described()
        for who, quotas in ((entity(ip="127.0.0.9"), {"connection_creation_rate": 0.0001}),
                            (entity(ip="127.0.0.9"), {"connection_creation_rate": -1.0}),
                            (entity(ip="127.0.0.9"), {"connection_creation_rate": 1.5}),
                            (entity(ip="127.0.0.9"), {"connection_creation_rate": 1e12}),
                            (entity(ip="127.0.0.9"), {"producer_byte_rate": 1.0}),
                            (entity(ip="127.0.0.9"), {"connection_creation_rate": 1.0, "request_percentage": 1.0}),
                            (entity(user="u"), {"connection_creation_rate": 1.0}),
                            (entity(client_id=DEFAULT), {"connection_creation_rate": 1.0}),
                            (entity(ip="127.0.0.9", user="u"), {"connection_creation_rate": 1.0}),
                            (entity(ip="127.0.0.9", client_id=DEFAULT), {"connection_creation_rate": 1.0}),
                            (entity(ip=""), {"connection_creation_rate": 1.0}),
                            (entity(ip="no.such.host.invalid"), {"connection_creation_rate": 1.0}),
                            (entity(ip="10.0.0.0/8"), {"connection_creation_rate": 1.0})):
            with self.subTest(who=who, quotas=quotas):
                answer = self.alter(who, **quotas)
                self.assertError(answer["error_code"], ERR.INVALID_REQUEST, answer["error_message"])
                self.assertTrue(answer["error_message"])
        for strict in (False, True):
            answer = self.client().call("DescribeClientQuotas", 1, strict=strict, components=[
                {"entity_type": t, "match_type": 2, "match": None} for t in ("ip", "user")])
            self.assertError(answer["error_code"], ERR.INVALID_REQUEST)
        self.assertEqual(self.described(), before)

    def answered_after(self, source):
        """Seconds until a new connection from @source has its first answer."""
        began = time.monotonic()
        with self.client(source=source) as client:
            client.call("ApiVersions", 0)
        return time.monotonic() - began

    def test_held_up(self):
        """Ten seconds' worth of connections may come at once; further ones are accepted and wait their turn. Other addresses do
        not, and an address of its own counts before the default."""
        self.set(entity(ip="127.0.0.9"), connection_creation_rate=2.0)
        for _ in range(20):
            self.answered_after("127.0.0.9")
        began = time.monotonic()
        waits = [self.answered_after("127.0.0.9") for _ in range(3)]
        self.assertGreater(time.monotonic() - began, 1.0)
        self.assertGreater(max(waits), 0.3)
        self.assertLess(self.answered_after("127.0.0.8"), 0.3)
        self.set(entity(ip=DEFAULT), connection_creation_rate=1.0)
        for source in ("127.0.0.7", "127.0.0.6"):               # each for itself
            quick = [self.answered_after(source) for _ in range(10)]
            self.assertLess(min(quick), 0.3)
        self.assertGreater(self.answered_after("127.0.0.7"), 0.3)
        self.assertGreater(self.node.metric("chronik_connections_delayed_total"), 2)
        self.alter_ip("127.0.0.9", None)
        self.alter_ip(None, None)
        self.wait_until(lambda: self.answered_after("127.0.0.9") < 0.3, "it still waits")

    def test_closed(self):
        """Who would wait for longer than ten seconds is closed at once."""
        self.set(entity(ip="127.0.0.5"), connection_creation_rate=1.0)
        clients = [self.client(source="127.0.0.5") for _ in range(25)]
        self.assertTrue(any(c.closed(0.2) for c in clients[-3:]))
        clients[0].call("ApiVersions", 0)
        self.assertGreater(self.node.metric('chronik_connections_closed_total{reason="rate_per_ip"}'), 0)


class Rate(NodeCase):
    SETTINGS = ["server.max_connection_creation_rate=5"]

    def test_rate(self):
        """More connections than the node takes in a second wait for their turn; none is refused."""
        began = time.monotonic()
        for _ in range(12):
            self.client().call("ApiVersions", 0)
        self.assertGreater(time.monotonic() - began, 1.0)


class Limits(QuotaCase):
    def held_up(self, client, told_ms, answered_at):
        """The next request of the client is not answered before the time that it was told has passed."""
        client.call("ListGroups", 3)
        self.assertGreaterEqual(time.monotonic() - answered_at, told_ms / 1000 - 0.05)

    def test_produce(self):
        """KIP-13, KIP-219: ten seconds' worth at once; then the answer comes at once, tells a time, and the connection is held up."""
        topic, name = self.topic(), self.fresh("p")
        self.set(entity(client_id=name), producer_byte_rate=10.0 * KB)
        client = self.client(client_id=name)
        self.assertEqual(self.throttle_of_produce(client, topic, 50 * KB), 0)
        told = self.throttle_of_produce(client, topic, 80 * KB)
        now = time.monotonic()
        self.assertGreater(told, 0)
        self.assertLessEqual(told, 3200)
        self.held_up(client, told, now)
        self.assertEqual(self.throttle_of_produce(self.client(client_id="somebody else"), topic, 120 * KB), 0)

    def test_fetch(self):
        topic, name = self.topic(), self.fresh("f")
        self.produce(self.client(), topic, [b"x" * 70 * KB])
        self.set(entity(client_id=name), consumer_byte_rate=10.0 * KB)
        client = self.client(client_id=name)
        told = []
        for _ in range(2):
            answer = client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, topics=[
                {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 26}]}])
            self.assertTrue(answer["responses"][0]["partitions"][0]["records"])
            told.append(answer["throttle_time_ms"])
        now = time.monotonic()
        self.assertEqual(told[0], 0)
        self.assertGreater(told[1], 0)
        self.held_up(client, told[-1], now)

    def test_fetch_in_a_session(self):
        """Item 8, KAFKA-6946: a fetch that has to wait keeps its session: id and epochs go on as if nothing was."""
        topic, name = self.topic(), self.fresh("f")
        self.produce(self.client(), topic, [b"x" * 70 * KB])
        self.set(entity(client_id=name), consumer_byte_rate=10.0 * KB)
        client, sid, told = self.client(client_id=name), 0, []
        for epoch in range(3):
            topics = [] if epoch else [{"topic": topic, "partitions": [
                {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 26}]}]
            answer = client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, session_id=sid, session_epoch=epoch,
                                 topics=topics)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual(answer["session_id"], sid or answer["session_id"])
            sid = answer["session_id"]
            self.assertNotEqual(sid, 0)
            told.append(answer["throttle_time_ms"])
        self.assertEqual(told[0], 0)
        self.assertGreater(max(told), 0)

    def test_nearest(self):
        """KIP-13: the client under its user, the user, the client, the defaults: the first that there is counts."""
        topic = self.topic()
        for who, other in ((entity(user="ANONYMOUS", client_id="me"), entity(user="ANONYMOUS")),
                           (entity(user="ANONYMOUS"), entity(user=DEFAULT)), (entity(user=DEFAULT), entity(client_id="me")),
                           (entity(client_id="me"), entity(client_id=DEFAULT))):
            with self.subTest(who=who):
                name = self.fresh("n")
                who, other = ([{**p, "entity_name": name if p["entity_name"] == "me" else p["entity_name"]} for p in e]
                              for e in (who, other))
                self.set(other, producer_byte_rate=10.0)
                self.set(who, producer_byte_rate=float(1 << 30))
                self.assertEqual(self.throttle_of_produce(self.client(client_id=name), topic, 2 * KB), 0)
                self.alter(who, producer_byte_rate=None)
                self.wait_until(lambda: self.throttle_of_produce(self.client(client_id=name), topic, 2 * KB) > 0,
                                "the other one does not count")
                self.alter(other, producer_byte_rate=None)
                self.wait_until(lambda: not self.described(), "never gone")

    def test_defaults_are_for_each(self):
        """Those who share a default are counted one by one; also those whose name is too long to be counted alone are held up."""
        topic = self.topic()
        self.set(entity(client_id=DEFAULT), producer_byte_rate=1.0 * KB)
        for name in (self.fresh("d"), self.fresh("d"), "long" * 500):
            with self.subTest(name=name[:20]):
                self.assertEqual(self.throttle_of_produce(self.client(client_id=name), topic, 5 * KB), 0)
                self.assertGreater(self.throttle_of_produce(self.client(client_id=name), topic, 20 * KB), 0)

    def test_request_time(self):
        """KIP-124: who takes too much of a reactor's time waits."""
        name = self.fresh("r")
        self.set(entity(client_id=name), request_percentage=0.0001)
        client = self.client(client_id=name)
        told = 0
        for _ in range(100):
            told = told or client.call("Metadata", 12, topics=None)["throttle_time_ms"]
            if told:
                break
        self.assertGreater(told, 0)

    def test_mutations(self):
        """KIP-599: from the versions on that know the error too many partitions are refused; older ones are made, and wait."""
        name = self.fresh("m")
        self.set(entity(client_id=name), controller_mutation_rate=0.1)
        topics = [{"name": self.fresh(), "num_partitions": 2, "replication_factor": 1} for _ in range(4)]
        call = self.client(client_id=name).call
        self.assertError(call("CreateTopics", 7, topics=topics[:1])["topics"][0]["error_code"], ERR.NONE)
        for api, version, fields, rows in (
                ("CreateTopics", 7, {"topics": topics[1:2]}, "topics"), ("DeleteTopics", 6, {"topics": [{"name": topics[0]["name"]}]},
                                                                        "responses"),
                ("CreatePartitions", 3, {"topics": [{"name": topics[0]["name"], "count": 3, "assignments": None}],
                                         "timeout_ms": 1000, "validate_only": False}, "results")):
            with self.subTest(api=api):
                answer = self.client(client_id=name).call(api, version, **fields)
                self.assertError(answer[rows][0]["error_code"], ERR.THROTTLING_QUOTA_EXCEEDED)
                self.assertTrue(answer[rows][0]["error_message"])
                self.assertGreater(answer["throttle_time_ms"], 0)
        validated = self.client(client_id=name).call("CreateTopics", 7, topics=topics[1:2], validate_only=True)
        self.assertError(validated["topics"][0]["error_code"], ERR.NONE)
        old = self.client(client_id=name).call("CreateTopics", 5, topics=topics[2:3])
        self.assertError(old["topics"][0]["error_code"], ERR.NONE)
        self.assertGreater(old["throttle_time_ms"], 0)
        self.assertError(self.client().call("CreateTopics", 7, topics=topics[1:2])["topics"][0]["error_code"], ERR.NONE)


if __name__ == "__main__":
    unittest.main()
