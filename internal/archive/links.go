package archive

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// cleanName turns an entry's name into a path below the destination. The result
// is "." for the destination itself, which cocaine-tool's archives, made with an
// empty name for their directory, call "/".
func cleanName(name string) (string, error) {
	if name == "/" {
		return ".", nil
	}
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return "", ErrPath
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", ErrPath
		}
	}
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) { // what else the system forbids
		return "", ErrPath
	}
	return clean, nil
}

// checkTarget refuses a symbolic link's target by its spelling: absolute ones and
// those that climb out by "..". Links that only lead outside by way of other
// links pass; checkLeads finds them.
func checkTarget(name, target string) error {
	if target == "" || path.IsAbs(target) || filepath.IsAbs(target) || strings.ContainsRune(target, 0) {
		return ErrLink
	}
	depth := strings.Count(path.Clean(name), "/")
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return ErrLink
		}
	}
	return nil
}

// checkLeads follows a symbolic link that exists in root, through other links,
// and refuses it if it leaves. os.Root does the walk: it resolves every component
// itself and fails when one steps outside. A link to nothing, or in a circle, is
// harmless.
func checkLeads(root *os.Root, name string) error {
	_, err := root.Stat(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || isLoop(err) {
		return nil
	}
	return ErrLink
}
