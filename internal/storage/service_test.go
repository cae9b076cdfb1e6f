package storage_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// serve makes a store listen on TCP and returns where.
func serve(t *testing.T, s storage.Store) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerOptions{Session: rpc.SessionOptions{Limits: wire.Limits{MaxFrame: 128 << 20}}})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(context.Background(), ln, storage.Service(s, rpc.MuxOptions{})); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		serving.Wait()
	})
	return ln.Addr().String()
}

func play(t *testing.T, s storage.Store) *rpctest.Peer {
	t.Helper()
	conn, err := net.Dial("tcp", serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	p := rpctest.Play(t, conn)
	t.Cleanup(p.Close)
	return p
}

func TestService(t *testing.T) {
	p := play(t, storage.NewMemory())
	p.Send(1, idl.StorageWrite, "testcol", "key1", "value \x00\x01\xff bytes", []string{"tagA", "tagB"})
	p.Want(1, idl.Value)
	p.Send(2, idl.StorageWrite, "testcol", "key2", "v2")
	p.Want(2, idl.Value)
	p.Send(3, idl.StorageRead, "testcol", "key1")
	p.Want(3, idl.Value, "value \x00\x01\xff bytes")
	p.Send(4, idl.StorageFind, "testcol", []string{"tagA", "tagB"})
	p.Want(4, idl.Value, []string{"key1"})
	p.Send(5, idl.StorageFind, "testcol", []string{})
	p.Want(5, idl.Value, []string{})
	p.Send(6, idl.StorageFind, "nocol", []string{"tagA"})
	p.Want(6, idl.Value, []string{})
	p.Send(7, idl.StorageRemove, "testcol", "key1")
	p.Want(7, idl.Value)
	p.Send(8, idl.StorageRemove, "testcol", "key1")
	p.Want(8, idl.Value)
	p.Send(9, idl.StorageRead, "testcol", "key1")
	if text := p.WantError(9, idl.CategoryGeneric, 2); text != "testcol/key1: No such file or directory" {
		t.Errorf("read of a missing key answers %q", text)
	}
	p.Send(10, idl.StorageWrite, "c", "k", "v", []string{"a"}, "one argument", "more")
	p.Want(10, idl.Value) // as the original, which ignores it
}

// slow is a store whose reads end with their client, and whose writes take until one has.
type slow struct {
	storage.Store
	gone   chan struct{}
	result chan error
}

func (s slow) Read(ctx context.Context, _, _ string) ([]byte, error) {
	<-ctx.Done()
	close(s.gone)
	return nil, ctx.Err()
}

func (s slow) Write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	<-s.gone
	err := s.Store.Write(ctx, collection, key, value, tags)
	s.result <- err
	return err
}

// The original cocaine-tool does not wait for the answer of its last write: it hangs up.
func TestWriteOfClientThatHangsUp(t *testing.T) {
	s := slow{storage.NewMemory(), make(chan struct{}), make(chan error, 1)}
	p := play(t, s)
	p.Send(1, idl.StorageWrite, "runlists", "r", "{}", []string{"runlist"})
	p.Send(2, idl.StorageRead, "runlists", "r")
	p.Close()
	if err := <-s.result; err != nil {
		t.Errorf("the write ended with %v", err)
	}
}

// TestServiceBytes pins the frames themselves: requests as old clients send them,
// answers as they expect them.
func TestServiceBytes(t *testing.T) {
	p := play(t, storage.NewMemory())
	long := strings.Repeat("78", 300)
	for _, step := range []struct{ send, want string }{
		// write without headers, read with empty ones
		{"930101 94a774657374636f6ca36b6579a576616c756591a3746167", "9401009090"},
		{"940200 92a774657374636f6ca36b6579 90", "94020091a576616c756590"},
		// raw16 from 32 bytes on, also when the request used bin8 and str8
		{"930301 93 a163 d9016b da012c" + long, "9403009090"},
		{"930400 92 c40163 a16b", "94040091da012c" + long + "90"},
		{"930503 92 a774657374636f6c 91a3746167", "9405009191a36b657990"},
	} {
		send, err := hex.DecodeString(strings.ReplaceAll(step.send, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(step.want)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(send)
		got := make([]byte, len(want))
		if _, err := readFull(p.Conn(), got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is answered with\n%x, want\n%x", step.send, got, want)
		}
	}
}

func readFull(c net.Conn, p []byte) (n int, err error) {
	if err := c.SetReadDeadline(time.Now().Add(rpctest.Patience)); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		var m int
		m, err = c.Read(p[n:])
		n += m
	}
	return n, err
}

func TestServiceErrors(t *testing.T) {
	p := play(t, storage.NewMemory())
	channel := uint64(0)
	want := func(category, code int, typ uint64, args ...any) {
		t.Helper()
		channel++
		p.Send(channel, typ, args...)
		p.WantError(channel, category, code)
	}
	// Arguments that do not decode.
	want(idl.CategoryDispatch, 2, idl.StorageRead)
	want(idl.CategoryDispatch, 2, idl.StorageRead, "c")
	want(idl.CategoryDispatch, 2, idl.StorageRead, "c", 1)
	want(idl.CategoryDispatch, 2, idl.StorageWrite, "c", "k")
	want(idl.CategoryDispatch, 2, idl.StorageWrite, "c", "k", nil)
	want(idl.CategoryDispatch, 2, idl.StorageWrite, "c", "k", "v", nil)
	want(idl.CategoryDispatch, 2, idl.StorageWrite, "c", "k", "v", []any{1})
	want(idl.CategoryDispatch, 2, idl.StorageFind, "c")
	want(idl.CategoryDispatch, 2, idl.StorageFind, "c", "tag")
	want(idl.CategoryDispatch, 2, idl.StorageRemove, nil, nil)
	want(idl.CategoryDispatch, 2, idl.StorageFind, "c", make([]string, 5000))
	// Names.
	want(idl.CategoryGeneric, 22, idl.StorageRead, "c", "../manifests/x")
	want(idl.CategoryGeneric, 22, idl.StorageWrite, "", "k", "v")
	want(idl.CategoryGeneric, 22, idl.StorageWrite, "c", "k", "v", []string{".."})
	want(idl.CategoryGeneric, 22, idl.StorageRemove, "/c", "k")
	want(idl.CategoryGeneric, 22, idl.StorageFind, "a/../c", []string{"t"})
	// The connection has survived all that.
	channel++
	p.Send(channel, idl.StorageWrite, "c", "k", "v")
	p.Want(channel, idl.Value)
}

// failing is a store that fails.
type failing struct {
	storage.Store
	err error
}

func (f failing) Read(context.Context, string, string) ([]byte, error) { return nil, f.err }

func TestServiceFailures(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
	}{
		{storage.ErrTooLarge, 27},
		{storage.ErrDamaged, 5},
		{errors.New("the disk is on fire"), 5},
		{context.DeadlineExceeded, 110},
	} {
		p := play(t, failing{err: tt.err})
		p.Send(1, idl.StorageRead, "c", "k")
		if text := p.WantError(1, idl.CategoryGeneric, tt.code); !strings.Contains(text, tt.err.Error()) {
			t.Errorf("%v is answered with %q", tt.err, text)
		}
		p.Close()
	}
}

func TestServiceLargeValue(t *testing.T) {
	size := 100 << 20
	if testing.Short() {
		size = 10 << 20
	}
	addr := serve(t, openStore(t, openState(t, t.TempDir())))
	s, err := rpc.Dial(t.Context(), "tcp", addr, rpc.SessionOptions{Limits: wire.Limits{MaxFrame: 128 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Wait()
	defer s.Close()
	value := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	call := func(typ uint64, args []byte) []byte {
		t.Helper()
		st, err := s.Call(t.Context(), typ, args, rpc.CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := st.Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.Args
	}
	args := msgpack.AppendArray(nil, 3)
	args = msgpack.AppendString(args, "apps")
	args = msgpack.AppendString(args, "large")
	call(idl.StorageWrite, msgpack.AppendBytes(args, value))
	args = msgpack.AppendArray(nil, 2)
	args = msgpack.AppendString(args, "apps")
	args = msgpack.AppendString(args, "large")
	r := msgpack.NewReader(call(idl.StorageRead, args))
	r.Array()
	if got := r.Bytes(); !bytes.Equal(got, value) {
		t.Errorf("%d bytes come back as %d others, %v", size, len(got), r.Err())
	}
}
