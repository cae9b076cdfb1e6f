package wire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// Style says how frames are shown to people. The zero value is right for logs.
type Style struct {
	// Name returns what a message is called, "" when unknown. It may be nil.
	Name func(channel, typ uint64) string
	// MaxBytes is how much of a raw value is shown, MaxItems how many elements of an array or map. Zero means 64 and
	// 32, negative everything.
	MaxBytes, MaxItems int
}

// String shows the frame on one line: channel, type, args and, where there are any, headers.
//
//	12 (0) ["app", "event"] {trace_id: 00000000000004d2}
//
// Text is quoted, other bytes are h'hex', long values are cut.
func (f Frame) String() string { return string(Style{}.AppendFrame(nil, f)) }

// LogValue implements slog.LogValuer: the work of showing the frame is done only for records that are kept.
func (f Frame) LogValue() slog.Value {
	p := printer{style: Style{}.withDefaults()}
	p.args(f.Args)
	args := string(p.out)
	attrs := []slog.Attr{slog.Uint64("channel", f.Channel), slog.Uint64("type", f.Type), slog.String("args", args)}
	if hasHeaders(f.Headers) {
		p.out = p.out[:0]
		p.headers(new(hpack.Table), f.Headers)
		attrs = append(attrs, slog.String("headers", string(p.out)))
	}
	return slog.GroupValue(attrs...)
}

// AppendFrame appends the frame as String shows it. With a name the type becomes name(type). Headers that refer to the
// connection's dynamic table are shown as they came.
func (s Style) AppendFrame(dst []byte, f Frame) []byte {
	return s.appendFrame(dst, new(hpack.Table), f)
}

// AppendValue appends one msgpack value in the same notation.
func (s Style) AppendValue(dst, value []byte) []byte {
	p := printer{out: dst, style: s.withDefaults()}
	p.args(value)
	return p.out
}

func (s Style) appendFrame(dst []byte, table *hpack.Table, f Frame) []byte {
	p := printer{out: strconv.AppendUint(dst, f.Channel, 10), style: s.withDefaults()}
	p.out = append(p.out, ' ')
	if s.Name != nil {
		p.out = append(p.out, s.Name(f.Channel, f.Type)...)
	}
	p.out = append(p.out, '(')
	p.out = strconv.AppendUint(p.out, f.Type, 10)
	p.out = append(p.out, ") "...)
	p.args(f.Args)
	if hasHeaders(f.Headers) {
		p.out = append(p.out, ' ')
		p.headers(table, f.Headers)
	}
	return p.out
}

func hasHeaders(b []byte) bool { return len(b) > 0 && b[0] != emptyArray }

func (s Style) withDefaults() Style {
	if s.MaxBytes == 0 {
		s.MaxBytes = 64
	}
	if s.MaxItems == 0 {
		s.MaxItems = 32
	}
	return s
}

// Dump writes what one side of a connection sent, a line for each frame with its position in the stream. It keeps the
// side's header table. Bytes that do not make a frame are shown as hex; the error then says why, ErrShort for a
// stream that ends inside a frame.
func Dump(w io.Writer, stream []byte, s Style) error {
	var table hpack.Table
	var line []byte
	for at := 0; at < len(stream); {
		f, n, err := Parse(stream[at:], Limits{})
		line = fmt.Appendf(line[:0], "%8d  ", at)
		if err != nil {
			line = append(s.appendRest(line, stream[at:]), '\n')
			_, werr := w.Write(line)
			return errors.Join(err, werr)
		}
		line = append(s.appendFrame(line, &table, f), '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (s Style) appendRest(dst, rest []byte) []byte {
	p := printer{out: dst, style: s.withDefaults()}
	p.hex(rest)
	return p.out
}
