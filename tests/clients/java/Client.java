import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The Java client against a broker: see README.md above for the steps. Usage: Client BOOTSTRAP NAME */
public final class Client {
    private static final int PER_CODEC = 40;

    private final Run run;

    private Client(Run run) {
        this.run = run;
    }

    private void create() throws Exception {
        NewTopic topic = new NewTopic(run.topic, Optional.of(Run.PARTITIONS), Optional.empty());
        topic.configs(Map.of("retention.ms", "86400000"));
        Run.get(run.admin.createTopics(List.of(topic)).all());
        Run.refused(TopicExistsException.class, run.admin.createTopics(List.of(topic)).all(), "created again");
        NewTopic bad = new NewTopic(run.topic + "/", 1, (short) 1);
        Run.refused(InvalidTopicException.class, run.admin.createTopics(List.of(bad)).all(), "an illegal name");
    }

    private TopicDescription description() throws Exception {
        return Run.get(run.admin.describeTopics(List.of(run.topic)).allTopicNames()).get(run.topic);
    }

    private boolean led(int partitions) throws Exception {
        TopicDescription topic = description();
        return topic.partitions().size() == partitions
            && topic.partitions().stream().allMatch(p -> p.leader() != null && !p.isr().isEmpty());
    }

    private void describe() throws Exception {
        Run.within(() -> "every partition has a leader", () -> led(Run.PARTITIONS));
        Run.equal(Run.get(run.admin.describeCluster().nodes()).isEmpty(), false, "no nodes");
        Run.equal(Run.get(run.admin.describeCluster().clusterId()).isEmpty(), false, "no cluster id");
        Run.equal(Run.get(run.admin.describeFeatures().featureMetadata()).finalizedFeatures() != null, true, "features");
        AclBindingFilter any = AclBindingFilter.ANY;
        Run.refused(SecurityDisabledException.class, run.admin.describeAcls(any).values(), "ACLs without security");
    }

    private void read() {
        try (KafkaConsumer<byte[], byte[]> reader = run.consumer(Map.of())) {
            reader.assign(run.parts());
            reader.seekToBeginning(run.parts());
            long[] next = new long[Run.PARTITIONS];
            long until = System.nanoTime() + Duration.ofSeconds(Run.STEP_LIMIT_S).toNanos();
            while (!java.util.Arrays.equals(next, run.ends)) {
                Run.equal(System.nanoTime() < until, true, "everything is read in time");
                for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(200))) {
                    Run.equal(record.offset(), next[record.partition()]++, "offset in partition " + record.partition());
                    run.check(record);
                }
            }
        }
    }

    private Map<TopicPartition, ListOffsetsResultInfo> list(OffsetSpec spec) throws Exception {
        return Run.get(run.admin.listOffsets(run.each(partition -> spec)).all());
    }

    private void offsets() throws Exception {
        list(OffsetSpec.earliest()).forEach((part, got) -> Run.equal(got.offset(), 0L, "earliest of " + part));
        list(OffsetSpec.latest()).forEach((part, got) ->
            Run.equal(got.offset(), run.ends[part.partition()], "latest of " + part));
        list(OffsetSpec.maxTimestamp()).forEach((part, got) ->
            Run.equal(got.offset(), run.ends[part.partition()] - 1, "offset of the newest in " + part));
        for (long wanted : new long[] {0, 1, 57, run.ends[0] - 1}) {
            long time = run.baseMs + wanted * Run.TIME_STEP_MS;
            list(OffsetSpec.forTimestamp(time - Run.TIME_STEP_MS / 2)).forEach((part, got) -> {
                Run.equal(got.offset(), wanted, "by time in " + part);
                Run.equal(got.timestamp(), time, "time found in " + part);
            });
        }
        try (KafkaConsumer<byte[], byte[]> consumer = run.consumer(Map.of())) {
            Map<TopicPartition, Long> ends = consumer.endOffsets(run.parts());
            Run.equal(ends, run.each(partition -> run.ends[partition]), "end offsets");
            Map<TopicPartition, Long> late = run.each(partition -> run.baseMs + run.ends[partition] * Run.TIME_STEP_MS);
            consumer.offsetsForTimes(late).forEach((part, got) -> Run.equal(got, null, "past the newest in " + part));
        }
    }

    private void listing() throws Exception {
        Run.equal(Run.get(run.admin.listTopics().names()).contains(run.topic), true, "the topic is listed");
        var producers = Run.get(run.admin.describeProducers(List.of(run.at(0))).all()).get(run.at(0));
        Run.equal(producers.activeProducers().size(), 5, "idempotent producers of a partition");
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, run.topic);
        Collection<ConfigResource> resources = Run.get(run.admin.listConfigResources().all());
        Run.equal(resources.contains(topic), true, "the topic is among the resources with settings");
        int node = Run.get(run.admin.describeCluster().nodes()).iterator().next().id();
        var dirs = Run.get(run.admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
        boolean there = dirs.values().stream().anyMatch(dir -> dir.replicaInfos().containsKey(run.at(0)));
        Run.equal(there, true, "the partition stands in a log directory");
    }

    private ConfigEntry setting(String name) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, run.topic);
        return Run.get(run.admin.describeConfigs(List.of(topic)).all()).get(topic).get(name);
    }

    private java.util.concurrent.Future<Void> alter(AlterConfigOp.OpType op, String name, String value) {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, run.topic);
        AlterConfigOp alter = new AlterConfigOp(new ConfigEntry(name, value), op);
        return run.admin.incrementalAlterConfigs(Map.of(topic, List.of(alter))).all();
    }

    private void config() throws Exception {
        Run.equal(setting("retention.ms").value(), "86400000", "as created");
        Run.get(alter(AlterConfigOp.OpType.SET, "retention.ms", "7200000"));
        Run.within(() -> "the altered value", () -> setting("retention.ms").value().equals("7200000"));
        Run.equal(setting("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "its source");
        Run.get(alter(AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact"));
        Run.within(() -> "the appended value", () -> setting("cleanup.policy").value().equals("delete,compact"));
        Run.get(alter(AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "compact"));
        Run.within(() -> "the value without it", () -> setting("cleanup.policy").value().equals("delete"));
        Run.get(alter(AlterConfigOp.OpType.DELETE, "retention.ms", ""));
        Run.within(() -> "back at the default", () -> setting("retention.ms").isDefault());
        Run.refused(InvalidConfigurationException.class, alter(AlterConfigOp.OpType.SET, "retention.ms", "soon"),
            "a bad value");
        Run.refused(InvalidConfigurationException.class, alter(AlterConfigOp.OpType.SET, "no.such.key", "1"),
            "an unknown key");
    }

    private void grow() throws Exception {
        Map<String, NewPartitions> more = Map.of(run.topic, NewPartitions.increaseTo(Run.PARTITIONS + 2));
        Run.get(run.admin.createPartitions(more).all());
        Run.within(() -> "eight partitions", () -> led(Run.PARTITIONS + 2));
        Map<String, NewPartitions> fewer = Map.of(run.topic, NewPartitions.increaseTo(2));
        Run.refused(InvalidPartitionsException.class, run.admin.createPartitions(fewer).all(), "fewer partitions");
    }

    private void deleteRecords() throws Exception {
        var upTo = Map.of(run.at(0), RecordsToDelete.beforeOffset(100), run.at(1), RecordsToDelete.beforeOffset(-1));
        var low = run.admin.deleteRecords(upTo).lowWatermarks();
        Run.equal(Run.get(low.get(run.at(0))).lowWatermark(), 100L, "low watermark");
        Run.equal(Run.get(low.get(run.at(1))).lowWatermark(), run.ends[1], "low watermark");
        var starts = list(OffsetSpec.earliest());
        Run.equal(starts.get(run.at(0)).offset(), 100L, "log start");
        Run.equal(starts.get(run.at(1)).offset(), run.ends[1], "log start");
        Run.equal(starts.get(run.at(2)).offset(), 0L, "log start");
    }

    private void deleteTopic() throws Exception {
        Run.get(run.admin.deleteTopics(List.of(run.topic)).all());
        Run.within(() -> "the topic is gone", () -> !Run.get(run.admin.listTopics().names()).contains(run.topic));
        Run.refused(UnknownTopicOrPartitionException.class, run.admin.deleteTopics(List.of(run.topic)).all(),
            "deleted again");
    }

    private void all() {
        run.step("create", this::create);
        run.step("describe", this::describe);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            run.step("produce." + codec, () -> run.produce(codec, PER_CODEC));
        }
        run.step("read", this::read);
        run.step("offsets", this::offsets);
        run.step("list", this::listing);
        run.step("config", this::config);
        new Group(run).steps();
        run.step("partitions", this::grow);
        run.step("delete-records", this::deleteRecords);
        run.step("delete-topic", this::deleteTopic);
        new Tools(run).steps();
    }

    public static void main(String[] args) {
        if (args.length != 2) {
            System.err.println("usage: Client BOOTSTRAP NAME");
            System.exit(2);
        }
        Run run = new Run(args[0], args[1]);
        new Client(run).all();
        System.exit(run.failed ? 1 : 0);
    }
}
