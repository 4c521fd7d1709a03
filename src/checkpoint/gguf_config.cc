#include "checkpoint/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf_towers.h"
#include "g3n/error.h"
#include "json/writer.h"

namespace g3n {
namespace {

constexpr int64_t kMaxLayers = 4096, kMany = int64_t{1} << 24;
constexpr int64_t kTextVocab = 262144,
                  kWholeVocab = 262400;  // of the published models: text ids, and those of images and audio behind them
constexpr int64_t kSideVocab = 128;      // ids of images, and of audio
constexpr int64_t kKvLayers = 20;        // layers with K and V of their own, where a file does not say
constexpr int64_t kSparseLayers = 10;
constexpr double kSparsity = 1.6448534;  // the multiplier for 95 %
constexpr int64_t kEos = 1, kEndOfTurn = 106;

// A config file's object, key by key.
class ConfigObject {
 public:
  ConfigObject() = default;
  explicit ConfigObject(JsonObject members) : members_(std::move(members)) {}
  template <typename T>
  void set(const char* key, T value) {
    members_.push_back({key, JsonNode{std::move(value)}});
  }
  template <typename T>
  void set(const char* key, const std::vector<T>& values) {
    JsonList list;
    for (const T& value : values) list.push_back({value});
    members_.push_back({key, JsonNode{std::move(list)}});
  }
  // Unless the key is there.
  void set_default(const char* key, int64_t value) {
    if (!node().find(key)) set(key, value);
  }
  JsonNode node() const { return {members_}; }
  std::string text() const { return to_json(node(), {.indent = 2, .non_finite = JsonNonFinite::kPython}); }

 private:
  JsonObject members_;
};

// Keys of the model and shapes of its tensors, with the rules for what is missing.
class TextKeys {
 public:
  explicit TextKeys(const GgufFile& file) : file_(file), keys_(file.metadata()) {
    layers_ = keys_.integer(key("block_count"), {}, 1, kMaxLayers);
    for (const char* name : {"attention.key_length", "head_dim"})
      if (!head_dim_ && keys_.has(key(name))) head_dim_ = keys_.integer(key(name), {}, 1, kMany);
    if (!head_dim_) head_dim_ = extent("blk.0.attn_q_norm.weight", 0, "attention.key_length");
    if (keys_.integer(key("attention.value_length"), head_dim_) != head_dim_)
      keys_.fail(key("attention.value_length"), std::to_string(head_dim_) + ", as long as the keys");
  }

  int64_t layers() const { return layers_; }
  int64_t head_dim() const { return head_dim_; }
  static std::string key(const std::string& name) { return "gemma3n." + name; }

  // A number of the model; where the key is missing, what `otherwise` gives.
  template <typename F>
  int64_t integer(const std::string& name, F&& otherwise, int64_t min = 1) const {
    if (keys_.has(key(name))) return keys_.integer(key(name), {}, min, kMany);
    return otherwise();
  }
  // The extent of a tensor that tells what the key `name` does not.
  int64_t extent(const std::string& tensor, size_t axis, const std::string& name) const {
    const GgufTensor* found = file_.find(tensor);
    if (!found || axis >= found->ne.size())
      keys_.fail(key(name),
                 "a number, or a tensor " + tensor + " with " + std::to_string(axis + 1) + " axes to tell it");
    return found->ne[axis];
  }
  // One number for all layers; a list of equal ones is such a number.
  template <typename F>
  int64_t uniform(const std::string& name, F&& otherwise) const {
    const std::vector<int64_t> values = keys_.integers(key(name));
    if (values.empty()) return otherwise();
    if (keys_.is_list(key(name))) expect_per_layer(key(name), values.size());
    if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) != values.end() || values[0] < 1)
      keys_.fail(key(name), "one positive number, or one for each layer and all of them equal");
    return values[0];
  }

  int64_t heads() const {
    return uniform("attention.head_count",
                   [&] { return extent("blk.0.attn_output.weight", 0, "attention.head_count") / head_dim_; });
  }
  int64_t kv_heads() const {
    const std::string name = "attention.head_count_kv";
    return uniform(name, [&] {
      if (file_.find("blk.0.attn_k.weight") || !file_.find("blk.0.attn_qkv.weight"))
        return extent("blk.0.attn_k.weight", 1, name) / head_dim_;
      return (extent("blk.0.attn_qkv.weight", 1, name) / head_dim_ - heads()) / 2;  // rows of queries, keys and values
    });
  }

  // The shape decides; a key that says otherwise is an error.
  std::vector<int64_t> widths() const {
    const std::string name = key("feed_forward_length");
    std::vector<int64_t> said = keys_.integers(name), widths;
    if (said.size() == 1 && !keys_.is_list(name)) said.assign(static_cast<size_t>(layers_), said[0]);
    if (!said.empty()) expect_per_layer(name, said.size());
    for (int64_t i = 0; i < layers_; ++i) {
      const std::string tensor = "blk." + std::to_string(i) + ".ffn_gate.weight";
      widths.push_back(extent(tensor, 1, "feed_forward_length"));
      if (!said.empty() && said[static_cast<size_t>(i)] != widths.back())
        keys_.fail(name, std::to_string(widths.back()) + " for layer " + std::to_string(i) + ", the rows of " + tensor);
    }
    return widths;
  }

  std::vector<std::string> layer_types() const {
    const std::string name = key("attention.sliding_window_pattern");
    std::vector<bool> sliding;
    if (keys_.is_list(name)) {
      sliding = keys_.booleans(name);
      expect_per_layer(name, sliding.size());
    } else {
      const int64_t period = keys_.integer(name, 5, 1, kMaxLayers);
      for (int64_t i = 0; i < layers_; ++i) sliding.push_back((i + 1) % period != 0);
    }
    std::vector<std::string> types;
    for (const bool is_sliding : sliding) types.push_back(is_sliding ? "sliding_attention" : "full_attention");
    return types;
  }

  std::vector<double> sparsity() const {
    const std::string name = key("activation_sparsity_scale");
    const double none = -std::numeric_limits<double>::infinity();
    if (!keys_.has(name)) {
      std::vector<double> out(static_cast<size_t>(layers_), none);
      if (layers_ > kSparseLayers) std::fill_n(out.begin(), kSparseLayers, kSparsity);
      return out;
    }
    std::vector<double> out = keys_.numbers(name);
    expect_per_layer(name, out.size());
    return out;
  }

  int64_t shared_layers() const {
    for (const char* name : {"attention.shared_kv_layers", "attention.num_kv_shared_layers", "num_kv_shared_layers"})
      if (keys_.has(key(name))) return keys_.integer(key(name), {}, 0, layers_ - 1);
    return std::max<int64_t>(0, layers_ - kKvLayers);
  }

  double local_rope() const {
    for (const char* name : {"rope.freq_base_swa", "rope.freq_base_local"})
      if (keys_.has(key(name))) return keys_.number(key(name));
    return 1e4;
  }

  // What Gemma 3n's code takes for granted.
  void expect_gemma() const {
    if (keys_.integer(key("altup.active_idx"), 0) != 0) unsupported("altup.active_idx", "0");
    if (keys_.integer(key("altup.num_inputs"), 4) != 4) unsupported("altup.num_inputs", "4");
    const std::string scaling = keys_.text(key("rope.scaling.type"), "none");
    const bool is_identity =
        scaling == "none" || (scaling == "linear" && keys_.number(key("rope.scaling.factor"), 1.0) == 1.0);
    if (!is_identity) unsupported("rope.scaling.type", "none");
    if (keys_.integer("general.quantization_version", 2) == 2) return;
    for (const GgufTensor& tensor : file_.tensors())
      if (tensor.dtype && is_block_type(*tensor.dtype)) keys_.fail("general.quantization_version", "2");
  }

 private:
  void expect_per_layer(const std::string& name, size_t count) const {
    if (static_cast<int64_t>(count) != layers_)
      keys_.fail(name, "a list of " + std::to_string(layers_) + " (" + key("block_count") + ")");
  }
  void unsupported(const std::string& name, const std::string& wanted) const {
    try {
      keys_.fail(key(name), wanted);
    } catch (const Error& error) {
      throw Error(ErrorCode::kUnsupported, error.what());
    }
  }

  const GgufFile& file_;
  const GgufMetadata& keys_;
  int64_t layers_ = 0, head_dim_ = 0;
};

// Where a token of the list stands; none if it is not there.
std::optional<int64_t> token_id(const std::vector<std::string_view>& tokens, std::string_view token) {
  const auto found = std::find(tokens.begin(), tokens.end(), token);
  if (found == tokens.end()) return {};
  return found - tokens.begin();
}

// Ids that end an answer. </s> is an HTML tag in Gemma, whatever a writer took it for.
std::vector<int64_t> stop_ids(const GgufMetadata& keys, const std::vector<std::string_view>& tokens) {
  std::set<int64_t> ids;
  for (const char* name :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eos_token_ids"})
    for (const int64_t id : keys.integers(name)) {
      if (id < 0 || id > INT32_MAX) keys.fail(name, "token ids");
      const bool is_tag = static_cast<size_t>(id) < tokens.size() && tokens[static_cast<size_t>(id)] == "</s>";
      if (!is_tag) ids.insert(id);
    }
  if (tokens.empty()) ids.insert({kEos, kEndOfTurn});
  for (const char* token : {"<eos>", "<end_of_turn>"})
    if (const auto id = token_id(tokens, token)) ids.insert(*id);
  return {ids.begin(), ids.end()};
}

JsonNode text_config(const TextKeys& text, const GgufMetadata& keys, int64_t vocab, int64_t text_vocab) {
  ConfigObject out;
  out.set("model_type", "gemma3n_text");
  out.set("vocab_size", vocab);
  out.set("vocab_size_per_layer_input", text_vocab);
  out.set("hidden_size",
          text.integer("embedding_length", [&] { return text.extent("token_embd.weight", 0, "embedding_length"); }));
  out.set("hidden_size_per_layer_input", text.integer("embedding_length_per_layer_input", [&] {
    return text.extent("per_layer_proj_norm.weight", 0, "embedding_length_per_layer_input");
  }));
  out.set("num_hidden_layers", text.layers());
  out.set("num_attention_heads", text.heads());
  out.set("num_key_value_heads", text.kv_heads());
  out.set("head_dim", text.head_dim());
  out.set("num_kv_shared_layers", text.shared_layers());
  out.set("sliding_window", text.integer("attention.sliding_window", [] { return int64_t{512}; }));
  out.set("max_position_embeddings", text.integer("context_length", [] { return int64_t{32768}; }));
  out.set("laurel_rank",
          text.integer("laurel_rank", [&] { return text.extent("blk.0.laurel_l.weight", 1, "laurel_rank"); }));
  out.set("altup_active_idx", int64_t{0});
  out.set("altup_num_inputs", int64_t{4});
  out.set("altup_correct_scale", keys.boolean(TextKeys::key("altup.correct_scale"), true));
  out.set("altup_coef_clip", 120.0);
  out.set("rope_theta", keys.number(TextKeys::key("rope.freq_base"), 1e6));
  out.set("rope_local_base_freq", text.local_rope());
  out.set("rms_norm_eps", keys.number(TextKeys::key("attention.layer_norm_rms_epsilon"), 1e-6));
  out.set("final_logit_softcapping", keys.number(TextKeys::key("final_logit_softcapping"), 30.0));
  out.set("layer_types", text.layer_types());
  out.set("intermediate_size", text.widths());
  out.set("activation_sparsity_multiplier", text.sparsity());
  return out.node();
}

GenerationConfig generation_config(const GgufMetadata& keys, const std::vector<int64_t>& stops) {
  GenerationConfig g;
  const auto value = [&](const char* name) {
    const std::string key = std::string("general.sampling.") + name;
    return keys.has(key) ? std::optional<double>(keys.number(key)) : std::nullopt;
  };
  set_sampling(
      {.temperature = value("temp"), .top_k = value("top_k"), .top_p = value("top_p"), .min_p = value("min_p")},
      keys.where() + ": general.sampling", g);
  g.stop_ids.assign(stops.begin(), stops.end());
  return g;
}

}  // namespace

GgufConfigs read_gguf_configs(const GgufFile& file) {
  const GgufMetadata& keys = file.metadata();
  const TextKeys text(file);
  text.expect_gemma();
  const std::vector<std::string_view> tokens = keys.texts(kGgufTokens);
  const int64_t vocab = text.extent("token_embd.weight", 1, "vocab_size");
  const int64_t text_vocab =
      std::min(vocab, token_id(tokens, "<end_of_image>").value_or(vocab == kWholeVocab ? kTextVocab : vocab));
  const int64_t audio_offset = token_id(tokens, "<end_of_audio>").value_or(text_vocab + kSideVocab);
  const std::vector<int64_t> stops = stop_ids(keys, tokens);

  GgufTowers towers = read_gguf_towers(file);
  const bool has_towers = towers.has_vision() || towers.has_audio();
  ConfigObject top, vision(std::move(towers.vision)), audio(std::move(towers.audio));
  top.set("model_type", "gemma3n");
  top.set("eos_token_id", stops);
  top.set("tie_word_embeddings", file.find("output.weight") == nullptr);
  top.set("image_token_id", token_id(tokens, "<image_soft_token>").value_or(text_vocab + 1));
  top.set("audio_token_id", token_id(tokens, "<audio_soft_token>").value_or(audio_offset + 1));
  vision.set("vocab_offset", text_vocab);
  vision.set_default("vocab_size", kSideVocab);
  audio.set("vocab_offset", audio_offset);
  audio.set_default("vocab_size", kSideVocab);
  top.set("text_config", text_config(text, keys, vocab, text_vocab));
  top.set("vision_config", vision.node());
  top.set("audio_config", audio.node());
  GenerationConfig generation = generation_config(keys, stops);
  ConfigObject sampling;
  sampling.set("temperature", generation.sampling.temperature);
  sampling.set("top_k", int64_t{generation.sampling.top_k});
  sampling.set("top_p", generation.sampling.top_p);
  sampling.set("min_p", generation.sampling.min_p);
  sampling.set("eos_token_id", stops);
  return {Config::parse(top.text(), file.path()),
          top.text(),
          std::move(generation),
          sampling.text(),
          text_vocab,
          has_towers,
          std::move(towers.processor)};
}

}  // namespace g3n
