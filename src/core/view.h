// View<T, R>: a strided, non-owning window on numbers. Rank in the type, extents and steps as members, innermost
// step 1.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <type_traits>

#include "g3n/error.h"

namespace g3n {

template <typename T, int R>
struct View {
  T* data = nullptr;
  std::array<int64_t, R> dim{};
  std::array<int64_t, R> step{};  // in elements; step[R - 1] == 1

  View() = default;
  View(T* d, std::array<int64_t, R> dims) : data(d), dim(dims) {
    int64_t s = 1;
    for (int i = R - 1; i >= 0; --i) step[i] = s, s *= dim[i];
  }
  View(T* d, std::array<int64_t, R> dims, std::array<int64_t, R> steps) : data(d), dim(dims), step(steps) {}

  operator View<const T, R>() const requires(!std::is_const_v<T>) { return {data, dim, step}; }

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const {
    int64_t n = 1;
    for (int64_t d : dim) n *= d;
    return n;
  }
  bool contiguous() const {
    int64_t s = 1;
    for (int i = R - 1; i >= 0; s *= dim[i], --i)
      if (step[i] != s && dim[i] != 1) return false;
    return true;
  }
  // The view with the first index fixed.
  View<T, R - 1> operator[](int64_t i) const requires(R > 1) {
    View<T, R - 1> v;
    v.data = data + i * step[0];
    for (int k = 1; k < R; ++k) v.dim[k - 1] = dim[k], v.step[k - 1] = step[k];
    return v;
  }
  T& operator[](int64_t i) const requires(R == 1) { return data[i]; }
  // Rows begin .. begin+count of the first axis.
  View slice(int64_t begin, int64_t count) const {
    View v = *this;
    v.data += begin * step[0];
    v.dim[0] = count;
    return v;
  }
  T* row(int64_t i) const { return data + i * step[0]; }
};

template <typename T>
View<T, 1> as_view(T* data, int64_t n) {
  return {data, {n}};
}

[[noreturn]] void throw_shape(const char* what, const int64_t* got, const int64_t* want, int rank);

// A shape in a signature, checked in the body. what names the view in the error.
template <typename T, int R>
void expect_shape(const View<T, R>& view, const std::type_identity_t<std::array<int64_t, R>>& want,
                  const char* what = "view") {
  for (int i = 0; i < R; ++i)
    if (view.dim[i] != want[i]) throw_shape(what, view.dim.data(), want.data(), R);
}

}  // namespace g3n
