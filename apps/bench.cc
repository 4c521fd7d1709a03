// g3n bench: how fast one model is on this machine, as text or JSON.
#include <algorithm>
#include <cstdio>

#include "commands.h"
#include "console.h"
#include "core/printable.h"
#include "g3n/diagnostics.h"
#include "json_text.h"
#include "load_engine.h"

namespace g3n::cli {
namespace {

bool is_whole(double value) { return value == static_cast<double>(static_cast<std::int64_t>(value)); }

JsonNode number(double value) { return is_whole(value) ? JsonNode{static_cast<std::int64_t>(value)} : JsonNode{value}; }

// The key of its amount in JSON; load has none.
const char* amount_key(BenchWork work) {
  switch (work) {
    case BenchWork::kPrefill: return "tokens";
    case BenchWork::kDecode: return "context";
    case BenchWork::kBatch: return "sequences";
    case BenchWork::kImage: return "size";
    case BenchWork::kAudio: return "audio_s";
    default: return nullptr;
  }
}

std::string name_of(const BenchResult& r) {
  switch (r.work) {
    case BenchWork::kPrefill: return "prefill " + format_number(r.amount, 0);
    case BenchWork::kDecode: return "decode at " + format_number(r.amount, 0);
    case BenchWork::kBatch: return "batch of " + format_number(r.amount, 0);
    case BenchWork::kImage: return "image " + format_number(r.amount, 0) + " px";
    case BenchWork::kAudio: return "audio " + format_number(r.amount, is_whole(r.amount) ? 0 : 1) + " s";
    default: return bench_work_name(r.work);
  }
}

// Median, smallest and largest.
std::string summary(const BenchResult& r) {
  std::vector<double> v = r.values;
  std::sort(v.begin(), v.end());
  const double median = v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
  const int digits = r.is_rate() ? 1 : 3;
  std::string text = format_number(median, digits) + (r.is_rate() ? " tok/s" : " s");
  if (v.size() > 1) text += "   (" + format_number(v.front(), digits) + " .. " + format_number(v.back(), digits) + ")";
  if (r.work == BenchWork::kBatch && r.amount > 1) text += "   " + format_number(median / r.amount, 1) + " tok/s each";
  return text;
}

std::string json_of(const BenchReport& report, const std::string& model) {
  JsonList results;
  for (const BenchResult& r : report.results) {
    JsonObject object = {{"work", {std::string(bench_work_name(r.work))}}};
    if (const char* key = amount_key(r.work)) object.push_back({key, number(r.amount)});
    JsonList values, each;
    for (const double value : r.values) {
      values.push_back({value});
      each.push_back({value / r.amount});
    }
    object.push_back({r.is_rate() ? "tok_per_s" : "seconds", JsonNode{std::move(values)}});
    if (r.work == BenchWork::kBatch) object.push_back({"tok_per_s_each", JsonNode{std::move(each)}});
    results.push_back({object});
  }
  const JsonObject machine = {
      {"cpu", {report.cpu}}, {"isa", {report.kernels}}, {"threads", {std::int64_t{report.threads}}}};
  return to_json({JsonObject{{"machine", {machine}},
                             {"model", {JsonObject{{"path", {model}}, {"format", {report.format}}}}},
                             {"results", {results}},
                             {"peak_rss_bytes", {report.peak_bytes}},
                             {"peak_rss_anonymous_bytes", {report.peak_anonymous_bytes}},
                             {"peak_rss_file_bytes", {report.peak_file_bytes}}}}) +
         "\n";
}

std::string table_of(const BenchReport& report) {
  std::string text = report.cpu + ", " + report.kernels + ", " + std::to_string(report.threads) +
                     (report.threads == 1 ? " thread\n" : " threads\n");
  for (const BenchResult& r : report.results) {
    char line[160];
    std::snprintf(line, sizeof line, "%-22s %s\n", name_of(r).c_str(), summary(r).c_str());
    text += line;
  }
  return text + "peak memory            " + format_bytes(report.peak_bytes) + " (at the ends of works: anonymous " +
         format_bytes(report.peak_anonymous_bytes) + ", file pages " + format_bytes(report.peak_file_bytes) + ")\n";
}

}  // namespace

int bench(const Options& options) {
  InterruptScope scope(InterruptMode::kCancelThenExit);
  BenchOptions asked = options.bench;
  asked.cancelled = scope.flag();
  const BenchReport report = run_bench(with_callbacks(options.engine), asked,
                                       [](const BenchResult& next) { show_status(name_of(next) + " ..."); });
  clear_status();
  write_stdout(options.json ? json_of(report, options.engine.model) : table_of(report));
  return kExitDone;
}

}  // namespace g3n::cli
