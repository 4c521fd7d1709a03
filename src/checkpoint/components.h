// The parts that a checkpoint may have, by the beginnings of their tensors' canonical names (weights/tensor_names.h).
#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace g3n {

enum class Component { kText, kVision, kAudio };

// For LoaderOptions::components. The first is the part itself, the second its embedder.
std::vector<std::string> component_prefixes(Component component);

// Where that part's tensors lie, if they are there.
WeightFiles files_of(const Checkpoint& checkpoint, Component component);

// Whether the checkpoint has any tensor of that part (an embedder alone is no tower). Decides what is bound, and with
// it what must be complete.
bool has_component(const Checkpoint& checkpoint, Component component);
bool has_component(const WeightFiles& files, Component component);

}  // namespace g3n
