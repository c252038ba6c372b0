"""What a run found: the table on the terminal and docs/CLIENTS.md, both made from the same results."""
import dataclasses


@dataclasses.dataclass
class Result:
    """One client's outcome. @checks maps the name of a check to (outcome, why)."""
    client: object
    title: str = ""
    checks: dict = dataclasses.field(default_factory=dict)
    trouble: str = ""       # why the program as a whole failed
    missing: str = ""       # why the client could not be run on this machine
    seconds: float = 0.0

    def count(self, outcome):
        return sum(1 for got, _ in self.checks.values() if got == outcome)

    @property
    def passed(self):
        return self.count("ok")

    @property
    def failed(self):
        return self.count("not ok") + bool(self.trouble)

    @property
    def skipped(self):
        return self.count("skip") + bool(self.missing)


def parse(result, text):
    """Read a client program's output into @result."""
    for line in text.splitlines():
        if line.startswith("# ") and not result.title:
            result.title = line[2:].strip()
        for outcome in ("not ok", "ok", "skip"):
            if line.startswith(outcome + " "):
                name, _, why = line[len(outcome) + 1:].partition(":")
                result.checks[name.strip()] = (outcome, why.strip())
                break


def table(results):
    rows = [("client", "version", "passed", "failed", "skipped", "time")]
    for r in results:
        version = r.title or (f"not run: {r.missing[:60]}" if r.missing else "")
        rows.append((r.client.name, version, str(r.passed), str(r.failed), str(r.skipped), f"{r.seconds:.0f} s"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    out = []
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def failures(results):
    out = []
    for r in results:
        if r.trouble:
            out.append(f"{r.client.name}: {r.trouble}")
        out += [f"{r.client.name}: not ok {name}: {why}" for name, (got, why) in r.checks.items() if got == "not ok"]
        if r.missing:
            out.append(f"{r.client.name}: skipped: {r.missing}")
    return out


# What a name stands for, in every client that has it.
MEANING = {
    "metadata-quorum": "the leader of the metadata, its voters, and no lag",
    "cluster": "metadata: cluster id, controller, the broker at the address that was dialled",
    "broker-api-versions": "every API that the tools need is offered in a usable version",
    "topic-create": "create with settings, validate only, and the errors for a bad name, a second one, 30 replicas",
    "topic-describe": "partitions, replicas, leader, topic id; the error for an unknown topic",
    "topic-partitions": "more partitions, which are usable; fewer are refused",
    "topic-delete": "delete every topic of the run; the error for an unknown one; a topic made again is empty",
    "config-describe": "settings of a topic and of a broker, with their sources",
    "config-alter": "set, append, subtract, delete, and replace the whole set, as far as the client can",
    "config-invalid": "values that make no sense are refused and change nothing",
    "produce-*": "300 records in this codec, read back byte for byte with consecutive offsets",
    "acks-*": "records sent with this many acknowledgements arrive in order",
    "idempotent": "many small batches of an idempotent producer: none lost, doubled or out of order",
    "record-shape": "keys, headers (repeated, empty, null), null and empty values, timestamps",
    "log-append-time": "message.timestamp.type=LogAppendTime: the broker's time and type reach the consumer",
    "topic-codec": "compression.type of the topic: batches are recompressed and read back the same",
    "sizes": "records of 1 byte to 1 MB that no codec makes smaller",
    "size-10mb": "records of 10 MiB where max.message.bytes allows it, with a fetch limit below their size",
    "too-large": "a record above max.message.bytes is refused with the right error",
    "batch-split": "a batch above max.message.bytes is split by the client and arrives whole",
    "compact-null-key": "a compacted topic refuses a record without key",
    "auto-create": "producing to a topic that does not exist makes it",
    "assign": "consume partitions by assignment, from the start and from an offset",
    "seek-offset": "seek forwards and backwards, to both ends",
    "seek-time": "the offset for a time, exact inside batches; after the last record",
    "offsets-list": "first, last and newest offset of a partition",
    "offset-reset": "a position out of range: back to the start, or the error if no reset is wanted",
    "read-committed": "isolation level read_committed",
    "txn-commit-abort": "transactions that commit and abort in turn: readers of committed records see exactly the former",
    "txn-offsets": "offsets in a transaction: nothing of one that is aborted, all of one that commits",
    "txn-fence": "a second producer of the same transactional id shuts out the first, whose open transaction is aborted",
    "txn-timeout": "a transaction whose producer has gone is aborted when its time is up",
    "txn-admin": "transactions and their producers listed and described, one aborted by an operator",
    "txn-hanging": "an open transaction of a producer that has gone is told with its first offset, and aborted by it",
    "txn-copier": "Kafka's transactional copier, twice, with random aborts and a SIGKILL: the copy is the source",
    "quotas": "client quotas set, told, removed, and nonsense refused",
    "features": "features and their levels",
    "delete-records": "the log's start moves; reading goes on behind it",
    "log-dirs": "size of a partition on disk",
    "leader-epochs": "end offset of a leader epoch",
    "group-rebalance": "a second member joins and leaves while records flow; all partitions owned, none twice",
    "group-cooperative": "the same with the cooperative protocol",
    "group-static": "a static member comes back to its partitions without a rebalance",
    "group-restart": "a group goes on at its committed offset",
    "commit-metadata": "text beside a committed offset",
    "group-list": "list groups with state and members",
    "group-admin": "describe, list, alter and delete offsets, delete; the error while members are there",
    "internal-offsets": "__consumer_offsets is a compacted topic that clients can read",
    "console": "console producer into console consumer",
    "codecs": "the console producer with every codec",
    "verifiable": "verifiable producer and two verifiable consumers, one of which leaves: each offset is consumed once",
    "reassign": "partitions moved: a plan made, carried out, verified; one to a node that does not exist refused",
    "leader-election": "elections that are not needed, and one of a partition that is not there",
    "replica-verification": "Kafka's comparison of replicas finds no lag",
    "e2e-latency": "Kafka's measurement from producer to consumer",
    "group-reset": "committed offsets reset in each way that the tool has",
    "streams-reset": "the reset of a Streams application: offsets and internal topics",
    "compatibility": "Kafka's own test of clients against brokers, which also notices a fact that is wrong",
    "perf-test": "Kafka's own performance tools run to their end",
    "copy-planted": "the proof of copy-killed finds a record that is missing and one that is there twice",
    "copy-killed": "consume, transform, produce in transactions, by two copiers of one group that are killed again and again, and the "
                   "broker too: each record is copied once, in order",
    "streams-killed": "counts and sums with exactly_once_v2 through a repartition topic, two instances and the broker killed again and "
                      "again, the state deleted: totals, store and the store made anew from its changelog are exact",
    "connect-standalone": "a file becomes records and another file, exactly, over restarts of the worker and of the broker",
    "connect-exactly-once": "a distributed worker's source in transactions, the worker and the broker killed: each line is a record once",
}

DOC_HEAD = """# Clients that were tested

Written by `tests/client/run --write-doc` from the results of a run of all clients against chronikd; do not edit.
Each program under `tests/client` is an unmodified client that does what its users do; a check passes only if what was
read back is what was sent. The same programs pass against Apache Kafka 4.3.1, which is how we know that they are right.

"""

DOC_CHECKS = """
## Check by check

`+` passed, `-` failed, `.` not offered by this client or release, blank: not part of this client's program.

"""


def document(results, broker_version):
    out = [DOC_HEAD, f"Broker: {broker_version}\n\n",
           "| client | version that was tested | passed | failed | not offered |\n|---|---|---:|---:|---:|\n"]
    for r in results:
        out.append(f"| {r.client.what} | {r.title or 'not run: ' + r.missing} | {r.passed} | {r.failed} | "
                   f"{r.count('skip')} |\n")
    names = []
    for r in results:
        names += [n for n in r.checks if n not in names]
    out += [DOC_CHECKS, "| check |" + "".join(f" {r.client.name} |" for r in results) + "\n|---|" +
            ":-:|" * len(results) + "\n"]
    sign = {"ok": "+", "not ok": "-", "skip": "."}
    for name in names:
        out.append(f"| {name} |" + "".join(f" {sign.get(r.checks.get(name, ('',))[0], '')} |" for r in results) + "\n")
    out.append("\n## What the checks are\n\n")
    out += [f"- **{name}**: {what}\n" for name, what in MEANING.items()]
    skips = [(r.client.name, name, why) for r in results for name, (got, why) in r.checks.items() if got == "skip"]
    if skips:
        out.append("\n## Not offered\n\n")
        out += [f"- {client}, {name}: {why}\n" for client, name, why in skips]
    return "".join(out)
