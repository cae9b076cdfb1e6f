package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/config"
)

// A finding is the result of one check of the doctor.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Fix   string `json:"fix"`
}

func good(check, format string, args ...any) finding {
	return finding{Check: check, OK: true, Text: fmt.Sprintf(format, args...)}
}

func bad(check, text, fix string) finding { return finding{Check: check, Text: text, Fix: fix} }

func (a *app) cmdDoctor() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Check this machine and the runtime, and say how to mend what is wrong",
		GroupID: "start",
		Long: `Checks what a runtime on this machine would need, and the one that answers, if
one does. The exit code is 1 if there is something to mend.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd, &f) },
	}
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file` of the server")
	return a.reads(c)
}

func (a *app) doctor(cmd *cobra.Command, f *serverFlags) error {
	conf, err := a.load(cmd, f)
	findings := []finding{checkConfiguration(err)}
	if err != nil {
		conf = config.Default(a.env.Host)
	}
	state, list := a.checkRuntime(cmd.Context(), conf)
	findings = append(findings, list...)
	if state == "" {
		state = conf.Paths.State
		findings = append(findings, checkDir("state directory", conf.Paths.State), checkDir("runtime directory", conf.Paths.Runtime),
			checkDir("spool directory", conf.Paths.Spool), checkExec(conf.Paths.Spool))
	}
	findings = append(findings, checkDisk(state), checkFiles(), checkClock())
	return a.printFindings(findings)
}

func (a *app) printFindings(list []finding) error {
	wrong := 0
	var rows [][]string
	for _, f := range list {
		mark := "ok"
		if !f.OK {
			mark, wrong = "!!", wrong+1
		}
		rows = append(rows, []string{mark, f.Check, f.Text})
		if f.Fix != "" {
			rows = append(rows, []string{"", "", "fix: " + f.Fix})
		}
	}
	var err error
	if a.asJSON() {
		err = a.printJSON(list)
	} else {
		err = a.table([]string{"", "CHECK", "RESULT"}, rows)
	}
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d of %d checks found something to mend", wrong, len(list))
	}
	return err
}

// checkConfiguration reports the first problem of a configuration that does not
// load.
func checkConfiguration(err error) finding {
	if err == nil {
		return good("configuration", "valid")
	}
	problem, _, more := strings.Cut(err.Error(), "\n")
	if more {
		problem += " ..."
	}
	return bad("configuration", problem, "cocaine config explain tells everything that is wrong with it")
}

// checkRuntime asks the runtime for its state and gives the directory of that, if
// it is on this machine. That none runs is no fault if one could.
func (a *app) checkRuntime(ctx context.Context, conf *config.Config) (state string, list []finding) {
	own := net.JoinHostPort(conf.Network.Endpoint, strconv.Itoa(conf.Network.Port))
	if a.locator == "" && a.env.getenv(cocaine.LocatorVariable) == "" && conf.Network.Port != 0 {
		a.locator = own
	}
	c, err := a.client()
	if err != nil {
		return "", []finding{bad("runtime", err.Error(), "--locator HOST:PORT")}
	}
	defer c.Close()
	s, err := status(ctx, c)
	switch {
	case err == nil:
		list = append(list, good("runtime", "at %s, up %s, %d apps", s.Locator, age(s.Uptime), len(s.Apps)))
		if s.Version == "standalone" { // a worker without a runtime, which limits nothing
			return state, append(list, good("version", "a worker that stands alone"))
		}
		list = append(list, checkVersion(s.Version), checkLimits(s.Limits))
		if _, err := os.Stat(s.State); err == nil {
			state = s.State
		}
		return state, list
	case errors.Is(err, syscall.ECONNREFUSED):
		f := good("runtime", "none is running")
		f.Fix = "cocaine server starts one"
		return "", []finding{f, checkPort(own)}
	}
	return "", []finding{bad("runtime", inBrief(err).Error(), "stop what listens there if it is no runtime, or --locator HOST:PORT names another")}
}

// checkVersion compares the runtime with this program.
func checkVersion(running string) finding {
	if own := version(); running != own {
		return bad("version", fmt.Sprintf("the runtime is %s, this program %s", running, own), "restart the runtime with this program")
	}
	return good("version", "%s, as this program", running)
}

// checkPort reports whether the locator's port is free.
func checkPort(addr string) finding {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return bad("locator port", dialed(err), "stop what listens there, or cocaine server --locator-port N")
	}
	ln.Close()
	return good("locator port", "%s is free", addr)
}

// existing is the directory, or the one above it that exists.
func existing(path string) (string, os.FileInfo, error) {
	for {
		info, err := os.Stat(path)
		if parent := filepath.Dir(path); err != nil && parent != path && (errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)) {
			path = parent
			continue
		}
		return path, info, err
	}
}

// checkDir reports whether a directory can be written, or made.
func checkDir(name, path string) finding {
	at, info, err := existing(path)
	switch {
	case err != nil:
		return bad(name, err.Error(), "cocaine server --dir DIR")
	case !info.IsDir():
		return bad(name, at+" is not a directory", "remove it, or cocaine server --dir DIR")
	}
	if err := unix.Access(at, unix.W_OK); err != nil {
		return bad(name, fmt.Sprintf("%s: %v", at, err), "chown it to the user of the server, or cocaine server --dir DIR")
	}
	return good(name, "%s", path)
}

// checkExec reports a file system from which workers cannot be started.
func checkExec(path string) finding {
	at, _, err := existing(path)
	var st unix.Statfs_t
	if err == nil {
		err = unix.Statfs(at, &st)
	}
	switch {
	case err != nil:
		return bad("programs", err.Error(), "cocaine server --set paths.spool=DIR")
	case st.Flags&unix.ST_NOEXEC != 0:
		return bad("programs", at+" is mounted noexec: workers cannot be started from it", "cocaine server --set paths.spool=DIR")
	}
	return good("programs", "can be started from %s", path)
}

// checkDisk reports how much room there is.
func checkDisk(path string) finding {
	at, _, err := existing(path)
	var st unix.Statfs_t
	if err == nil {
		err = unix.Statfs(at, &st)
	}
	if err != nil {
		return bad("disk", err.Error(), "cocaine server --dir DIR")
	}
	free := st.Bavail * uint64(st.Bsize)
	text := fmt.Sprintf("%.1f GiB free in %s", float64(free)/(1<<30), path)
	if free < 1<<30 {
		return bad("disk", text, "free some room, or move the state: cocaine server --dir DIR")
	}
	return good("disk", "%s", text)
}

// checkFiles reports the limit of open files; each connection takes one.
func checkFiles() finding {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return bad("open files", err.Error(), "ulimit -n 65536")
	}
	if lim.Max < 4096 {
		return bad("open files", fmt.Sprintf("limit is %d", lim.Max), "ulimit -n 65536, or LimitNOFILE= of the service")
	}
	return good("open files", "limit is %d", lim.Max)
}

// checkLimits reports whether memory and processors of workers can be limited.
// Doing without is no fault.
func checkLimits(l limitStatus) finding {
	if l.Memory && l.CPU {
		return good("limits", "memory and processors of workers are limited by cgroups")
	}
	f := good("limits", "memory and processors of workers are not limited: %s", l.Why)
	f.Fix = "run the server in a cgroup v2 of its own, as with Delegate=yes of systemd"
	return f
}

// checkClock reports a clock that has never been set.
func checkClock() finding {
	now := time.Now()
	if now.Year() < 2025 {
		return bad("clock", now.Format(time.RFC3339), "set the clock: logs and crash records carry its time")
	}
	return good("clock", "%s", now.Format(time.RFC3339))
}
