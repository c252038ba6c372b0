"""A store under test: the driver as a process, its operations as functions."""

import errno
import json
import os
import queue
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_S = 60

# As object.h has them.
OK, MISSING, EXISTS = 0, 1, 2
BAD_CONFIG, NO_BUCKET, NO_PERMISSION = -errno.EINVAL, -errno.ENXIO, -errno.EACCES
BAD_CREDENTIALS, CLOCK_SKEW, WRONG_PLACE = -errno.EKEYREJECTED, -errno.ETIME, -errno.EREMCHG
BAD_TLS, UNREACHABLE, TIMED_OUT = -errno.EPROTO, -errno.EHOSTUNREACH, -errno.ETIMEDOUT
BUSY, DAMAGED, UNSUPPORTED = -errno.EBUSY, -errno.EBADMSG, -errno.EOPNOTSUPP
LOST, TOO_LARGE, CANCELLED = -errno.ESTALE, -errno.EFBIG, -errno.ECANCELED


class StoreError(Exception):
    pass


class Store:
    """Use with 'with'. Each operation returns its answer as a dict; with wait=False its id, for wait()."""

    def __init__(self, config, env=None):
        program = os.environ.get("OBJECT_DRIVER", ROOT / "build/tests/object/object-driver")
        self.process = subprocess.Popen([str(program), json.dumps(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **(env or {})})
        self.opened = json.loads(self.process.stdout.readline())
        self.answers, self.arrived, self.last = {}, threading.Condition(), 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.arrived:
                answer = json.loads(line)
                self.answers[answer["id"]] = answer
                self.arrived.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        """End it; the status must be 0, which under a sanitizer says that nothing leaked."""
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            self.process.stdin = None
        status = self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)
        self.process.stdout.close()
        if status:
            raise StoreError(f"the driver ended with {status}")

    def ask(self, verb, wait=True, flush=True, **arguments):
        self.last += 1
        self.process.stdin.write(json.dumps({"id": self.last, "verb": verb, **arguments}) + "\n")
        if flush:
            self.process.stdin.flush()
        return self.wait(self.last) if wait else self.last

    def wait(self, number):
        with self.arrived:
            if not self.arrived.wait_for(lambda: number in self.answers, WAIT_S):
                raise StoreError(f"no answer to {number} after {WAIT_S} s")
            return self.answers.pop(number)

    def put(self, key, length, seed=1, **more):
        return self.ask("put", key=key, len=length, seed=seed, **more)

    def get(self, key, length, offset=0, seed=1, **more):
        return self.ask("get", key=key, len=length, offset=offset, seed=seed, **more)

    def head(self, key, **more):
        return self.ask("head", key=key, **more)

    def delete(self, key, **more):
        return self.ask("delete", key=key, **more)

    def list(self, prefix, maximum=1000, **more):
        return self.ask("list", key=prefix, max=maximum, **more)

    def keys(self, prefix, maximum=1000):
        """All pages."""
        found, following = [], None
        while True:
            page = self.list(prefix, maximum, **({"next": following} if following else {}))
            if page["result"]:
                raise StoreError(page)
            found += [row[0] for row in page["rows"]]
            following = page["next"]
            if not following:
                return found

    def probe(self, prefix="", **more):
        return self.ask("probe", key=prefix, **more)

    def stats(self):
        return self.ask("stats")
