// libFuzzer's target: bytes choose a case of the selftest and changes to it. If validate() accepts the result, every backend of this
// machine runs it and must match the reference. Built with AddressSanitizer and UndefinedBehaviorSanitizer.
#include <cstdio>
#include <cstdlib>

#include "engine/failure.h"
#include "engine/reflect.h"
#include "selftest/cases/cases.h"
#include "selftest/engine.h"
#include "selftest/fuzz/mutate.h"
#include "selftest/fuzz/trial.h"
#include "selftest/hostile.h"

namespace selftest {
namespace {

void print(const multigate::Program& program) {
  using multigate::FieldType, multigate::field_of;
  const auto view = [](const mg_view& v) { return multigate::text_of("{", v.buffer, " ", v.offset, " ", v.width, "}"); };
  for (size_t i = 0; i < program.buffers.size(); i++) {
    const mg_buffer& b = program.buffers[i];
    std::fprintf(stderr, "buffer %zu: %s, width %lld, count %lld\n", i, multigate::class_name(b.buffer_class), static_cast<long long>(b.width),
                 static_cast<long long>(b.count));
  }
  for (size_t i = 0; i < program.ops.size(); i++) {
    const mg_op& op = program.ops[i];
    const auto& kind = multigate::op_kinds()[static_cast<size_t>(op.kind)];
    std::string text = multigate::text_of("op ", i, " ", kind.name, ":");
    for (const auto& field : kind.fields) {
      text += " " + field.name + " ";
      switch (field.type) {
        case FieldType::view: text += view(field_of<mg_view>(op, field)); break;
        case FieldType::scalar:
        case FieldType::integer: text += multigate::text_of(field_of<int64_t>(op, field)); break;
        case FieldType::real: text += multigate::text_of(field_of<double>(op, field)); break;
        case FieldType::views:
          for (uint32_t k = 0; k < field_of<mg_views>(op, field).count; k++) text += view(field_of<mg_views>(op, field).items[k]);
          break;
        case FieldType::integers:
          for (uint32_t k = 0; k < field_of<mg_ints>(op, field).count; k++)
            text += multigate::text_of(k ? "," : "", field_of<mg_ints>(op, field).items[k]);
          break;
      }
    }
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

struct Counts {
  long tried = 0, accepted = 0, ran = 0;
  ~Counts() { std::fprintf(stderr, "fuzz: %ld programs, %ld accepted by validate(), %ld run on every backend\n", tried, accepted, ran); }
};

int try_one(Bytes bytes) {
  static Counts counts;
  const size_t which = bytes.choice(MG_OP_COUNT + 1);
  const auto seed = static_cast<uint64_t>(bytes.number());
  const int64_t rows = bytes.pick<int64_t>({5, 1, 2, 17, 70, 150});
  Random random(seed);
  const Program values = which < MG_OP_COUNT ? make_case(static_cast<mg_op_kind>(which), random, rows) : good_program();
  multigate::Program program = to_engine(values);
  const uint8_t way = bytes.byte();
  for (size_t k = 0; k < 8 && !bytes.empty(); k++) mutate(program, bytes);
  counts.tried++;
  if (!refusal(program).empty()) return 0;
  counts.accepted++;
  const Trial trial(program, values, seed);
  if (trial.too_large()) return -1;
  counts.ran++;
  for (const char* const* isa = mg_cpu_isas(); *isa; isa++) {
    const std::string text = trial.compare({*isa, mg_cpu_backend(), *isa, way & 1 ? MG_PRECISION_BF16 : MG_PRECISION_F32}, (way & 2) != 0);
    if (text.empty()) continue;
    print(program);
    std::fprintf(stderr, "fuzz: %s\n", text.c_str());
    std::abort();
  }
  return 0;
}

}  // namespace
}  // namespace selftest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    return selftest::try_one(selftest::Bytes(data, size));
  } catch (const multigate::Failure& failure) {
    if (failure.code == multigate::Code::argument || failure.code == multigate::Code::out_of_memory) return 0;  // thrown by the step
    std::fprintf(stderr, "fuzz: %s\n", failure.what());
    std::abort();
  }
}
