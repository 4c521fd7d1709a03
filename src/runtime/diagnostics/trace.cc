// write_trace: one job whose taps go to a file while it runs: at once when the prompt comes in one step, else joined at
// the prompt's end.
#include <algorithm>

#include "formats/safetensors_writer.h"
#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "runtime/diagnostics/media_ids.h"
#include "runtime/engine_impl.h"
#include "runtime/step_budget.h"
#include "runtime/tap_recorder.h"

namespace g3n {
namespace {

constexpr const char* kLastLogits = "text.last_logits";

// Taps of the prompt by the globs, and the last row's logits of each step under names of their own. Called from the
// engine's thread until the job has ended. Events only note what happened: what can fail is done where a tap comes.
class TraceFile : public TapSink, public EventSink {
 public:
  TraceFile(const std::string& path, const WriteRules& rules, const TraceOptions& options, bool in_pieces)
      : path_(path),
        steps_(options.steps),
        file_(path, {}, rules),
        recorder_(options.taps, in_pieces,
                  [this](const std::string& name, const std::vector<int64_t>& dims, std::span<const float> values) {
                    add(name, DType::kF32, dims, std::as_bytes(values));
                  }) {}

  bool wants(const std::string& name) override {
    return (!is_decoding_ && recorder_.wants(name)) || is_step_logits(name);
  }
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) override {
    write_step();
    if (!is_decoding_ && recorder_.wants(name)) recorder_.record(name, dims, data, token_axis);
    if (is_step_logits(name)) last_logits_.assign(data, data + dims.back());
  }
  void set_prefix(const std::string& prefix) override { recorder_.set_prefix(prefix); }
  void on_prefill(std::int64_t done, std::int64_t total) override { is_decoding_ = done == total; }
  void on_token(std::int32_t id) override {
    greedy_ids_.push_back(id);
    is_step_pending_ = true;
  }

  // After the job's end.
  TraceReport finish() {
    write_step();
    recorder_.finish();
    if (!greedy_ids_.empty())
      add("greedy_ids", DType::kI32, {static_cast<int64_t>(greedy_ids_.size())}, std::as_bytes(std::span(greedy_ids_)));
    TraceReport report{.tensors = tensors_, .unmatched_globs = recorder_.unmatched_globs()};
    if (tensors_ == 0) {
      std::string what = path_ + " is not written: there is no tap";
      for (const std::string& glob : report.unmatched_globs) what += " '" + glob + "'";
      throw Error(ErrorCode::kInvalidArgument, what);
    }
    file_.finish();
    return report;
  }

 private:
  bool is_step_logits(const std::string& name) const { return steps_ > 0 && name == kLastLogits; }

  // The logits that the last id was chosen from.
  void write_step() {
    if (!is_step_pending_) return;
    is_step_pending_ = false;
    recorder_.finish();
    add("step." + std::to_string(greedy_ids_.size() - 1) + ".logits", DType::kF32,
        {static_cast<int64_t>(last_logits_.size())}, std::as_bytes(std::span(last_logits_)));
  }
  void add(const std::string& name, DType dtype, const std::vector<int64_t>& dims, std::span<const std::byte> bytes) {
    file_.add(name, dtype, dims, bytes);
    ++tensors_;
  }

  const std::string path_;
  const int64_t steps_;
  SafetensorsWriter file_;
  TapRecorder recorder_;
  std::vector<float> last_logits_;
  std::vector<int32_t> greedy_ids_;
  bool is_decoding_ = false, is_step_pending_ = false;
  int64_t tensors_ = 0;
};

TraceReport run(EngineAccess::Impl& core, const std::shared_ptr<TraceFile>& file, JobSetup setup,
                const std::atomic<bool>* cancelled) {
  setup.taps = file.get();
  setup.shares_prefix = false;  // every position is computed
  setup.sink = file;
  const std::shared_ptr<Job> job = core.running().submit(std::move(setup));
  core.wait(*job, cancelled);
  if (job->answer().finish_reason == FinishReason::kCancelled) throw cancelled_error();
  return file->finish();
}

WriteRules rules_of(const EngineAccess::Impl& core) { return {.sources = core.info.files}; }

void expect_room(int64_t tokens, int64_t steps, int64_t context) {
  const int64_t positions = tokens + std::max<int64_t>(steps - 1, 0);
  if (positions > context)
    throw Error(ErrorCode::kContextFull, "the ids and steps take " + std::to_string(positions) +
                                             " positions, the context has " + std::to_string(context));
}

}  // namespace

TraceReport write_trace(Engine& engine, const Prompt& prompt, const std::string& path, const TraceOptions& options) {
  EngineAccess::Impl& core = EngineAccess::of(engine);
  const int64_t tokens = static_cast<int64_t>(engine.tokenize(prompt).size()),
                at_once = options.cut ? tokens : std::min(tokens, core.chunk);
  const bool in_pieces = at_once < tokens || share_rows(std::span(&tokens, 1), core.chunk)[0] < tokens;
  JobSetup setup;
  setup.plan = [&] {
    expect_room(tokens, options.steps, core.context);
    return core.builder->plan(prompt, /*encodes_all=*/true);
  };
  // An answer of no tokens, too, wants the last row's logits.
  setup.options.sampling.temperature = 0;
  setup.options.max_tokens = options.steps;
  if (!options.cut) setup.logits = WantedLogits{.first = 0, .most_rows = core.chunk, .on_rows = {}};
  return run(core, std::make_shared<TraceFile>(path, rules_of(core), options, in_pieces), std::move(setup),
             options.cancelled);
}

TraceReport write_trace(Engine& engine, const std::vector<MediaPart>& media, const std::string& path,
                        const TraceOptions& options) {
  EngineAccess::Impl& core = EngineAccess::of(engine);
  JobSetup setup;
  setup.plan = [&] { return core.builder->plan(ids_of_media(core, media), /*encodes_all=*/true); };
  setup.wants_prompt_only = true;
  TraceOptions of_prompt = options;
  of_prompt.steps = 0;
  return run(core, std::make_shared<TraceFile>(path, rules_of(core), of_prompt, /*in_pieces=*/false), std::move(setup),
             options.cancelled);
}

}  // namespace g3n
