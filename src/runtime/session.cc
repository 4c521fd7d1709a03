#include "g3n/session.h"

#include <algorithm>

#include "runtime/engine_impl.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

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
  // One user turn and its answer, as ids: what the model was fed and what it wrote.
  struct Exchange {
    PreparedPrompt prompt;        // from where the exchange before ended
    std::vector<int32_t> answer;  // generated ids, closed by <end_of_turn>
    std::string user_text, answer_text;
  };

  std::shared_ptr<Engine> engine;
  std::string system;
  std::vector<Exchange> exchanges;

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

  // The ids of an answer's text. A stop text may begin inside a token, and what the model wrote from there on was not
  // said: whole tokens before it stay as they were chosen, the rest of the text is encoded.
  std::vector<int32_t> said(const Answer& answer) {
    if (answer.stop.empty()) return answer.ids;
    const Tokenizer& tokenizer = core().checkpoint->tokenizer();
    StreamDecoder decoder(tokenizer);
    size_t length = 0, kept = 0, kept_length = 0;
    for (size_t i = 0; i < answer.ids.size(); ++i) {
      length += decoder.push(answer.ids[i]).size();
      if (length > answer.text.size()) break;
      if (decoder.is_inside_character()) continue;
      kept = i + 1;
      kept_length = length;
    }
    std::vector<int32_t> ids(answer.ids.begin(), answer.ids.begin() + static_cast<std::ptrdiff_t>(kept));
    const std::vector<int32_t> rest = tokenizer.encode(std::string_view(answer.text).substr(kept_length));
    ids.insert(ids.end(), rest.begin(), rest.end());
    return ids;
  }

  // An answer always ends with <end_of_turn> in the conversation, as the template would render it.
  std::vector<int32_t> closed(const Answer& answer, const std::vector<int32_t>& stop_ids) {
    const int32_t end = core().checkpoint->tokenizer().special().end_of_turn;
    std::vector<int32_t> ids = said(answer);
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
  JobSetup setup = s.core().setup_of(options, relay);
  setup.plan = [&] { return s.plan(history, user); };
  const std::vector<int32_t> stop_ids = setup.stop_ids;
  const std::shared_ptr<Job> job = s.core().running().submit(std::move(setup));
  s.core().wait(*job, options.cancelled, relay.get());
  Answer answer = job->answer();

  PreparedPrompt prompt;  // of this exchange alone
  const int64_t before = static_cast<int64_t>(history.ids.size());
  const PreparedPrompt& fed = *job->prompt();
  prompt.ids.assign(fed.ids.begin() + before, fed.ids.end());
  prompt.token_types.assign(fed.token_types.begin() + before, fed.token_types.end());
  for (SoftSpan span : fed.soft)
    if (span.first >= before) {
      span.first -= before;
      prompt.soft.push_back(std::move(span));
    }
  s.exchanges.push_back({.prompt = std::move(prompt),
                         .answer = s.closed(answer, stop_ids),
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
}

std::vector<Session::Turn> Session::transcript() const {
  std::vector<Turn> turns;
  if (!impl_->system.empty()) turns.push_back({"system", impl_->system});
  for (const Impl::Exchange& exchange : impl_->exchanges) {
    turns.push_back({"user", exchange.user_text});
    turns.push_back({"assistant", exchange.answer_text});
  }
  return turns;
}

std::int64_t Session::used_context() const { return static_cast<int64_t>(impl_->history().ids.size()); }

}  // namespace g3n
