// Imported before all else, for what it does: realms that Node 20 makes beside its own (test runners have one per file) know no
// `Symbol.dispose`, which `using` and the methods named by it need. They get the one of Node's own realm, so that all agree on it.

import { runInThisContext } from 'node:vm'

for (const name of ['dispose', 'asyncDispose'] as const) {
  if (typeof Symbol[name] === 'symbol') continue
  Object.defineProperty(Symbol, name, { value: runInThisContext(`Symbol.${name}`) })
}
