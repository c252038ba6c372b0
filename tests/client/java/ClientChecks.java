import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * Apache Kafka's Java client against a broker. The 4.x and the 3.x release compile and run this same file, so it keeps to
 * what both have.
 */
public final class ClientChecks {
    private static final Checks checks = new Checks();
    private static String bootstrap;
    private static Admin admin;

    // -- helpers

    private static String text(byte[] b) {
        return b == null ? null : new String(b, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    private static Properties properties(Object... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        for (int i = 0; i + 1 < pairs.length; i += 2) {
            p.put(pairs[i], String.valueOf(pairs[i + 1]));
        }
        return p;
    }

    private static String make(String tag, int partitions, String... config) throws Exception {
        String name = checks.topic(tag);
        Map<String, String> pairs = new HashMap<>();
        for (int i = 0; i + 1 < config.length; i += 2) {
            pairs.put(config[i], config[i + 1]);
        }
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(pairs))).all().get();
        untilPartitions(name, partitions);
        return name;
    }

    /** A broker may learn of a topic a moment after the controller has answered. */
    private static void untilPartitions(String name, int count) throws Exception {
        Checks.until(name + " has " + count + " partitions", () -> {
            try {
                return describe(name).partitions().size() == count;
            } catch (ExecutionException e) {
                return false;
            }
        });
    }

    private static TopicDescription describe(String name) throws Exception {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
    }

    private static List<RecordMetadata> produce(Collection<ProducerRecord<byte[], byte[]>> records, Object... config)
            throws Exception {
        Properties p = properties("linger.ms", 10, "max.block.ms", 20000, "delivery.timeout.ms", 40000,
                "request.timeout.ms", 20000);
        p.putAll(properties(config));
        try (var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> waiting = new ArrayList<>();
            for (var r : records) {
                waiting.add(producer.send(r));
            }
            producer.flush();
            List<RecordMetadata> out = new ArrayList<>();
            for (var f : waiting) {
                out.add(f.get());
            }
            return out;
        }
    }

    private static List<ProducerRecord<byte[], byte[]>> records(String topic, List<byte[]> values) {
        return values.stream().map(v -> new ProducerRecord<byte[], byte[]>(topic, 0, null, v)).toList();
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String group, Object... config) {
        Properties p = properties("enable.auto.commit", false, "auto.offset.reset", "earliest", "fetch.max.wait.ms", 100,
                "heartbeat.interval.ms", 500, "session.timeout.ms", 10000);
        if (group != null) {
            p.put("group.id", Checks.group(group));
        }
        p.putAll(properties(config));
        if ("consumer".equals(p.get("group.protocol"))) { // the broker says these
            p.remove("heartbeat.interval.ms");
            p.remove("session.timeout.ms");
        }
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> c, long count) {
        List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>();
        long deadline = System.nanoTime() + 40_000_000_000L;
        while (out.size() < count) {
            c.poll(Duration.ofMillis(200)).forEach(out::add);
            Checks.isTrue(out.size() + " of " + count + " records after 40 s", System.nanoTime() < deadline);
        }
        return out;
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(String topic, long start, int partitions, Object... config) {
        try (var c = consumer(null, config)) {
            List<TopicPartition> parts = IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            c.assign(parts);
            parts.forEach(tp -> c.seek(tp, start));
            long count = c.endOffsets(parts).values().stream().mapToLong(end -> Math.max(0, end - start)).sum();
            return take(c, count);
        }
    }

    private static void sameValues(List<ConsumerRecord<byte[], byte[]>> got, List<byte[]> want) {
        Checks.equal("records", got.size(), want.size());
        for (int i = 0; i < want.size(); i++) {
            Checks.equal("value " + i, got.get(i).value(), want.get(i));
            Checks.equal("offset", got.get(i).offset(), (long) i);
        }
    }

    private static long fill(String topic, int partitions, int count, long start) throws Exception {
        List<ProducerRecord<byte[], byte[]>> all = new ArrayList<>();
        List<byte[]> values = Checks.values(count, 100);
        for (int p = 0; p < partitions; p++) {
            for (int i = 0; i < count; i++) {
                all.add(new ProducerRecord<>(topic, p, start + i * 1000L, null, values.get(i)));
            }
        }
        produce(all);
        return start;
    }

    /** A topic with 100 records per partition, one second apart from an hour ago on. */
    private static String filled(String tag, int partitions) throws Exception {
        String name = make(tag, partitions);
        fill(name, partitions, 100, hourAgo());
        return name;
    }

    private static long hourAgo() {
        return System.currentTimeMillis() - 3_600_000;
    }

    // -- cluster, topics, configuration

    private static void cluster() throws Exception {
        var got = admin.describeCluster();
        Checks.isTrue("no cluster id", !got.clusterId().get().isEmpty());
        Set<String> addresses = got.nodes().get().stream().map(n -> n.host() + ":" + n.port()).collect(Collectors.toSet());
        Checks.isTrue(bootstrap + " is not among " + addresses, addresses.contains(bootstrap));
        Checks.isTrue("the controller is no node", got.nodes().get().contains(got.controller().get()));
    }

    private static void topicCreate() throws Exception {
        String name = checks.topic("create");
        var made = admin.createTopics(List.of(new NewTopic(name, 3, (short) 1).configs(Map.of("retention.ms", "123456"))));
        Checks.equal("partitions in the answer", made.numPartitions(name).get(), 3);
        Checks.equal("replicas in the answer", made.replicationFactor(name).get(), 1);
        Checks.equal("retention.ms in the answer", made.config(name).get().get("retention.ms").value(), "123456");
        untilPartitions(name, 3);
        Checks.equal("topic id", describe(name).topicId(), made.topicId(name).get());
        Checks.fails("a second create", TopicExistsException.class, () -> create(name, 1));
        Checks.fails("a bad name", InvalidTopicException.class, () -> create("no/slash", 1));
        Checks.fails("30 replicas", InvalidReplicationFactorException.class, () -> create(Checks.RUN + "-rf", 30));
        String dry = Checks.RUN + "-dry";
        admin.createTopics(List.of(new NewTopic(dry, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        Checks.isTrue("validate-only made a topic", !admin.listTopics().names().get().contains(dry));
        Checks.fails("an unknown topic", UnknownTopicOrPartitionException.class, () -> describe(dry));
    }

    private static void create(String name, int replicas) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, 1, (short) replicas))).all().get();
    }

    private static void topicPartitions() throws Exception {
        String name = make("grow", 1);
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get();
        untilPartitions(name, 4);
        Checks.fails("shrinking", InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(2))).all().get());
        produce(List.of(new ProducerRecord<>(name, 3, null, bytes("x"))));
        Checks.equal("records", read(name, 0, 4).size(), 1);
    }

    private static void topicDescribe() throws Exception {
        String name = make("describe", 2);
        var got = describe(name);
        for (var p : got.partitions()) {
            Checks.equal("leader", p.leader().id(), p.replicas().get(0).id());
            Checks.equal("in sync", p.isr().size(), 1);
        }
        var byId = admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(got.topicId())));
        Checks.equal("by id", byId.allTopicIds().get().get(got.topicId()).name(), name);
    }

    private static Config config(ConfigResource.Type type, String name) throws Exception {
        var resource = new ConfigResource(type, name);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    private static void configDescribe() throws Exception {
        String name = make("cfg-describe", 1, "retention.ms", "123456");
        Config got = config(ConfigResource.Type.TOPIC, name);
        Checks.equal("retention.ms", got.get("retention.ms").value(), "123456");
        Checks.equal("its source", got.get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
        Checks.equal("cleanup.policy", got.get("cleanup.policy").value(), "delete");
        Checks.equal("its type", got.get("retention.ms").type(), ConfigEntry.ConfigType.LONG);
        for (String key : List.of("max.message.bytes", "segment.bytes", "segment.ms", "min.insync.replicas", "compression.type",
                "message.timestamp.type", "retention.bytes", "delete.retention.ms", "flush.messages")) {
            Checks.isTrue(key + " is not described", got.get(key) != null);
        }
        String node = String.valueOf(admin.describeCluster().nodes().get().iterator().next().id());
        Config broker = config(ConfigResource.Type.BROKER, node);
        for (String key : List.of("num.partitions", "auto.create.topics.enable", "message.max.bytes", "log.retention.ms",
                "default.replication.factor", "offsets.topic.num.partitions")) {
            Checks.isTrue("broker has no " + key, broker.get(key) != null);
        }
    }

    private static void alter(String name, AlterConfigOp.OpType op, String key, String value) throws Exception {
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, name),
                List.of(new AlterConfigOp(new ConfigEntry(key, value), op)))).all().get();
    }

    private static void untilConfig(String name, String key, String want) throws Exception {
        Checks.until(key + "=" + want, () -> config(ConfigResource.Type.TOPIC, name).get(key).value().equals(want));
    }

    private static void configAlter() throws Exception {
        String name = make("cfg-alter", 1);
        String before = config(ConfigResource.Type.TOPIC, name).get("retention.ms").value();
        alter(name, AlterConfigOp.OpType.SET, "retention.ms", "777000");
        untilConfig(name, "retention.ms", "777000");
        alter(name, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
        untilConfig(name, "cleanup.policy", "delete,compact");
        alter(name, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete");
        untilConfig(name, "cleanup.policy", "compact");
        alter(name, AlterConfigOp.OpType.DELETE, "retention.ms", "");
        untilConfig(name, "retention.ms", before);
    }

    private static void configInvalid() throws Exception {
        String name = make("cfg-bad", 1);
        for (var kv : Map.of("retention.ms", "soon", "cleanup.policy", "shred", "segment.bytes", "-1").entrySet()) {
            Checks.fails(kv.toString(), InvalidConfigurationException.class,
                    () -> alter(name, AlterConfigOp.OpType.SET, kv.getKey(), kv.getValue()));
        }
        Checks.fails("create with a bad value", InvalidConfigurationException.class, () -> admin.createTopics(List.of(
                new NewTopic(Checks.RUN + "-bad", 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all().get());
    }

    // -- producing

    private static Checks.Body codec(String codec) {
        return () -> {
            String name = make("codec-" + codec, 1);
            var sent = Checks.values(300, 400);
            produce(records(name, sent), "compression.type", codec);
            sameValues(read(name, 0, 1), sent);
        };
    }

    private static Checks.Body acks(String acks) {
        return () -> {
            String name = make("acks-" + acks, 1);
            var sent = Checks.values(100, 100);
            produce(records(name, sent), "acks", acks, "enable.idempotence", false);
            Checks.until("100 records", () -> read(name, 0, 1).size() == 100);
            sameValues(read(name, 0, 1), sent);
        };
    }

    /** Lines of the node's /metrics that are of this metric and hold this text. Skips for a broker that was given. */
    private static List<String> metrics(String name, String text) throws Exception {
        String address = System.getenv("CHECKS_ADMIN");
        if (address == null) {
            throw new Checks.Skip("this broker has no /metrics");
        }
        var request = HttpRequest.newBuilder(URI.create("http://" + address + "/metrics")).build();
        String all = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        return all.lines().filter(r -> r.startsWith(name + "{") && r.contains(text)).toList();
    }

    /** The client pushes its metrics to a subscription that is made here (KIP-714), and soon all that it has sent is told. */
    private static void metricsPush() throws Exception {
        String name = make("push", 1), who = "push-" + Checks.RUN;
        metrics("any", "");
        var subscription = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, who);
        admin.incrementalAlterConfigs(Map.of(subscription, List.of(
                new AlterConfigOp(new ConfigEntry("interval.ms", "500"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("metrics", "org.apache.kafka.producer."), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("match", "client_id=" + who), AlterConfigOp.OpType.SET)))).all().get();
        Checks.equal("interval.ms", config(ConfigResource.Type.CLIENT_METRICS, who).get("interval.ms").value(), "500");
        final String id;
        Properties p = properties("client.id", who);
        try (var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            id = "client_instance_id=\"" + producer.clientInstanceId(Duration.ofSeconds(20)) + "\"";
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(name, bytes("x"))).get();
            }
            Checks.until("100 records are told", () -> {
                var sent = metrics("client_org_apache_kafka_producer_record_send_total", id);
                return sent.size() == 1 && sent.get(0).endsWith(" 100");
            });
        }
        Checks.isTrue("other metrics", metrics("client_org_apache_kafka_app_info_start_time_ms", id).isEmpty());
        var info = metrics("chronik_client_info", id);
        Checks.isTrue("software", info.size() == 1 && info.get(0).contains("client_software_name=\"apache-kafka-java\""));
    }

    private static void idempotent() throws Exception {
        String name = make("idempotent", 1);
        var sent = Checks.values(5000, 100);
        var done = produce(records(name, sent), "enable.idempotence", true, "acks", "all", "linger.ms", 0, "batch.size", 2000);
        Checks.equal("last offset", done.get(4999).offset(), 4999L);
        sameValues(read(name, 0, 1), sent);
    }

    private static void recordShape() throws Exception {
        String name = make("shape", 1);
        long stamp = hourAgo();
        var sent = List.of(
                new ProducerRecord<>(name, 0, stamp, bytes("k"), bytes("v")),
                new ProducerRecord<byte[], byte[]>(name, 0, stamp + 1, bytes("tombstone"), null),
                new ProducerRecord<>(name, 0, stamp + 2, new byte[0], new byte[0]),
                new ProducerRecord<byte[], byte[]>(name, 0, stamp + 3, null, bytes("no key")));
        var last = sent.get(3).headers();
        last.add("a", bytes("1")).add("a", bytes("2")).add("empty", new byte[0]).add("null", null);
        last.add("\u00fcber", Checks.noise(256));
        produce(sent);
        var got = read(name, 0, 1);
        for (int i = 0; i < sent.size(); i++) {
            Checks.equal("key", text(got.get(i).key()), text(sent.get(i).key()));
            Checks.equal("value", text(got.get(i).value()), text(sent.get(i).value()));
            Checks.equal("timestamp", got.get(i).timestamp(), stamp + i);
            Checks.equal("timestamp type", got.get(i).timestampType(), TimestampType.CREATE_TIME);
            Header[] want = sent.get(i).headers().toArray();
            Header[] headers = got.get(i).headers().toArray();
            Checks.equal("headers", Arrays.asList(headers), Arrays.asList(want));
        }
    }

    private static void logAppendTime() throws Exception {
        String name = make("lat", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis() - 1000;
        var done = produce(List.of(new ProducerRecord<>(name, 0, 1000L, null, bytes("x"))), "compression.type", "lz4");
        var got = read(name, 0, 1).get(0);
        Checks.equal("timestamp type", got.timestampType(), TimestampType.LOG_APPEND_TIME);
        Checks.isTrue(got.timestamp() + " is not the append time", got.timestamp() >= before);
        Checks.equal("timestamp in the answer", done.get(0).timestamp(), got.timestamp());
    }

    private static void topicCodec() throws Exception {
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd", "uncompressed")) {
            String name = make("recode-" + codec, 1, "compression.type", codec);
            var sent = Checks.values(200, 300);
            produce(records(name, sent), "compression.type", "zstd");
            sameValues(read(name, 0, 1), sent);
        }
    }

    private static void sizes() throws Exception {
        String name = make("sizes", 1, "max.message.bytes", String.valueOf(2 * Checks.MIB));
        List<byte[]> sent = IntStream.of(1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000).mapToObj(Checks::noise)
                .toList();
        produce(records(name, sent), "max.request.size", 2 * Checks.MIB);
        sameValues(read(name, 0, 1), sent);
    }

    private static void size10Mb() throws Exception {
        String name = make("big", 1, "max.message.bytes", String.valueOf(11 * Checks.MIB));
        List<byte[]> sent = List.of(Checks.noise(10 * Checks.MIB), bytes("small"), Checks.noise(10 * Checks.MIB));
        produce(records(name, sent), "max.request.size", 11 * Checks.MIB);
        sameValues(read(name, 0, 1, "max.partition.fetch.bytes", Checks.MIB), sent);
    }

    private static void tooLarge() throws Exception {
        String name = make("too-large", 1, "max.message.bytes", "20000");
        Checks.fails("50000 bytes", RecordTooLargeException.class,
                () -> produce(records(name, List.of(Checks.noise(50_000)))));
    }

    /** A batch that the broker refuses as too large is split by the client and sent again in parts. */
    private static void batchSplit() throws Exception {
        if (AppInfoParser.getVersion().startsWith("3.")) {
            throw new Checks.Skip("this release splits no further than to batch.size (KAFKA-8350)");
        }
        String name = make("split", 1, "max.message.bytes", "20000");
        var sent = Checks.values(400, 100);
        produce(records(name, sent), "batch.size", 60_000, "linger.ms", 200);
        sameValues(read(name, 0, 1), sent);
    }

    private static void compactNullKey() throws Exception {
        String name = make("compact", 1, "cleanup.policy", "compact");
        Checks.fails("a record without key", InvalidRecordException.class,
                () -> produce(records(name, List.of(bytes("keyless")))));
    }

    private static void autoCreate() throws Exception {
        String name = checks.topic("auto");
        produce(List.of(new ProducerRecord<>(name, bytes("first"))));
        Checks.equal("value", text(read(name, 0, 1).get(0).value()), "first");
    }

    // -- consuming by assignment

    private static void assign() throws Exception {
        String name = filled("assign", 3);
        Map<Integer, Long> next = new HashMap<>();
        var got = read(name, 0, 3);
        Checks.equal("records", got.size(), 300);
        for (var r : got) {
            Checks.equal("offset", r.offset(), next.merge(r.partition(), 1L, Long::sum) - 1);
        }
        Checks.equal("from 90", read(name, 90, 3).size(), 30);
    }

    private static void seekOffset() throws Exception {
        TopicPartition tp = new TopicPartition(filled("seek", 1), 0);
        try (var c = consumer(null, "max.poll.records", 1)) {
            c.assign(List.of(tp));
            for (long at : new long[] {50, 99, 7, 0}) {
                c.seek(tp, at);
                Checks.equal("after seek", take(c, 1).get(0).offset(), at);
            }
            c.seekToEnd(List.of(tp));
            Checks.equal("end", c.position(tp), 100L);
            c.seekToBeginning(List.of(tp));
            Checks.equal("beginning", c.position(tp), 0L);
        }
    }

    private static void seekTime() throws Exception {
        String name = make("time", 1);
        long start = fill(name, 1, 100, hourAgo());
        TopicPartition tp = new TopicPartition(name, 0);
        try (var c = consumer(null, "max.poll.records", 1)) {
            for (var e : Map.of(0L, 0L, 500L, 1L, 41_000L, 41L, 98_001L, 99L).entrySet()) {
                OffsetAndTimestamp got = c.offsetsForTimes(Map.of(tp, start + e.getKey())).get(tp);
                Checks.equal("offset at +" + e.getKey(), got.offset(), e.getValue());
                Checks.equal("its timestamp", got.timestamp(), start + e.getValue() * 1000);
            }
            Checks.equal("a later time", c.offsetsForTimes(Map.of(tp, start + 1_000_000_000)).get(tp), null);
            c.assign(List.of(tp));
            c.seek(tp, c.offsetsForTimes(Map.of(tp, start + 70_000)).get(tp).offset());
            Checks.equal("first record from that time", take(c, 1).get(0).timestamp(), start + 70_000);
        }
    }

    private static void offsetsList() throws Exception {
        TopicPartition tp = new TopicPartition(filled("watermarks", 1), 0);
        for (var e : Map.of(OffsetSpec.earliest(), 0L, OffsetSpec.latest(), 100L, OffsetSpec.maxTimestamp(), 99L).entrySet()) {
            var got = admin.listOffsets(Map.of(tp, e.getKey())).partitionResult(tp).get();
            Checks.equal(e.getKey().getClass().getSimpleName(), got.offset(), e.getValue());
        }
    }

    private static void offsetReset() throws Exception {
        TopicPartition tp = new TopicPartition(filled("reset", 1), 0);
        try (var c = consumer(null)) {
            c.assign(List.of(tp));
            c.seek(tp, 5000);
            Checks.equal("earliest after 5000", take(c, 1).get(0).offset(), 0L);
        }
        try (var c = consumer(null, "auto.offset.reset", "none")) {
            c.assign(List.of(tp));
            c.seek(tp, 5000);
            Checks.fails("no reset", OffsetOutOfRangeException.class, () -> take(c, 1));
        }
    }

    private static void readCommitted() throws Exception {
        String name = filled("rc", 1);
        Checks.equal("records", read(name, 0, 1, "isolation.level", "read_committed").size(), 100);
    }

    private static void deleteRecords() throws Exception {
        TopicPartition tp = new TopicPartition(filled("purge", 1), 0);
        var got = admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(40))).lowWatermarks().get(tp).get();
        Checks.equal("low watermark", got.lowWatermark(), 40L);
        try (var c = consumer(null)) {
            Checks.equal("beginning", c.beginningOffsets(List.of(tp)).get(tp), 40L);
            c.assign(List.of(tp));
            c.seek(tp, 3);
            Checks.equal("first after a seek below it", take(c, 1).get(0).offset(), 40L);
        }
        Checks.fails("beyond the end", org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(4000))).all().get());
    }

    private static void logDirs() throws Exception {
        TopicPartition tp = new TopicPartition(filled("dirs", 1), 0);
        int node = admin.describeCluster().nodes().get().iterator().next().id();
        var dirs = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values();
        Checks.isTrue("the partition is in no directory, or without bytes", dirs.stream()
                .anyMatch(d -> d.replicaInfos().containsKey(tp) && d.replicaInfos().get(tp).size() > 5000));
    }

    // -- groups

    /** A group member in a thread of its own. */
    private static final class Member extends Thread {
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        final Set<String> seen = ConcurrentHashMap.newKeySet();
        volatile int rebalances;
        volatile int revoked;
        private volatile boolean leaving;
        private volatile Exception error;
        private final KafkaConsumer<byte[], byte[]> c;

        Member(String group, String topic, Object... config) {
            c = consumer(group, config);
            setDaemon(true);
            c.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> parts) {
                    rebalances++;
                    owned.addAll(parts);
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> parts) {
                    if (!leaving) {
                        c.commitSync(Duration.ofSeconds(10));
                    }
                    owned.removeAll(parts);
                    revoked += leaving ? 0 : parts.size();
                }
            });
            start();
        }

        @Override
        public void run() {
            try (c) {
                while (!leaving) {
                    for (var r : c.poll(Duration.ofMillis(100))) {
                        seen.add(r.partition() + "/" + r.offset());
                    }
                }
                c.commitSync(Duration.ofSeconds(10));
            } catch (Exception e) {
                error = e;
            }
            owned.clear();
        }

        void leave() throws Exception {
            leaving = true;
            join(20_000);
            if (error != null) {
                throw error;
            }
        }
    }

    private static int seenBy(Member... members) {
        Set<String> all = new HashSet<>();
        for (Member m : members) {
            all.addAll(m.seen);
        }
        return all.size();
    }

    private static void share(int count, Member... members) throws Exception {
        Checks.until(count + " partitions shared by " + members.length, () -> {
            Set<TopicPartition> all = new HashSet<>();
            int total = 0;
            for (Member m : members) {
                if (m.error != null) {
                    throw m.error;
                }
                List<TopicPartition> own = List.copyOf(m.owned);
                if (own.isEmpty()) {
                    return false;
                }
                all.addAll(own);
                total += own.size();
            }
            return total == count && all.size() == count;
        });
    }

    private static Checks.Body rebalance(String tag, Class<?> assignor) {
        return () -> {
            String name = make(tag, 6);
            fill(name, 6, 50, hourAgo());
            Member a = new Member(tag, name, "partition.assignment.strategy", assignor.getName());
            share(6, a);
            Member b = new Member(tag, name, "partition.assignment.strategy", assignor.getName());
            share(6, a, b);
            fill(name, 6, 50, hourAgo());
            Checks.until("all records seen", () -> seenBy(a, b) == 600);
            b.leave();
            share(6, a);
            fill(name, 6, 1, hourAgo());
            Checks.until("the late records", () -> seenBy(a, b) == 606);
            a.leave();
        };
    }

    /** The coordinator assigns (KIP-848): what a member keeps is not taken from it. */
    private static void consumerGroup() throws Exception {
        String name = filled("consumer-group", 6);
        Member a = new Member("consumer-group", name, "group.protocol", "consumer");
        share(6, a);
        Checks.until("the first records", () -> seenBy(a) == 600);
        Member b = new Member("consumer-group", name, "group.protocol", "consumer");
        share(6, a, b);
        Checks.equal("given up", a.revoked, 3);
        fill(name, 6, 50, hourAgo());
        Checks.until("all records seen", () -> seenBy(a, b) == 900);
        String group = Checks.group("consumer-group");
        var told = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Checks.equal("members", told.members().size(), 2);
        Checks.equal("type", told.type().toString(), "Consumer");
        b.leave();
        share(6, a);
        Checks.equal("given up", a.revoked, 3);
        fill(name, 6, 1, hourAgo());
        Checks.until("the late records", () -> seenBy(a, b) == 906);
        a.leave();
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Checks.equal("committed", offsets.values().stream().mapToLong(o -> o.offset()).sum(), 906L);
    }

    private static void groupRestart() throws Exception {
        String name = filled("restart", 1);
        TopicPartition tp = new TopicPartition(name, 0);
        try (var c = consumer("restart", "max.poll.records", 60)) {
            c.subscribe(List.of(name));
            Checks.equal("first half", take(c, 60).get(59).offset(), 59L);
            c.commitSync();
        }
        try (var c = consumer("restart")) {
            c.subscribe(List.of(name));
            Checks.equal("resumed at", take(c, 40).get(0).offset(), 60L);
            c.commitSync();
        }
        try (var c = consumer("restart")) {
            Checks.equal("committed at the end", c.committed(Set.of(tp)).get(tp).offset(), 100L);
        }
    }

    private static void groupStatic() throws Exception {
        String name = filled("static", 2);
        Member one = new Member("static", name, "group.instance.id", "one", "session.timeout.ms", 30000);
        Member two = new Member("static", name, "group.instance.id", "two", "session.timeout.ms", 30000);
        share(2, one, two);
        int before = one.rebalances;
        Set<TopicPartition> own = Set.copyOf(two.owned);
        two.leave();
        Member back = new Member("static", name, "group.instance.id", "two", "session.timeout.ms", 30000);
        Checks.until("the same partition", () -> back.owned.equals(own));
        Checks.equal("rebalances of the other member", one.rebalances, before);
        back.leave();
        admin.removeMembersFromConsumerGroup(Checks.group("static"),
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("two")))).all().get();
        share(2, one);
        one.leave();
    }

    private static void commitMetadata() throws Exception {
        TopicPartition tp = new TopicPartition(filled("meta", 1), 0);
        String text = "where I was \u2713";
        try (var c = consumer("meta")) {
            c.commitSync(Map.of(tp, new OffsetAndMetadata(33, text)));
        }
        try (var c = consumer("meta")) {
            OffsetAndMetadata got = c.committed(Set.of(tp)).get(tp);
            Checks.equal("offset", got.offset(), 33L);
            Checks.equal("metadata", got.metadata(), text);
        }
    }

    private static String state(String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group).state().toString();
    }

    private static void groupAdmin() throws Exception {
        String name = filled("gadmin", 1);
        String group = Checks.group("gadmin");
        TopicPartition tp = new TopicPartition(name, 0);
        Member m = new Member("gadmin", name);
        share(1, m);
        Checks.equal("state", state(group), "Stable");
        var got = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Checks.equal("assignment", got.members().iterator().next().assignment().topicPartitions(), Set.of(tp));
        Checks.fails("deleting a live group", GroupNotEmptyException.class,
                () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        Checks.until("all read", () -> m.seen.size() == 100);
        m.leave();
        Checks.until("empty", () -> state(group).equals("Empty"));
        Checks.isTrue("group not listed",
                admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)));
        Checks.equal("offset", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp).offset(),
                100L);
        admin.alterConsumerGroupOffsets(group, Map.of(tp, new OffsetAndMetadata(7))).all().get();
        Checks.equal("altered", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp).offset(),
                7L);
        admin.deleteConsumerGroupOffsets(group, Set.of(tp)).all().get();
        Checks.isTrue("the offset is still there",
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp) == null);
        // A group without offsets and members may already be gone by itself.
        try {
            admin.deleteConsumerGroups(List.of(group)).all().get();
        } catch (ExecutionException e) {
            Checks.isTrue("deleting: " + e.getCause(), e.getCause() instanceof GroupIdNotFoundException);
        }
    }

    /** Offsets live in a compacted topic that clients can read; its records have Kafka's published key layout. */
    private static void internalOffsets() throws Exception {
        String name = filled("internal", 1);
        String group = Checks.group("internal");
        try (var c = consumer("internal")) {
            c.commitSync(Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(33)));
        }
        var topic = describe("__consumer_offsets");
        Checks.isTrue("__consumer_offsets is not said to be internal", topic.isInternal());
        Checks.equal("its cleanup.policy", config(ConfigResource.Type.TOPIC, "__consumer_offsets").get("cleanup.policy").value(),
                "compact");
        int partition = Math.abs(group.hashCode()) % topic.partitions().size();
        Set<String> found = new LinkedHashSet<>();
        for (var r : readOne("__consumer_offsets", partition)) {
            ByteBuffer key = ByteBuffer.wrap(r.key());
            int version = key.getShort();
            if (version <= 1 && r.value() != null) {
                String where = shortString(key) + " " + shortString(key) + " " + key.getInt();
                ByteBuffer value = ByteBuffer.wrap(r.value());
                value.getShort();
                found.add(where + " " + value.getLong());
            }
        }
        Checks.isTrue("the commit is not in partition " + partition + ": " + found,
                found.contains(group + " " + name + " 0 33"));
    }

    private static String shortString(ByteBuffer b) {
        byte[] data = new byte[b.getShort()];
        b.get(data);
        return text(data);
    }

    private static List<ConsumerRecord<byte[], byte[]>> readOne(String topic, int partition) {
        TopicPartition tp = new TopicPartition(topic, partition);
        List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>();
        try (var c = consumer(null, "exclude.internal.topics", false)) {
            c.assign(List.of(tp));
            c.seekToBeginning(List.of(tp));
            long end = c.endOffsets(List.of(tp)).get(tp);
            while (c.position(tp) < end) {
                c.poll(Duration.ofMillis(200)).forEach(out::add);
            }
        }
        return out;
    }

    // -- transactions

    private static KafkaProducer<byte[], byte[]> transactional(String tag, Object... config) {
        Properties p = properties("transactional.id", Checks.group(tag), "max.block.ms", 20000, "linger.ms", 5);
        p.putAll(properties(config));
        var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        return producer;
    }

    private static List<String> texts(List<ConsumerRecord<byte[], byte[]>> got) {
        return got.stream().map(r -> text(r.value())).toList();
    }

    /** Everything that readers of this level see by now. */
    private static List<String> visible(String topic, String level) {
        TopicPartition tp = new TopicPartition(topic, 0);
        List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>();
        try (var c = consumer(null, "isolation.level", level)) {
            c.assign(List.of(tp));
            c.seekToBeginning(List.of(tp));
            long end = c.endOffsets(List.of(tp)).get(tp);
            while (c.position(tp) < end) {
                c.poll(Duration.ofMillis(200)).forEach(out::add);
            }
        }
        return texts(out);
    }

    private static void txnCommitAbort() throws Exception {
        String name = make("txn", 1);
        try (var p = transactional("txn")) {
            for (int i = 0; i < 20; i++) {
                p.beginTransaction();
                for (int k = 0; k < 3; k++) {
                    p.send(new ProducerRecord<>(name, 0, null, bytes(i + "-" + k)));
                }
                if (i % 3 == 1) {
                    p.flush();
                    p.abortTransaction();
                } else {
                    p.commitTransaction();
                }
            }
            p.beginTransaction();
            p.send(new ProducerRecord<>(name, 0, null, bytes("open"))).get();
            Checks.isTrue("a record of an open transaction is told as committed",
                    !visible(name, "read_committed").contains("open"));
            Checks.isTrue("a record of an open transaction is hidden", visible(name, "read_uncommitted").contains("open"));
            p.commitTransaction();
        }
        List<String> want = IntStream.range(0, 20).filter(i -> i % 3 != 1).boxed()
                .flatMap(i -> IntStream.range(0, 3).mapToObj(k -> i + "-" + k)).collect(Collectors.toList());
        want.add("open");
        Checks.until("all are committed", () -> visible(name, "read_committed").size() >= want.size());
        Checks.equal("committed", visible(name, "read_committed"), want);
        Checks.equal("records with the aborted", visible(name, "read_uncommitted").size(), 61);
    }

    private static void txnOffsets() throws Exception {
        String in = filled("txn-in", 1);
        String out = make("txn-out", 1);
        TopicPartition tp = new TopicPartition(in, 0);
        try (var c = consumer("txn-offsets", "isolation.level", "read_committed"); var p = transactional("txn-offsets")) {
            c.subscribe(List.of(in));
            var got = take(c, 40).subList(0, 40);
            long next = got.get(39).offset() + 1;
            p.beginTransaction();
            got.forEach(r -> p.send(new ProducerRecord<>(out, 0, null, r.value())));
            p.sendOffsetsToTransaction(Map.of(tp, new OffsetAndMetadata(next)), c.groupMetadata());
            p.abortTransaction();
            Checks.equal("committed by an aborted transaction", c.committed(Set.of(tp)).get(tp), null);
            p.beginTransaction();
            got.forEach(r -> p.send(new ProducerRecord<>(out, 0, null, r.value())));
            p.sendOffsetsToTransaction(Map.of(tp, new OffsetAndMetadata(next, "note")), c.groupMetadata());
            p.commitTransaction();
            Checks.equal("committed", c.committed(Set.of(tp)).get(tp).offset(), next);
            Checks.equal("copied", visible(out, "read_committed").size(), 40);
        }
    }

    private static void txnFence() throws Exception {
        String name = make("txn-fence", 1);
        var old = transactional("txn-fence");
        old.beginTransaction();
        old.send(new ProducerRecord<>(name, 0, null, bytes("old"))).get();
        try (var p = transactional("txn-fence")) {
            Checks.fails("the producer before", ApiException.class, () -> {
                old.send(new ProducerRecord<>(name, 0, null, bytes("old too"))).get();
                old.commitTransaction();
            });
            p.beginTransaction();
            p.send(new ProducerRecord<>(name, 0, null, bytes("new")));
            p.commitTransaction();
        } finally {
            old.close(Duration.ZERO);
        }
        Checks.until("the new one's record", () -> visible(name, "read_committed").size() > 0);
        Checks.equal("committed", visible(name, "read_committed"), List.of("new"));
    }

    /** A transaction whose producer has gone is aborted when its time is up. */
    private static void txnTimeout() throws Exception {
        String name = make("txn-timeout", 1);
        var p = transactional("txn-timeout", "transaction.timeout.ms", 1500);
        p.beginTransaction();
        p.send(new ProducerRecord<>(name, 0, null, bytes("late"))).get();
        produce(records(name, List.of(bytes("plain"))));
        Checks.equal("while it is open", visible(name, "read_committed"), List.of());
        Checks.until("it was aborted", () -> visible(name, "read_committed").size() > 0);
        Checks.equal("afterwards", visible(name, "read_committed"), List.of("plain"));
        Checks.fails("its commit", KafkaException.class, p::commitTransaction);
        p.close(Duration.ZERO);
    }

    private static void txnAdmin() throws Exception {
        String name = make("txn-admin", 2);
        String id = Checks.group("txn-admin");
        TopicPartition tp = new TopicPartition(name, 1);
        try (var p = transactional("txn-admin")) {
            p.beginTransaction();
            p.send(new ProducerRecord<>(name, 1, null, bytes("x"))).get();
            var listed = admin.listTransactions().all().get().stream().filter(t -> t.transactionalId().equals(id)).toList();
            Checks.equal("listed", listed.size(), 1);
            Checks.equal("listed state", listed.get(0).state(), TransactionState.ONGOING);
            var described = admin.describeTransactions(List.of(id)).description(id).get();
            Checks.equal("state", described.state(), TransactionState.ONGOING);
            Checks.equal("partitions", described.topicPartitions(), Set.of(tp));
            Checks.equal("producer", described.producerId(), listed.get(0).producerId());
            var producers = admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers();
            Checks.equal("producers", producers.size(), 1);
            Checks.equal("its id", producers.get(0).producerId(), described.producerId());
            Checks.equal("its transaction begins at", producers.get(0).currentTransactionStartOffset().getAsLong(), 0L);
            admin.abortTransaction(new AbortTransactionSpec(tp, producers.get(0).producerId(),
                    (short) producers.get(0).producerEpoch(), producers.get(0).coordinatorEpoch().orElse(0))).all().get();
            Checks.until("nothing is open there", () -> admin.describeProducers(List.of(tp)).partitionResult(tp).get()
                    .activeProducers().get(0).currentTransactionStartOffset().isEmpty());
            Checks.fails("an unknown id", TransactionalIdNotFoundException.class,
                    () -> admin.describeTransactions(List.of("never")).description("never").get());
        }
    }

    private static void topicDelete() throws Exception {
        admin.deleteTopics(checks.topics()).all().get();
        Checks.until("topics gone", () -> Collections.disjoint(admin.listTopics().names().get(), checks.topics()));
        Checks.fails("an unknown topic", UnknownTopicOrPartitionException.class,
                () -> admin.deleteTopics(List.of(Checks.RUN + "-never")).all().get());
        String name = make("create", 1);
        Checks.equal("a topic made again is empty", read(name, 0, 1).size(), 0);
        admin.deleteTopics(List.of(name)).all().get();
    }

    public static void main(String[] args) {
        if (args.length < 1) {
            System.err.println("usage: ClientChecks HOST:PORT [CHECK...]");
            System.exit(2);
        }
        bootstrap = args[0];
        admin = Admin.create(properties("request.timeout.ms", 20000, "default.api.timeout.ms", 30000));
        checks.add("cluster", ClientChecks::cluster);
        checks.add("topic-create", ClientChecks::topicCreate);
        checks.add("topic-partitions", ClientChecks::topicPartitions);
        checks.add("topic-describe", ClientChecks::topicDescribe);
        checks.add("config-describe", ClientChecks::configDescribe);
        checks.add("config-alter", ClientChecks::configAlter);
        checks.add("config-invalid", ClientChecks::configInvalid);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.add("produce-" + codec, codec(codec));
        }
        for (String acks : List.of("0", "1", "all")) {
            checks.add("acks-" + acks, acks(acks));
        }
        checks.add("idempotent", ClientChecks::idempotent);
        checks.add("metrics-push", ClientChecks::metricsPush);
        checks.add("record-shape", ClientChecks::recordShape);
        checks.add("log-append-time", ClientChecks::logAppendTime);
        checks.add("topic-codec", ClientChecks::topicCodec);
        checks.add("sizes", ClientChecks::sizes);
        checks.addSlow("size-10mb", ClientChecks::size10Mb);
        checks.add("too-large", ClientChecks::tooLarge);
        checks.add("batch-split", ClientChecks::batchSplit);
        checks.add("compact-null-key", ClientChecks::compactNullKey);
        checks.add("auto-create", ClientChecks::autoCreate);
        checks.add("assign", ClientChecks::assign);
        checks.add("seek-offset", ClientChecks::seekOffset);
        checks.add("seek-time", ClientChecks::seekTime);
        checks.add("offsets-list", ClientChecks::offsetsList);
        checks.add("offset-reset", ClientChecks::offsetReset);
        checks.add("read-committed", ClientChecks::readCommitted);
        checks.add("delete-records", ClientChecks::deleteRecords);
        checks.add("log-dirs", ClientChecks::logDirs);
        checks.add("group-rebalance", rebalance("rebalance", RangeAssignor.class));
        checks.add("group-cooperative", rebalance("cooperative", CooperativeStickyAssignor.class));
        checks.add("consumer-group", ClientChecks::consumerGroup);
        checks.add("group-restart", ClientChecks::groupRestart);
        checks.add("group-static", ClientChecks::groupStatic);
        checks.add("commit-metadata", ClientChecks::commitMetadata);
        checks.add("group-admin", ClientChecks::groupAdmin);
        checks.add("internal-offsets", ClientChecks::internalOffsets);
        checks.add("txn-commit-abort", ClientChecks::txnCommitAbort);
        checks.add("txn-offsets", ClientChecks::txnOffsets);
        checks.add("txn-fence", ClientChecks::txnFence);
        checks.addSlow("txn-timeout", ClientChecks::txnTimeout);
        checks.add("txn-admin", ClientChecks::txnAdmin);
        checks.add("topic-delete", ClientChecks::topicDelete);
        checks.main("kafka-clients " + AppInfoParser.getVersion() + " (Java " + Runtime.version().feature() + ")",
                new TreeSet<>(Arrays.asList(args).subList(1, args.length)));
    }
}
