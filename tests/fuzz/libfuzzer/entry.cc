// libFuzzer's entry, compiled once per target: FUZZ_TARGET is its name.
#include "fuzz/targets.h"

extern "C" {
#include <libavutil/log.h>
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  av_log_set_level(AV_LOG_QUIET);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const g3n::fuzz::Target& target = g3n::fuzz::target(FUZZ_TARGET);
  target.run({data, size});
  return 0;
}
