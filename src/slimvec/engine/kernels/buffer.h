// Uninitialised memory, aligned to a cache line.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

namespace slimvec {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(long count) {
    if (count <= 0) return;
    const size_t bytes = (size_t(count) * sizeof(T) + 63) / 64 * 64;
    memory_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!memory_) throw std::bad_alloc();
  }
  T* at(long index) const { return memory_.get() + index; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
};

}  // namespace slimvec
