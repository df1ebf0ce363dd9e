import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own client, driven by the suite: one JSON request a line on stdin, one answer a line on stdout. */
public final class SuiteClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final String bootstrap;
    private KafkaConsumer<byte[], byte[]> member;
    private int rebalances;
    private KafkaProducer<byte[], byte[]> transactional;

    private SuiteClient(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        SuiteClient client = new SuiteClient(arguments[0]);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                client.serve(JSON.readTree(line), answer);
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                answer.put("error", cause.getClass().getSimpleName()).put("message", String.valueOf(cause.getMessage()));
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
    }

    private void serve(JsonNode request, ObjectNode answer) throws Exception {
        switch (request.get("do").asText()) {
            case "create" -> create(request);
            case "produce" -> produce(request, answer);
            case "read" -> read(request, answer);
            case "offset" -> offset(request, answer);
            case "configs" -> configs(request, answer);
            case "cluster" -> cluster(answer);
            case "delete" -> delete(request);
            case "subscribe" -> subscribe(request);
            case "poll" -> poll(answer);
            case "commit" -> member.commitSync();
            case "leave" -> leave();
            case "read to end" -> readToEnd(request, answer);
            case "transactional" -> transactional(request);
            case "begin" -> transactional.beginTransaction();
            case "send" -> send(request);
            case "send offset" -> sendOffset(request);
            case "commit transaction" -> transactional.commitTransaction();
            case "abort transaction" -> transactional.abortTransaction();
            default -> throw new IllegalArgumentException(request.get("do").asText());
        }
    }

    private void create(JsonNode request) throws Exception {
        Map<String, String> configs = new HashMap<>();
        request.get("configs").fields().forEachRemaining(e -> configs.put(e.getKey(), e.getValue().asText()));
        NewTopic topic = new NewTopic(request.get("topic").asText(), request.get("partitions").asInt(), (short) 1);
        try (Admin admin = admin()) {
            admin.createTopics(List.of(topic.configs(configs))).all().get();
        }
    }

    private void delete(JsonNode request) throws Exception {
        String topic = request.get("topic").asText();
        try (Admin admin = admin()) {
            admin.deleteTopics(List.of(topic)).all().get();
        }
    }

    private void produce(JsonNode request, ObjectNode answer) throws Exception {
        Properties settings = settings();
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        settings.put("linger.ms", "20");
        request.get("settings").fields().forEachRemaining(e -> settings.put(e.getKey(), e.getValue().asText()));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        ArrayNode placed = answer.putArray("placed");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            for (JsonNode record : request.get("records")) {
                List<Header> headers = new ArrayList<>();
                for (JsonNode header : record.get("headers")) {
                    headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
                }
                Long timestamp = record.get("timestamp").isNull() ? null : record.get("timestamp").asLong();
                sent.add(producer.send(new ProducerRecord<>(request.get("topic").asText(),
                    request.get("partition").asInt(), timestamp, bytes(record.get("key")), bytes(record.get("value")),
                    headers)));
            }
            for (Future<RecordMetadata> each : sent) {
                placed.addArray().add(each.get().offset()).add(each.get().timestamp());
            }
        }
    }

    private void read(JsonNode request, ObjectNode answer) throws Exception {
        Properties settings = settings();
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        TopicPartition partition = partition(request);
        int wanted = request.get("count").asInt();
        ArrayNode records = answer.putArray("records");
        long deadline = System.currentTimeMillis() + 60_000;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(List.of(partition));
            if (request.hasNonNull("time")) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(partition, request.get("time").asLong())).get(partition);
                consumer.seek(partition, found.offset());
            } else if (request.hasNonNull("offset")) {
                consumer.seek(partition, request.get("offset").asLong());
            } else {
                consumer.seekToBeginning(List.of(partition));
            }
            while (records.size() < wanted && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    if (records.size() < wanted) {
                        records.add(shown(record));
                    }
                }
            }
        }
    }

    private void readToEnd(JsonNode request, ObjectNode answer) {
        Properties settings = settings();
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("isolation.level", request.get("isolation").asText());
        TopicPartition partition = partition(request);
        ArrayNode records = answer.putArray("records");
        long deadline = System.currentTimeMillis() + 60_000;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    records.add(shown(record));
                }
                if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException("at " + consumer.position(partition) + ", the end is " + end);
                }
            }
        }
    }

    private void transactional(JsonNode request) {
        Properties settings = settings();
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        request.get("settings").fields().forEachRemaining(e -> settings.put(e.getKey(), e.getValue().asText()));
        transactional = new KafkaProducer<>(settings);
        transactional.initTransactions();
    }

    private void send(JsonNode request) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode value : request.get("values")) {
            sent.add(transactional.send(new ProducerRecord<>(request.get("topic").asText(),
                request.get("partition").asInt(), null, value.asText().getBytes("UTF-8"))));
        }
        for (Future<RecordMetadata> each : sent) {
            each.get();
        }
    }

    private void sendOffset(JsonNode request) {
        OffsetAndMetadata offset = new OffsetAndMetadata(request.get("offset").asLong());
        ConsumerGroupMetadata group = new ConsumerGroupMetadata(request.get("group").asText());
        transactional.sendOffsetsToTransaction(Map.of(partition(request), offset), group);
    }

    private void subscribe(JsonNode request) {
        Properties settings = settings();
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        request.get("settings").fields().forEachRemaining(e -> settings.put(e.getKey(), e.getValue().asText()));
        member = new KafkaConsumer<>(settings);
        member.subscribe(List.of(request.get("topic").asText()), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                rebalances++;
            }
        });
    }

    private void poll(ObjectNode answer) {
        ArrayNode read = answer.putArray("read");
        for (ConsumerRecord<byte[], byte[]> record : member.poll(Duration.ofMillis(200))) {
            read.addArray().add(record.partition()).add(record.offset());
        }
        ArrayNode assigned = answer.putArray("assigned");
        member.assignment().forEach(partition -> assigned.add(partition.partition()));
        answer.put("rebalances", rebalances);
    }

    private void leave() {
        if (member != null) {
            member.close();
            member = null;
        }
    }

    private static ObjectNode shown(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode shown = JSON.createObjectNode();
        shown.put("offset", record.offset()).put("timestamp", record.timestamp());
        shown.put("key", text(record.key())).put("value", text(record.value()));
        ArrayNode headers = shown.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(text(header.value()));
        }
        return shown;
    }

    private void offset(JsonNode request, ObjectNode answer) throws Exception {
        long time = request.get("time").asLong();
        OffsetSpec spec = switch ((int) Math.max(time, -7)) {
            case -1 -> OffsetSpec.latest();
            case -2 -> OffsetSpec.earliest();
            case -3 -> OffsetSpec.maxTimestamp();
            case -4 -> OffsetSpec.earliestLocal();
            case -5 -> OffsetSpec.latestTiered();
            case -6 -> OffsetSpec.earliestPendingUpload();
            default -> OffsetSpec.forTimestamp(time);
        };
        try (Admin admin = admin()) {
            TopicPartition partition = partition(request);
            ListOffsetsResultInfo found = admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
            answer.put("offset", found.offset()).put("timestamp", found.timestamp());
        }
    }

    private void configs(JsonNode request, ObjectNode answer) throws Exception {
        ConfigResource.Type type = ConfigResource.Type.valueOf(request.get("type").asText());
        ConfigResource resource = new ConfigResource(type, request.get("name").asText());
        try (Admin admin = admin()) {
            ObjectNode configs = answer.putObject("configs");
            admin.describeConfigs(Set.of(resource)).all().get().get(resource).entries().forEach(
                entry -> configs.putArray(entry.name()).add(entry.value()).add(entry.source().name()));
        }
    }

    private void cluster(ObjectNode answer) throws Exception {
        try (Admin admin = admin()) {
            var cluster = admin.describeCluster();
            answer.put("id", cluster.clusterId().get()).put("controller", cluster.controller().get().id());
            ArrayNode nodes = answer.putArray("nodes");
            cluster.nodes().get().forEach(node -> nodes.add(node.id() + "@" + node.host() + ":" + node.port()));
        }
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        return settings;
    }

    private Admin admin() {
        return Admin.create(settings());
    }

    private static TopicPartition partition(JsonNode request) {
        return new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
