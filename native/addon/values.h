// Readers of JavaScript values. An error names the place, the value found and the value expected. Each reader reads a value once.
//
// Getters and proxies may run any JavaScript. So callers read every property first and take pointers (span_of) last; span_of
// runs no JavaScript.
#pragma once

#include "addon/napi_setup.h"

#include <cstdint>
#include <string>
#include <vector>

#include "engine/failure.h"

namespace multigate::addon {

/// A place such as "ops[3].kernel.offset". Builds its text only for an error. Lives on the readers' stack.
class Where {
 public:
  explicit Where(const char* name) : name_(name) {}
  Where(const Where& parent, const char* name) : parent_(&parent), name_(name) {}
  Where(const Where& parent, int64_t index) : parent_(&parent), index_(index) {}
  std::string text() const;

 private:
  const Where* parent_ = nullptr;
  const char* name_ = nullptr;
  int64_t index_ = -1;
};

/// A short text for an unexpected value. Runs no JavaScript.
std::string describe(const Napi::Value& value);

[[noreturn]] void wrong(const Where& where, const Napi::Value& found, const std::string& expected);

constexpr double kMaxSafeInteger = 9007199254740991.0;

int64_t to_integer(const Where& where, const Napi::Value& value, int64_t low, int64_t high);
/// A seed, stream or epoch.
uint64_t to_key(const Where& where, const Napi::Value& value);
/// Any integer that a double holds exactly. The caller checks its range.
int64_t to_integer(const Where& where, const Napi::Value& value);
double to_finite(const Where& where, const Napi::Value& value);
bool to_boolean(const Where& where, const Napi::Value& value);
std::string to_string(const Where& where, const Napi::Value& value);
/// The index of the value in `choices`, a null-terminated list.
int to_choice(const Where& where, const Napi::Value& value, const char* const* choices);
Napi::Object to_object(const Where& where, const Napi::Value& value);
Napi::Array to_array(const Where& where, const Napi::Value& value, int64_t longest);

/// The property of this name, or undefined.
Napi::Value property(const Napi::Object& object, const char* name);
bool is_absent(const Napi::Value& value);

/// The elements of a typed array. Valid until JavaScript runs again.
struct Span {
  void* data;
  int64_t length;
  napi_typedarray_type type;
  bool shared;    // backed by a SharedArrayBuffer: other threads may write it at any time
  bool detached;  // its ArrayBuffer was transferred away
};

/// Refuses a value that is no typed array, or that reaches outside its buffer. `expected` goes into the error.
Span span_of(const Where& where, const Napi::Value& value, const char* expected);

/// span_of with checks of type and length. Shared memory may be read but not written.
Span input_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length);
Span output_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length);

const char* array_type_name(napi_typedarray_type type);
size_t array_element_bytes(napi_typedarray_type type);

/// The error that JavaScript sees: an Error with `code`.
Napi::Error to_error(Napi::Env env, const char* code, const std::string& text);
Napi::Error to_error(Napi::Env env, const Failure& failure);

/// Runs `body`. Turns every C++ exception into a JavaScript error with a code. Errors thrown by a caller's getter pass unchanged.
template <class Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Failure& failure) {
    throw to_error(env, failure);
  } catch (const std::bad_alloc&) {
    throw to_error(env, code_name(Code::out_of_memory), "out of memory");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw to_error(env, code_name(Code::internal), error.what());
  }
}

}  // namespace multigate::addon
