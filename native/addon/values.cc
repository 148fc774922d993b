// Readers of JavaScript values; see values.h.
#include "addon/values.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "addon/environment.h"

namespace multigate::addon {
namespace {

/// The number's shortest text: integers without a point.
std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return std::isnan(value) ? "NaN" : text;
}

std::string quoted(const Napi::Value& value) {
  constexpr size_t kShown = 40;
  char text[4 * kShown] = {};
  size_t length = 0;
  napi_get_value_string_utf8(value.Env(), value, text, sizeof text, &length);
  const std::string shown(text, length);
  return length > kShown ? "'" + shown.substr(0, kShown) + "...'" : "'" + shown + "'";
}

}  // namespace

std::string Where::text() const {
  std::string text = parent_ != nullptr ? parent_->text() : "";
  if (name_ == nullptr) return text + "[" + std::to_string(index_) + "]";
  return text.empty() ? name_ : text + "." + name_;
}

const char* array_type_name(napi_typedarray_type type) {
  static const char* const kNames[] = {"Int8Array",   "Uint8Array",   "Uint8ClampedArray", "Int16Array",    "Uint16Array",   "Int32Array",
                                       "Uint32Array", "Float32Array", "Float64Array",      "BigInt64Array", "BigUint64Array"};
  return type >= 0 && static_cast<size_t>(type) < sizeof kNames / sizeof *kNames ? kNames[type] : "typed array of an unknown type";
}

size_t array_element_bytes(napi_typedarray_type type) {
  switch (type) {
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: return 8;
    default: return 1;
  }
}

std::string describe(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number: return number_text(value.As<Napi::Number>().DoubleValue());
    case napi_string: return quoted(value);
    case napi_symbol: return "a symbol";
    case napi_bigint: return "a BigInt";
    case napi_function: return "a function";
    default: break;
  }
  if (value.IsArray()) return "an array";
  if (value.IsTypedArray()) return "a typed array";
  return "an object";
}

void wrong(const Where& where, const Napi::Value& found, const std::string& expected) {
  throw Failure(Code::argument, where.text() + " is " + describe(found) + ", expected " + expected);
}

int64_t to_integer(const Where& where, const Napi::Value& value, int64_t low, int64_t high) {
  const auto expected = [&] { return text_of("an integer in [", low, ", ", high, "]"); };
  if (!value.IsNumber()) wrong(where, value, expected());
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high) && std::fabs(number) <= kMaxSafeInteger) ||
      number != std::trunc(number)) {
    wrong(where, value, expected());
  }
  return static_cast<int64_t>(number);
}

int64_t to_integer(const Where& where, const Napi::Value& value) {
  constexpr auto kSafe = static_cast<int64_t>(kMaxSafeInteger);
  return to_integer(where, value, -kSafe, kSafe);
}

uint64_t to_key(const Where& where, const Napi::Value& value) {
  return static_cast<uint64_t>(to_integer(where, value, 0, static_cast<int64_t>(kMaxSafeInteger)));
}

double to_finite(const Where& where, const Napi::Value& value) {
  if (!value.IsNumber() || !std::isfinite(value.As<Napi::Number>().DoubleValue())) wrong(where, value, "a finite number");
  return value.As<Napi::Number>().DoubleValue();
}

bool to_boolean(const Where& where, const Napi::Value& value) {
  if (!value.IsBoolean()) wrong(where, value, "true or false");
  return value.As<Napi::Boolean>().Value();
}

std::string to_string(const Where& where, const Napi::Value& value) {
  if (!value.IsString()) wrong(where, value, "a string");
  // All names are short: a longer one is unknown, so do not copy all of it.
  char text[256] = {};
  size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, text, sizeof text, &length) != napi_ok) wrong(where, value, "a string");
  return std::string(text, length);
}

int to_choice(const Where& where, const Napi::Value& value, const char* const* choices) {
  std::string expected;
  for (int i = 0; choices[i] != nullptr; ++i) expected += (i == 0 ? "'" : ", '") + std::string(choices[i]) + "'";
  if (!value.IsString()) wrong(where, value, "one of " + expected);
  const std::string found = to_string(where, value);
  for (int i = 0; choices[i] != nullptr; ++i) {
    if (found == choices[i]) return i;
  }
  wrong(where, value, "one of " + expected);
}

Napi::Object to_object(const Where& where, const Napi::Value& value) {
  if (!value.IsObject() || value.IsFunction()) wrong(where, value, "an object");
  return value.As<Napi::Object>();
}

Napi::Array to_array(const Where& where, const Napi::Value& value, int64_t longest) {
  if (!value.IsArray()) wrong(where, value, "an array");
  const auto array = value.As<Napi::Array>();
  if (array.Length() > longest) {
    throw Failure(Code::argument, text_of(where.text(), " has ", array.Length(), " entries, expected at most ", longest));
  }
  return array;
}

Napi::Value property(const Napi::Object& object, const char* name) { return object.Get(name); }

bool is_absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

Span span_of(const Where& where, const Napi::Value& value, const char* expected) {
  if (!value.IsTypedArray()) wrong(where, value, expected);
  const napi_env env = value.Env();
  // Node-API leaves `type` unchanged for a type that it does not know.
  Span span{nullptr, 0, static_cast<napi_typedarray_type>(-1), false, false};
  size_t length = 0;
  size_t offset = 0;
  napi_value buffer = nullptr;
  if (napi_get_typedarray_info(env, value, &span.type, &length, &span.data, &buffer, &offset) != napi_ok) wrong(where, value, expected);
  bool plain = false;
  if (napi_is_arraybuffer(env, buffer, &plain) != napi_ok) wrong(where, value, expected);
  span.shared = !plain;  // Node-API cannot test for a SharedArrayBuffer; it is the only other kind
  span.length = static_cast<int64_t>(length);
  if (plain) {
    napi_is_detached_arraybuffer(env, buffer, &span.detached);
    void* start = nullptr;
    size_t bytes = 0;
    // Check against the buffer's current length: a resizable buffer may have shrunk under its views.
    if (napi_get_arraybuffer_info(env, buffer, &start, &bytes) != napi_ok || span.detached) bytes = 0;
    const size_t needed = length * array_element_bytes(span.type);
    if (length > 0 && (offset > bytes || needed > bytes - offset)) span.length = 0;
  }
  if (span.length == 0) span.data = nullptr;
  return span;
}

namespace {

Span checked_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length, bool output) {
  const Span span = span_of(where, value, array_type_name(type));
  const auto fail = [&](const std::string& found, const std::string& expected) {
    throw Failure(Code::argument, where.text() + " is " + found + ", expected " + expected);
  };
  if (span.type != type) fail(text_of("a ", array_type_name(span.type)), text_of("a ", array_type_name(type)));
  if (output && span.shared) fail("backed by a SharedArrayBuffer", "an array without shared memory, because the call writes it");
  if (span.detached) fail("detached: its ArrayBuffer was transferred away", text_of("a ", array_type_name(type), " of length ", length));
  if (span.length != length) fail(text_of("of length ", span.length), text_of(length));
  return span;
}

}  // namespace

Span input_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length) {
  return checked_span(where, value, type, length, false);
}

Span output_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, int64_t length) {
  return checked_span(where, value, type, length, true);
}

Napi::Error to_error(Napi::Env env, const char* code, const std::string& text) {
  const Environment* environment = env.GetInstanceData<Environment>();
  const Library* library = environment != nullptr ? environment->library() : nullptr;
  const Napi::Function error_class = library != nullptr ? library->error_class.Value() : Napi::Function();
  if (!error_class.IsEmpty()) {
    const Napi::Value error = error_class.New({Napi::String::New(env, code), Napi::String::New(env, text)});
    if (error.IsObject()) return Napi::Error(env, error);
  }
  Napi::Error error = Napi::Error::New(env, text);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Error to_error(Napi::Env env, const Failure& failure) { return to_error(env, code_name(failure.code), failure.what()); }

}  // namespace multigate::addon
