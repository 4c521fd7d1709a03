// GGUF text files as checkpoints: every dialect gives the config of the tiny model and its tokenizer, the tensors their
// values, and the model its logits.
#include "checkpoint/gguf_checkpoint.h"

#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>

#include "support/errors.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_source.h"
#include "kernels/pack.h"
#include "model/decoded_tensors.h"
#include "checkpoint/gguf_source.h"
#include "support/golden.h"
#include "support/media_files.h"
#include "support/source_path.h"
#include "text/models.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kFolder = source_path("tests/golden/data/gguf/");

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
  const TextConfig got = TextConfig::from(config),
                   want = TextConfig::from(Config::load(source_path("tests/golden/data/tiny/config.json")));
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
    if (p > 0)
      EXPECT_NEAR(multiplier, inverse_normal_cdf(p), 1e-6);
    else
      EXPECT_EQ(multiplier, -std::numeric_limits<double>::infinity());
  }
}

void expect_tiny_tokenizer(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  EXPECT_THAT((std::vector<int32_t>{special.pad, special.eos, special.bos, special.unk, special.start_of_turn,
                                    special.end_of_turn}),
              ElementsAre(0, 1, 2, 3, 105, 106));
  EXPECT_EQ(tokenizer.byte_of(tokenizer.id("<0x41>")), 0x41);
  const int32_t the = tokenizer.id("\xE2\x96\x81the"), ing = tokenizer.id("ing");
  EXPECT_THAT(tokenizer.encode(" theing"), ElementsAre(the, ing));  // merges made by score, best first
  EXPECT_EQ(tokenizer.encode("A").size(), 1u);                      // a byte
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("A cat\n\n  \xC3\xA9")), "A cat\n\n  \xC3\xA9");
  EXPECT_THAT(tokenizer.encode("\n\n"), ElementsAre(tokenizer.id("\n\n")));  // an added token
  EXPECT_TRUE(tokenizer.is_special(106));
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.id("<unused0>")));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.id("[multimodal]")));
  EXPECT_EQ(tokenizer.encode("[PAD700]").size(), 8u);  // fills the list, matches nothing
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

// A model of two layers whose keys are the fewest that a file can have: the shapes of the tensors and Gemma's own
// numbers tell the rest.
class SmallFile {
 public:
  explicit SmallFile(const TemporaryFolder& folder) : path(folder / "small.gguf"), writer(path) {
    writer.set("general.architecture", "gemma3n");
    writer.set("gemma3n.block_count", uint32_t{2});
  }
  Checkpoint open() {
    tensor("token_embd.weight", {40, 32}), tensor("per_layer_token_embd.weight", {48, 16}),
        tensor("per_layer_proj_norm.weight", {8});
    for (const std::string blk : {"blk.0.", "blk.1."}) {
      tensor(blk + "attn_q_norm.weight", {16}), tensor(blk + "attn_output.weight", {32, 64});
      tensor(blk + "ffn_gate.weight", {96, 32}), tensor(blk + "laurel_l.weight", {4, 32});
    }
    tensor("blk.0.attn_qkv.weight", {128, 32}), tensor("output.weight", {40, 32}), tensor("extra", {3});
    tensor("altup_proj.weight", {3, 32, 32});
    writer.begin_data();
    for (const auto& [name, index] : tensors_) {
      std::vector<float> values(static_cast<size_t>(writer.tensor_bytes(index)) / 4);
      std::iota(values.begin(), values.end(), 0.0f);
      writer.write(index, 0, std::as_bytes(std::span(values)));
    }
    writer.finish();
    return open_checkpoint(path);
  }

  std::string path;
  GgufWriter writer;

 private:
  void tensor(const std::string& name, const std::vector<int64_t>& shape) {
    tensors_[name] = writer.declare(name, DType::kF32, shape);
  }
  std::map<std::string, size_t> tensors_;
};

TEST(GgufCheckpoint, DefaultsOfAFileWithFewKeys) {
  const TemporaryFolder folder;
  SmallFile file(folder);
  const Checkpoint checkpoint = file.open();
  const TextConfig c = TextConfig::from(checkpoint.config);
  EXPECT_EQ(c.vocab_size, 40);
  EXPECT_EQ(c.hidden_size, 32);
  EXPECT_EQ(c.hidden_size_per_layer_input, 8);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.num_attention_heads, 4);
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.num_kv_shared_layers, 0);
  EXPECT_EQ(c.laurel_rank, 4);
  EXPECT_EQ(c.sliding_window, 512);
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.rope_local_base_freq, 1e4);
  EXPECT_EQ(c.final_logit_softcapping, 30.0f);
  EXPECT_THAT(c.intermediate_size, ElementsAre(96, 96));
  EXPECT_THAT(checkpoint.generation.stop_ids, ElementsAre(1, 106));
  EXPECT_EQ(checkpoint.tokenizer, nullptr);
}

// As of generation_config.json: they only say how to sample.
TEST(GgufCheckpoint, SamplingKeysThatMeanNothingAreReplacedAndTold) {
  const TemporaryFolder folder;
  SmallFile file(folder);
  file.writer.set("general.sampling.top_p", 0.0f);
  file.writer.set("general.sampling.top_k", -1.0f);
  file.writer.set("general.sampling.temp", 0.5f);
  file.writer.set("general.sampling.min_p", 2.0f);
  const GenerationConfig g = file.open().generation;
  EXPECT_EQ(g.sampling.temperature, 0.5);
  EXPECT_EQ(g.sampling.top_k, 0);
  EXPECT_EQ(g.sampling.top_p, 1);
  EXPECT_EQ(g.sampling.min_p, 0);
  EXPECT_THAT(g.warnings, ElementsAre(HasSubstr("general.sampling: top_p"), HasSubstr("general.sampling: min_p")));
}

TEST(GgufCheckpoint, TensorsAreCutAndNamed) {
  const TemporaryFolder folder;
  SmallFile file(folder);
  const Checkpoint checkpoint = file.open();
  const auto expect = [&](const std::string& name, const std::vector<int64_t>& shape, float first) {
    const TensorInfo* tensor = checkpoint.source->find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, shape) << name;
    float value = 0;
    std::memcpy(&value, tensor->data, 4);
    EXPECT_EQ(value, first) << name;
    EXPECT_EQ(tensor->bytes, 4 * std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())) << name;
  };
  const std::string model = "model.language_model.", attention = model + "layers.0.self_attn.";
  expect(attention + "q_proj.weight", {64, 32}, 0);
  expect(attention + "v_proj.weight", {32, 32}, 96 * 32);
  expect(model + "altup_projections.2.weight", {32, 32}, 2 * 32 * 32);
  expect(model + "embed_tokens_per_layer.weight", {40, 16}, 0);  // rows behind the vocabulary are cut off
  expect("lm_head.weight", {40, 32}, 0);
  EXPECT_FALSE(TextConfig::from(checkpoint.config).tie_word_embeddings);
  expect("extra", {3}, 0);
}

// A type that nothing decodes: an error where the model needs the tensor, else one more tensor that nobody uses.
TEST(GgufCheckpoint, UnknownTypesMatterOnlyWhereTheyAreUsed) {
  const TemporaryFolder folder;
  SmallFile file(folder);
  file.open();
  const auto with_type_99 = [&](const std::string& tensor) {
    std::string bytes = slurp(file.path);
    const std::string key = std::string(1, static_cast<char>(tensor.size())) + std::string(7, '\0') + tensor;
    const size_t name = bytes.find(key), rank = name + key.size();
    bytes[rank + 4 + 8 * static_cast<size_t>(bytes[rank])] = 99;
    return folder.write("other.gguf", bytes);
  };
  const Checkpoint checkpoint = open_checkpoint(with_type_99("extra"));
  ASSERT_NE(checkpoint.source->find("extra"), nullptr);
  EXPECT_EQ(checkpoint.source->find("extra")->bytes, 0);
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint(with_type_99("blk.1.laurel_l.weight")),
               "blk.1.laurel_l.weight: unknown tensor type 99");
}

TEST(GgufCheckpoint, KeysThatContradict) {
  const auto refused = [](ErrorCode code, const std::string& expected, auto&&... set) {
    const TemporaryFolder folder;
    SmallFile file(folder);
    (file.writer.set(set.first, set.second), ...);
    EXPECT_ERROR(code, file.open(), expected);
  };
  using std::pair;
  refused(ErrorCode::kBadFile,
          "gemma3n.feed_forward_length: expected 96 for layer 0, the rows of blk.0.ffn_gate.weight, found 100",
          pair("gemma3n.feed_forward_length", uint32_t{100}));
  refused(ErrorCode::kBadFile, "gemma3n.activation_sparsity_scale: expected a list of 2",
          pair("gemma3n.activation_sparsity_scale", std::vector<float>{1, 2, 3}));
  refused(ErrorCode::kBadFile, "gemma3n.attention.head_count: expected a list of 2",
          pair("gemma3n.attention.head_count", std::vector<uint32_t>{4, 4, 4}));
  refused(ErrorCode::kUnsupported, "gemma3n.altup.num_inputs: expected 4, found 2",
          pair("gemma3n.altup.num_inputs", uint32_t{2}));
  refused(ErrorCode::kUnsupported, "gemma3n.rope.scaling.type: expected none, found the string \"yarn\"",
          pair("gemma3n.rope.scaling.type", "yarn"));
  refused(ErrorCode::kBadFile, "tokenizer.ggml.scores: expected a list of 2, one for each token, found a list of 1",
          pair("tokenizer.ggml.model", "llama"), pair("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"}),
          pair("tokenizer.ggml.scores", std::vector<float>{1}));
}

// Logits of the seven ids of the case text_7.
void expect_logits(std::shared_ptr<const TensorSource> source, const Config& config, const std::vector<int32_t>& ids,
                   const std::vector<float>& want, double tolerance) {
  const LoadedText text = load_text(source, config);
  std::vector<float> got;
  for (const std::vector<float>& row : TextRunner(*text.model, {}).feed(ids))
    got.insert(got.end(), row.begin(), row.end());
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
  const auto golden = open_safetensors_file(kFolder + "text-mixed.safetensors");
  std::vector<float> want(7 * 768);
  std::vector<int32_t> ids(7);
  std::memcpy(want.data(), golden->find("text.logits")->data, want.size() * 4);
  std::memcpy(ids.data(), golden->find("ids")->data, ids.size() * 4);
  for (const char* name : {"text-mixed.gguf", "text-mixed-split-00003-of-00004.gguf"}) {
    const Checkpoint checkpoint = open_checkpoint(kFolder + name);
    expect_logits(std::make_shared<DecodedTensors>(*checkpoint.source), checkpoint.config, ids, want, 1e-4);
  }
}

TEST(GgufCheckpoint, ValuesOfEveryTensor) {
  const Config files = Config::load(kFolder + "manifest.json").object("files");
  for (const std::string name : {"text-bf16.gguf", "text-mixed.gguf"}) {
    const GgufFile file(kFolder + name);
    const Config records = files.object(name).object("tensors");
    ASSERT_EQ(records.keys().size(), file.tensors().size());
    for (const std::string& key : records.keys()) {
      const Config record = records.object(key);
      const GgufTensor& tensor = *file.find(key);
      const int64_t count = std::accumulate(tensor.ne.begin(), tensor.ne.end(), int64_t{1}, std::multiplies<>());
      std::vector<float> values(static_cast<size_t>(count));
      decode_values(tensor.dtype_or_fail(), tensor.data, count, values.data());
      EXPECT_EQ(crc32_hex(values.data(), values.size() * 4), record.text("values_crc32"))
          << name << ": " << tensor.name;
    }
  }
}

TEST(GgufCheckpoint, IsOfGemma3n) {
  const std::pair<const char*, const char*> cases[] = {
      {"arch_missing", "general.architecture: expected a string, found nothing"},
      {"arch_other", "general.architecture: a model of architecture \"llama\", expected \"gemma3n\""},
      {"arch_type", "general.architecture: expected a string, found"}};
  for (const auto& [name, said] : cases) {
    const std::string path = kFolder + "broken/" + name + ".gguf";
    EXPECT_ERROR(std::string(name) == "arch_other" ? ErrorCode::kUnsupported : ErrorCode::kBadFile,
                 open_gguf_checkpoint(read_gguf(path)), path.c_str(), said);
  }
}

}  // namespace
}  // namespace g3n::testing
