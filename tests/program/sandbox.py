#!/usr/bin/env python3
"""Run a program under the system calls that systemd/chronikd.service leaves it.

    tests/program/sandbox.py PROGRAM [ARGUMENT]...

What systemd does with SystemCallFilter, SystemCallErrorNumber, RestrictAddressFamilies, RestrictNamespaces, MemoryDenyWriteExecute,
NoNewPrivileges and LimitCORE is done here through libseccomp and prctl, by what the unit says; sets of calls are those that
systemd-analyze lists. What concerns files, users and devices is not: that takes a manager. The suite of the protocol runs under it:

    printf '#!/bin/sh\\nexec tests/program/sandbox.py build/chronikd "$@"\\n' >boxed && chmod +x boxed
    CHRONIKD=$PWD/boxed python3 tests/protocol/test_produce.py
"""

import ctypes
import ctypes.util
import errno
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parent.parent.parent / "systemd/chronikd.service"
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN = 38, 65, 1
EQ, MASKED_EQ = 4, 7                    # of enum scmp_compare
NAMESPACES = 0x7E020080                  # CLONE_NEW*
AF_MAX = 46


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def why_not():
    """Why it cannot be done here; None: it can."""
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze, which knows the sets of system calls, is not here"
    if not ctypes.util.find_library("seccomp") and not _library(quiet=True):
        return "libseccomp is not here"
    return None


def _library(quiet=False):
    try:
        return ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        if quiet:
            return None
        raise


def unit_values(key):
    """What the unit sets @key to, line by line."""
    return re.findall(rf"(?m)^{key}=(.*)$", UNIT.read_text(encoding="utf-8"))


def expand(word, seen=None):
    """The calls of a set such as @system-service; of a name itself."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], check=True, capture_output=True,
                          text=True).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(expand(line) for line in lines if line and not line.startswith("#")))


def allowed_calls():
    """As systemd puts the lines together: the first says that it is a list of what is allowed, ~ takes away."""
    calls = set()
    for line in unit_values("SystemCallFilter"):
        words = set().union(*(expand(word) for word in line.lstrip("~").split()))
        calls = calls - words if line.startswith("~") else calls | words
    return calls


class Filter:
    def __init__(self):
        self.lib = _library()
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.ctx = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(ERRNO | getattr(errno, unit_values(
            "SystemCallErrorNumber")[0]))))

    def rule(self, action, call, *compares):
        number = self.lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:                  # another architecture's
            return
        array = (Compare * max(1, len(compares)))(*compares)
        r = self.lib.seccomp_rule_add_array(self.ctx, ctypes.c_uint32(action), number, len(compares), array)
        if r and r != -errno.EACCES:    # it is the default anyway
            raise OSError(-r, f"seccomp_rule_add of {call}")

    def load(self):
        r = self.lib.seccomp_load(self.ctx)
        if r:
            raise OSError(-r, "seccomp_load")


def enter():
    """Into the sandbox; for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    families = {int(getattr(socket, name)) for name in unit_values("RestrictAddressFamilies")[0].split()}
    box, calls = Filter(), allowed_calls()
    for call in calls - {"socket", "clone", "clone3", "setns", "unshare"}:
        box.rule(ALLOW, call)
    box.rule(ALLOW, "clone", Compare(0, MASKED_EQ, NAMESPACES, 0))
    for family in families:
        box.rule(ALLOW, "socket", Compare(0, EQ, family, 0))
    for family in set(range(AF_MAX)) - families:
        box.rule(ERRNO | errno.EAFNOSUPPORT, "socket", Compare(0, EQ, family, 0))
    box.rule(ERRNO | errno.ENOSYS, "clone3")    # its arguments cannot be looked at, so systemd has clone() used
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if unit_values("MemoryDenyWriteExecute") == ["yes"]:
        libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)     # from Linux 6.3 on
    box.load()


if __name__ == "__main__":
    enter()
    os.execv(sys.argv[1], sys.argv[1:])
