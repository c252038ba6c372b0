#!/usr/bin/env python3
"""Goal: whoever may not is told exactly why, and credentials come from wherever they are configured to.
Method: real servers that check signatures, sessions and policies; small servers that stand for the metadata of a machine, for STS and for
OAuth, and give out credentials that the real ones know."""

import base64
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "protocol"))

import awssign  # noqa: E402
from clock import Clock  # noqa: E402
from proxy import Proxy, error, first  # noqa: E402
from servers import Azurite, Google, Minio, Missing  # noqa: E402
from store import (BAD_CONFIG, BAD_CREDENTIALS, CANCELLED, CLOCK_SKEW, MISSING, NO_BUCKET, NO_PERMISSION, OK,  # noqa: E402
                   TIMED_OUT, WRONG_PLACE, Store)


class Giver:
    """An HTTP server that answers what @answers says: (method, path) -> function of (headers, body) -> (status, text)."""

    def __init__(self, answers):
        self.seen, giver = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                giver.seen.append((self.command, self.path))
                answer = answers.get((self.command, self.path))
                status, text = answer(self.headers, body) if answer else (404, "")
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                try:
                    self.wfile.write(text.encode())
                except OSError:
                    pass                # who asked has gone

            do_GET = do_PUT = do_POST = handle_any  # noqa: N815

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Who(unittest.TestCase):
    server_class = Minio

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = cls.server_class().start()
        except Missing as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.key = f"{self.id().rsplit('.', 1)[-1]}/object"
        self.folder = tempfile.TemporaryDirectory(prefix="chronik-object-")
        self.addCleanup(self.folder.cleanup)

    def store(self, env=None, opened=0, **more):
        s = Store({n: v for n, v in self.server.config(**more).items() if v is not None}, env)
        self.addCleanup(s.close)
        self.assertEqual(s.opened["open"], opened, s.opened)
        return s

    def ok(self, answer):
        self.assertEqual((answer["result"], answer["text"]), (OK, ""))
        return answer

    def refused(self, answer, result, *words):
        self.assertEqual(answer["result"], result, answer["text"])
        for word in words:
            self.assertIn(word, answer["text"])

    def giver(self, answers):
        g = Giver(answers)
        self.addCleanup(g.close)
        return g

    def file(self, name, text):
        path = Path(self.folder.name, name)
        path.write_text(text)
        return str(path)


class OnMinio(Who):
    def session(self, policy=None):
        """A session's credentials, as MinIO's STS gives them."""
        return awssign.assume_role(self.server.port, self.server.access_key, self.server.secret_key, policy)

    def test_wrong_credentials(self):
        self.refused(self.store(access_key="nobody").put(self.key, 10), BAD_CREDENTIALS, "InvalidAccessKeyId",
                     "does not know this access key")
        for answer in (self.store(secret_key="wrong").put(self.key, 10), self.store(secret_key="wrong").list("")):
            self.refused(answer, BAD_CREDENTIALS, "SignatureDoesNotMatch", "the secret key is not that of the access key")

    def test_session(self):
        access_key, secret_key, token = self.session()
        s = self.store(access_key=access_key, secret_key=secret_key, session_token=token)
        self.assertEqual(s.probe("session/", with_parts=True)["failures"], 0)
        self.refused(self.store(access_key=access_key, secret_key=secret_key).put(self.key, 10), BAD_CREDENTIALS)
        self.refused(self.store(access_key=access_key, secret_key=secret_key, session_token=token[:-4] + "AAAA").put(self.key, 10),
                     BAD_CREDENTIALS)

    def test_expired(self):
        p = Proxy(self.server.port, first(99, error(400, "ExpiredToken")))
        with p:
            s = Store(self.server.config(p.port))
            self.refused(s.put(self.key, 10), BAD_CREDENTIALS, "ExpiredToken", "the session has expired")
            s.close()

    def limited(self, *actions):
        """A store whose credentials allow only these."""
        policy = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}]})
        access_key, secret_key, token = self.session(policy)
        return self.store(access_key=access_key, secret_key=secret_key, session_token=token)

    def test_probe_names_the_permission(self):
        every = ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        self.assertEqual(self.limited(*every).probe("limited/", with_parts=True)["failures"], 0)
        for missing, checks in (("s3:PutObject", ["write"]), ("s3:GetObject", ["condition", "read", "range", "head"]),
                                ("s3:ListBucket", ["list"]), ("s3:DeleteObject", ["delete"])):
            found = self.limited(*(a for a in every if a != missing)).probe("limited/")["findings"]
            wrong = {name: text for name, (result, text) in found.items() if result}
            for name in checks:
                self.assertIn(missing, wrong.pop(name), found)
            self.assertTrue(all(n == "missing" for n in wrong), wrong)  # 403 for what is not there, without ListBucket

    def test_probe_without_a_bucket(self):
        found = self.store(bucket="none").probe("")
        self.assertEqual(list(found["findings"]), ["write"])
        self.assertEqual(found["findings"]["write"][0], NO_BUCKET)

    def test_clock(self):
        clock = Clock()
        self.addCleanup(clock.close)
        clock.set(3600)
        s = self.store(clock.env())
        self.refused(s.put(self.key, 10), CLOCK_SKEW, "RequestTimeTooSkewed", "s ahead of the store's; set the clocks")
        clock.set(-7200)
        self.refused(s.put(self.key, 10), CLOCK_SKEW, "s behind the store's; set the clocks")
        clock.set(60)
        self.ok(s.put(self.key, 10))

    def test_region(self):
        s = self.store(region="eu-central-1")
        self.refused(s.put(self.key, 10), WRONG_PLACE, "the region is us-east-1 and not eu-central-1")
        self.refused(s.list(""), WRONG_PLACE)

    def test_environment(self):
        env = {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key, "AWS_SESSION_TOKEN": ""}
        self.ok(self.store(env, source="env", access_key=None, secret_key=None).put(self.key, 10))
        s = self.store({"AWS_ACCESS_KEY_ID": ""}, source="env", opened=BAD_CREDENTIALS)
        self.assertIn("AWS_ACCESS_KEY_ID", s.opened["why"])

    def test_file_is_read_again(self):
        """Credentials that were refused are read again before anybody is told; so keys can be changed under a running node."""
        def text(secret):
            return f"[other]\naws_access_key_id = a\naws_secret_access_key = b\n[chronik]\naws_access_key_id = {self.server.access_key}\n" \
                   f"aws_secret_access_key = {secret}\n"
        path = self.file("credentials", text("old"))
        s = self.store(source="file", credentials_file=path, profile="chronik", access_key=None, secret_key=None)
        self.refused(s.put(self.key, 10), BAD_CREDENTIALS, "SignatureDoesNotMatch")
        Path(path).write_text(text(self.server.secret_key))
        self.ok(s.put(self.key, 10))
        os.unlink(path)
        self.ok(s.put(self.key, 10))
        s = self.store(source="file", credentials_file=path, opened=BAD_CREDENTIALS)
        self.assertIn("No such file", s.opened["why"])

    def test_systemd(self):
        self.file("chronik.s3", f"access_key_id={self.server.access_key}\nsecret_access_key={self.server.secret_key}\n")
        s = self.store({"CREDENTIALS_DIRECTORY": self.folder.name}, source="systemd", credentials_file="chronik.s3", access_key=None,
                       secret_key=None)
        self.ok(s.put(self.key, 10))

    # -- asked for over HTTP

    def instance(self, seconds=3600):
        def role(headers, _body):
            if headers.get("x-aws-ec2-metadata-token") != "imds-token":
                return 401, ""
            access_key, secret_key, token = self.session()
            expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            return 200, json.dumps({"Code": "Success", "AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": token,
                                    "Expiration": expiration})

        def imds_token(headers, _body):
            return (200, "imds-token") if headers.get("x-aws-ec2-metadata-token-ttl-seconds") else (400, "")

        path = "/latest/meta-data/iam/security-credentials/"
        return self.giver({("PUT", "/latest/api/token"): imds_token, ("GET", path): lambda h, b: (200, "my-role\n"),
                           ("GET", path + "my-role"): role})

    def test_instance(self):
        g = self.instance()
        s = self.store(source="instance", instance_endpoint=g.url, access_key=None, secret_key=None)
        numbers = [s.ask("put", wait=False, key=f"{self.key}{i}", len=10, seed=1) for i in range(20)]
        for n in numbers:
            self.ok(s.wait(n))
        self.assertEqual(len(g.seen), 3)      # asked for once, by all of them together

    def test_instance_credentials_are_renewed(self):
        g = self.instance(seconds=120)        # renewed five minutes before they expire: so now, but once a second at most
        s = self.store(source="instance", instance_endpoint=g.url, access_key=None, secret_key=None)
        self.ok(s.put(self.key, 10))
        time.sleep(1.1)
        self.ok(s.put(self.key, 10))          # with the old ones, while new ones are asked for
        deadline = time.monotonic() + 20
        while len(g.seen) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(g.seen), 6)
        self.ok(s.put(self.key, 10))

    def test_instance_without_a_role(self):
        g = self.giver({("PUT", "/latest/api/token"): lambda h, b: (200, "t")})
        s = self.store(source="instance", instance_endpoint=g.url, access_key=None, secret_key=None)
        self.refused(s.put(self.key, 10), BAD_CREDENTIALS, "has this machine a role?")
        g.close()

    def test_nobody_gives_credentials(self):
        """Who waits for credentials keeps his deadline, and is answered when the store is closed."""
        stop = threading.Event()
        self.addCleanup(stop.set)
        g = self.giver({("PUT", "/latest/api/token"): lambda h, b: (stop.wait(30), (500, ""))[1]})
        s = self.store(source="instance", instance_endpoint=g.url, access_key=None, secret_key=None)
        self.assertEqual(s.put(self.key, 10, deadline_ms=300)["result"], TIMED_OUT)
        numbers = [s.ask("put", wait=False, key=self.key, len=10, seed=1) for _ in range(5)]
        s.close()
        self.assertEqual([s.wait(n)["result"] for n in numbers], [CANCELLED] * 5)

    def test_web_identity(self):
        asked = []

        def assume(_headers, body):
            asked.append(dict(urllib.parse.parse_qsl(body)))
            access_key, secret_key, token = self.session()
            return 200, ("<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                         f"<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret_key}"
                         f"</SecretAccessKey><Expiration>2999-01-01T00:00:00Z</Expiration><AccessKeyId>{access_key}</AccessKeyId>"
                         "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
        g = self.giver({("POST", "/"): assume})
        path = self.file("token", "eyJ.a+b/c=\n")
        s = self.store(source="web-identity", sts_endpoint=g.url, token_file=path, role_arn="arn:aws:iam::1:role/r&x", access_key=None,
                       secret_key=None)
        self.ok(s.put(self.key, 10))
        self.assertEqual(asked, [{"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::1:role/r&x",
                                  "RoleSessionName": "chronik", "WebIdentityToken": "eyJ.a+b/c="}])
        s = self.store(source="web-identity", sts_endpoint=g.url, token_file=path + "x", role_arn="a", access_key=None, secret_key=None)
        self.refused(s.put(self.key, 10), BAD_CREDENTIALS, "No such file")
        s = self.store(source="web-identity", opened=BAD_CONFIG)
        self.assertIn("role_arn", s.opened["why"])

    def test_configurations_that_cannot_be(self):
        for more, word in (({"endpoint": "minio:9000"}, "begins with https://"), ({"endpoint": "https://host/path"}, "no path"),
                           ({"endpoint": "https://user@host"}, "nothing else"), ({"bucket": "a/b"}, "bucket"), ({"bucket": ""}, "bucket"),
                           ({"part_len": 1}, "part_len"), ({"ca_file": "/nowhere"}, "No such file"), ({"requests_max": 0}, "requests_max"),
                           ({"source": "account"}, "Google's")):
            self.assertIn(word, self.store(opened=BAD_CONFIG, **more).opened["why"], more)


class OnAzurite(Who):
    server_class = Azurite

    def test_wrong_key(self):
        # Azure says AuthenticationFailed, the emulator AuthorizationFailure, which Azure has other uses for.
        self.refused(self.store(secret_key="d3Jvbmc=").put(self.key, 10), NO_PERMISSION, "AuthorizationFailure", "or the key is wrong")
        self.refused(self.store(secret_key="no base64!").put(self.key, 10), BAD_CREDENTIALS, "base64")

    def test_sas_that_allows_less(self):
        s = self.store(secret_key=None, access_key=None, sas=self.server.sas("rl"))
        self.refused(s.put(self.key, 10), NO_PERMISSION, "sp=cw")
        self.assertEqual(s.get(self.key, 10)["result"], MISSING)
        self.ok(s.list(""))
        s = self.store(secret_key=None, access_key=None, sas=self.server.sas("rwl", minutes=-10))
        self.refused(s.put(self.key, 10), NO_PERMISSION, "the SAS has expired")

    def test_sas_needs_tls(self):
        s = self.store(endpoint="http://azure.example/a", sas="sig=x", secret_key=None, access_key=None, opened=BAD_CONFIG)
        self.assertIn("must be https", s.opened["why"])


class OnGoogle(Who):
    server_class = Google

    def test_wrong_key(self):
        self.refused(self.store(secret_key="wrong").put(self.key, 10), BAD_CREDENTIALS, "SignatureDoesNotMatch")

    def account(self):
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout
        path = Path(self.folder.name, "key.pem")
        path.write_text(key)
        public = subprocess.run(["openssl", "rsa", "-in", str(path), "-pubout"], check=True, capture_output=True).stdout
        Path(self.folder.name, "public.pem").write_bytes(public)
        return key

    def verified(self, assertion):
        """The claims of a token whose signature openssl has found right."""
        head, claims, signature = (base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in assertion.split("."))
        self.file("signed", assertion.rsplit(".", 1)[0])
        Path(self.folder.name, "signature").write_bytes(signature)
        subprocess.run(["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"], check=True,
                       capture_output=True, cwd=self.folder.name)
        self.assertEqual(json.loads(head), {"alg": "RS256", "typ": "JWT"})
        return json.loads(claims)

    def test_service_account(self):
        given = []

        def token(_headers, body):
            given.append(dict(urllib.parse.parse_qsl(body)))
            return 200, json.dumps({"access_token": self.server.bearer, "expires_in": 3600, "token_type": "Bearer"})
        g = self.giver({("POST", "/token"): token})
        path = self.file("account.json", json.dumps({"type": "service_account", "client_email": "me@project", "private_key": self.account(),
                                                     "token_uri": g.url + "/token"}))
        s = self.store(source="account", credentials_file=path)
        found = s.probe("account/", with_parts=True)
        self.assertEqual(found["failures"], 0, found)
        self.assertEqual(len(given), 1)
        self.assertEqual(given[0]["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer")
        claims = self.verified(given[0]["assertion"])
        self.assertEqual((claims["iss"], claims["aud"]), ("me@project", g.url + "/token"))
        self.assertIn("devstorage.read_write", claims["scope"])
        self.assertLess(abs(claims["iat"] - time.time()), 300)
        s = self.store(source="account", credentials_file=self.file("bad.json", "{}"))
        self.refused(s.put(self.key, 10), BAD_CREDENTIALS, "is not the key of a service account")


del Who

if __name__ == "__main__":
    unittest.main()
