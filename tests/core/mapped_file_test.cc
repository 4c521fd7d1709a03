#include "core/mapped_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "g3n/error.h"

namespace g3n {
namespace {

ErrorCode code_of(const std::string& path) {
  try {
    MappedFile file(path);
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
    return e.code();
  }
  return ErrorCode::kInternal;
}

TEST(MappedFile, BytesAndErrors) {
  const std::string folder = ::testing::TempDir() + "g3n_mapped_file";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/a") << "hello";
  std::ofstream(folder + "/empty");
  const MappedFile file(folder + "/a");
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(file.bytes()[4], std::byte{'o'});
  file.will_need(0, 5);
  file.drop(0, 1 << 20);
  EXPECT_EQ(file.bytes()[0], std::byte{'h'});
  EXPECT_EQ(code_of(folder + "/none"), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(folder), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(folder + "/empty"), ErrorCode::kBadFile);
}

}  // namespace
}  // namespace g3n
