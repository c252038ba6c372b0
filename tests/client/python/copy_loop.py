"""confluent-kafka (librdkafka) copies a topic in transactions; see tests/client/eos/README.md for the command line.

A transaction whose outcome is not known is given up by ending the process: its successor fences it.
"""
import random
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

PER_TRANSACTION, OPEN_S_MAX, SETTLE_S, GAVE_UP = 40, 0.15, 120, 3
stop = False


def base(bootstrap, **conf):
    # Since 2.8 librdkafka forgets its brokers when all are down, but not that one of those is the group's coordinator, and
    # send_offsets_to_transaction() then waits for ever (its issue 5511).
    return {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200, "metadata.recovery.strategy": "none",
            **{k.replace("_", "."): v for k, v in conf.items()}}


def fill(bootstrap, topic):
    """Lines "PARTITION VALUE" from standard input become records, in their order."""
    p = Producer(base(bootstrap, enable_idempotence=True, linger_ms=5, delivery_timeout_ms=SETTLE_S * 1000))
    failed = []

    def delivered(error, _message):
        if error:
            failed.append(error)

    for line in sys.stdin:
        partition, value = line.rstrip("\n").split(" ", 1)
        p.produce(topic, value, partition=int(partition), on_delivery=delivered)
        p.poll(0)
    left = p.flush(SETTLE_S)
    if failed or left:
        raise RuntimeError(f"{left} records are not delivered: {failed[:1]}")


def read(bootstrap, topic, level):
    """All that readers of this level see now, as lines "PARTITION VALUE"."""
    c = Consumer(base(bootstrap, group_id="unused", enable_auto_commit=False, isolation_level=level, enable_partition_eof=True))
    partitions = c.list_topics(topic, 20).topics[topic].partitions
    c.assign([TopicPartition(topic, p, 0) for p in partitions])
    ends = set()
    while len(ends) < len(partitions):
        message = c.poll(1)
        if message is None:
            continue
        if message.error() is None:
            print(message.partition(), message.value().decode())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ends.add(message.partition())
        elif not message.error().retriable():
            raise KafkaException(message.error())


def settled(action, *args):
    """Do it until it is done or has failed for good: librdkafka says when it may be called again."""
    while True:
        try:
            return action(*args)
        except KafkaException as exc:
            if not exc.args[0].retriable():
                raise
            print(f"again: {exc}", file=sys.stderr)


def rewind(c):
    for part in c.committed(c.assignment(), 20):
        if part.offset < 0:
            part.offset = 0
        c.seek(part)


def copy_once(c, p, target):
    records = [m for m in c.consume(PER_TRANSACTION, 0.2) if not m.error()]
    if not records:
        return
    p.begin_transaction()
    ends = {}
    for m in records:
        p.produce(target, m.value(), partition=m.partition())
        ends[m.topic(), m.partition()] = m.offset() + 1
    p.poll(0)
    time.sleep(random.random() * OPEN_S_MAX)
    settled(p.send_offsets_to_transaction, [TopicPartition(t, i, at) for (t, i), at in ends.items()],
            c.consumer_group_metadata(), 20)
    time.sleep(random.random() * OPEN_S_MAX)
    settled(p.commit_transaction, 20)


def copy(bootstrap, source, target, group, name, instance, session_ms):
    conf = base(bootstrap, group_id=group, isolation_level="read_committed", auto_offset_reset="earliest",
                enable_auto_commit=False, session_timeout_ms=int(session_ms), heartbeat_interval_ms=int(session_ms) // 4)
    if instance != "-":
        conf["group.instance.id"] = instance
    c = Consumer(conf)
    p = Producer(base(bootstrap, transactional_id=name, linger_ms=5, transaction_timeout_ms=20000))
    settled(p.init_transactions, 30)
    c.subscribe([source])
    while not stop:
        try:
            copy_once(c, p, target)
        except KafkaException as exc:
            if not exc.args[0].txn_requires_abort():
                raise
            print(f"aborting: {exc}", file=sys.stderr)
            settled(p.abort_transaction, 20)
            rewind(c)
    c.close()


def on_term(_signum, _frame):
    global stop
    stop = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_term)
    try:
        {"fill": fill, "read": read, "copy": copy}[sys.argv[1]](*sys.argv[2:])
    except (KafkaException, RuntimeError) as why:
        print(f"ends: {why}", file=sys.stderr)
        sys.exit(GAVE_UP)
