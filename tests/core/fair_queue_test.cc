// FairQueue: turns of clients, order of one client's items, leaving, and how many are ahead.
#include "core/fair_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace g3n {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> all_of(FairQueue<std::string> queue) {
  std::vector<std::string> items;
  while (!queue.empty()) items.push_back(queue.pop());
  return items;
}

TEST(FairQueue, OneClientIsServedInOrder) {
  FairQueue<std::string> queue;
  queue.push("a", 7, "a7");
  queue.push("a", 3, "a3");
  queue.push("a", 5, "a5");
  EXPECT_EQ(queue.size(), 3);
  EXPECT_THAT(all_of(queue), ElementsAre("a3", "a5", "a7"));
}

TEST(FairQueue, ClientsAreServedByTurns) {
  FairQueue<std::string> queue;
  for (const int n : {0, 1, 2, 3}) queue.push("many", static_cast<std::uint64_t>(n), "many" + std::to_string(n));
  EXPECT_EQ(queue.pop(), "many0");
  queue.push("few", 4, "few4");
  queue.push("one", 5, "one5");
  queue.push("few", 6, "few6");
  EXPECT_THAT(all_of(queue), ElementsAre("few4", "one5", "many1", "few6", "many2", "many3"));
}

TEST(FairQueue, AheadIsWhatIsServedBefore) {
  const std::pair<std::string, std::uint64_t> items[] = {{"a", 0}, {"a", 1}, {"a", 2}, {"b", 3}, {"c", 4},
                                                         {"b", 5}, {"a", 6}, {"a", 7}, {"d", 8}};
  for (const auto& [client, number] : items) {
    FairQueue<std::string> queue;
    for (const auto& [other, its] : items)
      if (its != number) queue.push(other, its, std::to_string(its));
    queue.pop();  // turns differ from here on
    const std::int64_t ahead = queue.ahead_of(client, number);
    queue.push(client, number, "this");
    const std::vector<std::string> order = all_of(queue);
    EXPECT_EQ(std::find(order.begin(), order.end(), "this") - order.begin(), ahead) << client << number;
  }
  EXPECT_EQ(FairQueue<int>().ahead_of("nobody", 1), 0);
}

TEST(FairQueue, WhatIsTakenLeavesTheOthersInTheirOrder) {
  FairQueue<int> queue;
  for (int n = 0; n < 8; ++n) queue.push(n % 2 ? "odd" : "even", static_cast<std::uint64_t>(n), n);
  EXPECT_THAT(queue.take_if([](int n) { return n % 2 == 0 || n == 5; }),
              ::testing::UnorderedElementsAre(0, 2, 4, 6, 5));
  EXPECT_EQ(queue.size(), 3);
  EXPECT_TRUE(queue.any_of([](int n) { return n == 3; }));
  EXPECT_FALSE(queue.any_of([](int n) { return n == 5; }));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), 7);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace g3n
