package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

const fileHead = `# Configuration of a Cocaine server.
#
# Every setting is listed with its default, switched off by the "#" before it.
# The environment (COCAINE_<SECTION>_<KEY>) and the command line win over this
# file; "cocaine config explain" shows what holds and where it comes from.
# Times are written "500ms", "30s", "5m", "2h" or "7d", sizes "64K", "16M" or "1G".
`

const fileTail = `
# Services besides those that always run stand in tables [services.NAME], each with
# a type and, if need be, args; docs/CONFIG.md lists them. For example:
#
#	[services.cache]
#	type = "cache"
#	args = { max-size = 100000 }
`

// WriteDefault writes a configuration file that lists every setting with its
// meaning and its default for the host. As written, the file sets nothing; with
// the "#" before its settings removed it sets the defaults.
func WriteDefault(w io.Writer, h Host) error {
	b := bufio.NewWriter(w)
	b.WriteString(fileHead)
	section := ""
	for _, s := range Default(h).Settings() {
		own, name, _ := strings.Cut(s.Key, ".")
		if own != section {
			section = own
			fmt.Fprintf(b, "\n[%s]\n", section)
		}
		fmt.Fprintf(b, "\n# %s\n#%s = %s\n", strings.ReplaceAll(s.Doc, "\n", "\n# "), name, s.Default)
	}
	b.WriteString(fileTail)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	return nil
}
