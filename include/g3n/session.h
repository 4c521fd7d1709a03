// Session: one conversation, of which a turn costs only its own tokens as long as the engine's cache holds the others
// (EngineOptions::cache_ram). One thread at a time.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "g3n/engine.h"

namespace g3n {

using ReplyOptions = AnswerOptions;

class Session {
 public:
  explicit Session(std::shared_ptr<Engine> engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // In front of the first user turn; only before the first reply, else Error{kInvalidArgument}.
  void set_system(const std::string& text);
  const std::string& system() const;

  // Appends a user turn and answers it. On an Error the conversation is as it was before. An answer cut short (length,
  // stop string, cancelled) stays in the conversation with the text it has, and is closed before the next turn.
  // Cancelled before its first token: as before.
  Answer reply(const std::vector<Part>& parts, const ReplyOptions& options, EventSink* sink = nullptr);

  // Forgets the last user turn and its answer; false if there is none.
  bool undo();
  // Forgets everything, the system text too.
  void reset();

  // Text of the turns so far, system first; media as "[image]" and "[audio]".
  struct Turn {
    std::string role, text;
  };
  std::vector<Turn> transcript() const;
  std::int64_t used_context() const;  // positions of the conversation so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace g3n
