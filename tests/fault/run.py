"""One run: a cluster, clients under load, faults, calm, and the proof. Scenarios (scenarios.py) speak to a Run."""

import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import history
import hosts
import load
from check_history import Checker, name_of
from cluster import Cluster, ClusterError
from foreign import KINDS
from kafka_cluster import KafkaCluster
from route import Again, judge

HERE = Path(__file__).resolve().parent
TOPIC, PARTITIONS, FLOOD_TOPIC = "records", 3, "flood"
CALM_S = 3.0                            # of load after the last fault
CLIENT_END_S = 75                       # for a client to end after SIGTERM
FIRST_ACK_S = 40                        # for the load to get going
AFTER_FAULT_S = 1.0                     # a gap that begins so long after a fault still counts as its


class Failed(Exception):
    """The run could not go on; what was found until then counts."""


class Client:
    """A process that writes a history."""

    def __init__(self, run, name, command, kind):
        self.name, self.kind = name, kind
        self.errors = run.folder / f"{name}.err"
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen([str(c) for c in command], stdout=err, stderr=err, stdin=subprocess.DEVNULL,
                                            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def end(self):
        """A finding, or None."""
        try:
            status = self.process.wait(CLIENT_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"client {self.name} did not end in {CLIENT_END_S} s"
        return f"client {self.name} ended with {status}: {self.errors.read_text(errors='replace')[-600:]}" if status else None


class Run:
    """What a scenario may use: the nodes, faults that are written down, chance from the seed, and the time that is left."""

    def __init__(self, scenario, args, foreign=()):
        self.scenario, self.seconds = scenario, args.seconds or scenario.seconds
        self.random = random.Random(f"{args.seed} {scenario.name}")
        self.args, self.foreign = args, foreign
        make = functools.partial(KafkaCluster, args.kafka) if args.kafka else Cluster
        self.cluster = make(args.layout or scenario.layout, hosts.Loopback if args.loopback else hosts.Namespaces, args.chronikd,
                            [*scenario.settings, *args.set], scenario.layers, scenario.disk, scenario.wires,
                            **({"tls": True} if args.tls else {}))
        self.folder = self.cluster.folder
        self.log = history.Writer(self.folder / "nemesis.jsonl", "nemesis")
        self.clients, self.trouble, self.deadline = [], [], 0
        self.notes = {}                 # what a scenario measured itself: words -> seconds
        self.checker = Checker()

    # -- for scenarios --

    def going(self):
        return time.monotonic() < self.deadline and not self.dead_client()

    def wait(self, low, high=None):
        """Some seconds by chance; the scenario's end ends it."""
        time.sleep(max(0.0, min(self.random.uniform(low, high or low), self.deadline - time.monotonic())))

    def say(self, text):
        if self.args.verbose:
            print(f"  {time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def fault(self, what, node=None, of=None, partitions=(), control=False):
        """Write down that this fault begins now. @partitions: those whose outage it is; @control: an outage of metadata."""
        self.say(f"{what} {node or ''}")
        self.log.write("fault", what=what, node=node.number if node else None, partitions=[list(p) for p in partitions],
                       control=control)

    def healed(self, what, node=None):
        self.say(f"{what} {node or ''}")
        self.log.write("healed", what=what, node=node.number if node else None)

    def nodes(self):
        return list(self.cluster.nodes.values())

    def some(self, nodes=None):
        return self.random.choice(nodes or self.nodes())

    def leader(self, limit_s=15):
        """(a node that leads, the partitions of the topic that it leads)."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            node = self.cluster.leader(TOPIC, self.random.randrange(PARTITIONS))
            if node and node.alive() and not node.paused:
                return node, self.cluster.led_by(node, TOPIC)
            time.sleep(0.1)
        raise Failed(f"no partition had a leader for {limit_s} s")

    def active(self, limit_s=15):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            node = self.cluster.active_controller()
            if node and node.alive() and not node.paused:
                return node
            time.sleep(0.1)
        raise Failed(f"no controller was active for {limit_s} s")

    def kill(self, node, what="kill"):
        led = self.cluster.led_by(node, TOPIC) if node.serves else ()
        control = node.controls and self.cluster.active_controller() is node
        self.fault(what + (", active controller" if control else ""), node, partitions=led, control=control)
        node.kill()

    def start(self, node):
        node.begin()
        self.healed("start", node)

    def healthy(self, limit_s=None):
        seconds = self.cluster.wait_healthy(*([limit_s] if limit_s else []))
        self.say(f"all in sync after {seconds:.1f} s")
        self.notes["longest until all in sync"] = max(seconds, self.notes.get("longest until all in sync", 0))

    # -- load --

    def start_load(self):
        bootstrap = ",".join(f"{h}:{p}" for h, p in self.cluster.bootstrap())
        for kind, name in (("produce", "p"), ("read", "r"), ("commit", "g"), ("control", "control")):
            self.clients.append(Client(self, name, [
                sys.executable, HERE / "load.py", kind, name, "--history", self.folder / f"{name}.jsonl", "--bootstrap", bootstrap,
                "--topic", TOPIC, "--partitions", PARTITIONS, "--seed", self.args.seed], kind))
        for f in self.foreign:
            for kind, name, command in f.commands(self, bootstrap, TOPIC, PARTITIONS):
                self.clients.append(Client(self, name, command, kind))
        if self.scenario.flood:
            self.start_flood(bootstrap)
        self.wait_first_acks()

    def start_flood(self, bootstrap):
        python = next((f.command[0] for f in self.foreign if f.name.startswith("confluent")), None)
        if not python:
            raise Failed("full load needs the foreign client confluent (--clients confluent-debian)")
        self.cluster.create(FLOOD_TOPIC, 6, retention_bytes=256 << 20, segment_bytes=64 << 20)
        self.clients.append(Client(self, "flood", [python, HERE / "load_flood.py", self.folder / "flood.jsonl", bootstrap,
                                                   FLOOD_TOPIC], "both"))

    def wait_first_acks(self):
        deadline = time.monotonic() + FIRST_ACK_S
        while time.monotonic() < deadline:
            got = {tuple(e["of"]) for e in self.read_so_far("p.jsonl") if e["do"] == "ack"}
            if len(got) == PARTITIONS:
                return
            if self.dead_client():
                break
            time.sleep(0.3)
        raise Failed(f"not every partition took records in {FIRST_ACK_S} s after the start: {self.dead_client() or ''}")

    def read_so_far(self, name):
        path = self.folder / name
        return history.read([path]) if path.exists() else []

    def dead_client(self):
        for client in self.clients:
            if client.process.poll():
                return f"client {client.name} ended with {client.process.returncode}: {client.errors.read_text()[-600:]}"
        return None

    def stop_load(self):
        self.log.write("stop")
        for kind in (("produce", "both", "control", "commit"), ("read", "consume")):
            ending = [c for c in self.clients if c.kind in kind]
            for client in ending:
                if client.process.poll() is None:
                    client.process.send_signal(signal.SIGTERM)
            self.trouble += filter(None, [client.end() for client in ending])
        self.clients = []

    # -- the proof --

    def read_all(self, number):
        """Read every partition from its start to its end, from its leader now."""
        route = self.cluster.route(timeout_s=5)
        try:
            for p in range(PARTITIONS):
                try:
                    self.read_partition(route, p, number)
                except TimeoutError as why:
                    self.trouble.append(str(why))
        finally:
            route.close()

    def read_partition(self, route, p, number):
        of = [TOPIC, p]
        start = position = route.until(f"start of {name_of(of)}", 30, route.list_offset, TOPIC, p, -2)
        end = route.until(f"end of {name_of(of)}", 30, route.list_offset, TOPIC, p, -1)
        deadline = time.monotonic() + 60
        while position < end:
            row = route.until(f"{name_of(of)} from {position}", 30, route.fetch, TOPIC, p, position, 200, 1 << 20)
            judge(row["error_code"], f"last Fetch of {name_of(of)} from {position}")
            position = load.read_rows(self.log, of, position, row, by="final")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name_of(of)} could not be read beyond {position} of {end}")
        self.log.write("final", by="final", of=of, start=start, end=position, round=number)

    def walk(self):
        """Each node once stopped and started, so that others lead, and everything is read again."""
        for number, node in enumerate(self.cluster.serving(), 2):
            node.stop()
            self.read_all(number)
            node.start()
            self.cluster.wait_healthy()

    def prove(self):
        self.healthy()
        self.log.write("calm")
        time.sleep(CALM_S)
        self.stop_load()
        self.read_all(1)
        if self.cluster.factor > 2 and self.scenario.walk:
            self.walk()
        self.cluster.stop()

    def go(self):
        """Everything; findings are in self.violations. Nothing is raised but by a fault of the harness."""
        self.began = time.monotonic()
        try:
            self.cluster.start()
            self.cluster.create(TOPIC, PARTITIONS, **self.scenario.configs)
            self.healthy()
            self.start_load()
            self.deadline = time.monotonic() + self.seconds
            self.scenario.steps(self)
            self.end_faults()
            self.prove()
        except (ClusterError, Failed, Again, TimeoutError) as why:
            self.trouble.append(f"{type(why).__name__}: {why}")
        finally:
            self.trouble += self.cluster.troubles()
            for client in self.clients:
                client.process.kill()
                client.process.wait()
            self.log.close()
        self.judge()
        return self

    def end_faults(self):
        """Whatever is still wrong is put right."""
        if self.cluster.hosts.can_cut:
            self.cluster.hosts.heal()
        for node in self.nodes():
            if "disk" in self.cluster.layers:
                self.cluster.order(node, "")
            if "clock" in self.cluster.layers:
                self.cluster.clock(node, 0)
            if node.disk:
                node.disk.empty()
            if node.alive() and node.paused:
                node.resume()
            if not node.alive() and node.expected_dead:
                self.start(node)

    def judge(self):
        events = history.read(sorted(self.folder.glob("*.jsonl")))
        self.checker.feed(events)
        self.violations = self.checker.judge(whole=any(e["do"] == "final" for e in events))
        figures = self.checker.figures
        if any(f.name in KINDS for f in self.foreign) and not figures.counts["records accepted"]:
            self.trouble.append("the share group accepted nothing")
        self.outages, self.control_outages = [], []
        for e in figures.faults:
            until = e["t"] + AFTER_FAULT_S
            if e.get("partitions"):
                self.outages.append((e["what"], self.checker.window_of(e["t"], until, [tuple(of) for of in e["partitions"]])))
            if e.get("control"):
                self.control_outages.append((e["what"], self.checker.control_window_of(e["t"], until)))

    @property
    def failed(self):
        return bool(self.violations or self.trouble)
