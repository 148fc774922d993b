// Reading JavaScript values: each reader names the place, what it found and what it expected, and reads a value once.
//
// Getters and proxies may run any JavaScript while properties are read, so callers read every property first and take
// pointers (span_of) last; span_of itself runs no JavaScript.
#pragma once

#include "addon/napi_setup.h"

#include <cstdint>
#include <string>
#include <vector>

#include "engine/failure.h"

namespace multigate::addon {

/// "ops[3].kernel.offset", put together only when something is wrong. Lives on the stack of the readers.
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

/// A short text for a value that was not expected; runs no JavaScript.
std::string describe(const Napi::Value& value);

[[noreturn]] void wrong(const Where& where, const Napi::Value& found, const std::string& expected);

constexpr double kMaxSafeInteger = 9007199254740991.0;

int64_t to_integer(const Where& where, const Napi::Value& value, int64_t low, int64_t high);
/// A seed, stream or epoch.
uint64_t to_key(const Where& where, const Napi::Value& value);
/// Any integer that a double holds exactly; its range is checked by whoever knows it.
int64_t to_integer(const Where& where, const Napi::Value& value);
double to_finite(const Where& where, const Napi::Value& value);
bool to_boolean(const Where& where, const Napi::Value& value);
std::string to_string(const Where& where, const Napi::Value& value);
/// One of `choices` (a null-terminated list): its place in the list.
int to_choice(const Where& where, const Napi::Value& value, const char* const* choices);
Napi::Object to_object(const Where& where, const Napi::Value& value);
Napi::Array to_array(const Where& where, const Napi::Value& value, int64_t longest);

/// The property, by name; undefined where it is missing.
Napi::Value property(const Napi::Object& object, const char* name);
bool is_absent(const Napi::Value& value);

/// The elements of a typed array, as they are now: valid until JavaScript runs again.
struct Span {
  void* data;
  int64_t length;
  napi_typedarray_type type;
  bool shared;    // backed by a SharedArrayBuffer: other threads may write it at any time
  bool detached;  // its ArrayBuffer was transferred away
};

/// Whatever is no typed array, or reaches outside its buffer, is refused with `expected`.
Span span_of(const Where& where, const Napi::Value& value, const char* expected);

/// span_of, and the type and length as expected. Shared memory may be read, not written.
Span input_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length);
Span output_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length);

const char* array_type_name(napi_typedarray_type type);
size_t array_element_bytes(napi_typedarray_type type);

/// The error that JavaScript sees: an Error with `code`.
Napi::Error to_error(Napi::Env env, const char* code, const std::string& text);
Napi::Error to_error(Napi::Env env, const Failure& failure);

/// Runs `body`; every C++ exception leaves as a JavaScript error with a code. Errors thrown by a caller's getter pass as they are.
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
