// Balancing methods by name, for configurations and saved models. A new method is one file, one member of each type and one row.

import { z } from 'zod'

import { checkInteger, invalidArgument, parseOptions } from '../core/check.js'
import { type AlignedMtl, type AlignedMtlOptions, alignedMtl } from './aligned-mtl.js'
import { Balancer } from './balancer.js'
import { type Cagrad, type CagradOptions, cagrad } from './cagrad.js'
import { type Dwa, type DwaOptions, dwa } from './dwa.js'
import { type Famo, type FamoOptions, famo } from './famo.js'
import { type Fixed, type FixedOptions, fixed } from './fixed.js'
import { type Gls, type GlsOptions, gls } from './gls.js'
import { type Gradnorm, type GradnormOptions, gradnorm } from './gradnorm.js'
import { type ImtlG, type ImtlGOptions, imtlG } from './imtl-g.js'
import { type ImtlL, type ImtlLOptions, imtlL } from './imtl-l.js'
import type { Method, Needs } from './method.js'
import { type Mgda, type MgdaOptions, mgda } from './mgda.js'
import { type NashMtl, type NashMtlOptions, nashMtl } from './nash-mtl.js'
import { type Pcgrad, type PcgradOptions, pcgrad } from './pcgrad.js'
import { type Rlw, type RlwOptions, rlw } from './rlw.js'
import { type Stch, type StchOptions, stch } from './stch.js'
import { type Uncertainty, type UncertaintyOptions, uncertainty } from './uncertainty.js'
import { type Upgrad, type UpgradOptions, upgrad } from './upgrad.js'

/** A method with every option filled in, as plain readonly data. */
export type Balancing =
  | AlignedMtl
  | Cagrad
  | Dwa
  | Famo
  | Fixed
  | Gls
  | Gradnorm
  | ImtlG
  | ImtlL
  | Mgda
  | NashMtl
  | Pcgrad
  | Rlw
  | Stch
  | Uncertainty
  | Upgrad

/** A method and its options, as users write them. */
export type BalanceMethod =
  | AlignedMtlOptions
  | CagradOptions
  | DwaOptions
  | FamoOptions
  | FixedOptions
  | GlsOptions
  | GradnormOptions
  | ImtlGOptions
  | ImtlLOptions
  | MgdaOptions
  | NashMtlOptions
  | PcgradOptions
  | RlwOptions
  | StchOptions
  | UncertaintyOptions
  | UpgradOptions

/** A method by its name, with its defaults, or with options. */
export type BalanceOptions = BalanceMethod['method'] | BalanceMethod

const methods: { readonly [Name in Balancing['method']]: Method<Extract<Balancing, { method: Name }>> } = {
  fixed,
  uncertainty,
  dwa,
  rlw,
  gls,
  imtlL,
  gradnorm,
  pcgrad,
  cagrad,
  mgda,
  upgrad,
  nashMtl,
  alignedMtl,
  imtlG,
  famo,
  stch,
}

export const balancingNames = Object.keys(methods) as readonly Balancing['method'][]
const nameSchema = z.looseObject({ method: z.enum(balancingNames) })

/** Most tasks of a balancer. */
export const mostBalanced = 64

/**
 * A method from its name, or from plain data with a name: `'mgda'`, `{ "method": "cagrad", "c": 0.4 }`.
 * @param what the prefix of the field in errors.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 */
export function parseBalancing(value: unknown, what = 'balance'): Balancing {
  const options = typeof value === 'string' ? { method: value } : value
  const { method } = parseOptions(what, nameSchema, options)
  return Object.freeze(parseOptions<Balancing>(what, methods[method].schema, options))
}

/** What a method must know, and when. */
export function needsOf({ method }: Balancing): Needs {
  return methods[method].needs
}

/**
 * A balancer for the tasks of a model, in their order.
 * @param seed for `rlw` and `pcgrad`, an integer in [0, 2^53).
 * @throws ERR_MULTIGATE_ARGUMENT for a number of tasks outside [1, 64], or options that name an unknown task.
 */
export function balancerOf(
  balancing: Balancing,
  { tasks, seed }: { readonly tasks: readonly string[]; readonly seed: number },
): Balancer {
  const names = [...tasks]
  if (names.length < 1 || names.length > mostBalanced)
    throw invalidArgument('balance', `from 1 to ${mostBalanced} tasks`, names.length, "leave 'balance' out")
  checkInteger('seed', seed, { min: 0 })
  const { needs, rule } = methods[balancing.method] as Method<Balancing>
  return new Balancer(balancing.method, names, needs, rule({ tasks: names, options: balancing, seed }))
}
