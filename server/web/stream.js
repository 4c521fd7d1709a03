// The server's API: one JSON answer, or a stream of frames. Every failure becomes an ApiError with words for the reader.
import { texts } from "./texts.js";

export class ApiError extends Error {
  constructor(message, { status = 0, code = null, param = null, retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, param, retryAfter });
  }
}

const urlOf = (path) => new URL(path, document.baseURI);  // also behind a proxy that adds a path

function headersOf(key) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  return headers;
}

async function errorOf(response) {
  let found = null;
  try {
    found = (await response.json())?.error;
  } catch {
    // not JSON: a proxy's page
  }
  return new ApiError(found?.message ?? texts.noJson(response.status), {
    status: response.status,
    code: found?.code ?? null,
    param: found?.param ?? null,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

async function fetchOk(path, options) {
  let response;
  try {
    response = await fetch(urlOf(path), { ...options, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(texts.notReached);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function getJson(path, key) {
  return (await fetchOk(path, { headers: headersOf(key) })).json();
}

// Server-sent events: text in pieces of any size in, the data of whole events out.
export class EventReader {
  #rest = "";
  #data = [];

  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    return events;
  }
}

// Yields the frames with which /v1/chat/completions answers this JSON, until [DONE]. Throws ApiError; AbortError when the signal says so.
export async function* streamChat(body, { key, signal }) {
  const response = await fetchOk("v1/chat/completions", {
    method: "POST",
    headers: { ...headersOf(key), "Content-Type": "application/json" },
    body,
    signal,
  });
  const pieces = response.body.getReader();
  const utf8 = new TextDecoder();
  const events = new EventReader();
  for (;;) {
    let piece;
    try {
      piece = await pieces.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(texts.brokenOff);
    }
    if (piece.done) throw new ApiError(texts.brokenOff);
    for (const data of events.push(utf8.decode(piece.value, { stream: true }))) {
      if (data === "[DONE]") return;
      let frame;
      try {
        frame = JSON.parse(data);
      } catch {
        throw new ApiError(texts.badFrame);
      }
      if (frame.error) throw new ApiError(frame.error.message ?? texts.badFrame, frame.error);
      yield frame;
    }
  }
}
