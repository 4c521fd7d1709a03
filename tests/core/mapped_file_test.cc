#include "core/mapped_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/file_kind.h"
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
  EXPECT_EQ(code_of(folder + "/a/under a file"), ErrorCode::kNotFound);
}

// A pipe without a writer would be waited for.
TEST(MappedFile, WhatIsNoRegularFileIsRefusedAtOnce) {
  const std::string pipe = ::testing::TempDir() + "g3n_mapped_pipe";
  std::filesystem::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ::alarm(20);
  for (const std::string& path : {pipe, std::string("/dev/null")}) {
    EXPECT_EQ(code_of(path), ErrorCode::kInvalidArgument);
    EXPECT_THROW(read_text_file(path), Error);
    EXPECT_THROW(file_kind_of(path), Error);
  }
  ::alarm(0);
}

extern "C" void on_bus_error(int, siginfo_t* info, void*) {
  if (replace_lost_page(info->si_addr)) return;
  ::signal(SIGBUS, SIG_DFL);
  ::raise(SIGBUS);
}

class CutFile : public ::testing::Test {
 protected:
  static constexpr size_t kPage = 65536;  // as large as pages get

  CutFile() {
    struct sigaction action {};
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, &before_);
  }
  ~CutFile() override { ::sigaction(SIGBUS, &before_, nullptr); }

  // Eight pages of '7'.
  static std::string made(const std::string& name) {
    const std::string path = ::testing::TempDir() + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << std::string(8 * kPage, '7');
    return path;
  }
  static int at(const MappedFile& file, size_t i) {
    return std::to_integer<int>(*const_cast<const volatile std::byte*>(file.bytes().data() + i));
  }

  struct sigaction before_ {};
};

TEST_F(CutFile, GivesZerosAndIsNamed) {
  const MappedFile whole(made("g3n_whole"));
  {
    const MappedFile file(made("g3n_cut"));
    EXPECT_EQ(at(file, 8 * kPage - 1), '7');
    throw_if_damaged();
    std::filesystem::resize_file(file.path(), 2 * kPage + 100);
    EXPECT_EQ(at(file, 2 * kPage + 99), '7');
    EXPECT_EQ(at(file, 2 * kPage + 100), 0) << "the rest of the last page";
    EXPECT_FALSE(file.damaged());
    EXPECT_EQ(at(file, 5 * kPage), 0);
    EXPECT_TRUE(file.damaged());
    for (const size_t i : {3 * kPage, 4 * kPage + 7, 8 * kPage - 1}) EXPECT_EQ(at(file, i), 0);
    EXPECT_EQ(at(file, 0), '7');
    EXPECT_FALSE(whole.damaged());
    try {
      throw_if_damaged();
      ADD_FAILURE() << "expected an error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadFile);
      EXPECT_NE(std::string(error.what()).find(file.path()), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find(whole.path()), std::string::npos) << error.what();
    }
  }
  throw_if_damaged();  // closed: nobody's trouble any more
  EXPECT_EQ(at(whole, 5 * kPage), '7');
}

TEST_F(CutFile, ManyThreadsTouchIt) {
  const MappedFile file(made("g3n_cut_threads"));
  std::filesystem::resize_file(file.path(), 0);
  std::vector<std::thread> threads;
  std::atomic<int> sum{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (size_t i = 0; i < 8 * kPage; i += 512) sum += at(file, i);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 0);
  EXPECT_TRUE(file.damaged());
}

TEST_F(CutFile, OtherAddressesAreNotOurs) {
  const MappedFile file(made("g3n_cut_other"));
  int here = 0;
  EXPECT_FALSE(replace_lost_page(&here));
  EXPECT_FALSE(replace_lost_page(nullptr));
  EXPECT_FALSE(replace_lost_page(file.bytes().data() + file.bytes().size()));
  EXPECT_FALSE(file.damaged());
}

}  // namespace
}  // namespace g3n
