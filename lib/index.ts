// The package's entry: every public name. `multigate/ops` has the fused kernels themselves.

import type { DeviceInfo } from './native/binding.js'
import { loadNative } from './native/loader.js'

export {
  ArgumentError,
  AbortedError,
  BusyError,
  DataError,
  DisposedError,
  FormatError,
  MissingPackageError,
  MultigateError,
  NotBuiltError,
} from './core/errors.js'
export { Dataset, type DatasetSplit } from './data/dataset.js'
export type { CsvOptions } from './data/csv.js'
export type { SplitOptions } from './data/split.js'
export type { ColumnValues } from './data/values.js'
export { dense } from './features/dense.js'
export type { DenseFeature, DenseOptions, Feature, IdOptions, SequenceFeature, SequenceOptions, SparseFeature } from './features/feature.js'
export { sequence } from './features/sequence.js'
export { sparse } from './features/sparse.js'
export { auc, groupedAuc } from './metrics/auc.js'
export type { DeviceInfo } from './native/binding.js'
export { adam, type Adam, type AdamOptions } from './optimizers/adam.js'
export type { Optimizer } from './optimizers/optimizer.js'
export { sgd, type Sgd, type SgdOptions } from './optimizers/sgd.js'
export { progress, type ProgressOptions } from './report/progress.js'
export { historyTable, resultsTable } from './report/results.js'
export { binary, type BinaryOptions, type BinaryTask } from './tasks/binary.js'
export type { Task } from './tasks/task.js'
export type { Callback, CallbackLike, Control, RunPlan, StepRecord } from './training/callbacks.js'
export { checkpoint, type CheckpointOptions } from './training/checkpoint.js'
export type { ComputeOptions } from './training/compute.js'
export { earlyStopping, type EarlyStoppingOptions } from './training/early-stopping.js'
export type { Evaluation, TaskEvaluation } from './training/evaluate.js'
export type { EpochRecord, History } from './training/history.js'
export { loadModel } from './training/load.js'
export type { FitOptions, Model, ModelInput, Scores } from './training/model.js'
export { MMoE } from './training/models.js'

/**
 * The devices of this machine, and why one cannot be used.
 * @throws ERR_MULTIGATE_NATIVE where the native addon cannot be loaded.
 */
export function devices(): DeviceInfo[] {
  return loadNative().devices()
}
