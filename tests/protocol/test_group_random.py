#!/usr/bin/env python3
"""Consumers that come, work, leave and die at random while their node is killed and started again.

Goal: kafka-semantics items 50 to 54 together: within a generation a partition has one owner, and an offset whose commit
was acknowledged is never lost and never goes back. Method: each thread is one consumer after the other, with a
connection of its own; a leader shares out the partitions; an owner reads the committed offset and commits the next
ones. Whatever is seen goes to a Judge that knows what was promised.

    GROUP_RANDOM_S=600 tests/protocol/test_group_random.py        for ten minutes
    GROUP_RANDOM_SEED=1234 ...                                     the same choices (threads still race)
"""

import os
import random
import struct
import threading
import time
import unittest

from groups import NOT_YET, GroupCase
from kafka import ERR, Client, ClientError

SECONDS = float(os.environ.get("GROUP_RANDOM_S", 15))
SEED = int(os.environ.get("GROUP_RANDOM_SEED", random.SystemRandom().randrange(1 << 32)))
GROUPS, CONSUMERS, PARTITIONS = 3, 9, 8
SESSION_MS, REBALANCE_MS = 1000, 2000
# What a right coordinator may answer to a consumer of this test.
JOIN = {ERR.NONE, ERR.MEMBER_ID_REQUIRED, ERR.UNKNOWN_MEMBER_ID, ERR.FENCED_INSTANCE_ID, *NOT_YET}
MEMBER = {ERR.NONE, ERR.UNKNOWN_MEMBER_ID, ERR.ILLEGAL_GENERATION, ERR.REBALANCE_IN_PROGRESS, ERR.FENCED_INSTANCE_ID,
          *NOT_YET}


class Judge:
    """Promises of the node, and the first that it breaks."""

    def __init__(self):
        self.lock = threading.Lock()
        self.owners = {}                        # (group, generation, partition): who was told so
        self.acknowledged = {}                  # (group, partition): highest offset
        self.attempted = {}
        self.generations, self.commits, self.kills = set(), 0, 0
        self.broken = []
        self.over = threading.Event()

    def complain(self, text):
        with self.lock:
            self.broken.append(text)
        self.over.set()

    def owns(self, group, generation, partitions, who):
        with self.lock:
            self.generations.add((group, generation))
            others = {p: self.owners.setdefault((group, generation, p), who) for p in partitions}
        for p, other in others.items():
            if other != who:
                self.complain(f"{group} generation {generation}: partition {p} belongs to {other} and to {who}")

    def promised(self, group, partitions):
        with self.lock:
            return {p: self.acknowledged.get((group, p), -1) for p in partitions}

    def fetched(self, group, promised, offsets):
        """@promised: of before the fetch."""
        for p, offset in offsets.items():
            with self.lock:
                most = self.attempted.get((group, p), -1)
            if not promised[p] <= offset <= most:
                self.complain(f"{group} partition {p}: offset {offset} was fetched, {promised[p]} was acknowledged "
                              f"before and {most} is the highest that anybody committed")

    def attempt(self, group, partition, offset):
        with self.lock:
            self.attempted[group, partition] = max(offset, self.attempted.get((group, partition), -1))

    def acknowledge(self, group, partition, offset):
        with self.lock:
            self.commits += 1
            self.acknowledged[group, partition] = max(offset, self.acknowledged.get((group, partition), -1))


class Again(Exception):
    """This consumer has to join again."""


class Gone(Exception):
    """This consumer is over."""


class Consumer:
    """From its first join to its end."""

    def __init__(self, node, judge, topic, rng):
        self.judge, self.topic, self.rng = judge, topic, rng
        self.client = Client(node.host, node.port, timeout_s=15)
        self.group = f"random-{rng.randrange(GROUPS)}"
        self.instance = f"instance-{rng.randrange(4)}" if rng.random() < 0.3 else None
        self.join_version = rng.choice((5, 6, 7, 8, 9)) if self.instance else rng.randrange(10)
        self.id, self.generation, self.owned, self.positions, self.wish = "", -1, [], {}, b""
        self.before = None                      # (generation, partitions) that this consumer had and has no longer

    def ask(self, api, version, allowed, **fields):
        answer = self.client.call(api, version, **fields)
        error = answer["error_code"]
        if error not in allowed:
            self.judge.complain(f"{api} {version} was answered with {ERR(error).name}: {fields}")
            raise Gone
        return self.react(error) or answer

    def react(self, error):
        if error in NOT_YET:
            time.sleep(0.02)
            raise Again
        if error in (ERR.REBALANCE_IN_PROGRESS, ERR.ILLEGAL_GENERATION):
            raise Again
        if error == ERR.UNKNOWN_MEMBER_ID:
            self.id = ""
            raise Again
        if error == ERR.FENCED_INSTANCE_ID:
            raise Gone

    def member(self, instance=True):
        return {"group_id": self.group, "member_id": self.id,
                **({"group_instance_id": self.instance} if instance and self.instance else {})}

    def join(self):
        answer = self.ask("JoinGroup", self.join_version, JOIN, **self.member(), session_timeout_ms=SESSION_MS,
                          rebalance_timeout_ms=REBALANCE_MS, protocol_type="random",
                          protocols=[{"name": "p", "metadata": self.wish}])
        self.id = answer["member_id"]
        if answer["error_code"]:                # MEMBER_ID_REQUIRED
            raise Again
        had, self.generation = (self.generation, self.owned), answer["generation_id"]
        shares = {}
        if answer["leader"] == self.id and not answer.get("skip_assignment"):
            members = [m["member_id"] for m in answer["members"]]
            self.rng.shuffle(members)
            members = members[:max(1, len(members) - self.rng.randrange(2))]       # one may go without
            for p in range(PARTITIONS):
                shares.setdefault(members[p % len(members)], []).append(p)
        if self.rng.random() < 0.05:
            raise Gone                          # before its sync
        shares = [{"member_id": m, "assignment": struct.pack(f">{len(p)}i", *p)} for m, p in shares.items()]
        answer = self.ask("SyncGroup", 5, MEMBER, **self.member(), generation_id=self.generation,
                          protocol_type="random", protocol_name="p", assignments=shares)
        self.owned = list(struct.unpack(f">{len(answer['assignment']) // 4}i", answer["assignment"]))
        self.judge.owns(self.group, self.generation, self.owned, self.instance or self.id)
        if had[0] != self.generation:
            self.before = had
        self.positions = self.fetch(self.owned)

    def fetch(self, partitions):
        promised = self.judge.promised(self.group, partitions)
        answer, = self.client.call("OffsetFetch", 8, groups=[{"group_id": self.group, "topics": [
            {"name": self.topic, "partition_indexes": partitions}]}])["groups"]
        if answer["error_code"]:
            if answer["error_code"] not in NOT_YET:
                self.judge.complain(f"OffsetFetch was answered with {ERR(answer['error_code']).name}")
            self.react(answer["error_code"])
        offsets = {p["partition_index"]: p["committed_offset"] for t in answer["topics"] for p in t["partitions"]}
        self.judge.fetched(self.group, promised, offsets)
        return offsets

    def heartbeat(self):
        self.ask("Heartbeat", 4, MEMBER, **self.member(), generation_id=self.generation)

    def commit(self):
        if not self.owned:
            return
        wanted = {p: self.positions[p] + self.rng.randrange(1, 4) for p in self.rng.sample(
            self.owned, self.rng.randrange(1, len(self.owned) + 1))}
        for p, offset in wanted.items():
            self.judge.attempt(self.group, p, offset)
        answer = self.client.call("OffsetCommit", 9, **self.member(), generation_id_or_member_epoch=self.generation,
                                  topics=[{"name": self.topic, "partitions": [
                                      {"partition_index": p, "committed_offset": o} for p, o in wanted.items()]}])
        for row in answer["topics"][0]["partitions"]:
            error, p = row["error_code"], row["partition_index"]
            if error not in MEMBER:
                self.judge.complain(f"OffsetCommit was answered with {ERR(error).name}")
            self.react(error)
            self.positions[p] = wanted[p]
            self.judge.acknowledge(self.group, p, wanted[p])

    def leave(self):
        self.client.call("LeaveGroup", 5, group_id=self.group, members=[
            {"member_id": self.id, "group_instance_id": self.instance}])
        raise Gone

    def work(self):
        """One thing that consumers do."""
        self.rng.choices((self.commit, self.heartbeat, lambda: self.fetch(range(PARTITIONS)), self.late, self.change,
                          self.pause, self.leave, self.die), (50, 20, 10, 10, 2, 1, 2, 2))[0]()
        time.sleep(self.rng.random() * 0.02)

    def late(self):
        """A commit and a sync of an earlier generation arrive: this one has been decided, so they must be refused."""
        if not self.before or self.before[0] < 0:
            return
        generation, owned = self.before
        answer = self.client.call("OffsetCommit", 9, **self.member(), generation_id_or_member_epoch=generation,
                                  topics=[{"name": self.topic, "partitions": [
                                      {"partition_index": p, "committed_offset": 0} for p in owned or [0]]}])
        errors = {p["error_code"] for p in answer["topics"][0]["partitions"]}
        errors.add(self.client.call("SyncGroup", 5, **self.member(), generation_id=generation, protocol_type="random",
                                    protocol_name="p", assignments=[])["error_code"])
        if 0 in errors or not errors <= MEMBER:
            self.judge.complain(f"{self.group}: generation {generation} was over, {self.generation} had come; a late "
                                f"commit and a late sync were answered with {errors}")

    def pause(self):
        """Not heard of for longer than its session; what it does then must not harm."""
        time.sleep(SESSION_MS / 1000 * self.rng.uniform(0.9, 2))
        self.commit()

    def change(self):
        self.wish = self.rng.randbytes(3)
        raise Again

    def die(self):
        raise Gone

    def live(self):
        joined = False
        while not self.judge.over.is_set():
            try:
                if not joined:
                    self.join()
                joined = True
                self.work()
            except Again:
                joined = False


class Simple:
    """A consumer without membership: commits and reads back."""

    def __init__(self, node, judge, topic, rng):
        self.judge, self.topic, self.rng = judge, topic, rng
        self.client = Client(node.host, node.port, timeout_s=15)
        self.group = "random-simple"

    def live(self):
        offset = max(self.judge.attempted.get((self.group, 0), 0), 0)       # none but this thread commits there
        while not self.judge.over.is_set():
            offset += 1
            self.judge.attempt(self.group, 0, offset)
            answer = self.client.call("OffsetCommit", 9, group_id=self.group, generation_id_or_member_epoch=-1,
                                      member_id="", topics=[{"name": self.topic, "partitions": [
                                          {"partition_index": 0, "committed_offset": offset}]}])
            error = answer["topics"][0]["partitions"][0]["error_code"]
            if error and error not in NOT_YET:
                self.judge.complain(f"a simple commit was answered with {ERR(error).name}")
            if not error:
                self.judge.acknowledge(self.group, 0, offset)
            self.read()
            time.sleep(0.005)

    def read(self):
        promised = self.judge.promised(self.group, [0])
        answer, = self.client.call("OffsetFetch", 8, groups=[{"group_id": self.group, "topics": [
            {"name": self.topic, "partition_indexes": [0]}]}])["groups"]
        if not answer["error_code"]:
            self.judge.fetched(self.group, promised, {0: answer["topics"][0]["partitions"][0]["committed_offset"]})


class Random(GroupCase):
    SETTINGS = ["groups.initial_rebalance_delay_ms=50", "groups.min_session_timeout_ms=500"]

    def live(self, kind, topic, rng):
        """One consumer after the other until the end."""
        while not self.judge.over.is_set():
            consumer = None
            try:
                consumer = kind(self.node, self.judge, topic, rng)
                consumer.live()
            except Gone:
                pass
            except (ClientError, OSError) as why:
                if self.up.is_set() and time.monotonic() > self.disturbed + 14:
                    self.judge.complain(f"no answer although the node is up: {why}")
                time.sleep(0.05)
            except Exception as why:            # noqa: BLE001  a bug of the test must end it
                self.judge.complain(repr(why))
            finally:
                if consumer:
                    consumer.client.close()

    def disturb(self, rng):
        """Kill or stop the node from time to time."""
        end = time.monotonic() + SECONDS
        while not self.judge.over.wait(min(rng.uniform(1, 5), max(end - time.monotonic(), 0))):
            if time.monotonic() >= end:
                return
            self.up.clear()
            self.node.restart(kill=rng.random() < 0.8)
            self.judge.kills += 1
            self.disturbed = time.monotonic()
            self.up.set()

    def test_random(self):
        """Items 50 to 54: owners, generations and offsets under churn and SIGKILL."""
        print(f"GROUP_RANDOM_SEED={SEED} GROUP_RANDOM_S={SECONDS:g}", flush=True)
        self.judge, self.up, self.disturbed = Judge(), threading.Event(), time.monotonic()
        self.up.set()
        topic = self.topic(PARTITIONS)
        threads = [threading.Thread(target=self.live, args=(kind, topic, random.Random(f"{SEED}-{i}")))
                   for i, kind in enumerate([Consumer] * CONSUMERS + [Simple])]
        for t in threads:
            t.start()
        try:
            self.disturb(random.Random(SEED))
        finally:
            self.judge.over.set()
            for t in threads:
                t.join(30)
        self.assertEqual([t for t in threads if t.is_alive()], [], "threads that do not end")
        self.assertEqual(self.judge.broken, [], f"seed {SEED}")
        self.node.restart(kill=True)
        self.wait_loaded()
        self.check_end(topic)

    def check_end(self, topic):
        judge, client = self.judge, self.client()
        for group in sorted({g for g, _ in judge.acknowledged}):
            partitions = sorted(p for g, p in judge.acknowledged if g == group)
            offsets = self.committed(client, group, {topic: partitions})[topic]
            judge.fetched(group, judge.promised(group, partitions), {p: c.offset for p, c in offsets.items()})
            if group != "random-simple":        # whoever was in it is removed, and the group serves new members
                self.wait_state(group, "Empty")
                self.stable(group, protocol_type="random", protocols=[("p", b"")])
        self.assertEqual(judge.broken, [], f"seed {SEED}")
        print(f"{len(judge.generations)} generations, {judge.commits} commits, {judge.kills} ends of the node")
        # Less would mean that nothing was tested.
        self.assertGreater(len(judge.generations), SECONDS / 2)
        self.assertGreater(judge.commits, SECONDS * 5)
        self.assertGreater(judge.kills, SECONDS / 20)


if __name__ == "__main__":
    unittest.main()
