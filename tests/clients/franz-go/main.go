// Command franzclient runs franz-go against a broker: see README.md above for the steps.
//
// usage: franzclient BOOTSTRAP NAME
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 6
	perCodec   = 40 // records of each codec in each partition
	stepLimit  = 30 * time.Second
	timeStep   = time.Second // between the timestamps of one partition
)

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

// run is one run of the steps.
type run struct {
	bootstrap, topic, group string
	base                    time.Time // the timestamp of offset 0
	ends                    [partitions]int64
	admin                   *kadm.Client
	failed                  bool
}

// step runs one step and prints its line.
func (r *run) step(name string, do func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
	defer cancel()
	if err := do(ctx); err != nil {
		r.failed = true
		fmt.Printf("FAIL %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

// within polls until the condition holds or the step's time is over.
func within(ctx context.Context, what func() string, condition func() bool) error {
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s", what())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func (r *run) client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{
		kgo.SeedBrokers(r.bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(200 * time.Millisecond),
	}
	client, err := kgo.NewClient(append(base, options...)...)
	if err != nil {
		panic(err) // only options that contradict each other
	}
	return client
}

// record is what is sent as the record of an offset; the same every time it is asked for.
func (r *run) record(partition int32, offset int64) *kgo.Record {
	draw := rand.New(rand.NewPCG(uint64(partition), uint64(offset)))
	bytesOf := func(n int) []byte {
		value := make([]byte, n)
		for i := range value {
			value[i] = byte(draw.Uint32())
		}
		return value
	}
	record := &kgo.Record{
		Topic:     r.topic,
		Partition: partition,
		Key:       fmt.Appendf(nil, "key-%d-%d", partition, offset),
		Value:     bytesOf(1 + draw.IntN(600)),
		Headers: []kgo.RecordHeader{
			{Key: "twice", Value: []byte("1")},
			{Key: "twice", Value: []byte("2")},
			{Key: "null", Value: nil},
			{Key: "", Value: []byte{}},
			{Key: "bytes", Value: bytesOf(20)},
		},
		Timestamp: r.base.Add(time.Duration(offset) * timeStep),
	}
	switch offset % 10 {
	case 3:
		record.Value = nil
	case 4:
		record.Value = []byte{}
	case 7:
		record.Key = nil
	case 9:
		record.Value = bytesOf(100_000)
	}
	return record
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func (r *run) check(got *kgo.Record) error {
	want := r.record(got.Partition, got.Offset)
	headers := slices.EqualFunc(got.Headers, want.Headers, func(a, b kgo.RecordHeader) bool {
		return a.Key == b.Key && same(a.Value, b.Value)
	})
	if !same(got.Key, want.Key) || !same(got.Value, want.Value) || !headers || !got.Timestamp.Equal(want.Timestamp) {
		return fmt.Errorf("partition %d offset %d is not the record that was sent", got.Partition, got.Offset)
	}
	return nil
}

// produce sends count records to each partition, idempotently; each must get the offset that is next.
func (r *run) produce(ctx context.Context, codec kgo.CompressionCodec, count int) error {
	client := r.client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(5*time.Millisecond))
	defer client.Close()
	var records []*kgo.Record
	for range count {
		for partition := range int32(partitions) {
			records = append(records, r.record(partition, r.ends[partition]))
			r.ends[partition]++
		}
	}
	want := make(map[*kgo.Record]int64)
	for i, record := range records {
		want[record] = r.ends[record.Partition] - int64(count) + int64(i/partitions)
	}
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return result.Err
		}
		if got := result.Record.Offset; got != want[result.Record] {
			return fmt.Errorf("partition %d: offset %d, not %d", result.Record.Partition, got, want[result.Record])
		}
	}
	return nil
}

func (r *run) create(ctx context.Context) error {
	retention := "86400000"
	settings := map[string]*string{"retention.ms": &retention}
	if _, err := r.admin.CreateTopic(ctx, partitions, -1, settings, r.topic); err != nil {
		return err
	}
	if _, err := r.admin.CreateTopic(ctx, partitions, -1, nil, r.topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("created again: %v", err)
	}
	return nil
}

// led tells whether the topic has this many partitions, each with a leader.
func (r *run) led(ctx context.Context, count int) bool {
	topics, err := r.admin.ListTopics(ctx, r.topic)
	if err != nil || len(topics[r.topic].Partitions) != count {
		return false
	}
	for _, partition := range topics[r.topic].Partitions {
		if partition.Err != nil || partition.Leader < 0 {
			return false
		}
	}
	return true
}

func (r *run) describe(ctx context.Context) error {
	if err := within(ctx, func() string { return "six leaders" }, func() bool { return r.led(ctx, partitions) }); err != nil {
		return err
	}
	metadata, err := r.admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if metadata.Cluster == "" || len(metadata.Brokers) == 0 {
		return fmt.Errorf("the cluster: %+v", metadata)
	}
	return nil
}

func (r *run) read(ctx context.Context) error {
	from := map[int32]kgo.Offset{}
	for partition := range int32(partitions) {
		from[partition] = kgo.NewOffset().AtStart()
	}
	client := r.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}))
	defer client.Close()
	var next [partitions]int64
	for next != r.ends {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %v of %v: %w", next, r.ends, err)
		}
		for _, record := range fetches.Records() {
			if record.Offset != next[record.Partition] {
				return fmt.Errorf("partition %d: offset %d, not %d", record.Partition, record.Offset, next[record.Partition])
			}
			if err := r.check(record); err != nil {
				return err
			}
			next[record.Partition]++
		}
	}
	return nil
}

// expect compares the offsets listed with the wanted one of each partition.
func (r *run) expect(what string, listed kadm.ListedOffsets, err error, want func(partition int32) int64) error {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for partition := range int32(partitions) {
		if got := listed[r.topic][partition].Offset; got != want(partition) {
			return fmt.Errorf("%s of partition %d: %d, not %d", what, partition, got, want(partition))
		}
	}
	return nil
}

func (r *run) offsets(ctx context.Context) error {
	end := func(partition int32) int64 { return r.ends[partition] }
	starts, err := r.admin.ListStartOffsets(ctx, r.topic)
	if err := r.expect("start", starts, err, func(int32) int64 { return 0 }); err != nil {
		return err
	}
	latest, err := r.admin.ListEndOffsets(ctx, r.topic)
	if err := r.expect("end", latest, err, end); err != nil {
		return err
	}
	stable, err := r.admin.ListCommittedOffsets(ctx, r.topic)
	if err := r.expect("last stable", stable, err, end); err != nil {
		return err
	}
	newest, err := r.admin.ListMaxTimestampOffsets(ctx, r.topic)
	if err := r.expect("newest", newest, err, func(p int32) int64 { return r.ends[p] - 1 }); err != nil {
		return err
	}
	for _, wanted := range []int64{0, 1, 57, r.ends[0] - 1} {
		at := r.base.Add(time.Duration(wanted)*timeStep - timeStep/2).UnixMilli()
		found, err := r.admin.ListOffsetsAfterMilli(ctx, at, r.topic)
		if err := r.expect("by time", found, err, func(int32) int64 { return wanted }); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) list(ctx context.Context) error {
	topics, err := r.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	if !topics.Has(r.topic) {
		return errors.New("the topic is not listed")
	}
	producers, err := r.admin.DescribeProducers(ctx, topicsSet(r.topic, 0))
	if err != nil {
		return err
	}
	if len(producers[r.topic].Partitions[0].ActiveProducers) < len(codecs) {
		return fmt.Errorf("producers of partition 0: %+v", producers[r.topic].Partitions[0])
	}
	dirs, err := r.admin.DescribeAllLogDirs(ctx, topicsSet(r.topic))
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return errors.New("no log directory is described")
	}
	return nil
}

func topicsSet(topic string, partitions ...int32) kadm.TopicsSet {
	var set kadm.TopicsSet
	set.Add(topic, partitions...)
	return set
}

// setting is the value of a topic's setting and where it comes from.
func (r *run) setting(ctx context.Context, name string) (string, string) {
	configs, err := r.admin.DescribeTopicConfigs(ctx, r.topic)
	if err != nil || len(configs) != 1 || configs[0].Err != nil {
		return fmt.Sprintf("%v %v", err, configs), ""
	}
	for _, config := range configs[0].Configs {
		if config.Key == name {
			return config.MaybeValue(), config.Source.String()
		}
	}
	return "", ""
}

func (r *run) alter(ctx context.Context, op kadm.IncrementalOp, value string) error {
	alter := kadm.AlterConfig{Op: op, Name: "retention.ms", Value: &value}
	answers, err := r.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{alter}, r.topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (r *run) config(ctx context.Context) error {
	if value, _ := r.setting(ctx, "retention.ms"); value != "86400000" {
		return fmt.Errorf("as created: %s", value)
	}
	if err := r.alter(ctx, kadm.SetConfig, "7200000"); err != nil {
		return err
	}
	got := func() string { value, source := r.setting(ctx, "retention.ms"); return value + " " + source }
	altered := func() bool { return got() == "7200000 DYNAMIC_TOPIC_CONFIG" }
	if err := within(ctx, got, altered); err != nil {
		return err
	}
	if err := r.alter(ctx, kadm.SetConfig, "soon"); !errors.Is(err, kerr.InvalidConfig) {
		return fmt.Errorf("a bad value: %v", err)
	}
	if err := r.alter(ctx, kadm.DeleteConfig, ""); err != nil {
		return err
	}
	reset := func() bool { return !strings.HasSuffix(got(), " DYNAMIC_TOPIC_CONFIG") }
	return within(ctx, got, reset)
}

func (r *run) grow(ctx context.Context) error {
	answers, err := r.admin.UpdatePartitions(ctx, partitions+2, r.topic)
	if err != nil {
		return err
	}
	if err := answers.Error(); err != nil {
		return err
	}
	return within(ctx, func() string { return "eight leaders" }, func() bool { return r.led(ctx, partitions+2) })
}

func (r *run) deleteRecords(ctx context.Context) error {
	upTo := kadm.Offsets{}
	upTo.AddOffset(r.topic, 0, 100, -1)
	upTo.AddOffset(r.topic, 1, r.ends[1], -1)
	answers, err := r.admin.DeleteRecords(ctx, upTo)
	if err != nil {
		return err
	}
	if err := answers.Error(); err != nil {
		return err
	}
	want := [partitions]int64{100, r.ends[1]}
	starts, err := r.admin.ListStartOffsets(ctx, r.topic)
	return r.expect("start", starts, err, func(p int32) int64 { return want[p] })
}

func (r *run) deleteTopic(ctx context.Context) error {
	if _, err := r.admin.DeleteTopic(ctx, r.topic); err != nil {
		return err
	}
	return within(ctx, func() string { return "the topic is gone" }, func() bool {
		topics, err := r.admin.ListTopics(ctx)
		return err == nil && !topics.Has(r.topic)
	})
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: franzclient BOOTSTRAP NAME")
		os.Exit(2)
	}
	r := &run{
		bootstrap: os.Args[1],
		topic:     os.Args[2],
		group:     os.Args[2] + "-group",
		base:      time.Now().Add(-time.Hour).Truncate(time.Millisecond),
	}
	r.admin = kadm.NewClient(r.client())
	defer r.admin.Close()
	r.step("create", r.create)
	r.step("describe", r.describe)
	for _, c := range codecs {
		r.step("produce."+c.name, func(ctx context.Context) error { return r.produce(ctx, c.codec, perCodec) })
	}
	r.step("read", r.read)
	r.step("offsets", r.offsets)
	r.step("list", r.list)
	r.step("config", r.config)
	r.groupSteps()
	r.step("partitions", r.grow)
	r.step("delete-records", r.deleteRecords)
	r.step("delete-group", r.deleteGroup)
	r.step("delete-topic", r.deleteTopic)
	if r.failed {
		os.Exit(1)
	}
}
