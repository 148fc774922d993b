// Views, numbers and roles of one op at a time; see checker.h.
#include "engine/checker.h"

#include <algorithm>
#include <iterator>

namespace multigate {
namespace {

std::string view_text(const mg_view& view) {
  return text_of("columns or elements [", view.offset, ", ", view.offset, " + ", view.width, ") of buffer ", view.buffer);
}

}  // namespace

bool Ranges::contains(int64_t start, int64_t end) const {
  const auto after = ends_.upper_bound(start);
  return after != ends_.begin() && std::prev(after)->second >= end;
}

bool Ranges::overlaps(int64_t start, int64_t end) const {
  const auto after = ends_.lower_bound(end);
  return after != ends_.begin() && std::prev(after)->second > start;
}

void Ranges::add(int64_t start, int64_t end) {
  auto it = ends_.upper_bound(start);
  if (it != ends_.begin() && std::prev(it)->second >= start) --it;
  while (it != ends_.end() && it->first <= end) {  // merge ranges that touch
    start = std::min(start, it->first);
    end = std::max(end, it->second);
    it = ends_.erase(it);
  }
  ends_.emplace(start, end);
}

int64_t Checker::product(FieldName field, int64_t a, int64_t b, int64_t c, int64_t most) const {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result) || __builtin_mul_overflow(result, c, &result) || result > most) {
    fail(field, text_of("of ", a, " x ", b, c == 1 ? "" : text_of(" x ", c), " elements"), text_of(most, " at most"));
  }
  return result;
}

std::string Checker::op_text(int64_t number) const {
  const int32_t kind = program_.ops[static_cast<size_t>(number)].kind;
  return text_of("op ", number, " (", op_kinds()[static_cast<size_t>(kind)].name, ")");
}

void Checker::begin_op(int64_t number, const std::string& name) {
  number_ = number;
  op_ = text_of("op ", number, " (", name, ")");
  uses_.clear();
  seen_.clear();
}

void Checker::fail(FieldName field, const std::string& found, const std::string& expected) const {
  throw Failure(Code::program, op_ + ": " + field.text() + " is " + found + ", expected " + expected);
}

void Checker::check_all_seen() {
  std::sort(seen_.begin(), seen_.end());
  const auto check = [&](const std::string& field, const mg_view& view) {
    if (!present(view) || std::binary_search(seen_.begin(), seen_.end(), &view)) return;
    throw Failure(Code::internal, op_ + ": " + field + " is a view that validate() does not know");
  };
  const mg_op& op = program_.ops[static_cast<size_t>(number_)];
  for (const Field& field : op_kinds()[static_cast<size_t>(op.kind)].fields) {
    if (field.type == FieldType::view) check(field.name, field_of<mg_view>(op, field));
    if (field.type != FieldType::views) continue;
    const mg_views& list = field_of<mg_views>(op, field);
    for (uint32_t i = 0; i < list.count; ++i) check(field.name, list.items[i]);
  }
}

const mg_buffer& Checker::bounded(FieldName field, const mg_view& view) {
  seen_.push_back(&view);
  if (!present(view)) fail(field, "absent", "a view");
  const auto buffers = static_cast<int64_t>(program_.buffers.size());
  if (view.buffer < 0 || view.buffer >= buffers) {
    fail(field, text_of("a view of buffer ", view.buffer), text_of("a buffer in [0, ", buffers, ")"));
  }
  const mg_buffer& found = buffer(view);
  const int64_t extent = is_row_class(found.buffer_class) || found.buffer_class == MG_TABLE ? found.width : found.count;
  if (view.offset < 0 || view.width < 1 || view.offset > extent || view.width > extent - view.offset) {
    fail(field, view_text(view), text_of("a range inside [0, ", extent, "), the extent of this ", class_name(found.buffer_class)));
  }
  return found;
}

void Checker::class_is(FieldName field, const mg_view& view, int32_t expected) {
  const int32_t found = bounded(field, view).buffer_class;
  if (found != expected) {
    fail(field, text_of("a view of buffer ", view.buffer, " of class ", class_name(found)), text_of("class ", class_name(expected)));
  }
}

void Checker::width_is(FieldName field, const mg_view& view, int64_t expected) const {
  if (expected != 0 && view.width != expected) fail(field, text_of(view.width, " wide"), text_of(expected));
}

void Checker::touch(FieldName field, const mg_view& view) {
  BufferUse& use = use_of(view);
  if (use.kept_by >= 0) {
    fail(field, text_of("a view of buffer ", view.buffer, ", which ", op_text(use.kept_by), " keeps for its backward op alone"), "another buffer");
  }
  if (use.first < 0) use.first = number_;
}

mg_view Checker::row_read(FieldName field, const mg_view& view, int64_t width) {
  const mg_buffer& found = bounded(field, view);
  if (!is_row_class(found.buffer_class) || found.dtype != MG_F32) {
    fail(field, text_of("a view of buffer ", view.buffer, ", ", found.dtype == MG_I32 ? "i32 of" : "", " class ", class_name(found.buffer_class)),
         "floats of class rowInput, rowOutput, activation or stored");
  }
  width_is(field, view, width);
  touch(field, view);
  if (found.buffer_class != MG_ROW_INPUT && !is_written(view.buffer, view.offset, view.width)) {
    fail(field, view_text(view) + ", read before an op has written it", "columns that an earlier op wrote");
  }
  uses_.push_back({field, view, false, false});
  return view;
}

void Checker::row_write(FieldName field, const mg_view& view, int64_t width, bool accumulate) {
  const int32_t found = bounded(field, view).buffer_class;
  if (found != MG_ROW_OUTPUT && found != MG_ACTIVATION && found != MG_STORED) {
    fail(field, text_of("a view of buffer ", view.buffer, " of class ", class_name(found)),
         "class rowOutput, activation or stored, because the op writes it");
  }
  width_is(field, view, width);
  if (accumulate && !is_written(view.buffer, view.offset, view.width)) {
    fail(field, view_text(view) + ", accumulated into before an op has written it", "columns that an earlier op wrote");
  }
  touch(field, view);
  uses_.push_back({field, view, true, accumulate});
}

void Checker::gradient_write(FieldName field, const mg_view& view, int64_t width, bool accumulate) {
  row_write(field, view, 0, accumulate);
  if (view.width > width) fail(field, text_of(view.width, " wide"), text_of("at most ", width, ", the width of what it is the gradient of"));
}

void Checker::whole_activation(FieldName field, const mg_view& view, int64_t width) {
  class_is(field, view, MG_ACTIVATION);
  width_is(field, view, width);
  if (view.width != buffer(view).width) fail(field, view_text(view), text_of("the whole buffer, width ", buffer(view).width));
}

void Checker::kept_write(FieldName field, const mg_view& view, int64_t width) {
  whole_activation(field, view, width);
  BufferUse& use = use_of(view);
  if (use.first >= 0) {
    fail(field, text_of("a view of buffer ", view.buffer, ", which ", op_text(use.first), " uses"), "a buffer of its own");
  }
  use.first = use.kept_by = number_;
}

int64_t Checker::kept_read(FieldName field, const mg_view& view, int64_t width) {
  whole_activation(field, view, width);
  BufferUse& use = use_of(view);
  if (use.kept_by < 0 || use.kept_by == number_)
    fail(field, text_of("a view of buffer ", view.buffer, ", in which no op keeps it"), "what a forward op keeps");
  if (use.given_back)
    fail(field, text_of("a view of buffer ", view.buffer, ", which a backward op has used up"), "what a forward op keeps for this op alone");
  use.given_back = true;
  return use.kept_by;
}

void Checker::unchanged_since(FieldName field, const mg_view& view, int64_t op) const {
  const BufferUse& use = use_of(view);
  if (use.last_write > op) {
    fail(field, text_of("a view of buffer ", view.buffer, ", into which ", op_text(use.last_write), " writes"),
         text_of("what it was for ", op_text(op)));
  }
}

void Checker::input_read(FieldName field, const mg_view& view, int64_t width) {
  class_is(field, view, MG_ROW_INPUT);
  if (buffer(view).dtype != MG_F32) fail(field, "an i32 row input", "f32");
  width_is(field, view, width);
}

int64_t Checker::ids_read(FieldName field, const mg_view& view, int64_t rows, int64_t combiner) {
  class_is(field, view, MG_ROW_INPUT);
  const mg_buffer& found = buffer(view);
  if (found.dtype != MG_I32) fail(field, "an f32 row input", "i32: ids");
  if (view.offset != 0 || view.width != found.width) fail(field, view_text(view), text_of("the whole row input, width ", found.width));
  if (combiner == MG_SINGLE && view.width != 1) fail(field, text_of(view.width, " wide"), "1, because combiner 0 takes one id per row");
  int64_t& limit = facts_.id_limit[static_cast<size_t>(view.buffer)];
  limit = std::min(limit, rows);
  return view.width;
}

void Checker::stored_read(FieldName field, const mg_view& view, int64_t width) {
  class_is(field, view, MG_STORED);
  width_is(field, view, width);
  if (!is_written(view.buffer, view.offset, view.width)) {
    fail(field, view_text(view) + ", read before an op has written it", "columns that an earlier op wrote");
  }
}

void Checker::stored_write(FieldName field, const mg_view& view) {
  class_is(field, view, MG_STORED);
  touch(field, view);
  uses_.push_back({field, view, true, false});
}

void Checker::parameter(FieldName field, const mg_view& view, int64_t elements) {
  class_is(field, view, MG_PARAMETER);
  if (elements != 0 && view.width != elements) fail(field, text_of(view.width, " elements"), text_of(elements));
  facts_.weights += view.width;
  if (facts_.weights > kMaxWeights)
    fail(field, text_of("too large: all ops together read ", facts_.weights, " elements"), text_of(kMaxWeights, " at most"));
}

void Checker::updated_once(FieldName field, const mg_view& view) {
  Ranges& others = use_of(view).updated;
  const int64_t end = view.offset + view.width;
  if (others.overlaps(view.offset, end)) fail(field, view_text(view) + ", updated already", "elements that nothing else updates");
  others.add(view.offset, end);
  mark_written(view);
}

void Checker::parameter_range(FieldName field, const mg_view& view) { class_is(field, view, MG_PARAMETER); }

void Checker::gradients(FieldName field, const mg_view& view) {
  class_is(field, view, MG_GRADIENT);
  if (view.width != buffer(view).count) fail(field, view_text(view), text_of("all ", buffer(view).count, " elements"));
  mark_written(view);  // the reducing op writes it even if no other op does
}

void Checker::adds_gradients(FieldName field, const mg_view& view) { gradients(field, view); }

void Checker::makes_whole(FieldName field, const mg_view& view) {
  gradients(field, view);
  int64_t& whole_by = use_of(view).whole_by;
  if (whole_by >= 0) fail(field, text_of("of buffer ", view.buffer, ", made whole by ", op_text(whole_by)), "a buffer that is made whole once");
  whole_by = number_;
}

void Checker::check_whole(FieldName field, const mg_view& view) const {
  if (!is_whole(view.buffer))
    fail(field, text_of("of buffer ", view.buffer, ", made whole by no op"), "a buffer that a reduce_gradients or combine_gradients has made whole");
}

void Checker::whole_gradients(FieldName field, const mg_view& view) {
  gradients(field, view);
  check_whole(field, view);
}

void Checker::gradient_range(FieldName field, const mg_view& view, const mg_view& parameters) {
  class_is(field, view, MG_GRADIENT);
  check_whole(field, view);
  if (view.offset != parameters.offset || view.width != parameters.width) fail(field, view_text(view), "the range of the parameters");
}

void Checker::state(FieldName field, const mg_view& view, int64_t elements) {
  class_is(field, view, MG_STATE);
  if (view.width != elements) fail(field, text_of(view.width, " elements"), text_of(elements));
}

int64_t Checker::table(FieldName field, const mg_view& view) {
  class_is(field, view, MG_TABLE);
  if (view.offset != 0 || view.width != buffer(view).width) {
    fail(field, view_text(view), text_of("the whole table: offset 0, width ", buffer(view).width));
  }
  return buffer(view).count;
}

void Checker::within(FieldName field, int64_t value, int64_t low, int64_t high) const {
  if (value < low || value > high) fail(field, text_of(value), text_of("an integer in [", low, ", ", high, "]"));
}

void Checker::weight_input(FieldName field, int64_t value) {
  scalar_input(field, value);
  facts_.task_weights.push_back(static_cast<int32_t>(value));
}

void Checker::scalar_input(FieldName field, int64_t value) const {
  if (!present(value)) fail(field, "absent", "the number of a scalar input");
  if (value < 0 || value >= program_.scalar_inputs) {
    fail(field, text_of(value), text_of("the number of a scalar input, in [0, ", program_.scalar_inputs, ")"));
  }
}

void Checker::step_input(FieldName field, int64_t value) {
  scalar_input(field, value);
  facts_.steps.push_back(static_cast<int32_t>(value));
}

void Checker::scalar_output(FieldName field, int64_t value) const {
  if (value < 0 || value >= program_.scalar_outputs) {
    fail(field, text_of(value), text_of("the number of a scalar output, in [0, ", program_.scalar_outputs, ")"));
  }
}

void Checker::end_op() {
  // Sort by place, then compare neighbours: O(u log u) for ops with very many views.
  std::vector<const Use*> order;
  order.reserve(uses_.size());
  for (const Use& use : uses_) order.push_back(&use);
  std::stable_sort(order.begin(), order.end(), [](const Use* a, const Use* b) {
    return a->view.buffer != b->view.buffer ? a->view.buffer < b->view.buffer : a->view.offset < b->view.offset;
  });
  // `reach` is the view, and `written` the written view, that reaches farthest so far in this buffer.
  const Use* reach = nullptr;
  const Use* written = nullptr;
  const auto end = [](const Use* use) { return use->view.offset + use->view.width; };
  for (const Use* use : order) {
    if (reach != nullptr && reach->view.buffer != use->view.buffer) reach = written = nullptr;
    const Use* other = use->written ? reach : written;
    if (other != nullptr && end(other) > use->view.offset) {
      // Two streams of a mixture may be the same view: then their gradients add up in one place.
      const bool added = other->view.offset == use->view.offset && other->view.width == use->view.width && other->written && use->accumulate;
      if (!added) fail(use->field, view_text(use->view), text_of("no overlap with ", other->field.text(), ", because the op writes one of them"));
    }
    if (reach == nullptr || end(use) > end(reach)) reach = use;
    if (use->written && (written == nullptr || end(use) > end(written))) written = use;
  }
  for (const Use& use : uses_) {
    if (!use.written) continue;
    use_of(use.view).written.add(use.view.offset, use.view.offset + use.view.width);
    use_of(use.view).last_write = number_;
    mark_written(use.view);
  }
}

}  // namespace multigate
