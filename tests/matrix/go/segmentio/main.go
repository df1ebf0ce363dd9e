// kafka-go of segmentio: its own protocol, without idempotent producers.
package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	. "highwater/matrix/steps"

	"github.com/segmentio/kafka-go"
)

var (
	program *Program
	client  *kafka.Client
	codecs  = map[string]kafka.Compression{
		"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
	}
)

func main() {
	program = Start("github.com/segmentio/kafka-go")
	client = &kafka.Client{Addr: kafka.TCP(program.Bootstrap)}
	program.Step("create a topic", create)
	for _, codec := range Codecs {
		program.Step("produce "+codec, func() { roundTrip(codec) })
	}
	program.NotApplicable("produce idempotently", "the client has no idempotent producer")
	program.NotApplicable("commit a transaction", "its writer takes no transactional id")
	program.NotApplicable("abort a transaction", "its writer takes no transactional id")
	program.NotApplicable("offsets in a transaction", "its writer takes no transactional id")
	topic := make1("group", 4)
	story := &Story{
		NewMember: func() Member { return newMember(topic) },
		Produce:   func(partition int32, values []string) { write(topic, partition, values, 0, time.Time{}) },
	}
	story.Tell(program)
	program.NotApplicable("new group protocol", "the client has only the classic protocol")
	program.Step("look up a time", looksUp)
	if program.PastTopic != "" {
		program.Step("read the bucket", func() {
			Same(read(program.PastTopic, program.PastCount), Values(program.PastCount, "past"))
		})
	}
}

func soon() context.Context {
	bounded, _ := context.WithTimeout(context.Background(), Seconds*time.Second) //nolint
	return bounded
}

func create() {
	configs := []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "86400000"}}
	topic := kafka.TopicConfig{Topic: program.Topic("created"), NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: configs}
	ask := func() error {
		answer, err := client.CreateTopics(soon(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
		Must(err)
		return answer.Errors[topic.Topic]
	}
	Must(ask())
	known(topic.Topic, 3)
	err := ask()
	Check(errors.Is(err, kafka.TopicAlreadyExists), "creating it twice: %v", err)
}

// known waits for a topic to be told of, as this client's readers and writers do not.
func known(topic string, partitions int) {
	Until("the partitions", func() bool {
		found, err := client.Metadata(soon(), &kafka.MetadataRequest{Topics: []string{topic}})
		return err == nil && len(found.Topics) == 1 && found.Topics[0].Error == nil && len(found.Topics[0].Partitions) == partitions
	})
}

func make1(name string, partitions int) string {
	topic := kafka.TopicConfig{Topic: program.Topic(name), NumPartitions: partitions, ReplicationFactor: 1}
	answer, err := client.CreateTopics(soon(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	Must(err)
	Must(answer.Errors[topic.Topic])
	known(topic.Topic, partitions)
	return topic.Topic
}

func roundTrip(name string) {
	topic := make1(name, 1)
	write(topic, 0, Values(Count, "value"), codecs[name], time.Time{})
	Same(read(topic, Count), Values(Count, "value"))
}

// write waits for the acknowledgements; from first on, the records are a second apart.
func write(topic string, partition int32, values []string, codec kafka.Compression, first time.Time) {
	writer := &kafka.Writer{
		Addr: kafka.TCP(program.Bootstrap), Topic: topic, Compression: codec, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 20 * time.Millisecond,
		Balancer:     kafka.BalancerFunc(func(kafka.Message, ...int) int { return int(partition) }),
	}
	defer writer.Close()
	var messages []kafka.Message
	for number, value := range values {
		message := kafka.Message{Key: []byte("key"), Value: []byte(value)}
		if !first.IsZero() {
			message.Time = first.Add(time.Duration(number) * time.Second)
		}
		messages = append(messages, message)
	}
	Must(writer.WriteMessages(soon(), messages...))
}

func reader(topic string, partition int) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{program.Bootstrap}, Topic: topic, Partition: partition, MaxWait: 200 * time.Millisecond,
		IsolationLevel: kafka.ReadCommitted,
	})
}

func read(topic string, count int) []string {
	from := reader(topic, 0)
	defer from.Close()
	var found []string
	bounded := soon()
	for len(found) < count {
		message, err := from.ReadMessage(bounded)
		Must(err)
		found = append(found, string(message.Value))
	}
	return found
}

// member is one of a group, by generations: its Reader does the same and does not tell its partitions.
type member struct {
	group      *kafka.ConsumerGroup
	stop       context.CancelFunc
	ended      sync.WaitGroup
	values     chan string
	topic      string
	lock       sync.Mutex
	generation *kafka.Generation
	held       []int32
	next       map[int]int64
}

func newMember(topic string) *member {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: topic, Brokers: []string{program.Bootstrap}, Topics: []string{topic}, StartOffset: kafka.FirstOffset,
	})
	Must(err)
	whole, stop := context.WithCancel(context.Background())
	m := &member{group: group, stop: stop, values: make(chan string, 1000), topic: topic}
	m.ended.Go(func() {
		for whole.Err() == nil {
			if generation, err := group.Next(whole); err == nil {
				m.begin(generation)
			}
		}
	})
	return m
}

func (m *member) begin(generation *kafka.Generation) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.generation, m.held, m.next = generation, nil, map[int]int64{}
	for _, given := range generation.Assignments[m.topic] {
		m.held = append(m.held, int32(given.ID))
		generation.Start(func(whole context.Context) { m.consume(whole, generation, given.ID, given.Offset) })
	}
}

func (m *member) consume(whole context.Context, generation *kafka.Generation, partition int, offset int64) {
	from := reader(m.topic, partition)
	defer from.Close()
	Must(from.SetOffset(offset))
	for {
		message, err := from.ReadMessage(whole)
		if errors.Is(err, io.EOF) || err != nil {
			return
		}
		m.lock.Lock()
		if m.generation == generation {
			m.next[partition] = message.Offset + 1
		}
		m.lock.Unlock()
		m.values <- string(message.Value)
	}
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
	return m.held
}

func (m *member) Commit() {
	m.lock.Lock()
	defer m.lock.Unlock()
	Check(m.generation != nil, "no generation to commit in")
	Must(m.generation.CommitOffsets(map[string]map[int]int64{m.topic: m.next}))
}

func (m *member) Close() {
	m.stop()
	Must(m.group.Close())
	m.ended.Wait()
}

func looksUp() {
	topic, first := make1("time", 1), time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	write(topic, 0, Values(10, "value"), 0, first)
	for after, expected := range map[time.Duration]int64{3500 * time.Millisecond: 4, 0: 0, time.Hour: -1} {
		asked := []kafka.OffsetRequest{kafka.TimeOffsetOf(0, first.Add(after))}
		found, err := client.ListOffsets(soon(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
		Must(err)
		answer := found.Topics[topic][0]
		Must(answer.Error)
		_, told := answer.Offsets[expected]
		Check(told, "%v: %v, not %d", after, answer.Offsets, expected)
	}
}
