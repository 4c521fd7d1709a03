#include "weights/tensor_names.h"

#include <algorithm>
#include <initializer_list>

namespace g3n {
namespace {

bool starts_with_any(const std::string& name, std::initializer_list<const char*> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](const char* b) { return name.starts_with(b); });
}

// Names directly inside the text model.
bool is_text_name(const std::string& name) {
  return starts_with_any(name,
                         {"layers.", "embed_tokens.", "embed_tokens_per_layer.", "per_layer_model_projection.",
                          "per_layer_projection_norm.", "altup_projections.", "altup_unembed_projections.", "norm."});
}

bool is_tower_name(const std::string& name) {
  return starts_with_any(name, {"vision_tower.", "audio_tower.", "embed_vision.", "embed_audio."});
}

}  // namespace

std::string canonical_name(const std::string& name) {
  // The name without its wrappers: X of the text model, vision_tower.X, ...
  std::string inner = name;
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string wrapper : {"model.", "language_model."})
      if (inner.starts_with(wrapper)) inner.erase(0, wrapper.size()), stripped = true;
  }
  if (is_text_name(inner)) return "model.language_model." + inner;
  if (inner.starts_with("lm_head.")) return inner;
  if (!is_tower_name(inner)) return name;
  const std::string tower = "vision_tower.", timm = "timm_model.";
  if (inner.starts_with(tower) && inner.compare(tower.size(), timm.size(), timm) != 0) inner.insert(tower.size(), timm);
  return "model." + inner;
}

std::map<std::string, const TensorInfo*> canonical_tensors(const TensorSource& source) {
  std::map<std::string, const TensorInfo*> out;
  for (const auto& [name, tensor] : source.tensors())
    if (canonical_name(name) == name) out.emplace(name, &tensor);
  for (const auto& [name, tensor] : source.tensors())
    if (canonical_name(name) != name && !out.emplace(canonical_name(name), &tensor).second) out.emplace(name, &tensor);
  return out;
}

}  // namespace g3n
