#include "selftest/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "engine/reflect.h"

namespace selftest {

mg_view Program::buffer(mg_buffer_class kind, int64_t width, int64_t count, mg_dtype dtype) {
  buffers.push_back({kind, dtype, width, count});
  floats.emplace_back();
  ints.emplace_back();
  return {static_cast<int32_t>(buffers.size()) - 1, 0, width};
}

mg_view Program::input(int64_t width, std::vector<float> values) {
  const mg_view view = buffer(MG_ROW_INPUT, width, 0);
  floats.back() = std::move(values);
  return view;
}

mg_view Program::ids(int64_t width, std::vector<int32_t> values) {
  const mg_view view = buffer(MG_ROW_INPUT, width, 0, MG_I32);
  ints.back() = std::move(values);
  return view;
}

mg_view Program::parameter(const std::vector<float>& values) {
  if (parameter_buffer < 0) parameter_buffer = buffer(MG_PARAMETER, 1, 0).buffer;
  auto& store = floats[static_cast<size_t>(parameter_buffer)];
  const mg_view view{parameter_buffer, static_cast<int64_t>(store.size()), static_cast<int64_t>(values.size())};
  store.insert(store.end(), values.begin(), values.end());
  return view;
}

mg_view Program::state(std::vector<float> values) {
  const auto count = static_cast<int64_t>(values.size());
  mg_view view = buffer(MG_STATE, 1, count);
  floats.back() = std::move(values);
  view.width = count;
  return view;
}

mg_view Program::table(int64_t dim, std::vector<float> values) {
  const mg_view view = buffer(MG_TABLE, dim, static_cast<int64_t>(values.size()) / dim);
  floats.back() = std::move(values);
  return view;
}

int64_t Program::scalar(double value) {
  scalars.push_back(value);
  return static_cast<int64_t>(scalars.size()) - 1;
}

mg_views Program::list(std::vector<mg_view> views) {
  view_lists_.push_back(std::move(views));
  return {view_lists_.back().data(), static_cast<uint32_t>(view_lists_.back().size())};
}

mg_ints Program::list(std::vector<int64_t> values) {
  int_lists_.push_back(std::move(values));
  return {int_lists_.back().data(), static_cast<uint32_t>(int_lists_.back().size())};
}

void Program::close_store(int count, int combined) {
  const auto number = static_cast<size_t>(parameter_buffer);
  store_length = static_cast<int64_t>(floats[number].size());
  buffers[number].count = store_length;
  for (int k = 0; k < count + combined; k++) {
    const mg_view view = buffer(MG_GRADIENT, 1, store_length);
    if (k == 0) gradient_buffer = view.buffer;
  }
  for (mg_op& op : ops)
    for (const multigate::Field& field : multigate::op_kinds()[static_cast<size_t>(op.kind)].fields) {
      if (field.type != multigate::FieldType::view) continue;
      mg_view& view = multigate::field_of<mg_view>(op, field);
      if (view.buffer <= kGradients.buffer) view = gradients(kGradients.buffer - view.buffer);
    }
  for (int32_t k = 0; k < count; k++) add(mg_reduce_gradients{gradients(k)});
}

namespace {

bool is_row_class(const mg_buffer& buffer) { return buffer.buffer_class <= MG_STORED; }

/// Frees a backend's allocations, even if the run fails.
struct Memory {
  const mg_backend* backend;
  void* data = nullptr;
  ~Memory() {
    if (data) backend->release(data);
  }
};

template <class Element>
struct Runner {
  const Program& program;
  const Place& place;
  const RunOptions& options;
  mg_error error{};

  Result fail() const {
    Result result;
    result.failure = error.text;
    return result;
  }

  /// Puts the inputs of a row side by side, with unrelated values between rows. Returns the row stride.
  int64_t lay_side_by_side(std::vector<float>& rows, std::vector<void*>& data) const {
    const auto is_input = [&](size_t i) { return program.buffers[i].buffer_class == MG_ROW_INPUT; };
    int64_t stride = 1;
    for (size_t i = 0; i < data.size(); i++)
      if (is_input(i)) stride += program.buffers[i].width;
    rows.assign(static_cast<size_t>(program.rows * stride), 1e30f);
    float* to = rows.data();
    for (size_t i = 0; i < data.size(); i++) {
      if (!is_input(i)) continue;
      const int64_t width = program.buffers[i].width;
      const void* from = program.buffers[i].dtype == MG_I32 ? static_cast<const void*>(program.ints[i].data()) : program.floats[i].data();
      for (int64_t r = 0; r < program.rows; r++)
        std::memcpy(to + r * stride, static_cast<const float*>(from) + r * width, static_cast<size_t>(width) * sizeof(float));
      data[i] = to;
      to += width;
    }
    return stride;
  }

  bool is_written_whole(size_t number) const {
    std::vector<bool> written(static_cast<size_t>(program.buffers[number].width), false);
    for (const mg_op& op : program.ops)
      for (const multigate::Field& field : multigate::op_kinds()[static_cast<size_t>(op.kind)].fields) {
        const bool is_one = field.type == multigate::FieldType::view, is_list = field.type == multigate::FieldType::views;
        const mg_view* views = is_one ? &multigate::field_of<mg_view>(op, field) : is_list ? multigate::field_of<mg_views>(op, field).items : nullptr;
        for (uint32_t k = 0; k < (is_one ? 1 : is_list ? multigate::field_of<mg_views>(op, field).count : 0); k++)
          if (views[k].buffer == static_cast<int32_t>(number)) std::fill_n(written.begin() + views[k].offset, views[k].width, true);
      }
    return std::find(written.begin(), written.end(), false) == written.end();
  }

  Result operator()() {
    const mg_backend& backend = *place.backend;
    const mg_program compiled{program.buffers.data(),
                              static_cast<uint32_t>(program.buffers.size()),
                              program.ops.data(),
                              static_cast<uint32_t>(program.ops.size()),
                              static_cast<uint32_t>(program.scalars.size()),
                              static_cast<uint32_t>(program.scalar_outputs)};
    const mg_compile_options choice{place.isa.empty() ? nullptr : place.isa.c_str(), place.precision};
    mg_plan* plan = nullptr;
    if (backend.compile(&compiled, &choice, &plan, &error) != MG_OK) return fail();
    struct Destroy {
      const mg_backend& backend;
      mg_plan* plan;
      ~Destroy() { backend.destroy(plan); }
    } destroy{backend, plan};

    const size_t count = program.buffers.size();
    std::vector<void*> data(count, nullptr);
    std::vector<std::vector<Element>> outputs(count);
    std::deque<Memory> memories;
    std::vector<float> rows;
    const int64_t row_stride = options.side_by_side ? lay_side_by_side(rows, data) : 0;
    for (size_t i = 0; i < count; i++) {
      const mg_buffer& buffer = program.buffers[i];
      if (buffer.buffer_class == MG_ROW_INPUT) {
        if (!options.side_by_side)
          data[i] = buffer.dtype == MG_I32 ? const_cast<int32_t*>(program.ints[i].data())
                                           : static_cast<void*>(const_cast<float*>(program.floats[i].data()));
      } else if (buffer.buffer_class == MG_ROW_OUTPUT) {
        // Outputs that ops write whole start as NaN, so a missing write shows. The others start at 0, as a caller would clear them.
        outputs[i].resize(static_cast<size_t>(program.rows * buffer.width), static_cast<Element>(is_written_whole(i) ? NAN : 0));
        data[i] = outputs[i].data();
      } else if (!is_row_class(buffer)) {
        memories.push_back({&backend});
        const std::vector<Element> initial(program.floats[i].begin(), program.floats[i].end());
        if (backend.allocate(buffer.count * buffer.width, &memories.back().data, &error) != MG_OK) return fail();
        if (!initial.empty() && backend.write(memories.back().data, 0, initial.data(), static_cast<int64_t>(initial.size()), &error) != MG_OK)
          return fail();
        data[i] = memories.back().data;
      }
    }

    Result result;
    result.scalars.resize(static_cast<size_t>(program.scalar_outputs));
    mg_run request{};
    request.rows = program.rows;
    request.data = data.data();
    request.row_index = options.row_index;
    request.row_stride = row_stride;
    request.scalars_in = program.scalars.data();
    request.scalars_out = result.scalars.data();
    request.parameter_version = 1;
    request.threads = options.threads;
    int first = MG_PHASE_ROWS;
    const auto run_to = [&](int last) {
      request.first_phase = first, request.last_phase = last;
      first = last + 1;
      return backend.run(plan, &request, &error) == MG_OK;
    };
    for (const int cut : options.cuts) {
      if (!run_to(cut - 1)) return fail();
      if (options.between) options.between({&backend, plan, data, cut});
    }
    if (!run_to(MG_PHASE_TABLES)) return fail();

    result.buffers.resize(count);
    for (size_t i = 0; i < count; i++) {
      const mg_buffer& buffer = program.buffers[i];
      std::vector<Element> values = std::move(outputs[i]);
      if (!is_row_class(buffer)) {
        values.resize(static_cast<size_t>(buffer.count * buffer.width));
        if (backend.read(data[i], 0, values.data(), static_cast<int64_t>(values.size()), &error) != MG_OK) return fail();
      }
      result.buffers[i].assign(values.begin(), values.end());
    }
    return result;
  }
};

}  // namespace

namespace {

/// Converts `values` to the backend's element type, calls `call` and converts back.
template <class Call>
void with_elements(const mg_backend& backend, std::vector<double>& values, const Call& call) {
  mg_error error{};
  std::vector<float> narrow(values.begin(), values.end());
  const bool doubles = backend.element == MG_F64;
  if (call(doubles ? static_cast<void*>(values.data()) : narrow.data(), &error) != MG_OK) throw std::runtime_error(error.text);
  if (!doubles) values.assign(narrow.begin(), narrow.end());
}

}  // namespace

std::vector<double> Between::read(const mg_buffer& buffer, int32_t number) const {
  std::vector<double> values(static_cast<size_t>(buffer.count * buffer.width));
  with_elements(*backend, values, [&](void* to, mg_error* error) {
    return backend->read(data[static_cast<size_t>(number)], 0, to, static_cast<int64_t>(values.size()), error);
  });
  return values;
}

void Between::write(int32_t number, const std::vector<double>& values) const {
  std::vector<double> copy = values;
  with_elements(*backend, copy, [&](void* from, mg_error* error) {
    return backend->write(data[static_cast<size_t>(number)], 0, from, static_cast<int64_t>(values.size()), error);
  });
}

std::vector<double> Between::read_stored(const mg_buffer& buffer, int32_t number, int64_t first, int64_t rows) const {
  std::vector<double> values(static_cast<size_t>(rows * buffer.width));
  with_elements(*backend, values, [&](void* to, mg_error* error) { return backend->read_stored(plan, number, first, rows, to, error); });
  return values;
}

void Between::write_stored(const mg_buffer& buffer, int32_t number, int64_t first, const std::vector<double>& values) const {
  std::vector<double> copy = values;
  with_elements(*backend, copy, [&](void* from, mg_error* error) {
    return backend->write_stored(plan, number, first, static_cast<int64_t>(values.size()) / buffer.width, from, error);
  });
}

Result run(const Program& program, const Place& place, const RunOptions& options) {
  if (place.backend->element == MG_F64) return Runner<double>{program, place, options}();
  return Runner<float>{program, place, options}();
}

}  // namespace selftest
