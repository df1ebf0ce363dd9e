// sarama of IBM: its own protocol, the oldest of the Go clients.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	. "highwater/matrix/steps"

	"github.com/IBM/sarama"
)

var (
	program *Program
	codecs  = map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
)

type setting func(*sarama.Config)

func main() {
	program = Start("github.com/IBM/sarama")
	program.Step("create a topic", create)
	for _, codec := range Codecs {
		program.Step("produce "+codec, func() {
			roundTrip(codec, func(c *sarama.Config) { c.Producer.Compression = codecs[codec] })
		})
	}
	program.Step("produce idempotently", func() { roundTrip("idempotent", idempotent) })
	program.Step("commit a transaction", commits)
	program.Step("abort a transaction", aborts)
	program.Step("offsets in a transaction", offsetsInTransaction)
	topic := make1("group", 4)
	story := &Story{
		NewMember: func() Member { return newMember(topic) },
		Produce:   func(partition int32, values []string) { write(topic, partition, values) },
	}
	story.Tell(program)
	program.NotApplicable("new group protocol", "the client has only the classic protocol")
	program.Step("look up a time", looksUp)
	if program.PastTopic != "" {
		program.Step("read the bucket", func() {
			Same(read(program.PastTopic, program.PastCount, sarama.ReadCommitted), Values(program.PastCount, "past"))
		})
	}
}

func config(settings ...setting) *sarama.Config {
	made := sarama.NewConfig()
	made.Version = sarama.MaxVersion
	made.Producer.RequiredAcks = sarama.WaitForAll
	made.Producer.Return.Successes = true
	made.Producer.Partitioner = sarama.NewManualPartitioner
	made.Producer.Flush.Frequency = 20 * time.Millisecond
	made.Consumer.Offsets.Initial = sarama.OffsetOldest
	made.Consumer.Offsets.AutoCommit.Enable = false
	for _, each := range settings {
		each(made)
	}
	return made
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
}

func transactional(name string) setting {
	return func(c *sarama.Config) {
		idempotent(c)
		c.Producer.Transaction.ID = program.Topic(name)
	}
}

func admin() sarama.ClusterAdmin {
	made, err := sarama.NewClusterAdmin([]string{program.Bootstrap}, config())
	Must(err)
	return made
}

func create() {
	topic, days, asked := program.Topic("created"), "86400000", admin()
	defer asked.Close()
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &days}}
	Must(asked.CreateTopic(topic, detail, false))
	Until("three partitions", func() bool {
		found, err := asked.DescribeTopics([]string{topic})
		return err == nil && len(found) == 1 && len(found[0].Partitions) == 3
	})
	err := asked.CreateTopic(topic, detail, false)
	Check(errors.Is(err, sarama.ErrTopicAlreadyExists), "creating it twice: %v", err)
}

func make1(name string, partitions int32) string {
	asked := admin()
	defer asked.Close()
	Must(asked.CreateTopic(program.Topic(name), &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return program.Topic(name)
}

func roundTrip(name string, settings ...setting) {
	topic := make1(name, 1)
	write(topic, 0, Values(Count, "value"), settings...)
	Same(read(topic, Count, sarama.ReadCommitted), Values(Count, "value"))
}

func producer(settings ...setting) sarama.SyncProducer {
	made, err := sarama.NewSyncProducer([]string{program.Bootstrap}, config(settings...))
	Must(err)
	return made
}

func write(topic string, partition int32, values []string, settings ...setting) {
	made := producer(settings...)
	defer made.Close()
	send(made, topic, partition, values, time.Time{})
}

// send writes and waits; from first on, the records are a second apart.
func send(made sarama.SyncProducer, topic string, partition int32, values []string, first time.Time) {
	var messages []*sarama.ProducerMessage
	for number, value := range values {
		message := &sarama.ProducerMessage{
			Topic: topic, Partition: partition, Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder(value),
		}
		if !first.IsZero() {
			message.Timestamp = first.Add(time.Duration(number) * time.Second)
		}
		messages = append(messages, message)
	}
	Must(made.SendMessages(messages))
}

func read(topic string, count int, isolation sarama.IsolationLevel) []string {
	consumer, err := sarama.NewConsumer([]string{program.Bootstrap}, config(func(c *sarama.Config) { c.Consumer.IsolationLevel = isolation }))
	Must(err)
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	Must(err)
	defer partition.Close()
	var found []string
	late := time.After(Seconds * time.Second)
	for len(found) < count {
		select {
		case message := <-partition.Messages():
			found = append(found, string(message.Value))
		case <-late:
			return found
		}
	}
	return found
}

func commits() {
	topic := make1("committed", 1)
	made := producer(transactional("commits"))
	defer made.Close()
	for _, half := range [][]string{Values(Count, "value")[:30], Values(Count, "value")[30:]} {
		Must(made.BeginTxn())
		send(made, topic, 0, half, time.Time{})
		Must(made.CommitTxn())
	}
	Same(read(topic, Count, sarama.ReadCommitted), Values(Count, "value"))
}

func aborts() {
	topic := make1("aborted", 1)
	made := producer(transactional("aborts"))
	defer made.Close()
	Must(made.BeginTxn())
	send(made, topic, 0, Values(5, "aborted"), time.Time{})
	Must(made.AbortTxn())
	Must(made.BeginTxn())
	send(made, topic, 0, Values(5, "value"), time.Time{})
	Must(made.CommitTxn())
	Same(read(topic, 5, sarama.ReadCommitted), Values(5, "value"))
	Same(read(topic, 10, sarama.ReadUncommitted), append(Values(5, "aborted"), Values(5, "value")...))
}

// offsetsInTransaction commits for a group that nobody is a member of, as this client's transactions allow.
func offsetsInTransaction() {
	source, target, group := make1("source", 1), make1("target", 1), program.Topic("eos")
	write(source, 0, Values(10, "value"))
	made := producer(transactional("offsets"))
	defer made.Close()
	for _, offset := range []int64{4, 7} {
		Must(made.BeginTxn())
		send(made, target, 0, Values(10, "value")[:offset], time.Time{})
		offsets := map[string][]*sarama.PartitionOffsetMetadata{source: {{Partition: 0, Offset: offset, LeaderEpoch: -1}}}
		Must(made.AddOffsetsToTxn(offsets, group))
		if offset == 4 {
			Must(made.AbortTxn())
		} else {
			Must(made.CommitTxn())
		}
	}
	asked := admin()
	defer asked.Close()
	// The answer to the end of a transaction does not wait for its markers, and this asks without waiting for them.
	Until("the committed offset", func() bool {
		found, err := asked.ListConsumerGroupOffsets(group, map[string][]int32{source: {0}})
		Must(err)
		block := found.GetBlock(source, 0)
		Check(block != nil && block.Offset != 4, "the offset of an aborted transaction is there")
		return block.Offset == 7
	})
	Same(read(target, 7, sarama.ReadCommitted), Values(7, "value"))
}

// member is one of a group: a loop that joins again after every rebalance, as this client wants it.
type member struct {
	group   sarama.ConsumerGroup
	stop    context.CancelFunc
	ended   sync.WaitGroup
	values  chan string
	lock    sync.Mutex
	session sarama.ConsumerGroupSession
	topic   string
}

func newMember(topic string) *member {
	group, err := sarama.NewConsumerGroup([]string{program.Bootstrap}, topic, config())
	Must(err)
	whole, stop := context.WithCancel(context.Background())
	m := &member{group: group, stop: stop, values: make(chan string, 1000), topic: topic}
	m.ended.Go(func() {
		for whole.Err() == nil {
			_ = group.Consume(whole, []string{topic}, m)
		}
	})
	return m
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		m.values <- string(message.Value)
	}
	return nil
}

func (m *member) Poll() []string {
	var found []string
	late := time.After(100 * time.Millisecond)
	for {
		select {
		case value := <-m.values:
			found = append(found, value)
		case <-late:
			return found
		}
	}
}

func (m *member) Held() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return nil
	}
	return m.session.Claims()[m.topic]
}

func (m *member) Commit() {
	m.lock.Lock()
	defer m.lock.Unlock()
	Check(m.session != nil, "no session to commit in")
	m.session.Commit()
}

func (m *member) Close() {
	m.stop()
	m.ended.Wait()
	Must(m.group.Close())
}

func looksUp() {
	topic, first := make1("time", 1), time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	made := producer()
	defer made.Close()
	send(made, topic, 0, Values(10, "value"), first)
	client, err := sarama.NewClient([]string{program.Bootstrap}, config())
	Must(err)
	defer client.Close()
	for after, expected := range map[time.Duration]int64{3500 * time.Millisecond: 4, 0: 0, time.Hour: -1} {
		found, err := client.GetOffset(topic, 0, first.Add(after).UnixMilli())
		Must(err)
		Check(found == expected, "%v: %d, not %d", after, found, expected)
	}
}
