package cli

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/tokens"
)

func (a *app) cmdConfigToken() *cobra.Command {
	return &cobra.Command{
		Use:   "token NAME UID",
		Short: "Make a token and the line by which a server knows it",
		Long: `Draws a token and prints it, once: nobody else has it. To standard error goes the
line for authentication.tokens, or for the file of authentication.token-file, from
which nobody gets the token back.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			token := rand.Text() + rand.Text() // 26 letters of 5 bits each
			line := fmt.Sprintf("%s %s %x", args[0], args[1], sha256.Sum256([]byte(token)))
			if _, err := tokens.Parse(line); err != nil {
				return usage(fmt.Errorf("cannot make a token for %q: want a name without blanks, and a number as user id", args[0]), "cocaine config token ann 1001")
			}
			a.screen.say("%s", line)
			return a.screen.result(token + "\n")
		},
	}
}
