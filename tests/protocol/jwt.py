"""Signed tokens (JWT) and sets of keys (JWKS), made with the openssl program; shares nothing with the program under test."""

import base64
import json
import subprocess
import tempfile
import time
from pathlib import Path

FOLDER = tempfile.TemporaryDirectory(prefix="chronik-keys-")


def _openssl(*args, data=None):
    got = subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, timeout=60, check=False)
    if got.returncode:
        raise AssertionError(f"openssl {args[0]}: {got.stderr.decode()[-300:]}")
    return got.stdout


def url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(der, at):
    """An INTEGER of DER: the number as 32 bytes, and where it ends."""
    size = der[at + 1]
    return int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big"), at + 2 + size


class Key:
    """A key of RS256, ES256 or EdDSA with the id @name."""
    KINDS = {"RS256": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
             "ES256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "EdDSA": ("-algorithm", "ED25519")}

    def __init__(self, name, algorithm):
        self.name, self.algorithm = name, algorithm
        self.file = Path(FOLDER.name) / f"{name}-{algorithm}.pem"
        _openssl("genpkey", *self.KINDS[algorithm], "-out", self.file)

    def public(self):
        """As a member of a JWKS."""
        der = _openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        more = {"kid": self.name, "use": "sig"}
        if self.algorithm == "ES256":
            return {"kty": "EC", "crv": "P-256", "x": url(der[-64:-32]), "y": url(der[-32:]), **more}
        if self.algorithm == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "x": url(der[-32:]), **more}
        text = _openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip()
        return {"kty": "RSA", "n": url(bytes.fromhex(text.split("=")[1])), "e": "AQAB", **more}

    def sign(self, claims, header=None):
        header = {"alg": self.algorithm, "kid": self.name} if header is None else header
        text = (url(json.dumps(header).encode()) + "." + url(json.dumps(claims).encode())).encode()
        if self.algorithm == "EdDSA":
            file = Path(FOLDER.name) / "signed"
            file.write_bytes(text)
            signature = _openssl("pkeyutl", "-sign", "-inkey", self.file, "-rawin", "-in", file)
        else:
            signature = _openssl("dgst", "-sha256", "-sign", self.file, data=text)
        if self.algorithm == "ES256":
            r, end = _number(signature, 2)
            signature = r + _number(signature, end)[0]
        return text.decode() + "." + url(signature)


def jwks(*keys):
    return json.dumps({"keys": [key.public() for key in keys]})


def claims(subject="alice", lasts_s=3600, **more):
    now = int(time.time())
    return {"sub": subject, "iss": "https://issuer.example", "aud": ["kafka"], "iat": now, "exp": now + lasts_s, **more}


def message(token, authzid="", pairs=""):
    """The first one of OAUTHBEARER (RFC 7628)."""
    return f"n,{'a=' + authzid if authzid else ''},\1auth=Bearer {token}\1{pairs}\1".encode()
