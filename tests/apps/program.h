// Runs the built g3n as a user would: arguments, stdin, stdout and stderr apart, a time limit.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace g3n::testing {

using Arguments = std::vector<std::string>;

struct Outcome {
  int status = -1;  // exit status; 128 + signal if one ended it
  std::string out, err;
};

// stdin brings `input` and ends.
Outcome run_g3n(const Arguments& arguments, const std::string& input = "");
// stdin is /dev/null, stdout an existing file or device.
Outcome run_g3n_into(const std::string& stdout_path, const Arguments& arguments);
// stdout is a pipe that nobody reads.
Outcome run_g3n_into_closed_pipe(const Arguments& arguments);
// Another program of the build folder.
Outcome run_program(const std::string& path, const Arguments& arguments, const std::string& input = "");

// A process to talk with while it runs.
class Running {
 public:
  enum class Stdio {
    kPipes,
    kNonBlockingPipes,  // the child's stdin is
    kTerminal,          // a pseudo-terminal is stdin, stdout and stderr (read by read_until)
    kTerminalWithoutStderr
  };
  Running(const Arguments& arguments, Stdio stdio = Stdio::kPipes);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void write(const std::string& text);
  void close_stdin();
  // Reads stdout until it holds `text` (true), ends, or nothing comes for 60 s.
  bool read_until(const std::string& text);
  bool terminal_has_lines() const;  // whether it is in line mode
  void interrupt();
  void send(int signal);
  Outcome finish();  // closes stdin, reads to the end

 private:
  bool read_some();

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  bool is_terminal_;
  Outcome outcome_;
};

// A folder of this test's own, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string path(const std::string& name = "") const { return (folder_ / name).string(); }
  // Names of what lies in it.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path folder_;
};

void write_text(const std::string& path, const std::string& text);
std::string read_text(const std::string& path);

// models/demo and a file of its media.
std::string demo();
std::string demo_media(const std::string& name);

}  // namespace g3n::testing
