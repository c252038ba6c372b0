"""A proxy between a store and its server, that does what networks and servers do on bad days.

@rule(request) is asked for every request and returns what happens to it: None (it passes), or one of the functions below called with what
they want. Requests are noted in @seen as (method, path with query)."""

import http.client
import re
import socket
import ssl
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Request:
    def __init__(self, handler):
        length = int(handler.headers.get("content-length") or 0)
        self.method, self.path, self.headers = handler.command, handler.path, handler.headers
        self.body = handler.rfile.read(length) if length else b""

    @property
    def is_part(self):
        return self.method == "PUT" and bool(re.search(r"partNumber=|comp=block(&|$)", self.path))

    @property
    def is_finish(self):
        return (self.method == "POST" and "uploadId=" in self.path) or "comp=blocklist" in self.path


def answer(status, body="", **headers):
    """The server is not asked."""
    return lambda proxy, handler, request: proxy.send(handler, status, {k.replace("_", "-"): v for k, v in headers.items()},
                                                      body.encode())


def error(status, code, **headers):
    return answer(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said the proxy</Message></Error>", **headers)


def reset():
    """The connection is reset before the server has seen anything."""
    return lambda proxy, handler, request: proxy.cut(handler)


def hang(seconds):
    """Nothing comes, from nobody."""
    return lambda proxy, handler, request: (proxy.gone.wait(seconds), proxy.cut(handler))


def lose_answer(seconds=0):
    """The server does it, and its answer is lost: after so many seconds of silence the connection is reset."""
    def act(proxy, handler, request):
        proxy.forward(request)
        proxy.gone.wait(seconds)
        proxy.cut(handler)
    return act


def late(seconds):
    """All is well, only later."""
    def act(proxy, handler, request):
        proxy.gone.wait(seconds)
        proxy.send(handler, *proxy.forward(request))
    return act


def truncate():
    """The answer ends in the middle."""
    def act(proxy, handler, request):
        status, headers, body = proxy.forward(request)
        proxy.send(handler, status, headers, body[:len(body) // 2], announce=len(body))
        proxy.cut(handler)
    return act


def spoil_answer():
    """A bit of the answer's body is another."""
    def act(proxy, handler, request):
        status, headers, body = proxy.forward(request)
        spoilt = bytearray(body)
        spoilt[len(spoilt) // 2] ^= 4
        proxy.send(handler, status, headers, bytes(spoilt))
    return act


def spoil_content():
    """A bit of what is sent to the server is another."""
    def act(proxy, handler, request):
        spoilt = bytearray(request.body)
        spoilt[len(spoilt) // 2] ^= 4
        request.body = bytes(spoilt)
        proxy.send(handler, *proxy.forward(request))
    return act


def other_range():
    """The server answers for another range than was asked for."""
    def act(proxy, handler, request):
        status, headers, body = proxy.forward(request)
        headers = {n: v.replace("bytes ", "bytes 1", 1) if n.lower() == "content-range" else v for n, v in headers.items()}
        proxy.send(handler, status, headers, body)
    return act


class Proxy:
    """Use with 'with'. @to: the server's port; @certificate: (file, key) for TLS."""

    def __init__(self, to, rule=None, certificate=None):
        self.to, self.rule, self.seen, self.gone = to, rule or (lambda request: None), [], threading.Event()
        self.sent = []      # the headers of requests
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                request = Request(self)
                proxy.seen.append((request.method, request.path))
                proxy.sent.append(dict(request.headers))
                act = proxy.rule(request)
                if act:
                    act(proxy, self, request)
                else:
                    proxy.send(self, *proxy.forward(request))

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_args):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_args):
                pass                    # a connection that ended

        self.server = Listener(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()

    def forward(self, request):
        connection = http.client.HTTPConnection("127.0.0.1", self.to, timeout=60)
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body or None)
        got = connection.getresponse()
        body = got.read()
        headers = {name: value for name, value in got.getheaders() if name.lower() not in ("transfer-encoding", "connection")}
        connection.close()
        return got.status, headers, body

    def send(self, handler, status, headers, body, announce=None):
        handler.send_response_only(status)
        names = {name.lower() for name in headers}
        for name, value in headers.items():
            if name.lower() != "content-length" or handler.command == "HEAD":
                handler.send_header(name, value)
        if handler.command != "HEAD" or "content-length" not in names:
            handler.send_header("Content-Length", str(len(body) if announce is None else announce))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def cut(self, handler):
        handler.close_connection = True
        try:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        except OSError:
            pass


def first(count, action, which=lambda request: True):
    """A rule: @action for the first @count requests that fit, the others pass."""
    lock, left = threading.Lock(), [count]

    def rule(request):
        with lock:
            if not which(request) or not left[0]:
                return None
            left[0] -= 1
            return action
    return rule


def always(action, which=lambda request: True):
    return lambda request: action if which(request) else None
