package manifest

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// Profile says how an app is run. A parsed profile has every field set: given
// or default.
type Profile struct {
	// PoolLimit ("pool-limit", default 10, at least 1) is the most workers.
	PoolLimit int

	// PoolMin ("pool-min", default 0) is how many workers are kept warm. The
	// original has no such key.
	PoolMin int

	// QueueLimit ("queue-limit", default 100) is how many requests may wait for
	// a worker. 0 means that none waits beyond what the workers can take, those
	// still to be started included; -1, which must be written out, means no
	// limit. (To v0.11 0 meant no limit. v0.12 changed that, and this runtime
	// follows v0.12.)
	QueueLimit int

	// Concurrency ("concurrency", default 10, at least 1) is how many channels a
	// worker has open at once.
	Concurrency int

	// GrowThreshold ("grow-threshold", at least 1) is how many waiting requests
	// call for one more worker. The default is QueueLimit / PoolLimit / 2, at
	// least 1; for an unlimited queue it is computed as if the limit were the
	// default.
	GrowThreshold int

	// CrashlogLimit ("crashlog-limit", default 50) is how many last lines of
	// output are kept for a crash report. 0 keeps none.
	CrashlogLimit int

	// LogOutput ("log-output", default false) copies the output of workers to
	// the runtime's log.
	LogOutput bool

	// HeartbeatTimeout ("heartbeat-timeout", default 30 s) is the longest gap
	// between heartbeats of a worker.
	HeartbeatTimeout time.Duration

	// IdleTimeout ("idle-timeout", default 600 s) is how long a worker above
	// PoolMin lives without work. 0 means for ever. (v0.12 reads the key and
	// ignores it; v0.11 obeys it, and so does this runtime.)
	IdleTimeout time.Duration

	// SpawnTimeout ("spawn-timeout") bounds the start of the process. The
	// default is 1 s for isolate type "process" and 30 s for others, which may
	// have to fetch an image first; the original has 1 s for all of them.
	SpawnTimeout time.Duration

	// HandshakeTimeout ("handshake-timeout", default 5 s) bounds the time from
	// the start of the process to its handshake. The v0.11 key
	// "startup-timeout", from start to readiness, is accepted as the value of
	// both SpawnTimeout and HandshakeTimeout: either stage may use all of it.
	HandshakeTimeout time.Duration

	// SealTimeout ("seal-timeout", default 60 s) is how long a retiring worker
	// may take to finish its channels. 0 cuts them at once.
	SealTimeout time.Duration

	// TerminateTimeout ("terminate-timeout", default 10 s; in v0.11
	// "termination-timeout") is how long a worker may take to end once asked. 0
	// kills at once.
	TerminateTimeout time.Duration

	// RequestTimeout ("request-timeout", default 86400 s) is the life of a
	// request, from its arrival, unless it says otherwise itself.
	RequestTimeout time.Duration

	// PublishOn ("publish-on", default 0, at most PoolLimit) is how many ready
	// workers make the app resolvable. 0 makes it so from the start.
	PublishOn int

	// UnpublishUnder ("unpublish-under", default 0, at most PublishOn) hides the
	// app again when fewer workers are ready.
	UnpublishUnder int

	// Isolate says what keeps workers apart.
	Isolate Isolate

	// Limits ("isolate.args.memory-limit" and "isolate.args.cpu-limit") bound
	// every worker. The original has no such keys.
	Limits Limits

	// Raw is the profile as it was parsed, unknown keys included; nil when it
	// was built by hand.
	Raw map[string]any
}

// Isolate chooses and configures an isolate.
type Isolate struct {
	Type string         // "isolate.type", default "process"
	Args map[string]any // "isolate.args", passed on to the isolate; never nil in a parsed profile
}

// Limits bound one worker. Zero fields bound nothing.
type Limits struct {
	Memory int64   // bytes
	CPU    float64 // processors
}

// Keys of a profile that are read in a special way.
const (
	keyPoolLimit      = "pool-limit"
	keyPoolMin        = "pool-min"
	keyQueueLimit     = "queue-limit"
	keyGrowThreshold  = "grow-threshold"
	keySpawn          = "spawn-timeout"
	keyPublishOn      = "publish-on"
	keyUnpublishUnder = "unpublish-under"
	keyIsolate        = "isolate"
	keyIsolateType    = "type"
	keyIsolateArgs    = "args"
	keyMemoryLimit    = "memory-limit"
	keyCPULimit       = "cpu-limit"

	// Names of v0.11.
	keyStartup     = "startup-timeout"
	keyTermination = "termination-timeout"
)

// UnlimitedQueue is the QueueLimit that means no limit.
const UnlimitedQueue = -1

// Defaults that other defaults follow from.
const (
	defaultQueueLimit  = 100
	defaultIsolateType = "process"
	processSpawn       = time.Second
	imageSpawn         = 30 * time.Second
)

// maxCount bounds counts, so that products of two of them fit an int64.
const maxCount = math.MaxInt32

// DefaultProfile returns the profile of an app that has none: the empty map,
// parsed.
func DefaultProfile() *Profile {
	p := baseProfile()
	p.derive(document.FromMap(nil).Root())
	return p
}

// baseProfile returns the defaults that depend on nothing.
func baseProfile() *Profile {
	return &Profile{
		PoolLimit:        10,
		QueueLimit:       defaultQueueLimit,
		Concurrency:      10,
		CrashlogLimit:    50,
		HeartbeatTimeout: 30 * time.Second,
		IdleTimeout:      600 * time.Second,
		HandshakeTimeout: 5 * time.Second,
		SealTimeout:      60 * time.Second,
		TerminateTimeout: 10 * time.Second,
		RequestTimeout:   24 * time.Hour,
		Isolate:          Isolate{Type: defaultIsolateType, Args: map[string]any{}},
	}
}

// ParseProfile reads a decoded profile. The name is the profile's, for errors.
func ParseProfile(name string, raw map[string]any) (*Profile, error) {
	return readProfile(name, document.FromMap(raw))
}

// DecodeProfile reads a profile from its storage record.
func DecodeProfile(name string, record []byte) (*Profile, error) {
	raw, err := decodeMap(record)
	if err != nil {
		return nil, fmt.Errorf("cannot use profile %q: %w", name, err)
	}
	return ParseProfile(name, raw)
}

// DecodeProfileJSON reads a profile.json. The name of the file appears in
// errors.
func DecodeProfileJSON(name, file string, text []byte) (*Profile, error) {
	doc, err := document.ParseJSON(file, text)
	if err != nil {
		return nil, fmt.Errorf("cannot use profile %q: %w", name, err)
	}
	return readProfile(name, doc)
}

func readProfile(name string, doc *document.Document) (*Profile, error) {
	root := doc.Root()
	p := baseProfile()
	p.Raw = root.Values()
	p.readAliases(root)
	for _, f := range profileFields() {
		f.read(root, p)
	}
	p.readIsolate(root)
	if doc.Err() == nil {
		p.derive(root)
		p.checkBounds(root)
	}
	if err := doc.Err(); err != nil {
		return nil, fmt.Errorf("cannot use profile %q: %w", name, err)
	}
	return p, nil
}

// readAliases reads the names of v0.11. The fields proper are read after them
// and win.
func (p *Profile) readAliases(root *document.Table) {
	seconds := document.Seconds(time.Millisecond)
	if document.Read(root, keyStartup, seconds, &p.HandshakeTimeout) {
		p.SpawnTimeout = p.HandshakeTimeout
	}
	document.Read(root, keyTermination, seconds, &p.TerminateTimeout)
}

func (p *Profile) readIsolate(root *document.Table) {
	if v, ok := root.Values()[keyIsolate]; !ok || v == nil {
		return
	}
	isolate := root.Table(keyIsolate)
	if isolate == nil {
		return
	}
	document.Read(isolate, keyIsolateType, document.NonEmpty, &p.Isolate.Type)
	if v, ok := isolate.Values()[keyIsolateArgs]; !ok || v == nil { // v0.11 writes null for none
		return
	}
	args := isolate.Table(keyIsolateArgs)
	if args == nil {
		return
	}
	p.Isolate.Args = args.Values()
	document.Read(args, keyMemoryLimit, document.Size(1), &p.Limits.Memory)
	document.Read(args, keyCPULimit, processors, &p.Limits.CPU)
}

// processors accepts an amount of processor time per time.
func processors(v any) (float64, error) {
	f, err := document.Float(v)
	if err != nil {
		return 0, fmt.Errorf("must be a number of processors, have %s", document.Describe(v))
	}
	if f < 0.001 {
		return 0, fmt.Errorf("must be at least 0.001, have %s", document.Describe(v))
	}
	return f, nil
}

// derive fills the defaults that follow from other fields.
func (p *Profile) derive(root *document.Table) {
	if !root.Has(keyGrowThreshold) {
		queue := p.QueueLimit
		if queue < 0 {
			queue = defaultQueueLimit
		}
		p.GrowThreshold = max(1, queue/p.PoolLimit/2)
	}
	if p.SpawnTimeout == 0 {
		p.SpawnTimeout = processSpawn
		if p.Isolate.Type != defaultIsolateType {
			p.SpawnTimeout = imageSpawn
		}
	}
}

// checkBounds checks the fields against each other.
func (p *Profile) checkBounds(root *document.Table) {
	if p.PoolMin > p.PoolLimit {
		root.Problem(keyPoolMin, "must be at most pool-limit (%d), have %d", p.PoolLimit, p.PoolMin)
	}
	if p.PublishOn > p.PoolLimit {
		root.Problem(keyPublishOn, "must be at most pool-limit (%d), have %d", p.PoolLimit, p.PublishOn)
	}
	if p.UnpublishUnder > p.PublishOn {
		root.Problem(keyUnpublishUnder, "must be at most publish-on (%d), have %d", p.PublishOn, p.UnpublishUnder)
	}
}

// Warnings returns a sentence for every key of the profile that has no meaning.
// Such keys are legal; one that resembles a real key is probably a mistake.
func (p *Profile) Warnings() []string {
	known := []string{keyIsolate, keyStartup, keyTermination}
	for _, f := range profileFields() {
		known = append(known, f.key)
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(p.Raw)) {
		if slices.Contains(known, key) {
			continue
		}
		warning := fmt.Sprintf("%s: unknown key", document.Dotted(key))
		if near := document.Suggest(key, known); near != "" {
			warning += fmt.Sprintf(" (did you mean %q?)", near)
		}
		out = append(out, warning)
	}
	return out
}

// Map returns the profile as a record holds it: what was parsed, overlaid with
// every field that says something else.
func (p *Profile) Map() map[string]any {
	out := maps.Clone(p.Raw)
	if out == nil {
		out = make(map[string]any)
	}
	p.overlay(out)
	p.overlay(out) // a field written just now may have moved a derived default
	return out
}

// overlay writes into record the fields that parsing it would not give.
func (p *Profile) overlay(record map[string]any) {
	says, err := ParseProfile("", record)
	if err != nil {
		says = DefaultProfile()
	}
	for _, f := range profileFields() {
		if v := f.value(p); v != f.value(says) {
			record[f.key] = v
		}
	}
	if p.Isolate.Type == says.Isolate.Type && p.Limits == says.Limits && sameArgs(p.Isolate.Args, says.Isolate.Args) {
		return
	}
	isolate := make(map[string]any)
	if was, ok := record[keyIsolate].(map[string]any); ok {
		maps.Copy(isolate, was)
	}
	isolate[keyIsolateType] = p.Isolate.Type
	isolate[keyIsolateArgs] = p.isolateArgs()
	record[keyIsolate] = isolate
}

func sameArgs(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// isolateArgs returns the isolate's arguments with the limits in them.
func (p *Profile) isolateArgs() map[string]any {
	args := make(map[string]any, len(p.Isolate.Args)+2)
	maps.Copy(args, p.Isolate.Args)
	delete(args, keyMemoryLimit)
	delete(args, keyCPULimit)
	if p.Limits.Memory > 0 {
		args[keyMemoryLimit] = p.Limits.Memory
	}
	if p.Limits.CPU > 0 {
		args[keyCPULimit] = p.Limits.CPU
	}
	return args
}

// Encode returns the profile as a storage record.
func (p *Profile) Encode() ([]byte, error) {
	b, err := encodeMap(p.Map())
	if err != nil {
		return nil, fmt.Errorf("cannot encode profile: %w", err)
	}
	return b, nil
}
