package unicorn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A record is kept as the value of a key, beside which stands as text
//
//	1 VERSION
//	1 VERSION held OWNER RANK
//	1 VERSION queued OWNER RANK
//
// where the first 1 is the version of this format. No value at all is that of a node
// without one: a msgpack value has at least one byte.
func (r record) meta() string {
	text := "1 " + strconv.FormatInt(r.Version, 10)
	if r.kind != persistent {
		text += fmt.Sprintf(" %s %s %d", r.kind, r.owner, r.rank)
	}
	return text
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
	damaged := record{damaged: true}
	fields := strings.Split(meta, " ")
	if fields[0] != "1" || len(fields) != 2 && len(fields) != 5 {
		return damaged
	}
	version, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || version < 0 {
		return damaged
	}
	var r record
	if len(fields) == 5 {
		r.owner = fields[3]
		switch fields[2] {
		case held.String():
			r.kind = held
		case queued.String():
			r.kind = queued
		default:
			return damaged
		}
		if r.rank, err = strconv.ParseUint(fields[4], 10, 64); err != nil {
			return damaged
		}
	}
	if len(value) == 0 {
		value = nil
	} else if rest, err := msgpack.Skip(value, msgpack.MaxDepth); err != nil || len(rest) > 0 {
		r.damaged, value = true, nil
	}
	r.Versioned = versioned(value, version)
	return r
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
