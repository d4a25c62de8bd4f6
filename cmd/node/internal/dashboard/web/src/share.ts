// A lookup as a file, to be kept, sent, and looked at again.
import { loaded } from "./state";
import type { Lookup } from "./types";

const format = "kdht-lookup";
const version = 1;
const largest = 4 << 20;
const maxLoaded = 20;

export function download(l: Lookup): void {
  const { file: _, ...lookup } = l;
  const text = JSON.stringify({ format, version, lookup }, null, 1);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = `lookup-${l.id}-${new Date(l.began).toISOString().slice(0, 19).replaceAll(":", "")}.json`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Takes in a file; throws why it is none. */
export async function load(file: File): Promise<Lookup> {
  if (file.size > largest) throw new Error(`the file has more than ${largest >> 20} MiB: it is no lookup of this page`);
  let found: { format?: string; version?: number; lookup?: unknown };
  try {
    found = JSON.parse(await file.text());
  } catch {
    throw new Error("the file is no JSON: choose one that was downloaded here");
  }
  if (found?.format !== format || found.version !== version) throw new Error("the file holds no lookup that this page knows: choose one that was downloaded here");
  const l = { ...checked(found.lookup), file: file.name };
  loaded.value = [...loaded.value.filter((o) => o.id !== l.id || o.file !== l.file), l].slice(-maxLoaded);
  return l;
}

const kinds = ["asking", "answered", "slow", "failed"];

/** Makes a lookup of what a stranger may have written. */
export function checked(from: unknown): Lookup {
  const l = from as Lookup;
  const numbers = (all: unknown): number[] => (Array.isArray(all) ? all.filter((n) => Number.isInteger(n) && n >= 0 && n < 1000) : []);
  const num = (n: unknown): number => (typeof n === "number" && Number.isFinite(n) ? n : 0);
  const text = (s: unknown): string => (typeof s === "string" ? s.slice(0, 500) : "");
  if (!l || !Array.isArray(l.peers) || !Array.isArray(l.steps)) throw new Error("the file's lookup has no peers or steps: it is damaged");
  return {
    id: num(l.id), key: text(l.key), type: text(l.type), began: num(l.began), upkeep: !!l.upkeep, cut: !!l.cut,
    peers: l.peers.slice(0, 1000).map((p) => ({ id: text(p?.id), d: Math.min(256, Math.max(0, num(p?.d))) })),
    steps: l.steps.filter((s) => s && kinds.includes(s.k)).slice(0, 2000)
      .map((s) => ({ k: s.k, t: Math.max(0, num(s.t)), p: num(s.p ?? -1), h: num(s.h), c: numbers(s.c), type: text(s.type), e: text(s.e) }))
      .sort((a, b) => a.t - b.t),
    end: l.end ? {
      t: Math.max(0, num(l.end.t)), error: text(l.end.error), asked: num(l.end.asked), answered: num(l.end.answered), failed: num(l.end.failed),
      hops: num(l.end.hops), closest: numbers(l.end.closest), holders: numbers(l.end.holders), value: num(l.end.value), providers: num(l.end.providers),
    } : undefined,
  };
}
