// One answer, from the request to its last word: the frames of the stream become text, state, counts and error of a turn.
import { Speaker } from "./announce.js";
import { apiMessages, turnAt } from "./conversation.js";
import { mebibytes } from "./media.js";
import { ApiError, streamChat } from "./stream.js";
import { texts } from "./texts.js";

function requestBody({ turns, settings, limitBytes }) {
  const body = JSON.stringify({
    messages: apiMessages(turns, settings.system),
    ...settings.request,
    stream: true, stream_options: { include_usage: true }, return_progress: true, timings: true,
  });
  if (body.length > limitBytes) throw new ApiError(texts.requestTooLarge(mebibytes(limitBytes)));
  return body;
}

// before: tokens that the turn already has; undefined behind a stop, and then the sum is unknown, too.
function readFrame(frame, turn, { start, before }) {
  const choice = frame.choices?.[0];
  if (choice?.delta?.content) {
    turn.stats.firstMs ??= performance.now() - start;
    turn.text += choice.delta.content;
  }
  if (choice?.finish_reason) turn.finish = choice.finish_reason;
  if (frame.usage) {
    turn.stats.tokens = before === undefined ? undefined : before + frame.usage.completion_tokens;
    turn.stats.promptTokens = frame.usage.prompt_tokens;
    turn.stats.cachedTokens = frame.usage.prompt_tokens_details?.cached_tokens;
    turn.used = frame.usage.total_tokens;
  }
  if (frame.timings) turn.stats.perSecond = frame.timings.predicted_per_second;
}

function progressOf(frame) {
  const progress = frame.prompt_progress;
  return progress ? { stage: progress.stage ?? "prefill", done: progress.processed, total: progress.total } : null;
}

// The server names a medium by its place in the request, the reader by its file.
function errorOf(error, { turns, settings }) {
  const place = /^messages\[(\d+)\]\.content\[(\d+)\]/.exec(error.param ?? "");
  const medium = place && turnAt(turns, settings.system, Number(place[1]))?.media?.[Number(place[2])];
  const message = medium ? error.message.replace(/^messages\[[^:]*:/, `${medium.name}:`) : error.message;
  return { message, status: error.status, code: error.code, retryAfter: error.retryAfter };
}

// Fills the turn, telling onchange(progress or null) after each frame. request: { turns, settings, limitBytes, signal,
// onchange }; a turn that is one of turns goes on. Resolves at the end, to the ApiError if there was one.
export async function runAnswer(turn, request) {
  const count = { start: performance.now(), before: turn.stats?.tokens };
  const speaker = new Speaker(turn.text.length);
  let progress = request.turns.at(-1).media?.length ? { stage: "encoding" } : null;  // told by nobody while it lasts
  Object.assign(turn, { state: "streaming", stats: {}, error: null, finish: null });
  request.onchange(progress);
  try {
    for await (const frame of streamChat(requestBody(request), { key: request.settings.key, signal: request.signal })) {
      readFrame(frame, turn, count);
      speaker.update(turn.text);
      request.onchange((progress = progressOf(frame) ?? progress));
    }
    turn.state = turn.finish === "length" ? "length" : "done";
    speaker.finish(turn.text, turn.state === "length" ? texts.cutShort : texts.answerComplete);
  } catch (error) {
    if (error.name === "AbortError") {
      turn.state = "stopped";
      speaker.finish(turn.text, texts.answerStopped);
      return null;
    }
    if (!(error instanceof ApiError)) throw error;
    turn.state = "error";
    turn.error = errorOf(error, request);
    speaker.finish(turn.text, `${texts.errorTitle}. ${turn.error.message}`);
    return error;
  }
  return null;
}
