// Every tensor of another source as f32: the sums of q8 and q4 kernels round activations, these do not.
#pragma once
#include <list>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "kernels/pack.h"

namespace g3n::testing {

class DecodedTensors : public TensorSource {
 public:
  explicit DecodedTensors(const TensorSource& from) {
    for (const auto& [name, tensor] : from.tensors()) {
      const int64_t count = std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
      std::vector<float>& values = values_.emplace_back(static_cast<size_t>(count));
      decode_values(tensor.dtype, tensor.data, count, values.data());
      TensorInfo info = tensor;
      info.dtype = DType::kF32, info.data = reinterpret_cast<const std::byte*>(values.data()), info.bytes = count * 4,
      info.range = {};
      tensors_.emplace(name, std::move(info));
    }
  }
  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }

 private:
  std::list<std::vector<float>> values_;
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace g3n::testing
