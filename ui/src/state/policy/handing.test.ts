import assert from "node:assert/strict";
import { test } from "node:test";
import { asConfigMap, normal } from "./handing.ts";

test("a ConfigMap holds the policy as a block, indented", () => {
  assert.equal(
    asConfigMap("apiVersion: audit.k8s.io/v1\nrules:\n\n- level: None\n"),
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: audit-policy\n  namespace: kube-system\ndata:\n  audit-policy.yaml: |\n" +
      "    apiVersion: audit.k8s.io/v1\n    rules:\n\n    - level: None\n",
  );
});

test("what a block cannot hold is quoted", () => {
  for (const text of ["a\u0000b", " begins with a space", "\nempty first line"]) {
    const last = asConfigMap(text).split("audit-policy.yaml: ")[1]!;
    assert.equal(JSON.parse(last), text);
  }
});

test("lines of any system", () => {
  assert.equal(normal("\ufeffa\r\nb\rc\n"), "a\nb\nc\n");
});
