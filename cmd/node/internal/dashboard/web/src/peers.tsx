// Who is connected, and who is in the table.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { count, millis, plural, span } from "./format";
import { type Column, DataTable, Figure, Panel } from "./parts";
import { subject } from "./route";
import { now, peers } from "./state";
import type { PeerRow } from "./types";

const wanted = signal("");

export function Peers() {
  useEffect(() => {
    wanted.value = subject.value;
  }, [subject.value]);
  const p = peers.value;
  if (!p) return <p class="empty">Nobody has been looked at yet.</p>;
  const want = wanted.value.trim().toLowerCase();
  const rows = want ? p.rows.filter((r) => `${r.id} ${r.agent ?? ""} ${r.addrs.join(" ")}`.toLowerCase().includes(want)) : p.rows;
  const of = (test: (r: PeerRow) => boolean) => count(p.rows.filter(test).length);
  return (
    <>
      <dl class="figures">
        <Figure label="Connected" value={of((r) => r.connected)} more={`${of((r) => r.connected && r.bucket < 0)} not in the table`} />
        <Figure label="They dialed" value={of((r) => r.direction === "in" || r.direction === "both")} />
        <Figure label="We dialed" value={of((r) => r.direction === "out" || r.direction === "both")} />
        <Figure label="In the table only" value={of((r) => !r.connected)} more="dialed when needed" />
        <Figure label="Agents" value={new Set(p.rows.map((r) => r.agent ?? "")).size} more={agents(p.rows)} />
      </dl>
      <Panel title="Peers" wide aside={
        <label class="filter"><span>Filter</span> <input type="search" value={wanted.value} placeholder="id, agent or address" onInput={(e) => (wanted.value = e.currentTarget.value)} /></label>
      }>
        <DataTable label="Peers" columns={columns} rows={rows} id={(r) => r.id} mark={(r) => r.id === subject.value} first={{ column: 2, down: true }}
          empty={want ? "None of the peers is so called." : "Nobody is connected or known."} />
        {p.total > p.rows.length && <p class="quiet-text">{p.rows.length} of {plural(p.total, "peer")}, those connected first.</p>}
      </Panel>
    </>
  );
}

function agents(rows: PeerRow[]): string {
  const tally = new Map<string, number>();
  for (const r of rows) tally.set(r.agent || "unknown", (tally.get(r.agent || "unknown") ?? 0) + 1);
  const [name, n] = [...tally].sort((a, b) => b[1] - a[1])[0] ?? ["", 0];
  return n ? `${n} × ${name}` : "";
}

const columns: Column<PeerRow>[] = [
  { name: "Peer", by: (r) => r.id.slice(-8), show: (r) => <code class="id" title={r.id}>…{r.id.slice(-8)}</code> },
  { name: "Agent", extra: true, by: (r) => r.agent ?? "", show: (r) => r.agent || <span class="quiet-text">unknown</span> },
  { name: "Connection", by: (r) => r.since ?? 0, show: (r) => (r.connected ? `${r.direction} · ${r.transport}` : <span class="quiet-text">none</span>) },
  { name: "For", number: true, by: (r) => -(r.since ?? 0), show: (r) => (r.since ? span(now.value - r.since) : "–") },
  { name: "Streams", number: true, extra: true, by: (r) => r.streams ?? 0, show: (r) => r.streams ?? "–" },
  { name: "Bucket", number: true, by: (r) => r.bucket, show: (r) => (r.bucket < 0 ? "–" : r.bucket) },
  { name: "Latency", number: true, by: (r) => r.took_ms ?? 0, show: (r) => (r.took_ms ? `≈ ${millis(r.took_ms)}` : "–") },
  { name: "Addresses", extra: true, show: (r) => <span class="addrs">{r.addrs.map((a) => <code class="line" key={a}>{a}</code>)}</span> },
];
