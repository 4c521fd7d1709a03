// From flags, files and stdin to the prompt that run feeds, and tokenize and trace show.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "g3n/prompt.h"
#include "options.h"

namespace g3n::cli {

// White space as the chat template trims it (processor.md 2).
bool is_blank(std::string_view text);

// The words of run: the argument ("-": stdin as it is), then -f's file, then what a pipe brings (unless a flag names it
// as a file), with a blank line between. Throws UsageError when all of it is blank and no media come along.
std::string run_text(const Options& options);
// TEXT of tokenize: the argument or stdin, byte for byte.
std::string tokenize_text(const Options& options);

// One turn: media in their order, then the text.
std::vector<Part> turn_parts(const std::vector<MediaFile>& media, const std::string& text);
// What the flags --messages, --continue, --raw and --system make of a text.
Prompt make_prompt(const Options& options, const std::string& text);

}  // namespace g3n::cli
