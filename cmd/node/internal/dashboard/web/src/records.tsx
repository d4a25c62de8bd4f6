// What this node keeps for others.
import { ago, bytes, count, plural, span } from "./format";
import { type Column, DataTable, Figure, Panel } from "./parts";
import { now, records } from "./state";
import type { NamespaceRow, RecordRow } from "./types";

const left = (expires: number) => (expires === 0 ? "kept for ever" : expires <= now.value ? "about to go" : `in ${span(expires - now.value)}`);

export function Records() {
  const r = records.value;
  if (!r) return <p class="empty">Nothing has been looked at yet.</p>;
  return (
    <>
      <dl class="figures">
        <Figure label="Values" value={count(r.values)} more={bytes(r.bytes)} />
        <Figure label="Provider records" value={count(r.providers)} more="who has what" />
        <Figure label="Announced" value={count(r.providing)} more="keys of our own" />
        <Figure label="Put again" value={count(r.publishing)} more="values of our own" />
        <Figure label="Kept" value={r.dir ? "on disk" : "in memory"} more={r.disk ? (r.disk.refused || r.disk.lost || r.disk.unreadable ? "damaged" : "files are sound") : "until the node ends"} />
      </dl>
      <Panel title="Namespaces" aside={!r.all && <span class="quiet-text">of the first {count(r.scanned)} values</span>}>
        <DataTable label="Values by namespace" columns={namespaces} rows={r.namespaces} id={(n) => n.name} empty="No values are kept." />
      </Panel>
      <Panel title="Values" aside={<span class="quiet-text">{r.rows.length < r.scanned ? `${plural(r.rows.length, "value")} of ${count(r.scanned)} looked at: the most served, then those that expire first` : ""}</span>} wide>
        <DataTable label="Values" columns={values} rows={r.rows} id={(v) => v.name + v.put} empty="No values are kept. Put one under Lookups." />
      </Panel>
    </>
  );
}

const namespaces: Column<NamespaceRow>[] = [
  { name: "Namespace", by: (n) => n.name, show: (n) => <code>/{n.name}</code> },
  { name: "Values", number: true, by: (n) => n.values, show: (n) => count(n.values) },
  { name: "Bytes", number: true, by: (n) => n.bytes, show: (n) => bytes(n.bytes) },
  { name: "Oldest put", number: true, by: (n) => -n.oldest, show: (n) => ago(n.oldest, now.value) },
  { name: "Next expires", number: true, by: (n) => n.expires, show: (n) => left(n.expires) },
  { name: "Served", number: true, by: (n) => n.served, show: (n) => count(n.served) },
];

const values: Column<RecordRow>[] = [
  { name: "Key", by: (v) => v.name, show: (v) => <code class="whole">{v.name}</code> },
  { name: "Bytes", number: true, by: (v) => v.bytes, show: (v) => bytes(v.bytes) },
  { name: "Put", number: true, by: (v) => -v.put, show: (v) => ago(v.put, now.value) },
  { name: "Expires", number: true, by: (v) => v.expires, show: (v) => left(v.expires) },
  { name: "Served", number: true, by: (v) => v.served, show: (v) => count(v.served) },
];
