// All words of the page, in one table. A function where a value stands inside.

const number = new Intl.NumberFormat("en");
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
const seconds = (ms) => (ms < 10_000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(1));

export const texts = {
  skip: "Skip to the message box",
  conversation: "Conversation",
  newChat: "New chat",
  openSettings: "Settings",

  // ---- the state of the server ----
  connecting: "connecting",
  ready: "ready",
  loading: "the model is being loaded",
  draining: "the server is shutting down",
  needsKey: "an API key is needed",
  unreachable: "the server does not answer",
  serverState: (model, state) => (model ? `${model}, ${state}` : state),

  // ---- the empty page ----
  welcome: "What is on your mind?",
  welcomeNoMedia: "Ask Gemma 3n anything. Nothing goes further than the server this page came from.",
  welcomeMedia: (kinds) => `Write, or add ${kinds}. Nothing goes further than the server this page came from.`,
  pictures: "pictures",
  sound: "sound",
  and: (a, b) => `${a} and ${b}`,
  addPicture: "Add a picture",
  recordQuestion: "Record a question",
  restore: "Bring back the last chat",

  // ---- the message box ----
  message: "Message",
  messageHint: "Message Gemma",
  attach: "Add pictures or sound",
  record: "Record sound",
  stopRecording: "Finish the recording",
  send: "Send",
  stop: "Stop the answer",
  keysHint: "Enter sends, Shift+Enter starts a new line.",
  attachments: "To be sent",
  remove: (name) => `Remove ${name}`,
  picture: (name) => `Picture ${name}`,
  soundNamed: (name) => `Sound ${name}`,
  recording: (s, most) => `${clock(s)} of ${clock(most)}`,
  recordingStarted: "Recording",
  recordingName: (n) => `recording-${n}.wav`,
  pastedName: (n, ending) => `pasted-${n}.${ending}`,
  dropHere: "Drop pictures and sound here",
  editing: "You are editing an earlier message. What follows it will be replaced.",
  cancelEdit: "Cancel",
  contextUse: (used, all) => `${number.format(used)} of ${number.format(all)} tokens of context`,

  // ---- messages ----
  youSaid: "You said",
  gemmaSaid: "Gemma answered",
  edit: "Edit and send again",
  copyAnswer: "Copy the answer",
  regenerate: "Answer again",
  goOn: "Go on",
  copyCode: "Copy the code",
  copy: "Copy",
  copied: "Copied",
  copyFailed: "The browser does not let the page copy",
  retry: "Retry",
  newTab: "opens in a new tab",
  jump: "Go to the newest",
  waiting: "Waiting",
  queued: "Waiting for a place",
  encoding: "Looking and listening",
  prefill: (done, all) => `Reading, ${number.format(done)} of ${number.format(all)} tokens`,
  progress: "Reading the prompt",
  answerComplete: "Answer complete.",
  answerStopped: "Answer stopped.",
  stopped: "Stopped",
  cutShort: "Cut off at the limit of tokens",
  emptyAnswer: "(an empty answer)",
  stats: {
    tokens: (n) => (n === 1 ? "1 token" : `${number.format(n)} tokens`),
    speed: (perSecond) => `${perSecond >= 100 ? Math.round(perSecond) : perSecond.toFixed(1)} tokens/s`,
    first: (ms) => `first token after ${seconds(ms)} s`,
    prompt: (n, cached) => `prompt ${number.format(n)} (${number.format(cached)} cached)`,
  },

  // ---- errors ----
  errorTitle: "No answer",
  errorMore: (status, code) => [status ? `HTTP ${status}` : "", code ?? ""].filter(Boolean).join(", "),
  brokenOff: "The connection ended before the answer did.",
  notReached: "The server cannot be reached. Is g3n serve still running?",
  noJson: (status) => `The server answered with HTTP ${status} and no explanation.`,
  badFrame: "The server sent something that this page does not understand.",
  retryAfter: (s) => `The server asks to wait ${s} s.`,
  notMedium: (name) => `${name} is neither a picture nor a sound.`,
  noVision: "This model does not see pictures.",
  noAudio: "This model does not hear sound.",
  tooLarge: (name, limit) => `${name} is too large: the server takes ${limit} MiB in one request.`,
  requestTooLarge: (limit) => `This chat has become too large: the server takes ${limit} MiB in one request.`,
  unreadable: (name) => `${name} cannot be read.`,
  noMicrophone: "The browser gives no microphone to this page.",
  nothingRecorded: "Nothing was recorded.",
  storageFull: "The chat is too large for the browser's storage and is not kept. Export it instead.",

  // ---- the key ----
  keyTitle: "This server asks for a key",
  keyHint: "It stays in this tab until the tab is closed, and goes to this server alone.",
  keyLabel: "API key",
  keyUse: "Use the key",
  keyWrong: "The server does not know this key.",

  // ---- settings ----
  settings: "Settings",
  done: "Done",
  system: "Instructions",
  systemHint: "Told to the model before every chat: who it is, how it should answer.",
  sampling: "How it answers",
  temperature: "Temperature",
  temperatureHint: "0 always takes the likeliest word, higher is freer.",
  topP: "Top p",
  topPHint: "Only the likeliest words that make up this share.",
  topK: "Top k",
  topKHint: "Only so many of the likeliest words. 0 takes all.",
  maxTokens: "Most tokens",
  maxTokensHint: "Where an answer is cut off.",
  seed: "Seed",
  seedHint: "The same seed gives the same answer.",
  imageSize: "Picture size",
  imageSizeHint: "Smaller is faster and sees less.",
  imageSizeDefault: "the model's own",
  imageSizeOption: (n) => `${n} pixels a side`,
  byDefault: (value) => `${value}`,
  noLimit: "no limit",
  random: "random",
  access: "Access",
  accessHint: "Kept in this tab only.",
  browser: "This browser",
  keep: "Keep the chat and these settings",
  keepHint: "In this browser's storage, until switched off.",
  theme: "Appearance",
  themeSystem: "as the system",
  themeLight: "light",
  themeDark: "dark",
  chatFile: "The chat as a file",
  exportChat: "Export",
  importChat: "Import",
  reset: "Reset all settings",
  resetDone: "Settings reset",
  imported: (n) => `${number.format(n)} messages imported`,
  importFailed: (why) => `Not imported: ${why}`,
  numberWanted: (least, most) => `A number from ${least} to ${most}, or nothing.`,
  integerWanted: (least, most) => `A whole number from ${least} to ${most}, or nothing.`,

  // ---- what an imported file can get wrong ----
  notJson: "the file is not JSON",
  noMessages: "it has no list of messages",
  badRole: (i) => `message ${i + 1} has no role this page knows`,
  badContent: (i) => `message ${i + 1} has contents this page does not know`,
};

// Puts the words where the page wants them: data-text (contents), data-label (accessible name and tooltip), data-hint.
export function fillTexts(root) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = texts[node.dataset.text];
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", texts[node.dataset.label]);
    if (node.tagName === "BUTTON") node.title = texts[node.dataset.label];
  }
  for (const node of root.querySelectorAll("[data-hint]")) node.placeholder = texts[node.dataset.hint];
}
