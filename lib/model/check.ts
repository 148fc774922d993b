// What a model checks of its features and tasks together. Each of them has been checked alone.

import { checkList, invalidArgument } from '../core/check.js'
import type { Feature } from '../features/spec/feature.js'
import { labelInput, measuredInput, weightInput } from '../layers/heads.js'
import { type CommonOptions, penalisedFeatures } from '../models/options.js'
import type { Task } from '../tasks/task.js'

/** Checks every spec, that there is at least one, and that names are unique. */
export function checkNamed<Spec extends { readonly name: string }>(
  field: string,
  specs: readonly unknown[],
  parse: (spec: unknown, what: string) => Spec,
): readonly Spec[] {
  const list = checkList(field, specs, 'at least one')
  if (list.length === 0) throw invalidArgument(field, 'an array of at least one', specs)
  const parsed = list.map((spec, index) => parse(spec, `${field}[${index}]`))
  const names = new Set<string>()
  for (const [index, { name }] of parsed.entries()) {
    if (names.has(name)) throw invalidArgument(`${field}[${index}].name`, 'a unique name', name)
    names.add(name)
  }
  return parsed
}

/** The names of features with an embedding. */
export function embeddedIn(features: readonly Feature[]): string[] {
  return features.filter(({ kind }) => kind !== 'dense').map(({ name }) => name)
}

/** @throws ERR_MULTIGATE_ARGUMENT naming a penalty of no feature. */
export function checkPenalties(model: string, options: CommonOptions, features: readonly Feature[]): void {
  const names = embeddedIn(features)
  for (const { path, feature } of penalisedFeatures(options)) {
    const expected = `a feature with an embedding (${names.join(', ')})`
    if (!names.includes(feature)) throw invalidArgument(`${model}.${path}`, expected, feature)
  }
}

/** A feature must not have the name of a task's encoded labels or weights. */
export function checkColumns(field: string, features: readonly Feature[], tasks: readonly Task[]): void {
  const targets = tasks.flatMap(({ name }) => [labelInput(name), weightInput(name)])
  const taken = new Set([...targets, ...targets.map(measuredInput)])
  features.forEach(({ name }, index) => {
    if (taken.has(name))
      throw invalidArgument(`${field}[${index}].name`, 'a name that differs from the labels and weights of every task', name)
  })
}

/** A task's `<task>_loss` must not collide with `val_loss` or with the `val_<task>_loss` of another task. */
export function checkMonitors(field: string, tasks: readonly Task[]): void {
  const taken = new Set(['val', ...tasks.map(({ name }) => `val_${name}`)])
  const wrong = tasks.findIndex(({ name }) => taken.has(name))
  if (wrong < 0) return
  throw invalidArgument(
    `${field}[${wrong}].name`,
    'a task name whose <name>_loss does not collide with a val_ metric',
    tasks[wrong]?.name,
  )
}
