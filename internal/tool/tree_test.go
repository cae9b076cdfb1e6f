package tool

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// original is the command line of the original: every command with its arguments
// and options. An option in brackets may be left out.
const original = `
info [-n] [-m] [-p] [-b] [-w]
locate -n
routing -n
cluster [--resolve]
uuid
metrics [--type] [--query] [--query-type]
version
call
proxy start [--port] [--count] [--config] [--daemon] [--pidfile]
proxy stop [--pidfile]
proxy status [--pidfile]
app list
app view -n
app upload [-n] [--manifest] [--package] [--docker_address] [--registry] [--manifest-only]
app import [-n] [--manifest] --container_url --docker_address [--registry]
app remove -n
app start -n -r
app pause -n
app stop -n
app restart -n [-r]
app check -n
profile list
profile view -n
profile upload -n -r
profile edit -n
profile remove -n
profile copy -n --copyname
profile rename -n --copyname
runlist list
runlist view -n
runlist edit -n
runlist upload -n --runlist
runlist create -n
runlist remove -n
runlist copy -n -c
runlist rename -n -c
runlist add-app -n --app --profile [-f]
runlist remove-app -n --app
group list
group view -n
group create -n -c
group remove -n
group copy -n -c
group rename -n -c
group push -n --app -w
group pop -n --app
group edit -n
group refresh [-n]
crashlog status
crashlog list -n [-d]
crashlog view -n [-t]
crashlog remove -n [-t]
crashlog removeall -n
crashlog clean -n [-s] [-t]
crashlog cleanrange --from_day [--up_to_day]
tracing store -n --value
tracing remove -n
tracing view [-n]
timeouts store -n -e [--value]
timeouts remove -n -e
timeouts drop -n
timeouts view -n
unicorn edit --path
logging list_loggers
logging set_filter -n --filter_def --ttl
logging set_cluster_filter -n --filter_def --ttl
logging remove_filter -i
logging list_filters
vicodyn info
vicodyn apps [-n]
vicodyn peers [-n]
auth list
auth create -n --token [--force]
auth view -n
auth edit -n
auth rm -n [--drop] [--no-drop]
auth add -n --service
auth exclude -n --service
access grant -t -n [-c] [-u] --perm
access revoke -t -n [-c] [-u] --perm
access storage list
access storage view -n
access storage create -n
access storage edit -n [-c] [-u] --perm
access storage rm [-n] [--yes]
access event list
access event view --name
access event add --name --event [-c] [-u]
access event edit --name
keyring view
keyring update --cid
keyring remove [-k] [--yes]
keyring edit
keyring refresh
`

// leaves are the commands of the tool by their path.
func leaves(c *cobra.Command) map[string]*cobra.Command {
	found := make(map[string]*cobra.Command)
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
		if !c.HasSubCommands() {
			found[strings.Join(path, " ")] = c
		}
	}
	walk(c, nil)
	return found
}

func command(line string) (path string, options []string) {
	words := strings.Fields(line)
	n := slices.IndexFunc(words, func(w string) bool { return strings.Contains(w, "-") && strings.IndexAny(w, "-[") == 0 })
	if n < 0 {
		n = len(words)
	}
	return strings.Join(words[:n], " "), words[n:]
}

func flag(flags *pflag.FlagSet, option string) *pflag.Flag {
	if name, ok := strings.CutPrefix(option, "--"); ok {
		return flags.Lookup(name)
	}
	return flags.ShorthandLookup(strings.TrimPrefix(option, "-"))
}

func TestEveryCommandOfTheOriginal(t *testing.T) {
	have := leaves(newTool(Env{Name: "cocaine-tool"}).root())
	for line := range strings.Lines(strings.TrimSpace(original)) {
		path, options := command(strings.TrimSpace(line))
		c := have[path]
		if c == nil {
			t.Errorf("there is no command %q", path)
			continue
		}
		for _, o := range options {
			if flag(c.Flags(), strings.Trim(o, "[]")) == nil {
				t.Errorf("%s has no option %s", path, o)
			}
		}
		known := 0
		c.Flags().VisitAll(func(*pflag.Flag) { known++ })
		if known != len(options) {
			t.Errorf("%s has %d options, want %d", path, known, len(options))
		}
		delete(have, path)
	}
	for path := range have {
		t.Errorf("the original has no command %q", path)
	}
}

// TestRequiredOptions leaves out one required option after the other.
func TestRequiredOptions(t *testing.T) {
	values := map[string]string{"-w": "1", "-i": "1", "--ttl": "1", "--value": "1", "--cid": "1", "--perm": "R", "-t": "storage"}
	for line := range strings.Lines(strings.TrimSpace(original)) {
		path, options := command(strings.TrimSpace(line))
		for i, missing := range options {
			if strings.HasPrefix(missing, "[") {
				continue
			}
			args := strings.Fields(path)
			if path == "app import" {
				args = append(args, ".")
			}
			for j, o := range options {
				if j == i || strings.HasPrefix(o, "[") {
					continue
				}
				value := values[o]
				if value == "" {
					value = "x"
				}
				args = append(args, o, value)
			}
			var out, errs bytes.Buffer
			code := Run(t.Context(), Env{Name: "cocaine-tool", Args: args, Stdout: &out, Stderr: &errs, Settings: []string{}})
			want := Usage
			if strings.HasPrefix(path, "app ") && path != "app import" {
				want = Invalid
			}
			if Code(code) != want || !strings.Contains(errs.String(), "is missing") || out.Len() > 0 {
				t.Errorf("%q: exit code %d, want %d: %s%s", args, code, want, out.String(), errs.String())
			}
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for path, c := range leaves(newTool(Env{Name: "cocaine-tool"}).root()) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", path, c.Short)
		}
		for line := range strings.Lines(c.Long) {
			if len(strings.TrimRight(line, "\n")) > 84 {
				t.Errorf("%s: line of help is too long: %q", path, line)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: option --%s has no help", path, f.Name)
			}
		})
	}
}

// TestEveryCommandIsDocumented compares the tables of docs/CLI.md with the tree.
func TestEveryCommandIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "CLI.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n### cocaine tool COMMAND [OPTION...]\n")
	if !ok {
		t.Fatal("docs/CLI.md has no section about the tool")
	}
	section, _, _ = strings.Cut(section, "\n### ")
	var want, have []string
	for line := range strings.Lines(strings.TrimSpace(original)) {
		want = append(want, strings.TrimSpace(line))
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z][^`]*)` \\|")
	names := regexp.MustCompile(` (NAME|VALUE|PATH|SERVICE|\[(PATH|METHOD|ARGS)\])`)
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		have = append(have, names.ReplaceAllString(m[1], ""))
	}
	slices.Sort(want)
	slices.Sort(have)
	for _, w := range want {
		if !slices.Contains(have, w) {
			t.Errorf("docs/CLI.md does not have %q", w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			t.Errorf("docs/CLI.md has %q, which is no command", h)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, args := range [][]string{{"nosuch"}, {"app", "nosuch"}, {"app", "list", "extra"}, {"app", "list", "--nosuch"}, {"info", "--timeout", "soon"}} {
		var errs bytes.Buffer
		if code := Run(t.Context(), Env{Name: "cocaine-tool", Args: args, Stdout: &errs, Stderr: &errs, Settings: []string{}}); Code(code) != Usage {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, Usage, errs.String())
		}
	}
}
