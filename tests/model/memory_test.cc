// What inspect tells before loading is what loading takes.
#include "checkpoint/checkpoint.h"
#include "support/errors.h"
#include "model/gguf_files.h"
#include "support/hash_weights.h"
#include "support/source_path.h"
#include "text/models.h"
#include "weights/loader.h"
#include "weights/shape_lister.h"
#include "weights/tensor_names.h"

namespace g3n::testing {
namespace {

const std::string kTiny = source_path("tests/golden/data/tiny");

// Told, promised by the loader (also one that only checks), and allocated: all the same.
void expect_promise_kept(const std::shared_ptr<const TensorSource>& source, const Config& config,
                         const Recipe& recipe) {
  const auto tensors = canonical_tensors(*source);
  ShapeLister lister(tensors);
  TextModel(TextConfig::from(config)).bind(lister);
  const BytesNeeded told = total_bytes_needed(lister.listed(), tensors, recipe);
  ThreadPool pool(2);
  for (const LoadMode mode : {LoadMode::kCheck, LoadMode::kLoad}) {
    Loader loader(source, {.pool = pool, .recipe = recipe, .mode = mode});
    TextModel model(TextConfig::from(config));
    model.bind(loader);
    EXPECT_EQ(loader.bytes().packed, told.packed);
    EXPECT_EQ(loader.bytes().mapped, told.mapped);
    if (mode == LoadMode::kCheck) continue;
    EXPECT_EQ(loader.finish().allocated_bytes(), told.packed);
  }
}

constexpr const char* kRecipes[] = {"keep", "q8", "q4"};

TEST(Memory, OfAFolder) {
  const Config config = Config::load(kTiny + "/config.json");
  const std::shared_ptr<const TensorSource> source = tiny_checkpoint(kTiny);
  for (const char* recipe : kRecipes) {
    SCOPED_TRACE(recipe);
    expect_promise_kept(source, config, Recipe::named(recipe));
  }
}

// The head is Q6_K, which has f32 panels; what would be f16 is bf16 here, since only the values tell what f16 becomes.
TEST(Memory, OfAGgufFileWithAHeadInBlocks) {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  std::map<std::string, DType> others;
  for (const std::string name : {"altup_proj", "altup_unembd_proj", "per_layer_model_proj"})
    others[name + ".weight"] = DType::kBF16;
  for (int layer = 0; layer < 10; ++layer)
    for (const std::string name : {"altup_router", "laurel_l", "laurel_r"})
      others["blk." + std::to_string(layer) + "." + name + ".weight"] = DType::kBF16;
  others["blk.2.ffn_gate.weight"] = others["blk.2.ffn_up.weight"] = DType::kQ4_K;  // panels; rows of a sparse layer
  others["blk.3.altup_router.weight"] = DType::kQ5_1;
  write_random_gguf(pool, folder.write("config.json", wide_config(32)), folder / "random.gguf", DType::kQ4_0, {},
                    others);
  const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
  ASSERT_EQ(checkpoint.source->find("model.language_model.embed_tokens.weight")->dtype, DType::kQ6_K);
  for (const char* recipe : kRecipes) {
    SCOPED_TRACE(recipe);
    expect_promise_kept(checkpoint.source, checkpoint.config, Recipe::named(recipe));
  }
}

// Without reading values f16 counts as f32: never less than what is taken.
TEST(Memory, OfF16IsAnUpperBound) {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  write_random_gguf(pool, folder.write("config.json", wide_config(32)), folder / "random.gguf", DType::kF16);
  const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
  const auto tensors = canonical_tensors(*checkpoint.source);
  ShapeLister lister(tensors);
  TextModel(TextConfig::from(checkpoint.config)).bind(lister);
  const int64_t taken = load_text(checkpoint.source, checkpoint.config).store.allocated_bytes();
  const int64_t told = total_bytes_needed(lister.listed(), tensors).packed;
  EXPECT_GT(taken, 0);
  EXPECT_GE(told, taken);
  EXPECT_LE(told, 2 * taken);
}

}  // namespace
}  // namespace g3n::testing
