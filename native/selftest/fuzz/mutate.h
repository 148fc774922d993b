// Changes to a program that a fuzzer chooses: fields, views, lists, buffers and the order of ops. Values often come from another place, so
// many results are still valid programs.
#pragma once
#include "engine/program.h"
#include "selftest/fuzz/bytes.h"

namespace selftest {

void mutate(multigate::Program& program, Bytes& bytes);

}  // namespace selftest
