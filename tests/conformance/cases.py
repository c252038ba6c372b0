"""The table of cases: functions of (side, version), one or several for each API.

A case asks both brokers the same: it branches on the version alone, and on answers only where both must give the same.
"""

import collections
import importlib

CASES = collections.defaultdict(list)   # API -> its cases
WHOLE = []                              # cases about all APIs: functions of (side, {API: versions})
# APIs that one node alone cannot answer without an error: it has nobody to add, to remove or to forget, and nobody logs in on it.
NEVER_WELL = {"AddRaftVoter", "RemoveRaftVoter", "UnregisterBroker", "SaslHandshake", "SaslAuthenticate",
              "CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken", "DescribeDelegationToken"}
# APIs some of whose versions have no place for an error, or no field that could be wrong.
NEVER_ILL = {"ApiVersions", "DescribeAcls", "DescribeCluster", "DescribeGroups", "DescribeLogDirs", "DescribeShareGroupOffsets", "FindCoordinator",
             "ListConfigResources", "ListGroups", "ListPartitionReassignments", "ListTransactions", "OffsetFetch"}


def case(api):
    def add(function):
        CASES[api].append(function)
        return function
    return add


def whole(function):
    WHOLE.append(function)
    return function


for _module in ("case_cluster", "case_topics", "case_configs", "case_records", "case_groups", "case_consumer", "case_share", "case_txns",
                "case_acls", "case_users", "case_odd"):
    importlib.import_module(_module)
