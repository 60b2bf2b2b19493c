import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** One run of the steps: where it runs, what was sent so far, and how a step is judged. */
final class Run {
    static final int PARTITIONS = 6;
    static final long STEP_LIMIT_S = 30;
    /** Between the timestamps of one partition. */
    static final long TIME_STEP_MS = 1000;

    final String bootstrap;
    final String topic;
    final String group;
    final Admin admin;
    /** By partition: the offset of the next record. */
    final long[] ends = new long[PARTITIONS];
    final long baseMs = System.currentTimeMillis() - 3_600_000;
    boolean failed = false;

    Run(String bootstrap, String name) {
        this.bootstrap = bootstrap;
        this.topic = name;
        this.group = name + "-group";
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    /** What a step does; it throws to fail. */
    interface Step {
        void run() throws Exception;
    }

    /** Runs one step and prints its line. */
    void step(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("FAIL " + name + ": " + error.toString().replaceAll("\\s+", " "));
        }
    }

    static void equal(Object got, Object expected, String what) {
        if (!Objects.deepEquals(got, expected)) {
            throw new AssertionError(what + ": " + got + ", not " + expected);
        }
    }

    /** Polls until the condition holds. */
    static void within(Supplier<String> what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(STEP_LIMIT_S);
        while (!condition.call()) {
            if (System.nanoTime() > until) {
                throw new AssertionError("not within " + STEP_LIMIT_S + " s: " + what.get());
            }
            Thread.sleep(50);
        }
    }

    /** The answer of an admin call. */
    static <T> T get(Future<T> future) throws Exception {
        return future.get(STEP_LIMIT_S, TimeUnit.SECONDS);
    }

    /** Asserts that a call is refused with this error. */
    static void refused(Class<? extends Exception> error, Future<?> future, String what) throws Exception {
        try {
            get(future);
        } catch (ExecutionException refusal) {
            equal(refusal.getCause().getClass(), error, what);
            return;
        }
        throw new AssertionError(what + ": not refused");
    }

    static List<Integer> all() {
        return List.of(0, 1, 2, 3, 4, 5);
    }

    TopicPartition at(int partition) {
        return new TopicPartition(topic, partition);
    }

    /** A value for each partition. */
    <T> Map<TopicPartition, T> each(java.util.function.IntFunction<T> value) {
        Map<TopicPartition, T> map = new HashMap<>();
        all().forEach(partition -> map.put(at(partition), value.apply(partition)));
        return map;
    }

    /** What is sent as the record of an offset; the same every time it is asked for. */
    ProducerRecord<byte[], byte[]> record(int partition, long offset) {
        Random draw = new Random(partition * 1_000_003L + offset);
        int kind = (int) (offset % 10);
        byte[] value = new byte[kind == 4 ? 0 : kind == 9 ? 100_000 : 1 + draw.nextInt(600)];
        draw.nextBytes(value);
        byte[] key = kind == 7 ? null : ("key-" + partition + "-" + offset).getBytes();
        byte[] bytes = new byte[20];
        draw.nextBytes(bytes);
        List<Header> headers = List.of(
            new RecordHeader("twice", "1".getBytes()),
            new RecordHeader("twice", "2".getBytes()),
            new RecordHeader("null", (byte[]) null),
            new RecordHeader("", new byte[0]),
            new RecordHeader("bytes", bytes));
        long time = baseMs + offset * TIME_STEP_MS;
        return new ProducerRecord<>(topic, partition, time, key, kind == 3 ? null : value, headers);
    }

    void check(ConsumerRecord<byte[], byte[]> got) {
        ProducerRecord<byte[], byte[]> want = record(got.partition(), got.offset());
        String where = "partition " + got.partition() + " offset " + got.offset();
        equal(Arrays.equals(got.key(), want.key()), true, where + ": the key is the one sent");
        equal(Arrays.equals(got.value(), want.value()), true, where + ": the value is the one sent");
        equal(List.of(got.headers().toArray()), List.of(want.headers().toArray()), where + ": headers");
        equal(got.timestamp(), want.timestamp(), where + ": timestamp");
    }

    KafkaProducer<byte[], byte[]> producer(String codec) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("compression.type", codec);
        settings.put("linger.ms", "5");
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** {@code count} records to each partition, idempotently (the default); each must get the offset that is next. */
    void produce(String codec, int count) throws Exception {
        List<Future<RecordMetadata>> answers = new ArrayList<>();
        List<Long> expected = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(codec)) {
            for (int i = 0; i < count; i++) {
                for (int partition : all()) {
                    expected.add(ends[partition]);
                    answers.add(producer.send(record(partition, ends[partition]++)));
                }
            }
            for (int i = 0; i < answers.size(); i++) {
                RecordMetadata answer = get(answers.get(i));
                equal(answer.offset(), expected.get(i), "offset in partition " + answer.partition());
            }
        }
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, String> more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("session.timeout.ms", "10000");
        settings.put("heartbeat.interval.ms", "300");
        settings.put("fetch.max.wait.ms", "200");
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    long total() {
        return Arrays.stream(ends).sum();
    }

    List<TopicPartition> parts() {
        return all().stream().map(this::at).toList();
    }

    static List<Integer> numbers(Collection<TopicPartition> parts) {
        return parts.stream().map(TopicPartition::partition).sorted().toList();
    }
}
