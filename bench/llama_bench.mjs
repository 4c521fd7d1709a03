// llama.cpp, measured on demand with the commands of the other benches (bench/README.md), on the CPU, through the npm package node-llama-cpp.
//
//   node llama_bench.mjs FILE.gguf --packages FOLDER [--threads N] [--context N]
//   prefill TOKENS        seconds until the first token is chosen (greedy), from an empty cache
//   decode CONTEXT STEPS  seconds of each of STEPS greedy tokens behind CONTEXT tokens
//   memory                of this process, Node's own 50 MB included
// FOLDER is where npm put node_modules. Batches of 512, KV cache f16, memory-mapped: llama.cpp's own defaults.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import {pathToFileURL} from "node:url";

const words = process.argv.slice(2);
const option = (name, standard) => (words.includes(name) ? words[words.indexOf(name) + 1] : standard);
const threads = Number(option("--threads", 0)) || undefined;
const entry = path.resolve(option("--packages", "."), "node_modules/node-llama-cpp/dist/index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const release = JSON.parse(fs.readFileSync(path.join(path.dirname(entry), "../llama/binariesGithubRelease.json"))).release;

const now = () => Number(process.hrtime.bigint()) / 1e9;
const promptIds = (count) =>
  Array.from({length: count}, (_, i) => (i === 0 ? 2 : Number(3n + ((2654435761n * BigInt(i) + 7n * BigInt(i) * BigInt(i)) % 255990n))));

function memory() {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  const bytes = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)[1]) * 1024;
  return {peak: bytes("VmHWM"), now: bytes("VmRSS"), anonymous: bytes("RssAnon"), file: bytes("RssFile")};
}

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: threads, progressLogs: false});
const start = now();
const model = await llama.loadModel({modelPath: words[0], gpuLayers: 0});
const context = await model.createContext({contextSize: Number(option("--context", 4352)), batchSize: 512, sequences: 1, threads: {ideal: threads, min: threads}});
const loadSeconds = now() - start;
const sequence = context.getSequence();

// Seconds of the first token (prefill) and of each further one.
async function evaluate(tokens, steps) {
  await sequence.clearHistory();
  const seconds = [];
  let last = now();
  for await (const _ of sequence.evaluate(promptIds(tokens), {temperature: 0, yieldEogToken: true})) {
    seconds.push(now() - last);
    last = now();
    if (seconds.length > steps) break;
  }
  return seconds;
}

async function answer(line) {
  const [command, first, second] = line.split(/\s+/);
  if (command === "prefill") return {seconds: (await evaluate(Number(first), 0))[0]};
  if (command === "decode") return {seconds: (await evaluate(Number(first), Number(second))).slice(1)};
  if (command === "memory") return memory();
  throw new Error(`llama_bench: no such command: ${line}`);
}

const say = (object) => fs.writeSync(1, JSON.stringify(object) + "\n");
say({load_seconds: loadSeconds, llama_cpp: release, threads: context.currentThreads, memory: memory()});
for await (const line of readline.createInterface({input: process.stdin}))
  if (line.trim()) say(await answer(line.trim()));
process.exit(0);
