package storage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// record is what the header of a key's message says. As text it is
//
//	1 TAG.TAG.TAG
//	1 TAG.TAG.TAG BLOB SIZE
//
// where 1 is the version, the tags are encoded like keys ("." stands for none),
// and the second form is that of a value in a blob.
type record struct {
	tags []string // sorted set
	blob string   // name of the blob, "" if the value is in the message
	size int64    // of the blob
}

// maxRecord bounds the text, so that it fits in a message beside a small value.
const maxRecord = 256 << 10

func (r record) encode() (string, error) {
	var b strings.Builder
	b.WriteString("1 ")
	for i, tag := range r.tags {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(jetstream.EncodeKey(tag))
	}
	if len(r.tags) == 0 {
		b.WriteByte('.')
	}
	if r.blob != "" {
		fmt.Fprintf(&b, " %s %d", r.blob, r.size)
	}
	if b.Len() > maxRecord {
		return "", fmt.Errorf("%w: %d tags are too many", ErrTooLarge, len(r.tags))
	}
	return b.String(), nil
}

func parseRecord(s string) (record, error) {
	bad := fmt.Errorf("%w: its record %.40q cannot be read", ErrDamaged, s)
	fields := strings.Split(s, " ")
	if fields[0] != "1" || len(fields) != 2 && len(fields) != 4 {
		return record{}, bad
	}
	var r record
	if fields[1] != "." {
		for token := range strings.SplitSeq(fields[1], ".") {
			tag, err := jetstream.DecodeKey(token)
			if err != nil || tag == "" {
				return record{}, bad
			}
			r.tags = append(r.tags, tag)
		}
		if !slices.IsSorted(r.tags) || len(slices.Compact(slices.Clone(r.tags))) != len(r.tags) {
			return record{}, bad
		}
	}
	if len(fields) == 4 {
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil || size < 0 || size > MaxValue || fields[2] == "" || strconv.FormatInt(size, 10) != fields[3] {
			return record{}, bad
		}
		r.blob, r.size = fields[2], size
	}
	return r, nil
}
