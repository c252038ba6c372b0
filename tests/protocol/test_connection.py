#!/usr/bin/env python3
"""Connections, frames and versions, as every client meets them first.

Goal: kafka-semantics items 1 to 7, 9, 11 and 12 (each test names its item). Method: requests built from the schemas, or
wrong ones as raw bytes, against a real node.
"""

import struct
import unittest

import codec
import kafka
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
    "DescribeTopicPartitions": (0, 0),
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


if __name__ == "__main__":
    unittest.main()
