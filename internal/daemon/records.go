package daemon

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// openRecords opens the log of the apps.
func (d *Daemon) openRecords() (*logging.Store, error) {
	return logging.OpenStore(logging.StoreOptions{
		Dir:      filepath.Join(d.conf.Paths.State, "logs"),
		MaxBytes: d.conf.Logging.StoreBytes,
		MaxAge:   d.conf.Logging.StoreAge,
		Log:      d.log,
	})
}

// loggingService is the logging service over the store. What services of the
// runtime and its clients emit goes there, and nowhere else: the runtime's own log
// is for the runtime.
func (d *Daemon) loggingService() *rpc.Mux {
	return logging.Service(d.records, logging.ServiceOptions{Mux: d.mux("logging")})
}

// workerOutput records a line that a worker printed.
func (d *Daemon) workerOutput(app, worker string, line []byte, stderr bool) {
	source := "stdout"
	if stderr {
		source = "stderr"
	}
	d.records.Emit(logging.Record{Time: time.Now(), Severity: logging.Info, App: app, Worker: worker,
		Source: source, Message: string(line)})
}

// appLog is the runtime's log; what it says about an app also goes to the app's
// own log.
func (d *Daemon) appLog() *slog.Logger {
	return slog.New(slog.NewMultiHandler(d.log.Handler(), logging.NewHandler(d.records, "runtime", slog.LevelInfo)))
}
