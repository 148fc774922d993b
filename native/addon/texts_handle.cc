// The Texts class of JavaScript: NativeTexts in lib/native/binding.ts.
#include <algorithm>
#include <string_view>

#include "addon/environment.h"
#include "addon/handles.h"

namespace multigate::addon {
namespace {

/// Elements that one call of `advanceOrder` works on.
constexpr int64_t kMostWork = int64_t{1} << 24;
constexpr int64_t kMostTextsAtOnce = int64_t{1} << 24;

/// The UTF-8 of a JavaScript text.
class Utf8 {
 public:
  /// @throws Failure unless the value is a text.
  explicit Utf8(const Where& where, const Napi::Value& value) {
    size_t length = 0;
    if (napi_get_value_string_utf8(value.Env(), value, short_, sizeof short_, &length) != napi_ok) wrong(where, value, "a string");
    // A text that fills the buffer may have been cut, up to three bytes early.
    if (length + 4 < sizeof short_) {
      text_ = {short_, length};
    } else {
      napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &length);
      long_.resize(length + 1);
      napi_get_value_string_utf8(value.Env(), value, long_.data(), long_.size(), &length);
      text_ = {long_.data(), length};
    }
    // Node-API writes U+FFFD for half of a surrogate pair.
    whole_ = text_.find("\xEF\xBF\xBD") == std::string_view::npos || is_well_formed(value);
  }

  std::string_view text() const { return text_; }
  /// Whether the text has no half of a surrogate pair, which UTF-8 cannot hold.
  bool whole() const { return whole_; }

 private:
  static bool is_well_formed(const Napi::Value& value) {
    const std::u16string units = value.As<Napi::String>().Utf16Value();
    for (size_t at = 0; at < units.size(); ++at) {
      if (units[at] < 0xD800 || units[at] > 0xDFFF) continue;
      if (units[at] > 0xDBFF || at + 1 == units.size() || units[at + 1] < 0xDC00 || units[at + 1] > 0xDFFF) return false;
      ++at;
    }
    return true;
  }

  char short_[256];
  std::string long_;
  std::string_view text_;
  bool whole_ = true;
};

Napi::Value number_of(Napi::Env env, int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

/// A span of a known type, of any length.
Span typed_span(const Where& where, const Napi::Value& value, napi_typedarray_type type, bool output) {
  const int64_t length = span_of(where, value, array_type_name(type)).length;
  return output ? output_span(where, value, type, length) : input_span(where, value, type, length);
}

/// The numbers that `find` gives the texts of an array. -1 for a text that UTF-8 cannot hold.
template <class Find>
std::vector<int32_t> numbers_of(const Napi::Value& value, Find find) {
  const Where root("texts");
  const Napi::Array texts = to_array(root, value, kMostTextsAtOnce);
  std::vector<int32_t> numbers(texts.Length());
  for (size_t at = 0; at < numbers.size(); ++at) {
    const Napi::HandleScope scope(value.Env());
    const Utf8 text(Where(root, static_cast<int64_t>(at)), texts.Get(static_cast<uint32_t>(at)));
    numbers[at] = text.whole() ? static_cast<int32_t>(find(text.text())) : -1;
  }
  return numbers;
}

void write_numbers(const Napi::Value& into, const std::vector<int32_t>& numbers) {
  const Span span = output_span(Where("into"), into, napi_int32_array, static_cast<int64_t>(numbers.size()));
  std::copy(numbers.begin(), numbers.end(), static_cast<int32_t*>(span.data));
}

}  // namespace

const napi_type_tag TextsHandle::kTag = {0x51d0e2a97bc34f68ULL, 0x8a3f6c1d24e7b905ULL};

Napi::Function TextsHandle::define(Napi::Env env) {
  return DefineClass(
      env, kName,
      {instance_getter<&TextsHandle::size>("size"), instance_method<&TextsHandle::index_of>("indexOf"), instance_method<&TextsHandle::add>("add"),
       instance_method<&TextsHandle::index_of_all>("indexOfAll"), instance_method<&TextsHandle::add_all>("addAll"),
       instance_method<&TextsHandle::at>("at"), instance_method<&TextsHandle::add_from>("addFrom"),
       instance_method<&TextsHandle::add_bytes>("addBytes"), instance_method<&TextsHandle::read_lengths>("readLengths"),
       instance_method<&TextsHandle::read_bytes>("readBytes"), instance_method<&TextsHandle::begin_order>("beginOrder"),
       instance_method<&TextsHandle::advance_order>("advanceOrder"), instance_method<&TextsHandle::end_order>("endOrder")});
}

TextsHandle::TextsHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<Texts>(); })) {}

void TextsHandle::account_growth(Napi::Env env) {
  const int64_t bytes = live().bytes();
  if (bytes == reported_) return;
  account(env, bytes - reported_);
  reported_ = bytes;
}

TextOrder& TextsHandle::order() const {
  if (order_ == nullptr) throw Failure(Code::argument, "no order is in work, expected a call of beginOrder before");
  return *order_;
}

Napi::Value TextsHandle::size(const Napi::CallbackInfo& info) { return number_of(info.Env(), live().size()); }

Napi::Value TextsHandle::index_of(const Napi::CallbackInfo& info) {
  const Utf8 text(Where("text"), info[0]);
  return number_of(info.Env(), text.whole() ? live().index_of(text.text()) : -1);
}

Napi::Value TextsHandle::add(const Napi::CallbackInfo& info) {
  const Utf8 text(Where("text"), info[0]);
  const int64_t number = text.whole() ? live().add(text.text()) : -1;
  account_growth(info.Env());
  return number_of(info.Env(), number);
}

Napi::Value TextsHandle::index_of_all(const Napi::CallbackInfo& info) {
  const Texts& texts = live();
  write_numbers(info[1], numbers_of(info[0], [&](std::string_view text) { return texts.index_of(text); }));
  return info.Env().Undefined();
}

Napi::Value TextsHandle::add_all(const Napi::CallbackInfo& info) {
  Texts& texts = live();
  write_numbers(info[1], numbers_of(info[0], [&](std::string_view text) { return texts.add(text); }));
  account_growth(info.Env());
  return info.Env().Undefined();
}

Napi::Value TextsHandle::at(const Napi::CallbackInfo& info) {
  const std::string_view text = live().at(to_integer(Where("number"), info[0]));
  return Napi::String::New(info.Env(), text.data(), text.size());
}

Napi::Value TextsHandle::add_from(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Texts> other = object_of(Where("other"), info[0]);
  const Span numbers = typed_span(Where("numbers"), info[1], napi_int32_array, false);
  for (int64_t at = 0; at < numbers.length; ++at) live().add_from(*other, static_cast<const int32_t*>(numbers.data)[at]);
  account_growth(info.Env());
  return info.Env().Undefined();
}

Napi::Value TextsHandle::add_bytes(const Napi::CallbackInfo& info) {
  const Span bytes = typed_span(Where("bytes"), info[0], napi_uint8_array, false);
  const Span ends = typed_span(Where("ends"), info[1], napi_float64_array, false);
  double start = 0;
  for (int64_t at = 0; at < ends.length; ++at) {
    const double end = static_cast<const double*>(ends.data)[at];
    if (!(end >= start && end <= static_cast<double>(bytes.length)) || end != static_cast<double>(static_cast<int64_t>(end)))
      throw Failure(Code::argument, text_of("ends[", at, "] is ", end, ", expected an integer in [", start, ", ", bytes.length, "]"));
    const std::string_view text(static_cast<const char*>(bytes.data) + static_cast<int64_t>(start), static_cast<size_t>(end - start));
    // Other threads may write shared memory: check the copy.
    const std::string copy = bytes.shared ? std::string(text) : std::string();
    const std::string_view checked = bytes.shared ? std::string_view(copy) : text;
    if (utf8_prefix(checked) < checked.size()) return number_of(info.Env(), at);
    live().add(checked);
    start = end;
  }
  account_growth(info.Env());
  return number_of(info.Env(), ends.length);
}

Napi::Value TextsHandle::read_lengths(const Napi::CallbackInfo& info) {
  const int64_t first = to_integer(Where("first"), info[0]);
  const Span into = typed_span(Where("into"), info[1], napi_int32_array, true);
  for (int64_t at = 0; at < into.length; ++at) static_cast<int32_t*>(into.data)[at] = static_cast<int32_t>(live().at(first + at).size());
  return info.Env().Undefined();
}

Napi::Value TextsHandle::read_bytes(const Napi::CallbackInfo& info) {
  const int64_t first = to_integer(Where("first"), info[0]);
  const int64_t count = to_integer(Where("count"), info[1], 0, live().size());
  const Span into = typed_span(Where("into"), info[2], napi_uint8_array, true);
  int64_t done = 0;
  for (int64_t at = 0; at < count; ++at) {
    const std::string_view text = live().at(first + at);
    const auto length = static_cast<int64_t>(text.size());
    if (length > into.length - done)
      throw Failure(Code::argument, text_of("into is of length ", into.length, ", expected room for ", count, " texts from number ", first));
    text.copy(static_cast<char*>(into.data) + done, text.size());
    done += length;
  }
  return number_of(info.Env(), done);
}

Napi::Value TextsHandle::begin_order(const Napi::CallbackInfo& info) {
  const Span numbers = typed_span(Where("numbers"), info[0], napi_int32_array, false);
  const Span counts = typed_span(Where("counts"), info[1], napi_float64_array, false);
  if (counts.length < live().size())
    throw Failure(Code::argument, text_of("counts is of length ", counts.length, ", expected at least ", live().size(), ", one per text"));
  order_ = std::make_unique<TextOrder>(live(), static_cast<const int32_t*>(numbers.data), numbers.length, static_cast<const double*>(counts.data));
  return info.Env().Undefined();
}

Napi::Value TextsHandle::advance_order(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), order().advance(to_integer(Where("work"), info[0], 1, kMostWork)));
}

Napi::Value TextsHandle::end_order(const Napi::CallbackInfo& info) {
  const Span into = output_span(Where("into"), info[0], napi_int32_array, order().length());
  while (!order().advance(kMostWork)) {
  }
  order().write(static_cast<int32_t*>(into.data));
  order_.reset();
  return info.Env().Undefined();
}

}  // namespace multigate::addon
