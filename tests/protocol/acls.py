"""Rules of access on one node: what the test_acl* files stand on.

Nobody authenticates here, so who asks is told from others by address: 127.0.0.1 may do everything, and each guest() comes from an
address of its own, for which there are no rules until allow() and deny() make some. Kafka can take the node's place: apache.py.
"""

import itertools
import time

import apache
from case import NodeCase
from kafka import ERR, Client

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID, DELEGATION_TOKEN, USER = range(2, 8)
ANY, MATCH, LITERAL, PREFIXED = range(1, 5)
(ALL, READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE, CREATE_TOKENS,
 DESCRIBE_TOKENS, TWO_PHASE_COMMIT) = range(2, 16)
DENY, ALLOW = 2, 3
CLUSTER_NAME = "kafka-cluster"
ANONYMOUS = "User:ANONYMOUS"
KINDS = (TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID, DELEGATION_TOKEN, USER)


def bits(*operations):
    return sum(1 << op for op in operations)


def rule(kind, name, operation, permission=ALLOW, principal=ANONYMOUS, host="*", pattern=LITERAL):
    return {"resource_type": kind, "resource_name": name, "resource_pattern_type": pattern, "principal": principal, "host": host,
            "operation": operation, "permission_type": permission}


class AclCase(NodeCase):
    SETTINGS = ["security.authorizer=standard", "security.allow_everyone_if_no_acl_found=true", "topics.auto_create=false",
                "groups.initial_rebalance_delay_ms=0", "groups.offsets_partitions=3", "transactions.state_partitions=3"]
    KAFKA = {"group.coordinator.rebalance.protocols": "classic,consumer", "group.consumer.assignment.interval.ms": 0,
             "group.consumer.assignor.offload.enable": "false"}
    hosts = itertools.count(2)

    @classmethod
    def start(cls):
        """A node without rules."""
        cls.disk = None
        cls.node = apache.node(cls.SETTINGS, kafka=cls.KAFKA)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    @classmethod
    def setUpClass(cls):
        cls.start()
        with Client(cls.node.host, cls.node.port) as client:
            # The rule for the cluster comes last: with it the others are refused to who has none.
            rules = [rule(kind, CLUSTER_NAME if kind == CLUSTER else "*", ALL, host="127.0.0.1")
                     for kind in sorted(KINDS, key=lambda k: k == CLUSTER)]
            answer = client.call("CreateAcls", 3, creations=rules)
            if any(r["error_code"] for r in answer["results"]):
                raise AssertionError(answer)

    def topic(self, partitions=1, name=None, **configs):
        name = super().topic(partitions, name, **configs)
        self.settle()
        return name

    @staticmethod
    def settle():
        """Kafka answers before its broker knows of a change."""
        if apache.jars():
            time.sleep(0.3)

    def create(self, *rules, version=3):
        answer = self.client().call("CreateAcls", version, creations=list(rules))
        self.assertEqual([(r["error_code"], r["error_message"]) for r in answer["results"]], [(0, "")] * len(rules))
        self.settle()

    def described(self, kind=ANY, name=None, pattern=ANY, principal=None, host=None, operation=1, permission=1, version=3, client=None):
        """The rules that a filter means: (kind, pattern, name, principal, host, operation, permission), sorted."""
        answer = (client or self.client()).call(
            "DescribeAcls", version, resource_type_filter=kind, resource_name_filter=name, pattern_type_filter=pattern,
            principal_filter=principal, host_filter=host, operation=operation, permission_type=permission)
        self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        return sorted((r["resource_type"], r["pattern_type"], r["resource_name"], a["principal"], a["host"], a["operation"],
                       a["permission_type"]) for r in answer["resources"] for a in r["acls"])

    def delete(self, kind=ANY, name=None, pattern=ANY, principal=None, host=None, operation=1, permission=1, version=3):
        answer = self.client().call("DeleteAcls", version, filters=[
            {"resource_type_filter": kind, "resource_name_filter": name, "pattern_type_filter": pattern, "principal_filter": principal,
             "host_filter": host, "operation": operation, "permission_type": permission}])
        result = answer["filter_results"][0]
        self.assertError(result["error_code"], ERR.NONE, result["error_message"])
        self.settle()
        return sorted((a["resource_type"], a["pattern_type"], a["resource_name"], a["principal"], a["host"], a["operation"],
                       a["permission_type"]) for a in result["matching_acls"])

    # ---- guests ----

    def guest(self, *rules):
        """A connection from an address of its own; @rules are (kind, name, operation)s that it is allowed. Its host is @host."""
        number = next(self.hosts)
        host = f"127.0.{number // 200}.{number % 200 + 2}"
        client = self.client(source=host)
        client.host = host
        if rules:
            self.allow(client, *rules)
        return client

    def allow(self, client, *rules, permission=ALLOW, pattern=LITERAL):
        self.create(*(rule(*r, permission=permission, host=client.host, pattern=pattern) for r in rules))

    def deny(self, client, *rules):
        self.allow(client, *rules, permission=DENY)

    def revoke(self, client):
        """Take all of its rules away."""
        self.delete(host=client.host)
