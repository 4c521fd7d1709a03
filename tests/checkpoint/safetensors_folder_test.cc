// Which files of a folder are its weights.
#include "checkpoint/safetensors_folder.h"

#include <array>

#include "formats/safetensors_writer.h"
#include "support/errors.h"

namespace g3n::testing {
namespace {

void write_tensor(const std::string& path, const std::string& name) {
  SafetensorsWriter writer(path);
  writer.add(name, DType::kF32, {1}, std::array<std::byte, 4>{});
  writer.finish();
}

TEST(SafetensorsFolder, OneFileComesBeforeAnIndex) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kNotFound, open_safetensors_folder(folder.path()),
               "expected model.safetensors or model.safetensors.index.json");
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  write_tensor(folder / "s1.safetensors", "a");
  EXPECT_ERROR(ErrorCode::kNotFound, open_safetensors_folder(folder.path()), "1 of 2 shards are missing");
  write_tensor(folder / "s2.safetensors", "b");
  EXPECT_EQ(open_safetensors_folder(folder.path())->tensors().size(), 2u);
  write_tensor(folder / "model.safetensors", "c");
  const auto single = open_safetensors_folder(folder.path());
  EXPECT_EQ(single->tensors().size(), 1u);
  EXPECT_TRUE(single->find("c"));
}

}  // namespace
}  // namespace g3n::testing
