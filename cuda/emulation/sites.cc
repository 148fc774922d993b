// See sites.h.
#include "cuda/emulation/sites.h"

#if defined(MG_EMULATED_SITES)
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <utility>

namespace mg_cuda::emulation {
namespace {

// From `cuda/` on, as scripts and people name it.
std::string name_of(const Site& site) {
  const std::string file = site.file;
  const size_t at = file.rfind("cuda/");
  return file.substr(at == std::string::npos ? 0 : at) + ":" + std::to_string(site.line);
}

struct Sites {
  std::string without;
  int line = -1;  // of `without`
  const char* path = std::getenv("MULTIGATE_EMULATION_SITES");
  std::set<std::pair<const char*, int>> reached;
  Site last{};

  Sites() {
    const char* const name = std::getenv("MULTIGATE_EMULATION_WITHOUT");
    if (name == nullptr) return;
    without = name;
    const size_t colon = without.rfind(':');
    line = colon == std::string::npos ? 0 : std::atoi(without.c_str() + colon + 1);
    if (line <= 0) std::fprintf(stderr, "MULTIGATE_EMULATION_WITHOUT: expected file:line, found %s\n", name), std::abort();
  }
  ~Sites() {
    if (path == nullptr) return;
    std::FILE* const file = std::fopen(path, "a");
    if (file == nullptr) return;
    std::set<std::string> names;  // a header's name may have several addresses
    for (const auto& [name, of] : reached) names.insert(name_of({name, of}));
    for (const std::string& name : names) std::fprintf(file, "%s\n", name.c_str());
    std::fclose(file);
  }
};

}  // namespace

bool is_off(const Site& site) {
  static Sites sites;
  if (sites.path != nullptr && (site.line != sites.last.line || site.file != sites.last.file)) {
    sites.last = site;
    sites.reached.insert({site.file, site.line});
  }
  return site.line == sites.line && name_of(site) == sites.without;
}

}  // namespace mg_cuda::emulation
#endif
