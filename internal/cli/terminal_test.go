package cli_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// cmdTerminal is spawn on a terminal of its own, all that is drawn on which goes to
// NAME.out:
//
//	terminal NAME COLUMNS PROGRAM ARG...
//
// What is told to the program is typed.
func cmdTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal NAME COLUMNS PROGRAM ARG...")
	}
	columns, err := strconv.ParseUint(args[1], 10, 16)
	ts.Check(err)
	master, slave, err := openTerminal(uint16(columns))
	ts.Check(err)
	defer slave.Close()
	path, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(environ(ts), "TERM="+ts.Getenv("TERM"), "NO_COLOR="+ts.Getenv("NO_COLOR"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := os.Create(filepath.Join(ts.Getenv("WORK"), args[0]+".out"))
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), args[0]+".err"), nil, 0o644))
	ts.Check(cmd.Start())
	p := &program{cmd: cmd, input: master, done: make(chan struct{})}
	go func() {
		_, _ = io.Copy(out, master) // ends when the last one who has the terminal open does
		out.Close()
		_ = cmd.Wait() // the state tells
		master.Close()
		close(p.done)
	}()
	scriptOf(ts).add(ts, args[0], p)
}

func openTerminal(columns uint16) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// cmdFits checks that no line that was drawn again and again is wider than the
// terminal: one that wraps cannot be erased.
//
//	fits FILE COLUMNS
func cmdFits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fits FILE COLUMNS")
	}
	columns, err := strconv.Atoi(args[1])
	ts.Check(err)
	drawn := 0
	for piece := range strings.SplitSeq(ts.ReadFile(args[0]), "\r\x1b[K") {
		line, _, _ := strings.Cut(escapes.ReplaceAllString(piece, ""), "\n")
		if !strings.ContainsAny(line, "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏") {
			continue
		}
		drawn++
		if n := utf8.RuneCountInString(strings.TrimSpace(line)); n >= columns {
			ts.Fatalf("%d characters: %q", n, line)
		}
	}
	if drawn == 0 {
		ts.Fatalf("nothing was drawn")
	}
}

// cmdInterrupt presses Ctrl-C on a terminal.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: interrupt NAME")
	}
	_, err := scriptOf(ts).program(ts, args[0]).input.Write([]byte{3})
	ts.Check(err)
}
