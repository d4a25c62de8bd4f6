// One lookup, drawn: time from left to right, distance to the target from far above to near
// below, a bar for each request, a line from who told of a peer to when it was asked.
import { useEffect, useRef, useState } from "preact/hooks";
import { millis, plural, short } from "./format";
import { outcome, purpose } from "./list";
import { Id, Panel } from "./parts";
import { download } from "./share";
import { still } from "./theme";
import { type Ask, fateOf, fates, lengthOf, type Mark, type Trace, traceOf } from "./trace";
import type { Lookup } from "./types";

const width = 900, height = 380, left = 46, right = 14, top = 14, bottom = 26;

export function Tracer({ lookup: l }: { lookup: Lookup }) {
  const length = lengthOf(l);
  const [at, seek] = useState<number | null>(null); // null: its end, or what goes on
  const [peer, look] = useState<number | null>(null);
  const t = traceOf(l, at ?? length);
  const chosen = t.marks.find((m) => m.peer === peer);
  return (
    <Panel title={`${purpose(l)}: ${outcome(l)}`} aside={<button type="button" onClick={() => download(l)}>Download</button>}>
      <p class="target"><span>to</span> <code>{l.key}</code></p>
      <Replay length={length} at={at} seek={seek} lookup={l} />
      <Drawing l={l} t={t} until={at ?? length} length={length} peer={peer} look={look} />
      <Key />
      <p class="sum" aria-live={at === null ? "off" : "polite"}>
        <span>{plural(t.asked, "request")}</span><span class="answered">{t.answered} answered</span><span class={t.failed ? "failed" : ""}>{t.failed} failed</span>
        <span>{plural(t.hops, "hop")}</span><span>{plural(t.marks.length, "peer")} heard of</span><span>{millis(at ?? l.end?.t ?? length)}</span>
        {l.cut && <span>cut: it was longer than is remembered</span>}
      </p>
      {chosen ? <Facts l={l} m={chosen} /> : <p class="quiet-text">Point at a peer, or go through the list below.</p>}
      <Requests l={l} t={t} peer={peer} look={look} />
    </Panel>
  );
}

/** The controls that go through a lookup step by step. */
function Replay({ length, at, seek, lookup }: { length: number; at: number | null; seek: (at: number | null) => void; lookup: Lookup }) {
  const [playing, play] = useState(false);
  const shown = at ?? length;
  const times = [...new Set(lookup.steps.map((s) => s.t))];
  const begun = useRef({ wall: 0, at: 0 });
  useEffect(() => {
    if (!playing) return;
    begun.current = { wall: performance.now(), at: shown >= length ? 0 : shown };
    const took = Math.min(8000, Math.max(2500, length)); // a lookup of a millisecond is to be seen as well
    let frame = 0;
    const turn = () => {
      const next = begun.current.at + ((performance.now() - begun.current.wall) * length) / took;
      if (next >= length) {
        seek(null);
        play(false);
        return;
      }
      seek(next);
      frame = requestAnimationFrame(turn);
    };
    frame = requestAnimationFrame(turn);
    return () => cancelAnimationFrame(frame);
  }, [playing]);
  const step = (to: number | undefined) => {
    play(false);
    seek(to === undefined || to >= length ? null : to);
  };
  return (
    <div class="replay" role="group" aria-label="Replay">
      {!still.value && <button type="button" onClick={() => play(!playing)}>{playing ? "Pause" : "Replay"}</button>}
      <button type="button" aria-label="Step back" onClick={() => step(times.findLast((t) => t < shown - 1e-9) ?? 0)}>‹</button>
      <button type="button" aria-label="Step forward" onClick={() => step(times.find((t) => t > shown + 1e-9))}>›</button>
      <input type="range" min={0} max={length} step={length / 400} value={shown} aria-label="Moment of the lookup" aria-valuetext={millis(shown || 0.01)}
        onInput={(e) => step(Number(e.currentTarget.value))} />
      <output>{millis(shown || 0.01)}</output>
    </div>
  );
}

interface Scales {
  x: (t: number) => number;
  y: (d: number) => number;
  far: number;
  near: number;
}

function scales(l: Lookup, length: number): Scales {
  const ds = l.peers.map((p) => p.d);
  const far = 256, near = Math.floor(Math.min(254, ...ds) - 0.5);
  return {
    far, near,
    x: (t) => left + (t / (length * 1.04)) * (width - left - right),
    y: (d) => top + ((far - d) / (far - near)) * (height - top - bottom),
  };
}

function Drawing({ l, t, until, length, peer, look }: { l: Lookup; t: Trace; until: number; length: number; peer: number | null; look: (p: number | null) => void }) {
  const s = scales(l, length);
  const byPeer = new Map(t.marks.map((m) => [m.peer, m]));
  const told = `${plural(t.asked, "request")}, ${t.answered} answered, ${t.failed} failed, over ${plural(t.hops, "hop")} in ${millis(until)}. The list below says the same.`;
  return (
    <div class="drawing">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Time and distance to the target: ${told}`} onMouseLeave={() => look(null)}>
        <Axes s={s} length={length} />
        {t.marks.filter((m) => m.asks.length > 0).map((m) => <Edge key={m.peer} m={m} from={byPeer.get(m.by)} s={s} on={peer === m.peer || peer === m.by} />)}
        {t.marks.map((m) => <Peer key={m.peer} m={m} s={s} on={peer === m.peer} look={look} />)}
        {until < length && <line class="moment" x1={s.x(until)} x2={s.x(until)} y1={top} y2={height - bottom} />}
      </svg>
    </div>
  );
}

function Axes({ s, length }: { s: Scales; length: number }) {
  const step = Math.max(1, Math.ceil((s.far - s.near) / 8));
  const ds = Array.from({ length: Math.floor((s.far - s.near) / step) + 1 }, (_, i) => s.far - i * step);
  const unit = 10 ** Math.floor(Math.log10(length / 2));
  const every = [1, 2, 5, 10].map((n) => n * unit).find((n) => length / n <= 6) ?? length;
  const ts = Array.from({ length: Math.floor(length / every) + 1 }, (_, i) => i * every);
  return (
    <g class="axes">
      {ds.map((d) => <g key={d}><line x1={left} x2={width - right} y1={s.y(d)} y2={s.y(d)} /><text x={left - 6} y={s.y(d) + 4} text-anchor="end">2<tspan class="power" dy="-4">{d}</tspan></text></g>)}
      {ts.map((t) => <text key={t} x={s.x(t)} y={height - 8} text-anchor={t === 0 ? "start" : "middle"}>{t === 0 ? "0" : millis(t)}</text>)}
      <line class="target-line" x1={left} x2={width - right} y1={height - bottom} y2={height - bottom} />
    </g>
  );
}

function superscript(n: number): string {
  return String(n).replace(/\d/g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]);
}

/** From when a peer was told of to when it was asked. */
function Edge({ m, from, s, on }: { m: Mark; from?: Mark; s: Scales; on: boolean }) {
  const x = s.x(m.asks[0].from), y = s.y(m.d);
  if (!from) return <line class={on ? "edge own on" : "edge own"} x1={left} x2={x} y1={y} y2={y} />;
  const fx = s.x(m.heard), fy = s.y(from.d);
  return <path class={on ? "edge on" : "edge"} d={`M${fx} ${fy} C${fx} ${(fy + y) / 2} ${x} ${(fy + y) / 2} ${x} ${y}`} />;
}

function Peer({ m, s, on, look }: { m: Mark; s: Scales; on: boolean; look: (p: number | null) => void }) {
  const y = s.y(m.d);
  const first = m.asks[0];
  if (!first) return <circle class={`heard${m.closest ? " closest" : ""}`} cx={s.x(m.heard)} cy={y} r={2} />;
  const last = m.asks[m.asks.length - 1];
  return (
    <g class={on ? "peer on" : "peer"} onMouseEnter={() => look(m.peer)} onClick={() => look(m.peer)}>
      <rect class="hit" x={s.x(first.from) - 6} y={y - 6} width={s.x(last.to) - s.x(first.from) + 12} height={12} />
      {m.asks.map((a) => <Request key={a.from} a={a} y={y} s={s} />)}
      {m.closest && <circle class="ring" cx={s.x(last.to)} cy={y} r={7.5} />}
      {m.hop > 1 && <text x={s.x(first.from) - 3} y={y - 5} text-anchor="end">{m.hop}</text>}
    </g>
  );
}

function Request({ a, y, s }: { a: Ask; y: number; s: Scales }) {
  const x1 = s.x(a.from), x2 = Math.max(x1 + 1, s.x(a.to));
  const r = 4;
  return (
    <g class={`request ${a.fate}${a.storing ? " storing" : ""}`}>
      <line x1={x1} x2={x2} y1={y} y2={y} />
      {a.fate === "failed" ? <path d={`M${x2 - r} ${y - r}L${x2 + r} ${y + r}M${x2 - r} ${y + r}L${x2 + r} ${y - r}`} />
        : a.storing ? <rect x={x2 - r} y={y - r} width={2 * r} height={2 * r} />
        : a.fate === "late" ? <path class="full" d={`M${x2} ${y - r - 1}L${x2 + r + 1} ${y}L${x2} ${y + r + 1}L${x2 - r - 1} ${y}Z`} />
        : <circle cx={x2} cy={y} r={r} />}
    </g>
  );
}

function Key() {
  const item = (fate: string, text: string, storing = false) => (
    <li><svg viewBox="0 0 34 14" aria-hidden="true"><Request a={{ from: 0, to: 1, fate: fate as Ask["fate"], storing }} y={7} s={{ x: (t) => 4 + 22 * t, y: () => 7, far: 0, near: 0 }} /></svg>{text}</li>
  );
  return (
    <ul class="legend">
      {item("answered", "answered")}{item("late", "late")}{item("failed", "failed")}{item("asking", "under way")}{item("answered", "stored", true)}
      <li><svg viewBox="0 0 34 14" aria-hidden="true"><g class="peer"><circle class="ring" cx="17" cy="7" r="5.5" /></g></svg>among the closest</li>
      <li><svg viewBox="0 0 34 14" aria-hidden="true"><circle class="heard" cx="17" cy="7" r="2" /></svg>heard of, not asked</li>
    </ul>
  );
}

function Facts({ l, m }: { l: Lookup; m: Mark }) {
  return (
    <p class="pointed"><Id id={m.id} link /> 2{superscript(Math.round(m.d))} away{m.hop > 0 && `, hop ${m.hop}`}, told by {m.by < 0 ? "our own table" : short(l.peers[m.by].id)}
      {m.asks.map((a) => <span key={a.from}>; {a.storing ? "store: " : ""}{fates[a.fate]} after {millis(a.to - a.from || 0.01)}{a.cause ? ` (${a.cause})` : ""}</span>)}
      {m.named > 0 && `; named ${plural(m.named, "new peer")}`}
    </p>
  );
}

/** The same as a table, for those who read. */
function Requests({ l, t, peer, look }: { l: Lookup; t: Trace; peer: number | null; look: (p: number | null) => void }) {
  const rows = t.marks.filter((m) => m.asks.length > 0).sort((a, b) => a.asks[0].from - b.asks[0].from);
  return (
    <details>
      <summary>All {rows.length} peers asked</summary>
      <div class="scroll" tabIndex={0} role="group" aria-label="Peers asked, as a table">
        <table>
          <thead><tr><th scope="col">Peer</th><th scope="col" class="number">log₂ distance</th><th scope="col" class="number">Hop</th><th scope="col">Told by</th><th scope="col">Outcome</th><th scope="col" class="number">Took</th><th scope="col" class="number">New</th></tr></thead>
          <tbody>
            {rows.map((m) => (
              <tr key={m.peer} class={peer === m.peer ? "marked" : undefined} onMouseEnter={() => look(m.peer)}>
                <td><Id id={m.id} link /></td><td class="number">{m.d.toFixed(2)}</td><td class="number">{m.hop || "–"}</td>
                <td>{m.by < 0 ? "own table" : <Id id={l.peers[m.by].id} />}</td>
                <td class={fateOf(m)}>{fates[fateOf(m)!]}{m.asks.at(-1)!.cause && <small>{m.asks.at(-1)!.cause}</small>}</td>
                <td class="number">{millis(m.asks[0].to - m.asks[0].from || 0.01)}</td><td class="number">{m.named}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
