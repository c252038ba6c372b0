#!/usr/bin/env python3
"""chronikd's command line and its start.

Goal: every option does what --help says; a node starts on an empty directory, quickly; what is wrong at the start is told
in one line with the remedy, with status 1 (2 for wrong usage), and leaves nothing behind that hinders the next start.
Method: the real program in folders that are made wrong on purpose.
"""

import os
import socket
import struct
import time
import unittest
import urllib.request

from mounts import Mount
from program import ANY_PORTS, START_LIMIT_S, ProgramCase
from signal import SIGTERM

GUIDE = """\
server:
  num_network_threads: 16
  num_io_threads: 32
  socket_send_buffer_bytes: 1048576
  socket_receive_buffer_bytes: 1048576
  max_connections: 10000

storage:
  segment_size: 1073741824  # 1GB
  compression_type: zstd
  compression_level: 3
  flush_interval_ms: 100
  flush_messages: 10000

replication:
  factor: 3
  min_insync_replicas: 2
  ack_timeout_ms: 30000

performance:
  batch_size: 16384
  linger_ms: 5
  buffer_memory: 67108864  # 64MB
  prefetch_count: 10
"""


class CommandLine(ProgramCase):
    def test_help_and_version(self):
        """--help names every option, --version the version; both on standard output, with status 0."""
        done = self.chronikd("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in ("--config", "--data-dir", "--kafka", "--admin", "--set", "--check", "--version", "--help"):
            self.assertIn(f"  {option} ", done.stdout)
        done = self.chronikd("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^chronikd \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        """What is no option is named, with status 2, and nothing is started."""
        for args in (["--no-such"], ["start"], ["--config"], ["--set"], ["-x"]):
            done = self.chronikd(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn("Try 'chronikd --help'.", done.stderr)
            self.assertIn(args[0].lstrip("-"), done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def write(self, text, name="chronik.yaml"):
        (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    def test_check_accepts(self):
        """--check says nothing of a right configuration, starts nothing, makes nothing."""
        for args in ([], ["--config", self.write(GUIDE)], ["--set", "server.num_io_threads=4", "--set", "diag.level=error"],
                     ["--kafka", "0.0.0.0:9092", "--data-dir", "elsewhere"]):
            done = self.chronikd("--check", *args)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), args)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["chronik.yaml"])

    def test_check_refuses(self):
        """Every mistake of a file is told at once: file, line, key, and what would be right."""
        name = self.write("server:\n  num_io_thread: 3\n  num_network_threads: many\n  max_connections: 0\n"
                          "storage:\n  segment_size: 1ZB\nextra:\n  a: b\n")
        done = self.chronikd("--check", "--config", name)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        lines = done.stderr.splitlines()
        for line, words in zip(lines, (
                ("chronik.yaml:2: ", "server.num_io_thread", "did you mean server.num_io_threads?"),
                ("chronik.yaml:3: ", "server.num_network_threads", "'many'", "a whole number from 1 to 256"),
                ("chronik.yaml:4: ", "server.max_connections", "'0'", "from 1 to 1000000"),
                ("chronik.yaml:6: ", "storage.segment_size", "'1ZB'", "a number of bytes from 4096 to 2147483647"),
                ("chronik.yaml:7: ", "extra", "there are server, storage, cluster, replication")), strict=True):
            for word in words:
                self.assertIn(word, line)
        self.assertEqual(self.chronikd("--config", name).stderr, done.stderr, "a start tells the same")

    def test_check_refuses_one(self):
        """One mistake, one line."""
        cases = [(["--config", "absent.yaml"], ("absent.yaml", "No such file")), (["--config", "."], ("Is a directory",)),
                 (["--config", self.write(b"\x00\xff" * 50, "noise")], ("noise", "not text")),
                 (["--config", self.write("server:\n\tnode_id: 1\n", "tab")], ("tab:2", "spaces")),
                 (["--set", "x"], ("--set", "'x'", "section.key=value")),
                 (["--set", "server.kafka=here"], ("server.kafka", "HOST:PORT")), (["--kafka", "x"], ("HOST:PORT",)),
                 (["--set", "no.such=1"], ("there are server, storage",)),
                 (["--set", "server.node_id=-1"], ("server.node_id", "from 0 to")), (["--data-dir", ""], ("is empty",)),
                 (["--set", "storage.flush_before_ack=perhaps"], ("storage.flush_before_ack", "'perhaps'"))]
        for args, words in cases:
            with self.subTest(args):
                self.refused("--check", *args, says=words)

    def test_file_and_set(self):
        """--config is read, and --set and the other options win over it."""
        name = self.write("server:\n  node_id: 5\n  kafka: 127.0.0.1:1\n  admin: 127.0.0.1:1\ntopics:\n  num_partitions: 7\n")
        started = self.start("--config", name, "--set", "topics.num_partitions=3")
        self.assertEqual(started.words["node"], "5")
        request = urllib.request.Request(f"http://{started.admin}/v1/topics", b'{"name": "t"}', method="POST")
        urllib.request.urlopen(request, timeout=10).close()
        with urllib.request.urlopen(f"http://{started.admin}/v1/topics/t", timeout=10) as answer:
            self.assertIn(b'"partitions": 3', answer.read())


class Start(ProgramCase):
    def test_no_arguments(self):
        """Without arguments: a whole node in ./chronik-data on the usual ports."""
        for port in (9092, 9644):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError as why:
                    self.skipTest(f"port {port} cannot be had here: {why}")
        from program import Started
        started = Started([], self.folder)
        self.addCleanup(started.kill)
        self.assertRegex(started.line, r"^READY chronikd \S+ kafka=127\.0\.0\.1:9092 admin=127\.0\.0\.1:9644 node=1\n$")
        self.assertTrue((self.folder / "chronik-data").is_dir())
        self.assertEqual(started.end(SIGTERM), (0, ""))

    def test_one_ready_line(self):
        """One READY line, when all is served: both addresses answer at that moment. A clean life says nothing else."""
        began = time.monotonic()
        started = self.start()
        self.assertLess(time.monotonic() - began, START_LIMIT_S)
        self.assertRegex(started.line, r"^READY chronikd \S+ kafka=127\.0\.0\.1:\d+ admin=127\.0\.0\.1:\d+ node=1\n$")
        socket.create_connection((started.host, started.port), 5).close()
        with urllib.request.urlopen(f"http://{started.admin}/readyz", timeout=5) as answer:
            self.assertEqual(answer.status, 200)
        self.assertEqual(started.end(SIGTERM), (0, ""))

    def test_new_folders_below(self):
        """A data directory several levels down is made."""
        started = self.start(data="a/b/c")
        self.assertEqual(started.end(SIGTERM)[0], 0)

    def test_second_process(self):
        """The same directory twice: the second is refused, the first goes on."""
        started = self.start()
        self.refused("--data-dir", self.folder / "data", *ANY_PORTS, says=("used by another process", "stop it"))
        socket.create_connection((started.host, started.port), 5).close()
        self.assertEqual(started.end(SIGTERM), (0, ""))

    def test_ports_in_use(self):
        """A port that somebody has: which parameter, and how to choose another. Then it starts on the same directory."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            there = "127.0.0.1:%d" % other.getsockname()[1]
            for mine, any_port in (("--kafka", "--admin"), ("--admin", "--kafka")):
                self.refused("--data-dir", self.folder / "data", mine, there, any_port, "127.0.0.1:0",
                             says=(f"server.{mine[2:]} {there}", "Address already in use", f"{mine} HOST:PORT"))
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_address_of_others(self):
        """An address that is not this machine's, and a name that nobody has."""
        for where in ("203.0.113.7:9092", "no-such-host.invalid:9092"):
            self.refused("--data-dir", self.folder / "data", *ANY_PORTS, "--kafka", where,
                         says=(f"server.kafka {where}", "--kafka HOST:PORT"))
        self.assertEqual(self.start().end(SIGTERM), (0, ""))


class Directories(ProgramCase):
    """Data directories with something wrong."""

    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"

    def made(self):
        """A directory that a node has used and left in order."""
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def no_start(self, *args, says):
        """Refused, twice the same, and the directory is as it was."""
        before = self.names()
        first = self.refused("--data-dir", self.data, *ANY_PORTS, *args, says=says)
        again = self.refused("--data-dir", self.data, *ANY_PORTS, *args, says=says)
        self.assertEqual(first[24:], again[24:])
        self.assertEqual(self.names() - {"log/.lock", "meta/lock"}, before - {"log/.lock", "meta/lock"})

    def names(self):
        return {str(p.relative_to(self.data)) for p in self.data.rglob("*")} if self.data.is_dir() else set()

    def test_of_others(self):
        """A directory with other files in it is not ours to fill."""
        for name in ("notes.txt", "log/syslog"):
            with self.subTest(name):
                self.data = self.folder / name.replace("/", "-")
                (self.data / name).parent.mkdir(parents=True)
                (self.data / name).write_text("not ours")
                self.no_start(says=("holds other things", "choose an empty"))

    def test_fresh_volume(self):
        """What a new file system has in its root, and hidden files, are nobody's."""
        (self.data / "lost+found").mkdir(parents=True)
        (self.data / ".snapshot").mkdir()
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_files_of_others_beside_ours(self):
        """Once the directory is ours a file more does not stop the service."""
        self.made()
        (self.data / "README.txt").write_text("volume 7")
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_not_a_directory(self):
        """A file where the directory should be."""
        self.data.write_text("a file")
        self.refused("--data-dir", self.data, *ANY_PORTS, says=(str(self.data), "Not a directory"))
        self.assertEqual(self.data.read_text(), "a file")

    def test_damaged_identity(self):
        """chronik.meta damaged, cut or empty."""
        self.made()
        path = self.data / "log/chronik.meta"
        good = path.read_bytes()
        for bad in (good[:9] + bytes([good[9] ^ 0xFF]) + good[10:], good[:-1], b"", b"x" * 64):
            path.write_bytes(bad)
            self.no_start(says=("chronik.meta", "damaged or not ours", "restore it"))
        path.write_bytes(good)
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_newer_format(self):
        """A directory of a later version is left alone, and told from a damaged one."""
        self.made()
        path = self.data / "log/chronik.meta"
        data = bytearray(path.read_bytes())
        version, = struct.unpack_from(">I", data, 4)
        self.assertLess(version, 100, "the version is not where FORMAT.md says")
        struct.pack_into(">I", data, 4, version + 1)
        from records import crc32c
        struct.pack_into(">I", data, len(data) - 4, crc32c(bytes(data[:-4])))
        path.write_bytes(bytes(data))
        self.no_start(says=("another format version", "start the program that wrote it"))

    def test_lost_identity(self):
        """Logs without chronik.meta."""
        self.made()
        (self.data / "log/chronik.meta").unlink()
        self.no_start(says=("no chronik.meta", "restore chronik.meta"))

    def test_lost_metadata(self):
        """Logs without metadata: no new cluster is made beside them, so that the metadata can be brought back."""
        self.made()
        os.rename(self.data / "meta", self.folder / "kept")
        self.no_start(says=("holds logs", "no metadata", "bring the metadata back"))
        os.rename(self.folder / "kept", self.data / "meta")
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_lost_logs(self):
        """Metadata without logs: the topics are not made again, empty; with the logs back it starts."""
        self.assertEqual(self.start().end(SIGTERM), (0, ""))
        os.rename(self.data / "log", self.folder / "kept")
        self.no_start(says=("holds metadata", "no logs", "is the volume mounted?"))
        (self.data / "log").mkdir()
        self.no_start(says=("holds metadata", "no logs", "is the volume mounted?"))
        (self.data / "log").rmdir()
        os.rename(self.folder / "kept", self.data / "log")
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_another_role(self):
        """A role that is new to a node has nothing in its directory yet, which is no loss; once it was there, it is."""
        controller = self.start("--set", "server.roles=controller")
        self.assertEqual((controller.words["kafka"], controller.end(SIGTERM)), ("none", (0, "")))
        self.assertEqual(self.start().end(SIGTERM), (0, ""))
        os.rename(self.data / "log", self.folder / "kept")
        self.no_start(says=("holds metadata", "no logs", "is the volume mounted?"))
        os.rename(self.folder / "kept", self.data / "log")
        self.assertEqual(self.start().end(SIGTERM), (0, ""))

    def test_metadata_of_another_cluster(self):
        """The logs of one cluster with the metadata of another: both are named."""
        self.made()
        os.rename(self.data / "meta", self.folder / "kept")
        self.assertEqual(self.start(data="other").end(SIGTERM), (0, ""))
        os.rename(self.folder / "other/meta", self.data / "meta")
        mine = (self.data / "log/cluster").read_text()
        other = (self.folder / "other/log/cluster").read_text()
        self.no_start(says=(mine, other, "restore that cluster's metadata"))

    def test_another_node(self):
        """A directory of another node or cluster than the configuration says."""
        self.made()
        self.no_start("--set", "server.node_id=7", says=("belongs to node 1", "server.node_id"))
        self.no_start("--set", "server.cluster_id=other", says=("other", "correct one of them"))

    def test_damaged_metadata(self):
        """A metadata log or vote with wrong bytes in what was acknowledged."""
        self.made()
        log, = (self.data / "meta/log").glob("*.qlog")
        for path in (log, self.data / "meta/vote"):
            with self.subTest(path.name):
                good = path.read_bytes()
                bad = bytearray(good)
                bad[min(len(bad) - 20, 60)] ^= 0xFF
                path.write_bytes(bytes(bad))
                self.refused("--data-dir", self.data, *ANY_PORTS, says=(str(self.data / "meta"),))
                path.write_bytes(good)

    def test_read_only(self):
        """A file system that is read-only, with nothing and with a node's data on it."""
        mount = Mount(self.folder / "volume", "size=4m")
        self.addCleanup(mount.close)
        program = mount.program(self.program())
        for name in ("new", "used"):
            mount.remount("rw")
            if name == "used":
                self.run_once(program, self.folder / "volume/used")
            mount.remount("ro")
            self.refused("--data-dir", self.folder / "volume" / name, *ANY_PORTS, program=program,
                         says=(str(self.folder / "volume" / name), "Read-only file system"))

    def program(self):
        from program import CHRONIKD
        return CHRONIKD

    def run_once(self, program, data):
        import subprocess
        with subprocess.Popen([program, "--data-dir", data, *ANY_PORTS], stdout=subprocess.PIPE, text=True) as process:
            self.assertIn("READY", process.stdout.readline())
            process.terminate()
            self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
