"""A file system of a test's own, in a private mount namespace: small, or read-only. Needs root.

What it is: a process that holds the namespace, and a program file that starts chronikd inside of it, for node.Node.
Files in it are reached from outside through Mount.path().
"""

import os
import shlex
import subprocess
import unittest
from pathlib import Path


class Mount:
    """@folder becomes a tmpfs (@options as for mount -o) that is seen by program() and path() alone."""

    def __init__(self, folder, options="size=4m"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        script = f"mount -t tmpfs -o {options} none {shlex.quote(str(self.folder))} && echo mounted && exec sleep 600"
        try:
            self.holder = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise unittest.SkipTest("unshare (util-linux) is not installed") from None
        if self.holder.stdout.readline() != "mounted\n":
            why = self.holder.stderr.read().strip()
            self.close()
            raise unittest.SkipTest(f"this user cannot mount: {why or 'no reason given'}")

    def program(self, real):
        """A program that runs @real in the namespace; same process id, same arguments."""
        path = Path(f"{self.folder}.chronikd")
        path.write_text(f'#!/bin/sh\nexec nsenter -t {self.holder.pid} -m -- {shlex.quote(str(real))} "$@"\n')
        path.chmod(0o755)
        return path

    def remount(self, options):
        subprocess.run(["nsenter", "-t", str(self.holder.pid), "-m", "--", "mount", "-o", f"remount,{options}",
                        str(self.folder)], check=True)

    def path(self, name=""):
        """Where @name in the folder is found from here."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}") / name

    def free(self):
        s = os.statvfs(self.path())
        return s.f_bavail * s.f_frsize

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()
