// Command copy is franz-go copying a topic in transactions; see tests/client/eos/README.md for the command line. A transaction whose
// outcome is not known is given up by ending the process: its successor fences it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	perTransaction = 40
	openMax        = 150 * time.Millisecond
	settle         = 120 * time.Second
)

// fill makes records of the lines "PARTITION VALUE" of standard input, in their order.
func fill(bootstrap, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.RecordDeliveryTimeout(settle))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed atomic.Value
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		partition, value, _ := strings.Cut(in.Text(), " ")
		p, err := strconv.Atoi(partition)
		if err != nil {
			return err
		}
		cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: int32(p), Value: []byte(value)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(err)
				}
			})
	}
	if err := cl.Flush(context.Background()); err != nil {
		return err
	}
	err, _ = failed.Load().(error)
	return err
}

// read prints all that readers of this level see now, as lines "PARTITION VALUE".
func read(bootstrap, topic, level string) error {
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	isolation, list := kgo.ReadUncommitted(), kadm.NewClient(cl).ListEndOffsets
	if level == "read_committed" {
		isolation, list = kgo.ReadCommitted(), kadm.NewClient(cl).ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().At(0)
		}
	})
	if len(left) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer reader.Close()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	// Control records are kept, since the last one of a partition may be all that is at its end.
	for len(left) > 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			end, reading := left[r.Partition]
			if reading && r.Offset < end && !r.Attrs.IsControl() {
				fmt.Fprintf(out, "%d %s\n", r.Partition, r.Value)
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return ctx.Err()
}

func pause() { time.Sleep(time.Duration(rand.Int63n(int64(openMax)))) }

func copyOnce(session *kgo.GroupTransactSession, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	records := session.PollRecords(ctx, perTransaction).Records() // errors pass, or show in the end
	cancel()
	if len(records) == 0 {
		return nil
	}
	if err := session.Begin(); err != nil {
		return err
	}
	failed := kgo.AbortingFirstErrPromise(session.Client())
	for _, r := range records {
		session.Produce(context.Background(), &kgo.Record{Topic: target, Partition: r.Partition, Value: r.Value}, failed.Promise())
	}
	pause()
	broken := failed.Err()
	done, err := session.End(context.Background(), kgo.TransactionEndTry(broken == nil))
	if !done {
		fmt.Fprintf(os.Stderr, "aborted: %v, %v\n", broken, err)
	}
	pause()
	return err
}

func copyLoop(bootstrap, source, target, group, id, instance string, sessionLimit time.Duration) error {
	opts := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.TransactionalID(id), kgo.ConsumerGroup(group), kgo.ConsumeTopics(source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(sessionLimit), kgo.HeartbeatInterval(sessionLimit / 4), kgo.TransactionTimeout(20 * time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression())} // the codec that the other reader knows
	if instance != "-" {
		opts = append(opts, kgo.InstanceID(instance))
	}
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return err
	}
	defer session.Close()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	for {
		select {
		case <-term:
			return nil
		default:
		}
		if err := copyOnce(session, target); err != nil {
			return err
		}
	}
}

func main() {
	a := os.Args[1:]
	var err error
	switch a[0] {
	case "fill":
		err = fill(a[1], a[2])
	case "read":
		err = read(a[1], a[2], a[3])
	default:
		var ms int
		if ms, err = strconv.Atoi(a[7]); err == nil {
			err = copyLoop(a[1], a[2], a[3], a[4], a[5], a[6], time.Duration(ms)*time.Millisecond)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ends:", err)
		os.Exit(3)
	}
}
