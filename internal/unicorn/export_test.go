package unicorn

import (
	"bytes"
	"context"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// CheckArguments decodes arguments of a method and encodes them again.
func CheckArguments(t *testing.T, b []byte, method uint8) {
	decode := func(b []byte) (arguments, error) {
		r := msgpack.NewReader(b)
		r.Array()
		return readArguments(&r, uint64(method))
	}
	a, err := decode(b)
	if err != nil {
		return
	}
	again := msgpack.AppendString(msgpack.AppendArray(nil, 3), a.path)
	again = append(again, a.value...)
	switch uint64(method) {
	case idl.UnicornPut, idl.UnicornDel, idl.UnicornRemove:
		again = msgpack.AppendInt(again, a.version)
	}
	again = msgpack.AppendNil(again) // no method has three and misses one
	again = append(again, 0xc0, 0xc0)
	c, err := decode(again)
	if err != nil || c.path != a.path || !bytes.Equal(c.value, a.value) || c.version != a.version {
		t.Errorf("%x is read as %+v, which is read as %+v, %v", b, a, c, err)
	}
	if a.value != nil && msgpack.Extent(a.value, msgpack.MaxDepth) != len(a.value) {
		t.Errorf("%x is no value", a.value)
	}
	if CheckPath(a.path) == nil {
		if path, err := parseKey(key(a.path)); err != nil || path != a.path {
			t.Errorf("path %q comes back as %q, %v", a.path, path, err)
		}
	}
}

// OpenShared opens a store as if other runtimes used the same state engine.
func OpenShared(ctx context.Context, state *jetstream.State) (*JetStream, error) {
	return openJetStream(ctx, state, false)
}

// Expire ends the session of a store behind its back.
func (s *JetStream) Expire(ctx context.Context) error {
	_, err := s.lease.kv.Delete(ctx, s.lease.id, 0)
	return err
}

// Beat does now what a store does from time to time.
func (s *JetStream) Beat(ctx context.Context) { s.lease.beat(ctx) }
