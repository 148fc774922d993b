// Converts cases to validated engine programs that own their lists.
#pragma once
#include <string>

#include "engine/program.h"
#include "selftest/program.h"

namespace selftest {

multigate::Program to_engine(const Program& program);

/// The reason why validate() refuses it; empty if it accepts.
std::string refusal(const multigate::Program& program);

}  // namespace selftest
