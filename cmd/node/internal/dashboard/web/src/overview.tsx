// Everything at a glance.
import { BucketMap } from "./buckets";
import { Chart } from "./chart";
import { bytes, clock, count, plural, rate, span } from "./format";
import { LookupList } from "./list";
import { Figure, Panel } from "./parts";
import { to } from "./route";
import { lookups, points, records, samples, status, traffic } from "./state";

export function Overview() {
  return (
    <>
      <Figures />
      <div class="columns">
        <Panel title="Requests a second" aside={<a href={to("traffic")}>Traffic</a>}><RateChart /></Panel>
        <Panel title="Network size" aside={<span class="quiet-text">{told()}</span>}><SizeChart /></Panel>
        <div class="stack">
          <Panel title="Routing table" aside={<a href={to("table")}>Table</a>}><BucketMap compact /></Panel>
          <Panel title="This node"><About /></Panel>
        </div>
        <Panel title="Latest lookups" aside={<a href={to("lookups")}>Lookups</a>}>
          <LookupList rows={lookups.value.filter((l) => !l.upkeep).slice(-14).reverse()} empty="None since this page was opened. Try one under Lookups." link />
        </Panel>
      </div>
    </>
  );
}

function told(): string {
  const s = status.value!;
  return s.samples === 0 ? "not known yet" : `from ${plural(s.samples, "sample")} of the last ten minutes`;
}

function Figures() {
  const s = status.value!;
  const last = points.value.at(-1);
  const failing = traffic.value?.out.reduce((n, t) => n + t.bad, 0) ?? 0;
  return (
    <dl class="figures">
      <Figure label="Peers in the table" value={count(s.peers)} more={`${count(s.connections)} connected`} />
      <Figure label="Network" value={s.size ? `≈ ${count(s.size)}` : "–"} more="peers that serve" />
      <Figure label="Asked of us" value={<>{rate(last?.[1] ?? 0)}<em>/s</em></>} more={`${traffic.value?.load[1] ?? 0} of ${traffic.value?.load[0] ?? 0} workers busy`} />
      <Figure label="Asked by us" value={<>{rate(last?.[2] ?? 0)}<em>/s</em></>} more={failing > 0 ? `${rate(failing)}/s fail` : "none fails"} />
      <Figure label="Values kept" value={count(s.values)} more={bytes(records.value?.bytes ?? 0)} />
      <Figure label="Provider records" value={count(s.providers)} more={`${plural(s.providing, "key")} of our own`} />
      <Figure label="Up" value={span(s.uptime_s * 1000)} more={`${plural(s.operations, "operation")} under way`} />
    </dl>
  );
}

export function RateChart() {
  const all = points.value;
  const last = all.at(-1);
  return (
    <Chart
      label="Requests a second"
      told={last ? `${rate(last[1])} asked of us, ${rate(last[2])} asked by us, ${rate(last[3])} in vain.` : ""}
      times={all.map((p) => p[0] / 1000)}
      lines={[
        { label: "of us", colour: "blue", values: all.map((p) => p[1]), fill: true },
        { label: "by us", colour: "violet", values: all.map((p) => p[2]) },
        { label: "in vain", colour: "bad", values: all.map((p) => p[3]), dash: [4, 3] },
      ]}
    />
  );
}

/** The estimate over time, and what single neighbourhoods told of it. */
export function SizeChart() {
  const all = points.value;
  const from = (all[0]?.[0] ?? 0) - 600_000;
  const seen = samples.value.filter((s) => s.at >= from);
  const rows = [
    ...all.map((p) => ({ at: p[0], size: p[4] || null, table: p[5] as number | null, sample: null as number | null })),
    // What is undefined leaves no gap in a line, as null does.
    ...seen.map((s) => ({ at: s.at, size: undefined, table: undefined, sample: s.peers })),
  ].sort((a, b) => a.at - b.at);
  const last = all.at(-1);
  return (
    <Chart
      label="Network size over time"
      told={last ? `About ${count(last[4])} peers at ${clock(last[0])}, ${count(last[5])} of them in the table.` : ""}
      times={rows.map((r) => r.at / 1000)}
      lines={[
        { label: "estimate", colour: "teal", values: rows.map((r) => r.size), fill: true },
        { label: "in the table", colour: "violet", values: rows.map((r) => r.table) },
        { label: "samples", colour: "amber", values: rows.map((r) => r.sample), dots: true },
      ]}
    />
  );
}

function About() {
  const s = status.value!;
  const c = s.lookups;
  return (
    <dl class="facts">
      <dt>Id</dt><dd><code class="whole">{s.id}</code></dd>
      <dt>Mode</dt><dd>{s.mode}<small>{s.mode_reason}</small></dd>
      <dt>Network</dt><dd>{s.network}, {s.profile} addresses<small><code>{s.protocol}</code></small></dd>
      {s.lan && <><dt>Local network</dt><dd>{s.lan.mode}, {plural(s.lan.peers, "peer")}<small><code>{s.lan.protocol}</code></small></dd></>}
      <dt>Listens</dt><dd>{s.addrs.length ? s.addrs.slice(0, 6).map((a) => <code class="line" key={a}>{a}</code>) : "nowhere: it can only ask"}</dd>
      <dt>Keys</dt><dd>{s.namespaces.map((n) => `/${n}`).join(" ")}</dd>
      <dt>Lookups</dt><dd>{count(c.anew + c.begun)} walked<small>{count(c.joined)} joined another, {count(c.answered + c.missing)} answered from memory</small></dd>
    </dl>
  );
}

