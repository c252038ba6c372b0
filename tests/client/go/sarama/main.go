// Command sarama checks a broker with IBM's sarama, whose protocol code and group logic are its own.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	c "chronik.example/tests/client/checks"
)

var (
	bootstrap string
	admin     sarama.ClusterAdmin
)

// config returns settings for the newest protocol that sarama speaks, changed by the given functions.
func config(change ...func(*sarama.Config)) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.MaxVersion
	cfg.Producer.Return.Successes = true
	cfg.Producer.Return.Errors = true
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Flush.Frequency = 10 * time.Millisecond
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.MaxWaitTime = 100 * time.Millisecond
	cfg.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	cfg.Metadata.AllowAutoTopicCreation = false
	for _, fn := range change {
		fn(cfg)
	}
	return cfg
}

func makeTopic(t *c.T, tag string, partitions int32, pairs ...string) string {
	name := c.Topic(tag)
	entries := map[string]*string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		entries[pairs[i]] = &pairs[i+1]
	}
	t.OK("create "+name, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions,
		ReplicationFactor: 1, ConfigEntries: entries}, false))
	t.Until(name+" ready", func() bool { return partitionCount(name) == int(partitions) })
	return name
}

func partitionCount(name string) int {
	got, err := admin.DescribeTopics([]string{name})
	if err != nil || got[0].Err != sarama.ErrNoError {
		return -1
	}
	return len(got[0].Partitions)
}

func produce(t *c.T, messages []*sarama.ProducerMessage, change ...func(*sarama.Config)) {
	p, err := sarama.NewSyncProducer([]string{bootstrap}, config(change...))
	t.OK("new producer", err)
	defer func() { _ = p.Close() }()
	t.OK("produce", p.SendMessages(messages))
}

func messages(topic string, values [][]byte) []*sarama.ProducerMessage {
	out := make([]*sarama.ProducerMessage, len(values))
	for i, v := range values {
		out[i] = &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(v)}
	}
	return out
}

func newClient(t *c.T, change ...func(*sarama.Config)) sarama.Client {
	cl, err := sarama.NewClient([]string{bootstrap}, config(change...))
	t.OK("new client", err)
	return cl
}

func take(t *c.T, from <-chan *sarama.ConsumerMessage, count int) []*sarama.ConsumerMessage {
	var out []*sarama.ConsumerMessage
	limit := time.After(40 * time.Second)
	for len(out) < count {
		select {
		case m, open := <-from:
			t.True(open, "consumer closed after %d of %d messages", len(out), count)
			out = append(out, m)
		case <-limit:
			t.Fail("%d of %d messages after 40 s", len(out), count)
		}
	}
	return out
}

// read returns every message of one partition from start to its end.
func read(t *c.T, topic string, start int64, partition int32, change ...func(*sarama.Config)) []*sarama.ConsumerMessage {
	cl := newClient(t, change...)
	defer func() { _ = cl.Close() }()
	end, err := cl.GetOffset(topic, partition, sarama.OffsetNewest)
	t.OK("end offset", err)
	consumer, err := sarama.NewConsumerFromClient(cl)
	t.OK("new consumer", err)
	defer func() { _ = consumer.Close() }()
	pc, err := consumer.ConsumePartition(topic, partition, start)
	t.OK("consume partition", err)
	defer func() { _ = pc.Close() }()
	return take(t, pc.Messages(), int(end-start))
}

func sameValues(t *c.T, got []*sarama.ConsumerMessage, want [][]byte) {
	t.Equal("messages", len(got), len(want))
	for i := range got {
		t.True(bytes.Equal(got[i].Value, want[i]), "value %d differs (%d bytes, expected %d)", i,
			len(got[i].Value), len(want[i]))
		t.Equal("offset", got[i].Offset, i)
	}
}

func filled(t *c.T, tag string, partitions int32, count int) (string, time.Time) {
	name := makeTopic(t, tag, partitions)
	start := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	fill(t, name, partitions, count, start)
	return name, start
}

func fill(t *c.T, name string, partitions int32, count int, start time.Time) {
	var all []*sarama.ProducerMessage
	for p := int32(0); p < partitions; p++ {
		for i, v := range c.Values(count, 100) {
			all = append(all, &sarama.ProducerMessage{Topic: name, Partition: p, Value: sarama.ByteEncoder(v),
				Timestamp: start.Add(time.Duration(i) * time.Second)})
		}
	}
	produce(t, all)
}

// -- cluster, topics, configuration

func cluster(t *c.T) {
	brokers, _, err := admin.DescribeCluster()
	t.OK("describe cluster", err)
	found := false
	for _, b := range brokers {
		found = found || b.Addr() == bootstrap
	}
	t.True(found, "%s is not among the brokers", bootstrap)
}

func topicCreate(t *c.T) {
	name := makeTopic(t, "create", 3, "retention.ms", "123456")
	create := func(name string, replicas int16) error {
		return admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: replicas}, false)
	}
	err := create(name, 1)
	t.True(errors.Is(err, sarama.ErrTopicAlreadyExists), "second create: %v", err)
	err = create("no/slash", 1)
	t.True(errors.Is(err, sarama.ErrInvalidTopic), "bad name: %v", err)
	err = create(c.Run+"-rf", 30)
	t.True(errors.Is(err, sarama.ErrInvalidReplicationFactor), "30 replicas: %v", err)
	t.OK("validate only", admin.CreateTopic(c.Run+"-dry", &sarama.TopicDetail{NumPartitions: 1,
		ReplicationFactor: 1}, true))
	all, err := admin.ListTopics()
	t.OK("list", err)
	_, made := all[c.Run+"-dry"]
	t.True(!made, "validate-only made a topic")
	t.Equal("listed partitions", all[name].NumPartitions, 3)
}

func topicPartitions(t *c.T) {
	name := makeTopic(t, "grow", 1)
	t.OK("create partitions", admin.CreatePartitions(name, 4, nil, false))
	t.Until("4 partitions", func() bool { return partitionCount(name) == 4 })
	err := admin.CreatePartitions(name, 2, nil, false)
	t.True(err != nil && strings.Contains(err.Error(), "partitions"), "shrinking: %v", err)
	produce(t, []*sarama.ProducerMessage{{Topic: name, Partition: 3, Value: sarama.StringEncoder("x")}})
	t.Equal("messages in the new partition", len(read(t, name, 0, 3)), 1)
}

func topicConfig(t *c.T, name, key string) string {
	got, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name})
	t.OK("describe config", err)
	for _, entry := range got {
		if entry.Name == key {
			return entry.Value
		}
	}
	t.Fail("%s is not described", key)
	return ""
}

func configDescribe(t *c.T) {
	name := makeTopic(t, "cfg-describe", 1, "retention.ms", "123456")
	t.Equal("retention.ms", topicConfig(t, name, "retention.ms"), "123456")
	t.Equal("cleanup.policy", topicConfig(t, name, "cleanup.policy"), "delete")
}

func configAlter(t *c.T) {
	name := makeTopic(t, "cfg-alter", 1)
	value, other := "777000", "2097152"
	t.OK("alter", admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &value}, false))
	t.Until("set", func() bool { return topicConfig(t, name, "retention.ms") == value })
	t.OK("incremental alter", admin.IncrementalAlterConfig(sarama.TopicResource, name,
		map[string]sarama.IncrementalAlterConfigsEntry{
			"segment.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &other}}, false))
	t.Until("set", func() bool { return topicConfig(t, name, "segment.bytes") == other })
	t.Equal("retention.ms afterwards", topicConfig(t, name, "retention.ms"), value)
}

func configInvalid(t *c.T) {
	name := makeTopic(t, "cfg-bad", 1)
	value := "soon"
	err := admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &value}, false)
	t.True(err != nil && errors.Is(err, sarama.ErrInvalidConfig), "retention.ms=soon: %v", err)
}

// -- producing

func codec(tag string, kind sarama.CompressionCodec) func(*c.T) {
	return func(t *c.T) {
		name := makeTopic(t, "codec-"+tag, 1)
		sent := c.Values(300, 400)
		produce(t, messages(name, sent), func(cfg *sarama.Config) { cfg.Producer.Compression = kind })
		sameValues(t, read(t, name, 0, 0), sent)
	}
}

func acks(tag string, kind sarama.RequiredAcks) func(*c.T) {
	return func(t *c.T) {
		name := makeTopic(t, "acks-"+tag, 1)
		sent := c.Values(100, 100)
		produce(t, messages(name, sent), func(cfg *sarama.Config) { cfg.Producer.RequiredAcks = kind })
		t.Until("100 messages", func() bool { return len(read(t, name, 0, 0)) == 100 })
		sameValues(t, read(t, name, 0, 0), sent)
	}
}

func idempotent(t *c.T) {
	name := makeTopic(t, "idempotent", 1)
	sent := c.Values(2000, 100)
	produce(t, messages(name, sent), func(cfg *sarama.Config) {
		cfg.Producer.Idempotent = true
		cfg.Producer.RequiredAcks = sarama.WaitForAll
		cfg.Net.MaxOpenRequests = 1
		cfg.Producer.Flush.MaxMessages = 50
	})
	sameValues(t, read(t, name, 0, 0), sent)
}

func recordShape(t *c.T) {
	name := makeTopic(t, "shape", 1)
	stamp := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	noise := c.Noise(256)
	sent := []*sarama.ProducerMessage{
		{Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v")},
		{Key: sarama.StringEncoder("tombstone")},
		{Value: sarama.StringEncoder("no key"), Headers: []sarama.RecordHeader{
			{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")},
			{Key: []byte("empty"), Value: []byte{}}, {Key: []byte("null")}, {Key: []byte("\u00fcber"), Value: noise}}},
	}
	for i, m := range sent {
		m.Topic, m.Timestamp = name, stamp.Add(time.Duration(i)*time.Millisecond)
	}
	produce(t, sent)
	got := read(t, name, 0, 0)
	t.Equal("keys", fmt.Sprintf("%q %q %v", got[0].Key, got[1].Key, got[2].Key == nil), `"k" "tombstone" true`)
	t.Equal("values", fmt.Sprintf("%q %v %q", got[0].Value, got[1].Value == nil, got[2].Value), `"v" true "no key"`)
	t.Equal("headers", len(got[2].Headers), 5)
	for i, h := range got[2].Headers {
		want := sent[2].Headers[i]
		t.True(bytes.Equal(h.Key, want.Key) && bytes.Equal(h.Value, want.Value), "header %d differs", i)
	}
	for i, m := range got {
		t.Equal("timestamp", m.Timestamp.UnixMilli(), sent[i].Timestamp.UnixMilli())
	}
}

func sizes(t *c.T) {
	name := makeTopic(t, "sizes", 1, "max.message.bytes", fmt.Sprint(2*c.MiB))
	var sent [][]byte
	for _, n := range []int{1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1000000} {
		sent = append(sent, c.Noise(n))
	}
	produce(t, messages(name, sent), func(cfg *sarama.Config) { cfg.Producer.MaxMessageBytes = 2*c.MiB - 1000 })
	sameValues(t, read(t, name, 0, 0), sent)
}

func size10MB(t *c.T) {
	name := makeTopic(t, "big", 1, "max.message.bytes", fmt.Sprint(11*c.MiB))
	sent := [][]byte{c.Noise(10 * c.MiB), []byte("small"), c.Noise(10 * c.MiB)}
	produce(t, messages(name, sent), func(cfg *sarama.Config) { cfg.Producer.MaxMessageBytes = 11*c.MiB - 1000 })
	sameValues(t, read(t, name, 0, 0), sent)
}

func tooLarge(t *c.T) {
	name := makeTopic(t, "too-large", 1, "max.message.bytes", "20000")
	p, err := sarama.NewSyncProducer([]string{bootstrap}, config())
	t.OK("new producer", err)
	defer func() { _ = p.Close() }()
	_, _, err = p.SendMessage(messages(name, [][]byte{c.Noise(50000)})[0])
	t.True(errors.Is(err, sarama.ErrMessageSizeTooLarge), "50000 bytes: %v", err)
}

func autoCreate(t *c.T) {
	name := c.Topic("auto")
	produce(t, messages(name, c.Values(1, 20)), func(cfg *sarama.Config) { cfg.Metadata.AllowAutoTopicCreation = true })
	sameValues(t, read(t, name, 0, 0), c.Values(1, 20))
}

// -- consuming by assignment

func assign(t *c.T) {
	name, _ := filled(t, "assign", 3, 100)
	for p := int32(0); p < 3; p++ {
		for i, m := range read(t, name, 0, p) {
			t.Equal("offset", m.Offset, i)
		}
	}
	t.Equal("from 90", len(read(t, name, 90, 1)), 10)
}

func seekOffset(t *c.T) {
	name, _ := filled(t, "seek", 1, 100)
	for _, at := range []int64{50, 99, 7, 0} {
		t.Equal(fmt.Sprintf("from %d", at), read(t, name, at, 0)[0].Offset, at)
	}
	cl := newClient(t)
	defer func() { _ = cl.Close() }()
	consumer, err := sarama.NewConsumerFromClient(cl)
	t.OK("new consumer", err)
	_, err = consumer.ConsumePartition(name, 0, 5000)
	t.True(errors.Is(err, sarama.ErrOffsetOutOfRange), "from 5000: %v", err)
}

func seekTime(t *c.T) {
	name, start := filled(t, "time", 1, 100)
	cl := newClient(t)
	defer func() { _ = cl.Close() }()
	for at, want := range map[int64]int64{0: 0, 500: 1, 41000: 41, 98001: 99, 1000000000: -1} {
		got, err := cl.GetOffset(name, 0, start.UnixMilli()+at)
		t.OK("get offset", err)
		t.Equal(fmt.Sprintf("offset at +%d ms", at), got, want)
	}
	t.Equal("message from that time", read(t, name, 70, 0)[0].Timestamp.UnixMilli(), start.UnixMilli()+70000)
}

func offsetsList(t *c.T) {
	name, _ := filled(t, "watermarks", 1, 100)
	cl := newClient(t)
	defer func() { _ = cl.Close() }()
	for at, want := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 100} {
		got, err := cl.GetOffset(name, 0, at)
		t.OK("get offset", err)
		t.Equal(fmt.Sprint(at), got, want)
	}
}

func readCommitted(t *c.T) {
	name, _ := filled(t, "rc", 1, 100)
	got := read(t, name, 0, 0, func(cfg *sarama.Config) { cfg.Consumer.IsolationLevel = sarama.ReadCommitted })
	t.Equal("messages", len(got), 100)
}

func deleteRecords(t *c.T) {
	name, _ := filled(t, "purge", 1, 100)
	t.OK("delete records", admin.DeleteRecords(name, map[int32]int64{0: 40}))
	cl := newClient(t)
	defer func() { _ = cl.Close() }()
	got, err := cl.GetOffset(name, 0, sarama.OffsetOldest)
	t.OK("get offset", err)
	t.Equal("oldest", got, 40)
	t.Equal("first", read(t, name, 40, 0)[0].Offset, 40)
}

func logDirs(t *c.T) {
	name, _ := filled(t, "dirs", 1, 100)
	brokers, _, err := admin.DescribeCluster()
	t.OK("describe cluster", err)
	got, err := admin.DescribeLogDirs([]int32{brokers[0].ID()})
	t.OK("describe log dirs", err)
	for _, dir := range got[brokers[0].ID()] {
		for _, topic := range dir.Topics {
			if topic.Topic == name {
				t.True(topic.Partitions[0].Size > 1000, "size %d", topic.Partitions[0].Size)
				return
			}
		}
	}
	t.Fail("the topic's directory is not described")
}

// -- groups

// member is a consumer group session handler; its fields are guarded by mu.
type member struct {
	group sarama.ConsumerGroup
	mu    sync.Mutex
	own   []int
	seen  map[string]bool
	stop  context.CancelFunc
	done  chan struct{}
	limit int
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own = nil
	for _, parts := range s.Claims() {
		for _, p := range parts {
			m.own = append(m.own, int(p))
		}
	}
	sort.Ints(m.own)
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own = nil
	return nil
}

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.mu.Lock()
			take := m.limit == 0 || len(m.seen) < m.limit
			if take {
				m.seen[fmt.Sprint(msg.Partition, "/", msg.Offset)] = true
			}
			m.mu.Unlock()
			if take {
				s.MarkMessage(msg, "marked")
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func join(t *c.T, group, topic string, limit int, change ...func(*sarama.Config)) *member {
	m := &member{seen: map[string]bool{}, done: make(chan struct{}), limit: limit}
	var err error
	m.group, err = sarama.NewConsumerGroup([]string{bootstrap}, c.Group(group), config(change...))
	t.OK("new group", err)
	ctx, cancel := context.WithCancel(t.Ctx)
	m.stop = cancel
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if err := m.group.Consume(ctx, []string{topic}, m); err != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	return m
}

func (m *member) owned() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int(nil), m.own...)
}

func (m *member) leave() {
	m.stop()
	<-m.done
	_ = m.group.Close()
}

func seenBy(members ...*member) int {
	all := map[string]bool{}
	for _, m := range members {
		m.mu.Lock()
		for k := range m.seen {
			all[k] = true
		}
		m.mu.Unlock()
	}
	return len(all)
}

func share(t *c.T, count int, members ...*member) {
	t.Until(fmt.Sprintf("%d partitions shared by %d", count, len(members)), func() bool {
		all, total := map[int]bool{}, 0
		for _, m := range members {
			own := m.owned()
			if len(own) == 0 {
				return false
			}
			for _, p := range own {
				all[p] = true
			}
			total += len(own)
		}
		return total == count && len(all) == count
	})
}

func groupRebalance(t *c.T) {
	name, _ := filled(t, "rebalance", 6, 50)
	a := join(t, "rebalance", name, 0)
	share(t, 6, a)
	b := join(t, "rebalance", name, 0)
	share(t, 6, a, b)
	fill(t, name, 6, 50, time.Now())
	t.Until("all messages seen", func() bool { return seenBy(a, b) == 600 })
	b.leave()
	share(t, 6, a)
	fill(t, name, 6, 1, time.Now())
	t.Until("the late messages", func() bool { return seenBy(a, b) == 606 })
	a.leave()
}

func groupRestart(t *c.T) {
	name, _ := filled(t, "restart", 1, 100)
	a := join(t, "restart", name, 60)
	t.Until("60 messages", func() bool { return seenBy(a) == 60 })
	a.leave()
	b := join(t, "restart", name, 0)
	t.Until("40 messages", func() bool { return seenBy(b) == 40 })
	b.leave()
	t.True(b.seen["0/60"] && b.seen["0/99"], "did not resume at 60")
	got, err := admin.ListConsumerGroupOffsets(c.Group("restart"), map[string][]int32{name: {0}})
	t.OK("list offsets", err)
	block := got.GetBlock(name, 0)
	t.Equal("committed offset and metadata", fmt.Sprint(block.Offset, block.Metadata), "100marked")
}

func groupStatic(t *c.T) {
	name, _ := filled(t, "static", 2, 10)
	static := func(id string) func(*sarama.Config) {
		return func(cfg *sarama.Config) {
			cfg.Consumer.Group.InstanceId = id
			cfg.Consumer.Group.Session.Timeout = 30 * time.Second
		}
	}
	one, two := join(t, "static", name, 0, static("one")), join(t, "static", name, 0, static("two"))
	share(t, 2, one, two)
	own := fmt.Sprint(two.owned())
	two.leave()
	back := join(t, "static", name, 0, static("two"))
	t.Until("the same partition", func() bool { return fmt.Sprint(back.owned()) == own })
	share(t, 2, one, back)
	one.leave()
	back.leave()
}

func groupAdmin(t *c.T) {
	name, _ := filled(t, "gadmin", 1, 100)
	group := c.Group("gadmin")
	m := join(t, "gadmin", name, 0)
	share(t, 1, m)
	got, err := admin.DescribeConsumerGroups([]string{group})
	t.OK("describe", err)
	t.Equal("state and members", fmt.Sprint(got[0].State, len(got[0].Members)), "Stable1")
	list, err := admin.ListConsumerGroups()
	t.OK("list", err)
	t.Equal("listed as", list[group], "consumer")
	err = admin.DeleteConsumerGroup(group)
	t.True(errors.Is(err, sarama.ErrNonEmptyGroup), "deleting a live group: %v", err)
	t.Until("all read", func() bool { return seenBy(m) == 100 })
	m.leave()
	t.OK("delete offset", admin.DeleteConsumerGroupOffset(group, name, 0))
	t.OK("delete", admin.DeleteConsumerGroup(group))
}

func topicDelete(t *c.T) {
	for _, name := range c.Topics() {
		t.OK("delete "+name, admin.DeleteTopic(name))
	}
	t.Until("topics gone", func() bool {
		all, err := admin.ListTopics()
		for name := range all {
			if strings.HasPrefix(name, c.Run) {
				return false
			}
		}
		return err == nil
	})
	err := admin.DeleteTopic(c.Run + "-never")
	t.True(errors.Is(err, sarama.ErrUnknownTopicOrPartition), "unknown topic: %v", err)
}

func main() {
	bootstrap = c.Bootstrap()
	var err error
	admin, err = sarama.NewClusterAdmin([]string{bootstrap}, config())
	if err != nil {
		fmt.Println("not ok connect: " + err.Error())
		return
	}
	c.Add("cluster", cluster)
	c.Add("topic-create", topicCreate)
	c.Add("topic-partitions", topicPartitions)
	c.Add("config-describe", configDescribe)
	c.Add("config-alter", configAlter)
	c.Add("config-invalid", configInvalid)
	c.Add("produce-none", codec("none", sarama.CompressionNone))
	c.Add("produce-gzip", codec("gzip", sarama.CompressionGZIP))
	c.Add("produce-snappy", codec("snappy", sarama.CompressionSnappy))
	c.Add("produce-lz4", codec("lz4", sarama.CompressionLZ4))
	c.Add("produce-zstd", codec("zstd", sarama.CompressionZSTD))
	c.Add("acks-0", acks("0", sarama.NoResponse))
	c.Add("acks-1", acks("1", sarama.WaitForLocal))
	c.Add("acks-all", acks("all", sarama.WaitForAll))
	c.Add("idempotent", idempotent)
	c.Add("record-shape", recordShape)
	c.Add("sizes", sizes)
	c.AddSlow("size-10mb", size10MB)
	c.Add("too-large", tooLarge)
	c.Add("auto-create", autoCreate)
	c.Add("assign", assign)
	c.Add("seek-offset", seekOffset)
	c.Add("seek-time", seekTime)
	c.Add("offsets-list", offsetsList)
	c.Add("read-committed", readCommitted)
	c.Add("delete-records", deleteRecords)
	c.Add("log-dirs", logDirs)
	c.Add("group-rebalance", groupRebalance)
	c.Add("group-restart", groupRestart)
	c.Add("group-static", groupStatic)
	c.Add("group-admin", groupAdmin)
	c.Add("topic-delete", topicDelete)
	c.Main("sarama " + c.Version("github.com/IBM/sarama"))
}
