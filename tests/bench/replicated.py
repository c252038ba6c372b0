"""Three chronikd beside three Apache Kafka: what a copy on every node costs, and for how long a dead node is missed.

All nodes of all contenders run on all cores, beside the client; those that are not measured are left idle (a process that
is stopped with SIGSTOP would lose its sessions). Every workload is measured on one contender right after the other, in an
order that moves on from round to round; a ratio is the median of the rounds' ratios.
"""
import concurrent.futures
import dataclasses
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request

from contest import MODE_TEXT, MODES
from clients import JAVA_PRODUCED, java
from report import median, table
from servers import Chronikd, Kafka, Load, LoadError, free_ports, proc_cpu_s

IDS = (1, 2, 3)
SIZES = (100, 1024, 10240)
PARTITIONS = (1, 6, 30)
SECONDS = 1.2                   # that are counted, from 0.4 s after the first acknowledgement on
QUEUE_KB = 32768                # what the client keeps waiting, or it would copy a gigabyte for nothing
PREPARED_BYTES = 65536
LATENCY_RATE = 500
JAVA_RECORDS = {"durable": 5_000, "cached": 100_000}
KILLS = 2                       # rounds of them at most
LEADER_KILLED_S = {"chronikd": 6, "kafka": 15}  # Kafka's session of a broker lasts 9 s
CREATES_S = {"chronikd": 6, "kafka": 10}
KILL_AFTER_S = 2
KAFKA_THREE = "default.replication.factor=3\nmin.insync.replicas=2\n"
FETCHED = "chronik_replication_fetched_bytes_total"
PLAIN, TLS, KAFKA = "chronikd", "chronikd-tls", "kafka"


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    mode: str
    partitions: int
    record: int
    rate: int = 0               # records/s; 0: as many as it takes
    java: bool = False
    prepared: bool = False      # batches that are made once and sent again, by bench-load
    contenders: tuple = (PLAIN, KAFKA)

    @property
    def kind(self):
        return "latency" if self.rate else "throughput"


def workloads():
    for mode in MODES:
        for partitions in PARTITIONS:
            for record in SIZES:
                who = (PLAIN, TLS, KAFKA) if partitions == 6 else (PLAIN, KAFKA)
                yield Work(f"{record:,} B, {partitions} partition{'s' if partitions > 1 else ''}", mode, partitions, record,
                           contenders=who)
        yield Work("1,024 B, 6 partitions, Java's producer", mode, 6, 1024, java=True)
        for record in SIZES[:2]:
            yield Work(f"{record:,} B, 1 partition, prepared", mode, 1, record, prepared=True)
        yield Work(f"1,024 B, 6 partitions, {LATENCY_RATE} records/s", mode, 6, 1024, rate=LATENCY_RATE,
                   contenders=(PLAIN, TLS, KAFKA))


class Trio:
    """Three nodes of one contender. @nodes: {id: Server}"""

    def __init__(self, kind, nodes):
        self.kind, self.nodes = kind, nodes

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{n.port}" for n in self.nodes.values())

    def start(self):
        with concurrent.futures.ThreadPoolExecutor(len(self.nodes)) as pool:
            for done in [pool.submit(n.start) for n in self.nodes.values()]:
                done.result()

    def end(self):
        for node in self.nodes.values():
            if node.process:
                node.kill()

    def cpu_s(self):
        return sum(proc_cpu_s(n.pid) for n in self.nodes.values())

    def fetched_bytes(self):
        """What followers have got of leaders; None when the nodes do not say."""
        if self.kind != "chronikd":
            return None
        values = [metric(n, FETCHED) for n in self.nodes.values()]
        return None if None in values else sum(values)

    def active_controller(self, jars):
        """Id of the node; Kafka has only a tool that says it."""
        if self.kind == "chronikd":
            return next(i for i, n in self.nodes.items() if metric(n, "chronik_active_controller") == 1)
        out = run(java(jars, "MetadataQuorumCommand", "--bootstrap-server", self.bootstrap, "describe", "--status"))
        return int(re.search(r"LeaderId:\s+(\d+)", out)[1])


def metric(node, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{node.admin}/metrics", timeout=10) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def run(command, timeout=120):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(map(str, command))[-200:]}: {(done.stdout + done.stderr).strip()[-400:]}")
    return done.stdout


def chronikd_trio(program, ctl, folder, tls):
    folder.mkdir(parents=True)
    ports = dict(zip(IDS, free_ports(2 * len(IDS))))
    controllers = ",".join(f"{i}@127.0.0.1:{ports[i]}" for i in IDS)
    if tls:
        run([ctl, "tls", "init", folder / "tls", "--nodes", ",".join(map(str, IDS))])
    nodes = {}
    for i in IDS:
        peers = ([f"cluster.tls_certificate={folder}/tls/node-{i}.pem", f"cluster.tls_key={folder}/tls/node-{i}.key",
                  f"cluster.tls_ca={folder}/tls/ca.pem"] if tls else ["cluster.plaintext=true"])
        nodes[i] = Chronikd(program, folder / f"node{i}", f"server.node_id={i}", "server.roles=controller,ingest",
                            f"cluster.listen=127.0.0.1:{ports[i]}", f"cluster.controllers={controllers}", *peers,
                            "replication.factor=3", "replication.min_insync_replicas=2", "storage.file_delete_delay_ms=0")
    return Trio("chronikd", nodes)


def kafka_trio(jars, load, folder):
    folder.mkdir(parents=True)
    controllers = dict(zip(IDS, free_ports(len(IDS))))
    return Trio("kafka", {i: Kafka(jars, load, folder / f"node{i}", i, controllers, KAFKA_THREE) for i in IDS})


class Replicated:
    """figures[work][contender] is a list of one dict of figures per round; None where the contender gave up."""

    def __init__(self, build, jars, work, rounds, say):
        self.client, self.jars, self.work, self.rounds, self.say = build / "tests/bench/bench-cluster", jars, work, rounds, say
        self.chronikd, self.ctl, self.load = build / "chronikd", build / "chronik-ctl", build / "tests/bench/bench-load"
        self.figures, self.idle, self.gaps, self.trios, self.number = {}, {}, {}, {}, 0

    def ask(self, command, trio, *args):
        return json.loads(run([self.client, command, trio.bootstrap, *args]))

    # -- throughput and latency --

    def produce(self, trio, topic, w):
        if w.java:
            out = run(java(self.jars, "ProducerPerformance", "--bootstrap-server", trio.bootstrap, "--topic", topic,
                           "--num-records", JAVA_RECORDS[w.mode], "--record-size", w.record, "--throughput", -1,
                           "--command-property", "acks=all"))
            _, mib_s, _, p50, p99 = map(float, JAVA_PRODUCED.findall(out)[-1])
            return {"mb_s": mib_s * 1.048576, "p50_ms": p50, "p99_ms": p99, "records_s": mib_s * 1048576 / w.record,
                    "bytes_all": JAVA_RECORDS[w.mode] * w.record}
        if w.prepared:
            return self.produce_prepared(trio, topic, w)
        return self.ask("produce", trio, topic, SECONDS, w.record, w.rate, "acks=all",
                        f"queue.buffering.max.kbytes={QUEUE_KB}", *(["linger.ms=0"] if w.rate else []))

    def produce_prepared(self, trio, topic, w):
        """To the one leader, by bench-load: where librdkafka's one thread would be what is measured."""
        leader = trio.nodes[self.ask("insync", trio, topic, len(IDS))["leader"]]
        got = Load(self.load, leader.port)("produce", topic=topic, partitions=1, connections=4, in_flight=5, acks="all",
                                           batch_bytes=PREPARED_BYTES, record_bytes=w.record, seconds=SECONDS)
        return {**got, "bytes_all": got["records"] * w.record, "mb_s": got["records_s"] * w.record / 1e6}

    def measure(self, name, w):
        trio, self.number = self.trios[name], self.number + 1
        topic = f"bench-{self.number}"
        try:
            self.ask("create", trio, topic, w.partitions, len(IDS), *MODES[w.mode][trio.kind])
            os.sync()
            cpu_s, fetched = trio.cpu_s(), trio.fetched_bytes()
            got = self.produce(trio, topic, w)
            got["cpu_s_per_gb"] = (trio.cpu_s() - cpu_s) / (got["bytes_all"] / 1e9)
            if fetched is not None:
                self.ask("insync", trio, topic, len(IDS))
                time.sleep(0.1)  # the last follower
                got["replicated"] = (trio.fetched_bytes() - fetched) / got["bytes_all"]
            self.ask("delete", trio, topic)
        except (LoadError, subprocess.TimeoutExpired) as error:
            self.say(f"{name}, {w.name}, {w.mode}: {error}")
            return None
        return got

    def round(self, works, number):
        for w in works:
            names = [n for n in w.contenders if n in self.trios]
            at = number % len(names)
            for name in names[at:] + names[:at]:
                got = self.measure(name, w)
                if number:
                    self.figures.setdefault(w, {}).setdefault(name, []).append(got)

    def measure_idle(self):
        """Processor time of those that nobody asks for anything: what the others lose to them."""
        before, began = {n: t.cpu_s() for n, t in self.trios.items()}, time.monotonic()
        time.sleep(5)
        for n, t in self.trios.items():
            self.idle[n] = (t.cpu_s() - before[n]) / (time.monotonic() - began) * 100

    # -- dead nodes --

    def killed(self, trio, node, after_s):
        timer = threading.Timer(after_s, trio.nodes[node].kill)
        timer.start()
        return timer

    def leader_killed(self, trio, number):
        """The longest time in which a producer got no acknowledgement. The leader is not the active controller."""
        active = trio.active_controller(self.jars)
        for attempt in range(20):
            topic = f"kill-{number}-{attempt}"
            leader = self.ask("create", trio, topic, 1, len(IDS))["leader"]
            if leader != active:
                break
        timer = self.killed(trio, leader, KILL_AFTER_S)
        got = self.ask("produce", trio, topic, LEADER_KILLED_S[trio.kind], 100, 200, "acks=all", "linger.ms=0")
        timer.join()
        self.restart(trio, leader, topic)
        return got["gap_s"]

    def controller_killed(self, trio, number):
        """The longest time in which no topic was created; another node is asked."""
        active = trio.active_controller(self.jars)
        topic = f"stay-{number}"
        self.ask("create", trio, topic, 1, len(IDS))
        timer = self.killed(trio, active, KILL_AFTER_S)
        got = self.ask("creates", trio, f"new-{number}", CREATES_S[trio.kind], next(i for i in IDS if i != active))
        timer.join()
        self.restart(trio, active, topic)
        return got["gap_s"]

    def restart(self, trio, node, topic):
        trio.nodes[node].start()
        self.ask("insync", trio, topic, len(IDS))

    def kill_round(self, number):
        for name in (PLAIN, KAFKA):
            if name not in self.trios:
                continue
            for what, fn in (("a partition, its leader killed", self.leader_killed),
                             ("CreateTopics, the active controller killed", self.controller_killed)):
                try:
                    self.gaps.setdefault(what, {}).setdefault(name, []).append(fn(self.trios[name], number))
                except (LoadError, subprocess.TimeoutExpired) as error:
                    self.say(f"{name}, {what}: {error}")
                    return

    # -- all of it --

    def run(self):
        try:
            self.trios[PLAIN] = chronikd_trio(self.chronikd, self.ctl, self.work / "chronikd", False)
            self.trios[TLS] = chronikd_trio(self.chronikd, self.ctl, self.work / "tls", True)
            if self.jars:
                self.trios[KAFKA] = kafka_trio(self.jars, self.load, self.work / "kafka")
            for name, trio in self.trios.items():
                trio.start()
                self.say(f"replicated: {name} runs")
            works = list(workloads())
            self.round([w for w in works if w.partitions == 6 and w.record == 1024], 0)  # warms up all of them
            self.measure_idle()
            for number in range(1, self.rounds + 1):
                began = time.monotonic()
                self.round(works, number)
                self.say(f"replicated: round {number} of {self.rounds} in {time.monotonic() - began:.0f} s")
            for number in range(min(self.rounds, KILLS)):
                began = time.monotonic()
                self.kill_round(number)
                self.say(f"replicated: nodes killed and back in {time.monotonic() - began:.0f} s")
        finally:
            for trio in self.trios.values():
                trio.end()
            shutil.rmtree(self.work, ignore_errors=True)

    def figure(self, w, name, figure):
        values = [got[figure] for got in self.figures.get(w, {}).get(name, []) if got and figure in got]
        return median(values) if values else None

    def ratio(self, w, figure, name, other):
        pairs = zip(self.figures[w].get(name, []), self.figures[w].get(other, []))
        values = [a[figure] / b[figure] for a, b in pairs if a and b and figure in a and b.get(figure)]
        return median(values) if values else None

    def rows(self, mode, kind, figure, factor=1):
        for w in self.figures:
            if w.mode == mode and w.kind == kind:
                values = [self.figure(w, n, figure) for n in (PLAIN, TLS, KAFKA)]
                yield [w.name, *[v * factor if v is not None else None for v in values],
                       self.ratio(w, figure, PLAIN, KAFKA), self.ratio(w, figure, TLS, PLAIN)]

    def table(self):
        head = [f"median of {self.rounds}", PLAIN, TLS, KAFKA, "chronikd/kafka", "tls/chronikd"]
        out = ["replicated: three nodes each, RF 3, min ISR 2, acks=all; librdkafka's producer unless Java's is named; prepared: batches",
               "of 64 KiB that are made once, so that the client is not what is measured. All nodes, idle ones too, and the client share",
               "the machine's cores.", ""]
        for mode in MODES:
            for kind, heading, figure, factor in (
                    ("throughput", "MB/s", "mb_s", 1), ("throughput", "thousand records/s", "records_s", 1e-3),
                    ("throughput", "CPU seconds of the three nodes per GB", "cpu_s_per_gb", 1),
                    ("latency", "acknowledged, p50 ms", "p50_ms", 1), ("latency", "acknowledged, p99 ms", "p99_ms", 1)):
                out += [f"{heading}; {MODE_TEXT[mode]}", *table(head, list(self.rows(mode, kind, figure, factor))), ""]
            rows = [row[:3] for row in self.rows(mode, "throughput", "replicated")]
            if any(row[1] is not None for row in rows):
                out += [f"bytes that followers fetched / bytes of acknowledged values; {mode}", *table(head[:3], rows), ""]
        out += ["longest time without an answer, s, with every contender's default time-outs",
                *table([f"median of {min(self.rounds, KILLS)}", PLAIN, KAFKA, "chronikd/kafka"], list(self.gap_rows())), "",
                "idle: processor time of the three nodes, % of a core",
                *table(["", *self.idle], [["idle", *self.idle.values()]]), ""]
        return out

    def gap_rows(self):
        for what, by_name in self.gaps.items():
            values = [median(by_name[n]) if by_name.get(n) else None for n in (PLAIN, KAFKA)]
            yield [what, *values, values[0] / values[1] if None not in values else None]

    def data(self):
        return {"rounds": [{**dataclasses.asdict(w), "figures": by_name} for w, by_name in self.figures.items()],
                "gaps_s": self.gaps, "idle_percent": self.idle}
