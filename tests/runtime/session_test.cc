// Sessions over the demo checkpoint: the cache is a shortcut, never a difference.
#include "g3n/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "golden/demo.h"

namespace g3n::testing {
namespace {

std::vector<Part> text(const std::string& words) { return {TextPart{words}}; }

TEST(Session, UndoneTurnsLeaveNoTrace) {
  Session with(demo_engine()), without(demo_engine());
  const Answer first = with.reply(text("What is 2 plus 2?"), {.sampling = greedy()});
  with.reply(text("The code is 4 7 1 9."), {.sampling = greedy()});
  EXPECT_TRUE(with.undo());
  without.reply(text("What is 2 plus 2?"), {.sampling = greedy()});
  EXPECT_EQ(with.reply(text("Thank you!"), {.sampling = greedy()}).ids,
            without.reply(text("Thank you!"), {.sampling = greedy()}).ids);
  EXPECT_EQ(with.transcript().size(), 4u);
  EXPECT_EQ(with.transcript()[1].text, first.text);
  EXPECT_TRUE(with.undo());
  EXPECT_TRUE(with.undo());
  EXPECT_FALSE(with.undo());
}

TEST(Session, TheSystemTextStandsBeforeTheFirstTurn) {
  Session session(demo_engine());
  session.set_system("Answer with one number.");
  const Conversation& c = conversation("sum_with_system");
  EXPECT_EQ(session.reply(c.messages[1].parts, {.sampling = greedy()}).ids, c.greedy_ids);
  EXPECT_THROW(session.set_system("late"), Error);
  session.reset();
  EXPECT_EQ(session.system(), "");
  EXPECT_EQ(session.reply(conversation("sum").messages[0].parts, {.sampling = greedy()}).ids,
            conversation("sum").greedy_ids);
}

TEST(Session, AnAnswerCutShortIsClosedBeforeTheNextTurn) {
  Session cut(demo_engine());
  const Answer first = cut.reply(text("What is the capital of Norway?"), {.sampling = greedy(), .max_tokens = 3});
  EXPECT_EQ(first.finish_reason, FinishReason::kLength);
  const Answer second = cut.reply(text("Thank you!"), {.sampling = greedy()});
  const std::vector<Message> whole{Message::text("user", "What is the capital of Norway?"),
                                   Message::text("assistant", first.text), Message::text("user", "Thank you!")};
  const Answer want = demo_engine()->generate({.prompt = ChatPrompt{whole}, .options = {.sampling = greedy()}});
  EXPECT_EQ(second.prompt_tokens, want.prompt_tokens);
  EXPECT_EQ(second.ids, want.ids);
}

TEST(Session, AStopStringEndsTheAnswerBeforeIt) {
  Session session(demo_engine());
  const Answer answer = session.reply(text("What is the capital of Norway?"), {.sampling = greedy(), .stop = {" of"}});
  EXPECT_EQ(answer.text, conversation("capital").text.substr(0, conversation("capital").text.find(" of")));
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
}

// What the model wrote behind a stop text was neither shown nor saved: it does not know it either.
TEST(Session, WhatAStopStringCutIsNotInTheConversation) {
  for (const std::string stop : {" of", "apita", "The", "."}) {
    SCOPED_TRACE(stop);
    Session session(demo_engine());
    const Answer first = session.reply(text("What is the capital of Norway?"), {.sampling = greedy(), .stop = {stop}});
    const std::string& whole_text = conversation("capital").text;
    ASSERT_EQ(first.text, whole_text.substr(0, whole_text.find(stop)));
    EXPECT_EQ(first.stop, stop);
    const Answer second = session.reply(text("Thank you!"), {.sampling = greedy()});
    const std::vector<Message> whole{Message::text("user", "What is the capital of Norway?"),
                                     Message::text("assistant", first.text), Message::text("user", "Thank you!")};
    const Answer want = demo_engine()->generate({.prompt = ChatPrompt{whole}, .options = {.sampling = greedy()}});
    EXPECT_EQ(second.prompt_tokens, want.prompt_tokens);
    EXPECT_EQ(second.ids, want.ids);
  }
}

TEST(Session, LogProbabilitiesOfThePromptAreThoseOfTheWholeConversation) {
  Session session(demo_engine());
  const Answer first = session.reply(text("What is 2 plus 2?"), {.sampling = greedy()});
  const Answer second = session.reply(text("Thank you!"), {.sampling = greedy(), .prompt_logprobs = 1});
  ASSERT_EQ(std::ssize(second.prompt_logprobs), second.prompt_tokens - 1);
  const std::vector<Message> whole{Message::text("user", "What is 2 plus 2?"), Message::text("assistant", first.text),
                                   Message::text("user", "Thank you!")};
  const Answer want =
      demo_engine()->generate({.prompt = ChatPrompt{whole}, .options = {.sampling = greedy(), .prompt_logprobs = 1}});
  ASSERT_EQ(second.prompt_tokens, want.prompt_tokens);
  for (size_t i = 0; i < want.prompt_logprobs.size(); ++i) {
    EXPECT_EQ(second.prompt_logprobs[i].id, want.prompt_logprobs[i].id);
    EXPECT_EQ(second.prompt_logprobs[i].logprob, want.prompt_logprobs[i].logprob) << i;
  }
}

TEST(Session, AFailedTurnChangesNothing) {
  EngineOptions options;
  options.model = demo_folder();
  options.context = 40;
  Session session(Engine::open(options));
  const Answer first = session.reply(conversation("sum").messages[0].parts, {.sampling = greedy()});
  EXPECT_EQ(first.ids, conversation("sum").greedy_ids);
  const std::int64_t used = session.used_context();
  try {
    session.reply(text(std::string(200, '7')), {.sampling = greedy()});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kContextFull);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("room for 40"));
  }
  EXPECT_THROW(session.reply({ImagePart{MediaBytes{{1, 2, 3}, "x.png"}}}, {.sampling = greedy()}), Error);
  const std::atomic<bool> cancelled{true};
  EXPECT_THROW(session.reply(text("Hello!"), {.sampling = greedy(), .cancelled = &cancelled}), Error);
  EXPECT_EQ(session.used_context(), used);
  EXPECT_EQ(session.transcript().size(), 2u);
}

TEST(Session, ManyThreadsShareOneEngine) {
  std::vector<std::thread> threads;
  std::vector<std::vector<std::int32_t>> got(6);
  const char* const names[] = {"hello", "sum", "capital", "repeat", "question_before_image", "transcribe"};
  auto engine = demo_engine();
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      Session session(engine);
      got[i] = session.reply(conversation(names[i]).messages[0].parts, {.sampling = greedy(), .max_tokens = 48}).ids;
    });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(got[i], conversation(names[i]).greedy_ids) << names[i];
}

TEST(Session, SamplingWithASeedRepeats) {
  auto answer = [](std::uint64_t seed) {
    Sampling sampling{.temperature = 2.0, .top_k = 0, .top_p = 1};
    sampling.seed = seed;
    return Session(demo_engine()).reply(text("Why does the moon sing?"), {.sampling = sampling, .max_tokens = 20}).ids;
  };
  EXPECT_EQ(answer(5), answer(5));
  EXPECT_NE(answer(5), answer(6));
}

// What an undone turn had in common with the one in its place, and all before it, is not computed again.
TEST(Session, AnUndoneTurnCostsOnlyWhatComesInItsPlace) {
  Session session(demo_engine());
  session.reply(text("The code is 4 7 1 9."), {.sampling = greedy()});
  const Answer long_turn = session.reply(text(std::string(300, 'a')), {.sampling = greedy(), .max_tokens = 30});
  const std::int64_t before = long_turn.prompt_tokens - long_turn.timings.prefilled_tokens;
  EXPECT_GT(before, 0);
  EXPECT_TRUE(session.undo());
  const Answer other = session.reply(text("Thank you!"), {.sampling = greedy(), .max_tokens = 8});
  EXPECT_GE(other.prompt_tokens - other.timings.prefilled_tokens, before);
  EXPECT_TRUE(session.undo());
  const Answer again = session.reply(text("Thank you!"), {.sampling = greedy(), .max_tokens = 8});
  EXPECT_EQ(again.ids, other.ids);
  EXPECT_EQ(again.timings.prefilled_tokens, 1);  // the same words: all but the position that gives the first token
}

}  // namespace
}  // namespace g3n::testing
