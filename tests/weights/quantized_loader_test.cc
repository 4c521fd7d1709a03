// The loader with recipes and with sources in blocks: what becomes which format, what is moved, decoded or left in the
// file.
#include <cmath>
#include <cstring>

#include "support/errors.h"
#include "kernels/pack.h"
#include "weights/loader.h"

namespace g3n::testing {
namespace {

// Tensors in memory, as a GGUF file or a folder would give them.
class Source : public TensorSource {
 public:
  // Bytes are pseudo-random; scales of types with kernels and plain values are finite.
  void add(const std::string& name, DType dtype, const Shape& shape) {
    std::vector<std::byte>& data = bytes_[name];
    data.resize(static_cast<size_t>(element_count(shape, 0) / dtype_facts(dtype).block_values * dtype_bytes(dtype)));
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>((i * 2654435761u + name.size()) >> 13);
    const size_t unit = static_cast<size_t>(dtype_bytes(dtype)),
                 high = dtype == DType::kF32 ? 3 : 1;  // exponents of f16, bf16 and f32 around 1
    for (size_t at = high; at < data.size(); at += unit) data[at] = (data[at] & std::byte{0x81}) | std::byte{0x3e};
    const bool minimum =
        dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
    if (minimum || dtype == DType::kQ6_K)  // the minimum's, or where the scale is
      for (size_t at = minimum ? 3 : 209; at < data.size(); at += unit)
        data[at] = (data[at] & std::byte{0x81}) | std::byte{0x3e};
    tensors_[name] = {.name = name,
                      .dtype = dtype,
                      .shape = shape,
                      .data = data.data(),
                      .bytes = static_cast<int64_t>(data.size()),
                      .file = "memory"};
  }
  std::vector<std::byte>& bytes(const std::string& name) { return bytes_.at(name); }
  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }

 private:
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

// The value that a tensor of plain type, q8 or q4 holds.
float stored_value(const TensorInfo& t, int64_t i) {
  uint16_t half;
  float single;
  const std::byte* at = t.data + i / dtype_facts(t.dtype).block_values * dtype_bytes(t.dtype);
  std::memcpy(&half, at, 2);
  const int64_t k = i % 32;
  switch (t.dtype) {
    case DType::kF32: std::memcpy(&single, at, 4); return single;
    case DType::kBF16: return bf16_to_f32(half);
    case DType::kQ8_0: return f16_to_f32(half) * static_cast<float>(static_cast<int8_t>(at[2 + k]));
    case DType::kQ4_0:
      return f16_to_f32(half) *
             static_cast<float>(static_cast<int>(k < 16 ? at[2 + k] & std::byte{15} : at[2 + k - 16] >> 4) - 8);
    default: return f16_to_f32(half);
  }
}

const std::string kScope = "model.language_model.";

TEST(QuantizedLoader, BlocksMoveBitForBitIntoEveryLayout) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (const char* recipe : {"", "q4", "q8"}) {  // never quantised again
      auto source = std::make_shared<Source>();
      for (const char* name : {"panels", "rows", "neurons"}) source->add(kScope + name, dtype, {37, 96});
      Loader loader(source, {.pool = pool, .recipe = Recipe::named(recipe)});
      WeightView panels, rows, neurons;
      loader.matrix(kScope + "panels", panels, {37, 96});
      loader.matrix(kScope + "rows", rows, {37, 96}, Layout::kRows);
      loader.matrix(kScope + "neurons", neurons, {37, 96}, Layout::kNeurons);
      const WeightStore store = loader.finish();
      for (const auto& [name, view] :
           {std::pair<const char*, WeightView>{"panels", panels}, {"rows", rows}, {"neurons", neurons}}) {
        EXPECT_EQ(view.dtype, dtype);
        for (int64_t i = 0; i < 37 * 96; ++i)
          ASSERT_EQ(weight_value(view, i / 96, i % 96), stored_value(*source->find(kScope + name), i))
              << name << " " << i;
      }
    }
}

TEST(QuantizedLoader, OtherBlocksStayInTheFile) {
  ThreadPool pool(1);
  auto source = std::make_shared<Source>();
  source->add(kScope + "m", DType::kIQ3_S, {37, 512});
  Loader loader(source, {.pool = pool, .recipe = Recipe::named("q4")});
  WeightView m;
  loader.matrix(kScope + "m", m, {37, 512});
  const WeightStore store = loader.finish();
  EXPECT_EQ(m.layout, Layout::kBlocks);
  EXPECT_EQ(m.dtype, DType::kIQ3_S);
  EXPECT_EQ(m.data, source->find(kScope + "m")->data);
  EXPECT_EQ(m.step_bytes, 2 * 110);
  EXPECT_EQ(store.allocated_bytes(), 0);
}

// Types that come from files only: as they are, the head too; rows stay in the file.
TEST(QuantizedLoader, BlocksOfFileTypesKeepTheirValuesInEveryLayout) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                            DType::kIQ4_NL, DType::kIQ4_XS}) {
    auto source = std::make_shared<Source>();
    for (const char* name : {"embed_tokens.weight", "panels", "rows", "neurons"})
      source->add(kScope + name, dtype, {37, 512});
    Loader loader(source, {.pool = pool, .recipe = Recipe::named("q4")});
    WeightView head, panels, rows, neurons;
    loader.matrix(kScope + "embed_tokens.weight", head, {37, 512});
    loader.matrix(kScope + "panels", panels, {37, 512});
    loader.matrix(kScope + "rows", rows, {37, 512}, Layout::kRows);
    loader.matrix(kScope + "neurons", neurons, {37, 512}, Layout::kNeurons);
    const WeightStore store = loader.finish();
    EXPECT_EQ(rows.layout, Layout::kBlocks);
    EXPECT_EQ(rows.data, source->find(kScope + "rows")->data);
    EXPECT_EQ(neurons.layout, Layout::kNeurons);
    EXPECT_EQ(head.layout, Layout::kPanels);
    EXPECT_EQ(panels.layout, Layout::kPanels);
    for (const auto& [name, view] : {std::pair<const char*, WeightView>{"embed_tokens.weight", head},
                                     {"panels", panels},
                                     {"rows", rows},
                                     {"neurons", neurons}}) {
      std::vector<float> want(37 * 512);
      decode_values(dtype, source->find(kScope + name)->data, 37 * 512, want.data());
      EXPECT_EQ(view.dtype, dtype);
      for (int64_t i = 0; i < 37 * 512; ++i)
        ASSERT_EQ(weight_value(view, i / 512, i % 512), want[static_cast<size_t>(i)])
            << dtype_name(dtype) << " " << name << " " << i;
    }
  }
}

TEST(QuantizedLoader, ScalesThatAreNoNumbersAreFoundWhateverBecomesOfThem) {
  ThreadPool pool(2);
  for (const bool stream : {false, true})
    for (const DType dtype : {DType::kQ4_K, DType::kQ8_0})
      for (const std::string name : {"m.weight", "norm.weight", "altup.modality_router.weight"}) {
        auto source = std::make_shared<Source>();
        const Shape shape = name == "norm.weight" ? Shape{512} : Shape{37, 512};
        source->add(kScope + name, dtype, shape);
        const size_t row = name == "norm.weight" ? 0 : 36,
                     per_row = 512 / static_cast<size_t>(dtype_facts(dtype).block_values);
        source->bytes(kScope + name)[(row * per_row + 1) * static_cast<size_t>(dtype_bytes(dtype)) + 1] =
            std::byte{0x7e};
        Loader loader(source, {.pool = pool, .mode = stream ? LoadMode::kStream : LoadMode::kLoad});
        WeightView matrix;
        View<const float, 1> vector;
        if (shape.size() == 1)
          loader.vector(kScope + name, vector, 512);
        else
          loader.matrix(kScope + name, matrix, {37, 512});
        const auto load = [&] {
          if (stream)
            loader.pack_each([](size_t, int64_t, std::span<const std::byte>) {}, [](int64_t) {});
          else
            loader.finish();
        };
        EXPECT_ERROR(
            ErrorCode::kBadFile, load(),
            "memory: " + kScope + name + ": row " + std::to_string(row) + ", block 1: expected a finite scale of ");
      }
}

TEST(QuantizedLoader, VectorsRoutersAndConvolutionsInBlocksBecomeF32) {
  ThreadPool pool(1);
  auto source = std::make_shared<Source>();
  const std::string router = kScope + "layers.0.altup.modality_router.weight";
  source->add(kScope + "norm", DType::kQ8_0, {64});
  source->add(router, DType::kQ8_0, {4, 64});
  source->add(kScope + "conv", DType::kQ8_0, {6, 4, 3, 32});
  Loader loader(source, {.pool = pool});
  View<const float, 1> norm;
  WeightView route, conv;
  loader.vector(kScope + "norm", norm, 64);
  loader.matrix(router, route, {4, 64});
  loader.matrix(kScope + "conv", conv, {6, 4, 3, 32});
  const WeightStore store = loader.finish();
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(norm[i], stored_value(*source->find(kScope + "norm"), i));
  EXPECT_EQ(route.dtype, DType::kF32);
  for (int64_t i = 0; i < 256; ++i)
    EXPECT_EQ(weight_value(route, i / 64, i % 64), stored_value(*source->find(router), i));
  EXPECT_EQ(conv.dtype, DType::kF32);
  for (int64_t o = 0; o < 6; ++o)
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t t = 0; t < 96; ++t)
        ASSERT_EQ(weight_value(conv, o, t * 4 + i), stored_value(*source->find(kScope + "conv"), (o * 4 + i) * 96 + t));
}

TEST(QuantizedLoader, ScalesThatAreNotFiniteAreNamed) {
  ThreadPool pool(1);
  auto source = std::make_shared<Source>();
  source->add(kScope + "m", DType::kQ4_0, {20, 64});
  source->bytes(kScope + "m")[(7 * 2 + 1) * 18 + 1] = std::byte{0x7c};
  Loader loader(source, {.pool = pool});
  WeightView m;
  loader.matrix(kScope + "m", m, {20, 64}, Layout::kNeurons);
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(), "memory: " + kScope + "m", "row 7, block 1");
}

// Big tensors are packed in parts; rows are those of the tensor.
TEST(QuantizedLoader, ValuesThatAreNotFiniteAreNamedByTheirRowInTheTensor) {
  ThreadPool pool(2);
  const int64_t rows = 16400, cols = 512;  // more than 32 MiB
  auto source = std::make_shared<Source>();
  source->add(kScope + "m", DType::kF32, {rows, cols});
  const float bad = INFINITY;
  std::memcpy(source->bytes(kScope + "m").data() + ((rows - 3) * cols + 40) * 4, &bad, 4);
  Loader loader(source, {.pool = pool, .recipe = Recipe::parse("* q8", "mine")});
  WeightView m;
  loader.matrix(kScope + "m", m, {rows, cols});
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(), "memory: " + kScope + "m: row 16397, block 1:");
}

TEST(QuantizedLoader, ARecipeChangesPlainTypes) {
  ThreadPool pool(2);
  for (const DType stored : {DType::kBF16, DType::kF32, DType::kF16}) {
    auto source = std::make_shared<Source>();
    for (const char* name : {"a", "b", "c", "d"}) source->add(kScope + name, stored, {20, 64});
    source->add(kScope + "narrow", stored, {20, 31});
    source->add(kScope + "table", stored, {20, 64});
    Loader loader(
        source, {.pool = pool, .recipe = Recipe::parse("*.a q4\n*.b q8\n*.c bf16\n*narrow q4\n*@table q8\n", "mine")});
    WeightView a, b, c, d, narrow;
    TableView table;
    loader.matrix(kScope + "a", a, {20, 64});
    loader.matrix(kScope + "b", b, {20, 64}, Layout::kNeurons);
    loader.matrix(kScope + "c", c, {20, 64});
    loader.matrix(kScope + "d", d, {20, 64});
    loader.matrix(kScope + "narrow", narrow, {20, 31});
    loader.table(kScope + "table", table, {20, 64});
    const WeightStore store = loader.finish();
    EXPECT_EQ(a.dtype, DType::kQ4_0);
    EXPECT_EQ(b.dtype, DType::kQ8_0);
    EXPECT_EQ(c.dtype, DType::kBF16);
    EXPECT_EQ(d.dtype, stored == DType::kBF16 ? stored : DType::kF32);
    EXPECT_EQ(narrow.dtype, d.dtype);
    EXPECT_EQ(table.dtype, stored) << "read where it lies";
    EXPECT_EQ(table.rounded_to, DType::kQ8_0);
    for (int64_t i = 0; i < 20 * 64; ++i) {
      const float value = stored_value(*source->find(kScope + "b"), i);
      EXPECT_NEAR(weight_value(b, i / 64, i % 64), value, 1.0f);
      EXPECT_EQ(weight_value(c, i / 64, i % 64),
                bf16_to_f32(f32_to_bf16(stored_value(*source->find(kScope + "c"), i))));
      EXPECT_EQ(weight_value(d, i / 64, i % 64), stored_value(*source->find(kScope + "d"), i));
    }
  }
}

}  // namespace
}  // namespace g3n::testing
