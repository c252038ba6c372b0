"""Fetch in all its versions, of several partitions: what test_fetch*.py stand on."""

from itertools import groupby

import records
from kafka import ERR
from reference import ReferenceCase

VERSIONS = range(4, 19)
ANY_BYTES = 1 << 26
BY_ID = 13              # from here on topics are named by their ids


def of(topic, partition=0, offset=0, max_bytes=ANY_BYTES, **fields):
    """One partition to fetch."""
    return topic, dict(partition=partition, fetch_offset=offset, partition_max_bytes=max_bytes, **fields)


class FetchCase(ReferenceCase):
    def ref(self, topic, version):
        """A topic as a request of this version names it: by name, or by id. Bytes are an id already."""
        if version < BY_ID:
            return {"topic": topic}
        return {"topic_id": topic if isinstance(topic, bytes) else self.topic_id(topic)}

    def request(self, version, wanted, forget=(), **fields):
        """The fields of a request. @wanted and @forget: of() pairs and (topic, [partition]) pairs."""
        defaults = dict(max_wait_ms=0, min_bytes=1, max_bytes=ANY_BYTES)
        topics = [{**self.ref(topic, version), "partitions": [p for _, p in group]}
                  for topic, group in groupby(wanted, lambda w: w[0])]
        forgotten = [{**self.ref(topic, version), "partitions": list(partitions)} for topic, partitions in forget]
        return {**defaults, "topics": topics, "forgotten_topics_data": forgotten, **fields}

    def ask(self, client, version, wanted, forget=(), **fields):
        """The whole answer."""
        return client.call("Fetch", version, **self.request(version, wanted, forget, **fields))

    def one(self, client, version, *args, isolation_level=0, max_wait_ms=0, **fields):
        """Fetch one partition, of(*args, **fields); returns its answer."""
        answer = self.ask(client, version, [of(*args, **fields)], isolation_level=isolation_level,
                          max_wait_ms=max_wait_ms)
        self.assertError(answer.get("error_code", 0), ERR.NONE)
        return answer["responses"][0]["partitions"][0]

    def fill(self, topic, *batches, partition=0):
        """Produce batches, each a list of values."""
        client = self.client()
        for values in batches:
            self.assertError(self.produce(client, topic, values, partition=partition)["error_code"], ERR.NONE)


def flat(answer):
    """(partition, answer) in the order of an answer's topics and partitions."""
    return [(p["partition_index"], p) for t in answer["responses"] for p in t["partitions"]]


def values(partition):
    return records.values(partition["records"])
