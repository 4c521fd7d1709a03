// FairQueue: what waits, of several clients: they are served by turns, each one's items in their order, so that one
// with many keeps no other waiting for more than its own turn.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace g3n {

template <typename T>
class FairQueue {
 public:
  // number: its place among the client's, and of two clients that have not been served the lower one is first.
  void push(const std::string& client, std::uint64_t number, T item) {
    std::vector<Item>& items = clients_[client].items;
    const auto behind = [&](const Item& other) { return other.first > number; };
    items.emplace(std::find_if(items.begin(), items.end(), behind), number, std::move(item));
    ++size_;
  }

  bool empty() const { return size_ == 0; }
  std::int64_t size() const { return size_; }

  // The next one; of a queue that is not empty.
  T pop() {
    const auto next = std::min_element(clients_.begin(), clients_.end(), [](const auto& a, const auto& b) {
      return a.second.place() < b.second.place();
    });
    Client& client = next->second;
    T item = std::move(client.items.front().second);
    client.items.erase(client.items.begin());
    client.turn = ++turns_;
    --size_;
    forget();
    return item;
  }

  // How many would be served before one that comes now, if nobody else does.
  std::int64_t ahead_of(const std::string& client, std::uint64_t number) const {
    const auto known = clients_.find(client);
    const Client none;
    const Client& own = known == clients_.end() ? none : known->second;
    const std::int64_t rank =
        std::count_if(own.items.begin(), own.items.end(), [&](const Item& item) { return item.first < number; });
    const auto place = std::pair(own.turn, rank ? own.items.front().first : number);
    std::int64_t ahead = rank;
    for (const auto& [name, other] : clients_)
      if (name != client && !other.items.empty())
        ahead += std::min<std::int64_t>(std::ssize(other.items), rank + (other.place() < place));
    return ahead;
  }

  template <typename F>
  bool any_of(const F& is_wanted) const {
    for (const auto& [name, client] : clients_)
      for (const auto& [number, item] : client.items)
        if (is_wanted(item)) return true;
    return false;
  }

  // Those that are wanted, which leave the queue.
  template <typename F>
  std::vector<T> take_if(const F& is_wanted) {
    std::vector<T> taken;
    for (auto& [name, client] : clients_) {
      std::vector<Item> kept;
      for (Item& item : client.items) {
        if (is_wanted(item.second))
          taken.push_back(std::move(item.second));
        else
          kept.push_back(std::move(item));
      }
      client.items = std::move(kept);
    }
    size_ -= std::ssize(taken);
    forget();
    return taken;
  }

 private:
  using Item = std::pair<std::uint64_t, T>;
  struct Client {
    std::vector<Item> items;  // by number
    std::uint64_t turn = 0;   // when it was served last

    std::pair<std::uint64_t, std::uint64_t> place() const {
      return items.empty() ? std::pair(UINT64_MAX, UINT64_MAX) : std::pair(turn, items.front().first);
    }
  };

  // Who was served when matters as long as somebody waits.
  void forget() {
    if (size_ == 0) clients_.clear();
  }

  std::map<std::string, Client> clients_;
  std::uint64_t turns_ = 0;
  std::int64_t size_ = 0;
};

}  // namespace g3n
