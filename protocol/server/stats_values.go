package server

import (
	"math/bits"
	"strconv"
	"syscall"
)

// appendRusage appends the processor time that the process used.
func appendRusage(dst []byte) []byte {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return dst
	}
	dst = appendStat(dst, "rusage_user", seconds(u.Utime))
	return appendStat(dst, "rusage_system", seconds(u.Stime))
}

// seconds formats a time with six decimals.
func seconds(t syscall.Timeval) string {
	const perSecond = 1_000_000
	micros := t.Nano() / 1000
	return strconv.FormatInt(micros/perSecond, 10) + "." + strconv.FormatInt(micros%perSecond+perSecond, 10)[1:]
}

// powerOf returns the power of two that n reaches.
func powerOf(n int64) int64 { return int64(max(1, bits.Len64(uint64(n)))) - 1 }

// yesNo tells a setting as memcached does.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// onOff tells one of the settings that memcached tells differently.
func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func oneOrZero(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
