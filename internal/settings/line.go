package settings

import (
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
	PIDFile    string
	SASL       bool
	Check      bool

	Help, Version, License bool

	given []given
	notes []string
}

// given is a setting as it was written.
type given struct {
	setting *Setting
	text    string
	origin  Origin
}

// ReadLine reads the flags, and the environment where there is no flag: words like
// NAME=VALUE, as os.Environ returns them. The values that belong to a configuration
// wait for Apply.
func ReadLine(args, environment []string) (*Line, error) {
	l := &Line{}
	if err := l.parseFlags(args); err != nil || l.Help || l.Version || l.License {
		return l, err
	}
	if err := l.readEnvironment(environment); err != nil {
		return l, err
	}
	slices.SortStableFunc(l.given, func(a, b given) int { return tableIndex(a.setting) - tableIndex(b.setting) })
	return l, l.apply(nil, nil)
}

// Notes returns a sentence for each thing that was given and has no effect.
func (l *Line) Notes() []string { return l.notes }

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

// apply sets the fields of config or, without one, those of the line, and writes the
// notes.
func (l *Line) apply(config any, o Origins) error {
	into := config
	if config == nil {
		into = l
	}
	for _, g := range l.given {
		switch s := g.setting; {
		case s.Kind == options:
			if err := l.applyOptions(g, config, o); err != nil {
				return err
			}
		case s.Refused != "":
			return g.errorf("%s is refused: %s", g.origin.Name, s.Refused)
		case s.Ignored != "" && config == nil:
			if _, err := s.parse(g.text); err != nil {
				return g.errorf("%s is %q: %v", g.origin.Name, g.text, err)
			}
			l.note(g.origin.Name, s.Ignored)
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
		return g.errorf("%s is %q: %v", g.origin.Name, g.text, err)
	}
	store(f, v)
	if o != nil {
		g.origin.value = v
		o[g.setting.Field] = g.origin
	}
	return nil
}

// parseFlags reads the flags. Each setting answers to its long name and to its
// letter; of a flag that is given twice the last counts, or both if it takes a list.
func (l *Line) parseFlags(args []string) error {
	flags := flag.NewFlagSet("raftcached", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for i := range Table {
		for _, name := range Table[i].Flags {
			l.define(flags, &Table[i], name, args)
		}
	}
	err := flags.Parse(splitLetters(args))
	if err == nil && flags.NArg() > 0 && !l.Help && !l.Version && !l.License {
		if written, meant := misspelt(args); meant != "" { // its letters were taken for flags
			return usageErrorf("unknown flag %s: did you mean %s?", written, meant)
		}
		err = fmt.Errorf("unexpected argument %q: every setting is a flag", flags.Arg(0))
	}
	return explain(err)
}

// define defines one flag of a setting.
func (l *Line) define(flags *flag.FlagSet, s *Setting, name string, args []string) {
	set := func(text string) error { //nolint:unparam // package flag wants an error
		i := slices.IndexFunc(l.given, func(g given) bool { return g.setting == s })
		if i >= 0 && (s.Kind == List || s.Kind == options) {
			text = l.given[i].text + "," + text
		}
		if i >= 0 {
			l.given = slices.Delete(l.given, i, i+1)
		}
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

// splitLetters separates what getopt lets stand together and package flag does not:
// -m64 becomes -m 64, and -kvp5 becomes -k -v -p 5. A long name may have one dash.
func splitLetters(args []string) []string {
	var split []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(split, args[i:]...)
		}
		letters := lettersOf(arg)
		if letters == nil {
			letters = []string{arg}
		}
		split = append(split, letters...)
		last := strings.TrimLeft(letters[len(letters)-1], "-")
		if strings.HasPrefix(arg, "-") && takesValue(last) && i+1 < len(args) {
			i++ // the value, whatever it begins with
			split = append(split, args[i])
		}
	}
	return split
}

// lettersOf returns the flags that stand together in an argument, or nothing if it is
// something else.
func lettersOf(arg string) []string {
	name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
	if len(arg) < 3 || arg[0] != '-' || arg[1] == '-' || named(name) != nil {
		return nil
	}
	var letters []string
	for rest := arg[1:]; rest != ""; rest = rest[1:] {
		s := named(rest[:1])
		if s == nil || rest[0] == '=' {
			return nil
		}
		letters = append(letters, "-"+rest[:1])
		if s.Arg != "" && len(rest) > 1 {
			return append(letters, strings.TrimPrefix(rest[1:], "="))
		}
	}
	return letters
}

// named returns the setting of a flag, or nil.
func named(flag string) *Setting {
	for i := range Table {
		s := &Table[i]
		if slices.Contains(s.Flags, flag) || s.Kind == Count && strings.Trim(flag, s.Flags[len(s.Flags)-1]) == "" && flag != "" {
			return s
		}
	}
	return nil
}

// takesValue reports whether a flag is followed by a value.
func takesValue(flag string) bool {
	s := named(flag)
	return s != nil && s.Arg != ""
}

// explain turns the errors of package flag into sentences that say what to do.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: "); unknown {
		if meant := nearestFlag(strings.TrimLeft(name, "-")); meant != "" {
			return usageErrorf("unknown flag %s: did you mean %s?", name, meant)
		}
		return usageErrorf("unknown flag %s: run it with -h to see the flags", name)
	}
	if name, bare := strings.CutPrefix(text, "flag needs an argument: "); bare {
		return usageErrorf("flag %s needs a value: run it with -h to see which", name)
	}
	return usageErrorf("%s", text)
}

// WriteUsage writes what -h shows.
func WriteUsage(w io.Writer) error {
	var text strings.Builder
	text.WriteString("usage: raftcached [-config server.json -id N] [flags]\n\n")
	for i := range Table {
		s := &Table[i]
		if len(s.Flags) == 0 || s.Ignored != "" || s.Refused != "" {
			continue
		}
		fmt.Fprintf(&text, "  %-30s %s", s.usageNames(), strings.ReplaceAll(s.Help, "`", ""))
		if shown := s.shownDefault(); shown != "" {
			fmt.Fprintf(&text, " (default: %s)", strings.ReplaceAll(shown, "`", ""))
		}
		text.WriteByte('\n')
	}
	text.WriteString("\nmemcached's other flags are accepted, with a note that they have no effect.\n" +
		"A flag overrides the environment (RAFTCACHED_MAX_ITEM_SIZE and so on), which\n" +
		"overrides the config file, which overrides the default. Exit code: 0 stopped by a\n" +
		"signal, 1 failed, 64 wrong flags, 78 wrong configuration or data folder.\n")
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
