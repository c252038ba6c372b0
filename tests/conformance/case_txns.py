"""Producers' ids and transactions."""

from batches import T0
from cases import case
from case_topics import of_prefix
from records import batch
from side import PASSING

TRANSACTIONAL = 0x10


class Producer:
    """@v2: transactions version 2 (KIP-890). Its steps are compared if they have a label."""

    def __init__(self, side, v2=True, timeout_ms=60000, name=None):
        self.side, self.v2, self.name, self.sequence, self.timeout_ms = side, v2, name or side.fresh("x"), {}, timeout_ms
        side.coordinator(self.name, 1)
        self.init()

    def do(self, label, api, version, **fields):
        ask = self.side.quiet if label is None else self.side.call
        return ask(api, version, **({} if label is None else {"label": label}), **fields)

    @property
    def who(self):
        return dict(transactional_id=self.name, producer_id=self.id, producer_epoch=self.epoch)

    def init(self, label=None, version=5, **more):
        answer = self.do(label, "InitProducerId", version, **{**dict(
            transactional_id=self.name, transaction_timeout_ms=self.timeout_ms), **more})
        if not answer["error_code"]:
            self.id, self.epoch, self.sequence = answer["producer_id"], answer["producer_epoch"], {}
        return answer

    def add(self, topic, *partitions, label=None, version=3, **more):
        who = {f"v3_and_below_{k}": value for k, value in {**self.who, **more}.items()}
        return self.do(label, "AddPartitionsToTxn", version, **who, v3_and_below_topics=[
            {"name": topic, "partitions": list(partitions)}])

    def send(self, topic, partition=0, label=None, version=None, passing=PASSING, **header):
        at = self.sequence.get((topic, partition), 0)
        data = batch([b"x"], base_timestamp=T0, **{**dict(attributes=TRANSACTIONAL, producer_id=self.id, producer_epoch=self.epoch,
                                                         base_sequence=at), **header})
        answer = self.do(label, "Produce", (12 if self.v2 else 11) if version is None else version, acks=-1, timeout_ms=5000, transactional_id=self.name,
                         topic_data=[{"name": topic, "partition_data": [{"index": partition, "records": data}]}], passing=passing)
        if not answer["responses"][0]["partition_responses"][0]["error_code"]:
            self.sequence[topic, partition] = at + 1
        return answer

    def end(self, committed=True, label=None, version=None, **more):
        answer = self.do(label, "EndTxn", (5 if self.v2 else 4) if version is None else version, **{**self.who, **dict(committed=committed), **more})
        if not answer["error_code"] and "producer_id" in answer and answer["producer_id"] >= 0:
            if (self.id, self.epoch) != (answer["producer_id"], answer["producer_epoch"]):
                self.sequence = {}
            self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]
        return answer

    def begun(self, topic, *partitions):
        for p in partitions or (0,):
            if not self.v2:
                self.add(topic, p)
            self.send(topic, p)
        return self


def wrong(p):
    """What somebody who is not the producer in force says: (label, fields)."""
    return (("old epoch", dict(producer_epoch=p.epoch - 1)), ("next epoch", dict(producer_epoch=p.epoch + 1)),
            ("another id", dict(producer_id=p.id + 7777)), ("no id", dict(producer_id=-1, producer_epoch=-1)),
            ("unknown name", dict(transactional_id="nobody-" + p.name)), ("empty name", dict(transactional_id="")))


@case("InitProducerId")
def init_producer_id(side, v):
    def ask(label, **fields):
        return side.call("InitProducerId", v, label=label, **{**dict(transactional_id=None, transaction_timeout_ms=60000), **fields})
    ask("idempotent")
    ask("idempotent, no time", transaction_timeout_ms=0)
    ask("idempotent, negative time", transaction_timeout_ms=-1)
    name = side.fresh("x")
    side.coordinator(name, 1)
    first = ask("transactional", transactional_id=name)
    ask("again", transactional_id=name)
    ask("empty name", transactional_id="")
    for timeout in (0, -1, 900000, 900001):
        ask(f"time-out {timeout}", transactional_id=side.fresh("x"), transaction_timeout_ms=timeout)
    if v >= 3:
        who = dict(transactional_id=name, producer_id=first["producer_id"])
        ask("with its epoch", **who, producer_epoch=1)
        ask("lost answer", **who, producer_epoch=1)
        ask("old epoch", **who, producer_epoch=0)
        ask("epoch of nobody", **who, producer_epoch=50)
        ask("another id", transactional_id=name, producer_id=999999, producer_epoch=0)
        ask("id without an epoch", transactional_id=name, producer_id=5)
        ask("epoch without an id", transactional_id=name, producer_epoch=5)
        ask("unknown name with an id", transactional_id=side.fresh("x"), producer_id=5, producer_epoch=0)
        ask("idempotent with an id", producer_id=first["producer_id"], producer_epoch=0)
    topic, p = side.topic(), Producer(side)
    p.begun(topic)
    ask("while one is open", transactional_id=p.name)
    p.end(label="the fenced one ends")
    p.send(topic, label="the fenced one sends")


@case("AddPartitionsToTxn")
def add_partitions(side, v):
    topic, other = side.topic(3), side.topic()
    if v < 4:
        p = Producer(side, v2=False)
        p.add(topic, 0, label="one", version=v)
        p.add(topic, 0, label="again", version=v)
        p.add(topic, 1, 2, label="two", version=v)
        p.add(topic, 9, label="no such partition", version=v)
        p.add(side.fresh(), 0, label="unknown topic", version=v)
        p.add("a b", 0, label="no name for a topic", version=v)
        p.add(topic, label="no partitions", version=v)
        p.add(topic, 0, 0, label="twice", version=v)
        for label, fields in wrong(p):
            p.add(topic, 0, label=label, version=v, **fields)
        who = {f"v3_and_below_{k}": value for k, value in p.who.items()}
        side.call("AddPartitionsToTxn", v, label="one right, one wrong", **who, v3_and_below_topics=[
            {"name": topic, "partitions": [0, 9]}, {"name": other, "partitions": [0]}])
        side.call("AddPartitionsToTxn", v, label="nothing", **who, v3_and_below_topics=[])
        p.end(label="ends")
        return
    p, q = Producer(side, v2=False), Producer(side)
    p.add(topic, 0)
    topics = [{"name": topic, "partitions": [0, 1]}]

    def ask(label, *rows):
        side.call("AddPartitionsToTxn", v, label=label, transactions=list(rows))
    ask("looked at", {**p.who, "verify_only": True, "topics": topics})
    ask("added", {**q.who, "verify_only": False, "topics": topics})
    for label, fields in wrong(p):
        ask(label, {**p.who, **fields, "verify_only": True, "topics": topics})
        ask(f"{label}, to add", {**p.who, **fields, "verify_only": False, "topics": topics})
    ask("several", {**p.who, "verify_only": True, "topics": topics}, {**q.who, "verify_only": True, "topics": topics})
    ask("unknown topic", {**p.who, "verify_only": False, "topics": [{"name": side.fresh(), "partitions": [0]}] + topics})
    ask("unknown topic looked at", {**p.who, "verify_only": True, "topics": [{"name": side.fresh(), "partitions": [0]}]})
    ask("no topics", {**p.who, "verify_only": True, "topics": []})
    side.call("AddPartitionsToTxn", v, label="nothing", transactions=[], patience_s=1)


@case("AddOffsetsToTxn")
def add_offsets(side, v):
    p, group = Producer(side, v2=False), side.fresh("g")
    side.coordinator(group)

    def ask(label, **more):
        side.call("AddOffsetsToTxn", v, label=label, **{**p.who, **dict(group_id=group), **more})
    ask("one")
    ask("again")
    ask("no group", group_id="")
    for label, fields in wrong(p):
        ask(label, **fields)
    p.end(label="ends")


@case("EndTxn")
def end_txn(side, v):
    topic = side.topic()
    for committed in (True, False):
        what = "commit" if committed else "abort"
        p = Producer(side, v2=v >= 5)
        p.end(committed, label=f"{what} of nothing", version=v)
        p = Producer(side, v2=v >= 5).begun(topic)
        for label, fields in wrong(p):
            p.end(committed, label=f"{what}, {label}", version=v, **fields)
        before = p.epoch
        p.end(committed, label=what, version=v)
        after, p.epoch = p.epoch, before
        p.end(committed, label=f"{what} again", version=v)
        p.epoch = before
        p.end(not committed, label=f"{what} and the opposite", version=v)
        p.epoch = after
        p.end(committed, label=f"{what} once more", version=v)


@case("TxnOffsetCommit")
def txn_offset_commit(side, v):
    topic, group = side.topic(2), side.fresh("g")
    side.coordinator(group)
    p = Producer(side, v2=v >= 5)

    def ask(label, *rows, topics=None, **more):
        names = dict(member_id="", generation_id=-1) if v >= 3 else {}
        side.call("TxnOffsetCommit", v, label=label, **{**p.who, **dict(group_id=group), **names, **dict(topics=topics if topics is not None else [
            {"name": topic, "partitions": [{"partition_index": i, "committed_offset": o, "committed_metadata": text}
                                           for i, o, text in rows or [(0, 5, "m")]]}]), **more})
    if v < 5:
        ask("not added")
        p.do(None, "AddOffsetsToTxn", 3, **p.who, group_id=group)
    ask("one")
    ask("two", (0, 6, "m"), (1, 7, None))
    ask("text too long", (0, 6, "x" * 5000))
    ask("no such partition", (9, 6, "m"), (0, 8, "m"))
    ask("unknown topic", topics=[{"name": side.fresh(), "partitions": [{"partition_index": 0, "committed_offset": 1,
                                                                        "committed_metadata": ""}]}])
    ask("nothing", topics=[])
    ask("no group", group_id="")
    for label, fields in wrong(p):
        ask(label, **fields)
    if v >= 3:
        ask("unknown member", member_id="nobody", generation_id=1)
        ask("generation of nobody", generation_id=7)
        ask("unknown instance", group_instance_id="nobody")
    for stable in (False, True):
        side.call("OffsetFetch", 7, label=f"before the end, stable {stable}", group_id=group, require_stable=stable, topics=[
            {"name": topic, "partition_indexes": [0, 1]}])
    p.end(label="ends")
    side.call("OffsetFetch", 7, label="after the end", group_id=group, require_stable=True, topics=[
        {"name": topic, "partition_indexes": [0, 1]}], until=lambda a: not any(
            q["error_code"] for t in a["topics"] for q in t["partitions"]))


@case("WriteTxnMarkers")
def write_txn_markers(side, v):
    topic = side.topic(2)
    p = Producer(side).begun(topic)

    def ask(label, *topics, **more):
        side.call("WriteTxnMarkers", v, label=label, markers=[{**dict(
            producer_id=p.id, producer_epoch=p.epoch + (1 if v >= 2 else 0), transaction_result=False, coordinator_epoch=5,
            topics=[{"name": t, "partition_indexes": i} for t, i in topics]), **({"transaction_version": 2} if v >= 2 else {}), **more}])
    ask("not there", (topic, [9]), (side.fresh(), [0]))
    ask("old epoch", (topic, [0]), producer_epoch=p.epoch - 1)
    ask("one", (topic, [0]))
    ask("again", (topic, [0]))
    ask("old coordinator", (topic, [0]), coordinator_epoch=3)
    ask("unknown producer", (topic, [0]), producer_id=p.id + 7777)
    ask("no partitions", (topic, []))
    side.call("WriteTxnMarkers", v, label="nothing", markers=[])


@case("DescribeTransactions")
def describe_transactions(side, v):
    def ask(label, *names):
        side.call("DescribeTransactions", v, label=label, transactional_ids=list(names))
    topic, fresh = side.topic(2), Producer(side)
    p = Producer(side).begun(topic, 1, 0)
    ask("nothing open", fresh.name)
    ask("open", p.name)
    ask("unknown", side.fresh("x"))
    ask("no name", "")
    ask("several, one twice", p.name, fresh.name, p.name)
    ask("none")
    p.end()
    side.call("DescribeTransactions", v, label="committed", transactional_ids=[p.name],
              until=lambda a: a["transaction_states"][0]["transaction_state"] == "CompleteCommit")


@case("ListTransactions")
def list_transactions(side, v):
    def ask(label, **fields):
        side.call("ListTransactions", v, label=label, **fields, keep=of_prefix(side, "transaction_states", "transactional_id"))
    topic, fresh = side.topic(2), Producer(side)
    p = Producer(side).begun(topic)
    ask("all")
    for states in (["Ongoing"], ["Empty"], ["ongoing"], ["Nonsense"], ["Ongoing", "Nonsense"], [""]):
        ask(f"states {states}", state_filters=states)
    ask("by producer", producer_id_filters=[p.id])
    ask("by nobody", producer_id_filters=[p.id + 7777])
    ask("by both", producer_id_filters=[p.id, fresh.id], state_filters=["Empty"])
    if v >= 1:
        for duration in (-1, 0, 100000, -5):
            ask(f"longer than {duration}", duration_filter=duration)
    if v >= 2:
        for pattern in ("", ".*", "nobody", fresh.name[:-1] + ".", "(", "[a", None):
            ask(f"pattern {pattern}", transactional_id_pattern=pattern)


@case("Produce")
def produce_in_transactions(side, v):
    if v > 12:          # by id: the rest is the same
        return
    topic, p = side.topic(2), Producer(side, v2=v >= 12)
    if v < 12:
        p.send(topic, label="not added", version=v)
        p.add(topic, 0)
    p.send(topic, label="first", version=v)
    p.send(topic, label="second", version=v)
    p.send(topic, 1, label="another partition", version=v)
    p.send(topic, label="not transactional", version=v, attributes=0)
    p.send(topic, label="next epoch", version=v, producer_epoch=p.epoch + 1)
    p.send(topic, label="another producer", version=v, producer_id=p.id + 7777)
    p.send(topic, label="gap", version=v, base_sequence=9)
    p.end(label="ends")
    if v >= 12:         # before, it depends on whether the marker was there already
        p.send(topic, label="after the end", version=v, base_sequence=2)
