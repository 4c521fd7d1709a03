// Gemma3n and CpuModel over the tiny checkpoint: what is known before weights are loaded, encoders that come on demand
// and go while somebody runs them, calls within calls, scratch.
#include <atomic>
#include <cmath>
#include <thread>

#include "checkpoint/components.h"
#include "checkpoint/convert.h"
#include "support/errors.h"
#include "model/tiny_model.h"
#include "support/golden.h"
#include "tools/gguf_maker.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

const std::vector<int32_t> kIds = {2, 105, 300, 7, 440, 106, 12};

TEST(Gemma3n, OpenTellsAllThatIsKnownWithoutWeights) {
  const std::shared_ptr<const Gemma3n> model = open_tiny();
  EXPECT_FALSE(model->has_weights());
  EXPECT_EQ(model->packed_bytes(), 0);
  EXPECT_EQ(model->text().config().max_position_embeddings, 32768);
  EXPECT_TRUE(model->kinds().of(MediaKind::kImage).has_encoder);
  EXPECT_TRUE(model->kinds().of(MediaKind::kAudio).has_encoder);
  EXPECT_EQ(picture(*model).height, kImageSize);
  CpuModel cpu(model, {.threads = 1});
  EXPECT_EQ(cpu.vocab_size(), 768);
  EXPECT_EQ(cpu.choosable_ids(), 512);
  EXPECT_EQ(cpu.hidden_size(), 96);
  std::vector<float> logits(768);
  EXPECT_ERROR(ErrorCode::kUnsupported, cpu.forward({}, {logits.data(), {1, 768}}, {}), "without weights");
}

TEST(Gemma3n, ProgressComesFromLoadingTheText) {
  const std::unique_ptr<Gemma3n> model = open_tiny();
  ThreadPool pool(1);
  int64_t needed = 0, last = -1, total = 0;
  model->load_weights(pool, {.on_memory = [&](int64_t n, int64_t) { needed = n; },
                             .on_progress =
                                 [&](int64_t done, int64_t all) {
                                   EXPECT_GE(done, last);
                                   last = done, total = all;
                                 }});
  EXPECT_TRUE(model->has_weights());
  EXPECT_GT(needed, 0);
  EXPECT_EQ(model->packed_bytes(), needed);
  EXPECT_GT(total, 0);
  EXPECT_EQ(last, total);
}

TEST(Gemma3n, WarningsOfTheGenerationConfigAreTold) {
  const TinyFolder folder;
  folder.write("generation_config.json", R"({"do_sample": false, "top_p": 0.0})");
  std::vector<std::string> warnings;
  const auto model =
      Gemma3n::open({folder.path}, {.log = Log([&](const std::string& text) { warnings.push_back(text); })});
  EXPECT_EQ(model->generation().sampling.temperature, 0);
  EXPECT_THAT(warnings, ::testing::Contains(HasSubstr("top_p")));
}

TEST(Gemma3n, AFrontEndThatMakesOtherFramesIsRefused) {
  const TinyFolder folder;
  folder.write("preprocessor_config.json", R"({"feature_size": 64})");
  EXPECT_ERROR(ErrorCode::kBadFile, open_tiny({folder.path}), "input_feat_size: expected 64", "found 128");
}

TEST(Gemma3n, AFileOfTextAloneHasNoEncoders) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  write_random_gguf(pool, kTinyConfig, folder / "text.gguf", DType::kBF16);
  const std::unique_ptr<Gemma3n> model = open_tiny({folder / "text.gguf"});
  for (const MediaKindFacts& kind : model->kinds().all()) EXPECT_FALSE(kind.has_encoder);
  EXPECT_ERROR(ErrorCode::kUnsupported, model->load_encoder(MediaKind::kImage), "text.gguf", "no vision tower");
  EXPECT_ERROR(ErrorCode::kUnsupported, model->audio(), "text.gguf", "no audio tower");
  EXPECT_ERROR(ErrorCode::kUnsupported, picture(*model), "text.gguf", "no vision tower");
  EXPECT_ERROR(ErrorCode::kUnsupported, clip(*model), "text.gguf", "no audio tower");
  const SoftTokens ready{256, std::vector<float>(256 * 96, 1.0f)};
  EXPECT_NE(model->read(ImagePart{ready}, 0).ready, nullptr);
  model->release_encoders();
}

// Some of a tower's tensors: the others are missing. Those of its embedder alone are no tower.
TEST(Components, AnyTensorOfATowerMeansATower) {
  const TemporaryFolder folder;
  const auto with = [&](const std::string& tensor) {
    folder.write("model.safetensors",
                 safetensors("{\"" + tensor + R"(": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 4));
    folder.write("config.json", slurp(kTinyConfig));
    return open_checkpoint(folder.path());
  };
  const auto found = [](const Checkpoint& c) {
    return std::vector<bool>{has_component(c, Component::kText), has_component(c, Component::kVision),
                             has_component(c, Component::kAudio)};
  };
  EXPECT_EQ(found(with("model.language_model.norm.weight")), (std::vector<bool>{true, false, false}));
  EXPECT_EQ(found(with("model.vision_tower.timm_model.blocks.3.38.pw_exp.conv.weight")),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(found(with("model.audio_tower.conformer.1.norm.weight")), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(found(with("model.embed_vision.embedding.weight")), (std::vector<bool>{false, false, false}));
  EXPECT_EQ(found(with("model.embed_audio.embedding.weight")), (std::vector<bool>{false, false, false}));
}

TEST(Encoders, TwoThreadsThatAskAtOnceGetOne) {
  const Loaded one;
  const int64_t before = one.model->packed_bytes();
  for (const MediaKind kind : {MediaKind::kImage, MediaKind::kAudio}) {
    std::atomic<int> ready{0};
    std::shared_ptr<const void> got[2];
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back([&, i] {
        ++ready;
        while (ready < 2) std::this_thread::yield();
        if (kind == MediaKind::kImage)
          got[i] = one.model->vision();
        else
          got[i] = one.model->audio();
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_NE(got[0], nullptr);
    EXPECT_EQ(got[0], got[1]);
  }
  const int64_t both = one.model->packed_bytes();
  EXPECT_GT(both, before);
  one.model->release_encoders();
  EXPECT_EQ(one.model->packed_bytes(), before);
  one.model->load_encoder(MediaKind::kImage), one.model->load_encoder(MediaKind::kAudio);
  EXPECT_EQ(one.model->packed_bytes(), both);
}

TEST(Encoders, TheOneThatSomebodyRunsOutlivesItsRelease) {
  Loaded one;
  const MediaInput image = picture(*one.model);
  const std::vector<float> want = one.encode(image);
  int calls = 0;
  const std::shared_ptr<const VisionTower> held = one.model->vision();
  const std::function<void()> release = [&] {
    if (++calls == 3) one.model->release_encoders();
  };
  EXPECT_EQ(one.encode(image, {.between = &release}), want);
  EXPECT_GE(calls, 3);
  EXPECT_NE(one.model->vision(), held);  // loaded anew beside the old one
  EXPECT_EQ(one.encode(image), want);
}

// Encoders are packed while the model steps on its own threads.
TEST(Encoders, AreLoadedWhileTheModelSteps) {
  Loaded one;
  const std::vector<float> want = one.forward(kIds);
  std::atomic<bool> done{false};
  std::thread loader([&] {
    for (int i = 0; i < 3; ++i) {
      one.model->load_encoder(MediaKind::kImage);
      one.model->load_encoder(MediaKind::kAudio);
      one.model->release_encoders();
    }
    done = true;
  });
  do {
    ASSERT_EQ(one.forward(kIds), want);
  } while (!done);
  loader.join();
}

TEST(Encoders, OfABundleGiveTheBitsOfTheFolder) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  convert_to_bundle(open_checkpoint(tiny_path()), folder / "tiny.g3n", {.pool = pool});
  Loaded from_folder, from_bundle({folder / "tiny.g3n"});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(from_bundle.encode(picture(*from_bundle.model)), from_folder.encode(picture(*from_folder.model)));
    EXPECT_EQ(from_bundle.encode(clip(*from_bundle.model)), from_folder.encode(clip(*from_folder.model)));
    EXPECT_EQ(from_bundle.model->packed_bytes(), 0);
    from_bundle.model->release_encoders();
  }
  EXPECT_EQ(from_bundle.forward(kIds), from_folder.forward(kIds));
}

// From pixels and samples to soft tokens, tap by tap as transformers.
TEST(CpuModel, EncodersGiveTheGoldens) {
  Loaded one;
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), "mixed");
  ASSERT_EQ(golden.images().size(), 1u);
  ASSERT_EQ(golden.clips().size(), 1u);
  const GoldenImage& image = golden.images()[0];
  const GoldenClip& clip_of = golden.clips()[0];
  const auto side = static_cast<int>(image.size);
  GoldenSink vision(golden, {.only = "vision."}), audio(golden, {.only = "audio."});
  one.encode(one.model->read(ImagePart{Pixels{side, side, golden_image(image.size, image.seed)}}, 256),
             {.taps = &vision});
  one.encode(
      one.model->read(AudioPart{Samples{golden_samples(clip_of.samples, static_cast<uint32_t>(clip_of.seed))}}, 0),
      {.taps = &audio});
  EXPECT_EQ(vision.first_difference(), "");
  EXPECT_EQ(audio.first_difference(), "");
  std::printf("%s\n%s\n", vision.worst().c_str(), audio.worst().c_str());
}

TEST(CpuModel, AStepWithinAnEncodeChangesNeither) {
  Loaded one;
  const std::vector<float> logits = one.forward(kIds);
  for (const MediaInput& input : {picture(*one.model), clip(*one.model)}) {
    const std::vector<float> want = one.encode(input);
    int calls = 0;
    const std::function<void()> step = [&] {
      ++calls;
      ASSERT_EQ(one.forward(kIds), logits);
    };
    EXPECT_EQ(one.encode(input, {.between = &step}), want);
    EXPECT_GT(calls, 1);
  }
  EXPECT_EQ(one.forward(kIds), logits);
}

TEST(CpuModel, WhatBetweenThrowsEndsTheCall) {
  Loaded one;
  const MediaInput image = picture(*one.model);
  const std::vector<float> want = one.encode(image), logits = one.forward(kIds);
  const size_t scratch = one.cpu->scratch_bytes();
  int calls = 0;
  const std::function<void()> cancel = [&] {
    if (++calls == 5) throw Error(ErrorCode::kCancelled, "cancelled");
  };
  EXPECT_ERROR(ErrorCode::kCancelled, one.encode(image, {.between = &cancel}), "cancelled");
  EXPECT_LE(one.cpu->scratch_bytes(), scratch);
  EXPECT_EQ(one.encode(image), want);
  EXPECT_EQ(one.forward(kIds), logits);
}

TEST(CpuModel, TheScratchOfAnEncoderGoesBack) {
  Loaded one;
  one.forward(kIds);
  const size_t of_steps = one.cpu->scratch_bytes();
  one.encode(one.model->read(ImagePart{Pixels{8, 8, golden_picture(8, 8, 1)}}, 512));
  EXPECT_LE(one.cpu->scratch_bytes(), of_steps);
  // Not under a call that still uses its own.
  size_t inside = 0;
  const MediaInput image = picture(*one.model);
  const std::function<void()> step = [&] {
    one.forward(kIds);
    inside = std::max(inside, one.cpu->scratch_bytes());
  };
  one.encode(image, {.between = &step});
  EXPECT_GT(inside, 0u);
}

TEST(CpuModel, SideIdsComeFromTheirEncodersTable) {
  Loaded one;
  const int64_t hidden = one.cpu->hidden_size();
  std::vector<float> image(static_cast<size_t>(hidden)), audio = image;
  one.cpu->embed_side_id(512 + 3, as_view(image.data(), hidden));
  one.cpu->embed_side_id(640 + 3, as_view(audio.data(), hidden));
  EXPECT_NE(image, audio);
  Arena arena;
  Context ctx{.pool = one.cpu->pool(), .kernels = one.cpu->kernels(), .arena = arena};
  std::vector<float> want(static_cast<size_t>(hidden));
  one.model->vision()->hard_embedding(ctx, 3, {want.data(), {1, hidden}});
  EXPECT_EQ(image, want);
  one.model->audio()->hard_embedding(ctx, 3, {want.data(), {1, hidden}});
  EXPECT_EQ(audio, want);
  for (const int32_t id : {-1, 0, 511, 768})
    EXPECT_ERROR(ErrorCode::kInvalidArgument, one.cpu->embed_side_id(id, as_view(image.data(), hidden)),
                 "id " + std::to_string(id));
}

// D14: a hole between the side vocabularies belongs to neither; it used to be taken for the picture's.
TEST(CpuModel, IdsBetweenSideVocabulariesAreRefused) {
  const TinyFolder folder;
  std::string config = slurp(kTinyConfig);
  const std::string offset = "\"vocab_offset\": 640";
  ASSERT_NE(config.find(offset), std::string::npos);
  config.replace(config.find(offset), offset.size(), "\"vocab_offset\": 650");
  folder.write("config.json", config);
  Loaded one({folder.path});
  std::vector<float> out(96);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, one.cpu->embed_side_id(645, as_view(out.data(), 96)), "id 645");
}

TEST(CpuModel, ParallelCoversTheRangeOnce) {
  Loaded one;
  for (const int64_t count : {0, 1, 7, 8, 9, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
    one.cpu->parallel(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    for (const auto& times : seen) EXPECT_EQ(times, 1);
  }
}

TEST(CpuModel, CachesAreOfTheTypeAskedFor) {
  const std::shared_ptr<Gemma3n> model = open_tiny();
  ThreadPool pool(1);
  model->load_weights(pool);
  std::vector<int64_t> bytes;
  for (const auto& [compute, kv] : {std::pair{Compute::kF32, CacheType::kAuto},
                                    {Compute::kBF16, CacheType::kF32},
                                    {Compute::kBF16, CacheType::kAuto},
                                    {Compute::kF32, CacheType::kBF16},
                                    {Compute::kF32, CacheType::kQ8}}) {
    CpuModel cpu(model, {.threads = 1, .compute = compute, .kv = kv});
    EXPECT_EQ(cpu.cache_use().bytes, 0);
    const std::unique_ptr<SequenceCache> cache = cpu.make_cache(64);
    EXPECT_EQ(cache->context(), 64);
    SequenceCache* const caches[] = {cache.get()};
    const Row row{.id = 2, .wants_logits = true};
    std::vector<float> logits(768);
    cpu.forward({{&row, 1}, caches, {}}, {logits.data(), {1, 768}}, {});
    cache->commit(1);
    bytes.push_back(cpu.cache_use().bytes);
    EXPECT_GT(cpu.cache_use().pages, 0);
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(bytes[2], bytes[3]);
  EXPECT_EQ(bytes[0], 2 * bytes[2]);
  EXPECT_LT(bytes[4], bytes[2]);
}

}  // namespace
}  // namespace g3n::testing
