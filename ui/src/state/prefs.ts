// What a person set for this browser. Beside it only saved searches are kept in localStorage (`kept.ts`), and no credential ever.

import { effect, signal } from "@preact/signals";
import type { Zone } from "./time.ts";

export type Theme = "system" | "light" | "dark";
export type Density = "normal" | "compact";

export interface Prefs {
  theme: Theme;
  zone: Zone;
  density: Density;
  /** Single letters as shortcuts (WCAG 2.1.4 asks for a switch). */
  shortcuts: "on" | "off";
}

const KEY = "decklog";
const CHOICES: { [K in keyof Prefs]: readonly Prefs[K][] } = {
  theme: ["system", "light", "dark"],
  zone: ["local", "utc"],
  density: ["normal", "compact"],
  shortcuts: ["on", "off"],
};

function read(): Prefs {
  let kept: Record<string, unknown> = {};
  try {
    kept = (JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {}) as Record<string, unknown>;
  } catch {
    // Storage may be off, or hold something else: the defaults do.
  }
  const pick = <K extends keyof Prefs>(key: K): Prefs[K] => CHOICES[key].find((choice) => choice === kept[key]) ?? CHOICES[key][0]!;
  return { theme: pick("theme"), zone: pick("zone"), density: pick("density"), shortcuts: pick("shortcuts") };
}

export const prefs = signal<Prefs>(read());

export function setPref<K extends keyof Prefs>(key: K, value: Prefs[K]): void {
  prefs.value = { ...prefs.value, [key]: value };
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs.value));
  } catch {
    // Then it holds until the page is left.
  }
}

effect(() => {
  const { theme, density } = prefs.value;
  const { dataset } = document.documentElement;
  dataset.theme = theme;
  dataset.density = density;
});
