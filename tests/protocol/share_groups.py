"""Share groups, member by member: what the test_share_* files stand on."""

import time
import uuid
from collections import namedtuple

import apache
import records
from consumer_groups import JOIN, LEAVE, NO_ID
from groups import LIMIT_S, GroupCase
from kafka import ERR

NOTHING = -1                # where a group begins that nobody has told
GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)      # what a member says of a record
OPEN, CLOSE = 0, -1                                 # epochs of a session
BATCHES, RECORDS = 0, 1                             # how many records come: to the end of a batch, or no more than were asked for

# What a fetch tells of a partition: @values by offset, of what was acquired alone; @acquired: (first, last, deliveries).
Part = namedtuple("Part", "error ack_error values acquired leader")


class ShareMember:
    """One member on a connection of its own. @told is the last assignment that it was sent, {topic: {partition}}; None before the first."""

    def __init__(self, case, group, topics, rack=None, member_id=None):
        self.case, self.group, self.topics, self.rack = case, group, topics, rack
        self.id = str(uuid.uuid4()) if member_id is None else member_id
        self.epoch, self.told = JOIN, None
        self.client = case.client()

    def whole(self):
        return {"rack_id": self.rack, "subscribed_topic_names": self.topics}

    def beat(self, expected=ERR.NONE, **fields):
        answer = self.client.call("ShareGroupHeartbeat", 1, **{
            "group_id": self.group, "member_id": self.id, "member_epoch": self.epoch, **fields})
        self.case.assertError(answer["error_code"], expected, answer["error_message"])
        if answer["error_code"]:
            self.case.assertTrue(answer["error_message"] or apache.jars())
            return answer
        self.epoch = answer["member_epoch"]
        if answer["assignment"] is not None:
            self.told = {self.case.name_of(t["topic_id"]): set(t["partitions"])
                         for t in answer["assignment"]["topic_partitions"]}
        return answer

    def join(self, expected=ERR.NONE, **fields):
        self.epoch = JOIN
        return self.beat(expected, **{**self.whole(), **fields})

    def leave(self, expected=ERR.NONE):
        answer = self.beat(expected, member_epoch=LEAVE)
        if not expected:
            self.case.assertEqual((answer["member_id"], answer["member_epoch"]), (self.id, LEAVE))
        return answer


class ShareGroupCase(GroupCase):
    KAFKA = {"group.coordinator.rebalance.protocols": "classic,consumer,share", "group.share.assignment.interval.ms": 0,
             "group.share.assignor.offload.enable": "false", "share.coordinator.state.topic.num.partitions": 1}

    def setUp(self):
        self.ids = {}

    def topic(self, *args, **options):
        name = super().topic(*args, **options)
        self.ids[name] = self.topic_id(name)
        if apache.jars():
            time.sleep(0.3)             # its coordinators learn of it a little later than its clients
        return name

    def name_of(self, topic_id):
        return next(t for t, i in self.ids.items() if i == topic_id)

    def member(self, group, *topics, **options):
        return ShareMember(self, group, list(topics), **options)

    def joined(self, group, *topics, count=1):
        """@count members that have what they shall have."""
        members = [self.member(group, *topics) for _ in range(count)]
        for m in members:
            m.join()
        self.settle(*members)
        return members

    def settle(self, *members):
        """Heartbeats of all until all are of one epoch, and nothing changes. Kafka assigns what it has made room for, a little later."""
        def settled():
            before = [(m.epoch, m.told) for m in members]
            for m in members:
                m.beat()
            if apache.jars():
                time.sleep(0.1)
            return [(m.epoch, m.told) for m in members] == before and len({m.epoch for m in members}) == 1 and all(
                m.told for m in members)
        self.wait_until(settled, "not settled", LIMIT_S)

    def assertCovered(self, members, partitions):
        """Every one of @partitions, {topic: count}, is had by one of @members at least, and nothing else is."""
        had = {(t, p) for m in members for t, ps in m.told.items() for p in ps}
        self.assertEqual(had, {(t, p) for t, n in partitions.items() for p in range(n)})

    def described(self, group, expected=ERR.NONE, **fields):
        """ShareGroupDescribe of one group."""
        answer, = self.client().call("ShareGroupDescribe", 1, group_ids=[group], **fields)["groups"]
        self.assertEqual(answer["group_id"], group)
        self.assertError(answer["error_code"], expected, answer["error_message"])
        return answer

    # Where a group stands: {topic: {partition: (start, leader epoch, lag)}}.

    def stands(self, group, topics=None, version=1):
        answer, = self.client().call("DescribeShareGroupOffsets", version, groups=[
            {"group_id": group, "topics": None if topics is None else [
                {"topic_name": t, "partitions": p} for t, p in topics.items()]}])["groups"]
        self.assertEqual(answer["group_id"], group)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        for t in answer["topics"]:
            self.assertEqual(t["topic_id"], self.ids.get(t["topic_name"], NO_ID))
            for p in t["partitions"]:
                self.assertError(p["error_code"], ERR.NONE, p["error_message"])
        return {t["topic_name"]: {p["partition_index"]: (p["start_offset"], p["leader_epoch"], p.get("lag"))
                                  for p in t["partitions"]} for t in answer["topics"]}

    def alter(self, group, offsets, expected=ERR.NONE):
        """{topic: {partition: start}}; the errors in the same form."""
        answer = self.client().call("AlterShareGroupOffsets", 0, group_id=group, topics=[
            {"topic_name": t, "partitions": [{"partition_index": p, "start_offset": o} for p, o in ps.items()]}
            for t, ps in offsets.items()])
        self.assertError(answer["error_code"], expected, answer["error_message"])
        return {t["topic_name"]: {p["partition_index"]: p["error_code"] for p in t["partitions"]}
                for t in answer["responses"]}

    def forget(self, group, *topics, expected=ERR.NONE):
        """The errors by topic."""
        answer = self.client().call("DeleteShareGroupOffsets", 0, group_id=group,
                                    topics=[{"topic_name": t} for t in topics])
        self.assertError(answer["error_code"], expected, answer["error_message"])
        return {t["topic_name"]: t["error_code"] for t in answer["responses"]}

    def empty(self, topic):
        """A group that had a member."""
        m, = self.joined(self.fresh("group"), topic)
        m.leave()
        return m.group


def acknowledged(acks):
    """{(topic id, partition): [(first, last, type or types)]} as the requests have it."""
    return {place: [{"first_offset": first, "last_offset": last,
                     "acknowledge_types": list(types) if isinstance(types, (list, tuple)) else [types]}
                    for first, last, types in ranges] for place, ranges in acks.items()}


def by_topic(places, row):
    """Rows of partitions under their topics."""
    return [{"topic_id": topic, "partitions": [row(topic, p) for t, p in places if t == topic]}
            for topic in dict.fromkeys(t for t, _ in places)]


class ShareSession:
    """What one member fetches from one node, on a connection of its own. @epoch is the next one that it sends."""

    def __init__(self, case, group, member_id, version=2, client=None):
        self.case, self.group, self.id, self.version = case, group, member_id, version
        self.client, self.epoch = client or case.client(), OPEN

    def _whole(self, epoch, topics, fields):
        return {"group_id": self.group, "member_id": self.id, "share_session_epoch": self.epoch if epoch is None else epoch,
                "topics": topics, **fields}

    def _step(self, epoch, error):
        if not error and epoch is None:
            self.epoch += 1

    def send_fetch(self, *places, acks=(), epoch=None, wait_ms=0, max_records=500, mode=BATCHES, forget=(), max_bytes=1 << 20,
                   **fields):
        """@places: (topic id, partition) that are fetched from now on. @acks: as acknowledged() has it."""
        acks = acknowledged(dict(acks))
        places = list(dict.fromkeys([*places, *acks]))
        if self.version >= 2:
            fields = {"share_acquire_mode": mode, **fields}
        self.client.send("ShareFetch", self.version, **self._whole(
            epoch, by_topic(places, lambda t, p: {"partition_index": p, "acknowledgement_batches": acks.get((t, p), [])}),
            {**dict(max_wait_ms=wait_ms, min_bytes=1, max_bytes=max_bytes, max_records=max_records, batch_size=max_records,
                    forgotten_topics_data=[{"topic_id": t, "partitions": [p]} for t, p in forget]), **fields}))

    def received(self, expected=ERR.NONE, epoch=None):
        """The answer to send_fetch(): {(topic id, partition): Part}."""
        answer = self.client.receive()
        self.case.assertError(answer["error_code"], expected, answer["error_message"])
        self._step(epoch, answer["error_code"])
        self.lock_ms = answer["acquisition_lock_timeout_ms"]
        return {(t["topic_id"], p["partition_index"]): self._part(p) for t in answer["responses"] for p in t["partitions"]}

    def fetch(self, *places, expected=ERR.NONE, epoch=None, **options):
        self.send_fetch(*places, epoch=epoch, **options)
        return self.received(expected, epoch)

    def _part(self, p):
        acquired = [(a["first_offset"], a["last_offset"], a["delivery_count"]) for a in p["acquired_records"]]
        values = {b.base_offset + i: r.value for b in records.parse(p["records"] or b"") if not b.attributes & 0x20
                  for i, r in enumerate(b.records)}
        return Part(p["error_code"], p["acknowledge_error_code"],
                    {o: v for o, v in values.items() if any(first <= o <= last for first, last, _ in acquired)},
                    acquired, p["current_leader"]["leader_id"])

    def acknowledge(self, acks, expected=ERR.NONE, epoch=None, **fields):
        """ShareAcknowledge. Return: the errors, {(topic id, partition): error}."""
        acks = acknowledged(acks)
        answer = self.client.call("ShareAcknowledge", self.version, **self._whole(
            epoch, by_topic(list(acks), lambda t, p: {"partition_index": p, "acknowledgement_batches": acks[t, p]}), fields))
        self.case.assertError(answer["error_code"], expected, answer["error_message"])
        self._step(epoch, answer["error_code"])
        return {(t["topic_id"], p["partition_index"]): p["error_code"] for t in answer["responses"] for p in t["partitions"]}


def deliveries(part):
    """{offset: how often}."""
    return {o: count for first, last, count in part.acquired for o in range(first, last + 1)}


class ShareFetchCase(ShareGroupCase):
    """Groups begin with the first record of a partition; a record can be lent for a second."""

    SETTINGS = ["groups.initial_rebalance_delay_ms=0", "groups.share_min_record_lock_duration_ms=1000"]

    def group(self, **configs):
        """A new one with these configurations, _ for . in their names."""
        group = self.fresh("group")
        configs = {"share_auto_offset_reset": "earliest", **configs}
        self.until(lambda client: not client.call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": 32, "resource_name": group, "configs": [
                {"name": n.replace("_", "."), "config_operation": 0, "value": str(v)} for n, v in configs.items()]}])
            ["responses"][0]["error_code"], "the group is configured")
        return group

    def sessions(self, *topics, count=1, version=2, **configs):
        """Sessions of the members of a new group, not opened yet."""
        members = self.joined(self.group(**configs), *topics, count=count)
        return [ShareSession(self, m.group, m.id, version) for m in members]

    def filled(self, *batches, **options):
        """A topic with these batches in partition 0. Return: (name, place)."""
        topic = self.topic(**options)
        for batch in batches:
            self.assertError(self.produce(self.client(), topic, list(batch))["error_code"], ERR.NONE)
        return topic, (self.ids[topic], 0)

    def got(self, session, place, count=1, wait_ms=500, limit_s=LIMIT_S, **options):
        """Fetch until @count records of @place have come: one Part."""
        deadline, parts = time.monotonic() + limit_s, []
        while sum(len(p.values) for p in parts) < count:
            self.assertLess(time.monotonic(), deadline, f"{parts} instead of {count} records")
            part = session.fetch(*([place] if session.epoch == OPEN else []), wait_ms=wait_ms, **options).get(place)
            if part:
                self.assertError(part.error, ERR.NONE)
                parts.append(part)
        return Part(0, 0, {o: v for p in parts for o, v in p.values.items()}, [a for p in parts for a in p.acquired], -1)

    def nothing(self, session, place, wait_ms=100):
        """Nothing is there for @session. Kafka also lends control records, which its clients give back as gaps."""
        part = session.fetch(*([place] if session.epoch == OPEN else []), wait_ms=wait_ms).get(place)
        self.assertFalse(part and (part.values or part.error or (part.acquired and not apache.jars())), part)
