// The sparse feed-forward of ops.h: which neurons of a row are live decides what is read of `up` (by row) and `down`
// (by neuron). First all neurons, in groups of 32: their values, row by row. Then `down`, columns split over the
// threads: a group's weights serve all rows while in L1.
#include <atomic>
#include <bit>

#include "kernels/ops_internal.h"

namespace g3n {
namespace {

constexpr int64_t kGroup = kBlockCols;  // neurons whose values share a scale, or a sum of floats
constexpr int64_t kMostLive =
    int64_t{1} << 22;  // rows * neurons gone through at once: the lists stay below 16 MiB (codes) whatever is live
constexpr int64_t kSums = 64 * 1024;  // sums of one block of columns: 256 KiB
constexpr int64_t kFewRows = 32;      // below it several groups are gone through at once

// One group's live neurons: of `count` rows, those at entries[first_entry ..]; their neurons and values, or pairs of
// codes, from first_item on.
struct Group {
  int64_t first_entry, count, first_item;
  int64_t of_one, of_two;  // rows with one pair, which come first, and with two pairs, which follow: their number is
                           // hard to predict one by one
  uint32_t neurons;        // those live in any row
};
// Values in the form that `down` takes.
struct LiveValues {
  Group* groups;
  LiveRow* entries;   // `pairs`: of neurons, if `down` is in codes, else neurons
  NeuronPair* pairs;  // in codes
  int32_t* neurons;   // else
  float* values;
  std::atomic<int64_t> entries_taken{0}, items_taken{0};
};

// What one worker needs for some groups. Entries: one per live (neuron, row), rows ascending within a neuron.
struct Workspace {
  int32_t *neurons, *rows;
  float *gates, *values;
  float* blocks;  // [groups, row_step, 32]: values by row, zero where not live
  int8_t* codes;  // the same, quantised
  float* scales;  // [groups, row_step]
  int32_t* starts;
};

struct SparseProduct {
  Context& ctx;
  View<const float, 2> x;  // rounded if compute is bf16 and `up` of floats
  QuantizedRows coded;     // if `up` is in codes
  View<const float, 2> gate;
  const WeightView &up, &down;
  View<float, 2> out;
  const uint32_t* masks;  // [groups, rows]

  int64_t rows() const { return gate.dim[0]; }
  int64_t groups() const { return (up.rows + kGroup - 1) / kGroup; }
  int64_t row_step() const { return round_up(rows(), 2); }  // blocks of quantize_row come in pairs
  int64_t groups_at_once() const { return rows() >= kFewRows ? 1 : std::min(groups(), kFewRows / rows()); }
  // Parts of a group of neurons whose sums are apart: no pair has a neuron of each.
  int parts() const { return down.dtype == DType::kQ6_K ? 2 : 1; }
  uint32_t mask_of_part(int part) const { return parts() == 1 ? ~0u : part == 0 ? 0xffffu : 0xffff0000u; }
  int64_t pairs_in(uint32_t mask) const {
    int64_t pairs = 0;
    for (int part = 0; part < parts(); ++part) pairs += (std::popcount(mask & mask_of_part(part)) + 1) / 2;
    return pairs;
  }
  const uint32_t* masks_of(int64_t group) const { return masks + group * rows(); }

  // Entries by neuron, so that a row of `up` is read once for all rows of x, and their gates. first_of: where each
  // neuron's entries begin. Takes room in the lists for what it found; returns the number of entries.
  int64_t list_entries(int64_t first, int64_t last, const Workspace& w, int64_t* first_of, LiveValues& live) const {
    const int64_t neurons = (last - first) * kGroup;
    std::fill(first_of, first_of + neurons, 0);
    for (int64_t g = first; g < last; ++g) {
      int64_t entries = 0, items = 0, of_one = 0, of_two = 0;
      uint32_t any = 0;
      for (int64_t r = 0; r < rows(); ++r) {
        int64_t count = 0;
        any |= masks_of(g)[r];
        for (uint32_t m = masks_of(g)[r]; m; m &= m - 1, ++count)
          ++first_of[(g - first) * kGroup + std::countr_zero(m)];
        const int64_t some = !has_codes(down.dtype) ? count : pairs_in(masks_of(g)[r]);
        entries += count > 0, items += some, of_one += some == 1, of_two += some == 2;
      }
      live.groups[g] = {
          live.entries_taken.fetch_add(entries), entries, live.items_taken.fetch_add(items), of_one, of_two, any};
    }
    int64_t count = 0;
    for (int64_t n = 0; n < neurons; ++n) count += std::exchange(first_of[n], count);
    int64_t at[kFewRows * kGroup];
    std::copy(first_of, first_of + neurons, at);
    for (int64_t g = first; g < last; ++g)
      for (int64_t r = 0; r < rows(); ++r)
        for (uint32_t m = masks_of(g)[r]; m; m &= m - 1) {
          const int64_t neuron = g * kGroup + std::countr_zero(m), entry = at[neuron - first * kGroup]++;
          w.neurons[entry] = static_cast<int32_t>(neuron), w.rows[entry] = static_cast<int32_t>(r),
          w.gates[entry] = gate.row(r)[neuron];
        }
    return count;
  }

  // values = gelu(gates) * (up * x).
  void go_up(const Workspace& w, int64_t count) const {
    if (has_codes(up.dtype)) {
      const int64_t cols = up.layout == Layout::kRows ? round_up(up.cols, kPairCols) : up.cols;
      const QuantNeuronDot d{coded, cols, up.data, up.step_bytes, w.neurons, w.rows, count, w.values};
      code_kernels(ctx.kernels, up.dtype).neuron_dot(d);
    } else {
      const NeuronDot d{x.data, x.step[0], up.cols, up.data, up.step_bytes, w.neurons, w.rows, count, w.values};
      up.dtype == DType::kBF16 ? ctx.kernels.neuron_dot_bf16(d) : ctx.kernels.neuron_dot_f32(d);
    }
    ctx.kernels.gelu(w.gates, w.gates, count);
    ctx.kernels.mul(w.values, w.gates, w.values, count);
  }

  // Values as they are (or rounded), by row. at: where each neuron's entries begin.
  void keep_floats(int64_t group, int64_t* at, const Workspace& w, LiveValues& live) const {
    const Group& g = live.groups[group];
    LiveRow* entry = live.entries + g.first_entry;
    int64_t item = g.first_item;
    for (int64_t r = 0; r < rows(); ++r) {
      const int64_t before = item;
      for (uint32_t m = masks_of(group)[r]; m; m &= m - 1, ++item) {
        const int bit = std::countr_zero(m);
        live.neurons[item] = static_cast<int32_t>(group * kGroup + bit), live.values[item] = w.values[at[bit]++];
      }
      if (item > before) *entry++ = {static_cast<int32_t>(r), static_cast<int32_t>(item - before), 0.0f, 0};
    }
    if (ctx.compute == ComputeType::kBF16)
      ctx.kernels.round_bf16(live.values + g.first_item, live.values + g.first_item, item - g.first_item);
  }

  // Of a row's values as a block of int8 the live ones, in pairs; rows by their number of pairs. codes, scales, starts:
  // of this group.
  void keep_codes(int64_t group, const int8_t* codes, const float* scales, const int32_t* starts,
                  LiveValues& live) const {
    const Group& g = live.groups[group];
    LiveRow* const entries = live.entries + g.first_entry;
    NeuronPair* const pairs = live.pairs + g.first_item;
    LiveRow* entry[3] = {entries, entries + g.of_one, entries + g.of_one + g.of_two};
    NeuronPair* pair[3] = {pairs, pairs + g.of_one, pairs + g.of_one + 2 * g.of_two};
    for (int64_t r = 0; r < rows(); ++r, codes += kGroup) {
      const uint32_t m = masks_of(group)[r];
      if (!m) continue;
      NeuronPair some[kGroup / 2];
      int count = 0;
      for (int part = 0; part < parts(); ++part)
        for (uint32_t of_part = m & mask_of_part(part); of_part;) {
          const int a = std::countr_zero(of_part);
          of_part &= of_part - 1;
          const int b = of_part ? std::countr_zero(of_part) : a;
          some[count++] = {static_cast<uint8_t>(a), static_cast<uint8_t>(b), codes[a], of_part ? codes[b] : int8_t{0}};
          of_part &= of_part - 1;
        }
      const int kind = std::min(count, 3) - 1;
      *entry[kind]++ = {static_cast<int32_t>(r), count, scales[r], starts[r]};
      pair[kind] = std::copy(some, some + count, pair[kind]);
    }
  }

  void find_values(int64_t first, int64_t last, const Workspace& w, LiveValues& live) const {
    int64_t first_of[kFewRows * kGroup];
    const int64_t count = list_entries(first, last, w, first_of, live);
    go_up(w, count);
    if (!has_codes(down.dtype)) {
      for (int64_t g = first; g < last; ++g) keep_floats(g, first_of + (g - first) * kGroup, w, live);
      return;
    }
    const auto place = [&](int64_t i) {
      return ((w.neurons[i] / kGroup - first) * row_step() + w.rows[i]) * kGroup + w.neurons[i] % kGroup;
    };
    for (int64_t i = 0; i < count; ++i) w.blocks[place(i)] = w.values[i];
    ctx.kernels.quantize_row(w.blocks, (last - first) * row_step() * kGroup, w.codes, w.scales, w.starts);
    for (int64_t i = 0; i < count; ++i) w.blocks[place(i)] = 0.0f;
    for (int64_t g = first; g < last; ++g) {
      const int64_t block = (g - first) * row_step();
      keep_codes(g, w.codes + block * kGroup, w.scales + block, w.starts + block, live);
    }
  }

  Workspace make_workspace() const {
    const int64_t most = groups_at_once() * kGroup * rows(), blocks = groups_at_once() * row_step();
    Arena& arena = ctx.arena;
    Workspace w{arena.take<int32_t>(most),
                arena.take<int32_t>(most),
                arena.take<float>(most),
                arena.take<float>(most),
                nullptr,
                nullptr,
                nullptr,
                nullptr};
    if (!has_codes(down.dtype)) return w;
    w.blocks = arena.take<float>(blocks * kGroup), w.codes = arena.take<int8_t>(blocks * kGroup);
    w.scales = arena.take<float>(blocks), w.starts = arena.take<int32_t>(blocks);
    std::fill(w.blocks, w.blocks + blocks * kGroup, 0.0f);
    return w;
  }

  // All groups: each thread takes the next ones and has a workspace of its own.
  void find_all_values(LiveValues& live) const {
    const int64_t workers = ctx.pool.threads(), step = groups_at_once();
    Workspace* workspaces = ctx.arena.take<Workspace>(workers);
    for (int64_t i = 0; i < workers; ++i) workspaces[i] = make_workspace();
    std::atomic<int64_t> next{0};
    ctx.pool.parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t worker = begin; worker < end; ++worker)
        for (int64_t g; (g = next.fetch_add(step)) < groups();)
          find_values(g, std::min(g + step, groups()), workspaces[worker], live);
    });
  }

  // Where a group of 32 neurons in codes lies, and the planes that it shares with its neighbours (core/weight.h).
  int64_t padded_outputs() const { return round_up(down.rows, kNeuronOutputs); }
  const std::byte* head_of_down(int64_t g) const {
    return down.data + g * kGroup / neuron_group(down.dtype).neurons * down.step_bytes;
  }
  const std::byte* group_of_down(int64_t g) const {
    const NeuronGroup group = neuron_group(down.dtype);
    return head_of_down(g) + padded_outputs() * (group.head_bytes + g % (group.neurons / kGroup) * group.group_bytes);
  }

  // out columns col .. col + width, all rows, through sums [rows, width]: rows of `out` 2^n bytes apart would share
  // sets of L2.
  void go_down(const LiveValues& live, int64_t col, int64_t width, float* sums) const {
    std::fill(sums, sums + rows() * width, 0.0f);
    for (int64_t g = 0; g < groups(); ++g) {
      const Group& group = live.groups[g];
      const LiveRow* entries = live.entries + group.first_entry;
      if (group.count == 0) continue;
      if (has_codes(down.dtype)) {
        const QuantNeuronSum s{.live = entries,
                               .count = group.count,
                               .pairs = live.pairs + group.first_item,
                               .neurons = group.neurons,
                               .group = group_of_down(g),
                               .head = head_of_down(g),
                               .outputs = padded_outputs(),
                               .first = col,
                               .width = width,
                               .out = sums,
                               .out_step = width};
        code_kernels(ctx.kernels, down.dtype).neuron_sum(s);
        continue;
      }
      int64_t item = group.first_item;
      for (int64_t i = 0; i < group.count; item += entries[i++].pairs) {
        const NeuronSum s{
            live.neurons + item,          live.values + item, entries[i].pairs, down.data, down.step_bytes, col, width,
            sums + entries[i].row * width};
        down.dtype == DType::kBF16 ? ctx.kernels.neuron_sum_bf16(s) : ctx.kernels.neuron_sum_f32(s);
      }
    }
    for (int64_t r = 0; r < rows(); ++r) std::copy(sums + r * width, sums + (r + 1) * width, out.row(r) + col);
  }

  // Columns in blocks: as many as keep the sums in L2, fewer if threads would have none.
  void go_down(const LiveValues& live) const {
    const int64_t hidden = down.rows, workers = ctx.pool.threads(),
                  fair = workers == 1 ? hidden : round_up(hidden / (workers * 2), 64);
    const int64_t width = std::clamp<int64_t>(std::min(fair, kSums / rows() / 64 * 64), 64, 512);
    float* sums = ctx.arena.take<float>(workers * rows() * width);
    std::atomic<int64_t> next{0};
    ctx.pool.parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t worker = begin; worker < end; ++worker)
        for (int64_t c; (c = next.fetch_add(width)) < hidden;)
          go_down(live, c, std::min(width, hidden - c), sums + worker * rows() * width);
    });
  }

  void run(int64_t live_count) const {
    const int64_t most_entries = std::min(live_count, rows() * groups());
    LiveValues live;
    live.groups = ctx.arena.take<Group>(groups());
    live.entries = ctx.arena.take<LiveRow>(most_entries);
    if (has_codes(down.dtype)) {
      live.pairs = ctx.arena.take<NeuronPair>((live_count + most_entries * parts()) / 2);
    } else {
      live.neurons = ctx.arena.take<int32_t>(live_count), live.values = ctx.arena.take<float>(live_count);
    }
    find_all_values(live);
    go_down(live);
  }
};

// Bit i of masks[group * rows + row]: neuron 32 group + i is live in this row. Returns their number.
int64_t find_live(Context& ctx, View<const float, 2> gate, uint32_t* masks) {
  const int64_t rows = gate.dim[0];
  std::atomic<int64_t> live{0};
  for_rows(ctx, rows, gate.dim[1], [&](int64_t begin, int64_t end) {
    int64_t some = 0;
    for (int64_t r = begin; r < end; ++r) some += ctx.kernels.live_masks(gate.row(r), gate.dim[1], masks + r, rows);
    live.fetch_add(some);
  });
  return live.load();
}

// Rows that fit the lists.
void some_rows(Context& ctx, View<const float, 2> x, View<const float, 2> gate, const WeightView& up,
               const WeightView& down, View<float, 2> out) {
  const ArenaScope scope(ctx.arena);
  const int64_t groups = (up.rows + kGroup - 1) / kGroup;
  uint32_t* masks = ctx.arena.take<uint32_t>(groups * x.dim[0]);
  const int64_t live = find_live(ctx, gate, masks);
  SparseProduct product{
      .ctx = ctx, .x = x, .coded = {}, .gate = gate, .up = up, .down = down, .out = out, .masks = masks};
  if (has_codes(up.dtype))
    product.coded = quantize_rows(ctx, x, sums_for(up.dtype));
  else
    product.x = rounded_input(ctx, x);
  product.run(live);
}

}  // namespace

void sparse_feed_forward(Context& ctx, View<const float, 2> x, View<const float, 2> gate, const WeightView& up,
                         const WeightView& down, View<float, 2> out) {
  const bool blocks = up.layout == Layout::kBlocks && has_kernels(up.dtype, Layout::kBlocks);
  expect_weight(up, blocks ? Layout::kBlocks : Layout::kRows, "sparse_feed_forward up");
  expect_weight(down, Layout::kNeurons, "sparse_feed_forward down");
  const int64_t rows = x.dim[0];
  expect_shape(x, {rows, up.cols}, "sparse_feed_forward x");
  expect_shape(gate, {rows, up.rows}, "sparse_feed_forward gate");
  expect_shape(out, {rows, down.rows}, "sparse_feed_forward out");
  expect(down.cols == up.rows, "sparse_feed_forward: `up` and `down` differ in their neurons");
  const int64_t at_once = std::max<int64_t>(1, kMostLive / std::max<int64_t>(1, up.rows));
  for (int64_t first = 0; first < rows; first += at_once) {
    const int64_t count = std::min(at_once, rows - first);
    some_rows(ctx, x.slice(first, count), gate.slice(first, count), up, down, out.slice(first, count));
  }
}

}  // namespace g3n
