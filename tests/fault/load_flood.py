#!/usr/bin/env python3
"""Full load: confluent-kafka (librdkafka) produces as fast as the nodes take it and reads all of it again.

    load_flood.py HISTORY BOOTSTRAP TOPIC

A delivery that failed, and records that were not read in order, are written down as `refused`; how much it was as `flood` (history.py).
SIGTERM: everything in flight is delivered and read, then it ends with 0.
"""

import sys
import time

import history
import load_main
from confluent_kafka import Consumer, KafkaError, Producer

FINISH_S = 60
VALUE = bytes(1000)
QUEUE_MESSAGES = 50000


class Flood(load_main.Load):
    def __init__(self, path, bootstrap, topic):
        super().__init__()
        self.log, self.bootstrap, self.topic = history.Writer(path, "flood"), bootstrap, topic
        self.sent, self.delivered, self.refused, self.read = 0, 0, 0, 0

    def told(self, error, message):
        if not error:
            self.delivered += 1
            return
        self.refused += 1
        if self.refused <= 20:
            self.log.write("refused", what=f"Produce to {message.topic()}-{message.partition()}", error=error.name())

    def produce(self):
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                             "queue.buffering.max.messages": QUEUE_MESSAGES, "message.timeout.ms": 120000})
        while not self.finish.is_set():
            try:
                producer.produce(self.topic, VALUE, on_delivery=self.told)
                self.sent += 1
            except BufferError:
                producer.poll(0.05)
            if self.sent % 1000 == 0:
                producer.poll(0)
        if producer.flush(FINISH_S):
            raise TimeoutError(f"{len(producer)} records were not delivered in {FINISH_S} s after the end")

    def consume(self):
        """All that was delivered, in order: offsets of a partition without a gap."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "flood", "auto.offset.reset": "earliest",
                             "partition.assignment.strategy": "range"})
        consumer.subscribe([self.topic])
        positions, deadline = {}, None
        while self.read < self.delivered or not self.finish.is_set() or self.delivered + self.refused < self.sent:
            for message in consumer.consume(1000, 0.1):
                if message.error():
                    if message.error().fatal() or message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                        self.log.write("refused", what=f"Fetch of {self.topic}", error=message.error().name())
                    continue
                p, at = message.partition(), message.offset()
                if at != positions.get(p, 0) and at >= positions.get(p, 0):
                    self.log.write("refused", what=f"Fetch of {self.topic}-{p}", error=f"{at} comes after {positions[p]}")
                self.read += at >= positions.get(p, 0)
                positions[p] = max(at + 1, positions.get(p, 0))
            if self.finish.is_set():
                deadline = deadline or time.monotonic() + FINISH_S
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.read} of {self.delivered} records were read {FINISH_S} s after the end")
        consumer.close()

    def run(self):
        began = time.monotonic()
        for t in self.threads(self.produce, self.consume):
            while t.is_alive():
                t.join(0.1)
        self.log.write("flood", delivered=self.delivered, failed=self.refused, read=self.read,
                       seconds=round(time.monotonic() - began, 1))
        self.log.close()


if __name__ == "__main__":
    sys.exit(load_main.main(Flood(*sys.argv[1:4])))
