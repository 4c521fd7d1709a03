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

WeightFiles files_of(const Checkpoint& checkpoint, Component component) {
  if (component == Component::kVision && checkpoint.vision) return *checkpoint.vision;
  if (component == Component::kAudio && checkpoint.audio) return *checkpoint.audio;
  return {checkpoint.path, checkpoint.source, checkpoint.bundle};
}

bool has_component(const Checkpoint& checkpoint, Component component) {
  return has_component(files_of(checkpoint, component), component);
}

bool has_component(const WeightFiles& files, Component component) {
  const std::string prefix = component_prefixes(component).front();
  return files.bundle ? has_prefix(files.bundle->entries(), prefix)
                      : has_prefix(canonical_tensors(*files.source), prefix);
}

}  // namespace g3n
