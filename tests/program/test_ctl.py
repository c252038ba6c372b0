#!/usr/bin/env python3
"""chronik-ctl, as an operator uses it.

Goal: every command does what its help says, in words and as JSON; what is wrong is said on standard error together with
what would be right, with the documented status; tables stay straight whatever names clients choose.
Method: the real programs against each other.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import time
import unicodedata
import unittest

from program import CHRONIK_CTL, ROOT, ProgramCase

import records
from case import NodeCase
from kafka import ERR, Client
from scram import Exchange
from txn import Producer, visible

COMMANDS = ("cluster info", "cluster disruption show", "cluster disruption acquire", "cluster disruption release",
            "cluster disruption override", "node list", "node get", "node drain", "node undrain", "node decommission",
            "node may-stop", "node guard", "node health", "controller list", "controller add", "controller remove", "controller transfer",
            "topic list", "topic get", "topic create", "topic delete", "topic reassign list", "topic reassign set",
            "topic reassign cancel", "topic elect", "group list", "group get", "quota list", "quota set", "quota unset",
            "acl list", "acl add", "acl remove", "audit list", "audit verify", "audit rotate-key", "user list", "user add", "user rotate", "user remove",
            "txn list", "txn describe", "txn abort", "log verify", "tls init", "tls renew", "tls rotate-ca", "admin-token new",
            "admin-token rotate", "token-secret add", "token-secret switch", "token-secret finish", "doctor")
OPTIONS = ("--server", "--token-file", "--ca", "--cert", "--key", "--json", "--detailed", "--partitions", "--replication-factor", "--config", "--replicas", "--file",
           "--unclean", "--wait", "--timeout", "--node", "--reason", "--ttl", "--as", "--directory", "--rate", "--data-dir",
           "--dir", "--nodes", "--days", "--user", "--client-id", "--ip", "--default", "--principal", "--operation", "--topic", "--group",
           "--txn-id", "--cluster", "--public-key", "--sysctl", "--root", "--prefixed", "--host", "--deny", "--overlap", "--generate", "--finish", "--admin",
           "--tokens-file", "--version", "--help")


class CtlCase(ProgramCase):
    server = "127.0.0.1:1"              # nobody

    def ctl(self, *args, env=None, stdin=""):
        return self.run_program(CHRONIK_CTL, *args, stdin=stdin, env={"CHRONIK_SERVER": self.server, "LC_ALL": "C", **(env or {})})

    def good(self, *args):
        """It succeeds without a word on standard error; returns what it prints."""
        done = self.ctl(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), args)
        return done.stdout

    def bad(self, status, *args, says=(), env=None):
        """It fails with @status, prints nothing, and says why."""
        done = self.ctl(*args, env=env)
        self.assertEqual((done.returncode, done.stdout), (status, ""), f"{args}: {done.stderr}")
        for words in says:
            self.assertIn(words, done.stderr)
        return done.stderr


class Usage(CtlCase):
    """What needs no node."""

    def test_help(self):
        """--help, and help, show every command with an example, every option and the exit statuses."""
        text = self.good("--help")
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command}( [A-Z@:\[\] ]+?)?  +\w")
            self.assertIn(f"  chronik-ctl {command}", text)
        for option in OPTIONS:
            self.assertRegex(text, rf"(?m)^  {option}\b")
        self.assertIn("Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answered, 4 damage found,\n"
                      "5 not safe to stop, 6 this operator may not.", text)
        self.assertEqual(self.good("help"), text)
        self.assertRegex(self.good("--version"), r"^chronik-ctl \d+\.\d+\.\d+\n$")

    def test_help_of_each(self):
        """Help of a noun or a verb is about that: its commands, its options, its examples, and no others."""
        for noun in ("cluster", "node", "controller", "topic", "group", "quota", "acl", "audit", "user", "txn", "log", "tls"):
            text = self.good(noun, "--help")
            self.assertEqual(self.good("help", noun), text)
            for command in COMMANDS:
                self.assertEqual(f"  chronik-ctl {command}" in text, command.startswith(noun + " "), command)
        text = self.good("topic", "reassign", "--help")
        self.assertEqual(re.findall(r"(?m)^  (topic \w+ \w+)", text),
                         ["topic reassign list", "topic reassign set", "topic reassign cancel"])
        for command in COMMANDS:
            text = self.good(*command.split(), "--help")
            self.assertEqual(text.count("  chronik-ctl "), 1)
            self.assertIn(f"  chronik-ctl {command}", text)
            self.assertEqual("--partitions" in text, command == "topic create")
            self.assertEqual("--wait" in text, command in ("node drain", "node decommission", "node may-stop", "node health"))
            self.assertRegex(text, rf"Usage: chronik-ctl \[OPTION\]... {command}")

    def test_the_document(self):
        """docs/CTL.md explains every command and every option."""
        text = (ROOT / "docs/CTL.md").read_text(encoding="utf-8")
        for words in COMMANDS + OPTIONS:
            self.assertRegex(text, rf"(?m)^[#|` ]*`{words}\b", words)

    def test_wrong_usage(self):
        """Status 2, and what would be right."""
        for args, words in (([], "cluster info"), (["tropic", "list"], "there are cluster, node, controller, topic, group, quota, acl, audit, user, txn, log, tls, admin-token, token-secret and doctor"),
                            (["topic"], "topic create NAME"), (["topic", "show"], "topic get NAME"),
                            (["topic", "get"], "needs a NAME"), (["topic", "get", ""], "needs a NAME"),
                            (["group", "get", ""], "needs a NAME"), (["topic", "get", "a", "b"], "'b' is one word too many"),
                            (["cluster", "info", "x"], "'x' is one word too many"), (["--no-such"], "chronik-ctl --help"),
                            (["topic", "list", "--server"], "chronik-ctl --help"), (["help", "tropic"], "there are cluster"),
                            (["topic", "create", "t", "--partitions", "0"], "a number from 1 to 10000"),
                            (["topic", "create", "t", "--partitions", "4x"], "a number from 1 to 10000"),
                            (["topic", "create", "t", "--partitions", "99999999999"], "a number from 1 to 10000"),
                            (["topic", "create", "t", "--replication-factor", "-1"], "a number from 1 to 32"),
                            (["topic", "create", "t", "--config", "retention.ms"], "NAME=VALUE"),
                            (["topic", "create", "t", "--config", "=1"], "NAME=VALUE"),
                            (["log", "verify", "t", "x"], "'x' is no partition"), (["log", "verify", ""], "needs a"),
                            (["log", "verify", "t", "0", "y"], "'y' is one word too many"),
                            (["log", "verify", "--rate", "0"], "such as 50M"), (["log", "verify", "--rate", "5X"], "such as 50M"),
                            (["log", "verify", "t", "--dir", "d"], "--dir is one log"),
                            (["cluster", "disruption"], "cluster disruption acquire"),
                            (["cluster", "disruption", "steal"], "'cluster disruption' does not do 'steal'"),
                            (["cluster", "disruption", "acquire"], "--node ID and --reason TEXT"),
                            (["cluster", "disruption", "override", "--node", "1"], "--node ID and --reason TEXT"),
                            (["cluster", "disruption", "acquire", "--node", "x"], "a node's number"),
                            (["cluster", "disruption", "acquire", "--ttl", "30"], "such as 90s"),
                            (["cluster", "disruption", "acquire", "--ttl", "0s"], "such as 90s"),
                            (["cluster", "disruption", "acquire", "--ttl", "999999999999999999d"], "such as 90s"),
                            (["node", "get", "one"], "'one' is no node"), (["node", "drain", "-1"], "chronik-ctl --help"),
                            (["node", "may-stop", "4294967297"], "is no node"), (["node", "undrain"], "needs a ID"),
                            (["controller", "add", "4"], "ID@HOST:PORT"), (["controller", "add", "4@host"], "ID@HOST:PORT"),
                            (["controller", "add", "@h:1"], "ID@HOST:PORT"), (["controller", "add", "x@h:1"], "ID@HOST:PORT"),
                            (["controller", "remove", "x"], "'x' is no node"), (["controller", "transfer", ""], "needs a"),
                            (["topic", "reassign"], "topic reassign set [NAME"), (["topic", "reassign", "set"], "--file FILE"),
                            (["topic", "reassign", "set", "t"], "--replicas"), (["topic", "elect", "t", "x"], "no partition"),
                            (["topic", "reassign", "set", "--replicas", "1"], "NAME [PARTITION]"),
                            (["topic", "reassign", "set", "t", "--replicas", "1,"], "numbers of nodes"),
                            (["topic", "reassign", "set", "t", "--replicas", ""], "numbers of nodes"),
                            (["topic", "reassign", "set", "t", "x", "--replicas", "1"], "no partition"),
                            (["topic", "reassign", "cancel"], "--file FILE"),
                            (["quota", "set", "producer_byte_rate"], "needs a KEY VALUE"),
                            (["quota", "set", "producer_byte_rate", "5"], "whose is it"), (["quota", "unset"], "whose is it"),
                            (["quota", "set", "k", "5x", "--user", "u"], "such as 1000, 0.5 or 50M"),
                            (["quota", "set", "k", "0x10", "--user", "u"], "such as 1000"),
                            (["quota", "set", "k", "nan", "--user", "u"], "such as 1000"),
                            (["quota", "set", "k", "-5", "--user", "u"], "chronik-ctl --help"),
                            (["quota", "set", "k", "5", "--user", ""], "a name is needed"),
                            (["quota", "set", "k", "5", "--default", "host"], "user, client-id or ip"),
                            (["quota", "set", "k", "5", "--user", "u", "--default", "user"], "cannot both be meant"),
                            (["acl", "add"], "what is it for"), (["acl", "add", "--topic", "t", "--group", "g"], "what is it for"),
                            (["acl", "add", "--topic", "t"], "who may do what"), (["acl", "remove"], "needs to know which"),
                            (["acl", "remove", "--topic", "t", "--cluster"], "takes one of"),
                            (["acl", "add", "--principal", ""], "such as User:alice"), (["acl", "list", "x"], "one word too many"),
                            (["txn", "describe"], "needs a ID"), (["txn", "abort", ""], "needs a ID"),
                            (["txn", "list", "x"], "'x' is one word too many"),
                            (["tls", "init"], "needs a DIR"), (["tls", "init", "d"], "such as --nodes 1,2,3"),
                            (["tls", "init", "d", "--nodes", "1,1"], "each once"),
                            (["tls", "init", "d", "--nodes", "1,"], "ids from 0"),
                            (["tls", "init", "d", "--nodes", "-1"], "ids from 0"),
                            (["tls", "init", "d", "--nodes", "2147483648"], "ids from 0"),
                            (["tls", "init", "d", "--nodes", "1", "--days", "0"], "a number from 1 to 36500")):
            with self.subTest(args):
                self.bad(2, *args, says=(words,))

    def test_options_that_mean_nothing(self):
        """An option that the command would ignore is refused."""
        for args in (["topic", "get", "t", "--partitions", "3"], ["topic", "delete", "t", "--config", "a=b"],
                     ["group", "get", "g", "--detailed"], ["topic", "list", "--detailed"],
                     ["cluster", "info", "--replication-factor", "1"], ["topic", "get", "t", "--rate", "5M"],
                     ["group", "list", "--data-dir", "d"], ["node", "list", "--wait"], ["node", "get", "1", "--timeout", "1s"],
                     ["node", "drain", "1", "--node", "2"], ["topic", "elect", "t", "--file", "f"],
                     ["controller", "list", "--as", "me"], ["cluster", "disruption", "show", "--reason", "r"],
                     ["group", "list", "--nodes", "1"], ["quota", "list", "--user", "u"], ["txn", "abort", "t", "--user", "u"]):
            with self.subTest(args):
                self.bad(2, *args, says=("only",))

    def test_no_server(self):
        """Nobody there: status 3, the address, and where to look."""
        self.bad(3, "cluster", "info", says=("127.0.0.1:1", "Is chronikd running there", "--server HOST:PORT"))
        self.bad(3, "topic", "list", "--json", "--server", "no-such-host.invalid", says=("no-such-host.invalid:9644",))
        for wrong in ("http://127.0.0.1:1", "", "host:", "a b"):
            self.bad(2, "topic", "list", "--server", wrong, says=("HOST:PORT is needed",))

    def test_an_other_server(self):
        """Somebody who is no chronikd."""
        started = self.start()
        self.bad(3, "cluster", "info", "--server", started.words["kafka"], says=("is this its admin address",))


class TlsInit(CtlCase):
    """tls init: files that a cluster can use at once, and nothing lost that was there."""

    def context(self, side, node, folder="c"):
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.folder / folder / "ca.pem")
        context.load_cert_chain(self.folder / folder / f"node-{node}.pem", self.folder / folder / f"node-{node}.key")
        return context

    def handshake(self, client, server):
        """Client and server in memory; returns what each knows of the other."""
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
        for _ in range(4):
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        return [side.getpeercert() for side in sides]

    def content(self):
        return {path.name: path.read_bytes() for path in (self.folder / "c").iterdir()}

    def test_files(self):
        """Nodes accept each other, see each other's id, and keys are their owner's alone."""
        text = self.good("tls", "init", "c", "--nodes", "1,2,10")
        names = ["ca.key", "ca.pem"] + [f"node-{n}.{kind}" for n in (1, 10, 2) for kind in ("key", "pem")]
        self.assertEqual(sorted(self.content()), sorted(names))
        for name in names:
            self.assertIn(f"c/{name}", text)
            mode = (self.folder / "c" / name).stat().st_mode & 0o777
            self.assertEqual(mode, 0o600 if name.endswith(".key") else 0o644 & ~self.umask(), name)
        for words in ("cluster.tls_ca", "node 10, as cluster.tls_certificate", "cluster.tls_key"):
            self.assertIn(words, text)
        theirs = self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 1), self.context(ssl.PROTOCOL_TLS_SERVER, 10))
        self.assertEqual([cert["subjectAltName"] for cert in theirs],
                         [(("URI", "chronik://node/10"),), (("URI", "chronik://node/1"),)])

    @staticmethod
    def umask():
        old = os.umask(0)
        os.umask(old)
        return old

    def days_left(self, cert):
        return (ssl.cert_time_to_seconds(cert["notAfter"]) - time.time()) / 86400

    def test_more_nodes(self):
        """A node that comes later is of the same authority; what was there stays; --days and --json."""
        self.good("tls", "init", "c", "--nodes", "1")
        before = self.content()
        answer = json.loads(self.good("tls", "init", "c", "--nodes", "7", "--days", "30", "--json"))
        self.assertFalse(answer["ca_is_new"])
        self.assertEqual(answer["nodes"], [{"node": 7, "certificate": "c/node-7.pem", "key": "c/node-7.key"}])
        after = self.content()
        self.assertEqual({name: after[name] for name in before}, before)
        old, new = self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 7), self.context(ssl.PROTOCOL_TLS_SERVER, 1))
        self.assertAlmostEqual(self.days_left(new), 30, delta=0.1)
        self.assertAlmostEqual(self.days_left(old), 1825, delta=0.1)
        self.assertEqual(answer["valid_until"], time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400)))

    def test_admin_listener(self):
        """--admin: a certificate by which an operator's TLS finds the names and addresses, for servers only, of the same authority."""
        text = self.good("tls", "init", "c", "--nodes", "1", "--admin", "node1.example.org,127.0.0.1,::1")
        self.assertIn("admin.tls_certificate", text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "c/admin.pem", self.folder / "c/admin.key")
        for host, good in (("node1.example.org", True), ("127.0.0.1", True), ("::1", True), ("node2.example.org", False)):
            client, up, down = ssl.create_default_context(cafile=self.folder / "c/ca.pem"), ssl.MemoryBIO(), ssl.MemoryBIO()
            sides = [client.wrap_bio(down, up, server_hostname=host), context.wrap_bio(up, down, server_side=True)]
            failed = None
            for _ in range(4):
                for side in sides:
                    try:
                        side.do_handshake()
                    except ssl.SSLWantReadError:
                        pass
                    except ssl.SSLError as error:
                        failed = failed or error
            self.assertEqual(failed is None, good, f"{host}: {failed}")
        shown = subprocess.run(["openssl", "x509", "-in", "c/admin.pem", "-noout", "-ext", "extendedKeyUsage"], cwd=self.folder,
                               capture_output=True, text=True, check=True).stdout
        self.assertNotIn("Client", shown)
        self.bad(1, "tls", "init", "d", "--admin", "a,,b", says=("a name is impossible",))

    def test_renewed(self):
        """tls renew: another key and certificate of the same node and authority, at once and only where there was one."""
        self.good("tls", "init", "c", "--nodes", "1,2", "--admin", "localhost")
        before = self.content()
        self.good("tls", "renew", "c", "--nodes", "2", "--admin", "localhost", "--days", "30")
        after = self.content()
        self.assertEqual({name for name in before if before[name] != after[name]}, {"node-2.pem", "node-2.key", "admin.pem", "admin.key"})
        self.assertEqual(set(after), set(before))
        self.assertEqual((self.folder / "c/node-2.key").stat().st_mode & 0o777, 0o600)
        _, new = self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 2), self.context(ssl.PROTOCOL_TLS_SERVER, 1))
        self.assertEqual(new["subjectAltName"], (("URI", "chronik://node/2"),))
        self.assertAlmostEqual(self.days_left(new), 30, delta=0.1)
        self.bad(1, "tls", "renew", "c", "--nodes", "3", says=("no certificate there that could be renewed", "tls init"))
        self.bad(1, "tls", "renew", "d", "--nodes", "1", says=("d/ca.pem",))
        self.assertEqual(self.content(), after)

    def test_another_authority(self):
        """tls rotate-ca: at no time are there two nodes that do not accept each other, whichever of them has which files already."""
        self.good("tls", "init", "c", "--nodes", "1,2")
        self.bad(1, "tls", "rotate-ca", "c", "--finish", says=("nothing to finish",))
        stages = []

        def stage(*command):
            self.good(*command)
            stages.append(f"stage{len(stages)}")
            shutil.copytree(self.folder / "c", self.folder / stages[-1])

        stage("tls", "renew", "c", "--nodes", "1,2")
        stage("tls", "rotate-ca", "c")
        self.assertEqual((self.folder / "c/ca-next.key").stat().st_mode & 0o777, 0o600)
        self.bad(1, "tls", "rotate-ca", "c", says=("going on", "--finish"))
        self.bad(1, "tls", "rotate-ca", "c", "--finish", says=("c/node-", "tls renew"))
        stage("tls", "renew", "c", "--nodes", "1")
        self.bad(1, "tls", "rotate-ca", "c", "--finish", says=("c/node-2.pem", "tls renew"))
        stage("tls", "renew", "c", "--nodes", "2")
        stage("tls", "rotate-ca", "c", "--finish")
        for one, other in zip(stages, stages[1:]):      # the nodes are at most a stage apart
            for a, b in ((one, other), (other, one)):
                self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 1, a), self.context(ssl.PROTOCOL_TLS_SERVER, 2, b))
        with self.assertRaises(ssl.SSLError):           # the authority from before is not accepted any more
            self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 1, stages[0]), self.context(ssl.PROTOCOL_TLS_SERVER, 2, stages[-1]))
        self.assertFalse((self.folder / "c/ca-next.key").exists())
        self.good("tls", "init", "c", "--nodes", "3")
        self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 3), self.context(ssl.PROTOCOL_TLS_SERVER, 1))

    def test_stopped_in_between(self):
        """Each step of rotate-ca that was cut off half way is gone on with by the same command."""
        self.good("tls", "init", "c", "--nodes", "1")
        old = (self.folder / "c/ca.pem").read_bytes()
        self.good("tls", "rotate-ca", "c")
        (self.folder / "c/ca.pem").write_bytes(old)     # the next key was written, the certificates not
        self.good("tls", "rotate-ca", "c")
        self.good("tls", "renew", "c", "--nodes", "1")
        (self.folder / "c/ca-next.key").rename(self.folder / "c/ca.key")
        self.good("tls", "rotate-ca", "c", "--finish")
        self.handshake(self.context(ssl.PROTOCOL_TLS_CLIENT, 1), self.context(ssl.PROTOCOL_TLS_SERVER, 1))
        self.assertEqual((self.folder / "c/ca.pem").read_text().count("BEGIN CERTIFICATE"), 1)

    def test_nothing_is_overwritten(self):
        """What is there already, or half there, is refused before anything is written."""
        self.good("tls", "init", "c", "--nodes", "1")
        before = self.content()
        self.bad(1, "tls", "init", "c", "--nodes", "2,1", says=("node-1.pem", "nothing is overwritten"))
        self.assertEqual(self.content(), before)
        (self.folder / "c/ca.key").rename(self.folder / "ca.key")
        self.bad(1, "tls", "init", "c", "--nodes", "2", says=("c/ca.key: No such file", "put the authority's key back"))
        (self.folder / "c/ca.key").write_bytes(before["node-1.key"])
        self.bad(1, "tls", "init", "c", "--nodes", "2", says=("no authority's certificate and its key",))
        self.assertEqual(self.content(), {**before, "ca.key": before["node-1.key"]})
        (self.folder / "file").write_text("")
        self.bad(1, "tls", "init", "file", "--nodes", "1", says=("file",))


class Against(CtlCase, NodeCase):
    SETTINGS = ["groups.offsets_partitions=1", "groups.initial_rebalance_delay_ms=0", "listeners.LOGIN.address=127.0.0.1:0",
                "listeners.LOGIN.protocol=SASL_PLAINTEXT"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.node.admin

    def json(self, *args):
        """The same answer as JSON, which must be valid."""
        return json.loads(self.good(*args, "--json"))

    def table(self, text):
        """Header and rows of a table as lists of cells; columns must begin or end in the same place in all lines."""
        lines = [line for line in text.splitlines() if line]
        self.assertGreater(len(lines), 0)
        return [re.split(r" {2,}", line.strip()) for line in lines]

    def produce_some(self, topic, count):
        self.produce(self.client(), topic, [b"v%d" % i for i in range(count)])

    def commit(self, group, topic, offset):
        client = self.client()
        client.call("FindCoordinator", 2, key=group, key_type=0)
        for _ in range(100):
            answer = client.call("OffsetCommit", 7, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=[
                {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": offset}]}])
            if answer["topics"][0]["partitions"][0]["error_code"] == 0:
                return
            client.call("FindCoordinator", 2, key=group, key_type=0)
        self.fail(f"no commit: {answer}")

    def test_cluster_info(self):
        """What an operator looks at first."""
        text, info = self.good("cluster", "info"), self.json("cluster", "info")
        for line in (f"cluster      {info['cluster_id']}", f"version      {info['version']}", "health       ok",
                     "controller   node 1"):
            self.assertIn(line, text)
        self.assertEqual(self.table(text)[-2][:5], ["NODE", "ROLES", "ADDRESS", "RACK", "STATE"])
        self.assertEqual(self.table(text)[-1][:5], ["1", "controller,ingest", self.node.address, "-", "active"])
        self.assertEqual([(n["id"], n["fenced"]) for n in info["nodes"]], [(1, False)])
        self.assertGreater(info["disk_free_bytes"], 0)

    def test_topic_life(self):
        """create, list, get, get --detailed, delete: each shows what the one before did."""
        name = self.fresh()
        self.assertEqual(self.good("topic", "create", name, "--partitions", "3", "--config", "retention.ms=86400000",
                                   "--config", "cleanup.policy=compact,delete"), f"created topic {name}\n")
        self.produce(self.client(), name, [records.Record(b"v", key=b"k")] * 5, partition=1)
        listed = {row[0]: row[1:] for row in self.table(self.good("topic", "list"))}
        self.assertEqual(listed["TOPIC"], ["PARTITIONS", "REPLICAS", "OFFSETS", "SIZE"])
        self.assertEqual(listed[name][:3], ["3", "1", "5"])
        text = self.good("topic", "get", name)
        for line in (f"topic        {name}", "partitions   3", "replicas     1", "offsets      5",
                     "config       retention.ms=86400000", "config       cleanup.policy=compact,delete"):
            self.assertIn(line + "\n", text)
        self.assertNotIn("LEADER", text)
        rows = self.table(self.good("topic", "get", "--detailed", name).partition("\n\n")[2])
        self.assertEqual(rows[0], ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "ELIGIBLE", "ADDING", "REMOVING",
                                   "START", "END", "SIZE", "STATE"])
        self.assertEqual([row[:10] for row in rows[1:]], [["0", "1", "0", "1", "1", "-", "-", "-", "0", "0"],
                                                          ["1", "1", "0", "1", "1", "-", "-", "-", "0", "5"],
                                                          ["2", "1", "0", "1", "1", "-", "-", "-", "0", "0"]])
        self.assertEqual({row[11] for row in rows[1:]}, {"ok"})
        got = self.json("topic", "get", name)
        self.assertEqual((got["name"], got["partitions"], got["offsets"]), (name, 3, 5))
        self.assertEqual(got["configs"], {"retention.ms": "86400000", "cleanup.policy": "compact,delete"})
        self.assertEqual([p["end_offset"] for p in got["partition_list"]], [0, 5, 0])
        self.assertEqual(self.good("topic", "delete", name), f"deleted topic {name}\n")
        self.assertNotIn(name, self.good("topic", "list"))

    def test_topic_json(self):
        """create and delete answer as JSON as well."""
        name = self.fresh()
        self.assertEqual(self.json("topic", "create", name), {"result": "created"})
        self.assertIn(name, [t["name"] for t in self.json("topic", "list")["topics"]])
        self.assertEqual(self.json("topic", "delete", name), {"result": "deleted"})

    def test_topic_refused(self):
        """Status 1, with what is wrong and what would be right."""
        name = self.topic()
        for args, words in ((["get", "nope"], ("no topic 'nope'", "chronik-ctl topic list")),
                            (["delete", "nope"], ("no topic 'nope'",)), (["create", name], ("already exists",)),
                            (["create", "a b"], ("letters, digits",)), (["create", ".."], ("'..'",)),
                            (["create", "x" * 250], ("249",)), (["create", "n", "--config", "nope=1"], ("nope",)),
                            (["create", "n", "--config", "retention.ms=soon"], ("'soon'", "whole number")),
                            (["create", "n", "--replication-factor", "3"], ("Replication factor 3",))):
            with self.subTest(args):
                self.bad(1, "topic", *args, says=words)

    def test_names_that_are_not_for_paths(self):
        """Whatever is asked for is asked for: nothing of it is taken for a path, a query or another topic."""
        name = self.topic()
        for odd in ("..", ".", "a/b", "../cluster", "a?b", "a#b", "a%00b", f"{name}%00", f"{name}?x", "é", "%", "a b", "'"):
            with self.subTest(odd):
                self.bad(1, "topic", "get", odd, says=(f"There is no topic '{odd}'",))
                self.bad(1, "topic", "delete", odd, says=(f"There is no topic '{odd}'",))
        self.good("topic", "get", name)

    def test_group(self):
        """Members, committed offsets and lag of a group, and groups that have only offsets."""
        topic, group = self.topic(), self.fresh("group")
        self.produce_some(topic, 10)
        self.commit(group, topic, 4)
        listed = {row[0]: row[1:] for row in self.table(self.good("group", "list"))}
        self.assertEqual(listed["GROUP"], ["STATE", "TYPE", "PROTOCOL"])
        self.assertEqual(listed[group][0], "Empty")
        text = self.good("group", "get", group)
        self.assertIn(f"group        {group}\nstate        Empty\ntype         classic\n", text)
        rows = self.table(text.rpartition("\n\n")[2])
        self.assertEqual(rows, [["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"], [topic, "0", "4", "10", "6"]])
        member = self.join(group)
        got = self.json("group", "get", group)
        self.assertEqual([m["id"] for m in got["members"]], [member])
        self.assertEqual([(o["topic"], o["partition"], o["committed_offset"], o["end_offset"], o["lag"])
                          for o in got["offsets"]], [(topic, 0, 4, 10, 6)])
        self.assertIn(member, self.good("group", "get", group))
        self.assertEqual(got["configs"], {})
        answer = self.client().call("IncrementalAlterConfigs", 1, resources=[{"resource_type": 32, "resource_name": group, "configs": [
            {"name": "consumer.session.timeout.ms", "config_operation": 0, "value": "50000"}]}])
        self.assertError(answer["responses"][0]["error_code"], 0, answer["responses"][0]["error_message"])
        self.assertEqual(self.json("group", "get", group)["configs"], {"consumer.session.timeout.ms": "50000"})
        self.assertIn("config       consumer.session.timeout.ms=50000\n", self.good("group", "get", group))
        self.assertIn(group, [g["name"] for g in self.json("group", "list")["groups"]])

    def join(self, group):
        client = self.client()
        fields = dict(group_id=group, session_timeout_ms=60000, rebalance_timeout_ms=60000, protocol_type="consumer",
                      protocols=[{"name": "range", "metadata": b""}])
        member = client.call("JoinGroup", 5, member_id="", **fields)["member_id"]
        answer = client.call("JoinGroup", 5, member_id=member, **fields)
        self.assertEqual(answer["error_code"], 0)
        return member

    def test_consumer_group(self):
        """A group whose coordinator assigns: what each member has, and shall have."""
        topic, group, client = self.topic(), self.fresh("group"), self.client()
        fields = dict(group_id=group, member_epoch=0, rebalance_timeout_ms=60000, subscribed_topic_names=[topic], topic_partitions=[])
        for member in ("first", "second"):
            for _ in range(100):
                answer = client.call("ConsumerGroupHeartbeat", 1, member_id=member, **fields)
                if answer["error_code"] not in (ERR.NOT_COORDINATOR, ERR.COORDINATOR_LOAD_IN_PROGRESS):
                    break
                client.call("FindCoordinator", 2, key=group, key_type=0)
            self.assertEqual(answer["error_code"], 0)
        row = next(row for row in self.table(self.good("group", "list")) if row[0] == group)
        self.assertEqual(row[1:], ["Reconciling", "consumer", "consumer"])
        text = self.good("group", "get", group)
        for line in (f"group        {group}", "type         consumer", "assignor     uniform", "epoch        3, of the target 3"):
            self.assertIn(line, text.splitlines())
        first, second = self.table(text.split("\n\n")[1])[1:]
        self.assertEqual((first[0], first[-2:]), ("first", [f"{topic}:0", "the same"]))
        self.assertEqual((second[0], second[-2:]), ("second", ["-", "the same"]))
        got = self.json("group", "get", group)
        self.assertEqual([(m["id"], m["epoch"], m["target"]) for m in got["members"]],
                         [("first", 2, [{"topic": topic, "partitions": [0]}]), ("second", 3, [])])

    def test_share_group(self):
        """A share group: what each member has, where it begins in each partition, and what is left to do."""
        topic, group, client = self.topic(), self.fresh("group"), self.client()
        self.produce_some(topic, 10)
        for _ in range(100):
            answer = client.call("AlterShareGroupOffsets", 0, group_id=group, topics=[
                {"topic_name": topic, "partitions": [{"partition_index": 0, "start_offset": 4}]}])
            if answer["error_code"] not in (ERR.NOT_COORDINATOR, ERR.COORDINATOR_LOAD_IN_PROGRESS):
                break
            client.call("FindCoordinator", 2, key=group, key_type=0)
        self.assertEqual(answer["error_code"], 0)
        row = next(row for row in self.table(self.good("group", "list")) if row[0] == group)
        self.assertEqual(row[1:], ["Empty", "share", "share"])
        answer = client.call("ShareGroupHeartbeat", 1, group_id=group, member_id="m", member_epoch=0,
                             subscribed_topic_names=[topic])
        self.assertEqual(answer["error_code"], 0)
        text = self.good("group", "get", group)
        for line in (f"group        {group}", "state        Stable", "type         share", "assignor     simple",
                     "epoch        2, of the target 2"):
            self.assertIn(line, text.splitlines())
        _, members, offsets = text.split("\n\n")
        member = self.table(members)[1]
        self.assertEqual((member[0], member[-2:]), ("m", ["2", f"{topic}:0"]))
        self.assertEqual(offsets.split(), ["TOPIC", "PARTITION", "START", "DONE", "BEHIND", "IT", "END", "LAG",
                                           topic, "0", "4", "0", "10", "6"])
        got = self.json("group", "get", group)
        self.assertEqual([(o["topic"], o["partition"], o["start_offset"], o["done_records"], o["end_offset"], o["lag"])
                          for o in got["offsets"]], [(topic, 0, 4, 0, 10, 6)])

    def test_group_refused(self):
        self.bad(1, "group", "get", "nope", says=("no group 'nope'", "chronik-ctl group list"))

    def test_acls(self):
        """Rules are made, shown, and removed by what they say, also where no client may make any."""
        titles = ["PERMISSION", "OPERATION", "RESOURCE", "NAME", "PATTERN", "PRINCIPAL", "HOST"]
        self.assertEqual(self.table(self.good("acl", "list")), [titles])
        self.good("acl", "add", "--principal", "User:me", "--operation", "read", "--topic", "t-", "--prefixed")
        self.good("acl", "add", "--principal", "User:*", "--operation", "All", "--cluster", "--deny", "--host", "10.0.0.1")
        self.good("acl", "add", "--principal", "User:me", "--operation", "describe", "--group", "*")
        self.good("acl", "add", "--principal", "User:you", "--operation", "write", "--txn-id", "x")
        one = ["ALLOW", "READ", "TOPIC", "t-", "PREFIXED", "User:me", "*"]
        two = ["ALLOW", "DESCRIBE", "GROUP", "*", "LITERAL", "User:me", "*"]
        three = ["DENY", "ALL", "CLUSTER", "kafka-cluster", "LITERAL", "User:*", "10.0.0.1"]
        four = ["ALLOW", "WRITE", "TRANSACTIONAL_ID", "x", "LITERAL", "User:you", "*"]
        self.assertEqual(self.table(self.good("acl", "list")), [titles, one, two, three, four])
        self.assertEqual(len(self.json("acl", "list")["acls"]), 4)
        self.bad(1, "acl", "add", "--principal", "me", "--operation", "read", "--topic", "t", says=("User:alice",))
        self.bad(1, "acl", "add", "--principal", "User:me", "--operation", "fly", "--topic", "t", says=("such as read",))
        self.assertEqual(self.table(self.good("acl", "remove", "--principal", "User:me")), [titles, one, two])
        self.good("acl", "remove", "--deny")
        self.assertEqual(self.table(self.good("acl", "list")), [titles, four])
        self.good("acl", "remove", "--txn-id", "x")
        self.assertEqual(self.ctl("acl", "remove", "--txn-id", "x").returncode, 1)

    def quotas(self):
        """Rows of quota list without the header."""
        return self.table(self.good("quota", "list"))[1:]

    def test_quotas(self):
        """set, list, unset: of users, client ids, both, addresses and defaults; each shows what the one before did."""
        self.assertEqual(self.table(self.good("quota", "list")), [["USER", "CLIENT ID", "ADDRESS", "QUOTA", "VALUE"]])
        for options, cells, key, amount, shown in (
                (["--user", "me"], ["me", "-", "-"], "producer_byte_rate", "50M", "52428800"),
                (["--client-id", "app"], ["-", "app", "-"], "consumer_byte_rate", "1.5K", "1536"),
                (["--user", "me", "--client-id", "app"], ["me", "app", "-"], "request_percentage", "0.5", "0.5"),
                (["--user", "me", "--default", "client-id"], ["me", "(default)", "-"], "request_percentage", "200", "200"),
                (["--default", "user,client-id"], ["(default)", "(default)", "-"], "controller_mutation_rate", "10", "10"),
                (["--ip", "0:0::9"], ["-", "-", "::9"], "connection_creation_rate", "7", "7"),
                (["--default", "ip"], ["-", "-", "(default)"], "connection_creation_rate", "1000", "1000")):
            with self.subTest(options):
                self.assertEqual(self.good("quota", "set", key, amount, *options), f"set {key} to {shown}\n")
                self.assertEqual(self.quotas(), [[*cells, key, shown]])
                told, = self.json("quota", "list")["quotas"]
                self.assertEqual(told["quotas"], {key: float(shown)})
                self.assertEqual(told["entity"], {k: None if c == "(default)" else c
                                                  for k, c in zip(("user", "client-id", "ip"), cells) if c != "-"})
                self.assertEqual(self.good("quota", "unset", key, *options), f"unset {key}\n")
                self.assertEqual(self.quotas(), [])

    def test_quota_unset_all(self):
        """Without a key all that somebody has goes, and nothing of others."""
        for name in ("me", "you"):
            for key in ("producer_byte_rate", "consumer_byte_rate"):
                self.good("quota", "set", key, "5", "--user", name)
        self.assertEqual(self.good("quota", "unset", "--user", "me"), "unset all of its quotas\n")
        self.assertEqual([row[0] for row in self.quotas()], ["you", "you"])
        self.bad(1, "quota", "unset", "--user", "me", says=("no quota of its own", "quota list"))
        self.good("quota", "unset", "--user", "you")

    def test_quota_refused(self):
        """The node's words; nothing is changed."""
        for args, words in ((["no_such_rate", "1", "--user", "u"], "there are producer_byte_rate"),
                            (["producer_byte_rate", "0", "--user", "u"], "a number above 0"),
                            (["connection_creation_rate", "1.5", "--ip", "10.0.0.1"], "a whole number"),
                            (["connection_creation_rate", "1", "--user", "u"], "for users and client ids"),
                            (["producer_byte_rate", "1", "--ip", "10.0.0.1"], "for addresses"),
                            (["connection_creation_rate", "1", "--ip", "localhost"], "names are not looked up"),
                            (["connection_creation_rate", "1", "--ip", "10.0.0.1", "--user", "u"], "not for both"),
                            (["producer_byte_rate", "1", "--user", "u" * 300], "too long")):
            with self.subTest(args):
                self.bad(1, "quota", "set", *args, says=(words,))
        self.assertEqual(self.quotas(), [])

    def users(self):
        """Rows of user list without the header."""
        return self.table(self.good("user", "list"))[1:]

    def test_users(self):
        """add, list, remove: a user gets a credential for each mechanism, and the password that was read lets in; a new one replaces it."""
        self.assertEqual(self.table(self.good("user", "list")), [["USER", "MECHANISM", "ITERATIONS", "PASSWORD SET", "EARLIER ONE UNTIL"]])
        for password in ("se cret", "other"):
            done = self.ctl("user", "add", "al/ice", stdin=password + "\nnot this\n")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "set the password of user al/ice\n", ""))
            self.assertEqual([row[:3] + row[4:] for row in self.users()],
                             [["al/ice", "SCRAM-SHA-256", "8192", "-"], ["al/ice", "SCRAM-SHA-512", "8192", "-"]])
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                with Client(*self.node.listeners["LOGIN"]) as client:
                    client.call("SaslHandshake", 1, mechanism=mechanism)
                    exchange = Exchange(mechanism, "al/ice", password)
                    answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.first())
                    answer = client.call("SaslAuthenticate", 2, auth_bytes=exchange.final(answer["auth_bytes"]))
                    self.assertError(answer["error_code"], ERR.NONE, answer["error_message"])
        told = self.json("user", "list")
        for credential in told["users"][0]["credentials"]:
            self.assertAlmostEqual(credential.pop("set_ms") / 1000, time.time(), delta=60)
        self.assertEqual(told, {"users": [{"name": "al/ice", "credentials": [
            {"mechanism": "SCRAM-SHA-256", "iterations": 8192}, {"mechanism": "SCRAM-SHA-512", "iterations": 8192}]}]})
        self.assertEqual(self.good("user", "remove", "al/ice"), "removed user al/ice\n")
        self.assertEqual(self.users(), [])

    def test_user_refused(self):
        self.bad(1, "user", "remove", "nobody", says=("no user 'nobody'", "user list"))
        for stdin in ("", "\n", "x" * 2000):
            done = self.ctl("user", "add", "u", stdin=stdin)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("as a line of standard input", done.stderr)
        done = self.ctl("user", "add", "u" * 1025, stdin="x\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 to 1024 bytes", done.stderr)
        self.assertEqual(self.users(), [])

    def test_transactions(self):
        """list, describe and abort: what is open is aborted, its records are never seen, and its producer is told."""
        topic, name = self.topic(), self.fresh("txn/with a slash")
        producer = Producer(self, name)
        self.assertError(producer.init(), ERR.NONE)
        self.assertIn([name, "Empty", str(producer.id)], self.table(self.good("txn", "list")))
        self.bad(1, "txn", "abort", name, says=("has no transaction open",))
        self.assertError(producer.send(topic, b"lost"), ERR.NONE)
        text, told = self.good("txn", "describe", name), self.json("txn", "describe", name)
        self.assertIn(f"id           {name}\nstate        Ongoing\nproducer     {producer.id}\nepoch        {producer.epoch}\n", text)
        self.assertIn("time-out     60 s\nopen since   20", text)
        self.assertEqual(self.table(text.rpartition("\n\n")[2]), [["TOPIC", "PARTITION"], [topic, "0"]])
        self.assertEqual((told["partitions"], told["timeout_ms"]), ([{"topic": topic, "partition": 0}], 60000))
        self.assertLess(abs(told["started_ms"] - time.time() * 1000), 60000)
        self.assertIn(f"aborted the transaction of {name}", self.good("txn", "abort", name))
        self.wait_until(lambda: self.json("txn", "describe", name)["state"] == "CompleteAbort", "it is not ended")
        self.assertNotIn("open since", self.good("txn", "describe", name))
        self.assertNotEqual(producer.send(topic, b"late"), ERR.NONE)
        self.assertNotEqual(producer.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [])
        self.assertError(producer.init(), ERR.NONE)
        self.assertError(producer.send(topic, b"seen"), ERR.NONE)
        self.assertError(producer.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"seen"])

    def test_transactions_refused(self):
        self.bad(1, "txn", "describe", "nope", says=("no transactional id 'nope'", "chronik-ctl txn list"))
        self.bad(1, "txn", "abort", "nope", says=("no transactional id 'nope'", "chronik-ctl txn list"))

    def test_tables_are_straight(self):
        """Names of any width: columns stay in line, as a terminal shows them."""
        topic = self.topic()
        names = ["w", "long-" * 20, "größe", "グループ", "団体-x", "e\u0301", "группа", "🙂"]
        for name in names:
            self.commit(name, topic, 0)
        lines = [line for line in self.good("group", "list").splitlines()
                 if line.startswith(("GROUP", *names))]
        self.assertEqual(len(lines), len(names) + 1)
        places = {self.width(line[:line.index("Empty" if "Empty" in line else "STATE")]) for line in lines}
        self.assertEqual(len(places), 1, lines)

    def width(self, text):
        return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

    def test_names_that_attack(self):
        """Control characters of a client's choosing do not reach the terminal; in JSON they are escaped."""
        topic, name = self.topic(), "evil\x1b[2J\r\nname\x9b1m"
        self.commit(name, topic, 0)
        for args in (("group", "list"), ("group", "get", name)):
            text = self.good(*args)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
            self.assertIn("evil?[2J??name", text)
        self.assertIn(name, [g["name"] for g in self.json("group", "list")["groups"]])
        self.bad(1, "group", "get", "no\x1b[2J", says=("no?[2J",))

    def test_names_that_are_no_text(self):
        """A group whose name is no UTF-8 is shown with marks in its place, and hides no other."""
        topic, other = self.topic(), self.fresh("group")
        self.commit(other, topic, 0)
        import codec
        import kafka
        inside = codec.encode("OffsetCommitRequest", 7, dict(group_id="bad-XX-name", generation_id_or_member_epoch=-1,
                              topics=[{"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 0}]}]))
        client = self.client()
        client.send_raw(kafka.frame(kafka.header(8, 7, 1) + inside.replace(b"XX", b"\xff\xc0")))
        client.receive_raw()
        listed = [g["name"] for g in self.json("group", "list")["groups"]]
        self.assertIn(other, listed)
        self.assertIn("bad-\ufffd\ufffd-name", listed)
        status, text = self.node.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn('group="bad-\ufffd\ufffd-name"', text)

    def test_output_that_cannot_be_written(self):
        """A full disk behind > is a failure."""
        if not os.path.exists("/dev/full"):
            self.skipTest("there is no /dev/full")
        import subprocess
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([CHRONIK_CTL, "--server", self.server, "topic", "list"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=10)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write the answer: No space left on device", done.stderr)

    def test_several_servers(self):
        """The first that answers is asked; when none does, the last one is named."""
        self.good("topic", "list", "--server", f"127.0.0.1:1,{self.server}")
        self.good("topic", "create", self.fresh(), "--server", f"no-such-host.invalid,{self.server},127.0.0.1:1")
        self.bad(3, "topic", "list", "--server", "127.0.0.1:1,127.0.0.1:2", says=("no answer from 127.0.0.1:2",))
        for wrong in (f"{self.server},", ",", f"{self.server},http://x", ",".join([self.server] * 17)):
            self.bad(2, "topic", "list", "--server", wrong, says=("HOST:PORT is needed",))

    def test_where_the_server_is(self):
        """--server wins over CHRONIK_SERVER."""
        done = self.ctl("topic", "list", "--server", self.server, env={"CHRONIK_SERVER": "127.0.0.1:1"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
