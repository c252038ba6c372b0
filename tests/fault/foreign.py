"""Clients of others in the load: what they are, how they are installed and started. Each writes the same history (history.py).

tests/client knows how to install them (its cache is used); this adds a program that goes on under faults for each of three
libraries. What this machine lacks is left out with the reason.
"""

import importlib.util
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def tests_client():
    """tests/client/clients.py; this folder has a clients.py of its own."""
    spec = importlib.util.spec_from_file_location("tests_client", ROOT / "tests/client/clients.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def confluent(table, cache):
    return [table._venv_python("confluent.py")(cache)[0], HERE / "load_confluent.py"]


def confluent_debian(_table, _cache):
    return ["/usr/bin/python3", HERE / "load_confluent.py"]


def java(table, cache):
    return [*table._java("kafka-clients-4")(cache)[:-1], "HistoryLoad"]


def java_consumer(table, cache):
    return [*table._java("kafka-clients-4")(cache)[:-1], "-Dgroup.protocol=consumer", "HistoryLoad"]


def java_share(table, cache):
    return [*table._java("kafka-clients-4")(cache)[:-1], "ShareLoad"]


def franz(table, cache):
    return table._go("history")(cache)


NAMES = {"confluent-debian": confluent_debian, "java": java, "java-consumer": java_consumer,
         "java-share": java_share, "franz": franz, "confluent": confluent}
# What only consumes ends after all that produce.
KINDS = {"java-share": "consume"}
# The newest librdkafka (2.16) forgets nodes that the metadata names no more while they are away. When that was a group's coordinator
# its consumer now and then never connects to one again, and commit() and close() do not return (as in its issue 5511): seen
# three times in some twenty runs in which nodes start again. Such a run fails, for a client that hangs may as well be waiting for us.
ALL = [name for name in NAMES if name != "confluent"]


class Foreign:
    def __init__(self, name, command):
        self.name, self.command = name, command

    def commands(self, run, bootstrap, topic, partitions):
        """[(kind, name, command)] for a run."""
        return [(KINDS.get(self.name, "both"), self.name, [*self.command, run.folder / f"{self.name}.jsonl", bootstrap, topic, partitions, self.name])]


def chosen(names):
    """@names: with commas between them; "all" is every one of ALL."""
    wanted = ALL if names == "all" else [n for n in names.split(",") if n]
    table, found = tests_client() if wanted else None, []
    cache = Path(os.environ.get("CHRONIK_CLIENT_CACHE", ROOT / "build/clients")).absolute()
    cache.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        try:
            found.append(Foreign(name, NAMES[name](table, cache)))
        except table.Missing as why:
            print(f"without {name}: {why}")
    return found
