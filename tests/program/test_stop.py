#!/usr/bin/env python3
"""How chronikd stops, and what it tells the service manager.

Goal: SIGTERM and SIGINT drain and end with 0 whatever clients do, and what was acknowledged before is there after the next
start; systemd hears READY=1 and STOPPING=1 at the right moments. Method: clients of tests/protocol in the middle of their
work, and a datagram socket in place of systemd.
"""

import signal
import socket
import threading
import time
import unittest
import urllib.error
import urllib.request

from program import ProgramCase

import records
from kafka import ERR, Client, ClientError


class Notify(ProgramCase):
    def manager(self, address):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.settimeout(10)
        return manager

    def told(self, manager):
        return manager.recv(4096).decode().splitlines()

    def test_notify(self):
        """READY=1 comes with the READY line and a status, STOPPING=1 before the end."""
        for name in (str(self.folder / "notify"), "@abstract"):
            with self.subTest(name):
                address = "\0chronik-test-" + self.folder.name if name == "@abstract" else name
                manager = self.manager(address)
                started = self.start(env={"NOTIFY_SOCKET": address.replace("\0", "@")})
                told = self.told(manager)
                self.assertIn("READY=1", told)
                self.assertTrue([t for t in told if t.startswith("STATUS=")], told)
                self.assertEqual(started.end(signal.SIGTERM), (0, ""))
                while "STOPPING=1" not in told:
                    told += self.told(manager)

    def test_not_ready(self):
        """A start that fails is never told to be ready."""
        manager = self.manager(str(self.folder / "notify"))
        manager.settimeout(0.2)
        (self.folder / "data").write_text("a file")
        done = self.chronikd("--data-dir", "data", "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                             env={"NOTIFY_SOCKET": str(self.folder / "notify")})
        self.assertEqual(done.returncode, 1)
        with self.assertRaises(TimeoutError):
            manager.recv(4096)

    def test_nobody_listens(self):
        """A manager that went away is no reason not to serve."""
        started = self.start(env={"NOTIFY_SOCKET": str(self.folder / "nobody")})
        self.assertEqual(started.end(signal.SIGTERM), (0, ""))


class Writer(threading.Thread):
    """Produces with acks=all until the connection ends; knows what was acknowledged."""

    def __init__(self, started, topic, partition):
        super().__init__(daemon=True)
        self.client, self.topic, self.partition = Client(started.host, started.port), topic, partition
        self.acknowledged, self.failure = [], None

    def run(self):
        number = 0
        try:
            while True:
                value = b"%d-%d" % (self.partition, number)
                answer = self.client.call("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
                    {"name": self.topic, "partition_data": [
                        {"index": self.partition, "records": records.batch([value])}]}])
                answer = answer["responses"][0]["partition_responses"][0]
                if answer["error_code"]:
                    self.failure = f"error {ERR(answer['error_code']).name}"
                    return
                self.acknowledged.append((answer["base_offset"], value))
                number += 1
        except ClientError:
            pass                        # it has stopped
        finally:
            self.client.close()


class Stop(ProgramCase):
    WRITERS = 4

    def topic(self, started, name, partitions):
        with Client(started.host, started.port) as client:
            answer = client.call("CreateTopics", 7, topics=[
                {"name": name, "num_partitions": partitions, "replication_factor": 1}])
            self.assertEqual(answer["topics"][0]["error_code"], 0)

    def values(self, started, name, partition):
        found, offset = {}, 0
        with Client(started.host, started.port) as client:
            while True:
                answer = client.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26, topics=[
                    {"topic": name, "partitions": [
                        {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 26}]}])
                answer = answer["responses"][0]["partitions"][0]
                for batch in records.parse(answer["records"] or b""):
                    for record in batch.records:
                        found[record.offset] = record.value
                        offset = record.offset + 1
                if offset >= answer["high_watermark"]:
                    return found

    def waiting_clients(self, started):
        """Clients in every state that may last: idle, in a long fetch, in half a frame, waiting in a group."""
        clients = [Client(started.host, started.port) for _ in range(20)]
        for client in clients:
            self.addCleanup(client.close)
        for client in clients[:5]:
            client.send("Fetch", 12, max_wait_ms=60000, min_bytes=1 << 20, max_bytes=1 << 26, topics=[
                {"topic": "t", "partitions": [{"partition": 9, "partition_max_bytes": 1 << 20}]}])
        for client in clients[5:10]:
            client.send_raw(b"\0\0\1\0half")
        for client in clients[10:12]:
            client.send("JoinGroup", 5, group_id="g", session_timeout_ms=60000, rebalance_timeout_ms=600000,
                        member_id="", protocol_type="consumer", protocols=[{"name": "range", "metadata": b""}])
        return clients

    def stopped_by(self, how):
        started = self.start()
        self.topic(started, "t", 10)
        clients = self.waiting_clients(started)
        writers = [Writer(started, "t", p) for p in range(self.WRITERS)]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 10
        while min(len(w.acknowledged) for w in writers) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        status, text = started.end(how)
        took_s = time.monotonic() - began
        self.assertEqual(status, 0, text)
        self.assertLess(took_s, 5, "the drain waits for those who never end")
        for client in clients:
            while client.pending:
                client.receive()        # a long fetch or a join that was in work was answered before the end
            self.assertTrue(client.closed(), "a connection outlived the node")
        for writer in writers:
            writer.join(10)
            self.assertIsNone(writer.failure)
            self.assertGreaterEqual(len(writer.acknowledged), 5)
        again = self.start()
        for writer in writers:
            found = self.values(again, "t", writer.partition)
            for offset, value in writer.acknowledged:
                self.assertEqual(found.get(offset), value, f"offset {offset} of partition {writer.partition}")
        self.assertEqual(again.end(how), (0, ""))

    def test_sigterm(self):
        """SIGTERM with writers at work, long fetches, half frames and members of a group: 0, soon, nothing lost."""
        self.stopped_by(signal.SIGTERM)

    def test_sigint(self):
        """SIGINT (Ctrl-C) is the same."""
        self.stopped_by(signal.SIGINT)

    def test_impatient(self):
        """A second signal while it stops changes nothing."""
        started = self.start()
        for how in (signal.SIGTERM, signal.SIGINT):
            started.process.send_signal(how)
        self.assertEqual(started.end(signal.SIGTERM), (0, ""))

    def test_at_once(self):
        """SIGTERM right after the start, ready or not: 0, and the next start is good."""
        import subprocess
        from program import ANY_PORTS, CHRONIKD
        for pause_s in (0.005, 0.01, 0.02, 0.03, 0.05):
            data = self.folder / f"data-{pause_s}"
            with subprocess.Popen([CHRONIKD, "--data-dir", data, *ANY_PORTS], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True) as process:
                time.sleep(pause_s)
                process.terminate()
                text = process.communicate(timeout=10)[0]
            self.assertIn(process.returncode, (0, -signal.SIGTERM), text)  # before main() has begun it just ends
            self.assertEqual(self.start(data=data.name).end(signal.SIGTERM), (0, ""))

    def test_reload_and_pipe(self):
        """SIGHUP and SIGPIPE do not end a service."""
        started = self.start()
        started.process.send_signal(signal.SIGPIPE)
        time.sleep(0.2)
        self.assertIsNone(started.process.poll())
        self.assertEqual(started.end(signal.SIGTERM), (0, ""))

    def test_admin_while_stopping(self):
        """Soon after SIGTERM, while clients drain, /readyz is 503 or not there, and never says ready again."""
        started = self.start()
        self.topic(started, "t", 10)
        self.waiting_clients(started)
        started.process.send_signal(signal.SIGTERM)
        deadline, over = time.monotonic() + 0.5, False
        while started.process.poll() is None:
            said = self.readiness(started)
            self.assertIn(said, (200, 503, None))
            over |= said != 200
            self.assertFalse(over and said == 200, "ready after it was not")
            self.assertTrue(over or time.monotonic() < deadline, "still ready while it stops")
            time.sleep(0.01)

    def readiness(self, started):
        """The status of /readyz; None when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{started.admin}/readyz", timeout=2) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None


if __name__ == "__main__":
    unittest.main()
