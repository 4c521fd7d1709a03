// Sending, stopping, answering again, editing, copying; what is told about an answer; errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as b from "./browser.mjs";

const answerOf = async (body) => {
  const response = await fetch(`${await b.serverUrl()}v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  return (await response.json()).choices[0].message.content;
};
const metric = async (name, label = "") => {
  const text = await (await fetch(`${await b.serverUrl()}metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name}{`) && one.includes(label));
  return line ? Number(line.split(" ").at(-1)) : 0;
};

test("an empty page invites to write", async () => {
  const page = await b.openPage();
  assert.equal(await page.title(), "demo \u00b7 g3n");
  assert.equal(await page.locator("#welcome").isVisible(), true);
  assert.equal(await page.evaluate(() => document.activeElement.id), "message");
  assert.equal(await page.locator("#new-chat").isDisabled(), true);
  await page.locator("#message").press("Enter");
  assert.equal(await page.locator(".turn").count(), 0);
  await b.closePage(page);
});

test("Enter sends, Shift+Enter starts a line, the answer is the server's", async () => {
  const page = await b.openPage();
  await b.set(page, { temperature: 0 });
  await page.locator("#message").pressSequentially("Count to");
  await page.locator("#message").press("Shift+Enter");
  await page.locator("#message").pressSequentially("six.");
  assert.equal(await page.locator(".turn").count(), 0);
  await page.locator("#message").press("Enter");
  const text = await b.lastAnswer(page);
  assert.equal(text, await answerOf({ messages: [{ role: "user", content: "Count to\nsix." }], temperature: 0 }));
  assert.equal(await page.locator(".bubble").innerText(), "Count to\nsix.");
  assert.equal(await page.locator("#message").inputValue(), "");
  assert.match(await page.locator(".stats").innerText(), /^\d+ tokens? \u00b7 [\d.]+ tokens\/s \u00b7 first token after [\d.]+ s \u00b7 prompt \d+ \(\d+ cached\)$/);
  assert.match(await page.locator("#context").innerText(), /^\d+ of [\d,]+ tokens of context$/);
  const body = b.lastBody(page);
  assert.deepEqual(body, {
    messages: [{ role: "user", content: "Count to\nsix." }], temperature: 0, stream: true, stream_options: { include_usage: true },
    return_progress: true, timings: true,
  });
  await b.send(page, "And now?");
  assert.deepEqual(b.lastBody(page).messages, [
    { role: "user", content: "Count to\nsix." }, { role: "assistant", content: text }, { role: "user", content: "And now?" }]);
  await b.closePage(page);
});

test("a key that composes a character does not send", async () => {
  const page = await b.openPage();
  await b.type(page, "ni");
  await page.evaluate(() => document.getElementById("message").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true })));
  assert.equal(await page.locator(".turn").count(), 0);
  await b.closePage(page);
});

test("Send turns into Stop, which ends the work on the server", async () => {
  const page = await b.openPage();
  await b.changeRequests(page, (body) => (body.ignore_eos = true));
  const before = await metric("g3n_cancelled_total", 'stage="decode"');
  await b.type(page, "Go on for ever.");
  const button = page.locator("#send");
  assert.equal(await button.getAttribute("aria-label"), "Send");
  await button.click();
  await page.waitForFunction(() => document.querySelector(".prose")?.textContent.length > 20);
  assert.equal(await button.getAttribute("aria-label"), "Stop the answer");
  await b.type(page, "Not yet.");
  await page.locator("#message").press("Enter");  // waits for the end
  assert.equal(await page.locator(".turn.user").count(), 1);
  await button.click();
  const text = await b.lastAnswer(page);
  assert.ok(text.length > 20);
  assert.match(await page.locator(".stats").innerText(), /^Stopped/);
  assert.equal(await button.getAttribute("aria-label"), "Send");
  assert.equal(await page.locator("#message").inputValue(), "Not yet.");
  for (let i = 0; i < 100 && (await metric("g3n_requests_running")) > 0; ++i) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await metric("g3n_requests_running"), 0);
  assert.equal(await metric("g3n_cancelled_total", 'stage="decode"'), before + 1);
  await page.unroute("**/v1/chat/completions");
  await b.send(page, "Thanks.");
  assert.equal(b.lastBody(page).messages[1].role, "assistant");  // what came before the stop counts
  await b.closePage(page);
});

test("an answer at its limit of tokens says so", async () => {
  const page = await b.openPage();
  await b.set(page, { max_tokens: 2 });
  await b.send(page, "Count to six.");
  assert.match(await page.locator(".stats").innerText(), /^Cut off at the limit of tokens \u00b7 2 tokens/);
  await b.closePage(page);
});

test("an answer that was cut off goes on", async () => {
  const page = await b.openPage();
  await b.set(page, { temperature: 0 });
  const whole = await b.send(page, "Count to six.");
  assert.equal(await page.getByRole("button", { name: "Go on" }).count(), 0);
  await page.getByRole("button", { name: "New chat" }).click();
  await b.set(page, { max_tokens: 4 });
  const begin = await b.send(page, "Count to six.");
  assert.ok(whole.startsWith(begin) && begin.length < whole.length);
  await b.set(page, { max_tokens: "" });
  await page.getByRole("button", { name: "Go on" }).click();
  assert.equal(await b.lastAnswer(page), whole);
  assert.deepEqual(b.lastBody(page).messages, [{ role: "user", content: "Count to six." }, { role: "assistant", content: begin }]);
  assert.match(await page.locator(".stats").innerText(), /^1\d tokens/);
  assert.equal(await page.locator(".turn").count(), 2);
  assert.equal(await page.getByRole("button", { name: "Go on" }).count(), 0);
  await b.closePage(page);
});

test("answering again replaces the last answer", async () => {
  const page = await b.openPage();
  await b.send(page, "Count to six.");
  await b.send(page, "What is 3 plus 4?");
  const first = b.lastBody(page);
  assert.equal(await page.getByRole("button", { name: "Answer again" }).count(), 1);  // of the last alone
  await page.getByRole("button", { name: "Answer again" }).click();
  await b.lastAnswer(page);
  assert.deepEqual(b.lastBody(page), first);
  assert.equal(await page.locator(".answer").count(), 2);
  assert.equal(await page.locator(".turn.user").count(), 2);
  assert.equal(await page.evaluate(() => document.activeElement.id), "message");
  await b.closePage(page);
});

test("editing sends again and replaces what followed; Cancel and Escape bring the draft back", async () => {
  const page = await b.openPage();
  await b.send(page, "Count to six.");
  await b.send(page, "What is 3 plus 4?");
  await b.type(page, "a draft");
  const edit = page.getByRole("button", { name: "Edit and send again" }).first();
  await edit.click();
  assert.equal(await page.locator("#message").inputValue(), "Count to six.");
  assert.equal(await page.locator("#edit-line").isVisible(), true);
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await page.locator("#message").inputValue(), "a draft");
  await edit.click();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#message").inputValue(), "a draft");
  assert.equal(await page.locator("#edit-line").isVisible(), false);
  await edit.click();
  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(await page.locator("#message").inputValue(), "a draft");
  await page.getByRole("button", { name: "Bring back the last chat" }).click();
  await edit.click();
  await b.send(page, "Count to four.");
  assert.deepEqual(b.lastBody(page).messages, [{ role: "user", content: "Count to four." }]);
  assert.equal(await page.locator(".turn").count(), 2);
  await b.closePage(page);
});

test("a new chat begins empty, and the last one can be brought back", async () => {
  const page = await b.openPage();
  const text = await b.send(page, "Count to six.");
  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(await page.locator(".turn").count(), 0);
  await page.getByRole("button", { name: "Bring back the last chat" }).click();
  assert.equal(await page.locator(".prose").innerText(), text);
  await page.getByRole("button", { name: "New chat" }).click();
  await b.send(page, "Hello.");
  assert.equal(b.lastBody(page).messages.length, 1);
  await b.closePage(page);
});

test("copying an answer and its code", async () => {
  for (const script of [undefined, "Object.defineProperty(navigator, 'clipboard', { value: undefined })"]) {
    const page = await b.openPage({ script, permissions: ["clipboard-read", "clipboard-write"] });
    await b.fakeAnswer(page, b.textFrame("Here:\n\n```python\nprint(1 < 2)\n```\n"), b.endFrame(), "[DONE]");
    await b.send(page, "Code, please.");
    const pasted = async () => {
      await b.type(page, "");
      await page.locator("#message").press("Control+V");
      return page.locator("#message").inputValue();
    };
    await page.getByRole("button", { name: "Copy the code" }).click();
    await page.locator(".code-copy", { hasText: "Copied" }).waitFor();
    assert.equal(await pasted(), "print(1 < 2)");
    await page.getByRole("button", { name: "Copy the answer" }).click();
    await page.locator("#said", { hasText: "Copied" }).waitFor({ state: "attached" });
    assert.equal(await pasted(), "Here:\n\n```python\nprint(1 < 2)\n```\n");
    await b.closePage(page);
  }
});

test("a screen reader hears whole sentences and the end", async () => {
  const page = await b.openPage({
    script: `addEventListener("DOMContentLoaded", () => {
      window.heard = [];
      new MutationObserver((all) => all.forEach((one) => one.addedNodes.forEach((node) => heard.push(node.textContent))))
        .observe(document.getElementById("spoken"), { childList: true });
    })`,
  });
  await b.fakeAnswer(page, ...["The st", "ar is **red", "**. The ", "ring is", " green"].map(b.textFrame), b.endFrame(), "[DONE]");
  await b.send(page, "Which colours?");
  const heard = await page.evaluate(() => window.heard);
  assert.equal(heard.join(" ").replace(/\s+/g, " "), "The star is red . The ring is green Answer complete.");
  assert.ok(heard.every((text) => !/(The st|star is red|The ring is)$/.test(text)), String(heard));
  await b.closePage(page);
});

test("progress of a prompt that is being read", async () => {
  const page = await b.openPage();
  await page.evaluate(() => {
    window.fetch = async () => new Response(new ReadableStream({ start: (control) => (window.control = control) }));
    window.frame = (value) => window.control.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(value)}\n\n`));
  });
  await b.type(page, "Long.");
  await page.locator("#message").press("Enter");
  const waiting = page.locator(".waiting-text");
  await waiting.getByText("Waiting", { exact: true }).waitFor();
  await page.evaluate(() => window.frame({ choices: [], prompt_progress: { total: 4096, processed: 1024, stage: "prefill" } }));
  await waiting.getByText("Reading, 1,024 of 4,096 tokens").waitFor();
  assert.equal(await page.getByRole("progressbar").evaluate((bar) => bar.value / bar.max), 0.25);
  await page.evaluate(() => window.frame({ choices: [{ delta: { content: "Done" } }] }));
  await page.locator(".prose", { hasText: "Done" }).waitFor();
  assert.equal(await waiting.isVisible(), false);
  await page.locator("#send").click();
  await b.closePage(page);
});

test("the server tells how far it has read a long prompt", async () => {
  const page = await b.openPage();
  await page.evaluate(() => {
    window.told = [];
    new MutationObserver(() => {
      const bar = document.querySelector(".waiting:not([hidden]) progress:not([hidden])");
      if (bar) window.told.push([document.querySelector(".waiting-text").textContent, bar.value, bar.max]);
    }).observe(document.getElementById("chat"), { childList: true, subtree: true, attributes: true, characterData: true });
  });
  await b.set(page, { max_tokens: 4 });
  await b.send(page, "The red circle and the blue star. ".repeat(1500));
  const told = await page.evaluate(() => window.told);
  assert.ok(told.length > 1);
  assert.match(told[0][0], /^Reading, [\d,]+ of [\d,]+ tokens$/);
  assert.ok(told.every(([, value, max], i) => value <= max && (i === 0 || value >= told[i - 1][1])));
  await b.closePage(page);
});

test("errors are text in the chat, with Retry", async () => {
  const page = await b.openPage();
  const cases = [
    [(route) => route.abort("connectionrefused"), /The server cannot be reached/],
    [(route) => route.fulfill({ status: 429, headers: { "retry-after": "7" }, json: { error: { message: "the queue is full", code: "queue_full" } } }),
      /the queue is full\s+The server asks to wait 7 s.\s+HTTP 429, queue_full/],
    [(route) => route.fulfill({ status: 502, body: "<html>Bad gateway</html>" }), /HTTP 502 and no explanation/],
    [(route) => route.fulfill({ status: 200, body: 'data: {"choices":[{"delta":{"content":"half"}}]}\n\n' }), /ended before the answer did/],
    [(route) => route.fulfill({ status: 200, body: 'data: {"error":{"message":"<b>the end</b>","code":"internal_error"}}\n\n' }), /<b>the end<\/b>\s+internal_error/],
    [(route) => route.fulfill({ status: 200, body: "data: nonsense\n\n" }), /does not understand/],
  ];
  await page.route("**/v1/chat/completions", cases[0][0]);
  await b.type(page, "Hello?");
  await page.locator("#message").press("Enter");
  for (let i = 0; i < cases.length; ++i) {
    const problem = page.locator(".problem:visible");
    await problem.filter({ hasText: "No answer" }).waitFor();
    assert.match(await problem.innerText(), cases[i][1]);
    await page.unroute("**/v1/chat/completions");
    if (i + 1 < cases.length) await page.route("**/v1/chat/completions", cases[i + 1][0]);
    await page.getByRole("button", { name: "Retry" }).click();
  }
  const text = await b.lastAnswer(page);
  assert.notEqual(text, "");
  assert.equal(await page.locator(".problem:visible").count(), 0);
  assert.equal(await page.locator(".turn").count(), 2);
  assert.deepEqual(b.lastBody(page).messages, [{ role: "user", content: "Hello?" }]);
  await b.closePage(page, b.kFailedLoad);
});

test("a server that loads, then is ready", async () => {
  let asked = 0;
  const page = await b.openPage({ ready: false, url: await b.serverUrl(), script: "" });
  await page.route("**/props", (route) =>
    ++asked > 1 ? route.continue() : route.fulfill({ status: 503, json: { error: { message: "the model is being loaded", code: "loading" } } }));
  await page.reload();
  await page.locator("#server", { hasText: "the model is being loaded" }).waitFor();
  await page.locator("#server", { hasText: "demo, ready" }).waitFor();
  await b.closePage(page, b.kFailedLoad);
});

test("the page follows the answer unless the reader scrolls away", async () => {
  const page = await b.openPage();
  await b.fakeAnswer(page, b.textFrame("A line.\n\n".repeat(80)), b.endFrame(), "[DONE]");
  await b.send(page, "Much.");
  const fromEnd = () => page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY);
  assert.ok((await fromEnd()) < 2);
  await page.mouse.wheel(0, -1500);
  await page.locator("#jump").waitFor();
  await page.getByRole("button", { name: "Go to the newest" }).click();
  assert.ok((await fromEnd()) < 2);
  await page.locator("#jump").waitFor({ state: "hidden" });
  await b.closePage(page);
});
