// The policy page's questions: which are asked by themselves, and when; and the editor they are about.

import { computed, effect, signal, untracked } from "@preact/signals";
import { postJson } from "../../api/client.ts";
import type { Explanation, Generated, PolicyCheck, PolicyEdit, Simulation } from "../../api/policy.ts";
import type { Editor } from "../../editor/editor.ts";
import { extent, loadExtent } from "../search.ts";
import { printRfc3339, resolve } from "../time.ts";
import { changePolicy, isPolicy, policyView, shownRange } from "../view.ts";
import { Question } from "./ask.ts";
import { before, text } from "./kept.ts";
import { changesOf } from "./places.ts";
import { bodyOf, readRequest } from "./request.ts";

const post =
  <T>(path: string) =>
  (body: unknown, stopped: AbortSignal) =>
    postJson<T>(`/api/v1/policy/${path}`, body, stopped);

/** kube-apiservers that a policy can be checked for; the newest is the first choice. */
export const TARGETS = Array.from({ length: 13 }, (_, at) => `1.${36 - at}`);
export const target = signal(TARGETS[0]!);

export const check = new Question<PolicyCheck>(post("check"));
export const explained = new Question<Explanation>(post("explain"));
export const simulated = new Question<Simulation>(post("simulate"));
export const compared = new Question<Simulation>(post("simulate"));
export const generated = new Question<Generated>(post("generate"));
/** A profile on its way into the editor. */
export const template = new Question<Generated>(post("generate"));

/** The editor that is on the page, once its chunk is there. */
export const editor = signal<Editor | null>(null);

/** What the server said about this very text; null while it is asked. */
export const checked = computed<PolicyCheck | null>(() => {
  const { value, key } = check.answer.value;
  return value !== null && key === keyOfCheck.value ? value : null;
});
const keyOfCheck = computed(() => JSON.stringify([text.value, target.value]));

export const isBlank = computed(() => text.value.trim() === "");
/** Whether kube-apiserver would take the text: only then it can be asked anything. */
export const isUsable = computed(() => !isBlank.value && checked.value?.ok === true);

/** The request as it was read; null where there is none. */
export const request = computed(() => {
  const { request } = policyView.value;
  return request.trim() === "" ? null : readRequest(request);
});

/** Where and what the traffic is. */
const traffic = computed(() => {
  const { filter } = policyView.value;
  const range = shownRange.value;
  return { filter, range };
});

function trafficBody(): Record<string, string> {
  const { filter, range } = traffic.peek();
  const { since, until } = resolve(range ?? { since: null, until: null }, Date.now() * 1000);
  return {
    ...(filter.trim() === "" ? {} : { filter: filter.trim() }),
    ...(since === null ? {} : { since: printRfc3339(since) }),
    ...(until === null ? {} : { until: printRfc3339(until) }),
  };
}

export const keyOfSimulation = computed(() => JSON.stringify([text.value, traffic.value]));
export const keyOfComparison = computed(() => JSON.stringify([before.value, text.value, traffic.value]));

export function simulate(): void {
  void simulated.ask(keyOfSimulation.peek(), { policies: [text.peek()], ...trafficBody() });
}

export function compare(): void {
  void compared.ask(keyOfComparison.peek(), { policies: [before.peek(), text.peek()], ...trafficBody() });
}

export function generate(): void {
  const { profile, budget, keep } = policyView.peek();
  const body =
    budget === null
      ? { profile: profile ?? PROFILES[0]!.name }
      : { budget, profile: profile ?? "forensics", ...(keep.trim() === "" ? {} : { mustKeep: keep.trim() }), ...trafficBody() };
  void generated.ask(JSON.stringify(body), body);
}

export const PROFILES: { name: string; words: string }[] = [
  { name: "minimal", words: "small disks: changes, secrets, ways into pods, failed logins" },
  { name: "security", words: "detection: everything but routine, bodies of what attackers change" },
  { name: "compliance", words: "proof of who did what: every request but probes, bodies of changes to rights" },
  { name: "forensics", words: "reconstruction: bodies of every change, both ways" },
  { name: "gce", words: "what GKE's clusters had by default, rule for rule" },
  { name: "latency", words: "following controllers: every request with its times, without bodies" },
];

/** Another text into the editor; what was there comes back by undo. */
export function take(policy: string): void {
  const shown = editor.peek();
  if (shown) shown.setText(policy);
  else text.value = policy;
}

export async function takeProfile(profile: string): Promise<void> {
  await template.ask(profile, { profile });
  const { value } = template.answer.peek();
  if (value) take(value.policy);
}

/** A fix of the list; nothing where the text is no longer that of the list. */
export function fix(edits: readonly PolicyEdit[]): void {
  const changes = checked.peek() === null ? null : changesOf(text.peek(), edits);
  if (changes !== null) editor.peek()?.apply(changes);
}

/** Shows a line: on a phone the editor has to be there for that. */
export function goToLine(line: number): void {
  if (policyView.peek().pane !== "editor") changePolicy({ pane: "editor" }, "replace");
  // After the pane is drawn.
  requestAnimationFrame(() => editor.peek()?.reveal(line, true));
}

/** Joins the questions to the page; the returned function ends that. */
export function startAsking(): () => void {
  const looking = new AbortController();
  if (extent.peek() === null) void loadExtent(looking.signal).catch(() => undefined);
  const ends = [
    effect(() => {
      const key = keyOfCheck.value;
      if (isBlank.value) untracked(() => check.clear());
      else untracked(() => check.askSoon(key, { policy: text.peek(), targetVersion: target.peek() }));
    }),
    effect(() => {
      const { tab } = policyView.value;
      const read = request.value;
      if (tab !== "explain" || !isUsable.value || read === null || "wrong" in read) return untracked(() => explained.stop());
      const body = { policy: text.value, ...bodyOf(read.asked) };
      untracked(() => explained.askSoon(JSON.stringify(body), body));
    }),
    // The log is asked when the page gets there or the range or filter changes; after a change of the text only by its button:
    // each reads the whole range.
    effect(() => {
      const { tab } = policyView.value;
      traffic.value;
      if (!isUsable.value || !isPolicy.value) return;
      untracked(() => {
        if (tab === "simulate" && isStale(simulated, keyOfSimulation.peek())) simulate();
        if (tab === "compare" && before.peek().trim() !== "" && isStale(compared, keyOfComparison.peek())) compare();
      });
    }),
  ];
  return () => {
    looking.abort();
    for (const end of ends) end();
    for (const question of [check, explained, simulated, compared, generated, template]) question.stop();
  };
}

/** Whether nothing was asked yet, or of another range: a changed text alone waits for the button. */
function isStale(question: Question<Simulation>, key: string): boolean {
  const { key: asked, isRunning } = question.answer.peek();
  if (asked === "") return !isRunning;
  const last = (text: string) => JSON.stringify((JSON.parse(text) as unknown[]).at(-1));
  return last(asked) !== last(key);
}
