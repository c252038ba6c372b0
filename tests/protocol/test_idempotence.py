#!/usr/bin/env python3
"""Producers with ids: what is written once is there once, whatever is sent again.

Goal: kafka-semantics items 20 to 23, across stops and SIGKILLs (each test names its item). Method: batches with chosen
producer ids, epochs and sequences against a real node, and a look at what it stored.
"""

import os
import time
import unittest

import records
from case import NodeCase
from kafka import ERR
from records import Record, batch

SEQUENCE_MAX = 2**31 - 1
RETAINED = 5                            # batches that are remembered of each producer (Kafka's NUM_BATCHES_TO_RETAIN)


class ProducerCase(NodeCase):
    def new_id(self):
        answer = self.client().call("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60000)
        self.assertError(answer["error_code"], ERR.NONE)
        return answer["producer_id"]

    def build(self, pid, sequence, count=1, epoch=0, **fields):
        """A batch whose values tell producer, epoch and sequence."""
        values = [Record(b"%d/%d/%d" % (pid, epoch, sequence + i)) for i in range(count)]
        return batch(values, producer_id=pid, producer_epoch=epoch, base_sequence=sequence, **fields)

    def send(self, topic, pid, sequence, count=1, epoch=0, client=None, error=ERR.NONE, offset=None, **options):
        """Produce one batch and compare error and base offset; returns the answer."""
        answer = self.produce(client or self.client(), topic, self.build(pid, sequence, count, epoch), **options)
        self.assertError(answer["error_code"], error, f"sequence {sequence}, epoch {epoch}")
        if error:
            self.assertEqual((answer["base_offset"], answer["log_append_time_ms"]), (-1, -1))
        elif offset is not None:
            self.assertEqual(answer["base_offset"], offset)
        return answer

    def ends(self, topic):
        """How many records the partition holds."""
        return sum(b.count for b in self.stored(topic))



class InFlight(ProducerCase):
    def test_recompressed(self):
        """Item 23: with several requests in flight, of which some are compressed again on another thread and some are not,
        every batch keeps its turn: no sequence is out of order."""
        slow, quick, pid, client = self.topic(compression_type="gzip"), self.topic(), self.new_id(), self.client()
        value = {slow: os.urandom(300_000), quick: b"v"}  # what takes long, and what would overtake it
        for sequence in range(40):
            topics = ([slow, quick], [quick])[sequence % 2]
            client.send("Produce", 11, acks=-1, timeout_ms=10000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": batch(
                    [Record(value[topic], key=b"%d" % sequence)], producer_id=pid, producer_epoch=0,
                    base_sequence=self.next_of(topic))}]} for topic in topics])
        for sequence in range(40):
            for answer in client.receive()["responses"]:
                self.assertError(answer["partition_responses"][0]["error_code"], ERR.NONE, f"request {sequence}")
        for topic in (slow, quick):
            self.assertEqual(self.ends(topic), self.sequences[topic])

    def setUp(self):
        super().setUp()
        self.sequences = {}

    def next_of(self, topic):
        self.sequences[topic] = self.sequences.get(topic, 0) + 1
        return self.sequences[topic] - 1


class Duplicates(ProducerCase):
    def test_duplicate(self):
        """Item 20: a batch that was stored before is answered with success and its first offset, in all versions; it
        is not stored again."""
        topic, pid, client = self.topic(), self.new_id(), self.client()
        self.send(topic, pid, 0, 3, offset=0)
        self.send(topic, pid, 3, 2, offset=3)
        for version in range(3, 13):
            self.send(topic, pid, 0, 3, offset=0, client=client, version=version)
            self.send(topic, pid, 3, 2, offset=3, client=client, version=version)
        self.send(topic, pid, 5, offset=5)
        self.assertEqual(self.ends(topic), 6)

    def test_the_last_five(self):
        """Item 20: five batches are remembered; one that is older is OUT_OF_ORDER_SEQUENCE_NUMBER."""
        topic, pid = self.topic(), self.new_id()
        for sequence in range(8):
            self.send(topic, pid, sequence, offset=sequence)
        for sequence in range(8 - RETAINED, 8):
            self.send(topic, pid, sequence, offset=sequence)
        for sequence in range(8 - RETAINED):
            self.send(topic, pid, sequence, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.assertEqual(self.ends(topic), 8)

    def test_only_whole_duplicates(self):
        """Item 20: what overlaps a known batch without being it is out of order, not a duplicate."""
        topic, pid = self.topic(), self.new_id()
        self.send(topic, pid, 0, 4, offset=0)
        for sequence, count in ((0, 3), (0, 5), (1, 3), (3, 1), (2, 9)):
            self.send(topic, pid, sequence, count, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.assertEqual(self.ends(topic), 4)

    def test_original_time(self):
        """Item 20: a duplicate in a topic with LogAppendTime is answered with the first append's time, also after a
        restart and a SIGKILL."""
        topic, pid = self.topic(message_timestamp_type="LogAppendTime"), self.new_id()
        first = self.send(topic, pid, 0, 2, offset=0)
        time.sleep(0.02)
        self.assertEqual(self.send(topic, pid, 0, 2, offset=0), first)
        for kill in (False, True):
            self.node.restart(kill=kill)
            self.assertEqual(self.send(topic, pid, 0, 2, offset=0), first)

    def test_across_restarts(self):
        """Item 20: after a stop and after a SIGKILL the same five batches are duplicates, the sixth is not, and the next
        sequence goes on."""
        topic, pid, sequence = self.topic(), self.new_id(), 0
        for kill in (False, True):
            for _ in range(7):
                self.send(topic, pid, sequence, 2, offset=sequence)
                sequence += 2
            self.node.restart(kill=kill)
            for back in range(1, RETAINED + 1):
                self.send(topic, pid, sequence - 2 * back, 2, offset=sequence - 2 * back)
            self.send(topic, pid, sequence - 12, 2, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
            self.send(topic, pid, sequence + 2, 2, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
            self.send(topic, pid, sequence, 2, offset=sequence)
            sequence += 2
        self.assertEqual(self.ends(topic), sequence)

    def test_across_many_restarts_and_segments(self):
        """Item 20: the state is right when it comes from snapshots and several segments: small segments, 40 producers,
        kills in between, batches sent again after each."""
        topic = self.topic(segment_bytes=4096)
        pids, offset, known = [self.new_id() for _ in range(40)], 0, {}
        for round_number in range(4):
            client = self.client()
            for pid in pids:
                self.send(topic, pid, 3 * round_number, 3, client=client, offset=offset)
                known[pid, 3 * round_number] = offset
                offset += 3
            self.node.restart(kill=round_number % 2 == 0)
            client = self.client()
            for (pid, sequence), first in known.items():
                self.send(topic, pid, sequence, 3, client=client, offset=first)
        self.assertEqual(self.ends(topic), offset)
        self.assertGreater(offset, 4 * 40)

    def test_partitions_are_apart(self):
        """Item 20: sequences are counted for each partition by itself."""
        topic, pid = self.topic(partitions=2), self.new_id()
        self.send(topic, pid, 0, 2, offset=0)
        self.send(topic, pid, 0, 3, offset=0, partition=1)
        self.send(topic, pid, 2, offset=2)
        self.send(topic, pid, 2, offset=None, partition=1, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, pid, 3, offset=3, partition=1)

    def test_recreated_topic(self):
        """Item 20: a topic that is deleted and made again knows nothing of the old one's producers."""
        topic, pid, client = self.topic(), self.new_id(), self.client()
        self.send(topic, pid, 0, 2, offset=0)
        self.assertError(client.call("DeleteTopics", 5, topic_names=[topic], timeout_ms=5000)
                         ["responses"][0]["error_code"], ERR.NONE)
        self.topic(name=topic)
        self.send(topic, pid, 0, 2, offset=0)
        self.assertEqual(self.ends(topic), 2)

    def test_acks_0_and_1(self):
        """Item 20: whatever acks asks for, a duplicate is stored once."""
        topic, pid, client = self.topic(), self.new_id(), self.client()
        for _ in range(3):
            client.send_unanswered("Produce", 9, acks=0, timeout_ms=1000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": self.build(pid, 0, 2)}]}])
        self.send(topic, pid, 0, 2, acks=1, client=client, offset=0)
        self.send(topic, pid, 2, acks=1, client=client, offset=2)
        self.assertEqual(self.ends(topic), 3)


class DeletedRecords(ProducerCase):
    SETTINGS = ["storage.retention_check_interval_ms=50ms"]

    def test_after_deleted_records(self):
        """Item 20: when all that a producer wrote is deleted, with its segments, it is still known what that was, before
        and after a stop and a SIGKILL."""
        topic = self.topic(segment_bytes=4096, file_delete_delay_ms=0)
        pid, client = self.new_id(), self.client()
        self.send(topic, pid, 0, 2, offset=0)
        self.send(topic, pid, 2, 2, offset=2)
        for _ in range(6):                                      # others fill more segments
            self.assertError(self.produce(client, topic, [bytes(3000)])["error_code"], ERR.NONE)
        answer = client.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": -1}]}])
        self.assertEqual(answer["topics"][0]["partitions"][0]["low_watermark"], 10)
        self.wait_until(lambda: len(list(self.node.data.glob(f"**/{topic}-0/*.log"))) <= 1, "segments are left")
        self.send(topic, pid, 2, 2, offset=2)
        for kill in (True, False, True):
            self.node.restart(kill=kill)
            self.send(topic, pid, 2, 2, offset=2)
            self.send(topic, pid, 0, 2, offset=0)
            self.send(topic, pid, 9, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, pid, 4, offset=10)


class DuplicateOfWaiting(ProducerCase):
    DISK = True

    def test_duplicate_of_what_waits(self):
        """Item 20: a batch sent again on another connection while the first still waits for the disk is not confirmed
        before the disk has it either."""
        topic, pid = self.topic(), self.new_id()
        self.hold(topic)
        clients = [self.client() for _ in range(3)]
        for client, acks in zip(clients, (-1, -1, 1)):
            client.send("Produce", 9, acks=acks, timeout_ms=20000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": self.build(pid, 0, 2)}]}])
        for client in clients:
            self.assertTrue(client.silent(0.15))
        self.disk.release()
        for client in clients:
            answer = client.receive()["responses"][0]["partition_responses"][0]
            self.assertEqual((answer["error_code"], answer["base_offset"]), (ERR.NONE, 0))
        self.assertEqual(self.ends(topic), 2)


class Sequences(ProducerCase):
    def test_gaps(self):
        """Item 21: a sequence that is not the next one is OUT_OF_ORDER_SEQUENCE_NUMBER, and changes nothing."""
        topic, pid = self.topic(), self.new_id()
        self.send(topic, pid, 0, 5, offset=0)
        for sequence in (6, 7, 100, SEQUENCE_MAX):
            self.send(topic, pid, sequence, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, pid, 5, offset=5)

    def test_unknown_producer(self):
        """Item 21: where nothing is known of a producer any sequence is taken, in any epoch, and counts from there."""
        for sequence, epoch in ((0, 0), (7, 0), (123456, 3), (SEQUENCE_MAX, 0)):
            topic, pid = self.topic(), self.new_id()
            self.send(topic, pid, sequence, epoch=epoch, offset=0)
            following = sequence + 1 if sequence < SEQUENCE_MAX else 0
            self.send(topic, pid, following + 1, epoch=epoch, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
            self.send(topic, pid, following, epoch=epoch, offset=1)

    def test_new_epoch(self):
        """Item 21: a new epoch begins with sequence 0; the old epoch's batches are no duplicates then."""
        topic, pid = self.topic(), self.new_id()
        self.send(topic, pid, 0, 3, offset=0)
        for sequence in (1, 3, SEQUENCE_MAX):
            self.send(topic, pid, sequence, epoch=1, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, pid, 0, 3, epoch=1, offset=3)          # the same sequences, and not a duplicate
        self.send(topic, pid, 0, 3, epoch=1, offset=3)          # now it is one
        self.send(topic, pid, 3, epoch=1, offset=6)
        self.send(topic, pid, 0, epoch=32767, offset=7)
        self.assertEqual(self.ends(topic), 8)

    def test_wrap_around(self):
        """Item 21: behind 2^31-1 comes 0, between batches and inside of one, and duplicates are known across it."""
        topic, pid = self.topic(), self.new_id()
        self.send(topic, pid, SEQUENCE_MAX - 1, 2, offset=0)    # ends with the largest
        self.send(topic, pid, 1, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, pid, 0, 2, offset=2)
        self.send(topic, pid, SEQUENCE_MAX - 1, 2, offset=0)
        self.send(topic, pid, 0, 2, offset=2)
        other = self.new_id()
        self.send(topic, other, SEQUENCE_MAX - 1, 5, offset=4)  # max-1, max, 0, 1, 2
        for sequence in (1, 2, 4, SEQUENCE_MAX):
            self.send(topic, other, sequence, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, other, SEQUENCE_MAX - 1, 5, offset=4)
        self.send(topic, other, 3, offset=9)
        for kill in (False, True):
            self.node.restart(kill=kill)
            self.send(topic, other, SEQUENCE_MAX - 1, 5, offset=4)
            self.send(topic, pid, SEQUENCE_MAX - 1, 2, offset=0)
        self.send(topic, other, 4, offset=10)
        self.send(topic, pid, 2, offset=11)

    def test_stale_epoch(self):
        """Item 22: a batch of an older epoch is INVALID_PRODUCER_EPOCH, whatever its sequence, also after a restart."""
        topic, pid = self.topic(), self.new_id()
        self.send(topic, pid, 0, epoch=1, offset=0)
        self.send(topic, pid, 0, epoch=5, offset=1)
        for kill in (False, True):
            for epoch in (0, 1, 4):
                for sequence in (0, 1, 2):
                    self.send(topic, pid, sequence, epoch=epoch, error=ERR.INVALID_PRODUCER_EPOCH)
            self.node.restart(kill=kill)
        self.send(topic, pid, 0, epoch=4, error=ERR.INVALID_PRODUCER_EPOCH)
        self.send(topic, pid, 1, epoch=5, offset=2)

    def test_refused_batches_leave_no_trace(self):
        """Item 23: a batch that is refused for another reason does not move its producer's sequence."""
        topic, pid, client = self.topic(max_message_bytes=2000), self.new_id(), self.client()
        self.send(topic, pid, 0, offset=0)
        large = batch([bytes(3000)], producer_id=pid, producer_epoch=0, base_sequence=1)
        self.assertError(self.produce(client, topic, large)["error_code"], ERR.MESSAGE_TOO_LARGE)
        broken = self.build(pid, 1, crc=1)
        self.assertError(self.produce(client, topic, broken)["error_code"], ERR.CORRUPT_MESSAGE)
        self.send(topic, pid, 1, offset=1)

    def test_pipelined_in_order(self):
        """Item 23: 200 batches in one write are checked and stored in the order in which they came, none refused."""
        topic, pid, client = self.topic(), self.new_id(), self.client()
        for sequence in range(200):
            client.send("Produce", 9, acks=-1 if sequence % 2 else 1, timeout_ms=9000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": self.build(pid, sequence)}]}])
        for sequence in range(200):
            answer = client.receive()["responses"][0]["partition_responses"][0]
            self.assertEqual((answer["error_code"], answer["base_offset"]), (ERR.NONE, sequence))

    def test_pipelined_with_a_gap(self):
        """Item 23: when one of several batches in flight is refused, those behind it are too, so that the producer can
        send all of them again in order."""
        topic, pid, client = self.topic(max_message_bytes=1000), self.new_id(), self.client()
        errors = [ERR.NONE, ERR.MESSAGE_TOO_LARGE, ERR.OUT_OF_ORDER_SEQUENCE_NUMBER, ERR.OUT_OF_ORDER_SEQUENCE_NUMBER]
        for sequence, size in enumerate((1, 2000, 1, 1)):
            client.send("Produce", 9, acks=-1, timeout_ms=9000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": batch(
                    [bytes(size)], producer_id=pid, producer_epoch=0, base_sequence=sequence)}]}])
        got = [client.receive()["responses"][0]["partition_responses"][0]["error_code"] for _ in errors]
        self.assertEqual(got, errors)

    def test_race_of_one_batch(self):
        """Item 23: check and append are one step: of the same batch sent on many connections at once, one is stored."""
        topic, pid = self.topic(), self.new_id()
        clients = [self.client() for _ in range(12)]
        for sequence in range(30):
            for client in clients:
                client.send("Produce", 9, acks=-1, timeout_ms=9000, topic_data=[
                    {"name": topic, "partition_data": [{"index": 0, "records": self.build(pid, sequence)}]}])
            for client in clients:
                answer = client.receive()["responses"][0]["partition_responses"][0]
                self.assertEqual((answer["error_code"], answer["base_offset"]), (ERR.NONE, sequence))
        self.assertEqual(self.ends(topic), 30)


class Crash(ProducerCase):
    PARTITIONS, IN_FLIGHT, KILLS = 3, 60, 5

    def produce_some(self, client, topic, pid, sequences):
        for partition, sequence in sequences:
            client.send("Produce", 9, acks=-1, timeout_ms=9000, topic_data=[
                {"name": topic, "partition_data": [{"index": partition, "records": self.build(pid, sequence)}]}])

    def test_kills_under_load(self):
        """Items 20, 23: a producer with many batches in flight meets SIGKILL again and again and sends again what was not
        answered. In the end each record is there once, in order, and each answer had told its true offset."""
        topic, pid, client = self.topic(partitions=self.PARTITIONS), self.new_id(), self.client()
        todo, sequence = [], [0] * self.PARTITIONS
        for kill in range(self.KILLS):
            while len(todo) < self.IN_FLIGHT:
                partition = (len(todo) + kill) % self.PARTITIONS
                todo.append((partition, sequence[partition]))
                sequence[partition] += 1
            self.produce_some(client, topic, pid, todo)
            for _ in range(11 * kill):
                self.told(client, todo.pop(0))
            self.node.restart(kill=True)
            client = self.client()
            # What is older than five batches is no known duplicate any more, so a producer has at most five in flight
            # for each partition (max.in.flight.requests.per.connection). Here the kill decides what arrived: ask.
            todo = [(p, s) for p, s in todo if s >= self.ends_of(topic, p)]
        self.produce_some(client, topic, pid, todo)
        for batch_sent in todo:
            self.told(client, batch_sent)
        for partition in range(self.PARTITIONS):
            self.assertEqual([r.value for b in self.stored(topic, partition) for r in b.records],
                             [b"%d/0/%d" % (pid, s) for s in range(sequence[partition])])

    def told(self, client, batch_sent):
        answer = client.receive()["responses"][0]["partition_responses"][0]
        self.assertEqual((answer["index"], answer["error_code"], answer["base_offset"]),
                         (batch_sent[0], ERR.NONE, batch_sent[1]))

    def ends_of(self, topic, partition):
        return sum(b.count for b in self.stored(topic, partition))

    def test_five_in_flight(self):
        """Item 20: with five batches in flight, as Kafka's producers have, all that was not answered is sent again
        blindly after each SIGKILL; nothing is lost, nothing is there twice."""
        topic, pid, sequence = self.topic(), self.new_id(), 0
        for kill in range(8):
            client = self.client()
            flight = [(0, sequence + i) for i in range(RETAINED)]
            self.produce_some(client, topic, pid, flight)
            for _ in range(kill % (RETAINED + 1)):
                self.told(client, flight.pop(0))
            self.node.restart(kill=True)
            client = self.client()
            self.produce_some(client, topic, pid, flight)
            for batch_sent in flight:
                self.told(client, batch_sent)
            sequence += RETAINED
        self.assertEqual([r.value for b in self.stored(topic) for r in b.records],
                         [b"%d/0/%d" % (pid, s) for s in range(sequence)])


class Ids(ProducerCase):
    def test_ids_are_new(self):
        """Items 20, 42: every InitProducerId gives an id that no one ever had, with epoch 0, in all versions and also
        after a stop and a SIGKILL; an id that the client names changes nothing where there is no transaction."""
        seen = set()
        for kill in (False, True):
            for _ in range(3):
                for version in range(6):
                    answer = self.client().call("InitProducerId", version, transactional_id=None,
                                                transaction_timeout_ms=2**31 - 1,
                                                **({"producer_id": 77, "producer_epoch": 3} if version >= 3 else {}))
                    self.assertError(answer["error_code"], ERR.NONE)
                    self.assertEqual(answer["producer_epoch"], 0)
                    self.assertGreaterEqual(answer["producer_id"], 0)
                    self.assertNotIn(answer["producer_id"], seen)
                    seen.add(answer["producer_id"])
                self.node.restart(kill=kill)

    def test_blocks_run_out(self):
        """Items 20, 42: thousands of ids at once, on several connections, are all different."""
        clients, seen, each = [self.client() for _ in range(4)], [], 700
        for client in clients:
            for _ in range(each):
                client.send("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=1000)
        for client in clients:
            for _ in range(each):
                answer = client.receive()
                self.assertError(answer["error_code"], ERR.NONE)
                seen.append(answer["producer_id"])
        self.assertEqual(len(set(seen)), 4 * each)


class Expiry(ProducerCase):
    SETTINGS = ["producers.id_expiration_ms=700ms", "storage.retention_check_interval_ms=50ms"]

    def test_idle_producer_goes_on(self):
        """Item 21: what is known of a producer is dropped when it has been idle for producer.id.expiration.ms; it then
        goes on with any sequence. One that is not idle is kept."""
        topic, idle, busy = self.topic(), self.new_id(), self.new_id()
        self.send(topic, idle, 0)
        deadline, sequence = time.monotonic() + 10, 0
        while True:
            self.send(topic, busy, sequence)
            sequence += 1
            time.sleep(0.05)
            answer = self.produce(self.client(), topic, self.build(idle, 500))
            if answer["error_code"] == ERR.NONE:
                break
            self.assertError(answer["error_code"], ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
            self.assertLess(time.monotonic(), deadline, "the idle producer was not forgotten")
        self.assertGreater(sequence, 5)
        self.send(topic, busy, sequence + 1, error=ERR.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.send(topic, busy, sequence)


if __name__ == "__main__":
    unittest.main()
