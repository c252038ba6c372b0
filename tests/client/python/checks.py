"""The register of named checks that every Python client program of this suite shares.

A program registers functions with @check("name") and ends with main(). Each check prints one line:
    ok NAME | not ok NAME: why | skip NAME: why
Lines that begin with "# " are remarks; the first of them names the client and its version.
This file knows no Kafka client: it must load in the system's Python and in a virtual environment alike.
"""
import hashlib
import os
import secrets
import signal
import sys
import time
import traceback
import urllib.request

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
MIB = 1 << 20
QUICK = os.environ.get("CHECKS_QUICK") == "1"
# One run may share a broker with others: every topic and group of this process carries this prefix.
RUN = "t" + secrets.token_hex(3)

_checks = []
_topics = []


class Skip(Exception):
    """Raised by a check that does not apply to this client or version; the text says why."""


def check(name, timeout_s=60, slow=False):
    """Register a check. @slow checks are left out of the quick subset."""
    def add(fn):
        _checks.append((name, fn, timeout_s, slow))
        return fn
    return add


def topic_name(tag):
    """A topic name of this run; remembered, so that the last check can delete every topic."""
    name = f"{RUN}-{tag}"
    if name not in _topics:
        _topics.append(name)
    return name


def topics_made():
    return list(_topics)


def group_name(tag):
    return f"{RUN}-group-{tag}"


def expect(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {short(got)}, expected {short(want)}")


def expect_true(what, fact):
    if not fact:
        raise AssertionError(what)


def metrics(name, client_id):
    """Lines of the node's /metrics that are of this metric and client. Skips for a broker that was given."""
    address = os.environ.get("CHECKS_ADMIN")
    if not address:
        raise Skip("this broker has no /metrics")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        rows = answer.read().decode().splitlines()
    return [r for r in rows if r.startswith(name + "{") and f'client_id="{client_id}"' in r]


def short(value):
    text = repr(value)
    return text if len(text) < 240 else f"{text[:160]}... ({len(text)} characters)"


def values(count, size=100):
    """@count distinct values of @size bytes: half repeats and half noise, so that a codec has something to do."""
    out = []
    for i in range(count):
        head = b"%08d:" % i
        noise = hashlib.sha256(head).digest() * (size // 64 + 1)
        body = head + noise[: size // 2]
        out.append((body + b"a" * size)[:size])
    return out


def noise(size):
    """@size bytes that no codec makes smaller."""
    return os.urandom(size)


def until(what, fact, timeout_s=30, pause_s=0.05):
    """Call @fact until it is true; its last value is returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        got = fact()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not so after {timeout_s} s")
        time.sleep(pause_s)


class _TooLong(BaseException):
    """Not an Exception: a client's own 'except Exception' must not swallow the time-out."""


def _on_alarm(_signum, _frame):
    raise _TooLong()


def _one_line(exc):
    text = " ".join(str(exc).split()) or type(exc).__name__
    where = traceback.extract_tb(exc.__traceback__)
    mine = [f for f in where if os.path.dirname(f.filename) == os.path.dirname(os.path.abspath(__file__))]
    at = f" (line {mine[-1].lineno})" if mine else ""
    kind = "" if isinstance(exc, AssertionError) else f"{type(exc).__name__}: "
    return f"{kind}{text[:400]}{at}"


def _run_one(name, fn, timeout_s):
    signal.alarm(timeout_s)
    try:
        fn()
        return f"ok {name}"
    except Skip as why:
        return f"skip {name}: {why}"
    except _TooLong as exc:
        if os.environ.get("CHECKS_TRACE") == "1":
            traceback.print_exc()
        return f"not ok {name}: not done after {timeout_s} s, at {_one_line(exc)}"
    except Exception as exc:  # every failure of a check is a result, none ends the program
        if os.environ.get("CHECKS_TRACE") == "1":
            traceback.print_exc()
        return f"not ok {name}: {_one_line(exc)}"
    finally:
        signal.alarm(0)


def main(title, last=None):
    """Run all registered checks, or those named after the bootstrap address on the command line; then @last, which may fail, too."""
    only = set(sys.argv[2:])
    print(f"# {title}", flush=True)
    signal.signal(signal.SIGALRM, _on_alarm)
    failed = 0
    for name, fn, timeout_s, slow in _checks:
        if only and name not in only:
            continue
        if slow and QUICK and not only:
            continue
        began = time.monotonic()
        line = _run_one(name, fn, timeout_s)
        failed += line.startswith("not ok")
        print(line, flush=True)
        print(f"# {name} took {time.monotonic() - began:.2f} s", flush=True)
    if last:
        line = _run_one("the end", last, 60)
        failed += line.startswith("not ok")
        print(line if line.startswith("not ok") else f"# {line}", flush=True)
    # Clients may hold threads that never end by themselves; the result is printed, so leave at once.
    sys.stdout.flush()
    os._exit(1 if failed else 0)


def bootstrap():
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} HOST:PORT [CHECK...]")
    return sys.argv[1]
