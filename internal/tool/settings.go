package tool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// settings are what the files of the tool say. They have the form of the
// original's:
//
//	locator:
//	    host: localhost
//	    port: 10053
//	secure:
//	    mod: TVM
//	    client_id: 42
//	    client_secret: c2VjcmV0
type settings struct {
	host, port string // empty if they are not given
	secure     bool   // calls carry a ticket of the service tvm
	client     int
	secret     string
	mod        string
}

// SettingsFiles are the files that the tool reads, the later ones over the earlier
// ones. home may be empty.
func SettingsFiles(home string) []string {
	files := []string{"/etc/cocaine/.cocaine/tools.yml"}
	if home != "" {
		files = append(files, filepath.Join(home, ".cocaine", "tools.yml"))
	}
	return files
}

// maxSettings is the largest file that is read; nobody writes more.
const maxSettings = 1 << 20

// readSettings reads files over each other. Missing and empty ones say nothing.
func readSettings(files []string) (*settings, error) {
	s := new(settings)
	for _, file := range files {
		if err := s.readFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &failure{err: fmt.Errorf("cannot use the settings of the tool: %w", err), code: Invalid, hint: "mend or remove " + file}
		}
	}
	if s.mod != "" {
		s.secure = true
	}
	return s, nil
}

func (s *settings) readFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var root yaml.Node
	err = yaml.NewDecoder(io.LimitReader(f, maxSettings)).Decode(&root)
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return s.section(file, "", root.Content[0], map[string]func(*yaml.Node) error{
		"locator": func(n *yaml.Node) error {
			return s.section(file, "locator.", n, map[string]func(*yaml.Node) error{
				"host": aString(&s.host), "port": aPort(&s.port),
			})
		},
		"secure": func(n *yaml.Node) error {
			return s.section(file, "secure.", n, map[string]func(*yaml.Node) error{
				"mod": tvm(&s.mod), "client_id": aNumber(&s.client), "client_secret": aString(&s.secret),
			})
		},
	})
}

// section reads a map whose keys are all known. The errors of values get their
// place and the name of their field.
func (s *settings) section(file, prefix string, n *yaml.Node, keys map[string]func(*yaml.Node) error) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d:%d: must be a map", file, n.Line, n.Column)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := keys[key.Value]
		if read == nil {
			return fmt.Errorf("%s:%d:%d: %s%s: unknown field", file, key.Line, key.Column, prefix, key.Value)
		}
		err := read(value)
		if value.Kind == yaml.MappingNode && err != nil {
			return err // it has a place already
		}
		if err != nil {
			return fmt.Errorf("%s:%d:%d: %s%s: %w", file, value.Line, value.Column, prefix, key.Value, err)
		}
	}
	return nil
}

func aString(dst *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			return errors.New("must be a string")
		}
		*dst = n.Value
		return nil
	}
}

func aNumber(dst *int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(dst) != nil {
			return errors.New("must be a whole number")
		}
		return nil
	}
}

func aPort(dst *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var port int
		if err := aNumber(&port)(n); err != nil || port < 0 || port > 65535 {
			return errors.New("must be a number from 0 to 65535")
		}
		*dst = strconv.Itoa(port)
		return nil
	}
}

// tvm accepts the only kind of tickets there is.
func tvm(dst *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Value != "TVM" {
			return errors.New("must be TVM")
		}
		*dst = n.Value
		return nil
	}
}
