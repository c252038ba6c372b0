"""SCRAM credentials of users (KIP-554), and who logs in where nobody has to (KIP-43)."""

from cases import case
from scram import upsertion


def alter(side, v, label, *upsertions, deletions=()):
    return side.call("AlterUserScramCredentials", v, label=label, upsertions=list(upsertions),
                     deletions=[{"name": name, "mechanism": mechanism} for name, mechanism in deletions])


def told(side, v, label, *names):
    """What is told of users is as new as what the broker has heard of its controller."""
    def is_new(answer):
        return all(r["error_code"] or r["credential_infos"] for r in answer["results"])
    side.call("DescribeUserScramCredentials", v, label=label, users=[{"name": n} for n in names], until=is_new)


@case("AlterUserScramCredentials")
def alter_user_scram_credentials(side, v):
    user, other = side.fresh(), side.fresh()
    alter(side, v, "nothing")
    alter(side, v, "one", upsertion(user, "secret", salt=b"salt"))
    alter(side, v, "two mechanisms at once", upsertion(user, "secret"), upsertion(user, "secret", "SCRAM-SHA-512"))
    alter(side, v, "two users", upsertion(user, "secret", iterations=8192), upsertion(other, "secret", "SCRAM-SHA-512"))
    alter(side, v, "set and removed", upsertion(user, "secret"), deletions=[(user, 1)])
    alter(side, v, "removed twice", deletions=[(user, 1), (user, 1)])
    for iterations in (-1, 0, 1, 4095, 16384, 16385, 2**31 - 1):
        alter(side, v, f"{iterations} iterations", {**upsertion(user, "x", iterations=4096), "iterations": iterations})
    for mechanism in (-1, 0, 3):
        alter(side, v, f"mechanism {mechanism}", {**upsertion(side.fresh(), "x"), "mechanism": mechanism})
        alter(side, v, f"mechanism {mechanism} removed", deletions=[(user, mechanism)])
    alter(side, v, "no name", upsertion("", "x"))
    alter(side, v, "no name removed", deletions=[("", 1)])
    alter(side, v, "of nobody", deletions=[(side.fresh(), 1)])
    alter(side, v, "some", upsertion(side.fresh(), "x"), {**upsertion(side.fresh(), "x"), "iterations": 1}, deletions=[(other, 2)])


@case("DescribeUserScramCredentials")
def describe_user_scram_credentials(side, v):
    user, other = side.fresh(), side.fresh()
    alter(side, 0, "a user", upsertion(user, "secret", iterations=5000))
    alter(side, 0, "the same", upsertion(user, "secret", "SCRAM-SHA-512"))
    alter(side, 0, "another", upsertion(other, "secret"))
    told(side, v, "one", other)
    told(side, v, "two", user, other)
    told(side, v, "nobody", side.fresh())
    told(side, v, "some", user, side.fresh())
    told(side, v, "twice", user, user)
    told(side, v, "nobody twice", *[side.fresh()] * 2)
    told(side, v, "no name", "")


@case("SaslHandshake")
def sasl_handshake(side, v):
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "GSSAPI", "nonsense", ""):
        side.call("SaslHandshake", v, label=f"mechanism {mechanism}", mechanism=mechanism)


@case("SaslAuthenticate")
def sasl_authenticate(side, v):
    for token in (b"", b"\0user\0password", b"n,,n=user,r=nonce"):
        side.call("SaslAuthenticate", v, label=f"token {token}", auth_bytes=token)
    side.call("SaslHandshake", 1, label="a handshake before it", mechanism="PLAIN")
    side.call("SaslAuthenticate", v, label="after a handshake", auth_bytes=b"\0user\0password")


# Nobody has said who it is here, and so nobody gets a token.

@case("CreateDelegationToken")
def create_delegation_token(side, v):
    for label, renewers, owner in (("for oneself", [], {}), ("a renewer", [{"principal_type": "User", "principal_name": "r"}], {}),
                                   ("another type", [{"principal_type": "Group", "principal_name": "r"}], {}),
                                   ("for another", [], {"owner_principal_type": "User", "owner_principal_name": "o"})):
        side.call("CreateDelegationToken", v, label=label, renewers=renewers, max_lifetime_ms=-1, **(owner if v >= 3 else {}))


@case("RenewDelegationToken")
def renew_delegation_token(side, v):
    side.call("RenewDelegationToken", v, label="no such token", hmac=b"x", renew_period_ms=-1)


@case("ExpireDelegationToken")
def expire_delegation_token(side, v):
    side.call("ExpireDelegationToken", v, label="no such token", hmac=b"x", expiry_time_period_ms=-1)


@case("DescribeDelegationToken")
def describe_delegation_token(side, v):
    for label, owners in (("all", None), ("of nobody", []), ("of one", [{"principal_type": "User", "principal_name": "o"}])):
        side.call("DescribeDelegationToken", v, label=label, owners=owners)
