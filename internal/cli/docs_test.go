package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// tree is the command line by usage line: "cocaine ps" and so on, without the
// commands that cobra adds and hides.
func tree() map[string]*cobra.Command {
	a := &app{screen: newScreen(Env{})}
	commands := make(map[string]*cobra.Command)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" {
				walk(sub)
			}
		}
		if !c.HasSubCommands() || c.Name() == "completion" {
			commands[c.CommandPath()] = c
		}
	}
	walk(a.root())
	for path := range commands {
		if strings.HasPrefix(path, "cocaine completion ") {
			delete(commands, path)
		}
	}
	return commands
}

// sections are the parts of the documentation, by usage line.
func sections(t *testing.T) map[string]string {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "CLI.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1)[1:] {
		head, body, _ := strings.Cut(part, "\n")
		found[head] = body
	}
	return found
}

func TestEveryCommandIsDocumented(t *testing.T) {
	documented := sections(t)
	for path, c := range tree() {
		usage := c.CommandPath()
		if _, args, ok := strings.Cut(c.Use, " "); ok {
			usage += " " + args
		}
		if c.Name() == "completion" {
			usage = path + " bash|zsh|fish|powershell"
		}
		body, ok := documented[usage]
		if !ok {
			t.Errorf("docs/CLI.md has no section %q", usage)
			continue
		}
		checkFlags(t, path, c.LocalNonPersistentFlags(), body)
		for _, alias := range c.Aliases {
			if !strings.Contains(body, "`"+alias+"`") {
				t.Errorf("%s: the other name %q is not documented", path, alias)
			}
		}
		delete(documented, usage)
	}
	for head := range documented {
		if strings.HasPrefix(head, "cocaine ") {
			t.Errorf("docs/CLI.md documents %q, which is no command", head)
		}
	}
}

func TestEveryCommonFlagIsDocumented(t *testing.T) {
	a := &app{screen: newScreen(Env{})}
	root := a.root()
	root.InitDefaultHelpFlag()
	flags := pflag.NewFlagSet("common", pflag.ContinueOnError)
	flags.AddFlagSet(root.PersistentFlags())
	flags.AddFlag(root.Flags().Lookup("help"))
	checkFlags(t, "common flags", flags, sections(t)["Rules"])
}

var flagRow = regexp.MustCompile("(?m)^\\| ((?:`-{1,2}[^`]+`(?:, )?)+) \\|")

// checkFlags compares a table of flags with the flags.
func checkFlags(t *testing.T, path string, flags *pflag.FlagSet, body string) {
	t.Helper()
	var want, have []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" && path != "common flags" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		want = append(want, name)
	})
	for _, row := range flagRow.FindAllStringSubmatch(body, -1) {
		var names []string
		for part := range strings.SplitSeq(row[1], ", ") {
			name, _, _ := strings.Cut(strings.Trim(part, "`"), " ")
			names = append(names, name)
		}
		have = append(have, strings.Join(names, ", "))
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("%s: the documented flags are %q, the real ones %q", path, have, want)
	}
}

// TestHelpIsComplete holds every command to what a person expects of help.
func TestHelpIsComplete(t *testing.T) {
	for path, c := range tree() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", path, c.Short)
		}
		if c.Name() != "completion" && c.Parent().Name() == "cocaine" && c.GroupID == "" {
			t.Errorf("%s belongs to no group", path)
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(strings.TrimRight(line, "\n")) > 84 {
				t.Errorf("%s: line of help is too long: %q", path, line)
			}
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: flag --%s has no help", path, f.Name)
			}
		})
	}
}

// TestFirstMinute holds the README to its script: what it tells a person to type is
// what the script runs.
func TestFirstMinute(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "first_minute.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, minute, ok := strings.Cut(string(readme), "## The first minute\n")
	if !ok {
		t.Fatal("README.md has no first minute")
	}
	minute, _, _ = strings.Cut(minute, "\n## ")
	told := regexp.MustCompile(`(?m)^\$ (cocaine .*)$`).FindAllStringSubmatch(minute, -1)
	if len(told) < 5 {
		t.Fatalf("README.md tells %d commands", len(told))
	}
	text := strings.ReplaceAll(string(script), "--locator-port 0 ", "")
	text = strings.ReplaceAll(text, "$WORK/myapp", "./myapp")
	for _, command := range told {
		if !strings.Contains(text, command[1]+"\n") {
			t.Errorf("the script does not run %q", command[1])
		}
	}
}
