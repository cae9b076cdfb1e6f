package isolatetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Variables that make the test binary a worker.
const (
	modeVariable     = "ISOLATETEST_MODE"
	argVariable      = "ISOLATETEST_ARG"
	lifelineVariable = "ISOLATETEST_LIFELINE"
	childVariable    = "ISOLATETEST_CHILD" // set for children of workers: descriptor 3 waits for them
)

// Modes of a worker.
const (
	Exit     = "exit"     // exits with the status in arg
	Suicide  = "suicide"  // sends itself the signal in arg
	Print    = "print"    // prints arg lines to each stream, then a last one without newline
	Line     = "line"     // prints one line of arg bytes
	Flood    = "flood"    // prints without end
	Report   = "report"   // prints a Facts as JSON
	Sleep    = "sleep"    // waits for a signal
	Polite   = "polite"   // prints "bye" and exits with 0 at SIGTERM
	Mover    = "mover"    // joins the process group in arg, then is Polite
	Stubborn = "stubborn" // ignores SIGTERM
	Parent   = "parent"   // starts arg sleeping children in its group and waits
	Heir     = "heir"     // starts a child in its group, which keeps its output, and exits
	Escapee  = "escapee"  // like Heir, but the child leads a session of its own
	Detached = "detached" // like Escapee, but stays
	Hungry   = "hungry"   // allocates arg bytes, prints "full" and waits
	Opener   = "opener"   // opens files until it cannot, prints how many it has
	Forker   = "forker"   // starts children until it cannot, prints how many it has
)

// Facts are what a worker sees of its surroundings.
type Facts struct {
	Args    []string
	Environ []string
	Dir     string
	PID     int
	Group   int
	Files   []string // what its descriptors lead to, as "number path"
	Stdin   string   // what can be read from it
	Cgroup  string   // /proc/self/cgroup
}

// Main turns the process into a worker, if it was started as one, and does not
// return then. Call it first in TestMain.
func Main() {
	mode := os.Getenv(modeVariable)
	if mode == "" {
		return
	}
	hold(mode)
	if os.Getenv(childVariable) != "" {
		syscall.Close(3)
	}
	arg := os.Getenv(argVariable)
	number, _ := strconv.Atoi(arg)
	work(mode, number)
	os.Exit(0)
}

// hold connects to the lifeline, if there is one, and ends with it.
func hold(mode string) {
	path := os.Getenv(lifelineVariable)
	if path == "" {
		return
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println("cannot reach lifeline:", err)
		os.Exit(97)
	}
	fmt.Fprintf(conn, "%s %d\n", mode, os.Getpid())
	bufio.NewReader(conn).ReadString('\n') // the test has seen us
	go func() {
		io.Copy(io.Discard, conn)
		os.Exit(98) // the test is over
	}()
}

func work(mode string, number int) {
	switch mode {
	case Exit:
		os.Exit(number)
	case Suicide:
		syscall.Kill(os.Getpid(), syscall.Signal(number))
		block()
	case Print:
		for i := range number {
			fmt.Fprintf(os.Stdout, "out %d\n", i)
			fmt.Fprintf(os.Stderr, "err %d\n", i)
		}
		fmt.Fprint(os.Stdout, "out end")
		fmt.Fprint(os.Stderr, "err end")
	case Line:
		fmt.Println(strings.Repeat("x", number))
	case Flood:
		line := []byte(strings.Repeat("flood ", 20) + "\n")
		for {
			os.Stdout.Write(line)
		}
	case Report:
		json.NewEncoder(os.Stdout).Encode(facts())
	case Sleep:
		wait()
	case Polite, Mover:
		if mode == Mover {
			if err := syscall.Setpgid(0, number); err != nil {
				fmt.Println("cannot move:", err)
				os.Exit(94)
			}
		}
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		<-terminated
		fmt.Println("bye")
	case Stubborn:
		signal.Ignore(syscall.SIGTERM)
		wait()
	case Parent:
		for range number {
			startChild(nil)
		}
		wait()
	case Heir:
		startChild(nil)
	case Escapee:
		startChild(&syscall.SysProcAttr{Setsid: true})
	case Detached:
		startChild(&syscall.SysProcAttr{Setsid: true})
		wait()
	case Hungry:
		full := make([]byte, number)
		for i := 0; i < len(full); i += 4096 {
			full[i] = 1
		}
		fmt.Println("full")
		wait()
		fmt.Println(full[0])
	case Opener:
		n := 0
		for ; ; n++ {
			if _, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0); err != nil {
				break
			}
		}
		fmt.Println(n)
	case Forker:
		n := 0
		for ; n < 1000; n++ {
			if err := exec.Command("sleep", "1000").Start(); err != nil {
				break
			}
		}
		fmt.Println(n)
		wait()
	default:
		fmt.Println("unknown mode", mode)
		os.Exit(99)
	}
}

// wait tells that it is ready and blocks for ever.
func wait() {
	fmt.Println("ready")
	block()
}

func block() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1) // keeps Go's runtime from finding a deadlock
	select {}
}

// startChild starts another worker, which sleeps and shares our output, and
// waits until it holds the lifeline.
func startChild(attr *syscall.SysProcAttr) {
	if err := tryChild(attr); err != nil {
		fmt.Println("cannot start a child:", err)
		os.Exit(96)
	}
}

func tryChild(attr *syscall.SysProcAttr) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	child := exec.Command(executable)
	child.Env = append(os.Environ(), modeVariable+"="+Sleep, childVariable+"=1")
	child.Stdout, child.Stderr, child.ExtraFiles, child.SysProcAttr = os.Stdout, os.Stderr, []*os.File{w}, attr
	err = child.Start()
	w.Close()
	if err != nil {
		return err
	}
	io.Copy(io.Discard, r)
	return nil
}

func facts() Facts {
	dir, _ := os.Getwd()
	cgroup, _ := os.ReadFile("/proc/self/cgroup")
	f := Facts{Cgroup: string(cgroup), Args: os.Args, Environ: os.Environ(), Dir: dir, PID: os.Getpid(), Group: syscall.Getpgrp(), Files: descriptors()}
	stdin, err := io.ReadAll(os.Stdin)
	f.Stdin = string(stdin)
	if err != nil {
		f.Stdin = err.Error()
	}
	return f
}

// descriptors lists what is open, less what Go's runtime opens for itself.
func descriptors() []string {
	var files []string
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/fs/cgroup/") {
			continue
		}
		files = append(files, filepath.Base(link)+" "+target)
	}
	return files
}
