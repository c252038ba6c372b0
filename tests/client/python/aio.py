"""aiokafka (asyncio) against a broker. Every check is a coroutine with an event loop of its own.

The client's types of errors and results are those of kafka-python's early days, its protocol code is its own.
"""
import asyncio
import logging
import sys
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as E
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from checks import (CODECS, MIB, RUN, bootstrap, check, expect, expect_true, group_name, main, noise, topic_name,
                    topics_made, values)

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
BOOTSTRAP = bootstrap()


def acheck(name, timeout_s=60, slow=False):
    def add(fn):
        check(name, timeout_s, slow)(lambda: asyncio.run(fn()))
        return fn
    return add


class Admin:
    async def __aenter__(self):
        self.a = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await self.a.start()
        return self.a

    async def __aexit__(self, *_exc):
        await self.a.close()


async def auntil(what, fact, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while True:
        got = fact()
        if asyncio.iscoroutine(got):
            got = await got
        if got:
            return got
        expect_true(f"{what}: not so after {timeout_s} s", time.monotonic() < deadline)
        await asyncio.sleep(0.05)


def dots(config):
    return {k.replace("_", "."): str(v) for k, v in config.items()}


def code_of(answer):
    """The error code of the first topic in a create, delete or grow answer."""
    rows = getattr(answer, "topic_errors", None) or getattr(answer, "topic_error_codes", None)
    return rows[0][1]


async def partitions_of(admin, name):
    got = (await admin.describe_topics([name]))[0]
    return sorted(p["partition"] for p in got["partitions"])


async def make(tag, partitions=1, **config):
    name = topic_name(tag)
    async with Admin() as admin:
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dots(config))], 15000)
        expect(f"error of creating {name}", code_of(answer), 0)

        async def ready():
            return len(await partitions_of(admin, name)) == partitions
        await auntil(f"{name} has {partitions} partitions", ready)
    return name


async def produce(name, records, **conf):
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **{"linger_ms": 20, **conf})
    await producer.start()
    try:
        futures = [await producer.send(name, **record) for record in records]
        await producer.flush()
        return [await f for f in futures]
    finally:
        await producer.stop()


class Consumer:
    """async with Consumer(group, topics...) as c"""

    def __init__(self, group=None, topics=(), **conf):
        self.c = AIOKafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, group_id=group and group_name(group),
                                  **{"enable_auto_commit": False, "auto_offset_reset": "earliest",
                                     "fetch_max_wait_ms": 100, **conf})

    async def __aenter__(self):
        await self.c.start()
        return self.c

    async def __aexit__(self, *_exc):
        await self.c.stop()


async def take(c, count, timeout_s=40):
    out, deadline = [], time.monotonic() + timeout_s
    while len(out) < count:
        for rows in (await c.getmany(timeout_ms=500, max_records=count - len(out))).values():
            out += rows
        expect_true(f"{len(out)} of {count} messages after {timeout_s} s", time.monotonic() < deadline)
    return out


async def read(name, start=0, partitions=(0,), **conf):
    async with Consumer(check_crcs=True, **conf) as c:
        parts = [TopicPartition(name, p) for p in partitions]
        c.assign(parts)
        for tp in parts:
            c.seek(tp, start)
        ends = await c.end_offsets(parts)
        return await take(c, sum(max(0, end - start) for end in ends.values()))


async def filled(tag, partitions=1, count=100, **conf):
    name = await make(tag, partitions, **conf)
    stamp = int(time.time() * 1000) - 3600_000
    await produce(name, [{"value": v, "partition": p, "timestamp_ms": stamp + i * 1000}
                         for p in range(partitions) for i, v in enumerate(values(count))])
    return name, stamp


# -- cluster, topics, configuration ---------------------------------------------------------------------------

@acheck("cluster")
async def cluster():
    async with Admin() as admin:
        got = await admin.describe_cluster()
        expect_true("no cluster id", got["cluster_id"])
        addresses = [f"{b['host']}:{b['port']}" for b in got["brokers"]]
        expect_true(f"{BOOTSTRAP} is not among {addresses}", BOOTSTRAP in addresses)


@acheck("topic-create")
async def topic_create():
    name = await make("create", 3, retention_ms=123456)
    async with Admin() as admin:
        expect("partitions", await partitions_of(admin, name), [0, 1, 2])
        for topic, want in ((NewTopic(name, 1, 1), 36), (NewTopic("no/slash", 1, 1), 17),
                            (NewTopic(f"{RUN}-rf", 1, 30), 38)):
            expect(f"error of {topic.name}", code_of(await admin.create_topics([topic])), want)


@acheck("topic-partitions")
async def topic_partitions():
    name = await make("grow", 1)
    async with Admin() as admin:
        expect("error of growing", code_of(await admin.create_partitions({name: NewPartitions(4)})), 0)

        async def grown():
            return await partitions_of(admin, name) == [0, 1, 2, 3]
        await auntil("4 partitions", grown)
        try:
            await admin.create_partitions({name: NewPartitions(2)})
        except E.InvalidPartitionsError:
            pass
        else:
            raise AssertionError("shrinking to 2 partitions was taken")
    await produce(name, [{"value": b"x", "partition": 3}])
    expect("messages in the new partition", len(await read(name, partitions=(3,))), 1)


async def config_of(admin, name):
    answer = (await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)]))[0]
    return {row[0]: row[1] for row in answer.resources[0][4]}


@acheck("config-describe")
async def config_describe():
    name = await make("cfg-describe", 1, retention_ms=123456)
    async with Admin() as admin:
        got = await config_of(admin, name)
        expect("retention.ms", got["retention.ms"], "123456")
        expect("cleanup.policy", got["cleanup.policy"], "delete")


@acheck("config-alter")
async def config_alter():
    name = await make("cfg-alter", 1)
    async with Admin() as admin:
        for value, want in (("777000", 0), ("soon", 40)):
            answer = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name,
                                                               {"retention.ms": value})])
            expect(f"error of retention.ms={value}", answer[0].resources[0][0], want)

        async def altered():
            return (await config_of(admin, name))["retention.ms"] == "777000"
        await auntil("altered", altered)


# -- producing ------------------------------------------------------------------------------------------------

def codec_check(codec):
    async def run():
        name = await make(f"codec-{codec}")
        sent = values(300, 400)
        done = await produce(name, [{"value": v} for v in sent], compression_type=None if codec == "none" else codec)
        expect("offsets", [m.offset for m in done], list(range(300)))
        expect("values", [m.value for m in await read(name)], sent)
    return run


for _codec in CODECS:
    acheck(f"produce-{_codec}")(codec_check(_codec))


def acks_check(acks):
    async def run():
        name = await make(f"acks-{acks}")
        sent = values(100)
        await produce(name, [{"value": v} for v in sent], acks=acks)

        async def there():
            return len(await read(name)) == 100
        await auntil("100 messages", there)
        expect("values", [m.value for m in await read(name)], sent)
    return run


acheck("acks-0")(acks_check(0))
acheck("acks-1")(acks_check(1))
acheck("acks-all")(acks_check("all"))


@acheck("idempotent")
async def idempotent():
    name = await make("idempotent", 2)
    sent = values(2000)
    for part in (0, 1):
        await produce(name, [{"value": v, "partition": part} for v in sent], enable_idempotence=True, linger_ms=1,
                      max_batch_size=4096)
        expect(f"values of partition {part}", [m.value for m in await read(name, partitions=(part,))], sent)


@acheck("record-shape")
async def record_shape():
    name = await make("shape")
    stamp = int(time.time() * 1000) - 3600_000
    records = [
        {"value": b"v", "key": b"k"},
        {"value": None, "key": b"tombstone"},
        {"value": b"", "key": b""},
        {"value": b"no key"},
        {"value": b"h", "headers": [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None),
                                    ("\u00fcber", bytes(range(256)))]},
    ]
    await produce(name, [{**r, "timestamp_ms": stamp + i, "partition": 0} for i, r in enumerate(records)])
    got = await read(name)
    expect("keys", [m.key for m in got], [r.get("key") for r in records])
    expect("values", [m.value for m in got], [r["value"] for r in records])
    expect("headers", list(got[4].headers), records[4]["headers"])
    expect("timestamps", [(m.timestamp_type, m.timestamp) for m in got], [(0, stamp + i) for i in range(5)])


@acheck("log-append-time")
async def log_append_time():
    name = await make("lat", 1, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000) - 1000
    await produce(name, [{"value": v, "timestamp_ms": 1000} for v in values(10)], compression_type="gzip")
    for msg in await read(name):
        expect("timestamp type", msg.timestamp_type, 1)
        expect_true(f"{msg.timestamp} is not the append time", before <= msg.timestamp <= before + 60_000)


@acheck("sizes")
async def sizes():
    name = await make("sizes", 1, max_message_bytes=2 * MIB)
    sent = [noise(n) for n in (1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000)]
    await produce(name, [{"value": v} for v in sent], max_request_size=2 * MIB)
    expect_true("contents differ", [m.value for m in await read(name)] == sent)


@acheck("size-10mb", slow=True)
async def size_10mb():
    name = await make("big", 1, max_message_bytes=11 * MIB)
    sent = [noise(10 * MIB), b"small", noise(10 * MIB)]
    await produce(name, [{"value": v} for v in sent], max_request_size=11 * MIB)
    got = [m.value for m in await read(name, max_partition_fetch_bytes=MIB)]
    expect_true(f"contents differ, sizes {[len(v) for v in got]}", got == sent)


@acheck("too-large")
async def too_large():
    name = await make("too-large", 1, max_message_bytes=20000)
    try:
        await produce(name, [{"value": noise(50_000)}])
    except E.MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("a record above max.message.bytes was taken")


@acheck("auto-create")
async def auto_create():
    name = topic_name("auto")
    await produce(name, [{"value": b"first"}])
    expect("values", [m.value for m in await read(name)], [b"first"])


# -- consuming by assignment ----------------------------------------------------------------------------------

@acheck("assign")
async def assign():
    name, _ = await filled("assign", 3)
    got = await read(name, partitions=(0, 1, 2))
    for part in range(3):
        expect("offsets", [m.offset for m in got if m.partition == part], list(range(100)))
    expect("from 90", [m.offset for m in await read(name, 90, (1,))], list(range(90, 100)))


@acheck("seek-offset")
async def seek_offset():
    name, _ = await filled("seek")
    tp = TopicPartition(name, 0)
    async with Consumer() as c:
        c.assign([tp])
        for offset in (50, 99, 7, 0):
            c.seek(tp, offset)
            expect(f"after seek to {offset}", (await take(c, 1))[0].offset, offset)
        await c.seek_to_end(tp)
        expect("position at the end", await c.position(tp), 100)


@acheck("seek-time")
async def seek_time():
    name, stamp = await filled("time")
    tp = TopicPartition(name, 0)
    async with Consumer() as c:
        for at, want in ((stamp, 0), (stamp + 500, 1), (stamp + 41_000, 41), (stamp + 98_001, 99)):
            got = (await c.offsets_for_times({tp: at}))[tp]
            expect(f"offset at +{at - stamp}", (got.offset, got.timestamp), (want, stamp + want * 1000))
        late = (await c.offsets_for_times({tp: stamp + 10**9}))[tp]
        expect_true(f"a later time gave {late}", late is None or late.offset == -1)
        c.assign([tp])
        c.seek(tp, (await c.offsets_for_times({tp: stamp + 70_000}))[tp].offset)
        expect("first message from that time", (await take(c, 1))[0].timestamp, stamp + 70_000)


@acheck("offsets-list")
async def offsets_list():
    name, _ = await filled("watermarks", 2)
    parts = [TopicPartition(name, p) for p in (0, 1)]
    async with Consumer() as c:
        expect("beginning", await c.beginning_offsets(parts), dict.fromkeys(parts, 0))
        expect("end", await c.end_offsets(parts), dict.fromkeys(parts, 100))


@acheck("offset-reset")
async def offset_reset():
    name, _ = await filled("reset")
    tp = TopicPartition(name, 0)
    async with Consumer() as c:
        c.assign([tp])
        c.seek(tp, 5000)
        expect("earliest after 5000", (await take(c, 1))[0].offset, 0)
    async with Consumer(auto_offset_reset="none") as c:
        c.assign([tp])
        c.seek(tp, 5000)
        try:
            await take(c, 1, 10)
        except E.OffsetOutOfRangeError:
            return
        raise AssertionError("no OffsetOutOfRangeError")


@acheck("read-committed")
async def read_committed():
    name, _ = await filled("rc")
    expect("messages", len(await read(name, isolation_level="read_committed")), 100)


@acheck("delete-records")
async def delete_records():
    name, _ = await filled("purge")
    tp = TopicPartition(name, 0)
    async with Admin() as admin:
        expect("low watermark", (await admin.delete_records({tp: RecordsToDelete(before_offset=40)}))[tp], 40)
    expect("offsets left", [m.offset for m in await read(name, 40)], list(range(40, 100)))


# -- groups ---------------------------------------------------------------------------------------------------

class Member:
    """A group member in a task of its own."""

    def __init__(self, group, name, **conf):
        self.conf = (group, [name]), {"enable_auto_commit": True, "heartbeat_interval_ms": 500, **conf}
        self.owned, self.seen = set(), []
        self.task = asyncio.create_task(self.run())

    async def run(self):
        try:
            async with Consumer(*self.conf[0], **self.conf[1]) as c:
                while True:
                    for rows in (await c.getmany(timeout_ms=100)).values():
                        self.seen += [(m.partition, m.offset) for m in rows]
                    self.owned = {tp.partition for tp in c.assignment()}
        finally:
            self.owned = set()

    async def leave(self):
        self.task.cancel()
        try:
            await self.task
        except asyncio.CancelledError:
            pass


async def share(members, count):
    def fair():
        for m in members:
            if m.task.done():
                m.task.result()
        owned = [m.owned for m in members]
        return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count
    await auntil(f"{count} partitions shared by {len(members)}", fair, 40)


@acheck("group-rebalance", 90)
async def group_rebalance():
    name, _ = await filled("rebalance", 6, 50)
    a = Member("rebalance", name)
    await share([a], 6)
    b = Member("rebalance", name)
    await share([a, b], 6)
    await produce(name, [{"value": v, "partition": p} for p in range(6) for v in values(50)])
    await auntil("all messages seen", lambda: len(set(a.seen + b.seen)) == 600)
    await b.leave()
    await share([a], 6)
    await produce(name, [{"value": b"late", "partition": p} for p in range(6)])
    await auntil("the late messages", lambda: {(p, 100) for p in range(6)} <= set(a.seen))
    await a.leave()


@acheck("group-static")
async def group_static():
    name, _ = await filled("static", 2)
    one = Member("static", name, group_instance_id="one", session_timeout_ms=30000)
    two = Member("static", name, group_instance_id="two", session_timeout_ms=30000)
    await share([one, two], 2)
    owned = set(two.owned)
    await two.leave()
    await asyncio.sleep(1)
    back = Member("static", name, group_instance_id="two", session_timeout_ms=30000)
    await auntil("the same partition", lambda: back.owned == owned, 20)
    await share([one, back], 2)
    await one.leave()
    await back.leave()


@acheck("group-restart")
async def group_restart():
    name, _ = await filled("restart")
    tp = TopicPartition(name, 0)
    async with Consumer("restart", [name]) as c:
        half = await take(c, 60)
        expect("first half", [m.offset for m in half], list(range(60)))
        await c.commit({tp: OffsetAndMetadata(60, "half")})
    async with Consumer("restart", [name]) as c:
        expect("resumed at", (await take(c, 40))[0].offset, 60)
        await c.commit()
    async with Consumer("restart", [name]) as c:
        expect("committed at the end", await c.committed(tp), 100)


@acheck("group-admin")
async def group_admin():
    name, _ = await filled("gadmin")
    group, tp = group_name("gadmin"), TopicPartition(name, 0)
    m = Member("gadmin", name)
    await share([m], 1)
    async with Admin() as admin:
        answer = (await admin.describe_consumer_groups([group]))[0].groups[0]
        expect("group and state", (answer[1], answer[2], len(answer[5])), (group, "Stable", 1))
        expect_true("group not listed", group in [g[0] for g in await admin.list_consumer_groups()])
        await auntil("all read", lambda: len(m.seen) == 100)
        await m.leave()
        offsets = await admin.list_consumer_group_offsets(group)
        expect("offsets", {t: o.offset for t, o in offsets.items()}, {tp: 100})


@acheck("topic-delete")
async def topic_delete():
    async with Admin() as admin:
        await admin.delete_topics(topics_made(), 15000)

        async def gone():
            return not [t for t in await admin.list_topics() if t.startswith(RUN)]
        await auntil("topics gone", gone)
        expect("error of an unknown topic", code_of(await admin.delete_topics([f"{RUN}-never"])), 3)


if __name__ == "__main__":
    main(f"aiokafka {aiokafka.__version__} (Python {sys.version.split()[0]})")
