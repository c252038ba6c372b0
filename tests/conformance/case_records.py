"""Records in and out: Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, DeleteRecords, and what tells of logs."""

import records
from batches import GOOD, T0, odd_batches
from cases import case
from records import Record, batch
from side import by_topic

NOBODY = bytes(range(16))


def named(side, topic, version, since, key="name"):
    """A topic by name, or from version @since on by its id; bytes are an id."""
    if version < since:
        return {key: topic if isinstance(topic, str) else "no-such-topic"}
    return {"topic_id": topic if isinstance(topic, bytes) else side.topic_id(topic)}


# ---- Produce ----

def produce(side, version, label, *parts, acks=-1, **fields):
    """@parts: (topic, partition, data)."""
    topics = [{**named(side, t, version, 13), "partition_data": [{"index": p, "records": data} for p, data in rows]}
              for t, rows in by_topic(parts)]
    return side.call("Produce", version, **{**dict(label=label, acks=acks, timeout_ms=10000, topic_data=topics), **fields})


def stored(side, topic, partition=0, what=""):
    """What is in a partition, as a note."""
    answer = side.quiet("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, topics=[
        {"topic": topic, "partitions": [{"partition": partition, "fetch_offset": 0, "partition_max_bytes": 1 << 26}]}])
    side.note("Fetch", 12, f"what is stored of {what or partition}", answer["responses"][0]["partitions"][0])


@case("Produce")
def produce_batches(side, v):
    topic = side.topic(2)
    produce(side, v, "good", (topic, 0, GOOD))
    produce(side, v, "acks 1", (topic, 1, GOOD), acks=1)
    produce(side, v, "two partitions and one that is not there", (topic, 0, GOOD), (topic, 1, GOOD), (topic, 7, GOOD))
    produce(side, v, "no bytes", (topic, 0, b""))
    for acks in (2, -2):
        produce(side, v, f"acks {acks}", (topic, 0, GOOD), acks=acks)
    produce(side, v, "wrong CRC", (topic, 0, GOOD[:-1] + b"?"))
    produce(side, v, "zstd", (topic, 0, batch([b"x"], codec="zstd", base_timestamp=T0)))
    produce(side, v, "larger than allowed", (topic, 0, batch([b"x" * 1100000], base_timestamp=T0)))
    stored(side, topic)
    stored(side, topic, 1)


@case("Produce")
def produce_odd_batches(side, v):
    """Each in a partition of its own, so that one that is taken does not move the next."""
    if v not in (3, 7, 13):             # nothing in them depends on other versions
        return
    odd = odd_batches()
    topic = side.topic(len(odd))
    for partition, (what, data) in enumerate(odd.items()):
        produce(side, v, what, (topic, partition, data))
        stored(side, topic, partition, what)


@case("Produce")
def produce_nothing(side, v):
    """Kafka does not answer: its handler fails and the client waits."""
    if v in (3, 13):
        produce(side, v, "null records", (side.topic(), 0, None), patience_s=2)


@case("Produce")
def produce_names(side, v):
    topic, good = side.topic(), batch([b"a"], base_timestamp=T0)
    produce(side, v, "unknown", (NOBODY if v >= 13 else side.fresh(), 0, good))
    if v >= 13:
        produce(side, v, "no id", (bytes(16), 0, good))
    else:
        for name in ("", "a b", "x" * 250, ".", ".."):
            produce(side, v, f"name {name[:5]}", (name, 0, good))
    produce(side, v, "partition -1", (topic, -1, good))
    ref = named(side, topic, v, 13)
    side.call("Produce", v, label="topic twice", acks=-1, timeout_ms=5000, topic_data=[
        {**ref, "partition_data": [{"index": 0, "records": good}]}] * 2)
    side.call("Produce", v, label="partition twice", acks=-1, timeout_ms=5000, topic_data=[
        {**ref, "partition_data": [{"index": 0, "records": good}, {"index": 0, "records": good}]}])
    side.call("Produce", v, label="no partitions", acks=-1, timeout_ms=5000, topic_data=[{**ref, "partition_data": []}])
    side.call("Produce", v, label="no topics", acks=-1, timeout_ms=5000, topic_data=[])
    side.call("Produce", v, label="no topics, acks 5", acks=5, timeout_ms=5000, topic_data=[])
    topic = side.topic()
    ref = named(side, topic, v, 13)
    side.coordinator("g")
    produce(side, v, "internal topic", ("__consumer_offsets", 0, good))
    produce(side, v, "transactional id, no transaction", (topic, 0, good), transactional_id="x")
    produce(side, v, "empty transactional id", (topic, 0, good), transactional_id="")
    produce(side, v, "transactional batch without an id", (
        topic, 0, batch([b"x"], attributes=0x10, producer_id=4000, producer_epoch=0, base_sequence=0)))
    for timeout in (0, -1):
        side.call("Produce", v, label=f"time-out {timeout}", acks=-1, timeout_ms=timeout, topic_data=[
            {**ref, "partition_data": [{"index": 0, "records": good}]}])


@case("Produce")
def produce_configured(side, v):
    compacted, dated = side.topic(cleanup_policy="compact"), side.topic(message_timestamp_type="LogAppendTime")
    small = side.topic(max_message_bytes=100)
    bounds = side.topic(message_timestamp_before_max_ms=1000, message_timestamp_after_max_ms=1000)
    zipped = side.topic(compression_type="gzip")
    produce(side, v, "without a key", (compacted, 0, batch([Record(b"x", key=b"k"), Record(b"y"), Record(b"z")])))
    produce(side, v, "with a key", (compacted, 0, batch([Record(b"x", key=b"k"), Record(None, key=b"k")], base_timestamp=T0)))
    produce(side, v, "dated by the broker", (dated, 0, batch([b"x"], base_timestamp=T0)))
    produce(side, v, "type set by the producer", (dated, 0, batch([b"x"], attributes=8)))
    produce(side, v, "too large", (small, 0, batch([b"x" * 100])))
    now = records.now_ms()
    produce(side, v, "too old", (bounds, 0, batch([Record(b"x", timestamp=now), Record(b"y", timestamp=now - 60000),
                                                   Record(b"z", timestamp=now - 70000)])))
    produce(side, v, "too new", (bounds, 0, batch([Record(b"x", timestamp=now + 60000)])))
    produce(side, v, "compressed by the broker", (zipped, 0, batch([b"x" * 50], base_timestamp=T0)))
    stored(side, compacted)
    stored(side, dated)


@case("Produce")
def produce_sequences(side, v):
    topic = side.topic()
    producer = side.quiet("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=1000)["producer_id"]

    def send(label, sequence, epoch=0, count=1, **header):
        produce(side, v, label, (topic, 0, batch([b"x"] * count, base_timestamp=T0, **{**dict(
            producer_id=producer, producer_epoch=epoch, base_sequence=sequence), **header})))
    send("first", 0, count=3)
    send("again", 0, count=3)
    send("next", 3)
    send("gap", 7)
    send("part of one before", 1)
    send("new epoch not at 0", 5, epoch=1)
    send("new epoch", 0, epoch=1)
    send("old epoch", 4)
    for i in range(1, 7):
        send("on", i, epoch=1)
    send("the last five", 2, epoch=1)
    send("before them", 0, epoch=1)
    send("no sequence", -1, epoch=1)
    send("no epoch", 0, epoch=-1)
    send("unknown producer with any sequence", 100, producer_id=900000)
    send("wrapping", (1 << 31) - 1, producer_id=900001, count=2)
    send("after the wrap", 1, producer_id=900001)
    stored(side, topic)


# ---- Fetch ----

def part(partition=0, offset=0, size=1 << 20, **fields):
    return dict(partition=partition, fetch_offset=offset, partition_max_bytes=size, **fields)


def fetch(side, version, label, *parts, wait=0, least=1, most=1 << 26, keep=None, **fields):
    """@parts: (topic, part())."""
    topics = [{**named(side, t, version, 13, "topic"), "partitions": [p for p, in rows]} for t, rows in by_topic(parts)]
    return side.call("Fetch", version, label=label, keep=keep, max_wait_ms=wait, min_bytes=least, max_bytes=most,
                     **{**dict(topics=topics), **fields})


@case("Fetch")
def fetch_offsets(side, v):
    topic, empty = side.topic(2), side.topic()
    side.fill(topic, [b"a", b"b", b"c"], [b"d"], batch([b"e", b"f"], codec="gzip", base_timestamp=T0))
    for offset in (0, 1, 3, 5, 6, 7, -1, -2, 1 << 40):
        fetch(side, v, f"offset {offset}", (topic, part(offset=offset)))
    fetch(side, v, "committed", (topic, part()), isolation_level=1)
    fetch(side, v, "isolation 9", (topic, part()), isolation_level=9)
    fetch(side, v, "empty", (empty, part()))
    fetch(side, v, "several", (topic, part()), (topic, part(1)), (empty, part()))
    fetch(side, v, "no such partition", (topic, part(7)), (topic, part()), (topic, part(-1)))
    fetch(side, v, "small", (topic, part(size=1)))
    fetch(side, v, "size 0", (topic, part(size=0)))
    fetch(side, v, "negative size", (topic, part(size=-1)))
    fetch(side, v, "small answer", (topic, part()), (topic, part(1)), most=1)
    fetch(side, v, "negative answer", (topic, part()), most=-1)
    fetch(side, v, "one batch", (topic, part(size=80)))
    fetch(side, v, "waits in vain", (empty, part()), wait=100)
    fetch(side, v, "partition twice", (topic, part()), (topic, part(offset=3)))
    fetch(side, v, "topic twice", topics=[{**named(side, topic, v, 13, "topic"), "partitions": [part(i)]} for i in (0, 1)])
    fetch(side, v, "topics and no partitions", topics=[{**named(side, topic, v, 13, "topic"), "partitions": []}])
    fetch(side, v, "nothing", topics=[])
    side.quiet("DeleteRecords", 1, timeout_ms=5000, topics=[{"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}])
    for offset in (0, 2):
        fetch(side, v, f"start moved, offset {offset}", (topic, part(offset=offset)))


@case("Fetch")
def fetch_names(side, v):
    topic = side.topic()
    side.fill(topic, [b"a"])
    fetch(side, v, "unknown", (NOBODY if v >= 13 else side.fresh(), part()), (topic, part()))
    if v >= 13:
        fetch(side, v, "no id", (bytes(16), part()))
    else:
        fetch(side, v, "no name", ("", part()))
        fetch(side, v, "no name that could be", ("a b", part()))
    deleted = side.topic()
    gone = side.topic_id(deleted)
    side.gone(deleted)
    fetch(side, v, "deleted", (gone if v >= 13 else deleted, part()))
    side.coordinator("g")
    side.ready("__consumer_offsets", 50)
    fetch(side, v, "internal", ("__consumer_offsets", part(49)), keep=lambda a: [
        p["error_code"] for t in a["responses"] for p in t["partitions"]])


@case("Fetch")
def fetch_epochs(side, v):
    topic = side.topic()
    side.fill(topic, [b"a"])
    if v >= 9:
        for epoch in (-1, 0, 1, -2):
            fetch(side, v, f"leader epoch {epoch}", (topic, part(current_leader_epoch=epoch)))
        fetch(side, v, "epoch and offset wrong", (topic, part(offset=99, current_leader_epoch=1)))
    if v >= 12:
        for last, offset in ((0, 0), (0, 1), (0, 5), (3, 0), (-1, 1)):
            fetch(side, v, f"last epoch {last} at {offset}", (topic, part(offset=offset, last_fetched_epoch=last)))
    if v >= 5:
        fetch(side, v, "log start told", (topic, part(log_start_offset=0)))
    if v >= 11:
        fetch(side, v, "rack", (topic, part()), rack_id="somewhere")


@case("Fetch")
def fetch_sessions(side, v):
    if v < 7:
        return
    topic, other = side.topic(2), side.topic()
    side.fill(topic, [b"a"])

    def go(label, *parts, **fields):
        return fetch(side, v, label, *parts, **fields)
    ids = {t: named(side, t, v, 13, "topic") for t in (topic, other)}
    answer = go("without", (topic, part()), session_id=0, session_epoch=-1)
    answer = go("new", (topic, part()), (topic, part(1)), session_id=0, session_epoch=0)
    sid = answer["session_id"]
    go("nothing new", session_id=sid, session_epoch=1)
    side.fill(topic, [b"b"], partition=1)
    go("one has news", session_id=sid, session_epoch=2)
    go("wrong epoch", session_id=sid, session_epoch=9)
    go("old epoch", session_id=sid, session_epoch=1)
    go("moved on", (topic, part(offset=1)), (topic, part(1, offset=1)), session_id=sid, session_epoch=3)
    go("one more", (other, part()), session_id=sid, session_epoch=4)
    go("one that is not there", (other, part(5)), session_id=sid, session_epoch=5)
    go("told again", session_id=sid, session_epoch=6)
    go("forgotten", session_id=sid, session_epoch=7, forgotten_topics_data=[{**ids[other], "partitions": [0, 5]}])
    go("forgotten that is not there", session_id=sid, session_epoch=8, forgotten_topics_data=[
        {**ids[other], "partitions": [0]}])
    go("unknown session", session_id=987654, session_epoch=1)
    go("no session with an epoch", session_id=0, session_epoch=5)
    go("closed", (topic, part()), session_id=sid, session_epoch=-1)
    go("gone", session_id=sid, session_epoch=9)
    go("unknown closed", (topic, part()), session_id=987654, session_epoch=-1)
    go("unknown begun", (topic, part()), session_id=987654, session_epoch=0)
    if v >= 13:
        sid = go("by id", (topic, part()), session_id=0, session_epoch=0)["session_id"]
        side.call("Fetch", 12, label="on by name", max_wait_ms=0, topics=[{"topic": topic, "partitions": [part()]}],
                  session_id=sid, session_epoch=1)
        go("unknown id in a session", (NOBODY, part()), session_id=sid, session_epoch=1)
        go("told again", session_id=sid, session_epoch=2)


# ---- ListOffsets, OffsetForLeaderEpoch, DeleteRecords ----

@case("ListOffsets")
def list_offsets(side, v):
    topic, empty = side.topic(2), side.topic()
    side.fill(topic, batch([Record(b"a", timestamp=T0), Record(b"b", timestamp=T0 + 50), Record(b"c", timestamp=T0 + 10)]),
              batch([Record(b"d", timestamp=T0 + 5)]))

    def ask(label, *parts, **fields):
        topics = [{"name": t, "partitions": [{"partition_index": p, "timestamp": at, **more} for p, at, more in rows]}
                  for t, rows in by_topic(parts)]
        if v >= 10:
            fields.setdefault("timeout_ms", 5000)
        return side.call("ListOffsets", v, label=label, **{**dict(replica_id=-1, topics=topics), **fields})
    for at in (-1, -2, -3, -4, -5, -6, -7, -100, 0, T0, T0 + 1, T0 + 5, T0 + 20, T0 + 50, T0 + 51):
        ask(f"at {at - T0 if at > 0 else at}", (topic, 0, at, {}), (empty, 0, at, {}))
    if v >= 2:
        ask("committed", (topic, 0, -1, {}), isolation_level=1)
        ask("isolation 9", (topic, 0, -1, {}), isolation_level=9)
    ask("not there", (topic, 9, -1, {}), (side.fresh(), 0, -1, {}), (topic, 1, -1, {}), (topic, -1, -1, {}))
    ask("no name that could be", ("a b", 0, -1, {}))
    if v >= 4:
        for epoch in (-1, 0, 1, -2):
            ask(f"epoch {epoch}", (topic, 0, -1, {"current_leader_epoch": epoch}), (topic, 1, T0, {"current_leader_epoch": epoch}))
    ask("nothing", topics=[])
    ask("no partitions", topics=[{"name": topic, "partitions": []}])
    ask("twice", topics=[{"name": topic, "partitions": [{"partition_index": 0, "timestamp": -1},
                                                        {"partition_index": 0, "timestamp": -2}]}])
    ask("topic twice", topics=[{"name": topic, "partitions": [{"partition_index": 0, "timestamp": at}]} for at in (-1, -2)])
    for replica in (1, 77, -2, -3):
        ask(f"replica {replica}", (topic, 0, -1, {}), replica_id=replica)
    side.quiet("DeleteRecords", 1, timeout_ms=5000, topics=[{"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}])
    for at in (-1, -2, -3, -4, T0, T0 + 5, T0 + 20):
        ask(f"start moved, at {at - T0 if at > 0 else at}", (topic, 0, at, {}))


@case("OffsetForLeaderEpoch")
def leader_epochs(side, v):
    topic, empty = side.topic(2), side.topic()
    side.fill(topic, [b"a", b"b"])

    def ask(label, *parts, **fields):
        topics = [{"topic": t, "partitions": [{"partition": p, "leader_epoch": e, **more} for p, e, more in rows]}
                  for t, rows in by_topic(parts)]
        replica = {"replica_id": -1} if v >= 3 else {}
        return side.call("OffsetForLeaderEpoch", v, label=label, **{**replica, **dict(topics=topics), **fields})
    for epoch in (0, 1, -1, -2, 1 << 30):
        ask(f"of {epoch}", (topic, 0, epoch, {}), (empty, 0, epoch, {}))
    for current in (-1, 0, 1, -2):
        ask(f"current {current}", (topic, 0, 0, {"current_leader_epoch": current}))
    ask("not there", (topic, 9, 0, {}), (side.fresh(), 0, 0, {}), (topic, 1, 0, {}), ("a b", 0, 0, {}))
    ask("nothing", topics=[])
    ask("no partitions", topics=[{"topic": topic, "partitions": []}])
    ask("twice", topics=[{"topic": topic, "partitions": [{"partition": 0, "leader_epoch": 0}] * 2}])


@case("DeleteRecords")
def delete_records(side, v):
    topic, compacted = side.topic(2), side.topic(cleanup_policy="compact")
    both = side.topic(cleanup_policy="compact,delete")
    side.fill(topic, [b"a", b"b"], [b"c", b"d"])
    for t in (compacted, both):
        side.fill(t, batch([Record(b"x", key=b"k")]))

    def ask(label, *parts, **fields):
        topics = [{"name": t, "partitions": [{"partition_index": p, "offset": o} for p, o in rows]} for t, rows in by_topic(parts)]
        return side.call("DeleteRecords", v, label=label, **{**dict(timeout_ms=5000, topics=topics), **fields})
    for offset in (0, 1, 3, 1, 5, -2, -1, 0, 4):
        ask(f"to {offset}", (topic, 0, offset))
    ask("empty partition", (topic, 1, -1))
    ask("empty partition to 1", (topic, 1, 1))
    ask("not there", (topic, 9, 0), (side.fresh(), 0, 0), (topic, 1, 0), ("a b", 0, 0))
    ask("compacted", (compacted, 0, 1), (both, 0, 1))
    side.coordinator("g")
    ask("internal", ("__consumer_offsets", 0, 0))
    ask("nothing", topics=[])
    ask("no partitions", topics=[{"name": topic, "partitions": []}])
    ask("twice", topics=[{"name": topic, "partitions": [{"partition_index": 0, "offset": 4}] * 2}])
    ask("no time", (topic, 1, 0), timeout_ms=0)
    ask("negative time", (topic, 1, 0), timeout_ms=-1)


# ---- what tells of logs ----

@case("DescribeLogDirs")
def log_dirs(side, v):
    topic = side.topic(2)
    side.fill(topic, [b"a", b"b"])

    def ask(label, topics):
        side.call("DescribeLogDirs", v, label=label, topics=topics)
    ask("both", [{"topic": topic, "partitions": [0, 1]}])
    ask("one and one that is not there", [{"topic": topic, "partitions": [0, 9]}])
    ask("unknown", [{"topic": side.fresh(), "partitions": [0]}])
    ask("no partitions", [{"topic": topic, "partitions": []}])
    ask("nothing", [])
    ask("twice", [{"topic": topic, "partitions": [0, 0]}])
    side.call("DescribeLogDirs", v, label="all", topics=None, keep=lambda a: [
        {"error_code": r["error_code"], "topics": [t for t in r["topics"] if t["name"] == topic]} for r in a["results"]])


@case("DescribeProducers")
def producers(side, v):
    topic = side.topic(2)
    producer = side.quiet("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=1000)["producer_id"]
    side.fill(topic, batch([b"x", b"y"], base_timestamp=T0, producer_id=producer, producer_epoch=0, base_sequence=0))

    def ask(label, topics):
        side.call("DescribeProducers", v, label=label, topics=topics)
    ask("one", [{"name": topic, "partition_indexes": [0, 1]}])
    ask("not there", [{"name": topic, "partition_indexes": [9]}, {"name": side.fresh(), "partition_indexes": [0]},
                      {"name": "a b", "partition_indexes": [0]}])
    ask("nothing", [])
    ask("no partitions", [{"name": topic, "partition_indexes": []}])
    ask("twice", [{"name": topic, "partition_indexes": [0, 0]}])
