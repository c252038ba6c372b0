"""A Kafka client of the tests' own: one socket, one message at a time or several, right or wrong ones."""

import enum
import re
import socket
import struct
import time
from collections import deque

import codec

TIMEOUT_S = 15
CLIENT_ID = "protocol-test"


def _errors():
    text = (codec.ROOT / "src/wire/errors.h").read_text(encoding="utf-8")
    return [(name, int(code)) for code, name in re.findall(r"\bKERR\((-?\d+), (\w+),", text)]


# Kafka's error codes by name, from the one table: ERR.NOT_LEADER_OR_FOLLOWER. ERR(6).name is its name.
ERR = enum.IntEnum("ERR", _errors())


class ClientError(Exception):
    """The node did not do what this client waited for: it closed, kept silent, or sent something else."""


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, correlation_id, client_id=CLIENT_ID, header_version=1):
    """A request's header as bytes, for requests that no schema allows."""
    fields = dict(request_api_key=key, request_api_version=version, correlation_id=correlation_id, client_id=client_id)
    return codec.encode("RequestHeader", header_version, fields)


def request(api, version, correlation_id, /, client_id=CLIENT_ID, **fields):
    """A whole request with its length in front, as bytes, to be spoilt or cut before send_raw()."""
    key = codec.message(api + "Request").key
    return frame(header(key, version, correlation_id, client_id, codec.request_header_version(api, version))
                 + codec.encode(api + "Request", version, fields))


class Client:
    """One connection. Every wait ends after @timeout_s with a ClientError."""

    def __init__(self, host, port, timeout_s=TIMEOUT_S, source=None, client_id=CLIENT_ID):
        """@source: the address to connect from, for what depends on it."""
        self.client_id = client_id
        self.socket = socket.create_connection((host, port), timeout_s, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.correlation_id = 0
        self.pending = deque()          # (api, version, correlation id) of requests that will be answered

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        self.socket.close()

    # Positional-only names, so that a message may have fields called api or version.

    def call(self, api, version, /, **fields):
        """Send a request and return its answer as a dict."""
        if self.pending:
            raise ClientError("call() while earlier answers have not been received")
        self.send(api, version, **fields)
        return self.receive()

    def send(self, api, version, /, **fields):
        """Send a request; its answer is taken with receive(), in the order of the requests."""
        self.correlation_id += 1
        self.send_raw(request(api, version, self.correlation_id, self.client_id, **fields))
        self.pending.append((api, version, self.correlation_id))

    def send_unanswered(self, api, version, /, **fields):
        """Send a request that is not answered, such as Produce with acks=0."""
        self.correlation_id += 1
        self.send_raw(request(api, version, self.correlation_id, self.client_id, **fields))

    def send_raw(self, data):
        self.socket.settimeout(self.timeout_s)
        try:
            self.socket.sendall(data)
        except OSError as why:
            raise ClientError(f"sending failed: {why}") from why

    def receive(self, timeout_s=None):
        """The answer to the oldest request that was sent with send()."""
        api, version, correlation_id = self.pending.popleft()
        body = self.receive_raw(timeout_s)
        header_version = codec.response_header_version(api, version)
        head, rest = codec.decode("ResponseHeader", header_version, body, whole=False)
        if head["correlation_id"] != correlation_id:
            raise ClientError(f"answer {head['correlation_id']} came where {correlation_id} ({api}) was due")
        return codec.decode(api + "Response", version, rest)

    def receive_raw(self, timeout_s=None):
        """The next frame, without its length."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        size, = struct.unpack(">i", self._exactly(4, deadline))
        if size < 0:
            raise ClientError(f"a frame of {size} bytes")
        return self._exactly(size, deadline)

    def _exactly(self, count, deadline):
        data = bytearray()
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ClientError(f"no answer in time; {len(data)} of {count} bytes came")
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(min(count - len(data), 1 << 20))
            except socket.timeout:
                continue
            except OSError as why:
                raise ClientError(f"the connection broke: {why}") from why
            if not piece:
                raise ClientError(f"the node closed the connection; {len(data)} of {count} bytes came")
            data += piece
        return bytes(data)

    def closed(self, within_s=5):
        """True when the node closes the connection in this time, False when it stays open. Bytes are an error."""
        self.socket.settimeout(within_s)
        try:
            data = self.socket.recv(1 << 16)
        except socket.timeout:
            return False
        except ConnectionError:
            return True
        if data:
            raise ClientError(f"{len(data)} bytes came where a close was expected: {data[:64].hex()}")
        return True

    def silent(self, for_s=0.3):
        """True when nothing comes in this time and the connection stays open."""
        return not self.closed(for_s)
