#!/usr/bin/env python3
"""Goal: the modules and mkCluster say what is in golden/, chronikd and systemd accept it, and nothing asserts.
Method: the example clusters through the small evaluator; `chronikd --check`; systemd-analyze on units with their drop-ins.

    tests/nix/test_machines.py --write      golden/ anew; read the difference before you commit it
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nix

GOLDEN = nix.HERE / "golden"
# One machine of each kind; the others differ in names and numbers, which the inventory shows.
SHOWN = {"production": ("controller-1", "ingest-1", "ingest-2", "monitor"), "small": ("controller-1",), "trial": ("ingest-2",),
         "single": ("it",)}


def document(seen):
    """What is said of a machine, for people to read as differences."""
    parts = ["# chronik.yaml\n" + seen["yaml"]]
    for name, text in sorted(seen["units"].items()):
        over = " over systemd/%s" % name if name in seen["overlaid"] else ""
        parts.append("# unit %s%s\n%s" % (name, over, text.rstrip("\n")))
    parts.append("# nftables: table inet chronik\n" + seen["rules"])
    parts.append("# the rest\n" + json.dumps(seen["other"], indent=1, sort_keys=True))
    parts.append("# warnings\n" + "\n".join(seen["warnings"]))
    text = "\n\n".join(p.strip("\n") for p in parts) + "\n"
    return text.replace("%s/" % nix.ROOT, "")     # the same wherever the tree lies


def goldens():
    for name, machine, seen in nix.machines():
        if machine in SHOWN[name]:
            yield "%s-%s.txt" % (name, machine), document(seen)
    for name in nix.CLUSTERS:
        seen = nix.cluster(name)
        yield "%s.json" % name, json.dumps({k: seen[k] for k in ("name", "warnings", "inventory")}, indent=1, sort_keys=True) + "\n"


def check(seen):
    """`chronikd --check` of a machine's file, with its credentials at hand as in the build."""
    with tempfile.TemporaryDirectory() as folder:
        for name in seen["credentials"]:
            Path(folder, name).touch()
        file = Path(folder, "chronik.yaml")
        file.write_text(seen["yaml"])
        return subprocess.run([nix.CHRONIKD, "--check", "--config", file], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "CREDENTIALS_DIRECTORY": folder})


def write():
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for name, text in goldens():
        (GOLDEN / name).write_text(text)


class Machines(unittest.TestCase):
    maxDiff = None

    def test_golden(self):
        wanted = dict(goldens())
        self.assertEqual(sorted(p.name for p in GOLDEN.iterdir()), sorted(wanted))
        for name, text in wanted.items():
            with self.subTest(name):
                self.assertEqual((GOLDEN / name).read_text(), text, "tests/nix/test_machines.py --write, then look at the difference")

    def test_nothing_asserts(self):
        for name, machine, seen in nix.machines():
            self.assertEqual(seen["assertions"], [], "%s %s" % (name, machine))

    def test_vm_tests(self):
        """Those that boot machines are in order as far as can be told without booting one."""
        for name in re.findall(r'"(\w+)"', (nix.ROOT / "nixos" / "tests" / "default.nix").read_text()):
            with self.subTest(name):
                seen = nix.evaluate(vmTest="./nixos/tests/%s.nix" % name)
                compile(seen["testScript"], name, "exec")
                self.assertTrue(seen["machines"])
                for machine in seen["machines"].values():
                    self.assertEqual(machine["assertions"], [])
                    done = check(machine)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_ids_and_addresses(self):
        """Nobody has another one's id or address, and a larger cluster moves nobody."""
        inventory = nix.cluster("production")["inventory"]
        self.assertEqual(len(inventory), 13)
        for key in ("id", "address", "address6", "hostName"):
            self.assertEqual(len({n[key] for n in inventory.values()}), 13, key)
        grown = nix.evaluate(cluster="./nixos/examples/production.nix", more="{ controllers = 5; ingestNodes = 15; }")["inventory"]
        self.assertEqual(len(grown), 20)
        for name, node in inventory.items():
            self.assertEqual(grown[name], node)

    def test_chronikd_accepts_each(self):
        for name, machine, seen in nix.machines():
            if seen["yaml"]:
                done = check(seen)
                self.assertEqual(done.returncode, 0, "%s %s: %s" % (name, machine, done.stderr))

    def test_settings_of_every_kind(self):
        """A value of each type, with units and without, comes through as the program reads it."""
        seen = nix.evaluate(modules="""[ ./nixos/examples/single.nix { services.chronik.settings = {
            storage.segment_size = "512MiB"; storage.segment_ms = "12h"; storage.retention_ms = -1;
            storage.compression_type = "zstd"; storage.compression_level = 3; storage.min_cleanable_ratio = 0.25;
            storage.cleanup_policy = [ "delete" "compact" ]; topics.auto_create = false; performance.buffer_memory = 134217728;
            listeners.INSIDE = { address = "[::1]:9095"; protocol = "PLAINTEXT"; };
          }; } ]""")["machines"]["it"]
        self.assertIn("segment_ms: 12h", seen["yaml"])
        self.assertIn("min_cleanable_ratio: 0.25", seen["yaml"])
        done = check(seen)
        self.assertEqual(done.returncode, 0, done.stderr)


class Files(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-repart") and os.geteuid() == 0, "systemd-repart and root")
    def test_partitions(self):
        """systemd-repart reads the definitions; metadata get what they ask for and records the rest, or the disk is too small."""
        for name, data in (("small", "controller-1"), ("single", "it")):
            seen = nix.single() if name == "single" else nix.cluster(name)["machines"][data]
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                for file, partition in seen["other"]["repart"]["partitions"].items():
                    lines = ["%s=%s" % p for p in partition.items()]
                    Path(folder, file + ".conf").write_text("[Partition]\n%s\n" % "\n".join(lines))
                parts = self.repart(folder, 200)
                self.assertEqual([p["label"] for p in parts], ["chronik-meta", "chronik-data"])
                if name == "small":
                    self.assertEqual(parts[0]["raw_size"], 10 << 30)
                    self.assertGreater(parts[1]["raw_size"], 180 << 30)
                    with self.assertRaises(AssertionError):
                        self.repart(folder, 100)

    def repart(self, definitions, size):
        disk = Path(definitions, "disk")
        with open(disk, "wb") as f:
            f.truncate(size << 30)
        done = subprocess.run(["systemd-repart", "--dry-run=yes", "--empty=force", "--json=short", "--no-pager",
                               "--definitions=" + definitions, disk], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_prometheus_accepts(self):
        prometheus = nix.cluster("production")["machines"]["monitor"]["other"]["services"]["prometheus"]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"global": prometheus["globalConfig"], "scrape_configs": prometheus["scrapeConfigs"],
                       "alerting": {"alertmanagers": prometheus["alertmanagers"]}}, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "config", "--syntax-only", file.name], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
class Units(unittest.TestCase):
    def accepted(self, folder, seen):
        """What systemd says of all units of a machine, laid over those of systemd/ as drop-ins; programs are those of the folder."""
        units = folder / "units"
        units.mkdir()
        for path in (nix.ROOT / "systemd").iterdir():
            if path.suffix in (".service", ".timer", ".path", ".slice"):
                (units / path.name).write_text(self.runnable(folder, path.read_text()))
        for name, text in seen["units"].items():
            text = self.runnable(folder, re.sub(r"(?s)\[Install\].*", "", text))
            if name in seen["overlaid"]:
                (units / (name + ".d")).mkdir()
                (units / (name + ".d") / "overrides.conf").write_text(text)
            elif name not in ("grafana.service", "prometheus.service"):
                (units / name).write_text(text)
        names = [str(units / n) for n in seen["units"] if n not in ("grafana.service", "prometheus.service")]
        env = {**os.environ, "SYSTEMD_UNIT_PATH": "%s:/lib/systemd/system" % units}
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names], capture_output=True,
                              text=True, timeout=120, env=env)
        # Other people's units, which a container may lack.
        lines = [x for x in (done.stdout + done.stderr).split("\n") if x and "chronik" in x]
        return lines

    def runnable(self, folder, text):
        """Every program that a unit names is there."""
        program = folder / "program"
        if not program.exists():
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
        text = re.sub(r"/nix/store/[^/ \n]+/bin/[^ \n]+", str(program), text)
        return re.sub(r"(?m)^(Exec\w+=[-+!:@]*)/usr/[^ \n]+", r"\g<1>%s" % program, text)

    def test_systemd_accepts_each(self):
        for name, machine, seen in nix.machines():
            if machine not in SHOWN[name]:
                continue
            with self.subTest(name=name, machine=machine), tempfile.TemporaryDirectory() as folder:
                self.assertEqual(self.accepted(Path(folder), seen), [])

    def test_a_mistake_is_found(self):
        seen = json.loads(json.dumps(nix.single()))
        seen["units"]["chronikd.service"] += "\n[Service]\nNoSuchKey=1\n"
        seen["units"]["chronikd.service"] = seen["units"]["chronikd.service"].replace("[Install]", "[Instal]")
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("NoSuchKey", "".join(self.accepted(Path(folder), seen)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        nix.main()
