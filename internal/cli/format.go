package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/cocaine/cocaine-go"
)

// A format is how the data of a call travels.
type format int

const (
	asItIs    format = iota // marked as JSON if it is JSON
	strictly                // JSON
	converted               // JSON here, msgpack there
	unmarked                // bytes
)

func (f *callFlags) format() (format, error) {
	switch {
	case f.json && f.msgpack, f.msgpack && f.raw, f.raw && f.json:
		return 0, usage(errors.New("cannot send the data: --json, --msgpack and --raw exclude each other"), "cocaine call --help")
	case f.json:
		return strictly, nil
	case f.msgpack:
		return converted, nil
	case f.raw:
		return unmarked, nil
	}
	return asItIs, nil
}

const contentType = "content-type"

// header marks data for typed handlers. A stream's data is not known beforehand.
func (f format) header(data []byte, stream bool) []cocaine.Header {
	mark := func(as string) []cocaine.Header { return []cocaine.Header{{Name: contentType, Value: as}} }
	switch {
	case f == converted:
		return mark(cocaine.ContentMsgpack)
	case f == strictly, f == asItIs && !stream && (len(data) == 0 || json.Valid(data)):
		return mark(cocaine.ContentJSON)
	}
	return nil
}

// encode makes what is sent of what was given.
func (f format) encode(data []byte) ([]byte, error) {
	if len(data) == 0 || f == asItIs || f == unmarked {
		return data, nil
	}
	if err := notJSON(data); err != nil {
		return nil, usage(fmt.Errorf("cannot send the data: it is not JSON: %w", err), "--raw sends it as it is")
	}
	if f == strictly {
		return data, nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("cannot send the data: %w", err)
	}
	return cocaine.Encode(numbers(v))
}

// decode makes what is printed of what came.
func (f format) decode(chunk []byte) ([]byte, error) {
	if f != converted {
		return chunk, nil
	}
	var v any
	if err := cocaine.Raw(chunk).Decode(&v); err != nil {
		return nil, hinted(fmt.Errorf("cannot print the answer: it is not msgpack: %w", err), "--raw prints it as it is")
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("cannot print the answer: %w", err)
	}
	return out.Bytes(), nil
}

// numbers turns JSON's numbers into integers where they are.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		n, _ := v.Float64() // too large a number is infinite
		return n
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// notJSON says where data ceases to be JSON: "line:column: reason".
func notJSON(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	var v json.RawMessage
	err := d.Decode(&v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		return at(data, d.InputOffset(), "text follows the value")
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return at(data, e.Offset-1, e.Error())
	}
	return at(data, int64(len(data)), "it ends too early")
}

// at gives a problem the line and column of an offset.
func at(data []byte, offset int64, reason string) error {
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Errorf("%d:%d: %s", line, column, reason)
}

// isBinary reports bytes that a terminal should not get.
func isBinary(b []byte) bool {
	return !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\x1b' })
}
