// Codes and texts of failures; see failure.h.
#include "engine/failure.h"

#include <cstdio>

namespace multigate {

const char* code_name(Code code) noexcept {
  switch (code) {
    case Code::argument: return "ERR_MULTIGATE_ARGUMENT";
    case Code::program: return "ERR_MULTIGATE_PROGRAM";
    case Code::unsupported: return "ERR_MULTIGATE_UNSUPPORTED";
    case Code::out_of_memory: return "ERR_MULTIGATE_OUT_OF_MEMORY";
    case Code::busy: return "ERR_MULTIGATE_BUSY";
    case Code::disposed: return "ERR_MULTIGATE_DISPOSED";
    case Code::device: return "ERR_MULTIGATE_DEVICE";
    case Code::internal: return "ERR_MULTIGATE_INTERNAL";
  }
  return "ERR_MULTIGATE_INTERNAL";
}

std::string bytes_text(double bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 6) {
    bytes /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

void check_status(mg_status status, const mg_error& error, Code invalid) {
  if (status == MG_OK) return;
  const std::string text(error.text[0] != 0 ? error.text : "the backend gave no reason");
  switch (status) {
    case MG_INVALID: throw Failure(invalid, text);
    case MG_UNSUPPORTED: throw Failure(Code::unsupported, text);
    case MG_OUT_OF_MEMORY: throw Failure(Code::out_of_memory, text);
    case MG_DEVICE_LOST: throw Failure(Code::device, text);
    default: throw Failure(Code::internal, text);
  }
}

}  // namespace multigate
