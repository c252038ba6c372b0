#!/usr/bin/env python3
"""Partitions with several replicas, as clients see them: who is asked, who answers, and what survives a node."""

import signal
import time
import unittest

import records
from cluster import ClusterCase
from kafka import ERR, Client


class Replication(ClusterCase):
    SETTINGS = ["replication.read_from_rack=true", "replication.lag_time_max_ms=1500"]

    def fetch_topic(self, client, topic, version=12, offset=0, rack_id="", max_wait_ms=0, **partition):
        topics = [{"partitions": [{"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **partition}],
                   **({"topic_id": self.topic_id(topic)} if version >= 13 else {"topic": topic})}]
        answer = client.call("Fetch", version, max_wait_ms=max_wait_ms, min_bytes=1, max_bytes=1 << 20, topics=topics,
                             **({"rack_id": rack_id} if version >= 11 else {}))
        return answer, answer["responses"][0]["partitions"][0]

    def read_at(self, node, topic, offset=0):
        """Fetch at a node as a consumer in its rack does; returns the partition's answer."""
        return self.fetch_topic(self.client(node), topic, offset=offset, rack_id=f"rack-{node}")[1]

    def test_acknowledged_by_all(self):
        """acks=all: what is acknowledged is on every replica in sync, and any of them may lead."""
        topic = self.replicated((1, 2, 3), min_insync_replicas=2)
        client = self.client()
        for i in range(20):
            self.assertError(self.produce(client, topic, [b"value %d" % i])["error_code"], ERR.NONE)
        for node in (2, 3):
            self.wait_until(lambda node=node: self.read_at(node, topic)["high_watermark"] == 20,
                            f"node {node} does not learn the high watermark")
            answer = self.read_at(node, topic)
            self.assertEqual([r.value for b in records.parse(answer["records"]) for r in b.records],
                             [b"value %d" % i for i in range(20)])

    def test_produce_to_a_follower(self):
        """KIP-951: NOT_LEADER_OR_FOLLOWER, and from version 10 on who leads and where; nothing is written."""
        topic = self.replicated((1, 2, 3))
        for version in (9, 10, 11):
            answer = self.client(2).call("Produce", version, acks=-1, timeout_ms=1000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"x"])}]}])
            partition = answer["responses"][0]["partition_responses"][0]
            self.assertError(partition["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)
            self.assertEqual(partition["base_offset"], -1)
            if version < 10:
                continue
            self.assertEqual(partition["current_leader"]["leader_id"], 1)
            self.assertEqual(partition["current_leader"]["leader_epoch"], self.state(topic)["leader_epoch"])
            self.assertEqual([(n["node_id"], n["host"], n["port"]) for n in answer["node_endpoints"]],
                             [(1, self.nodes[0].host, self.nodes[0].port)])
        self.assertEqual(self.stored(topic), [])

    def test_fetch_from_a_follower(self):
        """KIP-392: who says where it stands (version 11 and later) may read from a follower; others are sent to the leader."""
        topic = self.replicated((1, 2, 3))
        self.produce(self.client(), topic, [b"value"])
        self.wait_until(lambda: self.read_at(3, topic)["high_watermark"] == 1, "no watermark")
        for version in (4, 10, 11, 12, 13, 16, 17):
            for rack in ("", "rack-3"):
                _, answer = self.fetch_topic(self.client(3), topic, version, rack_id=rack)
                if version < 11 or not rack:
                    self.assertError(answer["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)
                    continue
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual(records.parse(answer["records"])[0].records[0].value, b"value")
        self.assertError(self.read_at(3, topic, offset=99)["error_code"], ERR.OFFSET_OUT_OF_RANGE)

    def test_a_follower_waits_for_data(self):
        """A long poll at a follower is answered when the high watermark that it knows moves."""
        topic = self.replicated((1, 2, 3))
        client = self.client(2)
        client.send("Fetch", 12, rack_id="rack-2", max_wait_ms=20000, min_bytes=1, max_bytes=1 << 20, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])
        time.sleep(0.2)
        begin = time.monotonic()
        self.produce(self.client(), topic, [b"value"])
        answer = client.receive()["responses"][0]["partitions"][0]
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(records.parse(answer["records"])[0].records[0].value, b"value")

    def test_fenced_epoch_names_the_leader(self):
        """KIP-320, KIP-951: an epoch that is over, or no leader's, is answered with who leads and where."""
        topic = self.replicated((2, 1, 3))
        epoch = self.state(topic)["leader_epoch"]
        whole, answer = self.fetch_topic(self.client(2), topic, 16, current_leader_epoch=epoch + 1)
        self.assertError(answer["error_code"], ERR.UNKNOWN_LEADER_EPOCH)
        for request in ("ListOffsets", "OffsetForLeaderEpoch"):
            fields = {"topics": [{"name": topic, "partitions": [{"partition_index": 0, "timestamp": -1}]}]} \
                if request == "ListOffsets" else {"topics": [{"topic": topic, "partitions": [
                    {"partition": 0, "current_leader_epoch": epoch, "leader_epoch": epoch}]}]}
            answer = self.client(1).call(request, 4, **fields)["topics"][0]["partitions"][0]
            self.assertError(answer["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)

    def test_rack(self):
        """KIP-392: a consumer in a follower's rack is told to read there, and gets no records from the leader."""
        topic = self.replicated((1, 2, 3))
        self.produce(self.client(), topic, [b"value"])
        for rack, preferred in (("", -1), ("rack-1", -1), ("rack-2", 2), ("rack-3", 3), ("rack-9", -1)):
            self.wait_until(lambda: self.fetch_topic(self.client(), topic, rack_id=rack)[1]["preferred_read_replica"]
                            == preferred, f"{rack}: not sent to {preferred}")
            _, answer = self.fetch_topic(self.client(), topic, rack_id=rack)
            self.assertError(answer["error_code"], ERR.NONE)
            self.assertEqual(bool(answer["records"]), preferred < 0)
        _, answer = self.fetch_topic(self.client(), topic, 10)      # knows nothing of racks
        self.assertTrue(answer["records"])

    def test_replica_id_of_a_client(self):
        """A client that calls itself a replica sees no more than any other: nothing above the high watermark, and it is in no ISR."""
        topic = self.replicated((1, 2))
        self.produce(self.client(), topic, [b"value"])
        answer = self.client().call("Fetch", 12, replica_id=2, max_wait_ms=0, min_bytes=1, max_bytes=1 << 20, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])
        self.assertError(answer["responses"][0]["partitions"][0]["error_code"], ERR.NONE)
        self.assertEqual(answer["responses"][0]["partitions"][0]["high_watermark"], 1)

    def test_where_it_is_not(self):
        """A node without a replica says who leads."""
        topic = self.replicated((1, 2))
        whole, answer = self.fetch_topic(self.client(3), topic, 16)
        self.assertError(answer["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)
        self.assertEqual(answer["current_leader"]["leader_id"], 1)
        self.assertEqual([n["node_id"] for n in whole["node_endpoints"]], [1])

    def test_delete_records_reaches_followers(self):
        """KIP-107: only the leader takes it, and followers' logs begin where the leader's does."""
        topic = self.replicated((1, 2, 3))
        for i in range(10):
            self.produce(self.client(), topic, [b"value"])
        ask = {"timeout_ms": 1000, "topics": [{"name": topic, "partitions": [{"partition_index": 0, "offset": 6}]}]}
        answer = self.client(2).call("DeleteRecords", 2, **ask)["topics"][0]["partitions"][0]
        self.assertError(answer["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)
        answer = self.client(1).call("DeleteRecords", 2, **ask)["topics"][0]["partitions"][0]
        self.assertError(answer["error_code"], ERR.NONE)
        for node in (2, 3):
            self.assertEqual(self.read_at(node, topic, offset=8)["log_start_offset"], 6, f"node {node}")

    def test_delete_records_waits_for_followers(self):
        """KIP-107: while one in sync does not do it, the answer is REQUEST_TIMED_OUT; asked again, it is done."""
        topic = self.replicated((1, 2, 3))
        for i in range(4):
            self.produce(self.client(), topic, [b"value"])
        self.wait_isr(topic, {1, 2, 3})
        ask = {"timeout_ms": 300, "topics": [{"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}]}
        client = self.client(1)
        self.nodes[2].process.send_signal(signal.SIGSTOP)
        try:
            answer = client.call("DeleteRecords", 2, **ask)["topics"][0]["partitions"][0]
        finally:
            self.nodes[2].process.send_signal(signal.SIGCONT)
        self.assertError(answer["error_code"], ERR.REQUEST_TIMED_OUT)
        self.assertEqual(answer["low_watermark"], -1)
        ask["timeout_ms"] = 20000
        answer = client.call("DeleteRecords", 2, **ask)["topics"][0]["partitions"][0]
        self.assertEqual((answer["error_code"], answer["low_watermark"]), (ERR.NONE, 2))

    def test_moved_to_another_node(self):
        """KIP-455: a replica that is moved is copied to the new node, and its folder goes from the old one."""
        topic = self.replicated((1, 2), file_delete_delay_ms=0)
        for i in range(10):
            self.produce(self.client(), topic, [b"value %d" % i])
        folder = self.nodes[1].data / "log" / f"{topic}-0"
        self.assertTrue(folder.exists())
        answer = self.client().call("AlterPartitionReassignments", 0, timeout_ms=10000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "replicas": [1, 3]}]}])
        self.assertError(answer["responses"][0]["partitions"][0]["error_code"], ERR.NONE)
        self.wait_isr(topic, {1, 3})
        self.assertEqual(set(self.state(topic)["replica_nodes"]), {1, 3})
        self.wait_until(lambda: not folder.exists(), f"{folder} does not go")
        self.wait_until(lambda: self.read_at(3, topic)["high_watermark"] == 10, "node 3 has not all")
        _, answer = self.fetch_topic(self.client(2), topic)
        self.assertError(answer["error_code"], ERR.NOT_LEADER_OR_FOLLOWER)


class Failover(ClusterCase):
    SETTINGS = ["replication.lag_time_max_ms=1500", "replication.factor=3", "groups.offsets_partitions=4"]

    def coordinator(self, group, node=1):
        def ask():
            with Client(self.nodes[node - 1].host, self.nodes[node - 1].port) as client:
                answer = client.call("FindCoordinator", 4, key_type=0, coordinator_keys=[group])["coordinators"][0]
            return answer["node_id"] if answer["error_code"] == 0 else None
        self.wait_until(ask, "there is no coordinator", 30)
        return ask()

    def test_offsets_survive_their_coordinator(self):
        """Committed offsets are where they were when the node that coordinated the group was killed: another one has read them."""
        topic = self.replicated((1, 2, 3))
        group = next(g for g in (f"group-{i}" for i in range(100)) if self.coordinator(g) != 1)
        first = self.coordinator(group)
        commit = {"group_id": group, "generation_id_or_member_epoch": -1, "member_id": "", "topics": [
            {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 42, "committed_metadata": "m"}]}]}
        self.wait_until(lambda: self.client(first).call("OffsetCommit", 8, **commit)["topics"][0]["partitions"][0]["error_code"]
                        == 0, "not committed", 30)
        self.nodes[first - 1].kill()
        self.addCleanup(self.nodes[first - 1].start)
        self.wait_until(lambda: self.coordinator(group) != first, "no other coordinator", 30)
        ask = {"groups": [{"group_id": group, "topics": [{"name": topic, "partition_indexes": [0]}]}]}

        def fetched():
            answer = self.client(self.coordinator(group)).call("OffsetFetch", 8, **ask)["groups"][0]
            return answer["error_code"] == 0 and answer["topics"][0]["partitions"][0]
        self.wait_until(fetched, "the new coordinator does not answer", 30)
        self.assertEqual((fetched()["committed_offset"], fetched()["metadata"]), (42, "m"))

    def test_the_leader_dies(self):
        """What was acknowledged is there after the leader was killed, in the same places; the node comes back as a follower."""
        topic = self.replicated((3, 2, 1), min_insync_replicas=2)
        self.wait_isr(topic, {1, 2, 3})         # a node that another test has killed may just have come back
        client = self.client(3)
        for i in range(50):
            part = self.produce(client, topic, [b"before %d" % i])
            while part["error_code"] == ERR.NOT_LEADER_OR_FOLLOWER.value:   # not yet, or not sure any more for a moment: nothing was written
                time.sleep(0.05)
                part = self.produce(client, topic, [b"before %d" % i])
            self.assertError(part["error_code"], ERR.NONE, f"record {i}: {self.state(topic)}")
            self.assertEqual(part["base_offset"], i)
        self.nodes[2].kill()
        self.wait_until(lambda: self.state(topic)["leader_id"] in (1, 2), "nobody leads", 30)
        leader = self.state(topic)["leader_id"]
        offsets = self.client(leader).call("ListOffsets", 5, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "timestamp": -1}]}])["topics"][0]["partitions"][0]
        if offsets["error_code"] != ERR.OFFSET_NOT_AVAILABLE.value:     # KIP-207: never back
            self.assertEqual(offsets["offset"], 50)
        self.wait_until(lambda: self.produce(self.client(leader), topic, [b"after"])["error_code"] == 0, "not taken", 30)
        self.nodes[2].start()
        self.wait_isr(topic, {1, 2, 3})
        answer = self.fetch(self.client(3), topic, rack_id="rack-3")
        self.assertError(answer["error_code"], ERR.NONE)
        values = [r.value for b in records.parse(answer["records"]) for r in b.records]
        self.assertEqual(values[:50], [b"before %d" % i for i in range(50)])
        self.assertEqual(values[50], b"after")


if __name__ == "__main__":
    unittest.main()
