// The turns of a chat on the page. A turn's node is made once; the text of an answer grows in it.
import { say } from "./announce.js";
import { mediumNode } from "./composer.js";
import { copyText, element, icon, iconButton } from "./dom.js";
import { MarkdownView } from "./markdown.js";
import { texts } from "./texts.js";

export class ChatView {
  #root;
  #owner;
  #shown = new Map();  // turn -> { node, ... }

  // owner: { onedit(turn), onregenerate(turn), ongoon(turn) }: the second also after an error
  constructor(root, owner) {
    this.#root = root;
    this.#owner = owner;
    root.addEventListener("told", (event) => say(event.detail));
  }

  // The nodes of these turns, in their order; others go.
  show(turns) {
    for (const [turn, { node }] of this.#shown) {
      if (turns.includes(turn)) continue;
      node.remove();
      this.#shown.delete(turn);
    }
    turns.forEach((turn) => this.#shown.has(turn) || this.#add(turn));
    turns.forEach((turn, i) => this.update(turn, i === turns.length - 1));
  }

  #add(turn) {
    const shown = turn.role === "user" ? this.#userTurn(turn) : this.#answer(turn);
    this.#shown.set(turn, shown);
    this.#root.append(shown.node);
  }

  #userTurn(turn) {
    const media = turn.media.length ? element("div", { class: "media" }, ...turn.media.map(mediumNode)) : null;
    const bubble = turn.text ? element("div", { class: "bubble" }, turn.text) : null;
    const edit = iconButton("edit", texts.edit, () => this.#owner.onedit(turn));
    const node = element("article", { class: "turn user" }, element("h2", { class: "unseen" }, texts.youSaid), media,
      element("div", { class: "said" }, edit, bubble));
    return { node };
  }

  #answer(turn) {
    const prose = element("div", { class: "prose" });
    const bar = element("progress", { "aria-label": texts.progress });
    const words = element("span", { class: "waiting-text" }, texts.waiting);
    const waiting = element("div", { class: "waiting" }, element("span", { class: "pulse" }), words, bar);
    const problem = element("div", { class: "problem" });
    const stats = element("p", { class: "stats" });
    const copy = iconButton("copy", texts.copyAnswer, async () => {
      const done = await copyText(turn.text);
      say(done ? texts.copied : texts.copyFailed);
      copy.replaceChildren(icon(done ? "done" : "problem"));
      setTimeout(() => copy.replaceChildren(icon("copy")), 2000);
    });
    const again = iconButton("again", texts.regenerate, () => this.#owner.onregenerate(turn));
    const goOn = element("button", { type: "button", class: "go-on", onclick: () => this.#owner.ongoon(turn) }, texts.goOn);
    const actions = element("div", { class: "actions" }, copy, again, goOn, stats);
    const node = element("article", { class: "turn answer" }, element("h2", { class: "unseen" }, texts.gemmaSaid), prose, waiting, problem, actions);
    return { node, markdown: new MarkdownView(prose), prose, waiting, words, bar, problem, stats, copy, again, goOn, actions, text: null };
  }

  // progress: { stage, done, total } or null, of a prompt that is being read.
  update(turn, isLast, progress = null) {
    const shown = this.#shown.get(turn);
    if (!shown || turn.role === "user") return;
    const isBusy = turn.state === "streaming";
    if (shown.text !== turn.text) shown.markdown.update((shown.text = turn.text));
    shown.waiting.hidden = !isBusy || turn.text !== "";
    if (!shown.waiting.hidden) this.#showProgress(shown, progress);
    shown.node.classList.toggle("busy", isBusy);
    shown.actions.hidden = isBusy || turn.state === "error";
    shown.copy.hidden = !turn.text;
    shown.again.hidden = !isLast;
    shown.goOn.hidden = !isLast || !turn.text || !["length", "stopped"].includes(turn.state);
    this.#showEnd(shown, turn, isLast);
  }

  #showProgress(shown, progress) {
    const stage = progress?.stage;
    shown.words.textContent =
      stage === "prefill" ? texts.prefill(progress.done, progress.total) : stage === "encoding" ? texts.encoding : stage === "queued" ? texts.queued : texts.waiting;
    shown.bar.hidden = stage !== "prefill";
    if (stage !== "prefill") return;
    shown.bar.max = progress.total;
    shown.bar.value = progress.done;
  }

  #showEnd(shown, turn, isLast) {
    shown.problem.hidden = turn.state !== "error";
    if (turn.state === "error" && shown.shownError !== turn.error) {
      const { message, status, code, retryAfter } = (shown.shownError = turn.error);
      const retry = element("button", { type: "button", class: "retry" }, icon("again"), texts.retry);
      retry.addEventListener("click", () => this.#owner.onregenerate(turn));
      const lines = [[message, "problem-text"], [retryAfter > 0 && texts.retryAfter(retryAfter), "problem-text"], [texts.errorMore(status, code), "problem-more"]];
      shown.retry = retry;
      shown.problem.replaceChildren(
        element("h3", {}, icon("problem"), texts.errorTitle), ...lines.filter(([text]) => text).map(([text, name]) => element("p", { class: name }, text)), retry);
    }
    if (shown.retry) shown.retry.hidden = !isLast;
    const end = turn.state === "stopped" ? texts.stopped : turn.state === "length" ? texts.cutShort : turn.state === "done" && !turn.text ? texts.emptyAnswer : "";
    shown.stats.textContent = [end, ...statsOf(turn.stats)].filter(Boolean).join(" \u00b7 ");
  }

  // Marks the turn that is being edited, and what would go with it.
  showEditing(turn) {
    let behind = false;
    for (const [other, { node }] of this.#shown) {
      behind ||= other === turn;
      node.classList.toggle("edited", other === turn);
      node.classList.toggle("behind", behind && other !== turn);
    }
  }
}

// stats: { tokens, perSecond, firstMs, promptTokens, cachedTokens }, each maybe missing
function statsOf(stats) {
  if (!stats) return [];
  const words = texts.stats;
  return [
    stats.tokens !== undefined && words.tokens(stats.tokens),
    stats.perSecond > 0 && words.speed(stats.perSecond),
    stats.firstMs !== undefined && words.first(stats.firstMs),
    stats.promptTokens !== undefined && words.prompt(stats.promptTokens, stats.cachedTokens ?? 0),
  ].filter(Boolean);
}
