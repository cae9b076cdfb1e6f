package tool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cocaine/cocaine-go/internal/document"
)

// readContent reads a map from a file, JSON or YAML, or from the option itself if
// no file has that name: JSON in quotes.
func readContent(what, given string) (map[string]any, error) {
	content, err := readFileOrText(given)
	if err != nil {
		return nil, &failure{err: fmt.Errorf("cannot read %s: %w", what, err), code: Invalid}
	}
	return content, nil
}

func readFileOrText(given string) (map[string]any, error) {
	text := strings.TrimSpace(given)
	if strings.HasPrefix(text, "{") {
		return parseContent("", []byte(text))
	}
	f, err := os.Open(given)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q is neither a file nor JSON", given)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, document.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return parseContent(given, data)
}

// parseContent reads JSON, and YAML from files that are called so.
func parseContent(file string, text []byte) (map[string]any, error) {
	if strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml") {
		var content map[string]any
		if err := yaml.Unmarshal(text, &content); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return content, nil
	}
	d, err := document.ParseJSON(file, text)
	if err != nil {
		return nil, placed(err)
	}
	return d.Root().Values(), nil
}
