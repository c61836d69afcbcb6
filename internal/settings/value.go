package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Kind is how the value of a setting is written.
type Kind uint8

const (
	// Switch is true or false; as a flag it stands alone.
	Switch Kind = iota
	// Text is any text but the empty one.
	Text
	// List is texts separated by commas; flags that are given twice add to it.
	List
	// Choice is one of a few texts.
	Choice
	// Number is a whole number of the setting's unit.
	Number
	// Size is a Number of bytes, which may end in k or m in flags.
	Size
	// Duration is a Number, but with its unit in flags, like 2s.
	Duration
	// Count is a Number; a flag without a value counts how often it is given.
	Count

	servers // the list of servers; only in server.json
	options // NAME=VALUE,... as a List; only in flags
)

// parse returns the value that a flag or a variable gives: a bool, a string or an
// int64 as the configuration holds it. Its error says what to write instead.
func (s *Setting) parse(text string) (any, error) {
	switch s.Kind {
	case Switch:
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
	case Text, List, Choice:
		return s.checkText(text)
	case Size:
		return s.parseSize(text)
	case Duration:
		if d, err := time.ParseDuration(text); err == nil {
			return s.checkNumber(int64(d))
		}
	case Number, Count:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return s.scale(n)
		}
	}
	return nil, s.want(FromFlag)
}

// decode returns the value that a file gives, like parse.
func (s *Setting) decode(raw json.RawMessage) (any, error) {
	switch s.Kind {
	case Switch:
		var b bool
		if json.Unmarshal(raw, &b) == nil {
			return b, nil
		}
	case Text, List, Choice:
		var text string
		if json.Unmarshal(raw, &text) == nil {
			if v, err := s.checkText(text); err == nil {
				return v, nil
			}
		}
	default:
		n := int64(math.MinInt64) // null leaves it alone
		if json.Unmarshal(raw, &n) == nil {
			if v, err := s.scale(n); err == nil {
				return v, nil
			}
		}
	}
	return nil, s.want(FromFile)
}

func (s *Setting) checkText(text string) (any, error) {
	if s.Kind == Choice {
		for _, c := range s.Choices {
			if text == c {
				return text, nil
			}
		}
		return nil, s.want(FromFlag)
	}
	if text == "" {
		return nil, s.want(FromFlag)
	}
	return text, nil
}

// parseSize reads a size as memcached's -I does: bytes, or with k or m.
func (s *Setting) parseSize(text string) (any, error) {
	digits, factor := text, int64(1)
	switch {
	case strings.HasSuffix(text, "k"), strings.HasSuffix(text, "K"):
		digits, factor = text[:len(text)-1], 1<<10
	case strings.HasSuffix(text, "m"), strings.HasSuffix(text, "M"):
		digits, factor = text[:len(text)-1], 1<<20
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > s.Max/factor {
		return nil, s.want(FromFlag)
	}
	return s.checkNumber(n * factor)
}

// scale checks a number in the setting's unit and turns it into what the
// configuration holds.
func (s *Setting) scale(n int64) (any, error) {
	if n < s.Min || n > s.Max {
		return nil, s.want(FromFlag)
	}
	return n * s.Unit.Size, nil
}

// checkNumber checks a number as the configuration holds it.
func (s *Setting) checkNumber(n int64) (any, error) {
	if n < s.Min*s.Unit.Size || n > s.Max*s.Unit.Size {
		return nil, s.want(FromFlag)
	}
	return n, nil
}

// want says what to write for the setting, in the syntax of the source.
func (s *Setting) want(src Source) error {
	lowest, highest := s.Min*s.Unit.Size, s.Max*s.Unit.Size
	switch s.Kind {
	case Switch:
		if src == FromFlag || src == FromEnvironment {
			return errors.New("write 1 or 0")
		}
		return errors.New("write true or false")
	case Text, List:
		if src == FromFile {
			return errors.New("write a text in quotes")
		}
		return errors.New("it must not be empty")
	case Choice:
		quoted := make([]string, len(s.Choices))
		for i, c := range s.Choices {
			quoted[i] = s.format(c, src)
		}
		return errors.New("write " + strings.Join(quoted, " or "))
	case Size, Duration:
		if src == FromFlag || src == FromEnvironment {
			what := "size"
			if s.Kind == Duration {
				what = "time with its unit,"
			}
			return fmt.Errorf("write a %s from %s to %s", what, s.format(lowest, src), s.format(highest, src))
		}
	}
	if src == FromProgram {
		return fmt.Errorf("choose one from %s to %s", s.format(lowest, src), s.format(highest, src))
	}
	of := ""
	if s.Unit.Name != "" {
		of = " of " + s.Unit.Name
	}
	return fmt.Errorf("write a whole number%s from %d to %d", of, s.Min, s.Max)
}

// format writes a value as it is written in the source.
func (s *Setting) format(v any, src Source) string {
	n, isNumber := v.(int64)
	switch {
	case !isNumber && src != FromFlag && src != FromEnvironment && s.Kind != Switch:
		return fmt.Sprintf("%q", v)
	case !isNumber:
		return fmt.Sprint(v)
	case src == FromProgram && s.isTime():
		return time.Duration(n).String()
	case src == FromProgram:
		return strconv.FormatInt(n, 10)
	case s.Kind == Duration && src != FromFile:
		return strings.Replace(time.Duration(n).String(), "m0s", "m", 1)
	case s.Kind == Size && src != FromFile:
		return formatSize(n)
	}
	return strconv.FormatInt(n/s.Unit.Size, 10)
}

func (s *Setting) isTime() bool { return s.Unit == millisecondUnit || s.Unit == secondUnit }

// formatSize is the opposite of parseSize.
func formatSize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "m"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "k"
	}
	return strconv.FormatInt(n, 10)
}

// fieldOf returns the field of a setting: the first that one of the structs,
// given as pointers, has.
func (s *Setting) fieldOf(structs ...any) (reflect.Value, bool) {
	for _, p := range structs {
		if f := reflect.ValueOf(p).Elem().FieldByName(s.Field); f.IsValid() {
			return f, true
		}
	}
	return reflect.Value{}, false
}

// store sets a field to a value of parse or decode.
func store(f reflect.Value, v any) {
	switch v := v.(type) {
	case bool:
		f.SetBool(v)
	case string:
		f.SetString(v)
	case int64:
		f.SetInt(v)
	}
}

// load is the opposite of store.
func load(f reflect.Value) any {
	switch {
	case f.CanInt():
		return f.Int()
	case f.Kind() == reflect.Bool:
		return f.Bool()
	default:
		return f.String()
	}
}
