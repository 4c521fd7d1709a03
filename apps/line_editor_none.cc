// A build without libedit: no editing, no history.
#include "line_editor.h"

namespace g3n::cli {

std::unique_ptr<LineEditor> make_terminal_editor() { return nullptr; }

}  // namespace g3n::cli
