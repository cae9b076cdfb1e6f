package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/config"
)

func (a *app) cmdConfig() *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Write and explain the configuration of a server",
		GroupID: "start",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.cmdConfigInit(), a.cmdConfigExplain(), a.cmdConfigToken())
	return c
}

func (a *app) cmdConfigInit() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "init [FILE|-]",
		Short: "Write a commented configuration with every default",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "cocaine-server.toml"
			if len(args) == 1 {
				path = args[0]
			}
			if path == "-" {
				return config.WriteDefault(a.env.Stdout, a.env.Host)
			}
			return a.writeConfig(path, force)
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "overwrite an existing file")
	return c
}

func (a *app) writeConfig(path string, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &failure{err: fmt.Errorf("cannot write %s: it exists", path), hint: "cocaine config init --force " + path, code: Conflict}
	}
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	err = config.WriteDefault(f, a.env.Host)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	a.screen.say("wrote %s; use it: cocaine server -c %s", path, path)
	return nil
}

func (a *app) cmdConfigExplain() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Show the settings in force and where each comes from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := a.load(cmd, &f)
			if err != nil {
				return err
			}
			settings := conf.Settings()
			if len(args) == 1 {
				s, err := conf.Setting(args[0])
				if err != nil {
					return &failure{err: err, hint: "cocaine config explain", code: NotFound}
				}
				if !a.asJSON() {
					return a.screen.result(fmt.Sprintf("%s = %s\n  from      %s\n  default   %s\n  variable  %s\n\n%s\n",
						s.Key, s.Value, s.Origin, dash(s.Default), dash(s.Env), s.Doc))
				}
				settings = []config.Setting{s}
			}
			return a.printSettings(settings)
		},
	}
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file`")
	return a.reads(c)
}

// settingShape is a setting as -o json prints it. Values are as TOML has them.
type settingShape struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default string `json:"default"`
	From    string `json:"from"`
	Env     string `json:"env"`
	Doc     string `json:"doc"`
}

func (a *app) printSettings(settings []config.Setting) error {
	var docs []settingShape
	var rows [][]string
	for _, s := range settings {
		docs = append(docs, settingShape{s.Key, s.Value, s.Default, s.Origin.String(), s.Env, s.Doc})
		rows = append(rows, []string{s.Key, s.Value, s.Origin.String()})
	}
	if a.asJSON() {
		return a.printJSON(docs)
	}
	return a.table([]string{"KEY", "VALUE", "FROM"}, rows)
}
