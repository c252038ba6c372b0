"""The comparison's tables and pictures. How it is measured: contest.py; what: workloads.py and clients.py."""
from clients import Clients
from contest import MODE_TEXT, MODES, Contest
from report import table
from svg import bars, lines
from workloads import PARTS, TABLES

NAMES = ("chronikd", "kafka", "floor")


class Speed:
    def __init__(self, programs, rdkafka, jars, work, rounds, say):
        self.programs, self.rdkafka, self.jars, self.work, self.rounds, self.say = (
            programs, rdkafka, jars, work, rounds, say)
        self.contest = self.clients = None

    def run(self, parts):
        """Measure @parts (names of PARTS, and "clients")."""
        with Contest(self.programs, self.jars, self.work, self.rounds, self.say) as self.contest:
            for part in parts:
                if part in PARTS:
                    self.say(f"{part}: {len(list(PARTS[part]()))} workloads")
                    self.contest.run(list(PARTS[part]()))
            if "clients" in parts and self.jars:
                self.clients = Clients(self.contest, self.rdkafka)
                self.clients.run()

    def of_part(self, part, mode=None):
        return [w for w in self.contest.figures if w.part == part and mode in (None, w.mode)]

    def factor_rows(self, workloads, figure, factor):
        for w in workloads:
            values = [self.contest.figure(w, n, figure) for n in NAMES]
            yield [w.name, *[v * factor if v is not None else None for v in values],
                   *[self.contest.ratio(w, figure, n) for n in NAMES[1:]]]

    def tables(self):
        """{part: lines}"""
        out = {}
        for part, figures in TABLES.items():
            for mode in MODES:
                workloads = self.of_part(part, mode)
                for heading, figure, factor in figures if workloads else ():
                    rows = list(self.factor_rows(workloads, figure, factor))
                    out.setdefault(part, []).extend(
                        [f"{part}: {heading}; {MODE_TEXT[mode]}",
                         *table([f"median of {self.rounds}", *NAMES, "/kafka", "/floor"], rows), ""])
        for mode in MODES if self.clients else ():
            for heading, figure in (("throughput, MB/s", "mb_s"), ("acknowledged, p99 ms", "p99_ms"),
                                    ("server's CPU seconds per GB", "cpu_s_per_gb")):
                out.setdefault("clients", []).extend(
                    [f"clients: {heading}; {MODE_TEXT[mode]}",
                     *table(["1,000 B records, 8 partitions", "chronikd", "kafka", "/kafka"],
                            list(self.clients.rows(mode, figure))), ""])
        return out

    def idle_table(self):
        idle = self.contest.idle
        rows = [[label, *[idle[n][key] if n in idle else None for n in NAMES]]
                for label, key in (("ready after, s", "ready_s"), ("resident, MB", "resident_mb"))]
        return ["idle, just started", *table(["", *NAMES], rows)]

    def bars_of(self, part, mode, figure, title, keep=lambda w: True, logarithmic=False):
        rows = [(w.name, {n: self.contest.figure(w, n, figure) for n in self.contest.servers})
                for w in self.of_part(part, mode) if keep(w)]
        return bars(title, rows, logarithmic) if rows else None

    def growth_of(self, by, figure, title):
        series = {}
        for w in self.of_part("growth"):
            if w.name.endswith(by):
                for n in self.contest.servers:
                    value = self.contest.figure(w, n, figure)
                    if value:
                        series.setdefault(n, []).append((int(w.name.split()[0].replace(",", "")), value))
        return lines(title, by, series) if series else None

    def pictures(self):
        """{file name: SVG text}"""
        plain = lambda w: w.options["acks"] == "all" and w.options["codec"] == "none"  # noqa: E731
        made = {
            "produce-durable": self.bars_of("produce", "durable", "mb_s", "Produce, on stable storage: MB/s"),
            "produce-cached": self.bars_of("produce", "cached", "mb_s", "Produce, from the page cache: MB/s", keep=plain),
            "produce-cpu": self.bars_of("produce", "cached", "cpu_s_per_gb",
                                        "Produce, from the page cache: the server's CPU seconds per GB", keep=plain),
            "consume": self.bars_of("consume", "cached", "mb_s", "Consume: MB/s"),
            "latency-durable": self.bars_of("latency", "durable", "p99_ms",
                                            "End to end, on stable storage: p99 ms (logarithmic)", logarithmic=True),
            "latency-cached": self.bars_of("latency", "cached", "p99_ms",
                                           "End to end, from the page cache: p99 ms (logarithmic)", logarithmic=True),
            "growth-connections": self.growth_of("connections", "cpu_us_per_request", "CPU us per 1 KB request"),
            "growth-partitions": self.growth_of("partitions", "cpu_us_per_request", "CPU us per 1 KB request"),
        }
        return {f"{name}.svg": text for name, text in made.items() if text}

    def data(self):
        rounds = [{"part": w.part, "workload": w.name, "mode": w.mode, "partitions": w.partitions,
                   "options": w.options, "cold": w.cold, "figures": by_name}
                  for w, by_name in self.contest.figures.items()]
        clients = [{"client": client, "mode": mode, "figures": by_name}
                   for (client, mode), by_name in (self.clients.figures if self.clients else {}).items()]
        return {"rounds": rounds, "idle": self.contest.idle, "clients": clients}
