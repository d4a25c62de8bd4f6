// Small parts that several screens are made of.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { short } from "./format";
import { to } from "./route";

/** A peer's id: its end, which people tell peers apart by; the whole as a hint. */
export function Id({ id, link }: { id: string; link?: boolean }) {
  const text = <code class="id" title={id}>{short(id)}</code>;
  return link ? <a href={to("peers", id)} aria-label={`Peer ${short(id)}`}>{text}</a> : text;
}

export function Panel({ title, aside, children, wide }: { title: string; aside?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "panel wide" : "panel"} aria-label={title}>
      <div class="title"><h2>{title}</h2>{aside && <div class="aside">{aside}</div>}</div>
      {children}
    </section>
  );
}

export function Figure({ label, value, more }: { label: string; value: ComponentChildren; more?: ComponentChildren }) {
  return <div class="figure"><dt>{label}</dt><dd><b>{value}</b>{more && <small>{more}</small>}</dd></div>;
}

export interface Column<Row> {
  name: string;
  show: (row: Row) => ComponentChildren;
  by?: (row: Row) => number | string;
  number?: boolean;
  /** Left out where the screen is narrow. */
  extra?: boolean;
}

interface Sorting {
  column: number;
  down: boolean;
}

/** A table whose rows can be put in the order of a column. */
export function DataTable<Row>(p: { label: string; columns: Column<Row>[]; rows: Row[]; id: (row: Row) => string; empty: string; first?: Sorting; mark?: (row: Row) => boolean }) {
  const [sorting, sort] = useState<Sorting | null>(p.first ?? null);
  const by = sorting && p.columns[sorting.column].by;
  const rows = by ? [...p.rows].sort((a, b) => order(by(a), by(b)) * (sorting.down ? -1 : 1)) : p.rows;
  if (p.rows.length === 0) return <p class="empty">{p.empty}</p>;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={`${p.label}, as a table`}>
      <table>
        <thead>
          <tr>
            {p.columns.map((c, i) => (
              <th key={c.name} scope="col" class={kind(c)} aria-sort={sorting?.column === i ? (sorting.down ? "descending" : "ascending") : undefined}>
                {c.by ? (
                  <button type="button" onClick={() => sort({ column: i, down: sorting?.column === i ? !sorting.down : !!c.number })}>
                    {c.name}<span aria-hidden="true">{sorting?.column === i ? (sorting.down ? " ▾" : " ▴") : ""}</span>
                  </button>
                ) : c.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={p.id(row)} class={p.mark?.(row) ? "marked" : undefined}>
              {p.columns.map((c) => <td key={c.name} class={kind(c)}>{c.show(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function kind<Row>(c: Column<Row>): string | undefined {
  return [c.number && "number", c.extra && "extra"].filter(Boolean).join(" ") || undefined;
}

function order(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A bar as long as value is of most; the number beside it says the same. */
export function Bar({ value, bad = 0, most }: { value: number; bad?: number; most: number }) {
  const part = (n: number) => `${most > 0 ? Math.min(100, (100 * n) / most) : 0}%`;
  return <span class="bar" aria-hidden="true"><i style={{ width: part(value - bad) }} /><i class="bad" style={{ width: part(bad) }} /></span>;
}
