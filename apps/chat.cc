// g3n chat: a conversation in turns over one Session, so that a turn costs only its own tokens. Lines that start with /
// are commands.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "answer_printer.h"
#include "commands.h"
#include "core/atomic_file.h"
#include "files.h"
#include "g3n/session.h"
#include "json_text.h"
#include "line_editor.h"
#include "load_engine.h"
#include "prompt_input.h"

namespace g3n::cli {
namespace {

constexpr const char* kHelp =
    "/image FILE    put a picture before the next message\n"
    "/audio FILE    put a sound before the next message\n"
    "/system TEXT   system text, before the first message\n"
    "/undo          forget the last message and its answer\n"
    "/save FILE     write the conversation as JSON (run --messages reads it)\n"
    "/reset         start anew\n"
    "/exit          leave (also Ctrl-D)\n"
    "A line that ends in \\ goes on in the next one; so does everything between lines with \"\"\". A pasted block is "
    "one "
    "message. Ctrl-C stops an answer.\n";

constexpr const char* kBlanks = " \t\n";

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string first_word(const std::string& line) { return line.substr(0, line.find_first_of(kBlanks)); }

// A pasted block may begin with a path; a line that does is told that this is no command.
bool names_command(const std::string& line) {
  constexpr std::string_view kNames[] = {"/image", "/audio", "/system", "/undo", "/save",
                                         "/reset", "/help",  "/exit",   "/quit"};
  return std::find(std::begin(kNames), std::end(kNames), first_word(line)) != std::end(kNames);
}

std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home ? home + path.substr(1) : path;
}

class Chat {
 public:
  explicit Chat(const Options& options)
      : options_(options), editor_(make_line_editor()), engine_(open_engine(options)), session_(engine_) {
    if (options.system) session_.set_system(*options.system);
  }

  int talk() {
    hint(engine_->info().path + ", " + std::to_string(engine_->info().context) +
         " positions of context. /help lists the commands, /exit leaves.\n");
    std::string text;
    while (!done_ && read_message(text)) {
      try {
        if (is_command_)
          command(text);
        else
          answer(text);
      } catch (const Error& error) {
        report(error.what());
        if (!stdin_is_terminal()) return kExitFailed;  // a script goes on only as it was meant to
      }
    }
    return status_;
  }

 private:
  void hint(const std::string& text) const {
    if (stdin_is_terminal()) write_stderr(text);
  }

  // One message: a line, lines joined by \, or a block between """. False at the end of the input.
  bool read_message(std::string& text) {
    text.clear();
    is_command_ = false;
    bool in_block = false, continues = false;
    for (;;) {
      InputLine line = editor_->read(continues ? ". " : "> ");
      std::string& piece = line.text;
      if (line.kind == InputLine::Kind::kEnd) return continues;
      if (line.kind == InputLine::Kind::kInterrupted) {
        text.clear();
        in_block = continues = false;
        hint("/exit or Ctrl-D leaves.\n");
        continue;
      }
      if (!continues && piece.starts_with("/") && (piece.find('\n') == std::string::npos || names_command(piece))) {
        is_command_ = true;
        text = piece;
        return true;
      }
      if (!continues && piece.starts_with("\"\"\"")) {
        in_block = true;
        piece.erase(0, 3);
      }
      const bool ends_block = in_block && piece.ends_with("\"\"\"");
      const bool joins = !in_block && piece.ends_with("\\");
      if (ends_block) piece.resize(piece.size() - 3);
      if (joins) piece.pop_back();
      text += (continues ? "\n" : "") + piece;
      continues = joins || (in_block && !ends_block);
      if (!continues) return true;
    }
  }

  void answer(const std::string& text) {
    if (is_blank(text) && media_.empty()) return;
    const WrittenMessage asked{"user", written_parts(text)};
    ReplyOptions reply = options_.answer.over(engine_->default_sampling());
    InterruptScope scope(InterruptMode::kCancelOnly);
    reply.cancelled = scope.flag();
    AnswerPrinter printer(true, scope);
    Answer answer;
    try {
      answer = session_.reply(parts(text), reply, &printer);
    } catch (const Error& error) {
      printer.finish();
      if (error.code() == ErrorCode::kCancelled) {
        hint("stopped before the answer began; the message is not part of the conversation.\n");
        return end_if_script(scope);
      }
      if (media_.empty()) throw;
      drop_media();
      throw Error(error.code(), std::string(error.what()) + " (the message and its files are dropped)");
    }
    written_.push_back(asked);
    written_.push_back({"assistant", {{WrittenPart::Kind::kText, answer.text, ""}}});
    drop_media();
    printer.finish();
    if (answer.text.empty()) write_stdout("\n");
    if (options_.stats) print_stats(answer, -1);
    end_if_script(scope);
  }

  // Ctrl-C stops an answer for somebody who is there to go on, and a script as a whole.
  void end_if_script(const InterruptScope& scope) {
    if (!scope.interrupted() || stdin_is_terminal()) return;
    status_ = kExitInterrupted;
    done_ = true;
  }

  std::vector<Part> parts(const std::string& text) const {
    std::vector<Part> all;
    for (const MediaPart& medium : media_) std::visit([&all](const auto& part) { all.emplace_back(part); }, medium);
    if (!is_blank(text)) all.push_back(TextPart{text});
    return all;
  }

  std::vector<WrittenPart> written_parts(const std::string& text) const {
    std::vector<WrittenPart> all;
    for (const MediaPart& medium : media_) {
      const bool is_image = std::holds_alternative<ImagePart>(medium);
      const auto& source =
          std::visit([](const auto& part) -> const MediaBytes& { return std::get<MediaBytes>(part.source); }, medium);
      all.push_back({is_image ? WrittenPart::Kind::kImage : WrittenPart::Kind::kAudio, "",
                     std::filesystem::absolute(source.name).string()});
    }
    if (!is_blank(text)) all.push_back({WrittenPart::Kind::kText, text, ""});
    return all;
  }

  void drop_media() { media_.clear(); }

  void command(const std::string& line) {
    const std::string name = first_word(line), argument = trimmed(line.substr(name.size()));
    if (name == "/image")
      media_.push_back(read_media_part({MediaFile::Kind::kImage, with_home(wanted(name, argument, "FILE"))}));
    else if (name == "/audio")
      media_.push_back(read_media_part({MediaFile::Kind::kAudio, with_home(wanted(name, argument, "FILE"))}));
    else if (name == "/system")
      session_.set_system(wanted(name, argument, "TEXT"));
    else if (name == "/save")
      save(with_home(wanted(name, argument, "FILE")));
    else if (name == "/undo")
      undo();
    else if (name == "/reset")
      reset();
    else if (name == "/help")
      write_stderr(kHelp);
    else if (name == "/exit" || name == "/quit")
      done_ = true;
    else
      throw Error(ErrorCode::kInvalidArgument,
                  "no command " + name + ": /help lists them (a message may start with a space before its /)");
  }

  static const std::string& wanted(const std::string& name, const std::string& argument, const char* what) {
    if (argument.empty()) throw Error(ErrorCode::kInvalidArgument, name + " needs a " + what);
    return argument;
  }

  void undo() {
    if (!session_.undo()) throw Error(ErrorCode::kInvalidArgument, "/undo: there is no message to forget");
    written_.resize(written_.size() - 2);
  }

  // The system text of the command line belongs to the program, that of /system to the conversation.
  void reset() {
    session_.reset();
    written_.clear();
    drop_media();
    if (options_.system) session_.set_system(*options_.system);
  }

  void save(const std::string& path) {
    if (written_.empty())
      throw Error(ErrorCode::kInvalidArgument,
                  "/save: there is no message yet, and nothing that run --messages would answer");
    std::vector<WrittenMessage> messages;
    if (!session_.system().empty()) messages.push_back({"system", {{WrittenPart::Kind::kText, session_.system(), ""}}});
    messages.insert(messages.end(), written_.begin(), written_.end());
    write_file_atomically(path, messages_json(messages) + "\n", {.sources = engine_->info().files});
    hint("saved " + path + "\n");
  }

  const Options& options_;
  std::unique_ptr<LineEditor> editor_;
  std::shared_ptr<Engine> engine_;
  Session session_;
  std::vector<MediaPart> media_;         // for the next message
  std::vector<WrittenMessage> written_;  // what /save writes
  bool is_command_ = false;
  bool done_ = false;
  int status_ = kExitDone;
};

}  // namespace

int chat(const Options& options) { return Chat(options).talk(); }

}  // namespace g3n::cli
