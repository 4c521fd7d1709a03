// Settings, the key, what the browser keeps, files of chats.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as b from "./browser.mjs";

test("every setting reaches the request, an empty one does not", async () => {
  const page = await b.openPage();
  await b.set(page, { system: "You are brief.", temperature: 0.5, top_p: 0.8, top_k: 20, max_tokens: 12, seed: 7, image_size: 256 });
  await b.send(page, "Count to six.");
  const { messages, temperature, top_p, top_k, max_tokens, seed, image_size } = b.lastBody(page);
  assert.deepEqual({ temperature, top_p, top_k, max_tokens, seed, image_size }, { temperature: 0.5, top_p: 0.8, top_k: 20, max_tokens: 12, seed: 7, image_size: 256 });
  assert.deepEqual(messages[0], { role: "system", content: "You are brief." });
  await b.set(page, { temperature: "", image_size: "" });
  await b.send(page, "And four.");
  assert.equal("temperature" in b.lastBody(page) || "image_size" in b.lastBody(page), false);
  await page.locator("#open-settings").click();
  await page.getByRole("button", { name: "Reset all settings" }).click();
  await page.locator("#settings-done").click();
  await b.send(page, "And five.");
  assert.deepEqual(Object.keys(b.lastBody(page)).sort(), ["messages", "return_progress", "stream", "stream_options", "timings"]);
  assert.equal(b.lastBody(page).messages[0].role, "user");
  await b.closePage(page);
});

test("defaults of the server are shown; what it would refuse is said and not sent", async () => {
  const page = await b.openPage();
  await page.locator("#open-settings").click();
  assert.equal(await page.locator("#set-temperature").getAttribute("placeholder"), "1");
  assert.equal(await page.locator("#set-top_k").getAttribute("placeholder"), "64");
  await page.locator("#set-temperature").fill("2.5");
  await page.getByText("A number from 0 to 2, or nothing.").waitFor();
  assert.equal(await page.locator("#set-temperature").getAttribute("aria-invalid"), "true");
  await page.locator("#set-top_k").fill("1.5");
  await page.getByText("A whole number from 0 to").waitFor();
  await page.locator("#set-top_k").fill("5");
  assert.equal(await page.locator("#set-top_k").getAttribute("aria-invalid"), "false");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#settings").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "open-settings");
  await b.send(page, "Hello.");
  assert.equal("temperature" in b.lastBody(page), false);
  assert.equal(b.lastBody(page).top_k, 5);
  await b.closePage(page);
});

test("a key is asked for, kept in the tab alone, and sent to this server alone", async () => {
  const server = await b.startServer("--api-key", "secret-1");
  const page = await b.openPage({ url: server.url, ready: false });
  await page.getByText("This server asks for a key").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "key-entry");
  await page.getByRole("textbox", { name: "API key" }).fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("The server does not know this key.").waitFor();
  await page.getByRole("textbox", { name: "API key" }).fill(" secret-1\u20ac ");  // as pasted
  await page.getByRole("button", { name: "Use the key" }).click();
  await page.locator(".dot.good").waitFor();
  assert.equal(await page.locator("#key-card").isVisible(), false);
  assert.notEqual(await b.send(page, "Count to six."), "");
  assert.equal(page.requests.at(-1).headers().authorization, "Bearer secret-1");
  const kept = await page.evaluate(() => [JSON.stringify({ ...localStorage }), document.cookie, sessionStorage.length, document.body.textContent.includes("secret-1")]);
  assert.deepEqual(kept, ["{}", "", 1, false]);
  await page.reload();
  await page.locator(".dot.good").waitFor();
  await b.set(page, { key: "other" });
  await page.locator("#key-card").waitFor();
  await b.closePage(page, b.kFailedLoad);
  server.stop();
});

test("nothing is kept unless switched on; then the chat is back, and gone when switched off", async () => {
  const page = await b.openPage();
  await page.setInputFiles("#files", b.demo("red-circle.png"));
  const text = await b.send(page, "Describe the image.");
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  await b.set(page, { keep: true, temperature: 0.5, theme: "dark" });
  await b.send(page, "Count to six.");
  await page.reload();
  await page.locator(".dot.good").waitFor();
  assert.equal(await page.locator(".turn").count(), 4);
  assert.equal(await page.locator(".prose").first().innerText(), text);
  assert.equal(await page.locator(".user img").evaluate((img) => img.decode().then(() => img.naturalWidth > 0)), true);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await b.send(page, "More.");
  assert.equal(b.lastBody(page).messages.length, 5);
  assert.equal(b.lastBody(page).temperature, 0.5);
  await b.set(page, { keep: false });
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await b.closePage(page);
});

test("a chat too large for the browser's storage is told", async () => {
  const page = await b.openPage();
  await b.set(page, { keep: true });
  await page.setInputFiles("#files", { name: "noise.png", mimeType: "image/png", buffer: Buffer.alloc(6_000_000, 1) });
  await page.locator(".attachment").waitFor();
  await b.type(page, "Look.");
  await page.locator("#message").press("Enter");
  await page.getByText("too large for the browser's storage").waitFor();
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await b.closePage(page, b.kFailedLoad);
});

test("export and import give the same chat", async () => {
  const page = await b.openPage();
  await b.set(page, { system: "Be brief.", seed: 5 });
  await page.setInputFiles("#files", [b.demo("red-circle.png"), b.demo("colors.wav")]);
  await page.locator(".attachment").nth(1).waitFor();
  await b.send(page, "Describe the image.");
  await page.locator("#open-settings").click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  assert.match(download.suggestedFilename(), /^g3n-chat-\d{4}-\d\d-\d\d\.json$/);
  const path = await download.path();
  const file = JSON.parse(readFileSync(path, "utf8"));
  assert.deepEqual([file.format, file.options.seed, file.messages[0].role], ["g3n chat", 5, "system"]);

  const other = await b.openPage();
  await other.locator("#open-settings").click();
  await other.setInputFiles("#import-file", path);
  await other.locator("#settings").waitFor({ state: "hidden" });
  assert.equal(await other.locator(".turn").count(), 2);
  assert.equal(await other.locator(".prose").innerText(), await page.locator(".prose").innerText());
  await b.send(other, "And?");
  await page.locator("#settings-done").click();
  await b.send(page, "And?");
  assert.deepEqual(b.lastBody(other), b.lastBody(page));
  await b.closePage(page);
  await b.closePage(other);
});

test("files that are no chats, and hostile ones", async () => {
  const page = await b.openPage();
  await page.locator("#open-settings").click();
  const cases = [
    ["{", "the file is not JSON"], ["{}", "no list of messages"], ["[]", "no list of messages"], ['[{"role":"tool","content":"x"}]', "message 1 has no role"],
    ['[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://e.org/x.png"}}]}]', "message 1 has contents"],
    ['[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/svg+xml,<svg/>"}}]}]', "message 1 has contents"],
    ['[{"role":"user","content":7}]', "message 1 has contents"], ["[null]", "message 1 has no role"],
  ];
  for (const [text, words] of cases) {
    await page.setInputFiles("#import-file", { name: "chat.json", mimeType: "application/json", buffer: Buffer.from(text) });
    await page.locator("#settings-note", { hasText: words }).waitFor();
  }
  const hostile = {
    options: { temperature: 9, top_k: "x", seed: 3, unknown: true, theme: "\" onload=\"", stream: false },
    messages: [{ role: "user", content: "<img src=x onerror=window.hit=1>" }, { role: "assistant", content: "[x](javascript:window.hit=2)<script>window.hit=3</script>" }],
  };
  await page.setInputFiles("#import-file", { name: "chat.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(hostile)) });
  await page.locator("#settings").waitFor({ state: "hidden" });
  assert.equal(await page.locator(".bubble").innerText(), hostile.messages[0].content);
  assert.equal(await page.locator("#chat img, #chat script, #chat a").count(), 0);
  await b.send(page, "Hello.");
  const { messages, ...rest } = b.lastBody(page);
  assert.equal(messages.length, 3);
  assert.deepEqual(Object.keys(rest).sort(), ["return_progress", "seed", "stream", "stream_options", "timings"]);
  assert.equal(rest.stream, true);
  assert.equal(await page.evaluate(() => window.hit ?? null), null);
  await b.closePage(page);
});
