"""One of the two brokers that are compared: what a case asks of it, and what it answered, step by step."""

import struct
import time
from dataclasses import dataclass

import codec
import kafka
import records
from kafka import ERR, Client, ClientError

CLOSED, SILENT = "the connection was closed", "no answer"
LIMIT_S = 10            # for what a broker does a little later than it says
ANSWER_LIMIT_S = 15
# Errors that only say "ask again".
PASSING = {ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.COORDINATOR_NOT_AVAILABLE, ERR.NOT_COORDINATOR,
           ERR.CONCURRENT_TRANSACTIONS}


def by_topic(parts):
    """(topic, ...) rows as (topic, [rows])."""
    return [(topic, [p[1:] for p in parts if p[0] == topic]) for topic in dict.fromkeys(p[0] for p in parts)]


def errors(answer):
    """All error codes of an answer, wherever they are."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name.endswith("error_code"):
                yield value
            else:
                yield from errors(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from errors(value)


@dataclass
class Step:
    api: str
    version: int
    label: str
    fields: dict
    answer: object          # a dict, CLOSED, SILENT, or what note() was given


class Side:
    """@node is started. begin() starts a case; after it @steps holds what was asked and answered."""

    def __init__(self, title, node):
        self.title, self.node = title, node
        self.steps, self.prefix, self.count, self.clients = [], "", 0, []
        self.calls, self.ids = 0, {}            # ids: of topics, to their names

    def begin(self, prefix):
        self.end()
        self.steps, self.prefix, self.count = [], prefix, 0
        self.clients = [Client(self.node.host, self.node.port, ANSWER_LIMIT_S)]

    def end(self):
        for client in self.clients:
            client.close()
        self.clients = []

    def fresh(self, word="t"):
        """A name that nothing has yet; the same on both sides."""
        self.count += 1
        return f"{self.prefix}-{word}{self.count}"

    # ---- asking ----

    def ask(self, api, version, fields, connection=0, patience_s=ANSWER_LIMIT_S):
        while len(self.clients) <= connection:
            self.clients.append(Client(self.node.host, self.node.port, ANSWER_LIMIT_S))
        self.calls += 1
        try:
            self.clients[connection].timeout_s = patience_s
            return self.clients[connection].call(api, version, **fields)
        except ClientError as why:
            self.clients[connection].close()
            self.clients[connection] = Client(self.node.host, self.node.port, ANSWER_LIMIT_S)
            return CLOSED if "closed" in str(why) or "broke" in str(why) else SILENT

    def quiet(self, api, version, /, until=None, passing=PASSING, connection=0, patience_s=ANSWER_LIMIT_S,
              **fields):
        """Ask until the answer has no passing error and until(answer) is true, or the time is over; nothing is recorded."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            answer = self.ask(api, version, fields, connection, patience_s)
            if answer in (CLOSED, SILENT) or time.monotonic() > deadline:
                return answer
            if not set(errors(answer)) & passing and (not until or until(answer)):
                return answer
            time.sleep(0.02)

    def call(self, api, version, /, label="", until=None, keep=None, passing=PASSING, connection=0,
             patience_s=ANSWER_LIMIT_S, **fields):
        """As quiet(), and the answer is compared. @keep: what of the answer is."""
        answer = self.quiet(api, version, until=until, passing=passing, connection=connection, patience_s=patience_s, **fields)
        kept = keep(answer) if keep and isinstance(answer, dict) else answer
        self.steps.append(Step(api, version, label, fields, kept))
        return answer

    def note(self, api, version, label, value):
        """Something else that is compared."""
        self.steps.append(Step(api, version, label, {}, value))

    def raw(self, api, version, label, body, header_version=1):
        """A request whose body is any bytes: does it close the connection?"""
        key = codec.message(api + "Request").key
        with Client(self.node.host, self.node.port, ANSWER_LIMIT_S) as client:
            client.send_raw(kafka.frame(kafka.header(key, version, 1, header_version=header_version) + body))
            try:
                size = len(client.receive_raw())
                self.note(api, version, label, f"{size} bytes")
            except ClientError as why:
                self.note(api, version, label, CLOSED if "closed" in str(why) or "broke" in str(why) else SILENT)

    # ---- short forms of what cases need first ----

    def topic(self, partitions=1, name=None, **configs):
        """A topic that is ready. Configurations with _ for the dot."""
        name = name or self.fresh()
        answer = self.quiet("CreateTopics", 7, topics=[
            {"name": name, "num_partitions": partitions, "replication_factor": 1,
             "configs": [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]}])
        if answer["topics"][0]["error_code"]:
            raise AssertionError(f"{self.title} did not create {name}: {answer}")
        self.ready(name, partitions)
        return name

    def ready(self, name, partitions=1):
        """Wait until all partitions have a leader that answers."""
        def led(answer):
            told = answer["topics"][0]["partitions"]
            return len(told) == partitions and all(p["leader_id"] >= 0 and not p["error_code"] for p in told)
        answer = self.quiet("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False, until=led)
        self.ids[answer["topics"][0]["topic_id"]] = name
        self.quiet("ListOffsets", 7, replica_id=-1, topics=[{"name": name, "partitions": [
            {"partition_index": i, "timestamp": -1} for i in range(partitions)]}], until=lambda a: not any(errors(a)))

    def topic_id(self, name):
        answer = self.quiet("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
        self.ids[answer["topics"][0]["topic_id"]] = name
        return answer["topics"][0]["topic_id"]

    def gone(self, name):
        """Delete a topic and wait until nobody knows it."""
        self.quiet("DeleteTopics", 5, topic_names=[name], timeout_ms=10000)
        self.quiet("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False,
                   until=lambda a: a["topics"][0]["error_code"] == ERR.UNKNOWN_TOPIC_OR_PARTITION)

    def fill(self, topic, *batches, partition=0):
        """Produce batches: bytes of a batch, or a list of values."""
        for data in batches:
            data = data if isinstance(data, bytes) else records.batch(data, base_timestamp=1000)
            answer = self.quiet("Produce", 9, acks=-1, timeout_ms=10000, topic_data=[
                {"name": topic, "partition_data": [{"index": partition, "records": data}]}])
            if any(errors(answer)):
                raise AssertionError(f"{self.title} did not take records: {answer}")

    def coordinator(self, key, key_type=0):
        self.quiet("FindCoordinator", 2, key=key, key_type=key_type)

    def commit(self, group, topic, offset=1, partition=0):
        self.coordinator(group)
        self.quiet("OffsetCommit", 7, group_id=group, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "committed_offset": offset}]}])


def subscription(*topics):
    """The metadata of a member with protocol type consumer."""
    out = struct.pack(">hi", 0, len(topics))
    for topic in topics:
        out += struct.pack(">h", len(topic)) + topic.encode()
    return out + struct.pack(">i", -1)
