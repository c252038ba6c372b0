import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.generated.CoordinatorRecordJsonConverters;

/**
 * One partition of __consumer_offsets as Kafka's coordinator reads it, a JSON object for each record: the console
 * consumer's formatters leave out the records of all groups but the classic ones.
 *
 * <p>java -cp ... GroupRecords.java --bootstrap-server HOST:PORT PARTITION
 */
final class GroupRecords {
    /** Of keys that Kafka does not have: how far share groups are (src/coord/FORMAT.md). */
    private static final short OURS = 1000;

    private static String json(ConsumerRecord<byte[], byte[]> record) {
        ByteBuffer key = ByteBuffer.wrap(record.key());
        ByteBuffer value = record.value() == null ? null : ByteBuffer.wrap(record.value());
        CoordinatorRecord read = new GroupCoordinatorRecordSerde().deserialize(key, value);
        ObjectNode out = new ObjectNode(JsonNodeFactory.instance);
        out.put("type", read.key().apiKey());
        out.set("key", CoordinatorRecordJsonConverters.writeRecordKeyAsJson(read.key()));
        out.put("left", key.remaining() + (value == null ? 0 : value.remaining()));
        if (read.value() != null)
            out.set("value", CoordinatorRecordJsonConverters.writeRecordValueAsJson(
                read.value().message(), read.value().version()));
        return out.toString();
    }

    public static void main(String[] args) {
        TopicPartition partition = new TopicPartition("__consumer_offsets", Integer.parseInt(args[2]));
        Map<String, Object> config = Map.of("bootstrap.servers", args[1], "exclude.internal.topics", false);
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            while (consumer.position(partition) < end)
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1)))
                    if (ByteBuffer.wrap(record.key()).getShort() != OURS)
                        System.out.println(json(record));
        }
    }

    private GroupRecords() {}
}
