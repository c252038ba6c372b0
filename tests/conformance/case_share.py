"""Share groups (KIP-932): members, and where groups stand. Kafka's epochs grow once more than ours, when it has made room for a group's
state: what is compared is whether an epoch is the member's."""

from cases import case
from case_groups import group_of


def joins(group, topic, member="m", **more):
    return {**dict(group_id=group, member_id=member, member_epoch=0, subscribed_topic_names=[topic]), **more}


def joined(side, group, topic, member="m"):
    """In, with what it shall have. Return: its epoch."""
    answer = side.quiet("ShareGroupHeartbeat", 1, **joins(group, topic, member), until=lambda a: a["error_code"] == 0
                        and a["assignment"] and a["assignment"]["topic_partitions"])
    return answer["member_epoch"]


def left(side, group, member="m"):
    side.quiet("ShareGroupHeartbeat", 1, group_id=group, member_id=member, member_epoch=-1)


def empty(side, topic):
    """A group that had a member."""
    group = group_of(side)
    joined(side, group, topic)
    left(side, group)
    return group


def altered(side, group, *offsets):
    side.quiet("AlterShareGroupOffsets", 0, group_id=group, topics=[{"topic_name": t, "partitions": [
        {"partition_index": p, "start_offset": o}]} for t, p, o in offsets])


@case("ShareGroupHeartbeat")
def share_heartbeat(side, v):
    topic, group = side.topic(2), group_of(side)
    epoch = joined(side, group, topic)

    def ask(label, **more):
        side.call("ShareGroupHeartbeat", v, label=label, **{**dict(group_id=group, member_id="m", member_epoch=epoch), **more},
                  keep=lambda a: {**a, "member_epoch": "its own" if a["member_epoch"] == epoch else a["member_epoch"]})
    ask("at rest")
    ask("says what it wants", subscribed_topic_names=[topic])
    ask("joins again", member_epoch=0, subscribed_topic_names=[topic])
    ask("epoch too high", member_epoch=epoch + 7)
    ask("unknown member", member_id="nobody")
    ask("unknown group", group_id=side.fresh("g"))
    ask("no group", group_id="")
    ask("epoch -2", member_epoch=-2)
    ask("empty rack", rack_id="")
    ask("joins without an id", **joins(group, topic, ""))
    ask("joins without a subscription", **joins(group, topic, "n", subscribed_topic_names=None))
    ask("joins for nothing", **joins(group, topic, "n", subscribed_topic_names=[]))
    ask("leaves", member_epoch=-1)
    ask("leaves again", member_epoch=-1)
    ask("a group of another type", group_id=consumers(side, topic), member_epoch=0, subscribed_topic_names=[topic])


def consumers(side, topic):
    """A consumer group."""
    group = group_of(side)
    side.quiet("ConsumerGroupHeartbeat", 1, group_id=group, member_id="c", member_epoch=0, rebalance_timeout_ms=60000,
               subscribed_topic_names=[topic], topic_partitions=[])
    return group


@case("ShareGroupDescribe")
def share_describe(side, v):
    topic, group = side.topic(2), group_of(side)
    epoch = joined(side, group, topic)

    def told(answer):
        """Epochs that are the member's."""
        for g in answer["groups"]:
            for place in [g, *g["members"]]:
                for name in ("group_epoch", "assignment_epoch", "member_epoch"):
                    if place.get(name) == epoch:
                        place[name] = "its own"
        return answer

    def ask(label, *groups, **more):
        side.call("ShareGroupDescribe", v, label=label, group_ids=list(groups), keep=told, **more)
    ask("one member", group)
    ask("what may be done", group, include_authorized_operations=True)
    ask("unknown", side.fresh("g"))
    ask("no name", "")
    ask("none")
    ask("a group of another type", consumers(side, topic))
    for version in (5, 6):
        side.call("DescribeGroups", version, label="of the other type", groups=[group])
    side.call("ConsumerGroupDescribe", 1, label="of the other type", group_ids=[group])
    side.call("ListGroups", 5, label="of a type", states_filter=[], types_filter=["share"],
              keep=lambda a: [g for g in a["groups"] if g["group_id"] == group])
    side.call("ListGroups", 5, label="of a state", states_filter=["stable"], types_filter=["share"],
              keep=lambda a: [g for g in a["groups"] if g["group_id"] == group])


@case("ShareGroupDescribe")
def share_other_requests(side, v):
    """What is asked of other types of groups, of a share group, with members and without."""
    topic, group = side.topic(2), group_of(side)
    epoch = joined(side, group, topic)
    for how in ("with members", "empty"):
        side.call("JoinGroup", 9, label=how, group_id=group, session_timeout_ms=60000, rebalance_timeout_ms=60000, member_id="",
                  protocol_type="consumer", protocols=[{"name": "range", "metadata": b""}])
        side.call("SyncGroup", 5, label=how, group_id=group, generation_id=epoch, member_id="m")
        side.call("Heartbeat", 4, label=how, group_id=group, generation_id=epoch, member_id="m")
        side.call("LeaveGroup", 5, label=how, group_id=group, members=[{"member_id": "m"}])
        for version in (7, 9):
            side.call("OffsetCommit", version, label=how, group_id=group, generation_id_or_member_epoch=epoch, member_id="m", topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 1}]}])
        side.call("OffsetFetch", 8, label=how, groups=[{"group_id": group, "topics": [
            {"name": topic, "partition_indexes": [0]}]}])
        side.call("OffsetFetch", 9, label=how, groups=[{"group_id": group, "member_id": "m", "member_epoch": epoch, "topics": None}])
        side.call("OffsetDelete", 0, label=how, group_id=group, topics=[{"name": topic, "partitions": [{"partition_index": 0}]}])
        side.call("ConsumerGroupHeartbeat", 1, label=how, group_id=group, member_id="c", member_epoch=0,
                  rebalance_timeout_ms=60000, subscribed_topic_names=[topic], topic_partitions=[])
        if how != "empty":
            side.call("DeleteGroups", 2, label=how, groups_names=[group])
            left(side, group)
    side.call("DeleteGroups", 2, label="empty", groups_names=[group])
    side.call("DeleteGroups", 2, label="gone", groups_names=[group])


@case("DescribeShareGroupOffsets")
def share_offsets(side, v):
    topic = side.topic(3)
    group = empty(side, topic)
    side.fill(topic, [b"a", b"b", b"c"], partition=1)
    altered(side, group, (topic, 1, 1))

    def ask(label, name, topics):
        side.call("DescribeShareGroupOffsets", v, label=label, groups=[{"group_id": name, "topics": topics}])
    ask("all", group, None)
    ask("some", group, [{"topic_name": topic, "partitions": [1, 0]}])
    ask("no such partition", group, [{"topic_name": topic, "partitions": [7]}])
    ask("no such topic", group, [{"topic_name": side.fresh(), "partitions": [0]}])
    ask("no topics", group, [])
    ask("unknown group, all", side.fresh("g"), None)
    ask("unknown group", side.fresh("g"), [{"topic_name": topic, "partitions": [0]}])
    ask("a group of another type", consumers(side, topic), [{"topic_name": topic, "partitions": [0]}])
    ask("no group", "", None)
    side.call("DescribeShareGroupOffsets", v, label="no groups", groups=[])


@case("AlterShareGroupOffsets")
def share_alter(side, v):
    topic = side.topic(2)
    group = empty(side, topic)

    def ask(label, name, *topics):
        side.call("AlterShareGroupOffsets", v, label=label, group_id=name, topics=[
            {"topic_name": t, "partitions": [{"partition_index": p, "start_offset": o} for p, o in rows]} for t, rows in topics])
    ask("both", group, (topic, [(0, 1), (1, 2)]))
    ask("some that are not there", group, (topic, [(0, 5), (7, 5)]), (side.fresh(), [(0, 1)]))
    ask("negative", group, (topic, [(0, -5)]))
    ask("no topics", group)
    ask("unknown group", side.fresh("g"), (topic, [(0, 1)]))
    ask("unknown group, no topics", side.fresh("g"))
    ask("no group", "", (topic, [(0, 1)]))
    ask("a group of another type", consumers(side, topic), (topic, [(0, 1)]))
    joined(side, group, topic)
    ask("with members", group, (topic, [(0, 1)]))
    left(side, group)
    side.call("DescribeShareGroupOffsets", 1, label="at last", groups=[{"group_id": group, "topics": [
        {"topic_name": topic, "partitions": [1]}]}])


@case("DeleteShareGroupOffsets")
def share_delete(side, v):
    topic, other = side.topic(2), side.topic(1)
    group = empty(side, topic)
    altered(side, group, (topic, 0, 1))

    def ask(label, name, *topics):
        side.call("DeleteShareGroupOffsets", v, label=label, group_id=name, topics=[{"topic_name": t} for t in topics])
    ask("one that is not known", group, other)
    ask("one that is not there", group, side.fresh())
    ask("no topics", group)
    ask("unknown group", side.fresh("g"), topic)
    ask("no group", "", topic)
    ask("a group of another type", consumers(side, topic), topic)
    joined(side, group, topic)
    ask("with members", group, topic)
    left(side, group)
    ask("one", group, topic)
    side.call("DescribeShareGroupOffsets", 1, label="at last", groups=[{"group_id": group, "topics": [
        {"topic_name": topic, "partitions": [0]}]}])
