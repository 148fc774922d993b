// The CPU backend's table: run-time checks. No exception crosses the contract.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>

#include "abi/aligned.h"
#include "cpu/features.h"
#include "cpu/plan.h"

struct mg_plan : mg::Plan {};

namespace mg {
namespace {

mg_status fail(mg_error* error, mg_status status, const char* text) noexcept {
  if (error) std::snprintf(error->text, sizeof error->text, "%s", text);
  return status;
}

template <class Body>
mg_status guarded(mg_error* error, const Body& body) noexcept {
  try {
    body();
    return MG_OK;
  } catch (const std::bad_alloc&) {
    return fail(error, MG_OUT_OF_MEMORY, "the CPU backend could not allocate the memory it needs");
  } catch (const std::invalid_argument& problem) {
    return fail(error, MG_UNSUPPORTED, problem.what());
  } catch (const std::exception& problem) {
    return fail(error, MG_INTERNAL, problem.what());
  }
}

mg_status available(mg_error*) noexcept { return MG_OK; }
void describe(mg_device_info* info) noexcept { *info = {}; }
void forget(uint64_t) noexcept {}

mg_status allocate(int64_t elements, void** data, mg_error* error) noexcept {
  // Room for a whole vector at the last element, rounded up to the alignment.
  if (elements < 0 || elements > (int64_t{1} << 59)) return fail(error, MG_OUT_OF_MEMORY, "more elements than memory can hold");
  const size_t bytes = static_cast<size_t>(padded(elements) + kPad) * sizeof(float);
  *data = mg_aligned_zeroed(bytes);
  if (!*data) {
    char text[96];
    std::snprintf(text, sizeof text, "could not allocate %zu bytes of host memory", bytes);
    return fail(error, MG_OUT_OF_MEMORY, text);
  }
  return MG_OK;
}

void release(void* data) noexcept { mg_aligned_delete(data); }

mg_status write(void* data, int64_t offset, const void* from, int64_t elements, mg_error*) noexcept {
  std::memcpy(static_cast<float*>(data) + offset, from, static_cast<size_t>(elements) * sizeof(float));
  return MG_OK;
}

mg_status read(const void* data, int64_t offset, void* to, int64_t elements, mg_error*) noexcept {
  std::memcpy(to, static_cast<const float*>(data) + offset, static_cast<size_t>(elements) * sizeof(float));
  return MG_OK;
}

void compile_each(PlanBuilder& builder, const mg_op& op) {
  switch (op.kind) {
#define MG_COMPILE_(name, phase) \
  case MG_OP_##name: return compile_op(builder, op.fields.name);
    MG_OPS(MG_COMPILE_)
#undef MG_COMPILE_
  }
  throw std::invalid_argument("an op is unknown to this backend");
}

mg_status compile(const mg_program* program, const mg_compile_options* options, mg_plan** out, mg_error* error) noexcept {
  const char* isa = options ? options->isa : nullptr;
  const Kernels* kernels = find_kernels(isa);
  if (!kernels) {
    std::string text = std::string("isa '") + isa + "' cannot run on this machine; expected one of";
    for (const char* const* name = runnable_isas(); *name; name++) text += std::string(" ") + *name;
    return fail(error, MG_UNSUPPORTED, text.c_str());
  }
  const int32_t precision = options ? options->precision : MG_PRECISION_F32;
  if (precision != MG_PRECISION_F32 && precision != MG_PRECISION_BF16)
    return fail(error, MG_UNSUPPORTED, "the CPU computes in 'float32' and 'bfloat16'; other precisions need a GPU");
  return guarded(error, [&] {
    auto plan = std::make_unique<mg_plan>();
    plan->kernels = kernels;
    plan->bfloat16 = precision == MG_PRECISION_BF16;
    plan->buffers.assign(program->buffers, program->buffers + program->buffer_count);
    plan->scalar_inputs = program->scalar_inputs;
    plan->scalar_outputs = program->scalar_outputs;
    for (uint32_t i = 0; i < program->buffer_count; i++) {
      if (program->buffers[i].buffer_class == MG_PARAMETER) plan->parameter_buffer = static_cast<int32_t>(i);
      if (program->buffers[i].buffer_class == MG_GRADIENT) plan->has_gradients = true;
    }
    PlanBuilder builder(*plan);
    for (uint32_t i = 0; i < program->op_count; i++) compile_each(builder, program->ops[i]);
    builder.finish();
    plan->pool = Pool::shared();
    *out = plan.release();
  });
}

mg_status run(mg_plan* plan, const mg_run* arguments, mg_error* error) noexcept {
  return guarded(error, [&] { execute(*plan, *arguments); });
}

mg_status read_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, void* to, mg_error*) noexcept {
  const int64_t width = plan->buffers[static_cast<size_t>(buffer)].width;
  const RowPointer from = stored_at(*plan, buffer, first_row);
  for (int64_t r = 0; r < rows; r++) std::copy_n(from.data + r * from.stride, width, static_cast<float*>(to) + r * width);
  return MG_OK;
}

mg_status write_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, const void* from, mg_error*) noexcept {
  const int64_t width = plan->buffers[static_cast<size_t>(buffer)].width;
  const RowPointer to = stored_at(*plan, buffer, first_row);
  for (int64_t r = 0; r < rows; r++) std::copy_n(static_cast<const float*>(from) + r * width, width, to.data + r * to.stride);
  return MG_OK;
}

void info(const mg_plan* plan, int64_t rows, mg_plan_info* out) noexcept {
  out->block_rows = plan->block_rows_for(rows);
  out->slots = !plan->has_gradients ? 0 : plan->slot_count(rows);
  out->arena_bytes = plan->arena_floats() * 4;
  out->stored_bytes = plan->stored_row_floats * rows * 4;
  out->emulated = plan->bfloat16 && !plan->kernels->multiplies_bfloat16;
  out->isa = plan->kernels->name;
}

void destroy(mg_plan* plan) noexcept { delete plan; }

#pragma GCC diagnostic error "-Wmissing-field-initializers"
const mg_backend kBackend = {
    .abi_version = MG_ABI_VERSION,
    .element = MG_F32,
    .name = "cpu",
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
}  // namespace mg

extern "C" const mg_backend* mg_cpu_backend(void) MG_NOEXCEPT { return &mg::kBackend; }

extern "C" const char* const* mg_cpu_isas(void) MG_NOEXCEPT { return mg::runnable_isas(); }

extern "C" double mg_cpu_peak(const char* isa, int32_t threads) MG_NOEXCEPT {
  const mg::Kernels* kernels = mg::find_kernels(isa);
  if (!kernels || threads < 1) return -1;
  double best = 0;
  try {
    const auto pool = mg::Pool::shared();
    for (int attempt = 0; attempt < 5; attempt++) {
      mg::Team& team = pool->gather(threads);
      const auto start = std::chrono::steady_clock::now();
      std::vector<double> flops(static_cast<size_t>(threads) * 16);
      team.parallel(threads * 16, [&](int64_t unit, int) { flops[static_cast<size_t>(unit)] = kernels->peak(400'000); });
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      pool->dismiss(team);
      double total = 0;
      for (const double count : flops) total += count;
      best = total / seconds / 1e9 > best ? total / seconds / 1e9 : best;
    }
  } catch (const std::exception&) {
    return -1;
  }
  return best;
}
