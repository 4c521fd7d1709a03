#include "tools/checkpoint_writer.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <span>

#include "audio/audio_tower.h"
#include "core/file_kind.h"
#include "formats/safetensors_writer.h"
#include "g3n/error.h"
#include "json/writer.h"
#include "text/text_model.h"
#include "tools/hash_weights.h"
#include "tools/pieces.h"
#include "vision/vision_tower.h"
#include "weights/shape_lister.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShardBytes = 5'000'000'000;  // as the published checkpoints
constexpr int64_t kPiece = int64_t{1} << 21;    // elements that one thread makes and writes at a time

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  int64_t bytes;
};

// Tensors in name order. shards 0: a shard ends before the tensor that would take it over 5 GB. Else exactly so many,
// about equal: a tensor belongs to the shard that its middle falls into, and none is empty.
std::vector<std::vector<Tensor>> split(const std::vector<Tensor>& tensors, int64_t total, int64_t shards) {
  std::vector<std::vector<Tensor>> out(1);
  int64_t before = 0, inside = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = tensors[i].bytes, left = static_cast<int64_t>(tensors.size() - i),
                  begun = static_cast<int64_t>(out.size());
    const bool full = shards == 0
                          ? inside + bytes > kShardBytes
                          : begun < shards && (before + bytes / 2 >= total / shards * begun || left <= shards - begun);
    if (full && !out.back().empty()) out.emplace_back(), inside = 0;
    out.back().push_back(tensors[i]);
    before += bytes, inside += bytes;
  }
  return out;
}

std::string shard_name(int64_t index, int64_t count) {
  if (count == 1) return "model.safetensors";
  char text[64];
  std::snprintf(text, sizeof text, "model-%05d-of-%05d.safetensors", static_cast<int>(index + 1),
                static_cast<int>(count));
  return text;
}

// A part of one tensor.
struct Piece {
  size_t tensor;
  int64_t first, count;
};

void write_shard(ThreadPool& pool, const std::string& path, const std::vector<Tensor>& tensors, int64_t ple_size,
                 const std::function<void(int64_t)>& wrote) {
  std::vector<TensorDeclaration> declarations;
  std::vector<HashTensor> rules;
  std::vector<Piece> pieces;
  for (const Tensor& tensor : tensors) {
    declarations.push_back({tensor.name, DType::kBF16, tensor.shape});
    rules.emplace_back(tensor.name, tensor.shape, ple_size);
    for (int64_t at = 0; at < rules.back().count(); at += kPiece)
      pieces.push_back({rules.size() - 1, at, std::min(kPiece, rules.back().count() - at)});
  }
  SafetensorsWriter writer(path, declarations, {{"format", "pt"}});
  const auto write = [&](int64_t i) {
    thread_local std::vector<bf16_t> values;
    const Piece& piece = pieces[static_cast<size_t>(i)];
    values.resize(static_cast<size_t>(piece.count));
    rules[piece.tensor].fill(piece.first, piece.count, values.data());
    writer.write(piece.tensor, piece.first * 2, std::as_bytes(std::span(values)));
    return piece.count * 2;
  };
  write_pieces(pool, std::ssize(pieces), write, wrote);
  writer.finish();
}

std::string index_text(const std::vector<std::vector<Tensor>>& shards, int64_t total) {
  JsonObject weight_map;
  for (size_t s = 0; s < shards.size(); ++s)
    for (const Tensor& tensor : shards[s])
      weight_map.push_back(
          {tensor.name, JsonNode{shard_name(static_cast<int64_t>(s), static_cast<int64_t>(shards.size()))}});
  return to_json(
             {JsonObject{{"metadata", {JsonObject{{"total_size", {total}}}}}, {"weight_map", {std::move(weight_map)}}}},
             {.indent = 2}) +
         "\n";
}

void check_folder(const std::string& folder, int64_t needed_bytes) {
  std::error_code reason;
  fs::create_directory(folder, reason);
  if (reason || !fs::is_directory(folder))
    throw Error(ErrorCode::kInvalidArgument,
                folder + ": cannot make the folder" + (reason ? ": " + reason.message() : ""));
  if (!fs::is_empty(folder, reason))
    throw Error(ErrorCode::kInvalidArgument, folder + ": expected a new or empty folder");
  const fs::space_info space = fs::space(folder, reason);
  if (!reason && space.available < static_cast<uintmax_t>(needed_bytes))
    throw Error(ErrorCode::kInvalidArgument, folder + ": needs " + std::to_string(needed_bytes) + " bytes, " +
                                                 std::to_string(space.available) + " are free");
}

}  // namespace

std::map<std::string, std::vector<int64_t>> checkpoint_tensors(const Config& config) {
  ShapeLister lister;
  TextModel(TextConfig::from(config)).bind(lister);
  VisionTower(VisionConfig::from(config)).bind(lister);
  AudioTower(AudioConfig::from(config)).bind(lister);
  return lister.names_and_shapes();
}

void write_random_checkpoint(ThreadPool& pool, const std::string& config_path, const std::string& folder,
                             const CheckpointOptions& options) {
  const std::string config_text = read_text_file(config_path);
  const Config config = Config::parse(config_text, config_path);
  const int64_t ple_size = TextConfig::from(config).hidden_size_per_layer_input;
  std::vector<Tensor> tensors;
  int64_t total = 0;
  for (const auto& [name, shape] : checkpoint_tensors(config)) {
    tensors.push_back({name, shape, element_count(shape) * 2});
    total += tensors.back().bytes;
  }
  if (options.shards < 0 || options.shards > static_cast<int64_t>(tensors.size()))
    throw Error(ErrorCode::kInvalidArgument, "--shards: expected at most " + std::to_string(tensors.size()) +
                                                 ", one per tensor, got " + std::to_string(options.shards));
  check_folder(folder, total);

  const std::vector<std::vector<Tensor>> shards = split(tensors, total, options.shards);
  const int64_t count = static_cast<int64_t>(shards.size());
  int64_t done = 0;
  const auto wrote = [&](int64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done, total);
  };
  for (int64_t s = 0; s < count; ++s)
    write_shard(pool, (fs::path(folder) / shard_name(s, count)).string(), shards[static_cast<size_t>(s)], ple_size,
                wrote);
  if (count > 1)
    write_file_atomically((fs::path(folder) / "model.safetensors.index.json").string(), index_text(shards, total));
  write_file_atomically((fs::path(folder) / "config.json").string(), config_text);
}

}  // namespace g3n
