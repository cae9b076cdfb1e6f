package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Host is what defaults depend on besides this package.
type Host struct {
	Environ []string // as os.Environ gives it
	UID     int      // of the user that the server runs as
	Memory  int64    // bytes that the server may use; 0 if that is not known
}

// ThisHost returns the Host of the calling process.
func ThisHost() Host {
	return Host{Environ: os.Environ(), UID: os.Geteuid(), Memory: memory()}
}

// lookup returns a variable of the environment; the last one wins. An empty
// variable counts as absent.
func (h Host) lookup(name string) (string, bool) {
	for i := len(h.Environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(h.Environ[i], "="); ok && key == name {
			return value, value != ""
		}
	}
	return "", false
}

// Unix sockets are addressed by paths of limited length: 107 bytes on Linux, 103
// elsewhere. A runtime directory has to leave room for the name of a socket.
const (
	maxSocketPath = 103

	// MaxSocketName is the longest file name that may be given to a socket in
	// the runtime directory. Names of apps can be longer and do not fit.
	MaxSocketName = 40

	// MaxRuntimePath is the longest path of a runtime directory.
	MaxRuntimePath = maxSocketPath - len("/") - MaxSocketName
)

// Default returns the configuration of a server that is given none.
func Default(h Host) *Config {
	c := &Config{
		Network: Network{
			Endpoint: "127.0.0.1",
			Port:     10053,
			Pinned:   map[string]int{},
		},
		Paths: defaultPaths(h),
		Limits: Limits{
			Frame:       64 << 20,
			Buffer:      4 << 20,
			Memory:      defaultMemory(h),
			Stall:       30 * time.Second,
			Channels:    1 << 17,
			Calls:       256,
			Connections: 1 << 16,
		},
		Logging: Logging{
			Severity:   "info",
			Format:     "text",
			StoreBytes: 64 << 20,
			StoreAge:   7 * 24 * time.Hour,
		},
		Node: Node{
			Runlist: "default",
			Grace:   30 * time.Second,
		},
		Authentication: Authentication{
			Type:    Promiscuous,
			Workers: map[string]uint64{},
		},
		Authorizations: Authorizations{
			Storage: Disabled,
			Unicorn: Disabled,
			Event:   Disabled,
		},
		Cluster:  defaultCluster(),
		Services: map[string]Service{},
		defaults: make(map[string]string),
		origins:  make(map[string]Origin),
		written:  make(map[string]string),
	}
	for _, s := range settings() {
		c.defaults[s.key] = s.show(c)
	}
	return c
}

// defaultMemory is a quarter of the memory there is, in whole MiB. It has to take a few
// frames of the largest size.
func defaultMemory(h Host) int64 {
	if h.Memory == 0 {
		return 1 << 30
	}
	return max(256<<20, h.Memory/4&^(1<<20-1))
}

// defaultPaths follows the file system hierarchy for root and the XDG base
// directories for everybody else.
func defaultPaths(h Host) Paths {
	if h.UID == 0 {
		return Paths{State: "/var/lib/cocaine", Runtime: "/run/cocaine", Spool: spoolIn("/var/lib/cocaine")}
	}
	private := filepath.Join(os.TempDir(), "cocaine-"+strconv.Itoa(h.UID))
	state := filepath.Join(private, "state")
	if dir, ok := h.lookup("HOME"); ok && filepath.IsAbs(dir) {
		state = filepath.Join(dir, ".local/state/cocaine")
	}
	if dir, ok := h.lookup("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		state = filepath.Join(dir, "cocaine")
	}
	runtimeDir := private
	if dir, ok := h.lookup("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(dir) && len(dir)+len("/cocaine") <= MaxRuntimePath {
		runtimeDir = filepath.Join(dir, "cocaine")
	}
	return Paths{State: state, Runtime: runtimeDir, Spool: spoolIn(state)}
}

func spoolIn(state string) string {
	return filepath.Join(state, "spool")
}

// FileName is the name of the server's configuration file.
const FileName = "server.toml"

// Find returns the configuration file to use when none is named: the one that
// COCAINE_CONFIG names, the user's, or the system's. It is empty when there is
// none. The file that COCAINE_CONFIG names is returned even if it is missing, so
// that loading it fails instead of silently doing without.
func Find(h Host) string {
	if path, ok := h.lookup("COCAINE_CONFIG"); ok {
		return path
	}
	var candidates []string
	if dir, ok := h.lookup("XDG_CONFIG_HOME"); ok && filepath.IsAbs(dir) {
		candidates = append(candidates, filepath.Join(dir, "cocaine", FileName))
	} else if dir, ok := h.lookup("HOME"); ok && filepath.IsAbs(dir) {
		candidates = append(candidates, filepath.Join(dir, ".config/cocaine", FileName))
	}
	for _, path := range append(candidates, filepath.Join("/etc/cocaine", FileName)) {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
