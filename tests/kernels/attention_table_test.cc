// Attention kernels of every table against the reference, bit for bit: odd head sizes, masks, runs of any composition.
#include <cmath>
#include <cstring>

#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

enum class Kind { kF32, kBF16, kBF16Pairs, kQ8 };
constexpr Kind kKinds[] = {Kind::kF32, Kind::kBF16, Kind::kBF16Pairs, Kind::kQ8};

// Blocks of K and V of one KV head in every type, each up against a guard page; keys that no row may see hold NaN.
struct Cache {
  int64_t head_dim, padded, blocks;
  Guarded<float> k, v;
  Guarded<bf16_t> k16, v16;
  Guarded<std::byte> k8, v8;
  Cache(int64_t dim, int64_t count, int64_t keys_end)
      : head_dim(dim),
        padded(round_up(dim, 32)),
        blocks(count),
        k(normal(static_cast<size_t>(count * 32 * dim), 1)),
        v(normal(static_cast<size_t>(count * 32 * dim), 2)),
        k16(k.size()),
        v16(v.size()),
        k8(static_cast<size_t>(count * padded * 34)),
        v8(k8.size()) {
    std::vector<float> row(static_cast<size_t>(dim));
    for (int64_t key = 0; key < blocks * 32; ++key) {
      for (int64_t d = 0; d < dim; ++d) {
        const int64_t panel = key / 16 * 16 * dim, at = panel + d * 16 + key % 16,
                      at16 = panel + d / 2 * 32 + key % 16 * 2 + d % 2;
        if (key >= keys_end) k[at] = v[key * dim + d] = NAN;
        k16[at16] = f32_to_bf16(k[at]);
        v16[key * dim + d] = f32_to_bf16(v[key * dim + d]);
        row[d] = k[at];
      }
      encode(row.data(), key, k8.data(), true);
      encode(v.data() + key * dim, key, v8.data(), false);
    }
  }
  // table.h: a block is its codes, then f16 scales [padded / 32][32 keys].
  void encode(const float* row, int64_t key, std::byte* plane, bool panels) const {
    std::vector<int8_t> codes(static_cast<size_t>(round_up(head_dim, 64)));
    std::vector<float> scales(codes.size() / 32);
    std::vector<int32_t> starts(scales.size());
    kReferenceKernels.quantize_row(row, head_dim, codes.data(), scales.data(), starts.data());
    std::byte* block = plane + key / 32 * padded * 34;
    const int64_t in_block = key % 32;
    for (int64_t d = 0; d < padded; ++d) {
      if (panels)
        block[in_block / 16 * 16 * padded + d / 4 * 64 + in_block % 16 * 4 + d % 4] =
            static_cast<std::byte>(codes[d] + 128);
      else
        block[in_block * padded + d] = static_cast<std::byte>(codes[d]);
      const uint16_t scale = f32_to_f16(scales[d / 32]);
      std::memcpy(block + 32 * padded + (d / 32 * 32 + in_block) * 2, &scale, 2);
    }
  }
  std::vector<const void*> keys(Kind kind) const { return pointers(kind, k, k16, k8); }
  std::vector<const void*> values(Kind kind) const { return pointers(kind, v, v16, v8); }

 private:
  std::vector<const void*> pointers(Kind kind, const Guarded<float>& f32, const Guarded<bf16_t>& bf16,
                                    const Guarded<std::byte>& q8) const {
    std::vector<const void*> list;
    for (int64_t b = 0; b < blocks; ++b)
      list.push_back(kind == Kind::kF32  ? static_cast<const void*>(f32.data() + b * 32 * head_dim)
                     : kind == Kind::kQ8 ? static_cast<const void*>(q8.data() + b * padded * 34)
                                         : static_cast<const void*>(bf16.data() + b * 32 * head_dim));
    return list;
  }
};

struct Attention : TableTest {
  static std::string kernels_of(const KernelTable& t) {
    return kernels_between(t, &KernelTable::attention_f32, &KernelTable::attention_merge);
  }
  struct Row {
    int64_t begin, end;
  };
  static bool has(const KernelTable& t, Kind kind) { return kind != Kind::kBF16Pairs || t.bf16_dot; }

  // The states of all rows, one after the other.
  static std::vector<float> run(const KernelTable& t, const Cache& c, const std::vector<Row>& rows, Kind kind,
                                size_t first_q = 0) {
    const size_t dim = static_cast<size_t>(c.head_dim), code_step = static_cast<size_t>(round_up(c.head_dim, 64)),
                 count = first_q + rows.size();
    const Guarded<float> q(normal(count * dim, 3, 0.3f));
    Guarded<bf16_t> q16(q.size());
    Guarded<int8_t> codes(count * code_step);
    Guarded<float> scales(codes.size() / 32);
    Guarded<int32_t> starts(scales.size());
    kReferenceKernels.to_bf16(q.data(), q16.data(), static_cast<int64_t>(q.size()));
    for (size_t r = 0; r < count; ++r)
      kReferenceKernels.quantize_row(q.data() + r * dim, c.head_dim, codes.data() + r * code_step,
                                     scales.data() + r * code_step / 32, starts.data() + r * code_step / 32);
    const size_t step = dim + 2;
    Guarded<float> states(std::vector<float>(rows.size() * step, NAN));
    std::vector<AttentionRow> list;
    for (size_t r = 0; r < rows.size(); ++r) {
      const size_t i = first_q + r;
      const void* from = kind == Kind::kQ8          ? static_cast<const void*>(codes.data() + i * code_step)
                         : kind == Kind::kBF16Pairs ? static_cast<const void*>(q16.data() + i * dim)
                                                    : q.data() + i * dim;
      list.push_back({from, rows[r].begin, rows[r].end, states.data() + r * step, scales.data() + i * code_step / 32,
                      starts.data() + i * code_step / 32});
    }
    const auto kernel = kind == Kind::kF32    ? t.attention_f32
                        : kind == Kind::kBF16 ? t.attention_bf16
                        : kind == Kind::kQ8   ? t.attention_q8
                                              : t.attention_bf16_bf16;
    const std::vector<const void*> keys = c.keys(kind), values = c.values(kind);
    kernel({list.data(), static_cast<int64_t>(list.size()), c.head_dim, 0, c.blocks, keys.data(), values.data()});
    return states.values();
  }
};

TEST_P(Attention, StatesMatchTheReference) {
  for (int64_t head_dim : {2, 16, 30, 32, 48, 64, 96, 256}) {
    const Cache cache(head_dim, 3, 90);
    for (Kind kind : kKinds) {
      if (!has(table, kind)) continue;
      for (size_t count : {1, 2, 3, 4, 5, 6, 7, 13}) {
        std::vector<Row> rows;
        for (size_t r = 0; r < count; ++r)
          rows.push_back({static_cast<int64_t>(r * 7 % 50), 90 - static_cast<int64_t>(r * 11 % 40)});
        rows[count / 2] = {40, 41};
        if (count > 3) rows[2] = {96, 200};  // sees nothing of this segment
        ASSERT_THAT(run(table, cache, rows, kind), SameBits(run(reference, cache, rows, kind)))
            << "head_dim " << head_dim << " rows " << count << " kind " << static_cast<int>(kind);
      }
    }
  }
}

TEST_P(Attention, ARowDoesNotSeeItsNeighbours) {
  const Cache cache(64, 4, 128);
  std::vector<Row> rows;
  for (int64_t r = 0; r < 24; ++r) rows.push_back({r, 100 + r});
  for (Kind kind : kKinds) {
    if (!has(table, kind)) continue;
    const std::vector<float> all = run(table, cache, rows, kind);
    for (size_t r = 0; r < rows.size(); ++r)
      ASSERT_THAT(run(table, cache, {rows[r]}, kind, r),
                  SameBits(std::vector<float>(all.begin() + static_cast<int64_t>(r) * 66,
                                              all.begin() + static_cast<int64_t>(r + 1) * 66)));
  }
}

// What a row does not see is not there for it, whatever its neighbours see: also if it is not finite.
TEST_P(Attention, AKeyThatIsNotFiniteReachesOnlyRowsThatSeeIt) {
  const int64_t head_dim = 48;
  const Cache cache(head_dim, 2, 50);  // NaN from key 50 on
  for (Kind kind : kKinds) {
    if (!has(table, kind)) continue;
    for (size_t count : {2, 4, 6, 12}) {
      std::vector<Row> rows;  // every other one sees NaN
      for (size_t r = 0; r < count; ++r)
        rows.push_back({static_cast<int64_t>(33 * (r % 3 == 2)), 50 - static_cast<int64_t>(r) + (r % 2 ? 8 : 0)});
      const std::vector<float> states = run(table, cache, rows, kind);
      for (size_t r = 0; r < count; ++r) {
        const bool sees = rows[r].end > 50;
        for (int64_t d = 0; d < head_dim; ++d)
          ASSERT_EQ(std::isnan(states[r * (head_dim + 2) + static_cast<size_t>(d)]), sees)
              << "kind " << static_cast<int>(kind) << " row " << r << " of " << count << " dim " << d;
      }
      for (size_t r = 0; r < count; r += 2) {  // alone
        const std::vector<float> alone = run(table, cache, {rows[r]}, kind, r);
        ASSERT_THAT(std::vector<float>(states.begin() + static_cast<long>(r * (head_dim + 2)),
                                       states.begin() + static_cast<long>((r + 1) * (head_dim + 2))),
                    SameBits(alone));
      }
    }
  }
}

TEST_P(Attention, PairsAreThereWithBF16Dots) { EXPECT_EQ(table.attention_bf16_bf16 != nullptr, table.bf16_dot); }

TEST_P(Attention, MergesMatchTheReference) {
  for (int64_t head_dim : {1, 16, 30, 48, 256})
    for (int64_t segments : {1, 2, 5}) {
      std::vector<float> values = normal(static_cast<size_t>(segments * (head_dim + 2)), 4);
      for (int64_t s = 0; s < segments; ++s) values[s * (head_dim + 2) + head_dim + 1] = s == 1 ? 0.0f : 1.5f;
      const Guarded<float> states(values);
      Guarded<float> got(static_cast<size_t>(head_dim)), want(static_cast<size_t>(head_dim));
      table.attention_merge(states.data(), head_dim + 2, segments, head_dim, got.data());
      reference.attention_merge(states.data(), head_dim + 2, segments, head_dim, want.data());
      ASSERT_THAT(got.values(), SameBits(want.values()));
    }
}

G3N_FOR_TABLES(Attention);

}  // namespace
}  // namespace g3n::test
