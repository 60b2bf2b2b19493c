import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;

/** A member of a group: it commits each poll, and whatever it loses before it lets go of it. */
final class Member extends Thread implements ConsumerRebalanceListener {
    /** What the members of a group know together. */
    static final class Shared {
        /** By partition: the offset that a commit named and that was answered. */
        final Map<Integer, Long> committed = new ConcurrentHashMap<>();
        final Set<String> delivered = ConcurrentHashMap.newKeySet();
        final ConcurrentLinkedQueue<String> problems = new ConcurrentLinkedQueue<>();
    }

    /** What it holds now; replaced, never changed. */
    volatile Set<TopicPartition> held = Set.of();
    /** How often it was given partitions, an empty set included. */
    volatile int assignments = 0;

    private final Run run;
    private final Shared shared;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, Long> position = new HashMap<>();
    /** Of what it holds: where it is ahead of its commits. One that a rebalance overtakes is made again. */
    private final Set<TopicPartition> uncommitted = new HashSet<>();
    private volatile boolean stopped = false;

    Member(Run run, Shared shared, String group, Map<String, String> more) {
        this.run = run;
        this.shared = shared;
        Map<String, String> settings = new HashMap<>(more);
        settings.put("group.id", group);
        settings.put("auto.offset.reset", "earliest");
        this.consumer = run.consumer(settings);
        setDaemon(true);
        start();
    }

    @Override
    public void run() {
        try (consumer) {
            consumer.subscribe(Set.of(run.topic), this);
            while (!stopped || !uncommitted.isEmpty()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    take(record);
                    uncommitted.add(new TopicPartition(record.topic(), record.partition()));
                }
                commit(uncommitted);
            }
        } catch (Throwable error) {
            shared.problems.add(error.toString());
        }
    }

    private void take(ConsumerRecord<byte[], byte[]> record) {
        run.check(record);
        String place = record.partition() + "/" + record.offset();
        long floor = shared.committed.getOrDefault(record.partition(), 0L);
        if (record.offset() < floor) {
            shared.problems.add(place + " again, " + floor + " was committed");
        }
        Long next = position.put(new TopicPartition(record.topic(), record.partition()), record.offset() + 1);
        if (next != null && next != record.offset()) {
            shared.problems.add(place + " where " + next + " is next");
        }
        shared.delivered.add(place);
    }

    private void commit(Collection<TopicPartition> parts) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition part : parts) {
            if (position.containsKey(part)) {
                offsets.put(part, new OffsetAndMetadata(position.get(part), "from a test"));
            }
        }
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets);
            offsets.forEach((part, offset) -> shared.committed.put(part.partition(), offset.offset()));
            uncommitted.removeAll(offsets.keySet());
        } catch (RebalanceInProgressException | CommitFailedException overtaken) {
            // A rebalance overtook the commit: it did not happen, so what it named may be delivered again.
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> parts) {
        Set<TopicPartition> now = new HashSet<>(held);
        now.addAll(parts);
        held = Set.copyOf(now);
        assignments++;
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> parts) {
        commit(parts);
        forget(parts);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> parts) {
        shared.problems.add("lost " + parts);
        forget(parts);
    }

    private void forget(Collection<TopicPartition> parts) {
        parts.forEach(position::remove);
        uncommitted.removeAll(parts);
        Set<TopicPartition> now = new HashSet<>(held);
        now.removeAll(parts);
        held = Set.copyOf(now);
    }

    void leave() throws InterruptedException {
        stopped = true;
        join(Run.STEP_LIMIT_S * 1000);
        Run.equal(isAlive(), false, "the member is still closing");
    }
}
