#include "selftest/fuzz/mutate.h"

#include <cfloat>
#include <cmath>
#include <utility>

#include "engine/reflect.h"

namespace selftest {
namespace {

using multigate::Field, multigate::FieldType, multigate::field_of, multigate::op_kinds, multigate::Program;

class Mutator {
 public:
  Mutator(Program& program, Bytes& bytes) : program_(program), bytes_(bytes) {
    for (mg_op& op : program.ops)
      for (const Field& field : fields(op)) {
        if (field.type == FieldType::view) views_.push_back(field_of<mg_view>(op, field));
        if (field.type == FieldType::views)
          for (uint32_t i = 0; i < field_of<mg_views>(op, field).count; i++) views_.push_back(field_of<mg_views>(op, field).items[i]);
      }
    if (views_.empty()) views_.push_back({0, 0, 1});
  }

  void mutate() {
    switch (bytes_.choice(8)) {
      case 0: return mutate_buffer();
      case 1: return mutate_order();
      case 2: return mutate_view_everywhere();
      default: return mutate_field();
    }
  }

 private:
  static const std::vector<Field>& fields(const mg_op& op) { return op_kinds()[static_cast<size_t>(op.kind)].fields; }
  mg_op& some_op() { return program_.ops[bytes_.choice(program_.ops.size())]; }

  int64_t changed(int64_t value) {
    const auto plus = [value](int64_t more) { return static_cast<int64_t>(static_cast<uint64_t>(value) + static_cast<uint64_t>(more)); };
    switch (bytes_.choice(6)) {
      case 0: return plus(1);
      case 1: return plus(-1);
      case 2: return value / 2;
      case 3: return plus(bytes_.byte() % 16);
      case 4: return bytes_.byte() % 8;
      default: return bytes_.pick<int64_t>({-1, 0, 1, 2, 7, 64, 255, 1 << 16, 1 << 24, INT32_MAX, int64_t{1} << 53, INT64_MAX, INT64_MIN});
    }
  }

  mg_view changed(mg_view view) {
    switch (bytes_.choice(6)) {
      case 0: return bytes_.pick(views_);
      case 1: return {-1, 0, 0};
      case 2: view.buffer = static_cast<int32_t>(bytes_.choice(program_.buffers.size())); return view;
      case 3: view.offset = changed(view.offset); return view;
      case 4: view.width = changed(view.width); return view;
      default: return {bytes_.pick(views_).buffer, view.offset, view.width};
    }
  }

  double changed(double value) {
    switch (bytes_.choice(4)) {
      case 0: return -value;
      case 1: return value / 2;
      case 2: return bytes_.byte() / 256.0;
      default: return bytes_.pick<double>({0, 1, -1, 0.5, 1e-30, 1e30, FLT_MAX, 1e39, NAN, INFINITY});
    }
  }

  template <class List>
  auto copied(const List& list) {
    return std::vector(list.items, list.items + list.count);
  }

  template <class Items>
  Items changed_list(Items items) {
    if (items.empty()) return items;
    auto& entry = items[bytes_.choice(items.size())];
    switch (bytes_.choice(5)) {
      case 0: items.pop_back(); break;
      case 1: items.push_back(entry); break;
      case 2: std::swap(entry, items[bytes_.choice(items.size())]); break;
      case 3: entry = items[bytes_.choice(items.size())]; break;
      default: entry = changed(entry);
    }
    return items;
  }

  void mutate_field() {
    mg_op& op = some_op();
    if (fields(op).empty()) return;
    const Field& field = bytes_.pick(fields(op));
    switch (field.type) {
      case FieldType::view: field_of<mg_view>(op, field) = changed(field_of<mg_view>(op, field)); break;
      case FieldType::views: field_of<mg_views>(op, field) = program_.keep(changed_list(copied(field_of<mg_views>(op, field)))); break;
      case FieldType::scalar:
      case FieldType::integer: field_of<int64_t>(op, field) = changed(field_of<int64_t>(op, field)); break;
      case FieldType::integers: field_of<mg_ints>(op, field) = program_.keep(changed_list(copied(field_of<mg_ints>(op, field)))); break;
      case FieldType::real: field_of<double>(op, field) = changed(field_of<double>(op, field)); break;
    }
  }

  /// Changes one view in every place: both ends of data that one op passes to another.
  void mutate_view_everywhere() {
    const mg_view from = bytes_.pick(views_), to = changed(from);
    const auto same = [&](const mg_view& view) { return view.buffer == from.buffer && view.offset == from.offset && view.width == from.width; };
    for (mg_op& op : program_.ops)
      for (const Field& field : fields(op)) {
        if (field.type == FieldType::view && same(field_of<mg_view>(op, field))) field_of<mg_view>(op, field) = to;
        if (field.type != FieldType::views) continue;
        auto items = copied(field_of<mg_views>(op, field));
        for (mg_view& view : items)
          if (same(view)) view = to;
        field_of<mg_views>(op, field) = program_.keep(std::move(items));
      }
  }

  void mutate_buffer() {
    mg_buffer& buffer = program_.buffers[bytes_.choice(program_.buffers.size())];
    switch (bytes_.choice(4)) {
      case 0: buffer.buffer_class = static_cast<int32_t>(bytes_.choice(MG_TABLE + 1)); break;
      case 1: buffer.dtype = static_cast<int32_t>(bytes_.choice(3)); break;
      case 2: buffer.count = changed(buffer.count); break;
      default: buffer.width = changed(buffer.width);
    }
  }

  void mutate_order() {
    auto& ops = program_.ops;
    const size_t at = bytes_.choice(ops.size()), other = bytes_.choice(ops.size());
    switch (bytes_.choice(4)) {
      case 0: std::swap(ops[at], ops[other]); break;
      case 1: {
        const mg_op copy = ops[at];
        ops.insert(ops.begin() + static_cast<std::ptrdiff_t>(other), copy);
        break;
      }
      case 2: {  // copies any columns to any others
        mg_op copy{};
        copy.kind = MG_OP_copy_columns;
        copy.fields.copy_columns = {bytes_.pick(views_), bytes_.pick(views_)};
        copy.fields.copy_columns.y.width = copy.fields.copy_columns.x.width;
        ops.insert(ops.begin() + static_cast<std::ptrdiff_t>(at), copy);
        break;
      }
      default:
        if (ops.size() > 1) ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  Program& program_;
  Bytes& bytes_;
  std::vector<mg_view> views_;
};

}  // namespace

void mutate(multigate::Program& program, Bytes& bytes) { Mutator(program, bytes).mutate(); }

}  // namespace selftest
