// Instruction sets of this processor, as far as the system lets programs use them.
#pragma once

#include <string>

namespace slimvec {

// Of instruction sets named with spaces between, those that are not there, with commas between.
std::string missing_of(const char* needs);

}  // namespace slimvec
