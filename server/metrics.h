// Counters of the server as Prometheus reads them (text format 0.0.4).
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace g3n::server {

class Metrics {
 public:
  // Any thread. labels: `endpoint="/v1/...",status="200"`, already escaped.
  void add(const std::string& counter, const std::string& labels, double amount = 1);
  void observe(const std::string& histogram, const std::string& labels, double value);

  struct Gauge {
    std::string name, labels, help;
    double value = 0;
    bool is_counter = false;
  };
  // Counted elsewhere.
  struct Given {
    std::string name, help;
    std::vector<double> bounds;
    std::vector<std::int64_t> counts;  // between the bounds, and beyond the last
    double sum = 0;
  };
  // All of it; every sample has the label model.
  std::string text(const std::string& model, const std::vector<Gauge>& gauges, const std::vector<Given>& given) const;

 private:
  static constexpr std::size_t kBoundCount = 12;
  // Of a histogram: seconds, or counts of tokens.
  static const std::array<double, kBoundCount>& bounds_of(const std::string& name);
  struct Histogram {
    std::array<std::uint64_t, kBoundCount> counts{};
    std::uint64_t count = 0;
    double sum = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> counters_;  // by name, labels
  std::map<std::string, std::map<std::string, Histogram>> histograms_;
};

// In quotes, for a label's value.
std::string label_value(const std::string& text);

}  // namespace g3n::server
