// The reference backend's table: keeps a copy of the program and runs it op by op over all rows.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "abi/aligned.h"
#include "reference/state.h"

/// A program that owns its lists.
struct mg_plan {
  std::vector<mg_buffer> buffers;
  std::vector<mg_op> ops;
  std::vector<std::unique_ptr<mg_view[]>> views;
  std::vector<std::unique_ptr<int64_t[]>> ints;
  std::vector<std::vector<double>> owned;
  uint32_t scalar_outputs = 0;
  bool bfloat16 = false;

  void keep(mg_views& list) {
    views.push_back(std::make_unique<mg_view[]>(list.count));
    std::copy_n(list.items, list.count, views.back().get());
    list.items = views.back().get();
  }
  void keep(mg_ints& list) {
    ints.push_back(std::make_unique<int64_t[]>(list.count));
    std::copy_n(list.items, list.count, ints.back().get());
    list.items = ints.back().get();
  }
};

namespace reference {
namespace {

#define MG_SKIP_(name)
#define MG_KEEP_(name) plan.keep(op.name);
#define MG_KEEP_LISTS_(name, phase)                                                                  \
  [[maybe_unused]] void keep_lists([[maybe_unused]] mg_plan& plan, [[maybe_unused]] mg_##name& op) { \
    MG_FIELDS_##name(MG_SKIP_, MG_KEEP_, MG_SKIP_, MG_KEEP_, MG_SKIP_, MG_SKIP_)                     \
  }
MG_OPS(MG_KEEP_LISTS_)

mg_status fail(mg_error* error, mg_status status, const char* text) noexcept {
  if (error) std::snprintf(error->text, sizeof error->text, "%s", text);
  return status;
}

mg_status available(mg_error*) noexcept { return MG_OK; }
void describe(mg_device_info* info) noexcept { *info = {}; }
void forget(uint64_t) noexcept {}

mg_status allocate(int64_t elements, void** data, mg_error* error) noexcept {
  if (elements < 0 || elements > (int64_t{1} << 58)) return fail(error, MG_OUT_OF_MEMORY, "more elements than memory can hold");
  *data = mg_aligned_zeroed(static_cast<size_t>(elements) * sizeof(double));
  if (!*data) return fail(error, MG_OUT_OF_MEMORY, "could not allocate host memory");
  return MG_OK;
}

void release(void* data) noexcept { mg_aligned_delete(data); }

mg_status write(void* data, int64_t offset, const void* from, int64_t elements, mg_error*) noexcept {
  std::memcpy(static_cast<double*>(data) + offset, from, static_cast<size_t>(elements) * sizeof(double));
  return MG_OK;
}

mg_status read(const void* data, int64_t offset, void* to, int64_t elements, mg_error*) noexcept {
  std::memcpy(to, static_cast<const double*>(data) + offset, static_cast<size_t>(elements) * sizeof(double));
  return MG_OK;
}

mg_status compile(const mg_program* program, const mg_compile_options* options, mg_plan** out, mg_error* error) noexcept {
  const int32_t precision = options ? options->precision : MG_PRECISION_F32;
  if (precision != MG_PRECISION_F32 && precision != MG_PRECISION_BF16)
    return fail(error, MG_UNSUPPORTED,
                "the reference backend computes in 'float32' (as float64) and 'bfloat16'; use another backend for other precisions");
  try {
    auto plan = std::make_unique<mg_plan>();
    plan->buffers.assign(program->buffers, program->buffers + program->buffer_count);
    plan->ops.assign(program->ops, program->ops + program->op_count);
    plan->owned.resize(program->buffer_count);
    plan->bfloat16 = precision == MG_PRECISION_BF16;
    plan->scalar_outputs = program->scalar_outputs;
    for (mg_op& op : plan->ops) switch (op.kind) {
#define MG_KEEP_OP_(name, phase) \
  case MG_OP_##name: keep_lists(*plan, op.fields.name); break;
        MG_OPS(MG_KEEP_OP_)
      }
    *out = plan.release();
    return MG_OK;
  } catch (const std::bad_alloc&) {
    return fail(error, MG_OUT_OF_MEMORY, "the reference backend could not allocate the memory it needs");
  }
}

/// Makes room for the rows. Sums of gradients and scalar outputs start at 0.
void begin(mg_plan& plan, const mg_run& run) {
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    const mg_buffer& buffer = plan.buffers[i];
    if (buffer.buffer_class == MG_ACTIVATION || buffer.buffer_class == MG_STORED)
      plan.owned[i].resize(static_cast<size_t>(run.rows * buffer.width));
    else if (buffer.buffer_class == MG_GRADIENT)
      plan.owned[i].assign(static_cast<size_t>(buffer.count), 0.0);
  }
  std::fill_n(run.scalars_out, plan.scalar_outputs, 0.0);
}

mg_status run(mg_plan* plan, const mg_run* run, mg_error* error) noexcept {
  try {
    if (run->first_phase == MG_PHASE_ROWS) begin(*plan, *run);
    State state{plan->buffers, plan->owned, *run, plan->bfloat16};
    const auto runs = [run](mg_phase phase) { return run->first_phase <= phase && phase <= run->last_phase; };
    for (const mg_op& op : plan->ops) switch (op.kind) {
#define MG_RUN_OP_(name, phase)                                \
  case MG_OP_##name:                                           \
    if (runs(MG_PHASE_##phase)) run_op(state, op.fields.name); \
    break;
        MG_OPS(MG_RUN_OP_)
      }
    return MG_OK;
  } catch (const std::bad_alloc&) {
    return fail(error, MG_OUT_OF_MEMORY, "the reference backend could not allocate the memory it needs");
  }
}

double* stored(mg_plan* plan, int32_t buffer, int64_t first_row) {
  return plan->owned[static_cast<size_t>(buffer)].data() + first_row * plan->buffers[static_cast<size_t>(buffer)].width;
}

mg_status read_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, void* to, mg_error*) noexcept {
  std::copy_n(stored(plan, buffer, first_row), rows * plan->buffers[static_cast<size_t>(buffer)].width, static_cast<double*>(to));
  return MG_OK;
}

mg_status write_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, const void* from, mg_error*) noexcept {
  std::copy_n(static_cast<const double*>(from), rows * plan->buffers[static_cast<size_t>(buffer)].width, stored(plan, buffer, first_row));
  return MG_OK;
}

void info(const mg_plan* plan, int64_t rows, mg_plan_info* out) noexcept {
  int64_t bytes = 0;
  for (const mg_buffer& buffer : plan->buffers)
    if (buffer.buffer_class == MG_ACTIVATION || buffer.buffer_class == MG_STORED) bytes += rows * buffer.width * 8;
  *out = {0, 0, 0, bytes, plan->bfloat16, "float64"};
}

void destroy(mg_plan* plan) noexcept { delete plan; }

#pragma GCC diagnostic error "-Wmissing-field-initializers"
const mg_backend kBackend = {
    .abi_version = MG_ABI_VERSION,
    .element = MG_F64,
    .name = "reference",
    .available = available,
    .describe = describe,
    .allocate = allocate,
    .release = release,
    .write = write,
    .read = read,
    .compile = compile,
    .run = run,
    .read_stored = read_stored,
    .write_stored = write_stored,
    .info = info,
    .destroy = destroy,
    .forget = forget,
};

}  // namespace
}  // namespace reference

extern "C" const mg_backend* mg_reference_backend(void) MG_NOEXCEPT { return &reference::kBackend; }
