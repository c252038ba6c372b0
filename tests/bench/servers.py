"""Servers that are measured, each started on free loopback ports with a data folder of its own, and the load generator."""
import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

READY_LIMIT_S = 60
STOP_LIMIT_S = 120
LOAD_LIMIT_S = 300
TASKSET = ("taskset", "--cpu-list")


class ServerError(Exception):
    """A server did not start, died or did not stop."""


class LoadError(Exception):
    """The load generator gave up; the text says why."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def proc_status(pid):
    """The numbers of /proc/PID/status by name, sizes in KiB."""
    rows = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {r[0].rstrip(":"): int(r[1]) for r in rows if len(r) >= 2 and r[1].isdigit()}


def proc_rollup(pid):
    """Rss, Pss, Anonymous and so on, in KiB."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {r[0].rstrip(":"): int(r[1]) for r in rows if len(r) == 3}


def proc_open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def proc_peak_reset(pid):
    """VmHWM of /proc/PID/status begins again at what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def proc_cpu_s(pid):
    """Processor time that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A process that says when it is ready. Use with 'with', or start() and stop()."""

    name = "server"

    def __init__(self, command, ready, log, env=None):
        self.command, self.ready, self.log, self.env = [str(c) for c in command], ready, Path(log), env
        self.process = None
        self.ready_s = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.stop()

    def pin(self, *cpus):
        """Run on these cores only, from its start on."""
        self.command = [*TASKSET, ",".join(map(str, cpus)), *self.command]
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def start(self):
        """Start and wait until the text of @ready comes on standard output; self.ready_s is the time from exec to it."""
        with open(self.log, "ab") as log:
            self.began = began = time.monotonic()
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, env=self.env,
                                            stdin=subprocess.DEVNULL)
        seen = b""
        while self.ready not in seen:
            left = began + READY_LIMIT_S - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                self.kill()
                raise ServerError(f"{self.name} was not ready after {READY_LIMIT_S} s, see {self.log}")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            self.ready_s = time.monotonic() - began
            if not chunk:
                self.process.wait()
                raise ServerError(f"{self.name} ended with {self.process.returncode} before it was ready: "
                                  f"{self.log.read_text(errors='replace')[-500:]}")
            seen += chunk
        return self

    def _end(self, number):
        began = time.monotonic()
        if self.alive():
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise ServerError(f"{self.name} did not stop within {STOP_LIMIT_S} s") from None
        self.process.stdout.close()
        return time.monotonic() - began

    def stop(self):
        """SIGTERM; the seconds until it had ended."""
        return self._end(signal.SIGTERM)

    def kill(self):
        return self._end(signal.SIGKILL)


class Chronikd(Server):
    name = "chronikd"

    def __init__(self, program, data, *settings, port=None):
        self.port, self.admin = free_ports(2)
        self.port = port or self.port
        self.data = Path(data)
        command = [program, "--data-dir", data, "--kafka", f"127.0.0.1:{self.port}",
                   "--admin", f"127.0.0.1:{self.admin}",
                   "--set", "diag.core_dumps=true"]     # or only root could see what it costs
        for setting in settings:
            command += ["--set", setting]
        super().__init__(command, b"READY", f"{data}.log")


class Load:
    """bench-load against one port: load("produce", topic="t", in_flight=4) gives its line of JSON."""

    def __init__(self, program, port):
        self.program, self.port, self.prefix = str(program), port, []

    def pin(self, *cpus):
        self.prefix = [*TASKSET, ",".join(map(str, cpus))]
        return self

    def command(self, name, **options):
        command = [*self.prefix, self.program, name, "--port", str(self.port)]
        for key, value in options.items():
            for v in value if isinstance(value, (list, tuple)) else [value]:
                command += [f"--{key.replace('_', '-')}", str(v)]
        return command

    def __call__(self, name, **options):
        command = self.command(name, **options)
        got = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_LIMIT_S, check=False)
        if got.returncode:
            raise LoadError(f"{' '.join(command[1:])}: {got.stderr.strip()[-300:]}")
        return json.loads(got.stdout)


class Floor(Server):
    name = "floor"

    def __init__(self, program, data):
        (self.port,) = free_ports(1)
        self.data = Path(data)
        self.data.mkdir()
        super().__init__([program, self.port, data], b"READY", f"{data}.log")


# As Kafka's own scripts start a broker.
KAFKA_FLAGS = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
               "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]


KAFKA_ALONE = """\
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


class Kafka(Server):
    """Apache Kafka from its jars: one KRaft node, both roles, its defaults but for addresses and @properties. @number and
    @controllers ({number: port}) are for one of several."""

    name = "kafka"

    def __init__(self, jars, load_program, folder, number=1, controllers=None, properties=KAFKA_ALONE):
        self.folder, self.jars, self.load_program = Path(folder), Path(jars), load_program
        self.port, self.controller_port = free_ports(2)
        controllers = controllers or {number: self.controller_port}
        self.controller_port = controllers[number]
        self.folder.mkdir()
        self.data = self.folder / "data"
        self.properties = self.folder / "server.properties"
        self.properties.write_text(f"""\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={",".join(f"{n}@127.0.0.1:{port}" for n, port in controllers.items())}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
log.dirs={self.data}
log.segment.delete.delay.ms=1000
{properties}""")
        super().__init__(self.java(KAFKA_FLAGS, "kafka.Kafka", self.properties), b"", self.folder / "log")

    def java(self, flags, main, *args):
        return ["java", *flags, "-cp", f"{self.jars}/*", main, *map(str, args)]

    def format(self):
        done = subprocess.run(self.java([], "kafka.tools.StorageTool", "format", "--cluster-id",
                                        "Y2hyb25pay1iZW5jaC0wMA", "--config", self.properties),
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerError(f"Kafka's storage was not formatted: {(done.stdout + done.stderr)[-500:]}")

    def start(self):
        """Format the storage at the first time, start, and ask for the API versions until they are answered: it logs nothing here."""
        if not self.data.exists():
            self.format()
        self.began = began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        hello = Load(self.load_program, self.port).command("idle", connections=1)
        while subprocess.run(hello, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
            if not self.alive() or time.monotonic() > began + READY_LIMIT_S:
                self.kill()
                raise ServerError(f"Kafka did not start, see {self.log}: {self.log.read_text()[-500:]}")
            time.sleep(0.02)
        self.ready_s = time.monotonic() - began
        return self
