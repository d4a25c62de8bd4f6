// Light or dark: the system's, unless the reader says otherwise.
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

const remembered = "kdht-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");
const motion = window.matchMedia("(prefers-reduced-motion: reduce)");

export const theme = signal<Theme>(stored());
/** Changes whenever colours do. */
export const dark = signal(system.matches);
/** Whether nothing is to move by itself. */
export const still = signal(motion.matches);

function stored(): Theme {
  const t = localStorage.getItem(remembered);
  return t === "light" || t === "dark" ? t : "auto";
}

export function keepTheme(): void {
  system.addEventListener("change", settle);
  motion.addEventListener("change", () => (still.value = motion.matches));
  effect(settle);
}

function settle(): void {
  const t = theme.value;
  if (t === "auto") {
    localStorage.removeItem(remembered);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(remembered, t);
    document.documentElement.dataset.theme = t;
  }
  dark.value = t === "auto" ? system.matches : t === "dark";
}

/** A colour of the style sheet, as it is now. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
