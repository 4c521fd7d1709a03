// Every id of the goldens on the full vocabulary, which is not in the repository: `make test-tokenizer` fetches it
// (tools/fetch_tokenizer.sh). The folder is G3N_TOKENIZER_FOLDER, or build/tokenizer-gemma3n; without it these tests
// are skipped and say so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "support/source_path.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/support.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"
#include "core/utf8.h"

namespace g3n {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

std::string full_folder() {
  const char* folder = std::getenv("G3N_TOKENIZER_FOLDER");
  return folder != nullptr && *folder != '\0' ? folder : source_path("build/tokenizer-gemma3n");
}

class FullVocabulary : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    const std::string folder = full_folder();
    if (!std::filesystem::exists(folder + "/tokenizer.model"))
      GTEST_SKIP()
          << "not run: the ids of 193 languages, 606 adversarial texts and 70 conversations on Gemma's vocabulary; "
          << folder << " is not there, `make test-tokenizer` makes it";
    const test::TemporaryFolder part;
    for (const std::string& file : GetParam()) part.link(folder, file);
    tokenizer_ = Tokenizer::load(part.path());
  }

  Ids parsed(std::string_view text) const {
    return tokenizer_->encode(text, {.control = ControlTokens::kParse, .invalid_utf8 = InvalidUtf8::kRepair});
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

void expect_ids(const Ids& got, const json& want) {
  EXPECT_EQ(got.size(), want["count"].get<std::size_t>());
  EXPECT_EQ(test::crc32_of(got), want["crc32"].get<std::string>());
  if (want.contains("ids")) {
    EXPECT_EQ(got, want["ids"].get<Ids>());
  }
}

// Soft tokens as [id, count] in the goldens of chats.
Ids unfolded(const json& runs) {
  Ids ids;
  for (const json& item : runs) {
    if (item.is_array())
      ids.insert(ids.end(), item[1].get<std::size_t>(), item[0].get<std::int32_t>());
    else
      ids.push_back(item.get<std::int32_t>());
  }
  return ids;
}

TEST_P(FullVocabulary, EncodesAndDecodesAsHuggingFace) {
  const std::string folder = test::kGoldens + "/tokenizer/";
  std::map<std::string, std::string> texts;
  std::vector<std::string> corpus;
  for (const json& row : test::read_rows(folder + "corpus.jsonl")) {
    corpus.push_back(row["text"].get<std::string>());
    texts[row["id"].get<std::string>()] = corpus.back();
  }
  for (const json& row : test::read_rows(folder + "adversarial.jsonl"))
    texts[row["id"].get<std::string>()] = test::text_of_row(row, corpus);
  std::size_t encoded = 0, decoded = 0;
  for (const json& want : test::read_rows(folder + "expected.jsonl")) {
    const auto id = want["id"].get<std::string>();
    SCOPED_TRACE(id);
    Ids ids;
    std::string text;
    if (id.starts_with("decode/")) {
      ids = want["ids"].get<Ids>();
      text = want["decoded"].get<std::string>();
      ++decoded;
    } else {
      text = utf8_repaired(texts.at(id));
      ids = parsed(texts.at(id));
      expect_ids(ids, want);
      if (id.starts_with("invalid/")) {
        EXPECT_THROW(tokenizer_->encode(texts.at(id)), Error);
      }
      ++encoded;
    }
    const std::string all = want.value("also_right", want.value("decoded", text));
    EXPECT_EQ(tokenizer_->decode(ids), all);
    EXPECT_EQ(tokenizer_->decode(ids, /*skip_special=*/true), want.value("decoded_without_special", all));
  }
  EXPECT_EQ(encoded, texts.size());
  EXPECT_GE(encoded, 799u);
  EXPECT_GE(decoded, 20u);
}

TEST_P(FullVocabulary, EncodesConversationsAsTransformers) {
  const MediaTokens counts{.image = 256, .audio = 188};
  int with_ids = 0, sanitized = 0;
  for (const json& row : test::read_rows(test::kGoldens + "/tokenizer/chats.jsonl")) {
    const auto id = row["id"].get<std::string>();
    SCOPED_TRACE(id);
    if (!row.contains("ids") || row.contains("also_right")) continue;
    const std::vector<Segment> prompt =
        render(test::messages_of(row["messages"]),
               prompt_end(row["add_generation_prompt"].get<bool>(), row.value("continue_final_message", false)));
    const Ids trusting = tokenizer_->encode(expand_media(tokenizer_->split(text_of(prompt)), counts)),
              ours = tokenizer_->encode(expand_media(prompt, counts));
    EXPECT_EQ(trusting, unfolded(row["ids"]));
    EXPECT_EQ(test::crc32_of(trusting), row["crc32"].get<std::string>());
    Ids want = unfolded(row.contains("sanitized_ids") ? row["sanitized_ids"] : row["ids"]);
    if (id == "chat/control_parts_in_text") {  // HF lets the token through that was cut over two parts; ours is text
      const auto through = std::find(want.begin(), want.end(), 106);
      const Ids text = {236820, 643, 236779, 1340, 236779, 887, 236813};
      want.insert(want.erase(through), text.begin(), text.end());
    }
    EXPECT_EQ(ours, want);
    ++with_ids;
    sanitized += row.contains("sanitized_ids");
  }
  EXPECT_GE(with_ids, 55);
  EXPECT_GE(sanitized, 4);
}

TEST_P(FullVocabulary, SpecialTokensAreGemma3nS) {
  const SpecialTokens& special = tokenizer_->special();
  EXPECT_THAT((Ids{special.pad, special.bos, special.unk, special.start_of_turn, special.end_of_turn}),
              ::testing::ElementsAre(0, 2, 3, 105, 106));
  EXPECT_THAT((Ids{special.image_begin, special.image_end, special.image_soft}),
              ::testing::ElementsAre(255999, 262144, 262145));
  EXPECT_THAT((Ids{special.audio_begin, special.audio_end, special.audio_soft}),
              ::testing::ElementsAre(256000, 262272, 262273));
  EXPECT_EQ(tokenizer_->vocab_size(), 262400);
  EXPECT_FALSE(tokenizer_->is_special(4));
  EXPECT_TRUE(tokenizer_->is_special(105));
}

INSTANTIATE_TEST_SUITE_P(From, FullVocabulary,
                         ::testing::Values(std::vector<std::string>{"tokenizer.model"},
                                           std::vector<std::string>{"tokenizer.json", "tokenizer_config.json"},
                                           std::vector<std::string>{"tokenizer.model", "tokenizer.json",
                                                                    "tokenizer_config.json"}),
                         [](const auto& files) {
                           return std::string(files.index == 0 ? "Model" : files.index == 1 ? "Json" : "All");
                         });

TEST(FullVocabularyTemplate, ThePublishedChatTemplateIsKnown) {
  const std::string folder = full_folder();
  if (!std::filesystem::exists(folder + "/tokenizer_config.json"))
    GTEST_SKIP() << "not run: " << folder << " is not there, `make test-tokenizer` makes it";
  const std::optional<std::string> found = find_chat_template(folder);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(is_known_chat_template(*found));
}

}  // namespace
}  // namespace g3n
