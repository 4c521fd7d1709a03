// One loaded model that measures itself on demand: bench/run.py writes commands to its stdin and reads one JSON object per line.
//   model_bench FOLDER [--threads N]
//   machine                        bandwidth and peaks of this machine
//   bandwidth                      the first of these alone
//   prefill f32|bf16 TOKENS        seconds until the logits of the last token (chunks of 512)
//   decode f32|bf16 CONTEXT STEPS  seconds of each of STEPS greedy steps behind CONTEXT tokens
//   image f32|bf16 SIZE            seconds from pixels to soft tokens (no resizing); the first call loads the tower and is not timed
//   audio f32|bf16 SECONDS         seconds from 16 kHz samples to soft tokens
//   memory                         of this process
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/machine_speed.h"
#include "bench/work.h"
#include "g3n/error.h"
#include "kernels/table.h"
#include "model/model.h"
#include "runtime/machine.h"

namespace g3n::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kChunk = 512;

// Ids spread over the vocabulary, as in the goldens of full shape.
int32_t prompt_id(int64_t i) { return i == 0 ? 2 : static_cast<int32_t>(3 + (2654435761 * i + 7 * i * i) % 255990); }

class Bench {
 public:
  Bench(const std::string& folder, int threads)
      : f32_(threads, best_kernels(), ComputeType::kF32), bf16_(threads, best_kernels(), ComputeType::kBF16) {
    const double start = now_seconds();
    model_ = Gemma3n::load(folder, f32_.pool(), {});
    load_seconds_ = now_seconds() - start;
  }

  Json loaded() const {
    const Work work = work_of(model_->text().config());
    return {{"load_seconds", load_seconds_}, {"kernels", f32_.kernels().name}, {"packed_bytes", model_->packed_bytes()}, {"decode_bytes", work.decode_bytes},
            {"decode_flops", work.decode_flops}, {"memory", memory()}};
  }

  static Json memory() {
    const Memory m = memory_of_this_process();
    return {{"peak", m.peak}, {"now", m.now}, {"anonymous", m.anonymous}};
  }

  Json machine() {
    ThreadPool one(1);
    return {{"cpu", cpu_name()}, {"threads", f32_.pool().threads()}, {"read_gb_per_s", read_gigabytes_per_second(f32_.pool())},
            {"read_gb_per_s_one_thread", read_gigabytes_per_second(one)}, {"fma_f32_gflops", fma_f32_gigaflops(f32_.pool())},
            {"dot_bf16_gflops", dot_bf16_gigaflops(f32_.pool())}};
  }

  Json prefill(Machine& machine, int64_t tokens) {
    const auto cache = model_->text().make_cache(tokens, std::min(tokens, kChunk), standard_cache(machine.compute()));
    const double start = now_seconds();
    feed(machine, *cache, tokens);
    const double seconds = now_seconds() - start;
    const Work work = work_of(model_->text().config());
    const int64_t flops = work.prefill_flops_per_row * (tokens - 1) + work.prefill_flops_last_row + attention_flops(model_->text().config(), tokens);
    return {{"seconds", seconds}, {"flops", flops}};
  }

  Json decode(Machine& machine, int64_t context, int64_t steps) {
    const auto cache = model_->text().make_cache(context + steps, std::min(context, kChunk), standard_cache(machine.compute()));
    std::vector<float> logits = feed(machine, *cache, context);
    std::vector<double> seconds;
    for (int64_t step = 0; step < steps; ++step) {
      const double start = now_seconds();
      const auto best = std::max_element(logits.begin(), logits.begin() + model_->text().choosable_ids()) - logits.begin();
      forward(machine, *cache, {{.position = static_cast<int32_t>(cache->length()), .id = static_cast<int32_t>(best), .wants_logits = true}}, logits);
      seconds.push_back(now_seconds() - start);
    }
    return {{"seconds", seconds}};
  }

  Json image(Machine& machine, int size) {
    model_->vision();
    model_->set_image_size(size);
    Pixels pixels{size, size, std::vector<uint8_t>(static_cast<size_t>(size) * size * 3)};
    for (size_t i = 0; i < pixels.rgb.size(); ++i) pixels.rgb[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
    return timed(machine, [&](Context& ctx) { model_->encode_image(ctx, {pixels}); });
  }

  Json audio(Machine& machine, double seconds) {
    model_->audio();
    Samples samples{std::vector<float>(static_cast<size_t>(seconds * 16000))};
    for (size_t i = 0; i < samples.pcm.size(); ++i) samples.pcm[i] = static_cast<float>(static_cast<int32_t>(i * 2654435761u)) / 2147483648.0f;
    return timed(machine, [&](Context& ctx) { model_->encode_audio(ctx, {samples}); });
  }

  Json answer(const std::string& line) {
    std::istringstream words(line);
    std::string command, type;
    double first = 0, second = 0;
    words >> command >> type >> first >> second;
    Machine& machine_of_type = type == "bf16" ? bf16_ : f32_;
    if (command == "machine") return machine();
    if (command == "bandwidth") return {{"read_gb_per_s", read_gigabytes_per_second(f32_.pool())}};
    if (command == "memory") return memory();
    if (command == "prefill") return prefill(machine_of_type, static_cast<int64_t>(first));
    if (command == "decode") return decode(machine_of_type, static_cast<int64_t>(first), static_cast<int64_t>(second));
    if (command == "image") return image(machine_of_type, static_cast<int>(first));
    if (command == "audio") return audio(machine_of_type, first);
    throw Error(ErrorCode::kInvalidArgument, "no such command: " + line);
  }

 private:
  template <typename F>
  Json timed(Machine& machine, F&& f) {
    const double start = now_seconds();
    machine.run(nullptr, f);
    return {{"seconds", now_seconds() - start}};
  }

  void forward(Machine& machine, SequenceCache& cache, const std::vector<Row>& rows, std::vector<float>& logits) {
    SequenceCache* const caches[] = {&cache};
    const int64_t wanted = rows.back().wants_logits;
    logits.resize(static_cast<size_t>(model_->text().vocab_size()));
    machine.run(nullptr, [&](Context& ctx) {
      model_->text().forward(ctx, {rows, caches, {}}, {logits.data(), {wanted, model_->text().vocab_size()}});
    });
  }

  std::vector<float> feed(Machine& machine, SequenceCache& cache, int64_t tokens) {
    std::vector<float> logits;
    for (int64_t first = 0; first < tokens; first += kChunk) {
      std::vector<Row> rows;
      for (int64_t i = first; i < std::min(first + kChunk, tokens); ++i)
        rows.push_back({.position = static_cast<int32_t>(i), .id = prompt_id(i), .wants_logits = i + 1 == tokens});
      forward(machine, cache, rows, logits);
    }
    return logits;
  }

  Machine f32_, bf16_;
  std::unique_ptr<Gemma3n> model_;
  double load_seconds_ = 0;
};

int serve(const std::string& folder, int threads) {
  Bench bench(folder, threads);
  std::cout << bench.loaded() << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    if (!line.empty()) std::cout << bench.answer(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace g3n::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool threads_given = words.size() == 3 && words[1] == "--threads";
  if (words.size() != 1 && !threads_given) {
    std::fputs("usage: model_bench FOLDER [--threads N]      (commands on stdin: bench/README.md)\n", stderr);
    return 2;
  }
  try {
    return g3n::bench::serve(words[0], threads_given ? std::atoi(words[2].c_str()) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "model_bench: %s\n", error.what());
    return 1;
  }
}
