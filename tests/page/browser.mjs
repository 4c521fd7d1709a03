// One server over the demo checkpoint and one headless Chromium for all tests; pages that remember what went wrong in them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { chromium } = createRequire(`${root}build/page/`)("playwright-core");
const program = process.env.G3N ?? `${root}build/release/g3n`;

export const demo = (name) => `${root}models/demo/media/${name}`;
export const demoBytes = (name) => readFileSync(demo(name));
export { root };

const children = [];

// The address of a new server, once its model is loaded.
export async function startServer(...flags) {
  const child = spawn(program, ["serve", "-m", `${root}models/demo`, "--port", "0", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let log = "";
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`g3n serve ended with ${code}: ${log}`)));
    child.stderr.on("data", (bytes) => {
      log += bytes;
      const url = /g3n serve: (http:\S+)/.exec(log)?.[1];
      if (url && /^ready:/m.test(log)) resolve({ url, stop: () => child.kill("SIGTERM") });
    });
  });
}

let server, browser;
export const serverUrl = async () => (server ??= await startServer()).url;

async function theBrowser() {
  return (browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
  }));
}

export async function closeAll() {
  await browser?.close();
  for (const child of children) child.kill("SIGTERM");
}
after(closeAll);

// A page in a context of its own. What it logs as an error and what it asks of others is collected in page.faults.
export async function openPage({ url, script, ready = true, ...options } = {}) {
  const address = url ?? (await serverUrl());
  const context = await (await theBrowser()).newContext({ viewport: { width: 1100, height: 760 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.faults = [];
  page.requests = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.faults.push(`exception: ${error.stack}`));
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (!["blob:", "data:"].includes(to.protocol) && to.origin !== new URL(address).origin) page.faults.push(`request to ${request.url()}`);
    if (request.method() === "POST") page.requests.push(request);
  });
  page.on("dialog", (dialog) => {
    page.faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  if (script) await page.addInitScript(script);
  if (process.env.G3N_WEB) await page.route(/\/web\/[^/]+$/, (route) => route.fulfill({ path: process.env.G3N_WEB + new URL(route.request().url()).pathname.slice(4) }));
  await page.goto(address);
  if (ready) await page.waitForSelector(".dot.good");
  return page;
}

// expected: faults that belong to the test, as regular expressions; each must have come.
export async function closePage(page, ...expected) {
  for (const pattern of expected) assert.ok(page.faults.some((fault) => pattern.test(fault)), `expected ${pattern} among ${page.faults}`);
  assert.deepEqual(page.faults.filter((fault) => !expected.some((pattern) => pattern.test(fault))), []);
  await page.context().close();
}

export const kFailedLoad = /Failed to load resource/;

export async function type(page, text) {
  await page.locator("#message").fill(text);
}

// Sends by Enter and waits for the end of the answer; gives its text as it is seen.
export async function send(page, text) {
  await type(page, text);
  await page.locator("#message").press("Enter");
  return lastAnswer(page);
}

export async function lastAnswer(page) {
  const answer = page.locator(".answer").last();
  await answer.and(page.locator(":not(.busy)")).waitFor();
  return answer.locator(".prose").innerText();
}

// Settings by their API names.
export async function set(page, values) {
  await page.locator("#open-settings").click();
  for (const [name, value] of Object.entries(values)) {
    const field = page.locator(`#set-${name}`);
    if (["image_size", "theme"].includes(name)) await field.selectOption(String(value));
    else if (name === "keep") await field.setChecked(value);
    else await field.fill(String(value));
  }
  await page.locator("#settings-done").click();
}

// Answers chat requests of the page itself with these frames.
export async function fakeAnswer(page, ...frames) {
  const body = frames.map((frame) => `data: ${typeof frame === "string" ? frame : JSON.stringify(frame)}\n\n`).join("");
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 200, headers: { "content-type": "text/event-stream" }, body }));
}
export const textFrame = (content) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
export const endFrame = (reason = "stop") => ({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });

export const bodyOf = (request) => JSON.parse(request.postData());
export const lastBody = (page) => bodyOf(page.requests.at(-1));

// Changes what the page sends on its way to the server.
export async function changeRequests(page, change) {
  await page.route("**/v1/chat/completions", (route) => {
    const body = bodyOf(route.request());
    change(body);
    return route.continue({ postData: JSON.stringify(body) });
  });
}

export const hasSidewaysScroll = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
