// What the page knows of the node. Each signal holds what was told last.
import { computed, signal } from "@preact/signals";
import type { Hello, Lookup, Peers, Point, Records, Status, Table, Terms, Throttle, Traffic } from "./types";

export const status = signal<Status | null>(null);
export const table = signal<Table | null>(null);
export const traffic = signal<Traffic | null>(null);
export const throttle = signal<Throttle | null>(null);
export const peers = signal<Peers | null>(null);
export const records = signal<Records | null>(null);
export const points = signal<Point[]>([]);
export const samples = signal<{ at: number; peers: number }[]>([]);
export const lookups = signal<Lookup[]>([]); // oldest first
export const loaded = signal<Lookup[]>([]); // from files
export const terms = signal<Terms>({ k: 20, suspect_ms: 300_000, probe_ms: 600_000, refresh_ms: 600_000 });

/** How the page's connection to the node is; why says what is wrong. */
export const link = signal<{ state: "connecting" | "live" | "lost" | "paused"; why: string }>({ state: "connecting", why: "" });

/** The node's time, as of the last status. */
export const now = computed(() => status.value?.now ?? Date.now());

const maxPoints = 900;
const maxLookups = 40;

/** Takes in one event of the stream. */
export function take(name: string, body: unknown): void {
  switch (name) {
    case "hello":
      greet(body as Hello);
      break;
    case "status":
      status.value = body as Status;
      break;
    case "table":
      table.value = body as Table;
      break;
    case "traffic":
      traffic.value = body as Traffic;
      break;
    case "throttle":
      throttle.value = body as Throttle;
      break;
    case "peers":
      peers.value = body as Peers;
      break;
    case "records":
      records.value = body as Records;
      break;
    case "point":
      points.value = [...points.value, body as Point].slice(-maxPoints);
      break;
    case "lookups":
      lookups.value = (body as Lookup[]).reduce(joined, lookups.value).slice(-maxLookups);
      break;
  }
}

function greet(hello: Hello): void {
  terms.value = hello.terms;
  points.value = hello.points ?? [];
  samples.value = (hello.samples ?? []).map((s) => ({ at: Date.parse(s.At), peers: s.Peers }));
  lookups.value = [];
}

/** Adds what has become known of a lookup. */
export function joined(all: Lookup[], part: Lookup): Lookup[] {
  const at = all.findIndex((l) => l.id === part.id);
  if (at < 0) {
    return [...all, { ...part, peers: part.peers ?? [], steps: part.steps ?? [] }];
  }
  const old = all[at];
  const whole: Lookup = {
    ...old,
    type: part.type || old.type,
    peers: [...old.peers, ...(part.peers ?? [])],
    steps: [...old.steps, ...(part.steps ?? [])],
    cut: part.cut || old.cut,
    end: part.end ?? old.end,
  };
  return [...all.slice(0, at), whole, ...all.slice(at + 1)];
}
