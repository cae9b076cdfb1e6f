// Package source turns what a person points at into something that can be
// deployed:
//
//	path ──Detect──▶ Plan ──Build──▶ Bundle ──Pack──▶ archive
//	                  │                └──Digest──▶ name of the release
//	                  └──Watch──▶ changes, each a reason to build again
//
// A path may be a directory with an app file (cocaine.toml), one with the
// original's manifest.json, a Go program, a single executable or script, or an
// archive that is ready. [Detect] only looks; [Build] runs compilers, always
// into a directory of its own, never into the source.
//
// Errors that a person can mend have a method Hint() string that says how.
//
// Plans are plain data. A [Bundle] owns its temporary directory until Close. A
// [Watcher] is used by one goroutine.
package source

import (
	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// Kind says how a Plan was found.
type Kind int

// The kinds of sources.
const (
	AppFile    Kind = iota + 1 // a directory with cocaine.toml
	Manifest                   // a directory with manifest.json and maybe profile.json
	GoModule                   // the root of a Go module that is a program
	GoPackage                  // a Go program inside a module
	Executable                 // one executable file or script, or a directory that holds just one
	Archive                    // a tar archive that holds one of the files above
)

// String names the kind for people.
func (k Kind) String() string {
	switch k {
	case AppFile:
		return "app file"
	case Manifest:
		return "manifest"
	case GoModule:
		return "Go module"
	case GoPackage:
		return "Go package"
	case Executable:
		return "executable"
	case Archive:
		return "archive"
	}
	return "unknown"
}

// Plan is what has to be done to deploy a source.
type Plan struct {
	Kind Kind
	Name string // of the app; valid
	Path string // of the source, absolute: a file or a directory
	Dir  string // that commands run in and files come from, absolute

	// Build is the command that the app file asks for, to be run in Dir.
	Build []string

	// BuildEnv is added to the environment of the build, whatever its command.
	BuildEnv []string

	// GoOutput, if not empty, says that Dir holds a Go program to be compiled,
	// and where it goes inside the bundle.
	GoOutput string

	// Files are the files of Dir to be packed. Nil means all of them, empty
	// means none.
	Files []string

	Manifest *manifest.Manifest
	Profile  *manifest.Profile

	ignore *archive.Ignore // what of Dir is not packed, besides what never is; may be nil
	watch  string          // root of what may influence the result, absolute
}

// Command returns the command that builds into the directory out, nil when
// there is nothing to build.
func (p *Plan) Command(out string) []string {
	if p.GoOutput != "" {
		return goCommand(out, p.GoOutput)
	}
	if len(p.Build) > 0 {
		return p.Build
	}
	return nil
}

// Error is a problem that the person who gave the path can mend.
type Error struct {
	Op     string // what could not be done, such as "deploy"
	Path   string
	Reason string
	hint   string
	err    error
}

// Error returns "cannot deploy PATH: reason".
func (e *Error) Error() string {
	return "cannot " + e.Op + " " + e.Path + ": " + e.Reason
}

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.err }
