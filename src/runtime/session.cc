#include "g3n/session.h"

#include <algorithm>

#include "runtime/engine_impl.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

// One user turn and its answer, as ids: what the model was fed and what it wrote.
struct Exchange {
  PreparedPrompt prompt;        // from where the exchange before ended
  std::vector<int32_t> answer;  // generated ids, closed by <end_of_turn>
  std::string user_text, answer_text;
};

void append(PreparedPrompt& to, const PreparedPrompt& more) {
  const int64_t shift = static_cast<int64_t>(to.ids.size());
  to.ids.insert(to.ids.end(), more.ids.begin(), more.ids.end());
  to.token_types.insert(to.token_types.end(), more.token_types.begin(), more.token_types.end());
  for (const SoftSpan& span : more.soft) to.soft.push_back({span.first + shift, span.tokens});
  to.encode_seconds = more.encode_seconds;
}

void append(PreparedPrompt& to, const std::vector<int32_t>& ids) {
  to.ids.insert(to.ids.end(), ids.begin(), ids.end());
  to.token_types.resize(to.ids.size());
}

// Whether the first `length` positions of a and b are the same tokens, media included.
bool same_prefix(const PreparedPrompt& a, const PreparedPrompt& b, int64_t length) {
  if (static_cast<int64_t>(a.ids.size()) < length || static_cast<int64_t>(b.ids.size()) < length) return false;
  if (!std::equal(a.ids.begin(), a.ids.begin() + length, b.ids.begin())) return false;
  auto media = [length](const PreparedPrompt& p) {
    std::vector<std::pair<int64_t, const SoftTokens*>> spans;
    for (const SoftSpan& span : p.soft)
      if (span.first < length) spans.emplace_back(span.first, span.tokens.get());
    return spans;
  };
  return media(a) == media(b);
}

std::string text_of_parts(const std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) {
    if (const auto* t = std::get_if<TextPart>(&part))
      text += t->text;
    else
      text += std::holds_alternative<ImagePart>(part) ? "[image]" : "[audio]";
  }
  return text;
}

}  // namespace

struct Session::Impl {
  std::shared_ptr<Engine> engine;
  std::unique_ptr<SequenceCache> cache;
  std::string system;
  std::vector<Exchange> exchanges;
  PreparedPrompt fed;  // what the cache holds: its first cache->length() positions

  Engine::Impl& core() { return *engine->impl_; }

  PreparedPrompt history() const {
    PreparedPrompt all;
    for (const Exchange& exchange : exchanges) {
      append(all, exchange.prompt);
      append(all, exchange.answer);
    }
    return all;
  }

  PreparedPrompt next_prompt(const std::vector<Part>& parts, const std::atomic<bool>* cancelled) {
    Message user{"user", parts};
    if (!exchanges.empty()) return core().builder->prepare_turn(user, cancelled);
    ChatPrompt chat;
    if (!system.empty()) chat.messages.push_back(Message::text("system", system));
    chat.messages.push_back(std::move(user));
    return core().builder->prepare(chat, cancelled);
  }

  // An answer always ends with <end_of_turn> in the conversation, as the template would render it.
  std::vector<int32_t> closed(std::vector<int32_t> ids, const std::vector<int32_t>& stop_ids) const {
    const int32_t end = engine->impl_->model->tokenizer().special().end_of_turn;
    if (!ids.empty() && std::find(stop_ids.begin(), stop_ids.end(), ids.back()) != stop_ids.end()) ids.pop_back();
    ids.push_back(end);
    return ids;
  }
};

Session::Session(std::shared_ptr<Engine> engine) : impl_(std::make_unique<Impl>()) {
  impl_->engine = std::move(engine);
  impl_->core().expect_weights();
  impl_->core().model->tokenizer();  // throws without one: a conversation is text
  impl_->cache = impl_->core().make_cache();
}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

void Session::set_system(const std::string& text) {
  if (!impl_->exchanges.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "system: the system text stands before the first turn; the conversation has begun");
  impl_->system = text;
}
const std::string& Session::system() const { return impl_->system; }

Answer Session::reply(const std::vector<Part>& parts, const ReplyOptions& options, EventSink* sink) {
  Impl& s = *impl_;
  check_sampling(options.sampling);
  Exchange exchange{.prompt = s.next_prompt(parts, options.cancelled),
                    .answer = {},
                    .user_text = text_of_parts(parts),
                    .answer_text = {}};
  PreparedPrompt whole = s.history();
  append(whole, exchange.prompt);
  // A turn may be cancelled or undone: the cache is kept only if all of it is a prefix of what is wanted now.
  if (s.cache->length() >= static_cast<int64_t>(whole.ids.size()) || !same_prefix(s.fed, whole, s.cache->length()))
    s.cache->clear();
  s.fed = whole;
  const std::vector<int32_t>& stop_ids = s.engine->default_stop_ids();
  Answer answer = generate_answer(s.core().machine, s.core().model->text(), &s.core().model->tokenizer(), *s.cache,
                                  {.prompt = whole,
                                   .sampling = options.sampling,
                                   .max_tokens = options.max_tokens,
                                   .stop = options.stop,
                                   .stop_ids = stop_ids,
                                   .cancelled = options.cancelled,
                                   .chunk = s.core().chunk},
                                  sink);
  append(s.fed, answer.ids);
  exchange.answer = s.closed(answer.ids, stop_ids);
  exchange.answer_text = answer.text;
  s.exchanges.push_back(std::move(exchange));
  return answer;
}

bool Session::undo() {
  if (impl_->exchanges.empty()) return false;
  impl_->exchanges.pop_back();
  return true;
}

void Session::reset() {
  impl_->exchanges.clear();
  impl_->system.clear();
  impl_->cache->clear();
  impl_->fed = {};
}

std::vector<Session::Turn> Session::transcript() const {
  std::vector<Turn> turns;
  if (!impl_->system.empty()) turns.push_back({"system", impl_->system});
  for (const Exchange& exchange : impl_->exchanges) {
    turns.push_back({"user", exchange.user_text});
    turns.push_back({"assistant", exchange.answer_text});
  }
  return turns;
}

std::int64_t Session::used_context() const { return static_cast<int64_t>(impl_->history().ids.size()); }

}  // namespace g3n
