package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/tokens"
)

const (
	// authBucket and workerKey are where the key of the workers' tokens is: all
	// runtimes of a cluster have to know it, and no service gives it away.
	authBucket = "auth"
	workerKey  = "worker-key"
	// keySize is the length of the key.
	keySize = 32
	// lookAgain is how often the file of tokens is looked at.
	lookAgain = 2 * time.Second
	// maxTokenFile is the size of the largest file of tokens.
	maxTokenFile = 1 << 20
)

// openTokens makes the tokens known that callers may have, if they need one.
func (d *Daemon) openTokens(ctx context.Context) error {
	if d.tokens == nil {
		return nil
	}
	key, err := d.workerKey(ctx)
	if err != nil {
		return fmt.Errorf("cannot get the key of workers' tokens: %w", err)
	}
	d.tokens.SetKey(key)
	path := d.conf.Authentication.TokenFile
	list, stamp, err := d.readTokens(path)
	if err != nil {
		return err
	}
	d.tokens.Set(list)
	if path == "" {
		return nil
	}
	life, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.followTokens(life, path, stamp)
	}()
	d.onStop("token file", func(context.Context) error {
		end()
		<-done
		return nil
	})
	return nil
}

// workerKey is the key of the workers' tokens, made by the first runtime that asks.
func (d *Daemon) workerKey(ctx context.Context) ([]byte, error) {
	kv, err := d.state.KV(ctx, authBucket, jetstream.KVOptions{})
	if err != nil {
		return nil, err
	}
	fresh := make([]byte, keySize)
	rand.Read(fresh)
	if _, err := kv.Create(ctx, workerKey, fresh, jetstream.WriteOptions{}); err == nil {
		return fresh, nil
	} else if !errors.Is(err, jetstream.ErrExists) {
		return nil, err
	}
	e, err := kv.Get(ctx, workerKey)
	if err == nil && len(e.Value) != keySize {
		err = fmt.Errorf("it has %d bytes, want %d", len(e.Value), keySize)
	}
	return e.Value, err
}

// readTokens gives the tokens of the configuration and of a file, if there is one, and
// what the file was made of.
func (d *Daemon) readTokens(path string) (list []tokens.Token, text []byte, err error) {
	for _, line := range d.conf.Authentication.Tokens {
		t, err := tokens.Parse(line)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read authentication.tokens: %w", err)
		}
		list = append(list, t)
	}
	if path == "" {
		return list, nil, nil
	}
	more, text, err := readTokenFile(path)
	if err == nil {
		list = slices.Concat(list, more)
		err = tokens.Check(list)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read tokens in %s: %w", path, err)
	}
	return list, text, nil
}

func readTokenFile(path string) ([]tokens.Token, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxTokenFile {
		return nil, nil, fmt.Errorf("it is larger than %d bytes", maxTokenFile)
	}
	list, err := tokens.ParseList(string(text))
	return list, text, err
}

// followTokens reads the file again and again, until ctx ends: what is taken out of it
// must not let anybody in for long. While it cannot be read the last list counts.
func (d *Daemon) followTokens(ctx context.Context, path string, last []byte) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	failed := ""
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		list, text, err := d.readTokens(path)
		if err != nil {
			if failed != err.Error() { // once is enough
				failed = err.Error()
				d.log.Error("the tokens stay as they were", "cause", err)
			}
			continue
		}
		failed = ""
		if !bytes.Equal(text, last) {
			last = text
			d.tokens.Set(list)
			d.log.Info("tokens have changed", "file", path, "tokens", len(list))
		}
	}
}
