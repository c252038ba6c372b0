#!/usr/bin/env python3
"""chronikd.service under a real systemd.

Goal: start, stop, restart, reload and status do what an operator expects of them; a node that hangs is ended and comes back with
everything; it has its credentials, and the sandbox is in force. Method: machine.py, systemctl, and real clients.
"""

import os
import re
import signal
import threading
import time
import unittest
from pathlib import Path

from case import NEW, ROOT, TOKEN, MachineCase, has, seconds
from kafka import Client, ClientError
from machine import version

NAME = "chronikd"
BOOT_ADDS_MAX_S = 1.0                   # promised of a machine of its own


class Files(MachineCase):
    def test_verify(self):
        """This systemd knows every line of every unit, with the programs where they are installed, and says nothing."""
        units = [path.name for path in sorted((ROOT / "systemd").glob("chronik*")) if path.suffix in (".service", ".timer", ".slice")]
        self.assertIn(f"{NAME}.service", units)
        done = self.m.run("systemd-analyze", "verify", "--man=no", *units, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_drop_ins(self):
        """Likewise with the drop-ins for slices and for the drain guard."""
        for unit, name in (("chronik.slice", "chronik-slice-ingest"), ("chronik.slice", "chronik-slice-controller"),
                           ("chronikd.service", "drain-guard")):
            with self.subTest(name):
                self.drop_in(unit, (ROOT / f"systemd/{name}.conf").read_text(encoding="utf-8"), name)
                done = self.m.run("systemd-analyze", "verify", "--man=no", unit, check=False)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
                if name == "chronik-slice-ingest":
                    self.assertEqual(self.m.properties("chronik.slice", "MemoryLow", "MemoryMax", "CPUQuotaPerSecUSec"),
                                     {"MemoryLow": str(16 << 30), "MemoryMax": str(32 << 30), "CPUQuotaPerSecUSec": "16s"})


class Life(MachineCase):
    def test_start(self):
        """`start` comes back when clients are served, soon; a data folder of its own, which nobody else sees."""
        self.m.systemctl("stop", NAME)
        took = seconds(lambda: self.m.systemctl("start", NAME))
        self.assertTrue(self.client().call("Metadata", 9, topics=None)["brokers"])
        times = {k: int(v) for k, v in self.m.properties(
            NAME, "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic").items()}
        adds = (times["ActiveEnterTimestampMonotonic"] - times["InactiveExitTimestampMonotonic"]) / 1e6
        print(f"\nchronikd adds {adds:.3f} s to the boot under systemd {version()}; systemctl start took {took:.3f} s", flush=True)
        self.assertLess(adds, BOOT_ADDS_MAX_S * 5)      # of a machine that runs other tests as well
        self.assertEqual(self.m.shell("stat -c '%U %a' /var/lib/chronik/.").strip(), "chronik 700")
        self.assertEqual(self.m.property(NAME, "Type"), "notify-reload" if version() >= NEW else "notify")
        self.assertEqual(self.m.property(NAME, "NRestarts"), "0")

    def test_status(self):
        """In words, as the node changes."""
        self.started()
        self.m.wait_until(lambda: re.search(r'Status: "serving: .*the active controller"', self.m.systemctl("status", NAME).stdout))
        self.create("status")
        self.m.wait_until(lambda: re.search(r"serving: leads (\d+) of \1 partitions?, all in sync",
                                            self.m.property(NAME, "StatusText")))

    def test_restart(self):
        """`restart` keeps what was acknowledged."""
        before = self.started()
        self.create("restart")
        self.produce("restart", [b"kept"])
        self.m.systemctl("restart", NAME)
        self.assertNotEqual(self.started(), before)
        self.assertEqual(self.values("restart"), [b"kept"])

    def test_stop(self):
        """`stop` ends it in good order, and it stays stopped while clients come again and again: there is no socket that
        would start it."""
        self.started()
        self.create("stop")
        stop, tries = threading.Event(), []

        def come_again():
            while not stop.is_set():
                try:
                    with self.m.network():
                        with Client("127.0.0.1", 9092, timeout_s=1) as client:
                            client.call("Metadata", 9, topics=None)
                    tries.append("served")
                except (OSError, ClientError):
                    tries.append("refused")
                time.sleep(0.01)
        clients = [threading.Thread(target=come_again) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            self.m.wait_until(lambda: tries.count("served") > 20)
            self.m.systemctl("stop", NAME)
            tries.clear()
            time.sleep(2)
            found = self.m.properties(NAME, "ActiveState", "Result", "ExecMainStatus", "MainPID")
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual(found, {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0", "MainPID": "0"})
        self.assertGreater(len(tries), 20)
        self.assertEqual(tries.count("served"), 0)
        self.assertEqual(list((ROOT / "systemd").glob("*.socket")), [])

    def test_killed(self):
        """A process that is killed comes back, with what was acknowledged."""
        pid = self.started()
        self.create("killed")
        self.produce("killed", [b"kept"])
        self.drop_in("chronikd.service", "[Service]\nRestartSec=100ms\n")
        self.m.systemctl("kill", "--signal=SIGKILL", NAME)
        self.m.wait_until(lambda: self.m.property(NAME, "MainPID") not in ("0", str(pid)))
        self.started()
        self.assertEqual(self.values("killed"), [b"kept"])
        self.assertGreaterEqual(int(self.m.property(NAME, "NRestarts")), 1)


class Watchdog(MachineCase):
    def test_hangs(self):
        """A process that stands still is ended by the watchdog, without a core dump, and started anew; while it gets on it
        is left alone."""
        self.drop_in("chronikd.service", "[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
        pid = self.started()
        self.create("hangs")
        self.produce("hangs", [b"kept"])
        time.sleep(5)
        self.assertEqual(self.started(), pid)
        self.m.systemctl("kill", "--kill-who=main", "--signal=SIGSTOP", NAME)
        self.m.wait_until(lambda: self.m.property(NAME, "MainPID") not in ("0", str(pid)), 20)
        self.started()
        self.assertEqual(self.values("hangs"), [b"kept"])
        said = self.said()
        self.assertRegex(said, r"[Ww]atchdog timeout \(limit 3s\)")
        self.assertIn("status=9/KILL", said)
        self.assertNotIn("core dumped", said)


class Guarded(MachineCase):
    """Tokens of operators as a credential, a listener with TLS whose files belong to the user."""

    CONFIG = """server:
  node_id: 7
listeners:
  PLAIN:
    address: 127.0.0.1:9092
    protocol: PLAINTEXT
  TLS:
    address: 127.0.0.1:9093
    protocol: SSL
    tls_certificate: /etc/chronik/tls/c.pem
    tls_key: /etc/chronik/tls/k.pem
"""
    INSTALL = f"""
mkdir -p $m/etc/credstore
printf 'tester admin %s\\n' "$(printf %s {TOKEN} | sha256sum | cut -d' ' -f1)" >$m/etc/credstore/chronik.admin_tokens
""" + """
certificate() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=$1 -keyout $2/k.pem -out $2/c.pem 2>/dev/null
        chown root:$(grep ^chronik: $m/etc/passwd | cut -d: -f4) $2/k.pem $2/c.pem
        chmod 640 $2/k.pem
}
certificate old $m/etc/chronik/tls
mkdir $m/root/new
certificate new $m/root/new
"""

    @classmethod
    def setUpClass(cls):
        if not has("openssl"):
            raise unittest.SkipTest("openssl, which makes the certificates of this test, is not here")
        super().setUpClass()

    def shown(self):
        done = self.outside("openssl", "s_client", "-connect", "127.0.0.1:9093")
        return re.search(r"subject=.*CN ?= ?(\w+)", done.stdout)[1]

    def test_credentials(self):
        """The tokens of /etc/credstore count; who has none is refused; the folder is the service's alone."""
        pid = self.started()
        self.assertEqual(self.m.run("chronik-ctl", "cluster", "info", check=False).returncode, 6)
        self.m.write("/root/token", TOKEN + "\n")
        self.assertIn("health", self.m.run("chronik-ctl", "--token-file", "/root/token", "cluster", "info").stdout)
        self.assertNotIn("chronik.first_user", self.m.shell("ls /run/credentials/chronikd.service"))
        as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups cat /run/credentials/chronikd.service/chronik.admin_tokens"
        self.assertNotEqual(self.m.run("bash", "-c", as_nobody, check=False).returncode, 0)
        self.assertNotIn(TOKEN, Path(f"/proc/{self.host_pid(pid)}/environ").read_text(encoding="utf-8"))

    def host_pid(self, pid):
        """The number that the test sees of a process of the machine."""
        for found in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                text = Path(f"/proc/{found}/status").read_text(encoding="utf-8")
                if (re.search(rf"(?m)^NSpid:.*\t{pid}$", text)
                        and os.readlink(f"/proc/{found}/ns/cgroup") == os.readlink(f"/proc/{self.m.init}/ns/cgroup")):
                    return found
            except OSError:
                pass
        raise AssertionError(f"no process {pid}")

    def test_reload(self):
        """`reload` comes back when the new certificate is the one that is shown, with the process and its connections as they
        were; one that is refused leaves the old one."""
        pid = self.started()
        client = self.client()
        client.call("Metadata", 9, topics=None)
        self.assertEqual(self.shown(), "old")
        self.m.shell("cp /root/new/k.pem /root/new/c.pem /etc/chronik/tls/")
        began = time.monotonic()
        self.m.systemctl("reload", NAME)
        if version() < NEW:                     # kill(1) has ended; the node may have just begun
            self.m.wait_until(lambda: self.shown() == "new", 5)
        self.assertEqual(self.shown(), "new")
        self.assertLess(time.monotonic() - began, 8)    # it would look by itself after ten seconds
        self.assertEqual(self.m.property(NAME, "ActiveState"), "active")
        self.assertEqual(self.started(), pid)
        client.call("Metadata", 9, topics=None)
        self.m.shell("echo nothing >/etc/chronik/tls/c.pem")
        self.m.systemctl("reload", NAME)
        self.m.wait_until(lambda: "the changed certificate of listener TLS is not used" in self.said())
        self.assertEqual(self.shown(), "new")
        self.m.shell("cp /root/new/c.pem /etc/chronik/tls/")
        self.m.systemctl("reload", NAME)


class Sandbox(MachineCase):
    def setUp(self):
        super().setUp()
        self.pid = self.started()

    def inside(self, text):
        """A shell where the node stands: in its mount namespace, seen as it sees files. Return: status and all that was said."""
        done = self.m.run("nsenter", "-t", self.pid, "-m", "--", "bash", "-c", text, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_process(self):
        """No rights, no way to get any, a filter of system calls, no core dumps; the limits."""
        status = self.m.shell(f"cat /proc/{self.pid}/status")
        for line in (r"NoNewPrivs:\t1", r"Seccomp:\t2", r"CapEff:\t0{16}", r"CapBnd:\t0{16}", r"CapAmb:\t0{16}"):
            self.assertRegex(status, line)
        uid = self.m.shell("id -u chronik").strip()
        self.assertRegex(status, rf"Uid:(\t{uid}){{4}}")
        limits = self.m.shell(f"cat /proc/{self.pid}/limits")
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        files = int(re.search(r"Max open files +(\d+)", limits)[1])
        self.assertGreaterEqual(files, 20000)           # a machine may have less to give than LimitNOFILE asks for

    def test_files(self):
        """Everything can be seen and nothing changed but what is its own; no homes, no devices, no settings of the kernel."""
        for path in ("/usr/bin/x", "/etc/chronik/x", "/var/x", "/x"):
            status, said = self.inside(f": >{path}")
            self.assertNotEqual(status, 0, path)
            self.assertIn("Read-only file system", said)
        self.assertEqual(self.inside(": >/var/lib/chronik/x && rm /var/lib/chronik/x")[0], 0)
        self.assertEqual(self.inside("ls -A /home /root | grep -v '^/\\|^$'")[1], "")
        self.assertNotEqual(self.inside("echo 1 >/proc/sys/vm/swappiness")[0], 0)
        self.m.shell("touch /tmp/of-others")
        self.assertEqual(self.inside("ls -A /tmp")[1], "")

    def test_others(self):
        """Of /proc it sees its own processes only."""
        uid = self.m.shell("id -u chronik").strip()
        status, said = self.inside(f"ls -d /proc/[0-9]* | wc -l; setpriv --reuid={uid} --regid={uid} --clear-groups ls -d /proc/[0-9]*")
        self.assertNotIn("/proc/1\n", said.split("\n", 1)[1])

    def test_slice(self):
        """It lives in chronik.slice, whose limits the kernel has where systemd can set them."""
        self.assertEqual(self.m.property(NAME, "Slice"), "chronik.slice")
        self.assertRegex(self.m.property(NAME, "ControlGroup"), r"^/chronik\.slice/chronikd\.service$")
        wanted = int(self.m.property("chronik.slice", "MemoryMax"))
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.assertAlmostEqual(wanted / total, 0.9, delta=0.02)
        text = self.m.shell("cat /sys/fs/cgroup/memory/chronik.slice/memory.limit_in_bytes /sys/fs/cgroup/chronik.slice/memory.max"
                            " 2>/dev/null || true").split()
        if not text:
            self.skipTest("the host has no control group of memory for a systemd of its own")
        self.assertAlmostEqual(int(text[0]) / wanted, 1, delta=0.01)


if __name__ == "__main__":
    unittest.main()
