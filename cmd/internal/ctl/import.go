package ctl

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/auth"
	"raftcached/internal/certificates"
	"raftcached/internal/importer"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

func (c *ctl) newImport() *cobra.Command {
	var users, fromUsers string
	var to, from importTLS
	cmd := &cobra.Command{
		Use:   "import HOST:PORT",
		Short: "Copy all items of a running memcached into the cluster",
		Long: `import copies everything that the memcached at HOST:PORT holds into the cluster:
keys, values, flags, and what is left of the times to live. Items of the cluster
under the same keys are replaced. The memcached keeps its items and goes on serving;
what changes in it meanwhile may be copied as it was before. It must allow
"lru_crawler metadump", as memcached does unless it was told otherwise.

Where the cluster serves its clients with TLS, say --tls-ca or --tls; where the memcached
does, --from-tls-ca or --from-tls. Certificates must name the hosts: of the servers as
server.json has them, of the memcached as it is written here.

Exit code: 0 every item was copied that did not expire or vanish meanwhile;
1 some were refused, or it failed; 64 the command line is wrong.`,
		Example: `  raftcachectl import 10.0.0.9:11211
  raftcachectl import 10.0.0.9:11211 --auth-file users --from-auth-file users-of-memcached
  raftcachectl import 10.0.0.9:11211 --tls-ca ca.pem --tls-cert client.pem --tls-key client.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one memcached, like 10.0.0.9:11211: run %q", cmd.CommandPath()+" --help")
			}
			if _, _, err := net.SplitHostPort(args[0]); err != nil {
				return fmt.Errorf("memcached %q is no address: write host:port, like 10.0.0.9:11211", args[0])
			}
			if err := to.check(""); err != nil {
				return err
			}
			return from.check("from-")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			im := &importer.Import{From: args[0]}
			if err := logins(im, users, fromUsers); err != nil {
				return err
			}
			var err error
			if im.FromTLS, err = from.config(); err != nil {
				return err
			}
			if im.ToTLS, err = to.config(); err != nil {
				return err
			}
			return c.runImport(cmd.Context(), im)
		},
	}
	cmd.Flags().StringVar(&users, "auth-file", "", "`FILE` of the cluster's users: the first one without limits logs in")
	cmd.Flags().StringVar(&fromUsers, "from-auth-file", "", "`FILE` of the memcached's users, likewise")
	to.flags(cmd, "", "the cluster")
	from.flags(cmd, "from-", "the memcached")
	return cmd
}

// importTLS is how one side of an import is spoken with.
type importTLS struct {
	on    bool
	files certificates.Files
}

// flags adds the flags of one side, whose names begin so.
func (i *importTLS) flags(cmd *cobra.Command, begin, who string) {
	f := cmd.Flags()
	f.BoolVar(&i.on, begin+"tls", false, "speak TLS with "+who+", and believe the authorities of this machine")
	f.StringVar(&i.files.CA, begin+"tls-ca", "", "speak TLS with "+who+", and believe the authorities in this `FILE`, PEM")
	f.StringVar(&i.files.Chain, begin+"tls-cert", "", "`FILE` of the certificate to show to "+who+", PEM")
	f.StringVar(&i.files.Key, begin+"tls-key", "", "`FILE` of its key, PEM (default: in the same file)")
}

// speaks reports whether there is to be TLS.
func (i *importTLS) speaks() bool { return i.on || i.files.CA != "" }

// check reports flags that mean nothing without others.
func (i *importTLS) check(begin string) error {
	switch {
	case !i.speaks() && (i.files.Chain != "" || i.files.Key != ""):
		return fmt.Errorf("--%stls-cert and --%stls-key are for TLS: add --%stls-ca, or --%stls", begin, begin, begin, begin)
	case i.files.Key != "" && i.files.Chain == "":
		return fmt.Errorf("--%stls-key is the key of a certificate: name that by --%stls-cert", begin, begin)
	}
	return nil
}

// config returns how to speak with that side; nil: without TLS.
func (i *importTLS) config() (*tls.Config, error) {
	if !i.speaks() {
		return nil, nil
	}
	return certificates.Client(i.files)
}

// logins reads the users that log in.
func logins(im *importer.Import, users, fromUsers string) error {
	for file, login := range map[string]*importer.Login{users: &im.ToLogin, fromUsers: &im.FromLogin} {
		if file == "" {
			continue
		}
		var err error
		if login.User, login.Password, err = auth.First(file); err != nil {
			return err
		}
	}
	return nil
}

func (c *ctl) runImport(ctx context.Context, im *importer.Import) error {
	replies, err := c.gather(ctx)
	if err != nil {
		return err
	}
	v := overview.New(replies, &overview.Starter{})
	for _, r := range v.Servers { // the leader first: that saves a hop
		switch {
		case r.State != admin.StateOK:
		case r.Role == "leader":
			im.To = append([]string{r.Address}, im.To...)
		default:
			im.To = append(im.To, r.Address)
		}
	}
	if len(im.To) == 0 {
		return fmt.Errorf("no server of the cluster serves: see raftcachectl status")
	}
	begin := time.Now()
	err = c.show(func() string { return progressLine(im.Progress()) }, func() error { return im.Run(ctx) })
	p := im.Progress()
	if err != nil && p.Listed == 0 {
		return err
	} else if err != nil {
		return fmt.Errorf("%w (after %d of %d items)", err, p.Stored, p.Listed)
	}
	_, err = fmt.Fprintf(c.Stdout, "copied %d items from %s in %v; %d expired or vanished meanwhile, %d were refused\n",
		p.Stored, im.From, time.Since(begin).Round(10*time.Millisecond), p.Gone, p.Failed)
	if err != nil {
		return err
	}
	if p.Failed > 0 {
		return fmt.Errorf("refused first: %s: %s", p.Failure, refusalHelp(p.Failure))
	}
	return nil
}

// refusalHelp says what helps against the refusal of an item.
func refusalHelp(failure string) string {
	if strings.Contains(failure, "unauthenticated") {
		return "name the file of the cluster's users with --auth-file"
	}
	return "raise -I or -m of the servers if an item is too large or the memory too small"
}

func progressLine(p importer.Progress) string {
	if !p.Copying {
		return fmt.Sprintf("listing keys: %d", p.Listed)
	}
	return fmt.Sprintf("%s %d of %d items", bar(p.Stored+p.Gone+p.Failed, p.Listed), p.Stored+p.Gone+p.Failed, p.Listed)
}
