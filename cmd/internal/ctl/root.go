package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"raftcached"
	"raftcached/internal/settings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes of every command. What 1 and 2 mean for status is in its help.
const (
	exitOK         = 0
	exitFailed     = 1
	exitNoMajority = 2
	exitUsage      = 64 // EX_USAGE of sysexits.h
)

// timeoutDefault is how long a server may take to answer: it may wait for a
// majority for half a second first.
const timeoutDefault = 1500 * time.Millisecond

// Process is what the program is given from outside.
type Process struct {
	Args           []string // without the program's name
	Getenv         func(string) string
	Stdin          io.Reader // nil: nobody can answer
	Stdout, Stderr io.Writer
}

// Main runs one command and returns the exit code of the process.
func Main(ctx context.Context, p Process) int {
	c := &ctl{Process: p}
	root := c.newRoot()
	root.SetArgs(twoDashes(p.Args, longFlags(root)))
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	var (
		exit  exitError
		usage usageError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	}
	c.complain(err)
	if !c.running || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// exitError ends a command that has said everything with an exit code.
type exitError int

// Error implements error.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is an error of what the command line names, or a variable: nobody was asked.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

// ctl is one run of the program.
type ctl struct {
	Process
	running bool // the command line was understood

	servers []string
	config  string
	timeout time.Duration
	secret  string // file

	cert, key, cacert string // files of the operator's certificate
}

// complain writes a line for the operator to the standard error.
func (c *ctl) complain(err error) {
	text, similar, _ := strings.Cut(err.Error(), "\n\nDid you mean this?\n") // cobra's form
	if words := strings.Fields(similar); len(words) > 0 {
		text += ": is " + strings.Join(words, " or ") + " meant?"
	}
	text = strings.ReplaceAll(text, "\n", "; ")
	_, _ = fmt.Fprintln(c.Stderr, "raftcachectl: "+text) // there is no other place to report it
}

// begin ends the reading of the command line.
func (c *ctl) begin(*cobra.Command, []string) error {
	if c.timeout <= 0 {
		return fmt.Errorf("--timeout is %v: write a time above 0, like %v", c.timeout, timeoutDefault)
	}
	c.running = true
	return nil
}

// longFlags are the names of all flags, which may be written with one dash, as those of
// raftcached.
func longFlags(cmd *cobra.Command) []string {
	names := []string{"help", "version"} // cobra adds them later
	note := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.PersistentFlags().VisitAll(note)
	cmd.Flags().VisitAll(note)
	for _, sub := range cmd.Commands() {
		names = append(names, longFlags(sub)...)
	}
	return names
}

func (c *ctl) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "raftcachectl COMMAND",
		Short: "Show and operate a cluster of raftcached",
		Long: `raftcachectl shows and operates a cluster of raftcached, through the admin ports
of its servers (adminPort in server.json). One server that answers is enough: it
names the others.

The servers are found, in this order, by --server, by --config, by the variables
RAFTCACHECTL_SERVER and RAFTCACHECTL_CONFIG, by server.json in the working
directory, and otherwise at 127.0.0.1:11411. Admin ports that other machines reach are in
TLS if the servers have certificates. The operator's is found by --cert, --key and
--cacert, by the variables RAFTCACHECTL_CERT, RAFTCACHECTL_KEY and RAFTCACHECTL_CACERT,
and otherwise as operator.crt and operator.key beside peerCAFile of the server.json.`,
		Example: `  raftcachectl status
  raftcachectl status --server 10.0.0.1:11411 -o json
  RAFTCACHECTL_CONFIG=/etc/raftcached/server.json raftcachectl verify`,
		Version:           raftcached.Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: c.begin,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n") // as server-spawner has it
	flags := root.PersistentFlags()
	flags.StringSliceVarP(&c.servers, "server", "s", nil, "admin port of a server, `HOST:PORT`; several are separated by commas")
	flags.StringVarP(&c.config, "config", "c", "", "the cluster's server.json, a `FILE`")
	flags.StringVar(&c.secret, "secret-file", "", "`FILE` with the cluster's secret, for what changes something on another machine")
	flags.StringVar(&c.cert, "cert", "", "`FILE` with the operator's certificate, for admin ports in TLS")
	flags.StringVar(&c.key, "key", "", "`FILE` with its key, if it is another one")
	flags.StringVar(&c.cacert, "cacert", "", "`FILE` with the authorities of the servers' certificates")
	flags.DurationVar(&c.timeout, "timeout", timeoutDefault, "how long a server may take to answer")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --"); unknown {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if meant := settings.Nearest(name, names); meant != "" {
				return fmt.Errorf("unknown flag --%s: did you mean --%s?", name, meant)
			}
		}
		text := err.Error()
		if strings.HasPrefix(text, "invalid argument ") {
			before, _, _ := strings.Cut(text, " flag: ") // what follows is package strconv's
			text = before + " flag"
		}
		return fmt.Errorf("%s: run %q", text, cmd.CommandPath()+" --help")
	})
	root.AddCommand(
		c.newStatus(), c.newTop(), c.newReady(), c.newHotKeys(), c.newSlow(), c.newVerify(), c.newMember(), c.newLeases(), c.newImport(),
		c.newBackup(), c.newRestore(), c.newInspect(), c.newCerts(),
		c.newRecover(), c.newLog(), c.newVersion(),
	)
	return root
}

// twoDashes gives long flags that were written with one dash the second one.
func twoDashes(args, longFlags []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && slices.Contains(longFlags, name) {
			args[i] = "-" + arg
		}
	}
	return args
}

// suggestionDistance is how many letters of a command may be wrong for it to be the one that
// was meant, as cobra has it for the first word.
const suggestionDistance = 2

// oneCommand refuses the arguments of a command that only has others below it: none of
// them was named.
func oneCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to do: run %q", cmd.CommandPath()+" --help")
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = suggestionDistance
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text += ": is " + strings.Join(meant, " or ") + " meant?"
	}
	return errors.New(text)
}

// nothing is what such a command does: without it cobra shows the help, and all is well.
func nothing(*cobra.Command, []string) error { return nil }

// noArguments refuses arguments of a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: run %q", args[0], cmd.CommandPath()+" --help")
	}
	return nil
}
