#include "threads.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

#include <memory>
#include <mutex>
#include <thread>

namespace slimvec {
namespace {

// How often a waiting thread looks before it sleeps: some tens of microseconds, which is longer than threads of one
// call are usually apart, and short beside anything else that may want the core.
constexpr int LOOKS = 4000;

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Wait until `value` is no longer `old`.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int look = 0; look < LOOKS; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  value.wait(old, std::memory_order_acquire);
}

class Pool {
 public:
  void run(int size, void (*body)(const void*, int), const void* context) {
    while (num_workers_ < size - 1) add_worker();
    body_ = body, context_ = context, size_ = size;
    left_.store(uint32_t(num_workers_), std::memory_order_relaxed);
    call_number_.fetch_add(1, std::memory_order_release);
    call_number_.notify_all();
    body(context, 0);
    for (uint32_t left = left_.load(std::memory_order_acquire); left; left = left_.load(std::memory_order_acquire))
      wait_for_change(left_, left);
  }

 private:
  // A worker handles no signals: they belong to the threads of the program.
  void add_worker() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      std::thread(&Pool::work, this, num_workers_ + 1, call_number_.load()).detach();
    } catch (...) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ++num_workers_;
  }

  void work(int rank, uint32_t seen) {
    for (;;) {
      wait_for_change(call_number_, seen);
      ++seen;
      if (rank < size_) body_(context_, rank);
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_all();
    }
  }

  int num_workers_ = 0;
  void (*body_)(const void*, int) = nullptr;
  const void* context_ = nullptr;
  int size_ = 0;
  std::atomic<uint32_t> call_number_{0};
  std::atomic<uint32_t> left_{0};
};

// The OpenMP that the process has already, which is torch's. Its threads look for work for milliseconds after torch's
// own operations, and would keep the cores from threads beside them: a short text took 1.7 times as long. GOMP_parallel
// is GCC's interface, which LLVM's and Intel's libraries have too.
struct OpenMP {
  void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
  int (*rank)() = nullptr;
  int (*size)() = nullptr;

  static OpenMP find() {
    OpenMP found;
    found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    found.rank = reinterpret_cast<decltype(found.rank)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    found.size = reinterpret_cast<decltype(found.size)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
    return found;
  }

  // Whether it ran the body: a team may be smaller than asked for, and then nothing is done.
  bool run(int size, void (*body)(const void*, int), const void* context) const {
    if (!parallel || !rank || !this->size) return false;
    struct Call {
      const OpenMP& openmp;
      int size;
      void (*body)(const void*, int);
      const void* context;
      std::atomic<bool> whole{true};
    } call{*this, size, body, context};
    const auto member = [](void* given) {
      Call& call = *static_cast<Call*>(given);
      if (call.openmp.size() == call.size)
        call.body(call.context, call.openmp.rank());
      else
        call.whole = false;
    };
    parallel(member, &call, unsigned(size), 0);
    return call.whole;
  }
};

// What runs calls, one at a time. Never freed: threads wait in it. A forked child has none of them and starts with
// another, and without an OpenMP, whose threads stayed behind too.
struct Runner {
  std::mutex call;
  OpenMP openmp;
  Pool pool;
};

Runner* runner = nullptr;

void begin() {
  runner = new Runner;
  runner->openmp = OpenMP::find();
}

void begin_in_child() { runner = new Runner; }

}  // namespace

void run_threads(int size, void (*body)(const void*, int), const void* context) {
  if (size == 1) return body(context, 0);
  static std::once_flag once;
  std::call_once(once, [] {
    begin();
    pthread_atfork(nullptr, nullptr, begin_in_child);
  });
  const std::lock_guard<std::mutex> one_at_a_time(runner->call);
  if (!runner->openmp.run(size, body, context)) runner->pool.run(size, body, context);
}

void Barrier::wait() {
  const uint32_t round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  } else {
    wait_for_change(round_, round);
  }
}

}  // namespace slimvec
