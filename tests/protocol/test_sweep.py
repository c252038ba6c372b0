#!/usr/bin/env python3
"""Every version of every API that is served, once, as a client uses it.

Goal: kafka-semantics items 3 and 4. Method: the table in src/handler/apis.h says what there is; each version is
called with plausible arguments on a node that has a topic, records and a group. The answer must decode to its last
byte, hold what was asked about, and have no error, or the one that is expected. An API without an entry here fails.
"""

import re
import unittest
import uuid

import codec
import records
from kafka import ERR
from txn import Producer
from reference import ReferenceCase
from scram import upsertion

KEEP_MS = 30000


def served():
    """{name: (first version, last version)} of src/handler/apis.h."""
    text = (codec.ROOT / "src/handler/apis.h").read_text(encoding="utf-8")
    rows = re.findall(r"^\s*API\((\w+), (\d+), (\d+), \d+, \w+\)", text, re.M)
    keys = dict((name, int(key)) for name, key in re.findall(r"KAPI_(\w+) = (\d+)", text))
    names = {m.key: m.name for m in codec.MESSAGES.values() if m.kind == "request"}
    return {names[keys[name]]: (int(low), int(high)) for name, low, high in rows}


def errors(answer):
    """All error codes of an answer, wherever they are."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name == "error_code":
                yield value
            else:
                yield from errors(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from errors(value)


# What can only fail on one node with nothing to do: the error that tells it.
EXPECTED = {
    "ElectLeaders": ERR.ELECTION_NOT_NEEDED,
    "AlterPartitionReassignments": ERR.NO_REASSIGNMENT_IN_PROGRESS,
    "UpdateFeatures": ERR.INVALID_UPDATE_VERSION,
    "UnregisterBroker": ERR.BROKER_ID_NOT_REGISTERED,
    "AddRaftVoter": ERR.INVALID_REQUEST,
    "RemoveRaftVoter": ERR.INVALID_REQUEST,
    "DescribeAcls": ERR.SECURITY_DISABLED,
    "CreateAcls": ERR.SECURITY_DISABLED,
    "DeleteAcls": ERR.SECURITY_DISABLED,
    "SaslHandshake": ERR.ILLEGAL_SASL_STATE,
    "SaslAuthenticate": ERR.ILLEGAL_SASL_STATE,
    "CreateDelegationToken": ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
    "RenewDelegationToken": ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
    "ExpireDelegationToken": ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
    "DescribeDelegationToken": ERR.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
}


class Sweep(ReferenceCase):
    SETTINGS = ["groups.initial_rebalance_delay_ms=0"]
    GIVEN_TOO = True            # a broker that was given waits for the first member as long as it likes

    def setUp(self):
        self.connection = self.client()
        self.name = self.topic(partitions=2)
        self.id = self.topic_id(self.name)
        self.assertError(self.produce(self.connection, self.name, [b"a", b"b"])["error_code"], ERR.NONE)

    # ---- the arguments ----

    def named(self, version, since):
        """A topic by name, or by id from version @since on."""
        return {"topic_id": self.id} if version >= since else {"name": self.name}

    def produce_args(self, version):
        return dict(acks=-1, timeout_ms=5000, topic_data=[{**self.named(version, 13), "partition_data": [
            {"index": 0, "records": records.batch([b"x"])}]}])

    def fetch_args(self, version):
        ref = {"topic_id": self.id} if version >= 13 else {"topic": self.name}
        return dict(max_wait_ms=0, min_bytes=1, topics=[{**ref, "partitions": [
            {"partition": p, "fetch_offset": 0, "partition_max_bytes": 1 << 20} for p in (0, 1)]}])

    def list_offsets_args(self, version):
        return dict(replica_id=-1, topics=[{"name": self.name, "partitions": [
            {"partition_index": 0, "timestamp": -1}, {"partition_index": 1, "timestamp": -2}]}])

    def metadata_args(self, version):
        return dict(topics=[{"name": self.name}])

    def find_coordinator_args(self, version):
        key = {"key": "g"} if version < 4 else {"coordinator_keys": ["g", "h"]}
        return dict(key, key_type=0) if version else key

    def create_topics_args(self, version):
        return dict(topics=[{"name": self.fresh(), "num_partitions": 1, "replication_factor": 1, "assignments": [],
                             "configs": [{"name": "retention.ms", "value": "1000"}]}])

    def delete_topics_args(self, version):
        if version >= 6:
            return dict(timeout_ms=5000, topics=[{"name": self.name}])
        return dict(timeout_ms=5000, topic_names=[self.name])

    def delete_records_args(self, version):
        return dict(timeout_ms=5000, topics=[{"name": self.name, "partitions": [{"partition_index": 0, "offset": 1}]}])

    def init_producer_id_args(self, version):
        return dict(transactional_id=None, transaction_timeout_ms=1000)

    def offset_for_leader_epoch_args(self, version):
        return dict(replica_id=-1, topics=[{"topic": self.name, "partitions": [{"partition": 0, "leader_epoch": 0}]}])

    def describe_configs_args(self, version):
        return dict(include_synonyms=True, resources=[
            {"resource_type": 2, "resource_name": self.name, "configuration_keys": None}])

    def alter_configs_args(self, version):
        return dict(resources=[{"resource_type": 2, "resource_name": self.name, "configs": [
            {"name": "retention.ms", "value": "2000"}]}])

    def incremental_alter_configs_args(self, version):
        return dict(resources=[{"resource_type": 2, "resource_name": self.name, "configs": [
            {"name": "retention.ms", "config_operation": 0, "value": "2000"}]}])

    def alter_replica_log_dirs_args(self, version):
        folder = self.connection.call("DescribeLogDirs", 1, topics=[])["results"][0]["log_dir"]
        return dict(dirs=[{"path": folder, "topics": [{"name": self.name, "partitions": [0, 1]}]}])

    def describe_log_dirs_args(self, version):
        return dict(topics=[{"topic": self.name, "partitions": [0, 1]}])

    def create_partitions_args(self, version):
        return dict(timeout_ms=5000, topics=[{"name": self.name, "count": 3, "assignments": None}])

    def describe_topic_partitions_args(self, version):
        return dict(topics=[{"name": self.name}])

    def api_versions_args(self, version):
        return dict(client_software_name="sweep", client_software_version="1") if version >= 3 else {}

    def describe_cluster_args(self, version):
        return {}

    def elect_leaders_args(self, version):
        kind = {"election_type": 0} if version else {}
        return dict(kind, timeout_ms=5000, topic_partitions=[{"topic": self.name, "partitions": [0, 1]}])

    def alter_partition_reassignments_args(self, version):
        return dict(timeout_ms=5000, topics=[{"name": self.name, "partitions": [
            {"partition_index": 0, "replicas": None}]}])

    def list_partition_reassignments_args(self, version):
        return dict(timeout_ms=5000, topics=None)

    def update_features_args(self, version):
        return dict(timeout_ms=5000, feature_updates=[{"feature": "no.such.feature", "max_version_level": 1}])

    def unregister_broker_args(self, version):
        return dict(broker_id=99)

    def offset_commit_args(self, version):
        return dict(group_id=self.coordinated(), topics=[{**self.named(version, 10), "partitions": [
            {"partition_index": 0, "committed_offset": 1, "committed_metadata": "m"}]}])

    def offset_fetch_args(self, version):
        group = self.coordinated()
        self.assertError(self.commit(group), ERR.NONE)
        if version < 8:
            return dict(group_id=group, topics=[{"name": self.name, "partition_indexes": [0, 1]}])
        return dict(groups=[{"group_id": group, "topics": [
            {**self.named(version, 10), "partition_indexes": [0, 1]}]}])

    def join_group_args(self, version):
        args = dict(group_id=self.coordinated(), session_timeout_ms=KEEP_MS, member_id="", protocol_type="consumer",
                    protocols=[{"name": "range", "metadata": b""}])
        if version >= 1:
            args["rebalance_timeout_ms"] = KEEP_MS
        if version >= 4:        # the first answer only gives an id
            answer = self.connection.call("JoinGroup", version, **args)
            self.assertError(answer["error_code"], ERR.MEMBER_ID_REQUIRED)
            args["member_id"] = answer["member_id"]
        return args

    def sync_group_args(self, version):
        group, member = self.joined()
        protocol = dict(protocol_type="consumer", protocol_name="range") if version >= 5 else {}
        return dict(group_id=group, generation_id=1, member_id=member, **protocol, assignments=[
            {"member_id": member, "assignment": b"mine"}])

    def heartbeat_args(self, version):
        group, member = self.stable()
        return dict(group_id=group, generation_id=1, member_id=member)

    def leave_group_args(self, version):
        group, member = self.stable()
        if version < 3:
            return dict(group_id=group, member_id=member)
        return dict(group_id=group, members=[{"member_id": member}])

    def describe_groups_args(self, version):
        return dict(groups=[self.stable()[0]])

    def list_groups_args(self, version):
        self.stable()
        return {}

    def delete_groups_args(self, version):
        group = self.coordinated()
        self.assertError(self.commit(group), ERR.NONE)
        return dict(groups_names=[group])

    def offset_delete_args(self, version):
        group = self.coordinated()
        self.assertError(self.commit(group), ERR.NONE)
        return dict(group_id=group, topics=[{"name": self.name, "partitions": [{"partition_index": 0}]}])

    def describe_quorum_args(self, version):
        return dict(topics=[{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}])

    def add_raft_voter_args(self, version):
        return dict(cluster_id=None, timeout_ms=1000, voter_id=4, voter_directory_id=b"\x04" * 16,
                    listeners=[{"name": "CONTROLLER", "host": "127.0.0.1", "port": 9}])

    def remove_raft_voter_args(self, version):
        return dict(cluster_id=None, voter_id=4, voter_directory_id=b"\x04" * 16)

    # ---- transactions ----

    def begun(self, v2=False):
        """A transaction that is open in partition 0."""
        p = Producer(self, self.fresh("txn"), v2)
        self.assertError(p.init(), ERR.NONE)
        if not v2:
            self.assertError(p.add((self.name, 0)), ERR.NONE)
        self.assertError(p.send(self.name, b"x"), ERR.NONE)
        return p

    def add_partitions_to_txn_args(self, version):
        p = self.begun()
        topics = [{"name": self.name, "partitions": [0, 1]}]
        if version < 4:
            return dict(v3_and_below_transactional_id=p.name, v3_and_below_producer_id=p.id,
                        v3_and_below_producer_epoch=p.epoch, v3_and_below_topics=topics)
        return dict(transactions=[dict(transactional_id=p.name, producer_id=p.id, producer_epoch=p.epoch,
                                       verify_only=False, topics=topics)])

    def add_offsets_to_txn_args(self, version):
        p = self.begun()
        return dict(transactional_id=p.name, producer_id=p.id, producer_epoch=p.epoch, group_id=self.coordinated())

    def end_txn_args(self, version):
        p = self.begun(version >= 5)
        return dict(transactional_id=p.name, producer_id=p.id, producer_epoch=p.epoch, committed=True)

    def write_txn_markers_args(self, version):
        p = self.begun()
        return dict(markers=[{"producer_id": p.id, "producer_epoch": p.epoch + version - 1, "transaction_result": False,
                              "coordinator_epoch": 0, "topics": [{"name": self.name, "partition_indexes": [0]}],
                              **({"transaction_version": 2} if version >= 2 else {})}])

    def txn_offset_commit_args(self, version):
        p, group = self.begun(version >= 5), self.coordinated()
        if version < 5:
            self.assertError(p.add_offsets(group), ERR.NONE)
        return dict(transactional_id=p.name, group_id=group, producer_id=p.id, producer_epoch=p.epoch,
                    **(dict(member_id="", generation_id=-1) if version >= 3 else {}), topics=[
                        {"name": self.name, "partitions": [{"partition_index": 0, "committed_offset": 1,
                                                            "committed_metadata": "m"}]}])

    def describe_producers_args(self, version):
        self.begun()
        return dict(topics=[{"name": self.name, "partition_indexes": [0]}])

    def describe_transactions_args(self, version):
        return dict(transactional_ids=[self.begun().name])

    def list_transactions_args(self, version):
        self.begun()
        return dict(transactional_id_pattern="txn.*") if version >= 2 else {}

    def alter_client_quotas_args(self, version, name="sweep"):
        return dict(validate_only=False, entries=[{"entity": [{"entity_type": "client-id", "entity_name": name}], "ops": [
            {"key": "producer_byte_rate", "value": 1e9, "remove": False}]}])

    def describe_client_quotas_args(self, version):
        self.connection.call("AlterClientQuotas", version, **self.alter_client_quotas_args(version))
        return dict(components=[{"entity_type": "client-id", "match_type": 0, "match": "sweep"}], strict=False)

    def create_acls_args(self, version):
        return dict(creations=[{"resource_type": 2, "resource_name": self.name, "resource_pattern_type": 3, "principal": "User:sweep",
                                "host": "*", "operation": 3, "permission_type": 3}])

    def acl_filter(self):
        return dict(resource_type_filter=2, resource_name_filter=self.name, pattern_type_filter=3, principal_filter=None,
                    host_filter=None, operation=1, permission_type=1)

    def describe_acls_args(self, version):
        return self.acl_filter()

    def delete_acls_args(self, version):
        return dict(filters=[self.acl_filter()])

    def sasl_handshake_args(self, version):
        return dict(mechanism="PLAIN")

    def sasl_authenticate_args(self, version):
        return dict(auth_bytes=b"x")

    def create_delegation_token_args(self, version):
        return dict(renewers=[{"principal_type": "User", "principal_name": "x"}], max_lifetime_ms=-1,
                    **(dict(owner_principal_type="User", owner_principal_name="y") if version >= 3 else {}))

    def renew_delegation_token_args(self, version):
        return dict(hmac=b"x", renew_period_ms=-1)

    def expire_delegation_token_args(self, version):
        return dict(hmac=b"x", expiry_time_period_ms=-1)

    def describe_delegation_token_args(self, version):
        return dict(owners=None)

    def alter_user_scram_credentials_args(self, version):
        return dict(upsertions=[upsertion("sweep", "secret")], deletions=[])

    def describe_user_scram_credentials_args(self, version):
        self.connection.call("AlterUserScramCredentials", 0, **self.alter_user_scram_credentials_args(version))
        return dict(users=[{"name": "sweep"}])

    def get_telemetry_subscriptions_args(self, version):
        return dict(client_instance_id=bytes(16))

    def push_telemetry_args(self, version):
        told = self.connection.call("GetTelemetrySubscriptions", 0, client_instance_id=bytes(16))
        self.assertError(told["error_code"], ERR.NONE)
        return dict(client_instance_id=told["client_instance_id"], subscription_id=told["subscription_id"], terminating=True,
                    compression_type=0, metrics=b"")

    def consumer_group_heartbeat_args(self, version, group=None):
        return dict(group_id=group or self.coordinated(), member_id=str(uuid.uuid4()), member_epoch=0, instance_id=None,
                    rack_id="rack", rebalance_timeout_ms=KEEP_MS, subscribed_topic_names=[self.name], topic_partitions=[],
                    server_assignor="range", **({"subscribed_topic_regex": "none.*"} if version >= 1 else {}))

    def consumer_group_describe_args(self, version):
        group = self.coordinated()
        answer = self.connection.call("ConsumerGroupHeartbeat", version, **self.consumer_group_heartbeat_args(version, group))
        self.assertError(answer["error_code"], ERR.NONE)
        return dict(group_ids=[group], include_authorized_operations=True)

    def share_group_heartbeat_args(self, version, group=None):
        return dict(group_id=group or self.coordinated(), member_id=str(uuid.uuid4()), member_epoch=0, rack_id="rack",
                    subscribed_topic_names=[self.name])

    def share_group_describe_args(self, version):
        group = self.coordinated()
        answer = self.connection.call("ShareGroupHeartbeat", 1, **self.share_group_heartbeat_args(1, group))
        self.assertError(answer["error_code"], ERR.NONE)
        return dict(group_ids=[group], include_authorized_operations=True)

    def shared(self):
        """(group, member) of a share group with one member, which begins with the first record of each partition."""
        group = self.coordinated()
        answer = self.connection.call("IncrementalAlterConfigs", 1, resources=[{"resource_type": 32, "resource_name": group, "configs": [
            {"name": "share.auto.offset.reset", "config_operation": 0, "value": "earliest"}]}])
        self.assertError(answer["responses"][0]["error_code"], ERR.NONE)
        args, told = self.share_group_heartbeat_args(1, group), []

        def has_all():
            answer = self.connection.call("ShareGroupHeartbeat", 1, **args)
            self.assertError(answer["error_code"], ERR.NONE)
            told.extend((answer["assignment"] or {"topic_partitions": []})["topic_partitions"])
            args["member_epoch"] = answer["member_epoch"]
            return told
        self.until(has_all)
        return group, args["member_id"]

    def share_fetch_args(self, version):
        group, member = self.shared()
        return dict(group_id=group, member_id=member, share_session_epoch=0, max_wait_ms=5000, min_bytes=1, max_bytes=1 << 20,
                    max_records=1, batch_size=1, topics=[{"topic_id": self.id, "partitions": [
                        {"partition_index": p, "acknowledgement_batches": []} for p in (0, 1)]}])

    def share_acknowledge_args(self, version):
        fetch = self.share_fetch_args(version)
        answer = self.connection.call("ShareFetch", version, **fetch)
        got, = [a for t in answer["responses"] for p in t["partitions"] for a in p["acquired_records"]]
        return dict(group_id=fetch["group_id"], member_id=fetch["member_id"], share_session_epoch=1, topics=[
            {"topic_id": self.id, "partitions": [{"partition_index": 0, "acknowledgement_batches": [
                {"first_offset": got["first_offset"], "last_offset": got["last_offset"], "acknowledge_types": [1]}]}]}])

    def alter_share_group_offsets_args(self, version, group=None):
        return dict(group_id=group or self.coordinated(), topics=[{"topic_name": self.name, "partitions": [
            {"partition_index": 1, "start_offset": 1}]}])

    def altered(self):
        """A share group that begins somewhere."""
        group = self.coordinated()
        answer = self.connection.call("AlterShareGroupOffsets", 0, **self.alter_share_group_offsets_args(0, group))
        self.assertError(answer["error_code"], ERR.NONE)
        return group

    def describe_share_group_offsets_args(self, version):
        return dict(groups=[{"group_id": self.altered(), "topics": [{"topic_name": self.name, "partitions": [0]}]}])

    def delete_share_group_offsets_args(self, version):
        return dict(group_id=self.altered(), topics=[{"topic_name": self.name}])

    def list_config_resources_args(self, version):
        self.connection.call("IncrementalAlterConfigs", 1, resources=[{"resource_type": 16, "resource_name": "sweep", "configs": [
            {"name": "interval.ms", "config_operation": 0, "value": "1000"}]}])
        return dict(resource_types=[2, 4, 8, 16, 32]) if version >= 1 else {}

    # ---- groups that some arguments need ----

    def coordinated(self):
        """A fresh group whose coordinator is there."""
        self.connection.call("FindCoordinator", 2, key="g", key_type=0)
        self.wait_for_topic("__consumer_offsets", 50)
        return self.fresh("group")

    def commit(self, group):
        answer = self.connection.call("OffsetCommit", 7, group_id=group, topics=[
            {"name": self.name, "partitions": [{"partition_index": 0, "committed_offset": 1}]}])
        return answer["topics"][0]["partitions"][0]["error_code"]

    def joined(self):
        """(group, member) after JoinGroup, generation 1."""
        group = self.coordinated()
        answer = self.connection.call("JoinGroup", 2, group_id=group, session_timeout_ms=KEEP_MS, member_id="",
                                      rebalance_timeout_ms=KEEP_MS, protocol_type="consumer",
                                      protocols=[{"name": "range", "metadata": b""}])
        self.assertEqual((answer["error_code"], answer["generation_id"]), (0, 1))
        return group, answer["member_id"]

    def stable(self):
        group, member = self.joined()
        answer = self.connection.call("SyncGroup", 1, group_id=group, generation_id=1, member_id=member, assignments=[
            {"member_id": member, "assignment": b"mine"}])
        self.assertError(answer["error_code"], ERR.NONE)
        return group, member

    # ---- the sweep ----

    def sweep(self, api):
        low, high = served()[api]
        arguments = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", api).lower() + "_args")
        for version in range(low, high + 1):
            with self.subTest(api=api, version=version):
                self.setUp()
                answer = self.connection.call(api, version, **arguments(version))
                found = [code for code in errors(answer) if code != EXPECTED.get(api)]
                self.assertEqual(found, [0] * len(found), answer)
                self.assertTrue(api not in EXPECTED or EXPECTED[api] in errors(answer), answer)
                self.assertTrue(found or len(str(answer)) > 30, f"nothing is told: {answer}")
                if version >= 1 and "throttle_time_ms" in answer:
                    self.assertEqual(answer["throttle_time_ms"], 0)


def add(api):
    def test(self):
        self.sweep(api)
    test.__doc__ = f"Items 3, 4: {api} in every version."
    setattr(Sweep, "test_" + re.sub(r"(?<!^)(?=[A-Z])", "_", api).lower(), test)


for _api in served():
    add(_api)


class Table(unittest.TestCase):
    def test_table(self):
        """Items 3, 4: the table was read whole: each key that it defines has a row."""
        text = (codec.ROOT / "src/handler/apis.h").read_text(encoding="utf-8")
        self.assertEqual(len(served()), len(re.findall(r"KAPI_\w+ = \d+", text)))
        self.assertGreaterEqual(len(served()), 28)


if __name__ == "__main__":
    unittest.main()
