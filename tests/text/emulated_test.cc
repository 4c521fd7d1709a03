// Two short goldens on the x86 tables under emulation that CMake chose (G3N_EMULATE).
#include <gtest/gtest.h>

#include "support/emulated/tables.h"
#include "support/golden.h"
#include "text/models.h"

namespace g3n::testing {
namespace {

class EmulatedGolden : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  void expect_taps(const std::string& name, ComputeType compute) {
    const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
    GoldenSink sink(golden, {.bf16 = compute == ComputeType::kBF16});
    TextRunner(*tiny_text().model, {.kernels = GetParam(), .compute = compute, .taps = &sink})
        .feed(to_ids(golden.ids()));
    EXPECT_EQ(sink.first_difference(), "");
    std::printf("%s\n", sink.worst().c_str());
  }
};

TEST_P(EmulatedGolden, SevenIds) { expect_taps("text_7", ComputeType::kF32); }
TEST_P(EmulatedGolden, FortyIdsInBF16StayBelowTransformersOwnDistance) { expect_taps("text_40", ComputeType::kBF16); }

INSTANTIATE_TEST_SUITE_P(Tables, EmulatedGolden, ::testing::ValuesIn(emulated_tables()),
                         [](const auto& instance) { return instance.param->name; });

}  // namespace
}  // namespace g3n::testing
