// The reflection table, expanded from MG_OPS and MG_FIELDS; see reflect.h.
#include "engine/reflect.h"

#include <unordered_map>

namespace multigate {

std::string camel_case(const char* name) {
  std::string result;
  for (const char* c = name; *c != 0; ++c) {
    if (*c == '_' && c[1] != 0) {
      ++c;
      result += static_cast<char>(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    } else {
      result += *c;
    }
  }
  return result;
}

namespace {

std::vector<OpKind> make_op_kinds() {
  std::vector<OpKind> kinds;
// In the scope that expands a field list, `Descriptor` is the op's struct.
#define MULTIGATE_VIEW(field) {camel_case(#field), FieldType::view, offsetof(Descriptor, field)},
#define MULTIGATE_VIEWS(field) {camel_case(#field), FieldType::views, offsetof(Descriptor, field)},
#define MULTIGATE_INT(field) {camel_case(#field), FieldType::integer, offsetof(Descriptor, field)},
#define MULTIGATE_INTS(field) {camel_case(#field), FieldType::integers, offsetof(Descriptor, field)},
#define MULTIGATE_FLOAT(field) {camel_case(#field), FieldType::real, offsetof(Descriptor, field)},
#define MULTIGATE_SCALAR(field) {camel_case(#field), FieldType::scalar, offsetof(Descriptor, field)},
#define MULTIGATE_OP(op, phase)                                                                                                             \
  {                                                                                                                                         \
    using Descriptor = mg_##op;                                                                                                             \
    kinds.push_back({#op,                                                                                                                   \
                     MG_PHASE_##phase,                                                                                                      \
                     {MG_FIELDS_##op(MULTIGATE_VIEW, MULTIGATE_VIEWS, MULTIGATE_INT, MULTIGATE_INTS, MULTIGATE_FLOAT, MULTIGATE_SCALAR)}}); \
  }
  MG_OPS(MULTIGATE_OP)
#undef MULTIGATE_OP
#undef MULTIGATE_SCALAR
#undef MULTIGATE_FLOAT
#undef MULTIGATE_INTS
#undef MULTIGATE_INT
#undef MULTIGATE_VIEWS
#undef MULTIGATE_VIEW
  return kinds;
}

std::unordered_map<std::string, int32_t> make_index() {
  std::unordered_map<std::string, int32_t> index;
  for (size_t i = 0; i < op_kinds().size(); ++i) index.emplace(op_kinds()[i].name, static_cast<int32_t>(i));
  return index;
}

}  // namespace

const std::vector<OpKind>& op_kinds() {
  static const std::vector<OpKind> kinds = make_op_kinds();
  return kinds;
}

int32_t find_op_kind(const std::string& name) {
  static const std::unordered_map<std::string, int32_t> index = make_index();
  const auto found = index.find(name);
  return found == index.end() ? -1 : found->second;
}

}  // namespace multigate
