package store

// admit makes room for one more record of a key; found tells whether it has any and
// k where. Both may be others afterwards.
func (s *shard) admit(id ident, k *spot, found *bool, who *provider) error {
	if s.over(*found, 2) {
		if !who.own && (int(who.refs.Load()) > s.store.cfg.MaxPerProvider || !who.hourly.left(s.now, 1, int64(s.store.cfg.MaxPerHour), hour)) {
			return errShare
		}
		if !*found && s.store.radius.beyond(id.far) {
			return errBeyond
		}
	}
	return s.room(id, k, found)
}

// room makes room for one more record of a key: what is too old goes first, then
// what is farther than the key.
func (s *shard) room(id ident, k *spot, found *bool) error {
	if !s.over(*found, 1) || *found && k.len() >= s.store.cfg.MaxPerKey {
		return nil // takes another's place
	}
	for s.over(*found, 1) && s.expire(s.now) > 0 {
		*k, *found = s.pages.find(id)
	}
	for s.over(*found, 1) {
		if s.records == 0 {
			return errFarther
		}
		last := s.pages.last()
		if s.pages.list[last.page].far(last.key) <= id.far {
			return errFarther
		}
		s.dropKey(&last)
		*k, *found = s.pages.find(id)
	}
	return nil
}

// over reports whether one more record would exceed a budget divided by share; the
// key may be found or new.
func (s *shard) over(found bool, share int) bool {
	newKeys := 1
	if found {
		newKeys = 0
	}
	return s.records+1 > (s.maxRecords+share-1)/share || s.keys+newKeys > (s.maxKeys+share-1)/share
}

const (
	// contenders is how many records are drawn to find one to replace.
	contenders = 16
	// crowdedGroup is how many of the contenders of one address group are too many: a
	// quarter.
	crowdedGroup = contenders / 4
)

// junior returns the record of a full key that gives way to a new one of who's: one
// too old, else the shortest standing of those drawn, or of those of one address
// group if that has a quarter of them or more. With 16 drawn, 400 newcomers to a key
// of 100 leave about 76 of the old ones in place; if the newcomers, or those that
// were there before, are of one group and the others are not, they make room for
// each other.
func (s *shard) junior(k *spot, who *provider) int {
	var groups [contenders]uint32
	drawn := s.sampler.draw(k.len(), contenders)
	for j, i := range drawn {
		if s.pages.word(k, int(i)).old(s.now, s.validity) {
			return int(i)
		}
		groups[j] = s.who(k, int(i)).group.Load()
	}
	group := largestGroup(groups[:len(drawn)], who.group.Load())
	best := -1
	var youngest word
	for j, i := range drawn {
		if group != 0 && groups[j] != group {
			continue
		}
		if w := s.pages.word(k, int(i)); best < 0 || w.younger(youngest, s.now) {
			best, youngest = int(i), w
		}
	}
	return best
}

// largestGroup returns the address group that has too many of the contenders, 0 if
// none has. The newcomer counts with its group. Groups named 0 are none.
func largestGroup(groups []uint32, newcomer uint32) (largest uint32) {
	most := crowdedGroup - 1
	for j, g := range groups {
		n := 0
		for _, o := range groups[j:] {
			if o == g {
				n++
			}
		}
		if n > 0 && g == newcomer {
			n++
		}
		if g != 0 && n > most {
			largest, most = g, n
		}
	}
	return largest
}

// sweep goes through the pages now and then and forgets what is too old, page after
// page.
type sweep struct {
	due    tick // when it begins, 0 if there is nothing that will get too old
	under  bool // it has begun
	began  tick
	oldest tick // of what it left
}

// rounds is how many sweeps there are in a validity.
const rounds = 128

// sooner notes that something will be too old after t.
func (w *sweep) sooner(t tick) {
	if w.due == 0 || t < w.due {
		w.due = t
	}
}

// next returns the first tick at which expire has something to do, 0 if never.
func (w *sweep) next() tick {
	if w.due == 0 {
		return 0
	}
	return after(w.due, 1)
}

// expire goes on with the sweep if it is due, for one page, and returns what that
// cost: the records it forgot and a sixteenth of those it looked at. 0 means that
// nothing is due.
func (s *shard) expire(t tick) (work int) {
	w := &s.sweep
	if w.due == 0 || t <= w.due {
		return 0
	}
	if !w.under {
		w.under, w.began, w.oldest = true, t, t
		s.pages.cursor = 0
	}
	if i := s.pages.cursor; i < len(s.pages.list) {
		work = s.expirePage(i)
		if !s.pages.tidy(i) {
			s.pages.cursor++
		}
	}
	if s.pages.cursor >= len(s.pages.list) {
		w.under, w.due = false, 0
		if s.records > 0 {
			w.due = max(after(w.oldest, s.validity), after(w.began, s.validity/rounds))
		}
	}
	return work + 1
}

// expirePage forgets what is too old in page i, which may be empty afterwards.
func (s *shard) expirePage(i int) (work int) {
	pg := &s.pages.list[i]
	for key := int(pg.keys) - 1; key >= 0; key-- {
		k := spot{page: i, key: key}
		s.pages.fill(&k)
		for j := k.len() - 1; j >= 0; j-- {
			w := s.pages.word(&k, j)
			if !w.old(s.now, s.validity) {
				s.sweep.oldest = min(s.sweep.oldest, w.added(s.now))
				continue
			}
			work += 16
			s.take(&k, j)
		}
		work += k.len()
	}
	return work / 16
}
