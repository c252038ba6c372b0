#!/usr/bin/env python3
"""Goal: combinations that cannot work end the evaluation with advice, and those that work do not.
Method: each mistake alone, laid over an example that is in order."""

import re
import unittest

import nix

TLS = """services.chronik.tls.bundles.node = { certificate = "/c/node.pem"; key = "/c/node.key"; ca = "/c/ca.pem"; };
         services.chronik.settings.cluster = { listen = "0.0.0.0:9093"; controllers = "1@a:9093,2@b:9093,3@c:9093"; };
         services.chronik.settings.server.node_id = 1;
         services.chronik.settings.replication = { factor = 3; min_insync_replicas = 2; };"""


def plain(text):
    return re.sub(r"\s+", " ", text)


def over_single(text):
    """What the single machine asserts with these definitions beside its own, in one line."""
    seen = nix.evaluate(modules="[ ./nixos/examples/single.nix ({ lib, config, ... }: { %s }) ]" % text)["machines"]["it"]
    return [plain(a) for a in seen["assertions"]], [plain(w) for w in seen["warnings"]]


class Node(unittest.TestCase):
    def test_in_order(self):
        self.assertEqual(over_single(""), ([], []))
        self.assertEqual(over_single(TLS), ([], []))

    def test_mistakes(self):
        for text, says in (
                (TLS.replace(",3@c:9093", ""), "names 2 controllers"),
                (TLS.replace("3@c", "1@c"), "gives an id twice"),
                (TLS.replace("node_id = 1", "node_id = 9"), "is not among cluster.controllers (1, 2, 3)"),
                (TLS.replace("services.chronik.settings.server.node_id = 1;", ""), "node_id is not set"),
                (TLS.replace("insync_replicas = 2", "insync_replicas = 4"), "is 4, above replication.factor, which is 3"),
                (TLS.replace("services.chronik.tls.bundles.node =", "services.chronik.tls.bundles.other ="),
                 "this one has no certificate"),
                (TLS.replace('ca = "/c/ca.pem";', ""), "bundles.node.ca is missing"),
                (TLS.replace('"/c/node.key"', '"/nix/store/x"'), "none in /nix/store"),
                ('services.chronik.settings.server.admin = "0.0.0.0:9644";', "which is not loopback"),
                ('services.chronik.settings.server.admin = "[::]:9644";', "which is not loopback"),
                ('services.chronik.settings.security.authorizer = "standard";', "nobody can make the first rule"),
                ("services.chronik.volumes.enable = lib.mkForce false;", "nothing is mounted at /var/lib/chronik"),
                ('services.chronik.settings.listeners.X.protocol = "PLAINTEXT";', "listeners.X.address is missing"),
                ('services.chronik.settings.listeners.X = { address = "0.0.0.0:1"; protocol = "SASL_SSL"; };',
                 "protocol SASL_SSL encrypts, and there is no certificate"),
                ('services.chronik.settings.listeners.X = { address = "0.0.0.0:1"; protocol = "SSL"; client_auth = "required";'
                 ' tls_certificate = "/c"; tls_key = "/k"; };', "tls_ca names no authority"),
                ('services.chronik.credentials.x.source = "/nix/store/x";', "a source lies in /nix/store"),
                ('services.chronik.settings.cluster.first_user_file = "/nix/store/x";', "a secret lies in /nix/store"),
                ('services.chronik.volumes.data.encryption = "key-file";', "keyFile does not say which"),
                ('services.chronik.volumes.data = { encryption = "key-file"; keyFile = "/run/k"; };', "cannot be given the key file"),
                ('services.chronik.resources = { cpu = "8"; cpuLimit = "4"; };', "above cpuLimit"),
                ("services.chronik.time.servers = lib.mkForce [ ];", "time.servers is empty"),
                ("services.chronik.ssh.keys = lib.mkForce [ ];", "nobody could log in"),
                ("services.chronik.management.enable = true;", "management.addresses is empty"),
                ("services.chronik.journal.upload.enable = true;", "journal.upload.host is empty"),
                ("services.chronik.monitoring.enable = true;", "monitoring.nodes is empty"),
                ('services.chronik.firewall.allow.x = { from = [ "nobody" ]; tcp = [ 1 ]; };', "names nobody"),
                ('services.chronik.firewall.networks.clients = [ "example.org" ];', "no address and no range")):
            with self.subTest(says):
                failed, _ = over_single(text)
                self.assertTrue(any(says in f for f in failed), failed)

    def test_warnings(self):
        for text, says in (
                (TLS.replace("factor = 3; min_insync_replicas = 2;", ""), "one copy only"),
                (TLS.replace("insync_replicas = 2", "insync_replicas = 3"), "nothing can be written while a node is down"),
                (TLS.replace(",2@b:9093,3@c:9093", ""), "with one controller")):
            with self.subTest(says):
                failed, warned = over_single(text)
                self.assertEqual(failed, [])
                self.assertTrue(any(says in w for w in warned), warned)

    def test_types(self):
        """A value that the table of parameters does not allow, and a name of ours that is misspelt, are refused by name."""
        for text, says in (
                ("services.chronik.settings.server.node_id = -1;", "settings.server.node_id' is not of type"),
                ('services.chronik.settings.server.roles = [ "broker" ];', "settings.server.roles.*' is not of type"),
                ('services.chronik.settings.storage.compression_type = "zip";', "settings.storage.compression_type' is not of type"),
                ('services.chronik.settings.server.kafka = "nowhere";', "settings.server.kafka' is not of type"),
                ("services.chronik.setings = { };", "`services.chronik.setings' does not exist"),
                ("services.chronik.firewall.enabled = true;", "`services.chronik.firewall.enabled' does not exist"),
                ("systemd.servicess.x = { };", "does not exist")):
            with self.subTest(says), self.assertRaises(AssertionError) as caught:
                over_single(text)
            self.assertIn(says, str(caught.exception))


class Cluster(unittest.TestCase):
    def test_mistakes(self):
        for text, says in (
                ("controllers = 4;", "Give 3 or 5"),
                ("ingestNodes = 2;", "only 2 nodes keep records (ingestNodes)"),
                ("ingestNodes = 0; replication.factor = 5;", "only 3 nodes keep records (controllers)"),
                ("replication.minInsyncReplicas = 4;", "above replication.factor = 3"),
                ('inventory.ingest-11.rack = "x";', "inventory names ingest-11"),
                ('network.firstIngest = "10.20.0.12";', "two nodes have the same address"),
                ('inventory.ingest-2.address = "10.20.1.1";', "two nodes have the same address"),
                ('storage.backend.gcs.bucket = "b";', "more than one object store"),
                ("monitoring.otlpEndpoint = null;", "does not say where to"),
                ("racks = [ ];", "racks is empty"),
                ("sshKeys = [ ];", "nobody could log in"),
                ("controlers = 3;", "`controlers' does not exist"),
                ('metadataStorage.type = "rocksdb";', "not of type"),
                ('storage.size = "1 TB";', "not of type")):
            with self.subTest(says), self.assertRaises(AssertionError) as caught:
                nix.evaluate(cluster="./nixos/examples/production.nix", more="{ %s }" % text)
            self.assertIn(says, plain(str(caught.exception)))

    def test_sled_is_embedded(self):
        seen = nix.evaluate(cluster="./nixos/examples/production.nix", more='{ metadataStorage.type = "sled"; storage.storageClass = "x"; }')
        self.assertTrue(any("`sled` is the guide's name" in w for w in seen["warnings"]))
        self.assertTrue(any("storageClass" in w for w in seen["warnings"]))


if __name__ == "__main__":
    nix.main()
