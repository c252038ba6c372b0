#!/usr/bin/env python3
"""Goal: the flake has what docs/NIXOS.md promises, and every file that it reaches can be called.
Method: its outputs with a nixpkgs of names (flake.nix); builds are for where nixpkgs is."""

import json
import re
import unittest

import nix

SYSTEMS = ["aarch64-linux", "x86_64-linux"]


class Flake(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = nix.nix("--eval", "--strict", "--json", str(nix.HERE / "flake.nix"))
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.flake = json.loads(done.stdout)

    def test_outputs(self):
        for output, names in (("packages", ["chronik", "chronik-ctl", "default"]), ("devShells", ["default"]),
                              ("apps", ["chronik-ctl", "default"]), ("checks", ["chronik", "cluster", "single", "tls"])):
            self.assertEqual(sorted(self.flake[output]), SYSTEMS)
            for system in SYSTEMS:
                self.assertEqual(sorted(self.flake[output][system]), names)
        self.assertEqual(sorted(self.flake["formatter"]), SYSTEMS)
        self.assertEqual(self.flake["modules"], ["default"])
        self.assertRegex(self.flake["apps"]["x86_64-linux"]["default"], "/bin/chronikd$")

    def test_examples(self):
        names = {"monitor", "single", *("controller-%d" % n for n in range(1, 4)), *("ingest-%d" % n for n in range(1, 11))}
        self.assertEqual(set(self.flake["configurations"]), names)
        self.assertEqual(self.flake["configurations"]["ingest-10"], "ingest-10")

    def test_input(self):
        """A released branch; no lock is made up where there is no network."""
        self.assertRegex(self.flake["input"], r"^github:NixOS/nixpkgs/nixos-\d\d\.(05|11)$")
        self.assertEqual(self.flake["version"], re.search(r"version: '([\d.]+)'", (nix.ROOT / "meson.build").read_text()).group(1))


if __name__ == "__main__":
    nix.main()
