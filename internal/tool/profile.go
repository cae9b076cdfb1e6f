package tool

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

func (t *tool) profileGroup() *cobra.Command {
	k := profiles()
	return t.group("profile", "Edit profiles: how apps are run",
		t.listRecords(k), t.viewRecord(k), t.profileUpload(), t.editRecord(k, nil), t.removeRecord(k), t.copyRecord(k), t.renameRecord(k))
}

func (t *tool) profileUpload() *cobra.Command {
	var name, given string
	return t.command("upload", "Write a profile", func(ctx context.Context, o *operation) error {
		content, err := readContent("the profile", given)
		if err != nil {
			return err
		}
		if _, err := manifest.ParseProfile(name, content); err != nil {
			o.log(warning, "no app is going to start with it: %v", err)
		}
		return o.step("Uploading profile "+name, func() (string, error) {
			return "", o.store(ctx, profiles(), name, content)
		})
	}, t.nameOf(profiles(), &name), required(&given, "profile", "r", "`file` with the profile, or the profile itself as JSON"))
}
