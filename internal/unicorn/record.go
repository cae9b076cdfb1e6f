package unicorn

import (
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A record is kept as the value of a key, beside which stands as text
//
//	2 VERSION RANK NTH MADE
//	2 VERSION RANK NTH MADE held OWNER
//	2 VERSION RANK NTH MADE queued OWNER
//
// where the first 2 is the version of this format. In version 1 it was
//
//	1 VERSION
//	1 VERSION held OWNER RANK
//	1 VERSION queued OWNER RANK
//
// No value at all is that of a node without one: a msgpack value has at least one byte.
func (r record) meta() string {
	b := append(make([]byte, 0, 64), '2')
	for _, n := range [...]uint64{uint64(r.Version), r.rank, r.nth, r.made} {
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	if r.kind != persistent {
		b = append(b, " "+r.kind.String()+" "+r.owner...)
	}
	return string(b)
}

func (k kind) String() string {
	switch k {
	case held:
		return "held"
	case queued:
		return "queued"
	}
	return "persistent"
}

// parseRecord reads a record. One that cannot be read is damaged; it can be removed.
func parseRecord(value []byte, meta string) record {
	r, version, ok := parseMeta(meta)
	if !ok {
		return record{damaged: true}
	}
	if len(value) == 0 {
		value = nil
	} else if rest, err := msgpack.Skip(value, msgpack.MaxDepth); err != nil || len(rest) > 0 {
		r.damaged, value = true, nil
	}
	r.Versioned = versioned(value, version)
	return r
}

// parseMeta is the inverse of meta.
func parseMeta(meta string) (r record, version int64, ok bool) {
	fields := strings.Split(meta, " ")
	var numbers, kind []string
	switch n := len(fields); {
	case fields[0] == "1" && n == 2, fields[0] == "2" && n == 5:
		numbers = fields[1:]
	case fields[0] == "1" && n == 5:
		numbers, kind = []string{fields[1], fields[4]}, fields[2:4]
	case fields[0] == "2" && n == 7:
		numbers, kind = fields[1:5], fields[5:]
	default:
		return record{}, 0, false
	}
	var parsed [4]uint64 // what version 1 does not have is zero
	for i, text := range numbers {
		var err error
		if parsed[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return record{}, 0, false
		}
	}
	r.rank, r.nth, r.made = parsed[1], parsed[2], parsed[3]
	if kind != nil {
		r.owner = kind[1]
		switch kind[0] {
		case held.String():
			r.kind = held
		case queued.String():
			r.kind = queued
		default:
			return record{}, 0, false
		}
	}
	return r, int64(parsed[0]), int64(parsed[0]) >= 0
}

// key is the key of the bucket for a path: a token for each name.
func key(path string) string {
	names := strings.Split(path[1:], "/")
	for i, name := range names {
		names[i] = jetstream.EncodeKey(name)
	}
	return strings.Join(names, ".")
}

// parseKey is the inverse of key.
func parseKey(key string) (path string, err error) {
	var b strings.Builder
	for token := range strings.SplitSeq(key, ".") {
		name, err := jetstream.DecodeKey(token)
		if err != nil {
			return "", err
		}
		b.WriteString("/" + name)
	}
	return b.String(), CheckPath(b.String())
}
