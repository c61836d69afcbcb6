package node

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"raftcached/internal/settings"
	"raftcached/replication/disk"

	"golang.org/x/sys/unix"
)

const (
	// startBytesMin is the room without which a log cannot begin: a few segments of the
	// smallest size.
	startBytesMin = 16 << 20

	// clockLag is how far the clock may be behind the newest write of the log. Clocks
	// are set back by a little now and then.
	clockLag = time.Minute

	// Files that a server has open besides those of clients and the log.
	filesOfPeer   = 16 // three streams in each direction, a snapshot, handshakes
	filesOfAdmin  = 97 // as many connections as there may be, one more, and those to other servers for pages
	filesOfHealth = 65 // as many connections as there may be, and one more
	filesOfLoop   = 7  // six, and one more while a client that has ended its input is moved
	filesSpare    = 32
	filesSpareLog = 16 // snapshots, and segments that are prepared or removed

	syncTrials = 20 // writes of a check that are synced
)

// Check is the result of one check of what a server needs.
type Check struct {
	OK            bool
	Configuration bool   // the configuration, or what is around the server, must change
	Text          string // what was found, and what to do if it is not OK
}

// Checks looks at what a node with this configuration needs, without starting it.
func Checks(cfg Config) []Check {
	all := []Check{cfg.checkPorts(), cfg.checkFiles(), cfg.checkDisk(), cfg.checkSync(), cfg.checkClock()}
	if cfg.Encryption != nil {
		all = append(all, cfg.checkCertificates())
	}
	if cfg.PeerFiles.Chain != "" {
		all = append(all, cfg.checkPeerFiles())
	}
	return all
}

// checkBeforeStart returns an error if the node cannot work, and warns of what will
// not let it work for long.
func (n *Node) checkBeforeStart() error {
	space, known := disk.SpaceAt(n.cfg.Disk, n.cfg.DataDir)
	if !known {
		return nil // files in memory: a test
	}
	if c := n.cfg.checkFiles(); !c.OK {
		return settings.Errorf("%s", c.Text)
	}
	c := n.cfg.checkDisk()
	// A server that has a log starts on a full disk too: it answers reads, and takes writes
	// as soon as there is room.
	if _, _, started := disk.Contents(n.cfg.Disk, filepath.Join(n.cfg.DataDir, "wal")); !started && space.Free < startBytesMin && !c.OK {
		return fmt.Errorf("%s", c.Text)
	}
	for _, c := range []Check{c, n.cfg.checkClock()} {
		if !c.OK {
			n.cfg.Logger.Warn(c.Text)
		}
	}
	return nil
}

// checkPorts checks that the addresses can be listened at.
func (c *Config) checkPorts() Check {
	addrs := slices.Clone(c.Server.Listen)
	if c.PeerAddr != "" {
		addrs = append(addrs, c.PeerAddr)
	}
	text := "ports"
	for i, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return Check{Configuration: true, Text: fmt.Sprintf("port: %v: stop what uses it, or choose another one", err)}
		}
		_ = l.Close() // nobody has connected
		if i > 0 {
			text += ","
		}
		text += " " + addr
	}
	return Check{OK: true, Text: text}
}

// otherFiles is how many files the node may have open besides connections of clients.
// A cluster may grow to as many servers as may be listed.
func (c *Config) otherFiles() uint64 {
	ports := 0
	if c.PeerAddr != "" || c.Join != "" {
		ports += filesOfPeer * (settings.ServersMax - 1)
	}
	if c.AdminAddr != "" {
		ports += filesOfAdmin
	}
	if c.HealthAddr != "" {
		ports += filesOfHealth
	}
	segments := 2 * max(c.LogRetainBytes, c.Limits.MemoryBytes) / c.segmentBytes()
	return uint64(segments) + filesSpareLog + uint64(ports+filesOfLoop*c.Server.Loops+filesSpare)
}

// checkFiles raises the limit of open files to what is needed. Clients are never more
// than the configuration says, so that they leave the log's files to it.
func (c *Config) checkFiles() Check {
	clients, others := uint64(c.Server.MaxConnections), c.otherFiles()
	need := clients + others
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return Check{Text: fmt.Sprintf("open files: %v", err)}
	}
	if limit.Cur < need {
		raised := unix.Rlimit{Cur: need, Max: max(need, limit.Max)} // only root may raise the second
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
			advice := ""
			if limit.Max > others {
				advice = fmt.Sprintf(", or lower -c to %d", limit.Max-others)
			}
			return Check{Configuration: true, Text: fmt.Sprintf("open files: the limit is %d, needed are %d: %d clients and %d for the log and the rest: raise LimitNOFILE or ulimit -n%s",
				limit.Max, need, clients, others, advice)}
		}
	}
	return Check{OK: true, Text: fmt.Sprintf("open files %d: %d clients and %d for the log and the rest", need, clients, others)}
}

// checkDisk checks the room for the log and two snapshots, beside what is there.
func (c *Config) checkDisk() Check {
	space, known := disk.SpaceAt(c.Disk, c.DataDir)
	if !known {
		return Check{OK: true, Text: "disk: not known"}
	}
	need := max(c.LogRetainBytes, c.Limits.MemoryBytes) + 2*c.Limits.MemoryBytes
	for _, folder := range []string{"wal", "snap"} {
		used, _, _ := disk.Contents(c.Disk, filepath.Join(c.DataDir, folder))
		need -= used
	}
	need = max(need, startBytesMin)
	if space.Free < need {
		return Check{Text: fmt.Sprintf("disk of %q: %s free, needs about %s: make room, or lower logRetainMiB", c.DataDir, sizeText(space.Free), sizeText(need))}
	}
	return Check{OK: true, Text: fmt.Sprintf("disk %s free, needs about %s", sizeText(space.Free), sizeText(need))}
}

// checkSync writes to the data folder as the log does.
func (c *Config) checkSync() Check {
	slowest, err := trySync(c.Disk, c.DataDir)
	if err != nil {
		return Check{Text: fmt.Sprintf("fsync: %v", err)}
	}
	return Check{OK: true, Text: fmt.Sprintf("fsync at most %.1f ms", float64(slowest.Microseconds())/1000)}
}

func trySync(fs disk.FS, dir string) (slowest time.Duration, err error) {
	if err := disk.MakeDir(fs, dir); err != nil {
		return 0, err
	}
	name := filepath.Join(dir, "check.tmp")
	f, err := fs.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if removeErr := fs.Remove(name); err == nil {
			err = removeErr
		}
	}()
	block := make([]byte, 4096)
	if err := f.Preallocate(syncTrials * int64(len(block))); err != nil {
		return 0, err
	}
	for range syncTrials {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		slowest = max(slowest, time.Since(start))
	}
	return slowest, nil
}

// checkClock compares the clock with the log.
func (c *Config) checkClock() Check {
	_, newest, known := disk.Contents(c.Disk, filepath.Join(c.DataDir, "wal"))
	if behind := time.Until(newest); known && behind > clockLag {
		return Check{Text: fmt.Sprintf("clock: it is %v before the last write of the log: set it", behind.Round(time.Second))}
	}
	return Check{OK: true, Text: "clock not before the log's"}
}

// checkLogTime compares the clock with what wall clocks have shown at the time of the state,
// once it was read.
func (n *Node) checkLogTime() {
	if behind := time.Until(time.UnixMilli(n.replica.RestoredMs() - n.engine.OffsetMs())); behind > clockLag {
		n.cfg.Logger.Warn(fmt.Sprintf("clock: it is %v before the time of the log: set it, or times of expiry that clients name as times of day come late", behind.Round(time.Second)))
	}
}

// sizeText writes bytes for people.
func sizeText(bytes int64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
