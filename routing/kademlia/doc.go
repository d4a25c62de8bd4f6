// Package kademlia is the routing core of kdht: the table of known peers, the
// iterative lookup, the operations built on it, and the answers to the six
// requests of the protocol (Maymounkov and Mazières 2002; wire.md §6–§10).
//
// It is a deterministic state machine without I/O. A Node never blocks, locks,
// spawns a goroutine, reads a clock or draws from a global random source: every
// input carries the time as its first argument, requests leave through the
// one-method port Network, and their outcomes come back as inputs. One
// goroutine owns a Node and calls it; nothing in here is safe for concurrent
// use except View and Handlers, which serve other peers' requests from the
// goroutines of their streams and read the table through an immutable View.
//
//	owner ──FindNode/Store/…──▶ Node ──Send(id, to, request)──▶ Network
//	                            │  ▲
//	     done(now, Result) ◀────┘  └──HandleResponse(now, id, answer, err)
//
// The owner sleeps until NextDeadline and then calls Advance. So the same code
// runs live, in a scenario driven by hand, and in a simulation of many
// thousands of nodes, and a seed replays a run bit for bit.
//
// The walk of one lookup: FindNode seeds a Lookup from the table and the cache
// of recent lookups; the query asks whom Lookup.Next names and feeds it what
// they answer; when the k nearest live peers have answered, or are believed in on
// others' word, the lookup is done and the query calls its caller back, once.
package kademlia
