package ctl

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"raftcached"
	"raftcached/internal/authority"

	"github.com/spf13/cobra"
)

const (
	certsDirDefault  = "certs"
	certsDaysDefault = 365
	certsDaysMax     = 3650
)

// certs is what certs create is told.
type certs struct {
	dir  string
	days int
	add  []string // ID=HOST[,HOST]
}

func (c *ctl) newCerts() *cobra.Command {
	group := &cobra.Command{
		Use:   "certs COMMAND",
		Short: "Make certificates for a cluster",
		Args:  oneCommand,
		RunE:  nothing,
	}
	o := &certs{}
	create := &cobra.Command{
		Use:   "create",
		Short: "Make an authority, and certificates of servers, clients and the operator",
		Long: `certs create makes the certificates that a cluster needs: those by which its servers
know each other at their log ports, and the operator's, for raftcachectl. It makes an
authority first, and signs them with it.

The servers are those of the server.json. It makes what is missing in the folder, and
overwrites nothing: for a server that comes later run it again. To replace a certificate
move its two files away first.

It is for a trial, and for who has no issuer of certificates. Whoever has ca.key can be
any server: keep it off the servers.

Exit code: 0 the folder has all of them; 1 it failed; 64 the command line, or the
server.json, is wrong.`,
		Example: `  raftcachectl certs create
  raftcachectl certs create --config /etc/raftcached/server.json --dir /root/certs
  raftcachectl certs create --add 3=10.0.0.4`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.days < 1 || o.days > certsDaysMax {
				return fmt.Errorf("--days is %d: write 1 to %d", o.days, certsDaysMax)
			}
			if _, err := o.added(); err != nil {
				return err
			}
			return noArguments(cmd, args)
		},
		RunE: func(*cobra.Command, []string) error { return c.createCerts(o) },
	}
	create.Flags().StringVar(&o.dir, "dir", certsDirDefault, "`FOLDER` of the certificates")
	create.Flags().IntVar(&o.days, "days", certsDaysDefault, "how many `DAYS` they are valid")
	create.Flags().StringArrayVar(&o.add, "add", nil, "a server that is not in the server.json, and where it is, `ID=HOST[,HOST]`")
	group.AddCommand(create)
	return group
}

// added returns the servers of --add.
func (o *certs) added() (servers []authority.Server, err error) {
	for _, text := range o.add {
		number, hosts, _ := strings.Cut(text, "=")
		id, err := strconv.Atoi(number)
		if err != nil || id < 0 || hosts == "" {
			return nil, fmt.Errorf("--add is %q: write the server's id and its host, like 3=10.0.0.4", text)
		}
		servers = append(servers, authority.Server{ID: id, Hosts: strings.Split(hosts, ",")})
	}
	return servers, nil
}

func (c *ctl) createCerts(o *certs) error {
	file := c.configFile()
	if file == "" {
		return usageError{errors.New("there is no server.json that says which servers there are: name it with --config")}
	}
	cluster, err := raftcached.ReadCluster(file)
	if err != nil {
		return usageError{err}
	}
	var servers []authority.Server
	for _, s := range cluster.Servers {
		servers = append(servers, authority.Server{ID: s.ID, Hosts: []string{s.Host, s.AdminHost}})
	}
	added, err := o.added()
	if err != nil {
		return err
	}
	servers = append(servers, added...)
	result, err := authority.Create(o.dir, servers, time.Duration(o.days)*24*time.Hour)
	if err != nil {
		return err
	}
	return c.tellCerts(o.dir, file, result)
}

// tellCerts says what was made, and what to do with it.
func (c *ctl) tellCerts(dir, config string, r *authority.Result) error {
	var text strings.Builder
	for _, name := range r.Made {
		until := ", valid until " + r.Ends.UTC().Format(time.DateOnly)
		if name == "ca" {
			until = ", the authority"
		}
		fmt.Fprintf(&text, "made  %s.crt and .key%s\n", filepath.Join(dir, name), until)
	}
	for _, name := range r.Kept {
		fmt.Fprintf(&text, "kept  %s.crt and .key\n", filepath.Join(dir, name))
	}
	shown := dir
	if from, err := filepath.Abs(filepath.Dir(config)); err == nil {
		if to, err := filepath.Abs(dir); err == nil {
			if relative, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(relative) {
				shown = relative // as names in server.json are
			} else {
				shown = to
			}
		}
	}
	fmt.Fprintf(&text, `
1. Give each server N the files ca.crt, server-N.crt and server-N.key. Keep ca.key off the servers.
2. Add to server.json:
     "peerCertFile": %q,
     "peerKeyFile": %q,
     "peerCAFile": %q,
   If the cluster runs, add "peerTLS": "optional" too, and restart its servers one at a time, each
   when raftcachectl status says OK; then take "peerTLS" out, and restart them once more.
3. Run raftcachectl where server.json, ca.crt, operator.crt and operator.key are, or with
     --cacert %s --cert %s --key %s
`, filepath.Join(shown, "server-{id}.crt"), filepath.Join(shown, "server-{id}.key"), filepath.Join(shown, "ca.crt"),
		filepath.Join(dir, "ca.crt"), filepath.Join(dir, operatorFile+".crt"), filepath.Join(dir, operatorFile+".key"))
	_, err := fmt.Fprint(c.Stdout, text.String())
	return err
}
