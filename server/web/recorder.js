// The microphone: samples at the device's rate, brought to what Gemma hears, 16 kHz mono.
import { wavOf } from "./media.js";

const kRate = 16_000;

export const canRecord = () => window.isSecureContext && !!navigator.mediaDevices?.getUserMedia && !!window.AudioWorkletNode;

// Whether the machine has any microphone; asks for no permission.
export async function hasMicrophone() {
  if (!canRecord()) return false;
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.some((device) => device.kind === "audioinput");
}

// The browser's own resampler sits in its decoder; the one for playing would fold high tones down.
async function resample(samples, rate) {
  if (rate === kRate) return samples;
  const context = new OfflineAudioContext(1, kRate, kRate);
  const decoded = await context.decodeAudioData(await wavOf(samples, rate).arrayBuffer());
  return decoded.getChannelData(0);
}

export class Recording {
  #stream;
  #context;
  #blocks = [];
  #count = 0;

  // onlevel(seconds so far, loudness 0 ... 1). Throws what getUserMedia throws.
  static async start(onlevel) {
    const recording = new Recording();
    recording.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    try {
      const context = (recording.#context = new AudioContext());
      await context.audioWorklet.addModule(new URL("recorder_worklet.js", import.meta.url));
      const collector = new AudioWorkletNode(context, "collector");
      collector.port.onmessage = ({ data }) => {
        recording.#blocks.push(data);
        recording.#count += data.length;
        const loudness = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
        onlevel(recording.#count / context.sampleRate, Math.min(1, loudness * 5));
      };
      context.createMediaStreamSource(recording.#stream).connect(collector);
      collector.connect(context.destination);  // silent; without it some browsers do not run the node
    } catch (error) {
      await recording.#release();
      throw error;
    }
    return recording;
  }

  async #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context?.close();
  }

  // A WAV file of at most so many seconds, or null if nothing came.
  async finish(mostSeconds) {
    const rate = this.#context.sampleRate;
    await this.#release();
    if (this.#count === 0) return null;
    const samples = new Float32Array(this.#count);
    let at = 0;
    for (const block of this.#blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return wavOf((await resample(samples, rate)).subarray(0, mostSeconds * kRate), kRate);
  }

  async discard() {
    await this.#release();
  }
}
