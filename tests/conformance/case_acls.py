"""Rules of access: CreateAcls, DescribeAcls, DeleteAcls. Both brokers have an authorizer, and the client is a super user.

Principals of the rules of a case differ, so that answers can be sorted by them.
"""

from cases import case

TOPIC, GROUP, CLUSTER, TXN, TOKEN, USER = range(2, 8)
ANY, MATCH, LITERAL, PREFIXED = range(1, 5)
ALL, READ, WRITE = 2, 3, 4
DENY, ALLOW = 2, 3


def rule(name, principal, kind=TOPIC, pattern=LITERAL, host="*", operation=READ, permission=ALLOW):
    return {"resource_type": kind, "resource_name": name, "resource_pattern_type": pattern, "principal": principal, "host": host,
            "operation": operation, "permission_type": permission}


def by(kind=ANY, name=None, pattern=ANY, principal=None, host=None, operation=1, permission=1):
    return {"resource_type_filter": kind, "resource_name_filter": name, "pattern_type_filter": pattern, "principal_filter": principal,
            "host_filter": host, "operation": operation, "permission_type": permission}


def create(side, v, label, *rules):
    return side.call("CreateAcls", v, label=label, creations=list(rules))


def made(side, *rules):
    """Without a step; until they are told."""
    side.quiet("CreateAcls", 3, creations=list(rules))
    for r in rules:
        side.quiet("DescribeAcls", 3, **by(r["resource_type"], r["resource_name"], r["resource_pattern_type"], r["principal"]),
                   until=lambda a: a["resources"])


@case("CreateAcls")
def create_acls(side, v):
    name = side.fresh("t")
    who = [f"User:{side.fresh('u')}" for _ in range(9)]
    create(side, v, "several", rule(name, who[0]), rule(name, who[1], pattern=PREFIXED, permission=DENY, operation=ALL),
           rule(name, who[2], GROUP, host="10.0.0.1"), rule("*", who[3], TXN, operation=WRITE),
           rule("kafka-cluster", who[4], CLUSTER, operation=9), rule(name, who[5], TOKEN, operation=8), rule(name, who[6], USER, operation=13))
    for n, kind in enumerate((TOPIC, TOPIC, GROUP, TXN, CLUSTER, TOKEN, USER)):
        side.call("DescribeAcls", v, label=f"rule {n}", until=lambda a: a["resources"], **by(kind, None, ANY, who[n]))
    create(side, v, "again", rule(name, who[0]))
    create(side, v, "twice", rule(name, who[7]), rule(name, who[7]))
    create(side, v, "nothing")
    for label, wrong in (("unknown resource", {"resource_type": 99}), ("unknown pattern", {"resource_pattern_type": 99}),
                         ("unknown operation", {"operation": 99}), ("unknown permission", {"permission_type": 99}),
                         ("no name", {"resource_name": ""}), ("no principal", {"principal": ""}), ("no type of principal", {"principal": "u"}),
                         ("another cluster", {"resource_type": CLUSTER}), ("a name that is an address", {"host": "somewhere"}),
                         ("an operation of others", {"operation": 14}), ("no host", {"host": ""}), ("any resource", {"resource_type": ANY}),
                         ("any operation", {"operation": 1}), ("matching", {"resource_pattern_type": MATCH})):
        create(side, v, label, {**rule(name, who[8]), **wrong}, rule(name + "x", who[8]))
    side.quiet("DeleteAcls", 3, filters=[by(principal=p) for p in who])


@case("DescribeAcls")
def describe_acls(side, v):
    name, other = side.fresh("t"), side.fresh("t")
    one, two, three, four = (f"User:{side.fresh('u')}" for _ in range(4))
    made(side, rule(name, one), rule(other, two, operation=WRITE, permission=DENY), rule(name[:-1], three, pattern=PREFIXED, host="10.0.0.2"),
         rule(name, four, GROUP))

    def ask(label, **filters):
        side.call("DescribeAcls", v, label=label, **by(**filters))
    ask("by name", kind=TOPIC, name=name, pattern=LITERAL)
    ask("by any pattern", kind=TOPIC, name=name, pattern=ANY)
    ask("by prefix", kind=TOPIC, name=name[:-1], pattern=PREFIXED)
    ask("what counts", kind=TOPIC, name=name, pattern=MATCH)
    ask("what counts for a longer name", kind=TOPIC, name=name + "-longer", pattern=MATCH)
    for p in (one, two, three, four):
        ask("by principal", principal=p)
    ask("by principal and kind", principal=four, kind=TOPIC)
    ask("by host", principal=three, host="10.0.0.2")
    ask("by another host", principal=three, host="10.0.0.3")
    ask("by operation", principal=two, operation=WRITE)
    ask("by another operation", principal=two, operation=ALL)
    ask("by permission", principal=two, permission=DENY)
    ask("by another permission", principal=two, permission=ALLOW)
    ask("nobody's", principal="User:nobody-at-all")
    ask("no name", name="", principal=one)
    for label, wrong in (("unknown resource", {"kind": 99}), ("unknown pattern", {"pattern": 99}), ("unknown operation", {"operation": 99}),
                         ("unknown permission", {"permission": 99}), ("no resource", {"kind": 0}), ("no operation", {"operation": 0})):
        ask(label, principal=one, **wrong)
    side.quiet("DeleteAcls", 3, filters=[by(principal=p) for p in (one, two, three, four)])


@case("DeleteAcls")
def delete_acls(side, v):
    name = side.fresh("t")
    who = [f"User:{side.fresh('u')}" for _ in range(4)]
    made(side, *(rule(name, p) for p in who), rule(name, who[0], pattern=PREFIXED, operation=WRITE))

    def ask(label, *filters):
        side.call("DeleteAcls", v, label=label, filters=list(filters))
    ask("one", by(TOPIC, name, LITERAL, who[1]))
    ask("again", by(TOPIC, name, LITERAL, who[1]))
    ask("several filters", by(principal=who[2]), by(principal="User:nobody-at-all"), by(TOPIC, name + "x", MATCH, who[0]))
    ask("nothing")
    for label, wrong in (("unknown resource", {"kind": 99}), ("unknown pattern", {"pattern": 99}), ("unknown operation", {"operation": 99}),
                         ("unknown permission", {"permission": 99}), ("no resource", {"kind": 0}), ("no permission", {"permission": 0})):
        ask(label, by(principal=who[3], **wrong), by(principal="User:nobody-at-all"))
    side.call("DescribeAcls", v, label="what is left", until=lambda a: len(a["resources"]) == 1 and len(a["resources"][0]["acls"]) == 2,
              **by(TOPIC, name))
    ask("all that is left", by(TOPIC, name, ANY))
