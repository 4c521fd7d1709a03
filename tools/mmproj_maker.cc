#include "tools/mmproj_maker.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "audio/audio_config.h"
#include "checkpoint/components.h"
#include "formats/gguf_writer.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "text/text_config.h"
#include "tools/block_encoders.h"
#include "weights/tensor_names.h"

namespace g3n {
namespace {

// ---- names: as llama.cpp's tensor_mapping and converter have them ---------------------------------------------------

const std::map<std::string, std::string> kEmbedder = {{"embedding.weight", "embedding.weight"},
                                                      {"hard_embedding_norm.weight", "hard_emb_norm.weight"},
                                                      {"soft_embedding_norm.weight", "soft_emb_norm.weight"},
                                                      {"embedding_projection.weight", "input_projection.weight"}};
const std::map<std::string, std::string> kConformer = {
    {"ffw_layer_start.pre_layer_norm.weight", "ffn_norm.weight"},
    {"ffw_layer_start.ffw_layer_1.weight", "ffn_up.weight"},
    {"ffw_layer_start.ffw_layer_2.weight", "ffn_down.weight"},
    {"ffw_layer_start.post_layer_norm.weight", "ffn_post_norm.weight"},
    {"ffw_layer_end.pre_layer_norm.weight", "ffn_norm_1.weight"},
    {"ffw_layer_end.ffw_layer_1.weight", "ffn_up_1.weight"},
    {"ffw_layer_end.ffw_layer_2.weight", "ffn_down_1.weight"},
    {"ffw_layer_end.post_layer_norm.weight", "ffn_post_norm_1.weight"},
    {"attention.pre_attn_norm.weight", "ln1.weight"},
    {"attention.attn.q_proj.weight", "attn_q.weight"},
    {"attention.attn.k_proj.weight", "attn_k.weight"},
    {"attention.attn.v_proj.weight", "attn_v.weight"},
    {"attention.attn.per_dim_scale", "per_dim_scale"},
    {"attention.attn.relative_position_embedding.pos_proj.weight", "linear_pos.weight"},
    {"attention.post.weight", "attn_out.weight"},
    {"attention.post_norm.weight", "ln2.weight"},
    {"lconv1d.pre_layer_norm.weight", "conv_norm.weight"},
    {"lconv1d.linear_start.weight", "conv_pw1.weight"},
    {"lconv1d.depthwise_conv1d.weight", "conv_dw.weight"},
    {"lconv1d.conv_norm.weight", "norm_conv.weight"},
    {"lconv1d.linear_end.weight", "conv_pw2.weight"},
    {"norm.weight", "layer_pre_norm.weight"}};

std::optional<std::string> behind(const std::string& name, const std::string& beginning) {
  if (!name.starts_with(beginning)) return {};
  return name.substr(beginning.size());
}

// Of a canonical name of a tower; empty: of none.
std::string name_in_file(const std::string& canonical) {
  if (const auto rest = behind(canonical, "model.vision_tower.timm_model."))
    return rest->starts_with("blocks.") ? "v.blk." + rest->substr(7) : "v." + *rest;
  if (const auto rest = behind(canonical, "model.embed_vision.")) return "mm." + kEmbedder.at(*rest);
  if (const auto rest = behind(canonical, "model.embed_audio.")) return "mm.a." + kEmbedder.at(*rest);
  if (const auto rest = behind(canonical, "model.audio_tower.conformer.")) {
    const size_t dot = rest->find('.');
    return "a.blk." + rest->substr(0, dot) + "." + kConformer.at(rest->substr(dot + 1));
  }
  const std::string sscp = "model.audio_tower.subsample_conv_projection.";
  if (canonical == sscp + "input_proj_linear.weight") return "a.pre_encode.out.weight";
  if (const auto rest = behind(canonical, sscp + "conv_")) {
    const size_t dot = rest->find('.');
    return "a.conv1d." + rest->substr(0, dot) + (rest->ends_with(".norm.weight") ? ".norm.weight" : ".weight");
  }
  return "";
}

// ---- types and shapes -----------------------------------------------------------------------------------------------

DType type_in_file(const std::string& name, const std::vector<int64_t>& shape, DType type) {
  const bool is_kept = shape.size() == 1 || !name.ends_with(".weight") || name.starts_with("v.conv_stem.") ||
                       name.starts_with("a.conv1d.") || name.ends_with("conv_dw.weight");
  if (is_kept || type == DType::kF32) return DType::kF32;
  if (name == "a.pre_encode.out.weight") return DType::kF16;
  return type == DType::kQ8_0 && shape.back() % kBlockCols != 0 ? DType::kF16 : type;
}

std::vector<int64_t> shape_in_file(const std::string& name, std::vector<int64_t> shape, MmprojDialect dialect) {
  if (name == "v.conv_stem.conv.bias") return {1, shape.back(), 1, 1};
  if (name.ends_with("layer_scale.gamma") && dialect != MmprojDialect::kLlamaCpp) return {1, shape.back(), 1, 1};
  if (name.ends_with("conv_dw.weight") && dialect == MmprojDialect::kOllama) return {shape.front(), shape.back()};
  return shape;
}

// ---- keys -----------------------------------------------------------------------------------------------------------

void set_keys(GgufWriter& file, const Checkpoint& checkpoint, DType type) {
  const AudioConfig audio = AudioConfig::from(checkpoint.config);
  const auto hidden = static_cast<uint32_t>(TextConfig::from(checkpoint.config).hidden_size);
  const std::string v = "clip.vision.", a = "clip.audio.";
  file.set("general.architecture", "clip");
  file.set("general.type", "mmproj");
  file.set("general.file_type", uint32_t{type == DType::kF32    ? 0u
                                         : type == DType::kF16  ? 1u
                                         : type == DType::kQ8_0 ? 7u
                                                                : 32u});
  file.set("clip.has_vision_encoder", true);
  file.set(v + "projection_dim", hidden);
  file.set(v + "image_size", static_cast<uint32_t>(checkpoint.processor.image_width));
  file.set(v + "patch_size", uint32_t{3});
  file.set(v + "embedding_length", uint32_t{2048});
  file.set(v + "feed_forward_length", uint32_t{8192});
  file.set(v + "block_count", uint32_t{128});
  file.set(v + "attention.head_count", uint32_t{8});
  file.set(v + "image_mean", std::vector<float>{0, 0, 0});
  file.set(v + "image_std", std::vector<float>{1, 1, 1});
  file.set(v + "projector_type", "gemma3nv");
  file.set(v + "attention.layer_norm_epsilon", 1e-6f);
  file.set("clip.has_audio_encoder", true);
  file.set(a + "projection_dim", hidden);
  file.set(a + "embedding_length", static_cast<uint32_t>(audio.hidden));
  file.set(a + "feed_forward_length", uint32_t{6144});
  file.set(a + "block_count", static_cast<uint32_t>(audio.layers));
  file.set(a + "attention.head_count", static_cast<uint32_t>(audio.heads));
  file.set(a + "num_mel_bins", static_cast<uint32_t>(audio.mels));
  file.set(a + "projector_type", "gemma3na");
  file.set(a + "attention.layer_norm_epsilon", 1e-5f);  // wrong, as in all such files
  file.set("general.quantization_version", uint32_t{2});
}

}  // namespace

void write_mmproj(ThreadPool& pool, const Checkpoint& checkpoint, const std::string& out_path,
                  const MmprojOptions& options) {
  const DType type = options.type;
  if (type != DType::kF16 && type != DType::kF32 && type != DType::kBF16 && type != DType::kQ8_0)
    throw Error(ErrorCode::kInvalidArgument,
                std::string("expected a type of F16, F32, BF16 or Q8_0, got ") + dtype_name(type));
  struct Entry {
    const TensorInfo* tensor;
    size_t index;
    DType type;
  };
  GgufWriter file(out_path);
  set_keys(file, checkpoint, type);
  std::vector<Entry> entries;
  for (const auto& [component, wanted] :
       {std::pair(Component::kAudio, options.audio), std::pair(Component::kVision, options.vision)}) {
    const WeightFiles files = files_of(checkpoint, component);
    if (!wanted || !files.source) continue;
    for (const auto& [canonical, tensor] : canonical_tensors(*files.source)) {
      const std::string name = name_in_file(canonical);
      const bool is_audio = name.starts_with("a.") || name.starts_with("mm.a.");
      if (name.empty() || is_audio != (component == Component::kAudio)) continue;
      const DType stored = type_in_file(name, tensor->shape, type);
      entries.push_back(
          {tensor, file.declare(name, stored, shape_in_file(name, tensor->shape, options.dialect)), stored});
    }
  }
  if (entries.empty())
    throw Error(ErrorCode::kInvalidArgument, checkpoint.path + ": expected a checkpoint with towers, found none");
  file.begin_data();
  for (const Entry& entry : entries) {
    const int64_t count = element_count(entry.tensor->shape);
    std::vector<float> values(static_cast<size_t>(count));
    decode_values(entry.tensor->dtype, entry.tensor->data, count, values.data());
    std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(entry.type, count)));
    const int64_t block = dtype_facts(entry.type).block_values;
    pool.parallel_for(count / block, 1024, [&](int64_t begin, int64_t end) {
      encode_values(entry.type, values.data() + begin * block, (end - begin) * block,
                    bytes.data() + dtype_bytes(entry.type, begin * block));
    });
    file.write(entry.index, 0, bytes);
  }
  file.finish();
}

}  // namespace g3n
