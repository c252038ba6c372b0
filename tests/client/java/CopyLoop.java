import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apache Kafka's Java client copies a topic in transactions; see tests/client/eos/README.md for the command line. A transaction whose
 * outcome is not known is given up by ending the process: its successor fences it.
 */
final class CopyLoop {
    private static final int PER_TRANSACTION = 40, OPEN_MS_MAX = 150;
    private static final String SETTLE_MS = "120000";
    private static volatile boolean stop;

    private static Properties properties(String bootstrap, Object... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("reconnect.backoff.max.ms", "200");
        for (int i = 0; i + 1 < pairs.length; i += 2) {
            p.put(pairs[i], String.valueOf(pairs[i + 1]));
        }
        return p;
    }

    private static KafkaConsumer<String, String> consumer(Properties p) {
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    private static KafkaProducer<String, String> producer(Properties p) {
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    /** Lines "PARTITION VALUE" from standard input become records, in their order. */
    private static int fill(String bootstrap, String topic) throws Exception {
        AtomicReference<Exception> failed = new AtomicReference<>();
        try (var p = producer(properties(bootstrap, "linger.ms", 5, "delivery.timeout.ms", SETTLE_MS, "max.block.ms", SETTLE_MS));
             var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null && failed.get() == null; line = in.readLine()) {
                String[] words = line.split(" ", 2);
                p.send(new ProducerRecord<>(topic, Integer.parseInt(words[0]), null, words[1]), (meta, e) -> failed.compareAndSet(null, e));
            }
            p.flush();
        }
        if (failed.get() != null) {
            throw failed.get();
        }
        return 0;
    }

    /** All that readers of this level see now, as lines "PARTITION VALUE". */
    private static int read(String bootstrap, String topic, String level) {
        StringBuilder out = new StringBuilder();
        try (var c = consumer(properties(bootstrap, "isolation.level", level, "enable.auto.commit", false))) {
            List<TopicPartition> parts = c.partitionsFor(topic).stream().map(i -> new TopicPartition(topic, i.partition())).toList();
            c.assign(parts);
            c.seekToBeginning(parts);
            Map<TopicPartition, Long> ends = c.endOffsets(parts);
            while (parts.stream().anyMatch(t -> c.position(t) < ends.get(t))) {
                c.poll(Duration.ofMillis(200)).forEach(r -> {
                    if (r.offset() < ends.get(new TopicPartition(topic, r.partition()))) {
                        out.append(r.partition()).append(' ').append(r.value()).append('\n');
                    }
                });
            }
        }
        System.out.print(out);
        System.out.flush();
        return 0;
    }

    private static void rewind(KafkaConsumer<String, String> c) {
        var committed = c.committed(new HashSet<>(c.assignment()));
        for (TopicPartition t : c.assignment()) {
            OffsetAndMetadata at = committed.get(t);
            if (at != null) {
                c.seek(t, at.offset());
            } else {
                c.seekToBeginning(List.of(t));
            }
        }
    }

    private static void commit(KafkaProducer<String, String> p) {
        while (true) {
            try {
                p.commitTransaction();
                return;
            } catch (RetriableException e) {
                System.err.println("commit again: " + e);
            }
        }
    }

    private static void copyOnce(KafkaConsumer<String, String> c, KafkaProducer<String, String> p, String target, Random random)
            throws InterruptedException {
        var records = c.poll(Duration.ofMillis(200));
        if (records.isEmpty()) {
            return;
        }
        p.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        for (ConsumerRecord<String, String> r : records) {
            p.send(new ProducerRecord<>(target, r.partition(), null, r.value()));
            next.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
        }
        Thread.sleep(random.nextInt(OPEN_MS_MAX));
        p.sendOffsetsToTransaction(next, c.groupMetadata());
        Thread.sleep(random.nextInt(OPEN_MS_MAX));
        commit(p);
    }

    private static int copy(String bootstrap, String source, String target, String group, String id, String instance,
            int sessionMs) throws Exception {
        Properties reader = properties(bootstrap, "group.id", group, "isolation.level", "read_committed", "auto.offset.reset", "earliest",
                "enable.auto.commit", false, "session.timeout.ms", sessionMs, "heartbeat.interval.ms", sessionMs / 4, "max.poll.records", PER_TRANSACTION);
        if (!instance.equals("-")) {
            reader.put("group.instance.id", instance);
        }
        Random random = new Random();
        try (var c = consumer(reader); var p = producer(properties(bootstrap, "transactional.id", id, "linger.ms", 5,
                "transaction.timeout.ms", 20000, "delivery.timeout.ms", 15000, "request.timeout.ms", 10000))) {
            p.initTransactions();
            c.subscribe(List.of(source));
            while (!stop) {
                try {
                    copyOnce(c, p, target, random);
                } catch (KafkaException e) {
                    System.err.println("aborting: " + e);
                    p.abortTransaction(); // throws if this producer is fenced or broken: then the process ends
                    rewind(c);
                }
            }
        }
        return 0;
    }

    public static void main(String[] a) {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop = true;
            try {
                main.join(30000);
            } catch (InterruptedException e) {
                return;
            }
            Runtime.getRuntime().halt(main.isAlive() ? 4 : 0);
        }));
        int status;
        try {
            status = switch (a[0]) {
                case "fill" -> fill(a[1], a[2]);
                case "read" -> read(a[1], a[2], a[3]);
                default -> copy(a[1], a[2], a[3], a[4], a[5], a[6], Integer.parseInt(a[7]));
            };
        } catch (Exception e) {
            System.err.println("ends: " + e);
            status = 3;
        }
        if (!stop) {
            Runtime.getRuntime().halt(status);
        }
    }
}
