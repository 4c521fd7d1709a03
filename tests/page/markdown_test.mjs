// Markdown as DOM nodes: what is known is shown, everything else stays text, and nothing in an answer runs or loads.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as b from "./browser.mjs";

const kCases = [
  ["one\ntwo", "<p>one<br>two</p>"],
  ["one\n\ntwo", "<p>one</p><p>two</p>"],
  ["# A *b*", '<h3 class="level-1">A <em>b</em></h3>'],
  ["###### deep ##", '<h6 class="level-6">deep</h6>'],
  ["#hashtag", "<p>#hashtag</p>"],
  ["a **b *c* d** _e_ ~~f~~", "<p>a <strong>b <em>c</em> d</strong> <em>e</em> <del>f</del></p>"],
  ["***both***", "<p><em><strong>both</strong></em></p>"],
  ["snake_case_name 2*3*4 * 5", "<p>snake_case_name 2<em>3</em>4 * 5</p>"],
  ["**open and ~one~", "<p>**open and ~one~</p>"],
  ["\\*not\\* \\`code\\`", "<p>*not* `code`</p>"],
  ["`a ** b` and `` c ` d ``", "<p><code>a ** b</code> and <code>c ` d</code></p>"],
  ["`open", "<p>`open</p>"],
  ["a &lt;b&gt; &amp;amp; &copy;", "<p>a &lt;b&gt; &amp;amp; &amp;copy;</p>"],
  ["- a\n- b\n  - c\n    - d\n- e", "<ul><li><span>a</span></li><li><span>b</span><ul><li><span>c</span><ul><li><span>d</span></li></ul></li></ul></li><li><span>e</span></li></ul>"],
  ["1. a\n   * b\n2. c", "<ol><li><span>a</span><ul><li><span>b</span></li></ul></li><li><span>c</span></li></ol>"],
  ["3) a\n4) b", '<ol start="3"><li><span>a</span></li><li><span>b</span></li></ol>'],
  ["- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"],
  ["* a\n  more\n\n  second\n* b", "<ul><li><p>a<br>more</p><p>second</p></li><li><p>b</p></li></ul>"],
  ["text\n- a", "<p>text</p><ul><li><span>a</span></li></ul>"],
  ["In\n1986. A year", "<p>In<br>1986. A year</p>"],
  ["- a\n***\n- b", "<ul><li><span>a</span></li></ul><hr><ul><li><span>b</span></li></ul>"],
  ["> a\n> > b\n> - c", "<blockquote><p>a</p><blockquote><p>b</p></blockquote><ul><li><span>c</span></li></ul></blockquote>"],
  ["---", "<hr>"],
  ["a | b\n--|:-:\n1 | `x|y` \\| z\n3", '<div class="table-frame" tabindex="0" role="group" aria-label="table"><table><thead><tr><th class="to-left" scope="col">a</th><th class="to-center" scope="col">b</th></tr></thead><tbody><tr><td class="to-left">1</td><td class="to-center"><code>x|y</code> | z</td></tr></tbody></table></div><p>3</p>'],
  ["a | b\nno table", "<p>a | b<br>no table</p>"],
  ["![alt](https://e.org/x.png)", '<p><a href="https://e.org/x.png" rel="noopener noreferrer" target="_blank">alt<span class="unseen"> (opens in a new tab)</span></a></p>'],
  ["[a **b**](https://e.org/(x) \"t\")", '<p><a href="https://e.org/(x)" rel="noopener noreferrer" target="_blank">a <strong>b</strong><span class="unseen"> (opens in a new tab)</span></a></p>'],
  ["(https://e.org/a_b_c).", '<p>(<a href="https://e.org/a_b_c" rel="noopener noreferrer" target="_blank">https://e.org/a_b_c<span class="unseen"> (opens in a new tab)</span></a>).</p>'],
  ["<https://e.org> <b> a<br>b", '<p><a href="https://e.org/" rel="noopener noreferrer" target="_blank">https://e.org<span class="unseen"> (opens in a new tab)</span></a> &lt;b&gt; a<br>b</p>'],
  ["[x](javascript:alert(1)) [y](/local) [z][1]", "<p>[x](javascript:alert(1)) [y](/local) [z][1]</p>"],
];

test("blocks and spans", async () => {
  const page = await b.openPage();
  const results = await page.evaluate(async (sources) => {
    const { MarkdownView } = await import("/web/markdown.js");
    return sources.map((source) => {
      const root = document.createElement("div");
      new MarkdownView(root).update(source);
      return root.innerHTML;
    });
  }, kCases.map(([source]) => source));
  kCases.forEach(([source, want], i) => assert.equal(results[i], want, source));
  await b.closePage(page);
});

test("code keeps every character", async () => {
  const page = await b.openPage();
  const code = "if (a < b && c > d) {\n\n  `x` ** &amp; <script>\n}";
  await b.fakeAnswer(page, b.textFrame(`Text\n~~~~c++\n${code}\n~~~~\n\n    indented\n\n\`\`\`\nopen`), b.endFrame(), "[DONE]");
  await b.send(page, "Code.");
  assert.deepEqual(await page.locator("pre").allTextContents(), [code, "open"]);
  assert.equal(await page.locator(".code-language").first().innerText(), "c++");
  await b.closePage(page);
});

test("a growing text gives the same nodes as the whole, and keeps those that are done", async () => {
  const page = await b.openPage();
  const text = kCases.map(([source]) => source).join("\n\n") + "\n\n```js\nlet a;\n```\n";
  const [grown, whole, kept] = await page.evaluate(async (text) => {
    const { MarkdownView } = await import("/web/markdown.js");
    const [a, b] = [document.createElement("div"), document.createElement("div")];
    const view = new MarkdownView(a);
    let first = null, kept = true;
    for (let n = 0; n <= text.length; n += 3) {
      view.update(text.slice(0, n));
      if (n > 30) kept &&= (first ??= a.firstChild) === a.firstChild;
    }
    view.update(text);
    new MarkdownView(b).update(text);
    return [a.innerHTML, b.innerHTML, kept];
  }, text);
  assert.equal(grown, whole);
  assert.equal(kept, true);
  await b.closePage(page);
});

test("hostile text costs no time", async () => {
  const page = await b.openPage();
  const n = 20_000;
  const texts = ["*a ".repeat(n), "a* ".repeat(n), "**a* ".repeat(n), "[".repeat(n), "[a](".repeat(n), "`".repeat(n) + "a", "`a``b".repeat(n), "> ".repeat(n), "- ".repeat(n),
    "<".repeat(n), "https://".repeat(n), "|".repeat(n) + "\n" + "|-".repeat(n), "_a_".repeat(n), "- a\n".repeat(n), "~~a~".repeat(n), "\\".repeat(n), "&".repeat(n), "#".repeat(n), " ".repeat(n) + "x",
    "---".repeat(n), "* ".repeat(n) + "x", "1. ".repeat(n)];
  const times = await page.evaluate(async (texts) => {
    const { MarkdownView } = await import("/web/markdown.js");
    return texts.map((text) => {
      const start = performance.now();
      new MarkdownView(document.createElement("div")).update(text);
      return performance.now() - start;
    });
  }, texts);
  times.forEach((ms, i) => assert.ok(ms < 2000, `${texts[i].slice(0, 12)}: ${ms} ms`));
  await b.closePage(page);
});

const kAttacks = [
  "<script>window.hit = 1</script>", "<img src=x onerror=\"window.hit = 2\">", "<svg onload=window.hit=3>", "<iframe srcdoc=\"<script>parent.hit=4</script>\"></iframe>",
  "[a](javascript:window.hit=5)", "[b](JaVaScRiPt:window.hit=6)", "[c](data:text/html,<script>window.hit=7</script>)", "[d](\u0001javascript:window.hit=8)", "[e](java\nscript:window.hit=9)",
  "<javascript:window.hit=10>", "![f](javascript:window.hit=11)", "[g](vbscript:x)", "[h](https://e.org\" onmouseover=\"window.hit=12)", "`<img src=x onerror=window.hit=13>`",
  "```html\n<script>window.hit = 14</script>\n```", "```\" onclick=\"window.hit=15\nx\n```", "| <script>window.hit=16</script> | b |\n|--|--|\n| <img src=x onerror=window.hit=17> | c |",
  "&lt;script&gt;window.hit=18&lt;/script&gt;", "# <img src=x onerror=window.hit=19>", "[<img src=x onerror=window.hit=20>](https://e.org)", "![i](http://127.0.0.1:9/x.png)", "<a href=\"javascript:window.hit=21\">x</a>",
  "[j](https://e.org/<script>)", "<style>body{display:none}</style>", "<base href=//e.org>", "[k](//e.org)", "[l](file:///etc/passwd)", "https://e.org/\"onclick=window.hit=22",
];

test("attacks stay text", async () => {
  const page = await b.openPage();
  await b.fakeAnswer(page, b.textFrame(kAttacks.join("\n\n")), b.endFrame(), "[DONE]");
  await b.send(page, kAttacks.join("\n"));  // what the reader writes, too
  const found = await page.evaluate(() => {
    const all = [...document.querySelectorAll("#chat *")];
    return {
      hit: window.hit ?? null,
      names: [...new Set(all.map((node) => node.localName))].filter((name) => ["script", "img", "iframe", "style", "base", "object", "embed", "form", "input", "video", "audio"].includes(name)),
      handlers: all.flatMap((node) => [...node.attributes]).filter((attribute) => attribute.name.startsWith("on") || attribute.name === "style" || attribute.name === "srcdoc").length,
      links: all.filter((node) => node.localName === "a").map((node) => [node.protocol, node.rel]),
      text: document.querySelector(".prose").textContent,
    };
  });
  assert.equal(found.hit, null);
  assert.deepEqual(found.names, []);
  assert.equal(found.handlers, 0);
  for (const [protocol, rel] of found.links) assert.deepEqual([protocol, rel], ["https:", "noopener noreferrer"].map((x, i) => (i === 0 && protocol === "http:" ? "http:" : x)));
  for (const text of ["<script>window.hit = 1</script>", "<img src=x onerror=\"window.hit = 2\">", "[a](javascript:window.hit=5)"]) assert.ok(found.text.includes(text), text);
  for (const link of await page.locator("#chat a").all()) {
    const [popup] = await Promise.all([page.context().waitForEvent("page"), link.evaluate((a) => ((a.href = "about:blank#x"), a.click()))]);
    assert.equal(await popup.evaluate(() => window.opener), null);
    await popup.close();
    break;
  }
  await b.closePage(page);
});
