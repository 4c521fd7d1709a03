#include "checkpoint/components.h"

#include "weights/tensor_names.h"

namespace g3n {
namespace {

// Of a map by name: is there a name that begins so?
template <typename Map>
bool has_prefix(const Map& names, const std::string& prefix) {
  const auto found = names.lower_bound(prefix);
  return found != names.end() && found->first.starts_with(prefix);
}

}  // namespace

std::vector<std::string> component_prefixes(Component component) {
  switch (component) {
    case Component::kText: return {"model.language_model."};
    case Component::kVision: return {"model.vision_tower.", "model.embed_vision."};
    case Component::kAudio: return {"model.audio_tower.", "model.embed_audio."};
  }
  return {};
}

bool has_component(const Checkpoint& checkpoint, Component component) {
  const std::string prefix = component_prefixes(component).front();
  return checkpoint.bundle ? has_prefix(checkpoint.bundle->entries(), prefix)
                           : has_prefix(canonical_tensors(*checkpoint.source), prefix);
}

}  // namespace g3n
