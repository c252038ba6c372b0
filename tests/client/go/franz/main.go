// Command franz checks a broker with franz-go: kgo for records and groups, kadm for administration.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	c "chronik.example/tests/client/checks"
)

var (
	bootstrap string
	admin     *kadm.Client
)

func client(t *c.T, opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.FetchMaxWait(100 * time.Millisecond)},
		opts...)...)
	t.OK("new client", err)
	return cl
}

func makeTopic(t *c.T, tag string, partitions int32, config ...string) string {
	name := c.Topic(tag)
	pairs := map[string]*string{}
	for i := 0; i+1 < len(config); i += 2 {
		pairs[config[i]] = kadm.StringPtr(config[i+1])
	}
	_, err := admin.CreateTopic(t.Ctx, partitions, 1, pairs, name)
	t.OK("create "+name, err)
	t.Until(name+" ready", func() bool {
		got, err := admin.ListTopics(t.Ctx, name)
		return err == nil && got[name].Err == nil && len(got[name].Partitions) == int(partitions)
	})
	return name
}

func produce(t *c.T, records []*kgo.Record, opts ...kgo.Opt) kgo.ProduceResults {
	cl := client(t, append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(10 * time.Millisecond)}, opts...)...)
	defer cl.Close()
	got := cl.ProduceSync(t.Ctx, records...)
	t.OK("produce", got.FirstErr())
	return got
}

func records(topic string, values [][]byte) []*kgo.Record {
	out := make([]*kgo.Record, len(values))
	for i, v := range values {
		out[i] = &kgo.Record{Topic: topic, Value: v}
	}
	return out
}

// take polls until count records have come.
func take(t *c.T, cl *kgo.Client, count int) []*kgo.Record {
	var out []*kgo.Record
	ctx, cancel := context.WithTimeout(t.Ctx, 40*time.Second)
	defer cancel()
	for len(out) < count {
		got := cl.PollRecords(ctx, count-len(out))
		if errs := got.Errors(); len(errs) > 0 {
			t.Fail("poll after %d of %d records: %v", len(out), count, errs[0].Err)
		}
		out = append(out, got.Records()...)
	}
	return out
}

// read returns every record of the partitions from start to their ends.
func read(t *c.T, topic string, start int64, partitions []int32, opts ...kgo.Opt) []*kgo.Record {
	ends, err := admin.ListEndOffsets(t.Ctx, topic)
	t.OK("list end offsets", err)
	from, count := map[int32]kgo.Offset{}, int64(0)
	for _, p := range partitions {
		from[p] = kgo.NewOffset().At(start)
		end, _ := ends.Lookup(topic, p)
		if end.Offset > start {
			count += end.Offset - start
		}
	}
	cl := client(t, append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	defer cl.Close()
	return take(t, cl, int(count))
}

func sameValues(t *c.T, got []*kgo.Record, want [][]byte) {
	t.Equal("records", len(got), len(want))
	for i := range got {
		t.True(bytes.Equal(got[i].Value, want[i]), "value %d differs (%d bytes, expected %d)", i,
			len(got[i].Value), len(want[i]))
		t.Equal("offset", got[i].Offset, i)
	}
}

// filled makes a topic with count records per partition, one second apart from the returned time on.
func filled(t *c.T, tag string, partitions int32, count int) (string, time.Time) {
	name := makeTopic(t, tag, partitions)
	start := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	fill(t, name, partitions, count, start)
	return name, start
}

func fill(t *c.T, name string, partitions int32, count int, start time.Time) {
	var all []*kgo.Record
	for p := int32(0); p < partitions; p++ {
		for i, v := range c.Values(count, 100) {
			all = append(all, &kgo.Record{Topic: name, Partition: p, Value: v,
				Timestamp: start.Add(time.Duration(i) * time.Second)})
		}
	}
	produce(t, all)
}

// -- cluster, topics, configuration

func cluster(t *c.T) {
	got, err := admin.BrokerMetadata(t.Ctx)
	t.OK("metadata", err)
	t.True(got.Cluster != "", "no cluster id")
	found := false
	for _, b := range got.Brokers {
		found = found || fmt.Sprintf("%s:%d", b.Host, b.Port) == bootstrap
	}
	t.True(found, "%s is not among the brokers %v", bootstrap, got.Brokers)
	versions, err := admin.ApiVersions(t.Ctx)
	t.OK("api versions", err)
	for _, v := range versions.Sorted() {
		for _, key := range []int16{0, 1, 2, 3, 8, 9, 10, 11, 18, 19, 22, 44} {
			_, max, has := v.KeyVersions(key)
			t.True(has && max >= 1, "API key %d is not offered", key)
		}
	}
}

func topicCreate(t *c.T) {
	name := makeTopic(t, "create", 3, "retention.ms", "123456")
	_, err := admin.CreateTopic(t.Ctx, 3, 1, nil, name)
	t.True(errors.Is(err, kerr.TopicAlreadyExists), "second create: %v", err)
	_, err = admin.CreateTopic(t.Ctx, 1, 1, nil, "no/slash")
	t.True(errors.Is(err, kerr.InvalidTopicException), "bad name: %v", err)
	_, err = admin.CreateTopic(t.Ctx, 1, 30, nil, c.Run+"-rf")
	t.True(errors.Is(err, kerr.InvalidReplicationFactor), "30 replicas: %v", err)
	dry, err := admin.ValidateCreateTopics(t.Ctx, 1, 1, nil, c.Run+"-dry")
	t.OK("validate", err)
	t.OK("validate", dry.Error())
	list, err := admin.ListTopics(t.Ctx)
	t.OK("list", err)
	t.True(!list.Has(c.Run+"-dry"), "validate-only made a topic")
	def, err := admin.CreateTopic(t.Ctx, -1, -1, nil, c.Topic("defaults"))
	t.OK("create with defaults", err)
	t.True(def.NumPartitions >= 1 && def.ReplicationFactor >= 1, "answer has no counts: %+v", def)
}

func topicPartitions(t *c.T) {
	name := makeTopic(t, "grow", 1)
	got, err := admin.UpdatePartitions(t.Ctx, 4, name)
	t.OK("update partitions", err)
	t.OK("update partitions", got.Error())
	t.Until("4 partitions", func() bool {
		list, err := admin.ListTopics(t.Ctx, name)
		return err == nil && len(list[name].Partitions) == 4
	})
	got, err = admin.UpdatePartitions(t.Ctx, 2, name)
	t.OK("update partitions", err)
	t.True(errors.Is(got[name].Err, kerr.InvalidPartitions), "shrinking: %v", got[name].Err)
	produce(t, []*kgo.Record{{Topic: name, Partition: 3, Value: []byte("x")}})
	t.Equal("records in the new partition", len(read(t, name, 0, []int32{3})), 1)
}

func topicDescribe(t *c.T) {
	name := makeTopic(t, "describe", 2)
	got, err := admin.ListTopics(t.Ctx, name)
	t.OK("list", err)
	t.True(got[name].ID != kadm.TopicID{}, "no topic id")
	for _, p := range got[name].Partitions.Sorted() {
		t.Equal("replicas", len(p.Replicas), 1)
		t.Equal("isr", len(p.ISR), 1)
		t.True(p.LeaderEpoch >= 0, "leader epoch %d", p.LeaderEpoch)
	}
	nil_, err := admin.ListTopics(t.Ctx, c.Run+"-nil")
	t.OK("list", err)
	t.True(errors.Is(nil_[c.Run+"-nil"].Err, kerr.UnknownTopicOrPartition), "unknown topic: %v",
		nil_[c.Run+"-nil"].Err)
}

func topicConfig(t *c.T, name, key string) (string, kadm.Config) {
	got, err := admin.DescribeTopicConfigs(t.Ctx, name)
	t.OK("describe configs", err)
	one, err := got.On(name, nil)
	t.OK("describe configs", err)
	t.OK("describe configs", one.Err)
	for _, cfg := range one.Configs {
		if cfg.Key == key {
			return cfg.MaybeValue(), cfg
		}
	}
	t.Fail("%s is not described", key)
	return "", kadm.Config{}
}

func configDescribe(t *c.T) {
	name := makeTopic(t, "cfg-describe", 1, "retention.ms", "123456")
	value, cfg := topicConfig(t, name, "retention.ms")
	t.Equal("retention.ms", value, "123456")
	t.Equal("source", cfg.Source, "DYNAMIC_TOPIC_CONFIG")
	value, cfg = topicConfig(t, name, "cleanup.policy")
	t.Equal("cleanup.policy", value, "delete")
	t.Equal("source", cfg.Source, "DEFAULT_CONFIG")
	meta, err := admin.BrokerMetadata(t.Ctx)
	t.OK("metadata", err)
	got, err := admin.DescribeBrokerConfigs(t.Ctx, meta.Brokers[0].NodeID)
	t.OK("describe broker", err)
	keys := map[string]bool{}
	for _, cfg := range got[0].Configs {
		keys[cfg.Key] = true
	}
	for _, key := range []string{"num.partitions", "auto.create.topics.enable", "message.max.bytes"} {
		t.True(keys[key], "broker has no %s", key)
	}
}

func alter(t *c.T, name string, op kadm.IncrementalOp, key, value string) error {
	got, err := admin.AlterTopicConfigs(t.Ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &value}}, name)
	t.OK("alter configs", err)
	return got[0].Err
}

func configAlter(t *c.T) {
	name := makeTopic(t, "cfg-alter", 1)
	is := func(key, want string) func() bool {
		return func() bool { v, _ := topicConfig(t, name, key); return v == want }
	}
	t.OK("set", alter(t, name, kadm.SetConfig, "retention.ms", "777000"))
	t.Until("set", is("retention.ms", "777000"))
	t.OK("append", alter(t, name, kadm.AppendConfig, "cleanup.policy", "compact"))
	t.Until("appended", is("cleanup.policy", "delete,compact"))
	t.OK("subtract", alter(t, name, kadm.SubtractConfig, "cleanup.policy", "delete"))
	t.Until("subtracted", is("cleanup.policy", "compact"))
	t.OK("delete", alter(t, name, kadm.DeleteConfig, "retention.ms", ""))
	t.Until("deleted", func() bool { v, _ := topicConfig(t, name, "retention.ms"); return v != "777000" })
	value := "55000"
	got, err := admin.AlterTopicConfigsState(t.Ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, name)
	t.OK("alter state", err)
	t.OK("alter state", got[0].Err)
	t.Until("whole set replaced", is("cleanup.policy", "delete"))
}

func configInvalid(t *c.T) {
	name := makeTopic(t, "cfg-bad", 1)
	for _, kv := range [][2]string{{"retention.ms", "soon"}, {"cleanup.policy", "shred"}, {"no.such.key", "1"}} {
		err := alter(t, name, kadm.SetConfig, kv[0], kv[1])
		t.True(errors.Is(err, kerr.InvalidConfig), "%s=%s: %v", kv[0], kv[1], err)
	}
}

// -- producing

func codec(tag string, opt kgo.CompressionCodec) func(*c.T) {
	return func(t *c.T) {
		name := makeTopic(t, "codec-"+tag, 1)
		sent := c.Values(300, 400)
		produce(t, records(name, sent), kgo.ProducerBatchCompression(opt))
		sameValues(t, read(t, name, 0, []int32{0}), sent)
	}
}

func acks(tag string, opts ...kgo.Opt) func(*c.T) {
	return func(t *c.T) {
		name := makeTopic(t, "acks-"+tag, 1)
		sent := c.Values(100, 100)
		produce(t, records(name, sent), opts...)
		t.Until("100 records", func() bool { return len(read(t, name, 0, []int32{0})) == 100 })
		sameValues(t, read(t, name, 0, []int32{0}), sent)
	}
}

func idempotent(t *c.T) {
	name := makeTopic(t, "idempotent", 2)
	sent := c.Values(2000, 100)
	for p := int32(0); p < 2; p++ {
		batch := records(name, sent)
		for _, r := range batch {
			r.Partition = p
		}
		produce(t, batch, kgo.ProducerBatchMaxBytes(4096), kgo.ProducerLinger(0))
		sameValues(t, read(t, name, 0, []int32{p}), sent)
	}
}

func recordShape(t *c.T) {
	name := makeTopic(t, "shape", 1)
	start := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	sent := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("v")},
		{Key: []byte("tombstone")},
		{Key: []byte{}, Value: []byte{}},
		{Value: []byte("no key")},
		{Value: []byte("h"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")},
			{Key: "empty", Value: []byte{}}, {Key: "null"}, {Key: "\u00fcber", Value: c.Noise(256)}}},
	}
	for i, r := range sent {
		r.Topic, r.Timestamp = name, start.Add(time.Duration(i)*time.Millisecond)
	}
	produce(t, sent)
	for i, r := range read(t, name, 0, []int32{0}) {
		t.Equal("key", fmt.Sprintf("%q %v", r.Key, r.Key == nil), fmt.Sprintf("%q %v", sent[i].Key, sent[i].Key == nil))
		t.Equal("value", fmt.Sprintf("%q %v", r.Value, r.Value == nil),
			fmt.Sprintf("%q %v", sent[i].Value, sent[i].Value == nil))
		t.Equal("headers", fmt.Sprintf("%q", r.Headers), fmt.Sprintf("%q", sent[i].Headers))
		t.Equal("timestamp", r.Timestamp.UnixMilli(), sent[i].Timestamp.UnixMilli())
	}
}

func logAppendTime(t *c.T) {
	name := makeTopic(t, "lat", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().Add(-time.Second)
	produce(t, []*kgo.Record{{Topic: name, Value: []byte("x"), Timestamp: time.UnixMilli(1000)}})
	r := read(t, name, 0, []int32{0})[0]
	t.Equal("timestamp type", r.Attrs.TimestampType(), 1)
	t.True(r.Timestamp.After(before), "%v is not the append time", r.Timestamp)
}

func topicCodec(t *c.T) {
	for _, to := range []string{"gzip", "snappy", "lz4", "zstd", "uncompressed"} {
		name := makeTopic(t, "recode-"+to, 1, "compression.type", to)
		sent := c.Values(200, 300)
		produce(t, records(name, sent), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
		got := read(t, name, 0, []int32{0})
		sameValues(t, got, sent)
		want := map[string]uint8{"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}[to]
		t.Equal("codec of a batch in a topic of compression.type="+to, got[0].Attrs.CompressionType(), want)
	}
}

func sizes(t *c.T) {
	name := makeTopic(t, "sizes", 1, "max.message.bytes", fmt.Sprint(2*c.MiB))
	var sent [][]byte
	for _, n := range []int{1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1000000} {
		sent = append(sent, c.Noise(n))
	}
	produce(t, records(name, sent), kgo.ProducerBatchMaxBytes(2*c.MiB))
	sameValues(t, read(t, name, 0, []int32{0}), sent)
}

func size10MB(t *c.T) {
	name := makeTopic(t, "big", 1, "max.message.bytes", fmt.Sprint(11*c.MiB))
	sent := [][]byte{c.Noise(10 * c.MiB), []byte("small"), c.Noise(10 * c.MiB)}
	produce(t, records(name, sent), kgo.ProducerBatchMaxBytes(11*c.MiB))
	sameValues(t, read(t, name, 0, []int32{0}, kgo.FetchMaxPartitionBytes(c.MiB)), sent)
}

func tooLarge(t *c.T) {
	name := makeTopic(t, "too-large", 1, "max.message.bytes", "20000")
	cl := client(t)
	defer cl.Close()
	err := cl.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Value: c.Noise(50000)}).FirstErr()
	t.True(errors.Is(err, kerr.MessageTooLarge), "50000 bytes: %v", err)
}

func compactNullKey(t *c.T) {
	name := makeTopic(t, "compact", 1, "cleanup.policy", "compact")
	cl := client(t)
	defer cl.Close()
	err := cl.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Value: []byte("keyless")}).FirstErr()
	t.True(errors.Is(err, kerr.InvalidRecord), "a record without key: %v", err)
	t.OK("a record with key", cl.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Key: []byte("k")}).FirstErr())
}

func autoCreate(t *c.T) {
	name := c.Topic("auto")
	produce(t, records(name, c.Values(1, 20)), kgo.AllowAutoTopicCreation())
	sameValues(t, read(t, name, 0, []int32{0}), c.Values(1, 20))
}

// -- consuming by assignment

func assign(t *c.T) {
	name, _ := filled(t, "assign", 3, 100)
	next := map[int32]int64{}
	got := read(t, name, 0, []int32{0, 1, 2})
	t.Equal("records", len(got), 300)
	for _, r := range got {
		t.Equal("offset", r.Offset, next[r.Partition])
		next[r.Partition]++
	}
	t.Equal("from 90", len(read(t, name, 90, []int32{1})), 10)
}

func seekOffset(t *c.T) {
	name, _ := filled(t, "seek", 1, 100)
	cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	t.Equal("first", take(t, cl, 1)[0].Offset, 0)
	for _, at := range []int64{50, 99, 7, 0} {
		cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{name: {0: {Epoch: -1, Offset: at}}})
		t.Equal(fmt.Sprintf("after seek to %d", at), take(t, cl, 1)[0].Offset, at)
	}
}

func seekTime(t *c.T) {
	name, start := filled(t, "time", 1, 100)
	for at, want := range map[int64]int64{0: 0, 500: 1, 41000: 41, 98001: 99, 1000000000: 100} {
		got, err := admin.ListOffsetsAfterMilli(t.Ctx, start.UnixMilli()+at, name)
		t.OK("list offsets", err)
		one, _ := got.Lookup(name, 0)
		t.Equal(fmt.Sprintf("offset at +%d ms", at), one.Offset, want)
	}
	cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		name: {0: kgo.NewOffset().AfterMilli(start.UnixMilli() + 70000)}}))
	defer cl.Close()
	t.Equal("first record from that time", take(t, cl, 1)[0].Offset, 70)
}

func offsetsList(t *c.T) {
	name, _ := filled(t, "watermarks", 1, 100)
	for what, fn := range map[string]func(context.Context, ...string) (kadm.ListedOffsets, error){
		"start": admin.ListStartOffsets, "end": admin.ListEndOffsets, "committed": admin.ListCommittedOffsets,
		"max timestamp": admin.ListMaxTimestampOffsets} {
		got, err := fn(t.Ctx, name)
		t.OK(what, err)
		one, ok := got.Lookup(name, 0)
		t.True(ok && one.Err == nil, "%s: %v", what, one.Err)
		want := map[string]int64{"start": 0, "end": 100, "committed": 100, "max timestamp": 99}[what]
		t.Equal(what, one.Offset, want)
	}
}

func offsetReset(t *c.T) {
	name, _ := filled(t, "reset", 1, 100)
	at := map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(5000)}}
	cl := client(t, kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	t.Equal("start after 5000", take(t, cl, 1)[0].Offset, 0)
	cl.Close()
	cl = client(t, kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Ctx, 20*time.Second)
	defer cancel()
	err := cl.PollFetches(ctx).Err()
	t.True(errors.Is(err, kerr.OffsetOutOfRange), "no reset: %v", err)
}

func readCommitted(t *c.T) {
	name, _ := filled(t, "rc", 1, 100)
	got := read(t, name, 0, []int32{0}, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	t.Equal("records", len(got), 100)
}

// -- transactions

// visible returns every value that readers of committed records see by now, once nothing is open.
func visible(t *c.T, topic string) []string {
	var end int64
	t.Until(topic+" is stable", func() bool {
		ends, err := admin.ListEndOffsets(t.Ctx, topic)
		stable, err2 := admin.ListCommittedOffsets(t.Ctx, topic)
		e, _ := ends.Lookup(topic, 0)
		s, _ := stable.Lookup(topic, 0)
		end = e.Offset
		return err == nil && err2 == nil && e.Offset == s.Offset
	})
	cl := client(t, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))
	defer cl.Close()
	var out []string
	for last := int64(-1); last+1 < end; {
		for _, r := range cl.PollRecords(t.Ctx, 0).Records() {
			last = r.Offset
			if !r.Attrs.IsControl() {
				out = append(out, string(r.Value))
			}
		}
	}
	return out
}

func transactional(t *c.T, tag string, opts ...kgo.Opt) *kgo.Client {
	return client(t, append(opts, kgo.TransactionalID(c.Group(tag)), kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
}

func txnCommitAbort(t *c.T) {
	name := makeTopic(t, "txn", 1)
	cl := transactional(t, "txn")
	defer cl.Close()
	var want []string
	for n := 0; n < 20; n++ {
		t.OK("begin", cl.BeginTransaction())
		for k := 0; k < 3; k++ {
			value := fmt.Sprintf("%d-%d", n, k)
			t.OK("produce", cl.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Value: []byte(value)}).FirstErr())
			if n%3 != 1 {
				want = append(want, value)
			}
		}
		t.OK("end", cl.EndTransaction(t.Ctx, kgo.TransactionEndTry(n%3 != 1)))
	}
	t.Equal("committed", fmt.Sprint(visible(t, name)), fmt.Sprint(want))
}

func txnOffsets(t *c.T) {
	in, _ := filled(t, "txn-in", 1, 100)
	out := makeTopic(t, "txn-out", 1)
	group := c.Group("txn-offsets")
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(group),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	t.OK("new session", err)
	defer session.Close()
	copied := 0
	for n := 0; copied < 100; n++ {
		records := session.PollRecords(t.Ctx, 30).Records()
		t.OK("begin", session.Begin())
		for _, r := range records {
			t.OK("produce", session.ProduceSync(t.Ctx, &kgo.Record{Topic: out, Value: r.Value}).FirstErr())
		}
		done, err := session.End(t.Ctx, kgo.TransactionEndTry(n%2 == 1))
		t.OK("end", err)
		t.Equal("committed", done, n%2 == 1)
		if done {
			copied += len(records)
		}
	}
	t.Equal("copies", len(visible(t, out)), 100)
	t.Until("the offset is committed", func() bool {
		got, err := admin.FetchOffsets(t.Ctx, group)
		at, _ := got.Lookup(in, 0)
		return err == nil && at.At == 100
	})
}

func txnFence(t *c.T) {
	name := makeTopic(t, "txn-fence", 1)
	old := transactional(t, "txn-fence")
	defer old.Close()
	t.OK("begin", old.BeginTransaction())
	t.OK("produce", old.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Value: []byte("old")}).FirstErr())
	next := transactional(t, "txn-fence")
	defer next.Close()
	t.OK("begin the next", next.BeginTransaction())
	t.OK("produce the next", next.ProduceSync(t.Ctx, &kgo.Record{Topic: name, Value: []byte("new")}).FirstErr())
	t.True(old.EndTransaction(t.Ctx, kgo.TryCommit) != nil, "the producer before may commit")
	t.OK("commit the next", next.EndTransaction(t.Ctx, kgo.TryCommit))
	t.Equal("committed", fmt.Sprint(visible(t, name)), "[new]")
}

func deleteRecords(t *c.T) {
	name, _ := filled(t, "purge", 1, 100)
	var to kadm.Offsets
	to.AddOffset(name, 0, 40, -1)
	got, err := admin.DeleteRecords(t.Ctx, to)
	t.OK("delete records", err)
	one, _ := got.Lookup(name, 0)
	t.Equal("low watermark", fmt.Sprint(one.LowWatermark, one.Err), "40 <nil>")
	starts, err := admin.ListStartOffsets(t.Ctx, name)
	t.OK("list", err)
	start, _ := starts.Lookup(name, 0)
	t.Equal("start", start.Offset, 40)
	t.Equal("first", read(t, name, 40, []int32{0})[0].Offset, 40)
}

func logDirs(t *c.T) {
	name, _ := filled(t, "dirs", 1, 100)
	got, err := admin.DescribeAllLogDirs(t.Ctx, kadm.TopicsSet{name: {0: {}}})
	t.OK("describe log dirs", err)
	found := false
	got.Each(func(d kadm.DescribedLogDir) {
		t.OK("log dir", d.Err)
		p, ok := d.Topics.Lookup(name, 0)
		found = found || (ok && p.Size > 1000)
	})
	t.True(found, "the partition's directory is not described, or its size is too small")
}

func epochs(t *c.T) {
	name, _ := filled(t, "epochs", 1, 100)
	var req kadm.OffsetForLeaderEpochRequest
	req.Add(name, 0, 0)
	got, err := admin.OffsetForLeaderEpoch(t.Ctx, req)
	t.OK("offset for leader epoch", err)
	one := got[name][0]
	t.OK("offset for leader epoch", one.Err)
	t.Equal("end of epoch 0", one.EndOffset, 100)
}

// -- groups

type member struct {
	cl   *kgo.Client
	mu   sync.Mutex
	own  map[int32]bool
	seen map[string]int
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func join(t *c.T, group, topic string, opts ...kgo.Opt) *member {
	m := &member{own: map[int32]bool{}, seen: map[string]int{}, done: make(chan struct{})}
	change := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range parts[topic] {
				m.own[p] = to
			}
		}
	}
	m.cl = client(t, append([]kgo.Opt{kgo.ConsumerGroup(c.Group(group)), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false))}, opts...)...)
	ctx, cancel := context.WithCancel(t.Ctx)
	m.stop = cancel
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			got := m.cl.PollFetches(ctx)
			m.mu.Lock()
			if err := got.Err(); err != nil && ctx.Err() == nil {
				m.err = err
			}
			got.EachRecord(func(r *kgo.Record) { m.seen[fmt.Sprint(r.Partition, "/", r.Offset)]++ })
			m.mu.Unlock()
		}
	}()
	return m
}

func (m *member) owned() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int
	for p, is := range m.own {
		if is {
			out = append(out, int(p))
		}
	}
	sort.Ints(out)
	return out
}

func (m *member) leave() {
	m.stop()
	<-m.done
	m.cl.Close()
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

func rebalance(tag string, opts ...kgo.Opt) func(*c.T) {
	return func(t *c.T) {
		name, _ := filled(t, tag, 6, 50)
		a := join(t, tag, name, opts...)
		share(t, 6, a)
		b := join(t, tag, name, opts...)
		share(t, 6, a, b)
		fill(t, name, 6, 50, time.Now())
		t.Until("all records seen", func() bool { return seenBy(a, b) == 600 })
		b.leave()
		share(t, 6, a)
		fill(t, name, 6, 1, time.Now())
		t.Until("the late records", func() bool { return seenBy(a, b) == 606 })
		a.leave()
		t.OK("a member", errors.Join(a.err, b.err))
	}
}

// The coordinator assigns (KIP-848).
func consumerGroup(t *c.T) {
	name, _ := filled(t, "consumer-group", 6, 50)
	a := join(t, "consumer-group", name, kgo.ServerSideBalancer())
	share(t, 6, a)
	b := join(t, "consumer-group", name, kgo.ServerSideBalancer())
	share(t, 6, a, b)
	fill(t, name, 6, 50, time.Now())
	t.Until("all records seen", func() bool { return seenBy(a, b) == 600 })
	t.OK("commit", a.cl.CommitUncommittedOffsets(t.Ctx))
	got, err := admin.ListGroupsByType(t.Ctx, []string{"consumer"})
	t.OK("list", err)
	t.Equal("state", got[c.Group("consumer-group")].State, "Stable")
	b.leave()
	share(t, 6, a)
	fill(t, name, 6, 1, time.Now())
	t.Until("the late records", func() bool { return seenBy(a, b) == 606 })
	a.leave()
	t.OK("a member", errors.Join(a.err, b.err))
}

func groupStatic(t *c.T) {
	name, _ := filled(t, "static", 2, 10)
	one := join(t, "static", name, kgo.InstanceID("one"), kgo.SessionTimeout(30*time.Second))
	two := join(t, "static", name, kgo.InstanceID("two"), kgo.SessionTimeout(30*time.Second))
	share(t, 2, one, two)
	own := fmt.Sprint(two.owned())
	two.leave()
	back := join(t, "static", name, kgo.InstanceID("two"), kgo.SessionTimeout(30*time.Second))
	t.Until("the same partition", func() bool { return fmt.Sprint(back.owned()) == own })
	share(t, 2, one, back)
	left, err := admin.LeaveGroup(t.Ctx, kadm.LeaveGroup(c.Group("static")).Reason("check").InstanceIDs("one", "two"))
	t.OK("leave group", err)
	t.OK("leave group", left.Error())
	one.leave()
	back.leave()
}

func groupRestart(t *c.T) {
	name, _ := filled(t, "restart", 1, 100)
	start := func() *kgo.Client {
		return client(t, kgo.ConsumerGroup(c.Group("restart")), kgo.ConsumeTopics(name), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	cl := start()
	half := take(t, cl, 60)
	t.OK("commit", cl.CommitRecords(t.Ctx, half...))
	cl.Close()
	cl = start()
	rest := take(t, cl, 40)
	t.Equal("resumed at", rest[0].Offset, 60)
	t.OK("commit", cl.CommitRecords(t.Ctx, rest...))
	cl.Close()
	got, err := admin.FetchOffsetsForTopics(t.Ctx, c.Group("restart"), name)
	t.OK("fetch offsets", err)
	one, _ := got.Lookup(name, 0)
	t.Equal("committed at the end", one.At, 100)
}

func commitMetadata(t *c.T) {
	name, _ := filled(t, "meta", 1, 100)
	var to kadm.Offsets
	to.Add(kadm.Offset{Topic: name, Partition: 0, At: 33, LeaderEpoch: -1, Metadata: "where I was \u2713"})
	t.OK("commit", admin.CommitAllOffsets(t.Ctx, c.Group("meta"), to))
	got, err := admin.FetchOffsets(t.Ctx, c.Group("meta"))
	t.OK("fetch", err)
	one, _ := got.Lookup(name, 0)
	t.Equal("offset and metadata", fmt.Sprint(one.At, one.Metadata), "33where I was \u2713")
}

func groupAdmin(t *c.T) {
	name, _ := filled(t, "gadmin", 1, 100)
	group := c.Group("gadmin")
	m := join(t, "gadmin", name)
	share(t, 1, m)
	got, err := admin.DescribeGroups(t.Ctx, group)
	t.OK("describe", err)
	t.Equal("state", got[group].State, "Stable")
	t.Equal("members", len(got[group].Members), 1)
	list, err := admin.ListGroups(t.Ctx, "stable")
	t.OK("list", err)
	_, listed := list[group]
	t.True(listed, "group is not among the stable ones")
	_, err = admin.DeleteGroup(t.Ctx, group)
	t.True(errors.Is(err, kerr.NonEmptyGroup), "deleting a live group: %v", err)
	t.Until("all read", func() bool { return seenBy(m) == 100 })
	t.OK("commit", m.cl.CommitUncommittedOffsets(t.Ctx))
	m.leave()
	lag, err := admin.Lag(t.Ctx, group)
	t.OK("lag", err)
	t.Equal("lag", lag[group].Lag.Total(), 0)
	gone, err := admin.DeleteOffsets(t.Ctx, group, kadm.TopicsSet{name: {0: {}}})
	t.OK("delete offsets", err)
	t.OK("delete offsets", gone.Error())
	_, err = admin.DeleteGroup(t.Ctx, group)
	t.OK("delete", err)
	_, err = admin.DeleteGroup(t.Ctx, group)
	t.True(errors.Is(err, kerr.GroupIDNotFound), "deleting it again: %v", err)
}

func topicDelete(t *c.T) {
	_, err := admin.DeleteTopics(t.Ctx, c.Topics()...)
	t.OK("delete", err)
	t.Until("topics gone", func() bool {
		list, err := admin.ListTopics(t.Ctx)
		if err != nil {
			return false
		}
		for _, name := range c.Topics() {
			if list.Has(name) {
				return false
			}
		}
		return true
	})
	_, err = admin.DeleteTopic(t.Ctx, c.Run+"-never")
	t.True(errors.Is(err, kerr.UnknownTopicOrPartition), "unknown topic: %v", err)
	name := makeTopic(t, "create", 1)
	t.Equal("a topic made again is empty", len(read(t, name, 0, []int32{0})), 0)
	_, err = admin.DeleteTopics(t.Ctx, name)
	t.OK("delete", err)
}

func main() {
	bootstrap = c.Bootstrap()
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		panic(err)
	}
	admin = kadm.NewClient(cl)
	c.Add("cluster", cluster)
	c.Add("topic-create", topicCreate)
	c.Add("topic-partitions", topicPartitions)
	c.Add("topic-describe", topicDescribe)
	c.Add("config-describe", configDescribe)
	c.Add("config-alter", configAlter)
	c.Add("config-invalid", configInvalid)
	c.Add("produce-none", codec("none", kgo.NoCompression()))
	c.Add("produce-gzip", codec("gzip", kgo.GzipCompression()))
	c.Add("produce-snappy", codec("snappy", kgo.SnappyCompression()))
	c.Add("produce-lz4", codec("lz4", kgo.Lz4Compression()))
	c.Add("produce-zstd", codec("zstd", kgo.ZstdCompression()))
	c.Add("acks-0", acks("0", kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()))
	c.Add("acks-1", acks("1", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()))
	c.Add("acks-all", acks("all", kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite()))
	c.Add("idempotent", idempotent)
	c.Add("record-shape", recordShape)
	c.Add("log-append-time", logAppendTime)
	c.Add("topic-codec", topicCodec)
	c.Add("sizes", sizes)
	c.AddSlow("size-10mb", size10MB)
	c.Add("too-large", tooLarge)
	c.Add("compact-null-key", compactNullKey)
	c.Add("auto-create", autoCreate)
	c.Add("assign", assign)
	c.Add("seek-offset", seekOffset)
	c.Add("seek-time", seekTime)
	c.Add("offsets-list", offsetsList)
	c.Add("offset-reset", offsetReset)
	c.Add("read-committed", readCommitted)
	c.Add("delete-records", deleteRecords)
	c.Add("log-dirs", logDirs)
	c.Add("leader-epochs", epochs)
	c.Add("group-rebalance", rebalance("rebalance", kgo.Balancers(kgo.RangeBalancer())))
	c.Add("group-cooperative", rebalance("cooperative", kgo.Balancers(kgo.CooperativeStickyBalancer())))
	c.Add("consumer-group", consumerGroup)
	c.Add("group-restart", groupRestart)
	c.Add("group-static", groupStatic)
	c.Add("commit-metadata", commitMetadata)
	c.Add("group-admin", groupAdmin)
	c.Add("txn-commit-abort", txnCommitAbort)
	c.Add("txn-offsets", txnOffsets)
	c.Add("txn-fence", txnFence)
	c.Add("topic-delete", topicDelete)
	c.Main("franz-go " + c.Version("github.com/twmb/franz-go"))
}
