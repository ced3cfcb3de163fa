import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestAttributes } from "../../api/policy.ts";
import { type Asked, bodyOf, EXAMPLES, fromWire, printRequest, readRequest, requestOfEvent } from "./request.ts";

/** What is sent of a text, said as the page says it. */
function asked(text: string): Record<string, unknown> {
  const read = readRequest(text);
  assert.ok("asked" in read, `${text}: ${JSON.stringify(read)}`);
  const body = bodyOf(read.asked);
  return "request" in body ? { request: fromWire(body.request) } : body;
}

test("who asks is sent as one, or is nobody", () => {
  const sent = (text: string) => bodyOf((readRequest(text) as { asked: Asked }).asked);
  assert.deepEqual(sent("GET /x as bob group ops"), { request: { method: "GET", target: "/x", user: { name: "bob", groups: ["ops"] } } });
  assert.deepEqual(sent("verb:get path:/x user:bob"), { request: { verb: "get", path: "/x", user: { name: "bob" } } });
  assert.deepEqual(sent("GET /x"), { request: { method: "GET", target: "/x" } });
});

test("a line of HTTP goes to the server as it is", () => {
  assert.deepEqual(asked("GET /api/v1/namespaces/team-a/secrets?watch=1 as bob groups ops,dev"), {
    request: { method: "GET", target: "/api/v1/namespaces/team-a/secrets?watch=1", user: "bob", groups: ["ops", "dev"] },
  });
  assert.deepEqual(asked("POST https://10.0.0.1:6443/api/v1/pods HTTP/1.1"), { request: { method: "POST", target: "/api/v1/pods" } });
});

test("a kubectl line is the request that kubectl makes of it", () => {
  const cases: [string, RequestAttributes][] = [
    ["get secrets -n team-a as bob", { verb: "list", apiGroup: "", resource: "secrets", namespace: "team-a", user: "bob" }],
    ["kubectl get secret db --namespace=team-a", { verb: "get", apiGroup: "", resource: "secrets", namespace: "team-a", name: "db" }],
    ["get deploy/web in shop", { verb: "get", apiGroup: "apps", resource: "deployments", namespace: "shop", name: "web" }],
    ["get po -A -w", { verb: "watch", apiGroup: "", resource: "pods" }],
    ["get nodes", { verb: "list", apiGroup: "", resource: "nodes" }],
    [
      "kubectl exec web-0 -n shop --as=alice -- cat /etc/passwd",
      { verb: "get", apiGroup: "", resource: "pods", subresource: "exec", namespace: "shop", name: "web-0", user: "alice" },
    ],
    ["logs web-0 -c app", { verb: "get", apiGroup: "", resource: "pods", subresource: "log", namespace: "default", name: "web-0" }],
    [
      "create pods/eviction web-0 -n x",
      { verb: "create", apiGroup: "", resource: "pods", subresource: "eviction", namespace: "x", name: "web-0" },
    ],
    ["delete pods --all -n x", { verb: "deletecollection", apiGroup: "", resource: "pods", namespace: "x" }],
    ["list widgets.v1.example.com -A", { verb: "list", apiGroup: "example.com", apiVersion: "v1", resource: "widgets" }],
    ["get /healthz as system:anonymous", { verb: "get", path: "/healthz", user: "system:anonymous" }],
    [
      "patch ingress web --as-group ops",
      { verb: "patch", apiGroup: "networking.k8s.io", resource: "ingresses", namespace: "default", name: "web", groups: ["ops"] },
    ],
  ];
  for (const [text, request] of cases) assert.deepEqual(asked(text), { request }, text);
});

test("fields read back as themselves, whatever they hold", () => {
  const requests: RequestAttributes[] = [
    { verb: "get", resource: "secrets", apiGroup: "", namespace: "a b", name: 'x"\\y', user: "\u202eadmin", groups: ["g:1", "it's"] },
    { verb: "create", resource: "pods", apiGroup: "", subresource: "exec", namespace: "shop", name: "web" },
    { verb: "list", resource: "widgets", apiGroup: "example.com", apiVersion: "v1" },
    { verb: "update", resource: "deployments", apiGroup: "apps", user: "system:serviceaccount:x:y" },
    { verb: "get", path: "/metrics?x=1&y=2" },
  ];
  for (const request of requests) assert.deepEqual(asked(printRequest(request)), { request });
});

test("an event is asked about without its bodies", () => {
  const event = { kind: "Event", verb: "create", requestURI: "/api/v1/pods", requestObject: { secret: 1 }, responseObject: {} };
  assert.deepEqual(asked(JSON.stringify(event)), { event: { kind: "Event", verb: "create", requestURI: "/api/v1/pods" } });
});

test("an event's request fits a line", () => {
  const user = { username: 'a "b" c', groups: ["dev, ops", "x"] };
  const text = requestOfEvent({ verb: "deletecollection", requestURI: "/api/v1/namespaces/shop/secrets?limit=5", user });
  assert.deepEqual(asked(text), {
    request: {
      method: "DELETE",
      target: "/api/v1/namespaces/shop/secrets?limit=5",
      user: 'a "b" c',
      groups: ["dev", " ops", "x"],
    },
  });
});

test("what cannot be read says how to write it", () => {
  for (const text of [
    "",
    "   ",
    "GET",
    "GET pods",
    "frobnicate pods",
    "get",
    "{",
    "{}",
    "[1]",
    'get "pods',
    "verb:get color:red",
    "get pods as",
    "GET /x /y",
  ]) {
    const read = readRequest(text);
    assert.ok("wrong" in read && read.wrong.length > 10, `${text}: ${JSON.stringify(read)}`);
  }
  for (const text of EXAMPLES) assert.ok("asked" in readRequest(text), text);
});

test("no text makes it throw", () => {
  let state = 7;
  const random = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % below;
  };
  const parts = [
    "get ",
    "kubectl ",
    "-n ",
    "--as=",
    "/",
    '"',
    "'",
    "\\",
    "{",
    "}",
    "verb:",
    "resource:",
    "\u0000",
    "\ud800",
    "as ",
    "pods ",
    "GET ",
    "--",
    ".",
  ];
  for (let round = 0; round < 3000; round++) {
    const text = Array.from({ length: random(9) }, () => parts[random(parts.length)]).join("");
    const read = readRequest(text);
    assert.ok("asked" in read || read.wrong !== "", text);
  }
});
