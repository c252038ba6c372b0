"""Running one of Apache Kafka's command line tools: what the checks of kafka_tools.py and share_tools.py stand on."""
import json
import os
import shlex
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from checks import bootstrap, expect_true, topic_name  # noqa: E402

JAVA = []
if sys.argv[1:2] == ["--java"]:
    JAVA = shlex.split(sys.argv[2])
    del sys.argv[1:3]
BOOTSTRAP = bootstrap()

CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-verifiable-share-consumer": "org.apache.kafka.tools.VerifiableShareConsumer",
    "kafka-console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "kafka-share-consumer-perf-test": "org.apache.kafka.tools.ShareConsumerPerformance",
    "kafka-transactional-copier": "org.apache.kafka.tools.TransactionalMessageCopier",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-replica-verification": "org.apache.kafka.tools.ReplicaVerificationTool",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-streams-application-reset": "org.apache.kafka.tools.StreamsResetter",
    "kafka-client-compatibility": "org.apache.kafka.tools.ClientCompatibilityTest",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
}


# How a tool is told the address, where it is not the usual way.
ADDRESS = {"kafka-transactional-copier": "--broker-list", "kafka-replica-verification": "--broker-list"}


def command(tool, *args):
    return [*JAVA, CLASSES[tool], ADDRESS.get(tool, "--bootstrap-server"), BOOTSTRAP, *map(str, args)]


def run(tool, *args, stdin=b"", fine=True):
    """Run a tool to its end; what it printed. With fine=False it must fail, with fine=None it may."""
    got = subprocess.run(command(tool, *args), input=stdin, capture_output=True, timeout=60, check=False)
    out, err = got.stdout.decode(), got.stderr.decode()
    failed = got.returncode != 0 or (not out.strip() and "Exception" in err)
    if fine is not None and failed == fine:
        raise AssertionError(f"{tool} {' '.join(map(str, args))}: exit {got.returncode}: {(out + err).strip()[-300:]}")
    return out if fine else out + err


def make(tag, partitions=1, *config):
    name = topic_name(tag)
    args = [x for c in config for x in ("--config", c)]
    run("kafka-topics", "--create", "--topic", name, "--partitions", partitions, "--replication-factor", 1, *args)
    return name


def lines(count, first=0):
    return b"".join(b"line %06d of some text that repeats that repeats\n" % i for i in range(first, first + count))


def console_produce(name, data, *args):
    run("kafka-console-producer", "--topic", name, *args, stdin=data)


def console_consume(name, count, *args, timeout_ms=15000):
    """@count messages, or those that come before there has been none for @timeout_ms."""
    return run("kafka-console-consumer", "--topic", name, "--max-messages", count, "--timeout-ms", timeout_ms, *args)


def table(text):
    """The rows of a tool's table, each a dict by the names of the columns."""
    rows = [r.split() for r in text.splitlines() if r.strip()]
    heads = next((i for i, r in enumerate(rows) if r[0] == "GROUP"), None)
    expect_true(f"no table: {text}", heads is not None)
    return [dict(zip(rows[heads], r)) for r in rows[heads + 1:]]


class Background:
    """A tool that runs until it is told to end; its output goes to a file of JSON lines."""

    def __init__(self, folder, label, *args):
        self.path = os.path.join(folder, label)
        with open(self.path, "wb") as out:
            self.p = subprocess.Popen(command(*args), stdout=out, stderr=subprocess.DEVNULL,
                                      stdin=subprocess.DEVNULL)

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def events(self, name):
        rows = [json.loads(r) for r in self.text().splitlines(keepends=True) if r.startswith("{") and r.endswith("\n")]
        return [r for r in rows if r["name"] == name]

    def owned(self):
        """How many partitions the newest assignment gives to this member."""
        events = [e for e in self.events("partitions_assigned")]
        return len(events[-1]["partitions"]) if events else 0

    def consumed(self):
        return sum(e["count"] for e in self.events("records_consumed"))

    def offsets(self):
        """(partition, offset) of every record that it was given."""
        return [(p["partition"], at) for e in self.events("records_consumed") for p in e["partitions"]
                for at in range(p["minOffset"], p["maxOffset"] + 1)]

    def kill(self):
        self.p.kill()
        self.p.wait()

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        self.p.wait(30)
