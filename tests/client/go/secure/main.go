// Command secure is franz-go that says who it is. See tests/client/secure/README.md for the command line.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const limit = 40 * time.Second

type who struct {
	Protocol, Mechanism, User, Password, CA, Certificate, Key, JWT string
	ByToken                                                        bool `json:"by_token"`
}

func (w who) mechanism() (sasl.Mechanism, error) {
	if w.JWT != "" {
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := os.ReadFile(w.JWT)
			return oauth.Auth{Token: string(token)}, err
		}), nil
	}
	auth := scram.Auth{User: w.User, Pass: w.Password, IsToken: w.ByToken}
	switch w.Mechanism {
	case "PLAIN":
		return plain.Auth{User: w.User, Pass: w.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return auth.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return auth.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("no mechanism is called %q", w.Mechanism)
}

func (w who) tls() (*tls.Config, error) {
	pem, err := os.ReadFile(w.CA)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(pem)
	if w.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(w.Certificate, w.Key)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

func (w who) client(address string, more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation()}, more...)
	if strings.HasSuffix(w.Protocol, "SSL") {
		conf, err := w.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if strings.HasPrefix(w.Protocol, "SASL") {
		mechanism, err := w.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return kgo.NewClient(opts...)
}

func produce(ctx context.Context, cl *kgo.Client, topic string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(lines.Text())}).FirstErr(); err != nil {
			return err
		}
	}
	return lines.Err()
}

func consume(ctx context.Context, cl *kgo.Client, count int) error {
	for count > 0 {
		got := cl.PollRecords(ctx, count)
		if errs := got.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		got.EachRecord(func(r *kgo.Record) { fmt.Println(string(r.Value)); count-- })
	}
	return nil
}

// keep produces one record at a time for a while on the same connection.
func keep(ctx context.Context, cl *kgo.Client, topic string, seconds float64) error {
	sent := 0
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); time.Now().Before(end); sent++ {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(sent))}).FirstErr(); err != nil {
			return fmt.Errorf("record %d: %w", sent, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Println(sent)
	return nil
}

func run(args []string) error {
	var w who
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return err
	}
	what, address, args := args[1], args[2], args[3:]
	var more []kgo.Opt
	if what == "consume" {
		more = []kgo.Opt{kgo.ConsumeTopics(args[0]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	}
	cl, err := w.client(address, more...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch what {
	case "produce":
		return produce(ctx, cl, args[0])
	case "consume":
		count, _ := strconv.Atoi(args[1])
		return consume(ctx, cl, count)
	case "keep":
		seconds, _ := strconv.ParseFloat(args[1], 64)
		return keep(ctx, cl, args[0], seconds)
	case "enter":
		return cl.Ping(ctx)
	}
	return errors.New("produce, consume, keep or enter")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
