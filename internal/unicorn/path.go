package unicorn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPath is the longest path in bytes. It keeps the engine's subjects below their
	// limit when every byte has to be escaped.
	maxPath = 1024
	// maxParts is how many names a path has at most.
	maxParts = 64
)

// root is the path of the node that all others are below. It can not be named.
const root = "/"

// CheckPath tells whether a path names a node: it is "/" and a name, once or more
// often, up to 64 times and 1024 bytes. A name has no slash and no byte below 0x1f, and
// is not empty, "." or "..". The root itself can not be named. The error wraps
// ErrBadName if it is a name that is wrong, else ErrBadPath.
func CheckPath(path string) error {
	switch {
	case path == root:
		return fmt.Errorf("%w: it is the root", ErrBadPath)
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("%w: it does not start with a slash", ErrBadPath)
	case len(path) > maxPath:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrBadPath, maxPath)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%w: it contains NUL", ErrBadPath)
	case strings.Count(path, "/") > maxParts:
		return fmt.Errorf("%w: it has more than %d names", ErrBadPath, maxParts)
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		switch name {
		case "":
			return fmt.Errorf("%w: it is empty", ErrBadName)
		case ".", "..":
			return fmt.Errorf("%w %q", ErrBadName, name)
		}
	}
	for _, c := range []byte(path) {
		if c < 0x1f {
			return fmt.Errorf("%w: it has a byte %#02x", ErrBadName, c)
		}
	}
	return nil
}

// checkNew tells whether a path, which CheckPath knows to be one, may be that of a new
// node: its names are UTF-8 and of characters that ZooKeeper takes. Neither control
// characters nor specials are, nor anything past the basic plane or for private use.
func checkNew(path string) error {
	for i, c := range path {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(path[i:], string(utf8.RuneError)):
			return fmt.Errorf("%w: it is not UTF-8", ErrBadName)
		case unicode.IsControl(c), 0xd800 <= c && c <= 0xf8ff, 0xfff0 <= c:
			return fmt.Errorf("%w: it has the character %U", ErrBadName, c)
		}
	}
	return nil
}

// split cuts a path into that of the parent and the node's own name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return root, path[1:]
	}
	return path[:i], path[i+1:]
}

func join(parent, name string) string {
	if parent == root {
		return root + name
	}
	return parent + "/" + name
}

// ancestors are the paths above one, the shortest first, without the root.
func ancestors(path string) []string {
	var all []string
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			all = append(all, path[:i])
		}
	}
	return all
}

// show gives a path for messages: as it is if it can be printed, and not too long.
func show(path string) string {
	const longest = 200
	cut := ""
	if len(path) > longest {
		path, cut = path[:longest], "..."
	}
	if q := strconv.Quote(path); q != `"`+path+`"` {
		path = q
	}
	return path + cut
}
