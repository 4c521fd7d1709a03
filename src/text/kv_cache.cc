#include "text/kv_cache.h"

#include <algorithm>
#include <string>

#include "g3n/error.h"

namespace g3n {
namespace {
constexpr int64_t kPagePositions = 256;
}

KvCache::KvCache(const TextConfig& config, DType dtype, int64_t context, int64_t chunk)
    : dtype_(dtype),
      kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      context_(context),
      chunk_(chunk) {
  if (context < 1 || chunk < 1) throw Error(ErrorCode::kInvalidArgument, "context and chunk must be positive");
  layers_.resize(config.first_shared_layer());
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (config.layer_types[i] != LayerType::kSliding) continue;
    Layer& layer = layers_[i];
    // The oldest visible key's block may begin 31 positions earlier; none of it may be overwritten by the chunk.
    layer.ring_positions = round_up(config.sliding_window - 1 + chunk + kKeyBlock - 1, kKeyBlock);
    layer.ring_positions = std::min(layer.ring_positions, round_up(context, kKeyBlock));
    layer.pages.emplace_back(kv_page_bytes(dtype_, kv_heads_, head_dim_, layer.ring_positions));  // zeroed
    layer.page_pointers.push_back(layer.pages.back().data());
  }
}

int64_t KvCache::bytes() const {
  int64_t total = 0;
  for (const Layer& layer : layers_)
    for (const Buffer<std::byte>& page : layer.pages) total += page.size();
  return total;
}

void KvCache::reserve(int64_t count) {
  if (count > chunk_)
    throw Error(ErrorCode::kInvalidArgument, "a sequence brings " + std::to_string(count) +
                                                 " rows in one call, its cache was made for chunks of " +
                                                 std::to_string(chunk_));
  if (length_ + count > context_)
    throw Error(ErrorCode::kContextFull, "the context is full: " + std::to_string(length_ + count) +
                                             " positions needed, the context has " + std::to_string(context_));
  for (Layer& layer : layers_) {
    if (layer.ring_positions) continue;
    while (static_cast<int64_t>(layer.pages.size()) * kPagePositions < length_ + count) {
      layer.pages.emplace_back(kv_page_bytes(dtype_, kv_heads_, head_dim_, kPagePositions));
      layer.page_pointers.push_back(layer.pages.back().data());
    }
  }
}

KeyValues KvCache::layer(int64_t index) const {
  const Layer& layer = layers_[index];
  return {.dtype = dtype_,
          .kv_heads = kv_heads_,
          .head_dim = head_dim_,
          .pages = layer.page_pointers,
          .page_positions = layer.ring_positions ? layer.ring_positions : kPagePositions,
          .ring_positions = layer.ring_positions};
}

}  // namespace g3n
