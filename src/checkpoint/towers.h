// The vision and audio towers of one file put beside the text model of another (--mmproj).
#pragma once
#include "checkpoint/checkpoint.h"

namespace g3n {

// Gives `text` the towers of `towers`, which may be an mmproj file, a folder or a bundle: their weights, their part of
// config.json and how media are prepared for them; ids of the vocabulary stay the text model's. Towers that `towers`
// lacks stay the text model's own. Throws kUnsupported if there is none, kBadFile if they end in vectors of another
// width than the text model's.
void attach_towers(const Checkpoint& towers, Checkpoint& text);

}  // namespace g3n
