#!/usr/bin/env python3
"""Connections, frames and versions, as every client meets them first.

Goal: kafka-semantics items 1 to 7, 9, 11 and 12 (each test names its item). Method: requests built from the schemas, or
wrong ones as raw bytes, against a real node.
"""

import os
import socket
import struct
import time
import unittest

import codec
import kafka
import records
from case import NodeCase
from kafka import ERR

# What a Kafka 4.3 broker advertises, for the keys that are served here.
KAFKA_4_3 = {
    "Produce": (0, 13), "Fetch": (4, 18), "ListOffsets": (1, 11), "Metadata": (0, 13), "OffsetCommit": (2, 10),
    "OffsetFetch": (1, 10), "FindCoordinator": (0, 6), "JoinGroup": (0, 9), "Heartbeat": (0, 4), "LeaveGroup": (0, 5),
    "SyncGroup": (0, 5), "DescribeGroups": (0, 6), "ListGroups": (0, 5), "ApiVersions": (0, 4), "CreateTopics": (2, 7),
    "DeleteTopics": (1, 6), "DeleteRecords": (0, 2), "InitProducerId": (0, 5), "OffsetForLeaderEpoch": (2, 4),
    "DescribeConfigs": (1, 4), "AlterConfigs": (0, 2), "DescribeLogDirs": (1, 5), "CreatePartitions": (0, 3),
    "DeleteGroups": (0, 2), "IncrementalAlterConfigs": (0, 1), "OffsetDelete": (0, 0), "DescribeCluster": (0, 2),
    "DescribeTopicPartitions": (0, 0), "DescribeQuorum": (0, 2), "AddRaftVoter": (0, 1), "RemoveRaftVoter": (0, 0),
    "DescribeTopicPartitions": (0, 0), "ElectLeaders": (0, 2), "AlterPartitionReassignments": (0, 1),
    "ListPartitionReassignments": (0, 0), "UpdateFeatures": (0, 2), "UnregisterBroker": (0, 0),
    "AddPartitionsToTxn": (0, 5), "AddOffsetsToTxn": (0, 4), "EndTxn": (0, 5), "WriteTxnMarkers": (1, 2),
    "TxnOffsetCommit": (0, 5), "DescribeProducers": (0, 0), "DescribeTransactions": (0, 0), "ListTransactions": (0, 2),
    "DescribeClientQuotas": (0, 1), "AlterClientQuotas": (0, 1), "ListConfigResources": (0, 1), "AlterReplicaLogDirs": (1, 2),
    "GetTelemetrySubscriptions": (0, 0), "PushTelemetry": (0, 0), "ConsumerGroupHeartbeat": (0, 1),
    "ConsumerGroupDescribe": (0, 1), "ShareGroupHeartbeat": (1, 1), "ShareGroupDescribe": (1, 1),
    "ShareFetch": (1, 2), "ShareAcknowledge": (1, 2),
    "DescribeShareGroupOffsets": (0, 1), "AlterShareGroupOffsets": (0, 0), "DeleteShareGroupOffsets": (0, 0),
    "DescribeAcls": (1, 3), "CreateAcls": (1, 3), "DeleteAcls": (1, 3),
    "DescribeUserScramCredentials": (0, 0), "AlterUserScramCredentials": (0, 0),
    "SaslHandshake": (0, 1), "SaslAuthenticate": (0, 2),
    "CreateDelegationToken": (1, 3), "RenewDelegationToken": (1, 2), "ExpireDelegationToken": (1, 2),
    "DescribeDelegationToken": (1, 3),
}
SOFTWARE = {"client_software_name": "protocol-test", "client_software_version": "1.0"}


class Versions(NodeCase):
    def test_api_versions_in_every_version(self):
        """Item 1: each version is answered in its own body behind header 0, without a tagged-field byte."""
        for version in range(5):
            with self.subTest(version=version):
                answer = self.client().call("ApiVersions", version, **SOFTWARE)
                self.assertError(answer["error_code"], ERR.NONE)
                self.assertEqual(len(answer["api_keys"]), len(KAFKA_4_3))
                self.assertEqual(answer.get("throttle_time_ms"), None if version == 0 else 0)

    def test_advertised_ranges_are_kafkas(self):
        """Item 4: exactly the keys that are served, each with the range of Kafka 4.3."""
        answer = self.client().call("ApiVersions", 4, **SOFTWARE)
        names = {m.key: m.name for m in codec.MESSAGES.values() if m.kind == "request"}
        advertised = {names[a["api_key"]]: (a["min_version"], a["max_version"]) for a in answer["api_keys"]}
        self.assertEqual(advertised, KAFKA_4_3)
        self.assertEqual([a["api_key"] for a in answer["api_keys"]], sorted(a["api_key"] for a in answer["api_keys"]))

    def test_api_versions_too_high(self):
        """Item 1, KIP-511: a version that we do not know gets error 35 in a v0 body, to the byte, and the
        connection goes on."""
        for version in (5, 127, 32767, -1):
            with self.subTest(version=version):
                client = self.client()
                # What a body of an unknown version holds nobody knows, so it must not be looked at.
                client.send_raw(kafka.frame(kafka.header(18, version, 77, header_version=2) + b"\xff\xfe\xfd"))
                keys = sorted((codec.message(name + "Request").key, *low_high) for name, low_high in KAFKA_4_3.items())
                expected = struct.pack(">ihi", 77, ERR.UNSUPPORTED_VERSION, len(keys))
                expected += b"".join(struct.pack(">hhh", *k) for k in keys)
                self.assertEqual(client.receive_raw(), expected)
                answer = client.call("ApiVersions", 4, **SOFTWARE)
                self.assertError(answer["error_code"], ERR.NONE)

    def test_software_name_is_checked(self):
        """Item 1, KIP-511: a client name that breaks the pattern is INVALID_REQUEST, not a closed connection."""
        client = self.client()
        for name in ("", "-a", "a b", "é"):
            answer = client.call("ApiVersions", 3, client_software_name=name, client_software_version="1")
            self.assertError(answer["error_code"], ERR.INVALID_REQUEST)
            self.assertEqual(answer["api_keys"], [])

    def test_unknown_key_closes(self):
        """Item 2: an API key that is not served closes the connection."""
        for key in (4, 999, -1, 32767):
            with self.subTest(key=key):
                client = self.client()
                client.send_raw(kafka.frame(kafka.header(key, 0, 1)))
                self.assertTrue(client.closed())

    def test_unsupported_version_closes(self):
        """Item 2: a version outside of what is served closes the connection, for every API but ApiVersions; Produce
        0 to 2 are advertised and refused all the same."""
        for name, (low, high) in KAFKA_4_3.items():
            if name == "ApiVersions":
                continue
            key = codec.message(name + "Request").key
            for version in ((2, high + 1) if name == "Produce" else (low - 1, high + 1)):
                with self.subTest(api=name, version=version):
                    client = self.client()
                    client.send_raw(kafka.frame(kafka.header(key, version, 1, header_version=2) + bytes(16)))
                    self.assertTrue(client.closed())


    def test_every_version_is_answered(self):
        """Item 3: an empty request of every API in every version gets an answer that has its own version's header
        and body to the last byte, and the connection goes on."""
        for name, (low, high) in KAFKA_4_3.items():
            for version in range(max(low, codec.message(name + "Request").versions[0]), high + 1):
                with self.subTest(api=name, version=version):
                    client = self.client()
                    client.call(name, version, **({"acks": -1} if name == "Produce" else {}))
                    client.call("ApiVersions", 0)
                    client.close()

    def test_unknown_tags_are_skipped(self):
        """Item 3: tagged fields that we do not know, in the header and in the body, change nothing."""
        tags = codec.uvarint(2) + codec.uvarint(77) + codec.uvarint(3) + b"abc" + codec.uvarint(9000) + codec.uvarint(0)
        header = kafka.header(3, 12, 5, header_version=2)[:-1] + tags
        body = codec.encode("MetadataRequest", 12, {"topics": []})[:-1] + tags
        client = self.client()
        client.send_raw(kafka.frame(header + body))
        head, rest = codec.decode("ResponseHeader", 1, client.receive_raw(), whole=False)
        self.assertEqual(head["correlation_id"], 5)
        self.assertEqual(len(codec.decode("MetadataResponse", 12, rest)["brokers"]), 1)


class Order(NodeCase):
    DISK = True

    def test_many_requests_at_once(self):
        """Item 5: 300 requests of several kinds in one write are answered one after the other, in their order."""
        topic, client, data = self.topic(), self.client(), b""
        sent = []
        for i in range(300):
            api, version, fields = [
                ("ApiVersions", 4, SOFTWARE), ("Metadata", 12, {"topics": None}),
                ("Produce", 9, {"acks": -1, "timeout_ms": 9000, "topic_data": [
                    {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"%d" % i])}]}]}),
                ("FindCoordinator", 4, {"coordinator_keys": ["g"]})][i % 4]
            data += kafka.request(api, version, i, **fields)
            sent.append((api, version, i))
        client.pending.extend(sent)
        client.send_raw(data)
        for _ in sent:
            client.receive()            # compares the correlation ids
        self.assertEqual([v for b in self.stored(topic) for v in (r.value for r in b.records)],
                         [b"%d" % i for i in range(2, 300, 4)])

    def test_long_poll_before_metadata(self):
        """Item 5: what follows a fetch that waits is answered behind it, not before it."""
        topic, client = self.topic(), self.client()
        client.send("Fetch", 12, max_wait_ms=400, min_bytes=1, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}]}])
        client.send("Metadata", 12, topics=[])
        began = time.monotonic()
        client.receive()
        self.assertGreater(time.monotonic() - began, 0.3)
        client.receive()

    def test_ready_answers_wait_for_their_turn(self):
        """Item 5: three Produce requests are in work at once; the first waits for its disk, the others are done (the
        second is seen by a consumer, the third is an error) and are answered behind it all the same."""
        slow, quick = self.topic(), self.topic(chronik_flush_before_ack="false")
        client = self.client()
        self.hold(slow)
        for topic in (slow, quick, "no-such-topic"):
            client.send("Produce", 9, acks=-1, timeout_ms=20000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": records.batch([topic.encode()])}]}])
        answer = self.fetch(self.client(), quick, max_wait_ms=5000)
        self.assertEqual(records.values(answer["records"]), [quick.encode()])
        self.assertTrue(client.silent())
        self.disk.release()
        answers = [client.receive()["responses"][0] for _ in range(3)]
        self.assertEqual([a["name"] for a in answers], [slow, quick, "no-such-topic"])
        self.assertEqual([a["partition_responses"][0]["error_code"] for a in answers],
                         [ERR.NONE, ERR.NONE, ERR.UNKNOWN_TOPIC_OR_PARTITION])

    def test_answers_before_a_close(self):
        """Items 2, 5: a wrong request closes the connection only when those before it have been answered."""
        slow, client = self.topic(), self.client()
        self.hold(slow)
        client.send("Produce", 9, acks=-1, timeout_ms=20000, topic_data=[
            {"name": slow, "partition_data": [{"index": 0, "records": records.batch([b"x"])}]}])
        client.send_raw(kafka.frame(kafka.header(0, 99, 1)))
        self.assertTrue(client.silent())
        self.disk.release()
        self.assertError(client.receive()["responses"][0]["partition_responses"][0]["error_code"], ERR.NONE)
        self.assertTrue(client.closed())


class Acks(NodeCase):
    def send_acks0(self, client, topic, data, version=9):
        client.send_unanswered("Produce", version, acks=0, timeout_ms=1000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": data}]}])

    def test_acks_0_has_no_answer(self):
        """Item 6: nothing answers Produce with acks=0, in no version; the next frame is the next request's. Order with
        later requests holds."""
        topic, client = self.topic(), self.client()
        for version in range(3, 13):
            self.send_acks0(client, topic, records.batch([b"%d" % version]), version)
        self.assertTrue(client.silent())
        answer = self.produce(client, topic, [b"last"])
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual(answer["base_offset"], 10)
        self.assertEqual([r.value for b in self.stored(topic) for r in b.records],
                         [b"%d" % v for v in range(3, 13)] + [b"last"])

    def test_acks_0_closes_on_error(self):
        """Item 6: an error where no answer is allowed closes the connection, so that the client looks around anew.
        Requests before it are answered first."""
        topic = self.topic()
        good = records.batch([b"x"])
        for what, name, data in (("unknown topic", "no-such-topic", good), ("no records", topic, None),
                                 ("wrong CRC", topic, good[:-1] + b"?")):
            with self.subTest(what):
                client = self.client()
                client.send("Metadata", 12, topics=[])
                self.send_acks0(client, name, data)
                client.receive()
                self.assertTrue(client.closed())
        self.assertEqual(self.stored(topic), [])

    def test_invalid_acks(self):
        """Item 7: acks other than -1, 0, 1 is an error for each partition; nothing is written."""
        topic, client = self.topic(partitions=2), self.client()
        for version in range(3, 13):
            for acks in (2, -2, 32767, -32768):
                with self.subTest(version=version, acks=acks):
                    answer = client.call("Produce", version, acks=acks, timeout_ms=1000, topic_data=[
                        {"name": topic, "partition_data": [
                            {"index": i, "records": records.batch([b"x"])} for i in range(2)]}])
                    for partition in answer["responses"][0]["partition_responses"]:
                        self.assertError(partition["error_code"], ERR.INVALID_REQUIRED_ACKS)
                        self.assertEqual(partition["base_offset"], -1)
        self.assertEqual(self.stored(topic), [])

    def test_null_records(self):
        """Item 7: null or no records are an error of their partition; the connection and the partition beside it
        are not concerned."""
        for version in range(3, 13):
            for data in (None, b""):
                with self.subTest(version=version, data=data):
                    topic, client = self.topic(partitions=2), self.client()
                    answer = client.call("Produce", version, acks=-1, timeout_ms=1000, topic_data=[
                        {"name": topic, "partition_data": [{"index": 0, "records": data},
                                                           {"index": 1, "records": records.batch([b"x"])}]}])
                    first, second = answer["responses"][0]["partition_responses"]
                    self.assertError(first["error_code"], ERR.INVALID_RECORD)
                    self.assertError(second["error_code"], ERR.NONE)
                    self.assertEqual(second["base_offset"], 0)


class Frames(NodeCase):
    MAX = 1 << 20
    SETTINGS = ["server.max_request_bytes=1MiB", "storage.max_message_bytes=512KiB"]

    def test_frame_lengths(self):
        """Item 9: a length that is negative, 0 or above the limit closes at once; the limit itself does not."""
        for length in (-1, -2147483648, 0, self.MAX + 1, 2147483647):
            with self.subTest(length=length):
                client = self.client()
                client.send_raw(struct.pack(">i", length))
                self.assertTrue(client.closed())
        client = self.client()
        client.send_raw(struct.pack(">i", self.MAX))
        self.assertTrue(client.silent())

    def request_of(self, topic, size):
        """A Produce request of exactly this size; its records are zeros."""
        def build(count):
            return kafka.request("Produce", 7, 1, acks=1, timeout_ms=1000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": bytes(count)}]}])
        return build(size - (len(build(0)) - 4))

    def test_largest_request(self):
        """Item 9: a request of the limit's size is answered, one byte more closes the connection."""
        topic, client = self.topic(), self.client()
        client.pending.append(("Produce", 7, 1))
        client.send_raw(self.request_of(topic, self.MAX))
        client.receive()
        client.send_raw(self.request_of(topic, self.MAX + 1)[:1000])
        self.assertTrue(client.closed())

    def test_header_of_a_frame(self):
        """Items 2, 9: frames that end within the header, or whose client id is longer than they are, close."""
        whole = kafka.header(18, 0, 1)
        for data in [whole[:n] for n in range(1, len(whole))] + [
                whole[:8] + struct.pack(">h", 32767), whole[:8] + struct.pack(">h", -2)]:
            with self.subTest(data=data):
                client = self.client()
                client.send_raw(kafka.frame(data))
                self.assertTrue(client.closed())
        client = self.client()                                  # a client id may be null
        client.send_raw(kafka.frame(kafka.header(18, 0, 9, client_id=None)))
        self.assertEqual(client.receive_raw()[:6], struct.pack(">ih", 9, ERR.NONE))

    def test_bytes_one_by_one(self):
        """Item 9: where TCP cuts a request does not matter."""
        client = self.client()
        data = kafka.request("ApiVersions", 4, 1, **SOFTWARE) + kafka.request("Metadata", 12, 2, topics=[])
        client.pending.extend([("ApiVersions", 4, 1), ("Metadata", 12, 2)])
        for i in range(len(data)):
            client.send_raw(data[i:i + 1])
        client.receive()
        client.receive()

    def test_array_counts(self):
        """Item 9: a count of -1 is null: an answer where null is allowed, a close where it is not. A count beyond the
        frame closes and costs nothing."""
        null = struct.pack(">i", -1)
        client = self.client()
        client.pending.append(("Metadata", 1, 1))
        client.send_raw(kafka.frame(kafka.header(3, 1, 1) + null))
        client.receive()
        produce = struct.pack(">hhi", -1, 1, 1000)              # transactional id null, acks, time-out
        cases = [("null topics of Produce", 0, 7, produce + null), ("null topics of Metadata 0", 3, 0, null),
                 ("null groups", 15, 0, null)]
        for count in (-2, -2147483648, 2147483647, 1000000):
            cases.append((f"{count} topics of Produce", 0, 7, produce + struct.pack(">i", count)))
            cases.append((f"{count} topics of Metadata", 3, 1, struct.pack(">i", count)))
        for what, key, version, body in cases:
            with self.subTest(what):
                client = self.client()
                client.send_raw(kafka.frame(kafka.header(key, version, 1) + body))
                self.assertTrue(client.closed())
        for what, count in (("null", b"\x00"), ("2^32-2", b"\xff\xff\xff\xff\x0f"), ("endless", b"\xff" * 12)):
            with self.subTest("compact", count=what):           # topics of CreateTopics are never null
                client = self.client()
                client.send_raw(kafka.frame(kafka.header(19, 7, 1, header_version=2) + count + bytes(6)))
                self.assertTrue(client.closed())
        self.assertError(self.client().call("ApiVersions", 4, **SOFTWARE)["error_code"], ERR.NONE)

    def cpu_seconds(self):
        with open(f"/proc/{self.node.process.pid}/stat", encoding="ascii") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.node.process.pid}/fd"))

    def test_clients_that_leave(self):
        """Item 11: when clients leave, politely, by half, by reset or in the middle of a request, their connections
        and descriptors go and the node does not spin."""
        topic = self.topic()
        self.client().call("ApiVersions", 0)
        before = self.descriptors()
        for i in range(80):
            client = self.client()
            if i % 2:
                client.call("ApiVersions", 0)
            if i % 4 == 0:
                client.send_raw(struct.pack(">i", 100) + b"half")
            if i % 4 == 1:                                      # a fetch that waits
                client.send("Fetch", 12, max_wait_ms=1500, min_bytes=1, topics=[
                    {"topic": topic, "partitions": [{"partition": 0, "partition_max_bytes": 1000}]}])
            if i % 5 == 0:
                client.socket.shutdown(socket.SHUT_WR)
                while client.pending:                           # what is in work is still answered
                    client.receive()
                self.assertTrue(client.closed())
            if i % 5 == 1:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        self.wait_until(lambda: self.descriptors() <= before, "descriptors are left")
        used = self.cpu_seconds()
        time.sleep(1)
        self.assertLess(self.cpu_seconds() - used, 0.2)


class DefaultLimits(NodeCase):
    def test_a_request_of_the_largest_size(self):
        """Item 9: one request of 100 MiB is read and answered, though it is larger than performance.buffer_memory, and
        others are served meanwhile."""
        topic, client, other = self.topic(), self.client(), self.client()
        def build(count):
            return kafka.request("Produce", 7, 1, acks=1, timeout_ms=1000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": bytes(count)}]}])
        size = 100 * 1024 * 1024
        data = build(size - (len(build(0)) - 4))
        self.assertEqual(len(data) - 4, size)
        client.pending.append(("Produce", 7, 1))
        client.send_raw(data[:size // 2])
        other.call("ApiVersions", 0)
        client.send_raw(data[size // 2:])
        answer = client.receive()["responses"][0]["partition_responses"][0]
        self.assertError(answer["error_code"], ERR.CORRUPT_MESSAGE)

    def test_largest_frame(self):
        """Item 9: 100 MiB unless set, as Kafka."""
        client = self.client()
        client.send_raw(struct.pack(">i", 100 * 1024 * 1024 + 1))
        self.assertTrue(client.closed())
        client = self.client()
        client.send_raw(struct.pack(">i", 100 * 1024 * 1024))
        self.assertTrue(client.silent())


class Idle(NodeCase):
    SETTINGS = ["server.connections_max_idle_ms=1s", "server.max_connections_per_ip=4"]

    def test_idle_connections_are_closed(self):
        """Item 12: a connection on which nothing moves is closed after connections_max_idle_ms and not long before;
        one that speaks stays, and one whose fetch waits for data is not idle."""
        topic = self.topic()
        busy, waiting, idle = self.client(), self.client(), self.client()
        waiting.send("Fetch", 12, max_wait_ms=2500, min_bytes=1, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "partition_max_bytes": 1000}]}])
        idle.call("ApiVersions", 0)
        began = time.monotonic()
        while time.monotonic() - began < 0.7:
            busy.call("ApiVersions", 0)
            time.sleep(0.1)
        self.assertTrue(idle.silent(0.05))
        while time.monotonic() - began < 2.2:
            busy.call("ApiVersions", 0)
            time.sleep(0.1)
        self.assertTrue(idle.closed(0.1))
        self.assertEqual(waiting.receive()["error_code"], ERR.NONE)
        self.assertTrue(waiting.silent(0.5))
        self.assertTrue(waiting.closed(3))

    def test_connections_of_one_address(self):
        """Item 12: max_connections_per_ip holds for each address by itself; a place that becomes free can be taken."""
        held = [self.client() for _ in range(4)]
        for client in held:
            client.call("ApiVersions", 0)
        self.assertTrue(self.client().closed(0.5))              # long before it would be for being idle
        other = self.client(source="127.0.0.2")
        other.call("ApiVersions", 0)
        held.pop().close()
        deadline = time.monotonic() + 5
        while True:                                             # the node may need a moment to see it go
            client = self.client()
            try:
                client.call("ApiVersions", 0)
                break
            except kafka.ClientError:
                self.assertLess(time.monotonic(), deadline, "the place did not become free")


class ConnectionsInAll(NodeCase):
    SETTINGS = ["server.max_connections=3"]

    def test_connections_in_all(self):
        """Item 12: a connection above max_connections is closed before it is read."""
        held = [self.client(source=f"127.0.0.{i + 2}") for i in range(3)]
        for client in held:
            client.call("ApiVersions", 0)
        self.assertTrue(self.client().closed())
        for client in held:
            client.call("ApiVersions", 0)


if __name__ == "__main__":
    unittest.main()
