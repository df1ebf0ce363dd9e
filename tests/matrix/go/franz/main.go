// franz-go: its own protocol, strict.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	. "highwater/matrix/steps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	program *Program
	admin   *kadm.Client
	codecs  = map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
)

func main() {
	program = Start("github.com/twmb/franz-go")
	admin = kadm.NewClient(client())
	program.Step("create a topic", create)
	for _, codec := range Codecs {
		program.Step("produce "+codec, func() {
			roundTrip(codec, kgo.ProducerBatchCompression(codecs[codec]), kgo.DisableIdempotentWrite())
		})
	}
	program.Step("produce idempotently", func() { roundTrip("idempotent") })
	program.Step("commit a transaction", commits)
	program.Step("abort a transaction", aborts)
	program.Step("offsets in a transaction", offsetsInTransaction)
	story("group").Tell(program)
	program.Step("new group protocol", func() {
		next := story("group2", kgo.ServerSideBalancer())
		defer next.Close()
		next.TwoShare()
		// It goes back to the classic one, and says nothing, when the broker does not offer the other.
		groups, err := admin.ListGroupsByType(soon(), []string{"consumer"})
		Must(err)
		_, there := groups[program.Topic("group2")]
		Check(there, "the group is a classic one")
		next.OneLeaves()
		next.Resumes()
	})
	program.Step("look up a time", looksUp)
	if program.PastTopic != "" {
		program.Step("read the bucket", func() {
			Same(read(program.PastTopic, program.PastCount, kgo.ReadCommitted()), Values(program.PastCount, "past"))
		})
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(program.Bootstrap)}, options...)...)
	Must(err)
	return made
}

func soon() context.Context {
	bounded, _ := context.WithTimeout(context.Background(), Seconds*time.Second) //nolint
	return bounded
}

func create() {
	topic, days := program.Topic("created"), "86400000"
	_, err := admin.CreateTopic(soon(), 3, 1, map[string]*string{"retention.ms": &days}, topic)
	Must(err)
	Until("three partitions", func() bool {
		found, err := admin.ListTopics(soon(), topic)
		return err == nil && len(found[topic].Partitions) == 3
	})
	_, err = admin.CreateTopic(soon(), 1, 1, nil, topic)
	Check(errors.Is(err, kerr.TopicAlreadyExists), "creating it twice: %v", err)
}

func create1(name string, partitions int32) string {
	_, err := admin.CreateTopic(soon(), partitions, 1, nil, program.Topic(name))
	Must(err)
	return program.Topic(name)
}

func roundTrip(name string, options ...kgo.Opt) {
	topic := create1(name, 1)
	write(topic, 0, Values(Count, "value"), options...)
	Same(read(topic, Count, kgo.ReadCommitted()), Values(Count, "value"))
}

func write(topic string, partition int32, values []string, options ...kgo.Opt) {
	producer := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20*time.Millisecond))...)
	defer producer.Close()
	send(producer, topic, partition, values, time.Time{})
}

// send writes and waits; from first on, the records are a second apart.
func send(producer *kgo.Client, topic string, partition int32, values []string, first time.Time) {
	var records []*kgo.Record
	for number, value := range values {
		record := &kgo.Record{Topic: topic, Partition: partition, Key: []byte("key"), Value: []byte(value)}
		if !first.IsZero() {
			record.Timestamp = first.Add(time.Duration(number) * time.Second)
		}
		records = append(records, record)
	}
	Must(producer.ProduceSync(soon(), records...).FirstErr())
}

func read(topic string, count int, isolation kgo.IsolationLevel) []string {
	from := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	consumer := client(kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(isolation))
	defer consumer.Close()
	var found []string
	bounded := soon()
	for len(found) < count && bounded.Err() == nil {
		consumer.PollRecords(bounded, count-len(found)).EachRecord(func(r *kgo.Record) { found = append(found, string(r.Value)) })
	}
	return found
}

func transactional(name string) *kgo.Client {
	return client(kgo.TransactionalID(program.Topic(name)))
}

func commits() {
	topic := create1("committed", 1)
	producer := transactional("commits")
	defer producer.Close()
	for _, half := range [][]string{Values(Count, "value")[:30], Values(Count, "value")[30:]} {
		Must(producer.BeginTransaction())
		send(producer, topic, 0, half, time.Time{})
		Must(producer.EndTransaction(soon(), kgo.TryCommit))
	}
	Same(read(topic, Count, kgo.ReadCommitted()), Values(Count, "value"))
}

func aborts() {
	topic := create1("aborted", 1)
	producer := transactional("aborts")
	defer producer.Close()
	for _, kind := range []string{"aborted", "value"} {
		Must(producer.BeginTransaction())
		send(producer, topic, 0, Values(5, kind), time.Time{})
		Must(producer.EndTransaction(soon(), kgo.TransactionEndTry(kind == "value")))
	}
	Same(read(topic, 5, kgo.ReadCommitted()), Values(5, "value"))
	both := read(topic, 10, kgo.ReadUncommitted())
	Same(both, append(Values(5, "aborted"), Values(5, "value")...))
}

// offsetsInTransaction uses the session that the library has for this, which takes part in the group.
func offsetsInTransaction() {
	source, target, group := create1("source", 1), create1("target", 1), program.Topic("eos")
	write(source, 0, Values(10, "value"))
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(program.Bootstrap), kgo.TransactionalID(program.Topic("offsets")), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(source), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets())
	Must(err)
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		var values []string
		bounded := soon()
		// What an abort gave back is read again.
		for len(values) < 7 && bounded.Err() == nil {
			session.PollRecords(bounded, 7-len(values)).EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
		}
		Must(session.Begin())
		send(session.Client(), target, 0, values, time.Time{})
		done, err := session.End(soon(), end)
		Must(err)
		Check(done == (end == kgo.TryCommit), "the transaction ended the other way: committed is %v", done)
	}
	session.Close()
	found, err := admin.FetchOffsets(soon(), group)
	Must(err)
	committed, _ := found.Lookup(source, 0)
	Check(committed.At == 7, "committed %d", committed.At)
	Same(read(target, 7, kgo.ReadCommitted()), Values(7, "value"))
}

func story(name string, options ...kgo.Opt) *Story {
	topic := create1(name, 4)
	return &Story{
		NewMember: func() Member { return newMember(topic, options) },
		Produce:   func(partition int32, values []string) { write(topic, partition, values) },
	}
}

type member struct {
	client *kgo.Client
	lock   sync.Mutex
	held   map[int32]bool
}

func newMember(topic string, options []kgo.Opt) *member {
	m := &member{held: map[int32]bool{}}
	change := func(given bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range changed[topic] {
				if given {
					m.held[partition] = true
				} else {
					delete(m.held, partition)
				}
			}
		}
	}
	m.client = client(append(options,
		kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))...)
	return m
}

func (m *member) Poll() []string {
	bounded, done := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer done()
	var found []string
	m.client.PollFetches(bounded).EachRecord(func(r *kgo.Record) { found = append(found, string(r.Value)) })
	return found
}

func (m *member) Held() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	var held []int32
	for partition := range m.held {
		held = append(held, partition)
	}
	return held
}

func (m *member) Commit() { Must(m.client.CommitUncommittedOffsets(soon())) }

func (m *member) Close() { m.client.Close() }

func looksUp() {
	topic, first := create1("time", 1), time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	producer := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	send(producer, topic, 0, Values(10, "value"), first)
	for after, expected := range map[time.Duration]int64{3500 * time.Millisecond: 4, 0: 0} {
		found, err := admin.ListOffsetsAfterMilli(soon(), first.Add(after).UnixMilli(), topic)
		Must(err)
		at, _ := found.Lookup(topic, 0)
		Check(at.Err == nil && at.Offset == expected, "%v: %+v, not %d", after, at, expected)
	}
}
