package archive

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"strings"
)

// IgnoreFile is the file in the root of an app's source that lists what not to pack.
const IgnoreFile = ".cocaineignore"

// alwaysIgnored is never part of an app's code.
var alwaysIgnored = [...]string{".git", ".cocaine", IgnoreFile}

// Ignore decides which files are left out. It understands the usual part of
// gitignore: comments, blank lines, "!" to take back, a trailing "/" for
// directories only, a slash elsewhere to anchor at the root, "*", "?", "[a-z]",
// and "**" for any number of directories. The last rule that matches wins. What
// lies below an ignored directory is not looked at.
type Ignore struct {
	rules []rule
}

type rule struct {
	segments []string // pattern split at slashes
	negated  bool
	dirOnly  bool
	anywhere bool // matches at any depth
}

// ParseIgnore reads the rules of an ignore file.
func ParseIgnore(text []byte) (*Ignore, error) {
	ig := &Ignore{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		if err := ig.add(lines.Text()); err != nil {
			return nil, fmt.Errorf("cannot read %s line %d: %w", IgnoreFile, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", IgnoreFile, err)
	}
	return ig, nil
}

func (ig *Ignore) add(line string) error {
	line = strings.TrimRight(line, " \t\r")
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	var r rule
	if rest, ok := strings.CutPrefix(line, "!"); ok {
		r.negated, line = true, rest
	}
	line = strings.TrimPrefix(line, `\`) // "\#x" and "\!x" are plain names
	if rest, ok := strings.CutSuffix(line, "/"); ok {
		r.dirOnly, line = true, rest
	}
	r.anywhere = !strings.Contains(line, "/")
	line = strings.Trim(line, "/")
	if line == "" {
		return nil
	}
	r.segments = strings.Split(strings.ReplaceAll(line, "[!", "[^"), "/") // package path spells "not" as ^
	for _, segment := range r.segments {
		if _, err := path.Match(segment, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", line, err)
		}
	}
	ig.rules = append(ig.rules, r)
	return nil
}

// Match reports whether the file with that slash-separated name, relative to the
// root, is left out.
func (ig *Ignore) Match(name string, dir bool) bool {
	for _, reserved := range alwaysIgnored {
		if name == reserved || path.Base(name) == ".git" {
			return true
		}
	}
	if ig == nil {
		return false
	}
	segments := strings.Split(name, "/")
	for i := len(ig.rules) - 1; i >= 0; i-- {
		if ig.rules[i].match(segments, dir) {
			return !ig.rules[i].negated
		}
	}
	return false
}

func (r rule) match(name []string, dir bool) bool {
	if r.dirOnly && !dir {
		return false
	}
	if r.anywhere {
		name = name[len(name)-1:]
	}
	return matchSegments(r.segments, name)
}

// matchSegments matches whole paths. It keeps the set of pattern positions that
// are reachable instead of trying every way to spread "**", so its cost is the
// product of the two lengths.
func matchSegments(pattern, name []string) bool {
	reach := make([]bool, len(pattern)+1)
	reach[0] = true
	skipStars(pattern, reach)
	for _, segment := range name {
		next := make([]bool, len(pattern)+1)
		for i, p := range pattern {
			switch {
			case !reach[i]:
			case p == "**":
				next[i] = true
				if i == len(pattern)-1 {
					next[i+1] = true
				}
			default:
				if ok, _ := path.Match(p, segment); ok {
					next[i+1] = true
				}
			}
		}
		skipStars(pattern, next)
		reach = next
	}
	return reach[len(pattern)]
}

// skipStars lets "**" stand for nothing, except at the end: "a/**" is what lies
// below a, not a itself.
func skipStars(pattern []string, reach []bool) {
	for i, p := range pattern[:max(len(pattern)-1, 0)] {
		if reach[i] && p == "**" {
			reach[i+1] = true
		}
	}
}
