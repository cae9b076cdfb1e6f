//go:build linux

package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"

	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

// Names of what is deployed.
const (
	App     = "echo"     // speaks in frames
	SDKApp  = "sdk-echo" // uses the framework
	Event   = "echo"
	profile = "bench"
	slave   = "worker" // the worker's name in the archive
)

// Upload writes an app into storage: archive, manifest and profile, in the
// collections and encodings the original tools use. Isolate is the isolation the
// profile asks for; empty leaves it to the runtime.
func (r *Runtime) Upload(ctx context.Context, app, worker, isolate string) error {
	archive, err := pack(worker)
	if err != nil {
		return err
	}
	// One more layer of msgpack over the archive, as the original tools have it.
	blob := frame.Raw(archive)
	for _, w := range []struct {
		what    string
		request []byte
	}{
		{"archive", control.WriteRequest("apps", app, blob, "app")},
		{"manifest", control.WriteRequest("manifests", app, manifest(), "app")},
		{"profile", control.WriteRequest("profiles", profile, profileRecord(isolate), "profile")},
	} {
		if err := r.call(ctx, "storage", w.request); err != nil {
			return fmt.Errorf("cannot upload the %s: %w", w.what, err)
		}
	}
	return nil
}

// StartApp starts an app, without a worker yet, and returns its address.
func (r *Runtime) StartApp(ctx context.Context, app string) (string, error) {
	if err := r.call(ctx, "node", control.StartAppRequest(app, profile)); err != nil {
		return "", fmt.Errorf("cannot start app %s: %w", app, err)
	}
	ctx, cancel := control.WithTimeout(ctx)
	defer cancel()
	return control.Resolve(ctx, r.Locator, app)
}

// PauseApp stops the app App and its worker.
func (r *Runtime) PauseApp(ctx context.Context) error {
	if err := r.call(ctx, "node", control.PauseAppRequest(App)); err != nil {
		return fmt.Errorf("cannot pause app %s: %w", App, err)
	}
	return nil
}

func manifest() []byte {
	b := frame.AppendMap(nil, 1)
	return frame.AppendRaw(frame.AppendRaw(b, "slave"), slave)
}

// profileRecord allows one worker everything: the benchmark measures the path,
// not the limits.
func profileRecord(isolate string) []byte {
	limits := []struct {
		name  string
		value uint64
	}{
		{"pool-limit", 1}, {"concurrency", 100000}, {"queue-limit", 100000},
	}
	n := len(limits)
	if isolate != "" {
		n++
	}
	b := frame.AppendMap(nil, n)
	for _, l := range limits {
		b = frame.AppendUint(frame.AppendRaw(b, l.name), l.value)
	}
	if isolate != "" {
		b = frame.AppendMap(frame.AppendRaw(b, "isolate"), 2)
		b = frame.AppendRaw(frame.AppendRaw(b, "type"), isolate)
		b = frame.AppendMap(frame.AppendRaw(b, "args"), 1)
		b = frame.AppendRaw(frame.AppendRaw(b, "spool"), os.TempDir()+"/cocaine-bench-spool")
	}
	return b
}

// pack makes the tar.gz of an app that is one executable.
func pack(worker string) ([]byte, error) {
	code, err := os.ReadFile(worker)
	if err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	t := tar.NewWriter(gz)
	// Writing to memory fails only if this code is wrong, and then all the same.
	header := &tar.Header{Name: slave, Mode: 0o755, Size: int64(len(code)), Typeflag: tar.TypeReg}
	if err := t.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	if _, err := t.Write(code); err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	if err := t.Close(); err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("cannot pack the worker: %w", err)
	}
	return out.Bytes(), nil
}
