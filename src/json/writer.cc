#include "json/writer.h"

#include <charconv>
#include <cmath>

#include "core/utf8.h"

namespace g3n {
namespace {

// Digits of the shortest scientific form set out as people write them: 0.0001 to 999999999999999.0, else 1.5e-05.
std::string finite(double value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, std::fabs(value), std::chars_format::scientific).ptr;
  const std::string_view all(text, static_cast<size_t>(end - text));
  const size_t e = all.find('e');
  std::string digits(all.substr(0, 1));
  if (e > 2) digits += all.substr(2, e - 2);
  int exponent = 0;
  const char* number = text + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(number, end, exponent);

  const int size = static_cast<int>(digits.size()), whole = exponent + 1;  // digits in front of the point
  std::string out = std::signbit(value) ? "-" : "";
  if (whole > 15 || whole < -3) {
    out += digits.substr(0, 1);
    if (size > 1) out += '.' + digits.substr(1);
    return out.append(all.substr(e));
  }
  if (whole <= 0) return out + "0." + std::string(static_cast<size_t>(-whole), '0') + digits;
  if (whole >= size) return out + digits + std::string(static_cast<size_t>(whole - size), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(whole)) + '.' + digits.substr(static_cast<size_t>(whole));
}

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void write(const JsonNode& node) { std::visit(*this, node.value); }
  std::string take() { return std::move(out_); }

  void operator()(std::nullptr_t) { out_ += "null"; }
  void operator()(bool value) { out_ += value ? "true" : "false"; }
  void operator()(int64_t value) { out_ += std::to_string(value); }
  void operator()(double value) {
    if (std::isfinite(value))
      out_ += finite(value);
    else if (style_.non_finite == JsonNonFinite::kRefused)
      out_ += "null";
    else
      out_ += std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
  }
  void operator()(const std::string& value) { out_ += json_string(value); }
  void operator()(const JsonList& list) {
    items('[', list, ']', [this](const JsonNode& node) { write(node); });
  }
  void operator()(const JsonObject& object) {
    items('{', object, '}', [this](const auto& member) {
      out_ += json_string(member.key);
      out_ += style_.indent < 0 ? ":" : ": ";
      write(member.value);
    });
  }

 private:
  template <typename Items, typename F>
  void items(char begin, const Items& items, char end, F&& write_item) {
    out_ += begin;
    ++depth_;
    bool is_first = true;
    for (const auto& item : items) {
      if (!is_first) out_ += ',';
      is_first = false;
      new_line();
      write_item(item);
    }
    --depth_;
    if (!is_first) new_line();
    out_ += end;
  }
  void new_line() {
    if (style_.indent >= 0) out_.append(1, '\n').append(static_cast<size_t>(depth_ * style_.indent), ' ');
  }

  const JsonStyle& style_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const char c = text[0];
    constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
    if (step.kind != Utf8Step::kScalar) {
      out += kReplacementCharacter;
    } else if (const size_t place = kEscaped.find(c); place != std::string_view::npos) {
      out += '\\';
      out += kLetters[place];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out.append("\\u00").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    } else {
      out += text.substr(0, step.size);
    }
    text.remove_prefix(step.size);
  }
  return out + '"';
}

std::string to_json(const JsonNode& node, const JsonStyle& style) {
  Writer writer(style);
  writer.write(node);
  return writer.take();
}

}  // namespace g3n
