package logging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
)

// Severities of records (docs/PROTOCOL.md, logging).
const (
	Debug = iota
	Info
	Warning
	Error
)

// Limits of a record. What is over them is cut off: a log must not fail.
const (
	// MaxMessage is the longest message in bytes.
	MaxMessage = 64 << 10
	// MaxAttrs is the most attributes of a record.
	MaxAttrs = 64
	// maxName bounds the app, the source, the worker and the names of attributes.
	maxName = 128
	// maxText bounds a textual attribute.
	maxText = 4 << 10
)

// Record is one log record.
type Record struct {
	Time     time.Time
	Severity int    // Debug .. Error
	Source   string // what emitted it, e.g. "app/hello" or "stdout"
	App      string // the app it belongs to; "" for those of the runtime itself
	Worker   string // uuid of the worker, if one emitted it
	Message  string
	Attrs    []Attr
}

// Attr is a named value of a record: a string, int64, uint64, float64 or bool.
type Attr struct {
	Name  string
	Value any
}

// A Sink takes records. Emit does not block and does not keep r.Attrs.
type Sink interface{ Emit(r Record) }

// Tee is a Sink that gives each record to all of some sinks.
func Tee(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) Emit(r Record) {
	for _, s := range t {
		s.Emit(r)
	}
}

// SeverityName returns "debug", "info", "warning" or "error".
func SeverityName(severity int) string {
	return [...]string{"debug", "info", "warning", "error"}[clamp(severity)]
}

func clamp(severity int) int { return min(max(severity, Debug), Error) }

// level gives the slog level of a severity.
func level(severity int) slog.Level {
	return [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[clamp(severity)]
}

// Tags of attribute values in a stored record.
const (
	tagString = iota
	tagInt
	tagUint
	tagFloat
	tagFalse
	tagTrue
)

// appendRecord encodes all but the app, which is told by where the record lies.
func appendRecord(b []byte, r Record) []byte {
	b = binary.AppendVarint(b, r.Time.UnixNano())
	b = append(b, byte(clamp(r.Severity)))
	b = appendText(b, r.Source, maxName)
	b = appendText(b, r.Worker, maxName)
	b = appendText(b, r.Message, MaxMessage)
	attrs := r.Attrs[:min(len(r.Attrs), MaxAttrs)]
	b = binary.AppendUvarint(b, uint64(len(attrs)))
	for _, a := range attrs {
		b = appendText(b, a.Name, maxName)
		b = appendAttrValue(b, a.Value)
	}
	return b
}

func appendAttrValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendText(append(b, tagString), v, maxText)
	case int64:
		return binary.AppendVarint(append(b, tagInt), v)
	case int:
		return binary.AppendVarint(append(b, tagInt), int64(v))
	case uint64:
		return binary.AppendUvarint(append(b, tagUint), v)
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v))
	case bool:
		if v {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	default:
		return appendText(append(b, tagString), fmt.Sprint(v), maxText)
	}
}

// appendText cuts a text at a limit and says so.
func appendText(b []byte, s string, limit int) []byte {
	if len(s) > limit {
		const more = "..."
		s = strings.ToValidUTF8(s[:limit-len(more)], "") + more
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var errBadRecord = errors.New("record cannot be decoded")

// parseRecord is the inverse of appendRecord.
func parseRecord(b []byte) (Record, error) {
	p := parser{b: b}
	r := Record{Time: time.Unix(0, p.varint()), Severity: int(p.byte())}
	r.Source, r.Worker, r.Message = p.text(), p.text(), p.text()
	n := p.uvarint()
	if n > MaxAttrs || r.Severity > Error {
		p.bad = true
	}
	if !p.bad && n > 0 {
		r.Attrs = make([]Attr, n)
		for i := range r.Attrs {
			r.Attrs[i] = Attr{Name: p.text(), Value: p.attrValue()}
		}
	}
	if p.bad || len(p.b) > 0 {
		return Record{}, errBadRecord
	}
	return r, nil
}

// parser reads from the front of b. After a failure it returns zeros.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n uint64) []byte {
	if p.bad || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	head := p.b[:n]
	p.b = p.b[n:]
	return head
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.take(uint64(n))
	return v
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.take(uint64(n))
	return v
}

func (p *parser) text() string { return string(p.take(p.uvarint())) }

func (p *parser) attrValue() any {
	switch p.byte() {
	case tagString:
		return p.text()
	case tagInt:
		return p.varint()
	case tagUint:
		return p.uvarint()
	case tagFloat:
		if b := p.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	}
	p.bad = true
	return nil
}
