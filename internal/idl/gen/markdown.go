package main

import (
	"bytes"
	"fmt"
	"strings"
)

// markdown returns the generated parts of docs/PROTOCOL.md by the name of their markers.
func markdown(t table) map[string]string {
	return map[string]string{
		"control":  controlTable(t),
		"services": serviceTables(t),
		"states":   stateTables(t),
		"errors":   errorTables(t),
	}
}

// fillMarkers replaces what is between <!-- generated:NAME --> and <!-- /generated --> by the part of that name.
// Every part must have its place.
func fillMarkers(page []byte, parts map[string]string) ([]byte, error) {
	for name, text := range parts {
		begin := []byte("<!-- generated:" + name + " -->\n")
		end := []byte("<!-- /generated -->")
		before, rest, ok := bytes.Cut(page, begin)
		if !ok {
			return nil, fmt.Errorf("no marker for %q", name)
		}
		_, after, ok := bytes.Cut(rest, end)
		if !ok {
			return nil, fmt.Errorf("marker for %q is not closed", name)
		}
		page = bytes.Join([][]byte{before, begin, []byte("\n" + text + "\n"), end, after}, nil)
	}
	return page, nil
}

func controlTable(t table) string {
	return messageTable(t.control)
}

func serviceTables(t table) string {
	var b strings.Builder
	for i, p := range t.protocols {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s (version %s)\n\n", p.name, p.version)
		if p.doc != "" {
			fmt.Fprintf(&b, "%s\n\n", p.doc)
		}
		b.WriteString(messageTable(p.messages))
	}
	return b.String()
}

func messageTable(messages []message) string {
	var b strings.Builder
	b.WriteString("| id | message | arguments | answer | caller may send next | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, m := range messages {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s | %s |\n",
			m.id, m.name, mdArgs(m.args), mdClause(m.reply), mdClause(m.next), escape(m.doc))
	}
	return b.String()
}

func stateTables(t table) string {
	var b strings.Builder
	b.WriteString("| state | id | message | arguments | next | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, s := range t.states {
		for _, m := range s.messages {
			fmt.Fprintf(&b, "| %s | %d | `%s` | %s | %s | %s |\n",
				s.goName, m.id, m.name, mdArgs(m.args), mdClause(m.next), escape(m.doc))
		}
	}
	return b.String()
}

func errorTables(t table) string {
	var b strings.Builder
	b.WriteString("| category | name | codes |\n| --- | --- | --- |\n")
	for _, c := range t.categories {
		var cells []string
		if c.doc != "" {
			cells = append(cells, escape(c.doc))
		}
		for _, code := range c.codes {
			cells = append(cells, fmt.Sprintf("%d %s", code.value, escape(code.text)))
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", c.id, c.name, strings.Join(cells, "<br>"))
	}
	return b.String()
}

func mdArgs(args []arg) string {
	var list []string
	for _, a := range args {
		mark := ""
		if a.optional {
			mark = "?"
		}
		list = append(list, fmt.Sprintf("%s `%s`%s", escape(a.name), escape(a.typ), mark))
	}
	return strings.Join(list, ", ")
}

func mdClause(c clause) string {
	switch c.word {
	case "":
		return ""
	case "value", "stream":
		return strings.TrimSpace(c.word + " " + mdArgs(c.args))
	}
	return c.word
}

// escape keeps a text from ending a table cell.
func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
