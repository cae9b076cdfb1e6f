package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"

	"github.com/cocaine/cocaine-go/internal/document"
)

// editors are tried in this order when neither VISUAL nor EDITOR names one.
func editors() []string { return []string{"/usr/bin/editor", "vim", "emacs", "nano"} }

// editor is the command that edits a file.
func (t *tool) editor() ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if words := strings.Fields(t.env.getenv(name)); len(words) > 0 {
			return words, nil
		}
	}
	for _, name := range editors() {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, nil
		}
	}
	return nil, &failure{err: errors.New("there is no editor"), code: Invalid, hint: "export EDITOR=vi"}
}

// editText has a text edited by a person. The file that it was edited in stays
// until done is called with no error: what somebody typed is not thrown away.
func (o *operation) editText(ctx context.Context, what, text string) (edited []byte, done func(error) error, err error) {
	argv, err := o.editor()
	if err != nil {
		return nil, nil, cannot(err, "edit %s", what)
	}
	f, err := os.CreateTemp("", "cocaine-tool-*.json")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot edit %s: %w", what, err)
	}
	path := f.Name()
	done = func(err error) error {
		if err == nil {
			return os.Remove(path)
		}
		return hinted(err, "what you typed is in %s", path)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = o.runEditor(ctx, append(argv, path))
	}
	if err != nil {
		os.Remove(path)
		return nil, nil, &failure{err: fmt.Errorf("cannot edit %s: %s: %w", what, argv[0], err), code: Invalid}
	}
	if edited, err = os.ReadFile(path); err != nil {
		return nil, nil, fmt.Errorf("cannot edit %s: %w", what, err)
	}
	return edited, done, nil
}

func (o *operation) runEditor(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = o.env.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.env.Stdin, o.env.Stdout, o.env.Stderr
	return cmd.Run()
}

// editMap has a document edited as JSON and saves it, unless it comes back as it
// was.
func (o *operation) editMap(ctx context.Context, what string, content map[string]any, check func(map[string]any) error,
	save func(context.Context, map[string]any) error) error {
	before, err := formatJSON(content)
	if err != nil {
		return fmt.Errorf("cannot edit %s: %w", what, err)
	}
	edited, done, err := o.editText(ctx, what, before)
	if err != nil {
		return err
	}
	changed, err := parseEdited(what, edited)
	if err == nil && check != nil {
		err = check(changed)
	}
	switch {
	case err != nil:
	case string(edited) == before:
		o.log(info, "%s is as it was", what)
	default:
		err = save(ctx, changed)
	}
	return done(err)
}

func parseEdited(what string, text []byte) (map[string]any, error) {
	d, err := document.ParseJSON("", text)
	if err != nil {
		return nil, &failure{err: fmt.Errorf("cannot edit %s: it is no JSON any more: %w", what, placed(err)), code: Invalid}
	}
	return d.Root().Values(), nil
}

// placed names the line and the column of a document without a file.
func placed(err error) error {
	if e, ok := errors.AsType[*document.Error](err); ok && e.File == "" && e.Line > 0 {
		return fmt.Errorf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	}
	return err
}

// editValue is editMap for any JSON value.
func (o *operation) editValue(ctx context.Context, what string, content any, save func(context.Context, any) error) error {
	before, err := formatJSON(content)
	if err != nil {
		return fmt.Errorf("cannot edit %s: %w", what, err)
	}
	edited, done, err := o.editText(ctx, what, before)
	if err != nil {
		return err
	}
	if string(edited) == before {
		o.log(info, "%s is as it was", what)
		return done(nil)
	}
	changed, err := parseValue(edited)
	if err != nil {
		return done(&failure{err: fmt.Errorf("cannot edit %s: it is no JSON any more: %w", what, err), code: Invalid})
	}
	return done(save(ctx, changed))
}

// parseValue reads any JSON value; whole numbers stay whole.
func parseValue(text []byte) (any, error) {
	wrapped, err := document.ParseJSON("", append(append([]byte(`{"":`), text...), '}'))
	if err != nil {
		var raw json.RawMessage
		if plain := json.Unmarshal(text, &raw); plain != nil {
			return nil, plain
		}
		return nil, placed(err)
	}
	return wrapped.Root().Values()[""], nil
}

// unchanged fails if somebody else has written a record meanwhile.
func (o *operation) unchanged(ctx context.Context, k kind, name string, content map[string]any) error {
	now, err := o.record(ctx, k, name)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(now, content) {
		return fmt.Errorf("cannot edit %s %s: somebody else has changed it meanwhile", k.noun, name)
	}
	return nil
}
