// The CUDA backend's table, which the plug-in exports. Faults become statuses here; nothing throws past it.
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "cuda/data_sets.h"
#include "cuda/peaks.h"
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
    return fail(error, MG_OUT_OF_MEMORY, "the CUDA backend could not allocate the host memory it needs");
  } catch (const std::exception& other) {
    return fail(error, MG_INTERNAL, other.what());
  }
}

// The engine's mg_plan* is a Plan here: all backends share the struct's name.
Plan* plan_of(mg_plan* plan) { return reinterpret_cast<Plan*>(plan); }

Precision precision_of(const mg_compile_options* options) {
  switch (options != nullptr ? options->precision : MG_PRECISION_F32) {
    case MG_PRECISION_F32: return Precision::kFloat32;
    case MG_PRECISION_BF16: return Precision::kBfloat16;
    case MG_PRECISION_TF32: return Precision::kTf32;
    default: throw Fault{MG_UNSUPPORTED, "the CUDA backend computes products in 'float32', 'tf32' and 'bfloat16'"};
  }
}

std::unique_ptr<Plan> compiled(const mg_program& program, Precision precision, int device) {
  auto plan = std::make_unique<Plan>();
  plan->device = device, plan->device_name = device_facts().name;
  plan->buffers.assign(program.buffers, program.buffers + program.buffer_count);
  plan->scalar_inputs = program.scalar_inputs, plan->scalar_outputs = program.scalar_outputs;
  plan->precision = precision;
  for (uint32_t i = 0; i < program.buffer_count; i++) {
    if (program.buffers[i].buffer_class == MG_PARAMETER) plan->parameter_buffer = static_cast<int32_t>(i);
    // Ops that sum over all rows, or read all rows.
    if (program.buffers[i].buffer_class == MG_GRADIENT || program.buffers[i].buffer_class == MG_STORED) plan->divisible = false;
  }
  plan->stream = std::make_unique<Stream>(), plan->side = std::make_unique<Stream>(), plan->copies = std::make_unique<Stream>();
  PlanBuilder builder(*plan, program);
  for (uint32_t i = 0; i < program.op_count; i++) {
    const mg_op& op = program.ops[i];
    builder.number = i;
    if (op.kind == MG_OP_embedding_update || op.kind == MG_OP_optimize) plan->divisible = false;
    switch (op.kind) {
#define MG_COMPILE_OP_(name, of)         \
  case MG_OP_##name:                     \
    builder.phase = MG_PHASE_##of;       \
    compile_op(builder, op.fields.name); \
    break;
      MG_OPS(MG_COMPILE_OP_)
#undef MG_COMPILE_OP_
      default: throw std::invalid_argument("the program has an op that is unknown to this backend");
    }
  }
  builder.finish();
  return plan;
}

// The table of one device. The engine identifies devices by their tables.
template <int kDevice>
struct Device {
  template <class Work>
  static mg_status on_device(mg_error* error, Work work) noexcept {
    return guarded(error, [&] {
      use_device(kDevice);
      work();
    });
  }

  static mg_status available(mg_error* error) noexcept {
    return guarded(error, [] { usable_device(kDevice); });
  }

  static void describe(mg_device_info* info) noexcept {
    *info = {};
    guarded(nullptr, [=] {
      const DeviceFacts& facts = usable_device(kDevice);
      std::snprintf(info->name, sizeof info->name, "%s", facts.name.c_str());
      std::snprintf(info->capability, sizeof info->capability, "%d.%d", facts.major, facts.minor);
      info->memory_bytes = facts.memory_bytes;
      if (!is_in_use(kDevice)) return;  // to ask would make a context there
      use_device(kDevice);
      info->free_bytes = free_bytes();
    });
  }

  static mg_status allocate(int64_t elements, void** data, mg_error* error) noexcept {
    return on_device(error, [=] { *data = device_allocate(static_cast<size_t>(elements) * sizeof(float)); });
  }

  static void release(void* data) noexcept {
    if (data == nullptr) return;
    select_device(kDevice);
    device_release(data);
  }

  static mg_status write(void* data, int64_t offset, const void* from, int64_t elements, mg_error* error) noexcept {
    return on_device(error, [=] { copy_to_device(static_cast<float*>(data) + offset, from, static_cast<size_t>(elements) * sizeof(float)); });
  }

  static mg_status read(const void* data, int64_t offset, void* to, int64_t elements, mg_error* error) noexcept {
    return on_device(error, [=] { copy_from_device(to, static_cast<const float*>(data) + offset, static_cast<size_t>(elements) * sizeof(float)); });
  }

  static mg_status compile(const mg_program* program, const mg_compile_options* options, mg_plan** plan, mg_error* error) noexcept {
    return on_device(error, [=] { *plan = reinterpret_cast<mg_plan*>(compiled(*program, precision_of(options), kDevice).release()); });
  }

  static mg_status run(mg_plan* plan, const mg_run* run, mg_error* error) noexcept {
    return on_device(error, [=] { execute(*plan_of(plan), *run); });
  }

  static mg_status read_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, void* to, mg_error* error) noexcept {
    return on_device(error, [=] { mg_cuda::read_stored(*plan_of(plan), buffer, first_row, rows, static_cast<float*>(to)); });
  }

  static mg_status write_stored(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, const void* from, mg_error* error) noexcept {
    return on_device(error, [=] { mg_cuda::write_stored(*plan_of(plan), buffer, first_row, rows, static_cast<const float*>(from)); });
  }

  static void info(const mg_plan* plan, int64_t rows, mg_plan_info* info) noexcept {
    const Plan& p = *plan_of(const_cast<mg_plan*>(plan));
    int64_t bytes = 0;
    for (size_t i = 0; i < p.buffers.size(); i++)
      if (p.has_rows(i)) bytes += rows * static_cast<int64_t>(p.row_bytes(i));
    *info = {0, p.split_floats > 0 ? p.most_splits(rows) : 0, 0, bytes, 0, p.device_name.c_str()};
  }

  static void destroy(mg_plan* plan) noexcept {
    if (plan == nullptr) return;
    select_device(kDevice);
    delete plan_of(plan);
  }

  static void forget(uint64_t data_set) noexcept { forget_data_set(kDevice, data_set); }

  static constexpr mg_backend kTable = {
      .abi_version = MG_ABI_VERSION,
      .element = MG_F32,
      .name = "cuda",
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
};

template <int... kDevices>
const mg_backend* table_of(int32_t device, std::integer_sequence<int, kDevices...>) {
  static const mg_backend* const tables[] = {&Device<kDevices>::kTable...};
  return tables[device];
}

}  // namespace
}  // namespace mg_cuda

#define MG_EXPORT extern "C" __attribute__((visibility("default")))

MG_EXPORT const mg_backend* mg_cuda_backend(int32_t device) noexcept {
  using namespace mg_cuda;
  if (device != 0 && (device < 0 || device >= device_count())) return nullptr;
  return table_of(device, std::make_integer_sequence<int, kMostDevices>{});
}

// For benchmarks; see time_ops in plan.h. Call it after a run of the same plan.
MG_EXPORT mg_status mg_cuda_time(mg_plan* plan, const mg_run* run, int32_t repeats, double* milliseconds, int64_t* launches,
                                 mg_error* error) noexcept {
  using namespace mg_cuda;
  return guarded(error, [=] {
    use_device(plan_of(plan)->device);
    *launches = static_cast<int64_t>(time_ops(*plan_of(plan), *run, repeats, milliseconds));
  });
}

// For benchmarks: calls each(user, name, blocks, threads, milliseconds) for every kernel of the ops; see profile_ops in plan.h. Call it after a
// run of the plan.
MG_EXPORT mg_status mg_cuda_profile(mg_plan* plan, const mg_run* run, void (*each)(void*, const char*, int64_t, int32_t, double), void* user,
                                    mg_error* error) noexcept {
  using namespace mg_cuda;
  return guarded(error, [=] {
    use_device(plan_of(plan)->device);
    for (const KernelTime& time : profile_ops(*plan_of(plan), *run))
      each(user, time.name.c_str(), static_cast<int64_t>(time.grid.x) * time.grid.y, time.threads, time.milliseconds);
  });
}

// For benchmarks: GB/s of copies, TFLOP/s of tf32 and of bfloat16 matrix steps.
MG_EXPORT mg_status mg_cuda_peaks(double peaks[3], mg_error* error) noexcept {
  using namespace mg_cuda;
  return guarded(error, [=] {
    use_device(0);
    const Peaks found = measure_peaks();
    peaks[0] = found.copy_gbytes_per_s, peaks[1] = found.tf32_tflops, peaks[2] = found.bf16_tflops;
  });
}
