package settings

import "strings"

// nearEdits is how many letters of a name may be wrong, missing or too many, and two
// that are exchanged count as one.
const nearEdits = 2

// Nearest returns the one of the names that a misspelt one stands for, or nothing if none is
// near: a name of few letters may have one that is wrong.
func Nearest(word string, names []string) (nearest string) {
	best := min(nearEdits, len(word)/3) + 1
	for _, name := range names {
		if d := edits(word, name); d < best && len(name) > 1 {
			nearest, best = name, d
		}
	}
	return nearest
}

// edits counts the letters to insert, delete, replace or exchange with the next one that make
// b of a.
func edits(a, b string) int {
	var rows [3][]int // of the prefixes of a: two before, one before, this one
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[2] {
		rows[2][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
		rows[2][0] = i
		for j := 1; j <= len(b); j++ {
			replace := rows[1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			d := min(rows[1][j]+1, rows[2][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[0][j-2]+1)
			}
			rows[2][j] = d
		}
	}
	return rows[2][len(b)]
}

// misspelt returns the first argument that looks like a flag with a long name, of which there
// is none, and the flag that is meant.
func misspelt(args []string) (written, meant string) {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || len(name) < 3 || named(name) != nil {
			continue
		}
		if meant := nearestFlag(name); meant != "" {
			return "-" + name, meant
		}
	}
	return "", ""
}

// nearestFlag returns the flag that a misspelt one stands for, or nothing.
func nearestFlag(name string) string {
	var names []string
	for i := range Table {
		names = append(names, Table[i].Flags...)
	}
	if nearest := Nearest(name, names); nearest != "" {
		return "-" + nearest
	}
	return ""
}
