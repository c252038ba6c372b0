import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/**
 * A Kafka Streams application that counts and sums, exactly once. Arguments: run|dump BOOTSTRAP NAME INPUT OUTPUT FOLDER SESSION_MS.
 *
 * An input value is PARTITION-NUMBER. Its key becomes PARTITION.(NUMBER mod 5), which sends it through a repartition topic; the store
 * "totals" keeps of each key how many values there were and the sum of their numbers + 1; each new total goes to the output as "KEY COUNT
 * SUM". What the store keeps is long, so that its changelog has segments to compact. run: until SIGTERM. dump: once everything is restored
 * and processed, the store's content as lines "total KEY COUNT SUM", and "restored COUNT".
 */
final class TotalsApp {
    private static final int KEYS = 5, START_S = 60;
    private static final String STORE = "totals", FILLING = " " + ".".repeat(1000);

    private static final AtomicLong restored = new AtomicLong();

    private static Properties properties(String bootstrap, String name, String folder, String sessionMs) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 1000);
        p.put(StreamsConfig.topicPrefix("segment.bytes"), 1 << 20);
        p.put(StreamsConfig.topicPrefix("min.cleanable.dirty.ratio"), 0.01);
        p.put(StreamsConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, 200);
        p.put(StreamsConfig.mainConsumerPrefix("session.timeout.ms"), sessionMs);
        p.put(StreamsConfig.mainConsumerPrefix("heartbeat.interval.ms"), Integer.parseInt(sessionMs) / 4);
        p.put(StreamsConfig.mainConsumerPrefix("auto.offset.reset"), "earliest");
        return p;
    }

    private static String key(String value) {
        int at = value.indexOf('-');
        return value.substring(0, at) + "." + Long.parseLong(value.substring(at + 1)) % KEYS;
    }

    private static String add(String value, String total) {
        String[] words = total.split(" ");
        long number = Long.parseLong(value.substring(value.indexOf('-') + 1));
        return (Long.parseLong(words[0]) + 1) + " " + (Long.parseLong(words[1]) + number + 1) + FILLING;
    }

    private static String brief(String total) {
        return total.substring(0, total.length() - FILLING.length());
    }

    private static Topology topology(String input, String output) {
        StreamsBuilder b = new StreamsBuilder();
        KStream<String, String> in = b.stream(input);
        in.map((k, v) -> KeyValue.pair(key(v), v)).groupByKey()
            .aggregate(() -> "0 0" + FILLING, (k, v, total) -> add(v, total), Materialized.as(STORE))
            .toStream().mapValues((k, total) -> k + " " + brief(total)).to(output);
        return b.build();
    }

    private static final class Restores implements StateRestoreListener {
        @Override
        public void onRestoreStart(TopicPartition t, String store, long from, long to) {
            System.out.println("restoring " + t + " from " + from + " to " + to);
        }

        @Override
        public void onBatchRestored(TopicPartition t, String store, long at, long count) {
            restored.addAndGet(count);
        }

        @Override
        public void onRestoreEnd(TopicPartition t, String store, long total) {
            System.out.println("restored " + total + " of " + t);
        }
    }

    /** Nothing is left to restore, and all threads have their tasks. */
    private static void awaitRunning(KafkaStreams app) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_S);
        while (app.state() != KafkaStreams.State.RUNNING) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("not running after " + START_S + " s: " + app.state());
            }
            Thread.sleep(50);
        }
    }

    private static void dump(KafkaStreams app) throws InterruptedException {
        awaitRunning(app);
        StringBuilder out = new StringBuilder();
        var store = app.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, String>keyValueStore()));
        try (KeyValueIterator<String, String> all = store.all()) {
            all.forEachRemaining(e -> out.append("total ").append(e.key).append(' ').append(brief(e.value)).append('\n'));
        }
        System.out.print(out);
        System.out.println("restored " + restored.get());
    }

    public static void main(String[] a) throws Exception {
        KafkaStreams app = new KafkaStreams(topology(a[3], a[4]), properties(a[1], a[2], a[5], a[6]));
        CountDownLatch end = new CountDownLatch(1);
        app.setGlobalStateRestoreListener(new Restores());
        app.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(3); // what is open is given up; its successor fences it
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            boolean closed = app.close(Duration.ofSeconds(30));
            Runtime.getRuntime().halt(closed ? 0 : 4);
        }));
        app.start();
        if (a[0].equals("dump")) {
            dump(app);
            System.exit(0);
        }
        end.await();
    }
}
