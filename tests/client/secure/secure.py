"""One client that says who it is, by every mechanism and protocol; and is refused when it is not who it says.

Called with kcat, confluent, "java JAVA..." or "TITLE PROGRAM..." before the address, which is not used: the node is one of its own.
"""
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "python"))
sys.path.insert(0, HERE)

from checks import Skip, check, expect, expect_true, main, topic_name  # noqa: E402
from clients import Confluent, Java, Kcat, Program, Who  # noqa: E402
from world import ALICE, MECHANISMS, PASSWORD, SESSION_MS, World  # noqa: E402

KIND = shlex.split(sys.argv.pop(1))
WORLD = World().begin()
CLIENT = {"kcat": Kcat, "confluent": Confluent, "java": lambda world: Java(world, KIND[1:])}.get(
    KIND[0], lambda world: Program(world, KIND[1:]))(WORLD)
LINES = [b"line %d" % i for i in range(20)]


def alice(protocol="SASL_SSL", mechanism="SCRAM-SHA-512", password=PASSWORD, user=ALICE, **more):
    return Who(protocol, mechanism, user, password, **more)


def both_ways(listener, who, tag):
    topic = topic_name(tag)
    CLIENT.produce(listener, who, topic, LINES)
    expect("what is read", sorted(CLIENT.consume(listener, who, topic, len(LINES))), sorted(LINES))
    return topic


def mechanism_check(mechanism):
    @check(f"sasl-ssl-{mechanism.lower()}")
    def over_tls():
        both_ways("OUTSIDE", alice(mechanism=mechanism), mechanism)


for _mechanism in MECHANISMS:
    mechanism_check(_mechanism)


@check("sasl-plaintext")
def sasl_plaintext():
    both_ways("INSIDE", alice("SASL_PLAINTEXT", "SCRAM-SHA-256"), "inside")


@check("tls-alone")
def tls_alone():
    both_ways("ENCRYPTED", Who("SSL"), "encrypted")


@check("certificates")
def certificates():
    both_ways("SERVICES", Who("SSL", certificate="bob"), "services")


@check("certificates-refused")
def certificates_refused():
    for certificate in (None, "stranger"):
        CLIENT.fails("SERVICES", Who("SSL", certificate=certificate))


@check("other-server")
def other_server():
    """A client that knows another authority does not talk to this node."""
    said = CLIENT.fails("ENCRYPTED", Who("SSL", ca="other"))
    expect_true(said[-300:], re.search("certificate|SSL handshake|PKIX|SslAuth", said))


@check("wrong-password", timeout_s=240)
def wrong_password():
    for mechanism in MECHANISMS:
        for user in (ALICE, "nobody"):
            said = CLIENT.fails("OUTSIDE", alice(mechanism=mechanism, user=user, password="wrong"))
            expect_true(f"{mechanism} {user}: {said[-300:]}", re.search("(?i)authentication fail|invalid credentials", said))


@check("wrong-mechanism")
def wrong_mechanism():
    said = CLIENT.fails("INSIDE", alice("SASL_PLAINTEXT", "PLAIN"))
    expect_true(said[-300:], re.search("(?i)mechanism", said))
    if not isinstance(CLIENT, Program):     # those do not tell what the server would take
        expect_true(said[-300:], "SCRAM-SHA-256" in said)


@check("sessions", timeout_s=90)
def sessions():
    """KIP-368: the client says again who it is in time, and nothing is disturbed."""
    if not CLIENT.keep:
        raise Skip("kcat ends before a session does")
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        before = WORLD.node.metric("chronik_connections_total")
        CLIENT.keep("BRIEF", alice(mechanism=mechanism), topic_name(f"brief-{mechanism}"), 3 * SESSION_MS / 1000)
        made = WORLD.node.metric("chronik_connections_total") - before
        expect_true(f"{made} connections", made <= 6)


@check("users", timeout_s=120)
def users():
    """kafka-configs makes a user, tells of it and removes it."""
    if not isinstance(CLIENT, Java):
        raise Skip("these are Kafka's tools")
    admin = CLIENT.properties(alice())

    def configs(*args):
        got = CLIENT.run("kafka.admin.ConfigCommand", "--bootstrap-server", WORLD.at("OUTSIDE"), "--command-config", admin,
                         "--entity-type", "users", *args)
        expect_true(f"{args[0]}: {(got.stdout + got.stderr).decode()[-300:]}", not got.returncode)
        return got.stdout.decode()
    configs("--alter", "--entity-name", "carol", "--add-config", "SCRAM-SHA-256=[iterations=5000,password=hers]")
    configs("--alter", "--entity-name", "carol", "--add-config", "SCRAM-SHA-512=[password=hers]")
    text = configs("--describe", "--entity-name", "carol")
    expect_true(text, "SCRAM-SHA-256=iterations=5000" in text and "SCRAM-SHA-512=iterations=4096" in text)
    both_ways("OUTSIDE", alice(user="carol", password="hers"), "carol")
    configs("--alter", "--entity-name", "carol", "--delete-config", "SCRAM-SHA-512")
    CLIENT.fails("OUTSIDE", alice(user="carol", password="hers"))
    both_ways("OUTSIDE", alice(user="carol", password="hers", mechanism="SCRAM-SHA-256"), "carol")


@check("oauthbearer", timeout_s=90)
def oauthbearer():
    """KIP-768: a client that has a signed token is let in; one whose token has ended is not."""
    if isinstance(CLIENT, Kcat):
        raise Skip("kcat takes no token that is signed elsewhere")
    both_ways("SIGNED", Who("SASL_SSL", jwt=WORLD.jwt), "oauth")
    if not isinstance(CLIENT, Java):        # Java does not send one that has ended
        said = CLIENT.fails("SIGNED", Who("SASL_SSL", jwt=WORLD.expired))
        # franz-go and kafkajs do not go on where the server says why (RFC 7628, 3.2.3), and are closed.
        expect_true(said[-300:], re.search("invalid_token|unexpected data in oauth response|Closed connection", said))


@check("delegation-tokens", timeout_s=120)
def delegation_tokens():
    """KIP-48: kafka-delegation-tokens makes a token; a client logs in with it, until it is ended."""
    if not isinstance(CLIENT, Java):
        raise Skip("the tokens are made by Kafka's tools")
    admin = CLIENT.properties(alice())

    def tool(*args):
        got = CLIENT.run("org.apache.kafka.tools.DelegationTokenCommand", "--bootstrap-server", WORLD.at("OUTSIDE"), "--command-config", admin,
                         *args)
        expect_true(f"{args[0]}: {(got.stdout + got.stderr).decode()[-300:]}", not got.returncode)
        return got.stdout.decode()
    text = tool("--create", "--max-life-time-period", -1, "--renewer-principal", "User:bob")
    row = next(line for line in text.splitlines() if "==" in line).split()
    token, hmac = row[0], next(word for word in row if word.endswith("=="))
    expect_true(text, "User:alice" in row)
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        both_ways("OUTSIDE", alice(user=token, password=hmac, mechanism=mechanism, by_token=True), f"token-{mechanism}")
    text = tool("--describe", "--owner-principal", "User:alice")
    expect_true(text, token in text and hmac in text)
    expect_true("renewed", "Completed renew" in tool("--renew", "--renew-time-period", 1000, "--hmac", hmac))
    expect_true("ended", "Completed expire" in tool("--expire", "--expiry-time-period", -1, "--hmac", hmac))
    CLIENT.fails("OUTSIDE", alice(user=token, password=hmac, by_token=True))
    expect_true("gone", token not in tool("--describe", "--owner-principal", "User:alice"))


def version():
    """What the client is called, as documents have it."""
    if KIND[0] == "kcat":
        return "kcat " + re.search(r"Version (\S+)", subprocess.run(["kcat", "-V"], capture_output=True, text=True,
                                                                    check=False).stdout)[1]
    if KIND[0] == "confluent":
        return f"confluent-kafka {CLIENT.kafka.version()[0]}"
    if KIND[0] != "java":
        return KIND[0]
    jars = " ".join(os.listdir(re.sub(r"/\*$", "", KIND[-1])))
    return "kafka-tools " + re.search(r"kafka-tools-([\d.]+)\.jar", jars)[1]


if __name__ == "__main__":
    main(version(), last=WORLD.end)
