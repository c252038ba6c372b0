"""Whole clients as people run them, against both brokers in turns: Kafka's own perf tools and a program on librdkafka."""
import json
import os
import re

from contest import MODES
from report import median
from servers import LoadError, proc_cpu_s

PARTITIONS = 8
RECORD = 1000
ROUNDS = 3
BROKERS = ("chronikd", "kafka")
RECORDS = {"durable": 50_000, "cached": 400_000}  # Kafka makes some 2 MB/s of them durable
JAVA_PRODUCED = re.compile(r"([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg.*?(\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th")


def java(jars, main, *args):
    return ["java", "-Xmx512M", "-cp", f"{jars}/*", f"org.apache.kafka.tools.{main}", *args]


class Clients:
    """figures[(client, mode)][broker] is a list of dicts, one per round."""

    def __init__(self, contest, rdkafka):
        self.contest, self.rdkafka = contest, rdkafka
        self.figures = {}

    def java_produce(self, server, topic, mode):
        out = self.contest.run_client(java(
            self.contest.jars, "ProducerPerformance", "--bootstrap-server", f"127.0.0.1:{server.port}", "--topic", topic,
            "--num-records", RECORDS[mode], "--record-size", RECORD, "--throughput", -1, "--command-property", "acks=all"))
        last = JAVA_PRODUCED.findall(out)
        if not last:
            raise LoadError(f"kafka-producer-perf-test: {out[-500:]}")
        _, mib_s, _, p50, p99 = map(float, last[-1])
        return {"mb_s": mib_s * 1.048576, "p50_ms": p50, "p99_ms": p99}

    def java_consume(self, server, topic, mode):
        out = self.contest.run_client(java(
            self.contest.jars, "ConsumerPerformance", "--bootstrap-server", f"127.0.0.1:{server.port}", "--topic", topic,
            "--num-records", RECORDS[mode], "--timeout", 60000, "--hide-header"))
        fields = out.strip().splitlines()[-1].split(", ")
        if int(fields[4]) < RECORDS[mode]:
            raise LoadError(f"kafka-consumer-perf-test read {fields[4]} of {RECORDS[mode]} records")
        return {"mb_s": float(fields[-2]) * 1.048576}  # without the time of joining the group

    def rdkafka_run(self, what, server, topic, mode):
        return json.loads(self.contest.run_client([self.rdkafka, what, f"127.0.0.1:{server.port}", topic, RECORDS[mode],
                                                   RECORD, *(["acks=all"] if what == "produce" else [])]))

    def measure(self, client, fn, name, topic, mode):
        server = self.contest.servers[name]
        os.sync()
        before = proc_cpu_s(server.pid)
        got = fn(server, topic, mode)
        got["cpu_s_per_gb"] = (proc_cpu_s(server.pid) - before) / (RECORDS[mode] * RECORD / 1e9)
        self.figures.setdefault((client, mode), {}).setdefault(name, []).append(got)

    def run(self):
        steps = [("Java producer", self.java_produce), ("Java consumer", self.java_consume),
                 ("librdkafka producer", lambda *a: self.rdkafka_run("produce", *a)),
                 ("librdkafka consumer", lambda *a: self.rdkafka_run("consume", *a))]
        for number in range(ROUNDS):
            for mode in MODES:
                for producer, consumer in (steps[:2], steps[2:]):
                    topic = f"{producer[0].split()[0]}-{mode}-{number}"
                    names = BROKERS[number % 2:] + BROKERS[:number % 2]
                    for name in names:
                        self.contest.load(name)("create", topic=topic, partitions=PARTITIONS, config=MODES[mode][name])
                    for client, fn in (producer, consumer):
                        for name in names:
                            self.measure(client, fn, name, topic, mode)
                    for name in names:
                        self.contest.load(name)("delete", topic=topic)
            self.contest.say(f"clients: round {number + 1} of {ROUNDS}")

    def rows(self, mode, figure):
        """[client, chronikd, kafka, ratio]"""
        for (client, of_mode), by_name in self.figures.items():
            if of_mode == mode and all(figure in got for runs in by_name.values() for got in runs):
                pairs = zip(by_name["chronikd"], by_name["kafka"])
                yield [client, *[median([got[figure] for got in by_name[n]]) for n in BROKERS],
                       median([a[figure] / b[figure] for a, b in pairs if b[figure]])]
