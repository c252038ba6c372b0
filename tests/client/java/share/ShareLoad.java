import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Members of a share group (KIP-932) under faults: Apache Kafka's Java client with explicit acknowledgements. Arguments: HISTORY BOOTSTRAP TOPIC
 * PARTITIONS NAME. What they are given and told is written as tests/fault/history.py says; System.nanoTime() is the same clock there. SIGTERM:
 * they go on until the group has no lag, then end.
 */
final class ShareLoad {
    private static final int MEMBERS = 3, COMMIT_S = 20, DRAIN_S = 60, ADMIN_S = 60;
    /** One in so many is given back when it comes for the first time. */
    private static final int RELEASE_EVERY = 53;

    private final BufferedWriter file;
    private final String bootstrap, topic, name, group;
    private final int partitions;
    private volatile boolean finish, done;
    private volatile Throwable failed;

    private ShareLoad(String[] args) throws IOException {
        file = Files.newBufferedWriter(Path.of(args[0]));
        bootstrap = args[1];
        topic = args[2];
        partitions = Integer.parseInt(args[3]);
        name = args[4];
        group = name + "-group";
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

    private String offsets(List<Long> offsets, double since) {
        return String.format(Locale.ROOT, "\"group\":\"%s\",\"since\":%.6f,\"offsets\":%s", group, since, offsets);
    }

    /** [producer, number, checksum] of PRODUCER:PARTITION:NUMBER:filling. */
    private static String row(byte[] value) {
        String[] parts = new String(value, StandardCharsets.ISO_8859_1).split(":", 4);
        boolean ours = parts.length == 4 && parts[2].matches("\\d+");
        CRC32 crc = new CRC32();
        crc.update(value);
        return String.format("[\"%s\",%s,%d]", ours ? parts[0] : "?", ours ? parts[2] : "-1", crc.getValue());
    }

    /** The group begins with the first record, and a record that is lost with a member comes again soon, and often enough. */
    private void configure(Admin admin) throws InterruptedException {
        Map<String, String> configs = Map.of("share.auto.offset.reset", "earliest", "share.record.lock.duration.ms", "15000",
            "share.delivery.count.limit", "10");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        List<AlterConfigOp> ops = configs.entrySet().stream().map(e -> new AlterConfigOp(new ConfigEntry(e.getKey(), e.getValue()),
            AlterConfigOp.OpType.SET)).collect(Collectors.toList());
        for (double until = now() + ADMIN_S;; Thread.sleep(200)) {
            try {
                admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
                return;
            } catch (ExecutionException e) {
                if (now() > until) {
                    throw new KafkaException("the group could not be configured", e.getCause());
                }
            }
        }
    }

    private boolean hasLag(Admin admin) throws InterruptedException {
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            all.add(new TopicPartition(topic, i));
        }
        try {
            var told = admin.listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec().topicPartitions(all)))
                .partitionsToOffsetInfo(group).get();
            return !all.stream().allMatch(p -> told.get(p) != null && told.get(p).lag().isPresent() && told.get(p).lag().get() == 0);
        } catch (ExecutionException e) {
            return true;                        // asked again
        }
    }

    private Properties properties() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("request.timeout.ms", "5000");
        p.put("default.api.timeout.ms", "20000");
        return p;
    }

    private void consume(int number) {
        String by = name + "-" + number;
        Properties p = properties();
        p.put("group.id", group);
        p.put("share.acknowledgement.mode", "explicit");
        Deque<Double> polls = new ArrayDeque<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!done && failed == null) {
                polls.addLast(now());
                if (polls.size() > 4) {
                    polls.removeFirst();        // what a poll gives was not fetched before the one three polls ago
                }
                try {
                    turn(consumer, by, polls.getFirst());
                } catch (KafkaException e) {
                    continue;                   // nothing was promised
                }
            }
        }
    }

    private void turn(KafkaShareConsumer<byte[], byte[]> consumer, String by, double since) {
        Map<Integer, List<Long>> given = new TreeMap<>(), accepts = new TreeMap<>();
        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
            boolean first = r.deliveryCount().orElse((short) 1) == 1;
            boolean accept = !first || r.offset() % RELEASE_EVERY != 0;
            write("read", by, r.partition(), "\"at\":" + r.offset() + ",\"rows\":[" + row(r.value()) + "]");
            given.computeIfAbsent(r.partition(), x -> new ArrayList<>()).add(r.offset());
            if (accept) {
                accepts.computeIfAbsent(r.partition(), x -> new ArrayList<>()).add(r.offset());
            }
            consumer.acknowledge(r, accept ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
        }
        if (given.isEmpty()) {
            return;
        }
        given.forEach((partition, offsets) -> write("lent", by, partition, offsets(offsets, since)));
        double asked = now();
        accepts.forEach((partition, offsets) -> write("accept?", by, partition, offsets(offsets, asked)));
        for (Map.Entry<TopicIdPartition, Optional<KafkaException>> told : consumer.commitSync(Duration.ofSeconds(COMMIT_S)).entrySet()) {
            List<Long> offsets = accepts.getOrDefault(told.getKey().partition(), Collections.emptyList());
            if (told.getValue().isEmpty()) {
                write("accept", by, told.getKey().partition(), offsets(offsets, asked));
            } else if (told.getValue().get() instanceof InvalidRecordStateException) {
                write("unlent", by, told.getKey().partition(), offsets(offsets, asked));
            }
        }
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
        ShareLoad load = new ShareLoad(args);
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
        List<Thread> members = new ArrayList<>();
        try (Admin admin = Admin.create(load.properties())) {
            load.configure(admin);
            for (int i = 1; i <= MEMBERS; i++) {
                int number = i;
                members.add(load.start("member " + number, () -> load.consume(number)));
            }
            while (!load.finish && load.failed == null) {
                Thread.sleep(100);
            }
            for (double until = now() + DRAIN_S; load.failed == null && now() < until && load.hasLag(admin);) {
                Thread.sleep(200);
            }
        }
        load.done = true;
        for (Thread member : members) {
            member.join();
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
