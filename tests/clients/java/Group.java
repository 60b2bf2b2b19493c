import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;

/** The steps on groups: cooperative members that come and go, then static ones, then what an administrator does. */
final class Group {
    private static final Map<String, String> COOPERATIVE =
        Map.of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());

    private final Run run;
    private final Member.Shared shared = new Member.Shared();
    private final List<Member> members = new ArrayList<>();

    Group(Run run) {
        this.run = run;
    }

    void steps() {
        run.step("group.join", () -> {
            for (int i = 0; i < 3; i++) {
                members.add(new Member(run, shared, run.group, COOPERATIVE));
            }
            caughtUp(shared, members);
        });
        run.step("group.leave", () -> {
            members.remove(2).leave();
            run.produce("gzip", 10);
            caughtUp(shared, members);
        });
        run.step("group.rejoin", () -> {
            members.add(new Member(run, shared, run.group, COOPERATIVE));
            run.produce("lz4", 10);
            caughtUp(shared, members);
        });
        run.step("group.describe", this::describe);
        run.step("group.close", () -> {
            for (Member member : members) {
                member.leave();
            }
        });
        run.step("group.offsets", this::offsets);
        run.step("resume", this::resume);
        run.step("rewind", this::rewind);
        run.step("group.static", this::staticMembers);
        run.step("delete-group", this::delete);
    }

    private static boolean spread(List<Member> members) {
        List<TopicPartition> held = new ArrayList<>();
        for (Member member : members) {
            Set<TopicPartition> mine = member.held;
            if (mine.size() != Run.PARTITIONS / members.size()) {
                return false;
            }
            held.addAll(mine);
        }
        return Run.numbers(held).equals(Run.all());
    }

    /** Waits until the partitions are spread evenly and everything was delivered. */
    private void caughtUp(Member.Shared shared, List<Member> members) throws Exception {
        Run.within(
            () -> shared.delivered.size() + " of " + run.total() + ", held " + members.stream().map(m -> m.held).toList(),
            () -> !shared.problems.isEmpty() || (spread(members) && shared.delivered.size() == run.total()));
        Run.equal(List.copyOf(shared.problems), List.of(), "problems");
    }

    private ConsumerGroupDescription description(String group) throws Exception {
        return Run.get(run.admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private void describe() throws Exception {
        ConsumerGroupDescription group = description(run.group);
        Run.equal(group.groupState(), GroupState.STABLE, "state");
        Run.equal(group.partitionAssignor(), "cooperative-sticky", "assignor");
        List<TopicPartition> assigned = new ArrayList<>();
        group.members().forEach(member -> assigned.addAll(member.assignment().topicPartitions()));
        Run.equal(group.members().size(), 3, "members");
        Run.equal(Run.numbers(assigned), Run.all(), "assigned");
        List<GroupListing> listed = Run.get(run.admin.listGroups().all()).stream()
            .filter(listing -> listing.groupId().equals(run.group)).toList();
        Run.equal(listed.size(), 1, "listings");
        Run.equal(listed.get(0).groupState().get(), GroupState.STABLE, "state listed");
        Run.refused(GroupNotEmptyException.class, run.admin.deleteConsumerGroups(List.of(run.group)).all(),
            "deleted while in use");
        Run.refused(GroupSubscribedToTopicException.class,
            run.admin.deleteConsumerGroupOffsets(run.group, Set.of(run.at(0))).all(), "offset of a subscribed topic");
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return Run.get(run.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    private void offsets() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed = committed(run.group);
        Run.equal(committed.size(), Run.PARTITIONS, "committed partitions");
        committed.forEach((part, offset) -> {
            Run.equal(offset.offset(), run.ends[part.partition()], "committed of " + part);
            Run.equal(offset.metadata(), "from a test", "metadata of " + part);
        });
        Run.equal(description(run.group).groupState(), GroupState.EMPTY, "state after all left");
    }

    /** A new member reads exactly the records from these offsets to the ends, and commits. */
    private void consumeRest(long[] from) {
        Map<String, String> settings = Map.of("group.id", run.group, "auto.offset.reset", "none");
        long[] next = from.clone();
        try (KafkaConsumer<byte[], byte[]> consumer = run.consumer(settings)) {
            consumer.subscribe(Set.of(run.topic));
            long until = System.nanoTime() + Duration.ofSeconds(Run.STEP_LIMIT_S).toNanos();
            while (!java.util.Arrays.equals(next, run.ends)) {
                Run.equal(System.nanoTime() < until, true, "the rest is read in time");
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    Run.equal(record.offset(), next[record.partition()]++, "offset in partition " + record.partition());
                }
            }
            consumer.commitSync();
        }
    }

    private void resume() throws Exception {
        long[] before = run.ends.clone();
        run.produce("zstd", 10);
        consumeRest(before);
    }

    /** Offsets moved, and one taken away, by an administrator while the group is empty. */
    private void rewind() throws Exception {
        long[] from = run.ends.clone();
        for (int partition : Run.all()) {
            from[partition] -= 3;
        }
        var offsets = run.each(partition -> new OffsetAndMetadata(from[partition]));
        Run.get(run.admin.alterConsumerGroupOffsets(run.group, offsets).all());
        consumeRest(from);
        Run.get(run.admin.deleteConsumerGroupOffsets(run.group, Set.of(run.at(0))).all());
        Run.equal(committed(run.group).containsKey(run.at(0)), false, "an offset after its deletion");
    }

    /** A static member that restarts gets its partitions back and no other member hears of it. */
    private void staticMembers() throws Exception {
        String group = run.group + "-static";
        Member.Shared shared = new Member.Shared();
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            members.add(join(shared, group, i));
        }
        caughtUp(shared, members);
        int before = members.get(0).assignments + members.get(1).assignments;
        Set<TopicPartition> mine = members.get(2).held;
        members.get(2).leave();
        members.set(2, join(shared, group, 2));
        caughtUp(shared, members);
        Run.equal(members.get(2).held, mine, "what the restarted member holds");
        Run.equal(members.get(0).assignments + members.get(1).assignments, before, "assignments of the others");
        Run.equal(description(group).members().stream().map(m -> m.groupInstanceId().orElse("")).sorted().toList(),
            List.of("static-0", "static-1", "static-2"), "instances");
        for (Member member : members) {
            member.leave();
        }
        Run.get(run.admin.removeMembersFromConsumerGroup(group,
            new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions()).all());
        Run.equal(description(group).groupState(), GroupState.EMPTY, "state after the members were removed");
    }

    private Member join(Member.Shared shared, String group, int number) {
        return new Member(run, shared, group, Map.of("group.instance.id", "static-" + number,
            "partition.assignment.strategy", RangeAssignor.class.getName()));
    }

    private void delete() throws Exception {
        List<String> groups = List.of(run.group, run.group + "-static");
        Run.get(run.admin.deleteConsumerGroups(groups).all());
        boolean listed = Run.get(run.admin.listGroups().all()).stream().anyMatch(g -> groups.contains(g.groupId()));
        Run.equal(listed, false, "a deleted group is listed");
    }
}
