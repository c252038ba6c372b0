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


class Fetches:
    """A session of a group's only member. @place: (topic id, partition), what is fetched."""

    def __init__(self, side, v, topic, **configs):
        self.side, self.v, self.epoch, self.group = side, v, 0, group_of(side)
        self.topic_id = side.topic_id(topic)
        side.quiet("IncrementalAlterConfigs", 1, resources=[{"resource_type": 32, "resource_name": self.group, "configs": [
            {"name": n, "config_operation": 0, "value": value} for n, value in {"share.auto.offset.reset": "earliest", **configs}.items()]}])
        joined(side, self.group, topic)

    def fields(self, acks, partition=0, names=True, topic_id=None, epoch=None, member_id="m", **more):
        topics = [{"topic_id": topic_id or self.topic_id, "partitions": [{"partition_index": partition, "acknowledgement_batches": [
            {"first_offset": first, "last_offset": last, "acknowledge_types": list(types)} for first, last, types in acks]}]}]
        return {**dict(group_id=self.group, member_id=member_id, share_session_epoch=self.epoch if epoch is None else epoch,
                       topics=topics if names or acks else []), **more}

    def fetched(self, acks, **more):
        return {**dict(max_wait_ms=500, min_bytes=1, max_bytes=1 << 20, max_records=500, batch_size=500),
                **self.fields(acks, **more)}

    def step(self, answer, more):
        if isinstance(answer, dict) and not answer["error_code"] and "epoch" not in more:
            self.epoch += 1
        return answer

    def until_lent(self):
        """Fetch until something is there: Kafka begins a little later than it says. It is not compared."""
        for _ in range(40):
            answer = self.step(self.side.quiet("ShareFetch", self.v, **self.fetched([])), {})
            if any(p["acquired_records"] for t in answer["responses"] for p in t["partitions"]):
                return
        raise AssertionError("no records came")

    def fetch(self, label, acks=(), **more):
        self.step(self.side.call("ShareFetch", self.v, label=label, **self.fetched(acks, names=False, **more)), more)

    def fetch_place(self, label, acks=(), **more):
        self.step(self.side.call("ShareFetch", self.v, label=label, **self.fetched(acks, **more)), more)

    def acknowledge(self, label, *acks, **more):
        self.step(self.side.call("ShareAcknowledge", self.v, label=label, **self.fields(acks, names=False, **more)), more)


ACCEPT, RELEASE, REJECT, RENEW = (1,), (2,), (3,), (4,)


@case("ShareFetch")
def share_fetch(side, v):
    topic = side.topic(2)
    f = Fetches(side, v, topic)
    f.fetch_place("no session", epoch=4)
    f.fetch_place("nothing to end", epoch=-1)
    f.fetch_place("epoch -2", epoch=-2)
    side.fill(topic, [b"a", b"b", b"c"])
    f.until_lent()
    f.fetch("nothing more", max_wait_ms=0)
    f.fetch("epoch too high", epoch=70)
    f.fetch("epoch before", epoch=1)
    f.fetch("accepts", [(0, 0, ACCEPT)], max_wait_ms=0)
    f.fetch("accepts again", [(0, 0, ACCEPT)], max_wait_ms=0)
    f.fetch("two and a type", [(1, 2, ACCEPT + ACCEPT)], max_wait_ms=0)
    side.fill(topic, [b"d"], [b"e"])
    f.fetch("the next")
    f.fetch("nobody's", [(9, 9, ACCEPT)], max_wait_ms=0)
    f.fetch("a type that is none", [(3, 3, (7,))], max_wait_ms=0)
    f.fetch("no type", [(3, 3, ())], max_wait_ms=0)
    f.fetch_place("no such partition", partition=9, max_wait_ms=0)
    f.fetch("forgets it", max_wait_ms=0, forgotten_topics_data=[{"topic_id": f.topic_id, "partitions": [9]}])
    f.fetch("releases and fetches", [(3, 4, RELEASE)])
    f.fetch("ends", [(3, 4, ACCEPT)], epoch=-1, max_wait_ms=0)
    f.fetch("ended", max_wait_ms=0)
    f.fetch_place("no such topic", epoch=0, member_id="other", topic_id=b"\7" * 16, max_wait_ms=0)
    f.fetch_place("another member", epoch=0, member_id="nobody", max_wait_ms=0)
    f.fetch_place("acknowledges with the first", [(0, 0, ACCEPT)], epoch=0, max_wait_ms=0)
    f.fetch_place("no group", epoch=0, group_id="", max_wait_ms=0)
    f.fetch_place("no member", epoch=0, member_id="", max_wait_ms=0)
    f.fetch_place("unknown group", epoch=0, group_id=side.fresh("g"), max_wait_ms=0)


@case("ShareFetch")
def share_fetch_modes(side, v):
    if v < 2:
        return
    topic = side.topic(1)
    side.fill(topic, [b"a", b"b", b"c"])
    f = Fetches(side, v, topic)
    f.until_lent()
    f.fetch("renews", [(0, 2, RENEW)], is_renew_ack=True, max_wait_ms=0, min_bytes=0, max_bytes=0, max_records=0)
    f.fetch("renews without saying so", [(0, 2, RENEW)], max_wait_ms=0)
    f.fetch("renews and wants records", [(0, 2, RENEW)], is_renew_ack=True, max_wait_ms=0)
    f.fetch("releases", [(0, 2, RELEASE)], max_records=1, share_acquire_mode=1, is_renew_ack=False)
    f.fetch("a mode that is none", max_wait_ms=0, share_acquire_mode=9, epoch=7)


@case("ShareAcknowledge")
def share_acknowledge(side, v):
    topic = side.topic(1)
    side.fill(topic, [b"%d" % i for i in range(8)])
    f = Fetches(side, v, topic)
    f.acknowledge("no session", (0, 0, ACCEPT), epoch=3)
    f.acknowledge("opens", epoch=0)
    f.acknowledge("nothing to end", epoch=-1)
    f.acknowledge("epoch -2", epoch=-2)
    f.until_lent()
    f.acknowledge("nothing")
    f.acknowledge("accepts", (0, 0, ACCEPT))
    f.acknowledge("accepts again", (0, 0, ACCEPT))
    f.acknowledge("one type for each", (1, 4, ACCEPT + RELEASE + REJECT + (0,)))
    f.acknowledge("in the middle", (6, 6, ACCEPT))
    f.acknowledge("it again", (6, 6, ACCEPT))
    f.acknowledge("what was released", (2, 2, ACCEPT))
    f.acknowledge("beyond", (7, 8, ACCEPT))
    f.acknowledge("far beyond", (20, 21, ACCEPT))
    f.acknowledge("backwards", (7, 6, ACCEPT))
    f.acknowledge("ranges backwards", (7, 7, ACCEPT), (5, 5, ACCEPT))
    f.acknowledge("below 0", (-3, -2, ACCEPT))
    f.acknowledge("no types", (7, 7, ()))
    f.acknowledge("too many types", (7, 7, ACCEPT + ACCEPT))
    f.acknowledge("a type that is none", (7, 7, (9,)))
    f.acknowledge("renews", (7, 7, RENEW))
    f.acknowledge("no such partition", (7, 7, ACCEPT), partition=9)
    f.acknowledge("no such topic", (7, 7, ACCEPT), topic_id=b"\7" * 16)
    f.acknowledge("epoch too high", epoch=70)
    f.acknowledge("another member", (7, 7, ACCEPT), member_id="nobody")
    f.acknowledge("no group", group_id="")
    f.acknowledge("no member", member_id="")
    f.acknowledge("ends", (7, 7, ACCEPT), epoch=-1)
    f.acknowledge("ended")
    side.call("DescribeShareGroupOffsets", 1, label="with some in hand", groups=[{"group_id": f.group, "topics": [
        {"topic_name": topic, "partitions": [0]}]}])


@case("ShareAcknowledge")
def share_renew(side, v):
    if v < 2:
        return
    topic = side.topic(1)
    side.fill(topic, [b"a"])
    f = Fetches(side, v, topic)
    f.until_lent()
    f.acknowledge("renews", (0, 0, RENEW), is_renew_ack=True)
    f.acknowledge("accepts", (0, 0, ACCEPT), is_renew_ack=True)
    g = Fetches(side, v, topic, **{"share.renew.acknowledge.enable": "false"})
    g.until_lent()
    g.acknowledge("may not renew", (0, 0, RENEW), is_renew_ack=True)
