"""Answers made comparable by named rules, and what is then still different.

Nothing here knows a broker; test_compare.py tries each rule.
"""

import re
import struct
import time
from collections import namedtuple

import records

Found = namedtuple("Found", "case version step label api path kafka chronik")

DAY_MS = 86400 * 1000
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# What necessarily varies, or has no order, by name; docs/CONFORMANCE.md prints this.
RULES = {
    "address": "host and port of the broker itself",
    "cluster": "the id of the cluster",
    "disk": "paths, and sizes of a disk",
    "id": "ids of topics, where they are known as those of a name; other ids: the n-th one that an answer of the case has",
    "member": "the part of a member's id that the coordinator makes up: the n-th one",
    "message": "texts for people: some or none; an empty one is none",
    "metadata": "how far the metadata is: epochs and offsets of its log",
    "own": "what the names of a case begin with, which has its version in it",
    "order": "lists whose order the protocol leaves open are sorted",
    "producer": "ids of producers: the n-th one",
    "session": "ids of fetch sessions: none, or one",
    "twice": "what is told twice, the same each time, counts once",
    "time": "times of now",
}

METADATA = ("DescribeQuorum", "ApiVersions")     # APIs that tell of the metadata's own log

# (API, list) -> the field that it is sorted by; topics without a name are sorted by what their id is the id of.
UNORDERED = {
    ("ApiVersions", "supported_features"): "name",
    ("ApiVersions", "finalized_features"): "name",
    ("Metadata", "topics"): "name",
    ("CreateTopics", "topics"): "name",
    ("CreateTopics", "configs"): "name",
    ("DeleteTopics", "responses"): "name",
    ("CreatePartitions", "results"): "name",
    ("DescribeConfigs", "configs"): "name",
    ("DescribeConfigs", "results"): "resource_name",
    ("AlterConfigs", "responses"): "resource_name",
    ("IncrementalAlterConfigs", "responses"): "resource_name",
    ("ListGroups", "groups"): "group_id",
    ("DescribeGroups", "members"): "member_id",
    ("DescribeGroups", "groups"): "group_id",
    ("JoinGroup", "members"): "member_id",
    ("OffsetFetch", "topics"): "name",
    ("OffsetFetch", "partitions"): "partition_index",
    ("DeleteGroups", "results"): "group_id",
    ("DescribeLogDirs", "topics"): "name",
    ("DescribeLogDirs", "partitions"): "partition_index",
    ("DeleteRecords", "topics"): "name",
    ("DeleteRecords", "partitions"): "partition_index",
    ("ListOffsets", "topics"): "name",
    ("ListOffsets", "partitions"): "partition_index",
    ("OffsetForLeaderEpoch", "topics"): "topic",
    ("OffsetForLeaderEpoch", "partitions"): "partition",
    ("ElectLeaders", "replica_election_results"): "topic",
    ("ElectLeaders", "partition_result"): "partition_id",
    ("ListTransactions", "transaction_states"): "transactional_id",
    ("DescribeTransactions", "topics"): "topic",
    ("DescribeClientQuotas", "values"): "key",
    ("DescribeClientQuotas", "entries"): "entity",
    ("AlterClientQuotas", "entries"): "entity",
    ("DescribeClientQuotas", "entity"): "entity_type",
    ("AlterClientQuotas", "entity"): "entity_type",
    ("DescribeAcls", "resources"): "resource_name",
    ("DescribeAcls", "acls"): "principal",
    ("DeleteAcls", "matching_acls"): "principal",
    ("AlterUserScramCredentials", "results"): "user",
    ("DescribeUserScramCredentials", "results"): "user",
    ("DescribeUserScramCredentials", "credential_infos"): "mechanism",
    ("AddPartitionsToTxn", "results_by_topic_v3_and_below"): "name",
    ("AddPartitionsToTxn", "results_by_partition"): "partition_index",
    ("AddPartitionsToTxn", "results_by_transaction"): "transactional_id",
    ("AddPartitionsToTxn", "topic_results"): "name",
    ("WriteTxnMarkers", "topics"): "name",
    ("WriteTxnMarkers", "partitions"): "partition_index",
    ("Produce", "responses"): "name",
    ("Fetch", "responses"): "topic",
    ("Fetch", "partitions"): "partition_index",
    ("OffsetCommit", "topics"): "name",
    ("OffsetCommit", "partitions"): "partition_index",
    ("DescribeTransactions", "transaction_states"): "transactional_id",
    ("Produce", "partition_responses"): "index",
    ("UpdateFeatures", "results"): "feature",
    ("OffsetDelete", "topics"): "name",
    ("OffsetDelete", "partitions"): "partition_index",
    ("DescribeShareGroupOffsets", "topics"): "topic_name",
    ("DescribeShareGroupOffsets", "partitions"): "partition_index",
    ("AlterShareGroupOffsets", "responses"): "topic_name",
    ("AlterShareGroupOffsets", "partitions"): "partition_index",
    ("DeleteShareGroupOffsets", "responses"): "topic_name",
    ("TxnOffsetCommit", "topics"): "name",
    ("TxnOffsetCommit", "partitions"): "partition_index",
}


class Tidy:
    """The rules, for one broker and one case: what was seen first is number 1."""

    def __init__(self, host="127.0.0.1", port=0, prefix=None, ids=None):
        self.host, self.port, self.prefix, self.ids, self.seen = host, port, prefix, ids or {}, {}

    def number(self, kind, value):
        known = self.seen.setdefault(kind, {})
        return f"{kind} {known.setdefault(value, len(known) + 1)}"

    def answer(self, api, value):
        return self.walk(api, "", value)

    def walk(self, api, name, value):
        if isinstance(value, dict):
            return {k: self.walk(api, k, v) for k, v in value.items()}
        if isinstance(value, tuple):
            value = list(value)
        if isinstance(value, list):
            if name == "partitions" and value and isinstance(value[0], int):
                value = sorted(value)
            key = UNORDERED.get((api, name))
            if key:
                value = sorted(value, key=lambda v: self.name_of(self.key_of(v, key)))
                return self.by_name(api, name, key, value)
            return [self.walk(api, name, v) for v in value]
        return self.leaf(api, name, value)

    def text(self, value):
        """Without what the coordinator made up, and with ~ for what all names of the case begin with."""
        value = UUID.sub(lambda m: self.number("made up", m.group()), value)
        return value.replace(self.prefix, "~") if self.prefix else value

    def by_name(self, api, name, key, value):
        """A list as a dict, unless two elements of one name differ."""
        out = {}
        told = [(self.name_of(self.key_of(v, key)), self.walk(api, name, v)) for v in value]
        for n, v in told:
            if out.setdefault(n, v) != v:
                return [v for _, v in told]
        return out

    def key_of(self, element, key):
        return element[key] if element.get(key) is not None else self.ids.get(element.get("topic_id"), "")

    def name_of(self, key):
        """What an element is called in a path."""
        if isinstance(key, list):
            key = ", ".join(sorted(str(list(k.values())) for k in key))
        return f"<{self.text(str(key))}>"

    def leaf(self, api, name, value):
        if name == "records" and isinstance(value, bytes):
            return self.batches(value)
        if name == "port":
            return "its port" if value == self.port else value
        if name == "host" or name == "client_host":
            return "its host" if value.lstrip("/") == self.host else value
        if name == "cluster_id" and value:
            return "its cluster"
        if name in ("log_dir",):
            return "a path" if value else value
        if name in ("total_bytes", "usable_bytes"):
            return "a size" if value >= 0 else value
        if name in ("error_message", "acknowledge_error_message", "batch_index_error_message", "documentation"):
            return "a text" if value else None
        if name in ("finalized_features_epoch", "high_watermark", "log_end_offset", "leader_epoch", "log_start_offset") \
                and api in METADATA:
            return "a number" if value >= 0 else value
        if name == "session_id":
            return "a session" if value > 0 else value
        if name == "producer_id":
            return self.number("producer", value) if value >= 0 else value
        if isinstance(value, bytes) and len(value) == 16 and name.endswith("_id"):
            if not any(value):
                return "no id"
            known = self.ids.get(value)
            return f"id of {self.text(known)}" if known else "an id" if api == "CreateTopics" else self.number("id", value)
        if isinstance(value, int) and abs(value - time.time() * 1000) < DAY_MS:
            return "now"
        if isinstance(value, str):
            return self.text(value)
        return value

    def batches(self, data):
        """Records as they can be read: header fields by name (all but the CRC), and keys and values."""
        try:
            return [{**{k: self.leaf("", k, v) for k, v in b.header.items() if k != "crc"},
                     "content": None if b.records is None else [(r.key, r.value) for r in b.records]}
                    for b in records.parse(data)]
        except (records.BadBatch, struct.error) as why:
            return f"bad records: {why}"


def differences(kafka, chronik, path=""):
    """(path, Kafka's value, Chronik's value) wherever two answers differ."""
    if isinstance(kafka, dict) and isinstance(chronik, dict):
        for name in list(kafka) + [n for n in chronik if n not in kafka]:
            below = f"{path}.{name}" if path else name
            if name not in kafka or name not in chronik:
                yield below, kafka.get(name, "absent"), chronik.get(name, "absent")
            else:
                yield from differences(kafka[name], chronik[name], below)
    elif isinstance(kafka, list) and isinstance(chronik, list):
        if len(kafka) != len(chronik):
            yield f"{path}[]", kafka, chronik
        else:
            for i, (k, c) in enumerate(zip(kafka, chronik)):
                yield from differences(k, c, f"{path}[{i}]")
    elif kafka != chronik or type(kafka) is not type(chronik):
        yield path, kafka, chronik


def compare_case(name, version, kafka_steps, chronik_steps, kafka_tidy, chronik_tidy):
    """All that differs in one case."""
    found = []
    for i, (k, c) in enumerate(zip(kafka_steps, chronik_steps)):
        if (k.api, k.version, k.label) != (c.api, c.version, c.label):
            return found + [Found(name, version, i, k.label, k.api, "the case took another way", k.label, c.label)]
        for path, left, right in differences(kafka_tidy.answer(k.api, k.answer), chronik_tidy.answer(c.api, c.answer)):
            found.append(Found(name, version, i, k.label, k.api, path, left, right))
    if len(kafka_steps) != len(chronik_steps):
        found.append(Found(name, version, len(kafka_steps), "", "", "number of steps", len(kafka_steps), len(chronik_steps)))
    return found


def bare(path):
    """A path without the numbers of its elements."""
    return re.sub(r"\[\d*\]", "", path)
