package manifest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Runlist names the apps that a node starts by itself, each with the name of
// its profile.
type Runlist map[string]string

// ParseRunlist reads a decoded runlist. Apps that do not exist are not its
// business: whoever starts them finds out.
func ParseRunlist(name string, raw map[string]any) (Runlist, error) {
	return readRunlist(name, document.FromMap(raw))
}

// DecodeRunlist reads a runlist from its storage record.
func DecodeRunlist(name string, record []byte) (Runlist, error) {
	raw, err := decodeMap(record)
	if err != nil {
		return nil, fmt.Errorf("cannot use runlist %q: %w", name, err)
	}
	return ParseRunlist(name, raw)
}

// DecodeRunlistJSON reads a runlist from JSON. The name of the file appears in
// errors.
func DecodeRunlistJSON(name, file string, text []byte) (Runlist, error) {
	doc, err := document.ParseJSON(file, text)
	if err != nil {
		return nil, fmt.Errorf("cannot use runlist %q: %w", name, err)
	}
	return readRunlist(name, doc)
}

func readRunlist(name string, doc *document.Document) (Runlist, error) {
	root := doc.Root()
	list := make(Runlist, len(root.Values()))
	for _, app := range slices.Sorted(maps.Keys(root.Values())) {
		if app == "" {
			root.Problem("", "an app must have a name")
			continue
		}
		var profile string
		if document.Read(root, app, document.NonEmpty, &profile) {
			list[app] = profile
		}
	}
	if err := doc.Err(); err != nil {
		return nil, fmt.Errorf("cannot use runlist %q: %w", name, err)
	}
	return list, nil
}

// Encode returns the runlist as a storage record.
func (l Runlist) Encode() ([]byte, error) {
	return encodeMap(map[string]string(l))
}
