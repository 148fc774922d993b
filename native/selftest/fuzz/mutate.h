// Changes to a program that a fuzzer chooses: fields, views, lists, buffers and the order of ops, often by what another place has, so that
// many of the results are programs still.
#pragma once
#include "engine/program.h"
#include "selftest/fuzz/bytes.h"

namespace selftest {

void mutate(multigate::Program& program, Bytes& bytes);

}  // namespace selftest
