#include "server/metrics.h"

#include <numeric>

#include "json/writer.h"

namespace g3n::server {
namespace {

std::string number(double value) {
  if (value == static_cast<double>(static_cast<std::int64_t>(value)))
    return std::to_string(static_cast<std::int64_t>(value));
  return to_json(JsonNode{value});
}

const char* help_of(const std::string& name) {
  static const std::map<std::string, const char*> kHelp = {
      {"g3n_requests_total", "Requests answered, by route and status."},
      {"g3n_prompt_tokens_total", "Tokens of prompts, computed or found in a cache."},
      {"g3n_generated_tokens_total", "Tokens generated."},
      {"g3n_images_total", "Images in requests."},
      {"g3n_finish_total", "Answers by the reason of their end."},
      {"g3n_cancelled_total", "Requests whose client left, by what they were doing."},
      {"g3n_rejected_total", "Errors by their code."},
      {"g3n_queue_seconds", "Time between a request and its first step."},
      {"g3n_time_to_first_token_seconds", "Time between a request and its first token."},
      {"g3n_request_seconds", "Time of a request, by route."},
      {"g3n_inter_token_seconds", "Time between two tokens of a sequence."},
      {"g3n_encode_seconds", "Time in which the media of a request were encoded."},
      {"g3n_prompt_length_tokens", "Tokens of a prompt."},
      {"g3n_completion_length_tokens", "Tokens of an answer."},
      {"g3n_audio_seconds_total", "Seconds of sound in requests."},
  };
  const auto found = kHelp.find(name);
  return found == kHelp.end() ? "" : found->second;
}

}  // namespace

std::string label_value(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out + "\"";
}

void Metrics::add(const std::string& counter, const std::string& labels, double amount) {
  std::lock_guard lock(mutex_);
  counters_[counter][labels] += amount;
}

const std::array<double, Metrics::kBoundCount>& Metrics::bounds_of(const std::string& name) {
  static constexpr std::array<double, kBoundCount> kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                               0.5,   1,    2.5,   10,   30,  120};
  static constexpr std::array<double, kBoundCount> kTokens = {1,   4,    16,   64,   128,   256,
                                                              512, 1024, 2048, 4096, 16384, 32768};
  return name.ends_with("_tokens") ? kTokens : kSeconds;
}

void Metrics::observe(const std::string& histogram, const std::string& labels, double value) {
  std::lock_guard lock(mutex_);
  Histogram& h = histograms_[histogram][labels];
  const auto& bounds = bounds_of(histogram);
  for (std::size_t i = 0; i < bounds.size(); ++i) h.counts[i] += value <= bounds[i];
  ++h.count;
  h.sum += value;
}

std::string Metrics::text(const std::string& model, const std::vector<Gauge>& gauges,
                          const std::vector<Given>& given) const {
  std::lock_guard lock(mutex_);
  std::string out;
  const auto sample = [&](const std::string& name, const std::string& labels, double value) {
    out += name + "{model=" + label_value(model) + (labels.empty() ? "" : ",") + labels + "} " + number(value) + "\n";
  };
  const auto head = [&](const std::string& name, const std::string& help, const char* type) {
    out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  };
  for (const auto& [name, values] : counters_) {
    head(name, help_of(name), "counter");
    for (const auto& [labels, value] : values) sample(name, labels, value);
  }
  std::string last;
  for (const Gauge& gauge : gauges) {
    if (gauge.name != last) head(gauge.name, gauge.help, gauge.is_counter ? "counter" : "gauge");
    last = gauge.name;
    sample(gauge.name, gauge.labels, gauge.value);
  }
  // counts: at most each of the bounds, which ascend.
  const auto histogram = [&](const std::string& name, const std::string& labels, const auto& bounds, const auto& counts,
                             double count, double sum) {
    const std::string with = labels.empty() ? "" : labels + ",";
    for (std::size_t i = 0; i < bounds.size(); ++i)
      sample(name + "_bucket", with + "le=\"" + number(bounds[i]) + "\"", static_cast<double>(counts[i]));
    sample(name + "_bucket", with + "le=\"+Inf\"", count);
    sample(name + "_sum", labels, sum);
    sample(name + "_count", labels, count);
  };
  for (const auto& [name, values] : histograms_) {
    head(name, help_of(name), "histogram");
    for (const auto& [labels, h] : values)
      histogram(name, labels, bounds_of(name), h.counts, static_cast<double>(h.count), h.sum);
  }
  for (const Given& g : given) {
    head(g.name, g.help, "histogram");
    std::vector<std::int64_t> counts(g.counts.size());
    std::partial_sum(g.counts.begin(), g.counts.end(), counts.begin());
    histogram(g.name, "", g.bounds, counts, static_cast<double>(counts.back()), g.sum);
  }
  return out;
}

}  // namespace g3n::server
