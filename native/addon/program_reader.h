// Converts a JavaScript ProgramSpec to an engine Program. Reads ops through the engine's reflection table, so it names no op.
#pragma once

#include "addon/napi_setup.h"

#include "engine/program.h"

namespace multigate::addon {

/// Only reads; validate() checks shapes and values. @throws Failure (program) naming the place.
Program read_program(const Napi::Value& spec);

}  // namespace multigate::addon
