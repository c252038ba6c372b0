"""Topics: Metadata, CreateTopics, DeleteTopics, CreatePartitions, DescribeTopicPartitions."""

from case_records import NOBODY
from cases import case

BAD_NAMES = ("", ".", "..", "a b", "ä", "x" * 250)


def of_prefix(side, rows="topics", name="name"):
    """What of an answer about everything is of this case."""
    return lambda a: {**a, rows: [r for r in a[rows] if (r[name] or "").startswith(side.prefix)]}


# ---- Metadata ----

@case("Metadata")
def metadata(side, v):
    topic, other = side.topic(3), side.topic()
    no_creation = {"allow_auto_topic_creation": False} if v >= 4 else {}

    def ask(label, topics, **fields):
        side.call("Metadata", v, label=label, topics=topics, **{**no_creation, **fields})
    ask("one", [{"name": topic}])
    ask("two", [{"name": topic}, {"name": other}])
    ask("twice", [{"name": topic}, {"name": topic}])
    side.coordinator("g")
    ask("internal", [{"name": "__consumer_offsets"}])
    if v:
        ask("none", [])
        side.call("Metadata", v, label="all", topics=None, keep=of_prefix(side))
    else:
        side.call("Metadata", v, label="all", topics=[], keep=of_prefix(side))
    if v >= 4:
        ask("unknown", [{"name": side.fresh()}, {"name": other}])
        for name in BAD_NAMES:
            ask(f"name {name[:5]}", [{"name": name}])
    if v >= 8:
        ask("operations", [{"name": topic}], include_topic_authorized_operations=True)
    if 8 <= v <= 10:
        ask("operations of the cluster", [], include_cluster_authorized_operations=True)
    if v >= 12:
        ask("by id", [{"topic_id": side.topic_id(topic), "name": None}])
        ask("unknown id", [{"topic_id": NOBODY, "name": None}, {"name": topic}])
        ask("no id", [{"topic_id": bytes(16), "name": None}])
        ask("id and name", [{"topic_id": side.topic_id(topic), "name": topic}])
        ask("id and another name", [{"topic_id": side.topic_id(topic), "name": other}])
        ask("id twice", [{"topic_id": side.topic_id(topic), "name": None}] * 2)
    elif v >= 10:
        ask("by id too early", [{"topic_id": side.topic_id(topic), "name": None}])


@case("Metadata")
def metadata_creates(side, v):
    creation = {"allow_auto_topic_creation": True} if v >= 4 else {}
    name = side.fresh()
    for label in ("made", "made before"):
        side.call("Metadata", v, label=label, topics=[{"name": name}], **creation, until=lambda a: (
            not any(t["error_code"] for t in a["topics"])))
    for bad in BAD_NAMES:
        side.call("Metadata", v, label=f"name {bad[:5]}", topics=[{"name": bad}], **creation)
    dotted = side.fresh("with.dot")
    side.topic(name=dotted)
    side.call("Metadata", v, label="collision", topics=[{"name": dotted.replace(".", "_")}], **creation)


# ---- CreateTopics, DeleteTopics, CreatePartitions ----

def topic_row(name, partitions=1, factor=1, assignments=(), configs=()):
    return {"name": name, "num_partitions": partitions, "replication_factor": factor,
            "assignments": [{"partition_index": i, "broker_ids": list(b)} for i, b in assignments],
            "configs": [{"name": n, "value": c} for n, c in configs]}


@case("CreateTopics")
def create_topics(side, v):
    def ask(label, *rows, **fields):
        # Each configuration is told from version 5 on: those that both have are compared in DescribeConfigs.
        return side.call("CreateTopics", v, label=label, topics=list(rows), timeout_ms=5000, **fields, keep=lambda a: {
            **a, "topics": [{**t, **({"configs": bool(t["configs"])} if "configs" in t else {})} for t in a["topics"]]})
    name = side.fresh()
    ask("one", topic_row(name, 2))
    ask("again", topic_row(name, 2))
    ask("two", topic_row(side.fresh()), topic_row(side.fresh(), configs=[("retention.ms", "1000"), ("cleanup.policy", "compact")]))
    if v >= 4:
        ask("defaults", topic_row(side.fresh(), -1, -1))
    twice = side.fresh()
    ask("twice", topic_row(twice), topic_row(twice, 2), topic_row(side.fresh()))
    for bad in BAD_NAMES:
        ask(f"name {bad[:5]}", topic_row(bad))
    dotted = side.fresh("with.dot")
    ask("dotted", topic_row(dotted))
    ask("collision", topic_row(dotted.replace(".", "_")))
    for partitions in (0, -2):
        ask(f"partitions {partitions}", topic_row(side.fresh(), partitions))
    for factor in (0, -2, 2, 100):
        ask(f"factor {factor}", topic_row(side.fresh(), 1, factor))
    ask("assigned", topic_row(side.fresh(), -1, -1, [(0, [1]), (1, [1])]))
    ask("assigned in another order", topic_row(side.fresh(), -1, -1, [(1, [1]), (0, [1])]))
    for what, rows in (("a gap", [(0, [1]), (2, [1])]), ("not from 0", [(1, [1])]), ("no replica", [(0, [])]),
                       ("a replica twice", [(0, [1, 1])]), ("unknown broker", [(0, [99])]), ("negative broker", [(0, [-1])]),
                       ("partition twice", [(0, [1]), (0, [1])]), ("uneven", [(0, [1]), (1, [1, 2])]),
                       ("negative partition", [(-1, [1])])):
        ask(f"assigned: {what}", topic_row(side.fresh(), -1, -1, rows))
    ask("assigned and counted", topic_row(side.fresh(), 1, -1, [(0, [1])]))
    ask("assigned and copied", topic_row(side.fresh(), -1, 1, [(0, [1])]))
    for config in (("no.such", "1"), ("retention.ms", "x"), ("retention.ms", "-2"), ("retention.ms", None), ("cleanup.policy", "x"),
                   ("cleanup.policy", ""), ("segment.bytes", "1"), ("max.message.bytes", "-1"), ("compression.type", "brotli"),
                   ("min.insync.replicas", "0"), ("message.timestamp.type", "Now"), ("retention.ms", ""), ("", "1"),
                   ("retention.ms", "99999999999999999999"), ("min.cleanable.dirty.ratio", "2"), ("preallocate", "yes"),
                   ("remote.storage.enable", "true"), ("min.insync.replicas", "2")):
        ask(f"config {config[0]} = {config[1]}", topic_row(side.fresh(), configs=[config]))
    ask("config twice", topic_row(side.fresh(), configs=[("retention.ms", "1000"), ("retention.ms", "2000")]))
    only = side.fresh()
    ask("only validated", topic_row(only, 3), validate_only=True)
    ask("only validated, and wrong", topic_row(side.fresh(), 0), validate_only=True)
    ask("only validated, and there", topic_row(name), validate_only=True)
    ask("not there after that", topic_row(only, 3))
    ask("nothing")
    ask("internal", topic_row("__consumer_offsets"))
    ask("metadata", topic_row("__cluster_metadata"))


@case("DeleteTopics")
def delete_topics(side, v):
    def ask(label, *names, **fields):
        rows = {"topics": [{"name": n} for n in names]} if v >= 6 else {"topic_names": list(names)}
        return side.call("DeleteTopics", v, label=label, timeout_ms=5000, **{**rows, **fields})
    one, two, three = side.topic(), side.topic(2), side.topic()
    ask("one", one)
    side.quiet("Metadata", 12, topics=[{"name": one}], allow_auto_topic_creation=False,
               until=lambda a: a["topics"][0]["error_code"])
    ask("again", one)
    ask("two and one unknown", two, side.fresh(), three)
    for name in BAD_NAMES:
        ask(f"name {name[:5]}", name)
    twice = side.topic()
    ask("twice", twice, twice)
    ask("nothing")
    if v >= 6:
        topic, other = side.topic(), side.topic()
        ids = side.topic_id(topic), side.topic_id(other)
        ask("unknown id", topics=[{"name": None, "topic_id": NOBODY}])
        ask("neither", topics=[{"name": None, "topic_id": bytes(16)}])
        ask("id and name", topics=[{"name": topic, "topic_id": ids[0]}])
        ask("id twice", topics=[{"name": None, "topic_id": ids[0]}] * 2)
        ask("name, and its id", topics=[{"name": topic}, {"name": None, "topic_id": ids[0]}])
        ask("by id", topics=[{"name": None, "topic_id": ids[1]}])
    side.call("Metadata", 12, label="what is left", topics=None, keep=of_prefix(side), until=lambda a: all(
        t["name"] not in (one, two, three) for t in a["topics"]))


@case("CreatePartitions")
def create_partitions(side, v):
    def ask(label, *rows, **fields):
        return side.call("CreatePartitions", v, label=label, timeout_ms=5000, topics=[
            {"name": n, "count": c, "assignments": None if a is None else [{"broker_ids": b} for b in a]} for n, c, a in rows],
            **fields)
    topic, other = side.topic(2), side.topic()
    ask("up", (topic, 3, None))
    side.ready(topic, 3)
    for count in (3, 2, 1, 0, -1):
        ask(f"to {count}", (topic, count, None))
    ask("unknown", (side.fresh(), 2, None), (other, 2, None))
    side.ready(other, 2)
    for name in BAD_NAMES:
        ask(f"name {name[:5]}", (name, 2, None))
    ask("twice", (topic, 5, None), (topic, 6, None))
    ask("assigned", (topic, 4, [[1]]))
    side.ready(topic, 4)
    for what, a in (("none", []), ("too many", [[1], [1]]), ("no replica", [[]]), ("a replica twice", [[1, 1]]),
                    ("unknown broker", [[99]]), ("negative broker", [[-1]]), ("two replicas", [[1, 2]])):
        ask(f"assigned: {what}", (topic, 5, a))
    ask("only validated", (topic, 9, None), validate_only=True)
    ask("only validated, and wrong", (topic, 1, None), validate_only=True)
    ask("nothing")
    side.call("Metadata", 12, label="what there is", topics=[{"name": topic}, {"name": other}], allow_auto_topic_creation=False)


@case("DescribeTopicPartitions")
def describe_topic_partitions(side, v):
    def ask(label, names, **fields):
        side.call("DescribeTopicPartitions", v, label=label, topics=[{"name": n} for n in names], **fields)
    one, two = side.topic(3), side.topic(2)
    ask("one", [one])
    ask("two, in the other order", [two, one])
    ask("twice", [one, one])
    ask("unknown", [side.fresh(), one])
    for name in BAD_NAMES:
        ask(f"name {name[:5]}", [name])
    for limit in (1, 2, 4, 0, -1):
        ask(f"at most {limit}", [one, two], response_partition_limit=limit)
    ask("on from a cursor", [one, two], response_partition_limit=2, cursor={"topic_name": one, "partition_index": 2})
    ask("cursor in the second", [one, two], cursor={"topic_name": two, "partition_index": 1})
    ask("cursor behind the end", [one, two], cursor={"topic_name": two, "partition_index": 9})
    ask("negative cursor", [one, two], cursor={"topic_name": two, "partition_index": -1})
    ask("cursor on a topic that is not asked for", [one], cursor={"topic_name": two, "partition_index": 0})
    side.call("DescribeTopicPartitions", v, label="all", topics=[], keep=of_prefix(side))
