// Package spelling guesses what somebody meant who wrote a name that is not known.
package spelling

// DidYouMean names what is spelled most like name, if anything is.
func DidYouMean(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// Nearest returns which of known is spelled most like name, or "" if none is
// within a third of its length.
func Nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, near := max(1, len(name)/3)+1, ""
	for _, k := range known {
		if d := apart(name, k); d < best {
			best, near = d, k
		}
	}
	return near
}

// apart counts the bytes to put in, take out or change to make b of a, and swaps of
// neighbours.
func apart(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
