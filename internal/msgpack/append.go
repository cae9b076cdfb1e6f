package msgpack

import (
	"encoding/binary"
	"math"
)

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, tagNil) }

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, tagTrue)
	}
	return append(b, tagFalse)
}

// AppendInt appends v in its shortest form. Non-negative numbers get unsigned tags, as the original writes them.
func AppendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, tagInt8, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, tagInt16), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, tagInt32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, tagInt64), uint64(v))
}

// AppendUint appends v in its shortest form.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v <= maxFixint:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, tagUint8, byte(v))
	case v <= math.MaxUint16:
		return append(b, tagUint16, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, tagUint32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, tagUint64), v)
}

// AppendFloat appends v as a double, the only float width the dialect writes.
func AppendFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, tagFloat64), math.Float64bits(v))
}

// AppendString appends s as a raw.
func AppendString(b []byte, s string) []byte {
	return append(appendRawHead(b, len(s)), s...)
}

// AppendBytes appends p as a raw. Nil and empty slices both become the empty raw.
func AppendBytes(b, p []byte) []byte {
	return append(appendRawHead(b, len(p)), p...)
}

// AppendArray appends the header of an array; n values must follow.
func AppendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, tagFixarray|byte(n))
	case n <= math.MaxUint16:
		return append(b, tagArray16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, tagArray32), uint32(n))
}

// AppendMap appends the header of a map; n pairs of key and value must follow.
func AppendMap(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, tagFixmap|byte(n))
	case n <= math.MaxUint16:
		return append(b, tagMap16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, tagMap32), uint32(n))
}

func appendRawHead(b []byte, n int) []byte {
	switch {
	case n < 32:
		return append(b, tagFixraw|byte(n))
	case n <= math.MaxUint16:
		return append(b, tagRaw16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, tagRaw32), uint32(n))
}
