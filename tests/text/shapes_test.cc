// Shapes that no fixture has, against the double-precision reference: nothing is tuned to one config.
#include <gtest/gtest.h>

#include <cmath>

#include "json/config.h"
#include "text/models.h"
#include "text/reference_model.h"

namespace g3n::testing {
namespace {

struct Variant {
  const char* name;
  const char* json;
};

// Keys beside those of the base config; a later key wins.
const std::string kBase =
    R"("vocab_size": 300, "vocab_size_per_layer_input": 260, "hidden_size": 64, "hidden_size_per_layer_input": 16,
  "num_hidden_layers": 6, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "num_kv_shared_layers": 2,
  "sliding_window": 7, "laurel_rank": 8, "altup_num_inputs": 4,
  "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
  "activation_sparsity_pattern": [0.9, 0.9, 0, 0, 0, 0])";

const Variant kVariants[] = {
    {"base", ""},
    {"one_kv_head_of_three", R"(, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 48)"},
    {"heads_equal_kv_heads", R"(, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 10)"},
    {"odd_widths",
     R"(, "hidden_size": 75, "hidden_size_per_layer_input": 9, "intermediate_size": [33, 50, 31, 97, 96, 1], "laurel_rank": 3)"},
    {"two_streams", R"(, "altup_num_inputs": 2, "altup_active_idx": 1)"},
    {"five_streams", R"(, "altup_num_inputs": 5, "altup_active_idx": 3)"},
    {"one_stream", R"(, "altup_num_inputs": 1)"},
    {"none_shared", R"(, "num_kv_shared_layers": 0)"},
    {"most_shared", R"(, "num_kv_shared_layers": 4)"},
    {"one_owner",
     R"(, "num_kv_shared_layers": 5, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention"])"},
    {"one_owner_sliding",
     R"(, "num_kv_shared_layers": 5, "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"])"},
    {"last_owner_sliding", R"(, "num_kv_shared_layers": 3)"},
    {"window_of_one", R"(, "sliding_window": 1)"},
    {"window_of_33", R"(, "sliding_window": 33)"},
    {"sparse_everywhere", R"(, "activation_sparsity_pattern": [0.5, 0.8, 0.95, 0.3, 0.99, 0.6])"},
    {"no_soft_cap_no_scale", R"(, "final_logit_softcapping": null, "altup_correct_scale": false)"},
    {"other_bases",
     R"(, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5000}, "sliding_attention": {"rope_type": "default", "rope_theta": 77}})"},
    {"text_at_the_top", R"(, "model_type": "gemma3n_text", "rms_norm_eps": 1e-3)"},
};

Config config_of(const Variant& v) {
  const bool top = std::string(v.name) == "text_at_the_top";
  return Config::parse(top ? "{" + kBase + v.json + "}" : "{\"text_config\": {" + kBase + v.json + "}}", v.name);
}

class TextShapes : public ::testing::TestWithParam<Variant> {};

TEST_P(TextShapes, EqualTheReference) {
  const LoadedText text = hash_text(config_of(GetParam()));
  std::vector<int32_t> ids;
  for (int i = 0; i < 45; ++i) ids.push_back((i * i * 7 + 3 * i + 2) % 260);
  ids[20] = 299;  // beyond the per-layer vocabulary: row 0
  const auto want = reference_logits(text.model->config(), *text.source, ids);
  for (int64_t chunk : {64, 11}) {
    const auto got = TextRunner(*text.model, {.chunk = chunk}, 64).feed(ids);
    double error = 0, size = 0;
    for (size_t t = 0; t < ids.size(); ++t)
      for (size_t i = 0; i < want[t].size(); ++i)
        error += std::pow(got[t][i] - want[t][i], 2), size += want[t][i] * want[t][i];
    EXPECT_LT(std::sqrt(error / size), 2e-5) << "chunks of " << chunk;
  }
  const auto last = TextRunner(*text.model, {.chunk = 13, .all_logits = false}, 64).feed(ids).back();
  double error = 0, size = 0;
  for (size_t i = 0; i < last.size(); ++i)
    error += std::pow(last[i] - want.back()[i], 2), size += want.back()[i] * want.back()[i];
  EXPECT_LT(std::sqrt(error / size), 4e-5) << "with the cut";
}

INSTANTIATE_TEST_SUITE_P(Text, TextShapes, ::testing::ValuesIn(kVariants),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace g3n::testing
