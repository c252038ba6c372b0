"""What is measured: the parts of the comparison, each a list of workloads and the figures that its table shows."""
from contest import MODES, Workload

BATCH = 16384           # Kafka's batch.size
SECONDS = 1.5
BYTES_MAX = 512 << 20   # a faster server would only fill the disk


def produce():
    """Records of three sizes, one, eight and 256 partitions, both kinds of acks, with and without lz4. On stable storage
    only the corner that people run, because Kafka takes long there."""
    for partitions in (1, 8, 256):
        for record in (100, 1000, 10000):
            for acks in ("1", "all"):
                for codec in ("none", "lz4"):
                    name = f"{record:,} B, {partitions} partition{'s' if partitions > 1 else ''}, acks {acks}, {codec}"
                    options = {"connections": 4, "in_flight": 5, "batch_bytes": max(BATCH, record), "record_bytes": record,
                               "acks": acks, "codec": codec, "seconds": SECONDS, "bytes_max": BYTES_MAX}
                    yield Workload("produce", name, "cached", partitions, "produce", options)
                    if (acks, codec) == ("all", "none"):
                        yield Workload("produce", name, "durable", partitions, "produce", options)


def consume():
    """The same bytes for all. How they were acknowledged makes no difference to a reader."""
    for cold in (False, True):
        yield Workload("consume", "from the disk, 8 partitions" if cold else "from the page cache, 8 partitions", "cached", 8,
                       "consume", {"connections": 4, "seconds": 0 if cold else SECONDS}, filled_mb=512, cold=cold)
    yield Workload("consume", "from the page cache, 256 partitions", "cached", 256, "consume",
                   {"connections": 4, "seconds": SECONDS}, filled_mb=512)


def latency():
    for mode in MODES:
        for rate in (100, 500, 2000):
            yield Workload("latency", f"{rate:,} batches/s", mode, 8, "e2e",
                           {"rate": rate, "seconds": 4, "batch_bytes": 1000, "record_bytes": 100}, own_topic=True)


def producers():
    for mode in MODES:
        for connections in (64, 1000):
            yield Workload("producers", f"{connections:,} producers, 1 KB each", mode, 8, "produce",
                           {"connections": connections, "in_flight": 1, "batch_bytes": 1000, "record_bytes": 100,
                            "seconds": 2.5})


def growth():
    for connections in (1, 10, 100, 1000):
        yield Workload("growth", f"{connections:,} connections", "cached", 8, "produce",
                       {"connections": connections, "in_flight": 1, "batch_bytes": 1000, "record_bytes": 100,
                        "seconds": 1})
    for partitions in (1, 10, 100, 1000):
        yield Workload("growth", f"{partitions:,} partitions", "cached", partitions, "produce",
                       {"connections": 64, "in_flight": 1, "batch_bytes": 1000, "record_bytes": 100, "seconds": 1})


PARTS = {"produce": produce, "consume": consume, "latency": latency, "producers": producers, "growth": growth}

# (title, [(heading, figure, factor)]) of each part's tables
TABLES = {
    "produce": [("throughput, MB/s", "mb_s", 1), ("server's CPU seconds per GB", "cpu_s_per_gb", 1),
                ("resident at most, MB", "resident_mb", 1)],
    "consume": [("throughput, MB/s", "mb_s", 1), ("server's CPU seconds per GB", "cpu_s_per_gb", 1),
                ("resident at most, MB", "resident_mb", 1)],
    "latency": [("end to end, p50 ms", "p50_ms", 1), ("end to end, p99 ms", "p99_ms", 1),
                ("end to end, p99.9 ms", "p999_ms", 1), ("acknowledged, p99 ms", "ack_p99_ms", 1)],
    "producers": [("thousand requests/s", "requests_s", 1e-3), ("acknowledged, p99 ms", "p99_ms", 1),
                  ("server's CPU us per request", "cpu_us_per_request", 1), ("resident at most, MB", "resident_mb", 1)],
    "growth": [("thousand requests/s", "requests_s", 1e-3), ("server's CPU us per request", "cpu_us_per_request", 1),
               ("resident at most, MB", "resident_mb", 1)],
}
