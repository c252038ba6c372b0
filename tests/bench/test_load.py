#!/usr/bin/env python3
"""One fetch over 3,000 partitions that all have records is answered, and the load generator counts what it reads.

Method: bench-load makes the topic, produces one batch for each partition and reads all of them over one connection;
then it must refuse a count that is wrong by one, so that a figure of `make bench` stands for records that were there. Members of groups
likewise: bench-load goes on only when each has its partitions.
usage: test_load.py CHRONIKD BENCH-LOAD
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from servers import Chronikd, Load, LoadError

PARTITIONS = 3000
SHM = "/dev/shm"


def groups(load):
    """Members of consumer groups: all are given their partitions, and one more moves one of six in each group."""
    load("create", topic="groups", partitions=6)
    command = load.command("groups", topic="groups", partitions=6, groups=20, members=3, rate=100, seconds=0.5, connections=4,
                           in_flight=8)
    got = subprocess.run(command, input="\n\n", capture_output=True, text=True, timeout=60, check=True)
    join, steady, rebalance = (json.loads(line) for line in got.stdout.splitlines())
    assert (join["phase"], steady["heartbeats"], steady["gave_up"]) == ("join", 50, 0), (join, steady)
    assert rebalance["gave_up"] == 20, rebalance


def main(chronikd, load_program):
    # In memory where that is possible: thousands of files take a disk half a minute to delete.
    folder = Path(tempfile.mkdtemp(prefix="chronik-load-", dir=SHM if os.access(SHM, os.W_OK) else None))
    try:
        with Chronikd(chronikd, folder / "data") as node:
            load = Load(load_program, node.port)
            topic = {"topic": "wide", "partitions": PARTITIONS}
            load("create", **topic, config="chronik.flush.before.ack=false")
            load("produce", **topic, batches_max=PARTITIONS, in_flight=16, batch_bytes=200, record_bytes=100)
            got = load("consume", **topic, expect_records=2 * PARTITIONS)
            assert got["records"] == 2 * PARTITIONS, got
            try:
                load("consume", **topic, expect_records=2 * PARTITIONS + 1)
            except LoadError as error:
                assert "were read, not" in str(error), error
            else:
                raise AssertionError("a wrong count was accepted")
            groups(load)
            assert node.alive(), "chronikd died"
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
