// Attention of ops.h over paged K and V: the split into (run of rows x KV head x segment), and the merge of segments.
#include <cstring>

#include "kernels/ops_internal.h"

namespace g3n {
namespace {

constexpr int64_t kBlocksPerSegment = kKeySegment / kKeyBlock;
constexpr int64_t kRunRows = 24;          // query rows (tokens x heads of one KV head) that share a look at K and V
constexpr int64_t kStateBytes = 8 << 20;  // of partial states alive at once

// Where K and V of one KV head and position lie.
struct BlockPlace {
  std::byte *keys, *values;  // of the block
};
BlockPlace block_place(const KeyValues& kv, int64_t block, int64_t head) {
  const int64_t position = block * kKeyBlock;
  const int64_t bytes = kv_block_bytes(kv.dtype, kv.head_dim), plane = kv.page_positions / kKeyBlock * bytes;
  std::byte* page = kv.pages[static_cast<size_t>(position / kv.page_positions)] + head * 2 * plane;
  const int64_t offset = position % kv.page_positions / kKeyBlock * bytes;
  return {page + offset, page + plane + offset};
}

// Whether pages of all positions of a range are there; not empty.
bool has_pages(const KeyValues& kv, const KeyRange& range) {
  if (range.begin < 0 || range.end > static_cast<int64_t>(kv.pages.size()) * kv.page_positions) return false;
  for (int64_t page = range.begin / kv.page_positions; page * kv.page_positions < range.end; ++page)
    if (!kv.pages[static_cast<size_t>(page)]) return false;
  return true;
}

void check_cache(const KeyValues& kv) {
  expect(kv.dtype == DType::kF32 || kv.dtype == DType::kBF16 || kv.dtype == DType::kQ8_0,
         "attention: K and V are F32, BF16 or Q8_0");
  expect(kv.kv_heads > 0 && kv.head_dim > 0 && kv.head_dim % 2 == 0,
         "attention: head_dim must be even and heads at least one");
  expect(kv.page_positions > 0 && kv.page_positions % kKeyBlock == 0,
         "attention: pages hold a multiple of 32 positions");
}

// Neighbouring tokens of one sequence.
struct Run {
  const AttentionSequence* sequence;
  int64_t first, tokens;      // within the sequence
  int64_t segment, segments;  // absolute segments that any of them sees
  float* states;              // [kv_heads][tokens * group][segments][state_step]
};

// q in the form that the kernel takes.
struct Queries {
  View<const float, 2> f32;
  const bf16_t* bf16 = nullptr;  // the same shape
  QuantizedRows coded{};         // [rows * heads] of head_dim
};

struct Plan {
  Queries q;
  void (*kernel)(const AttentionSegment&);
  View<float, 2> out;
  int64_t heads, head_dim, kv_heads, group, state_step;
};

int64_t run_floats(const Plan& p, const Run& run) { return p.heads * run.tokens * run.segments * p.state_step; }

float* state_of(const Plan& p, const Run& run, int64_t kv_head, int64_t row, int64_t segment) {
  return run.states + ((kv_head * run.tokens * p.group + row) * run.segments + segment) * p.state_step;
}

AttentionRow make_row(const Plan& p, int64_t row, int64_t head, const KeyRange& visible, float* state) {
  if (p.q.coded.codes) {
    const int64_t i = row * p.heads + head, blocks = p.q.coded.code_step / kBlockCols;
    return {p.q.coded.codes + i * p.q.coded.code_step,
            visible.begin,
            visible.end,
            state,
            p.q.coded.scales + i * blocks,
            p.q.coded.starts + i * blocks};
  }
  const int64_t first = head * p.head_dim;
  if (p.q.bf16) return {p.q.bf16 + row * p.heads * p.head_dim + first, visible.begin, visible.end, state};
  return {p.q.f32.row(row) + first, visible.begin, visible.end, state};
}

// One KV head and one segment of a run.
void attend(const Context& ctx, const Plan& p, const Run& run, int64_t kv_head, int64_t segment) {
  const KeyValues& kv = run.sequence->kv;
  const KeyRange* visible = run.sequence->visible.data() + run.first;
  const int64_t begin = (run.segment + segment) * kKeySegment, end = begin + kKeySegment;
  int64_t low = end, high = begin;  // seen by any row within the segment
  for (int64_t t = 0; t < run.tokens; ++t) {
    low = std::min(low, std::max(begin, visible[t].begin));
    high = std::max(high, std::min(end, visible[t].end));
  }
  const void *keys[kBlocksPerSegment], *values[kBlocksPerSegment];
  const int64_t first_block = low / kKeyBlock,
                block_count = low < high ? (high + kKeyBlock - 1) / kKeyBlock - first_block : 0;
  for (int64_t b = 0; b < block_count; ++b) {
    const BlockPlace place = block_place(kv, first_block + b, kv_head);
    keys[b] = place.keys, values[b] = place.values;
  }
  AttentionRow rows[kRunRows];
  AttentionSegment a{rows, 0, p.head_dim, first_block, block_count, keys, values};
  const int64_t row_count = run.tokens * p.group;
  for (int64_t r = 0; r < row_count; ++r) {
    const int64_t token = r / p.group, head = kv_head * p.group + r % p.group;
    rows[a.row_count++] = make_row(p, run.sequence->first_row + run.first + token, head, visible[token],
                                   state_of(p, run, kv_head, r, segment));
    if (a.row_count < kRunRows && r + 1 < row_count) continue;
    p.kernel(a);
    a.row_count = 0;
  }
}

// The runs [0, count) together: all their segments, then the merges.
void attend_runs(Context& ctx, const Plan& p, const Run* runs, int64_t count) {
  int64_t most_segments = 0, most_tokens = 0, cost = 0;
  for (int64_t i = 0; i < count; ++i) {
    most_segments = std::max(most_segments, runs[i].segments);
    most_tokens = std::max(most_tokens, runs[i].tokens);
    for (int64_t t = 0; t < runs[i].tokens; ++t) {
      const KeyRange& v = runs[i].sequence->visible[static_cast<size_t>(runs[i].first + t)];
      cost += (v.end - v.begin) * p.heads * p.head_dim / 8;
    }
  }
  const int64_t tasks = count * p.kv_heads * most_segments;
  ctx.pool.parallel_for(tasks, cost < kSerialValues ? tasks : 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const Run& run = runs[task / (p.kv_heads * most_segments)];
      const int64_t segment = task % most_segments;
      if (segment < run.segments) attend(ctx, p, run, task / most_segments % p.kv_heads, segment);
    }
  });
  for_rows(ctx, count * most_tokens, p.heads * p.state_step * most_segments, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Run& run = runs[i / most_tokens];
      const int64_t token = i % most_tokens;
      if (token >= run.tokens) continue;
      float* out = p.out.row(run.sequence->first_row + run.first + token);
      for (int64_t h = 0; h < p.heads; ++h)
        ctx.kernels.attention_merge(state_of(p, run, h / p.group, token * p.group + h % p.group, 0), p.state_step,
                                    run.segments, p.head_dim, out + h * p.head_dim);
    }
  });
}

// Run `index` of a sequence, without its states.
Run make_run(const Plan& p, const AttentionSequence& sequence, int64_t first, int64_t tokens_per_run) {
  Run run{&sequence, first, std::min(tokens_per_run, static_cast<int64_t>(sequence.visible.size()) - first),
          0,         0,     nullptr};
  int64_t low = INT64_MAX, high = 0;
  for (int64_t t = 0; t < run.tokens; ++t) {
    const KeyRange& v = sequence.visible[static_cast<size_t>(first + t)];
    low = std::min(low, v.begin), high = std::max(high, v.end);
  }
  run.segment = low / kKeySegment;
  run.segments = (high + kKeySegment - 1) / kKeySegment - run.segment;
  return run;
}

template <typename T>
void write_key(T value, std::byte* keys, int64_t key, int64_t d, int64_t head_dim) {
  T* panel = reinterpret_cast<T*>(keys) + key / kPanelRows * kPanelRows * head_dim;
  if constexpr (sizeof(T) == 2)
    panel[d / 2 * 32 + key % kPanelRows * 2 + d % 2] = value;
  else
    panel[d * kPanelRows + key % kPanelRows] = value;
}

// Codes of one position's K or V of one head, 64 dims at a time: put(first dim, codes, scales in f16), block by block.
template <typename Put>
void encode_position(const Context& ctx, const float* from, int64_t head_dim, const Put& put) {
  int8_t codes[kPairCols];
  float scales[kPairCols / kBlockCols];
  int32_t starts[kPairCols / kBlockCols];
  for (int64_t d = 0; d < head_dim; d += kPairCols) {
    ctx.kernels.quantize_row(from + d, std::min(kPairCols, head_dim - d), codes, scales, starts);
    for (int64_t i = 0; i < kPairCols && d + i < head_dim; i += kBlockCols)
      put(d + i, codes + i, f32_to_f16(scales[i / kBlockCols]));
  }
}

void append_coded(const Context& ctx, const BlockPlace& place, int64_t key, int64_t head_dim, const float* k,
                  const float* v) {
  const int64_t width = round_up(head_dim, kBlockCols);
  const auto scale_of = [&](std::byte* block, int64_t d) -> uint16_t& {
    return reinterpret_cast<uint16_t*>(block + kKeyBlock * width)[d + key];
  };  // d / 32 * 32 keys
  encode_position(ctx, k, head_dim, [&](int64_t d, const int8_t* codes, uint16_t scale) {
    auto* column = reinterpret_cast<uint8_t*>(place.keys) + key / kPanelRows * kPanelRows * width + d * kPanelRows +
                   key % kPanelRows * 4;
    for (int64_t i = 0; i < kBlockCols; ++i) column[i / 4 * 64 + i % 4] = static_cast<uint8_t>(codes[i] + 128);
    scale_of(place.keys, d) = scale;
  });
  encode_position(ctx, v, head_dim, [&](int64_t d, const int8_t* codes, uint16_t scale) {
    std::memcpy(place.values + key * width + d, codes, kBlockCols);
    scale_of(place.values, d) = scale;
  });
}

// The scratch lives in the caller's scope.
Queries prepare_queries(Context& ctx, View<const float, 2> q, int64_t heads, int64_t head_dim, DType cache) {
  Queries queries{.f32 = q};
  const int64_t rows = q.dim[0];
  if (cache == DType::kBF16 && ctx.compute == ComputeType::kBF16 && ctx.kernels.attention_bf16_bf16) {
    bf16_t* out = ctx.arena.take<bf16_t>(rows * q.dim[1]);
    for_rows(ctx, rows, q.dim[1], [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) ctx.kernels.to_bf16(q.row(r), out + r * q.dim[1], q.dim[1]);
    });
    queries.bf16 = out;
  } else if (cache == DType::kQ8_0) {
    const int64_t step = round_up(head_dim, kPairCols), blocks = step / kBlockCols;
    int8_t* codes = ctx.arena.take<int8_t>(rows * heads * step);
    float* scales = ctx.arena.take<float>(rows * heads * blocks);
    int32_t* starts = ctx.arena.take<int32_t>(rows * heads * blocks);
    for_rows(ctx, rows * heads, head_dim, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        ctx.kernels.quantize_row(q.row(i / heads) + i % heads * head_dim, head_dim, codes + i * step,
                                 scales + i * blocks, starts + i * blocks);
    });
    queries.coded = {codes, step, scales, starts};
  }
  return queries;
}

}  // namespace

void kv_append(Context& ctx, const KeyValues& kv, int64_t first_position, View<const float, 2> k,
               View<const float, 2> v) {
  check_cache(kv);
  const int64_t tokens = k.dim[0], head_dim = kv.head_dim;
  expect_shape(k, {tokens, kv.kv_heads * head_dim}, "kv_append k");
  expect_shape(v, {tokens, kv.kv_heads * head_dim}, "kv_append v");
  expect(has_pages(kv, {first_position, first_position + tokens}), "kv_append: positions outside the pages");
  for_rows(ctx, tokens, kv.kv_heads * head_dim * 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t head = 0; head < kv.kv_heads; ++head) {
        const int64_t position = first_position + t, key = position % kKeyBlock;
        const BlockPlace place = block_place(kv, position / kKeyBlock, head);
        const float *from_k = k.row(t) + head * head_dim, *from_v = v.row(t) + head * head_dim;
        if (kv.dtype == DType::kQ8_0) {
          append_coded(ctx, place, key, head_dim, from_k, from_v);
        } else if (kv.dtype == DType::kBF16) {
          for (int64_t d = 0; d < head_dim; ++d) write_key(f32_to_bf16(from_k[d]), place.keys, key, d, head_dim);
          ctx.kernels.to_bf16(from_v, reinterpret_cast<bf16_t*>(place.values) + key * head_dim, head_dim);
        } else {
          for (int64_t d = 0; d < head_dim; ++d) write_key(from_k[d], place.keys, key, d, head_dim);
          std::memcpy(place.values + key * head_dim * 4, from_v, static_cast<size_t>(head_dim) * 4);
        }
      }
  });
}

void attention(Context& ctx, View<const float, 2> q, int64_t heads, std::span<const AttentionSequence> sequences,
               View<float, 2> out) {
  expect_shape(out, q.dim, "attention out");
  if (sequences.empty()) return;
  const DType cache = sequences[0].kv.dtype;
  Plan p{{}, nullptr, out, heads, sequences[0].kv.head_dim, sequences[0].kv.kv_heads, 0, 0};
  expect(p.kv_heads > 0 && heads % p.kv_heads == 0, "attention: heads are not a multiple of KV heads");
  expect(q.dim[1] == heads * p.head_dim, "attention: q is not heads * head_dim wide");
  p.group = heads / p.kv_heads;
  p.state_step = round_up(p.head_dim + 2, 16);
  const int64_t tokens_per_run = std::max<int64_t>(1, kRunRows / p.group);
  int64_t run_count = 0;
  for (const AttentionSequence& s : sequences) {
    check_cache(s.kv);
    expect(s.kv.head_dim == p.head_dim && s.kv.kv_heads == p.kv_heads && s.kv.dtype == cache,
           "attention: sequences differ in their heads or types");
    expect(s.first_row >= 0 && s.first_row + static_cast<int64_t>(s.visible.size()) <= q.dim[0],
           "attention: rows outside q");
    KeyRange all = {INT64_MAX, 0};  // rows of one sequence see overlapping ranges
    for (const KeyRange& v : s.visible) {
      expect(v.begin < v.end, "attention: an empty range of keys");
      all = {std::min(all.begin, v.begin), std::max(all.end, v.end)};
    }
    expect(s.visible.empty() || has_pages(s.kv, all), "attention: keys outside the pages");
    run_count += (static_cast<int64_t>(s.visible.size()) + tokens_per_run - 1) / tokens_per_run;
  }
  const ArenaScope scope(ctx.arena);
  p.q = prepare_queries(ctx, q, heads, p.head_dim, cache);
  p.kernel = cache == DType::kF32 ? ctx.kernels.attention_f32
             : p.q.bf16           ? ctx.kernels.attention_bf16_bf16
             : p.q.coded.codes    ? ctx.kernels.attention_q8
                                  : ctx.kernels.attention_bf16;
  Run* runs = ctx.arena.take<Run>(run_count);
  int64_t n = 0;
  for (const AttentionSequence& s : sequences)
    for (int64_t first = 0; first < static_cast<int64_t>(s.visible.size()); first += tokens_per_run)
      runs[n++] = make_run(p, s, first, tokens_per_run);
  for (int64_t first = 0, next = 0; first < run_count; first = next) {  // as many runs as their states allow
    int64_t floats = 0;
    while (next < run_count && (next == first || (floats + run_floats(p, runs[next])) * 4 <= kStateBytes))
      floats += run_floats(p, runs[next++]);
    const ArenaScope states(ctx.arena);
    float* memory = ctx.arena.take<float>(floats);
    for (int64_t i = first; i < next; ++i) runs[i].states = memory, memory += run_floats(p, runs[i]);
    attend_runs(ctx, p, runs + first, next - first);
  }
}

}  // namespace g3n
