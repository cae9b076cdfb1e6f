package hpack

import "github.com/cocaine/cocaine-go/internal/msgpack"

// AppendLiterals appends the array of headers as Cocaine writes it: every one a literal that is not to be stored.
func AppendLiterals(dst []byte, hs []Header) []byte {
	dst = msgpack.AppendArray(dst, len(hs))
	for _, h := range hs {
		dst = msgpack.AppendBool(msgpack.AppendArray(dst, 3), false)
		dst = msgpack.AppendString(msgpack.AppendString(dst, h.Name), h.Value)
	}
	return dst
}

// Lookup returns the value of the first header with exactly that name.
func Lookup(hs []Header, name string) (string, bool) {
	for i := range hs {
		if hs[i].Name == name {
			return hs[i].Value, true
		}
	}
	return "", false
}

// Encoder writes headers through the tables, as older servers and the Python client do. The zero value is the state of
// a fresh connection. Like Table it has one owner.
type Encoder struct{ table Table }

// Append appends the array of headers. Every pair that is in a table becomes its index; the others become literals,
// their names an index where the tables know it, which the receiver is told to store.
func (e *Encoder) Append(dst []byte, hs []Header) []byte {
	dst = msgpack.AppendArray(dst, len(hs))
	for _, h := range hs {
		dst = e.appendOne(dst, h)
	}
	return dst
}

func (e *Encoder) appendOne(dst []byte, h Header) []byte {
	index, name := e.table.search(h)
	if index != 0 {
		return msgpack.AppendUint(dst, index)
	}
	dst = msgpack.AppendBool(msgpack.AppendArray(dst, 3), true)
	if name != 0 {
		dst = msgpack.AppendUint(dst, name)
	} else {
		dst = msgpack.AppendString(dst, h.Name)
	}
	e.table.add(h)
	return msgpack.AppendString(dst, h.Value)
}

// search returns the index of the pair and the first index of its name, 0 for none: the static table first, then the
// dynamic one from the newest entry.
func (t *Table) search(h Header) (pair, name uint64) {
	for i := uint64(1); i < dynamicBase+uint64(t.count); i++ {
		entry, _ := t.lookup(i)
		if entry.Name != h.Name {
			continue
		}
		if entry.Value == h.Value {
			return i, i
		}
		if name == 0 {
			name = i
		}
	}
	return 0, name
}
