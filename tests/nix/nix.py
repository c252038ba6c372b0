"""What the tests of nixos/ share: the evaluator, the machines of the example clusters, network namespaces."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests" / "nix"
CHRONIKD = os.environ.get("CHRONIKD", str(ROOT / "build" / "src" / "chronikd" / "chronikd"))
CLUSTERS = ("production", "small", "trial")
SKIPPED = 77


def main():
    """Runs the tests of a file; where nix is not installed they are skipped, and the line says so."""
    if not shutil.which("nix-instantiate"):
        print("SKIP: nix-instantiate is not here (Debian: nix-bin, tools/packages-nix.txt)")
        sys.exit(SKIPPED)
    unittest.main()


def nix(*args):
    """Runs nix-instantiate without a store of its own."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HOME": home, "NIX_STATE_DIR": home, "NIX_CONFIG": "build-users-group ="}
        return subprocess.run(["nix-instantiate", "--store", "dummy://", *args], capture_output=True, text=True, timeout=120,
                              env=env, cwd=ROOT)


def evaluate(**args):
    """tests/nix/evaluate.nix of a cluster or of modules, given as Nix; AssertionError with Nix's words when it fails."""
    given = [a for name, value in args.items() for a in ("--arg", name, value)]
    done = nix("--eval", "--strict", "--json", str(HERE / "evaluate.nix"), *given)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


@lru_cache(None)
def cluster(name):
    return evaluate(cluster="./nixos/examples/%s.nix" % name)


@lru_cache(None)
def single():
    return evaluate(modules="[ ./nixos/examples/single.nix ]")["machines"]["it"]


def machines():
    """(name of the cluster, name of the machine, what the evaluator says of it) of all examples."""
    for name in CLUSTERS:
        for machine, seen in cluster(name)["machines"].items():
            yield name, machine, seen
    yield "single", "it", single()


def can_make_namespaces():
    return os.geteuid() == 0 and shutil.which("ip") and shutil.which("nft") and \
        subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


def table(text):
    """A whole file for nft, as NixOS makes it of the table's content."""
    return "table inet chronik {\n%s}\n" % text
