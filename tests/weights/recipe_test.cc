// Recipes: first match wins, wildcards, what the built-in ones say, files with mistakes.
#include "weights/recipe.h"

#include "support/errors.h"

namespace g3n::testing {
namespace {

DType format(const Recipe& recipe, const std::string& name, DType stored = DType::kBF16, int64_t cols = 2048,
             bool small_model = false) {
  return recipe.format(name, stored, cols, small_model);
}

TEST(Recipe, TheFirstLineThatMatchesWins) {
  const Recipe recipe = Recipe::parse(
      "# a comment\n\n*.q_proj.weight q8   # wide\n  *layers.1.*.weight bf16\n*layers.1* q4\nexact f32\n* keep\n",
      "mine");
  EXPECT_EQ(recipe.name(), "mine");
  EXPECT_EQ(format(recipe, "layers.1.self_attn.q_proj.weight"), DType::kQ8_0);
  EXPECT_EQ(format(recipe, "layers.1.mlp.up_proj.weight", DType::kF32), DType::kBF16);
  EXPECT_EQ(format(recipe, "layers.1.mlp.up_proj.bias"), DType::kQ4_0);
  EXPECT_EQ(format(recipe, "layers.11"), DType::kQ4_0);
  EXPECT_EQ(format(recipe, "exact"), DType::kF32);
  EXPECT_EQ(format(recipe, "exactly"), DType::kBF16);
  EXPECT_EQ(format(recipe, "not exact", DType::kF16), DType::kF16);
}

TEST(Recipe, AStarIsAnyNumberOfCharacters) {
  const Recipe recipe = Recipe::parse("a*b*c q8\n*x q4\n", "mine");
  for (const char* name : {"abc", "a.b.c", "abbcbc", "aabbcc"}) EXPECT_EQ(format(recipe, name), DType::kQ8_0) << name;
  for (const char* name : {"ab", "abcd", "acb", "a"}) EXPECT_EQ(format(recipe, name), DType::kBF16) << name;
  EXPECT_EQ(format(recipe, "x"), DType::kQ4_0);
}

TEST(Recipe, NarrowMatricesAndQuantisedOnesStayAsTheyAre) {
  for (const Recipe& recipe : {Recipe::parse("* q4\n", "mine"), Recipe::named("q4"), Recipe::named("q8")}) {
    EXPECT_EQ(format(recipe, "model.language_model.layers.0.mlp.up_proj.weight", DType::kBF16, 31), DType::kBF16);
    for (const DType stored : {DType::kQ8_0, DType::kQ4_0, DType::kQ6_K})
      EXPECT_EQ(format(recipe, "model.language_model.layers.0.mlp.up_proj.weight", stored), stored);
  }
}

TEST(Recipe, Q4) {
  const Recipe recipe = Recipe::named("q4");
  const std::string layer = "model.language_model.layers.3.";
  for (const char* name : {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
                           "self_attn.o_proj.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight",
                           "mlp.down_proj.weight", "per_layer_input_gate.weight", "per_layer_projection.weight"})
    EXPECT_EQ(format(recipe, layer + name), DType::kQ4_0) << name;
  EXPECT_EQ(format(recipe, "model.language_model.embed_tokens.weight"), DType::kQ4_0) << "the head";
  for (const char* name :
       {"model.language_model.layers.3.laurel.linear_left.weight",
        "model.language_model.layers.3.laurel.linear_right.weight", "model.language_model.altup_projections.1.weight",
        "model.language_model.altup_unembed_projections.0.weight",
        "model.language_model.per_layer_model_projection.weight", "model.language_model.embed_tokens.weight@table",
        "model.language_model.embed_tokens_per_layer.weight@table",
        "model.audio_tower.conformer.0.ffw_layer_start.ffw_layer_1.weight",
        "model.vision_tower.timm_model.blocks.1.0.conv_pw.weight", "model.embed_vision.embedding_projection.weight"})
    EXPECT_EQ(format(recipe, name), DType::kQ8_0) << name;
  for (const char* name :
       {"altup.modality_router.weight", "altup.prediction_coefs.weight", "altup.correction_coefs.weight"})
    for (const DType stored : {DType::kBF16, DType::kF32})
      EXPECT_EQ(format(recipe, layer + name, stored), stored) << name;
}

TEST(Recipe, Q4IsQ8ForNarrowTensorsOfSmallModels) {
  const Recipe recipe = Recipe::named("q4");
  const std::string name = "model.language_model.layers.3.mlp.up_proj.weight";
  EXPECT_EQ(format(recipe, name, DType::kBF16, 255, true), DType::kQ8_0);
  EXPECT_EQ(format(recipe, name, DType::kBF16, 256, true), DType::kQ4_0);
  EXPECT_EQ(format(recipe, name, DType::kBF16, 255, false), DType::kQ4_0);
  EXPECT_EQ(format(Recipe::parse("* q4\n", "mine"), name, DType::kBF16, 64, true), DType::kQ4_0)
      << "a file means what it says";
}

TEST(Recipe, Q8AndAsInTheFile) {
  const Recipe q8 = Recipe::named("q8");
  for (const char* name :
       {"model.language_model.layers.3.mlp.up_proj.weight", "model.language_model.embed_tokens.weight",
        "model.language_model.embed_tokens.weight@table", "model.language_model.embed_tokens_per_layer.weight@table",
        "model.audio_tower.conformer.0.attention.attn.q_proj.weight"})
    EXPECT_EQ(format(q8, name), DType::kQ8_0) << name;
  EXPECT_EQ(format(q8, "model.language_model.layers.3.altup.modality_router.weight"), DType::kBF16);
  EXPECT_EQ(Recipe::named("keep").name(), "keep");
  for (const DType stored : {DType::kF32, DType::kBF16, DType::kF16})
    EXPECT_EQ(format(Recipe::named("keep"), "x", stored), stored);
}

TEST(Recipe, IsExplicitWhereSomebodyAsksForFormats) {
  EXPECT_FALSE(Recipe().is_explicit());
  EXPECT_FALSE(Recipe::named("").is_explicit());
  for (const char* name : {"keep", "q8", "q4"}) EXPECT_TRUE(Recipe::named(name).is_explicit()) << name;
  EXPECT_TRUE(Recipe::parse("", "empty").is_explicit());
}

TEST(Recipe, MistakesAreNamedByLine) {
  const TemporaryFolder folder;
  for (const char* line : {"*.weight", "*.weight q5", "*.weight q4 q8", "*.weight Q4"})
    EXPECT_ERROR(ErrorCode::kBadFile,
                 Recipe::named(folder.write("recipe", std::string("* q8\n# fine\n") + line + "\n")), "recipe, line 3",
                 "expected `pattern format`", line);
  for (const std::string name : {"q3", "bf16"})  // bf16 would be said of f32 files, too
    EXPECT_ERROR(ErrorCode::kInvalidArgument, Recipe::named(name),
                 "expected q4, q8, keep or a file, found '" + name + "'");
  EXPECT_EQ(format(Recipe::named(folder.write("good", "* q8")), "x"), DType::kQ8_0) << "the last line without an end";
}

}  // namespace
}  // namespace g3n::testing
