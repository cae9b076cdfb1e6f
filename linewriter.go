package cocaine

import (
	"bytes"
	"io"
)

// maxLine is the longest line that a LineWriter gives in one piece.
const maxLine = 64 << 10

// LineWriter returns a writer that calls f with each line written to it, without
// its line ending. It is made for the output of a command:
//
//	out := cocaine.LineWriter(func(line string) { log.Print(line) })
//	defer out.Close()
//	cmd.Stdout, cmd.Stderr = out, out
//
// Close gives the last line, if it has no ending. A line of more than 64 KiB comes
// in pieces. The writer is for one goroutine at a time, which is what os/exec
// keeps to when Stdout and Stderr are the same writer; f runs in that goroutine.
// A nil f leaves them.
func LineWriter(f func(line string)) io.WriteCloser {
	if f == nil {
		f = func(string) {}
	}
	return &lineWriter{f: f}
}

type lineWriter struct {
	f    func(string)
	line []byte // what has come of the current one
}

// Write takes everything and never fails.
func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte{'\n'})
		room := maxLine - len(w.line)
		full := len(part) > room
		if full {
			part, rest = b[:room], b[room:]
		}
		w.line = append(w.line, part...)
		if whole || full {
			w.flush(!full)
		}
		b = rest
	}
	return n, nil
}

// Close gives what is left.
func (w *lineWriter) Close() error {
	if len(w.line) > 0 {
		w.flush(true)
	}
	return nil
}

// flush gives the line, or a piece of it.
func (w *lineWriter) flush(whole bool) {
	line := w.line
	if whole {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	w.f(string(line))
	w.line = w.line[:0]
}
