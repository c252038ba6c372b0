"""Throughput and latency of chronikd, Apache Kafka and the floor, with one load generator, in turns.

All three run all the time; in each round each of them has its turn in each mode, in an order that moves on, and a ratio is
the median of the rounds' ratios: what else happens on the machine meets neighbours in time, not one contender. Before a
measurement everything dirty is written (sync), so that nobody pays for the one before. Round 0 is for warming up.
"""
import os
import re
import subprocess
import time
from pathlib import Path

from report import median, table
from servers import Chronikd, Floor, Kafka, Load, proc_cpu_s, proc_status

PARTITIONS = 16
PERF_ROUNDS = 2
PERF_RECORDS = {"durable": 50000, "cached": 200000}  # of 1,000 bytes; Kafka makes some 2 MB/s of them durable

# What each contender is told for a topic. Durable: an acknowledged record is on stable storage. Cached: in the page cache.
MODES = {
    "durable": {"chronikd": [], "kafka": ["flush.messages=1"], "floor": []},
    "cached": {"chronikd": ["chronik.flush.before.ack=false"], "kafka": [],
               "floor": ["chronik.flush.before.ack=false"]},
}

# (name, command, options): each is one measurement on the topic of the turn; they are in this order.
SCENARIOS = [
    ("end to end", "e2e", {"rate": 200, "seconds": 3, "batch_bytes": 1000, "record_bytes": 100}),
    ("large", "produce", {"connections": 4, "in_flight": 5, "batch_bytes": 65536, "record_bytes": 1024, "seconds": 2.5,
                          "bytes_max": 512 << 20}),
    ("consume", "consume", {"connections": 4, "seconds": 1.5}),
    ("small", "produce", {"connections": 64, "in_flight": 1, "batch_bytes": 1000, "record_bytes": 100, "seconds": 2.5}),
]

# (label, scenario, figure, factor)
FIGURES = [
    ("produce 64 KiB batches, MB/s", "large", "mb_s", 1),
    ("  acknowledged, p50 ms", "large", "p50_ms", 1),
    ("  acknowledged, p99 ms", "large", "p99_ms", 1),
    ("  server's CPU seconds per GB", "large", "cpu_s_per_gb", 1),
    ("consume, MB/s", "consume", "mb_s", 1),
    ("  server's CPU seconds per GB", "consume", "cpu_s_per_gb", 1),
    ("produce 1 KB from 64 clients, thousand/s", "small", "requests_s", 1e-3),
    ("  acknowledged, p50 ms", "small", "p50_ms", 1),
    ("  acknowledged, p99 ms", "small", "p99_ms", 1),
    ("  server's CPU us per request", "small", "cpu_us_per_request", 1),
    ("200 batches/s: acknowledged, p50 ms", "end to end", "ack_p50_ms", 1),
    ("  acknowledged, p99 ms", "end to end", "ack_p99_ms", 1),
    ("  end to end, p50 ms", "end to end", "p50_ms", 1),
    ("  end to end, p99 ms", "end to end", "p99_ms", 1),
]


class Speed:
    """@figures: {mode: {contender: {scenario: [one dict of figures per round]}}}."""

    def __init__(self, programs, jars, work, rounds, say):
        self.chronikd, self.load_program, self.floor = programs
        self.jars, self.work, self.rounds, self.say = jars, Path(work), rounds, say
        self.servers = {}
        self.figures = {m: {} for m in MODES}
        self.memory, self.perf = {}, {}

    def measure(self, name, command, options):
        server = self.servers[name]
        os.sync()
        before = proc_cpu_s(server.pid)
        got = Load(self.load_program, server.port)(command, partitions=PARTITIONS, **options)
        cpu_s = proc_cpu_s(server.pid) - before
        if "bytes" in got:
            got["cpu_s_per_gb"] = cpu_s / (got["bytes"] / 1e9)
        if "requests_s" in got:
            got["cpu_us_per_request"] = cpu_s / got["batches"] * 1e6
        return got

    def turn(self, name, mode, number):
        load = Load(self.load_program, self.servers[name].port)
        topic = f"bench-{mode}-{number}"
        load("create", topic=topic, partitions=PARTITIONS, config=MODES[mode][name])
        for scenario, command, options in SCENARIOS:
            got = self.measure(name, command, {"topic": topic, **options})
            if number:
                self.figures[mode].setdefault(name, {}).setdefault(scenario, []).append(got)
        load("delete", topic=topic)
        time.sleep(0.5)

    def rounds_run(self):
        for number in range(self.rounds + 1):
            turns = [(name, mode) for mode in MODES for name in self.servers]
            at = number % len(turns)
            for name, mode in turns[at:] + turns[:at]:
                self.turn(name, mode, number)
            self.say(f"speed: {'warmed up' if number == 0 else f'round {number} of {self.rounds}'}")

    def perf_tool(self):
        """Kafka's own tool, as it is, against both brokers in turns: what a Java producer gets."""
        tool = ["java", "-Xmx512M", "-cp", f"{self.jars}/*", "org.apache.kafka.tools.ProducerPerformance"]
        for number in range(PERF_ROUNDS):
            for mode in MODES:
                for name in ("chronikd", "kafka"):
                    server, topic = self.servers[name], f"perf-{mode}-{number}"
                    load = Load(self.load_program, server.port)
                    load("create", topic=topic, partitions=PARTITIONS, config=MODES[mode][name])
                    os.sync()
                    done = subprocess.run(
                        [*tool, "--bootstrap-server", f"127.0.0.1:{server.port}", "--topic", topic, "--num-records",
                         str(PERF_RECORDS[mode]), "--record-size", "1000", "--throughput", "-1", "--command-property",
                         "acks=all"], capture_output=True, text=True, timeout=300, check=False)
                    last = re.findall(r"([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg.*?(\d+) ms 50th, "
                                      r"\d+ ms 95th, (\d+) ms 99th", done.stdout)
                    if done.returncode or not last:
                        raise RuntimeError(f"kafka-producer-perf-test: {(done.stdout + done.stderr)[-500:]}")
                    figures = dict(zip(("records_s", "mib_s", "avg_ms", "p50_ms", "p99_ms"), map(float, last[-1])))
                    self.perf.setdefault(mode, {}).setdefault(name, []).append(figures)
                    load("delete", topic=topic)

    def run(self):
        try:
            self.servers["chronikd"] = Chronikd(self.chronikd, self.work / "chronikd",
                                                "storage.file_delete_delay_ms=0").start()
            if self.jars:
                self.servers["kafka"] = Kafka(self.jars, self.load_program, self.work / "kafka").start()
            self.servers["floor"] = Floor(self.floor, self.work / "floor").start()
            self.memory["idle"] = {n: proc_status(s.pid)["VmRSS"] / 1024 for n, s in self.servers.items()}
            self.memory["ready_s"] = {n: s.ready_s for n, s in self.servers.items()}
            self.rounds_run()
            status = {n: proc_status(s.pid) for n, s in self.servers.items()}
            self.memory["after"] = {n: s["VmRSS"] / 1024 for n, s in status.items()}
            self.memory["peak"] = {n: s["VmHWM"] / 1024 for n, s in status.items()}
            if self.jars:
                self.perf_tool()
                self.say("speed: kafka-producer-perf-test done")
        finally:
            for server in self.servers.values():
                server.kill()
        return self.tables()

    # -- tables --

    def row(self, label, by_name):
        """Medians of each contender, then chronikd's median ratio to the others, round by round."""
        row = [label] + [median(by_name[n]) if n in by_name else "-" for n in ("chronikd", "kafka", "floor")]
        for other in ("kafka", "floor"):
            pairs = list(zip(by_name.get("chronikd", []), by_name.get(other, [])))
            row.append(f"{median([a / b for a, b in pairs if b]):.2f}" if any(b for _, b in pairs) else "-")
        return row

    def tables(self):
        head = ["chronikd", "kafka", "floor", "chronikd/kafka", "chronikd/floor"]
        lines = []
        for mode, text in (("durable", "acknowledged when on stable storage (Kafka: flush.messages=1)"),
                           ("cached", "acknowledged from the page cache (chronikd: flush_before_ack off)")):
            rows = [self.row(label, {n: [got[figure] * factor for got in runs[scenario]]
                                     for n, runs in self.figures[mode].items()})
                    for label, scenario, figure, factor in FIGURES]
            for label, figure in (("kafka-producer-perf-test, MiB/s", "mib_s"), ("  acknowledged, p50 ms", "p50_ms"),
                                  ("  acknowledged, p99 ms", "p99_ms")):
                if self.perf:
                    rows.append(self.row(label, {n: [got[figure] for got in runs]
                                                 for n, runs in self.perf[mode].items()}))
            lines += [text, *table([f"median of {self.rounds} rounds", *head], rows), ""]
        names = ("chronikd", "kafka", "floor")
        rows = [[label, *[self.memory[key].get(n, "-") for n in names]]
                for label, key in (("ready after, s", "ready_s"), ("resident when idle, MB", "idle"),
                                   ("  after the rounds", "after"), ("  at most", "peak"))]
        return lines + ["the servers", *table(["", *names], rows)]

    def data(self):
        return {"rounds": self.figures, "servers": self.memory, "kafka_producer_perf_test": self.perf}
