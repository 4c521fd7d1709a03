// Reading the manifests (the order of taps matters, so an ordered JSON) and comparing.
#include "support/golden.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "formats/safetensors_source.h"
#include "support/golden_json.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using Json = nlohmann::ordered_json;

std::string folder_of(const std::string& path) { return path.substr(0, path.find_last_of('/') + 1); }

uint32_t crc(const Json& input) {
  return input.contains("crc32") ? static_cast<uint32_t>(std::stoul(input["crc32"].get<std::string>(), nullptr, 16))
                                 : 0;
}

double rms(const std::vector<float>& values) {
  double sum = 0;
  for (float v : values) sum += double{v} * v;
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

// b behind a along `axis`; all other dimensions agree.
void append(std::vector<int64_t>& dims, std::vector<float>& data, std::span<const int64_t> more, const float* extra,
            int axis) {
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= dims[i];
  for (size_t i = axis + 1; i < dims.size(); ++i) inner *= dims[i];
  const int64_t a = dims[axis] * inner, b = more[axis] * inner;
  std::vector<float> joined;
  joined.reserve(static_cast<size_t>(outer * (a + b)));
  for (int64_t o = 0; o < outer; ++o) {
    joined.insert(joined.end(), data.begin() + o * a, data.begin() + (o + 1) * a);
    joined.insert(joined.end(), extra + o * b, extra + (o + 1) * b);
  }
  data = std::move(joined);
  dims[axis] += more[axis];
}

}  // namespace

double relative_rms(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return std::numeric_limits<double>::infinity();
    const double d = double{got[i]} - want[i];
    difference += d * d;
    size += double{want[i]} * want[i];
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

std::string GoldenCase::tiny_manifest() { return source_path("tests/golden/data/manifest.json"); }
std::string GoldenCase::demo_manifest() { return source_path("tests/golden/data/demo/manifest.json"); }

std::vector<std::string> GoldenCase::names(const std::string& manifest) {
  std::vector<std::string> names;
  const Json json = read_golden_json(manifest);
  for (const auto& [name, value] : json.at("cases").items()) names.push_back(name);
  return names;
}

GoldenCase GoldenCase::load(const std::string& manifest, const std::string& name) {
  const Json json = read_golden_json(manifest);
  if (!json.at("cases").contains(name)) throw Error(ErrorCode::kNotFound, manifest + ": no case " + name);
  const Json& entry = json["cases"][name];
  GoldenCase c;
  c.name_ = name;
  c.source_ = open_safetensors_file(folder_of(manifest) + entry.at("file").get<std::string>());
  for (const auto& [tap, value] : entry.at("taps").items()) {
    GoldenTap t{
        tap, value.at("shape").get<std::vector<int64_t>>(), value.at("stride"), value.at("rms"), value.at("tolerance"),
        {}};
    if (value.contains("hf_bf16_rel_rms")) t.hf_bf16_rel_rms = value["hf_bf16_rel_rms"].get<double>();
    c.taps_.push_back(std::move(t));
  }
  const Json inputs = entry.value("inputs", Json::object());
  for (const Json& image : inputs.value("images", Json::array()))
    if (image.contains("size")) c.images_.push_back({image["size"], image["seed"], crc(image)});
  for (const Json& clip : inputs.value("clips", Json::array()))
    if (clip.contains("samples"))
      c.clips_.push_back({clip["samples"], clip["seed"], crc(clip), clip.value("frames", int64_t{0}),
                          clip.value("valid_frames", int64_t{0})});
  if (inputs.contains("conversation")) c.conversation_ = inputs["conversation"];
  if (inputs.contains("ids")) {
    const Json& ids = inputs["ids"];
    c.ids_ = ids.is_string() ? c.integers("ids") : ids.get<std::vector<int64_t>>();
  }
  if (inputs.contains("sequences")) c.sequences_ = inputs["sequences"].get<std::vector<std::vector<int64_t>>>();
  return c;
}

const GoldenTap* GoldenCase::tap(const std::string& name) const {
  for (const GoldenTap& t : taps_)
    if (t.name == name) return &t;
  return nullptr;
}

std::vector<float> GoldenCase::floats(const std::string& tensor) const {
  const TensorInfo* info = source_->find(tensor);
  if (!info || info->dtype != DType::kF32)
    throw Error(ErrorCode::kNotFound, "case " + name_ + ": no F32 tensor " + tensor);
  std::vector<float> values(static_cast<size_t>(info->bytes / 4));
  std::memcpy(values.data(), info->data, static_cast<size_t>(info->bytes));
  return values;
}

std::vector<int64_t> GoldenCase::integers(const std::string& tensor) const {
  const TensorInfo* info = source_->find(tensor);
  if (!info || (info->dtype != DType::kI32 && info->dtype != DType::kI64))
    throw Error(ErrorCode::kNotFound, "case " + name_ + ": no integer tensor " + tensor);
  const int64_t size = dtype_bytes(info->dtype), count = info->bytes / size;
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) {
    int32_t narrow;
    int64_t wide;
    std::memcpy(&narrow, info->data + i * size, 4);
    if (size == 8)
      std::memcpy(&wide, info->data + i * size, 8);
    else
      wide = narrow;
    values.push_back(wide);
  }
  return values;
}

bool GoldenSink::demanded(const GoldenTap& tap) const {
  return tap.name.starts_with(options_.only) && (!options_.bf16 || tap.hf_bf16_rel_rms);
}

bool GoldenSink::wants(const std::string& name) {
  const GoldenTap* tap = golden_.tap(options_.prefix + name);
  return tap && demanded(*tap);
}

void GoldenSink::record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) {
  Recorded& r = recorded_[options_.prefix + name];
  if (r.dims.empty() || token_axis < 0) {
    r.dims.assign(dims.begin(), dims.end());
    int64_t size = 1;
    for (int64_t d : dims) size *= d;
    r.data.assign(data, data + size);
  } else {
    append(r.dims, r.data, dims, data, token_axis);
  }
}

GoldenSink::Outcome GoldenSink::compare(const GoldenTap& tap) const {
  Outcome o;
  o.bound = options_.bf16 ? *tap.hf_bf16_rel_rms : tap.tolerance;
  const auto found = recorded_.find(tap.name);
  if (found == recorded_.end()) return o.problem = "was not recorded", o;
  const Recorded& r = found->second;
  if (r.dims != tap.shape)
    return o.problem = "has shape " + shape_text(r.dims) + ", expected " + shape_text(tap.shape), o;
  std::vector<float> picked;
  for (size_t i = 0; i < r.data.size(); i += static_cast<size_t>(tap.stride)) picked.push_back(r.data[i]);
  o.error = relative_rms(picked, golden_.floats(tap.name));
  if (!(o.error <= o.bound))
    return o.problem = "differs by " + short_number(o.error) + " in relative rms, allowed " + short_number(o.bound), o;
  const double whole = rms(r.data);  // the manifest's rms has seven digits
  if (!(std::abs(whole - tap.rms) <= (o.bound + 1e-6) * tap.rms))
    o.problem = "has rms " + short_number(whole) + ", expected " + short_number(tap.rms);
  return o;
}

std::string GoldenSink::first_difference() const {
  int64_t compared = 0;
  for (const GoldenTap& tap : golden_.taps()) {
    if (!demanded(tap)) continue;
    ++compared;
    const Outcome o = compare(tap);
    if (!o.problem.empty()) return "case " + golden_.name() + ": first tap that differs: " + tap.name + " " + o.problem;
  }
  return compared ? "" : "case " + golden_.name() + ": no tap matches \"" + options_.only + "\": nothing was compared";
}

std::string GoldenSink::worst() const {
  std::string name = "none";
  double ratio = -1;
  for (const GoldenTap& tap : golden_.taps()) {
    if (!demanded(tap)) continue;
    const Outcome o = compare(tap);
    if (o.error / o.bound > ratio) ratio = o.error / o.bound, name = tap.name;
  }
  return "case " + golden_.name() + ": worst tap " + name + ", " + short_number(ratio) + " of its bound";
}

std::string GoldenSink::table() const {
  std::string text;
  for (const GoldenTap& tap : golden_.taps()) {
    if (!demanded(tap)) continue;
    const Outcome o = compare(tap);
    text += tap.name + "  " + short_number(o.error) + " of " + short_number(o.bound) +
            (o.problem.empty() ? "" : "  <- " + o.problem) + "\n";
  }
  return text;
}

}  // namespace g3n::testing
