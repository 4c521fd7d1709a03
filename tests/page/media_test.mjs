// Pictures and sounds: dropped, pasted, chosen, recorded, removed; what arrives at the server is the file.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as b from "./browser.mjs";

const star = () => ({ name: "star-and-square.png", type: "image/png", data: b.demoBytes("star-and-square.png").toString("base64") });
const clip = () => ({ name: "colors.wav", type: "audio/wav", data: b.demoBytes("colors.wav").toString("base64") });

// Drops or pastes files as the browser would.
async function give(page, how, files) {
  await page.evaluate(([how, files]) => {
    const transfer = new DataTransfer();
    for (const { name, type, data } of files) transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
    const options = { bubbles: true, cancelable: true };
    if (how === "paste") return document.getElementById("message").dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
    for (const name of ["dragenter", "dragover"]) document.body.dispatchEvent(new DragEvent(name, { ...options, dataTransfer: transfer }));
    window.overlayShown = !document.getElementById("drop").hidden;
    document.body.dispatchEvent(new DragEvent("drop", { ...options, dataTransfer: transfer }));
  }, [how, files]);
}

test("a dropped picture is shown, sent as it is, and seen by the model", async () => {
  const page = await b.openPage();
  await b.set(page, { temperature: 0 });
  await give(page, "drop", [star()]);
  const preview = page.locator("#attachments img");
  await preview.waitFor();
  assert.equal(await page.evaluate(() => window.overlayShown), true);
  assert.equal(await page.locator("#drop").isVisible(), false);
  assert.equal(await preview.getAttribute("alt"), "Picture star-and-square.png");
  assert.equal(await preview.evaluate((img) => img.decode().then(() => img.naturalWidth > 0)), true);
  const text = await b.send(page, "What color is the star?");
  assert.match(text, /yellow/);
  assert.deepEqual(b.lastBody(page).messages[0].content, [
    { type: "image_url", image_url: { url: `data:image/png;base64,${star().data}` } }, { type: "text", text: "What color is the star?" }]);
  assert.equal(await page.locator(".user img").isVisible(), true);
  assert.equal(await page.locator("#attachments").isVisible(), false);
  await b.closePage(page);
});

test("several files, each with a button that removes it", async () => {
  const page = await b.openPage();
  await give(page, "drop", [star(), clip(), { ...star(), name: "second.png" }]);
  await page.locator(".attachment").nth(2).waitFor();
  await page.getByRole("button", { name: "Remove second.png" }).click();
  await page.getByRole("button", { name: "Remove colors.wav" }).click();
  assert.equal(await page.locator(".attachment").count(), 1);
  await page.getByRole("button", { name: "Send" }).click();  // a picture alone is a message
  await b.lastAnswer(page);
  assert.equal(b.lastBody(page).messages[0].content.length, 1);
  await b.closePage(page);
});

test("pasted pictures; pasted text stays text", async () => {
  const page = await b.openPage();
  await give(page, "paste", [{ ...star(), name: "image.png" }]);
  await page.getByRole("button", { name: "Remove pasted-1.png" }).waitFor();
  await page.evaluate(() => {
    const transfer = new DataTransfer();
    transfer.setData("text/plain", "words");
    window.prevented = !document.getElementById("message").dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
  });
  assert.equal(await page.evaluate(() => window.prevented), false);
  await page.evaluate(() => {
    const transfer = new DataTransfer();  // cells of a spreadsheet
    transfer.setData("text/plain", "1\t2");
    transfer.setData("text/html", "<table></table>");
    transfer.items.add(new File(["x"], "image.png", { type: "image/png" }));
    window.prevented = !document.getElementById("message").dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
  });
  assert.equal(await page.evaluate(() => window.prevented), false);
  assert.equal(await page.locator(".attachment").count(), 1);
  await b.closePage(page);
});

test("chosen files by the button", async () => {
  const page = await b.openPage();
  for (const name of ["Add pictures or sound", "Add a picture"]) {
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name, exact: true }).click()]);
    assert.equal(chooser.isMultiple(), true);
    await chooser.setFiles(b.demo("red-circle.png"));
    await page.getByRole("button", { name: "Remove red-circle.png" }).first().waitFor();
  }
  assert.equal(await page.locator(".attachment").count(), 2);
  await b.closePage(page);
});

test("a chosen sound is heard by the model", async () => {
  const page = await b.openPage();
  await b.set(page, { temperature: 0 });
  await page.setInputFiles("#files", b.demo("three-seven-one.wav"));
  const text = await b.send(page, "Transcribe the audio.");
  assert.match(text, /three seven one/i);
  const [part] = b.lastBody(page).messages[0].content;
  assert.deepEqual(part, { type: "input_audio", input_audio: { data: b.demoBytes("three-seven-one.wav").toString("base64"), format: "wav" } });
  const player = page.locator(".user audio");
  assert.equal(await player.getAttribute("aria-label"), "Sound three-seven-one.wav");
  assert.ok((await player.evaluate((audio) => new Promise((resolve) => (audio.readyState ? resolve(audio.duration) : (audio.onloadedmetadata = () => resolve(audio.duration)))))) > 1);
  await b.closePage(page);
});

test("what is neither picture nor sound, and what is too large, is said before it is sent", async () => {
  const page = await b.openPage({ script: "" });
  await give(page, "drop", [{ name: "notes.pdf", type: "application/pdf", data: "AAAA" }]);
  await page.getByText("notes.pdf is neither a picture nor a sound.").waitFor();
  await page.route("**/props", async (route) => {
    const response = await route.fetch(), props = await response.json();
    props.limits.body_bytes = 6000;
    props.modalities.audio = false;
    await route.fulfill({ response, json: props });
  });
  await page.reload();
  await page.waitForSelector(".dot.good");
  await page.setInputFiles("#files", b.demo("star-and-square.png"));
  await page.getByText("star-and-square.png is too large").waitFor();
  await give(page, "drop", [clip()]);
  await page.getByText("This model does not hear sound.").waitFor();
  assert.equal(await page.locator("#record").isVisible(), false);
  await b.type(page, "x".repeat(6000));
  await page.locator("#message").press("Enter");
  await page.locator(".problem", { hasText: "This chat has become too large" }).waitFor();
  await b.closePage(page);
});

test("a broken picture: the server's words, with the file's name", async () => {
  const page = await b.openPage();
  await page.setInputFiles("#files", { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture at all") });
  await b.type(page, "What is this?");
  await page.locator("#message").press("Enter");
  await page.locator(".problem", { hasText: "broken.png: expected an image" }).waitFor();
  assert.match(await page.locator(".problem").innerText(), /HTTP 400, invalid_media/);
  await page.getByRole("button", { name: "Edit and send again" }).click();
  await page.getByRole("button", { name: "Remove broken.png" }).click();
  assert.notEqual(await b.send(page, "Count to six."), "");
  await b.closePage(page, b.kFailedLoad);
});

test("recorded sound: 16 kHz mono WAV, taken by the server", async () => {
  const page = await b.openPage({ permissions: ["microphone"] });
  const record = page.locator("#record");
  assert.equal(await record.getAttribute("aria-label"), "Record sound");
  await record.click();
  await page.locator("#recording-time", { hasText: /^0:02 of 5:00$/ }).waitFor();
  assert.equal(await record.getAttribute("aria-label"), "Finish the recording");
  await record.click();
  await page.getByRole("button", { name: "Remove recording-1.wav" }).waitFor();
  assert.equal(await record.getAttribute("aria-label"), "Record sound");
  await b.send(page, "What do you hear?");
  const { input_audio: sound } = b.lastBody(page).messages[0].content[0];
  assert.equal(sound.format, "wav");
  const wav = Buffer.from(sound.data, "base64");
  assert.equal(wav.toString("latin1", 0, 4) + wav.toString("latin1", 8, 16), "RIFFWAVEfmt ");
  assert.deepEqual([wav.readUInt16LE(20), wav.readUInt16LE(22), wav.readUInt32LE(24), wav.readUInt16LE(34)], [1, 1, 16000, 16]);
  const samples = (wav.length - 44) / 2;
  assert.equal(wav.readUInt32LE(40), 2 * samples);
  assert.ok(samples > 1.9 * 16000 && samples < 6 * 16000, `${samples} samples`);
  let peak = 0;
  for (let i = 0; i < samples; ++i) peak = Math.max(peak, Math.abs(wav.readInt16LE(44 + 2 * i)));
  assert.ok(peak > 1000, `the fake device beeps, peak ${peak}`);
  assert.equal(await page.locator(".problem:visible").count(), 0);
  await b.closePage(page);
});

test("a recording ends where the server's limit for a sound is; one of more than 30 s is taken", async () => {
  const server = await b.startServer("--limit", "audio-seconds=40");
  const page = await b.openPage({ url: server.url, permissions: ["microphone"] });
  // A worklet whose clock runs: 41 s of samples at once.
  await page.evaluate(() => {
    const real = window.AudioWorkletNode;
    window.AudioWorkletNode = class extends real {
      constructor(...args) {
        super(...args);
        setTimeout(() => this.port.onmessage({ data: new Float32Array(41 * args[0].sampleRate).map((_, i) => Math.sin(i / 50) / 2) }), 300);
      }
    };
  });
  await page.locator("#record").click();
  await page.getByRole("button", { name: "Remove recording-1.wav" }).waitFor();
  await b.send(page, "What do you hear?");
  const wav = Buffer.from(b.lastBody(page).messages[0].content[0].input_audio.data, "base64");
  assert.equal(wav.length, 44 + 2 * 640_000);
  assert.equal(await page.locator(".problem:visible").count(), 0);
  await b.closePage(page);
  server.stop();
});

test("sending ends a recording and takes it along, and waits for files that are being read", async () => {
  const page = await b.openPage({ permissions: ["microphone"] });
  await page.locator("#record").click();
  await page.locator("#recording-time", { hasText: /^0:01 of/ }).waitFor();
  await page.evaluate(() => {
    const real = FileReader.prototype.readAsDataURL;
    FileReader.prototype.readAsDataURL = function (blob) {
      setTimeout(() => real.call(this, blob), 300);
    };
  });
  await page.setInputFiles("#files", b.demo("red-circle.png"));
  await b.send(page, "What is this?");
  assert.deepEqual(b.lastBody(page).messages[0].content.map((part) => part.type), ["image_url", "input_audio", "text"]);
  assert.equal(await page.locator("#recording").isVisible(), false);
  await b.closePage(page);
});

test("no record button without a microphone or a secure context; a refusal is told", async () => {
  for (const script of [
    "Object.defineProperty(window, 'isSecureContext', { value: false })", "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })",
    "navigator.mediaDevices.enumerateDevices = async () => []"]) {
    const page = await b.openPage({ script });
    await page.waitForTimeout(100);
    assert.equal(await page.locator("#record").isVisible(), false, script);
    assert.equal(await page.getByRole("button", { name: "Record a question" }).isVisible(), false, script);
    await b.closePage(page);
  }
  const page = await b.openPage({ script: "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }" });
  await page.locator("#record").click();
  await page.getByText("The browser gives no microphone to this page.").waitFor();
  await b.closePage(page);
});
