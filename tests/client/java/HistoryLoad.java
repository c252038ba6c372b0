import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache Kafka's Java client under faults: an idempotent producer, and a consumer of a group that commits. Arguments: HISTORY BOOTSTRAP
 * TOPIC PARTITIONS NAME. What it is told is written as tests/fault/history.py says; System.nanoTime() is the same clock there. SIGTERM:
 * everything in flight is delivered, then it ends. With -Dgroup.protocol=consumer there are two consumers, to whom the coordinator assigns
 * (KIP-848).
 */
final class HistoryLoad {
    private static final int PER_TURN = 5, PAUSE_MS = 50, COMMIT_EVERY_MS = 500, FINISH_S = 60;

    private static final String PROTOCOL = System.getProperty("group.protocol", "classic");

    private final BufferedWriter file;
    private final String bootstrap, topic, name;
    private final int[] next;
    private volatile boolean finish, done;
    private volatile Throwable failed;

    private HistoryLoad(String[] args) throws IOException {
        file = Files.newBufferedWriter(Path.of(args[0]));
        bootstrap = args[1];
        topic = args[2];
        next = new int[Integer.parseInt(args[3])];
        name = args[4];
    }

    private static double now() {
        return System.nanoTime() / 1e9;
    }

    private synchronized void write(String kind, String by, int partition, String rest) {
        try {
            file.write(String.format(Locale.ROOT, "{\"t\":%.6f,\"by\":\"%s\",\"do\":\"%s\",\"of\":[\"%s\",%d],%s}%n", now(), by, kind, topic,
                partition, rest));
        } catch (IOException e) {
            failed = e;
        }
    }

    private static String field(String name, Object value) {
        return value instanceof Double d ? String.format(Locale.ROOT, "\"%s\":%.6f", name, d)
            : value instanceof String s ? String.format("\"%s\":\"%s\"", name, s) : String.format("\"%s\":%s", name, value);
    }

    private static long checksum(byte[] value) {
        CRC32 crc = new CRC32();
        crc.update(value);
        return crc.getValue();
    }

    /** [producer, number, checksum] of PRODUCER:PARTITION:NUMBER:filling. */
    private static String row(byte[] value) {
        String[] parts = new String(value, StandardCharsets.ISO_8859_1).split(":", 4);
        boolean ours = parts.length == 4 && parts[2].matches("\\d+");
        return String.format("[\"%s\",%s,%d]", ours ? parts[0] : "?", ours ? parts[2] : "-1", checksum(value));
    }

    private void produce() throws InterruptedException {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("enable.idempotence", "true");
        p.put("linger.ms", "5");
        p.put("request.timeout.ms", "4000");
        p.put("delivery.timeout.ms", "120000");
        p.put("max.block.ms", "60000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            while (!finish && failed == null) {
                for (int i = 0; i < next.length; i++) {
                    send(producer, i);
                }
                Thread.sleep(PAUSE_MS);
            }
            producer.flush();
            producer.close(Duration.ofSeconds(FINISH_S));
        }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, int partition) {
        String by = name + "-" + partition;
        int first = next[partition];
        next[partition] += PER_TURN;
        write("send", by, partition, field("n", first) + "," + field("count", PER_TURN));
        for (int n = first; n < first + PER_TURN; n++) {
            byte[] value = (by + ":" + partition + ":" + n + ":" + "j".repeat(n % 100)).getBytes(StandardCharsets.ISO_8859_1);
            int number = n;
            double since = now();
            producer.send(new ProducerRecord<>(topic, partition, null, value), (told, error) -> {
                if (error != null) {
                    write("refused", by, partition, field("what", "Produce, number " + number) + ","
                        + field("error", error.getClass().getSimpleName()));
                } else {
                    write("ack", by, partition, field("since", since) + "," + field("at", told.offset()) + "," + field("n", number)
                        + ",\"sums\":[" + checksum(value) + "]");
                }
            });
        }
    }

    private void consume(int number) {
        String group = name + "-group", by = name + "-reader-" + number;
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("group.protocol", PROTOCOL);
        if (PROTOCOL.equals("classic")) {       // else the coordinator says how long
            p.put("session.timeout.ms", "6000");
            p.put("heartbeat.interval.ms", "1500");
        }
        p.put("request.timeout.ms", "5000");
        p.put("default.api.timeout.ms", "6000");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> parts) {
                    look(consumer, parts, group, by);
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> parts) { }
            });
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            long due = 0;
            while (!done && failed == null) {
                try {
                    for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                        write("read", by, r.partition(), field("at", r.offset()) + ",\"rows\":[" + row(r.value()) + "]");
                        positions.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                    }
                    if (!positions.isEmpty() && System.currentTimeMillis() > due) {
                        commit(consumer, positions, group, by);
                        positions.clear();
                        due = System.currentTimeMillis() + COMMIT_EVERY_MS;
                    }
                } catch (KafkaException e) {
                    positions.clear();          // not acknowledged: nothing was promised
                }
            }
        }
    }

    private void look(KafkaConsumer<byte[], byte[]> consumer, Collection<TopicPartition> parts, String group, String by) {
        double since = now();
        try {
            consumer.committed(new HashSet<>(parts), Duration.ofSeconds(3)).forEach((part, at) -> write("committed", by, part.partition(),
                field("group", group) + "," + field("since", since) + "," + field("offset", at == null ? -1 : at.offset())));
        } catch (KafkaException e) {
            return;                             // asked again at the next assignment
        }
    }

    private void commit(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, OffsetAndMetadata> positions, String group, String by) {
        double since = now();
        positions.forEach((part, at) -> write("commit?", by, part.partition(), field("group", group) + "," + field("offset", at.offset())));
        consumer.commitSync(positions, Duration.ofSeconds(4));
        positions.forEach((part, at) -> write("commit", by, part.partition(), field("group", group) + "," + field("offset", at.offset())
            + "," + field("since", since)));
    }

    private Thread start(String what, Runnable body) {
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } catch (Throwable e) {
                failed = failed == null ? e : failed;
            }
        }, what);
        thread.start();
        return thread;
    }

    public static void main(String[] args) throws Exception {
        HistoryLoad load = new HistoryLoad(args);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            load.finish = true;
            try {
                main.join();
            } catch (InterruptedException e) {
                return;
            }
            Runtime.getRuntime().halt(load.failed == null ? 0 : 1);     // after SIGTERM the status would be 143
        }));
        List<Thread> consumers = new ArrayList<>();
        for (int i = 1; i <= (PROTOCOL.equals("classic") ? 1 : 2); i++) {
            int number = i;
            consumers.add(load.start("consumer " + number, () -> load.consume(number)));
        }
        Thread producer = load.start("producer", () -> {
            try {
                load.produce();
            } catch (InterruptedException e) {
                load.failed = e;
            }
        });
        producer.join();
        load.done = true;
        for (Thread consumer : consumers) {
            consumer.join();
        }
        synchronized (load) {
            load.file.close();
        }
        if (load.failed != null) {
            load.failed.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }
}
