#!/usr/bin/env python3
"""Delegation tokens: made, renewed, ended, described, and logged in with.

Goal: who has proven to be somebody gets tokens, by which others log in as that user and are let in as long as the token lasts; lifetimes,
rights and errors are Kafka's (KIP-48, KIP-373). Method: messages on the wire, with a client of SCRAM of the tests' own.
"""

import base64
import hashlib
import hmac
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from acls import CREATE_TOKENS, DELEGATION_TOKEN, DESCRIBE, DESCRIBE_TOKENS, USER, rule
from cluster import ClusterCase
from kafka import ERR, Client
from node import ROOT, Node, NodeError
from scram import Exchange, upsertion
from test_sasl import SaslCase

CTL = os.environ.get("CHRONIK_CTL", str(ROOT / "build/chronik-ctl"))
SECRET = "the secret of all nodes"
DAY_MS = 86400000
LISTENER = ["listeners.CLIENTS.address=127.0.0.1:0", "listeners.CLIENTS.protocol=SASL_PLAINTEXT"]
BY_TOKEN = ",tokenauth=true"


def secret_file(case, text=SECRET):
    folder = tempfile.TemporaryDirectory(prefix="chronik-secret-")
    case.addClassCleanup(folder.cleanup)
    file = Path(folder.name) / "secret"
    file.write_text(text + "\n")
    return file


def user(name, kind="User"):
    return {"principal_type": kind, "principal_name": name}


class TokenCase(SaslCase):
    MORE = []

    @classmethod
    def setUpClass(cls):
        cls.SETTINGS = SaslCase.SETTINGS + [f"security.delegation_token_secret_file={secret_file(cls)}", *cls.MORE]
        super().setUpClass()

    def member(self, name=None):
        """A user, and a connection on which it has said so."""
        name = name or self.fresh("user")
        self.add(name, "secret")
        return name, self.login(name, "secret")

    def create(self, client, renewers=(), max_lifetime_ms=-1, error=ERR.NONE, version=3, **owner):
        answer = client.call("CreateDelegationToken", version, renewers=list(renewers), max_lifetime_ms=max_lifetime_ms, **owner)
        self.assertError(answer["error_code"], error)
        return answer

    def renew(self, client, token, period_ms=-1, error=ERR.NONE, version=2):
        answer = client.call("RenewDelegationToken", version, hmac=token["hmac"], renew_period_ms=period_ms)
        self.assertError(answer["error_code"], error)
        return answer["expiry_timestamp_ms"]

    def expire(self, client, token, period_ms=-1, error=ERR.NONE, version=2):
        answer = client.call("ExpireDelegationToken", version, hmac=token["hmac"], expiry_time_period_ms=period_ms)
        self.assertError(answer["error_code"], error)
        return answer["expiry_timestamp_ms"]

    def tokens(self, client, owners=None, error=ERR.NONE, version=3):
        """What is described, by id."""
        answer = client.call("DescribeDelegationToken", version, owners=owners)
        self.assertError(answer["error_code"], error)
        return {t["token_id"]: t for t in answer["tokens"]}

    def try_token(self, token, mechanism="SCRAM-SHA-256", password=None):
        client = self.stranger()
        self.handshake(client, mechanism)
        password = base64.b64encode(token["hmac"]).decode() if password is None else password
        return client, self.scram(client, token["token_id"], password, mechanism, extensions=BY_TOKEN)

    def by_token(self, token, mechanism="SCRAM-SHA-256"):
        client, answer = self.try_token(token, mechanism)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        return client, answer

    def assertNobody(self, token, **how):
        client, answer = self.try_token(token, **how)
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)
        self.assertTrue(client.closed())


class Tokens(TokenCase):
    def test_create(self):
        """KIP-48: a token has the HMAC of its id, lasts a day, and seven at most; every version says so."""
        alice, client = self.member()
        for version in (1, 2, 3):
            token = self.create(client, version=version)
            self.assertEqual((token["principal_type"], token["principal_name"]), ("User", alice))
            if version == 3:
                self.assertEqual(token["token_requester_principal_name"], alice)
            self.assertEqual(token["hmac"], hmac.new(SECRET.encode(), token["token_id"].encode(), hashlib.sha512).digest())
            self.assertLess(abs(token["issue_timestamp_ms"] - time.time() * 1000), 60000)
            self.assertEqual(token["expiry_timestamp_ms"] - token["issue_timestamp_ms"], DAY_MS)
            self.assertEqual(token["max_timestamp_ms"] - token["issue_timestamp_ms"], 7 * DAY_MS)
        token = self.create(client, max_lifetime_ms=5000)
        self.assertEqual(token["expiry_timestamp_ms"], token["issue_timestamp_ms"] + 5000)
        self.assertEqual(token["max_timestamp_ms"], token["issue_timestamp_ms"] + 5000)
        self.assertEqual(len(self.tokens(client)), 4)

    def test_login(self):
        """KIP-48: who knows the HMAC is its owner, by each mechanism of SCRAM, for as long as the token lasts; nobody else is."""
        alice, client = self.member()
        token = self.create(client)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            holder, answer = self.by_token(token, mechanism)
            self.assertLessEqual(answer["session_lifetime_ms"], DAY_MS)
            self.assertGreater(answer["session_lifetime_ms"], DAY_MS - 60000)
            self.assertServed(holder)
            self.assertNobody(token, mechanism=mechanism, password="x")
        self.assertNobody({**token, "token_id": "nobody"})
        self.assertNobody({**token, "token_id": alice}, password="secret")
        client = self.stranger()        # without the extension the token is no user
        self.handshake(client, "SCRAM-SHA-256")
        answer = self.scram(client, token["token_id"], base64.b64encode(token["hmac"]).decode())
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)

    def test_session_ends_with_the_token(self):
        """KIP-368: the session of a token ends when the token does, and there is no other one after it."""
        _, client = self.member()
        token = self.create(client, max_lifetime_ms=1200)
        holder, answer = self.by_token(token)
        self.assertLessEqual(answer["session_lifetime_ms"], 1200)
        self.assertServed(holder)
        time.sleep(1.3)
        holder.send("Metadata", 12, topics=[])
        self.assertTrue(holder.closed())
        self.assertNobody(token)
        self.assertIn(token["token_id"], self.tokens(client))       # until it is swept away
        self.renew(client, token, error=ERR.DELEGATION_TOKEN_EXPIRED)
        self.expire(client, token, 10, error=ERR.DELEGATION_TOKEN_EXPIRED)
        self.assertEqual(self.expire(client, token), -1)
        self.renew(client, token, error=ERR.DELEGATION_TOKEN_NOT_FOUND)

    def test_token_makes_no_token(self):
        """KIP-48: who is known by a token alone gets no token, nor hears of any; proving the password ends that, and a token begins it."""
        alice, client = self.member()
        token = self.create(client)
        holder, _ = self.by_token(token)
        refused = ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
        answer = self.create(holder, error=refused)
        self.assertEqual((answer["principal_name"], answer["token_id"], answer["hmac"]), (alice, "", b""))
        self.renew(holder, token, error=refused)
        self.expire(holder, token, error=refused)
        self.assertEqual(self.tokens(holder, error=refused), {})
        self.handshake(holder, "SCRAM-SHA-256")
        self.assertError(self.scram(holder, alice, "secret")["error_code"], ERR.NONE)
        self.create(holder)

    def test_nobody_in_particular(self):
        """KIP-48: nothing of this is for connections that did not have to say who they are."""
        _, client = self.member()
        token, refused = self.create(client), ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
        plain = self.client()
        self.create(plain, error=refused)
        self.renew(plain, token, error=refused)
        self.expire(plain, token, error=refused)
        self.tokens(plain, error=refused)

    def test_renewers(self):
        """KIP-48: its owner and its renewers renew and end a token, and nobody else; the end is never after the maximum."""
        (alice, client), (ron, renewer), (_, other) = self.member(), self.member(), self.member()
        token = self.create(client, renewers=[user(ron)], max_lifetime_ms=2 * DAY_MS)
        for version in (1, 2):
            self.assertAlmostEqual(self.renew(renewer, token, 5000, version=version), time.time() * 1000 + 5000, delta=3000)
            self.assertAlmostEqual(self.expire(renewer, token, 9000, version=version), time.time() * 1000 + 9000, delta=3000)
        self.assertAlmostEqual(self.renew(client, token), time.time() * 1000 + DAY_MS, delta=3000)
        self.assertEqual(self.expire(client, token, 9 * DAY_MS), token["max_timestamp_ms"])
        for ask in (self.renew, self.expire):
            ask(other, token, error=ERR.DELEGATION_TOKEN_OWNER_MISMATCH)
            ask(client, {"hmac": b"x" * 64}, error=ERR.DELEGATION_TOKEN_NOT_FOUND)
            ask(client, {"hmac": b""}, error=ERR.DELEGATION_TOKEN_NOT_FOUND)
        self.assertEqual(self.tokens(renewer)[token["token_id"]]["renewers"], [user(ron)])
        self.assertEqual(self.expire(renewer, token), -1)
        self.assertNobody(token)

    def test_principals(self):
        """Owners and renewers are users."""
        _, client = self.member()
        self.create(client, renewers=[user("x"), user("y", "Group")], error=ERR.INVALID_PRINCIPAL_TYPE)
        self.create(client, owner_principal_type="Group", owner_principal_name="x", error=ERR.INVALID_PRINCIPAL_TYPE)
        self.create(client, renewers=[user("")], error=ERR.INVALID_REQUEST)
        self.create(client, renewers=[user(f"r{i}") for i in range(65)], error=ERR.INVALID_REQUEST)
        self.create(client, renewers=[user("x" * 2000)], error=ERR.INVALID_REQUEST)
        self.assertEqual(len(self.create(client, renewers=[user(f"r{i}") for i in range(64)])["hmac"]), 64)

    def test_for_somebody_else(self):
        """KIP-373: a token for another owner, whom it makes its holder; who asked for it sees it, but does not renew it."""
        (alice, client), (bob, _) = self.member(), self.member()
        token = self.create(client, owner_principal_type="User", owner_principal_name=bob)
        self.assertEqual((token["principal_name"], token["token_requester_principal_name"]), (bob, alice))
        told = self.tokens(client)[token["token_id"]]
        self.assertEqual((told["principal_name"], told["token_requester_principal_name"]), (bob, alice))
        self.renew(client, token, error=ERR.DELEGATION_TOKEN_OWNER_MISMATCH)
        holder, _ = self.by_token(token)
        self.handshake(holder, "SCRAM-SHA-256")
        self.assertError(self.scram(holder, bob, "secret")["error_code"], ERR.NONE)      # the same principal

    def test_describe(self):
        """KIP-48: all tokens that one may see, or those of some owners; none of no owner."""
        (alice, client), (bob, other) = self.member(), self.member()
        mine, its = self.create(client, renewers=[user("x"), user(bob)]), self.create(other)
        self.assertEqual(self.tokens(client, owners=[]), {})
        self.assertEqual(set(self.tokens(client, owners=[user(alice)])), {mine["token_id"]})
        self.assertEqual(set(self.tokens(other, owners=[user(bob)])), {mine["token_id"], its["token_id"]})
        self.assertEqual(set(self.tokens(other, owners=[user("z"), user(alice), user(alice)])), {mine["token_id"]})
        for version in (1, 2, 3):
            told = self.tokens(client, version=version)[mine["token_id"]]
            self.assertEqual(told["hmac"], mine["hmac"])
            self.assertEqual((told["issue_timestamp"], told["expiry_timestamp"], told["max_timestamp"]),
                             (mine["issue_timestamp_ms"], mine["expiry_timestamp_ms"], mine["max_timestamp_ms"]))
            self.assertEqual(told["renewers"], [user("x"), user(bob)])

    def test_restart(self):
        """Tokens are kept, whether the node stops or is killed; no HMAC is in its files."""
        alice, client = self.member()
        token, gone = self.create(client), self.create(client)
        self.expire(client, gone)
        for kill in (False, True):
            self.node.restart(kill=kill)
            self.assertServed(self.by_token(token)[0])
            self.assertNobody(gone)
            client = self.login(alice, "secret")
            self.assertEqual(self.tokens(client)[token["token_id"]]["hmac"], token["hmac"])
            self.renew(client, token)
        for file in self.node.data.rglob("*"):
            if file.is_file():
                self.assertNotIn(token["hmac"], file.read_bytes(), file)


class Sweeping(TokenCase):
    MORE = ["security.delegation_token_expiry_check_interval_ms=300", "security.delegation_token_expiry_time_ms=2s",
            "security.delegation_token_max_lifetime_ms=3s", "listeners.CLIENTS.connections_max_reauth_ms=1s"]

    def test_lifetimes_and_sweep(self):
        """KIP-48: the node's own lifetimes bound what is asked for, and what has ended is removed by itself; a session is no longer than the
        listener's."""
        alice, client = self.member()
        token = self.create(client, max_lifetime_ms=DAY_MS)
        self.assertEqual(token["expiry_timestamp_ms"] - token["issue_timestamp_ms"], 2000)
        self.assertEqual(token["max_timestamp_ms"] - token["issue_timestamp_ms"], 3000)
        self.assertEqual(self.by_token(token)[1]["session_lifetime_ms"], 1000)
        self.handshake(client, "SCRAM-SHA-256")
        self.assertEqual(self.scram(client, alice, "secret")["session_lifetime_ms"], 1000)
        self.wait_until(lambda: self.tokens(self.login(alice, "secret")) == {}, "the token is not removed")
        self.assertGreater(time.time() * 1000, token["expiry_timestamp_ms"])


class Rights(TokenCase):
    MORE = ["security.authorizer=standard", "security.super_users=User:ANONYMOUS"]

    def allow(self, entry):
        answer = self.client().call("CreateAcls", 3, creations=[entry])
        self.assertError(answer["results"][0]["error_code"], ERR.NONE)

    def test_create_for_somebody_else(self):
        """KIP-373: CREATE_TOKENS of the other user is needed; for oneself no right is."""
        (alice, client), (bob, _) = self.member(), self.member()
        owner = dict(owner_principal_type="User", owner_principal_name=bob)
        self.create(client)
        self.create(client, error=ERR.DELEGATION_TOKEN_AUTHORIZATION_FAILED, **owner)
        self.allow(rule(USER, f"User:{bob}", CREATE_TOKENS, principal=f"User:{alice}"))
        self.create(client, **owner)

    def test_describe(self):
        """KIP-48, KIP-373: tokens of others need DESCRIBE of the token, or DESCRIBE_TOKENS of the owner."""
        (_, client), (bob, other) = self.member(), self.member()
        first, second = self.create(client), self.create(client)
        self.assertEqual(self.tokens(other), {})
        self.allow(rule(DELEGATION_TOKEN, first["token_id"], DESCRIBE, principal=f"User:{bob}"))
        self.assertEqual(set(self.tokens(other)), {first["token_id"]})
        self.allow(rule(USER, f"User:{first['principal_name']}", DESCRIBE_TOKENS, principal=f"User:{bob}"))
        self.assertEqual(set(self.tokens(other)), {first["token_id"], second["token_id"]})


class NoSecret(SaslCase):
    def test_disabled(self):
        """KIP-48: without a secret there are no tokens."""
        self.add("alice", "secret")
        client, disabled = self.login("alice", "secret"), ERR.DELEGATION_TOKEN_AUTH_DISABLED
        for api, version, args in (("CreateDelegationToken", 3, dict(renewers=[], max_lifetime_ms=-1)),
                                   ("RenewDelegationToken", 2, dict(hmac=b"x", renew_period_ms=-1)),
                                   ("ExpireDelegationToken", 2, dict(hmac=b"x", expiry_time_period_ms=-1)),
                                   ("DescribeDelegationToken", 3, dict(owners=None))):
            self.assertError(client.call(api, version, **args)["error_code"], disabled)
        stranger = self.stranger()
        self.handshake(stranger, "SCRAM-SHA-256")
        answer = self.scram(stranger, "alice", "secret", extensions=BY_TOKEN)
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)


class Secrets(TokenCase):
    def test_files(self):
        """A secret that cannot be one is refused at the start."""
        file = secret_file(type(self))
        for text, why in (("short", "too short"), ("x" * 5000, "too long"), (None, "No such file")):
            file.write_text(text) if text else file.unlink()
            node = Node([f"security.delegation_token_secret_file={file}"])
            self.addCleanup(node.close)
            with self.assertRaises(NodeError) as caught:
                node.start()
            self.assertIn(why, str(caught.exception))

    def test_credential_and_another_secret(self):
        """The secret may be a systemd credential. With another one the tokens that there are let nobody in, and are told to nobody."""
        folder = Path(secret_file(type(self)).parent)
        file = folder / "chronik.delegation_token_secret"
        file.write_text(SECRET)
        node = Node(SaslCase.SETTINGS, env={"CREDENTIALS_DIRECTORY": str(folder)})
        self.addCleanup(node.close)
        node.start()
        before, type(self).node = self.node, node
        try:
            alice, client = self.member()
            token = self.create(client)
            self.assertServed(self.by_token(token)[0])
            file.write_text(SECRET[::-1])
            node.restart()
            self.assertNobody(token)
            client = self.login(alice, "secret")
            self.assertEqual(self.tokens(client), {})
            self.assertServed(self.by_token(self.create(client))[0])
        finally:
            type(self).node = before


class Rotation(TokenCase):
    @classmethod
    def setUpClass(cls):
        cls.secret = secret_file(cls)
        cls.SETTINGS = SaslCase.SETTINGS + [f"security.delegation_token_secret_file={cls.secret}"]
        super(TokenCase, cls).setUpClass()

    def step(self, verb):
        """token-secret VERB, and until the node has read what it did."""
        read = self.node.text().count("secrets of delegation tokens were read again")
        done = subprocess.run([CTL, "token-secret", verb, str(self.secret)], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        deadline = time.monotonic() + 30
        while self.node.text().count("secrets of delegation tokens were read again") == read:
            self.assertLess(time.monotonic(), deadline, self.node.tail())
            time.sleep(0.1)

    def refused(self, verb):
        done = subprocess.run([CTL, "token-secret", verb, str(self.secret)], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def test_another_secret(self):
        """add, switch, finish: at each step the tokens that were made before are good, and so are those that a node which is a step ahead or
        behind has made; after the last those of the first secret are good no more."""
        first = self.secret.read_text()
        alice, client = self.member()
        self.assertIn("no next secret", self.refused("switch"))
        self.assertIn("nothing to finish", self.refused("finish"))
        old = self.create(client)
        self.step("add")
        self.assertIn("is there already", self.refused("add"))
        following = Path(f"{self.secret}.next").read_text()
        self.assertEqual(Path(f"{self.secret}.next").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.secret.read_text(), first)
        self.assertServed(self.by_token(old)[0])
        self.step("switch")
        self.assertEqual((self.secret.read_text(), Path(f"{self.secret}.before").read_text()), (following, first))
        self.assertIn("finish", self.refused("add"))
        new = self.create(client)
        self.assertServed(self.by_token(old)[0])
        self.assertServed(self.by_token(new)[0])
        self.assertEqual(set(self.tokens(client)), {old["token_id"], new["token_id"]})
        self.assertNotIn(following.strip(), self.node.text())
        self.node.stop()                # a node that is a step behind: it makes tokens with the first, and takes those of the next
        Path(f"{self.secret}.before").rename(self.secret)
        Path(f"{self.secret}.next").write_text(following)
        self.node.start()
        self.assertServed(self.by_token(new)[0])
        self.assertServed(self.by_token(self.create(self.login(alice, "secret")))[0])
        self.step("switch")
        self.step("finish")
        self.assertServed(self.by_token(new)[0])
        self.assertNobody(old)
        self.assertEqual(set(self.tokens(self.login(alice, "secret"))), {new["token_id"]})

    def test_what_is_not_in_order(self):
        """A changed secret that cannot be one is said, and the one from before stays in use."""
        _, client = self.member()
        token = self.create(client)
        text = self.secret.read_text()
        self.addCleanup(self.secret.write_text, text)
        self.secret.write_text("short")
        deadline = time.monotonic() + 30
        while "the changed secrets of delegation tokens are not used" not in self.node.text():
            self.assertLess(time.monotonic(), deadline, self.node.tail())
            time.sleep(0.1)
        self.assertIn("too short", self.node.text())
        self.assertServed(self.by_token(token)[0])


class Cluster(ClusterCase):
    """Three nodes with the same secret."""

    @classmethod
    def setUpClass(cls):
        cls.SETTINGS = LISTENER + [f"security.delegation_token_secret_file={secret_file(cls)}"]
        super().setUpClass()

    def login(self, node, name, password, extensions=""):
        client, exchange = Client(*self.nodes[node - 1].listeners["CLIENTS"]), Exchange("SCRAM-SHA-512", name, password, extensions)
        self.addCleanup(client.close)
        self.assertError(client.call("SaslHandshake", 1, mechanism="SCRAM-SHA-512")["error_code"], ERR.NONE)
        answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())
        answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(answer["auth_bytes"]))
        return client if not answer["error_code"] else None

    def by_token(self, node, token):
        return self.login(node, token["token_id"], base64.b64encode(token["hmac"]).decode(), BY_TOKEN)

    def test_fail_over(self):
        """A token that one node made is good on all of them, and when the active controller is gone; the next one renews it."""
        self.client().call("AlterUserScramCredentials", 0, upsertions=[upsertion("alice", "secret", "SCRAM-SHA-512")])
        tokens = []
        for node in (1, 2, 3):
            self.wait_until(lambda: self.login(node, "alice", "secret"), "the user is not known")
            answer = self.login(node, "alice", "secret").call("CreateDelegationToken", 3, renewers=[], max_lifetime_ms=-1)
            self.assertError(answer["error_code"], ERR.NONE)
            tokens.append(answer)
        for token in tokens:
            for node in (1, 2, 3):
                self.wait_until(lambda: self.by_token(node, token), f"the token is not known to node {node}")
        active = self.client().call("DescribeQuorum", 2, topics=[
            {"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}])["topics"][0]["partitions"][0]["leader_id"]
        self.nodes[active - 1].kill()
        left = next(n for n in (1, 2, 3) if n != active)
        client = self.login(left, "alice", "secret")

        def renewed():
            answer = client.call("RenewDelegationToken", 2, hmac=tokens[0]["hmac"], renew_period_ms=-1)
            return answer["error_code"] == 0 and answer["expiry_timestamp_ms"] > tokens[0]["expiry_timestamp_ms"]
        self.wait_until(renewed, "the token is not renewed", limit_s=30)
        self.assertIsNotNone(self.by_token(left, tokens[0]))


if __name__ == "__main__":
    unittest.main()
