"""Groups to which the coordinator assigns (KIP-848)."""

from cases import case
from case_groups import group_of

LONG_MS = 60000


def joins(group, topic, member="m", **more):
    return {**dict(group_id=group, member_id=member, member_epoch=0, rebalance_timeout_ms=LONG_MS, subscribed_topic_names=[topic],
                   topic_partitions=[]), **more}


def joined(side, group, topic, member="m"):
    """In, with what it shall have. Return: its epoch."""
    answer = side.quiet("ConsumerGroupHeartbeat", 1, **joins(group, topic, member), until=lambda a: a["error_code"] == 0
                        and a["assignment"] and a["assignment"]["topic_partitions"])
    return answer["member_epoch"]


@case("ConsumerGroupHeartbeat")
def heartbeat(side, v):
    topic, group = side.topic(2), group_of(side)
    epoch = joined(side, group, topic)

    def ask(label, **more):
        side.call("ConsumerGroupHeartbeat", v, label=label, **{**dict(group_id=group, member_id="m", member_epoch=epoch), **more})
    ask("at rest")
    ask("says what it has", topic_partitions=[{"topic_id": side.topic_id(topic), "partitions": [0, 1]}])
    ask("epoch too high", member_epoch=epoch + 1)
    ask("epoch too low", member_epoch=1)
    ask("unknown member", member_id="nobody")
    ask("unknown group", group_id=side.fresh("g"))
    ask("no group", group_id="")
    ask("epoch -3", member_epoch=-3)
    ask("leaves for a while without an instance", member_epoch=-2)
    ask("empty instance", instance_id="")
    ask("empty rack", rack_id="")
    ask("no such assignor", server_assignor="nobody")
    for label, more in (("joins without a time-out", dict(rebalance_timeout_ms=-1)),
                        ("joins without a list of partitions", dict(topic_partitions=None)),
                        ("joins without a subscription", dict(subscribed_topic_names=None))):
        ask(label, **joins(group, topic, "n", **more))
    if v >= 1:
        ask("joins without an id", **joins(group, topic, ""))
        ask("no expression", **joins(group, topic, "n", subscribed_topic_names=[], subscribed_topic_regex="("))
    ask("leaves", member_epoch=-1)
    ask("leaves again", member_epoch=-1)


@case("ConsumerGroupDescribe")
def describe(side, v):
    topic, group = side.topic(2), group_of(side)
    joined(side, group, topic)

    def ask(label, *groups, **more):
        side.call("ConsumerGroupDescribe", v, label=label, group_ids=list(groups), **more)
    ask("one member", group)
    ask("what may be done", group, include_authorized_operations=True)
    ask("unknown", side.fresh("g"))
    ask("no name", "")
    ask("none")
    side.call("DescribeGroups", 6, label="of the other type", groups=[group])
    side.call("ListGroups", 5, label="of a type", states_filter=[], types_filter=["consumer"],
              keep=lambda a: [g for g in a["groups"] if g["group_id"] == group])
    side.quiet("ConsumerGroupHeartbeat", 1, group_id=group, member_id="m", member_epoch=-1)
    ask("empty", group)
