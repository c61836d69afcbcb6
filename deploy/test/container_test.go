package test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait. Only a failure reaches it.
const patience = 60 * time.Second

// specVariable makes this program the first process of a container.
const specVariable = "RAFTCACHED_TEST_CONTAINER"

// spec is what the first process of a container does before it becomes the command.
type spec struct {
	Root, Data, Workdir string // Data is mounted at /data
	UID, GID            int
	Env, Args           []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(specVariable); text != "" {
		err := enter(text)
		fmt.Fprintln(os.Stderr, "enter the container:", err)
		os.Exit(127)
	}
	code := m.Run()
	if dir, err := built(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// enter makes the process what a container's is: below its root, which is read-only, but for
// its data, as its user, without any capability. `ip netns exec` has given it mounts of its own.
func enter(text string) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	runtime.LockOSThread()
	data := filepath.Join(s.Root, "data")
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount(s.Root, s.Root, "", unix.MS_BIND, "") },
		func() error { return unix.Mount(s.Data, data, "", unix.MS_BIND, "") },
		func() error { return unix.Mount("", s.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "") },
		func() error { return unix.Chroot(s.Root) },
		func() error { return unix.Chdir(s.Workdir) },
		func() error {
			if err := unix.Access("/", unix.W_OK); !errors.Is(err, unix.EROFS) {
				return fmt.Errorf("the root can be written: %w", err)
			}
			return nil
		},
		func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
		func() error { return syscall.Setgroups([]int{s.GID}) },
		func() error { return syscall.Setgid(s.GID) },
		func() error { return syscall.Setuid(s.UID) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return syscall.Exec(s.Args[0], s.Args, s.Env)
}

// machine is where the containers of a test run, with a network among them.
type machine struct {
	t          *testing.T
	dir        string
	bridge     string
	subnet     string // 10.213.N
	addresses  int    // given away
	cables     int    // likewise
	containers map[string]*container
}

// container is one of them. Its fields but the last ones are what it is made of.
type container struct {
	name  string
	image image
	env   []string          // besides the image's
	args  []string          // after the image's entry point
	files map[string]string // by their paths: what is mounted into it
	uid   int
	gid   int

	tls *tls.Config // of its clients; nil: they use none

	ip   string
	root string
	data string // its volume
	cmd  *exec.Cmd
	log  *os.File
}

// machines counts them: networks that end leave their names free a little later.
var machines atomic.Int64

// newMachine returns a machine. It needs root, for the networks and users of containers.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	n := (os.Getpid()+int(machines.Add(1)))%200 + 20
	m := &machine{t: t, dir: t.TempDir(), bridge: fmt.Sprintf("rcd%d", n), subnet: fmt.Sprintf("10.213.%d", n), addresses: 1, containers: map[string]*container{}}
	must(t, os.Chmod(m.dir, 0o755))
	t.Cleanup(m.clear)
	m.run("ip", "link", "add", m.bridge, "type", "bridge")
	m.run("ip", "addr", "add", m.subnet+".1/24", "dev", m.bridge)
	m.run("ip", "link", "set", m.bridge, "up")
	return m
}

func (m *machine) run(args ...string) {
	m.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// clear ends everything, and says what the servers logged if the test has failed.
func (m *machine) clear() {
	for _, name := range slices.Sorted(maps.Keys(m.containers)) {
		c := m.containers[name]
		m.kill(c)
		m.gone(c) // if it was not started, it has a network nevertheless
		if m.t.Failed() && c.log != nil {
			text, _ := os.ReadFile(c.log.Name())
			m.t.Logf("%s at %s logged\n%s", name, c.ip, text[max(0, len(text)-4000):])
		}
	}
	_ = exec.Command("ip", "link", "del", m.bridge).Run()
}

// start gives containers addresses, unless they have one, and runs them. Each finds the others
// by their names.
func (m *machine) start(started ...*container) {
	m.t.Helper()
	for _, c := range started {
		m.containers[c.name] = c
		m.plug(c)
	}
	m.nameAll()
	for _, c := range started {
		c.cmd = m.command(c, slices.Concat(c.image.entrypoint, c.args))
		var err error
		c.log, err = os.OpenFile(filepath.Join(m.dir, c.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(m.t, err)
		c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
		must(m.t, c.cmd.Start())
	}
}

// plug makes a container's network and file system.
func (m *machine) plug(c *container) {
	m.t.Helper()
	m.cables++
	if c.ip == "" {
		m.addresses++
		c.ip = fmt.Sprintf("%s.%d", m.subnet, m.addresses)
	}
	space, cable := m.space(c), fmt.Sprintf("%s-%d", m.bridge, m.cables)
	m.run("ip", "netns", "add", space)
	// An address keeps its hardware's one, or the others would send to that of before for a minute.
	_, host, _ := strings.Cut(strings.TrimPrefix(c.ip, m.subnet), ".")
	number, err := strconv.Atoi(host)
	must(m.t, err)
	m.run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", fmt.Sprintf("02:00:00:00:00:%02x", number), "netns", space)
	m.run("ip", "link", "set", cable, "master", m.bridge, "up")
	for _, args := range [][]string{{"addr", "add", c.ip + "/24", "dev", "eth0"}, {"link", "set", "eth0", "up"}, {"link", "set", "lo", "up"}} {
		m.run(append([]string{"ip", "-n", space}, args...)...)
	}
	m.populate(c)
}

func (m *machine) space(c *container) string { return m.bridge + "-" + c.name }

// populate makes the file system of a container.
func (m *machine) populate(c *container) {
	t := m.t
	t.Helper()
	c.root = filepath.Join(m.dir, c.name)
	c.data = filepath.Join(m.dir, c.name+"-data")
	if _, err := os.Stat(c.root); os.IsNotExist(err) {
		m.run("cp", "-a", c.image.root, c.root)
	}
	if _, err := os.Stat(c.data); os.IsNotExist(err) { // a new volume has the owner and the mode that the image has there
		m.run("cp", "-a", filepath.Join(c.image.root, "data"), c.data)
	}
	for name, text := range c.files {
		file := filepath.Join(c.root, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o440))
		must(t, os.Chown(file, 0, c.gid))
	}
}

// nameAll tells all containers the addresses of all that there were, the last ones.
func (m *machine) nameAll() {
	hosts := "127.0.0.1 localhost\n"
	for _, c := range m.containers {
		hosts += c.ip + " " + c.name + "\n"
	}
	for _, c := range m.containers {
		must(m.t, os.WriteFile(filepath.Join(c.root, "etc/hosts"), []byte(hosts), 0o644))
	}
}

// command returns a command in a container.
func (m *machine) command(c *container, args []string) *exec.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	must(m.t, err)
	text, err := json.Marshal(spec{Root: c.root, Data: c.data, Workdir: c.image.workdir, UID: c.uid, GID: c.gid, Env: overridden(c.image.env, c.env), Args: args})
	must(m.t, err)
	cmd := exec.Command("ip", "netns", "exec", m.space(c), self)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), specVariable + "=" + string(text)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// overridden is the environment of a container: its own variables replace the image's.
func overridden(image, own []string) []string {
	names := map[string]string{}
	for _, variable := range slices.Concat(image, own) {
		name, value, _ := strings.Cut(variable, "=")
		names[name] = value
	}
	var env []string
	for name, value := range names {
		env = append(env, name+"="+value)
	}
	return env
}

// exec runs a command in a container, as `kubectl exec` does, and returns what it says.
func (m *machine) exec(c *container, args ...string) (string, error) {
	if !strings.HasPrefix(args[0], "/") {
		args = append([]string{"/usr/bin/" + args[0]}, args[1:]...)
	}
	out, err := m.command(c, args).CombinedOutput()
	return string(out), err
}

// kill ends a container at once, and takes its address away.
func (m *machine) kill(c *container) {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	m.gone(c)
}

func (m *machine) gone(c *container) {
	c.cmd = nil
	_ = exec.Command("ip", "netns", "del", m.space(c)).Run()
}

// stop ends a container as an engine does, and checks that it ends in time and well.
func (m *machine) stop(c *container, signal syscall.Signal, grace time.Duration) {
	m.t.Helper()
	must(m.t, c.cmd.Process.Signal(signal))
	late := time.AfterFunc(grace, func() { _ = c.cmd.Process.Kill() })
	err := c.cmd.Wait()
	late.Stop()
	m.gone(c)
	if err != nil {
		m.t.Fatalf("%s was stopped: %v", c.name, err)
	}
}

// await repeats f until it returns nil.
func (m *machine) await(what string, f func() error) {
	m.t.Helper()
	begin := time.Now()
	deadline := begin.Add(patience)
	for {
		err := f()
		if err == nil {
			m.t.Logf("%s after %v", what, time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: %v", what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// get asks a container by HTTP, as a probe does.
func (c *container) get(scheme string, port int, path string) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} // as a kubelet
	client := http.Client{Timeout: 2 * time.Second, Transport: transport}
	resp, err := client.Get(fmt.Sprintf("%s://%s:%d%s", scheme, c.ip, port, path))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s to %s", c.name, resp.Status, path)
	}
	return nil
}

// ask sends requests to a server and returns its answer, as lines separated by "|", until the
// connection ends.
func (c *container) ask(requests string) (string, error) {
	conn, err := net.DialTimeout("tcp", c.ip+":11211", 2*time.Second)
	if err != nil {
		return "", err
	}
	if c.tls != nil {
		conn = tls.Client(conn, c.tls)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(requests + "quit\r\n")); err != nil {
		return "", err
	}
	var lines []string
	s := bufio.NewScanner(conn)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return strings.Join(lines, "|"), s.Err()
}

// wantAnswer awaits an answer.
func (m *machine) wantAnswer(c *container, requests, want string) {
	m.t.Helper()
	m.await(fmt.Sprintf("%s is asked %q", c.name, requests), func() error {
		got, err := c.ask(requests)
		if err == nil && got != want {
			err = fmt.Errorf("it answers %q, want %q", got, want)
		}
		return err
	})
}
