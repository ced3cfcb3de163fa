// The request that is explained, as people have it at hand: a line of HTTP, a kubectl line, fields, an event's JSON.
//
// Here it only becomes the question for the server; what a path or an event means is the server's to say.

import type { RequestAttributes, RequestOnWire } from "../../api/policy.ts";
import type { AuditEvent, Json } from "../../api/types.ts";
import { quoteValue } from "../terms.ts";
import { isClusterWide, resourceOf } from "./resources.ts";

export type Asked =
  | { kind: "fields"; request: RequestAttributes }
  | { kind: "http"; method: string; target: string; user?: string; groups?: string[] }
  | { kind: "event"; event: AuditEvent };
export type Read = { asked: Asked } | { wrong: string };

export const EXAMPLES = [
  "get secrets -n team-a as bob",
  "GET /api/v1/namespaces/team-a/secrets/db as bob",
  "kubectl exec web-0 -n shop --as=alice",
  "verb:create resource:pods/eviction ns:shop user:bob",
];

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);

/** What a typed or pasted text asks. */
export function readRequest(text: string): Read {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return readEvent(trimmed);
  const words = split(trimmed);
  if (words === null) return { wrong: 'A quote is not closed: user:"a b"' };
  const [first] = words;
  if (first === undefined) return { wrong: `Try: ${EXAMPLES[0]}` };
  if (METHODS.has(first.text)) return readHttp(words);
  if (FIELD.test(first.text) && !first.isQuoted) return readFields(words);
  return readKubectl(words[0]?.text === "kubectl" ? words.slice(1) : words);
}

function readEvent(text: string): Read {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return { wrong: "This begins like JSON but is none. Paste the whole line of one event." };
  }
  const event = value as AuditEvent;
  if (typeof event.verb !== "string" && typeof event.requestURI !== "string")
    return { wrong: "This JSON is no audit event: it has neither `verb` nor `requestURI`." };
  // What a body holds decides nothing, and may be large or secret.
  const { requestObject: _, responseObject: __, ...rest } = event;
  return { asked: { kind: "event", event: rest } };
}

interface Word {
  text: string;
  isQuoted: boolean;
}

/** Words at spaces; quotes keep spaces together, `\` takes the next character as it is. Null: a quote is open. */
function split(text: string): Word[] | null {
  const words: Word[] = [];
  let word: Word | null = null;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote === "" && /\s/.test(character)) {
      if (word) words.push(word);
      word = null;
      continue;
    }
    word ??= { text: "", isQuoted: character === '"' || character === "'" };
    const code = quote === '"' && character === "\\" ? /^\\u([0-9a-fA-F]{4})/.exec(text.slice(at, at + 6)) : null;
    if (code) {
      word.text += String.fromCharCode(Number.parseInt(code[1]!, 16));
      at += 5;
    } else if (character === "\\" && quote !== "'") {
      const next = text[++at] ?? "";
      word.text += quote === '"' && next === "n" ? "\n" : quote === '"' && next === "t" ? "\t" : next;
    } else if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = "";
    else word.text += character;
  }
  if (quote !== "") return null;
  if (word) words.push(word);
  return words;
}

/** `as bob`, `--as bob`, `--as=bob`, `group ops`, `groups ops,dev`, `--as-group=ops`: who asks; the rest is left. */
function takeWho(words: Word[]): { user?: string; groups?: string[]; rest: Word[]; wrong?: string } {
  const groups: string[] = [];
  const rest: Word[] = [];
  let user: string | undefined;
  let wrong: string | undefined;
  for (let at = 0; at < words.length; at++) {
    const { text } = words[at]!;
    const flag = /^(as|by|user|--as|--user|groups?|--as-group|--group)(?:=(.*))?$/s.exec(text);
    // `as` and its like are words only behind what is asked.
    if (!flag || (at === 0 && !text.startsWith("--"))) {
      rest.push(words[at]!);
      continue;
    }
    const value = flag[2] ?? words[++at]?.text;
    if (value === undefined) wrong = `\`${text}\` needs a name behind it.`;
    else if (flag[1]!.includes("group")) groups.push(...value.split(",").filter((group) => group !== ""));
    else user = value;
  }
  return { ...(user === undefined ? {} : { user }), ...(groups.length ? { groups } : {}), rest, ...(wrong ? { wrong } : {}) };
}

function readHttp(words: Word[]): Read {
  const { rest, wrong, ...who } = takeWho(words);
  if (wrong) return { wrong };
  const [method, target, version, more] = rest.map(({ text }) => text);
  if (target === undefined) return { wrong: `${method} needs a path: ${method} /api/v1/pods` };
  if (more !== undefined || (version !== undefined && !/^HTTP\//.test(version)))
    return { wrong: `\`${more ?? version}\` is one word too many. Who asks is said by \`as NAME\`.` };
  // Out of a browser's or curl's line: the server reads paths.
  const path = target.replace(/^https?:\/\/[^/]+/, "") || "/";
  if (!path.startsWith("/")) return { wrong: `\`${target}\` is no path: it begins with \`/\`.` };
  return { asked: { kind: "http", method: method!, target: path, ...who } };
}

/** kubectl's words for the verbs of the API; with a subresource where the word means one. */
const KUBECTL: Record<string, { verb: string; subresource?: string; resource?: string }> = {
  describe: { verb: "get" },
  apply: { verb: "patch" },
  edit: { verb: "patch" },
  label: { verb: "patch" },
  annotate: { verb: "patch" },
  replace: { verb: "update" },
  scale: { verb: "patch", subresource: "scale" },
  // kubectl 1.31 and later ask over WebSockets, which is a GET.
  exec: { verb: "get", subresource: "exec", resource: "pods" },
  attach: { verb: "get", subresource: "attach", resource: "pods" },
  "port-forward": { verb: "create", subresource: "portforward", resource: "pods" },
  logs: { verb: "get", subresource: "log", resource: "pods" },
};
const VERBS = new Set(
  "get list watch create update patch delete deletecollection proxy connect impersonate bind escalate use approve sign post put head".split(
    " ",
  ),
);

function readKubectl(all: Word[]): Read {
  const { rest, wrong, ...who } = takeWho(all);
  if (wrong) return { wrong };
  const words: string[] = [];
  let namespace: string | undefined;
  let isEverywhere = false;
  let subresource: string | undefined;
  let isWatch = false;
  let isAll = false;
  for (let at = 0; at < rest.length; at++) {
    const { text } = rest[at]!;
    const flag = /^(-n|--namespace|--subresource|-c|--container|-o|--output|-l|--selector|-f|--filename)(?:=(.*))?$/s.exec(text);
    if (text === "--") break; // what is run inside a container
    if (text === "-A" || text === "--all-namespaces") isEverywhere = true;
    else if (text === "-w" || text === "--watch") isWatch = true;
    else if (text === "--all") isAll = true;
    else if (flag) {
      const value = flag[2] ?? rest[++at]?.text;
      if (value === undefined) return { wrong: `\`${text}\` needs a value behind it.` };
      if (flag[1] === "-n" || flag[1] === "--namespace") namespace = value;
      if (flag[1] === "--subresource") subresource = value;
    } else if (text === "in" && rest[at + 1]) namespace = rest[++at]!.text;
    else if (!text.startsWith("-")) words.push(text);
  }
  const [said, ...things] = words;
  const known = KUBECTL[said?.toLowerCase() ?? ""];
  const verb = known?.verb ?? said?.toLowerCase() ?? "";
  if (!known && !VERBS.has(verb)) return { wrong: `\`${said}\` is no verb. Try: ${EXAMPLES.join(" · ")}` };
  if (things[0]?.startsWith("/")) return { asked: { kind: "fields", request: { verb, path: things[0], ...who } } };
  if (known?.resource) things.unshift(...(things[0]?.includes("/") ? [] : [known.resource]));
  const [thing, given] = things;
  if (thing === undefined) return { wrong: `${said} what? ${said} secrets -n team-a` };
  // `pods/log web-0` is the API's form, `pod/web-0` kubectl's: what stands behind `/` is a name where nothing follows.
  const isName = thing.includes("/") && given === undefined && !SUBRESOURCES.has(thing.slice(thing.indexOf("/") + 1));
  const [resource, name] = isName ? [thing.slice(0, thing.indexOf("/")), thing.slice(thing.indexOf("/") + 1)] : [thing, given];
  const found = resourceOf(resource);
  const sub = subresource ?? known?.subresource ?? found.subresource;
  const isCluster = isClusterWide(found.resource);
  const place = isEverywhere || isCluster ? undefined : (namespace ?? "default");
  const meant =
    verb === "get" && name === undefined && sub === undefined
      ? isWatch
        ? "watch"
        : "list"
      : verb === "delete" && isAll
        ? "deletecollection"
        : verb;
  const request: RequestAttributes = { verb: meant, apiGroup: found.group, resource: found.resource, ...who };
  if (found.version) request.apiVersion = found.version;
  if (sub) request.subresource = sub;
  if (place !== undefined) request.namespace = place;
  if (name !== undefined) request.name = name;
  return { asked: { kind: "fields", request } };
}

const SUBRESOURCES = new Set(
  "log exec attach portforward proxy status scale eviction binding token finalize ephemeralcontainers resize approval".split(" "),
);

/** The fields of the form, in its order, with their words in the line. */
export const FIELDS = [
  ["verb", "verb"],
  ["resource", "resource"],
  ["namespace", "ns"],
  ["name", "name"],
  ["user", "user"],
  ["groups", "group"],
  ["path", "path"],
] as const;
const FIELD = /^(verb|resource|group|apiGroup|apiVersion|subresource|ns|namespace|name|user|path):/;

function readFields(words: Word[]): Read {
  const request: RequestAttributes = { verb: "" };
  for (const { text } of words) {
    const match = FIELD.exec(text);
    if (!match) return { wrong: `\`${text}\` is no field. There are verb, resource, ns, name, user, group, path.` };
    const value = text.slice(match[0].length);
    if (match[1] === "resource") {
      const { resource, group, version, subresource } = resourceOf(value);
      Object.assign(request, { resource, apiGroup: group }, version && { apiVersion: version }, subresource && { subresource });
    } else if (match[1] === "group") request.groups = [...(request.groups ?? []), value];
    else if (match[1] === "ns" || match[1] === "namespace") request.namespace = value;
    else request[match[1] as "verb"] = value;
  }
  return request.verb === "" ? { wrong: "A verb is missing: verb:get" } : { asked: { kind: "fields", request } };
}

/** The line of fields that asks for exactly this; read back it is the same. */
export function printRequest(request: Partial<RequestAttributes>): string {
  const { verb, resource, apiGroup, apiVersion, subresource, namespace, name, user, groups, path } = request;
  const thing = resource && [resource, apiGroup && apiVersion, apiGroup].filter(Boolean).join(".") + (subresource ? `/${subresource}` : "");
  const known = resource && resourceOf(resource).group === (apiGroup ?? "") && !apiVersion;
  const pairs: [string, string | undefined][] = [
    ["verb", verb],
    ["resource", known ? resource + (subresource ? `/${subresource}` : "") : thing],
    ["ns", namespace],
    ["name", name],
    ["path", path],
    ["user", user],
    ...(groups ?? []).map((group): [string, string] => ["group", group]),
  ];
  return pairs
    .filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "")
    .map(([key, value]) => `${key}:${quoteValue(value)}`)
    .join(" ");
}

/** What the fields of the form hold for a text; null where it is no list of fields and no kubectl line. */
export function fieldsOf(text: string): Partial<RequestAttributes> | null {
  const read = readRequest(text);
  return "asked" in read && read.asked.kind === "fields" ? read.asked.request : null;
}

/** What is sent to /api/v1/policy/explain beside the policy. */
export function bodyOf(asked: Asked): { request: RequestOnWire } | { event: AuditEvent } {
  if (asked.kind === "event") return { event: asked.event };
  const { user, groups, ...rest } = asked.kind === "fields" ? asked.request : asked;
  const { kind: _, ...request } = rest as { kind?: string };
  // Groups without a name are those of somebody whose name does not matter; without both it is nobody.
  return {
    request: { ...request, ...(user === undefined && !groups ? {} : { user: { name: user ?? "", ...(groups ? { groups } : {}) } }) },
  };
}

/** A request as the server says it, as the page writes it. */
export function fromWire({ user, ...request }: RequestOnWire): Partial<RequestAttributes> {
  return {
    ...request,
    ...(user ? { ...(user.name === "" ? {} : { user: user.name }), ...(user.groups?.length ? { groups: user.groups } : {}) } : {}),
  };
}

/** The request of an event for the address: its path says what it asked, its verb how. A policy is asked about the user
    who came, not whom they acted as. */
export function requestOfEvent(event: AuditEvent): string {
  const METHOD: Record<string, string> = { create: "POST", update: "PUT", patch: "PATCH", delete: "DELETE", deletecollection: "DELETE" };
  const verb = event.verb ?? "get";
  const uri = event.requestURI ?? "/";
  const sub = event.objectRef?.subresource;
  // Of a connection the verb does not tell the method (exec is `create` by POST, `get` by WebSocket): it is the verb's own.
  const method = METHOD[verb] ?? (["get", "list", "watch"].includes(verb) || sub ? "GET" : verb.toUpperCase());
  if (!METHODS.has(method)) return "";
  const user = event.user?.username;
  const groups = (event.user?.groups ?? []).filter((group) => typeof group === "string");
  const words = [method, quoteWord(uri)];
  if (user) words.push("as", quoteWord(user));
  for (const group of groups) words.push("group", quoteWord(group));
  return words.join(" ");
}

function quoteWord(text: string): string {
  return /^[^\s"'\\\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff,]+$/.test(text) ? text : quoteAlways(text);
}

function quoteAlways(text: string): string {
  const quoted = quoteValue(text);
  return quoted.startsWith('"') ? quoted : `"${quoted}"`;
}
