// The CUDA backend's table, the one symbol that the plug-in exports. Faults become statuses here; nothing throws beyond.
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>

#include "cuda/plan.h"

namespace mg_cuda {
namespace {

mg_status fail(mg_error* error, mg_status status, const char* text) noexcept {
  if (error != nullptr) std::snprintf(error->text, sizeof error->text, "%s", text);
  return status;
}

template <class Work>
mg_status guarded(mg_error* error, Work work) noexcept {
  try {
    work();
    return MG_OK;
  } catch (const Fault& fault) {
    return fail(error, fault.status, fault.text.c_str());
  } catch (const std::invalid_argument& wrong) {
    return fail(error, MG_INVALID, wrong.what());
  } catch (const std::bad_alloc&) {
    return fail(error, MG_OUT_OF_MEMORY, "the CUDA backend could not get the host memory it needs");
  } catch (const std::exception& other) {
    return fail(error, MG_INTERNAL, other.what());
  }
}

// What the engine holds as mg_plan* is a Plan; the name of the struct belongs to no backend alone.
Plan* plan_of(mg_plan* plan) { return reinterpret_cast<Plan*>(plan); }

Precision precision_of(const mg_compile_options* options) {
  switch (options != nullptr ? options->precision : MG_PRECISION_F32) {
    case MG_PRECISION_F32: return Precision::kFloat32;
    case MG_PRECISION_BF16: return Precision::kBfloat16;
    case MG_PRECISION_TF32: return Precision::kTf32;
    default: throw Fault{MG_UNSUPPORTED, "the CUDA backend computes products in 'float32', 'tf32' and 'bfloat16'"};
  }
}

mg_status available(mg_error* error) noexcept {
  return guarded(error, [] { device_facts(); });
}

mg_status allocate(int64_t elements, void** data, mg_error* error) noexcept {
  return guarded(error, [=] {
    device_facts();
    *data = device_allocate(static_cast<size_t>(elements) * sizeof(float));
  });
}

void release(void* data) noexcept { device_release(data); }

mg_status write(void* data, int64_t offset, const void* from, int64_t elements, mg_error* error) noexcept {
  return guarded(error, [=] { copy_to_device(static_cast<float*>(data) + offset, from, static_cast<size_t>(elements) * sizeof(float)); });
}

mg_status read(const void* data, int64_t offset, void* to, int64_t elements, mg_error* error) noexcept {
  return guarded(error, [=] { copy_from_device(to, static_cast<const float*>(data) + offset, static_cast<size_t>(elements) * sizeof(float)); });
}

mg_status compile(const mg_program* program, const mg_compile_options* options, mg_plan** out, mg_error* error) noexcept {
  return guarded(error, [=] {
    device_facts();
    auto plan = std::make_unique<Plan>();
    plan->buffers.assign(program->buffers, program->buffers + program->buffer_count);
    plan->scalar_inputs = program->scalar_inputs, plan->scalar_outputs = program->scalar_outputs;
    plan->precision = precision_of(options);
    for (uint32_t i = 0; i < program->buffer_count; i++) {
      if (program->buffers[i].buffer_class == MG_PARAMETER) plan->parameter_buffer = static_cast<int32_t>(i);
      if (program->buffers[i].buffer_class == MG_GRADIENT) plan->gradient_buffer = static_cast<int32_t>(i);
    }
    plan->stream = std::make_unique<Stream>();
    PlanBuilder builder(*plan, *program);
    for (uint32_t i = 0; i < program->op_count; i++) {
      const mg_op& op = program->ops[i];
      switch (op.kind) {
#define MG_COMPILE_OP_(name, phase) \
  case MG_OP_##name: compile_op(builder, op.fields.name); break;
        MG_OPS(MG_COMPILE_OP_)
#undef MG_COMPILE_OP_
        default: throw std::invalid_argument("the program has an op that this backend does not know");
      }
    }
    builder.finish();
    *out = reinterpret_cast<mg_plan*>(plan.release());
  });
}

mg_status run(mg_plan* plan, const mg_run* run, mg_error* error) noexcept {
  return guarded(error, [=] { execute(*plan_of(plan), *run); });
}

void info(const mg_plan* plan, int64_t rows, mg_plan_info* info) noexcept {
  const Plan& p = *plan_of(const_cast<mg_plan*>(plan));
  int64_t bytes = 0;
  for (size_t i = 0; i < p.buffers.size(); i++)
    if (p.has_rows(i)) bytes += rows * p.stride(static_cast<int32_t>(i)) * static_cast<int64_t>(sizeof(float));
  *info = {0, p.slot_floats > 0 ? p.slot_count(rows) : 0, 0, bytes, 0, device_facts().name.c_str()};
}

void destroy(mg_plan* plan) noexcept { delete plan_of(plan); }

constexpr mg_backend kBackend = {MG_ABI_VERSION, MG_F32, "cuda", available, allocate, release, write, read, compile, run, info, destroy};

}  // namespace
}  // namespace mg_cuda

extern "C" __attribute__((visibility("default"))) const mg_backend* mg_cuda_backend(void) noexcept { return &mg_cuda::kBackend; }
