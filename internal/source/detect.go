package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// Names of the files of the original.
const (
	manifestFile = "manifest.json"
	profileFile  = "profile.json"
)

// Options guide Detect.
type Options struct {
	// Name of the app. If empty, it is taken from the app file, else from the Go
	// module, the directory or the file.
	Name string
}

// Detect looks at a path and says how to deploy it. It writes nothing and runs
// nothing.
func Detect(path string, o Options) (*Plan, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot deploy %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, &Error{Op: "deploy", Path: path, Reason: reason(err), err: err,
			hint: "give the path of a directory, a program or an archive"}
	}
	d := detector{given: path, options: o}
	switch {
	case info.IsDir():
		return d.directory(abs)
	case info.Mode().IsRegular():
		return d.file(abs, info)
	}
	return nil, d.nothing("it is no file and no directory", "give the path of a directory, a program or an archive")
}

// shown returns the path of a file in dir as the person would write it, to
// stand in errors.
func (d *detector) shown(dir, name string) string {
	if abs, err := filepath.Abs(d.given); err != nil || abs != dir {
		return filepath.Join(filepath.Dir(d.given), name) // a file in dir was given
	}
	return filepath.Join(d.given, name)
}

// reason returns what went wrong without repeating the path.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

type detector struct {
	given   string // the path as it was given
	options Options
}

func (d *detector) nothing(reason, hint string) error {
	return &Error{Op: "deploy", Path: d.given, Reason: reason, hint: hint}
}

func (d *detector) directory(dir string) (*Plan, error) {
	if isFile(filepath.Join(dir, manifest.AppFile)) {
		return d.wholeDirectory(d.appFile(dir))
	}
	if isFile(filepath.Join(dir, manifestFile)) {
		return d.wholeDirectory(d.manifest(dir))
	}
	pkg, err := inspectGo(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot deploy %s: %w", d.given, err)
	}
	if pkg.found {
		return d.goProgram(dir, pkg)
	}
	programs, err := executables(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot deploy %s: %w", d.given, err)
	}
	switch len(programs) {
	case 0:
		return nil, d.nothing("there is nothing to run in it", d.hintForEmpty(dir, pkg))
	case 1:
		return d.wholeDirectory(d.executable(dir, dir, "./"+programs[0]))
	}
	return nil, d.nothing(fmt.Sprintf("it holds %d programs: %s", len(programs), strings.Join(programs[:min(len(programs), 5)], ", ")),
		fmt.Sprintf(`say which one in %s: run = ["./%s"]`, manifest.AppFile, programs[0]))
}

// wholeDirectory completes a plan that packs a directory with what its ignore
// file says.
func (d *detector) wholeDirectory(plan *Plan, err error) (*Plan, error) {
	if err != nil {
		return nil, err
	}
	text, err := readFile(filepath.Join(plan.Dir, archive.IgnoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return plan, nil
	}
	if err != nil {
		return nil, err
	}
	if plan.ignore, err = archive.ParseIgnore(text); err != nil {
		return nil, fmt.Errorf("cannot deploy %s: %w", d.given, err)
	}
	return plan, nil
}

// hintForEmpty guesses what the person meant by a directory without a program.
func (d *detector) hintForEmpty(dir string, pkg goPackage) string {
	if pkg.moduleRoot == dir {
		if mains := goPrograms(dir); len(mains) > 0 {
			return fmt.Sprintf("the module's programs are elsewhere: give %s", filepath.Join(d.given, mains[0]))
		}
	}
	for _, guess := range []struct{ file, run string }{
		{"app.py", `["python3", "app.py"]`},
		{"main.py", `["python3", "main.py"]`},
		{"server.js", `["node", "server.js"]`},
		{"index.js", `["node", "index.js"]`},
		{"app.rb", `["ruby", "app.rb"]`},
	} {
		if isFile(filepath.Join(dir, guess.file)) {
			return fmt.Sprintf("add %s with: run = %s", manifest.AppFile, guess.run)
		}
	}
	return fmt.Sprintf(`add %s with: run = ["./program"]`, manifest.AppFile)
}

func (d *detector) file(path string, info fs.FileInfo) (*Plan, error) {
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	switch {
	case base == manifest.AppFile:
		return d.wholeDirectory(d.appFile(dir))
	case base == manifestFile:
		return d.wholeDirectory(d.manifest(dir))
	case isArchiveName(base):
		return d.archive(path)
	case strings.HasSuffix(base, ".go"):
		return nil, d.nothing("a single Go file cannot be deployed", "give its directory: "+filepath.Dir(d.given))
	case info.Mode()&0o111 != 0 || isScript(path):
		return d.executable(path, dir, "./"+base)
	}
	return nil, d.nothing("it is not executable and does not begin with #!", "chmod +x "+d.given)
}

// appFile plans a directory that has a cocaine.toml.
func (d *detector) appFile(dir string) (*Plan, error) {
	text, err := readFile(filepath.Join(dir, manifest.AppFile))
	if err != nil {
		return nil, err
	}
	app, err := manifest.ParseApp(d.shown(dir, manifest.AppFile), text)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Kind: AppFile, Path: dir, Dir: dir, watch: dir, Build: app.Build, Manifest: app.Manifest(), Profile: app.Profile}
	if err := d.planGo(plan, app.Name, app.Build == nil); err != nil {
		return nil, err
	}
	if plan.Manifest.Slave == "" {
		return nil, d.nothing("its "+manifest.AppFile+" does not say what to run, and there is no Go program in it",
			fmt.Sprintf(`add to %s: run = ["./program"]`, manifest.AppFile))
	}
	return plan, nil
}

// manifest plans a directory that has the original's files.
func (d *detector) manifest(dir string) (*Plan, error) {
	text, err := readFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, err
	}
	name := filepath.Base(dir)
	m, err := manifest.DecodeManifestJSON(name, d.shown(dir, manifestFile), text)
	if err != nil {
		return nil, err
	}
	profile := manifest.DefaultProfile()
	text, err = readFile(filepath.Join(dir, profileFile))
	if err == nil {
		profile, err = manifest.DecodeProfileJSON(name, d.shown(dir, profileFile), text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	plan := &Plan{Kind: Manifest, Path: dir, Dir: dir, watch: dir, Manifest: m, Profile: profile}
	if err := d.planGo(plan, "", true); err != nil {
		return nil, err
	}
	return plan, nil
}

// planGo names the app and, if the directory holds the Go source of what is to
// be run, plans to compile it. A binary that lies beside its source may be older
// than the source; it is never what a person means to deploy.
func (d *detector) planGo(plan *Plan, name string, mayCompile bool) error {
	pkg, err := inspectGo(plan.Dir)
	if err != nil {
		return fmt.Errorf("cannot deploy %s: %w", d.given, err)
	}
	if name == "" {
		name = pkg.name(plan.Dir)
	}
	if plan.Name, err = d.name(name); err != nil {
		return err
	}
	if pkg.moduleRoot != "" && (pkg.found || len(plan.Build) > 0) {
		plan.watch = pkg.moduleRoot
	}
	if !mayCompile || !pkg.found || pkg.moduleRoot == "" || !compilesTo(plan.Dir, plan.Manifest.Slave, plan.Name) {
		return nil
	}
	if plan.Manifest.Slave == "" {
		plan.Manifest.Slave = "./" + plan.Name
	}
	plan.GoOutput = filepath.Clean(plan.Manifest.Slave)
	return nil
}

// compilesTo tells whether the program to run can be what the Go source of the
// directory compiles to: not a script, and nothing outside of the directory.
func compilesTo(dir, program, name string) bool {
	if program == "" {
		return true
	}
	if filepath.IsAbs(program) {
		return false
	}
	inside := filepath.Join(dir, program)
	if isScript(inside) {
		return false
	}
	return strings.ContainsRune(program, '/') || program == name || isFile(inside)
}

func (d *detector) goProgram(dir string, pkg goPackage) (*Plan, error) {
	if pkg.moduleRoot == "" {
		return nil, d.nothing("its Go program belongs to no module", "go mod init "+filepath.Base(dir))
	}
	name, err := d.name(pkg.name(dir))
	if err != nil {
		return nil, err
	}
	kind := GoPackage
	if pkg.moduleRoot == dir {
		kind = GoModule
	}
	return &Plan{
		Kind: kind, Name: name, Path: dir, Dir: dir, watch: pkg.moduleRoot,
		GoOutput: name, Files: []string{},
		Manifest: &manifest.Manifest{Slave: "./" + name}, Profile: manifest.DefaultProfile(),
	}, nil
}

// executable plans one program: alone when path is the program itself, with the
// files around it when path is its directory.
func (d *detector) executable(path, dir, program string) (*Plan, error) {
	plan := &Plan{
		Kind: Executable, Path: path, Dir: dir, watch: path,
		Manifest: &manifest.Manifest{Slave: program}, Profile: manifest.DefaultProfile(),
	}
	name := filepath.Base(dir)
	if path != dir {
		plan.Files = []string{filepath.Base(path)}
		name = withoutExtension(filepath.Base(path))
	}
	var err error
	plan.Name, err = d.name(name)
	return plan, err
}

// name returns the name of the app: the one asked for, or the one found.
func (d *detector) name(found string) (string, error) {
	name, hint := found, fmt.Sprintf(`give it another name: --name NAME, or name = "..." in %s`, manifest.AppFile)
	if d.options.Name != "" {
		name, hint = d.options.Name, "choose another name"
	}
	if err := manifest.ValidateAppName(name); err != nil {
		return "", &Error{Op: "deploy", Path: d.given, Reason: err.Error(), hint: hint, err: err}
	}
	return name, nil
}

// withoutExtension drops what follows the last dot, if anything stands before
// it.
func withoutExtension(base string) string {
	if ext := filepath.Ext(base); len(ext) < len(base) {
		return strings.TrimSuffix(base, ext)
	}
	return base
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// isScript tells whether a file begins with #!.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "#!"
}

// executables returns the names of the programs in a directory, sorted.
func executables(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !entry.Type().IsRegular() || ignored(entry.Name(), false) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode()&0o111 != 0 {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// readFile reads a file that a person wrote.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, document.MaxSize+1))
}
