"""A client of a cluster: finds leaders and coordinators, and says which answers pass. On top of tests/protocol's Client.

A Route belongs to one thread. It never goes back to an older leader epoch, and names the one that it knows in its requests, so
that a leader of the past refuses it (KIP-320).
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

from kafka import ERR, Client, ClientError  # noqa: E402

CONNECT_S = 0.4                         # to one node; a node that is cut off keeps silent
PAUSE_S = 0.03

# Answers that faults excuse: the client looks for the leader again, and sends again.
PASSING = {ERR.UNKNOWN_TOPIC_OR_PARTITION, ERR.LEADER_NOT_AVAILABLE, ERR.NOT_LEADER_OR_FOLLOWER, ERR.REQUEST_TIMED_OUT,
           ERR.REPLICA_NOT_AVAILABLE, ERR.NOT_ENOUGH_REPLICAS, ERR.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
           ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.COORDINATOR_NOT_AVAILABLE, ERR.NOT_COORDINATOR, ERR.NOT_CONTROLLER,
           ERR.KAFKA_STORAGE_ERROR, ERR.FENCED_LEADER_EPOCH, ERR.UNKNOWN_LEADER_EPOCH, ERR.OFFSET_NOT_AVAILABLE,
           ERR.UNKNOWN_TOPIC_ID, ERR.BROKER_NOT_AVAILABLE}


class Again(Exception):
    """Nothing came of it this time: look again, send again."""


class Refused(Exception):
    """An answer that no fault excuses."""

    def __init__(self, what, code):
        super().__init__(f"{what}: {name_of(code)}")
        self.what, self.error = what, name_of(code)


def name_of(code):
    try:
        return ERR(code).name
    except ValueError:
        return f"error {code}"


def judge(code, what):
    """Nothing, Again or Refused for an error code."""
    if code in PASSING:
        raise Again(f"{what}: {name_of(code)}")
    if code:
        raise Refused(what, code)


class Route:
    """@bootstrap: [(host, port)]. @timeout_s is for one answer."""

    def __init__(self, bootstrap, seed=0, timeout_s=2.0):
        self.bootstrap, self.timeout_s, self.random = list(bootstrap), timeout_s, random.Random(f"route {seed}")
        self.nodes = {}                 # node -> (host, port), as metadata says
        self.leaders = {}               # (topic, partition) -> (node, leader epoch)
        self.open = {}                  # (host, port) -> Client

    def close(self):
        for client in self.open.values():
            client.close()
        self.open.clear()

    def drop_at(self, address):
        """The connection to there, if there is one, is of no use any more."""
        client = self.open.pop(address, None)
        if client:
            client.close()

    def client_at(self, address):
        if address not in self.open:
            try:
                client = Client(*address, timeout_s=CONNECT_S)
            except OSError as why:
                raise Again(f"{address}: {why}") from why
            client.timeout_s = self.timeout_s
            self.open[address] = client
        return self.open[address]

    def ask(self, address, api, version, /, **fields):
        """One request to one address; whatever goes wrong on the way is Again."""
        client = self.client_at(address)
        try:
            return client.call(api, version, **fields)
        except (ClientError, OSError) as why:
            self.drop_at(address)
            raise Again(f"{api} to {address}: {why}") from why

    def addresses(self):
        """All that is known, in an order of chance."""
        rows = list(dict.fromkeys([*self.nodes.values(), *self.bootstrap]))
        self.random.shuffle(rows)
        return rows

    def ask_any(self, api, version, /, **fields):
        """To the first node that answers."""
        why = None
        for address in self.addresses():
            try:
                return self.ask(address, api, version, **fields)
            except Again as this:
                why = this
        raise Again(str(why))

    # -- leaders --

    def refresh(self, *topics):
        """Ask for the leaders of @topics; what one node knows of an older epoch does not count. Returns the answer."""
        answer = self.ask_any("Metadata", 12, topics=[{"name": t} for t in topics] if topics else None,
                              allow_auto_topic_creation=False)
        self.nodes.update({b["node_id"]: (b["host"], b["port"]) for b in answer["brokers"]})
        for topic in answer["topics"]:
            for row in topic["partitions"]:
                key = topic["name"], row["partition_index"]
                if row["leader_epoch"] >= self.leaders.get(key, (-1, -1))[1] and row["leader_id"] >= 0:
                    self.leaders[key] = row["leader_id"], row["leader_epoch"]
        return answer

    def leader(self, topic, partition):
        """(address, leader epoch), asked for when it is not known."""
        if (topic, partition) not in self.leaders:
            self.refresh(topic)
        node, epoch = self.leaders.get((topic, partition), (-1, -1))
        if node not in self.nodes:
            raise Again(f"{topic}-{partition} has no leader")
        return self.nodes[node], epoch

    def lost(self, topic, partition):
        """The leader was of no use: ask others. A node that still says the same is right until somebody knows better."""
        try:
            self.refresh(topic)
        except Again:
            pass

    def ask_leader(self, topic, partition, api, version, make):
        """Send what make(leader epoch) says to the leader; Again, after a look for another, when that failed."""
        address, epoch = self.leader(topic, partition)
        try:
            return self.ask(address, api, version, **make(epoch))
        except Again:
            self.lost(topic, partition)
            raise

    # -- coordinators --

    def coordinator(self, group):
        answer = self.ask_any("FindCoordinator", 3, key=group, key_type=0)
        judge(answer["error_code"], "FindCoordinator")
        return answer["host"], answer["port"]

    # -- shorter forms --

    def list_offset(self, topic, partition, timestamp):
        """The offset that ListOffsets tells: -1 the end, -2 the start."""
        answer = self.ask_leader(topic, partition, "ListOffsets", 7, lambda epoch: dict(replica_id=-1, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "current_leader_epoch": epoch,
                                            "timestamp": timestamp}]}]))
        row = answer["topics"][0]["partitions"][0]
        self.judge_leader(topic, partition, row["error_code"], "ListOffsets")
        return row["offset"]

    def fetch(self, topic, partition, offset, max_wait_ms, max_bytes=1 << 19):
        """A partition's answer to Fetch; its error has been judged, but for OFFSET_OUT_OF_RANGE."""
        answer = self.ask_leader(topic, partition, "Fetch", 12, lambda epoch: dict(
            max_wait_ms=max_wait_ms, min_bytes=1, max_bytes=max_bytes, topics=[{"topic": topic, "partitions": [
                {"partition": partition, "fetch_offset": offset, "current_leader_epoch": epoch,
                 "partition_max_bytes": max_bytes}]}]))
        judge(answer["error_code"], "Fetch")
        row = answer["responses"][0]["partitions"][0]
        if row["error_code"] != ERR.OFFSET_OUT_OF_RANGE:
            self.judge_leader(topic, partition, row["error_code"], "Fetch")
        return row

    def judge_leader(self, topic, partition, code, what):
        try:
            judge(code, what)
        except Again:
            self.lost(topic, partition)
            raise

    def until(self, what, limit_s, function, *args):
        """Call it until it does not say Again; TimeoutError after @limit_s."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                return function(*args)
            except Again as why:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{what}, not in {limit_s} s: {why}") from why
                time.sleep(PAUSE_S)
