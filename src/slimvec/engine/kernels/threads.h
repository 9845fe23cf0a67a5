// Threads for one call: those of the OpenMP that the process has already, which is torch's; and where there is none, or
// in a forked process, a few that live as long as the process and sleep between calls. The library links no OpenMP:
// a second one beside torch's would be two of them.
#pragma once

#include <atomic>
#include <cstdint>

namespace slimvec {

// Call body(context, rank) for every rank in [0, size) at the same time, rank 0 on the calling thread; returns when all
// have. One call at a time: others wait. Throws std::system_error where no thread is to be had.
void run_threads(int size, void (*body)(const void* context, int rank), const void* context);

template <class Body>
void parallel(int size, const Body& body) {
  run_threads(size, [](const void* context, int rank) { (*static_cast<const Body*>(context))(rank); }, &body);
}

// Where threads of one call meet.
class Barrier {
 public:
  explicit Barrier(int size) : size_(size) {}
  void wait();

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> round_{0};
};

}  // namespace slimvec
