// What the page says when there is nothing to show, when something fails, and while events arrive; and that every state
// can be read by everybody: axe, in both themes and at both widths.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { check, count, launch, NARROW, open, settled, WIDE } from "./browser.mjs";
import { fileOf, serve } from "./server.mjs";

let server;
let empty;
let browser;
before(async () => {
  [server, empty, browser] = await Promise.all([serve(), serve([]), launch()]);
});
after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), empty?.stop()]);
});

const VIEWS = [
  ["search", "/search?f=user:mallory&t=2026-11-22T09:52:31.654Z..2026-11-22T09:53:46.086Z", async () => {}],
  [
    "event",
    "/search?f=user:mallory%20object:cm/coredns&t=2026-11-22T09:52:31.654Z..2026-11-22T09:53:46.086Z",
    async (page) => {
      await page.locator(".row:not(.head)").first().click();
      await page.locator(".panel .details").waitFor();
    },
  ],
  ["no-match", "/search?f=resource:secrets%20ns:shpo&t=..", (page) => page.locator(".without b", { hasText: /^93$/ }).waitFor()],
  ["wrong", "/search?f=code:403%20usr:bob&t=..", (page) => page.locator(".filter-words .danger").waitFor()],
];
for (const theme of ["light", "dark"]) {
  for (const viewport of [WIDE, NARROW]) {
    test(`everybody can read it: ${viewport.width} ${theme}`, async () => {
      for (const [name, path, act] of VIEWS) {
        const opened = await open(browser, server, { viewport, theme, path });
        await (name === "wrong" ? opened.page.locator(".state").waitFor() : settled(opened.page));
        await act(opened.page);
        // A filter that is refused is an answer the browser notes on its console.
        if (name === "wrong")
          opened.seen.splice(0, opened.seen.length, ...opened.seen.filter((line) => !line.includes("400 (Bad Request)")));
        await check(opened, `${name}-${viewport.width}-${theme}`);
        await opened.context.close();
      }
      const opened = await open(browser, empty, { viewport, theme });
      await opened.page.getByText("No events yet.").waitFor();
      await check(opened, `empty-${viewport.width}-${theme}`);
      await opened.context.close();
    });
  }
}

test("no width between phone and desk scrolls sideways", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=user:mallory&t=.." });
  await settled(page);
  for (const panel of [false, true]) {
    if (panel) {
      await page.locator(".row:not(.head)").first().click();
      await page.locator(".panel .details").waitFor();
    }
    for (const width of [320, 390, 899, 900, 1024, 1199, 1200, 1366, 1599, 1600, 1920]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => {
        const cut = [...document.querySelectorAll(".row:not(.head)")].slice(0, 5).map((row) => row.scrollWidth - row.clientWidth);
        return [document.documentElement.scrollWidth - innerWidth, Math.max(...cut)];
      });
      assert.ok(wide[0] <= 0 && wide[1] <= 0, `${width}${panel ? " with an event" : ""}: ${wide} px too wide`);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  }
  clean();
  await context.close();
});

test("a filter that empties the answer: which term does", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=resource:secrets%20and%20ns:shpo&t=.." });
  await page.getByRole("heading", { name: "0 of 1,670 requests match." }).waitFor();
  const without = page.locator(".without li", { hasText: "ns:shpo" });
  await without.locator("b", { hasText: /^93$/ }).waitFor();
  await without.locator("button").click();
  await page.waitForURL(/f=resource:secrets(&|$)/);
  await settled(page);
  assert.equal(await count(page), 93);
  clean();
  await context.close();
});

test("an empty range says where the events are, and goes there", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?t=2026-11-20..2026-11-21" });
  await page.getByRole("heading", { name: /No events 20 Nov 2026/ }).waitFor();
  await page.getByRole("button", { name: "Go there" }).click();
  await settled(page);
  await page.waitForFunction(() => document.querySelector("#headline b").textContent === "1,670 requests");
  clean();
  await context.close();
});

test("a failed answer has words and the request's id, and the rest of the page lives", async () => {
  const { page, context } = await open(browser, server);
  await settled(page);
  await page.goto(`${server.url}/event/999999-00000000000000000000000000000000`);
  await page.locator(".state.is-failure code").waitFor();
  assert.match(await page.locator(".state.is-failure code").textContent(), /^[0-9a-f]{32}$/);
  await page.locator(".back").click();
  await settled(page);
  assert.equal(await count(page), 1670);
  // The connection breaks: what was there stays, and asking again works.
  await context.setOffline(true);
  await page.fill("#filter", "user:mallory");
  await page.keyboard.press("Enter");
  await page.getByText("The server does not answer").waitFor();
  assert.equal(await page.locator(".row:not(.head)").count(), 200);
  await context.setOffline(false);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.waitForFunction(() => document.querySelector("#headline b").textContent === "91 requests");
  await context.close();
});

test("a log with a damaged part says what is missing, and counts say at least", async (t) => {
  const damaged = await serve(undefined, (data) => {
    // As if the power had gone before the table had them: the journal alone has the events.
    rmSync(join(data, "table"), { recursive: true });
    rmSync(join(data, "journal", "cursors", "table.cursor"));
    const path = join(
      data,
      "journal",
      readdirSync(join(data, "journal")).find((name) => name.endsWith(".seg")),
    );
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 0xff;
    writeFileSync(path, bytes);
  });
  // Also when something fails: a server that goes on would keep the tests from ending.
  t.after(() => damaged.stop());
  const opened = await open(browser, damaged, { path: "/search?t=.." });
  const { page, context } = opened;
  await settled(page);
  // The damaged records are between two that are there: hatched in the bars, named in words for those who do not see it.
  await page.locator(".hatched").first().waitFor({ state: "attached" });
  assert.match(await page.locator(".banner.is-warning").textContent(), /^Partial: 1 gap, hatched below\. /);
  assert.match(
    await page.locator(".chart > ul.hidden").textContent(),
    /Not known: 22 Nov 2026 09:5\d:\d\d – .*records \d+ to \d+ are damaged/,
  );
  await page.locator(".chart-box").focus();
  const said = [];
  for (let bar = 0; bar < 60; bar++) {
    await page.keyboard.press("ArrowRight");
    said.push(await page.locator(".chart-reading").textContent());
  }
  assert.ok(said.some((words) => words.includes("are damaged")));
  await page.keyboard.press("Escape");
  assert.match(await page.locator("#headline b").textContent(), /^≥ [\d,]+ requests$/);
  assert.equal(await count(page), Number((await damaged.api("histogram", { unit: "request" })).total));
  await check(opened, "partial-1440-light");
  await context.close();
});

test("live shows what arrives, pauses while hidden, and catches up", async () => {
  const live = await serve();
  const { page, context, clean } = await open(browser, live, { path: "/search?f=verb:create&t=2026-11-22T09:52:31Z..now&live=1" });
  await page.getByText("Live: following").waitFor();
  await settled(page);
  const before = await count(page);
  const event = (at, name) => ({
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "Metadata",
    auditID: `00000000-0000-4000-9000-00000000000${at}`,
    stage: "ResponseComplete",
    requestURI: "/api/v1/namespaces/x/pods",
    verb: "create",
    user: { username: name },
    sourceIPs: ["127.0.0.1"],
    objectRef: { resource: "pods", namespace: "x" },
    responseStatus: { code: 201 },
    requestReceivedTimestamp: new Date().toISOString().replace("Z", "000Z"),
    stageTimestamp: new Date().toISOString().replace("Z", "000Z"),
  });
  const send = async (...events) => {
    const file = fileOf(events);
    await live.import(file.path);
    file.remove();
  };
  await send(event(1, "arriver-one"));
  await page.locator(".row.is-new", { hasText: "arriver-one" }).waitFor();
  assert.equal(await count(page), before + 1);

  const hide = (hidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  await page.getByText("paused while this tab is hidden").waitFor();
  await send(event(2, "arriver-two"));
  await hide(false);
  await page.locator(".row", { hasText: "arriver-two" }).waitFor();
  await page.getByText("Live: following").waitFor();
  await send(event(3, "arriver-three"));
  await page.locator(".row.is-new", { hasText: "arriver-three" }).click();
  await page.locator(".panel .details", { hasText: "arriver-three" }).waitFor();
  clean();
  await context.close();
  await live.stop();
});

test("200 events a second come without a task over 50 ms", async (t) => {
  const live = await serve();
  t.after(() => live.stop());
  const { page, context, clean } = await open(browser, live, { path: "/search?t=2026-11-22T09:52:31Z..now&live=1" });
  await page.getByText("Live: following").waitFor();
  await settled(page);
  const [PER_BATCH, BATCHES, EACH_MS] = [50, 24, 250];
  const batch = (number) =>
    Array.from({ length: PER_BATCH }, (_, at) => {
      const time = new Date(Date.now() + at * 5).toISOString().replace("Z", "000Z");
      return {
        kind: "Event",
        apiVersion: "audit.k8s.io/v1",
        level: "Metadata",
        auditID: `00000000-0000-4000-a000-${String(number * PER_BATCH + at).padStart(12, "0")}`,
        stage: "ResponseComplete",
        requestURI: `/api/v1/namespaces/x/pods/p-${at}`,
        verb: "get",
        user: { username: `system:node:n${at}` },
        sourceIPs: ["127.0.0.1"],
        userAgent: "kubelet/v1.36.0",
        objectRef: { resource: "pods", namespace: "x", name: `p-${at}`, apiVersion: "v1" },
        responseStatus: { code: 200 },
        requestReceivedTimestamp: time,
        stageTimestamp: time,
      };
    });
  await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline"] });
  await page.evaluate(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => globalThis.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: "longtask",
    });
  });
  // As kube-apiserver sends it: batches at a steady pace, whatever the machine makes of it.
  for (let number = 0; number < BATCHES; number++) {
    const next = Date.now() + EACH_MS;
    await live.send(batch(number));
    await new Promise((done) => setTimeout(done, Math.max(0, next - Date.now())));
  }
  await page.waitForFunction((all) => {
    const [, arrived, , skipped] =
      /([\d,]+) new( · ([\d,]+) skipped)?/.exec(document.querySelector(".notice[role=status]")?.textContent) ?? [];
    return Number(arrived?.replaceAll(",", "")) + Number(skipped?.replaceAll(",", "") ?? 0) >= all;
  }, PER_BATCH * BATCHES);
  assert.ok((await page.locator(".row:not(.head)").count()) <= 200);
  const long = (await page.evaluate(() => globalThis.tasks)).filter((duration) => duration > 50);
  if (process.env.DECKLOG_SHOTS) t.diagnostic(`long tasks: ${long.join(", ") || "none"}`);
  // What counts is the processor's time of the page's own thread: other programs may keep it waiting.
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const names = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const threads = new Set(names.map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ name, pid, tid, tdur }) => name.endsWith("RunTask") && tdur > 0 && threads.has(`${pid} ${tid}`));
  assert.ok(tasks.length > 100, "the page's tasks were seen");
  const worked = tasks.map(({ tdur }) => Math.round(tdur / 1000)).sort((a, b) => b - a);
  if (process.env.DECKLOG_SHOTS) t.diagnostic(`longest tasks, processor time: ${worked.slice(0, 8).join(", ")} ms`);
  assert.ok(worked[0] <= 50, `tasks of ${worked.filter((time) => time > 50).join(", ")} ms`);
  clean();
  await context.close();
});

test("the columns are chosen, stand in the address, and are left by their own way back", async () => {
  const opened = await open(browser, server, { path: "/search?f=user:mallory%20ns:*&t=.." });
  const { page, context, clean } = opened;
  await settled(page);
  const heads = () => page.locator(".row.head .cell").allTextContents();
  await page.locator(".menu > button", { hasText: "Columns" }).click();
  await page.getByLabel("took", { exact: true }).uncheck();
  await page.getByLabel("namespace", { exact: true }).check();
  await page.fill("#column-path", 'annotations["authorization.k8s.io/decision"]');
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".row.head .cell").length === 8);
  assert.deepEqual((await heads()).slice(1), [
    "actor",
    "verb",
    "object",
    "outcome",
    "tool",
    "namespace",
    'annotations["authorization.k8s.io/decision"]',
  ]);
  assert.match(await page.locator(".row:not(.head) .cell-other").nth(1).textContent(), /^(allow|forbid)$/);
  await page.fill("#column-path", "no path!");
  await page.keyboard.press("Enter");
  await page.getByText("Not a path.").waitFor();
  await check(opened, "columns-1440-light");
  await page.reload();
  await settled(page);
  assert.equal((await heads()).length, 8);
  // A column that the filter knows makes a term.
  await page.locator(".row:not(.head) .cell-other").first().focus();
  await page.keyboard.press("f");
  await page.waitForFunction(() => / ns:\w/.test(document.querySelector("#filter").value));
  await page.locator(".menu > button", { hasText: "Columns" }).click();
  await page.getByRole("button", { name: "As at first" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".row.head .cell").length === 7 && !location.search.includes("cols"));
  clean();
  await context.close();
});

test("a search is saved by name, found again after a reload, and forgotten", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?f=code:403&t=.." });
  await settled(page);
  const menu = page.locator(".menu > button", { hasText: "Saved" });
  await menu.click();
  await page.fill("#saved-name", "denied <b>");
  await page.keyboard.press("Enter");
  await page.locator(".saved-menu").waitFor({ state: "detached" });
  await page.goto(`${server.url}/search?t=..`);
  await settled(page);
  await menu.click();
  await page.locator(".saved-open", { hasText: "denied <b>" }).click();
  await page.waitForFunction(() => document.querySelector("#filter").value === "code:403");
  await settled(page);
  assert.equal(await count(page), 69);
  await menu.click();
  await page.getByRole("button", { name: "Forget denied <b>" }).click();
  await page.locator(".saved-open").waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => localStorage.getItem("decklog-saved")), null);
  clean();
  await context.close();
});

test("where the server has a tokens file, a token signs in, and is kept nowhere", async () => {
  const file = fileOf([`carol read ${createHash("sha256").update("open-sesame").digest("hex")}`]);
  const closed = await serve(undefined, undefined, ["--tokens-file", file.path]);
  const { page, context } = await open(browser, closed);
  await page.fill("#token", "wrong");
  await page.keyboard.press("Enter");
  await page.getByText("the token is not known here").waitFor();
  await page.fill("#token", "open-sesame");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(await count(page), 1670);
  await page.locator(".row:not(.head)").first().click();
  await page.locator(".panel .details").waitFor();
  assert.ok(await page.locator(".live").isDisabled());
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  assert.ok(!kept.includes("sesame"), kept);
  await context.close();
  await closed.stop();
  file.remove();
});

test("settings last, and only they are kept", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("dark", { exact: true }).check();
  await page.getByLabel("off", { exact: true }).check();
  await page.keyboard.press("Escape");
  await page.reload();
  await settled(page);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(14, 18, 22)");
  assert.deepEqual(Object.keys(await page.evaluate(() => ({ ...localStorage }))), ["decklog"]);
  assert.deepEqual(await page.evaluate(() => JSON.parse(localStorage.decklog)), {
    theme: "dark",
    zone: "local",
    density: "normal",
    shortcuts: "off",
  });
  await page.locator("main").focus();
  await page.keyboard.press("?");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  clean();
  await context.close();
});

test("the first view loads within its budget, and nothing else", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const loaded = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => name.includes("/assets/"))
      .map(({ name, encodedBodySize }) => [name.split(".").at(-1), encodedBodySize]),
  );
  const sum = (kind) => loaded.filter(([ending]) => ending === kind).reduce((total, [, size]) => total + size, 0);
  assert.ok(sum("js") > 0 && sum("js") <= 120 * 1024, `${sum("js")} bytes of script`);
  assert.ok(sum("css") > 0 && sum("css") <= 18 * 1024, `${sum("css")} bytes of styles`);
  assert.equal(await page.evaluate(() => document.fonts.size), 0);
  clean();
  await context.close();
});
