#!/usr/bin/env python3
"""The audit log of one node.

Goal: what is said to be recorded is, once, with who did it and what it was before and after; the chain goes on over restarts and crashes;
whatever is done to the files is found by `chronik-ctl audit verify`; when entries cannot be written, clients wait or entries are
counted, as audit.on_full says. Method: the real programs; changes to the files; a disk that holds syncs back.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import CHRONIK_CTL

import records
from case import NodeCase
from cluster import ClusterCase
from kafka import ERR, Client, ClientError
from scram import upsertion
from test_sasl import SaslCase
from test_tokens import secret_file
from txn import Producer

LITERAL, ALLOW, TOPIC, READ = 3, 3, 2, 3


class AuditCase(SaslCase):
    """Whoever comes by the first listener is nobody in particular and may do everything; alice may do nothing."""
    SETTINGS = SaslCase.SETTINGS + ["audit.enabled=true", "audit.grants=admin", "security.authorizer=standard",
                                    "security.super_users=User:ANONYMOUS", "audit.checkpoint_interval_ms=200"]

    @classmethod
    def setUpClass(cls):
        file = secret_file(cls)
        cls.SETTINGS = [*cls.SETTINGS, f"security.delegation_token_secret_file={file}"]
        super().setUpClass()

    @property
    def folder(self):
        return self.node.data / "audit"

    def ctl(self, *args, server=None):
        return subprocess.run([CHRONIK_CTL, *map(str, args)], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "CHRONIK_SERVER": server or self.node.admin})

    def good(self, *args):
        done = self.ctl(*args)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout} {done.stderr}")
        return done.stdout

    def entries(self, folder=None):
        lines = [line for file in sorted((folder or self.folder).glob("*.log")) for line in file.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    def wait_for(self, **members):
        """The entries with these members, when there is one."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = [e for e in self.entries() if all(e.get(k) == v for k, v in members.items())]
            if found:
                return found
            time.sleep(0.02)
        self.fail(f"no entry with {members} among {self.entries()[-5:]}")

    def wait_signed(self):
        """Until the newest entry is a checkpoint."""
        deadline = time.monotonic() + 10
        while self.entries()[-1]["kind"] != "checkpoint":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        time.sleep(0.1)                 # its head comes behind it

    def copy(self):
        """The log as it is now, for changing."""
        self.wait_signed()
        folder = Path(tempfile.mkdtemp(prefix="chronik-audit-"))
        self.addCleanup(shutil.rmtree, folder)
        def head():
            return (self.folder / "head").read_bytes()
        before = None
        while before != head():         # the node goes on, and a copy of two moments would be none of the log
            before = head()
            shutil.rmtree(folder / "audit", ignore_errors=True)
            try:
                shutil.copytree(self.folder, folder / "audit", ignore=shutil.ignore_patterns("*.tmp"))
            except shutil.Error:        # a file went in between
                before = None
        return folder / "audit"

    def key(self):
        return json.loads(self.node.get("/v1/audit")[1])["public_key"]

    def verify(self, folder, *args):
        """(status, report) of verifying what lies there, without a node."""
        done = self.ctl("audit", "verify", folder, "--public-key", self.key(), "--json", *args)
        return done.returncode, json.loads(done.stdout)


class Kinds(AuditCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Client(cls.node.host, cls.node.port) as client:
            client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("alice", "secret", "SCRAM-SHA-256")])

    def test_logins(self):
        """Who proved to be who they are, and who did not, by which mechanism and from where."""
        self.login("alice", "secret")
        entry = self.wait_for(kind="login", principal="User:alice")[-1]
        self.assertEqual((entry["host"], entry["listener"], entry["operation"]), ("127.0.0.1", "CLIENTS", "SCRAM-SHA-256"))
        for user, mechanism in (("alice", "SCRAM-SHA-256"), ("mallory", "PLAIN")):
            client = self.stranger()
            self.handshake(client, mechanism)
            answer = self.scram(client, user, "wrong") if mechanism != "PLAIN" else self.plain(client, user, "wrong")
            self.assertError(answer["error_code"], ERR.SASL_AUTHENTICATION_FAILED)
            entry = self.wait_for(kind="login_failed", principal=f"User:{user}")[-1]
            self.assertEqual(entry["operation"], mechanism)
            self.assertTrue(entry["outcome"])
        self.assertNotIn("wrong", "".join(f.read_text() for f in self.folder.glob("*.log")))

    def test_denials(self):
        """What somebody may not do, with the request that asked."""
        topic = self.topic()
        client = self.login("alice", "secret")
        answer = client.call("Produce", 9, acks=-1, timeout_ms=1000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": records.batch([b"x"])}]}])
        self.assertError(answer["responses"][0]["partition_responses"][0]["error_code"], ERR.TOPIC_AUTHORIZATION_FAILED)
        entries = self.wait_for(kind="denied", name=topic)
        self.assertEqual(len(entries), 1)
        self.assertEqual([entries[0][k] for k in ("principal", "operation", "resource", "api")],
                         ["User:alice", "WRITE", "TOPIC", "PRODUCE"])
        self.assertIn("correlation_id", entries[0])

    def test_grants(self):
        """Of what is granted only what changes something for others is recorded, as audit.grants says."""
        topic = self.topic()
        self.assertEqual(self.produce(self.client(), topic, [b"x"])["error_code"], 0)
        self.wait_for(kind="granted", operation="CREATE", resource="CLUSTER", principal="User:ANONYMOUS")
        self.assertFalse([e for e in self.entries() if e["kind"] == "granted" and e["operation"] in ("WRITE", "DESCRIBE", "READ")])

    def test_topics_and_configs(self):
        topic = self.topic(2)
        entry = self.wait_for(kind="change", operation="CREATE_TOPIC", name=topic)[0]
        self.assertEqual((entry["before"], entry["after"]["partitions"], entry["outcome"]), (None, 2, "done"))
        self.assertEqual((entry["principal"], entry["api"]), ("User:ANONYMOUS", "CREATE_TOPICS"))
        client = self.client()
        client.call("IncrementalAlterConfigs", 1, resources=[{"resource_type": 2, "resource_name": topic, "configs": [
            {"name": "retention.ms", "config_operation": 0, "value": "5000"}]}])
        entry = self.wait_for(kind="change", operation="ALTER_CONFIGS", name=topic)[0]
        self.assertEqual((entry["resource"], entry["before"], entry["after"]), ("TOPIC", {}, {"retention.ms": "5000"}))
        client.call("CreatePartitions", 3, topics=[{"name": topic, "count": 3, "assignments": None}], timeout_ms=1000)
        entry = self.wait_for(kind="change", operation="CREATE_PARTITIONS", name=topic)[0]
        self.assertEqual((entry["before"]["partitions"], entry["after"]["partitions"]), (2, 3))
        client.call("CreateTopics", 7, topics=[{"name": topic, "num_partitions": 1, "replication_factor": 1}])
        refused = [e for e in self.wait_for(kind="change", operation="CREATE_TOPIC", name=topic) if e["outcome"] != "done"]
        deadline = time.monotonic() + 5
        while not refused and time.monotonic() < deadline:
            refused = [e for e in self.wait_for(operation="CREATE_TOPIC", name=topic) if e["outcome"] != "done"]
        self.assertIn("exists", refused[0]["outcome"])
        client.call("DeleteTopics", 6, topics=[{"name": topic}], timeout_ms=1000)
        entry = self.wait_for(kind="change", operation="DELETE_TOPIC", name=topic)[0]
        self.assertEqual((entry["before"]["partitions"], entry["after"]), (3, None))

    def test_users_rules_and_quotas(self):
        """Credentials without their secrets; rules that came and went; quotas."""
        client = self.client()
        client.call("AlterUserScramCredentials", 0, upsertions=[upsertion("bob", "hunter2", "SCRAM-SHA-512")])
        entry = self.wait_for(kind="change", operation="ALTER_CREDENTIAL", name="bob")[0]
        self.assertEqual(entry["before"], None)
        self.assertEqual(set(entry["after"]), {"mechanism", "iterations"})
        rule = {"resource_type": TOPIC, "resource_name": "t", "resource_pattern_type": LITERAL, "principal": "User:bob", "host": "*",
                "operation": READ, "permission_type": ALLOW}
        client.call("CreateAcls", 3, creations=[rule])
        entry = self.wait_for(kind="change", operation="CREATE_ACL", name="t")[0]
        self.assertEqual((entry["before"], entry["after"]["principal"]), (None, "User:bob"))
        client.call("DeleteAcls", 3, filters=[{"resource_type_filter": TOPIC, "resource_name_filter": "t", "pattern_type_filter": LITERAL,
                                               "principal_filter": None, "host_filter": None, "operation": 1, "permission_type": 1}])
        entry = self.wait_for(kind="change", operation="DELETE_ACLS", name="t")[0]
        self.assertEqual([r["principal"] for r in entry["before"]], ["User:bob"])
        client.call("AlterClientQuotas", 1, entries=[{"entity": [{"entity_type": "user", "entity_name": "bob"}],
                                                      "ops": [{"key": "producer_byte_rate", "value": 1000.0, "remove": False}]}])
        entry = self.wait_for(kind="change", operation="ALTER_CONFIGS", resource="QUOTA")[0]
        self.assertIn("producer_byte_rate", entry["after"])

    def test_delegation_tokens(self):
        """Made, renewed, ended, and what was refused: whose and until when, and nothing of the secret or of what is kept of it."""
        client = self.login("alice", "secret")
        made = client.call("CreateDelegationToken", 3, renewers=[{"principal_type": "User", "principal_name": "bob"}], max_lifetime_ms=-1)
        self.assertError(made["error_code"], ERR.NONE)
        entry = self.wait_for(kind="change", operation="CREATE_TOKEN", name=made["token_id"])[0]
        value = {"owner": "User:alice", "requester": "User:alice", "renewers": ["User:bob"], "issue_ms": made["issue_timestamp_ms"],
                 "expiry_ms": made["expiry_timestamp_ms"], "max_ms": made["max_timestamp_ms"]}
        self.assertEqual([entry[k] for k in ("principal", "resource", "before", "after", "outcome")],
                         ["User:alice", "DELEGATION_TOKEN", None, value, "done"])
        renewed = client.call("RenewDelegationToken", 2, hmac=made["hmac"], renew_period_ms=60000)
        entry = self.wait_for(kind="change", operation="RENEW_TOKEN", name=made["token_id"])[0]
        later = {**value, "expiry_ms": renewed["expiry_timestamp_ms"]}
        self.assertEqual((entry["before"], entry["after"]), (value, later))
        client.call("ExpireDelegationToken", 2, hmac=made["hmac"], expiry_time_period_ms=-1)
        entry = self.wait_for(kind="change", operation="EXPIRE_TOKEN", name=made["token_id"])[0]
        self.assertEqual((entry["before"], entry["after"], entry["outcome"]), (later, None, "done"))
        client.call("ExpireDelegationToken", 2, hmac=made["hmac"], expiry_time_period_ms=-1)
        self.wait_for(kind="change", operation="EXPIRE_TOKEN", outcome="There is no such delegation token.")
        self.client().call("RenewDelegationToken", 2, hmac=made["hmac"], renew_period_ms=-1)    # nobody in particular
        self.wait_for(kind="change", operation="RENEW_TOKEN", outcome="DELEGATION_TOKEN_REQUEST_NOT_ALLOWED")
        written = "".join(f.read_text() for f in self.folder.glob("*.log")) + self.node.text()
        digest = hashlib.sha256(made["hmac"]).digest()
        for secret in (made["hmac"], digest):
            for form in (secret.hex(), base64.b64encode(secret).decode()):
                self.assertNotIn(form, written)

    def test_groups_and_records(self):
        self.client().call("DeleteGroups", 2, groups_names=["nobody"])
        self.assertIn(self.wait_for(kind="change", operation="DELETE_GROUP", name="nobody")[0]["outcome"],
                      ("NOT_COORDINATOR", "GROUP_ID_NOT_FOUND"))
        topic = self.topic()
        self.produce(self.client(), topic, [b"x", b"y"])
        self.client().call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": 1}]}])
        self.assertEqual(self.wait_for(kind="change", operation="DELETE_RECORDS", name=f"{topic}-0")[0]["outcome"], "done")

    def test_operators(self):
        """What chronik-ctl asks for comes by the admin listener; without roles there nobody says who they are."""
        self.good("topic", "create", "by-operator")
        entry = self.wait_for(kind="change", operation="CREATE_TOPIC", name="by-operator")[0]
        self.assertEqual((entry["listener"], entry.get("principal"), entry["api"]), ("admin", None, "POST /v1/topics"))
        self.good("node", "drain", "1")
        entry = self.wait_for(kind="change", operation="DRAIN_BROKER", name="1")[0]
        self.assertEqual((entry["before"]["duty"], entry["after"]["duty"]), ("none", "drained"))
        self.good("node", "undrain", "1")
        producer = Producer(self, "txn-1")
        self.assertError(producer.init(), ERR.NONE)
        self.assertError(producer.send("by-operator", b"x"), ERR.NONE)
        self.good("txn", "abort", "txn-1")
        self.assertEqual(self.wait_for(kind="change", operation="ABORT_TRANSACTION", name="txn-1")[0]["outcome"], "done")

    def test_list_verify_and_metrics(self):
        self.topic()
        self.wait_for(kind="change", operation="CREATE_TOPIC")
        self.assertIn("CREATE_TOPIC", self.good("audit", "list"))
        self.assertIn("CREATE_TOPIC", self.good("audit", "list", self.folder))
        self.assertTrue(json.loads(self.good("audit", "list", "--json"))["entries"])
        self.assertIn("whole", self.good("audit", "verify"))
        self.assertIn("whole", self.good("audit", "verify", "--public-key", self.key()))
        done = self.ctl("audit", "verify", "--public-key", "ab" * 32)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(self.ctl("audit", "verify", "--public-key", "nonsense").returncode, 2)
        self.assertGreater(self.node.metric("chronik_audit_entries_total"), 0)
        self.assertEqual(self.node.metric("chronik_audit_dropped_total"), 0)
        self.assertEqual((self.folder / "key.pem").stat().st_mode & 0o777, 0o600)
        self.assertIn('audit: {"seq":', self.node.text())

    def test_changes_to_the_files_are_found(self):
        """A byte, a line, the end, the beginning, the key: each with the place where it is."""
        self.topic()
        self.wait_for(kind="change", operation="CREATE_TOPIC")
        status, report = self.verify(self.copy())
        self.assertEqual((status, report["whole"]), (0, True))

        def changed(change):
            folder = self.copy()
            file = sorted(folder.glob("*.log"))[-1]
            file.write_bytes(change(file.read_bytes()))
            status, report = self.verify(folder)
            self.assertEqual((status, report["whole"]), (4, False), report)
            return report

        report = changed(lambda data: data.replace(b"CREATE_TOPIC", b"DELETE_TOPIC", 1))
        self.assertIn("changed", report["why"])
        self.assertIn("missing", changed(lambda data: b"".join(
            line for i, line in enumerate(data.splitlines(keepends=True)) if i != 2))["why"])
        report = changed(lambda data: b"".join(data.splitlines(keepends=True)[:-1]))
        self.assertIn("the end is missing", report["why"])
        self.assertEqual(report["must_reach"], report["expected"])
        self.assertIn("the end is missing", changed(lambda data: data[:-30])["why"])
        self.assertIn("the beginning is missing", changed(lambda data: b"".join(data.splitlines(keepends=True)[1:]))["why"])
        folder = self.copy()
        (folder / "head").unlink()
        self.assertEqual(self.verify(folder)[0], 4)
        self.assertEqual(self.ctl("audit", "verify", folder / "nothing").returncode, 1)


class Restarts(AuditCase):
    def test_the_chain_goes_on(self):
        """After a stop, a crash, and an entry that was not written to its end; what was removed meanwhile stays a gap."""
        for kill in (False, True):
            name = self.topic()
            self.wait_for(operation="CREATE_TOPIC", name=name)
            self.node.restart(kill=kill)
        self.assertEqual(len([e for e in self.entries() if e["kind"] == "start"]), 3)
        self.assertEqual([e["seq"] for e in self.entries()], list(range(1, len(self.entries()) + 1)))
        self.node.stop()
        file = sorted(self.folder.glob("*.log"))[-1]
        with open(file, "ab") as log:
            log.write(b'{"seq":99,"time')
        self.node.start()
        self.assertEqual(self.wait_for(kind="start", torn_bytes=15)[0]["torn_bytes"], 15)
        self.assertIn("whole", self.good("audit", "verify"))
        self.node.stop()
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-2]))
        self.node.start()
        self.assertIn("its end was removed", self.node.text())
        done = self.ctl("audit", "verify")
        self.assertEqual(done.returncode, 4)
        self.assertIn("entries are missing", done.stdout)


class Keys(AuditCase):
    def keys(self):
        return json.loads(self.node.get("/v1/audit")[1])["public_keys"]

    def rotate(self):
        out = self.good("audit", "rotate-key")
        self.assertIn(",".join(self.keys()[-2:]), out)

    def assertWhole(self, changes):
        """As the node says itself, as who knows all keys says, and as who knows none and believes the first."""
        keys = self.keys()
        self.assertIn("whole", self.good("audit", "verify"))
        folder = self.copy()
        for known in (["--public-key", ",".join(keys)], []):
            report = json.loads(self.good("audit", "verify", folder, "--json", *known))
            self.assertEqual([c["public_key"] for c in report["key_changes"]], keys[1:])
            self.assertEqual(report["public_key"], keys[-1])
        self.assertEqual(len(keys), changes + 1)

    def test_another_key(self):
        """One command: the chain goes on, the first key signs for the second; all keys are needed, in their order, and where they changed is
        shown. After a restart and a crash it is as before."""
        first = self.keys()
        self.assertEqual(len(first), 1)
        pem = (self.folder / "key.pem").read_text()
        self.topic()
        self.wait_for(operation="CREATE_TOPIC")
        self.rotate()
        self.assertNotEqual((self.folder / "key.pem").read_text(), pem)
        self.assertEqual((self.folder / "key.pem").stat().st_mode & 0o777, 0o600)
        self.assertFalse((self.folder / "key.pem.next").exists())
        self.assertWhole(1)
        self.topic()
        self.node.restart(kill=True)
        self.rotate()
        self.assertWhole(2)
        self.node.restart()
        self.assertWhole(2)
        keys, folder = self.keys(), self.copy()
        out = self.good("audit", "verify", folder, "--public-key", ",".join(keys))
        self.assertEqual(out.count("the key changed with entry"), 2)
        for wrong in (keys[:1], keys[1:], keys[:2], [keys[0], keys[2]], [keys[2], keys[1], keys[0]], [*keys, "ab" * 32]):
            done = self.ctl("audit", "verify", folder, "--public-key", ",".join(wrong))
            self.assertEqual(done.returncode, 4, (wrong, done.stdout))

    def test_stopped_in_between(self):
        """What a crash leaves: a next key that the log does not know goes, one that it has handed over to takes its place."""
        count = len(self.keys())
        key, nxt, earlier = (self.folder / name for name in ("key.pem", "key.pem.next", "key.pem.earlier"))
        before = key.read_bytes()
        self.node.stop()
        nxt.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True).stdout)
        self.node.start()
        self.assertFalse(nxt.exists())
        self.assertEqual(key.read_bytes(), before)
        known = earlier.read_bytes() if earlier.exists() else None
        self.rotate()
        self.node.kill()
        after = key.read_bytes()
        nxt.write_bytes(after)
        key.write_bytes(before)
        earlier.write_bytes(known) if known else earlier.unlink()
        self.node.start()
        self.assertFalse(nxt.exists())
        self.assertEqual(key.read_bytes(), after)
        self.assertWhole(count)

    def test_where_it_cannot_be_written(self):
        """The new key has no room beside the one in use: that is said, and the one in use stays."""
        if os.geteuid() == 0:
            (self.folder / "key.pem.next").mkdir()          # root may write anywhere
            self.addCleanup(lambda: (self.folder / "key.pem.next").rmdir())
        else:
            self.folder.chmod(0o500)
            self.addCleanup(self.folder.chmod, 0o700)
        before = self.keys()
        done = self.ctl("audit", "rotate-key")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("cannot be replaced", done.stderr)
        self.assertEqual(self.keys(), before)


class Topic(AuditCase):
    SETTINGS = AuditCase.SETTINGS + ["audit.topic_partitions=3"]

    def test_entries_are_in_the_topic(self):
        """The lines of the files, in their order; clients may read the topic and not write it."""
        deadline = time.monotonic() + 10
        lines = []
        while not any("DELETE_GROUP" in line for line in lines):
            self.assertLess(time.monotonic(), deadline)
            self.client().call("DeleteGroups", 2, groups_names=["nobody"])
            time.sleep(0.3)
            answer = self.client().call("Metadata", 12, topics=[{"name": "__chronik_audit"}], allow_auto_topic_creation=False)
            if answer["topics"][0]["error_code"]:
                continue
            self.assertEqual((answer["topics"][0]["is_internal"], len(answer["topics"][0]["partitions"])), (True, 3))
            lines = [value.decode() for i in range(3)
                     for value in records.values(self.fetch(self.client(), "__chronik_audit", partition=i)["records"] or b"")]
        in_files = [line for file in sorted(self.folder.glob("*.log")) for line in file.read_text().splitlines()]
        self.assertEqual(lines, [line for line in in_files if line in lines])
        self.assertEqual([json.loads(line)["seq"] for line in lines],
                         list(range(json.loads(lines[0])["seq"], json.loads(lines[0])["seq"] + len(lines))))
        self.assertNotEqual(self.produce(self.client(), "__chronik_audit", [b"x"])["error_code"], 0)
        self.assertGreater(self.node.metric("chronik_audit_topic_entries_total"), 0)


class Cluster(ClusterCase):
    SETTINGS = ["audit.enabled=true", "audit.checkpoint_interval_ms=200", "audit.topic_partitions=6"]

    def test_each_node_records_what_it_was_asked(self):
        """A change is recorded once, by the node that the client asked, whoever decides it; all nodes' lines come to the topic."""
        for node in (1, 2, 3):
            answer = self.client(node).call("CreateTopics", 7, topics=[
                {"name": f"by-{node}", "num_partitions": 1, "replication_factor": 3}], timeout_ms=10000)
            self.assertError(answer["topics"][0]["error_code"], ERR.NONE, answer["topics"][0]["error_message"])

        def names(node):
            return [e["name"] for e in self.entries(node) if e["kind"] == "change" and e["operation"] == "CREATE_TOPIC"]
        for node in (1, 2, 3):
            self.wait_until(lambda node=node: names(node) == [f"by-{node}"], f"node {node} has recorded {names(node)}")
            done = subprocess.run([CHRONIK_CTL, "--server", self.nodes[node - 1].admin, "audit", "verify"], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(f"of node {node},", done.stdout)
        self.wait_until(self.all_in_topic, "not all nodes write to the topic")

    def entries(self, node):
        return [json.loads(line) for file in sorted((self.nodes[node - 1].data / "audit").glob("*.log"))
                for line in file.read_text().splitlines()]

    def all_in_topic(self):
        for node in (1, 2, 3):
            self.client(node).call("DeleteGroups", 2, groups_names=["nobody"])
        return all(node.metric("chronik_audit_topic_entries_total") for node in self.nodes)


class Files(AuditCase):
    SETTINGS = AuditCase.SETTINGS + ["audit.file_bytes=64KiB", "audit.files_max=3", "audit.journal=false"]

    def test_old_files_go(self):
        """Files follow each other, the oldest goes, and what is left is whole by itself."""
        client = self.client()
        for _ in range(400):
            client.call("DeleteGroups", 2, groups_names=["nobody"])
        deadline = time.monotonic() + 20
        while len(list(self.folder.glob("*.log"))) < 3 or (self.folder / f"{1:020}.log").exists():
            client.call("DeleteGroups", 2, groups_names=["nobody"] * 20)
            self.assertLess(time.monotonic(), deadline)
        self.assertLessEqual(len(list(self.folder.glob("*.log"))), 4)
        status, report = self.verify(self.copy())
        self.assertEqual((status, report["whole"]), (0, True), report)
        self.assertGreater(report["first"], 1)
        folder = self.copy()
        sorted(folder.glob("*.log"))[0].unlink()
        status, report = self.verify(folder)
        self.assertEqual((status, report["why"]), (4, "the beginning is missing"))


class FullCase(AuditCase):
    DISK = True



class Drops(FullCase):
    SETTINGS = AuditCase.SETTINGS + ["audit.queue_entries=16", "audit.on_full=drop"]

    def test_drops_are_counted(self):
        """Nobody waits, and the log says how many entries are missing."""
        self.addCleanup(self.disk.release)
        self.disk._order("hold /audit/")
        client = self.client()
        for _ in range(100):
            client.call("DeleteGroups", 2, groups_names=["nobody"])
        dropped = self.node.metric("chronik_audit_dropped_total")
        self.assertGreater(dropped, 50)
        self.assertLessEqual(self.node.metric("chronik_audit_queue_entries"), 16)
        self.disk.release()
        self.wait_for(kind="dropped", count=int(dropped))
        status, report = self.verify(self.copy())
        self.assertEqual((status, report["dropped"]), (0, dropped))

    def test_failed_writes_are_tried_again(self):
        """A disk that fails loses nothing that fits the queue, and leaves a log that is whole."""
        self.addCleanup(self.disk.release)
        self.disk._order("fail /audit/")
        self.client().call("DeleteGroups", 2, groups_names=["while-failing"])
        deadline = time.monotonic() + 10
        while not self.node.metric("chronik_audit_write_failures_total"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.disk.release()
        self.assertEqual(len(self.wait_for(kind="change", name="while-failing")), 1)
        self.assertEqual(self.verify(self.copy())[0], 0)


class Blocks(FullCase):
    SETTINGS = AuditCase.SETTINGS + ["audit.queue_entries=16", "audit.on_full=block"]

    def test_clients_wait(self):
        """Clients are not answered while there is no room, operators are refused, and nothing is lost."""
        self.addCleanup(self.disk.release)
        self.disk._order("hold /audit/")
        client = self.client(timeout_s=1)
        answered = 0
        with self.assertRaises(ClientError):
            for _ in range(100):
                client.call("DeleteGroups", 2, groups_names=["nobody"])
                answered += 1
        self.assertLess(answered, 40)
        done = self.ctl("topic", "create", "in-vain")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("audit log", done.stderr)
        waiting = self.client()
        self.disk.release()
        self.assertEqual(len(waiting.call("DeleteGroups", 2, groups_names=["last"])["results"]), 1)
        self.wait_for(name="last")
        self.assertGreaterEqual(len(self.wait_for(name="nobody")), answered)
        self.assertEqual(self.node.metric("chronik_audit_dropped_total"), 0)
        status, report = self.verify(self.copy())
        self.assertEqual((status, report["dropped"]), (0, 0))


if __name__ == "__main__":
    unittest.main()
