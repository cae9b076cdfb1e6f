package logging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A segment is a file of frames, named by the number of its first record:
//
//	length uint32 · checksum uint32 · number uint64 · record
//
// all little-endian. The length is that of the record, the checksum the CRC-32C of
// number and record. Numbers grow by one within an app, so that a reader notices
// what it has missed.
type segment struct {
	first uint64
	size  int64     // of the whole frames in it
	born  time.Time // when it was begun; for one from an earlier life, when it was last written
	last  time.Time // when it was last written
}

const (
	frameHeader = 16
	// maxFrame bounds the record in a frame: a message, its attributes and names.
	maxFrame = MaxMessage + MaxAttrs*(maxName+maxText+16) + 4*maxName + 64
)

func (s segment) path(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%016x.log", s.first))
}

// newFrame encodes a record with room for its number, which comes later.
func newFrame(r Record) []byte {
	b := make([]byte, frameHeader, frameHeader+64+len(r.Message))
	b = appendRecord(b, r)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frameHeader))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal completes a frame.
func seal(frame []byte, number uint64) {
	binary.LittleEndian.PutUint64(frame[8:], number)
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[8:], castagnoli))
}

var (
	errShort  = errors.New("frame is incomplete")
	errBroken = errors.New("frame is damaged")
)

// splitFrame reads the frame at the start of b.
func splitFrame(b []byte) (number uint64, record []byte, size int, err error) {
	if len(b) < frameHeader {
		return 0, nil, 0, errShort
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxFrame {
		return 0, nil, 0, errBroken
	}
	size = frameHeader + int(n)
	if len(b) < size {
		return 0, nil, 0, errShort
	}
	if crc32.Checksum(b[8:size], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, 0, errBroken
	}
	return binary.LittleEndian.Uint64(b[8:]), b[frameHeader:size], size, nil
}

// listSegments finds the segments in a directory, the oldest first.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".log")
		first, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil || len(name) != 16 {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, segment{first: first, size: fi.Size(), born: fi.ModTime(), last: fi.ModTime()})
	}
	slices.SortFunc(list, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return list, nil
}

// checkTail finds the end of the whole frames of a segment and the number after
// the last of them.
func checkTail(path string, s segment) (size int64, next uint64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	next = s.first
	for {
		number, _, n, err := splitFrame(b[size:])
		if err != nil {
			return size, next, nil
		}
		size += int64(n)
		next = number + 1
	}
}
