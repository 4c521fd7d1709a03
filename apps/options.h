// What the command line asks for, parsed and checked. The only unit that knows the flag library is options.cc; defaults
// come from the library's own structs (include/g3n/options.h), so that each is written once.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "g3n/convert.h"
#include "g3n/diagnostics.h"
#include "g3n/options.h"
#include "server/service.h"

namespace g3n::cli {

// Flags that make no sense: one line on stderr, exit 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Command { kRun, kChat, kServe, kInspect, kTokenize, kTrace, kBench, kEval, kConvert };

// What run and chat ask of an answer. Sampling flags that were not given: generation_config.json.
struct AnswerFlags {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;
  AnswerOptions others;  // all but sampling

  AnswerOptions over(const Sampling& defaults) const;
};

// What eval compares.
struct EvalFlags {
  std::string what;                  // "kld" or "media"
  std::string reference, candidate;  // no reference: the model of -m as it is
  std::int64_t window = TextComparisonOptions{}.window, tokens = 0;
};

// Who may call `serve` and where, and how much it takes on.
struct ServeFlags {
  server::ServerOptions options;  // without keys and recipe: serve.cc adds them
  std::string api_key, api_key_file;
  bool has_address = false;  // --host or --port was given
  std::int64_t cache_ram = -1;
  bool has_lazy_encoders = false;
  bool routes = false, limits = false;  // print them and leave
};

// A file of --image or --audio.
struct MediaFile {
  enum class Kind { kImage, kAudio };
  Kind kind = Kind::kImage;
  std::string path;
};

struct Options {
  Command command = Command::kRun;
  EngineOptions engine;                  // without callbacks and hub caches: load_engine.cc adds them
  bool model_is_first_argument = false;  // there was no -m

  // ---- what is asked (run, chat, tokenize, trace) ----
  std::optional<std::string> text;      // the prompt or TEXT; "-" is stdin
  std::optional<std::string> file;      // run -f
  std::optional<std::string> messages;  // --messages
  std::optional<std::string> system;
  bool continues = false;        // --continue: the last of --messages goes on
  std::vector<MediaFile> media;  // in the order given
  bool raw = false;
  bool chat_template = false;  // tokenize --chat

  // ---- how it is answered (run, chat) ----
  AnswerFlags answer;
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
  BenchOptions bench;

  // ---- convert (out: above) ----
  std::string recipe = Conversion{}.recipe;
  bool force = false;

  // ---- eval ----
  EvalFlags eval;

  // ---- serve ----
  ServeFlags serve;
};

// "'X' was taken for the model, since -m MODEL is absent", for errors that this explains; else empty.
std::string taken_for_model(const Options& options);

// What main does: run a command, or print a text (help, version) and leave.
struct Invocation {
  std::optional<Options> options;
  std::string text;
};

// Throws UsageError with one line.
Invocation parse_command_line(int argc, const char* const* argv);

}  // namespace g3n::cli
