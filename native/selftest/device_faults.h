// Checks what the CUDA backend does when a device, its memory or a call of the CUDA runtime fails, and with several devices. It needs the
// emulation, whose runtime fails on request.
#pragma once
#include "selftest/report.h"

namespace selftest {

/// Call it before any device is used: it counts contexts.
void check_device_faults(Report& report);

}  // namespace selftest
