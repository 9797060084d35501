package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordbench/ordbench/scenarios/conductor/control"
)

func newToken() *cobra.Command {
	var stack string
	want := control.TokenRequest{}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Issue a bearer token for the gateway of the running stack",
		Long: `Issue a bearer token, a JWT signed with EdDSA, for the gateway of the running
stack. Its subject is the one user it can order for and whose orders it can
see. The role storefront acts for every user; the role batch is work that can
wait, and is the first to be shed.

The signing key lives in the memory of the process that keeps the stack, and
goes with it. --rotate makes a new one first; tokens of the last few keys stay
good until they expire. Every token is put on record in logs/audit.jsonl.`,
		Example: `  curl -X POST $URL/orders -H "Authorization: Bearer $(ordbench token)" \
       -d '{"user_id":"u123","total":99.95}'
  ordbench token --user u7 --for 10m
  ordbench token --user shop --role storefront`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control.Dial(cmd.Context(), stack)
			if err != nil {
				return usageError{err}
			}
			token, err := c.Token(cmd.Context(), want)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token.Token)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&want.User, "user", "u123", "whom it speaks for")
	f.DurationVar(&want.For, "for", time.Hour, "how long it is good, up to 24h")
	f.StringArrayVar(&want.Roles, "role", nil, "storefront or batch; may be repeated")
	f.BoolVar(&want.Rotate, "rotate", false, "sign with a new key from now on")
	addStackFlag(cmd, &stack)
	return cmd
}
