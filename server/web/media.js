// Pictures and sounds: from files to what the API takes, and back. A medium is
// { kind: "image" | "audio", name, type, size, data (base64), url (of a blob, for previews) }.
import { texts } from "./texts.js";

const kTypes = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", webp: "image/webp", gif: "image/gif", bmp: "image/bmp", tif: "image/tiff",
  tiff: "image/tiff", ppm: "image/x-portable-pixmap", ico: "image/x-icon",
  wav: "audio/wav", mp3: "audio/mpeg", flac: "audio/flac", ogg: "audio/ogg", oga: "audio/ogg", opus: "audio/ogg", m4a: "audio/mp4",
  aac: "audio/aac", aiff: "audio/aiff", aif: "audio/aiff", au: "audio/basic", caf: "audio/x-caf", mp4: "video/mp4", webm: "video/webm",
  mkv: "video/x-matroska",
};

export const kAcceptImages = "image/*,.ppm";
export const kAcceptAudio = "audio/*,video/mp4,video/webm,.mkv,.au,.caf";

const typeOf = (name, type) => type || kTypes[name.split(".").pop().toLowerCase()] || "";

// Of a film the server hears the sound.
const kindOf = (type) => (type.startsWith("image/") ? "image" : /^(audio|video)\//.test(type) ? "audio" : null);

function readBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

// Throws Error with words for the reader.
export async function mediumOfFile(file, { name = file.name, can, limitBytes }) {
  const type = typeOf(name, file.type);
  const kind = kindOf(type);
  if (!kind) throw new Error(texts.notMedium(name));
  if (kind === "image" && !can.vision) throw new Error(texts.noVision);
  if (kind === "audio" && !can.audio) throw new Error(texts.noAudio);
  if (base64Length(file.size) > limitBytes) throw new Error(texts.tooLarge(name, mebibytes(limitBytes)));
  let data;
  try {
    data = await readBase64(file);
  } catch {
    throw new Error(texts.unreadable(name));
  }
  return { kind, name, type, size: file.size, data, url: URL.createObjectURL(file) };
}

export const base64Length = (bytes) => 4 * Math.ceil(bytes / 3);
export const mebibytes = (bytes) => Math.floor(bytes / 1048576);

export function partOf(medium) {
  if (medium.kind === "image") return { type: "image_url", image_url: { url: `data:${medium.type};base64,${medium.data}` } };
  const format = medium.type.split("/")[1].replace("x-", "").replace("mpeg", "mp3");
  return { type: "input_audio", input_audio: { data: medium.data, format } };
}

// The reverse, for imported chats; null for a part that is none. A URL of the net is none: nothing is fetched from there.
export function mediumOfPart(part) {
  const source = part?.type === "image_url" ? part.image_url?.url ?? part.image_url : part?.type === "input_audio" ? part.input_audio?.data : null;
  if (typeof source !== "string") return null;
  const kind = part.type === "image_url" ? "image" : "audio";
  const match = /^(?:data:((?:image|audio|video)\/[\w.+-]+);base64,)?([A-Za-z0-9+/]+={0,2})$/.exec(source);
  if (!match) return null;
  let type = match[1] ?? (kind === "image" ? "image/png" : `audio/${part.input_audio?.format === "mp3" ? "mpeg" : part.input_audio?.format ?? "wav"}`);
  if (!/^[\w]+\/[\w.+-]+$/.test(type) || kindOf(type) !== kind) type = kind === "image" ? "image/png" : "audio/wav";
  let binary;
  try {
    binary = atob(match[2]);
  } catch {
    return null;
  }
  const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
  const name = typeof part.name === "string" ? part.name.slice(0, 200) : kind;
  return { kind, name, type, size: bytes.length, data: match[2], url: URL.createObjectURL(new Blob([bytes], { type })) };
}

// 16 bit mono WAV. samples: [-1, 1]
export function wavOf(samples, rate) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  word(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);         // PCM
  bytes.setUint16(22, 1, true);         // channels
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);  // bytes a second
  bytes.setUint16(32, 2, true);         // bytes a frame
  bytes.setUint16(34, 16, true);        // bits a sample
  word(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => bytes.setInt16(44 + 2 * i, Math.round(Math.max(-1, Math.min(1, x)) * 32767), true));
  return new Blob([bytes], { type: "audio/wav" });
}
