// Bundles: what the loader packs is what a bundle gives back, in place; a file that lies about itself is an error.
#include "weights/bundle.h"

#include <cmath>
#include <cstring>

#include "support/errors.h"
#include "formats/safetensors_source.h"
#include "formats/safetensors_writer.h"
#include "kernels/ops.h"
#include "kernels/pack.h"
#include "kernels/table.h"
#include "weights/bundle_loader.h"
#include "weights/loader.h"

namespace g3n::testing {
namespace {

struct BundledModel {
  WeightView up, down, conv, narrow;
  View<const float, 1> norm, bias;
  View<const float, 2> depthwise;
  TableView table;
  void bind(Binder& binder) {
    const Binder::Scope scope(binder, "model.language_model.");
    binder.matrix("layers.0.up.weight", up, {150, 96}, Layout::kRows);
    binder.matrix("layers.0.down.weight", down, {96, 150, 1, 1}, Layout::kNeurons);
    binder.matrix("layers.0.conv.weight", conv, {6, 4, 3, 3});
    binder.matrix("layers.0.narrow.weight", narrow, {9, 20});
    binder.vector("norm.weight", norm, 19);
    binder.optional_vector("layers.0.bias", bias, 3);
    binder.depthwise("layers.0.dw.weight", depthwise, {8, 1, 3, 3});
    binder.table("embed_tokens.weight", table, {70, 64});
  }
};

// The table may have another type than bf16; then it has values that bf16 has not.
std::shared_ptr<const TensorSource> bundled_checkpoint(const TemporaryFolder& folder, DType table = DType::kBF16) {
  SafetensorsWriter writer(folder / "model.safetensors");
  const std::pair<const char*, Shape> tensors[] = {{"layers.0.up.weight", {150, 96}},
                                                   {"layers.0.down.weight", {96, 150}},
                                                   {"layers.0.conv.weight", {6, 4, 3, 3}},
                                                   {"layers.0.narrow.weight", {9, 20}},
                                                   {"norm.weight", {19}},
                                                   {"layers.0.dw.weight", {8, 1, 3, 3}},
                                                   {"embed_tokens.weight", {70, 64}}};
  for (const auto& [name, shape] : tensors) {
    if (table != DType::kBF16 && name == std::string("embed_tokens.weight")) {
      std::vector<std::byte> values(static_cast<size_t>(dtype_bytes(table, element_count(shape))));
      for (int64_t i = 0; i < element_count(shape); ++i) {
        const float value = std::sin(static_cast<float>(i + 1));
        const uint16_t half = f32_to_f16(value);
        const size_t bytes = static_cast<size_t>(dtype_bytes(table));
        std::memcpy(values.data() + static_cast<size_t>(i) * bytes,
                    table == DType::kF32 ? static_cast<const void*>(&value) : &half, bytes);
      }
      writer.add(std::string("model.language_model.") + name, table, shape, values);
      continue;
    }
    std::vector<bf16_t> values(static_cast<size_t>(element_count(shape)));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = f32_to_bf16(static_cast<float>(static_cast<int>(i * 2654435761u % 511) - 255) / 64);
    writer.add(std::string("model.language_model.") + name, DType::kBF16, shape, std::as_bytes(std::span(values)));
  }
  writer.finish();
  return open_safetensors_file(folder / "model.safetensors");
}

// Tensors of a bundle by name: description and bytes, for a test to spoil.
struct Parts {
  Metadata metadata{{"bundle.version", "1"}, {"bundle.recipe", "test"}, {"bundle.checksum", "0"}};
  std::map<std::string, std::vector<std::byte>> tensors;

  void add_file(const std::string& name, const std::string& text) {
    metadata["file/" + name] = std::to_string(text.size());
    std::vector<std::byte>& bytes = tensors["file/" + name];
    bytes.resize(static_cast<size_t>(round_up(static_cast<int64_t>(text.size()), 64)));
    std::memcpy(bytes.data(), text.data(), text.size());
  }
  std::string write(const TemporaryFolder& folder) const {
    SafetensorsWriter writer(folder / "model.g3n", metadata);
    for (const auto& [name, bytes] : tensors) writer.add(name, DType::kU8, {static_cast<int64_t>(bytes.size())}, bytes);
    writer.finish();
    return folder / "model.g3n";
  }
};

Parts packed(ThreadPool& pool, const std::shared_ptr<const TensorSource>& source, const Recipe& recipe) {
  Loader loader(source, {.pool = pool, .recipe = recipe, .mode = LoadMode::kStream});
  BundledModel model;
  model.bind(loader);
  loader.check();
  const std::vector<PackedTensor> plan = loader.plan();
  Parts parts;
  for (const PackedTensor& t : plan) {
    parts.metadata[t.name] = describe(t);
    parts.tensors[t.name].resize(static_cast<size_t>(round_up(t.bytes, 64)));
  }
  loader.pack_each(
      [&](size_t index, int64_t offset, std::span<const std::byte> bytes) {
        EXPECT_LE(offset + static_cast<int64_t>(bytes.size()), plan[index].bytes);
        std::memcpy(parts.tensors[plan[index].name].data() + offset, bytes.data(), bytes.size());
      },
      [](int64_t) {});
  parts.add_file("config.json", "{\"a\": 1}");
  return parts;
}

void expect_same(const WeightView& a, const WeightView& b) {
  ASSERT_EQ(a.dtype, b.dtype);
  ASSERT_EQ(a.layout, b.layout);
  ASSERT_EQ(a.step_bytes, b.step_bytes);
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(packed_bytes(a.dtype, a.layout, a.rows, a.cols))), 0);
}

TEST(Bundle, GivesBackWhatALoaderPacks) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const auto source = bundled_checkpoint(folder);
  for (const char* name : {"keep", "q8", "q4"}) {
    SCOPED_TRACE(name);
    const Recipe recipe = Recipe::named(name);
    const auto bundle = Bundle::open(packed(pool, source, recipe).write(folder));
    EXPECT_EQ(bundle->recipe(), "test");
    EXPECT_EQ(bundle->files().text("config.json"), "{\"a\": 1}");
    Loader loader(source, {.pool = pool, .recipe = recipe});
    BundleLoader mapped(bundle);
    BundledModel a, b;
    a.bind(loader);
    b.bind(mapped);
    EXPECT_EQ(mapped.bytes().packed, 0);
    const WeightStore store_a = loader.finish(), store_b = mapped.finish();
    EXPECT_EQ(store_b.allocated_bytes(), 0);
    expect_same(a.up, b.up);
    expect_same(a.down, b.down);
    expect_same(a.conv, b.conv);
    expect_same(a.narrow, b.narrow);
    EXPECT_EQ(b.narrow.dtype, DType::kBF16);
    EXPECT_FALSE(b.bias);
    for (int64_t i = 0; i < 19; ++i) EXPECT_EQ(a.norm[i], b.norm[i]);
    for (int64_t t = 0; t < 9; ++t)
      for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(a.depthwise[t][c], b.depthwise[t][c]);
    const bool keeps = recipe.name() == "keep";
    EXPECT_EQ(b.table.dtype, keeps ? DType::kBF16 : DType::kQ8_0);
    EXPECT_EQ(a.table.dtype, DType::kBF16) << "in the file as it is";
    EXPECT_EQ(a.table.rounded_to, keeps ? DType::kF32 : DType::kQ8_0);
    // In the file, not beside it.
    const Bundle::Entry* entry = bundle->find("model.language_model.layers.0.up.weight");
    ASSERT_TRUE(entry);
    EXPECT_EQ(b.up.data, entry->bytes->data);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.up.data) % 64, 0u);
  }
}

TEST(Bundle, TablesAreRowsOfQ8Blocks) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto source = bundled_checkpoint(folder);
  const auto bundle = Bundle::open(packed(pool, source, Recipe::named("q8")).write(folder));
  BundleLoader mapped(bundle);
  BundledModel m;
  m.bind(mapped);
  const bf16_t* values =
      reinterpret_cast<const bf16_t*>(source->find("model.language_model.embed_tokens.weight")->data);
  ASSERT_EQ(m.table.rows, 70);
  for (int64_t i = 0; i < 70 * 64; ++i) {
    const std::byte* block = m.table.data + i / 32 * 34;
    uint16_t scale;
    std::memcpy(&scale, block, 2);
    const float value = bf16_to_f32(values[i]),
                got = f16_to_f32(scale) * static_cast<float>(static_cast<int8_t>(block[2 + i % 32]));
    ASSERT_NEAR(got, value, 4.0f / 127 * 0.6f);
  }
}

// Rows that are looked up have the same bits from a folder and from a bundle of the same recipe.
TEST(Bundle, TablesGiveTheRowsOfTheirFolder) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  const std::vector<int32_t> ids = {69, 0, 3};
  const auto rows = [&](const TableView& table) {
    std::vector<float> out(3 * 64);
    gather_rows(ctx, table, ids, 0, 1.5f, {out.data(), {3, 64}});
    return out;
  };
  for (const DType stored : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto source = bundled_checkpoint(folder, stored);
    for (const char* format : {"keep", "f32", "bf16", "q8"}) {
      const Recipe recipe = Recipe::parse(std::string("*@table ") + format, "mine");
      const auto bundle = Bundle::open(packed(pool, source, recipe).write(folder));
      Loader loader(source, {.pool = pool, .recipe = recipe});
      BundleLoader mapped(bundle);
      BundledModel a, b;
      a.bind(loader);
      b.bind(mapped);
      const WeightStore store_a = loader.finish(), store_b = mapped.finish();
      EXPECT_EQ(rows(a.table), rows(b.table)) << dtype_name(stored) << " " << format;
    }
    const Recipe q4 = Recipe::parse("*@table q4", "mine");
    for (const LoadMode mode : {LoadMode::kLoad, LoadMode::kCheck, LoadMode::kStream}) {
      Loader loader(source, {.pool = pool, .recipe = q4, .mode = mode});
      BundledModel m;
      EXPECT_ERROR(ErrorCode::kUnsupported, m.bind(loader), "recipe mine", "embed_tokens.weight@table",
                   "expected q8, bf16, f32 or keep for a table, found q4");
    }
  }
}

TEST(Bundle, IsRecognisedByItsFirstBytes) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto source = bundled_checkpoint(folder);
  EXPECT_TRUE(Bundle::is_bundle(packed(pool, source, Recipe()).write(folder)));
  EXPECT_FALSE(Bundle::is_bundle(folder / "model.safetensors"));
  EXPECT_FALSE(Bundle::is_bundle(folder.write("short", "{\"__")));
  EXPECT_FALSE(Bundle::is_bundle(folder.write("empty", "")));
}

TEST(Bundle, AFileThatLiesIsAnError) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const Parts good = packed(pool, bundled_checkpoint(folder), Recipe::named("q4"));
  const std::string up = "model.language_model.layers.0.up.weight";
  const auto open = [&](auto&& spoil) {
    Parts parts = good;
    spoil(parts);
    return Bundle::open(parts.write(folder));
  };
  ASSERT_EQ(good.metadata.at(up), "matrix q8 rows 150,96") << "a small model";
  EXPECT_ERROR(ErrorCode::kUnsupported, open([](Parts& p) { p.metadata["bundle.version"] = "2"; }),
               "expected a bundle of version 1, found version '2'");
  EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.metadata.erase(up); }), up,
               "nothing says what its bytes are");
  EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.tensors[up].resize(p.tensors[up].size() - 64); }), up,
               "bytes for 'matrix q8 rows 150,96'");
  EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.metadata["file/config.json"] = "65"; }), "file/config.json");
  EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.metadata["file/config.json"] = "-1"; }), "file/config.json");
  for (const char* text :
       {"", "matrix", "matrix q8 rows", "matrix q8 rows 0,96", "matrix q8 rows -150,96", "matrix q8 rows 150,96,",
        "matrix q8 rows 150,,96", "matrix q8 rows 150x96", "matrix q9 rows 150,96", "tensor q8 rows 150,96",
        "matrix q8 sideways 150,96", "matrix q8 rows 150,96 more", "matrix q8 rows 1,1,1,150,96",
        "matrix q8 rows 99999999999999999999,96", "matrix q8 rows 4294967296,96"})
    EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.metadata[up] = text; }), up, "expected a description");
  for (const char* text :
       {"matrix q8 rows 4294967295,4294967295,4294967295", "matrix q4 rows 150,96", "matrix q8 neurons 150,96",
        "matrix q8 rows 151,96", "vector f32 rows 150,96", "table q8 rows 150,96", "matrix q8 rows 4294967295,1"})
    EXPECT_ERROR(ErrorCode::kBadFile, open([&](Parts& p) { p.metadata[up] = text; }), up, "bytes for '");
}

// Descriptions that fit their bytes and not the model.
TEST(Bundle, AnotherShapeKindOrLayoutIsAProblemOfTheTensor) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const Parts good = packed(pool, bundled_checkpoint(folder), Recipe());
  const std::string scope = "model.language_model.", up = scope + "layers.0.up.weight", norm = scope + "norm.weight",
                    table = scope + "embed_tokens.weight@table";
  const auto load = [&](const std::string& name, const std::string& description, int64_t bytes) {
    Parts parts = good;
    parts.tensors[name].resize(static_cast<size_t>(round_up(bytes, 64)));
    parts.metadata[name] = description;
    BundleLoader loader(Bundle::open(parts.write(folder)));
    BundledModel m;
    m.bind(loader);
    loader.finish();
  };
  load(up, "matrix bf16 rows 150,96", 150 * 96 * 2);  // as it was
  EXPECT_ERROR(ErrorCode::kBadFile,
               load(up, "matrix bf16 rows 96,150", packed_bytes(DType::kBF16, Layout::kRows, 96, 150)), up,
               "expected shape [150, 96], found [96, 150]");
  EXPECT_ERROR(ErrorCode::kBadFile,
               load(up, "matrix bf16 panels 150,96", packed_bytes(DType::kBF16, Layout::kPanels, 150, 96)), up,
               "expected another layout");
  EXPECT_ERROR(ErrorCode::kBadFile, load(norm, "matrix f32 rows 19", packed_bytes(DType::kF32, Layout::kRows, 19, 1)),
               norm, "another kind of tensor");
  EXPECT_ERROR(ErrorCode::kBadFile, load(norm, "vector f32 rows 18", 18 * 4), norm, "expected shape [19], found [18]");
  EXPECT_ERROR(ErrorCode::kBadFile, load(table, "table bf16 rows 64,70", 70 * 64 * 2), "embed_tokens.weight",
               "expected shape [70, 64]");
  // What no code reads: other types, blocks that do not fit the width.
  const std::string narrow = scope + "layers.0.narrow.weight";
  EXPECT_ERROR(ErrorCode::kBadFile,
               load(up, "matrix I64 rows 150,96", packed_bytes(DType::kI64, Layout::kRows, 150, 96)), up,
               "expected a description");
  EXPECT_ERROR(ErrorCode::kBadFile, load(table, "table I64 rows 70,64", 70 * 64 * 8), table, "expected a description");
  EXPECT_ERROR(ErrorCode::kBadFile, load(norm, "vector bf16 rows 19", 19 * 4), norm, "expected a description");
  EXPECT_ERROR(ErrorCode::kBadFile, load(narrow, "matrix Q4_K blocks 9,20", 0), narrow, "expected a description");
  EXPECT_ERROR(ErrorCode::kBadFile, load(narrow, "matrix bf16 blocks 9,20", 9 * 20 * 2), narrow,
               "expected a description");
  Parts parts = good;
  parts.tensors.erase(norm);
  parts.metadata.erase(norm);
  BundleLoader loader(Bundle::open(parts.write(folder)));
  BundledModel m;
  m.bind(loader);
  EXPECT_ERROR(ErrorCode::kBadFile, loader.finish(), norm, "missing");
}

TEST(Bundle, CutAndSpoiledFilesAreErrors) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const std::string whole = slurp(packed(pool, bundled_checkpoint(folder), Recipe::named("q8")).write(folder));
  for (size_t length : {size_t{0}, size_t{7}, size_t{8}, size_t{200}, whole.size() / 2, whole.size() - 1}) {
    const std::string path = folder.write("cut.g3n", whole.substr(0, length));
    EXPECT_THROW(Bundle::open(path), Error) << "cut after " << length << " bytes";
  }
  // Every byte of the header turned, one at a time: an error, or a bundle whose binding ends well or with an error.
  uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  int opened = 0;
  for (size_t i = 0; i < 8 + header; ++i) {
    std::string spoiled = whole;
    spoiled[i] = static_cast<char>(spoiled[i] ^ (1 << i % 7));
    try {
      BundleLoader loader(Bundle::open(folder.write("spoiled.g3n", spoiled)));
      ++opened;
      BundledModel m;
      m.bind(loader);
      loader.finish();
    } catch (const Error&) {
    }
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace g3n::testing
