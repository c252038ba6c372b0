#!/usr/bin/env python3
"""Checks of the tree itself: what no compiler says and a reader counts on.

    tests/tidy/tidy.py              prints which folder of src/ includes which, and what is wrong; exit 1 when anything is
    tests/tidy/tidy.py --self-test  each check must be silent on a good tree and speak on a bad one

The rules are tables in rules.py.
"""

import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import checks  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
SKIPPED = ("build", "node_modules", "__pycache__", "chronik-data")


def read_tree(root):
    """Every text file of the project as path -> text; what is built, hidden (but for .ci) or binary is left out."""
    tree = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(SKIPPED) and (f[0] != "." or f == ".ci"))
        for name in files:
            path = Path(folder, name)
            if path.is_symlink() or (name[0] == "." and name != ".gitignore" and name != ".clang-format"):
                continue
            data = path.read_bytes()
            if b"\0" in data:
                continue
            try:
                tree[path.relative_to(root).as_posix()] = data.decode()
            except UnicodeDecodeError:
                continue
    return tree


def main():
    if sys.argv[1:] == ["--self-test"]:
        import self_test
        return self_test.main()
    if sys.argv[1:]:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    started, tree, found = time.monotonic(), read_tree(ROOT), 0
    checks.print_matrix(tree)
    for check in checks.CHECKS:
        for f in check(tree):
            found += 1
            print("%s: %s: %s" % (check.__name__, f.path if not f.line else "%s:%d" % (f.path, f.line), f.text))
    print("%d files, %d checks, %d findings, %.1f s" % (len(tree), len(checks.CHECKS), found, time.monotonic() - started))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
