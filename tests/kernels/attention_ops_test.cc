// attention and kv_append over pages against softmax in doubles: segments, grouped heads, odd sizes, ragged
// sequences.
#include <cmath>

#include "g3n/error.h"
#include "kernels/ops_cases.h"

namespace g3n::test {
namespace {

// One sequence: K and V of `keys` positions, appended in chunks into pages of 64 positions, full of NaN before.
struct Sequence {
  int64_t kv_heads, head_dim, keys;
  std::vector<float> k, v;
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> pages;
  KeyValues kv;
  Sequence(DType dtype, int64_t heads, int64_t dim, int64_t count, uint32_t seed)
      : kv_heads(heads),
        head_dim(dim),
        keys(count),
        k(normal(static_cast<size_t>(count * heads * dim), seed)),
        v(normal(k.size(), seed + 1)) {
    for (int64_t p = 0; p < (count + 63) / 64; ++p)
      memory.emplace_back(static_cast<size_t>(kv_page_bytes(dtype, heads, dim, 64)), std::byte{0xff});
    for (auto& m : memory) pages.push_back(m.data());
    kv = {dtype, heads, dim, pages, 64};
  }
  void append(Context& ctx, int64_t first, int64_t count) {
    const int64_t width = kv_heads * head_dim;
    kv_append(ctx, kv, first, matrix(k, keys, width).slice(first, count), matrix(v, keys, width).slice(first, count));
  }
  // What the cache keeps of value i of k or v.
  double kept(const std::vector<float>& values, int64_t i) const {
    if (kv.dtype == DType::kF32) return values[i];
    if (kv.dtype == DType::kBF16) return bf16_to_f32(f32_to_bf16(values[i]));
    return coded(values.data() + i / head_dim * head_dim, i % head_dim,
                 [](float scale) { return f16_to_f32(f32_to_f16(scale)); });
  }
  // What the product sees of dim d of a query.
  double seen(const float* q, int64_t d) const {
    return kv.dtype == DType::kQ8_0 ? coded(q, d, [](float scale) { return scale; }) : q[d];
  }

 private:
  template <typename Rounding>
  double coded(const float* vector, int64_t d, Rounding round) const {
    float most = 0;
    for (int64_t i = d / 32 * 32; i < std::min(head_dim, d / 32 * 32 + 32); ++i)
      most = std::max(most, std::fabs(vector[i]));
    return double{round(most / 127.0f)} * std::nearbyint(vector[d] * (127.0f / most));
  }
};

// softmax(q K) V of one head of one row.
std::vector<double> exact_attention(const Sequence& s, const float* q, int64_t kv_head, KeyRange visible) {
  std::vector<double> out(static_cast<size_t>(s.head_dim)), scores;
  double top = -1e300, sum = 0;
  const int64_t width = s.kv_heads * s.head_dim;
  for (int64_t p = visible.begin; p < visible.end; ++p) {
    double score = 0;
    for (int64_t d = 0; d < s.head_dim; ++d) score += s.seen(q, d) * s.kept(s.k, p * width + kv_head * s.head_dim + d);
    scores.push_back(score), top = std::max(top, score);
  }
  for (double& score : scores) sum += score = std::exp(score - top);
  for (int64_t p = visible.begin; p < visible.end; ++p)
    for (int64_t d = 0; d < s.head_dim; ++d)
      out[d] += scores[p - visible.begin] / sum * s.kept(s.v, p * width + kv_head * s.head_dim + d);
  return out;
}

void expect_exact(const Sequence& s, const std::vector<float>& q, int64_t heads, int64_t first_row,
                  const std::vector<KeyRange>& visible, const std::vector<float>& out) {
  for (size_t t = 0; t < visible.size(); ++t)
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = ((first_row + static_cast<int64_t>(t)) * heads + h) * s.head_dim;
      const std::vector<double> want = exact_attention(s, q.data() + at, h / (heads / s.kv_heads), visible[t]);
      for (int64_t d = 0; d < s.head_dim; ++d)
        ASSERT_NEAR(out[at + d], want[d], 2e-5) << "row " << t << " head " << h << " dim " << d;
    }
}

TEST(AttentionOp, IsSoftmaxForEveryShape) {
  struct Shape {
    int64_t heads, kv_heads, head_dim;
  };
  for (const Shape& shape : {Shape{1, 1, 32}, {3, 1, 48}, {6, 3, 64}, {8, 2, 96}, {4, 2, 256}, {30, 1, 16}})
    for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
      const int64_t tokens = 45;
      Sequence s(dtype, shape.kv_heads, shape.head_dim, tokens, 1);
      std::vector<KeyRange> visible;
      for (int64_t t = 0; t < tokens; ++t) visible.push_back({std::max<int64_t>(0, t - 20), t + 1});
      const int64_t width = shape.heads * shape.head_dim;
      const std::vector<float> q = normal(static_cast<size_t>(tokens * width), 3, 0.2f);
      const std::vector<float> out = same_on_all_threads(q.size(), [&](Context& ctx, std::vector<float>& o) {
        s.append(ctx, 0, tokens);
        const AttentionSequence sequences[] = {{s.kv, 0, visible}};
        attention(ctx, matrix(q, tokens, width), shape.heads, sequences, matrix(o, tokens, width));
      });
      expect_exact(s, q, shape.heads, 0, visible, out);
    }
}

// Over a segment's border, and chunks of any size: the same bits, and right.
void expect_same_bits_in_chunks(DType dtype) {
  const int64_t keys = 2100, heads = 4, dim = 32, first = 2050, rows = keys - first, width = heads * dim;
  Sequence s(dtype, 2, dim, keys, 4);
  std::vector<KeyRange> visible;
  for (int64_t t = first; t < keys; ++t) visible.push_back({t % 3 == 0 ? 0 : t % 3 == 1 ? 1000 : 2047, t + 1});
  const std::vector<float> q = normal(static_cast<size_t>(rows * width), 5, 0.2f);
  TestContext context(2);
  s.append(context, 0, keys);
  std::vector<float> whole(q.size());
  const AttentionSequence all[] = {{s.kv, 0, visible}};
  attention(context, matrix(q, rows, width), heads, all, matrix(whole, rows, width));
  expect_exact(s, q, heads, 0, visible, whole);
  for (int64_t chunk : {1, 7}) {
    std::vector<float> out(q.size());
    for (int64_t r = 0; r < rows; r += chunk) {
      const int64_t n = std::min(chunk, rows - r);
      const AttentionSequence part[] = {
          {s.kv, 0, std::span(visible).subspan(static_cast<size_t>(r), static_cast<size_t>(n))}};
      attention(context, matrix(q, rows, width).slice(r, n), heads, part, matrix(out, rows, width).slice(r, n));
    }
    EXPECT_THAT(out, SameBits(whole)) << "chunks of " << chunk;
  }
}

TEST(AttentionOp, SegmentsAndChunksGiveTheSameBits) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0}) expect_same_bits_in_chunks(dtype);
}

// bf16 compute on a table with bf16 dot products: q is rounded, too.
TEST(AttentionOp, PairsTakeRoundedQueries) {
  const int64_t tokens = 40, heads = 4, dim = 48, width = heads * dim;
  Sequence s(DType::kBF16, 2, dim, tokens, 20);
  TestContext context(2, kReferenceKernels, ComputeType::kBF16);
  s.append(context, 0, tokens);
  std::vector<float> q = normal(static_cast<size_t>(width), 21, 0.2f), out(q.size()), unrounded(q.size());
  const std::vector<KeyRange> visible = {{0, tokens}};
  const AttentionSequence one[] = {{s.kv, 0, visible}};
  attention(context, matrix(q, 1, width), heads, one, matrix(out, 1, width));
  attention(TestContext(2, kReferenceKernels), matrix(q, 1, width), heads, one, matrix(unrounded, 1, width));
  EXPECT_NE(out, unrounded);
  for (float& value : q) value = bf16_to_f32(f32_to_bf16(value));
  expect_exact(s, q, heads, 0, visible, out);
}

TEST(AttentionOp, CodesTakeHalfTheMemory) {
  EXPECT_EQ(kv_page_bytes(DType::kBF16, 2, 256, 64), 2 * 2 * 256 * 64 * 2);
  EXPECT_EQ(kv_page_bytes(DType::kQ8_0, 2, 256, 64), 2 * 2 * 256 * 64 * 34 / 32);
  EXPECT_EQ(kv_page_bytes(DType::kQ8_0, 1, 30, 32), 2 * 32 * 34);
}

// A sliding window of 20 whose pages go when no row sees any of them: null pages are never touched.
TEST(AttentionOp, PagesBeforeTheWindowMayBeGone) {
  const int64_t keys = 300, window = 20, chunk = 7, heads = 2, dim = 30, width = heads * dim;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
    Sequence s(dtype, 1, dim, keys, 6);
    TestContext context(2);
    const std::vector<float> q = normal(static_cast<size_t>(keys * width), 8, 0.3f);
    std::vector<float> out(q.size());
    std::vector<KeyRange> visible;
    for (int64_t t = 0; t < keys; ++t) visible.push_back({std::max<int64_t>(0, t - window + 1), t + 1});
    for (int64_t t = 0; t < keys; t += chunk) {
      const int64_t n = std::min(chunk, keys - t);
      s.append(context, t, n);
      for (int64_t page = 0; (page + 1) * 64 <= t - window + 1; ++page) s.pages[static_cast<size_t>(page)] = nullptr;
      const AttentionSequence part[] = {
          {s.kv, t, std::span(visible).subspan(static_cast<size_t>(t), static_cast<size_t>(n))}};
      attention(context, matrix(q, keys, width), heads, part, matrix(out, keys, width));
    }
    EXPECT_EQ(s.pages[3], nullptr);
    expect_exact(s, q, heads, 0, visible, out);
  }
}

TEST(AttentionOp, SequencesOfABatchDoNotSeeEachOther) {
  const int64_t heads = 4, dim = 64, width = heads * dim, rows = 1 + 5 + 3;
  Sequence a(DType::kF32, 2, dim, 70, 9), b(DType::kF32, 2, dim, 5, 11), c(DType::kF32, 2, dim, 1200, 13);
  TestContext context(3);
  a.append(context, 0, 70), b.append(context, 0, 5), c.append(context, 0, 1200);
  const std::vector<KeyRange> va = {{0, 70}}, vb = {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}},
                              vc = {{0, 1198}, {0, 1199}, {0, 1200}};
  const std::vector<float> q = normal(rows * width, 15, 0.2f);
  std::vector<float> out(q.size()), one(q.size());
  const AttentionSequence all[] = {{a.kv, 0, va}, {b.kv, 1, vb}, {c.kv, 6, vc}};
  attention(context, matrix(q, rows, width), heads, all, matrix(out, rows, width));
  for (const AttentionSequence& s : all)
    attention(context, matrix(q, rows, width), heads, {&s, 1}, matrix(one, rows, width));
  EXPECT_THAT(one, SameBits(out));
  expect_exact(a, q, heads, 0, va, out), expect_exact(b, q, heads, 1, vb, out), expect_exact(c, q, heads, 6, vc, out);
}

TEST(AttentionOp, ErrorsNameWhatWasWanted) {
  Sequence s(DType::kF32, 2, 32, 64, 1);
  TestContext context(1);
  std::vector<float> q(4 * 32), out(4 * 32);
  const auto run = [&](int64_t heads, KeyRange range) {
    const std::vector<KeyRange> visible = {range};
    const AttentionSequence one[] = {{s.kv, 0, visible}};
    attention(context, matrix(q, 1, 4 * 32), heads, one, matrix(out, 1, 4 * 32));
  };
  EXPECT_THROW(run(3, {0, 1}), Error);
  EXPECT_THROW(run(4, {5, 5}), Error);
  EXPECT_THROW(run(4, {0, 65}), Error);
  EXPECT_THROW(run(4, {-1, 5}), Error);
  EXPECT_THROW(kv_append(context, s.kv, 60, matrix(s.k, 64, 64).slice(0, 5), matrix(s.v, 64, 64).slice(0, 5)), Error);
  s.pages[0] = nullptr;
  EXPECT_THROW(run(4, {0, 1}), Error);
  EXPECT_THROW(kv_append(context, s.kv, 0, matrix(s.k, 64, 64), matrix(s.v, 64, 64)), Error);
}

}  // namespace
}  // namespace g3n::test
