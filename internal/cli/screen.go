package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// A screen is where a person looks: the two output streams of a command and, on a
// terminal, one line below everything else that is drawn again and again while
// something goes on. All that is printed passes it, so that nothing is written
// into the middle of that line. Its methods may be called concurrently.
type screen struct {
	out, err io.Writer
	live     bool // err is a terminal that can move its cursor
	color    bool // err takes colours
	outColor bool // out takes colours

	mu     sync.Mutex
	bottom string // the line that is being redrawn; empty for none
}

func newScreen(env Env) *screen {
	dumb := env.getenv("TERM") == "dumb"
	plain := dumb || env.getenv("NO_COLOR") != ""
	return &screen{
		out: env.Stdout, err: env.Stderr,
		live:     isTerminal(env.Stderr) && !dumb,
		color:    isTerminal(env.Stderr) && !plain,
		outColor: isTerminal(env.Stdout) && !plain,
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// say prints a line for people on standard error.
func (s *screen) say(format string, args ...any) {
	_, _ = s.Write(fmt.Appendf(nil, format+"\n", args...)) // there is nobody to tell
}

// Write prints whole lines on standard error: what a logger or a compiler says.
func (s *screen) Write(p []byte) (int, error) { return s.print(s.err, p) }

// result prints whole lines on standard output.
func (s *screen) result(text string) error {
	_, err := s.print(s.out, []byte(text))
	return err
}

func (s *screen) print(w io.Writer, p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := w.Write(p)
	s.draw()
	return n, err
}

// redraw changes the line at the bottom; empty takes it away.
func (s *screen) redraw(line string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.bottom = line
	s.draw()
}

// erase and draw are called with mu held.
func (s *screen) erase() {
	if s.bottom != "" {
		io.WriteString(s.err, "\r\x1b[K")
	}
}

func (s *screen) draw() {
	if s.bottom != "" {
		io.WriteString(s.err, clip(s.bottom, s.width()-echoed))
	}
}

// echoed is the room for what the terminal adds to the line at the bottom when
// somebody interrupts: ^C. A line that wraps cannot be erased.
const echoed = 3

// width is how many columns standard error has now.
func (s *screen) width() int {
	if f, ok := s.err.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// clip cuts a line of single-width characters.
func clip(line string, width int) string {
	if width < 1 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// paint gives text a colour, by the number of the terminal's escape sequence.
func paint(on bool, color int, text string) string {
	if !on {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text)
}

// Colours of marks and errors.
const (
	red   = 31
	green = 32
)

// printable makes text that somebody else wrote safe for a terminal: control
// characters, which could move the cursor or worse, are shown as escapes.
func printable(text string) string {
	bad := func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }
	if strings.IndexFunc(text, bad) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case !bad(r):
			b.WriteRune(r)
		case r == utf8.RuneError && text[i] != '\xef':
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == utf8.RuneError:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}
