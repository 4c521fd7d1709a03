#include "support/full_tower_golden.h"
#include "support/golden_json.h"
#include "support/source_path.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace g3n::testing {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

FullTowerGolden::FullTowerGolden(const std::string& name) {
  const std::string folder = source_path("tests/golden/data/full/");
  const Json tolerances = read_golden_json(folder + "manifest.json").at("cases").at(name).at("tolerance");
  const Json json = read_golden_json(folder + name + ".f64.json");
  if (json.contains("image")) image_size_ = json["image"]["size"], seed_ = json["image"]["seed"];
  if (json.contains("clip")) clip_samples_ = json["clip"]["samples"], seed_ = json["clip"]["seed"];
  for (const auto& [tap, value] : json.at("taps").items()) {
    index_[tap] = taps_.size();
    taps_.push_back({tap, value.at("shape").get<std::vector<int64_t>>(), value.at("rms"), tolerances.at(tap),
                     value.at("samples").get<std::vector<double>>(), false, 0, ""});
  }
}

void FullTowerGolden::record(const std::string& name, std::span<const int64_t> dims, const float* data, int) {
  Tap& tap = taps_[index_.at(name)];
  tap.recorded = true;
  if (std::vector<int64_t>(dims.begin(), dims.end()) != tap.shape) {
    tap.problem = "has another shape than recorded";
    return;
  }
  uint64_t size = 1;
  for (int64_t d : dims) size *= static_cast<uint64_t>(d);
  double sum = 0;
  for (uint64_t i = 0; i < size; ++i) sum += double{data[i]} * data[i];
  tap.error = std::abs(std::sqrt(sum / static_cast<double>(size)) - tap.rms) / tap.rms;
  for (uint64_t k = 0; k < tap.samples.size(); ++k) {
    const double error = std::abs(data[k * 2654435761u % size] - tap.samples[k]) / tap.rms;
    if (!(error <= tap.error)) tap.error = error;  // a NaN stays
  }
  if (!(tap.error <= tap.tolerance))
    tap.problem = "differs by " + short_number(tap.error) + " of its rms, allowed " + short_number(tap.tolerance);
}

std::string FullTowerGolden::first_difference() const {
  for (const Tap& tap : taps_) {
    if (!tap.recorded) return tap.name + " was not recorded";
    if (!tap.problem.empty()) return "first tap that differs: " + tap.name + " " + tap.problem;
  }
  return taps_.empty() ? "no taps in the golden" : "";
}

std::string FullTowerGolden::worst() const {
  std::string name = "none";
  double ratio = -1;
  for (const Tap& tap : taps_)
    if (tap.error / tap.tolerance > ratio) ratio = tap.error / tap.tolerance, name = tap.name;
  return "worst tap " + name + ", " + short_number(ratio) + " of its bound";
}

}  // namespace g3n::testing
