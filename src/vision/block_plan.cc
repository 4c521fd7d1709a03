#include "vision/block_plan.h"

#include <algorithm>

namespace g3n {
namespace {

constexpr int64_t kMostBlocks = 256;  // probed per stage

// mobilenetv5_300m at channel_multiplier 1.
constexpr std::array<int64_t, kStages> kWidths = {128, 256, 640, 1280};
constexpr std::array<int64_t, kStages> kBlocks = {3, 5, 37, 39};

struct TableRow {
  BlockType type;
  int64_t expansion, kernel, dw_start, dw_mid, heads, head_dim;
};

TableRow inverted(int64_t expansion, int64_t dw_start, int64_t dw_mid) {
  return {BlockType::kInvertedResidual, expansion, 0, dw_start, dw_mid, 0, 0};
}

TableRow table_row(int stage, int64_t index) {
  if (stage == 0) return {BlockType::kEdgeResidual, 4, 3, 0, 0, 0, 0};
  if (index == 0) return inverted(6, stage == 1 ? 3 : 5, 5);
  if (stage == 1) return inverted(4, index % 2 ? 5 : 3, 0);
  if (stage == 2 && index <= 7) return inverted(4, 5, 0);
  if (stage == 2 && index == 8) return inverted(1, 0, 0);
  if (index % 2 == 0) return inverted(2, 0, 0);
  return stage == 2 ? TableRow{BlockType::kAttention, 0, 3, 0, 0, 12, 64}
                    : TableRow{BlockType::kAttention, 0, 0, 0, 0, 16, 96};
}

// Size of one axis of a tensor of the file, else fallback.
int64_t axis(const Binder& binder, const std::string& name, size_t i, int64_t fallback) {
  const Shape shape = binder.shape(name);
  return i < shape.size() ? shape[i] : fallback;
}

bool has_any(const Binder& binder, const std::string& block, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return binder.has(block + name); });
}
bool has_edge(const Binder& b, const std::string& block) {
  return has_any(b, block, {"conv_exp.weight", "conv_pwl.weight"});
}
bool has_attention(const Binder& b, const std::string& block) {
  return has_any(b, block, {"attn.query.proj.weight", "attn.output.proj.weight"});
}
bool has_inverted(const Binder& b, const std::string& block) {
  return has_any(b, block, {"pw_exp.conv.weight", "pw_proj.conv.weight"});
}
bool has_block(const Binder& b, const std::string& block) {
  return has_edge(b, block) || has_attention(b, block) || has_inverted(b, block);
}

std::string block_name(int stage, int64_t index) {
  return "blocks." + std::to_string(stage) + "." + std::to_string(index) + ".";
}

// One more than the last block of the stage in the file: a gap is a missing block, which the loader reports.
int64_t count_blocks(const Binder& binder, int stage) {
  for (int64_t n = kMostBlocks; n > 0; --n)
    if (has_block(binder, block_name(stage, n - 1))) return n;
  return kBlocks[stage];
}

struct Planner {
  const Binder& binder;
  bool standard;  // the block counts are those of the table: parts that the table has and the file lacks are missing,
                  // not absent

  BlockPlan plan(int stage, int64_t index, int64_t in, int64_t default_out) const {
    const std::string block = block_name(stage, index);
    const TableRow row = table_row(stage, index);
    BlockPlan p;
    p.type = has_edge(binder, block)        ? BlockType::kEdgeResidual
             : has_attention(binder, block) ? BlockType::kAttention
             : has_inverted(binder, block)  ? BlockType::kInvertedResidual
                                            : row.type;
    p.in = in;
    p.out = default_out;
    p.stride = index == 0 ? 2 : 1;
    const TableRow fallback = p.type == row.type ? row : TableRow{p.type, 1, 0, 0, 0, 1, 64};
    if (p.type == BlockType::kEdgeResidual)
      edge(block, fallback, p);
    else if (p.type == BlockType::kAttention)
      attention(block, fallback, p);
    else
      inverted_residual(block, fallback, p);
    p.layer_scale = p.type != BlockType::kEdgeResidual || binder.has(block + "layer_scale.gamma");
    return p;
  }

  // Kernel size of a part: of the file, else of the table if the part has to be there, else 0.
  int64_t part(const std::string& name, int64_t table_kernel) const {
    const int64_t kernel = axis(binder, name, 2, 0);
    return kernel > 0 ? kernel : standard ? table_kernel : 0;
  }

  void edge(const std::string& block, const TableRow& row, BlockPlan& p) const {
    p.mid = axis(binder, block + "conv_exp.weight", 0, make_divisible(static_cast<double>(p.in * row.expansion)));
    p.kernel = axis(binder, block + "conv_exp.weight", 2, row.kernel ? row.kernel : 3);
    p.out = axis(binder, block + "conv_pwl.weight", 0, p.out);
  }
  void inverted_residual(const std::string& block, const TableRow& row, BlockPlan& p) const {
    p.mid = axis(binder, block + "pw_exp.conv.weight", 0, make_divisible(static_cast<double>(p.in * row.expansion)));
    p.out = axis(binder, block + "pw_proj.conv.weight", 0, p.out);
    p.dw_start = part(block + "dw_start.conv.weight", row.dw_start);
    p.dw_mid = part(block + "dw_mid.conv.weight", row.dw_mid);
    if (p.stride > 1 && p.dw_mid == 0) p.dw_mid = 5;  // the stride sits there: missing, not absent
  }
  void attention(const std::string& block, const TableRow& row, BlockPlan& p) const {
    p.out = p.in;
    p.head_dim = axis(binder, block + "attn.key.proj.weight", 0, row.head_dim);
    p.mid = axis(binder, block + "attn.query.proj.weight", 0, row.heads * row.head_dim);
    p.kernel = std::max(part(block + "attn.key.down_conv.weight", row.kernel),
                        part(block + "attn.value.down_conv.weight", row.kernel));
    if (p.stride > 1 || p.head_dim < 1 || p.mid % p.head_dim != 0 || p.head_dim % 2 != 0)
      throw Error(ErrorCode::kBadFile,
                  "vision tower: " + block +
                      "attn: expected queries of whole heads with an even head size in a block without stride, found " +
                      std::to_string(p.mid) + " query channels, heads of " + std::to_string(p.head_dim) + ", stride " +
                      std::to_string(p.stride));
  }
};

// Whether the file has any tensor of a tower; without one the structure is that of the published model.
bool has_tower(const Binder& binder) {
  for (const char* name : {"conv_stem.conv.weight", "conv_stem.bn.weight", "msfa.ffn.pw_exp.conv.weight",
                           "msfa.ffn.pw_proj.conv.weight", "msfa.norm.weight"})
    if (binder.has(name)) return true;
  for (int stage = 0; stage < kStages; ++stage)
    for (int64_t index = 0; index < kBlocks[stage]; ++index)
      if (has_block(binder, block_name(stage, index))) return true;
  return false;
}

}  // namespace

int64_t make_divisible(double channels) {
  constexpr int64_t kDivisor = 8;
  int64_t rounded = std::max(kDivisor, static_cast<int64_t>(channels + kDivisor / 2) / kDivisor * kDivisor);
  if (static_cast<double>(rounded) < 0.9 * channels) rounded += kDivisor;
  return rounded;
}

TowerPlan plan_tower(const Binder& binder, const VisionConfig& config) {
  TowerPlan tower;
  tower.stem = axis(binder, "conv_stem.conv.weight", 0, config.stem_size);
  std::array<int64_t, kStages> counts = kBlocks;
  if (has_tower(binder))
    for (int stage = 0; stage < kStages; ++stage) counts[stage] = count_blocks(binder, stage);
  const Planner planner{binder, counts == kBlocks};
  int64_t channels = tower.stem;
  std::array<int64_t, kStages> ends{};
  for (int stage = 0; stage < kStages; ++stage) {
    const int64_t width = make_divisible(static_cast<double>(kWidths[stage]) * config.channel_multiplier);
    for (int64_t index = 0; index < counts[stage]; ++index) {
      tower.stages[stage].push_back(planner.plan(stage, index, channels, index == 0 ? width : channels));
      channels = tower.stages[stage].back().out;
    }
    ends[stage] = channels;
  }
  tower.fusion_mid =
      axis(binder, "msfa.ffn.pw_exp.conv.weight", 0, make_divisible(static_cast<double>(2 * (ends[2] + ends[3]))));
  return tower;
}

}  // namespace g3n
