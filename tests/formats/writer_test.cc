// SafetensorsWriter: round trips both ways, and nothing half-written under the final name.
#include "formats/safetensors_writer.h"

#include <signal.h>
#include <sys/resource.h>

#include <cstring>
#include <numeric>

#include "support/errors.h"
#include "formats/safetensors.h"
#include "formats/safetensors_source.h"

namespace g3n::testing {
namespace {

std::span<const std::byte> bytes_of(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }

std::vector<float> floats(const TensorInfo& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.bytes / 4));
  std::memcpy(out.data(), tensor.data, static_cast<size_t>(tensor.bytes));
  return out;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  return names;
}

TEST(SafetensorsWriter, AddedTensorsComeBack) {
  const TemporaryFolder folder;
  std::vector<float> big(3000000);  // more than one chunk of the final move
  std::iota(big.begin(), big.end(), 0.0f);
  SafetensorsWriter writer(folder / "out.safetensors", {{"source", "a \"quoted\"\n\\ name"}});
  writer.add("big", DType::kF32, {3000, 1000}, bytes_of(big));
  writer.add("quote\"d\x01", DType::kF32, {}, bytes_of({7.0f}));
  writer.add("none", DType::kF32, {0, 4}, {});
  EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
  writer.finish();
  EXPECT_THAT(names_in(folder.path()), ::testing::ElementsAre("out.safetensors"));

  const auto source = open_safetensors_file(folder / "out.safetensors");
  ASSERT_EQ(source->tensors().size(), 3u);
  EXPECT_EQ(floats(*source->find("big")), big);
  EXPECT_EQ(floats(*source->find("quote\"d\x01")), std::vector<float>{7.0f});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(source->find("big")->data) % 64, 0u);
  const std::string text = slurp(folder / "out.safetensors");
  EXPECT_EQ(parse_safetensors(std::as_bytes(std::span(text)), "x").metadata.at("source"), "a \"quoted\"\n\\ name");
}

TEST(SafetensorsWriter, DeclaredTensorsAreWrittenInAnyOrder) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "out.safetensors",
                           std::vector<TensorDeclaration>{{"a", DType::kF32, {2}}, {"b", DType::kF32, {3}}});
  writer.write(1, 4, bytes_of({2, 3}));
  writer.write(0, 0, bytes_of({8, 9}));
  writer.write(1, 0, bytes_of({1}));
  EXPECT_THROW(writer.write(1, 8, bytes_of({1, 2})), Error);
  EXPECT_THROW(writer.write(2, 0, bytes_of({1})), Error);
  EXPECT_THROW(writer.add("c", DType::kF32, {1}, bytes_of({1})), Error);
  writer.finish();
  const auto source = open_safetensors_file(folder / "out.safetensors");
  EXPECT_EQ(floats(*source->find("a")), (std::vector<float>{8, 9}));
  EXPECT_EQ(floats(*source->find("b")), (std::vector<float>{1, 2, 3}));
}

TEST(SafetensorsWriter, NothingIsLeftWithoutFinish) {
  const TemporaryFolder folder;
  folder.write("out.safetensors", "before");
  {
    SafetensorsWriter writer(folder / "out.safetensors");
    writer.add("a", DType::kF32, {1}, bytes_of({1}));
    EXPECT_ERROR(ErrorCode::kInvalidArgument, writer.add("a", DType::kF32, {1}, bytes_of({1})),
                 "out.safetensors: a: written twice");
    EXPECT_ERROR(ErrorCode::kInvalidArgument, writer.add("b", DType::kF32, {2}, bytes_of({1})),
                 "F32 [2] needs 8 bytes, got 4");
  }
  EXPECT_THAT(names_in(folder.path()), ::testing::ElementsAre("out.safetensors"));
  EXPECT_EQ(slurp(folder / "out.safetensors"), "before");
}

TEST(SafetensorsWriter, AMissingFolderIsReportedBeforeTheWork) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kNotFound, SafetensorsWriter(folder / "no/such/out.safetensors"), "no/such: no such folder");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, SafetensorsWriter writer(folder.path()), "found a folder");
  EXPECT_ERROR(ErrorCode::kNotFound, write_file_atomically(folder / "no/config.json", "{}"), "no such folder");
  write_file_atomically(folder / "config.json", "{}");
  EXPECT_EQ(slurp(folder / "config.json"), "{}");
}

TEST(SafetensorsWriter, AFullDiskIsAnError) {
  const TemporaryFolder folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{2, before.rlim_max};  // a disk of two bytes
  ::setrlimit(RLIMIT_FSIZE, &small);
  {
    SafetensorsWriter writer(folder / "out.safetensors");
    EXPECT_ERROR(ErrorCode::kBadFile, writer.add("a", DType::kF32, {1}, bytes_of({1})),
                 "out.safetensors: cannot write");
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_THAT(names_in(folder.path()), ::testing::IsEmpty());
}

}  // namespace
}  // namespace g3n::testing
