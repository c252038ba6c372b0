#!/usr/bin/env python3
"""Messages for programs: fields in the journal, JSON on standard error, and the catalogue that explains them.

Goal: what a message is about is in fields of its own, its kind in MESSAGE_ID, which systemd's own tools explain; no secret is in any.
Method: chronikd with its standard error connected to a systemd-journald of the test's own, which has /run to itself in a mount namespace;
what journald kept is read by journalctl. JSON is read by Python.
"""

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
import unittest
from pathlib import Path

from program import ANY_PORTS, CHRONIK_CTL, CHRONIKD, ROOT, ProgramCase, Started

JOURNALD = Path("/lib/systemd/systemd-journald")
CATALOGUE = ROOT / "systemd" / "chronik.catalog"
EVENTS = dict(re.findall(r'DIAG_EVENT\((\w+), "(\w+)"\)', (ROOT / "src/sys/diag_events.def").read_text()))
# No kernel messages and no kernel audit: those are the machine's.
SETTINGS = r"[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToConsole=no\nForwardToSyslog=no\nForwardToWall=no\n"


class JournalCase(ProgramCase):
    def tokens(self):
        """A file with a token of an admin; the token."""
        made = json.loads(self.run_program(CHRONIK_CTL, "admin-token", "new", "deploy", "admin", "--json").stdout)
        (self.folder / "tokens").write_text(f"deploy admin {made['sha256']}\n")
        return self.folder / "tokens", made["token"]

    def ask(self, node, method, path, body=None, token=None):
        host, port = node.admin.rsplit(":", 1)
        c = http.client.HTTPConnection(host, int(port), timeout=10)
        c.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
        status = c.getresponse().status
        c.close()
        return status


class Json(JournalCase):
    def test_lines_are_objects(self):
        """diag.format=json: each line is one object, whatever is in it; numbers are numbers."""
        tokens, token = self.tokens()
        node = self.start("--set", f"admin.tokens_file={tokens}", "--set", "diag.format=json")
        self.assertEqual(self.ask(node, "GET", "/v1/nodes"), 401)
        self.assertEqual(self.ask(node, "DELETE", "/v1/topics/%22%5C%0A%C3%A4", None, token), 404)
        _, said = node.end(15)
        lines = [json.loads(line) for line in said.splitlines()]
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warning", "notice", "info"))
            self.assertEqual(line["node"], 1)
            self.assertTrue(line["message"])
        change = next(line for line in lines if line.get("message_id") == EVENTS["OPERATOR_CHANGE"])
        self.assertEqual([change[k] for k in ("principal", "role", "method", "path", "status", "level")],
                         ["deploy", "admin", "DELETE", '/v1/topics/"\\?ä', 404, "notice"])
        unknown = next(line for line in lines if line.get("message_id") == EVENTS["OPERATOR_UNKNOWN"])
        self.assertRegex(unknown["client"], r"^127\.0\.0\.1:\d+$")
        self.assertNotIn(token, said)

    def test_text_stays(self):
        """Without it, and with text, lines are for people, as before."""
        for words in ((), ("--set", "diag.format=text")):
            node = self.start("--set", f"admin.tokens_file={self.tokens()[0]}", *words, data=f"data{len(words)}")
            self.assertEqual(self.ask(node, "GET", "/v1/nodes"), 401)
            _, said = node.end(15)
            self.assertRegex(said, r"(?m)^20\d\d-\S+Z warning admin: a request from ")
        done = self.chronikd("--check", "--set", "diag.format=xml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("diag.format", done.stderr)


@unittest.skipUnless(shutil.which("journalctl"), "journalctl is not here")
class Catalogue(ProgramCase):
    def test_systemd_reads_it(self):
        """journalctl makes its database of it, and knows each id."""
        folder = self.folder / "usr/lib/systemd/catalog"
        folder.mkdir(parents=True)
        (self.folder / "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(CATALOGUE, folder)
        done = subprocess.run(["journalctl", f"--root={self.folder}", "--update-catalog"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = subprocess.run(["journalctl", f"--root={self.folder}", "--list-catalog"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({line.split()[0] for line in done.stdout.splitlines()}, set(EVENTS.values()))
        self.assertTrue(all("Chronik:" in line for line in done.stdout.splitlines()), done.stdout)


@unittest.skipUnless(JOURNALD.exists() and shutil.which("journalctl"), "systemd-journald is not here")
class Journal(JournalCase):
    def setUp(self):
        super().setUp()
        (self.folder / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        id_file = shlex.quote(str(self.folder / "machine-id"))
        script = (f"mount -t tmpfs none /run && mkdir -p /run/systemd/journald.conf.d /run/log/journal && "
                  f"printf {shlex.quote(SETTINGS)} >/run/systemd/journald.conf.d/test.conf && "
                  f"mount --bind {id_file} /etc/machine-id && echo ready && exec {JOURNALD}")
        self.holder = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end_holder)
        if self.holder.stdout.readline() != "ready\n":
            self.skipTest(f"this user cannot mount: {self.holder.stderr.read().strip()}")
        deadline = time.monotonic() + 10
        while not Path(f"/proc/{self.holder.pid}/root/run/systemd/journal/stdout").exists():
            self.assertIsNone(self.holder.poll(), "journald ended")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def end_holder(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()

    def inside(self, *args):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "--", *args]

    def entries(self, *matches):
        """What journald has, when there is some."""
        deadline = time.monotonic() + 10
        while True:
            done = subprocess.run(self.inside("journalctl", "-o", "json", "--no-pager", *matches), capture_output=True, text=True)
            found = [json.loads(line) for line in done.stdout.splitlines()]
            if found:
                return found
            self.assertLess(time.monotonic(), deadline, f"{matches}: {done.stderr}")
            time.sleep(0.1)

    def journaled(self, *args):
        """A chronikd whose standard error is a stream of journald's, and which is told so, as by systemd."""
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(f"/proc/{self.holder.pid}/root/run/systemd/journal/stdout")
        stream.sendall(b"by-stream\n\n6\n1\n0\n0\n0\n")  # identifier, unit, priority, prefixes are read, and nowhere else
        info = os.fstat(stream.fileno())
        program = self.folder / "chronikd-in-journal"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self.inside(str(CHRONIKD)))} "$@"\n')
        program.chmod(0o755)
        node = Started(["--data-dir", str(self.folder / "data"), *ANY_PORTS, *args], self.folder, program=program, stderr=stream,
                       env={"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"})
        stream.close()
        self.addCleanup(node.kill)
        return node

    def test_fields(self):
        """The kind, the node, who and what: each is matched by journalctl; the level is the priority; no prefix is left in the text."""
        tokens, token = self.tokens()
        node = self.journaled("--set", f"admin.tokens_file={tokens}", "--set", "audit.enabled=true")
        self.assertEqual(self.ask(node, "POST", "/v1/topics", '{"name": "t"}', token), 200)
        self.assertEqual(self.ask(node, "GET", "/v1/nodes%0AMESSAGE_ID=x%0A", None, "wrong"), 401)
        [entry] = self.entries(f"MESSAGE_ID={EVENTS['OPERATOR_CHANGE']}")
        self.assertEqual([entry[k] for k in ("CHRONIK_NODE", "CHRONIK_PRINCIPAL", "CHRONIK_ROLE", "CHRONIK_METHOD", "CHRONIK_PATH",
                                             "CHRONIK_STATUS", "PRIORITY", "SYSLOG_IDENTIFIER", "_TRANSPORT")],
                         ["1", "deploy", "admin", "POST", "/v1/topics", "200", "5", "chronikd", "journal"])
        self.assertRegex(entry["MESSAGE"], r"^admin: deploy \(admin\) from 127\.0\.0\.1:\d+: POST /v1/topics, status 200$")
        [entry] = self.entries("CHRONIK_NODE=1", f"MESSAGE_ID={EVENTS['OPERATOR_UNKNOWN']}", "PRIORITY=4")
        self.assertRegex(entry["CHRONIK_CLIENT"], r"^127\.0\.0\.1:\d+$")
        everything = self.entries("SYSLOG_IDENTIFIER=chronikd")
        self.assertTrue(any(e["MESSAGE"].startswith("audit: {") for e in everything))
        for e in everything:
            self.assertEqual((e["_TRANSPORT"], e["CHRONIK_NODE"]), ("journal", "1"), e)
            self.assertNotIn(token, json.dumps(e))
        node.end(15)
        self.assertEqual([e for e in self.entries() if e.get("SYSLOG_IDENTIFIER") == "by-stream"], [])     # nothing came twice

    def test_redirected(self):
        """JOURNAL_STREAM names another file than standard error is: then it is written to that."""
        node = self.start("--set", f"admin.tokens_file={self.tokens()[0]}", env={"JOURNAL_STREAM": "1:2"})
        self.assertEqual(self.ask(node, "GET", "/v1/nodes"), 401)
        _, said = node.end(15)
        self.assertRegex(said, r"(?m)^20\d\d-\S+Z warning admin: a request from ")


if __name__ == "__main__":
    unittest.main()
