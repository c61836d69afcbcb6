package overview

import (
	"time"

	"raftcached/internal/admin"
)

// Sample is the answers of a cluster's servers at one moment. Rates are the difference of
// two.
type Sample struct {
	At      time.Time
	Replies []Reply
}

// Rates are what a cluster does, all servers together. Latencies are in milliseconds, nil
// if there was nothing to measure.
type Rates struct {
	Seconds float64  `json:"seconds"` // between the two samples
	Reads   float64  `json:"readsPerSecond"`
	Writes  float64  `json:"writesPerSecond"`
	Hits    *float64 `json:"hitRatio"` // of the reads, 0 to 1; nil: nothing was read

	ReadP50   *float64 `json:"readP50Ms"`
	ReadP99   *float64 `json:"readP99Ms"`
	WriteP50  *float64 `json:"writeP50Ms"`
	WriteP99  *float64 `json:"writeP99Ms"`
	CommitP50 *float64 `json:"commitP50Ms"`
	CommitP99 *float64 `json:"commitP99Ms"`
	SyncP99   *float64 `json:"syncP99Ms"`
}

// NewRates returns what has happened between two samples, or nil if no server has told its
// figures in both. A server that was started between them does not count.
func NewRates(before, after *Sample) *Rates {
	r := &Rates{Seconds: after.At.Sub(before.At).Seconds()}
	var reads, writes, commit, sync admin.Latency
	var asked, hits float64
	told := false
	for _, reply := range after.Replies {
		now := reply.Status
		was := statusOf(before.Replies, now)
		if was == nil || r.Seconds <= 0 {
			continue
		}
		told = true
		a, b := was.Figures, now.Figures
		asked += since(a.Reads, b.Reads)
		hits += since(a.Hits, b.Hits)
		r.Writes += since(a.Writes, b.Writes) / r.Seconds
		add(&reads, &a.ReadLatency, &b.ReadLatency)
		add(&writes, &a.WriteLatency, &b.WriteLatency)
		add(&commit, &a.Commit, &b.Commit)
		add(&sync, &a.Sync, &b.Sync)
	}
	if !told {
		return nil
	}
	r.Reads = asked / r.Seconds
	if asked > 0 {
		r.Hits = new(hits / asked)
	}
	r.ReadP50, r.ReadP99 = quantileMs(&reads, 0.5), quantileMs(&reads, 0.99)
	r.WriteP50, r.WriteP99 = quantileMs(&writes, 0.5), quantileMs(&writes, 0.99)
	r.CommitP50, r.CommitP99 = quantileMs(&commit, 0.5), quantileMs(&commit, 0.99)
	r.SyncP99 = quantileMs(&sync, 0.99)
	return r
}

// statusOf returns what the same start of a server has told before, if both have figures.
func statusOf(replies []Reply, of *admin.Status) *admin.Status {
	if of == nil || of.Figures == nil {
		return nil
	}
	for _, r := range replies {
		if s := r.Status; s != nil && s.ID == of.ID && s.Cluster == of.Cluster && s.StartedAt.Equal(of.StartedAt) && s.Figures != nil {
			return s
		}
	}
	return nil
}

// since is how much a count has grown.
func since(before, after uint64) float64 {
	if after < before { // two answers that have overtaken each other
		return 0
	}
	return float64(after - before)
}

// add adds to a distribution what has come between two others.
func add(to, before, after *admin.Latency) {
	if len(after.Counts) != len(after.UpToSeconds)+1 || len(before.Counts) != len(after.Counts) || len(to.Counts) != 0 && len(to.Counts) != len(after.Counts) {
		return // of another version
	}
	if len(to.Counts) == 0 {
		to.UpToSeconds, to.Counts = after.UpToSeconds, make([]uint64, len(after.Counts))
	}
	for i := range after.Counts {
		to.Counts[i] += uint64(since(before.Counts[i], after.Counts[i]))
	}
}

// quantileMs is the time that a part q of a distribution took at most, or nil if it is
// empty. Within a bucket it takes them for evenly spread.
func quantileMs(l *admin.Latency, q float64) *float64 {
	total := uint64(0)
	for _, n := range l.Counts {
		total += n
	}
	if total == 0 {
		return nil
	}
	want, below, from := q*float64(total), 0.0, 0.0
	for i, upTo := range l.UpToSeconds {
		if n := float64(l.Counts[i]); below+n >= want && n > 0 {
			return new(1000 * (from + (upTo-from)*(want-below)/n))
		}
		below, from = below+float64(l.Counts[i]), upTo
	}
	return new(1000 * from)
}
