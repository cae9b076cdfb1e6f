package isolate

import (
	"fmt"
	"math"

	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// Settings are what a profile says to an isolate that runs plain processes, in
// its table isolate.args:
//
//	[isolate.args]
//	spool = "/srv/spool"      # instead of the isolate's own directory
//	[isolate.args.limits]
//	memory = "256M"           # or a number of bytes
//	cpu = 1.5                 # processors
//	pids = 100                # processes and threads
//	nofile = 4096             # open files of each process
//	address-space = "4G"      # virtual memory of each process
//
// The original's isolate knows "spool" only. Keys of other isolates are ignored.
type Settings struct {
	Spool  string
	Limits Limits
}

// Limits bound one worker. Zero fields bound nothing.
//
// Memory, CPU and PIDs hold for the worker with everything it has started and
// need a cgroup. Files and AddressSpace are rlimits: they hold for each of its
// processes alone. Without a cgroup there is nothing that could stand in for the
// first three: RLIMIT_AS counts what a process reserves, not what it uses, and
// stops any program in Go, Java or JavaScript at once; RLIMIT_NPROC counts
// the user's processes, the runtime's own included; RLIMIT_CPU ends a process
// instead of slowing it down. That is why they are not enforced then, and why an
// address space is limited only if the profile says so.
type Limits struct {
	Memory       int64   // bytes
	CPU          float64 // processors
	PIDs         int64
	Files        int64
	AddressSpace int64 // bytes
}

// Or fills fields that bound nothing from short, which comes from the profile's
// other spelling of the same limits.
func (l Limits) Or(short manifest.Limits) Limits {
	if l.Memory == 0 {
		l.Memory = short.Memory
	}
	if l.CPU == 0 {
		l.CPU = short.CPU
	}
	return l
}

// ParseSettings reads the profile's isolate.args. An error names the field.
func ParseSettings(args map[string]any) (Settings, error) {
	var s Settings
	if v, ok := args["spool"]; ok {
		text, err := document.NonEmpty(v)
		if err != nil {
			return s, fmt.Errorf("isolate.args.spool: %w", err)
		}
		s.Spool = text
	}
	v, ok := args["limits"]
	if !ok || v == nil {
		return s, nil
	}
	table, ok := v.(map[string]any)
	if !ok {
		return s, fmt.Errorf("isolate.args.limits: must be a table, have %s", document.Describe(v))
	}
	return s, s.Limits.read(table)
}

func (l *Limits) read(table map[string]any) error {
	for _, field := range []struct {
		key  string
		read func(v any) error
	}{
		{"memory", size(&l.Memory)},
		{"cpu", processors(&l.CPU)},
		{"pids", count(&l.PIDs)},
		{"nofile", count(&l.Files)},
		{"address-space", size(&l.AddressSpace)},
	} {
		v, ok := table[field.key]
		if !ok || v == nil {
			continue
		}
		if err := field.read(v); err != nil {
			return fmt.Errorf("isolate.args.limits.%s: %w", field.key, err)
		}
	}
	return nil
}

func size(dst *int64) func(any) error {
	return func(v any) (err error) {
		*dst, err = document.Size(1)(v)
		return err
	}
}

func processors(dst *float64) func(any) error {
	return func(v any) (err error) {
		*dst, err = document.Float(v)
		// The kernel grants at least a millisecond in a tenth of a second.
		if err == nil && !(*dst >= 0.01 && *dst <= 1e6) {
			err = fmt.Errorf("must be at least 0.01, have %s", document.Describe(v))
		}
		return err
	}
}

func count(dst *int64) func(any) error {
	return func(v any) error {
		n, err := document.Float(v)
		if err != nil || n < 1 || n > 1<<32 || n != math.Trunc(n) {
			return fmt.Errorf("must be a whole number of at least 1, have %s", document.Describe(v))
		}
		*dst = int64(n)
		return nil
	}
}
