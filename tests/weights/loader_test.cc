// The loader: names across exports, problems reported together, values packed as the file has them.
#include "weights/loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/errors.h"
#include "formats/safetensors_source.h"
#include "formats/safetensors_writer.h"
#include "kernels/pack.h"
#include "weights/shape_lister.h"
#include "weights/tensor_names.h"

namespace g3n::testing {
namespace {

TEST(TensorNames, ExportsAgree) {
  const std::string layer = "model.language_model.layers.3.mlp.up_proj.weight";
  for (const char* name : {"model.language_model.layers.3.mlp.up_proj.weight",
                           "language_model.model.layers.3.mlp.up_proj.weight", "model.layers.3.mlp.up_proj.weight",
                           "language_model.layers.3.mlp.up_proj.weight", "layers.3.mlp.up_proj.weight"})
    EXPECT_EQ(canonical_name(name), layer) << name;
  EXPECT_EQ(canonical_name("norm.weight"), "model.language_model.norm.weight");
  EXPECT_EQ(canonical_name("audio_tower.conformer.0.norm.weight"), "model.audio_tower.conformer.0.norm.weight");
  EXPECT_EQ(canonical_name("model.vision_tower.timm_model.msfa.norm.weight"),
            "model.vision_tower.timm_model.msfa.norm.weight");
  EXPECT_EQ(canonical_name("vision_tower.msfa.norm.weight"), "model.vision_tower.timm_model.msfa.norm.weight");
  EXPECT_EQ(canonical_name("language_model.lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(canonical_name("something.else"), "something.else");
}

// Values that bf16 holds exactly, all different.
float value(int64_t i) { return static_cast<float>(i % 251) - 125.0f; }

struct Stored {
  std::string name;
  DType dtype;
  Shape shape;
};

std::shared_ptr<const TensorSource> checkpoint(const TemporaryFolder& folder, const std::vector<Stored>& tensors) {
  SafetensorsWriter writer(folder / "model.safetensors");
  for (const Stored& t : tensors) {
    std::vector<std::byte> bytes(static_cast<size_t>(element_count(t.shape) * dtype_bytes(t.dtype)));
    for (int64_t i = 0; i < element_count(t.shape); ++i) {
      const float f = value(i);
      const bf16_t half =
          t.dtype == DType::kF16 ? static_cast<bf16_t>(0x3c00 + i % 1024) : f32_to_bf16(f);  // f16: 1 + i/1024
      if (t.dtype == DType::kF32)
        std::memcpy(&bytes[static_cast<size_t>(i * 4)], &f, 4);
      else if (dtype_bytes(t.dtype) == 2)
        std::memcpy(&bytes[static_cast<size_t>(i * 2)], &half, 2);
    }
    writer.add(t.name, t.dtype, t.shape, bytes);
  }
  writer.finish();
  return open_safetensors_file(folder / "model.safetensors");
}

struct Model {
  WeightView up, down, conv;
  View<const float, 1> norm, bias;
  View<const float, 2> depthwise;
  TableView table;
  void bind(Binder& binder) {
    const Binder::Scope scope(binder, "model.language_model.");
    binder.matrix("layers.0.up.weight", up, {37, 70});
    binder.matrix("layers.0.down.weight", down, {70, 5, 1, 1}, Layout::kNeurons);
    binder.matrix("layers.0.conv.weight", conv, {6, 4, 3, 3});
    binder.vector("norm.weight", norm, 19);
    binder.optional_vector("layers.0.bias", bias, 3);
    binder.depthwise("layers.0.dw.weight", depthwise, {8, 1, 3, 3});
    binder.table("embed_tokens.weight", table, {11, 6});
    binder.ignored("layers.0.dead.weight", {4});
  }
};

std::vector<Stored> good(DType type) {
  return {{"layers.0.up.weight", type, {37, 70}},       {"layers.0.down.weight", type, {70, 5}},
          {"layers.0.conv.weight", type, {6, 4, 3, 3}}, {"norm.weight", type, {19}},
          {"layers.0.dw.weight", type, {8, 1, 3, 3}},   {"embed_tokens.weight", type, {11, 6}},
          {"layers.0.dead.weight", type, {4}}};
}

std::vector<Stored> prefixed(std::vector<Stored> tensors, const std::string& prefix) {
  for (Stored& t : tensors) t.name = prefix + t.name;
  return tensors;
}

void expect_values(const Model& m, DType type) {
  EXPECT_EQ(m.up.dtype, type);
  EXPECT_EQ(m.down.layout, Layout::kNeurons);
  for (int64_t r = 0; r < 37; ++r)
    for (int64_t c = 0; c < 70; ++c) ASSERT_EQ(weight_value(m.up, r, c), value(r * 70 + c));
  for (int64_t r = 0; r < 70; ++r)
    for (int64_t c = 0; c < 5; ++c) ASSERT_EQ(weight_value(m.down, r, c), value(r * 5 + c));
  for (int64_t o = 0; o < 6; ++o)  // inputs in the order (kh * kw, in)
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t t = 0; t < 9; ++t) ASSERT_EQ(weight_value(m.conv, o, t * 4 + i), value((o * 4 + i) * 9 + t));
  for (int64_t i = 0; i < 19; ++i) ASSERT_EQ(m.norm[i], value(i));
  for (int64_t c = 0; c < 8; ++c)
    for (int64_t t = 0; t < 9; ++t) ASSERT_EQ(m.depthwise[t][c], value(c * 9 + t));
  EXPECT_FALSE(m.bias);
  EXPECT_EQ(m.table.dtype, type);
}

TEST(Loader, PacksWhatTheFileHasUnderEveryPrefix) {
  ThreadPool pool(2);
  for (const DType type : {DType::kBF16, DType::kF32})
    for (const char* prefix : {"model.language_model.", "language_model.model.", "model.", ""}) {
      SCOPED_TRACE(prefix);
      const TemporaryFolder folder;
      std::vector<std::string> warnings;
      int64_t last_done = -1, last_total = -1;
      auto source = checkpoint(folder, prefixed(good(type), prefix));
      Loader loader(source, {.pool = pool,
                             .progress =
                                 [&](int64_t done, int64_t total) {
                                   EXPECT_GE(done, last_done);
                                   last_done = done;
                                   last_total = total;
                                 },
                             .log = Log([&](const std::string& text) { warnings.push_back(text); })});
      Model model;
      model.bind(loader);
      const Loader::Bytes bytes = loader.bytes();
      const WeightStore store = loader.finish();
      expect_values(model, type);
      EXPECT_TRUE(warnings.empty());
      EXPECT_EQ(last_done, last_total);
      EXPECT_GT(last_total, 0);
      EXPECT_EQ(bytes.packed, store.allocated_bytes());
      EXPECT_EQ(bytes.mapped, 66 * dtype_bytes(type));
      float first;
      std::memcpy(&first, source->find(prefix + std::string("embed_tokens.weight"))->data, 4);
      EXPECT_EQ(model.table.data, source->find(prefix + std::string("embed_tokens.weight"))->data);
    }
}

TEST(Loader, F16BecomesBf16OnlyWhenExact) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  // 1 + i/1024: the first 8 steps of a fraction need more than bf16's 7 bits unless i is a multiple of 8.
  auto source = checkpoint(folder, {{"exact", DType::kF16, {1, 1}}, {"inexact", DType::kF16, {4, 40}}});
  Loader loader(source, {.pool = pool});
  WeightView exact, inexact;
  loader.matrix("exact", exact, {1, 1});
  loader.matrix("inexact", inexact, {4, 40});
  const WeightStore store = loader.finish();
  EXPECT_EQ(exact.dtype, DType::kBF16);
  EXPECT_EQ(inexact.dtype, DType::kF32);
  EXPECT_EQ(weight_value(inexact, 1, 3), 1.0f + 43.0f / 1024);
}

TEST(Loader, EveryProblemIsReportedAtOnce) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  std::vector<Stored> tensors = good(DType::kBF16);
  tensors[0].shape = {37, 71};
  tensors[2].dtype = DType::kI32;
  tensors.erase(tensors.begin() + 3);  // norm.weight
  Loader loader(checkpoint(folder, prefixed(tensors, "model.")), {.pool = pool});
  Model model;
  model.bind(loader);
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(), "3 tensors do not fit",
               "model.safetensors: model.layers.0.up.weight: expected shape [37, 70], found [37, 71]",
               "model.layers.0.conv.weight: expected BF16, F32, F16 or blocks of a GGUF type, found I32",
               "model.language_model.norm.weight: missing, expected shape [19]");
}

TEST(Loader, CheckingAloneTakesNoMemory) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  Loader loader(checkpoint(folder, prefixed(good(DType::kF16), "model.")), {.pool = pool, .mode = LoadMode::kCheck});
  Model model;
  model.bind(loader);
  EXPECT_FALSE(model.up);
  EXPECT_EQ(model.up.rows, 37);
  loader.check();
  View<const float, 1> absent;
  loader.vector("absent", absent, 4);
  EXPECT_ERROR(ErrorCode::kBadFile, loader.check(), "1 tensor does not fit: absent: missing");
}

TEST(Loader, ManyProblemsAreCounted) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  Loader loader(checkpoint(folder, {}), {.pool = pool});
  View<const float, 1> vector;
  for (int i = 0; i < 25; ++i) loader.vector("layers." + std::to_string(i), vector, 4);
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(), "25 tensors do not fit", "layers.19: missing", "and 5 more");
}

TEST(Loader, SurplusTensorsAreOneWarningOfTheComponentTheyBelongTo) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  std::vector<Stored> tensors = prefixed(good(DType::kBF16), "model.language_model.");
  tensors.push_back({"lm_head.weight", DType::kBF16, {2, 2}});
  tensors.push_back({"model.audio_tower.x", DType::kBF16, {2}});
  std::vector<std::string> warnings;
  Loader loader(checkpoint(folder, tensors), {.pool = pool,
                                              .log = Log([&](const std::string& text) { warnings.push_back(text); }),
                                              .components = {"model.language_model."}});
  Model model;
  model.bind(loader);
  const WeightStore store = loader.finish();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0],
              ::testing::AllOf(::testing::HasSubstr("1 tensor that this model does not use: lm_head.weight"),
                               ::testing::HasSubstr("model.safetensors")));
}

TEST(Loader, AnAbsurdShapeIsAProblemNotAnAllocation) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  Loader loader(checkpoint(folder, good(DType::kBF16)), {.pool = pool});
  WeightView view;
  loader.matrix("model.language_model.layers.0.up.weight", view, {int64_t{1} << 40, int64_t{1} << 40, 4});
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(),
               "expected shape [1099511627776, 1099511627776, 4], found [37, 70]");
}

TEST(ShapeLister, ListsNamesAndBytes) {
  ShapeLister lister;
  Model model;
  model.bind(lister);
  ASSERT_EQ(lister.listed().size(), 8u);
  EXPECT_EQ(lister.names_and_shapes().at("model.language_model.layers.0.conv.weight"), (Shape{6, 4, 3, 3}));
  EXPECT_TRUE(lister.listed()[4].optional);
  const BytesNeeded bytes = total_bytes_needed(lister.listed());
  EXPECT_EQ(bytes.mapped, 132);
  EXPECT_EQ(bytes.packed, 48 * 96 * 2 + 5 * 96 * 2 + 16 * 64 * 2 + 4 * (19 + 3 + 72));
}

}  // namespace
}  // namespace g3n::testing
