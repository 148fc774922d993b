#include "selftest/report.h"

#include <cmath>
#include <cstdio>

namespace selftest {

void Report::check(bool ok, const std::string& what, const std::string& detail) {
  ok ? passed++ : failed++;
  if (!ok)
    std::printf("FAILED %s: %s\n", what.c_str(), detail.c_str());
  else if (verbose_)
    std::printf("passed %s\n", what.c_str());
}

void Report::skip(const std::string& what, const std::string& why) {
  skipped++;
  if (verbose_) std::printf("skipped %s: %s\n", what.c_str(), why.c_str());
}

void Report::compare(const std::string& what, const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  char text[256];
  if (got.size() != want.size()) {
    std::snprintf(text, sizeof text, "%zu numbers, expected %zu", got.size(), want.size());
    return check(false, what, text);
  }
  double difference = 0, norm = 0, worst = -1;
  size_t at = 0;
  bool finite = true;
  for (size_t i = 0; i < got.size(); i++) {
    if (got[i] == want[i]) {  // true for infinities too
      norm += std::isfinite(want[i]) ? want[i] * want[i] : 0;
      continue;
    }
    const double error = std::fabs(got[i] - want[i]);
    if (!std::isfinite(error)) finite = false;
    if (!(error <= worst)) worst = error, at = i;
    difference += error * error;
    norm += want[i] * want[i];
  }
  const double relative = norm > 0 ? std::sqrt(difference / norm) : worst;
  const bool ok = worst < 0 || (finite && relative <= (norm > 0 || tolerance == 0 ? tolerance : 1e-6));
  if (!ok)
    std::snprintf(text, sizeof text, "error %.3g, allowed %.3g; worst at %zu: got %.9g, want %.9g", relative, tolerance, at, got[at], want[at]);
  check(ok, what, ok ? "" : text);
}

void Report::compare(const std::string& what, const Program& program, const Result& got, const Result& want, double tolerance) {
  if (!got.failure.empty() || !want.failure.empty()) return check(false, what, got.failure + want.failure);
  for (size_t i = 0; i < program.buffers.size(); i++)
    if (!want.buffers[i].empty()) compare(what + ", buffer " + std::to_string(i), got.buffers[i], want.buffers[i], tolerance);
  if (!want.scalars.empty()) compare(what + ", scalar outputs", got.scalars, want.scalars, tolerance);
}

}  // namespace selftest
