package serve

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"raftcached"
)

// environmentPrefix starts the name of every environment variable that sets
// something.
const environmentPrefix = "RAFTCACHED_"

// request is what a command line asks for.
type request struct {
	help, version bool
	notes         []string          // what the operator should know of ignored flags
	cfg           raftcached.Config // complete, unless help or version
}

// given is a setting's text, and where it came from, for messages.
type given struct{ text, source string }

// parse reads flags and environment. Precedence: flags, environment, the config
// file, defaults.
func parse(args []string, getenv func(string) string) (request, error) {
	var req request
	values := map[string]given{}
	for _, s := range settings {
		if text := getenv(s.variable()); text != "" {
			values[s.name] = given{text, s.variable()}
		}
	}
	if err := req.parseFlags(args, values); err != nil || req.help || req.version {
		return req, err
	}
	cfg, err := baseConfig(values)
	if err != nil {
		return req, err
	}
	t := target{cfg: &cfg}
	for _, s := range settings {
		v, ok := values[s.name]
		if !ok || s.apply == nil {
			continue
		}
		if err := s.apply(&t, v.text); err != nil {
			return req, fmt.Errorf("%s is %q: %w", v.source, v.text, err)
		}
	}
	t.setClientAddrs()
	if v, ok := values["user"]; ok {
		req.notes = append(req.notes, v.source+" is ignored: the server keeps the user that starts it")
	}
	req.cfg, err = cfg.Complete()
	return req, err
}

func (s setting) variable() string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// parseFlags reads the flags into values. Each setting answers to its long name
// and to its letter.
func (req *request) parseFlags(args []string, values map[string]given) error {
	flags := flag.NewFlagSet("raftcached", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, s := range settings {
		for _, name := range []string{s.name, s.letter} {
			switch {
			case name == "":
			case s.name == "verbose":
				flags.BoolFunc(name, s.usage, raiseVerbosity(values, 1))
			case s.argument == "":
				flags.BoolFunc(name, s.usage, func(text string) error {
					values[s.name] = given{text, "-" + name}
					return nil
				})
			default:
				flags.Func(name, s.usage, func(text string) error {
					values[s.name] = given{text, "-" + name}
					return nil
				})
			}
		}
	}
	flags.BoolFunc("vv", "", raiseVerbosity(values, 2))
	flags.BoolFunc("vvv", "", raiseVerbosity(values, 3))
	for _, name := range []string{"h", "help"} {
		flags.BoolVar(&req.help, name, false, "")
	}
	for _, name := range []string{"V", "version"} {
		flags.BoolVar(&req.version, name, false, "")
	}
	daemon := false
	for _, name := range []string{"d", "daemon"} {
		flags.BoolVar(&daemon, name, false, "")
	}
	err := flags.Parse(splitLetters(args))
	if err == nil && flags.NArg() > 0 && !req.help && !req.version {
		err = fmt.Errorf("unexpected argument %q: every setting is a flag", flags.Arg(0))
	}
	if err == nil && daemon {
		err = errors.New("-d is refused, the server stays in the foreground: let a service manager start it, or the shell with &")
	}
	return explain(err)
}

// raiseVerbosity returns the function of -v, -vv or -vvv; -v -v is -vv.
func raiseVerbosity(values map[string]given, by int) func(string) error {
	flagSum := 0
	return func(string) error {
		flagSum += by
		values["verbose"] = given{strconv.Itoa(min(flagSum, 3)), "-v"}
		return nil
	}
}

// splitLetters separates a number from the letter before it, which getopt
// allows and package flag does not: -m64 becomes -m 64.
func splitLetters(args []string) []string {
	var split []string
	for i, arg := range args {
		if arg == "--" {
			return append(split, args[i:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && strings.IndexByte("plmctIU", arg[1]) >= 0 && arg[2] >= '0' && arg[2] <= '9' {
			split = append(split, arg[:2], arg[2:])
			continue
		}
		split = append(split, arg)
	}
	return split
}

// explain turns the errors of package flag into sentences that say what to do.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: "); unknown {
		return fmt.Errorf("unknown flag %s: run it with -h to see the flags", name)
	}
	if name, bare := strings.CutPrefix(text, "flag needs an argument: "); bare {
		return fmt.Errorf("flag %s needs a value: run it with -h to see which", name)
	}
	return err
}

// baseConfig is the configuration before settings: of the lone node, or of the
// server of the config file that -id chooses.
func baseConfig(values map[string]given) (raftcached.Config, error) {
	file, hasFile := values["config"]
	id, hasID := values["id"]
	if !hasFile {
		if hasID {
			return raftcached.Config{}, fmt.Errorf("%s chooses a server of a config: add -config server.json", id.source)
		}
		return raftcached.Config{}, nil
	}
	cluster, err := raftcached.ReadCluster(file.text)
	if err != nil {
		return raftcached.Config{}, err
	}
	if !hasID && len(cluster.Servers) == 1 {
		return cluster.Config(cluster.Servers[0].ID)
	}
	if !hasID {
		return raftcached.Config{}, fmt.Errorf("config %q lists %d servers: choose one with -id", file.text, len(cluster.Servers))
	}
	n, err := number(id.text, 0, 1<<31-2)
	if err != nil {
		return raftcached.Config{}, fmt.Errorf("%s is %q: %w", id.source, id.text, err)
	}
	return cluster.Config(n)
}

// writeUsage writes what -h shows.
func writeUsage(w io.Writer) error {
	var text strings.Builder
	text.WriteString("usage: raftcached [-config server.json -id N] [flags]\n\n")
	for _, s := range settings {
		names := "--" + s.name
		if s.letter != "" {
			names = "-" + s.letter + ", " + names
		}
		if s.argument != "" {
			names += " " + s.argument
		}
		fmt.Fprintf(&text, "  %-30s %s\n", names, s.usage)
	}
	fmt.Fprintf(&text, "  %-30s %s\n", "-V, --version", "print the version and exit")
	fmt.Fprintf(&text, "  %-30s %s\n", "-h, --help", "print this and exit")
	text.WriteString("\nFlags go before the environment (RAFTCACHED_MAX_ITEM_SIZE and so on), which\n" +
		"goes before the config file. Exit code: 0 stopped by a signal, 1 failed,\n" +
		"2 wrong flags or configuration.\n")
	_, err := io.WriteString(w, text.String())
	return err
}
