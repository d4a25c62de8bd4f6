// Whom the limits hold back, and a way to let them begin anew.
import { signal } from "@preact/signals";
import { ask } from "./api";
import { ago, bytes, count, millis } from "./format";
import { type Column, DataTable, Figure, Id, Panel } from "./parts";
import { now, throttle } from "./state";
import type { Limited } from "./types";

const said = signal<{ text: string; bad?: boolean } | null>(null);
const busy = signal("");

async function release(who: string, shown: string): Promise<void> {
  busy.value = who;
  try {
    const done = await ask<{ held: boolean }>("release", { key: who });
    said.value = { text: done.held ? `${shown} begins anew.` : `Nothing was held against ${shown} any more.` };
  } catch (err) {
    said.value = { text: (err as Error).message, bad: true };
  }
  busy.value = "";
}

const reasons: Record<string, string> = {
  peer: "its own rate", egress: "bytes of answers to it", bursts: "bursts of all together", subnet: "its subnet's rate", total: "the total of all",
};

export function Throttle() {
  const t = throttle.value;
  if (!t) return <p class="empty">Nothing has been counted yet.</p>;
  const l = t.limits;
  const per = (n: number | undefined, unit: string) => (n ? `${count(n)} ${unit}` : "no limit");
  const refused = Object.entries(t.requests).filter(([name]) => name.startsWith("refused_") && name !== "refused_handler").reduce((n, [, v]) => n + v, 0);
  const shed = Object.entries(t.requests).filter(([name]) => name.startsWith("shed_")).reduce((n, [, v]) => n + v, 0);
  return (
    <>
      <dl class="figures">
        <Figure label="Held back" value={t.limited.length} more="now or in the last ten minutes" />
        <Figure label="A peer may ask" value={per(l.peer_rate, "/s")} more={`bursts of ${count(l.peer_burst ?? 0)} units`} />
        <Figure label="All together" value={per(l.total_rate, "/s")} more={l.near ? `a /24 ${l.near}×, a /16 ${l.far}× a peer` : "subnets are not bound"} />
        <Figure label="Answers to a peer" value={l.egress ? `${bytes(l.egress)}/s` : "no limit"} />
        <Figure label="Paused" value={count(t.requests.paused ?? 0)} more="requests, since the start" />
        <Figure label="Refused" value={count(refused)} more={`${count(shed)} more found no worker`} />
      </dl>
      <Panel title="Held back" aside={<span class="quiet-text">change the limits with <code>kdht throttle set</code></span>} wide>
        <p role="status" class={said.value?.bad ? "complaint" : "said"}>{said.value?.text}</p>
        <DataTable label="Peers and subnets held back" columns={columns} rows={t.limited} id={(r) => `${who(r)} ${r.reason}`} empty="Nobody: everybody who asks is answered." />
      </Panel>
    </>
  );
}

function who(r: Limited): string {
  return r.peer || r.subnet || "";
}

const columns: Column<Limited>[] = [
  { name: "Who", by: who, show: (r) => (r.peer ? <Id id={r.peer} link /> : r.subnet ? <code>{r.subnet}</code> : "everybody together") },
  { name: "Used up", by: (r) => r.reason, show: (r) => reasons[r.reason] ?? r.reason },
  { name: "Wait", number: true, by: (r) => r.wait_ms, show: (r) => (r.wait_ms > 0 ? millis(r.wait_ms) : "served again") },
  { name: "Paused", number: true, by: (r) => r.paused, show: (r) => count(r.paused) },
  { name: "Refused", number: true, by: (r) => r.refused, show: (r) => count(r.refused) },
  { name: "Last", extra: true, by: (r) => r.last ?? "", show: (r) => (r.last ? ago(Date.parse(r.last), now.value) : "–") },
  {
    name: "Release", show: (r) => who(r) && (
      <button type="button" disabled={busy.value === who(r)} aria-label={`Release ${who(r)}`} onClick={() => void release(who(r), r.peer ? `…${r.peer.slice(-8)}` : who(r))}>Release</button>
    ),
  },
];

