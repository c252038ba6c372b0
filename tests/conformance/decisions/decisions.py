#!/usr/bin/python3
"""Who may do what: Chronik's authorizer and Kafka's StandardAuthorizer are asked the same, principal by operation by resource.

    decisions.py --jars FOLDER --build FOLDER [--seed N] [--worlds N]

Both programs (Decisions.java, decisions.c) are given lines of words between tabs, and answer each ask and any with yes or no:
    world  SUPER_USERS  yes|no (allow.everyone.if.no.acl.found)         all rules are gone
    rule   TYPE  PATTERN  NAME  PRINCIPAL  HOST  OPERATION  PERMISSION
    ask    PRINCIPAL  HOST  OPERATION  TYPE  NAME
    any    PRINCIPAL  HOST  OPERATION  TYPE                             may it with any resource of the type?
Worlds are random: few names, which are each other's prefixes, so that rules meet. In each, everything is asked. No name begins with
"*": for such a name (of a group, say) Kafka does not find the rules of "*", not even those that deny; Chronik does.
"""
import argparse
import itertools
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TYPES = ("TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER")
OPERATIONS = ("READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS", "ALTER_CONFIGS",
              "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT")
NAMES = ("a", "aa", "aab", "aabb", "ab", "b", "a*", "a.b", "é")
PRINCIPALS = ("User:alice", "User:bob", "User:CN=web,O=example", "User:ANONYMOUS", "Group:alice")
HOSTS = ("10.0.0.1", "10.0.0.2")
SHOWN = 10


def rule(rng):
    kind = rng.choice(TYPES)
    if kind == "CLUSTER":
        pattern, name = "LITERAL", "kafka-cluster"
    else:
        pattern = rng.choice(("LITERAL", "PREFIXED"))
        name = rng.choice(NAMES + ("*",)) if pattern == "LITERAL" else rng.choice(NAMES)
    return ("rule", kind, pattern, name, rng.choice(PRINCIPALS + ("User:*",)), rng.choice(HOSTS + ("*",)),
            rng.choice(OPERATIONS + ("ALL",)), rng.choices(("ALLOW", "DENY"), (3, 1))[0])


def world(rng):
    yield "world", rng.choice(("", "User:alice", "User:bob;User:CN=web,O=example")), rng.choice(("yes", "no"))
    yield from {rule(rng) for _ in range(rng.choice((0, 1, 5, 20, 60)))}
    for who, host, operation, kind in itertools.product(PRINCIPALS, HOSTS, OPERATIONS, TYPES):
        yield "any", who, host, operation, kind
        for name in ("kafka-cluster",) if kind == "CLUSTER" else NAMES:
            yield "ask", who, host, operation, kind, name


def answers(command, lines):
    text = "".join("\t".join(line) + "\n" for line in lines)
    got = subprocess.run(command, input=text.encode(), capture_output=True, timeout=900, check=False)
    if got.returncode:
        sys.exit(f"{command[0]} ended with {got.returncode}: {got.stderr.decode()[-2000:]}")
    return got.stdout.decode().split()


def context(lines, at):
    """The world in which line @at was asked, without what else was asked."""
    begin = max(i for i in range(at) if lines[i][0] == "world")
    return [line for line in lines[begin:at] if line[0] in ("world", "rule")]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--jars", required=True, type=Path)
    p.add_argument("--build", required=True, type=Path)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--worlds", type=int, default=60)
    args = p.parse_args()
    rng = random.Random(args.seed)
    lines = [line for _ in range(args.worlds) for line in world(rng)]
    with tempfile.TemporaryDirectory() as classes:
        subprocess.run(["javac", "-nowarn", "-cp", f"{args.jars}/*", "-d", classes, HERE / "Decisions.java"], check=True)
        kafka = answers(["java", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{classes}:{args.jars}/*",
                         "Decisions"], lines)
    ours = answers([str(args.build / "tests/conformance/decisions")], lines)
    asked = [i for i, line in enumerate(lines) if line[0] in ("ask", "any")]
    if not len(kafka) == len(ours) == len(asked):
        sys.exit(f"{len(asked)} questions, {len(kafka)} answers of Kafka, {len(ours)} of Chronik")
    wrong = [(at, k) for at, k, o in zip(asked, kafka, ours) if k != o]
    for at, k in wrong[:SHOWN]:
        print(f"seed {args.seed}: Kafka says {k} to {lines[at]} in {context(lines, at)}")
    print(f"{len(asked):,} decisions in {args.worlds} worlds of rules (seed {args.seed}), {kafka.count('yes'):,} of them yes; "
          f"{len(wrong)} differ")
    return 1 if wrong or not 0 < kafka.count("yes") < len(asked) else 0


if __name__ == "__main__":
    sys.exit(main())
