package tool

import (
	"github.com/spf13/cobra"
)

// spec is what a command asks of its command line beyond the flags themselves.
type spec struct {
	minArgs, maxArgs int
	limit            limit
	checks           []func(*cobra.Command) error
}

// An option adds something to a command.
type option func(*cobra.Command, *spec)

// text is an option with a value. short may be empty.
func text(dst *string, name, short, value, help string) option {
	return func(c *cobra.Command, _ *spec) { c.Flags().StringVarP(dst, name, short, value, help) }
}

// required is an option with a value that has to be given.
func required(dst *string, name, short, help string) option {
	return func(c *cobra.Command, s *spec) {
		c.Flags().StringVarP(dst, name, short, "", help)
		s.must(name)
	}
}

// must makes an option of any kind a required one. One that is given and empty is
// as good as none, but another kind of mistake.
func (s *spec) must(name string) {
	s.checks = append(s.checks, func(c *cobra.Command) error {
		f := c.Flags().Lookup(name)
		switch {
		case !f.Changed:
			return usagef("cannot run %s: the option --%s is missing", c.CommandPath(), name)
		case f.Value.String() == "":
			return invalidf("cannot run %s: the option --%s is empty", c.CommandPath(), name)
		}
		return nil
	})
}

// mustHave is required for those options whose absence the original takes for a
// bad value.
func mustHave(dst *string, name, short, help string) option {
	return func(c *cobra.Command, s *spec) {
		c.Flags().StringVarP(dst, name, short, "", help)
		s.checks = append(s.checks, func(c *cobra.Command) error {
			if *dst == "" {
				return invalidf("cannot run %s: the option --%s is missing", c.CommandPath(), name)
			}
			return nil
		})
	}
}

// toggle is an option without a value.
func toggle(dst *bool, name, short, help string) option {
	return func(c *cobra.Command, _ *spec) { c.Flags().BoolVarP(dst, name, short, false, help) }
}

// letter is a toggle that the original knows by one letter only.
func letter(dst *bool, short, name, help string) option { return toggle(dst, name, short, help) }

// whole is an option that takes a whole number.
func whole(dst *int, name, short string, value int, help string) option {
	return func(c *cobra.Command, _ *spec) { c.Flags().IntVarP(dst, name, short, value, help) }
}

// fraction is an option that takes a number.
func fraction(dst *float64, name, short string, value float64, help string) option {
	return func(c *cobra.Command, _ *spec) { c.Flags().Float64VarP(dst, name, short, value, help) }
}

// ids is an option that takes an identity and may be given again.
func ids(dst *[]int64, name, short, help string) option {
	return func(c *cobra.Command, _ *spec) { c.Flags().Int64SliceVarP(dst, name, short, nil, help) }
}

// given makes options required that were added before it.
func given(names ...string) option {
	return func(_ *cobra.Command, s *spec) {
		for _, name := range names {
			s.must(name)
		}
	}
}

// oneOf bounds the values of an option that was added before it.
func oneOf(name string, values ...string) option {
	return func(c *cobra.Command, s *spec) {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		s.checks = append(s.checks, func(c *cobra.Command) error {
			have := c.Flags().Lookup(name).Value.String()
			for _, v := range values {
				if have == v {
					return nil
				}
			}
			return usagef("cannot run %s: --%s is %q, want one of %q", c.CommandPath(), name, have, values)
		})
	}
}

// positional says how many arguments there may be besides options.
func positional(low, high int) option {
	return func(_ *cobra.Command, s *spec) { s.minArgs, s.maxArgs = low, high }
}

// within says how --timeout bounds the command.
func within(l limit) option { return func(_ *cobra.Command, s *spec) { s.limit = l } }

// long is the rest of the help.
func long(help string) option { return func(c *cobra.Command, _ *spec) { c.Long = help } }
