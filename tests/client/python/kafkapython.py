"""kafka-python (pure Python) against a broker: Debian's 2.0.2 and the current 3.x run this same file.

The producer and the consumer kept their interface from 2.0 to 3.0; the admin client did not, so Old and New below
give both one face. Joining a group blocks in this client, so every group member has a thread of its own.
"""
import logging
import sys
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as E
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

from checks import (CODECS, MIB, RUN, Skip, bootstrap, check, expect, expect_true, group_name, main, noise,
                    topic_name, topics_made, until, values)

logging.getLogger("kafka").setLevel(logging.CRITICAL)
BOOTSTRAP = bootstrap()
IS_OLD = int(kafka.__version__.split(".")[0]) < 3


class Old:
    """The admin client of kafka-python 2.0: raw responses."""

    def __init__(self):
        self.a = KafkaAdminClient(bootstrap_servers=BOOTSTRAP, api_version_auto_timeout_ms=5000)

    def configs(self, kind, name):
        answers = self.a.describe_configs([ConfigResource(kind, name)])
        return {row[0]: row[1] for row in answers[0].resources[0][4]}

    def alter(self, name, **config):
        answer = self.a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dots(config))])
        return answer.resources[0][0]

    def group(self, group):
        got = self.a.describe_consumer_groups([group])[0]
        return got.state, len(got.members)

    def groups(self):
        return [g[0] for g in self.a.list_consumer_groups()]

    def group_offsets(self, group):
        return {tp: om.offset for tp, om in self.a.list_consumer_group_offsets(group).items()}

    def delete_group(self, group):
        return self.a.delete_consumer_groups([group])[0][1].__name__

    def grow(self, name, count):
        self.a.create_partitions({name: NewPartitions(count)})


class New:
    """The admin client of kafka-python 3: dictionaries."""

    def __init__(self):
        self.a = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)

    def configs(self, kind, name):
        got = self.a.describe_configs([ConfigResource(kind, name)], config_filter="all")
        return {key: row["value"] for key, row in got[kind.name.lower()][name].items()}

    def alter(self, name, **config):
        got = self.a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dots(config))],
                                   raise_on_unknown=False)["topic"][name]
        return 0 if got == "OK" else int(got.split("[Error ")[1].split("]")[0])

    def group(self, group):
        got = self.a.describe_groups([group])[group]
        return got["group_state"], len(got["members"])

    def groups(self):
        return [g["group_id"] for g in self.a.list_groups()]

    def group_offsets(self, group):
        return {tp: om.offset for tp, om in self.a.list_group_offsets(group)[group].items()}

    def delete_group(self, group):
        got = self.a.delete_groups([group])[group]
        return "NoError" if got == "OK" else got

    def grow(self, name, count):
        self.a.create_partitions({name: count})


def dots(config):
    return {k.replace("_", "."): str(v) for k, v in config.items()}


admin = Old() if IS_OLD else New()


def make(tag, partitions=1, **config):
    name = topic_name(tag)
    admin.a.create_topics([NewTopic(name, partitions, 1, topic_configs=dots(config))], timeout_ms=15000)
    until(f"{name} has {partitions} partitions", lambda: len(partitions_of(name)) == partitions)
    return name


def partitions_of(name):
    got = admin.a.describe_topics([name])[0]
    key = "partition" if "partition" in str(got["partitions"][:1]) and IS_OLD else "partition_index"
    return sorted(p[key] for p in got["partitions"])


def produce(name, records, **conf):
    """Send @records (keyword arguments of send()) and return what each send was answered."""
    conf = {"linger_ms": 20, "retries": 3, **conf}
    if not IS_OLD and conf.get("acks") in (0, 1):
        conf["enable_idempotence"] = False
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **conf)
    try:
        futures = [producer.send(name, **record) for record in records]
        producer.flush(40)
        return [f.get(20) for f in futures]
    finally:
        producer.close(10)


def consumer(group=None, topics=(), **conf):
    return KafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, group_id=group and group_name(group),
                         **{"enable_auto_commit": False, "auto_offset_reset": "earliest",
                            "fetch_max_wait_ms": 100, **conf})


def read(name, start=0, partitions=(0,), **conf):
    """Every message of @partitions from @start to the end of each, as the end is now."""
    c = consumer(check_crcs=True, **conf)
    try:
        parts = [TopicPartition(name, p) for p in partitions]
        c.assign(parts)
        for tp in parts:
            c.seek(tp, start)
        ends = c.end_offsets(parts)
        return take(c, sum(max(0, end - start) for end in ends.values()))
    finally:
        c.close()


def take(c, count, timeout_s=40):
    out, deadline = [], time.monotonic() + timeout_s
    while len(out) < count:
        for rows in c.poll(500, max_records=count - len(out)).values():
            out += rows
        expect_true(f"{len(out)} of {count} messages after {timeout_s} s", time.monotonic() < deadline)
    return out


def fails_with(error, fn):
    try:
        fn()
    except error:
        return
    except Exception as exc:
        raise AssertionError(f"{type(exc).__name__} ({exc}) instead of {error.__name__}") from exc
    raise AssertionError(f"no error, expected {error.__name__}")


# -- cluster and topics ---------------------------------------------------------------------------------------

@check("cluster")
def cluster():
    got = admin.a.describe_cluster()
    expect_true("no cluster id", got["cluster_id"])
    addresses = [f"{b['host']}:{b['port']}" for b in got["brokers"]]
    expect_true(f"{BOOTSTRAP} is not among {addresses}", BOOTSTRAP in addresses)


@check("topic-create")
def topic_create():
    name = make("create", 3, retention_ms=123456)
    expect("partitions", partitions_of(name), [0, 1, 2])
    fails_with(E.TopicAlreadyExistsError, lambda: admin.a.create_topics([NewTopic(name, 1, 1)]))
    fails_with(E.InvalidTopicError, lambda: admin.a.create_topics([NewTopic("no/slash", 1, 1)]))
    fails_with(E.InvalidReplicationFactorError, lambda: admin.a.create_topics([NewTopic(f"{RUN}-rf", 1, 30)]))
    admin.a.create_topics([NewTopic(f"{RUN}-dry", 1, 1)], validate_only=True)
    expect_true("validate_only made a topic", f"{RUN}-dry" not in admin.a.list_topics())


@check("topic-partitions")
def topic_partitions():
    name = make("grow", 1)
    admin.grow(name, 4)
    until("4 partitions", lambda: partitions_of(name) == [0, 1, 2, 3])
    fails_with(E.InvalidPartitionsError, lambda: admin.grow(name, 2))
    produce(name, [{"value": b"x", "partition": 3}])
    expect("messages in the new partition", len(read(name, partitions=(3,))), 1)


@check("topic-describe")
def topic_describe():
    if IS_OLD:
        raise Skip("this release has no DescribeTopicPartitions")
    name = make("describe", 2)
    got = admin.a.describe_topic_partitions([name])["topics"][0]
    expect("name", got["name"], name)
    expect("partitions", sorted(p["partition_index"] for p in got["partitions"]), [0, 1])


@check("config-describe")
def config_describe():
    name = make("cfg-describe", 1, retention_ms=123456)
    got = admin.configs(ConfigResourceType.TOPIC, name)
    expect("retention.ms", got["retention.ms"], "123456")
    expect("cleanup.policy", got["cleanup.policy"], "delete")
    node = admin.a.describe_cluster()["brokers"][0]["node_id" if IS_OLD else "broker_id"]
    broker = admin.configs(ConfigResourceType.BROKER, str(node))
    for key in ("num.partitions", "auto.create.topics.enable", "message.max.bytes"):
        expect_true(f"broker has no {key}", key in broker)


@check("config-alter")
def config_alter():
    name = make("cfg-alter", 1)
    expect("answer", admin.alter(name, retention_ms=777000), 0)
    until("altered", lambda: admin.configs(ConfigResourceType.TOPIC, name)["retention.ms"] == "777000")
    if not IS_OLD:
        admin.a.reset_configs([ConfigResource(ConfigResourceType.TOPIC, name, ["retention.ms"])])
        until("reset", lambda: admin.configs(ConfigResourceType.TOPIC, name)["retention.ms"] != "777000")


@check("config-invalid")
def config_invalid():
    name = make("cfg-bad", 1)
    expect("retention.ms=soon", admin.alter(name, retention_ms="soon"), 40)
    expect("cleanup.policy=shred", admin.alter(name, cleanup_policy="shred"), 40)


# -- producing ------------------------------------------------------------------------------------------------

def codec_check(codec):
    def run():
        name = make(f"codec-{codec}", 1)
        sent = values(300, 400)
        done = produce(name, [{"value": v} for v in sent], compression_type=None if codec == "none" else codec)
        expect("offsets", [m.offset for m in done], list(range(300)))
        expect("values", [m.value for m in read(name)], sent)
    return run


for _codec in CODECS:
    check(f"produce-{_codec}")(codec_check(_codec))


def acks_check(acks):
    def run():
        name = make(f"acks-{acks}", 1)
        sent = values(100)
        produce(name, [{"value": v} for v in sent], acks=acks)
        got = until("100 messages", lambda: (lambda m: m if len(m) == 100 else None)(read(name)))
        expect("values", [m.value for m in got], sent)
    return run


check("acks-0")(acks_check(0))
check("acks-1")(acks_check(1))
check("acks-all")(acks_check("all"))


@check("idempotent")
def idempotent():
    if IS_OLD:
        raise Skip("this release has no idempotent producer")
    name = make("idempotent", 2)
    sent = values(2000)
    for part in (0, 1):
        produce(name, [{"value": v, "partition": part} for v in sent], enable_idempotence=True, linger_ms=1,
                batch_size=4096)
        expect(f"values of partition {part}", [m.value for m in read(name, partitions=(part,))], sent)


@check("record-shape")
def record_shape():
    name = make("shape", 1)
    stamp = int(time.time() * 1000) - 3600_000
    records = [
        {"value": b"v", "key": b"k"},
        {"value": None, "key": b"tombstone"},
        {"value": b"", "key": b""},
        {"value": b"no key"},
        {"value": b"h", "headers": [("a", b"1"), ("a", b"2"), ("empty", b""), ("\u00fcber", bytes(range(256)))]},
    ]
    produce(name, [{**r, "timestamp_ms": stamp + i, "partition": 0} for i, r in enumerate(records)])
    got = read(name)
    expect("keys", [m.key for m in got], [r.get("key") for r in records])
    expect("values", [m.value for m in got], [r["value"] for r in records])
    expect("headers", list(got[4].headers), records[4]["headers"])
    expect("timestamps", [(m.timestamp_type, m.timestamp) for m in got], [(0, stamp + i) for i in range(5)])


@check("log-append-time")
def log_append_time():
    name = make("lat", 1, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000) - 1000
    produce(name, [{"value": v, "timestamp_ms": 1000} for v in values(10)], compression_type="gzip")
    for msg in read(name):
        expect("timestamp type", msg.timestamp_type, 1)
        expect_true(f"{msg.timestamp} is not the append time", before <= msg.timestamp <= before + 60_000)


@check("sizes")
def sizes():
    name = make("sizes", 1, max_message_bytes=2 * MIB)
    sent = [noise(n) for n in (1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000)]
    produce(name, [{"value": v} for v in sent], max_request_size=2 * MIB)
    expect_true("contents differ", [m.value for m in read(name)] == sent)


@check("size-10mb", slow=True)
def size_10mb():
    name = make("big", 1, max_message_bytes=11 * MIB)
    sent = [noise(10 * MIB), b"small", noise(10 * MIB)]
    # kafka-python 2.0 stalls when a second big request is queued behind a partly written one, so one at a time.
    for records in [[{"value": v}] for v in sent]:
        produce(name, records, max_request_size=11 * MIB)
    got = [m.value for m in read(name, max_partition_fetch_bytes=MIB)]
    expect_true(f"contents differ, sizes {[len(v) for v in got]}", got == sent)


@check("too-large")
def too_large():
    name = make("too-large", 1, max_message_bytes=20000)
    fails_with(E.MessageSizeTooLargeError, lambda: produce(name, [{"value": noise(50_000)}]))
    produce(name, [{"value": noise(10_000)}])
    expect("messages", len(read(name)), 1)


@check("auto-create")
def auto_create():
    name = topic_name("auto")
    produce(name, [{"value": b"first"}], max_block_ms=20000)
    expect("values", [m.value for m in read(name)], [b"first"])


# -- consuming by assignment ----------------------------------------------------------------------------------

def filled(tag, partitions=1, count=100, **conf):
    """A topic with @count messages per partition, one second apart, the first at the returned time."""
    name = make(tag, partitions, **conf)
    stamp = int(time.time() * 1000) - 3600_000
    produce(name, [{"value": v, "partition": p, "timestamp_ms": stamp + i * 1000}
                   for p in range(partitions) for i, v in enumerate(values(count))])
    return name, stamp


@check("assign")
def assign():
    name, _ = filled("assign", 3)
    got = read(name, partitions=(0, 1, 2))
    for part in range(3):
        expect("offsets", [m.offset for m in got if m.partition == part], list(range(100)))
    expect("from 90", [m.offset for m in read(name, 90, (1,))], list(range(90, 100)))


@check("seek-offset")
def seek_offset():
    name, _ = filled("seek", 1)
    tp = TopicPartition(name, 0)
    c = consumer()
    c.assign([tp])
    for offset in (50, 99, 7, 0):
        c.seek(tp, offset)
        expect(f"after seek to {offset}", take(c, 1)[0].offset, offset)
    c.seek_to_end(tp)
    expect("position at the end", c.position(tp), 100)
    c.seek_to_beginning(tp)
    expect("position at the beginning", c.position(tp), 0)
    c.close()


@check("seek-time")
def seek_time():
    name, stamp = filled("time", 1)
    tp = TopicPartition(name, 0)
    c = consumer()
    for at, want in ((stamp, 0), (stamp + 500, 1), (stamp + 41_000, 41), (stamp + 98_001, 99)):
        got = c.offsets_for_times({tp: at})[tp]
        expect(f"offset at +{at - stamp}", (got.offset, got.timestamp), (want, stamp + want * 1000))
    expect("a later time", c.offsets_for_times({tp: stamp + 10**9})[tp], None)
    c.assign([tp])
    c.seek(tp, c.offsets_for_times({tp: stamp + 70_000})[tp].offset)
    expect("first message from that time", take(c, 1)[0].timestamp, stamp + 70_000)
    c.close()


@check("offsets-list")
def offsets_list():
    name, _ = filled("watermarks", 2)
    parts = [TopicPartition(name, p) for p in (0, 1)]
    c = consumer()
    expect("beginning", c.beginning_offsets(parts), dict.fromkeys(parts, 0))
    expect("end", c.end_offsets(parts), dict.fromkeys(parts, 100))
    c.close()
    if not IS_OLD:
        for spec, want in (("EARLIEST", 0), ("LATEST", 100), ("MAX_TIMESTAMP", 99)):
            got = admin.a.list_partition_offsets({parts[0]: kafka.OffsetSpec[spec]})[parts[0]]
            expect(spec, got.offset, want)


@check("offset-reset")
def offset_reset():
    name, _ = filled("reset", 1)
    tp = TopicPartition(name, 0)
    c = consumer()
    c.assign([tp])
    c.seek(tp, 5000)
    expect("earliest after 5000", take(c, 1)[0].offset, 0)
    c.close()
    c = consumer(auto_offset_reset="none")
    c.assign([tp])
    c.seek(tp, 5000)
    fails_with(E.OffsetOutOfRangeError, lambda: take(c, 1, 10))
    c.close()


@check("delete-records")
def delete_records():
    if IS_OLD:
        raise Skip("this release has no DeleteRecords")
    name, _ = filled("purge", 1)
    tp = TopicPartition(name, 0)
    expect("low watermark", admin.a.delete_records({tp: 40})[tp]["low_watermark"], 40)
    expect("offsets left", [m.offset for m in read(name, 40)], list(range(40, 100)))
    c = consumer()
    expect("beginning", c.beginning_offsets([tp])[tp], 40)
    c.close()
    fails_with(E.OffsetOutOfRangeError, lambda: admin.a.delete_records({tp: 4000}))


# -- groups ---------------------------------------------------------------------------------------------------

class Member(threading.Thread):
    """A group member in a thread; @owned and @seen are read by the check."""

    def __init__(self, group, name, **conf):
        super().__init__(daemon=True)
        self.c = consumer(group, [name], enable_auto_commit=True, max_poll_records=100, **conf)
        self.owned, self.seen, self.error, self.leaving = set(), [], None, False
        self.start()

    def run(self):
        try:
            while not self.leaving:
                for rows in self.c.poll(100).values():
                    self.seen += [(m.partition, m.offset) for m in rows]
                self.owned = {tp.partition for tp in self.c.assignment()}
            self.c.close()
        except Exception as exc:
            self.error = exc
        self.owned = set()

    def leave(self):
        self.leaving = True
        self.join(20)
        expect("a member's error", self.error, None)


def share(members, count):
    def fair():
        for m in members:
            expect("a member's error", m.error, None)
        owned = [set(m.owned) for m in members]
        return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count
    until(f"{count} partitions shared by {len(members)}", fair, 40)


def rebalance(tag, **conf):
    name, _ = filled(tag, 6, 50)
    a = Member(tag, name, heartbeat_interval_ms=500, **conf)
    share([a], 6)
    b = Member(tag, name, heartbeat_interval_ms=500, **conf)
    share([a, b], 6)
    produce(name, [{"value": v, "partition": p} for p in range(6) for v in values(50)])
    until("all messages seen", lambda: len(set(a.seen + b.seen)) == 600)
    b.leave()
    share([a], 6)
    produce(name, [{"value": b"late", "partition": p} for p in range(6)])
    until("the late messages", lambda: {(p, 100) for p in range(6)} <= set(a.seen))
    a.leave()


@check("group-rebalance", 90)
def group_rebalance():
    rebalance("rebalance")


@check("group-cooperative", 90)
def group_cooperative():
    try:
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    except ImportError:
        raise Skip("this release has no cooperative assignor") from None
    rebalance("cooperative", partition_assignment_strategy=[CooperativeStickyAssignor])


@check("group-restart")
def group_restart():
    name, _ = filled("restart", 1)
    tp = TopicPartition(name, 0)
    c = consumer("restart", [name])
    half = take(c, 60)
    expect("first half", [m.offset for m in half], list(range(60)))
    c.commit({tp: offset_and_metadata(60, "half")})
    c.close()
    again = consumer("restart", [name])
    expect("resumed at", take(again, 40)[0].offset, 60)
    again.commit()
    again.close()
    third = consumer("restart")
    expect("committed at the end", third.committed(tp), 100)
    third.close()


def offset_and_metadata(offset, text):
    return OffsetAndMetadata(offset, text) if IS_OLD else OffsetAndMetadata(offset, text, -1)


@check("commit-metadata")
def commit_metadata():
    name, _ = filled("meta", 1)
    tp = TopicPartition(name, 0)
    c = consumer("meta")
    c.assign([tp])
    text = "where I was \u2713"
    c.commit({tp: offset_and_metadata(33, text)})
    c.close()
    c = consumer("meta")
    got = c.committed(tp, metadata=True)
    expect("offset and metadata", (got.offset, got.metadata), (33, text))
    c.close()


@check("group-static")
def group_static():
    if IS_OLD:
        raise Skip("this release has no static members")
    name, _ = filled("static", 2)
    conf = {"session_timeout_ms": 30000, "heartbeat_interval_ms": 500}
    one = Member("static", name, group_instance_id="one", **conf)
    two = Member("static", name, group_instance_id="two", **conf)
    share([one, two], 2)
    owned = set(two.owned)
    two.leave()
    time.sleep(1)
    back = Member("static", name, group_instance_id="two", **conf)
    until("the same partition", lambda: back.owned == owned, 20)
    share([one, back], 2)
    one.leave()
    back.leave()


@check("group-admin")
def group_admin():
    name, _ = filled("gadmin", 1)
    group, tp = group_name("gadmin"), TopicPartition(name, 0)
    m = Member("gadmin", name)
    share([m], 1)
    until("stable with one member", lambda: admin.group(group) == ("Stable", 1))
    expect_true("group not listed", group in admin.groups())
    expect("deleting a live group", admin.delete_group(group), "NonEmptyGroupError")
    until("all read", lambda: len(m.seen) == 100)
    m.leave()
    until("empty", lambda: admin.group(group) == ("Empty", 0))
    expect("offsets", admin.group_offsets(group), {tp: 100})
    if not IS_OLD:
        admin.a.alter_group_offsets(group, {tp: offset_and_metadata(7, "")})
        expect("altered offsets", admin.group_offsets(group), {tp: 7})
    expect("deleting it", admin.delete_group(group), "NoError")
    expect_true("group still listed", group not in admin.groups())


@check("topic-delete")
def topic_delete():
    admin.a.delete_topics(topics_made(), timeout_ms=15000)
    until("topics gone", lambda: not [t for t in admin.a.list_topics() if t.startswith(RUN)])
    fails_with(E.UnknownTopicOrPartitionError, lambda: admin.a.delete_topics([f"{RUN}-never"]))
    name = make("create", 1)
    expect("a topic made again is empty", read(name), [])
    admin.a.delete_topics([name])


if __name__ == "__main__":
    main(f"kafka-python {kafka.__version__} (Python {sys.version.split()[0]})")
