#!/usr/bin/env python3
"""Share groups over three nodes: the coordinator on one, the partition's leader on another (KIP-932).

Goal: what was acknowledged does not come again and all else does, when leadership moves, when the leader dies, and when the coordinator
does, who acknowledges meanwhile being told the truth. Method: members step by step; SIGKILL.
"""

import time
import unittest

from cluster import ClusterCase
from groups import LIMIT_S, NOT_YET
from kafka import ERR
from share_groups import ACCEPT, CLOSE, OPEN, RELEASE, ShareMember, ShareSession, deliveries


class ShareNodes(ClusterCase):
    SETTINGS = ["groups.initial_rebalance_delay_ms=0"]

    def setUp(self):
        for node in self.nodes:
            if node.died() is not None:
                node.start()
        self.ids = {}

    def name_of(self, topic_id):
        return next(t for t, i in self.ids.items() if i == topic_id)

    def alive(self):
        return next(i + 1 for i, node in enumerate(self.nodes) if node.died() is None)

    def coordinator(self, group):
        """The node that keeps @group, once that has read its log."""
        found = []

        def ready():
            with self.client(self.alive()) as client:
                row, = client.call("FindCoordinator", 6, coordinator_keys=[group])["coordinators"]
            if row["error_code"] or self.nodes[row["node_id"] - 1].died() is not None:
                return False
            found[:] = [row["node_id"]]
            with self.client(row["node_id"]) as client:
                answer, = client.call("ShareGroupDescribe", 1, group_ids=[group])["groups"]
            return answer["error_code"] not in NOT_YET
        self.wait_until(ready, f"{group} has no coordinator", LIMIT_S)
        return found[0]

    def group(self, leader=1):
        """A new one, which another node than @leader coordinates and which begins with the first record."""
        group = self.fresh("group")
        while self.coordinator(group) == leader:
            group = self.fresh("group")
        self.wait_until(lambda: not self.client().call("IncrementalAlterConfigs", 1, resources=[
            {"resource_type": 32, "resource_name": group, "configs": [
                {"name": "share.auto.offset.reset", "config_operation": 0, "value": "earliest"}]}])
            ["responses"][0]["error_code"], "the group is configured", LIMIT_S)
        return group

    def joined(self, group, topic):
        m = ShareMember(self, group, [topic])
        m.client = self.client(self.coordinator(group))

        def has_all():
            m.beat(**m.whole())
            return m.told == {topic: {0}}
        self.wait_until(has_all, "no assignment", LIMIT_S)
        return m

    def filled(self, replicas, count):
        """A topic with @count batches of one record. Return: (name, place)."""
        topic = self.replicated(replicas)
        self.ids[topic] = self.topic_id(topic)
        for i in range(count):
            self.wait_until(lambda i=i: not self.produce(self.client(replicas[0]), topic, [b"%d" % i])["error_code"], "produced")
        return topic, (self.ids[topic], 0)

    def session(self, m, node):
        return ShareSession(self, m.group, m.id, client=self.client(node))

    def got(self, s, place, offsets, limit_s=LIMIT_S):
        """Fetch until all of @offsets and nothing else has come: {offset: how often}."""
        had, deadline = {}, time.monotonic() + limit_s
        while set(had) != set(offsets):
            self.assertLess(time.monotonic(), deadline, had)
            self.assertLessEqual(set(had), set(offsets))
            part = s.fetch(*([place] if s.epoch == OPEN else []), wait_ms=500).get(place)
            if part and part.error in (ERR.NOT_LEADER_OR_FOLLOWER, *NOT_YET):
                s.epoch = OPEN
                time.sleep(0.05)
            elif part:
                self.assertError(part.error, ERR.NONE)
                had.update(deliveries(part))
        return had

    def nothing(self, s, place):
        part = s.fetch(wait_ms=300).get(place)
        self.assertFalse(part and part.acquired, part)

    def leader(self, topic, node):
        """Until @node leads."""
        self.wait_until(lambda: all(self.state(topic, i + 1)["leader_id"] == node for i, n in enumerate(self.nodes)
                                    if n.died() is None), f"{node} does not lead {topic}", 40)

    def test_leader_moves(self):
        """Leader and coordinator on different nodes, before and after. The old leader says where the new one is, and that goes on."""
        topic, place = self.filled((1, 2, 3), 6)
        m = self.joined(self.group(), topic)
        s, new = self.session(m, 1), 5 - self.coordinator(m.group)
        self.got(s, place, range(6))
        self.assertError(s.acknowledge({place: [(0, 1, ACCEPT), (4, 4, ACCEPT), (5, 5, RELEASE)]})[place], ERR.NONE)
        answer = self.client().call("AlterPartitionReassignments", 0, timeout_ms=10000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "replicas": [new, 1, 5 - new]}]}])
        self.assertError(answer["error_code"], ERR.NONE)
        self.wait_until(lambda: not self.client().call("ListPartitionReassignments", 0, timeout_ms=5000, topics=None)["topics"],
                        "reassigned", LIMIT_S)
        self.client().call("ElectLeaders", 2, election_type=0, timeout_ms=10000, topic_partitions=[
            {"topic": topic, "partitions": [0]}])
        self.leader(topic, new)
        self.assertError(s.acknowledge({place: [(2, 2, ACCEPT)]})[place], ERR.NOT_LEADER_OR_FOLLOWER)
        part = s.fetch(wait_ms=100)[place]
        self.assertEqual((part.error, part.leader), (ERR.NOT_LEADER_OR_FOLLOWER, new))
        s = self.session(m, new)
        had = self.got(s, place, {2, 3, 5})
        self.assertEqual(had[5], 2)
        self.assertError(s.acknowledge({place: [(2, 3, ACCEPT), (5, 5, ACCEPT)]})[place], ERR.NONE)
        self.nothing(s, place)

    def test_leader_dies(self):
        topic, place = self.filled((1, 2, 3), 4)
        m = self.joined(self.group(), topic)
        s = self.session(m, 1)
        self.got(s, place, range(4))
        self.assertError(s.acknowledge({place: [(1, 2, ACCEPT)]})[place], ERR.NONE)
        self.nodes[0].kill()
        self.wait_until(lambda: self.state(topic, 3)["leader_id"] in (2, 3), "nobody leads", 40)
        s = self.session(m, self.state(topic, 3)["leader_id"])
        self.got(s, place, {0, 3})
        self.assertError(s.acknowledge({place: [(0, 0, ACCEPT), (3, 3, ACCEPT)]})[place], ERR.NONE)
        self.nothing(s, place)

    def test_coordinator_dies(self):
        """An acknowledgement waits for the next coordinator. What it is answered is true."""
        topic, place = self.filled((1, 2, 3), 4)
        m = self.joined(self.group(), topic)
        s = self.session(m, 1)
        s.client.timeout_s = 60
        self.got(s, place, range(4))
        self.assertError(s.acknowledge({place: [(0, 0, ACCEPT)]})[place], ERR.NONE)
        dead = self.coordinator(m.group)
        self.nodes[dead - 1].kill()
        error = s.acknowledge({place: [(1, 2, ACCEPT)]})[place]
        self.assertIn(error, (ERR.NONE, ERR.COORDINATOR_NOT_AVAILABLE))
        self.assertNotEqual(self.coordinator(m.group), dead)
        s.acknowledge({}, epoch=CLOSE)
        s.epoch = OPEN
        self.got(s, place, {3} if error == ERR.NONE else {1, 2, 3})
        self.assertError(s.acknowledge({place: [(3, 3, ACCEPT)]})[place], ERR.NONE)
        m.client = self.client(self.coordinator(m.group))
        m.beat()


if __name__ == "__main__":
    unittest.main()
