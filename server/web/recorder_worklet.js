// Hands the microphone's samples to the page, mono, about 20 times a second.
class Collector extends AudioWorkletProcessor {
  #block = new Float32Array(2048);
  #count = 0;

  process([channels]) {
    if (channels.length === 0) return true;
    for (let i = 0; i < channels[0].length; ++i) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.#block[this.#count++] = sum / channels.length;
      if (this.#count < this.#block.length) continue;
      this.port.postMessage(this.#block);
      this.#count = 0;
    }
    return true;
  }
}

registerProcessor("collector", Collector);
