import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Apache Kafka's own clients; compiled against the older version and run with both. */
public final class Matrix {
    private static final long SECONDS = 40;
    private final String bootstrap;
    private final String prefix;
    private final Admin admin;

    private Matrix(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.admin = Admin.create(settings(Map.of()));
    }

    public static void main(String[] given) throws Exception {
        String version = AppInfoParser.getVersion();
        System.out.println("version\t" + version);
        Matrix matrix = new Matrix(given[0], given[1]);
        step("create a topic", matrix::create);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Map<String, String> settings = Map.of("compression.type", codec, "enable.idempotence", "false");
            step("produce " + codec, () -> matrix.roundTrip(codec, settings));
        }
        step("produce idempotently", () -> matrix.roundTrip("idempotent", Map.of("enable.idempotence", "true")));
        step("commit a transaction", matrix::commits);
        step("abort a transaction", matrix::aborts);
        step("offsets in a transaction", matrix::offsetsInTransaction);
        matrix.classicGroup();
        if (version.startsWith("3.")) {
            System.out.println("n/a\tnew group protocol\tnot finished in this version");
        } else {
            step("new group protocol", matrix::newGroup);
        }
        step("look up a time", matrix::looksUp);
        if (given.length > 2) {
            int count = Integer.parseInt(given[3]);
            step("read the bucket", () -> same(matrix.read(given[2], count, "read_committed"), values(count, "past")));
        }
        matrix.admin.close();
        System.exit(0);
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void step(String name, Work work) {
        String asked = System.getenv().getOrDefault("MATRIX_STEPS", "");
        if (Stream.of(asked.split(",")).noneMatch(name::contains)) {
            return;
        }
        try {
            work.run();
            System.out.println("ok\t" + name + "\t");
        } catch (Throwable failed) {
            failed.printStackTrace();
            Throwable cause = failed instanceof ExecutionException ? failed.getCause() : failed;
            System.out.println("fail\t" + name + "\t" + cause.toString().replaceAll("\\s+", " "));
        }
    }

    private void create() throws Exception {
        String topic = topic("created");
        NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "86400000"));
        admin.createTopics(List.of(wanted)).all().get();
        until("three partitions", () -> {
            try {
                return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 3;
            } catch (InterruptedException | ExecutionException notYet) {
                return false;
            }
        });
        try {
            make(topic, 1);
        } catch (ExecutionException failed) {
            check(failed.getCause() instanceof TopicExistsException, failed.toString());
            return;
        }
        throw new AssertionError("a topic could be created twice");
    }

    private void roundTrip(String name, Map<String, String> settings) throws Exception {
        make(topic(name), 1);
        write(topic(name), 0, values(60, "value"), settings);
        same(read(topic(name), 60, "read_committed"), values(60, "value"));
    }

    private void commits() throws Exception {
        String topic = topic("committed");
        make(topic, 1);
        try (KafkaProducer<String, String> producer = transactional("commits")) {
            for (List<String> half : List.of(values(60, "value").subList(0, 30), values(60, "value").subList(30, 60))) {
                producer.beginTransaction();
                send(producer, topic, 0, half, 0);
                producer.commitTransaction();
            }
        }
        same(read(topic, 60, "read_committed"), values(60, "value"));
    }

    private void aborts() throws Exception {
        String topic = topic("aborted");
        make(topic, 1);
        try (KafkaProducer<String, String> producer = transactional("aborts")) {
            producer.beginTransaction();
            send(producer, topic, 0, values(5, "aborted"), 0);
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, 0, values(5, "value"), 0);
            producer.commitTransaction();
        }
        same(read(topic, 5, "read_committed"), values(5, "value"));
        List<String> both = new ArrayList<>(values(5, "aborted"));
        both.addAll(values(5, "value"));
        same(read(topic, 10, "read_uncommitted"), both);
    }

    private void offsetsInTransaction() throws Exception {
        String source = topic("source");
        String target = topic("target");
        make(source, 1);
        make(target, 1);
        write(source, 0, values(10, "value"), Map.of());
        TopicPartition partition = new TopicPartition(source, 0);
        try (KafkaProducer<String, String> producer = transactional("offsets");
                KafkaConsumer<String, String> member = consumer(Map.of("group.id", topic("eos")))) {
            member.subscribe(List.of(source));
            List<String> found = new ArrayList<>();
            until("ten records", () -> {
                member.poll(Duration.ofMillis(200)).forEach(record -> found.add(record.value()));
                return found.size() == 10;
            });
            for (int offset : new int[] {4, 7}) {
                producer.beginTransaction();
                send(producer, target, 0, found.subList(0, offset), 0);
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(offset)), member.groupMetadata());
                if (offset == 4) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
            long committed = member.committed(Set.of(partition)).get(partition).offset();
            check(committed == 7, "committed " + committed);
        }
        same(read(target, 7, "read_committed"), values(7, "value"));
    }

    private void classicGroup() throws Exception {
        make(topic("group"), 4);
        try (Story story = new Story(topic("group"), Map.of())) {
            step("two members share", story::twoShare);
            step("one member leaves", story::oneLeaves);
            step("resume from the commit", story::resumes);
        }
    }

    private void newGroup() throws Exception {
        make(topic("group2"), 4);
        try (Story story = new Story(topic("group2"), Map.of("group.protocol", "consumer"))) {
            story.twoShare();
            story.oneLeaves();
            story.resumes();
        }
    }

    /** Two members share four partitions, one leaves, the other is restarted. */
    private final class Story implements AutoCloseable {
        private final String topic;
        private final Map<String, String> settings = new HashMap<>();
        private final List<Member> members = new ArrayList<>();
        private final Map<String, Integer> seen = new HashMap<>();

        Story(String topic, Map<String, String> more) {
            this.topic = topic;
            settings.put("group.id", topic);
            settings.putAll(more);
        }

        void twoShare() throws Exception {
            List<String> written = write("first", 10);
            members.add(new Member(topic, settings));
            members.add(new Member(topic, settings));
            until("two partitions for each", () -> poll() && shared());
            // Read by whom they were given to: so both have something to commit for each of their partitions.
            written.addAll(write("shared", 5));
            until("all records", () -> poll() && seen.keySet().containsAll(written));
        }

        void oneLeaves() throws Exception {
            check(members.size() == 2, "there are no two members");
            members.forEach(Member::commit);
            members.remove(1).close();
            Member stays = members.get(0);
            seen.clear();
            List<String> written = write("second", 5);
            until("all partitions and records for one",
                () -> poll() && stays.held().equals(Set.of(0, 1, 2, 3)) && seen.keySet().containsAll(written));
            check(seen.keySet().equals(new HashSet<>(written)), "committed records were read again");
        }

        void resumes() throws Exception {
            check(members.size() == 1, "there is no single member");
            members.get(0).commit();
            members.remove(0).close();
            seen.clear();
            List<String> written = write("third", 3);
            members.add(new Member(topic, settings));
            until("the new records", () -> poll() && seen.keySet().containsAll(written));
            members.get(0).commit();
            check(seen.keySet().equals(new HashSet<>(written)), "committed records were read again");
            check(seen.values().stream().allMatch(times -> times == 1), "a record came twice");
        }

        private List<String> write(String kind, int count) throws Exception {
            List<String> written = new ArrayList<>();
            for (int partition = 0; partition < 4; partition++) {
                List<String> made = values(count, kind + "-" + partition);
                Matrix.this.write(topic, partition, made, Map.of());
                written.addAll(made);
            }
            return written;
        }

        private boolean poll() {
            for (Member member : members) {
                member.poll().forEach(value -> seen.merge(value, 1, Integer::sum));
            }
            return true;
        }

        private boolean shared() {
            Set<Integer> all = new HashSet<>(members.get(0).held());
            all.addAll(members.get(1).held());
            return members.stream().allMatch(member -> member.held().size() == 2) && all.size() == 4;
        }

        @Override
        public void close() {
            members.forEach(Member::close);
        }
    }

    /** A member of a group. */
    private final class Member {
        private final KafkaConsumer<String, String> consumer;

        Member(String topic, Map<String, String> settings) {
            consumer = consumer(settings);
            consumer.subscribe(List.of(topic));
        }

        List<String> poll() {
            List<String> found = new ArrayList<>();
            consumer.poll(Duration.ofMillis(100)).forEach(record -> found.add(record.value()));
            return found;
        }

        Set<Integer> held() {
            return consumer.assignment().stream().map(TopicPartition::partition).collect(Collectors.toSet());
        }

        void commit() {
            consumer.commitSync();
        }

        void close() {
            consumer.close();
        }
    }

    private void looksUp() throws Exception {
        String topic = topic("time");
        make(topic, 1);
        long first = System.currentTimeMillis() - 60_000;
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            send(producer, topic, 0, values(10, "value"), first);
        }
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            Map<Long, Long> expected = Map.of(first + 3500, 4L, first, 0L, first + 20_000, -1L);
            for (Map.Entry<Long, Long> each : expected.entrySet()) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, each.getKey())).get(partition);
                check((found == null ? -1 : found.offset()) == each.getValue(), each.getKey() - first + " ms: " + found);
            }
        }
    }

    private void make(String topic, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    }

    private void write(String topic, int partition, List<String> values, Map<String, String> settings) throws Exception {
        try (KafkaProducer<String, String> producer = producer(settings)) {
            send(producer, topic, partition, values, 0);
        }
    }

    /** Returns once all is acknowledged; with `first`, records are a second apart from then on. */
    private static void send(KafkaProducer<String, String> producer, String topic, int partition, List<String> values,
            long first) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String value : values) {
            Long time = first == 0 ? null : Long.valueOf(first + 1000L * sent.size());
            sent.add(producer.send(new ProducerRecord<>(topic, partition, time, "key", value)));
        }
        for (Future<RecordMetadata> each : sent) {
            each.get();
        }
    }

    private List<String> read(String topic, int count, String isolation) {
        TopicPartition partition = new TopicPartition(topic, 0);
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(Map.of("isolation.level", isolation))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            until(count + " records of " + topic, () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    if (found.size() < count) {
                        found.add(record.value());
                    }
                }
                return found.size() == count;
            });
        }
        return found;
    }

    private KafkaProducer<String, String> transactional(String name) {
        KafkaProducer<String, String> producer = producer(Map.of("transactional.id", topic(name)));
        producer.initTransactions();
        return producer;
    }

    private KafkaProducer<String, String> producer(Map<String, String> more) {
        Properties settings = settings(more);
        settings.put("linger.ms", "20");
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(Map<String, String> more) {
        Properties settings = settings(more);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    private Properties settings(Map<String, String> more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.putAll(more);
        return settings;
    }

    private String topic(String name) {
        return prefix + "-" + name;
    }

    private static List<String> values(int count, String kind) {
        List<String> made = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            made.add(String.format("%s-%06d-%s", kind, number, "x".repeat(100)));
        }
        return made;
    }

    private static void same(List<String> found, List<String> expected) {
        check(found.equals(expected), found.size() + " records read that differ from the " + expected.size() + " written");
    }

    private static void check(boolean holds, String message) {
        if (!holds) {
            throw new AssertionError(message);
        }
    }

    private static void until(String what, BooleanSupplier condition) {
        long deadline = System.nanoTime() + SECONDS * 1_000_000_000L;
        while (!condition.getAsBoolean()) {
            check(System.nanoTime() < deadline, "waited " + SECONDS + " s for " + what);
        }
    }
}
