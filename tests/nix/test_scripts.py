#!/usr/bin/env python3
"""Goal: a volume is made only where there is nothing, and certificates are replaced as a whole or not at all.
Method: the scripts of nixos/scripts as the units run them, on files in place of disks."""

import grp
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import nix

sys.path.insert(0, str(nix.ROOT / "tests" / "protocol"))

from node import Node  # noqa: E402

SCRIPTS = nix.ROOT / "nixos" / "scripts"
MiB = 1 << 20


def script(name, *args, **env):
    """As pkgs.writeShellApplication has it."""
    return subprocess.run(["bash", "-euo", "pipefail", SCRIPTS / name, *map(str, args)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **env})


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Shell(unittest.TestCase):
    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not here; a build of the modules runs it")
    def test_shellcheck(self):
        for path in sorted(SCRIPTS.iterdir()):
            text = "#!/usr/bin/env bash\nset -o errexit\nset -o nounset\nset -o pipefail\n" + path.read_text()
            done = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, "%s: %s" % (path.name, done.stdout))


@unittest.skipUnless(shutil.which("mkfs.ext4") and shutil.which("wipefs"), "mkfs.ext4 and wipefs are not here")
class Volume(Case):
    def disk(self, size=64 * MiB):
        path = self.folder / "disk"
        with open(path, "wb") as f:
            f.truncate(size)
        return path

    def make(self, path, label="chronik-data"):
        return script("make-volume.sh", path, "ext4", label)

    def label(self, path):
        return subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", path], capture_output=True, text=True).stdout.strip()

    def refused(self, path, *says):
        before = path.read_bytes()
        done = self.make(path)
        self.assertNotEqual(done.returncode, 0)
        for words in (*says, "it is not touched"):
            self.assertIn(words, done.stderr)
        self.assertEqual(path.read_bytes(), before, "a disk that was refused has changed")

    def test_empty_is_made_and_then_left_alone(self):
        path = self.disk()
        done = self.make(path)
        self.assertEqual((done.returncode, self.label(path)), (0, "chronik-data"), done.stderr)
        before = path.read_bytes()
        self.assertEqual(self.make(path).returncode, 0)
        self.assertEqual(path.read_bytes(), before)

    def test_foreign_file_systems(self):
        for command in (["mkfs.ext4", "-q", "-L", "photos"], ["mkfs.ext4", "-q"], ["mkswap"]):
            with self.subTest(command):
                path = self.disk()
                subprocess.run([*command, path], check=True, capture_output=True)
                self.refused(path, "holds")

    def test_another_volume_of_ours(self):
        """The metadata's disk is not taken for that of the records."""
        path = self.disk()
        self.assertEqual(self.make(path, "chronik-meta").returncode, 0)
        self.refused(path, "holds ext4 called chronik-meta")

    @unittest.skipUnless(shutil.which("sfdisk"), "sfdisk is not here")
    def test_partition_tables(self):
        for kind in ("gpt", "dos"):
            with self.subTest(kind):
                path = self.disk()
                subprocess.run(["sfdisk", "-q", path], input="label: %s\n,10M\n" % kind, text=True, check=True, capture_output=True)
                self.refused(path, "holds " + kind)

    def test_bytes_that_nobody_knows(self):
        """At the beginning, at the end, and a disk smaller than what is looked at."""
        for size, at in ((64 * MiB, 0), (64 * MiB, 4 * MiB - 1), (64 * MiB, 60 * MiB), (64 * MiB, 64 * MiB - 1), (2 * MiB, MiB)):
            with self.subTest(size=size, at=at):
                path = self.disk(size)
                with open(path, "r+b") as f:
                    f.seek(at)
                    f.write(b"x")
                self.refused(path, "is not empty")

    def test_missing(self):
        done = self.make(self.folder / "none")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is not there", done.stderr)


@unittest.skipUnless(shutil.which("openssl") and os.geteuid() == 0, "openssl and root, whose files are given away")
class Renewal(Case):
    def setUp(self):
        super().setUp()
        self.credentials, self.run = self.folder / "credentials", self.folder / "run"
        self.credentials.mkdir()
        self.run.mkdir()

    def end(self):
        """The certificate is one that ended yesterday, of the same key."""
        subprocess.run("openssl req -new -key node.key -subj /CN=old | openssl x509 -req -signkey node.key -days -1 -out node.certificate",
                       shell=True, cwd=self.credentials, check=True, capture_output=True)

    def issue(self, name, days=10):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                        "-days", str(days), "-keyout", self.credentials / "node.key", "-out", self.credentials / "node.certificate"],
                       check=True, capture_output=True)
        (self.credentials / "node.ca").write_bytes((self.credentials / "node.certificate").read_bytes())

    def renew(self):
        rows = [x for file in ("certificate", "key", "ca") for x in ("node", file, "node." + file)]
        return script("renew-tls.sh", self.run, "nogroup", *rows, CREDENTIALS_DIRECTORY=str(self.credentials))

    def current(self):
        return {p.name: p.read_bytes() for p in (self.run / "current" / "node").iterdir()}

    def given(self):
        return {file: (self.credentials / ("node." + file)).read_bytes() for file in ("certificate", "key", "ca")}

    def test_renewal(self):
        for name in ("first", "second", "third"):
            self.issue(name)
            done = self.renew()
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.current(), self.given())
        self.assertEqual(len(list(self.run.iterdir())), 2, "the link and the folder that it leads to")
        key = self.run / "current" / "node" / "key"
        self.assertEqual((key.stat().st_mode & 0o7777, key.stat().st_uid, key.group()), (0o440, 0, "nogroup"))

    def test_what_is_wrong_stays_out(self):
        self.issue("good")
        self.assertEqual(self.renew().returncode, 0)
        good = self.current()
        key = (self.credentials / "node.key").read_bytes()
        self.issue("other")
        (self.credentials / "node.key").write_bytes(key)
        for spoil, says in ((lambda: None, "do not belong together"),
                            (self.end, "has ended, or is none"),
                            (lambda: (self.credentials / "node.certificate").write_text("nothing"), "has ended, or is none"),
                            (lambda: (self.credentials / "node.certificate").unlink(), "")):
            spoil()
            done = self.renew()
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stderr)
            self.assertEqual(self.current(), good)
            self.assertEqual(len(list(self.run.iterdir())), 2, "nothing is left lying about")


    def test_a_node_shows_the_new_one(self):
        """chronikd, with its certificate where the script puts it, shows what was put there, without a restart."""
        self.issue("first")
        self.assertEqual(self.renew().returncode, 0)
        at = self.run / "current" / "node"
        with Node(["listeners.A.address=127.0.0.1:0", "listeners.A.protocol=SSL", "listeners.A.tls_certificate=%s/certificate" % at,
                   "listeners.A.tls_key=%s/key" % at], program=nix.CHRONIKD) as node:
            self.assertEqual(self.shown(node), self.given()["certificate"])
            self.issue("second")
            self.assertEqual(self.renew().returncode, 0)
            deadline = time.monotonic() + 60
            while self.shown(node) != self.given()["certificate"]:
                self.assertLess(time.monotonic(), deadline, "the node still shows the old certificate")
                time.sleep(0.5)
            self.assertIsNone(node.process.poll())

    def shown(self, node):
        return ssl.get_server_certificate(node.listeners["A"]).encode()


@unittest.skipUnless(shutil.which("wg") and os.geteuid() == 0, "wg and root, whose files are given away")
class Key(Case):
    @unittest.skipUnless(any(g.gr_name == "systemd-network" for g in grp.getgrall()), "there is no group systemd-network")
    def test_is_made_once(self):
        file = self.folder / "wireguard" / "key"
        first = script("wireguard-key.sh", file)
        self.assertEqual(first.returncode, 0, first.stderr)
        made = file.read_text()
        self.assertEqual((file.stat().st_mode & 0o7777, file.group()), (0o640, "systemd-network"))
        self.assertRegex(first.stdout, "^public key: [A-Za-z0-9+/]{43}=\n$")
        self.assertNotIn(made.strip(), first.stdout)
        self.assertEqual((script("wireguard-key.sh", file).stdout, file.read_text()), (first.stdout, made))


if __name__ == "__main__":
    nix.main()
