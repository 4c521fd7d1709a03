// g3n eval: how far a candidate (a recipe, or another model file) is from a reference: the distribution of the next
// token over a text (kld), and the soft tokens of pictures and sounds (media).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "core/mapped_file.h"
#include "console.h"
#include "files.h"
#include "g3n/engine.h"
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

// A side is a model of its own, or a recipe for the model of -m; empty: that model as it is.
std::shared_ptr<Engine> open_side(Options options, const std::string& side) {
  if (names_a_model(side))
    options.engine.model = side;
  else if (!options.engine.model.empty())
    options.engine.quantize = side;
  else
    throw UsageError("eval: expected -m DIR for " + (side.empty() ? "the reference" : "the recipe '" + side + "'") +
                     ", or a folder, .g3n or .gguf file in its place");
  return open_engine(options);
}

// ---- next tokens
// --------------------------------------------------------------------------------------------------------------------

// What the comparison of two distributions gives, summed over positions.
struct Divergence {
  std::int64_t positions = 0, predicted = 0, agreements = 0;
  double sum = 0, most = 0;                     // KL(reference || candidate), nats
  double reference_nll = 0, candidate_nll = 0;  // of the tokens that came
};

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float v : logits) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

// next: the token that came, -1 at the end of a window.
void add_position(Divergence& d, std::span<const float> reference, std::span<const float> candidate,
                  std::int64_t next) {
  const double r = log_sum_exp(reference), c = log_sum_exp(candidate);
  double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double lr = reference[i] - r;
    if (lr > -40) kl += std::exp(lr) * (lr - (candidate[i] - c));
  }
  d.positions += 1;
  d.sum += kl;
  d.most = std::max(d.most, kl);
  d.agreements += std::max_element(reference.begin(), reference.end()) - reference.begin() ==
                  std::max_element(candidate.begin(), candidate.end()) - candidate.begin();
  if (next < 0) return;
  d.predicted += 1;
  d.reference_nll += r - reference[static_cast<size_t>(next)];
  d.candidate_nll += c - candidate[static_cast<size_t>(next)];
}

Divergence compare_texts(const Options& options, Engine& reference, Engine& candidate) {
  const std::vector<std::int32_t> ids = reference.encode(read_file(*options.file));
  const std::int64_t bos = reference.tokenize(RawPrompt{"", {}}).at(0),
                     limit = options.eval.tokens > 0 ? options.eval.tokens : static_cast<std::int64_t>(ids.size());
  const std::int64_t count = std::min<std::int64_t>(limit, static_cast<std::int64_t>(ids.size())),
                     window = options.eval.window;
  if (count < 1)
    throw Error(ErrorCode::kInvalidArgument, *options.file + ": expected a text of at least one token, found none");
  Divergence total;
  for (std::int64_t begin = 0; begin < count; begin += window - 1) {  // <bos> in front of every window
    PreparedPrompt prompt;
    prompt.ids.push_back(static_cast<std::int32_t>(bos));
    prompt.ids.insert(prompt.ids.end(), ids.begin() + begin, ids.begin() + std::min(begin + window - 1, count));
    prompt.token_types.assign(prompt.ids.size(), 0);
    std::vector<std::vector<float>> kept;
    reference.logits(prompt, 0,
                     [&](std::int64_t, std::span<const float> row) { kept.emplace_back(row.begin(), row.end()); });
    candidate.logits(prompt, 0, [&](std::int64_t position, std::span<const float> row) {
      const size_t next = static_cast<size_t>(position) + 1;
      const std::vector<float>& r = kept[static_cast<size_t>(position)];
      if (r.size() != row.size())
        throw Error(ErrorCode::kInvalidArgument,
                    "eval: the two models differ in their vocabulary: " + std::to_string(r.size()) + " and " +
                        std::to_string(row.size()) + " ids");
      add_position(total, r, row, next < prompt.ids.size() ? prompt.ids[next] : -1);
    });
    show_status("eval " + std::to_string(std::min(begin + window - 1, count)) + " of " + std::to_string(count) +
                " tokens");
  }
  clear_status();
  return total;
}

void report_texts(const Options& options, const Divergence& d) {
  const double n = static_cast<double>(d.positions), p = static_cast<double>(std::max<std::int64_t>(d.predicted, 1));
  const double mean = d.sum / n, agreement = static_cast<double>(d.agreements) / n;
  const double reference = std::exp(d.reference_nll / p), candidate = std::exp(d.candidate_nll / p);
  if (options.json) {
    write_stdout(to_json({JsonObject{{"reference", {reference_name(options)}},
                                     {"candidate", {options.eval.candidate}},
                                     {"positions", {d.positions}},
                                     {"kl_mean", {mean}},
                                     {"kl_max", {d.most}},
                                     {"top1_agreement", {agreement}},
                                     {"perplexity_reference", {reference}},
                                     {"perplexity_candidate", {candidate}}}}) +
                 "\n");
    return;
  }
  write_stdout(std::to_string(d.positions) + " positions\n" + "KL(" + reference_name(options) + " || " +
               options.eval.candidate + ")   mean " + format_number(mean, 6) + "   max " + format_number(d.most, 4) +
               " nats\n" + "same likeliest token   " + format_number(100 * agreement, 2) + " %\n" + "perplexity   " +
               reference_name(options) + " " + format_number(reference, 4) + "   " + options.eval.candidate + " " +
               format_number(candidate, 4) + "\n");
}

// ---- media
// --------------------------------------------------------------------------------------------------------------------------

// Root of the mean square difference over that of the reference.
double relative_error(const SoftTokens& reference, const SoftTokens& candidate) {
  double off = 0, size = 0;
  for (size_t i = 0; i < reference.values.size(); ++i) {
    const double d = static_cast<double>(candidate.values[i]) - reference.values[i];
    off += d * d, size += static_cast<double>(reference.values[i]) * reference.values[i];
  }
  return std::sqrt(off / size);
}

void compare_media(const Options& options, Engine& reference, Engine& candidate) {
  JsonObject json;
  const auto compare = [&](const std::string& path, const RawPrompt& prompt) {
    const double error =
        relative_error(*reference.prepare(prompt).soft.at(0).tokens, *candidate.prepare(prompt).soft.at(0).tokens);
    if (options.json)
      json.push_back({path, {error}});
    else
      write_stdout(path + "   relative error of the soft tokens " + format_number(error, 5) + "\n");
  };
  for (const std::string& path : options.images) compare(path, {"<image_soft_token>", {ImagePart{read_media(path)}}});
  for (const std::string& path : options.audios) compare(path, {"<audio_soft_token>", {AudioPart{read_media(path)}}});
  if (options.json) write_stdout(to_json({json}) + "\n");
}

}  // namespace

int eval(const Options& options) {
  const std::shared_ptr<Engine> reference = open_side(options, options.eval.reference),
                                candidate = open_side(options, options.eval.candidate);
  if (options.eval.what == "kld") {
    const auto compared = compare_texts(options, *reference, *candidate);
    throw_if_damaged();
    report_texts(options, compared);
  } else {
    compare_media(options, *reference, *candidate);
    throw_if_damaged();
  }
  return kExitDone;
}

}  // namespace g3n::cli
