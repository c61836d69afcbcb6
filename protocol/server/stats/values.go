package stats

import (
	"math/bits"
	"strconv"
	"syscall"

	"raftcached/protocol"
)

// addRusage adds the processor time that the process has used.
func addRusage(l *protocol.StatList) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return
	}
	l.Add("rusage_user", seconds(u.Utime))
	l.Add("rusage_system", seconds(u.Stime))
}

// seconds formats a time with six decimals.
func seconds(t syscall.Timeval) string {
	const perSecond = 1_000_000
	micros := t.Nano() / 1000
	return strconv.FormatInt(micros/perSecond, 10) + "." + strconv.FormatInt(micros%perSecond+perSecond, 10)[1:]
}

// powerOf returns the exponent of the largest power of two that is at most n; 0
// if n is less than one.
func powerOf(n int64) int64 { return int64(max(1, bits.Len64(uint64(n)))) - 1 }

// yesNo formats most settings that are on or off.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// onOff formats a setting for which memcached does not say yes or no.
func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// oneOrZero formats a flag.
func oneOrZero(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
