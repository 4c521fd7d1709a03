// Attention kernels of every table against the reference, bit for bit: odd head sizes, masks, runs of any composition.
#include <cmath>

#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

// Blocks of K and V of one KV head; keys that no row may see hold NaN.
struct Cache {
  int64_t head_dim, blocks;
  Guarded<float> k, v;
  Guarded<bf16_t> k16, v16;
  std::vector<const void*> keys, values, keys16, values16;
  Cache(int64_t dim, int64_t count, int64_t keys_end)
      : head_dim(dim), blocks(count), k(normal(static_cast<size_t>(count * 32 * dim), 1)), v(normal(static_cast<size_t>(count * 32 * dim), 2)),
        k16(k.size()), v16(v.size()) {
    for (int64_t key = 0; key < blocks * 32; ++key)
      for (int64_t d = 0; d < dim; ++d) {
        const int64_t panel = key / 16 * 16 * dim, at = panel + d * 16 + key % 16, at16 = panel + d / 2 * 32 + key % 16 * 2 + d % 2;
        if (key >= keys_end) k[at] = v[key * dim + d] = NAN;
        k16[at16] = f32_to_bf16(k[at]);
        v16[key * dim + d] = f32_to_bf16(v[key * dim + d]);
      }
    for (int64_t b = 0; b < blocks; ++b) {
      keys.push_back(k.data() + b * 32 * dim), values.push_back(v.data() + b * 32 * dim);
      keys16.push_back(k16.data() + b * 32 * dim), values16.push_back(v16.data() + b * 32 * dim);
    }
  }
};

struct Attention : TableTest {
  struct Row {
    int64_t begin, end;
  };
  // The states of all rows, one after the other.
  static std::vector<float> run(const KernelTable& t, const Cache& c, const std::vector<Row>& rows, bool bf16, size_t first_q = 0) {
    const Guarded<float> q(normal(64 * static_cast<size_t>(c.head_dim), 3, 0.3f));
    const int64_t step = c.head_dim + 2;
    Guarded<float> states(std::vector<float>(rows.size() * static_cast<size_t>(step), NAN));
    std::vector<AttentionRow> list;
    for (size_t r = 0; r < rows.size(); ++r)
      list.push_back({q.data() + (first_q + r) * static_cast<size_t>(c.head_dim), rows[r].begin, rows[r].end, states.data() + static_cast<int64_t>(r) * step});
    (bf16 ? t.attention_bf16 : t.attention_f32)({list.data(), static_cast<int64_t>(list.size()), c.head_dim, 0, c.blocks, bf16 ? c.keys16.data() : c.keys.data(),
                                                 bf16 ? c.values16.data() : c.values.data()});
    return states.values();
  }
};

TEST_P(Attention, StatesMatchTheReference) {
  for (int64_t head_dim : {2, 16, 30, 32, 48, 64, 96, 256})
    for (bool bf16 : {false, true}) {
      const Cache cache(head_dim, 3, 90);
      for (size_t count : {1, 2, 3, 5, 6, 7, 13}) {
        std::vector<Row> rows;
        for (size_t r = 0; r < count; ++r) rows.push_back({static_cast<int64_t>(r * 7 % 50), 90 - static_cast<int64_t>(r * 11 % 40)});
        rows[count / 2] = {40, 41};
        if (count > 3) rows[2] = {96, 200};  // sees nothing of this segment
        ASSERT_THAT(run(table, cache, rows, bf16), SameBits(run(reference, cache, rows, bf16))) << "head_dim " << head_dim << " rows " << count << " bf16 " << bf16;
      }
    }
}

TEST_P(Attention, ARowDoesNotSeeItsNeighbours) {
  const Cache cache(64, 4, 128);
  std::vector<Row> rows;
  for (int64_t r = 0; r < 24; ++r) rows.push_back({r, 100 + r});
  for (bool bf16 : {false, true}) {
    const std::vector<float> all = run(table, cache, rows, bf16);
    for (size_t r = 0; r < rows.size(); ++r)
      ASSERT_THAT(run(table, cache, {rows[r]}, bf16, r), SameBits(std::vector<float>(all.begin() + static_cast<int64_t>(r) * 66, all.begin() + static_cast<int64_t>(r + 1) * 66)));
  }
}

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
