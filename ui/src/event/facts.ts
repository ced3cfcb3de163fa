// What an event says, by the definitions of the filter language (docs/filter.md): one word, one meaning.

import type { AuditEvent } from "../api/types.ts";
import { type Micros, parseRfc3339 } from "../state/time.ts";

export type Outcome = "allowed" | "denied" | "error";
export type VerbClass = "connect" | "read" | "change" | "delete" | "other";

const CONNECTING = new Set(["exec", "attach", "portforward", "proxy"]);
const READING = new Set(["get", "list", "watch", "head", "options"]);
const CHANGING = new Set(["create", "update", "patch", "post", "put"]);
const DELETING = new Set(["delete", "deletecollection"]);
const QUESTIONS = new Set([
  "subjectaccessreviews",
  "selfsubjectaccessreviews",
  "localsubjectaccessreviews",
  "selfsubjectrulesreviews",
  "tokenreviews",
  "selfsubjectreviews",
]);

/** Null before there is a code. */
export function outcomeOf(event: AuditEvent): Outcome | null {
  if (event.stage === "Panic") return "error";
  const code = event.responseStatus?.code;
  if (typeof code !== "number") return null;
  if (code === 401 || code === 403) return "denied";
  return code < 400 ? "allowed" : "error";
}

export function verbClassOf(event: AuditEvent): VerbClass {
  const { verb, objectRef } = event;
  if (CONNECTING.has(objectRef?.subresource ?? "") || verb === "proxy") return "connect";
  if (
    verb === "create" &&
    /^auth(entication|orization)\.k8s\.io$/.test(objectRef?.apiGroup ?? "") &&
    QUESTIONS.has(objectRef?.resource ?? "")
  ) {
    return "read";
  }
  if (READING.has(verb ?? "")) return "read";
  if (CHANGING.has(verb ?? "")) return "change";
  return DELETING.has(verb ?? "") ? "delete" : "other";
}

/** Words for whom nobody could name: a 401, or an event from before authentication. */
export const NOBODY = "not authenticated";

export function actorOf(event: AuditEvent): string | null {
  return event.user?.username || null;
}

export function actedAs(event: AuditEvent): string | null {
  return event.impersonatedUser?.username || null;
}

/** The name of the object; of a create with generateName the one in the answer. */
export function nameOf(event: AuditEvent): string | null {
  const name = event.objectRef?.name;
  if (typeof name === "string") return name;
  if (event.verb !== "create") return null;
  const answer = event.responseObject as { metadata?: { name?: unknown } } | null | undefined;
  const made = answer?.metadata?.name;
  return typeof made === "string" && made !== "" ? made : null;
}

/** `pods/exec`. */
export function resourceOf(event: AuditEvent): string | null {
  const object = event.objectRef;
  if (!object?.resource) return null;
  return object.subresource ? `${object.resource}/${object.subresource}` : object.resource;
}

/** `secrets pay/db`, `namespaces shop`, or the path of a request that is about no object. */
export function objectOf(event: AuditEvent): { resource: string | null; where: string } {
  const resource = resourceOf(event);
  if (resource === null) return { resource: null, where: pathOf(event) ?? "" };
  const name = nameOf(event);
  const namespace = event.objectRef?.resource === "namespaces" && event.objectRef.namespace === name ? null : event.objectRef?.namespace;
  // Without a name it is all of a namespace; of something new the name is not known.
  const unnamed = event.verb === "create" ? namespace : `${namespace}/*`;
  return { resource, where: namespace ? (name === null ? unnamed! : `${namespace}/${name}`) : (name ?? "") };
}

export function pathOf(event: AuditEvent): string | null {
  return event.requestURI?.split("?")[0] ?? null;
}

export function toolOf(event: AuditEvent): string | null {
  return event.userAgent === undefined ? null : event.userAgent.split(/[/ ]/)[0]!;
}

/** `curl/8.5.0`: the first word of what the client says of itself. */
export function agentOf(event: AuditEvent): string | null {
  return event.userAgent?.split(" ")[0] ?? null;
}

export function timeOf(event: AuditEvent): Micros | null {
  return parseRfc3339(event.stageTimestamp ?? "");
}

/** From received to this stage; null on RequestReceived. */
export function latencyOf(event: AuditEvent): Micros | null {
  if (event.stage === "RequestReceived") return null;
  const [received, reached] = [parseRfc3339(event.requestReceivedTimestamp ?? ""), timeOf(event)];
  return received === null || reached === null ? null : reached - received;
}

const PAST: Record<string, string> = {
  get: "read",
  list: "listed",
  watch: "watched",
  create: "created",
  update: "updated",
  patch: "patched",
  delete: "deleted",
  deletecollection: "deleted all",
  head: "asked for",
  options: "asked about",
  post: "posted to",
  put: "put to",
  proxy: "went through",
};
const BEFORE: Record<string, string> = {
  get: "read",
  list: "list",
  watch: "watch",
  create: "create",
  update: "update",
  patch: "patch",
  delete: "delete",
  deletecollection: "delete all",
};
const CONNECTED: Record<string, [string, string]> = {
  exec: ["ran a command in", "run a command in"],
  attach: ["attached to", "attach to"],
  portforward: ["opened a port to", "open a port to"],
  proxy: ["went through", "go through"],
};

/** What happened, as a colleague would say it. */
export function sentenceOf(event: AuditEvent): string {
  const who =
    actorOf(event) ?? (event.responseStatus?.code === 401 ? "Someone who could not be authenticated" : "Someone not authenticated");
  const as = actedAs(event);
  const verb = event.verb ?? "";
  const connected = CONNECTED[event.objectRef?.subresource ?? ""];
  const did = connected?.[0] ?? PAST[verb] ?? `did "${verb}" on`;
  const todo = connected?.[1] ?? BEFORE[verb] ?? `do "${verb}" on`;
  const what = objectPhrase(event, connected !== undefined);
  const actor = as === null ? who : `${who}, acting as ${as},`;
  const code = event.responseStatus?.code;
  switch (outcomeOf(event)) {
    case "allowed":
      return event.stage === "ResponseStarted" ? `${actor} began to ${todo} ${what}.` : `${actor} ${did} ${what}.`;
    case "denied":
      return code === 401 ? `${actor} asked to ${todo} ${what}: turned away.` : `${actor} was not allowed to ${todo} ${what}.`;
    case "error":
      return code === 404
        ? `${actor} asked to ${todo} ${what}: not found.`
        : `${actor} tried to ${todo} ${what}: failed${code === undefined ? "" : ` with ${code}`}${event.responseStatus?.reason ? `, ${event.responseStatus.reason}` : ""}.`;
    default:
      return `${actor} asked to ${todo} ${what}.`;
  }
}

/** Names for people of the resources that every cluster has; of others the resource's own name does. */
const KINDS: Record<string, string> = {
  certificatesigningrequests: "CertificateSigningRequest",
  clusterrolebindings: "ClusterRoleBinding",
  clusterroles: "ClusterRole",
  configmaps: "ConfigMap",
  controllerrevisions: "ControllerRevision",
  cronjobs: "CronJob",
  customresourcedefinitions: "CustomResourceDefinition",
  daemonsets: "DaemonSet",
  deployments: "Deployment",
  endpoints: "Endpoints",
  endpointslices: "EndpointSlice",
  events: "Event",
  horizontalpodautoscalers: "HorizontalPodAutoscaler",
  ingresses: "Ingress",
  jobs: "Job",
  leases: "Lease",
  limitranges: "LimitRange",
  mutatingwebhookconfigurations: "MutatingWebhookConfiguration",
  namespaces: "Namespace",
  networkpolicies: "NetworkPolicy",
  nodes: "Node",
  persistentvolumeclaims: "PersistentVolumeClaim",
  persistentvolumes: "PersistentVolume",
  poddisruptionbudgets: "PodDisruptionBudget",
  pods: "Pod",
  priorityclasses: "PriorityClass",
  replicasets: "ReplicaSet",
  resourcequotas: "ResourceQuota",
  rolebindings: "RoleBinding",
  roles: "Role",
  secrets: "Secret",
  serviceaccounts: "ServiceAccount",
  services: "Service",
  statefulsets: "StatefulSet",
  storageclasses: "StorageClass",
  validatingwebhookconfigurations: "ValidatingWebhookConfiguration",
};

function objectPhrase(event: AuditEvent, isConnection: boolean): string {
  const object = event.objectRef;
  if (!object?.resource) return pathOf(event) ?? "something";
  const name = nameOf(event);
  const kind = (name !== null && KINDS[object.resource]) || object.resource;
  const resource = isConnection || !object.subresource ? kind : `${kind}/${object.subresource}`;
  const namespace = object.resource === "namespaces" && object.namespace === name ? undefined : object.namespace;
  if (name === null)
    return namespace ? `${resource} in ${namespace}` : `${resource}${event.verb === "create" ? "" : " of the whole cluster"}`;
  return `${resource} ${namespace ? `${namespace}/` : ""}${name}`;
}

/** Why it was allowed or not: kube-apiserver's reason, without the words that the sentence has said. */
export function reasonOf(event: AuditEvent): string | null {
  const reason = event.annotations?.["authorization.k8s.io/reason"];
  if (!reason) return null;
  const allowed = /^RBAC: allowed by (\S+) "([^"]+)" of (\S+) "([^"]+)" to (.+)$/.exec(reason);
  return allowed ? `Allowed by ${allowed[1]} ${allowed[2]} → ${allowed[3]} ${allowed[4]}.` : reason;
}
