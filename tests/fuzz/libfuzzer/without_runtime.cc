// What apps/json_text.cc takes from the runtime, for writing answers; no target does that.
#include "g3n/engine.h"

namespace g3n {
const char* finish_reason_name(FinishReason) { return ""; }
}  // namespace g3n
