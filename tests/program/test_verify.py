#!/usr/bin/env python3
"""chronik-ctl log verify, and what becomes of records that have rotted on the disk.

Goal: a byte that changes on the disk is found, told with offsets, file and position, and its records are refused; all others
are served as before; that stays so over a restart, and ends when the byte is right again.
Method: bytes of segment files are changed under a running node, and under one that is stopped.
"""

import json
import os
import re
import time
import unittest
from pathlib import Path

from program import CHRONIK_CTL, ProgramCase

import records
from case import NodeCase
from kafka import ERR, Client

BATCHES = 40
DAMAGED = 4             # exit status


def tree(folder):
    """Everything below a folder: path -> content and time of change."""
    return {p.relative_to(folder): (p.read_bytes() if p.is_file() else None, p.stat().st_mtime_ns)
            for p in Path(folder).rglob("*")}


class VerifyCase(ProgramCase, NodeCase):
    SETTINGS = ["groups.offsets_partitions=1", "storage.scrub_interval_ms=-1"]

    def ctl(self, *args, **options):
        return self.run_program(CHRONIK_CTL, "log", "verify", *args, env={"CHRONIK_SERVER": self.node.admin}, **options)

    def verify(self, *args, status=0):
        """As JSON: topic, partition -> what was found. @status None: of others' topics as well."""
        done = self.ctl(*args, "--json")
        self.assertEqual((done.returncode, done.stderr), (done.returncode if status is None else status, ""), done.stdout)
        return {(p["topic"], p["partition"]): p for p in json.loads(done.stdout)["results"]}

    def fill(self, name=None, **configs):
        """A topic with a batch of two records for each of BATCHES, in several segments."""
        topic = self.topic(name=name, **{"segment_bytes": 4096, "index_interval_bytes": 600, **configs})
        client = self.client()
        for i in range(BATCHES):
            answer = self.produce(client, topic, [b"%03d" % i * 60, b"second"])
            self.assertError(answer["error_code"], ERR.NONE)
        return topic

    def places(self, topic):
        """Where each batch lies: (file, position, length), by subscript."""
        found = []
        for path in sorted((self.node.data / "log" / f"{topic}-0").glob("*.log")):
            data, at = path.read_bytes(), 0
            while at < len(data):
                length = 12 + int.from_bytes(data[at + 8:at + 12], "big")
                found.append((path, at, length))
                at += length
        self.assertEqual(len(found), BATCHES)
        return found

    def flip(self, place, at, bits=0x20):
        """Change a byte of a batch in place."""
        path, pos, _ = place
        with open(path, "r+b") as file:
            file.seek(pos + at)
            byte = file.read(1)[0]
            file.seek(pos + at)
            file.write(bytes([byte ^ bits]))

    def expect_served(self, topic, but=()):
        """Every offset is served as it was written, but those of the batches @but, which are refused."""
        refused = {o for b in but for o in (2 * b, 2 * b + 1)}
        with Client(self.node.host, self.node.port) as client:
            for offset in range(2 * BATCHES):
                answer = self.fetch(client, topic, offset)
                if offset in refused:
                    self.assertError(answer["error_code"], ERR.KAFKA_STORAGE_ERROR)
                    self.assertFalse(answer["records"])
                    continue
                self.assertError(answer["error_code"], ERR.NONE)
                batches = records.parse(answer["records"])
                self.assertLessEqual(batches[0].base_offset, offset)
                for batch in batches:
                    self.assertNotIn(batch.base_offset, refused)
                    self.assertEqual(batch.records[0].value, b"%03d" % (batch.base_offset // 2) * 60)

    def metric(self, series):
        text = self.node.get("/metrics")[1]
        found = re.search(rf"(?m)^{re.escape(series)} (\S+)$", text)
        return float(found[1]) if found else None


class Verify(VerifyCase):
    def test_clean(self):
        """Nothing is wrong: status 0, and what was read."""
        topic = self.fill()
        before = self.metric("chronik_scrub_bytes_total"), self.metric("chronik_scrub_passes_total")
        found = self.verify(topic)[topic, 0]
        size = sum(length for _, _, length in self.places(topic))
        self.assertEqual((found["result"], found["start_offset"], found["end_offset"], found["batches"]),
                         ("ok", 0, 2 * BATCHES, BATCHES))
        self.assertGreaterEqual(found["bytes"], size)
        self.assertEqual(self.metric("chronik_scrub_passes_total"), before[1] + 1)
        self.assertEqual(self.metric("chronik_scrub_bytes_total"), before[0] + found["bytes"])
        self.assertLess(abs(self.metric("chronik_scrub_last_completed_seconds") - time.time()), 60)
        done = self.ctl(topic, "0")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, rf"(?m)^TOPIC .* RESULT\n{topic} +0 +0 +80 .* 40 +0 +ok\n\Z")
        self.expect_served(topic)

    def test_all_topics(self):
        """Without a name: every partition, internal ones too."""
        topic, other = self.fill(), self.topic(partitions=3)
        self.client().call("FindCoordinator", 2, key="g", key_type=0)
        found, mine = self.verify(status=None), {(topic, 0), (other, 0), (other, 1), (other, 2), ("__consumer_offsets", 0)}
        self.assertLessEqual(mine, set(found))
        self.assertEqual({found[p]["result"] for p in mine}, {"ok"})
        self.assertEqual(set(self.verify(other)), {(other, 0), (other, 1), (other, 2)})
        self.assertEqual(set(self.verify(other, "1")), {(other, 1)})

    def test_refused(self):
        """What is not there is said, with status 1."""
        for args, words in ((["nope"], "no topic 'nope'"), ([self.topic(), "7"], "does not lead partition 7")):
            done = self.ctl(*args)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(words, done.stderr)

    def test_rot(self):
        """A byte of a record in a sealed segment: found exactly, refused exactly, kept over a restart, healed."""
        topic = self.fill()
        places = self.places(topic)
        path, pos, length = places[7]
        self.flip(places[7], 100)
        found = self.verify(topic, status=DAMAGED)[topic, 0]
        self.assertEqual((found["result"], found["damaged_ranges"]), ("damaged", 1))
        range_ = found["damaged"][0]
        self.assertEqual((range_["first_offset"], range_["last_offset"], range_["file"], range_["position"], range_["bytes"]),
                         (14, 15, path.name, pos, length))
        self.assertIn("does not match its CRC", range_["why"])
        self.assertIn(f"{topic}-0: offsets 14 to 15 are damaged in", self.node.text())
        labels = f'{{topic="{topic}",partition="0"}}'
        for kill in (True, False):
            self.expect_served(topic, but=[7])
            self.assertEqual(self.metric("chronik_damaged_ranges" + labels), 1)
            self.assertEqual(self.metric("chronik_damaged_offsets" + labels), 2)
            self.assertGreaterEqual(self.metric("chronik_damaged_ranges_all"), 1)
            self.assertEqual(self.node.get("/readyz")[0], 200)
            detailed = self.run_program(CHRONIK_CTL, "topic", "get", topic, "--detailed",
                                        env={"CHRONIK_SERVER": self.node.admin}).stdout
            self.assertRegex(detailed, rf"(?m)^ +0 .* damaged$")
            self.assertRegex(detailed, rf"(?m)^{topic} +0 +14 +15 +{path.name} +{pos} +{length} +a batch does not match")
            self.node.restart(kill=kill)
        done = self.ctl(topic)
        self.assertEqual((done.returncode, done.stderr), (DAMAGED, ""))
        self.assertRegex(done.stdout, rf"(?m)^{topic} +0 .* 1 +damaged\n\nTOPIC")
        self.flip(places[7], 100)
        found = self.verify(topic)[topic, 0]
        self.assertEqual((found["result"], found["healed_offsets"]), ("ok", 2))
        self.expect_served(topic)
        self.assertIsNone(self.metric("chronik_damaged_ranges" + labels))

    def test_rot_of_lengths(self):
        """The length of a batch: what lies behind is found by the index, and served."""
        topic = self.fill()
        places = self.places(topic)
        self.flip(places[3], 9)
        found = self.verify(topic, status=DAMAGED)[topic, 0]["damaged"][0]
        self.assertEqual(found["first_offset"], 6)
        last = found["last_offset"]
        self.assertLess(last, 14)               # an entry of the index for every 600 bytes
        self.expect_served(topic, but=range(3, (last + 1) // 2))
        self.node.restart()
        self.expect_served(topic, but=range(3, (last + 1) // 2))

    def test_active_segment(self):
        """The segment that is being written: found as well, and appends go on."""
        topic = self.fill()
        places = self.places(topic)
        self.assertEqual(places[-1][0], places[-2][0])
        self.flip(places[-2], 100)
        found = self.verify(topic, status=DAMAGED)[topic, 0]["damaged"]
        self.assertEqual([(r["first_offset"], r["last_offset"]) for r in found], [(2 * BATCHES - 4, 2 * BATCHES - 3)])
        self.expect_served(topic, but=[BATCHES - 2])
        answer = self.produce(self.client(), topic, [b"more"])
        self.assertEqual((answer["error_code"], answer["base_offset"]), (0, 2 * BATCHES))
        self.expect_served_value(topic, 2 * BATCHES, b"more")

    def expect_served_value(self, topic, offset, value):
        answer = self.fetch(self.client(), topic, offset)
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual(records.parse(answer["records"])[0].records[0].value, value)

    def test_given_up(self):
        """Records that are deleted take their damage with them."""
        topic = self.fill()
        self.flip(self.places(topic)[4], 70)
        self.verify(topic, status=DAMAGED)
        answer = self.client().call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": 10}]}])
        self.assertError(answer["topics"][0]["partitions"][0]["error_code"], ERR.NONE)
        self.assertIsNone(self.metric(f'chronik_damaged_ranges{{topic="{topic}",partition="0"}}'))
        self.expect_served_value(topic, 10, b"005" * 60)

    def test_index(self):
        """An index that is wrong is built again and is no damage."""
        topic = self.fill()
        index = self.places(topic)[0][0].with_suffix(".index")
        self.wait_until(index.exists, "no index of the first segment")
        self.flip((index, 0, 0), 14)
        before = self.metric("chronik_scrub_indexes_rebuilt_total")
        self.assertEqual(self.verify(topic)[topic, 0]["indexes_rebuilt"], 1)
        self.assertEqual(self.verify(topic)[topic, 0]["indexes_rebuilt"], 0)
        self.assertEqual(self.metric("chronik_scrub_indexes_rebuilt_total"), before + 1)
        self.expect_served(topic)

    def test_one_at_a_time_and_the_end(self):
        """A slow verification: a second one is refused; the node stops at once nevertheless."""
        import subprocess
        topic = self.topic(partitions=4)
        client = self.client()
        for partition in range(4):
            self.produce(client, topic, [bytes(1000)] * 300, partition=partition)
        slow = subprocess.Popen([str(CHRONIK_CTL), "log", "verify", topic, "--rate", "1K", "--server", self.node.admin],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(slow.kill)
        self.wait_until(lambda: '"state": "running"' in self.node.get("/v1/verify")[1], "it does not run")
        done = self.ctl(topic)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("runs already", done.stderr)
        began = time.monotonic()
        self.node.restart()
        self.assertLess(time.monotonic() - began, 5)
        self.assertNotEqual(slow.wait(timeout=10), 0)
        slow.communicate()
        self.assertEqual(self.verify(topic)[topic, 3]["result"], "ok")


class Background(VerifyCase):
    SETTINGS = ["groups.offsets_partitions=1", "storage.scrub_interval_ms=0"]

    def test_background(self):
        """Without being asked, rot is found within the interval; and what is whole again is served again."""
        topic = self.fill()
        labels = f'{{topic="{topic}",partition="0"}}'
        places = self.places(topic)
        self.flip(places[11], 80)
        self.wait_until(lambda: self.metric("chronik_damaged_ranges" + labels) == 1, "the rot is not found")
        self.expect_served(topic, but=[11])
        self.flip(places[11], 80)
        self.wait_until(lambda: self.metric("chronik_damaged_ranges" + labels) is None, "it is not healed")
        self.expect_served(topic)
        passes = self.metric("chronik_scrub_passes_total")
        self.wait_until(lambda: self.metric("chronik_scrub_passes_total") > passes + 3, "no further rounds")
        self.assertEqual(self.metric("chronik_scrub_failures_total"), 0)


class Offline(VerifyCase):
    def test_offline(self):
        """A folder at rest: the same is found, nothing is changed, and a folder in use is refused."""
        topic = self.fill()
        places = self.places(topic)
        data = self.node.data
        done = self.ctl("--data-dir", str(data))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("a node runs on", done.stderr)
        for kill in (False, True):
            self.node.kill() if kill else self.node.stop()
            before = tree(data)
            found = self.verify("--data-dir", str(data))
            self.assertEqual((found[topic, 0]["result"], found[topic, 0]["end_offset"], found[topic, 0]["batches"]),
                             ("ok", 2 * BATCHES, BATCHES))
            self.flip(places[20], 100)
            self.flip(places[BATCHES - 1], 100)
            changed = tree(data)
            found = self.verify("--dir", str(data / "log" / f"{topic}-0"), status=DAMAGED)[topic, 0]
            self.assertEqual([(r["first_offset"], r["last_offset"], r["position"]) for r in found["damaged"]],
                             [(40, 41, places[20][1]), (78, 79, places[-1][1])] if found["tail_bytes"] == 0
                             else [(40, 41, places[20][1])])
            self.assertEqual(tree(data), changed)
            self.flip(places[20], 100)
            self.flip(places[BATCHES - 1], 100)
            self.assertEqual({k: v[0] for k, v in tree(data).items()}, {k: v[0] for k, v in before.items()})
            self.assertEqual(set(self.verify(topic, "--data-dir", str(data))), {(topic, 0)})
            self.node.start()
            self.expect_served(topic)

    def test_missing(self):
        """Segments that are gone, cut short or emptied, with and without their index: just what is not there is told."""
        topic = self.fill()
        places = self.places(topic)
        files = sorted({place[0] for place in places})
        first = {file: min(i for i, p in enumerate(places) if p[0] == file) for file in files}
        self.node.stop()
        try:
            for index in (False, True):
                for number, file in enumerate(files[:-1]):
                    behind = first[files[number + 1]] * 2 - 1
                    content, entries = file.read_bytes(), file.with_suffix(".index")
                    kept = entries.read_bytes()
                    if not index:
                        entries.unlink()
                    for cut, lost in ((None, first[file]), (0, first[file]), (places[first[file] + 2][1] + 7, first[file] + 2)):
                        file.unlink() if cut is None else file.write_bytes(content[:cut])
                        found = self.verify(topic, "--data-dir", str(self.node.data), status=DAMAGED)[topic, 0]
                        self.assertEqual([(r["first_offset"], r["last_offset"]) for r in found["damaged"]],
                                         [(lost * 2, behind)], (file.name, index, cut))
                        file.write_bytes(content)
                    entries.write_bytes(kept)
            self.assertEqual(self.verify(topic, "--data-dir", str(self.node.data))[topic, 0]["result"], "ok")
        finally:
            self.node.start()
        self.expect_served(topic)

    def test_no_folder(self):
        for args in (["--data-dir", "/nonexistent"], ["--dir", os.devnull]):
            done = self.ctl(*args)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("holds no logs of chronikd" if "nonexistent" in args[1] else "chronik-ctl: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
