"""Checks of the tools for share groups (KIP-932); kafka_tools.py runs them."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from checks import check, expect, expect_true, group_name, until  # noqa: E402
from tool import Background, console_produce, lines, make, run, table  # noqa: E402


@check("share-groups")
def share_groups():
    """Where a share group begins is set, shown with its lag, and forgotten."""
    name, group = make("share", 2), group_name("share")
    console_produce(name, lines(3))
    run("kafka-share-groups", "--reset-offsets", "--group", group, "--topic", name, "--to-earliest", "--execute")
    expect_true("not listed", group in run("kafka-share-groups", "--list").split())
    rows = table(run("kafka-share-groups", "--describe", "--group", group))
    expect("rows", sorted((r["TOPIC"], r["PARTITION"], r["START-OFFSET"]) for r in rows), [(name, "0", "0"), (name, "1", "0")])
    expect("lag", sum(int(r["LAG"]) for r in rows), 3)
    row, = table(run("kafka-share-groups", "--describe", "--group", group, "--state"))
    expect("state", (row["STATE"], row["#MEMBERS"]), ("Empty", "0"))
    expect_true("not forgotten", "Successful" in run("kafka-share-groups", "--delete-offsets", "--group", group, "--topic", name))
    expect_true("not empty", "no offset information" in run("kafka-share-groups", "--describe", "--group", group))
    run("kafka-share-groups", "--delete", "--group", group)
    expect_true("still there", group not in run("kafka-share-groups", "--list").split())


def share_group(tag):
    """A new one that begins with the first record."""
    group = group_name(tag)
    run("kafka-configs", "--alter", "--entity-type", "groups", "--entity-name", group, "--add-config", "share.auto.offset.reset=earliest")
    return group


def lag(group):
    return sum(int(r["LAG"]) for r in table(run("kafka-share-groups", "--describe", "--group", group)))


@check("console-share-consumer", 120)
def console_share_consumer():
    """What was released comes again, what was rejected or accepted does not."""
    name, group = make("console-share", 2), share_group("console-share")
    console_produce(name, lines(20))

    def consume(count, *args):
        # It ends without a message for so long; --max-messages would leave some in its hands.
        got = run("kafka-console-share-consumer", "--topic", name, "--group", group, "--timeout-ms", 5000, *args, fine=None)
        expect("lines", len(re.findall(r"(?m)^line \d+ ", got)), count)

    consume(20, "--release", "--max-messages", 20)
    consume(20, "--reject")
    console_produce(name, lines(7))
    consume(7)
    expect("lag", lag(group), 0)
    consume(0)


@check("verifiable-share", 180)
def verifiable_share():
    """Two verifiable share consumers; one is killed in the midst of it. Each record is acknowledged once, by one of them."""
    name, group = make("verifiable-share", 4), share_group("verifiable-share")
    args = ("kafka-verifiable-share-consumer", "--topic", name, "--group-id", group, "--acknowledgement-mode", "sync",
            "--offset-reset-strategy", "earliest")
    with tempfile.TemporaryDirectory() as folder:
        members = [Background(folder, label, *args) for label in "ab"]

        def done():
            """What was acknowledged, as often as it was."""
            return [(p["partition"], o) for m in members for e in m.events("offsets_acknowledged") if e["success"]
                    for p in e["partitions"] for o in p["offsets"]]
        try:
            until("both are there", lambda: all(m.events("startup_complete") for m in members), 40)
            run("kafka-verifiable-producer", "--topic", name, "--max-messages", 2000, "--acks", -1, "--repeating-keys", 100)
            until("all are acknowledged", lambda: len(done()) >= 2000, 40)
            expect("each once", len(set(done())), len(done()))
            producer = Background(folder, "p", "kafka-verifiable-producer", "--topic", name, "--max-messages", 2000, "--acks", -1,
                                  "--repeating-keys", 100, "--throughput", 500)
            try:
                until("some more", lambda: len(done()) > 2300, 40)
                members[1].p.kill()
                # It may have been killed between an answer and the line about it.
                until("all have come", lambda: lag(group) == 0 and len(producer.events("producer_send_success")) == 2000, 60)
            finally:
                producer.stop()
            expect("none twice", len(set(done())), len(done()))
            expect_true(f"{len(done())} of 4000 were acknowledged", 3000 < len(done()) <= 4000)
        finally:
            for m in members:
                m.stop()


@check("share-perf-test", 120)
def share_perf_test():
    name, group = make("share-perf", 4), share_group("share-perf")
    run("kafka-producer-perf-test", "--topic", name, "--num-records", 50000, "--record-size", 200, "--throughput", -1)
    text = run("kafka-share-consumer-perf-test", "--topic", name, "--group", group, "--num-records", 50000, "--threads", 2, "--timeout", 20000)
    expect_true(text, re.search(r"\b50000\b", text))
    expect("lag", lag(group), 0)
