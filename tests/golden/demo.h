// The demo checkpoint and the conversations that transformers had with it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "g3n/engine.h"

namespace g3n::testing {

struct Conversation {
  std::string name;
  std::vector<Message> messages;
  std::vector<std::int32_t> ids, greedy_ids;
  std::string text;
  double smallest_top1_margin = 0;
};

std::string demo_folder();
// golden/demo/conversations.json, media read from demo/media.
const std::vector<Conversation>& conversations();
const Conversation& conversation(const std::string& name);
// Messages as they stand in the goldens, as JSON; media read from demo/media.
std::vector<Message> read_messages(const std::string& json);
std::shared_ptr<Engine> demo_engine(std::int64_t chunk = 512, int threads = 2, Compute compute = Compute::kF32);

inline Sampling greedy() { return {.temperature = 0}; }

}  // namespace g3n::testing
