#!/usr/bin/env python3
"""The admin listener: health, metrics and the REST interface under chronik-ctl.

Goal: each path and method answers as HTTP has it, bad requests are told what would be right and hurt nobody, metrics are
what Prometheus can read and move exactly as what happened. Method: http.client and raw sockets against one node, traffic
by the client of tests/protocol; promtool where it is installed.
"""

import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

from program import CHRONIKD, ROOT  # noqa: F401  (puts tests/protocol on the path)

import records
from case import NodeCase
from kafka import ERR, Client

BODY_MAX = 1 << 20


class AdminCase(NodeCase):
    SETTINGS = ["groups.offsets_partitions=1", "groups.initial_rebalance_delay_ms=0"]

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body as text)."""
        host, port = self.node.admin.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def refused(self, status, method, path, body=None, says=()):
        """An error with a reason in JSON."""
        got, headers, text = self.ask(method, path, body)
        self.assertEqual(got, status, f"{method} {path}: {text}")
        self.assertEqual(headers["Content-Type"], "application/json")
        reason = json.loads(text)["error"]
        for words in says:
            self.assertIn(words, reason)
        return headers

    def raw(self, data):
        """What comes back for some bytes until the connection closes."""
        host, port = self.node.admin.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := s.recv(1 << 16):
                answer += piece
        return answer


class Http(AdminCase):
    def test_health(self):
        """/livez and /readyz are plain words."""
        for path, word in (("/livez", "alive\n"), ("/readyz", "ready\n")):
            status, headers, text = self.ask("GET", path)
            self.assertEqual((status, text), (200, word))
            self.assertEqual(headers["Content-Type"], "text/plain; charset=utf-8")

    def test_head(self):
        """HEAD is GET without the body, the length is that of GET."""
        for path in ("/livez", "/readyz", "/v1/cluster", "/v1/topics", "/v1/groups", "/v1/verify", "/nope"):
            status, headers, text = self.ask("GET", path)
            got = self.ask("HEAD", path)
            self.assertEqual((got[0], got[2]), (status, ""), path)
            if path != "/v1/cluster":   # there the free space moves
                self.assertEqual(got[1]["Content-Length"], headers["Content-Length"], path)

    def test_wrong_method(self):
        """A path that has other methods: 405, and Allow names them."""
        for method, path, allow in (("POST", "/livez", "GET, HEAD"), ("DELETE", "/metrics", "GET, HEAD"),
                                    ("PUT", "/v1/topics", "GET, HEAD, POST"), ("PATCH", "/v1/topics/a", "GET, HEAD, DELETE"),
                                    ("DELETE", "/v1/groups/g", "GET, HEAD"), ("DELETE", "/v1/topics", "GET, HEAD, POST"),
                                    ("DELETE", "/v1/verify", "GET, HEAD, POST"), ("OPTIONS", "/readyz", "GET, HEAD")):
            self.assertEqual(self.refused(405, method, path, says=(method, path))["Allow"], allow)

    def test_no_such_path(self):
        """404, and what there is."""
        for path in ("/", "/nope", "/metrics/", "/v1", "/v1/", "/v1/topic", "/v1/topics/", "/v1/groups/", "/livezz", "//livez"):
            for method in ("GET", "POST", "DELETE"):
                self.refused(404, method, path, says=(path, "/v1/topics"))

    def test_query_is_no_part_of_the_path(self):
        self.assertEqual(self.ask("GET", "/readyz?verbose")[0], 200)
        self.assertEqual(self.ask("GET", "/v1/topics?x=y")[0], 200)

    def test_noise(self):
        """What is no HTTP gets a 400 or a close, and the next one is served."""
        for data in (b"", b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET /livez\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(60),
                     b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 20000,
                     b"POST /v1/topics HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                     b"POST /v1/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"POST /v1/topics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", bytes(1000)):
            with self.subTest(data[:30]):
                try:
                    answer = self.raw(data)
                except OSError:         # closed before all was sent
                    continue
                self.assertNotIn(b"200 OK", answer[:20])
        self.assertEqual(self.ask("GET", "/livez")[0], 200)

    def test_slow_peers(self):
        """Half requests in number, up to the limit of connections less one: the next is served."""
        host, port = self.node.admin.rsplit(":", 1)
        slow = [socket.create_connection((host, int(port)), 10) for _ in range(50)]
        for s in slow:
            self.addCleanup(s.close)
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        self.assertEqual(self.ask("GET", "/livez")[0], 200)


class Rest(AdminCase):
    def create(self, body):
        return self.ask("POST", "/v1/topics", body if isinstance(body, (bytes, str)) else json.dumps(body))

    def test_create(self):
        """All members, and the name alone."""
        name = self.fresh()
        self.assertEqual(self.create({"name": name, "partitions": 2, "replication_factor": 1,
                                      "configs": {"retention.ms": "1000"}})[0], 200)
        got = json.loads(self.ask("GET", f"/v1/topics/{name}")[2])
        self.assertEqual((got["partitions"], got["configs"]), (2, {"retention.ms": "1000"}))
        self.assertEqual(self.create({"name": self.fresh()})[0], 200)
        self.refused(409, "POST", "/v1/topics", json.dumps({"name": name}), says=("already exists",))

    def test_bad_bodies(self):
        """400, what is wrong with the body, and how it should be; and no topic is made."""
        before = self.ask("GET", "/v1/topics")[2]
        deep = '{"name":' * 5000
        for body, words in (
                ("", "not JSON"), ("{", "not JSON"), ("\0", "not JSON"), (b"\xff\xfe", "not JSON"), (deep, "not JSON"),
                ("[" * 100000, "not JSON"), ("{} {}", "not JSON"), ('{"name": "a\\u0000b"}', "not JSON"),
                ('{"name": "a", "name": "b"}', "not JSON"), ("[]", "not an object"), ("1", "JSON"), ("null", "JSON"),
                ("{}", '"name" must be there'), ('{"name": 1}', '"name" must be there'), ('{"name": null}', '"name"'),
                ('{"name": "a", "partitions": "3"}', '"partitions" must be a number from 1 to 10000'),
                ('{"name": "a", "partitions": 0}', "from 1 to 10000"), ('{"name": "a", "partitions": 1.5}', "from 1 to"),
                ('{"name": "a", "partitions": -1}', "from 1 to 10000"),
                ('{"name": "a", "partitions": 4294967299}', "from 1 to 10000"),     # 3 in 32 bits
                ('{"name": "a", "partitions": 99999999999999999999999}', "JSON"),
                ('{"name": "a", "replication_factor": 65537}', '"replication_factor" must be a number'),  # 1 in 16 bits
                ('{"name": "a", "configs": []}', '"configs" must be an object'),
                ('{"name": "a", "configs": "x"}', '"configs" must be an object'),
                ('{"name": "a", "configs": {"retention.ms": 1000}}', "retention.ms must be a text"),
                (json.dumps({"name": "a", "configs": {f"c{i}": "" for i in range(65)}}), "more than 64"),
                ('{"name": "a", "partition": 3}', '"partition" is not known'),
                ('{"name": ""}', "empty"), ('{"name": "a b"}', "letters, digits"), ('{"name": ".."}', "'..'"),
                ('{"name": "a", "configs": {"nope": "1"}}', "nope")):
            with self.subTest(body[:60]):
                self.refused(400, "POST", "/v1/topics", body, says=(words,))
        self.assertEqual(self.ask("GET", "/v1/topics")[2], before)

    def test_verify_bodies(self):
        """What cannot be verified is told; nothing runs then."""
        for body, words in (("{", "not JSON"), ("[]", "not an object"), ('{"topic": 1}', '"topic" must be a text'),
                            ('{"partition": 0}', 'needs a "topic"'), ('{"topic": "t", "partition": -1}', "from 0 to"),
                            ('{"topic": "t", "partition": "0"}', "from 0 to"), ('{"bytes_per_second": -1}', "must be a number"),
                            ('{"rate": 1}', '"rate" is not known')):
            with self.subTest(body):
                self.refused(400, "POST", "/v1/verify", body, says=(words,))
        self.refused(404, "POST", "/v1/verify", '{"topic": "nope"}', says=("no topic 'nope'",))
        self.refused(404, "GET", "/v1/verify", says=("No verification was asked for",))

    def test_quota_bodies(self):
        """What is wrong with the body is told, and nothing is changed."""
        user = '"entity": {"user": "u"}'
        for body, words in (("{", "not JSON"), ("[]", "not an object"), ("{}", '"entity" must be there'),
                            ('{"entity": []}', "an object"), ('{"entity": {}, "unset": ["x"]}', "name a user"),
                            ('{"entity": {"host": "a"}}', "user, client-id or ip"), ('{"entity": {"user": 1}}', "texts as names"),
                            ('{"entity": {"user": ""}}', "the default has none"), ('{"entity": {"ip": "a b"}}', "in numbers"),
                            ("{%s}" % user, "Nothing is set"), ('{%s, "set": []}' % user, "object of numbers"),
                            ('{%s, "set": {"producer_byte_rate": "1"}}' % user, "object of numbers"),
                            ('{%s, "set": {"nope": 1}}' % user, "no such quota"), ('{%s, "unset": {}}' % user, "array of"),
                            ('{%s, "set": {"producer_byte_rate": -1}}' % user, "above 0"),
                            ('{%s, "unset": [1]}' % user, "array of"),
                            (json.dumps({"entity": {"user": "u"}, "unset": ["x"] * 100}), "more quotas than exist"),
                            ('{%s, "set": {"producer_byte_rate": 1}, "unset": ["producer_byte_rate"]}' % user, "twice"),
                            ('{%s, "put": {}}' % user, '"put" is not known')):
            with self.subTest(body[:60]):
                self.refused(400, "POST", "/v1/quotas", body, says=(words,))
        self.assertEqual(json.loads(self.ask("GET", "/v1/quotas")[2]), {"quotas": []})

    def test_acl_bodies(self):
        """What is wrong with the body is told, and nothing is changed."""
        def add(**changes):
            return json.dumps({"add": [{"resource": "topic", "name": "t", "principal": "User:a", "operation": "read", **changes}]})

        for body, words in (("{", "not JSON"), ("{}", "The body must be"), ('{"add": [], "remove": {}}', "The body must be"),
                            ('{"add": []}', "1 to 10000"), ('{"add": {}}', "1 to 10000"), ('{"add": [1]}', "is an object of"),
                            (add(who=1), "is an object of"), (add(resource="page"), '"resource" is'), (add(resource="any"), '"resource" is'),
                            (add(pattern="match"), "literal (3) or prefixed (4)"), (add(operation="any"), '"operation" is'),
                            (add(permission="perhaps"), '"permission" is'), (add(host=1), "are texts"), (add(name=None), "are texts"),
                            ('{"add": [{"name": "t"}]}', "A rule is for"), (add(principal="a"), "User:alice"),
                            ('{"remove": {}}', "all rules away"), ('{"remove": {"operation": "fly"}}', '"operation" is'),
                            ('{"put": {}}', '"put" is not known')):
            with self.subTest(body[:90]):
                self.refused(400, "POST", "/v1/acls", body, says=(words,))
        self.assertEqual(json.loads(self.ask("GET", "/v1/acls")[2]), {"acls": []})

    def test_user_bodies(self):
        """What is wrong with the body is told, and nothing is changed."""
        good = {"mechanism": "SCRAM-SHA-256", "iterations": 4096, "salt": "YWJj", "stored_key": "A" * 43 + "=", "server_key": "A" * 43 + "="}

        def body(**more):
            return json.dumps({"name": "u", "credentials": [{**good, **more}]})
        for text, words in (("{", "not JSON"), ("{}", '"name" must be there'), ('{"name": "u"}', '"credentials" must be there'),
                            ('{"name": "u", "credentials": []}', '"credentials" must be there'),
                            (json.dumps({"name": "u", "credentials": [good] * 3}), "one for each mechanism"),
                            (json.dumps({"name": "u", "credentials": [good] * 2}), "named twice"),
                            ('{"name": "u", "credentials": [1]}', "SCRAM-SHA-256 or"), (body(mechanism="PLAIN"), "SCRAM-SHA-256 or"),
                            (body(iterations="1"), "must be a number"), (body(salt="?"), "in base64"), (body(stored_key=None), "in base64"),
                            (body(iterations=4095), "Too few iterations"), (body(salt=""), "1 to 256 bytes"),
                            (body(stored_key="YWJj"), "has 32 bytes"), (json.dumps({"name": "", "credentials": [good]}), "must not be empty"),
                            ('{"password": ""}', '"password" is not known')):
            with self.subTest(text[:60]):
                self.refused(400, "POST", "/v1/users", text, says=(words,))
        self.refused(404, "DELETE", "/v1/users/nobody", says=("no user 'nobody'",))
        self.assertEqual(json.loads(self.ask("GET", "/v1/users")[2]), {"users": []})

    def test_transaction_bodies(self):
        for body, words in (("{", "not JSON"), ("{}", "Something is missing"), ('{"op": "abort"}', "Something is missing"),
                            ('{"op": "commit", "id": "a"}', "Something is missing"), ('{"op": "abort", "id": ""}', "missing"),
                            ('{"op": "abort", "id": 1}', "missing"), ('{"id": "a", "why": "x"}', '"why" is not known')):
            with self.subTest(body):
                self.refused(400, "POST", "/v1/transactions", body, says=(words,))
        self.refused(404, "POST", "/v1/transactions", '{"op": "abort", "id": "nope"}', says=("no transactional id 'nope'",))
        self.refused(404, "GET", "/v1/transactions/nope", says=("no transactional id 'nope'",))

    def test_body_too_long(self):
        """More than 1 MiB is 413, told, and not kept."""
        self.refused(413, "POST", "/v1/topics", '{"name": "' + "a" * BODY_MAX + '"}', says=("1 MiB",))
        self.refused(413, "POST", "/v1/topics", b" " * (20 << 20), says=("1 MiB",))

    def test_unknown_names(self):
        """404 with what shows the right ones."""
        for path in ("/v1/topics/nope", "/v1/topics/a%2Fb", "/v1/topics/..", "/v1/topics/%22%3C%5C"):
            self.refused(404, "GET", path, says=("There is no topic", "chronik-ctl topic list"))
            self.refused(404, "DELETE", path, says=("There is no topic",))
        self.refused(404, "GET", "/v1/groups/nope%20%C3%A9", says=("no group 'nope é'", "chronik-ctl group list"))

    def test_names_with_bytes_that_end_texts(self):
        """An encoded NUL does not end a name: no other topic is shown, and none is deleted."""
        name = self.topic()
        for path in (f"/v1/topics/{name}%00", f"/v1/topics/{name}%00x"):
            self.refused(404, "GET", path)
            self.refused(404, "DELETE", path)
        self.assertEqual(self.ask("GET", f"/v1/topics/{name}")[0], 200)
        self.refused(400, "GET", "/v1/topics/%FF", says=("not UTF-8",))
        self.refused(400, "DELETE", "/v1/groups/%C0%80", says=("not UTF-8",))

    def test_escapes(self):
        """Escaped characters of a name that exists are the name."""
        name = self.topic()
        self.assertEqual(json.loads(self.ask("GET", "/v1/topics/" + name.replace("-", "%2d"))[2])["name"], name)

    def test_many_at_once(self):
        """Requests from many threads, some of them changes: every one is answered."""
        answers = []

        def one(number):
            name = f"at-once-{number}"
            answers.append((self.create({"name": name})[0], self.ask("GET", f"/v1/topics/{name}")[0],
                            self.ask("DELETE", f"/v1/topics/{name}")[0]))

        threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(answers, [(200, 200, 200)] * 20)


class Metrics(AdminCase):
    LINE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$')

    def metrics(self):
        """{series as text: value}, the form of the whole checked on the way."""
        status, headers, text = self.ask("GET", "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        found, family, families = {}, None, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
                self.assertNotIn(family, families, "a family is begun twice")
                families.add(family)
                continue
            if line.startswith("# TYPE "):
                self.assertEqual(line.split()[2], family)
                kind = line.split()[3]
                continue
            match = self.LINE.match(line)
            self.assertTrue(match, line)
            name, labels, value = match.groups()
            self.assertEqual(re.sub("_(sum|count)$", "", name) if kind == "summary" else name, family)
            series = name + (f"{{{labels}}}" if labels else "")
            self.assertNotIn(series, found, "a series is there twice")
            found[series] = float(value)
        return found

    def moved(self, before, after, prefix=""):
        return {k: after[k] - before.get(k, 0) for k in after if k.startswith(prefix) and after[k] != before.get(k, 0)}

    def test_promtool(self):
        """Prometheus' own check has no complaint."""
        self.produce(self.client(), self.topic(), [b"v"])
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool is not installed (tools/packages-ci.txt, package prometheus)")
        done = subprocess.run([promtool, "check", "metrics"], input=self.ask("GET", "/metrics")[2], text=True,
                              capture_output=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_alert_rules(self):
        """Rules that are shipped ask for metrics that a node has, and Prometheus makes of example series what the rules are meant for."""
        folder = ROOT / "monitoring/rules"
        there = self.ask("GET", "/metrics")[2]
        for file in sorted(folder.glob("*.yml")):
            for name in set(re.findall(r"\bchronik_[a-z_]+", file.read_text())):
                self.assertIn(f"# TYPE {name} ", there, file.name)
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool is not installed (tools/packages-ci.txt, package prometheus)")
        for file in sorted(folder.glob("*.yml")):
            what = ["test", "rules"] if file.name.endswith(".test.yml") else ["check", "rules"]
            done = subprocess.run([promtool, *what, file.name], cwd=folder, text=True, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_counters_of_produce(self):
        """N records in M requests move the counters by exactly that."""
        topic, client = self.topic(), self.client()
        data = records.batch([b"value"] * 7)
        before = self.metrics()
        for _ in range(5):
            self.assertError(self.produce(client, topic, data)["error_code"], ERR.NONE)
        moved = self.moved(before, self.metrics())
        self.assertEqual(moved["chronik_appended_records_total"], 35)
        self.assertEqual(moved["chronik_appended_bytes_total"], 5 * len(data))
        self.assertEqual(moved['chronik_requests_total{api="Produce"}'], 5)
        self.assertEqual(moved["chronik_produce_latency_seconds_count"], 5)
        self.assertGreaterEqual(moved["chronik_flushes_total"], 1)
        self.assertFalse(self.moved(before, self.metrics(), "chronik_request_errors_total"))
        self.assertGreater(moved["chronik_network_received_bytes_total"], 5 * len(data))

    def test_duplicates_are_no_records(self):
        """A batch that an idempotent producer sends again is not counted again."""
        topic, client = self.topic(), self.client()
        answer = client.call("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=1000)
        data = records.batch([b"v"] * 3, producer_id=answer["producer_id"], producer_epoch=0, base_sequence=0)
        before = self.metrics()
        for _ in range(2):
            self.assertError(self.produce(client, topic, data)["error_code"], ERR.NONE)
        self.assertEqual(self.moved(before, self.metrics())["chronik_appended_records_total"], 3)

    def test_errors(self):
        """Errors are counted by API and name; refused records are no appended ones."""
        topic, client = self.topic(), self.client()
        before = self.metrics()
        good = records.batch([b"v"])
        self.produce(client, topic, good[:20] + bytes([good[20] ^ 0xFF]) + good[21:])
        self.produce(client, "nope", good)
        self.fetch(client, topic, offset=99)
        moved = self.moved(before, self.metrics())
        self.assertEqual({k: v for k, v in moved.items() if k.startswith("chronik_request_errors_total")}, {
            'chronik_request_errors_total{api="Produce",error="CORRUPT_MESSAGE"}': 1,
            'chronik_request_errors_total{api="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"}': 1,
            'chronik_request_errors_total{api="Fetch",error="OFFSET_OUT_OF_RANGE"}': 1})
        self.assertNotIn("chronik_appended_records_total", moved)

    def test_connections(self):
        """Open ones are a gauge that comes back, all of them a counter that does not; bad frames are told apart."""
        self.quiet()
        before = self.metrics()
        clients = [Client(self.node.host, self.node.port) for _ in range(7)]
        for client in clients:
            client.call("ApiVersions", 0)
        moved = self.moved(before, self.metrics())
        self.assertEqual((moved["chronik_connections"], moved["chronik_connections_total"]), (7, 7))
        clients[0].send_raw(b"\xff\xff\xff\xff")
        self.assertTrue(clients[0].closed())
        for client in clients:
            client.close()
        self.quiet()
        moved = self.moved(before, self.metrics())
        self.assertNotIn("chronik_connections", moved)
        self.assertEqual(moved["chronik_connections_total"], 7)
        self.assertEqual(moved['chronik_connections_closed_total{reason="bad_frame"}'], 1)

    def quiet(self):
        """Wait until no client is connected."""
        deadline = time.monotonic() + 5
        while self.metrics()["chronik_connections"] and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.metrics()["chronik_connections"], 0)

    def test_lag(self):
        """Lag is the end that consumers can read to less what the group committed; a commit and a record move it."""
        topic, group, client = self.topic(), self.fresh("group"), self.client()
        series = f'chronik_consumer_lag{{group="{group}",topic="{topic}",partition="0"}}'
        self.produce(client, topic, [b"v"] * 10)
        self.assertNotIn(series, self.metrics())
        for offset, lag in ((4, 6), (10, 0), (0, 10)):
            self.commit(client, group, topic, offset)
            self.assertEqual(self.metrics()[series], lag)
        self.produce(client, topic, [b"v"] * 5)
        self.assertEqual(self.metrics()[series], 15)

    def commit(self, client, group, topic, offset):
        for _ in range(100):
            client.call("FindCoordinator", 2, key=group, key_type=0)
            answer = client.call("OffsetCommit", 7, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": offset}]}])
            if answer["topics"][0]["partitions"][0]["error_code"] == 0:
                return
        self.fail(f"no commit: {answer}")

    def test_groups(self):
        """Groups, members, rebalances and commits."""
        topic, group, client = self.topic(), self.fresh("group"), self.client()
        self.commit(client, self.fresh("group"), topic, 0)
        before = self.metrics()
        fields = dict(group_id=group, session_timeout_ms=60000, rebalance_timeout_ms=60000, protocol_type="consumer",
                      protocols=[{"name": "range", "metadata": b""}])
        member = client.call("JoinGroup", 5, member_id="", **fields)["member_id"]
        generation = client.call("JoinGroup", 5, member_id=member, **fields)["generation_id"]
        client.call("SyncGroup", 3, group_id=group, generation_id=generation, member_id=member,
                    assignments=[{"member_id": member, "assignment": b"x"}])
        moved = self.moved(before, self.metrics(), "chronik_group")
        self.assertEqual(moved, {"chronik_groups": 1, "chronik_group_members": 1, "chronik_group_rebalances_total": 1})
        client.call("LeaveGroup", 1, group_id=group, member_id=member)
        self.assertNotIn("chronik_group_members", self.moved(before, self.metrics()))

    def test_latency(self):
        """Quantiles are numbers after traffic, in order, and of the right size: less than the client saw."""
        topic, client = self.topic(), self.client()
        longest = 0.0
        for _ in range(50):
            began = time.monotonic()
            self.produce(client, topic, [b"v"])
            self.fetch(client, topic)
            longest = max(longest, time.monotonic() - began)
        now = self.metrics()
        for name in ("produce", "fetch"):
            half, most, nearly = (now[f'chronik_{name}_latency_seconds{{quantile="{q}"}}'] for q in ("0.5", "0.95", "0.99"))
            self.assertGreater(half, 0)
            self.assertLessEqual(half, most)
            self.assertLessEqual(most, nearly)
            count, total = (now[f"chronik_{name}_latency_seconds_{what}"] for what in ("count", "sum"))
            self.assertGreaterEqual(count, 50)
            self.assertGreater(total, 0)
            self.assertLess(half, longest * 1.1)

    def test_waiting_is_no_latency(self):
        """The time that a fetch asked to wait is not counted."""
        topic, client = self.topic(), self.client()
        before = self.metrics()
        self.fetch(client, topic, max_wait_ms=700)
        moved = self.moved(before, self.metrics(), "chronik_fetch_latency")
        self.assertEqual(moved["chronik_fetch_latency_seconds_count"], 1)
        self.assertLess(moved["chronik_fetch_latency_seconds_sum"], 0.35)

    def test_in_work(self):
        """A request that waits is in work, and no more when it is answered."""
        topic, client = self.topic(), self.client()
        client.send("Fetch", 12, max_wait_ms=1000, min_bytes=1 << 20, max_bytes=1 << 20, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "partition_max_bytes": 1 << 20}]}])
        time.sleep(0.2)
        self.assertGreaterEqual(self.metrics()["chronik_requests_in_work"], 1)
        client.receive()
        self.assertEqual(self.metrics()["chronik_requests_in_work"], 0)

    def test_cluster(self):
        """Quorum, brokers and partitions as the metadata has them; what is created is there at the next scrape."""
        before = self.metrics()
        for _ in range(2):
            self.topic(partitions=3)
        now = self.metrics()
        moved = self.moved(before, now)
        for name in ("chronik_cluster_partitions", "chronik_leaders", "chronik_replicas", "chronik_partitions"):
            self.assertEqual(moved[name], 6, name)
        self.assertGreater(moved["chronik_quorum_committed_index"], 0)
        self.assertGreater(moved["chronik_quorum_log_bytes"], 0)
        self.assertGreaterEqual(moved["chronik_controller_requests_total"], 2)
        self.assertFalse([k for k in moved if k.startswith(("chronik_elections", "chronik_isr", "chronik_leaderships"))])
        self.assertEqual((now["chronik_quorum_leader"], now["chronik_quorum_voters"], now["chronik_quorum_voters_heard"]), (1, 1, 1))
        self.assertEqual(now['chronik_quorum_lag_entries{node="1"}'], 0)
        self.assertGreaterEqual(now["chronik_quorum_term"], 1)
        self.assertEqual({k: v for k, v in now.items() if k.startswith("chronik_cluster_brokers")},
                         {f'chronik_cluster_brokers{{state="{s}"}}': s == "active"
                          for s in ("active", "fenced", "stopping", "leaving", "draining", "drained")})
        for name in ("offline", "below_min_isr", "under_replicated", "reassigning", "recovering", "not_preferred"):
            self.assertEqual(now[f"chronik_cluster_partitions_{name}"], 0)
        self.assertFalse([k for k in now if k.startswith("chronik_peer")], "a node alone speaks with nobody")

    def test_below_min_isr(self):
        """A partition that refuses acks=all for want of replicas is told so at once, and by health."""
        before = self.metrics()
        name = self.topic()
        self.client().call("IncrementalAlterConfigs", 1, validate_only=False, resources=[
            {"resource_type": 2, "resource_name": name, "configs": [
                {"name": "min.insync.replicas", "config_operation": 0, "value": "2"}]}])
        # never more than there are replicas: one of one is enough
        self.assertNotIn("chronik_cluster_partitions_below_min_isr", self.moved(before, self.metrics()))
        self.assertEqual(json.loads(self.ask("GET", "/v1/cluster")[2])["health"], "ok")

    def test_process(self):
        """The process' own: what the kernel says."""
        now = self.metrics()
        with open(f"/proc/{self.node.process.pid}/status", encoding="ascii") as status:
            resident = int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) << 10
        self.assertLess(abs(now["process_resident_memory_bytes"] - resident), 8 << 20)
        self.assertGreater(now["process_open_fds"], 5)
        self.assertGreater(now["process_max_fds"], now["process_open_fds"])
        self.assertEqual(now["chronik_ready"], 1)
        self.assertEqual(now["chronik_active_controller"], 1)

    def test_names_are_escaped(self):
        """Quotes, backslashes and line feeds in a group's name make no other series."""
        topic, client = self.topic(), self.client()
        self.produce(client, topic, [b"v"])
        self.commit(client, 'a"b\\c\nd', topic, 0)
        self.assertEqual(self.metrics()[f'chronik_consumer_lag{{group="a\\"b\\\\c\\nd",topic="{topic}",partition="0"}}'], 1)


if __name__ == "__main__":
    unittest.main()
