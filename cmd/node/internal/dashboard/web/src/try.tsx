// A box to try things: put, get, announce, find.
import { signal } from "@preact/signals";
import { ask } from "./api";
import { millis, plural } from "./format";
import { tried } from "./list";
import { lookups } from "./state";
import type { Report } from "./types";

interface Operation {
  name: string;
  does: string;
  what: string;
  sample: string;
}

const operations: Record<string, Operation> = {
  put: { name: "Put", does: "Stores a text with the peers nearest to its key. Without a key the value names itself.", what: "Key", sample: "left empty: /imm/<its hash>" },
  get: { name: "Get", does: "Finds the value of a key.", what: "Key", sample: "/imm/… or /mut/…" },
  provide: { name: "Provide", does: "Announces that this node has some content.", what: "CID", sample: "bafk…" },
  "find-providers": { name: "Find providers", does: "Finds who has some content.", what: "CID", sample: "bafk…" },
  "find-peer": { name: "Find a peer", does: "Finds the addresses of a peer.", what: "Peer id", sample: "12D3Koo…" },
  closest: { name: "Closest", does: "Finds the peers nearest to any key.", what: "Key, CID or peer id", sample: "anything" },
};

interface Result {
  key?: string;
  value?: string;
  id?: string;
  addrs?: string[];
  peers?: { id: string; addrs: string[] }[];
  providers?: { id: string; addrs: string[] }[];
  report: Report;
}

const chosen = signal("put");
const key = signal("");
const value = signal("");
const busy = signal(false);
const result = signal<{ of: string; what?: Result; error?: string } | null>(null);

async function go(e: Event): Promise<void> {
  e.preventDefault();
  const of = chosen.value;
  busy.value = true;
  result.value = null;
  tried.value = Math.max(0, ...lookups.value.map((l) => l.id));
  try {
    const what = await ask<Result>(of, of === "put" ? { key: key.value.trim(), value: value.value } : { key: key.value.trim() });
    result.value = { of, what };
  } catch (err) {
    result.value = { of, error: (err as Error).message };
  } finally {
    busy.value = false;
  }
}

export function Try() {
  const op = operations[chosen.value];
  return (
    <div class="try">
      <form onSubmit={(e) => void go(e)}>
        <label><span>Operation</span>
          <select value={chosen.value} onChange={(e) => { chosen.value = e.currentTarget.value; result.value = null; }}>
            {Object.entries(operations).map(([id, o]) => <option key={id} value={id}>{o.name}</option>)}
          </select>
        </label>
        {chosen.value === "put" && (
          <label class="grow"><span>Value</span><input value={value.value} required maxLength={60000} placeholder="any text" onInput={(e) => (value.value = e.currentTarget.value)} /></label>
        )}
        <label class="grow"><span>{op.what}</span>
          <input value={key.value} required={chosen.value !== "put"} maxLength={2000} spellcheck={false} autocomplete="off" placeholder={op.sample} onInput={(e) => (key.value = e.currentTarget.value)} />
        </label>
        <button type="submit" class="main" disabled={busy.value}>{busy.value ? "Running…" : op.name}</button>
      </form>
      <p class="quiet-text">{op.does}</p>
      <div role="status">{result.value && <Outcome />}</div>
    </div>
  );
}

function Outcome() {
  const { what, error, of } = result.value!;
  if (error) return <p class="complaint">{error}</p>;
  const r = what!.report;
  return (
    <div class="outcome">
      <p>{summary(of, what!)} <span class="quiet-text">{plural(r.asked, "request")}, {r.answered} answered, {plural(r.hops, "hop")}, {millis(r.duration_ms || 0.1)}</span></p>
      {what!.key && <p><code class="whole">{what!.key}</code> <button type="button" onClick={() => { chosen.value = "get"; key.value = what!.key!; result.value = null; }}>Get it</button></p>}
      {of === "get" && what!.value !== undefined && <pre tabIndex={0}>{text(what!.value)}</pre>}
      <Addresses rows={what!.providers ?? what!.peers ?? (what!.id ? [{ id: what!.id, addrs: what!.addrs ?? [] }] : [])} />
    </div>
  );
}

function summary(of: string, w: Result): string {
  switch (of) {
    case "put":
      return `Stored with ${plural(w.report.holders.length, "peer")}.`;
    case "get":
      return `Found, with ${plural(w.report.holders.length, "holder")}.`;
    case "provide":
      return `Announced to ${plural(w.report.holders.length, "peer")}.`;
    case "find-providers":
      return `${plural(w.providers?.length ?? 0, "provider")} found.`;
    case "closest":
      return `The ${plural(w.peers?.length ?? 0, "nearest peer")}.`;
    default:
      return "Found.";
  }
}

/** A value comes in base64; what is no text is shown as hexadecimal. */
function text(base64: string): string {
  const raw = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(raw);
  } catch {
    return [...raw.slice(0, 4096)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
  }
}

function Addresses({ rows }: { rows: { id: string; addrs: string[] }[] }) {
  if (rows.length === 0) return null;
  return <ul class="addresses">{rows.map((p) => <li key={p.id}><code class="whole">{p.id}</code><small>{p.addrs.slice(0, 3).join("  ")}</small></li>)}</ul>;
}
