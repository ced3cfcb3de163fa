// The page's figures are those of `decklog search` and of the API, with more rows than are loaded.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { count, filterFor, launch, open, settled } from "./browser.mjs";
import { serve } from "./server.mjs";

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([serve(), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const lines = (text) => text.split("\n").filter((line) => line !== "");

/** What the hidden table under the bars adds up to. */
async function tableSum(page) {
  return page
    .locator(".chart-table tbody tr")
    .evaluateAll((rows) => rows.reduce((sum, row) => sum + Number(row.children[1].textContent), 0));
}

/** The counts of one facet with all its values, and those of events without any. */
async function facetSum(page, name) {
  const facet = page.locator(".facet-column .facet", { has: page.locator(`h2:text-is("${name}")`) });
  for (const more of await facet.locator("button.facet-more").all()) await more.click();
  await facet.locator("button.facet-more").waitFor({ state: "detached" });
  const counts = await facet.locator(".facet-count").allTextContents();
  return counts.reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0);
}

/** The rows of a Parquet file: `num_rows` of its footer, in Thrift's compact protocol. */
function parquetRows(bytes) {
  const length = bytes.readUInt32LE(bytes.length - 8);
  let at = bytes.length - 8 - length;
  const varint = () => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const signed = () => {
    const value = varint();
    return Number((value >> 1n) ^ -(value & 1n));
  };
  const skip = (type) => {
    if (type === 3) at += 1;
    else if (type >= 4 && type <= 6) varint();
    else if (type === 7) at += 8;
    else if (type === 8) {
      const size = Number(varint());
      at += size;
    } else if (type === 9 || type === 10) {
      const head = bytes[at++];
      const count = head >> 4 === 15 ? Number(varint()) : head >> 4;
      for (let one = 0; one < count; one++) {
        if ((head & 15) <= 2) at += 1;
        else skip(head & 15);
      }
    } else if (type === 12) fields(() => false);
  };
  const fields = (take) => {
    for (let id = 0; ; ) {
      const head = bytes[at++];
      if (head === 0) return null;
      id = head >> 4 === 0 ? signed() : id + (head >> 4);
      if (take(id, head & 15)) return signed();
      skip(head & 15);
    }
  };
  return fields((id) => id === 3);
}

test("an empty last hour opens on what there is, and says so", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  assert.equal(await count(page), 1670);
  const head = await page.locator(".headline").textContent();
  assert.match(head, /22 Nov 2026 09:52:31\.654 – 09:53:46\.086/);
  assert.match(head, /Nothing in the last hour/);
  clean();
  await context.close();
});

test("totals, bars and facets agree with each other and with the command line", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const extent = await server.api("extent");
  assert.equal(await count(page), extent.requests);
  assert.equal(await tableSum(page), 1670);
  assert.equal(await page.locator("[role=row][aria-rowindex]:not(.head)").count(), 200);
  for (const name of ["outcome", "user", "verb", "resource", "code"]) assert.equal(await facetSum(page, name), 1670, name);

  for (const [filter, requests] of [
    ["verb:(delete or deletecollection)", 28],
    ["user:mallory", 91],
    ["code:401", 30],
    ["code:403", 69],
  ]) {
    await filterFor(page, filter);
    assert.equal(await count(page), requests, filter);
    assert.equal(await tableSum(page), requests, filter);
    const found = lines(server.search(filter, "-o", "json", "--stages", "final", "--limit", "0"));
    assert.equal(found.length, requests, filter);
    assert.equal(await page.locator(".row:not(.head)").count(), requests, filter);
  }

  await filterFor(page, "");
  await page.locator(".switch label", { hasText: "events" }).click();
  await page.waitForURL(/unit=event/);
  await settled(page);
  assert.equal(await count(page), 3431);
  assert.equal(await tableSum(page), 3431);
  assert.equal(lines(server.search("-o", "json", "--limit", "0")).length, 3431);
  clean();
  await context.close();
});

test("a brushed range has what its bars said", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?t=2026-11-22T09:52:50Z..2026-11-22T09:52:58Z" });
  await settled(page);
  const there = lines(
    server.search("--since", "2026-11-22T09:52:50Z", "--until", "2026-11-22T09:52:58Z", "-o", "json", "--stages", "final", "--limit", "0"),
  );
  assert.equal(await count(page), there.length);

  await page.goto(`${server.url}/search?t=2026-11-22T09:52:30Z..2026-11-22T09:53:50Z`);
  await settled(page);
  const box = await page.locator(".chart-box").boundingBox();
  const y = box.y + 20;
  await page.mouse.move(box.x + box.width * 0.3, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 5 });
  const said = /: (\d+) requests/.exec(await page.locator(".chart-reading").textContent())[1];
  await page.mouse.up();
  await page.waitForFunction(() => !location.search.includes("09:52:30Z..2026-11-22T09:53:50Z"));
  await settled(page);
  assert.equal(await count(page), Number(said));
  assert.ok(Number(said) > 0);
  clean();
  await context.close();
});

test("more rows load to the end, with no row twice, and no more than 1,000 are in the page", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?unit=event&t=.." });
  await settled(page);
  const seen = new Map();
  for (;;) {
    const rows = await page
      .locator(".row:not(.head)")
      .evaluateAll((all) => all.map((row) => [row.getAttribute("aria-rowindex"), row.textContent]));
    assert.ok(rows.length <= 1000);
    for (const [index, text] of rows) {
      if (seen.has(index)) assert.equal(seen.get(index), text);
      seen.set(index, text);
    }
    const more = page.locator(".rows-end button");
    if ((await more.count()) === 0) break;
    const { size } = seen;
    await more.click();
    await page.waitForFunction(
      (last) => Number([...document.querySelectorAll(".row")].at(-1).getAttribute("aria-rowindex")) > last,
      size + 1,
    );
  }
  assert.equal(seen.size, 3431);
  assert.match(await page.locator(".rows-note").textContent(), /2,431 newer rows/);
  clean();
  await context.close();
});

test("facets edit the filter's text: for, out, and back", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const value = page.locator(".facet-column .facet-value", { hasText: "mallory" });
  await value.locator(".facet-in").click();
  await page.waitForURL(/f=user:mallory/);
  await settled(page);
  assert.equal(await page.inputValue("#filter"), "user:mallory");
  assert.equal(await count(page), 91);
  assert.equal(await value.locator(".facet-in").getAttribute("aria-pressed"), "true");
  await value.locator(".facet-out").click();
  await page.waitForURL(/f=not%20user:mallory/);
  await settled(page);
  assert.equal(await count(page), 1670 - 91);
  const missing = page.locator(".facet-column .facet-value", { hasText: "not authenticated" });
  await filterFor(page, "");
  await missing.locator(".facet-in").click();
  await page.waitForURL(/f=not%20user:\*/);
  await settled(page);
  assert.equal(await count(page), 30);
  assert.equal(await page.locator(".row .nobody").count(), 30);
  clean();
  await context.close();
});

test("an event's raw tab is the stored line; its facts are right", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=object:cm/coredns%20verb:patch&t=.." });
  await settled(page);
  assert.equal(await count(page), 1);
  await page.locator(".row:not(.head)").click();
  const details = page.locator(".details[data-event]");
  await details.waitFor();
  assert.match(
    await details.locator(".sentence").textContent(),
    /mallory patched ConfigMap kube-system\/coredns\..*Allowed by ClusterRoleBinding sys-helper → ClusterRole cluster-admin/,
  );
  assert.match(await details.textContent(), /4\.688 ms/);
  await page.getByRole("tab", { name: "Raw" }).click();
  const stored = lines(server.search("object:cm/coredns verb:patch", "-o", "json", "--stages", "final"))[0];
  assert.equal(await page.locator(".raw").textContent(), stored);
  // The same event by its own address.
  const name = await details.getAttribute("data-event");
  await page.goto(`${server.url}/event/${name}?tab=raw`);
  assert.equal(await page.locator(".raw").textContent(), stored);
  clean();
  await context.close();
});

test("an impersonated request names both users", async () => {
  const { page, context, clean } = await open(browser, server, { path: '/search?f=user:mallory%20as:"system:admin"&t=..' });
  await settled(page);
  assert.match(await page.locator(".row:not(.head) .cell-actor").first().textContent(), /^mallory as system:admin$/);
  clean();
  await context.close();
});

test("exports are the whole answer, and no cell is a formula", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=outcome:denied&t=.." });
  await settled(page);
  for (const [label, check] of [
    [
      "JSON lines",
      (text) =>
        assert.deepEqual(
          lines(text).sort(),
          lines(server.search("outcome:denied", "-o", "json", "--stages", "final", "--limit", "0")).sort(),
        ),
    ],
    ["CSV", (text) => assert.equal(text.split("\r\n").length, 99 + 2)],
  ]) {
    await page.locator(".menu button", { hasText: "Export" }).first().click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".popover button", { hasText: label }).click()]);
    check(readFileSync(await download.path(), "utf8"));
  }
  clean();
  await context.close();
});

test("a Parquet export has the rows of the answer", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=outcome:denied&t=.." });
  await settled(page);
  await page.locator(".menu button", { hasText: "Export" }).first().click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".popover button", { hasText: "Parquet" }).click()]);
  const bytes = readFileSync(await download.path());
  assert.equal(bytes.subarray(0, 4).toString(), "PAR1");
  assert.equal(bytes.subarray(-4).toString(), "PAR1");
  // Its footer says the number of rows: member 3 of FileMetaData, behind the schema.
  assert.equal(parquetRows(bytes), 99);
  assert.match(await page.locator(".notice[role=status]").last().textContent(), /Exported \d+ KiB as PARQUET/);
  clean();
  await context.close();
});

test("the exact link shows the same rows after more have arrived", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=user:bob&t=.." });
  await settled(page);
  const before = await count(page);
  await page.locator(".menu button", { hasText: "Link" }).first().click();
  await page.locator(".popover button", { hasText: "exact" }).click();
  await page.locator(".popover button", { hasText: "Copied" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /asof=\d+/);
  await page.goto(link);
  await settled(page);
  assert.equal(await count(page), before);
  assert.match(await page.locator(".headline").textContent(), /As the log was at event/);
  clean();
  await context.close();
});
