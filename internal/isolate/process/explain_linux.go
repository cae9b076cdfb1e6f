package process

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// explain turns the kernel's one word for a failed start into a sentence. The
// same ENOENT means that the program, its directory, its interpreter or its
// loader is missing; the file tells which.
func explain(p *program, s isolate.Spawn, cause error) error {
	e := &isolate.SpawnError{App: s.App, Slave: p.slave, Err: cause}
	e.Reason, e.Remedy = reason(p, cause)
	return e
}

func reason(p *program, cause error) (reason, remedy string) {
	errno, ok := errors.AsType[syscall.Errno](cause)
	if !ok {
		return fmt.Sprintf("%s: %v", p.path, cause), ""
	}
	switch errno {
	case unix.ENOENT, unix.ENOTDIR:
		return whyMissing(p)
	case unix.EACCES, unix.EPERM:
		return whyForbidden(p)
	case unix.ENOEXEC:
		return whyNotRunnable(p.path)
	case unix.ETXTBSY:
		return p.path + ": is open for writing", "wait until whoever writes it is done"
	case unix.E2BIG:
		return p.path + ": arguments and environment are too long", "shorten the manifest's environment"
	case unix.EINVAL:
		return p.path + ": arguments or environment hold a NUL byte", "correct the manifest's environment"
	case unix.EAGAIN:
		return p.path + ": too many processes", "raise the runtime's limit of processes (TasksMax, RLIMIT_NPROC)"
	case unix.EMFILE, unix.ENFILE:
		return p.path + ": too many open files", "raise the runtime's limit of open files (LimitNOFILE, RLIMIT_NOFILE)"
	case unix.ENOMEM:
		return p.path + ": out of memory", ""
	default:
		return p.path + ": " + errno.Error(), ""
	}
}

func whyMissing(p *program) (reason, remedy string) {
	const putIt = "put the program into the archive, or correct the manifest's slave"
	if info, err := os.Stat(p.dir); p.dir != "" && (err != nil || !info.IsDir()) {
		return p.dir + ": no such directory", "the app's code is gone: start the app again"
	}
	if _, err := os.Lstat(p.path); err != nil {
		return p.path + ": no such file", putIt
	}
	if _, err := os.Stat(p.path); err != nil {
		return p.path + ": is a link to nothing", putIt
	}
	if line, ok := shebang(p.path); ok {
		return missingInterpreter(p.path, line)
	}
	if loader := elfLoader(p.path); loader != "" {
		return fmt.Sprintf("%s: its loader %s is missing", p.path, loader),
			"link the program statically (Go: CGO_ENABLED=0), or install its C library"
	}
	return p.path + ": no such file", putIt
}

func missingInterpreter(path, line string) (reason, remedy string) {
	interpreter, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	if strings.HasSuffix(line, "\r") {
		return fmt.Sprintf("%s: its first line ends in a carriage return", path), "save the script with Unix line ends"
	}
	return fmt.Sprintf("%s: its interpreter %s is missing", path, interpreter),
		"install the interpreter, or correct the script's first line"
}

func whyForbidden(p *program) (reason, remedy string) {
	info, err := os.Stat(p.path)
	switch {
	case err != nil:
		return p.path + ": permission denied", "let the runtime's user read the directories above it"
	case info.IsDir():
		return p.path + ": is a directory", "name a program in the manifest's slave"
	case !info.Mode().IsRegular(): // and opening it might wait for ever
		return p.path + ": is no regular file", "name a program in the manifest's slave"
	case info.Mode()&0o111 == 0:
		return p.path + ": not executable", "chmod +x " + p.slave + ", then upload again"
	case p.dir != "" && unix.Access(p.dir, unix.X_OK) != nil:
		return p.dir + ": permission denied", "let the runtime's user enter the directory"
	case mountedNoexec(p.path):
		return p.path + ": on a file system mounted noexec", "move the spool to another file system"
	}
	if line, ok := shebang(p.path); ok {
		interpreter, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if unix.Access(interpreter, unix.X_OK) != nil {
			return fmt.Sprintf("%s: its interpreter %s is not executable", p.path, interpreter), "correct the script's first line"
		}
	}
	return p.path + ": permission denied", ""
}

func mountedNoexec(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0
}

// whyNotRunnable looks at a file that the kernel knows no way to execute.
func whyNotRunnable(path string) (reason, remedy string) {
	f, err := os.Open(path)
	if err != nil {
		return path + ": " + err.Error(), ""
	}
	defer f.Close()
	magic := make([]byte, 4)
	n, _ := io.ReadFull(f, magic)
	switch start := string(magic[:n]); {
	case n == 0:
		return path + ": is empty", "build the program again"
	case start == elf.ELFMAG:
		return wrongMachine(path, f)
	case strings.HasPrefix(start, "MZ"):
		return path + ": is a Windows program", "build it for Linux (Go: GOOS=linux)"
	case start == "\xcf\xfa\xed\xfe" || start == "\xca\xfe\xba\xbe":
		return path + ": is a macOS program", "build it for Linux (Go: GOOS=linux)"
	default:
		return path + ": neither a program nor a script with a first line like #!/bin/sh",
			"begin " + filepath.Base(path) + " with #! and its interpreter"
	}
}

func wrongMachine(path string, f *os.File) (reason, remedy string) {
	bin, err := elf.NewFile(f)
	if err != nil {
		return path + ": is a damaged program", "build it again"
	}
	machine := strings.ToLower(strings.TrimPrefix(bin.Machine.String(), "EM_"))
	return fmt.Sprintf("%s: is built for %s, this machine is %s", path, machine, runtime.GOARCH),
		"build it for this machine (Go: GOARCH=" + runtime.GOARCH + ")"
}

// shebang returns a script's first line after "#!".
func shebang(path string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n') // the kernel reads no more either
	rest, ok := strings.CutPrefix(line, "#!")
	return strings.TrimSuffix(rest, "\n"), ok
}

// elfLoader returns the dynamic loader that a program asks for, if that is missing.
func elfLoader(path string) string {
	bin, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer bin.Close()
	for _, segment := range bin.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(segment.Open(), 4096))
		loader := strings.TrimRight(string(name), "\x00")
		if _, statErr := os.Stat(loader); err == nil && statErr != nil {
			return loader
		}
	}
	return ""
}
