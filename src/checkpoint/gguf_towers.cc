#include "checkpoint/gguf_towers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "checkpoint/gguf_names.h"
#include "core/printable.h"
#include "g3n/error.h"
#include "g3n/message.h"

namespace g3n {
namespace {

const std::string kVision = "model.vision_tower.timm_model.";
const std::string kAudio = "model.audio_tower.";
constexpr int64_t kMostBlocks = 4096;

// Of both embedders.
constexpr NamePair kEmbedder[] = {
    {"embedding.weight", "embedding.weight"},
    {"hard_emb_norm.weight", "hard_embedding_norm.weight"},
    {"soft_emb_norm.weight", "soft_embedding_norm.weight"},
    {"input_projection.weight", "embedding_projection.weight"},
};
// Of one conformer block. Two names are crossed: conv_norm stands before the convolution, norm_conv behind it; and
// layer_pre_norm is the block's last norm.
constexpr NamePair kConformer[] = {
    {"ffn_norm.weight", "ffw_layer_start.pre_layer_norm.weight"},
    {"ffn_up.weight", "ffw_layer_start.ffw_layer_1.weight"},
    {"ffn_down.weight", "ffw_layer_start.ffw_layer_2.weight"},
    {"ffn_post_norm.weight", "ffw_layer_start.post_layer_norm.weight"},
    {"ffn_norm_1.weight", "ffw_layer_end.pre_layer_norm.weight"},
    {"ffn_up_1.weight", "ffw_layer_end.ffw_layer_1.weight"},
    {"ffn_down_1.weight", "ffw_layer_end.ffw_layer_2.weight"},
    {"ffn_post_norm_1.weight", "ffw_layer_end.post_layer_norm.weight"},
    {"ln1.weight", "attention.pre_attn_norm.weight"},
    {"attn_q.weight", "attention.attn.q_proj.weight"},
    {"attn_k.weight", "attention.attn.k_proj.weight"},
    {"attn_v.weight", "attention.attn.v_proj.weight"},
    {"per_dim_scale", "attention.attn.per_dim_scale"},
    {"per_dim_scale.weight", "attention.attn.per_dim_scale"},
    {"linear_pos.weight", "attention.attn.relative_position_embedding.pos_proj.weight"},
    {"attn_out.weight", "attention.post.weight"},
    {"ln2.weight", "attention.post_norm.weight"},
    {"conv_norm.weight", "lconv1d.pre_layer_norm.weight"},
    {"conv_pw1.weight", "lconv1d.linear_start.weight"},
    {"conv_dw.weight", "lconv1d.depthwise_conv1d.weight"},
    {"norm_conv.weight", "lconv1d.conv_norm.weight"},
    {"conv_pw2.weight", "lconv1d.linear_end.weight"},
    {"layer_pre_norm.weight", "norm.weight"},
};

// The part of `name` behind `beginning`, if it begins so.
std::optional<std::string_view> behind(std::string_view name, std::string_view beginning) {
  if (!name.starts_with(beginning)) return {};
  return name.substr(beginning.size());
}

struct Numbered {
  int64_t number = -1;  // -1: there is none
  std::string_view rest;
};
// "12.attn_q.weight" is {12, "attn_q.weight"}.
Numbered numbered(std::string_view text) {
  Numbered out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.number);
  const bool is_number = error == std::errc{} && out.number >= 0 && out.number <= INT32_MAX;
  if (!is_number || end == text.data() + text.size() || *end != '.') return {};
  out.rest = text.substr(static_cast<size_t>(end - text.data()) + 1);
  return out;
}

std::string vision_name(std::string_view name) {
  if (const auto rest = behind(name, "blk.")) return kVision + "blocks." + std::string(*rest);
  if (name.starts_with("conv_stem.") || name.starts_with("msfa.")) return kVision + std::string(name);
  return "";
}

std::string audio_name(std::string_view name) {
  if (name == "pre_encode.out.weight") return kAudio + "subsample_conv_projection.input_proj_linear.weight";
  if (const auto rest = behind(name, "conv1d.")) {
    const Numbered conv = numbered(*rest);
    const std::string prefix = kAudio + "subsample_conv_projection.conv_" + std::to_string(conv.number);
    if (conv.rest == "weight") return prefix + ".conv.weight";
    if (conv.rest == "norm.weight") return prefix + ".norm.weight";
    return "";
  }
  if (const auto rest = behind(name, "blk.")) {
    const Numbered block = numbered(*rest);
    const std::string_view known = look_up(kConformer, block.rest);
    if (!known.empty()) return kAudio + "conformer." + std::to_string(block.number) + "." + std::string(known);
  }
  return "";
}

std::string embedder_name(const std::string& prefix, std::string_view name) {
  const std::string_view known = look_up(kEmbedder, name);
  return known.empty() ? "" : prefix + std::string(known);
}

// Shapes of a file's tensors, outermost axis first; 0 where there is no such tensor or axis.
class Shapes {
 public:
  explicit Shapes(const GgufFile& file) : file_(file) {}
  int64_t axis(const std::string& name, size_t axis) const {
    const GgufTensor* tensor = file_.find(name);
    return tensor && axis < tensor->ne.size() ? tensor->ne[tensor->ne.size() - 1 - axis] : 0;
  }
  // The innermost axis: inputs of a matrix, the only one of a vector.
  int64_t last(const std::string& name) const {
    const GgufTensor* tensor = file_.find(name);
    return tensor ? tensor->ne[0] : 0;
  }
  bool has_any(std::string_view beginning) const {
    return std::any_of(file_.tensors().begin(), file_.tensors().end(),
                       [&](const GgufTensor& tensor) { return tensor.name.starts_with(beginning); });
  }
  // One more than the largest number behind `beginning`.
  int64_t count(std::string_view beginning) const {
    int64_t most = 0;
    for (const GgufTensor& tensor : file_.tensors())
      if (const auto rest = behind(tensor.name, beginning)) most = std::max(most, numbered(*rest).number + 1);
    return most;
  }

 private:
  const GgufFile& file_;
};

void add_if_known(JsonObject& object, const char* key, int64_t value) {
  if (value > 0) object.push_back({key, {value}});
}

// Another projector is another model. Old files have one key for both towers.
void expect_projector(const GgufMetadata& keys, const std::string& tower, const std::string& wanted) {
  for (const std::string& key : {"clip." + tower + ".projector_type", std::string("clip.projector_type")}) {
    if (!keys.has(key)) continue;
    const std::string found = keys.text(key);
    const bool is_ours = found == wanted || (key == "clip.projector_type" && found.starts_with("gemma3n"));
    if (!is_ours)
      throw Error(ErrorCode::kUnsupported, keys.where() + ": " + key + ": expected \"" + wanted +
                                               "\", Gemma 3n's, found \"" + printable_start(found, 60) +
                                               "\": the towers of another model");
    return;
  }
}

JsonObject vision_config(const GgufFile& file, const Shapes& shapes) {
  const GgufMetadata& keys = file.metadata();
  expect_projector(keys, "vision", "gemma3nv");
  JsonObject out;
  out.push_back({"model_type", {std::string("gemma3n_vision")}});
  add_if_known(out, "hidden_size", shapes.last("mm.soft_emb_norm.weight"));
  add_if_known(out, "vocab_size", shapes.axis("mm.embedding.weight", 0));
  return out;
}

JsonNode list_of(const std::vector<int64_t>& values) {
  JsonList list;
  for (const int64_t value : values) list.push_back({value});
  return {std::move(list)};
}

JsonObject audio_config(const GgufFile& file, const Shapes& shapes) {
  const GgufMetadata& keys = file.metadata();
  expect_projector(keys, "audio", "gemma3na");
  JsonObject out;
  out.push_back({"model_type", {std::string("gemma3n_audio")}});
  const int64_t hidden = shapes.last("a.blk.0.ln1.weight"), head_dim = shapes.last("a.blk.0.per_dim_scale"),
                layers = shapes.count("a.blk.");
  if (layers > kMostBlocks)
    throw Error(ErrorCode::kBadFile, file.path() + ": a.blk." + std::to_string(layers - 1) + ": expected at most " +
                                         std::to_string(kMostBlocks) + " blocks");
  add_if_known(out, "input_feat_size", keys.integer("clip.audio.num_mel_bins", 128, 1, 1 << 20));
  add_if_known(out, "hidden_size", hidden);
  add_if_known(out, "conf_num_hidden_layers", layers);
  add_if_known(out, "conf_num_attention_heads", head_dim > 0 ? hidden / head_dim : 0);
  add_if_known(out, "conf_conv_kernel_size", shapes.last("a.blk.0.conv_dw.weight"));
  add_if_known(out, "vocab_size", shapes.axis("mm.a.embedding.weight", 0));
  std::vector<int64_t> channels;
  JsonList kernels;
  for (const std::string conv : {"a.conv1d.0.weight", "a.conv1d.1.weight"}) {
    if (shapes.axis(conv, 3) == 0) return out;  // missing or misshapen: the loader says so
    channels.push_back(shapes.axis(conv, 0));
    kernels.push_back(list_of({shapes.axis(conv, 2), shapes.axis(conv, 3)}));
  }
  out.push_back({"sscp_conv_channel_size", list_of(channels)});
  out.push_back({"sscp_conv_kernel_size", {std::move(kernels)}});
  return out;
}

}  // namespace

std::string tower_tensor_name(std::string_view gguf) {
  if (const auto name = behind(gguf, "v.")) return vision_name(*name);
  if (const auto name = behind(gguf, "mm.a.")) return embedder_name("model.embed_audio.", *name);
  if (const auto name = behind(gguf, "mm.")) return embedder_name("model.embed_vision.", *name);
  if (const auto name = behind(gguf, "a.")) return audio_name(*name);
  return "";
}

GgufTowers read_gguf_towers(const GgufFile& file) {
  const Shapes shapes(file);
  GgufTowers out;
  if (shapes.has_any("v.")) {
    out.vision = vision_config(file, shapes);
    const auto side = static_cast<int>(
        file.metadata().integer("clip.vision.image_size", out.processor.image_width, kLeastImageSide, kMostImageSide));
    out.processor.image_width = out.processor.image_height = side;
    out.hidden_size = shapes.axis("mm.input_projection.weight", 0);
  }
  if (shapes.has_any("a.")) {
    out.audio = audio_config(file, shapes);
    out.processor.mel.feature_size = static_cast<int>(
        file.metadata().integer("clip.audio.num_mel_bins", out.processor.mel.feature_size, 1, 1 << 20));
    if (out.hidden_size == 0) out.hidden_size = shapes.axis("mm.a.input_projection.weight", 0);
  }
  return out;
}

}  // namespace g3n
