#!/usr/bin/env python3
"""Who speaks on a connection: SCRAM users, SASL, sessions that end.

Goal: users are told and changed as Kafka does (KIP-554); who proves to know the password is let in, nobody else is, and what is said
on the way is Kafka's (KIP-43, KIP-84, KIP-152, KIP-368). Method: messages on the wire, with a client of SCRAM of the tests' own.
"""

import unittest

from case import NodeCase
from kafka import ERR
from scram import upsertion

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


if __name__ == "__main__":
    unittest.main()
