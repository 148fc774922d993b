// The building blocks of op checks: each checks one view, one number or one role. validate.cc combines them.
//
// A Checker follows the program op by op and remembers what has been written. So it refuses to read an activation before it is
// written, to update an element twice, and to let a third op touch what one op keeps for another.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/failure.h"
#include "engine/program.h"
#include "engine/reflect.h"

namespace multigate {

/// "kernel" or "expertKernel[2]": builds its text only for an error.
struct FieldName {
  FieldName(const char* name, int64_t index = -1) : name(name), index(index) {}
  const char* name;
  int64_t index;
  std::string text() const { return index < 0 ? std::string(name) : text_of(name, '[', index, ']'); }
};

/// A set of columns or elements, stored as ranges [start, end).
class Ranges {
 public:
  bool contains(int64_t start, int64_t end) const;
  bool overlaps(int64_t start, int64_t end) const;
  void add(int64_t start, int64_t end);

 private:
  std::map<int64_t, int64_t> ends_;  // by start; disjoint, and touching ranges are merged
};

class Checker {
 public:
  Checker(const Program& program, ProgramFacts& facts) : program_(program), facts_(facts), uses_of_(program.buffers.size()) {}

  void begin_op(int64_t number, const std::string& name);
  /// Refuses written views that overlap other views of the op, then marks them as written.
  void end_op();
  /// Fails if a view of the op was not checked: finds a new field that the op's check forgets.
  void check_all_seen();

  [[noreturn]] void fail(FieldName field, const std::string& found, const std::string& expected) const;

  // Row views. width 0: any. Refuses an absent view; test optional ones with present() first.
  mg_view row_read(FieldName field, const mg_view& view, int64_t width);
  void row_write(FieldName field, const mg_view& view, int64_t width, bool accumulate = false);
  /// The gradient of a signal `width` wide, or of its first columns.
  void gradient_write(FieldName field, const mg_view& view, int64_t width, bool accumulate);
  /// A row input of floats: labels and weights.
  void input_read(FieldName field, const mg_view& view, int64_t width);
  /// A whole row input of ids, gathered from a table of `rows` rows.
  int64_t ids_read(FieldName field, const mg_view& view, int64_t rows, int64_t combiner);
  void stored_read(FieldName field, const mg_view& view, int64_t width);
  /// A step op's.
  void stored_write(FieldName field, const mg_view& view);

  // Opaque buffers: whole activations whose inner order the backend chooses. One op writes, one reads, and no other may touch them.
  void kept_write(FieldName field, const mg_view& view, int64_t width);
  /// Returns the number of the op that wrote it.
  int64_t kept_read(FieldName field, const mg_view& view, int64_t width);
  /// Refuses the view if an op after number `op` has written into its buffer.
  void unchanged_since(FieldName field, const mg_view& view, int64_t op) const;

  // Other views. `elements` 0: any.
  void parameter(FieldName field, const mg_view& view, int64_t elements);
  /// Elements that a step op changes: no other op may change them.
  void updated_once(FieldName field, const mg_view& view);
  void parameter_range(FieldName field, const mg_view& view);
  // A whole GRADIENT buffer: rows ops add to it and reduce_gradients reduces it, or combine_gradients writes it, once. Then later ops read it.
  void adds_gradients(FieldName field, const mg_view& view);
  void makes_whole(FieldName field, const mg_view& view);
  void whole_gradients(FieldName field, const mg_view& view);
  /// The range of a whole GRADIENT buffer that belongs to a range of the parameters.
  void gradient_range(FieldName field, const mg_view& view, const mg_view& parameters);
  void state(FieldName field, const mg_view& view, int64_t elements);
  /// The number of rows of a table that is viewed whole.
  int64_t table(FieldName field, const mg_view& view);

  // Numbers and lists.
  void within(FieldName field, int64_t value, int64_t low, int64_t high) const;
  void scalar_input(FieldName field, int64_t value) const;
  /// A scalar input that is a task's weight.
  void weight_input(FieldName field, int64_t value);
  void scalar_output(FieldName field, int64_t value) const;
  /// A scalar input that counts steps.
  void step_input(FieldName field, int64_t value);
  /// a * b * c for numbers that are not negative; at most `most`.
  int64_t product(FieldName field, int64_t a, int64_t b, int64_t c = 1, int64_t most = kMaxElements) const;
  template <class List>
  void length(FieldName field, const List& list, int64_t expected, const char* meaning) const {
    if (static_cast<int64_t>(list.count) != expected) {
      fail(field, text_of(list.count, " entries"), text_of(expected, " (", meaning, ")"));
    }
  }

  static bool present(const mg_view& view) { return view.buffer != -1; }
  static bool present(int64_t scalar) { return scalar != -1; }
  void mark_written(const mg_view& view) { facts_.written[static_cast<size_t>(view.buffer)] = true; }
  /// Whether an op has made the buffer whole.
  bool is_whole(int32_t buffer) const { return uses_of_[static_cast<size_t>(buffer)].whole_by >= 0; }
  const Program& program() const { return program_; }
  const mg_buffer& buffer(const mg_view& view) const { return program_.buffers[static_cast<size_t>(view.buffer)]; }
  /// Whether columns [offset, offset + width) of the buffer hold values.
  bool is_written(int32_t buffer, int64_t offset, int64_t width) const {
    return uses_of_[static_cast<size_t>(buffer)].written.contains(offset, offset + width);
  }

 private:
  struct Use {
    FieldName field;
    mg_view view;
    bool written;
    bool accumulate;
  };

  struct BufferUse {
    Ranges written;      // columns that hold values
    Ranges updated;      // elements that step ops change
    int64_t first = -1;  // the first op that touched it,
    int64_t last_write = -1;
    int64_t kept_by = -1;   // the op that wrote it as opaque
    int64_t whole_by = -1;  // gradients: the number of the op that makes it whole
    bool given_back = false;
  };

  BufferUse& use_of(const mg_view& view) { return uses_of_[static_cast<size_t>(view.buffer)]; }
  const BufferUse& use_of(const mg_view& view) const { return uses_of_[static_cast<size_t>(view.buffer)]; }
  std::string op_text(int64_t number) const;
  void whole_activation(FieldName field, const mg_view& view, int64_t width);
  /// An ordinary use of a row buffer.
  void touch(FieldName field, const mg_view& view);

  const mg_buffer& bounded(FieldName field, const mg_view& view);
  void class_is(FieldName field, const mg_view& view, int32_t expected);
  void gradients(FieldName field, const mg_view& view);
  void check_whole(FieldName field, const mg_view& view) const;
  void width_is(FieldName field, const mg_view& view, int64_t expected) const;

  const Program& program_;
  ProgramFacts& facts_;
  std::vector<BufferUse> uses_of_;  // by buffer
  std::vector<Use> uses_;
  std::vector<const mg_view*> seen_;  // views of the op that were checked
  std::string op_;
  int64_t number_ = -1;
};

}  // namespace multigate
