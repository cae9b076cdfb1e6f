package tool

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// printJSON writes a document as the original does: indented by four spaces, keys
// sorted. Documents are made of maps, whose keys encoding/json sorts.
func (t *tool) printJSON(doc any) error {
	text, err := formatJSON(doc)
	if err != nil {
		return fmt.Errorf("cannot print the answer: %w", err)
	}
	return t.print(text)
}

func formatJSON(doc any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "    ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return b.String(), err
}

// list makes the JSON of no names an empty array.
func list(names []string) []string { return append([]string{}, names...) }

// step does one step of something long and shows how it went: on a terminal with
// an empty mark while it goes on, elsewhere when it is done. What it returns beside
// the error is a detail to be shown.
func (t *tool) step(text string, f func() (detail string, err error)) error {
	if t.outTerminal {
		_ = t.printf("[ ] %s\r", text)
	}
	detail, err := f()
	mark, color := "✔", green
	if err != nil {
		mark, color = "✘", red
	}
	if t.outTerminal && t.color {
		mark = paint(color, mark)
	}
	if detail != "" {
		text += " - " + detail
	}
	if printErr := t.printf("[%s] %s\n", mark, text); err == nil {
		err = printErr
	}
	return err
}

// Colours, by the number of the terminal's escape sequence.
const (
	red   = 31
	green = 32
)

func paint(color int, text string) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text) }

// A level is how much a line of the log matters.
type level int

const (
	failed level = iota + 1
	warning
	info
	debug
)

// log tells people on standard error how a command fares, if -v asks for it.
// Without -v only what is wrong is told.
func (t *tool) log(l level, format string, args ...any) {
	most := level(t.verbose)
	if most == 0 {
		most = warning
	}
	if l > most {
		return
	}
	fmt.Fprintf(t.env.Stderr, "%c, %s: %s\n", "?EWID"[l], time.Now().Format("2006-01-02 15:04:05"), fmt.Sprintf(format, args...))
}

// printable makes text that a program printed safe for a terminal: control
// characters, which could move the cursor or worse, are shown as escapes.
// Whatever is not a terminal gets the text as it is.
func (t *tool) printable(text string) string {
	if !t.outTerminal {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && text[i] != '\xef':
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < ' ' && r != '\t' && r != '\n', r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// size gives bytes in a unit for people.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
