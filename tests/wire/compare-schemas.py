#!/usr/bin/env python3
"""Compares our .wire schemas with Kafka's own message schemas, version by version and field by field.

Goal: a name, type, version range, null, tag, default or order that differs from Kafka's is found here and not by a client.
Method: both sides are unfolded, for each version, into the flat list of what is on the wire in that version.
The folder with Kafka's JSON files is KAFKA_MESSAGES_DIR, or ../shared/reference/kafka-messages beside the repository;
without it the test is skipped (exit status 77). --self-test plants each kind of difference and needs no folder.
"""

import copy
import json
import os
import re
import sys

sys.dont_write_bytecode = True
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "src", "wire", "gen"))
import schema  # noqa: E402

# Ours that the folder may lack, with the reason.
NOT_IN_FOLDER = {
    "OffsetCommitKey": "a stored record; Kafka keeps its schema with the coordinator, not with the messages",
    "OffsetCommitValue": "as OffsetCommitKey",
    "GroupMetadataKey": "as OffsetCommitKey",
    "GroupMetadataValue": "as OffsetCommitKey",
    "TransactionLogKey": "as OffsetCommitKey",
    "TransactionLogValue": "as OffsetCommitKey",
    "ConsumerGroupKey": "as OffsetCommitKey",
    "ConsumerGroupMemberKey": "as OffsetCommitKey",
    "ConsumerGroupRegexKey": "as OffsetCommitKey",
    "ConsumerGroupMetadataValue": "as OffsetCommitKey",
    "ConsumerGroupMemberMetadataValue": "as OffsetCommitKey",
    "ConsumerGroupTargetAssignmentMetadataValue": "as OffsetCommitKey",
    "ConsumerGroupTargetAssignmentMemberValue": "as OffsetCommitKey",
    "ConsumerGroupCurrentMemberAssignmentValue": "as OffsetCommitKey",
    "ConsumerGroupRegularExpressionValue": "as OffsetCommitKey",
    "ShareGroupMemberMetadataValue": "as OffsetCommitKey",
    "ShareGroupMetadataValue": "as OffsetCommitKey",
    "ShareGroupCurrentMemberAssignmentValue": "as OffsetCommitKey",
    "ShareProgressKey": "a stored record of our own",
    "ShareProgressValue": "a stored record of our own",
    "DescribeShareGroupOffsets": "came with 4.1, the folder may be older",
    "AlterShareGroupOffsets": "came with 4.1, the folder may be older",
    "DeleteShareGroupOffsets": "came with 4.1, the folder may be older",
}
# Versions that we have and an older folder lacks. Where the folder has them they are compared.
NEWER_THAN_FOLDER = {
    "ConsumerGroupDescribe": ((1, 1), "KIP-1099, 4.1"),
    "AddRaftVoter": ((1, 1), "KIP-1186, 4.3"),
    "ShareGroupHeartbeat": ((1, 1), "version 0 was a preview, gone in 4.1"),
    "ShareGroupDescribe": ((1, 1), "version 0 was a preview, gone in 4.1"),
    "ShareFetch": ((1, 2), "version 0 was a preview, gone in 4.1"),
    "ShareAcknowledge": ((1, 2), "version 0 was a preview, gone in 4.1"),
}
# Versions that the folder has and we leave out.
LEFT_OUT = {
    "InitProducerId": ((6, 6), "two-phase commit, KIP-939: not released"),
    "CreateDelegationToken": ((0, 0), "dropped in 4.0, KIP-896"),
    "RenewDelegationToken": ((0, 0), "dropped in 4.0, KIP-896"),
    "ExpireDelegationToken": ((0, 0), "dropped in 4.0, KIP-896"),
    "DescribeDelegationToken": ((0, 0), "dropped in 4.0, KIP-896"),
    "ShareGroupHeartbeat": ((0, 0), "a preview, gone in 4.1"),
    "ShareGroupDescribe": ((0, 0), "a preview, gone in 4.1"),
    "ShareFetch": ((0, 0), "a preview, gone in 4.1"),
    "ShareAcknowledge": ((0, 0), "a preview, gone in 4.1"),
}
# Keys of the folder that we have no schema for.
PEER = "between Kafka's own nodes only; ours speak a protocol of their own"
GONE = "removed in 4.0"
NO_SCHEMA = {4: GONE, 5: GONE, 6: GONE, 7: GONE, 52: PEER, 53: PEER, 54: PEER, 56: PEER, 58: PEER, 59: PEER, 62: PEER,
             63: PEER, 67: PEER, 70: PEER, 73: PEER, 82: PEER, 83: PEER, 84: PEER, 85: PEER, 86: PEER, 87: PEER,
             88: "Streams groups (KIP-1071) are not served", 89: "Streams groups (KIP-1071) are not served"}
# The former name of key 74; its version 0 is the same on the wire.
FORMER = {"ListClientMetricsResourcesRequest", "ListClientMetricsResourcesResponse"}


def plain(name):
    return name.replace("_", "").lower()


def kafka_range(text):
    return None if text in (None, "none") else schema.parse_range(text)


def within(pair, version):
    return pair is not None and pair[0] <= version <= pair[1]


def kafka_default(f, kind, array):
    value = f.get("default")
    if value is None or value == "":
        return None
    text = str(value).lower()
    if text == "null":
        return "null"
    if kind == "bool":
        return True if text == "true" else None
    if array or kind == "string":
        return str(value)
    return int(text, 0) or None


def kafka_fields(fields, common, version, flexible, path=""):
    """What is on the wire in this version: (path, type, null, tag, default, plain) in order."""
    out = []
    for f in fields:
        if not within(kafka_range(f["versions"]), version):
            continue
        array = f["type"].startswith("[]")
        kind = f["type"][2:] if array else f["type"]
        inner = f.get("fields") or common.get(kind)
        tagged = within(kafka_range(f.get("taggedVersions")), version)
        here = path + plain(f["name"])
        out.append((here, ("[]" if array else "") + ("struct" if inner else kind),
                    within(kafka_range(f.get("nullableVersions")), version), f["tag"] if tagged else None,
                    kafka_default(f, kind, array), flexible and f.get("flexibleVersions") == "none"))
        if inner:
            out += kafka_fields(inner, common, version, flexible, here + ".")
    return out


def our_fields(fields, version, flexible, path=""):
    out = []
    for f in fields:
        if not f.in_version(version):
            continue
        here = path + plain(f.name)
        out.append((here, ("[]" if f.array else "") + ("struct" if f.struct else f.type), f.null_in(version), f.tag,
                    None if f.default in (None, "", 0, False) else f.default, flexible and f.plain))
        if f.struct:
            out += our_fields(f.struct.fields, version, flexible, here + ".")
    return out


PARTS = ("name or order", "type", "null allowed", "tag", "default", "plain length")


def differences(ours, theirs):
    """The first difference of two unfolded versions, or None."""
    for a, b in zip(ours, theirs):
        for part, x, y in zip(PARTS, a, b):
            if x != y:
                return "%s: %s is %s here and %s in Kafka" % (a[0], part, x, y)
    if len(ours) != len(theirs):
        longer = ours if len(ours) > len(theirs) else theirs
        return "%s is only %s" % (longer[min(len(ours), len(theirs))][0], "here" if longer is ours else "in Kafka")
    return None


def versions_allowed(table, name, version):
    return name in table and within(table[name][0], version)


def compare(message, kafka):
    """Complaints about one message."""
    complaints = []
    name = message.full_name
    valid, flexible = kafka_range(kafka["validVersions"]), kafka_range(kafka["flexibleVersions"])
    common = {s["name"]: s["fields"] for s in kafka.get("commonStructs", [])}
    if kafka["type"] != message.kind or kafka.get("apiKey") != message.key:
        complaints.append("%s: kind or key differs" % name)
    for v in range(min(valid[0], message.versions[0]), max(valid[1], message.versions[1]) + 1):
        if not within(valid, v):
            if not versions_allowed(NEWER_THAN_FOLDER, message.name, v):
                complaints.append("%s: version %d is not in Kafka" % (name, v))
            continue
        if not within(message.versions, v):
            if not versions_allowed(LEFT_OUT, message.name, v):
                complaints.append("%s: version %d is only in Kafka" % (name, v))
            continue
        is_flexible = within(flexible, v)
        if is_flexible != message.is_flexible(v):
            complaints.append("%s version %d: flexible is %s in Kafka" % (name, v, is_flexible))
            continue
        what = differences(our_fields(message.fields, v, is_flexible),
                           kafka_fields(kafka["fields"], common, v, is_flexible))
        if what:
            complaints.append("%s version %d: %s" % (name, v, what))
    return complaints


def read_kafka(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))


def compare_all(messages, folder):
    complaints, compared = [], 0
    for m in messages:
        path = os.path.join(folder, m.full_name + ".json")
        if os.path.exists(path):
            complaints += compare(m, read_kafka(path))
            compared += 1
        elif m.name not in NOT_IN_FOLDER:
            complaints.append("%s: not in the folder" % m.full_name)
    ours = {m.full_name for m in messages}
    for file in sorted(os.listdir(folder)):
        name = file[:-len(".json")]
        if not file.endswith(".json") or name in ours or name in FORMER:
            continue
        key = read_kafka(os.path.join(folder, file)).get("apiKey")
        if key is not None and key not in NO_SCHEMA:
            complaints.append("%s: key %d has no schema here" % (name, key))
    return complaints, compared


SELF_OURS = """
request Sample key 7 versions 1-3 flexible 2+
  who    ?string    2+  tag 0  = null
  many   []pair
  limit  int32      = -1
  seen   bool       3+
 struct pair
  left   int64
  right  string     1-2
"""
SELF_KAFKA = {
    "type": "request", "apiKey": 7, "name": "SampleRequest", "validVersions": "1-3", "flexibleVersions": "2+",
    "fields": [
        {"name": "Who", "type": "string", "versions": "2+", "nullableVersions": "2+", "tag": 0, "taggedVersions": "2+",
         "default": "null"},
        {"name": "Many", "type": "[]Pair", "versions": "0+", "fields": [
            {"name": "Left", "type": "int64", "versions": "0+"},
            {"name": "Right", "type": "string", "versions": "0-2"}]},
        {"name": "Limit", "type": "int32", "versions": "0+", "default": "-1"},
        {"name": "Seen", "type": "bool", "versions": "3+", "default": "false"}]}


def self_test():
    """Plants each kind of difference; a comparison that misses one fails."""
    ours = schema.parse(SELF_OURS, "self-test")[0]
    planted = [
        ("a key", lambda k: k.update(apiKey=8)),
        ("a version range", lambda k: k.update(validVersions="1-4")),
        ("the first flexible version", lambda k: k.update(flexibleVersions="3+")),
        ("a name", lambda k: k["fields"][2].update(name="Limits")),
        ("a type", lambda k: k["fields"][2].update(type="int64")),
        ("an array", lambda k: k["fields"][1].update(type="Pair")),
        ("a field's versions", lambda k: k["fields"][3].update(versions="2+")),
        ("null", lambda k: k["fields"][0].pop("nullableVersions")),
        ("a tag", lambda k: k["fields"][0].update(tag=1)),
        ("a default", lambda k: k["fields"][2].update(default="0")),
        ("the default null", lambda k: k["fields"][0].pop("default")),
        ("the order", lambda k: k["fields"].reverse()),
        ("a missing field", lambda k: k["fields"].pop()),
        ("a field within a struct", lambda k: k["fields"][1]["fields"][1].update(versions="0+")),
    ]
    failed = []
    if compare(ours, SELF_KAFKA):
        failed.append("two equal schemas are said to differ: %s" % compare(ours, SELF_KAFKA))
    for what, plant in planted:
        kafka = copy.deepcopy(SELF_KAFKA)
        plant(kafka)
        if not compare(ours, kafka):
            failed.append("a difference in %s is not found" % what)
    for line in failed:
        print(line)
    print("%d passed, %d failed" % (len(planted) + 1 - len(failed), len(failed)))
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    folder = os.environ.get("KAFKA_MESSAGES_DIR") or os.path.join(ROOT, "..", "shared", "reference", "kafka-messages")
    if not os.path.isdir(folder):
        print("skip: %s, the folder with Kafka's message schemas, is not there; KAFKA_MESSAGES_DIR names another"
              % os.path.normpath(folder))
        return 77
    ours = os.path.join(ROOT, "src", "wire", "schema")
    messages = schema.load([os.path.join(ours, f) for f in sorted(os.listdir(ours)) if f.endswith(".wire")])
    complaints, compared = compare_all(messages, folder)
    for line in complaints:
        print(line)
    print("%d messages compared, %d differences" % (compared, len(complaints)))
    return 1 if complaints or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
