#include "bench/work.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "weights/shape_lister.h"

namespace g3n::bench {
namespace {

const std::string kText = "model.language_model.";

// The layer of "model.language_model.layers.N....", or -1.
int64_t layer_of(const std::string& name) {
  const std::string prefix = kText + "layers.";
  return name.starts_with(prefix) ? std::stoll(name.substr(prefix.size())) : -1;
}

}  // namespace

Work work_of(const TextConfig& config) {
  ShapeLister lister;
  TextModel(config).bind(lister);
  Work work;
  for (const ListedTensor& tensor : lister.listed()) {
    if (tensor.kind != TensorKind::kMatrix) continue;
    const int64_t layer = layer_of(tensor.name), cut = config.cut_layer();
    const double density = tensor.layout == Layout::kPanels ? 1 : 1 - config.activation_sparsity_pattern[layer];
    const auto part = [&](int64_t n) { return static_cast<int64_t>(std::llround(density * static_cast<double>(n))); };
    const int64_t flops = part(2 * tensor.shape[0] * element_count(tensor.shape, 1));
    work.decode_bytes += part(packed_bytes(DType::kBF16, tensor.layout, tensor.shape[0], element_count(tensor.shape, 1)));
    work.decode_flops += flops;
    work.prefill_flops_last_row += flops;
    const bool head = tensor.name.starts_with(kText + "embed_tokens.") || tensor.name.starts_with(kText + "altup_unembed");
    const bool keys = tensor.name.find(".k_proj.") != std::string::npos || tensor.name.find(".v_proj.") != std::string::npos;
    if (tensor.name.starts_with(kText + "per_layer_model_projection")) work.prefill_flops_per_row += flops * cut / config.num_hidden_layers;
    else if (layer >= 0 ? layer < cut || (layer == cut && keys) : !head) work.prefill_flops_per_row += flops;
  }
  return work;
}

int64_t attention_flops(const TextConfig& config, int64_t rows) {
  int64_t pairs = 0;  // of a query and a key, all early layers
  for (int64_t layer = 0; layer < config.cut_layer(); ++layer)
    for (int64_t r = 0; r < rows; ++r) pairs += config.layer_types[layer] == LayerType::kSliding ? std::min(r + 1, config.sliding_window) : r + 1;
  return pairs * config.num_attention_heads * config.head_dim * 4;
}

}  // namespace g3n::bench
