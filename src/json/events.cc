#include "json/events.h"

#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// nlohmann's SAX interface, forwarded.
class Adapter {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  Adapter(const std::string& where, JsonEvents& events) : where_(where), events_(events) {}

  bool null() { return events_.on_null(), true; }
  bool boolean(bool value) { return events_.on_boolean(value), true; }
  bool number_integer(number_integer_t value) { return events_.on_integer(value), true; }
  bool number_unsigned(number_unsigned_t value) {
    if (value <= static_cast<number_unsigned_t>(INT64_MAX)) {
      events_.on_integer(static_cast<int64_t>(value));
    } else {
      events_.on_number(static_cast<double>(value));
    }
    return true;
  }
  bool number_float(number_float_t value, const string_t&) { return events_.on_number(value), true; }
  bool string(string_t& value) { return events_.on_text(value), true; }
  bool binary(binary_t&) { return false; }
  bool start_object(size_t) { return deeper(), events_.on_object_begin(), true; }
  bool key(string_t& value) { return events_.on_key(value), true; }
  bool end_object() { return --depth_, events_.on_object_end(), true; }
  bool start_array(size_t) { return deeper(), events_.on_list_begin(), true; }
  bool end_array() { return --depth_, events_.on_list_end(), true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& reason) {
    std::string text = reason.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const size_t bracket = text.find("] "); bracket != std::string::npos) text.erase(0, bracket + 2);
    throw Error(ErrorCode::kBadFile,
                where_ + ": not valid JSON, at byte " + std::to_string(position) + ": " + printable_start(text, 200));
  }

 private:
  void deeper() {
    if (++depth_ > kMaxJsonDepth)
      throw Error(ErrorCode::kBadFile,
                  where_ + ": JSON nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  const std::string& where_;
  JsonEvents& events_;
  int depth_ = 0;
};

}  // namespace

void parse_json(std::string_view text, const std::string& where, JsonEvents& events) {
  Adapter adapter(where, events);
  nlohmann::json::sax_parse(text.data(), text.data() + text.size(), &adapter);
}

}  // namespace g3n
