#!/usr/bin/env python3
"""chronik-ctl doctor: what it finds on a machine.

Goal: nothing is found on a machine that is as it ought to be; each thing that is wrong is one finding with its remedy; what is as good is no
finding; the status says which. Method: a tree in place of /proc, /sys and /etc (--root), made right from the project's own sysctl/, then
one thing after the other made wrong.
"""

import json
import os
import re
import shutil
import subprocess
import unittest

from program import CHRONIK_CTL, ROOT, ProgramCase

SYSCTL = ROOT / "sysctl"
GUIDE = {                               # the deployment guide's, and in what sense ours keeps each
    "net.core.rmem_max": "134217728", "net.core.wmem_max": "134217728", "net.ipv4.tcp_rmem": "4096 131072 134217728",
    "net.ipv4.tcp_wmem": "4096 65536 134217728", "net.core.netdev_max_backlog": "5000", "net.ipv4.tcp_congestion_control": "bbr",
    "fs.file-max": "2097152", "fs.nr_open": "1048576", "vm.max_map_count": "262144", "vm.swappiness": "1"}


def settings(name):
    """{key: (value, whether more is as good)} of a file of sysctl/; each line must have a comment above."""
    found, comment = {}, ""
    for line in (SYSCTL / name).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = (part.strip() for part in line.split("=", 1))
            found[key] = (value, comment == "# at least")
        comment = line
    return found


class Doctor(ProgramCase):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "root"
        self.settings = {**settings("60-chronik.conf"), **settings("61-chronik-ingest.conf")}
        for key, (value, _) in self.settings.items():
            self.set(key, value.replace(" ", "\t"))     # as the kernel shows several
        self.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        self.write("proc/meminfo", "MemTotal: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
        self.write("proc/7/comm", "chronikd\n")
        self.write("proc/7/limits", "Max open files            1048576              1048576              files\n")
        device = os.stat(self.folder).st_dev
        self.device = f"{os.major(device)}:{os.minor(device)}"
        self.queue("scheduler", "[none] mq-deadline\n")
        self.write("proc/self/mountinfo", f"1 1 {self.device} / / rw,relatime - ext4 /dev/x rw\n")

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def set(self, key, value):
        self.write("proc/sys/" + key.replace(".", "/"), value + "\n")

    def queue(self, name, text):
        self.write(f"sys/dev/block/{self.device}/queue/{name}", text)

    def doctor(self, *args, status, sysctl=SYSCTL):
        done = self.run_program(CHRONIK_CTL, "doctor", "--root", self.root, "--data-dir", self.folder,
                                *(["--sysctl", sysctl] if sysctl else []), *args)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def found(self, check, *words):
        """One finding, of this kind."""
        answer = json.loads(self.doctor("--json", status=1).stdout)
        self.assertEqual([f["check"] for f in answer["findings"]], [check])
        one, = answer["findings"]
        for word in words:
            self.assertIn(word, one["what"])
        self.assertTrue(one["remedy"])
        text = self.doctor(status=1).stdout
        self.assertIn(f"{check}: {one['what']}\n    {one['remedy']}\n", text)
        self.assertIn("1 finding\n", text)

    def test_nothing(self):
        answer = json.loads(self.doctor("--json", status=0).stdout)
        self.assertEqual(answer["findings"], [])
        self.assertEqual([s["check"] for s in answer["skipped"]], ["clock"])
        self.assertGreaterEqual(answer["checks"], len(self.settings) + 5)
        self.assertRegex(self.doctor(status=0).stdout, r"nothing found; \d+ checks\n")

    def test_each_setting(self):
        """Every line of the files counts, and more is as good where the file says so, and nowhere else."""
        for key, (value, at_least) in self.settings.items():
            with self.subTest(key):
                self.set(key, "0" if value != "0" else "1")
                self.found("sysctl", f"{key} is ", f"ought to be {'at least ' if at_least else ''}{value}")
                if re.fullmatch(r"\d+", value):
                    self.set(key, str(int(value) + 1))
                    self.doctor(status=0 if at_least else 1)
                self.set(key, value)

    def test_a_setting_that_is_not_there(self):
        """Another kernel: said, and no finding."""
        (self.root / "proc/sys/net/core/default_qdisc").unlink()
        self.assertIn("sysctl: not looked at: net.core.default_qdisc", self.doctor(status=0).stdout)

    def test_installed(self):
        """Without --sysctl, the files that are installed; that none is, is a finding."""
        self.assertIn("are not installed", self.doctor(status=1, sysctl=None).stdout)
        (self.root / "etc/sysctl.d").mkdir(parents=True)
        shutil.copy(SYSCTL / "60-chronik.conf", self.root / "etc/sysctl.d")
        self.write("etc/sysctl.d/10-others.conf", "vm.swappiness = 100\n")
        self.doctor(status=0, sysctl=None)
        self.set("vm.swappiness", "60")
        self.assertIn("vm.swappiness is 60, and ought to be 1", self.doctor(status=1, sysctl=None).stdout)

    def test_cannot_look(self):
        """Status 2."""
        for folder, why in ((self.folder / "none", "No such file or directory"), (self.root / "proc", "no file whose name")):
            done = self.doctor(status=2, sysctl=folder)
            self.assertEqual(done.stdout, "")
            self.assertIn(why, done.stderr)

    def test_the_machine(self):
        """Each check of the host."""
        for path, bad, good, check, words in (
                ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n", "always [madvise] never\n", "huge pages", ()),
                ("proc/meminfo", "SwapTotal: 4096000 kB\nSwapFree: 2048000 kB\n", "SwapTotal: 1 kB\nSwapFree: 1 kB\n", "swap",
                 ("2000 MiB",)),
                ("proc/7/limits", "Max open files   1024   524288   files\n", "Max open files  65536  65536 files\n", "open files",
                 ("process 7", "1024")),
                (f"sys/dev/block/{self.device}/queue/scheduler", "none mq-deadline [bfq]\n", "[mq-deadline] none\n", "disk scheduler",
                 ("bfq",)),
                ("proc/self/mountinfo", f"1 1 {self.device} / / rw - ext4 /dev/x rw,barrier=0\n",
                 f"1 1 {self.device} / / rw - ext4 /dev/x rw\n", "disk cache", ("power",))):
            with self.subTest(check):
                self.write(path, bad)
                self.found(check, *words)
                self.write(path, good)
                self.doctor(status=0)

    @unittest.skipUnless(shutil.which("openssl"), "openssl, which makes the certificates of this test, is not here")
    def test_certificates(self):
        """One that ends within three weeks; what is no certificate is none of its business."""
        folder = self.root / "etc/chronik/tls"
        folder.mkdir(parents=True)
        for days in (90, 5):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                            str(days), "-subj", "/CN=x", "-keyout", "key.pem", "-out", "c.pem"], cwd=folder, check=True,
                           capture_output=True)
            if days == 90:
                self.doctor(status=0)
        self.found("certificate", "c.pem ends in 4 days")


class Files(ProgramCase):
    def test_the_guide(self):
        """Every value of the guide is set for all nodes, as it is or with a note that says why not."""
        ours = settings("60-chronik.conf")
        for key, value in GUIDE.items():
            self.assertEqual(ours[key][0], value)
        text = (SYSCTL / "60-chronik.conf").read_text(encoding="utf-8")
        for line in ("# guide: 4096 87380 134217728.", "# guide: 1000000."):
            self.assertIn(line, text)

    def test_reasons(self):
        """A comment stands above each setting, or above its group; no setting is there twice."""
        seen = set()
        for name in ("60-chronik.conf", "61-chronik-ingest.conf"):
            for block in (SYSCTL / name).read_text(encoding="utf-8").split("\n\n"):
                lines = block.splitlines()
                keys = [line.split("=")[0].strip() for line in lines if "=" in line and not line.startswith("#")]
                if keys:
                    self.assertTrue(lines[0].startswith("#") and len(lines[0]) > 12, block)
                self.assertFalse(seen & set(keys))
                seen |= set(keys)

    def test_the_unit(self):
        """What the unit asks for fits."""
        unit = (ROOT / "systemd/chronikd.service").read_text(encoding="utf-8")
        files = int(re.search(r"(?m)^LimitNOFILE=(\d+)$", unit)[1])
        ours = settings("60-chronik.conf")
        self.assertLessEqual(files, int(ours["fs.nr_open"][0]))
        self.assertLess(files, int(ours["fs.file-max"][0]))


if __name__ == "__main__":
    unittest.main()
