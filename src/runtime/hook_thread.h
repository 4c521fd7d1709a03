// HookThread: a thread of a request's own, on which its hook sees one row of logits after the other. The request sits
// out of the steps until its row is back.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "g3n/options.h"

namespace g3n {

class HookThread {
 public:
  // on_done: from the thread, whenever a row is back. Throws kOutOfMemory where no thread can be started.
  HookThread(LogitsHook hook, std::function<void()> on_done);
  // Does not wait for a hook that is at work: what it holds goes when it returns.
  ~HookThread();
  HookThread(const HookThread&) = delete;
  HookThread& operator=(const HookThread&) = delete;

  // A row for the hook, which has none.
  void put(std::span<const int32_t> ids, std::vector<float> row);
  bool is_done() const;
  // The row, which is done. Throws what the hook threw. Valid until the next put.
  std::span<const float> take();

  // No further row comes.
  void stop();
  // Until the hook is not at work, after stop. Not from the hook.
  void wait() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace g3n
