// What the command line asks for, parsed and checked. The only unit that knows the flag library is options.cc; defaults
// come from the library's own structs (include/g3n/options.h), so that each is written once.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "g3n/options.h"

namespace g3n::cli {

// Flags that make no sense: one line on stderr, exit 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Command { kRun, kChat, kInspect, kTokenize, kTrace, kBench, kEval, kConvert };

// Only flags that were given override what generation_config.json says.
struct SamplingFlags {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;

  Sampling over(Sampling defaults) const;
};

// What --kv-cache and --dtype mean for a cache.
DType cache_dtype(const EngineOptions& options);

// What bench measures; empty lists: nothing of that kind.
struct BenchFlags {
  std::vector<std::int64_t> prefill, decode_at, images;  // tokens, positions before, pixels a side
  std::vector<double> audios;                            // seconds
  std::int64_t decode_tokens = 32, repeat = 3;

  bool asks_for_nothing() const { return prefill.empty() && decode_at.empty() && images.empty() && audios.empty(); }
};

// What eval compares.
struct EvalFlags {
  std::string what;                       // "kld" or "media"
  std::string reference, candidate;       // no reference: the model of -m as it is
  std::int64_t window = 256, tokens = 0;  // positions with one context; 0: the whole text
};

struct Options {
  Command command = Command::kRun;
  EngineOptions engine;  // without callbacks and hub caches: load_engine.cc adds them

  // ---- what is asked (run, chat, tokenize, trace) ----
  std::optional<std::string> text;      // the prompt or TEXT; "-" is stdin
  std::optional<std::string> file;      // run -f
  std::optional<std::string> messages;  // --messages
  std::optional<std::string> system;
  std::vector<std::string> images, audios;
  bool raw = false;
  bool chat_template = false;  // tokenize --chat

  // ---- how it is answered (run, chat) ----
  SamplingFlags sampling;
  std::int64_t max_tokens = -1;
  std::vector<std::string> stop;
  bool json = false;
  bool stats = false;

  // ---- trace ----
  std::optional<std::string> ids, ids_file, trace_prompt;
  std::int64_t steps = 0;
  std::vector<std::string> taps;
  bool cut = false;
  std::string out;

  // ---- inspect ----
  bool tensors = false;
  bool verify = false;

  // ---- bench ----
  BenchFlags bench;

  // ---- convert (out: above) ----
  std::string recipe = "q4";
  bool force = false;

  // ---- eval ----
  EvalFlags eval;
};

// What main does: run a command, or print a text (help, version) and leave.
struct Invocation {
  std::optional<Options> options;
  std::string text;
};

// Throws UsageError with one line.
Invocation parse_command_line(int argc, const char* const* argv);

}  // namespace g3n::cli
