"""Chronikd, Apache Kafka and the floor side by side: the same load for all, in turns, on separate cores.

The servers run all the time on one core, the load on the others. Every workload is measured on one contender after the
other, in an order that moves on from round to round, and a ratio is the median of the rounds' ratios: what else happens on
the machine meets neighbours in time, not one contender. Before a measurement everything dirty is written (sync), so that
nobody pays for the one before. Round 0 is for warming up.
"""
import dataclasses
import os
import subprocess
import time
from pathlib import Path

from report import median
from servers import Chronikd, Floor, Kafka, Load, LoadError, proc_cpu_s, proc_peak_reset, proc_status

# What each contender is told for a topic. Durable: an acknowledged record is on stable storage. Cached: in the page cache.
MODES = {
    "durable": {"chronikd": [], "kafka": ["flush.messages=1"], "floor": []},
    "cached": {"chronikd": ["chronik.flush.before.ack=false"], "kafka": [],
               "floor": ["chronik.flush.before.ack=false"]},
}
MODE_TEXT = {
    "durable": "acknowledged when on stable storage (Kafka: flush.messages=1)",
    "cached": "acknowledged from the page cache, Kafka's default (chronikd: chronik.flush.before.ack=false)",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Workload:
    """One measurement with bench-load, on a topic of its mode and number of partitions."""
    part: str
    name: str
    mode: str
    partitions: int
    command: str
    options: dict
    own_topic: bool = False         # a topic that nobody else wrote to
    filled_mb: int = 0              # of records that are in the topic when it begins, the same for all contenders
    cold: bool = False              # they are not in the page cache

    @property
    def topic_key(self):
        return (self.mode, self.partitions, self.filled_mb, self.name if self.own_topic else "")


def topic_name(key, number):
    mode, partitions, filled, name = key
    words = [mode, str(partitions), f"filled{filled}" if filled else "", name, str(number)]
    return "-".join("".join(c for c in w if c.isalnum()) for w in words if w)


def drop_page_cache(folder):
    """What lies below @folder leaves the page cache; it must have been synced."""
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.stat().st_size:
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


class Contest:
    """figures[workload][contender] is a list of one dict of figures per round; None where the contender gave up."""

    def __init__(self, programs, jars, work, rounds, say):
        self.chronikd, self.load_program, self.floor = programs
        self.jars, self.work, self.rounds, self.say = jars, Path(work), rounds, say
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.load_cpus = cpus[0], cpus[1:] or cpus
        self.servers, self.figures, self.idle = {}, {}, {}

    def __enter__(self):
        try:
            self.servers["chronikd"] = Chronikd(self.chronikd, self.work / "chronikd", "storage.file_delete_delay_ms=0")
            if self.jars:
                self.servers["kafka"] = Kafka(self.jars, self.load_program, self.work / "kafka")
            self.servers["floor"] = Floor(self.floor, self.work / "floor")
            for server in self.servers.values():
                server.pin(self.server_cpu).start()
            self.idle = {n: {"ready_s": s.ready_s, "resident_mb": proc_status(s.pid)["VmRSS"] / 1024}
                         for n, s in self.servers.items()}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc):
        for server in self.servers.values():
            if server.process:
                server.kill()

    def load(self, name):
        return Load(self.load_program, self.servers[name].port).pin(*self.load_cpus)

    def create(self, name, key, number):
        mode, partitions, filled_mb, _ = key
        topic = topic_name(key, number)
        self.load(name)("create", topic=topic, partitions=partitions, config=MODES[mode][name])
        if filled_mb:
            self.load(name)("produce", topic=topic, partitions=partitions, connections=4, in_flight=5, batch_bytes=65536,
                            record_bytes=1024, bytes_max=filled_mb << 20)

    def measure(self, name, w, number):
        server = self.servers[name]
        os.sync()
        if w.cold:
            drop_page_cache(server.data)
        proc_peak_reset(server.pid)
        before = proc_cpu_s(server.pid)
        try:
            got = self.load(name)(w.command, topic=topic_name(w.topic_key, number), partitions=w.partitions, **w.options)
        except LoadError as error:
            self.say(f"{name}, {w.name}: {error}")
            return None
        cpu_s = proc_cpu_s(server.pid) - before
        if "bytes" in got:
            got["cpu_s_per_gb"] = cpu_s / (got["bytes"] / 1e9)
        if "requests_s" in got:
            got["cpu_us_per_request"] = cpu_s / got["batches"] * 1e6
        got["resident_mb"] = proc_status(server.pid)["VmHWM"] / 1024
        return got

    def round(self, workloads, number):
        by_topic = {}
        for w in workloads:
            by_topic.setdefault(w.topic_key, []).append(w)
        names = list(self.servers)
        names = names[number % len(names):] + names[:number % len(names)]
        for key, group in by_topic.items():
            for name in names:
                self.create(name, key, number)
            for w in group:
                for name in names:
                    got = self.measure(name, w, number)
                    if number:
                        self.figures.setdefault(w, {}).setdefault(name, []).append(got)
            for name in names:
                self.load(name)("delete", topic=topic_name(key, number))
            time.sleep(0.5)

    def run(self, workloads):
        for number in range(self.rounds + 1):
            began = time.monotonic()
            self.round(workloads, number)
            self.say(f"{'warmed up' if not number else f'round {number} of {self.rounds}'} in "
                     f"{time.monotonic() - began:.0f} s")

    def figure(self, w, name, figure):
        """Median over the rounds; None when there is none."""
        values = [got[figure] for got in self.figures.get(w, {}).get(name, []) if got and figure in got]
        return median(values) if values else None

    def ratio(self, w, figure, other):
        """Median of the rounds' ratios of chronikd to @other; None when there is none."""
        pairs = zip(self.figures[w].get("chronikd", []), self.figures[w].get(other, []))
        values = [a[figure] / b[figure] for a, b in pairs if a and b and b.get(figure)]
        return median(values) if values else None

    def run_client(self, command, timeout=300):
        """A client program on the load's cores; its standard output."""
        pinned = ["taskset", "--cpu-list", ",".join(map(str, self.load_cpus)), *map(str, command)]
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise LoadError(f"{' '.join(pinned[3:])}: {(done.stdout + done.stderr)[-500:]}")
        return done.stdout
