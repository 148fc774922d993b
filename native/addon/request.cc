// Run requests; see request.h.
#include "addon/request.h"

#include <functional>

#include "addon/handles.h"
#include "addon/values.h"

namespace multigate::addon {
namespace {

constexpr const char* kPlaces[] = {"auto", "device", "host", nullptr};  // in the order of mg_data_place

std::vector<Napi::Value> read_entries(const Where& where, const Napi::Value& value) {
  const Napi::Array array = to_array(where, value, kMaxBuffers);
  std::vector<Napi::Value> entries;
  const uint32_t length = array.Length();
  entries.reserve(length);
  for (uint32_t i = 0; i < length; ++i) entries.push_back(array.Get(i));
  return entries;
}

void check_entries(const char* field, size_t found, size_t expected, const char* what) {
  if (found != expected) {
    throw Failure(Code::argument, text_of(field, " has ", found, " entries, expected ", expected, ", one per ", what, " buffer"));
  }
}

napi_typedarray_type output_type(const Plan& plan) { return plan.backend().element == MG_F64 ? napi_float64_array : napi_float32_array; }

struct Range {
  const char* start;
  size_t bytes;
  bool overlaps(const Range& other) const {
    return bytes != 0 && other.bytes != 0 && std::less<>()(start, other.start + other.bytes) && std::less<>()(other.start, start + bytes);
  }
};

Range range_of(const Span& span) { return {static_cast<const char*>(span.data), static_cast<size_t>(span.length) * array_element_bytes(span.type)}; }

/// Sets the outputs' arrays. They must not overlap, or the results of two kernels would mix.
std::vector<Span> output_spans(const Request& request, const Plan& plan, const Step& step) {
  const Where root("outputs");
  const auto& buffers = plan.facts().row_outputs;
  check_entries("outputs", request.outputs.size(), buffers.size(), "row output");
  std::vector<Span> spans;
  spans.reserve(buffers.size());
  for (size_t k = 0; k < buffers.size(); ++k) {
    spans.push_back(output_span(Where(root, static_cast<int64_t>(k)), request.outputs[k], output_type(plan), step.elements(buffers[k])));
    for (size_t j = 0; j < k; ++j) {
      if (range_of(spans[j]).overlaps(range_of(spans[k]))) {
        throw Failure(Code::argument, text_of("outputs[", k, "] is memory of outputs[", j, "], expected memory of its own"));
      }
    }
  }
  return spans;
}

/// How a step reads its rows. Now: floats in place, unless others may write them meanwhile. In its turn: after earlier requests.
/// In phases: from copies, in the rows' current order, because the first phase may come at any time.
enum class Reading { now, in_turn, in_phases };

/// Sets the row inputs' arrays or columns.
void fill_inputs(const Request& request, const Plan& plan, Step& step, const std::vector<Span>& outputs, Reading reading) {
  if (request.from_columns) {
    const std::shared_ptr<Columns> columns = ColumnsHandle::object_of(Where("columns"), request.columns);
    if (reading != Reading::in_turn && request.shuffled && columns->shuffling())
      throw Failure(Code::busy, "these columns are being shuffled; wait for it to end");
    step.use_columns(columns, request.column_of, request.start, request.shuffled, request.place);
    return;
  }
  const Where root("inputs");
  const auto& buffers = plan.facts().row_inputs;
  check_entries("inputs", request.inputs.size(), buffers.size(), "row input");
  for (size_t k = 0; k < buffers.size(); ++k) {
    const Where where(root, static_cast<int64_t>(k));
    const bool ids = plan.buffer(buffers[k]).dtype == MG_I32;
    const Span span = input_span(where, request.inputs[k], ids ? napi_int32_array : napi_float32_array, step.elements(buffers[k]));
    if (ids || reading != Reading::now || span.shared) {
      step.copy_input(buffers[k], span.data, ids ? where.text() : std::string());
      continue;
    }
    for (size_t j = 0; j < outputs.size(); ++j) {
      if (range_of(outputs[j]).overlaps(range_of(span))) {
        throw Failure(Code::argument, text_of("outputs[", j, "] is memory of inputs[", k, "], expected memory of its own"));
      }
    }
    step.borrow_input(buffers[k], static_cast<const float*>(span.data));
  }
}

void fill_scalars(const Request& request, const Plan& plan, Step& step) {
  const Span span = input_span(Where("scalars"), request.scalars, napi_float64_array, plan.scalar_inputs() * request.steps);
  step.set_scalars(static_cast<const double*>(span.data));
}

Request read_rows(const Napi::Object& object) {
  Request request;
  request.rows = to_integer(Where("rows"), property(object, "rows"), 1, kMaxRows);
  request.threads = static_cast<int>(to_integer(Where("threads"), property(object, "threads"), 1, kMaxThreads));
  const Napi::Value steps = property(object, "steps");
  if (!steps.IsUndefined()) request.steps = to_integer(Where("steps"), steps, 1, kMaxSteps);
  const Napi::Value milliseconds = property(object, "milliseconds");
  if (!milliseconds.IsUndefined()) request.milliseconds = to_integer(Where("milliseconds"), milliseconds, 0, kMaxMilliseconds);
  const Napi::Value inputs = property(object, "inputs");
  request.columns = property(object, "columns");
  request.from_columns = !request.columns.IsUndefined();
  if (request.from_columns == !inputs.IsUndefined()) {
    throw Failure(Code::argument, request.from_columns ? "inputs and columns are both given, expected one of them"
                                                       : "inputs and columns are both missing, expected one of them");
  }
  if (request.from_columns) {
    const Where columns("columnOf");
    for (const Napi::Value& entry : read_entries(columns, property(object, "columnOf"))) {
      request.column_of.push_back(to_integer(Where(columns, static_cast<int64_t>(request.column_of.size())), entry));
    }
    const Napi::Value start = property(object, "start");
    const Napi::Value shuffled = property(object, "shuffled");
    if (!start.IsUndefined()) request.start = to_integer(Where("start"), start, 0, kMaxRows);
    if (!shuffled.IsUndefined()) request.shuffled = to_boolean(Where("shuffled"), shuffled);
    const Napi::Value data = property(object, "data");
    if (!data.IsUndefined()) request.place = static_cast<mg_data_place>(to_choice(Where("data"), data, kPlaces));
  } else {
    if (request.steps != 1)
      throw Failure(Code::argument, text_of("steps is ", request.steps, ", expected 1 where inputs are arrays; for several steps use columns"));
    request.inputs = read_entries(Where("inputs"), inputs);
  }
  request.scalars = property(object, "scalars");
  return request;
}

}  // namespace

Request read_request(const Napi::Value& value) {
  const Napi::Object object = to_object(Where("request"), value);
  Request request = read_rows(object);
  request.outputs = read_entries(Where("outputs"), property(object, "outputs"));
  return request;
}

Request read_open_request(const Napi::Value& value) {
  const Request request = read_rows(to_object(Where("request"), value));
  if (request.steps != 1) throw Failure(Code::argument, text_of("steps is ", request.steps, ", expected 1: phases belong to one step"));
  return request;
}

void fill_in_place(const Request& request, const Plan& plan, Step& step) {
  const std::vector<Span> outputs = output_spans(request, plan, step);
  fill_inputs(request, plan, step, outputs, Reading::now);
  fill_scalars(request, plan, step);
  for (size_t k = 0; k < outputs.size(); ++k) step.borrow_output(plan.facts().row_outputs[k], outputs[k].data);
}

std::vector<AsyncRun::Output> fill_by_copy(const Request& request, const Plan& plan, Step& step) {
  const std::vector<Span> spans = output_spans(request, plan, step);
  fill_inputs(request, plan, step, spans, Reading::in_turn);
  fill_scalars(request, plan, step);
  std::vector<AsyncRun::Output> outputs;
  outputs.reserve(spans.size());
  for (size_t k = 0; k < spans.size(); ++k) {
    const int32_t buffer = plan.facts().row_outputs[k];
    step.own_output(buffer);
    outputs.push_back({buffer, spans[k].length, Napi::Reference<Napi::Value>::New(request.outputs[k], 1)});
  }
  return outputs;
}

void fill_open(const Request& request, const Plan& plan, Step& step) {
  fill_inputs(request, plan, step, {}, Reading::in_phases);
  fill_scalars(request, plan, step);
}

}  // namespace multigate::addon
