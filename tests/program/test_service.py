#!/usr/bin/env python3
"""The units of systemd/: what chronikd.service leaves to the node, and that this is enough.

Goal: systemd accepts the units and finds them hardly exposed; the node does all its work under the unit's system calls and without
memory that is both written and run; nothing of its memory is dumped, and nobody looks into it.
Method: systemd-analyze without a manager; the real program under the same filter (sandbox.py).
"""

import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import sandbox
from program import CHRONIK_CTL, CHRONIKD, ROOT, Node, ProgramCase
from signal import SIGABRT

from case import NodeCase
from kafka import ERR

EXPOSURE_MAX = 1.5
UNITS = sorted(path for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".timer", ".slice"))
TRY = """
import ctypes, errno, mmap, os, socket, sys
sys.path.insert(0, sys.argv[1])
import sandbox
sandbox.enter()
libc = ctypes.CDLL(None, use_errno=True)
def says(r):
    return errno.errorcode[ctypes.get_errno()] if r < 0 else "done"
print("mount", says(libc.mount(b"none", b"/nowhere", b"tmpfs", 0, None)))
print("setuid", says(libc.setuid(os.getuid())))
print("ptrace", says(libc.ptrace(0, 0, 0, 0)))
print("keyctl", says(libc.syscall(250, 0, 0, 0, 0, 0)))
print("unshare", says(libc.unshare(0x10000000)))
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    print("netlink done")
except OSError as e:
    print("netlink", errno.errorcode[e.errno])
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    print("wx done")
except OSError as e:
    print("wx", errno.errorcode[e.errno])
print("inet", socket.socket().family.name)
"""


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze, which judges the unit, is not here")
class Unit(ProgramCase):
    def test_is_accepted(self):
        """systemd knows every line of every unit. The programs are put where they are, since they are not installed; what a real
        manager makes of the units is the business of tests/systemd."""
        for path in UNITS:
            text = path.read_text(encoding="utf-8")
            text = text.replace("/usr/bin/chronikd", str(CHRONIKD.resolve())).replace("/usr/bin/chronik-ctl", str(CHRONIK_CTL.resolve()))
            (self.folder / path.name).write_text(text)
        done = self.run_program("systemd-analyze", "verify", "--man=no", *(str(self.folder / path.name) for path in UNITS), timeout=60)
        self.assertEqual([line for line in done.stderr.splitlines() if "chronik" in line], [])

    def test_exposure(self):
        """The exposure that systemd-analyze computes, without a manager."""
        for path in UNITS:
            if path.suffix != ".service":
                continue
            with self.subTest(path.name):
                done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE_MAX * 10)}",
                                       "--no-pager", str(path)], capture_output=True, text=True, timeout=60)
                if "Overall exposure level" not in done.stdout:
                    self.skipTest(f"this systemd-analyze does not judge units without a manager: {done.stderr.strip()[:200]}")
                self.assertEqual(done.returncode, 0, done.stdout)

    def test_arguments(self):
        """What ExecStart gives to the program is understood by it."""
        words = re.search(r"(?m)^ExecStart=/usr/bin/chronikd (.*)$", sandbox.UNIT.read_text(encoding="utf-8")).group(1).split()
        (self.folder / "chronik.yaml").write_text("server:\n  node_id: 7\n")
        words[words.index("/etc/chronik/chronik.yaml")] = "chronik.yaml"
        self.assertEqual(self.chronikd("--check", *words).returncode, 0)


@unittest.skipIf(sandbox.why_not(), sandbox.why_not())
class Sandbox(ProgramCase):
    def test_it_is_one(self):
        """What the node is not to do fails under the filter, so that what follows says something."""
        done = self.run_program(sys.executable, "-B", "-c", TRY, ROOT / "tests/program")
        said = dict(line.split() for line in done.stdout.splitlines())
        wx = said.pop("wx", None)       # from Linux 6.3 on; before that the filter here has nothing for it
        self.assertIn(wx, ("EACCES", "done"), done.stderr)
        self.assertEqual(said, {"mount": "EPERM", "setuid": "EPERM", "ptrace": "EPERM", "keyctl": "EPERM", "unshare": "EPERM",
                                "netlink": "EAFNOSUPPORT", "inet": "AF_INET"}, done.stderr)


@unittest.skipIf(sandbox.why_not(), sandbox.why_not())
class Boxed(NodeCase):
    """A node under the filter; at the end it stops in good order."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="chronik-test-")
        cls.addClassCleanup(folder.cleanup)
        boxed = Path(folder.name) / "boxed"
        boxed.write_text(f"#!/bin/sh\nexec {sys.executable} -B {ROOT}/tests/program/sandbox.py {CHRONIKD.resolve()} \"$@\"\n")
        boxed.chmod(0o755)
        cls.node = Node(program=boxed)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection(self.node.admin, timeout=10)
        c.request(method, path, json.dumps(body) if body else None)
        answer = c.getresponse()
        text = answer.read().decode()
        c.close()
        self.assertIn(answer.status, (200, 202), text)
        return text

    def test_it_works(self):
        """Records in and out, of each codec's topic and over a restart; what chronik-ctl asks; a verification of logs."""
        self.assertRegex(Path(f"/proc/{self.node.process.pid}/status").read_text(encoding="ascii"), r"(?m)^Seccomp:\s+2$")
        topics = [self.topic(compression_type=codec) for codec in ("producer", "zstd", "gzip", "lz4", "snappy")]
        for _ in range(2):
            client = self.client()
            for topic in topics:
                self.assertError(self.produce(client, topic, [b"x" * 1000] * 50)["error_code"], ERR.NONE)
            for topic in topics:
                self.assertTrue(self.stored(topic))
            self.node.restart()
        self.assertIn("chronik_ready 1", self.ask("GET", "/metrics"))
        self.ask("POST", "/v1/verify", {})
        self.assertIn(topics[0], self.ask("GET", "/v1/topics"))
        self.ask("DELETE", f"/v1/topics/{topics[0]}")
        self.assertNotIn("not permitted", self.node.log.read_text())


class Memory(ProgramCase):
    """Keys and records lie in memory."""

    def dumpable(self, node):
        """What the kernel says of who may look into it: then the owner of its files in /proc is its user, otherwise root."""
        return os.stat(f"/proc/{node.process.pid}/environ").st_uid != 0

    @unittest.skipIf(os.getuid() == 0, "root may look into everything")
    def test_nobody_looks_into_it(self):
        """Another process of the same user sees nothing, unless diag.core_dumps says so."""
        self.assertFalse(self.dumpable(self.start()))
        self.assertTrue(self.dumpable(self.start("--set", "diag.core_dumps=true", data="other")))

    def test_no_core_dump(self):
        """A process that is killed by SIGABRT leaves no core, though the limit allows one; with diag.core_dumps it does."""
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limit)
        resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
        self.assertFalse(self.leaves_core(self.start()))
        if not self.leaves_core(self.start("--set", "diag.core_dumps=true", data="other")):
            self.skipTest("this machine makes no core dumps anyway")

    def leaves_core(self, node):
        node.process.send_signal(SIGABRT)
        pid, status = os.waitpid(node.process.pid, 0)
        node.process.returncode = -os.WTERMSIG(status)
        self.assertEqual(os.WTERMSIG(status), SIGABRT)
        return os.WCOREDUMP(status)


if __name__ == "__main__":
    unittest.main()
