package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// fileBytesMax bounds how much of a file is read before it is taken for something
// other than a configuration.
const fileBytesMax = 1 << 20

// File is what a server.json says that is not a setting of each server.
type File struct {
	Name    string
	Path    string // parent of the servers' data folders
	Servers []Server
}

// Server is an entry of servers.
type Server struct {
	ID         int
	Host       string
	ClientPort int
	LogPort    int
	AdminPort  int    // 0: none
	AdminHost  string // or empty
	Path       string // its data folder, or empty
}

// ReadFile reads a server.json: into config what holds for each server, into o
// where that came from. Field names are case-insensitive.
func ReadFile(name string, config any, o Origins) (*File, error) {
	text, err := readText(name)
	if err != nil {
		return nil, err
	}
	f := &File{Name: name, Path: DataDirDefault}
	err = checkSyntax(text)
	if err == nil {
		err = f.decode(text, config, o)
	}
	if err == nil {
		err = CheckServers(f.Servers)
	}
	if err != nil {
		return nil, Errorf("config %q: %v", name, err)
	}
	slices.SortFunc(f.Servers, func(a, b Server) int { return a.ID - b.ID })
	return f, nil
}

func readText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Errorf("config %q does not exist: name a server.json with -config", name)
	} else if err != nil {
		return nil, Errorf("config %q cannot be read: %v", name, err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, Errorf("config %q cannot be read: %v", name, err)
	}
	if len(text) > fileBytesMax {
		return nil, Errorf("config %q is longer than %d bytes: name a server.json with -config", name, fileBytesMax)
	}
	return text, nil
}

// Beside returns the path of a file that the config names. A relative one starts
// at the folder of the config, so that a server finds its log from wherever it is
// started.
func (f *File) Beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.Name), path)
}

// DataDir returns the data folder of a server: its own path, or a folder named by
// its id in the cluster's.
func (f *File) DataDir(s Server) string {
	dir := s.Path
	if dir == "" {
		dir = filepath.Join(f.Path, strconv.Itoa(s.ID))
	}
	return f.Beside(dir)
}

// decode reads the whole text. Its errors do not name the file.
func (f *File) decode(text []byte, config any, o Origins) error {
	return decodeObject(text, "the file", Table, func(s *Setting, raw json.RawMessage) error {
		if s.Kind == servers {
			return f.decodeServers(raw)
		}
		v, err := s.decode(raw)
		if err != nil {
			return err
		}
		if field, ok := s.fieldOf(config, f); ok {
			store(field, v)
			o[s.Field] = Origin{Source: FromFile, Name: strconv.Quote(s.JSON), File: f.Name, value: v}
		}
		return nil
	})
}

func (f *File) decodeServers(raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return errors.New(`write a list, like [{"id": 0, "host": "127.0.0.1", "clientPort": 11211, "logPort": 11311}]`)
	}
	for i, raw := range list {
		server := Server{}
		where := "entry " + strconv.Itoa(i+1) + " of servers"
		present := map[string]bool{}
		err := decodeObject(raw, where, ServerTable, func(s *Setting, raw json.RawMessage) error {
			v, err := s.decode(raw)
			if err != nil {
				return err
			}
			field, _ := s.fieldOf(&server)
			store(field, v)
			present[s.JSON] = true
			return nil
		})
		if err != nil {
			return err
		}
		for _, s := range ServerTable {
			if s.Required && !present[s.JSON] {
				return Errorf("%s has no %q: add it", where, s.JSON)
			}
		}
		server.Host, server.AdminHost = BareHost(server.Host), BareHost(server.AdminHost)
		f.Servers = append(f.Servers, server)
	}
	return nil
}

// checkSyntax reports where text stops being JSON.
func checkSyntax(text []byte) error {
	var whole json.RawMessage
	err := json.Unmarshal(text, &whole)
	if err == nil {
		return nil
	}
	offset := len(text)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		offset = min(offset, int(syntax.Offset))
	}
	line := 1 + bytes.Count(text[:offset], []byte("\n"))
	return Errorf("line %d is not JSON (%v): check its commas, quotes and brackets", line, err)
}

// decodeObject walks a JSON object, whose syntax was checked, and gives each value
// to set with the setting of that name. An error of set says what to write
// instead; an *Error is a whole sentence. encoding/json's own decoding into a
// struct would accept a field that is given twice, and not say which names it
// knows.
func decodeObject(text []byte, where string, table []Setting, set func(*Setting, json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return Errorf("%s is not a JSON object: put it in { and }", where)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		var raw json.RawMessage
		if err == nil {
			err = dec.Decode(&raw)
		}
		if err != nil {
			return Errorf("%s cannot be decoded: %v", where, err)
		}
		name, _ := token.(string) // the syntax was checked: names are strings
		i := slices.IndexFunc(table, func(s Setting) bool { return s.JSON != "" && strings.EqualFold(s.JSON, name) })
		if i < 0 {
			return Errorf("unknown field %q in %s: use %s", name, where, fieldNames(table))
		}
		s := &table[i]
		if seen[s.JSON] {
			return Errorf("field %q is given twice in %s: keep one", s.JSON, where)
		}
		seen[s.JSON] = true
		if err := set(s, raw); err != nil {
			if nested := (*Error)(nil); errors.As(err, &nested) {
				return err
			}
			return Errorf("field %q in %s is %s: %v", s.JSON, where, excerpt(raw), err)
		}
	}
	return nil
}

func fieldNames(table []Setting) string {
	var names []string
	for _, s := range table {
		if s.JSON != "" {
			names = append(names, s.JSON)
		}
	}
	return strings.Join(names, ", ")
}

// excerpt returns a JSON value on one line, cut short if it is long.
func excerpt(raw json.RawMessage) string {
	const bytesMax = 40
	text := strings.Join(strings.Fields(string(raw)), " ")
	if len(text) > bytesMax {
		return text[:bytesMax] + "..."
	}
	return text
}
