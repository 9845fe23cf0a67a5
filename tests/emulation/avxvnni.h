// AVX-VNNI without AVX-VNNI: read before everything else (-include), it gives the one instruction that vectors_avx2.h
// uses of it as a loop that computes what the instruction's description says.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace slimvec_emulation {

// acc[lane] += the sum of four products of an unsigned byte of `a` and a signed byte of `b`.
inline __m256i dpbusd(__m256i acc, __m256i a, __m256i b) {
  int32_t sums[8];
  uint8_t unsigned_bytes[32];
  int8_t signed_bytes[32];
  std::memcpy(sums, &acc, sizeof sums);
  std::memcpy(unsigned_bytes, &a, sizeof unsigned_bytes);
  std::memcpy(signed_bytes, &b, sizeof signed_bytes);
  for (int i = 0; i < 32; ++i) sums[i / 4] += int32_t(unsigned_bytes[i]) * signed_bytes[i];
  std::memcpy(&acc, sums, sizeof sums);
  return acc;
}

}  // namespace slimvec_emulation

#define _mm256_dpbusd_avx_epi32 slimvec_emulation::dpbusd
#define __AVXVNNI__ 1
