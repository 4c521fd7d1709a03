// The checksum in a bundle's header: XXH3 (64 bits) of all data in file order.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace g3n {

class BundleChecksum {
 public:
  BundleChecksum();
  ~BundleChecksum();
  void update(std::span<const std::byte> bytes);
  std::string text() const;      // "xxh3-" and 16 hex digits
  static std::string nothing();  // as long as text(), to keep its place

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace g3n
