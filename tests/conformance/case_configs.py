"""Configurations and quotas: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, DescribeClientQuotas, AlterClientQuotas."""

import time

from cases import case

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def resource(kind, name, keys=None):
    return {"resource_type": kind, "resource_name": name, "configuration_keys": keys}


def changes(kind, name, *rows):
    return {"resource_type": kind, "resource_name": name, "configs": [
        {"name": n, "config_operation": op, "value": value} for n, op, value in rows]}


def replacing(kind, name, *rows):
    return {"resource_type": kind, "resource_name": name, "configs": [{"name": n, "value": value} for n, value in rows]}


def seen(side, kind, name, keys, label):
    """What is configured now, compared. Kafka's brokers learn of it a little later."""
    time.sleep(0.1)
    side.call("DescribeConfigs", 4, label=f"seen after {label}", resources=[resource(kind, name, keys)])


@case("DescribeConfigs")
def describe_configs(side, v):
    def ask(label, *resources, **fields):
        side.call("DescribeConfigs", v, label=label, resources=list(resources), **fields)
    topic = side.topic(retention_ms=1234567, cleanup_policy="compact,delete")
    ask("whole topic", resource(TOPIC, topic))
    ask("empty list of keys", resource(TOPIC, topic, []))
    ask("with synonyms", resource(TOPIC, topic), include_synonyms=True)
    if v >= 3:
        ask("with texts", resource(TOPIC, topic, ["retention.ms", "max.message.bytes"]), include_documentation=True)
    ask("some keys", resource(TOPIC, topic, ["retention.ms", "no.such", "segment.bytes"]))
    ask("key twice", resource(TOPIC, topic, ["retention.ms", "retention.ms"]))
    ask("unknown topic", resource(TOPIC, side.fresh()), resource(TOPIC, topic, ["retention.ms"]))
    for name in ("", "a b", "x" * 250):
        ask(f"topic name {name[:5]}", resource(TOPIC, name))
    ask("internal topic", resource(TOPIC, "__consumer_offsets", ["cleanup.policy", "segment.bytes", "compression.type"]))
    ask("topic twice", resource(TOPIC, topic, ["retention.ms"]), resource(TOPIC, topic, ["retention.ms"]))
    keys = ["num.partitions", "log.retention.ms", "message.max.bytes", "auto.create.topics.enable", "default.replication.factor",
            "log.segment.bytes", "min.insync.replicas", "node.id", "log.cleanup.policy", "unclean.leader.election.enable"]
    ask("broker", resource(BROKER, "1", keys), include_synonyms=True)
    ask("all brokers", resource(BROKER, "", keys))
    for name in ("2", "-1", "x"):
        ask(f"broker {name}", resource(BROKER, name, keys))
    for kind in (0, 1, 3, 64, -1):
        ask(f"kind {kind}", resource(kind, "x"))
    ask("nothing")


@case("AlterConfigs")
def alter_configs(side, v):
    def ask(label, *resources, **fields):
        return side.call("AlterConfigs", v, label=label, resources=list(resources), **fields)
    topic, other = side.topic(retention_ms=1000), side.topic()
    keys = ["retention.ms", "max.message.bytes", "cleanup.policy"]
    ask("replaces", replacing(TOPIC, topic, ("max.message.bytes", "2000")))
    seen(side, TOPIC, topic, keys, "replacing")
    for name, value in (("retention.ms", "x"), ("no.such", "1"), ("retention.ms", None), ("retention.ms", ""), ("", "1"),
                        ("cleanup.policy", ""), ("cleanup.policy", "none"), ("cleanup.policy", "compact,compact"),
                        ("min.insync.replicas", "0"), ("retention.ms", " 5 "), ("preallocate", "TRUE")):
        ask(f"{name} = {value}", replacing(TOPIC, topic, (name, value)))
    seen(side, TOPIC, topic, keys, "wrong ones")
    ask("twice", replacing(TOPIC, topic, ("retention.ms", "1"), ("retention.ms", "2")))
    ask("only validated", replacing(TOPIC, topic, ("retention.ms", "5")), validate_only=True)
    ask("only validated, and wrong", replacing(TOPIC, topic, ("retention.ms", "x")), validate_only=True)
    ask("unknown topic", replacing(TOPIC, side.fresh(), ("retention.ms", "1")), replacing(TOPIC, other, ("retention.ms", "1")))
    ask("topic twice", replacing(TOPIC, topic, ("retention.ms", "7")), replacing(TOPIC, topic, ("retention.ms", "8")),
        patience_s=2)
    ask("topic name", replacing(TOPIC, "a b", ("retention.ms", "7")), replacing(TOPIC, "", ("retention.ms", "7")))
    ask("no rows", replacing(TOPIC, topic))
    seen(side, TOPIC, topic, keys, "no rows")
    ask("nothing")
    for kind in (0, 1, 3, 64):
        ask(f"kind {kind}", replacing(kind, "x", ("a", "b")))
    for name in ("2", "x"):
        ask(f"broker {name}", replacing(BROKER, name, ("log.retention.ms", "7")))
    ask("read-only", replacing(BROKER, "1", ("node.id", "7")))


@case("IncrementalAlterConfigs")
def incremental_alter_configs(side, v):
    def ask(label, *resources, **fields):
        return side.call("IncrementalAlterConfigs", v, label=label, resources=list(resources), **fields)
    topic, other = side.topic(retention_ms=1000), side.topic()
    keys = ["retention.ms", "max.message.bytes", "cleanup.policy", "leader.replication.throttled.replicas"]
    for rows in ([("retention.ms", SET, "2000"), ("max.message.bytes", SET, "3000")], [("retention.ms", DELETE, None)],
                 [("retention.ms", DELETE, "ignored")], [("cleanup.policy", APPEND, "compact")],
                 [("cleanup.policy", APPEND, "compact")], [("cleanup.policy", SUBTRACT, "delete")],
                 [("cleanup.policy", SUBTRACT, "delete")], [("leader.replication.throttled.replicas", APPEND, "0:1")],
                 [("leader.replication.throttled.replicas", SUBTRACT, "0:1")], [("cleanup.policy", SET, "delete,compact")],
                 [("cleanup.policy", SUBTRACT, "delete,compact")]):
        label = ", ".join(f"{n} {op} {value}" for n, op, value in rows)
        ask(label, changes(TOPIC, topic, *rows))
        seen(side, TOPIC, topic, keys, label)
    for name, op, value in (("retention.ms", SET, "x"), ("no.such", SET, "1"), ("no.such", DELETE, None), ("retention.ms", SET, None),
                            ("retention.ms", APPEND, "5"), ("retention.ms", SUBTRACT, "5"), ("cleanup.policy", APPEND, "x"),
                            ("cleanup.policy", APPEND, None), ("cleanup.policy", SET, ""), ("retention.ms", 9, "1"),
                            ("retention.ms", -1, "1"), ("retention.ms", SET, ""), ("", SET, "1"), ("min.insync.replicas", SET, "0"),
                            ("leader.replication.throttled.replicas", SET, "nonsense"),
                            ("follower.replication.throttled.replicas", SET, "*"), ("remote.storage.enable", SET, "true"),
                            ("compression.type", SET, "ZSTD"), ("message.timestamp.type", SET, "logappendtime"),
                            ("segment.bytes", SET, "10"), ("preallocate", SET, "yes")):
        ask(f"{name} {op} {value}", changes(TOPIC, topic, (name, op, value)))
    ask("right beside wrong", changes(TOPIC, topic, ("retention.ms", SET, "77"), ("no.such", SET, "1")))
    seen(side, TOPIC, topic, keys, "wrong ones")
    ask("key twice", changes(TOPIC, topic, ("retention.ms", SET, "1"), ("retention.ms", SET, "2")))
    ask("set and deleted", changes(TOPIC, topic, ("retention.ms", SET, "1"), ("retention.ms", DELETE, None)))
    ask("only validated", changes(TOPIC, topic, ("retention.ms", SET, "5")), validate_only=True)
    ask("unknown topic", changes(TOPIC, side.fresh(), ("retention.ms", SET, "1")), changes(TOPIC, other, ("retention.ms", SET, "1")))
    ask("topic twice", changes(TOPIC, topic, ("retention.ms", SET, "7")), changes(TOPIC, topic, ("retention.ms", SET, "8")))
    ask("topic name", changes(TOPIC, "a b", ("retention.ms", SET, "7")), changes(TOPIC, "", ("retention.ms", SET, "7")))
    ask("no rows", changes(TOPIC, topic))
    ask("nothing")
    for kind in (0, 1, 3, 64):
        ask(f"kind {kind}", changes(kind, "x", ("a", SET, "b")))


@case("IncrementalAlterConfigs")
def incremental_alter_brokers(side, v):
    def ask(label, name, *rows, **fields):
        return side.call("IncrementalAlterConfigs", v, label=label, resources=[changes(BROKER, name, *rows)], **fields)
    keys = ["message.max.bytes", "log.retention.ms", "log.cleanup.policy"]
    ask("this one", "1", ("message.max.bytes", SET, "1048590"))
    side.call("DescribeConfigs", 4, label="this one has it", resources=[resource(BROKER, "1", keys)], include_synonyms=True,
              until=lambda a: any(c["value"] == "1048590" for c in a["results"][0]["configs"]))
    ask("all", "", ("message.max.bytes", SET, "1048591"))
    side.call("DescribeConfigs", 4, label="all have it", resources=[resource(BROKER, "", keys)],
              until=lambda a: any(c["value"] == "1048591" for c in a["results"][0]["configs"]))
    side.call("DescribeConfigs", 4, label="nearest first", resources=[resource(BROKER, "1", keys)], include_synonyms=True,
              until=lambda a: any(len(c["synonyms"]) == 3 for c in a["results"][0]["configs"]))
    for name, value in (("message.max.bytes", "x"), ("node.id", "3"), ("no.such", "1"), ("log.cleanup.policy", "x"),
                        ("process.roles", "broker"), ("message.max.bytes", None)):
        ask(f"{name} = {value}", "1", (name, SET, value))
        ask(f"all: {name} = {value}", "", (name, SET, value))
    for name in ("2", "-1", "x"):
        ask(f"broker {name}", name, ("message.max.bytes", SET, "1048590"))
    ask("taken away", "1", ("message.max.bytes", DELETE, None))
    ask("taken away from all", "", ("message.max.bytes", DELETE, None))
    side.call("DescribeConfigs", 4, label="default again", resources=[resource(BROKER, "1", keys)], include_synonyms=True,
              until=lambda a: any(c["value"] == "1048588" for c in a["results"][0]["configs"]))


# ---- quotas ----

def entity(**names):
    """entity(user="u", client_id=None): None is the default."""
    return [{"entity_type": t.replace("_", "-"), "entity_name": n} for t, n in names.items()]


def entry(who, *ops):
    return {"entity": who, "ops": [{"key": k, "value": 0.0 if value is None else value, "remove": value is None} for k, value in ops]}


def alter_quotas(side, v, label, *entries, **fields):
    return side.call("AlterClientQuotas", v, label=label, entries=list(entries), **{**dict(validate_only=False), **fields})


def describe_quotas(side, v, label, *components, strict=False):
    return side.call("DescribeClientQuotas", v, label=label, strict=strict, components=[
        {"entity_type": t, "match_type": m, "match": n} for t, m, n in components])


@case("AlterClientQuotas")
def alter_client_quotas(side, v):
    user, client = side.fresh("u"), side.fresh("c")
    ask = alter_quotas
    ask(side, v, "set", entry(entity(user=user), ("producer_byte_rate", 1e6), ("consumer_byte_rate", 2e6)))
    ask(side, v, "set for both", entry(entity(user=user, client_id=client), ("request_percentage", 200.0)))
    ask(side, v, "removed", entry(entity(user=user), ("producer_byte_rate", None)))
    ask(side, v, "removed that is not there", entry(entity(client_id=client), ("producer_byte_rate", None)))
    describe_quotas(side, v, "what there is", ("user", 0, user))
    for what, row in (("unknown key", entry(entity(user=user), ("no_such", 1.0))),
                      ("unknown kind", entry(entity(thing="x"), ("producer_byte_rate", 1.0))),
                      ("no entity", entry([], ("producer_byte_rate", 1.0))),
                      ("empty name", entry(entity(user=""), ("producer_byte_rate", 1.0))),
                      ("negative", entry(entity(user=user), ("producer_byte_rate", -1.0))),
                      ("zero", entry(entity(user=user), ("producer_byte_rate", 0.0))),
                      ("a part", entry(entity(user=user), ("producer_byte_rate", 0.5))),
                      ("kind twice", entry(entity(user=user) * 2, ("producer_byte_rate", 1.0))),
                      ("key twice", entry(entity(user=user), ("producer_byte_rate", 5.0), ("producer_byte_rate", 6.0))),
                      ("ip", entry(entity(ip="10.1.2.3"), ("connection_creation_rate", 5.0))),
                      ("ip with a client's key", entry(entity(ip="10.1.2.3"), ("producer_byte_rate", 5.0))),
                      ("user with an ip's key", entry(entity(user=user), ("connection_creation_rate", 5.0))),
                      ("ip that is none", entry(entity(ip="x y"), ("connection_creation_rate", 5.0))),
                      ("user and ip", entry(entity(user=user, ip="10.1.2.3"), ("producer_byte_rate", 5.0))),
                      ("no operation", entry(entity(user=user)))):
        ask(side, v, what, row)
    ask(side, v, "entity twice", entry(entity(user=user), ("producer_byte_rate", 7.0)),
        entry(entity(user=user), ("producer_byte_rate", 8.0)))
    ask(side, v, "right and wrong", entry(entity(user=user), ("producer_byte_rate", 9e6)), entry(entity(user=user + "x"), ("no", 1.0)))
    ask(side, v, "only validated", entry(entity(client_id=client), ("producer_byte_rate", 7e6)), validate_only=True)
    ask(side, v, "only validated, and wrong", entry(entity(client_id=client), ("no", 7.0)), validate_only=True)
    ask(side, v, "nothing")
    describe_quotas(side, v, "what there is in the end", ("user", 0, user))
    describe_quotas(side, v, "and of the client", ("client-id", 0, client))


@case("DescribeClientQuotas")
def describe_client_quotas(side, v):
    user, client = side.fresh("u"), side.fresh("c")
    for who in (entity(user=user), entity(client_id=client), entity(user=user, client_id=client), entity(user=user, client_id=None)):
        side.quiet("AlterClientQuotas", 1, entries=[entry(who, ("producer_byte_rate", 1e8))], validate_only=False)
    side.quiet("DescribeClientQuotas", 1, strict=False, components=[{"entity_type": "user", "match_type": 0, "match": user}],
               until=lambda a: len(a["entries"]) == 3)
    for strict in (False, True):
        def ask(label, *components):
            describe_quotas(side, v, f"{label}{', strict' if strict else ''}", *components, strict=strict)
        ask("user", ("user", 0, user))
        ask("client", ("client-id", 0, client))
        ask("both", ("user", 0, user), ("client-id", 0, client))
        ask("user and default client", ("user", 0, user), ("client-id", 1, None))
        ask("user and any client", ("user", 0, user), ("client-id", 2, None))
        ask("nobody", ("user", 0, side.fresh()))
        ask("default user", ("user", 1, None))
        ask("unknown kind", ("thing", 0, "x"))
        ask("kind twice", ("user", 0, user), ("user", 0, user))
        ask("unknown match", ("user", 7, user))
        ask("exact without a name", ("user", 0, None))
        ask("default with a name", ("user", 1, "x"))
        ask("any with a name", ("user", 2, "x"))
        ask("empty kind", ("", 0, "x"))
        ask("ip", ("ip", 0, "10.9.9.9"))
        ask("user and ip", ("user", 0, user), ("ip", 2, None))
    for who in (entity(user=user), entity(client_id=client), entity(user=user, client_id=client), entity(user=user, client_id=None)):
        side.quiet("AlterClientQuotas", 1, entries=[entry(who, ("producer_byte_rate", None))], validate_only=False)


GROUP_KEYS = ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "share.session.timeout.ms",
              "share.heartbeat.interval.ms", "share.record.lock.duration.ms", "share.delivery.count.limit",
              "share.partition.max.record.locks", "share.auto.offset.reset", "share.isolation.level",
              "share.renew.acknowledge.enable"]


@case("IncrementalAlterConfigs")
def incremental_alter_groups(side, v):
    group, other = side.fresh(), side.fresh()

    def ask(label, *rows, **fields):
        return side.call("IncrementalAlterConfigs", v, label=label, resources=[changes(GROUP, fields.pop("name", group), *rows)],
                         **fields)
    ask("some", ("consumer.session.timeout.ms", SET, "50000"), ("share.auto.offset.reset", SET, "earliest"))
    side.call("DescribeConfigs", 4, label="they are seen", resources=[resource(GROUP, group, GROUP_KEYS)], include_synonyms=True,
              until=lambda a: any(c["value"] == "50000" for c in a["results"][0]["configs"]))
    seen(side, GROUP, other, GROUP_KEYS, "nothing was set")
    for name, value in (("consumer.session.timeout.ms", "44999"), ("consumer.session.timeout.ms", "60001"),
                        ("consumer.session.timeout.ms", "0"), ("consumer.session.timeout.ms", "x"),
                        ("consumer.session.timeout.ms", ""), ("consumer.session.timeout.ms", None),
                        ("consumer.session.timeout.ms", " 50000 "), ("consumer.heartbeat.interval.ms", "4999"),
                        ("consumer.heartbeat.interval.ms", "15000"), ("share.record.lock.duration.ms", "14999"),
                        ("share.record.lock.duration.ms", "60000"), ("share.delivery.count.limit", "11"),
                        ("share.delivery.count.limit", "1"), ("share.partition.max.record.locks", "4001"),
                        ("share.partition.max.record.locks", "4000"), ("share.auto.offset.reset", "none"),
                        ("share.auto.offset.reset", "by_duration:P1DT2H"), ("share.auto.offset.reset", "by_duration:-PT1S"),
                        ("share.auto.offset.reset", "by_duration:"), ("share.auto.offset.reset", "EARLIEST"),
                        ("share.isolation.level", "read_committed"), ("share.isolation.level", "READ_COMMITTED"),
                        ("share.renew.acknowledge.enable", "false"), ("share.renew.acknowledge.enable", "no"),
                        ("no.such", "1"), ("", "1"), ("retention.ms", "1")):
        ask(f"{name} = {value}", (name, SET, value))
    for op in (APPEND, SUBTRACT, 9):
        ask(f"operation {op}", ("consumer.session.timeout.ms", op, "50000"))
    ask("unknown taken away", ("no.such", DELETE, None))
    ask("only validated", ("consumer.session.timeout.ms", SET, "55000"), validate_only=True)
    ask("key twice", ("consumer.session.timeout.ms", SET, "55000"), ("consumer.session.timeout.ms", SET, "56000"))
    ask("no name", ("consumer.session.timeout.ms", SET, "55000"), name="")
    ask("no rows")
    ask("right beside wrong", ("consumer.session.timeout.ms", SET, "51000"), ("share.delivery.count.limit", SET, "0"))
    seen(side, GROUP, group, GROUP_KEYS, "wrong ones")
    ask("taken away", ("consumer.session.timeout.ms", DELETE, None))
    side.call("DescribeConfigs", 4, label="default again", resources=[resource(GROUP, group, GROUP_KEYS)], include_synonyms=True,
              until=lambda a: any(c["value"] == "45000" for c in a["results"][0]["configs"]))
    seen(side, GROUP, "", GROUP_KEYS, "no name")


@case("AlterConfigs")
def alter_groups(side, v):
    group = side.fresh()
    for rows in ([("consumer.session.timeout.ms", "50000")], [("share.delivery.count.limit", "6")], [("no.such", "1")],
                 [("share.delivery.count.limit", "x")]):
        side.call("AlterConfigs", v, label=str(rows), resources=[replacing(GROUP, group, *rows)])
        seen(side, GROUP, group, GROUP_KEYS, str(rows))
    side.call("AlterConfigs", v, label="no name", resources=[replacing(GROUP, "", ("share.delivery.count.limit", "6"))])
    side.call("AlterConfigs", v, label="nothing", resources=[replacing(GROUP, group)])
    seen(side, GROUP, group, GROUP_KEYS, "nothing")
