#!/usr/bin/env python3
"""Transactions on one node.

Goal: items 22, 34 to 42 of the list of server behaviours: who is fenced, what becomes visible when, which error each misuse gets, and
that all of it survives SIGKILL at every step. Method: a producer on the wire, in all versions of its requests; the node is killed
after each step of a transaction in turn, and what is read afterwards is all of it or nothing.
"""

import time
import unittest

import records
from case import NodeCase
from kafka import ERR
from txn import TRANSACTIONAL, Producer, committed, visible

PENDING = -1


class TxnCase(NodeCase):
    SETTINGS = ["topics.auto_create=false", "groups.initial_rebalance_delay_ms=0", "transactions.state_partitions=3",
                "groups.offsets_partitions=3"]

    def producer(self, name=None, **fields):
        p = Producer(self, name or self.fresh("txn"), **fields)
        self.assertError(p.init(), ERR.NONE)
        return p

    def unstable(self, topic, partition=0):
        """Is something open there?"""
        answer = self.fetch(self.client(), topic, partition=partition, isolation_level=1)
        return answer["last_stable_offset"] < answer["high_watermark"]


class Flow(TxnCase):
    def test_versions(self):
        """Every version of every request makes a transaction."""
        for v2 in (False, True):
            for n in range(6):
                with self.subTest(v2=v2, n=n):
                    topic, group = self.topic(2), self.fresh("group")
                    p = Producer(self, self.fresh("txn"), v2)
                    self.assertError(p.init(version=n), ERR.NONE)
                    for commit in (True, False, True):
                        at = len(visible(self, topic))
                        if not v2:
                            self.assertError(p.add((topic, 0), (topic, 1), version=min(n, 3)), ERR.NONE)
                            self.assertError(p.add_offsets(group, version=min(n, 4)), ERR.NONE)
                        version = 12 if v2 else (3, 5, 7, 9, 10, 11)[n]
                        self.assertError(p.send(topic, b"a", b"b", version=version), ERR.NONE)
                        self.assertError(p.send(topic, b"c", partition=1, version=version), ERR.NONE)
                        self.assertError(p.send(topic, b"d", version=version), ERR.NONE)
                        self.assertError(p.offsets(group, topic, 10 + at, version=5 if v2 else min(n, 4)), ERR.NONE)
                        self.assertTrue(self.unstable(topic))
                        self.assertError(p.end(commit, version=5 if v2 else min(n, 4)), ERR.NONE)
                        self.assertEqual(visible(self, topic)[at:], [b"a", b"b", b"d"] if commit else [])
                        self.assertEqual(committed(self, group, topic), 10 + at if commit else 13 if at > 3 else 10)
                    self.assertEqual(visible(self, topic, 1), [b"c", b"c"])

    def test_epochs(self):
        """Items 41, 42: with version 2 every transaction has an epoch of its own; a new producer fences the one before."""
        topic, p = self.topic(), self.producer()
        first = p.id
        for n in range(3):
            self.assertEqual((p.id, p.epoch), (first, n))
            self.assertError(p.send(topic, b"x"), ERR.NONE)
            self.assertError(p.end(True), ERR.NONE)
        old = p.epoch
        self.assertError(p.send(topic, b"y"), ERR.NONE)
        q = self.producer(p.name)                       # aborts what is open, first
        self.assertEqual(q.id, first)
        self.assertGreater(q.epoch, old + 1)
        self.assertError(p.send(topic, b"z"), ERR.INVALID_PRODUCER_EPOCH)
        self.assertError(p.end(True), ERR.PRODUCER_FENCED)
        self.assertError(p.init(producer_id=p.id, producer_epoch=p.epoch), ERR.PRODUCER_FENCED)
        self.assertEqual(visible(self, topic), [b"x"] * 3)
        self.assertError(q.send(topic, b"q"), ERR.NONE)
        self.assertError(q.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"x"] * 3 + [b"q"])

    def test_same_producer(self):
        """KIP-360: a producer that has an id gets its next epoch, and the same one when it asks again."""
        p = self.producer()
        before = dict(producer_id=p.id, producer_epoch=p.epoch)
        self.assertError(p.init(**before), ERR.NONE)
        self.assertEqual((p.id, p.epoch), (before["producer_id"], 1))
        self.assertError(p.init(**before), ERR.NONE)
        self.assertEqual(p.epoch, 1)
        self.assertError(p.init(producer_id=p.id, producer_epoch=7), ERR.PRODUCER_FENCED)
        self.assertError(p.init(version=3, producer_id=p.id, producer_epoch=7), ERR.INVALID_PRODUCER_EPOCH)

    def test_end_again(self):
        """Item 38: the answer to EndTxn was lost. The same is answered again, the opposite is not done."""
        for v2 in (False, True):
            for commit in (True, False):
                with self.subTest(v2=v2, commit=commit):
                    topic, p = self.topic(), self.producer(v2=v2)
                    if not v2:
                        self.assertError(p.add((topic, 0)), ERR.NONE)
                    self.assertError(p.send(topic, b"x"), ERR.NONE)
                    before = p.epoch
                    self.assertError(p.end(commit), ERR.NONE)
                    after, p.epoch = p.epoch, before
                    self.assertError(p.end(not commit), ERR.INVALID_TXN_STATE)
                    self.assertError(p.end(commit), ERR.NONE)
                    self.assertEqual(p.epoch, after)
                    self.assertEqual(visible(self, topic), [b"x"] if commit else [])

    def test_time_is_up(self):
        """Item 39: the coordinator aborts by itself, and the producer may not go on as if nothing was."""
        topic, group = self.topic(), self.fresh("group")
        p = self.producer(timeout_ms=300)
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.assertError(p.offsets(group, topic, 5), ERR.NONE)
        self.wait_until(lambda: not self.unstable(topic), "the transaction is not aborted")
        self.assertEqual(visible(self, topic), [])
        self.assertEqual(committed(self, group, topic), -1)
        self.assertIn(p.send(topic, b"y"), (ERR.INVALID_PRODUCER_EPOCH, ERR.PRODUCER_FENCED))
        self.assertIn(p.end(True), (ERR.INVALID_TXN_STATE, ERR.PRODUCER_FENCED))
        self.assertError(p.init(), ERR.NONE)
        self.assertError(p.send(topic, b"z"), ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"z"])

    def test_offsets(self):
        """Item 40: nobody sees them before, readers of stable ones wait; they are committed with the transaction."""
        topic, group, p = self.topic(2), self.fresh("group"), self.producer()
        self.assertError(p.offsets(group, topic, 7), ERR.NONE)
        self.assertEqual(committed(self, group, topic, stable=False), -1)
        with self.client() as client:
            answer = client.call("OffsetFetch", 8, require_stable=True, groups=[
                {"group_id": group, "topics": [{"name": topic, "partition_indexes": [0, 1]}]}])
        parts = answer["groups"][0]["topics"][0]["partitions"]
        self.assertEqual([(p["committed_offset"], p["error_code"]) for p in parts],
                         [(-1, ERR.UNSTABLE_OFFSET_COMMIT), (-1, ERR.NONE)])
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(committed(self, group, topic), 7)
        self.assertError(p.offsets(group, topic, 8, generation_id=3, member_id="nobody"), ERR.UNKNOWN_MEMBER_ID)
        self.assertError(p.offsets(self.fresh("group"), topic, 8, generation_id=3, member_id="x"), ERR.ILLEGAL_GENERATION)
        self.assertError(p.offsets(group, "no-such-topic", 8), ERR.UNKNOWN_TOPIC_OR_PARTITION)
        for wrong, error in (((p.id, p.epoch + 1), ERR.INVALID_PRODUCER_EPOCH), ((p.id, -1), ERR.INVALID_PRODUCER_EPOCH),
                             ((-1, -1), ERR.INVALID_PRODUCER_ID_MAPPING), ((p.id + 7, 0), ERR.INVALID_PRODUCER_ID_MAPPING)):
            for version in range(6):
                fields = dict(producer_id=wrong[0], producer_epoch=wrong[1])
                answer = p.client.call("TxnOffsetCommit", version, transactional_id=p.name, group_id=group, **fields, topics=[
                    {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 8, "committed_metadata": ""}]}])
                self.assertError(answer["topics"][0]["partitions"][0]["error_code"], error)
        self.assertError(p.end(False), ERR.NONE)
        self.assertEqual(committed(self, group, topic), 7)


    def test_last_commit_wins(self):
        """Item 40: what was committed outside of the transaction after it was written is later in the log, and stays."""
        topic, group, p = self.topic(2), self.fresh("group"), self.producer()
        self.assertError(p.offsets(group, topic, 5), ERR.NONE)
        self.assertError(p.offsets(group, topic, 6, partition=1), ERR.NONE)
        answer = p.client.call("OffsetCommit", 8, group_id=group, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 9}]}])
        self.assertError(answer["topics"][0]["partitions"][0]["error_code"], ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual((committed(self, group, topic), committed(self, group, topic, 1)), (9, 6))


class Hurried(TxnCase):
    def test_next_before_the_markers(self):
        """Item 38: what comes while the markers are on their way is to be tried again, and is done then."""
        topic, p = self.topic(), self.producer(v2=False)
        early = []
        for n in range(20):
            self.assertError(p.add((topic, 0)), ERR.NONE)
            self.assertError(p.send(topic, b"%d" % n), ERR.NONE)
            p.client.send("EndTxn", 4, transactional_id=p.name, producer_id=p.id, producer_epoch=p.epoch, committed=n % 2 == 0)
            p.client.send("AddPartitionsToTxn", 3, v3_and_below_transactional_id=p.name, v3_and_below_producer_id=p.id,
                          v3_and_below_producer_epoch=p.epoch, v3_and_below_topics=[{"name": topic, "partitions": [0]}])
            self.assertError(p.client.receive()["error_code"], ERR.NONE)
            part, = p.client.receive()["results_by_topic_v3_and_below"][0]["results_by_partition"]
            early.append(part["partition_error_code"])
        self.assertLessEqual(set(early), {ERR.NONE, ERR.CONCURRENT_TRANSACTIONS})
        self.assertIn(ERR.CONCURRENT_TRANSACTIONS, early)
        self.assertError(p.add((topic, 0)), ERR.NONE)
        self.assertError(p.end(False), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"%d" % n for n in range(0, 20, 2)])


class Refused(TxnCase):
    def test_init(self):
        client = self.client()
        Producer(self, "any").find()
        for timeout, error in ((0, ERR.INVALID_TRANSACTION_TIMEOUT), (-5, ERR.INVALID_TRANSACTION_TIMEOUT),
                               (900001, ERR.INVALID_TRANSACTION_TIMEOUT), (900000, ERR.NONE)):
            answer = client.call("InitProducerId", 4, transactional_id=self.fresh(), transaction_timeout_ms=timeout)
            self.assertError(answer["error_code"], error)
        for fields, error in (({"transactional_id": ""}, ERR.INVALID_REQUEST),
                              ({"transactional_id": "x", "producer_id": 5, "producer_epoch": -1}, ERR.INVALID_REQUEST)):
            answer = client.call("InitProducerId", 4, transaction_timeout_ms=1000, **fields)
            self.assertError(answer["error_code"], error)

    def test_not_the_producer(self):
        """Items 22, 42: whoever is not the producer in force changes nothing, and older clients get a name that they know."""
        topic, p = self.topic(), self.producer(v2=False)
        right = p.id, p.epoch
        for wrong, version, error in (((p.id, 1), 3, ERR.PRODUCER_FENCED), ((p.id, 1), 1, ERR.INVALID_PRODUCER_EPOCH),
                                      ((p.id + 1, 0), 3, ERR.INVALID_PRODUCER_ID_MAPPING)):
            p.id, p.epoch = wrong
            self.assertError(p.add((topic, 0), version=version), error)
            self.assertError(p.add_offsets("g", version=version), error)
            self.assertError(p.end(True, version=version), error)
        p.id, p.epoch = right
        p.name = self.fresh("other")
        self.assertError(p.add((topic, 0)), ERR.INVALID_PRODUCER_ID_MAPPING)
        self.assertError(p.end(True), ERR.INVALID_PRODUCER_ID_MAPPING)

    def test_nothing_is_open(self):
        p = self.producer(v2=False)
        self.assertError(p.end(True), ERR.INVALID_TXN_STATE)
        self.assertError(p.end(False), ERR.INVALID_TXN_STATE)
        p = self.producer()
        self.assertError(p.end(True), ERR.INVALID_TXN_STATE)
        before = p.epoch
        self.assertError(p.end(False), ERR.NONE)            # nobody knows what is on its way: the next epoch keeps it out
        self.assertEqual(p.epoch, before + 1)

    def test_unknown_partition(self):
        topic, p = self.topic(), self.producer(v2=False)
        self.assertEqual(p.add((topic, 0), (topic, 9), ("no-such-topic", 0)),
                         (ERR.OPERATION_NOT_ATTEMPTED, ERR.UNKNOWN_TOPIC_OR_PARTITION, ERR.UNKNOWN_TOPIC_OR_PARTITION))
        self.assertError(p.end(True), ERR.INVALID_TXN_STATE)

    def test_not_added(self):
        """Item 41: a partition that takes no part gets no records, so that nothing hangs there for ever."""
        topic, group, p = self.topic(2), self.fresh("group"), self.producer(v2=False)
        self.assertError(p.add((topic, 0)), ERR.NONE)
        for version, error in ((9, ERR.INVALID_TXN_STATE), (11, ERR.TRANSACTION_ABORTABLE)):
            self.assertError(p.send(topic, b"x", partition=1, version=version), error)
        Producer(self, "g").client.call("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
        for version, error in ((3, ERR.INVALID_TXN_STATE), (4, ERR.TRANSACTION_ABORTABLE)):
            self.assertError(p.offsets(group, topic, 5, version=version), error)
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"x"])
        self.assertError(p.send(topic, b"late"), ERR.TRANSACTION_ABORTABLE)     # it came after the end
        self.assertEqual((visible(self, topic), visible(self, topic, 1)), ([b"x"], []))

    def test_records(self):
        """Records of a transaction belong to the producer that the request is of; others may not come in between."""
        topic, p = self.topic(), self.producer()
        data = records.batch([b"x"], attributes=TRANSACTIONAL, producer_id=p.id, producer_epoch=p.epoch, base_sequence=0)
        self.assertError(self.produce(p.client, topic, data, version=12)["error_code"],
                         ERR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        self.assertError(p.send(topic, b"x", producer_id=p.id + 1), ERR.INVALID_PRODUCER_ID_MAPPING)
        self.assertError(p.send(topic, b"x", producer_epoch=p.epoch + 1), ERR.INVALID_PRODUCER_EPOCH)   # from the future
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.assertError(p.send(topic, b"x", attributes=0), ERR.INVALID_TXN_STATE)
        self.assertError(p.send(topic, b"x", base_sequence=7), ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"x"])

    def test_long_texts(self):
        p = self.producer("i" * 32767)
        topic = self.topic()
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.assertError(p.offsets("g", topic, 5, generation_id=1, group_instance_id="i" * 32767), ERR.ILLEGAL_GENERATION)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic), [b"x"])


class Between(TxnCase):
    def test_many(self):
        """AddPartitionsToTxn 4 and 5, which brokers use among each other: several transactions, each added to or verified."""
        topic, client = self.topic(2), self.client()
        p, q = self.producer(v2=False), self.producer()
        self.assertError(p.add((topic, 0)), ERR.NONE)
        for version, error in ((4, ERR.INVALID_TXN_STATE), (5, ERR.TRANSACTION_ABORTABLE)):
            ask = [dict(transactional_id=x.name, producer_id=x.id, producer_epoch=x.epoch + more, verify_only=verify,
                        topics=[{"name": topic, "partitions": [0, 1]}])
                   for x, more, verify in ((p, 0, True), (q, 0, False), (q, 1, True), (p, -1, True))]
            answer = client.call("AddPartitionsToTxn", version, transactions=ask)
            self.assertEqual([[r["partition_error_code"] for r in t["topic_results"][0]["results_by_partition"]]
                              for t in answer["results_by_transaction"]],
                             [[0, error], [0, 0], [ERR.PRODUCER_FENCED] * 2, [ERR.PRODUCER_FENCED] * 2])
        self.assertEqual(client.call("AddPartitionsToTxn", 5, transactions=[])["results_by_transaction"], [])


class Operators(TxnCase):
    def test_describe(self):
        topic, client = self.topic(3), self.client()
        p = self.producer()
        self.assertError(p.send(topic, b"x", partition=2), ERR.NONE)
        self.assertError(p.send(topic, b"x", partition=0), ERR.NONE)
        rows = client.call("DescribeTransactions", 0, transactional_ids=[p.name, "never"])["transaction_states"]
        self.assertEqual([r["error_code"] for r in rows], [ERR.NONE, ERR.TRANSACTIONAL_ID_NOT_FOUND])
        row = rows[0]
        self.assertEqual((row["transaction_state"], row["producer_id"], row["producer_epoch"], row["transaction_timeout_ms"]),
                         ("Ongoing", p.id, p.epoch, 60000))
        self.assertLess(abs(row["transaction_start_time_ms"] - time.time() * 1000), 10000)
        self.assertEqual(row["topics"], [{"topic": topic, "partitions": [0, 2]}])
        listed = client.call("ListTransactions", 1, state_filters=["Ongoing", "Nonsense"], producer_id_filters=[p.id],
                             duration_filter=-1)
        self.assertEqual(listed["unknown_state_filters"], ["Nonsense"])
        self.assertEqual([(t["transactional_id"], t["producer_id"], t["transaction_state"])
                          for t in listed["transaction_states"]], [(p.name, p.id, "Ongoing")])
        for pattern, error, found in ((".*", ERR.NONE, True), ("txn-never", ERR.NONE, False), (p.name[:-1] + ".", ERR.NONE, True),
                                      ("(", ERR.INVALID_REGULAR_EXPRESSION, False), (r"(a)\1", ERR.INVALID_REGULAR_EXPRESSION, False)):
            listed = client.call("ListTransactions", 2, transactional_id_pattern=pattern)
            self.assertError(listed["error_code"], error)
            self.assertEqual(p.name in [t["transactional_id"] for t in listed["transaction_states"]], found, pattern)
        for states in (["Nonsense"], ["ongoing"], [""]):                # no transaction is in a state that does not exist
            listed = client.call("ListTransactions", 2, state_filters=states)
            self.assertEqual((listed["unknown_state_filters"], listed["transaction_states"]), (states, []))
        for fields in (dict(state_filters=["Empty"], producer_id_filters=[p.id]), dict(duration_filter=60000)):
            listed = client.call("ListTransactions", 1, **fields)
            self.assertNotIn(p.name, [t["transactional_id"] for t in listed["transaction_states"]])

    def test_abort_what_hangs(self):
        """KIP-664: the marker ends it in one partition, and its coordinator has nothing against it."""
        topic, client, p = self.topic(), self.client(), self.producer()
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        part = client.call("DescribeProducers", 0, topics=[{"name": topic, "partition_indexes": [0, 5]}])["topics"][0]["partitions"]
        self.assertEqual([q["error_code"] for q in part], [ERR.NONE, ERR.UNKNOWN_TOPIC_OR_PARTITION])
        self.assertEqual([bool(q["error_message"]) for q in part], [False, True])
        wrong = client.call("DescribeProducers", 0, topics=[{"name": "a b", "partition_indexes": [0]}])["topics"][0]["partitions"][0]
        self.assertError(wrong["error_code"], ERR.INVALID_TOPIC_EXCEPTION)
        hanging, = part[0]["active_producers"]
        self.assertEqual((hanging["producer_id"], hanging["producer_epoch"], hanging["last_sequence"],
                          hanging["current_txn_start_offset"]), (p.id, p.epoch, 0, 0))

        def write(epoch, coordinator_epoch):
            answer = client.call("WriteTxnMarkers", 1, markers=[
                {"producer_id": p.id, "producer_epoch": epoch, "transaction_result": False,
                 "coordinator_epoch": coordinator_epoch, "topics": [{"name": topic, "partition_indexes": [0, 5]},
                                                                    {"name": "no-such-topic", "partition_indexes": [0]}]}])
            return [q["error_code"] for t in answer["markers"][0]["topics"] for q in t["partitions"]]
        unknown = [ERR.UNKNOWN_TOPIC_OR_PARTITION] * 2
        self.assertEqual(write(p.epoch - 1 if p.epoch else -1, 9), [ERR.INVALID_PRODUCER_EPOCH, *unknown])
        self.assertTrue(self.unstable(topic))
        self.assertEqual(write(p.epoch, 9), [ERR.NONE, *unknown])
        self.assertEqual(visible(self, topic), [])
        self.assertEqual(write(p.epoch, 8), [ERR.TRANSACTION_COORDINATOR_FENCED, *unknown])
        self.assertEqual(client.call("WriteTxnMarkers", 2, markers=[])["markers"], [])


class Killed(TxnCase):
    """The node is killed after each step of a transaction."""

    def kill(self, *producers):
        self.node.restart(kill=True)
        for p in producers:
            p.again()

    def walk(self, v2, commit, at):
        """One transaction of two partitions and a group's offset, with a kill after step @at. Return: steps that there are."""
        topic, group = self.topic(2), self.fresh("group")
        p = self.producer(v2=v2)
        self.assertError(p.send(topic, b"before") if v2 else p.add((topic, 0)) or p.send(topic, b"before"), ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        steps = [lambda: p.send(topic, b"a", b"b"), lambda: p.send(topic, b"c", partition=1),
                 lambda: p.offsets(group, topic, 5), lambda: p.end(commit)]
        if not v2:
            steps[0:0] = [lambda: p.add((topic, 0), (topic, 1)), lambda: p.add_offsets(group)]
        for n, step in enumerate(steps):
            self.assertError(step(), ERR.NONE, f"step {n}")
            if n == at:
                self.kill(p)
        self.assertEqual(visible(self, topic), [b"before", b"a", b"b"] if commit else [b"before"])
        self.assertEqual(visible(self, topic, 1), [b"c"] if commit else [])
        self.assertEqual(committed(self, group, topic), 5 if commit else -1)
        if not v2:
            self.assertError(p.add((topic, 0)), ERR.NONE)
        self.assertError(p.send(topic, b"next"), ERR.NONE)
        self.assertError(p.end(True), ERR.NONE)
        self.assertEqual(visible(self, topic)[-1], b"next")
        return len(steps)

    def test_every_step(self):
        for v2 in (False, True):
            for commit in (True, False):
                steps = self.walk(v2, commit, None)
                for at in range(steps):
                    with self.subTest(v2=v2, commit=commit, at=at):
                        self.walk(v2, commit, at)

    def test_producer_is_gone(self):
        """Everything dies in the midst of a transaction; the next producer ends it."""
        topic, group, p = self.topic(), self.fresh("group"), self.producer()
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.assertError(p.offsets(group, topic, 5), ERR.NONE)
        self.kill()
        q = self.producer(p.name)
        self.assertEqual(q.id, p.id)
        self.assertEqual(visible(self, topic), [])
        self.assertEqual(committed(self, group, topic), -1)

    def test_time_is_up_meanwhile(self):
        topic, p = self.topic(), self.producer(timeout_ms=500)
        self.assertError(p.send(topic, b"x"), ERR.NONE)
        self.kill()
        self.wait_until(lambda: not self.unstable(topic), "the transaction is not aborted")
        self.assertEqual(visible(self, topic), [])


if __name__ == "__main__":
    unittest.main()
