// From Python's values to those of include/g3n. What a user passes has been brought into these forms by g3n/media.py
// and g3n/prompts.py:
//   prompt   ("raw", text, media) | ("ids", ids, media) | ("chat", messages, add_generation_prompt,
//   continue_final_message)
//            | ("prepared", Prompt);  messages: [(role, parts)];  media: parts without text
//   part     text | ("image", source, size) | ("audio", source)
//   source   ("bytes", bytes, name) | ("pixels", width, height, bytes) | ("samples", bytes of float32)
//            | ("soft", rows, bytes of float32) | ("pixel_values", width, height, bytes of float32)
//            | ("log_mel", frames, mels, bytes of float32, bytes of bool)
#pragma once
#include <memory>
#include <vector>

#include <nanobind/nanobind.h>

#include "g3n/engine.h"

namespace g3n::python {

struct PreparedBox {
  std::shared_ptr<const PreparedPrompt> prompt;
};

std::vector<Part> to_parts(nanobind::handle parts);
MediaPart to_medium(nanobind::handle part);
Prompt to_prompt(nanobind::handle prompt);
// Over the engine's defaults. An option that is not given is not touched.
AnswerOptions to_answer_options(const Engine& engine, const nanobind::dict& options);
EngineOptions to_engine_options(const nanobind::dict& options);
std::vector<std::int32_t> to_ids(nanobind::handle ids, const char* name);

// The value as T; a TypeError names it otherwise.
template <class T>
T to(nanobind::handle value, const char* name, const char* wanted) {
  T out{};
  if (nanobind::try_cast<T>(value, out)) return out;
  throw nanobind::type_error((std::string(name) + ": expected " + wanted + ", got " +
                              nanobind::cast<std::string>(nanobind::str(value.type().attr("__name__"))))
                                 .c_str());
}

}  // namespace g3n::python
