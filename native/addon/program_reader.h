// A ProgramSpec of JavaScript as an engine Program. Reads ops through the engine's reflection table and knows none by name.
#pragma once

#include "addon/napi_setup.h"

#include "engine/program.h"

namespace multigate::addon {

/// Shapes and values are judged by validate(); this reads. @throws Failure (program) naming the place.
Program read_program(const Napi::Value& spec);

}  // namespace multigate::addon
