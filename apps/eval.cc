// g3n eval: how far a candidate (a recipe, or another model file) is from a reference: the distribution of the next
// token over a text (kld), and the soft tokens of pictures and sounds (media).
#include <filesystem>
#include <memory>

#include "commands.h"
#include "console.h"
#include "files.h"
#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "g3n/inspect.h"
#include "json_text.h"
#include "load_engine.h"

namespace g3n::cli {
namespace {

bool names_a_model(const std::string& side) {
  return std::filesystem::is_directory(side) || side.ends_with(".g3n") || side.ends_with(".gguf");
}

// The reference is the model of -m as it is unless another is given.
std::string reference_name(const Options& options) {
  return options.eval.reference.empty() ? "as it is" : options.eval.reference;
}

// A file of towers alone.
bool is_mmproj(const std::string& side) { return side.ends_with(".gguf") && !inspect_model({.model = side}).has_text; }

// A side is a model of its own, other towers (mmproj) or a recipe for the model of -m; empty: that model as it is.
std::shared_ptr<Engine> open_side(Options options, const std::string& side) {
  if (names_a_model(side) && !options.engine.model.empty() && options.eval.what == "media" && is_mmproj(side))
    options.engine.mmproj = side;
  else if (names_a_model(side))
    options.engine.model = side, options.engine.mmproj.clear();
  else if (!options.engine.model.empty())
    options.engine.quantize = side;
  else
    throw UsageError("eval: expected -m DIR for " + (side.empty() ? "the reference" : "the recipe '" + side + "'") +
                     ", or a folder, .g3n or .gguf file in its place");
  return open_engine(options);
}

void compare_texts(const Options& options, Engine& reference, Engine& candidate, const std::atomic<bool>* cancelled) {
  const std::string text = read_utf8_file(*options.file);
  TextComparisonOptions asked;
  asked.window = options.eval.window;
  asked.tokens = options.eval.tokens;
  asked.cancelled = cancelled;
  asked.on_progress = [](std::int64_t done, std::int64_t total) {
    show_status("eval " + std::to_string(done) + " of " + std::to_string(total) + " tokens");
  };
  const TextComparison c = compare_next_tokens(reference, candidate, text, asked);
  clear_status();
  const std::string name = reference_name(options);
  if (options.json) {
    write_stdout(to_json({JsonObject{{"reference", {name}},
                                     {"candidate", {options.eval.candidate}},
                                     {"positions", {c.positions}},
                                     {"kl_mean", {c.kl_mean}},
                                     {"kl_max", {c.kl_max}},
                                     {"top1_agreement", {c.same_likeliest}},
                                     {"perplexity_reference", {c.perplexity_reference}},
                                     {"perplexity_candidate", {c.perplexity_candidate}}}}) +
                 "\n");
    return;
  }
  write_stdout(std::to_string(c.positions) + " positions\n" + "KL(" + name + " || " + options.eval.candidate +
               ")   mean " + format_number(c.kl_mean, 6) + "   max " + format_number(c.kl_max, 4) + " nats\n" +
               "same likeliest token   " + format_number(100 * c.same_likeliest, 2) + " %\n" + "perplexity   " + name +
               " " + format_number(c.perplexity_reference, 4) + "   " + options.eval.candidate + " " +
               format_number(c.perplexity_candidate, 4) + "\n");
}

void compare_media(const Options& options, Engine& reference, Engine& candidate) {
  JsonObject json;
  for (const MediaFile& file : options.media) {
    const double error = compare_soft_tokens(reference, candidate, read_media_part(file));
    if (options.json)
      json.push_back({file.path, {error}});
    else
      write_stdout(file.path + "   relative error of the soft tokens " + format_number(error, 5) + "\n");
  }
  if (options.json) write_stdout(to_json({json}) + "\n");
}

}  // namespace

int eval(const Options& options) {
  const std::shared_ptr<Engine> reference = open_side(options, options.eval.reference),
                                candidate = open_side(options, options.eval.candidate);
  InterruptScope scope(InterruptMode::kCancelThenExit);
  if (options.eval.what == "kld")
    compare_texts(options, *reference, *candidate, scope.flag());
  else
    compare_media(options, *reference, *candidate);
  return kExitDone;
}

}  // namespace g3n::cli
