import assert from "node:assert/strict";
import { test } from "node:test";
import { FIRST_POLICY, FIRST_VIEW, printAddress, readAddress, type View } from "./url.ts";

function read(address: string): View {
  const { pathname, search } = new URL(address, "http://127.0.0.1");
  return readAddress(pathname, search);
}

test("an address reads back as itself", () => {
  for (const address of [
    "/search",
    "/search?f=user:mallory%20verb:(create%20or%20delete)&t=now-1d..now&unit=event&sel=12-00ff&tab=raw&live=1&asof=3432",
    "/search?t=2026-11-22T09:52:50Z..2026-11-22T09:52:58Z",
    "/event/12-00ff?tab=response",
    "/search?t=..",
    "/search?cols=time,actor,objectRef.namespace",
    "/search?t=2026-11-22T09:52:50Z..now&live=1",
    "/policy",
    "/policy?tab=simulate&pane=results&f=user:bob&t=now-1d..now&by=resource",
    "/policy?q=get%20secrets%20-n%20team-a%20as%20bob",
    "/policy?tab=generate&profile=forensics&budget=500MB/day&keep=user:bob",
  ]) {
    assert.equal(printAddress(read(address)), address);
  }
});

test("an event's JSON is too long for an address", () => {
  const request = JSON.stringify({ kind: "Event", requestURI: `/${"x".repeat(3000)}` });
  assert.equal(printAddress({ ...FIRST_POLICY, request }), "/policy");
});

test("any filter survives the address", () => {
  for (const filter of ['a & b = "c"#d?e+f %41', "user:\u202e", "name:ü😀 and ns:a/b,c", "\n\t\\"]) {
    assert.deepEqual(read(printAddress({ ...FIRST_VIEW, filter })), { ...FIRST_VIEW, filter });
  }
});

test("what cannot be read is as if it were not there", () => {
  assert.deepEqual(read("/search?t=soon&unit=galaxy&sel=../../x&asof=-1&live=yes&tab=x"), FIRST_VIEW);
  assert.deepEqual(read("/event/a%2Fb"), FIRST_VIEW);
  assert.deepEqual(read("/"), FIRST_VIEW);
  assert.deepEqual(read("/policy?tab=x&pane=y&t=soon&by=moon&profile=<b>&budget=%00"), FIRST_POLICY);
});
