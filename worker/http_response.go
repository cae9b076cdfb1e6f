package worker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/httpwire"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// httpBuffer is how much of a body comes together before it is sent unasked.
	httpBuffer = 4 << 10
	// httpPiece is the largest chunk of a body. A large Write is cut, so that it
	// waits for a slow client while it goes out, and not only before.
	httpPiece = 32 << 10
	// httpChunkHead is what a chunk takes beside its bytes.
	httpChunkHead = 6
	// sniffLength is how much of a body tells its type.
	sniffLength = 512
)

// A response is the http.ResponseWriter of a request. Like any other it is used by
// one goroutine at a time.
//
//	open ── WriteHeader, Write ──▶ decided ── 4 KiB, Flush ──▶ begun ── finish ──▶ done
//	                                  └─────────── finish (in one piece) ──────────▶
type response struct {
	stream   *Stream
	isHead   bool
	room     int         // what buf may hold: httpBuffer, unless Options.MaxChunk is less
	header   http.Header // the handler's
	status   int         // 0 until decided
	decided  http.Header // header as it was then
	declared int64       // the Content-Length that the handler has set, or -1
	written  int64       // by the handler
	begun    bool        // the head has been sent
	done     bool
	buf      []byte // of the body; of the answer to HEAD, what tells its type
	err      error  // why nothing more can be sent

	reading, writing cutoff
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
)

func newResponse(ctx context.Context, s *Stream, isHead bool) *response {
	return &response{
		stream: s, isHead: isHead, room: atMostChunk(s, httpBuffer), header: make(http.Header), declared: -1,
		reading: cutoff{parent: ctx}, writing: cutoff{parent: ctx},
	}
}

// atMostChunk cuts a length down to what a chunk of the worker may hold.
func atMostChunk(s *Stream, n int) int {
	return max(1, min(n, s.c.run.opts.MaxChunk-httpChunkHead))
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	switch {
	case w.done, w.status != 0:
		w.stream.c.run.log.Warn("superfluous WriteHeader", "event", w.stream.Event(), "status", w.status, "superfluous", status)
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %d", status)) // as net/http does
	case status < 200 && status != http.StatusSwitchingProtocols:
		return // there is one head
	}
	w.status, w.decided = status, w.header.Clone()
	if length := w.decided.Get("Content-Length"); length != "" {
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil {
			w.stream.c.run.log.Warn("invalid Content-Length dropped", "event", w.stream.Event(), "value", length)
			w.decided.Del("Content-Length")
			return
		}
		w.declared = int64(n)
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if err := w.admit(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	if w.isHead {
		w.buf = append(w.buf, p[:min(len(p), sniffLength-len(w.buf))]...)
		return len(p), nil
	}
	if len(w.buf)+len(p) <= w.room {
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	return w.spill(p)
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	if w.isHead || len(w.buf)+len(s) > w.room {
		return w.Write([]byte(s))
	}
	if err := w.admit(len(s)); err != nil {
		return 0, err
	}
	w.buf = append(w.buf, s...)
	return len(s), nil
}

// admit decides whether n more bytes may be written.
func (w *response) admit(n int) error {
	if w.done {
		return errResponseDone
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if n > 0 && !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(n) > w.declared {
		return http.ErrContentLength
	}
	if w.err != nil {
		return w.err
	}
	w.written += int64(n)
	return nil
}

var errResponseDone = fmt.Errorf("cannot write response: handler has returned: %w", io.ErrClosedPipe)

// spill sends what waits and most of p; a rest that is small waits for more.
func (w *response) spill(p []byte) (n int, err error) {
	piece := atMostChunk(w.stream, httpPiece)
	for len(p)-n+len(w.buf) > w.room {
		take := min(len(p)-n, piece)
		if len(w.buf) > 0 { // sent in one piece with the first of p
			take = min(take, w.room-len(w.buf))
			w.buf = append(w.buf, p[n:n+take]...)
			err = w.send(w.buf, false)
			w.buf = w.buf[:0]
		} else {
			err = w.send(p[n:n+take], false)
		}
		if err != nil {
			return n, err
		}
		n += take
	}
	w.buf = append(w.buf, p[n:]...)
	return len(p), nil
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what waits, if only the head. It is what http.ResponseController
// calls.
func (w *response) FlushError() error {
	if w.done {
		return errResponseDone
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush(false)
}

// flush sends what waits, and with last the end of the stream.
func (w *response) flush(last bool) error {
	if w.isHead {
		return w.send(nil, last)
	}
	err := w.send(w.buf, last)
	w.buf = w.buf[:0]
	return err
}

// send sends the head, if that has not been done, and a piece of the body as one.
func (w *response) send(body []byte, last bool) error {
	if w.err != nil {
		return w.err
	}
	frames := make([][]byte, 0, 2)
	if !w.begun {
		frames = append(frames, w.head(body, last))
		w.begun = true
	}
	if len(body) > 0 { // an empty chunk means something else: httpwire.Head.EmptyEnds
		frames = append(frames, body)
	}
	switch {
	case last:
		w.err = w.stream.c.sendChunks(w.writing.spare(), true, frames...)
	case len(frames) > 0:
		if w.err = w.writing.err(); w.err == nil {
			w.err = w.stream.c.sendChunks(w.writing.context(), false, frames...)
		}
	}
	return w.err
}

// head packs the head of the response. body is how it begins, or, with whole, all
// of it.
func (w *response) head(body []byte, whole bool) []byte {
	h := w.decided
	w.trim(h)
	if w.isHead {
		body = w.buf
	}
	if bodyAllowed(w.status) {
		_, typed := h["Content-Type"]
		if !typed && len(body) > 0 && h.Get("Content-Encoding") == "" {
			h.Set("Content-Type", http.DetectContentType(body))
		}
		if whole && w.declared < 0 && (!w.isHead || w.written > 0) {
			h.Set("Content-Length", strconv.FormatInt(w.written, 10))
		}
	}
	return httpwire.AppendHead(nil, &httpwire.Head{Status: w.status, Fields: httpwire.AppendHeader(nil, h)})
}

// trim takes out what does not belong into the head.
func (w *response) trim(h http.Header) {
	h.Del("Transfer-Encoding")
	h.Del("Trailer")
	if !bodyAllowed(w.status) {
		h.Del("Content-Length")
	}
	if w.status == http.StatusNotModified {
		h.Del("Content-Type")
	}
	for name, values := range h {
		if !isToken(name) { // trailers by http.TrailerPrefix among them
			delete(h, name)
			continue
		}
		for i, v := range values {
			if !isFieldValue(v) {
				values[i] = strings.Map(printable, v)
			}
		}
	}
}

// printable keeps one header from becoming two.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return ' '
	}
	return r
}

// finish sends what the handler has left behind, and the end.
func (w *response) finish() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.done = true
	if w.declared > w.written && !w.isHead && bodyAllowed(w.status) {
		if err := w.flush(false); err != nil {
			return err
		}
		return fmt.Errorf("handler declared a Content-Length of %d and wrote %d bytes", w.declared, w.written)
	}
	return w.flush(true)
}

// release ends the deadlines.
func (w *response) release() {
	w.done = true
	w.reading.release()
	w.writing.release()
}

// SetReadDeadline bounds the reading of the request's body. It is called by
// http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	w.reading.set(t)
	return nil
}

// SetWriteDeadline bounds the waiting for a client that does not read. It is called
// by http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.writing.set(t)
	return nil
}

// EnableFullDuplex does nothing: the two directions are independent of each other.
func (w *response) EnableFullDuplex() error { return nil }

// Hijack fails. It is here to say why.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fmt.Errorf("cannot hijack connection: the client's ends at the HTTP front, a worker has none: %w", http.ErrNotSupported)
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// sendChunks sends chunks as one piece, and with them, if last, the end of the
// answer. It waits while the connection is full; for the last piece the end of ctx
// ends only the waiting.
func (s *conversation) sendChunks(ctx context.Context, last bool, chunks ...[]byte) error {
	if !last && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.run.session.AwaitRoom(ctx) != nil && !last {
		return context.Cause(ctx)
	}
	buf := codec.NewBuffer()
	defer buf.Free()
	frames := make([]rpc.Outgoing, 0, 3)
	for _, c := range chunks {
		from := len(buf.B)
		buf.B = msgpack.AppendBytes(msgpack.AppendArray(buf.B, 1), c)
		if n := len(buf.B) - from; n > s.run.opts.MaxChunk {
			return tooLarge(n, s.run.opts.MaxChunk)
		}
		frames = append(frames, rpc.Outgoing{Type: idl.Write, Args: buf.B[from:len(buf.B):len(buf.B)]})
	}
	if last {
		frames = append(frames, rpc.Outgoing{Type: idl.Close})
	}
	s.out.Lock()
	defer s.out.Unlock()
	if s.closed {
		return fmt.Errorf("cannot send chunk: %w", io.ErrClosedPipe)
	}
	s.closed = last
	if s.run.session.SendAll(s.channel, frames...) != nil {
		return fmt.Errorf("cannot send chunk: %w", cocaine.ErrDisconnected)
	}
	return nil
}
