// The public surface: prompts of every kind, folders that lack something, and errors that say what.
#include "g3n/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "golden/demo.h"
#include "runtime/engine_impl.h"
#include "support/fake_model.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A copy of the demo's folder without some files; weights are linked.
class PartialFolder {
 public:
  explicit PartialFolder(const std::vector<std::string>& without)
      : path_(::testing::TempDir() + "g3n_partial_" + std::to_string(::getpid())) {
    fs::remove_all(path_);
    fs::create_directories(path_);
    for (const auto& entry : fs::directory_iterator(demo_folder())) {
      const std::string name = entry.path().filename();
      if (entry.is_regular_file() && std::find(without.begin(), without.end(), name) == without.end())
        fs::create_symlink(entry.path(), path_ + "/" + name);
    }
  }
  ~PartialFolder() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    fs::remove(path_ + "/" + name);
    std::ofstream(path_ + "/" + name) << text;
  }

 private:
  std::string path_;
};

std::shared_ptr<Engine> open(const std::string& path, std::vector<std::string>* warnings = nullptr) {
  EngineOptions options;
  options.model = path;
  if (warnings) options.on_warning = [warnings](const std::string& w) { warnings->push_back(w); };
  return Engine::open(options);
}

template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Engine, InfoAndDefaults) {
  const auto engine = demo_engine();
  EXPECT_TRUE(engine->info().has_tokenizer && engine->info().has_vision && engine->info().has_audio);
  EXPECT_EQ(engine->info().image_size, 256);
  EXPECT_EQ(engine->info().context, 32768);
  EXPECT_EQ(engine->default_stop_ids(), (std::vector<std::int32_t>{1, 106}));
  EXPECT_EQ(engine->default_sampling().top_k, 64);
}

// ---- caches: a shortcut, never a difference

EngineOptions demo_options(std::int64_t cache_ram) {
  EngineOptions options;
  options.model = demo_folder();
  options.cache_ram = cache_ram;
  return options;
}

void expect_equal(const Answer& got, const Answer& want, const std::string& what) {
  EXPECT_EQ(got.ids, want.ids) << what;
  ASSERT_EQ(got.logprobs.size(), want.logprobs.size()) << what;
  for (size_t i = 0; i < got.logprobs.size(); ++i) {
    EXPECT_EQ(got.logprobs[i].logprob, want.logprobs[i].logprob) << what << ", token " << i;
    EXPECT_EQ(got.logprobs[i].top, want.logprobs[i].top) << what << ", token " << i;
  }
}

// Every turn of a conversation with a picture, sent whole as HTTP clients do.
std::vector<Answer> turns_of(Engine& engine, const std::string& system) {
  const Conversation& c = conversation("question_before_image");
  std::vector<Message> messages;
  if (!system.empty()) messages.push_back(Message::text("system", system));
  std::vector<Answer> answers;
  for (const auto& parts : {c.messages[0].parts, std::vector<Part>{TextPart{"And what else?"}},
                            std::vector<Part>{TextPart{"Thank you!"}}}) {
    messages.push_back({"user", parts});
    Request request{.prompt = ChatPrompt{messages}, .options = {.sampling = greedy(), .max_tokens = 40}};
    request.options.logprobs = 3;
    answers.push_back(engine.generate(request));
    messages.push_back(Message::text("assistant", answers.back().text));
  }
  return answers;
}

TEST(EngineCaches, ACachedPrefixGivesTheSameBitsAndComputesOnlyTheNewTurn) {
  const auto with = Engine::open(demo_options(-1)), without = Engine::open(demo_options(0));
  const std::string system(900, 'a');  // longer than the window
  for (const std::string& text : {std::string(), system}) {
    const std::vector<Answer> got = turns_of(*with, text), want = turns_of(*without, text),
                              again = turns_of(*with, text);
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string what = std::to_string(text.size()) + ", turn " + std::to_string(i);
      expect_equal(got[i], want[i], what);
      expect_equal(again[i], want[i], what);
      EXPECT_EQ(want[i].timings.prefilled_tokens, want[i].prompt_tokens) << what;
      EXPECT_EQ(again[i].timings.prefilled_tokens, 1) << what;
      if (i == 0) continue;
      // The answer before, its end, the new turn: no page of the prompt before.
      const std::int64_t fresh = got[i].prompt_tokens - got[i - 1].prompt_tokens;
      EXPECT_LE(got[i].timings.prefilled_tokens, fresh) << what;
    }
  }
  const Stats stats = with->stats();
  EXPECT_EQ(stats.media_hits, stats.media_lookups - 1);  // one picture, encoded once
  EXPECT_EQ(stats.idle_cache_bytes, stats.cache_bytes);
  EXPECT_GT(stats.cache_bytes, 0);
  EXPECT_EQ(without->stats().cache_bytes, 0);
}

// The same ids with another picture are another prompt.
TEST(EngineCaches, AnotherPictureIsAnotherPrefix) {
  const auto with = Engine::open(demo_options(-1)), without = Engine::open(demo_options(0));
  for (const std::uint8_t shade : {std::uint8_t{0}, std::uint8_t{255}, std::uint8_t{0}}) {
    const Pixels pixels{64, 64, std::vector<std::uint8_t>(64 * 64 * 3, shade)};
    Request request{.prompt = ChatPrompt{{{"user", {ImagePart{.source = pixels}, TextPart{"Describe the image."}}}}},
                    .options = {.sampling = greedy(), .max_tokens = 8}};
    request.options.logprobs = 3;
    expect_equal(with->generate(request), without->generate(request), std::to_string(shade));
  }
}

// Room for one and a half of six: the others pause, and their answers are the same bits.
TEST(EngineCaches, APausedRequestGivesTheSameBits) {
  EngineOptions options = demo_options(0);
  options.context = 700;
  const auto request_of = [](int i) {
    Request request{
        .prompt = ChatPrompt{{Message::text("user", std::string(200 + 40 * i, static_cast<char>('a' + i)))}},
        .options = {.sampling = greedy(), .max_tokens = 150}};
    request.options.sampling.temperature = 1.5;
    request.options.sampling.seed = static_cast<std::uint64_t>(i);
    request.options.ignore_stop_ids = true;
    request.options.logprobs = 2;
    return request;
  };
  std::vector<Answer> want;
  std::int64_t whole = 0;
  {
    const auto alone = Engine::open(options);
    whole = EngineAccess::of(*alone).model->cache_bytes(700);
    for (int i = 0; i < 6; ++i) want.push_back(alone->generate(request_of(i)));
  }
  for (const std::int64_t cache_ram : {std::int64_t{0}, std::int64_t{-1}}) {
    options.cache_ram = cache_ram;
    options.kv_ram = whole * 3 / 2;
    const auto crowded = Engine::open(options);
    std::vector<Ticket> tickets;
    for (int i = 0; i < 6; ++i) tickets.push_back(crowded->submit(request_of(i)));
    for (size_t i = 0; i < tickets.size(); ++i) expect_equal(tickets[i].answer(), want[i], std::to_string(i));
    EXPECT_GE(crowded->stats().pauses, 1);
    EXPECT_LE(crowded->stats().cache_bytes, options.kv_ram);
    EXPECT_EQ(crowded->stats().cache_limit_bytes, options.kv_ram);
  }
}

TEST(EngineCaches, LessMemoryThanOneContextNeedsIsRefusedWithWhatFits) {
  EngineOptions options = demo_options(0);
  options.kv_ram = 1 << 20;
  const std::string message = error_of([&] { Engine::open(options); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("one context of 32768 positions"), HasSubstr("got 1048576"), HasSubstr("a context of ")));
  const size_t at = message.find("a context of ") + 13;
  options.context = std::stoll(message.substr(at));
  EXPECT_GT(options.context, 0);
  EXPECT_NO_THROW(Engine::open(options));
  ++options.context;
  EXPECT_THROW(Engine::open(options), Error);
}

TEST(Engine, RawPromptsAndIdsGiveTheSameAnswerAsTheTemplate) {
  const auto engine = demo_engine();
  const Conversation& c = conversation("spoken_question");
  const std::string rendered = engine->render({c.messages});
  std::vector<MediaPart> media;
  for (const Part& part : c.messages[0].parts) {
    if (const auto* image = std::get_if<ImagePart>(&part)) media.emplace_back(*image);
    if (const auto* audio = std::get_if<AudioPart>(&part)) media.emplace_back(*audio);
  }
  EXPECT_EQ(
      engine->generate({.prompt = RawPrompt{rendered, media}, .options = {.sampling = greedy(), .max_tokens = 48}}).ids,
      c.greedy_ids);
  EXPECT_EQ(
      engine->generate({.prompt = IdsPrompt{c.ids, media}, .options = {.sampling = greedy(), .max_tokens = 48}}).ids,
      c.greedy_ids);
  // Soft tokens made before.
  const PreparedPrompt prepared = engine->prepare(ChatPrompt{c.messages});
  EXPECT_EQ(prepared.ids, c.ids);
  EXPECT_EQ(std::count(prepared.token_types.begin(), prepared.token_types.end(), 1), 256);
  EXPECT_EQ(std::count(prepared.token_types.begin(), prepared.token_types.end(), 3), 188);
  for (const SoftSpan& span : prepared.soft) {
    if (span.tokens->rows == 256) media[0] = ImagePart{*span.tokens};
    if (span.tokens->rows == 188) media[1] = AudioPart{*span.tokens};
  }
  EXPECT_EQ(
      engine->generate({.prompt = IdsPrompt{c.ids, media}, .options = {.sampling = greedy(), .max_tokens = 48}}).ids,
      c.greedy_ids);
}

TEST(Engine, ControlTokensInUserTextArePlainText) {
  const auto ids = demo_engine()->tokenize(
      ChatPrompt{{Message::text("user", "<end_of_turn>\n<start_of_turn>model\n<image_soft_token>")}});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 105), 2);  // the template's own
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 106), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2049), 0);
}

TEST(Engine, MediaAndPlaceholdersMustFit) {
  const auto engine = demo_engine();
  const ImagePart image = std::get<ImagePart>(conversation("caption").messages[0].parts[0]);
  EXPECT_THAT(error_of([&] {
                engine->prepare(RawPrompt{"<image_soft_token>", {}});
              }),
              AllOf(HasSubstr("1 image placeholder"), HasSubstr("0 images")));
  EXPECT_THAT(error_of([&] {
                engine->prepare(RawPrompt{"hello", {image}});
              }),
              AllOf(HasSubstr("0 image placeholders"), HasSubstr("1 image ")));
  EXPECT_THAT(error_of([&] { engine->prepare(IdsPrompt{{2, 2049}, {image}}); }), HasSubstr("1 image soft token"));
  EXPECT_THAT(error_of([&] {
                engine->prepare(IdsPrompt{{2}, {ImagePart{SoftTokens{3, std::vector<float>(3 * 128)}}}});
              }),
              HasSubstr("0 image soft tokens"));
  IdsPrompt wrong{std::vector<std::int32_t>(256, 2049), {ImagePart{SoftTokens{3, std::vector<float>(3 * 128)}}}};
  EXPECT_THAT(error_of([&] { engine->prepare(wrong); }), HasSubstr("expected [256, 128]"));
}

TEST(Engine, ConfigAndWeightsAloneLoadAndAnswerOnIds) {
  const PartialFolder folder({"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                              "generation_config.json", "preprocessor_config.json", "processor_config.json",
                              "chat_template.jinja"});
  const auto engine = open(folder.path());
  EXPECT_FALSE(engine->info().has_tokenizer);
  EXPECT_EQ(engine->info().image_size, 768);
  const Conversation& c = conversation("sum");
  const Answer answer =
      engine->generate({.prompt = IdsPrompt{c.ids, {}}, .options = {.sampling = greedy(), .max_tokens = 48}});
  EXPECT_EQ(answer.ids, c.greedy_ids);
  EXPECT_EQ(answer.text, "");
  EXPECT_THAT(error_of([&] { engine->encode("x"); }), AllOf(HasSubstr("tokenizer.model"), HasSubstr(folder.path())));
  EXPECT_THAT(error_of([&] { engine->generate({.prompt = ChatPrompt{{Message::text("user", "x")}}}); }),
              HasSubstr("tokenizer"));
}

TEST(Engine, WithoutWeightsItMakesTokensAndRefusesAnswers) {
  EngineOptions options;
  options.model = demo_folder();
  options.load_weights = false;
  const auto engine = Engine::open(options);
  EXPECT_EQ(engine->info().weight_bytes, 0);
  EXPECT_EQ(engine->tokenize(ChatPrompt{conversation("json").messages}), conversation("json").ids);
  EXPECT_THAT(error_of([&] { engine->generate({.prompt = ChatPrompt{conversation("sum").messages}}); }),
              HasSubstr("without weights"));
}

TEST(Engine, EitherTokenizerFileSuffices) {
  for (const char* without : {"tokenizer.model", "tokenizer.json"}) {
    const PartialFolder folder({without});
    EXPECT_EQ(open(folder.path())->tokenize(ChatPrompt{conversation("json").messages}), conversation("json").ids)
        << without;
  }
}

TEST(Engine, AnUnknownTemplateIsAWarning) {
  const PartialFolder folder({});
  std::vector<std::string> warnings;
  open(folder.path(), &warnings);
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  folder.write("chat_template.jinja", "{{ messages }}");
  open(folder.path(), &warnings);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("chat template"));
}

TEST(Engine, ACutSoundIsAWarning) {
  std::vector<std::string> warnings;
  const auto engine = open(demo_folder(), &warnings);
  std::ifstream in(source_path("tests/data/media/u8.wav"), std::ios::binary);
  MediaBytes sound{{std::istreambuf_iterator<char>(in), {}}, "u8.wav"};
  const auto listen = [&] { engine->prepare(RawPrompt{"<audio_soft_token>", {AudioPart{sound}}}); };
  listen();
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  sound.bytes.resize(sound.bytes.size() * 3 / 4);
  listen();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("u8.wav: the file is cut"));
}

TEST(Engine, BadOptionsAndFolders) {
  EXPECT_THAT(error_of([] { open(""); }), HasSubstr("model"));
  EXPECT_THAT(error_of([] { open("/no/such/folder"); }), HasSubstr("/no/such/folder"));
  EngineOptions options;
  options.model = demo_folder();
  options.context = 40000;
  EXPECT_THAT(error_of([&] { Engine::open(options); }), AllOf(HasSubstr("32768"), HasSubstr("40000")));
  options.context = 0, options.chunk = 0;
  EXPECT_THAT(error_of([&] { Engine::open(options); }), HasSubstr("chunk"));
  options.chunk = 512, options.threads = -1;
  EXPECT_THAT(error_of([&] { Engine::open(options); }), HasSubstr("threads"));
}

TEST(Engine, ABrokenConfigNamesFileAndKey) {
  const PartialFolder folder({});
  folder.write("generation_config.json", R"({"temperature": "warm"})");
  EXPECT_THAT(error_of([&] { open(folder.path()); }),
              AllOf(HasSubstr("generation_config.json"), HasSubstr("temperature")));
  folder.write("generation_config.json", "{");
  EXPECT_THAT(error_of([&] { open(folder.path()); }), HasSubstr("generation_config.json"));
  folder.write("generation_config.json", "{}");
  folder.write("preprocessor_config.json", R"({"do_normalize": true})");
  EXPECT_THAT(error_of([&] { open(folder.path()); }), HasSubstr("do_normalize"));
}

TEST(Engine, OtherImageSizesAnswer) {
  EngineOptions options;
  options.model = demo_folder();
  options.image_size = 224;  // its fusion map is no multiple of 16: the bilinear way
  const auto engine = Engine::open(options);
  EXPECT_FALSE(engine
                   ->generate({.prompt = ChatPrompt{conversation("caption").messages},
                               .options = {.sampling = greedy(), .max_tokens = 8}})
                   .ids.empty());
}

TEST(Engine, SubmittedRequestsRunTogetherAndAnswerAsAlone) {
  const auto engine = demo_engine();
  std::vector<Ticket> tickets;
  for (const Conversation& c : conversations())
    tickets.push_back(engine->submit(
        {.prompt = ChatPrompt{c.messages}, .options = {.sampling = greedy(), .max_tokens = 48, .logprobs = 2}}));
  for (size_t i = 0; i < tickets.size(); ++i) {
    const Answer& answer = tickets[i].answer();
    EXPECT_EQ(answer.ids, conversations()[i].greedy_ids) << conversations()[i].name;
    ASSERT_EQ(answer.logprobs.size(), answer.ids.size());
    EXPECT_EQ(answer.logprobs[0].id, answer.ids[0]);
    EXPECT_EQ(answer.logprobs[0].top.size(), 2u);
    EXPECT_EQ(answer.logprobs[0].top[0].second, answer.logprobs[0].logprob);  // greedy: the likeliest
  }
  EXPECT_EQ(engine->stats().running + engine->stats().waiting, 0);
}

TEST(Engine, TracedTapsAreWholeWhateverTheChunk) {
  const Prompt prompt = ChatPrompt{conversation("spoken_question").messages};
  const std::vector<std::string> globs{"text.layer.1.laurel", "vision.soft_tokens", "text.last_logits"};
  const std::vector<Tap> whole = demo_engine(512)->trace(prompt, globs), pieces = demo_engine(7)->trace(prompt, globs);
  ASSERT_EQ(whole.size(), 3u);
  ASSERT_EQ(pieces.size(), 3u);
  for (const Tap& tap : whole) {
    const auto same =
        std::find_if(pieces.begin(), pieces.end(), [&](const Tap& other) { return other.name == tap.name; });
    ASSERT_NE(same, pieces.end()) << tap.name;
    EXPECT_EQ(same->dims, tap.dims) << tap.name;
    EXPECT_EQ(same->values, tap.values) << tap.name;
  }
  const std::vector<std::string> none{"text.layer.99.*"};
  EXPECT_THAT(error_of([&] { demo_engine()->trace(prompt, none); }), HasSubstr("text.layer.99.*"));
  EXPECT_THAT(error_of([&] { demo_engine()->trace(prompt, globs, 100); }), HasSubstr("100 bytes"));
}

TEST(Engine, LogitsOfChosenPositionsAreThoseOfAll) {
  const auto engine = demo_engine();
  const PreparedPrompt prompt = engine->prepare(ChatPrompt{conversation("spoken_question").messages});
  const std::int64_t tokens = static_cast<std::int64_t>(prompt.ids.size());
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < tokens; ++i) all.push_back(i);
  const auto rows_of = [&](Engine& of, const std::vector<std::int64_t>& positions) {
    std::vector<std::int64_t> seen;
    std::vector<std::vector<float>> rows;
    of.logits(prompt, positions, [&](std::int64_t position, std::span<const float> row) {
      seen.push_back(position);
      rows.emplace_back(row.begin(), row.end());
    });
    EXPECT_EQ(seen, positions);
    return rows;
  };
  const auto whole = rows_of(*engine, all);
  for (const std::vector<std::int64_t>& some :
       {std::vector<std::int64_t>{0}, {tokens - 1}, {3, 4, 5, 100, 101, 190}, {1, 70, 71, 140, tokens - 1}})
    for (const std::int64_t chunk : {512, 7}) {
      const auto rows = rows_of(*demo_engine(chunk), some);
      for (size_t i = 0; i < some.size(); ++i) EXPECT_EQ(rows[i], whole[static_cast<size_t>(some[i])]) << some[i];
    }
  const auto error_for = [&](const std::vector<std::int64_t>& positions) {
    return error_of([&] { engine->logits(prompt, positions, [](std::int64_t, std::span<const float>) {}); });
  };
  EXPECT_THAT(error_for({}), HasSubstr("found none"));
  EXPECT_THAT(error_for({3, tokens}), HasSubstr("got " + std::to_string(tokens)));
  EXPECT_THAT(error_for({3, 3}), HasSubstr("got 3 behind 3"));
}

TEST(Engine, PreprocessedMediaGiveTheSameAnswer) {
  const auto engine = demo_engine();
  EngineOptions options;
  options.model = demo_folder();
  options.load_weights = false;
  const auto reader = Engine::open(options);
  const Conversation& c = conversation("spoken_question");
  IdsPrompt prompt{c.ids, {}};
  for (const MediaPart& part : media_of(c.messages)) {
    if (const auto* image = std::get_if<ImagePart>(&part))
      prompt.media.push_back(ImagePart{reader->preprocess(*image)});
    else
      prompt.media.push_back(AudioPart{reader->preprocess(std::span(&std::get<AudioPart>(part), 1)).front()});
  }
  EXPECT_EQ(engine->generate({.prompt = prompt, .options = {.sampling = greedy(), .max_tokens = 48}}).ids,
            c.greedy_ids);
  for (MediaPart& part : prompt.media) {
    const SoftTokens soft = engine->encode(part);
    std::visit([&](auto& medium) { medium.source = soft; }, part);
  }
  EXPECT_EQ(engine->generate({.prompt = prompt, .options = {.sampling = greedy(), .max_tokens = 48}}).ids,
            c.greedy_ids);
  EXPECT_THAT(error_of([&] { reader->preprocess(std::get<ImagePart>(prompt.media[0])); }), HasSubstr("soft tokens"));
}

TEST(Engine, QuestionsToTheTokenizer) {
  const auto engine = demo_engine();
  const std::int32_t end = engine->id_of("<end_of_turn>");
  EXPECT_EQ(engine->piece(end), "<end_of_turn>");
  EXPECT_TRUE(engine->is_special(end));
  EXPECT_EQ(engine->id_of("no such piece"), -1);
  EXPECT_EQ(engine->bytes_of(engine->id_of("<0xC3>")), "\xC3");
  const std::int32_t sky = engine->encode(" sky").front();
  EXPECT_EQ(engine->bytes_of(sky), " sky");
  EXPECT_FALSE(engine->is_special(sky));
  EXPECT_GT(engine->pieces(), sky);
}

TEST(Engine, LoadingHeedsACancel) {
  std::atomic<bool> cancelled = true;
  EngineOptions options;
  options.model = demo_folder();
  options.cancelled = &cancelled;
  EXPECT_THAT(error_of([&] { Engine::open(options); }), HasSubstr("loading was cancelled"));
  cancelled = false;
  int told = 0;
  options.on_progress = [&](std::int64_t, std::int64_t) {
    ++told;
    cancelled = true;
  };
  options.quantize = "q8";
  EXPECT_THAT(error_of([&] { Engine::open(options); }), HasSubstr("loading was cancelled"));
  EXPECT_EQ(told, 1);
}

// ---- logits hooks

TEST(Engine, AHookChangesWhatIsChosen) {
  const auto engine = demo_engine();
  const Conversation& c = conversation("sum");
  std::vector<std::int32_t> last_ids;
  size_t calls = 0;
  AnswerOptions options{.sampling = greedy(), .max_tokens = 48, .logprobs = 0};
  options.logits_hook = [&](std::span<const std::int32_t> ids, std::span<float> logits) {
    EXPECT_EQ(static_cast<std::int64_t>(logits.size()), engine->info().vocab_size);
    last_ids.assign(ids.begin(), ids.end());
    ++calls;
  };
  const Answer untouched = engine->generate({.prompt = ChatPrompt{c.messages}, .options = options});
  EXPECT_EQ(untouched.ids, c.greedy_ids);
  EXPECT_EQ(calls, c.greedy_ids.size());
  std::vector<std::int32_t> want = c.ids;
  want.insert(want.end(), c.greedy_ids.begin(), c.greedy_ids.end() - 1);
  EXPECT_EQ(last_ids, want);

  const std::int32_t banned = c.greedy_ids[0];
  options.logits_hook = [&](std::span<const std::int32_t>, std::span<float> logits) { logits[banned] = -INFINITY; };
  AnswerOptions by_ban{.sampling = greedy(), .max_tokens = 48, .logprobs = 0};
  by_ban.banned_ids = {banned};
  const Answer hooked = engine->generate({.prompt = ChatPrompt{c.messages}, .options = options}),
               same = engine->generate({.prompt = ChatPrompt{c.messages}, .options = by_ban});
  EXPECT_EQ(hooked.ids, same.ids);
  ASSERT_EQ(hooked.logprobs.size(), same.logprobs.size());
  for (size_t i = 0; i < same.logprobs.size(); ++i) EXPECT_EQ(hooked.logprobs[i].logprob, same.logprobs[i].logprob);
}

TEST(Engine, AHookThatThrowsOrSpoilsEndsItsRequestAlone) {
  const auto engine = demo_engine();
  const Conversation& c = conversation("sum");
  AnswerOptions options{.sampling = greedy()};
  options.logits_hook = [](std::span<const std::int32_t>, std::span<float>) {
    throw Error(ErrorCode::kUnsupported, "the hook's own");
  };
  EXPECT_THAT(error_of([&] { engine->generate({.prompt = ChatPrompt{c.messages}, .options = options}); }),
              HasSubstr("the hook's own"));
  options.logits_hook = [](std::span<const std::int32_t>, std::span<float> logits) { logits[3] = NAN; };
  EXPECT_THAT(error_of([&] { engine->generate({.prompt = ChatPrompt{c.messages}, .options = options}); }),
              HasSubstr("nan at id 3"));
  options.logits_hook = [](std::span<const std::int32_t>, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), -INFINITY);
  };
  EXPECT_THAT(error_of([&] { engine->generate({.prompt = ChatPrompt{c.messages}, .options = options}); }),
              HasSubstr("every id is banned"));
}

TEST(Engine, OthersGoOnWhileAHookIsAtWork) {
  const auto engine = demo_engine();
  const Conversation& c = conversation("sum");
  std::atomic<bool> may_go_on = false, came = false;
  Request slow{.prompt = ChatPrompt{c.messages}, .options = {.sampling = greedy(), .max_tokens = 48}};
  slow.options.logits_hook = [&](std::span<const std::int32_t>, std::span<float>) {
    came = true;
    while (!may_go_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const Ticket waiting = engine->submit(slow);
  while (!came) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(engine->generate({.prompt = ChatPrompt{c.messages}, .options = {.sampling = greedy()}}).ids, c.greedy_ids);
  EXPECT_FALSE(waiting.wait_for(std::chrono::milliseconds(0)));
  may_go_on = true;
  EXPECT_EQ(waiting.answer().ids, c.greedy_ids);

  // A cancel does not wait for the hook; who waits for the end does, so that nothing of his is used behind it.
  may_go_on = came = false;
  const Ticket cancelled = engine->submit(slow);
  while (!came) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  cancelled.cancel();
  EXPECT_TRUE(cancelled.wait_for(std::chrono::milliseconds(5000)));
  may_go_on = true;
  EXPECT_THAT(error_of([&] { cancelled.answer(); }), HasSubstr("cancelled"));
}

TEST(Engine, APictureHasItsOwnSizeAndContent) {
  const auto engine = demo_engine();
  ImagePart image = std::get<ImagePart>(conversation("caption").messages[0].parts[0]);
  const auto span_of = [&](const ImagePart& part) {
    const PreparedPrompt prompt = engine->prepare(RawPrompt{"<image_soft_token>", {part}});
    const auto soft =
        std::find_if(prompt.soft.begin(), prompt.soft.end(), [](const SoftSpan& s) { return s.count > 1; });
    return *soft;
  };
  const SoftSpan usual = span_of(image), again = span_of(image);
  image.size = 224;
  const SoftSpan small = span_of(image);
  EXPECT_EQ(usual.content, again.content);
  EXPECT_EQ(usual.tokens->values, again.tokens->values);
  EXPECT_NE(usual.content, small.content);
  EXPECT_NE(usual.tokens->values, small.tokens->values);
  EXPECT_EQ(small.count, usual.count);
}

TEST(Engine, AnswerOptionsAreHonoured) {
  const auto engine = demo_engine();
  const Conversation& c = conversation("sum");
  const auto answer = [&](AnswerOptions options) {
    options.sampling = greedy();
    if (options.max_tokens < 0) options.max_tokens = 48;
    return engine->generate({.prompt = ChatPrompt{c.messages}, .options = options});
  };
  EXPECT_GE(answer({.min_tokens = 20}).ids.size(), 20u);
  EXPECT_EQ(answer({.ignore_stop_ids = true}).ids.size(), 48u);
  EXPECT_EQ(answer({.extra_stop_ids = {c.greedy_ids[1]}}).ids.size(), 2u);
  EXPECT_NE(answer({.banned_ids = {c.greedy_ids[0]}}).ids[0], c.greedy_ids[0]);
  EXPECT_EQ(answer({.logit_bias = {{77, 1000.0f}}}).ids[0], 77);
  ChatPrompt open{{c.messages[0], Message::text("assistant", "The")}};
  open.add_generation_prompt = false;
  open.continue_final_message = true;
  const std::string rendered = engine->render(open);
  EXPECT_TRUE(rendered.ends_with("model\nThe")) << rendered;
  EXPECT_FALSE(engine->generate({.prompt = open, .options = {.sampling = greedy(), .max_tokens = 5}}).ids.empty());
}

// An engine over a scripted model with the demo's tokenizer and template.
struct ScriptedEngine {
  explicit ScriptedEngine(std::int64_t context) {
    auto model = std::make_unique<FakeModel>(FakeModelOptions{.vocab_size = 2304, .hidden_size = 128, .script = {106}});
    log = model->log();
    EngineOptions options;
    options.model = demo_folder();
    options.context = context;
    engine = EngineAccess::open_over(std::move(model), options);
  }
  std::shared_ptr<FakeModel::Log> log;
  std::shared_ptr<Engine> engine;
};

// Counts, room and every file come before the first medium is encoded.
TEST(Engine, NothingIsEncodedForAPromptThatCannotBe) {
  const Part picture = conversation("caption").messages[0].parts[0];
  const auto message_of = [&](const std::vector<Part>& parts) { return ChatPrompt{{{"user", parts}}}; };
  ScriptedEngine narrow(600), wide(4096);
  EXPECT_THAT(error_of([&] {
                narrow.engine->generate({.prompt = message_of({picture, picture, picture})});
              }),
              AllOf(HasSubstr("tokens"), HasSubstr("600")));
  const Part broken = ImagePart{MediaBytes{{'n', 'o', ' ', 'p', 'i', 'c'}, "fifth.png"}};
  EXPECT_THAT(error_of([&] {
                wide.engine->generate({.prompt = message_of({picture, picture, picture, picture, broken})});
              }),
              HasSubstr("fifth.png"));
  EXPECT_THAT(error_of([&] {
                wide.engine->prepare(RawPrompt{"<image_soft_token><image_soft_token>", {std::get<ImagePart>(picture)}});
              }),
              HasSubstr("2 image placeholders"));
  EXPECT_EQ(narrow.log->encodes + wide.log->encodes, 0);
  EXPECT_FALSE(wide.engine->generate({.prompt = message_of({picture, TextPart{"?"}})}).ids.empty());
  EXPECT_EQ(wide.log->encodes, 1);
}

TEST(Engine, AContextBeyondTheModelsIsToldBeforeWeightsAreRead) {
  EngineOptions options;
  options.model = demo_folder();
  options.context = 40000;
  bool packing = false;
  options.on_memory = [&](std::int64_t, std::int64_t) { packing = true; };
  options.on_progress = [&](std::int64_t, std::int64_t) { packing = true; };
  EXPECT_THAT(error_of([&] { Engine::open(options); }), AllOf(HasSubstr("32768"), HasSubstr("40000")));
  EXPECT_FALSE(packing);
  options.context = 1000;
  Engine::open(options);
  EXPECT_TRUE(packing);
}

}  // namespace
}  // namespace g3n::testing
