// The page of `g3n serve`: joins the chat, the message box, the settings and the server.
import { Speaker, say } from "./announce.js";
import { ChatView } from "./chat_view.js";
import { Composer } from "./composer.js";
import { apiMessages, assistantTurn, exportChat, forgetChat, importChat, keepChat, keptChat, turnAt, userTurn } from "./conversation.js";
import { $, saveAs } from "./dom.js";
import { mebibytes } from "./media.js";
import { Settings } from "./settings.js";
import { ApiError, getJson, streamChat } from "./stream.js";
import { fillTexts, texts } from "./texts.js";

const kLookAgainMs = 2000;
const kNearEnd = 96;  // pixels: closer than this the page follows the answer

fillTexts(document);

let turns = [];
let cleared = null;         // turns of the chat before this one, until something is sent
let server = null;          // /props, once it has answered
let running = null;         // AbortController of the answer that comes
let edited = null;          // the turn that is being edited
let draft = null;           // what stood in the box before
let follows = true;         // whether the page scrolls with the answer
let reconnect = 0;

const settings = new Settings((name) => {
  if (name === "key") connect();
  else keep();
});
const view = new ChatView($("chat"), { onedit: beginEdit, onregenerate: regenerate });
const composer = new Composer({ onsend: send, onstop: () => running?.abort(), oncancel: cancelEdit });

// ---- the server ----

function showServer(state, dot) {
  const text = texts.serverState(server?.model_alias, state);
  if ($("server-text").textContent !== text) $("server-text").textContent = text;
  $("server-dot").className = `dot ${dot}`;
}

async function connect() {
  clearTimeout(reconnect);
  try {
    server = await getJson("props", settings.key);
    showServer(texts.ready, "good");
    $("key-card").hidden = true;
    $("key-wrong").textContent = "";
    showAbilities();
    showChat();
  } catch (error) {
    onServerProblem(error);
  }
}

function onServerProblem(error) {
  if (error.status === 401) {
    showServer(texts.needsKey, "bad");
    $("key-wrong").textContent = settings.key ? texts.keyWrong : "";
    $("key-card").hidden = false;
    showChat();
    $("key-entry").focus();
    return;
  }
  const state = error.code === "loading" ? texts.loading : error.code === "draining" ? texts.draining : error.status ? error.message : texts.unreachable;
  showServer(state, error.code === "loading" ? "wait" : "bad");
  clearTimeout(reconnect);
  reconnect = setTimeout(connect, kLookAgainMs);
}

function showAbilities() {
  const can = server.modalities ?? {};
  composer.setAbilities({ vision: !!can.vision, audio: !!can.audio }, bodyLimit());
  settings.showDefaults(server.default_generation_settings.params, !!can.vision);
  const kinds = can.vision && can.audio ? texts.and(texts.pictures, texts.sound) : can.vision ? texts.pictures : can.audio ? texts.sound : "";
  $("welcome-text").textContent = kinds ? texts.welcomeMedia(kinds) : texts.welcomeNoMedia;
  document.title = `${server.model_alias} \u00b7 g3n`;
}

const bodyLimit = () => server?.limits?.body_bytes ?? Infinity;

$("key-card").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key-entry").value.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) {
    $("key-wrong").textContent = texts.keyWrong;
    return;
  }
  $("key-entry").value = "";
  settings.setKey(key);
  composer.focus();
});

// ---- the chat ----

function showChat() {
  view.show(turns);
  view.showEditing(edited);
  $("welcome").hidden = turns.length > 0 || !$("key-card").hidden;
  $("restore").hidden = !cleared;
  $("new-chat").disabled = turns.length === 0;
}

function keep() {
  if (!settings.keeps) return forgetChat();
  if (!keepChat(turns, settings.all)) {
    settings.keeps = false;
    composer.note(texts.storageFull);
  }
}

function setTurns(next) {
  running?.abort();
  turns = next;
  edited = null;
  composer.showEditing(false);
  $("context").textContent = "";
  showChat();
}

function send(text, media) {
  if (edited) turns = turns.slice(0, turns.indexOf(edited));
  edited = draft = cleared = null;
  composer.showEditing(false);
  turns.push(userTurn(text, media));
  answer();
}

function regenerate(turn) {
  if (running) return;
  cancelEdit();
  turns = turns.slice(0, turns.indexOf(turn));
  answer();
  composer.focus();
}

function beginEdit(turn) {
  running?.abort();
  if (!edited) draft = { text: $("message").value, media: composer.media };
  edited = turn;
  composer.fill(turn.text, turn.media);
  composer.showEditing(true);
  view.showEditing(turn);
  composer.focus();
}

function cancelEdit() {
  if (!edited) return;
  edited = null;
  composer.showEditing(false);
  composer.fill(draft.text, draft.media);
  draft = null;
  view.showEditing(null);
  composer.focus();
}

// ---- an answer ----

function requestBodyOf(sent) {
  const body = JSON.stringify({
    messages: apiMessages(sent, settings.system),
    ...settings.request,
    stream: true, stream_options: { include_usage: true }, return_progress: true, timings: true,
  });
  if (body.length > bodyLimit()) throw new ApiError(texts.requestTooLarge(mebibytes(bodyLimit())));
  return body;
}

function readFrame(frame, turn, start) {
  const choice = frame.choices?.[0];
  if (choice?.delta?.content) {
    turn.stats.firstMs ??= performance.now() - start;
    turn.text += choice.delta.content;
  }
  if (choice?.finish_reason) turn.finish = choice.finish_reason;
  if (frame.usage) {
    turn.stats.tokens = frame.usage.completion_tokens;
    turn.stats.promptTokens = frame.usage.prompt_tokens;
    turn.stats.cachedTokens = frame.usage.prompt_tokens_details?.cached_tokens;
    const all = server?.default_generation_settings?.n_ctx;
    if (all) $("context").textContent = texts.contextUse(frame.usage.total_tokens, all);
  }
  if (frame.timings) turn.stats.perSecond = frame.timings.predicted_per_second;
  const progress = frame.prompt_progress;
  return progress ? { stage: progress.stage ?? "prefill", done: progress.processed, total: progress.total } : null;
}

async function answer() {
  const turn = { ...assistantTurn(), stats: {} };
  const control = (running = new AbortController());
  const speaker = new Speaker();
  const start = performance.now();
  const hasMedia = turns.at(-1).media?.length > 0;
  let frame = 0, progress = hasMedia ? { stage: "encoding" } : null;  // the server begins to tell once they are read
  const draw = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    view.update(turn, turn === turns.at(-1), progress);
    if (follows) toEnd();
  };
  const sent = [...turns];
  turns.push(turn);
  composer.setBusy(true);
  follows = true;
  showChat();
  draw();
  try {
    const body = requestBodyOf(sent);
    for await (const event of streamChat(body, { key: settings.key, signal: control.signal })) {
      progress = readFrame(event, turn, start) ?? progress;
      speaker.update(turn.text);
      frame ||= requestAnimationFrame(draw);
    }
    turn.state = turn.finish === "length" ? "length" : "done";
    speaker.finish(turn.text, turn.state === "length" ? texts.cutShort : texts.answerComplete);
  } catch (error) {
    if (error.name === "AbortError") {
      turn.state = "stopped";
      speaker.finish(turn.text, texts.answerStopped);
    } else {
      turn.state = "error";
      turn.error = errorOf(error, sent);
      speaker.finish(turn.text, `${texts.errorTitle}. ${turn.error.message}`);
      if (error.status === 401 || error.status === 503 || (error.status === 0 && error.code === null)) connect();
    }
  }
  if (running === control) {
    running = null;
    composer.setBusy(false);
  }
  draw();
  keep();
}

function errorOf(error, sent) {
  if (!(error instanceof ApiError)) throw error;
  const place = /^messages\[(\d+)\]\.content\[(\d+)\]/.exec(error.param ?? "");
  const medium = place && turnAt(sent, settings.system, Number(place[1]))?.media?.[Number(place[2])];
  const message = medium ? error.message.replace(/^messages\[[^:]*:/, `${medium.name}:`) : error.message;
  return { message, status: error.status, code: error.code, retryAfter: error.retryAfter };
}

// ---- scrolling ----

const fromEnd = () => document.documentElement.scrollHeight - innerHeight - scrollY;

function toEnd() {
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}

addEventListener("scroll", () => {
  follows = fromEnd() < kNearEnd;
  $("jump").hidden = follows;
}, { passive: true });
$("jump").addEventListener("click", () => {
  toEnd();
  composer.focus();
});

// What has the focus is never behind the message box.
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--dock", `${$("dock").offsetHeight}px`);
  if (follows && turns.length) toEnd();
}).observe($("dock"));

// ---- the buttons above, and the settings ----

$("new-chat").addEventListener("click", () => {
  const before = turns;
  setTurns([]);
  cleared = before;
  showChat();
  keep();
  composer.focus();
});
$("restore").addEventListener("click", () => {
  setTurns(cleared);
  cleared = null;
  showChat();
  keep();
  composer.focus();
});
$("open-settings").addEventListener("click", () => {
  $("settings-note").textContent = "";
  $("settings").showModal();
});
$("export").addEventListener("click", () => {
  const { theme, ...rest } = settings.all;
  const file = JSON.stringify(exportChat(turns, rest), null, 1);
  saveAs(`g3n-chat-${new Date().toISOString().slice(0, 10)}.json`, new Blob([file], { type: "application/json" }));
});
$("import").addEventListener("click", () => $("import-file").click());
$("import-file").addEventListener("change", async () => {
  const [file] = $("import-file").files;
  $("import-file").value = "";
  try {
    const chat = importChat(await file.text());
    settings.replace({ theme: settings.all.theme, ...chat.settings });
    setTurns(chat.turns);
    keep();
    $("settings").close();
    say(texts.imported(chat.turns.length));
  } catch (error) {
    $("settings-note").textContent = texts.importFailed(error.message);
  }
});
$("reset").addEventListener("click", () => {
  settings.replace({});
  keep();
  say(texts.resetDone);
});

const kept = keptChat();
if (kept) {
  settings.keeps = true;
  settings.replace(kept.settings);
  turns = kept.turns;
}
showChat();
connect();
if (!matchMedia("(pointer: coarse)").matches) composer.focus();  // there a keyboard would cover the page
