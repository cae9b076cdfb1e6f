package rpc

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// model is a queue of frames as one slice of bytes.
type model []byte

func (m *model) append(channel, typ uint64, args, headers []byte) {
	*m = wire.AppendFrame(*m, wire.Frame{Channel: channel, Type: typ, Args: args, Headers: headers})
}

// content reads a queue.
func content(q *frames) []byte {
	var all []byte
	for c := q.head; c != nil; c = c.next {
		all = append(all, c.b[c.r:c.w]...)
	}
	return all
}

// A queue of chunks holds the bytes that were put into it, whatever their sizes,
// and so does one that takes over another.
func TestFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	sizes := []int{0, 1, 100, smallChunk - 40, smallChunk, largeChunk, 3 * largeChunk}
	for range 200 {
		var q, staged frames
		var want, wantStaged model
		for range r.IntN(12) {
			to, expect := &q, &want
			if r.IntN(2) == 0 {
				to, expect = &staged, &wantStaged
			}
			channel := uint64(1) << r.IntN(64)
			args := append([]byte{0xdb, 0, 0, 0, 0}, make([]byte, sizes[r.IntN(len(sizes))])...)
			switch r.IntN(3) {
			case 0:
				to.append(channel, uint64(r.IntN(300)), nil, nil)
				*expect = (*expect)[:0]
				to.drop()
			case 1:
				to.append(channel, 5, args, nil)
				expect.append(channel, 5, args, emptyArray)
			default:
				to.appendLast(channel, args, nil, emptyArray)
				expect.append(channel, idl.Write, args, emptyArray)
				expect.append(channel, idl.Close, emptyArray, emptyArray)
			}
			if got := content(to); !bytes.Equal(got, *expect) || to.size != len(*expect) {
				t.Fatalf("the queue holds %d bytes and says %d, want %d", len(got), to.size, len(*expect))
			}
		}
		q.take(&staged)
		want = append(want, wantStaged...)
		if got := content(&q); !bytes.Equal(got, want) || q.size != len(want) {
			t.Fatalf("after taking over the queue holds %d bytes and says %d, want %d", len(got), q.size, len(want))
		}
		if staged.size != 0 || staged.head != nil || staged.tail != nil {
			t.Fatal("what was taken is still there")
		}
		q.append(1, 2, nil, nil) // where the tail is
		want.append(1, 2, emptyArray, emptyArray)
		if !bytes.Equal(content(&q), want) {
			t.Fatal("what is appended after taking over is lost")
		}
		q.drop()
	}
}
