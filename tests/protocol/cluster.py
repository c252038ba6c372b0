"""ClusterCase: several nodes of one cluster for each TestCase class, on loopback and without TLS."""

import socket
import time
import unittest

from case import NodeCase
from kafka import Client
from node import STOP_LIMIT_S, Node, NodeError


def free_ports(count):
    """Ports that nobody has now. They are given back before they are used: whoever takes one meanwhile makes a node fail."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class ClusterCase(NodeCase):
    """NODES nodes (1, 2, ...), all of them controllers, each in a rack of its own ("rack-1", ...). self.nodes[0] is node 1. What
    NodeCase gives uses node 1; client(node=2) is connected to node 2."""

    NODES = 3
    SETTINGS = []

    @classmethod
    def setUpClass(cls):
        ports = free_ports(2 * cls.NODES)
        peers, kafkas = ports[:cls.NODES], ports[cls.NODES:]
        controllers = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(peers))
        cls.nodes = []
        for i in range(cls.NODES):
            node = Node([f"server.node_id={i + 1}", f"server.kafka=127.0.0.1:{kafkas[i]}", f"server.rack=rack-{i + 1}",
                         f"cluster.listen=127.0.0.1:{peers[i]}", f"cluster.controllers={controllers}",
                         "cluster.plaintext=true", *cls.SETTINGS])
            cls.nodes.append(node)
            cls.addClassCleanup(node.close)
        for node, before in [(node, node.begin()) for node in cls.nodes]:
            node.wait_ready(before)
        cls.node = cls.nodes[0]

    @classmethod
    def tearDownClass(cls):
        running = [node for node in cls.nodes if node.died() is None]
        for node in running:
            node.process.terminate()
        for node in running:
            status = node.process.wait(STOP_LIMIT_S)
            if status:
                raise NodeError(f"chronikd ended with {status} after SIGTERM: {node.tail()}")

    def client(self, node=1, **options):
        client = Client(self.nodes[node - 1].host, self.nodes[node - 1].port, **options)
        self.addCleanup(client.close)
        return client

    def replicated(self, replicas=(1, 2, 3), name=None, **configs):
        """A topic of one partition whose replicas are these nodes, the first one leading; returns its name."""
        name = name or self.fresh()
        configs = [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]
        with Client(self.node.host, self.node.port) as client:
            answer = client.call("CreateTopics", 7, topics=[
                {"name": name, "num_partitions": -1, "replication_factor": -1, "configs": configs,
                 "assignments": [{"partition_index": 0, "broker_ids": list(replicas)}]}])
        self.assertError(answer["topics"][0]["error_code"], 0, answer["topics"][0]["error_message"])
        for node in set(replicas):
            self.wait_until(lambda node=node: self.state(name, node)["leader_id"] == replicas[0],
                            f"node {node} does not know who leads {name}")
        return name

    def state(self, topic, node=1):
        """What a node says of partition 0 of a topic (Metadata)."""
        with Client(self.nodes[node - 1].host, self.nodes[node - 1].port) as client:
            answer = client.call("Metadata", 12, topics=[{"name": topic}], allow_auto_topic_creation=False)
        partitions = answer["topics"][0]["partitions"]
        return partitions[0] if partitions else {"leader_id": -1, "isr_nodes": [], "leader_epoch": -1}

    def wait_isr(self, topic, isr, node=1, limit_s=30):
        self.wait_until(lambda: set(self.state(topic, node)["isr_nodes"]) == set(isr),
                        f"the ISR does not become {isr}", limit_s)
