package kademlia

import "iter"

// inflight finds requests on their way by their ids, which are given out in
// order: a queue from which any may be taken. One that is never answered would
// keep all later ones' places; the network's deadline bounds that.
//
// Invariant: list[0] is not nil if there is one; list[i] has id first+i.
type inflight struct {
	first RequestID
	list  []*request
	count int
}

// put adds r, whose id must follow that of the last.
func (q *inflight) put(r *request) {
	if len(q.list) == 0 {
		q.first = r.id
	}
	q.list = append(q.list, r)
	q.count++
}

// get returns the request with this id, or nil.
func (q *inflight) get(id RequestID) *request {
	if i := uint64(id - q.first); i < uint64(len(q.list)) {
		return q.list[i]
	}
	return nil
}

// take removes the request with this id and returns it, or nil.
func (q *inflight) take(id RequestID) *request {
	r := q.get(id)
	if r == nil {
		return nil
	}
	q.list[id-q.first] = nil
	if q.count--; q.count == 0 {
		q.list = nil // an idle node holds no room for its busiest hour
		return r
	}
	for q.list[0] == nil {
		q.list = q.list[1:]
		q.first++
	}
	return r
}

// len returns how many are on their way.
func (q *inflight) len() int { return q.count }

// all yields them in the order of their ids.
func (q *inflight) all() iter.Seq2[RequestID, *request] {
	return func(yield func(RequestID, *request) bool) {
		for i, r := range q.list {
			if r != nil && !yield(q.first+RequestID(i), r) {
				return
			}
		}
	}
}
