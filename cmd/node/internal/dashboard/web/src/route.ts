// Which screen is shown: the part of the address after the #.
import { computed, signal } from "@preact/signals";

export const screens = ["overview", "table", "lookups", "traffic", "throttle", "records", "peers"] as const;
export type Screen = (typeof screens)[number];

export const names: Record<Screen, string> = {
  overview: "Overview", table: "Table", lookups: "Lookups", traffic: "Traffic",
  throttle: "Throttle", records: "Records", peers: "Peers",
};

const hash = signal(location.hash);
window.addEventListener("hashchange", () => (hash.value = location.hash));

const parts = computed(() => hash.value.replace(/^#\/?/, "").split("/"));

export const screen = computed<Screen>(() => screens.find((s) => s === parts.value[0]) ?? "overview");

/** What of the screen is meant: "#/peers/12D3…" means that peer. */
export const subject = computed(() => decodeURIComponent(parts.value[1] ?? ""));

export function to(s: string, of = ""): string {
  return `#/${s}${of ? `/${encodeURIComponent(of)}` : ""}`;
}
