// The interface, compiled for the plainest processor of the platform: which targets there are, and which can run.
#include "api.h"

#include <cstdio>
#include <vector>

#include "processor.h"
#include "target.h"

// targets.inc has a line TARGET(symbol, needs) for each target of this build, best first, with `needs` the names of
// instruction sets, separated by spaces. The build writes it from targets.toml.
#define TARGET(symbol, needs) extern "C" TargetEntry symbol;
#include "targets.inc"
#undef TARGET

namespace {

struct Known {
  const TargetEntry* entry;
  std::string missing;
};

struct Table {
  std::vector<Known> known;
  std::vector<SlimvecTarget> facts;

  Table() {
#define TARGET(symbol, needs) known.push_back({&symbol, slimvec::missing_of(needs)});
#include "targets.inc"
#undef TARGET
    for (const Known& one : known) {
      facts.push_back(one.entry->facts);
      facts.back().missing = one.missing.c_str();
    }
  }
};

const Table& table() {
  static const Table made;
  return made;
}

// A target that runs here; or null, and why.
const TargetEntry* usable(int32_t target, int32_t num_threads, char* error, int64_t error_size) {
  const std::vector<Known>& known = table().known;
  if (target >= 0 && size_t(target) < known.size() && known[target].missing.empty() && num_threads > 0)
    return known[target].entry;
  std::snprintf(error, size_t(error_size), "target %d with %d threads cannot run here", target, num_threads);
  return nullptr;
}

}  // namespace

int32_t slimvec_abi_version(void) { return SLIMVEC_ABI_VERSION; }

const char* slimvec_sources(void) { return SLIMVEC_SOURCES; }

const SlimvecTarget* slimvec_targets(int32_t* count) {
  *count = int32_t(table().facts.size());
  return table().facts.data();
}

int32_t slimvec_decode(
    int32_t target, const SlimvecModel* model, const SlimvecBatch* batch, int32_t num_threads, char* error,
    int64_t error_size) {
  const TargetEntry* entry = usable(target, num_threads, error, error_size);
  return entry ? entry->decode(model, batch, num_threads, error, error_size) : SLIMVEC_REFUSED;
}

int32_t slimvec_run_rows(
    int32_t target, const SlimvecRows* rows, int32_t num_threads, char* error, int64_t error_size) {
  const TargetEntry* entry = usable(target, num_threads, error, error_size);
  return entry ? entry->run_rows(rows, num_threads, error, error_size) : SLIMVEC_REFUSED;
}

int32_t slimvec_run_attention(
    int32_t target, const SlimvecAttention* attention, int32_t num_threads, char* error, int64_t error_size) {
  const TargetEntry* entry = usable(target, num_threads, error, error_size);
  return entry ? entry->run_attention(attention, num_threads, error, error_size) : SLIMVEC_REFUSED;
}
