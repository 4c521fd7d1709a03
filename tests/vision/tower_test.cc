// The vision tower against the goldens, its structure with and without a file, other shapes than the fixtures', bits
// and bounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>

#include "checkpoint/safetensors_folder.h"
#include "core/mapped_file.h"
#include "json/config.h"
#include "media/image.h"
#include "vision/preprocess.h"
#include "vision/reference_tower.h"
#include "vision/towers.h"
#include "weights/shape_lister.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

bool all_finite(const std::vector<float>& values) {
  for (float v : values)
    if (!std::isfinite(v)) return false;
  return true;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

VisionConfig config_from(const std::string& json) { return VisionConfig::from(Config::parse(json, "config.json")); }

// ---- goldens
// ------------------------------------------------------------------------------------------------------------------------

void expect_golden(const std::string& name, const GoldenOptions& options, const RunOptions& run = {}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
  GoldenSink sink(golden, options);
  for (size_t i = 0; i < golden.images().size(); ++i) {
    const GoldenImage& image = golden.images()[i];
    if (golden.images().size() > 1) sink.set_prefix("image." + std::to_string(i) + ".");
    RunOptions with_taps = run;
    with_taps.taps = &sink;
    run_tower(tiny_tower().tower, picture(image.size, image.size, image.seed), image.size, image.size, with_taps);
  }
  EXPECT_EQ(sink.first_difference(), "") << sink.table();
  std::printf("%s\n", sink.worst().c_str());
}

TEST(VisionGolden, Size256) { expect_golden("vision_256", {}); }
TEST(VisionGolden, TwoImages) { expect_golden("two_images", {.only = "image."}); }
TEST(VisionGolden, MixedInF32) { expect_golden("mixed", {.only = "vision."}); }
TEST(VisionGolden, MixedInBF16StaysBelowTransformersOwnDistance) {
  expect_golden("mixed", {.only = "vision.", .bf16 = true}, {.compute = ComputeType::kBF16});
}
TEST(VisionGoldenSlow, Size512) { expect_golden("vision_512", {}); }
TEST(VisionGoldenSlow, Size768) { expect_golden("vision_768", {}); }
TEST(VisionGoldenSlow, Size256OnEveryTable) {
  const TableList tables = runnable_kernels();
  for (int i = 0; i < tables.count; ++i) {
    SCOPED_TRACE(tables.tables[i]->name);
    expect_golden("vision_256", {}, {.kernels = tables.tables[i]});
  }
}

TEST(VisionGolden, DemoCheckpoint) {
  const LoadedTower demo = load_tower(open_safetensors_folder(kDemoFolder), config_of(kDemoFolder));
  EXPECT_FALSE(demo.tower.stem_bias_missing());
  const std::string file = std::string(kDemoFolder) + "/media/star-and-square.png";
  std::ifstream in(file, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  constexpr int kSize = 256;
  const Pixels pixels = resize_image(decode_image(bytes, file), kSize, kSize);
  std::vector<float> hwc(pixels.rgb.size());
  to_float(pixels, kRescaleFactor, hwc.data());
  const GoldenCase golden = GoldenCase::load(GoldenCase::demo_manifest(), "spoken_question");
  GoldenSink sink(golden, {.only = "vision."});
  run_tower(demo.tower, hwc, kSize, kSize, {.taps = &sink});
  EXPECT_EQ(sink.first_difference(), "") << sink.table();
}

// ---- structure
// ----------------------------------------------------------------------------------------------------------------------

TEST(VisionStructure, NamesAndShapesWithoutAFileAreThoseOfTheTinyCheckpoint) {
  std::map<std::string, Shape> want, got;
  for (const NamedShape& t : tiny_vision_tensors()) want[t.name] = t.shape;
  for (const NamedShape& t : listed_vision_tensors(config_of(kTinyFolder))) got[t.name] = t.shape;
  EXPECT_EQ(got, want);
}

TEST(VisionStructure, NamesAndShapesWithoutAFileAreThoseOfTheDemo) {
  std::map<std::string, Shape> want, got;
  const auto source = open_safetensors_folder(kDemoFolder);
  for (const auto& [name, tensor] : source->tensors())
    if (name.find("vision") != std::string::npos) want[name] = tensor.shape;
  for (const NamedShape& t : listed_vision_tensors(config_of(kDemoFolder))) got[t.name] = t.shape;
  EXPECT_EQ(got, want);
}

TEST(VisionStructure, FullSizeCounts) {  // spec: vision.md 7
  int64_t tower = 0, embedder = 0, tower_tensors = 0;
  for (const NamedShape& t : listed_vision_tensors(config_from("{}"))) {
    int64_t size = 1;
    for (int64_t d : t.shape) size *= d;
    const bool in_tower = t.name.starts_with("model.vision_tower.");
    (in_tower ? tower : embedder) += size;
    tower_tensors += in_tower;
  }
  EXPECT_EQ(tower, 294126912);
  EXPECT_EQ(embedder, 4460544);
  EXPECT_EQ(tower_tensors, 548);
}

TEST(VisionStructure, TimmWidths) {
  EXPECT_EQ(make_divisible(8), 8);
  EXPECT_EQ(make_divisible(1), 8);
  EXPECT_EQ(make_divisible(11.9), 16);  // 8 would be more than a tenth below
  EXPECT_EQ(make_divisible(12), 16);
  EXPECT_EQ(make_divisible(83), 80);
  EXPECT_EQ(make_divisible(192.5), 192);
}

// Shapes of a tower with every width, head count and kernel size other than the fixtures', few blocks a stage. 32
// channels in stage 2 let the fusion adapter cut its weight, which the 40 of the tiny tower do not.
std::vector<NamedShape> strange_tensors() {
  const std::string t = "model.vision_tower.timm_model.";
  std::vector<NamedShape> s = {{t + "conv_stem.conv.weight", {10, 3, 3, 3}}, {t + "conv_stem.bn.weight", {10}}};
  auto edge = [&](const std::string& b, int64_t in, int64_t mid, int64_t out, int64_t k) {
    s.insert(s.end(), {{b + "conv_exp.weight", {mid, in, k, k}},
                       {b + "bn1.weight", {mid}},
                       {b + "conv_pwl.weight", {out, mid, 1, 1}},
                       {b + "bn2.weight", {out}}});
  };
  auto part = [&](const std::string& b, const std::string& name, int64_t channels, int64_t k) {
    s.insert(s.end(), {{b + name + ".conv.weight", {channels, 1, k, k}}, {b + name + ".bn.weight", {channels}}});
  };
  auto inverted = [&](const std::string& b, int64_t in, int64_t mid, int64_t out, int64_t start, int64_t middle) {
    if (start) part(b, "dw_start", in, start);
    if (middle) part(b, "dw_mid", mid, middle);
    s.insert(s.end(), {{b + "pw_exp.conv.weight", {mid, in, 1, 1}},
                       {b + "pw_exp.bn.weight", {mid}},
                       {b + "pw_proj.conv.weight", {out, mid, 1, 1}},
                       {b + "pw_proj.bn.weight", {out}},
                       {b + "layer_scale.gamma", {1, out, 1, 1}}});
  };
  auto attention = [&](const std::string& b, int64_t c, int64_t heads, int64_t d, int64_t down) {
    for (const std::string side : {"key", "value"}) {
      s.push_back({b + "attn." + side + ".proj.weight", {d, c}});
      if (down)
        s.insert(s.end(), {{b + "attn." + side + ".down_conv.weight", {c, 1, down, down}},
                           {b + "attn." + side + ".norm.weight", {c}}});
    }
    s.insert(s.end(), {{b + "norm.weight", {c}},
                       {b + "attn.query.proj.weight", {heads * d, c, 1, 1}},
                       {b + "attn.output.proj.weight", {c, heads * d, 1, 1}},
                       {b + "layer_scale.gamma", {c}}});
  };
  const std::string blocks = t + "blocks.";
  edge(blocks + "0.0.", 10, 20, 12, 5);
  edge(blocks + "0.1.", 12, 18, 12, 3);
  inverted(blocks + "1.0.", 12, 30, 14, 0, 3);
  inverted(blocks + "1.1.", 14, 22, 14, 7, 3);
  inverted(blocks + "2.0.", 14, 40, 32, 5, 7);
  attention(blocks + "2.1.", 32, 3, 10, 5);
  inverted(blocks + "3.0.", 32, 26, 34, 3, 5);
  attention(blocks + "3.1.", 34, 5, 6, 0);
  inverted(blocks + "3.2.", 34, 34, 34, 0, 0);
  s.insert(s.end(), {{t + "msfa.ffn.pw_exp.conv.weight", {50, 66, 1, 1}},
                     {t + "msfa.ffn.pw_exp.bn.weight", {50}},
                     {t + "msfa.ffn.pw_proj.conv.weight", {70, 50, 1, 1}},
                     {t + "msfa.ffn.pw_proj.bn.weight", {70}},
                     {t + "msfa.norm.weight", {70}}});
  const std::string e = "model.embed_vision.";
  s.insert(s.end(), {{e + "embedding.weight", {9, 70}},
                     {e + "hard_embedding_norm.weight", {70}},
                     {e + "soft_embedding_norm.weight", {70}},
                     {e + "embedding_projection.weight", {44, 70}}});
  return s;
}
VisionConfig strange_config() {
  return config_from(R"({"vision_config": {"hidden_size": 70, "vocab_size": 9}, "text_config": {"hidden_size": 44}})");
}

TEST(VisionStructure, WidthsHeadsAndKernelsComeFromTheTensors) {
  const std::shared_ptr<const TensorSource> tensors = hash_checkpoint(strange_tensors(), 32);
  const LoadedTower strange = load_tower(tensors, strange_config());
  EXPECT_TRUE(strange.tower.stem_bias_missing());
  // Bilinear, odd sizes, pooled non-square, enlarged.
  for (const auto& [h, w] : std::vector<std::pair<int64_t, int64_t>>{{70, 90}, {33, 7}, {256, 512}, {1, 1}}) {
    SCOPED_TRACE(std::to_string(h) + " x " + std::to_string(w));
    const std::vector<float> pixels = picture(w, h, 1);
    const std::vector<double> exact = reference_soft_tokens(*tensors, pixels, h, w, 16);
    const std::vector<float> want(exact.begin(), exact.end());
    EXPECT_LT(relative_rms(run_tower(strange.tower, pixels, h, w, {}), want), 2e-5);
  }
}

TEST(VisionStructure, TensorsThatAreMissingOrMisshapenAreReportedTogether) {
  std::vector<NamedShape> tensors = tiny_vision_tensors();
  const std::string t = "model.vision_tower.timm_model.blocks.";
  std::erase_if(tensors, [&](const NamedShape& s) {
    return s.name.starts_with(t + "2.7.dw_start") || s.name == t + "3.5.norm.weight";
  });
  for (NamedShape& s : tensors)
    if (s.name == t + "1.2.pw_proj.bn.weight") s.shape = {17};
  const std::string message = message_of([&] { load_tower(hash_checkpoint(tensors, 32), config_of(kTinyFolder)); });
  EXPECT_THAT(message, HasSubstr("2.7.dw_start.conv.weight"));
  EXPECT_THAT(message, HasSubstr("2.7.dw_start.bn.weight"));
  EXPECT_THAT(message, HasSubstr("3.5.norm.weight"));
  EXPECT_THAT(message, HasSubstr("1.2.pw_proj.bn.weight"));
}

TEST(VisionStructure, AMissingStemBiasIsZeroAndKnown) {
  std::vector<NamedShape> tensors = tiny_vision_tensors();
  std::erase_if(tensors, [](const NamedShape& s) { return s.name.ends_with("conv_stem.conv.bias"); });
  const LoadedTower tower = load_tower(hash_checkpoint(tensors, 32), config_of(kTinyFolder));
  EXPECT_TRUE(tower.tower.stem_bias_missing());
  EXPECT_FALSE(tiny_tower().tower.stem_bias_missing());
  EXPECT_TRUE(all_finite(run_tower(tower.tower, picture(64, 64, 1), 64, 64, {})));
}

TEST(VisionConfigTest, DefaultsAndContradictions) {
  const VisionConfig c = config_from("{}");
  EXPECT_EQ(c.hidden_size, 2048);
  EXPECT_EQ(c.vocab_size, 128);
  EXPECT_EQ(c.vocab_offset, 262144);
  EXPECT_EQ(c.stem_size, 64);
  EXPECT_EQ(c.soft_tokens_per_image, 256);
  EXPECT_THAT(message_of([] { config_from(R"({"vision_soft_tokens_per_image": 100})"); }),
              HasSubstr("vision_soft_tokens_per_image"));
  EXPECT_THAT(message_of([] { config_from(R"({"vision_config": {"architecture": "resnet50"}})"); }),
              HasSubstr("mobilenetv5_300m_enc"));
  EXPECT_THAT(message_of([] { config_from(R"({"vision_config": {"model_args": {"channel_multiplier": 0}}})"); }),
              HasSubstr("channel_multiplier"));
}

// ---- sizes, bits, bounds
// ------------------------------------------------------------------------------------------------------------

TEST(VisionTowerTest, AnySizeGivesTheSameBitsForAnyNumberOfThreads) {
  for (const auto& [h, w] :
       std::vector<std::pair<int64_t, int64_t>>{{64, 64}, {100, 260}, {224, 224}, {1, 1}, {33, 7}}) {
    SCOPED_TRACE(std::to_string(h) + " x " + std::to_string(w));
    const std::vector<float> pixels = picture(w, h, 5);
    const std::vector<float> one = run_tower(tiny_tower().tower, pixels, h, w, {.threads = 1});
    EXPECT_TRUE(all_finite(one));
    EXPECT_EQ(run_tower(tiny_tower().tower, pixels, h, w, {.threads = 2}), one);
    EXPECT_EQ(run_tower(tiny_tower().tower, pixels, h, w, {.threads = 3}), one);
  }
}

TEST(VisionTowerTest, NonSquareMultiplesArePooled) {
  EXPECT_TRUE(all_finite(run_tower(tiny_tower().tower, picture(512, 256, 2), 256, 512, {})));
}

TEST(VisionTowerTest, ScratchIsBounded) {
  size_t small = 0, large = 0;
  run_tower(tiny_tower().tower, picture(128, 128, 1), 128, 128, {}, &small);
  run_tower(tiny_tower().tower, picture(256, 256, 1), 256, 256, {}, &large);
  // The stem's map, the one behind it, and strips of some 4 MB each.
  EXPECT_LT(large, (64 * 128 * 128 + 8 * 64 * 64) * 4 + (24u << 20));
  EXPECT_LT(small, large);
}

TEST(VisionTowerTest, HardEmbeddings) {
  const VisionTower& tower = tiny_tower().tower;
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  std::vector<float> out(96);
  tower.hard_embedding(ctx, 0, View<float, 2>(out.data(), {1, 96}));
  double sum = 0;
  for (float v : out) sum += double{v} * v;
  EXPECT_NEAR(std::sqrt(sum / 96), 1.0, 1e-4);  // a weightless norm comes last
  EXPECT_THROW(tower.hard_embedding(ctx, 128, View<float, 2>(out.data(), {1, 96})), Error);
}

TEST(VisionTowerTest, PoolAndBilinearByHand) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  std::vector<float> values = {1, 2, 3, 4, 5, 6, 7, 8};  // 2 x 4, one channel
  const Map map{View<float, 2>(values.data(), {8, 1}), 2, 4};
  std::vector<float> out(9);
  average_pool(ctx, map, 1, 2, View<float, 2>(out.data(), {2, 1}));
  EXPECT_EQ(out[0], 3.5f);
  EXPECT_EQ(out[1], 5.5f);
  bilinear_resize(ctx, map, 3, 3, View<float, 2>(out.data(), {9, 1}));
  // Rows at 0, 0.5, 1 (of 0..1), columns at 1/6, 1.5, 17/6 (of 0..3).
  const std::vector<float> want = {1 + 1 / 6.f, 2.5f,        3 + 5 / 6.f, 3 + 1 / 6.f, 4.5f,
                                   5 + 5 / 6.f, 5 + 1 / 6.f, 6.5f,        7 + 5 / 6.f};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(out[i], want[i], 1e-5) << i;
}

TEST(VisionTowerTest, CancelledCallsEnd) {
  ThreadPool pool(1);
  Arena arena;
  const std::function<void()> cancel = [] { throw Error(ErrorCode::kCancelled, "cancelled"); };
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena, .between = &cancel};
  const std::vector<float> pixels = picture(32, 32, 1);
  std::vector<float> out(256 * 96);
  EXPECT_THROW(tiny_tower().tower.forward(ctx, View<const float, 3>(pixels.data(), {32, 32, 3}),
                                          View<float, 2>(out.data(), {256, 96})),
               Error);
}

}  // namespace
}  // namespace g3n::testing
