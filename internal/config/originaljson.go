package config

import "bytes"

// isOriginal reports whether a configuration is one of the original runtime: those
// are JSON, ours are TOML, where nothing begins with a brace.
func isOriginal(text []byte) bool {
	text = bytes.TrimLeft(plainJSON(bytes.TrimPrefix(text, []byte("\uFEFF"))), " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// plainJSON replaces what the original's parser permits beyond JSON by spaces, so
// that everything else stays where it is: comments, // to the end of the line and
// /* */, and commas before a closing bracket.
func plainJSON(text []byte) []byte {
	out := bytes.Clone(text)
	comma := -1 // the last comma after which there was nothing yet
	for i := 0; i < len(out); {
		switch c := out[i]; {
		case c == '"':
			comma = -1
			i += stringLength(out[i:])
			continue
		case c == '/' && i+1 < len(out) && (out[i+1] == '/' || out[i+1] == '*'):
			n := commentLength(out[i:])
			blank(out[i : i+n])
			i += n
			continue
		case c == ',':
			comma = i
		case (c == '}' || c == ']') && comma >= 0:
			out[comma] = ' '
			comma = -1
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			comma = -1
		}
		i++
	}
	return out
}

// stringLength is the length of the string that text begins with, quotes included;
// one that is not closed goes on to the end.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// commentLength is the length of the comment that text begins with.
func commentLength(text []byte) int {
	end, closing := []byte("\n"), 0
	if text[1] == '*' {
		end, closing = []byte("*/"), 2
	}
	n := bytes.Index(text[2:], end)
	if n < 0 {
		return len(text)
	}
	return 2 + n + closing
}

// blank leaves the ends of lines, so that lines and columns stay right.
func blank(text []byte) {
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
}
