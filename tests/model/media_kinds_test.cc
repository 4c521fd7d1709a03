#include "model/media_kinds.h"

#include "support/errors.h"

namespace g3n::testing {
namespace {

MediaKinds parse(const std::string& json) { return MediaKinds::from(Config::parse(json, "config.json")); }

TEST(MediaKinds, AbsentKeysAreGemma3ns) {
  const MediaKinds kinds = parse("{}");
  const MediaKindFacts &image = kinds.of(MediaKind::kImage), &audio = kinds.of(MediaKind::kAudio);
  EXPECT_EQ(image.kind, MediaKind::kImage);
  EXPECT_EQ(audio.kind, MediaKind::kAudio);
  EXPECT_STREQ(image.name, "image");
  EXPECT_STREQ(audio.name, "audio");
  EXPECT_EQ(image.soft_id, 262145);
  EXPECT_EQ(audio.soft_id, 262273);
  EXPECT_EQ(image.soft_tokens, 256);
  EXPECT_EQ(audio.soft_tokens, 188);
  EXPECT_EQ(image.token_type, 1);
  EXPECT_EQ(audio.token_type, 3);
  EXPECT_EQ(image.side_offset, 262144);
  EXPECT_EQ(audio.side_offset, 262272);
  EXPECT_EQ(image.side_vocab, 128);
  EXPECT_EQ(audio.side_vocab, 128);
  EXPECT_FALSE(image.has_encoder || audio.has_encoder);
}

TEST(MediaKinds, KeysAreRead) {
  const MediaKinds kinds = parse(R"({"image_token_id": 513, "audio_token_id": 700, "audio_soft_tokens_per_image": 12,
      "text_config": {"vocab_size": 800, "vocab_size_per_layer_input": 512},
      "vision_config": {"vocab_offset": 512, "vocab_size": 100, "model_args": {"msfa_output_resolution": 8}},
      "audio_config": {"vocab_offset": 640, "vocab_size": 64}})");
  EXPECT_EQ(kinds.of(MediaKind::kImage).soft_tokens, 64);
  EXPECT_EQ(kinds.of(MediaKind::kAudio).soft_tokens, 12);
  EXPECT_EQ(kinds.of_soft_id(513), &kinds.of(MediaKind::kImage));
  EXPECT_EQ(kinds.of_soft_id(700), &kinds.of(MediaKind::kAudio));
  EXPECT_EQ(kinds.of_soft_id(512), nullptr);
  EXPECT_EQ(kinds.of_soft_id(-1), nullptr);
}

TEST(MediaKinds, IdsBetweenSideVocabulariesAreOfNoKind) {
  const MediaKinds kinds = parse(R"({"image_token_id": 513, "audio_token_id": 641,
      "text_config": {"vocab_size": 800, "vocab_size_per_layer_input": 512},
      "vision_config": {"vocab_offset": 520, "vocab_size": 100}, "audio_config": {"vocab_offset": 640, "vocab_size": 64}})");
  const MediaKindFacts *image = &kinds.of(MediaKind::kImage), *audio = &kinds.of(MediaKind::kAudio);
  const struct {
    int32_t id;
    const MediaKindFacts* kind;
  } cases[] = {{-1, nullptr},  {0, nullptr},   {511, nullptr}, {519, nullptr}, {520, image},   {619, image},
               {620, nullptr}, {639, nullptr}, {640, audio},   {703, audio},   {704, nullptr}, {INT32_MAX, nullptr}};
  for (const auto& one : cases) EXPECT_EQ(kinds.of_side_id(one.id), one.kind) << one.id;
}

TEST(MediaKinds, OverlapsAndNumbersOutOfRangeAreRefused) {
  const std::string text = R"("text_config": {"vocab_size": 800, "vocab_size_per_layer_input": 512}, )";
  const auto refuse = [&](const std::string& rest, const std::string& where, const std::string& key) {
    EXPECT_ERROR(ErrorCode::kBadFile, parse("{" + text + rest + "}"), where, key);
  };
  refuse(R"("vision_config": {"vocab_offset": 511})", "vision_config", "vocab_offset");
  refuse(R"("audio_config": {"vocab_offset": 0})", "audio_config", "vocab_offset");
  refuse(R"("vision_config": {"vocab_offset": 512, "vocab_size": 129}, "audio_config": {"vocab_offset": 640})",
         "audio_config", "vocab_offset");
  refuse(R"("vision_config": {"vocab_offset": 640}, "audio_config": {"vocab_offset": 640})", "audio_config",
         "vocab_offset");
  refuse(R"("vision_config": {"vocab_offset": 640}, "audio_config": {"vocab_offset": 600, "vocab_size": 41})",
         "audio_config", "vocab_offset");
  refuse(R"("vision_config": {"vocab_size": 0})", "vision_config", "vocab_size");
  refuse(R"("vision_config": {"vocab_offset": 2147483647, "vocab_size": 2})", "vision_config", "vocab_size");
  refuse(R"("audio_config": {"vocab_offset": -1})", "audio_config", "vocab_offset");
  refuse(R"("image_token_id": -1)", "config.json", "image_token_id");
  refuse(R"("image_token_id": 4294967297)", "config.json", "image_token_id");
  refuse(R"("image_token_id": 700, "audio_token_id": 700)", "config.json", "audio_token_id");
  refuse(R"("vision_soft_tokens_per_image": 0)", "config.json", "vision_soft_tokens_per_image");
  refuse(R"("audio_soft_tokens_per_image": 100000)", "config.json", "audio_soft_tokens_per_image");
  refuse(R"("vision_config": {"model_args": {"msfa_output_resolution": 257}})", "model_args", "msfa_output_resolution");
}

// A config of text alone whose vocabulary is larger than Gemma 3n's: its ids are text.
TEST(MediaKinds, ConfigsOfTextAloneLoseNoIds) {
  const MediaKinds kinds = parse(R"({"text_config": {"vocab_size": 300000, "vocab_size_per_layer_input": 300000}})");
  for (const int32_t id : {262143, 262144, 262272, 299999}) EXPECT_EQ(kinds.of_side_id(id), nullptr);
}

}  // namespace
}  // namespace g3n::testing
