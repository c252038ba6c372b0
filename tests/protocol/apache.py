"""A broker of Apache Kafka in place of chronikd, so that the tests themselves can be judged.

With CHRONIK_TEST_KAFKA=FOLDER, the jars of tests/client/java/kafka-tools, GroupCase starts this instead of a Node: one
process, KRaft, free loopback ports, an empty folder. What passes here and not there, or there and not here, is a
difference to be explained. `tests/client/run kafka-tools` leaves the jars in build/clients/kafka-tools/lib.
"""

import os
import socket
import subprocess
import time

from node import Node, NodeError

JVM = ["-Xmx512m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
READY_LIMIT_S = 90

# The parameters of ours that tests set, as Kafka calls them.
NAMES = {
    "server.node_id": "node.id",
    "storage.retention_ms": "log.retention.ms",
    "groups.min_session_timeout_ms": "group.min.session.timeout.ms",
    "groups.max_session_timeout_ms": "group.max.session.timeout.ms",
    "groups.initial_rebalance_delay_ms": "group.initial.rebalance.delay.ms",
    "groups.max_size": "group.max.size",
    "groups.offsets_retention_minutes": "offsets.retention.minutes",
    "groups.offsets_retention_check_interval_ms": "offsets.retention.check.interval.ms",
    "groups.offsets_partitions": "offsets.topic.num.partitions",
    "groups.offset_metadata_max_bytes": "offset.metadata.max.bytes",
    "groups.consumer_session_timeout_ms": "group.consumer.session.timeout.ms",
    "groups.consumer_heartbeat_interval_ms": "group.consumer.heartbeat.interval.ms",
    "groups.consumer_min_session_timeout_ms": "group.consumer.min.session.timeout.ms",
    "groups.consumer_min_heartbeat_interval_ms": "group.consumer.min.heartbeat.interval.ms",
    "groups.consumer_migration_policy": "group.consumer.migration.policy",
    "topics.auto_create": "auto.create.topics.enable",
    "transactions.state_partitions": "transaction.state.log.num.partitions",
    "security.super_users": "super.users",
    "security.allow_everyone_if_no_acl_found": "allow.everyone.if.no.acl.found",
    "security.authorizer": "authorizer.class.name",
    "groups.consumer_max_size": "group.consumer.max.size",
    "groups.share_max_size": "group.share.max.size",
    "groups.share_session_timeout_ms": "group.share.session.timeout.ms",
    "groups.share_min_session_timeout_ms": "group.share.min.session.timeout.ms",
    "groups.share_heartbeat_interval_ms": "group.share.heartbeat.interval.ms",
    "groups.share_min_heartbeat_interval_ms": "group.share.min.heartbeat.interval.ms",
    "groups.share_min_record_lock_duration_ms": "group.share.min.record.lock.duration.ms",
    "groups.share_max_share_sessions": "group.share.max.share.sessions",
}
# And what they are set to.
VALUES = {"security.authorizer=standard": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}


def jars():
    """The folder of Kafka's jars when the tests are to be run against it."""
    return os.environ.get("CHRONIK_TEST_KAFKA")


def node(settings=(), env=None, kafka=None):
    """The program under test, not started. @kafka: properties that only Kafka has."""
    return KafkaNode(settings, env, kafka) if jars() else Node(settings, env=env)


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class KafkaNode(Node):
    """As Node; @admin is None, and the ports stay the same at a restart."""

    def __init__(self, settings=(), env=None, kafka=None):
        super().__init__(settings, program="/usr/bin/java", env=env)
        self.host, self.port, controller = "127.0.0.1", _free_port(), _free_port()
        self.address = f"127.0.0.1:{self.port}"
        lines = {
            "process.roles": "broker,controller", "node.id": 1, "log.dirs": self.data,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1, "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1, "group.coordinator.rebalance.protocols": "classic",
        }
        for setting in self.settings:
            name, value = setting.split("=", 1)
            lines[NAMES[name]] = VALUES.get(setting, value)
        lines.update(kafka or {})
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))

    def _java(self, main, *args):
        return [str(self.program), *JVM, "-cp", f"{jars()}/*", main, *map(str, args)]

    def start(self):
        self.data.mkdir(exist_ok=True)
        if not any(self.data.iterdir()):
            subprocess.run(self._java("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID,
                                      "-c", self.properties), check=True, capture_output=True, timeout=READY_LIMIT_S)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self._java("kafka.Kafka", self.properties), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **self.env})
        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            if self.process.poll() is not None:
                raise NodeError(f"Kafka ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise NodeError(f"Kafka did not listen in {READY_LIMIT_S} s: {self.tail()}")
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.1)

    def stop(self):
        """SIGTERM. Java then ends with 143."""
        self.process.terminate()
        self.process.wait(READY_LIMIT_S)
