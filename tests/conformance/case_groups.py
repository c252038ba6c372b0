"""Groups and their offsets."""

from cases import case
from kafka import ERR
from case_records import NOBODY, named
from side import subscription

LONG_MS = 60000


class Member:
    """A member of a classic group; what it does is compared, unless it is quiet."""

    def __init__(self, side, group, version=9, connection=0, instance=None, protocols=None, kind="consumer", topics=()):
        self.side, self.group, self.version, self.connection, self.instance = side, group, version, connection, instance
        self.protocols = protocols or [("range", subscription(*topics))]
        self.kind, self.id, self.generation, self.protocol = kind, "", -1, None

    def fields(self, **more):
        named_so = {"group_instance_id": self.instance} if self.instance else {}
        return {**dict(group_id=self.group, member_id=self.id, session_timeout_ms=LONG_MS, protocol_type=self.kind, protocols=[
            {"name": n, "metadata": m} for n, m in self.protocols]), **({"rebalance_timeout_ms": LONG_MS} if self.version else {}),
            **named_so, **more}

    def took(self, answer):
        if isinstance(answer, dict) and answer["error_code"] in (0, ERR.MEMBER_ID_REQUIRED):
            self.id = answer["member_id"]
            self.generation, self.protocol = answer["generation_id"], answer["protocol_name"]
        return answer

    def join(self, label=None, **more):
        """Compared if it has a label."""
        if label:
            return self.took(self.side.call("JoinGroup", self.version, label=label, connection=self.connection, **self.fields(**more)))
        return self.took(self.side.quiet("JoinGroup", self.version, connection=self.connection, **self.fields(**more)))

    def joined(self):
        """Joins, with an id from the coordinator where that is asked for."""
        if self.join()["error_code"] == ERR.MEMBER_ID_REQUIRED:
            self.join()
        return self

    def sync_fields(self, version, assignment=b"mine", **more):
        words = dict(protocol_type=self.kind, protocol_name=self.protocol) if version >= 5 else {}
        return {**dict(group_id=self.group, generation_id=self.generation, member_id=self.id, assignments=[
            {"member_id": self.id, "assignment": assignment}] if assignment is not None else []), **words, **more}

    def stable(self):
        self.joined()
        self.side.quiet("SyncGroup", 5, connection=self.connection, **self.sync_fields(5))
        return self


def group_of(side):
    group = side.fresh("g")
    side.coordinator(group)
    return group


# ---- FindCoordinator ----

@case("FindCoordinator")
def find_coordinator(side, v):
    def ask(label, *keys, kind=0):
        row = {"coordinator_keys": list(keys)} if v >= 4 else {"key": keys[0]}
        side.call("FindCoordinator", v, label=label, **row, **({"key_type": kind} if v else {}))
    ask("group", "g")
    ask("no name", "")
    if v:
        ask("transaction", "t", kind=1)
        for kind in (3, -1, 127):
            ask(f"kind {kind}", "x", kind=kind)
        if v < 6:
            ask("share group too early", "g:AAAAAAAAAAAAAAAAAAAAAA:0", kind=2)
    if v >= 4:
        ask("several, one twice", "a", "b", "a")
        ask("none")


# ---- membership ----

@case("JoinGroup")
def join_group(side, v):
    m = Member(side, group_of(side), v)
    m.join("first")
    m.join("with its id")
    m.join("again")
    for label, more in (("another protocol", dict(protocols=[{"name": "other", "metadata": b""}])),
                        ("another type", dict(protocol_type="other")), ("no type", dict(protocol_type="")),
                        ("no protocols", dict(protocols=[])), ("unknown member", dict(member_id="nobody"))):
        if label != "another protocol":
            m.join(label, **more)
    for label, more in (("session too short", dict(session_timeout_ms=10)), ("session too long", dict(session_timeout_ms=1 << 30)),
                        ("session 0", dict(session_timeout_ms=0)), ("session negative", dict(session_timeout_ms=-1)),
                        ("no group", dict(group_id="")), ("no protocols", dict(protocols=[])), ("no type", dict(protocol_type="")),
                        ("unknown member", dict(member_id="nobody")), ("no protocols and no type", dict(
                            protocols=[], protocol_type=""))):
        Member(side, group_of(side), v).join(f"new group: {label}", **more)
    if v >= 1:
        Member(side, group_of(side), v).join("new group: rebalance time-out -1", rebalance_timeout_ms=-1)
    two = [("a", b"1"), ("b", b"2")]
    n = Member(side, group_of(side), v, protocols=two)
    n.joined()
    n.join("two protocols")
    if v >= 5:
        s = Member(side, group_of(side), v, instance="i")
        s.join("static")
        s.join("static again")
        old = s.id
        s.id = ""
        s.join("static anew")
        s.id = old
        s.join("the old one")
        s.join("wrong id with an instance", member_id="nobody")
        Member(side, group_of(side), v, instance="").join("empty instance")
        Member(side, s.group, v, instance="other").join("unknown instance with an id", member_id="nobody")


@case("SyncGroup")
def sync_group(side, v):
    m = Member(side, group_of(side)).joined()

    def ask(label, **more):
        side.call("SyncGroup", v, label=label, **m.sync_fields(v, **more))
    ask("wrong generation", generation_id=7)
    ask("unknown member", member_id="nobody")
    ask("unknown group", group_id=side.fresh("g"))
    ask("no group", group_id="")
    if v >= 3:
        ask("unknown instance", group_instance_id="nobody")
    if v >= 5:
        ask("other type", protocol_type="other")
        ask("other protocol", protocol_name="other")
        ask("no protocol", protocol_type=None, protocol_name=None)
    ask("done")
    ask("again")
    ask("with another assignment", assignment=b"other")
    ask("without an assignment", assignment=None)
    s = Member(side, group_of(side), instance="i").joined()
    if v >= 3:
        side.call("SyncGroup", v, label="static", **s.sync_fields(v, group_instance_id="i"))
        side.call("SyncGroup", v, label="static with another's id", **s.sync_fields(v, group_instance_id="i", member_id="nobody"))
    n = Member(side, group_of(side)).joined()
    side.call("SyncGroup", v, label="nothing assigned", **n.sync_fields(v, assignment=None))
    p = Member(side, group_of(side)).joined()
    side.call("SyncGroup", v, label="assigned to nobody", **{**p.sync_fields(v), "assignments": [
        {"member_id": "nobody", "assignment": b"x"}]})


@case("Heartbeat")
def heartbeat(side, v):
    m = Member(side, group_of(side)).joined()

    def ask(label, **more):
        side.call("Heartbeat", v, label=label, **{**dict(group_id=m.group, generation_id=m.generation, member_id=m.id), **more})
    ask("before the sync")
    side.quiet("SyncGroup", 5, **m.sync_fields(5))
    ask("alive")
    ask("old generation", generation_id=m.generation - 1)
    ask("next generation", generation_id=m.generation + 1)
    ask("generation -1", generation_id=-1)
    ask("unknown member", member_id="nobody")
    ask("no member", member_id="")
    ask("unknown group", group_id=side.fresh("g"))
    ask("no group", group_id="")
    if v >= 3:
        ask("unknown instance", group_instance_id="nobody")
        s = Member(side, group_of(side), instance="i").stable()
        right = dict(group_id=s.group, generation_id=s.generation, member_id=s.id, group_instance_id="i")
        side.call("Heartbeat", v, label="static", **right)
        side.call("Heartbeat", v, label="static with another id", **{**right, "member_id": "nobody"})
        side.call("Heartbeat", v, label="its id alone", **{**right, "group_instance_id": None})


@case("LeaveGroup")
def leave_group(side, v):
    m = Member(side, group_of(side)).stable()

    def ask(label, *ids, group=m.group):
        row = {"member_id": ids[0]} if v < 3 else {"members": [{"member_id": i} for i in ids]}
        side.call("LeaveGroup", v, label=label, group_id=group, **row)
    ask("unknown member", "nobody")
    ask("unknown group", "nobody", group=side.fresh("g"))
    ask("no group", "nobody", group="")
    ask("no member", "")
    ask("gone", m.id)
    ask("again", m.id)
    pending = Member(side, group_of(side))
    pending.join()
    ask("with an id alone", pending.id, group=pending.group)
    if v >= 3:
        n = Member(side, group_of(side)).stable()
        ask("two, one unknown", "nobody", n.id, group=n.group)
        ask("no members", group=n.group)
        s = Member(side, group_of(side), instance="i").stable()

        def static(label, **row):
            side.call("LeaveGroup", v, label=label, group_id=s.group, members=[row])
        static("unknown instance", member_id="", group_instance_id="nobody")
        static("instance with another id", member_id="nobody", group_instance_id="i")
        static("instance alone", member_id="", group_instance_id="i")
        static("again", member_id="", group_instance_id="i")
        if v >= 5:
            t = Member(side, group_of(side)).stable()
            side.call("LeaveGroup", v, label="with a reason", group_id=t.group, members=[{"member_id": t.id, "reason": "enough"}])


# ---- offsets ----

@case("OffsetCommit")
def offset_commit(side, v):
    topic = side.topic(2)

    def row(partition=0, offset=1, text="m", **more):
        return {"partition_index": partition, "committed_offset": offset, "committed_metadata": text, **more}

    def ask(label, group, *parts, topics=None, **fields):
        topics = topics if topics is not None else [{**named(side, topic, v, 10), "partitions": list(parts)}]
        side.call("OffsetCommit", v, label=label, group_id=group, topics=topics, **fields)
    simple = group_of(side)
    ask("simple", simple, row())
    ask("two partitions", simple, row(), row(1, 7))
    ask("no such partition", simple, row(9), row(), row(-1))
    ask("offset -1", simple, row(offset=-1))
    ask("offset -5", simple, row(offset=-5))
    ask("no text", simple, row(text=None))
    ask("text too long", simple, row(text="x" * 5000))
    ask("partition twice", simple, row(offset=3), row(offset=4))
    ask("no partitions", simple)
    ask("nothing", simple, topics=[])
    ask("no group", "", row())
    other = {"topic_id": NOBODY} if v >= 10 else {"name": side.fresh()}
    ask("unknown topic", simple, topics=[{**other, "partitions": [row()]}, {**named(side, topic, v, 10), "partitions": [row()]}])
    if v < 10:
        ask("topic name", simple, topics=[{"name": "a b", "partitions": [row()]}, {"name": "", "partitions": [row()]}])
    ask("generation of nobody", side.fresh("g"), row(), generation_id_or_member_epoch=3, member_id="nobody")
    ask("member of nobody", side.fresh("g"), row(), member_id="nobody")
    ask("generation of an empty group", simple, row(), generation_id_or_member_epoch=3, member_id="nobody")
    m = Member(side, group_of(side), topics=[topic]).joined()
    right = dict(generation_id_or_member_epoch=m.generation, member_id=m.id)
    ask("member before the sync", m.group, row(), **right)
    side.quiet("SyncGroup", 5, **m.sync_fields(5))
    ask("member", m.group, row(), **right)
    ask("old generation", m.group, row(), **{**right, "generation_id_or_member_epoch": m.generation - 1})
    ask("generation -1", m.group, row(), **{**right, "generation_id_or_member_epoch": -1})
    ask("unknown member", m.group, row(), **{**right, "member_id": "nobody"})
    ask("simple into a live group", m.group, row())
    if v >= 7:
        ask("unknown instance", m.group, row(), **right, group_instance_id="nobody")
    if 2 <= v <= 4:
        ask("with a retention", simple, row(), retention_time_ms=100000)
    if v >= 6:
        ask("with a leader epoch", simple, row(committed_leader_epoch=5))
    for group in (simple, m.group):
        side.call("OffsetFetch", 7, label="what is committed", group_id=group, topics=None)


@case("OffsetFetch")
def offset_fetch(side, v):
    topic, group, live = side.topic(3), group_of(side), None
    side.commit(group, topic, 5)
    side.commit(group, topic, 6, 1)

    def ask(label, which, *parts, topics=(), **fields):
        if topics == ():
            topics = [{**named(side, topic, v, 10), "partition_indexes": list(parts)}]
        row = dict(group_id=which, topics=topics) if v < 8 else dict(groups=[{"group_id": which, "topics": topics}])
        side.call("OffsetFetch", v, label=label, **row, **fields)
    ask("two", group, 0, 1)
    ask("nothing committed", group, 2)
    ask("no such partition", group, 9, 0, -1)
    ask("unknown group", side.fresh("g"), 0)
    ask("no group", "", 0)
    ask("partition twice", group, 0, 0)
    ask("no partitions", group)
    ask("no topics", group, topics=[])
    if v >= 10:
        ask("unknown id", group, topics=[{"topic_id": NOBODY, "partition_indexes": [0]}])
        ask("no id", group, topics=[{"topic_id": bytes(16), "partition_indexes": [0]}])
    else:
        ask("unknown topic", group, topics=[{"name": side.fresh(), "partition_indexes": [0]}])
    if v >= 2:
        ask("all", group, topics=None)
        ask("all of an unknown group", side.fresh("g"), topics=None)
    if v >= 7:
        ask("stable", group, 0, 1, 2, require_stable=True)
    if v >= 8:
        wanted = [{**named(side, topic, v, 10), "partition_indexes": [0]}]
        side.call("OffsetFetch", v, label="several groups", groups=[
            {"group_id": group, "topics": wanted}, {"group_id": side.fresh("g"), "topics": wanted}, {"group_id": group, "topics": None}])
        side.call("OffsetFetch", v, label="no groups", groups=[])
        side.call("OffsetFetch", v, label="no group's name", groups=[{"group_id": "", "topics": wanted}])
    live = Member(side, group_of(side)).stable()
    ask("live group", live.group, 0)
    if v >= 9:
        for label, member, epoch in (("member", live.id, live.generation), ("unknown member", "nobody", 1),
                                     ("epoch of nobody", None, 5), ("old epoch", live.id, 0)):
            side.call("OffsetFetch", v, label=f"asked by {label}", groups=[
                {"group_id": live.group, "member_id": member, "member_epoch": epoch, "topics": [
                    {**named(side, topic, v, 10), "partition_indexes": [0]}]}])


@case("OffsetDelete")
def offset_delete(side, v):
    topic, group = side.topic(2), group_of(side)
    side.commit(group, topic, 5)

    def ask(label, which, *rows):
        side.call("OffsetDelete", v, label=label, group_id=which, topics=[
            {"name": t, "partitions": [{"partition_index": i} for i in p]} for t, p in rows])
    ask("unknown group", side.fresh("g"), (topic, [0]))
    ask("no group", "", (topic, [0]))
    ask("not there", group, (topic, [9, -1]), (side.fresh(), [0]))
    ask("one, and one that was never committed", group, (topic, [0, 1]))
    ask("again", group, (topic, [0]))
    other = group_of(side)
    side.commit(other, topic, 5)
    ask("twice", other, (topic, [0, 0]))
    ask("nothing", other)
    ask("no partitions", other, (topic, []))
    live = Member(side, group_of(side), topics=[topic]).stable()
    ask("live, subscribed", live.group, (topic, [0]))
    another = side.topic()
    ask("live, not subscribed", live.group, (another, [0]))
    strange = Member(side, group_of(side), kind="connect", protocols=[("x", b"y")]).stable()
    ask("live, of another kind", strange.group, (topic, [0]))


# ---- descriptions ----

@case("DescribeGroups")
def describe_groups(side, v):
    def ask(label, *groups, **fields):
        side.call("DescribeGroups", v, label=label, groups=list(groups), **fields)
    topic = side.topic()
    stable, joining, simple, left = (group_of(side) for _ in range(4))
    Member(side, stable, topics=[topic]).stable()
    Member(side, joining, instance="i").joined()
    side.commit(simple, topic)
    m = Member(side, left).stable()
    side.quiet("LeaveGroup", 1, group_id=left, member_id=m.id)
    ask("stable", stable)
    ask("joining", joining)
    ask("simple", simple)
    ask("emptied", left)
    ask("unknown", side.fresh("g"))
    ask("no name", "")
    ask("several, one twice", stable, simple, stable)
    ask("none")
    if v >= 3:
        ask("operations", stable, include_authorized_operations=True)
        ask("operations of nobody", side.fresh("g"), include_authorized_operations=True)


@case("ListGroups")
def list_groups(side, v):
    def ask(label, **fields):
        side.call("ListGroups", v, label=label, keep=lambda a: {**a, "groups": [
            g for g in a["groups"] if g["group_id"].startswith(side.prefix)]}, **fields)
    topic = side.topic()
    Member(side, group_of(side)).stable()
    Member(side, group_of(side), kind="connect", protocols=[("x", b"y")]).joined()
    side.commit(group_of(side), topic)
    ask("all")
    if v >= 4:
        for states in (["Stable"], ["stable"], ["Empty", "Stable"], ["CompletingRebalance"], ["completingrebalance"], ["nonsense"],
                       ["nonsense", "Empty"], [""], ["Dead"]):
            ask(f"states {states}", states_filter=states)
    if v >= 5:
        for types in (["classic"], ["Classic"], ["consumer"], ["share"], ["nonsense"], ["nonsense", "classic"], [""]):
            ask(f"types {types}", types_filter=types)
        ask("both", types_filter=["classic"], states_filter=["Stable"])


@case("DeleteGroups")
def delete_groups(side, v):
    def ask(label, *groups):
        side.call("DeleteGroups", v, label=label, groups_names=list(groups))
    topic = side.topic()
    simple, other, live = (group_of(side) for _ in range(3))
    side.commit(simple, topic)
    side.commit(other, topic)
    Member(side, live).stable()
    ask("live", live)
    ask("unknown", side.fresh("g"))
    ask("no name", "")
    ask("three", simple, live, side.fresh("g"))
    ask("again", simple)
    ask("twice", other, other)
    ask("none")
    side.call("OffsetFetch", 7, label="nothing is left", group_id=simple, topics=None)
