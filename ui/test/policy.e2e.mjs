// The policy page: what the server says about a policy stands at its line, every question has its answer in the page, and
// everybody can read it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { check, launch, NARROW, open, settled, WIDE } from "./browser.mjs";
import { binary, fileOf, serve } from "./server.mjs";

const root = new URL("../../", import.meta.url).pathname;
const gce = readFileSync(join(root, "policies/gce.yaml"), "utf8");
const minimal = readFileSync(join(root, "policies/minimal.yaml"), "utf8");

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([serve(), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Policies as people wrote them in their articles about auditing, and the line that is wrong. */
const BROKEN = [
  [
    "a level in small letters",
    4,
    `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: metadata
`,
  ],
  [
    "a key twice, as the indent is wrong",
    8,
    `apiVersion: audit.k8s.io/v1
kind: Policy
# The rules are evaluated in top-down order
rules:
  - level: RequestResponse
    resources:
    - group: ""
    resources: ["pods"]
  - level: Metadata
    resources:
    - group: ""
    resources: ["pods/log", "pods/status"]
`,
  ],
  [
    "no rules before the first of them",
    3,
    `apiVersion: audit.k8s.io/v1
kind: Policy
- level: Metadata
`,
  ],
];

/** The page with a policy in its editor, as a reload finds it; and one before it. */
async function openPolicy(text, { path = "/policy", before: old = "", ...options } = {}) {
  const storage = { "decklog-policy": text, "decklog-policy-before": old };
  const opened = await open(browser, server, { ...options, path, storage });
  await opened.page.locator(".editor-host .cm-content").first().waitFor({ state: "attached" });
  if (text.trim() !== "") await read(opened.page);
  return opened;
}

/** Until the server has said what it thinks of the text. */
const read = (page) =>
  page.waitForFunction(() => /rule|refuse/.test(document.querySelector(".policy-editor .sentence")?.textContent ?? ""));
const answered = (page) =>
  page.waitForFunction(
    () =>
      document.querySelector(".policy-panel .is-old") === null &&
      !document.querySelector(".policy-panel [disabled]:not(.quiet):not(.small)"),
  );

const RANGE = "t=2026-11-22T09:52:31.654Z..2026-11-22T09:53:46.086Z";
const VIEWS = [
  ["policy-empty", "", "/policy?pane=results", (page) => page.getByRole("heading", { name: "No policy yet." }).waitFor()],
  [
    "policy-explain",
    gce,
    "/policy?pane=results&q=PATCH%20/api/v1/namespaces/team-a/configmaps/cfg%20as%20bob",
    (page) => page.locator(".decision").waitFor(),
  ],
  ["policy-simulate", gce, `/policy?tab=simulate&pane=results&${RANGE}`, (page) => page.locator(".totals").waitFor()],
  ["policy-compare", minimal, `/policy?tab=compare&pane=results&${RANGE}`, (page) => page.locator(".side-lost").waitFor()],
  [
    "policy-generate",
    gce,
    `/policy?tab=generate&pane=results&budget=500MB/day&${RANGE}`,
    async (page) => {
      await page.getByRole("button", { name: "Generate", exact: true }).click();
      await page.locator(".made").waitFor();
    },
  ],
  ["policy-broken", BROKEN[0][2], "/policy", (page) => page.locator(".problem").first().waitFor()],
  ["policy-editor", gce, "/policy?q=get%20secrets%20-n%20team-a%20as%20bob", (page) => page.locator(".cm-decides").first().waitFor()],
];
for (const theme of ["light", "dark"]) {
  for (const viewport of [WIDE, NARROW]) {
    test(`everybody can read the policy page: ${viewport.width} ${theme}`, async () => {
      for (const [name, text, path, act] of VIEWS) {
        const opened = await openPolicy(text, { viewport, theme, path, before: name === "policy-compare" ? gce : "" });
        await act(opened.page);
        await answered(opened.page);
        await check(opened, `${name}-${viewport.width}-${theme}`);
        await opened.context.close();
      }
    });
  }
}

test("what is wrong stands at its own line, in the gutter and in the list, and Fix mends it", async () => {
  for (const [name, line, text] of BROKEN) {
    const { page, context, clean } = await openPolicy(text);
    await page.locator(".problem").first().waitFor();
    const lines = await page.locator(".problem-line").allTextContents();
    assert.ok(
      lines.some((words) => words.endsWith(`line ${line}`)),
      `${name}: ${lines}`,
    );
    assert.match(await page.locator(".policy-editor .sentence").textContent(), /refuse/, name);
    // The mark in the gutter is as high as its line.
    const marker = await page.locator(".cm-lint-marker-error").first().boundingBox();
    const row = await page
      .locator(".cm-line")
      .nth(line - 1)
      .boundingBox();
    assert.ok(Math.abs(marker.y + marker.height / 2 - (row.y + row.height / 2)) < row.height, name);
    clean();
    await context.close();
  }
  const { page, context, clean } = await openPolicy(BROKEN[0][2]);
  await page.locator(".cm-lintRange-error", { hasText: "metadata" }).waitFor();
  await page.getByRole("button", { name: "Fix line 4" }).first().click();
  await page.getByText("1 rule").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("decklog-policy")), BROKEN[0][2].replace("metadata", "Metadata"));
  clean();
  await context.close();
});

test("explain says which rule decides, and its line is marked in the editor", async () => {
  const { page, context, clean } = await openPolicy(gce, { path: "/policy?q=PATCH%20/api/v1/namespaces/team-a/configmaps/cfg%20as%20bob" });
  await page.locator(".cm-decides").first().waitFor();
  const sensitive = gce.split("\n").findIndex((line) => line.includes('"secrets", "configmaps"'));
  const line = gce.split("\n").findLastIndex((text, at) => at <= sensitive && text.startsWith("- level: Metadata")) + 1;
  assert.match(await page.locator(".decision").textContent(), new RegExp(`Metadata by rule 14, line ${line}`));
  assert.match(await page.locator(".cm-decides").first().textContent(), /- level: Metadata/);
  assert.equal(await page.locator(".earlier li").count(), 13);
  // Another request, another line; the button goes there.
  await page.fill("#request", "get /healthz as system:anonymous");
  await page.waitForFunction(() => document.querySelector(".decision")?.textContent.startsWith(" None"));
  await page.locator(".decision button").click();
  const number = /line (\d+)/.exec(await page.locator(".decision button").textContent())[1];
  await page.locator(".cm-activeLineGutter", { hasText: new RegExp(`^${number}$`) }).waitFor();
  assert.match(page.url(), /q=get%20\/healthz/);
  clean();
  await context.close();
});

test("a request can be fields, a kubectl line, or an event of the log", async () => {
  const { page, context, clean } = await openPolicy(gce);
  await page.fill("#request", "frobnicate");
  await page.getByText("`frobnicate` is no verb.").waitFor();
  await page.fill("#request", "kubectl get secret db -n team-a --as=bob");
  await page.locator(".decision", { hasText: "Metadata" }).waitFor();
  await page.locator(".fields summary").click();
  const field = (name) => page.locator(".field-grid label", { hasText: name }).locator("input");
  assert.equal(await field("resource").inputValue(), "secrets");
  await field("resource").fill("deployments");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.querySelector("#request").value === "verb:get resource:deployments ns:team-a name:db user:bob");
  await page.locator(".asked", { hasText: "deployments" }).waitFor();

  // From the event on the search page.
  await page.goto(`${server.url}/search?f=user:mallory%20object:cm/coredns&t=..`);
  await settled(page);
  await page.locator(".row:not(.head)").first().click();
  await page.getByRole("link", { name: "What would a policy record of this?" }).click();
  await page.locator(".decision", { hasText: "rule 14" }).waitFor();
  assert.match(
    await page.inputValue("#request"),
    /^PATCH \/api\/v1\/namespaces\/kube-system\/configmaps\/coredns\S* as mallory group contractors/,
  );
  // An event's line as it is stored.
  const event = (await server.api("events", { filter: "user:mallory verb:create", limit: 1 })).items[0];
  await page.fill("#request", JSON.stringify(event));
  await page.locator(".asked", { hasText: "user:mallory" }).waitFor();
  await page.locator(".decision").waitFor();
  assert.ok(!page.url().includes("auditID") || page.url().length < 2500);
  clean();
  await context.close();
});

test("simulated totals are those of the command line, and a row leads to its requests", async () => {
  const { page, context, clean } = await openPolicy(gce, { path: `/policy?tab=simulate&${RANGE}` });
  await page.locator(".totals").waitFor();
  const told = JSON.parse(
    execFileSync(binary, ["policy", "simulate", join(root, "policies/gce.yaml"), "--data-dir", server.data, "-o", "json"], {
      encoding: "utf8",
    }),
  );
  const totals = await page.locator(".totals").textContent();
  assert.ok(totals.includes(`${told.recorded.events.toLocaleString("en")} → ${told.written.events.toLocaleString("en")}`), totals);
  assert.match(await page.locator(".simulate .resolved").textContent(), /^1,670 requests, 22 Nov 2026 09:52:31/);
  // Each rule that recorded something has its bar, at its line.
  const rows = await page.locator(".shares tbody tr").count();
  assert.ok(rows > 3);
  const words = await page.locator(".cm-rules svg").evaluateAll((all) => all.map((bar) => bar.getAttribute("aria-label")));
  assert.ok(words.every((label) => /^rule \d+, \w+: [\d,]+ events/.test(label)) && words.length > 0, String(words));
  await page.locator(".shares-by label", { hasText: "user" }).click();
  await page.locator(".shares a", { hasText: "mallory" }).click();
  await settled(page);
  assert.equal(await page.inputValue("#filter"), "user:mallory");
  await page.goBack();
  // A filter asks anew; a wrong one says so.
  await page.fill("#traffic-filter", "user:mallory");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".simulate .resolved")?.textContent.startsWith("91 requests"));
  clean();
  await context.close();
});

test("bodies that the record does not have are said to be unknown", async (t) => {
  const events = JSON.parse(
    JSON.stringify(
      (await server.api("events", { filter: "verb:create resource:configmaps stage:ResponseComplete code:201", limit: 3 })).items,
    ),
  );
  for (const event of events) {
    event.level = "Metadata";
    delete event.requestObject;
    delete event.responseObject;
  }
  const file = fileOf(events);
  const poor = await serve([file.path]);
  t.after(() => poor.stop());
  file.remove();
  const rich = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n";
  const { page, context, clean } = await open(browser, poor, { path: "/policy?tab=simulate" });
  await page.locator(".cm-content").click();
  await page.keyboard.insertText(rich);
  await page.locator(".unknown-bodies").waitFor();
  assert.match(
    await page.locator(".unknown-bodies").textContent(),
    new RegExp(`bodies of ${events.length} events.*${events.length} at Metadata`),
  );
  clean();
  await context.close();
});

test("compare shows both texts as one, and what is lost", async () => {
  const { page, context, clean } = await openPolicy(minimal, { path: `/policy?tab=compare&${RANGE}`, before: gce });
  await page.locator(".before-editor .cm-deletedChunk").first().waitFor();
  await page.locator(".before-editor .cm-changedLine").first().waitFor();
  await page.locator(".side-lost").waitFor();
  assert.ok(Number((await page.locator(".side-lost b").textContent()).replaceAll(",", "")) > 0);
  await page.locator(".example a").first().click();
  await settled(page);
  assert.match(await page.inputValue("#filter"), /^auditID:/);
  assert.ok((await page.locator(".row:not(.head)").count()) >= 1);
  await page.goBack();
  await page.getByRole("button", { name: "Swap" }).click();
  await page.waitForFunction(
    ([now, then]) => sessionStorage.getItem("decklog-policy") === now && sessionStorage.getItem("decklog-policy-before") === then,
    [gce, minimal],
  );
  clean();
  await context.close();
});

test("what is generated is taken into the editor, and undo brings the old text back", async () => {
  const { page, context, clean } = await openPolicy(BROKEN[0][2], { path: `/policy?tab=generate&budget=500MB/day&${RANGE}` });
  await page.getByLabel("Never cut requests that match").fill("resource:secrets");
  await page.fill("#budget", "much");
  await page.keyboard.press("Tab");
  await page.getByText("Not a size.").waitFor();
  await page.fill("#budget", "1.2 GB");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.querySelector("#budget").value === "1.2GB/day");
  await page.getByRole("slider").focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.querySelector("#budget").value === "1.1GB/day");
  await page.getByRole("button", { name: "Generate", exact: true }).click();
  await page.getByRole("button", { name: "Take into the editor" }).click();
  await page.locator(".policy-editor .sentence", { hasText: /\d rules/ }).waitFor();
  const made = await page.locator(".made-text").textContent();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("decklog-policy")), made);
  await page.locator(".policy-editor .cm-content").focus();
  await page.keyboard.press("Control+z");
  await page.waitForFunction((old) => sessionStorage.getItem("decklog-policy") === old, BROKEN[0][2]);
  assert.match(page.url(), /budget=1\.1GB\/day&keep=resource:secrets/);
  clean();
  await context.close();
});

test("a policy comes from a file or a template, and leaves as a file, a ConfigMap, a flag", async () => {
  const { page, context, clean } = await openPolicy("");
  await page
    .locator(".policy-bar input[type=file]")
    .setInputFiles({ name: "p.yaml", mimeType: "text/yaml", buffer: Buffer.from(minimal.replaceAll("\n", "\r\n")) });
  await page.locator(".policy-editor .sentence", { hasText: "rule" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("decklog-policy")), minimal);
  await page.getByRole("button", { name: "Keep" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  assert.equal(readFileSync(await download.path(), "utf8"), minimal);
  assert.equal(download.suggestedFilename(), "audit-policy.yaml");
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByRole("button", { name: "Copy as ConfigMap" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  const map = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(map, /^apiVersion: v1\nkind: ConfigMap\n/);
  assert.ok(map.includes("    apiVersion: audit.k8s.io/v1\n"));
  await page.getByRole("button", { name: "Copy as flag" }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("--audit-policy-file=/"));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Template" }).click();
  await page.getByRole("button", { name: /^gce/ }).click();
  await page.waitForFunction(() => (sessionStorage.getItem("decklog-policy") ?? "").includes("system:kube-proxy"));
  // A reload keeps it; the other tab's storage does not have it.
  const text = await page.evaluate(() => sessionStorage.getItem("decklog-policy"));
  await page.reload();
  await read(page);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("decklog-policy")), text);
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes("kube-proxy"));
  clean();
  await context.close();
});

test("every flow without a mouse; Esc, then Tab leaves the editor", async () => {
  const { page, context, clean } = await openPolicy(BROKEN[0][2]);
  const inEditor = () => page.evaluate(() => document.activeElement?.classList.contains("editor-host"));
  await page.locator("main").focus();
  for (let tries = 0; tries < 20 && !(await inEditor()); tries++) await page.keyboard.press("Tab");
  assert.ok(await inEditor());
  // Letters are letters here, and Tab indents.
  await page.keyboard.press("Control+End");
  await page.keyboard.type("# [-]?L/");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => sessionStorage.getItem("decklog-policy").endsWith("# [-]?L/\n  "));
  assert.equal(await page.locator("dialog[open]").count(), 0);
  assert.ok(await inEditor());
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  assert.ok(!(await inEditor()));
  // The next problem from inside, and from the list.
  await page.locator(".problem-line").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.classList.contains("editor-host"));
  await page.locator(".cm-activeLineGutter", { hasText: /^4$/ }).waitFor();
  await page.getByRole("button", { name: "Fix line 4" }).first().focus();
  await page.keyboard.press("Enter");
  await page.locator(".policy-editor .sentence", { hasText: "1 rule" }).waitFor();
  // The tabs by arrows.
  await page.getByRole("tab", { name: "Explain" }).focus();
  for (const name of ["Simulate", "Compare", "Generate", "Explain"]) {
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((wanted) => document.activeElement?.textContent === wanted, name);
    assert.equal(await page.getByRole("tab", { name }).getAttribute("aria-selected"), "true");
  }
  clean();
  await context.close();
});

test("hostile texts stay texts", async () => {
  const MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  const text = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  users: ["${MARKUP}", "admin\u202etxt.exe", "javascript:alert(4)"]
- level: ${MARKUP}
`;
  for (const viewport of [WIDE, NARROW]) {
    const { page, context, clean } = await openPolicy(text, { viewport });
    await page.locator(".problem").first().waitFor();
    assert.ok((await page.locator(".cm-content").textContent()).includes("<script>alert(2)</script>"));
    assert.ok(!/\u202e/.test(await page.locator(".policy-editor").textContent()));
    await page.goto(`${server.url}/policy?pane=results&q=${encodeURIComponent(`verb:get resource:"${MARKUP}" user:"a\u202eb"`)}`);
    await page.evaluate((policy) => sessionStorage.setItem("decklog-policy", policy), gce);
    await page.reload();
    await page.locator(".decision").waitFor();
    assert.ok((await page.locator(".asked").textContent()).includes("alert(2)"));
    assert.ok(!/\u202e/.test(await page.locator(".policy-panel .asked").textContent()));
    assert.equal(await page.locator("img, iframe, object, embed, script:not([src^='/assets/'])").count(), 0);
    const targets = await page.locator("a").evaluateAll((all) => all.map((a) => a.protocol));
    assert.ok(targets.every((protocol) => protocol === "http:"));
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    clean();
    await context.close();
  }
});

test("when the server is gone the text stays, and asking again works", async () => {
  const { page, context } = await openPolicy(gce, { path: "/policy?q=get%20secrets" });
  await page.locator(".decision").waitFor();
  await context.setOffline(true);
  await page.fill("#request", "get pods");
  await page.getByText("The server does not answer").first().waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("decklog-policy")), gce);
  await context.setOffline(false);
  await page.getByRole("button", { name: "Try again" }).first().click();
  await page.locator(".asked", { hasText: "resource:pods" }).waitFor();
  await context.close();
});

test("no width scrolls sideways", async () => {
  const { page, context, clean } = await openPolicy(gce, { path: `/policy?tab=simulate&pane=results&${RANGE}` });
  await page.locator(".totals").waitFor();
  for (const tab of ["Simulate", "Generate", "Explain"]) {
    await page.getByRole("tab", { name: tab }).click();
    for (const width of [320, 390, 899, 900, 1023, 1024, 1200, 1920]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${tab} at ${width}: ${wide} px too wide`);
    }
  }
  clean();
  await context.close();
});

test("the editor loads when it is needed, within its budget", async () => {
  const { page, context, clean } = await open(browser, server);
  await settled(page);
  const scripts = () =>
    page.evaluate(() =>
      performance
        .getEntriesByType("resource")
        .filter(({ name }) => /\/assets\/.*\.js$/.test(name))
        .map(({ name, encodedBodySize }) => [name.split("/").at(-1), encodedBodySize]),
    );
  assert.ok((await scripts()).every(([name]) => !/^(editor|policy)-/.test(name)));
  await page.getByRole("link", { name: "Policy" }).click();
  await page.locator(".cm-content").waitFor();
  const editor = (await scripts()).find(([name]) => name.startsWith("editor-"));
  assert.ok(editor[1] > 0 && editor[1] <= 180 * 1024, `${editor}`);
  clean();
  await context.close();
});
