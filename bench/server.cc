// What HTTP costs: time to first token and tokens per second of the same request, of the library alone and through the
// server, in turns over one engine. bench_server FOLDER [ROUNDS [TOKENS]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "bench/median.h"
#include "g3n/engine.h"
#include "server/server.h"
#include "tools/http_client.h"

namespace g3n {
namespace {

using Clock = std::chrono::steady_clock;

struct Times {
  std::vector<double> first_ms, tokens_per_second;

  void add(Clock::time_point start, Clock::time_point first, Clock::time_point end, std::int64_t tokens) {
    first_ms.push_back(std::chrono::duration<double, std::milli>(first - start).count());
    tokens_per_second.push_back(static_cast<double>(tokens - 1) / std::chrono::duration<double>(end - first).count());
  }
};

class FirstToken : public EventSink {
 public:
  void on_token(std::int32_t) override {
    if (time == Clock::time_point{}) time = Clock::now();
  }
  Clock::time_point time{};
};

int run(const std::string& model, int rounds, int tokens) {
  EngineOptions options;
  options.model = model;
  const std::shared_ptr<Engine> engine = Engine::open(options);
  server::ServerOptions serving;
  serving.http.port = 0;
  serving.model_id = "model";
  server::Server server(serving, [engine] { return engine; });
  std::thread thread([&server] { server.run(); });
  while (!server.is_ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));

  const std::string question = "Tell me about a red star and a blue circle.";
  Request request;
  request.prompt = ChatPrompt{.messages = {Message::text("user", question)}};
  request.options.sampling = {.temperature = 0};
  request.options.max_tokens = tokens;
  request.options.ignore_stop_ids = true;
  const std::string post =
      tools::post("/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + question +
                                              R"("}],"temperature":0,"ignore_eos":true,"stream":true,"max_tokens":)" +
                                              std::to_string(tokens) + "}");
  Times alone, through;
  tools::HttpClient client(server.port());
  for (int i = 0; i <= rounds; ++i) {
    FirstToken sink;
    auto start = Clock::now();
    engine->generate(request, &sink);
    auto end = Clock::now();
    if (i > 0) alone.add(start, sink.time, end, tokens);  // the first round warms up
    Clock::time_point first{};
    start = Clock::now();
    client.send(post);
    client.receive([&](const std::string& chunk) {
      if (first == Clock::time_point{} && chunk.find(R"("delta":{"content":")") != std::string::npos)
        first = Clock::now();
    });
    end = Clock::now();
    if (i > 0) through.add(start, first == Clock::time_point{} ? end : first, end, tokens);
  }
  server.shut_down();
  thread.join();
  const double ratio = median(through.tokens_per_second) / median(alone.tokens_per_second);
  std::printf("%d rounds of %d tokens, medians\n", rounds, tokens);
  std::printf("library  first token %7.2f ms  %8.1f tokens/s\n", median(alone.first_ms),
              median(alone.tokens_per_second));
  std::printf("server   first token %7.2f ms  %8.1f tokens/s  (%.3f of the library)\n", median(through.first_ms),
              median(through.tokens_per_second), ratio);
  return 0;
}

}  // namespace
}  // namespace g3n

int main(int argc, char** argv) try {
  if (argc < 2) return std::fprintf(stderr, "usage: bench_server FOLDER [ROUNDS [TOKENS]]\n"), 2;
  return g3n::run(argv[1], argc > 2 ? std::atoi(argv[2]) : 15, argc > 3 ? std::atoi(argv[3]) : 128);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_server: %s\n", error.what());
  return 1;
}
