package manifest

import (
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// decodeMap reads a storage record: one msgpack map, in either dialect, and
// nothing after it.
func decodeMap(record []byte) (map[string]any, error) {
	r := msgpack.NewReader(record)
	v := r.Value()
	if err := r.Err(); err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a map, have %s", document.Describe(v))
	}
	if r.Len() > 0 {
		return nil, errors.New("unexpected bytes after the map")
	}
	return m, nil
}

func encodeMap(m any) ([]byte, error) {
	return msgpack.AppendValue(nil, m)
}
