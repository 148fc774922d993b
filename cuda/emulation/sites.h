// Calls of waits, fences and barriers as sites (file:line), each of which can be switched off: `npm run mutate` checks that a test then fails.
// Only in builds with MG_EMULATED_SITES; in others the calls have no extra argument.
//
// MULTIGATE_EMULATION_WITHOUT=file:line switches a site off. MULTIGATE_EMULATION_SITES=path: the process adds the sites that it has reached to
// that file, one on a line.
#pragma once

#if defined(MG_EMULATED_SITES)
namespace mg_cuda::emulation {

struct Site {
  const char* file;
  int line;
};

// Notes that the site is reached.
bool is_off(const Site& site);

}  // namespace mg_cuda::emulation

#define MG_SITE ::mg_cuda::emulation::Site site = {__builtin_FILE(), __builtin_LINE()}
#define MG_AND_SITE , MG_SITE
#define MG_UNLESS_OFF if (!::mg_cuda::emulation::is_off(site))
#else
#define MG_SITE
#define MG_AND_SITE
#define MG_UNLESS_OFF
#endif
