// g3n bench: how fast one model is on this machine. Only what is asked for is measured; ids are made up, so that no
// tokenizer is needed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "commands.h"
#include "core/mapped_file.h"
#include "console.h"
#include "core/arena.h"
#include "core/context.h"
#include "core/file_kind.h"
#include "g3n/error.h"
#include "json_text.h"
#include "kernels/table.h"
#include "load_engine.h"
#include "local_model.h"
#include "model/model.h"

namespace g3n::cli {
namespace {

constexpr double kLoadBudget = 10.0;  // seconds: loading is repeated only while it has taken less
constexpr int kWarmUpSteps = 2;       // decoded tokens that do not count

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Ids spread over the vocabulary, as in the goldens of full shape and in bench/; behind a <bos>.
int32_t prompt_id(int64_t i, int64_t ids) {
  return i == 0 ? 2 : static_cast<int32_t>(3 + (2654435761 * i + 7 * i * i) % std::max<int64_t>(ids - 6, 1));
}
uint32_t noise(size_t i) { return static_cast<uint32_t>(i) * 2654435761u; }

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

std::string format_of(const std::string& path, FileKind kind) {
  switch (kind) {
    case FileKind::kGguf: return "gguf";
    case FileKind::kSafetensors: return "g3n";
    default: throw Error(ErrorCode::kBadFile, path + ": expected a Hugging Face folder, a .g3n bundle or a .gguf file");
  }
}

// One line of the report: what was done, and how often it took how long.
struct Result {
  std::string work;       // load, prefill, decode, image, audio
  std::string parameter;  // its key in JSON: tokens, context, size, audio_s; empty for load
  double amount;          // the parameter's value
  bool is_rate;           // values are tokens per second, not seconds
  std::vector<double> values;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        flags_(options.bench),
        pool_(options.engine.threads),
        ctx_{.pool = pool_,
             .kernels = best_kernels(),
             .arena = arena_,
             .compute = options.engine.compute == Compute::kBF16 ? ComputeType::kBF16 : ComputeType::kF32,
             .cancelled = scope_.flag()} {}

  void measure() {
    load();
    if (flags_.asks_for_nothing()) choose_works();
    for (const int64_t tokens : flags_.prefill) prefill(tokens);
    for (const int64_t context : flags_.decode_at) decode(context);
    for (const int64_t size : flags_.images) image(size);
    for (const double seconds : flags_.audios) audio(seconds);
    clear_status();
  }

  std::string json() const {
    JsonList results;
    for (const Result& r : results_) {
      JsonObject object = {{"work", {r.work}}};
      if (!r.parameter.empty()) object.emplace_back(r.parameter, number(r.amount));
      JsonList values;
      for (const double value : r.values) values.push_back({value});
      object.emplace_back(r.is_rate ? "tok_per_s" : "seconds", JsonNode{values});
      results.push_back({object});
    }
    const JsonObject machine = {
        {"cpu", {cpu_name()}}, {"isa", {std::string(ctx_.kernels.name)}}, {"threads", {int64_t{pool_.threads()}}}};
    const JsonObject model = {{"path", {options_.engine.model}}, {"format", {format_}}};
    return to_json({JsonObject{{"machine", {machine}},
                               {"model", {model}},
                               {"results", {results}},
                               {"peak_rss_bytes", {peak_.all}},
                               {"peak_rss_anonymous_bytes", {peak_.anonymous}},
                               {"peak_rss_file_bytes", {peak_.file}}}});
  }

  std::string table() const {
    std::string text = cpu_name() + ", " + ctx_.kernels.name + ", " + std::to_string(pool_.threads()) +
                       (pool_.threads() == 1 ? " thread\n" : " threads\n");
    for (const Result& r : results_) {
      char line[160];
      std::snprintf(line, sizeof line, "%-22s %s\n", name_of(r).c_str(), summary(r).c_str());
      text += line;
    }
    return text + "peak memory            " + format_bytes(peak_.all) + " (at the ends of works: anonymous " +
           format_bytes(peak_.anonymous) + ", file pages " + format_bytes(peak_.file) + ")\n";
  }

 private:
  struct Memory {
    int64_t all = 0, anonymous = 0, file = 0;
  };

  static JsonNode number(double value) {
    const int64_t whole = static_cast<int64_t>(value);
    return static_cast<double>(whole) == value ? JsonNode{whole} : JsonNode{value};
  }
  static std::string name_of(const Result& r) {
    if (r.work == "prefill") return "prefill " + format_number(r.amount, 0);
    if (r.work == "decode") return "decode at " + format_number(r.amount, 0);
    if (r.work == "image") return "image " + format_number(r.amount, 0) + " px";
    if (r.work == "audio")
      return "audio " +
             format_number(r.amount, r.amount == static_cast<double>(static_cast<int64_t>(r.amount)) ? 0 : 1) + " s";
    return r.work;
  }
  // Median, smallest and largest.
  static std::string summary(const Result& r) {
    std::vector<double> v = r.values;
    std::sort(v.begin(), v.end());
    const double median = v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
    const int digits = r.is_rate ? 1 : 3;
    std::string text = format_number(median, digits) + (r.is_rate ? " tok/s" : " s");
    if (v.size() > 1)
      text += "   (" + format_number(v.front(), digits) + " .. " + format_number(v.back(), digits) + ")";
    return text;
  }

  Result& begin(const std::string& work, const std::string& parameter, double amount, bool is_rate) {
    results_.push_back({work, parameter, amount, is_rate, {}});
    show_status(name_of(results_.back()) + " ...");
    return results_.back();
  }

  // The peaks so far: of all pages as the system keeps it, of each kind at the moments when a work has just been done.
  void note_memory() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
      const auto raise = [&line](const char* key, int64_t& most) {
        if (line.starts_with(key))
          most = std::max<int64_t>(most, std::strtoll(line.c_str() + line.find(':') + 1, nullptr, 10) * 1024);
      };
      raise("VmHWM:", peak_.all), raise("RssAnon:", peak_.anonymous), raise("RssFile:", peak_.file);
    }
  }

  // What is loaded last stays; what was loaded before is gone by then.
  void load() {
    const std::string path = find_model_folder(options_);
    std::error_code ignored;
    format_ = std::filesystem::is_directory(path, ignored) ? "folder" : format_of(path, file_kind_of(path));
    EngineOptions callbacks = with_callbacks(options_.engine);
    Result& result = begin("load", "", 0, false);
    double taken = 0;
    for (int64_t turn = 0; turn < flags_.repeat && (turn == 0 || taken < kLoadBudget); ++turn) {
      model_.reset();
      const double start = now();
      model_ = Gemma3n::load(path, pool_,
                             {.recipe = Recipe::named(callbacks.quantize),
                              .log = Log(callbacks.on_warning),
                              .on_memory = callbacks.on_memory,
                              .on_progress = callbacks.on_progress});
      result.values.push_back(now() - start);
      taken += result.values.back();
      callbacks.on_warning = {}, callbacks.on_memory = {};  // once is enough
    }
    note_memory();
  }

  // What a look at a model wants to know, in a minute or two.
  void choose_works() {
    flags_.prefill = {512};
    flags_.decode_at = {0};
    if (model_->has_vision()) flags_.images = {model_->processor().image_width};
    if (model_->has_audio()) flags_.audios = {30};
  }

  std::unique_ptr<SequenceCache> cache_for(int64_t positions) const {
    const int64_t most = model_->text().config().max_position_embeddings;
    if (positions > most)
      throw Error(ErrorCode::kContextFull, "bench: " + std::to_string(positions) +
                                               " positions asked for, the model has " + std::to_string(most));
    return model_->text().make_cache(positions, std::min(positions, options_.engine.chunk),
                                     cache_dtype(options_.engine));
  }

  // Rows of the next positions; the last one's logits are wanted if `wants`.
  void forward(SequenceCache& cache, const std::vector<int32_t>& ids, bool wants) {
    std::vector<Row> rows;
    for (size_t i = 0; i < ids.size(); ++i)
      rows.push_back({.position = static_cast<int32_t>(cache.length() + static_cast<int64_t>(i)),
                      .id = ids[i],
                      .wants_logits = wants && i + 1 == ids.size()});
    SequenceCache* const caches[] = {&cache};
    const int64_t vocab = model_->text().vocab_size();
    logits_.resize(static_cast<size_t>(vocab));
    ArenaScope arena(arena_);
    model_->text().forward(ctx_, {rows, caches, {}}, {logits_.data(), {wants ? 1 : 0, vocab}});
  }

  // Prompt positions [0, tokens) in chunks, as Session feeds them; only the last one's logits are wanted.
  void feed(SequenceCache& cache, int64_t tokens) {
    for (int64_t first = 0; first < tokens; first += options_.engine.chunk) {
      std::vector<int32_t> ids;
      for (int64_t i = first; i < std::min(first + options_.engine.chunk, tokens); ++i)
        ids.push_back(prompt_id(i, model_->text().choosable_ids()));
      forward(cache, ids, first + options_.engine.chunk >= tokens);
    }
  }

  void prefill(int64_t tokens) {
    Result& result = begin("prefill", "tokens", static_cast<double>(tokens), true);
    const auto run = [&](int64_t count) {
      const auto cache = cache_for(count);
      const double start = now();
      feed(*cache, count);
      const double seconds = now() - start;
      note_memory();
      return seconds;
    };
    run(std::min(tokens, options_.engine.chunk));
    for (int64_t turn = 0; turn < flags_.repeat; ++turn)
      result.values.push_back(static_cast<double>(tokens) / run(tokens));
  }

  // Repetitions go on where the one before stopped: the context is fed once, and `repeat * decode_tokens` more
  // positions change little.
  void decode(int64_t context) {
    Result& result = begin("decode", "context", static_cast<double>(context), true);
    const auto cache = cache_for(std::max<int64_t>(context, 1) + kWarmUpSteps + flags_.repeat * flags_.decode_tokens);
    feed(*cache, std::max<int64_t>(context, 1));  // something has to come first
    const auto step = [&] {
      const auto best =
          std::max_element(logits_.begin(), logits_.begin() + model_->text().choosable_ids()) - logits_.begin();
      forward(*cache, {static_cast<int32_t>(best)}, true);
    };
    for (int i = 0; i < kWarmUpSteps; ++i) step();
    for (int64_t turn = 0; turn < flags_.repeat; ++turn) {
      const double start = now();
      for (int64_t i = 0; i < flags_.decode_tokens; ++i) step();
      result.values.push_back(static_cast<double>(flags_.decode_tokens) / (now() - start));
    }
    note_memory();
  }

  // Seconds of f, repeated; the first call (which loads an encoder) does not count.
  template <typename F>
  void time_encoder(Result& result, F&& f) {
    const auto run = [&] {
      ArenaScope arena(arena_);
      const double start = now();
      f();
      return now() - start;
    };
    run();
    for (int64_t turn = 0; turn < flags_.repeat; ++turn) result.values.push_back(run());
    note_memory();
  }

  // From pixels of that size to soft tokens.
  void image(int64_t size) {
    if (!model_->has_vision()) throw Error(ErrorCode::kUnsupported, "bench --image: this model has no image encoder");
    Result& result = begin("image", "size", static_cast<double>(size), false);
    model_->vision();
    model_->set_image_size(static_cast<int>(size));
    Pixels pixels{static_cast<int>(size), static_cast<int>(size),
                  std::vector<uint8_t>(static_cast<size_t>(size * size * 3))};
    for (size_t i = 0; i < pixels.rgb.size(); ++i) pixels.rgb[i] = static_cast<uint8_t>(noise(i) >> 24);
    const ImagePart part{pixels};
    time_encoder(result, [&] { model_->encode_image(ctx_, part); });
  }

  // From samples to soft tokens.
  void audio(double seconds) {
    if (!model_->has_audio()) throw Error(ErrorCode::kUnsupported, "bench --audio: this model has no audio encoder");
    Result& result = begin("audio", "audio_s", seconds, false);
    model_->audio();
    Samples samples{std::vector<float>(static_cast<size_t>(seconds * 16000))};
    for (size_t i = 0; i < samples.pcm.size(); ++i)
      samples.pcm[i] = static_cast<float>(static_cast<int32_t>(noise(i))) / 2147483648.0f;
    const AudioPart part{samples};
    time_encoder(result, [&] { model_->encode_audio(ctx_, part); });
  }

  const Options& options_;
  BenchFlags flags_;
  InterruptScope scope_{InterruptMode::kCancelThenExit};
  ThreadPool pool_;
  Arena arena_;
  Context ctx_;
  std::unique_ptr<Gemma3n> model_;
  std::string format_;
  std::vector<float> logits_;  // [vocab], of the last wanted row
  std::vector<Result> results_;
  Memory peak_;
};

}  // namespace

int bench(const Options& options) {
  Bench bench(options);
  bench.measure();
  throw_if_damaged();
  write_stdout(options.json ? bench.json() + "\n" : bench.table());
  return kExitDone;
}

}  // namespace g3n::cli
