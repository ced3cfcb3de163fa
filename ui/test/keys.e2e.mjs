// Every flow without a mouse, and Back.

import assert from "node:assert/strict";
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

const focused = (page, selector) => page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector);

test("facet, row, panel, and Esc gives the focus back to the row", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  // By Tab to the facet of mallory.
  await page.focus(".facet-column .facet summary");
  for (let tries = 0; tries < 60; tries++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.matches(".facet-in") && document.activeElement.textContent.startsWith("mallory")))
      break;
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/f=user:mallory/);
  await settled(page);
  assert.equal(await count(page), 91);

  await page.keyboard.press("j");
  await focused(page, ".row:not(.head) [role=gridcell]");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("j");
  await focused(page, "[aria-rowindex='4'] [data-column='1']");
  const row = await page.evaluate(() => document.activeElement.closest(".row").textContent);
  await page.keyboard.press("Enter");
  await page.locator(".panel .details").waitFor();
  assert.match(page.url(), /sel=/);
  await page.keyboard.press("ArrowDown");
  await focused(page, "[aria-rowindex='5'] [data-column='1']");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Escape");
  await page.locator(".panel").waitFor({ state: "detached" });
  await focused(page, "[aria-rowindex='4'] [data-column='1']");
  assert.equal(await page.evaluate(() => document.activeElement.closest(".row").textContent), row);

  // The focused cell as a filter, and its opposite.
  await page.keyboard.press("ArrowRight");
  await focused(page, "[aria-rowindex='4'] [data-column='2']");
  const verb = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("f");
  await page.waitForFunction((wanted) => document.querySelector("#filter").value === `user:mallory verb:${wanted}`, verb);
  clean();
  await context.close();
});

test("Back restores filter, range and selection", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const first = page.url();
  await filterFor(page, "user:mallory");
  await page.locator(".row:not(.head)").nth(3).click();
  await page.locator(".panel .details").waitFor();
  const second = page.url();
  await page.keyboard.press("Escape");
  await filterFor(page, "code:403");
  await page.keyboard.press("Tab");
  await page.locator("main").focus();
  await page.keyboard.press("-");
  await page.waitForFunction((before) => new URLSearchParams(location.search).get("t") !== before, new URL(second).searchParams.get("t"));
  await settled(page);
  assert.equal(await count(page), 69);
  for (let steps = 0; page.url() !== second && steps < 6; steps++) {
    await page.evaluate(
      () =>
        new Promise((done) => {
          addEventListener("popstate", () => done(), { once: true });
          history.back();
        }),
    );
  }
  assert.equal(page.url(), second);
  await settled(page);
  assert.equal(await page.inputValue("#filter"), "user:mallory");
  await page.locator(".panel .details").waitFor();
  await page.locator(".row.is-selected").waitFor();
  for (let steps = 0; page.url() !== first && steps < 4; steps++) {
    await page.evaluate(
      () =>
        new Promise((done) => {
          addEventListener("popstate", () => done(), { once: true });
          history.back();
        }),
    );
  }
  assert.equal(page.url(), first);
  await settled(page);
  assert.equal(await count(page), 1670);
  clean();
  await context.close();
});

test("a mistake is underlined under its own characters, the last answer stays, and a fix is offered", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  await page.keyboard.press("/");
  await focused(page, "#filter");
  await page.keyboard.type("code:403 and usr:bob");
  await page.locator(".filter-words .danger").waitFor();
  const wrong = page.locator(".filter-paint .wrong");
  assert.equal(await wrong.textContent(), "usr");
  // Under the characters themselves: as far from the left as the text before is wide.
  const { left, expected } = await page.evaluate(() => {
    const layer = document.querySelector(".filter-paint");
    const input = document.querySelector("#filter");
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.font = getComputedStyle(input).font;
    const style = getComputedStyle(input);
    return {
      left: document.querySelector(".wrong").getBoundingClientRect().left,
      expected:
        input.getBoundingClientRect().left +
        Number.parseFloat(style.paddingLeft) +
        canvas.measureText("code:403 and ").width -
        layer.scrollLeft,
    };
  });
  assert.ok(Math.abs(left - expected) < 1.5, `${left} is not ${expected}`);
  assert.equal(await page.getAttribute("#filter", "aria-invalid"), "true");
  await page.keyboard.press("Enter");
  assert.equal(await count(page), 1670); // the last good result
  await page.locator(".filter-words button", { hasText: "Use user" }).click();
  await page.waitForFunction(() => document.querySelector("#filter").value === "code:403 and user:bob");
  await page.keyboard.press("Enter");
  await page.waitForURL(/user:bob/);
  await settled(page);
  assert.equal(await count(page), Number((await server.api("histogram", { filter: "code:403 user:bob", unit: "request" })).total));
  clean();
  await context.close();
});

test("completion by keyboard: field, value with its count, search", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  await page.keyboard.press("/");
  await page.keyboard.type("user:mall");
  const option = page.locator("[role=option]", { hasText: "mallory" }).first();
  await option.waitFor();
  assert.match(await option.textContent(), /91/);
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.querySelector("#filter").getAttribute("aria-activedescendant") !== null);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#filter").value.trim() === "user:mallory");
  await page.keyboard.press("Escape");
  await page.focus("#filter");
  await page.keyboard.press("Enter");
  await page.waitForURL(/f=user:mallory/);
  await settled(page);
  assert.equal(await count(page), 91);
  clean();
  await context.close();
});

test("the histogram by keyboard", async () => {
  const { page, context, clean } = await open(browser, server, { path: "/search?t=2026-11-22T09:52:30Z..2026-11-22T09:53:50Z" });
  await settled(page);
  await page.focus(".chart-box");
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowLeft");
  for (let step = 0; step < 12; step++) await page.keyboard.press("Shift+ArrowLeft");
  const said = /: ([\d,]+) requests/.exec(await page.getAttribute(".chart-box", "aria-valuetext"))[1];
  const before = page.url();
  await page.keyboard.press("Enter");
  await page.waitForFunction((old) => location.href !== old, before);
  await settled(page);
  assert.equal(await count(page), Number(said));
  clean();
  await context.close();
});

test("time: text, steps and zoom", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  await page.locator(".range-name").click();
  await page.fill("#range-text", "soon");
  await page.keyboard.press("Enter");
  await page.locator("#range-words.danger").waitFor();
  await page.fill("#range-text", "09:52:50..09:52:58");
  await page.keyboard.press("Enter");
  await page.waitForURL(/09:52:50Z\.\.2026-11-22T09:52:58Z/);
  await settled(page);
  assert.equal(await count(page), 161);
  await page.keyboard.press("]");
  await page.waitForURL(/09:52:58Z\.\.2026-11-22T09:53:06Z/);
  await page.keyboard.press("[");
  await page.waitForURL(/09:52:50Z\.\.2026-11-22T09:52:58Z/);
  await page.keyboard.press("-");
  await page.waitForURL(/09:52:46Z\.\.2026-11-22T09:53:02Z/);
  await page.keyboard.press("?");
  await page.locator("dialog[open] kbd").first().waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  clean();
  await context.close();
});
