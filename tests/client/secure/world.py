"""A chronikd with a listener for every protocol, certificates of an authority of its own, and users."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(1, str(ROOT / "tests/protocol"))

import jwt  # noqa: E402
from kafka import ERR, Client  # noqa: E402
from node import Node  # noqa: E402
from scram import upsertion  # noqa: E402

ALICE, PASSWORD = "alice", "se,cr=et pass:word"
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")
SESSION_MS = 2500
SUBJECT = "/C=DE/O=Chronik/OU=people/CN=Bob Builder"


def _openssl(folder, *args):
    got = subprocess.run(["openssl", *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if got.returncode:
        raise AssertionError(f"openssl {args[0]}: {got.stderr[-300:]}")


class Certificates:
    """In @folder: ca.pem; server.pem and server.key; bob.pem, bob.key and both in bob-both.pem; stranger.* of another authority."""

    def __init__(self, folder):
        self.folder = folder
        self._authority("ca")
        self._authority("other")
        self._issue("server", "/CN=localhost", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._issue("bob", SUBJECT, "ca", "extendedKeyUsage=clientAuth")
        self._issue("stranger", SUBJECT, "other", "extendedKeyUsage=clientAuth")

    def path(self, name):
        return str(self.folder / name)

    def _authority(self, name):
        _openssl(self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                 "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def _issue(self, name, subject, issuer, extension):
        (self.folder / "ext").write_text(extension + "\n")
        _openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")
        _openssl(self.folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                 "-CAcreateserial", "-days", 2, "-extfile", "ext", "-out", f"{name}.pem")
        both = (self.folder / f"{name}.key").read_text() + (self.folder / f"{name}.pem").read_text()
        (self.folder / f"{name}-both.pem").write_text(both)


class World:
    """begin() and end() it. at(listener) is its HOST:PORT."""

    def __init__(self):
        self.node = Node(program=os.environ.get("CHECKS_CHRONIKD"))
        self.certificates = Certificates(self.node.folder)
        tls = {"tls_certificate": self.certificates.path("server.pem"), "tls_key": self.certificates.path("server.key")}
        every = {"sasl_mechanisms": ",".join(MECHANISMS)}
        self._listener("INSIDE", protocol="SASL_PLAINTEXT")
        self._listener("OUTSIDE", protocol="SASL_SSL", **tls, **every)
        self._listener("BRIEF", protocol="SASL_SSL", connections_max_reauth_ms=SESSION_MS, **tls, **every)
        self._listener("SERVICES", protocol="SSL", client_auth="required", tls_ca=self.certificates.path("ca.pem"),
                       principal_mapping_rules="RULE:^CN=([^,]*),OU=people,O=Chronik,C=DE$/$1/L", **tls)
        self._listener("ENCRYPTED", protocol="SSL", **tls)
        self._sign(jwt.Key("client-test", "RS256"))
        self._listener("SIGNED", protocol="SASL_SSL", sasl_mechanisms="OAUTHBEARER", oauth_jwks_file=self.node.folder / "jwks.json",
                       oauth_audience="kafka", **tls)
        (self.node.folder / "secret").write_text("the secret of delegation tokens")
        self.node.settings.append(f"security.delegation_token_secret_file={self.node.folder / 'secret'}")

    def _sign(self, key):
        """@jwt: a file with a token of ALICE; @expired: with one that has ended."""
        (self.node.folder / "jwks.json").write_text(jwt.jwks(key))
        self.jwt, self.expired = str(self.node.folder / "jwt"), str(self.node.folder / "expired")
        Path(self.jwt).write_text(key.sign(jwt.claims(ALICE)))
        Path(self.expired).write_text(key.sign(jwt.claims(ALICE, lasts_s=-100)))

    def _listener(self, name, **settings):
        settings["address"] = "localhost:0"
        self.node.settings += [f"listeners.{name}.{key}={value}" for key, value in settings.items()]

    def begin(self):
        try:
            self.node.start()
            self.alter(upsertion(ALICE, PASSWORD, "SCRAM-SHA-256", iterations=8192))
            self.alter(upsertion(ALICE, PASSWORD, "SCRAM-SHA-512"))
            return self
        except BaseException:
            self.node.close()
            raise

    def end(self):
        """It still lives, and stops as it should."""
        try:
            self.node.stop()
        finally:
            self.node.close()

    def at(self, listener):
        return "{}:{}".format(*self.node.listeners[listener])

    def client(self):
        return Client(self.node.host, self.node.port)

    def alter(self, *upsertions, deletions=()):
        with self.client() as client:
            answer = client.call("AlterUserScramCredentials", 0, upsertions=list(upsertions), deletions=list(deletions))
        for r in answer["results"]:
            if r["error_code"]:
                raise AssertionError(f"{r['user']}: {ERR(r['error_code']).name}")
