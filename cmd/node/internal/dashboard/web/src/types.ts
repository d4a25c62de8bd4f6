// What the node tells: the JSON of the package dashboard, field by field.

export interface Hint {
  level: "ok" | "note" | "warn" | "bad";
  title: string;
  text: string;
  screen: string;
}

export interface Status {
  id: string;
  addrs: string[];
  mode: string;
  mode_reason: string;
  profile: string;
  network: string;
  protocol: string;
  namespaces: string[];
  peers: number;
  connections: number;
  lonely?: string;
  values: number;
  providers: number;
  providing: number;
  lookups: { answered: number; missing: number; joined: number; begun: number; anew: number };
  uptime_s: number;
  lan?: { mode: string; protocol: string; peers: number };
  now: number;
  size: number;
  samples: number;
  operations: number;
  hints: Hint[];
}

export interface Member {
  id: string;
  seen: number;
  added: number;
  probing?: boolean;
  doubted?: boolean;
  connected?: boolean;
  took_ms?: number;
}

export interface Bucket {
  prefix: number;
  room: number;
  refreshed: number;
  members: Member[];
  waiting: string[];
}

export interface Table {
  buckets: Bucket[];
  members: number;
  shown: number;
}

export interface TypeTraffic {
  type: string;
  rate: number;
  bad: number;
  p50: number;
  p95: number;
  total: number;
  causes: Record<string, number>;
  bytes: [number, number];
}

export interface Traffic {
  in: TypeTraffic[];
  out: TypeTraffic[];
  load: [number, number, number];
}

export interface Limited {
  peer?: string;
  subnet?: string;
  reason: string;
  level: number;
  wait_ms: number;
  paused: number;
  refused: number;
  since?: string;
  last?: string;
}

export interface Throttle {
  limits: Record<string, number>;
  workers: number;
  busy: number;
  waiting: number;
  limited: Limited[];
  requests: Record<string, number>;
  streams: Record<string, number>;
}

export interface PeerRow {
  id: string;
  agent?: string;
  addrs: string[];
  connected: boolean;
  direction?: string;
  transport?: string;
  since?: number;
  streams?: number;
  bucket: number;
  took_ms?: number;
}

export interface Peers {
  rows: PeerRow[];
  total: number;
}

export interface RecordRow {
  name: string;
  namespace: string;
  bytes: number;
  put: number;
  expires: number;
  served: number;
}

export interface NamespaceRow {
  name: string;
  values: number;
  bytes: number;
  served: number;
  oldest: number;
  expires: number;
}

export interface Records {
  scanned: number;
  all: boolean;
  rows: RecordRow[];
  namespaces: NamespaceRow[];
  values: number;
  bytes: number;
  providers: number;
  providing: number;
  publishing: number;
  disk?: { unreadable: number; lost: number; refused?: string };
  dir: string;
}

export interface Terms {
  k: number;
  suspect_ms: number;
  probe_ms: number;
  refresh_ms: number;
}

/** One moment: time, requests in and out a second, those in vain, network size, table, connections, busy workers. */
export type Point = [number, number, number, number, number, number, number, number];

export interface Hello {
  terms: Terms;
  points: Point[] | null;
  samples: { At: string; Peers: number }[] | null;
}

export type StepKind = "began" | "asking" | "answered" | "slow" | "failed" | "ended";

export interface LookupStep {
  k: StepKind;
  t: number;
  p: number;
  h?: number;
  c?: number[];
  type?: string; // of a request that gives a record
  e?: string;
}

export interface LookupEnd {
  t: number;
  error?: string;
  asked: number;
  answered: number;
  failed: number;
  hops: number;
  closest: number[];
  holders: number[];
  value?: number;
  providers?: number;
}

export interface Lookup {
  id: number;
  key: string;
  type: string;
  began: number;
  upkeep?: boolean;
  peers: { id: string; d: number }[];
  steps: LookupStep[];
  cut?: boolean;
  end?: LookupEnd;
  /** The name of the file that it was loaded from. */
  file?: string;
}

export interface Report {
  asked: number;
  answered: number;
  failed: Record<string, number>;
  holders: string[];
  hops: number;
  duration_ms: number;
}
