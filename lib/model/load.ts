// Loads a model from a file.

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { ModelFile } from '../files/read.js'
import { type ComputeOptions, computeSchema, resolveCompute } from '../runtime/compute.js'
import { modelClasses } from './classes.js'
import { type Model, restoreModel } from './model.js'

/**
 * Reads a model that `save` or a checkpoint wrote. On the same device and ISA it predicts the same bits as the saved model.
 * @param compute where the model computes. Default: as in the constructor of a model.
 * @throws ERR_MULTIGATE_FORMAT naming what is wrong with the file; for a wrong `compute`, the errors of the constructor.
 * @example const model = await loadModel('model.safetensors')
 */
export async function loadModel(path: FilePath, compute: ComputeOptions = {}): Promise<Model> {
  // Check these first: an error in them is not the file's fault.
  const where = parseOptions('loadModel', computeSchema, compute) as ComputeOptions
  resolveCompute(where)
  await using file = await ModelFile.open(path)
  const { encoder, options, tasks } = file
  const features = encoder.encoders.map(({ feature }) => feature)
  // The type of the options is known only at run time; the constructor checks them.
  const model = file.check(() => new modelClasses[file.model]({ ...options, features, tasks, ...where } as never))
  try {
    await restoreModel(model, file)
  } catch (error) {
    model.dispose()
    throw error
  }
  return model
}
