#!/usr/bin/env python3
"""The comparison itself: each rule hides what it says and no more, and what differs is found.

Goal: that a difference cannot go unseen. Method: pairs of answers, made by hand.
"""

import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[1:1] = [str(Path(__file__).resolve().parent.parent / "protocol")]

import records  # noqa: E402
from compare import Found, Tidy, bare, compare_case, differences  # noqa: E402
from differences import Justified, Row  # noqa: E402
from side import CLOSED, Step  # noqa: E402

UUID = "0ace0000-1111-2222-3333-4444555566{:02}"


class Rules(unittest.TestCase):
    def same(self, api, left, right):
        return not list(differences(Tidy("h", 1, "a-1", {b"1" * 16: "a-1-t"}).answer(api, left),
                                    Tidy("h", 2, "a-1", {b"2" * 16: "a-1-t"}).answer(api, right)))

    def test_hidden(self):
        now = int(time.time() * 1000)
        for api, left, right in (
                ("Metadata", {"host": "h", "port": 1}, {"host": "h", "port": 2}),
                ("Metadata", {"cluster_id": "x"}, {"cluster_id": "y"}),
                ("Metadata", {"topics": [{"name": "a"}, {"name": "b"}]}, {"topics": [{"name": "b"}, {"name": "a"}]}),
                ("Metadata", {"topic_id": b"1" * 16}, {"topic_id": b"2" * 16}),
                ("Metadata", {"topic_id": b"3" * 16}, {"topic_id": b"4" * 16}),
                ("Produce", {"log_append_time_ms": now}, {"log_append_time_ms": now + 70}),
                ("Produce", {"error_message": "a"}, {"error_message": "b"}),
                ("Produce", {"error_message": ""}, {"error_message": None}),
                ("JoinGroup", {"member_id": "m-" + UUID.format(1)}, {"member_id": "m-" + UUID.format(2)}),
                ("InitProducerId", {"producer_id": 5}, {"producer_id": 1000}),
                ("Fetch", {"session_id": 5}, {"session_id": 6}),
                ("DescribeQuorum", {"high_watermark": 5}, {"high_watermark": 6}),
                ("DeleteTopics", {"responses": [{"name": "a", "error_code": 42}] * 2}, {"responses": [{"name": "a", "error_code": 42}]}),
                ("DescribeLogDirs", {"log_dir": "/a", "total_bytes": 5}, {"log_dir": "/b", "total_bytes": 6})):
            self.assertTrue(self.same(api, left, right), (api, left, right))

    def test_seen(self):
        one, two = records.batch([b"a"], base_timestamp=1), records.batch([b"b"], base_timestamp=1)
        for api, left, right in (
                ("Metadata", {"error_code": 0}, {"error_code": 3}), ("Metadata", {"a": None}, {"a": ""}),
                ("Metadata", {"port": 1}, {"port": 9}), ("Metadata", {"a": True}, {"a": 1}),
                ("Metadata", {"a": 1}, {"a": 1, "b": 2}), ("Metadata", {"cluster_id": "x"}, {"cluster_id": None}),
                ("Metadata", {"topics": [{"name": "a", "x": 1}]}, {"topics": [{"name": "a", "x": 2}]}),
                ("Metadata", {"topics": []}, {"topics": [{"name": "a"}]}),
                ("DescribeConfigs", {"synonyms": [1, 2]}, {"synonyms": [2, 1]}),
                ("Metadata", {"topic_id": b"1" * 16}, {"topic_id": bytes(16)}),
                ("Metadata", {"topic_id": b"1" * 16}, {"topic_id": b"1" * 16}),
                ("Metadata", [{"topic_id": b"3" * 16}] * 2, [{"topic_id": b"4" * 16}, {"topic_id": b"5" * 16}]),
                ("Produce", {"log_append_time_ms": -1}, {"log_append_time_ms": int(time.time() * 1000)}),
                ("Produce", {"error_message": "a"}, {"error_message": None}),
                ("Fetch", {"high_watermark": 5}, {"high_watermark": 6}), ("Fetch", {"session_id": 5}, {"session_id": 0}),
                ("Fetch", {"records": one}, {"records": two}), ("Fetch", {"records": one}, {"records": one + one}),
                ("Fetch", {"records": one}, {"records": None}), ("InitProducerId", {"producer_id": 5}, {"producer_id": -1}),
                ("JoinGroup", ["m-" + UUID.format(1)] * 2, ["m-" + UUID.format(2), "m-" + UUID.format(3)])):
            self.assertFalse(self.same(api, left, right), (api, left, right))

    def test_steps(self):
        """Another way, another number of steps, and a closed connection are differences too."""
        step = Step("Metadata", 1, "x", {}, {"a": 1})
        for left, right in (([step], []), ([step], [Step("Metadata", 2, "x", {}, {"a": 1})]),
                            ([step], [Step("Metadata", 1, "x", {}, CLOSED)])):
            self.assertEqual(len(compare_case("c", 1, left, right, Tidy(), Tidy())), 1)
        self.assertEqual(compare_case("c", 1, [step], [step], Tidy(), Tidy()), [])


class Rows(unittest.TestCase):
    def test_justified(self):
        """A row holds where all that it names fits; one that is not needed is told."""
        rows = [Row("Fetch", "a.b", "because", 1, 2, "step", (3,)), Row("Produce", ".*", "never")]
        found = Found("case", 3, 0, "step", "Fetch", "a[7].b", 1, 2)
        self.assertEqual(bare(found.path), "a.b")
        justified = Justified(rows)
        for wrong in (dict(api="ListOffsets"), dict(path="a.c"), dict(kafka=2), dict(chronik=1), dict(label="other"), dict(version=4)):
            self.assertIsNone(justified.why(found._replace(**wrong)), wrong)
        self.assertEqual(len(justified.unused()), 2)
        self.assertEqual(justified.why(found), "because")
        self.assertEqual(justified.unused(), ["Produce .*: never"])


if __name__ == "__main__":
    unittest.main()
