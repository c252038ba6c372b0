#!/usr/bin/env python3
"""Groups as operators see them: FindCoordinator, DescribeGroups, ListGroups, DeleteGroups of every version.

Goal: kafka-semantics items 57 and 58 (each test names its item). Method: groups in every state, asked for in every
version; the tests pass against Apache Kafka as well (apache.py).
"""

import unittest

from groups import Committed, GroupCase, subscription
from kafka import CLIENT_ID, ERR

# What may be done to a group, as bits: read, delete, describe, describe and alter its configurations.
OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11
NOT_ASKED = -1 << 31


class FindCoordinator(GroupCase):
    def test_single(self):
        """Item 58: one key up to version 3; the one node, at the address that was connected to."""
        client = self.client()
        for version in range(4):
            for group in (self.fresh("group"), "", "\U0001f600"):
                with self.subTest(version=version, group=group):
                    answer = client.call("FindCoordinator", version, key=group)
                    self.assertError(answer["error_code"], ERR.NONE)
                    self.assertEqual((answer["node_id"], answer["host"], answer["port"]),
                                     (self.node_id(client), self.node.host, self.node.port))

    def node_id(self, client):
        broker, = client.call("Metadata", 12, topics=[])["brokers"]
        return broker["node_id"]

    def test_batched(self):
        """Item 58, KIP-699: several keys from version 4 on, each answered under its name in order."""
        client = self.client()
        for version in (4, 5, 6):
            with self.subTest(version=version):
                keys = [self.fresh("group") for _ in range(5)]
                rows = client.call("FindCoordinator", version, coordinator_keys=keys)["coordinators"]
                self.assertEqual([r["key"] for r in rows], keys)
                self.assertEqual({(r["error_code"], r["node_id"], r["host"], r["port"]) for r in rows},
                                 {(0, self.node_id(client), self.node.host, self.node.port)})
                self.assertEqual(client.call("FindCoordinator", version, coordinator_keys=[])["coordinators"], [])

    def test_unknown_key_type(self):
        """Item 58: a kind of coordinator that does not exist is INVALID_REQUEST, with no node."""
        client = self.client()
        for version in (1, 2, 3):
            answer = client.call("FindCoordinator", version, key="x", key_type=7)
            self.assertError(answer["error_code"], ERR.INVALID_REQUEST)
        for version in (4, 5, 6):
            row, = client.call("FindCoordinator", version, coordinator_keys=["x"], key_type=7)["coordinators"]
            self.assertEqual((row["error_code"], row["node_id"]), (ERR.INVALID_REQUEST, -1))


class Describe(GroupCase):
    def test_stable(self):
        """Item 57: a Stable group in every version: protocol, members, where they come from, what they brought and
        got."""
        group, topic = self.fresh("group"), self.topic()
        members = [self.member(group, topic, instance=i) for i in (None, "static-1")]
        self.settle(members)
        for version in range(7):
            with self.subTest(version=version):
                answer = self.describe(self.client(), group, version)
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual(answer.get("error_message"), None)
                self.assertEqual((answer["group_state"], answer["protocol_type"], answer["protocol_data"]),
                                 ("Stable", "consumer", "range"))
                if version >= 3:
                    self.assertEqual(answer["authorized_operations"], NOT_ASKED)
                    answer = self.describe(self.client(), group, version, include_authorized_operations=True)
                    self.assertEqual(answer["authorized_operations"], OPERATIONS)
                rows = {r["member_id"]: r for r in answer["members"]}
                self.assertEqual(set(rows), {m.id for m in members})
                for m in members:
                    row = rows[m.id]
                    self.assertEqual((row["client_id"], row["client_host"]), (CLIENT_ID, "/127.0.0.1"))
                    self.assertEqual(row["member_metadata"], subscription(topic))
                    self.assertEqual(row["member_assignment"], b"for " + m.id.encode())
                    self.assertEqual(row.get("group_instance_id"), m.instance if version >= 4 else None)

    def test_other_states(self):
        """Item 57: members are shown while they join and wait, with their last assignments but without a protocol and
        its metadata, which are decided anew; an Empty group keeps its protocol type."""
        group = self.fresh("group")
        leader, follower = self.stable(group, count=2)
        follower.protocols = [("range", subscription("more"))]
        follower.send_join()
        self.wait_state(group, "PreparingRebalance")
        client = self.client()
        for state in ("PreparingRebalance", "CompletingRebalance"):
            answer = self.describe(client, group)
            self.assertEqual((answer["group_state"], answer["protocol_type"], answer["protocol_data"]),
                             (state, "consumer", ""))
            self.assertEqual({(r["member_id"], r["member_metadata"], r["member_assignment"])
                              for r in answer["members"]}, {(m.id, b"", b"for " + m.id.encode())
                                                         for m in (leader, follower)})
            if state == "PreparingRebalance":
                leader.join()
                follower.receive_join()
        self.settle_sync([leader, follower])
        for m in (leader, follower):
            self.assertError(m.leave(), ERR.NONE)
        answer = self.describe(client, group)
        self.assertEqual((answer["group_state"], answer["protocol_type"], answer["protocol_data"], answer["members"]),
                         ("Empty", "consumer", "", []))

    def test_unknown_group(self):
        """Item 57, KIP-1043: a group that does not exist is Dead without an error up to version 5, and is
        GROUP_ID_NOT_FOUND with words from version 6 on."""
        for version in range(7):
            with self.subTest(version=version):
                group = self.fresh("group")
                answer = self.describe(self.client(), group, version)
                self.assertEqual((answer["group_id"], answer["group_state"], answer["members"]), (group, "Dead", []))
                self.assertError(answer["error_code"], ERR.GROUP_ID_NOT_FOUND if version >= 6 else ERR.NONE)
                if version >= 6:
                    self.assertIn(group, answer["error_message"])
                if version >= 3:
                    answer = self.describe(self.client(), group, version, include_authorized_operations=True)
                    self.assertEqual(answer["authorized_operations"] > 0, version < 6)

    def test_several(self):
        """Item 57: several groups, each with its own answer, one that is named twice too."""
        m, = self.stable(self.fresh("group"))
        unknown = self.fresh("group")
        rows = self.client().call("DescribeGroups", 6, groups=[unknown, m.group, m.group, unknown])["groups"]
        self.assertEqual(sorted((r["group_id"], r["group_state"]) for r in rows),
                         [(m.group, "Stable")] * 2 + [(unknown, "Dead")] * 2)
        self.assertEqual(self.client().call("DescribeGroups", 6, groups=[])["groups"], [])


class List(GroupCase):
    def one_of_each(self):
        """A group of each kind: {group: (protocol type, state)}."""
        stable, = self.stable(self.fresh("group"))
        other, = self.stable(self.fresh("group"), protocol_type="connect", protocols=[("default", b"")])
        empty, = self.stable(self.fresh("group"))
        self.assertError(empty.leave(), ERR.NONE)
        simple, topic = self.fresh("group"), self.topic()
        self.commit(self.client(), simple, {topic: {0: 1}})
        leader, follower = self.stable(self.fresh("group"), count=2)
        leader.send_join()
        self.wait_state(leader.group, "PreparingRebalance")
        completing = self.member(self.fresh("group"))
        completing.introduce().join()
        self.kept = [stable, other, leader, follower, completing]
        return {stable.group: ("consumer", "Stable"), other.group: ("connect", "Stable"),
                empty.group: ("consumer", "Empty"), simple: ("", "Empty"),
                leader.group: ("consumer", "PreparingRebalance"), completing.group: ("consumer", "CompletingRebalance")}

    def test_versions_and_filters(self):
        """Item 57, KIP-518, KIP-848: all groups with protocol type, from version 4 with state, from version 5 with
        type; filters by state (4) and type (5) in any case; a name that is not known matches nothing."""
        groups, client = self.one_of_each(), self.client()
        for version in range(6):
            with self.subTest(version=version):
                rows = self.listed(client, version)
                for group, (protocol_type, state) in groups.items():
                    self.assertEqual(rows[group]["protocol_type"], protocol_type)
                    self.assertEqual(rows[group].get("group_state"), state if version >= 4 else None)
                    self.assertEqual(rows[group].get("group_type"), "classic" if version >= 5 else None)
        for version in (4, 5):
            for states in (["Stable"], ["stable"], ["EMPTY"], ["preparingrebalance", "Completingrebalance"], ["Dead"],
                           ["empty", "nonsense"], ["nonsense"]):
                with self.subTest(version=version, states=states):
                    wanted = {s.lower() for s in states}
                    rows = self.listed(client, version, states_filter=states)
                    self.assertEqual(set(rows) & set(groups),
                                     {g for g, (_, s) in groups.items() if s.lower() in wanted})
                    self.assertLessEqual({r["group_state"].lower() for r in rows.values()}, wanted)
        for types in (["classic"], ["CLASSIC"], ["Classic", "consumer"]):
            self.assertLessEqual(set(groups), set(self.listed(client, types_filter=types)))
        for types in (["consumer"], ["Share"], ["nonsense"]):
            self.assertEqual(self.listed(client, types_filter=types), {})
        rows = self.listed(client, states_filter=["Stable"], types_filter=["classic"])
        self.assertEqual(set(rows) & set(groups), {g for g, (_, s) in groups.items() if s == "Stable"})


class Delete(GroupCase):
    def delete(self, *groups, version=2):
        rows = self.client().call("DeleteGroups", version, groups_names=list(groups))["results"]
        return {r["group_id"]: r["error_code"] for r in rows}

    def test_deletion(self):
        """Item 58: an Empty group goes with its offsets; one that has members does not; one that does not exist is
        GROUP_ID_NOT_FOUND; each by itself in one request."""
        client, topic = self.client(), self.topic()
        for version in range(3):
            with self.subTest(version=version):
                empty, = self.stable(self.fresh("group"), topic)
                self.assertError(empty.commit(topic, 5), ERR.NONE)
                self.assertError(empty.leave(), ERR.NONE)
                simple, unknown = self.fresh("group"), self.fresh("group")
                self.commit(client, simple, {topic: {0: 1}})
                live, = self.stable(self.fresh("group"), topic)
                self.assertError(live.commit(topic, 6), ERR.NONE)
                self.assertEqual(self.delete(empty.group, simple, unknown, live.group, version=version), {
                    empty.group: 0, simple: 0, unknown: ERR.GROUP_ID_NOT_FOUND, live.group: ERR.NON_EMPTY_GROUP})
                for group in (empty.group, simple):
                    self.assertEqual(self.committed(client, group), {})
                    self.assertEqual(self.describe(client, group)["group_state"], "Dead")
                    self.assertNotIn(group, self.listed(client))
                    self.assertEqual(self.delete(group), {group: ERR.GROUP_ID_NOT_FOUND})
                self.assertEqual(self.committed(client, live.group), {topic: {0: Committed(6)}})
                self.assertError(live.heartbeat(), ERR.NONE)

    def test_name_is_free_again(self):
        """Item 58: a group of the name of one that was deleted begins at generation 1 without offsets."""
        topic = self.topic()
        m, = self.stable(self.fresh("group"), topic)
        self.settle([m])
        self.assertError(m.commit(topic, 5), ERR.NONE)
        self.assertError(m.leave(), ERR.NONE)
        self.assertEqual(self.delete(m.group), {m.group: 0})
        again, = self.stable(m.group, topic)
        self.assertEqual(again.generation, 1)
        self.assertEqual(self.committed(self.client(), m.group), {})

    def test_no_group(self):
        """Item 58: no group named, no result."""
        for version in range(3):
            self.assertEqual(self.delete(version=version), {})


if __name__ == "__main__":
    unittest.main()
