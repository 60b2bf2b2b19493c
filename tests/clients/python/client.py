"""confluent-kafka against a broker: see README.md above for the steps.

usage: client.py BOOTSTRAP NAME
"""

import random
import sys
import threading
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

BOOTSTRAP, TOPIC = sys.argv[1:3]
GROUP = TOPIC + "-group"
PARTITIONS = 6
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PER_CODEC = 40  # records of each codec in each partition
STEP_LIMIT_S = 30
BASE_MS = int(time.time() * 1000) - 3_600_000
STEP_MS = 1000  # between the timestamps of one partition

admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
failed = False


def step(name, function, *args):
    """Runs one step and prints its line."""
    global failed
    try:
        function(*args)
        print(f"ok {name}", flush=True)
    except Exception as error:  # whatever it is, it is this step's result
        failed = True
        print(f"FAIL {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: {got!r}, not {expected!r}"[:400])


def within(condition, what):
    """Polls until the condition holds."""
    until = time.monotonic() + STEP_LIMIT_S
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {STEP_LIMIT_S} s: {what()}")
        time.sleep(0.05)


def result(futures):
    """The only answer of an admin call."""
    (future,) = futures.values()
    return future.result(STEP_LIMIT_S)


def error_code(call):
    try:
        call()
    except KafkaException as error:
        return error.args[0].code()
    return None


class Record:
    """What is sent as the record of `offset` in `partition`; the same every time it is asked for."""

    def __init__(self, partition, offset):
        draw = random.Random(partition * 1_000_000 + offset)
        kind = offset % 10
        size = 100_000 if kind == 9 else draw.randrange(1, 600)
        self.key = None if kind == 7 else f"key-{partition}-{offset}".encode()
        self.value = None if kind == 3 else b"" if kind == 4 else draw.randbytes(size)
        self.headers = [
            ("twice", b"1"),
            ("twice", b"2"),
            ("null", None),
            ("empty", b""),
            ("bytes", bytes(range(256))),
        ]
        self.time_ms = BASE_MS + offset * STEP_MS

    def check(self, message):
        where = f"partition {message.partition()} offset {message.offset()}"
        equal(message.key(), self.key, f"{where}: key")
        equal(message.value(), self.value, f"{where}: value")
        equal(message.headers(), self.headers, f"{where}: headers")
        equal(message.timestamp()[1], self.time_ms, f"{where}: timestamp")


ends = {}  # partition -> offset of the next record


def produce(codec, count):
    """`count` records to each partition, idempotent; each must get the offset that is next."""
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "compression.type": codec,
            "enable.idempotence": True,
            "linger.ms": 5,
        }
    )
    problems = []

    def delivered(offset):
        def callback(error, message):
            if error is not None:
                problems.append(str(error))
            elif message.offset() != offset:
                problems.append(f"partition {message.partition()}: offset {message.offset()}, not {offset}")

        return callback

    for _ in range(count):
        for partition in range(PARTITIONS):
            offset = ends.get(partition, 0)
            record = Record(partition, offset)
            producer.produce(
                TOPIC,
                record.value,
                record.key,
                partition,
                on_delivery=delivered(offset),
                timestamp=record.time_ms,
                headers=record.headers,
            )
            ends[partition] = offset + 1
    equal(producer.flush(STEP_LIMIT_S), 0, "records without an answer")
    equal(problems[:3], [], "delivery")


def consumer(group=None, **settings):
    return Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": group or TOPIC + "-none",
            "enable.auto.commit": False,
            "check.crcs": True,
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 300,
            "partition.assignment.strategy": "cooperative-sticky",
            **settings,
        }
    )


def create():
    result(admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, config={"retention.ms": "86400000"})]))
    again = error_code(lambda: result(admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])))
    equal(again, KafkaError.TOPIC_ALREADY_EXISTS, "created again")
    bad = error_code(lambda: result(admin.create_topics([NewTopic(TOPIC + "/", 1, 1)])))
    equal(bad, KafkaError.TOPIC_EXCEPTION, "an illegal name")


def describe():
    def led():
        topic = result(admin.describe_topics(TopicCollection([TOPIC])))
        return len(topic.partitions) == PARTITIONS and all(p.leader is not None for p in topic.partitions)

    within(led, lambda: "every partition has a leader")
    cluster = admin.describe_cluster().result(STEP_LIMIT_S)
    equal(bool(cluster.cluster_id) and len(cluster.nodes) >= 1, True, "the cluster's id and nodes")


def read():
    """Everything from the beginning: byte for byte, in order, no gap."""
    reader = consumer()
    reader.assign([TopicPartition(TOPIC, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    try:
        following = {p: 0 for p in range(PARTITIONS)}
        until = time.monotonic() + STEP_LIMIT_S
        while following != ends:
            equal(time.monotonic() < until, True, f"read {following} of {ends} in time")
            for message in reader.consume(500, 0.2):
                equal(message.error(), None, "error")
                partition = message.partition()
                equal(message.offset(), following[partition], f"offset in partition {partition}")
                Record(partition, message.offset()).check(message)
                following[partition] += 1
    finally:
        reader.close()


def list_offsets(spec, **options):
    request = {TopicPartition(TOPIC, p): spec for p in range(PARTITIONS)}
    answers = admin.list_offsets(request, **options)
    return {part.partition: f.result(STEP_LIMIT_S) for part, f in answers.items()}


def offsets():
    for partition, answer in list_offsets(OffsetSpec.earliest()).items():
        equal(answer.offset, 0, f"earliest of {partition}")
    committed = IsolationLevel.READ_COMMITTED
    for partition, answer in list_offsets(OffsetSpec.latest(), isolation_level=committed).items():
        equal(answer.offset, ends[partition], f"latest of {partition}")
    for partition, answer in list_offsets(OffsetSpec.max_timestamp()).items():
        equal(answer.offset, ends[partition] - 1, f"offset of the newest in {partition}")
    for wanted in (0, 1, 57, ends[0] - 1):
        spec = OffsetSpec.for_timestamp(BASE_MS + wanted * STEP_MS - STEP_MS // 2)
        for partition, answer in list_offsets(spec).items():
            equal(answer.offset, wanted, f"by time in {partition}")
            equal(answer.timestamp, BASE_MS + wanted * STEP_MS, f"time found in {partition}")
    after = OffsetSpec.for_timestamp(BASE_MS + ends[0] * STEP_MS)
    for partition, answer in list_offsets(after).items():
        equal(answer.offset, -1, f"past the newest in {partition}")


def listing():
    topics = admin.list_topics(timeout=STEP_LIMIT_S).topics
    equal(len(topics[TOPIC].partitions), PARTITIONS, "partitions listed")


def alter(name, value, operation):
    resource = ConfigResource(
        ResourceType.TOPIC,
        TOPIC,
        incremental_configs=[ConfigEntry(name, value, incremental_operation=operation)],
    )
    result(admin.incremental_alter_configs([resource]))


def setting(name):
    return result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, TOPIC)]))[name]


def config():
    equal(setting("retention.ms").value, "86400000", "as created")
    alter("retention.ms", "7200000", AlterConfigOpType.SET)
    within(lambda: setting("retention.ms").value == "7200000", lambda: "the altered retention.ms")
    equal(setting("retention.ms").is_default, False, "is it the default")
    alter("retention.ms", "", AlterConfigOpType.DELETE)
    within(lambda: setting("retention.ms").is_default, lambda: "retention.ms back at its default")
    bad = error_code(lambda: alter("retention.ms", "soon", AlterConfigOpType.SET))
    equal(bad, KafkaError.INVALID_CONFIG, "a bad value")


class Member(threading.Thread):
    """A member of the group that commits what it consumed now and then, and whenever it loses partitions."""

    lock = threading.Lock()
    committed = {}  # partition -> offset that a commit named and got an answer for
    delivered = set()
    problems = []

    def __init__(self, number):
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.held = frozenset()
        self.position = {}
        self.consumer = consumer(GROUP, **{"auto.offset.reset": "earliest", "client.id": f"member-{number}"})
        self.start()

    def run(self):
        try:
            self.consumer.subscribe(
                [TOPIC], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost
            )
            uncommitted = 0
            while not self.stopped.is_set():
                message = self.consumer.poll(0.1)
                if message is not None:
                    equal(message.error(), None, "error")
                    self.take(message)
                    uncommitted += 1
                due = uncommitted >= 25 or (uncommitted and message is None)
                if due and self.commit(self.position.keys()):
                    uncommitted = 0
        except Exception as error:
            Member.problems.append(f"{type(error).__name__} {error}")
        finally:
            self.consumer.close()

    def take(self, message):
        partition, offset = message.partition(), message.offset()
        Record(partition, offset).check(message)
        with Member.lock:
            floor = Member.committed.get(partition, 0)
            expected = self.position.get(partition)
            if offset < floor:
                Member.problems.append(f"{partition}/{offset} again, {floor} was committed")
            if expected is not None and offset != expected:
                Member.problems.append(f"{partition}/{offset} where {expected} is next")
            Member.delivered.add((partition, offset))
            self.position[partition] = offset + 1

    def commit(self, partitions):
        """False if a rebalance overtook it: what it named may be delivered again, and is committed again."""
        offsets = [TopicPartition(TOPIC, p, self.position[p]) for p in partitions if p in self.position]
        if not offsets:
            return True
        try:
            answers = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in (KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS):
                return False
            raise
        for done in answers:
            if done.error is not None:
                raise KafkaException(done.error)
            with Member.lock:
                Member.committed[done.partition] = done.offset
        return True

    def assigned(self, _consumer, partitions):
        self.held |= {p.partition for p in partitions}

    def revoked(self, _consumer, partitions):
        gone = {p.partition for p in partitions}
        self.commit(gone)
        self.position = {p: o for p, o in self.position.items() if p not in gone}
        self.held -= gone

    def lost(self, _consumer, partitions):
        Member.problems.append(f"lost {sorted(p.partition for p in partitions)}")

    def leave(self):
        self.stopped.set()
        self.join(STEP_LIMIT_S)
        equal(self.is_alive(), False, "the member is still closing")


def spread(members):
    """Every partition is held once, and evenly."""
    held = [p for member in members for p in member.held]
    even = all(len(member.held) == PARTITIONS // len(members) for member in members)
    return even and sorted(held) == list(range(PARTITIONS))


def caught_up(members):
    within(lambda: spread(members) or Member.problems, lambda: f"spread: {[m.held for m in members]}")
    total = sum(ends.values())
    within(lambda: len(Member.delivered) == total or Member.problems, lambda: f"{len(Member.delivered)} of {total}")
    within(lambda: Member.committed == ends or Member.problems, lambda: f"committed {Member.committed} of {ends}")
    equal(Member.problems, [], "members")


def group_leave(members):
    members.pop().leave()
    produce("gzip", 10)
    caught_up(members)


def group_rejoin(members):
    members.append(Member(4))
    produce("lz4", 10)
    caught_up(members)


def describe_group():
    return result(admin.describe_consumer_groups([GROUP]))


def group_describe():
    group = describe_group()
    equal(group.state, ConsumerGroupState.STABLE, "state")
    equal(len(group.members), 3, "members")
    held = [p.partition for m in group.members for p in m.assignment.topic_partitions]
    equal(sorted(held), list(range(PARTITIONS)), "partitions assigned")
    listed = admin.list_consumer_groups().result(STEP_LIMIT_S)
    equal([g.state for g in listed.valid if g.group_id == GROUP], [ConsumerGroupState.STABLE], "listed")
    code = error_code(lambda: result(admin.delete_consumer_groups([GROUP])))
    equal(code, KafkaError.NON_EMPTY_GROUP, "deleted while in use")


def group_offsets():
    request = [ConsumerGroupTopicPartitions(GROUP)]
    answer = result(admin.list_consumer_group_offsets(request))
    equal({p.partition: p.offset for p in answer.topic_partitions}, ends, "committed")
    equal(describe_group().state, ConsumerGroupState.EMPTY, "state after all left")


def consume_rest(count):
    """A new member reads exactly `count` records from the group's commits on, then commits."""
    reader = consumer(GROUP, **{"auto.offset.reset": "error"})
    reader.subscribe([TOPIC])
    got = []
    try:
        until = time.monotonic() + STEP_LIMIT_S
        while len(got) < count:
            equal(time.monotonic() < until, True, f"got {len(got)} of {count} in time")
            got += reader.consume(count, 0.2)
        got += reader.consume(1, 0.5)
        reader.commit(asynchronous=False)
    finally:
        reader.close()
    for message in got:
        equal(message.error(), None, "error")
    return sorted((m.partition(), m.offset()) for m in got)


def resume():
    before = dict(ends)
    produce("zstd", 10)
    expected = [(p, o) for p in before for o in range(before[p], ends[p])]
    equal(consume_rest(len(expected)), expected, "records behind the commit")


def rewind():
    """Offsets moved by an administrator while the group is empty."""
    parts = [TopicPartition(TOPIC, p, ends[p] - 3) for p in range(PARTITIONS)]
    result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, parts)]))
    expected = [(p, o) for p in ends for o in range(ends[p] - 3, ends[p])]
    equal(consume_rest(len(expected)), expected, "records behind the altered offsets")


def grow():
    result(admin.create_partitions([NewPartitions(TOPIC, PARTITIONS + 2)]))

    def grown():
        return len(admin.list_topics(TOPIC, timeout=STEP_LIMIT_S).topics[TOPIC].partitions) == PARTITIONS + 2

    within(grown, lambda: "eight partitions")
    code = error_code(lambda: result(admin.create_partitions([NewPartitions(TOPIC, 2)])))
    equal(code, KafkaError.INVALID_PARTITIONS, "fewer partitions")
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for partition in (PARTITIONS, PARTITIONS + 1):
        producer.produce(TOPIC, b"new", partition=partition)
    equal(producer.flush(STEP_LIMIT_S), 0, "records without an answer")


def delete_records():
    deleted = admin.delete_records([TopicPartition(TOPIC, 0, 100), TopicPartition(TOPIC, 1, -1)])
    low = {p.partition: f.result(STEP_LIMIT_S).low_watermark for p, f in deleted.items()}
    equal(low, {0: 100, 1: ends[1]}, "low watermarks")
    starts = {p: a.offset for p, a in list_offsets(OffsetSpec.earliest()).items()}
    equal((starts[0], starts[1], starts[2]), (100, ends[1], 0), "log starts")
    reader = consumer(**{"auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(TOPIC, 0, 0)])
    first = reader.poll(STEP_LIMIT_S)
    reader.close()
    equal(first and first.offset(), 100, "first offset read")


def delete_group():
    result(admin.delete_consumer_groups([GROUP]))
    listed = admin.list_consumer_groups().result(STEP_LIMIT_S)
    equal([g.group_id for g in listed.valid if g.group_id == GROUP], [], "groups listed")


def delete_topic():
    result(admin.delete_topics([TOPIC]))
    within(lambda: TOPIC not in admin.list_topics(timeout=STEP_LIMIT_S).topics, lambda: "the topic is gone")
    code = error_code(lambda: result(admin.delete_topics([TOPIC])))
    equal(code, KafkaError.UNKNOWN_TOPIC_OR_PART, "deleted again")


def main():
    step("create", create)
    step("describe", describe)
    for codec in CODECS:
        step(f"produce.{codec}", produce, codec, PER_CODEC)
    step("read", read)
    step("offsets", offsets)
    step("list", listing)
    step("config", config)
    members = [Member(number) for number in (1, 2, 3)]
    step("group.join", caught_up, members)
    step("group.leave", group_leave, members)
    step("group.rejoin", group_rejoin, members)
    step("group.describe", group_describe)
    step("group.close", lambda: [member.leave() for member in members])
    step("group.offsets", group_offsets)
    step("resume", resume)
    step("rewind", rewind)
    step("partitions", grow)
    step("delete-records", delete_records)
    step("delete-group", delete_group)
    step("delete-topic", delete_topic)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
