#include "fuzz/targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>

#include "apps/json_text.h"
#include "audio/audio_config.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_vocabulary.h"
#include "checkpoint/processor_config.h"
#include "core/file_set.h"
#include "formats/gguf.h"
#include "formats/safetensors_source.h"
#include "fuzz/server_targets.h"
#include "g3n/error.h"
#include "json/config.h"
#include "media/audio.h"
#include "media/image.h"
#include "text/text_config.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"
#include "vision/vision_config.h"
#include "weights/bundle.h"
#include "weights/recipe.h"

namespace g3n::fuzz {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const uint8_t>;

template <typename F>
void refusable(F&& f) {
  try {
    f();
  } catch (const Error&) {
  }
}

// A file without a place on a disk, for parsers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("cannot make a file in memory");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

FileSet files(std::map<std::string, Bytes> contents) {
  std::map<std::string, std::span<const std::byte>> all;
  for (const auto& [name, bytes] : contents) all[name] = std::as_bytes(bytes);
  return FileSet("fuzz", std::move(all), nullptr);
}

// Every byte of every tensor must be there.
void touch(const TensorSource& source) {
  static volatile int sum = 0;
  for (const auto& [name, tensor] : source.tensors())
    if (tensor.bytes > 0)
      sum = sum + std::to_integer<int>(tensor.data[0]) + std::to_integer<int>(tensor.data[tensor.bytes - 1]);
}

void run_safetensors(Bytes bytes) {
  const MemoryFile file(bytes);
  refusable([&] {
    std::map<std::string, std::string> metadata;
    touch(*open_safetensors_file(file.path(), &metadata));
  });
}

void run_gguf(Bytes bytes) {
  const MemoryFile file(bytes);
  refusable([&] {
    const GgufFile gguf(file.path());
    refusable([&] { gguf.metadata().text("general.architecture"); });
    refusable([&] { read_gguf_configs(gguf); });
    refusable([&] { read_gguf_vocabulary(gguf.metadata()); });
    refusable([&] { gguf.metadata().as_file(); });
  });
}

void run_bundle(Bytes bytes) {
  const MemoryFile file(bytes);
  if (!Bundle::is_bundle(file.path())) return;
  refusable([&] {
    const auto bundle = Bundle::open(file.path());
    refusable([&] { bundle->verify({}); });
    for (const char* name : {"config.json", "tokenizer.model"}) refusable([&] { bundle->files().text(name); });
  });
}

void run_config(Bytes bytes) {
  refusable([&] {
    const Config config = Config::parse(text_of(bytes), "config.json");
    refusable([&] { TextConfig::from(config); });
    refusable([&] { VisionConfig::from(config); });
    refusable([&] { AudioConfig::from(config); });
  });
}

void run_generation_config(Bytes bytes) {
  refusable([&] { GenerationConfig::load(files({{"generation_config.json", bytes}}), Config::empty("config.json")); });
}

void run_processor_config(Bytes bytes) {
  for (const char* name : {"preprocessor_config.json", "processor_config.json"})
    refusable([&] { ProcessorConfig::load(files({{name, bytes}})); });
}

void use(const Tokenizer& tokenizer) {
  for (const char* text : {"", "a b<bos>\n\n c", "\xe2\x82\xac\xff\xf0\x9f"})
    refusable([&] { tokenizer.encode(text); });
}

void run_tokenizer_json(Bytes bytes) {
  const std::string text = text_of(bytes);
  refusable([&] { use(*Tokenizer::load(files({{"tokenizer.json", bytes}}))); });
  refusable([&] { read_added_tokens(text, "tokenizer.json"); });
  refusable([&] { read_tokenizer_config(text, "tokenizer_config.json"); });
}

void run_tokenizer_model(Bytes bytes) {
  refusable([&] { use(*Tokenizer::load(files({{"tokenizer.model", bytes}}))); });
}

void run_chat_messages(Bytes bytes) {
  refusable([&] { cli::messages_json(cli::parse_messages(text_of(bytes), "messages.json")); });
}

void run_recipe(Bytes bytes) {
  refusable([&] {
    const Recipe recipe = Recipe::parse(text_of(bytes), "recipe");
    recipe.format("model.language_model.layers.0.self_attn.q_proj.weight", DType::kBF16, 2048, false);
    recipe.format("model.language_model.embed_tokens.weight@table", DType::kF32, 31, true);
  });
}

void run_picture(Bytes bytes) {
  refusable([&] { decode_image(bytes, "picture"); });
}

void run_sound(Bytes bytes) {
  refusable([&] { decode_audio(bytes, "sound", 5); });
}

// A safetensors file: length, header, data at a multiple of 64.
std::string headed(std::string header, size_t data_bytes) {
  header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
  std::string out(8, '\0');
  out[0] = static_cast<char>(header.size()), out[1] = static_cast<char>(header.size() >> 8);
  return out + header + std::string(data_bytes, '{');
}

}  // namespace

namespace {

std::vector<Target> library_targets() {
  return {
      {"safetensors",
       run_safetensors,
       {"tests/golden/data/gguf/text-mixed.safetensors"},
       {headed(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"k":"v"}})", 4),
        headed(R"({"a":{"dtype":"BF16","shape":[2,0],"data_offsets":[0,0]}})", 0)}},
      {"gguf",
       run_gguf,
       {"tests/golden/data/gguf/broken/*.gguf", "tests/golden/data/gguf/*.head",
        "tests/golden/data/gguf/text-mixed-split-00001-of-00004.gguf"},
       {}},
      {"bundle",
       run_bundle,
       {},
       {headed(
           R"({"__metadata__":{"bundle.checksum":"xxh3-0000000000000000","bundle.recipe":"q4","bundle.version":"1",)"
           R"("file/config.json":"2","w":"vector f32 rows 16"},)"
           R"("file/config.json":{"dtype":"U8","shape":[64],"data_offsets":[0,64]},)"
           R"("w":{"dtype":"U8","shape":[64],"data_offsets":[64,128]}})",
           128)}},
      {"config",
       run_config,
       {"tests/golden/data/tiny/config.json", "models/demo/config.json"},
       {"{\"text_config\": {\"hidden_size\": 1e400}}", "[", "{\"a\":\"\\ud800\"}"}},
      {"generation_config",
       run_generation_config,
       {"models/demo/generation_config.json"},
       {"{\"eos_token_id\": [1, -1, 1e30], \"top_k\": 0}"}},
      {"processor_config",
       run_processor_config,
       {"models/demo/preprocessor_config.json", "models/demo/processor_config.json"},
       {"{\"hop_length_ms\": 0}", "{\"size\": {\"height\": -1}}"}},
      {"tokenizer_json", run_tokenizer_json, {"models/demo/tokenizer.json", "models/demo/tokenizer_config.json"}, {}},
      {"tokenizer_model", run_tokenizer_model, {"models/demo/tokenizer.model"}, {}},
      {"chat_messages",
       run_chat_messages,
       {"tests/golden/data/demo/conversations.json"},
       {"[{\"role\":\"user\",\"content\":\"hi\"}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"path\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]"}},
      {"recipe", run_recipe, {}, {"* q4\n", "*self_attn* q4  # attention alone\n*@table q8\n* keep\n", "* f16"}},
      {"picture",
       run_picture,
       {"tests/data/media/*.png", "tests/data/media/*.jpg", "tests/data/media/*.gif", "tests/data/media/*.tif",
        "tests/data/media/*.bmp", "tests/data/media/*.ico", "tests/data/media/*.webp", "tests/data/media/*.ppm",
        "tests/data/media/*.pgm", "tests/data/media/*.pbm"},
       {}},
      {"sound",
       run_sound,
       {"tests/data/media/*.wav", "tests/data/media/*.mp3", "tests/data/media/*.ogg", "tests/data/media/*.m4a",
        "tests/data/media/*.aac", "tests/data/media/*.flac", "tests/data/media/*.aiff", "tests/data/media/*.mp4",
        "tests/data/media/*.webm"},
       {}},
  };
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> kAll = [] {
    std::vector<Target> all = library_targets();
    for (Target& one : server_targets()) all.push_back(std::move(one));
    return all;
  }();
  return kAll;
}

const Target& target(const std::string& name) {
  for (const Target& one : targets())
    if (one.name == name) return one;
  throw std::out_of_range("no fuzz target " + name);
}

std::vector<std::vector<uint8_t>> seeds_of(const Target& target, const fs::path& repository) {
  std::vector<fs::path> paths;
  const auto add_folder = [&paths](const fs::path& folder, const std::string& ending) {
    if (!fs::is_directory(folder)) return;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file() && entry.path().string().ends_with(ending)) paths.push_back(entry.path());
  };
  for (const char* seed : target.seeds) {
    const fs::path path = repository / seed;
    const std::string name = path.filename().string();
    if (name.starts_with("*"))
      add_folder(path.parent_path(), name.substr(1));
    else
      paths.push_back(path);
  }
  add_folder(repository / "tests/fuzz/found" / target.name, "");
  std::vector<std::vector<uint8_t>> seeds;
  for (const fs::path& path : paths) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read the seed " + path.string());
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  for (const std::string& text : target.texts) seeds.emplace_back(text.begin(), text.end());
  return seeds;
}

}  // namespace g3n::fuzz
