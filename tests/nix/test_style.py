#!/usr/bin/env python3
"""Goal: every file of Nix is read by Nix, and reads like the others.
Method: nix-instantiate --parse; rules that can be told from the text; nixfmt, where it is installed."""

import re
import shutil
import subprocess
import unittest

import nix

WIDTH = 140


def files():
    skipped = ("build", ".")
    return sorted(p for p in nix.ROOT.rglob("*.nix")
                  if not p.relative_to(nix.ROOT).parts[0].startswith(skipped))


class Style(unittest.TestCase):
    def test_parses(self):
        self.assertGreater(len(files()), 20)
        for path in files():
            done = nix.nix("--parse", str(path))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_rules(self):
        """No `with` around a whole file, no tabs, no long lines, no option that released NixOS lacks."""
        for path in files():
            text = path.read_text()
            code = re.sub(r"(?m)#.*$", "", text)
            with self.subTest(path=path.name):
                self.assertIsNone(re.search(r"(?m)^with\b", code), "a top-level `with` hides where names come from")
                self.assertNotIn("\t", text)
                self.assertLessEqual(max(map(len, text.split("\n"))), WIDTH)
                self.assertNotIn("bootCounting", code)
                self.assertTrue(text.endswith("\n") and not text.endswith("\n\n"))

    @unittest.skipUnless(shutil.which("nixfmt"), "nixfmt is not here; in `nix develop` it is")
    def test_nixfmt(self):
        done = subprocess.run(["nixfmt", "--check", *map(str, files())], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    nix.main()
