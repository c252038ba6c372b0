"""The cluster: what is served, who is in it, and what an operator asks of it."""

from cases import case

NOBODY = 99


@case("ApiVersions")
def api_versions(side, v):
    def kept(answer):
        """What both serve, and the one feature that means something to clients of both."""
        return {**answer, "api_keys": [k for k in answer["api_keys"] if k["api_key"] in side.served],
                **{f: [r for r in answer[f] if r["name"] == "transaction.version"]
                   for f in ("supported_features", "finalized_features") if f in answer}}

    def ask(label, **fields):
        side.call("ApiVersions", v, label=label, keep=kept, **fields)
    ask("plain", **(dict(client_software_name="conformance", client_software_version="1.0") if v >= 3 else {}))
    if v >= 3:
        for name in ("", "-a", "a b", "ä", "a.b-c"):
            ask(f"software {name}", client_software_name=name, client_software_version="1.0")
        ask("version of it", client_software_name="a", client_software_version="")


@case("DescribeCluster")
def describe_cluster(side, v):
    side.call("DescribeCluster", v, label="plain")
    side.call("DescribeCluster", v, label="operations", include_cluster_authorized_operations=True)
    if v >= 1:
        for kind in (1, 2, 0, 3):
            side.call("DescribeCluster", v, label=f"endpoints {kind}", endpoint_type=kind)
    if v >= 2:
        side.call("DescribeCluster", v, label="fenced too", include_fenced_brokers=True)


@case("ElectLeaders")
def elect_leaders(side, v):
    def ask(label, topics, kind=0):
        side.call("ElectLeaders", v, label=label, timeout_ms=5000, **({"election_type": kind} if v else {}), topic_partitions=topics)
    topic = side.topic(2)
    for kind in (0, 1) if v else (0,):
        ask(f"kind {kind}", [{"topic": topic, "partitions": [0, 1]}], kind)
        ask(f"kind {kind}, not there", [{"topic": topic, "partitions": [9]}, {"topic": side.fresh(), "partitions": [0]}], kind)
    ask("all", None)
    ask("nothing", [])
    ask("no partitions", [{"topic": topic, "partitions": []}])
    ask("twice", [{"topic": topic, "partitions": [0, 0]}])
    if v:
        ask("unknown kind", [{"topic": topic, "partitions": [0]}], 7)


@case("AlterPartitionReassignments")
def alter_reassignments(side, v):
    def ask(label, *rows, **fields):
        side.call("AlterPartitionReassignments", v, label=label, timeout_ms=5000, topics=[
            {"name": t, "partitions": [{"partition_index": p, "replicas": r} for p, r in parts]} for t, parts in rows], **fields)
    topic = side.topic(2)
    ask("where it is", (topic, [(0, [1])]))
    ask("cancelled", (topic, [(0, None)]))
    for replicas in ([], [1, 1], [NOBODY], [-1], [1, NOBODY]):
        ask(f"to {replicas}", (topic, [(0, replicas)]))
    ask("not there", (topic, [(9, [1])]), (side.fresh(), [(0, [1])]))
    ask("not there, cancelled", (topic, [(9, None)]), (side.fresh(), [(0, None)]))
    ask("partition twice", (topic, [(0, [1]), (0, [1])]))
    ask("topic twice", (topic, [(0, [1])]), (topic, [(1, [1])]))
    ask("nothing")
    ask("no partitions", (topic, []))
    if v:
        ask("as many as before", (topic, [(0, [1])]), allow_replication_factor_change=False)
        ask("more than before", (topic, [(0, [1, NOBODY])]), allow_replication_factor_change=False)


@case("ListPartitionReassignments")
def list_reassignments(side, v):
    topic = side.topic(2)
    for label, topics in (("all", None), ("nothing", []), ("these", [{"name": topic, "partition_indexes": [0, 1]}]),
                          ("not there", [{"name": side.fresh(), "partition_indexes": [0]}]),
                          ("no such partition", [{"name": topic, "partition_indexes": [9]}])):
        side.call("ListPartitionReassignments", v, label=label, timeout_ms=5000, topics=topics)


@case("DescribeQuorum")
def describe_quorum(side, v):
    def ask(label, *rows):
        side.call("DescribeQuorum", v, label=label, topics=[
            {"topic_name": t, "partitions": [{"partition_index": i} for i in p]} for t, p in rows])
    log = "__cluster_metadata"
    ask("the log", (log, [0]))
    ask("no such partition", (log, [1]))
    ask("another topic", (side.topic(), [0]))
    ask("no topics")
    ask("twice", (log, [0, 0]))
    ask("two topics", (log, [0]), (side.fresh(), [0]))
    ask("no partitions", (log, []))


@case("UpdateFeatures")
def update_features(side, v):
    def ask(label, *rows, **fields):
        side.call("UpdateFeatures", v, label=label, timeout_ms=5000, feature_updates=list(rows), **fields)
    ask("nothing")
    for name in ("no.such", "", "metadata.version"):
        ask(f"{name} to 1000", {"feature": name, "max_version_level": 1000})
        ask(f"{name} to -1", {"feature": name, "max_version_level": -1})
    ask("twice", {"feature": "no.such", "max_version_level": 1}, {"feature": "no.such", "max_version_level": 2})
    if v:
        for kind in (0, 2, 3, 9):
            ask(f"kind {kind}", {"feature": "no.such", "max_version_level": 1, "upgrade_type": kind})
        ask("only validated", {"feature": "no.such", "max_version_level": 1}, validate_only=True)


@case("UnregisterBroker")
def unregister_broker(side, v):
    for number in (NOBODY, -1, 1 << 30):
        side.call("UnregisterBroker", v, label=f"broker {number}", broker_id=number)


@case("AddRaftVoter")
def add_raft_voter(side, v):
    who = dict(cluster_id=None, timeout_ms=1000, voter_id=NOBODY, voter_directory_id=b"\x04" * 16,
               listeners=[{"name": "CONTROLLER", "host": "127.0.0.1", "port": 9}])
    side.call("AddRaftVoter", v, label="another cluster", **{**who, "cluster_id": "nobody's"})
    side.call("AddRaftVoter", v, label="somebody", **who)
    side.call("AddRaftVoter", v, label="no listener", **{**who, "listeners": []})
    side.call("AddRaftVoter", v, label="negative", **{**who, "voter_id": -1})


@case("RemoveRaftVoter")
def remove_raft_voter(side, v):
    who = dict(cluster_id=None, voter_id=NOBODY, voter_directory_id=b"\x04" * 16)
    side.call("RemoveRaftVoter", v, label="another cluster", **{**who, "cluster_id": "nobody's"})
    side.call("RemoveRaftVoter", v, label="nobody", **who)
    side.call("RemoveRaftVoter", v, label="negative", **{**who, "voter_id": -1})
