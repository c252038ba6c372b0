"""Kafka Connect with its file connectors: lines of a file become records and lines of another file.

Called with --program "COMMAND" (java, its flags and class path) and --reader "COMMAND" (a copy loop program, for its reader) before the
address.
"""
import json
import os
import random
import shlex
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from broker import Broker, free_port  # noqa: E402
from checks import RUN, bootstrap, check, expect, expect_true, main, until  # noqa: E402
from feed import SETTLE_S, Client, options  # noqa: E402
from numbered import faults, value  # noqa: E402
from programs import STORM_TIMES, Program, Together, quiet, seed, storm  # noqa: E402

STORM_S = 75
LINES_PER_SECOND = 200
BY_SIGNAL = 143         # how Java ends after SIGTERM, its hooks done
OPTIONS = options()
READER = Client(OPTIONS["reader"])
BOOTSTRAP = bootstrap()
# Transactions that are open most of the time. A batch takes all there is: of what it leaves in its buffer, the file connector sends
# nothing before the file grows again.
EXACTLY_ONCE = {"exactly.once.support": "required", "transaction.boundary": "interval", "transaction.boundary.interval.ms": 700,
                "batch.size": 1000000}
COMMON = {"key.converter": "org.apache.kafka.connect.storage.StringConverter",
          "value.converter": "org.apache.kafka.connect.storage.StringConverter",
          "offset.flush.interval.ms": 300, "plugin.discovery": "service_load", "reconnect.backoff.max.ms": 200,
          "producer.reconnect.backoff.max.ms": 200, "consumer.reconnect.backoff.max.ms": 200,
          "consumer.auto.offset.reset": "earliest"}


class Lines:
    """A file that grows; line N is the text of record N."""

    def __init__(self, folder):
        self.path, self.count = os.path.join(folder, "lines"), 0
        self.done, self.thread = threading.Event(), None
        self.add(0)

    def add(self, count):
        with open(self.path, "a", encoding="utf-8") as f:
            f.write("".join(value(0, n) + "\n" for n in range(self.count, self.count + count)))
        self.count += count

    def grow(self):
        """Steadily, until finish()."""
        def run():
            while not self.done.is_set():
                self.add(LINES_PER_SECOND // 10)
                time.sleep(0.1)
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def finish(self):
        self.done.set()
        if self.thread:
            self.thread.join()

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()


class Worker(Program):
    """One process of Kafka Connect."""

    def __init__(self, name, folder, main_class, properties, connectors=()):
        self.rest = f"http://127.0.0.1:{free_port()}"
        files = [self._file(folder, f"{name}-worker", {**COMMON, "listeners": self.rest, **properties})]
        files += [self._file(folder, f"{name}-{c['name']}", c) for c in connectors]
        command = [*shlex.split(OPTIONS["program"]), f"org.apache.kafka.connect.cli.{main_class}", *files]
        super().__init__(name, command, os.path.join(folder, f"{name}.log"))

    @staticmethod
    def _file(folder, name, properties):
        path = os.path.join(folder, f"{name}.properties")
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(f"{k}={v}\n" for k, v in properties.items()))
        return path

    def stop(self, limit_s=40, fine=(BY_SIGNAL,)):
        super().stop(limit_s, fine)

    def call(self, method, path, body=None):
        """What the REST interface answers; None if it does not, or refuses."""
        request = urllib.request.Request(self.rest + path, method=method, headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or "{}")
        except (OSError, urllib.error.HTTPError):
            return None

    def create(self, connector):
        config = {k: str(v) for k, v in connector.items() if k != "name"}
        until(f"{connector['name']} is created", lambda: self.call("PUT", f"/connectors/{connector['name']}/config", config), 60, 0.5)


def source(name, path, topic, **more):
    """The configuration of a connector that reads the file at @path."""
    return {"name": name, "connector.class": "FileStreamSource", "tasks.max": 1, "file": path, "topic": topic, **more}


def sink(name, path, topic, **more):
    """The configuration of one that writes it."""
    return {"name": name, "connector.class": "FileStreamSink", "tasks.max": 1, "file": path, "topics": topic, **more}


def content(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def until_same(lines, path, program):
    """Until the file at @path has as much as @lines; it must be the same."""
    want = lines.text()
    until(f"{lines.count} lines have arrived; {program.tail()}", lambda: len(content(path)) >= len(want), SETTLE_S, 0.2)
    time.sleep(1)       # what comes too often comes late
    got = [(0, line) for line in content(path).splitlines()]
    expect("faults of the sink's file", faults(got, {0: lines.count}), [])
    expect_true("the sink's file is another one", content(path) == want)


def records(broker, topic, level="read_committed"):
    return READER.read(broker.address, topic, level)


@check("connect-standalone", 8 * SETTLE_S)
def connect_standalone():
    """A file arrives in a topic and in another file, line by line, while the worker is started again and the broker is killed."""
    with Broker(BOOTSTRAP) as broker, tempfile.TemporaryDirectory() as folder:
        topic, target, lines = f"{RUN}-lines", os.path.join(folder, "out"), Lines(folder)
        broker.create(topic, 1)
        worker = Worker("standalone", folder, "ConnectStandalone", {
            "bootstrap.servers": broker.address, "offset.storage.file.filename": os.path.join(folder, "offsets")},
            [source("file-source", lines.path, topic), sink("file-sink", target, topic)])
        with Together(worker):
            lines.add(1000)
            until_same(lines, target, worker)
            worker.stop()
            lines.add(1000)
            worker.start()
            until_same(lines, target, worker)
            if broker.node:
                broker.kill(0.5)
                lines.add(1000)
                until_same(lines, target, worker)
                lines.grow()
                for _ in range(3):
                    time.sleep(1.5)
                    broker.kill(0.3)
                lines.finish()
                until_same(lines, target, worker)
            worker.stop()
        expect("faults of the topic", faults(records(broker, topic, "read_uncommitted"), {0: lines.count}), [])
        print(f"# {lines.count} lines, broker killed {broker.kills}", flush=True)


def distributed(broker, folder):
    name = f"{RUN}-connect"
    return Worker("distributed", folder, "ConnectDistributed", {
        "bootstrap.servers": broker.address, "group.id": name, "exactly.once.source.support": "enabled",
        "config.storage.topic": f"{name}-configs", "config.storage.replication.factor": 1,
        "offset.storage.topic": f"{name}-offsets", "offset.storage.replication.factor": 1, "offset.storage.partitions": 5,
        "status.storage.topic": f"{name}-status", "status.storage.replication.factor": 1, "status.storage.partitions": 2,
        "session.timeout.ms": broker.session_ms, "heartbeat.interval.ms": broker.session_ms // 4, "rebalance.timeout.ms": 10000,
        "scheduled.rebalance.max.delay.ms": 500})


def compacted(broker, topic):
    with broker.client() as client:
        answer = client.call("DescribeConfigs", 4, resources=[{"resource_type": 2, "resource_name": topic,
                                                               "configuration_keys": ["cleanup.policy"]}])
    return [c["value"] for c in answer["results"][0]["configs"]] == ["compact"]


@check("connect-exactly-once", (STORM_TIMES + 1) * STORM_S + 4 * SETTLE_S)
def connect_exactly_once():
    """A distributed worker's source in transactions, the worker and the broker killed: each line is a record once, in order."""
    number = seed()
    print(f"# connect-exactly-once has seed {number}", flush=True)
    with Broker(BOOTSTRAP) as broker, tempfile.TemporaryDirectory() as folder:
        topic, lines = f"{RUN}-exact", Lines(folder)
        broker.create(topic, 1)
        worker = distributed(broker, folder)
        with Together(worker):
            until("the worker serves", lambda: worker.call("GET", "/connectors") is not None, SETTLE_S, 0.5)
            for kind in ("configs", "offsets", "status"):
                expect_true(f"the topic for {kind} is compacted", compacted(broker, f"{RUN}-connect-{kind}"))
            worker.create(source("file-source", lines.path, topic, **EXACTLY_ONCE))
            lines.grow()
            until("the first record", lambda: broker.ends(topic, 1)[0][1], SETTLE_S, 0.5)
            storm(random.Random(number), [worker], broker, STORM_S, lambda: broker.torn(topic, 1), (5.0, 12.0))
            lines.finish()
            done = quiet([worker], SETTLE_S, lambda: len(records(broker, topic)) >= lines.count)
            expect_true(f"not all lines are records after {SETTLE_S} s: {broker.ends(topic, 1)}, "
                        f"{worker.call('GET', '/connectors/file-source/status')}; {worker.tail()}", done)
            target = os.path.join(folder, "out")
            worker.create(sink("file-sink", target, topic, **{"consumer.override.isolation.level": "read_committed"}))
            until_same(lines, target, worker)
            worker.stop()
        prove(broker, topic, lines, worker)


def prove(broker, topic, lines, worker):
    expect("faults of the topic", faults(records(broker, topic), {0: lines.count}), [])
    expect("faults of the topic, read with the tests' own codec", faults(broker.read_committed(topic, 1), {0: lines.count}), [])
    torn = len(records(broker, topic, "read_uncommitted")) - lines.count
    print(f"# {lines.count} lines; worker killed {worker.kills} and given up {worker.gave_up}, broker killed {broker.kills}, {torn} records "
          "in transactions that were aborted", flush=True)
    expect_true("no kill has torn a transaction, so nothing was proved", torn > 0)


if __name__ == "__main__":
    main(OPTIONS["title"])
