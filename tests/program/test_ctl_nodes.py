#!/usr/bin/env python3
"""chronik-ctl on nodes, controllers, the disruption token and moves of partitions, against a node alone.

Goal: each command does what its help says and leaves the state that the next one shows; what cannot be is refused with the
reason and the documented status. Method: the real programs; a node alone is the cluster where nothing can be moved, so that
each refusal is seen; what needs several nodes is in test_cluster.py.
"""

import http.client
import json
import time
import unittest

from test_ctl import CtlCase

from case import NodeCase


class AloneCase(CtlCase, NodeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.node.admin

    def json(self, *args):
        return json.loads(self.good(*args, "--json"))

    def post(self, path, body, method="POST"):
        """(status, answer)."""
        host, port = self.node.admin.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request(method, path, body if isinstance(body, str) else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Nodes(AloneCase):
    def test_list_and_get(self):
        """The node itself, with what it leads; the same in both."""
        before = self.json("node", "get", "1")
        self.topic(partitions=3)
        node = self.json("node", "get", "1")
        (listed,) = self.json("node", "list")["nodes"]
        for one in (listed, node):
            self.assertTrue(0 < one.pop("disk_free_bytes") < one["disk_size_bytes"])    # it moves
        self.assertEqual(listed, node)
        self.assertEqual((node["id"], node["roles"], node["state"], node["fenced"]), (1, ["controller", "ingest"], "active", False))
        self.assertEqual(f"{node['host']}:{node['port']}", self.node.address)
        self.assertEqual(node["leaders"] - before["leaders"], 3)
        self.assertEqual(node["replicas"] - before["replicas"], 3)
        self.assertEqual((node["replicas_behind"], node["leaders_movable"]), (0, 0))
        self.assertEqual((node["metadata"]["kind"], node["metadata"]["active"], node["metadata"]["lag"]), ("voter", True, 0))
        text = self.good("node", "get", "1")
        self.assertIn("state        active\n", text)
        self.assertIn(f"leaders      {node['leaders']} partitions\n", text)
        self.assertIn("the active controller\n", text)

    def test_no_such_node(self):
        for verb in ("get", "drain", "undrain", "decommission", "may-stop"):
            self.bad(1, "node", verb, "4", says=("4",))

    def test_drain(self):
        """Drained until undrained; shown by list; doing it twice is doing it once. Nobody else can lead, so it still leads."""
        self.topic()
        self.addCleanup(self.ctl, "node", "undrain", "1")
        self.assertIn("node 1 drains", self.good("node", "drain", "1"))
        self.assertRegex(self.good("node", "drain", "1", "--wait"), r"node 1 is drained; it leads \d+ partitions that nobody else can")
        self.assertEqual([(n["state"], n["duty"]) for n in self.json("node", "list")["nodes"]], [("drained", "drained")])
        self.assertIn("drained", self.good("node", "list"))
        self.assertEqual(self.json("cluster", "info")["health"], "ok")
        self.assertEqual(self.json("node", "drain", "1"), {"result": "draining", "id": 1})
        self.assertIn("takes part again", self.good("node", "undrain", "1"))
        self.assertEqual(self.json("node", "get", "1")["state"], "active")

    def test_decommission_refused(self):
        """Its replicas have nowhere to go."""
        self.topic()
        self.bad(1, "node", "decommission", "1", says=("left to hold them",))
        self.assertEqual(self.json("node", "get", "1")["duty"], "none")

    def test_may_stop(self):
        """A node alone takes everything away when it stops: status 5 and why; the same as JSON."""
        self.topic()
        self.bad(5, "node", "may-stop", "1", says=("node 1 must not stop now", "majority", "no leader", "acks=all"))
        done = self.ctl("node", "may-stop", "1", "--json")
        self.assertEqual((done.returncode, done.stderr), (5, ""))
        answer = json.loads(done.stdout)
        self.assertEqual((answer["id"], answer["safe"], answer["quorum_would_be_lost"]), (1, False, True))
        self.assertGreater(answer["offline"], 0)

    def test_wait_gives_up(self):
        """--timeout: what is not so yet is a failure that says so."""
        began = time.monotonic()
        self.bad(1, "node", "may-stop", "1", "--wait", "--timeout", "1s", says=("is not safe to stop after 1000 ms",))
        self.assertTrue(1 <= time.monotonic() - began < 5)

    def test_paths(self):
        """Paths of nodes that mean nothing."""
        for path, status in (("/v1/nodes/x", 404), ("/v1/nodes/1/nope", 404), ("/v1/nodes/-1", 404), ("/v1/nodes/1x", 404),
                             ("/v1/nodes/99999999999", 404), ("/v1/nodes//may-stop", 404), ("/v1/nodes/2/may-stop", 404)):
            got = self.node.get(path)
            self.assertEqual(got[0], status, path)
            self.assertIn("error", json.loads(got[1]))
        self.assertEqual(self.post("/v1/nodes/1/explode", {})[0], 404)
        self.assertEqual(self.post("/v1/nodes/1", {})[0], 404)


class Disruption(AloneCase):
    def tearDown(self):
        self.ctl("cluster", "disruption", "override", "--node", "1", "--reason", "end of a test", "--as", "t")
        self.good("cluster", "disruption", "release", "--as", "t")
        super().tearDown()

    def test_life(self):
        """The guard refuses to give the token; an override takes it, is shown and recorded; release frees it."""
        self.bad(1, "cluster", "disruption", "acquire", "--node", "1", "--reason", "new disk", says=("must not stop now",))
        self.assertIn("disruption   none\n", self.good("cluster", "disruption", "show"))
        text = self.good("cluster", "disruption", "override", "--node", "1", "--reason", "it burns", "--as", "alice", "--ttl", "2h")
        self.assertIn("node 1 may be taken down until ", text)
        held = self.json("cluster", "disruption", "show")
        self.assertEqual((held["held"], held["holder"], held["node"], held["reason"]), (True, "alice", 1, "it burns"))
        self.assertTrue(7190000 < held["left_ms"] <= 7200000)
        self.assertEqual((held["last_override"]["by"], held["last_override"]["reason"]), ("alice", "it burns"))
        for args in (("cluster", "disruption", "show"), ("cluster", "info")):
            text = self.good(*args)
            self.assertIn("disruption   node 1 by alice: it burns\n", text)
            self.assertRegex(text, r"last override 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC by alice: it burns\n")
        self.bad(1, "cluster", "disruption", "acquire", "--node", "1", "--reason", "x", "--as", "bob", says=("alice",))
        self.bad(1, "cluster", "disruption", "release", "--as", "bob", says=("alice holds the token",))
        self.assertEqual(self.good("cluster", "disruption", "release", "--as", "alice"), "released\n")
        self.assertFalse(self.json("cluster", "disruption", "show")["held"])
        self.assertEqual(self.good("cluster", "disruption", "release", "--as", "alice"), "released\n")

    def test_runs_out(self):
        """After its time it is free by itself."""
        self.good("cluster", "disruption", "override", "--node", "1", "--reason", "short", "--as", "alice", "--ttl", "1s")
        self.assertTrue(self.json("cluster", "disruption", "show")["held"])
        time.sleep(1.1)
        self.assertFalse(self.json("cluster", "disruption", "show")["held"])

    def test_names_that_attack(self):
        """Whoever asks names itself: no control character reaches another operator's terminal."""
        self.good("cluster", "disruption", "override", "--node", "1", "--reason", "a\x1b[2Jb", "--as", "evil\r\n", "--ttl", "1m")
        text = self.good("cluster", "disruption", "show")
        self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f]")
        self.assertIn("evil??: a?[2Jb", text)
        self.good("cluster", "disruption", "release", "--as", "evil\r\n")

    def test_bad_bodies(self):
        for body, words in (("{", "not JSON"), ("[]", "not an object"), ({}, '"op" must be'), ({"op": "steal"}, '"op" must be'),
                            ({"op": "acquire"}, '"who"'), ({"op": "acquire", "who": "me"}, '"node"'),
                            ({"op": "acquire", "who": "me", "node": "1"}, '"node"'),
                            ({"op": "acquire", "who": "me", "node": 1}, '"ttl_ms"'),
                            ({"op": "acquire", "who": "me", "node": 1, "ttl_ms": 1, "x": 1}, '"x" is not known'),
                            ({"op": "override", "who": "me", "node": 1, "ttl_ms": 60000}, "reason"),
                            ({"op": "override", "who": "me", "node": 1, "ttl_ms": 1, "reason": "r"}, "ms"),
                            ({"op": "override", "who": "m" * 300, "node": 1, "ttl_ms": 60000, "reason": "r"}, "255")):
            status, answer = self.post("/v1/disruption", body)
            self.assertEqual(status, 400, body)
            self.assertIn(words, answer["error"])


class Controllers(AloneCase):
    def test_list(self):
        listed = self.json("controller", "list")
        self.assertEqual((listed["leader"], listed["voters"], listed["voters_heard"]), (1, 1, 1))
        self.assertEqual([(c["id"], c["kind"], c["active"], c["lag"]) for c in listed["controllers"]], [(1, "voter", True, 0)])
        self.assertGreater(listed["committed_index"], 0)
        self.assertRegex(self.good("controller", "list"), r"(?m)^ +1  active  ")

    def test_alone(self):
        """There is nobody to add, remove or hand over to."""
        for args in (("add", "4@127.0.0.1:9"), ("remove", "4"), ("transfer",), ("transfer", "4")):
            self.bad(1, "controller", *args, says=("chronik-ctl: ",))
        self.assertEqual(self.json("controller", "list")["voters"], 1)


class Partitions(AloneCase):
    def test_reassign(self):
        """To where it is already: done, and nothing moves. Elsewhere: each partition is told."""
        name = self.topic(partitions=2)
        text = self.good("topic", "reassign", "set", name, "--replicas", "1")
        self.assertEqual([line.split() for line in text.splitlines()[1:]], [[name, "0", "1", "1", "ok"], [name, "1", "1", "1", "ok"]])
        self.assertEqual(self.good("topic", "reassign", "list"), "nothing moves\n")
        done = self.ctl("topic", "reassign", "set", name, "1", "--replicas", "2,1")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("Broker 2 is not registered", done.stdout)
        self.bad(1, "topic", "reassign", "cancel", name, says=("no partition of", "is being moved"))
        self.bad(1, "topic", "reassign", "set", "nope", "--replicas", "1", says=("no topic 'nope'",))

    def test_reassign_file(self):
        """A file as kafka-reassign-partitions writes it; what is wrong with one is said with its place."""
        name = self.topic(partitions=2)
        file = self.folder / "moves.json"
        file.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": name, "partition": 1, "replicas": [1], "log_dirs": ["any"]}]}), encoding="utf-8")
        self.assertIn("ok", self.good("topic", "reassign", "set", "--file", file))
        answer = json.loads(self.good("topic", "reassign", "set", "--file", file, "--json"))
        self.assertEqual(answer, {"failed": 0, "results": [{"topic": name, "partition": 1, "done": True, "before": [1]}]})
        for text, words in (("{", "line 1"), ("[]", "is not {"), ("{}", "is not {"), ('{"partitions": 3}', "is not {"),
                            ('{"partitions": []}', "that has some"), ('{"partitions": [{}]}', '"topic" must be'),
                            ('{"partitions": [{"topic": "t"}]}', '"partition" must be'),
                            ('{"partitions": [{"topic": "t", "partition": 0}]}', '"replicas" must be'),
                            ('{"partitions": [{"topic": "t", "partition": 0, "replicas": ["1"]}]}', '"replicas" must be'),
                            (json.dumps({"partitions": [{"topic": "t", "partition": 0, "replicas": list(range(33))}]}),
                             '"replicas" must be')):
            file.write_text(text, encoding="utf-8")
            self.bad(1, "topic", "reassign", "set", "--file", file, says=(words,))
        self.bad(1, "topic", "reassign", "set", "--file", "no-such-file", says=("no-such-file", "No such file"))

    def test_elect(self):
        name = self.topic(partitions=2)
        text = self.good("topic", "elect", name)
        self.assertEqual([line.split() for line in text.splitlines()[1:]],
                         [[name, "0", "1", "not", "needed"], [name, "1", "1", "not", "needed"]])
        self.assertEqual(json.loads(self.good("topic", "elect", name, "1", "--unclean", "--json")),
                         {"elected": 0, "failed": 0, "results": [
                             {"topic": name, "partition": 1, "result": "not needed", "leader": 1, "error": None}]})
        self.bad(1, "topic", "elect", "nope", says=("no topic 'nope'",))
        done = self.ctl("topic", "elect", name, "7")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("7", done.stdout)

    def test_bad_bodies(self):
        for path, body in (("/v1/elections", {}), ("/v1/elections", {"topic": 1}), ("/v1/elections", []),
                           ("/v1/elections", {"topic": self.topic(), "type": "fair"}),
                           ("/v1/elections", {"topic": self.topic(), "type": "unclean", "partitions": ["0"]}),
                           ("/v1/elections", {"topic": self.topic(), "type": "unclean", "partitions": []}),
                           ("/v1/reassignments", {}), ("/v1/reassignments", {"partitions": {}}),
                           ("/v1/reassignments", {"partitions": [1]}), ("/v1/controllers", {"id": 4}),
                           ("/v1/controllers", {"id": -4, "address": "h:1"}), ("/v1/controllers", {"id": 4, "address": 1}),
                           ("/v1/controllers", {"id": 4, "address": "h:1", "directory": "short"}), ("/v1/transfer", {"id": "4"})):
            with self.subTest(f"{path} {body}"):
                status, answer = self.post(path, body)
                self.assertEqual(status, 400, answer)
                self.assertTrue(answer["error"])


if __name__ == "__main__":
    unittest.main()
