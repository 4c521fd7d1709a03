#include "tools/gguf_maker.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <vector>

#include "core/file_kind.h"
#include "formats/gguf_writer.h"
#include "json/config.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "text/text_model.h"
#include "tokenizer/tokenizer.h"
#include "tools/block_encoders.h"
#include "tools/hash_weights.h"
#include "tools/pieces.h"
#include "weights/shape_lister.h"
#include "weights/tensor_names.h"

namespace g3n {
namespace {

const std::string kText = "model.language_model.";
constexpr int64_t kPieceValues = int64_t{1} << 20;  // made and written by one thread at a time; whole blocks

// ---- names
// ------------------------------------------------------------------------------------------------------------------------------

const std::map<std::string, std::string> kModelNames = {{"embed_tokens", "token_embd"},
                                                        {"embed_tokens_per_layer", "per_layer_token_embd"},
                                                        {"per_layer_model_projection", "per_layer_model_proj"},
                                                        {"per_layer_projection_norm", "per_layer_proj_norm"},
                                                        {"norm", "output_norm"}};
const std::map<std::string, std::string> kStackNames = {{"altup_projections", "altup_proj"},
                                                        {"altup_unembed_projections", "altup_unembd_proj"}};
const std::map<std::string, std::string> kLayerNames = {{"input_layernorm", "attn_norm"},
                                                        {"post_attention_layernorm", "post_attention_norm"},
                                                        {"pre_feedforward_layernorm", "ffn_norm"},
                                                        {"post_feedforward_layernorm", "post_ffw_norm"},
                                                        {"post_per_layer_input_norm", "post_norm"},
                                                        {"self_attn.q_proj", "attn_q"},
                                                        {"self_attn.k_proj", "attn_k"},
                                                        {"self_attn.v_proj", "attn_v"},
                                                        {"self_attn.o_proj", "attn_output"},
                                                        {"self_attn.q_norm", "attn_q_norm"},
                                                        {"self_attn.k_norm", "attn_k_norm"},
                                                        {"mlp.gate_proj", "ffn_gate"},
                                                        {"mlp.up_proj", "ffn_up"},
                                                        {"mlp.down_proj", "ffn_down"},
                                                        {"per_layer_input_gate", "inp_gate"},
                                                        {"per_layer_projection", "proj"},
                                                        {"altup.correction_coefs", "altup_correct_coef"},
                                                        {"altup.prediction_coefs", "altup_predict_coef"},
                                                        {"altup.correct_output_scale", "altup_correct_scale"},
                                                        {"altup.modality_router", "altup_router"},
                                                        {"altup.router_norm", "altup_router_norm"},
                                                        {"laurel.linear_left", "laurel_l"},
                                                        {"laurel.linear_right", "laurel_r"},
                                                        {"laurel.post_laurel_norm", "laurel_post_norm"}};

struct FileName {
  std::string name;
  int64_t part = -1;  // of a stack; -1: the whole tensor
};

FileName file_name(const std::string& canonical) {
  std::string stem = canonical.substr(kText.size());
  if (stem.ends_with(".weight")) stem.resize(stem.size() - 7);
  const std::string layers = "layers.";
  if (const auto found = kModelNames.find(stem); found != kModelNames.end()) return {found->second + ".weight"};
  const size_t dot = stem.starts_with(layers) ? stem.find('.', layers.size()) : stem.find('.');
  if (dot != std::string::npos) {
    const std::string front = stem.substr(0, dot), rest = stem.substr(dot + 1);
    if (const auto found = kStackNames.find(front); found != kStackNames.end())
      return {found->second + ".weight", std::stoll(rest)};
    if (const auto found = kLayerNames.find(rest); found != kLayerNames.end())
      return {"blk." + front.substr(layers.size()) + "." + found->second + ".weight"};
  }
  throw Error(ErrorCode::kInternal, canonical + ": has no name in GGUF files");
}

// ---- types
// ------------------------------------------------------------------------------------------------------------------------------

// Layers in which Q4_K_M and Q5_K_M files keep attn_v and ffn_down in Q6_K.
bool has_more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType type_in_file(const std::string& name, const std::vector<int64_t>& shape, DType type, int64_t layers) {
  const auto has = [&name](const char* word) { return name.find(word) != std::string::npos; };
  if (shape.size() == 1 || has("altup_correct_coef") || has("altup_predict_coef")) return DType::kF32;
  if (!is_block_type(type)) return type;
  if (has("altup") || has("laurel") || has("per_layer_model_proj")) return DType::kF16;
  const bool table = name.starts_with("token_embd") || name.starts_with("per_layer_token_embd");
  const bool wide = (has("attn_v") || has("ffn_down")) && has_more_bits(std::stoll(name.substr(4)), layers);
  const bool medium = type == DType::kQ4_K || type == DType::kQ5_K;
  DType wanted = (table && type != DType::kQ8_0) || (wide && medium) ? DType::kQ6_K : type;
  if (shape.back() % dtype_facts(wanted).block_values != 0) wanted = DType::kQ8_0;
  return shape.back() % dtype_facts(wanted).block_values == 0 ? wanted : DType::kF16;
}

// ---- keys
// -------------------------------------------------------------------------------------------------------------------------------

void set_model_keys(GgufWriter& file, const TextConfig& c, DType type, const std::string& name) {
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  const std::string p = "gemma3n.";
  file.set("general.architecture", "gemma3n");
  file.set("general.type", "model");
  file.set("general.name", name);
  if (is_block_type(type)) file.set("general.quantization_version", uint32_t{2});
  file.set("general.file_type", uint32_t{type == DType::kQ4_0   ? 2u
                                         : type == DType::kQ8_0 ? 7u
                                         : type == DType::kQ4_K ? 15u
                                         : type == DType::kQ5_K ? 17u
                                         : type == DType::kQ6_K ? 18u
                                         : type == DType::kBF16 ? 32u
                                         : type == DType::kF32  ? 0u
                                                                : 1u});
  file.set(p + "block_count", u32(c.num_hidden_layers));
  file.set(p + "context_length", u32(c.max_position_embeddings));
  file.set(p + "embedding_length", u32(c.hidden_size));
  const bool uniform = std::all_of(c.intermediate_size.begin(), c.intermediate_size.end(),
                                   [&](int64_t n) { return n == c.intermediate_size.front(); });
  if (uniform)
    file.set(p + "feed_forward_length", u32(c.intermediate_size.front()));
  else
    file.set(p + "feed_forward_length", std::vector<uint32_t>(c.intermediate_size.begin(), c.intermediate_size.end()));
  file.set(p + "attention.head_count", u32(c.num_attention_heads));
  file.set(p + "attention.head_count_kv", u32(c.num_key_value_heads));
  file.set(p + "attention.key_length", u32(c.head_dim));
  file.set(p + "attention.value_length", u32(c.head_dim));
  file.set(p + "attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  file.set(p + "attention.sliding_window", u32(c.sliding_window));
  std::vector<bool> sliding;
  std::vector<float> sparsity;
  for (const LayerType layer : c.layer_types) sliding.push_back(layer == LayerType::kSliding);
  for (const double part : c.activation_sparsity_pattern)
    sparsity.push_back(part > 0 ? static_cast<float>(inverse_normal_cdf(part)) : -INFINITY);
  file.set(p + "attention.sliding_window_pattern", sliding);
  file.set(p + "attention.shared_kv_layers", u32(c.num_kv_shared_layers));
  file.set(p + "rope.freq_base", static_cast<float>(c.rope_theta));
  file.set(p + "rope.freq_base_swa", static_cast<float>(c.rope_local_base_freq));
  file.set(p + "altup.active_idx", u32(c.altup_active_idx));
  file.set(p + "altup.num_inputs", u32(c.altup_num_inputs));
  file.set(p + "embedding_length_per_layer_input", u32(c.hidden_size_per_layer_input));
  file.set(p + "activation_sparsity_scale", sparsity);
  if (c.final_logit_softcapping > 0) file.set(p + "final_logit_softcapping", c.final_logit_softcapping);
}

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
struct MadePiece {
  std::string text;
  TokenType type;
};

// Gemma's control tokens, line breaks and bytes where they belong, single characters, and words that no text holds.
MadePiece piece_of(int32_t id, int64_t text_vocab) {
  static const std::map<int32_t, MadePiece> kNamed = {{0, {"<pad>", kControl}},
                                                      {1, {"<eos>", kControl}},
                                                      {2, {"<bos>", kControl}},
                                                      {3, {"<unk>", kUnknown}},
                                                      {4, {"<mask>", kControl}},
                                                      {5, {"[multimodal]", kUserDefined}},
                                                      {105, {"<start_of_turn>", kControl}},
                                                      {106, {"<end_of_turn>", kControl}},
                                                      {107, {"\n", kUserDefined}},
                                                      {255999, {"<start_of_image>", kControl}},
                                                      {256000, {"<start_of_audio>", kControl}},
                                                      {262144, {"<end_of_image>", kControl}},
                                                      {262145, {"<image_soft_token>", kControl}},
                                                      {262272, {"<end_of_audio>", kControl}},
                                                      {262273, {"<audio_soft_token>", kControl}}};
  constexpr int32_t kFirstByte = 238, kFirstCharacter = kFirstByte + 256, kFirstWord = kFirstCharacter + 95;
  const std::string space = "\xe2\x96\x81";  // U+2581
  if (const auto found = kNamed.find(id); found != kNamed.end()) return found->second;
  if (id >= text_vocab) return {"[PAD" + std::to_string(id) + "]", kUnused};
  if (id < kFirstByte) return {"<unused" + std::to_string(id) + ">", kControl};
  if (id < kFirstCharacter) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const int byte = id - kFirstByte;
    return {std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", kByte};
  }
  if (id == kFirstCharacter) return {space, kNormal};
  if (id < kFirstWord) return {std::string(1, static_cast<char>(' ' + (id - kFirstCharacter))), kNormal};
  return {space + "w" + std::to_string(id), kNormal};
}

struct TokenLists {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  void add(std::string token, float score, int32_t type) {
    tokens.push_back(std::move(token)), scores.push_back(score), types.push_back(type);
  }
};

TokenLists random_tokens(const TextConfig& config) {
  TokenLists lists;
  for (int64_t id = 0; id < config.vocab_size; ++id) {
    const MadePiece piece = piece_of(static_cast<int32_t>(id), config.vocab_size_per_layer_input);
    const float score = piece.type == kNormal ? -static_cast<float>(id) : piece.type == kByte ? 0.0f : -1000.0f;
    lists.add(piece.text, score, piece.type);
  }
  return lists;
}

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (size_t at; (at = piece.find(kSpaceMark)) != piece.npos; piece.remove_prefix(at + kSpaceMark.size()))
    (text += piece.substr(0, at)) += ' ';
  return text += piece;
}

// As converters write a vocabulary: U+2581 of user-defined pieces as a space, holes as padding up to the table's rows.
TokenLists tokens_of(const Vocabulary& vocabulary, int64_t rows) {
  std::map<int64_t, const AddedToken*> added;
  for (const AddedToken& token : vocabulary.added) added[token.id] = &token;
  TokenLists lists;
  for (int64_t id = 0; id < rows; ++id) {
    const Piece piece = id < std::ssize(vocabulary.pieces) ? vocabulary.pieces[static_cast<size_t>(id)] : Piece{};
    const auto token = added.find(id);
    if (token != added.end()) {
      const TokenType type = piece.text == "<unk>" ? kUnknown : token->second->is_special ? kControl : kUserDefined;
      lists.add(with_spaces(piece.text), -1000.0f, type);
    } else if (piece.text.empty()) {
      lists.add("[PAD" + std::to_string(id) + "]", -1000.0f, kUnused);
    } else {
      lists.add(piece.text, piece.score, piece.type == PieceType::kByte ? kByte : kNormal);
    }
  }
  return lists;
}

void set_tokenizer_keys(GgufWriter& file, const TokenLists& lists) {
  const std::string p = "tokenizer.ggml.";
  file.set(p + "model", "llama");
  file.set(p + "pre", "default");
  file.set(p + "tokens", lists.tokens);
  file.set(p + "scores", lists.scores);
  file.set(p + "token_type", lists.types);
  file.set(p + "bos_token_id", uint32_t{2});
  file.set(p + "eos_token_id", uint32_t{106});
  file.set(p + "unknown_token_id", uint32_t{3});
  file.set(p + "padding_token_id", uint32_t{0});
  file.set(p + "add_bos_token", true);
  file.set(p + "add_eos_token", false);
  file.set(p + "add_space_prefix", false);
}

// ---- tensors
// ----------------------------------------------------------------------------------------------------------------------------

struct Source {  // a tensor of the checkpoint and where it goes
  std::string canonical;
  std::vector<int64_t> shape;
  size_t index;        // in the file
  int64_t first_byte;  // inside that tensor
  DType type;
};

struct Part {  // values of sources[source]
  size_t source;
  int64_t first, count;
};

// Declares every tensor: stacks once, tables of per-layer embeddings with zero rows up to the vocabulary.
std::vector<Source> declare_tensors(GgufWriter& file, const TextConfig& config, DType type,
                                    const std::map<std::string, DType>& others) {
  ShapeLister lister;
  TextModel(config).bind(lister);
  std::vector<Source> sources;
  std::map<std::string, size_t> stacks;
  for (const auto& [canonical, shape] : lister.names_and_shapes()) {
    const FileName name = file_name(canonical);
    const auto other = others.find(name.name);
    const DType stored =
        other != others.end() ? other->second : type_in_file(name.name, shape, type, config.num_hidden_layers);
    std::vector<int64_t> file_shape = shape;
    if (name.part >= 0) file_shape.insert(file_shape.begin(), config.altup_num_inputs - 1);
    if (name.name == "per_layer_token_embd.weight") file_shape[0] = config.vocab_size;
    const auto known = stacks.find(name.name);
    const size_t index = known != stacks.end() ? known->second : file.declare(name.name, stored, file_shape);
    if (name.part >= 0) stacks.emplace(name.name, index);
    sources.push_back(
        {canonical, shape, index, std::max<int64_t>(name.part, 0) * dtype_bytes(stored, element_count(shape)), stored});
  }
  return sources;
}

// The values [first, first + count) of sources[source], by any thread.
using Values = std::function<void(size_t source, int64_t first, int64_t count, float* values)>;
using Progress = std::function<void(int64_t done_bytes, int64_t total_bytes)>;

void write_piece(const GgufWriter& file, const std::vector<Source>& sources, const Values& fill, const Part& part) {
  thread_local std::vector<float> values;
  thread_local std::vector<std::byte> bytes;
  const Source& source = sources[part.source];
  values.resize(static_cast<size_t>(part.count));
  bytes.resize(static_cast<size_t>(dtype_bytes(source.type, part.count)));
  fill(part.source, part.first, part.count, values.data());
  encode_values(source.type, values.data(), part.count, bytes.data());
  file.write(source.index, source.first_byte + dtype_bytes(source.type, part.first), bytes);
}

void write_tensors(ThreadPool& pool, GgufWriter& file, const std::vector<Source>& sources, const Values& fill,
                   const Progress& progress) {
  file.begin_data();
  std::vector<Part> parts;
  for (size_t source = 0; source < sources.size(); ++source) {
    const int64_t count = element_count(sources[source].shape);
    for (int64_t at = 0; at < count; at += kPieceValues)
      parts.push_back({source, at, std::min(kPieceValues, count - at)});
  }
  int64_t done = 0;
  write_pieces(
      pool, std::ssize(parts),
      [&](int64_t i) {
        const Part& part = parts[static_cast<size_t>(i)];
        write_piece(file, sources, fill, part);
        return dtype_bytes(sources[part.source].type, part.count);
      },
      [&](int64_t bytes) {
        done += bytes;
        if (progress) progress(done, file.data_bytes());
      });
  file.finish();
}

void expect_type(DType type, bool is_known) {
  if (!is_known)
    throw Error(ErrorCode::kInvalidArgument,
                std::string("expected a type of Q4_0, Q8_0, Q4_K, Q5_K, Q6_K, BF16 or F16, got ") + dtype_name(type));
}

}  // namespace

std::map<std::string, DType> ud_q4_k_xl_types(const std::string& config_path) {
  const TextConfig config = TextConfig::from(Config::parse(read_text_file(config_path), config_path));
  std::map<std::string, DType> types = {{"token_embd.weight", DType::kQ8_0},
                                        {"per_layer_token_embd.weight", DType::kQ8_0}};
  const int64_t layers = config.num_hidden_layers, some = std::max<int64_t>(layers / 8, 1);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string blk = "blk." + std::to_string(layer) + ".";
    types[blk + "attn_v.weight"] = has_more_bits(layer, layers) ? DType::kQ6_K : DType::kQ5_K;
    if (layer < some) types[blk + "ffn_up.weight"] = DType::kQ5_0, types[blk + "ffn_down.weight"] = DType::kQ5_1;
    if (layer >= layers - some) types[blk + "ffn_gate.weight"] = DType::kQ4_1;
  }
  return types;
}

void write_random_gguf(ThreadPool& pool, const std::string& config_path, const std::string& out_path, DType type,
                       const std::function<void(int64_t done_bytes, int64_t total_bytes)>& progress,
                       const std::map<std::string, DType>& others) {
  expect_type(type, can_encode(type) && type != DType::kF32);
  const TextConfig config = TextConfig::from(Config::parse(read_text_file(config_path), config_path));
  GgufWriter file(out_path);
  set_model_keys(file, config, type, "random weights");
  set_tokenizer_keys(file, random_tokens(config));
  const std::vector<Source> sources = declare_tensors(file, config, type, others);
  std::vector<HashTensor> rules;
  for (const Source& source : sources)
    rules.emplace_back(source.canonical, source.shape, config.hidden_size_per_layer_input);
  const auto fill = [&](size_t source, int64_t first, int64_t count, float* values) {
    thread_local std::vector<bf16_t> drawn;
    drawn.resize(static_cast<size_t>(count));
    rules[source].fill(first, count, drawn.data());
    std::transform(drawn.begin(), drawn.end(), values, bf16_to_f32);
  };
  write_tensors(pool, file, sources, fill, progress);
}

void write_text_gguf(ThreadPool& pool, const Checkpoint& checkpoint, const std::string& out_path, DType type) {
  expect_type(type, can_encode(type) || type == DType::kF32);
  if (!checkpoint.source || !Tokenizer::is_in(checkpoint.files))
    throw Error(ErrorCode::kInvalidArgument, checkpoint.path + ": expected a folder with a tokenizer");
  const TextConfig config = TextConfig::from(checkpoint.config);
  const auto tensors = canonical_tensors(*checkpoint.source);
  GgufWriter file(out_path);
  set_model_keys(file, config, type, "text model");
  set_tokenizer_keys(file, tokens_of(read_vocabulary(checkpoint.files), config.vocab_size));
  if (checkpoint.chat_template) file.set("tokenizer.chat_template", *checkpoint.chat_template);
  const std::vector<Source> sources = declare_tensors(file, config, type, {});
  const auto fill = [&](size_t source, int64_t first, int64_t count, float* values) {
    const auto found = tensors.find(sources[source].canonical);
    if (found == tensors.end())
      throw Error(ErrorCode::kBadFile, checkpoint.path + ": lacks " + sources[source].canonical);
    const TensorInfo& stored = *found->second;
    decode_values(stored.dtype, stored.data + dtype_bytes(stored.dtype, first), count, values);
  };
  write_tensors(pool, file, sources, fill, {});
}

}  // namespace g3n
