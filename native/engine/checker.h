// The parts that op checks are made of: one view, one number, one role at a time. validate.cc puts them together.
//
// A Checker follows the program op by op and remembers what has been written: so nothing reads an activation that holds no value
// yet, nothing is updated twice, and what one op keeps for another is touched by no third.
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

/// Sets of numbers that are mostly runs: [start, end) of columns or elements.
class Ranges {
 public:
  bool contains(int64_t start, int64_t end) const;
  bool overlaps(int64_t start, int64_t end) const;
  void add(int64_t start, int64_t end);

 private:
  std::map<int64_t, int64_t> ends_;  // by start; disjoint, and those that touch are one
};

class Checker {
 public:
  Checker(const Program& program, ProgramFacts& facts) : program_(program), facts_(facts), uses_of_(program.buffers.size()) {}

  void begin_op(int64_t number, const std::string& name);
  /// Refuses written views that overlap others of the op, then counts them as written.
  void end_op();
  /// Every view that the op has was looked at, whatever it is called: a new field that its check forgets is found here.
  void check_all_seen();

  [[noreturn]] void fail(FieldName field, const std::string& found, const std::string& expected) const;

  // Row views. width 0: any. An absent view is refused; optional ones are tested with present() first.
  mg_view row_read(FieldName field, const mg_view& view, int64_t width);
  void row_write(FieldName field, const mg_view& view, int64_t width, bool accumulate = false);
  /// A row input of floats: labels and weights.
  void input_read(FieldName field, const mg_view& view, int64_t width);
  /// A whole row input of ids, gathered from a table of `rows` rows.
  int64_t ids_read(FieldName field, const mg_view& view, int64_t rows, int64_t combiner);
  void stored_read(FieldName field, const mg_view& view, int64_t width);

  // Opaque buffers: whole activations whose inner order is the backend's own. One op writes, one reads, and nothing else may touch them.
  void kept_write(FieldName field, const mg_view& view, int64_t width);
  /// The number of the op that wrote it.
  int64_t kept_read(FieldName field, const mg_view& view, int64_t width);
  /// No op after number `op` has written into the view's buffer.
  void unchanged_since(FieldName field, const mg_view& view, int64_t op) const;

  // Other views. `elements` 0: any.
  void parameter(FieldName field, const mg_view& view, int64_t elements);
  /// What a step op changes: no element of it may be changed by another.
  void updated_once(FieldName field, const mg_view& view);
  void whole_parameter(FieldName field, const mg_view& view);
  // A GRADIENT buffer, whole: what a rows op adds to, what reduce_gradients makes whole, once, and what later ops then find so.
  void adds_gradients(FieldName field, const mg_view& view);
  void makes_whole(FieldName field, const mg_view& view);
  void whole_gradients(FieldName field, const mg_view& view);
  void state(FieldName field, const mg_view& view, int64_t elements);
  /// The rows of a table viewed whole.
  int64_t table(FieldName field, const mg_view& view);

  // Numbers and lists.
  void within(FieldName field, int64_t value, int64_t low, int64_t high) const;
  void scalar_input(FieldName field, int64_t value) const;
  /// A scalar input that weighs a task.
  void weight_input(FieldName field, int64_t value);
  void scalar_output(FieldName field, int64_t value) const;
  /// A scalar input that counts steps.
  void step_input(FieldName field, int64_t value);
  /// a * b * c of numbers that are not negative, `most` at most.
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
  /// A reduce_gradients has made it whole.
  bool is_whole(int32_t buffer) const { return uses_of_[static_cast<size_t>(buffer)].whole_by >= 0; }
  const Program& program() const { return program_; }
  const mg_buffer& buffer(const mg_view& view) const { return program_.buffers[static_cast<size_t>(view.buffer)]; }
  /// Columns [offset, offset + width) of the buffer hold values.
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
    int64_t first = -1;  // the op that touched it first,
    int64_t last_write = -1;
    int64_t kept_by = -1;   // the op that keeps it as opaque
    int64_t whole_by = -1;  // of gradients: the reduce_gradients
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
  void width_is(FieldName field, const mg_view& view, int64_t expected) const;

  const Program& program_;
  ProgramFacts& facts_;
  std::vector<BufferUse> uses_of_;  // by buffer
  std::vector<Use> uses_;
  std::vector<const mg_view*> seen_;  // of the op
  std::string op_;
  int64_t number_ = -1;
};

}  // namespace multigate
