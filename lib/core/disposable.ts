// Imported first, for its side effect. Extra realms of Node 20 (test runners make one per file) lack `Symbol.dispose`, which `using`
// and the dispose methods need. They get the symbol of Node's main realm, so that all realms agree on it.

import { runInThisContext } from 'node:vm'

for (const name of ['dispose', 'asyncDispose'] as const) {
  if (typeof Symbol[name] === 'symbol') continue
  Object.defineProperty(Symbol, name, { value: runInThisContext(`Symbol.${name}`) })
}
