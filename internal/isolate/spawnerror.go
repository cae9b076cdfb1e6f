package isolate

import "fmt"

// SpawnError says why a worker could not be started, and what to do about it.
type SpawnError struct {
	App    string
	Slave  string // the executable as the manifest names it
	Reason string // "/var/spool/cocaine/hello/1f/worker: no such file"
	Remedy string // one sentence for the person who deploys, or empty
	Err    error  // cause, for errors.Is
}

// Error reads "cannot start worker: /x/y: no such file (slave "y" of app "hello")".
func (e *SpawnError) Error() string {
	return fmt.Sprintf("cannot start worker: %s (slave %q of app %q)", e.Reason, e.Slave, e.App)
}

// Hint says what to do, or is empty.
func (e *SpawnError) Hint() string { return e.Remedy }

// Unwrap returns the cause.
func (e *SpawnError) Unwrap() error { return e.Err }
