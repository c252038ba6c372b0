"""Numbered records for a topic, and what a reader is given of them, by a client's own copy loop program."""
import shlex
import subprocess
import sys
import tempfile
import threading
import time

from checks import expect_true
from numbered import value

PARTITIONS, PER_SECOND = 4, 100         # of each partition
SETTLE_S = 90


def options():
    """Take "--name VALUE" pairs off the front of the command line."""
    out = {}
    while sys.argv[1:2] and sys.argv[1].startswith("--"):
        out[sys.argv[1][2:]] = sys.argv[2]
        del sys.argv[1:3]
    return out


class Client:
    """The program, as README.md describes its command line."""

    def __init__(self, command):
        self.command = shlex.split(command)

    def fill(self, address, topic, rows):
        """Send @rows, (partition, text), and wait for their delivery."""
        text = "".join(f"{p} {t}\n" for p, t in rows)
        got = subprocess.run([*self.command, "fill", address, topic], input=text, capture_output=True, text=True, timeout=60,
                             check=False)
        expect_true(f"fill ended with {got.returncode}: {got.stderr[-300:]}", got.returncode == 0)

    def read(self, address, topic, level):
        """What readers of this level are given: (partition, text) rows."""
        got = subprocess.run([*self.command, "read", address, topic, level], capture_output=True, text=True, timeout=60, check=False)
        expect_true(f"read ended with {got.returncode}: {got.stderr[-300:]}", got.returncode == 0)
        rows = [line.split(" ", 1) for line in got.stdout.splitlines()]
        return [(int(p), text) for p, text in rows]

    def feed(self, address, topic):
        return Feed(self.command, address, topic)


class Feed:
    """The program's producer, fed with numbered records at a steady rate by a thread until finish()."""

    def __init__(self, command, address, topic):
        self.counts = dict.fromkeys(range(PARTITIONS), 0)
        # A file: a pipe that nobody reads would stop the program when it is full.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([*command, "fill", address, topic], stdin=subprocess.PIPE, stderr=self.errors, text=True)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self):
        began = time.monotonic()
        try:
            while not self.done.is_set():
                due = int((time.monotonic() - began) * PER_SECOND)
                for n in range(self.counts[0], due):
                    for p in self.counts:
                        self.process.stdin.write(f"{p} {value(p, n)}\n")
                        self.counts[p] = n + 1
                self.process.stdin.flush()
                time.sleep(0.02)
            self.process.stdin.close()
        except BrokenPipeError:
            pass        # it has ended; finish() tells how

    def finish(self):
        """All that was fed is delivered. Return: how many records each partition has."""
        self.done.set()
        self.thread.join()
        try:
            status = self.process.wait(SETTLE_S)
        except subprocess.TimeoutExpired:
            status = f"nothing in {SETTLE_S} s"
        self.errors.seek(0)
        expect_true(f"the producer ended with {status}: {self.errors.read()[-600:]}", status == 0)
        return dict(self.counts)

    def end(self):
        self.done.set()
        self.process.kill()
        self.process.wait()
        self.errors.close()
