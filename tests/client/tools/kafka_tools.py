"""Apache Kafka's command line tools against a broker: their main classes run as the scripts of a Kafka release run them.

Called with --java "java -cp ..." before the address. What the tools print is compared, since that is what people read.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from checks import MIB, RUN, check, expect, expect_true, group_name, main, topic_name, topics_made, until  # noqa: E402
from tool import (BOOTSTRAP, CLASSES, JAVA, Background, command, console_consume, console_produce, lines, make,  # noqa: E402
                  run, table)
import share_tools  # noqa: E402,F401


@check("broker-api-versions")
def broker_api_versions():
    text = run("kafka-broker-api-versions")
    expect_true(f"{BOOTSTRAP} is not in the answer", text.startswith(BOOTSTRAP))
    for api in ("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "OffsetCommit(8)", "JoinGroup(11)",
                "ApiVersions(18)", "CreateTopics(19)", "InitProducerId(22)", "IncrementalAlterConfigs(44)"):
        row = re.search(rf"{re.escape(api)}: (.*)", text)
        expect_true(f"{api} is not listed", row)
        expect_true(f"{api} is not usable: {row[1]}", "usable" in row[1] and "UNSUPPORTED" not in row[1])


@check("cluster")
def cluster():
    got = subprocess.run([*JAVA, CLASSES["kafka-cluster"], "cluster-id", "--bootstrap-server", BOOTSTRAP],
                         capture_output=True, text=True, timeout=60, check=False)
    expect_true(got.stdout + got.stderr, re.search(r"Cluster ID: \S+", got.stdout))
    got = subprocess.run([*JAVA, CLASSES["kafka-cluster"], "list-endpoints", "--bootstrap-server", BOOTSTRAP],
                         capture_output=True, text=True, timeout=60, check=False)
    rows = [r.split() for r in got.stdout.splitlines()]
    expect_true(got.stdout + got.stderr, any(":".join(r[1:3]) == BOOTSTRAP and r[-1] == "broker" for r in rows))


@check("metadata-quorum")
def metadata_quorum():
    text = run("kafka-metadata-quorum", "describe", "--status")
    leader = re.search(r"(?m)^LeaderId: +(\d+)$", text)
    expect_true(text, leader and re.search(r"(?m)^HighWatermark: +[1-9]\d*$", text))
    voters = json.loads(re.search(r"(?m)^CurrentVoters: +(.*)$", text)[1])
    expect_true(text, int(leader[1]) in [v["id"] for v in voters])
    text = run("kafka-metadata-quorum", "describe", "--replication")
    rows = [line.split() for line in text.splitlines()[1:]]
    expect("leaders", [r[0] for r in rows if r[-1] == "Leader"], [leader[1]])
    expect("lag of the leader", [r[3] for r in rows if r[-1] == "Leader"], ["0"])
    for voter in voters:
        expect_true(f"an address to which nobody can connect: {voter}", not any(e.endswith(":0") for e in voter.get("endpoints", [])))


@check("topic-create")
def topic_create():
    name = make("create", 3, "retention.ms=123456")
    text = run("kafka-topics", "--describe", "--topic", name)
    expect_true(text, "PartitionCount: 3" in text and "ReplicationFactor: 1" in text)
    expect_true(text, "retention.ms=123456" in text)
    expect("partition rows", len(re.findall(r"Partition: \d+\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", text)), 3)
    expect_true("not listed", name in run("kafka-topics", "--list").split())
    text = run("kafka-topics", "--create", "--topic", name, fine=False)
    expect_true(text, "already exists" in text)
    run("kafka-topics", "--create", "--topic", name, "--if-not-exists")
    text = run("kafka-topics", "--describe", "--under-replicated-partitions")
    expect_true(f"under-replicated: {text}", name not in text)


@check("topic-partitions")
def topic_partitions():
    name = make("grow")
    run("kafka-topics", "--alter", "--topic", name, "--partitions", 4)
    until("4 partitions", lambda: "PartitionCount: 4" in run("kafka-topics", "--describe", "--topic", name))
    run("kafka-topics", "--alter", "--topic", name, "--partitions", 2, fine=False)


@check("config-alter")
def config_alter():
    name = make("cfg")
    entity = ("--entity-type", "topics", "--entity-name", name)
    run("kafka-configs", "--alter", *entity, "--add-config", "retention.ms=777000,cleanup.policy=[compact,delete]")
    text = run("kafka-configs", "--describe", *entity)
    expect_true(text, "retention.ms=777000" in text and "cleanup.policy=compact,delete" in text)
    run("kafka-configs", "--alter", *entity, "--delete-config", "retention.ms")
    text = run("kafka-configs", "--describe", *entity)
    expect_true(text, "retention.ms" not in text)
    text = run("kafka-configs", "--describe", *entity, "--all")
    expect_true("--all lists too little", text.count("synonyms=") > 15)
    run("kafka-configs", "--alter", *entity, "--add-config", "retention.ms=soon", fine=False)


@check("config-describe")
def config_describe():
    node = re.search(r"id: (\d+)", run("kafka-broker-api-versions"))[1]
    text = run("kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", node, "--all")
    for key in ("num.partitions", "log.retention.ms", "auto.create.topics.enable", "message.max.bytes"):
        expect_true(f"broker has no {key}", f"{key}=" in text)


@check("console")
def console():
    name = make("console")
    console_produce(name, lines(200))
    expect("read back", console_consume(name, 200, "--from-beginning").encode(), lines(200))


@check("record-shape")
def record_shape():
    name = make("shape")
    console_produce(name, b"h1:1,h2:2|k|v\nh1:3|gone|NULL\n", "--reader-property", "parse.key=true",
                    "--reader-property", "parse.headers=true", "--reader-property", "headers.delimiter=|",
                    "--reader-property", "key.separator=|", "--reader-property", "null.marker=NULL")
    props = [x for p in ("print.key=true", "print.headers=true", "print.offset=true", "print.partition=true",
                         "print.timestamp=true", "null.literal=nil") for x in ("--formatter-property", p)]
    rows = console_consume(name, 2, "--from-beginning", *props).splitlines()
    expect_true(rows[0], re.fullmatch(r"CreateTime:\d+\tPartition:0\tOffset:0\th1:1,h2:2\tk\tv", rows[0]))
    expect_true(rows[1], re.fullmatch(r"CreateTime:\d+\tPartition:0\tOffset:1\th1:3\tgone\tnil", rows[1]))


@check("codecs")
def codecs():
    name = make("codecs")
    for i, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        console_produce(name, lines(50, i * 50), "--compression-codec", codec)
    expect("read back", console_consume(name, 250, "--from-beginning").encode(), lines(250))


@check("offsets-list")
def offsets_list():
    name = make("offsets", 2)
    console_produce(name, lines(40))

    def ends(*args):
        rows = run("kafka-get-offsets", "--topic", name, *args).split()
        return sum(int(r.rsplit(":", 1)[1]) for r in rows)
    expect("latest", ends(), 40)
    expect("earliest", ends("--time", "earliest"), 0)
    later = int(time.time() * 1000) + 3600_000
    expect("in an hour", run("kafka-get-offsets", "--topic", name, "--time", later).strip(), "")
    expect("an hour ago", ends("--time", int(time.time() * 1000) - 3600_000), 0)


@check("seek-offset")
def seek_offset():
    name = make("seek")
    console_produce(name, lines(100))
    got = console_consume(name, 10, "--partition", 0, "--offset", 90)
    expect("from 90", got.encode(), lines(10, 90))


@check("delete-records")
def delete_records():
    name = make("purge")
    console_produce(name, lines(100))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump({"version": 1, "partitions": [{"topic": name, "partition": 0, "offset": 40}]}, f)
        f.flush()
        text = run("kafka-delete-records", "--offset-json-file", f.name)
    expect_true(text, "low_watermark: 40" in text)
    expect("earliest", run("kafka-get-offsets", "--topic", name, "--time", "earliest").strip(), f"{name}:0:40")
    expect("first line", console_consume(name, 60, "--from-beginning").encode(), lines(60, 40))


@check("log-dirs")
def log_dirs():
    name = make("dirs")
    console_produce(name, lines(100))
    text = run("kafka-log-dirs", "--describe", "--topic-list", name)
    got = json.loads(next(row for row in text.splitlines() if row.startswith("{")))
    parts = [p for b in got["brokers"] for d in b["logDirs"] for p in d["partitions"]]
    expect("partitions", [p["partition"] for p in parts], [f"{name}-0"])
    expect_true(f"size {parts[0]['size']}", parts[0]["size"] > 500)
    broker = got["brokers"][0]
    for folder, is_there in ((broker["logDirs"][0]["logDir"], True), ("/no/such", False)):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump({"version": 1, "partitions": [{"topic": name, "partition": 0, "replicas": [broker["broker"]],
                                                     "log_dirs": [folder]}]}, f)
            f.flush()
            text = run("kafka-reassign-partitions", "--reassignment-json-file", f.name, "--execute", fine=is_there)
            expect_true(text, is_there or "LogDirNotFound" in text)
            if is_there:
                text = run("kafka-reassign-partitions", "--reassignment-json-file", f.name, "--verify")
                expect_true(text, "completed successfully" in text)


@check("group-restart")
def group_restart():
    name, group = make("restart"), group_name("restart")
    console_produce(name, lines(100))
    read = ("--group", group, "--from-beginning")
    expect("first run", console_consume(name, 60, *read).encode(), lines(60))
    expect("second run goes on", console_consume(name, 40, *read).encode(), lines(40, 60))


@check("group-admin", 90)
def group_admin():
    name, group = make("gadmin", 2), group_name("gadmin")
    console_produce(name, lines(50))
    console_consume(name, 50, "--group", group, "--from-beginning")
    text = run("kafka-consumer-groups", "--describe", "--group", group)
    rows = [r.split() for r in text.splitlines() if r.startswith(group)]
    expect("rows", len(rows), 2)
    expect("lag", sum(int(r[5]) for r in rows), 0)
    expect_true("not listed", group in run("kafka-consumer-groups", "--list").split())
    expect_true("not listed by kafka-groups", group in run("kafka-groups", "--list"))
    text = run("kafka-consumer-groups", "--describe", "--group", group, "--state")
    expect_true(text, "Empty" in text)
    run("kafka-consumer-groups", "--group", group, "--topic", name, "--reset-offsets", "--to-earliest", "--execute")
    text = run("kafka-consumer-groups", "--describe", "--group", group)
    rows = [r.split() for r in text.splitlines() if r.startswith(group)]
    expect("lag after the reset", sum(int(r[5]) for r in rows), 50)
    text = run("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", name)
    expect_true(text, "Successful" in text)
    # A group without members and offsets may already be gone by itself, which the tool reports as a failure.
    text = run("kafka-consumer-groups", "--delete", "--group", group, fine=None)
    expect_true(text, "successful" in text or "GroupIdNotFound" in text)


@check("verifiable", 120)
def verifiable():
    name, group = make("verifiable", 4), group_name("verifiable")
    args = ("kafka-verifiable-consumer", "--topic", name, "--group-id", group, "--reset-policy", "earliest")
    with tempfile.TemporaryDirectory() as folder:
        members = [Background(folder, "a", *args)]
        try:
            until("one member owns all", lambda: members[0].owned() == 4, 40)
            members.append(Background(folder, "b", *args))
            until("both own two", lambda: [m.owned() for m in members] == [2, 2], 40)
            out = run("kafka-verifiable-producer", "--topic", name, "--max-messages", 2000, "--acks", -1, "--repeating-keys",
                      100)     # keys, so that every partition and member has some
            sent = [json.loads(r) for r in out.splitlines() if '"producer_send_success"' in r]
            expect("acknowledged", len(sent), 2000)
            until("all consumed", lambda: sum(m.consumed() for m in members) == 2000, 40)
            expect("offsets", sorted(o for m in members for o in m.offsets()), sorted((r["partition"], r["offset"]) for r in sent))
            expect("values", sorted(int(r["value"]) for r in sent), list(range(2000)))
            members[1].stop()
            until("the first owns all again", lambda: members[0].owned() == 4, 40)
            # One during the rebalance may fail; the one after the last records may not.
            until("the last commit succeeded", lambda: members[0].events("offsets_committed")[-1]["success"])
        finally:
            for m in members:
                m.stop()


# ---- groups of the new protocol (KIP-848) ----

def group_records(group):
    """What Kafka's own coordinator reads of the group from __consumer_offsets: [(type, key, value or None)]."""
    value = sum(ord(c) * pow(31, len(group) - 1 - i, 1 << 32) for i, c in enumerate(group)) & 0xFFFFFFFF
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "java", "kafka-tools", "GroupRecords.java")
    got = subprocess.run([*JAVA, source, "--bootstrap-server", BOOTSTRAP,
                          str(abs(value - (1 << 32) if value >> 31 else value) % 50)], capture_output=True, timeout=60, check=False)
    expect_true(f"not read: {got.stderr.decode()[-500:]}", got.returncode == 0)
    rows = objects(got.stdout.decode())
    expect("bytes that were not read", {r["left"] for r in rows}, {0})
    return [(r["type"], r["key"], r.get("value")) for r in rows if r["key"].get("groupId", r["key"].get("group")) == group]


def tell_consumer_group(group, name, members):
    """kafka-consumer-groups of a Stable group with @members members that share four partitions."""
    row, = table(run("kafka-consumer-groups", "--describe", "--group", group, "--state"))
    expect("state", (row["STATE"], row["#MEMBERS"], row["ASSIGNMENT-STRATEGY"]), ("Stable", str(members), "uniform"))
    row, = table(run("kafka-consumer-groups", "--describe", "--group", group, "--state", "--verbose"))
    expect("epochs", row["GROUP-EPOCH"], row["TARGET-ASSIGNMENT-EPOCH"])
    rows = table(run("kafka-consumer-groups", "--describe", "--group", group, "--members"))
    expect("members", sorted(int(r["#PARTITIONS"]) for r in rows), [4 // members] * members)
    rows = table(run("kafka-consumer-groups", "--describe", "--group", group, "--members", "--verbose"))
    expect("epochs of members", {r["CURRENT-EPOCH"] for r in rows}, {row["GROUP-EPOCH"]})
    for r in rows:
        expect("assigned as it shall be", r["CURRENT-ASSIGNMENT"], r["TARGET-ASSIGNMENT"])
        expect_true(r, r["CURRENT-ASSIGNMENT"].startswith(f"{name}:"))
    rows = table(run("kafka-consumer-groups", "--describe", "--group", group, "--offsets"))
    expect("partitions with a member", sorted(r["PARTITION"] for r in rows if r["CONSUMER-ID"] != "-"), list("0123"))
    text = run("kafka-consumer-groups", "--list", "--type", "consumer")
    expect_true(f"not listed: {text}", group in text)
    expect_true("listed as classic", group not in run("kafka-consumer-groups", "--list", "--type", "classic"))
    expect_true("not listed by kafka-groups", re.search(rf"^{re.escape(group)}\s+Consumer\b", run("kafka-groups", "--list"), re.M))


@check("consumer-group", 200)
def consumer_group():
    """Two verifiable consumers of the new protocol, one of them killed; what the tools tell, and what Kafka reads of our records."""
    name, group = make("consumer-group", 4), group_name("consumer-group")
    args = ("kafka-verifiable-consumer", "--topic", name, "--group-id", group, "--reset-policy", "earliest", "--group-protocol",
            "CONSUMER")
    with tempfile.TemporaryDirectory() as folder:
        members = [Background(folder, "a", *args)]
        try:
            until("one member owns all", lambda: members[0].owned() == 4, 40)
            members.append(Background(folder, "b", *args))
            until("the second owns two", lambda: members[1].owned() == 2, 40)
            run("kafka-verifiable-producer", "--topic", name, "--max-messages", 2000, "--acks", -1)
            until("all consumed", lambda: sum(m.consumed() for m in members) == 2000, 40)
            expect("the first gave up two, not all", [len(e["partitions"]) for e in members[0].events("partitions_revoked")], [2])
            tell_consumer_group(group, name, 2)
            kinds = {t for t, _, _ in group_records(group)}
            expect_true(f"records of members, targets, assignments and offsets: {kinds}", kinds >= {1, 3, 5, 6, 7, 8})
            members[1].p.kill()
            until("the first has all", lambda: sum(len(e["partitions"]) for e in members[0].events("partitions_assigned")) == 6, 90)
            tell_consumer_group(group, name, 1)
        finally:
            for m in members:
                m.stop()
    text = run("kafka-consumer-groups", "--describe", "--group", group, "--state")
    expect("all have left", table(text)[0]["STATE"], "Empty")
    last = {(t, json.dumps(k, sort_keys=True)): v for t, k, v in group_records(group)}
    expect("members, targets and assignments are buried", {t for (t, _), v in last.items() if t in (5, 7, 8) and v}, set())
    expect_true(f"the group is there: {last}", [v for (t, _), v in last.items() if t == 3 and v])


@check("perf-test", 120)
def perf_test():
    name = make("perf", 2, f"max.message.bytes={2 * MIB}")
    text = run("kafka-producer-perf-test", "--topic", name, "--num-records", 50000, "--record-size", 200,
               "--throughput", -1, "--command-property", "compression.type=lz4")
    expect_true(text, "50000 records sent" in text)
    text = run("kafka-consumer-perf-test", "--topic", name, "--num-records", 50000, "--timeout", 20000)
    expect("records consumed", text.splitlines()[-1].split(", ")[4], "50000")


@check("quotas")
def quotas():
    entity = ("--entity-type", "users", "--entity-name", "app", "--entity-type", "clients", "--entity-default")
    run("kafka-configs", "--alter", *entity, "--add-config", "producer_byte_rate=123456,request_percentage=200")
    text = run("kafka-configs", "--describe", *entity)
    expect_true(text, "producer_byte_rate=123456.0" in text and "request_percentage=200.0" in text)
    run("kafka-configs", "--alter", *entity, "--delete-config", "producer_byte_rate,request_percentage")
    text = run("kafka-configs", "--describe", "--entity-type", "users", "--entity-type", "clients")
    expect_true(text, "byte_rate" not in text)
    run("kafka-configs", "--alter", "--entity-type", "clients", "--entity-name", "app", "--add-config",
        "producer_byte_rate=-1", fine=False)
    address = ("--entity-type", "ips", "--entity-name", "192.0.2.1")
    run("kafka-configs", "--alter", *address, "--add-config", "connection_creation_rate=50")
    text = run("kafka-configs", "--describe", "--entity-type", "ips")
    expect_true(text, "192.0.2.1" in text and "connection_creation_rate=50.0" in text)
    run("kafka-configs", "--alter", *address, "--delete-config", "connection_creation_rate")
    expect_true("still there", "192.0.2.1" not in run("kafka-configs", "--describe", "--entity-type", "ips"))


def acls(*about):
    """What the tool lists: {(resource type, name, pattern): {(principal, host, operation, permission)}}."""
    out, at = {}, None
    for line in run("kafka-acls", "--list", *about).splitlines():
        if m := re.search(r"resourceType=(\w+), name=(.*), patternType=(\w+)", line):
            at = out.setdefault(m.groups(), set())
        elif m := re.search(r"principal=(.*), host=(.*), operation=(\w+), permissionType=(\w+)", line):
            at.add(m.groups())
    return out


@check("acls", 120)
def access():
    text = run("kafka-acls", "--list", fine=None)
    if "SecurityDisabled" in text or "security features are disabled" in text.lower() or "No Authorizer" in text:
        return                      # a broker without an authorizer: it has no rules, and says so
    topic, group, txn = topic_name("acls"), group_name("acls"), group_name("txn")
    alice, bob = f"User:{topic}-alice", f"User:CN={topic}-bob,O=x"
    run("kafka-acls", "--add", "--allow-principal", alice, "--producer", "--topic", topic, "--transactional-id", txn, "--idempotent")
    run("kafka-acls", "--add", "--allow-principal", bob, "--allow-host", "192.0.2.1", "--consumer", "--topic", topic,
        "--resource-pattern-type", "prefixed", "--group", group)
    run("kafka-acls", "--add", "--deny-principal", alice, "--operation", "Delete", "--topic", topic)
    mine = {(alice, "*", o, "ALLOW") for o in ("WRITE", "DESCRIBE", "CREATE")} | {(alice, "*", "DELETE", "DENY")}
    others = {(bob, "192.0.2.1", o, "ALLOW") for o in ("READ", "DESCRIBE")}
    until("the topic's rules are told", lambda: acls("--topic", topic, "--resource-pattern-type", "any") == {
        ("TOPIC", topic, "LITERAL"): mine, ("TOPIC", topic, "PREFIXED"): others})
    expect("what counts for a longer name", acls("--topic", topic + "-x", "--resource-pattern-type", "match"),
           {("TOPIC", topic, "PREFIXED"): others})
    expect("by principal", set(acls("--principal", alice)), {("TOPIC", topic, "LITERAL"), ("TRANSACTIONAL_ID", txn, "LITERAL"),
                                                           ("CLUSTER", "kafka-cluster", "LITERAL")})
    run("kafka-acls", "--remove", "--deny-principal", alice, "--operation", "Delete", "--topic", topic, "--force")
    until("one is removed", lambda: acls("--topic", topic) == {("TOPIC", topic, "LITERAL"): mine - {(alice, "*", "DELETE", "DENY")}})
    run("kafka-acls", "--remove", "--topic", topic, "--resource-pattern-type", "any", "--force")
    run("kafka-acls", "--remove", "--transactional-id", txn, "--group", group, "--resource-pattern-type", "any", "--force")
    run("kafka-acls", "--remove", "--allow-principal", alice, "--operation", "IdempotentWrite", "--cluster", "--force")
    until("all are removed", lambda: not acls("--principal", alice) and not acls("--principal", bob))
    text = run("kafka-acls", "--add", "--allow-principal", "nobody", "--operation", "Read", "--topic", topic, fine=None)
    expect_true(f"nobody is no principal: {text}", not acls("--topic", topic))


@check("client-metrics")
def client_metrics():
    name = group_name("subscription")
    run("kafka-client-metrics", "--alter", "--name", name, "--interval", 2000, "--metrics", "org.apache.kafka.",
        "--match", "client_id=some.*")
    expect_true("not listed", name in run("kafka-client-metrics", "--list").split())
    for text in (run("kafka-client-metrics", "--describe", "--name", name),
                 run("kafka-configs", "--describe", "--entity-type", "client-metrics")):
        expect_true(text, name in text and "interval.ms=2000" in text and "match=client_id=some.*" in text)
    run("kafka-client-metrics", "--alter", "--name", name, "--interval", 5, fine=False)
    run("kafka-client-metrics", "--delete", "--name", name)
    until("gone", lambda: name not in run("kafka-client-metrics", "--list").split())


@check("group-configs")
def group_configs():
    group = ("--entity-type", "groups", "--entity-name", group_name("configured"))
    run("kafka-configs", "--alter", *group, "--add-config", "consumer.session.timeout.ms=50000,share.auto.offset.reset=earliest")
    text = run("kafka-configs", "--describe", *group)
    expect_true(text, "consumer.session.timeout.ms=50000" in text and "share.auto.offset.reset=earliest" in text)
    expect_true(text, "consumer.heartbeat.interval.ms" not in text)
    text = run("kafka-configs", "--describe", "--all", *group)
    expect_true(text, "consumer.heartbeat.interval.ms=5000" in text and
                "DEFAULT_CONFIG:group.consumer.heartbeat.interval.ms=5000" in text)
    expect_true("not listed", group[3] in run("kafka-configs", "--describe", "--entity-type", "groups"))
    text = run("kafka-configs", "--alter", *group, "--add-config", "consumer.session.timeout.ms=70000", fine=False)
    expect_true(text, "60000" in text)
    run("kafka-configs", "--alter", *group, "--delete-config", "consumer.session.timeout.ms,share.auto.offset.reset")
    until("gone", lambda: "=" not in run("kafka-configs", "--describe", *group).replace("configs", ""))
    expect_true("still there", group[3] not in run("kafka-configs", "--describe", "--entity-type", "groups"))


@check("features")
def features():
    text = run("kafka-features", "describe")
    for name, level in (("transaction.version", 2), ("group.version", 1), ("share.version", 1), ("chronik.version", 2)):
        row = re.search(rf"Feature: {re.escape(name)}\b.*FinalizedVersionLevel: (\S+)", text)
        expect_true(f"{name} is not told: {text}", row)
        expect(name, row[1], str(level))
    expect_true("not again", "was upgraded to 2" in run("kafka-features", "upgrade", "--feature", "transaction.version=2"))
    text = run("kafka-features", "downgrade", "--feature", "transaction.version=1", "--dry-run")
    expect_true(text, "can be downgraded to 1" in text)
    for wrong in ("transaction.version=99", "no.such.feature=1"):
        text = run("kafka-features", "upgrade", "--feature", wrong, fine=False)
        expect_true(text, "Could not upgrade" in text)
    row = re.search(r"Feature: transaction.version\b.*FinalizedVersionLevel: (\S+)", run("kafka-features", "describe"))
    expect("it is as before", row[1], "2")


def objects(text):
    """The JSON objects that @text holds, one behind the other."""
    out, at, decoder = [], text.find("{"), json.JSONDecoder()
    while 0 <= at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
            out.append(value)
        except ValueError:
            at += 1
        at = text.find("{", at)
    return out


@check("txn-admin", 120)
def txn_admin():
    """A perf test in transactions leaves what the tools for transactions tell, and what Kafka's own formatter reads."""
    name, tid = make("txn"), group_name("perf")
    text = run("kafka-producer-perf-test", "--topic", name, "--num-records", 5000, "--record-size", 100, "--throughput", 20000,
               "--transactional-id", tid, "--transaction-duration-ms", 50)
    expect_true(text, re.search(r"5000 records sent", text))
    text = run("kafka-transactions", "list")
    row = re.search(rf"^{re.escape(tid)}\s+(\d+)\s+(\d+)\s+(\S+)", text, re.M)
    expect_true(f"not listed: {text}", row)
    until("it is complete", lambda: "CompleteCommit" in run("kafka-transactions", "describe", "--transactional-id", tid))
    text = run("kafka-transactions", "describe-producers", "--topic", name, "--partition", 0)
    expect_true(f"the producer is not told: {text}", re.search(rf"^{row[2]}\s", text, re.M))
    run("kafka-transactions", "find-hanging", "--topic", name, "--partition", 0)
    partition = sum(ord(c) * pow(31, len(tid) - 1 - i, 1 << 32) for i, c in enumerate(tid)) & 0xFFFFFFFF
    partition = abs(partition - (1 << 32) if partition >> 31 else partition) % 50
    text = run("kafka-console-consumer", "--topic", "__transaction_state", "--partition", partition, "--from-beginning",
               "--timeout-ms", 4000, "--formatter", "org.apache.kafka.tools.consumer.TransactionLogMessageFormatter", fine=None)
    expect_true(f"no state of {tid} in partition {partition}: {text[-500:]}", f'"transactionalId":"{tid}"' in text)
    states = [r["value"]["data"] for r in objects(text) if r["key"]["data"]["transactionalId"] == tid]
    expect("producer id", {str(s["producerId"]) for s in states}, {row[2]})
    expect_true(f"states {[s['transactionStatus'] for s in states]}", {0, 1, 2, 4} >= {s["transactionStatus"] for s in states})
    expect("partitions", [p for s in states for p in s["transactionPartitions"] or []][0], {"topic": name, "partitionIds": [0]})


@check("txn-copier", 180)
def txn_copier():
    """Kafka's own copier of system tests: a partition each, transactions aborted at random, one of the two killed and started again."""
    source, target, group = make("copier-in", 2), make("copier-out", 2), group_name("copier")
    for p in range(2):
        run("kafka-verifiable-producer", "--topic", source, "--max-messages", 1500, "--value-prefix", p, "--repeating-keys", 100)

    def copier(folder, name, p):
        return Background(folder, name, "kafka-transactional-copier", "--input-topic", source, "--input-partition", p, "--output-topic",
                          target, "--consumer-group", f"{group}-{p}", "--transactional-id", f"{group}-{p}", "--transaction-size", 25,
                          "--enable-random-aborts", "--use-group-metadata")
    values = console_consume(source, 3000, "--from-beginning").split()
    with tempfile.TemporaryDirectory() as folder:
        both = [copier(folder, f"copier-{p}", p) for p in range(2)]
        try:
            until("the first copies", lambda: '"ProcessLoop"' in both[0].text(), 40)
            both[0].kill()
            both.append(copier(folder, "copier-again", 0))
            until("both are done", lambda: all('"ShutdownComplete"' in c.text() for c in both[1:]), 90)
            expect_true("the first one was done before it was killed", '"ShutdownComplete"' not in both[0].text())
        finally:
            for c in both:
                c.stop()
    copies = console_consume(target, 4000, "--from-beginning", "--isolation-level", "read_committed", timeout_ms=5000).split()
    expect("copies", sorted(copies), sorted(values))
    everything = console_consume(target, 100000, "--from-beginning", timeout_ms=5000).split()
    expect_true("nothing was aborted", len(everything) > len(copies))


@check("txn-hanging", 120)
def txn_hanging():
    """A transaction that nobody ends is told with its partition and its first offset, and is aborted by that offset."""
    name, tid = make("hanging"), group_name("hanging")
    with tempfile.TemporaryDirectory() as folder:
        perf = Background(folder, "perf", "kafka-producer-perf-test", "--topic", name, "--num-records", 100000, "--record-size", 10,
                          "--throughput", 50, "--transactional-id", tid, "--transaction-duration-ms", 600000, "--command-property",
                          "transaction.timeout.ms=700000")
        try:
            until("records of an open transaction", lambda: run("kafka-get-offsets", "--topic", name).strip() != f"{name}:0:0")
        finally:
            perf.kill()
    text = run("kafka-transactions", "describe", "--transactional-id", tid)
    expect_true(text, "Ongoing" in text and f"{name}-0" in text)
    text = run("kafka-transactions", "describe-producers", "--topic", name, "--partition", 0)
    row = text.splitlines()[-1].split()
    expect("where it begins", row[-1], "0")
    run("kafka-transactions", "abort", "--topic", name, "--partition", 0, "--start-offset", 0)
    text = run("kafka-transactions", "describe-producers", "--topic", name, "--partition", 0)
    expect("where it begins now", text.splitlines()[-1].split()[-1], "None")
    expect("committed", console_consume(name, 1, "--from-beginning", "--isolation-level", "read_committed", timeout_ms=3000), "")


@check("reassign", 90)
def reassign():
    name = make("move", 2)
    node = int(re.search(r"id: (\d+)", run("kafka-broker-api-versions"))[1])
    with tempfile.TemporaryDirectory() as folder:
        def file(label, value):
            path = os.path.join(folder, label)
            with open(path, "w", encoding="utf-8") as f:
                json.dump({"version": 1, **value}, f)
            return path
        topics = file("topics", {"topics": [{"topic": name}]})
        text = run("kafka-reassign-partitions", "--generate", "--topics-to-move-json-file", topics, "--broker-list", node)
        now, proposed = (o["partitions"] for o in objects(text))
        expect("now", [(p["partition"], p["replicas"]) for p in now], [(0, [node]), (1, [node])])
        expect("proposed", [(p["partition"], p["replicas"]) for p in proposed], [(0, [node]), (1, [node])])
        plan = file("plan", {"partitions": [{k: p[k] for k in ("topic", "partition", "replicas")} for p in proposed]})
        text = run("kafka-reassign-partitions", "--execute", "--reassignment-json-file", plan)
        expect_true(text, f"Successfully started partition reassignments for {name}-0,{name}-1" in text)
        text = run("kafka-reassign-partitions", "--verify", "--reassignment-json-file", plan)
        expect("completed", re.findall(rf"partition ({name}-\d) is completed", text), [f"{name}-0", f"{name}-1"])
        expect_true("none is left", name not in run("kafka-reassign-partitions", "--list"))
        nobody = file("nobody", {"partitions": [{"topic": name, "partition": 0, "replicas": [node + 77]}]})
        text = run("kafka-reassign-partitions", "--execute", "--reassignment-json-file", nobody, fine=False)
        expect_true(text, str(node + 77) in text)


@check("leader-election")
def leader_election():
    name = make("elect")
    text = run("kafka-leader-election", "--election-type", "preferred", "--topic", name, "--partition", 0)
    expect_true(text, f"Valid replica already elected for partitions {name}-0" in text)
    text = run("kafka-leader-election", "--election-type", "unclean", "--topic", name, "--partition", 0)
    expect_true(text, f"Valid replica already elected for partitions {name}-0" in text)
    text = run("kafka-leader-election", "--election-type", "preferred", "--topic", name, "--partition", 5, fine=False)
    expect_true(text, "UnknownTopicOrPartition" in text or "does not exist" in text or "not exist" in text)


@check("replica-verification")
def replica_verification():
    name = make("verify", 2)
    console_produce(name, lines(100))
    with tempfile.TemporaryDirectory() as folder:
        tool = Background(folder, "verify", "kafka-replica-verification", "--topics-include", name, "--report-interval-ms", 500)
        try:
            until("a report", lambda: re.search(rf"max lag is 0 for partition {name}-\d at offset \d+ among 2 partitions", tool.text()))
        finally:
            tool.kill()


@check("e2e-latency")
def e2e_latency():
    name = make("latency")
    text = run("kafka-e2e-latency", "--topic", name, "--num-records", 300, "--producer-acks", "all", "--record-size", 100)
    expect_true(text, re.search(r"Avg latency: [\d.]+ ms", text))
    expect("records", run("kafka-get-offsets", "--topic", name).strip(), f"{name}:0:300")


@check("group-reset", 120)
def group_reset():
    """Every way to reset offsets, by what the tool would do."""
    name, group = make("reset"), group_name("reset")
    console_produce(name, lines(100))
    console_consume(name, 60, "--group", group, "--from-beginning")

    def reset(*how, do="--dry-run"):
        text = run("kafka-consumer-groups", "--group", group, "--topic", f"{name}:0", "--reset-offsets", *how, do)
        return [r.split()[3] for r in text.splitlines() if r.startswith(group)]
    for how, want in ((("--to-earliest",), 0), (("--to-latest",), 100), (("--to-current",), 60), (("--to-offset", 33), 33),
                      (("--to-offset", 500), 100), (("--shift-by", -10), 50), (("--shift-by", 30), 90), (("--by-duration", "PT1H"), 0),
                      (("--to-datetime", "2020-01-01T00:00:00.000"), 0)):
        expect(" ".join(map(str, how)), reset(*how), [str(want)])
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        f.write(f"{name},0,21\n")
        f.flush()
        expect("--from-file", reset("--from-file", f.name, do="--execute"), ["21"])
    expect("the next read", console_consume(name, 5, "--group", group).encode(), lines(5, 21))


@check("streams-reset", 90)
def streams_reset():
    """The reset of a Streams application: its input from the start, its internal topics gone."""
    app = group_name("app")
    name, internal = make("streams"), topic_name(f"group-app-store-changelog")
    run("kafka-topics", "--create", "--topic", internal, "--partitions", 1, "--replication-factor", 1)
    console_produce(name, lines(50))
    console_consume(name, 50, "--group", app, "--from-beginning")
    text = run("kafka-streams-application-reset", "--application-id", app, "--input-topics", name, "--force")
    expect_true(text, f"Topic: {name} Partition: 0 Offset: 0" in text and f"[{internal}]" in text)
    until("the internal topic is gone", lambda: internal not in run("kafka-topics", "--list").split())
    expect("the next read", console_consume(name, 50, "--group", app).encode(), lines(50))


@check("compatibility", 120)
def compatibility():
    """Kafka's own test of what a broker and its client have in common."""
    has_acls = "DescribeAcls(29): UNSUPPORTED" not in run("kafka-broker-api-versions")
    facts = {"offsets-for-times-supported": True, "cluster-id-supported": True, "expect-record-too-large-exception": False,
             "num-cluster-nodes": 1, "create-topics-supported": True, "describe-acls-supported": has_acls,
             "describe-configs-supported": True, "idempotent-producer-supported": True}
    name = make("compatibility")

    def outcome(facts, fine):
        # The tool makes a topic of this name, and fails when it is there.
        run("kafka-topics", "--delete", "--topic", "newtopic", "--if-exists")
        until("newtopic is gone", lambda: "newtopic" not in run("kafka-topics", "--list").split())
        return run("kafka-client-compatibility", "--topic", name, *(x for k, v in facts.items() for x in (f"--{k}", v)), fine=fine)
    expect("all is as it should be", outcome(facts, True).strip(), "SUCCESS.")
    text = outcome({**facts, "describe-acls-supported": not has_acls}, False)
    expect_true(f"a wrong fact is noticed: {text[-200:]}", "FAILED" in text)
    run("kafka-topics", "--delete", "--topic", "newtopic", "--if-exists")


@check("topic-delete")
def topic_delete():
    run("kafka-topics", "--delete", "--topic", f"{RUN}-.*")
    until("topics gone", lambda: not [t for t in run("kafka-topics", "--list").split() if t.startswith(RUN)])
    expect_true("no topic was made", topics_made())
    text = run("kafka-topics", "--delete", "--topic", f"{RUN}-never", fine=False)
    expect_true(text, "does not exist" in text)


def version():
    jars = next((a for a in JAVA if a.endswith("lib/*")), "").removesuffix("*")
    names = os.listdir(jars) if jars else []
    found = next((m[1] for n in names if (m := re.fullmatch(r"kafka-tools-([\d.]+)\.jar", n))), "unknown")
    return f"Apache Kafka's tools {found}"


if __name__ == "__main__":
    main(version())
