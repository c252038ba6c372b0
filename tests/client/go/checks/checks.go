// Package checks is the register of named checks that the Go client programs of this suite share.
//
// Each check prints one line: "ok NAME", "not ok NAME: why" or "skip NAME: why". Lines that begin with "# " are
// remarks; the first of them names the client and its version. The package knows no Kafka client.
package checks

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

const MiB = 1 << 20

// T is what a check is given: its time limit and the ways to end early.
type T struct{ Ctx context.Context }

type failure struct{ why string }
type skipped struct{ why string }

// Fail ends the check as failed.
func (t *T) Fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// Skip ends the check as one that does not apply to this client.
func (t *T) Skip(format string, args ...any) { panic(skipped{fmt.Sprintf(format, args...)}) }

// OK ends the check as failed if err is set.
func (t *T) OK(what string, err error) {
	if err != nil {
		t.Fail("%s: %v", what, err)
	}
}

// True ends the check as failed unless fact holds.
func (t *T) True(fact bool, format string, args ...any) {
	if !fact {
		t.Fail(format, args...)
	}
}

// Equal compares two values by how they print.
func (t *T) Equal(what string, got, want any) {
	g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want)
	if g != w {
		t.Fail("%s: got %s, expected %s", what, short(g), short(w))
	}
}

func short(s string) string {
	if len(s) > 240 {
		return fmt.Sprintf("%s... (%d characters)", s[:160], len(s))
	}
	return s
}

// Until calls fact until it is true.
func (t *T) Until(what string, fact func() bool) {
	deadline := time.Now().Add(40 * time.Second)
	for !fact() {
		t.True(time.Now().Before(deadline) && t.Ctx.Err() == nil, "%s: not so in time", what)
		time.Sleep(50 * time.Millisecond)
	}
}

type entry struct {
	name string
	fn   func(*T)
	slow bool
}

var (
	entries []entry
	topics  []string
	// Run is the prefix of every topic and group of this process.
	Run = "t" + hex.EncodeToString(Noise(3))
)

// Add registers a check.
func Add(name string, fn func(*T)) { entries = append(entries, entry{name, fn, false}) }

// AddSlow registers a check that the quick subset leaves out.
func AddSlow(name string, fn func(*T)) { entries = append(entries, entry{name, fn, true}) }

// Topic returns a topic name of this run and remembers it for the last check, which deletes them all.
func Topic(tag string) string {
	name := Run + "-" + tag
	for _, t := range topics {
		if t == name {
			return name
		}
	}
	topics = append(topics, name)
	return name
}

// Topics returns every name that Topic gave out.
func Topics() []string { return append([]string(nil), topics...) }

// Group returns a group name of this run.
func Group(tag string) string { return Run + "-group-" + tag }

// Noise returns n bytes that no codec makes smaller.
func Noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Values returns count distinct values of size bytes, half noise and half repeats.
func Values(count, size int) [][]byte {
	out := make([][]byte, count)
	for i := range out {
		b := []byte(fmt.Sprintf("%08d:", i))
		for sum := sha256.Sum256(b); len(b) < size/2; {
			b = append(b, sum[:]...)
		}
		out[i] = append(b, strings.Repeat("a", size)...)[:size]
	}
	return out
}

// Bootstrap returns the broker's address from the command line.
func Bootstrap() string {
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "usage: %s HOST:PORT [CHECK...]\n", os.Args[0])
		os.Exit(2)
	}
	return os.Args[1]
}

// Version returns the version of a module that this program was built with.
func Version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == module {
				return dep.Version
			}
		}
	}
	return "unknown"
}

func runOne(e entry) (line string) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		defer func() {
			switch why := recover().(type) {
			case nil:
				done <- "ok " + e.name
			case skipped:
				done <- "skip " + e.name + ": " + why.why
			case failure:
				done <- "not ok " + e.name + ": " + strings.Join(strings.Fields(why.why), " ")
			default:
				done <- fmt.Sprintf("not ok %s: panic: %v", e.name, why)
			}
		}()
		e.fn(&T{ctx})
	}()
	select {
	case line = <-done:
	case <-time.After(95 * time.Second):
		line = "not ok " + e.name + ": not done after 95 s"
	}
	return line
}

// Main runs all checks, or those named after the bootstrap address, and ends the program.
func Main(title string) {
	fmt.Println("# " + title)
	only := map[string]bool{}
	for _, name := range os.Args[2:] {
		only[name] = true
	}
	quick, status := os.Getenv("CHECKS_QUICK") == "1", 0
	for _, e := range entries {
		if (len(only) > 0 && !only[e.name]) || (e.slow && quick && len(only) == 0) {
			continue
		}
		began := time.Now()
		line := runOne(e)
		fmt.Println(line)
		fmt.Printf("# %s took %.2f s\n", e.name, time.Since(began).Seconds())
		if strings.HasPrefix(line, "not ok") {
			status = 1
		}
	}
	os.Exit(status)
}
