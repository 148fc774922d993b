// Names of CUDA kernels as in the sources.

import { spawnSync } from 'node:child_process'

/** A demangled name without namespaces. */
export function withoutNamespaces(name) {
  return name
    .replaceAll('(anonymous namespace)::', '')
    .replaceAll('mg_cuda::', '')
    .replace(/^void /, '')
}

/** Names without namespaces from mangled ones. Without c++filt they stay as they are. */
export function demangled(names) {
  const { status, stdout } = spawnSync('c++filt', { input: names.join('\n'), encoding: 'utf8' })
  return status === 0 ? stdout.split('\n').map(withoutNamespaces) : names
}
