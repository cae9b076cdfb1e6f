package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/config"
)

// A finding is the result of one check of the doctor.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

func (a *app) cmdDoctor() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Check this machine and the runtime, and say how to mend what is wrong",
		GroupID: "start",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd, &f) },
	}
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file`")
	return a.reads(c)
}

func (a *app) doctor(cmd *cobra.Command, f *serverFlags) error {
	findings := []finding{}
	conf, err := a.load(cmd, f)
	if err != nil {
		findings = append(findings, finding{"configuration", false, err.Error(), "cocaine config init - shows a file that is right"})
		conf = config.Default(a.env.Host)
	} else {
		findings = append(findings, finding{Check: "configuration", OK: true, Text: "valid"})
	}
	running, reach := a.checkRuntime(cmd.Context())
	findings = append(findings, reach)
	if !running {
		findings = append(findings, checkPort(conf))
	}
	for _, dir := range []struct{ name, path string }{
		{"state directory", conf.Paths.State}, {"runtime directory", conf.Paths.Runtime}, {"spool directory", conf.Paths.Spool},
	} {
		findings = append(findings, checkDir(dir.name, dir.path))
	}
	findings = append(findings, checkDisk(conf.Paths.State), checkFiles(), checkCgroup(), checkClock())
	return a.printFindings(findings)
}

func (a *app) printFindings(list []finding) error {
	bad := 0
	var rows [][]string
	for _, f := range list {
		mark := "ok"
		if !f.OK {
			mark, bad = "!!", bad+1
		}
		rows = append(rows, []string{mark, f.Check, f.Text})
		if f.Fix != "" {
			rows = append(rows, []string{"", "", "fix: " + f.Fix})
		}
	}
	if a.asJSON() {
		if err := a.printJSON(list); err != nil {
			return err
		}
	} else if err := a.table([]string{"", "CHECK", "RESULT"}, rows); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks found something to mend", bad, len(list))
	}
	return nil
}

// checkRuntime asks the runtime for its state. One that does not run is no fault.
func (a *app) checkRuntime(ctx context.Context) (running bool, f finding) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return false, finding{"runtime", false, err.Error(), "--locator HOST:PORT"}
	}
	defer c.Close()
	s, err := status(ctx, c)
	if err == nil {
		return true, finding{Check: "runtime", OK: true, Text: fmt.Sprintf("version %s at %s, up %s, %d apps", s.Version, s.Locator, age(s.Uptime), len(s.Apps))}
	}
	if _, ok := errors.AsType[*cocaine.ConnectError](err); ok && errors.Is(err, syscall.ECONNREFUSED) {
		return false, finding{Check: "runtime", OK: true, Text: "none is running", Fix: "cocaine server starts one"}
	}
	return false, finding{"runtime", false, err.Error(), "something else may listen on the locator's port"}
}

// checkPort reports whether the locator's port is free.
func checkPort(conf *config.Config) finding {
	addr := net.JoinHostPort(conf.Network.Endpoint, strconv.Itoa(conf.Network.Port))
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return finding{"locator port", false, err.Error(), "stop what listens there, or cocaine server --locator-port N"}
	}
	ln.Close()
	return finding{Check: "locator port", OK: true, Text: addr + " is free"}
}

// checkDir reports whether a directory can be written, or made.
func checkDir(name, path string) finding {
	at := path
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return finding{name, false, at + " is not a directory", "remove it, or choose another directory"}
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(at)
		if parent == at {
			return finding{name, false, err.Error(), "choose another directory: --dir DIR"}
		}
		at = parent
	}
	if err := syscall.Access(at, 2); err != nil {
		return finding{name, false, fmt.Sprintf("%s: %v", at, err), "chown it to the user of the server, or --dir DIR"}
	}
	return finding{Check: name, OK: true, Text: path}
}

// checkDisk reports how much room there is.
func checkDisk(path string) finding {
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(path, &st); err == nil {
			free := st.Bavail * uint64(st.Bsize)
			text := fmt.Sprintf("%.1f GiB free", float64(free)/(1<<30))
			if free < 1<<30 {
				return finding{"disk", false, text, "free some room, or move the state: --dir DIR"}
			}
			return finding{Check: "disk", OK: true, Text: text}
		}
		if parent := filepath.Dir(path); parent != path {
			path = parent
			continue
		}
		return finding{"disk", false, "cannot be read", ""}
	}
}

// checkFiles reports the limit of open files; each connection takes one.
func checkFiles() finding {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return finding{"open files", false, err.Error(), ""}
	}
	if lim.Max < 4096 {
		return finding{"open files", false, fmt.Sprintf("limit is %d", lim.Max), "ulimit -n 65536, or LimitNOFILE= of the service"}
	}
	return finding{Check: "open files", OK: true, Text: fmt.Sprintf("limit is %d", lim.Max)}
}

// checkCgroup reports whether limits of memory and CPU can be enforced.
func checkCgroup() finding {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		return finding{Check: "cgroup v2", OK: true, Text: "not there: workers are limited by rlimits only"}
	}
	if syscall.Access("/sys/fs/cgroup/cgroup.procs", 2) != nil {
		return finding{Check: "cgroup v2", OK: true, Text: "not delegated: workers are limited by rlimits only", Fix: "Delegate=yes in the unit of the service"}
	}
	return finding{Check: "cgroup v2", OK: true, Text: "writable"}
}

// checkClock reports a clock that has never been set.
func checkClock() finding {
	now := time.Now()
	if now.Year() < 2024 {
		return finding{"clock", false, now.Format(time.RFC3339), "set the clock: logs and crash records carry its time"}
	}
	return finding{Check: "clock", OK: true, Text: now.Format(time.RFC3339)}
}
