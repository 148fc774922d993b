// The parts that op checks are made of: one view, one number, one role at a time. validate.cc puts them together.
//
// A Checker follows the program op by op and remembers which columns of each row buffer have been written, so that nothing
// reads an activation that holds no value yet.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/failure.h"
#include "engine/program.h"
#include "engine/reflect.h"

namespace multigate {

/// "kernel" or "expertKernel[2]": the text is made only when something is wrong.
struct FieldName {
  FieldName(const char* name, int64_t index = -1) : name(name), index(index) {}
  const char* name;
  int64_t index;
  std::string text() const { return index < 0 ? std::string(name) : text_of(name, '[', index, ']'); }
};

/// Product of non-negative numbers, refused above kMaxElements (as a view could not be that long).
int64_t product(int64_t a, int64_t b);

class Checker {
 public:
  Checker(const Program& program, ProgramFacts& facts) : program_(program), facts_(facts), columns_(program.buffers.size()) {}

  void begin_op(int64_t number, const std::string& name);
  /// Refuses written views that overlap others of the op, then counts them as written.
  void end_op();

  [[noreturn]] void fail(FieldName field, const std::string& found, const std::string& expected) const;

  // Row views. width 0: any. An absent view is refused; optional ones are tested with present() first.
  mg_view row_read(FieldName field, const mg_view& view, int64_t width);
  void row_write(FieldName field, const mg_view& view, int64_t width, bool accumulate = false);
  /// A row input of floats: labels and weights.
  void input_read(FieldName field, const mg_view& view, int64_t width);
  /// A whole row input of ids, gathered from a table of `rows` rows.
  int64_t ids_read(FieldName field, const mg_view& view, int64_t rows, int64_t combiner);
  void stored_read(FieldName field, const mg_view& view, int64_t width);

  // Other views. `elements` 0: any.
  void parameter(FieldName field, const mg_view& view, int64_t elements);
  void whole_parameter(FieldName field, const mg_view& view);
  void whole_gradient(FieldName field, const mg_view& view);
  void state(FieldName field, const mg_view& view, int64_t elements);
  /// The rows of a table viewed whole.
  int64_t table(FieldName field, const mg_view& view);
  /// The op adds to or reads the gradients of parameters: the program must have a GRADIENT buffer.
  void need_gradient(FieldName field) const;

  // Numbers and lists.
  void within(FieldName field, int64_t value, int64_t low, int64_t high) const;
  void scalar_input(FieldName field, int64_t value) const;
  void scalar_output(FieldName field, int64_t value) const;
  template <class List>
  void length(FieldName field, const List& list, int64_t expected, const char* meaning) const {
    if (static_cast<int64_t>(list.count) != expected) {
      fail(field, text_of(list.count, " entries"), text_of(expected, " (", meaning, ")"));
    }
  }

  static bool present(const mg_view& view) { return view.buffer != -1; }
  bool has_gradient() const { return gradient_ >= 0; }
  void set_gradient(int32_t buffer) { gradient_ = buffer; }
  void mark_written(const mg_view& view) { facts_.written[static_cast<size_t>(view.buffer)] = true; }
  void mark_gradient_written() { if (gradient_ >= 0) facts_.written[static_cast<size_t>(gradient_)] = true; }
  const mg_buffer& buffer(const mg_view& view) const { return program_.buffers[static_cast<size_t>(view.buffer)]; }
  /// Columns [offset, offset + width) of the buffer hold values.
  bool is_written(int32_t buffer, int64_t offset, int64_t width) const;

 private:
  struct Use {
    FieldName field;
    mg_view view;
    bool written;
    bool accumulate;
  };

  const mg_buffer& bounded(FieldName field, const mg_view& view) const;
  void class_is(FieldName field, const mg_view& view, int32_t expected) const;
  void width_is(FieldName field, const mg_view& view, int64_t expected) const;
  void add_columns(const mg_view& view);

  const Program& program_;
  ProgramFacts& facts_;
  std::vector<std::map<int64_t, int64_t>> columns_;  // per buffer: start -> end of written columns, disjoint, merged
  std::vector<Use> uses_;
  std::string op_;
  int32_t gradient_ = -1;
};

}  // namespace multigate
