#include "media/content_hash.h"

extern "C" {
#include <libavutil/mem.h>
#include <libavutil/sha.h>
}

#include "g3n/error.h"

namespace g3n {

void ContentHasher::Free::operator()(AVSHA* sha) const noexcept { av_free(sha); }

ContentHasher::ContentHasher() : sha_(av_sha_alloc()) {
  if (!sha_) throw Error(ErrorCode::kOutOfMemory, "cannot allocate the state of a hash");
  av_sha_init(sha_.get(), 256);
}

void ContentHasher::add(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  av_sha_update(sha_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

void ContentHasher::add(std::string_view text) {
  add(static_cast<std::int64_t>(text.size()));
  add(std::as_bytes(std::span(text)));
}

void ContentHasher::add(std::int64_t number) { add(std::as_bytes(std::span(&number, 1))); }

std::array<std::uint8_t, 32> ContentHasher::finish() {
  std::array<std::uint8_t, 32> digest;
  av_sha_final(sha_.get(), digest.data());
  return digest;
}

}  // namespace g3n
