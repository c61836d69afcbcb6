package ctl

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"raftcached/internal/backup"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

func (c *ctl) newInspect() *cobra.Command {
	keys, output := false, "table"
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what is in a backup, and whether it is whole",
		Long: `inspect reads a backup to its end, checks it, and says what it holds. It needs no
cluster. The contents are a digest of the items, whatever their order: verify shows
that of a running cluster.

With --keys it lists the keys, one a line; a key that is no printable text is quoted.

Exit code: 0 the backup is whole; 1 it is damaged, and how much of it could be read
is said; 64 the command line is wrong.`,
		Example: `  raftcachectl inspect /backups/cache-2026-11-27
  raftcachectl inspect --keys /backups/cache-2026-11-27`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return oneFile(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.inspect(args[0], keys, output == "json") },
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "list the keys")
	addOutput(cmd, &output)
	return cmd
}

// inspection is what inspect finds in a backup.
type inspection struct {
	backup.Header
	FormatVersion int   `json:"formatVersion"`
	FileBytes     int64 `json:"fileBytes"`
	Whole         bool  `json:"whole"`
	Read          int64 `json:"itemsRead"` // up to the damage
	Expired       int64 `json:"expired"`   // by now
	Expiring      int64 `json:"expiring"`  // later

	read bool // of the header
}

func (c *ctl) inspect(name string, keys, asJSON bool) error {
	f, err := openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	in := &inspection{FormatVersion: backup.Version}
	if info, err := f.Stat(); err == nil {
		in.FileBytes = info.Size()
	}
	t := &transfer{}
	var list io.Writer
	out := bufio.NewWriter(c.Stdout)
	if keys {
		list = out
	}
	damage := c.show(t.line, func() error { return in.readAll(f, t, list) })
	in.Whole = damage == nil
	if err := out.Flush(); err != nil {
		return err
	}
	if !keys && in.read {
		if err := in.write(c.Stdout, asJSON); err != nil {
			return err
		}
	}
	if damage != nil {
		return fmt.Errorf("%s cannot be restored: %w: %s", name, damage, in.readable())
	}
	return nil
}

func openFile(name string) (*os.File, error) {
	if name == "-" {
		return nil, errors.New("a backup is read from a file, not from the standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	return f, nil
}

// readAll reads a backup to its end, and lists its keys if list is not nil.
func (in *inspection) readAll(f io.Reader, t *transfer, list io.Writer) error {
	contents, err := backup.Open(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return err
	}
	in.Header, in.read = contents.Header(), true
	t.header.Store(&in.Header)
	now := time.Now()
	for {
		if _, err := contents.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		in.Read = contents.Count()
		t.items.Store(in.Read)
		contents.Items(func(it *backup.Item) bool {
			switch {
			case backup.Expired(it, now):
				in.Expired++
			case it.ExpiryMs != 0:
				in.Expiring++
			}
			if list != nil {
				_, err = fmt.Fprintln(list, keyText(it.Key))
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
}

// keyText is a key as people read it.
func keyText(key []byte) string {
	for _, b := range key {
		if b <= ' ' || b == '"' || b >= 0x7f {
			return strconv.Quote(string(key))
		}
	}
	return string(key)
}

// readable says how much of a damaged backup could be read.
func (in *inspection) readable() string {
	switch {
	case !in.read:
		return "nothing of it is readable"
	case in.Read == 0:
		return fmt.Sprintf("none of its %d items is readable", in.Items)
	}
	return fmt.Sprintf("%d of its %d items, those before the damage, are readable, which --keys lists", in.Read, in.Items)
}

func (in *inspection) write(w io.Writer, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(in, "", "  ")
		if err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	state := "whole"
	if !in.Whole {
		state = "DAMAGED"
	}
	var text strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "%-9s "+format+"\n", append([]any{name}, args...)...)
	}
	line("backup", "format %d, %d bytes, %s", in.FormatVersion, in.FileBytes, state)
	line("cluster", "%s, from server %d, raftcached %s", overview.Short(in.Cluster), in.Server, in.Program)
	line("as of", "index %d, term %d, %s by the log's clock", in.Index, in.Term, in.Time.Format("2006-01-02 15:04:05 MST"))
	line("items", "%d of %s, where the memory limit was %s", in.Items, overview.Size(in.Bytes), overview.Size(in.MemoryLimitBytes))
	line("expiry", "%d have expired by now, %d will", in.Expired, in.Expiring)
	line("contents", "%s", in.Digest)
	_, err := io.WriteString(w, text.String())
	return err
}
