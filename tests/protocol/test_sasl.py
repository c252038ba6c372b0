#!/usr/bin/env python3
"""Who speaks on a connection: SCRAM users, SASL, sessions that end.

Goal: users are told and changed as Kafka does (KIP-554); who proves to know the password is let in, nobody else is, and what is said
on the way is Kafka's (KIP-43, KIP-84, KIP-152, KIP-368). Method: messages on the wire, with a client of SCRAM of the tests' own.
"""

import tempfile
import time
import unittest
from pathlib import Path

import records
from case import NodeCase
from cluster import ClusterCase
from kafka import ERR, Client, frame
from node import Node, NodeError
from scram import Exchange, upsertion

SHA_256, SHA_512 = 1, 2


class UserCase(NodeCase):
    def alter(self, *upsertions, deletions=()):
        """Results by user."""
        answer = self.client().call("AlterUserScramCredentials", 0, upsertions=list(upsertions), deletions=[
            {"name": name, "mechanism": mechanism} for name, mechanism in deletions])
        return {r["user"]: r for r in answer["results"]}

    def describe(self, *names):
        answer = self.client().call("DescribeUserScramCredentials", 0, users=[{"name": n} for n in names] if names else None)
        self.assertError(answer["error_code"], ERR.NONE)
        return {r["user"]: r for r in answer["results"]}

    def mechanisms(self, user):
        """What a user has, as mechanism -> iterations."""
        return {c["mechanism"]: c["iterations"] for c in self.describe(user)[user]["credential_infos"]}

    def add(self, user, password, mechanism="SCRAM-SHA-256", **more):
        result = self.alter(upsertion(user, password, mechanism, **more))[user]
        self.assertError(result["error_code"], ERR.NONE, result["error_message"])


VERSIONS = {"client_software_name": "protocol-test", "client_software_version": "1.0"}
GENERIC = "Authentication failed during authentication due to invalid credentials with SASL mechanism "
DELAY_MS = 60


class SaslCase(UserCase):
    """A node with the listener CLIENTS, where users have to say who they are; users are made on the other one."""
    SETTINGS = ["listeners.CLIENTS.address=127.0.0.1:0", "listeners.CLIENTS.protocol=SASL_PLAINTEXT",
                "listeners.CLIENTS.sasl_mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
                "listeners.CLIENTS.sasl_plain_without_tls=true",
                f"server.failed_authentication_delay_ms={DELAY_MS}"]
    LISTENER = "CLIENTS"

    def stranger(self, **options):
        """A connection that has not said who it is."""
        client = Client(*self.node.listeners[self.LISTENER], **options)
        self.addCleanup(client.close)
        return client

    def handshake(self, client, mechanism, version=1):
        answer = client.call("SaslHandshake", version, mechanism=mechanism)
        self.assertError(answer["error_code"], ERR.NONE)
        return answer

    def scram(self, client, user, password, mechanism="SCRAM-SHA-256", version=2, extensions=""):
        """The exchange after the handshake; returns its last answer."""
        exchange = Exchange(mechanism, user, password, extensions)
        answer = client.call("SaslAuthenticate", version, auth_bytes=exchange.first())
        if answer["error_code"]:
            return answer
        answer = client.call("SaslAuthenticate", version, auth_bytes=exchange.final(answer["auth_bytes"]))
        if not answer["error_code"]:
            exchange.check(answer["auth_bytes"])
        return answer

    def plain(self, client, user, password, version=2, authzid=""):
        return client.call("SaslAuthenticate", version, auth_bytes=f"{authzid}\0{user}\0{password}".encode())

    def login(self, user, password, mechanism="SCRAM-SHA-256"):
        client = self.stranger()
        self.handshake(client, mechanism)
        answer = self.scram(client, user, password, mechanism) if mechanism != "PLAIN" else self.plain(client, user, password)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        return client

    def assertServed(self, client):
        self.assertTrue(client.call("Metadata", 12, topics=[])["brokers"])

    def assertFails(self, client, answer, text):
        self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)
        self.assertEqual(answer["error_message"], text)
        self.assertEqual(answer["auth_bytes"], b"")
        self.assertTrue(client.closed())


class Exchanges(SaslCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Client(cls.node.host, cls.node.port) as client:
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("alice", "secret", mechanism)])
            client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("bob, =", "other", "SCRAM-SHA-256")])

    def test_every_mechanism_in_every_version(self):
        """KIP-84, KIP-152: a user who knows the password is let in, whether ApiVersions comes first or not."""
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"):
            for version in (0, 1, 2):
                with self.subTest(mechanism=mechanism, version=version):
                    client = self.stranger()
                    if version:
                        self.assertError(client.call("ApiVersions", 3, **VERSIONS)["error_code"], ERR.NONE)
                    answer = self.handshake(client, mechanism)
                    self.assertEqual(answer["mechanisms"], ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
                    answer = (self.plain(client, "alice", "secret", version) if mechanism == "PLAIN" else
                              self.scram(client, "alice", "secret", mechanism, version))
                    self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
                    self.assertEqual(answer.get("session_lifetime_ms", 0), 0)
                    self.assertServed(client)

    def test_old_exchange(self):
        """KIP-43: after SaslHandshake 0 tokens are frames by themselves, and who fails is closed without a word."""
        for mechanism, password in (("SCRAM-SHA-512", "secret"), ("PLAIN", "secret"), ("SCRAM-SHA-512", "x"), ("PLAIN", "x")):
            with self.subTest(mechanism=mechanism, password=password):
                client = self.stranger()
                self.handshake(client, mechanism, version=0)
                if mechanism == "PLAIN":
                    client.send_raw(frame(f"\0alice\0{password}".encode()))
                else:
                    exchange = Exchange(mechanism, "alice", password)
                    client.send_raw(frame(exchange.first()))
                    client.send_raw(frame(exchange.final(client.receive_raw())))
                if password == "x":
                    self.assertTrue(client.closed())
                    continue
                token = client.receive_raw()
                exchange.check(token) if mechanism != "PLAIN" else self.assertEqual(token, b"")
                self.assertServed(client)

    def test_wrong_password(self):
        """KIP-152: Kafka's code and text, after the delay; then the connection is closed."""
        for mechanism, text in (("SCRAM-SHA-256", GENERIC + "SCRAM-SHA-256"), ("SCRAM-SHA-512", GENERIC + "SCRAM-SHA-512"),
                                ("PLAIN", "Authentication failed: Invalid username or password")):
            for user in ("alice", "nobody"):
                with self.subTest(mechanism=mechanism, user=user):
                    client = self.stranger()
                    self.handshake(client, mechanism)
                    begun = time.monotonic()
                    answer = self.plain(client, user, "x") if mechanism == "PLAIN" else self.scram(client, user, "x", mechanism)
                    self.assertGreaterEqual(time.monotonic() - begun, DELAY_MS / 1000)
                    self.assertFails(client, answer, text)

    def test_a_user_has_a_credential_for_each_mechanism(self):
        """KIP-84: without one for the mechanism that it uses nobody gets in; PLAIN takes any."""
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-512")
        self.assertFails(client, self.scram(client, "bob, =", "other", "SCRAM-SHA-512"), GENERIC + "SCRAM-SHA-512")
        self.assertServed(self.login("bob, =", "other"))
        self.assertServed(self.login("bob, =", "other", "PLAIN"))

    def test_unknown_user_looks_like_a_known_one(self):
        """An unknown user is asked to prove its password, with the same salt each time and on each node; iterations are those of others."""
        seen = set()
        for user in ("nobody", "nobody", "someone"):
            exchange, client = Exchange("SCRAM-SHA-256", user, "x"), self.stranger()
            self.handshake(client, "SCRAM-SHA-256")
            exchange.final(client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"])
            self.assertEqual((len(exchange.salt), exchange.iterations), (16, 4096))
            seen.add((user, exchange.salt))
        self.assertEqual(len({user for user, salt in seen}), 2)
        self.assertEqual(len(seen), 2)

    def test_removed_user(self):
        """A user who is removed, or whose password is changed, is not let in any more."""
        user = self.fresh("user")
        self.add(user, "secret")
        self.assertServed(self.login(user, "secret"))
        self.add(user, "other")
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        self.assertFails(client, self.scram(client, user, "secret"), GENERIC + "SCRAM-SHA-256")
        self.assertServed(self.login(user, "other"))
        self.alter(deletions=[(user, SHA_256)])
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        self.assertFails(client, self.scram(client, user, "other"), GENERIC + "SCRAM-SHA-256")

    def test_somebody_else(self):
        """Nobody acts as somebody else (RFC 5802 authzid, RFC 4616), and a delegation token is not taken for a user."""
        text = "Authentication failed: Client requested an authorization id that is different from username"
        client = self.stranger()
        self.handshake(client, "PLAIN")
        self.assertFails(client, self.plain(client, "alice", "secret", authzid="root"), text)
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        answer = client.call("SaslAuthenticate", 2, auth_bytes=b"n,a=root,n=alice,r=abc")
        self.assertFails(client, answer, text)
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        self.assertFails(client, self.scram(client, "alice", "secret", extensions=",tokenauth=true"), GENERIC + "SCRAM-SHA-256")

    def test_malformed_tokens(self):
        """What is no token of the mechanism is a failure like others."""
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            for token in (b"", b"\0", b"x", b"\0\0\0\0", b"n,,n=alice", b"\0alice\0", b"\0\0x", b"\xff" * 1000, b"," * 9000):
                with self.subTest(mechanism=mechanism, token=token[:20]):
                    client = self.stranger()
                    self.handshake(client, mechanism)
                    self.assertFails(client, client.call("SaslAuthenticate", 2, auth_bytes=token), GENERIC + mechanism)

    def test_unknown_mechanism(self):
        """KIP-43: a mechanism that is not enabled is refused with those that are, after the delay; then the connection is closed."""
        for mechanism in ("GSSAPI", "OAUTHBEARER", "", "scram-sha-256"):
            client = self.stranger()
            begun = time.monotonic()
            answer = client.call("SaslHandshake", 1, mechanism=mechanism)
            self.assertGreaterEqual(time.monotonic() - begun, DELAY_MS / 1000)
            self.assertError(answer["error_code"], ERR.UNSUPPORTED_SASL_MECHANISM)
            self.assertEqual(answer["mechanisms"], ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
            self.assertTrue(client.closed())


class Order(SaslCase):
    def test_nothing_before(self):
        """KIP-43: before the exchange only ApiVersions, once, and SaslHandshake are served; anything else closes the connection."""
        for requests in ([("Metadata", 12, {"topics": []})], [("SaslAuthenticate", 2, {"auth_bytes": b""})],
                         [("ApiVersions", 3, VERSIONS), ("ApiVersions", 3, VERSIONS)],
                         [("ApiVersions", 3, VERSIONS), ("Produce", 11, {"acks": 0, "timeout_ms": 1, "topic_data": []})],
                         [("SaslHandshake", 1, {"mechanism": "PLAIN"}), ("Metadata", 12, {"topics": []})],
                         [("SaslHandshake", 1, {"mechanism": "PLAIN"}), ("ApiVersions", 3, VERSIONS)],
                         [("SaslHandshake", 1, {"mechanism": "PLAIN"}), ("SaslHandshake", 1, {"mechanism": "PLAIN"})]):
            with self.subTest(requests=[r[0] for r in requests]):
                client = self.stranger()
                for api, version, fields in requests[:-1]:
                    self.assertError(client.call(api, version, **fields)["error_code"], ERR.NONE)
                api, version, fields = requests[-1]
                client.send(api, version, **fields)
                self.assertTrue(client.closed())

    def test_versions_that_are_not_known(self):
        """KIP-511: ApiVersions in a version that is not known may be asked again in another."""
        client = self.stranger()
        client.send_raw(frame(bytes.fromhex("0012 0063 00000001 ffff".replace(" ", ""))))
        self.assertEqual(client.receive_raw()[4:6], b"\0\x23")
        self.assertError(client.call("ApiVersions", 3, **VERSIONS)["error_code"], ERR.NONE)

    def test_frames_are_small(self):
        """Item 9: before a login no memory is taken for large frames; after it there is."""
        user = self.fresh("user")
        self.add(user, "secret")
        client = self.stranger()
        client.send_raw((1 << 20).to_bytes(4, "big"))
        self.assertTrue(client.closed())
        client = self.login(user, "secret")
        topic = self.topic()
        self.assertError(self.produce(client, topic, [b"x" * (1 << 19)])["error_code"], ERR.NONE)

    def test_after_it_and_without_it(self):
        """KIP-43: an exchange that nobody asked for is ILLEGAL_SASL_STATE, and the connection goes on."""
        user = self.fresh("user")
        self.add(user, "secret")
        for client in (self.login(user, "secret"), self.client()):
            answer = client.call("SaslHandshake", 1, mechanism="PLAIN")
            self.assertError(answer["error_code"], ERR.ILLEGAL_SASL_STATE)
            self.assertEqual(answer["mechanisms"], [])
            answer = client.call("SaslAuthenticate", 2, auth_bytes=b"x")
            self.assertError(answer["error_code"], ERR.ILLEGAL_SASL_STATE)
            self.assertEqual(answer["error_message"], "SaslAuthenticate request received after successful authentication")
            self.assertServed(client)

    def test_gone_in_between(self):
        """A client that goes while its password is checked, or while it waits to be told, leaves nothing behind."""
        for token in (b"\0nobody\0x", b"x"):
            for _ in range(20):
                client = self.stranger()
                self.handshake(client, "PLAIN")
                client.send("SaslAuthenticate", 2, auth_bytes=token)
                client.close()
        self.wait_until(lambda: self.node.metric("chronik_connections") <= 2, "connections stay")


class Told(SaslCase):
    def test_endpoints_of_the_listener(self):
        """KIP-103: clients are told the addresses of the listener that they came by."""
        user = self.fresh("user")
        self.add(user, "secret")
        for client, where in ((self.login(user, "secret"), self.node.listeners["CLIENTS"]),
                              (self.client(), (self.node.host, self.node.port))):
            for api, version, fields in (("Metadata", 12, {"topics": []}), ("DescribeCluster", 1, {})):
                answer = client.call(api, version, **fields)
                self.assertEqual([(b["host"], b["port"]) for b in answer["brokers"]], [where])

            def coordinator():
                answer = client.call("FindCoordinator", 4, key_type=0, coordinator_keys=["group"])["coordinators"][0]
                return answer if not answer["error_code"] else None
            self.wait_until(coordinator, "no coordinator")
            self.assertEqual((coordinator()["host"], coordinator()["port"]), where)

    def test_quota_of_the_user(self):
        """KIP-13: a quota of a user holds for who said that it is this one, and for no other."""
        user, other, topic = self.fresh("user"), self.fresh("user"), self.topic()
        for name in (user, other):
            self.add(name, "secret")
        self.client().call("AlterClientQuotas", 1, validate_only=False, entries=[
            {"entity": [{"entity_type": "user", "entity_name": user}],
             "ops": [{"key": "producer_byte_rate", "value": 100.0, "remove": False}]}])
        limited, free = self.login(user, "secret"), self.login(other, "secret")

        def throttled(client):
            answer = client.call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"x" * 2000])}]}])
            return answer["throttle_time_ms"]
        self.wait_until(lambda: throttled(limited), "the quota does not hold")
        self.assertEqual(throttled(free), 0)


class Cluster(ClusterCase):
    """Three nodes, each with the same listeners."""
    SETTINGS = ["listeners.CLIENTS.address=127.0.0.1:0", "listeners.CLIENTS.protocol=SASL_PLAINTEXT"]

    def stranger(self, node):
        client = Client(*self.nodes[node - 1].listeners["CLIENTS"])
        self.addCleanup(client.close)
        self.assertError(client.call("SaslHandshake", 1, mechanism="SCRAM-SHA-256")["error_code"], ERR.NONE)
        return client

    def challenge(self, node, user):
        """Salt and iterations that a user is given."""
        exchange = Exchange("SCRAM-SHA-256", user, "secret")
        exchange.final(self.stranger(node).call("SaslAuthenticate", 2, auth_bytes=exchange.first())["auth_bytes"])
        return exchange.salt, exchange.iterations

    def login(self, node, user, password):
        client, exchange = self.stranger(node), Exchange("SCRAM-SHA-256", user, password)
        answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())
        answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(answer["auth_bytes"]))
        return client if not answer["error_code"] else None

    def test_users_and_addresses_are_the_clusters(self):
        """A user who is made on one node is known to all, also to those that asked another one to make it; each listener is told with the
        addresses of all nodes; users who are not there look the same everywhere."""
        for node in (1, 2, 3):
            answer = self.client(node).call("AlterUserScramCredentials", 0, upsertions=[upsertion(f"user-{node}", "secret")])
            self.assertEqual([(r["user"], r["error_code"]) for r in answer["results"]], [(f"user-{node}", ERR.NONE)])
        everywhere = {self.nodes[i].listeners["CLIENTS"] for i in range(3)}
        for node in (1, 2, 3):
            for user in ("user-1", "user-2", "user-3"):
                self.wait_until(lambda: self.login(node, user, "secret"), f"{user} is not known to node {node}")
            told = self.login(node, "user-1", "secret").call("Metadata", 12, topics=[])["brokers"]
            self.assertEqual({(b["host"], b["port"]) for b in told}, everywhere)
        self.assertEqual(len({self.challenge(node, "nobody") for node in (1, 2, 3)}), 1)
        self.assertNotEqual(self.challenge(1, "nobody"), self.challenge(1, "user-1"))
        self.assertIsNone(self.login(2, "user-1", "wrong"))


class Sessions(SaslCase):
    SETTINGS = SaslCase.SETTINGS + ["listeners.CLIENTS.connections_max_reauth_ms=1500"]

    def test_goes_on(self):
        """KIP-368: who says again who it is goes on on the same connection; the lifetime is told each time."""
        user = self.fresh("user")
        self.add(user, "secret")
        client = self.stranger()
        self.handshake(client, "SCRAM-SHA-256")
        begun = time.monotonic()
        for _ in range(3):
            self.assertEqual(self.scram(client, user, "secret")["session_lifetime_ms"], 1500)
            self.assertServed(client)
            time.sleep(1.05)
            self.handshake(client, "SCRAM-SHA-256")
        self.assertEqual(self.scram(client, user, "secret")["session_lifetime_ms"], 1500)
        self.assertGreater(time.monotonic() - begun, 2)
        self.assertServed(client)

    def test_ends(self):
        """KIP-368: who does not is closed at the next request after the session's end; it may still be a handshake."""
        user = self.fresh("user")
        self.add(user, "secret")
        late, never = self.login(user, "secret"), self.login(user, "secret")
        time.sleep(1.6)
        never.send("Metadata", 12, topics=[])
        self.assertTrue(never.closed())
        self.handshake(late, "SCRAM-SHA-256")
        self.assertError(self.scram(late, user, "secret")["error_code"], ERR.NONE)
        self.assertServed(late)

    def test_too_often(self):
        """KIP-368: more than once a second is refused, and the connection goes on."""
        user = self.fresh("user")
        self.add(user, "secret")
        client = self.login(user, "secret")
        self.handshake(client, "SCRAM-SHA-256")
        self.assertError(self.scram(client, user, "secret")["error_code"], ERR.NONE)
        self.assertError(client.call("SaslHandshake", 1, mechanism="SCRAM-SHA-256")["error_code"], ERR.ILLEGAL_SASL_STATE)
        self.assertServed(client)

    def test_same_user_same_mechanism(self):
        """KIP-368: neither the user nor the mechanism changes on a connection, and a failure ends it."""
        user, other = self.fresh("user"), self.fresh("user")
        for name in (user, other):
            self.add(name, "secret")
        client = self.login(user, "secret")
        self.handshake(client, "SCRAM-SHA-256")
        self.assertFails(client, self.scram(client, other, "secret"),
                         f"Cannot change principals during re-authentication from User.{user}: User.{other}")
        client = self.login(user, "secret")
        self.handshake(client, "PLAIN")
        self.assertFails(client, self.plain(client, user, "secret"),
                         "SASL mechanism 'PLAIN' requested by client is not supported for re-authentication of mechanism "
                         "'SCRAM-SHA-256'")
        client = self.login(user, "secret")
        self.handshake(client, "SCRAM-SHA-256")
        self.assertFails(client, self.scram(client, user, "x"), GENERIC.replace("during authentication", "during re-authentication")
                         + "SCRAM-SHA-256")


class Users(UserCase):
    def test_told_and_changed(self):
        """KIP-554: a credential is set, told without its secrets, replaced and removed, each mechanism by itself."""
        user = self.fresh("user")
        self.add(user, "secret")
        self.add(user, "secret", "SCRAM-SHA-512", iterations=8192)
        self.assertEqual(self.mechanisms(user), {SHA_256: 4096, SHA_512: 8192})
        self.add(user, "other", iterations=16384)
        self.assertEqual(self.mechanisms(user), {SHA_256: 16384, SHA_512: 8192})
        self.assertError(self.alter(deletions=[(user, SHA_256)])[user]["error_code"], ERR.NONE)
        self.assertEqual(self.mechanisms(user), {SHA_512: 8192})
        self.assertIn(user, self.describe())
        self.assertError(self.alter(deletions=[(user, SHA_512)])[user]["error_code"], ERR.NONE)
        self.assertNotIn(user, self.describe())
        self.assertError(self.describe(user)[user]["error_code"], ERR.RESOURCE_NOT_FOUND)

    def test_refused_one_by_one(self):
        """KIP-554: each user has a result of its own, with Kafka's code and text."""
        a, b, c, d, e = (self.fresh("user") for _ in range(5))
        few, many, odd = upsertion(a, "x", iterations=4095), upsertion(b, "x", iterations=16385), upsertion(c, "x")
        odd["mechanism"] = 3
        short = upsertion(d, "x")
        short["salted_password"] = b"short"
        results = self.alter(few, many, odd, short, upsertion("", "x"), upsertion(e, "x"), deletions=[("nobody", SHA_256)])
        self.assertEqual({u: (r["error_code"], r["error_message"]) for u, r in results.items()}, {
            a: (ERR.UNACCEPTABLE_CREDENTIAL, "Too few iterations"),
            b: (ERR.UNACCEPTABLE_CREDENTIAL, "Too many iterations"),
            c: (ERR.UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism"),
            d: (ERR.UNACCEPTABLE_CREDENTIAL, "A salted password for SCRAM-SHA-256 has 32 bytes."),
            "": (ERR.UNACCEPTABLE_CREDENTIAL, "Username must not be empty"),
            e: (ERR.NONE, None),
            "nobody": (ERR.RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist")})
        self.assertEqual(set(self.describe()) & {a, b, c, d, e}, {e})

    def test_named_twice(self):
        """KIP-554: whom a request names twice it does nothing to, and says so once."""
        user = self.fresh("user")
        for request in ([upsertion(user, "a"), upsertion(user, "b")], [upsertion(user, "a"), upsertion(user, "a", "SCRAM-SHA-512")]):
            results = self.client().call("AlterUserScramCredentials", 0, upsertions=request)["results"]
            self.assertEqual([r["error_code"] for r in results], [ERR.DUPLICATE_RESOURCE])
        self.assertError(self.describe(user)[user]["error_code"], ERR.RESOURCE_NOT_FOUND)
        self.add(user, "a")
        result = self.describe(user, user)[user]
        self.assertError(result["error_code"], ERR.DUPLICATE_RESOURCE)
        self.assertEqual(result["credential_infos"], [])

    def test_kept(self):
        """Users are there after a crash, and none is there before."""
        self.node.restart(kill=True)
        before = set(self.describe())
        user = self.fresh("user")
        self.add(user, "secret")
        self.node.restart(kill=True)
        self.assertEqual(set(self.describe()), before | {user})


class NoUser(UserCase):
    def test_nobody_is_there_at_first(self):
        """A new cluster has no user: no password is known to all the world."""
        self.assertEqual(self.describe(), {})


class FirstUser(SaslCase):
    """The first user comes from outside, once: from a systemd credential or a file."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="chronik-credentials-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.file = Path(cls.folder.name) / "chronik.first_user"
        cls.file.write_text("ad min:se:cret\n")
        cls.node = Node(cls.SETTINGS, env={"CREDENTIALS_DIRECTORY": cls.folder.name})
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def test_first_user(self):
        """The user of the credential is there for every mechanism, nobody else is; later it is a user like others."""
        self.assertEqual(set(self.describe()), {"ad min"})
        self.assertEqual(set(self.mechanisms("ad min")), {SHA_256, SHA_512})
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"):
            self.assertServed(self.login("ad min", "se:cret", mechanism))
        self.assertNotIn("cret", self.node.text())
        self.alter(deletions=[("ad min", SHA_512)])
        self.add("ad min", "changed")
        self.node.restart()
        self.assertServed(self.login("ad min", "changed"))
        self.assertEqual(set(self.mechanisms("ad min")), {SHA_256})
        self.file.unlink()
        self.node.restart(kill=True)
        self.assertServed(self.login("ad min", "changed"))

    def test_files(self):
        """A file that is configured has to be there, and to hold NAME:PASSWORD, before a cluster begins; afterwards it may go."""
        file = Path(self.folder.name) / "file"
        for text, why in ((None, "No such file or directory"), ("admin", "there is no colon"), (":x", "is no name"),
                          ("admin:", "no password"), ("a:b\nc:d\n", "no password of one line"), ("admin:" + "x" * 9000, "too long")):
            with self.subTest(text=text and text[:20]):
                if text is not None:
                    file.write_text(text)
                node = Node([f"cluster.first_user_file={file}"])
                self.addCleanup(node.close)
                with self.assertRaises(NodeError) as caught:
                    node.start()
                self.assertIn(why, str(caught.exception))
                self.assertIn(str(file), str(caught.exception))
        file.write_text("admin:secret")
        node = Node([f"cluster.first_user_file={file}"])
        self.addCleanup(node.close)
        node.start()
        file.unlink()
        node.restart()
        with Client(node.host, node.port) as client:
            answer = client.call("DescribeUserScramCredentials", 0, users=None)
        self.assertEqual([r["user"] for r in answer["results"]], ["admin"])
        node.stop()


if __name__ == "__main__":
    unittest.main()
