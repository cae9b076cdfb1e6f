package msgpack

// MaxDepth is how many containers may be nested in one value. The original's decoder has a stack of 32, the frame's
// own array included (docs/PROTOCOL.md, section "Dialect").
const MaxDepth = 32

// Skip returns what follows the first value of b. At most maxDepth containers may be nested in it. The error is
// ErrShort when b ends inside the value, else an *Error. The time is linear in the bytes skipped whatever counts and
// lengths they claim.
func Skip(b []byte, maxDepth int) (rest []byte, err error) {
	if n := Extent(b, maxDepth); n >= 0 {
		return b[n:], nil
	}
	_, err = explain(b, 0, maxDepth)
	return b, err
}

// Extent returns the size of the first value of b, or -1 when there is none that is complete, well-formed and nested
// no deeper than maxDepth. It is Skip for callers that do not want to know why.
func Extent(b []byte, maxDepth int) int {
	if len(b) > 0 && b[0]&0xf0 == tagFixarray && maxDepth > 0 {
		return extentItems(b, 1, uint64(b[0]&0x0f), maxDepth-1)
	}
	return extentItems(b, 0, 1, maxDepth)
}

// extentItems returns the position after n values at b[i:], or -1. Every value has at least one byte, so that a false
// count ends with the input.
func extentItems(b []byte, i int, n uint64, depth int) int {
	for ; n > 0; n-- {
		if uint(i) >= uint(len(b)) {
			return -1
		}
		c := b[i]
		if size := fixedSizes[c]; size != 0 {
			i += int(size) // past the end is seen by the next turn, or below
			continue
		}
		if c == tagRaw16 && i+2 < len(b) { // what most payloads are
			i += 3 + (int(b[i+1])<<8 | int(b[i+2]))
			continue
		}
		if i = extentLong(b, i, depth); i < 0 {
			return -1
		}
	}
	if i > len(b) {
		return -1
	}
	return i
}

// extentLong returns the position after the value at b[i:], or -1, where its tag alone does not tell.
func extentLong(b []byte, i, depth int) int {
	c := b[i]
	if c&0xf0 == tagFixarray && depth > 0 {
		return extentItems(b, i+1, uint64(c&0x0f), depth-1)
	}
	switch k := tagKinds[c]; k {
	case KindRaw:
		head, n, ok := readLength(b[i:])
		if !ok || n > uint64(len(b)-i-head) {
			return -1
		}
		return i + head + int(n)
	case KindArray, KindMap:
		t, err := readContainerToken(b[i:], Token{Kind: k})
		if err != nil || depth <= 0 {
			return -1
		}
		return extentItems(b, i+int(t.Size), t.Items, depth-1)
	}
	return -1
}

// explain walks the value at b[i:] like Extent and says what is wrong with it.
func explain(b []byte, i, depth int) (int, error) {
	t, err := ReadToken(b[i:])
	if e, ok := err.(*Error); ok {
		e.Offset = i
	}
	if err != nil {
		return i, err
	}
	if t.Size > uint64(len(b)-i) {
		return i, ErrShort
	}
	if t.Kind != KindArray && t.Kind != KindMap {
		return i + int(t.Size), nil
	}
	if depth <= 0 {
		return i, &Error{Offset: i, Err: ErrTooDeep}
	}
	i += int(t.Size)
	for n := t.Items; n > 0; n-- {
		if i, err = explain(b, i, depth-1); err != nil {
			return i, err
		}
	}
	return i, nil
}
