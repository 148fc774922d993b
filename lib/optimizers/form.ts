// What the optimizers' options share: Keras's or torch's form, and the matching epsilon.

import { z } from 'zod'

import { amount, fraction } from '../core/schemas.js'

/** Whose formula to use. They differ in where epsilon is added and where the learning rate is multiplied. */
export type OptimizerForm = 'keras' | 'torch'

export const formSchema = z.enum(['keras', 'torch']).default('keras')
export const decaySchema = fraction
export const notNegative = amount

/** Options with every number filled in. */
export type Filled<Options> = { readonly [Key in keyof Options]-?: Exclude<Options[Key], undefined> }

/** Fills in `epsilon` with the default of the form's library. */
export function withEpsilon<Options extends { readonly epsilon?: number | undefined; readonly form: OptimizerForm }>(
  options: Options,
  defaults: Readonly<Record<OptimizerForm, number>>,
): Options & { readonly epsilon: number } {
  return { ...options, epsilon: options.epsilon ?? defaults[options.form] }
}
