// Loading a vocabulary from a folder, and the two steps of encoding: added tokens, then Bpe for what is between them.
#include "tokenizer/tokenizer.h"

#include <unordered_set>

#include "g3n/error.h"
#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer_json.h"
#include "core/utf8.h"

namespace g3n {
namespace {

struct NamedToken {
  const char* key;      // in tokenizer_config.json
  const char* literal;  // where it says nothing
  std::int32_t SpecialTokens::*id;
};
constexpr NamedToken kNamedTokens[] = {
    {"pad_token", "<pad>", &SpecialTokens::pad},
    {"eos_token", "<eos>", &SpecialTokens::eos},
    {"bos_token", "<bos>", &SpecialTokens::bos},
    {"unk_token", "<unk>", &SpecialTokens::unk},
    {"sot_token", "<start_of_turn>", &SpecialTokens::start_of_turn},
    {"eot_token", "<end_of_turn>", &SpecialTokens::end_of_turn},
    {"boi_token", "<start_of_image>", &SpecialTokens::image_begin},
    {"image_token", "<image_soft_token>", &SpecialTokens::image_soft},
    {"eoi_token", "<end_of_image>", &SpecialTokens::image_end},
    {"boa_token", "<start_of_audio>", &SpecialTokens::audio_begin},
    {"audio_token", "<audio_soft_token>", &SpecialTokens::audio_soft},
    {"eoa_token", "<end_of_audio>", &SpecialTokens::audio_end},
};

}  // namespace

void mark_special(Vocabulary& vocabulary) {
  for (AddedToken& token : vocabulary.added)
    for (const NamedToken& named : kNamedTokens) {
      const auto name = vocabulary.names.find(named.key);
      if (token.text == named.literal || (name != vocabulary.names.end() && token.text == name->second))
        token.is_special = true;
    }
}

namespace {

// Tokens of tokenizer.json (tokenizer_config.json) replace those of tokenizer.model by id and by text.
void merge_added(Vocabulary& vocabulary, const std::vector<AddedToken>& more) {
  std::vector<bool> is_replaced(vocabulary.pieces.size());
  for (const AddedToken& token : more)
    if (token.id < static_cast<std::int32_t>(is_replaced.size())) is_replaced[token.id] = true;
  std::unordered_set<std::string_view> texts;
  for (const AddedToken& token : more) texts.insert(token.text);
  std::vector<AddedToken> all = more;
  for (const AddedToken& token : vocabulary.added)
    if (!is_replaced[token.id] && !texts.contains(token.text)) all.push_back(token);
  add_tokens(vocabulary, std::move(all));
}

}  // namespace

Vocabulary read_vocabulary(const FileSet& files) {
  const std::string model = "tokenizer.model", json = "tokenizer.json", config_file = "tokenizer_config.json";
  const bool has_model = files.has(model), has_json = files.has(json);
  if (!has_model && !has_json)
    throw Error(ErrorCode::kNotFound,
                files.where() + ": expected tokenizer.model or tokenizer.json to turn text into ids, found neither");
  TokenizerConfig config;
  if (files.has(config_file)) config = read_tokenizer_config(files.text(config_file), files.path(config_file));
  if (!has_model) {
    Vocabulary vocabulary = read_tokenizer_json(files.text(json), files.path(json));
    vocabulary.names = std::move(config.names);
    return vocabulary;
  }
  Vocabulary vocabulary = read_sentencepiece(files.text(model), files.path(model));
  vocabulary.names = std::move(config.names);
  mark_special(vocabulary);
  if (has_json) {
    merge_added(vocabulary, read_added_tokens(files.text(json), files.path(json)));
  } else if (!config.added.empty()) {
    merge_added(vocabulary, config.added);
  }
  return vocabulary;
}

bool Tokenizer::is_in(const FileSet& files) { return files.has("tokenizer.model") || files.has("tokenizer.json"); }
bool Tokenizer::is_in(const std::string& folder) { return is_in(FileSet::folder(folder)); }

std::unique_ptr<Tokenizer> Tokenizer::load(const FileSet& files) {
  return std::make_unique<Tokenizer>(read_vocabulary(files));
}
std::unique_ptr<Tokenizer> Tokenizer::load(const std::string& folder) { return load(FileSet::folder(folder)); }

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      table_(check_vocabulary(vocabulary_)),
      added_(vocabulary_.added),
      bpe_(vocabulary_.pieces),
      is_special_(vocabulary_.pieces.size()) {
  for (const AddedToken& token : added_.all()) is_special_[token.id] = token.is_special;
  for (const NamedToken& named : kNamedTokens) {
    const auto name = vocabulary_.names.find(named.key);
    special_.*named.id =
        id(name == vocabulary_.names.end() ? std::string_view(named.literal) : std::string_view(name->second));
  }
}

void Tokenizer::encode_text(std::string_view text, ControlTokens control, std::vector<std::int32_t>& ids) const {
  for (std::size_t at = 0; at < text.size();) {
    const auto [token, begin] = added_.find(text, at);
    if (begin > at) bpe_.encode(text.substr(at, begin - at), ids);
    if (token == nullptr) return;
    if (token->is_special && control == ControlTokens::kAsText) {
      bpe_.encode(token->text, ids);  // a unit of its own, as HF's sanitize_control_tokens has it
    } else {
      ids.push_back(token->id);
    }
    at = begin + token->text.size();
  }
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<std::int32_t> ids;
  if (utf8_valid_prefix(text) == text.size()) {
    encode_text(text, options.control, ids);
  } else {
    if (options.invalid_utf8 == InvalidUtf8::kRefuse) expect_utf8(text, "text");
    encode_text(utf8_repaired(text), options.control, ids);
  }
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode(std::span<const Segment> segments) const {
  std::vector<std::int32_t> ids;
  std::string text;
  const auto flush = [&] {
    expect_utf8(text, "prompt");
    encode_text(text, ControlTokens::kAsText, ids);
    text.clear();
  };
  for (const Segment& segment : segments) {
    if (!segment.is_control) {
      for (int i = 0; i < segment.repeat; ++i) text += segment.text;
      continue;
    }
    flush();
    const AddedToken* token = added_.token(segment.text);
    if (token == nullptr)
      throw Error(ErrorCode::kUnsupported, file() + ": expected a control token " + segment.text + ", found none");
    ids.insert(ids.end(), segment.repeat, token->id);
  }
  flush();
  return ids;
}

std::vector<Segment> Tokenizer::split(std::string_view text) const {
  std::vector<Segment> segments;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [token, found] = added_.find(text, at);
    at = token == nullptr ? text.size() : found + token->text.size();
    if (token != nullptr && !token->is_special) continue;
    if (found > begin) segments.push_back({std::string(text.substr(begin, found - begin))});
    if (token != nullptr) segments.push_back({token->text, /*is_control=*/true});
    begin = at;
  }
  if (begin < text.size()) segments.push_back({std::string(text.substr(begin))});
  return segments;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const std::int32_t id : ids) text += decoder.push(id);
  return text + decoder.flush();
}

const std::string& Tokenizer::piece(std::int32_t id) const {
  if (!has_piece(id))
    throw Error(ErrorCode::kInvalidArgument, file() + ": expected an id with a piece, below " +
                                                 std::to_string(vocab_size()) + ", found " + std::to_string(id));
  return vocabulary_.pieces[id].text;
}

int Tokenizer::byte_of(std::int32_t id) const {
  return has_piece(id) && vocabulary_.pieces[id].type == PieceType::kByte ? byte_of_piece(vocabulary_.pieces[id].text)
                                                                          : -1;
}

}  // namespace g3n
