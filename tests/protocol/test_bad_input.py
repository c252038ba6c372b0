#!/usr/bin/env python3
"""Frames and requests that nobody should send.

Goal: truncated, oversized, negative and lying lengths, wrong versions, noise and slow peers get a closed connection or
the protocol's own error, and nothing else is disturbed. Method: a healthy client works beside every test and the node's
memory is watched (beside.py); requests come from the schemas (plausible.py) and are then cut or spoilt.
Sources: kafka-semantics items 2, 9, 11.
"""

import os
import random
import socket
import struct
import time
import unittest

import codec
import kafka
import plausible
from beside import BesideCase
from kafka import ERR, Client, ClientError

SETTINGS = ["performance.buffer_memory=8MiB", "server.max_request_bytes=4MiB", "topics.auto_create=false"]
REQUEST_MAX = 4 << 20
SLOW_PEERS = 500
TEXT_MAX = 32767                        # the longest text that the protocol can say
INT32_MIN, INT32_MAX = -0x80000000, 0x7FFFFFFF


def length(value):
    return struct.pack(">i", value)


class Lengths(BesideCase):
    SETTINGS = SETTINGS

    def refused(self, data, what):
        with self.subTest(what):
            client = self.client()
            client.send_raw(data)
            self.assertTrue(client.closed(), f"{what}: the connection is still open")
            client.close()

    def test_impossible_lengths(self):
        """Item 9: a length below 1 or above server.max_request_bytes closes the connection, before its body came."""
        for value in (0, -1, -2, INT32_MIN, INT32_MAX, INT32_MAX - 3, REQUEST_MAX + 1, 1 << 30):
            self.refused(length(value), f"length {value}")

    def test_shorter_than_a_header(self):
        """Item 9: a frame that ends within its header closes the connection."""
        whole = kafka.header(3, 12, 7, header_version=2)
        for size in range(1, len(whole)):
            self.refused(kafka.frame(whole[:size]), f"{size} bytes of a header")

    def test_largest_frame(self):
        """A frame of exactly server.max_request_bytes is read to its end, and only then found wrong."""
        client = self.client()
        client.send_raw(length(REQUEST_MAX) + bytes(REQUEST_MAX - 1))
        self.assertTrue(client.silent(0.2))
        client.send_raw(b"\0")
        self.assertTrue(client.closed())

    def test_two_gigabytes(self):
        """A length prefix of 2 GB takes no memory, however much of the body follows."""
        client = self.client()
        try:
            for _ in range(64):
                client.send_raw(length(INT32_MAX) + bytes(1 << 20))
        except ClientError:
            return                      # closed while we were sending, as it should be
        self.assertTrue(self.ends(client))

    def test_other_protocols(self):
        """A browser, a TLS client, an SSH client and a shell: all see the connection closed."""
        for first in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
                      b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n\r\n\r\n", b'{"hello": "world"}\n', b"\xff" * 64):
            self.refused(first, repr(first[:12]))

    def test_end_of_stream_anywhere(self):
        """Item 11: a peer that ends its stream within a frame is let go."""
        whole = kafka.request("Metadata", 12, 1, topics=None)
        for cut in range(len(whole)):
            client = self.client()
            client.send_raw(whole[:cut])
            client.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(client.closed(), f"open after {cut} bytes and the end")
            client.close()

    def test_good_before_bad(self):
        """What was right before the bad frame is answered; then the connection closes."""
        client = self.client()
        client.send("Metadata", 12, topics=[])
        client.send_raw(length(-1))
        self.assertIn("brokers", client.receive())
        self.assertTrue(client.closed())


class Requests(BesideCase):
    SETTINGS = SETTINGS

    def setUp(self):
        super().setUp()
        self.versions = plausible.versions_served(self.client())
        self.assertGreater(len(self.versions), 150)

    def outcome(self, inside):
        """What the node does with a frame: 'closed', or the bytes of its answer."""
        with Client(self.node.host, self.node.port) as client:
            client.send_raw(kafka.frame(inside))
            try:
                return client.receive_raw()
            except ClientError as why:
                if "no answer in time" in str(why):
                    raise
                return "closed"

    def test_cut_anywhere(self):
        """Each API in each version, cut at every byte of its body, in a frame of the right length: closed."""
        count = 0
        for api, version in self.versions:
            body = plausible.body(api, version)
            for cut in range(len(body)):
                got = self.outcome(plausible.frame_body(api, version, body[:cut]))
                self.assertEqual(got, "closed", f"{api} version {version} cut to {cut} of {len(body)} bytes")
                count += 1
        self.assertGreater(count, 5000)

    def test_longest_texts(self):
        """Each API and version with texts of 32,767 bytes, all or one of them, of one-byte and of three-byte characters: an
        answer or a closed connection, never an answer that is longer than the protocol's texts may be."""
        seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        print(f"{self.id()}: SEED={seed}", flush=True)
        chance = random.Random(seed)
        for api, version in self.versions:
            for text in ("x" * TEXT_MAX, "\u20ac" * (TEXT_MAX // 3)):
                for body in plausible.long_bodies(api, version, text, lambda: chance.choice((0, 1, 2, 3, 4, 9))):
                    self.outcome(plausible.frame_body(api, version, body))
                    self.assertIsNone(self.node.died(), f"{api} version {version}: {self.node.text()[-200:]}")

    def test_long_client_id(self):
        """A member's id is made from its client's or its instance's name: one that would not fit into a text with what is
        added is refused with INVALID_REQUEST."""
        with Client(self.node.host, self.node.port) as client:
            self.wait_until(lambda: not client.call("FindCoordinator", 3, key="g", key_type=0)["error_code"], "coordinator")
        for version, instance in ((4, {}), (5, {"group_instance_id": "i" * TEXT_MAX}), (9, {})):
            fields = dict(session_timeout_ms=10000, rebalance_timeout_ms=1000, group_id=f"long-{version}", member_id="",
                          protocol_type="consumer", protocols=[{"name": "r", "metadata": b""}], **instance)
            head = kafka.header(11, version, 1, client_id="c" * TEXT_MAX,
                                header_version=codec.request_header_version("JoinGroup", version))
            answer = self.outcome(head + codec.encode("JoinGroupRequest", version, fields))
            self.assertIsNone(self.node.died(), self.node.text()[-200:])
            at = 4 + (version >= 6) + 4             # correlation id, tags, throttle time
            self.assertEqual(int.from_bytes(answer[at:at + 2], "big"), ERR.INVALID_REQUEST)

    def test_lying_lengths(self):
        """Each length in each API and version huge, negative and overlong: closed, without memory for what it says."""
        for api, version in self.versions:
            for what, body in plausible.spoilt_bodies(api, version):
                got = self.outcome(plausible.frame_body(api, version, body))
                self.assertEqual(got, "closed", f"{api} version {version} with {what}")

    def test_full_of_elements(self):
        """A frame full of the smallest elements is answered or refused; what that takes is in proportion to it: at most
        some hundred and fifty bytes for each of the frame."""
        for api, version, body in self.full(128 << 10):
            with self.subTest(api=api, version=version):
                self.outcome(plausible.frame_body(api, version, body))

    def full(self, room):
        """Requests made of as many elements as there is room for."""
        def array(one):
            return struct.pack(">i", room // len(one)) + one * (room // len(one))

        yield "Metadata", 1, array(b"\0\5nope1")
        yield "DeleteTopics", 1, array(b"\0\0") + bytes(4)
        yield "OffsetFetch", 1, b"\0\1g" + struct.pack(">i", 1) + b"\0\1t" + array(bytes(4))
        yield "DescribeGroups", 0, array(b"\0\1g")
        yield "DescribeConfigs", 1, array(b"\2\0\0\0\0\0\0") + b"\0"
        yield "CreateTopics", 2, array(b"\0\1t" + struct.pack(">ih", -7, 1) + bytes(8)) + bytes(5)

    def test_many_different_names(self):
        """Requests of as many different names as fit into the largest frame do not hold up the others on their reactor."""
        self.growth_limit = 64 * REQUEST_MAX      # rq.c: what one frame may become when it is decoded

        def names(form):
            count = (REQUEST_MAX - 200) // len(form(b"00000"))
            return struct.pack(">i", count) + b"".join(form(b"%05x" % i) for i in range(count))

        requests = [("CreateTopics", 2, names(lambda n: b"\0\5" + n + struct.pack(">ih", -7, 1) + bytes(8)) + bytes(5)),
                    ("CreatePartitions", 0, names(lambda n: b"\0\5" + n + struct.pack(">i", -7) + b"\xff" * 4) + bytes(5)),
                    ("IncrementalAlterConfigs", 0, names(lambda n: b"\2\0\5" + n + bytes(4)) + b"\1"),
                    ("IncrementalAlterConfigs", 0, struct.pack(">i", 1) + b"\2\0\1t" + names(
                        lambda n: b"\0\5" + n + b"\0\0\0") + b"\1")]
        for api, version, body in requests:
            with self.subTest(api=api, version=version):
                began = time.monotonic()
                self.assertNotEqual(self.outcome(plausible.frame_body(api, version, body)), "closed")
                self.assertLess(time.monotonic() - began, 5)

    def test_wrong_versions(self):
        """Item 2: versions around and far from those that are served close the connection; ApiVersions alone answers."""
        for api in sorted({api for api, _ in self.versions} - {"ApiVersions"}):
            key = codec.message(api + "Request").key
            served = [v for a, v in self.versions if a == api]
            for version in (min(served) - 1, max(served) + 1, 99, -1, 32767, -32768):
                inside = kafka.header(key, version, 1) + plausible.body(api, served[0])
                self.assertEqual(self.outcome(inside), "closed", f"{api} version {version}")


class Noise(BesideCase):
    """Chance. A failure prints its seed; SEED=n repeats it."""

    SETTINGS = SETTINGS

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"{self.id()}: SEED={self.seed}", flush=True)
        self.random = random.Random(self.seed)
        self.versions = plausible.versions_served(self.client())

    def swallowed(self, data, what):
        """The node takes @data and the end of the stream, and then lets the connection go."""
        client = self.client()
        try:
            client.send_raw(data)
            client.socket.shutdown(socket.SHUT_WR)
        except (ClientError, OSError):
            pass                        # closed already
        self.assertTrue(self.ends(client), f"{what} (SEED={self.seed}): the connection stays: {data[:64].hex()}")
        client.close()

    def test_random_streams(self):
        for _ in range(600):
            self.swallowed(self.random.randbytes(self.random.randrange(1, 2000)), "a random stream")

    def test_random_frames(self):
        for _ in range(1500):
            self.swallowed(kafka.frame(self.random.randbytes(self.random.randrange(1, 300))), "a random frame")

    def test_random_bodies(self):
        for _ in range(2000):
            api, version = self.random.choice(self.versions)
            body = self.random.randbytes(self.random.randrange(0, 200))
            self.swallowed(kafka.frame(plausible.frame_body(api, version, body)), f"a random {api} {version}")

    def test_wrong_bits(self):
        """A single bit flipped in a request that is right otherwise."""
        for _ in range(3000):
            api, version = self.random.choice(self.versions)
            data = bytearray(plausible.frame_body(api, version, plausible.body(api, version)))
            bit = self.random.randrange(len(data) * 8)
            data[bit >> 3] ^= 1 << (bit & 7)
            self.swallowed(kafka.frame(bytes(data)), f"{api} {version} with bit {bit} flipped")


class SlowPeers(BesideCase):
    SETTINGS = SETTINGS

    def peers(self, count, first):
        peers = [self.client() for _ in range(count)]
        for peer in peers:
            peer.send_raw(first)
        return peers

    def rounds_beside(self, seconds, work):
        """How many rounds the healthy client has while @work is repeated."""
        before, deadline = self.healthy.rounds, time.monotonic() + seconds
        while time.monotonic() < deadline:
            work()
        return self.healthy.rounds - before

    def test_dribble(self):
        """500 peers that send a request byte by byte: others do not wait for them, and each is answered in the end."""
        whole = kafka.request("Metadata", 12, 1, topics=[])
        peers = self.peers(SLOW_PEERS, whole[:5])
        sent = 5

        def another_byte():
            nonlocal sent
            if sent < len(whole):
                for peer in peers:
                    peer.send_raw(whole[sent:sent + 1])
                sent += 1

        rounds = self.rounds_beside(2, another_byte)
        self.assertEqual(sent, len(whole))
        self.assertGreater(rounds, 10)
        for peer in peers:
            self.assertEqual(peer.receive_raw()[:4], length(1))

    def test_half_lengths(self):
        """500 peers that stop within the length prefix cost next to nothing."""
        self.peers(SLOW_PEERS, b"\0\0")
        self.assertGreater(self.rounds_beside(1, lambda: time.sleep(0.05)), 10)

    def test_half_bodies(self):
        """500 peers that stop within a small body: their memory is reserved (2 of the 3 MiB that small frames have here), and
        there is enough for the others."""
        self.peers(SLOW_PEERS, length(4000) + bytes(100))
        self.assertGreater(self.rounds_beside(1, lambda: time.sleep(0.05)), 10)

    def test_answers_not_taken(self):
        """100 peers that ask and ask and never read: the node stops reading from them."""
        ask = kafka.request("ApiVersions", 0, 1) * 40
        peers = [self.client() for _ in range(100)]
        for peer in peers:
            peer.socket.setblocking(False)

        def ask_more():
            for peer in peers:
                try:
                    peer.socket.send(ask)
                except BlockingIOError:
                    pass

        self.assertGreater(self.rounds_beside(2, ask_more), 2)  # they and the test take the processors as well


if __name__ == "__main__":
    unittest.main()
