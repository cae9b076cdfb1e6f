package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

// Packer writes the files of a directory as an archive.
type Packer func(ctx context.Context, dir string, w io.Writer) error

// Bundle is a built source: everything a release is made of. Close removes what
// was built.
type Bundle struct {
	Name     string
	Manifest *manifest.Manifest
	Profile  *manifest.Profile

	// Dir holds the files of the app. It is empty if the source is an archive.
	Dir string

	archive string // the ready archive, if the source is one
	temp    string // to be removed
}

// BuildError says that a build command failed. What it printed went to the
// writer given to Build.
type BuildError struct {
	Name     string   // of the app
	Command  []string // that was run
	ExitCode int      // of the command, -1 if it did not run to its end
	Err      error
}

// Error returns "cannot build NAME: COMMAND: exit status N".
func (e *BuildError) Error() string {
	words := e.Command
	if len(words) == 3 && words[0] == "/bin/sh" {
		words = words[2:] // as the app file has it
	}
	command := strings.Join(words[:min(len(words), 2)], " ")
	return fmt.Sprintf("cannot build %s: %s: %v", e.Name, command, e.Err)
}

// Unwrap returns the cause.
func (e *BuildError) Unwrap() error { return e.Err }

// Build carries out a plan. The output of commands goes to out as they write it.
// A command that fails is reported as a *[BuildError]. If ctx ends, the command
// and all it started are stopped.
func Build(ctx context.Context, p *Plan, out io.Writer) (_ *Bundle, err error) {
	b := &Bundle{Name: p.Name, Manifest: p.Manifest, Profile: p.Profile}
	if p.Kind == Archive {
		b.archive = p.Path
		return b, nil
	}
	if b.temp, err = os.MkdirTemp("", "cocaine-build-"); err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", p.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	b.Dir = filepath.Join(b.temp, "app")
	if err := os.Mkdir(b.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", p.Name, err)
	}
	if len(p.Build) > 0 {
		if err := run(ctx, p, p.Build, out); err != nil {
			return nil, err
		}
	}
	if err := copySource(ctx, p, b.Dir, out); err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", p.Name, err)
	}
	if p.GoOutput != "" {
		if err := compile(ctx, p, b.Dir, out); err != nil {
			return nil, err
		}
	}
	if err := checkProgram(p, b.Dir); err != nil {
		return nil, err
	}
	return b, nil
}

// Close removes the files of the bundle.
func (b *Bundle) Close() error {
	if b.temp == "" {
		return nil
	}
	return os.RemoveAll(b.temp)
}

// Pack writes the app as an archive: the one that the source is, or one that
// pack makes of the bundle's files.
func (b *Bundle) Pack(ctx context.Context, pack Packer, w io.Writer) error {
	if b.archive == "" {
		return pack(ctx, b.Dir, w)
	}
	f, err := os.Open(b.archive)
	if err != nil {
		return fmt.Errorf("cannot pack %s: %w", b.Name, err)
	}
	defer f.Close()
	if _, err := io.Copy(w, reader{ctx, f}); err != nil {
		return fmt.Errorf("cannot pack %s: %w", b.Name, err)
	}
	return nil
}

func compile(ctx context.Context, p *Plan, dir string, out io.Writer) error {
	// A file of that name may have come with the source; the compiler refuses to
	// write over what it did not make.
	if err := os.Remove(filepath.Join(dir, p.GoOutput)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot build %s: %w", p.Name, err)
	}
	return run(ctx, p, p.Command(dir), out)
}

// buildGrace is how long a stopped build may take to tidy up.
const buildGrace = 3 * time.Second

// run executes a command of the plan in its directory. The command leads a
// process group of its own, so that whatever it starts can be stopped with it.
func run(ctx context.Context, p *Plan, command []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.BuildEnv...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = buildGrace
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &Error{Op: "build", Path: p.Name, Reason: err.Error(), err: err, hint: "install " + command[0]}
	}
	failed := &BuildError{Name: p.Name, Command: command, ExitCode: -1, Err: err}
	if ctx.Err() != nil {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever did not heed SIGINT
		}
		failed.Err = context.Cause(ctx)
		return failed
	}
	if cmd.ProcessState != nil {
		failed.ExitCode = cmd.ProcessState.ExitCode()
	}
	return failed
}

// checkProgram finds out now what would otherwise be found out by the first
// worker. Other isolates than "process" may have the program in an image.
func checkProgram(p *Plan, dir string) error {
	slave := p.Manifest.Slave
	if filepath.IsAbs(slave) || !strings.ContainsRune(slave, '/') || p.Profile.Isolate.Type != manifest.DefaultProfile().Isolate.Type {
		return nil // it lies on the machine that runs it
	}
	info, err := os.Stat(filepath.Join(dir, slave))
	switch {
	case err != nil:
		return &Error{Op: "deploy", Path: p.Path, Reason: fmt.Sprintf("its program %s does not exist", slave), err: err,
			hint: fmt.Sprintf("build it, or let %s do that: build = \"...\"", manifest.AppFile)}
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return &Error{Op: "deploy", Path: p.Path, Reason: fmt.Sprintf("its program %s is not executable", slave), hint: "chmod +x " + slave}
	}
	return nil
}
