#!/usr/bin/env python3
"""The units beside chronikd.service under a real systemd.

Goal: the gate of a trial boot passes when the node has come back, waits for others and fails for its own faults, and does not exist for
other boots; the scrub finds rot and is started by its timer; a node whose folder is a volume starts; a cluster that boots together passes
its gates together, and its drain guard makes stops wait. Method: machine.py; several nodes are several units on one machine.
"""

import re
import time
import unittest

from case import SYSTEMD, MachineCase
from machine import version

TRIAL = "/run/chronik/trial-boot"
NO_REBOOT = "[Unit]\nFailureAction=none\n"


class Gate(MachineCase):
    """`systemctl start boot-complete.target` is what the boot of a trial does."""

    INSTALL = "chroot $m systemctl enable chronik-health.service >/dev/null 2>&1\n"

    def setUp(self):
        super().setUp()
        self.m.systemctl("stop", "boot-complete.target", "chronik-health", "chronikd")
        self.m.systemctl("reset-failed")
        self.m.shell(f"rm -f {TRIAL}")

    def complete(self, **options):
        return self.m.systemctl("start", "boot-complete.target", **options)

    def trial(self, timeout="10m"):
        self.m.shell(f"mkdir -p /run/chronik && touch {TRIAL}")
        self.drop_in("chronik-health.service", NO_REBOOT + "[Service]\nExecStart=\nExecStart=/usr/bin/chronik-ctl $CHRONIK_CTL_OPTIONS "
                     f"node health --wait --timeout {timeout}\n")

    def test_no_trial(self):
        """An ordinary boot is complete without it, and the node is not started for it."""
        self.complete()
        self.assertEqual(self.m.property("chronik-health", "ConditionResult"), "no")
        self.assertEqual(self.m.property("boot-complete.target", "ActiveState"), "active")

    def test_passes(self):
        """The node is started, and has come back."""
        self.trial()
        self.complete()
        self.assertEqual(self.m.property("boot-complete.target", "ActiveState"), "active")
        self.assertEqual(self.m.property("chronikd", "ActiveState"), "active")
        self.assertIn("node 7 is ok: in sync, and up with the controllers", self.said("chronik-health"))

    def test_own_fault(self):
        """A node that does not start: the boot is not complete, and the machine would start anew."""
        self.assertEqual(self.m.property("chronik-health", "FailureAction"), "reboot")
        self.trial("3s")
        self.drop_in("chronikd.service", "[Service]\nExecStart=\nExecStart=/usr/bin/chronikd --config /etc/chronik/none.yaml\n")
        self.assertNotEqual(self.complete(check=False).returncode, 0)
        self.assertEqual(self.m.property("boot-complete.target", "ActiveState"), "inactive")
        self.assertEqual(self.m.property("chronik-health", "Result"), "exit-code")


class Scrub(MachineCase):
    def test_scrub(self):
        """Whole logs pass; rot fails it with chronik-ctl's status; the timer starts it; without a node it has nothing to do."""
        self.m.systemctl("stop", "chronikd")
        self.assertNotEqual(self.m.systemctl("start", "chronik-scrub", check=False).returncode, 0)
        self.assertEqual(self.m.property("chronik-scrub", "ActiveState"), "inactive")
        self.assertEqual(self.m.property("chronikd", "ActiveState"), "inactive")
        self.started()
        self.create("scrub")
        self.produce("scrub", [b"x" * 1000])
        self.m.systemctl("start", "chronik-scrub")
        self.assertRegex(self.said("chronik-scrub"), r"scrub +0 .* ok")
        self.m.shell("f=$(ls /var/lib/chronik/log/scrub-0/*.log) && printf rot | dd of=$f bs=1 seek=500 conv=notrunc 2>/dev/null")
        self.drop_in("chronik-scrub.timer", "[Timer]\nOnCalendar=\nOnActiveSec=500ms\nRandomizedDelaySec=0\nAccuracySec=10ms\n")
        self.m.systemctl("start", "chronik-scrub.timer")
        self.m.wait_until(lambda: self.m.property("chronik-scrub", "Result") != "success")
        self.assertEqual(self.m.property("chronik-scrub", "ExecMainStatus"), "4")
        self.m.systemctl("stop", "chronik-scrub.timer")

    def test_timer(self):
        """Each month, at another time on each machine."""
        self.m.systemctl("start", "chronik-scrub.timer")
        text = self.m.property("chronik-scrub.timer", "TimersCalendar")
        self.assertIn("OnCalendar=*-*-01 00:00:00", text)
        self.assertEqual(self.m.properties("chronik-scrub.timer", "RandomizedDelayUSec", "FixedRandomDelay", "Persistent"),
                         {"RandomizedDelayUSec": "2d", "FixedRandomDelay": "yes", "Persistent": "yes"})


class Volume(MachineCase):
    """Where /var/lib/chronik is a volume, the user is the one of chronik-sysusers.conf."""

    INSTALL = """
mkdir -p $m/var/lib/chronik $m/etc/systemd/system/chronikd.service.d
printf '[Service]\\nDynamicUser=no\\n' >$m/etc/systemd/system/chronikd.service.d/user.conf
mount -t tmpfs tmpfs $m/var/lib/chronik
"""

    def test_volume(self):
        self.started()
        self.create("volume")
        self.produce("volume", [b"v"])
        self.assertEqual(self.m.shell("stat -c '%U %a' /var/lib/chronik").strip(), "chronik 700")
        self.assertIn("tmpfs", self.m.shell("findmnt -no FSTYPE /var/lib/chronik"))
        self.assertTrue(self.m.shell("ls -d /var/lib/chronik/log/volume-0").strip())


NODE = """server:
  node_id: {id}
  data_dir: /var/lib/chronik-{id}
  kafka: 127.0.0.1:{kafka}
  admin: 127.0.0.1:{admin}
cluster:
  listen: 127.0.0.1:{peer}
  plaintext: true
  controllers: 1@127.0.0.1:9193,2@127.0.0.1:9293,3@127.0.0.1:9393
topics:
  num_partitions: 1
replication:
  factor: 3
  min_insync_replicas: 2
"""


def unit_of(node):
    """chronikd.service as the unit of one of several nodes on a machine."""
    text = (SYSTEMD / "chronikd.service").read_text(encoding="utf-8")
    text = text.replace("/etc/chronik/chronik.yaml --data-dir /var/lib/chronik", f"/etc/chronik/{node}.yaml")
    text = text.replace("StateDirectory=chronik\n", f"StateDirectory=chronik-{node}\n")
    return text.replace("DynamicUser=yes", "DynamicUser=no")


def guard_of(node):
    text = (SYSTEMD / "drain-guard.conf").read_text(encoding="utf-8")
    return text.replace("CHRONIK_NODE_ID=1 CHRONIK_SERVER=127.0.0.1:9644", f"CHRONIK_NODE_ID={node} CHRONIK_SERVER=127.0.0.1:9{node}44")


class Cluster(MachineCase):
    NODES = (1, 2, 3)
    INSTALL = "".join(f"""
cat >$m/etc/chronik/{n}.yaml <<'END'
{NODE.format(id=n, kafka=9092 + 100 * n, admin=9044 + 100 * n, peer=9093 + 100 * n)}END
cat >$m/etc/systemd/system/chronikd-{n}.service <<'END'
{unit_of(n)}END
mkdir -p $m/etc/systemd/system/chronikd-{n}.service.d
cat >$m/etc/systemd/system/chronikd-{n}.service.d/drain-guard.conf <<'END'
{guard_of(n)}END
sed 's/chronikd.service/chronikd-{n}.service/;s/^EnvironmentFile=.*/Environment=CHRONIK_SERVER=127.0.0.1:9{n}44/' \\
        $m/usr/lib/systemd/system/chronik-health.service >$m/etc/systemd/system/chronik-health-{n}.service
""" for n in NODES) + f"mkdir -p $m{TRIAL.rsplit('/', 1)[0]} && touch $m{TRIAL}\n"

    def ctl(self, node, *words, **options):
        return self.m.run("chronik-ctl", "--server", f"127.0.0.1:9{node}44", *words, **options)

    def healthy(self):
        self.m.wait_until(lambda: re.search(r"(?m)^health +ok", self.ctl(1, "cluster", "info", check=False).stdout))

    def up(self):
        self.m.systemctl("start", *[f"chronikd-{n}" for n in self.NODES])
        self.healthy()

    def test_cold_boot(self):
        """Nodes that come up one after the other: the first waits for a majority longer than a start may take, and says so; no
        gate fails, and all pass when the others are there."""
        self.m.systemctl("stop", *[f"chronikd-{n}" for n in self.NODES], timeout=120)
        for n in self.NODES:
            self.drop_in(f"chronikd-{n}.service", "[Service]\nTimeoutStartSec=4s\n")
            self.drop_in(f"chronik-health-{n}.service", NO_REBOOT)
        self.m.systemctl("start", "--no-block", "chronikd-1", "chronik-health-1")
        self.m.wait_until(lambda: self.m.property("chronikd-1", "StatusText") == "waiting for a controller: none is active")
        pid = self.m.property("chronikd-1", "MainPID")
        time.sleep(6)
        self.assertEqual(self.m.properties("chronikd-1", "ActiveState", "MainPID", "NRestarts"),
                         {"ActiveState": "activating", "MainPID": pid, "NRestarts": "0"})
        self.assertEqual(self.m.property("chronik-health-1", "ActiveState"), "activating")
        self.m.systemctl("start", "--no-block", *[f"chronik-health-{n}" for n in self.NODES])
        for n in self.NODES:
            self.m.wait_until(lambda n=n: self.m.property(f"chronik-health-{n}", "ActiveState") == "active", 60)
        self.assertIn("node 1 is waiting: no active controller answers", self.said("chronik-health-1"))

    def test_drain_guard(self):
        """A stop waits while it would take too much away, and goes on when that is over; without others in sync it is told."""
        self.up()
        self.m.run("chronik-ctl", "--server", "127.0.0.1:9144", "topic", "create", "guarded", "--partitions", "3")
        self.healthy()
        self.m.systemctl("kill", "--signal=SIGKILL", "chronikd-3")
        self.m.systemctl("stop", "chronikd-3")
        self.m.wait_until(lambda: self.ctl(1, "node", "may-stop", "2", check=False).returncode == 5)
        stop = self.m.popen("systemctl", "stop", "chronikd-2")
        self.addCleanup(stop.wait)
        time.sleep(4)
        self.assertIsNone(stop.poll())
        self.assertEqual(self.m.properties("chronikd-2", "ActiveState", "SubState"),
                         {"ActiveState": "deactivating", "SubState": "stop"})
        self.produce_somewhere("guarded")
        self.m.systemctl("start", "chronikd-3")
        self.assertEqual(stop.wait(60), 0)
        said = self.said("chronikd-2")
        self.assertRegex(said, r"partitions without this node: \d+ with fewer replicas in sync than there should be \(.*guarded-")
        self.assertNotIn("without a leader", said)
        self.up()

    def test_shutdown(self):
        """A reboot is refused while the node must not stop, and says why; it would go on when that is over."""
        self.up()
        self.m.run("chronik-ctl", "--server", "127.0.0.1:9144", "topic", "create", "lock", "--partitions", "1")
        self.healthy()
        self.m.write("/etc/chronik/ctl.env", "CHRONIK_SERVER=127.0.0.1:9144\n")
        self.m.systemctl("unmask", "systemd-logind.service")
        self.m.systemctl("start", "dbus.service", "systemd-logind.service")
        self.m.systemctl("start", "chronik-guard")
        self.m.wait_until(lambda: self.m.property("chronik-guard", "StatusText") == "nothing speaks against a shutdown")
        self.assertNotIn("chronikd", self.m.run("systemd-inhibit", "--list").stdout)
        self.m.systemctl("kill", "--signal=SIGKILL", "chronikd-3")
        self.m.systemctl("stop", "chronikd-3")
        self.m.wait_until(lambda: "must not stop now" in self.m.property("chronik-guard", "StatusText"))
        self.assertRegex(self.m.run("systemd-inhibit", "--list").stdout, r"chronikd +0 +root .* shutdown .*the node must not stop now")
        refused = self.m.systemctl("reboot", "--check-inhibitors=yes", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("the node must not stop now", refused.stderr + refused.stdout)
        if version() >= 257:                    # then the lock counts for root, too, wherever it asks
            self.assertNotEqual(self.m.systemctl("reboot", check=False).returncode, 0)
        self.assertIsNone(self.m.process.poll())
        self.m.systemctl("start", "chronikd-3")
        self.m.wait_until(lambda: "chronikd" not in self.m.run("systemd-inhibit", "--list").stdout)
        self.m.systemctl("stop", "chronik-guard")

    def produce_somewhere(self, topic):
        """Of three partitions one is led by node 2, which waits, and serves meanwhile."""
        self.assertEqual(self.ctl(2, "cluster", "info").returncode, 0)
        leader = re.search(r"(?m)^ *0 +(\d) ", self.ctl(2, "topic", "get", topic, "--detailed").stdout)[1]
        self.produce(topic, [b"v"], 9092 + 100 * int(leader))


if __name__ == "__main__":
    unittest.main()
