// Stands in for the compiler's <immintrin.h> in test-only builds of isa/*.cc (include path first): SIMDe's portable
// versions of the intrinsics, then ours for what Debian's SIMDe lacks or rounds differently. Such units are compiled
// without any -m flag.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_NATIVE
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include "support/emulated/simde_missing.h"
