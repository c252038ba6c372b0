#!/usr/bin/env python3
"""confluent-kafka (librdkafka) as a client under faults: an idempotent producer, and two consumers of a group that commit.

    load_confluent.py HISTORY BOOTSTRAP TOPIC PARTITIONS NAME

Written down as history.py says. SIGTERM: everything in flight is delivered, then it ends with 0.
"""

import sys
import threading
import time

import history
import load_main
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

FINISH_S = 60
PER_TURN, PAUSE_S = 5, 0.05
COMMIT_EVERY_S = 0.5


class Load(load_main.Load):
    def __init__(self, path, bootstrap, topic, partitions, name):
        super().__init__()
        self.log, self.bootstrap, self.topic, self.name = history.Writer(path, name), bootstrap, topic, name
        self.next, self.done = [0] * int(partitions), threading.Event()

    # -- producing --

    def produce(self):
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 5, "compression.type": "gzip",
                             "message.timeout.ms": 120000, "socket.timeout.ms": 5000, "request.timeout.ms": 4000})
        while not self.finish.is_set():
            for p in range(len(self.next)):
                self.send(producer, p)
            producer.poll(PAUSE_S)
        if producer.flush(FINISH_S):
            raise TimeoutError(f"{len(producer)} records were not delivered in {FINISH_S} s after the end")

    def send(self, producer, p):
        first, by = self.next[p], f"{self.name}-{p}"
        self.log.write("send", by=by, of=[self.topic, p], n=first, count=PER_TURN)
        self.next[p] += PER_TURN
        since = time.monotonic()
        for number in range(first, first + PER_TURN):
            value = history.value_of(by, p, number, b"c" * (number % 100))

            def told(error, message, number=number, checksum=history.row_of(value)[2]):
                if error:
                    self.log.write("refused", what=f"Produce of {by}, number {number}", error=error.name())
                else:
                    self.log.write("ack", by=by, of=[self.topic, p], since=since, at=message.offset(), n=number, sums=[checksum])
            producer.produce(self.topic, value, partition=p, on_delivery=told)

    # -- consuming --

    def consume(self, number):
        group, by = f"{self.name}-group", f"{self.name}-{number}-reader"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False,
                             "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "check.crcs": True,
                             "socket.timeout.ms": 5000})
        consumer.subscribe([self.topic], on_assign=lambda c, parts: self.look(c, parts, group, by))
        positions, due = {}, 0
        while not self.done.is_set():
            for message in consumer.consume(200, 0.1):
                if message.error():
                    continue                # what passes is the library's to mend; what does not shows in the end
                p = message.partition()
                self.log.write("read", by=by, of=[self.topic, p], at=message.offset(), rows=[history.row_of(message.value())])
                positions[p] = message.offset() + 1
            if positions and time.monotonic() > due:
                self.commit(consumer, group, by, positions)
                positions, due = {}, time.monotonic() + COMMIT_EVERY_S
        consumer.close()

    def look(self, consumer, parts, group, by):
        """What is committed for partitions that were just given to us; a coordinator that is gone is asked again by the library."""
        since = time.monotonic()
        try:
            for row in consumer.committed(parts, timeout=3):
                if not row.error:
                    self.log.write("committed", by=by, of=[self.topic, row.partition], group=group, since=since,
                                   offset=row.offset if row.offset >= 0 else -1)
        except KafkaException:
            pass

    def commit(self, consumer, group, by, positions):
        since = time.monotonic()
        for p, offset in positions.items():
            self.log.write("commit?", by=by, of=[self.topic, p], group=group, offset=offset)
        try:
            rows = consumer.commit(offsets=[TopicPartition(self.topic, p, o) for p, o in positions.items()], asynchronous=False)
        except KafkaException:
            return                          # not acknowledged: nothing was promised
        for row in rows:
            if not row.error:
                self.log.write("commit", by=by, of=[self.topic, row.partition], group=group, offset=row.offset, since=since)

    def run(self):
        threads = self.threads(self.produce, lambda: self.consume(1), lambda: self.consume(2))
        while threads[0].is_alive() and not self.failed:
            time.sleep(0.05)
        self.done.set()
        for t in threads[1:]:
            t.join(30)
            if t.is_alive():
                self.failed = self.failed or "a consumer did not close in 30 s"
        self.log.close()


if __name__ == "__main__":
    sys.exit(load_main.main(Load(*sys.argv[1:6])))
