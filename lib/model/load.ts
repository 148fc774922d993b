// A file as a model.

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { ModelFile } from '../files/read.js'
import { type ComputeOptions, computeSchema, resolveCompute } from '../runtime/compute.js'
import { modelClasses } from './classes.js'
import { type Model, restoreModel } from './model.js'

/**
 * Reads a model that `save` or a checkpoint has written. It predicts the same bits as the one that was saved, on the same
 * device and ISA.
 * @throws ERR_MULTIGATE_FORMAT naming what is wrong with the file; of what is wrong with `compute` as the constructor.
 * @example const model = await loadModel('model.safetensors')
 */
export async function loadModel(path: FilePath, compute: ComputeOptions = {}): Promise<Model> {
  // Here, so that what is wrong with them is not taken for the file's fault.
  const where = parseOptions('loadModel', computeSchema, compute) as ComputeOptions
  resolveCompute(where)
  await using file = await ModelFile.open(path)
  const { encoder, options, tasks } = file
  const features = encoder.encoders.map(({ feature }) => feature)
  // The constructor checks the options: their type is known only at run time here.
  const model = file.check(() => new modelClasses[file.model]({ ...options, features, tasks, ...where } as never))
  try {
    await restoreModel(model, file)
  } catch (error) {
    model.dispose()
    throw error
  }
  return model
}
