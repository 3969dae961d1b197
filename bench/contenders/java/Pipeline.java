import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A consumer with kafka-clients, told what to do line by line: Pipeline stream|flat BROKERS TOPIC PARTITIONS RECORDS. */
public final class Pipeline {
    private Pipeline() {}

    public static void main(String[] arguments) throws Exception {
        Contender contender = arguments[0].equals("flat") ? new Flat() : new Streaming();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[1]);
        settings.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        settings.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        settings.put("enable.auto.commit", "false");
        settings.put("check.crcs", "false");  // librdkafka's default
        settings.put("max.poll.records", "10000");
        settings.put("receive.buffer.bytes", "-1");
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(arguments[3]); i++) {
            partitions.add(new TopicPartition(arguments[2], i));
        }
        long records = Long.parseLong(arguments[4]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.partitionsFor(arguments[2]);
            System.out.println("ready");
            for (String line; (line = in.readLine()) != null; ) {
                switch (line) {
                    case "prepare" -> {
                        contender.clear();
                        consumer.unsubscribe();
                        System.gc();
                        System.out.println("prepared");
                    }
                    case "round" -> {
                        consumer.assign(partitions);
                        consumer.seekToBeginning(partitions);
                        round(contender, consumer, records);
                        System.out.println("done");
                    }
                    case "digest" -> System.out.println("digest " + Digest.of(contender) + ' ' + contender.unreadable());
                    default -> throw new IllegalArgumentException(line);
                }
            }
        }
    }

    private static void round(Contender contender, KafkaConsumer<byte[], byte[]> consumer, long records) {
        for (long left = records; left > 0; ) {
            ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
            left -= polled.count();
            for (ConsumerRecord<byte[], byte[]> record : polled) {
                byte[] value = record.value();
                contender.absorb(value, 0, value.length, record.timestamp());
            }
        }
    }
}
