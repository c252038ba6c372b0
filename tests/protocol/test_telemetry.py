#!/usr/bin/env python3
"""Metrics that clients push (KIP-714): GetTelemetrySubscriptions and PushTelemetry on one node.

Goal: a client is told what the subscriptions that are for it ask of it, may push when it is its time and not before, every mistake has
Kafka's error and leaves what was pushed before as it was, and what was pushed is at /metrics. Method: messages of OpenTelemetry that are
built here from the numbers of its fields; intervals of a tenth of a second.
"""

import base64
import re
import struct
import time
import unittest
import uuid

import packed
from case import NodeCase
from kafka import ERR

CLIENT_METRICS = 16
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
DELTA, CUMULATIVE = 1, 2
ZERO, ONE = bytes(16), bytes(15) + b"\1"


CODECS = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}


def compressed(codec, data, zeros=0):
    """@data in a frame of the codec; with zeros behind it that are not there yet."""
    if codec == NONE:
        return data
    return packed.bomb(CODECS[codec], data, zeros) if zeros else packed.stored(CODECS[codec], data)


# ---- protobuf ----

def varint(v):
    out = b""
    while v > 0x7f:
        out += bytes([v & 0x7f | 0x80])
        v >>= 7
    return out + bytes([v])


def field(number, value):
    """Text, bytes and messages; whole numbers; floats as double."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(key, value):
    return field(1, key) + field(2, field(1, value))


def point(value, **labels):
    number = field(4, value) if isinstance(value, float) else varint(6 << 3 | 1) + struct.pack("<q", value)
    return b"".join(field(7, attribute(k, v)) for k, v in labels.items()) + number


def gauge(name, *points):
    return field(1, name) + field(5, b"".join(field(1, p) for p in points))


def counter(name, *points, temporality=CUMULATIVE, monotonic=1):
    return field(1, name) + field(7, b"".join(field(1, p) for p in points) + field(2, temporality) + field(3, monotonic))


def message(*metrics, **resource):
    who = b"".join(field(1, attribute(k, v)) for k, v in resource.items())
    return field(1, field(1, who) + field(2, b"".join(field(2, m) for m in metrics)))


class TelemetryCase(NodeCase):
    SETTINGS = ["server.telemetry_max_bytes=64KiB"]

    def subscribe(self, name=None, **configs):
        """Set a subscription until the end of the test; its name."""
        name = name or self.fresh("subscription")
        self.configure(name, **configs)
        self.addCleanup(self.configure, name, **dict.fromkeys(configs))
        return name

    def configure(self, name, **configs):
        answer = self.client().call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": CLIENT_METRICS, "resource_name": name, "configs": [
                {"name": k.replace("_", "."), "config_operation": int(v is None), "value": v} for k, v in configs.items()]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])

    def ask(self, client, instance=ZERO, error=ERR.NONE):
        answer = client.call("GetTelemetrySubscriptions", 0, client_instance_id=instance)
        self.assertError(answer["error_code"], error)
        return answer

    def push(self, client, told, metrics, error=ERR.NONE, codec=NONE, terminating=False, subscription=None):
        answer = client.call("PushTelemetry", 0, client_instance_id=told["client_instance_id"], compression_type=codec,
                             subscription_id=told["subscription_id"] if subscription is None else subscription,
                             terminating=terminating, metrics=metrics)
        self.assertError(answer["error_code"], error)

    def subscribed(self, client_id=None, interval="100"):
        """A client with a subscription of its own that may push now: connection, what it was told."""
        client_id = client_id or self.fresh("client")
        self.subscribe(interval_ms=interval, metrics="*", match=f"client_id={re.escape(client_id)}")
        client = self.client(client_id=client_id)
        return client, self.ask(client)

    def pushed(self, told):
        """What is at /metrics of this client: {series without the labels of the client: value}."""
        status, text = self.node.get("/metrics")
        self.assertEqual(status, 200)
        mine = 'client_instance_id="%s",client_id="' % base64.urlsafe_b64encode(told["client_instance_id"]).decode().rstrip("=")
        rows = (re.fullmatch(r"(client_\w+)\{%s(?:[^\"\\]|\\.)*\"(.*)\} (\S+)" % mine, row) for row in text.splitlines())
        return {m[1] + (f"{{{m[2][1:]}}}" if m[2] else ""): float(m[3]) for m in rows if m}

    def next_turn(self, told):
        time.sleep(told["push_interval_ms"] / 1000 + 0.02)


class Asking(TelemetryCase):
    def test_nobody_asks(self):
        """Without a subscription a client is told to push nothing, and comes back in five minutes; it gets an id."""
        told, other = self.ask(self.client()), self.ask(self.client())
        self.assertEqual((told["requested_metrics"], told["push_interval_ms"], told["throttle_time_ms"]), ([], 300000, 0))
        self.assertEqual((told["accepted_compression_types"], told["telemetry_max_bytes"]), ([ZSTD, LZ4, GZIP, SNAPPY], 65536))
        self.assertNotIn(told["client_instance_id"], (ZERO, ONE, other["client_instance_id"]))
        mine = uuid.uuid4().bytes
        self.assertEqual(self.ask(self.client(), mine)["client_instance_id"], mine)

    def test_together(self):
        """What all subscriptions that are for a client ask for, each name once; the shortest interval; '*' stands for all."""
        client_id = self.fresh("client")
        match = f"client_id={client_id}"
        self.subscribe(metrics="b.,a.", interval_ms="5000", match=match)
        self.subscribe(metrics="a.,c.", interval_ms="2000", match=match)
        self.subscribe(metrics="z.", interval_ms="100", match="client_id=somebody else")
        told = self.ask(self.client(client_id=client_id))
        self.assertEqual((sorted(told["requested_metrics"]), told["push_interval_ms"]), (["a.", "b.", "c."], 2000))
        self.subscribe(metrics="*", match=match)
        told = self.ask(self.client(client_id=client_id))
        self.assertEqual((told["requested_metrics"], told["push_interval_ms"]), (["*"], 2000))

    def test_who(self):
        """Each attribute must match as a whole; what is not known matches nothing."""
        instance = uuid.uuid4().bytes
        client = self.client(client_id="match-me", source="127.0.0.3")
        client.call("ApiVersions", 3, client_software_name="soft-ware", client_software_version="1.2.3")
        port = client.socket.getsockname()[1]
        text = base64.urlsafe_b64encode(instance).decode().rstrip("=")
        for match, fits in ((f"client_instance_id={text}", True), ("client_id=match-.*", True), ("client_id=match", False),
                            ("client_software_name=soft-ware", True), ("client_software_version=1\\.2\\..*", True),
                            ("client_software_version=1\\.2", False), ("client_source_address=127\\.0\\.0\\.3", True),
                            (f"client_source_port={port}", True), (f"client_source_port={port}9", False),
                            ("client_id=match-me,client_software_name=other", False),
                            ("client_id=match-me,client_source_address=127.*", True)):
            with self.subTest(match=match):
                name = self.subscribe(metrics="x.", match=match)
                self.assertEqual(self.ask(client, instance)["requested_metrics"], ["x."] if fits else [])
                self.configure(name, metrics=None, match=None)
        self.subscribe(metrics="x.", match="client_software_name=.*")
        self.assertEqual(self.ask(self.client(client_id="says nothing"))["requested_metrics"], [])

    def test_ids(self):
        """The subscription id is another for each client, stays while nothing changes, and changes with what is asked for."""
        client, told = self.subscribed()
        other = self.ask(self.client(client_id="nobody"))
        self.assertNotEqual(told["subscription_id"], other["subscription_id"])
        self.next_turn(told)
        again = self.ask(client, told["client_instance_id"])
        self.assertEqual(again["subscription_id"], told["subscription_id"])
        self.subscribe(metrics="*", interval_ms="120")
        changed = self.ask(client, told["client_instance_id"])
        self.assertEqual(changed["subscription_id"], told["subscription_id"])   # 100 ms is still the shortest
        self.subscribe(metrics="*", interval_ms="100", match="client_id=.*")
        self.assertEqual(self.ask(client, told["client_instance_id"])["subscription_id"], told["subscription_id"])
        self.assertNotEqual(self.ask(self.client(client_id="nobody"), other["client_instance_id"])["subscription_id"],
                            other["subscription_id"])

    def test_too_early(self):
        """Who asks again before its interval is over is refused, unless the subscriptions have changed; others are not held up."""
        client, told = self.subscribed(interval="60000")
        for _ in range(2):
            self.ask(client, told["client_instance_id"], ERR.THROTTLING_QUOTA_EXCEEDED)
        self.ask(self.client(), told["client_instance_id"], ERR.THROTTLING_QUOTA_EXCEEDED)    # whatever connection it uses
        self.ask(self.client())
        self.subscribe(metrics="more.")
        self.ask(client, told["client_instance_id"])
        self.ask(client, told["client_instance_id"], ERR.THROTTLING_QUOTA_EXCEEDED)

    def test_many_subscriptions(self):
        """There may be 100 of them."""
        def alter(name, value, operation):
            answer = self.client().call("IncrementalAlterConfigs", 1, resources=[
                {"resource_type": CLIENT_METRICS, "resource_name": f"many-{n}", "configs": [
                    {"name": "metrics", "config_operation": operation, "value": value}]} for n in name])
            return [r["error_code"] for r in answer["responses"]]
        self.addCleanup(alter, range(110), None, 1)
        codes = alter(range(110), "a.", 0)
        free = codes.count(0)
        self.assertEqual(codes, [0] * free + [ERR.INVALID_REQUEST] * (110 - free))
        self.assertGreater(free, 90)
        self.assertEqual(alter(range(5), "b.", 0), [0] * 5)
        self.assertEqual(sorted(self.ask(self.client())["requested_metrics"]), ["a.", "b."])


class Pushing(TelemetryCase):
    def test_codecs(self):
        """Metrics come in any codec; what is at /metrics is what was pushed last."""
        client, told = self.subscribed()
        for i, codec in enumerate((NONE, GZIP, SNAPPY, LZ4, ZSTD)):
            with self.subTest(codec=codec):
                body = message(gauge("org.apache.kafka.x.avg", point(1.5 + i, topic="t")), counter("org.apache.kafka.x.total", point(10 + i)))
                self.push(client, told, compressed(codec, body), codec=codec)
                self.assertEqual(self.pushed(told), {'client_org_apache_kafka_x_avg{topic="t"}': 1.5 + i,
                                                     "client_org_apache_kafka_x_total": 10.0 + i})
                self.next_turn(told)

    def test_kinds(self):
        """Sums since the start replace, differences add up; counters end with _total and are told as counters."""
        client, told = self.subscribed()
        for round in (1, 2):
            self.push(client, told, message(counter("sum", point(5 * round)), counter("difference", point(5), temporality=DELTA),
                                            counter("up.and.down", point(-3), monotonic=0), gauge("now", point(float(round)))))
            self.next_turn(told)
        self.assertEqual(self.pushed(told), {"client_sum_total": 10.0, "client_difference_total": 10.0, "client_up_and_down": -3.0,
                                             "client_now": 2.0})
        text = self.node.get("/metrics")[1]
        for name, kind in (("client_sum_total", "counter"), ("client_now", "gauge"), ("client_up_and_down", "gauge")):
            self.assertEqual(text.count(f"# TYPE {name} {kind}\n"), 1)

    def test_turns(self):
        """A push is taken once after asking, and then once in an interval."""
        client, told = self.subscribed(interval="60000")
        self.push(client, told, message(gauge("a", point(1.0))))
        self.push(client, told, message(gauge("a", point(2.0))), ERR.THROTTLING_QUOTA_EXCEEDED)
        self.push(client, told, b"", ERR.THROTTLING_QUOTA_EXCEEDED)
        self.assertEqual(self.pushed(told), {"client_a": 1.0})
        self.ask(client, told["client_instance_id"], ERR.THROTTLING_QUOTA_EXCEEDED)
        self.push(client, told, message(gauge("a", point(3.0))), terminating=True)          # at any time
        self.assertEqual(self.pushed(told), {"client_a": 3.0})
        client, told = self.subscribed(interval="100")
        self.push(client, told, b"")
        self.next_turn(told)
        self.push(client, told, message(gauge("a", point(4.0))))

    def test_after_the_end(self):
        """After a push that says that it is the last one the next is INVALID_REQUEST."""
        client, told = self.subscribed()
        self.push(client, told, message(gauge("a", point(1.0))), terminating=True)
        self.next_turn(told)
        self.push(client, told, message(gauge("a", point(2.0))), ERR.INVALID_REQUEST)
        self.assertEqual(self.pushed(told), {"client_a": 1.0})

    def test_other_subscription(self):
        """Another subscription id than the present one is refused, and its client may ask at once; the refused push was its turn."""
        client, told = self.subscribed(interval="200")
        self.push(client, told, message(gauge("a", point(1.0))), ERR.UNKNOWN_SUBSCRIPTION_ID, subscription=told["subscription_id"] ^ 1)
        self.assertEqual(self.pushed(told), {})
        again = self.ask(client, told["client_instance_id"])
        self.assertEqual(again["subscription_id"], told["subscription_id"])
        self.subscribe(metrics="more.", interval_ms="100")
        self.push(client, told, message(gauge("a", point(1.0))), ERR.UNKNOWN_SUBSCRIPTION_ID)
        again = self.ask(client, told["client_instance_id"])
        self.push(client, again, message(gauge("a", point(1.0))), ERR.THROTTLING_QUOTA_EXCEEDED)
        self.next_turn(again)
        self.push(client, again, message(gauge("a", point(1.0))))
        self.assertEqual(self.pushed(told), {"client_a": 1.0})

    def test_mistakes(self):
        """Each has its error, and nothing of such a push is kept, not even what came before the mistake."""
        client, told = self.subscribed()
        good = message(gauge("a", point(1.0)))
        self.push(client, told, good)
        for body, codec, error in (
                (good, 5, ERR.UNSUPPORTED_COMPRESSION_TYPE), (good, -1, ERR.UNSUPPORTED_COMPRESSION_TYPE),
                (good, 127, ERR.UNSUPPORTED_COMPRESSION_TYPE), (b"x" * 65537, NONE, ERR.TELEMETRY_TOO_LARGE),
                (compressed(ZSTD, b"", 1 << 20), ZSTD, ERR.TELEMETRY_TOO_LARGE),
                (compressed(GZIP, b"", 1 << 24), GZIP, ERR.TELEMETRY_TOO_LARGE), (b"no gzip", GZIP, ERR.INVALID_RECORD),
                (b"\xff" * 20, ZSTD, ERR.INVALID_RECORD), (b"\xff" * 20, NONE, ERR.INVALID_RECORD),
                (message(gauge("b", point(2.0))) + b"\x0a\x7f", NONE, ERR.INVALID_RECORD),
                (message(gauge("b", point(2.0)), field(1, b"\xff\xfe")), NONE, ERR.INVALID_RECORD)):
            with self.subTest(codec=codec, error=error.name):
                self.next_turn(told)
                self.push(client, told, body, error, codec=codec)
                self.assertEqual(self.pushed(told), {"client_a": 1.0})
        for wrong in (ZERO, ONE):
            self.push(client, {**told, "client_instance_id": wrong}, good, ERR.INVALID_REQUEST)

    def test_never_asked(self):
        """A client that this node does not know, as when its connection has moved, is refused until it has asked here: subscription ids
        are of one client."""
        client, told = self.subscribed()
        other = {"client_instance_id": uuid.uuid4().bytes}
        self.push(client, {**other, "subscription_id": told["subscription_id"]}, message(gauge("a", point(1.0))),
                  ERR.UNKNOWN_SUBSCRIPTION_ID)
        other = self.ask(client, other["client_instance_id"])
        self.next_turn(other)
        self.push(client, other, message(gauge("a", point(1.0))))
        self.assertEqual((self.pushed(told), self.pushed(other)), ({}, {"client_a": 1.0}))


class Exposed(TelemetryCase):
    def test_text_of_clients(self):
        """Whatever clients call their metrics and labels, /metrics stays well formed: one TYPE for each name, its series together,
        no label twice."""
        clients = [self.subscribed(self.fresh('odd "name"\n\\')) for _ in range(2)]
        for client, told in clients:
            self.push(client, told, message(
                gauge("a-b/c d", point(1.0, **{"client_id": "me", "x.y": "1", "x-y": "2", "0": "zero", "__name__": "n", "": "e"})),
                gauge("a", point(float("inf")), point(float("-inf"), l="1"), point(float("nan"), l="2")),
                gauge("a" * 300, point(1.0)), gauge("", point(1.0)), gauge("long", point(1.0, l="v" * 3000)),
                gauge("ü", point(1.0, l='quote " back \\ line \n')), client_software_name="liar", group_id="g", group__id="h"))
        text = self.node.get("/metrics")[1]
        names = [re.match(r"[a-z_A-Z0-9:]+", row)[0] for row in text.splitlines() if row and row[0] != "#"]
        runs = [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]
        own = [n for n in runs if n.startswith("client_")]
        self.assertEqual(len(own), len(set(own)), "the series of a name are apart")
        types = re.findall(r"(?m)^# TYPE (\S+)", text)
        self.assertEqual(len(types), len(set(types)))
        for row in text.splitlines():
            if row.startswith(("client_", "chronik_client_info")):
                labels = re.fullmatch(r'\w+\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (\S+)', row)
                self.assertTrue(labels, row)
                keys = re.findall(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"', labels[1])
                self.assertEqual(len(keys), len(set(keys)), row)
                self.assertTrue(labels[2] in ("NaN", "+Inf", "-Inf") or float(labels[2]) is not None)
        got = self.pushed(clients[0][1])
        self.assertEqual(got['client_a_b_c_d{x_y="1",_0="zero"}'], 1.0)
        self.assertEqual((got["client_a"], got['client_a{l="1"}']), (float("inf"), float("-inf")))
        self.assertEqual(len(got), 5)
        self.assertGreaterEqual(self.node.metric("chronik_client_points_refused_total"), 6)
        self.assertIn(',group_id="g",group__id="h"} 1\n', text)

    def test_info(self):
        """Who pushes, with its software and what it says of itself."""
        client_id = self.fresh("client")
        self.subscribe(interval_ms="100", metrics="*", match=f"client_id={client_id}")
        client = self.client(client_id=client_id)
        client.call("ApiVersions", 3, client_software_name="lib", client_software_version="4.5")
        told = self.ask(client)
        self.assertNotIn(client_id, self.node.get("/metrics")[1])
        self.push(client, told, message(gauge("a", point(1.0)), client_rack="r1"))
        self.assertRegex(self.node.get("/metrics")[1], r'(?m)^chronik_client_info\{client_instance_id="\S+",client_id="%s",'
                         r'client_address="127.0.0.1",client_software_name="lib",client_software_version="4.5",client_rack="r1"\} 1$'
                         % client_id)

    def test_bounded(self):
        """A client has 1000 series; further ones are left out and counted, what is there goes on."""
        client, told = self.subscribed()
        before = self.node.metric("chronik_client_points_refused_total")
        for round in (1.0, 2.0):
            self.push(client, told, message(gauge("n", *(point(round, i=str(i)) for i in range(1100)))))
            self.next_turn(told)
        got = self.pushed(told)
        self.assertEqual((len(got), set(got.values())), (1000, {2.0}))
        self.assertEqual(self.node.metric("chronik_client_points_refused_total") - before, 200)


if __name__ == "__main__":
    unittest.main()
