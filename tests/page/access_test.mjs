// WCAG 2.2 AA as far as a program can tell: names, order, focus, contrast, sizes, reflow, motion.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as b from "./browser.mjs";

const kLong = "A paragraph with a [link](https://e.org).\n\n```js\nconst aVeryLongLine = 'that does not fit on a small screen, however one turns it around, and so it scrolls inside its own frame';\n```\n\n" +
  "| a | b | c | d | e | f |\n|--|--|--|--|--|--|\n| something | somewhat | somehow | someone | sometimes | somewhere |\n\n`aLongWordOfCodeWithoutAnySpaceInItThatMustBreakSomewhereOrElse`\n\n- a\n  - b\n    - c";

// A chat that shows every kind of control.
async function fullPage(options) {
  const page = await b.openPage(options);
  await page.setInputFiles("#files", [b.demo("red-circle.png"), b.demo("colors.wav")]);
  await page.locator(".attachment").nth(1).waitFor();
  await b.fakeAnswer(page, b.textFrame(kLong), b.endFrame(), { choices: [], usage: { prompt_tokens: 500, completion_tokens: 90, total_tokens: 590 }, timings: { predicted_per_second: 21.5 } }, "[DONE]");
  await b.send(page, "aVeryLongWordThatTheReaderWroteWithoutAnySpaceInItAndThatMustBreakSomewhereOrElseThePageScrolls");
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (route) => route.abort());
  await b.type(page, "Once more");
  await page.locator("#message").press("Enter");
  await page.locator(".problem:visible").waitFor();
  await page.setInputFiles("#files", [b.demo("red-circle.png"), b.demo("colors.wav")]);
  await page.locator(".attachment").nth(1).waitFor();
  await page.locator("#message").fill("One line\nand a second");
  return page;
}

const kNeedNames = ["button", "textbox", "spinbutton", "checkbox", "switch", "combobox", "link", "img", "image", "group", "progressbar", "dialog", "Audio", "slider", "region", "list", "meter"];

async function unnamed(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const shown = nodes.filter((node) => !node.ignored);
  const inside = new Set(shown.filter((node) => node.role?.value === "Audio").flatMap((node) => node.childIds));
  return {
    names: shown.filter((node) => kNeedNames.includes(node.role?.value)).map((node) => `${node.role.value} ${node.name?.value ?? ""}`),
    bare: shown.filter((node) => kNeedNames.includes(node.role?.value) && !node.name?.value && !inside.has(node.nodeId) && !["list", "group"].includes(node.role.value)).map((node) => node.role.value),
  };
}

test("all controls have names", async () => {
  const page = await fullPage();
  const chat = await unnamed(page);
  assert.deepEqual(chat.bare, []);
  for (const name of ["button New chat", "button Settings", "button Edit and send again", "button Copy the answer", "button Copy the code", "button Retry", "button Add pictures or sound", "button Record sound",
    "button Send", "button Remove red-circle.png", "button Remove colors.wav", "textbox Message", "image Picture red-circle.png"])
    assert.ok(chat.names.includes(name), `${name} among ${chat.names}`);
  await page.getByRole("button", { name: "Edit and send again" }).first().click();
  await page.locator("#open-settings").click();
  const settings = await unnamed(page);
  assert.deepEqual(settings.bare, []);
  for (const name of ["dialog Settings", "textbox Instructions", "spinbutton Temperature", "spinbutton Top p", "spinbutton Top k", "spinbutton Most tokens", "spinbutton Seed", "combobox Picture size", "textbox API key",
    "switch Keep the chat and these settings", "combobox Appearance", "button Export", "button Import", "button Reset all settings", "button Done"])
    assert.ok(settings.names.includes(name), `${name} among ${settings.names}`);
  await b.closePage(page, b.kFailedLoad);
});

const focusName = (page) => page.evaluate(() => {
  const node = document.activeElement;
  return node === document.body ? "body" : node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent.trim() || node.localName;
});

test("the order of Tab is that of the page, and it leads out again", async () => {
  const page = await b.openPage();
  await b.fakeAnswer(page, b.textFrame("[A link](https://e.org) and\n\n```js\ncode\n```"), b.endFrame(), "[DONE]");
  await b.send(page, "Hello.");
  await page.evaluate(() => ((document.body.tabIndex = -1), document.body.focus(), document.body.removeAttribute("tabindex")));
  const order = [];
  for (let i = 0; i < 20; ++i) {
    await page.keyboard.press("Tab");
    const name = await focusName(page);
    if (name === "body" || order.includes(name)) break;
    order.push(name);
    const seen = await page.evaluate(() => {
      const node = document.activeElement, box = node.getBoundingClientRect();
      const style = getComputedStyle(node), card = getComputedStyle(document.getElementById("composer"));
      const at = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 20));
      return { ring: style.outlineStyle !== "none" || (node.id === "message" && card.outlineStyle !== "none"), onTop: node.contains(at) || at?.contains(node), inside: box.top >= 0 && box.bottom <= innerHeight };
    });
    assert.deepEqual(seen, { ring: true, onTop: true, inside: true }, name);
  }
  assert.deepEqual(order, ["Skip to the message box", "New chat", "Settings", "Edit and send again", "A link (opens in a new tab)", "Copy the code", "js", "Copy the answer", "Answer again", "Message",
    "Add pictures or sound", "Record sound", "Send"]);
  await b.closePage(page);
});

test("the skip link leads to the message box", async () => {
  const page = await b.openPage();
  await page.evaluate(() => document.querySelector(".skip").focus());
  assert.equal(await page.locator(".skip").evaluate((node) => node.getBoundingClientRect().top >= 0), true);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "message");
  await b.closePage(page);
});

test("the settings hold the focus and give it back", async () => {
  const page = await b.openPage();
  await page.locator("#open-settings").focus();
  await page.keyboard.press("Enter");
  const inside = () => page.evaluate(() => document.getElementById("settings").contains(document.activeElement) || document.activeElement === document.body);
  for (let i = 0; i < 25; ++i) {
    assert.equal(await inside(), true);
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "open-settings");
  await b.closePage(page);
});

// Texts whose contrast with what is behind them is below 4.5 (3 for large ones).
const poorContrast = (page) => page.evaluate(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((x, i) => x * a + under[i] * (1 - a));
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      layers.push(color);
      if (color[3] === 1) break;
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), rgba(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.checkVisibility() || node.closest(".unseen, .symbols, :disabled")) continue;
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const style = getComputedStyle(node), back = behind(node);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const check = (what, color, least) => {
      const ratio = contrast(over(rgba(color), back), back);
      if (ratio < least) poor.push(`${node.localName}.${node.className.baseVal ?? node.className} ${what}: ${ratio.toFixed(2)}`);
    };
    if (hasText || ["input", "textarea", "select"].includes(node.localName)) check("text", style.color, isLarge ? 3 : 4.5);
    if (node.placeholder) check("placeholder", getComputedStyle(node, "::placeholder").color, 4.5);
    if (node.localName === "svg") check("icon", style.color, 3);
    if (["input", "textarea", "select"].includes(node.localName) && node.id !== "message") {
      const outside = behind(node.parentElement);
      if (contrast(over(rgba(style.borderTopColor), outside), outside) < 3) poor.push(`${node.id} border`);
    }
  }
  return poor;
});

test("contrast, dark and light; controls large enough to hit", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await fullPage({ colorScheme });
    assert.deepEqual(await poorContrast(page), [], colorScheme);
    const small = () => page.evaluate(() =>
      [...document.querySelectorAll("button, input, select, textarea")].filter((node) => node.checkVisibility()).filter((node) => {
        const { width, height } = node.getBoundingClientRect();
        return width < 24 || height < 24;
      }).map((node) => node.outerHTML));
    assert.deepEqual(await small(), []);
    await page.locator("#open-settings").click();
    await page.locator("#set-temperature").fill("9");
    assert.deepEqual(await poorContrast(page), [], `settings, ${colorScheme}`);
    assert.deepEqual(await small(), []);
    await b.closePage(page, b.kFailedLoad);
  }
});

test("the theme of the settings wins over the system's", async () => {
  const page = await b.openPage({ colorScheme: "light" });
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await paper();
  await b.set(page, { theme: "dark" });
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.emulateMedia({ colorScheme: "dark" });
  await b.set(page, { theme: "light" });
  assert.equal(await paper(), light);
  await b.set(page, { theme: "system" });
  assert.equal(await paper(), dark);
  await b.closePage(page);
});

test("320 pixels, and 200 and 400 % zoom: nothing scrolls sideways, nothing is lost", async () => {
  for (const [viewport, deviceScaleFactor] of [[{ width: 320, height: 640 }, 1], [{ width: 550, height: 380 }, 2], [{ width: 320, height: 256 }, 4]]) {
    const page = await fullPage({ viewport, deviceScaleFactor });
    assert.equal(await b.hasSidewaysScroll(page), false, JSON.stringify(viewport));
    const outside = () => page.evaluate(() =>
      [...document.querySelectorAll("button, textarea, input, select, p, h1, h2, h3, img, audio, .bubble")].filter((node) => node.checkVisibility() && !node.closest(".unseen, pre, .table-frame, .code-copy .unseen") && !node.matches(".unseen, .skip")).filter((node) => {
        const { left, right } = node.getBoundingClientRect();
        return left < -1 || right > innerWidth + 1;
      }).map((node) => `${node.localName}#${node.id}.${node.className}`));
    assert.deepEqual(await outside(), [], JSON.stringify(viewport));
    await page.locator("#open-settings").click();
    assert.equal(await page.locator("#settings").evaluate((node) => node.scrollWidth > node.clientWidth), false);
    assert.deepEqual(await outside(), [], JSON.stringify(viewport));
    await page.locator("#reset").scrollIntoViewIfNeeded();
    assert.equal(await page.locator("#reset").isVisible(), true);
    await page.locator("#settings-done").click();
    await page.locator("#send").scrollIntoViewIfNeeded();
    await page.locator("#send").click({ trial: true });
    await b.closePage(page, b.kFailedLoad);
  }
});

test("text twice as large", async () => {
  const page = await fullPage({ viewport: { width: 1000, height: 700 } });
  await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
  assert.equal(await b.hasSidewaysScroll(page), false);
  await page.locator("#send").click({ trial: true });
  await b.closePage(page, b.kFailedLoad);
});

test("no motion where it is not wanted", async () => {
  for (const [reducedMotion, moving] of [["reduce", false], ["no-preference", true]]) {
    const page = await b.openPage({ reducedMotion });
    await page.route("**/v1/chat/completions", () => {});
    await b.type(page, "Wait.");
    await page.locator("#message").press("Enter");
    await page.locator(".waiting").waitFor();
    assert.equal(await page.evaluate(() => document.querySelector(".pulse").getAnimations().length > 0), moving);
    await page.locator("#send").click();
    await b.closePage(page);
  }
});

test("landmarks, headings and live regions", async () => {
  const page = await fullPage();
  const found = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    landmarks: ["header", "main", "footer"].map((name) => document.querySelectorAll(`body > ${name}`).length),
    log: ["role", "aria-live"].map((name) => document.getElementById("spoken").getAttribute(name)),
    status: document.querySelectorAll("[role=status]").length,
    headings: [...document.querySelectorAll("h1, h2, h3")].filter((node) => node.checkVisibility()).map((node) => node.localName),
    words: [...document.querySelectorAll("[data-text], [data-label], [data-hint]")].filter((node) => (node.textContent || node.getAttribute("aria-label") || node.placeholder || "undefined").includes("undefined")).length,
    ids: [...document.querySelectorAll("[id]")].map((node) => node.id).filter((id, i, all) => all.indexOf(id) !== i),
  }));
  assert.deepEqual(found.landmarks, [1, 1, 1]);
  assert.deepEqual([found.lang, ...found.log, found.words], ["en", "log", "polite", 0]);
  assert.ok(found.status >= 1);
  assert.deepEqual(found.ids, []);
  found.headings.reduce((before, name) => (assert.ok(Number(name[1]) <= Number(before[1]) + 1, `${before} then ${name}`), name), "h0");
  await b.closePage(page, b.kFailedLoad);
});
