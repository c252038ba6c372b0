"""What Google's XML API does where it differs from Amazon's S3: signatures (GOOG4-HMAC-SHA256), bearer tokens, headers, and
that an upload in parts is finished whatever is there."""

import base64
import hashlib

import awssign
from proxy import Proxy, error

WORDS = ("GOOG4-HMAC-SHA256", "GOOG4", "goog4_request")


def refusal(server, request):
    """Why this request is refused, as an answer; None if it is right."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    given = headers.get("authorization", "")
    if given == f"Bearer {server.bearer}":
        return None if "x-goog-date" not in headers else error(400, "InvalidArgument")
    if not given.startswith(WORDS[0] + " "):
        return error(401, "AuthenticationRequired")
    parts = dict(p.strip().split("=", 1) for p in given[len(WORDS[0]):].split(","))
    access_key, _, region, service, _ = parts["Credential"].split("/")
    names, (path, _, query) = parts["SignedHeaders"].split(";"), request.path.partition("?")
    if access_key != server.hmac_key:
        return error(403, "InvalidAccessKeyId")
    _, wanted = awssign.signature(WORDS, request.method, path, query, headers, names, headers["x-goog-date"], region, service,
                                  server.hmac_secret)
    unsigned = [n for n in headers if n.startswith("x-goog-") and n not in names]
    if wanted != parts["Signature"] or unsigned or "host" not in names:
        return error(403, "SignatureDoesNotMatch")
    if hashlib.sha256(request.body).hexdigest() != headers["x-goog-content-sha256"]:
        return error(400, "XAmzContentSHA256Mismatch")
    return None


class Front(Proxy):
    def __init__(self, server):
        super().__init__(server.port, lambda request: refusal(server, request))
        self.server_behind = server

    def forward(self, request):
        headers, (path, _, query) = {}, request.path.partition("?")
        for name, value in request.headers.items():
            name = name.lower()
            if name == "x-goog-if-generation-match":
                if not request.is_finish:
                    headers["if-none-match"] = {"0": "*"}[value]
            elif name.startswith("x-goog-meta-"):
                headers[name.replace("x-goog-", "x-amz-")] = value
            elif name == "content-md5":
                if base64.b64encode(hashlib.md5(request.body).digest()).decode() != value:
                    return 400, {}, b"<Error><Code>BadDigest</Code></Error>"
            elif name in ("range", "if-match"):
                headers[name] = value
        if request.method == "PUT" and request.body and not request.headers.get("content-md5"):
            return 400, {}, b"<Error><Code>MissingDigest</Code></Error>"
        behind, query = self.server_behind, "&".join(sorted(query.split("&")))
        request.path = path + ("?" + query if query else "")
        request.headers = awssign.sign(behind.port, request.method, path, query, headers, request.body, behind.access_key,
                                       behind.secret_key)
        if request.body or request.method in ("PUT", "POST"):
            request.headers["content-length"] = str(len(request.body))
        status, answered, body = super().forward(request)
        answered = {n.lower().replace("x-amz-meta-", "x-goog-meta-"): v for n, v in answered.items()}
        return status, {n: v for n, v in answered.items() if not n.startswith("x-amz-")}, body
