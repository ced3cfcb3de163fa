// Texts of events are written by attackers. Whatever they hold, the page shows text.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, NARROW, open, settled, WIDE } from "./browser.mjs";
import { fileOf, serve } from "./server.mjs";

const MARKUP = `<img src=x onerror=alert(1)><script>alert(2)</script>"'><svg onload=alert(3)>`;
const BIDI = "admin\u202etxt.exe\u2066\u200b\u0000\u0007end";
const LONG = `long-${"x".repeat(300_000)}`;
const LINK = "javascript:alert(4)//http://evil.example/";

/** An event with `text` wherever a client can write. */
function eventOf(text, at) {
  const time = `2026-11-22T10:00:0${at}.000000Z`;
  return {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "RequestResponse",
    auditID: `00000000-0000-4000-8000-00000000000${at}`,
    stage: "ResponseComplete",
    requestURI: `/api/v1/namespaces/x/configmaps/${text}`,
    verb: "create",
    user: { username: text, uid: text, groups: [text], extra: { [text]: [text] } },
    impersonatedUser: { username: text },
    sourceIPs: ["127.0.0.1"],
    userAgent: text,
    objectRef: { resource: "configmaps", namespace: text, name: text, apiVersion: "v1" },
    responseStatus: { metadata: {}, code: 201, reason: text, message: text },
    requestObject: { data: { [text]: text, link: LINK }, metadata: { managedFields: [], labels: { [text]: text } } },
    responseObject: { data: { [text]: [text] }, big: 12345678901234567890123n.toString() },
    requestReceivedTimestamp: time,
    stageTimestamp: time,
    annotations: { "authorization.k8s.io/reason": text, [text]: text },
    unknownField: text,
  };
}
const TEXTS = [MARKUP, BIDI, LINK, LONG];
const lines = TEXTS.map((text, at) =>
  JSON.stringify(eventOf(text, at)).replace('"big":"12345678901234567890123"', '"big":12345678901234567890123'),
);

let server;
let browser;
before(async () => {
  const file = fileOf(lines);
  [server, browser] = await Promise.all([serve([file.path]), launch()]);
  file.remove();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const [name, viewport] of [
  ["wide", WIDE],
  ["narrow", NARROW],
]) {
  test(`hostile texts stay texts, ${name}`, async () => {
    const { page, context, clean } = await open(browser, server, { viewport });
    await settled(page);
    const rows = page.locator(".row:not(.head)");
    assert.equal(await rows.count(), 4);
    for (let at = 0; at < 4; at++) {
      const text = TEXTS[3 - at]; // newest first
      await rows.nth(at).locator(".cell-time").click();
      await page.locator(".panel .details").waitFor();
      for (const tab of ["Response", "Request", "Raw"]) {
        await page.getByRole("tab", { name: tab }).click();
        await page.locator(".tab-panel > *").first().waitFor();
      }
      const shown = await page.locator(".panel").textContent();
      if (text === BIDI) {
        assert.ok(shown.includes("admin\\u202Etxt.exe\\u2066\\u200B\\u0000\\u0007end"));
        assert.ok(!/[\u202e\u2066\u200b\u0000\u0007]/.test(await page.evaluate(() => document.body.textContent)));
      }
      if (text === MARKUP) assert.ok(shown.includes("<script>alert(2)</script>"));
      if (text === LONG) assert.match(shown, /300,005 characters/);
      const raw = await page.locator(".raw").textContent();
      if (text !== LONG) assert.deepEqual(JSON.parse(raw), JSON.parse(lines[3 - at]));
      await page.getByRole("tab", { name: "Response" }).click();
      assert.match(await page.locator(".tree").textContent(), /12345678901234567890123/); // no digit lost
      assert.equal(await page.locator("img, iframe, object, embed, script:not([src^='/assets/'])").count(), 0);
      const targets = await page.locator("a").evaluateAll((all) => all.map((a) => a.protocol));
      assert.ok(
        targets.every((protocol) => protocol === "http:"),
        String(targets),
      );
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(sideways <= 0, `${sideways} px too wide`);
      await page.locator(".panel-close").click();
    }
    clean();
    await context.close();
  });
}

test("a facet of a hostile name finds exactly its events", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const user = page.locator(".facet-column .facet", { has: page.locator('h2:text-is("user")') });
  for (const text of ["<img src=x", "admin", "javascript:"]) {
    await user.locator(".facet-in", { hasText: text }).click();
    await page.waitForURL(/f=/);
    await settled(page);
    assert.equal(await page.locator(".row:not(.head)").count(), 1, text);
    await user.locator(".facet-in[aria-pressed=true]").click();
    await page.waitForFunction(() => !location.search.includes("f="));
    await settled(page);
  }
  clean();
  await context.close();
});

test("a hostile address is no more than an address", async () => {
  const { page, context, clean } = await open(browser, server, {
    path: `/search?f=${encodeURIComponent(`"${MARKUP.replaceAll('"', "")}"`)}&t=..`,
  });
  await settled(page);
  assert.ok(await page.locator(".row:not(.head), .state").count());
  clean();
  await context.close();
});

test("the page's headers, and what has no session", async () => {
  const answer = await fetch(`${server.url}/search`, { headers: { accept: "text/html" } });
  const policy = answer.headers.get("content-security-policy");
  for (const part of [
    "default-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ]) {
    assert.ok(policy.includes(part), part);
  }
  assert.ok(!policy.includes("unsafe"));
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const index = await answer.text();
  assert.ok(!/style=|<style|<script(?![^>]*src=)/.test(index));
  for (const [, path] of index.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
    const asset = await fetch(server.url + path, { headers: { "accept-encoding": "gzip" } });
    assert.match(asset.headers.get("cache-control"), /immutable/);
    assert.equal(asset.headers.get("x-content-type-options"), "nosniff");
  }
  // Programs still get the list of paths.
  assert.ok(Array.isArray((await (await server.ask("/")).json()).paths));

  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.url}/search`);
  await page.getByText("This browser is not signed in").waitFor();
  assert.ok(!(await page.textContent("body")).includes("admin"));
  await context.close();
});
