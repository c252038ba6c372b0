#!/usr/bin/env python3
"""Who may do what at the admin listener, and what it shows to whom.

Goal: each request needs the role that docs/SECURITY.md says, from a token or a certificate; what is open is open; an address that
others reach is refused unprotected; certificates and tokens are replaced while the node runs; without any of it all stays as it was.
Method: the real programs, HTTP of Python and chronik-ctl against chronikd on loopback; certificates by openssl.
"""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
import unittest

from program import CHRONIK_CTL, ProgramCase

ROLES = ("viewer", "operator", "admin")
# (method, path, body, the least role). What is asked for may be refused for other reasons: then the role was enough.
ROUTES = (
    ("GET", "/v1/cluster", None, "viewer"),
    ("GET", "/v1/nodes", None, "viewer"),
    ("GET", "/v1/nodes/1/may-stop", None, "viewer"),
    ("GET", "/v1/acls", None, "viewer"),
    ("GET", "/v1/users", None, "viewer"),
    ("GET", "/v1/here/topics", None, "viewer"),
    ("GET", "/metrics", None, "viewer"),
    ("GET", "/v1/no-such-thing", None, "viewer"),
    ("HEAD", "/v1/topics", None, "viewer"),
    ("POST", "/v1/disruption", "{}", "operator"),
    ("POST", "/v1/nodes/77/drain", None, "operator"),
    ("POST", "/v1/nodes/77/undrain", None, "operator"),
    ("POST", "/v1/nodes/77/decommission", None, "admin"),
    ("POST", "/v1/transfer", "{}", "operator"),
    ("POST", "/v1/reassignments", "{}", "operator"),
    ("POST", "/v1/elections", '{"topic": "t", "type": "preferred"}', "operator"),
    ("POST", "/v1/elections", '{"topic": "t", "type": "unclean"}', "admin"),
    ("POST", "/v1/quotas", "{}", "operator"),
    ("POST", "/v1/transactions", "{}", "operator"),
    ("POST", "/v1/verify", "[]", "operator"),
    ("POST", "/v1/topics", "{}", "admin"),
    ("DELETE", "/v1/topics/none", None, "admin"),
    ("POST", "/v1/acls", "{}", "admin"),
    ("POST", "/v1/users", "{}", "admin"),
    ("POST", "/v1/audit/key", None, "admin"),
    ("GET", "/v1/users/none", None, "admin"),
    ("POST", "/v1/rotations", "{}", "admin"),
    ("DELETE", "/v1/users/none", None, "admin"),
    ("POST", "/v1/controllers", "{}", "admin"),
    ("DELETE", "/v1/controllers/77", None, "admin"),
)
LOOK_S, REPLACED_S = 11, 25             # files are looked at every 10 s


class SecurityCase(ProgramCase):
    def token(self, name, role):
        """A new token as (token, line for the nodes)."""
        made = json.loads(self.run_program(CHRONIK_CTL, "admin-token", "new", name, role, "--json").stdout)
        (self.folder / f"{name}.token").write_text(made["token"] + "\n")
        return made["token"], f"{name} {role} {made['sha256']}\n"

    def tokens(self):
        """A file with a token for each role, in self.of[role]."""
        made = {role: self.token(role, role) for role in ROLES}
        self.of = {role: token for role, (token, _) in made.items()}
        (self.folder / "tokens").write_text("# of this test\n\n" + "".join(line for _, line in made.values()))
        return self.folder / "tokens"

    def connection(self, node, context=None):
        host, port = node.admin.rsplit(":", 1)
        if context:
            return http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        return http.client.HTTPConnection(host, int(port), timeout=10)

    def ask(self, node, method, path, body=None, token=None, context=None, headers=()):
        """(status, headers, text)"""
        c = self.connection(node, context)
        try:
            c.request(method, path, body, {**({"Authorization": f"Bearer {token}"} if token else {}), **dict(headers)})
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            c.close()

    def status(self, *args, **more):
        return self.ask(*args, **more)[0]

    def entries(self, **members):
        """Of the audit log, with these members; waits for one."""
        limit, found = time.monotonic() + 10, []
        while not found and time.monotonic() < limit:
            time.sleep(0.05)
            lines = [line for file in sorted((self.folder / "data" / "audit").glob("*.log")) for line in file.read_text().splitlines()]
            found = [e for e in map(json.loads, lines) if all(e.get(k) == v for k, v in members.items())]
        self.assertTrue(found, members)
        return found

    def ctl(self, node, *args, env=None):
        return self.run_program(CHRONIK_CTL, *args, env={"CHRONIK_SERVER": node.admin, **(env or {})})


class Tokens(SecurityCase):
    def test_each_route_needs_its_role(self):
        """A role may do what those below it may, and nothing else; nobody may nothing."""
        node = self.start("--set", f"admin.tokens_file={self.tokens()}")
        self.assertEqual(self.status(node, "POST", "/v1/topics", '{"name": "t"}', self.of["admin"]), 200)
        for method, path, body, least in ROUTES:
            with self.subTest(method=method, path=path, body=body):
                status, headers, text = self.ask(node, method, path, body)
                self.assertEqual(status, 401)
                self.assertIn("Bearer", headers["WWW-Authenticate"])
                if method != "HEAD":
                    self.assertIn("--token-file", json.loads(text)["error"])
                for role in ROLES:
                    status, _, text = self.ask(node, method, path, body, self.of[role])
                    if ROLES.index(role) < ROLES.index(least):
                        self.assertEqual(status, 403, (role, text))
                        self.assertIn("role", json.loads(text)["error"])
                    else:
                        self.assertNotIn(status, (401, 403), (role, text))

    def test_what_is_no_token(self):
        """Other schemes, other tokens, the hash itself, and half a token are nobody."""
        tokens = self.tokens()
        node = self.start("--set", f"admin.tokens_file={tokens}")
        real = self.of["admin"]
        line = next(x for x in tokens.read_text().splitlines() if x.startswith("admin"))
        for value in ("", "Bearer", "Bearer ", f"Basic {real}", real, f"Bearer {real[:-1]}", f"Bearer {real}0",
                      f"Bearer {line.split()[2]}", "Bearer " + "x" * 2000, f"Bearer {real} {real}"):
            with self.subTest(value=value[:20]):
                self.assertEqual(self.status(node, "GET", "/v1/nodes", headers={"Authorization": value}.items()), 401)
        for value in (f"bearer {real}", f"Bearer   {real}"):
            self.assertEqual(self.status(node, "GET", "/v1/nodes", headers={"Authorization": value}.items()), 200)

    def test_open(self):
        """Health is open unless told otherwise, /metrics is where told."""
        tokens = self.tokens()
        for number, (words, live, metrics) in enumerate(((None, 200, 401), ("none", 401, 401), ("metrics", 401, 200),
                                                         ("health,metrics", 200, 200))):
            node = self.start("--set", f"admin.tokens_file={tokens}", *(("--set", f"admin.open={words}") if words else ()),
                              data=f"data{number}")
            self.assertEqual((self.status(node, "GET", "/livez"), self.status(node, "GET", "/metrics"),
                              self.status(node, "GET", "/v1/nodes")), (live, metrics, 401), words)
            node.kill()

    def test_journal_and_metrics(self):
        """Who changed something is written down; refusals are counted; no token is in what is written."""
        node = self.start("--set", f"admin.tokens_file={self.tokens()}")
        self.status(node, "POST", "/v1/topics", '{"name": "t"}', self.of["admin"])
        self.status(node, "DELETE", "/v1/topics/t%0Aforged", None, self.of["viewer"])
        self.status(node, "GET", "/v1/nodes", token="wrong")
        text = self.ask(node, "GET", "/metrics", token=self.of["viewer"])[2]
        self.assertRegex(text, r"(?m)^chronik_admin_unauthenticated_total 1$")
        self.assertRegex(text, r"(?m)^chronik_admin_denied_total 1$")
        _, said = node.end(15)
        self.assertRegex(said, r"admin: admin \(admin\) from 127\.0\.0\.1:\d+: POST /v1/topics, status 200")
        self.assertIn("admin: viewer (viewer) may not DELETE /v1/topics/t?forged", said)
        for token in self.of.values():
            self.assertNotIn(token, said)

    def test_audit(self):
        """Who came, once on a connection; who was refused, each time and why; who changed something, with the role. No token is in it."""
        node = self.start("--set", f"admin.tokens_file={self.tokens()}", "--set", "audit.enabled=true")
        self.assertEqual(self.status(node, "POST", "/v1/topics", '{"name": "t"}', self.of["admin"]), 200)
        entry = self.entries(kind="change", operation="CREATE_TOPIC")[0]
        self.assertEqual([entry[k] for k in ("principal", "role", "host", "listener", "api", "name", "outcome")],
                         ["Token:admin", "admin", "127.0.0.1", "admin", "POST /v1/topics", "t", "done"])
        kept = self.connection(node)
        for role in ("viewer", "viewer", "operator", "operator"):
            kept.request("GET", "/v1/nodes", headers={"Authorization": f"Bearer {self.of[role]}"})
            self.assertEqual(kept.getresponse().read()[:1], b"{")
        kept.close()
        self.assertEqual(self.status(node, "GET", "/livez"), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token="wrong"), 401)
        self.assertEqual(self.status(node, "GET", "/v1/nodes"), 401)
        self.assertEqual(self.status(node, "DELETE", "/v1/topics/t%0Aforged", None, self.of["viewer"]), 403)
        body = '{"topic": "t", "type": "unclean"}'
        self.assertEqual(self.status(node, "POST", "/v1/elections", body, self.of["operator"]), 403)
        self.assertEqual(self.entries(kind="denied", operation="POST")[0]["name"], "/v1/elections")
        entry = self.entries(kind="denied", operation="DELETE")[0]
        self.assertEqual([entry[k] for k in ("principal", "role", "name", "outcome")],
                         ["Token:viewer", "viewer", "/v1/topics/t\nforged", "needs the role admin"])
        failed = self.entries(kind="login_failed", listener="admin")
        self.assertEqual([(e["operation"], e.get("principal"), e["outcome"], e["api"]) for e in failed],
                         [("TOKEN", None, "its token is not known", "GET /v1/nodes"),
                          ("NONE", None, "it says of nobody that is known", "GET /v1/nodes")])
        logins = [(e["principal"], e["role"], e["operation"]) for e in self.entries(kind="login", listener="admin")]
        self.assertEqual(logins, [(f"Token:{x}", x, "TOKEN") for x in ("admin", "viewer", "operator", "viewer", "operator")])
        _, said = node.end(15)
        text = said + "".join(file.read_text() for file in (self.folder / "data" / "audit").glob("*.log"))
        for token in self.of.values():
            self.assertNotIn(token, text)
            self.assertNotIn(token[-16:], text)

    def test_tokens_are_read_again(self):
        """A token that is taken out of the file counts no more, a new one does, and a file with a mistake changes nothing."""
        tokens = self.tokens()
        node = self.start("--set", f"admin.tokens_file={tokens}")
        new, line = self.token("new", "viewer")
        tokens.write_text(line + "a mistake\n")
        time.sleep(LOOK_S)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=self.of["admin"]), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=new), 401)
        tokens.write_text(line)
        limit = time.monotonic() + REPLACED_S
        while self.status(node, "GET", "/v1/nodes", token=new) != 200 and time.monotonic() < limit:
            time.sleep(0.3)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=new), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=self.of["admin"]), 401)
        _, said = node.end(15)
        self.assertIn("tokens: line 2: the role is none of", said)

    def test_another_token(self):
        """admin-token rotate: one command makes the new token and edits the nodes' file, in which the one from before stays until --finish."""
        tokens = self.tokens()
        node = self.start("--set", f"admin.tokens_file={tokens}")
        before = tokens.read_text()

        def ctl(*args, status=0):
            done = self.run_program(CHRONIK_CTL, "admin-token", "rotate", *args)
            self.assertEqual(done.returncode, status, done.stderr)
            return done.stdout if not status else done.stderr

        def wait(token, status):
            limit = time.monotonic() + REPLACED_S
            while self.status(node, "GET", "/v1/users/none", token=token) != status and time.monotonic() < limit:
                time.sleep(0.3)
            self.assertEqual(self.status(node, "GET", "/v1/users/none", token=token), status)

        file = ("--tokens-file", str(tokens))
        self.assertIn("--tokens-file is needed", ctl("admin", status=2))
        self.assertIn("no token of that name", ctl("nobody", *file, status=1))
        self.assertIn("nothing to finish", ctl("admin", *file, "--finish", status=1))
        self.assertEqual(tokens.read_text(), before)
        made = json.loads(ctl("admin", *file, "--json"))["token"]
        wait(made, 404)
        self.assertEqual(self.status(node, "GET", "/v1/users/none", token=self.of["admin"]), 404)
        self.assertIn("--finish first", ctl("admin", *file, status=1))
        self.assertTrue(set(before.splitlines()) - set(tokens.read_text().splitlines()))
        ctl("admin", *file, "--finish")
        wait(self.of["admin"], 401)
        self.assertEqual(self.status(node, "GET", "/v1/users/none", token=made), 404)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=self.of["viewer"]), 200)
        self.assertEqual([line.split()[:2] for line in tokens.read_text().splitlines()],
                         [line.split()[:2] for line in before.splitlines()])     # comments too

    def test_bad_files(self):
        """What is wrong with the file is said with its line, and the node does not start."""
        path = self.folder / "tokens"
        good = "a viewer " + "0" * 64 + "\n"
        for text, says in (("a viewer\n", "line 1: what follows the role is no SHA-256"), ("a owner " + "0" * 64, "the role"),
                           (good + good, "line 2: there is a token of that name"), (good + "b/c viewer " + "0" * 64, "name"),
                           (good[:-1] + " more\n", "something follows"), ("a viewer " + "g" * 64, "no SHA-256"),
                           ("".join(f"t{i} viewer {'0' * 64}\n" for i in range(257)), "more than 256")):
            path.write_text(text)
            self.refused("--data-dir", self.folder / "data", "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set",
                         f"admin.tokens_file={path}", says=(str(path), says))
        self.refused("--data-dir", self.folder / "data", "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set",
                     "admin.tokens_file=/nowhere", says=("/nowhere: No such file",))

    def test_credential(self):
        """Without a path the tokens are systemd's credential, when there is one."""
        self.tokens().rename(self.folder / "chronik.admin_tokens")
        node = self.start(env={"CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertEqual(self.status(node, "GET", "/v1/nodes"), 401)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=self.of["viewer"]), 200)

    def test_without(self):
        """Without any of it, whoever reaches the listener may do everything, as before."""
        node = self.start()
        self.assertEqual(self.status(node, "POST", "/v1/topics", '{"name": "t"}'), 200)
        self.assertEqual(self.status(node, "GET", "/metrics"), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token="any"), 200)

    def test_ctl(self):
        """chronik-ctl shows the token of its file; status 6 says that this operator may not."""
        node = self.start("--set", f"admin.tokens_file={self.tokens()}")
        self.assertEqual(self.ctl(node, "node", "list", "--token-file", "viewer.token").returncode, 0)
        self.assertEqual(self.ctl(node, "node", "list", env={"CHRONIK_TOKEN_FILE": "viewer.token"}).returncode, 0)
        for args, says in ((("node", "list"), "Say who you are"),
                           (("topic", "create", "t", "--token-file", "operator.token"), "needs the role admin")):
            done = self.ctl(node, *args)
            self.assertEqual((done.returncode, done.stdout), (6, ""))
            self.assertIn(says, done.stderr)
        (self.folder / "empty").write_text("\n")
        for path, says in (("empty", "no token in its first line"), ("nowhere", "No such file")):
            done = self.ctl(node, "node", "list", "--token-file", path)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(says, done.stderr)

    def test_new_token(self):
        """Each is another one; in words there are the token and its line; bad names and roles are wrong usage."""
        first, second = self.token("a", "viewer"), self.token("a", "viewer")
        self.assertNotEqual(first, second)
        text = self.run_program(CHRONIK_CTL, "admin-token", "new", "a", "viewer").stdout
        self.assertRegex(text, r"(?m)^chronik_[0-9a-f]{64}$")
        self.assertRegex(text, r"(?m)^a viewer [0-9a-f]{64}$")
        for args, says in ((("a b", "viewer"), "no name"), (("a", "root"), "no role"), (("a",), "")):
            done = self.run_program(CHRONIK_CTL, "admin-token", "new", *args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn(says, done.stderr)


class Addresses(SecurityCase):
    def check(self, admin, *sets):
        return self.chronikd("--check", "--admin", admin, *(x for s in sets for x in ("--set", s)))

    def test_only_loopback_is_unprotected(self):
        """Whoever reaches an open listener could do everything, so it may not be anywhere but on loopback, unless that is meant."""
        for admin in ("127.0.0.1:9644", "127.9.9.9:9644", "[::1]:9644", "localhost:9644"):
            self.assertEqual(self.check(admin).returncode, 0, admin)
        for admin in ("0.0.0.0:9644", "[::]:9644", "10.0.0.1:9644", "kafka-1.example.org:9644", "127.0.0.1.example.org:9644"):
            done = self.check(admin)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), admin)
            for words in ("server.admin", "is not loopback", "admin.tokens_file", "admin.tls_certificate", "admin.unprotected"):
                self.assertIn(words, done.stderr)
            self.assertEqual(self.check(admin, "admin.unprotected=true").returncode, 0, admin)
        self.assertIn("in clear text", self.check("0.0.0.0:9644", "admin.tokens_file=/t").stderr)
        tls = ("admin.tls_certificate=/c", "admin.tls_key=/k")
        self.assertIn("could do everything", self.check("0.0.0.0:9644", *tls).stderr)
        self.assertEqual(self.check("0.0.0.0:9644", "admin.tokens_file=/t", *tls).returncode, 0)

    def test_what_does_not_go_together(self):
        """Parameters that make no sense together are told one by one."""
        for sets, says in ((("admin.tls_key=/k",), "admin.tls_certificate: is empty"),
                           (("admin.tls_certificate=/c",), "admin.tls_key: is empty"),
                           (("admin.client_auth=required",), "admin.client_auth: needs TLS"),
                           (("admin.tls_ca=/c",), "admin.tls_ca: is given"),
                           (("admin.role_mapping_rules=RULE:a/b/",), "admin.role_mapping_rules: is given"),
                           (("admin.open=none,health",), "admin.open: says none"),
                           (("admin.client_auth=required", "admin.tls_certificate=/c", "admin.tls_key=/k", "admin.tls_ca=/a"),
                            "admin.role_mapping_rules: is empty"),
                           (("admin.client_auth=required", "admin.tls_certificate=/c", "admin.tls_key=/k", "admin.tls_ca=/a",
                             "admin.role_mapping_rules=RULE:("), "admin.role_mapping_rules: a rule is")):
            done = self.check("127.0.0.1:0", *sets)
            self.assertEqual(done.returncode, 1, sets)
            self.assertIn(says, done.stderr)


@unittest.skipUnless(shutil.which("openssl"), "openssl, which makes the certificates of this test, is not here")
class Tls(SecurityCase):
    RULES = r"RULE:spiffe:\/\/example\/ops\/(viewer|operator|admin)/$1/,RULE:^CN=[a-z]+,OU=Viewers$/viewer/"

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj",
                     f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-addext",
                     "keyUsage=critical,keyCertSign")

    def issue(self, name, ca, subject, alternative=None):
        """NAME.pem and NAME.key by @ca."""
        (self.folder / "ext").write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout",
                     f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "90", "-out",
                     f"{name}.pem", "-extfile", "ext")

    def setUp(self):
        super().setUp()
        self.authority("ca")
        self.authority("people")
        self.issue("server", "ca", "/CN=admin", "IP:127.0.0.1")

    def start_tls(self, *sets, client_auth=None):
        args = [f"admin.tls_certificate={self.folder}/server.pem", f"admin.tls_key={self.folder}/server.key", *sets]
        if client_auth:
            args += [f"admin.tls_ca={self.folder}/people.pem", f"admin.client_auth={client_auth}",
                     f"admin.role_mapping_rules={self.RULES}"]
        return self.start(*(x for s in args for x in ("--set", s)))

    def context(self, name=None, ca="ca"):
        context = ssl.create_default_context(cafile=str(self.folder / f"{ca}.pem"))
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def test_certificates_of_operators(self):
        """The role is that of the URI, or of the subject; another authority's certificate, or none, is refused."""
        self.authority("strangers")
        for name, ca, subject, uri in (("admin", "people", "/CN=x", "URI:spiffe://example/ops/admin"),
                                       ("operator", "people", "/CN=x", "URI:spiffe://example/ops/operator"),
                                       ("viewer", "people", "/OU=Viewers/CN=eve", None),
                                       ("nobody", "people", "/CN=x", "URI:spiffe://example/ops/administrator"),
                                       ("two", "people", "/CN=x", "URI:spiffe://example/ops/admin,URI:spiffe://example/ops/viewer"),
                                       ("stranger", "strangers", "/CN=x", "URI:spiffe://example/ops/admin")):
            self.issue(name, ca, subject, uri)
        node = self.start_tls(client_auth="required")
        expected = {"admin": (200, 400), "operator": (200, 403), "viewer": (200, 403), "nobody": (401, 401), "two": (401, 401)}
        for name, statuses in expected.items():
            context = self.context(name)
            self.assertEqual((self.status(node, "GET", "/v1/nodes", context=context),
                              self.status(node, "POST", "/v1/topics", "{}", context=context)), statuses, name)
        for name in ("stranger", None):
            with self.assertRaises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
                self.status(node, "GET", "/livez", context=self.context(name))
        done = self.ctl(node, "node", "list", "--ca", "ca.pem", "--cert", "admin.pem", "--key", "admin.key")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.ctl(node, "node", "list", "--ca", "ca.pem")
        self.assertEqual(done.returncode, 3)
        self.assertIn("--cert, --key", done.stderr)
        self.assertEqual(self.ctl(node, "node", "list", "--ca", "ca.pem", "--cert", "admin.pem").returncode, 2)

    def test_requested(self):
        """Who shows no certificate may show a token; a token that is not known counts more than a certificate that is."""
        self.issue("admin", "people", "/CN=x", "URI:spiffe://example/ops/admin")
        node = self.start_tls(f"admin.tokens_file={self.tokens()}", client_auth="requested")
        self.assertEqual(self.status(node, "GET", "/v1/nodes", context=self.context()), 401)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token=self.of["viewer"], context=self.context()), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", context=self.context("admin")), 200)
        self.assertEqual(self.status(node, "GET", "/v1/nodes", token="no", context=self.context("admin")), 401)

    def test_audit(self):
        """A change names the certificate that asked for it; so does a refusal, also of a certificate without a role."""
        for name, uri in (("admin", "URI:spiffe://example/ops/admin"), ("nobody", None)):
            self.issue(name, "people", f"/CN={name}", uri)
        node = self.start_tls("audit.enabled=true", client_auth="required")
        self.assertEqual(self.status(node, "POST", "/v1/topics", '{"name": "t"}', context=self.context("admin")), 200)
        entry = self.entries(kind="change", operation="CREATE_TOPIC")[0]
        self.assertEqual([entry[k] for k in ("principal", "role", "host")], ["Certificate:spiffe://example/ops/admin", "admin", "127.0.0.1"])
        self.assertEqual(self.entries(kind="login", listener="admin")[0]["operation"], "SSL")
        self.assertEqual(self.status(node, "GET", "/v1/nodes", context=self.context("nobody")), 401)
        entry = self.entries(kind="login_failed")[0]
        self.assertEqual([entry.get(k) for k in ("principal", "role", "operation", "outcome")],
                         ["Certificate:CN=nobody", None, "SSL", "its certificate has no role here"])

    def test_one_connection_is_not_another(self):
        """Connections at a time and one after the other: each request has the role of its own connection."""
        for role in ROLES:
            self.issue(role, "people", "/CN=x", f"URI:spiffe://example/ops/{role}")
        node = self.start_tls(client_auth="requested")
        for _ in range(10):
            for name, expected in (("admin", 400), (None, 401), ("viewer", 403), ("operator", 403)):
                self.assertEqual(self.status(node, "POST", "/v1/topics", "{}", context=self.context(name)), expected)
        held = [(self.connection(node, self.context(name)), expected)
                for name, expected in (("admin", 400), (None, 401), ("viewer", 403)) for _ in range(5)]
        for _ in range(3):
            for c, expected in held:
                c.request("POST", "/v1/topics", "{}")
                answer = c.getresponse()
                answer.read()
                self.assertEqual(answer.status, expected)
        for c, _ in held:
            c.close()

    def test_long_bodies(self):
        """Much more than a buffer goes both ways, on one connection, and the end is seen."""
        node = self.start_tls()
        c = self.connection(node, self.context())
        for length in (1, 16383, 16384, 16385, 100000, 1 << 20):
            c.request("POST", "/v1/verify", "x" * length)
            answer = c.getresponse()
            self.assertEqual(answer.status, 400)
            answer.read()
        c.request("POST", "/v1/verify", "x" * ((1 << 20) + 1))
        self.assertEqual(c.getresponse().status, 413)
        c.close()
        for i in range(60):
            self.assertEqual(self.status(node, "POST", "/v1/topics", json.dumps({"name": f"{i}" + "t" * 200, "partitions": 1}),
                                         context=self.context()), 200)
        self.assertEqual(len(json.loads(self.ask(node, "GET", "/v1/topics", context=self.context())[2])["topics"]), 60)

    def test_strangers(self):
        """Plain HTTP, noise, silence and half a handshake get nowhere, and do not keep others out."""
        node = self.start_tls()
        host, port = node.admin.rsplit(":", 1)
        silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(30)]
        for data in (b"GET /livez HTTP/1.0\r\n\r\n", b"\x00" * 300, b"\x16\x03\x01\x02\x00" + b"x" * 100):
            with socket.create_connection((host, int(port)), timeout=5) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                try:
                    while answer := s.recv(1000):
                        self.assertNotIn(b"alive", answer)
                except ConnectionError:
                    pass
        self.assertEqual(self.status(node, "GET", "/livez", context=self.context()), 200)
        began = time.monotonic()
        self.assertEqual(silent[0].recv(1), b"")        # given up
        self.assertLess(time.monotonic() - began, 15)
        for s in silent:
            s.close()
        done = self.ctl(node, "node", "list")
        self.assertEqual(done.returncode, 3)
        self.assertIn("--ca FILE", done.stderr)

    def test_versions(self):
        """TLS 1.2 and 1.3, nothing older."""
        node = self.start_tls()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            self.assertEqual(self.status(node, "GET", "/livez", context=context), 200)

    def test_certificate_is_replaced(self):
        """A new certificate is shown without a restart."""
        node = self.start_tls()
        self.assertEqual(self.status(node, "GET", "/livez", context=self.context()), 200)
        self.authority("next")
        self.issue("new", "next", "/CN=admin", "IP:127.0.0.1")
        (self.folder / "new.key").replace(self.folder / "server.key")
        (self.folder / "new.pem").replace(self.folder / "server.pem")
        limit = time.monotonic() + REPLACED_S
        while True:
            try:
                self.assertEqual(self.status(node, "GET", "/livez", context=self.context(ca="next")), 200)
                break
            except ssl.SSLError:
                self.assertLess(time.monotonic(), limit)
                time.sleep(0.3)
        _, said = node.end(15)
        self.assertIn("the certificate of the admin listener was replaced", said)

    def test_bad_certificate(self):
        """A key that belongs to another certificate is refused at the start."""
        self.refused("--data-dir", self.folder / "data", "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set",
                     f"admin.tls_certificate={self.folder}/server.pem", "--set", f"admin.tls_key={self.folder}/ca.key",
                     says=("cannot serve operators", "ca.key"))

    def test_authority_of_ctl(self):
        """chronik-ctl believes --ca alone."""
        node = self.start_tls()
        self.assertEqual(self.ctl(node, "node", "list", "--ca", "ca.pem").returncode, 0)
        for args in (("--ca", "people.pem"), ("--server", f"https://{node.admin}")):
            done = self.ctl(node, "node", "list", *args)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertRegex(done.stderr, re.compile("not accepted"))


if __name__ == "__main__":
    unittest.main()
