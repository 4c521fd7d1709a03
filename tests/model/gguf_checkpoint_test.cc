// GGUF text files as checkpoints: every dialect gives the config of the tiny model and its tokenizer, the tensors their values, and the model its logits.
#include "model/gguf_checkpoint.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include "formats/errors.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "kernels/pack.h"
#include "model/gguf_source.h"
#include "support/golden.h"
#include "support/media_files.h"
#include "text/models.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;

const std::string kFolder = G3N_SOURCE_DIR "/tests/golden/data/gguf/";

// A file cut where its data begins, with zeros for data.
std::string whole_file(const TemporaryFolder& folder, const std::string& head) {
  const std::string path = folder / "sha256-0123";
  std::filesystem::copy_file(kFolder + head, path);
  const auto size = Config::load(kFolder + "manifest.json").object("heads").object(head).integer("file_bytes");
  std::filesystem::permissions(path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(size));
  return path;
}

// What config.json of the tiny checkpoint says.
void expect_tiny_config(const Config& config, int64_t vocab) {
  const TextConfig got = TextConfig::from(config), want = TextConfig::from(Config::load(G3N_SOURCE_DIR "/tests/golden/data/tiny/config.json"));
  EXPECT_EQ(got.vocab_size, vocab);
  EXPECT_EQ(got.vocab_size_per_layer_input, want.vocab_size_per_layer_input);
  EXPECT_EQ(got.hidden_size, want.hidden_size);
  EXPECT_EQ(got.hidden_size_per_layer_input, want.hidden_size_per_layer_input);
  EXPECT_EQ(got.num_hidden_layers, want.num_hidden_layers);
  EXPECT_EQ(got.num_attention_heads, want.num_attention_heads);
  EXPECT_EQ(got.num_key_value_heads, want.num_key_value_heads);
  EXPECT_EQ(got.head_dim, want.head_dim);
  EXPECT_EQ(got.num_kv_shared_layers, want.num_kv_shared_layers);
  EXPECT_EQ(got.sliding_window, want.sliding_window);
  EXPECT_EQ(got.laurel_rank, want.laurel_rank);
  EXPECT_EQ(got.altup_num_inputs, want.altup_num_inputs);
  EXPECT_EQ(got.altup_active_idx, want.altup_active_idx);
  EXPECT_EQ(got.altup_correct_scale, want.altup_correct_scale);
  EXPECT_EQ(got.rope_theta, want.rope_theta);
  EXPECT_EQ(got.rope_local_base_freq, want.rope_local_base_freq);
  EXPECT_EQ(got.max_position_embeddings, want.max_position_embeddings);
  EXPECT_EQ(got.rms_norm_eps, want.rms_norm_eps);
  EXPECT_EQ(got.final_logit_softcapping, want.final_logit_softcapping);
  EXPECT_EQ(got.layer_types, want.layer_types);
  EXPECT_EQ(got.intermediate_size, want.intermediate_size);
  ASSERT_EQ(got.activation_sparsity_multiplier.size(), want.activation_sparsity_pattern.size());
  for (size_t i = 0; i < want.activation_sparsity_pattern.size(); ++i) {
    const double p = want.activation_sparsity_pattern[i], multiplier = got.activation_sparsity_multiplier[i];
    if (p > 0) EXPECT_NEAR(multiplier, inverse_normal_cdf(p), 1e-6);
    else EXPECT_EQ(multiplier, -std::numeric_limits<double>::infinity());
  }
}

void expect_tiny_tokenizer(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  EXPECT_THAT((std::vector<int32_t>{special.pad, special.eos, special.bos, special.unk, special.start_of_turn, special.end_of_turn}), ElementsAre(0, 1, 2, 3, 105, 106));
  EXPECT_EQ(tokenizer.byte_of(tokenizer.id("<0x41>")), 0x41);
  const int32_t the = tokenizer.id("\xE2\x96\x81the"), ing = tokenizer.id("ing");
  EXPECT_THAT(tokenizer.encode(" theing"), ElementsAre(the, ing));           // merges made by score, best first
  EXPECT_EQ(tokenizer.encode("A").size(), 1u);                               // a byte
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("A cat\n\n  \xC3\xA9")), "A cat\n\n  \xC3\xA9");
  EXPECT_THAT(tokenizer.encode("\n\n"), ElementsAre(tokenizer.id("\n\n")));  // an added token
  EXPECT_TRUE(tokenizer.is_special(106));
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.id("<unused0>")));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.id("[multimodal]")));
  EXPECT_EQ(tokenizer.encode("[PAD700]").size(), 8u);                        // fills the list, matches nothing
}

TEST(GgufCheckpoint, FileOfJune2025) {
  const TemporaryFolder folder;
  const Checkpoint checkpoint = open_checkpoint(whole_file(folder, "text-2025-06.head"));
  expect_tiny_config(checkpoint.config, 512);
  expect_tiny_tokenizer(*checkpoint.tokenizer);
  EXPECT_THAT(checkpoint.generation.stop_ids, ElementsAre(1, 106));
  EXPECT_TRUE(checkpoint.chat_template.has_value());
  EXPECT_EQ(checkpoint.source->tensors().size(), 247u + 4u);  // two stacks of three
}

TEST(GgufCheckpoint, FileOfOllama) {
  const TemporaryFolder folder;
  const Checkpoint checkpoint = open_checkpoint(whole_file(folder, "text-ollama.head"));
  expect_tiny_config(checkpoint.config, 768);
  expect_tiny_tokenizer(*checkpoint.tokenizer);
  EXPECT_EQ(checkpoint.tokenizer->special().image_soft, 513);
  EXPECT_THAT(checkpoint.generation.stop_ids, ElementsAre(1, 106));
  EXPECT_FALSE(checkpoint.chat_template.has_value());
}

// Logits of the seven ids of the case text_7.
void expect_logits(const Checkpoint& checkpoint, const std::vector<int32_t>& ids, const std::vector<float>& want, double tolerance) {
  const LoadedText text = load_text(checkpoint.source, checkpoint.config);
  std::vector<float> got;
  for (const std::vector<float>& row : TextRunner(*text.model, {}).feed(ids)) got.insert(got.end(), row.begin(), row.end());
  EXPECT_LE(relative_rms(got, want), tolerance);
  std::printf("relative rms of the logits: %.3g\n", relative_rms(got, want));
}

TEST(GgufCheckpoint, Bf16FileGivesTheGoldensOfTheFolder) {
  const Checkpoint checkpoint = open_checkpoint(kFolder + "text-bf16.gguf");
  expect_tiny_config(checkpoint.config, 768);
  expect_tiny_tokenizer(*checkpoint.tokenizer);
  const LoadedText text = load_text(checkpoint.source, checkpoint.config);
  for (const std::string name : {"text_7", "text_40"}) {
    const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
    GoldenSink sink(golden, {});
    TextRun run;
    run.taps = &sink;
    TextRunner(*text.model, run).feed(to_ids(golden.ids()));
    EXPECT_EQ(sink.first_difference(), "");
    std::printf("%s: %s\n", name.c_str(), sink.worst().c_str());
  }
}

TEST(GgufCheckpoint, MixedFileGivesItsLogits) {
  std::vector<float> want(7 * 768);
  std::vector<int32_t> ids(7);
  const auto source = open_safetensors_file(kFolder + "text-mixed.safetensors");
  std::memcpy(want.data(), source->find("text.logits")->data, want.size() * 4);
  std::memcpy(ids.data(), source->find("ids")->data, ids.size() * 4);
  expect_logits(open_checkpoint(kFolder + "text-mixed.gguf"), ids, want, 1e-4);
  expect_logits(open_checkpoint(kFolder + "text-mixed-split-00003-of-00004.gguf"), ids, want, 1e-4);
}

TEST(GgufCheckpoint, ValuesOfEveryTensor) {
  const Config files = Config::load(kFolder + "manifest.json").object("files");
  for (const std::string name : {"text-bf16.gguf", "text-mixed.gguf"}) {
    const GgufFile file(kFolder + name);
    for (const Config& record : files.object(name).objects("tensors")) {
      const GgufTensor& tensor = *file.find(record.text("name"));
      const int64_t count = std::accumulate(tensor.ne.begin(), tensor.ne.end(), int64_t{1}, std::multiplies<>());
      std::vector<float> values(static_cast<size_t>(count));
      const DType type = tensor.dtype_or_fail();
      for (int64_t i = 0; !is_block_type(type) && i < count; ++i) {
        uint16_t half = 0;
        if (type == DType::kF32) std::memcpy(&values[static_cast<size_t>(i)], tensor.data + 4 * i, 4);
        else std::memcpy(&half, tensor.data + 2 * i, 2), values[static_cast<size_t>(i)] = type == DType::kBF16 ? bf16_to_f32(half) : f16_to_f32(half);
      }
      if (is_block_type(type)) decode_values(type, tensor.data, count, values.data());
      EXPECT_EQ(crc32_hex(values.data(), values.size() * 4), record.text("values_crc32")) << name << ": " << tensor.name;
    }
  }
}

}  // namespace
}  // namespace g3n::testing
