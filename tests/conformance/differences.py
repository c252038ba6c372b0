"""Where chronikd answers otherwise than Kafka, and why that is right. docs/CONFORMANCE.md prints this table.

A row holds for an API, the path of a field without numbers (regular expression), and where they are given for a label of the
step, versions, and the two values; ANY is any. A row that no answer needs any more is a failure.
"""

import re
from collections import namedtuple

from compare import bare

ANY = object()
Row = namedtuple("Row", "api path why kafka chronik label versions", defaults=(ANY, ANY, None, None))

NO_WORDS, NO_ANSWER = None, "no answer"
TEXT = "a text"

ROWS = [
    # ---- everywhere ----
    Row(".*", r".*error_message", "A refusal says in words what is wrong, also where Kafka leaves it at the code.", NO_WORDS, TEXT),
    Row(".*", ".*", "An element without partitions is told back, or left out, as is simpler; nothing is said of it either way.",
        label="(.*: )?no partitions"),
    Row("ListOffsets|Produce|Fetch|DeleteGroups", ".*", "Each thing that a request asks is done and answered, also when it asks "
        "two of the same; Kafka does one of them and says nothing of the other.", label=r"(partition |topic )?twice"),
    Row("AlterConfigs|AddPartitionsToTxn|Produce", "", "Kafka's handler fails and its client waits in vain; here the fault is told.",
        NO_ANSWER),
    Row("Fetch", ".*aborted_transactions", "Nothing is told of transactions to readers of uncommitted records, with an error as "
        "without (null instead of an empty list).", [], None),
    Row("Fetch|ListOffsets", ".*", "Every isolation level but 0 reads committed records; Kafka fails with an unknown server error.",
        label="isolation 9"),

    # ---- records ----
    Row("Fetch", ".*", "Sizes below 0 are as 0: one batch is given. Kafka fails with an unknown server error.",
        label="negative (size|answer)"),
    Row("Produce", r".*(error_code|base_offset|log_start_offset)", "Checked before it is stored: bytes behind the batch, offset "
        "deltas that are not 0, 1, 2..., a type of timestamp or a delete horizon that only a broker may set.",
        label="a byte more|deltas|log append time|delete horizon"),
    Row("Fetch", r"high_watermark|last_stable_offset|records.*", "Those batches were not stored.", label="what is stored of (a byte more|deltas|log append time|delete horizon)"),
    Row("Produce", r".*error_code", "What a codec cannot read is told as such, not as an unknown server error; whether a body can "
        "be read is asked before whether the version may use the codec.",
        label="codec .*|.* that is none|deltas in gzip|body of noise"),
    Row("Produce", r".*log_start_offset", "With an error no start of the log is told.", 0, -1),
    Row("Produce", r".*", "Acknowledged is what is on stable storage, and that takes longer than no time.", label="time-out .*"),
    Row("Produce", r".*log_append_time_ms", "A duplicate is answered as the batch was: with CreateTime no time of the broker is told.",
        label="again|the last five", chronik=-1),
    Row("Produce", r".*record_errors", "The type of timestamp is a field of the batch: no record is named.",
        label="type set by the producer"),
    Row("ListOffsets", r".*(timestamp|offset)", "Kafka gives an offset that lies before the start of the log; here the largest "
        "timestamp is that of a record which is still there.", label="start moved, at -3"),
    Row("ListOffsets|OffsetForLeaderEpoch", ".*", "Every epoch below 0 is none, as in Fetch.", label="(epoch|of|current) -2"),
    Row("ListOffsets", ".*error_code", "An isolation level that does not exist: see above.", -1,
        label=r"ListOffsets \d+: of nothing.*"),

    # ---- topics and configurations ----
    Row("ElectLeaders", r"replica_election_results.*", "A topic of which nothing is told is left out.", chronik="absent",
        label="all"),
    Row("ElectLeaders", r"replica_election_results.*", "The fault of the whole request is told once.", label="unknown kind"),
    Row("Metadata", r"topics.*error_code", "A name that can never be made, because of '.' and '_', is told as such at once; Kafka "
        "says 'unknown' until the client gives up.", 3, 17, label="collision"),
    Row("Metadata", ".*", "Versions 10 and 11 have the id of a topic: who asks by it is answered.", label="by id too early"),
    Row("Metadata", ".*", "A topic by name is told beside one by id.", label="unknown id"),
    Row("Metadata", ".*", "The id that nobody has is an unknown topic; Kafka fails with an unknown server error.", label="no id"),
    Row("CreateTopics|AlterConfigs|IncrementalAlterConfigs|DescribeConfigs", ".*", "An empty cleanup.policy (Kafka: keep for ever) "
        "is refused; retention.ms=-1 says the same.", label=r"(config |seen after )?cleanup.policy (=|0|3)( delete,compact)? ?"),
    Row("DescribeConfigs", r".*<cleanup.policy>.value", "As above: the change before was refused.", "", label="seen after wrong ones"),
    Row("CreateTopics", r".*error_code", "The name of the metadata log is no name for a topic.", 42, 17, label="metadata"),
    Row("CreateTopics", r".*topic_id", "A topic that is not made has no id.", chronik="no id", label="only validated"),
    Row("DeleteTopics", r".*topic_id", "What was asked by name is told by name.", chronik="no id", label="name, and its id"),
    Row("DescribeTopicPartitions", r"topics.*", "An empty name is a wrong name; Kafka fails with an unknown server error.",
        label="name "),
    Row("IncrementalAlterConfigs", r".*error_code", "An operation that does not exist is a fault of the request.", -1, 42),
    Row("IncrementalAlterConfigs|AlterConfigs", r".*<1?>.error_code", "A wrong value has the same code for brokers as for topics.",
        42, 40),
    Row("IncrementalAlterConfigs", r".*error_code", "A configuration that nothing here reads is refused; Kafka keeps it for plugins.",
        0, 40, label="(all: )?no.such = 1"),
    Row("DescribeConfigs", r".*<(flush.ms|flush.messages|preallocate)>.*", "Other defaults: what is not flushed before it is "
        "acknowledged is flushed soon, and segments are preallocated in steps."),
    Row("DescribeConfigs", r".*<min.insync.replicas>.*", "Kafka with ELR turns the default into a setting of all brokers."),
    Row("DescribeConfigs", r".*<(remote.log.copy.disable|remote.log.delete.on.disable)>.*", "Not yet: the object tier.",
        chronik="absent"),
    Row("DescribeConfigs", r".*<chronik.flush.before.ack>.*", "Chronik's own.", kafka="absent"),
    Row("DescribeConfigs", r".*synonyms.*", "Every configuration has its default at the end of its synonyms, in the one unit that "
        "parameters have here, under the name of the broker's parameter where there is one."),

    Row("ListConfigResources", "config_resources.*", "There are no loggers whose levels a client could set.",
        label=r"ListConfigResources 1: (empty|nulls)"),

    # ---- quotas ----
    Row("AlterClientQuotas", "entries.*", "A kind of entity that is named twice contradicts itself.", label="kind twice"),
    Row("AlterClientQuotas", "entries.*", "An entity of a kind that does not exist, twice: told as it was asked.",
        label=r"AlterClientQuotas \d+: of nothing.*"),
    Row("DescribeClientQuotas", "error_code", "A kind without a name is one that does not exist.", 42, 35, label="empty kind.*"),

    # ---- rules of access ----
    Row("CreateAcls", ".*error_code", "A rule for any resource, pattern or operation is refused by itself; Kafka fails the whole request "
        "with an unknown server error.", -1, label="any resource|any operation|matching"),
    Row("CreateAcls", ".*error_code", "A rule for no host at all would never count, and is refused.", 0, 42, label="no host"),
    Row("CreateAcls|DescribeAcls|DeleteAcls", "", "A filter or rule with numbers of 0 is told what is wrong, where Kafka closes the "
        "connection.", "the connection was closed"),

    # ---- groups ----
    Row("FindCoordinator", "error_message", "Kafka says NONE in words where there is no error.", TEXT, NO_WORDS),
    Row("OffsetDelete", ".*", "The group without a name, whose offsets old clients kept, can be cleaned up.", 24,
        label="no group|OffsetDelete 0: (empty|nulls)"),
    Row("OffsetDelete", "topics.*", "As above.", "absent", label="no group"),
    Row("OffsetDelete", ".*", "A group without members is its offsets: without the last one it is gone at once, in Kafka at its next "
        "look for expired ones.", label="again|nothing|no partitions"),

    # ---- share groups ----
    Row("DescribeShareGroupOffsets", r".*partitions.*", "A partition that nobody has fetched from yet is not told unless it is asked for.",
        chronik="absent", label="all"),
    Row("DescribeShareGroupOffsets", "", "Of a partition that does not exist nothing is known; Kafka's client waits in vain.",
        NO_ANSWER, label="no such partition"),
    Row("DescribeShareGroupOffsets", r".*lag", "Lag is 0 or more, also of a group that begins behind the end.", label="at last"),
    Row("ShareFetch|ShareAcknowledge", r".*current_leader\..*", "Where there is nothing to say of a leader it is nobody (-1), as in Fetch; 0 is "
        "a node.", 0, -1),
    Row("ShareFetch|ShareAcknowledge", ".*", "A topic, or a mode, that does not exist is told as such; Kafka fails with an unknown server error.",
        label=r"no such topic|a mode that is none|ShareFetch 2: of nothing.*"),
    Row("ShareFetch", "responses.*", "Nothing is told of a partition without news, in a session's first answer as in later ones.",
        label="another member"),
    Row("ShareFetch|ShareAcknowledge", r".*error_code", "What has its end is not acknowledged again; Kafka says so only when the whole "
        "batch has.", 0, 121, label="accepts again"),
    Row("ShareFetch|ShareAcknowledge", ".*", "A request without a group or a member is wrong in itself.", label="no group|no member"),
    Row("AlterShareGroupOffsets", r".*error_code", "No group begins below 0.", 0, 42, label="negative"),
    Row("AlterUserScramCredentials", r".*error_code", "Who is named twice is told so, whatever else is wrong; Kafka tells what is wrong with the first.",
        33, 92, label="of nothing that exists"),

    # ---- transactions ----
    Row("AddPartitionsToTxn", ".*partition_error_code", "Version 4 does not have TRANSACTION_ABORTABLE, which came with version 5.",
        120, 48),
    Row("AddPartitionsToTxn", ".*partition_error_code", "Who asks is looked at before what is asked for.", 3),
    Row("TxnOffsetCommit", ".*error_code", "A transaction without a name is none.", 0, 42, label="empty name"),
    Row("WriteTxnMarkers", ".*error_code", "An old epoch is told as such, not as an unknown server error.", -1, 47),
    Row("WriteTxnMarkers", ".*error_code", "Transactions of version 2 end in an epoch of their own: a second marker of that epoch is "
        "one too many.", chronik=47, label="again|old coordinator"),
    Row("WriteTxnMarkers", "markers", "Markers of one producer are answered one by one.", label=r"WriteTxnMarkers \d+: of nothing.*"),
    Row("ListTransactions", "transaction_states.*", "What is not open runs for no time at all.", chronik="absent",
        label="longer than .*"),

    # ---- the cluster ----
    Row("DescribeQuorum", ".*", "This Kafka has controllers without folder ids and an own listener for them; a node alone has no "
        "address for others."),
    Row("UpdateFeatures", "results.*", "Each feature is told what is wrong with it, beside the error on top.", "absent"),
    Row("AddRaftVoter|RemoveRaftVoter", "error_code", "This Kafka has a fixed list of controllers.", 35, 42),
    Row("AddRaftVoter", "error_code", "A cluster id that is empty is none.", 104, 42),
]


class Justified:
    def __init__(self, rows=None):
        self.rows = ROWS if rows is None else rows
        self.used = set()

    def why(self, found):
        """The reason of a difference, or None."""
        for i, row in enumerate(self.rows):
            if re.fullmatch(row.api, found.api) and re.fullmatch(row.path, bare(found.path)) \
                    and row.kafka in (ANY, found.kafka) and row.chronik in (ANY, found.chronik) \
                    and (row.label is None or re.fullmatch(row.label, found.label)) \
                    and (row.versions is None or found.version in row.versions):
                self.used.add(i)
                return row.why
        return None

    def unused(self):
        return [f"{row.api} {row.path}: {row.why}" for i, row in enumerate(self.rows) if i not in self.used]
