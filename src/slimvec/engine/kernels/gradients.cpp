#include "gradients.h"

#include <algorithm>

#include "rows.h"
#include "threads.h"

namespace slimvec {
namespace {

// Values that a thread takes at least: below, waking it costs more than it saves.
constexpr long LEAST = 16384;
// Rows of a gate have no meaning: threads share it in runs of this many values.
constexpr long RUN = 1024;

template <class Body>
void share(long count, long values_each, int num_threads, const Body& body) {
  const int threads = int(clamp_to(count * values_each / LEAST, 1, num_threads));
  parallel(threads, [&](int rank) { body(count * rank / threads, count * (rank + 1) / threads); });
}

template <class E>
void norm_gradient_row(const NormRows<E>& work, long row) {
  const E *x = work.x + row * work.width, *dy = work.dy + row * work.width;
  Lanes squares = zeros(), products = zeros();
  for (long column = 0; column < work.width; column += LANES) {
    const Tail end = tail(work.width - column);
    const Lanes value = Element<E>::load(x + column, end);
    const Lanes weighted = Element<E>::load(dy + column, end) * Element<float>::load(work.weight + column, end);
    squares = multiply_add(value, value, squares);
    products = multiply_add(value, weighted, products);
  }
  const float inverse = 1.0f / std::sqrt(sum_lanes(squares) / float(work.width) + work.epsilon);
  const Lanes factor = splat(inverse);
  const Lanes along = splat(inverse * inverse * inverse * sum_lanes(products) / float(work.width));
  E* to = work.result + row * work.width;
  for (long column = 0; column < work.width; column += LANES) {
    const Tail end = tail(work.width - column);
    const Lanes value = Element<E>::load(x + column, end);
    const Lanes weighted = Element<E>::load(dy + column, end) * Element<float>::load(work.weight + column, end);
    Element<E>::store(to + column, end, multiply_subtract(factor, weighted, along * value));
  }
}

struct Activated {
  Lanes value, slope;
};

inline Activated activate(Lanes gate, bool gelu) {
  Lanes exponent = gate, inner = splat(1.0f);
  if (gelu) {
    const Lanes square = gate * gate;
    exponent = gate * splat(1.5957691f) * multiply_add(square, splat(0.044715f), splat(1.0f));
    inner = splat(1.5957691f) * multiply_add(square, splat(0.134145f), splat(1.0f));
  }
  const Lanes share = times_sigmoid(splat(1.0f), exponent);
  const Lanes value = gate * share;
  return {value, multiply_add(value * (splat(1.0f) - share), inner, share)};
}

template <class E>
void gate_run(const GateRows<E>& work, long first, long last) {
  for (long place = first; place < last; place += LANES) {
    const Tail end = tail(last - place);
    const Activated activated = activate(Element<E>::load(work.gate + place, end), work.gelu);
    const Lanes up = Element<E>::load(work.up + place, end);
    if (!work.dy) {
      Element<E>::store(work.result + place, end, activated.value * up);
      continue;
    }
    const Lanes dy = Element<E>::load(work.dy + place, end);
    Element<E>::store(work.result + place, end, dy * up * activated.slope);
    Element<E>::store(work.up_result + place, end, dy * activated.value);
  }
}

}  // namespace

template <class E>
void run_norm(const NormRows<E>& work, int num_threads) {
  share(work.rows, work.width, num_threads, [&](long first, long last) {
    for (long row = first; row < last; ++row) {
      const long place = row * work.width;
      if (work.dy)
        norm_gradient_row(work, row);
      else
        rms_norm(work.x + place, work.weight, work.width, work.epsilon, work.result + place);
    }
  });
}

template <class E>
void run_gate(const GateRows<E>& work, int num_threads) {
  share((work.size + RUN - 1) / RUN, RUN, num_threads, [&](long first, long last) {
    gate_run(work, first * RUN, std::min(last * RUN, work.size));
  });
}

template void run_norm<float>(const NormRows<float>&, int);
template void run_gate<float>(const GateRows<float>&, int);
#ifdef SLIMVEC_BF16
template void run_norm<bf16>(const NormRows<bf16>&, int);
template void run_gate<bf16>(const GateRows<bf16>&, int);
#endif

}  // namespace slimvec
