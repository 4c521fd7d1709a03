// The chat in memory, as the API sees it, and as a file. A turn is
//   { role: "user", text, media } or
//   { role: "assistant", text, state: "streaming" | "done" | "length" | "stopped" | "error", stats, error }.
import { mediumOfPart, partOf } from "./media.js";
import { texts } from "./texts.js";

const kStorageKey = "g3n.chat";

export const userTurn = (text, media = []) => ({ role: "user", text, media });
export const assistantTurn = () => ({ role: "assistant", text: "", state: "streaming", stats: null, error: null });

function contentOf(turn, withNames) {
  if (turn.role === "assistant" || turn.media.length === 0) return turn.text;
  const parts = turn.media.map((medium) => (withNames ? { ...partOf(medium), name: medium.name } : partOf(medium)));
  return turn.text ? [...parts, { type: "text", text: turn.text }] : parts;
}

// What the API gets: pictures and sounds in front of their text; an answer that failed before its first word is left out.
export function apiMessages(turns, system) {
  const messages = turns
    .filter((turn) => turn.role === "user" || turn.text)
    .map((turn) => ({ role: turn.role, content: contentOf(turn, false) }));
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}

// The turn of messages[index] of the above.
export function turnAt(turns, system, index) {
  return turns.filter((turn) => turn.role === "user" || turn.text)[system ? index - 1 : index];
}

export function exportChat(turns, settings) {
  const { system, ...options } = settings;
  const messages = turns.filter((turn) => turn.role === "user" || turn.text).map((turn) => ({ role: turn.role, content: contentOf(turn, true) }));
  if (system) messages.unshift({ role: "system", content: system });
  return { format: "g3n chat", version: 1, exported: new Date().toISOString(), options, messages };
}

function readTurn(message, i) {
  const { role, content } = message ?? {};
  if (!["user", "assistant", "system", "developer"].includes(role)) throw new Error(texts.badRole(i));
  if (typeof content === "string" || content === null || content === undefined) return { role, text: content ?? "", media: [] };
  if (!Array.isArray(content)) throw new Error(texts.badContent(i));
  const turn = { role, text: "", media: [] };
  for (const part of content) {
    const medium = role === "user" ? mediumOfPart(part) : null;
    if (medium) turn.media.push(medium);
    else if (part?.type === "text" && typeof part.text === "string") turn.text += (turn.text ? "\n\n" : "") + part.text;
    else throw new Error(texts.badContent(i));
  }
  return turn;
}

// Reads what exportChat wrote, or any file with OpenAI's messages. Throws Error with words for the reader.
export function importChat(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error(texts.notJson);
  }
  const list = Array.isArray(file) ? file : file?.messages;
  if (!Array.isArray(list) || list.length === 0) throw new Error(texts.noMessages);
  const turns = [], system = [];
  list.map(readTurn).forEach((turn) => {
    if (turn.role === "user") turns.push(turn);
    else if (turn.role === "assistant") turns.push({ ...assistantTurn(), text: turn.text, state: "done" });
    else system.push(turn.text);
  });
  const options = typeof file.options === "object" && file.options !== null ? file.options : {};
  return { turns, settings: { ...options, system: system.join("\n\n") } };
}

// ---- the browser's storage, only while the reader wants it ----

// False: it does not fit.
export function keepChat(turns, settings) {
  try {
    localStorage.setItem(kStorageKey, JSON.stringify(exportChat(turns, settings)));
    return true;
  } catch {
    forgetChat();
    return false;
  }
}

export function forgetChat() {
  try {
    localStorage.removeItem(kStorageKey);
  } catch {
    // no storage, nothing to forget
  }
}

// Null if nothing is kept.
export function keptChat() {
  try {
    const text = localStorage.getItem(kStorageKey);
    if (!text) return null;
    const file = JSON.parse(text);
    return file.messages.length ? importChat(text) : { turns: [], settings: file.options ?? {} };
  } catch {
    return null;
  }
}
