package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Line is what a command line and the environment say that is not a field of the
// configuration. Given tells which of its fields, and of the configuration's,
// were set.
type Line struct {
	ConfigFile string
	ID         int
	Port       int
	Listen     string
	Protocol   string
	UDPPort    string
	User       string

	Help, Version, Daemon bool

	given []given
}

// given is a setting as it was written.
type given struct {
	setting *Setting
	text    string
	origin  Origin
}

// ReadLine reads the flags, and the environment where there is no flag. The
// values that belong to a configuration wait for Apply.
func ReadLine(args []string, getenv func(string) string) (*Line, error) {
	l := &Line{}
	if err := l.parseFlags(args); err != nil || l.Help || l.Version {
		return l, err
	}
	for i := range Table {
		s := &Table[i]
		if name := s.Variable(); name != "" && l.Given(s.Field) == "" && getenv(name) != "" {
			l.given = append(l.given, given{s, getenv(name), Origin{Source: FromEnvironment, Name: name}})
		}
	}
	slices.SortStableFunc(l.given, func(a, b given) int { return tableIndex(a.setting) - tableIndex(b.setting) })
	return l, l.apply(nil, nil)
}

func tableIndex(s *Setting) int {
	return slices.IndexFunc(Table, func(t Setting) bool { return t.Field == s.Field })
}

// Given returns what set a field, as the user wrote it, or nothing.
func (l *Line) Given(field string) string {
	for _, g := range l.given {
		if g.setting.Field == field {
			return g.origin.Name
		}
	}
	return ""
}

// Apply sets the fields of config that were given, and their origins.
func (l *Line) Apply(config any, o Origins) error { return l.apply(config, o) }

// apply sets the fields of config or, without one, those of the line.
func (l *Line) apply(config any, o Origins) error {
	into := config
	if config == nil {
		into = l
	}
	for _, g := range l.given {
		if g.setting.Kind == options && config != nil {
			if err := applyOptions(g, config, o); err != nil {
				return err
			}
		}
		if err := g.store(into, o); err != nil {
			return err
		}
	}
	return nil
}

// store sets the field of a struct, if that has it.
func (g given) store(into any, o Origins) error {
	f, ok := g.setting.fieldOf(into)
	if !ok {
		return nil
	}
	v, err := g.setting.parse(g.text)
	if err != nil {
		return Errorf("%s is %q: %v", g.origin.Name, g.text, err)
	}
	store(f, v)
	if o != nil {
		g.origin.value = v
		o[g.setting.Field] = g.origin
	}
	return nil
}

// applyOptions sets what memcached's -o sets: NAME=VALUE, separated by commas.
func applyOptions(g given, config any, o Origins) error {
	for option := range strings.SplitSeq(g.text, ",") {
		name, text, _ := strings.Cut(option, "=")
		i := slices.IndexFunc(Table, func(s Setting) bool { return s.Option != "" && s.Option == name })
		if i < 0 {
			return Errorf("%s is %q: %s", g.origin.Name, g.text, g.setting.Help)
		}
		err := given{&Table[i], text, Origin{Source: FromFlag, Name: g.origin.Name + " " + name}}.store(config, o)
		if err != nil {
			return err
		}
	}
	return nil
}

// parseFlags reads the flags. Each setting answers to its long name and to its
// letter; of a flag that is given twice the last counts.
func (l *Line) parseFlags(args []string) error {
	flags := flag.NewFlagSet("raftcached", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for i := range Table {
		for _, name := range Table[i].Flags {
			l.define(flags, &Table[i], name, args)
		}
	}
	err := flags.Parse(splitLetters(args))
	if err == nil && flags.NArg() > 0 && !l.Help && !l.Version {
		err = fmt.Errorf("unexpected argument %q: every setting is a flag", flags.Arg(0))
	}
	if err == nil && l.Daemon {
		err = errors.New("-d is refused, the server stays in the foreground: let a service manager start it, or the shell with &")
	}
	return explain(err)
}

// define defines one flag of a setting.
func (l *Line) define(flags *flag.FlagSet, s *Setting, name string, args []string) {
	set := func(text string) error { //nolint:unparam // package flag wants an error
		l.given = slices.DeleteFunc(l.given, func(g given) bool { return g.setting == s })
		l.given = append(l.given, given{s, text, Origin{Source: FromFlag, Name: asWritten(name, args)}})
		return nil
	}
	switch {
	case s.isQuestion():
		f, _ := s.fieldOf(l)
		flags.BoolFunc(name, s.Help, func(text string) error {
			yes, err := strconv.ParseBool(text)
			f.SetBool(yes)
			return err
		})
	case s.Kind == Count:
		total := 0 // -v -v is -vv
		for times := 1; times <= int(s.Max) && (times == 1 || len(name) == 1); times++ {
			flags.BoolFunc(strings.Repeat(name, times), s.Help, func(string) error {
				total += times
				return set(strconv.Itoa(min(total, int(s.Max))))
			})
		}
	case s.Kind == Switch:
		flags.BoolFunc(name, s.Help, set)
	default:
		flags.Func(name, s.Help, set)
	}
}

// asWritten returns a flag with the dashes that it has in args: package flag does
// not tell whether it was one or two.
func asWritten(name string, args []string) string {
	two := "--" + name
	for _, arg := range args {
		if arg == two || strings.HasPrefix(arg, two+"=") {
			return two
		}
	}
	return "-" + name
}

// splitLetters separates a number from the letter before it, which getopt allows
// and package flag does not: -m64 becomes -m 64.
func splitLetters(args []string) []string {
	var split []string
	for i, arg := range args {
		if arg == "--" {
			return append(split, args[i:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && takesValue(arg[1:2]) && arg[2] >= '0' && arg[2] <= '9' {
			split = append(split, arg[:2], arg[2:])
			continue
		}
		split = append(split, arg)
	}
	return split
}

// takesValue reports whether a flag is followed by a value.
func takesValue(name string) bool {
	return slices.ContainsFunc(Table, func(s Setting) bool { return s.Arg != "" && slices.Contains(s.Flags, name) })
}

// explain turns the errors of package flag into sentences that say what to do.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: "); unknown {
		return Errorf("unknown flag %s: run it with -h to see the flags", name)
	}
	if name, bare := strings.CutPrefix(text, "flag needs an argument: "); bare {
		return Errorf("flag %s needs a value: run it with -h to see which", name)
	}
	return Errorf("%s", text)
}

// WriteUsage writes what -h shows.
func WriteUsage(w io.Writer) error {
	var text strings.Builder
	text.WriteString("usage: raftcached [-config server.json -id N] [flags]\n\n")
	for i := range Table {
		s := &Table[i]
		if len(s.Flags) == 0 || s.Field == "Daemon" {
			continue
		}
		fmt.Fprintf(&text, "  %-30s %s", s.usageNames(), strings.ReplaceAll(s.Help, "`", ""))
		if shown := s.shownDefault(); shown != "" {
			fmt.Fprintf(&text, " (default: %s)", strings.ReplaceAll(shown, "`", ""))
		}
		text.WriteByte('\n')
	}
	text.WriteString("\nA flag overrides the environment (RAFTCACHED_MAX_ITEM_SIZE and so on), which\n" +
		"overrides the config file, which overrides the default. Exit code: 0 stopped by a\n" +
		"signal, 1 failed, 2 wrong flags or configuration.\n")
	_, err := io.WriteString(w, text.String())
	return err
}

// usageNames returns the flags of a setting with their dashes, letters first.
func (s *Setting) usageNames() string {
	names := make([]string, 0, len(s.Flags))
	for _, name := range s.Flags[1:] {
		names = append(names, "-"+name)
	}
	names = append(names, "--"+s.Flags[0])
	text := strings.Join(names, ", ")
	if s.Arg != "" {
		text += " " + s.Arg
	}
	return text
}

// shownDefault returns the default as the usage and the documents show it.
func (s *Setting) shownDefault() string {
	if s.Shown != "" {
		return s.Shown
	}
	return s.Default
}
