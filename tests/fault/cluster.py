"""Several chronikd that form a cluster: started, stopped, killed, paused, started again on their data; and what they say of it.

Layouts: "1" is a node alone, as it is without the section cluster; "3" are three nodes with both roles; "3+2" are three
controllers (1 to 3) and two ingest nodes (4 and 5).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

import hosts  # noqa: E402
from hosts import ADMIN, KAFKA, PEER, ROOT  # noqa: E402
from route import Again, Route, judge  # noqa: E402

READY_LIMIT_S, STOP_LIMIT_S, HEALTHY_LIMIT_S = 60, 60, 40
LIBRARIES = {"disk": ("HOLD_SYNC_LIB", "tests/protocol/libhold-sync.so"),
             "clock": ("SHIFT_CLOCK_LIB", "tests/protocol/libshift-clock.so")}
# What a run of a minute wants: short waits where Kafka's defaults are for people, few partitions of offsets.
SETTINGS = ["groups.initial_rebalance_delay_ms=300", "groups.offsets_partitions=6", "storage.segment_size=4MiB"]
# What an operator would be told if something durable were gone, or of a fault of the program.
ALARMS = ("is damaged", "is not served", "Assertion", "AddressSanitizer", "runtime error", "does not follow")
NO_ROOM = "No space left on device"     # a partition that is not served for want of it comes back, and must


class ClusterError(Exception):
    """A node did not do what was asked of it; the text says which, with its last output."""


def ids_of(layout):
    """{node: roles} of a layout."""
    controllers, _, ingest = layout.partition("+")
    nodes = {i: "controller,ingest" for i in range(1, int(controllers) + 1)}
    if ingest:
        nodes = {i: "controller" for i in nodes}
        nodes.update({i: "ingest" for i in range(len(nodes) + 1, len(nodes) + 1 + int(ingest))})
    return nodes


class Node:
    """One process and its folder. @disk: as for hosts.Disk, else the folder is where all are."""

    ends_with = 0                       # its status after SIGTERM

    def __init__(self, number, roles, command, folder, env, disk=None):
        self.number, self.roles, self.command, self.env = number, roles, command, env
        self.folder, self.log = Path(folder), Path(f"{folder}.log")
        self.disk = hosts.Disk(folder, disk) if disk else None
        self.process, self.paused, self.expected_dead, self.ready_at = None, False, True, 0

    def __str__(self):
        return f"node {self.number}"

    @property
    def serves(self):
        return "ingest" in self.roles

    @property
    def controls(self):
        return "controller" in self.roles

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def begin(self):
        assert not self.alive()
        with open(self.log, "ab") as log:
            self.ready_at = log.tell()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        self.paused = self.expected_dead = False

    def ready(self):
        """Has it said READY since it began? ClusterError when it has ended."""
        if self.process.poll() is not None:
            raise ClusterError(f"{self} ended with {self.process.returncode}: {self.tail()}")
        with open(self.log, "rb") as log:
            log.seek(self.ready_at)
            return b"READY " in log.read()

    def wait_ready(self, limit_s=READY_LIMIT_S):
        deadline = time.monotonic() + limit_s
        while not self.ready():
            if time.monotonic() > deadline:
                raise ClusterError(f"{self} was not ready in {limit_s} s: {self.tail()}")
            time.sleep(0.01)

    def start(self):
        self.begin()
        self.wait_ready()

    def signal(self, number):
        if not self.alive():
            raise ClusterError(f"{self} had ended by itself: {self.tail()}")
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.expected_dead = True

    def stop(self, limit_s=STOP_LIMIT_S):
        """SIGTERM; ClusterError unless it then ends with 0 in time."""
        self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{self} did not stop in {limit_s} s: {self.tail()}") from None
        self.expected_dead = True
        if status != self.ends_with:
            raise ClusterError(f"{self} ended with {status} after SIGTERM: {self.tail()}")

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def end(self):
        """Whatever its state."""
        if self.alive():
            self.process.kill()
            self.process.wait()
        if self.disk:
            self.disk.close()

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self):
        return " | ".join(self.text().splitlines()[-6:])


class Cluster:
    """Use with 'with'. @layers: of "disk" and "clock", the libraries that stand before every node (orders in order(),
    clock()). @disk: for each ingest node, see hosts.Disk. @tls: nodes speak with each other over TLS."""

    def __init__(self, layout, where=hosts.Loopback, program=None, settings=(), layers=(), disk=None, wires=False, folder=None,
                 tls=False):
        self.program = Path(program or os.environ.get("CHRONIKD", ROOT / "build/chronikd"))
        self.ctl = Path(os.environ.get("CHRONIK_CTL", self.program.with_name("chronik-ctl")))
        self.layout, self.roles = layout, ids_of(layout)
        self.folder = Path(folder or tempfile.mkdtemp(prefix="chronik-test-fault-"))
        self.settings, self.layers = [*SETTINGS, *settings], layers
        self.factor = min(3, sum("ingest" in r for r in self.roles.values()))
        for setting in self.settings:
            if setting.startswith("replication.factor="):
                self.factor = int(setting.split("=")[1])
        self.tls = self.folder / "tls" if tls else None
        if tls:
            subprocess.run([self.ctl, "tls", "init", self.tls, "--nodes",
                            ",".join(str(n) for n in self.roles)], check=True, stdout=subprocess.DEVNULL)
        self.hosts = where(self.roles, wires)
        self.nodes = {n: self.node(n, roles, disk if "ingest" in roles else None) for n, roles in self.roles.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self, keep=False):
        for node in self.nodes.values():
            node.end()
        self.hosts.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- what a node is started with --

    def node(self, number, roles, disk):
        return Node(number, roles, self.hosts.command(number, self.command(number, roles)), self.folder / f"node-{number}",
                    self.env(number), disk)

    def controllers(self):
        return ",".join(f"{n}@{self.hosts.address(n, PEER)}" for n, roles in self.roles.items() if "controller" in roles)

    def command(self, number, roles, **changed):
        """@changed: settings that this start has otherwise, with _ for the dot after the section."""
        values = {"admin.unprotected": "true", "server.node_id": number, "server.roles": roles,
                  "server.admin": self.hosts.address(number, ADMIN), "server.kafka": self.hosts.address(number, KAFKA)}
        if self.layout != "1":
            values.update({"cluster.listen": self.hosts.address(number, PEER), "cluster.controllers": self.controllers(),
                           "replication.factor": self.factor,
                           "replication.min_insync_replicas": max(1, self.factor - 1)})
            values.update({"cluster.tls_ca": self.tls / "ca.pem", "cluster.tls_certificate": self.tls / f"node-{number}.pem",
                           "cluster.tls_key": self.tls / f"node-{number}.key"} if self.tls else {"cluster.plaintext": "true"})
        values.update(s.split("=", 1) for s in self.settings)
        values.update({k.replace("_", ".", 1): v for k, v in changed.items()})
        command = [str(self.program), "--data-dir", str(self.folder / f"node-{number}" / "data")]
        for key, value in values.items():
            command += ["--set", f"{key}={value}"]
        return command

    def env(self, number):
        env = dict(os.environ)
        libraries = []
        for layer in self.layers:
            variable, path = LIBRARIES[layer]
            libraries.append(str(Path(os.environ.get(variable, ROOT / "build" / path)).absolute()))
        if "disk" in self.layers:
            env["HOLD_SYNC"] = str(self.folder / f"orders-{number}")
        if "clock" in self.layers:
            env["SHIFT_CLOCK"] = str(self.folder / f"clock-{number}")
            (self.folder / f"clock-{number}").write_bytes(bytes(8))
        if libraries:
            env["LD_PRELOAD"] = ":".join(libraries)
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return env

    # -- faults below a node --

    def order(self, node, text):
        """What hold-sync.c does from now on: "slow /", "fail /log/", or nothing."""
        path = self.folder / f"orders-{node.number}"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def clock(self, node, ahead_s):
        with open(self.folder / f"clock-{node.number}", "r+b") as file:
            file.write(int(ahead_s * 1000).to_bytes(8, sys.byteorder, signed=True))

    # -- all nodes --

    def start(self):
        for node in self.nodes.values():
            node.begin()
        for node in self.nodes.values():
            node.wait_ready()

    def stop(self):
        """Ingest nodes first, as an operator would: they need the controllers to hand over."""
        for node in sorted(self.nodes.values(), key=lambda n: n.controls):
            node.stop()

    def serving(self):
        return [n for n in self.nodes.values() if n.serves]

    def controlling(self):
        return [n for n in self.nodes.values() if n.controls]

    def kafka(self, number):
        """(host, port) where clients find the node."""
        host, port = self.hosts.address(number, KAFKA).rsplit(":", 1)
        return host, int(port)

    def bootstrap(self):
        return [self.kafka(n.number) for n in self.serving()]

    def route(self, **options):
        return Route(self.bootstrap(), **options)

    def create(self, topic, partitions, **configs):
        """A topic with as many replicas as the cluster gives."""
        rows = [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]
        route = self.route(timeout_s=10)

        def ask():
            answer = route.ask_any("CreateTopics", 7, timeout_ms=8000, topics=[
                {"name": topic, "num_partitions": partitions, "replication_factor": self.factor, "configs": rows}])["topics"][0]
            if answer["error_code"] == 36:                  # made before, and the answer was lost
                return
            if answer["error_code"] == 38:                  # not all nodes are registered yet
                raise Again(answer["error_message"])
            judge(answer["error_code"], f"CreateTopics: {answer['error_message']}")
        try:
            route.until(f"topic {topic}", 30, ask)
        finally:
            route.close()

    # -- what they say --

    def why_ill(self, route):
        """What is missing to all replicas in sync everywhere, as each serving node sees it; None when nothing is."""
        for node in self.nodes.values():
            if not node.alive() or node.paused:
                return f"{node} does not run"
            if not node.ready():
                return f"{node} is not ready"
        for node in self.serving():
            try:
                answer = route.ask(self.kafka(node.number), "Metadata", 12, topics=None)
            except Again as why:
                return f"{node}: {why}"
            if len(answer["brokers"]) != len(self.serving()):
                return f"{node} knows {sorted(b['node_id'] for b in answer['brokers'])}"
            for topic in answer["topics"]:
                for p in topic["partitions"]:
                    if p["leader_id"] < 0 or set(p["isr_nodes"]) != set(p["replica_nodes"]):
                        return (f"{node} says {topic['name']}-{p['partition_index']} is led by {p['leader_id']}, in sync "
                                f"{p['isr_nodes']} of {p['replica_nodes']}")
        return None

    def wait_healthy(self, limit_s=HEALTHY_LIMIT_S):
        """Until all replicas are in sync; returns the seconds that it took."""
        began, route = time.monotonic(), self.route(timeout_s=3)
        try:
            while True:
                why = self.why_ill(route)
                if not why:
                    return time.monotonic() - began
                if time.monotonic() - began > limit_s:
                    raise ClusterError(f"not healthy after {limit_s} s: {why}")
                time.sleep(0.1)
        finally:
            route.close()

    def leader(self, topic, partition):
        """The node that leads, or None."""
        route = self.route()
        try:
            route.refresh(topic)
            return self.nodes.get(route.leaders.get((topic, partition), (None,))[0])
        except Again:
            return None
        finally:
            route.close()

    def led_by(self, node, topic):
        """Partitions of @topic that @node leads."""
        route = self.route()
        try:
            route.refresh(topic)
            return [of for of, (leader, _) in route.leaders.items() if leader == node.number]
        finally:
            route.close()

    def active_controller(self):
        """The node that leads the metadata, or None. Each is asked; one that is cut off may still believe that it does, and then the
        answer is one of two."""
        for node in self.controlling():
            if node.alive() and not node.paused and re.search(r"^chronik_active_controller 1", self.metrics(node), re.MULTILINE):
                return node
        return None

    def metrics(self, node):
        """Its page of metrics, empty when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.hosts.address(node.number, ADMIN)}/metrics", timeout=1) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def troubles(self):
        """What nodes did that no fault excuses: ended by themselves, or spoke of damage."""
        rows = []
        for node in self.nodes.values():
            if node.process and not node.alive() and not node.expected_dead:
                rows.append(f"{node} ended by itself with {node.process.returncode}: {node.tail()}")
            rows += [f"{node} said: {line}" for line in node.text().splitlines()
                     if any(a in line for a in ALARMS) and NO_ROOM not in line][:3]
        return rows
