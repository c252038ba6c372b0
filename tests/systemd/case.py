"""A machine with a node on it, as an operator would have installed it: the files of systemd/ where a package puts them."""

import shutil
import subprocess
import sys
import time
import unittest

from machine import CHRONIK_CTL, CHRONIKD, ROOT, Machine, version, why_not

sys.path.insert(1, str(ROOT / "tests/protocol"))

import records  # noqa: E402
from kafka import Client  # noqa: E402

TOKEN = "secret-of-the-test"
SYSTEMD = ROOT / "systemd"
NEW = 254                               # from this version on chronikd-254.conf goes with the unit

# The files of systemd/ and the programs, installed below $m.
INSTALL = f"""
cp {CHRONIKD} $m/usr/bin/chronikd
cp {CHRONIK_CTL} $m/usr/bin/chronik-ctl
cp {SYSTEMD}/*.service {SYSTEMD}/*.timer {SYSTEMD}/*.slice $m/usr/lib/systemd/system/
mkdir -p $m/usr/lib/sysusers.d $m/usr/lib/tmpfiles.d
cp {SYSTEMD}/chronik-sysusers.conf $m/usr/lib/sysusers.d/chronik.conf
cp {SYSTEMD}/chronik-tmpfiles.conf $m/usr/lib/tmpfiles.d/chronik.conf
# The programs' own libraries, where the root is another system's and has not got them.
for lib in $(ldd {CHRONIKD} {CHRONIK_CTL} | sed -n 's/.* => \\(\\/[^ ]*\\).*/\\1/p' | sort -u); do
        name=$(basename $lib)
        find $m/lib $m/usr/lib -maxdepth 2 -name $name 2>/dev/null | grep -q . || cp $lib $m/usr/lib/
done
ldconfig -r $m 2>/dev/null || true
chroot $m systemd-sysusers
mkdir -p $m/etc/chronik/tls
chroot $m systemd-tmpfiles --create chronik.conf
"""
FOR_NEW = f"install -D -m 644 {SYSTEMD}/chronikd-254.conf $m/etc/systemd/system/chronikd.service.d/254.conf\n"


@unittest.skipIf(why_not(), why_not())
class MachineCase(unittest.TestCase):
    """One machine for all tests of a class; CONFIG is /etc/chronik/chronik.yaml, INSTALL more shell before the boot."""

    CONFIG = "server:\n  node_id: 7\n"
    INSTALL = ""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        config = f"cat >$m/etc/chronik/chronik.yaml <<'END'\n{cls.CONFIG}END\n"
        cls.machine = Machine(INSTALL + (FOR_NEW if version() >= NEW else "") + config + cls.INSTALL)
        cls.addClassCleanup(cls.machine.close)
        cls.machine.start()

    def setUp(self):
        self.m = self.machine

    def drop_in(self, unit, text, name="test"):
        """Until the end of the test."""
        path = f"/run/systemd/system/{unit}.d/{name}.conf"
        self.m.write(path, text)
        self.m.systemctl("daemon-reload")

        def remove():
            self.m.run("rm", "-f", path)
            self.m.systemctl("daemon-reload")
        self.addCleanup(remove)

    # ---- the node ----

    def started(self, unit="chronikd"):
        """The node, serving; started if it does not run."""
        self.m.systemctl("start", unit)
        self.assertEqual(self.m.property(unit, "ActiveState"), "active")
        return int(self.m.property(unit, "MainPID"))

    def client(self, port=9092):
        with self.m.network():
            client = Client("127.0.0.1", port)
        self.addCleanup(client.close)
        return client

    def create(self, topic, **more):
        answer = self.client().call("CreateTopics", 7, topics=[
            {"name": topic, "num_partitions": 1, "replication_factor": 1, **more}])
        self.assertEqual(answer["topics"][0]["error_code"], 0)

    def produce(self, topic, values, port=9092):
        answer = self.client(port).call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": records.batch(values)}]}])
        self.assertEqual(answer["responses"][0]["partition_responses"][0]["error_code"], 0)

    def values(self, topic, port=9092):
        answer = self.client(port).call("Fetch", 12, max_wait_ms=500, min_bytes=1, topics=[
            {"topic": topic, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])
        partition = answer["responses"][0]["partitions"][0]
        self.assertEqual(partition["error_code"], 0)
        return records.values(partition["records"])

    def said(self, unit="chronikd"):
        """What it has told the journal."""
        self.m.run("journalctl", "--sync", check=False)
        return self.m.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def outside(self, *words, **options):
        """A program of the test's own machine, on the network of the one that is tested."""
        return subprocess.run(["nsenter", "-t", str(self.m.init), "-n", "--", *words], capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, **options)


def seconds(call):
    """How long it takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def has(program):
    return shutil.which(program) is not None
