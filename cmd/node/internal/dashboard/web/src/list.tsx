// Lookups as a list.
import { signal } from "@preact/signals";
import { clock, millis, plural } from "./format";
import { to } from "./route";
import type { Lookup } from "./types";

/** The lookup that is drawn: its number, and its file if it came from one. */
export const drawn = signal<{ id: number; file?: string } | null>(null);

/** What is tried is drawn: the first lookup after the one with this number. */
export const tried = signal<number | null>(null);

const purposes: Record<string, string> = {
  FIND_NODE: "closest peers", GET_VALUE: "value", PUT_VALUE: "store a value",
  GET_PROVIDERS: "providers", ADD_PROVIDER: "announce", PING: "ping",
};

export function purpose(l: Lookup): string {
  return l.upkeep ? "refresh" : (purposes[l.type] ?? l.type);
}

/** How it ended, in a word or two. */
export function outcome(l: Lookup): string {
  if (!l.end) return "under way";
  if (l.end.error) return l.end.error;
  if (l.type === "PUT_VALUE" || l.type === "ADD_PROVIDER") return `stored with ${l.end.holders.length}`;
  if (l.end.value) return "found";
  if (l.type === "GET_PROVIDERS") return plural(l.end.providers ?? 0, "provider");
  if (l.end.providers) return "found";
  return `${l.end.closest.length} closest`;
}

export function LookupList({ rows, empty, link, chosen }: { rows: Lookup[]; empty: string; link?: boolean; chosen?: Lookup }) {
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <ul class="lookups">
      {rows.map((l) => {
        const on = chosen?.id === l.id && chosen.file === l.file;
        const inside = (
          <>
            <span class={l.end?.error ? "dot bad" : l.end ? "dot ok" : "dot now"} aria-hidden="true" />
            <span class="what">{purpose(l)}{l.file && <span class="tag">file</span>}</span>
            <code class="key" title={l.key}>{l.key}</code>
            <span class="how">{outcome(l)}</span>
            <span class="took">{l.end ? millis(l.end.t || 0.1) : "…"}</span>
            <time>{clock(l.began)}</time>
          </>
        );
        const choose = () => {
          tried.value = null;
          drawn.value = { id: l.id, file: l.file };
        };
        return (
          <li key={`${l.id} ${l.file ?? ""}`}>
            {link ? <a href={to("lookups")} onClick={choose}>{inside}</a> : <button type="button" aria-pressed={on} onClick={choose}>{inside}</button>}
          </li>
        );
      })}
    </ul>
  );
}
