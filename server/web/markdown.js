// A subset of Markdown as DOM nodes: paragraphs, headings, lists, quotes, code, tables, emphasis, links. What it does not
// know stays as it is written: HTML is text, pictures are links, and a link goes to http, https or mailto.
import { copyText, element, hiddenText, icon } from "./dom.js";
import { texts } from "./texts.js";

const kMostDepth = 10;

// ---- blocks: lines in, a list of { type, source, ... } out ----

const fenceStart = (line) => /^ {0,3}(`{3,}|~{3,})([^`]*)$/.exec(line);
const headingOf = (line) => /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/.exec(line);
const isRule = (line) => /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/.test(line);
const isQuote = (line) => /^ {0,3}>/.test(line);
const markerOf = (line) => /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/.exec(line);
const isBlank = (line) => line.trim() === "";
const indentOf = (line) => line.length - line.trimStart().length;

function cellsOf(line) {
  const cells = [];
  let cell = "", code = false;
  for (let i = 0; i < line.length; ++i) {
    if (line[i] === "\\" && line[i + 1] === "|") cell += line[++i];
    else if (line[i] === "`") (code = !code), (cell += "`");
    else if (line[i] === "|" && !code) cells.push(cell), (cell = "");
    else cell += line[i];
  }
  cells.push(cell);
  if (cells.length > 1 && isBlank(cells[0])) cells.shift();
  if (cells.length > 1 && isBlank(cells.at(-1))) cells.pop();
  return cells.map((text) => text.trim());
}

function isTable(lines, i) {
  if (!lines[i].includes("|") || i + 1 >= lines.length || !/^[\s|:-]+$/.test(lines[i + 1])) return false;
  const rule = cellsOf(lines[i + 1]);
  return rule.every((cell) => /^:?-+:?$/.test(cell)) && rule.length === cellsOf(lines[i]).length;
}

function interrupts(lines, i) {
  const line = lines[i];
  const marker = markerOf(line);
  const listBegins = marker && marker[3] !== "" && line.length > marker[0].length && (/[-*+]/.test(marker[2]) || parseInt(marker[2]) === 1);
  return fenceStart(line) || headingOf(line) || isRule(line) || isQuote(line) || listBegins || isTable(lines, i);
}

function readFence(lines, i, fence) {
  const indent = indentOf(lines[i]), body = [];
  const close = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`);
  let at = i + 1;
  for (; at < lines.length && !close.test(lines[at]); ++at) body.push(lines[at].slice(Math.min(indent, indentOf(lines[at]))));
  const language = /^[\w+#.-]{1,20}$/.exec(fence[2].trim().split(/\s/)[0])?.[0] ?? "";
  return [{ type: "code", language, text: body.join("\n") }, Math.min(at + 1, lines.length)];
}

function readQuote(lines, i, depth) {
  const inner = [];
  let at = i;
  for (; at < lines.length && isQuote(lines[at]); ++at) inner.push(lines[at].replace(/^ {0,3}> ?/, ""));
  return [{ type: "quote", blocks: parseBlocks(inner, depth + 1) }, at];
}

// Models indent what is inside an item by two, three or four spaces, whatever the marker: from two on it counts.
function readList(lines, i, depth) {
  const first = markerOf(lines[i]);
  const kind = first[2].at(-1), base = first[1].length, items = [];
  let at = i, loose = false;
  while (at < lines.length) {
    const marker = markerOf(lines[at]);
    if (!marker || marker[2].at(-1) !== kind || marker[1].length > base + 1 || isRule(lines[at])) break;
    const inside = marker[0].length || 2;
    const inner = [lines[at].slice(marker[0].length)];
    let blank = false;
    for (++at; at < lines.length; ++at) {
      const line = lines[at];
      if (isBlank(line)) {
        blank = true;
        inner.push("");
      } else if (indentOf(line) >= base + 2) {
        if (blank && !markerOf(line.trimStart())) loose = true;
        blank = false;
        inner.push(line.slice(Math.min(inside, indentOf(line))));
      } else if (!blank && !markerOf(line) && !interrupts(lines, at)) {
        inner.push(line);
      } else {
        break;
      }
    }
    if (blank && at < lines.length && markerOf(lines[at])?.[2].at(-1) === kind) loose = true;
    while (inner.length > 1 && isBlank(inner.at(-1))) inner.pop();
    items.push(parseBlocks(inner, depth + 1));
  }
  const ordered = /\d/.test(first[2]);
  return [{ type: "list", ordered, start: ordered ? parseInt(first[2]) : 1, items, loose }, at];
}

function readTable(lines, i) {
  const header = cellsOf(lines[i]);
  const align = cellsOf(lines[i + 1]).map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : "left"));
  const rows = [];
  let at = i + 2;
  for (; at < lines.length && !isBlank(lines[at]) && lines[at].includes("|"); ++at) {
    const cells = cellsOf(lines[at]).slice(0, header.length);
    while (cells.length < header.length) cells.push("");
    rows.push(cells);
  }
  return [{ type: "table", header, align, rows }, at];
}

function readParagraph(lines, i) {
  let at = i + 1;
  while (at < lines.length && !isBlank(lines[at]) && !interrupts(lines, at)) ++at;
  return [{ type: "paragraph", text: lines.slice(i, at).map((line) => line.trim()).join("\n") }, at];
}

function readBlock(lines, i, depth) {
  const line = lines[i];
  if (depth < kMostDepth) {
    const fence = fenceStart(line);
    if (fence) return readFence(lines, i, fence);
    const heading = headingOf(line);
    if (heading) return [{ type: "heading", level: heading[1].length, text: (heading[2] ?? "").replace(/[ \t]+#+[ \t]*$/, "") }, i + 1];
    if (isRule(line)) return [{ type: "rule" }, i + 1];
    if (isQuote(line)) return readQuote(lines, i, depth);
    if (markerOf(line)) return readList(lines, i, depth);
    if (isTable(lines, i)) return readTable(lines, i);
  }
  return readParagraph(lines, i);
}

export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  for (let i = 0; i < lines.length;) {
    if (isBlank(lines[i])) {
      ++i;
      continue;
    }
    const [block, next] = readBlock(lines, i, depth);
    block.source = lines.slice(i, next).join("\n");
    blocks.push(block);
    i = next;
  }
  return blocks;
}

// ---- inside a line: text in, nodes out ----

// Each reader looks at what begins at i and gives { node or text or run, end }, or null if it is only text.

const kPunctuation = /[!-/:-@[-`{-~]/;
const kEntities = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": "\u00a0" };
const kLongestLink = 2000;

export function safeUrl(text) {
  if (!/^(https?:\/\/|mailto:)/i.test(text) || /[\s<>\u0000-\u001f]/.test(text)) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

function link(url, children) {
  return element("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, children, hiddenText(` (${texts.newTab})`));
}

const readEscape = (text, i) => (kPunctuation.test(text[i + 1] ?? "") ? { text: text[i + 1], end: i + 2 } : null);
const readBreak = (text, i) => ({ node: element("br"), end: i + 1 });

function readEntity(text, i) {
  const entity = /^&(?:amp|lt|gt|quot|#39|nbsp);/.exec(text.slice(i, i + 7))?.[0];
  return entity ? { text: kEntities[entity], end: i + entity.length } : null;
}

function closingBracket(text, i) {
  let depth = 0;
  for (let at = i; at < Math.min(text.length, i + kLongestLink); ++at) {
    if (text[at] === "\\") ++at;
    else if (text[at] === "[") ++depth;
    else if (text[at] === "]" && --depth === 0) return at;
  }
  return -1;
}

// [text](url) or [text](url "title"); within another link it is text.
function readLink(text, i, isInLink) {
  const close = isInLink ? -1 : closingBracket(text, i);
  if (close < 0 || text[close + 1] !== "(") return null;
  const target = /^\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(text.slice(close + 1, close + 2 * kLongestLink));
  const url = target && safeUrl(target[1]);
  if (!url) return null;
  return { node: link(url, inlineNodes(text.slice(i + 1, close) || url, true)), end: close + 1 + target[0].length };
}

// Nothing is loaded for a picture: it is a link with its words.
const readPicture = (text, i, isInLink) => (text[i + 1] === "[" ? readLink(text, i + 1, isInLink) : null);

// <https://...> and the one tag that tables cannot do without.
function readAngle(text, i, isInLink) {
  const tag = /^<br\s*\/?>/i.exec(text.slice(i, i + 8));
  if (tag) return { node: element("br"), end: i + tag[0].length };
  const found = isInLink ? null : /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i.exec(text.slice(i, i + kLongestLink));
  const url = found && safeUrl(found[1]);
  return url ? { node: link(url, [found[1]]), end: i + found[0].length } : null;
}

function readBareUrl(text, i, isInLink) {
  if (isInLink || /\w/.test(text[i - 1] ?? "")) return null;
  let url = /^https?:\/\/[^\s<>"`|]+/i.exec(text.slice(i, i + kLongestLink))?.[0];
  if (!url) return null;
  url = url.replace(/[.,;:!?'*_~]+$/, "");
  while (url.endsWith(")") && url.split(")").length > url.split("(").length) url = url.slice(0, -1);
  return safeUrl(url) ? { node: link(safeUrl(url), [url]), end: i + url.length } : null;
}

function readCode(text, i) {
  const ticks = /^`+/.exec(text.slice(i))[0];
  for (let at = i + ticks.length; at < text.length;) {
    const next = text.indexOf("`", at);
    if (next < 0) break;
    const run = /^`+/.exec(text.slice(next))[0];
    if (run.length === ticks.length) {
      let body = text.slice(i + ticks.length, next).replaceAll("\n", " ");
      if (body.startsWith(" ") && body.endsWith(" ") && body.trim()) body = body.slice(1, -1);
      return { node: element("code", {}, body), end: next + run.length };
    }
    at = next + run.length;
  }
  return { text: ticks, end: i + ticks.length };
}

// A run of *, _ or ~ with what it may do, by the characters beside it (CommonMark's flanking rule).
function readRun(text, i) {
  const char = text[i];
  let end = i;
  while (text[end] === char) ++end;
  const before = text[i - 1] ?? " ", after = text[end] ?? " ";
  const space = (c) => /\s/.test(c), mark = (c) => /[\p{P}\p{S}]/u.test(c);
  const left = !space(after) && (!mark(after) || space(before) || mark(before));
  const right = !space(before) && (!mark(before) || space(after) || mark(after));
  const inner = char === "_";  // snake_case stays
  return {
    run: char, count: end - i, end,
    opens: left && (!inner || !right || mark(before)),
    closes: right && (!inner || !left || mark(after)),
  };
}

// Pairs the runs, innermost first; what is left over is text. Time grows with the length alone: what is behind a floor
// has been searched in vain for that kind of closer.
function pairRuns(parts) {
  const out = [], floors = new Map();
  for (const part of parts) {
    while (part.run && part.closes && part.count > 0) {
      const key = `${part.run}${part.opens}${part.count % 3}`, floor = floors.get(key) ?? 0;
      let o = out.length - 1;
      while (o >= floor && !pairs(out[o], part)) --o;
      if (o < floor) {
        floors.set(key, out.length);
        break;
      }
      const opener = out[o], isStruck = part.run === "~";
      const used = isStruck || (opener.count >= 2 && part.count >= 2) ? 2 : 1;
      const inside = out.splice(o + 1).map(nodeOf);
      out.push({ node: element(isStruck ? "del" : used === 2 ? "strong" : "em", {}, inside) });
      for (const [other, at] of floors) floors.set(other, Math.min(at, o + 1));
      opener.count -= used;
      part.count -= used;
    }
    out.push(part);
  }
  return out;
}

function pairs(opener, closer) {
  if (opener.run !== closer.run || !opener.opens) return false;
  const least = closer.run === "~" ? 2 : 1;
  if (opener.count < least || closer.count < least) return false;
  const isEither = opener.closes || closer.opens;  // then CommonMark's rule of three
  return !isEither || (opener.count + closer.count) % 3 !== 0 || (opener.count % 3 === 0 && closer.count % 3 === 0);
}

const nodeOf = (part) => part.node ?? (part.run ? part.run.repeat(part.count) : part.text);

const kReaders = {
  "\\": readEscape, "\n": readBreak, "&": readEntity, "`": readCode, "*": readRun, "_": readRun, "~": readRun, "[": readLink, "!": readPicture, "<": readAngle,
  h: readBareUrl, H: readBareUrl,
};

export function inlineNodes(text, isInLink = false) {
  const parts = [];
  let plain = "";
  const flush = () => {
    if (plain) parts.push({ text: plain });
    plain = "";
  };
  for (let i = 0; i < text.length;) {
    const found = kReaders[text[i]]?.(text, i, isInLink);
    if (!found || found.text) {
      plain += found?.text ?? text[i];
    } else {
      flush();
      parts.push(found);
    }
    i = found?.end ?? i + 1;
  }
  flush();
  return pairRuns(parts).map(nodeOf);
}

// ---- blocks as nodes ----

function codeBlock(block) {
  const label = element("span", { class: "code-language" }, block.language);
  const words = element("span", {}, texts.copy);
  const button = element("button", { type: "button", class: "code-copy", "aria-label": texts.copyCode }, icon("copy"), words);
  button.addEventListener("click", async () => {
    const done = await copyText(block.text);
    words.textContent = done ? texts.copied : texts.copyFailed;
    button.dispatchEvent(new CustomEvent("told", { bubbles: true, detail: words.textContent }));
    setTimeout(() => (words.textContent = texts.copy), 2000);
  });
  // A block that scrolls must be reachable by keyboard.
  const body = element("pre", { tabindex: "0", role: "group", "aria-label": block.language || "code" }, element("code", {}, block.text));
  return element("div", { class: "code-block" }, element("div", { class: "code-head" }, label, button), body);
}

function table(block) {
  const cell = (name, text, i) => element(name, { class: `to-${block.align[i]}`, scope: name === "th" ? "col" : null }, inlineNodes(text));
  const head = element("thead", {}, element("tr", {}, block.header.map((text, i) => cell("th", text, i))));
  const body = element("tbody", {}, block.rows.map((row) => element("tr", {}, row.map((text, i) => cell("td", text, i)))));
  return element("div", { class: "table-frame", tabindex: "0", role: "group", "aria-label": "table" }, element("table", {}, head, body));
}

function list(block) {
  const item = (blocks) => {
    const nodes = blocks.flatMap((inner) =>
      inner.type === "paragraph" && !block.loose ? [element("span", {}, inlineNodes(inner.text))] : [blockNode(inner)]);
    return element("li", {}, nodes);
  };
  const start = block.ordered && block.start !== 1 ? block.start : null;
  return element(block.ordered ? "ol" : "ul", { start }, block.items.map(item));
}

export function blockNode(block) {
  switch (block.type) {
    case "code": return codeBlock(block);
    case "heading": return element(`h${Math.min(6, block.level + 2)}`, { class: `level-${block.level}` }, inlineNodes(block.text));
    case "rule": return element("hr");
    case "quote": return element("blockquote", {}, block.blocks.map(blockNode));
    case "list": return list(block);
    case "table": return table(block);
    default: return element("p", {}, inlineNodes(block.text));
  }
}

// A growing text in an element: blocks that did not change keep their nodes, and with them selection and focus.
export class MarkdownView {
  #root;
  #sources = [];

  constructor(root) {
    this.#root = root;
  }

  update(text) {
    const blocks = parseBlocks(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"));
    let same = 0;
    while (same < blocks.length && blocks[same].source === this.#sources[same]) ++same;
    while (this.#root.childNodes.length > same) this.#root.lastChild.remove();
    for (const block of blocks.slice(same)) this.#root.append(blockNode(block));
    this.#sources = blocks.map((block) => block.source);
  }
}
