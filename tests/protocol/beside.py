"""What goes on beside bad input: a healthy client that must not notice, and the node's memory, which must not grow.

A class on BesideCase has both around each of its tests. The client produces a record with acks=all and fetches it again,
over and over; a wrong answer, a broken connection or a round slower than ROUND_LIMIT_S is the test's failure.
"""

import os
import re
import threading
import time
from pathlib import Path

import records
from case import NodeCase
from kafka import ERR, Client

ROUND_LIMIT_S = 5                       # of a machine that runs other tests too; alone it is some milliseconds
GROWTH_LIMIT = 40 << 20                 # bytes of resident memory above what it was before the test


class Healthy(threading.Thread):
    def __init__(self, case, topic):
        super().__init__(daemon=True)
        self.case, self.topic = case, topic
        self.client = Client(case.node.host, case.node.port)
        self.rounds, self.longest_s, self.failure = 0, 0.0, None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                began = time.monotonic()
                self.round()
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self.rounds += 1
                self.ending.wait(0.002)
        except Exception as why:        # whatever it is, it is told in finish()
            self.failure = why

    def round(self):
        value = b"%d" % self.rounds
        answer = self.case.produce(self.client, self.topic, [value])
        self.case.assertError(answer["error_code"], ERR.NONE)
        self.case.assertEqual(answer["base_offset"], self.rounds)
        answer = self.case.fetch(self.client, self.topic, self.rounds)
        self.case.assertEqual(records.values(answer["records"]), [value])

    def finish(self):
        """End it after another whole round, and complain about what it met."""
        rounds, deadline = self.rounds, time.monotonic() + ROUND_LIMIT_S
        while self.rounds < rounds + 2 and not self.failure and time.monotonic() < deadline:
            time.sleep(0.002)
        self.ending.set()
        self.join(ROUND_LIMIT_S)
        self.client.close()
        if self.failure:
            raise AssertionError(f"the healthy client failed in round {self.rounds}: {self.failure}") from self.failure
        self.case.assertGreaterEqual(self.rounds, rounds + 2, "the healthy client does not get on")
        self.case.assertLess(self.longest_s, ROUND_LIMIT_S, "a round of the healthy client")


class BesideCase(NodeCase):
    """NodeCase with a healthy client and a look at the memory of the node around each test."""

    growth_limit = GROWTH_LIMIT

    def setUp(self):
        self.healthy = Healthy(self, self.topic())
        self.healthy.start()
        self.while_healthy()
        self.memory_before = self.memory("VmRSS")
        Path(f"/proc/{self.node.process.pid}/clear_refs").write_text("5")  # the peak is counted from now on

    def while_healthy(self):
        """Wait until the healthy client has had a round."""
        deadline = time.monotonic() + ROUND_LIMIT_S
        while not self.healthy.rounds and time.monotonic() < deadline:
            time.sleep(0.002)

    def tearDown(self):
        self.healthy.finish()
        grown = self.memory("VmHWM") - self.memory_before
        if "asan" not in os.environ.get("CHRONIKD", ""):    # AddressSanitizer keeps what was freed
            self.assertLess(grown, self.growth_limit, "bytes of memory taken by the node during the test")

    def memory(self, name):
        text = Path(f"/proc/{self.node.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) << 10

    def ends(self, client, within_s=10):
        """True when the node closes the connection in this time, whatever it answers before."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            client.socket.settimeout(left)
            try:
                if not client.socket.recv(1 << 16):
                    return True
            except TimeoutError:
                return False
            except ConnectionError:
                return True
        return False
