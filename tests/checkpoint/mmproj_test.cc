// GGUF files of the vision and audio towers: every dialect gives the tensors and the config of the tiny model, which
// then belong to a text model out of another file.
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "audio/audio_config.h"
#include "checkpoint/components.h"
#include "checkpoint/gguf_checkpoint.h"
#include "checkpoint/gguf_towers.h"
#include "core/file_kind.h"
#include "formats/gguf_writer.h"
#include "kernels/pack.h"
#include "support/errors.h"
#include "support/source_path.h"
#include "support/hash_weights.h"
#include "support/media_files.h"
#include "tools/block_encoders.h"
#include "vision/vision_config.h"
#include "weights/problems.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

const std::string kGoldens = source_path("tests/golden/data/gguf/");
const std::string kTiny = source_path("tests/golden/data/tiny");
const std::string kText = kGoldens + "text-bf16.gguf";

const TensorSource& tiny_tensors() {
  static const std::unique_ptr<TensorSource> tensors = tiny_checkpoint(kTiny);
  return *tensors;
}

// A recorded head with its data behind it, made from the tiny checkpoint as the manifest says.
std::string whole_mmproj(const TemporaryFolder& folder, const std::string& head) {
  const Config record = Config::load(kGoldens + "manifest.json").object("heads").object(head);
  std::string bytes = slurp(kGoldens + head);
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), record.integer("data_offset"));
  bytes.resize(static_cast<size_t>(record.integer("file_bytes")));
  const Config tensors = record.object("tensors");
  for (const std::string& name : tensors.keys()) {
    const Config tensor = tensors.object(name);
    const TensorInfo& from = *tiny_tensors().find(tensor.texts("from").at(0));
    const int64_t count = from.bytes / 2;
    std::vector<float> values(static_cast<size_t>(count));
    decode_values(from.dtype, from.data, count, values.data());
    auto* out = reinterpret_cast<std::byte*>(bytes.data()) + record.integer("data_offset") + tensor.integer("offset");
    encode_values(tensor.text("type") == "F16" ? DType::kF16 : DType::kF32, values.data(), count, out);
  }
  EXPECT_EQ(crc32_hex(bytes.data(), bytes.size()), record.text("crc32")) << head;
  return folder.write("mmproj-tiny.gguf", bytes);
}

void expect_tiny_towers(const Config& config, bool has_vision = true, bool has_audio = true) {
  const Config tiny = Config::load(kTiny + "/config.json");
  if (has_vision) {
    const VisionConfig got = VisionConfig::from(config), want = VisionConfig::from(tiny);
    EXPECT_EQ(got.hidden_size, want.hidden_size);
    EXPECT_EQ(got.vocab_size, want.vocab_size);
    EXPECT_EQ(got.rms_norm_eps, want.rms_norm_eps);
    EXPECT_EQ(got.output_resolution, want.output_resolution);
    EXPECT_EQ(got.text_hidden_size, want.text_hidden_size);
  }
  if (!has_audio) return;
  const AudioConfig got = AudioConfig::from(config), want = AudioConfig::from(tiny);
  EXPECT_EQ(got.mels, want.mels);
  EXPECT_EQ(got.hidden, want.hidden);
  EXPECT_EQ(got.layers, want.layers);
  EXPECT_EQ(got.heads, want.heads);
  EXPECT_EQ(got.context_left, want.context_left);
  EXPECT_EQ(got.conv_kernel_size, want.conv_kernel_size);
  EXPECT_EQ(got.reduction_factor, want.reduction_factor);
  EXPECT_EQ(got.residual_weight, want.residual_weight);
  EXPECT_EQ(got.rms_norm_eps, want.rms_norm_eps) << "not the 1e-5 of the keys";
  EXPECT_EQ(got.group_norm_eps, want.group_norm_eps);
  EXPECT_EQ(got.vocab_size, want.vocab_size);
  EXPECT_EQ(got.text_hidden, want.text_hidden);
  ASSERT_EQ(got.convs.size(), want.convs.size());
  for (size_t i = 0; i < want.convs.size(); ++i) {
    EXPECT_EQ(got.convs[i].channels, want.convs[i].channels);
    EXPECT_EQ(got.convs[i].kernel_frames, want.convs[i].kernel_frames);
    EXPECT_EQ(got.convs[i].kernel_bins, want.convs[i].kernel_bins);
  }
}

TEST(Mmproj, RecordedFilesGiveTheTensorsAndTheConfigOfTheFolder) {
  for (const std::string head : {"mmproj-f16.head", "mmproj-f16-gamma4d.head"}) {
    SCOPED_TRACE(head);
    const TemporaryFolder folder;
    const Checkpoint towers = open_gguf_towers(read_gguf(whole_mmproj(folder, head)));
    expect_tiny_towers(towers.config);
    EXPECT_EQ(towers.processor.image_width, 768);
    EXPECT_EQ(towers.tokenizer, nullptr);
    EXPECT_FALSE(has_component(towers, Component::kText));
    EXPECT_TRUE(has_component(towers, Component::kVision));
    EXPECT_TRUE(has_component(towers, Component::kAudio));
    const Config records = Config::load(kGoldens + "manifest.json").object("heads").object(head).object("tensors");
    ASSERT_EQ(towers.source->tensors().size(), records.keys().size());
    for (const std::string& name : records.keys()) {
      const std::string from = records.object(name).texts("from").at(0);
      EXPECT_EQ(tower_tensor_name(name), from);
      const TensorInfo* tensor = towers.source->find(from);
      ASSERT_NE(tensor, nullptr) << from;
      EXPECT_TRUE(same_shape(tiny_tensors().find(from)->shape, tensor->shape)) << name;
    }
  }
}

TEST(Mmproj, BelongsToATextModelWhoseIdsItTakes) {
  const TemporaryFolder folder;
  const std::string mmproj = whole_mmproj(folder, "mmproj-f16.head");
  for (const ModelPaths& paths : {ModelPaths{kText, mmproj}, ModelPaths{mmproj, kText}}) {
    const Checkpoint checkpoint = open_checkpoint(paths);
    EXPECT_EQ(checkpoint.path, kText);
    ASSERT_TRUE(checkpoint.vision && checkpoint.audio);
    EXPECT_EQ(checkpoint.vision->path, mmproj);
    expect_tiny_towers(checkpoint.config);
    EXPECT_EQ(VisionConfig::from(checkpoint.config).vocab_offset, 512);
    EXPECT_EQ(AudioConfig::from(checkpoint.config).vocab_offset, 640);
    EXPECT_EQ(checkpoint.config.integer("image_token_id"), 513);
    EXPECT_NE(checkpoint.tokenizer, nullptr);
    EXPECT_EQ(files_of(checkpoint, Component::kText).path, kText);
    // What convert writes gives the same again.
    const FileSet& files = checkpoint.files;
    expect_tiny_towers(Config::parse(std::string(files.text("config.json")), "config.json"));
    EXPECT_EQ(ProcessorConfig::load(files).image_width, 768);
    EXPECT_TRUE(files.has(kGgufKeysFile));
  }
}

TEST(ProcessorConfig, AsAFileGivesItselfBack) {
  ProcessorConfig config;
  config.image_width = 512, config.image_height = 256, config.rescale_factor = 1.0f / 127;
  config.mel.feature_size = 2, config.mel.hop_length = 100, config.mel.min_frequency = 60.5;
  config.mel.preemphasis_htk_flavor = false;
  config.mel.per_bin_mean = {0.1f, 0.2f}, config.mel.per_bin_stddev = {1.5f, 3};
  const ProcessorConfig back = ProcessorConfig::load(FileSet().with({{"processor_config.json", config.as_file()}}));
  EXPECT_EQ(back.image_width, 512);
  EXPECT_EQ(back.image_height, 256);
  EXPECT_EQ(back.rescale_factor, config.rescale_factor);
  EXPECT_EQ(back.mel.feature_size, 2);
  EXPECT_EQ(back.mel.hop_length, 100);
  EXPECT_EQ(back.mel.min_frequency, 60.5);
  EXPECT_EQ(back.mel.preemphasis_htk_flavor, false);
  EXPECT_EQ(back.mel.per_bin_mean, config.mel.per_bin_mean);
  EXPECT_EQ(back.mel.per_bin_stddev, config.mel.per_bin_stddev);
}

// A file of towers whose keys and tensors are given one by one.
class SmallMmproj {
 public:
  SmallMmproj() : path(folder_ / "mmproj-small.gguf"), writer(path) { writer.set("general.architecture", "clip"); }
  std::string finish(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
    for (const auto& [name, shape] : tensors) writer.declare(name, DType::kF32, shape);
    writer.begin_data();
    writer.finish();
    return path;
  }

 private:
  TemporaryFolder folder_;

 public:
  std::string path;
  GgufWriter writer;
};

const std::pair<std::string, std::vector<int64_t>> kStem = {"v.conv_stem.bn.weight", {64}},
                                                   kProjection = {"mm.input_projection.weight", {96, 2048}};

TEST(Mmproj, TensorsDecideWhichTowersAreThere) {
  SmallMmproj file;
  file.writer.set("clip.has_audio_encoder", true);
  file.writer.set("clip.audio.projector_type", "gemma3na");
  const Checkpoint checkpoint = open_checkpoint({kText, file.finish({kStem, kProjection})});
  EXPECT_TRUE(checkpoint.vision.has_value());
  EXPECT_FALSE(checkpoint.audio.has_value());
  EXPECT_TRUE(has_component(checkpoint, Component::kVision));
  EXPECT_FALSE(has_component(checkpoint, Component::kAudio));
}

TEST(Mmproj, TheLightConvolutionOfOllamaGetsItsAxisBack) {
  SmallMmproj file;
  const Checkpoint towers = open_gguf_towers(
      read_gguf(file.finish({{"a.blk.0.conv_dw.weight", {64, 5}}, {"a.blk.1.conv_dw.weight", {64, 1, 5}}})));
  for (const std::string block : {"0", "1"})
    EXPECT_EQ(towers.source->find("model.audio_tower.conformer." + block + ".lconv1d.depthwise_conv1d.weight")->shape,
              (std::vector<int64_t>{64, 1, 5}));
  EXPECT_EQ(AudioConfig::from(towers.config).layers, 2);
}

TEST(Mmproj, IsOfGemma3n) {
  const auto refused = [](ErrorCode code, const std::vector<std::string>& words, auto&& set) {
    SmallMmproj file;
    const auto tensors = set(file.writer);
    const std::string path = file.finish(tensors);
    const std::string message = error_of(code, [&] { open_checkpoint({kText, path}); });
    for (const std::string& word : words) EXPECT_THAT(message, HasSubstr(word));
    EXPECT_THAT(message, HasSubstr(path));
  };
  using Tensors = std::vector<std::pair<std::string, std::vector<int64_t>>>;
  refused(ErrorCode::kUnsupported, {"clip.vision.projector_type", "expected \"gemma3nv\"", "found \"gemma4v\""},
          [](GgufWriter& w) {
            w.set("clip.vision.projector_type", "gemma4v");
            return Tensors{kStem};
          });
  refused(ErrorCode::kUnsupported, {"clip.projector_type", "found \"gemma3\"", "another model"}, [](GgufWriter& w) {
    w.set("clip.projector_type", "gemma3");
    return Tensors{kStem};
  });
  refused(ErrorCode::kUnsupported, {"expected the vision or audio tower of Gemma 3n", "found neither"},
          [](GgufWriter&) {
            return Tensors{{"mm.soft_emb_norm.weight", {8}}};
          });
  refused(ErrorCode::kBadFile, {"expected towers that end in vectors of 96 values", "found 2048", "another model"},
          [](GgufWriter&) {
            return Tensors{kStem, {"mm.input_projection.weight", {2048, 2048}}};
          });
  refused(ErrorCode::kBadFile, {"a.blk.5000", "at most 4096 blocks"}, [](GgufWriter&) {
    return Tensors{{"a.blk.5000.ln1.weight", {8}}};
  });
}

// How often a file is opened while f runs.
template <typename F>
int times_opened(const std::string& path, F&& f) {
  const int watch = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  EXPECT_GE(::inotify_add_watch(watch, path.c_str(), IN_OPEN | IN_CLOSE), 0);
  f();
  int times = 0;
  alignas(inotify_event) char buffer[4096];
  for (ssize_t bytes = 0; (bytes = ::read(watch, buffer, sizeof buffer)) > 0;)
    for (ssize_t at = 0; at < bytes;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      times += (event->mask & IN_OPEN) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  ::close(watch);
  return times;
}

// A header with a vocabulary takes its time.
TEST(Mmproj, NoHeaderIsReadTwice) {
  const TemporaryFolder folder;
  const std::string mmproj = whole_mmproj(folder, "mmproj-f16.head"), text = folder.write("text.gguf", slurp(kText));
  const int alone = times_opened(text, [&] { open_checkpoint(text); });
  EXPECT_GT(alone, 0);
  for (const ModelPaths& paths : {ModelPaths{text, mmproj}, ModelPaths{mmproj, text}}) {
    EXPECT_EQ(times_opened(text, [&] { open_checkpoint(paths); }), alone);
    EXPECT_EQ(times_opened(mmproj, [&] { open_checkpoint(paths); }), alone);
  }
  EXPECT_EQ(times_opened(text, [&] { open_checkpoint_or_towers({text}); }), alone) << "inspect";
}

TEST(Mmproj, OtherFilesInItsPlace) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint({kText, kText}), kText, "expected the vision or audio tower",
               "found a text model");
  const std::string mmproj = whole_mmproj(folder, "mmproj-f16.head");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint(mmproj), "vision and audio towers alone (mmproj)",
               "as its mmproj");
  std::filesystem::copy_file(kText, folder / "text-Q4_0.gguf");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint(mmproj), "beside it: " + folder / "text-Q4_0.gguf");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint({mmproj, mmproj}), "towers alone");
  const std::string cut = folder.write("cut.gguf", slurp(mmproj).substr(0, 1'000'000));
  EXPECT_ERROR(ErrorCode::kBadFile, open_checkpoint({kText, cut}), cut, "end after the file");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint({kText, folder.write("photo.jpg", "\xff\xd8\xff")}),
               "mmproj: ", "photo.jpg", "found a file of another kind");
  std::filesystem::create_directory(folder / "alone");
  std::filesystem::copy_file(mmproj, folder / "alone/mmproj-F16.gguf");
  EXPECT_ERROR(ErrorCode::kNotFound, open_checkpoint(folder / "alone"), "found mmproj-F16.gguf (16.4 MB)",
               "of vision and audio alone: the GGUF file of the text model is missing");
}

}  // namespace
}  // namespace g3n::testing
