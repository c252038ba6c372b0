"""Object stores of other people, as processes on loopback with their data in a temporary folder.

They are installed from registries into the cache ($CHRONIK_OBJECT_CACHE, default build/object) and reused as long as the manifests in
this folder stay as they are. What cannot be had raises Missing."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import google

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSTALL_LIMIT_S = 1800
START_LIMIT_S = 60


class Missing(Exception):
    """This machine lacks what the server needs; the text says what."""


def cache():
    folder = Path(os.environ.get("CHRONIK_OBJECT_CACHE", ROOT / "build/object")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command, cwd, env=None):
    try:
        got = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Missing(f"'{' '.join(command[:3])}' did not end in {INSTALL_LIMIT_S} s") from None
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not installed") from None
    if got.returncode:
        raise Missing(f"'{' '.join(command[:3])}' failed: {' '.join(got.stdout.split())[-300:]}")


def _made_from(folder, manifests):
    """True if @folder was made from these files; else it is emptied."""
    digest = hashlib.sha256(b"".join(m.read_bytes() for m in manifests)).hexdigest()
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == digest:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return lambda: stamp.write_text(digest)


def _go_program(name, package):
    """Build a program that the module in servers/NAME names, with versions pinned there."""
    source, folder = HERE / "servers" / name, cache() / name
    done = _made_from(folder, [source / "go.mod", source / "go.sum"])
    if done:
        shutil.copy(source / "go.mod", folder)
        shutil.copy(source / "go.sum", folder)
        _run(["go", "build", "-mod=mod", "-p", "2", "-o", name, package], folder, {"GOFLAGS": "-buildvcs=false"})
        done()
    return folder / name


def _npm_program(name, program):
    source, folder = HERE / "servers" / name, cache() / name
    done = _made_from(folder, [source / "package.json"])
    if done:
        shutil.copy(source / "package.json", folder)
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
        done()
    return folder / "node_modules/.bin" / program


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Use with 'with'. @port is where it serves; config() is what a store needs to know."""

    name = ""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"chronik-{self.name}-"))
        self.port, self.process = free_port(), None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_exc):
        self.close()

    def start(self):
        command, env = self.command()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                            env={**os.environ, **env})
        deadline = time.monotonic() + START_LIMIT_S
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not serve: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def serves(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        except OSError:
            return False
        finally:
            connection.close()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


    @classmethod
    def prepare(cls):
        """Install it. Return: the program."""
        raise NotImplementedError


class S3Server(Server):
    access_key, secret_key = "chronik-test", "chronik-test-secret"

    def config(self, port=None, **more):
        return {"kind": "s3", "endpoint": f"http://127.0.0.1:{port or self.port}", "bucket": "bucket", "region": "us-east-1",
                "path_style": True, "access_key": self.access_key, "secret_key": self.secret_key, "part_len": 5 << 20, "backoff_ms": 20,
                "backoff_max_ms": 200, "stall_timeout_ms": 20000, "attempts_max": 5, **more}


class Minio(S3Server):
    name, region = "minio", "us-east-1"

    @classmethod
    def prepare(cls):
        return _go_program("minio", "github.com/minio/minio")

    def command(self):
        (self.folder / "data/bucket").mkdir(parents=True)
        return ([self.prepare(), "server", "--quiet", "--address", f"127.0.0.1:{self.port}",
                 self.folder / "data"],
                {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_SITE_REGION": self.region,
                 "MINIO_DOMAIN": "localhost", "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "HOME": str(self.folder)})


class Versity(S3Server):
    """The gateway of Versity: buckets are folders."""

    name = "versitygw"

    @classmethod
    def prepare(cls):
        return _go_program("versitygw", "github.com/versity/versitygw/cmd/versitygw")

    def command(self):
        (self.folder / "data/bucket").mkdir(parents=True)
        (self.folder / "side").mkdir()      # metadata, where the file system has no extended attributes
        return ([self.prepare(), "--port", f"127.0.0.1:{self.port}", "--access",
                 self.access_key, "--secret", self.secret_key, "--region", "us-east-1", "posix", "--sidecar", self.folder / "side",
                 self.folder / "data"], {"HOME": str(self.folder)})


class Azurite(Server):
    name = "azurite"
    account = "chronik"
    key = base64.b64encode(b"a key of thirty-two bytes, at lea").decode()

    @classmethod
    def prepare(cls):
        return _npm_program("azurite", "azurite-blob")

    def command(self):
        return ([self.prepare(), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location",
                 self.folder / "data", "--silent", "--skipApiVersionCheck", "--disableTelemetry"],
                {"AZURITE_ACCOUNTS": f"{self.account}:{self.key}", "HOME": str(self.folder)})

    def config(self, port=None, **more):
        return {"kind": "azure", "endpoint": f"http://127.0.0.1:{port or self.port}/{self.account}", "bucket": "bucket",
                "access_key": self.account, "secret_key": self.key, "part_len": 5 << 20, "backoff_ms": 20, "backoff_max_ms": 200,
                "stall_timeout_ms": 20000, "attempts_max": 5, **more}

    def start(self):
        super().start()
        status = self._signed("PUT", f"/{self.account}/bucket", {"restype": "container"})
        if status != 201:
            raise RuntimeError(f"the container was not made: {status}")
        return self

    def _hmac(self, text):
        return base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()

    def _signed(self, method, path, query):
        """One request with Shared Key, written from the documentation and not from src/object."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        text = "\n".join([method, *[""] * 11, *(f"{n}:{headers[n]}" for n in sorted(headers)), f"/{self.account}{path}",
                          *(f"{n}:{query[n]}" for n in sorted(query))])
        headers["Authorization"] = f"SharedKey {self.account}:{self._hmac(text)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, f"{path}?{urllib.parse.urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def sas(self, permissions, minutes=60):
        """A service SAS of the container."""
        expiry = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = "2021-12-02"
        order = "".join(p for p in "racwdxyltmeopi" if p in permissions)
        text = "\n".join([order, "", expiry, f"/blob/{self.account}/bucket", "", "", "", version, "c", *[""] * 7])
        return urllib.parse.urlencode({"sv": version, "se": expiry, "sr": "c", "sp": order, "sig": self._hmac(text)})


class Google(Minio):
    """Google's storage as far as its documentation says, in front of MinIO: signatures are checked here, and requests go on in Amazon's
    words. No emulator of Google's XML API could be had."""

    hmac_key, hmac_secret, bearer = "GOOG1ETEST", "a-secret-of-google", "ya29.test"

    def start(self):
        super().start()
        self.front = google.Front(self)
        self.front.__enter__()
        return self

    def close(self):
        front = self.__dict__.pop("front", None)
        if front:
            front.__exit__()
        super().close()

    def config(self, port=None, **more):
        return {"kind": "google", "endpoint": f"http://127.0.0.1:{port or self.front.port}", "bucket": "bucket",
                "access_key": self.hmac_key, "secret_key": self.hmac_secret, "part_len": 5 << 20, "backoff_ms": 20, "backoff_max_ms": 200, "attempts_max": 5, **more}
