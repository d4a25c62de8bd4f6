// The k-bucket map: a row for each prefix length, a cell for each peer.
import { signal } from "@preact/signals";
import { ago, millis, plural, short, span } from "./format";
import { now, table, terms } from "./state";
import type { Bucket, Member } from "./types";

export type State = "fresh" | "quiet" | "stale" | "doubted" | "probing";

export const meanings: Record<State | "free" | "waiting", string> = {
  fresh: "fresh: heard of lately",
  quiet: "quiet: may be probed if somebody wants the place",
  stale: "stale: silent for so long that it is probed",
  doubted: "in doubt: has failed since it was heard of",
  probing: "being probed",
  free: "a free place",
  waiting: "a replacement: waits for a place",
};

export function stateOf(m: Member, at: number): State {
  if (m.probing) return "probing";
  if (m.doubted) return "doubted";
  const silent = at - m.seen;
  if (silent > terms.value.probe_ms) return "stale";
  return silent > terms.value.suspect_ms ? "quiet" : "fresh";
}

/** The member that is looked at. */
export const chosen = signal("");

/** Places that are drawn of a row; wide buckets have thousands. */
const most = 64;

export function BucketMap({ compact }: { compact?: boolean }) {
  const t = table.value;
  if (!t || t.buckets.length === 0) return <p class="empty">The table is empty: nobody is known yet.</p>;
  const first = firstWithMembers(t.buckets);
  return (
    <div class={compact ? "buckets compact" : "buckets"}>
      <div class="bucket names" aria-hidden="true"><span>prefix</span><span>peers</span><span>{compact ? "" : "replacements"}</span><span class="when">refreshed</span></div>
      <ol onKeyDown={compact ? undefined : move} role="list">
        {whole(t.buckets).map((b) => <Row key={b.prefix} bucket={b} compact={compact} entry={b.prefix === first?.prefix} />)}
      </ol>
      {t.shown < t.members && <p class="quiet-text">{t.shown} of {t.members} members are drawn.</p>}
    </div>
  );
}

/** Every row down to the deepest: those that hold nobody are not told. */
function whole(told: Bucket[]): Bucket[] {
  const deepest = Math.max(...told.map((b) => b.prefix));
  return Array.from({ length: deepest + 1 }, (_, prefix) => told.find((b) => b.prefix === prefix) ?? { prefix, room: terms.value.k, refreshed: 0, members: [], waiting: [] });
}

function firstWithMembers(all: Bucket[]): Bucket | undefined {
  return all.find((b) => b.members.some((m) => m.id === chosen.value)) ?? all.find((b) => b.members.length > 0);
}

function Row({ bucket: b, compact, entry }: { bucket: Bucket; compact?: boolean; entry: boolean }) {
  const at = now.value;
  const members = b.members.slice(-most);
  const free = Math.max(0, Math.min(b.room, most) - members.length);
  const inTab = members.find((m) => m.id === chosen.value) ?? members[0];
  const late = b.refreshed > 0 && at - b.refreshed > 2 * terms.value.refresh_ms && b.members.length < b.room;
  return (
    <li class="bucket">
      <span class="prefix" title={`shares ${plural(b.prefix, "leading bit")} with this node`}>{b.prefix}</span>
      <span class="cells">
        {members.map((m) => <Cell key={m.id} m={m} compact={compact} tab={entry && m === inTab} />)}
        {Array.from({ length: free }, (_, i) => <i key={i} class="cell free" aria-hidden="true" />)}
        <small class="held">{b.members.length}/{b.room}</small>
      </span>
      <span class="waiting">
        {!compact && b.waiting.slice(-8).map((id) => <i key={id} class="cell replacement" title={`${short(id)}, waits for a place`} aria-hidden="true" />)}
        {b.waiting.length > 0 && <small>{compact ? `+${b.waiting.length}` : b.waiting.length}<span class="aloud"> replacements</span></small>}
      </span>
      <span class={late ? "when late" : "when"}><span class="aloud">refreshed </span>{b.refreshed ? ago(b.refreshed, at) : b.members.length > 0 ? "not yet" : "–"}</span>
    </li>
  );
}

function Cell({ m, compact, tab }: { m: Member; compact?: boolean; tab: boolean }) {
  const state = stateOf(m, now.value);
  const look = `cell ${state}${m.connected ? " connected" : ""}`;
  if (compact) return <i class={look} aria-hidden="true" />;
  return (
    <button
      type="button" class={look} tabIndex={tab ? 0 : -1} aria-pressed={chosen.value === m.id} onClick={() => (chosen.value = m.id)}
      title={`${short(m.id)}, ${state}, heard of ${ago(m.seen, now.value)}`}
      aria-label={`Peer ${short(m.id)}, ${state}${m.connected ? ", connected" : ""}, heard of ${ago(m.seen, now.value)}`}
    />
  );
}

/** Arrow keys go from cell to cell. */
function move(e: KeyboardEvent): void {
  const cells = [...(e.currentTarget as HTMLElement).querySelectorAll<HTMLButtonElement>("button.cell")];
  const at = cells.indexOf(document.activeElement as HTMLButtonElement);
  if (at < 0) return;
  const row = (c: HTMLElement) => c.closest("li");
  const inRow = cells.filter((c) => row(c) === row(cells[at]));
  const place = inRow.indexOf(cells[at]);
  const other = (step: number): HTMLButtonElement | undefined => {
    let r = row(cells[at]) as Element | null;
    do r = (step > 0 ? r?.nextElementSibling : r?.previousElementSibling) ?? null;
    while (r && !r.querySelector("button.cell"));
    const there = r ? [...r.querySelectorAll<HTMLButtonElement>("button.cell")] : [];
    return there[Math.min(place, there.length - 1)];
  };
  const to = { ArrowRight: cells[at + 1], ArrowLeft: cells[at - 1], ArrowDown: other(1), ArrowUp: other(-1), Home: inRow[0], End: inRow.at(-1) }[e.key];
  if (!to) return;
  e.preventDefault();
  cells[at].tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

export function describe(m: Member, b: Bucket, at: number): [string, string][] {
  return [
    ["Bucket", `${b.prefix}: shares ${plural(b.prefix, "leading bit")} with this node`],
    ["State", meanings[stateOf(m, at)]],
    ["Heard of", ago(m.seen, at)],
    ["Member for", span(at - m.added)],
    ["Answers in", m.took_ms ? `about ${millis(m.took_ms)}` : "not known yet"],
    ["Connection", m.connected ? "open" : "none just now"],
  ];
}
