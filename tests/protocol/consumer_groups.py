"""Groups whose members the coordinator assigns to (KIP-848), member by member: what the test_consumer_* files stand on."""

import time
import uuid

import apache
from groups import NOT_YET, GroupCase
from kafka import ERR

JOIN, LEAVE, LEAVE_STATIC = 0, -1, -2
NO_ID = bytes(16)
GROUP, SET, DELETE = 32, 0, 1   # of configurations
FIRST = 2                   # the epoch of a group's first member


def count(owned):
    return sum(len(p) for p in owned.values())


class ConsumerMember:
    """One member on a connection of its own. @owned is what it has and says that it has, @told the last assignment that it was sent,
    None before the first; both {topic: {partition}}. @answer is the whole of the last answer."""

    def __init__(self, case, group, topics=None, regex=None, instance=None, rack=None, assignor=None, version=1,
                 rebalance_ms=60000, member_id=None):
        self.case, self.group, self.version = case, group, version
        self.topics, self.regex, self.instance, self.rack, self.assignor = topics, regex, instance, rack, assignor
        self.rebalance_ms = rebalance_ms
        self.id = str(uuid.uuid4()) if member_id is None else member_id
        self.epoch, self.owned, self.told, self.answer = JOIN, {}, None, None
        self.client = case.client()

    def rows(self):
        return [{"topic_id": self.case.ids[t], "partitions": sorted(p)} for t, p in sorted(self.owned.items())]

    def whole(self):
        """All fields: what a member says when it joins, and after an error."""
        fields = {"instance_id": self.instance, "rack_id": self.rack, "rebalance_timeout_ms": self.rebalance_ms,
                  "subscribed_topic_names": self.topics, "server_assignor": self.assignor,
                  "topic_partitions": self.rows()}
        if self.version >= 1:
            fields["subscribed_topic_regex"] = self.regex
        return fields

    def send(self, **fields):
        self.client.send("ConsumerGroupHeartbeat", self.version, **{
            "group_id": self.group, "member_id": self.id, "member_epoch": self.epoch, "instance_id": self.instance,
            **fields})

    def receive(self, expected=ERR.NONE):
        self.answer = answer = self.client.receive()
        self.case.assertError(answer["error_code"], expected, answer["error_message"])
        if answer["error_code"]:
            self.case.assertTrue(answer["error_message"])
            self.case.assertEqual([answer[k] for k in ("member_id", "member_epoch", "heartbeat_interval_ms", "assignment")],
                                  [None, 0, 0, None])
            return answer
        self.id, self.epoch = answer["member_id"], answer["member_epoch"]
        if answer["assignment"] is not None:
            self.told = {self.case.name_of(t["topic_id"]): set(t["partitions"])
                         for t in answer["assignment"]["topic_partitions"]}
        return answer

    def beat(self, expected=ERR.NONE, **fields):
        """One heartbeat that says nothing but who it is, and @fields."""
        self.send(**fields)
        return self.receive(expected)

    def beat_whole(self, expected=ERR.NONE, **fields):
        """One heartbeat that says everything."""
        return self.beat(expected, **{**self.whole(), **fields})

    def join(self, expected=ERR.NONE, **fields):
        self.epoch, self.owned = JOIN, {}
        return self.beat_whole(expected, **fields)

    def leave(self, expected=ERR.NONE, epoch=LEAVE):
        answer = self.beat(expected, member_epoch=epoch)
        if not expected:
            self.case.assertEqual(answer["member_epoch"], epoch)
        return answer

    def give_up(self):
        """Have no more than it was told to. True when that was less than before."""
        kept = {t: p & self.told.get(t, set()) for t, p in self.owned.items()}
        kept = {t: p for t, p in kept.items() if p}
        less, self.owned = kept != self.owned, kept
        return less

    def take(self):
        """Have all that it was told to."""
        self.owned = dict(self.told)

    def settle(self):
        """One heartbeat as a client sends it, and what a client does with the answer. True when it changed something."""
        before = (self.epoch, self.owned)
        self.beat(topic_partitions=self.rows())
        if self.give_up():
            self.beat(topic_partitions=self.rows())
        self.take()
        return (self.epoch, self.owned) != before

    def committing(self):
        """Its fields in a commit."""
        return {"member_id": self.id, "generation_id_or_member_epoch": self.epoch}


class ConsumerGroupCase(GroupCase):
    """One node whose consumer groups assign at once. @ids: the topics' ids."""

    KAFKA = {"group.coordinator.rebalance.protocols": "classic,consumer", "group.consumer.assignment.interval.ms": 0,
             "group.consumer.assignor.offload.enable": "false"}
    SETTINGS = [*GroupCase.SETTINGS, "groups.consumer_min_session_timeout_ms=1", "groups.consumer_min_heartbeat_interval_ms=1"]

    def setUp(self):
        self.ids = {}

    def topic(self, *args, **options):
        name = super().topic(*args, **options)
        self.ids[name] = self.topic_id(name)
        if apache.jars():
            time.sleep(0.3)             # its coordinators learn of it a little later than its clients, and nobody can ask them
        return name

    def name_of(self, topic_id):
        return next(t for t, i in self.ids.items() if i == topic_id)

    def member(self, group, *topics, **options):
        return ConsumerMember(self, group, list(topics) or (None if options.get("regex") else []), **options)

    def joined(self, group, *topics, count=1, **options):
        """@count members that have what they shall have."""
        members = [self.member(group, *topics, **options) for _ in range(count)]
        for m in members:
            m.join()
            m.take()
        self.heartbeats(*members)
        return members

    def configure(self, group, **configs):
        """Set, or with None take away, what a group is configured to do."""
        answer = self.client().call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": GROUP, "resource_name": group, "configs": [
                {"name": k.replace("_", "."), "config_operation": SET if v else DELETE, "value": v} for k, v in configs.items()]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE, answer["responses"][0]["error_message"])

    def heartbeats(self, *members, rounds=20):
        """Heartbeats of all, in turn, until nothing changes."""
        for _ in range(rounds):
            if not sum([m.settle() for m in members]):
                self.assertEqual(len({m.epoch for m in members}), 1, "not all came to one epoch")
                return
        self.fail(f"not settled in {rounds} rounds")

    def assertShared(self, members, partitions):
        """Every one of @partitions, {topic: count}, is had by exactly one of @members."""
        had = sorted((t, p) for m in members for t, ps in m.owned.items() for p in ps)
        self.assertEqual(had, sorted((t, p) for t, n in partitions.items() for p in range(n)))

    # The other kind's requests: GroupCase.describe() is DescribeGroups.

    def described(self, group, version=1, **fields):
        """ConsumerGroupDescribe of one group."""
        answer, = self.client().call("ConsumerGroupDescribe", version, group_ids=[group], **fields)["groups"]
        self.assertEqual(answer["group_id"], group)
        return answer

    def shown(self, group):
        """(state, group epoch, assignment epoch, {member id: (epoch, what it has, what it shall have)})."""
        answer = self.described(group)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])

        def sets(a):
            return {t["topic_name"]: set(t["partitions"]) for t in a["topic_partitions"]}
        return (answer["group_state"], answer["group_epoch"], answer["assignment_epoch"], {
            m["member_id"]: (m["member_epoch"], sets(m["assignment"]), sets(m["target_assignment"]))
            for m in answer["members"]})

    def shown_state(self, group):
        return self.shown(group)[0]

    @classmethod
    def wait_described(cls, group):
        """After a start: until its coordinator has loaded."""
        return cls.until(lambda client: client.call("ConsumerGroupDescribe", 1, group_ids=[group])["groups"][0]
                         ["error_code"] not in NOT_YET, f"{group} is loaded")
