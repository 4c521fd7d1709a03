// server_load: many clients at one `g3n serve` of its own. Every request's answer is compared with the one it gets
// alone; memory must not grow and all pages must come back.
//   server_load --clients 16 --requests 200 --mix text,image,audio,cancel,malformed --model models/demo
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "json/tree.h"
#include "json/writer.h"
#include "tools/http_client.h"

namespace g3n {
namespace {

using tools::fail;
using Client = tools::HttpClient;
using tools::get;
using tools::post;
using Response = tools::HttpReply;
using Clock = std::chrono::steady_clock;

struct Flags {
  int clients = 16, requests = 200;  // requests of each client
  std::string mix = "text,image,audio,cancel,malformed", model = "models/demo";
  std::string program;  // g3n; empty: beside this program
};

// ---- the server -----------------------------------------------------------------------------------------------------

// `g3n serve` on a free port of this machine. Its log goes to a pipe that is read and forgotten.
class ServerProcess {
 public:
  ServerProcess(const std::string& program, const std::string& model) {
    int ends[2];
    if (::pipe(ends) != 0) fail("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], 2);
      ::close(ends[0]);
      ::execl(program.c_str(), program.c_str(), "serve", "-m", model.c_str(), "--port", "0", "--cache-ram", "64MiB",
              "--media-cache", "16MiB", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(ends[1]);
    log_ = ::fdopen(ends[0], "r");
    char line[4096];
    while (std::fgets(line, sizeof line, log_)) {
      const std::string text = line;
      if (const auto at = text.find("http://127.0.0.1:"); at != std::string::npos)
        port_ = std::atoi(text.c_str() + at + 17);
      if (text.compare(0, 6, "ready:") == 0) break;
    }
    if (port_ == 0) fail("the server did not start: " + program);
    drain_ = std::thread([this] {
      char rest[4096];
      while (std::fgets(rest, sizeof rest, log_)) {
      }
    });
  }
  // Whether it ended well.
  bool stop() {
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    drain_.join();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  int port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  std::FILE* log_ = nullptr;
  std::thread drain_;
};

double metric(int port, const std::string& line_begin) {
  Client client(port);
  client.send(get("/metrics"));
  const std::string text = client.receive().body;
  const auto at = text.find("\n" + line_begin);
  if (at == std::string::npos) return 0;
  return std::atof(text.c_str() + text.rfind(' ', text.find('\n', at + 1)));
}

// ---- requests -------------------------------------------------------------------------------------------------------

struct Ask {
  std::string kind, bytes;
  bool is_stream = false;
  std::string wanted;  // what it gets alone
};

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  if (!in) fail("cannot read " + path);
  return out.str();
}

std::string base64(const std::string& bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

std::string chat_body(const std::string& content, int seed, bool is_stream, int max_tokens) {
  return R"({"messages":[{"role":"user","content":)" + content + R"(}],"seed":)" + std::to_string(seed) +
         R"(,"max_tokens":)" + std::to_string(max_tokens) + (is_stream ? R"(,"stream":true})" : "}");
}

// Media of the model's own folder.
std::vector<std::string> media_of(const std::string& model, const std::string& ending) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(model + "/media"))
    if (entry.path().extension() == ending) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) fail("no " + ending + " in " + model + "/media");
  return paths;
}

void add_kind(const std::string& kind, const Flags& flags, std::vector<Ask>& asks) {
  const auto add = [&](const std::string& path, const std::string& body, bool is_stream) {
    asks.push_back({kind, post(path, body), is_stream, ""});
  };
  const std::string chat = "/v1/chat/completions";
  if (kind == "text") {
    for (int i = 0; i < 12; ++i) {
      std::string question = "What is " + std::to_string(i) + " plus " + std::to_string(i + 3) + "?";
      for (int k = 0; k < i * 12; ++k) question += " and a red star";
      add(chat, chat_body(json_string(question), i, i % 2, 8 + 4 * i), i % 2);
    }
    for (int i = 0; i < 4; ++i)
      add("/v1/completions",
          R"({"prompt":"The star is","max_tokens":9,"seed":)" + std::to_string(i) +
              (i % 2 ? R"(,"stream":true})" : "}"),
          i % 2);
  } else if (kind == "image" || kind == "audio") {
    const std::vector<std::string> paths = media_of(flags.model, kind == "image" ? ".png" : ".wav");
    for (std::size_t i = 0; i < std::min<std::size_t>(paths.size(), 4); ++i) {
      const std::string data = base64(file_bytes(paths[i]));
      const std::string part =
          kind == "image" ? R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" + data + R"("}})"
                          : R"({"type":"input_audio","input_audio":{"data":")" + data + R"(","format":"wav"}})";
      add(chat, chat_body("[" + part + R"(,{"type":"text","text":"What is this?"}])", static_cast<int>(i), i % 2, 10),
          i % 2);
    }
  } else if (kind == "cancel") {
    for (int i = 0; i < 4; ++i) add(chat, chat_body(R"("Tell me a story.")", i, i != 3, 200), i != 3);
  } else if (kind == "malformed") {
    add(chat, "{", false);
    add(chat, R"({"messages":[]})", false);
    add(chat, R"({"messages":[{"role":"user","content":"hi"}],"temperature":"hot"})", false);
    add(chat,
        R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"stream":true})",
        false);
    add(chat, R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}]})", false);
    add("/v1/nothing", "{}", false);
  } else {
    fail("--mix: expected text, image, audio, cancel or malformed, found '" + kind + "'");
  }
}

// Text, reason and count of an answer; status and code of an error. Ids and times differ and are left out.
std::string essence(const Ask& ask, const Response& response) {
  const auto at = [](const JsonNode& node, std::initializer_list<const char*> path) -> std::string {
    const JsonNode* here = &node;
    for (const char* name : path) {
      if (here && here->list()) here = here->list()->empty() ? nullptr : &here->list()->front();
      here = here ? here->find(name) : nullptr;
    }
    return !here ? "" : here->text() ? *here->text() : to_json(*here);
  };
  if (!ask.is_stream || response.status != 200) {
    const JsonNode json = parse_json_tree(response.body, "answer");
    return std::to_string(response.status) + " " + at(json, {"error", "code"}) + at(json, {"choices", "text"}) +
           at(json, {"choices", "message", "content"}) + "|" + at(json, {"choices", "finish_reason"});
  }
  std::string text, reason;
  bool is_done = false;
  std::istringstream lines(response.body);
  for (std::string line; std::getline(lines, line);) {
    if (line == "data: [DONE]") is_done = true;
    if (line.compare(0, 6, "data: ") != 0 || is_done) continue;
    const JsonNode json = parse_json_tree(line.substr(6), "frame");
    text += at(json, {"choices", "delta", "content"}) + at(json, {"choices", "text"}) + at(json, {"error", "code"});
    const std::string why = at(json, {"choices", "finish_reason"});
    if (!why.empty() && why != "null") reason = why;
  }
  return std::to_string(response.status) + " " + text + "|" + reason + (is_done ? "" : "|no end");
}

// ---- the load -------------------------------------------------------------------------------------------------------

struct Counts {
  std::mutex mutex;
  std::map<std::string, int> done;
  std::vector<std::string> problems;
};

void run_client(int number, const Flags& flags, int port, const std::vector<Ask>& asks, std::atomic<int>& left,
                Counts& counts) {
  std::mt19937 random(static_cast<unsigned>(number));
  Client client(port);
  for (int i = 0; i < flags.requests; ++i) {
    const Ask& ask = asks[random() % asks.size()];
    std::string problem;
    try {
      client.send(ask.bytes);
      if (ask.kind == "cancel") {
        if (random() % 2) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
        client.receive_and_leave(ask.is_stream ? random() % 3000 : 0);
      } else if (const std::string found = essence(ask, client.receive()); found != ask.wanted) {
        problem = "another answer: wanted '" + ask.wanted + "', found '" + found + "'";
      }
    } catch (const std::exception& error) {
      problem = error.what();
      client.close();
    }
    --left;
    std::lock_guard lock(counts.mutex);
    ++counts.done[ask.kind];
    if (!problem.empty()) counts.problems.push_back(ask.kind + ": " + problem);
  }
}

Flags parse(int argc, char** argv) {
  Flags flags;
  flags.program = (std::filesystem::path(argv[0]).parent_path() / "g3n").string();
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--clients")
      flags.clients = std::atoi(value.c_str());
    else if (name == "--requests")
      flags.requests = std::atoi(value.c_str());
    else if (name == "--mix")
      flags.mix = value;
    else if (name == "--model")
      flags.model = value;
    else if (name == "--program")
      flags.program = value;
    else
      fail(
          "usage: server_load [--clients N] [--requests N of each] [--mix text,image,audio,cancel,malformed] [--model "
          "DIR]");
  }
  if (flags.clients < 1 || flags.requests < 1) fail("--clients and --requests: expected at least 1");
  return flags;
}

int run(const Flags& flags) {
  ServerProcess server(flags.program, flags.model);
  const int port = server.port();
  std::vector<Ask> asks;
  std::istringstream kinds(flags.mix);
  for (std::string kind; std::getline(kinds, kind, ',');) add_kind(kind, flags, asks);
  for (Ask& ask : asks) {
    if (ask.kind == "cancel") continue;
    Client client(port);
    client.send(ask.bytes);
    ask.wanted = essence(ask, client.receive());
  }
  const auto start = Clock::now();
  const int all = flags.clients * flags.requests;
  std::atomic<int> left{all};
  Counts counts;
  std::vector<std::thread> clients;
  for (int i = 0; i < flags.clients; ++i)
    clients.emplace_back([&, i] { run_client(i, flags, port, asks, left, counts); });
  while (left > all / 2) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double half = metric(port, "g3n_resident_bytes");
  for (std::thread& client : clients) client.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  double pages = 1, running = 1;
  for (int i = 0; i < 500 && (pages > 0 || running > 0); ++i) {  // those whose clients left may take a step more
    pages = metric(
        port, "g3n_kv_bytes{model=\"" + std::filesystem::path(flags.model).filename().string() + "\",state=\"used\"}");
    running = metric(port, "g3n_requests_running") + metric(port, "g3n_requests_waiting");
    if (pages > 0 || running > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const double end = metric(port, "g3n_resident_bytes");
  const bool ended_well = server.stop();
  std::printf("%d clients, %d requests in %.1f s:", flags.clients, all, seconds);
  for (const auto& [kind, count] : counts.done) std::printf(" %s %d", kind.c_str(), count);
  std::printf("\nmemory %.1f MB at half, %.1f MB at the end (%+.1f %%); K and V %.0f bytes, %.0f requests left\n",
              half / 1e6, end / 1e6, 100 * (end / half - 1), pages, running);
  for (std::size_t i = 0; i < std::min<std::size_t>(counts.problems.size(), 10); ++i)
    std::printf("PROBLEM %s\n", counts.problems[i].c_str());
  const bool is_good = counts.problems.empty() && end < half * 1.05 && pages == 0 && running == 0 && ended_well;
  std::printf("%s: %zu lost or different answers\n", is_good ? "passed" : "FAILED", counts.problems.size());
  return is_good ? 0 : 1;
}

}  // namespace
}  // namespace g3n

int main(int argc, char** argv) try {
  ::signal(SIGPIPE, SIG_IGN);
  return g3n::run(g3n::parse(argc, argv));
} catch (const std::exception& error) {
  std::fprintf(stderr, "server_load: %s\n", error.what());
  return 1;
}
