package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// printer writes values in the notation of this package.
type printer struct {
	out   []byte
	style Style
}

// args shows a whole value, and what of it is undecodable as hex.
func (p *printer) args(b []byte) {
	if b == nil {
		p.out = append(p.out, "[]"...)
		return
	}
	if msgpack.Extent(b, msgpack.MaxDepth) != len(b) {
		p.out = append(p.out, "undecodable "...)
		p.hex(b)
		return
	}
	r := msgpack.NewReader(b)
	p.value(&r)
}

func (p *printer) value(r *msgpack.Reader) {
	switch r.Kind() {
	case msgpack.KindNil:
		r.Nil()
		p.out = append(p.out, "nil"...)
	case msgpack.KindBool:
		p.out = strconv.AppendBool(p.out, r.Bool())
	case msgpack.KindInt:
		p.out = strconv.AppendInt(p.out, r.Int(), 10)
	case msgpack.KindUint:
		p.out = strconv.AppendUint(p.out, r.Uint(), 10)
	case msgpack.KindFloat:
		p.float(r.Float())
	case msgpack.KindRaw:
		p.raw(r.Bytes())
	case msgpack.KindArray:
		p.items('[', r, r.Array(), p.value)
		p.out = append(p.out, ']')
	case msgpack.KindMap:
		p.items('{', r, r.Map(), p.pair)
		p.out = append(p.out, '}')
	}
}

func (p *printer) pair(r *msgpack.Reader) {
	p.value(r)
	p.out = append(p.out, ": "...)
	p.value(r)
}

// items shows up to MaxItems of n elements and skips the others; a pair is skipped as two.
func (p *printer) items(open byte, r *msgpack.Reader, n int, show func(*msgpack.Reader)) {
	p.out = append(p.out, open)
	for i := range n {
		if i > 0 {
			p.out = append(p.out, ", "...)
		}
		if i == p.style.MaxItems {
			p.out = fmt.Appendf(p.out, "… %d more", n-i)
			p.skip(r, open, n-i)
			return
		}
		show(r)
	}
}

func (p *printer) skip(r *msgpack.Reader, open byte, n int) {
	if open == '{' {
		n *= 2
	}
	for range n {
		r.Skip()
	}
}

// float keeps a whole number recognisable as a float.
func (p *printer) float(v float64) {
	from := len(p.out)
	p.out = strconv.AppendFloat(p.out, v, 'g', -1, 64)
	if !bytes.ContainsAny(p.out[from:], ".enN") { // an exponent, inf or NaN
		p.out = append(p.out, ".0"...)
	}
}

func (p *printer) raw(b []byte) {
	shown := b
	if p.style.MaxBytes >= 0 && len(b) > p.style.MaxBytes {
		shown = b[:p.style.MaxBytes]
	}
	n, ok := readable(shown, len(shown) < len(b))
	if !ok {
		p.hex(b)
		return
	}
	p.out = strconv.AppendQuote(p.out, string(shown[:n]))
	p.cut(n, len(b))
}

func (p *printer) hex(b []byte) {
	shown := b
	if p.style.MaxBytes >= 0 && len(b) > p.style.MaxBytes {
		shown = b[:p.style.MaxBytes]
	}
	p.out = append(p.out, "h'"...)
	p.out = hex.AppendEncode(p.out, shown)
	p.out = append(p.out, '\'')
	p.cut(len(shown), len(b))
}

func (p *printer) cut(shown, all int) {
	if shown < all {
		p.out = fmt.Appendf(p.out, "… %d bytes", all)
	}
}

// readable reports whether b is printable text, and how much of it is whole characters: a text that was cut may end
// inside one.
func readable(b []byte, wasCut bool) (n int, ok bool) {
	for n < len(b) {
		c, size := utf8.DecodeRune(b[n:])
		if c == utf8.RuneError && size == 1 {
			return n, wasCut && !utf8.FullRune(b[n:])
		}
		if !strconv.IsPrint(c) && c != '\n' && c != '\t' && c != '\r' {
			return n, false
		}
		n += size
	}
	return n, true
}

// headers shows decoded headers. An array that the table can not decode is shown as the value it is.
func (p *printer) headers(table *hpack.Table, b []byte) {
	hs, err := table.Decode(nil, b)
	if err != nil {
		p.args(b)
		return
	}
	p.out = append(p.out, '{')
	for i, h := range hs {
		if i > 0 {
			p.out = append(p.out, ", "...)
		}
		if i == p.style.MaxItems {
			p.out = fmt.Appendf(p.out, "… %d more", len(hs)-i)
			break
		}
		p.headerName(h.Name)
		p.out = append(p.out, ": "...)
		p.header(h)
	}
	p.out = append(p.out, '}')
}

// headerName shows a name without quotes unless a reader could take it for something else.
func (p *printer) headerName(name string) {
	if name == "" {
		p.raw(nil)
		return
	}
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c > '~' || c == ':' && i > 0 || bytes.IndexByte([]byte(`",{}[]`), c) >= 0 {
			p.raw([]byte(name))
			return
		}
	}
	p.out = append(p.out, name...)
}

// header shows the value of a header by what is known of its name.
func (p *printer) header(h hpack.Header) {
	if len(h.Value) != 8 {
		p.raw([]byte(h.Value))
		return
	}
	v := binary.LittleEndian.Uint64([]byte(h.Value))
	switch h.Name {
	case hpack.TraceID, hpack.SpanID, hpack.ParentID:
		p.out = fmt.Appendf(p.out, "%016x", v)
	case hpack.RequestTimeout:
		p.out = fmt.Appendf(p.out, "%dms", v)
	default:
		p.raw([]byte(h.Value))
	}
}
