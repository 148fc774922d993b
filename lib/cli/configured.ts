// The model of a configuration, where the command line says how to compute it.

import { modelClasses } from '../model/classes.js'
import type { Model } from '../model/model.js'
import type { Config } from './config.js'
import { type ComputeFlags, computeOf } from './options.js'

/** @throws ERR_MULTIGATE_ARGUMENT naming the option, with the file and line where it stands. */
export function modelOf(
  { model, options, located }: Pick<Config, 'model' | 'options' | 'located'>,
  flags: ComputeFlags & { readonly seed?: number | undefined },
): Model {
  const seed = flags.seed === undefined ? {} : { seed: flags.seed }
  // The type of the options is known only at run time; the model checks them.
  return located(() => new modelClasses[model]({ ...options, ...seed, ...computeOf(flags) } as never))
}
