#!/usr/bin/env python3
"""Goal: a store does what object.h promises, the same whatever is behind it.
Method: one set of checks, against a folder and against real servers that verify signatures.

    test_store.py Folder        needs no server: it is part of `make test`
"""

import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

from servers import Azurite, Google, Minio, Missing, Versity  # noqa: E402
from store import BAD_CONFIG, CANCELLED, EXISTS, MISSING, NO_BUCKET, OK, Store  # noqa: E402

ODD = ["plain", "a/b/c", "with space", "plus+and&and=", "per%cent%2F", "q?u#e;s:t", "ünï/日本", "tilde~!'()*", "a'b\"c<d>", "@$,",
       "a//b".replace("//", "/-/"), "-dash", "x" * 200]


class Checks:
    """What every store must pass. A class with a server sets config()."""

    part_len = 5 << 20
    condition_in_parts = True

    def store(self, **more):
        s = Store(self.config(part_len=self.part_len, **more))
        self.addCleanup(s.close)
        self.assertEqual(s.opened, {"open": 0, "why": ""})
        return s

    def setUp(self):
        self.prefix = f"{self.id().rsplit('.', 1)[-1]}/"
        self.folder = tempfile.TemporaryDirectory(prefix="chronik-object-")
        self.addCleanup(self.folder.cleanup)

    def ok(self, answer):
        self.assertEqual((answer["result"], answer["text"]), (OK, ""))
        return answer

    def read_all(self, store, key, length, seed=1, step=3 << 20):
        for at in range(0, length, step):
            got = self.ok(store.get(key, step, at, seed, expect_crc=at + step <= length))
            self.assertTrue(got["match"])
            self.assertEqual(got["got_len"], min(step, length - at))
            self.assertEqual(got["size"], length)

    def test_probe(self):
        found = self.store().probe(self.prefix, with_parts=True)
        self.assertEqual({name: f for name, f in found["findings"].items() if f[0]}, {})
        self.assertEqual(sorted(found["findings"]), sorted(["write", "condition", "read", "range", "head", "list", "parts", "delete",
                                                            "missing"]))
        self.assertEqual(self.store().keys(self.prefix), [])

    def test_odd_keys(self):
        s = self.store()
        for i, key in enumerate(ODD):
            self.ok(s.put(self.prefix + key, 100 + i, seed=i, if_absent=True))
        for i, key in enumerate(ODD):
            self.assertTrue(self.ok(s.get(self.prefix + key, 1000, seed=i))["match"])
            self.assertEqual(self.ok(s.head(self.prefix + key))["size"], 100 + i)
        self.assertEqual(s.keys(self.prefix), sorted((self.prefix + k for k in ODD), key=str.encode))
        for key in ODD:
            self.ok(s.delete(self.prefix + key))
        self.assertEqual(s.keys(self.prefix), [])

    def test_keys_that_are_none(self):
        s = self.store()
        for key in ("", "/a", "a/", "a//b", "a/../b", ".", "a/.", "line\nbreak", "\x7f", "x" * 1025):
            self.assertEqual(s.put(key, 1)["result"], BAD_CONFIG, key)
            self.assertEqual(s.get(key, 1)["result"], BAD_CONFIG, key)

    def test_pages(self):
        s = self.store(requests_max=64)
        keys = [f"{self.prefix}{c}{i:02}" for c in ("p-", "p/", "p/q/", "p0") for i in range(6)]
        for number in [s.ask("put", wait=False, key=k, len=10, seed=1) for k in keys]:
            self.ok(s.wait(number))
        for size in (1, 5, 23, 24, 1000):
            self.assertEqual(s.keys(self.prefix, size), sorted(keys, key=str.encode), size)
        self.assertEqual(s.keys(self.prefix + "p/q/", 4), [k for k in keys if "p/q/" in k])
        self.assertEqual(s.keys(self.prefix + "p/0", 4), [k for k in keys if "p/0" in k])
        self.assertEqual(s.keys(self.prefix + "none"), [])
        page = self.ok(s.list(self.prefix + "p0", 3))
        self.assertEqual([row[1] for row in page["rows"]], [10, 10, 10])
        self.assertGreater(page["rows"][0][2], 1_600_000_000_000)
        self.assertEqual(s.list(self.prefix, 0)["result"], BAD_CONFIG)
        self.assertEqual(s.list(self.prefix, 1001)["result"], BAD_CONFIG)

    def test_ranges(self):
        s = self.store()
        key = self.prefix + "object"
        self.ok(s.put(key, 1000))
        for offset, length, got in ((0, 1000, 1000), (0, 2000, 1000), (999, 1, 1), (999, 5, 1), (10, 20, 20), (1000, 5, 0), (5000, 5, 0)):
            answer = self.ok(s.get(key, length, offset))
            self.assertEqual((answer["got_len"], answer["match"]), (got, True))
        self.assertEqual(s.get(key, 0)["result"], BAD_CONFIG)
        self.assertEqual(s.get(key, 1, -1)["result"], BAD_CONFIG)
        self.assertEqual(s.get(key + "x", 1)["result"], MISSING)
        self.assertEqual(s.head(key + "x")["result"], MISSING)

    def test_empty(self):
        s = self.store()
        self.ok(s.put(self.prefix + "empty", 0, if_absent=True))
        self.assertEqual(s.put(self.prefix + "empty", 0, if_absent=True)["result"], EXISTS)
        self.assertEqual(self.ok(s.get(self.prefix + "empty", 10))["got_len"], 0)
        self.assertEqual(self.ok(s.head(self.prefix + "empty"))["size"], 0)

    def test_replace(self):
        s = self.store()
        key = self.prefix + "object"
        before = self.ok(s.put(key, 1000, seed=1))
        after = self.ok(s.put(key, 1001, seed=2))
        self.assertNotEqual(before["etag"], after["etag"])
        self.assertEqual(self.ok(s.head(key))["etag"], after["etag"])
        self.assertTrue(self.ok(s.get(key, 2000, seed=2))["match"])
        self.ok(s.delete(key))
        self.ok(s.delete(key))
        self.assertEqual(s.get(key, 1)["result"], MISSING)

    def race(self, length, count):
        """@count puts of one key at the same time, from two processes: one wins, and its content is there."""
        stores, key = [self.store(), self.store()], self.prefix + "one"
        numbers = [(stores[i % 2], stores[i % 2].ask("put", wait=False, key=key, len=length, seed=i, if_absent=True)) for i in range(count)]
        results = [s.wait(n)["result"] for s, n in numbers]
        self.assertEqual(sorted(results), [OK] + [EXISTS] * (count - 1))
        self.read_all(stores[0], key, length, results.index(OK))

    def test_first_wins(self):
        self.race(3000, 16)

    def test_first_wins_in_parts(self):
        if not self.condition_in_parts:
            self.skipTest("this store has no condition for puts in parts, and none is promised: they are sent at once")
        self.race(self.part_len * 2 + 5, 4)

    def test_file_in_parts(self):
        s = self.store()
        length = self.part_len * 3 + 12345
        self.ok(s.put(self.prefix + "file", length, seed=7, file=f"{self.folder.name}/a"))
        self.read_all(s, self.prefix + "file", length, 7)
        self.ok(s.put(self.prefix + "memory", length, seed=8, if_absent=True))
        self.read_all(s, self.prefix + "memory", length, 8)
        exact = self.part_len * 2
        self.ok(s.put(self.prefix + "exact", exact, seed=9, file=f"{self.folder.name}/b", if_absent=True))
        self.read_all(s, self.prefix + "exact", exact, 9)

    def test_file_too_short(self):
        s = self.store()
        self.assertLess(s.put(self.prefix + "short", 5000, file=f"{self.folder.name}/a", beyond=1)["result"], 0)
        self.assertLess(s.put(self.prefix + "short", self.part_len * 2, file=f"{self.folder.name}/b", beyond=1)["result"], 0)
        self.assertEqual(s.keys(self.prefix), [])

    def test_memory_is_shared(self):
        """Files whose parts do not fit into the budget together wait for each other."""
        s = self.store(memory_max=self.part_len + 1, parts_max=4)
        length = self.part_len * 2 + 100
        numbers = [s.ask("put", wait=False, key=f"{self.prefix}{i}", len=length, seed=i, file=f"{self.folder.name}/{i}") for i in range(4)]
        for n in numbers:
            self.ok(s.wait(n))
        for i in range(4):
            self.read_all(s, f"{self.prefix}{i}", length, i)

    def test_many(self):
        """More than are let in at the same time."""
        s = self.store(requests_max=3)
        puts = [s.ask("put", wait=False, key=f"{self.prefix}{i}", len=100 * i, seed=i, if_absent=True) for i in range(150)]
        for n in puts:
            self.ok(s.wait(n))
        gets = [s.ask("get", wait=False, key=f"{self.prefix}{i}", len=100000, seed=i) for i in range(150)]
        for i, n in enumerate(gets):
            answer = self.ok(s.wait(n))
            self.assertEqual((answer["got_len"], answer["match"]), (100 * i, True))
        stats = s.stats()
        self.assertEqual((stats["working"], stats["waiting"]), (0, 0))

    def test_close_answers_all(self):
        """Whoever is still in work or waits when the store is closed is answered, once."""
        s = self.store(requests_max=2)
        numbers = [s.ask("put", wait=False, key=f"{self.prefix}{i}", len=6 << 20, seed=i) for i in range(12)]
        s.close()
        for n in numbers:
            self.assertIn(s.wait(n)["result"], (OK, CANCELLED))

    def queue(self, store, **more):
        """A put that takes a while, and five that wait for it; nothing is sent to the driver yet."""
        first = store.ask("put", wait=False, flush=False, key=self.prefix + "first", len=6 << 20, seed=1)
        return first, [store.ask("put", wait=False, flush=False, key=f"{self.prefix}{i}", len=0, seed=i, **more) for i in range(5)]

    def test_cancel(self):
        s = self.store(requests_max=1)
        first, others = self.queue(s)
        for n in others[1:]:
            s.ask("cancel", wait=False, flush=False, of=n)
        self.ok(s.put(self.prefix + "after", 10))
        self.ok(s.wait(first))
        self.ok(s.wait(others[0]))
        self.assertEqual([s.wait(n)["result"] for n in others[1:]], [CANCELLED] * 4)
        self.assertEqual(s.keys(self.prefix), sorted([self.prefix + k for k in ("0", "after", "first")]))

    def test_deadline_in_the_queue(self):
        s = self.store(requests_max=1)
        first, others = self.queue(s, deadline_ms=1)
        self.ok(s.put(self.prefix + "after", 10))
        self.ok(s.wait(first))
        late = [s.wait(n) for n in others]
        self.assertTrue(any("waited for others" in a["text"] for a in late), late)


class Folder(Checks, unittest.TestCase):
    def config(self, **more):
        return {"kind": "folder", "folder": f"{self.folder.name}/store", **more}

    def test_damage(self):
        s = self.store()
        self.ok(s.put("a/b", 1000))
        path = Path(self.folder.name, "store/objects/a/b.object")
        data = bytearray(path.read_bytes())
        data[500] ^= 1
        path.write_bytes(data)
        answer = s.get("a/b", 1000, expect_crc=True)
        self.assertLess(answer["result"], 0)
        self.assertIn("CRC-32C", answer["text"])

    def test_folder_that_went_away(self):
        s = self.store()
        self.ok(s.put("a", 10))
        Path(self.folder.name, "store").rename(Path(self.folder.name, "elsewhere"))
        answer = s.get("a", 10)
        self.assertEqual(answer["result"], NO_BUCKET)
        self.assertIn("mounted", answer["text"])
        self.assertEqual(s.put("b", 10)["result"], NO_BUCKET)

    def test_key_and_folder(self):
        """An object and others below its name, as a bucket has them."""
        s = self.store()
        self.ok(s.put("a", 10, seed=1))
        self.ok(s.put("a/b", 20, seed=2))
        self.assertTrue(self.ok(s.get("a", 100, seed=1))["match"])
        self.assertTrue(self.ok(s.get("a/b", 100, seed=2))["match"])
        self.assertEqual(s.put("c.object/d", 1)["result"], BAD_CONFIG)
        self.assertEqual(s.keys(""), ["a", "a/b"])

    def test_deep(self):
        s = self.store()
        keys = ["/".join("a" * 512), "/".join("a" * 400 + "b"), "z"]
        for key in keys:
            self.ok(s.put(key, 10, if_absent=True))
        self.assertEqual(s.keys("", 1), sorted(keys))
        self.assertEqual(s.keys(keys[0][:900]), keys[:1])

    def test_nothing_left(self):
        s = self.store()
        self.ok(s.put("a", 10, if_absent=True))
        self.assertEqual(s.put("a", 10, if_absent=True)["result"], EXISTS)
        self.assertLess(s.put("b", 10, file=f"{self.folder.name}/f", beyond=5)["result"], 0)
        self.assertEqual(list(Path(self.folder.name, "store/new").iterdir()), [])


class WithServer(Checks):
    """Checks that need a server; one for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = cls.server_class().start()
        except Missing as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)

    def config(self, **more):
        return self.server.config(**more)

    def test_no_bucket(self):
        s = self.store(bucket="another")
        for answer in (s.put("a", 10), s.get("a", 10), s.list("")):
            self.assertEqual(answer["result"], NO_BUCKET)
            self.assertIn("'another'", answer["text"])

    def test_reading_while_replaced(self):
        """Each get is of one version of an object, never of two."""
        s, key, stop = self.store(), self.prefix + "object", threading.Event()
        self.ok(s.put(key, 2 << 20, seed=0))
        writer = Store(self.config())
        self.addCleanup(writer.close)

        def write():
            for i in range(1, 40):
                writer.put(key, 2 << 20, seed=i)
            stop.set()

        thread = threading.Thread(target=write)
        thread.start()
        while not stop.is_set():
            got = self.ok(s.get(key, 2 << 20))
            self.assertEqual(got["got_len"], 2 << 20)   # its SHA-256 is compared
        thread.join()


class OnMinio(WithServer, unittest.TestCase):
    server_class = Minio

    def test_virtual_host_style(self):
        s = self.store(endpoint=f"http://localhost:{self.server.port}", path_style=False)
        self.ok(s.put(self.prefix + "a/b c", 1000, if_absent=True))
        self.assertTrue(self.ok(s.get(self.prefix + "a/b c", 1000))["match"])
        self.assertEqual(s.keys(self.prefix), [self.prefix + "a/b c"])


class OnVersity(WithServer, unittest.TestCase):
    server_class = Versity


class OnAzurite(WithServer, unittest.TestCase):
    server_class = Azurite

    def test_sas(self):
        sas = self.server.sas("rwdlc")
        s = Store(self.config(secret_key=None, access_key=None, sas=sas))
        self.addCleanup(s.close)
        self.assertEqual(s.probe(self.prefix, with_parts=True)["failures"], 0)


class OnGoogle(WithServer, unittest.TestCase):
    """An emulator, which does not look at signatures."""

    server_class = Google
    condition_in_parts = False


if __name__ == "__main__":
    unittest.main()
