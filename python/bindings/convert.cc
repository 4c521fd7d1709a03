#include "convert.h"

#include <cstring>
#include <string>
#include <string_view>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace g3n::python {
namespace {

std::string text_of(nb::handle value) { return to<std::string>(value, "text", "a str"); }

std::vector<std::uint8_t> bytes_of(nb::handle value) {
  const nb::bytes bytes = nb::cast<nb::bytes>(value);
  const auto* data = static_cast<const std::uint8_t*>(bytes.data());
  return {data, data + bytes.size()};
}

std::vector<float> floats_of(nb::handle value) {
  const nb::bytes bytes = nb::cast<nb::bytes>(value);
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

MediaBytes file_of(nb::handle source) { return {bytes_of(source[1]), text_of(source[2])}; }
SoftTokens soft_of(nb::handle source) { return {nb::cast<std::int64_t>(source[1]), floats_of(source[2])}; }

PixelValues pixel_values_of(nb::handle source) {
  return {nb::cast<int>(source[1]), nb::cast<int>(source[2]), floats_of(source[3])};
}
LogMelFrames log_mel_of(nb::handle source) {
  return {nb::cast<std::int64_t>(source[1]), nb::cast<std::int64_t>(source[2]), floats_of(source[3]),
          bytes_of(source[4])};
}

}  // namespace

MediaPart to_medium(nb::handle part) {
  const std::string kind = text_of(part[0]);
  const nb::object source = part[1];
  const std::string form = text_of(source[0]);
  if (kind == "image") {
    ImagePart image;
    image.size = nb::cast<int>(part[2]);
    if (form == "bytes")
      image.source = file_of(source);
    else if (form == "pixels")
      image.source = Pixels{nb::cast<int>(source[1]), nb::cast<int>(source[2]), bytes_of(source[3])};
    else if (form == "pixel_values")
      image.source = pixel_values_of(source);
    else
      image.source = soft_of(source);
    return image;
  }
  AudioPart audio;
  if (form == "bytes")
    audio.source = file_of(source);
  else if (form == "samples")
    audio.source = Samples{floats_of(source[1])};
  else if (form == "log_mel")
    audio.source = log_mel_of(source);
  else
    audio.source = soft_of(source);
  return audio;
}

namespace {

std::vector<MediaPart> to_media(nb::handle media) {
  std::vector<MediaPart> all;
  for (nb::handle part : media) all.push_back(to_medium(part));
  return all;
}

}  // namespace

std::vector<std::int32_t> to_ids(nb::handle ids, const char* name) {
  return to<std::vector<std::int32_t>>(ids, name, "a list of token ids");
}

std::vector<Part> to_parts(nb::handle parts) {
  std::vector<Part> all;
  for (nb::handle part : parts) {
    if (nb::isinstance<nb::str>(part))
      all.push_back(TextPart{text_of(part)});
    else
      std::visit([&](auto&& medium) { all.push_back(std::move(medium)); }, to_medium(part));
  }
  return all;
}

Prompt to_prompt(nb::handle prompt) {
  const std::string form = text_of(prompt[0]);
  if (form == "raw") return RawPrompt{text_of(prompt[1]), to_media(prompt[2])};
  if (form == "ids") return IdsPrompt{to_ids(prompt[1], "prompt"), to_media(prompt[2])};
  if (form == "prepared") return nb::cast<const PreparedBox&>(prompt[1]).prompt;
  ChatPrompt chat;
  for (nb::handle message : nb::object(prompt[1])) chat.messages.push_back({text_of(message[0]), to_parts(message[1])});
  chat.add_generation_prompt = nb::cast<bool>(prompt[2]);
  chat.continue_final_message = nb::cast<bool>(prompt[3]);
  return chat;
}

AnswerOptions to_answer_options(const Engine& engine, const nb::dict& options) {
  AnswerOptions out;
  out.sampling = engine.default_sampling();
  Sampling& s = out.sampling;
  for (const auto& [key, value] : options) {
    const std::string text = text_of(key);
    const char* name = text.c_str();
    const auto number = [&](auto& to_what) { to_what = to<double>(value, name, "a number"); };
    const auto integer = [&]<class T>(T& to_what) { to_what = to<T>(value, name, "an integer"); };
    if (text == "temperature")
      number(s.temperature);
    else if (text == "top_k")
      integer(s.top_k);
    else if (text == "top_p")
      number(s.top_p);
    else if (text == "min_p")
      number(s.min_p);
    else if (text == "repetition_penalty")
      number(s.repetition_penalty);
    else if (text == "presence_penalty")
      number(s.presence_penalty);
    else if (text == "frequency_penalty")
      number(s.frequency_penalty);
    else if (text == "seed")
      integer(s.seed);
    else if (text == "max_tokens")
      integer(out.max_tokens);
    else if (text == "min_tokens")
      integer(out.min_tokens);
    else if (text == "logprobs")
      integer(out.logprobs);
    else if (text == "prompt_logprobs")
      integer(out.prompt_logprobs);
    else if (text == "stop_ids")
      out.stop_ids = to_ids(value, name);
    else if (text == "ignore_stop_ids")
      out.ignore_stop_ids = to<bool>(value, name, "a bool");
    else if (text == "banned_ids")
      out.banned_ids = to_ids(value, name);
    else if (text == "stop")
      out.stop = to<std::vector<std::string>>(value, name, "a str or a list of str");
    else if (text == "logit_bias")
      for (const auto& [id, bias] : to<nb::dict>(value, name, "a dict of token ids to numbers"))
        out.logit_bias.emplace_back(to<std::int32_t>(id, name, "token ids as keys"),
                                    static_cast<float>(to<double>(bias, name, "numbers as values")));
    else
      throw nb::type_error(("unknown option '" + text + "'").c_str());
  }
  return out;
}

EngineOptions to_engine_options(const nb::dict& options) {
  EngineOptions out;
  for (const auto& [key, value] : options) {
    const std::string text = text_of(key);
    const char* name = text.c_str();
    const auto integer = [&]<class T>(T& to_what) { to_what = to<T>(value, name, "an integer"); };
    const auto string = [&] { return to<std::string>(value, name, "a str"); };
    if (text == "model")
      out.model = string();
    else if (text == "hub_caches")
      out.hub_caches = to<std::vector<std::string>>(value, name, "a list of str");
    else if (text == "ollama_folders")
      out.ollama_folders = to<std::vector<std::string>>(value, name, "a list of str");
    else if (text == "mmproj")
      out.mmproj = string();
    else if (text == "quantize")
      out.quantize = string();
    else if (text == "compute")
      out.compute = string() == "bf16" ? Compute::kBF16 : Compute::kF32;
    else if (text == "kv_cache") {
      const std::string type = string();
      out.kv_cache = type == "f32"    ? CacheType::kF32
                     : type == "bf16" ? CacheType::kBF16
                     : type == "q8"   ? CacheType::kQ8
                                      : CacheType::kAuto;
    } else if (text == "threads")
      integer(out.threads);
    else if (text == "context")
      integer(out.context);
    else if (text == "chunk")
      integer(out.chunk);
    else if (text == "image_size")
      integer(out.image_size);
    else if (text == "kv_ram")
      integer(out.kv_ram);
    else if (text == "cache_ram")
      integer(out.cache_ram);
    else if (text == "load_weights")
      out.load_weights = to<bool>(value, name, "a bool");
    else if (text == "release_encoders")
      out.release_encoders = to<bool>(value, name, "a bool");
    else
      throw nb::type_error(("unknown option '" + text + "'").c_str());
  }
  return out;
}

}  // namespace g3n::python
