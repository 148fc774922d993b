// The op list of abi/ops.h as data: one row per op, one entry per descriptor field. The X-macros generate it, so a new op or
// field reaches JavaScript without a change here or in the addon.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "abi/multigate.h"

namespace multigate {

/// scalar: the number of a scalar input; -1: absent.
enum class FieldType { view, views, integer, integers, real, scalar };

struct Field {
  std::string name;  // camelCase, as in JavaScript
  FieldType type;
  size_t offset;  // in the op's descriptor
};

struct OpKind {
  std::string name;  // as in ops.h: dense_forward
  mg_phase phase;
  std::vector<Field> fields;
};

/// A field's name in JavaScript: expert_stream -> expertStream.
std::string camel_case(const char* name);

/// One row per mg_op_kind, in that order.
const std::vector<OpKind>& op_kinds();

/// The kind of this name, or -1.
int32_t find_op_kind(const std::string& name);

/// The field of a descriptor; T must be the C type of the field's FieldType.
template <class T>
T& field_of(mg_op& op, const Field& field) {
  return *reinterpret_cast<T*>(reinterpret_cast<char*>(&op.fields) + field.offset);
}

template <class T>
const T& field_of(const mg_op& op, const Field& field) {
  return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(&op.fields) + field.offset);
}

}  // namespace multigate
