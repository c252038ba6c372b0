// Command history is franz-go under faults: an idempotent producer, and two consumers of a group that commit. Arguments: HISTORY
// BOOTSTRAP TOPIC PARTITIONS NAME. What it is told is written as tests/fault/history.py says. SIGTERM: everything in flight is
// delivered, then it ends with 0.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	perTurn     = 5
	pause       = 50 * time.Millisecond
	commitEvery = 500 * time.Millisecond
	finishLimit = 60 * time.Second
)

type load struct {
	mu                     sync.Mutex
	file                   *bufio.Writer
	bootstrap, topic, name string
	next                   []int
}

// now is CLOCK_MONOTONIC in seconds, which all processes share.
func now() float64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}

func (l *load) write(do, by string, partition int32, rest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.file, `{"t":%.6f,"by":%q,"do":%q,"of":[%q,%d],%s}`+"\n", now(), by, do, l.topic, partition, rest)
}

// row is [producer, number, checksum] of PRODUCER:PARTITION:NUMBER:filling.
func row(value []byte) string {
	parts := bytes.SplitN(value, []byte(":"), 4)
	if len(parts) == 4 {
		if n, err := strconv.Atoi(string(parts[2])); err == nil {
			return fmt.Sprintf("[%q,%d,%d]", parts[0], n, crc32.ChecksumIEEE(value))
		}
	}
	return fmt.Sprintf(`["?",-1,%d]`, crc32.ChecksumIEEE(value))
}

func (l *load) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(l.bootstrap, ",")...),
		kgo.RequestTimeoutOverhead(4 * time.Second), kgo.DialTimeout(2 * time.Second)}, opts...)...)
}

func (l *load) produce(finish <-chan os.Signal) error {
	cl, err := l.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // the codec that the other readers know
		kgo.RecordDeliveryTimeout(2*time.Minute))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		for p := range l.next {
			l.send(cl, int32(p))
		}
		select {
		case <-finish:
			ctx, cancel := context.WithTimeout(context.Background(), finishLimit)
			defer cancel()
			return cl.Flush(ctx)
		case <-time.After(pause):
		}
	}
}

func (l *load) send(cl *kgo.Client, p int32) {
	by, first := fmt.Sprintf("%s-%d", l.name, p), l.next[p]
	l.next[p] += perTurn
	l.write("send", by, p, fmt.Sprintf(`"n":%d,"count":%d`, first, perTurn))
	for n := first; n < first+perTurn; n++ {
		value := []byte(fmt.Sprintf("%s:%d:%d:%s", by, p, n, strings.Repeat("g", n%100)))
		since := now()
		cl.Produce(context.Background(), &kgo.Record{Topic: l.topic, Partition: p, Value: value}, func(r *kgo.Record, err error) {
			if err != nil {
				l.write("refused", by, p, fmt.Sprintf(`"what":"Produce, number %d","error":%q`, n, err.Error()))
				return
			}
			l.write("ack", by, p, fmt.Sprintf(`"since":%.6f,"at":%d,"n":%d,"sums":[%d]`, since, r.Offset, n, crc32.ChecksumIEEE(value)))
		})
	}
}

func (l *load) consume(done context.Context, number int) error {
	group, by := l.name+"-group", fmt.Sprintf("%s-%d-reader", l.name, number)
	cl, err := l.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(l.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(1500*time.Millisecond),
		kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	for due := (time.Time{}); done.Err() == nil; {
		ctx, cancel := context.WithTimeout(done, 200*time.Millisecond)
		fetches := cl.PollFetches(ctx) // errors pass or are the library's to mend; what does not shows in the end
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			l.write("read", by, r.Partition, fmt.Sprintf(`"at":%d,"rows":[%s]`, r.Offset, row(r.Value)))
		})
		if time.Now().After(due) {
			l.commit(cl, group, by)
			due = time.Now().Add(commitEvery)
		}
	}
	return nil
}

func (l *load) commit(cl *kgo.Client, group, by string) {
	offsets, since := cl.UncommittedOffsets()[l.topic], now()
	if len(offsets) == 0 {
		return
	}
	for p, at := range offsets {
		l.write("commit?", by, p, fmt.Sprintf(`"group":%q,"offset":%d`, group, at.Offset))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if cl.CommitUncommittedOffsets(ctx) != nil {
		return // not acknowledged: nothing was promised
	}
	committed := cl.CommittedOffsets()[l.topic]
	for p, at := range offsets {
		if known, ok := committed[p]; ok && known.Offset >= at.Offset {
			l.write("commit", by, p, fmt.Sprintf(`"group":%q,"offset":%d,"since":%.6f`, group, at.Offset, since))
		}
	}
}

func run() error {
	file, err := os.Create(os.Args[1])
	if err != nil {
		return err
	}
	partitions, err := strconv.Atoi(os.Args[4])
	if err != nil {
		return err
	}
	l := &load{file: bufio.NewWriter(file), bootstrap: os.Args[2], topic: os.Args[3], next: make([]int, partitions), name: os.Args[5]}
	finish := make(chan os.Signal, 1)
	signal.Notify(finish, syscall.SIGTERM)
	done, end := context.WithCancel(context.Background())
	errs := make(chan error, 2)
	for number := 1; number <= 2; number++ {
		go func() { errs <- l.consume(done, number) }()
	}
	err = l.produce(finish)
	end()
	for range 2 {
		if why := <-errs; err == nil {
			err = why
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if why := l.file.Flush(); err == nil {
		err = why
	}
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
