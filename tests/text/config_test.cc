#include "text/text_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "g3n/error.h"

namespace g3n {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TextConfig parse(const std::string& keys) {
  return TextConfig::from(Config::parse("{\"text_config\": {" + keys + "}}", "config.json"));
}

std::string config_error(const std::string& keys) {
  try {
    parse(keys);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(TextConfig, AbsentKeysAreE4B) {
  const TextConfig c = parse("");
  EXPECT_EQ(c.num_hidden_layers, 35);
  EXPECT_EQ(c.intermediate_size, std::vector<int64_t>(35, 16384));
  EXPECT_EQ(c.first_shared_layer(), 20);
  EXPECT_EQ(c.cut_layer(), 19);
  EXPECT_EQ(c.kv_layer(34), 19);
  EXPECT_EQ(c.kv_layer(33), 18);
  EXPECT_EQ(c.kv_layer(3), 3);
  EXPECT_EQ(c.layer_types[4], LayerType::kFull);
  EXPECT_EQ(c.activation_sparsity_pattern[9], 0.95);
  EXPECT_EQ(c.activation_sparsity_pattern[10], 0.0);
  EXPECT_EQ(c.final_logit_softcapping, 30.0f);
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.rope_local_base_freq, 1e4);
}

TEST(TextConfig, BothSchemasOfWidthsAndBases) {
  const TextConfig c = parse(R"("num_hidden_layers": 2, "num_kv_shared_layers": 0, "intermediate_size": [8, 16],
    "rope_parameters": {"full_attention": {"rope_theta": 5}, "sliding_attention": {"rope_theta": 6}})");
  EXPECT_EQ(c.intermediate_size, (std::vector<int64_t>{8, 16}));
  EXPECT_EQ(c.rope_theta, 5);
  EXPECT_EQ(c.rope_local_base_freq, 6);
  EXPECT_EQ(parse(R"("final_logit_softcapping": null)").final_logit_softcapping, 0.0f);  // null: no cap
}

TEST(TextConfig, ErrorsNameTheKey) {
  EXPECT_THAT(config_error(R"("intermediate_size": [1, 2])"), HasSubstr("intermediate_size"));
  EXPECT_THAT(config_error(R"("head_dim": 7)"), HasSubstr("head_dim"));
  EXPECT_THAT(config_error(R"("num_key_value_heads": 3)"), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(config_error(R"("layer_types": ["linear"])"), HasSubstr("layer_types"));
  EXPECT_THAT(config_error(R"("hidden_activation": "relu")"), HasSubstr("hidden_activation"));
  EXPECT_THAT(config_error(R"("rope_scaling": {"rope_type": "yarn"})"), HasSubstr("rope_scaling"));
  EXPECT_THAT(config_error(R"("hidden_size": "big")"), HasSubstr("hidden_size"));
  EXPECT_THAT(config_error(R"("num_kv_shared_layers": 34)"), HasSubstr("num_kv_shared_layers"));
}

TEST(TextConfig, NumbersThatDivideOrScaleAreChecked) {
  for (const char* eps : {"0", "-1e-6", "1", "1e300", "1e-300", "NaN", "Infinity"})
    EXPECT_THAT(config_error(std::string(R"("rms_norm_eps": )") + eps),
                HasSubstr("rms_norm_eps: expected a number between 0"))
        << eps;
  EXPECT_EQ(parse(R"("rms_norm_eps": 1e-3)").rms_norm_eps, 1e-3f);
  for (const char* cap : {"-30", "1e-300", "1e-44", "1e300", "NaN", "Infinity", "-Infinity"})
    EXPECT_THAT(config_error(std::string(R"("final_logit_softcapping": )") + cap),
                HasSubstr("final_logit_softcapping: expected"))
        << cap;
  EXPECT_EQ(parse(R"("final_logit_softcapping": 0)").final_logit_softcapping, 0.0f);
  EXPECT_EQ(parse(R"("final_logit_softcapping": 0.5)").final_logit_softcapping, 0.5f);
  for (const char* theta : {"0", "-5", "1e-310", "NaN", "Infinity"}) {
    const std::string t = theta;
    EXPECT_THAT(config_error(R"("rope_theta": )" + t), HasSubstr("rope_theta: expected")) << t;
    EXPECT_THAT(config_error(R"("rope_local_base_freq": )" + t), HasSubstr("rope_local_base_freq: expected")) << t;
    for (const char* type : {"full_attention", "sliding_attention"})
      EXPECT_THAT(config_error(R"("rope_parameters": {")" + std::string(type) + R"(": {"rope_theta": )" + t + "}}"),
                  AllOf(HasSubstr(type), HasSubstr("rope_theta: expected")))
          << t;
  }
  for (const char* width : {"0", "-8", "16777217", "9223372036854775807"})
    EXPECT_THAT(config_error(std::string(R"("intermediate_size": )") + width), HasSubstr("intermediate_size: expected"))
        << width;
  for (const char* clip : {"0", "-1", "NaN"})
    EXPECT_THAT(config_error(std::string(R"("altup_coef_clip": )") + clip), HasSubstr("altup_coef_clip: expected"))
        << clip;
  const auto multiplier = [](const std::string& value) {
    return config_error(R"("num_hidden_layers": 1, "num_kv_shared_layers": 0, "activation_sparsity_multiplier": [)" +
                        value + "]");
  };
  for (const char* value : {"NaN", "Infinity", "1e300"})
    EXPECT_THAT(multiplier(value), HasSubstr("activation_sparsity_multiplier: expected")) << value;
  EXPECT_EQ(multiplier("-Infinity"), "");
}

TEST(InverseNormalCdf, KnownValues) {
  EXPECT_NEAR(inverse_normal_cdf(0.95), 1.6448536269514722, 1e-13);
  EXPECT_NEAR(inverse_normal_cdf(0.5), 0.0, 1e-15);
  EXPECT_NEAR(inverse_normal_cdf(0.001), -3.090232306167813, 1e-11);
  EXPECT_NEAR(inverse_normal_cdf(0.999999), 4.753424308822899, 1e-8);
}

}  // namespace
}  // namespace g3n
