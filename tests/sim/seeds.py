#!/usr/bin/env python3
"""Do the runs of a list again (seeds.txt): seeds.py SIM-CLUSTER LIST. Status 1 when one of them fails."""

import os
import subprocess
import sys


def runs(path):
    """[{variable: value}], and what was wrong."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            settings, _, words = line.partition("#")
            if settings.strip():
                yield dict(word.split("=", 1) for word in settings.split()), words.strip()


def main():
    program, path = sys.argv[1:3]
    failed = 0
    for settings, words in runs(path):
        done = subprocess.run([program], env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        print("FAILED" if done.returncode else "ok", settings["SIM_SEED"], words, flush=True)
        if done.returncode:
            sys.stdout.write(done.stdout.decode(errors="replace")[-4000:])
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
