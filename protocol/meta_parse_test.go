package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// describeMeta describes what only meta commands and the binary protocol have.
func describeMeta(field func(name string, value any, set bool), r *protocol.Request) {
	fields := ""
	for i, name := range []string{"C", "E", "T", "J", "N", "R", "I", "x", "u", "(tT)", "(TR)", "(TN)"} {
		if r.Fields>>i&1 != 0 {
			fields += name
		}
	}
	field("fields", fields, fields != "")
	field("newcas", r.NewCAS, r.NewCAS != 0)
	field("initial", r.Initial, r.Initial != 0)
	field("vivify", r.Vivify, r.Vivify != 0)
	field("recache", r.Recache, r.Recache != 0)
	f := &r.Form
	field("quiet", "", f.Quiet)
	field("base64", "", f.Base64)
	field("withvalue", "", f.Value)
	field("match", f.MatchCAS, f.HasMatch)
	field("size", f.SizeBytes, f.SizeBytes != 0)
	field("back", fmt.Sprintf("%q", f.Key), f.Key != nil)
	field("as", fmt.Sprintf("%q", f.Flags), len(f.Flags) > 0)
}

func TestWhatAMetaRequestHolds(t *testing.T) {
	for _, c := range []struct{ input, want string }{
		{"mn\r\n", "mn"},
		{"mn and more\n", "mn"},
		{"mg k\r\n", `mg key="k"`},
		{"mg k v q\r\n", `mg key="k" quiet= withvalue= as=" v q"`},
		{"mg k k Oabc\r\n", `mg key="k" back="k" as=" k Oabc"`},
		{"mg a2V5 b k\r\n", `mg key="key" base64= back="key" as=" b k"`},
		{"mg k C5 v\r\n", `mg key="k" withvalue= match=5 as=" C5 v"`},
		{"mg k T30\r\n", `mg key="k" exptime=30 fields=T as=" T30"`},
		{"mg k t T-1 u\r\n", `mg key="k" exptime=-1 fields=Tu(tT) as=" t T-1 u"`},
		{"mg k N30 R10 E7\r\n", `mg key="k" fields=ENR newcas=7 vivify=30 recache=10 as=" N30 R10 E7"`},
		{"mg k t N30\r\n", `mg key="k" fields=N(tT) vivify=30 as=" t N30"`},
		{"mg k T90 R30\r\n", `mg key="k" exptime=90 fields=TR(TR) recache=30 as=" T90 R30"`},
		{"mg k R30 T90\r\n", `mg key="k" exptime=90 fields=TR recache=30 as=" R30 T90"`},
		{"mg k N30 T60\r\n", `mg key="k" exptime=60 fields=TN vivify=30 as=" N30 T60"`},
		{"mg k T60 N30\r\n", `mg key="k" exptime=60 fields=TN(TN) vivify=30 as=" T60 N30"`},
		{"mg k F5 D2 J3 Mx x I P L\r\n", `mg key="k" as=" F5 D2 J3 Mx x I P L"`}, // of other commands
		{"me k\r\n", `me key="k" back="k"`},
		{"me a2V5 b\r\n", `me key="key" base64= back="key" as=" b"`},
		{"ms k 2\r\nab\r\n", `set key="k" value="ab" size=2`},
		{"ms k 2 T60 F5 c s\r\nab\r\n", `set key="k" flags=5 exptime=60 value="ab" fields=T size=2 as=" T60 F5 c s"`},
		{"ms k 1 C9 I E3\r\na\r\n", `set key="k" cas=9 value="a" fields=CEI newcas=3 size=1 as=" C9 I E3"`},
		{"ms k 1 I E0\r\na\r\n", `set key="k" value="a" size=1 as=" I E0"`}, // without C, I means nothing
		{"ms k 1 MR C0\r\na\r\n", `replace key="k" value="a" fields=C size=1 as=" MR C0"`},
		{"ms k 1 ME C9 T1\r\na\r\n", `add key="k" exptime=1 value="a" fields=T size=1 as=" ME C9 T1"`},
		{"ms k 1 MA T1 C0\r\na\r\n", `append key="k" value="a" size=1 as=" MA T1 C0"`},
		{"ms k 1 MPx N20 C4\r\na\r\n", `prepend key="k" cas=4 value="a" fields=CN vivify=20 size=1 as=" MPx N20 C4"`},
		{"ms k 0 MS\r\n\r\n", `set key="k" value="" as=" MS"`},
		{"ms k 1048576 MA q\r\n", `set key="k" too large= quiet= size=1048576 as=" MA q"`},
		{"md k\r\n", `delete key="k"`},
		{"md k C0 q T9\r\n", `delete key="k" fields=C quiet= as=" C0 q T9"`},
		{"md k I T9\r\n", `delete key="k" exptime=9 fields=TI as=" I T9"`},
		{"md k x F3 E2\r\n", `delete key="k" flags=3 fields=Ex newcas=2 as=" x F3 E2"`},
		{"ma k\r\n", `incr key="k" delta=1`},
		{"ma k MD D18446744073709551615 v\r\n", `decr key="k" delta=18446744073709551615 withvalue= as=" MD D18446744073709551615 v"`},
		{"ma k M- T30 J5 t N60\r\n", `decr key="k" exptime=30 delta=1 fields=TJN(TN) initial=5 vivify=60 as=" M- T30 J5 t N60"`},
		{"ma k C0 E0 J7\r\n", `incr key="k" delta=1 fields=E as=" C0 E0 J7"`},
	} {
		if got := parseAll(c.input); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%q is parsed as\n%s\nwant\n%s", c.input, strings.Join(got, "\n"), c.want)
		}
	}
}

// TestMalformedMeta shows which error each malformed line is answered with, and
// that the request behind it, and behind the data block of ms, is found.
func TestMalformedMeta(t *testing.T) {
	const (
		format    = "CLIENT_ERROR bad command line format"
		token     = "CLIENT_ERROR bad token in command line format"
		invalid   = "CLIENT_ERROR invalid flag"
		duplicate = "CLIENT_ERROR duplicate flag"
		many      = "CLIENT_ERROR options flags are too long"
		key       = "CLIENT_ERROR error decoding key"
		opaque    = "CLIENT_ERROR opaque token too long"
		setMode   = "CLIENT_ERROR invalid mode for ms M token"
		maMode    = "CLIENT_ERROR invalid mode for ma M token"
		maFlag    = "CLIENT_ERROR invalid or duplicate flag"
	)
	longKey := strings.Repeat("k", 251)
	longOpaque := " O" + strings.Repeat("o", 32)
	for _, c := range []struct{ input, reply string }{
		{"mz k\r\n", "ERROR"},
		{"mgk\r\n", "ERROR"},
		{" mg k\r\n", "ERROR"},
		{"mg\tk\r\n", "ERROR"},
		{"MG k\r\n", "ERROR"},
		{"mg\r\n", format},
		{"mn\n", format}, // as short as a line that memcached does not look at
		{"mg  \r\n", format},
		{"mg " + longKey + "\r\n", format},
		{"md " + longKey + "\r\n", format},
		{"ma " + longKey + "\r\n", maFlag},
		{"me " + longKey + "\r\n", format},
		{"mg k !\r\n", format},
		{"ma k !\r\n", format},
		{"mg k \xff\r\n", format},
		{"mg k {\r\n", format},
		{"mg k S1\r\n", invalid},
		{"mg k 1\r\n", invalid},
		{"mg k v v\r\n", duplicate},
		{"mg k O1 O2\r\n", duplicate},
		{"mg k v v S\r\n", duplicate},
		{"mg k Tx S\r\n", invalid},
		{"mg k Tx v v\r\n", duplicate},
		{"mg k T\r\n", token},
		{"mg k T1x\r\n", token},
		{"mg k T2147483648\r\n", token},
		{"mg k T000000000001\r\n", token},
		{"mg k N R T1\r\n", token},
		{"mg k Cx\r\n", token},
		{"mg k C-1\r\n", token},
		{"mg k E18446744073709551616\r\n", token},
		{"mg k F4294967296\r\n", format},
		{"mg k J\r\n", "CLIENT_ERROR invalid numeric initial value"},
		{"mg k D-1\r\n", "CLIENT_ERROR invalid numeric delta value"},
		{"mg k Tx F\r\n", token},
		{"mg k F Tx\r\n", token},
		{"mg k Tx Jx\r\n", "CLIENT_ERROR invalid numeric initial value"},
		{"mg k" + longOpaque + "\r\n", opaque},
		{"mg k q" + longOpaque + "\r\n", opaque},
		{"mg YQ b\r\n", key},
		{"mg A=== b\r\n", key},
		{"mg !!!! b\r\n", key},
		{"mg !!!! b Tx\r\n", token},
		{"mg !!!! Tx b\r\n", key},
		{"me YQ b\r\n", format},
		{"mg k" + strings.Repeat(" v", 19) + "\r\n", many},
		{"mg k" + strings.Repeat(" v", 18) + "\r\n", duplicate},
		{"md k S\r\n", invalid},
		{"ma k S\r\n", maFlag},
		{"ma k D-1\r\n", maFlag},
		{"ma k v v\r\n", maFlag},
		{"ma k Mi\r\n", maMode},
		{"ma k M\r\n", maMode},
		{"ma k Mx" + longOpaque + "\r\n", maMode},
		{"ma k" + longOpaque + "\r\n", opaque},
		{"md k" + longOpaque + "\r\n", opaque},
		{"ms k\r\n", format},
		{"ms k S1\r\n", format},
		{"ms k -1\r\n", format},
		{"ms k 2147483646\r\n", format},
		{"ms " + longKey + " 2\r\nab\r\n", format},
		{"ms k 2 S\r\nab\r\n", invalid},
		{"ms k 2 !\r\nab\r\n", format},
		{"ms k 2 F-1\r\nab\r\n", format},
		{"ms k 2 Ms\r\nab\r\n", setMode},
		{"ms k 2 M\r\nab\r\n", setMode},
		{"ms k 2" + longOpaque + "\r\nab\r\n", opaque},
		{"ms k 2" + strings.Repeat(" v", 18) + "\r\nab\r\n", many},
		{"ms k 2\r\nabcd\r\n", "CLIENT_ERROR bad data chunk"},
		{"delete k noreply\r\nms k 2 q\r\nabcd\r\n", "CLIENT_ERROR bad data chunk"},
	} {
		want := []string{fmt.Sprintf("invalid reply=%q", c.reply+"\r\n"), `get keys=["next"]`}
		got := parseAll(c.input + "get next\r\n")
		if len(got) == 3 && strings.HasPrefix(c.input, "delete") {
			got = got[1:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is parsed as\n%s\nwant\n%s", c.input, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
