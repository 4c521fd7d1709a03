// Text models out of GGUF files in every type: values of packed weights are those of our own quantisers, products with
// blocks as they are give the logits, a head of its own is used, damaged scales are found.
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/file_kind.h"
#include "core/thread_pool.h"
#include "support/errors.h"
#include "kernels/pack.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/convert.h"
#include "formats/safetensors_source.h"
#include "model/decoded_tensors.h"
#include "model/gguf_files.h"
#include "support/golden.h"
#include "support/hash_weights.h"
#include "support/source_path.h"
#include "text/models.h"
#include "tools/gguf_maker.h"
#include "weights/bundle_loader.h"
#include "weights/loader.h"

namespace g3n::testing {
namespace {

const std::string kFolder = source_path("tests/golden/data/gguf/");
const std::string kTinyConfig = source_path("tests/golden/data/tiny/config.json");
const std::string kTextPrefix = "model.language_model.";

std::vector<float> logits_of(std::shared_ptr<const TensorSource> source, const Config& config,
                             const std::vector<int32_t>& ids, const TextRun& run = {}, const Recipe& recipe = {}) {
  const LoadedText text = load_text(source, config, recipe);
  std::vector<float> out;
  for (const std::vector<float>& row : TextRunner(*text.model, run).feed(ids))
    out.insert(out.end(), row.begin(), row.end());
  return out;
}

// A source with some tensors put in place of others, or added.
class Replaced : public TensorSource {
 public:
  explicit Replaced(std::shared_ptr<const TensorSource> from) : from_(std::move(from)), tensors_(from_->tensors()) {}
  // A copy of a tensor's bytes under another name (or its own), to be changed.
  std::vector<std::byte>& copy(const std::string& from, const std::string& to) {
    TensorInfo info = tensors_.at(from);
    std::vector<std::byte>& bytes = bytes_.emplace_back(info.data, info.data + info.bytes);
    info.name = to, info.data = bytes.data(), info.range = {};
    tensors_[to] = info;
    return bytes;
  }
  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }

 private:
  std::shared_ptr<const TensorSource> from_;
  std::map<std::string, TensorInfo> tensors_;
  std::list<std::vector<std::byte>> bytes_;
};

// The matrices of a file as the loader packs them are, byte for byte, those that it quantises from the checkpoint the
// file was made from.
TEST(GgufModel, PackedWeightsAreThoseOfOurQuantisers) {
  ThreadPool pool(2);
  const std::string rows_on_disk = kTextPrefix + "embed_tokens_per_layer.weight";  // never packed
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    const TemporaryFolder folder;
    write_random_gguf(pool, kTinyConfig, folder / "random.gguf", type);
    const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
    const int64_t ple = TextConfig::from(checkpoint.config).hidden_size_per_layer_input;
    std::vector<NamedShape> shapes;
    for (const auto& [name, tensor] : checkpoint.source->tensors())
      if (tensor.dtype == type && name != rows_on_disk) shapes.push_back({name, tensor.shape});
    ASSERT_GT(shapes.size(), 50u);
    const std::shared_ptr<const TensorSource> plain = hash_checkpoint(shapes, ple);
    Loader from_file(checkpoint.source, {.pool = pool});
    Loader from_plain(plain, {.pool = pool, .recipe = Recipe::parse(type == DType::kQ8_0 ? "* q8" : "* q4", "here")});
    std::vector<WeightView> got(shapes.size()), want(shapes.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      const Layout layout = i % 3 == 0 ? Layout::kPanels : i % 3 == 1 ? Layout::kRows : Layout::kNeurons;
      from_file.matrix(shapes[i].name, got[i], shapes[i].shape, layout);
      from_plain.matrix(shapes[i].name, want[i], shapes[i].shape, layout);
    }
    const WeightStore file_store = from_file.finish(), plain_store = from_plain.finish();
    for (size_t i = 0; i < shapes.size(); ++i) {
      ASSERT_EQ(got[i].dtype, type);
      ASSERT_EQ(want[i].dtype, type);
      EXPECT_EQ(std::memcmp(got[i].data, want[i].data,
                            static_cast<size_t>(packed_bytes(type, got[i].layout, got[i].rows, got[i].cols))),
                0)
          << shapes[i].name;
    }
  }
}

// A recipe that quantises the values of a file as the file does.
Recipe recipe_of(const TensorSource& source) {
  std::string lines;
  for (const auto& [name, tensor] : source.tensors())
    if (tensor.dtype == DType::kQ8_0 || tensor.dtype == DType::kQ4_0)
      lines += name + (tensor.dtype == DType::kQ8_0 ? " q8\n" : " q4\n");
  return Recipe::parse(lines, "types of the file");
}

// Files of every base type give the bits of their values, quantised as they are.
TEST(GgufModel, RandomFilesGiveTheLogitsOfTheirValues) {
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {2, 105, 300, 7, 440, 106, 12};
  for (const DType type : {DType::kBF16, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    const TemporaryFolder folder;
    write_random_gguf(pool, kTinyConfig, folder / "random.gguf", type);
    const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
    ASSERT_NE(checkpoint.tokenizer, nullptr);
    EXPECT_EQ(checkpoint.tokenizer->special().end_of_turn, 106);
    const std::vector<float> got = logits_of(checkpoint.source, checkpoint.config, ids);
    const auto values = std::make_shared<DecodedTensors>(*checkpoint.source);
    EXPECT_EQ(got, logits_of(values, checkpoint.config, ids, {}, recipe_of(*checkpoint.source))) << dtype_name(type);
  }
}

// Twelve types, each in its own kernel or in its blocks: near the golden logits, and the same bits whatever the threads
// and chunks.
TEST(GgufModel, MixedFileInItsOwnTypes) {
  const auto golden = open_safetensors_file(kFolder + "text-mixed.safetensors");
  std::vector<float> want(7 * 768);
  std::vector<int32_t> ids(7);
  std::memcpy(want.data(), golden->find("text.logits")->data, want.size() * 4);
  std::memcpy(ids.data(), golden->find("ids")->data, ids.size() * 4);
  const Checkpoint checkpoint = open_checkpoint(kFolder + "text-mixed.gguf");
  const std::vector<float> got = logits_of(checkpoint.source, checkpoint.config, ids);
  const double distance = relative_rms(got, want);
  EXPECT_LE(distance, 0.05);
  std::printf("relative rms of the logits: %.3g\n", distance);
  TextRun run;
  run.threads = 1, run.chunk = 2;
  EXPECT_EQ(std::memcmp(logits_of(checkpoint.source, checkpoint.config, ids, run).data(), got.data(), got.size() * 4),
            0);
}

// The tiny config, its widths whole super-blocks.
std::string super_block_config(const TemporaryFolder& folder) {
  nlohmann::json config = nlohmann::json::parse(read_text_file(kTinyConfig));
  nlohmann::json& text = config["text_config"];
  text["hidden_size"] = text["hidden_size_per_layer_input"] = 256;
  text["head_dim"] = 64;
  for (nlohmann::json& width : text["intermediate_size"]) width = width == 256 ? 512 : 256;
  const std::string path = folder / "config.json";
  std::ofstream(path) << config;
  return path;
}

// llama.cpp's mixes, every matrix in super-blocks: all are packed as they are, rows of sparse layers stay in the file,
// and the logits are near those of the values, the same bits whatever the threads and chunks.
TEST(GgufModel, SuperBlocksInPanels) {
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {2, 105, 300, 7, 440, 106, 12};
  for (const std::string mix : {"Q4_K", "Q5_K", "Q6_K", "UD"}) {
    const DType type = mix == "Q5_K" ? DType::kQ5_K : mix == "Q6_K" ? DType::kQ6_K : DType::kQ4_K;
    const bool ud = mix == "UD";
    const TemporaryFolder folder;
    const std::string config = super_block_config(folder);
    write_random_gguf(pool, config, folder / "random.gguf", type, {},
                      ud ? ud_q4_k_xl_types(config) : std::map<std::string, DType>());
    const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
    std::map<DType, int> count;
    for (const auto& [name, tensor] : checkpoint.source->tensors()) ++count[tensor.dtype];
    EXPECT_GT(count[type], ud ? 30 : 50) << mix;
    EXPECT_GT(count[DType::kQ6_K], ud ? 1 : 10);
    Loader loader(checkpoint.source, {.pool = pool});
    WeightView head, gate, up, down;
    loader.matrix(kTextPrefix + "embed_tokens.weight", head,
                  checkpoint.source->find(kTextPrefix + "embed_tokens.weight")->shape);
    loader.matrix(kTextPrefix + "layers.0.mlp.gate_proj.weight", gate, {256, 256});
    EXPECT_EQ(head.dtype, ud ? DType::kQ8_0 : DType::kQ6_K);
    EXPECT_EQ(head.layout, Layout::kPanels);
    EXPECT_EQ(gate.dtype, type);
    EXPECT_EQ(gate.layout, Layout::kPanels);
    loader.matrix(kTextPrefix + "layers.0.mlp.up_proj.weight", up, {256, 256}, Layout::kRows);
    loader.matrix(kTextPrefix + "layers.0.mlp.down_proj.weight", down, {256, 256}, Layout::kNeurons);
    EXPECT_EQ(up.dtype, ud ? DType::kQ5_0 : type);
    EXPECT_EQ(up.layout, Layout::kBlocks);
    EXPECT_EQ(down.dtype, checkpoint.source->find(kTextPrefix + "layers.0.mlp.down_proj.weight")->dtype);
    EXPECT_EQ(down.layout, Layout::kNeurons);
    const std::vector<float> got = logits_of(checkpoint.source, checkpoint.config, ids);
    const double distance =
        relative_rms(got, logits_of(std::make_shared<DecodedTensors>(*checkpoint.source), checkpoint.config, ids));
    EXPECT_LE(distance, 0.05) << mix;
    std::printf("%s: relative rms of the logits: %.3g\n", mix.c_str(), distance);
    TextRun run;
    run.threads = 1, run.chunk = 2;
    EXPECT_EQ(logits_of(checkpoint.source, checkpoint.config, ids, run), got);
    convert_to_bundle(checkpoint, folder / "packed.g3n", {.pool = pool});
    const Checkpoint packed = open_checkpoint(folder / "packed.g3n");
    TextModel model(TextConfig::from(packed.config));
    BundleLoader bundle(packed.bundle);
    model.bind(bundle);
    const WeightStore store = bundle.finish();
    std::vector<float> again;
    for (const std::vector<float>& row : TextRunner(model, {}).feed(ids))
      again.insert(again.end(), row.begin(), row.end());
    EXPECT_EQ(again, got) << "in a bundle";
  }
}

// output.weight: the embedding with every sign turned gives every logit with its sign turned.
TEST(GgufModel, AHeadOfItsOwnIsUsed) {
  const Checkpoint checkpoint = open_checkpoint(kFolder + "text-bf16.gguf");
  const std::vector<int32_t> ids = {2, 9, 40};
  const std::vector<float> tied = logits_of(checkpoint.source, checkpoint.config, ids);
  const auto source = std::make_shared<Replaced>(checkpoint.source);
  std::vector<std::byte>& head = source->copy(kTextPrefix + "embed_tokens.weight", "lm_head.weight");
  for (size_t i = 1; i < head.size(); i += 2) head[i] ^= std::byte{0x80};
  EXPECT_EQ(logits_of(source, checkpoint.config, ids), tied) << "Hugging Face's rule: the config ties them";
  std::string config(checkpoint.files.text("config.json"));
  const std::string key = "\"tie_word_embeddings\": ";
  ASSERT_NE(config.find(key + "true"), std::string::npos);
  config.replace(config.find(key), key.size() + 4, key + "false");
  const std::vector<float> own = logits_of(source, Config::parse(config, "config"), ids);
  for (size_t i = 0; i < tied.size(); ++i) ASSERT_EQ(own[i], -tied[i]) << i;
}

// Scales that are infinite or not a number, in weights that are packed, decoded, or left in the file, and in rows of
// the per-layer table.
TEST(GgufModel, DamagedScalesAreFound) {
  const Checkpoint checkpoint = open_checkpoint(kFolder + "text-mixed.gguf");
  const auto damage = [](TensorInfo const& tensor, std::vector<std::byte>& bytes, int64_t block) {
    const size_t scale = tensor.dtype == DType::kQ6_K   ? 208
                         : tensor.dtype == DType::kQ3_K ? 108
                         : tensor.dtype == DType::kQ2_K ? 80
                                                        : 0;
    bytes[static_cast<size_t>(block * dtype_facts(tensor.dtype).block_bytes) + scale + 1] = std::byte{0x7c};
  };
  std::map<DType, int> tried;
  for (const auto& [name, tensor] : checkpoint.source->tensors()) {
    if (!is_block_type(tensor.dtype) || tensor.dtype == DType::kMXFP4 || tried[tensor.dtype]++ > 2) continue;
    const auto source = std::make_shared<Replaced>(checkpoint.source);
    damage(tensor, source->copy(name, name), 1);
    if (name.find("per_layer") == std::string::npos || name.find("embed") == std::string::npos) {
      EXPECT_ERROR(ErrorCode::kBadFile, load_text(source, checkpoint.config), name, "block ", dtype_name(tensor.dtype));
    } else {  // rows are looked up: row 0 stands for ids without rows
      EXPECT_ERROR(ErrorCode::kBadFile, logits_of(source, checkpoint.config, {0}),
                   "expected a finite scale in the block of " + std::string(dtype_name(tensor.dtype)));
    }
  }
  EXPECT_GE(tried.size(), 5u);
}

// The wanted row of a prompt takes its late per-layer inputs from the middle of the projection, whatever type that has.
TEST(GgufModel, TheLastRowAloneHasTheLogitsOfAllRows) {
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {2, 105, 300, 7, 440, 106, 12};
  const std::string projection = kTextPrefix + "per_layer_model_projection.weight";
  for (const int64_t ple : {32, 34})  // the cut is at a multiple of 16 rows, and not
    for (const DType type : {DType::kQ4_K, DType::kQ5_1, DType::kQ6_K, DType::kQ4_0, DType::kF16}) {
      SCOPED_TRACE(std::string(dtype_name(type)) + ", " + std::to_string(ple));
      const TemporaryFolder folder;
      write_random_gguf(pool, folder.write("config.json", wide_config(ple)), folder / "random.gguf", DType::kBF16, {},
                        {{"per_layer_model_proj.weight", type}});
      const Checkpoint checkpoint = open_checkpoint(folder / "random.gguf");
      ASSERT_EQ(checkpoint.source->find(projection)->dtype, type);
      const LoadedText text = load_text(checkpoint.source, checkpoint.config);
      ASSERT_LT(text.model->config().cut_layer(), text.model->config().num_hidden_layers);
      const std::vector<std::vector<float>> all = TextRunner(*text.model, {}).feed(ids),
                                            last = TextRunner(*text.model, {.all_logits = false}).feed(ids);
      ASSERT_EQ(last.size(), 1u);
      EXPECT_EQ(std::memcmp(last[0].data(), all.back().data(), last[0].size() * 4), 0);
    }
}

}  // namespace
}  // namespace g3n::testing
