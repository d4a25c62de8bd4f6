// The connection to the node: server-sent events read with fetch, which tells why it
// fails, where EventSource does not.
import { link, take } from "./state";

const patience = 15_000; // a node that lives says something every two seconds
const longest = 15_000; // between two tries
const hiddenFor = 20_000; // then nobody looks

let ending: AbortController | null = null;
let tries = 0;
let retry = 0;

/** Connects, and again whenever the connection is lost, while the page is visible. */
export function follow(): void {
  let hide = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hide);
    if (!document.hidden) {
      if (link.value.state !== "live") again(0);
      return;
    }
    hide = window.setTimeout(() => {
      clearTimeout(retry);
      link.value = { state: "paused", why: "" };
      ending?.abort();
    }, hiddenFor);
  });
  again(0);
}

function again(after: number): void {
  clearTimeout(retry);
  ending?.abort();
  retry = window.setTimeout(() => void connect(), after);
}

async function connect(): Promise<void> {
  const own = new AbortController();
  ending = own;
  try {
    await read(own);
    throw new Error("the node has ended the connection");
  } catch (err) {
    if (ending !== own || link.value.state === "paused") return;
    link.value = { state: "lost", why: err instanceof Error ? err.message : String(err) };
    again(Math.min(longest, 500 * 2 ** tries++));
  }
}

async function read(own: AbortController): Promise<void> {
  const answer = await fetch("api/events", { signal: own.signal, cache: "no-store" });
  if (!answer.ok || !answer.body) throw new Error(await complaint(answer));
  const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const silent = window.setTimeout(() => own.abort(new Error("the node says nothing any more")), patience);
    const { value, done } = await text.read().finally(() => clearTimeout(silent));
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) hear(event);
  }
}

function hear(event: string): void {
  const name = /^event: (.*)$/m.exec(event)?.[1];
  const data = /^data: (.*)$/m.exec(event)?.[1];
  if (!name || !data) return;
  take(name, JSON.parse(data));
  if (link.value.state !== "live") link.value = { state: "live", why: "" };
  tries = 0;
}

/** What an answer that is no success says. */
export async function complaint(answer: Response): Promise<string> {
  const text = (await answer.text()).trim();
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return text.split("\n")[0].slice(0, 300) || `the node answers ${answer.status}`;
  }
}
