package source

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/cocaine/cocaine-go/internal/archive"
)

// ignored tells whether a file or directory is a by-product of somebody's tools
// and no part of the source: it is neither packed nor watched.
func ignored(name string, dir bool) bool {
	if dir {
		switch name {
		case ".git", ".hg", ".svn", ".bzr", ".jj", ".cocaine", ".idea", ".vscode", "__pycache__":
			return true
		}
		return false
	}
	switch {
	case name == ".DS_Store",
		strings.HasSuffix(name, "~"),
		strings.HasPrefix(name, ".#"),
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"),
		strings.HasPrefix(name, ".goutputstream-"),
		strings.HasSuffix(name, "___jb_tmp___"),
		strings.HasSuffix(name, "___jb_old___"):
		return true
	}
	switch filepath.Ext(name) {
	case ".swp", ".swo", ".swx":
		return true
	}
	return false
}

// ignores tells whether the app's ignore file lists a path or a directory around
// it. Of a path that is gone it is not known whether it was a directory.
func (p *Plan) ignores(path string) bool {
	rel, err := filepath.Rel(p.Dir, path)
	if p.ignore == nil || err != nil || !filepath.IsLocal(rel) || rel == archive.IgnoreFile {
		return false
	}
	rel = filepath.ToSlash(rel)
	for i, c := range rel {
		if c == '/' && p.ignore.Match(rel[:i], true) {
			return true
		}
	}
	info, err := os.Lstat(path)
	gone := err != nil
	return (gone || !info.IsDir()) && p.ignore.Match(rel, false) || (gone || info.IsDir()) && p.ignore.Match(rel, true)
}

// unwatched tells whether changes of a file or directory are none of the
// source, although it may be packed: installed dependencies, and the file that
// vim writes to see whether it can.
func unwatched(name string, dir bool) bool {
	if ignored(name, dir) {
		return true
	}
	if dir {
		return name == "node_modules" || name == ".venv"
	}
	return name == "4913"
}
