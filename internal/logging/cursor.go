package logging

import (
	"errors"
	"io/fs"
	"os"
)

// readSize is how much of a segment a cursor reads at once.
const readSize = 128 << 10

// cursor reads the records of one app in order. It belongs to one goroutine.
type cursor struct {
	log  *appLog
	view view // how far it may read

	segment uint64   // first of the segment it is in, 0 before the first
	file    *os.File // of that segment, nil if it is gone
	offset  int64    // up to which the segment was read into buf
	buf     []byte   // read and not yet returned
	next    uint64   // number expected, 0 if any is right
	skip    int      // so many records that match are not wanted

	held *Record // comes after a record about missed ones
}

// start puts a cursor before a segment of its view, or at the end of the view.
func (c *cursor) start(i int) {
	if i < len(c.view.segments) {
		c.segment, c.offset = 0, 0
		c.view.segments = c.view.segments[i:]
		return
	}
	c.next = c.view.next
	if n := len(c.view.segments); n > 0 {
		c.segment, c.offset = c.view.segments[n-1].first, c.view.segments[n-1].size
	}
}

// read returns the next record of the view, false at its end.
func (c *cursor) read() (Record, bool, error) {
	if r := c.held; r != nil {
		c.held = nil
		return *r, true, nil
	}
	for {
		number, b, n, err := splitFrame(c.buf)
		if err == nil {
			c.buf = c.buf[n:]
			return c.accept(number, b)
		}
		s, at := c.current()
		if at < 0 {
			return Record{}, false, nil
		}
		if errors.Is(err, errBroken) || c.offset >= s.size {
			// Damaged, or at its end. What a later segment begins with tells how
			// much was lost.
			c.buf, c.offset = nil, s.size
			if at+1 == len(c.view.segments) {
				return Record{}, false, nil
			}
			c.enter(c.view.segments[at+1].first)
			continue
		}
		if err := c.fill(s); err != nil {
			return Record{}, false, err
		}
	}
}

// accept turns a frame into a record, and looks whether others are missing.
func (c *cursor) accept(number uint64, b []byte) (Record, bool, error) {
	r, err := parseRecord(b)
	if err != nil {
		r = Record{Severity: Warning, Source: "logging", Message: "a record cannot be read"}
	}
	r.App = c.log.app
	expected := c.next
	c.next = number + 1
	if expected > 0 && number > expected {
		c.held = &r
		return missedRecord(r.App, r.Time, number-expected), true, nil
	}
	return r, true, nil
}

// current finds the segment to read in: the one the cursor is in or, if retention
// has removed it, the first one after it. at is -1 if there is none.
func (c *cursor) current() (s segment, at int) {
	for i, s := range c.view.segments {
		if s.first < c.segment {
			continue
		}
		if s.first > c.segment || c.segment == 0 {
			c.enter(s.first)
		}
		return s, i
	}
	return segment{}, -1
}

func (c *cursor) enter(first uint64) {
	c.close()
	c.segment, c.offset, c.buf = first, 0, nil
}

// fill reads more of the current segment.
func (c *cursor) fill(s segment) error {
	if c.file == nil {
		f, err := os.Open(s.path(c.log.dir))
		if errors.Is(err, fs.ErrNotExist) {
			c.offset = s.size // retention was faster than we
			return nil
		}
		if err != nil {
			return err
		}
		c.file = f
	}
	part := make([]byte, len(c.buf)+int(min(readSize, s.size-c.offset)))
	kept := copy(part, c.buf)
	n, err := c.file.ReadAt(part[kept:], c.offset)
	if n == 0 && err != nil {
		c.offset = s.size // shorter than it was: damaged
		return nil
	}
	c.buf, c.offset = part[:kept+n], c.offset+int64(n)
	return nil
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}
