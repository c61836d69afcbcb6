package metrics

import (
	"raftcached/internal/measure"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram is distributions that are told in one way.
type histogram struct {
	desc   *prometheus.Desc
	values func(s *Served, tell func(sum float64, count uint64, buckets map[float64]uint64, labels ...string))
}

func newHistogram(name, help string, labels []string, values func(*Served, func(float64, uint64, map[float64]uint64, ...string))) histogram {
	return histogram{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), values}
}

// duration is a distribution of durations.
func duration(name, help string, of func(*Served) *measure.Distribution) histogram {
	return newHistogram(name, help, nil, func(s *Served, tell func(float64, uint64, map[float64]uint64, ...string)) {
		d := of(s)
		sum, buckets := d.Seconds()
		tell(sum, d.Count(), buckets)
	})
}

var histograms = []histogram{
	newHistogram("command_duration_seconds", "From when a request was read to when its answer was written; gets that wait for nothing are sampled.", []string{"command"},
		func(s *Served, tell func(float64, uint64, map[float64]uint64, ...string)) {
			for c := range measure.CommandCount {
				d := &s.Latencies[c]
				sum, buckets := d.Seconds()
				tell(sum, d.Count(), buckets, c.String())
			}
		}),
	duration("log_sync_duration_seconds", "To write to the raft log and sync it.", func(s *Served) *measure.Distribution { return &s.Sync }),
	duration("commit_duration_seconds", "At the leader: from the proposal of an entry to its commit.", func(s *Served) *measure.Distribution { return &s.Commit }),
	duration("apply_duration_seconds", "To apply the committed entries that came at once.", func(s *Served) *measure.Distribution { return &s.Apply }),
	newHistogram("stored_value_bytes", "Sizes of values that clients have stored; sampled.", nil,
		func(s *Served, tell func(float64, uint64, map[float64]uint64, ...string)) {
			sum, buckets := s.ValueSizes.Bytes()
			tell(sum, s.ValueSizes.Count(), buckets)
		}),
}

func collectHistograms(ch chan<- prometheus.Metric, s *Served) {
	for i := range histograms {
		h := &histograms[i]
		h.values(s, func(sum float64, count uint64, buckets map[float64]uint64, labels ...string) {
			ch <- prometheus.MustNewConstHistogram(h.desc, count, sum, buckets, labels...)
		})
	}
}
