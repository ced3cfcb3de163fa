import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuditEvent } from "../api/types.ts";
import { latencyOf, objectOf, outcomeOf, reasonOf, sentenceOf, verbClassOf } from "./facts.ts";

const patch: AuditEvent = {
  stage: "ResponseComplete",
  verb: "patch",
  user: { username: "mallory" },
  objectRef: { resource: "configmaps", namespace: "kube-system", name: "coredns" },
  responseStatus: { code: 200 },
  requestReceivedTimestamp: "2026-11-22T09:53:23.446536Z",
  stageTimestamp: "2026-11-22T09:53:23.451224Z",
  annotations: {
    "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "sys-helper" of ClusterRole "cluster-admin" to User "mallory"',
  },
};

test("the sentence says what a colleague would", () => {
  assert.equal(sentenceOf(patch), "mallory patched ConfigMap kube-system/coredns.");
  assert.equal(reasonOf(patch), "Allowed by ClusterRoleBinding sys-helper → ClusterRole cluster-admin.");
  assert.equal(sentenceOf({ ...patch, responseStatus: { code: 403 } }), "mallory was not allowed to patch ConfigMap kube-system/coredns.");
  assert.equal(
    sentenceOf({ ...patch, impersonatedUser: { username: "system:admin" } }),
    "mallory, acting as system:admin, patched ConfigMap kube-system/coredns.",
  );
  assert.equal(
    sentenceOf({ verb: "list", user: {}, objectRef: { resource: "namespaces" }, responseStatus: { code: 401 }, stage: "ResponseStarted" }),
    "Someone who could not be authenticated asked to list namespaces of the whole cluster: turned away.",
  );
  assert.equal(
    sentenceOf({ ...patch, verb: "get", objectRef: { resource: "pods", subresource: "exec", namespace: "pay", name: "web" } }),
    "mallory ran a command in Pod pay/web.",
  );
  assert.equal(
    sentenceOf({ verb: "get", requestURI: "/version?x", user: { username: "a" }, responseStatus: { code: 200 } }),
    "a read /version.",
  );
  assert.equal(typeof sentenceOf({}), "string");
});

test("facts by the filter's definitions", () => {
  assert.equal(latencyOf(patch), 4688);
  assert.equal(outcomeOf({ responseStatus: { code: 404 } }), "error");
  assert.equal(outcomeOf({ stage: "Panic" }), "error");
  assert.equal(outcomeOf({}), null);
  assert.equal(verbClassOf({ verb: "get", objectRef: { subresource: "exec" } }), "connect");
  assert.equal(
    verbClassOf({ verb: "create", objectRef: { resource: "selfsubjectaccessreviews", apiGroup: "authorization.k8s.io" } }),
    "read",
  );
  assert.equal(verbClassOf({ verb: "deletecollection" }), "delete");
  assert.deepEqual(objectOf({ objectRef: { resource: "namespaces", namespace: "shop", name: "shop" } }), {
    resource: "namespaces",
    where: "shop",
  });
  assert.equal(objectOf({ verb: "list", objectRef: { resource: "pods", namespace: "a" } }).where, "a/*");
  assert.equal(objectOf({ verb: "create", objectRef: { resource: "pods", namespace: "a" } }).where, "a");
  assert.deepEqual(objectOf({ requestURI: "/healthz?x=1" }), { resource: null, where: "/healthz" });
});
