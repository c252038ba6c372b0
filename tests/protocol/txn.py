"""A transactional producer on the wire, in every version of its requests: what test_txn*.py stand on."""

import time

import records
from kafka import ERR, Client

TRANSACTIONAL = 0x10
TV2_PRODUCE, TV2_END, TV2_OFFSETS = 12, 5, 5


class Producer:
    """@v2: transactions version 2 (KIP-890). Each request is tried again for as long as the coordinator asks for it."""

    RETRIES = {ERR.CONCURRENT_TRANSACTIONS, ERR.COORDINATOR_LOAD_IN_PROGRESS, ERR.COORDINATOR_NOT_AVAILABLE,
               ERR.NOT_COORDINATOR, ERR.NOT_ENOUGH_REPLICAS, ERR.NOT_LEADER_OR_FOLLOWER}

    def __init__(self, case, name, v2=True, timeout_ms=60000):
        self.case, self.name, self.v2, self.timeout_ms = case, name, v2, timeout_ms
        self.id, self.epoch, self.sequences = -1, -1, {}
        self.client = case.client()

    def again(self):
        """The node was started anew."""
        self.client = self.case.client()

    def retried(self, ask, limit_s=30):
        """@ask returns (error, answer)."""
        deadline = time.monotonic() + limit_s
        while True:
            error, answer = ask()
            if error not in self.RETRIES or time.monotonic() > deadline:
                return error, answer
            time.sleep(0.02)

    def find(self):
        """FindCoordinator makes the topic when it is not there."""
        def ask():
            answer = self.client.call("FindCoordinator", 4, key_type=1, coordinator_keys=[self.name])
            return answer["coordinators"][0]["error_code"], answer
        error, _ = self.retried(ask)
        self.case.assertError(error, ERR.NONE)

    def init(self, version=5, **fields):
        self.find()

        def ask():
            answer = self.client.call("InitProducerId", version, transactional_id=self.name,
                                      transaction_timeout_ms=self.timeout_ms, **fields)
            return answer["error_code"], answer
        error, answer = self.retried(ask)
        if not error:
            self.id, self.epoch, self.sequences = answer["producer_id"], answer["producer_epoch"], {}
        return error

    def add(self, *parts, version=3):
        """@parts: (topic, partition). Return: the errors by partition, or one when all have the same."""
        topics = [{"name": t, "partitions": [p for u, p in parts if u == t]} for t in dict.fromkeys(t for t, _ in parts)]

        def ask():
            answer = self.client.call("AddPartitionsToTxn", version, v3_and_below_transactional_id=self.name,
                                      v3_and_below_producer_id=self.id, v3_and_below_producer_epoch=self.epoch,
                                      v3_and_below_topics=topics)
            errors = [p["partition_error_code"] for t in answer["results_by_topic_v3_and_below"]
                      for p in t["results_by_partition"]]
            return errors[0] if len(set(errors)) == 1 else errors, answer
        return self.retried(lambda: (lambda e, a: (e if isinstance(e, int) else tuple(e), a))(*ask()))[0]

    def send(self, topic, *values, partition=0, version=None, **header):
        """Produce a batch with the next sequence. Return: the error."""
        sequence = self.sequences.get((topic, partition), 0)
        data = records.batch(list(values), **{**dict(attributes=TRANSACTIONAL, producer_id=self.id,
                                                     producer_epoch=self.epoch, base_sequence=sequence), **header})

        def ask():
            answer = self.case.produce(self.client, topic, data, version=version or (TV2_PRODUCE if self.v2 else 11),
                                       partition=partition, transactional_id=self.name)
            return answer["error_code"], answer
        error, _ = self.retried(ask)
        if not error:
            self.sequences[topic, partition] = sequence + len(values)
        return error

    def add_offsets(self, group, version=4):
        def ask():
            answer = self.client.call("AddOffsetsToTxn", version, transactional_id=self.name, producer_id=self.id,
                                      producer_epoch=self.epoch, group_id=group)
            return answer["error_code"], answer
        return self.retried(ask)[0]

    def offsets(self, group, topic, offset, partition=0, version=None, **fields):
        """TxnOffsetCommit. Return: the partition's error."""
        self.client.call("FindCoordinator", 4, key_type=0, coordinator_keys=[group])

        def ask():
            answer = self.client.call(
                "TxnOffsetCommit", version or (TV2_OFFSETS if self.v2 else 4), transactional_id=self.name, group_id=group,
                producer_id=self.id, producer_epoch=self.epoch, topics=[
                    {"name": topic, "partitions": [{"partition_index": partition, "committed_offset": offset,
                                                    "committed_metadata": ""}]}],
                **{**dict(member_id="", generation_id=-1), **fields})
            return answer["topics"][0]["partitions"][0]["error_code"], answer
        return self.retried(ask)[0]

    def end(self, commit, version=None):
        version = version or (TV2_END if self.v2 else 4)

        def ask():
            answer = self.client.call("EndTxn", version, transactional_id=self.name, producer_id=self.id,
                                      producer_epoch=self.epoch, committed=commit)
            return answer["error_code"], answer
        error, answer = self.retried(ask)
        if not error and version >= TV2_END:
            if (answer["producer_id"], answer["producer_epoch"]) != (self.id, self.epoch):
                self.sequences = {}
            self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]
        return error


def committed(case, group, topic, partition=0, stable=True):
    """What the group has committed, once that is settled; -1: nothing."""
    deadline = time.monotonic() + 30
    while True:
        with Client(case.node.host, case.node.port) as client:
            client.call("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
            answer = client.call("OffsetFetch", 7, group_id=group, require_stable=stable, topics=[
                {"name": topic, "partition_indexes": [partition]}])
        if answer["error_code"] not in Producer.RETRIES:
            case.assertError(answer["error_code"], ERR.NONE)
            part = answer["topics"][0]["partitions"][0]
            if part["error_code"] != ERR.UNSTABLE_OFFSET_COMMIT:
                case.assertError(part["error_code"], ERR.NONE)
                return part["committed_offset"]
        if time.monotonic() > deadline:
            return "unstable"
        time.sleep(0.02)


def visible(case, topic, partition=0):
    """The values that readers of committed records see, once nothing is open."""
    deadline = time.monotonic() + 30
    while True:
        with Client(case.node.host, case.node.port) as client:
            answer = case.fetch(client, topic, partition=partition, isolation_level=1)
        if answer["error_code"] == ERR.NONE and answer["last_stable_offset"] == answer["high_watermark"] >= 0:
            break
        if time.monotonic() > deadline:
            raise AssertionError(f"{topic}-{partition}: {answer['last_stable_offset']} of {answer['high_watermark']} are "
                                 f"stable, error {answer['error_code']}")
        time.sleep(0.02)
    aborted, out = sorted(answer["aborted_transactions"] or [], key=lambda t: t["first_offset"]), []
    open_aborted = set()
    for batch in records.parse(answer["records"] or b""):
        for t in aborted:
            if t["first_offset"] == batch.base_offset:
                open_aborted.add(t["producer_id"])
        if batch.attributes & 0x20:
            if batch.records[0].key == b"\0\0\0\0":
                open_aborted.discard(batch.producer_id)
        elif not (batch.attributes & TRANSACTIONAL and batch.producer_id in open_aborted):
            out += [r.value for r in batch.records]
    return out
