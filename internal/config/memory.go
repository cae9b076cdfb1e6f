package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is what this process may use: the memory of the machine or, if that is less,
// of the cgroups it is in. 0 means that the system does not tell.
func memory() int64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, total, _ := strings.Cut(string(info), "MemTotal:")
	total, _, _ = strings.Cut(strings.TrimSpace(total), " ")
	least, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0
	}
	least *= 1 << 10
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return least
	}
	_, path, _ := strings.Cut(string(own), "0::")
	path, _, _ = strings.Cut(path, "\n")
	for path = filepath.Join("/", path); ; path = filepath.Dir(path) {
		text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
		if err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // else it is "max"
				least = min(least, n)
			}
		}
		if path == "/" {
			return least
		}
	}
}
