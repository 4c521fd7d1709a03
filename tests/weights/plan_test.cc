// The plan alone: which stored type becomes which format in which layout. That loading does what it says:
// tests/model/memory_test.cc.
#include "weights/plan.h"

#include "support/errors.h"

namespace g3n::testing {
namespace {

const std::string kLayer = "model.language_model.layers.0.";
constexpr int64_t kBig = 1'000'000'000;

TensorInfo tensor(DType dtype, const Shape& shape = {64, 512}) { return {.name = "t", .dtype = dtype, .shape = shape}; }

void expect_packing(const Packing& got, DType dtype, Layout layout) {
  EXPECT_STREQ(dtype_name(got.dtype), dtype_name(dtype));
  EXPECT_EQ(got.layout, layout);
}

TEST(PackingPlan, BlocksWithKernelsKeepTheirTypeInEveryLayout) {
  for (const char* recipe : {"", "q4", "q8", "keep"})
    for (const DType type : {DType::kQ8_0, DType::kQ4_0})
      for (const Layout layout : {Layout::kPanels, Layout::kRows, Layout::kNeurons})
        expect_packing(PackingPlan(Recipe::named(recipe), kBig).matrix(kLayer + "m", tensor(type), layout), type,
                       layout);
}

TEST(PackingPlan, BlocksOfFileTypesArePanelsNeuronsOrStay) {
  const PackingPlan plan(Recipe::named("q4"), kBig);
  for (const DType type : {DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                           DType::kIQ4_NL, DType::kIQ4_XS}) {
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kPanels), type, Layout::kPanels);
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kRows), type, Layout::kBlocks);
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kNeurons), type, Layout::kNeurons);
  }
}

TEST(PackingPlan, OtherBlocksStayWhereTheyLieOrAreDecoded) {
  const PackingPlan plan(Recipe::named("q4"), kBig);
  for (const DType type : {DType::kQ3_K, DType::kIQ2_XS, DType::kMXFP4}) {
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kPanels), type, Layout::kBlocks);
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kRows), DType::kF32, Layout::kRows);
    expect_packing(plan.matrix(kLayer + "m", tensor(type), Layout::kNeurons), DType::kF32, Layout::kNeurons);
    for (const char* head : {"model.language_model.embed_tokens.weight", "lm_head.weight"})
      expect_packing(plan.matrix(head, tensor(type), Layout::kPanels), DType::kF32, Layout::kPanels);
  }
}

TEST(PackingPlan, RoutersAndConvolutionsInBlocksAreF32) {
  const PackingPlan plan({}, kBig);
  for (const DType type : {DType::kQ8_0, DType::kQ4_K}) {
    expect_packing(plan.matrix(kLayer + "altup.modality_router.weight", tensor(type), Layout::kPanels), DType::kF32,
                   Layout::kPanels);
    expect_packing(plan.matrix("model.x", tensor(type, {64, 4, 3, 256}), Layout::kPanels), DType::kF32,
                   Layout::kPanels);
  }
}

TEST(PackingPlan, PlainTypesFollowTheRecipe) {
  const PackingPlan keep({}, kBig), q4(Recipe::named("q4"), kBig), q4_small(Recipe::named("q4"), 1000);
  const std::string up = kLayer + "mlp.up_proj.weight";
  for (const DType type : {DType::kBF16, DType::kF32}) {
    expect_packing(keep.matrix(up, tensor(type), Layout::kRows), type, Layout::kRows);
    expect_packing(q4.matrix(up, tensor(type), Layout::kRows), DType::kQ4_0, Layout::kRows);
    expect_packing(q4_small.matrix(up, tensor(type, {64, 128}), Layout::kRows), DType::kQ8_0, Layout::kRows);
  }
  const auto yes = [](const TensorInfo&) { return true; };
  const auto no = [](const TensorInfo&) { return false; };
  const TensorInfo half = tensor(DType::kF16);
  expect_packing(keep.matrix(up, half, Layout::kPanels), DType::kF32, Layout::kPanels);
  expect_packing(keep.matrix(up, half, Layout::kPanels, yes), DType::kBF16, Layout::kPanels);
  expect_packing(keep.matrix(up, half, Layout::kPanels, no), DType::kF32, Layout::kPanels);
  expect_packing(q4.matrix(up, half, Layout::kPanels), DType::kQ4_0, Layout::kPanels);
}

TEST(PackingPlan, Tables) {
  const auto table = [](const std::string& lines, DType stored, int64_t cols = 64) {
    return PackingPlan(Recipe::parse(lines, "mine"), kBig).table("t", tensor(stored, {10, cols}));
  };
  EXPECT_EQ(table("t q8", DType::kBF16), DType::kBF16) << "the matrix of that name";
  EXPECT_EQ(table("t@table q8", DType::kBF16), DType::kQ8_0);
  EXPECT_EQ(table("t@table q8", DType::kBF16, 40), DType::kBF16) << "no whole blocks";
  EXPECT_EQ(table("t@table bf16", DType::kF32), DType::kBF16);
  EXPECT_EQ(table("t@table f32", DType::kF16), DType::kF32);
  EXPECT_EQ(table("t@table keep", DType::kF16), DType::kF16);
  EXPECT_EQ(table("t@table q4", DType::kQ8_0), DType::kQ8_0) << "never quantised again";
  EXPECT_ERROR(ErrorCode::kUnsupported, table("* q4", DType::kF32), "recipe mine: t@table",
               "expected q8, bf16, f32 or keep for a table, found q4");
}

TEST(PackingPlan, TablesAreCopiedOnlyFromMemoryThatIsNotAligned) {
  alignas(8) const std::byte memory[16] = {};
  TensorInfo t = tensor(DType::kF32);
  t.data = memory;
  EXPECT_FALSE(PackingPlan::copies_table(t));
  t.data = memory + 2;
  EXPECT_TRUE(PackingPlan::copies_table(t));
  t.range.fd = 7;
  EXPECT_FALSE(PackingPlan::copies_table(t));
  t.range.fd = -1, t.dtype = DType::kQ8_0;
  EXPECT_FALSE(PackingPlan::copies_table(t));
}

TEST(PackingPlan, ParametersAreCountedWithoutOverflow) {
  const TensorInfo a = tensor(DType::kF32, {3, 4}), b = tensor(DType::kF32, {5}),
                   huge = tensor(DType::kF32, {int64_t{1} << 40, int64_t{1} << 40});
  EXPECT_EQ(parameter_count({{"a", &a}, {"b", &b}}), 17);
  EXPECT_EQ(parameter_count({{"a", &a}, {"huge", &huge}}), INT64_MAX);
}

}  // namespace
}  // namespace g3n::testing
