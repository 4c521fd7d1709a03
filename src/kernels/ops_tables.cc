// Embedding rows of ops.h: from memory or with pread, of any type.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

#include "g3n/error.h"
#include "kernels/ops_internal.h"
#include "kernels/quant/gguf_blocks.h"
#include "kernels/quant/q8.h"

namespace g3n {
namespace {

constexpr int64_t kTablePiece = 8192;  // values read and decoded at once: a whole row of most tables
constexpr int64_t kReadCost = 4096;    // of one row of a file, in values: a system call

// Values that are decoded together.
int64_t row_block(const TableView& table) {
  return table.rounded_to == DType::kQ8_0 ? kBlockCols : dtype_facts(table.dtype).block_values;
}

// The columns of one call, widened to whole blocks.
struct Columns {
  int64_t first, count;            // as asked for
  int64_t first_block, end_block;  // in values
};

Columns whole_blocks(int64_t block, int64_t first, int64_t count) {
  return {first, count, first / block * block, round_up(first + count, block)};
}

// The first byte that could not be read, or stands in a block that means nothing, by any thread; the lowest and its
// reason, so that messages do not depend on who came first.
class ReadFailure {
 public:
  static constexpr int64_t kNone = INT64_MAX;
  static constexpr int kBadBlock = -1;

  void note(int64_t at, int why) {
    const std::lock_guard lock(mutex_);
    if (at < offset_) offset_ = at, reason_ = why;
  }
  // Once all threads are done.
  int64_t offset() const { return offset_; }
  int reason() const { return reason_; }  // 0: the file ended; kBadBlock; else errno

 private:
  std::mutex mutex_;
  int64_t offset_ = kNone;
  int reason_ = 0;
};

bool read_fully(int fd, std::byte* out, int64_t bytes, int64_t offset, ReadFailure& failure) {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, out, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failure.note(offset, got < 0 ? errno : 0), false;
    out += got, offset += got, bytes -= got;
  }
  return true;
}

// [row][column], column at the start of a block, in the file or behind `data`.
int64_t place(const TableView& table, int64_t row, int64_t column) {
  return dtype_bytes(table.dtype, table.cols) * row + dtype_bytes(table.dtype, column);
}

// values: whole blocks of a table; out = those from `skip` on.
void convert(const Context& ctx, const TableView& table, const std::byte* values, int64_t skip, int64_t count,
             float scale, float* out) {
  const bool exact = table.rounded_to == DType::kF32;
  if (exact && table.dtype == DType::kF32)
    return ctx.kernels.scale(reinterpret_cast<const float*>(values) + skip, scale, out, count);
  if (exact && table.dtype == DType::kBF16)
    return ctx.kernels.from_bf16(reinterpret_cast<const bf16_t*>(values) + skip, scale, out, count);
  alignas(kAlignment) float decoded[kTablePiece];
  const int64_t n = round_up(skip + count, row_block(table));
  quant::decode_row(table.dtype, values, n, decoded);
  if (table.rounded_to == DType::kBF16)
    for (int64_t i = 0; i < n; ++i) decoded[i] = bf16_to_f32(f32_to_bf16(decoded[i]));
  if (table.rounded_to == DType::kQ8_0)
    for (int64_t i = 0; i < n; i += 32) quant::round_to_q8(*reinterpret_cast<float(*)[32]>(decoded + i));
  ctx.kernels.scale(decoded + skip, scale, out, count);
}

void gather_row(const Context& ctx, const TableView& table, int64_t row, const Columns& columns, float scale,
                float* out, ReadFailure& failure) {
  alignas(kAlignment) std::byte buffer[kTablePiece * 4];  // no type takes more than 4 bytes a value
  const bool file = table.fd >= 0;
  for (int64_t begin = columns.first_block; begin < columns.end_block; begin += kTablePiece) {
    const int64_t end = std::min(begin + kTablePiece, columns.end_block), at = place(table, row, begin);
    const std::byte* values = buffer;
    if (!file)
      values = table.data + at;
    else if (!read_fully(table.fd, buffer, dtype_bytes(table.dtype, end - begin), table.file_offset + at, failure))
      return;
    const int64_t first = std::max(begin, columns.first), last = std::min(end, columns.first + columns.count);
    if (const int64_t bad = quant::first_bad_block(table.dtype, values, end - begin); bad >= 0)
      return failure.note((file ? table.file_offset : 0) + at + bad * dtype_facts(table.dtype).block_bytes,
                          ReadFailure::kBadBlock);
    convert(ctx, table, values, first - begin, last - first, scale, out + (first - columns.first));
  }
}

}  // namespace

void gather_rows(Context& ctx, const TableView& table, std::span<const int32_t> ids, int64_t first_col, float scale,
                 View<float, 2> out) {
  expect(table.data != nullptr || table.fd >= 0, "gather_rows: the table is null");
  expect_shape(out, {static_cast<int64_t>(ids.size()), out.dim[1]}, "gather_rows out");
  expect(first_col >= 0 && first_col + out.dim[1] <= table.cols, "gather_rows: columns outside the table");
  expect(table.cols % row_block(table) == 0, "gather_rows: rows are not whole blocks");
  expect(table.rounded_to == DType::kF32 ||
             (!is_block_type(table.dtype) && (table.rounded_to == DType::kBF16 || table.rounded_to == DType::kQ8_0)),
         "gather_rows: only plain types are rounded, to bf16 or q8");
  for (int32_t id : ids) expect(id >= 0 && id < table.rows, "gather_rows: id outside the table");
  quant::row_decoder(table.dtype);  // throws for types without one, here and not in a thread
  const Columns columns = whole_blocks(row_block(table), first_col, out.dim[1]);
  const bool file = table.fd >= 0;
  if (file && ids.size() > 1)  // all reads are under way before the first is waited for
    for (int32_t id : ids)
      ::posix_fadvise(table.fd, table.file_offset + place(table, id, columns.first_block),
                      dtype_bytes(table.dtype, columns.end_block - columns.first_block), POSIX_FADV_WILLNEED);
  ReadFailure failure;
  for_rows(ctx, out.dim[0], columns.count + (file ? kReadCost : 0), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) gather_row(ctx, table, ids[r], columns, scale, out.row(r), failure);
  });
  if (failure.offset() == ReadFailure::kNone) return;
  const std::string place = " at byte " + std::to_string(failure.offset()) + " of " +
                            (file ? table.file ? table.file : "its file" : "the table");
  if (failure.reason() == ReadFailure::kBadBlock)
    throw Error(ErrorCode::kBadFile, std::string("gather_rows: expected a finite scale in the block of ") +
                                         dtype_name(table.dtype) + place + ", found another");
  throw Error(ErrorCode::kBadFile, "gather_rows: expected a row of a table" + place + ": " +
                                       (failure.reason() ? std::strerror(failure.reason()) : "the file ends there"));
}

}  // namespace g3n
