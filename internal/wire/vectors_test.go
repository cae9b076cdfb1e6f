package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

const vectorDir = "../../testdata/vectors"

// vector is one file of testdata/vectors; its README describes the format.
type vector struct {
	name      string
	expect    string
	canonical bool
	bytes     []byte
	shown     []string
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", vectorDir, err)
	}
	var vectors []vector
	for _, file := range files {
		vectors = append(vectors, loadVector(t, file))
	}
	return vectors
}

func loadVector(t testing.TB, file string) vector {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
	archive := txtar.Parse(content)
	for line := range strings.Lines(string(archive.Comment)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); key {
		case "expect":
			v.expect = value
		case "canonical":
			v.canonical = value == "yes"
		}
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "bytes":
			v.bytes = unhex(t, string(f.Data))
		case "shown":
			v.shown = strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")
		}
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var wantErrors = map[string]error{
	"short":       wire.ErrShort,
	"bad frame":   wire.ErrFraming,
	"malformed":   wire.ErrMsgpack,
	"too deep":    wire.ErrTooDeep,
	"too large":   wire.ErrTooLarge,
	"bad headers": hpack.ErrHeaders,
}

var everything = wire.Style{MaxBytes: -1, MaxItems: -1}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			switch v.expect {
			case "frames":
				checkFrames(t, v)
			case "value":
				checkShown(t, v, []string{string(everything.AppendValue(nil, v.bytes))})
			case "graph": // package idl
			default:
				checkRefused(t, v)
			}
		})
	}
}

func checkFrames(t *testing.T, v vector) {
	var out bytes.Buffer
	if err := wire.Dump(&out, v.bytes, everything); err != nil {
		t.Fatalf("Dump: %v\n%s", err, &out)
	}
	var shown []string
	for line := range strings.Lines(out.String()) {
		shown = append(shown, strings.TrimSpace(line)[strings.Index(strings.TrimSpace(line), " ")+2:])
	}
	checkShown(t, v, shown)
	if v.canonical {
		if again := rewrite(t, v.bytes); !bytes.Equal(again, v.bytes) {
			t.Errorf("written again:\n% x\nwant:\n% x", again, v.bytes)
		}
	}
}

func checkShown(t *testing.T, v vector, shown []string) {
	t.Helper()
	if got, want := strings.Join(shown, "\n"), strings.Join(v.shown, "\n"); got != want {
		t.Errorf("shown as:\n%s\nwant:\n%s", got, want)
	}
}

// rewrite parses frames and writes them from their decoded parts.
func rewrite(t *testing.T, stream []byte) (out []byte) {
	var table hpack.Table
	for len(stream) > 0 {
		f, n, err := wire.Parse(stream, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		headers, err := table.Decode(nil, f.Headers)
		if err != nil {
			t.Fatal(err)
		}
		r := msgpack.NewReader(f.Args)
		if f.Args, err = appendAgain(nil, &r); err != nil {
			t.Fatal(err)
		}
		f.Headers = hpack.AppendLiterals(nil, headers)
		out = wire.AppendFrame(out, f)
		stream = stream[n:]
	}
	return out
}

// appendAgain reads a value and writes it, keeping the order of maps.
func appendAgain(dst []byte, r *msgpack.Reader) ([]byte, error) {
	var err error
	switch r.Kind() {
	case msgpack.KindArray:
		n := r.Array()
		dst = msgpack.AppendArray(dst, n)
		for range n {
			if dst, err = appendAgain(dst, r); err != nil {
				return dst, err
			}
		}
	case msgpack.KindMap:
		n := r.Map()
		dst = msgpack.AppendMap(dst, n)
		for range 2 * n {
			if dst, err = appendAgain(dst, r); err != nil {
				return dst, err
			}
		}
	default:
		if dst, err = msgpack.AppendValue(dst, r.Value()); err != nil {
			return dst, err
		}
	}
	return dst, r.Err()
}

// checkRefused reads until the first failure, which must be the expected one.
func checkRefused(t *testing.T, v vector) {
	want, known := wantErrors[v.expect]
	if !known {
		t.Fatalf("unknown expectation %q", v.expect)
	}
	if err := firstError(v.bytes); !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// firstError reads frames until one fails; nil if none does.
func firstError(stream []byte) error {
	var table hpack.Table
	for more := true; more; more = len(stream) > 0 {
		f, n, err := wire.Parse(stream, wire.Limits{})
		if err != nil {
			return err
		}
		if _, err = table.Decode(nil, f.Headers); err != nil {
			return err
		}
		stream = stream[n:]
	}
	return nil
}
