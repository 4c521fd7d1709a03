// The message box: text, what goes with it (by choice, drop, paste or record), send and stop, editing of an earlier turn.
import { say } from "./announce.js";
import { $, element, icon, iconButton } from "./dom.js";
import { kAcceptAudio, kAcceptImages, mediumOfFile } from "./media.js";
import { Recording, hasMicrophone } from "./recorder.js";
import { texts } from "./texts.js";

const kMostSeconds = 300;  // of a recording: nobody forgets the microphone for longer

export class Composer {
  #owner;
  #media = [];
  #can = { vision: false, audio: false };
  #limits = { bytes: Infinity, seconds: kMostSeconds };
  #busy = false;
  #recording = null;
  #isStarting = false;              // the browser asks whether it may record
  #isSending = false;
  #reading = Promise.resolve();     // files on their way into #media
  #names = 0;

  // owner: { onsend(text, media), onstop(), oncancel() }
  constructor(owner) {
    this.#owner = owner;
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#busy) this.#owner.onstop();
      else this.#send();
    });
    $("message").addEventListener("keydown", (event) => this.#onKey(event));
    $("message").addEventListener("input", () => this.#fit());
    $("attach").addEventListener("click", () => this.choose());
    $("offer-picture").addEventListener("click", () => this.choose(kAcceptImages));
    $("files").addEventListener("change", () => {
      this.add([...$("files").files]);
      $("files").value = "";
    });
    $("record").addEventListener("click", () => this.toggleRecording());
    $("offer-record").addEventListener("click", () => this.toggleRecording());
    $("cancel-edit").addEventListener("click", () => this.#owner.oncancel());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !$("edit-line").hidden && !$("settings").open) this.#owner.oncancel();
    });
    document.addEventListener("paste", (event) => this.#onPaste(event));
    this.#listenForDrops();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#showRecord());
  }

  // ---- what the server can do ----
  // limits: bytes of a request, seconds of a sound
  setAbilities(can, limits) {
    this.#can = can;
    this.#limits = { bytes: limits.bytes, seconds: Math.min(limits.seconds, kMostSeconds) };
    const accept = [can.vision ? kAcceptImages : "", can.audio ? kAcceptAudio : ""].filter(Boolean).join(",");
    $("files").accept = accept;
    $("attach").hidden = !accept;
    $("offer-picture").hidden = !can.vision;
    this.#showRecord();
  }

  async #showRecord() {
    const hidden = !(this.#can.audio && (await hasMicrophone()));
    $("record").hidden = hidden && !this.#recording;
    $("offer-record").hidden = hidden;
  }

  setBusy(busy) {
    this.#busy = busy;
    const name = busy ? "stop" : "send";
    $("send").setAttribute("aria-label", texts[name]);
    $("send").title = texts[name];
    $("send").classList.toggle("busy", busy);
    $("send-icon").setAttribute("href", `#i-${name}`);
  }

  // ---- text ----
  focus() {
    $("message").focus();
  }

  get isEmpty() {
    return !$("message").value.trim() && this.#media.length === 0;
  }

  get media() {
    return this.#media;
  }

  fill(text, media) {
    $("message").value = text;
    this.#media = [...media];
    this.#showMedia();
    this.#fit();
  }

  showEditing(editing) {
    $("edit-line").hidden = !editing;
  }

  #fit() {
    const box = $("message");
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }

  #onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.#busy) this.#send();
  }

  // A recording that runs ends here, and files that are still being read go along.
  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    if (this.#recording) await this.#finishRecording();
    await this.#reading;
    this.#isSending = false;
    if (this.isEmpty || this.#busy) return this.focus();
    const text = $("message").value.trim(), media = this.#media;
    this.fill("", []);
    this.note("");
    this.#owner.onsend(text, media);
  }

  note(text) {
    $("note").textContent = text;
  }

  // ---- pictures and sound ----
  choose(accept) {
    const standard = $("files").accept;
    if (accept) $("files").accept = accept;
    $("files").click();
    $("files").accept = standard;
  }

  add(files) {
    return (this.#reading = this.#reading.then(() => this.#read(files)));
  }

  async #read(files) {
    this.note("");
    for (const file of files) {
      try {
        const medium = await mediumOfFile(file.blob ?? file, { name: file.name, can: this.#can, limitBytes: this.#limits.bytes });
        this.#media.push(medium);
        say(medium.kind === "image" ? texts.picture(medium.name) : texts.soundNamed(medium.name));
      } catch (error) {
        this.note(error.message);
      }
    }
    this.#showMedia();
    this.focus();
  }

  #showMedia() {
    const list = $("attachments");
    list.replaceChildren(...this.#media.map((medium) => this.#item(medium)));
    list.hidden = this.#media.length === 0;
  }

  #item(medium) {
    const remove = iconButton("remove", texts.remove(medium.name), () => {
      this.#media = this.#media.filter((other) => other !== medium);
      this.#showMedia();
      this.focus();
    });
    return element("li", { class: `attachment ${medium.kind}` }, mediumNode(medium), remove);
  }

  #onPaste(event) {
    const data = event.clipboardData;
    if (!data || $("settings").open) return;
    const files = [...data.files];
    // A spreadsheet adds a picture of what was copied.
    if (files.length === 0 || (data.types.includes("text/html") && data.getData("text/plain").trim())) return;
    event.preventDefault();
    this.add(files.map((file) => {
      const isNamed = file.name && !/^image\.\w+$/.test(file.name);
      return isNamed ? file : { blob: file, name: texts.pastedName(++this.#names, file.type.split("/")[1] ?? "") };
    }));
  }

  #listenForDrops() {
    const hasFiles = (event) => !$("settings").open && [...(event.dataTransfer?.types ?? [])].includes("Files");
    let depth = 0;
    const show = (n) => {
      depth = Math.max(0, n);
      $("drop").hidden = depth === 0;
    };
    addEventListener("dragenter", (event) => hasFiles(event) && show(depth + 1));
    addEventListener("dragleave", (event) => hasFiles(event) && show(depth - 1));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      show(0);
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
  }

  // ---- the microphone ----
  async toggleRecording() {
    if (this.#recording) return this.#finishRecording();
    if (this.#isStarting) return;
    this.#isStarting = true;
    this.note("");
    try {
      this.#recording = await Recording.start((seconds, loudness) => {
        $("loudness").value = loudness;
        $("recording-time").textContent = texts.recording(seconds, this.#limits.seconds);
        if (seconds >= this.#limits.seconds && this.#recording) this.#finishRecording();
      });
    } catch {
      this.note(texts.noMicrophone);
      return;
    } finally {
      this.#isStarting = false;
    }
    this.#showRecording();
    $("record").focus();
    say(texts.recordingStarted);
  }

  async #finishRecording() {
    const recording = this.#recording;
    this.#recording = null;
    this.#showRecording();
    const wav = await recording.finish(this.#limits.seconds).catch(() => null);
    if (!wav) return this.note(texts.nothingRecorded);
    await this.add([{ blob: wav, name: texts.recordingName(++this.#names) }]);
  }

  #showRecording() {
    const on = this.#recording !== null;
    $("recording").hidden = !on;
    $("recording-time").textContent = texts.recording(0, this.#limits.seconds);
    const label = on ? texts.stopRecording : texts.record;
    $("record").setAttribute("aria-label", label);
    $("record").title = label;
    $("record").classList.toggle("on", on);
    $("record").hidden = false;
    $("record").replaceChildren(icon(on ? "stop" : "microphone"));
  }
}

// A medium as it is seen or heard, in the box and in the chat.
export function mediumNode(medium) {
  if (medium.kind === "image") {
    const picture = element("img", { src: medium.url, alt: texts.picture(medium.name) });
    // The server may read what the browser cannot show.
    picture.addEventListener("error", () => picture.replaceWith(element("span", { class: "no-picture" }, icon("picture"), medium.name)));
    return picture;
  }
  const player = element("audio", { src: medium.url, controls: true, preload: "metadata", "aria-label": texts.soundNamed(medium.name) });
  return element("div", { class: "sound" }, element("span", { class: "sound-name" }, medium.name), player);
}
