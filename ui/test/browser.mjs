// A browser, and pages in it that note every sign of something that must not happen.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Pictures are kept where this names a folder. */
const shots = process.env.DECKLOG_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });

/** A signed-in page; `storage` is what its tab remembers. `clean` asserts that nothing bad was seen on it. */
export async function open(browser, server, { viewport = WIDE, theme = "light", path = "/search", storage = {} } = {}) {
  const context = await browser.newContext({
    viewport,
    colorScheme: theme,
    timezoneId: "UTC",
    locale: "en-GB",
    hasTouch: viewport.width < 900,
    acceptDownloads: true,
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const seen = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") seen.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => seen.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    seen.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== server.url && protocol !== "blob:" && protocol !== "data:") seen.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  await page.addInitScript((kept) => {
    if (sessionStorage.getItem("test") !== null) return; // a reload finds what the page itself has kept
    for (const [key, value] of Object.entries(kept)) sessionStorage.setItem(key, value);
    sessionStorage.setItem("test", "begun");
  }, storage);
  await page.goto(server.link);
  if (path !== "/search") await page.goto(server.url + path);
  return {
    page,
    context,
    seen,
    clean() {
      assert.deepEqual(seen, []);
    },
  };
}

/** Waits until the rows are those of the question in the address. */
export async function settled(page) {
  await page.waitForFunction(
    () =>
      document.querySelector("#headline, .state") !== null &&
      document.querySelector(".is-old, [aria-busy='true']") === null &&
      document.querySelector(".facet, .state") !== null,
  );
  // What was dimmed while it was old comes back gradually: colours are looked at when that is over.
  await page.waitForFunction(() => document.getAnimations().every((animation) => animation.playState === "finished"));
}

/** The number that the sentence begins with. */
export async function count(page) {
  const text = await page.locator("#headline b").textContent();
  return Number(text.replace(/[^0-9]/g, ""));
}

export async function filterFor(page, text) {
  await page.fill("#filter", text);
  await page.keyboard.press("Enter");
  await page.waitForFunction((wanted) => (new URLSearchParams(location.search).get("f") ?? "") === wanted, text);
  await settled(page);
}

/** No serious finding, nothing wider than the window, nothing on the console. */
export async function check({ page, clean }, name) {
  // By the debugger, which the page's policy does not bind: the page itself could not load it.
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document));
  assert.ok(passes.some(({ id }) => id === "color-contrast") && passes.length > 20, "axe looked at the page");
  const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(
    bad.map(
      ({ id, nodes }) =>
        `${name}: ${id}: ${nodes
          .slice(0, 3)
          .map((node) => `${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`)
          .join(" | ")}`,
    ),
    [],
  );
  assert.equal(
    await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)),
    0,
    `${name} is wider than the window`,
  );
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
  clean();
}
