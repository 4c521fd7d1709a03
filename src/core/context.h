// Context: what a forward pass needs besides weights and inputs: threads, kernels, scratch, compute type, taps, and
// what is called between blocks. One Context per forward pass; the model is const.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "core/arena.h"
#include "core/taps.h"
#include "core/thread_pool.h"
#include "core/view.h"

namespace g3n {

struct KernelTable;  // kernels/table.h

// How activations enter a matmul: as they are, or rounded to bf16. Sums are f32 either way.
enum class ComputeType { kF32, kBF16 };

struct Context {
  ThreadPool& pool;
  const KernelTable& kernels;
  Arena& arena;
  ComputeType compute = ComputeType::kF32;
  TapSink* taps = nullptr;
  const std::function<void()>* between = nullptr;  // what it throws ends the call
  std::string_view scope{};                        // prefix of layer taps: "text.layer", "audio.block"

  // Uninitialised f32 [rows, cols]; rows start at 64-byte multiples. Lives until the enclosing ArenaScope ends.
  View<float, 2> scratch(int64_t rows, int64_t cols);
  View<float, 3> scratch(int64_t planes, int64_t rows, int64_t cols);

  // Calls `between`, if there is one. Once per decoder layer, vision block and conformer block.
  void between_blocks() const {
    if (between) (*between)();
  }

  // ctx.tap("text.embed", view) or ctx.tap("laurel", layer, view) for scope.layer.laurel.
  template <typename T, int R>
  void tap(std::string_view name, const View<T, R>& view, int token_axis = 0) const {
    if (taps) [[unlikely]]
      record_tap(std::string(name), view.dim.data(), view.step.data(), R, view.data, token_axis);
  }
  template <typename T, int R>
  void tap(std::string_view name, int64_t index, const View<T, R>& view, int token_axis = 0) const {
    if (taps) [[unlikely]]
      record_tap(std::string(scope) + "." + std::to_string(index) + "." + std::string(name), view.dim.data(),
                 view.step.data(), R, view.data, token_axis);
  }
  bool wants_tap(const std::string& name) const { return taps && taps->wants(name); }

 private:
  void record_tap(const std::string& name, const int64_t* dims, const int64_t* steps, int rank, const float* data,
                  int token_axis) const;
};

}  // namespace g3n
