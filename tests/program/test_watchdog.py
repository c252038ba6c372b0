#!/usr/bin/env python3
"""What systemd's watchdog hears, what a reload does, and the state in words.

Goal: WATCHDOG=1 comes as long as the node gets on, and not when one reactor or one thread that writes to the disk hangs, while
everything else goes on; SIGHUP has changed files read at once, and says when that is done; the status follows the node.
Method: a datagram socket in place of systemd; one thread of the node is stopped by ptrace(2), syncs are held (hold-sync.c).
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from program import ProgramCase

import records
from case import Disk
from kafka import Client

WATCHDOG_S = 1.2
PTRACE_CONT, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 7, 0x4206, 0x4207, 17


class Stopped:
    """One thread of a process, stopped while the others run."""

    def __init__(self, pid, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.tid = next(int(t.name) for t in Path(f"/proc/{pid}/task").iterdir()
                        if re.fullmatch(name, (t / "comm").read_text().strip()))
        self.do(PTRACE_SEIZE)
        self.do(PTRACE_INTERRUPT)
        os.waitpid(self.tid, 0x40000000)                # __WALL

    def do(self, request):
        if self.libc.ptrace(request, self.tid, None, None):
            raise OSError(ctypes.get_errno(), "ptrace")

    def go_on(self):
        self.do(PTRACE_DETACH)


class Told(ProgramCase):
    """A node, and what it tells."""

    WATCHDOG = {"WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def setUp(self):
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(str(self.folder / "notify"))

    def begin(self, *args, env=None):
        said = open(self.folder / "said", "wb")
        self.addCleanup(said.close)
        self.started = self.start(*args, env={"NOTIFY_SOCKET": str(self.folder / "notify"), **self.WATCHDOG, **(env or {})})
        self.wait_for("READY=1")

    def told(self, seconds):
        """The lines told in so many seconds."""
        lines, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.manager.settimeout(left)
            try:
                lines += self.manager.recv(4096).decode().splitlines()
            except TimeoutError:
                pass
        return lines

    def wait_for(self, wanted, seconds=15):
        """Until a line that @wanted, a pattern, fits; returns all lines before and with it."""
        lines, end = [], time.monotonic() + seconds
        while not any(re.fullmatch(wanted, line) for line in lines):
            self.manager.settimeout(max(end - time.monotonic(), 0.001))
            try:
                lines += self.manager.recv(4096).decode().splitlines()
            except TimeoutError:
                self.fail(f"nothing like {wanted!r} was told: {lines}")
        return lines

    def assertSilent(self):
        """No ping in twice the time of the watchdog; what was on its way does not count."""
        self.told(WATCHDOG_S)
        self.assertNotIn("WATCHDOG=1", self.told(2 * WATCHDOG_S))

    def end(self):
        status, said = self.started.end(signal.SIGTERM)
        self.assertEqual(status, 0, said)
        return said


class Watchdog(Told):
    def test_pings(self):
        """Often enough, from READY=1 on; and none is sent where no watchdog waits. A manager that takes nothing up, so that its queue is
        full (of 512, or as net.unix.max_dgram_qlen says), does not keep the node from its work."""
        self.begin()
        self.assertGreaterEqual(self.told(3 * WATCHDOG_S).count("WATCHDOG=1"), 6)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    filler.sendto(b"x", str(self.folder / "notify"))
        time.sleep(WATCHDOG_S)
        with Client(self.started.host, self.started.port) as client:    # through the main loop
            answer = client.call("CreateTopics", 7, topics=[{"name": "t", "num_partitions": 1, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], 0)
        self.told(0.2)
        self.end()
        self.WATCHDOG = {}
        self.begin()
        self.assertNotIn("WATCHDOG=1", self.told(1))
        self.end()

    def test_one_reactor(self):
        """Each kind of loop, stopped alone: no ping until it goes on."""
        self.begin("--set", "diag.core_dumps=true", "--set", "server.num_network_threads=2")
        for name in ("net-1", "controller"):
            with self.subTest(name):
                thread = Stopped(self.started.process.pid, name)
                self.assertSilent()
                thread.go_on()
                self.wait_for("WATCHDOG=1")
        said = self.end()
        for name in ("net-1", "controller"):
            self.assertRegex(said, rf"this node hangs: the thread {name} has taken nothing up for \d+ s; the watchdog will end it")
        self.assertEqual(said.count("this node goes on"), 2, said)

    def test_disk(self):
        """A sync that does not return, with everything else at work."""
        disk = Disk()
        self.addCleanup(disk.folder.cleanup)
        self.begin("--set", "storage.stuck_ms=1s", env=disk.env())
        with Client(self.started.host, self.started.port) as client:
            answer = client.call("CreateTopics", 7, topics=[{"name": "t", "num_partitions": 1, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], 0)
            disk.hold("t")
            client.send("Produce", 11, acks=-1, timeout_ms=60000, topic_data=[
                {"name": "t", "partition_data": [{"index": 0, "records": records.batch([b"x"])}]}])
            self.assertSilent()
            with Client(self.started.host, self.started.port) as other:
                self.assertTrue(other.call("Metadata", 9, topics=None)["topics"])
            disk.release()
            self.wait_for("WATCHDOG=1")
        self.assertRegex(self.end(), r"this node hangs: the thread io-\d+ has been waiting for a disk for \d+ s")

    def test_long_work(self):
        """Many short calls to the disk, together longer than storage.stuck_ms, are not a disk that hangs."""
        disk = Disk()
        self.addCleanup(disk.folder.cleanup)
        self.begin("--set", "storage.stuck_ms=1s", "--set", "server.num_io_threads=1", env=disk.env())
        with Client(self.started.host, self.started.port) as client:
            answer = client.call("CreateTopics", 7, topics=[{"name": "t", "num_partitions": 6, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], 0)
            disk._order("slow /t-")
            answer = client.call("Produce", 11, acks=-1, timeout_ms=60000, topic_data=[
                {"name": "t", "partition_data": [{"index": p, "records": records.batch([b"x"])} for p in range(6)]}])
            disk.release()
        self.told(0.2)                                  # room for STOPPING=1, which waits for it
        self.assertNotIn("hangs", self.end())


class Status(Told):
    WATCHDOG = {}

    def test_words(self):
        """Serving, with what it leads; a controller alone; stopping."""
        self.begin()
        self.wait_for("STATUS=serving: no partitions; the active controller")
        with Client(self.started.host, self.started.port) as client:
            client.call("CreateTopics", 7, topics=[{"name": "t", "num_partitions": 3, "replication_factor": 1}])
        self.wait_for("STATUS=serving: leads 3 of 3 partitions, all in sync; the active controller")
        self.started.process.send_signal(signal.SIGTERM)
        lines = self.wait_for("STATUS=stopping: finishing requests, closing logs")
        self.assertIn("STOPPING=1", lines)
        self.assertEqual(self.started.process.wait(20), 0)

    def test_waits_for_others(self):
        """A start that waits for a controller is no start that hangs: it says so, and asks for time as long as it waits."""
        with socket.socket() as s:                      # nobody answers there
            s.bind(("127.0.0.1", 0))
            away = s.getsockname()[1]
            for roles in ("ingest", "controller"):
                with self.subTest(roles):
                    process = subprocess.Popen(
                        [os.environ["CHRONIKD"], "--data-dir", str(self.folder / roles), "--kafka", "127.0.0.1:0", "--admin",
                         "127.0.0.1:0", "--set", f"server.roles={roles}", "--set", "cluster.listen=127.0.0.1:0",
                         "--set", "cluster.plaintext=true", "--set", "server.node_id=1", "--set",
                         f"cluster.controllers={'1@127.0.0.1:1,' if roles == 'controller' else ''}2@127.0.0.1:{away},"
                         f"3@127.0.0.1:{away}"],
                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")})
                    self.addCleanup(process.wait)
                    self.addCleanup(process.kill)
                    self.wait_for("STATUS=waiting for a controller: none is active")
                    self.wait_for("EXTEND_TIMEOUT_USEC=[0-9]+")
                    self.assertNotIn("READY=1", self.wait_for("EXTEND_TIMEOUT_USEC=[0-9]+"))
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(20), 0)


@unittest.skipUnless(shutil.which("openssl"), "openssl, which makes the certificates of this test, is not here")
class Reload(Told):
    WATCHDOG = {}

    def certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                        "-subj", f"/CN={name}", "-keyout", "new.key", "-out", "new.pem"], cwd=self.folder, check=True,
                       capture_output=True)
        os.replace(self.folder / "new.key", self.folder / "k.key")
        os.replace(self.folder / "new.pem", self.folder / "c.pem")

    def shown(self):
        text = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=10).stdout
        return re.search(r"subject=.*CN ?= ?(\w+)", text).group(1)

    def test_certificate(self):
        """The new one is shown when the reload is said to be over, which is sooner than it would be looked for; what is refused
        is said, and the old one stays."""
        self.certificate("old")
        self.begin("--set", "listeners.TLS.address=127.0.0.1:0", "--set", "listeners.TLS.protocol=SSL",
                   "--set", "listeners.TLS.tls_certificate=c.pem", "--set", "listeners.TLS.tls_key=k.key")
        self.port = self.started.words["TLS"].rsplit(":", 1)[1]
        self.assertEqual(self.shown(), "old")
        self.certificate("new")
        began = time.monotonic_ns() // 1000
        self.started.process.send_signal(signal.SIGHUP)
        lines = self.wait_for("READY=1")
        when = int(next(line for line in lines if line.startswith("MONOTONIC_USEC="))[15:])
        self.assertTrue(began <= when <= time.monotonic_ns() // 1000)
        self.assertLess(lines.index("RELOADING=1"), lines.index("READY=1"))
        self.assertLess(time.monotonic_ns() // 1000 - began, 8e6)
        self.assertEqual(self.shown(), "new")
        (self.folder / "c.pem").write_text("nothing")
        self.started.process.send_signal(signal.SIGHUP)
        self.wait_for("READY=1")
        self.assertEqual(self.shown(), "new")
        self.assertRegex(self.end(), "the changed certificate of listener TLS is not used")


if __name__ == "__main__":
    unittest.main()
