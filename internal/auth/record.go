package auth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Access is what may be done with a thing, as bits.
type Access uint8

// The bits of Access.
const (
	Read  Access = 1
	Write Access = 2

	// ReadWrite is all there is.
	ReadWrite = Read | Write
)

// A Record says what ids may do with one thing. An id that is not in it may do
// nothing. The empty record says nothing: the thing is open to all.
type Record struct {
	CIDs map[uint32]Access
	UIDs map[uint64]Access
}

// Empty reports whether the record names nobody.
func (r Record) Empty() bool { return len(r.CIDs) == 0 && len(r.UIDs) == 0 }

// Permits reports whether an identity may do all of what is needed, by a record that
// is not empty. Every client id that it has must be permitted it, or every user id.
func (r Record) Permits(who Identity, need Access) bool {
	return (every(r.CIDs, who.CIDs)|every(r.UIDs, who.UIDs))&need == need
}

// every is what all the ids may do; of no ids, nothing.
func every[K comparable](list map[K]Access, ids []K) Access {
	if len(ids) == 0 {
		return 0
	}
	all := ReadWrite
	for _, id := range ids {
		all &= list[id]
	}
	return all
}

// ownedBy is the record of a thing that belongs to an identity.
func ownedBy(who Identity) Record {
	var r Record
	r.Grant(who, ReadWrite)
	return r
}

// Grant adds to what ids may do. To add nothing leaves the record as it is.
func (r *Record) Grant(to Identity, what Access) {
	if what == 0 {
		return
	}
	r.CIDs = grant(r.CIDs, to.CIDs, what)
	r.UIDs = grant(r.UIDs, to.UIDs, what)
}

func grant[K comparable](list map[K]Access, ids []K, what Access) map[K]Access {
	if list == nil && len(ids) > 0 {
		list = make(map[K]Access, len(ids))
	}
	for _, id := range ids {
		list[id] |= what
	}
	return list
}

// Revoke takes from what ids may do. Those that may do nothing any more stay in the
// record: without them it could become empty, and the thing open to all.
func (r *Record) Revoke(from Identity, what Access) {
	revoke(r.CIDs, from.CIDs, what)
	revoke(r.UIDs, from.UIDs, what)
}

func revoke[K comparable](list map[K]Access, ids []K, what Access) {
	for _, id := range ids {
		if old, ok := list[id]; ok {
			list[id] = old &^ what
		}
	}
}

// errMalformed means that a stored record is none.
var errMalformed = errors.New("the record of permissions is malformed")

// maxNames bounds the ids of a record in one of its maps.
const maxNames = 1 << 16

// A keyStyle is how ids are written as keys of a record.
type keyStyle uint8

const (
	intKeys  keyStyle = iota // in the storage
	textKeys                 // in unicorn, whose maps have no other keys
)

// append writes [{cid: access}, {uid: access}], ids in order.
func (r Record) append(b []byte, style keyStyle) []byte {
	b = msgpack.AppendArray(b, 2)
	b = appendList(b, r.CIDs, style)
	return appendList(b, r.UIDs, style)
}

func appendList[K uint32 | uint64](b []byte, list map[K]Access, style keyStyle) []byte {
	b = msgpack.AppendMap(b, len(list))
	for _, id := range slices.SortedFunc(maps.Keys(list), cmp.Compare[K]) {
		if style == textKeys {
			b = msgpack.AppendString(b, strconv.FormatUint(uint64(id), 10))
		} else {
			b = msgpack.AppendUint(b, uint64(id))
		}
		b = msgpack.AppendUint(b, uint64(list[id]))
	}
	return b
}

// parseRecord reads what append writes. The error wraps errMalformed.
func parseRecord(b []byte, style keyStyle) (Record, error) {
	r := msgpack.NewReader(b)
	if n := r.Array(); r.Err() == nil && n != 2 {
		return Record{}, fmt.Errorf("%w: it has %d elements, want 2", errMalformed, n)
	}
	var rec Record
	var err error
	if rec.CIDs, err = readList[uint32](&r, style, math.MaxUint32); err != nil {
		return Record{}, err
	}
	if rec.UIDs, err = readList[uint64](&r, style, math.MaxUint64); err != nil {
		return Record{}, err
	}
	if r.Len() > 0 {
		return Record{}, fmt.Errorf("%w: %d bytes follow it", errMalformed, r.Len())
	}
	return rec, nil
}

func readList[K uint32 | uint64](r *msgpack.Reader, style keyStyle, largest uint64) (map[K]Access, error) {
	n := r.Map()
	if r.Err() == nil && n > maxNames {
		return nil, fmt.Errorf("%w: %d ids are too many", errMalformed, n)
	}
	var list map[K]Access
	for i := 0; i < n && r.Err() == nil; i++ {
		id, err := readID(r, style)
		access := r.Uint()
		if err == nil && id > largest {
			err = fmt.Errorf("%w: id %d is too large", errMalformed, id)
		}
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = make(map[K]Access)
		}
		list[K(id)] = Access(access) & ReadWrite
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return list, nil
}

func readID(r *msgpack.Reader, style keyStyle) (uint64, error) {
	if style == intKeys {
		return r.Uint(), nil
	}
	s := r.String()
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no id", errMalformed, s)
	}
	return id, nil
}
