// Fuzz targets of the server: bytes of a socket, bodies of requests, data URLs.
#pragma once
#include "fuzz/targets.h"

namespace g3n::fuzz {

std::vector<Target> server_targets();

}  // namespace g3n::fuzz
