// What inspect says of files: what one token reads, and what is slow and why.
#include "checkpoint/contents.h"

#include "checkpoint/convert.h"

#include "core/weight.h"
#include "model/gguf_files.h"
#include "support/errors.h"
#include "support/source_path.h"
#include "tools/checkpoint_writer.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kTinyConfig = source_path("tests/golden/data/tiny/config.json");

ModelContents contents_of(const std::string& path) { return read_contents({path}, {}); }

const ModelComponent& component(const ModelContents& contents, const std::string& name) {
  for (const ModelComponent& c : contents.components)
    if (c.name == name) return c;
  throw std::runtime_error("no component " + name);
}

// A wide text file whose matrices are bf16, but for those named.
ModelContents contents_with(const std::map<std::string, DType>& others) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  write_random_gguf(pool, folder.write("config.json", wide_config(32)), folder / "random.gguf", DType::kBF16, {},
                    others);
  return contents_of(folder / "random.gguf");
}

// Dense weights are read whole, of tables one row, of the neurons of sparse layers one in twenty.
TEST(Contents, BytesOfAToken) {
  const ModelContents c = contents_with({});
  EXPECT_THAT(c.slow, IsEmpty());
  EXPECT_EQ(c.text.sparse_layers, 3) << "by the multipliers of the file";
  EXPECT_EQ(component(c, "attention").token_bytes, component(c, "attention").memory_bytes);
  EXPECT_EQ(component(c, "per-layer table").token_bytes, 10 * 32 * 2);
  const ModelComponent& head = component(c, "embed_tokens and head");
  EXPECT_EQ(head.token_bytes, head.memory_bytes + 256 * 2) << "the head, and a row of the table";
  int64_t total = 0, ffn = 0;
  for (const ModelComponent& one : c.components) total += one.token_bytes;
  EXPECT_EQ(c.total.token_bytes, total);
  const int64_t widths[] = {192, 256, 192, 192, 256, 192, 256, 256, 192, 256};
  for (int layer = 0; layer < 10; ++layer) {
    const int64_t matrix = widths[layer] * 256 * 2;
    ffn += matrix + (layer < 3 ? 2 * matrix / 20 : 2 * matrix);
  }
  EXPECT_NEAR(component(c, "feed-forward").token_bytes, ffn, ffn / 1000);
}

TEST(Contents, TypesWithoutKernelsAreSlow) {
  const ModelContents c = contents_with({{"blk.4.ffn_gate.weight", DType::kQ4_0},
                                         {"blk.5.attn_q.weight", DType::kQ4_0},
                                         {"blk.6.attn_q.weight", DType::kQ5_1},
                                         {"blk.1.ffn_up.weight", DType::kQ5_1},
                                         {"blk.0.ffn_up.weight", DType::kQ2_0}});
  ASSERT_EQ(c.slow.size(), 1u) << "q4 and q5_1 have kernels";
  EXPECT_EQ(c.slow[0].component, "feed-forward");
  EXPECT_EQ(c.slow[0].tensors, 1);
  EXPECT_THAT(c.slow[0].why, HasSubstr("sparsity"));
}

TEST(Contents, WhatABundleReads) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  write_random_checkpoint(pool, kTinyConfig, folder / "model", {});
  convert_to_bundle(open_checkpoint(folder / "model"), folder / "keep.g3n",
                    {.pool = pool, .recipe = Recipe::named("keep")});
  const ModelContents from_folder = contents_of(folder / "model"), bundle = contents_of(folder / "keep.g3n");
  EXPECT_EQ(bundle.total.token_bytes, from_folder.total.token_bytes);
  EXPECT_GT(bundle.total.token_bytes, 0);
  for (const char* tower : {"vision tower", "audio tower"}) EXPECT_EQ(component(bundle, tower).token_bytes, 0) << tower;
}

// Neurons of sparse layers are picked out of blocks as well: what is as quick as in the GGUF file is not called slow.
TEST(Contents, ABundleOfAGgufFileReadsWhatTheFileReads) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const std::string gguf = source_path("tests/golden/data/gguf/text-mixed.gguf"), out = folder / "keep.g3n";
  convert_to_bundle(open_checkpoint(gguf), out, {.pool = pool, .recipe = Recipe::named("keep")});
  const ModelContents file = contents_of(gguf), bundle = contents_of(out);
  EXPECT_THAT(file.slow, IsEmpty());
  EXPECT_THAT(bundle.slow, IsEmpty());
  for (const ModelComponent& c : file.components)
    EXPECT_EQ(component(bundle, c.name).token_bytes, c.token_bytes) << c.name;
  EXPECT_EQ(bundle.total.token_bytes, file.total.token_bytes);
}

}  // namespace
}  // namespace g3n::testing
