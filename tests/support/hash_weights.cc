#include "support/hash_weights.h"

#include <cstdlib>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "json/config.h"

namespace g3n::testing {
namespace {

class MemoryTensors : public TensorSource {
 public:
  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }

  bf16_t* add(const NamedShape& tensor, int64_t count) {
    buffers_.emplace_back(count);
    bf16_t* data = buffers_.back().data();
    tensors_[tensor.name] = {.name = tensor.name,
                             .dtype = DType::kBF16,
                             .shape = tensor.shape,
                             .data = reinterpret_cast<const std::byte*>(data),
                             .bytes = count * 2,
                             .file = "(hash rule)"};
    return data;
  }

 private:
  std::vector<Buffer<bf16_t>> buffers_;
  std::map<std::string, TensorInfo> tensors_;
};

uint64_t hex(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 16); }

}  // namespace

std::unique_ptr<TensorSource> hash_checkpoint(const std::vector<NamedShape>& tensors, int64_t ple_size) {
  auto source = std::make_unique<MemoryTensors>();
  ThreadPool pool;
  for (const NamedShape& tensor : tensors) {
    const HashTensor rule(tensor.name, tensor.shape, ple_size);
    fill_hash_tensor(pool, rule, source->add(tensor, rule.count()));
  }
  return source;
}

std::vector<TensorRecord> read_tensor_records(const std::string& path) {
  const Config file = Config::load(path);
  std::vector<TensorRecord> out;
  for (const std::string& name : file.keys()) {
    const Config record = file.object(name);
    out.push_back(
        {{name, record.integers("shape")}, static_cast<uint32_t>(hex(record.text("crc32"))), hex(record.text("seed"))});
  }
  return out;
}

std::unique_ptr<TensorSource> tiny_checkpoint(const std::string& folder) {
  std::vector<NamedShape> tensors;
  for (TensorRecord& record : read_tensor_records(folder + "/tensors.json"))
    tensors.push_back(std::move(record.tensor));
  return hash_checkpoint(
      tensors, Config::load(folder + "/config.json").object("text_config").integer("hidden_size_per_layer_input"));
}

}  // namespace g3n::testing
