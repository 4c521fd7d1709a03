#include "checkpoint/decode_cost.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace g3n {
namespace {

constexpr double kGroup = 32;  // neurons that share a plane of scales

// The share of neurons of a tensor's layer that are not zero; 1 without sparsity.
double live_share(const std::string& name, const TextConfig& config) {
  const std::string layers = "model.language_model.layers.";
  int64_t layer = -1;
  if (!name.starts_with(layers)) return 1;
  std::from_chars(name.data() + layers.size(), name.data() + name.size(), layer);
  return layer >= 0 && layer < config.num_hidden_layers ? config.live_neurons(layer) : 1;
}

// The share of a packed matrix that live neurons take: of kRows their rows; of kNeurons of a block type their codes,
// and the scales of every group that has one.
double read_share(DType dtype, Layout layout, double live) {
  if (layout != Layout::kNeurons || !is_block_type(dtype)) return live;
  const DTypeFacts facts = dtype_facts(dtype);
  const double scales = 2 / (kGroup * static_cast<double>(facts.block_bytes) / static_cast<double>(facts.block_values));
  return live * (1 - scales) + (1 - std::pow(1 - live, kGroup)) * scales;
}

DecodeCost matrix_cost(const std::string& name, DType dtype, Layout layout, int64_t bytes, bool is_sparse,
                       const TextConfig& config) {
  DecodeCost cost{.token_bytes = bytes, .memory_bytes = bytes};
  if (is_sparse)
    cost.token_bytes =
        static_cast<int64_t>(static_cast<double>(bytes) * read_share(dtype, layout, live_share(name, config)));
  return cost;
}

DecodeCost vector_cost(int64_t values) { return {.token_bytes = values * 4, .memory_bytes = values * 4}; }

}  // namespace

DecodeCost decode_cost(const ListedTensor& listed, const TensorInfo& stored, const PackingPlan& plan,
                       const TextConfig& config) {
  if (listed.kind == TensorKind::kTable) {
    const int64_t rows = std::max<int64_t>(listed.shape[0], 1);
    return {.token_bytes = stored.bytes / rows, .memory_bytes = stored.bytes};
  }
  if (listed.kind != TensorKind::kMatrix) return vector_cost(element_count(listed.shape));
  const Packing packing = plan.matrix(listed.name, stored, listed.layout, [](const TensorInfo&) { return true; });
  const bool is_sparse = listed.layout == Layout::kRows || listed.layout == Layout::kNeurons;
  const int64_t bytes = packing.layout == Layout::kBlocks
                            ? stored.bytes
                            : bytes_of({listed.name, PackedKind::kMatrix, packing.dtype, packing.layout, listed.shape});
  DecodeCost cost =
      matrix_cost(listed.name, packing.dtype, is_sparse ? listed.layout : packing.layout, bytes, is_sparse, config);
  if (!is_block_type(stored.dtype)) return cost;
  if (packing.layout == Layout::kBlocks && !is_sparse)
    cost.why_slow = "there are no kernels for this type: its blocks are decoded anew for every token";
  else if (packing.dtype == DType::kF32 && is_sparse)
    cost.why_slow = "neurons of layers with sparsity cannot be picked out of this type: it becomes f32";
  else if (packing.dtype == DType::kF32 && bytes > 4 * stored.bytes)
    cost.why_slow = "there are no kernels for this type: it becomes f32";
  return cost;
}

DecodeCost decode_cost(const PackedTensor& packed, Layout wanted, const TextConfig& config) {
  if (packed.kind == PackedKind::kTable)
    return {.token_bytes = packed.bytes / std::max<int64_t>(packed.shape[0], 1), .memory_bytes = packed.bytes};
  if (packed.kind != PackedKind::kMatrix) return vector_cost(element_count(packed.shape));
  const bool is_sparse = wanted == Layout::kRows || wanted == Layout::kNeurons;
  DecodeCost cost = matrix_cost(packed.name, packed.dtype, wanted, packed.bytes, is_sparse, config);
  if (packed.layout == Layout::kBlocks && !is_sparse)
    cost.why_slow = "there are no kernels for this type: its blocks are decoded anew for every token";
  return cost;
}

}  // namespace g3n
