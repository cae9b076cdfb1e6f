package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	nats_js "github.com/nats-io/nats.go/jetstream"
)

const (
	// chunkSize is how a blob is cut. Smaller chunks cost an fsync each, larger
	// ones memory: the engine and the client hold a few at a time.
	chunkSize = 512 << 10
	// chunksInFlight is how many chunks may wait for their acknowledgement, so
	// that copying the next ones overlaps with the fsync.
	chunksInFlight = 4
	// cleanupTimeout bounds the removal of what a failed Put has written.
	cleanupTimeout = 5 * time.Second
	// head is the last token of the subject of the message that completes a blob.
	head = "head"
)

// Blobs is a bucket of large values, each written once under its own name and
// read as a stream. A blob appears when its last byte is durable, and not before.
// To replace a value, write a new blob, point to it from a KV, and delete the old
// one: a reader who loses the race gets ErrNotFound, never a mixture.
type Blobs struct {
	bucket  string
	subject string
	state   *State
	stream  nats_js.Stream
	chunk   int
}

// BlobInfo is one blob of a listing.
type BlobInfo struct {
	Name string
	// Complete is false while a blob is being written or deleted, and for what a
	// crash left of one.
	Complete bool
}

// Blobs opens a bucket of blobs and creates it when it is missing.
func (s *State) Blobs(ctx context.Context, bucket string) (*Blobs, error) {
	if !validName(bucket) {
		return nil, fmt.Errorf("cannot open blobs %q: %w", bucket, errBadName)
	}
	name := s.opts.Prefix + "_" + bucket
	subject := "$BLOB." + name + "."
	stream, err := s.ensureStream(ctx, nats_js.StreamConfig{
		Name:              "BLOB_" + name,
		Subjects:          []string{subject + ">"},
		MaxMsgsPerSubject: 1,
		Replicas:          s.opts.Replicas,
		AllowDirect:       true,
		Duplicates:        noDuplicates,
	})
	if err != nil {
		return nil, cannot("open blobs", bucket, err)
	}
	chunk := min(chunkSize, int(s.conn.MaxPayload())-headRoom)
	return &Blobs{bucket: bucket, subject: subject, state: s, stream: stream, chunk: chunk}, nil
}

// Put writes the blob name, one token as EncodeKey makes it, from r to its end.
// The name must be new. When Put fails, it removes what it wrote as far as it can;
// the rest shows in List as incomplete.
func (b *Blobs) Put(ctx context.Context, name string, r io.Reader) (size int64, err error) {
	if err := checkToken(name); err != nil {
		return 0, cannot("write", b.object(name), err)
	}
	size, chunks, err := b.putChunks(ctx, name, r)
	if err == nil {
		h := nats.Header{nats_js.ExpectedLastSubjSeqHeader: {"0"}}
		err = b.putHead(ctx, name, size, chunks, h)
	}
	if err != nil {
		// The context may be what failed.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		return 0, errors.Join(cannot("write", b.object(name), err), b.Delete(cleanup, name))
	}
	return size, nil
}

func (b *Blobs) putChunks(ctx context.Context, name string, r io.Reader) (size int64, chunks int, err error) {
	var flying []nats_js.PubAckFuture
	// A buffer in flight must stay as it is, so there is one for each place.
	var buffers [chunksInFlight][]byte
	for {
		if len(flying) == chunksInFlight {
			if err := acked(ctx, flying[0]); err != nil {
				return 0, 0, err
			}
			flying = append(flying[:0], flying[1:]...)
		}
		buffer := &buffers[chunks%chunksInFlight]
		if *buffer == nil {
			*buffer = make([]byte, b.chunk)
		}
		n, readErr := io.ReadFull(r, *buffer)
		if n > 0 {
			// What is in flight is not on the disk yet.
			if err := b.state.checkSpace((len(flying)+1)*b.chunk, reserve); err != nil {
				return 0, 0, err
			}
			future, err := b.state.js.PublishMsgAsync(&nats.Msg{Subject: b.chunkSubject(name, chunks), Data: (*buffer)[:n]})
			if err != nil {
				return 0, 0, err
			}
			flying = append(flying, future)
			size, chunks = size+int64(n), chunks+1
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return 0, 0, readErr
		}
	}
	for _, f := range flying {
		if err := acked(ctx, f); err != nil {
			return 0, 0, err
		}
	}
	return size, chunks, nil
}

func acked(ctx context.Context, f nats_js.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putHead completes a blob: a reader that finds the head finds all chunks.
func (b *Blobs) putHead(ctx context.Context, name string, size int64, chunks int, h nats.Header) error {
	data := fmt.Appendf(nil, "%d %d", size, chunks)
	_, err := b.state.js.PublishMsg(ctx, &nats.Msg{Subject: b.subject + name + "." + head, Header: h, Data: data})
	return err
}

// Get opens a blob for reading and returns its size. A missing or incomplete blob
// is an error that wraps ErrNotFound, and so is a read from a blob that is
// deleted meanwhile. ctx bounds the reads as well.
func (b *Blobs) Get(ctx context.Context, name string) (r io.Reader, size int64, err error) {
	if err := checkToken(name); err != nil {
		return nil, 0, cannot("read", b.object(name), err)
	}
	m, err := b.stream.GetLastMsgForSubject(ctx, b.subject+name+"."+head)
	if err != nil {
		return nil, 0, cannot("read", b.object(name), err)
	}
	var chunks int
	if _, err := fmt.Sscanf(string(m.Data), "%d %d", &size, &chunks); err != nil {
		return nil, 0, cannot("read", b.object(name), ErrDamaged)
	}
	return &blobReader{ctx: ctx, blobs: b, name: name, chunks: chunks, left: size}, size, nil
}

// blobReader fetches one chunk after the other.
type blobReader struct {
	ctx    context.Context
	blobs  *Blobs
	name   string
	next   int
	chunks int
	left   int64 // bytes not yet returned
	chunk  []byte
}

func (r *blobReader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.next == r.chunks {
			if r.left != 0 {
				return 0, cannot("read", r.blobs.object(r.name), ErrDamaged)
			}
			return 0, io.EOF
		}
		m, err := r.blobs.stream.GetLastMsgForSubject(r.ctx, r.blobs.chunkSubject(r.name, r.next))
		if err != nil {
			return 0, cannot("read", r.blobs.object(r.name), err)
		}
		if int64(len(m.Data)) > r.left {
			return 0, cannot("read", r.blobs.object(r.name), ErrDamaged)
		}
		r.chunk = m.Data
		r.next++
	}
	n := copy(p, r.chunk)
	r.chunk, r.left = r.chunk[n:], r.left-int64(n)
	return n, nil
}

// Delete removes a blob, or what there is of it. A missing blob is no error.
func (b *Blobs) Delete(ctx context.Context, name string) error {
	if err := checkToken(name); err != nil {
		return cannot("delete", b.object(name), err)
	}
	// The head goes first: what a crash leaves behind is an incomplete blob.
	for _, subject := range []string{b.subject + name + "." + head, b.subject + name + ".>"} {
		if err := b.stream.Purge(ctx, nats_js.WithPurgeSubject(subject)); err != nil {
			return cannot("delete", b.object(name), err)
		}
	}
	return nil
}

// List returns all blobs, complete or not, in no order.
func (b *Blobs) List(ctx context.Context) ([]BlobInfo, error) {
	info, err := b.stream.Info(ctx, nats_js.WithSubjectFilter(b.subject+">"))
	if err != nil {
		return nil, cannot("list blobs", b.bucket, err)
	}
	complete := make(map[string]bool)
	for subject := range info.State.Subjects {
		name, part, _ := strings.Cut(strings.TrimPrefix(subject, b.subject), ".")
		complete[name] = complete[name] || part == head
	}
	list := make([]BlobInfo, 0, len(complete))
	for name, c := range complete {
		list = append(list, BlobInfo{Name: name, Complete: c})
	}
	return list, nil
}

func (b *Blobs) chunkSubject(name string, n int) string {
	return b.subject + name + "." + strconv.Itoa(n)
}

func (b *Blobs) object(name string) string { return "blob " + b.bucket + "/" + name }

func checkToken(name string) error {
	if strings.Contains(name, ".") {
		return fmt.Errorf("name %q has more than one token", name)
	}
	return checkKey(name)
}
