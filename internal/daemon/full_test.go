package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// smallDisk is a directory on a file system of its own, of so many bytes. A machine
// that does not let the test mount one skips it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := directory(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("the file system is in use: %v", err)
		}
	})
	return dir
}

// On a full disk writes are refused, in words that say why; everything else goes on,
// and writes do again when there is room.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 96<<20)
	d := start(t, daemon.Options{Config: configuration(dir, map[string]string{"paths.spool": directory(t)})})
	c := dial(t, d.Addr().String())
	newApp("echo").deploy(t, c)
	fill, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("v"), 10<<10)
	written := 0
	write := func() error {
		err := c.Storage().Write(t.Context(), "things", fmt.Sprintf("thing %d", written), value, "all")
		if err == nil {
			written++
		}
		return err
	}
	for range 10 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	// All but 20 MiB.
	if _, err := fill.Write(make([]byte, int(st.Bavail)*int(st.Bsize)-20<<20)); err != nil {
		t.Fatal(err)
	}
	fill.Close()
	full := &cocaine.Error{Category: idl.CategoryGeneric, Code: int(syscall.ENOSPC)}
	if err := write(); !errors.Is(err, full) || !strings.Contains(err.Error(), "no space left on device: 20 MiB are free in "+dir) {
		t.Errorf("a write on a full disk ends with %v", err)
	}
	readable := func() {
		t.Helper()
		for i := range written {
			v, err := c.Storage().Read(t.Context(), "things", fmt.Sprintf("thing %d", i))
			if err != nil || !bytes.Equal(v, value) {
				t.Errorf("thing %d of %d: %d bytes, %v", i, written, len(v), err)
			}
		}
		keys, err := c.Storage().Find(t.Context(), "things", "all")
		if err != nil || len(keys) != written {
			t.Errorf("%d keys are found of %d, %v", len(keys), written, err)
		}
		if err := echo(t.Context(), c, "echo", "still there"); err != nil {
			t.Error(err)
		}
	}
	readable()
	large := bytes.Repeat(value, 1000)
	if err := c.Storage().Write(t.Context(), "things", "large", large); !errors.Is(err, full) {
		t.Errorf("a large write on a full disk ends with %v", err)
	}
	if err := c.Storage().Remove(t.Context(), "things", "thing 0"); err != nil {
		t.Errorf("removing on a full disk ends with %v", err)
	}
	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	written = 0
	if err := write(); err != nil {
		t.Errorf("with room again a write ends with %v", err)
	}
	written = 10
	readable()
	if err := c.Storage().Write(t.Context(), "things", "large", large); err != nil {
		t.Errorf("with room again a large write ends with %v", err)
	}
}
