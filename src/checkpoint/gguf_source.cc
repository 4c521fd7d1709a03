#include "checkpoint/gguf_source.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_towers.h"
#include "core/printable.h"
#include "g3n/error.h"

namespace g3n {
namespace {

const std::string kModel = "model.language_model.";

constexpr NamePair kGlobal[] = {
    {"token_embd.weight", "embed_tokens.weight"},
    {"per_layer_token_embd.weight", "embed_tokens_per_layer.weight"},
    {"per_layer_model_proj.weight", "per_layer_model_projection.weight"},
    {"per_layer_proj_norm.weight", "per_layer_projection_norm.weight"},
    {"output_norm.weight", "norm.weight"},
};
constexpr NamePair kStacks[] = {
    {"altup_proj.weight", "altup_projections."},
    {"altup_unembd_proj.weight", "altup_unembed_projections."},
};
constexpr NamePair kInLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
    {"post_norm.weight", "post_per_layer_input_norm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"inp_gate.weight", "per_layer_input_gate.weight"},
    {"proj.weight", "per_layer_projection.weight"},
    {"altup_correct_coef.weight", "altup.correction_coefs.weight"},
    {"altup_predict_coef.weight", "altup.prediction_coefs.weight"},
    {"altup_correct_scale.weight", "altup.correct_output_scale"},
    {"altup_router.weight", "altup.modality_router.weight"},
    {"altup_router_norm.weight", "altup.router_norm.weight"},
    {"laurel_l.weight", "laurel.linear_left.weight"},
    {"laurel_r.weight", "laurel.linear_right.weight"},
    {"laurel_post_norm.weight", "laurel.post_laurel_norm.weight"},
};

// "blk.12.attn_q.weight" is {"12", "attn_q.weight"}; empty for other names.
std::pair<std::string_view, std::string_view> layer_and_rest(std::string_view name) {
  if (!name.starts_with("blk.")) return {};
  const size_t dot = name.find('.', 4);
  if (dot == std::string_view::npos || dot == 4) return {};
  return {name.substr(4, dot - 4), name.substr(dot + 1)};
}

class GgufTensors : public TensorSource {
 public:
  GgufTensors(std::shared_ptr<const GgufFile> file, int64_t text_vocab)
      : file_(std::move(file)), text_vocab_(text_vocab) {
    for (const GgufTensor& tensor : file_->tensors()) add(tensor);
  }

  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }
  void will_need(const TensorInfo& tensor) const override { file_->will_need(tensor.data, tensor.bytes); }
  void drop(const TensorInfo& tensor) const override { file_->drop(tensor.data, tensor.bytes); }

 private:
  static TensorInfo info_of(const GgufTensor& tensor) {
    TensorInfo info;
    info.name = tensor.name;                         // in messages the file's own
    info.dtype = tensor.dtype.value_or(DType::kU8);  // of tensors that are only listed
    info.shape.assign(tensor.ne.rbegin(), tensor.ne.rend());
    info.data = tensor.data;
    info.bytes = tensor.bytes;
    info.file = tensor.file;
    return info;
  }

  void add(const GgufTensor& tensor) {
    TensorInfo info = info_of(tensor);
    if (const std::string tower = tower_tensor_name(tensor.name); !tower.empty()) {
      tensor.dtype_or_fail();
      // ollama drops the axis of length 1 of the light convolution.
      if (tower.ends_with("depthwise_conv1d.weight") && info.shape.size() == 2)
        info.shape.insert(info.shape.begin() + 1, 1);
      return insert(tower, std::move(info));
    }
    if (!is_known(tensor.name)) return insert(tensor.name, info);
    tensor.dtype_or_fail();
    if (const std::string_view stack = look_up(kStacks, tensor.name); !stack.empty())
      return add_stack(info, kModel + std::string(stack));
    if (tensor.name == "output.weight") return insert("lm_head.weight", info);
    if (const std::string_view name = look_up(kGlobal, tensor.name); !name.empty()) {
      const bool is_per_layer_table = tensor.name == "per_layer_token_embd.weight";
      const int64_t rows = is_per_layer_table ? std::min(info.shape[0], text_vocab_) : info.shape[0];
      return insert(kModel + std::string(name), rows_of(info, 0, rows));
    }
    const auto [layer, rest] = layer_and_rest(tensor.name);
    const std::string prefix = kModel + "layers." + std::string(layer) + ".";
    if (rest == "attn_qkv.weight")
      return add_joined(info, prefix + "self_attn.", "blk." + std::string(layer) + ".attn_output.weight");
    insert(prefix + std::string(look_up(kInLayer, rest)), info);
  }
  static bool is_known(std::string_view name) {
    if (!look_up(kStacks, name).empty() || !look_up(kGlobal, name).empty() || name == "output.weight") return true;
    const std::string_view rest = layer_and_rest(name).second;
    return rest == "attn_qkv.weight" || !look_up(kInLayer, rest).empty();
  }

  // [count, out, in]: one matrix after the other.
  void add_stack(const TensorInfo& info, const std::string& name) {
    if (info.shape.size() != 3) bad(info, "expected a stack of matrices, found shape " + shape_text(info.shape));
    for (int64_t i = 0; i < info.shape[0]; ++i) {
      TensorInfo one = rows_of(info, i, 1);
      one.shape.erase(one.shape.begin());
      insert(name + std::to_string(i) + ".weight", std::move(one));
    }
  }

  // Rows of q, then k, then v. q has as many as o_proj has columns, k and v share the rest.
  void add_joined(const TensorInfo& info, const std::string& prefix, const std::string& output) {
    const GgufTensor* o = file_->find(output);
    if (!o || info.shape.size() != 2) bad(info, "expected a matrix, and " + output + " beside it");
    const int64_t queries = o->ne[0], keys = (info.shape[0] - queries) / 2;
    if (keys < 1 || queries + 2 * keys != info.shape[0])
      bad(info, "expected " + std::to_string(queries) + " rows of queries (the columns of " + output +
                    ") and as many of keys as of values, found " + std::to_string(info.shape[0]) + " rows");
    insert(prefix + "q_proj.weight", rows_of(info, 0, queries));
    insert(prefix + "k_proj.weight", rows_of(info, queries, keys));
    insert(prefix + "v_proj.weight", rows_of(info, queries + keys, keys));
  }

  static TensorInfo rows_of(const TensorInfo& info, int64_t first, int64_t rows) {
    TensorInfo out = info;
    const int64_t row_bytes = info.bytes / info.shape[0];  // block types end with a row
    out.shape[0] = rows;
    out.data += first * row_bytes;
    out.bytes = rows * row_bytes;
    return out;
  }
  void insert(const std::string& name, TensorInfo info) {
    info.range = file_->range(info.data);
    const auto [at, is_new] = tensors_.emplace(name, info);
    if (!is_new) bad(info, "stands for " + name + ", as " + at->second.name + " does");
  }
  [[noreturn]] static void bad(const TensorInfo& info, const std::string& what) {
    throw Error(ErrorCode::kBadFile, info.file + ": " + info.name + ": " + what);
  }

  std::shared_ptr<const GgufFile> file_;
  int64_t text_vocab_;
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace

std::shared_ptr<const TensorSource> gguf_tensor_source(std::shared_ptr<const GgufFile> file, int64_t text_vocab) {
  return std::make_shared<GgufTensors>(std::move(file), text_vocab);
}

}  // namespace g3n
