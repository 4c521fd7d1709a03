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
  for (SoftSpan span : more.soft) {
    span.first += shift;
    to.soft.push_back(std::move(span));
  }
}

void append(PreparedPrompt& to, const std::vector<int32_t>& ids) {
  to.ids.insert(to.ids.end(), ids.begin(), ids.end());
  to.token_types.resize(to.ids.size());
}

// How many first positions of a and b are the same tokens, media included.
int64_t common_prefix(const PreparedPrompt& a, const PreparedPrompt& b) {
  const size_t most = std::min(a.ids.size(), b.ids.size());
  size_t length = 0;
  while (length < most && a.ids[length] == b.ids[length]) ++length;
  // Spans that begin within it must be the same ones, or it ends before the first that is not.
  const auto differ = [](const SoftSpan& x, const SoftSpan& y) {
    return x.first != y.first || x.row != y.row || x.count != y.count ||
           (x.tokens != y.tokens && x.content != y.content);
  };
  for (size_t i = 0; i < std::max(a.soft.size(), b.soft.size()); ++i) {
    if (i < a.soft.size() && i < b.soft.size() && !differ(a.soft[i], b.soft[i])) continue;
    for (const PreparedPrompt* p : {&a, &b})
      if (i < p->soft.size()) length = std::min(length, static_cast<size_t>(p->soft[i].first));
    break;
  }
  return static_cast<int64_t>(length);
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
  std::string system;
  std::vector<Exchange> exchanges;
  // K and V of the conversation, and a fork of where its last exchange began: what an undone or edited turn and a
  // second try go on from. `fed`: the tokens of both.
  std::unique_ptr<SequenceCache> cache, base;
  PreparedPrompt fed;

  Engine::Impl& core() { return EngineAccess::of(*engine); }

  PreparedPrompt history() const {
    PreparedPrompt all;
    for (const Exchange& exchange : exchanges) {
      append(all, exchange.prompt);
      append(all, exchange.answer);
    }
    return all;
  }

  PromptPlan plan(const PreparedPrompt& history, const Message& user) {
    if (!exchanges.empty()) return core().builder->plan_turn(history, user);
    ChatPrompt chat;
    if (!system.empty()) chat.messages.push_back(Message::text("system", system));
    chat.messages.push_back(user);
    return core().builder->plan(chat);
  }

  // The longest cache that holds a beginning of `whole`, and a fork of it to come back to. On the scheduler's thread.
  std::unique_ptr<SequenceCache> open_cache(const PreparedPrompt& whole) {
    const int64_t common = std::min(common_prefix(fed, whole), static_cast<int64_t>(whole.ids.size()) - 1);
    const auto usable = [&](const std::unique_ptr<SequenceCache>& from) {
      const int64_t length = from ? std::min(common, from->length()) : 0;
      return length > 0 && from->resumable(length) ? length : 0;
    };
    const int64_t of_cache = usable(cache), of_base = usable(base);
    std::unique_ptr<SequenceCache> open;
    if (of_cache > 0 && of_cache >= of_base) {
      open = std::move(cache);
      open->truncate(of_cache);
      base = open->fork(of_cache);
    } else if (of_base > 0) {
      base->truncate(of_base);
      open = base->fork(of_base);
    } else {
      base.reset();
    }
    cache.reset();
    return open;
  }

  // An answer always ends with <end_of_turn> in the conversation, as the template would render it.
  std::vector<int32_t> closed(std::vector<int32_t> ids, const std::vector<int32_t>& stop_ids) {
    const int32_t end = core().checkpoint->tokenizer().special().end_of_turn;
    if (!ids.empty() && std::find(stop_ids.begin(), stop_ids.end(), ids.back()) != stop_ids.end()) ids.pop_back();
    ids.push_back(end);
    return ids;
  }
};

Session::Session(std::shared_ptr<Engine> engine) : impl_(std::make_unique<Impl>()) {
  impl_->engine = std::move(engine);
  impl_->core().running();
  impl_->core().checkpoint->tokenizer();  // throws without one: a conversation is text
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
  const auto relay = sink ? std::make_shared<EventRelay>(*sink) : nullptr;
  const PreparedPrompt history = s.history();
  const Message user{"user", parts};
  JobSetup setup;
  setup.stop_ids = s.core().stop_ids(options);
  setup.options = options;
  setup.sink = relay;
  setup.plan = [&] { return s.plan(history, user); };
  setup.open_cache = [&](const PreparedPrompt& whole) {
    std::unique_ptr<SequenceCache> cache = s.open_cache(whole);
    s.fed = whole;
    return cache;
  };
  setup.keeps_cache = true;
  const std::vector<int32_t> stop_ids = setup.stop_ids;
  const std::shared_ptr<Job> job = s.core().running().submit(std::move(setup));
  s.core().wait(*job, options.cancelled, relay.get());
  if (std::unique_ptr<SequenceCache> cache = job->take_cache()) s.cache = std::move(cache);
  Answer answer = job->answer();

  PreparedPrompt prompt;  // of this exchange alone
  const int64_t before = static_cast<int64_t>(history.ids.size());
  prompt.ids.assign(s.fed.ids.begin() + before, s.fed.ids.end());
  prompt.token_types.assign(s.fed.token_types.begin() + before, s.fed.token_types.end());
  for (SoftSpan span : s.fed.soft)
    if (span.first >= before) {
      span.first -= before;
      prompt.soft.push_back(std::move(span));
    }
  append(s.fed, answer.ids);
  s.exchanges.push_back({.prompt = std::move(prompt),
                         .answer = s.closed(answer.ids, stop_ids),
                         .user_text = text_of_parts(parts),
                         .answer_text = answer.text});
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
  impl_->cache.reset();
  impl_->base.reset();
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
