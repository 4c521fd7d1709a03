#include "golden/full_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using Json = nlohmann::json;

Json read_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw Error(ErrorCode::kNotFound, path + ": no such golden");
  return Json::parse(in);
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

template <typename T>
double rms(const T* values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return std::sqrt(sum / static_cast<double>(count));
}

// Largest |got - want| over the wanted values, divided by scale; a NaN stays.
double distance(const float* got, const std::vector<double>& want, double scale) {
  double largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(got[i] - want[i]) / scale;
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

}  // namespace

bool FullTextSink::wants(const std::string& name) {
  return name == "text.altup_expand" || name == "text.per_layer_inputs" || name == "text.norm" ||
         (name.starts_with("text.layer.") && name.ends_with(".out"));
}

// [streams, tokens, hidden] with the tokens on axis 1; [tokens, layers, ple] and [tokens, hidden] are one stream.
void FullTextSink::record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) {
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < token_axis; ++i) outer *= dims[i];
  for (size_t i = token_axis + 1; i < dims.size(); ++i) inner *= dims[i];
  const int64_t tokens = dims[token_axis];
  Last& last = last_[name];
  last.streams.clear();
  for (int64_t s = 0; s < outer; ++s) {
    const float* row = data + (s * tokens + tokens - 1) * inner;
    last.streams.emplace_back(row, row + inner);
  }
  for (int64_t t = 0; t < tokens; ++t) last.position_rms.push_back(rms(data + t * inner, static_cast<size_t>(inner)));
}

const FullTextSink::Last* FullTextSink::find(const std::string& name) const {
  const auto found = last_.find(name);
  return found == last_.end() ? nullptr : &found->second;
}

FullTextCase::FullTextCase(const std::string& size, const std::string& name) {
  const std::string folder = source_path("tests/golden/data/full/");
  const Json cases = read_json(folder + "manifest.json").at("cases");
  const Json& tolerance = cases.at(size + "/" + name).at("tolerance");
  layer_rms_tolerance_ = tolerance.at("layer_rms").get<std::vector<double>>();
  layer_stream0_tolerance_ = tolerance.at("layer_stream0").get<std::vector<double>>();
  per_layer_input_tolerance_ = tolerance.at("per_layer_input");
  norm_tolerance_ = tolerance.at("norm");
  logits_tolerance_ = tolerance.at("logits");

  const Json json = read_json(folder + size + "/" + name + ".f64.json");
  ids_ = json.at("ids").get<std::vector<int32_t>>();
  greedy_ids_ = json.at("greedy_ids").get<std::vector<int32_t>>();
  for (const Json& s : json.at("steps")) {
    Step step{.layers = {},
              .norm = s.at("norm"),
              .logits_rms = s.at("logits_rms"),
              .top_ids = s.at("top_ids"),
              .top_logits = s.at("top_logits")};
    for (const Json& l : s.at("layers")) {
      Layer layer{.tap = l.at("tap"), .rms = l.at("rms"), .stream0 = l.at("stream0"), .per_layer_input = {}};
      if (l.contains("per_layer_input")) layer.per_layer_input = l.at("per_layer_input").get<std::vector<double>>();
      step.layers.push_back(std::move(layer));
    }
    steps_.push_back(std::move(step));
  }
  if (json.contains("position_rms"))
    position_rms_ = json.at("position_rms").get<std::map<std::string, std::vector<double>>>();
  if (!json.contains("media")) return;
  // The towers' own cases say how near their soft tokens must be; the towers of E4B are those of E2B.
  const std::map<std::string, double> tolerances{
      {"vision.soft_tokens", cases.at("e2b/vision_256").at("tolerance").at("vision.soft_tokens")},
      {"audio.soft_tokens", cases.at("e2b/audio_3s").at("tolerance").at("audio.real_soft_tokens")}};
  for (const auto& [tap, value] : json.at("media").items())
    media_[tap] = {value.at("shape"), value.at("rms"), value.at("samples"), tolerances.at(tap)};
}

std::string FullTextCase::check(double error, double bound, const std::string& what) {
  if (!(error / bound <= worst_)) worst_ = error / bound, worst_where_ = what;
  if (error <= bound) return "";
  return what + " differs by " + number(error) + ", allowed " + number(bound);
}

std::string FullTextCase::worst() const { return "worst " + worst_where_ + ", " + number(worst_) + " of its bound"; }

std::string FullTextCase::compare(int64_t step, const FullTextSink& sink, const std::vector<float>& logits,
                                  bool positions, bool per_layer_inputs) {
  const std::string where = "step " + std::to_string(step) + ": ";
  const Step& want = steps_.at(static_cast<size_t>(step));
  std::string problem = compare_layers(want, sink, where, per_layer_inputs);
  if (problem.empty() && positions) problem = compare_positions(sink);
  if (!problem.empty()) return problem;
  const FullTextSink::Last* norm = sink.find("text.norm");
  if (!norm) return where + "text.norm was not recorded";
  problem = check(distance(norm->streams[0].data(), want.norm, rms(want.norm.data(), want.norm.size())),
                  norm_tolerance_, where + "text.norm");
  return problem.empty() ? compare_logits(want, logits, where) : problem;
}

std::string FullTextCase::compare_layers(const Step& step, const FullTextSink& sink, const std::string& where,
                                         bool per_layer_inputs) {
  const FullTextSink::Last* ple = sink.find("text.per_layer_inputs");
  if (per_layer_inputs && !ple) return where + "text.per_layer_inputs was not recorded";
  const size_t ple_size = ple ? ple->streams[0].size() / (step.layers.size() - 1) : 0;
  for (size_t i = 0; i < step.layers.size(); ++i) {
    const Layer& want = step.layers[i];
    const FullTextSink::Last* got = sink.find(want.tap);
    if (!got) return where + want.tap + " was not recorded";
    if (got->streams.size() != want.rms.size())
      return where + want.tap + " has " + std::to_string(got->streams.size()) + " streams, wanted " +
             std::to_string(want.rms.size());
    std::string problem;
    if (per_layer_inputs && i > 0)
      problem = check(distance(ple->streams[0].data() + (i - 1) * ple_size, want.per_layer_input, 1),
                      per_layer_input_tolerance_, where + "text.per_layer_inputs of layer " + std::to_string(i - 1));
    for (size_t s = 0; s < want.rms.size() && problem.empty(); ++s)
      problem = check(std::abs(rms(got->streams[s].data(), got->streams[s].size()) / want.rms[s] - 1),
                      layer_rms_tolerance_.at(i), where + want.tap + " rms of stream " + std::to_string(s));
    if (problem.empty())
      problem = check(distance(got->streams[0].data(), want.stream0, want.rms[0]), layer_stream0_tolerance_.at(i),
                      where + want.tap + " stream 0");
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string FullTextCase::compare_positions(const FullTextSink& sink) {
  for (size_t i = 1; i < steps_[0].layers.size(); ++i) {
    const std::string& tap = steps_[0].layers[i].tap;
    const std::vector<double>& want = position_rms_.at(tap);
    const FullTextSink::Last* got = sink.find(tap);
    if (got->position_rms.size() != want.size())
      return tap + " has " + std::to_string(got->position_rms.size()) + " positions, wanted " +
             std::to_string(want.size());
    for (size_t p = 0; p < want.size(); ++p) {
      const std::string problem = check(std::abs(got->position_rms[p] / want[p] - 1), layer_rms_tolerance_.at(i),
                                        tap + " rms of position " + std::to_string(p));
      if (!problem.empty()) return problem;
    }
  }
  return "";
}

// By id; whoever is not among the recorded largest must not be larger than the smallest of them; the first must be
// first where the margin over the second exceeds the tolerance.
std::string FullTextCase::compare_logits(const Step& step, const std::vector<float>& logits, const std::string& where) {
  std::string problem = check(std::abs(rms(logits.data(), logits.size()) - step.logits_rms), logits_tolerance_,
                              where + "rms of the logits");
  for (size_t i = 0; i < step.top_ids.size() && problem.empty(); ++i)
    problem = check(std::abs(logits.at(static_cast<size_t>(step.top_ids[i])) - step.top_logits[i]), logits_tolerance_,
                    where + "logit of id " + std::to_string(step.top_ids[i]));
  if (!problem.empty()) return problem;
  const double smallest = step.top_logits.back() + logits_tolerance_;
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] > smallest &&
        std::find(step.top_ids.begin(), step.top_ids.end(), static_cast<int64_t>(id)) == step.top_ids.end())
      return where + "logit of id " + std::to_string(id) + " is " + number(logits[id]) + ", more than " +
             number(smallest) + " of the recorded largest";
  const int64_t first = std::max_element(logits.begin(), logits.end()) - logits.begin();
  if (step.top_logits[0] - step.top_logits[1] > logits_tolerance_ && first != step.top_ids[0])
    return where + "the likeliest id is " + std::to_string(first) + ", wanted " + std::to_string(step.top_ids[0]);
  return "";
}

std::string FullTextCase::compare_medium(const std::string& tap, const std::vector<float>& values) {
  const FullMedium& want = media_.at(tap);
  uint64_t size = 1;
  for (const int64_t d : want.shape) size *= static_cast<uint64_t>(d);
  if (values.size() != size)
    return tap + " has " + std::to_string(values.size()) + " values, wanted " + std::to_string(size);
  std::string problem = check(std::abs(rms(values.data(), values.size()) / want.rms - 1), want.tolerance, tap + " rms");
  for (uint64_t k = 0; k < want.samples.size() && problem.empty(); ++k)
    problem = check(std::abs(values[k * 2654435761u % size] - want.samples[k]) / want.rms, want.tolerance,
                    tap + " sample " + std::to_string(k));
  return problem;
}

}  // namespace g3n::testing
