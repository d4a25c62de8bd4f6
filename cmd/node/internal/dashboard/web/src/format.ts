// Numbers, times and names, as people read them.

const units: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** A span of milliseconds in its largest unit or two: "3 h 20 min", "12 s". */
export function span(ms: number): string {
  let left = Math.max(0, Math.round(ms / 1000));
  const at = units.findIndex(([size]) => left >= size);
  if (at < 0) return "0 s";
  const [size, unit] = units[at];
  const first = Math.floor(left / size);
  left -= first * size;
  const next = units[at + 1];
  if (first >= 10 || !next || next[0] < 60 || left < next[0]) return `${first} ${unit}`;
  return `${first} ${unit} ${Math.floor(left / next[0])} ${next[1]}`;
}

/** How long ago a moment was; a dash for none. */
export function ago(at: number, now: number): string {
  if (!at) return "–";
  return now - at < 1500 ? "now" : `${span(now - at)} ago`;
}

/** Milliseconds as a request takes them. */
export function millis(ms: number | undefined): string {
  if (!ms) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

export function count(n: number): string {
  return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f");
}

export function rate(n: number): string {
  if (n === 0) return "0";
  if (n < 10) return n.toFixed(1);
  return count(n);
}

export function bytes(n: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < names.length - 1) {
    n /= 1024;
    i++;
  }
  return `${i === 0 || n >= 10 ? Math.round(n) : n.toFixed(1)} ${names[i]}`;
}

/** The part of a peer's id by which people tell it from others. */
export function short(id: string): string {
  return id.length > 14 ? `…${id.slice(-8)}` : id;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}
