// What lies in a folder, where a folder that cannot be read is an answer and not an exception.
#pragma once
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace g3n {

// False for a link to what is not there, and where nobody can look.
bool is_there(const std::filesystem::path& path);

// Names of the entries, sorted; what was read before `reason` is set.
std::vector<std::string> file_names(const std::filesystem::path& folder, std::error_code& reason);

}  // namespace g3n
