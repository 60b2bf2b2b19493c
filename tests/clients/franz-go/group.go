package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// place names a record.
type place struct {
	partition int32
	offset    int64
}

// shared is what the members of the group know together.
type shared struct {
	lock      sync.Mutex
	committed [partitions]int64 // named by a commit that was answered
	delivered map[place]bool
	problems  []string
}

func (s *shared) problem(format string, args ...any) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// member consumes with the cooperative-sticky assignor and commits each poll, and whatever it loses.
type member struct {
	run      *run
	shared   *shared
	client   *kgo.Client
	lock     sync.Mutex
	held     map[int32]bool
	position map[int32]int64
	stopped  chan struct{}
}

func (r *run) join(s *shared) *member {
	m := &member{run: r, shared: s, held: map[int32]bool{}, position: map[int32]int64{}, stopped: make(chan struct{})}
	m.client = r.client(
		kgo.ConsumerGroup(r.group),
		kgo.ConsumeTopics(r.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(stepLimit/3),
		kgo.RebalanceTimeout(stepLimit/3),
		kgo.HeartbeatInterval(stepLimit/100),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.change(got[r.topic], true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
			m.commit(ctx, gone[r.topic])
			m.change(gone[r.topic], false)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			s.problem("lost %v", gone)
			m.change(gone[r.topic], false)
		}),
	)
	go m.consume()
	return m
}

func (m *member) change(which []int32, held bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partition := range which {
		delete(m.position, partition)
		if held {
			m.held[partition] = true
		} else {
			delete(m.held, partition)
		}
	}
}

func (m *member) consume() {
	defer close(m.stopped)
	for {
		// It ends also if nothing comes: a commit that a rebalance overtook is made again.
		poll, cancel := context.WithTimeout(context.Background(), stepLimit/100)
		fetches := m.client.PollFetches(poll)
		cancel()
		if fetches.IsClientClosed() {
			return
		}
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			m.shared.problem("fetch: %v", err)
		}
		for _, record := range fetches.Records() {
			m.take(record)
		}
		m.commit(context.Background(), m.uncommitted())
		m.client.AllowRebalance()
	}
}

func (m *member) take(record *kgo.Record) {
	if err := m.run.check(record); err != nil {
		m.shared.problem("%v", err)
	}
	m.lock.Lock()
	next, known := m.position[record.Partition]
	m.position[record.Partition] = record.Offset + 1
	m.lock.Unlock()
	if known && record.Offset != next {
		m.shared.problem("%d/%d where %d is next", record.Partition, record.Offset, next)
	}
	m.shared.lock.Lock()
	defer m.shared.lock.Unlock()
	if floor := m.shared.committed[record.Partition]; record.Offset < floor {
		m.shared.problems = append(m.shared.problems, fmt.Sprintf("%d/%d again, %d was committed", record.Partition, record.Offset, floor))
	}
	m.shared.delivered[place{record.Partition, record.Offset}] = true
}

// uncommitted names the partitions whose position is not the one that was committed last.
func (m *member) uncommitted() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.shared.lock.Lock()
	defer m.shared.lock.Unlock()
	var which []int32
	for partition, next := range m.position {
		if m.shared.committed[partition] != next {
			which = append(which, partition)
		}
	}
	return which
}

// commit commits the positions of these partitions. A commit that a rebalance overtook did not happen, so what it
// named may be delivered again.
func (m *member) commit(ctx context.Context, which []int32) {
	offsets := map[int32]kgo.EpochOffset{}
	m.lock.Lock()
	for _, partition := range which {
		if next, known := m.position[partition]; known {
			offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: next}
		}
	}
	m.lock.Unlock()
	if len(offsets) == 0 {
		return
	}
	answered := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			m.shared.problem("commit: %v", err)
			return
		}
		for _, partition := range answer.Topics[0].Partitions {
			switch err := kerr.ErrorForCode(partition.ErrorCode); {
			case err == nil:
				m.shared.lock.Lock()
				m.shared.committed[partition.Partition] = offsets[partition.Partition].Offset
				m.shared.lock.Unlock()
			case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration):
			default:
				m.shared.problem("commit of %d: %v", partition.Partition, err)
			}
		}
	}
	m.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{m.run.topic: offsets}, answered)
}

func (m *member) leave(ctx context.Context) error {
	m.client.CloseAllowingRebalance()
	select {
	case <-m.stopped:
		return nil
	case <-ctx.Done():
		return errors.New("the member is still closing")
	}
}

// spread tells whether every partition is held once, and evenly.
func spread(members []*member) bool {
	var held []int32
	for _, m := range members {
		m.lock.Lock()
		if len(m.held) != partitions/len(members) {
			m.lock.Unlock()
			return false
		}
		for partition := range m.held {
			held = append(held, partition)
		}
		m.lock.Unlock()
	}
	slices.Sort(held)
	return slices.Equal(held, []int32{0, 1, 2, 3, 4, 5})
}

// caughtUp waits until the partitions are spread and everything was delivered and committed.
func (r *run) caughtUp(ctx context.Context, s *shared, members []*member) error {
	total := 0
	for _, end := range r.ends {
		total += int(end)
	}
	state := func() (int, bool, []string) {
		s.lock.Lock()
		defer s.lock.Unlock()
		return len(s.delivered), s.committed == r.ends, slices.Clone(s.problems)
	}
	what := func() string {
		delivered, committed, problems := state()
		return fmt.Sprintf("%d of %d delivered, all committed: %t, spread: %t, problems: %v",
			delivered, total, committed, spread(members), problems)
	}
	err := within(ctx, what, func() bool {
		delivered, committed, problems := state()
		return len(problems) > 0 || (delivered == total && committed && spread(members))
	})
	if _, _, problems := state(); err == nil && len(problems) > 0 {
		return errors.New(what())
	}
	return err
}

func (r *run) groupSteps() {
	s := &shared{delivered: map[place]bool{}}
	var members []*member
	r.step("group.join", func(ctx context.Context) error {
		members = []*member{r.join(s), r.join(s), r.join(s)}
		return r.caughtUp(ctx, s, members)
	})
	r.step("group.leave", func(ctx context.Context) error {
		if err := members[2].leave(ctx); err != nil {
			return err
		}
		members = members[:2]
		if err := r.produce(ctx, kgo.GzipCompression(), 10); err != nil {
			return err
		}
		return r.caughtUp(ctx, s, members)
	})
	r.step("group.rejoin", func(ctx context.Context) error {
		members = append(members, r.join(s))
		if err := r.produce(ctx, kgo.Lz4Compression(), 10); err != nil {
			return err
		}
		return r.caughtUp(ctx, s, members)
	})
	r.step("group.describe", r.groupDescribe)
	r.step("group.close", func(ctx context.Context) error {
		for _, m := range members {
			if err := m.leave(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	r.step("group.offsets", r.groupOffsets)
	r.step("resume", r.resume)
	r.step("rewind", r.rewind)
}

func (r *run) describeGroup(ctx context.Context) (kadm.DescribedGroup, error) {
	groups, err := r.admin.DescribeGroups(ctx, r.group)
	if err != nil {
		return kadm.DescribedGroup{}, err
	}
	return groups[r.group], groups.Error()
}

func (r *run) groupDescribe(ctx context.Context) error {
	group, err := r.describeGroup(ctx)
	if err != nil {
		return err
	}
	assigned := group.AssignedPartitions()
	if group.State != "Stable" || len(group.Members) != 3 || len(assigned[r.topic]) != partitions {
		return fmt.Errorf("state %s, %d members, assigned %v", group.State, len(group.Members), assigned)
	}
	listed, err := r.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if listed[r.group].State != "Stable" {
		return fmt.Errorf("listed: %+v", listed[r.group])
	}
	if _, err := r.admin.DeleteGroup(ctx, r.group); !errors.Is(err, kerr.NonEmptyGroup) {
		return fmt.Errorf("deleted while in use: %v", err)
	}
	return nil
}

func (r *run) groupOffsets(ctx context.Context) error {
	committed, err := r.admin.FetchOffsets(ctx, r.group)
	if err != nil {
		return err
	}
	for partition, end := range r.ends {
		if got, found := committed.Lookup(r.topic, int32(partition)); !found || got.Err != nil || got.At != end {
			return fmt.Errorf("committed of partition %d: %+v, not %d", partition, got, end)
		}
	}
	group, err := r.describeGroup(ctx)
	if err == nil && group.State != "Empty" {
		err = fmt.Errorf("state %s after all left", group.State)
	}
	return err
}

// consumeRest reads, as a new member, exactly the records from these offsets to the ends, and commits.
func (r *run) consumeRest(ctx context.Context, from [partitions]int64) error {
	client := r.client(
		kgo.ConsumerGroup(r.group),
		kgo.ConsumeTopics(r.topic),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
	)
	defer client.Close()
	next := from
	for next != r.ends {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("at %v of %v: %w", next, r.ends, err)
		}
		for _, record := range fetches.Records() {
			if record.Offset != next[record.Partition] {
				return fmt.Errorf("partition %d: offset %d, not %d", record.Partition, record.Offset, next[record.Partition])
			}
			next[record.Partition]++
		}
	}
	return client.CommitUncommittedOffsets(ctx)
}

func (r *run) resume(ctx context.Context) error {
	before := r.ends
	if err := r.produce(ctx, kgo.ZstdCompression(), 10); err != nil {
		return err
	}
	return r.consumeRest(ctx, before)
}

// rewind moves the offsets as an administrator while the group is empty.
func (r *run) rewind(ctx context.Context) error {
	from := r.ends
	offsets := kadm.Offsets{}
	for partition := range from {
		from[partition] -= 3
		offsets.AddOffset(r.topic, int32(partition), from[partition], -1)
	}
	if err := r.admin.CommitAllOffsets(ctx, r.group, offsets); err != nil {
		return err
	}
	return r.consumeRest(ctx, from)
}

func (r *run) deleteGroup(ctx context.Context) error {
	if _, err := r.admin.DeleteGroup(ctx, r.group); err != nil {
		return err
	}
	listed, err := r.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, found := listed[r.group]; found {
		return errors.New("the group is still listed")
	}
	return nil
}
