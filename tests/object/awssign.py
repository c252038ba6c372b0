"""Signature Version 4 a second time, written from the documentation and not from src/object: for what a test asks a server itself, and to
check what src/object signs for Google."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(words, method, path, query, headers, names, stamp, region, service, secret_key):
    """@words: ("AWS4-HMAC-SHA256", "AWS4", "aws4_request") or Google's; @query: sorted and encoded; @names: of signed headers, in order."""
    algorithm, prefix, terminator = words
    digest = headers[f"x-{'goog' if prefix == 'GOOG4' else 'amz'}-content-sha256"]
    canonical = "\n".join([method, path, query, *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), digest])
    scope = f"{stamp[:8]}/{region}/{service}/{terminator}"
    text = "\n".join([algorithm, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = (prefix + secret_key).encode()
    for part in (stamp[:8], region, service, terminator):
        key = _hmac(key, part)
    return scope, hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def sign(port, method, path, query, headers, body, access_key, secret_key, service="s3", region="us-east-1"):
    """Headers of a request to 127.0.0.1:@port; @query is sorted and encoded."""
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {**headers, "host": f"127.0.0.1:{port}", "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": stamp}
    names = sorted(headers)
    scope, found = signature(("AWS4-HMAC-SHA256", "AWS4", "aws4_request"), method, path, query, headers, names, stamp, region, service,
                             secret_key)
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, "
                                f"Signature={found}")
    return headers


def request(port, method, path, query, body, access_key, secret_key, service="s3"):
    """One signed request to 127.0.0.1:@port; returns (status, body)."""
    encoded = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="")
    headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    headers = sign(port, method, path, encoded, headers, body, access_key, secret_key, service)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path + ("?" + encoded if encoded else ""), body or None, headers)
    got = connection.getresponse()
    answer = got.read()
    connection.close()
    return got.status, answer


def assume_role(port, access_key, secret_key, policy=None):
    """Credentials of a session at MinIO's STS, with no more rights than @policy (JSON) gives: (access key, secret key, token)."""
    form = {"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": "3600"}
    if policy:
        form["Policy"] = policy
    status, answer = request(port, "POST", "/", {}, urllib.parse.urlencode(form).encode(), access_key, secret_key, "sts")
    if status != 200:
        raise RuntimeError(f"AssumeRole: {status} {answer[:300]}")
    found = {e.tag.split("}")[-1]: e.text for e in xml.etree.ElementTree.fromstring(answer).iter()}
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
