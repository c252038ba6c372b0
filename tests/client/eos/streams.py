"""Kafka Streams, exactly once: TotalsApp.java twice, killed again and again with the broker, its state deleted now and then.

Called with --program "COMMAND" (java, its flags and class path) before the address.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from broker import Broker  # noqa: E402
from checks import QUICK, RUN, bootstrap, check, expect, expect_true, main, until  # noqa: E402
from feed import PARTITIONS, SETTLE_S, Client, options  # noqa: E402
from numbered import totals, totals_faults  # noqa: E402
from programs import STORM_TIMES, Program, Together, quiet, seed, storm  # noqa: E402

STORM_S = 20 if QUICK else 75
OPTIONS = options()
CLIENT = Client(OPTIONS["program"] + " CopyLoop")
APP = Client(OPTIONS["program"] + " TotalsApp").command
BOOTSTRAP = bootstrap()


class Application:
    """The application's topics, its two instances and their state folders."""

    def __init__(self, broker, folder):
        self.broker, self.folder, self.name = broker, folder, f"{RUN}-totals"
        self.input, self.output = f"{self.name}-input", f"{self.name}-output"
        broker.create(self.input, PARTITIONS)
        broker.create(self.output, PARTITIONS)
        self.both = [Program(f"instance {i}", self.command("run", self.state(i)), os.path.join(folder, f"instance-{i}.log"))
                     for i in range(2)]
        self.deleted = 0

    def state(self, i):
        return os.path.join(self.folder, f"state-{i}")

    def command(self, what, state):
        return [*APP, what, self.broker.address, self.name, self.input, self.output, state, self.broker.session_ms]

    def killed(self, program):
        """Every other time the machine's disk is gone, too."""
        if program.kills % 2 == 0:
            shutil.rmtree(self.state(self.both.index(program)), ignore_errors=True)
            self.deleted += 1

    def restored(self):
        """How many records the instances have read from the changelog in all their lives."""
        return sum(int(n) for p in self.both for n in re.findall(r"^restored (\d+) of", p.text(), re.M))

    def totals_sent(self, level="read_committed"):
        return [text for _, text in CLIENT.read(self.broker.address, self.output, level)]

    def dump(self, state):
        """The store of a single instance that has all: {key: (count, sum)}, and how many records it had to restore."""
        command = [str(c) for c in self.command("dump", state)]
        got = subprocess.run(command, capture_output=True, text=True, timeout=SETTLE_S, check=False)
        expect_true(f"dump ended with {got.returncode}: {(got.stdout + got.stderr)[-300:]}", got.returncode == 0)
        rows = re.findall(r"^total (\S+) (\d+) (\d+)$", got.stdout, re.M)
        return {key: (int(count), int(total)) for key, count, total in rows}, int(re.search(r"^restored (\d+)$", got.stdout, re.M)[1])


def until_all_are_sent(app, count):
    """The totals, once there is one for each record."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        sent = app.totals_sent()
        if len(sent) >= count:
            return sent
        expect_true(f"{len(sent)} totals of {count} after {SETTLE_S} s; {[p.tail() for p in app.both]}", time.monotonic() < deadline)
        quiet(app.both, 2)


@check("streams-killed", (STORM_TIMES + 1) * STORM_S + 4 * SETTLE_S)
def streams_killed():
    """Each record is added once to the total of its key: in what was sent, in the store, and in a store made from the changelog."""
    number = seed()
    print(f"# streams-killed has seed {number}", flush=True)
    with Broker(BOOTSTRAP) as broker, tempfile.TemporaryDirectory() as folder:
        app = Application(broker, folder)
        feed = CLIENT.feed(broker.address, app.input)
        try:
            with Together(*app.both):
                until("the first total", lambda: sum(end for end, _ in broker.ends(app.output, PARTITIONS)) > 0, SETTLE_S, 0.5)
                storm(random.Random(number), app.both, broker, STORM_S, lambda: broker.torn(app.output, PARTITIONS), (2.0, 6.0),
                      app.killed)
                counts = feed.finish()
                sent = until_all_are_sent(app, sum(counts.values()))
                for p in app.both:
                    p.stop()
        finally:
            feed.end()
        prove(app, sent, counts)


def prove(app, sent, counts):
    broker, want = app.broker, totals(counts)
    expect("faults of the totals", totals_faults(sent, counts), [])
    if broker.node:
        broker.kill()
    again = [text for _, text in broker.read_committed(app.output, PARTITIONS)]
    expect("faults of the totals, read with the tests' own codec", totals_faults(again, counts), [])
    state, restored = app.dump(os.path.join(app.folder, "state-new"))
    expect("totals in a store that was made from the changelog", state, want)
    expect_true(f"{restored} records restored for {len(want)} keys", restored >= len(want))
    expect("totals in the store of an instance that was killed", app.dump(app.state(0))[0], want)
    torn = len(app.totals_sent("read_uncommitted")) - len(sent)
    print(f"# {len(sent)} records; instances killed {[p.kills for p in app.both]} and given up {[p.gave_up for p in app.both]}, state "
          f"deleted {app.deleted}, broker killed {broker.kills}, {app.restored()} records restored while it lasted, {torn} totals in "
          "transactions that were aborted", flush=True)
    expect_true("no kill has torn a transaction, so nothing was proved", torn > 0)
    expect_true("nothing was restored while it lasted", app.restored() > 0)


if __name__ == "__main__":
    main(OPTIONS["title"])
