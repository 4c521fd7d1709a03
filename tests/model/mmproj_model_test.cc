// Towers out of mmproj files beside a text model out of another file: tap by tap those of the folder that they were
// made from, to the bit in F32, within the rounding of their type else.
#include <cstring>
#include <filesystem>
#include <map>

#include "checkpoint/convert.h"
#include "model/tiny_model.h"
#include "support/golden.h"
#include "support/source_path.h"
#include "tools/mmproj_maker.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

const std::string kTextFile = source_path("tests/golden/data/gguf/text-bf16.gguf");

std::string write_tiny_mmproj(const TemporaryFolder& folder, const MmprojOptions& options) {
  ThreadPool pool(2);
  const std::string path = folder / "mmproj-tiny.gguf";
  write_mmproj(pool, open_checkpoint(tiny_path()), path, options);
  return path;
}

// Every tap of a run.
class Taps : public TapSink {
 public:
  bool wants(const std::string&) override { return true; }
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int) override {
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    values[name].assign(data, data + count);
  }
  std::map<std::string, std::vector<float>> values;
};

std::map<std::string, std::vector<float>> taps_of(Loaded& loaded) {
  Taps taps;
  loaded.encode(picture(*loaded.model), {.taps = &taps});
  loaded.encode(clip(*loaded.model), {.taps = &taps});
  return std::move(taps.values);
}
const std::map<std::string, std::vector<float>>& folder_taps() {
  static const std::map<std::string, std::vector<float>> taps = [] {
    Loaded folder;
    return taps_of(folder);
  }();
  return taps;
}

// The largest distance of a tap from the folder's; 0: the bits are the same.
double expect_near(const MmprojOptions& options, double tolerance) {
  const TemporaryFolder folder;
  Loaded loaded({kTextFile, write_tiny_mmproj(folder, options)});
  const auto got = taps_of(loaded);
  EXPECT_EQ(got.size(), folder_taps().size());
  EXPECT_GT(got.size(), 100u);
  double worst = 0;
  for (const auto& [name, want] : folder_taps()) {
    const auto found = got.find(name);
    if (found == got.end()) {
      ADD_FAILURE() << name;
      continue;
    }
    const bool same =
        found->second.size() == want.size() && std::memcmp(found->second.data(), want.data(), want.size() * 4) == 0;
    const double distance = same ? 0 : relative_rms(found->second, want);
    EXPECT_LE(distance, tolerance) << name;
    worst = std::max(worst, distance);
  }
  std::printf("%s: worst tap %.3g\n", dtype_name(options.type), worst);
  return worst;
}

TEST(MmprojModel, F32InEveryDialectGivesTheBitsOfTheFolder) {
  for (const MmprojDialect dialect : {MmprojDialect::kJanuary2026, MmprojDialect::kLlamaCpp, MmprojDialect::kOllama}) {
    SCOPED_TRACE(static_cast<int>(dialect));
    expect_near({.type = DType::kF32, .dialect = dialect}, 0);
  }
}
TEST(MmprojModel, BF16AndF16) {
  expect_near({.type = DType::kBF16}, 1e-5);  // a.pre_encode.out is F16, which has no bits for the smallest numbers
  expect_near({.type = DType::kF16}, 1e-5);
}
TEST(MmprojModel, Q8) { EXPECT_GT(expect_near({.type = DType::kQ8_0, .dialect = MmprojDialect::kOllama}, 0.03), 0); }

TEST(MmprojModel, TheTextStaysWhatItIs) {
  const TemporaryFolder folder;
  Loaded with({kTextFile, write_tiny_mmproj(folder, {})}), without({kTextFile});
  const std::vector<int32_t> ids = {2, 105, 300, 7, 440};
  EXPECT_EQ(with.forward(ids), without.forward(ids));
  EXPECT_TRUE(with.model->kinds().of(MediaKind::kImage).has_encoder);
  EXPECT_EQ(with.model->path(), kTextFile);
}

TEST(MmprojModel, VisionAloneWhateverItsKeysSay) {
  const TemporaryFolder folder;
  Loaded loaded({kTextFile, write_tiny_mmproj(folder, {.type = DType::kF32, .audio = false})});
  EXPECT_TRUE(loaded.model->kinds().of(MediaKind::kImage).has_encoder);
  EXPECT_FALSE(loaded.model->kinds().of(MediaKind::kAudio).has_encoder);
  Taps taps;
  loaded.encode(picture(*loaded.model), {.taps = &taps});
  EXPECT_EQ(taps.values.at("vision.soft_tokens"), folder_taps().at("vision.soft_tokens"));
  EXPECT_ERROR(ErrorCode::kUnsupported, clip(*loaded.model), "no audio tower",
               "neither has " + (folder / "mmproj-tiny.gguf"));
}

// Towers may come from a folder or a bundle of the whole model, and a bundle may take them in.
TEST(MmprojModel, TowersOfFoldersAndBundles) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  convert_to_bundle(open_checkpoint(tiny_path()), folder / "whole.g3n", {.pool = pool});
  convert_to_bundle(open_checkpoint({kTextFile, tiny_path()}), folder / "both.g3n", {.pool = pool});
  const Checkpoint from_mmproj =
      open_checkpoint({kTextFile, write_tiny_mmproj(folder, {.type = DType::kF32, .dialect = MmprojDialect::kOllama})});
  convert_to_bundle(from_mmproj, folder / "mmproj.g3n", {.pool = pool});
  convert_to_bundle(open_checkpoint(kTextFile), folder / "text.g3n", {.pool = pool});
  const ModelPaths cases[] = {
      {kTextFile, tiny_path()}, {kTextFile, folder / "whole.g3n"},  {folder / "both.g3n"},
      {folder / "mmproj.g3n"},  {folder / "text.g3n", tiny_path()}, {folder / "text.g3n", folder / "mmproj-tiny.gguf"}};
  for (const ModelPaths& paths : cases) {
    SCOPED_TRACE(paths.model + " " + paths.mmproj);
    Loaded loaded(paths);
    for (int i = 0; i < 2; ++i) {
      for (const auto& [name, values] : taps_of(loaded)) ASSERT_EQ(values, folder_taps().at(name)) << name;
      loaded.model->release_encoders();
    }
  }
  EXPECT_ERROR(ErrorCode::kUnsupported,
               convert_to_bundle(open_checkpoint({kTextFile, folder / "whole.g3n"}), folder / "x.g3n", {.pool = pool}),
               "whole.g3n", "found a bundle");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, convert_to_bundle(from_mmproj, folder / "mmproj-tiny.gguf", {.pool = pool}),
               "mmproj-tiny.gguf");
}

// Towers given by name take the place of the model's own; those that the file lacks stay.
TEST(MmprojModel, TakesThePlaceOfTheModelsOwn) {
  const TemporaryFolder folder;
  const std::string q8 = write_tiny_mmproj(folder, {.type = DType::kQ8_0, .audio = false});
  std::vector<std::string> warnings;
  const auto model =
      Gemma3n::open({tiny_path(), q8},
                    {.encoder_threads = 2, .log = Log([&](const std::string& text) { warnings.push_back(text); })});
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  EXPECT_TRUE(model->kinds().of(MediaKind::kAudio).has_encoder);
  Loaded loaded({tiny_path(), q8});
  const auto taps = taps_of(loaded);
  EXPECT_NE(taps.at("vision.soft_tokens"), folder_taps().at("vision.soft_tokens"));
  EXPECT_EQ(taps.at("audio.soft_tokens"), folder_taps().at("audio.soft_tokens"));
}

TEST(MmprojModel, TensorsThatAreMissingOrNobodyUses) {
  const TemporaryFolder folder;
  std::string bytes = slurp(write_tiny_mmproj(folder, {.type = DType::kF32}));
  const auto rename = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    changed.replace(changed.find(from), from.size(), to);
    return folder.write("changed.gguf", changed);
  };
  EXPECT_ERROR(ErrorCode::kBadFile, open_tiny({kTextFile, rename("a.blk.1.attn_q.weight", "a.blk.1.attn_x.weight")}),
               "mmproj: " + folder / "changed.gguf", "conformer.1.attention.attn.q_proj.weight: missing");
  std::vector<std::string> warnings;
  const std::string extra = rename("v.conv_stem.conv.bias", "v.conv_stem.conv.bixs");
  Gemma3n::open({kTextFile, extra}, {.log = Log([&](const std::string& text) { warnings.push_back(text); })});
  EXPECT_THAT(warnings,
              ::testing::Contains(HasSubstr(extra + ": 1 tensor that this model does not use: v.conv_stem.conv.bixs")));
  EXPECT_THAT(warnings, ::testing::Contains(HasSubstr(extra + ": the vision tower has no conv_stem.conv.bias")));
}

TEST(MmprojModel, FilesBesideTheModelAreNamed) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(kTextFile, folder / "text.gguf");
  const auto error = [&] {
    return error_of(ErrorCode::kUnsupported, [&] { picture(*open_tiny({folder / "text.gguf"})); });
  };
  EXPECT_THAT(error(), ::testing::AllOf(HasSubstr("no vision tower"), HasSubstr("--mmproj FILE")));
  const std::string mmproj = folder.write("mmproj-F16.gguf", "GGUF");
  EXPECT_THAT(error(), HasSubstr(mmproj + " beside it may have it: --mmproj auto"));
  folder.write("mmproj-F32.gguf", "GGUF");
  EXPECT_THAT(error(), HasSubstr(mmproj + " and 1 more may have it: --mmproj FILE"));
}

}  // namespace
}  // namespace g3n::testing
