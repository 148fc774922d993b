// Cases as the engine takes them: with lists of their own, and validated.
#pragma once
#include <string>

#include "engine/program.h"
#include "selftest/program.h"

namespace selftest {

multigate::Program to_engine(const Program& program);

/// Why validate() refuses it; empty where it does not.
std::string refusal(const multigate::Program& program);

}  // namespace selftest
