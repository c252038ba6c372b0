#!/usr/bin/env python3
"""A user's password is replaced while clients have the earlier one.

Goal: for as long as it was asked for both passwords let in, by SCRAM and PLAIN, and the server proves to know either; then only the new one,
on every node, by time and after restarts; `--finish` ends it at once. Method: chronik-ctl as an operator has it, a client of SCRAM of the tests'
own, a wall clock that is moved forward.
"""

import json
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from clock import DAY_S, Clock
from cluster import ClusterCase
from kafka import ERR, Client
from node import ROOT, Node
from scram import Exchange, ScramError, upsertion
from test_sasl import SaslCase

CTL = os.environ.get("CHRONIK_CTL", str(ROOT / "build/chronik-ctl"))
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")
HOUR_S = 3600


class RotationCase(SaslCase):
    def ctl(self, *args, stdin="", admin=None, status=0):
        """What chronik-ctl prints; of a failure what it says."""
        done = subprocess.run([CTL, "--server", admin or self.node.admin, *args], input=stdin, capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(done.returncode, status, done.stderr or done.stdout)
        return done.stdout if not status else done.stderr

    def user(self, password="old"):
        name = self.fresh("user")
        self.ctl("user", "add", name, stdin=password + "\n")
        return name

    def rotate(self, name, *args, password="new", **options):
        return self.ctl("user", "rotate", name, *args, stdin=password + "\n", **options)

    def lets_in(self, name, password, mechanism="SCRAM-SHA-256"):
        client = self.stranger()
        self.handshake(client, mechanism)
        answer = self.scram(client, name, password, mechanism) if mechanism != "PLAIN" else self.plain(client, name, password)
        if not answer["error_code"]:
            self.assertServed(client)
        client.close()
        return not answer["error_code"]

    def passwords(self, name):
        """Which of those that tests use let in; by every mechanism the same."""
        found = [{p for p in ("old", "new", "newer") if self.lets_in(name, p, m)} for m in MECHANISMS]
        self.assertEqual(found[1:], found[:-1])
        return found[0]

    def told(self, name):
        users = json.loads(self.ctl("user", "list", "--json"))["users"]
        return {c["mechanism"]: c for u in users if u["name"] == name for c in u["credentials"]}


class Overlap(RotationCase):
    def test_both_then_finish(self):
        """Both count from the answer on, after a restart too, until the end is asked for; PLAIN and SCRAM alike."""
        name = self.user()
        self.assertEqual(self.passwords(name), {"old"})
        self.assertIn("Both passwords", self.rotate(name))
        self.assertEqual(self.passwords(name), {"old", "new"})
        left_ms = [c["earlier_until_ms"] - time.time() * 1000 for c in self.told(name).values()]
        self.assertEqual(len(left_ms), 2)
        for ms in left_ms:
            self.assertAlmostEqual(ms / 1000, 24 * HOUR_S, delta=60)
        self.node.restart(kill=True)
        self.assertEqual(self.passwords(name), {"old", "new"})
        self.assertIn("only the new password", self.ctl("user", "rotate", name, "--finish"))
        self.assertEqual(self.passwords(name), {"new"})
        self.assertNotIn("earlier_until_ms", json.dumps(self.told(name)))
        self.node.restart(kill=True)
        self.assertEqual(self.passwords(name), {"new"})
        self.assertIn("only one password counts", self.ctl("user", "rotate", name, "--finish", status=1))

    def test_the_server_proves_the_password_that_was_shown(self):
        """RFC 5802: the server's signature is made with the keys of the password that the client has, so that neither client is fooled."""
        name = self.user()
        self.rotate(name)
        for password in ("old", "new"):
            client = self.stranger()
            self.handshake(client, "SCRAM-SHA-512")
            exchange = Exchange("SCRAM-SHA-512", name, password)
            challenge = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"]
            answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(challenge))["auth_bytes"]
            exchange.check(answer)
            other = Exchange("SCRAM-SHA-512", name, "new" if password == "old" else "old")
            other.nonce, other.first_bare = exchange.nonce, exchange.first_bare
            other.final(challenge)
            with self.assertRaises(ScramError):
                other.check(answer)

    def test_one_salt_for_both(self):
        """The server's first message is the same whichever password the client will show; a password set anew has another salt."""
        def salt(name):
            exchange, client = Exchange("SCRAM-SHA-256", name, "x"), self.stranger()
            self.handshake(client, "SCRAM-SHA-256")
            exchange.final(client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"])
            return exchange.salt, exchange.iterations
        name = self.user()
        before = salt(name)
        self.rotate(name)
        self.assertEqual(salt(name), before)
        self.ctl("user", "add", name, stdin="newer\n")
        self.assertNotEqual(salt(name), before)
        self.assertEqual(self.passwords(name), {"newer"})

    def test_sessions_end_with_the_overlap(self):
        """KIP-368: who has shown the earlier password is told when it ends, and is closed then; who has shown the new one stays."""
        name = self.user()
        self.rotate(name, "--overlap", "3s")
        clients = {}
        for password in ("old", "new"):
            clients[password] = self.stranger()
            self.handshake(clients[password], "SCRAM-SHA-256")
            lifetime_ms = self.scram(clients[password], name, password)["session_lifetime_ms"]
            if password == "old":
                self.assertTrue(0 < lifetime_ms <= 3000, lifetime_ms)
            else:
                self.assertEqual(lifetime_ms, 0)
        time.sleep(3.2)
        self.assertServed(clients["new"])
        clients["old"].send("Metadata", 12, topics=[])
        self.assertTrue(clients["old"].closed())
        self.assertEqual(self.passwords(name), {"new"})

    def test_an_exchange_does_not_outlive_it(self):
        """An exchange that was begun while the earlier password counted is judged when it ends."""
        name = self.user()
        self.rotate(name)
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        exchange = Exchange("SCRAM-SHA-256", name, "old")
        challenge = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"]
        self.ctl("user", "rotate", name, "--finish")
        answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(challenge))
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)
        self.assertEqual(answer["auth_bytes"], b"")

    def test_what_is_refused(self):
        """No third password, not the same one, nobody who is not there, no endless overlap; nothing has changed then."""
        name = self.user()
        self.assertIn("There is no user", self.rotate("nobody-" + name, status=1))
        self.assertIn("this is the password that it has", self.rotate(name, password="old", status=1))
        self.assertIn("31 days", self.rotate(name, "--overlap", "32d", status=1))
        self.assertIn("stands alone", self.rotate(name, "--overlap", "2d", "--finish", status=2))
        self.assertEqual(self.passwords(name), {"old"})
        self.rotate(name)
        self.assertIn("a rotation is going on", self.rotate(name, password="newer", status=1))
        self.assertEqual(self.passwords(name), {"old", "new"})

    def test_kafkas_request_replaces_at_once(self):
        """KIP-554: AlterUserScramCredentials knows no overlap, and ends one of its mechanism."""
        name = self.user()
        self.rotate(name)
        self.add(name, "newer", "SCRAM-SHA-256")
        self.assertTrue(self.lets_in(name, "newer"))
        self.assertFalse(self.lets_in(name, "old") or self.lets_in(name, "new"))
        self.assertTrue(self.lets_in(name, "old", "SCRAM-SHA-512"))

    def test_one_mechanism(self):
        """A user of one mechanism is rotated in that one, and does not get another."""
        name = self.fresh("user")
        self.add(name, "old", "SCRAM-SHA-512")
        self.rotate(name)
        self.assertTrue(self.lets_in(name, "old", "SCRAM-SHA-512") and self.lets_in(name, "new", "SCRAM-SHA-512"))
        self.assertEqual(set(self.told(name)), {"SCRAM-SHA-512"})

    def test_a_password_that_is_made(self):
        """--generate prints it once; it is nowhere in the node's output, nor is what was read from standard input."""
        name = self.user("a-secret-of-old")
        made = json.loads(self.ctl("user", "rotate", name, "--generate", "--json"))["password"]
        self.assertGreaterEqual(len(made), 32)
        self.assertTrue(self.lets_in(name, made, "SCRAM-SHA-512") and self.lets_in(name, made, "PLAIN"))
        self.assertNotIn(made, self.node.text())
        self.assertNotIn("a-secret-of-old", self.node.text())

    def test_who_still_has_the_earlier_one_is_seen(self):
        """A metric counts such logins and a line names the user."""
        name = self.user()
        self.rotate(name)
        before = self.node.metric("chronik_earlier_password_logins_total")
        self.lets_in(name, "new")
        self.assertEqual(self.node.metric("chronik_earlier_password_logins_total"), before)
        self.lets_in(name, "old")
        self.assertEqual(self.node.metric("chronik_earlier_password_logins_total"), before + 1)


class Time(RotationCase):
    """With a wall clock that is moved forward."""
    SETTINGS = RotationCase.SETTINGS + ["security.delegation_token_expiry_check_interval_ms=1s"]

    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        cls.node = Node(cls.SETTINGS, env=cls.clock.env())
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def test_ends_by_itself(self):
        """A day later the earlier password lets nobody in, at once and after a restart, and leaves the metadata."""
        name = self.user()
        self.rotate(name)
        self.clock.set(23 * HOUR_S)
        self.assertEqual(self.passwords(name), {"old", "new"})
        self.clock.set(DAY_S + 60)
        self.assertEqual(self.passwords(name), {"new"})
        self.node.restart(kill=True)
        self.assertEqual(self.passwords(name), {"new"})
        for _ in range(100):
            if "only one password counts" in self.ctl("user", "rotate", name, "--finish", status=1):
                break
            time.sleep(0.1)
        self.clock.set(0)       # even a clock that goes back does not bring it back then
        self.assertEqual(self.passwords(name), {"new"})


class Ages(RotationCase):
    """How old each secret is, with a wall clock that is moved forward."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="chronik-secrets-")
        cls.addClassCleanup(folder.cleanup)
        cls.secret, cls.tokens = Path(folder.name) / "secret", Path(folder.name) / "tokens"
        cls.secret.write_text("the secret of all nodes\n")
        made = json.loads(subprocess.run([CTL, "admin-token", "new", "ops", "admin", "--json"], check=True, capture_output=True).stdout)
        cls.tokens.write_text(f"ops admin {made['sha256']}\n")
        cls.token = Path(folder.name) / "ops.token"
        cls.token.write_text(made["token"])
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        cls.node = Node(cls.SETTINGS + ["audit.enabled=true", f"security.delegation_token_secret_file={cls.secret}",
                                        f"admin.tokens_file={cls.tokens}", "admin.open=health,metrics"], env=cls.clock.env())
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def ctl(self, *args, **options):
        return super().ctl("--token-file", str(self.token), *args, **options)

    def days(self):
        """Of each secret, its age in whole days."""
        text = self.node.get("/metrics")[1]
        return {secret: int(float(age)) // DAY_S
                for secret, age in re.findall(r'^chronik_secret_age_seconds{secret="([a-z_]+)"} (\S+)$', text, re.M)}

    def wait(self, **days):
        """Files are looked at every ten seconds."""
        deadline = time.monotonic() + 30
        while self.days() != days:
            self.assertLess(time.monotonic(), deadline, self.days())
            time.sleep(0.2)

    def test_ages(self):
        """They grow, also while the node is stopped; each rotation makes one new again, and of several passwords and tokens the oldest counts."""
        names = ("user_passwords", "delegation_token_secret", "audit_key", "operator_tokens")
        name, other = self.user(), self.user()
        self.assertEqual(self.days(), dict.fromkeys(names, 0))
        self.clock.set(100 * DAY_S + 60)
        self.assertEqual(self.days(), dict.fromkeys(names, 100))
        self.node.stop()
        self.clock.set(200 * DAY_S + 60)
        os.utime(self.secret)           # a copy with another time is the same secret
        self.node.start()
        self.assertEqual(self.days(), dict.fromkeys(names, 200))
        self.assertEqual(self.node.metric("chronik_passwords_of_unknown_age"), 0)
        self.rotate(name)
        self.assertEqual(self.days()["user_passwords"], 200)
        self.rotate(other)
        self.ctl("audit", "rotate-key")
        self.wait(user_passwords=0, delegation_token_secret=200, audit_key=0, operator_tokens=200)
        for verb in ("add", "switch"):
            subprocess.run([CTL, "token-secret", verb, str(self.secret)], check=True, capture_output=True)
        args = [CTL, "admin-token", "rotate", "ops", "--tokens-file", str(self.tokens)]
        made = json.loads(subprocess.run([*args, "--json"], check=True, capture_output=True).stdout)
        self.wait(user_passwords=0, delegation_token_secret=0, audit_key=0, operator_tokens=200)     # while it still counts
        subprocess.run([*args, "--finish"], check=True, capture_output=True)
        self.wait(**dict.fromkeys(names, 0))
        self.node.restart()
        self.assertEqual(self.days(), dict.fromkeys(names, 0))
        ages = (self.node.data / ".secret-ages").read_text()
        for secret in (self.secret.read_text().strip(), made["token"]):
            self.assertNotIn(secret, ages)


class Nodes(ClusterCase):
    """Three nodes with the same listener."""
    SETTINGS = RotationCase.SETTINGS

    def lets_in(self, node, name, password):
        client = Client(*self.nodes[node - 1].listeners["CLIENTS"])
        self.addCleanup(client.close)
        self.assertError(client.call("SaslHandshake", 1, mechanism="SCRAM-SHA-256")["error_code"], ERR.NONE)
        exchange = Exchange("SCRAM-SHA-256", name, password)
        challenge = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"]
        return not client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(challenge))["error_code"]

    def wait(self, name, passwords):
        """Until each node lets in those and no other; other nodes follow the metadata a moment later."""
        deadline = time.monotonic() + 10
        for node in (1, 2, 3):
            while {p for p in ("old", "new") if self.lets_in(node, name, p)} != passwords:
                self.assertLess(time.monotonic(), deadline, f"node {node}")

    def test_on_every_node(self):
        """A rotation that one node is asked for counts on all, and so do its end by time and its end when asked for."""
        name = "alice"
        for node, args in ((1, ["user", "add", name]), (2, ["user", "rotate", name, "--overlap", "1h"])):
            subprocess.run([CTL, "--server", self.nodes[node - 1].admin, *args], input="old\n" if node == 1 else "new\n", text=True,
                           check=True, timeout=30, capture_output=True)
            self.wait(name, {"old"} if node == 1 else {"old", "new"})
        subprocess.run([CTL, "--server", self.nodes[2].admin, "user", "rotate", name, "--finish"], check=True, timeout=30,
                       capture_output=True)
        self.wait(name, {"new"})
        subprocess.run([CTL, "--server", self.nodes[2].admin, "user", "rotate", name, "--overlap", "3s"], input="old\n", text=True,
                       check=True, timeout=30, capture_output=True)
        self.wait(name, {"old", "new"})
        self.wait(name, {"old"})


if __name__ == "__main__":
    unittest.main()
