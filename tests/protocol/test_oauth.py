#!/usr/bin/env python3
"""OAUTHBEARER: a signed token says who it is.

Goal: who shows a token of a known key, for this audience and of this issuer, is its subject as long as the token lasts, and nobody else is; what
is said on the way is RFC 7628's and Kafka's (KIP-255, KIP-768). Method: messages on the wire, tokens signed with the openssl program.
"""

import tempfile
import time
import unittest
from pathlib import Path

import jwt
from kafka import ERR
from node import Node, NodeError
from test_sasl import GENERIC, SaslCase

INVALID = '{"status":"invalid_token"}'
KEYS = {algorithm: jwt.Key("key-" + algorithm, algorithm) for algorithm in ("RS256", "ES256", "EdDSA")}


class OauthCase(SaslCase):
    MORE = []

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="chronik-jwks-")
        cls.addClassCleanup(folder.cleanup)
        cls.file = Path(folder.name) / "jwks.json"
        cls.file.write_text(jwt.jwks(*KEYS.values()))
        cls.SETTINGS = [s for s in SaslCase.SETTINGS if "sasl_mechanisms" not in s] + [
            "listeners.CLIENTS.sasl_mechanisms=OAUTHBEARER,SCRAM-SHA-256", f"listeners.CLIENTS.oauth_jwks_file={cls.file}",
            "listeners.CLIENTS.oauth_issuer=https://issuer.example", "listeners.CLIENTS.oauth_audience=other,kafka",
            "listeners.CLIENTS.oauth_clock_skew_ms=0", "listeners.CLIENTS.oauth_without_tls=true", *cls.MORE]
        super().setUpClass()

    def show(self, token, client=None, version=2, **more):
        client = client or self.stranger()
        self.handshake(client, "OAUTHBEARER")
        return client, client.call("SaslAuthenticate", version, auth_bytes=jwt.message(token, **more))

    def assertLetIn(self, token, **more):
        client, answer = self.show(token, **more)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        self.assertEqual(answer["auth_bytes"], b"")
        self.assertServed(client)
        return client, answer

    def assertOut(self, token, **more):
        """RFC 7628 3.2.2: the error is told as a challenge; the client answers it with the byte 1, and is told that it failed."""
        client, answer = self.show(token, **more)
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertEqual(answer["auth_bytes"], INVALID.encode())
        self.assertFails(client, client.call("SaslAuthenticate", 2, auth_bytes=b"\1"), INVALID)


class Tokens(OauthCase):
    def test_algorithms(self):
        """A token of every key lets its subject in, in each version, for as long as it says."""
        for key in KEYS.values():
            for version in (0, 1, 2):
                _, answer = self.assertLetIn(key.sign(jwt.claims(lasts_s=1000)), version=version)
                if version:
                    self.assertLessEqual(answer["session_lifetime_ms"], 1000000)
                    self.assertGreater(answer["session_lifetime_ms"], 900000)

    def test_pairs(self):
        """KIP-342: pairs beside the token are well formed, and ignored."""
        token = KEYS["ES256"].sign(jwt.claims())
        self.assertLetIn(token, pairs="host=kafka\1port=9092\1")
        client, answer = self.show(token, pairs="bad-key=1\1")
        self.assertFails(client, answer, GENERIC + "OAUTHBEARER")

    def test_refused(self):
        """Tokens that are not signed by a known key, or say the wrong thing, let nobody in."""
        key, stranger = KEYS["ES256"], jwt.Key("stranger", "ES256")
        unsigned = key.sign(jwt.claims(), {"alg": "none"}).rsplit(".", 1)[0] + "."
        for token in (key.sign(jwt.claims(lasts_s=-1)), key.sign(jwt.claims(iss="other")), key.sign(jwt.claims(aud="others")),
                      key.sign(jwt.claims(nbf=int(time.time()) + 100)), key.sign(jwt.claims(subject="")), key.sign({"sub": "alice"}),
                      stranger.sign(jwt.claims()), stranger.sign(jwt.claims(), {"alg": "ES256", "kid": key.name}),
                      key.sign(jwt.claims(), {"alg": "HS256", "kid": key.name}), unsigned, "x", "a.b.c", "x" * 50000):
            self.assertOut(token)

    def test_malformed(self):
        """What is no message of the mechanism fails at once."""
        for message in (b"", b"\1", b"n,,\1\1", b"n,,\1auth=Basic x\1\1", b"\0alice\0secret", b"\xff" * 100):
            client = self.stranger()
            self.handshake(client, "OAUTHBEARER")
            self.assertFails(client, client.call("SaslAuthenticate", 2, auth_bytes=message), GENERIC + "OAUTHBEARER")

    def test_somebody_else(self):
        """RFC 7628: nobody acts as somebody else."""
        token = KEYS["RS256"].sign(jwt.claims())
        self.assertLetIn(token, authzid="alice")
        client, answer = self.show(token, authzid="root")
        self.assertFails(client, answer, "Authentication failed: Client requested an authorization id (root) that is different from the "
                                         "token's principal name (alice)")

    def test_session(self):
        """KIP-368: a session ends with its token; a newer token of the same subject goes on, one of another does not."""
        key = KEYS["EdDSA"]
        client, answer = self.assertLetIn(key.sign(jwt.claims(lasts_s=2)))
        self.assertLessEqual(answer["session_lifetime_ms"], 2000)
        _, answer = self.show(key.sign(jwt.claims(lasts_s=3600)), client)
        self.assertError(answer["error_code"], ERR.NONE)
        late, _ = self.assertLetIn(key.sign(jwt.claims(lasts_s=2)))
        time.sleep(2.1)
        self.assertServed(client)
        late.send("Metadata", 12, topics=[])
        self.assertTrue(late.closed())
        _, answer = self.show(key.sign(jwt.claims(subject="bob")), client)
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)
        self.assertIn("Cannot change principals", answer["error_message"])

    def test_other_mechanisms(self):
        """Users of SCRAM are let in on the same listener."""
        self.add("carol", "secret")
        self.assertServed(self.login("carol", "secret"))


class Keys(OauthCase):
    def test_new_keys(self):
        """The file is read again when it changes; one that is not in order is refused, and the old keys stay in use."""
        key, token = jwt.Key("new", "ES256"), KEYS["ES256"].sign(jwt.claims())
        self.assertOut(key.sign(jwt.claims()))
        self.file.write_text("{}")
        self.wait_until(lambda: "are not used" in self.node.text(), "the file is not read again", limit_s=15)
        self.assertLetIn(token)
        self.file.write_text(jwt.jwks(key))
        self.wait_until(lambda: "were replaced" in self.node.text(), "the file is not read again", limit_s=15)
        self.assertLetIn(key.sign(jwt.claims()))
        self.assertOut(token)

    def test_start(self):
        """Without keys the node does not start, and says why."""
        base = [s for s in self.SETTINGS if "oauth_jwks_file" not in s and "oauth_without_tls" not in s]
        bad = Path(self.file.parent) / "bad.json"
        bad.write_text('{"keys": []}')
        for more, why in (([], "oauth_jwks_file: is empty"), ([f"listeners.CLIENTS.oauth_jwks_file={self.file}"], "set oauth_without_tls"),
                          (["listeners.CLIENTS.oauth_without_tls=true", f"listeners.CLIENTS.oauth_jwks_file={bad}"], "no key in it"),
                          (["listeners.CLIENTS.oauth_without_tls=true", f"listeners.CLIENTS.oauth_jwks_file={bad}x"], "No such file")):
            with self.subTest(why=why):
                node = Node(base + more)
                self.addCleanup(node.close)
                with self.assertRaises(NodeError) as caught:
                    node.start()
                self.assertIn(why, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
