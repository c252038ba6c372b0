"""What Chronik promises about itself, measured on the real program: start, memory, connections, partitions.

Times are printed beside their limit and never judged, because a busy machine is not a fault of the program. Memory and
counts are judged: a limit that is missed makes the run fail.
"""
import json
import signal
import subprocess
import time
from pathlib import Path

from report import median, table
from servers import Chronikd, Load, LoadError, proc_cpu_s, proc_open_files, proc_rollup, proc_status

STARTS = 15
READY_MS = 100
IDLE_MB = 32
CONNECTIONS = 10000
CONNECTION_KB = 20
PARTITIONS = 10000
OPEN_FILES = 20000
GROUPS, GROUP_MEMBERS = 10000, 5
MEMBER_KB = 2
MEMBERS_CPU = 10            # per cent of a core, for all of them at the interval of Kafka's default
HEARTBEAT_S = 5
LARGE_GROUP = 1000
STEADY_MB_S = 20
STEADY_GROWTH_KB = 1024


class Limits:
    """Runs the parts one after the other and keeps their rows."""

    def __init__(self, chronikd, load, work, steady_s):
        self.chronikd, self.load_program, self.work, self.steady_s = chronikd, load, Path(work), steady_s
        self.rows, self.missed, self.data = [], [], {}

    def row(self, what, limit, measured, fits, judged):
        """One line of the table. @fits: None where there is no limit. Only a @judged row can make the run fail."""
        verdict = "" if fits is None else "yes" if fits else "MISSED" if judged else "no (time: not judged)"
        self.rows.append([what, limit, measured, verdict])
        if judged and not fits:
            self.missed.append(what)

    def fact(self, what, measured):
        self.row(what, "", measured, None, False)

    def node(self, name, *settings):
        return Chronikd(self.chronikd, self.work / name, *settings)

    # -- the parts --

    def starts(self):
        ready, stop, kept = [], [], []
        for i in range(STARTS):
            with self.node(f"start-{i}") as node:
                ready.append(node.ready_s * 1000)
                stop.append(node.stop() * 1000)
            with self.node(f"start-{i}") as node:
                kept.append(node.ready_s * 1000)
        self.data["ready_ms"], self.data["ready_again_ms"], self.data["stop_ms"] = ready, kept, stop
        self.row(f"ready on an empty folder, median of {STARTS}", f"{READY_MS} ms",
                 f"{median(ready):.1f} ms (max {max(ready):.1f})", median(ready) <= READY_MS, False)
        self.fact("ready on its own folder again", f"{median(kept):.1f} ms (max {max(kept):.1f})")
        self.fact("stop after SIGTERM", f"{median(stop):.1f} ms (max {max(stop):.1f})")

    def idle(self):
        with self.node("idle") as node:
            time.sleep(1)
            memory = proc_rollup(node.pid)
        rss, pss = memory["Rss"] / 1024, memory["Pss"] / 1024
        self.data["idle_mb"] = {"rss": rss, "pss": pss, "anonymous": memory["Anonymous"] / 1024}
        self.row("resident when idle", f"{IDLE_MB} MB", f"{rss:.1f} MB (PSS {pss:.1f}, own pages "
                 f"{memory['Anonymous'] / 1024:.1f})", rss <= IDLE_MB, True)

    def connections(self):
        with self.node("connections", f"server.max_connections={CONNECTIONS + 10}") as node:
            time.sleep(0.5)
            before, kernel_before = proc_status(node.pid)["VmRSS"], kernel_memory()
            command = Load(self.load_program, node.port).command("idle", connections=CONNECTIONS)
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                opened = client.stdout.readline()
                time.sleep(1)
                after, kernel_after, files = proc_status(node.pid)["VmRSS"], kernel_memory(), proc_open_files(node.pid)
                client.stdin.close()
                if client.wait(60) or not opened:
                    raise RuntimeError("the idle connections were not held")
            each = (after - before) / CONNECTIONS
            kernel = (kernel_after - kernel_before) / CONNECTIONS
            self.data["connections"] = {"rss_kb_each": each, "kernel_kb_each": kernel, "open_files": files}
            self.row(f"{CONNECTIONS:,} idle connections, each", f"{CONNECTION_KB} KB", f"{each:.2f} KB of the program",
                     each <= CONNECTION_KB, True)
            self.fact("  the kernel's for each, both ends", f"{kernel:.2f} KB")
            self.row("  open files with them", f"{OPEN_FILES:,}", f"{files:,}", CONNECTIONS < files < OPEN_FILES, True)
            time.sleep(1)
            left = proc_status(node.pid)["VmRSS"]
            self.fact("  resident before, with them, after they closed",
                      f"{before / 1024:.1f}, {after / 1024:.1f}, {left / 1024:.1f} MB")

    def partitions(self):
        topic = {"topic": "many", "partitions": PARTITIONS}
        node = self.node("partitions")
        with node:
            load = Load(self.load_program, node.port)
            made = load("create", **topic)
            time.sleep(0.5)
            rss_made = proc_status(node.pid)["VmRSS"]
            sent = load("produce", **topic, batches_max=PARTITIONS, connections=4, in_flight=16, batch_bytes=1000,
                        record_bytes=1000)
            got = load("consume", **topic, connections=4, expect_records=PARTITIONS)
            memory, files = proc_rollup(node.pid), proc_open_files(node.pid)
            stop_s = node.stop()
        restart_s, warm, _ = self.restart(node, topic, signal.SIGKILL)
        again_s, _, kept = self.restart(node, topic, signal.SIGTERM)
        self.data["partitions"] = {"create_s": made["served_s"], "produce_s": sent["seconds"],
                                   "fetch_s": got["seconds"], "rss_created_kb": rss_made, "rss_kb": memory["Rss"],
                                   "open_files": files, "stop_s": stop_s, "restart_after_term_s": restart_s,
                                   "restart_after_kill_s": again_s, "records_after_kill": kept}
        self.row(f"{PARTITIONS:,} partitions: records read back", f"{PARTITIONS:,}", f"{got['records']:,}",
                 got["records"] == PARTITIONS, True)
        self.fact("  created and served", f"{made['served_s']:.2f} s")
        self.fact("  a flushed record to each", f"{sent['seconds']:.2f} s")
        self.fact("  fetched from each", f"{got['seconds']:.2f} s")
        self.fact("  resident when created, when all were used", f"{rss_made / 1024:.1f}, {memory['Rss'] / 1024:.1f} MB")
        self.fact("  resident after a restart", f"{warm / 1024:.1f} MB")
        self.row("  open files", f"{OPEN_FILES:,}", f"{files:,}", files < OPEN_FILES, True)
        self.fact("  stop after SIGTERM", f"{stop_s:.2f} s")
        self.fact("  ready again after SIGTERM", f"{restart_s:.2f} s")
        self.fact("  ready again after SIGKILL", f"{again_s:.2f} s")
        self.row("  records after it", f">= {PARTITIONS:,}", f"{kept:,}", kept >= PARTITIONS, True)

    def restart(self, node, topic, end):
        """Start it on its data, read all records, and end it with @end; the seconds until ready, VmRSS then, records."""
        with node:
            ready_s, rss = node.ready_s, proc_status(node.pid)["VmRSS"]
            load = Load(self.load_program, node.port)
            records = load("consume", **topic, connections=4)["records"]
            if end == signal.SIGKILL:
                # In the midst of producing to all of them, so that much is to be recovered.
                command = load.command("produce", **topic, connections=4, in_flight=16, batch_bytes=1000,
                                       record_bytes=1000, seconds=60)
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                    time.sleep(2)
                    node.kill()
        return ready_s, rss, records

    def groups(self):
        """Consumer groups of the new protocol (KIP-848): what members take while nothing happens, and how long it takes when it does."""
        count = GROUPS * GROUP_MEMBERS
        with self.node("groups") as node:
            each = self.members(node, GROUPS, GROUP_MEMBERS, partitions=10, connections=100)
        with self.node("group") as node:
            large = self.members(node, 1, LARGE_GROUP, partitions=4 * LARGE_GROUP, connections=50)
        kb, cpu = each["rss_kb"] / count, 100 * each["steady"]["cpu_s"] / each["steady"]["seconds"]
        self.data["groups"] = {"many": each, "large": large}
        self.row(f"{count:,} members of {GROUPS:,} consumer groups, each", f"{MEMBER_KB} KB", f"{kb:.2f} KB", kb <= MEMBER_KB, True)
        self.row(f"  their heartbeats, every {HEARTBEAT_S} s", f"{MEMBERS_CPU} % of a core", f"{cpu:.1f} % (p99 "
                 f"{each['steady']['p99_ms']:.2f} ms)", cpu <= MEMBERS_CPU, False)
        self.fact("  all joined, and had their partitions", f"{each['join']['seconds']:.2f} s")
        self.fact("  one more joined each group", f"{each['rebalance']['seconds']:.2f} s")
        self.fact(f"one more joins a group of {LARGE_GROUP:,}: all have their new assignment",
                  f"{large['rebalance']['seconds'] * 1000:.0f} ms")
        self.fact("  members that had to give something up", f"{large['rebalance']['gave_up']:,}")

    def members(self, node, groups, members, **options):
        """bench-load's three phases, each with the processor time that it took; rss_kb: what members that have joined add."""
        load = Load(self.load_program, node.port)
        load("create", topic="groups", partitions=options["partitions"])
        before = proc_status(node.pid)["VmRSS"]
        command = load.command("groups", topic="groups", groups=groups, members=members, in_flight=64,
                               rate=groups * members / HEARTBEAT_S, seconds=4 * HEARTBEAT_S, **options)
        out = {}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            for phase in ("join", "steady", "rebalance"):
                cpu = proc_cpu_s(node.pid)
                if phase != "join":
                    client.stdin.write("\n")
                    client.stdin.flush()
                line = client.stdout.readline()
                if not line:
                    raise LoadError(f"bench-load groups ended in phase {phase}")
                out[phase] = {**json.loads(line), "cpu_s": proc_cpu_s(node.pid) - cpu}
                out.setdefault("rss_kb", proc_status(node.pid)["VmRSS"] - before)
        return out

    def steady(self):
        settings = ("storage.segment_size=64MiB", "storage.retention_bytes=16MiB",
                    "storage.retention_check_interval_ms=1000", "storage.file_delete_delay_ms=1000")
        samples = []
        with self.node("steady", *settings) as node:
            load = Load(self.load_program, node.port)
            load("create", topic="steady", partitions=16)
            command = load.command("produce", topic="steady", partitions=16, connections=4, in_flight=8,
                                   batch_bytes=16384, record_bytes=1024, rate=STEADY_MB_S * 1000000,
                                   seconds=self.steady_s)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
                while client.poll() is None:
                    samples.append(proc_status(node.pid)["VmRSS"])
                    time.sleep(0.5)
                if client.returncode:
                    raise RuntimeError("the steady producer gave up")
        samples = samples[len(samples) // 4:]  # warm by then
        third = len(samples) // 3
        first, last = median(samples[:third]), median(samples[-third:])
        self.data["steady"] = {"seconds": self.steady_s, "rss_kb": samples}
        self.row(f"{self.steady_s} s of {STEADY_MB_S} MB/s: growth", f"{STEADY_GROWTH_KB} KB",
                 f"{last - first:+.0f} KB ({first / 1024:.1f} MB, then {last / 1024:.1f}, max "
                 f"{max(samples) / 1024:.1f})", last - first <= STEADY_GROWTH_KB, True)

    def run(self, say):
        for part in (self.starts, self.idle, self.connections, self.partitions, self.groups, self.steady):
            say(f"limits: {part.__name__}")
            part()
        return table(["limit", "at most", "measured", "kept"], self.rows)


def kernel_memory():
    """KiB that the kernel holds for sockets: socket buffers and slab objects of the whole machine."""
    meminfo = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    pages = 0
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if "mem" in words:
            pages += int(words[words.index("mem") + 1])
    return meminfo["Slab"] + pages * 4
