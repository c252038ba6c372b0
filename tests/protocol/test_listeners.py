#!/usr/bin/env python3
"""Listeners for clients: TLS, certificates of clients and the names that they are mapped to.

Goal: what is said on a listener with TLS is encrypted, in versions 1.2 and 1.3; clients show certificates where they have to, and are who
those name (KIP-371); certificates are replaced while the node runs. Method: the ssl module of Python, certificates by `chronik-ctl tls
init`, whose subjects are CN=Chronik node ID, and quotas of users to see who somebody is.
"""

import os
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import records
from case import NodeCase
from kafka import ERR, Client, ClientError
from node import ROOT, Node, NodeError
from scram import Exchange, upsertion

CHRONIK_CTL = Path(os.environ.get("CHRONIK_CTL", ROOT / "build/chronik-ctl"))


class TlsClient(Client):
    """The same over TLS. @context: an ssl.SSLContext."""

    def __init__(self, host, port, context, **options):
        super().__init__(host, port, **options)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        except OSError:
            self.socket.close()
            raise


def init(folder, nodes="1,2"):
    got = subprocess.run([CHRONIK_CTL, "tls", "init", folder, "--nodes", nodes], capture_output=True, text=True, check=False)
    if got.returncode:
        raise AssertionError(got.stderr)


class TlsCase(NodeCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="chronik-tls-")
        cls.addClassCleanup(folder.cleanup)
        cls.ours, cls.others = Path(folder.name) / "ours", Path(folder.name) / "others"
        init(cls.ours)
        init(cls.others)
        tls = {"tls_certificate": cls.ours / "node-1.pem", "tls_key": cls.ours / "node-1.key", "address": "127.0.0.1:0"}
        settings = []
        for name, more in cls.LISTENERS.items():
            more = {k: v.format(ours=cls.ours) if isinstance(v, str) else v for k, v in more.items()}
            settings += [f"listeners.{name}.{k}={v}" for k, v in {**tls, **more}.items()]
        cls.node = Node(settings)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def context(self, certificate=None, folder=None, version=None):
        """That of a client that trusts our authority. @certificate: its own, of @folder."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.ours / "ca.pem")
        if certificate:
            folder = folder or self.ours
            context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def tls(self, listener, **options):
        client = TlsClient(*self.node.listeners[listener], self.context(**options))
        self.addCleanup(client.close)
        return client

    def assertServed(self, client):
        answer = client.call("Metadata", 12, topics=[])
        self.assertEqual(len(answer["brokers"]), 1)
        return answer

    def assertRefused(self, listener, **options):
        """With TLS 1.3 a client hears of it after its own handshake."""
        with self.assertRaises((OSError, ClientError)):
            self.assertServed(self.tls(listener, **options))

    def assertIs(self, user, connect):
        """A quota of @user holds for who connects so, and none of another one does."""
        def set_quota(name, rate):
            self.client().call("AlterClientQuotas", 1, validate_only=False, entries=[
                {"entity": [{"entity_type": "user", "entity_name": name}],
                 "ops": [{"key": "producer_byte_rate", "value": rate or 0.0, "remove": rate is None}]}])

        def throttle():
            return connect().call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"x" * 2000])}]}])["throttle_time_ms"]
        topic = self.topic()
        set_quota("somebody else", 10.0)
        self.addCleanup(set_quota, "somebody else", None)
        self.assertEqual(throttle(), 0)
        set_quota(user, 100.0)
        self.addCleanup(set_quota, user, None)
        self.wait_until(throttle, f"it is not {user}")


class Tls(TlsCase):
    LISTENERS = {"PLAIN_TLS": {"protocol": "SSL"},
                 "ASKS": {"protocol": "SSL", "client_auth": "requested", "tls_ca": "{ours}/ca.pem"},
                 "WANTS": {"protocol": "SSL", "client_auth": "required", "tls_ca": "{ours}/ca.pem",
                           "principal_mapping_rules": r"RULE:^CN=Chronik node ([0-9]+)$/service-$1/,RULE:^CN=(.*)$/$1/U"},
                 "PICKY": {"protocol": "SSL", "client_auth": "required", "tls_ca": "{ours}/ca.pem",
                           "principal_mapping_rules": r"RULE:^CN=Chronik node (2)$/$1/"},
                 "LOGIN": {"protocol": "SASL_SSL", "sasl_mechanisms": "PLAIN,SCRAM-SHA-256", "client_auth": "requested",
                           "tls_ca": "{ours}/ca.pem"}}

    def test_versions(self):
        """TLS 1.2 and 1.3, and the certificate is the listener's; older ones are not spoken."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.tls("PLAIN_TLS", version=version)
            self.assertEqual(client.socket.version(), {771: "TLSv1.2", 772: "TLSv1.3"}[version])
            told = self.assertServed(client)["brokers"][0]
            self.assertEqual((told["host"], told["port"]), self.node.listeners["PLAIN_TLS"])

    def test_plaintext(self):
        """A client without TLS is closed, without an answer in clear text; and one with TLS where there is none."""
        client = Client(*self.node.listeners["PLAIN_TLS"])
        self.addCleanup(client.close)
        client.send("ApiVersions", 0)
        with self.assertRaises(ClientError):
            client.receive()
        with self.assertRaises(OSError):
            TlsClient(self.node.host, self.node.port, self.context())

    def test_large_answers(self):
        """Megabytes both ways."""
        topic, data = self.topic(), os.urandom(1 << 20)
        client = self.tls("PLAIN_TLS")
        for _ in range(8):
            self.assertError(self.produce(client, topic, [data[:900000]])["error_code"], ERR.NONE)
        answer = self.fetch(client, topic)
        self.assertEqual([r.value for b in records.parse(answer["records"]) for r in b.records], [data[:900000]] * 8)

    def test_client_certificates(self):
        """client_auth: required lets nobody in without one, requested does; one of another authority is never taken."""
        self.assertServed(self.tls("ASKS"))
        self.assertServed(self.tls("ASKS", certificate="node-2"))
        self.assertRefused("ASKS", certificate="node-2", folder=self.others)
        self.assertServed(self.tls("WANTS", certificate="node-2"))
        self.assertRefused("WANTS")
        self.assertRefused("WANTS", certificate="node-2", folder=self.others)

    def test_names(self):
        """KIP-371: the subject is who it is, mapped by the rules; without a certificate it is nobody in particular."""
        self.assertIs("CN=Chronik node 2", lambda: self.tls("ASKS", certificate="node-2"))
        self.assertIs("service-2", lambda: self.tls("WANTS", certificate="node-2"))
        self.assertIs("ANONYMOUS", lambda: self.tls("ASKS"))

    def test_nobody(self):
        """KIP-371: whom no rule matches is closed."""
        self.assertServed(self.tls("PICKY", certificate="node-2"))
        self.assertRefused("PICKY", certificate="node-1")
        self.assertIn("nobody is meant by the subject of its certificate, CN=Chronik node 1", self.node.text())

    def test_sasl_over_tls(self):
        """SASL_SSL: nothing before the exchange, the user is the one of SASL and not of the certificate."""
        with self.client() as client:
            client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("alice", "secret")])

        def login():
            client = self.tls("LOGIN", certificate="node-2")
            self.assertError(client.call("SaslHandshake", 1, mechanism="SCRAM-SHA-256")["error_code"], ERR.NONE)
            exchange = Exchange("SCRAM-SHA-256", "alice", "secret")
            answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())
            answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(answer["auth_bytes"]))
            exchange.check(answer["auth_bytes"])
            return client
        self.assertServed(login())
        client = self.tls("LOGIN", certificate="node-2")
        client.send("Metadata", 12, topics=[])
        with self.assertRaises(ClientError):
            client.receive()
        self.assertIs("alice", login)


class Replaced(TlsCase):
    LISTENERS = {"CLIENTS": {"protocol": "SSL"}}

    def test_replaced_while_it_runs(self):
        """A new certificate is used for new connections, old ones go on; one that is not in order is refused."""
        def serial():
            return ssl.DER_cert_to_PEM_cert(self.tls("CLIENTS").socket.getpeercert(True))
        old = self.tls("CLIENTS")
        before, key = serial(), (self.ours / "node-1.key").read_text()
        (self.ours / "node-1.key").write_text("no key")
        self.wait_until(lambda: "the changed certificate of listener CLIENTS is not used" in self.node.text(), "not told", 15)
        self.assertEqual(serial(), before)
        (self.ours / "node-1.key").write_text((self.ours / "node-2.key").read_text())
        (self.ours / "node-1.pem").write_text((self.ours / "node-2.pem").read_text())
        self.wait_until(lambda: serial() != before, "the new certificate is not used", 15)
        self.assertServed(old)
        self.assertServed(self.tls("CLIENTS"))
        self.assertNotEqual(key, (self.ours / "node-1.key").read_text())


class Refused(unittest.TestCase):
    def test_what_cannot_be(self):
        """A node does not start with listeners that cannot work, and says which and why."""
        for settings, why in (
                (["listeners.A.protocol=SSL", "listeners.A.tls_certificate=/none.pem", "listeners.A.tls_key=/none.key"],
                 "cannot serve clients on listener A: /none.pem: cannot be read"),
                (["listeners.A.principal_mapping_rules=RULE:x"], "listeners.A.principal_mapping_rules: a rule is RULE:PATTERN/"),
                (["listeners.A.address=192.0.2.1:9"], "cannot serve on listeners.A.address 192.0.2.1:9: "),
                (["listeners.A.sasl_mechanisms=PLAIN", "listeners.A.protocol=SASL_PLAINTEXT"], "has PLAIN, which sends passwords")):
            with self.subTest(settings=settings):
                node = Node(["listeners.A.address=127.0.0.1:0", *settings])
                self.addCleanup(node.close)
                with self.assertRaises(NodeError) as caught:
                    node.start()
                self.assertIn(why, str(caught.exception))


class Alone(unittest.TestCase):
    def test_without_the_short_form(self):
        """A node may have listeners with names only; clients are told of no other."""
        began = time.monotonic()
        node = Node(["listeners.A.address=127.0.0.1:0"])
        self.addCleanup(node.close)
        node.kafka = None
        node.start()
        with Client(node.host, node.port) as client:
            told = client.call("Metadata", 12, topics=[])["brokers"][0]
        self.assertEqual((told["host"], told["port"]), (node.host, node.port))
        self.assertEqual(node.listeners, {})
        node.stop()
        self.assertLess(time.monotonic() - began, 30)


if __name__ == "__main__":
    unittest.main()
