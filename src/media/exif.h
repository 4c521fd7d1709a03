// The EXIF orientation of a picture, and the plain fields of a TIFF directory that carry it. Hardened: any bytes give
// an answer.
#pragma once
#include <optional>

#include "media/byte_reader.h"

namespace g3n::media {

// The orientation tag of EXIF data (a TIFF structure, with or without "Exif\0\0" in front): 1..8, and 1 for whatever is
// missing or damaged.
int exif_orientation(Bytes exif);

// An integer field (one SHORT or LONG) of the first directory of a TIFF structure; nothing when missing or damaged.
std::optional<std::uint32_t> tiff_field(Bytes tiff, std::uint16_t tag);

// Where each container keeps its EXIF data; empty when it has none.
Bytes find_exif_in_jpeg(Bytes file);
Bytes find_exif_in_png(Bytes file);
Bytes find_exif_in_webp(Bytes file);

}  // namespace g3n::media
