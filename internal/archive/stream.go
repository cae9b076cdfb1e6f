package archive

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
)

// countingWriter counts and digests what passes.
type countingWriter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// source reads from the caller until the context ends. It remembers its own
// failure, so that an error that comes out of a decoder on top of it can be told
// from damage in the data.
type source struct {
	ctx context.Context
	r   io.Reader
	err error // first failure; the end of the data is none
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// blame turns an error of a decoder that reads from s into the one to report.
func (s *source) blame(err error) error {
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, ErrTooLarge):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
}

// boundedReader fails with ErrTooLarge, where io.LimitedReader would pretend
// that the stream ended.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// The stream may end exactly here.
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
