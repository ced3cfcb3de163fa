// Measures the pages over a large log: what the first view costs, and how long a person waits for what they do.
//
//   DECKLOG_BINARY=… node scripts/measure.mjs DATA-DIRECTORY     (scripts/ui measure FOLDER)
//
// Prints a table of figures with their budgets (docs/measured/page.md). Exit code 1: one is over its budget.

import { launch, open, settled } from "../test/browser.mjs";
import { serve } from "../test/server.mjs";

const [data] = process.argv.slice(2);
const ROUNDS = 3;

/** In the page, before its scripts: the observers that browsers offer for exactly this. */
function watch() {
  const seen = { tasks: [], interactions: [], shifts: 0, moved: [] };
  globalThis.measured = seen;
  const observe = (type, take, options = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...options });
  observe("longtask", ({ duration }) => seen.tasks.push(duration));
  observe("event", ({ duration, interactionId }) => interactionId && seen.interactions.push(duration), { durationThreshold: 16 });
  observe("layout-shift", ({ value, hadRecentInput, sources }) => {
    if (hadRecentInput) return;
    seen.shifts += value;
    // Which boxes moved, for whoever has to mend it.
    for (const { node, previousRect, currentRect } of sources)
      seen.moved.push(`${value.toFixed(3)} ${node?.nodeName}.${node?.className} ${previousRect.top}→${currentRect.top}`);
  });
  const rows = new MutationObserver(() => {
    if (document.querySelector(".row:not(.head)") === null) return;
    seen.rows = performance.now();
    rows.disconnect();
  });
  rows.observe(document, { childList: true, subtree: true });
}

const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];

/** The first view of a browser that has nothing of the page yet; `slow` divides the processor's speed. */
async function firstView(browser, server, path, slow) {
  const { page, context } = await open(browser, server, { path: "/search?t=now-1m..now" });
  await settled(page);
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.clearBrowserCache");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  await session.send("Emulation.setCPUThrottlingRate", { rate: slow });
  let bytes = 0;
  const kinds = new Map();
  session.on("Network.responseReceived", ({ requestId, response }) => kinds.set(requestId, new URL(response.url).pathname));
  const sizes = { assets: 0, answers: 0 };
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    bytes += encodedDataLength;
    sizes[kinds.get(requestId)?.startsWith("/api/") ? "answers" : "assets"] += encodedDataLength;
  });
  await page.addInitScript(watch);
  await page.goto(server.url + path);
  await page.locator(".row:not(.head)").first().waitFor({ timeout: 60_000 });
  await settled(page);
  const found = await page.evaluate(() => ({
    rows: globalThis.measured.rows,
    all: performance.now(),
    shifts: globalThis.measured.shifts,
    moved: globalThis.measured.moved,
  }));
  if (found.shifts > 0.02) console.error(found.moved.join("\n"));
  await context.close();
  return { ...found, bytes, ...sizes };
}

/** What a person does one after the other; the longest wait of each until the browser painted, and the layout's shifts. */
async function interactions(browser, server, path) {
  const { page, context } = await open(browser, server, { path: "/search?t=now-1m..now" });
  await page.addInitScript(watch);
  await page.goto(server.url + path);
  await page.locator(".row:not(.head)").first().waitFor({ timeout: 60_000 });
  await settled(page);
  const results = {};
  const during = async (name, act) => {
    await page.evaluate(() => {
      globalThis.measured.interactions.length = 0;
      globalThis.measured.shifts = 0;
    });
    const begun = Date.now();
    await act();
    await settled(page);
    const milliseconds = Date.now() - begun;
    // Observers are told after the frame: two frames later all of it is in.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))));
    const found = await page.evaluate(() => ({
      wait: Math.max(0, ...globalThis.measured.interactions),
      shifts: globalThis.measured.shifts,
    }));
    results[name] = { ...found, milliseconds };
  };
  await during("typing a filter", async () => {
    await page.locator("#filter").click();
    await page.keyboard.type("verb:delete", { delay: 60 });
  });
  await during("asking it", async () => {
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.search.includes("f="));
  });
  await during("opening an event", async () => {
    await page.locator(".row:not(.head)").nth(3).click();
    await page.locator(".panel .details").waitFor();
  });
  await during("walking on to the next", async () => {
    for (let step = 0; step < 5; step++) await page.keyboard.press("ArrowDown");
    await page.locator(".panel .details").waitFor();
  });
  await page.keyboard.press("Escape");
  await during("paging to 1,000 rows", async () => {
    for (let pages = 0; pages < 5; pages++) {
      const more = page.locator(".rows-end button:not([disabled])");
      if ((await more.count()) === 0) break;
      await more.click();
      await page.locator(".rows-end button:not([disabled])").waitFor();
    }
  });
  await during("brushing", async () => {
    await page.evaluate(() => scrollTo(0, 0));
    const box = await page.locator(".chart-box").boundingBox();
    const before = page.url();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 30, { steps: 20 });
    await page.mouse.up();
    await page.waitForFunction((old) => location.href !== old, before);
  });
  await context.close();
  return results;
}

const server = await serve([], () => {}, [], data);
const browser = await launch();
let isOver = false;
try {
  let stored = await server.api("extent");
  // A server that is starting says so; nothing is measured before it is up.
  for (let tries = 0; !stored.last && tries < 60; tries++) {
    await new Promise((done) => setTimeout(done, 1000));
    stored = await server.api("extent");
  }
  const { events, first, last } = stored;
  const until = new Date(Date.parse(last) + 1).toISOString();
  const path = `/search?t=${first.slice(0, 23).replace("Z", "")}Z..${until}`;
  console.log(`${events.toLocaleString("en")} events\n\n| what | measured | budget |\n| --- | --- | --- |`);
  const say = (what, value, unit, budget) => {
    const over = budget !== null && value > budget;
    isOver ||= over;
    console.log(
      `| ${what} | ${value.toFixed(unit === "" ? 3 : 0)} ${unit}${over ? " **over**" : ""} | ${budget === null ? "" : `${budget} ${unit}`} |`,
    );
  };
  for (const [slow, budget] of [
    [1, 1000],
    [4, 2500],
  ]) {
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await firstView(browser, server, path, slow));
    const of = (member) => median(rounds.map((round) => round[member]));
    const how = slow === 1 ? "" : `, processor ${slow} times slower`;
    say(`first view, time to rows${how}`, of("rows"), "ms", budget);
    say(`first view, all of it${how}`, of("all"), "ms", null);
    if (slow === 1) {
      say("first view, transferred: page", of("assets") / 1024, "KiB", 138);
      say("first view, transferred: answers", of("answers") / 1024, "KiB", null);
    }
    say(`first view, layout shift${how}`, of("shifts"), "", 0.02);
  }
  for (const [what, { wait, shifts, milliseconds }] of Object.entries(await interactions(browser, server, path))) {
    say(`${what}: longest wait for a paint`, wait, "ms", 200);
    say(`${what}: layout shift`, shifts, "", 0.02);
    say(`${what}: until all is there`, milliseconds, "ms", null);
  }
} finally {
  await browser.close();
  await server.stop();
}
process.exitCode = isOver ? 1 : 0;
