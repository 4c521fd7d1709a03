#include "server/messages.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/printable.h"
#include "core/utf8.h"

namespace g3n::server {
namespace {

constexpr std::size_t kMostParts = 100'000, kMostTextFile = 1 << 20;

std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  values['-'] = 62;
  values['_'] = 63;
  return values;
}

[[noreturn]] void fail_media(const std::string& path, const std::string& message) {
  throw ApiError(400, "invalid_media", message, path);
}

bool begins_with(std::string_view text, std::string_view head) {
  return text.size() >= head.size() && std::equal(head.begin(), head.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
         });
}

struct DataUrl {
  std::string type;  // "image/png"; empty: bare base64
  std::vector<std::uint8_t> bytes;
};

DataUrl read_data_url(std::string_view text, const std::string& path) {
  DataUrl url;
  std::string_view data = text;
  if (begins_with(text, "data:")) {
    const std::size_t comma = text.find(',');
    if (comma == std::string_view::npos) fail_media(path, "expected data:TYPE;base64,DATA, found no comma");
    const std::string_view head = text.substr(5, comma - 5);
    const std::size_t mark = head.rfind(';');
    if (mark == std::string_view::npos || !begins_with(head.substr(mark), ";base64"))
      fail_media(path, "expected a data URL in base64 (data:TYPE;base64,DATA), found another encoding");
    url.type = std::string(head.substr(0, head.find(';')));
    data = text.substr(comma + 1);
  } else if (begins_with(text, "http://") || begins_with(text, "https://")) {
    fail_media(path, "expected a data URL: this server fetches nothing (--allow-media-host is not in this build)");
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    fail_media(path, "expected a data URL or base64, found a URL of the scheme " + quoted(text.substr(0, colon)));
  }
  std::optional<std::vector<std::uint8_t>> bytes = decode_base64(data);
  if (!bytes) fail_media(path, "expected base64, found characters that are none or a cut end");
  if (bytes->empty()) fail_media(path, "expected a file, found no bytes");
  url.bytes = std::move(*bytes);
  return url;
}

MediaPart medium_of(std::vector<std::uint8_t> bytes, const std::string& path, MediumKind expected,
                    const MediaRules& rules, int size) {
  MediumKind kind = kind_by_content(bytes);
  if (kind == MediumKind::kUnknown) kind = expected;
  MediaBytes medium{std::move(bytes), path};
  if (kind == MediumKind::kAudio) {
    if (!rules.has_audio) throw ApiError(400, "unsupported_value", "this checkpoint has no audio encoder", path);
    return AudioPart{std::move(medium)};
  }
  if (!rules.has_vision) throw ApiError(400, "unsupported_value", "this checkpoint has no vision encoder", path);
  return ImagePart{std::move(medium), size ? size : rules.image_size};
}

Part as_part(MediaPart medium) {
  return std::visit([](auto&& part) -> Part { return std::move(part); }, std::move(medium));
}

// `low` and `medium` never make a picture larger than the default.
int size_of_detail(const JsonNode* detail, const std::string& path, const MediaRules& rules) {
  if (!detail) return 0;
  const std::string& name = text_at(*detail, path);
  if (name == "high" || name == "original" || name == "auto") return 0;
  const int size = name == "low" ? 256 : name == "medium" ? 512 : 0;
  if (size == 0) fail_value(path, "low, medium, high, original or auto", quoted(name));
  const int most = rules.image_size ? rules.image_size : rules.default_image_size;
  return most && size >= most ? 0 : size;
}

class Reader {
 public:
  explicit Reader(const MediaRules& rules) : rules_(rules) {}

  std::vector<Part> parts;
  std::vector<std::string> ignored;
  std::size_t media = 0;

  void content(const JsonNode& value, const std::string& path) {
    if (value.text()) return parts.push_back(TextPart{*value.text()});
    if (!value.list()) fail_type(path, "a string or a list of parts", value);
    const JsonList& list = list_at(value, path, kMostParts);
    for (std::size_t i = 0; i < list.size(); ++i) part(list[i], path + "[" + std::to_string(i) + "]");
  }

 private:
  void part(const JsonNode& value, const std::string& path) {
    Fields fields(value, path);
    const std::string& type = text_at(fields.required("type"), path + ".type");
    if (type == "text" || type == "input_text" || type == "output_text")
      parts.push_back(TextPart{text_at(fields.required("text"), path + ".text")});
    else if (type == "refusal")
      parts.push_back(TextPart{text_at(fields.required("refusal"), path + ".refusal")});
    else if (type == "image_url" || type == "input_image")
      url(fields, "image_url", MediumKind::kImage);
    else if (type == "audio_url")
      url(fields, "audio_url", MediumKind::kAudio);
    else if (type == "input_audio")
      input_audio(fields);
    else if (type == "file" || type == "input_file")
      file(fields, type);
    else if (type == "reasoning" || type == "thinking")
      return ignored.push_back(path);
    else if (type == "video_url" || type == "input_video")
      throw ApiError(400, "unsupported_value", "parts of type video_url are not supported by this build",
                     path + ".type");
    else
      throw ApiError(400, "unsupported_value", "parts of type " + quoted(type) + " are not supported", path + ".type");
    for (const std::string& name : fields.ignored(false)) ignored.push_back(name);
  }

  // {"image_url": {"url", "detail"}} or {"image_url": "..."}.
  void url(Fields& fields, const std::string& name, MediumKind kind) {
    const JsonNode& value = fields.required(name);
    const std::string path = fields.path_of(name);
    if (value.text())
      return add(*value.text(), path, kind, size_of_detail(fields.find("detail"), fields.path_of("detail"), rules_));
    Fields inner(value, path);
    const std::string& text = text_at(inner.required("url"), path + ".url");
    add(text, path + ".url", kind, size_of_detail(inner.find("detail"), path + ".detail", rules_));
    for (const std::string& other : inner.ignored(false)) ignored.push_back(other);
  }

  void input_audio(Fields& fields) {
    Fields inner(fields.required("input_audio"), fields.path_of("input_audio"));
    inner.text("format");  // the bytes decide
    const std::string path = inner.path_of("data");
    add(text_at(inner.required("data"), path), path, MediumKind::kAudio, 0);
    for (const std::string& other : inner.ignored(false)) ignored.push_back(other);
  }

  // {"type": "file", "file": {...}}, or {"type": "input_file", ...} with the fields beside the type.
  void file(Fields& fields, const std::string& type) {
    if (type == "input_file") return file_data(fields);
    Fields inner(fields.required("file"), fields.path_of("file"));
    file_data(inner);
    for (const std::string& other : inner.ignored(false)) ignored.push_back(other);
  }
  void file_data(Fields& fields) {
    fields.refuse("file_id", "files are not stored here: send file_data");
    fields.refuse("file_url", "this server fetches nothing: send file_data");
    const std::string name = fields.text("filename").value_or("");
    const std::string path = fields.path_of("file_data");
    const std::string& text = text_at(fields.required("file_data"), path);
    DataUrl url = read_data_url(text, path);
    if (begins_with(url.type, "text/plain")) {
      if (url.bytes.size() > kMostTextFile) fail_media(path, "a text file of more than 1 MiB");
      std::string content(url.bytes.begin(), url.bytes.end());
      if (utf8_valid_prefix(content) < content.size()) fail_media(path, "expected a text file in UTF-8");
      return parts.push_back(TextPart{name.empty() ? content : printable(name) + "\n" + content});
    }
    const MediumKind kind = kind_by_content(url.bytes);
    if (kind == MediumKind::kUnknown)
      fail_media(path, "expected an image, a sound or text/plain, found another format");
    count(path);
    parts.push_back(as_part(medium_of(std::move(url.bytes), path, kind, rules_, 0)));
  }

  void add(const std::string& text, const std::string& path, MediumKind kind, int size) {
    count(path);
    parts.push_back(as_part(medium_of(read_data_url(text, path).bytes, path, kind, rules_, size)));
  }
  void count(const std::string& path) { expect_few_media(++media, path, rules_); }

  const MediaRules& rules_;
};

bool is_text(const Part& part) { return std::holds_alternative<TextPart>(part); }

// The template trims each text part and puts nothing between two, so what is to stand between them goes inside one.
void join(std::vector<Part>& to, std::vector<Part> more) {
  const auto is_blank = [](const Part& part) {
    return is_text(part) && trim_white_space(std::get<TextPart>(part).text).empty();
  };
  if (std::all_of(more.begin(), more.end(), is_blank)) return;
  if (std::all_of(to.begin(), to.end(), is_blank)) to.clear();
  auto from = more.begin();
  if (!to.empty() && is_text(to.back()) && is_text(*from)) {
    std::string& text = std::get<TextPart>(to.back()).text;
    text = std::string(trim_white_space(text)) + "\n\n" + std::string(trim_white_space(std::get<TextPart>(*from).text));
    ++from;
  }
  to.insert(to.end(), std::make_move_iterator(from), std::make_move_iterator(more.end()));
}

std::string system_text(const std::vector<Part>& parts, const std::string& path) {
  std::string text;
  for (const Part& part : parts) {
    if (!is_text(part))
      fail_unsupported(path, "media in system messages are not supported: put them into a user message");
    text += std::get<TextPart>(part).text;
  }
  return text;
}

void append_paragraph(std::string& text, const std::string& more) {
  if (more.empty()) return;
  text += (text.empty() ? "" : "\n\n") + more;
}

// What has no meaning on a message of the past.
void read_past(Fields& fields, bool is_assistant) {
  for (const char* name :
       {"name", "refusal", "audio", "annotations", "reasoning_content", "reasoning", "thinking", "phase"})
    fields.ignore(name);
  if (fields.find("function_call"))
    fail_unsupported(fields.path_of("function_call"), "calls of tools are not supported by this build");
  if (is_assistant) fields.refuse("tool_calls", "calls of tools are not supported by this build");
}

}  // namespace

std::optional<std::vector<std::uint8_t>> decode_base64(std::string_view text) {
  static const std::array<std::int8_t, 256> kValues = make_base64_values();
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  std::size_t characters = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value < 0 || padding) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++characters % 4 == 0)
      for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  const std::size_t rest = characters % 4;
  if (rest == 1 || padding > 2 || (padding && (rest + padding) % 4 != 0)) return {};
  if (rest == 2) bytes.push_back(static_cast<std::uint8_t>(bits >> 4));
  if (rest == 3)
    for (const int shift : {10, 2}) bytes.push_back(static_cast<std::uint8_t>(bits >> shift));
  return bytes;
}

void take_ignored(const ApiChat& chat, bool is_strict, std::vector<std::string>& ignored) {
  if (is_strict && !chat.ignored.empty())
    fail_unsupported(chat.ignored[0], "this field has no effect here, and the server is run with --strict");
  ignored.insert(ignored.end(), chat.ignored.begin(), chat.ignored.end());
}

void expect_few_media(std::size_t number, const std::string& path, const MediaRules& rules) {
  if (number > rules.most_media)
    fail_media(path, "more than " + std::to_string(rules.most_media) + " media in one request");
}

MediaPart read_medium(const std::string& text, const std::string& path, MediumKind expected, const MediaRules& rules) {
  return medium_of(read_data_url(text, path).bytes, path, expected, rules, 0);
}

ApiChat read_messages(const JsonNode& messages, std::optional<bool> add_generation_prompt,
                      std::optional<bool> continue_final_message, const MediaRules& rules) {
  const JsonList& list = list_at(messages, "messages", rules.most_messages);
  if (list.empty()) fail_value("messages", "at least one message", "none");
  ApiChat chat;
  std::string system, pending;  // leading system text; that of a later one, for the next user turn
  std::vector<Message> turns;
  std::string last_role;
  std::size_t media = 0;
  const auto add = [&](const std::string& role, std::vector<Part> parts) {
    if (!turns.empty() && turns.back().role == role) return join(turns.back().parts, std::move(parts));
    turns.push_back({role, std::move(parts)});
  };
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = "messages[" + std::to_string(i) + "]";
    Fields fields(list[i], path);
    const std::string& role = text_at(fields.required("role"), path + ".role");
    const bool is_system = role == "system" || role == "developer", is_user = role == "user";
    if (role == "tool" || role == "function")
      throw ApiError(400, "unsupported_value", "messages of the role " + role + " are not supported by this build",
                     path + ".role");
    if (!is_system && !is_user && role != "assistant")
      fail_value(path + ".role", "system, developer, user or assistant", quoted(role));
    Reader reader(rules);
    reader.media = media;
    if (const JsonNode* content = fields.find("content")) reader.content(*content, path + ".content");
    media = reader.media;
    read_past(fields, role == "assistant");
    for (std::string& name : reader.ignored) chat.ignored.push_back(std::move(name));
    for (std::string& name : fields.ignored(false)) chat.ignored.push_back(std::move(name));
    last_role = is_system ? "system" : role;
    if (is_system) {
      append_paragraph(turns.empty() ? system : pending, system_text(reader.parts, path + ".content"));
      continue;
    }
    if (is_user && !pending.empty()) add("user", {TextPart{std::exchange(pending, "")}});
    add(role, std::move(reader.parts));
  }
  if (turns.empty()) pending = std::exchange(system, "");
  if (!pending.empty() || turns.empty()) add("user", {TextPart{pending}});
  if (turns[0].role == "assistant") turns.insert(turns.begin(), Message{"user", {}});

  const bool ends_with_assistant = turns.back().role == "assistant";
  if (continue_final_message.value_or(false) && !ends_with_assistant)
    fail_value("continue_final_message", "a last message of the assistant", "one of the " + last_role);
  if (continue_final_message.value_or(false) && add_generation_prompt.value_or(false))
    fail_value("continue_final_message", "either this or add_generation_prompt", "both");
  chat.prompt.continue_final_message =
      ends_with_assistant && continue_final_message.value_or(true) && !add_generation_prompt.value_or(false);
  if (const std::vector<Part>& last = turns.back().parts;
      chat.prompt.continue_final_message && !last.empty() && !is_text(last.back()))
    fail_value("messages[" + std::to_string(list.size() - 1) + "].content",
               "a last message of the assistant that ends in text, which the answer goes on", "media at its end");
  chat.prompt.add_generation_prompt = !chat.prompt.continue_final_message && add_generation_prompt.value_or(true);
  if (!system.empty()) chat.prompt.messages.push_back(Message::text("system", system));
  std::move(turns.begin(), turns.end(), std::back_inserter(chat.prompt.messages));
  return chat;
}

}  // namespace g3n::server
