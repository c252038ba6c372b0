#!/usr/bin/env python3
"""Goal: a ChronikCluster resource becomes a cluster of ours with nothing lost in silence.
Method: tools/import-cluster on resources of a few lines; what it prints goes through mkCluster."""

import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nix

RESOURCE = """\
apiVersion: v1
kind: Namespace
metadata: {name: streams}
---
apiVersion: chronik.stream/v1alpha1
kind: ChronikCluster
metadata:
  name: streams
  namespace: streams-prod
spec:
  controllers: 5
  ingestNodes: 4
  storage:
    backend:
      s3: {bucket: streams, region: eu-west-1, endpoint: "http://minio.example.org:9000"}
    size: 2Ti
    storageClass: fast
  metadataStorage: {type: sled, volumeSize: 20Gi, storageClass: fast}
  resources:
    controller: {cpu: 2, memory: 4Gi}
    ingest: {cpu: "0.5", memory: 8Gi, cpuLimit: "8", memoryLimit: 24Gi}
  monitoring: {prometheus: true, tracing: false}
  security:
    tls: {enabled: true, certSecret: streams-tls}
    authentication: {enabled: true, mechanisms: [SCRAM-SHA-256]}
"""
SETTINGS = """\
server: {num_network_threads: 16, max_connections: 5000}
storage: {segment_size: 536870912, compression_type: zstd, compression_level: 3}
"""


@unittest.skipUnless(importlib.util.find_spec("yaml"), "PyYAML is not here (Debian: python3-yaml)")
class Import(unittest.TestCase):
    def convert(self, text, *args):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "cluster.yaml")
            file.write_text(text)
            settings = Path(folder, "settings.yaml")
            settings.write_text(SETTINGS)
            args = [str(settings) if a is SETTINGS else a for a in args]
            return subprocess.run([sys.executable, nix.ROOT / "tools" / "import-cluster", file, *args], capture_output=True, text=True,
                                  timeout=60)

    def test_whole(self):
        done = self.convert(RESOURCE, "--settings", SETTINGS)
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("`sled` is called `embedded`", "spec.storage.storageClass", "metadata.namespace", "kind Namespace is left out"):
            self.assertIn(words, done.stderr)
        self.assertNotIn("storageClass", done.stdout)
        with tempfile.NamedTemporaryFile("w", suffix=".nix") as file:
            file.write(done.stdout)
            file.flush()
            seen = nix.evaluate(cluster=file.name, more='{ sshKeys = [ "k" ]; network.resolvers = [ "10.0.0.1" ]; '
                                                        "modules = [ ./nixos/examples/hardware.nix ]; }")
        self.assertEqual((seen["name"], len(seen["inventory"])), ("streams", 9))
        node = seen["machines"]["ingest-4"]
        self.assertEqual(node["assertions"], [])
        for line in ("num_network_threads: 16", "segment_size: 536870912", 'compression_type: "zstd"', 'sasl_mechanisms: ["SCRAM-SHA-256"]'):
            self.assertIn(line, node["yaml"])
        for line in ("CPUWeight=50", "CPUQuota=800%", "MemoryLow=8G", "MemoryMax=24G"):
            self.assertIn(line, node["units"]["chronik.slice"])
        self.assertIn("/etc/credstore.encrypted/streams-tls.node.key", node["units"]["chronik-tls.service"])
        self.assertIn("tcp dport { 9000 }", node["rules"])
        self.assertEqual(node["other"]["repart"]["partitions"]["60-chronik-metadata"]["SizeMaxBytes"], "20G")

    def test_mistakes(self):
        for old, new, says in (
                ("controllers: 5", "controlers: 5", "spec.controlers is not known; there are controllers, ingestNodes"),
                ("controllers: 5", "controllers: five", "spec.controllers is 'five'; give a number"),
                ("tracing: false", "tracing: 1", "spec.monitoring.tracing is 1; give true or false"),
                ("kind: ChronikCluster", "kind: Cluster", "0 resources of kind ChronikCluster"),
                ("spec:\n", "spec: [\n", "error:")):
            with self.subTest(says):
                done = self.convert(RESOURCE.replace(old, new))
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    nix.main()
