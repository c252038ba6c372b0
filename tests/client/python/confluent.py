"""confluent-kafka (librdkafka) against a broker: Debian's old release and the current one run this same file.

What a release does not have is skipped by name; nothing is skipped because a broker fails at it.
"""
import subprocess
import sys
import time

import confluent_kafka as ck
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from checks import (CODECS, MIB, RUN, Skip, bootstrap, check, expect, expect_true, group_name, main, metrics, noise,
                    topic_name, topics_made, until, values)

BOOTSTRAP = bootstrap()
BASE = {"bootstrap.servers": BOOTSTRAP}
admin = AdminClient(BASE)


def need(thing, method):
    if not hasattr(thing, method):
        raise Skip(f"this release has no {method}()")


def wait_all(futures):
    for future in futures.values():
        future.result(20)


def make(tag, partitions=1, **config):
    name = topic_name(tag)
    wait_all(admin.create_topics([NewTopic(name, partitions, 1,
                                           config={k.replace("_", "."): str(v) for k, v in config.items()})]))
    until(f"{name} has {partitions} partitions", lambda: len(partitions_of(name)) == partitions)
    return name


def partitions_of(name):
    meta = admin.list_topics(name, timeout=10).topics[name]
    return [] if meta.error else [p for p in meta.partitions.values() if p.leader >= 0]


def error_of(fn):
    """The KafkaError code that @fn ends with; None if it succeeds."""
    try:
        fn()
    except KafkaException as exc:
        return exc.args[0].code()
    return None


def produce(name, records, **conf):
    """Send @records (keyword arguments of produce()) and return the delivered messages in order of delivery."""
    producer = Producer({**BASE, "linger.ms": 20, **{k.replace("_", "."): v for k, v in conf.items()}})
    done, errors = [], []

    def delivered(err, msg):
        (errors if err else done).append(err or msg)

    for record in records:
        producer.produce(name, on_delivery=delivered, **record)
        producer.poll(0)
    left = producer.flush(40)
    if errors:
        raise KafkaException(errors[0])
    expect("messages left in the producer", left, 0)
    expect("delivery reports", len(done), len(records))
    return done


def consumer(group="unused", **conf):
    return Consumer({**BASE, "group.id": group_name(group), "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100,
                     **{k.replace("_", "."): v for k, v in conf.items()}})


def read(name, start=ck.OFFSET_BEGINNING, partitions=(0,), **conf):
    """Every message of @partitions from @start to the end of each."""
    c = consumer(enable_partition_eof=True, **conf)
    try:
        c.assign([TopicPartition(name, p, start) for p in partitions])
        out, ends, deadline = [], 0, time.monotonic() + 40
        while ends < len(partitions):
            msg = c.poll(1)
            if msg is None:
                expect_true(f"end of {name} not reached in 40 s", time.monotonic() < deadline)
            elif msg.error() is None:
                out.append(msg)
            elif msg.error().code() == KafkaError._PARTITION_EOF:
                ends += 1
            else:
                raise KafkaException(msg.error())
        return out
    finally:
        c.close()


def take(c, count, timeout_s=30):
    out, deadline = [], time.monotonic() + timeout_s
    while len(out) < count:
        for msg in c.consume(min(count - len(out), 500), 0.5):
            if msg.error():
                raise KafkaException(msg.error())
            out.append(msg)
        expect_true(f"{len(out)} of {count} messages after {timeout_s} s", time.monotonic() < deadline)
    return out


# -- cluster and topics ---------------------------------------------------------------------------------------

@check("cluster")
def cluster():
    meta = admin.list_topics(timeout=10)
    expect_true("metadata has no cluster id", meta.cluster_id)
    expect_true("metadata has no broker", meta.brokers)
    addresses = [f"{b.host}:{b.port}" for b in meta.brokers.values()]
    expect_true(f"{BOOTSTRAP} is not among {addresses}", BOOTSTRAP in addresses)
    expect_true("controller is not among the brokers", meta.controller_id in meta.brokers)
    if hasattr(admin, "describe_cluster"):
        expect("cluster id by DescribeCluster", admin.describe_cluster().result(10).cluster_id, meta.cluster_id)


@check("topic-create")
def topic_create():
    name = make("create", 3, retention_ms=123456)
    expect("partition ids", sorted(p.id for p in partitions_of(name)), [0, 1, 2])
    again = admin.create_topics([NewTopic(name, 3, 1)])[name]
    expect("error of a second create", error_of(lambda: again.result(10)), KafkaError.TOPIC_ALREADY_EXISTS)
    bad = admin.create_topics([NewTopic("no/slash", 1, 1)])["no/slash"]
    expect("error of a bad name", error_of(lambda: bad.result(10)), KafkaError.TOPIC_EXCEPTION)
    three = admin.create_topics([NewTopic(f"{RUN}-rf", 1, 30)])[f"{RUN}-rf"]
    expect("error of 30 replicas", error_of(lambda: three.result(10)), KafkaError.INVALID_REPLICATION_FACTOR)
    dry = f"{RUN}-dry"
    wait_all(admin.create_topics([NewTopic(dry, 1, 1)], validate_only=True))
    expect_true("validate_only made a topic", dry not in admin.list_topics(timeout=10).topics)


@check("topic-partitions")
def topic_partitions():
    name = make("grow", 1)
    wait_all(admin.create_partitions([NewPartitions(name, 4)]))
    until("4 partitions", lambda: len(partitions_of(name)) == 4)
    shrink = admin.create_partitions([NewPartitions(name, 2)])[name]
    expect("error of shrinking", error_of(lambda: shrink.result(10)), KafkaError.INVALID_PARTITIONS)
    produce(name, [{"value": b"x", "partition": 3}])
    expect("messages in the new partition", len(read(name, partitions=(3,))), 1)


@check("topic-describe")
def topic_describe():
    need(admin, "describe_topics")
    name = make("describe", 2)
    got = admin.describe_topics(ck.TopicCollection([name]))[name].result(10)
    expect("name", got.name, name)
    expect("partitions", len(got.partitions), 2)
    expect_true("no topic id", str(got.topic_id))
    expect("replicas", [len(p.replicas) for p in got.partitions], [1, 1])
    missing = admin.describe_topics(ck.TopicCollection([f"{RUN}-nil"]))[f"{RUN}-nil"]
    expect("unknown topic", error_of(lambda: missing.result(10)), KafkaError.UNKNOWN_TOPIC_OR_PART)


# -- configuration --------------------------------------------------------------------------------------------

def config_of(kind, name):
    resource = ConfigResource(kind, name)
    return admin.describe_configs([resource])[resource].result(10)


@check("config-describe")
def config_describe():
    name = make("cfg-describe", 1, retention_ms=123456)
    got = config_of("topic", name)
    expect("retention.ms", got["retention.ms"].value, "123456")
    expect_true("retention.ms is said to be a default", not got["retention.ms"].is_default)
    expect("cleanup.policy", got["cleanup.policy"].value, "delete")
    for key in ("max.message.bytes", "segment.bytes", "min.insync.replicas", "compression.type",
                "message.timestamp.type"):
        expect_true(f"{key} missing", key in got)
    broker = next(iter(admin.list_topics(timeout=10).brokers))
    node = config_of("broker", str(broker))
    for key in ("num.partitions", "auto.create.topics.enable", "log.retention.ms", "message.max.bytes",
                "default.replication.factor"):
        expect_true(f"broker has no {key}", key in node)


@check("config-alter")
def config_alter():
    name = make("cfg-alter", 1)
    wait_all(admin.alter_configs([ConfigResource("topic", name, set_config={"retention.ms": "777000"})]))
    until("retention.ms altered", lambda: config_of("topic", name)["retention.ms"].value == "777000")
    if hasattr(admin, "incremental_alter_configs"):
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigSource
        entries = [ConfigEntry("segment.bytes", "2097152", incremental_operation=AlterConfigOpType.SET),
                   ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
                   ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)]
        wait_all(admin.incremental_alter_configs([ConfigResource("topic", name, incremental_configs=entries)]))
        got = until("segment.bytes set", lambda: (lambda c: c if c["segment.bytes"].value == "2097152" else None)(
            config_of("topic", name)))
        expect("retention.ms source", ConfigSource(got["retention.ms"].source) ==
               ConfigSource.DYNAMIC_TOPIC_CONFIG, False)
        expect("cleanup.policy", sorted(got["cleanup.policy"].value.split(",")), ["compact", "delete"])


@check("config-invalid")
def config_invalid():
    name = make("cfg-bad", 1)
    for key, value in (("retention.ms", "soon"), ("cleanup.policy", "shred"), ("no.such.key", "1")):
        future = admin.alter_configs([ConfigResource("topic", name, set_config={key: value})])
        expect(f"{key}={value}", error_of(lambda f=future: wait_all(f)), KafkaError.INVALID_CONFIG)
    bad = admin.create_topics([NewTopic(f"{RUN}-bad", 1, 1, config={"segment.bytes": "-5"})])
    expect("create with segment.bytes=-5", error_of(lambda: wait_all(bad)), KafkaError.INVALID_CONFIG)


# -- producing ------------------------------------------------------------------------------------------------

def codec_check(codec):
    def run():
        name = make(f"codec-{codec}", 1)
        sent = values(300, 400)
        produce(name, [{"value": v} for v in sent], compression_type=codec)
        got = read(name, check_crcs=True)
        expect("values", [m.value() for m in got], sent)
        expect("offsets", [m.offset() for m in got], list(range(300)))
    return run


for _codec in CODECS:
    check(f"produce-{_codec}")(codec_check(_codec))


def acks_check(acks):
    def run():
        name = make(f"acks-{acks}", 1)
        sent = values(100)
        done = produce(name, [{"value": v} for v in sent], acks=acks)
        if acks != 0:
            expect("offsets", [m.offset() for m in done], list(range(100)))
        until("100 messages", lambda: len(read(name)) == 100)
        expect("values", [m.value() for m in read(name)], sent)
    return run


check("acks-0")(acks_check(0))
check("acks-1")(acks_check(1))
check("acks-all")(acks_check("all"))


@check("idempotent")
def idempotent():
    name = make("idempotent", 2)
    sent = values(2000)
    for part in (0, 1):
        produce(name, [{"value": v, "partition": part} for v in sent], enable_idempotence=True,
                linger_ms=1, batch_num_messages=50)
        got = read(name, partitions=(part,))
        expect(f"values of partition {part}", [m.value() for m in got], sent)


@check("record-shape")
def record_shape():
    name = make("shape", 1)
    stamp = int(time.time() * 1000) - 3600_000
    records = [
        {"value": b"v", "key": b"k", "timestamp": stamp},
        {"value": None, "key": b"tombstone", "timestamp": stamp + 1},
        {"value": b"", "key": b"", "timestamp": stamp + 2},
        {"value": b"no key", "timestamp": stamp + 3},
        {"value": b"h", "headers": [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None),
                                    ("\u00fcber", bytes(range(256)))], "timestamp": stamp + 4},
    ]
    produce(name, records)
    got = read(name)
    expect("keys", [m.key() for m in got], [r.get("key") for r in records])
    expect("values", [m.value() for m in got], [r["value"] for r in records])
    expect("headers", got[4].headers(), records[4]["headers"])
    expect("no headers", got[0].headers(), None)
    expect("timestamps", [m.timestamp() for m in got],
           [(ck.TIMESTAMP_CREATE_TIME, stamp + i) for i in range(5)])


@check("log-append-time")
def log_append_time():
    name = make("lat", 1, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000) - 1000
    produce(name, [{"value": v, "timestamp": 1000} for v in values(10)], compression_type="gzip")
    for msg in read(name, check_crcs=True):
        kind, stamp = msg.timestamp()
        expect("timestamp type", kind, ck.TIMESTAMP_LOG_APPEND_TIME)
        expect_true(f"timestamp {stamp} is not the append time", before <= stamp <= before + 60_000)


@check("topic-codec")
def topic_codec():
    for codec in ("zstd", "gzip", "uncompressed"):
        name = make(f"recode-{codec}", 1, compression_type=codec)
        sent = values(200, 300)
        produce(name, [{"value": v} for v in sent], compression_type="lz4")
        expect(f"values through {codec}", [m.value() for m in read(name, check_crcs=True)], sent)


@check("sizes")
def sizes():
    name = make("sizes", 1, max_message_bytes=2 * MIB)
    sent = [noise(n) for n in (1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000)]
    produce(name, [{"value": v} for v in sent], message_max_bytes=2 * MIB)
    expect("sizes", [len(m.value()) for m in read(name)], [len(v) for v in sent])
    expect_true("contents differ", [m.value() for m in read(name)] == sent)


@check("size-10mb", slow=True)
def size_10mb():
    name = make("big", 1, max_message_bytes=11 * MIB)
    sent = [noise(10 * MIB), b"small", noise(10 * MIB)]
    for codec in ("none", "lz4"):
        produce(name, [{"value": v} for v in sent], message_max_bytes=11 * MIB, compression_type=codec)
    got = [m.value() for m in read(name, fetch_message_max_bytes=MIB)]
    expect_true(f"contents differ, sizes {[len(v) for v in got]}", got == sent + sent)


@check("too-large")
def too_large():
    name = make("too-large", 1, max_message_bytes=20000)
    code = error_of(lambda: produce(name, [{"value": noise(50_000)}]))
    expect("error", code, KafkaError.MSG_SIZE_TOO_LARGE)
    produce(name, [{"value": noise(10_000)}])
    expect("messages", len(read(name)), 1)


@check("compact-null-key")
def compact_null_key():
    name = make("compact", 1, cleanup_policy="compact")
    produce(name, [{"key": b"k", "value": b"1"}])
    code = error_of(lambda: produce(name, [{"value": b"keyless"}]))
    expect_true(f"a record without key was answered {code}",
                code in (getattr(KafkaError, "INVALID_RECORD", 87), KafkaError.INVALID_MSG))


@check("auto-create")
def auto_create():
    name = topic_name("auto")
    produce(name, [{"value": b"first"}])
    expect("values", [m.value() for m in read(name)], [b"first"])


# -- consuming by assignment ----------------------------------------------------------------------------------

def filled(tag, partitions=1, count=100, **conf):
    """A topic with @count messages per partition, one second apart, the first at the returned time."""
    name = make(tag, partitions, **conf)
    stamp = int(time.time() * 1000) - 3600_000
    produce(name, [{"value": v, "partition": p, "timestamp": stamp + i * 1000}
                   for p in range(partitions) for i, v in enumerate(values(count))])
    return name, stamp


@check("assign")
def assign():
    name, _ = filled("assign", 3)
    got = read(name, partitions=(0, 1, 2))
    expect("messages", len(got), 300)
    for part in range(3):
        expect("offsets", [m.offset() for m in got if m.partition() == part], list(range(100)))
    expect("from 90", len(read(name, 90, (1,))), 10)
    expect("from the end", len(read(name, ck.OFFSET_END, (1,))), 0)


@check("seek-offset")
def seek_offset():
    name, _ = filled("seek", 1)
    c = consumer()
    c.assign([TopicPartition(name, 0, 0)])
    expect("first", take(c, 1)[0].offset(), 0)
    for offset in (50, 99, 7, 0):
        until("seek", lambda o=offset: c.seek(TopicPartition(name, 0, o)) is None)
        expect(f"after seek to {offset}", take(c, 1)[0].offset(), offset)
    c.close()


@check("seek-time")
def seek_time():
    name, stamp = filled("time", 2)
    c = consumer()
    for at, want in ((stamp, 0), (stamp + 500, 1), (stamp + 41_000, 41), (stamp + 98_001, 99)):
        got = c.offsets_for_times([TopicPartition(name, p, at) for p in (0, 1)], timeout=10)
        expect(f"offset at +{at - stamp}", [t.offset for t in got], [want, want])
    late = c.offsets_for_times([TopicPartition(name, 0, stamp + 10**9)], timeout=10)[0]
    expect_true(f"a later time gave {late.offset}", late.offset in (-1, ck.OFFSET_END))
    start = c.offsets_for_times([TopicPartition(name, 0, stamp + 70_000)], timeout=10)
    c.assign(start)
    expect("first message from that time", take(c, 1)[0].timestamp()[1], stamp + 70_000)
    c.close()


@check("offsets-list")
def offsets_list():
    name, _ = filled("watermarks", 1)
    c = consumer()
    expect("watermarks", c.get_watermark_offsets(TopicPartition(name, 0), timeout=10, cached=False), (0, 100))
    c.close()
    if hasattr(admin, "list_offsets"):
        from confluent_kafka.admin import OffsetSpec
        for spec, want in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 100),
                           (OffsetSpec.max_timestamp(), 99)):
            part = TopicPartition(name, 0)
            expect(f"{spec}", admin.list_offsets({part: spec})[part].result(10).offset, want)


@check("offset-reset")
def offset_reset():
    name, _ = filled("reset", 1)
    c = consumer("reset", auto_offset_reset="earliest")
    c.assign([TopicPartition(name, 0, 5000)])
    expect("earliest after 5000", take(c, 1)[0].offset(), 0)
    c.close()
    c = consumer("reset", auto_offset_reset="error")
    c.assign([TopicPartition(name, 0, 5000)])
    msg = until("an error", lambda: c.poll(1))
    expect_true(f"error is {msg.error()}", msg.error() and msg.error().code() in (
        KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET))
    c.close()


@check("read-committed")
def read_committed():
    name, _ = filled("rc", 1)
    expect("messages", len(read(name, isolation_level="read_committed")), 100)


@check("delete-records")
def delete_records():
    need(admin, "delete_records")
    name, _ = filled("purge", 2)
    got = admin.delete_records([TopicPartition(name, 0, 40), TopicPartition(name, 1, ck.OFFSET_END)])
    low = {tp.partition: f.result(10).low_watermark for tp, f in got.items()}
    expect("low watermarks", low, {0: 40, 1: 100})
    expect("messages left", [m.offset() for m in read(name, partitions=(0, 1))], list(range(40, 100)))
    over = admin.delete_records([TopicPartition(name, 0, 4000)])
    expect("beyond the end", error_of(lambda: wait_all(over)), KafkaError.OFFSET_OUT_OF_RANGE)


@check("metrics-push")
def metrics_push():
    """The client pushes its metrics when it is asked to (KIP-714), and the node tells them."""
    if ck.libversion()[1] < 0x02050000:
        raise Skip("librdkafka pushes metrics from 2.5 on")
    name, who = make("push"), f"metrics-push-{RUN}"
    metrics("any", who)
    producer = Producer({**BASE, "client.id": who})

    def pushed():
        producer.produce(name, b"x")
        producer.poll(0.1)
        return metrics("client_org_apache_kafka_producer_node_request_latency_avg", who)
    until("its metrics are told", pushed)
    row, = metrics("chronik_client_info", who)
    expect_true(row, 'client_software_name="confluent-kafka-python"' in row)
    producer.flush(10)


# -- groups ---------------------------------------------------------------------------------------------------

class Member:
    """A group member that remembers what it is assigned."""

    def __init__(self, group, topics, **conf):
        self.owned, self.rebalances, self.seen = set(), 0, []
        self.c = consumer(group, **conf)
        self.c.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, _c, parts):
        self.rebalances += 1
        self.owned |= {(p.topic, p.partition) for p in parts}

    def _revoked(self, _c, parts):
        self.owned -= {(p.topic, p.partition) for p in parts}

    def poll(self):
        for msg in self.c.consume(200, 0.1):
            if msg.error():
                raise KafkaException(msg.error())
            self.seen.append((msg.partition(), msg.offset()))
        return self


def share(members, count):
    """Poll all until @count partitions are split without overlap and everyone has some."""
    def fair():
        for m in members:
            m.poll()
        owned = [m.owned for m in members]
        return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count
    until(f"{count} partitions shared by {len(members)}", fair, 40)


def rebalance(tag, **conf):
    name, _ = filled(tag, 6, 50)
    a = Member(tag, [name], enable_auto_commit=True, **conf)
    share([a], 6)
    b = Member(tag, [name], enable_auto_commit=True, **conf)
    share([a, b], 6)
    produce(name, [{"value": v, "partition": p} for p in range(6) for v in values(50)])
    until("all messages seen", lambda: len(set(a.poll().seen + b.poll().seen)) == 600)
    b.c.close()
    share([a], 6)
    produce(name, [{"value": b"late", "partition": p} for p in range(6)])
    until("the late messages", lambda: {(p, 100) for p in range(6)} <= set(a.poll().seen))
    expect("messages seen twice", len(a.seen + b.seen) - len(set(a.seen + b.seen)), 0)
    a.c.close()


@check("group-rebalance", 90)
def group_rebalance():
    rebalance("rebalance")


@check("group-cooperative", 90)
def group_cooperative():
    rebalance("cooperative", partition_assignment_strategy="cooperative-sticky")


KILLED = """
import sys
from confluent_kafka import Consumer
c = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "group.protocol": "consumer"})
c.subscribe([sys.argv[3]], on_assign=lambda _c, parts: print(len(parts), flush=True))
while True:
    c.poll(0.1)
"""


@check("consumer-group", 120)
def consumer_group():
    """The coordinator assigns (KIP-848): one member by an expression, one by name, and one that is killed."""
    if ck.libversion()[1] < 0x020c0000:
        raise Skip("this release has no stable group.protocol=consumer")
    name, _ = filled("consumer-group", 6, 50)
    a = Member("consumer-group", [f"^{RUN}-consumer-gro.p"], group_protocol="consumer")
    share([a], 6)
    b = Member("consumer-group", [name], group_protocol="consumer")
    share([a, b], 6)
    until("all messages seen", lambda: len(set(a.poll().seen + b.poll().seen)) == 300)
    for m in (a, b):
        m.c.commit(asynchronous=False)
    b.c.close()
    share([a], 6)
    with subprocess.Popen([sys.executable, "-c", KILLED, BOOTSTRAP, group_name("consumer-group"), name],
                          stdout=subprocess.PIPE, text=True) as victim:
        try:
            until("the new one has three", lambda: a.poll() and len(a.owned) == 3, 40)
            expect("it was told so", victim.stdout.readline(), "3\n")
        finally:
            victim.kill()
    share([a], 6)
    where = a.c.committed([TopicPartition(name, p) for p in range(6)], timeout=10)
    expect("committed", [p.offset for p in where], [50] * 6)
    a.c.close()


@check("group-restart")
def group_restart():
    name, _ = filled("restart", 1)
    m = consumer("restart")
    m.subscribe([name])
    half = take(m, 60)
    expect("first half", [x.offset() for x in half], list(range(60)))
    m.commit(message=half[-1], asynchronous=False)
    expect("committed", m.committed([TopicPartition(name, 0)], timeout=10)[0].offset, 60)
    m.close()
    again = consumer("restart")
    again.subscribe([name])
    expect("resumed at", take(again, 40)[0].offset(), 60)
    again.commit(asynchronous=False)
    again.close()
    third = consumer("restart")
    expect("committed at the end", third.committed([TopicPartition(name, 0)], timeout=10)[0].offset, 100)
    third.close()


@check("group-static")
def group_static():
    name, _ = filled("static", 2)
    one = Member("static", [name], group_instance_id="one", session_timeout_ms=30000)
    two = Member("static", [name], group_instance_id="two", session_timeout_ms=30000)
    share([one, two], 2)
    before, owned = one.rebalances, set(two.owned)
    two.c.close()
    time.sleep(1)
    back = Member("static", [name], group_instance_id="two", session_timeout_ms=30000)
    until("the same partition", lambda: one.poll() and back.poll().owned == owned, 25)
    expect("rebalances of the other member", one.rebalances, before)
    one.c.close()
    back.c.close()


@check("commit-metadata")
def commit_metadata():
    try:
        TopicPartition("t", 0, 0, "text")
    except TypeError:
        raise Skip("this release's TopicPartition has no metadata") from None
    name, _ = filled("meta", 1)
    c = consumer("meta")
    text = "where I was \u2713"
    c.commit(offsets=[TopicPartition(name, 0, 33, text)], asynchronous=False)
    got = c.committed([TopicPartition(name, 0)], timeout=10)[0]
    expect("offset and metadata", (got.offset, got.metadata), (33, text))
    c.close()


@check("group-list")
def group_list():
    name, _ = filled("list", 1)
    m = Member("list", [name])
    share([m], 1)
    group = group_name("list")
    found = until("the group listed", lambda: [g for g in admin.list_groups(timeout=10) if g.id == group])
    expect("state", found[0].state, "Stable")
    expect("protocol type", found[0].protocol_type, "consumer")
    expect("members", len(found[0].members), 1)
    m.c.close()


@check("group-admin")
def group_admin():
    need(admin, "describe_consumer_groups")
    name, _ = filled("gadmin", 1)
    group = group_name("gadmin")
    m = Member("gadmin", [name])
    share([m], 1)
    got = admin.describe_consumer_groups([group])[group].result(10)
    expect("state", got.state.name, "STABLE")
    expect("assignment", [(t.topic, t.partition) for t in got.members[0].assignment.topic_partitions], [(name, 0)])
    busy = admin.delete_consumer_groups([group])[group]
    expect("deleting a live group", error_of(lambda: busy.result(10)), KafkaError.NON_EMPTY_GROUP)
    m.c.commit(offsets=[TopicPartition(name, 0, 10)], asynchronous=False)
    m.c.close()
    until("empty", lambda: admin.describe_consumer_groups([group])[group].result(10).state.name == "EMPTY")
    want = ck.ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 77)])
    wait_all(admin.alter_consumer_group_offsets([want]))
    ask = ck.ConsumerGroupTopicPartitions(group)
    offsets = admin.list_consumer_group_offsets([ask])[group].result(10).topic_partitions
    expect("offsets", [(t.topic, t.partition, t.offset) for t in offsets], [(name, 0, 77)])
    listed = admin.list_consumer_groups().result(10).valid
    expect_true("group not listed", group in [g.group_id for g in listed])
    wait_all(admin.delete_consumer_groups([group]))
    gone = admin.delete_consumer_groups([group])[group]
    expect("deleting it again", error_of(lambda: gone.result(10)), KafkaError.GROUP_ID_NOT_FOUND)


# -- transactions ---------------------------------------------------------------------------------------------

def transactional(tag, **conf):
    p = Producer({**BASE, "transactional.id": group_name(tag), "linger.ms": 5,
                  **{k.replace("_", "."): v for k, v in conf.items()}})
    p.init_transactions(30)
    return p


def visible(name, level):
    """Everything that readers of this level see by now."""
    return [m.value().decode(errors="replace") for m in read(name, isolation_level=level)]


@check("txn-commit-abort")
def txn_commit_abort():
    name = make("txn")
    p = transactional("txn")
    for n in range(20):
        p.begin_transaction()
        for k in range(3):
            p.produce(name, f"{n}-{k}", partition=0)
        if n % 3 == 1:
            p.flush(20)
            p.abort_transaction(20)
        else:
            p.commit_transaction(20)
    want = [f"{n}-{k}" for n in range(20) if n % 3 != 1 for k in range(3)]
    until("all are committed", lambda: len(visible(name, "read_committed")) >= len(want))
    expect("committed", visible(name, "read_committed"), want)
    expect("with the aborted", len(visible(name, "read_uncommitted")), 60)


@check("txn-offsets")
def txn_offsets():
    source, _ = filled("txn-in")
    target = make("txn-out")
    c = consumer("txn-offsets", enable_auto_commit=False)
    c.subscribe([source])
    got = take(c, 40)[:40]
    p = transactional("txn-offsets")
    where = [TopicPartition(source, 0, got[-1].offset() + 1)]
    for commit in (False, True):
        p.begin_transaction()
        for m in got:
            p.produce(target, m.value(), partition=0)
        p.send_offsets_to_transaction(where, c.consumer_group_metadata(), 20)
        if commit:
            p.commit_transaction(20)
        else:
            p.abort_transaction(20)
            expect("committed by an aborted transaction", c.committed(where, 20)[0].offset, ck.OFFSET_INVALID)
    until("the commit", lambda: c.committed(where, 20)[0].offset == where[0].offset)
    until("the copies", lambda: len(visible(target, "read_committed")) == 40)
    c.close()


@check("txn-fence")
def txn_fence():
    name = make("txn-fence")
    old = transactional("txn-fence")
    old.begin_transaction()
    old.produce(name, "old", partition=0)
    old.flush(20)
    new = transactional("txn-fence")
    old.produce(name, "old too", partition=0)
    expect_true("the producer before may commit", error_of(lambda: old.commit_transaction(20)) is not None)
    new.begin_transaction()
    new.produce(name, "new", partition=0)
    new.commit_transaction(20)
    until("the new one's record", lambda: visible(name, "read_committed"))
    expect("committed", visible(name, "read_committed"), ["new"])


@check("topic-delete")
def topic_delete():
    wait_all(admin.delete_topics(topics_made()))
    until("topics gone", lambda: not [t for t in admin.list_topics(timeout=10).topics if t.startswith(RUN)])
    nil = f"{RUN}-never"
    gone = admin.delete_topics([nil])[nil]
    expect("unknown topic", error_of(lambda: gone.result(10)), KafkaError.UNKNOWN_TOPIC_OR_PART)
    name = make("create", 1)
    expect("a topic made again is empty", read(name), [])
    wait_all(admin.delete_topics([name]))


if __name__ == "__main__":
    main(f"confluent-kafka {ck.__version__ if hasattr(ck, '__version__') else ck.version()[0]}"
         f" (librdkafka {ck.libversion()[0]}, Python {sys.version.split()[0]})")
