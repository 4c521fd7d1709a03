// g3n: the program. Parses the command line, runs the subcommand, turns exceptions into one line on stderr and an exit
// status.
#include <cstdio>
#include <exception>
#include <new>

extern "C" {
#include <libavutil/log.h>
}

#include "commands.h"
#include "console.h"
#include "g3n/error.h"

namespace g3n::cli {
namespace {

int run_command(const Options& options) {
  switch (options.command) {
    case Command::kRun: return run(options);
    case Command::kChat: return chat(options);
    case Command::kServe: return serve(options);
    case Command::kInspect: return inspect(options);
    case Command::kTokenize: return tokenize(options);
    case Command::kTrace: return trace(options);
    case Command::kBench: return bench(options);
    case Command::kEval: return eval(options);
    case Command::kConvert: return convert(options);
  }
  return kExitUsage;
}

int dispatch(const Options& options) {
  try {
    return run_command(options);
  } catch (const Error& error) {
    const std::string taken = error.code() == ErrorCode::kNotFound ? taken_for_model(options) : "";
    if (taken.empty()) throw;
    throw Error(error.code(), error.what() + ("; " + taken));
  }
}

int guarded_main(int argc, char** argv) {
  try {
    install_signal_handlers();
    av_log_set_level(AV_LOG_QUIET);  // the process's, therefore the program's to set: damage is told by g3n's errors
    const Invocation invocation = parse_command_line(argc, argv);
    if (invocation.options) return dispatch(*invocation.options);
    write_stdout(invocation.text);
    return kExitDone;
  } catch (const UsageError& error) {
    report(error.what());
    return kExitUsage;
  } catch (const WriteFailed& error) {
    if (!error.is_closed_pipe()) report(error.what());
    return kExitFailed;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) return kExitInterrupted;
    report(error.what());
    return kExitFailed;
  } catch (const std::bad_alloc&) {
    report("out of memory (a smaller --context or --chunk, --kv-cache q8, and a bundle of g3n convert take less)");
    return kExitFailed;
  } catch (const std::exception& error) {
    report(error.what());
    return kExitFailed;
  }
}

}  // namespace
}  // namespace g3n::cli

int main(int argc, char** argv) { return g3n::cli::guarded_main(argc, argv); }
