// A separate realm for a module and its imports, as test runners make one per test file. Node's own globals (not those of JavaScript),
// Node's modules and CommonJS modules are shared.

import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import vm from 'node:vm'

const shared = { process, console, URL, performance, setImmediate, clearImmediate, setTimeout, clearTimeout }
const others = { TextEncoder, TextDecoder, structuredClone, AbortController, queueMicrotask, Buffer }

/** Runs the text of a module in a new realm and returns its exports. Node needs --experimental-vm-modules. */
export async function inNewRealm(source, url) {
  const context = vm.createContext({ ...shared, ...others })
  const modules = new Map()

  const synthetic = (values, identifier) => {
    const names = [...new Set(['default', ...Object.keys(values)])]
    const evaluate = function () {
      for (const name of names) this.setExport(name, name === 'default' ? (values.default ?? values) : values[name])
    }
    return new vm.SyntheticModule(names, evaluate, { context, identifier })
  }

  const read = async (specifier, from) => {
    if (isBuiltin(specifier)) return synthetic(await import(specifier), specifier)
    const text = readFileSync(fileURLToPath(specifier), 'utf8')
    const isModule = /^\s*(import|export)\b/m.test(text)
    return isModule ? module(text, specifier) : synthetic(createRequire(from)(fileURLToPath(specifier)), specifier)
  }

  const load = (specifier, from) => {
    const isPath = specifier.startsWith('.') || specifier.startsWith('file:')
    const resolved = () => (isPath ? new URL(specifier, from) : pathToFileURL(createRequire(from).resolve(specifier))).href
    const name = isBuiltin(specifier) ? specifier : resolved()
    if (!modules.has(name)) modules.set(name, read(name, from))
    return modules.get(name)
  }

  const link = (specifier, { identifier }) => load(specifier, identifier)

  const importLater = async (specifier, { identifier }) => {
    const loaded = await load(specifier, identifier)
    if (loaded.status === 'unlinked') await loaded.link(link)
    if (loaded.status === 'linked') await loaded.evaluate()
    return loaded
  }

  const module = (text, identifier) => {
    const initializeImportMeta = (meta) => {
      meta.url = identifier
    }
    return new vm.SourceTextModule(text, { context, identifier, initializeImportMeta, importModuleDynamically: importLater })
  }

  const main = module(source, url)
  await main.link(link)
  await main.evaluate()
  return main.namespace
}
