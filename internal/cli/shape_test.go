package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdShape checks that a JSON document has the shape that docs/CLI.md documents
// under a name:
//
//	shape NAME FILE [lines]
//
// Keys and kinds of values are those of the example. Of an array every element is
// like the first one of the example. A key in capital letters in the example
// stands for any number of keys, null in it for any value.
func cmdShape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: shape NAME FILE [lines]")
	}
	example, err := documented(filepath.Join(ts.Getenv("ROOT"), "docs", "CLI.md"), args[0])
	ts.Check(err)
	documents := []string{ts.ReadFile(args[1])}
	if len(args) == 3 {
		documents = strings.Split(strings.TrimSpace(documents[0]), "\n")
	}
	for _, text := range documents {
		var have any
		ts.Check(json.Unmarshal([]byte(text), &have))
		if err := matches("", example, have); err != nil {
			ts.Fatalf("the output is not as docs/CLI.md has it: %v\n%s", err, text)
		}
	}
}

// documented gives the example that follows a mark in the documentation.
func documented(path, name string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, after, ok := strings.Cut(string(text), "<!-- shape: "+name+" -->\n```json\n")
	if !ok {
		return nil, fmt.Errorf("%s has no shape %q", path, name)
	}
	block, _, _ := strings.Cut(after, "\n```")
	var example any
	if err := json.Unmarshal([]byte(block), &example); err != nil {
		return nil, fmt.Errorf("%s: shape %q: %w", path, name, err)
	}
	return example, nil
}

var placeholder = regexp.MustCompile(`^[A-Z][A-Z_-]*$`)

func matches(at string, example, have any) error {
	switch example := example.(type) {
	case nil: // anything
		return nil
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is no object", at)
		}
		return matchesObject(at, example, have)
	case []any:
		have, ok := have.([]any)
		if !ok {
			return fmt.Errorf("%s is no array", at)
		}
		for i, v := range have {
			if len(example) == 0 {
				break
			}
			if err := matches(fmt.Sprintf("%s[%d]", at, i), example[0], v); err != nil {
				return err
			}
		}
		return nil
	}
	if fmt.Sprintf("%T", example) != fmt.Sprintf("%T", have) {
		return fmt.Errorf("%s is %v, where the example has %v", at, have, example)
	}
	return nil
}

func matchesObject(at string, example, have map[string]any) error {
	var any any
	open := false
	for key, v := range example {
		if placeholder.MatchString(key) {
			any, open = v, true
			continue
		}
		if _, ok := have[key]; !ok {
			return fmt.Errorf("%s.%s is missing", at, key)
		}
	}
	for key, v := range have {
		like, ok := example[key]
		if !ok && !open {
			return fmt.Errorf("%s.%s is not documented", at, key)
		}
		if !ok {
			like = any
		}
		if err := matches(at+"."+key, like, v); err != nil {
			return err
		}
	}
	return nil
}
