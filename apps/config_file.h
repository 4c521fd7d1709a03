// --config FILE of serve: a JSON object whose names are those of its flags without the dashes.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace g3n::cli {

// The arguments with those of the file of --config behind the command; a flag that the command line has as well is the
// command line's. is_flag: whether the command has "--name". true is a flag without value, a list a flag that is
// repeated, an object a repeated NAME=VALUE. Throws UsageError for a file that is none of this.
std::vector<std::string> with_config_file(std::vector<std::string> arguments,
                                          const std::function<bool(const std::string&)>& is_flag);

}  // namespace g3n::cli
