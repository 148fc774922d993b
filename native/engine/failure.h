// The engine's one exception: a code that becomes ERR_MULTIGATE_... in JavaScript, and a text that says what was found and
// what was expected. Caught by the addon; it never crosses the C ABI.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "abi/multigate.h"

namespace multigate {

enum class Code { argument, program, unsupported, out_of_memory, busy, disposed, device, internal };

/// The name users see, such as "ERR_MULTIGATE_BUSY".
const char* code_name(Code code) noexcept;

class Failure : public std::runtime_error {
 public:
  Failure(Code code, const std::string& text) : std::runtime_error(text), code(code) {}
  Code code;
};

/// The arguments one after another, as a stream writes them.
template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// "12.3 GiB": for texts about memory.
std::string bytes_text(double bytes);

/// Throws for every status but MG_OK. `invalid` is the code that MG_INVALID means here: a program or an argument.
void check_status(mg_status status, const mg_error& error, Code invalid);

}  // namespace multigate
