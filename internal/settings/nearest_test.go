package settings

import "testing"

// TestNearest: a flag that is misspelt by little is suggested.
func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"dta": "-data", "daat": "-data", "dat": "-data", "datum": "", "confg": "-config", "jion": "-join",
		"memory-limt": "-memory-limit", "admin-listn": "-admin-listen", "x": "", "xyzzy": "", "q": "",
	} {
		if got := nearestFlag(word); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// TestMisspeltFlags are told apart from letters that stand together.
func TestMisspeltFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-dta", "x"}, "unknown flag -dta: did you mean -data?"},
		{[]string{"--dta", "x"}, "unknown flag -dta: did you mean -data?"},
		{[]string{"-xyzzy"}, "unknown flag -xyzzy: run it with -h to see the flags"},
		{[]string{"-vv", "x"}, `unexpected argument "x": every setting is a flag`},
		{[]string{"-kp5"}, ""},
	} {
		_, err := ReadLine(c.args, nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// TestNearestVariable: one that is cut short is meant, however much of it is missing.
func TestNearestVariable(t *testing.T) {
	for name, want := range map[string]string{
		"RAFTCACHED_MEM": "RAFTCACHED_MEMORY_LIMIT", "RAFTCACHED_PEER": "RAFTCACHED_PEER_LISTEN", "RAFTCACHED_DIR": "RAFTCACHED_ID", "RAFTCACHED_CONIFG": "RAFTCACHED_CONFIG",
	} {
		if got := nearestVariable(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
