"""Apache Kafka in place of chronikd, so that the harness and the checker can be judged: what they find there is their own fault, or
one of Kafka's.

`fault.py --kafka build/clients/kafka-tools/lib`, with the jars that `tests/client/run --prepare kafka-tools` leaves there. Kafka
does not flush before it acknowledges, so faults below a process (disk, power) are no fair test of it.
"""

import signal
import socket
import subprocess

from cluster import Cluster, ClusterError, Node
from hosts import KAFKA, PEER
from route import Again, judge

JVM = ["-Xmx400m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
ENDS_WITH = 143                         # Java's status after SIGTERM


class KafkaNode(Node):
    """One JVM; ready when its port answers."""

    ends_with = ENDS_WITH
    formatted = False

    def begin(self):
        if not self.formatted:
            done = subprocess.run(self.format, capture_output=True, text=True, timeout=90, check=False)
            if done.returncode:
                raise ClusterError(f"{self}: {done.stdout[-300:]}{done.stderr[-300:]}")
            self.formatted = True
        super().begin()

    def ready(self):
        if self.process.poll() is not None:
            raise ClusterError(f"{self} ended with {self.process.returncode}: {self.tail()}")
        try:
            host, port = self.address.rsplit(":", 1)
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False


class KafkaCluster(Cluster):
    def __init__(self, jars, *args, **options):
        self.jars = jars
        super().__init__(*args, **options)

    def node(self, number, roles, disk):
        node = KafkaNode(number, roles, [], self.folder / f"node-{number}", self.env(number), disk)
        properties = self.properties(number, roles)
        node.address = self.hosts.address(number, KAFKA if node.serves else PEER)
        node.command = self.hosts.command(number, self.java("kafka.Kafka", properties))
        node.format = self.java("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", properties)
        return node

    def java(self, main, *args):
        return ["/usr/bin/java", *JVM, "-cp", f"{self.jars}/*", main, *map(str, args)]

    def properties(self, number, roles):
        listeners = {"ingest": f"PLAINTEXT://{self.hosts.address(number, KAFKA)}",
                     "controller": f"CONTROLLER://{self.hosts.address(number, PEER)}"}
        ingest = len([r for r in self.roles.values() if "ingest" in r])
        (self.folder / f"node-{number}").mkdir(exist_ok=True)
        values = {
            "process.roles": roles.replace("ingest", "broker"), "node.id": number, "log.dirs": self.folder / f"node-{number}/data",
            "controller.quorum.voters": self.controllers(), "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(listeners[r] for r in roles.split(",")),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "offsets.topic.replication.factor": min(3, ingest), "offsets.topic.num.partitions": 6,
            "min.insync.replicas": max(1, min(3, ingest) - 1), "group.initial.rebalance.delay.ms": 300,
            "broker.session.timeout.ms": 1500, "broker.heartbeat.interval.ms": 400, "replica.lag.time.max.ms": 3000,
        }
        path = self.folder / f"node-{number}.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
        return path

    def stop(self):
        """All at once: Kafka's last ones would wait for a controller that is gone."""
        for node in self.nodes.values():
            node.signal(signal.SIGTERM)
        for node in self.nodes.values():
            node.process.wait(90)
            node.expected_dead = True

    def active_controller(self):
        route = self.route()
        try:
            answer = route.ask_any("DescribeQuorum", 0, topics=[{"topic_name": "__cluster_metadata",
                                                                 "partitions": [{"partition_index": 0}]}])
            judge(answer["error_code"], "DescribeQuorum")
            return self.nodes.get(answer["topics"][0]["partitions"][0]["leader_id"])
        except Again:
            return None
        finally:
            route.close()
