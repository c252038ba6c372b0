"""The two programs as their users start them: with arguments, an environment and a folder; what they say and return.

Stands on tests/protocol (Node, Client, NodeCase), which is put on the path here.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

from node import ROOT, Node, NodeError  # noqa: E402, F401

CHRONIKD = Path(os.environ.get("CHRONIKD", ROOT / "build/chronikd"))
CHRONIK_CTL = Path(os.environ.get("CHRONIK_CTL", ROOT / "build/chronik-ctl"))
ANY_PORTS = ("--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0")
START_LIMIT_S = 3                       # of a machine that runs other tests too; alone it is some milliseconds


class ProgramCase(unittest.TestCase):
    """A folder that is removed, and programs that are run in it."""

    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chronik-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_program(self, program, *args, env=None, timeout=10, stdin=""):
        """Run it to its end in the folder, with the text @stdin; returns subprocess's CompletedProcess with text."""
        return subprocess.run([str(program), *map(str, args)], cwd=self.folder, input=stdin, timeout=timeout,
                              capture_output=True, text=True, env={**os.environ, **(env or {})})

    def chronikd(self, *args, **options):
        return self.run_program(CHRONIKD, *args, **options)

    def start(self, *args, env=None, data="data"):
        """Start chronikd on any ports with its data in the folder; it is killed when the test ends. See Started."""
        started = Started(["--data-dir", str(self.folder / data), *ANY_PORTS, *map(str, args)], self.folder, env)
        self.addCleanup(started.kill)
        return started

    def refused(self, *args, program=CHRONIKD, status=1, says=()):
        """The start is refused soon: one line on standard error that has all of @says in it, nothing on standard output."""
        began = time.monotonic()
        done = self.run_program(program, *args)
        self.assertLess(time.monotonic() - began, START_LIMIT_S)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for words in says:
            self.assertIn(words, done.stderr)
        return done.stderr


class Started:
    """A chronikd whose output is read line by line."""

    def __init__(self, args, cwd, env=None, program=CHRONIKD, stderr=subprocess.STDOUT):
        self.process = subprocess.Popen([str(program), *args], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=stderr, text=True, env={**os.environ, **(env or {})})
        self.line = said = self.process.stdout.readline()
        while said and not said.startswith("READY "):   # what it has to say of its start comes before
            said = self.process.stdout.readline()
            self.line = said or self.line
        if not self.line.startswith("READY "):
            self.kill()
            raise AssertionError(f"no READY line but: {self.line}")
        self.words = dict(w.split("=", 1) for w in self.line.split() if "=" in w)
        self.admin = self.words["admin"]
        if self.words["kafka"] != "none":           # without the role ingest
            self.host, port = self.words["kafka"].rsplit(":", 1)
            self.port = int(port)

    def end(self, signal):
        """Send @signal; returns (exit status, what was written after the READY line)."""
        self.process.send_signal(signal)
        text, _ = self.process.communicate(timeout=20)
        return self.process.returncode, text

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
