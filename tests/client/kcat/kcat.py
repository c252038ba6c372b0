"""kcat against a broker: the command line tool, run as a person would run it, with its output compared.

kcat has no admin commands. Topics of one partition are auto-created; those that need more partitions or a setting
are made here with one hand-made CreateTopics v2 frame.
"""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from checks import (CODECS, MIB, bootstrap, check, expect, expect_true, group_name, main,  # noqa: E402
                    noise, topic_name, topics_made, until)

BOOTSTRAP = bootstrap()
CREATE_TOPICS, DELETE_TOPICS = (19, 2), (20, 1)


def kcat(*args, stdin=b"", timeout=40):
    """Run kcat to its end and return what it printed."""
    got = subprocess.run(["kcat", "-b", BOOTSTRAP, *map(str, args)], input=stdin, capture_output=True,
                         timeout=timeout, check=False)
    if got.returncode:
        raise AssertionError(f"kcat {' '.join(map(str, args))}: exit {got.returncode}: {got.stderr.decode()[-300:]}")
    return got.stdout


# -- the two admin frames that kcat lacks ---------------------------------------------------------------------

def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def admin_call(api, body):
    host, port = BOOTSTRAP.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as s:
        frame = struct.pack(">hhi", *api, 7) + string("kcat-checks") + body
        s.sendall(struct.pack(">i", len(frame)) + frame)
        stream = s.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        return stream.read(size)[4:]


def make(tag, partitions=1, **config):
    name = topic_name(tag)
    pairs = b"".join(string(k.replace("_", ".")) + string(str(v)) for k, v in config.items())
    body = (struct.pack(">i", 1) + string(name) + struct.pack(">ihi", partitions, 1, 0) +
            struct.pack(">i", len(config)) + pairs + struct.pack(">i?", 15000, False))
    answer = admin_call(CREATE_TOPICS, body)
    (error,) = struct.unpack(">h", answer[8 + 2 + len(name):][:2])
    expect(f"error of creating {name}", error, 0)
    until(f"{name} listed", lambda: f"with {partitions} partitions" in kcat("-L", "-t", name).decode())
    return name


# -- producing and metadata -----------------------------------------------------------------------------------

@check("cluster")
def cluster():
    text = kcat("-L").decode()
    expect_true(f"{BOOTSTRAP} not in {text}", re.search(rf"broker \d+ at {re.escape(BOOTSTRAP)}", text))
    got = json.loads(kcat("-L", "-J"))
    expect_true("controller is not among the brokers", got["controllerid"] in [b["id"] for b in got["brokers"]])


@check("auto-create")
def auto_create():
    name = topic_name("auto")
    kcat("-P", "-t", name, stdin=b"first\n")
    expect("read back", kcat("-C", "-t", name, "-e", "-q"), b"first\n")


def lines(count):
    return b"".join(b"line %06d of some text that repeats that repeats that repeats\n" % i for i in range(count))


def codec_check(codec):
    def run():
        name = make(f"codec-{codec}")
        sent = lines(2000)
        kcat("-P", "-t", name, "-z", codec, stdin=sent)
        expect("read back", kcat("-C", "-t", name, "-e", "-q", "-X", "check.crcs=true"), sent)
    return run


for _codec in CODECS:
    check(f"produce-{_codec}")(codec_check(_codec))


def acks_check(acks):
    def run():
        name = make(f"acks-{acks}")
        kcat("-P", "-t", name, "-X", f"topic.acks={acks}", stdin=lines(100))
        until("100 lines", lambda: kcat("-C", "-t", name, "-e", "-q") == lines(100))
    return run


check("acks-0")(acks_check(0))
check("acks-1")(acks_check(1))
check("acks-all")(acks_check("all"))


@check("idempotent")
def idempotent():
    name = make("idempotent")
    kcat("-P", "-t", name, "-X", "enable.idempotence=true", "-X", "batch.num.messages=100", "-X", "linger.ms=1",
         stdin=lines(5000))
    expect("read back", kcat("-C", "-t", name, "-e", "-q"), lines(5000))


@check("record-shape")
def record_shape():
    name = make("shape")
    kcat("-P", "-t", name, "-K", ":", "-Z", "-H", "a=1", "-H", "a=2", "-H", "b=", stdin=b"k:v\ntombstone:\n")
    kcat("-P", "-t", name, stdin=b"no key\n")
    rows = [json.loads(row) for row in kcat("-C", "-t", name, "-e", "-q", "-J").splitlines()]
    expect("keys", [r["key"] for r in rows], ["k", "tombstone", None])
    expect("values", [r["payload"] for r in rows], ["v", None, "no key"])
    expect("headers", rows[0]["headers"], ["a", "1", "a", "2", "b", ""])
    expect("timestamp type", rows[0]["tstype"], "create")
    expect("offsets", [r["offset"] for r in rows], [0, 1, 2])


@check("log-append-time")
def log_append_time():
    name = make("lat", message_timestamp_type="LogAppendTime")
    kcat("-P", "-t", name, stdin=lines(3))
    rows = [json.loads(row) for row in kcat("-C", "-t", name, "-e", "-q", "-J").splitlines()]
    expect("timestamp types", [r["tstype"] for r in rows], ["logappend"] * 3)
    expect_true("not the append time", abs(rows[0]["ts"] / 1000 - time.time()) < 60)


def send_files(name, bodies, *args):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, body in enumerate(bodies):
            paths.append(os.path.join(folder, str(i)))
            with open(paths[-1], "wb") as f:
                f.write(body)
        kcat("-P", "-t", name, *args, *paths)


def read_values(name, *args):
    """The values of a topic, told apart by the 32-bit length before each (%R)."""
    data, out, at = kcat("-C", "-t", name, "-e", "-q", "-f", "%R%s", *args), [], 0
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        out.append(data[at + 4: at + 4 + size])
        at += 4 + size
    return out


@check("sizes")
def sizes():
    name = make("sizes", max_message_bytes=2 * MIB)
    sent = [noise(n) for n in (1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000)]
    send_files(name, sent, "-X", f"message.max.bytes={2 * MIB}")
    expect_true("contents differ", read_values(name) == sent)


@check("size-10mb", slow=True)
def size_10mb():
    name = make("big", max_message_bytes=11 * MIB)
    sent = [noise(10 * MIB), b"small", noise(10 * MIB)]
    send_files(name, sent, "-X", f"message.max.bytes={11 * MIB}")
    expect_true("contents differ", read_values(name, "-X", f"fetch.message.max.bytes={MIB}") == sent)


@check("too-large")
def too_large():
    name = make("too-large", max_message_bytes=20000)
    try:
        send_files(name, [noise(50_000)])
    except AssertionError as exc:
        expect_true(f"refused with {exc}", "size" in str(exc).lower() or "large" in str(exc).lower())
    else:
        raise AssertionError("a record above max.message.bytes was taken")


# -- consuming ------------------------------------------------------------------------------------------------

@check("assign")
def assign():
    name = make("assign", 3)
    for part in range(3):
        kcat("-P", "-t", name, "-p", part, stdin=lines(100))
    text = kcat("-C", "-t", name, "-e", "-q", "-f", "%p %o\n").decode()
    got = sorted(tuple(map(int, row.split())) for row in text.splitlines())
    expect("partitions and offsets", got, [(p, o) for p in range(3) for o in range(100)])


@check("seek-offset")
def seek_offset():
    name = make("seek")
    kcat("-P", "-t", name, stdin=lines(100))
    for start, want in (("beginning", range(100)), (50, range(50, 100)), (99, [99]), ("-10", range(90, 100)),
                        ("end", [])):
        text = kcat("-C", "-t", name, "-p", 0, "-o", start, "-e", "-q", "-f", "%o\n").decode()
        expect(f"offsets from {start}", [int(x) for x in text.split()], list(want))


@check("seek-time")
def seek_time():
    name = make("time")
    kcat("-P", "-t", name, stdin=lines(10))
    time.sleep(0.05)
    between = int(time.time() * 1000)
    time.sleep(0.05)
    kcat("-P", "-t", name, stdin=lines(10))
    text = kcat("-Q", "-t", f"{name}:0:{between}").decode()
    expect("offset for the time", text.strip(), f"{name} [0] offset 10")
    text = kcat("-C", "-t", name, "-p", 0, "-o", f"s@{between}", "-e", "-q", "-f", "%o\n").decode()
    expect("offsets from the time", [int(x) for x in text.split()], list(range(10, 20)))


@check("offsets-list")
def offsets_list():
    name = make("offsets")
    kcat("-P", "-t", name, stdin=lines(10))
    expect("end", kcat("-Q", "-t", f"{name}:0:-1").decode().strip(), f"{name} [0] offset 10")
    expect("beginning", kcat("-Q", "-t", f"{name}:0:-2").decode().strip(), f"{name} [0] offset 0")


class Member:
    """kcat -G in the background; its output and rebalance remarks go to files."""

    def __init__(self, folder, label, group, name):
        self.out = os.path.join(folder, label + ".out")
        self.err = os.path.join(folder, label + ".err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.p = subprocess.Popen(["kcat", "-b", BOOTSTRAP, "-G", group, "-u", "-f", "%p %o\n",
                                       "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=500", name],
                                      stdout=out, stderr=err, stdin=subprocess.DEVNULL)

    def owned(self):
        """The partitions of the newest rebalance remark."""
        with open(self.err, encoding="utf-8") as f:
            rows = [r for r in f if "rebalanced" in r]
        if not rows or "assigned" not in rows[-1]:
            return set()
        return {int(x) for x in re.findall(r"\[(\d+)\]", rows[-1].split("assigned", 1)[1])}

    def seen(self):
        with open(self.out, encoding="utf-8") as f:
            return {tuple(map(int, row.split())) for row in f if row.endswith("\n")}

    def leave(self):
        self.p.terminate()
        self.p.wait(20)


@check("group-rebalance", 90)
def group_rebalance():
    name, group = make("rebalance", 4), group_name("rebalance")
    with tempfile.TemporaryDirectory() as folder:
        members = [Member(folder, "a", group, name)]
        try:
            until("one member owns all", lambda: members[0].owned() == {0, 1, 2, 3}, 40)
            members.append(Member(folder, "b", group, name))
            until("both own two", lambda: [len(m.owned()) for m in members] == [2, 2], 40)
            expect("all partitions", members[0].owned() | members[1].owned(), {0, 1, 2, 3})
            for part in range(4):
                kcat("-P", "-t", name, "-p", part, stdin=lines(50))
            until("200 messages", lambda: len(members[0].seen() | members[1].seen()) == 200)
            members[1].leave()
            until("the first owns all again", lambda: members[0].owned() == {0, 1, 2, 3}, 40)
            for part in range(4):
                kcat("-P", "-t", name, "-p", part, stdin=lines(1))
            until("the late messages", lambda: {(p, 50) for p in range(4)} <= members[0].seen())
        finally:
            for m in members:
                m.leave()


@check("group-restart")
def group_restart():
    name, group = make("restart"), group_name("restart")
    kcat("-P", "-t", name, stdin=lines(100))
    read = ("-G", group, "-e", "-q", "-f", "%o\n", "-X", "auto.offset.reset=earliest")
    first = [int(x) for x in kcat(*read, "-c", 60, name).split()]
    expect("first run", first, list(range(60)))
    second = [int(x) for x in kcat(*read, name).split()]
    expect("second run goes on", second, list(range(60, 100)))
    kcat("-P", "-t", name, stdin=lines(5))
    expect("third run", [int(x) for x in kcat(*read, name).split()], list(range(100, 105)))


@check("topic-delete")
def topic_delete():
    names = topics_made()
    body = struct.pack(">i", len(names)) + b"".join(map(string, names)) + struct.pack(">i", 15000)
    admin_call(DELETE_TOPICS, body)
    until("topics gone", lambda: not set(names) & {t["topic"] for t in json.loads(kcat("-L", "-J"))["topics"]})


def version():
    text = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"Version ([\d.]+).*librdkafka ([\d.]+)", text.stdout + text.stderr)
    return f"kcat {found[1]} (librdkafka {found[2]})" if found else "kcat"


if __name__ == "__main__":
    main(version())
