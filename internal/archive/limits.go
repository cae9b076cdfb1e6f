package archive

// Defaults of Limits.
const (
	DefaultMaxBytes = 1 << 30
	DefaultMaxFiles = 100_000
)

// Limits bound what an archive may hold.
type Limits struct {
	// MaxBytes is the sum of the sizes of all files. If zero, DefaultMaxBytes.
	MaxBytes int64
	// MaxFiles counts every entry and every directory that entries imply. If
	// zero, DefaultMaxFiles.
	MaxFiles int
}

func (l Limits) withDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxFiles <= 0 {
		l.MaxFiles = DefaultMaxFiles
	}
	return l
}

// headersPerFile is more than the headers of a usual tar entry take.
const headersPerFile = 4 << 10

// stream bounds the unpacked archive itself, headers and skipped parts included.
func (l Limits) stream() int64 { return l.MaxBytes + int64(l.MaxFiles)*headersPerFile + 1<<20 }

// Progress tells how far a Pack or Unpack has come.
type Progress struct {
	Name  string // the entry just finished
	Files int    // entries so far
	Bytes int64  // file contents so far
}

// Summary is what a Pack or Unpack did.
type Summary struct {
	Files int   // entries
	Bytes int64 // file contents
	// Digest is the lower-case hexadecimal sha256 of the archive and Size its
	// length. Only Pack fills them: Unpack need not read what follows the last entry.
	Digest string
	Size   int64
	// Skipped are sockets, fifos and devices that Pack left out.
	Skipped []string
}

// ledger counts entries and bytes against limits.
type ledger struct {
	limits Limits
	files  int
	bytes  int64
}

func (l *ledger) addFile() error {
	if l.files++; l.files > l.limits.MaxFiles {
		return ErrTooManyFiles
	}
	return nil
}

// addBytes takes n bytes of content into account.
func (l *ledger) addBytes(n int64) error {
	if n < 0 || n > l.limits.MaxBytes-l.bytes {
		return ErrTooLarge
	}
	l.bytes += n
	return nil
}
