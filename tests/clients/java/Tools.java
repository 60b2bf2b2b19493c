import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.ConsoleProducer;
import org.apache.kafka.tools.ConsumerPerformance;
import org.apache.kafka.tools.DeleteRecordsCommand;
import org.apache.kafka.tools.GetOffsetShell;
import org.apache.kafka.tools.ProducerPerformance;
import org.apache.kafka.tools.TopicCommand;
import org.apache.kafka.tools.consumer.ConsoleConsumer;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

/** Kafka's own command-line tools by their main classes, in this process: an end of theirs is caught. */
final class Tools {
    /** A tool's main. */
    private interface Main {
        void main(String... args) throws Exception;
    }

    /** Thrown in place of the process's end, to leave the tool's main. */
    private static final class Ended extends Error {
        Ended() {
            super("the tool ended", null, false, false);
        }
    }

    private final Run run;
    private final String topic;
    private final String group;
    /** The status that the tool ended with first: some catch what is thrown then, and end once more. */
    private Integer status;

    Tools(Run run) {
        this.run = run;
        this.topic = run.topic + "-tools";
        this.group = run.group + "-tools";
    }

    /** Runs a tool with words of input; answers what it printed. A status other than 0 fails. */
    private String tool(Main tool, String input, String... args) throws Exception {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream out = System.out;
        InputStream in = System.in;
        status = null;
        try (PrintStream capture = new PrintStream(printed, true)) {
            System.setOut(capture);
            System.setIn(new ByteArrayInputStream(input.getBytes()));
            captureScala(capture);
            tool.main(args);
        } catch (Ended ended) {
            // Its status is what counts.
        } finally {
            System.setOut(out);
            System.setIn(in);
            captureScala(out);
        }
        Run.equal(status == null ? 0 : status, 0, String.join(" ", args) + " printed " + printed);
        return printed.toString();
    }

    private String topics(String... args) throws Exception {
        return tool(TopicCommand::main, "", with(args, "--bootstrap-server", run.bootstrap));
    }

    private String configs(String... args) throws Exception {
        return tool(kafka.admin.ConfigCommand::main, "",
            with(args, "--bootstrap-server", run.bootstrap, "--entity-type", "topics", "--entity-name", topic));
    }

    private String groups(String... args) throws Exception {
        return tool(ConsumerGroupCommand::main, "", with(args, "--bootstrap-server", run.bootstrap));
    }

    private static String[] with(String[] args, String... more) {
        String[] all = Arrays.copyOf(args, args.length + more.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        return all;
    }

    private static void contains(String text, String part) {
        Run.equal(text.contains(part), true, "'" + part + "' stands in: " + text);
    }

    void steps() {
        Exit.setExitProcedure((code, message) -> {
            if (status == null) {
                status = code;
            }
            throw new Ended();
        });
        Exit.setShutdownHookAdder((name, hook) -> { });
        run.step("tools.topics", () -> {
            topics("--create", "--topic", topic, "--partitions", "6", "--config", "retention.ms=86400000");
            contains(topics("--list"), topic);
            contains(topics("--describe", "--topic", topic), "PartitionCount: 6");
        });
        run.step("tools.console", this::console);
        run.step("tools.configs", this::settings);
        run.step("tools.perf", this::perf);
        run.step("tools.groups", this::groupTool);
        run.step("tools.offsets", this::offsets);
        run.step("tools.delete", () -> {
            topics("--alter", "--topic", topic, "--partitions", "8");
            Run.within(() -> "eight partitions",
                () -> topics("--describe", "--topic", topic).contains("PartitionCount: 8"));
            topics("--delete", "--topic", topic);
            Run.within(() -> "the topic is gone", () -> !topics("--list").lines().toList().contains(topic));
        });
        Exit.resetExitProcedure();
        Exit.resetShutdownHookAdder();
    }

    private void console() throws Exception {
        List<String> lines = IntStream.range(0, 50).mapToObj(i -> "h:" + i + "\tkey-" + i + "\tvalue " + i).toList();
        tool(ConsoleProducer::main, String.join("\n", lines) + "\n", "--bootstrap-server", run.bootstrap,
            "--topic", topic, "--compression-codec", "zstd",
            "--property", "parse.key=true", "--property", "parse.headers=true");
        String got = tool(ConsoleConsumer::main, "", "--bootstrap-server", run.bootstrap, "--topic", topic,
            "--from-beginning", "--max-messages", "50", "--timeout-ms", "20000", "--group", group,
            "--property", "print.key=true", "--property", "print.headers=true");
        Run.equal(got.lines().filter(line -> line.startsWith("h:")).sorted().toList(), lines.stream().sorted().toList(),
            "lines");
    }

    private void settings() throws Exception {
        contains(configs("--describe"), "retention.ms=86400000");
        configs("--alter", "--add-config", "retention.ms=7200000,max.message.bytes=2000000");
        Run.within(() -> "the altered value", () -> configs("--describe").contains("retention.ms=7200000"));
        contains(configs("--describe", "--all"), "max.message.bytes=2000000");
        configs("--alter", "--delete-config", "retention.ms");
        Run.within(() -> "the value is gone", () -> !configs("--describe").contains("retention.ms"));
        contains(tool(kafka.admin.ConfigCommand::main, "", "--bootstrap-server", run.bootstrap, "--describe", "--all",
            "--entity-type", "brokers", "--entity-name", node()), "num.partitions");
    }

    private String node() throws Exception {
        return Run.get(run.admin.describeCluster().nodes()).iterator().next().idString();
    }

    private void perf() throws Exception {
        String produced = tool(ProducerPerformance::main, "", "--topic", topic, "--num-records", "20000",
            "--record-size", "1024", "--throughput", "-1", "--producer-props", "bootstrap.servers=" + run.bootstrap,
            "batch.size=131072", "linger.ms=5", "acks=all");
        contains(produced, "20000 records sent");
        String consumed = tool(ConsumerPerformance::main, "", "--bootstrap-server", run.bootstrap, "--topic", topic,
            "--messages", "20050", "--timeout", "20000", "--hide-header");
        // start, end, MB, MB/s, records, ...
        Run.equal(Long.parseLong(consumed.trim().split(",\\s*")[4]) >= 20050, true, "records consumed: " + consumed);
    }

    private void groupTool() throws Exception {
        contains(groups("--list"), group);
        long lag = groups("--describe", "--group", group).lines().filter(line -> line.contains(topic))
            .mapToLong(line -> Long.parseLong(line.trim().split("\\s+")[5])).sum();
        Run.equal(lag, 20000L, "lag behind the console consumer");
        contains(groups("--describe", "--group", group, "--state"), "Empty");
        groups("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute");
        groups("--delete", "--group", group);
        Run.equal(groups("--list").lines().toList().contains(group), false, "the deleted group is listed");
    }

    private void offsets() throws Exception {
        String ends = tool(GetOffsetShell::main, "", "--bootstrap-server", run.bootstrap, "--topic", topic);
        Run.equal(ends.lines().mapToLong(line -> Long.parseLong(line.split(":")[2])).sum(), 20050L, "sum of the ends");
        Path file = Files.createTempFile("delete-records", ".json");
        try {
            Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic
                + "\",\"partition\":3,\"offset\":-1}]}");
            contains(tool(DeleteRecordsCommand::main, "", "--bootstrap-server", run.bootstrap,
                "--offset-json-file", file.toString()), "low_watermark");
        } finally {
            Files.delete(file);
        }
        String first = tool(GetOffsetShell::main, "", "--bootstrap-server", run.bootstrap, "--topic", topic,
            "--time", "earliest");
        Run.equal(first.lines().filter(line -> line.endsWith(":0")).count(), 5L, "partitions that still begin at 0");
    }

    /** Scala's console keeps the stream that it found when it was loaded. */
    private static void captureScala(PrintStream stream) {
        scala.Console$.MODULE$.setOutDirect(stream);
    }
}
