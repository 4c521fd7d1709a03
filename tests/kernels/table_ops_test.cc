// gather_rows from a file against the same rows in memory: every type, any columns, threads, files that end too early.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "g3n/error.h"
#include "kernels/ops_cases.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n::test {
namespace {

struct TemporaryFile {
  int fd;
  explicit TemporaryFile(const std::vector<std::byte>& bytes) {
    char name[] = "/tmp/g3n-table-XXXXXX";
    fd = ::mkstemp(name);
    ::unlink(name);
    EXPECT_EQ(::pwrite(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  ~TemporaryFile() { ::close(fd); }
};

constexpr int64_t kRows = 40, kCols = 512, kOffset = 96;

// Any bytes are a row but for infinities in scales; a table of some type behind kOffset bytes of something else.
std::vector<std::byte> table_file(DType type) {
  std::vector<std::byte> bytes(static_cast<size_t>(kOffset + dtype_bytes(type, kRows * kCols)));
  uint32_t state = 7;
  for (std::byte& b : bytes) state = state * 1664525u + 1013904223u, b = static_cast<std::byte>(state >> 24 & 0x3b);
  return bytes;
}

TEST(TableOps, FilesGiveWhatMemoryGives) {
  std::vector<int32_t> ids = {39, 0, 7, 7, 21};
  for (int32_t i = 0; i < 60; ++i) ids.push_back(i * 11 % 40);
  const int64_t rows = static_cast<int64_t>(ids.size());
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K,
                     DType::kIQ3_S}) {
    const std::vector<std::byte> bytes = table_file(type);
    const TemporaryFile file(bytes);
    std::vector<float> decoded(kRows * kCols);
    quant::decode_row(type, bytes.data() + kOffset, kRows * kCols, decoded.data());
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 512}, {256, 256}, {255, 2}, {3, 500}, {511, 1}}) {
      const auto gather = [&](const TableView& table) {
        return same_on_all_threads(static_cast<size_t>(rows * count), [&](Context& ctx, std::vector<float>& out) {
          gather_rows(ctx, table, ids, first, 2.5f, matrix(out, rows, count));
        });
      };
      std::vector<float> want;
      for (int32_t id : ids)
        for (int64_t c = first; c < first + count; ++c)
          want.push_back(decoded[static_cast<size_t>(id * kCols + c)] * 2.5f);
      EXPECT_THAT(gather({.dtype = type, .rows = kRows, .cols = kCols, .data = bytes.data() + kOffset}), SameBits(want))
          << dtype_name(type);
      EXPECT_THAT(gather({.dtype = type, .rows = kRows, .cols = kCols, .fd = file.fd, .file_offset = kOffset}),
                  SameBits(want))
          << dtype_name(type);
    }
  }
}

TEST(TableOps, RowsLongerThanAPiece) {
  const int64_t cols = 20 * 1024;
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(DType::kQ8_0, 2 * cols)), std::byte{0x21});
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 59);
  const TemporaryFile file(bytes);
  std::vector<float> want(2 * static_cast<size_t>(cols)), got(want.size(), NAN);
  quant::decode_row(DType::kQ8_0, bytes.data(), 2 * cols, want.data());
  TestContext context(2);
  const int32_t ids[] = {0, 1};
  gather_rows(context, {.dtype = DType::kQ8_0, .rows = 2, .cols = cols, .fd = file.fd}, ids, 0, 1.0f,
              matrix(got, 2, cols));
  EXPECT_THAT(got, SameBits(want));
}

TEST(TableOps, AFileThatEndsTooEarlyIsNamedByItsByte) {
  std::vector<std::byte> bytes = table_file(DType::kQ8_0);
  bytes.resize(bytes.size() - 1);
  const TemporaryFile file(bytes);
  const TableView table{
      .dtype = DType::kQ8_0, .rows = kRows, .cols = kCols, .fd = file.fd, .file_offset = kOffset, .file = "model.gguf"};
  for (int threads : {1, 3}) {
    TestContext context(threads);
    std::vector<int32_t> ids(30, 39);
    std::vector<float> out(30 * kCols);
    try {
      gather_rows(context, table, ids, 0, 1.0f, matrix(out, 30, kCols));
      ADD_FAILURE() << "expected an error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadFile);
      EXPECT_NE(std::string(error.what())
                    .find("at byte " + std::to_string(bytes.size()) + " of model.gguf: the file ends there"),
                std::string::npos)
          << error.what();
    }
    gather_rows(context, table, ids, 0, 1.0f, View<float, 2>{out.data(), {30, 480}});  // the last block is not read
  }
  TestContext context(1);
  std::vector<float> out(kCols);
  const int32_t id[] = {0};
  TableView closed = table;
  closed.fd = 1 << 20;
  EXPECT_THROW(gather_rows(context, closed, id, 0, 1.0f, matrix(out, 1, kCols)), Error);
  EXPECT_THROW(gather_rows(context, {.dtype = DType::kI8, .rows = 1, .cols = kCols, .data = bytes.data()}, id, 0, 1.0f,
                           matrix(out, 1, kCols)),
               Error);
}

TEST(TableOps, AScaleThatIsNotFiniteIsNamedByItsByte) {
  std::vector<std::byte> bytes = table_file(DType::kQ8_0);
  bytes[kOffset + 34 * (16 * 3 + 5) + 1] = std::byte{0x7c};  // row 3, block 5
  const TemporaryFile file(bytes);
  for (int threads : {1, 3}) {
    TestContext context(threads);
    std::vector<int32_t> ids(30, 3);
    std::vector<float> out(30 * kCols);
    try {
      gather_rows(context, {.dtype = DType::kQ8_0, .rows = kRows, .cols = kCols, .fd = file.fd, .file_offset = kOffset},
                  ids, 0, 1.0f, matrix(out, 30, kCols));
      ADD_FAILURE() << "expected an error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadFile);
      EXPECT_NE(std::string(error.what())
                    .find("finite scale in the block of Q8_0 at byte " + std::to_string(kOffset + 34 * (16 * 3 + 5))),
                std::string::npos)
          << error.what();
    }
    gather_rows(context, {.dtype = DType::kQ8_0, .rows = kRows, .cols = kCols, .data = bytes.data() + kOffset}, ids, 0,
                1.0f, View<float, 2>{out.data(), {30, 160}});
  }
}

// Of several failures the lowest is told with its own reason, whatever the order of rows and threads.
TEST(TableOps, TheLowestFailureIsTold) {
  std::vector<std::byte> bytes = table_file(DType::kQ8_0);
  for (const int row : {3, 17}) bytes[static_cast<size_t>(kOffset + 34 * 16 * row + 1)] = std::byte{0x7c};
  bytes.resize(bytes.size() - 1);
  const TemporaryFile file(bytes);
  const TableView table{.dtype = DType::kQ8_0, .rows = kRows, .cols = kCols, .fd = file.fd, .file_offset = kOffset};
  for (int threads : {1, 3})
    for (const auto& order : {std::vector<int32_t>{39, 17, 3}, {3, 39, 17}, {17, 3, 39}}) {
      std::vector<int32_t> ids;
      for (int i = 0; i < 20; ++i) ids.insert(ids.end(), order.begin(), order.end());
      TestContext context(threads);
      std::vector<float> out(ids.size() * kCols);
      try {
        gather_rows(context, table, ids, 0, 1.0f, matrix(out, static_cast<int64_t>(ids.size()), kCols));
        ADD_FAILURE() << "expected an error";
      } catch (const Error& error) {
        EXPECT_EQ(error.what(), "gather_rows: expected a finite scale in the block of Q8_0 at byte " +
                                    std::to_string(kOffset + 34 * 16 * 3) + " of its file, found another");
      }
    }
}

// Values as another type keeps them: the bits of a table packed to that type.
TEST(TableOps, RoundedToIsWhatPackingGives) {
  ThreadPool pool(1);
  std::vector<int32_t> ids = {39, 0, 7};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
    for (const DType to : {DType::kBF16, DType::kQ8_0}) {
      const std::vector<std::byte> bytes = table_file(type);
      std::vector<std::byte> packed(static_cast<size_t>(dtype_bytes(to, kRows * kCols)));
      pack_table(pool, {type, bytes.data() + kOffset}, kRows, kCols, to, packed.data());
      TestContext context(1);
      std::vector<float> want(3 * 100), got(3 * 100);
      gather_rows(context, {.dtype = to, .rows = kRows, .cols = kCols, .data = packed.data()}, ids, 50, 1.7f,
                  matrix(want, 3, 100));
      gather_rows(context,
                  {.dtype = type, .rows = kRows, .cols = kCols, .data = bytes.data() + kOffset, .rounded_to = to}, ids,
                  50, 1.7f, matrix(got, 3, 100));
      EXPECT_THAT(got, SameBits(want)) << dtype_name(type) << " to " << dtype_name(to);
    }
  TestContext context(1);
  std::vector<float> out(kCols);
  const std::vector<std::byte> bytes = table_file(DType::kQ4_K);
  EXPECT_THROW(gather_rows(context,
                           {.dtype = DType::kQ4_K,
                            .rows = kRows,
                            .cols = kCols,
                            .data = bytes.data() + kOffset,
                            .rounded_to = DType::kQ8_0},
                           std::vector<int32_t>{0}, 0, 1.0f, matrix(out, 1, kCols)),
               Error);
}

}  // namespace
}  // namespace g3n::test
