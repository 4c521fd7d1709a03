#include "checkpoint/ollama.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "checkpoint/folder_entries.h"
#include "core/ascii.h"
#include "core/file_kind.h"
#include "core/printable.h"
#include "g3n/error.h"
#include "json/config.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHost = "registry.ollama.ai";
constexpr const char* kNamespace = "library";
constexpr const char* kTag = "latest";
constexpr size_t kMostListed = 20;

bool is_same(const std::string& a, const std::string& b) { return ascii_lower(a) == ascii_lower(b); }

struct Name {
  std::string host, space, name, tag;  // tag empty: not said

  // As ollama writes it: without what is the default.
  std::string text() const {
    const bool is_library = host == kHost && space == kNamespace;
    return (host == kHost ? "" : host + "/") + (is_library ? "" : space + "/") + name + (tag.empty() ? "" : ":" + tag);
  }
};

bool is_word(const std::string& text) {
  return !text.empty() && text[0] != '.' && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

std::optional<Name> parse_name(const std::string& text) {
  std::vector<std::string> parts(1);
  std::string tag;
  const size_t colon = text.rfind(':');
  const bool has_tag = colon != std::string::npos && text.find('/', colon) == std::string::npos;
  for (const char c : text.substr(0, has_tag ? colon : std::string::npos))
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  if (has_tag) tag = text.substr(colon + 1);
  if (parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_word) || (has_tag && !is_word(tag))) return {};
  Name name{kHost, kNamespace, parts.back(), tag};
  if (parts.size() >= 2) name.space = parts[parts.size() - 2];
  if (parts.size() == 3) name.host = parts[0];
  return name;
}

struct Manifest {
  Name name;
  fs::path path, folder;  // folder: of ollama
};

std::vector<fs::path> entries(const fs::path& folder, std::error_code& reason) {
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, reason), end; !reason && it != end; it.increment(reason))
    if (!it->path().filename().string().starts_with(".")) paths.push_back(it->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

// All manifests of a folder, by name.
std::vector<Manifest> manifests_of(const std::string& folder) {
  std::vector<Manifest> all;
  std::error_code ignored;
  const auto word = [](const fs::path& path) { return path.filename().string(); };
  for (const fs::path& host : entries(fs::path(folder) / "manifests", ignored))
    for (const fs::path& space : entries(host, ignored))
      for (const fs::path& name : entries(space, ignored))
        for (const fs::path& tag : entries(name, ignored))
          if (fs::is_regular_file(tag, ignored))
            all.push_back({{word(host), word(space), word(name), word(tag)}, tag, folder});
  return all;
}

std::string list_names(const std::vector<Manifest>& manifests) {
  std::string text;
  for (size_t i = 0; i < std::min(manifests.size(), kMostListed); ++i)
    text += (i ? ", " : "") + printable_start(manifests[i].name.text(), 80);
  if (manifests.size() > kMostListed) text += ", and " + std::to_string(manifests.size() - kMostListed) + " more";
  return text;
}

// The one that a name means; none if no tag of such a model is there.
std::optional<Manifest> choose(const Name& wanted, const std::string& folder, const Log& log) {
  std::vector<Manifest> tags;
  for (const Manifest& m : manifests_of(folder))
    if (is_same(m.name.host, wanted.host) && is_same(m.name.space, wanted.space) && is_same(m.name.name, wanted.name))
      tags.push_back(m);
  const std::string tag = wanted.tag.empty() ? kTag : wanted.tag;
  for (const bool exactly : {true, false})
    for (const Manifest& m : tags)
      if (exactly ? m.name.tag == tag : is_same(m.name.tag, tag)) return m;
  if (!wanted.tag.empty() || tags.empty()) return {};
  if (tags.size() > 1)
    throw Error(ErrorCode::kInvalidArgument,
                wanted.text() + ": expected one model of ollama, found " + list_names(tags) + ": name one of them");
  log.warn(wanted.text() + ": using " + tags[0].name.text() + " of ollama");
  return tags[0];
}

// The file of a layer.
std::string blob_of(const Manifest& manifest, const Config& layer) {
  const std::string digest = layer.text("digest"), beginning = "sha256:";
  const std::string hex = digest.starts_with(beginning) ? digest.substr(beginning.size()) : "";
  const bool is_digest =
      hex.size() == 64 && std::all_of(hex.begin(), hex.end(), [](unsigned char c) { return std::isxdigit(c); });
  if (!is_digest) layer.fail("digest", "\"sha256:\" and 64 hex digits");
  std::error_code ignored;
  const fs::path blobs = manifest.folder / "blobs";
  fs::path path = blobs / ("sha256-" + hex);
  if (!is_there(path) && is_there(blobs / digest)) path = blobs / digest;  // ollama before 0.2
  if (!fs::is_regular_file(path, ignored))
    throw Error(ErrorCode::kNotFound, manifest.name.text() + ": ollama knows this model, but its file " +
                                          path.string() + " is not there; fetch it with: ollama pull " +
                                          manifest.name.text());
  const auto bytes = static_cast<int64_t>(fs::file_size(path, ignored));
  if (const int64_t said = layer.integer("size", -1); said >= 0 && !ignored && bytes != said)
    throw Error(ErrorCode::kBadFile, path.string() + ": expected " + std::to_string(said) + " bytes (" +
                                         manifest.path.string() + "), found " + std::to_string(bytes) +
                                         "; fetch it anew with: ollama pull " + manifest.name.text());
  return path.string();
}

OllamaModel read_manifest(const Manifest& manifest) {
  const Config config = Config::load(manifest.path.string());
  std::vector<std::string> models, projectors;
  std::string others;
  for (const Config& layer : config.objects("layers")) {
    const std::string type = layer.text("mediaType", "");
    if (type.ends_with("image.adapter"))
      throw Error(ErrorCode::kUnsupported, manifest.name.text() + ": " + manifest.path.string() +
                                               ": expected a model without adapters, found one (image.adapter)");
    if (type.ends_with("image.model"))
      models.push_back(blob_of(manifest, layer));
    else if (type.ends_with("image.projector"))
      projectors.push_back(blob_of(manifest, layer));
    else
      others += (others.empty() ? "" : ", ") + printable_start(type, 60);
  }
  if (models.size() != 1)
    throw Error(ErrorCode::kUnsupported, manifest.name.text() + ": " + manifest.path.string() +
                                             ": expected one GGUF file (a layer image.model), "
                                             "found " +
                                             (models.empty() ? "none" : std::to_string(models.size())) +
                                             (others.empty() ? "" : " among: " + others));
  return {models[0], projectors.empty() ? "" : projectors[0]};
}

}  // namespace

bool looks_like_ollama_name(const std::string& text) { return parse_name(text).has_value(); }

std::optional<OllamaModel> find_ollama_model(const std::string& name, const std::vector<std::string>& folders,
                                             const Log& log) {
  const std::optional<Name> wanted = parse_name(name);
  if (!wanted) return {};
  for (const std::string& folder : folders)
    if (const std::optional<Manifest> manifest = choose(*wanted, folder, log)) return read_manifest(*manifest);
  return {};
}

bool has_ollama_models(const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(), [](const auto& folder) { return !manifests_of(folder).empty(); });
}

std::string describe_ollama_folders(const std::vector<std::string>& folders) {
  std::vector<Manifest> all;
  std::string places;
  for (const std::string& folder : folders) {
    std::error_code reason;
    entries(fs::path(folder) / "manifests", reason);
    const bool is_absent = reason == std::errc::no_such_file_or_directory || reason == std::errc::not_a_directory;
    places += (places.empty() ? "" : ", ") + folder + (reason && !is_absent ? ": " + reason.message() : "");
    for (Manifest& manifest : manifests_of(folder)) all.push_back(std::move(manifest));
  }
  return "ollama (" + (places.empty() ? "no folder" : places) + ")" +
         (all.empty() ? ", which has no models" : ", which has " + list_names(all));
}

}  // namespace g3n
