#!/usr/bin/env python3
"""Rules of access, made and told and taken away on one node.

Goal: CreateAcls, DescribeAcls and DeleteAcls answer as Kafka's do in every version, and rules outlive the node (KIP-11, KIP-140,
KIP-290). Method: requests on the wire; what is told afterwards is compared with what was made.
"""

import unittest

from acls import (ALL, ALLOW, ALTER, ANONYMOUS, ANY, CLUSTER, CLUSTER_NAME, DENY, DESCRIBE, GROUP, LITERAL, MATCH, PREFIXED, READ, TOPIC,
                  WRITE, AclCase, rule)
from case import NodeCase
from kafka import ERR


class WithoutAuthorizer(NodeCase):
    def test_disabled(self):
        """Without an authorizer there are no rules, and all three say so."""
        for version in (1, 2, 3):
            with self.subTest(version=version):
                client = self.client()
                answer = client.call("DescribeAcls", version, resource_type_filter=ANY, resource_name_filter=None,
                                     pattern_type_filter=ANY, principal_filter=None, host_filter=None, operation=1, permission_type=1)
                self.assertError(answer["error_code"], ERR.SECURITY_DISABLED)
                self.assertEqual(answer["resources"], [])
                answer = client.call("CreateAcls", version, creations=[rule(TOPIC, "t", READ), rule(TOPIC, "u", READ)])
                self.assertEqual([r["error_code"] for r in answer["results"]], [ERR.SECURITY_DISABLED] * 2)
                answer = client.call("DeleteAcls", version, filters=[
                    {"resource_type_filter": ANY, "pattern_type_filter": ANY, "operation": 1, "permission_type": 1,
                     "resource_name_filter": None, "principal_filter": None, "host_filter": None}])
                self.assertError(answer["filter_results"][0]["error_code"], ERR.SECURITY_DISABLED)


class Tables(AclCase):
    def test_made_told_removed(self):
        """KIP-140: in every version a rule is made, told as it was made, told by each filter, and removed."""
        for version in (1, 2, 3):
            with self.subTest(version=version):
                name, who = self.fresh("t"), f"User:CN={self.fresh('w')},O=x:y"
                self.create(rule(TOPIC, name, READ, principal=who, host="10.0.0.1"), rule(TOPIC, name, WRITE, DENY, principal=who),
                            rule(TOPIC, name, ALL, principal=who, pattern=PREFIXED), version=version)
                one, two, three = ((TOPIC, LITERAL, name, who, "*", WRITE, DENY), (TOPIC, LITERAL, name, who, "10.0.0.1", READ, ALLOW),
                                   (TOPIC, PREFIXED, name, who, "*", ALL, ALLOW))
                self.assertEqual(self.described(principal=who, version=version), [one, two, three])
                self.assertEqual(self.described(TOPIC, name, LITERAL, version=version), [one, two])
                self.assertEqual(self.described(TOPIC, name, PREFIXED, version=version), [three])
                self.assertEqual(self.described(TOPIC, name + "x", MATCH, principal=who, version=version), [three])
                self.assertEqual(self.described(principal=who, host="10.0.0.1", version=version), [two])
                self.assertEqual(self.described(principal=who, operation=WRITE, version=version), [one])
                self.assertEqual(self.described(principal=who, permission=DENY, version=version), [one])
                self.assertEqual(self.described(GROUP, principal=who, version=version), [])
                self.assertEqual(self.delete(TOPIC, name, PREFIXED, version=version), [three])
                self.assertEqual(self.delete(principal=who, version=version), [one, two])
                self.assertEqual(self.delete(principal=who, version=version), [])
                self.assertEqual(self.described(principal=who, version=version), [])

    def test_the_same_is_one(self):
        """A rule that is there is not made again."""
        one = rule(TOPIC, self.fresh("t"), READ)
        self.create(one, one)
        self.create(one)
        self.assertEqual(len(self.described(TOPIC, one["resource_name"], LITERAL)), 1)

    def test_misuse(self):
        """What no rule can be is refused by itself, and says why; what stands beside it is made."""
        name = self.fresh("t")
        good = rule(TOPIC, name, READ)
        bad = [{**good, "resource_type": ANY}, {**good, "resource_type": 99}, {**good, "resource_pattern_type": MATCH},
               {**good, "operation": 1}, {**good, "operation": 77}, {**good, "permission_type": 1}, {**good, "resource_name": ""},
               {**good, "principal": "alice"}, {**good, "principal": ""}, {**good, "host": ""}, rule(CLUSTER, "other", ALTER)]
        answer = self.client().call("CreateAcls", 3, creations=bad + [good])
        for sent, result in zip(bad, answer["results"]):
            with self.subTest(sent=sent):
                self.assertError(result["error_code"], ERR.INVALID_REQUEST)
                self.assertTrue(result["error_message"])
        self.assertError(answer["results"][-1]["error_code"], ERR.NONE)
        self.assertEqual(self.described(name=name), [(TOPIC, LITERAL, name, ANONYMOUS, "*", READ, ALLOW)])

    def test_misused_filters(self):
        for wrong in ({"kind": 0}, {"kind": 50}, {"pattern": 0}, {"operation": 0}, {"permission": 9}):
            with self.subTest(wrong=wrong), self.assertRaisesRegex(AssertionError, "INVALID_REQUEST|error 42"):
                self.described(**wrong)
            with self.subTest(wrong=wrong), self.assertRaisesRegex(AssertionError, "INVALID_REQUEST|error 42"):
                self.delete(**wrong)

    def test_needs_rights(self):
        """Telling rules needs DESCRIBE of the cluster, making and removing them ALTER."""
        guest = self.guest((CLUSTER, CLUSTER_NAME, DESCRIBE))
        self.assertTrue(self.described(client=guest))
        answer = guest.call("CreateAcls", 3, creations=[rule(TOPIC, "t", READ)])
        self.assertError(answer["results"][0]["error_code"], ERR.CLUSTER_AUTHORIZATION_FAILED)
        answer = guest.call("DeleteAcls", 3, filters=[
            {"resource_type_filter": ANY, "pattern_type_filter": ANY, "operation": 1, "permission_type": 1,
             "resource_name_filter": None, "principal_filter": None, "host_filter": None}])
        self.assertError(answer["filter_results"][0]["error_code"], ERR.CLUSTER_AUTHORIZATION_FAILED)
        self.revoke(guest)
        answer = guest.call("DescribeAcls", 3, resource_type_filter=ANY, resource_name_filter=None, pattern_type_filter=ANY,
                            principal_filter=None, host_filter=None, operation=1, permission_type=1)
        self.assertError(answer["error_code"], ERR.CLUSTER_AUTHORIZATION_FAILED)
        self.allow(guest, (CLUSTER, CLUSTER_NAME, ALTER))           # implies DESCRIBE
        self.assertTrue(self.described(client=guest))

    def test_many(self):
        """Thousands at once; and a filter that means too many of them is refused whole."""
        who = f"User:{self.fresh('many')}"
        for part in range(3):
            self.create(*(rule(TOPIC, f"many-{part}-{n}", READ, principal=who) for n in range(4000)))
        self.assertEqual(len(self.described(principal=who)), 12000)
        answer = self.client().call("DeleteAcls", 3, filters=[
            {"resource_type_filter": ANY, "pattern_type_filter": ANY, "operation": 1, "permission_type": 1,
             "resource_name_filter": None, "principal_filter": who, "host_filter": None}])
        self.assertError(answer["filter_results"][0]["error_code"], ERR.POLICY_VIOLATION)
        self.assertEqual(len(self.delete(TOPIC, "many-1", ANY, principal=who)), 0)
        for n in range(3):
            self.delete(TOPIC, f"many-0-{n}", principal=who)
        self.assertEqual(len(self.described(principal=who)), 11997)


class Kept(AclCase):
    def test_kept(self):
        """Rules and removals are there after a stop and after a crash."""
        one, two = rule(TOPIC, self.fresh("t"), READ), rule(GROUP, self.fresh("g"), READ, pattern=PREFIXED)
        self.create(one, two)
        self.delete(name=one["resource_name"])
        before = self.described()
        self.assertIn((GROUP, PREFIXED, two["resource_name"], ANONYMOUS, "*", READ, ALLOW), before)
        for kill in (True, False, False):
            self.node.restart(kill=kill)
            self.assertEqual(self.described(), before)


if __name__ == "__main__":
    unittest.main()
