// Looks at a dashboard as its operator does: node look.mjs URL CHROMIUM SCREENSHOTS PEER CID.
// PEER is held back by the node's limits. Each check is one line of JSON on stdout.
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const [url, chromiumPath, shots, heldBack, cid] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const screens = ["overview", "table", "lookups", "traffic", "throttle", "records", "peers"];
await mkdir(shots, { recursive: true });

const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

async function check(name, f) {
  let error;
  try {
    await f();
  } catch (err) {
    error = String(err?.stack ?? err).slice(0, 2000);
  }
  console.log(JSON.stringify({ check: name, error }));
}

function must(holds, what) {
  if (!holds) throw new Error(what);
}

/** What a page did that it should not: errors, and requests to anybody but the node. */
const faults = [];

async function open(options, at = "#/overview") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (m) => m.type() === "error" && faults.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => faults.push(`error: ${e.message}`));
  page.on("request", (r) => new URL(r.url()).origin === new URL(url).origin || /^(data|blob):/.test(r.url()) || faults.push(`asked ${r.url()}`));
  await page.goto(url + at);
  await page.locator(".link.live").waitFor();
  await page.locator("main .panel").first().waitFor();
  return { context, page };
}

async function show(page, screen) {
  await page.evaluate((s) => { location.hash = `#/${s}`; }, screen);
  await page.locator(`nav a[aria-current=page][href="#/${screen}"]`).waitFor();
  await page.locator("main .panel, main .figures").first().waitFor();
}

async function figure(page, label) {
  return page.locator(".figure", { hasText: label }).first().innerText();
}

/** Serious and critical faults that axe finds. */
async function accessible({ context, page }, where) {
  const session = await context.newCDPSession(page); // past the page's own policy
  await session.send("Runtime.evaluate", { expression: axe });
  const answer = await session.send("Runtime.evaluate", {
    expression: "axe.run(document).then((r) => JSON.stringify({ bad: r.violations, passes: r.passes.length }))", awaitPromise: true, returnByValue: true,
  });
  await session.detach();
  const { bad, passes } = JSON.parse(answer.result.value);
  must(passes > 15, `axe looked at ${passes} rules only`);
  const serious = bad.filter((v) => v.impact === "serious" || v.impact === "critical");
  must(serious.length === 0, `${where}: ${serious.map((v) => `${v.id} (${v.nodes.map((n) => n.target).slice(0, 3).join("; ")})`).join(", ")}`);
}

/** Runs one operation in the box and returns what it says. */
async function tried(page, operation, fields) {
  await page.locator(".try select").selectOption({ label: operation });
  for (const [label, text] of Object.entries(fields)) await page.locator(`.try label:has-text("${label}") input`).fill(text);
  await page.locator(".try button[type=submit]").click();
  const said = page.locator(".try .outcome, .try .complaint");
  await said.waitFor();
  return said.innerText();
}

await check("live values change", async () => {
  const { context, page } = await open({});
  const up = await figure(page, "Up");
  await show(page, "traffic");
  const asked = await figure(page, "Asked of us");
  for (let i = 0; ; i++) {
    must(i < 100, `nothing changes: "${asked}" stays`);
    if ((await figure(page, "Asked of us")) !== asked) break;
    await page.waitForTimeout(200);
  }
  await show(page, "overview");
  must((await figure(page, "Up")) !== up, "the clock stands still");
  const peers = await page.locator(".figure", { hasText: "Peers in the table" }).locator("b").innerText();
  must(Number(peers) >= 10, `${peers} peers in the table of a network of 20`);
  await context.close();
});

let key = "";
await check("what is tried works and is drawn", async () => {
  const { context, page } = await open({}, "#/lookups");
  const value = `tried at ${Date.now()}`;
  const put = await tried(page, "Put", { Value: value });
  key = /\/imm\/[0-9a-f]{64}/.exec(put)?.[0] ?? "";
  must(key && /Stored with \d+ peers/.test(put), put);
  await page.locator(".target", { hasText: key }).waitFor();
  await page.locator(".drawing .request.storing").first().waitFor({ state: "attached" });
  must((await page.locator(".drawing .request.answered").count()) > 3, "no requests are drawn");
  must(/\d+ hops?/.test(await page.locator(".sum").innerText()), "no hops are told");
  const get = await tried(page, "Get", { Key: key });
  must(get.includes(value), get);
  must((await tried(page, "Provide", { CID: cid })).includes("Announced to"), "not announced");
  must(/\d+ providers? found/.test(await tried(page, "Find providers", { CID: cid })), "no providers");
  must((await tried(page, "Closest", { Key: "any key" })).includes("nearest"), "no closest peers");
  must((await tried(page, "Get", { Key: "/none/x" })).includes("keys begin with"), "a bad key is not explained");
  await page.screenshot({ path: join(shots, "tried.png"), fullPage: true });
  await context.close();
});

await check("a lookup is replayed, saved as a file and loaded again", async () => {
  const { context, page } = await open({}, "#/lookups");
  const target = `again and again ${Date.now()}`;
  await tried(page, "Closest", { Key: target });
  await page.locator(".target", { hasText: target }).waitFor();
  await page.locator(".sum", { hasText: "answered" }).waitFor();
  await page.locator(".drawing .request").first().waitFor({ state: "attached" });
  const whole = await page.locator(".drawing .request").count();
  await page.getByRole("button", { name: "Replay", exact: true }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("slider").focus();
  await page.keyboard.press("Home");
  must((await page.locator(".drawing .request").count()) < whole, "the beginning shows all");
  await page.getByRole("button", { name: "Step forward" }).click();
  await page.keyboard.press("Tab");
  await page.getByRole("slider").focus();
  await page.keyboard.press("End");
  must((await page.locator(".drawing .request").count()) === whole, "the end does not show all");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  const path = join(shots, "lookup.json");
  await file.saveAs(path);
  must(JSON.parse(await readFile(path, "utf8")).format === "kdht-lookup", "the file is none");
  await page.locator("input[type=file]").setInputFiles(path);
  await page.locator(".lookups .tag", { hasText: "file" }).waitFor();
  must((await page.locator(".target code").innerText()) === target, "the loaded one is not drawn");
  must((await page.locator(".drawing .request").count()) === whole, "the loaded one is drawn otherwise");
  await page.locator("input[type=file]").setInputFiles({ name: "x.json", mimeType: "application/json", buffer: Buffer.from("[1]") });
  await page.locator(".loader .complaint").waitFor();
  await context.close();
});

await check("a throttled peer is released", async () => {
  const { context, page } = await open({}, "#/throttle");
  const release = page.getByRole("button", { name: `Release ${heldBack}` }).first();
  await release.waitFor();
  await page.screenshot({ path: join(shots, "held-back.png"), fullPage: true });
  await release.click();
  await page.locator(".said", { hasText: "begins anew" }).waitFor();
  await release.waitFor({ state: "detached" });
  await context.close();
});

await check("all of it by keyboard", async () => {
  const { context, page } = await open({ reducedMotion: "reduce" });
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute("aria-label") || "");
  const tabTo = async (what) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      if ((await focused()).startsWith(what)) return;
    }
    throw new Error(`"${what}" cannot be reached with Tab`);
  };
  await page.keyboard.press("Tab");
  must((await focused()).startsWith("Skip"), "the first is no way past the navigation");
  await tabTo("Lookups");
  await page.keyboard.press("Enter");
  await page.locator(".try").waitFor();
  must((await focused()) === "Lookups", "the focus is not at the new screen");
  await page.keyboard.press("Tab"); // the operation
  await page.keyboard.press("Tab"); // the value
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  await page.locator(".try .outcome").waitFor();
  must((await page.getByRole("button", { name: "Replay", exact: true }).count()) === 0, "something moves though less motion is wanted");
  await tabTo("All ");
  await page.keyboard.press("Enter");
  await page.locator("details[open] tbody tr").first().waitFor();
  await page.keyboard.press("Home");
  await show(page, "table");
  await tabTo("Peer ");
  const first = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  for (const press of ["ArrowRight", "ArrowDown", "ArrowLeft", "End", "Home", "ArrowRight"]) await page.keyboard.press(press);
  const other = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  must(other?.startsWith("Peer") && other !== first, `from "${first}" arrows lead to "${other}"`);
  await page.keyboard.press("Enter");
  await page.locator(".facts", { hasText: "Heard of" }).waitFor();
  await tabTo("its addresses");
  await page.keyboard.press("Enter");
  await page.locator("tr.marked").waitFor();
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  const opened = await open({ colorScheme });
  await opened.page.waitForTimeout(4500); // the charts have something to show
  for (const screen of screens) {
    await check(`${screen}, ${colorScheme}: accessible`, async () => {
      await show(opened.page, screen);
      if (screen === "lookups") await tried(opened.page, "Get", { Key: key });
      if (screen === "table") await opened.page.locator("button.cell").first().click();
      await opened.page.waitForTimeout(300);
      await opened.page.screenshot({ path: join(shots, `${screen}-${colorScheme}.png`), fullPage: true });
      await accessible(opened, `${screen}, ${colorScheme}`);
    });
  }
  await opened.context.close();
}

await check("the reader's choice of colours is kept", async () => {
  const { context, page } = await open({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Colours: auto" }).click();
  must((await ground()) === light, "light is not light");
  await page.getByRole("button", { name: "Colours: light" }).click();
  const dark = await ground();
  must(dark !== light, "dark is light");
  await page.reload();
  await page.locator(".link.live").waitFor();
  must((await ground()) === dark, "forgotten");
  await context.close();
});

await check("fits a telephone", async () => {
  const opened = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  for (const screen of screens) {
    await show(opened.page, screen);
    await opened.page.waitForTimeout(150);
    await opened.page.screenshot({ path: join(shots, `${screen}-phone.png`), fullPage: true });
    const over = await opened.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    must(over <= 0, `${screen} is ${over} pixels too wide`);
  }
  await accessible(opened, "telephone");
  await opened.context.close();
});

await check("says when the node is gone", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route("**/api/events", (r) => r.abort());
  await page.goto(url);
  await page.locator(".link.lost").waitFor({ timeout: 10_000 });
  must((await page.locator("main").innerText()).includes("Not connected"), "nothing is said");
  await context.close();
});

await check("nothing goes wrong unseen, nobody else is asked", async () => {
  const bad = faults.filter((f) => !/api\/get|400 \(Bad Request\)/.test(f)); // a bad key, above
  must(bad.length === 0, bad.join("\n"));
});

await browser.close();
