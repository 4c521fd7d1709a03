// Command line flags by CLI11, which is included here and nowhere else. Values are read by our own strict parsers:
// CLI11 takes 010 for eight and splits a prompt written [a,b].
#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>
#include <utility>

#include "config_file.h"
#include "core/split.h"
#include "core/utf8.h"
#include "g3n/error.h"
#include "g3n/message.h"
#include "server/limits.h"

namespace g3n::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  g3n run -m DIR \"What is in this picture?\" --image photo.jpg     ask once\n"
    "  git diff | g3n run -m DIR \"Write a commit message\"               put a pipe behind the prompt\n"
    "  g3n DIR                                                          chat\n"
    "\n"
    "DIR is a Gemma 3n: a Hugging Face folder, a .g3n or GGUF file, a name in the local hub cache "
    "(google/gemma-3n-E2B-it),\nor a model of ollama (gemma3n:e4b).\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. More: g3n COMMAND --help, docs/cli.md";

struct CommandName {
  const char* name;
  Command command;
  const char* about;
};
constexpr CommandName kCommands[] = {
    {"run", Command::kRun, "answer one prompt"},
    {"chat", Command::kChat, "talk in several turns"},
    {"serve", Command::kServe, "answer OpenAI's HTTP API"},
    {"inspect", Command::kInspect, "config, tensors, parameters and memory of a checkpoint"},
    {"tokenize", Command::kTokenize, "print the token ids of a text or prompt"},
    {"trace", Command::kTrace, "write the intermediate values of a run to a .safetensors file"},
    {"bench", Command::kBench, "measure speed and memory of a model on this machine"},
    {"convert", Command::kConvert, "pack a checkpoint into one .g3n file that loads at once"},
    {"eval", Command::kEval, "kld: compare next tokens of two recipes or models over a text; media: their soft tokens"},
};

template <typename T>
constexpr T kMost = std::numeric_limits<T>::max();

template <typename T>
T parse_number(const std::string& flag, const std::string& text, T low, T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool good = error == std::errc{} && end == text.data() + text.size() && !text.empty();
  if constexpr (std::is_floating_point_v<T>) good = good && std::isfinite(value);
  if (good && value >= low && value <= high) return value;
  std::string want = std::is_floating_point_v<T> ? "a number" : "a whole number";
  std::ostringstream range;
  const bool is_beyond_type = std::is_integral_v<T> && error == std::errc::result_out_of_range && text.front() != '-';
  if (high < static_cast<T>(kMost<std::int32_t>)) {  // what is larger is told only to whoever asked for more
    range << " from " << low << " to " << high;
  } else {
    if (low > std::numeric_limits<T>::lowest()) range << " of at least " << low;
    if ((good && value > high) || is_beyond_type) range << " and at most " << high;
  }
  want += range.str();
  throw UsageError(flag + ": expected " + want + ", found '" + text + "'");
}

// What a library's check says of a flag's value; no flag: it names the value itself.
template <class F>
auto checked(const std::string& flag, F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw UsageError((flag.empty() ? "" : flag + ": ") + error.what());
  }
}

// Numbers separated by commas, at least one.
template <typename T>
std::vector<T> parse_numbers(const std::string& flag, const std::string& text, T low, T high) {
  std::vector<T> numbers;
  for (const std::string& piece : split(text, ',')) numbers.push_back(parse_number(flag, piece, low, high));
  return numbers;
}

// Adds flags to one CLI11 command, all in the same manner: one value each, given once (or several times: list).
class FlagSet {
 public:
  explicit FlagSet(CLI::App& app) : app_(app) {}

  void flag(const std::string& names, bool& target, const std::string& about) { app_.add_flag(names, target, about); }

  void value(const std::string& names, const std::string& type, const std::string& about,
             std::function<void(const std::string&)> use) {
    option(names, type, about, [use](const CLI::results_t& results) { use(results.at(0)); });
  }
  void text(const std::string& names, const std::string& type, std::string& target, const std::string& about) {
    value(names, type, about, [&target](const std::string& given) { target = given; });
  }
  void text(const std::string& names, const std::string& type, std::optional<std::string>& target,
            const std::string& about) {
    value(names, type, about, [&target](const std::string& given) { target = given; });
  }
  void list(const std::string& names, const std::string& type, std::vector<std::string>& target,
            const std::string& about) {
    option(names, type, about, [&target](const CLI::results_t& results) {
      target = results;
    })->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  // Called with each value as it comes: the order among several such flags is that of the command line.
  void each(const std::string& names, const std::string& type, const std::string& about,
            std::function<void(const std::string&)> use) {
    option(names, type, about, [use](const CLI::results_t& results) { use(results.at(0)); })
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->trigger_on_parse();
  }
  template <typename T, typename Target>
  void number(const std::string& name, const std::string& type, Target& target, T low, T high,
              const std::string& about) {
    value(name, type, about,
          [name, &target, low, high](const std::string& given) { target = parse_number<T>(name, given, low, high); });
  }
  template <typename T>
  void numbers(const std::string& name, const std::string& type, std::vector<T>& target, T low, T high,
               const std::string& about) {
    value(name, type, about,
          [name, &target, low, high](const std::string& given) { target = parse_numbers(name, given, low, high); });
  }

 private:
  CLI::Option* option(const std::string& names, const std::string& type, const std::string& about,
                      std::function<void(const CLI::results_t&)> use) {
    const bool is_path = type == "FILE" || type == "PATH" || type == "DIR" || type == "IN";
    const auto take = [=, use = std::move(use)](const CLI::results_t& results) {
      if (is_path && results.at(0).empty())
        throw UsageError(names.substr(names.find("--")) + ": expected a path, found an empty text");
      use(results);
      return true;
    };
    return app_.add_option(names, take, about)->type_name(type)->expected(1)->allow_extra_args(false);
  }

  CLI::App& app_;
};

// ---- what several commands take; a command takes no flag that it would ignore ---------------------------------------

void add_model_flag(FlagSet& flags, Options& o) {
  flags.text("-m,--model", "DIR", o.engine.model,
             "Hugging Face folder, .g3n or GGUF file, org/name in the local hub cache, or name:tag of ollama (also the "
             "first argument)");
}

void add_mmproj_flag(FlagSet& flags, Options& o) {
  flags.text("--mmproj", "FILE|auto", o.engine.mmproj,
             "where vision and audio are, for a GGUF file: its mmproj file, a folder or a bundle; auto: the one mmproj "
             "file beside it");
}

void add_precision_flags(FlagSet& flags, Options& o) {
  flags.value("--dtype", "f32|bf16", "type of activations (default f32)", [&o](const std::string& given) {
    if (given == "f32")
      o.engine.compute = Compute::kF32;
    else if (given == "bf16")
      o.engine.compute = Compute::kBF16;
    else
      throw UsageError("--dtype: expected f32 or bf16, found '" + given + "'");
  });
  flags.value("--kv-cache", "auto|f32|bf16|q8", "type of the KV cache (default auto: as --dtype)",
              [&o](const std::string& given) {
                if (given == "auto")
                  o.engine.kv_cache = CacheType::kAuto;
                else if (given == "f32")
                  o.engine.kv_cache = CacheType::kF32;
                else if (given == "bf16")
                  o.engine.kv_cache = CacheType::kBF16;
                else if (given == "q8")
                  o.engine.kv_cache = CacheType::kQ8;
                else
                  throw UsageError("--kv-cache: expected auto, f32, bf16 or q8, found '" + given + "'");
              });
}

void add_threads_flag(FlagSet& flags, Options& o) {
  flags.number<int>("--threads", "N", o.engine.threads, 1, 1024, "default: one per usable core");
}

void add_context_flag(FlagSet& flags, Options& o) {
  flags.number<std::int64_t>("--context", "N", o.engine.context, 1, kMost<std::int32_t>,
                             "positions of a conversation (default: the checkpoint's)");
}

// Whoever runs the text model takes these.
void add_run_flags(FlagSet& flags, Options& o) {
  add_precision_flags(flags, o);
  add_threads_flag(flags, o);
  flags.number<std::int64_t>(
      "--chunk", "N", o.engine.chunk, 1, 65536,
      "prompt positions per forward pass (default " + std::to_string(EngineOptions{}.chunk) + ")");
}

void add_quantize_flag(FlagSet& flags, Options& o) {
  flags.text("--quantize", "q4|q8|FILE", o.engine.quantize,
             "pack the weights of a folder while loading; g3n convert does it once and for all");
}

void add_image_size_flag(FlagSet& flags, Options& o) {
  flags.value("--image-size", "N",
              "pixels a side for the image encoder, at least " + std::to_string(kLeastImageSide) +
                  ", best a multiple of 256 (default: the checkpoint's)",
              [&o](const std::string& given) {
                o.engine.image_size = parse_number<int>("--image-size", given, 0, kMost<int>);
                checked("", [&] { check_image_side(o.engine.image_size); });
              });
}

// run and chat.
void add_engine_flags(FlagSet& flags, Options& o) {
  add_mmproj_flag(flags, o);
  add_run_flags(flags, o);
  add_context_flag(flags, o);
  add_quantize_flag(flags, o);
  add_image_size_flag(flags, o);
  flags.flag("--release-encoders", o.engine.release_encoders,
             "give the memory of the image and audio encoders back after each prompt with media");
}

void add_media_flags(FlagSet& flags, Options& o) {
  const auto add = [&flags, &o](const char* name, MediaFile::Kind kind, const char* about) {
    flags.each(name, "FILE", about, [&o, kind](const std::string& given) { o.media.push_back({kind, given}); });
  };
  add("--image", MediaFile::Kind::kImage, "a picture; may be repeated");
  add("--audio", MediaFile::Kind::kAudio, "a sound, or a video's sound track; may be repeated");
}

// "ID=V".
std::pair<std::int32_t, float> parse_bias(const std::string& flag, const std::string& text) {
  const size_t at = text.find('=');
  if (at == std::string::npos) throw UsageError(flag + ": expected ID=V, found '" + text + "'");
  return {parse_number<std::int32_t>(flag, text.substr(0, at), 0, kMost<std::int32_t>),
          parse_number<float>(flag, text.substr(at + 1), std::numeric_limits<float>::lowest(), kMost<float>)};
}

void add_answer_flags(FlagSet& flags, Options& o) {
  AnswerFlags& a = o.answer;
  constexpr double kAll = kMost<double>;
  flags.text("--system", "TEXT", o.system, "system text, in front of the first turn");
  flags.number<std::int64_t>("--max-tokens", "N", a.others.max_tokens, 1, kMost<std::int32_t>,
                             "end the answer after N tokens (default: when the context is full)");
  flags.number<std::int64_t>("--min-tokens", "N", a.others.min_tokens, 0, kMost<std::int32_t>,
                             "no stop token before N tokens");
  flags.number<double>("--temperature", "X", a.temperature, 0.0, kAll,
                       "0: the likeliest token; sampling flags that are not given: generation_config.json");
  flags.number<int>("--top-k", "N", a.top_k, 0, kMost<int>, "choose among the N likeliest; 0: all");
  flags.number<double>("--top-p", "X", a.top_p, 0.0, 1.0, "choose among the likeliest that make up X; 1: all");
  flags.number<double>("--min-p", "X", a.min_p, 0.0, 1.0, "drop tokens below X times the likeliest; 0: none");
  flags.number<std::uint64_t>("--seed", "N", a.seed, 0, kMost<std::uint64_t>, "same seed, same answer");
  flags.number<double>("--repetition-penalty", "X", a.repetition_penalty, 0.0, kAll,
                       "of tokens of prompt and answer; 1: none");
  flags.number<double>("--presence-penalty", "X", a.presence_penalty, -kAll, kAll,
                       "taken off the logits of the answer's tokens; 0: none");
  flags.number<double>("--frequency-penalty", "X", a.frequency_penalty, -kAll, kAll, "the same, times their count");
  flags.each("--logit-bias", "ID=V", "add V to the logit of a token; may be repeated",
             [&a](const std::string& given) { a.others.logit_bias.push_back(parse_bias("--logit-bias", given)); });
  flags.each("--ban-token", "ID", "never choose this token; may be repeated", [&a](const std::string& given) {
    a.others.banned_ids.push_back(parse_number<std::int32_t>("--ban-token", given, 0, kMost<std::int32_t>));
  });
  flags.list("--stop", "TEXT", a.others.stop, "end the answer before this text; may be repeated");
  flags.flag("--stats", o.stats, "times, tokens per second and peak memory on stderr");
}

// Who may call, and where.
void add_listening_flags(FlagSet& flags, Options& o) {
  server::ServerOptions& s = o.serve.options;
  const server::ServerOptions standard;
  flags.value("--host", "ADDRESS", "where it listens (default " + standard.http.host + ")",
              [&o, &s](const std::string& given) {
                s.http.host = given;
                o.serve.has_address = true;
              });
  flags.value("--port", "N", "default " + std::to_string(standard.http.port) + "; 0: any free one",
              [&o, &s](const std::string& given) {
                o.serve.has_address = true;
                const int port = parse_number<int>("--port", given, 0, kMost<std::uint16_t>);
                s.http.port = static_cast<std::uint16_t>(port);
              });
  flags.text("--unix", "PATH", s.http.unix_path, "a socket file instead of --host and --port");
  flags.list("--allowed-host", "NAME", s.access.allowed_hosts,
             "a name in Host besides localhost and addresses; may be repeated");
  flags.value("--cors", "local|none|*|LIST",
              "web pages that may call: those of this machine (default), none, all, or origins with commas between",
              [&s](const std::string& given) {
                checked("--cors", [&] { server::check_cors(given); });
                s.access.cors = given;
              });
  flags.text("--api-key-file", "FILE", o.serve.api_key_file,
             "keys of clients, one a line, NAME: before it if wanted; read again at SIGHUP");
  flags.value("--api-key", "KEY", "a key, for trials: process lists show it", [&o](const std::string& given) {
    if (given.empty()) throw UsageError("--api-key: expected a key, found an empty text");
    o.serve.api_key = given;
  });
  flags.flag("--allow-anonymous", s.allow_anonymous, "no key on an address that others reach");
}

void add_serve_flags(FlagSet& flags, Options& o) {
  server::ServerOptions& s = o.serve.options;
  const server::ServerOptions standard;
  const auto time = [&flags](const std::string& name, std::chrono::milliseconds& target, const std::string& about) {
    flags.value(name, "TIME", about, [name, &target](const std::string& given) {
      target = std::chrono::milliseconds(checked(name, [&] { return server::milliseconds_of(given); }));
    });
  };
  add_engine_flags(flags, o);
  flags.flag("--lazy-encoders", o.serve.has_lazy_encoders,
             "load the image and audio encoders when media first come, not at the start");
  add_listening_flags(flags, o);
  flags.list("--alias", "NAME", s.aliases, "another name of the model; may be repeated");
  flags.flag("--strict", s.is_strict, "fields without effect are errors");
  flags.flag("--strict-model", s.is_strict_model, "names of other models are errors");
  flags.number<std::int64_t>("--max-sequences", "N", s.max_sequences, 1, 4096,
                             "answers made at the same time (default " + std::to_string(standard.max_sequences) + ")");
  flags.number<std::int64_t>("--max-queue", "N", s.max_queue, 0, 1'000'000,
                             "requests that wait (default " + std::to_string(standard.max_queue) + ")");
  flags.value("--max-step", "TIME", "what prompts may add to a step while others wait for a token (default 150ms)",
              [&o](const std::string& given) {
                const auto ms = checked("--max-step", [&] { return server::milliseconds_of(given); });
                if (ms < 1 || ms > 60'000) throw UsageError("--max-step: expected 1ms to 60s, found '" + given + "'");
                o.engine.max_step_ms = static_cast<double>(ms);
              });
  flags.number<int>("--workers", "N", s.workers, 1, 256, "threads that read requests (default 2)");
  const auto bytes = [&flags](const std::string& name, std::int64_t& target, const std::string& about) {
    flags.value(name, "SIZE", about, [name, &target](const std::string& given) {
      target = checked(name, [&] { return server::bytes_of(given); });
    });
  };
  bytes("--kv-ram", o.engine.kv_ram, "memory of K and V, e.g. 4GiB (default half of what is free after loading)");
  bytes("--cache-ram", o.serve.cache_ram,
        "of that for prompts that begin like one before (default all that nobody runs in; 0: none)");
  flags.flag("--cache-per-key", s.caches_per_key, "prompts of different keys share nothing");
  bytes("--media-cache", o.engine.media_cache,
        "memory for pictures and sounds that come again (default 256MiB; 0: none)");
  time("--request-timeout", s.request_timeout, "for a request (30s, 500ms); default 0: no limit");
  time("--drain", s.drain, "what running requests get at the end (default 30s)");
  time("--ping", s.http.limits.ping, "a quiet stream gets a comment after this time (default 10s; 0: none)");
  flags.each("--limit", "NAME=VALUE", "a limit of what clients may send, may be repeated; help: all of them, and leave",
             [&o, &s](const std::string& given) {
               if (given == "help")
                 o.serve.limits = true;
               else
                 checked("--limit", [&] { server::set_limit(s, given); });
             });
  flags.flag("--log-json", s.is_log_json, "the log in lines of JSON");
  flags.flag("--log-content", s.logs_content, "what is asked and answered stands in the log, too");
  flags.value("--config", "FILE", "a JSON object of these options without the dashes; the command line wins",
              [](const std::string&) {});  // with_config_file has read it
  flags.flag("--routes", o.serve.routes, "print what it answers, and leave");
}

void add_command_flags(FlagSet& flags, Options& o, Command command) {
  if (command != Command::kConvert) add_model_flag(flags, o);
  switch (command) {
    case Command::kRun:
      add_engine_flags(flags, o);
      flags.text("-f,--file", "FILE", o.file, "a text file put behind the prompt");
      add_media_flags(flags, o);
      add_answer_flags(flags, o);
      flags.text(
          "--messages", "FILE", o.messages,
          "JSON list of role and content instead of a prompt; media placeholders take --image and --audio in order");
      flags.flag("--continue", o.continues, "with --messages: the answer goes on where the last message ends");
      flags.flag("--raw", o.raw, "no chat template: <bos> and the prompt, control tokens in it parsed");
      flags.flag("--json", o.json,
                 "one JSON object: text, ids, finish_reason, prompt_tokens, completion_tokens, timings, logprobs");
      flags.number<int>("--logprobs", "N", o.answer.others.logprobs, 0, 20,
                        "with --json: log probability of each token, and the N likeliest in its place");
      return;
    case Command::kChat:
      add_engine_flags(flags, o);
      add_answer_flags(flags, o);
      return;
    case Command::kServe: return add_serve_flags(flags, o);
    case Command::kTokenize:
      add_media_flags(flags, o);
      flags.text("--system", "TEXT", o.system, "system text, with --chat");
      flags.flag("--chat", o.chat_template, "what run would feed for this prompt");
      flags.flag("--raw", o.raw, "what run --raw would feed");
      flags.text("--messages", "FILE", o.messages, "what run --messages would feed");
      flags.flag("--continue", o.continues, "with --messages: what run --continue would feed");
      flags.flag("--json", o.json, "{\"ids\": [...], \"pieces\": [...]}");
      return;
    case Command::kTrace:
      add_mmproj_flag(flags, o);
      add_run_flags(flags, o);
      add_context_flag(flags, o);
      add_quantize_flag(flags, o);
      add_image_size_flag(flags, o);
      flags.text("--ids", "N,N,...", o.ids, "exactly these ids");
      flags.text("--ids-file", "FILE", o.ids_file, "ids separated by white space or commas");
      flags.text("--prompt", "TEXT", o.trace_prompt, "the ids of this prompt, as run would feed it");
      add_media_flags(flags, o);
      flags.number<std::int64_t>("--steps", "N", o.steps, 0, kMost<std::int32_t>,
                                 "greedy tokens to decode after the prompt");
      flags.list("--taps", "GLOB", o.taps, "write only taps whose name matches; may be repeated (default: all)");
      flags.flag("--cut", o.cut, "want only the last row's logits, so that the others stop early");
      flags.text("--out", "FILE", o.out, "the .safetensors file to write");
      return;
    case Command::kBench:
      add_mmproj_flag(flags, o);
      add_run_flags(flags, o);
      add_quantize_flag(flags, o);
      flags.numbers<std::int64_t>("--prefill", "N,N,...", o.bench.prefill, 1, kMost<std::int32_t>,
                                  "prompts of N tokens");
      flags.numbers<std::int64_t>("--decode-at", "N,N,...", o.bench.decode_at, 0, kMost<std::int32_t>,
                                  "decoding behind N positions");
      flags.numbers<std::int64_t>("--batch", "N,N,...", o.bench.batch, 1, 4096, "N sequences decoding together");
      flags.number<std::int64_t>("--decode-tokens", "N", o.bench.decode_tokens, 1, 1'000'000,
                                 "tokens of one measurement of decoding, per sequence (default " +
                                     std::to_string(BenchOptions{}.decode_tokens) + ")");
      flags.numbers<std::int64_t>("--image", "N,N,...", o.bench.image_sizes, kLeastImageSide, kMostImageSide,
                                  "pictures of N pixels a side");
      flags.numbers<double>("--audio", "S,S,...", o.bench.audio_seconds, 0.1, 30.0, "clips of S seconds");
      flags.number<std::int64_t>("--repeat", "N", o.bench.repeat, 1, 1'000'000,
                                 "measurements of each (default " + std::to_string(BenchOptions{}.repeat) + ")");
      flags.flag("--json", o.json, "one JSON object: machine, model, results, peak memory");
      return;
    case Command::kConvert:
      flags.text("-m,--model", "IN", o.engine.model,
                 "what is packed: a Hugging Face folder or GGUF file (also the first argument)");
      add_mmproj_flag(flags, o);
      add_threads_flag(flags, o);
      flags.text("--recipe", "q4|q8|keep|FILE", o.recipe,
                 "formats of the weights (default " + Options{}.recipe + "; docs/quantization.md)");
      flags.flag("--force", o.force, "replace OUT");
      return;
    case Command::kEval:
      add_mmproj_flag(flags, o);
      add_run_flags(flags, o);
      add_image_size_flag(flags, o);
      flags.text("--reference", "SIDE", o.eval.reference,
                 "a recipe for -m (keep, q8, q4, FILE), or a model: folder, .g3n, .gguf (default: -m as it is)");
      flags.text("--candidate", "SIDE", o.eval.candidate, "what is compared with it");
      flags.text("-f,--file", "FILE", o.file, "kld: the text");
      flags.number<std::int64_t>("--window", "N", o.eval.window, 2, kMost<std::int32_t>,
                                 "positions that share a context (default " + std::to_string(EvalFlags{}.window) + ")");
      flags.number<std::int64_t>("--tokens", "N", o.eval.tokens, 1, kMost<std::int32_t>,
                                 "only the first N tokens of the text");
      add_media_flags(flags, o);
      flags.flag("--json", o.json, "one JSON object");
      return;
    case Command::kInspect:
      add_mmproj_flag(flags, o);
      add_precision_flags(flags, o);
      add_context_flag(flags, o);
      flags.flag("--tensors", o.tensors, "list every tensor: type, shape, bytes, file");
      flags.flag("--verify", o.verify, "read a bundle as a whole and compare it with its checksum");
      flags.flag("--json", o.json, "one JSON object");
      return;
  }
}

const char* name_of(Command command) {
  for (const CommandName& entry : kCommands)
    if (entry.command == command) return entry.name;
  return "";
}

bool takes_text(Command command) { return command == Command::kRun || command == Command::kTokenize; }

// The first argument is the model when -m is absent.
void place_positionals(Options& o, std::vector<std::string> given) {
  const std::string command = name_of(o.command);
  if (o.command == Command::kConvert) {  // IN OUT
    if (given.size() + !o.engine.model.empty() < 2)
      throw UsageError("convert needs two paths: g3n convert IN OUT.g3n; " +
                       (given.empty() && o.engine.model.empty()
                            ? "found none"
                            : "found only " + (given.empty() ? o.engine.model : given.front())));
    const auto out = given.begin() + o.engine.model.empty();
    o.out = *out;
    given.erase(out);
    if (o.out.empty()) throw UsageError("convert: expected a file to write, found an empty text");
  }
  if (o.command == Command::kEval) {
    if (!given.empty()) o.eval.what = given.front(), given.erase(given.begin());
    if (!given.empty()) throw UsageError("eval: unexpected argument '" + given.front() + "' (a model comes with -m)");
    return;
  }
  if (o.command == Command::kServe && (o.serve.routes || o.serve.limits)) return;
  if (o.engine.model.empty()) {
    if (given.empty() || given.front().empty())
      throw UsageError(
          command +
          " needs a model: -m, a Hugging Face folder, .g3n or GGUF file, org/name in the local hub cache, or name:tag "
          "of ollama");
    o.engine.model = given.front();
    o.model_is_first_argument = true;
    given.erase(given.begin());
  }
  if (takes_text(o.command) && !given.empty()) {
    o.text = given.front();
    given.erase(given.begin());
  }
  if (given.empty()) return;
  const std::string taken = taken_for_model(o);
  throw UsageError(command + ": unexpected argument '" + given.front() + "'" +
                   (o.text ? " (a prompt of several words is put in quotes)" : "") +
                   (o.command == Command::kConvert || given.front().ends_with(".gguf")
                        ? " (the towers of another file come with --mmproj)"
                        : "") +
                   (taken.empty() ? "" : "; " + taken));
}

void check_run(const Options& o) {
  if (o.messages && (o.text || o.file || o.system || o.raw))
    throw UsageError("--messages holds the whole conversation: no prompt, -f, --system or --raw beside it");
  if (o.raw && o.system) throw UsageError("--raw uses no template, so --system has no place");
  if (o.continues && !o.messages) throw UsageError("--continue needs --messages, whose last message goes on");
  if (o.answer.others.logprobs >= 0 && !o.json) throw UsageError("--logprobs goes with --json");
}

void check_tokenize(const Options& o) {
  if (o.raw + o.chat_template + o.messages.has_value() > 1)
    throw UsageError("tokenize takes one of --raw, --chat and --messages");
  if (o.messages && o.text) throw UsageError("--messages holds the whole conversation: no TEXT beside it");
  if (!o.messages && !o.text) {
    const std::string taken = taken_for_model(o);
    throw UsageError("tokenize needs a TEXT, or - for stdin" + (taken.empty() ? "" : "; " + taken));
  }
  if (o.system && !o.chat_template) throw UsageError("--system goes with --chat");
  if (o.continues && !o.messages) throw UsageError("--continue needs --messages, whose last message goes on");
  if (!o.media.empty() && !o.raw && !o.chat_template && !o.messages)
    throw UsageError("--image and --audio need --raw, --chat or --messages: a text alone has no place for them");
}

void check_trace(const Options& o) {
  const int sources = o.ids.has_value() + o.ids_file.has_value() + o.trace_prompt.has_value();
  if (sources > 1) throw UsageError("trace takes one of --ids, --ids-file and --prompt");
  if (sources == 0 && o.media.empty()) throw UsageError("trace needs --ids, --ids-file, --prompt, --image or --audio");
  if (sources == 0 && (o.steps > 0 || o.cut)) throw UsageError("--steps and --cut need --ids, --ids-file or --prompt");
  if (o.out.empty()) throw UsageError("trace needs --out FILE.safetensors");
}

void check_eval(const Options& o) {
  if (o.eval.what != "kld" && o.eval.what != "media")
    throw UsageError("eval: expected kld or media, found '" + o.eval.what + "'");
  if (o.eval.candidate.empty()) throw UsageError("eval needs --candidate: a recipe (q8, q4, FILE) or a model");
  const EvalFlags standard;
  const bool has_text = o.file || o.eval.tokens > 0 || o.eval.window != standard.window,
             has_media = !o.media.empty() || o.engine.image_size > 0;
  if (o.eval.what == "kld" && !o.file) throw UsageError("eval kld needs a text: -f FILE");
  if (o.eval.what == "kld" && has_media)
    throw UsageError("eval kld compares next tokens of a text: no --image, --audio or --image-size");
  if (o.eval.what == "kld" && !o.engine.mmproj.empty())
    throw UsageError("eval kld compares next tokens of a text: no --mmproj");
  if (!o.engine.mmproj.empty() && o.engine.model.empty()) throw UsageError("--mmproj goes with the model of -m");
  if (o.eval.what == "media" && o.media.empty()) throw UsageError("eval media needs --image or --audio");
  if (o.eval.what == "media" && has_text)
    throw UsageError("eval media compares soft tokens: no -f, --tokens or --window");
}

void check_serve(const Options& o) {
  if (o.serve.has_address && !o.serve.options.http.unix_path.empty())
    throw UsageError("--unix is a socket file instead of --host and --port: one of the two");
}

void check(const Options& o) {
  for (const std::string& text : o.answer.others.stop)
    if (text.empty())
      throw UsageError("--stop: expected a text, found an empty one");
    else
      expect_utf8(text, "--stop");
  if (o.system) expect_utf8(*o.system, "--system");
  checked("", [&] { check_answer_options(o.answer.over(Sampling{})); });
  if (o.command == Command::kServe) check_serve(o);
  if (o.command == Command::kRun) check_run(o);
  if (o.command == Command::kTokenize) check_tokenize(o);
  if (o.command == Command::kTrace) check_trace(o);
  if (o.command == Command::kEval) check_eval(o);
}

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

// What CLI11 says of a flag given too often or without its value, as we would.
std::string in_our_words(const std::string& message) {
  const std::string name = message.substr(0, message.find(':'));
  if (message.find(": At Most 1 required") != std::string::npos) return name + " is given more than once";
  constexpr std::string_view kOneMissing = ": 1 required ";
  if (const size_t at = message.find(kOneMissing); at != std::string::npos && message.ends_with(" missing")) {
    const size_t begin = at + kOneMissing.size();
    return name +
           " needs a value: " + message.substr(begin, message.size() - std::string_view(" missing").size() - begin);
  }
  return message;
}

// How many letters differ, at least.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// What a command did not expect: a flag is told here, a word goes behind the others.
void take_extras(const CLI::App& command, std::vector<std::string>& positionals) {
  std::vector<std::string> extras = command.remaining();
  const auto end_of_flags = std::find(extras.begin(), extras.end(), "--");
  for (auto at = extras.begin(); at != end_of_flags; ++at) {
    const std::string& extra = *at;
    if (!extra.starts_with("-") || extra.size() < 2) continue;
    const std::string given = extra.substr(0, extra.find('='));
    std::string nearest;
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames())
        if (const size_t far = edit_distance(given, "--" + name);
            far <= 2 && (nearest.empty() || far < edit_distance(given, nearest)))
          nearest = "--" + name;
    throw UsageError(
        command.get_name() + " has no flag " + given +
        (nearest.empty() ? ": g3n " + command.get_name() + " --help lists its flags" : ": " + nearest + "?"));
  }
  if (end_of_flags != extras.end()) extras.erase(end_of_flags);
  positionals.insert(positionals.end(), extras.begin(), extras.end());
}

// g3n PATH ... and g3n -m PATH ... start a chat.
std::vector<std::string> with_command(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string& first = arguments.front();
  const bool names_model =
      first == "-m" || first.starts_with("--model") || (first.size() > 2 && first.starts_with("-m"));
  bool is_command = false;
  for (const CommandName& entry : kCommands) is_command |= first == entry.name;
  const bool is_word = !is_command && !first.empty() && first.front() != '-';
  std::error_code ignored;
  const bool is_question = first.find(' ') != std::string::npos;
  if (is_word && (is_question || first.find_first_of("/:") == std::string::npos) &&
      !std::filesystem::exists(first, ignored))
    throw UsageError("there is no command and no folder '" + first + "': g3n --help shows the commands" +
                     (!is_question ? "" : "; a question is asked by g3n run -m MODEL 'QUESTION'"));
  if (names_model || is_word) arguments.insert(arguments.begin(), "chat");
  return arguments;
}

}  // namespace

AnswerOptions AnswerFlags::over(const Sampling& defaults) const {
  AnswerOptions options = others;
  Sampling& s = options.sampling;
  s = defaults;
  s.temperature = temperature.value_or(s.temperature);
  s.top_k = top_k.value_or(s.top_k);
  s.top_p = top_p.value_or(s.top_p);
  s.min_p = min_p.value_or(s.min_p);
  s.repetition_penalty = repetition_penalty.value_or(s.repetition_penalty);
  s.presence_penalty = presence_penalty.value_or(s.presence_penalty);
  s.frequency_penalty = frequency_penalty.value_or(s.frequency_penalty);
  s.seed = seed.value_or(s.seed);
  return options;
}

std::string taken_for_model(const Options& o) {
  std::error_code ignored;
  const std::string& model = o.engine.model;
  if (!o.model_is_first_argument || std::filesystem::exists(model, ignored)) return "";
  return "'" + model + "' was taken for the model, since -m MODEL is absent";
}

Invocation parse_command_line(int argc, const char* const* argv) {
  CLI::App app("g3n runs Gemma 3n: text, pictures and sound in, text out.", "g3n");
  app.footer(kExamples);
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "print the version");

  Options options;
  std::vector<std::string> positionals;
  for (const CommandName& entry : kCommands) {
    CLI::App* sub = app.add_subcommand(entry.name, entry.about);
    FlagSet flags(*sub);
    add_command_flags(flags, options, entry.command);
    const auto take = [&positionals](const CLI::results_t& results) {
      positionals.push_back(results.at(0));
      return true;
    };
    const bool is_eval = entry.command == Command::kEval;
    sub->add_option(is_eval                              ? "WHAT"
                    : entry.command == Command::kConvert ? "IN"
                                                         : "DIR",
                    take, is_eval ? "kld or media" : "the model, when -m is absent")
        ->type_name("")
        ->expected(1)
        ->allow_extra_args(false);
    if (takes_text(entry.command))
      sub->add_option(entry.command == Command::kRun ? "PROMPT" : "TEXT", take, "- is stdin")
          ->type_name("")
          ->expected(1)
          ->allow_extra_args(false);
    if (entry.command == Command::kConvert)
      sub->add_option("OUT", take, "the .g3n file to write")->type_name("")->expected(1)->allow_extra_args(false);
    sub->allow_extras();  // told by take_extras
    sub->callback([&options, command = entry.command] { options.command = command; });
  }
  if (argc < 2) return {std::nullopt, app.help()};

  std::vector<std::string> arguments = with_command(argc, argv);
  if (arguments.front() == "serve")
    arguments = with_config_file(std::move(arguments), [serve = app.get_subcommand("serve")](const std::string& name) {
      return serve->get_option_no_throw("--" + name) != nullptr;
    });
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(in_our_words(one_line(error.what())));
  }
  if (version) return {std::nullopt, "g3n " G3N_VERSION "\n"};
  if (app.get_subcommands().empty()) throw UsageError("no command: g3n --help shows them");
  take_extras(*app.get_subcommands().front(), positionals);
  place_positionals(options, std::move(positionals));
  if (options.command == Command::kServe)
    options.engine.cache_ram = options.serve.cache_ram;
  else if (options.command != Command::kChat)
    options.engine.cache_ram = 0;  // no prompt comes behind another
  check(options);
  return {std::move(options), ""};
}

}  // namespace g3n::cli
