package ctl

import (
	"fmt"

	"github.com/spf13/cobra"
)

// addOutput adds the flag that says for whom a command writes.
func addOutput(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table, for people, or json, for programs")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// checkOutput refuses what addOutput does not offer.
func checkOutput(output string) error {
	if output != "table" && output != "json" {
		return fmt.Errorf("output %q is unknown: write -o table or -o json", output)
	}
	return nil
}
