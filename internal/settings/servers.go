package settings

import (
	"net"
	"strconv"
	"strings"
)

// CheckServers checks a list of servers: ids, hosts and ports, each of them used
// once.
func CheckServers(servers []Server) error {
	if len(servers) == 0 || len(servers) > ServersMax {
		return Errorf("%d servers are listed: list 1 to %d", len(servers), ServersMax)
	}
	ids := map[int]bool{}
	addrs := map[string]use{}
	for _, s := range servers {
		if s.ID < 0 || s.ID > ServerIDMax {
			return Errorf("server id %d is out of range: choose one from 0 to %d", s.ID, ServerIDMax)
		}
		if ids[s.ID] {
			return Errorf("server id %d is listed twice: give each server an id of its own", s.ID)
		}
		ids[s.ID] = true
		if s.Host == "" || strings.ContainsAny(s.Host, " \t/") {
			return Errorf("host %q of server %d is not a name or an address: write it like 127.0.0.1", s.Host, s.ID)
		}
		if s.AdminHost != "" && (s.AdminPort == 0 || strings.ContainsAny(s.AdminHost, " \t/")) {
			return Errorf("adminHost %q of server %d is of no use: give it an adminPort, and write the host like 127.0.0.1", s.AdminHost, s.ID)
		}
		if err := checkPorts(s, len(servers) > 1, addrs); err != nil {
			return err
		}
	}
	return nil
}

// use is what a port of a host is used for.
type use struct {
	server int
	name   string
}

// checkPorts checks the ports of one server and enters them in addrs, which maps
// each host:port to its use. An adminPort counts as one of the host, whatever
// address of it that is open at.
func checkPorts(s Server, needLogPort bool, addrs map[string]use) error {
	if s.LogPort == 0 && needLogPort {
		return Errorf("server %d has no logPort: give it the port for replication", s.ID)
	}
	for _, p := range []struct {
		name string
		port int
	}{{"clientPort", s.ClientPort}, {"logPort", s.LogPort}, {"adminPort", s.AdminPort}} {
		if p.port < 0 || p.port > PortMax {
			return Errorf("%s %d of server %d is not a port: choose one from 1 to %d", p.name, p.port, s.ID, PortMax)
		}
		if p.port == 0 {
			continue
		}
		addr := strings.ToLower(net.JoinHostPort(s.Host, strconv.Itoa(p.port)))
		if other, taken := addrs[addr]; taken && other.server == s.ID {
			return Errorf("%s and %s of server %d are both %d: give them two ports", other.name, p.name, s.ID, p.port)
		} else if taken {
			return Errorf("servers %d and %d both use %s: give one of them another port", other.server, s.ID, addr)
		}
		addrs[addr] = use{s.ID, p.name}
	}
	return nil
}

// BareHost returns a host without the brackets that an IPv6 address may stand in.
func BareHost(host string) string {
	if bare, found := strings.CutPrefix(host, "["); found {
		return strings.TrimSuffix(bare, "]")
	}
	return host
}

// IDs lists the ids of servers, for messages.
func IDs(servers []Server) string {
	ids := make([]string, len(servers))
	for i, s := range servers {
		ids[i] = strconv.Itoa(s.ID)
	}
	return strings.Join(ids, ", ")
}

// CheckAddr checks a host:port that name has set. Port 0 is allowed: the system
// chooses one.
func CheckAddr(name, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		if _, err = strconv.ParseUint(port, 10, 16); err == nil {
			return nil
		}
	}
	return Errorf("%s is %q: write host:port, like 127.0.0.1:%d", name, addr, PortDefault)
}

// NoTLS is what an address of -l begins with that is served without TLS, as in memcached.
const NoTLS = "notls:"

// ClientAddrs joins what -l and -p say with an address that there is already:
// each of them alone keeps the other from there. It returns nothing if neither
// was given. An address for clients without TLS begins with NoTLS.
func (l *Line) ClientAddrs(before string) ([]string, error) {
	name := l.Given("Listen")
	if name == "" && l.Given("Port") == "" {
		return nil, nil
	}
	host, port := "", strconv.Itoa(PortDefault)
	if h, p, err := net.SplitHostPort(before); err == nil {
		host, port = h, p
	}
	if l.Given("Port") != "" {
		port = strconv.Itoa(l.Port)
	}
	hosts := []string{host}
	if name != "" {
		hosts = strings.Split(l.Listen, ",")
	}
	var addrs []string
	for _, h := range hosts {
		if h == "" && name != "" {
			return nil, l.Errorf("Listen", "%s is %q: write addresses like 127.0.0.1 or 127.0.0.1:11211, separated by commas", name, l.Listen)
		}
		for _, prefix := range []string{"btls:", "mtls:"} {
			if strings.HasPrefix(h, prefix) {
				return nil, l.Errorf("Listen", "%s has %q: leave %s out, ssl_verify_mode holds for all addresses with TLS", name, h, prefix)
			}
		}
		bare, without := strings.CutPrefix(h, NoTLS)
		addr := withPort(bare, port)
		if err := CheckAddr(name, addr); err != nil {
			return nil, err
		}
		if without {
			addr = NoTLS + addr
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// withPort adds a port to an address that has none. More than one colon without
// brackets is an IPv6 address, as for memcached.
func withPort(host, port string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case strings.HasPrefix(host, "[") && !strings.HasSuffix(host, "]"),
		strings.Count(host, ":") == 1:
		return host
	case host == "*":
		return net.JoinHostPort("", port)
	}
	return net.JoinHostPort(bare, port)
}
