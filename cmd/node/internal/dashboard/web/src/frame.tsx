// What stands around every screen: who the node is, how it is, where to go.
import { useEffect, useRef } from "preact/hooks";
import { Lookups } from "./lookups";
import { Overview } from "./overview";
import { Peers } from "./peers";
import { Records } from "./records";
import { names, screen, screens, to } from "./route";
import { link, status, throttle } from "./state";
import { TableScreen } from "./table";
import { theme, type Theme } from "./theme";
import { Throttle } from "./throttle";
import { Traffic } from "./traffic";
import { Id } from "./parts";
import type { Hint } from "./types";

const content = { overview: Overview, table: TableScreen, lookups: Lookups, traffic: Traffic, throttle: Throttle, records: Records, peers: Peers };

export function App() {
  const s = screen.value;
  const Content = content[s];
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${names[s]} · kdht`;
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [s]);
  return (
    <>
      <a class="skip" href="#content" onClick={(e) => { e.preventDefault(); heading.current?.focus(); }}>Skip to the content</a>
      <Head />
      <Nav />
      <Health />
      <main id="content">
        <h1 ref={heading} tabIndex={-1}>{names[s]}</h1>
        {status.value ? <Content /> : <Waiting />}
      </main>
    </>
  );
}

function Waiting() {
  return <p class="empty" role="status">{link.value.why ? `Not connected: ${link.value.why}` : "Waiting for the node…"}</p>;
}

function Head() {
  const s = status.value;
  return (
    <header>
      <a class="mark" href={to("overview")}>
        <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="3" cy="3" r="2" /><circle cx="8" cy="8" r="2" /><circle cx="13" cy="13" r="2" /><circle cx="13" cy="3" r="2" opacity=".45" /></svg>
        kdht
      </a>
      {s && <span class="who"><Id id={s.id} /></span>}
      {s && <span class="tags"><span class="tag">{s.mode}</span><span class="tag">{s.network}</span><code class="protocol">{s.protocol}</code></span>}
      <span class="end"><Link /><ThemeButton /></span>
    </header>
  );
}

function Link() {
  const { state, why } = link.value;
  const text = { connecting: "connecting", live: "live", lost: "not connected", paused: "paused" }[state];
  return <span class={`link ${state}`} role="status" title={why}><i aria-hidden="true" />{text}</span>;
}

const following: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

function ThemeButton() {
  const t = theme.value;
  const icon = { auto: "◐", light: "☀", dark: "☾" }[t];
  return (
    <button type="button" class="quiet" onClick={() => (theme.value = following[t])} aria-label={`Colours: ${t}. Change to ${following[t]}`}>
      <span aria-hidden="true">{icon}</span><span class="label"> {t}</span>
    </button>
  );
}

function Nav() {
  const held = throttle.value?.limited.length ?? 0;
  const bar = useRef<HTMLElement>(null);
  const s = screen.value;
  useEffect(() => bar.current?.querySelector("[aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" }), [s]);
  return (
    <nav aria-label="Screens" ref={bar}>
      <ul>
        {screens.map((s) => (
          <li key={s}>
            <a href={to(s)} aria-current={s === screen.value ? "page" : undefined}>
              {names[s]}
              {s === "throttle" && held > 0 && <span class="badge">{held}<span class="aloud"> held back</span></span>}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const icons: Record<Hint["level"], string> = { ok: "✓", note: "i", warn: "!", bad: "✕" };
const spoken: Record<Hint["level"], string> = { ok: "Fine", note: "Note", warn: "Warning", bad: "Problem" };

function Health() {
  const lost = link.value.state === "lost" && status.value;
  const hints: Hint[] = lost
    ? [{ level: "bad", title: "Not connected", text: `What is shown is old. ${link.value.why}.`, screen: "" }]
    : (status.value?.hints ?? []);
  if (hints.length === 0) return null;
  return (
    <section class="health" aria-label="Health">
      <ul>
        {hints.map((h) => (
          <li key={h.title} class={h.level}>
            <span class="sign" aria-hidden="true">{icons[h.level]}</span>
            <span><span class="aloud">{spoken[h.level]}: </span><strong>{h.title}.</strong> {h.text}{" "}
              {h.screen && h.screen !== screen.value && h.level !== "ok" && <a href={to(h.screen)}>Look</a>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
