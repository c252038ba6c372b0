"""Copy loops: consume, transform, produce in transactions, by a client that is killed again and again, with its broker.

Called with --program "COMMAND" before the address: a copy loop as README.md describes it. Two of them share a group.
"""
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from broker import Broker  # noqa: E402
from checks import QUICK, RUN, bootstrap, check, expect, expect_true, main, until  # noqa: E402
from feed import PARTITIONS, SETTLE_S, Client, options  # noqa: E402
from numbered import faults, value  # noqa: E402
from programs import STORM_TIMES, Program, Together, quiet, seed, storm  # noqa: E402

STORM_S = 12 if QUICK else 60
OPTIONS = options()
PROGRAM = Client(OPTIONS["program"])
BOOTSTRAP = bootstrap()


def copiers(broker, folder, source, target):
    """Two, with transactional ids of their own. One is a static member of the group: its successor takes its place at once."""
    return [Program(f"copier {i}", [*PROGRAM.command, "copy", broker.address, source, target, f"{source}-group", f"{source}-copier-{i}",
                                    "static" if i else "-", broker.session_ms], os.path.join(folder, f"copier-{i}")) for i in range(2)]


def until_copied(broker, both, source, target):
    """Until the group has committed all of @source and nothing is open in @target."""
    def done():
        ends = [end for end, _ in broker.ends(source, PARTITIONS)]
        return (broker.committed(f"{source}-group", source, PARTITIONS) == ends
                and all(end == stable for end, stable in broker.ends(target, PARTITIONS)))
    copied = quiet(both, SETTLE_S, done)
    expect_true(f"not copied {SETTLE_S} s after the storm: {broker.committed(f'{source}-group', source, PARTITIONS)} of "
                f"{broker.ends(source, PARTITIONS)}, {broker.ends(target, PARTITIONS)}; {[p.tail() for p in both]}", copied)


def topics(broker, tag):
    source, target = f"{RUN}-{tag}-source", f"{RUN}-{tag}-target"
    broker.create(source, PARTITIONS)
    broker.create(target, PARTITIONS)
    return source, target


@check("copy-planted", 120)
def copy_planted():
    """The copy of a source in which a record is missing and one is twice: the proof of copy-killed names these two."""
    with Broker(BOOTSTRAP) as broker, tempfile.TemporaryDirectory() as folder:
        source, target = topics(broker, "planted")
        rows = [(p, value(p, n)) for n in range(100) for p in range(PARTITIONS)]
        rows.remove((1, "1-17"))
        rows.insert(250, (2, "2-23"))
        PROGRAM.fill(broker.address, source, rows)
        with Together(*copiers(broker, folder, source, target)) as both:
            until_copied(broker, both, source, target)
            for p in both:
                p.stop()
        found = faults(PROGRAM.read(broker.address, target, "read_committed"), dict.fromkeys(range(PARTITIONS), 100))
        expect("what the proof says", found, ["lost: 1-17", "twice: 2-23"])


@check("copy-killed", (STORM_TIMES + 1) * STORM_S + 2 * SETTLE_S)
def copy_killed():
    """Both copiers and the broker are killed while records flow: each record is copied once, in order."""
    number = seed()
    print(f"# copy-killed has seed {number}", flush=True)
    with Broker(BOOTSTRAP) as broker, tempfile.TemporaryDirectory() as folder:
        source, target = topics(broker, "killed")
        feed = PROGRAM.feed(broker.address, source)
        try:
            with Together(*copiers(broker, folder, source, target)) as both:
                until("the first copies", lambda: sum(end for end, _ in broker.ends(target, PARTITIONS)) > 0, SETTLE_S)
                storm(random.Random(number), both, broker, STORM_S, lambda: broker.torn(target, PARTITIONS))
                counts = feed.finish()
                until_copied(broker, both, source, target)
                for p in both:
                    p.stop()
        finally:
            feed.end()
        prove(broker, source, target, counts, both)


def prove(broker, source, target, counts, both):
    expect("faults of the source", faults(PROGRAM.read(broker.address, source, "read_uncommitted"), counts), [])
    expect("faults of the copy", faults(PROGRAM.read(broker.address, target, "read_committed"), counts), [])
    expect("faults of the copy, read with the tests' own codec", faults(broker.read_committed(target, PARTITIONS), counts), [])
    torn = len(PROGRAM.read(broker.address, target, "read_uncommitted")) - sum(counts.values())
    if broker.node:
        broker.kill()
        expect("faults of the copy after one more kill", faults(PROGRAM.read(broker.address, target, "read_committed"), counts), [])
    print(f"# {sum(counts.values())} records; copiers killed {[p.kills for p in both]} and given up {[p.gave_up for p in both]}, "
          f"broker killed {broker.kills}, {torn} records in transactions that were aborted", flush=True)
    expect_true("no kill has torn a transaction, so nothing was proved", torn > 0)


if __name__ == "__main__":
    main(OPTIONS["title"])
