#include "server/media_kind.h"

#include <algorithm>
#include <string_view>

namespace g3n::server {
namespace {

// Of the family of MP4: its brands tell AVIF and HEIC.
bool is_picture_brand(std::string_view brand) {
  using namespace std::string_view_literals;
  constexpr std::string_view kBrands[] = {"avif"sv, "avis"sv, "heic"sv, "heix"sv, "hevc"sv,
                                          "hevx"sv, "heim"sv, "heis"sv, "mif1"sv, "msf1"sv};
  return std::find(std::begin(kBrands), std::end(kBrands), brand) != std::end(kBrands);
}

}  // namespace

MediumKind kind_by_content(std::span<const std::uint8_t> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = [&](std::size_t place, std::string_view magic) {
    return head.size() >= place + magic.size() && head.substr(place, magic.size()) == magic;
  };
  using namespace std::string_view_literals;
  if (at(0, "RIFF"))
    return at(8, "WEBP") ? MediumKind::kImage : at(8, "WAVE") ? MediumKind::kAudio : MediumKind::kUnknown;
  if (at(0, "FORM")) return at(8, "AIFF") || at(8, "AIFC") ? MediumKind::kAudio : MediumKind::kUnknown;
  for (const std::string_view magic :
       {"\xFF\xD8\xFF"sv, "\x89PNG"sv, "GIF8"sv, "BM"sv, "II*\0"sv, "MM\0*"sv, "\0\0\1\0"sv})
    if (at(0, magic)) return MediumKind::kImage;
  if (head.size() > 2 && head[0] == 'P' && head[1] >= '1' && head[1] <= '6') return MediumKind::kImage;
  for (const std::string_view magic : {"ID3"sv, "fLaC"sv, "OggS"sv, ".snd"sv, "caff"sv, "\x1A\x45\xDF\xA3"sv})
    if (at(0, magic)) return MediumKind::kAudio;
  if (at(4, "ftyp")) {
    // What nobody here can read is what the client says it is: the decoder of pictures tells it by its name.
    if (head.size() >= 12 && is_picture_brand(head.substr(8, 4))) return MediumKind::kUnknown;
    return MediumKind::kAudio;  // M4A, MP4: its sound
  }
  if (head.size() > 1 && bytes[0] == 0xFF && (bytes[1] & 0xE0) == 0xE0) return MediumKind::kAudio;  // MPEG audio, ADTS
  return MediumKind::kUnknown;
}

}  // namespace g3n::server
