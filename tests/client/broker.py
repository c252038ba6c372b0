"""One chronikd for the suite: started on free loopback ports with an empty data folder, stopped with SIGTERM."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

READY_LIMIT_S = 10
STOP_LIMIT_S = 20


class BrokerError(Exception):
    """The broker did not start, died, or did not stop as it should; the text says which."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """Use with 'with'; @bootstrap is its address, @log the file that has its output."""

    def __init__(self, program, settings, log):
        self.program, self.settings, self.log = program, settings, Path(log)
        self.bootstrap = None
        self._process = self._data = None

    def __enter__(self):
        if not os.access(self.program, os.X_OK):
            raise BrokerError(f"{self.program} is not there; build it with 'make', or name a broker with --bootstrap")
        self._data = tempfile.mkdtemp(prefix="chronik-clients-")
        self.bootstrap = f"127.0.0.1:{free_port()}"
        command = [str(self.program), "--data-dir", self._data, "--kafka", self.bootstrap,
                   "--admin", f"127.0.0.1:{free_port()}"]
        for setting in self.settings:
            command += ["--set", setting]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self._wait_ready()
        except BrokerError:
            self.stop()
            raise
        return self

    def _wait_ready(self):
        deadline = time.monotonic() + READY_LIMIT_S
        while b"READY" not in self.log.read_bytes():
            if self._process.poll() is not None:
                raise BrokerError(f"chronikd ended with {self._process.returncode} before it was ready: {self.tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"no READY line from chronikd in {READY_LIMIT_S} s: {self.tail()}")
            time.sleep(0.02)

    def __exit__(self, *_exc):
        self.stop()

    def died(self):
        """Its exit status if it ended by itself, else None."""
        return self._process.poll()

    def stop(self):
        """SIGTERM; the status that it ended with, -9 if it had to be killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._data, ignore_errors=True)
        return self._process.returncode

    def tail(self):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])
