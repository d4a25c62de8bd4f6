// What a lookup looked like at a moment: made of its steps up to then.
import type { Lookup } from "./types";

export type Fate = "asking" | "slow" | "answered" | "late" | "failed";

/** One request to one peer. */
export interface Ask {
  from: number;
  to: number; // when it ended, or the moment if it has not
  fate: Fate;
  storing: boolean;
  cause?: string;
}

/** A peer of the lookup. */
export interface Mark {
  peer: number;
  id: string;
  d: number;
  heard: number; // when it was first heard of
  by: number; // who told of it, -1: this node knew it
  hop: number;
  asks: Ask[];
  named: number; // how many peers it named that were not known
  closest: boolean;
  holder: boolean;
}

export interface Trace {
  marks: Mark[]; // in the order in which they were heard of
  asked: number;
  answered: number;
  failed: number;
  hops: number;
  ended: boolean;
}

/** When a lookup's last step is, in milliseconds from its beginning. */
export function lengthOf(l: Lookup): number {
  return Math.max(l.end?.t ?? 0, l.steps.at(-1)?.t ?? 0, 0.5);
}

export function traceOf(l: Lookup, until: number): Trace {
  const marks = new Map<number, Mark>();
  const trace: Trace = { marks: [], asked: 0, answered: 0, failed: 0, hops: 0, ended: l.end !== undefined && l.end.t <= until };
  const mark = (peer: number, at: number, by: number): Mark => {
    let m = marks.get(peer);
    if (!m) {
      m = { peer, ...l.peers[peer], heard: at, by, hop: 0, asks: [], named: 0, closest: false, holder: false };
      marks.set(peer, m);
    }
    return m;
  };
  for (const s of l.steps) {
    if (s.t > until) break;
    if (!l.peers[s.p]) continue;
    const m = mark(s.p, s.t, -1);
    const open = m.asks.at(-1);
    switch (s.k) {
      case "asking":
        trace.asked++;
        m.hop = m.hop || (s.h ?? 0);
        m.asks.push({ from: s.t, to: until, fate: "asking", storing: !!s.type });
        break;
      case "slow":
        if (open) open.fate = "slow";
        break;
      case "answered":
        trace.answered++;
        trace.hops = Math.max(trace.hops, m.hop);
        if (open) Object.assign(open, { to: s.t, fate: open.fate === "asking" ? "answered" : "late" });
        for (const c of s.c ?? []) if (l.peers[c]) mark(c, s.t, s.p);
        m.named += s.c?.length ?? 0;
        break;
      case "failed":
        trace.failed++;
        if (open) Object.assign(open, { to: s.t, fate: "failed", cause: s.e });
        break;
    }
  }
  if (trace.ended) {
    for (const p of l.end!.closest) if (l.peers[p]) mark(p, l.end!.t, -1).closest = true;
    for (const p of l.end!.holders) if (l.peers[p]) mark(p, l.end!.t, -1).holder = true;
  }
  trace.marks = [...marks.values()];
  return trace;
}

export const fates: Record<Fate, string> = {
  asking: "asked", slow: "takes its time", answered: "answered", late: "answered late", failed: "failed",
};

/** The outcome of the last request to a peer. */
export function fateOf(m: Mark): Fate | undefined {
  return m.asks.at(-1)?.fate;
}
