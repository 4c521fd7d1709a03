// The subcommands: each takes its checked options and returns an exit status. Errors are exceptions; main prints them.
#pragma once
#include "options.h"

namespace g3n::cli {

int run(const Options& options);
int chat(const Options& options);
int serve(const Options& options);
int tokenize(const Options& options);
int inspect(const Options& options);
int trace(const Options& options);
int bench(const Options& options);
int eval(const Options& options);
int convert(const Options& options);

}  // namespace g3n::cli
