// The engine's only exception: a code that becomes ERR_MULTIGATE_... in JavaScript, and a text that says what was found and
// what was expected. The addon catches it; it never crosses the C ABI.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "abi/multigate.h"

namespace multigate {

enum class Code { argument, program, unsupported, out_of_memory, busy, disposed, device, internal };

/// The name that users see, such as "ERR_MULTIGATE_BUSY".
const char* code_name(Code code) noexcept;

class Failure : public std::runtime_error {
 public:
  Failure(Code code, const std::string& text) : std::runtime_error(text), code(code) {}
  Code code;
};

/// Concatenates the arguments as a stream writes them.
template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// A size such as "12.3 GiB".
std::string bytes_text(double bytes);

/// Throws unless the status is MG_OK. `invalid` is the code that MG_INVALID means here: a program or an argument.
void check_status(mg_status status, const mg_error& error, Code invalid);

}  // namespace multigate
