package jetstream

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog passes the engine's log lines to slog: its notices are our debug
// level, since an engine that starts as it should is no news. It also keeps the
// last complaints, from which Open words its error when the engine does not come
// up. Safe for concurrent use.
type serverLog struct {
	log *slog.Logger

	mu         sync.Mutex
	complaints []string // warnings and worse, the newest last
	fatal      string
}

const keptComplaints = 8

func (l *serverLog) Debugf(format string, v ...any)  {}
func (l *serverLog) Tracef(format string, v ...any)  {}
func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(line(format, v)) }

func (l *serverLog) Warnf(format string, v ...any) {
	s := line(format, v)
	l.keep(s)
	l.log.Warn(s)
}

func (l *serverLog) Errorf(format string, v ...any) {
	s := line(format, v)
	l.keep(s)
	l.log.Error(s)
}

// Fatalf does not end the process: an engine that cannot start is an error of
// Open, and what to do about it is for the caller to say.
func (l *serverLog) Fatalf(format string, v ...any) {
	s := line(format, v)
	l.mu.Lock()
	if l.fatal == "" {
		l.fatal = s
	}
	l.mu.Unlock()
	l.log.Error(s)
}

func (l *serverLog) keep(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.complaints) == keptComplaints {
		l.complaints = append(l.complaints[:0], l.complaints[1:]...)
	}
	l.complaints = append(l.complaints, s)
}

// fatalText returns the line of the first fatal error, or "".
func (l *serverLog) fatalText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// complaintAbout returns the newest complaint that mentions name, or "".
func (l *serverLog) complaintAbout(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.complaints) - 1; i >= 0; i-- {
		if strings.Contains(l.complaints[i], name) {
			return l.complaints[i]
		}
	}
	return ""
}

func line(format string, v []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, v...))
}
