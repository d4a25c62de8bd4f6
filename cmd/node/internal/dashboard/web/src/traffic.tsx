// What is asked of us and by us, by type.
import { bytes, count, millis, plural, rate } from "./format";
import { RateChart } from "./overview";
import { Bar, type Column, DataTable, Figure, Panel } from "./parts";
import { throttle, traffic } from "./state";
import type { TypeTraffic } from "./types";

export function Traffic() {
  const t = traffic.value;
  if (!t) return <p class="empty">Nothing has been counted yet.</p>;
  const streams = throttle.value?.streams ?? {};
  const sum = (rows: TypeTraffic[], of: (r: TypeTraffic) => number) => rows.reduce((n, r) => n + of(r), 0);
  return (
    <>
      <dl class="figures">
        <Figure label="Asked of us" value={count(sum(t.in, (r) => r.total))} more="since the start" />
        <Figure label="Asked by us" value={count(sum(t.out, (r) => r.total))} more="since the start" />
        <Figure label="Workers" value={`${t.load[1]} of ${t.load[0]}`} more={t.load[2] ? `${plural(t.load[2], "request")} wait` : "nobody waits"} />
        <Figure label="Streams of others" value={count(streams.open ?? 0)} more={`${count(streams.accepted ?? 0)} so far`} />
        <Figure label="Bytes of others" value={bytes(sum(t.in, (r) => r.bytes[0]))} more={`${bytes(sum(t.in, (r) => r.bytes[1]))} answered`} />
      </dl>
      <Panel title="Requests a second" wide><RateChart /></Panel>
      <div class="columns">
        <Panel title="Asked of us" aside={<span class="quiet-text">latency: of the last minute, with the wait for a worker</span>}><Types rows={t.in} bad="refused" /></Panel>
        <Panel title="Asked by us" aside={<span class="quiet-text">latency: of the last minute, with dials</span>}><Types rows={t.out} bad="failed" /></Panel>
      </div>
    </>
  );
}

function Types({ rows, bad }: { rows: TypeTraffic[]; bad: string }) {
  const most = Math.max(1, ...rows.map((r) => r.rate));
  const columns: Column<TypeTraffic>[] = [
    { name: "Type", show: (r) => <code>{r.type}</code>, by: (r) => r.type },
    { name: "A second", number: true, by: (r) => r.rate, show: (r) => <span class="with-bar"><Bar value={r.rate} bad={r.bad} most={most} />{rate(r.rate)}</span> },
    { name: "Half", number: true, by: (r) => r.p50, show: (r) => millis(r.p50) },
    { name: "95 %", number: true, by: (r) => r.p95, show: (r) => millis(r.p95) },
    { name: "Total", number: true, by: (r) => r.total, show: (r) => count(r.total) },
    { name: bad[0].toUpperCase() + bad.slice(1), by: (r) => Object.values(r.causes).reduce((a, b) => a + b, 0), show: (r) => <Causes of={r.causes} /> },
  ];
  return <DataTable label={bad === "failed" ? "Asked by us, by type" : "Asked of us, by type"} columns={columns} rows={rows} id={(r) => r.type} empty="" />;
}

function Causes({ of }: { of: Record<string, number> }) {
  const all = Object.entries(of).sort((a, b) => b[1] - a[1]);
  if (all.length === 0) return <span class="quiet-text">none</span>;
  return <span class="causes">{all.map(([cause, n]) => <span key={cause}>{count(n)} {cause}</span>)}</span>;
}
