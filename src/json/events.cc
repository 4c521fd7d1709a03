// The one unit that includes json.hpp: nlohmann's SAX parser, its events forwarded.
#include "json/events.h"

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// nlohmann's SAX interface.
class Adapter {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  // at: the place of the reading in the text that begins at `begin`.
  Adapter(const std::string& where, JsonEvents& events, int max_depth, const char* begin, const char* const& at)
      : where_(where), events_(events), max_depth_(max_depth), begin_(begin), at_(at) {}

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
  bool end_object() { return --depth_, events_.on_object_end(), events_.wants_more(); }
  bool start_array(size_t) { return deeper(), events_.on_list_begin(), true; }
  bool end_array() { return --depth_, events_.on_list_end(), events_.wants_more(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    std::string reason = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const size_t bracket = reason.find("] "); bracket != std::string::npos) reason.erase(0, bracket + 2);
    throw JsonError(where_, position, printable_start(reason, 200));  // the library quotes what it read last
  }

 private:
  void deeper() {
    if (++depth_ > max_depth_)
      throw Error(ErrorCode::kBadFile, where_ + ": JSON nested deeper than " + std::to_string(max_depth_) +
                                           " levels, at byte " + std::to_string(at_ - begin_));
  }

  const std::string& where_;
  JsonEvents& events_;
  int max_depth_, depth_ = 0;
  const char* begin_;
  const char* const& at_;
};

// Walks the text and leaves its place where the events can see it.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char** at;

  reference operator*() const { return **at; }
  Cursor& operator++() { return ++*at, *this; }
  friend bool operator==(const Cursor& a, const Cursor& b) { return *a.at == *b.at; }
  friend bool operator!=(const Cursor& a, const Cursor& b) { return *a.at != *b.at; }
};

}  // namespace

void parse_json(std::string_view text, const std::string& where, JsonEvents& events, int max_depth) {
  const char* end = text.data() + text.size();
  events.begin_ = events.at_ = text.data();
  Adapter adapter(where, events, max_depth, events.begin_, events.at_);
  nlohmann::json::sax_parse(Cursor{&events.at_}, Cursor{&end}, &adapter);
}

}  // namespace g3n
