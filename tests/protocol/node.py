"""One chronikd: started on free loopback ports with a folder of its own, stopped, killed, started again on its data.

Not only for the protocol tests: tests/client uses it for its node as well.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
READY_LIMIT_S = 30
STOP_LIMIT_S = 30


class NodeError(Exception):
    """The node did not start, died, or did not stop as it should; the text says which, with its last output."""


class Node:
    """Use with 'with', or start() and then close(). After start() @host, @port and @address say where Kafka's protocol
    is served, @admin where HTTP is. Ports are chosen by the kernel at each start unless @settings name some."""

    def __init__(self, settings=(), program=None, log=None, env=None):
        self.program = Path(program or os.environ.get("CHRONIKD", ROOT / "build/chronikd"))
        self.settings = list(settings)
        self.kafka = "127.0.0.1:0"              # None: listeners with names only
        self.env = dict(env or {})              # beside those that this process has
        self.folder = Path(tempfile.mkdtemp(prefix="chronik-test-"))
        self.data = self.folder / "data"
        self.log = Path(log) if log else self.folder / "log"
        self.process = None
        self.host = self.port = self.address = self.admin = None
        self.listeners = {}                     # by name: (host, port); the first is @host and @port

    def __enter__(self):
        try:
            return self.start()
        except NodeError:
            self.close()
            raise

    def __exit__(self, *_exc):
        self.close()

    def start(self):
        """Start it and wait until it serves. Its output is appended to @log."""
        self.wait_ready(self.begin())
        return self

    def begin(self):
        """Start it without waiting; wait_ready() takes what is returned."""
        if not os.access(self.program, os.X_OK):
            raise NodeError(f"{self.program} is not there; build it with 'make'")
        command = [str(self.program), "--data-dir", str(self.data), "--admin", "127.0.0.1:0",
                   "--set", "diag.core_dumps=true"]     # tests look at /proc, and a failure is to be looked into
        if self.kafka:
            command += ["--kafka", self.kafka]
        for setting in self.settings:
            command += ["--set", setting]
        with open(self.log, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.env})
        return before

    def wait_ready(self, before):
        """Wait until what begin() has started serves; sets @address and so on."""
        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            status = self.process.poll()
            for line in self.log.read_bytes()[before:].decode(errors="replace").splitlines(keepends=True):
                if line.startswith("READY ") and line.endswith("\n"):
                    words = dict(w.split("=", 1) for w in line.split() if "=" in w)
                    self.address, self.admin = words["kafka"], words["admin"]
                    self.host, port = self.address.rsplit(":", 1)
                    self.port = int(port)
                    self.listeners = {name: (at.rsplit(":", 1)[0], int(at.rsplit(":", 1)[1]))
                                      for name, at in words.items() if name not in ("kafka", "admin", "node")}
                    return
            if status is not None:
                raise NodeError(f"chronikd ended with {status} before it was ready: {self.tail()}")
            if time.monotonic() > deadline:
                raise NodeError(f"no READY line from chronikd in {READY_LIMIT_S} s: {self.tail()}")
            time.sleep(0.01)

    def died(self):
        """Its exit status if it ended by itself, else None."""
        return self.process.poll()

    def stop(self):
        """SIGTERM; NodeError unless it then ends with 0 in time."""
        if self.process.poll() is not None:
            raise NodeError(f"chronikd had ended by itself with {self.process.returncode}: {self.tail()}")
        self.process.terminate()
        try:
            status = self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise NodeError(f"chronikd did not stop in {STOP_LIMIT_S} s after SIGTERM: {self.tail()}") from None
        if status:
            raise NodeError(f"chronikd ended with {status} after SIGTERM: {self.tail()}")

    def kill(self):
        """SIGKILL, as a crash of the process."""
        if self.process.poll() is not None:
            raise NodeError(f"chronikd had ended by itself with {self.process.returncode}: {self.tail()}")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self, kill=False):
        """Stop or kill it, and start it again on the same data, on other ports."""
        self.kill() if kill else self.stop()
        return self.start()

    def close(self):
        """End it whatever its state, and remove its folder. Does not fail; stop() before it to see a clean end."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def text(self):
        """All that it has written to standard output and error."""
        return self.log.read_text(errors="replace")

    def tail(self):
        return " | ".join(self.text().splitlines()[-8:])

    def get(self, path):
        """HTTP GET from the admin address: (status, text)."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The value of one metric, whose name may have labels; 0 when there is none."""
        status, text = self.get("/metrics")
        if status != 200:
            raise NodeError(f"/metrics answers {status}")
        return sum(float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.rsplit(" ", 1)[0] == name)
