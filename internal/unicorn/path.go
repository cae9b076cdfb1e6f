package unicorn

import (
	"fmt"
	"strconv"
	"strings"
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
// often, up to 64 times and 1024 bytes. A name has no slash and no NUL, and is not
// empty, "." or "..". The root itself can not be named. The error wraps ErrBadPath.
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
			return fmt.Errorf("%w: it has an empty name", ErrBadPath)
		case ".", "..":
			return fmt.Errorf("%w: it has a name %q", ErrBadPath, name)
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
