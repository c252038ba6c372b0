"""Every API and version with requests that only the schema knows: nothing in them, nulls, things that do not exist, and these
twice; and versions that neither serves."""

import codec
import plausible
from cases import whole

PATIENCE_S = 1          # Kafka fails at some of them and does not answer
# UnregisterBroker with a plausible number would forget the broker. Of what is told about everything other cases ask.
LEFT_OUT = {"UnregisterBroker", "Metadata", "ListGroups", "ListTransactions", "DescribeLogDirs", "DescribeClientQuotas",
            "ListPartitionReassignments", "ElectLeaders", "DescribeTopicPartitions", "ApiVersions", "DescribeQuorum"}


def emptied(owner, version, values):
    """The same, with null wherever it is allowed."""
    return {f.name: None if f.null_in(version) else values[f.name] for f in owner.fields if f.name in values}


def doubled(values):
    """The same, with each element of a list twice."""
    if isinstance(values, dict):
        return {k: doubled(v) for k, v in values.items()}
    return [doubled(v) for v in values for _ in (0, 1)] if isinstance(values, list) else values


def same_everywhere(values, side):
    """Names that begin as those of the case do, and no number that is a broker's."""
    if isinstance(values, dict):
        return {k: same_everywhere(v, side) for k, v in values.items()}
    if isinstance(values, list):
        return [same_everywhere(v, side) for v in values]
    return f"{side.prefix}-{values}" if isinstance(values, str) else 7 if values == 1 and not isinstance(values, bool) else values


@whole
def schema_made(side, both):
    for api, versions in both.items():
        if api in LEFT_OUT:
            continue
        owner = codec.message(api + "Request")
        for v in versions:
            always = {"acks": -1} if api == "Produce" else {}
            full = same_everywhere(plausible.fields_of(owner, v), side)
            default = {f.name: codec.default(f, v) for f in owner.fields if f.in_version(v)}
            for label, fields in (("empty", {}), ("nulls", emptied(owner, v, default)), ("of nothing that exists", full),
                                  ("of nothing that exists, twice", doubled(full))):
                side.call(api, v, label=f"{api} {v}: {label}", patience_s=PATIENCE_S, passing=set(), **{**fields, **always})


@whole
def unserved_versions(side, both):
    for api, versions in both.items():
        for v in (versions[0] - 1, versions[-1] + 1):
            if api != "ApiVersions":
                side.raw(api, v, f"{api} {v}", bytes(16), header_version=2)
