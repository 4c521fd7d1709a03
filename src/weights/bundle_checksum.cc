#include "weights/bundle_checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cinttypes>
#include <cstdio>
#include <new>

namespace g3n {

struct BundleChecksum::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  ~State() { XXH3_freeState(xxh3); }
};

BundleChecksum::BundleChecksum() : state_(std::make_unique<State>()) {
  if (!state_->xxh3) throw std::bad_alloc();
  XXH3_64bits_reset(state_->xxh3);
}

BundleChecksum::~BundleChecksum() = default;

void BundleChecksum::update(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size());
}

std::string BundleChecksum::text() const {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, static_cast<uint64_t>(XXH3_64bits_digest(state_->xxh3)));
  return std::string("xxh3-") + digits;
}

std::string BundleChecksum::nothing() { return "xxh3-" + std::string(16, '0'); }

}  // namespace g3n
