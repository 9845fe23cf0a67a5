#include "processor.h"

#include <sstream>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace slimvec {
namespace {

#if defined(SLIMVEC_EMULATED)
// A build for tests, in which the instructions of every target are emulated.
bool has(const std::string&) { return true; }

#elif defined(__x86_64__)
bool has(const std::string& name) {
  __builtin_cpu_init();
#define SET(known) \
  if (name == #known) return __builtin_cpu_supports(#known);
  SET(avx2)
  SET(fma)
  SET(f16c)
  SET(avxvnni)
  SET(avx512f)
  SET(avx512bw)
  SET(avx512vl)
  SET(avx512dq)
  SET(avx512vnni)
  SET(avx512bf16)
#undef SET
  return false;
}

#elif defined(__aarch64__) && defined(__linux__)
// Bits of the kernel's interface (asm/hwcap.h), which older headers do not name.
bool has(const std::string& name) {
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  if (name == "neon") return first & (1ul << 1);
  if (name == "atomics") return first & (1ul << 8);
  if (name == "dotprod") return first & (1ul << 20);
  if (name == "i8mm") return second & (1ul << 13);
  if (name == "bf16") return second & (1ul << 14);
  return false;
}

#elif defined(__aarch64__) && defined(__APPLE__)
bool asked(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value;
}

bool has(const std::string& name) {
  if (name == "neon") return true;
  if (name == "atomics") return asked("hw.optional.arm.FEAT_LSE");
  if (name == "dotprod") return asked("hw.optional.arm.FEAT_DotProd");
  if (name == "i8mm") return asked("hw.optional.arm.FEAT_I8MM");
  if (name == "bf16") return asked("hw.optional.arm.FEAT_BF16");
  return false;
}

#else
bool has(const std::string&) { return false; }
#endif

}  // namespace

std::string missing_of(const char* needs) {
  std::istringstream names(needs);
  std::string name, missing;
  while (names >> name)
    if (!has(name)) missing += (missing.empty() ? "" : ", ") + name;
  return missing;
}

}  // namespace slimvec
