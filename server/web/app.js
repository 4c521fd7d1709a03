// The page of `g3n serve`: joins the chat, the message box, the settings and the server.
import { runAnswer } from "./answering.js";
import { say } from "./announce.js";
import { ChatView } from "./chat_view.js";
import { Composer } from "./composer.js";
import { assistantTurn, exportChat, forgetChat, importChat, keepChat, keptChat, userTurn } from "./conversation.js";
import { $, saveAs } from "./dom.js";
import { Settings } from "./settings.js";
import { getJson } from "./stream.js";
import { fillTexts, texts } from "./texts.js";

const kLookAgainMs = 2000;
const kKeepAfterMs = 300;
const kNearEnd = 96;  // pixels: closer than this the page follows the answer

fillTexts(document);

let turns = [];
let cleared = null;         // turns of the chat before this one, until something is sent
let server = null;          // /props, once it has answered
let running = null;         // AbortController of the answer that comes
let edited = null;          // the turn that is being edited
let draft = null;           // what stood in the box before
let follows = true;         // whether the page scrolls with the answer
let reconnect = 0, keeping = 0;  // timers

const settings = new Settings((name) => {
  if (name === "key") connect();
  else keep();
});
const view = new ChatView($("chat"), { onedit: beginEdit, onregenerate: regenerate, ongoon: goOn });
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
  composer.setAbilities({ vision: !!can.vision, audio: !!can.audio }, { bytes: bodyLimit(), seconds: server.limits?.audio_seconds ?? Infinity });
  settings.showDefaults(server.default_generation_settings.params, !!can.vision);
  const kinds = can.vision && can.audio ? texts.and(texts.pictures, texts.sound) : can.vision ? texts.pictures : can.audio ? texts.sound : "";
  $("welcome-text").textContent = kinds ? texts.welcomeMedia(kinds) : texts.welcomeNoMedia;
  document.title = `${server.model_alias} \u00b7 g3n`;
}

const bodyLimit = () => server?.limits?.body_bytes ?? Infinity;

$("key-card").addEventListener("submit", (event) => {
  event.preventDefault();
  settings.setKey($("key-entry").value);
  $("key-entry").value = "";
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
  clearTimeout(keeping);
  if (settings.keeps) keeping = setTimeout(keepNow, kKeepAfterMs);
  else forgetChat();
}

function keepNow() {
  clearTimeout(keeping);
  if (!settings.keeps || keepChat(turns, settings.all)) return;
  settings.keeps = false;
  composer.note(texts.storageFull);
}
addEventListener("pagehide", keepNow);

function setTurns(next) {
  running?.abort();
  cancelEdit();
  turns = next;
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

// A last message from the assistant is continued; what is white at its end the server drops, so the page does, too.
function goOn(turn) {
  if (running) return;
  cancelEdit();
  turn.text = turn.text.trimEnd();
  answer(turn);
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

// A new turn, or one that goes on.
async function answer(turn = { ...assistantTurn(), stats: { tokens: 0 } }) {
  const control = (running = new AbortController());
  const sent = [...turns];
  let frame = 0, progress = null;
  const draw = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    view.update(turn, turn === turns.at(-1), progress);
    if (follows) toEnd();
  };
  const onchange = (next) => {
    if (next?.stage === "prefill" && progress?.stage !== "prefill") say(texts.progress);
    progress = next;
    frame ||= requestAnimationFrame(draw);
  };
  if (!turns.includes(turn)) turns.push(turn);
  composer.setBusy(true);
  const done = runAnswer(turn, { turns: sent, settings, limitBytes: bodyLimit(), signal: control.signal, onchange });
  follows = true;
  showChat();
  draw();
  const error = await done;
  if (running === control) {
    running = null;
    composer.setBusy(false);
  }
  if (error && [0, 401, 503].includes(error.status)) connect();
  showUsed(turn);
  draw();
  keep();
}

function showUsed(turn) {
  const all = server?.default_generation_settings?.n_ctx;
  if (all && turn.used && turns.includes(turn)) $("context").textContent = texts.contextUse(turn.used, all);
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
