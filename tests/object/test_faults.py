#!/usr/bin/env python3
"""Goal: what networks and servers do on bad days is mended where it can be, told exactly where it cannot, and never believed.
Method: a proxy between the store and a real server does these things (proxy.py); the server shows what was really done."""

import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True

import awssign  # noqa: E402
import proxy  # noqa: E402
from proxy import Proxy, always, first  # noqa: E402
from servers import Azurite, Google, Minio, Missing, Versity, free_port  # noqa: E402
from store import (BAD_TLS, BUSY, CANCELLED, DAMAGED, EXISTS, LOST, MISSING, OK, TIMED_OUT, UNREACHABLE, UNSUPPORTED,  # noqa: E402
                   Store)

MIB = 1 << 20


def whole(request):
    return request.method == "PUT" and not request.is_part and not request.is_finish


def part(request):
    return request.is_part


def get(request):
    return request.method == "GET" and "list" not in request.path


def finish(request):
    return request.is_finish


class Faults:
    """The same for every provider. A class says which."""

    in_parts = True         # a conditional put in parts

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = cls.server_class().start()
        except Missing as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.key = f"{self.id().rsplit('.', 1)[-1]}/object"
        self.folder = tempfile.TemporaryDirectory(prefix="chronik-object-")
        self.addCleanup(self.folder.cleanup)
        self.direct = self.opened(Store(self.server.config()))

    def opened(self, store):
        self.addCleanup(store.close)
        self.assertEqual(store.opened, {"open": 0, "why": ""})
        return store

    def through(self, rule, **more):
        """A store behind a proxy with this rule."""
        self.proxy = Proxy(getattr(getattr(self.server, "front", None), "port", self.server.port), rule)
        self.proxy.__enter__()
        self.addCleanup(self.proxy.__exit__)
        return self.opened(Store(self.server.config(self.proxy.port, **more)))

    def ok(self, answer):
        self.assertEqual((answer["result"], answer["text"]), (OK, ""))
        return answer

    def there(self, seed, length):
        """The object is there, in full, as this put wrote it."""
        for at in range(0, length, 4 * MIB):
            got = self.ok(self.direct.get(self.key, 4 * MIB, at, seed))
            self.assertEqual((got["match"], got["got_len"], got["size"]), (True, min(4 * MIB, length - at), length))

    # -- servers that fail

    def test_errors_are_tried_again(self):
        for i, action in enumerate((proxy.answer(500), proxy.error(500, "InternalError"), proxy.answer(502, "<html>"), proxy.answer(503),
                                    proxy.error(503, "SlowDown"), proxy.error(503, "ServerBusy"), proxy.answer(504), proxy.answer(429),
                                    proxy.reset())):
            with self.subTest(i):
                s = self.through(first(2, action))
                answer = self.ok(s.put(self.key, 5000, seed=i))
                self.assertEqual(answer["requests"], 3)
                self.there(i, 5000)
                self.assertEqual(s.stats()["retries"], 2)

    def test_errors_that_stay(self):
        s = self.through(always(proxy.error(503, "SlowDown")))
        answer = s.put(self.key, 10)
        self.assertEqual((answer["result"], answer["requests"]), (BUSY, 5))
        self.assertIn("503 SlowDown: it asks for fewer requests", answer["text"])
        self.assertEqual(self.direct.head(self.key)["result"], MISSING)

    def test_retry_after(self):
        s = self.through(first(1, proxy.error(503, "SlowDown", Retry_After="1")), backoff_ms=1, backoff_max_ms=5000)
        self.assertGreaterEqual(self.ok(s.put(self.key, 10))["ms"], 1000)

    def test_refusals_are_not_tried_again(self):
        s = self.through(always(proxy.error(403, "AccessDenied")))
        answer = s.put(self.key, 10)
        self.assertEqual(answer["requests"], 1)
        self.assertIn("not allowed to; needed is", answer["text"])

    def test_nobody_there(self):
        s = self.opened(Store(self.server.config(free_port())))
        answer = s.put(self.key, 10)
        self.assertEqual((answer["result"], answer["requests"]), (UNREACHABLE, 5))
        self.assertIn("127.0.0.1", answer["text"])

    def test_no_object_store(self):
        s = self.through(always(proxy.answer(200, "<html>hello")))
        self.assertEqual(s.list("")["result"], DAMAGED)

    # -- answers that are lost

    def check_lost(self, rule, length, **how):
        """Of a conditional put one answer is lost: it is a success all the same, and for everybody else the object exists."""
        s = self.through(rule, stall_timeout_ms=1000)
        self.ok(s.put(self.key, length, seed=3, if_absent=True, **how))
        self.there(3, length)
        self.assertEqual(s.put(self.key, length, seed=4, if_absent=True)["result"], EXISTS)
        self.there(3, length)

    def test_timeout_after_success(self):
        self.check_lost(first(1, proxy.lose_answer(30), whole), 5000)

    def test_reset_after_success(self):
        self.check_lost(first(2, proxy.lose_answer(), whole), 5000)

    def test_error_after_success(self):
        """A gateway says 504 when the server behind it has done it."""
        def act(p, handler, request):
            p.forward(request)
            p.send(handler, 504, {}, b"")
        self.check_lost(first(1, act, whole), 5000)

    def test_timeout_after_finishing(self):
        if not self.in_parts:
            self.skipTest("conditional puts are sent at once")
        self.check_lost(first(1, proxy.lose_answer(30), finish), 11 * MIB)

    def test_reset_after_finishing(self):
        if not self.in_parts:
            self.skipTest("conditional puts are sent at once")
        self.check_lost(first(1, proxy.lose_answer(), finish), 11 * MIB, file=f"{self.folder.name}/f")

    def test_lost_answer_without_condition(self):
        s = self.through(first(1, proxy.lose_answer(), lambda r: r.is_finish or whole(r)))
        self.ok(s.put(self.key, 11 * MIB, seed=5))
        self.there(5, 11 * MIB)

    def test_somebody_else_was_first(self):
        """The first attempt is lost before it was carried out, and somebody else writes the object: that is no success."""
        def rule(request):
            if not whole(request) or rule.done:
                return None
            rule.done = True
            self.ok(self.direct.put(self.key, 5000, seed=1))
            return proxy.reset()
        rule.done = False
        s = self.through(rule)
        self.assertEqual(s.put(self.key, 5000, seed=2, if_absent=True)["result"], EXISTS)
        self.there(1, 5000)

    def test_same_content_by_somebody_else(self):
        """Who else wrote the very same is somebody else."""
        self.ok(self.direct.put(self.key, 100, seed=1))
        self.assertEqual(self.direct.put(self.key, 100, seed=1, if_absent=True)["result"], EXISTS)

    # -- bytes that are wrong

    def test_truncated_answer(self):
        self.ok(self.direct.put(self.key, 100000))
        s = self.through(first(2, proxy.truncate(), get))
        self.assertTrue(self.ok(s.get(self.key, 100000))["match"])
        s = self.through(always(proxy.truncate(), get))
        self.assertIn(s.get(self.key, 100000)["result"], (DAMAGED, UNREACHABLE))

    def test_wrong_bytes_in_an_answer(self):
        self.ok(self.direct.put(self.key, 100000))
        s = self.through(first(1, proxy.spoil_answer(), get))
        answer = self.ok(s.get(self.key, 100000))              # all of it: its SHA-256 is in the metadata
        self.assertEqual((answer["match"], answer["requests"]), (True, 2))
        s = self.through(first(1, proxy.spoil_answer(), get))
        answer = self.ok(s.get(self.key, 5000, 700, expect_crc=True))
        self.assertEqual((answer["match"], answer["requests"]), (True, 2))
        s = self.through(always(proxy.spoil_answer(), get))
        answer = s.get(self.key, 100000)
        self.assertEqual((answer["result"], answer["requests"]), (DAMAGED, 5))
        self.assertIn("SHA-256", answer["text"])
        answer = s.get(self.key, 5000, 700, expect_crc=True)
        self.assertEqual(answer["result"], DAMAGED)
        self.assertIn("CRC-32C", answer["text"])

    def test_wrong_bytes_on_the_way_in(self):
        s = self.through(first(1, proxy.spoil_content(), whole))
        self.assertEqual(self.ok(s.put(self.key, 100000, seed=6))["requests"], 2)
        self.there(6, 100000)
        s = self.through(first(2, proxy.spoil_content(), part))
        self.ok(s.put(self.key, 11 * MIB, seed=7))
        self.there(7, 11 * MIB)
        s = self.through(always(proxy.spoil_content(), whole))
        answer = s.put(self.key, 100000, seed=8)
        self.assertEqual(answer["result"], DAMAGED)
        self.assertIn("damaged on its way", answer["text"])
        self.there(7, 11 * MIB)

    def test_another_range(self):
        self.ok(self.direct.put(self.key, 1000))
        s = self.through(first(1, proxy.other_range(), get))
        self.assertEqual(self.ok(s.get(self.key, 100, 10))["requests"], 2)

    def test_more_than_asked_for(self):
        self.ok(self.direct.put(self.key, 1000))
        s = self.through(always(proxy.answer(200, "x" * 100000), get))
        self.assertIn(s.get(self.key, 100)["result"], (DAMAGED, UNSUPPORTED))

    def test_endless_error(self):
        s = self.through(always(proxy.answer(500, "<Error>" + "x" * (1 << 20)), get))
        self.assertLess(s.get(self.key, 100)["result"], 0)

    # -- time

    def test_stalls(self):
        self.ok(self.direct.put(self.key, 1000))
        s = self.through(first(1, proxy.hang(30), get), stall_timeout_ms=1000)
        self.assertEqual(self.ok(s.get(self.key, 1000))["requests"], 2)

    def test_deadline(self):
        s = self.through(always(proxy.hang(30)))
        answer = s.put(self.key, 1000, deadline_ms=500)
        self.assertEqual(answer["result"], TIMED_OUT)
        self.assertTrue(500 <= answer["ms"] < 10000, answer)
        s = self.through(always(proxy.error(503, "SlowDown")), backoff_ms=200, backoff_max_ms=60000)
        answer = s.put(self.key, 1000, deadline_ms=700)
        self.assertEqual(answer["result"], TIMED_OUT)
        self.assertIn("the last attempt: writing", answer["text"])
        self.assertIn("SlowDown", answer["text"])

    def test_cancel(self):
        s = self.through(always(proxy.hang(30)))
        numbers = [s.ask(verb, wait=False, key=self.key, len=6 * MIB, seed=1, max=1) for verb in ("put", "get", "head", "list", "delete")]
        while s.stats()["requests"] < 5:
            pass
        for n in numbers:
            s.ask("cancel", wait=False, of=n)
        self.assertEqual([s.wait(n)["result"] for n in numbers], [CANCELLED] * 5)

    def test_close_in_the_middle(self):
        s = self.through(always(proxy.hang(30)))
        numbers = [s.ask(verb, wait=False, key=self.key, len=6 * MIB, seed=1, max=1) for verb in ("put", "get", "head", "list", "delete")]
        s.close()
        self.assertEqual([s.wait(n)["result"] for n in numbers], [CANCELLED] * 5)

    def test_hedge(self):
        """The second request for a range wins when the first is slow."""
        self.ok(self.direct.put(self.key, 100000))
        s = self.through(first(1, proxy.late(20), get), hedge_after_ms=100)
        answer = self.ok(s.get(self.key, 5000, 50, expect_crc=True))
        self.assertEqual((answer["match"], answer["requests"]), (True, 2))
        self.assertLess(answer["ms"], 15000)
        stats = s.stats()
        self.assertEqual((stats["hedges"], stats["hedges_won"], stats["retries"]), (1, 1, 0))

    def test_hedges_are_few(self):
        """When everything is slow, asking twice for everything would make it slower."""
        self.ok(self.direct.put(self.key, 1000))
        s = self.through(always(proxy.late(0.1), get), hedge_after_ms=10, requests_max=4)
        numbers = [s.ask("get", wait=False, key=self.key, len=1000, offset=0, seed=1) for _ in range(60)]
        for n in numbers:
            self.assertTrue(self.ok(s.wait(n))["match"])
        self.assertLessEqual(s.stats()["hedges"], 4 + 60 // 20)

    def test_bandwidth(self):
        s = self.through(None, upload_bytes_per_s=4 * MIB, download_bytes_per_s=4 * MIB)
        self.assertGreater(self.ok(s.put(self.key, 4 * MIB))["ms"], 800)
        got = self.ok(s.get(self.key, 4 * MIB))
        self.assertTrue(got["match"])
        self.assertGreater(got["ms"], 800)

    # -- parts

    def test_a_part_fails_once(self):
        s = self.through(first(2, proxy.error(500, "InternalError"), part))
        self.ok(s.put(self.key, 16 * MIB, seed=9, file=f"{self.folder.name}/f"))
        self.there(9, 16 * MIB)

    def test_a_part_fails_for_good(self):
        s = self.through(always(proxy.error(403, "AccessDenied"),
                                lambda r: part(r) and ("partNumber=2" in r.path or "comp=block" in r.path)))
        self.assertLess(s.put(self.key, 16 * MIB, file=f"{self.folder.name}/f")["result"], 0)
        self.assertEqual(self.direct.head(self.key)["result"], MISSING)
        self.check_nothing_left()

    def check_nothing_left(self):
        """No upload that costs money was left behind."""


class S3Faults(Faults):
    def uploads(self):
        status, body = awssign.request(self.server.port, "GET", "/bucket", {"uploads": "", "prefix": self.key}, b"",
                                       self.server.access_key, self.server.secret_key)
        self.assertEqual(status, 200)
        return body.count(b"<UploadId>")

    def check_nothing_left(self):
        """Nobody waits for that, and so it comes after the answer."""
        deadline = time.monotonic() + 20
        while self.uploads() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.uploads(), 0)
        self.assertIn("DELETE", [method for method, path in self.proxy.seen if "uploadId=" in path])

    def pending(self, s):
        """A put in parts, of which one does not get through."""
        number = s.ask("put", wait=False, key=self.key, len=16 * MIB, seed=1)
        while not any("partNumber=2" in path for _, path in self.proxy.seen):
            time.sleep(0.01)
        return number

    def test_close_gives_uploads_up(self):
        s = self.through(always(proxy.hang(30), lambda r: "partNumber=2" in r.path))
        number = self.pending(s)
        s.close()
        self.assertEqual(s.wait(number)["result"], CANCELLED)
        self.check_nothing_left()

    def test_close_when_nobody_answers(self):
        s = self.through(always(proxy.hang(60), lambda r: "partNumber=2" in r.path or r.method == "DELETE"))
        number, began = self.pending(s), time.monotonic()
        s.close()
        self.assertEqual(s.wait(number)["result"], CANCELLED)
        self.assertLess(time.monotonic() - began, 20)

    def test_error_in_a_200(self):
        """S3 says 200 before it knows, and the document says that it failed."""
        s = self.through(first(2, proxy.error(200, "InternalError"), finish))
        self.ok(s.put(self.key, 11 * MIB, seed=1, if_absent=True))
        self.there(1, 11 * MIB)
        s = self.through(always(proxy.answer(200, "<CompleteMultipart"), finish))
        answer = s.put(self.key + "2", 11 * MIB)
        self.assertEqual(answer["result"], DAMAGED)

    def test_upload_is_gone(self):
        """Somebody removes the upload: no success is made of that."""
        s = self.through(first(1, proxy.error(404, "NoSuchUpload"), finish))
        self.assertEqual(s.put(self.key, 11 * MIB)["result"], LOST)
        self.assertEqual(self.direct.head(self.key)["result"], MISSING)


class MinioFaults(S3Faults, unittest.TestCase):
    server_class = Minio

    def certificate(self, name):
        files = f"{self.folder.name}/{name}.pem", f"{self.folder.name}/{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-addext", f"subjectAltName={name}", "-out", files[0], "-keyout", files[1]],
                       check=True, capture_output=True)
        return files

    def tls(self, certificate, **more):
        p = Proxy(self.server.port, certificate=certificate)
        p.__enter__()
        self.addCleanup(p.__exit__)
        return self.opened(Store({**self.server.config(), "endpoint": f"https://127.0.0.1:{p.port}", **more}))

    def test_tls(self):
        right, other = self.certificate("IP:127.0.0.1"), self.certificate("DNS:elsewhere.example")
        self.ok(self.tls(right, ca_file=right[0]).put(self.key, 1000, seed=1))
        self.there(1, 1000)
        answer = self.tls(right).put(self.key, 10)
        self.assertEqual((answer["result"], answer["requests"]), (BAD_TLS, 1))
        self.assertIn("certificate", answer["text"])
        self.assertEqual(self.tls(other, ca_file=other[0]).put(self.key, 10)["result"], BAD_TLS)
        s = self.opened(Store({**self.server.config(), "endpoint": f"https://127.0.0.1:{self.server.port}"}))
        answer = s.put(self.key, 10)
        self.assertEqual(answer["result"], BAD_TLS)
        self.assertIn("is this an https endpoint?", answer["text"])

    def test_ten_minutes_in_small(self):
        """The server goes away under load and comes back: what was asked for meanwhile is done, once, in the end."""
        down = threading.Event()
        s = self.through(lambda request: proxy.reset() if down.is_set() else None, attempts_max=1000, backoff_max_ms=100)
        down.set()
        numbers = [s.ask("put", wait=False, key=f"{self.key}{i}", len=1000 + i, seed=i, if_absent=True) for i in range(40)]
        while s.stats()["retries"] < 200:
            pass
        down.clear()
        for n in numbers:
            self.ok(s.wait(n))
        for i in range(40):
            got = self.ok(self.direct.get(f"{self.key}{i}", 5000, seed=i))
            self.assertEqual((got["got_len"], got["match"]), (1000 + i, True))


class VersityFaults(S3Faults, unittest.TestCase):
    server_class = Versity


class AzuriteFaults(Faults, unittest.TestCase):
    server_class = Azurite


class GoogleFaults(Faults, unittest.TestCase):
    server_class = Google
    in_parts = False


if __name__ == "__main__":
    unittest.main()
