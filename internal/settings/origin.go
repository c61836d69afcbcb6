package settings

import (
	"fmt"
	"strconv"
)

// Source is a kind of place that settings come from.
type Source uint8

// The sources.
const (
	FromProgram Source = iota // the fields of a configuration
	FromFile                  // server.json
	FromEnvironment
	FromFlag
)

// Origin says where the value of a setting came from.
type Origin struct {
	Source Source
	Name   string // as the user wrote it
	File   string // the name of the file, if it is one
	value  any    // what came from there
}

// prefix begins an error about a setting.
func (o Origin) prefix() string {
	if o.Source != FromFile {
		return ""
	}
	return fmt.Sprintf("config %q: ", o.File)
}

// Origins are the origins of the fields of a configuration. A field that has none
// was set by a program, or has its default.
type Origins map[string]Origin

// of returns the origin of a setting's value. An origin whose value a program has
// changed since is none.
func (o Origins) of(s *Setting, value any) Origin {
	if origin, ok := o[s.Field]; ok && origin.value == value {
		return origin
	}
	return Origin{Source: FromProgram, Name: s.Field}
}

// nameIn returns what a setting is called in a source.
func (s *Setting) nameIn(src Source) string {
	switch {
	case src == FromFile && s.JSON != "":
		return strconv.Quote(s.JSON)
	case src == FromEnvironment && s.Variable() != "":
		return s.Variable()
	case src == FromFlag && len(s.Flags) > 0:
		return s.flagName()
	case src != FromProgram && s.JSON != "":
		return strconv.Quote(s.JSON)
	}
	return s.Field
}

// flagName returns the flag with its dashes: the letter, if there is one.
func (s *Setting) flagName() string {
	if last := s.Flags[len(s.Flags)-1]; len(last) == 1 {
		return "-" + last
	}
	return "--" + s.Flags[0]
}

// Fill gives the fields of config that are zero the defaults of the table.
func Fill(config any) {
	for i := range Table {
		s := &Table[i]
		f, ok := s.fieldOf(config)
		if !ok || s.Default == "" || !f.IsZero() {
			continue
		}
		v, err := s.parse(s.Default)
		if err != nil {
			panic(fmt.Sprintf("default of %s: %v", s.Field, err)) // every completed configuration meets it
		}
		store(f, v)
	}
}

// Complete fills config, and checks the bounds of its fields. Bounds that depend
// on each other are for the caller to check, with TooHigh.
func Complete(config any, o Origins) error {
	Fill(config)
	for i := range Table {
		s := &Table[i]
		if f, ok := s.fieldOf(config); ok && s.Kind != servers {
			if err := s.check(load(f), o); err != nil {
				return err
			}
		}
	}
	return nil
}

// check checks the bounds or the choices of a value.
func (s *Setting) check(value any, o Origins) error {
	var err error
	switch n, isNumber := value.(int64); {
	case isNumber:
		_, err = s.checkNumber(n)
	case s.Kind == Choice:
		_, err = s.checkText(value.(string))
	}
	if err == nil {
		return nil
	}
	origin := o.of(s, value)
	return Errorf("%s%s is %s: %v", origin.prefix(), origin.Name, s.format(value, origin.Source), s.want(origin.Source))
}

// TooHigh returns the error of a field whose value is above highest, which is a
// share, such as "half", of another field.
func (o Origins) TooHigh(config any, field string, highest int64, share, other string) error {
	s, t := byField(field), byField(other)
	f, _ := s.fieldOf(config)
	g, _ := t.fieldOf(config)
	origin, limit := o.of(s, load(f)), o.of(t, load(g))
	if limit.Source == FromProgram && origin.Source != FromProgram {
		limit = Origin{Source: origin.Source, Name: t.nameIn(origin.Source)} // it has its default
	}
	return Errorf("%s%s is %s: lower it to %s, %s of %s, which is %s", origin.prefix(), origin.Name, s.format(load(f), origin.Source),
		s.format(highest, origin.Source), share, limit.Name, t.format(load(g), limit.Source))
}

// Name returns what a field is called where its value came from: a flag, a
// variable, a field of a file or of a program.
func (o Origins) Name(config any, field string) string {
	s := byField(field)
	f, ok := s.fieldOf(config)
	if !ok {
		return field
	}
	return o.of(s, load(f)).Name
}
