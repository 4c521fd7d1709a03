// What a screen reader hears: whole sentences of an answer while it comes (a log), and short notes (a status).
import { $, element } from "./dom.js";

const kKept = 4;  // older sentences are removed, so that nobody finds the answer twice

export function say(text) {
  $("said").textContent = "";
  setTimeout(() => ($("said").textContent = text), 50);  // the same words again are news, too
}

export class Speaker {
  #at;

  // from: how much of the text has been said before
  constructor(from = 0) {
    this.#at = from;
  }

  #speak(text) {
    const plain = text.replace(/[*_`#>|~]+/g, " ").replace(/\s+/g, " ").trim();
    if (!plain) return;
    const log = $("spoken");
    log.append(element("p", {}, plain));
    while (log.childElementCount > kKept) log.firstChild.remove();
  }

  // text: the answer so far.
  update(text) {
    const ends = /[.!?\u2026:;]["')\]]*\s+|\n+/g;
    let end = this.#at;
    ends.lastIndex = this.#at;
    while (ends.exec(text)) end = ends.lastIndex;
    if (end === this.#at) return;
    this.#speak(text.slice(this.#at, end));
    this.#at = end;
  }

  finish(text, note) {
    this.#speak(text.slice(this.#at));
    this.#at = text.length;
    this.#speak(note);
  }
}
