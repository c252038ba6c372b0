"""The table of clients: what each is called, how its dependencies are installed, how its program is started.

Everything that is installed goes to the cache folder and is reused as long as the manifest files did not change, so
a second run needs no registry. What this machine lacks raises Missing, which skips the client with that reason; a
program of ours that does not compile raises Broken, which is a failure.
Debian packages are not installed from here: they are listed in tools/packages.txt and tools/packages-clients.txt.
"""
import dataclasses
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Client programs are short-lived: a small heap, one collector thread and no second compiler make the JVM start fast.
JAVA_FLAGS = ["-Xmx512m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
LIBRARY_WARNS = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
INSTALL_LIMIT_S = 900


class Missing(Exception):
    """This machine lacks something that the client needs; the text says what."""


class Broken(Exception):
    """A program of this suite could not be built."""


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    what: str           # for --list and docs/CLIENTS.md
    prepare: object     # prepare(cache) -> the command, to which HOST:PORT is added
    quick: bool = False
    limit_s: int = 240


_locks = {}
_locks_guard = threading.Lock()


def _once(key):
    """Two clients that share a folder of dependencies must not install into it at the same time."""
    with _locks_guard:
        return _locks.setdefault(key, threading.Lock())


def _shell(command, cwd=None, env=None, error=Missing):
    try:
        got = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_LIMIT_S,
                             check=False)
    except subprocess.TimeoutExpired:
        raise Missing(f"'{' '.join(map(str, command[:3]))}' did not end in {INSTALL_LIMIT_S} s") from None
    if got.returncode:
        tail = " ".join(got.stdout.split())[-300:]
        raise error(f"'{' '.join(map(str, command[:3]))}' failed: {tail}")
    return got.stdout


def _tool(name, package):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed (Debian package {package})")
    return path


def _stamp(folder, files):
    """True if @folder was made from exactly these @files; writes nothing."""
    stamp = folder / "made-from"
    return stamp.exists() and stamp.read_text() == _digest(files)


def _digest(files):
    total = hashlib.sha256()
    for path in files:
        total.update(str(path.name).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _made(folder, files):
    (folder / "made-from").write_text(_digest(files))


# -- Python ---------------------------------------------------------------------------------------------------

def _system_python(module, package, program):
    def prepare(_cache):
        python = "/usr/bin/python3"
        if not os.path.exists(python):
            raise Missing(f"{python} is not installed (Debian package python3)")
        try:
            _shell([python, "-c", f"import {module}"])
        except Missing:
            raise Missing(f"Debian package {package} is not installed") from None
        return [python, str(HERE / "python" / program)]
    return prepare


def _venv_python(program):
    def prepare(cache):
        folder, wanted = cache / "python", HERE / "python" / "requirements.txt"
        with _once("python"):
            if not _stamp(folder, [wanted]):
                shutil.rmtree(folder, ignore_errors=True)
                _shell([_tool("python3", "python3"), "-m", "venv", str(folder)])
                _shell([str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check",
                        "--requirement", str(wanted)])
                _made(folder, [wanted])
        return [str(folder / "bin/python"), str(HERE / "python" / program)]
    return prepare


def _kcat(_cache):
    _tool("kcat", "kcat")
    return [_tool("python3", "python3"), str(HERE / "kcat/kcat.py")]


# -- Node.js --------------------------------------------------------------------------------------------------

def _node(program):
    def prepare(cache):
        node, npm = _tool("node", "nodejs"), _tool("npm", "npm")
        folder, wanted = cache / "node", HERE / "node" / "package.json"
        with _once("node"):
            folder.mkdir(parents=True, exist_ok=True)
            if not _stamp(folder, [wanted]):
                shutil.rmtree(folder / "node_modules", ignore_errors=True)
                shutil.copy(wanted, folder)
                _shell([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock",
                        "--loglevel=error"], cwd=folder)
                _made(folder, [wanted])
            # Node looks for packages beside the program's real path, so the programs are copied to them.
            for path in (HERE / "node").glob("*.mjs"):
                shutil.copy(path, folder)
        return [node, str(folder / program)]
    return prepare


# -- Java -----------------------------------------------------------------------------------------------------

def _jars(cache, pom):
    """The folder with the jars that a pom names."""
    folder, wanted = cache / pom, HERE / "java" / pom / "pom.xml"
    with _once(pom):
        if not _stamp(folder, [wanted]):
            mvn = _tool("mvn", "maven")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _shell([mvn, "--quiet", "--batch-mode", "--file", str(wanted), "dependency:copy-dependencies",
                    f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"])
            _made(folder, [wanted])
    return folder


# What older clients do not have.
SOURCES = {"kafka-clients-4": "*.java share/*.java"}


def _java(pom, main="ClientChecks", sources=None, flags=()):
    sources = SOURCES.get(pom, "*.java") if sources is None else sources

    def prepare(cache):
        java, javac = _tool("java", "default-jdk-headless"), _tool("javac", "default-jdk-headless")
        folder = _jars(cache, pom)
        files, classes = sorted(f for pattern in sources.split() for f in (HERE / "java").glob(pattern)), folder / "classes"
        with _once(pom):
            if files and not _stamp(classes, files):
                shutil.rmtree(classes, ignore_errors=True)
                classes.mkdir(parents=True)
                _shell([javac, "-nowarn", "-cp", f"{folder}/lib/*", "-d", str(classes), *map(str, files)],
                       error=Broken)
                _made(classes, files)
        return [java, *JAVA_FLAGS, *flags, "-cp", f"{classes}:{folder}/lib/*", *main.split()]
    return prepare


def _kafka_tools(cache):
    java = _tool("java", "default-jdk-headless")
    folder = _jars(cache, "kafka-tools")
    return [_tool("python3", "python3"), str(HERE / "tools/kafka_tools.py"),
            "--java", " ".join([java, *JAVA_FLAGS, "-cp", f"{folder}/lib/*"])]


# -- Go -------------------------------------------------------------------------------------------------------

def _go(program):
    def prepare(cache):
        folder = cache / "go"
        sources = [HERE / "go" / f for f in ("go.mod", "go.sum", "checks/checks.go", f"{program}/main.go")]
        made = folder / f"{program}.d"
        with _once("go"):
            if not _stamp(made, sources):
                go = _tool("go", "golang")
                made.mkdir(parents=True, exist_ok=True)
                has = re.search(r"go(\d+)\.(\d+)", _shell([go, "version"], cwd="/"))
                need = re.search(r"^go (\d+)\.(\d+)", sources[0].read_text(), re.M)
                if tuple(map(int, has.groups())) < tuple(map(int, need.groups())):
                    raise Missing(f"Go {has[1]}.{has[2]} is older than the {need[1]}.{need[2]} that go.mod asks for")
                local = {"GOTOOLCHAIN": "local"}
                _shell([go, "mod", "download"], cwd=HERE / "go", env=local)
                _shell([go, "build", "-o", str(made / program), f"./{program}"], cwd=HERE / "go", env=local,
                       error=Broken)
                _made(made, sources)
        return [str(made / program)]
    return prepare


# -- Programs that are killed: eos/README.md ------------------------------------------------------------------

def _pinned(file, name):
    """The version of @name that a manifest asks for."""
    text = re.sub(r"\s+", " ", (HERE / file).read_text())
    return re.search(rf"{re.escape(name)}(?:==| |\": \"|</artifactId> <version>)v?([\d.]+)", text)[1]


def _killed(driver, version, **programs):
    """@driver of eos/, given the commands of @programs, each of which a prepare() returns."""
    def prepare(cache):
        title = f"{os.path.basename(version[1])} {_pinned(*version)}"
        out = [_tool("python3", "python3"), str(HERE / "eos" / driver), "--title", title]
        for option, inner in programs.items():
            out += [f"--{option}", shlex.join(inner(cache))]
        return out
    return prepare


# -- Clients that say who they are: secure/README.md ------------------------------------------------------------

def _secure(kind, python=None, java=None, program=None, version=None):
    """@kind: "kcat" or "confluent"; or @java, the start of a command; or @program, a command, and the @version of which library."""
    def prepare(cache):
        _tool("openssl", "openssl")
        interpreter = python(cache)[0] if python else _tool("python3", "python3")
        if kind == "kcat":
            _kcat(cache)
        words = [kind]
        if java:
            words = ["java", *java(cache)]
        elif program:
            words = [f"{kind} {_pinned(*version)}", *program(cache)]
        return [interpreter, str(HERE / "secure/secure.py"), shlex.join(words)]
    return prepare


def _kafka_java(cache):
    return [_tool("java", "default-jdk-headless"), *JAVA_FLAGS, "-cp", f"{_jars(cache, 'kafka-tools')}/lib/*"]


CLIENTS = [
    Client("kcat", "kcat, Debian's package (C, librdkafka)", _kcat, quick=True),
    Client("confluent-debian", "confluent-kafka, Debian's package (Python, librdkafka)",
           _system_python("confluent_kafka", "python3-confluent-kafka", "confluent.py")),
    Client("confluent", "confluent-kafka (Python, librdkafka)", _venv_python("confluent.py"), quick=True),
    Client("kafka-python-debian", "kafka-python, Debian's package (pure Python)",
           _system_python("kafka", "python3-kafka", "kafkapython.py")),
    Client("kafka-python", "kafka-python (pure Python)", _venv_python("kafkapython.py"), quick=True),
    Client("aiokafka", "aiokafka (Python, asyncio)", _venv_python("aio.py")),
    Client("kafkajs", "kafkajs (JavaScript)", _node("kafkajs.mjs")),
    Client("platformatic", "@platformatic/kafka (JavaScript)", _node("platformatic.mjs")),
    Client("java-4", "Apache Kafka's Java client, 4.x", _java("kafka-clients-4"), quick=True),
    Client("java-3", "Apache Kafka's Java client, 3.x", _java("kafka-clients-3")),
    Client("kafka-tools", "Apache Kafka's command line tools, 4.x", _kafka_tools, limit_s=800),
    Client("franz-go", "franz-go (Go)", _go("franz"), quick=True),
    Client("sarama", "sarama (Go)", _go("sarama")),
    Client("secure-kcat", "TLS and SASL: kcat, Debian's package (C, librdkafka)", _secure("kcat"), quick=True),
    Client("secure-confluent", "TLS and SASL: confluent-kafka (Python, librdkafka)",
           _secure("confluent", python=_venv_python("confluent.py"))),
    Client("secure-java-4", "TLS and SASL: Apache Kafka's Java client, 4.x, in its tools", _secure("java", java=_kafka_java)),
    Client("secure-franz-go", "TLS and SASL: franz-go (Go)",
           _secure("franz-go", program=_go("secure"), version=("go/go.mod", "github.com/twmb/franz-go"))),
    Client("secure-kafkajs", "TLS and SASL: kafkajs (JavaScript)",
           _secure("kafkajs", program=_node("secure.mjs"), version=("node/package.json", "kafkajs"))),
    Client("eos-confluent", "copy loops that are killed: confluent-kafka (Python, librdkafka)",
           _killed("copies.py", ("python/requirements.txt", "confluent-kafka"), program=_venv_python("copy_loop.py")),
           quick=True, limit_s=420),
    Client("eos-java-4", "copy loops that are killed: Apache Kafka's Java client, 4.x",
           _killed("copies.py", ("java/kafka-clients-4/pom.xml", "kafka-clients"), program=_java("kafka-clients-4", "CopyLoop")),
           limit_s=420),
    Client("eos-java-3", "copy loops that are killed: Apache Kafka's Java client, 3.x",
           _killed("copies.py", ("java/kafka-clients-3/pom.xml", "kafka-clients"), program=_java("kafka-clients-3", "CopyLoop")),
           limit_s=420),
    Client("eos-franz-go", "copy loops that are killed: franz-go (Go)",
           _killed("copies.py", ("go/go.mod", "github.com/twmb/franz-go"), program=_go("copy")), quick=True, limit_s=420),
    Client("kafka-streams", "Kafka Streams, exactly once, killed", _killed(
        "streams.py", ("java/kafka-streams/pom.xml", "kafka-streams"),
        program=_java("kafka-streams", "", "streams/TotalsApp.java CopyLoop.java", LIBRARY_WARNS)), limit_s=600),
    Client("kafka-connect", "Kafka Connect, standalone and exactly once, killed", _killed(
        "connect.py", ("java/kafka-connect/pom.xml", "connect-runtime"),
        program=_java("kafka-connect", "", "", LIBRARY_WARNS), reader=_java("kafka-clients-4", "CopyLoop")), limit_s=720),
]
