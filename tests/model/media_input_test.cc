// Media to what an encoder is fed: sizes, values, identity, refusals.
#include "model/media_input.h"

#include "checkpoint/processor_config.h"
#include "json/config.h"

#include <cmath>
#include <fstream>

#include "audio/mel.h"
#include "support/errors.h"
#include "media/audio.h"
#include "media/content_hash.h"
#include "media/image.h"
#include "support/inputs.h"
#include "support/source_path.h"
#include "vision/preprocess.h"

namespace g3n::testing {
namespace {

constexpr int64_t kHidden = 8;

MediaBytes file(const std::string& name) {
  const std::string bytes = slurp(source_path("tests/data/media/") + name);
  return {{bytes.begin(), bytes.end()}, name};
}

MediaKinds kinds(bool has_encoders = true) {
  MediaKinds out = MediaKinds::from(
      Config::parse(R"({"vision_soft_tokens_per_image": 4, "audio_soft_tokens_per_image": 3})", "config.json"));
  out.of(MediaKind::kImage).has_encoder = out.of(MediaKind::kAudio).has_encoder = has_encoders;
  return out;
}

MediaInput read(const MediaPart& part, int engine_image_size = 0) {
  return read_medium({}, kinds(), kHidden, part, engine_image_size);
}

ImagePart picture_of(int width, int height, int size = 0, int64_t seed = 1) {
  return {Pixels{width, height, golden_picture(width, height, seed)}, size};
}

SoftTokens soft_tokens(int64_t rows, float value = 0.5f) {
  return {rows, std::vector<float>(static_cast<size_t>(rows * kHidden), value)};
}

TEST(MediaInput, PicturesAreResizedToThePartsOrTheEnginesOrTheProcessorsSize) {
  const struct {
    int part, engine;
    int64_t want;
  } cases[] = {{0, 0, 768}, {0, 32, 32}, {48, 32, 48}, {48, 0, 48}, {33, 0, 33}};
  for (const auto& one : cases) {
    const MediaInput input = read(picture_of(40, 30, one.part), one.engine);
    EXPECT_EQ(input.kind, MediaKind::kImage);
    const EncoderInput view = input.view();
    EXPECT_FALSE(view.frames);
    expect_shape(view.pixels, {one.want, one.want, 3});
    const Pixels resized =
        resize_image({40, 30, golden_picture(40, 30, 1)}, static_cast<int>(one.want), static_cast<int>(one.want));
    for (size_t i = 0; i < resized.rgb.size(); ++i)
      ASSERT_EQ(view.pixels.data[i], static_cast<float>(resized.rgb[i]) * (1.0f / 255.0f)) << i;
  }
  ProcessorConfig wide;
  wide.image_width = 20, wide.image_height = 10;
  expect_shape(read_medium(wide, kinds(), kHidden, picture_of(5, 5), 0).view().pixels, {10, 20, 3});
}

TEST(MediaInput, ImageSizesOutOfRangeAreRefused) {
  for (const int size : {-1, 1, 7, 31, 4097, INT32_MIN, INT32_MAX}) {
    const std::string got =
        "image size: expected 0 (the checkpoint's) or 32 to 4096 pixels a side, best a multiple of "
        "256, got " +
        std::to_string(size);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, read(picture_of(4, 4, size)), got);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, read(picture_of(4, 4), size), got);
  }
}

TEST(MediaInput, PicturesThatAreNoneAreRefused) {
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{Pixels{4, 4, std::vector<uint8_t>(47)}}), "pixels");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{Pixels{0, 0, {}}}), "pixels");
  EXPECT_ERROR(ErrorCode::kBadFile, read(ImagePart{MediaBytes{{}, "empty.png"}}), "empty.png");
}

TEST(MediaInput, ClipsBecomeLogMel) {
  const MediaBytes bytes = file("u8.wav");
  const Samples samples = decode_audio(bytes.bytes, bytes.name);
  const LogMel want = log_mel({}, samples.pcm);
  const MediaInput from_file = read(AudioPart{bytes}), from_samples = read(AudioPart{samples});
  for (const MediaInput* input : {&from_file, &from_samples}) {
    EXPECT_EQ(input->kind, MediaKind::kAudio);
    const EncoderInput view = input->view();
    EXPECT_FALSE(view.pixels);
    expect_shape(view.frames, {want.frames, want.mels});
    EXPECT_EQ(input->values, want.values);
    EXPECT_EQ(std::vector<uint8_t>(view.valid.begin(), view.valid.end()), want.valid);
  }
  EXPECT_NE(from_file.content, from_samples.content);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{Samples{std::vector<float>(512)}}), "too short");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{Samples{std::vector<float>(480001)}}), "too long");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{Samples{std::vector<float>(9000, NAN)}}), "NaN");
}

TEST(MediaInput, PixelValuesArePassedOnAsTheyAre) {
  const MediaInput made = read(picture_of(40, 30, 32));
  PixelValues values{32, 32, to_chw(made.view().pixels)};
  EXPECT_EQ(values.chw[0 * 1024 + 5], made.values[5 * 3 + 0]);
  EXPECT_EQ(values.chw[2 * 1024 + 7], made.values[7 * 3 + 2]);
  const MediaInput taken = read(ImagePart{values, 99}, 48);  // no size is asked of them
  EXPECT_EQ(taken.values, made.values);
  expect_shape(taken.view().pixels, {32, 32, 3});
  EXPECT_EQ(taken.content, read(ImagePart{values}).content);
  EXPECT_NE(taken.content, made.content);
  PixelValues other = values;
  other.chw[1300] = NAN;
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{other}), "pixel values", "NaN in channel 1");
  other.chw.pop_back();
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{other}), "[3, 32, 32]", "3071 values");
  other.width = 0;
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{other}), "1 to 4096", "32 x 0");
}

TEST(MediaInput, ClipsOfABatchArePaddedToTheLongest) {
  const std::vector<AudioPart> clips{AudioPart{Samples{std::vector<float>(4000, 0.25f)}},
                                     AudioPart{Samples{std::vector<float>(20000, 0.5f)}}};
  const std::vector<MediaInput> made = read_clips({}, kinds(), clips);
  ASSERT_EQ(made.size(), 2u);
  const MelConfig config;
  for (size_t i = 0; i < 2; ++i) {
    const LogMel want = log_mel(config, std::get<Samples>(clips[i].source).pcm, 20000);
    EXPECT_EQ(made[i].values, want.values);
    EXPECT_EQ(made[i].valid, want.valid);
    EXPECT_EQ(made[i].height, made[1].height);
  }
  EXPECT_EQ(made[1].values, read(clips[1]).values);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read_clips({}, kinds(), std::vector<AudioPart>{{soft_tokens(3)}}),
               "expected a file or samples");

  LogMelFrames frames{made[0].height, made[0].width, made[0].values, made[0].valid};
  const MediaInput taken = read(AudioPart{frames});
  EXPECT_EQ(taken.values, made[0].values);
  EXPECT_EQ(taken.valid, made[0].valid);
  EXPECT_NE(taken.content, read(clips[0]).content);
  LogMelFrames short_mask = frames, wide = frames, infinite = frames;
  short_mask.valid.pop_back();
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{short_mask}), "a mask of " + std::to_string(frames.frames));
  wide.mels = 64;
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{wide}), ", 128]", ", 64]");
  infinite.values[130] = INFINITY;
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{infinite}), "infinity in frame 1");
}

TEST(MediaInput, SoftTokensAreCheckedAndPassedOn) {
  for (const bool has_encoders : {true, false}) {
    const MediaInput image = read_medium({}, kinds(has_encoders), kHidden, ImagePart{soft_tokens(4)}, 0);
    ASSERT_NE(image.ready, nullptr);
    EXPECT_EQ(image.ready->rows, 4);
    EXPECT_EQ(image.ready->values, soft_tokens(4).values);
    EXPECT_FALSE(image.view().pixels || image.view().frames);
    const MediaInput clip = read_medium({}, kinds(has_encoders), kHidden, AudioPart{soft_tokens(3)}, 0);
    EXPECT_EQ(clip.kind, MediaKind::kAudio);
    ASSERT_NE(clip.ready, nullptr);
  }
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{soft_tokens(3)}), "image soft tokens", "[4, 8]", "3 rows");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(AudioPart{soft_tokens(4)}), "audio soft tokens", "[3, 8]");
  SoftTokens uneven = soft_tokens(4);
  uneven.values.pop_back();
  EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{uneven}), "31 values");
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    SoftTokens tokens = soft_tokens(4);
    tokens.values[17] = bad;
    EXPECT_ERROR(ErrorCode::kInvalidArgument, read(ImagePart{tokens}), "finite", "row 2, column 1");
  }
}

TEST(MediaInput, WithoutEncoderOnlySoftTokensAreTaken) {
  EXPECT_ERROR(ErrorCode::kUnsupported, read_medium({}, kinds(false), kHidden, picture_of(4, 4), 0), "image",
               "encoder");
  EXPECT_ERROR(ErrorCode::kUnsupported, read_medium({}, kinds(false), kHidden, AudioPart{file("u8.wav")}, 0), "audio",
               "encoder");
}

TEST(MediaInput, EqualMediaHaveEqualHashes) {
  MediaBytes renamed = file("rgb.bmp");
  renamed.name = "another name";
  EXPECT_EQ(read(ImagePart{file("rgb.bmp")}).content, read(ImagePart{renamed}).content);
  EXPECT_EQ(read(ImagePart{file("rgb.bmp")}, 32).content, read(ImagePart{file("rgb.bmp"), 32}).content);
  EXPECT_EQ(read(picture_of(8, 8)).content, read(picture_of(8, 8)).content);
  EXPECT_EQ(read(AudioPart{file("u8.wav")}).content, read(AudioPart{file("u8.wav")}).content);
  EXPECT_EQ(read(ImagePart{soft_tokens(4)}).content, read(ImagePart{soft_tokens(4)}).content);
}

TEST(MediaInput, OtherMediaOrSizesHaveOtherHashes) {
  const MediaBytes image = file("rgb.bmp"), sound = file("u8.wav");
  const Samples silence{std::vector<float>(1000, 0.0f)}, noise{std::vector<float>(1000, 0.125f)};
  // Twice the same bytes as pixels of another shape.
  ImagePart flat = picture_of(16, 4), tall = flat;
  std::get<Pixels>(tall.source).width = 4, std::get<Pixels>(tall.source).height = 16;
  const std::vector<ContentHash> hashes = {
      read(ImagePart{image}).content,          read(ImagePart{image, 32}).content,
      read(ImagePart{image, 33}).content,      read(ImagePart{file("palette.bmp")}).content,
      read(picture_of(16, 4)).content,         read(picture_of(16, 4, 32)).content,
      read(picture_of(16, 4, 0, 2)).content,   read(tall).content,
      read(AudioPart{sound}).content,          read(AudioPart{file("mulaw.wav")}).content,
      read(AudioPart{silence}).content,        read(AudioPart{noise}).content,
      read(ImagePart{soft_tokens(4)}).content, read(ImagePart{soft_tokens(4, 1.0f)}).content,
      read(AudioPart{soft_tokens(3)}).content};
  for (size_t i = 0; i < hashes.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(hashes[i], hashes[j]) << i << " and " << j;
  // The same soft tokens as an image and as a clip.
  MediaKinds same = kinds();
  same.of(MediaKind::kAudio).soft_tokens = 4;
  EXPECT_NE(read_medium({}, same, kHidden, ImagePart{soft_tokens(4)}, 0).content,
            read_medium({}, same, kHidden, AudioPart{soft_tokens(4)}, 0).content);
}

// FIPS 180-4's example, in one piece and in several.
TEST(ContentHasher, IsSha256) {
  const std::string text = "abc";
  const std::array<uint8_t, 32> want = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
  ContentHasher whole, parts;
  whole.add(std::as_bytes(std::span(text)));
  for (const char& c : text) parts.add(std::as_bytes(std::span(&c, 1)));
  parts.add(std::span<const std::byte>());
  EXPECT_EQ(whole.finish(), want);
  EXPECT_EQ(parts.finish(), want);
}

}  // namespace
}  // namespace g3n::testing
