// g3n trace: the model on exactly these ids, every intermediate value to a file. For whoever compares two engines.
#include <algorithm>
#include <charconv>
#include <functional>

#include "checkpoint/find_model.h"
#include "commands.h"
#include "core/mapped_file.h"
#include "console.h"
#include "files.h"
#include "g3n/error.h"
#include "kernels/table.h"
#include "load_engine.h"
#include "local_model.h"
#include "model/model.h"
#include "prompt_input.h"
#include "tap_file.h"
#include "tokenizer/chat_template.h"

namespace g3n::cli {
namespace {

// Ids separated by commas or white space. Throws T with what was found.
template <typename T>
std::vector<int32_t> parse_ids(const std::string& text, const std::function<T(const std::string&)>& error) {
  constexpr const char* kSeparators = ", \t\r\n";
  std::vector<int32_t> ids;
  for (size_t begin = text.find_first_not_of(kSeparators); begin != std::string::npos;
       begin = text.find_first_not_of(kSeparators, begin)) {
    const size_t end = std::min(text.find_first_of(kSeparators, begin), text.size());
    int32_t id = 0;
    const auto [stop, problem] = std::from_chars(text.data() + begin, text.data() + end, id);
    if (problem != std::errc{} || stop != text.data() + end || id < 0)
      throw error("expected a token id, found '" + text.substr(begin, end - begin) + "' in place " +
                  std::to_string(ids.size()));
    ids.push_back(id);
    begin = end;
  }
  if (ids.empty()) throw error("expected token ids, found none");
  return ids;
}

class Tracer {
 public:
  Tracer(const Options& options, TapFile& file)
      : options_(options),
        file_(file),
        pool_(options.engine.threads),
        ctx_{.pool = pool_,
             .kernels = best_kernels(),
             .arena = arena_,
             .compute = options.engine.compute == Compute::kBF16 ? ComputeType::kBF16 : ComputeType::kF32} {
    const EngineOptions callbacks = with_callbacks(options.engine);
    model_ = Gemma3n::load(find_model_folder(options), pool_,
                           {.recipe = Recipe::named(options.engine.quantize),
                            .log = Log(callbacks.on_warning),
                            .on_memory = callbacks.on_memory,
                            .on_progress = callbacks.on_progress});
    clear_status();
    if (options.engine.image_size) model_->set_image_size(options.engine.image_size);
  }

  // ids: empty for the towers alone.
  void trace(std::vector<int32_t> ids, const std::vector<ImagePart>& images, const std::vector<AudioPart>& audios) {
    InterruptScope scope(InterruptMode::kCancelThenExit);
    ctx_.cancelled = scope.flag();
    if (options_.trace_prompt) ids = prompt_ids(images, audios);
    if (!ids.empty()) check_ids(ids, images.size(), audios.size());
    const std::vector<SoftTokens> image_tokens =
        encode("image.", images, [this](const ImagePart& part) { return model_->encode_image(ctx_, part); });
    const std::vector<SoftTokens> audio_tokens =
        encode("clip.", audios, [this](const AudioPart& part) { return model_->encode_audio(ctx_, part); });
    if (!ids.empty()) run_text(ids, image_tokens, audio_tokens);
  }

 private:
  // What run would feed for this prompt.
  std::vector<int32_t> prompt_ids(const std::vector<ImagePart>& images, const std::vector<AudioPart>& audios) const {
    Message user{"user", {}};
    for (const ImagePart& image : images) user.parts.emplace_back(image);
    for (const AudioPart& audio : audios) user.parts.emplace_back(audio);
    if (!is_blank(*options_.trace_prompt)) user.parts.emplace_back(TextPart{*options_.trace_prompt});
    const std::vector<Segment> segments = render(std::span(&user, 1));
    const MediaIds& media = model_->media_ids();
    return model_->tokenizer().encode(
        expand_media(segments, {static_cast<int>(media.image_soft_tokens), static_cast<int>(media.audio_soft_tokens)}));
  }

  void check_ids(const std::vector<int32_t>& ids, size_t images, size_t audios) const {
    const MediaIds& media = model_->media_ids();
    const int64_t vocab = model_->text().vocab_size();
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] < 0 || ids[i] >= vocab)
        throw Error(ErrorCode::kInvalidArgument, "ids: expected ids below " + std::to_string(vocab) + ", found " +
                                                     std::to_string(ids[i]) + " in place " + std::to_string(i));
    const auto expect = [&](int32_t id, size_t count, int64_t each, const std::string& what) {
      const int64_t found = std::count(ids.begin(), ids.end(), id), wanted = static_cast<int64_t>(count) * each;
      if (found != wanted)
        throw Error(ErrorCode::kInvalidArgument, "ids: expected " + std::to_string(wanted) + " times the id " +
                                                     std::to_string(id) + " for " + std::to_string(count) + " --" +
                                                     what + ", found " + std::to_string(found));
    };
    expect(media.image, images, media.image_soft_tokens, "image");
    expect(media.audio, audios, media.audio_soft_tokens, "audio");
    const int64_t positions = static_cast<int64_t>(ids.size()) + std::max<int64_t>(options_.steps - 1, 0);
    if (positions > context())
      throw Error(ErrorCode::kContextFull, "the ids and steps take " + std::to_string(positions) +
                                               " positions, the context has " + std::to_string(context()));
  }

  int64_t context() const {
    const int64_t most = model_->text().config().max_position_embeddings;
    return options_.engine.context ? std::min(options_.engine.context, most) : most;
  }

  // Soft tokens of each medium; taps of two and more are told apart by a prefix.
  template <typename MediaPart, typename Encode>
  std::vector<SoftTokens> encode(const std::string& prefix, const std::vector<MediaPart>& media, Encode encode_one) {
    ctx_.taps = &file_;
    std::vector<SoftTokens> tokens;
    for (size_t i = 0; i < media.size(); ++i) {
      if (media.size() > 1) file_.set_prefix(prefix + std::to_string(i) + ".");
      tokens.push_back(encode_one(media[i]));
    }
    file_.set_prefix("");
    ctx_.taps = nullptr;
    return tokens;
  }

  void run_text(const std::vector<int32_t>& ids, const std::vector<SoftTokens>& image_tokens,
                const std::vector<SoftTokens>& audio_tokens) {
    const int64_t tokens = static_cast<int64_t>(ids.size()), chunk = options_.engine.chunk,
                  vocab = model_->text().vocab_size();
    place_soft_tokens(ids, image_tokens, audio_tokens);
    cache_ = model_->text().make_cache(context(), std::min(chunk, context()), cache_dtype(options_.engine));
    if (tokens > chunk) file_.begin_chunks();
    ctx_.taps = &file_;
    for (int64_t first = 0; first < tokens; first += chunk) forward(ids, first, std::min(chunk, tokens - first));
    ctx_.taps = nullptr;
    if (tokens > chunk) file_.end_chunks();
    decode(logits_.data() + logits_.size() - vocab, tokens);
  }

  // One vector per position that does not come from the text table (processor.md 5).
  void place_soft_tokens(const std::vector<int32_t>& ids, const std::vector<SoftTokens>& image_tokens,
                         const std::vector<SoftTokens>& audio_tokens) {
    const auto joined = [](const std::vector<SoftTokens>& media) {
      std::vector<float> all;
      for (const SoftTokens& tokens : media) all.insert(all.end(), tokens.values.begin(), tokens.values.end());
      return all;
    };
    const std::vector<float> image_rows = joined(image_tokens), audio_rows = joined(audio_tokens);
    const int64_t hidden = model_->text().config().hidden_size;
    auto next_image = image_rows.begin(), next_audio = audio_rows.begin();
    soft_index_.assign(ids.size(), -1);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!model_->is_side_id(ids[i])) continue;
      soft_index_[i] = static_cast<int32_t>(static_cast<int64_t>(soft_.size()) / hidden);
      if (ids[i] == model_->media_ids().image) {
        soft_.insert(soft_.end(), next_image, next_image + hidden), next_image += hidden;
      } else if (ids[i] == model_->media_ids().audio) {
        soft_.insert(soft_.end(), next_audio, next_audio + hidden), next_audio += hidden;
      } else {
        const SoftTokens hard = model_->hard_embedding(ctx_, ids[i]);
        soft_.insert(soft_.end(), hard.values.begin(), hard.values.end());
      }
    }
  }

  // Positions first .. first + count; logits_ then holds the wanted rows.
  void forward(const std::vector<int32_t>& ids, int64_t first, int64_t count) {
    std::vector<Row> rows;
    for (int64_t p = first; p < first + count; ++p) {
      const size_t at = static_cast<size_t>(p);
      rows.push_back({.sequence = 0,
                      .position = static_cast<int32_t>(p),
                      .id = ids[at],
                      .soft_token = soft_index_[at],
                      .wants_logits = !options_.cut || at + 1 == ids.size()});
    }
    const int64_t wanted = std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.wants_logits; });
    run(rows, wanted);
  }

  void run(const std::vector<Row>& rows, int64_t wanted) {
    const int64_t hidden = model_->text().config().hidden_size, vocab = model_->text().vocab_size();
    logits_.resize(static_cast<size_t>(wanted * vocab));
    SequenceCache* const caches[] = {cache_.get()};
    const View<const float, 2> soft =
        soft_.empty() ? View<const float, 2>{}
                      : View<const float, 2>{soft_.data(), {static_cast<int64_t>(soft_.size()) / hidden, hidden}};
    ArenaScope arena(arena_);
    model_->text().forward(ctx_, Batch{rows, caches, soft}, View<float, 2>{logits_.data(), {wanted, vocab}});
  }

  // last: logits of the last position, inside logits_.
  void decode(const float* last, int64_t position) {
    const int64_t vocab = model_->text().vocab_size(), choosable = model_->text().choosable_ids();
    std::vector<int32_t> greedy;
    for (int64_t step = 0; step < options_.steps; ++step) {
      const std::span<const float> logits(last, static_cast<size_t>(vocab));
      file_.add("step." + std::to_string(step) + ".logits", DType::kF32, {vocab}, std::as_bytes(logits));
      greedy.push_back(static_cast<int32_t>(std::max_element(last, last + choosable) - last));
      if (step + 1 == options_.steps) break;
      run({{.sequence = 0,
            .position = static_cast<int32_t>(position + step),
            .id = greedy.back(),
            .wants_logits = true}},
          1);
      last = logits_.data();
    }
    if (options_.steps > 0) file_.add("greedy_ids", DType::kI32, {options_.steps}, std::as_bytes(std::span(greedy)));
  }

  const Options& options_;
  TapFile& file_;
  ThreadPool pool_;
  Arena arena_;
  Context ctx_;
  std::unique_ptr<Gemma3n> model_;
  std::unique_ptr<SequenceCache> cache_;
  std::vector<float> soft_;          // [soft rows, hidden]
  std::vector<int32_t> soft_index_;  // by position; -1: a text token
  std::vector<float> logits_;        // [wanted rows of the last forward, vocab]
};

std::vector<int32_t> given_ids(const Options& o) {
  if (o.ids) return parse_ids<UsageError>(*o.ids, [](const std::string& what) { return UsageError("--ids: " + what); });
  if (o.ids_file)
    return parse_ids<Error>(read_file(*o.ids_file), [&o](const std::string& what) {
      return Error(ErrorCode::kBadFile, *o.ids_file + ": " + what);
    });
  return {};
}

}  // namespace

int trace(const Options& options) {
  std::vector<int32_t> ids = given_ids(options);
  const std::vector<ImagePart> images = read_images(options.images);
  const std::vector<AudioPart> audios = read_audios(options.audios);
  TapFile file(options.out, options.taps, {.sources = model_files(find_model_folder(options))});
  Tracer tracer(options, file);
  tracer.trace(std::move(ids), images, audios);
  for (const std::string& glob : file.unmatched_globs()) warn("--taps: no tap matches '" + glob + "'");
  if (file.written() == 0)
    throw Error(ErrorCode::kInvalidArgument, options.out + " is not written: --taps matches nothing");
  throw_if_damaged();
  file.finish();
  return kExitDone;
}

}  // namespace g3n::cli
