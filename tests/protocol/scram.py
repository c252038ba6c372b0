"""SCRAM as a client does it (RFC 5802), and users of it; shares nothing with the program."""

import base64
import hashlib
import hmac
import os

MECHANISMS = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}


def salted(mechanism, password, salt, iterations):
    return hashlib.pbkdf2_hmac(MECHANISMS[mechanism][1], password.encode(), salt, iterations)


def upsertion(user, password, mechanism="SCRAM-SHA-256", iterations=4096, salt=None):
    """An upsertion of AlterUserScramCredentials."""
    salt = os.urandom(16) if salt is None else salt
    return {"name": user, "mechanism": MECHANISMS[mechanism][0], "iterations": iterations, "salt": salt,
            "salted_password": salted(mechanism, password, salt, iterations)}


class ScramError(Exception):
    """The server did not prove to know the password, or answered what is no SCRAM."""


class Exchange:
    """first() and final(challenge) are what is sent; check(answer) raises ScramError unless the server knows the user."""

    def __init__(self, mechanism, user, password, extensions=""):
        self.mechanism, self.password = mechanism, password
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.first_bare = f"n={name},r={self.nonce}{extensions}"

    def _hmac(self, key, data):
        return hmac.new(key, data, MECHANISMS[self.mechanism][1]).digest()

    def first(self):
        return b"n,," + self.first_bare.encode()

    def final(self, challenge):
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if not fields["r"].startswith(self.nonce) or fields["r"] == self.nonce:
            raise ScramError("the nonce is not ours")
        self.salt, self.iterations = base64.b64decode(fields["s"]), int(fields["i"])
        key = salted(self.mechanism, self.password, self.salt, self.iterations)
        client_key = self._hmac(key, b"Client Key")
        without_proof = f"c=biws,r={fields['r']}"
        auth = ",".join((self.first_bare, challenge.decode(), without_proof)).encode()
        signature = self._hmac(hashlib.new(MECHANISMS[self.mechanism][1], client_key).digest(), auth)
        self.expected = self._hmac(self._hmac(key, b"Server Key"), auth)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, answer):
        if answer != b"v=" + base64.b64encode(self.expected):
            raise ScramError("the server does not know the password")
